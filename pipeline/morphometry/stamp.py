r"""The stamp of a source: what is measured of an image, and what is left out.

The choices are those of statmorph, to the letter.

References:
    | The optical morphologies of galaxies in the IllustrisTNG simulation: a comparison to
    | Pan-STARRS observations (Rodriguez-Gomez et al., 2019)
    | https://doi.org/10.1093/mnras/sty3345
"""

__all__ = ["bad_pixels", "bounds", "doubts", "outside", "reaches_edge", "stamp", "weights"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner, making
from pipeline.morphometry.flags import EDGE, MASKED_CENTRE, NO_SOURCE
from pipeline.morphometry.geometry import Aperture

EXTENT = 2.5
r"""The side of the stamp, in units of the longer side of the box around the source."""

SMALLEST = 24
r"""The smallest half of the side of the stamp, in pixels."""

OUTLIER = 10.0
r"""The distance from the mean of its neighbours, in units of their standard deviation, above
which a pixel is bad."""

LEAST = 0.5
r"""The least variance of a pixel, in units of that of the sky: less is a chance of its noise."""


@entry
def bounds(
    labels: NDArray[np.int64], label: int, parity: bool
) -> tuple[int, int, int, int]:  # pragma: no cover
    r"""Finds the stamp of a source.

    Around the middle of the box that holds the source it reaches 1.25 times the longer side
    of the box, rounded down, and at least 24 pixels, as far as the image goes.

    Arguments:
        labels: The map of sources, 0 in the sky, with shape `(H, W)`.
        label: The source.
        parity: Whether it is that of statmorph, which lacks the last row around an odd box and
            the last column.

    Returns:
        The first row, the last one (exclusive), the first column and the last one (exclusive).
        The whole image if the source is nowhere.
    """

    height, width = labels.shape
    top, bottom, left, right = height, -1, width, -1
    for i in range(height):
        for j in range(width):
            if labels[i, j] == label:
                top, bottom = min(top, i), i
                left, right = min(left, j), max(right, j)
    if bottom < 0:
        return 0, height, 0, width

    tall, wide = bottom + 1 - top, right + 1 - left
    y, x = top + tall // 2, left + wide // 2
    half = max(int(max(tall, wide) * EXTENT / 2), SMALLEST)
    bottom, right = y + half, x + half
    if not parity:
        bottom, right = bottom + tall % 2, right + wide % 2

    return max(0, y - half), min(height, bottom), max(0, x - half), min(width, right)


@entry
def stamp(
    image: NDArray[np.float64],
    labels: NDArray[np.int64],
    label: int,
    left_out: NDArray[np.bool_],
    parity: bool,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:  # pragma: no cover
    r"""Masks all that is not to be measured.

    Other sources, what is left out, what is not finite and bad pixels are masked.

    Arguments:
        image: The image inside of the bounds, sky subtracted, with shape `(H, W)`.
        labels: The map of sources there, with shape `(H, W)`.
        label: The source.
        left_out: Whether each pixel is left out for another reason, with shape `(H, W)`.
        parity: Whether bad pixels are those of statmorph, see :func:`bad_pixels`.

    Returns:
        The image, masked pixels being 0; the mask, True where left out; and the segment, True
        on the source, masked or not. All with shape `(H, W)`.
    """

    mask = bad_pixels(image, parity)
    out, segment = np.empty(image.shape), np.empty(image.shape, np.bool_)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            segment[i, j] = labels[i, j] == label
            other = not segment[i, j] and labels[i, j] != 0
            mask[i, j] |= other or left_out[i, j] or not math.isfinite(image[i, j])
            out[i, j] = 0.0 if mask[i, j] else image[i, j]

    return out, mask, segment


@entry
def doubts(
    segment: NDArray[np.bool_], mask: NDArray[np.bool_], x: float, y: float
) -> int:  # pragma: no cover
    r"""Tells what of a galaxy is not in its stamp.

    Arguments:
        segment: Whether each pixel is of the source, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        x: The column of its centre.
        y: The row of its centre.

    Returns:
        The flags `no_source`, `edge` and `masked_centre`.
    """

    height, width = segment.shape
    flags = 0 if segment.any() else NO_SOURCE
    flags |= EDGE if reaches_edge(segment) else 0
    inside = -0.5 <= y < height - 0.5 and -0.5 <= x < width - 0.5
    if not inside or mask[int(round(y)), int(round(x))]:
        flags |= MASKED_CENTRE

    return flags


@inner
def reaches_edge(pixels: NDArray[np.bool_]) -> bool:  # pragma: no cover
    r"""Says whether any pixel of a set is in the first or last row or column."""

    found = pixels[0].any() or pixels[-1].any()
    for i in range(pixels.shape[0]):
        found |= pixels[i, 0] or pixels[i, -1]

    return found


@entry
def outside(aperture: Aperture, height: int, width: int) -> float:  # pragma: no cover
    r"""Returns which share of an aperture is outside of an image, from 512 points in it."""

    x, y, a, q, theta = aperture
    if not math.isfinite(x * y * a * q * theta):
        return 0.0
    count = 0
    for k in range(64):
        angle = math.pi * (k + 0.5) / 32
        u, v = a * math.cos(angle), a * q * math.sin(angle)
        column, row = (
            u * math.cos(theta) - v * math.sin(theta),
            u * math.sin(theta) + v * math.cos(theta),
        )
        for ring in range(8):
            r = math.sqrt((ring + 0.5) / 8)
            seen = -0.5 <= x + r * column < width - 0.5 and -0.5 <= y + r * row < height - 0.5
            count += not seen

    return count / 512


@making
def bad_pixels(image: NDArray[np.float64], parity: bool) -> NDArray[np.bool_]:  # pragma: no cover
    r"""Finds pixels that are far from all around them.

    A pixel :math:`I` is bad if, with the mean :math:`m` and the variance
    :math:`s^2 = \langle (I_k - m)^2 \rangle` of its 8 neighbours,

    .. math:: |I - m| > 10 s

    Edges are replicated, and pixels that are not finite count as 0, as neighbours. Neighbours
    that are all the same, as those of counts often are, tell no variance: a pixel among them is
    not bad. To the letter of statmorph it is, unless the rounding of :math:`\langle I_k^2 \rangle
    - m^2` makes it negative.

    References:
        | A New Nonparametric Approach to Galaxy Morphological Classification (Lotz et al., 2004)
        | https://doi.org/10.1086/421849

    Arguments:
        image: The image, with shape `(H, W)`.
        parity: Whether neighbours may be all the same, and their variance be what rounding
            leaves of it.

    Returns:
        Whether each pixel is bad, with shape `(H, W)`. Those that are not finite are not.
    """

    height, width = image.shape
    out = np.zeros((height, width), np.bool_)
    # Three rows, with a column more to either side, are at hand at any time
    rows = np.zeros((3, width + 2))
    _extended(image[0], rows[0])
    _extended(image[0], rows[1])
    for i in range(height):
        above, here, below = rows[i % 3], rows[(i + 1) % 3], rows[(i + 2) % 3]
        _extended(image[min(i + 1, height - 1)], below)
        for j in range(width):
            a, b, c = above[j], above[j + 1], above[j + 2]
            d, e = here[j], here[j + 2]
            f, g, h = below[j], below[j + 1], below[j + 2]
            if parity:
                mean = (a + b + c + d + e + f + g + h) / 8
                squares = a * a + b * b + c * c + d * d + e * e + f * f + g * g + h * h
                variance = squares / 8 - mean * mean
            else:
                # By pairs, the sum of eight equal numbers is exact, and the variance is 0
                mean = (((a + b) + (c + d)) + ((e + f) + (g + h))) / 8
                a, b, c, d = a - mean, b - mean, c - mean, d - mean
                e, f, g, h = e - mean, f - mean, g - mean, h - mean
                squares = a * a + b * b + c * c + d * d + e * e + f * f + g * g + h * h
                variance = squares / 8
            away = image[i, j] - mean
            scatters = variance > 0 or (parity and variance == 0)
            bad = scatters and abs(away) > OUTLIER * math.sqrt(variance)
            out[i, j] = bad and math.isfinite(away)

    return out


@inner
def _extended(row: NDArray, out: NDArray) -> None:  # pragma: no cover
    r"""Copies a row and one more pixel at its ends, what is not finite being 0."""

    for j in range(row.size):
        out[j + 1] = row[j] if math.isfinite(row[j]) else 0.0
    out[0], out[-1] = out[1], out[-2]


@entry
def weights(
    image: NDArray[np.float64], mask: NDArray[np.bool_], gain: float, sigma: float, parity: bool
) -> NDArray[np.float64]:  # pragma: no cover
    r"""Returns the standard deviation of each pixel, from the counts and the sky.

    .. math:: s^2 = \max(\sigma^2 + \bar I / g, \sigma^2 / 2)

    with the mean :math:`\bar I` of those of 3 x 3 pixels that are seen. Its sign is kept, so that
    noise is no light on average; that of a single pixel would tie its weight to its noise. In
    parity with statmorph, where noise counts as light, and on a sky without noise, where a
    pixel of zero has none, :math:`s^2 = \sigma^2 + |I| / g`.

    Arguments:
        image: The image, sky subtracted, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        gain: The photons per unit of the image, infinite without their noise.
        sigma: The noise of the sky.
        parity: Whether it is that of statmorph.

    Returns:
        The standard deviation, 0 where left out, with shape `(H, W)`.
    """

    height, width = image.shape
    light, seen = np.zeros((height + 2, width + 2)), np.zeros((height + 2, width + 2))
    for i in range(height):
        for j in range(width):
            if not mask[i, j]:
                light[i + 1, j + 1], seen[i + 1, j + 1] = image[i, j], 1.0
    out = np.zeros(image.shape)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            if mask[i, j]:
                continue
            if parity or sigma == 0.0:
                variance = abs(image[i, j]) / gain + sigma * sigma
            else:
                mean = _square(light, i, j) / _square(seen, i, j)
                variance = max(mean / gain + sigma * sigma, LEAST * sigma * sigma)
            out[i, j] = math.sqrt(variance)

    return out


@inner
def _square(image: NDArray, i: int, j: int) -> float:  # pragma: no cover
    r"""Returns the sum of 3 x 3 pixels from `(i, j)` on, the same to the bit from any side."""

    corners = (image[i, j] + image[i + 2, j + 2]) + (image[i, j + 2] + image[i + 2, j])
    sides = (image[i, j + 1] + image[i + 2, j + 1]) + (image[i + 1, j] + image[i + 1, j + 2])

    return corners + sides + image[i + 1, j + 1]

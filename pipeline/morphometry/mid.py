r"""How the light of a galaxy is shared among its peaks: intensity and deviation."""

__all__ = ["intensity_deviation", "mid_segment"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry import flags
from pipeline.morphometry.basins import basins, peaks
from pipeline.morphometry.compiled import entry, inner, making
from pipeline.morphometry.forest import forest, merge, positive, rimmed, root, touching
from pipeline.morphometry.pieces import gaussian, piece
from pipeline.morphometry.roots import root_of

RATIO = 0.2
r"""How bright the faintest pixels of the segment are, in units of the mean of the segment."""

REGULAR = 5
r"""The number of pixels of a square of 3 x 3 that must be in the segment for its centre to be."""

SMOOTHING = 1.0
r"""The standard deviation of the smoothing before peaks are looked for, in pixels."""

MARGIN = 5
r"""The empty pixels around the segment that its smooth light does not cross."""


@entry
def mid_segment(
    image: NDArray[np.float64],
    mask: NDArray[np.bool_],
    segment: NDArray[np.bool_],
    fallback: NDArray[np.bool_],
    order: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], int]:  # pragma: no cover
    r"""Finds the pixels of a galaxy down to a fifth of their mean brightness.

    Of the target's own pixels, negative ones being 0, :math:`C_q` are those that reach the
    quantile :math:`v_q` and are connected with the brightest. The segment is :math:`C_q` where

    .. math:: \frac{v_q}{\langle I \rangle_{C_q}} = 0.2

    after the majority vote of 3 x 3 pixels on each, and again connected with the brightest. The
    ratio is a step function of :math:`q`, and :math:`q` is where the search of Brent ends.

    References:
        | New Image Statistics for Detecting Disturbed Galaxy Morphologies at High Redshift
            (Freeman et al., 2013)
        | https://doi.org/10.1093/mnras/stt1016
        | Algorithms for Minimization without Derivatives (Brent, 1973), for the search
        | https://maths-people.anu.edu.au/~brent/pub/pub011.html

    Arguments:
        image: The stamp, with shape `(H, W)`, contiguous.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        segment: The target's own pixels, with shape `(H, W)`.
        fallback: The segment if the ratio is above 0.2 everywhere, with shape `(H, W)`.
        order: The target's own pixels, not masked, faintest first: see
            :func:`pieces.ascending`.

    Returns:
        The segment, with shape `(H, W)`, and flags: low signal if it is the fallback, or if it
        is so small that the brightest pixel lost its vote; undefined if no pixel is positive.
    """

    values, width = image.ravel(), image.shape[1]
    ranked = positive(values, order)
    if ranked.size == 0:
        return fallback & ~mask, flags.UNDEFINED
    means = _means(values, ranked, image.shape)
    data = values, ranked, means, order.size
    if _excess(0.0, data) > 0.0:
        return fallback.copy(), flags.LOW_SIGNAL

    q = _root(data, 0.0, 1.0, 1.0 / order.size)
    least = _value(q, values, ranked, order.size)
    top = _first(values, ranked)
    i, j = top // width, top % width
    above = (segment & ~mask & (image >= least)) if least > 0.0 else np.ones_like(mask)
    votes = _votes(piece(above, i, j))
    found = 0 if votes[i, j] else flags.LOW_SIGNAL
    votes[i, j] = True

    return piece(votes, i, j), found


@inner
def _first(values: NDArray, ranked: NDArray) -> int:  # pragma: no cover
    r"""Returns the first of the brightest pixels, in the order of the image."""

    k = 0
    while k + 1 < ranked.size and values[ranked[k + 1]] == values[ranked[0]]:
        k += 1

    return ranked[k]


@making
def _means(
    values: NDArray, ranked: NDArray, shape: tuple[int, int]
) -> NDArray:  # pragma: no cover
    r"""Averages the pixels connected with the brightest, as fainter ones are added."""

    height, width = shape
    parent, area = forest(height, width)
    flux = np.zeros(area.size)
    around = np.empty(8, np.int64)
    top = rimmed(_first(values, ranked), width)
    means, start = np.empty(ranked.size), 0
    for k in range(ranked.size):
        p = rimmed(ranked[k], width)
        roots = around[: touching(parent, p, width + 2, around)]
        total = values[ranked[k]]
        for r in roots:
            total += flux[r]
        flux[merge(parent, area, p, roots)] = total
        # Equally bright pixels are added together
        if k + 1 == ranked.size or values[ranked[k + 1]] < values[ranked[k]]:
            main = root(parent, top)
            means[start : k + 1] = flux[main] / area[main]
            start = k + 1

    return means


@inner
def _value(q: float, values: NDArray, ranked: NDArray, count: int) -> float:  # pragma: no cover
    r"""Returns a quantile of the pixels, of which those that are not positive are 0."""

    k = count - 1 - int(q * (count - 1))

    return values[ranked[k]] if k < ranked.size else 0.0


@inner
def _excess(q: float, data: tuple[NDArray, NDArray, NDArray, int]) -> float:  # pragma: no cover
    r"""Returns how much brighter a quantile is than asked for, in units of the mean above it."""

    values, ranked, means, count = data
    k = count - 1 - int(q * (count - 1))

    return values[ranked[k]] / means[k] - RATIO if k < ranked.size else -RATIO


_root = root_of(_excess)


@making
def _votes(inside: NDArray) -> NDArray:  # pragma: no cover
    r"""Tells where most of 3 x 3 pixels are inside, the image being mirrored at its edges."""

    height, width = inside.shape
    columns = np.empty(width, np.int64)
    out = np.empty((height, width), np.bool_)
    for i in range(height):
        above, below = inside[max(i - 1, 0)], inside[min(i + 1, height - 1)]
        for j in range(width):
            columns[j] = int(above[j]) + int(inside[i, j]) + int(below[j])
        for j in range(width):
            left, right = columns[max(j - 1, 0)], columns[min(j + 1, width - 1)]
            out[i, j] = left + columns[j] + right >= REGULAR

    return out


@entry
def intensity_deviation(
    image: NDArray[np.float64], sigma: NDArray[np.float64], inside: NDArray[np.bool_]
) -> tuple[float, float, float, float, int]:  # pragma: no cover
    r"""Compares the light around the two brightest peaks, and tells how far off the first is.

    The positive light of the segment is smoothed by a Gaussian of one pixel. Each pixel belongs
    to the peak to which one climbs from it, always to the brightest neighbour. With the sums
    :math:`F_1 \ge F_2` of the smooth light of the two brightest peaks,

    .. math:: I = \frac{F_2}{F_1}, \quad D = \sqrt{\frac{\pi}{n}} \, | p_1 - c |

    where :math:`n` is the number of pixels of the segment, :math:`c` the centroid of its light
    before the smoothing, and :math:`p_1` the pixel of the first peak. Peaks are not on the edge
    of the image; what is brightest there belongs to the peak whose light reaches it first, as
    the levels go down.

    The error of :math:`D` is in :func:`_away`. That of :math:`I` is, with the variances
    :math:`V` of the pixels that are lit, and peaks that are known to be the two brightest,

    .. math:: \frac{\sigma_I^2}{I^2} = \frac{V_1}{F_1^2} + \frac{V_2}{F_2^2}

    References:
        | New Image Statistics for Detecting Disturbed Galaxy Morphologies at High Redshift
            (Freeman et al., 2013)
        | https://doi.org/10.1093/mnras/stt1016
        | Beyond spheroids and discs: classifications of CANDELS galaxy structure at 1.4 < z < 2
            via principal component analysis (Peth et al., 2016)
        | https://doi.org/10.1093/mnras/stw252

    Arguments:
        image: The stamp, 0 where not the target's own, with shape `(H, W)`.
        sigma: The noise of each pixel, with shape `(H, W)`.
        inside: The segment of :func:`mid_segment`, with shape `(H, W)`.

    Returns:
        The intensity, 0 if there is one peak, and its error, then NaN; the deviation and its
        error; flags. NaN if there is no peak.
    """

    nothing = np.nan, np.nan, np.nan, np.nan, flags.UNDEFINED
    top, bottom, left, right = _box(inside)
    if top >= bottom:
        return nothing
    light, total, x, y = _light(image, inside, (top, bottom, left, right))
    if not total > 0.0:
        return nothing

    smooth = gaussian(light, SMOOTHING, True, True)
    edges = (top == 0, bottom == image.shape[0], left == 0, right == image.shape[1])
    noise = np.where(light > 0.0, sigma[top:bottom, left:right] ** 2, 0.0)
    sums = basins(smooth, peaks(smooth, edges), noise)
    peak, other = _two(sums[0])
    first, second = sums[0, peak], sums[0, other] if other != peak else 0.0
    if not first > 0.0:
        return nothing
    ratio = second / first if second > 0.0 else 0.0
    relative = math.sqrt(sums[1, peak] / first**2 + sums[1, other] / second**2)
    away, error = _away(light, smooth, noise, (x / total, y / total), (left, top), peak)
    scale = math.sqrt(math.pi / inside.sum())

    return ratio, ratio * relative, scale * away, scale * error, 0


@inner
def _away(
    light: NDArray,
    smooth: NDArray,
    noise: NDArray,
    centre: tuple[float, float],
    corner: tuple[int, int],
    peak: int,
) -> tuple[float, float]:  # pragma: no cover
    r"""Returns how far a peak is from the centroid, and the error of that.

    .. math:: \sigma^2 = \sum_i \frac{(e \cdot (x_i - c))^2 \sigma_i^2}{F^2} + s^2

    with the direction :math:`e` from the centroid to the peak, of which :math:`s^2` is the
    variance along it. Before it is put into a pixel it is :math:`\sigma^2 / (8 \pi \kappa^2)`,
    :math:`\kappa` being the curvature of the smooth light: see :func:`_jumps`.
    """

    (x, y), (left, top) = centre, corner
    i, j = peak // light.shape[1], peak % light.shape[1]
    dx, dy = j - x + left, i - y + top
    away = math.hypot(dx, dy)
    ex, ey = (dx / away, dy / away) if away > 0.0 else (1.0, 0.0)
    moved = _moved(light, noise, (x - left, y - top), ex, ey)
    moved += ex * ex * _jumps(smooth, noise, i, j, 1) + ey * ey * _jumps(smooth, noise, i, j, 0)

    return away, math.sqrt(moved)


@inner
def _two(values: NDArray) -> tuple[int, int]:  # pragma: no cover
    r"""Returns where the largest and the second largest value are, the first ones of equals."""

    most = int(values.argmax())
    other = 1 if most == 0 else 0
    for k in range(values.size):
        if k != most and values[k] > values[other]:
            other = k

    return most, min(other, values.size - 1)


@inner
def _moved(
    light: NDArray, noise: NDArray, centre: tuple[float, float], ex: float, ey: float
) -> float:  # pragma: no cover
    r"""Returns the variance of the centroid in a direction."""

    variance = 0.0
    for i in range(light.shape[0]):
        for j in range(light.shape[1]):
            variance += ((j - centre[0]) * ex + (i - centre[1]) * ey) ** 2 * noise[i, j]

    return variance / light.sum() ** 2


@inner
def _jumps(
    smooth: NDArray, noise: NDArray, i: int, j: int, along: int
) -> float:  # pragma: no cover
    r"""Returns the variance of the pixel of a peak along y (0) or x (1).

    The peak is that of a parabola through three pixels. Noise takes it to the pixel before or
    after, or further away if that is more.
    """

    down, right = 1 - along, along
    inside = 0 < i < smooth.shape[0] - 1 and 0 < j < smooth.shape[1] - 1
    before = smooth[i - down, j - right] if inside else 0.0
    after = smooth[i + down, j + right] if inside else 0.0
    bend = 2.0 * smooth[i, j] - before - after
    place = 0.5 * (after - before) / bend
    shift = math.sqrt(noise[i, j] / (8.0 * math.pi)) / (SMOOTHING**2 * bend)
    if not 0.0 < shift < smooth.size:
        return 0.0
    lower = 0.5 * math.erfc((0.5 + place) / (math.sqrt(2.0) * shift))
    upper = 0.5 * math.erfc((0.5 - place) / (math.sqrt(2.0) * shift))

    return max(lower + upper - (upper - lower) ** 2, shift**2 if shift > 0.5 else 0.0)


@making
def _light(
    image: NDArray, inside: NDArray, box: tuple[int, int, int, int]
) -> tuple[NDArray, float, float, float]:  # pragma: no cover
    r"""Returns the positive light of a segment in its box, its sum and its first moments."""

    top, bottom, left, right = box
    light = np.zeros((bottom - top, right - left))
    total, x, y = 0.0, 0.0, 0.0
    for i in range(top, bottom):
        for j in range(left, right):
            if inside[i, j] and image[i, j] > 0.0:
                light[i - top, j - left] = image[i, j]
                total, x, y = total + image[i, j], x + image[i, j] * j, y + image[i, j] * i

    return light, total, x, y


@inner
def _box(inside: NDArray) -> tuple[int, int, int, int]:  # pragma: no cover
    r"""Returns the rows and columns of a segment with a margin, as far as the image goes."""

    height, width = inside.shape
    top, bottom, left, right = height, 0, width, 0
    for i in range(height):
        for j in range(width):
            if inside[i, j]:
                top, bottom = min(top, i), i + 1
                left, right = min(left, j), max(right, j + 1)
    if bottom == 0:
        return 0, 0, 0, 0

    return (
        max(top - MARGIN, 0),
        min(bottom + MARGIN, height),
        max(left - MARGIN, 0),
        min(right + MARGIN, width),
    )

r"""Where a galaxy is, and the ellipse that has its moments."""

__all__ = ["centroid", "shape"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner
from pipeline.morphometry.flags import NEGATIVE_FLUX, NO_SOURCE, UNDEFINED

PIXEL = 1 / 12
r"""The variance of the position within a pixel."""

ROUNDS = 64  # that any moments of an image need, and more


@entry
def centroid(
    image: NDArray[np.float64], segment: NDArray[np.bool_]
) -> tuple[float, float, float, int]:  # pragma: no cover
    r"""Returns the mean position of the light of the target, and its flux.

    .. math:: x_c = \frac{\sum_i f_i x_i}{\sum_i f_i}

    Negative pixels count as such.

    Arguments:
        image: The image, with shape `(H, W)`.
        segment: Whether each pixel belongs to the target, with shape `(H, W)`.

    Returns:
        The column, the row, the flux and the flags. If the flux is not positive, or if the
        position is outside of the image, `W / 2` and `H / 2`, as statmorph has it.
    """

    height, width = image.shape
    total, x, y = 0.0, 0.0, 0.0
    pixels = 0
    for i in range(height):
        light = 0.0
        for j in range(width):
            if segment[i, j]:
                light += image[i, j]
                x += image[i, j] * j
                pixels += 1
        total += light
        y += light * i
    if pixels == 0:
        return width / 2, height / 2, 0.0, NO_SOURCE
    if not total > 0:
        return width / 2, height / 2, total, NEGATIVE_FLUX
    x, y = x / total, y / total
    if not (0 <= x < width and 0 <= y < height):
        return width / 2, height / 2, total, UNDEFINED

    return x, y, total, 0


@entry
def shape(
    image: NDArray[np.float64], segment: NDArray[np.bool_], x: float, y: float
) -> tuple[float, float, float, float, float, int]:  # pragma: no cover
    r"""Returns the ellipse with the second moments of the target about a centre.

    .. math:: C = \frac{1}{\sum_i f_i} \sum_i f_i
        \begin{pmatrix} \Delta x_i^2 & \Delta x_i \Delta y_i \\
        \Delta x_i \Delta y_i & \Delta y_i^2 \end{pmatrix}

    The squared semi-axes :math:`a \geq b` are the eigenvalues of :math:`C`, without their
    sign. As long as :math:`|\det C| < (1/12)^2`, what is thinner than a pixel, 1/12 is added to
    the diagonal.

    References:
        | SExtractor: Software for source extraction (Bertin & Arnouts, 1996)
        | https://doi.org/10.1051/aas:1996164

    Arguments:
        image: The image, with shape `(H, W)`.
        segment: Whether each pixel belongs to the target, with shape `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.

    Returns:
        The ellipticity :math:`1 - b / a`, the elongation :math:`a / b`, the angle of the major
        axis in radians, from x towards y, :math:`a` and :math:`b` in pixels, and the flags. Not
        a number without flux; negative moments are flagged.
    """

    total, xx, xy, yy = _moments(image, segment, x, y)
    if not abs(total) > 0 or not math.isfinite(xx + xy + yy):
        return np.nan, np.nan, np.nan, np.nan, np.nan, UNDEFINED
    xx, xy, yy = xx / total, xy / total, yy / total
    flags = 0 if total > 0 else NEGATIVE_FLUX
    if xx <= 0 or yy <= 0:
        flags |= UNDEFINED
    for _ in range(ROUNDS):
        if not abs(xx * yy - xy * xy) < PIXEL**2:
            break
        xx += PIXEL if xx >= 0 else -PIXEL
        yy += PIXEL if yy >= 0 else -PIXEL
    else:
        # Moments that are divided by a total near 0 are too large to be changed by a pixel
        return np.nan, np.nan, np.nan, np.nan, np.nan, flags | UNDEFINED

    mean, half = 0.5 * (xx + yy), math.hypot(0.5 * (xx - yy), xy)
    large = abs(mean) + half
    small = abs(xx * yy - xy * xy) / large  # without cancellation
    a, b = math.sqrt(large), math.sqrt(small)

    return 1.0 - b / a, a / b, 0.5 * math.atan2(2.0 * xy, xx - yy), a, b, flags


@inner
def _moments(
    image: NDArray, segment: NDArray, x: float, y: float
) -> tuple[float, float, float, float]:  # pragma: no cover
    r"""Returns the flux and the second moments about a centre, not divided by it."""

    total, xx, xy, yy = 0.0, 0.0, 0.0, 0.0
    for i in range(image.shape[0]):
        light, first = 0.0, 0.0
        for j in range(image.shape[1]):
            if segment[i, j]:
                light += image[i, j]
                first += image[i, j] * (j - x)
                xx += image[i, j] * (j - x) * (j - x)
        total += light
        xy += first * (i - y)
        yy += light * (i - y) * (i - y)

    return total, xx, xy, yy

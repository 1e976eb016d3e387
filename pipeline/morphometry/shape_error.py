r"""What noise does to where a galaxy is, and to the ellipse of its moments."""

__all__ = ["centre_error", "moment_errors"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner, making
from pipeline.morphometry.grain import WHITE, Grain, turned_share

CROFTON = math.pi / 4.0
r"""The length of a rim, in pixels, per side of a pixel that is on it."""

PULL = 0.48
r"""The force of interpolated noise, see :func:`centre_error`."""

REACH = 0.25 / math.sqrt(3.0)
r"""What a quarter of a pixel to either side is, as a standard deviation, in pixels."""

ANY = math.pi / math.sqrt(12.0)
r"""The standard deviation of an angle that is anything."""


@entry
def moment_errors(
    image: NDArray[np.float64],
    sigma: NDArray[np.float64],
    segment: NDArray[np.bool_],
    x: float,
    y: float,
    q: float,
    theta: float,
    depth: float,
) -> tuple[float, float, float, float]:  # pragma: no cover
    r"""Propagates the noise of pixels to the first and second moments of a segment.

    With the flux :math:`F`, positions :math:`u` and :math:`v` along the axes of the ellipse, whose
    squared semi-axes are the means :math:`a^2` and :math:`b^2` of their squares,

    .. math:: \sigma_x^2 = \frac{1}{F^2} \sum_i (x_i - x_c)^2 \sigma_i^2, \quad
        \sigma_e^2 = \frac{q^2}{4 F^2}
        \sum_i \left( \frac{v_i^2}{b^2} - \frac{u_i^2}{a^2} \right)^2 \sigma_i^2, \quad
        \sigma_\theta^2 = \frac{1}{F^2}
        \sum_i \left( \frac{u_i v_i}{a^2 - b^2} \right)^2 \sigma_i^2

    :math:`x_c` being the centroid. That noise also moves the rim of the segment is in the
    variances, see :func:`_propagated`. What moves a centre that is no centroid is not.

    Of what is nearly round, the ellipticity is not negative, so that it scatters less, and the
    angle is anything, which is the largest error that it has.

    Arguments:
        image: The image, with shape `(H, W)`.
        sigma: The noise of each pixel, with shape `(H, W)`.
        segment: Whether each pixel belongs to the target, with shape `(H, W)`.
        x: The column of the centre of the second moments.
        y: Its row.
        q: The axis ratio.
        theta: The angle of the major axis, in radians.
        depth: How far the light of the rim falls by :math:`e`, in pixels, 0 for a segment that
            is known.

    Returns:
        The errors of the column and of the row of the centroid, in pixels, of the ellipticity
        and of the angle, in radians. NaN if the flux or a moment is not positive.
    """

    axes = x, y, math.cos(theta), math.sin(theta)
    means = _means(image, segment, axes)
    total, _, _, uu, vv = means
    if not (total > 0.0 and uu > 0.0 and vv > 0.0):
        return np.nan, np.nan, np.nan, np.nan

    along, across, lean, round_, skew = _propagated(sigma, segment, axes, means, depth)
    _, _, cos, sin = axes
    xx = cos * cos * along - 2.0 * sin * cos * lean + sin * sin * across
    yy = sin * sin * along + 2.0 * sin * cos * lean + cos * cos * across
    tilt = math.sqrt(skew) / (uu - vv) if uu > vv else np.inf

    return math.sqrt(xx), math.sqrt(yy), 0.5 * q * math.sqrt(round_), min(tilt, ANY)


@inner
def _means(
    image: NDArray, segment: NDArray, axes: tuple[float, float, float, float]
) -> tuple[float, float, float, float, float]:  # pragma: no cover
    r"""Returns the flux, and the means of :math:`u, v, u^2, v^2`, along the axes of an ellipse."""

    x, y, cos, sin = axes
    total, first, second, uu, vv = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            if segment[i, j]:
                u, v = (j - x) * cos + (i - y) * sin, (i - y) * cos - (j - x) * sin
                total += image[i, j]
                first += image[i, j] * u
                second += image[i, j] * v
                uu += image[i, j] * u * u
                vv += image[i, j] * v * v

    return total, first / total, second / total, uu / total, vv / total


@inner
def _propagated(
    sigma: NDArray,
    segment: NDArray,
    axes: tuple[float, float, float, float],
    means: tuple[float, float, float, float, float],
    depth: float,
) -> tuple[float, float, float, float, float]:  # pragma: no cover
    r"""Sums the variances that noise gives to the means, with that of the rim.

    Noise moves the rim of the segment by the smoothed noise over the gradient. That of a pixel
    at a distance :math:`d` from the rim counts :math:`h \phi(d)` times more, where the light
    falls by :math:`e` in :math:`h` pixels and :math:`\phi` is the Gaussian of 1 pixel by which
    the image is smoothed before its segment is found; together,

    .. math:: \int (1_{d < 0} + h \phi)^2 - 1_{d < 0} \, dd = h + \frac{h^2}{2 \sqrt{\pi}}

    pixels for each that the rim is long. A map of sources that is found otherwise may have less
    of it.

    Returns:
        The variances of the means of :math:`u` and :math:`v`, their covariance, and the
        variances of the means of :math:`v^2 / b^2 - u^2 / a^2` and :math:`u v`.
    """

    x, y, cos, sin = axes
    total, first, second, uu, vv = means
    along, across, lean, round_, skew = 0.0, 0.0, 0.0, 0.0, 0.0
    rim = CROFTON * (depth + depth**2 / (2.0 * math.sqrt(math.pi)))
    for i in range(sigma.shape[0]):
        for j in range(sigma.shape[1]):
            if segment[i, j]:
                u, v = (j - x) * cos + (i - y) * sin, (i - y) * cos - (j - x) * sin
                edges = _edges(segment, i, j)
                variance = (1.0 + rim * edges) * (sigma[i, j] / total) ** 2
                along += (u - first) ** 2 * variance
                across += (v - second) ** 2 * variance
                lean += (u - first) * (v - second) * variance
                round_ += (v * v / vv - u * u / uu) ** 2 * variance
                skew += (u * v) ** 2 * variance

    return along, across, lean, round_, skew


@inner
def _edges(segment: NDArray, i: int, j: int) -> int:  # pragma: no cover
    r"""Returns how many sides of a pixel are on the rim of a segment, not of the image."""

    height, width = segment.shape
    count = 0
    for m, n in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
        count += 0 <= m < height and 0 <= n < width and not segment[m, n]

    return count


@entry
def centre_error(
    image: NDArray[np.float64],
    difference: NDArray[np.float64],
    sigma: NDArray[np.float64],
    segment: NDArray[np.bool_],
    x: float,
    y: float,
    pull: float,
    alike: Grain,
) -> tuple[float, float]:  # pragma: no cover
    r"""Propagates the noise of pixels to the centre about which a galaxy is the least asymmetric.

    About a centre that is off by :math:`\delta`, the difference of a symmetric galaxy from the
    turned one is noise of variance :math:`s^2` plus :math:`2 g \cdot \delta`, :math:`g` being the
    gradient of the image. That the sum of its absolute values is least means, in both pixels of a
    pair the same,

    .. math:: \delta = -H^{-1} \sum_i 2 g_i \, \mathrm{sign}(n_i), \quad
        H = \sum_i 8 \, p(0) \, g_i g_i^T, \quad
        \langle \delta \delta^T \rangle = H^{-1} \left( \sum_i 8 g_i g_i^T \right) H^{-1}

    with the density :math:`p(0)` of a difference at zero, :math:`(2 \pi s^2)^{-1/2}` for what is
    symmetric: an error :math:`(\pi / 2)^{1/2}` times that of the centroid of a known symmetric
    profile. Where the galaxy differs from itself by :math:`d` beyond the noise, its pixels have
    no kink at zero, and count by :math:`e^{-d^2 / 4 s^2}`. The squared noise of the gradients is
    subtracted.

    Interpolated noise is less, by most where twice the centre is half a pixel: of the :math:`N`
    pixels of the circle it draws the centre there, with a force whose root mean square over the
    places in a pixel is :math:`k = 0.48 N \sigma`, by a quarter of a pixel at most,

    .. math:: \sigma_x^2 = \langle \delta_x^2 \rangle
        + \left( \frac{H_{xx}^2}{k^2} + 48 \right)^{-1}

    Arguments:
        image: The image, with shape `(H, W)`.
        difference: The difference from the turned image, with shape `(H, W)`.
        sigma: The noise of each pixel, with shape `(H, W)`.
        segment: Whether each pixel belongs to the target, with shape `(H, W)`.
        x: The column of the centre.
        y: Its row.
        pull: The noise of a pixel of sky times the number of pixels in the circle.
        alike: How much the noise of neighbours is alike. The signs of what is alike are so by
            a share of :math:`2 \arcsin \rho / \pi`, and interpolation draws the less.

    Returns:
        The errors of the column and of the row, in pixels. NaN if noise is all that there is.
    """

    spread = math.sqrt(1.0 + turned_share(x, y, alike))
    push, bend = _forces(image, difference, spread, sigma, segment)
    push *= _signs(alike.correlation)
    pull *= (1.0 - turned_share(0.25, 0.25, alike)) / (1.0 - turned_share(0.25, 0.25, WHITE))
    xx, yy = _sandwich(push, bend)
    force_x, force_y = bend[0] / (PULL * pull), bend[2] / (PULL * pull)
    xx += 1.0 / (force_x**2 + REACH**-2)
    yy += 1.0 / (force_y**2 + REACH**-2)

    return math.sqrt(xx), math.sqrt(yy)


@inner
def _signs(correlation: NDArray) -> float:  # pragma: no cover
    r"""Returns the variance of a sum of signs of noise, in units of that of white noise."""

    total = 0.0
    for rho in correlation.flat:
        total += math.asin(min(max(rho, -1.0), 1.0)) / (0.5 * math.pi)

    return max(total, 1.0)


@making
def _forces(
    image: NDArray, difference: NDArray, spread: float, sigma: NDArray, segment: NDArray
) -> tuple[NDArray, NDArray]:  # pragma: no cover
    r"""Returns :math:`\sum_i 8 g_i g_i^T` and :math:`H`, of xx, xy and yy."""

    push, bend = np.zeros(3), np.zeros(3)
    for i in range(1, image.shape[0] - 1):
        for j in range(1, image.shape[1] - 1):
            s = spread * sigma[i, j]
            if not (segment[i, j] and s > 0.0):
                continue
            gx = 0.5 * (image[i, j + 1] - image[i, j - 1])
            gy = 0.5 * (image[i + 1, j] - image[i - 1, j])
            noise = 0.5 * sigma[i, j] ** 2
            kink = math.exp(-0.25 * (difference[i, j] / s) ** 2) / (math.sqrt(2.0 * math.pi) * s)
            for k, square in enumerate((gx * gx - noise, gx * gy, gy * gy - noise)):
                push[k] += 8.0 * square
                bend[k] += 8.0 * kink * square

    return push, bend


@inner
def _sandwich(push: NDArray, bend: NDArray) -> tuple[float, float]:  # pragma: no cover
    r"""Returns the diagonal of :math:`H^{-1} P H^{-1}`, of xx, xy and yy."""

    determinant = bend[0] * bend[2] - bend[1] ** 2
    if not (bend[0] > 0.0 and determinant > 0.0):
        return np.nan, np.nan
    a, b, c = bend[2] / determinant, -bend[1] / determinant, bend[0] / determinant
    xx = a * a * push[0] + 2.0 * a * b * push[1] + b * b * push[2]
    yy = b * b * push[0] + 2.0 * b * c * push[1] + c * c * push[2]

    return max(xx, 0.0), max(yy, 0.0)

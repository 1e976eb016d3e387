r"""How much a galaxy changes when it is turned by half a turn."""

__all__ = [
    "asymmetry",
    "outer_asymmetry",
    "rms_asymmetry2",
    "rms_noise",
    "shape_asymmetry",
    "unbiased_asymmetry",
]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry import geometry
from pipeline.morphometry.compiled import entry, inner
from pipeline.morphometry.flags import UNDEFINED
from pipeline.morphometry.grain import WHITE, Grain, turned_share
from pipeline.morphometry.half_turn import residual, turned_variance
from pipeline.morphometry.unfolding import unfolded

EXTENT = 1.5
r"""The radius within which the asymmetry is measured, in Petrosian radii."""


@entry
def asymmetry(
    image: NDArray[np.float64],
    difference: NDArray[np.float64],
    hidden: NDArray[np.bool_],
    x: float,
    y: float,
    rpetro: float,
    sky: float,
) -> tuple[float, int]:  # pragma: no cover
    r"""Measures the light that is not symmetric under half a turn.

    .. math:: A = \frac{\sum |I_{180} - I| - N a}{\sum |I|}

    over the :math:`N` pixels of the circle of 1.5 Petrosian radii, shares of pixels on its rim
    included, that are in the image and not masked on either side, :math:`a` being what noise
    gives on average. It is twice that of Conselice (2003).

    References:
        | A New Nonparametric Approach to Galaxy Morphological Classification
          (Lotz, Primack & Madau, 2004)
        | https://doi.org/10.1086/421849

    Arguments:
        image: The image, zero where masked, with shape `(H, W)`.
        difference: The difference from the turned image, with shape `(H, W)`.
        hidden: Whether it is left out, with shape `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.
        rpetro: The Petrosian radius about the centroid, in pixels.
        sky: The asymmetry of a pixel of sky. Nothing is subtracted if NaN.

    Returns:
        The asymmetry, negative if less than that of the sky, and flags. NaN without light.
    """

    radius = EXTENT * rpetro
    total = geometry.flux(np.abs(image), hidden, x, y, radius, 1.0, 0.0)[0]
    change, area = geometry.flux(np.abs(difference), hidden, x, y, radius, 1.0, 0.0)
    if not total > 0:
        return math.nan, UNDEFINED

    return (change - (0.0 if math.isnan(sky) else area * sky)) / total, 0


@entry
def rms_asymmetry2(
    image: NDArray[np.float64],
    difference: NDArray[np.float64],
    hidden: NDArray[np.bool_],
    x: float,
    y: float,
    rpetro: float,
    sigma: float,
    spread: float,
) -> tuple[float, int]:  # pragma: no cover
    r"""Measures the square of the rms asymmetry, which noise does not bias.

    .. math:: A_\text{rms}^2 = \frac{\sum (I_{180} - I)^2 - k N \sigma^2}
        {\sum I^2 - N \sigma^2}

    With :math:`k = 2` in the paper. Of interpolated noise less is left, see
    :func:`pipeline.morphometry.grain.turned_share`, so that noise does bias that.

    References:
        | RMS Asymmetry: A Robust Metric of Galaxy Shapes in Images with Varied Depth and
          Resolution (Sazonova et al., 2024)
        | https://arxiv.org/abs/2404.05792

    Arguments:
        image: The image, zero where masked, with shape `(H, W)`.
        difference: The difference from the turned image, with shape `(H, W)`.
        hidden: Whether it is left out, with shape `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.
        rpetro: The Petrosian radius about the centroid, in pixels.
        sigma: The standard deviation of a pixel, see :func:`rms_noise`. Nothing is subtracted if
            NaN.
        spread: The variance :math:`k` of a difference, in units of that of a pixel.

    Returns:
        The squared asymmetry and flags. NaN without light, or where squares have no value.
    """

    radius, variance = EXTENT * rpetro, 0.0 if math.isnan(sigma) else sigma**2
    total = geometry.flux(image**2, hidden, x, y, radius, 1.0, 0.0)[0]
    change, area = geometry.flux(difference**2, hidden, x, y, radius, 1.0, 0.0)
    found = (change - spread * area * variance) / (total - area * variance)
    if not math.isfinite(found):
        return math.nan, UNDEFINED

    return found, 0


@entry
def rms_noise(
    noise: NDArray[np.float64], hidden: NDArray[np.bool_], x: float, y: float, rpetro: float
) -> float:  # pragma: no cover
    r"""Returns the root of the mean variance of pixels in the circle of the asymmetry.

    Interpolation leaves as much of it as of white noise, as both pixels of each pair are in the
    circle.

    Arguments:
        noise: The standard deviation of each pixel, with shape `(H, W)`.
        hidden: Whether the difference is left out, with shape `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.
        rpetro: The Petrosian radius about the centroid, in pixels.
    """

    total, area = geometry.flux(noise**2, hidden, x, y, EXTENT * rpetro, 1.0, 0.0)

    return math.sqrt(total / area)


@entry
def outer_asymmetry(
    image: NDArray[np.float64],
    difference: NDArray[np.float64],
    hidden: NDArray[np.bool_],
    inner: geometry.Aperture,
    outer: geometry.Aperture,
    sky: float,
) -> tuple[float, int]:  # pragma: no cover
    r"""Measures the asymmetry between the ellipse of half of the light and the outermost one.

    References:
        | Probing Asymmetric Structures in the Outskirts of Galaxies (Wen, Zheng & An, 2014)
        | https://doi.org/10.1088/0004-637X/787/2/130

    Arguments:
        image: The image, zero where masked, with shape `(H, W)`.
        difference: The difference from the turned image, with shape `(H, W)`.
        hidden: Whether it is left out, with shape `(H, W)`.
        inner: The ellipse with half of the light.
        outer: The ellipse through the furthest pixel.
        sky: The asymmetry of a pixel of sky. Nothing is subtracted if NaN.

    Returns:
        The asymmetry and flags. NaN without light between, or without ellipses.
    """

    total, _ = _ring(np.abs(image), hidden, inner, outer)
    change, area = _ring(np.abs(difference), hidden, inner, outer)
    if not (0 < inner.a < outer.a and total > 0):
        return math.nan, UNDEFINED

    return (change - (0.0 if math.isnan(sky) else area * sky)) / total, 0


@inner
def _ring(
    image: NDArray, hidden: NDArray, inner: geometry.Aperture, outer: geometry.Aperture
) -> tuple[float, float]:  # pragma: no cover
    r"""Returns the sum between two ellipses and its area, where it is not hidden."""

    light, area = geometry.flux(image, hidden, outer.x, outer.y, outer.a, outer.q, outer.theta)
    core, hole = geometry.flux(image, hidden, inner.x, inner.y, inner.a, inner.q, inner.theta)

    return light - core, area - hole


@entry
def shape_asymmetry(
    shape: NDArray[np.bool_], mask: NDArray[np.bool_], x: float, y: float, radius: float
) -> tuple[float, int]:  # pragma: no cover
    r"""Measures the asymmetry of the outline of a galaxy, however bright its parts are.

    It is the asymmetry of a map of ones and zeros, which is interpolated like an image.

    References:
        | Shape Asymmetry: A Morphological Indicator for Automatic Detection of Galaxies in the
          Post-Coalescence Merger Stages (Pawlik et al., 2016)
        | https://doi.org/10.1093/mnras/stv2878

    Arguments:
        shape: The pixels of the galaxy, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.
        radius: The distance of the furthest pixel of the galaxy, in pixels.

    Returns:
        The asymmetry and flags. NaN without pixels in the circle.
    """

    if not (radius > 0 and math.isfinite(radius + x + y)):
        return math.nan, UNDEFINED
    ones = np.where(shape, 1.0, 0.0)
    difference, hidden = residual(ones, mask, x, y)

    return asymmetry(ones, difference, hidden, x, y, radius / EXTENT, 0.0)


@entry
def unbiased_asymmetry(
    image: NDArray[np.float64],
    difference: NDArray[np.float64],
    hidden: NDArray[np.bool_],
    noise: NDArray[np.float64],
    x: float,
    y: float,
    rpetro: float,
    sky: tuple[float, float, Grain],
) -> tuple[float, float, float]:  # pragma: no cover
    r"""Estimates the asymmetry that the galaxy would have without noise, and errors.

    Noise is taken off the absolute differences in quadrature, see
    :func:`pipeline.morphometry.unfolding.unfolded`. That of a difference is the noise of the
    pixel and of the four that are interpolated,

    .. math:: s^2 = \sigma^2 + \sum_k w_k^2 \sigma_k^2

    which is 1.25 to 2 times :math:`\sigma^2` depending on the fractions of the centre: the
    difference of two pixels of sky, which are not interpolated, is too much. Of noise that is
    alike in neighbours more is left, see :func:`pipeline.morphometry.grain.turned_share`. The
    light is the sum of the image, where negative noise counts as such. Both pixels of a pair
    share their noise. What the choice of the centre adds to the errors is not in them.

    Arguments:
        image: The image, zero where masked, with shape `(H, W)`.
        difference: The difference from the turned image, with shape `(H, W)`.
        hidden: Whether it is left out, with shape `(H, W)`.
        noise: The standard deviation of each pixel, with shape `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.
        rpetro: The Petrosian radius about the centroid, in pixels.
        sky: The error of the asymmetry of a pixel of sky, which the plain one subtracts, that
            of the level of the sky, and how much the noise of neighbours is alike.

    Returns:
        The asymmetry, its standard error, and that of the plain asymmetry. NaN if the light
        is not positive.
    """

    radius = EXTENT * rpetro
    light = geometry.flux(image, hidden, x, y, radius, 1.0, 0.0)[0]
    total, area = geometry.flux(np.abs(image), hidden, x, y, radius, 1.0, 0.0)
    if not light > 0:
        return math.nan, math.nan, math.nan

    unsure, level, alike = sky
    more = turned_share(x, y, alike) / turned_share(x, y, WHITE)
    sigma = np.sqrt(noise**2 + more * turned_variance(noise, x, y))
    place, radii = (x, y), (0.0, radius)
    left, variance, plain = unfolded(np.abs(difference), sigma, hidden, place, radii, 2.0, alike)

    variance += (left / light * area * level) ** 2
    plain += (area * unsure) ** 2 + (left / light * area * level) ** 2

    return left / light, math.sqrt(variance) / light, math.sqrt(plain) / total

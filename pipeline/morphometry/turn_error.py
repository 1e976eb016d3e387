r"""What noise does to the difference of a galaxy from itself, turned by half a turn."""

__all__ = ["outer_error", "rms_error"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner
from pipeline.morphometry.geometry import Aperture
from pipeline.morphometry.grain import Grain, turned_share
from pipeline.morphometry.unfolding import folded

ROUNDING = 1e-9
r"""By how much the square of the outer axis may be too small: it goes through a pixel."""


@entry
def rms_error(
    image: NDArray[np.float64],
    difference: NDArray[np.float64],
    hidden: NDArray[np.bool_],
    sigma: NDArray[np.float64],
    circle: Aperture,
    value: float,
    sky: tuple[float, float, float],
    alike: Grain,
) -> float:  # pragma: no cover
    r"""Propagates the noise of pixels to the squared rms asymmetry.

    With differences :math:`D` of variance :math:`s^2`, of which each is there twice, and the
    light :math:`L = \sum I^2 - N \sigma^2`,

    .. math:: \sigma_A^2 = \frac{2 \sum (4 D^2 s^2 - 2 s^4)
        + A^4 \sum (4 I^2 \sigma_i^2 - 2 \sigma_i^4)
        + (2 N \sigma \sigma_\sigma (k - A^2))^2}{L^2}

    where :math:`4 D^2 s^2 - 2 s^4` is, on average, the variance of :math:`D^2`, and
    :math:`\sigma_\sigma` the error of the noise :math:`\sigma`, of which :math:`k` times the
    square is subtracted. The opposite pixel is taken to be as noisy as the pixel. Where the noise
    of neighbours is alike, what is linear in it counts :math:`V` times, and the other halves of
    the variances, of squares of noise, :math:`\sum \rho^2` times.

    Arguments:
        image: The image, zero where masked, with shape `(H, W)`.
        difference: The difference from the turned image, with shape `(H, W)`.
        hidden: Whether it is left out, with shape `(H, W)`.
        sigma: The noise of each pixel, with shape `(H, W)`.
        circle: The circle in which the asymmetry is measured.
        value: The squared asymmetry :math:`A^2`.
        sky: The noise of a pixel that is subtracted, 0 if not known, its relative error, and
            :math:`k`.
        alike: How much the noise of neighbours is alike.
    """

    spread = 1.0 + turned_share(circle.x, circle.y, alike)
    light, pixels, twice, least, own, floor = 0.0, 0, 0.0, 0.0, 0.0, 0.0
    for i in _span(circle.y, circle.a, image.shape[0]):
        for j in _span(circle.x, circle.a, image.shape[1]):
            if hidden[i, j] or (j - circle.x) ** 2 + (i - circle.y) ** 2 > circle.a**2:
                continue
            variance = sigma[i, j] ** 2
            light += image[i, j] ** 2
            pixels += 1
            twice += 4.0 * difference[i, j] ** 2 * spread * variance
            least += 2.0 * (spread * variance) ** 2
            own += 4.0 * image[i, j] ** 2 * variance
            floor += 2.0 * variance**2
    light -= pixels * sky[0] ** 2
    squares = (alike.correlation**2).sum()
    total = 2.0 * (alike.summed * max(twice - 2.0 * least, 0.0) + squares * least)
    total += value**2 * (alike.summed * max(own - 2.0 * floor, 0.0) + squares * floor)
    total += (2.0 * pixels * sky[0] ** 2 * sky[1] * (sky[2] - value)) ** 2

    return math.sqrt(total) / abs(light)


@entry
def outer_error(
    image: NDArray[np.float64],
    difference: NDArray[np.float64],
    hidden: NDArray[np.bool_],
    sigma: NDArray[np.float64],
    apertures: tuple[Aperture, Aperture],
    value: float,
    sky: tuple[float, float],
    alike: Grain,
) -> float:  # pragma: no cover
    r"""Propagates the noise of pixels to the asymmetry between two ellipses.

    .. math:: \sigma_A^2 = \frac{2 \sum f(D) \, s^2 + A^2 \sum f(I) \, \sigma_i^2
        + (N \sigma_a)^2}{(\sum |I|)^2}

    where :math:`f` is the share of the variance that is left of an absolute value, from
    :math:`1 - 2 / \pi` where there is only noise to 1 where the sign is sure, and
    :math:`\sigma_a` the error of the asymmetry of a pixel of sky. The ellipses are taken to be
    known, though the outer one goes through a single pixel.

    Arguments:
        image: The image, zero where masked, with shape `(H, W)`.
        difference: The difference from the turned image, with shape `(H, W)`.
        hidden: Whether it is left out, with shape `(H, W)`.
        sigma: The noise of each pixel, with shape `(H, W)`.
        apertures: The inner and the outer ellipse, of one shape.
        value: The asymmetry.
        sky: The asymmetry of a pixel of sky, 0 if not known, and its relative error.
        alike: How much the noise of neighbours is alike.
    """

    inner, outer = apertures
    spread = math.sqrt(1.0 + turned_share(outer.x, outer.y, alike))
    cos, sin = math.cos(outer.theta), math.sin(outer.theta)
    light, pixels, change, own = 0.0, 0, 0.0, 0.0
    for i in _span(outer.y, outer.a, image.shape[0]):
        for j in _span(outer.x, outer.a, image.shape[1]):
            u = (j - outer.x) * cos + (i - outer.y) * sin
            v = ((i - outer.y) * cos - (j - outer.x) * sin) / outer.q
            square = u * u + v * v
            if hidden[i, j] or not inner.a**2 < square <= (1.0 + ROUNDING) * outer.a**2:
                continue
            noise = spread * sigma[i, j]
            light += abs(image[i, j])
            pixels += 1
            change += noise**2 * folded(difference[i, j], noise, alike)
            own += sigma[i, j] ** 2 * folded(image[i, j], sigma[i, j], alike)
    total = 2.0 * change + value**2 * own + (pixels * sky[0] * sky[1]) ** 2

    return math.sqrt(total) / light


@inner
def _span(place: float, radius: float, length: int) -> range:  # pragma: no cover
    r"""Returns the pixels along an axis that are within a radius, none if it is not a number."""

    if not math.isfinite(place + radius):
        return range(0, 0)
    first, last = max(math.ceil(place - radius), 0), min(math.floor(place + radius), length - 1)

    return range(int(first), int(last) + 1)

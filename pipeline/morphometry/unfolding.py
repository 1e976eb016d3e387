r"""Sums of absolute values without what noise adds to them."""

__all__ = ["RINGS", "folded", "unfolded"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import inner, making
from pipeline.morphometry.grain import IDLE, Grain
from pipeline.morphometry.overlap import overlap

RINGS = 16
r"""The number of rings in each of which the noise is taken off by itself."""

BELOW = math.sqrt(2 / math.pi)
r"""The mean absolute value of a unit Gaussian."""

CORNER = 0.71
r"""The distance of the corners of a pixel from its centre, rounded up."""

FLOOR = 0.625
r"""The size of a noisy square below which the error of its root is that of no signal."""


@inner
def folded(value: float, sigma: float, alike: Grain) -> float:  # pragma: no cover
    r"""Returns the share of the variance of noise that an absolute value keeps.

    It goes from that of a folded Gaussian, where there is only noise, to 1 where the sign is
    sure:

    .. math:: f = 1 - \frac{2}{\pi} \min\left(\frac{\sigma^2}{v^2}, 1\right)

    In a sum over pixels whose noise is alike, either counts as often as its kind does.
    """

    idle = min((sigma / value) ** 2 if value != 0.0 else 1.0, 1.0)

    return alike.summed * (1.0 - idle) + alike.folded * IDLE * idle


@making
def unfolded(
    size: NDArray[np.float64],
    sigma: NDArray[np.float64],
    hidden: NDArray[np.bool_],
    centre: tuple[float, float],
    radii: tuple[float, float],
    repeats: float,
    alike: Grain,
) -> tuple[float, float, float]:  # pragma: no cover
    r"""Sums absolute values over a ring as they would be without noise.

    Noise of variance :math:`\sigma^2` adds about in quadrature to a mean absolute value: wholly
    where there is no signal, hardly where there is much. What has Gaussian noise and a Gaussian
    distribution of true values obeys

    .. math:: \langle |t| \rangle^2 = \langle |t + n| \rangle^2 - \frac{2}{\pi} \sigma^2

    which is applied in each of 16 rings of equal widths, as signals depend most on the radius.
    A negative square gives a negative root, so that nothing is on average nothing.
    Compared with subtracting the mean of noise alone, or with extrapolation pixel by pixel
    (Cook & Stefanski, 1994, https://doi.org/10.1080/01621459.1994.10476871), on simulated
    galaxies this leaves half of the bias or less; from 6 to 40 rings it is the same.

    Arguments:
        size: The absolute values, with shape `(H, W)`.
        sigma: The standard deviation of the noise in each, before its sign was dropped.
        hidden: Whether each is left out, with shape `(H, W)`.
        centre: The column and the row of the centre.
        radii: The inner and the outer radius, in pixels.
        repeats: How many of the values share the same noise.
        alike: How much the noise of neighbours is alike.

    Returns:
        The sum, its variance, and the variance of the sum of the values as they are.
    """

    x, y = centre
    inner, outer = radii
    total, idle, spread = np.zeros(RINGS), np.zeros(RINGS), np.zeros(RINGS)
    height, width = size.shape
    for i in range(max(int(y - outer), 0), min(int(y + outer) + 2, height)):
        for j in range(max(int(x - outer), 0), min(int(x + outer) + 2, width)):
            r = math.sqrt((j - x) ** 2 + (i - y) ** 2)
            if hidden[i, j] or r >= outer + CORNER or r <= inner - CORNER:
                continue
            share = _share(j - x, i - y, r, outer) - _share(j - x, i - y, r, inner)
            if share <= 0:
                continue
            k = RINGS * (r - inner) / (outer - inner)
            k = min(max(int(k), 0), RINGS - 1)
            total[k] += share * size[i, j]
            idle[k] += share * BELOW * sigma[i, j]
            spread[k] += share * sigma[i, j] ** 2 * folded(size[i, j], sigma[i, j], alike)

    return _roots(total, idle, repeats * spread)


@inner
def _share(dx: float, dy: float, r: float, a: float) -> float:  # pragma: no cover
    r"""Returns the part of a pixel at the distance `r` that is within the radius `a`."""

    if not a > 0 or r >= a + CORNER:
        return 0.0

    return 1.0 if r <= a - CORNER else overlap(dx, dy, a)


@inner
def _roots(
    total: NDArray, idle: NDArray, spread: NDArray
) -> tuple[float, float, float]:  # pragma: no cover
    r"""Sums the roots of the squares that are left in the rings; returns the variances too."""

    root, variance = 0.0, 0.0
    for k in range(total.size):
        square = total[k] ** 2 - idle[k] ** 2
        root += math.copysign(math.sqrt(abs(square)), square)
        least = max(abs(square), FLOOR * total[k] * math.sqrt(spread[k]))
        if least > 0:
            variance += total[k] ** 2 * spread[k] / least

    return root, variance, spread.sum()

r"""How much the noise of neighbouring pixels is alike.

A drizzle, a resampling or a coadd shares out what one pixel of the detector has seen, and an
emulsion has grains larger than a pixel. The noise of a sum is larger then than that of white
noise, and that of a difference of neighbours is less.
"""

__all__ = ["WHITE", "Grain", "boxcar_share", "grain", "turned_share"]

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.background import LAG
from pipeline.morphometry.compiled import entry, inner
from pipeline.morphometry.skybox import CLIP, FEWEST

REACH = LAG - 1
r"""The largest lag at which neighbours may be alike, in pixels."""

FAR = 3
r"""The number of lags along an axis, from the first beyond that on, at which they are not."""

SURE = 4.0
r"""How many standard errors the correlation of the next pixels is from 0 where it is no chance."""

IDLE = 1.0 - 2.0 / math.pi
r"""The variance of the absolute value of a unit Gaussian."""


class Grain(NamedTuple):
    r"""How much the noise of neighbours is alike.

    Arguments:
        correlation: The coefficient :math:`\rho` of each lag up to 3 rows and columns to either
            side, that of none in the middle, with shape `(7, 7)`.
        summed: The variance of a sum over many pixels, :math:`V = \sum \rho`, in units of that
            of as many pixels of white noise. A source of white noise of pixels whose side is its
            root has the same.
        folded: The same of a sum of absolute values.
        ring: The same of a sum along a ring between pixels.
    """

    correlation: NDArray[np.float64]
    summed: float
    folded: float
    ring: float


def _white() -> NDArray[np.float64]:
    correlation = np.zeros((2 * REACH + 1, 2 * REACH + 1))
    correlation[REACH, REACH] = 1.0

    return correlation


WHITE = Grain(_white(), 1.0, 1.0, 1.0)
r"""That of noise which is independent from pixel to pixel."""


@entry
def grain(
    image: NDArray[np.float64], taken: NDArray[np.bool_], sigma: float
) -> Grain:  # pragma: no cover
    r"""Measures how much the noise of neighbours is alike, on all empty pixels.

    With the mean square :math:`D_l` of the differences of pixels at a lag :math:`l`, to which
    neither the level of the sky nor much of its gradient adds,

    .. math:: \rho_l = 1 - D_l / D_\infty

    :math:`D_\infty` being that of pixels 4 to 6 apart along rows and columns. The noise is white
    unless :math:`\rho` of the next pixels is four times its error, :math:`n^{-1/2}` for
    :math:`n` empty pixels. A sum of absolute values of noise has the variance of

    .. math:: \sum_l \frac{\sqrt{1 - \rho_l^2} + \rho_l \arcsin \rho_l - 1}{\pi / 2 - 1}

    and one along a ring, where samples lie anywhere between pixels, that of
    :math:`(1 + \rho_1 / 2) \sum \rho` over the lags along an axis.

    Arguments:
        image: The image, with shape `(H, W)`.
        taken: Whether a pixel is of any source or masked, with shape `(H, W)`.
        sigma: The noise of a pixel. White if it is not positive.
    """

    rho = np.zeros((2 * REACH + 1, 2 * REACH + 1))
    rho[REACH, REACH] = 1.0
    most = 2.0 * (CLIP * sigma) ** 2
    (near, pairs), (far, others) = _along(image, taken, 1, most), _along(image, taken, LAG, most)
    known = most > 0.0 and min(pairs, others) >= FEWEST and far > 0.0
    if not (known and 1.0 - near / far > SURE * math.sqrt(2.0 / pairs)):
        return Grain(rho, 1.0, 1.0, 1.0)

    for lag in range(LAG + 1, LAG + FAR):
        more, count = _along(image, taken, lag, most)
        far, others = (far * others + more * count) / (others + count), others + count
    for down in range(REACH + 1):
        for right in range(-REACH, REACH + 1):
            if down > 0 or right > 0:
                square, pairs = _squares(image, taken, down, right, most)
                value = 1.0 - square / far if pairs >= FEWEST else 0.0
                rho[REACH + down, REACH + right] = value
                rho[REACH - down, REACH - right] = value
    ring = 0.5 * (rho[REACH].sum() + rho[:, REACH].sum())
    next_one = 0.5 * (rho[REACH, REACH + 1] + rho[REACH + 1, REACH])

    return Grain(rho, max(rho.sum(), 1.0), _folded(rho), max(ring * (1.0 + 0.5 * next_one), 1.0))


@inner
def _along(
    image: NDArray, taken: NDArray, lag: int, most: float
) -> tuple[float, int]:  # pragma: no cover
    r"""Returns the mean square of differences along rows and columns, and their number."""

    across, pairs = _squares(image, taken, 0, lag, most)
    down, others = _squares(image, taken, lag, 0, most)
    count = pairs + others

    return (across * pairs + down * others) / max(count, 1), count


@inner
def _squares(
    image: NDArray, taken: NDArray, down: int, right: int, most: float
) -> tuple[float, int]:  # pragma: no cover
    r"""Returns the mean square of the differences at a lag, and their number."""

    height, width = image.shape
    total, count = 0.0, 0
    for i in range(height - down):
        for j in range(max(-right, 0), width - max(right, 0)):
            square = (image[i + down, j + right] - image[i, j]) ** 2
            if not (taken[i, j] or taken[i + down, j + right] or square > most):
                total += square
                count += 1

    return total / max(count, 1), count


@inner
def _folded(rho: NDArray) -> float:  # pragma: no cover
    total = 0.0
    for r in rho.flat:
        r = min(max(r, -1.0), 1.0)
        total += math.sqrt(1.0 - r * r) + r * math.asin(r) - 1.0

    return total / (0.5 * math.pi * IDLE)


@entry
def turned_share(x: float, y: float, alike: Grain) -> float:  # pragma: no cover
    r"""Returns what interpolation about a centre leaves of the variance of the turned image.

    .. math:: (u^2 + (1 - u)^2) (v^2 + (1 - v)^2)

    with the fractions :math:`u` and :math:`v` of twice its column and twice its row, and, where
    noise is not white, twice the products of the shares of two pixels times :math:`\rho`.

    Arguments:
        x: The column of the centre.
        y: Its row.
        alike: How much the noise of neighbours is alike.
    """

    u, v = 2.0 * x - math.floor(2.0 * x), 2.0 * y - math.floor(2.0 * y)
    across, down = u * u + (1.0 - u) ** 2, v * v + (1.0 - v) ** 2
    rho = alike.correlation[REACH : REACH + 2, REACH - 1 : REACH + 2]
    both = u * (1.0 - u) * down * rho[0, 2] + v * (1.0 - v) * across * rho[1, 1]
    both += u * (1.0 - u) * v * (1.0 - v) * (rho[1, 0] + rho[1, 2])

    return across * down + 2.0 * both


@entry
def boxcar_share(size: int, alike: Grain) -> float:  # pragma: no cover
    r"""Returns what is left of the variance of noise once its boxcar is taken off.

    .. math:: 1 - \frac{2}{k^2} \sum_{l} \rho_l
        + \frac{1}{k^4} \sum_{l} (k - |l_x|) (k - |l_y|) \rho_l

    the first sum being over the lags in a box of side :math:`k` about the pixel. That is
    :math:`1 - 1 / k^2` of white noise. A box of an even side is half a pixel off: its rim counts
    half.

    Arguments:
        size: The side of the boxcar, in pixels, from 1 on.
        alike: How much the noise of neighbours is alike.
    """

    about, among = 0.0, 0.0
    for i in range(-REACH, REACH + 1):
        for j in range(-REACH, REACH + 1):
            rho = alike.correlation[REACH + i, REACH + j]
            among += max(size - abs(i), 0) * max(size - abs(j), 0) * rho
            about += _inside(i, size) * _inside(j, size) * rho

    return max(1.0 - 2.0 * about / size**2 + among / size**4, 0.0)


@inner
def _inside(lag: int, size: int) -> float:  # pragma: no cover
    return 1.0 if 2 * abs(lag) < size else 0.5 if 2 * abs(lag) == size else 0.0

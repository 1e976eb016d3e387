r"""How much of the light of a galaxy is in clumps."""

__all__ = [
    "noise_smoothness",
    "sky_smoothness",
    "smoothness",
    "unbiased_smoothness",
    "width",
]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry import geometry
from pipeline.morphometry.compiled import entry, inner, making
from pipeline.morphometry.flags import NEGATIVE_FLUX, UNDEFINED
from pipeline.morphometry.grain import Grain, boxcar_share
from pipeline.morphometry.pieces import boxcar
from pipeline.morphometry.skybox import FEWEST, table, within
from pipeline.morphometry.unfolding import unfolded

INNER = 0.25
r"""The inner radius of the annulus and the side of the boxcar, in Petrosian radii."""

OUTER = 1.5
r"""The outer radius of the annulus, in Petrosian radii."""


@entry
def width(rpetro: float) -> int:  # pragma: no cover
    r"""Returns the side of the boxcar for a Petrosian radius, both in pixels."""

    return int(INNER * rpetro) if rpetro > 0 and math.isfinite(rpetro) else 0


@entry
def smoothness(
    image: NDArray[np.float64],
    smooth: NDArray[np.float64],
    x: float,
    y: float,
    rpetro: float,
    sky: float,
    parity: bool,
) -> tuple[float, int]:  # pragma: no cover
    r"""Measures the light of a galaxy in structures smaller than a quarter of its radius.

    With :math:`\bar I` the image after a boxcar of side :math:`k = \lfloor r_p / 4 \rfloor`,

    .. math:: S = \frac{\sum \max(I - \bar I, 0) - A s}{\sum I}

    over the annulus :math:`r_p / 4 < r < 3 r_p / 2`, of area :math:`A` whether or not all of it
    is in the image, :math:`s` being the same excess in a pixel of sky. A boxcar of an even side
    is half a pixel off: the excess is the mean over its four places, so that :math:`S` is the
    same if the image is mirrored. That of statmorph is off to the upper left. Masked pixels are
    zeros, of which :func:`unbiased_smoothness` knows nothing.

    References:
        | A New Nonparametric Approach to Galaxy Morphological Classification
          (Lotz, Primack & Madau, 2004)
        | https://doi.org/10.1086/421849

    Arguments:
        image: The image, zero where masked, with shape `(H, W)`.
        smooth: Its `boxcar` of side `width(rpetro)`, with shape `(H + 1, W + 1)`.
        x: The column of the centre.
        y: The row of the centre.
        rpetro: The Petrosian radius, in pixels. Below 8 pixels, :math:`S = 0`.
        sky: The mean excess of a pixel of sky. Nothing is subtracted if NaN.
        parity: Whether an even boxcar is that of statmorph.

    Returns:
        The smoothness and flags. NaN if the flux in the annulus is not positive.
    """

    if not (rpetro > 0 and math.isfinite(rpetro + x + y)):
        return math.nan, UNDEFINED
    seen = np.zeros(image.shape, np.bool_)
    light = _annulus(image, seen, x, y, rpetro)[0]
    if not light > 0:
        return math.nan, NEGATIVE_FLUX | UNDEFINED
    size = width(rpetro)
    if size < 2:
        return 0.0, 0

    plain, absolute = _excesses(image, smooth, 1 if parity else size)
    total = _annulus(0.5 * (plain + absolute), seen, x, y, rpetro)[0]
    area = math.pi * (OUTER**2 - INNER**2) * rpetro**2

    return (total - (0.0 if math.isnan(sky) else area * sky)) / light, 0


@making
def _excesses(
    image: NDArray, smooth: NDArray, size: int
) -> tuple[NDArray, NDArray]:  # pragma: no cover
    r"""Returns the excess over a boxcar and its size, as means over the places of the boxcar."""

    last = 1 - size % 2
    plain, absolute = np.empty(image.shape), np.empty(image.shape)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            a, b = image[i, j] - smooth[i, j], image[i, j] - smooth[i, j + last]
            c, d = image[i, j] - smooth[i + last, j], image[i, j] - smooth[i + last, j + last]
            plain[i, j] = 0.25 * ((a + b) + (c + d))
            absolute[i, j] = 0.25 * ((abs(a) + abs(b)) + (abs(c) + abs(d)))

    return plain, absolute


@inner
def _annulus(
    image: NDArray, mask: NDArray, x: float, y: float, rpetro: float
) -> tuple[float, float]:  # pragma: no cover
    r"""Returns the sum over the annulus and its area, where it is not masked."""

    outer, whole = geometry.flux(image, mask, x, y, OUTER * rpetro, 1.0, 0.0)
    inner, hole = geometry.flux(image, mask, x, y, INNER * rpetro, 1.0, 0.0)

    return outer - inner, whole - hole


@entry
def unbiased_smoothness(
    image: NDArray[np.float64],
    smooth: NDArray[np.float64],
    mask: NDArray[np.bool_],
    noise: NDArray[np.float64],
    x: float,
    y: float,
    rpetro: float,
    sky: tuple[float, Grain],
) -> tuple[float, float, float]:  # pragma: no cover
    r"""Estimates the smoothness that the galaxy would have without noise, and errors.

    The positive part is the mean of a number and of its absolute value. The first has no
    bias, and noise is taken off the second in quadrature, see
    :func:`pipeline.morphometry.unfolding.unfolded`. The variance of :math:`I - \bar I` is that
    of the pixel times :math:`1 - 1 / k^2`, if it is white, see
    :func:`pipeline.morphometry.grain.boxcar_share`. Masked
    pixels are left out of everything. A boxcar of an even side is taken in all its four places
    about a pixel, and the excess is the mean over these. One that is centred, with half of the
    weight on its edges, gives another statistic: it smooths less.

    Arguments:
        image: The image, zero where masked, with shape `(H, W)`.
        smooth: Its `unmasked_boxcar` of side `width(rpetro)`, with shape `(H + 1, W + 1)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        noise: The standard deviation of each pixel, with shape `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.
        rpetro: The Petrosian radius, in pixels. Below 8 pixels, :math:`S = 0`.
        sky: The error of the level of the sky, and how much the noise of neighbours is alike.

    Returns:
        The smoothness, its standard error, and that of the plain one were the sky known. NaN
        if the flux in the annulus is not positive. Errors are NaN where no boxcar is possible.
    """

    if not (rpetro > 0 and math.isfinite(rpetro + x + y)):
        return math.nan, math.nan, math.nan
    light, area = _annulus(image, mask, x, y, rpetro)
    size = width(rpetro)
    if not light > 0:
        return math.nan, math.nan, math.nan
    if size < 2:
        return 0.0, math.nan, math.nan

    excess, absolute = _excesses(image, smooth, size)
    level, alike = sky
    sigma = math.sqrt(boxcar_share(size, alike)) * noise
    radii = (INNER * rpetro, OUTER * rpetro)
    left, variance, plain = unfolded(absolute, sigma, mask, (x, y), radii, 1.0, alike)
    total = _annulus(excess, mask, x, y, rpetro)[0] + left
    moved = (total / light * area * level) ** 2

    return (
        0.5 * total / light,
        0.5 * math.sqrt(variance + moved) / light,
        0.5 * math.sqrt(plain + moved) / light,
    )


@entry
def sky_smoothness(
    image: NDArray[np.float64], column: int, row: int, side: int, size: int
) -> float:  # pragma: no cover
    r"""Returns the mean positive excess over a boxcar in the box of sky; NaN without one.

    Arguments:
        image: The image, with shape `(H, W)`.
        column: The first column of the box.
        row: The first row of the box.
        side: The side of the box, in pixels.
        size: The side of the boxcar, in pixels. With one below 2, nothing is in excess.
    """

    if side == 0:
        return math.nan
    if size < 2:
        return 0.0
    box = image[row : row + side, column : column + side].copy()

    return np.maximum(box - boxcar(box, size)[:-1, :-1], 0.0).mean()


@entry
def noise_smoothness(
    image: NDArray[np.float64], smooth: NDArray[np.float64], taken: NDArray[np.bool_], size: int
) -> tuple[float, float]:  # pragma: no cover
    r"""Returns the mean positive excess over a boxcar from all empty pixels, and its error.

    Half of the mean absolute excess is the same, since the excess of noise is as often
    negative, and has a quarter of the variance. Only pixels whose window is empty count, so
    that correlated noise is measured as it is, and sources are not.

    Arguments:
        image: The image, with shape `(H, W)`.
        smooth: Its `boxcar` of that side, with shape `(H + 1, W + 1)`.
        taken: Whether a pixel is of any source or masked, with shape `(H, W)`.
        size: The side of the boxcar, in pixels. With one below 2, nothing is in excess.

    Returns:
        The mean excess and its standard error. NaN with less than 64 such pixels.
    """

    if size < 2:
        return 0.0, 0.0
    counts, absolute = table(taken), _excesses(image, smooth, size)[1]
    window, reach = 2 * (size // 2) + 1, size // 2
    total, count = 0.0, 0
    for i in range(reach, image.shape[0] - reach):
        for j in range(reach, image.shape[1] - reach):
            if within(counts, i - reach, j - reach, window) == 0:
                total += absolute[i, j]
                count += 1
    if count < FEWEST:
        return math.nan, math.nan
    mean = 0.5 * total / count

    return mean, mean * math.sqrt((math.pi / 2 - 1) / count)

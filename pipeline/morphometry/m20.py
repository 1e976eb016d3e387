r"""Where the brightest fifth of the light is, and what it says together with Gini."""

__all__ = ["bulge", "m20", "merger"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry import flags
from pipeline.morphometry.compiled import entry, inner, making
from pipeline.morphometry.pieces import boxcar

BRIGHTEST = 0.2
r"""The share of the light that is in the brightest pixels."""

BOXCAR = 3
r"""The side of the squares that tell how bright a pixel is without its noise, in pixels."""

NEAR = 0.05
r"""The share of the brightest pixels that are taken to be as bright as the faintest of them."""


@entry
def m20(
    image: NDArray[np.float64],
    sigma: NDArray[np.float64],
    segment: NDArray[np.bool_],
    order: NDArray[np.int64],
) -> tuple[float, float, int]:  # pragma: no cover
    r"""Measures how far from the centre the brightest fifth of the light is.

    With :math:`d_i` the distance of a pixel from the centroid of the segment,

    .. math:: M_{20} = \log_{10} \frac{\sum_{I_i \ge t} I_i d_i^2}{\sum_i I_i d_i^2}

    where the threshold :math:`t` is the first value at which pixels not brighter than it hold
    80 % of the light. The uncertainty is the one of independent noise,

    .. math:: \sigma^2 = \sum_i c_i^2 \sigma_i^2 + \frac{t^2}{(M_{20 \%} \ln 10)^2}
        \sum_i (d_i^2 - d_t^2)^2 \, p_i (1 - p_i)

    .. math:: c_i \ln 10 = \frac{\delta_i (d_i^2 - d_t^2) + 0.2 \, d_t^2
        - 2 F_{20} (b - c) \cdot (x_i - c) / F}{M_{20 \%}} - \frac{d_i^2}{M}

    :math:`\delta_i` being 1 for the brightest pixels. The terms of :math:`c_i` are the light
    itself, the threshold, pixels at which are :math:`d_t^2` away on average, and the centroid
    :math:`c`, that of the brightest pixels being :math:`b`. The second sum is of pixels that
    noise may bring to the other side of the threshold, with probability
    :math:`p_i = \Phi((\bar I_i - t) / \sigma_i)` on this one. The mean :math:`\bar I_i` of 3 x 3
    pixels stands for the pixel without its noise, which would be counted twice.

    References:
        | A New Nonparametric Approach to Galaxy Morphological Classification (Lotz et al., 2004)
        | https://doi.org/10.1086/421849

    Arguments:
        image: The stamp, with shape `(H, W)`, contiguous.
        sigma: The noise of each pixel, with shape `(H, W)`.
        segment: The pixels of the galaxy, with shape `(H, W)`.
        order: The same, faintest first: see :func:`pieces.ascending`.

    Returns:
        The statistic, its uncertainty and flags. NaN if the flux or a moment is not positive.
    """

    flux, x, y, moment = _moments(image, segment, -np.inf)
    if not (flux > 0.0 and moment > 0.0):
        return np.nan, np.nan, flags.UNDEFINED
    rank = _threshold(image.ravel(), order, flux)
    least = image.ravel()[order[rank]]
    bright, bright_x, bright_y, inner = _moments(image, segment, least)
    inner += bright * ((bright_x - x) ** 2 + (bright_y - y) ** 2)
    if not inner > 0.0:
        return np.nan, np.nan, flags.UNDEFINED

    edge = _square(order, rank, image.shape[1], x, y)
    pull = 2 * bright / flux * (bright_x - x), 2 * bright / flux * (bright_y - y)
    scales = least, edge, inner, moment
    variance = _variance(image, sigma, segment, (x, y), pull, scales)

    return math.log10(inner / moment), math.sqrt(variance) / math.log(10.0), 0


@making
def _variance(
    image: NDArray,
    sigma: NDArray,
    segment: NDArray,
    centre: tuple[float, float],
    pull: tuple[float, float],
    scales: tuple[float, float, float, float],
) -> float:  # pragma: no cover
    r"""Sums what the noise of each pixel does to the natural logarithm of the ratio.

    The scales are the threshold, the squared distance there, and the moments of the brightest
    pixels and of all.
    """

    x, y = centre
    least, edge, inner, moment = scales
    smooth, variance = boxcar(image, BOXCAR), 0.0
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            if segment[i, j]:
                square = (j - x) ** 2 + (i - y) ** 2
                change = BRIGHTEST * edge - pull[0] * (j - x) - pull[1] * (i - y)
                change += (square - edge) * (image[i, j] >= least)
                variance += ((change / inner - square / moment) * sigma[i, j]) ** 2
                swap = least * (square - edge) / inner
                variance += swap**2 * _undecided(smooth[i, j] - least, sigma[i, j])

    return variance


@inner
def _undecided(excess: float, sigma: float) -> float:  # pragma: no cover
    r"""Returns the variance of whether a pixel is above the threshold."""

    if not abs(excess) < 6.0 * sigma:
        return 0.0
    above = 0.5 * math.erfc(-excess / (math.sqrt(2.0) * sigma))

    return above * (1.0 - above)


@inner
def _moments(
    image: NDArray, segment: NDArray, least: float
) -> tuple[float, float, float, float]:  # pragma: no cover
    r"""Returns the flux of pixels, its centroid, and its second moment about it."""

    flux, x, y = 0.0, 0.0, 0.0
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            if segment[i, j] and image[i, j] >= least:
                flux += image[i, j]
                x += j * image[i, j]
                y += i * image[i, j]
    if flux == 0.0:
        return 0.0, np.nan, np.nan, 0.0

    x, y, moment = x / flux, y / flux, 0.0
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            if segment[i, j] and image[i, j] >= least:
                moment += image[i, j] * ((j - x) ** 2 + (i - y) ** 2)

    return flux, x, y, moment


@inner
def _threshold(values: NDArray, order: NDArray, flux: float) -> int:  # pragma: no cover
    r"""Returns the first rank at which the light so far is all but the brightest share."""

    so_far = 0.0
    for k in range(order.size):
        so_far += values[order[k]]
        if so_far / flux >= 1.0 - BRIGHTEST:
            return k

    return order.size - 1


@inner
def _square(
    order: NDArray, rank: int, width: int, x: float, y: float
) -> float:  # pragma: no cover
    r"""Averages the squares of the distances of the pixels about as bright as one."""

    half = int(NEAR * (order.size - rank)) + 1
    first, last = max(rank - half, 0), min(rank + half + 1, order.size)
    total = 0.0
    for k in range(first, last):
        total += (order[k] % width - x) ** 2 + (order[k] // width - y) ** 2

    return total / (last - first)


@entry
def bulge(gini: float, m20: float) -> float:  # pragma: no cover
    r"""Tells how dominant the bulge is, positive for early types.

    .. math:: F = -0.693 M_{20} + 4.95 G - 3.96

    References:
        | Galaxy Morphology and Star Formation in the Illustris Simulation at z = 0
            (Snyder et al., 2015)
        | https://arxiv.org/abs/1502.07747
        | The optical morphologies of galaxies in the IllustrisTNG simulation
            (Rodriguez-Gomez et al., 2019)
        | https://doi.org/10.1093/mnras/sty3345
    """

    return -0.693 * m20 + 4.95 * gini - 3.96


@entry
def merger(gini: float, m20: float) -> float:  # pragma: no cover
    r"""Tells how likely a merger is, positive for candidates.

    .. math:: S = 0.139 M_{20} + 0.990 G - 0.327

    References:
        | Diverse Structural Evolution at z > 1 in Cosmologically Simulated Galaxies
            (Snyder et al., 2015)
        | https://arxiv.org/abs/1409.1583
        | The optical morphologies of galaxies in the IllustrisTNG simulation
            (Rodriguez-Gomez et al., 2019)
        | https://doi.org/10.1093/mnras/sty3345
    """

    return 0.139 * m20 + 0.990 * gini - 0.327

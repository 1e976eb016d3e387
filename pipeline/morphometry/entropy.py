r"""How unequal the pixels of a galaxy are, as information."""

__all__ = ["BINS", "entropy"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner, making
from pipeline.morphometry.flags import NO_SOURCE, UNDEFINED

BINS = 128
r"""The number of levels in which pixels are counted."""


@entry
def entropy(
    image: NDArray[np.float64],
    sigma: NDArray[np.float64],
    mask: NDArray[np.bool_],
    segment: NDArray[np.bool_],
    bins: int,
) -> tuple[float, float, int]:  # pragma: no cover
    r"""Measures the entropy of the pixels of a galaxy.

    The range of its pixels is cut into :math:`K` equal levels. With the number :math:`c_k` of
    pixels in each, and their share :math:`p_k = c_k / N`,

    .. math:: H = -\frac{1}{\ln K} \sum_k p_k \ln p_k

    which is low where most pixels are alike, as in the wings of an elliptical galaxy, and high
    where arms and knots fill all levels. Ferrari et al. count the pixels in the Petrosian
    region, and other codes have other numbers of levels, from 100 to 180: values with different
    :math:`K` do not compare. Noise fills levels and makes :math:`H` grow.

    .. math:: \sigma_H^2 \ln^2 K = \frac{\sum p_k \ln^2 p_k - (\sum p_k \ln p_k)^2}{N}
        + \left( \frac{R \, \sigma_b}{b - f} \right)^2, \quad
        R = \sum_k p_k (c_k - 1) \ln \frac{c_k}{c_k - 1}

    The first term is the error of a sample of as many pixels. The second one is that of the
    range, from the faintest pixel :math:`f` to the brightest one :math:`b`, of noise
    :math:`\sigma_b`: wider levels have less entropy, by :math:`R` per unit of the logarithm of
    the width, which is 1 where they hold many pixels and 0 where they hold one. That noise adds
    pixels to the segment is not in it.

    References:
        | Morfometryka: A New Way of Establishing Morphological Classification of Galaxies
        | (Ferrari et al., 2015)
        | https://arxiv.org/abs/1509.05430

        | Note on the Bias of Information Estimates (Miller, 1955), for the error of a count

    Arguments:
        image: The image, sky subtracted, with shape `(H, W)`.
        sigma: The noise of each pixel, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        segment: Whether each pixel belongs to the galaxy, with shape `(H, W)`.
        bins: The number of levels :math:`K`, at least 2.

    Returns:
        The entropy, from 0 to 1; its error; and flags. Where all pixels are equal, both are 0.
        Without a pixel, or if the range of its values overflows, both are NaN.
    """

    least, largest, pixels, noise = _range(image, sigma, mask, segment)
    if pixels == 0 or bins < 2:
        return np.nan, np.nan, NO_SOURCE
    if not largest > least:
        return 0.0, 0.0, 0
    if not largest - least < np.inf:
        return np.nan, np.nan, UNDEFINED

    value, error, response = _information(
        _counts(image, mask, segment, least, largest, bins), pixels
    )
    error = math.hypot(error, response * noise / (largest - least))

    return value / math.log(bins), error / math.log(bins), 0


@inner
def _information(counts: NDArray, pixels: int) -> tuple[float, float, float]:  # pragma: no cover
    r"""Returns the entropy of counts, the error of a sample, and what wider levels take off it."""

    first, second, response = 0.0, 0.0, 0.0
    for count in counts:
        if count > 0:
            share = count / pixels
            first -= share * math.log(share)
            second += share * math.log(share) ** 2
        if count > 1:
            response += count / pixels * (count - 1) * math.log(count / (count - 1))

    return first, math.sqrt(max(second - first * first, 0.0) / pixels), response


@inner
def _range(
    image: NDArray[np.float64],
    sigma: NDArray[np.float64],
    mask: NDArray[np.bool_],
    segment: NDArray[np.bool_],
) -> tuple[float, float, int, float]:  # pragma: no cover
    r"""Returns the least and the largest pixel, how many there are, and the noise of the last."""

    least, largest, pixels, noise = np.inf, -np.inf, 0, 0.0
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            if segment[i, j] and not mask[i, j]:
                noise = sigma[i, j] if image[i, j] > largest else noise
                least, largest = min(least, image[i, j]), max(largest, image[i, j])
                pixels += 1

    return least, largest, pixels, noise


@making
def _counts(
    image: NDArray[np.float64],
    mask: NDArray[np.bool_],
    segment: NDArray[np.bool_],
    least: float,
    largest: float,
    bins: int,
) -> NDArray[np.int64]:  # pragma: no cover
    r"""Counts the pixels in equal levels; the largest pixel is in the last one."""

    counts = np.zeros(bins, np.int64)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            if segment[i, j] and not mask[i, j]:
                level = int((image[i, j] - least) / (largest - least) * bins)
                counts[min(level, bins - 1)] += 1

    return counts

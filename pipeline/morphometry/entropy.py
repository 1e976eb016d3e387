r"""How unequal the pixels of a galaxy are, as information."""

__all__ = ["BINS", "entropy"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner
from pipeline.morphometry.flags import NO_SOURCE

BINS = 128
r"""The number of levels in which pixels are counted."""


@entry
def entropy(
    image: NDArray[np.float64], mask: NDArray[np.bool_], segment: NDArray[np.bool_], bins: int
) -> tuple[float, float, int]:  # pragma: no cover
    r"""Measures the entropy of the pixels of a galaxy.

    The range of its pixels is cut into :math:`K` equal levels. With the share :math:`p_k` of
    pixels in each,

    .. math:: H = -\frac{1}{\ln K} \sum_k p_k \ln p_k

    which is low where most pixels are alike, as in the wings of an elliptical galaxy, and high
    where arms and knots fill all levels. Ferrari et al. count the pixels in the Petrosian
    region, and other codes have other numbers of levels, from 100 to 180: values with different
    :math:`K` do not compare. Noise fills levels and makes :math:`H` grow.

    References:
        | Morfometryka: A New Way of Establishing Morphological Classification of Galaxies
        | (Ferrari et al., 2015)
        | https://arxiv.org/abs/1509.05430

        | Note on the Bias of Information Estimates (Miller, 1955), for the error of a count

    Arguments:
        image: The image, sky subtracted, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        segment: Whether each pixel belongs to the galaxy, with shape `(H, W)`.
        bins: The number of levels :math:`K`, at least 2.

    Returns:
        The entropy, from 0 to 1; its error, that of a sample of as many pixels, :math:`\sqrt{(\sum
        p_k \ln^2 p_k - (\sum p_k \ln p_k)^2) / N} / \ln K`, without the noise in the pixels; and
        flags. Where all pixels are equal, both are 0. Without a pixel, both are NaN.
    """

    least, largest, pixels = _range(image, mask, segment)
    if pixels == 0 or bins < 2:
        return np.nan, np.nan, NO_SOURCE
    if not largest > least:
        return 0.0, 0.0, 0

    counts = _counts(image, mask, segment, least, largest, bins)
    first, second = 0.0, 0.0
    for k in range(bins):
        if counts[k] > 0:
            share = counts[k] / pixels
            first -= share * math.log(share)
            second += share * math.log(share) ** 2
    spread = math.sqrt(max(second - first * first, 0.0) / pixels)

    return first / math.log(bins), spread / math.log(bins), 0


@inner
def _range(
    image: NDArray[np.float64], mask: NDArray[np.bool_], segment: NDArray[np.bool_]
) -> tuple[float, float, int]:  # pragma: no cover
    r"""Returns the least and the largest pixel, and how many there are."""

    least, largest, pixels = np.inf, -np.inf, 0
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            if segment[i, j] and not mask[i, j]:
                least, largest = min(least, image[i, j]), max(largest, image[i, j])
                pixels += 1

    return least, largest, pixels


@inner
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

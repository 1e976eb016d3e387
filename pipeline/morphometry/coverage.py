r"""An image smoothed where it is covered."""

__all__ = ["covered_pixels", "smooth"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import making, put


@making
def covered_pixels(image: NDArray) -> tuple[NDArray, int, float]:  # pragma: no cover
    r"""Returns which pixels are finite, how many, and the largest size of one."""

    out = np.empty(image.shape, np.bool_)
    count, largest = 0, 0.0
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            out[i, j] = math.isfinite(image[i, j])
            if out[i, j]:
                count += 1
                largest = max(largest, abs(image[i, j]))

    return out, count, largest


@making
def smooth(
    image: NDArray[np.float64], covered: NDArray[np.bool_]
) -> NDArray[np.float64]:  # pragma: no cover
    r"""Averages with binomial weights over 5 x 5 pixels, of which only covered ones count.

    All weights are multiples of 1/256, so that sums of rounded pixels are exact.

    Arguments:
        image: The image, with shape `(H, W)`.
        covered: Where it is covered, with shape `(H, W)`.

    Returns:
        The smoothed image, NaN where it is not covered.
    """

    filled, weight = image.copy(), np.zeros(image.shape)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            if covered[i, j]:
                weight[i, j] = 1.0
            else:
                filled[i, j] = 0.0
    total, weight = _binomial(filled), _binomial(weight)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            total[i, j] = total[i, j] / weight[i, j] if covered[i, j] else np.nan

    return total


@making
def _binomial(image: NDArray) -> NDArray:  # pragma: no cover
    r"""Convolves with the binomial weights, zeros around."""

    height, width = image.shape
    across, out = np.empty((height, width)), np.empty((height, width))
    row = np.zeros(width + 4)
    for i in range(height):
        put(row[2:-2], image[i])
        for j in range(width):
            far, near = row[j] + row[j + 4], row[j + 1] + row[j + 3]
            across[i, j] = 0.375 * row[j + 2] + 0.25 * near + 0.0625 * far
    blank = np.zeros(width)
    for i in range(height):
        above2 = across[i - 2] if i > 1 else blank
        above = across[i - 1] if i > 0 else blank
        below = across[i + 1] if i < height - 1 else blank
        below2 = across[i + 2] if i < height - 2 else blank
        for j in range(width):
            far, near = above2[j] + below2[j], above[j] + below[j]
            out[i, j] = 0.375 * across[i, j] + 0.25 * near + 0.0625 * far

    return out

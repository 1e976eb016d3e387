r"""The pixels from which one climbs to each peak of an image."""

__all__ = ["basins", "peaks"]

from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import inner, making
from pipeline.morphometry.forest import root

ROUND = ((-1, 0), (0, -1), (0, 1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))
r"""The neighbours of a pixel, the nearest first."""


@making
def peaks(smooth: NDArray, edges: tuple[bool, bool, bool, bool]) -> NDArray:  # pragma: no cover
    r"""Tells which pixels no neighbour outshines, if they are not on the edge of the image."""

    height, width = smooth.shape
    out = np.zeros((height, width), np.bool_)
    least = smooth.min()
    top, bottom, left, right = edges
    for i in range(int(top), height - int(bottom)):
        for j in range(int(left), width - int(right)):
            if smooth[i, j] > least:
                m, n = _brightest(smooth, i, j)
                out[i, j] = m == i and n == j

    return out


@inner
def _brightest(smooth: NDArray, i: int, j: int) -> tuple[int, int]:  # pragma: no cover
    r"""Returns where the brightest neighbour of a pixel is; where it is, if none is brighter."""

    height, width = smooth.shape
    top, at_i, at_j = smooth[i, j], i, j
    for m in range(max(i - 1, 0), min(i + 2, height)):
        for n in range(max(j - 1, 0), min(j + 2, width)):
            if smooth[m, n] > top:
                top, at_i, at_j = smooth[m, n], m, n

    return at_i, at_j


@making
def basins(smooth: NDArray, summits: NDArray, noise: NDArray) -> NDArray:  # pragma: no cover
    r"""Sums the light of the pixels from which one climbs to each peak, and another image.

    Arguments:
        smooth: The smooth image, with shape `(H, W)`.
        summits: Whether each pixel is a peak, with shape `(H, W)`.
        noise: What else is summed, with shape `(H, W)`.

    Returns:
        The sums of both over what belongs to each pixel, which is nothing but for peaks, with
        shape `(2, H W)`.
    """

    width, values, others = smooth.shape[1], smooth.ravel(), noise.ravel()
    parent = np.full(values.size, -1)
    for p in np.flatnonzero(smooth > 0.0):
        i, j = _brightest(smooth, p // width, p % width)
        parent[p] = i * width + j
        # A summit that is no peak
        if parent[p] == p and not summits[i, j]:
            return _flooded(smooth, summits, noise)

    sums = np.zeros((2, values.size))
    for k in range(values.size):
        if parent[k] >= 0:
            peak = root(parent, k)
            sums[0, peak] += values[k]
            sums[1, peak] += others[k]

    return sums


@making
def _flooded(smooth: NDArray, summits: NDArray, noise: NDArray) -> NDArray:  # pragma: no cover
    r"""Sums the same of the pixels that each peak reaches first, as the level goes down.

    References:
        | The morphological approach to segmentation: the watershed transformation
            (Beucher & Meyer, 1993)
    """

    height, width = smooth.shape
    sums, owner = np.zeros((2, smooth.size)), np.full(smooth.size, -1)
    heap: list[tuple[float, int, int]] = [(0.0, 0, 0) for _ in range(0)]
    for first in np.flatnonzero(summits):
        owner[first] = first
        heappush(heap, (-smooth.ravel()[first], 0, int(first)))
    age = 0
    while len(heap) > 0:
        level, _, p = heappop(heap)
        i, j = p // width, p % width
        sums[0, owner[p]] += smooth[i, j]
        sums[1, owner[p]] += noise[i, j]
        for k in ROUND:
            m, n = i + k[0], j + k[1]
            if not (0 <= m < height and 0 <= n < width and smooth[m, n] > 0.0):
                continue
            if owner[m * width + n] < 0:
                age += 1
                owner[m * width + n] = owner[p]
                heappush(heap, (max(-smooth[m, n], level), age, m * width + n))

    return sums

r"""Sources that touch, told apart by the tree of their level sets.

Pixels are taken from the brightest to the faintest. Each joins the basin of its brightest
neighbour that is already taken, or begins one. Where two components meet, at the level of the
saddle between their peaks, each is either a source of its own or a detail of the other.
"""

__all__ = ["Rules", "deblend", "shell_sort"]

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.morphometry.compiled import inner


class Rules(NamedTuple):
    r"""What makes a component of the image a source of its own.

    Arguments:
        noise: The standard deviation :math:`\sigma` of the smoothed sky.
        least: The smallest number of pixels :math:`n_0`.
        contrast: The smallest share :math:`c` of the flux, more where the saddle is high. Above
            1, whatever is connected is one source.
    """

    noise: float
    least: int
    contrast: float


@njit(error_model="numpy")
def deblend(
    image: NDArray[np.float64], threshold: float, rules: Rules
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:  # pragma: no cover
    r"""Finds the sources above a threshold and shares the pixels out among them.

    Where two components with peaks :math:`p_i` meet at the level :math:`v`, each with
    :math:`n_i` pixels and the share :math:`f_i = \sum (I - v) / \sum I` of the flux above it, of
    all that is connected above the threshold, they are two sources if

    .. math:: p_i - v \ge 3 \sigma, \quad n_i \ge n_0, \quad \min(f_1, f_2) (f_1 + f_2)^2 \ge c

    All three are the easier to meet the lower the level, so that two sources once told apart
    stay so. The sum is what tells knots and arms from companions: the saddle of a knot inside
    of a galaxy is so high that much of the galaxy is below it. Where the two are one source,
    the basins that touch at the saddle are joined.

    References:
        | Building the Component Tree in Quasi-Linear Time (Najman & Couprie, 2006)
        | https://doi.org/10.1109/TIP.2006.877518
        | SExtractor: Software for source extraction (Bertin & Arnouts, 1996)
        | https://doi.org/10.1051/aas:1996164

    Arguments:
        image: The smoothed image, sky subtracted, with shape `(H, W)`. NaN where not covered.
        threshold: The level above which pixels belong to sources, at least 0.
        rules: What makes a source.

    Returns:
        The labels, 0 for the sky and 1, 2... for the sources by falling peak, with shape
        `(H, W)`; and the peak of each, with shape `(sources + 1,)`, the first one 0. Where
        pixels are equal to the last bit, the shares depend on the orientation.
    """

    values = _padded(image)
    order = _descending(values, threshold)
    basin, peaks, large, owner = _flood(values, order, image.shape[1] + 2, rules)
    label = np.zeros(peaks.size, np.int64)
    found = np.zeros(peaks.size)
    sources = 0
    for b in range(1, peaks.size):
        source = _root(owner, b)
        if large[b] and label[source] == 0:
            sources += 1
            label[source] = sources
            found[sources] = peaks[b]  # the first of its basins is the brightest
        label[b] = label[source]

    out = np.zeros(image.shape, np.int64)
    width = image.shape[1] + 2
    for p in order:
        out[p // width - 1, p % width - 1] = label[basin[p]]

    return out, found[: sources + 1]


@inner
def _padded(image: NDArray) -> NDArray:  # pragma: no cover
    r"""Returns the pixels in one row, with a rim around them below every level."""

    height, width = image.shape
    out = np.full((height + 2, width + 2), -np.inf)
    for i in range(height):
        for j in range(width):
            if not math.isnan(image[i, j]):
                out[i + 1, j + 1] = image[i, j]

    return out.ravel()


@inner
def _descending(values: NDArray, threshold: float) -> NDArray:  # pragma: no cover
    r"""Returns where the pixels above a threshold are, from the brightest to the faintest.

    The bits of positive numbers, read as an integer, are in the order of the numbers, and
    nearly their logarithm: their leading ones say into which of about `2 n` buckets a pixel
    falls.
    """

    chosen = np.flatnonzero(values > threshold)
    if chosen.size < 2:
        return chosen

    keys = -values[chosen].view(np.int64)
    keys -= keys.min()
    shift, most = 0, keys.max()
    while most >> shift > 2 * chosen.size:
        shift += 1
    start = np.zeros((most >> shift) + 2, np.int64)
    for key in keys:
        start[(key >> shift) + 1] += 1
    start = np.cumsum(start)
    place, fill, falling = np.empty_like(chosen), start.copy(), np.empty(chosen.size)
    for i in range(chosen.size):
        k = fill[keys[i] >> shift]
        place[k], falling[k] = chosen[i], -values[chosen[i]]
        fill[keys[i] >> shift] += 1
    for bucket in range(start.size - 1):
        inside = slice(start[bucket], start[bucket + 1])
        _sort_along(falling[inside], place[inside])

    return place


@njit(error_model="numpy")
def shell_sort(values: NDArray[np.float64]) -> None:  # pragma: no cover
    r"""Sorts a few numbers in place: much less to compile than NumPy's sort."""

    _sort_along(values, np.empty(values.size, np.int64))


@inner
def _sort_along(values: NDArray, places: NDArray) -> None:  # pragma: no cover
    r"""Sorts numbers in place by Shell's method, and what belongs to them along."""

    gap = values.size // 2
    while gap > 0:
        for i in range(gap, values.size):
            value, place, k = values[i], places[i], i
            while k >= gap and values[k - gap] > value:
                values[k], places[k] = values[k - gap], places[k - gap]
                k -= gap
            values[k], places[k] = value, place
        gap = 1 if gap == 2 else gap * 5 // 11


@inner
def _root(parent: NDArray, i: int) -> int:  # pragma: no cover
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]

    return i


@inner
def _join(parent: NDArray, i: int, j: int) -> None:  # pragma: no cover
    r"""Makes one of two sets, named after the first of its members."""

    i, j = _root(parent, i), _root(parent, j)
    parent[max(i, j)] = min(i, j)


class Tree(NamedTuple):
    r"""What is known of the basins, counted from 1, while the level falls.

    Arguments:
        piece: The parent of each in the trees of what is connected.
        owner: The parent of each in the trees of what is one source.
        peaks: The peak of each.
        flux: The flux of what is connected, at its first basin.
        size: The number of its pixels, at its first basin.
        saddles: The two basins that touch where two sources meet, and the first ones of the two
            components.
        above: The flux of the two components above the saddle.
    """

    piece: NDArray[np.int64]
    owner: NDArray[np.int64]
    peaks: NDArray[np.float64]
    flux: NDArray[np.float64]
    size: NDArray[np.int64]
    saddles: NDArray[np.int64]
    above: NDArray[np.float64]


@inner
def _flood(
    values: NDArray, order: NDArray, width: int, rules: Rules
) -> tuple[NDArray, NDArray, NDArray, NDArray]:  # pragma: no cover
    r"""Grows basins downwards and decides which are one source.

    Returns:
        The basin of each pixel, counted from 1; and for each basin its peak, whether it is in
        a large enough component, and the parent in the trees of sources.
    """

    steps = np.array((-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1))
    most = order.size + 1
    basin = np.zeros(values.size, np.int64)
    empty = np.empty((most, 4), np.int64), np.empty((most, 2))
    zeros = np.zeros(most), np.zeros(most), np.zeros(most, np.int64)
    tree = Tree(np.arange(most), np.arange(most), *zeros, *empty)
    count = pairs = 0
    for p in order:
        a, several = _brightest(values, basin, steps, p)
        if a == 0:
            count += 1
            a = count
            tree.peaks[a] = values[p]
        if several:
            for step in steps:
                pairs = _meet(tree, rules, a, basin[p + step], values[p], pairs)
        basin[p] = a
        root = _root(tree.piece, a)
        tree.flux[root] += values[p]
        tree.size[root] += 1

    for k in range(pairs):
        a, b, i, _ = tree.saddles[k]
        total = tree.flux[_root(tree.piece, i)]
        first, second = tree.above[k] / total
        if min(first, second) * (first + second) ** 2 < rules.contrast:
            _join(tree.owner, a, b)
    large = np.zeros(count + 1, np.bool_)
    for b in range(1, count + 1):
        large[b] = tree.size[_root(tree.piece, b)] >= rules.least

    return basin, tree.peaks[: count + 1], large, tree.owner


@inner
def _brightest(
    values: NDArray, basin: NDArray, steps: NDArray, p: int
) -> tuple[int, bool]:  # pragma: no cover
    r"""Returns the basin of the brightest neighbour, 0 if none has, and if there are others."""

    best, a, several = -np.inf, 0, False
    for step in steps:
        b = basin[p + step]
        if b == 0:
            continue
        several |= a != 0 and b != a
        if values[p + step] > best:
            best, a = values[p + step], b

    return a, several


@inner
def _meet(
    tree: Tree, rules: Rules, a: int, b: int, level: float, pairs: int
) -> int:  # pragma: no cover
    r"""Connects two basins at a level, and notes that if both may be sources."""

    i, j = _root(tree.piece, a), _root(tree.piece, b)
    if b == 0 or i == j:
        return pairs
    first = _stands(tree.peaks[i], level, tree.size[i], rules)
    second = _stands(tree.peaks[j], level, tree.size[j], rules)
    if first and second:
        tree.saddles[pairs] = a, b, i, j
        tree.above[pairs, 0] = tree.flux[i] - tree.size[i] * level
        tree.above[pairs, 1] = tree.flux[j] - tree.size[j] * level
        pairs += 1
    else:
        _join(tree.owner, a, b)
    _join(tree.piece, i, j)
    low, high = min(i, j), max(i, j)
    tree.flux[low] += tree.flux[high]
    tree.size[low] += tree.size[high]

    return pairs


@inner
def _stands(peak: float, level: float, size: int, rules: Rules) -> bool:  # pragma: no cover
    r"""Says whether a component stands out of a level."""

    return peak - level >= 3 * rules.noise and size >= rules.least

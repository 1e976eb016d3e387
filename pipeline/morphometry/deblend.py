r"""Sources that touch, told apart by the tree of their level sets.

Pixels are taken from the brightest to the faintest. Each joins the basin of its brightest
neighbour that is already taken, or begins one. Where two components meet, at the level of the
saddle between their peaks, each is either a source of its own or a detail of the other.
"""

__all__ = ["Rules", "deblend", "shell_sort"]

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import inner, making
from pipeline.morphometry.moments import PIXEL


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


@making
def deblend(
    image: NDArray[np.float64], threshold: float, rules: Rules
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:  # pragma: no cover
    r"""Finds the sources above a threshold and shares the pixels out among them.

    Where two components with peaks :math:`p_i` meet at the level :math:`v`, each with
    :math:`n_i` pixels and the share :math:`f_i = \sum (I - v) / \sum I` of the flux above it, of
    all that is connected above the threshold, they are two sources if

    .. math:: p_i - v \ge 3 \sigma, \quad n_i \ge n_0, \quad
        \min(f_1, f_2) (f_1 + f_2)^2 \ge c, \quad
        (x_1 - x_2)^T S_i^{-1} (x_1 - x_2) \ge 1

    where :math:`x_i` is the centroid and :math:`S_i` the covariance of the pixels above the
    level of the two sources that touch there. The sum is what tells knots and arms from
    companions: the saddle of a knot inside of a galaxy is so high that much of the galaxy is
    below it. The last tells rings from companions: what lies beside an ellipse is more than 2
    of its standard deviations from its centroid, but the bulge within a ring, or within an arc
    of two thirds of one, less than 1. Else the two are one source.

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


@making
def _padded(image: NDArray) -> NDArray:  # pragma: no cover
    r"""Returns the pixels in one row, with a rim around them below every level."""

    height, width = image.shape
    out = np.full((height + 2, width + 2), -np.inf)
    for i in range(height):
        for j in range(width):
            if not math.isnan(image[i, j]):
                out[i + 1, j + 1] = image[i, j]

    return out.ravel()


@making
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


@making
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
        sums: The sums over the pixels of a source, of 1, y, x, y y, y x and x x, at its first
            basin.
    """

    piece: NDArray[np.int64]
    owner: NDArray[np.int64]
    peaks: NDArray[np.float64]
    flux: NDArray[np.float64]
    size: NDArray[np.int64]
    sums: NDArray[np.float64]


@making
def _flood(
    values: NDArray, order: NDArray, width: int, rules: Rules
) -> tuple[NDArray, NDArray, NDArray, NDArray]:  # pragma: no cover
    r"""Grows basins downwards and decides which are one source.

    Returns:
        The basin of each pixel, counted from 1; and for each basin its peak, whether it is in
        a large enough component, and the parent in the trees of sources.
    """

    steps = np.array((-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1))
    totals = _totals(values, order, steps)
    most = order.size + 1
    basin = np.zeros(values.size, np.int64)
    zeros = np.zeros(most), np.zeros(most), np.zeros(most, np.int64), np.zeros((most, 6))
    tree = Tree(np.arange(most), np.arange(most), *zeros)
    count = 0
    for k, p in enumerate(order):
        a, several = _brightest(values, basin, steps, p)
        if a == 0:
            count += 1
            a = count
            tree.peaks[a] = values[p]
        if several:
            for step in steps:
                _meet(tree, rules, a, basin[p + step], values[p], totals[k])
        basin[p] = a
        i, m = _root(tree.piece, a), _root(tree.owner, a)
        tree.flux[i] += values[p]
        tree.size[i] += 1
        y, x = divmod(p, width)
        for n, term in enumerate((1, y, x, y * y, y * x, x * x)):
            tree.sums[m, n] += term

    large = np.zeros(count + 1, np.bool_)
    for b in range(1, count + 1):
        large[b] = tree.size[_root(tree.piece, b)] >= rules.least

    return basin, tree.peaks[: count + 1], large, tree.owner


@making
def _totals(values: NDArray, order: NDArray, steps: NDArray) -> NDArray:  # pragma: no cover
    r"""Returns for each pixel the flux of all that it is connected to."""

    place, parent = np.full(values.size, -1), np.arange(order.size)
    for k, p in enumerate(order):
        place[p] = k
    for k, p in enumerate(order):
        for step in steps[:4]:
            if place[p + step] >= 0:
                _join(parent, k, place[p + step])
    out = np.zeros(order.size)
    for k, p in enumerate(order):
        out[_root(parent, k)] += values[p]
    for k in range(order.size):
        out[k] = out[_root(parent, k)]

    return out


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
    tree: Tree, rules: Rules, a: int, b: int, level: float, total: float
) -> None:  # pragma: no cover
    r"""Connects two basins at a level, and makes them one source if they are not two."""

    i, j = _root(tree.piece, a), _root(tree.piece, b)
    if b == 0 or i == j:
        return
    m, n = _root(tree.owner, a), _root(tree.owner, b)
    if not (_apart(tree, rules, i, j, level, total) and _beside(tree.sums[m], tree.sums[n])):
        _join(tree.owner, m, n)
        for k in range(tree.sums.shape[1]):
            tree.sums[min(m, n), k] += tree.sums[max(m, n), k]
    _join(tree.piece, i, j)
    low, high = min(i, j), max(i, j)
    tree.flux[low] += tree.flux[high]
    tree.size[low] += tree.size[high]


@inner
def _apart(
    tree: Tree, rules: Rules, i: int, j: int, level: float, total: float
) -> bool:  # pragma: no cover
    r"""Says whether two components stand out of a level, with enough of the flux above it."""

    if min(tree.peaks[i], tree.peaks[j]) - level < 3 * rules.noise:
        return False
    if min(tree.size[i], tree.size[j]) < rules.least:
        return False
    first = (tree.flux[i] - tree.size[i] * level) / total
    second = (tree.flux[j] - tree.size[j] * level) / total

    return min(first, second) * (first + second) ** 2 >= rules.contrast


@inner
def _beside(one: NDArray, other: NDArray) -> bool:  # pragma: no cover
    r"""Says whether the centroid of neither source is within the other one."""

    y, x = other[1] / other[0] - one[1] / one[0], other[2] / other[0] - one[2] / one[0]

    return min(_distance2(one, y, x), _distance2(other, y, x)) >= 1


@inner
def _distance2(sums: NDArray, y: float, x: float) -> float:  # pragma: no cover
    r"""Returns the square of the distance from a centroid in units of the standard deviation."""

    n, at_y, at_x = sums[0], sums[1] / sums[0], sums[2] / sums[0]
    yy = sums[3] / n - at_y * at_y + PIXEL
    yx = sums[4] / n - at_y * at_x
    xx = sums[5] / n - at_x * at_x + PIXEL

    return (xx * y * y - 2 * yx * y * x + yy * x * x) / (yy * xx - yx * yx)

r"""Pieces of connected pixels that grow and merge as pixels are added, brightest first.

Pixels are connected through sides and corners. In a *forest*, each pixel points to another of
its piece, up to a root.

References:
    | Efficiency of a Good But Not Linear Set Union Algorithm (Tarjan, 1975)
    | https://doi.org/10.1145/321879.321884
"""

__all__ = ["forest", "merge", "positive", "rimmed", "root", "touching"]

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import inner, making


@making
def forest(height: int, width: int) -> tuple[NDArray, NDArray]:  # pragma: no cover
    r"""Returns what each pixel points to, and the areas of pieces, of an image with a rim.

    The rim is one pixel wide, so that the pixel in row `i` and column `j` is the one with index
    `(i + 1) * (width + 2) + j + 1`. No pixel is in a piece yet, and none of the rim will be.
    """

    size = (height + 2) * (width + 2)

    return np.full(size, -1), np.zeros(size, np.int64)


@inner
def rimmed(p: int, width: int) -> int:  # pragma: no cover
    r"""Returns the index of a pixel in an image with a rim: see :func:`forest`."""

    return p + 2 * (p // width) + width + 3


@inner
def touching(
    parent: NDArray[np.int64], p: int, across: int, out: NDArray[np.int64]
) -> int:  # pragma: no cover
    r"""Finds the pieces that a new pixel touches.

    Arguments:
        parent: What each pixel points to.
        p: The index of the pixel.
        across: The width of the image with its rim.
        out: Where to put the roots of the pieces, with 8 places.

    Returns:
        The number of pieces.
    """

    count = 0
    for middle in (p - across, p, p + across):
        for q in (middle - 1, middle, middle + 1):
            if parent[q] >= 0:
                out[count] = root(parent, q)
                count += not _among(out, count)

    return count


@inner
def _among(out: NDArray, count: int) -> bool:  # pragma: no cover
    r"""Tells if a number was there before."""

    for k in range(count):
        if out[k] == out[count]:
            return True

    return False


@inner
def root(parent: NDArray, p: int) -> int:  # pragma: no cover
    r"""Returns the root of the piece of a pixel; shortens the way there."""

    while parent[p] != p:
        parent[p] = parent[parent[p]]
        p = parent[p]

    return p


@inner
def merge(
    parent: NDArray[np.int64], area: NDArray[np.int64], p: int, roots: NDArray[np.int64]
) -> int:  # pragma: no cover
    r"""Adds a pixel, and makes one piece of it and of those that it touches.

    Arguments:
        parent: What each pixel points to.
        area: The number of pixels of each piece, at its root.
        p: The index of the pixel.
        roots: The pieces that it touches.

    Returns:
        The root of the piece.
    """

    root, total = p, 1
    for r in roots:
        total += area[r]
        if area[r] > area[root]:
            root = r
    parent[p] = root
    for r in roots:
        parent[r] = root
    area[root] = total

    return root


@making
def positive(
    values: NDArray[np.float64], order: NDArray[np.int64]
) -> NDArray[np.int64]:  # pragma: no cover
    r"""Returns the pixels that are positive, the brightest first, of those that are sorted."""

    count = 0
    while count < order.size and values[order[order.size - 1 - count]] > 0.0:
        count += 1

    return order[order.size - count :][::-1].copy()

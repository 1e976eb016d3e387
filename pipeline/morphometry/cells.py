r"""An image as squares of pixels, small where a galaxy is steep and large in its outskirts."""

__all__ = ["BLOCK", "corner", "gather"]

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.morphometry.compiled import inner
from pipeline.morphometry.geometry import Aperture

BLOCK = 8
r"""The side of the largest squares, in pixels: a power of two."""


@njit(error_model="numpy")
def gather(
    image: NDArray[np.float64],
    sigma: NDArray[np.float64],
    galaxy: Aperture,
    fineness: float,
    cells: NDArray[np.float64],
) -> tuple[int, int, float]:  # pragma: no cover
    r"""Averages an image over squares whose side grows with the distance from a galaxy.

    Least squares on the averages of squares, across which a model is nearly linear, have the
    minimum of least squares on their pixels. A square of side :math:`h` is accepted where

    .. math:: h \le \phi \, q \sqrt{x'^2 + y'^2 / q^2}

    along and across the axes of the galaxy, else split in four; so is one with pixels that do
    not count, down to single pixels. The squares are laid about the corner of pixels next to
    the centre: the symmetries of the square and shifts by whole pixels move them along.

    Arguments:
        image: The image, with shape `(H, W)`. A pixel of exactly 0 does not count.
        sigma: The standard deviation of each pixel, with shape `(H, W)`. A pixel where it is
            not positive does not count.
        galaxy: The centre and shape; its size does not matter.
        fineness: The factor :math:`\phi`; 0 for single pixels.
        cells: Where the squares are put, with shape `(H * W, 5)`: column and row of the centre,
            side, sum of the weights :math:`\sigma^{-2}` and weighted sum of the pixels.

    Returns:
        The number of squares, of pixels that count, and the weighted sum of their squares.
    """

    height, width = image.shape
    left, top = -(-corner(galaxy.x, width) % BLOCK), -(-corner(galaxy.y, height) % BLOCK)
    stack = np.empty((64, 3), np.int64)
    found, pixels, total = 0, 0, 0.0
    for i in range(top, height, BLOCK):
        for j in range(left, width, BLOCK):
            stack[0, 0], stack[0, 1], stack[0, 2] = i, j, BLOCK
            added, count, squares = _divide(image, sigma, galaxy, fineness, stack, cells[found:])
            found += added
            pixels += count
            total += squares

    return found, pixels, total


@inner
def _divide(
    image: NDArray,
    sigma: NDArray,
    galaxy: Aperture,
    fineness: float,
    stack: NDArray,
    cells: NDArray,
) -> tuple[int, int, float]:  # pragma: no cover
    r"""Divides the block on the stack in squares that are accepted."""

    sums = np.empty(3)
    found, pixels, total = 0, 0, 0.0
    depth = 1
    while depth:
        depth -= 1
        y, x, side = stack[depth, 0], stack[depth, 1], stack[depth, 2]
        count = _accept(image, sigma, galaxy, fineness, y, x, side, sums)
        if count < 0:
            depth = _split(stack, depth, y, x, side // 2)
        elif count:
            cells[found, 0] = x + 0.5 * (side - 1)
            cells[found, 1] = y + 0.5 * (side - 1)
            cells[found, 2] = side
            cells[found, 3], cells[found, 4] = sums[0], sums[1]
            found += 1
            pixels += count
            total += sums[2]

    return found, pixels, total


@njit(error_model="numpy")
def corner(centre: float, size: int) -> int:  # pragma: no cover
    r"""Returns the first pixel after a centre, where a block starts."""

    return int(math.floor(min(max(centre, 0.0), size - 1.0))) + 1


@inner
def _split(stack: NDArray, depth: int, y: int, x: int, side: int) -> int:  # pragma: no cover
    for quarter in range(4):
        stack[depth, 0] = y + side * (quarter // 2)
        stack[depth, 1] = x + side * (quarter % 2)
        stack[depth, 2] = side
        depth += 1

    return depth


@inner
def _accept(
    image: NDArray,
    sigma: NDArray,
    galaxy: Aperture,
    fineness: float,
    y: int,
    x: int,
    side: int,
    sums: NDArray,
) -> int:  # pragma: no cover
    r"""Sums a square, if it is small enough. Returns how many pixels count, -1 to split it."""

    height, width = image.shape
    if y >= height or x >= width or y + side <= 0 or x + side <= 0:
        return 0
    if side > 1:
        if y < 0 or x < 0 or y + side > height or x + side > width:
            return -1
        dx, dy = x + 0.5 * (side - 1) - galaxy.x, y + 0.5 * (side - 1) - galaxy.y
        cos, sin = math.cos(galaxy.theta), math.sin(galaxy.theta)
        along, across = galaxy.q * (dx * cos + dy * sin), dy * cos - dx * sin
        if side > fineness * math.sqrt(along * along + across * across):
            return -1
    count = _sum(image, sigma, y, x, side, sums)

    return count if count in (0, side * side) else -1


@inner
def _sum(
    image: NDArray, sigma: NDArray, y: int, x: int, side: int, sums: NDArray
) -> int:  # pragma: no cover
    r"""Sums the weights of pixels, the weighted pixels and their squares."""

    weights, values, squares, count = 0.0, 0.0, 0.0, 0
    for i in range(y, y + side):
        for j in range(x, x + side):
            if image[i, j] != 0.0 and sigma[i, j] > 0.0:
                weight = 1.0 / (sigma[i, j] * sigma[i, j])
                value = weight * image[i, j]
                weights += weight
                values += value
                squares += value * image[i, j]
                count += 1
    sums[0], sums[1], sums[2] = weights, values, squares

    return count

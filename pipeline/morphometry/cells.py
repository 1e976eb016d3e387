r"""An image as squares of pixels, small where a galaxy is steep and large in its outskirts."""

__all__ = ["BLOCK", "corner", "gather", "inverse_variance"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import inlined, inner, making
from pipeline.morphometry.geometry import Aperture

BLOCK = 8
r"""The side of the largest squares, in pixels: a power of two."""

Form = tuple[float, float, float, float, float]
r"""The centre, and the form of the squared distance from it on the scale of the minor axis."""


@making
def inverse_variance(image: NDArray, sigma: NDArray, zeros: bool) -> NDArray:  # pragma: no cover
    r"""Returns the weight of each pixel, 0 where the noise is not positive, and of pixels of
    exactly 0 unless these count."""

    out = np.zeros(image.shape)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            if (zeros or image[i, j] != 0.0) and sigma[i, j] > 0.0:
                out[i, j] = 1.0 / (sigma[i, j] * sigma[i, j])

    return out


@making
def gather(
    image: NDArray[np.float64],
    weight: NDArray[np.float64],
    galaxy: Aperture,
    fineness: float,
    cells: NDArray[np.float64],
) -> tuple[int, int, float]:  # pragma: no cover
    r"""Averages an image over squares whose side grows with the distance from a galaxy.

    Least squares on the averages of squares, across which a model is nearly linear, have the
    minimum of least squares on their pixels, if an average is compared with the model where it
    is: at the mean place of its pixels, weighted as they are, as bright ones weigh less where
    photons count. A square of side :math:`h` is accepted where

    .. math:: h \le \phi \, q \sqrt{x'^2 + y'^2 / q^2}

    along and across the axes of the galaxy, else split in four; so is one with pixels that do
    not count, down to single pixels. The squares are laid about the corner of pixels next to
    the centre: the symmetries of the square and shifts by whole pixels move them along.

    Arguments:
        image: The image, with shape `(H, W)`.
        weight: The inverse variance of each pixel, 0 where it does not count, `(H, W)`.
        galaxy: The centre and shape; its size does not matter.
        fineness: The factor :math:`\phi`; 0 for single pixels.
        cells: Where the squares are put, with shape `(H * W + 1, 5)`: column and row of the
            weighted mean, side, sum of the weights :math:`\sigma^{-2}`, weighted sum of the
            pixels.

    Returns:
        The number of squares, of pixels that count, and the weighted sum of their squares.
    """

    height, width = image.shape
    left, top = -(-corner(galaxy.x, width) % BLOCK), -(-corner(galaxy.y, height) % BLOCK)
    stack, form = np.empty((64, 3), np.int64), _form(galaxy)
    found, pixels, total = 0, 0, 0.0
    for i in range(top, height, BLOCK):
        for j in range(left, width, BLOCK):
            stack[0, 0], stack[0, 1], stack[0, 2] = i, j, BLOCK
            added, count, squares = _divide(image, weight, form, fineness, stack, cells[found:])
            found += added
            pixels += count
            total += squares

    return found, pixels, total


@inner
def _form(galaxy: Aperture) -> Form:  # pragma: no cover
    cos, sin, square = math.cos(galaxy.theta), math.sin(galaxy.theta), galaxy.q * galaxy.q
    xx, yy = square * cos * cos + sin * sin, square * sin * sin + cos * cos

    return galaxy.x, galaxy.y, xx, (square - 1.0) * sin * cos, yy


@inner
def _divide(
    image: NDArray,
    weight: NDArray,
    form: Form,
    fineness: float,
    stack: NDArray,
    cells: NDArray,
) -> tuple[int, int, float]:  # pragma: no cover
    r"""Divides the block on the stack in squares that are accepted."""

    found, pixels, total = 0, 0, 0.0
    depth = 1
    while depth:
        depth -= 1
        y, x, side = stack[depth, 0], stack[depth, 1], stack[depth, 2]
        whole = not _large(form, fineness, image.shape, (y, x, side))
        if whole:
            count, squares = _sum(image, weight, (y, x, side), cells[found])
            whole = count in (0, side * side)
            if count == side * side:
                found, pixels, total = found + 1, pixels + count, total + squares
        if not whole and side > 2:
            depth = _quarter(stack, depth, y, x, side // 2)
        elif not whole:
            count, squares = _each(image, weight, (y, x, side), cells[found:])
            found, pixels, total = found + count, pixels + count, total + squares

    return found, pixels, total


@inner
def _quarter(stack: NDArray, depth: int, y: int, x: int, side: int) -> int:  # pragma: no cover
    for quarter in range(4):
        stack[depth, 0] = y + side * (quarter // 2)
        stack[depth, 1] = x + side * (quarter % 2)
        stack[depth, 2] = side
        depth += 1

    return depth


@inner
def corner(centre: float, size: int) -> int:  # pragma: no cover
    r"""Returns the first pixel after a centre, where a block starts."""

    return int(math.floor(min(max(centre, 0.0), size - 1.0))) + 1


@inlined
def _large(
    form: Form, fineness: float, shape: tuple[int, int], square: tuple[int, int, int]
) -> bool:  # pragma: no cover
    r"""Tells whether a square is too large, or reaches over the edge of the image."""

    (height, width), (y, x, side) = shape, square
    if y < 0 or x < 0 or y + side > height or x + side > width:
        return y < height and x < width and y + side > 0 and x + side > 0
    x0, y0, xx, xy, yy = form
    dx, dy = x + 0.5 * (side - 1) - x0, y + 0.5 * (side - 1) - y0

    return side > fineness * math.sqrt(xx * dx * dx + 2.0 * xy * dx * dy + yy * dy * dy)


@inlined
def _sum(
    image: NDArray, weight: NDArray, square: tuple[int, int, int], cell: NDArray
) -> tuple[int, float]:  # pragma: no cover
    r"""Writes a cell of all pixels of a square; returns how many count, and their squares."""

    (height, width), (y, x, side) = image.shape, square
    count, weights, values, squares = 0, 0.0, 0.0, 0.0
    across, along, middle = 0.0, 0.0, 0.5 * (side - 1)
    for i in range(max(y, 0), min(y + side, height)):
        for j in range(max(x, 0), min(x + side, width)):
            value = weight[i, j] * image[i, j]
            count += weight[i, j] > 0.0
            weights += weight[i, j]
            values += value
            squares += value * image[i, j]
            across += weight[i, j] * (j - x - middle)
            along += weight[i, j] * (i - y - middle)
    scale = 1.0 / weights if weights > 0.0 else 0.0
    cell[0], cell[1] = x + middle + across * scale, y + middle + along * scale
    cell[2], cell[3], cell[4] = side, weights, values

    return count, squares


@inlined
def _each(
    image: NDArray, weight: NDArray, square: tuple[int, int, int], cells: NDArray
) -> tuple[int, float]:  # pragma: no cover
    r"""Writes a cell for each pixel of a square that counts; returns their number and squares."""

    (height, width), (y, x, side) = image.shape, square
    count, squares = 0, 0.0
    for i in range(max(y, 0), min(y + side, height)):
        for j in range(max(x, 0), min(x + side, width)):
            if weight[i, j] > 0.0:
                value = weight[i, j] * image[i, j]
                cell = cells[count]
                cell[0], cell[1], cell[2], cell[3], cell[4] = j, i, 1.0, weight[i, j], value
                count += 1
                squares += value * image[i, j]

    return count, squares

r"""An image turned by half a turn.

The turned image at a pixel is the image at the opposite point, interpolated bilinearly. About
one centre, the fractions of the interpolation are the same at all pixels, so that a row of the
turned image is a sum of two rows read backwards.
"""

__all__ = [
    "Turn",
    "interior",
    "opposite",
    "residual",
    "shares",
    "turn_about",
    "turned",
    "turned_variance",
]

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inlined, inner, making


class Turn(NamedTuple):
    r"""Half a turn: pixel `(i, j)` comes from `(row - i + down, column - j + right)`.

    Arguments:
        column: The whole part of the sum of a column and the opposite one.
        row: The whole part of the sum of a row and the opposite one.
        right: Its fraction.
        down: Its fraction.
        near_column: The sum, rounded.
        near_row: The sum, rounded.
    """

    column: int
    row: int
    right: float
    down: float
    near_column: int
    near_row: int


@inlined
def turn_about(x: float, y: float) -> Turn:  # pragma: no cover
    r"""Returns half a turn about a point."""

    column, row = math.floor(2 * x), math.floor(2 * y)

    return Turn(
        int(column),
        int(row),
        2 * x - column,
        2 * y - row,
        int(math.floor(2 * x + 0.5)),
        int(math.floor(2 * y + 0.5)),
    )


@inlined
def turned(
    image: NDArray, kept: NDArray, i: int, j: int, turn: Turn
) -> tuple[float, float]:  # pragma: no cover
    r"""Returns the turned image in a pixel, and 1 if that and the image are not masked, else 0.

    The image is interpolated with zeros around it. The mask is that of the nearest pixel, and
    none outside of the image.
    """

    height, width = image.shape
    k, l = turn.column - j, turn.row - i
    left, right = 0 <= k < width, 0 <= k + 1 < width
    above, below = 0 <= l < height, 0 <= l + 1 < height
    upper = (image[l, k] * (1 - turn.right) if above and left else 0.0) + (
        image[l, k + 1] * turn.right if above and right else 0.0
    )
    lower = (image[l + 1, k] * (1 - turn.right) if below and left else 0.0) + (
        image[l + 1, k + 1] * turn.right if below and right else 0.0
    )
    row, column = turn.near_row - i, turn.near_column - j
    within = 0 <= row < height and 0 <= column < width
    opposite = kept[row, column] if within else 1.0

    return upper * (1 - turn.down) + lower * turn.down, kept[i, j] * opposite


@inlined
def interior(
    i: int, start: int, stop: int, turn: Turn, height: int, width: int
) -> tuple[int, int]:  # pragma: no cover
    r"""Returns the part of a row whose opposite pixels are all inside of the image."""

    if not 0 <= turn.row - i < height - 1:
        return stop, stop
    first = min(max(turn.column + 2 - width, start), stop)

    return first, max(min(turn.column + 1, stop), first)


@inlined
def shares(turn: Turn) -> tuple[float, float, float, float]:  # pragma: no cover
    r"""Returns the shares of the four opposite pixels: above, the right one first, and below."""

    u, v = turn.right, turn.down

    return u * (1 - v), (1 - u) * (1 - v), u * v, (1 - u) * v


@inlined
def opposite(
    image: NDArray,
    kept: NDArray,
    i: int,
    j: int,
    turn: Turn,
    parts: tuple[float, float, float, float],
) -> tuple[float, float]:  # pragma: no cover
    r"""Returns the same as :func:`turned` in the interior."""

    a, b, c, d = parts
    l, k = turn.row - i, turn.column - j
    value = a * image[l, k + 1] + b * image[l, k] + c * image[l + 1, k + 1] + d * image[l + 1, k]

    return value, kept[i, j] * kept[turn.near_row - i, turn.near_column - j]


@entry
def residual(
    image: NDArray[np.float64], mask: NDArray[np.bool_], x: float, y: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:  # pragma: no cover
    r"""Subtracts an image from itself, turned by half a turn.

    Arguments:
        image: The image, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.

    Returns:
        The difference :math:`I_{180} - I`, zero where it is left out, and whether it is, since
        the pixel or the opposite one is masked, both with shape `(H, W)`.
    """

    height, width = image.shape
    turn = turn_about(x, y)
    parts = shares(turn)
    kept = np.where(mask, 0.0, 1.0)
    difference, hidden = np.empty(image.shape), np.empty(image.shape, np.bool_)
    for i in range(height):
        first, last = interior(i, 0, width, turn, height, width)
        for n in range(width - last + first):
            j = n if n < first else n - first + last
            value, both = turned(image, kept, i, j, turn)
            difference[i, j] = both * (value - image[i, j])
            hidden[i, j] = both == 0
        for j in range(first, last):
            value, both = opposite(image, kept, i, j, turn, parts)
            difference[i, j] = both * (value - image[i, j])
            hidden[i, j] = both == 0

    return difference, hidden


@making
def turned_variance(
    noise: NDArray[np.float64], x: float, y: float
) -> NDArray[np.float64]:  # pragma: no cover
    r"""Returns the variance of the turned image.

    Arguments:
        noise: The standard deviation of each pixel, taken to be independent, `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.

    Returns:
        The variance, with shape `(H, W)`.
    """

    height, width = noise.shape
    turn = turn_about(x, y)
    a, b, c, d = shares(turn)
    out = np.empty(noise.shape)
    for i in range(height):
        first, last = interior(i, 0, width, turn, height, width)
        for n in range(width - last + first):
            j = n if n < first else n - first + last
            out[i, j] = _turned_variance(noise, i, j, turn)
        for j in range(first, last):
            l, k = turn.row - i, turn.column - j
            total = (a * noise[l, k + 1]) ** 2 + (b * noise[l, k]) ** 2
            out[i, j] = total + (c * noise[l + 1, k + 1]) ** 2 + (d * noise[l + 1, k]) ** 2

    return out


@inner
def _turned_variance(noise: NDArray, i: int, j: int, turn: Turn) -> float:  # pragma: no cover
    r"""Returns the variance of the turned image in a pixel."""

    height, width = noise.shape
    total = 0.0
    for b in range(2):
        for a in range(2):
            l, k = turn.row - i + b, turn.column - j + a
            if 0 <= l < height and 0 <= k < width:
                share = (turn.right if a else 1 - turn.right) * (turn.down if b else 1 - turn.down)
                total += (share * noise[l, k]) ** 2

    return total

r"""An image and itself turned by half a turn.

The turned image at a pixel is the image at the opposite point, interpolated bilinearly. About
one centre, the fractions of the interpolation are the same at all pixels, so that a row of the
turned image is a sum of two rows read backwards.
"""

__all__ = ["OUTSIDE", "Search", "about", "prepare", "residual", "turned_variance"]

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.morphometry.circle import after, before, chords, corner, cut

OUTSIDE = 100.0
r"""What the asymmetry is taken to be about a centre about which there is none."""


class Search(NamedTuple):
    r"""What the asymmetry about any centre depends on, and room to work in.

    Arguments:
        image: The image, zero where masked, with shape `(H, W)`.
        kept: 1 where the image is not masked, else 0, with shape `(H, W)`.
        back: The image from its last pixel to its first, `(H, W)`.
        back_kept: The same of the mask, `(H, W)`.
        light: The sums of its absolute values to the left of each pixel, `(H, W + 1)`.
        number: The numbers of pixels that are not masked to the left, `(H, W + 1)`.
        masked: Whether any pixel is masked.
        radius: The radius of the aperture, in pixels.
        sky: The asymmetry of a pixel of sky, 0 if it is not known.
        lines: Room for the lines between columns, seen from the centre, `(W + 1)`.
        cuts: Room for the area under the circle from its centre to these lines, `(W + 1)`.
    """

    image: NDArray[np.float64]
    kept: NDArray[np.float64]
    back: NDArray[np.float64]
    back_kept: NDArray[np.float64]
    light: NDArray[np.float64]
    number: NDArray[np.float64]
    masked: bool
    radius: float
    sky: float
    lines: NDArray[np.float64]
    cuts: NDArray[np.float64]


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


@njit
def prepare(
    image: NDArray, mask: NDArray, radius: float, sky: float
) -> Search:  # pragma: no cover
    r"""Computes what does not depend on the centre."""

    height, width = image.shape
    light, number = np.zeros((height, width + 1)), np.zeros((height, width + 1))
    kept = np.ones((height, width))
    for i in range(height):
        for j in range(width):
            if mask[i, j]:
                kept[i, j] = 0.0
            light[i, j + 1] = light[i, j] + abs(image[i, j])
            number[i, j + 1] = number[i, j] + kept[i, j]
    masked = number[:, width].sum() < height * width
    sky = 0.0 if np.isnan(sky) else sky
    back, back_kept = image[::-1, ::-1].copy(), kept[::-1, ::-1].copy()
    lines, cuts = np.empty(width + 1), np.empty(width + 1)

    return Search(image, kept, back, back_kept, light, number, masked, radius, sky, lines, cuts)


@njit
def about(x: float, y: float, search: Search) -> float:  # pragma: no cover
    r"""Returns the asymmetry about a point: what the search for the centre minimizes."""

    height, width = search.image.shape
    if not (0 <= x < width and 0 <= y < height):
        return OUTSIDE

    difference, total, area = _circle(x, y, search)

    return (difference - area * search.sky) / total if total > 0 else OUTSIDE


@njit
def _turn(x: float, y: float) -> Turn:  # pragma: no cover
    column, row = math.floor(2 * x), math.floor(2 * y)

    return Turn(
        int(column),
        int(row),
        2 * x - column,
        2 * y - row,
        int(math.floor(2 * x + 0.5)),
        int(math.floor(2 * y + 0.5)),
    )


@njit
def _circle(x: float, y: float, search: Search) -> tuple[float, float, float]:  # pragma: no cover
    r"""Sums :math:`|I_{180} - I|`, :math:`|I|` and the area over a circle, exactly."""

    turn = _turn(x, y)
    d0, t0, a0 = _rims(x, y, turn, search)
    d1, t1, a1 = _insides(x, y, turn, search)

    return d0 + d1, t0 + t1, a0 + a1


@njit
def _rims(
    x: float, y: float, turn: Turn, search: Search
) -> tuple[float, float, float]:  # pragma: no cover
    r"""Sums pixels that are partly in the circle."""

    image, lines, cuts, r = search.image, search.lines, search.cuts, search.radius
    height, width = image.shape
    for j in range(max(after(x - r), 0), min(before(x + r), width - 1) + 2):
        lines[j] = min(max(j - 0.5 - x, -r), r)
        cuts[j] = cut(lines[j], r)

    difference, total, area = 0.0, 0.0, 0.0
    top = max(after(y - r), 0)
    v1 = max(top - 0.5 - y, -r)
    cut1 = cut(v1, r)
    for i in range(top, min(before(y + r) + 1, height)):
        v0, cut0, v1 = v1, cut1, min(i + 0.5 - y, r)
        cut1 = cut(v1, r)
        first, start, stop, last = chords(i, x, y, r, width)
        left = 0.0
        for n in range(start - first + last - stop):
            j = first + n if first + n < start else stop + n - (start - first)
            if j in (first, stop):
                left = corner(lines[j], v1, cuts[j], cut1, r)
                left -= corner(lines[j], v0, cuts[j], cut0, r)
            right = corner(lines[j + 1], v1, cuts[j + 1], cut1, r)
            right -= corner(lines[j + 1], v0, cuts[j + 1], cut0, r)
            value, kept = _turned(image, search.kept, i, j, turn)
            share = (right - left) * kept
            difference += share * abs(value - image[i, j])
            total += share * abs(image[i, j])
            area += share
            left = right

    return difference, total, area


@njit
def _turned(
    image: NDArray, kept: NDArray, i: int, j: int, turn: Turn
) -> tuple[float, float]:  # pragma: no cover
    r"""Returns the turned image in a pixel, and 1 if that and the image are not masked, else 0.

    The image is interpolated with zeros around it. The mask is that of the nearest pixel, but
    none outside of the centres of the outermost pixels.
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
    within = left and above and (right or turn.right == 0) and (below or turn.down == 0)
    opposite = kept[turn.near_row - i, turn.near_column - j] if within else 1.0

    return upper * (1 - turn.down) + lower * turn.down, kept[i, j] * opposite


@njit
def _insides(
    x: float, y: float, turn: Turn, search: Search
) -> tuple[float, float, float]:  # pragma: no cover
    r"""Sums pixels that are wholly in the circle.

    Where nothing is turned onto a pixel, it differs from zero. Only next to an edge of the
    turned image do pixels need care.
    """

    r = search.radius
    height, width = search.image.shape
    difference, total, area = 0.0, 0.0, 0.0
    for i in range(max(after(y - r), 0), min(before(y + r) + 1, height)):
        _, start, stop, _ = chords(i, x, y, r, width)
        first = min(max(turn.column + 2 - width, start), stop)
        last = max(min(turn.column + 1, stop), first)
        if not 0 <= turn.row - i < height - 1:
            first, last = stop, stop
        if first < last:
            d, t, a = _span(i, first, last, turn, search)
            difference, total, area = difference + d, total + t, area + a
        if start < first or last < stop:
            d, t, a = _beyond(i, start, first, turn, search)
            difference, total, area = difference + d, total + t, area + a
            d, t, a = _beyond(i, last, stop, turn, search)
            difference, total, area = difference + d, total + t, area + a

    return difference, total, area


@njit
def _beyond(
    i: int, start: int, stop: int, turn: Turn, search: Search
) -> tuple[float, float, float]:  # pragma: no cover
    r"""Sums part of a row next to the turned image, or beyond it."""

    light, number = search.light, search.number
    outside = not -1 <= turn.row - i < search.image.shape[0]
    width = search.image.shape[1]
    # The columns of which an opposite one is inside
    first = stop if outside else min(max(turn.column + 1 - width, start), stop)
    last = max(min(turn.column + 2, stop), first)
    total = light[i, stop] - light[i, last] + light[i, first] - light[i, start]
    area = number[i, stop] - number[i, last] + number[i, first] - number[i, start]
    difference = total
    for j in range(first, last):
        value, kept = _turned(search.image, search.kept, i, j, turn)
        difference += kept * abs(value - search.image[i, j])
        total += kept * abs(search.image[i, j])
        area += kept

    return difference, total, area


@njit
def _span(
    i: int, start: int, stop: int, turn: Turn, search: Search
) -> tuple[float, float, float]:  # pragma: no cover
    r"""Sums part of a row whose opposite pixels are all inside of the image."""

    height, width = search.image.shape
    row, shift = height - 1 - turn.row + i, width - 1 - turn.column
    image = search.image[i, start:stop]
    # One more on the left, where the next column is in the image that is turned
    low = search.back[row, start + shift - 1 : stop + shift]
    high = search.back[row - 1, start + shift - 1 : stop + shift]
    u, v = turn.right, turn.down
    if search.masked:
        near = width - 1 - turn.near_column
        opposite = search.back_kept[height - 1 - turn.near_row + i, start + near : stop + near]
        return _masked(image, search.kept[i, start:stop], low, high, opposite, u, v)

    total = search.light[i, stop] - search.light[i, start]

    return _plain(image, low, high, u, v), total, float(stop - start)


# Only the order of the sums is left to the compiler: it is the same in every call.
@njit(fastmath={"reassoc"})
def _plain(
    image: NDArray, low: NDArray, high: NDArray, u: float, v: float
) -> float:  # pragma: no cover
    r"""Sums the absolute differences from the turned image."""

    a, b, c, d = u * (1 - v), (1 - u) * (1 - v), u * v, (1 - u) * v
    total = 0.0
    for j in range(image.size):
        value = a * low[j] + b * low[j + 1] + c * high[j] + d * high[j + 1]
        total += abs(value - image[j])

    return total


@njit(fastmath={"reassoc"})
def _masked(
    image: NDArray,
    kept: NDArray,
    low: NDArray,
    high: NDArray,
    opposite: NDArray,
    u: float,
    v: float,
) -> tuple[float, float, float]:  # pragma: no cover
    r"""Sums the same, what is left of the light and the area, where neither is masked."""

    a, b, c, d = u * (1 - v), (1 - u) * (1 - v), u * v, (1 - u) * v
    difference, total, area = 0.0, 0.0, 0.0
    for j in range(image.size):
        value = a * low[j] + b * low[j + 1] + c * high[j] + d * high[j + 1]
        both = kept[j] * opposite[j]
        difference += both * abs(value - image[j])
        total += both * abs(image[j])
        area += both

    return difference, total, area


@njit(cache=True)
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

    turn = _turn(x, y)
    kept = np.where(mask, 0.0, 1.0)
    difference, hidden = np.empty(image.shape), np.empty(image.shape, np.bool_)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            value, both = _turned(image, kept, i, j, turn)
            difference[i, j] = both * (value - image[i, j])
            hidden[i, j] = both == 0

    return difference, hidden


@njit
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

    turn = _turn(x, y)
    out = np.empty(noise.shape)
    for i in range(noise.shape[0]):
        for j in range(noise.shape[1]):
            out[i, j] = _turned_variance(noise, i, j, turn)

    return out


@njit
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

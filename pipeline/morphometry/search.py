r"""The asymmetry about any point, for the search for the centre of a galaxy."""

__all__ = ["OUTSIDE", "Search", "about", "prepare"]

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.circle import after, before, chords, corner, cut
from pipeline.morphometry.compiled import inlined, inner, making, summing
from pipeline.morphometry.half_turn import Turn, interior, opposite, shares, turn_about, turned

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


@making
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


@inner
def about(x: float, y: float, search: Search) -> float:  # pragma: no cover
    r"""Returns the asymmetry about a point: what the search for the centre minimizes."""

    height, width = search.image.shape
    if not (0 <= x < width and 0 <= y < height):
        return OUTSIDE

    difference, total, area = _circle(x, y, search)

    return (difference - area * search.sky) / total if total > 0 else OUTSIDE


@inner
def _circle(x: float, y: float, search: Search) -> tuple[float, float, float]:  # pragma: no cover
    r"""Sums :math:`|I_{180} - I|`, :math:`|I|` and the area over a circle, exactly."""

    turn = turn_about(x, y)
    d0, t0, a0 = _rims(x, y, turn, search)
    d1, t1, a1 = _insides(x, y, turn, search)

    return d0 + d1, t0 + t1, a0 + a1


@inlined
def _rims(
    x: float, y: float, turn: Turn, search: Search
) -> tuple[float, float, float]:  # pragma: no cover
    r"""Sums pixels that are partly in the circle."""

    image, lines, cuts, r = search.image, search.lines, search.cuts, search.radius
    height, width = image.shape
    for j in range(max(after(x - r), 0), min(before(x + r), width - 1) + 2):
        lines[j] = min(max(j - 0.5 - x, -r), r)
        cuts[j] = cut(lines[j], r)

    difference, total, area, parts = 0.0, 0.0, 0.0, shares(turn)
    top = max(after(y - r), 0)
    v1 = max(top - 0.5 - y, -r)
    cut1 = cut(v1, r)
    for i in range(top, min(before(y + r) + 1, height)):
        v0, cut0, v1 = v1, cut1, min(i + 0.5 - y, r)
        cut1 = cut(v1, r)
        first, start, stop, last = chords(i, x, y, r, width)
        begin, end = interior(i, first, last, turn, height, width)
        left = 0.0
        for n in range(start - first + last - stop):
            j = first + n if first + n < start else stop + n - (start - first)
            if j in (first, stop):
                left = corner(lines[j], v1, cuts[j], cut1, r)
                left -= corner(lines[j], v0, cuts[j], cut0, r)
            right = corner(lines[j + 1], v1, cuts[j + 1], cut1, r)
            right -= corner(lines[j + 1], v0, cuts[j + 1], cut0, r)
            if begin <= j < end:
                value, kept = opposite(image, search.kept, i, j, turn, parts)
            else:
                value, kept = turned(image, search.kept, i, j, turn)
            share = (right - left) * kept
            difference += share * abs(value - image[i, j])
            total += share * abs(image[i, j])
            area += share
            left = right

    return difference, total, area


@inlined
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
        first, last = interior(i, start, stop, turn, height, width)
        if first < last:
            d, t, a = _span(i, first, last, turn, search)
            difference, total, area = difference + d, total + t, area + a
        if start < first or last < stop:
            d, t, a = _beyond(i, start, first, turn, search)
            difference, total, area = difference + d, total + t, area + a
            d, t, a = _beyond(i, last, stop, turn, search)
            difference, total, area = difference + d, total + t, area + a

    return difference, total, area


@inner
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
        value, kept = turned(search.image, search.kept, i, j, turn)
        difference += kept * abs(value - search.image[i, j])
        total += kept * abs(search.image[i, j])
        area += kept

    return difference, total, area


@inlined
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
    if search.masked:
        near = width - 1 - turn.near_column
        opposite = search.back_kept[height - 1 - turn.near_row + i, start + near : stop + near]
        return _masked(image, search.kept[i, start:stop], low, high, opposite, shares(turn))

    total = search.light[i, stop] - search.light[i, start]

    return _plain(image, low, high, shares(turn)), total, float(stop - start)


@summing
def _plain(
    image: NDArray, low: NDArray, high: NDArray, parts: tuple[float, float, float, float]
) -> float:  # pragma: no cover
    r"""Sums the absolute differences from the turned image."""

    a, b, c, d = parts
    total = 0.0
    for j in range(image.size):
        value = a * low[j] + b * low[j + 1] + c * high[j] + d * high[j + 1]
        total += abs(value - image[j])

    return total


@summing
def _masked(
    image: NDArray,
    kept: NDArray,
    low: NDArray,
    high: NDArray,
    opposite: NDArray,
    parts: tuple[float, float, float, float],
) -> tuple[float, float, float]:  # pragma: no cover
    r"""Sums the same, what is left of the light and the area, where neither is masked."""

    a, b, c, d = parts
    difference, total, area = 0.0, 0.0, 0.0
    for j in range(image.size):
        value = a * low[j] + b * low[j + 1] + c * high[j] + d * high[j + 1]
        both = kept[j] * opposite[j]
        difference += both * abs(value - image[j])
        total += both * abs(image[j])
        area += both

    return difference, total, area

r"""Images laid on other grids of pixels, with their flux conserved."""

__all__ = ["TOLERANCE", "Affine", "regrid"]

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor

import numpy as np
from numba import njit
from numpy.typing import NDArray

TOLERANCE = 0.02
r"""The displacement, in pixels, below which two grids are one."""


@dataclass(frozen=True, eq=False)
class Affine:
    r"""The place of the output pixel `(x, y)` in a frame, `matrix @ (x, y) + offset`."""

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]

    @property
    def area(self) -> float:
        r"""The area of an output pixel, in pixels of the frame."""

        return abs(float(np.linalg.det(self.matrix)))

    def __call__(self, points: NDArray) -> NDArray:
        return points @ self.matrix.T + self.offset


def regrid(image: NDArray, place: Affine, size: tuple[int, int]) -> NDArray:
    r"""Lays an image on another grid by exact areas.

    The value of a pixel is a flux, spread evenly over its square. An output pixel, which is a
    parallelogram :math:`P` in the image, gets

    .. math:: F = \sum_i f_i |P \cap i| \frac{|P|}{\sum_i |P \cap i|}

    with sums over the pixels that are not blank; the fraction is one where all of it is
    covered. Where the grids differ by whole pixels, reversals and transposition only, pixels
    are copied as they are.

    Arguments:
        image: The fluxes, with shape `(H, W)`. Blank pixels are NaN, none is
            infinite.
        place: The place of each output pixel in the image.
        size: The number of rows and columns of the output.

    Returns:
        The fluxes, with shape `size` and the type of the image. NaN where less than half of a
        pixel is covered.
    """

    turned, turned_image = _upright(place, image)
    limit = TOLERANCE / max(size)
    straight = abs(turned.matrix[[0, 1], [1, 0]]).max() < limit
    scale = np.diag(turned.matrix)
    start = np.round(turned.offset)
    same = abs(abs(scale) - 1).max() < limit and abs(start - turned.offset).max() < TOLERANCE
    if straight and same:
        return _crop(turned_image, np.sign(scale), start, size)

    blank = np.isnan(turned_image)
    filled = np.where(blank, 0, turned_image) if blank.any() else turned_image
    if straight:
        flux, covered = _separable(filled, blank, turned, size)
    else:
        flux, covered = _turned(filled, blank, turned, size)

    return _complete(flux, covered, place.area).astype(image.dtype)


def _upright(place: Affine, image: NDArray) -> tuple[Affine, NDArray]:
    r"""Transposes an image that lies on its side."""

    if abs(place.matrix[0, 0]) >= abs(place.matrix[1, 0]):
        return place, image

    return Affine(place.matrix[::-1], place.offset[::-1]), image.T


def _crop(image: NDArray, sign: NDArray, start: NDArray, size: tuple[int, int]) -> NDArray:
    r"""Copies whole pixels, those outside the image being blank."""

    # Seen from the last pixel, a reversed axis is a forward one.
    length = np.array(image.shape[::-1])
    left, bottom = np.where(sign > 0, start, length - 1 - start).astype(int)
    image = image[:: int(sign[1]), :: int(sign[0])]
    height, width = size

    out = np.full(size, np.nan, image.dtype)
    rows = slice(max(-bottom, 0), min(image.shape[0] - bottom, height))
    columns = slice(max(-left, 0), min(image.shape[1] - left, width))
    if rows.start < rows.stop and columns.start < columns.stop:
        out[rows, columns] = image[
            rows.start + bottom : rows.stop + bottom, columns.start + left : columns.stop + left
        ]

    return out


def _separable(
    image: NDArray, blank: NDArray, place: Affine, size: tuple[int, int]
) -> tuple[NDArray, NDArray]:
    r"""Sums by area where rows stay rows, :math:`R_y I R_x^T`."""

    rows, columns = (
        _overlaps(n, m, float(start), float(step))
        for n, m, start, step in zip(
            size, image.shape, place.offset[::-1], np.diag(place.matrix)[::-1], strict=True
        )
    )
    flux = _both_sides(rows, image, columns)
    if not blank.any():
        return flux, np.outer(rows.sum(1), columns.sum(1))

    return flux, _both_sides(rows, ~blank, columns)


def _both_sides(rows: NDArray, image: NDArray, columns: NDArray) -> NDArray[np.float64]:
    image = _product(rows, np.ascontiguousarray(image, np.float64))

    return _product(columns, np.ascontiguousarray(image.T)).T


@njit(cache=True)
def _product(weights: NDArray, image: NDArray) -> NDArray:  # pragma: no cover
    r"""Multiplies matrices of which the first is nearly empty."""

    out = np.zeros((weights.shape[0], image.shape[1]))
    for i in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            if weights[i, j] > 0:
                out[i] += weights[i, j] * image[j]

    return out


def _turned(
    image: NDArray, blank: NDArray, place: Affine, size: tuple[int, int]
) -> tuple[NDArray, NDArray]:
    r"""Sums by area where the grids are turned against each other."""

    # One type of input, one compiled version: processes that start together cannot mix them up.
    return _rotated(
        np.ascontiguousarray(image, np.float64),
        np.ascontiguousarray(blank),
        np.ascontiguousarray(place.matrix, np.float64),
        np.ascontiguousarray(place.offset, np.float64),
        *size,
    )


@lru_cache(maxsize=64)
def _overlaps(n_out: int, n_in: int, start: float, step: float) -> NDArray[np.float64]:
    r"""The length that each output pixel has in each input pixel, with shape `(n_out, n_in)`."""

    centre = start + step * np.arange(n_out)[:, None]
    edge = np.arange(n_in)
    upper = np.minimum(centre + abs(step) / 2, edge + 0.5)
    lower = np.maximum(centre - abs(step) / 2, edge - 0.5)

    return np.maximum(upper - lower, 0)


def _complete(flux: NDArray, covered: NDArray, area: float) -> NDArray:
    r"""Extends the covered part of each pixel over all of it, or blanks the pixel."""

    # Rounding must not make a whole pixel incomplete.
    share = np.where(covered > (1 - 1e-6) * area, 1, covered / area)

    return np.where(share >= 0.5, flux / np.maximum(share, 0.5), np.nan)


@njit
def _halfplane(
    polygon: NDArray, n: int, axis: int, edge: float, sign: float, out: NDArray
) -> int:  # pragma: no cover
    r"""Keeps the part of a polygon where `sign * (coordinate - edge)` is positive."""

    m = 0
    for k in range(n):
        l = k + 1 if k + 1 < n else 0
        a = sign * (polygon[k, axis] - edge)
        b = sign * (polygon[l, axis] - edge)
        if a >= 0:
            out[m, 0] = polygon[k, 0]
            out[m, 1] = polygon[k, 1]
            m += 1
        if (a >= 0) != (b >= 0):
            t = a / (a - b)
            out[m, 0] = polygon[k, 0] + t * (polygon[l, 0] - polygon[k, 0])
            out[m, 1] = polygon[k, 1] + t * (polygon[l, 1] - polygon[k, 1])
            out[m, axis] = edge
            m += 1

    return m


@njit
def _area(polygon: NDArray, n: int) -> float:  # pragma: no cover
    total = 0.0
    for k in range(n):
        l = k + 1 if k + 1 < n else 0
        total += polygon[k, 0] * polygon[l, 1] - polygon[l, 0] * polygon[k, 1]

    return abs(total) / 2


@njit
def _share(
    image: NDArray, blank: NDArray, polygon: NDArray, scratch: NDArray
) -> tuple[float, float]:  # pragma: no cover
    r"""Sums one output pixel, a polygon that is cut into rows, and each row into cells."""

    flux = 0.0
    covered = 0.0
    y0 = max(floor(polygon[:, 1].min() + 0.5), 0)
    y1 = min(ceil(polygon[:, 1].max() + 0.5), image.shape[0])
    strip, spare, cell = scratch[0], scratch[1], scratch[2]
    for y in range(y0, y1):
        m = _halfplane(polygon, 4, 1, y - 0.5, 1.0, spare)
        m = _halfplane(spare, m, 1, y + 0.5, -1.0, strip)
        if m < 3:
            continue
        x0 = max(floor(strip[:m, 0].min() + 0.5), 0)
        x1 = min(ceil(strip[:m, 0].max() + 0.5), image.shape[1])
        for x in range(x0, x1):
            n = _halfplane(strip, m, 0, x - 0.5, 1.0, spare)
            n = _halfplane(spare, n, 0, x + 0.5, -1.0, cell)
            area = 0.0 if blank[y, x] else _area(cell, n)
            flux += area * image[y, x]
            covered += area

    return flux, covered


@njit(cache=True)
def _rotated(
    image: NDArray, blank: NDArray, matrix: NDArray, offset: NDArray, height: int, width: int
) -> tuple[NDArray, NDArray]:  # pragma: no cover
    r"""Sums each output pixel, a parallelogram around its place."""

    flux = np.zeros((height, width))
    covered = np.zeros((height, width))
    square = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    corners = np.empty((4, 2))
    for k in range(4):
        corners[k, 0] = matrix[0, 0] * square[k, 0] + matrix[0, 1] * square[k, 1]
        corners[k, 1] = matrix[1, 0] * square[k, 0] + matrix[1, 1] * square[k, 1]

    scratch = np.empty((3, 12, 2))
    centre = np.empty(2)
    for y in range(height):
        for x in range(width):
            centre[0] = matrix[0, 0] * x + matrix[0, 1] * y + offset[0]
            centre[1] = matrix[1, 0] * x + matrix[1, 1] * y + offset[1]
            flux[y, x], covered[y, x] = _share(image, blank, corners + centre, scratch)

    return flux, covered

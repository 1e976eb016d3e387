r"""Convolution with a point spread function."""

__all__ = ["NONE", "Kernel", "convolve", "separate", "without_pixel"]

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import DataError
from pipeline.morphometry.compiled import inner, making

PIXEL = 1 / 12
r"""The variance of a pixel along an axis."""


class Kernel(NamedTuple):
    r"""A point spread function as a sum of products, the largest first.

    Arguments:
        columns: The vertical profiles, with shape `(R, K)`.
        rows: The horizontal profiles, with shape `(R, L)`.
        x: The column of its centroid, seen from its centre.
        y: The row of its centroid, seen from its centre.
        variance: Its second moment along an axis, the mean of both axes.
    """

    columns: NDArray[np.float64]
    rows: NDArray[np.float64]
    x: float
    y: float
    variance: float


NONE = Kernel(np.empty((0, 1)), np.empty((0, 1)), 0.0, 0.0, 0.0)
r"""No convolution."""


def separate(psf: ArrayLike, tolerance: float = 1e-5) -> Kernel:
    r"""Writes a point spread function as a sum of products of columns and rows.

    .. math:: P = \sum_r c_r h_r^T

    from its singular values: a Gaussian needs one, a round Moffat about five, where a direct
    convolution needs as many as there are rows.

    Arguments:
        psf: The image of a star, with shape `(K, L)`, both odd, about its middle pixel. It needs
            not be normalized.
        tolerance: The largest sum of the absolute values that are left out, of a total of 1.

    Raises:
        DataError: If it is not an image, has an even side, is not finite or has no positive sum.
    """

    given: NDArray = np.ma.asarray(psf)
    if given.dtype.kind not in "buif":
        raise DataError(f"psf of {given.dtype}, expected real numbers")
    image = np.ma.filled(given.astype(np.float64), np.nan)
    if image.ndim != 2 or not np.isfinite(image).all() or not image.sum() > 0:
        raise DataError(f"psf of shape {image.shape}, expected a finite image of positive sum")
    if not all(side % 2 for side in image.shape):
        raise DataError(f"psf of shape {image.shape}, expected odd sides, to have a middle pixel")
    share = image / image.sum()
    y, x = np.indices(share.shape) - np.array(share.shape).reshape(2, 1, 1) // 2
    centre_x, centre_y = (share * x).sum(), (share * y).sum()
    variance = (share * ((x - centre_x) ** 2 + (y - centre_y) ** 2)).sum() / 2
    left, values, right = np.linalg.svd(share, full_matrices=False)
    rank = 1
    while rank < values.size:
        rest = (left[:, rank:] * values[rank:]) @ right[rank:]
        if np.abs(rest).sum() <= tolerance:
            break
        rank += 1
    columns = np.ascontiguousarray((left[:, :rank] * values[:rank]).T)

    rows = np.ascontiguousarray(right[:rank])

    return Kernel(columns, rows, float(centre_x), float(centre_y), max(float(variance), 0.0))


def without_pixel(kernel: Kernel) -> Kernel:
    r"""Takes the pixel out of the image of a star, for a model that is averaged over pixels.

    What a camera makes of a point is blurred by the pixel, too. To the fourth order in the side
    of a pixel, the blur :math:`P` without it is

    .. math:: P - \frac{1}{24} \nabla^2 P

    and its variance 1/12 less along each axis. An image with a smaller variance than that of a
    pixel has none in it, and stays.

    Arguments:
        kernel: The image of a star, as :func:`separate` writes it.
    """

    if not kernel.columns.size or kernel.variance < PIXEL:
        return kernel
    columns, rows = _sharpened(kernel.columns), _sharpened(kernel.rows)

    return kernel._replace(columns=columns, rows=rows, variance=kernel.variance - PIXEL)


def _sharpened(lines: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""Takes a pixel out of profiles, which become one longer at both ends."""

    wide = np.pad(lines, ((0, 0), (2, 2)))

    return np.ascontiguousarray(wide[:, 1:-1] - np.diff(wide, 2) / 24)


@making
def convolve(image: NDArray, kernel: Kernel, out: NDArray) -> None:  # pragma: no cover
    r"""Convolves an image with a kernel, where the whole kernel is inside of the image.

    Arguments:
        image: The image, with shape `(H + K - 1, W + L - 1)`.
        kernel: The kernel.
        out: Where the result is put, with shape `(H, W)`.
    """

    line = np.empty(image.shape[1])
    out[:] = 0.0
    for i in range(len(out)):
        for r in range(len(kernel.columns)):
            line[:] = 0.0
            _combine(image[i:], kernel.columns[r], line)
            _slide(line, kernel.rows[r], out[i])


@inner
def _combine(image: NDArray, factors: NDArray, line: NDArray) -> None:  # pragma: no cover
    r"""Adds the first rows of an image to a line, each with its factor, the last one first."""

    for k in range(factors.size):
        factor = factors[factors.size - 1 - k]
        for j in range(line.size):
            line[j] += factor * image[k, j]


@inner
def _slide(line: NDArray, factors: NDArray, out: NDArray) -> None:  # pragma: no cover
    r"""Adds a line to another at all shifts, each with its factor, the last one first."""

    for k in range(factors.size):
        factor = factors[factors.size - 1 - k]
        for j in range(out.size):
            out[j] += factor * line[j + k]

r"""What a patch of sky adds to the statistics of a galaxy.

Noise makes any image asymmetric and clumpy. The *sky terms* are what it adds on average to
each pixel: :math:`a = \langle |B_{180} - B| \rangle` to the asymmetry and
:math:`s = \langle \max(B - \bar B, 0) \rangle` to the smoothness, :math:`B` being sky.
One box of 32 x 32 pixels gives :math:`a` to 3 % at best, and which box it is matters more to the
asymmetry than all else. All empty pixels together are several times better, and do not depend
on the corner from which one looks.
"""

__all__ = [
    "left_over",
    "noise",
    "skybox",
    "table",
    "white_asymmetry",
    "white_smoothness",
    "within",
]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.background import LAG
from pipeline.morphometry.compiled import entry, inner, making, summing
from pipeline.morphometry.flags import NO_SKY

SIDE = 32
r"""The side of the box in which the sky is looked for first, in pixels."""

FEWEST = 64
r"""The number of pairs, or of pixels, below which a mean over the sky is not trusted."""

MOST = 8192
r"""About how many pixels their median is taken of, at most."""

CLIP = 4.0
r"""Differences beyond this, in units of their standard deviation, are not of sky."""

COARSE = 2.0
r"""The noise below which it is no Gaussian, in steps of the pixels."""


@entry
def skybox(
    image: NDArray[np.float64], taken: NDArray[np.bool_]
) -> tuple[int, int, int, float, float, float, float, int]:  # pragma: no cover
    r"""Finds the first empty box, as statmorph does, and measures the sky in it.

    Boxes of 32, 16, 8, 4 and 2 pixels are tried, each from the top left, row by row, but for
    the last row and column. What is in a box is counted by a summed-area table.

    References:
        | The Optical Morphologies of Galaxies in the IllustrisTNG Simulation
          (Rodriguez-Gomez et al., 2019)
        | https://doi.org/10.1093/mnras/sty3345

    Arguments:
        image: The image, zero where masked, with shape `(H, W)`.
        taken: Whether a pixel is of any source or left out by the user, with shape `(H, W)`.

    Returns:
        The first column and row of the box and its side, in pixels; the mean, the median and
        the standard deviation of its pixels; the mean of :math:`|B_{180} - B|`; and flags.
        Where there is no box, its side is 0 and the rest is NaN.
    """

    column, row, side = _first(table(taken))
    if side == 0:
        return 0, 0, 0, math.nan, math.nan, math.nan, math.nan, NO_SKY

    box = image[row : row + side, column : column + side]
    asymmetry = np.abs(box[::-1, ::-1] - box).mean()

    return column, row, side, box.mean(), np.median(box), box.std(), asymmetry, 0


@making
def table(taken: NDArray) -> NDArray:  # pragma: no cover
    r"""Counts what is taken above and to the left of each corner of a pixel."""

    height, width = taken.shape
    counts = np.zeros((height + 1, width + 1), np.int64)
    for i in range(height):
        count = 0
        for j in range(width):
            count += taken[i, j]
            counts[i + 1, j + 1] = counts[i, j + 1] + count

    return counts


@inner
def within(counts: NDArray, i: int, j: int, side: int) -> int:  # pragma: no cover
    r"""Returns how many pixels of a box are taken."""

    upper = counts[i, j + side] - counts[i, j]

    return counts[i + side, j + side] - counts[i + side, j] - upper


@making
def _first(counts: NDArray) -> tuple[int, int, int]:  # pragma: no cover
    r"""Returns the column, the row and the side of the first empty box, or zeros."""

    side = SIDE
    while side >= 2:
        column, row = _first_of(counts, side)
        if column >= 0:
            return column, row, side
        side //= 2

    return 0, 0, 0


@making
def _first_of(counts: NDArray, side: int) -> tuple[int, int]:  # pragma: no cover
    r"""Returns the column and the row of the first empty box of a side, or -1."""

    for i in range(counts.shape[0] - 1 - side):
        for j in range(counts.shape[1] - 1 - side):
            if within(counts, i, j, side) == 0:
                return j, i

    return -1, -1


@entry
def noise(
    image: NDArray[np.float64], taken: NDArray[np.bool_]
) -> tuple[float, float, float, int]:  # pragma: no cover
    r"""Measures the noise of the sky from all empty pixels.

    The sky term of the asymmetry is the mean absolute difference of two pixels far from each
    other, whatever the distribution of the noise and its correlation. It is taken here over
    all pairs of empty pixels 4 pixels apart along rows and columns, so that neither the level
    of the sky nor its gradient nor the wings of the galaxy matter; pairs beyond 4 standard
    deviations, or 4 steps of counts if these are larger, are left out, and what that takes from
    a Gaussian is given back. The standard deviation is that of a Gaussian with this mean; where
    it is less than two steps, as few photons are no Gaussian, it is that of the differences.
    With :math:`n` empty pixels its relative error is :math:`(2/3 / n)^{1/2}`, where that of
    a box of 32 x 32 is 3.3 %.

    Arguments:
        image: The image, with shape `(H, W)`.
        taken: Whether a pixel is of any source or masked, with shape `(H, W)`.

    Returns:
        The standard deviation of a pixel; the mean of
        :math:`|B_{180} - B|`; its standard error; and flags. NaN with less than 64 pairs.
    """

    differences = _differences(image, taken, LAG)
    if differences.size < FEWEST:
        differences = _differences(image, taken, 1)
    if differences.size < FEWEST:
        return math.nan, math.nan, math.nan, NO_SKY

    mean, pairs = _mean(differences, math.inf)
    step, most = _step(differences), math.inf
    for _ in range(3):
        most = CLIP * max(math.sqrt(math.pi / 2) * mean, step)
        mean, pairs = _mean(differences, most)
        mean *= math.erf(CLIP / math.sqrt(2)) / (1 - math.exp(-(CLIP**2) / 2))
    sigma = mean * math.sqrt(math.pi) / 2
    if sigma < COARSE * step:
        sigma = math.sqrt(_mean(differences**2, most**2)[0] / 2)
    # Pixels are in two pairs along each axis, so there are half as many
    error = mean * math.sqrt(2 / 3 / max(pairs / 2, 1.0))

    return sigma, mean, error, 0


@making
def _differences(image: NDArray, taken: NDArray, lag: int) -> NDArray:  # pragma: no cover
    r"""Returns the absolute differences of empty pixels at a lag along rows and columns."""

    height, width = image.shape
    out, count = np.empty(2 * image.size), 0
    for i in range(height):
        for j in range(width):
            if taken[i, j]:
                continue
            if j + lag < width and not taken[i, j + lag]:
                out[count] = abs(image[i, j + lag] - image[i, j])
                count += 1
            if i + lag < height and not taken[i + lag, j]:
                out[count] = abs(image[i + lag, j] - image[i, j])
                count += 1

    return out[:count]


@inner
def _step(differences: NDArray) -> float:  # pragma: no cover
    r"""Returns the least difference that is not zero, infinite without one."""

    step = math.inf
    for value in differences:
        if 0 < value < step:
            step = value

    return step


@summing
def _mean(values: NDArray, most: float) -> tuple[float, int]:  # pragma: no cover
    r"""Averages the values that are not too large; returns how many there are."""

    total, count = 0.0, 0
    for value in values:
        if value <= most:
            total += value
            count += 1

    return total / max(count, 1), count


@entry
def left_over(
    image: NDArray[np.float64], taken: NDArray[np.bool_]
) -> tuple[float, float]:  # pragma: no cover
    r"""Returns the mean and the median of the empty pixels, NaN if there are none.

    Of many, those in some rows and columns are taken, by their distance to the centre: they are
    the same from any side.

    Arguments:
        image: The image, with shape `(H, W)`.
        taken: Whether a pixel is of any source or masked, with shape `(H, W)`.
    """

    height, width = taken.shape
    empty = taken.size - np.count_nonzero(taken)
    step = int(math.sqrt(empty / MOST)) + 1
    out, count = np.empty(taken.size), 0
    for i in range(height):
        if abs(2 * i - height + 1) // 2 % step > 0:
            continue
        for j in range(width):
            if abs(2 * j - width + 1) // 2 % step == 0 and not taken[i, j]:
                out[count] = image[i, j]
                count += 1
    if count == 0:
        return math.nan, math.nan

    return out[:count].mean(), np.median(out[:count])


@entry
def white_asymmetry(sigma: float) -> float:  # pragma: no cover
    r"""Returns the mean absolute difference of two pixels of white Gaussian noise.

    .. math:: a = 2 \sigma / \sqrt{\pi}
    """

    return 2 * sigma / math.sqrt(math.pi)


@entry
def white_smoothness(sigma: float, size: int) -> float:  # pragma: no cover
    r"""Returns the mean positive excess of white Gaussian noise over a boxcar.

    .. math:: s = \sigma \sqrt{\frac{1 - 1 / k^2}{2 \pi}}
    """

    return sigma * math.sqrt((1 - 1 / size**2) / (2 * math.pi)) if size > 1 else 0.0

r"""The sky under a galaxy, and its noise."""

__all__ = ["BINS", "LAG", "Background", "background"]

from math import ceil, erf, exp, pi, sqrt
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

BINS = 32
r"""The number of bins along the shorter side in which the sky is looked for."""

LAG = 4
r"""The distance, in pixels, at which noise is taken to be uncorrelated, unless those of the file
are larger."""

FEWEST = 4
r"""The number of bins along the shorter side that there are at least, however coarse a file is."""

MAD = 1.482602218505602
r"""The standard deviation of a Gaussian over its median absolute deviation."""

DEPTH = 3.0
r"""The significance in its 3 x 3 bins above which a bin belongs to a source."""

FLAW = 4.0
r"""Bins further than this below the faintest twentieth of them, in units of their noise, are no
sky but flaws. Nor are those as far below the sky."""

CLIP = 0.5
r"""Sky bins further than this above the sky, in units of their noise, do not define it."""

# The mean of a unit Gaussian cut at CLIP is lower than zero by this.
DEFICIT = exp(-(CLIP**2) / 2) / sqrt(2 * pi) / (0.5 * (1 + erf(CLIP / sqrt(2))))


class Background(NamedTuple):
    r"""What was found of the sky of one band.

    Arguments:
        sky: The level at the centre of the image.
        noise: The standard deviation of a pixel. Zero if most sky pixels are equal.
        bins: The image averaged over squares of pixels, less the sky and its gradient, with
            shape `(h, w)`. NaN where less than half of a bin is covered, or in a dark flaw.
        bin_noise: The standard deviation of a bin.
        side: The side of a bin, in pixels.
    """

    sky: float
    noise: float
    bins: NDArray[np.float64]
    bin_noise: float
    side: int


def background(image: NDArray, quantum: float = 0.0, grain: float = 1.0) -> Background:
    r"""Measures the sky level and the noise, sources masked.

    The image is averaged in bins, about 32 of them along its shorter side, and levelled with
    the gradient that best explains the differences between points opposite with respect to the
    centre, to which a symmetric galaxy adds nothing. Starting from the faintest tenth, the
    sky is the mode :math:`m` of the bins that are not in a source, that is whose 3 x 3
    surroundings do not stand out of it,

    .. math:: m = \langle t | t < m + k s \rangle + s \phi(k) / \Phi(k)

    with :math:`k = 1/2`: the wings of a galaxy only add to the other side. The noise is that of
    the differences between sky pixels 4 pixels apart, so that neither gradients nor
    correlations between neighbours matter. Everything scales with the unit.

    Arguments:
        image: The flux in each pixel, with shape `(H, W)`. NaN where not covered; not all.
        quantum: The rounding step of the pixels.
        grain: The side of a pixel of the file, in pixels of the image. Where it is larger than
            one, neighbours are parts of the same pixel: bins have at least its size, and
            differences are taken beyond it.

    Returns:
        The sky and its noise, at least :math:`q / \sqrt{12}` for a quantum :math:`q`.
    """

    shorter = min(image.shape)
    side = max(1, round(shorter / BINS), min(ceil(grain), shorter // FEWEST))
    # One type of input, one compiled version: processes that start together cannot mix them up.
    image = np.ascontiguousarray(image, np.float64)
    bins = _average(image, side)
    floor = quantum / sqrt(12)
    level, bin_noise, sky = _level(bins, floor / side)
    lag = max(LAG, ceil(grain) + 1)
    noise = _noise(image, sky, side, float(quantum), lag)

    return Background(level, max(noise, floor), bins - level, bin_noise, side)


@njit(cache=True)
def _average(image: NDArray, side: int) -> NDArray:  # pragma: no cover
    r"""Averages over squares, blank where less than half is covered; leaves the margin out."""

    height, width = image.shape[0] // side, image.shape[1] // side
    top, left = (image.shape[0] - height * side) // 2, (image.shape[1] - width * side) // 2
    out = np.empty((height, width))
    for i in range(height):
        for j in range(width):
            y, x = top + i * side, left + j * side
            out[i, j] = _mean(image[y : y + side, x : x + side], (side * side + 1) // 2)

    return out


@njit
def _mean(patch: NDArray, least: int) -> float:  # pragma: no cover
    r"""Averages what is not blank, if it is at least so many pixels."""

    total, count = _total(patch)

    return total / count if count >= least else np.nan


@njit
def _total(patch: NDArray) -> tuple[float, int]:  # pragma: no cover
    r"""Returns the sum of what is not blank, and how many pixels that is."""

    total, count = 0.0, 0
    for i in range(patch.shape[0]):
        for j in range(patch.shape[1]):
            if not np.isnan(patch[i, j]):
                total += patch[i, j]
                count += 1

    return total, count


@njit(cache=True)
def _level(bins: NDArray, floor: float) -> tuple[float, float, NDArray]:  # pragma: no cover
    r"""Returns the mode of the sky bins, their noise and which they are; levels the bins."""

    _flatten(bins)
    noise = max(_spread(bins, ~np.isnan(bins), 1, 1 << 30), floor)
    _blank_flaws(bins, noise)
    smooth, weight = _smooth(bins)
    valid = ~np.isnan(bins)
    ordered = np.sort(smooth.ravel()[valid.ravel()])
    level = ordered[ordered.size // 10]
    sky = smooth <= ordered[ordered.size // 5]
    for _ in range(8):
        source = (smooth - level > DEPTH * noise / np.sqrt(weight)) | (bins - level > 3 * noise)
        kept = valid & ~_grown(source)
        if kept.sum() < max(16, 0.03 * kept.size):
            break
        sky = kept
        noise = max(_spread(bins, sky, 2, 1 << 30), floor)
        last, level = level, _mode(bins.ravel()[sky.ravel()], noise)
        if abs(level - last) < 0.03 * noise:
            break

    return level, noise, sky


@njit
def _flatten(bins: NDArray) -> None:  # pragma: no cover
    r"""Subtracts the gradient seen between points opposite with respect to the centre."""

    height, width = bins.shape
    y = np.arange(height) - (height - 1) / 2
    x = np.arange(width) - (width - 1) / 2
    opposite = (bins - bins[::-1, ::-1]) / 2
    upper, right = 2 * height // 3, 2 * width // 3
    slope_y = _median((opposite[upper:] / y[upper:].reshape(-1, 1)).ravel())
    slope_x = _median((opposite[:, right:] / x[right:]).ravel())
    bins -= slope_y * y.reshape(-1, 1) + slope_x * x


@njit
def _blank_flaws(bins: NDArray, noise: float) -> None:  # pragma: no cover
    r"""Blanks what is far below nearly all else, as a scratch on a plate or a dead column is.

    Few as they are, they would draw the mode of the fainter side to themselves.
    """

    flat = bins.ravel()
    ordered = np.sort(flat[~np.isnan(flat)])
    if ordered.size:
        lowest = ordered[ordered.size // 20] - FLAW * noise
        for i in range(flat.size):
            if flat[i] < lowest:
                flat[i] = np.nan


@njit
def _median(values: NDArray) -> float:  # pragma: no cover
    r"""Returns the median of what is not blank, zero if nothing is left."""

    values = values[~np.isnan(values)]

    return np.median(values) if values.size else 0.0


@njit
def _smooth(bins: NDArray) -> tuple[NDArray, NDArray]:  # pragma: no cover
    r"""Averages each bin with the valid ones around it; returns their number too."""

    height, width = bins.shape
    out = np.full((height, width), np.nan)
    weight = np.ones((height, width))
    for i in range(height):
        for j in range(width):
            if not np.isnan(bins[i, j]):
                around = bins[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
                total, count = _total(around)
                out[i, j], weight[i, j] = total / count, count

    return out, weight


@njit
def _grown(mask: NDArray) -> NDArray:  # pragma: no cover
    r"""Grows a mask by one bin in the four directions."""

    out = mask.copy()
    out[1:] |= mask[:-1]
    out[:-1] |= mask[1:]
    out[:, 1:] |= mask[:, :-1]
    out[:, :-1] |= mask[:, 1:]

    return out


@njit
def _mode(values: NDArray, noise: float) -> float:  # pragma: no cover
    r"""Finds the centre of a Gaussian of known width from its lower side."""

    values = np.sort(values)
    total = np.concatenate((np.zeros(1), np.cumsum(values - values[0])))
    mode = values[values.size // 2]
    for _ in range(30):
        low = np.searchsorted(values, mode - FLAW * noise)
        high = np.searchsorted(values, mode + CLIP * noise)
        if low == high:
            break
        mean = values[0] + (total[high] - total[low]) / (high - low)
        last, mode = mode, mean + DEFICIT * noise
        if abs(mode - last) < 1e-3 * noise:
            break

    return mode


@njit
def _differences(image: NDArray, sky: NDArray, lag: int, most: int) -> NDArray:  # pragma: no cover
    r"""Returns differences between sky pixels at a lag, about as many as asked for."""

    step = 1 + 2 * np.sum(sky) // most
    top, left = (image.shape[0] - sky.shape[0]) // 2, (image.shape[1] - sky.shape[1]) // 2
    inner = image[top : top + sky.shape[0], left : left + sky.shape[1]]

    return np.concatenate(
        (
            _along(inner[:-lag], inner[lag:], sky[:-lag], sky[lag:], step),
            _along(inner[:, :-lag], inner[:, lag:], sky[:, :-lag], sky[:, lag:], step),
        )
    )


@njit
def _along(
    before: NDArray, after: NDArray, first: NDArray, second: NDArray, step: int
) -> NDArray:  # pragma: no cover
    r"""Returns every so many differences in one direction, less their median."""

    out = np.empty(before.size)
    seen, count = 0, 0
    for i in range(before.shape[0]):
        for j in range(before.shape[1]):
            if first[i, j] and second[i, j]:
                seen += 1
                out[count] = after[i, j] - before[i, j]
                count += seen % step == 0 and not np.isnan(out[count])

    return out[:count] - np.median(out[:count]) if count else out[:0]


@njit
def _spread(image: NDArray, sky: NDArray, lag: int, most: int) -> float:  # pragma: no cover
    r"""Returns the noise of the sky from the median absolute difference. Zero if none is left."""

    differences = _differences(image, sky, lag, most)

    return MAD * np.median(np.abs(differences)) / np.sqrt(2) if differences.size else 0.0


@njit(cache=True)
def _noise(
    image: NDArray, sky: NDArray, side: int, quantum: float, lag: int
) -> float:  # pragma: no cover
    r"""Returns the noise of a pixel: the rms of differences without outliers.

    The median alone would be a multiple of the quantum.
    """

    differences = _differences(image, _enlarged(sky, side), lag, 16384)
    if differences.size < 50:
        differences = _differences(image, np.ones(image.shape, np.bool_), 1, 16384)
    scale = max(MAD * np.median(np.abs(differences)), quantum / np.sqrt(6))
    inside = differences[np.abs(differences) <= 3.5 * scale]

    return np.sqrt(np.mean(inside**2) / 2) if inside.size else 0.0


@njit
def _enlarged(bins: NDArray, side: int) -> NDArray:  # pragma: no cover
    r"""Repeats each bin over its pixels."""

    out = np.empty((bins.shape[0] * side, bins.shape[1] * side), bins.dtype)
    for i in range(bins.shape[0]):
        for j in range(bins.shape[1]):
            out[i * side : (i + 1) * side, j * side : (j + 1) * side] = bins[i, j]

    return out

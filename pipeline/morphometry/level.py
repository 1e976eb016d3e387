r"""The level of the sky under an image, its gradient and its noise."""

__all__ = ["level_off", "noise_of_sky", "sky_plane"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.background import CLIP, DEFICIT, MAD
from pipeline.morphometry.compiled import inner, making
from pipeline.morphometry.deblend import shell_sort

BINS = 20
r"""The number of bins along the shorter side in which the sky is looked for."""

HOLE = 5.0
r"""Bins further than this below the sky, in units of their noise, do not define it."""

UNSURE = 2.4
r"""The error of the mode, in units of the noise of a bin over the root of the number of bins.

With a known noise it is 1.73; that of bins has an error too, and so has the gradient. This is
0.8 to 1.1 times the scatter of images of disks.
"""

DIFFERENCES = 8192
r"""About how many differences the noise is measured from."""


@making
def sky_plane(
    image: NDArray[np.float64], covered: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:  # pragma: no cover
    r"""Finds the level and the gradient of the sky.

    The image is averaged in bins, 20 along the shorter side, which share the rim between them
    where the sides are no multiple of their number, so that they are the same from any side. It
    is levelled with the gradient that best explains the differences between points opposite
    with respect to the centre, to which a symmetric galaxy adds nothing. The sky is the mode
    :math:`m` of the bins whose 3 x 3 surroundings do not stand out of it,

    .. math:: m = \langle t | t < m + k s \rangle + s \phi(k) / \Phi(k)

    with the noise :math:`s` of a bin and :math:`k = 1/2`, as in :mod:`pipeline.background`.

    Arguments:
        image: The image, with shape `(H, W)`.
        covered: Where it is covered, with shape `(H, W)`.

    Returns:
        The level at the centre of the image, what it gains per row and per column, and the error
        of the level; and the pixels in no bin with a source, with shape `(H, W)`. Where less
        than 16 bins or 3 % of them are left, the faintest fifth are taken.
    """

    height, width = image.shape
    side = max(1.0, min(height, width) / BINS)
    rows, columns = int(height / side + 0.5), int(width / side + 0.5)
    bins = _binned(image, covered, rows, columns, 0.5)
    if np.isnan(bins).all():
        bins = _binned(image, covered, rows, columns, 0.0)
    down, across = _slope(bins), _slope(bins.T)
    for i in range(rows):
        for j in range(columns):
            bins[i, j] -= down * (i - (rows - 1) / 2) + across * (j - (columns - 1) / 2)

    level, sky, noise = _mode_of_sky(bins)
    empty = covered.copy()
    for i in range(rows):
        for j in range(columns):
            if not sky[i, j]:
                top, bottom, left, right = _box(i, j, rows, columns, height, width)
                empty[top:bottom, left:right] = False
    error = UNSURE * noise / math.sqrt(max(sky.sum(), 1))
    plane = np.array((level, down * rows / height, across * columns / width, error))

    return plane, empty


@making
def _binned(
    image: NDArray, covered: NDArray, rows: int, columns: int, least: float
) -> NDArray:  # pragma: no cover
    r"""Averages over bins, blank where less than some share of one is covered."""

    bins = np.empty((rows, columns))
    for i in range(rows):
        for j in range(columns):
            box = _box(i, j, rows, columns, image.shape[0], image.shape[1])
            bins[i, j] = _mean(image, covered, box, least)

    return bins


@inner
def _box(
    i: int, j: int, rows: int, columns: int, height: int, width: int
) -> tuple[int, int, int, int]:  # pragma: no cover
    r"""Returns the first and last rows and columns of a bin, the last ones exclusive."""

    top, bottom = i * height // rows, -(-(i + 1) * height // rows)
    left, right = j * width // columns, -(-(j + 1) * width // columns)

    return top, bottom, left, right


@inner
def _mean(
    image: NDArray, covered: NDArray, box: tuple[int, int, int, int], least: float
) -> float:  # pragma: no cover
    r"""Returns the mean of what is covered in a box, NaN if it is nothing or too little."""

    top, bottom, left, right = box
    total, count = 0.0, 0
    for i in range(top, bottom):
        for j in range(left, right):
            if covered[i, j]:
                total += image[i, j]
                count += 1

    enough = count > 0 and count >= least * (bottom - top) * (right - left)

    return total / count if enough else np.nan


@making
def _slope(bins: NDArray) -> float:  # pragma: no cover
    r"""Returns what a row adds to the one before, from the differences of bins that are opposite
    about the middle of what is covered."""

    top, bottom, left, right = _seen(bins)
    slopes, count = np.empty(bins.size), 0
    for i in range(top + (2 * (bottom - top) + 2) // 3, bottom):
        for j in range(left, right):
            rise = bins[i, j] - bins[top + bottom - 1 - i, left + right - 1 - j]
            if not math.isnan(rise):
                slopes[count] = rise / (2 * i - top - bottom + 1)
                count += 1

    return _middle(slopes[:count])


@inner
def _seen(bins: NDArray) -> tuple[int, int, int, int]:  # pragma: no cover
    r"""Returns the first and last rows and columns that are not blank, the last ones exclusive."""

    top, bottom, left, right = bins.shape[0], 0, bins.shape[1], 0
    for i in range(bins.shape[0]):
        for j in range(bins.shape[1]):
            if not math.isnan(bins[i, j]):
                top, bottom = min(top, i), i + 1
                left, right = min(left, j), max(right, j + 1)

    return top, bottom, left, right


@inner
def _middle(values: NDArray) -> float:  # pragma: no cover
    r"""Returns the median, zero of nothing; sorts what it is given."""

    if values.size == 0:
        return 0.0
    shell_sort(values)

    return (values[values.size // 2] + values[(values.size - 1) // 2]) / 2


@making
def _mode_of_sky(bins: NDArray) -> tuple[float, NDArray, float]:  # pragma: no cover
    r"""Returns the mode of the sky bins, which they are, and their noise."""

    valid = ~np.isnan(bins)
    soft, counts = _smoothed(bins)
    ordered = soft.ravel()[valid.ravel()]
    shell_sort(ordered)
    level, sky = ordered[ordered.size // 10], soft <= ordered[ordered.size // 5]
    noise = _spread(bins, valid, 0.0)
    for _ in range(6):
        kept = valid.copy()
        count = _clear_sources(kept, bins - level, (soft - level) * np.sqrt(counts), 4 * noise)
        if count < max(16.0, 0.03 * bins.size):
            return _mode(bins, sky, level, noise), sky, noise
        sky, noise = kept, _spread(bins, kept, noise)
        last, level = level, _mode(bins, sky, level, noise)
        if abs(level - last) <= 0.03 * noise:
            break

    return level, sky, noise


@making
def _smoothed(bins: NDArray) -> tuple[NDArray, NDArray]:  # pragma: no cover
    r"""Returns the means of the valid bins in 3 x 3, and their number; NaN where not valid."""

    rows, columns = bins.shape
    out, counts = np.full((rows, columns), np.nan), np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            if not math.isnan(bins[i, j]):
                out[i, j], counts[i, j] = _around(bins, i, j)

    return out, counts


@inner
def _around(bins: NDArray, i: int, j: int) -> tuple[float, int]:  # pragma: no cover
    r"""Returns the mean of the valid bins around one, and their number."""

    total, count = 0.0, 0
    for k in range(max(i - 1, 0), min(i + 2, bins.shape[0])):
        for l in range(max(j - 1, 0), min(j + 2, bins.shape[1])):
            if not math.isnan(bins[k, l]):
                total += bins[k, l] - bins[i, j]
                count += 1

    return bins[i, j] + total / count, count


@inner
def _clear_sources(
    kept: NDArray, bins: NDArray, soft: NDArray, limit: float
) -> int:  # pragma: no cover
    r"""Leaves out bins that stand out, and those beside them; returns how many are left."""

    rows, columns = bins.shape
    for i in range(rows):
        for j in range(columns):
            if bins[i, j] > limit or soft[i, j] > limit:
                kept[max(i - 1, 0) : i + 2, j] = False
                kept[i, max(j - 1, 0) : j + 2] = False

    return kept.sum()


@making
def _spread(bins: NDArray, kept: NDArray, known: float) -> float:  # pragma: no cover
    r"""Returns the noise of bins from the median second difference of those next but one.

    What is known already stays if there are too few.
    """

    out = np.empty(2 * bins.size)
    count = _along(bins, kept, 2, 1, out)
    count += _along(bins.T, kept.T, 2, 1, out[count:])
    if count == 0 or (count < 100 and known > 0):
        return known

    return MAD * _median(out[:count]) / math.sqrt(6.0)


@making
def _mode(bins: NDArray, sky: NDArray, mode: float, noise: float) -> float:  # pragma: no cover
    r"""Finds the centre of a Gaussian of known width from its lower side."""

    bins, sky = bins.ravel(), sky.ravel()
    for _ in range(30):
        total, count = 0.0, 0
        for k in range(bins.size):
            # What is far below is a hole, as around sources whose sky was overestimated
            if sky[k] and mode - HOLE * noise <= bins[k] <= mode + CLIP * noise:
                total += bins[k] - mode
                count += 1
        step = total / max(count, 1) + DEFICIT * noise
        mode += step
        if abs(step) <= 1e-3 * noise:
            break

    return mode


@making
def noise_of_sky(
    image: NDArray[np.float64],
    sky: NDArray[np.bool_],
    covered: NDArray[np.bool_],
    lag: int,
) -> float:  # pragma: no cover
    r"""Measures the noise of a pixel.

    It is the rms of what pixels differ from the mean of those at a lag to either side, along
    rows and columns, to which gradients add nothing,

    .. math:: \sigma^2 = \langle (I_{-l} - 2 I_0 + I_l)^2 \rangle / 6

    without outliers beyond 3.5 standard deviations; at lag 1 between any covered pixels where
    there are less than 50. Some rows and columns are taken, about 8192 differences, by their
    distance to the centre: they are the same from any side.

    Arguments:
        image: The image, with shape `(H, W)`.
        sky: The pixels of the sky, with shape `(H, W)`.
        covered: The pixels that are covered, with shape `(H, W)`.
        lag: The distance, in pixels, beyond which noise is not correlated.

    Returns:
        The standard deviation. Zero if most differences are, or if there are none.
    """

    lag = max(1, min(lag, min(image.shape) // 4))
    found = _differences(image, sky, lag)
    if found.size < 50:
        found = _differences(image, covered, 1)
    if found.size == 0:
        return 0.0
    # Where most of the sky is equal, one step of rounding takes the place of the median
    scale, step = MAD * _median(found), np.inf
    for d in found:
        if 0 < d < step:
            step = d
    bound = 3.5 * max(scale, step) if step < np.inf else 0.0
    total, count = 0.0, 0
    for d in found:
        if d <= bound:
            total += d * d
            count += 1

    return math.sqrt(total / (6 * count))


@making
def _differences(image: NDArray, used: NDArray, lag: int) -> NDArray:  # pragma: no cover
    r"""Returns the sizes of the second differences in some of the rows and columns."""

    total = 0
    for value in used.flat:
        total += value
    out, step = np.empty(2 * image.size), 1 + 2 * total // DIFFERENCES
    count = _along(image, used, lag, step, out)
    count += _along(image.T, used.T, lag, step, out[count:])

    return out[:count]


@inner
def _along(
    image: NDArray, used: NDArray, lag: int, step: int, out: NDArray
) -> int:  # pragma: no cover
    r"""Notes the second differences within some rows; returns how many."""

    height, width = image.shape
    count = 0
    for i in range(height):
        if abs(2 * i - height + 1) // 2 % step != step // 2:
            continue
        for j in range(lag, width - lag):
            if used[i, j] and used[i, j - lag] and used[i, j + lag]:
                out[count] = abs(image[i, j + lag] - image[i, j] + image[i, j - lag] - image[i, j])
                count += 1

    return count


@making
def _median(values: NDArray) -> float:  # pragma: no cover
    r"""Returns the lower median of positive numbers, by their leading bits first."""

    keys = values.view(np.int64) >> 47
    top, count = keys.max(), np.zeros(2048, np.int64)
    for key in keys:
        count[min(top - key, 2047)] += 1
    rank, bucket = values.size // 2, 0
    while rank >= count[bucket]:
        rank -= count[bucket]
        bucket += 1
    inside, found = np.empty(count[bucket]), 0
    for k in range(values.size):
        if min(top - keys[k], 2047) == bucket:
            inside[found] = values[k]
            found += 1
    shell_sort(inside)

    return inside[inside.size - 1 - rank]


@inner
def level_off(image: NDArray, plane: NDArray) -> None:  # pragma: no cover
    r"""Subtracts the sky, a plane, in place."""

    height, width = image.shape
    for i in range(height):
        for j in range(width):
            gain = plane[1] * (i - (height - 1) / 2) + plane[2] * (j - (width - 1) / 2)
            image[i, j] -= plane[0] + gain

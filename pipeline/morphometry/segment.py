r"""The target among its neighbours, in an image as it comes.

The sky is the mode of the bins that no source is in; its noise, that of differences between
sky pixels so far apart that it is not correlated. What stands out of the smoothed image is
shared out among sources by :mod:`pipeline.morphometry.deblend`.
"""

__all__ = ["segment"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.background import LAG
from pipeline.morphometry.compiled import entry, inner, making, put
from pipeline.morphometry.coverage import covered_pixels, smooth
from pipeline.morphometry.deblend import Rules, deblend
from pipeline.morphometry.flags import (
    BLENDED,
    EDGE,
    LOW_SIGNAL,
    MASKED_CENTRE,
    NO_SKY,
    NO_SOURCE,
    OFF_CENTRE,
)
from pipeline.morphometry.level import level_off, noise_of_sky, sky_plane

DEPTH, PEAK = 4.0, 6.0
r"""The threshold and the smallest peak of a source, in units of the noise once smoothed."""

FAINT, FAINT_PEAK = 2.5, 4.0
r"""The same for a target that is looked for where nothing else is."""

LEAST = 5
r"""The smallest number of pixels of a source."""

CONTRAST = 0.005
r"""What tells two sources from one, see :func:`deblend`."""

CRUMB = 0.01
r"""The share of the flux of the target below which pieces may be parts of its fringe."""

HALO = 1.25
r"""The distance, in units of the furthest pixel of the target, within which faint pieces are
taken for parts of its fringe."""

WHITE = 70 / 256
r"""What the smoothing leaves of white noise."""

TINY = 1e-13
r"""The rounding error of a pixel, as a share of the largest one."""


@entry
def segment(
    image: NDArray[np.float64], x: float, y: float
) -> tuple[NDArray[np.int64], float, float, float, int]:  # pragma: no cover
    r"""Finds the target and its neighbours.

    Sources are what stands 4 standard deviations out of the sky in the image smoothed with
    the binomial kernel :math:`\frac{1}{16} (1, 4, 6, 4, 1)` in both directions, a Gaussian of
    1 pixel, if they reach 6. The target is the one that is nearest to the given position with
    any of its pixels, the brighter one of two. If that is further away than a tenth of the
    shorter side (3 pixels at least), a piece above 2.5 standard deviations that reaches 4, is
    nearer than that, and has no part in another source, is taken instead. Pieces with less
    than a hundredth of its flux that are not further from its centroid than 1.25 times its own
    furthest pixel are crumbs of its fringe, and left in the sky.

    Arguments:
        image: The image, with shape `(H, W)`, in any unit and on any level of sky. Not
            finite where not covered.
        x: The column at which the target is looked for, NaN for the centre. It has no default:
            numba would compile for it anew in each process, as NaN is not equal to itself.
        y: The row, NaN for the centre.

    Returns:
        The map of sources, 0 in the sky, 1 on the target, 2... on its neighbours, with shape
        `(H, W)`; the level of the sky at the centre of the image, its error, and the noise of a
        pixel, in the unit of the image (NaN if less than 9 pixels are covered, or a side is less
        than 4 pixels); and the flags `no_source`, `low_signal` (no source is near the
        position: the target is a faint piece, or none), `off_centre` (it is another source),
        `no_sky` (less than a quarter of what is covered is), `edge` (the target reaches the edge
        of what is covered), `masked_centre` (a pixel is not covered at the position, or next to
        the peak of the target), `blended` (the target touches a neighbour).
    """

    height, width = image.shape
    covered, count, largest = covered_pixels(image)
    if count < 9 or min(height, width) < 4:
        return np.zeros((height, width), np.int64), np.nan, np.nan, np.nan, NO_SOURCE | NO_SKY

    x, y = (width - 1) / 2 if math.isnan(x) else x, (height - 1) / 2 if math.isnan(y) else y
    plane, sky = sky_plane(image, covered)
    noise = noise_of_sky(image, sky, covered, LAG)
    soft = smooth(image, covered)
    level_off(soft, plane)
    fine = noise_of_sky(soft, sky, covered, 2 * LAG)
    fine = max(fine, WHITE * noise, TINY * largest)

    labels, peaks = deblend(soft, DEPTH * fine, Rules(fine, LEAST, CONTRAST))
    target, distance = _nearest(labels, soft, peaks, PEAK * fine, x, y)
    reach = max(3.0, min(height, width) / 10)
    piece, pieces, lost = 0, labels, distance > reach
    if lost:
        pieces, tops = deblend(soft, FAINT * fine, Rules(fine, LEAST, np.inf))
        _clear(pieces, tops, labels, peaks >= PEAK * fine)
        piece, distance = _nearest(pieces, soft, tops, FAINT_PEAK * fine, x, y)
    faint = piece > 0 and distance <= reach
    if faint:
        _renumber(labels, peaks, PEAK * fine, 0)
        _insert(labels, pieces, piece)
    else:
        _clear_crumbs(labels, soft, peaks, target)
        _renumber(labels, peaks, PEAK * fine, target)
    flags = _flags(labels, soft, covered, x, y)
    flags |= 0 if not lost else OFF_CENTRE if target > 0 and not faint else LOW_SIGNAL
    if 4 * (np.sum(labels == 0) - labels.size + count) < count:
        flags |= NO_SKY

    return labels, plane[0], plane[3], noise, flags


@making
def _survey(
    labels: NDArray, image: NDArray, count: int, x: float, y: float
) -> tuple[NDArray, NDArray, NDArray]:  # pragma: no cover
    r"""Returns the squares of the least and the largest distance of sources, and their flux."""

    near, far, flux = np.full(count, np.inf), np.zeros(count), np.zeros(count)
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            label = labels[i, j]
            if label > 0:
                square = (i - y) ** 2 + (j - x) ** 2
                near[label] = min(near[label], square)
                far[label] = max(far[label], square)
                flux[label] += image[i, j]

    return near, far, flux


@making
def _nearest(
    labels: NDArray, image: NDArray, peaks: NDArray, least: float, x: float, y: float
) -> tuple[int, float]:  # pragma: no cover
    r"""Returns which source is nearest to a point, the brighter one of two, and how near.

    Only sources that reach a least peak count. Without any, the label is 0, infinitely far.
    """

    near, _, flux = _survey(labels, image, peaks.size, x, y)
    best = 0
    for label in range(1, peaks.size):
        nearer = near[label] < near[best]
        brighter = near[label] == near[best] and flux[label] > flux[best]
        if peaks[label] >= least and (nearer or brighter):
            best = label

    return best, math.sqrt(near[best])


@making
def _clear_crumbs(
    labels: NDArray, image: NDArray, peaks: NDArray, target: int
) -> None:  # pragma: no cover
    r"""Takes the peak from faint pieces in the fringe of the target."""

    if target == 0:
        return
    y, x, total = 0.0, 0.0, 0.0
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            if labels[i, j] == target:
                total += image[i, j]
                y, x = y + i * image[i, j], x + j * image[i, j]
    near, far, flux = _survey(labels, image, peaks.size, x / total, y / total)
    for label in range(1, peaks.size):
        if flux[label] < CRUMB * total and near[label] <= HALO**2 * far[target]:
            peaks[label] = 0.0


@inner
def _clear(
    pieces: NDArray, tops: NDArray, labels: NDArray, bright: NDArray
) -> None:  # pragma: no cover
    r"""Takes the peak from the pieces that have a part in a bright source."""

    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            if bright[labels[i, j]]:
                tops[pieces[i, j]] = 0.0


@making
def _renumber(
    labels: NDArray, peaks: NDArray, least: float, target: int
) -> None:  # pragma: no cover
    r"""Makes the target 1 and its neighbours 2..., by falling peak, the faintest ones sky."""

    new, last = np.zeros(peaks.size, np.int64), 1
    for label in range(1, peaks.size):
        if label == target:
            new[label] = 1
        elif peaks[label] >= least:
            last += 1
            new[label] = last
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            labels[i, j] = new[labels[i, j]]


@inner
def _insert(labels: NDArray, pieces: NDArray, piece: int) -> None:  # pragma: no cover
    r"""Makes a piece the target."""

    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            if pieces[i, j] == piece:
                labels[i, j] = 1


@making
def _flags(
    labels: NDArray, image: NDArray, covered: NDArray, x: float, y: float
) -> int:  # pragma: no cover
    r"""Says whether the target is there, cut by the edge, blended, and its centre covered."""

    height, width = labels.shape
    outside, blank, others = _outside(covered), ~covered, labels > 1
    peak, row, column, cut, touched = -np.inf, -2, -2, False, False
    for i in range(height):
        for j in range(width):
            if labels[i, j] == 1:
                cut |= _any(outside, i, i + 2, j, j + 2)
                touched |= _any(others, i - 1, i + 1, j - 1, j + 1)
            if labels[i, j] == 1 and image[i, j] > peak:
                peak, row, column = image[i, j], i, j
    top, bottom = math.ceil(y - 0.5), math.floor(y + 0.5)
    hidden = _any(blank, top, bottom, math.ceil(x - 0.5), math.floor(x + 0.5))
    hidden |= row >= 0 and _any(blank, row - 1, row + 1, column - 1, column + 1)
    flags = (EDGE if cut else 0) | (BLENDED if touched else 0)
    flags |= MASKED_CENTRE if hidden else 0

    return flags if row >= 0 else flags | NO_SOURCE


@inner
def _any(mask: NDArray, top: int, bottom: int, left: int, right: int) -> bool:  # pragma: no cover
    r"""Says whether any pixel of a box is set, as far as it is inside of the image."""

    for i in range(max(top, 0), min(bottom + 1, mask.shape[0])):
        for j in range(max(left, 0), min(right + 1, mask.shape[1])):
            if mask[i, j]:
                return True

    return False


@making
def _outside(covered: NDArray) -> NDArray:  # pragma: no cover
    r"""Returns what a rim around the image is connected to without passing a covered pixel."""

    height, width = covered.shape
    # Free to go are the rim and what is not covered, but not what is around the rim
    free = np.zeros((height + 4, width + 4), np.bool_)
    free[1:-1, 1:-1] = True
    for i in range(height):
        put(free[i + 2, 2:-2], ~covered[i])
    before = free.copy().ravel()
    now, across = free.ravel(), width + 4
    steps = (-across - 1, -across, -across + 1, -1, 1, across - 1, across, across + 1)
    stack, size = np.empty(now.size, np.int64), 1
    stack[0] = across + 1
    now[across + 1] = False
    while size > 0:
        size -= 1
        p = stack[size]
        for step in steps:
            if now[p + step]:
                now[p + step] = False
                stack[size] = p + step
                size += 1

    return (before & ~now).reshape(height + 4, width + 4)[1:-1, 1:-1]

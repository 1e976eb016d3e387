r"""What is wrong with a cutout, and what its sky and noise are."""

__all__ = ["Quality", "assess", "is_noise_map"]

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtri

from pipeline.background import background
from pipeline.errors import DataError

LEAST_COVERAGE = 0.5
r"""A band that covers less of the cutout is missing, and with no better one it is rejected."""

FULL_COVERAGE = 0.98
r"""A band that covers less of the cutout is cut by an edge."""

DETECTION = 4.0
r"""The significance of 3 x 3 bins that makes a source."""

REACH = 0.12
r"""The distance from the centre, as a fraction of the shorter side, at which a source is looked
for."""

OFF_CENTRE = 0.25
r"""The distance of the target from the centre that is too much: half way to the edge."""

SMALLEST_MAP = 48
r"""The side of the smallest frame that may be called a map of noise."""

NEIGHBOUR = 1.0
r"""The flux of a neighbour, as a fraction of that of the target, that is too much."""

GLARE, GLARE_SHARE = 1 / 3, 0.1
r"""The brightness of a bin of the border, as a fraction of the peak of the target, that is light
of something beyond; and the share of such bins that is too much."""

SADDLE = 0.7
r"""The height of a saddle, as a fraction of the lower summit, above which the two are one."""


@dataclass(frozen=True, eq=False)
class Quality:
    r"""What was measured on a cutout.

    Arguments:
        sky: The level of the sky of each band, in the unit of its pixels, with shape `(C,)`.
            NaN where a band is blank or has one value only.
        noise: The standard deviation of a sky pixel, with shape `(C,)`. Positive, or NaN.
        coverage: The fraction of pixels that have a value, with shape `(C,)`. Zero where they
            have one value only.
        saturation: The fraction of pixels that are saturated, with shape `(C,)`.
        flags: What the user should know, in alphabetical order.
    """

    sky: NDArray[np.float64]
    noise: NDArray[np.float64]
    coverage: NDArray[np.float64]
    saturation: NDArray[np.float64]
    flags: tuple[str, ...]


def assess(
    pixels: NDArray,
    quantum: NDArray | None = None,
    saturation_level: NDArray | None = None,
    grain: float = 1.0,
) -> Quality:
    r"""Measures the sky and the noise of a cutout, and judges it.

    The flags that pixels alone tell are `band_missing`, `edge`, `saturated`, `low_signal`,
    `off_centre` and `bright_neighbour`, see :data:`pipeline.flags.FLAGS`.

    None of them depends on the unit of the pixels, nor on a pedestal.

    Arguments:
        pixels: The flux in each pixel, with shape `(C, H, W)`. NaN where not covered.
        quantum: The rounding step :math:`q` of each band, with shape `(C,)`, zero where values
            are continuous. The noise is :math:`q / \sqrt{12}` at least.
        saturation_level: The value at which each band saturates, with shape `(C,)`, NaN where
            unknown: a plateau at the top is looked for.
        grain: The side of a pixel of the files, in pixels of the cutout, the largest of all
            bands. See :func:`pipeline.background.background`.

    Returns:
        The measurements and the flags.

    Raises:
        DataError: If this is no usable image of the sky: with infinite values, blank, constant,
            or mostly uncovered.
    """

    pixels = np.ascontiguousarray(pixels, np.float64)
    coverage, low, high = np.array([_extent(plane) for plane in pixels]).T
    _reject(coverage, low, high)
    coverage = np.where(high > low, coverage, 0.0)

    bands = len(pixels)
    steps = np.zeros(bands) if quantum is None else np.asarray(quantum, float)
    levels = np.full(bands, np.nan) if saturation_level is None else saturation_level
    sky, noise = np.full((2, bands), np.nan)
    maps = []
    for c in np.flatnonzero(coverage > 0):
        found = background(pixels[c], steps[c], grain)
        sky[c], noise[c] = max(found.sky, low[c]), found.noise or _last_resort(pixels[c])
        maps.append(found.bins / (found.bin_noise or noise[c]))
    saturation = np.array(
        [
            _saturation(plane, top, level, known, grain)
            for plane, top, level, known in zip(pixels, high, sky, levels, strict=True)
        ]
    )

    flags = _composition(maps)
    flags |= {"edge"} if (coverage < FULL_COVERAGE).any() else set()
    flags |= {"band_missing"} if (coverage < LEAST_COVERAGE).any() else set()
    flags |= {"saturated"} if (saturation > 0).any() else set()

    return Quality(sky, noise, coverage, saturation, tuple(sorted(flags)))


def is_noise_map(image: NDArray) -> bool:
    r"""Whether a whole frame is a map of noise rather than an image of the sky.

    A sky reaches down by the extreme of as many Gaussian numbers as it has pixels, and its bins
    scatter as much as white noise would, or more. Stacked exposures print a fine regular
    pattern on their map of noise, which does neither, and no value of which is negative. A
    crop that a galaxy fills has no sky to tell by: judge all there is.

    Arguments:
        image: The pixels, with shape `(H, W)`. NaN where not covered.

    Returns:
        Whether it is. Never of frames below 48 pixels, rounded to integers, or mostly blank.
    """

    covered = image[np.isfinite(image)].astype(np.float64)
    small = min(image.shape) < SMALLEST_MAP or covered.size < image.size / 2
    if small or covered.min() <= 0 or (covered == np.round(covered)).all():
        return False

    found = background(image)
    tail = found.sky - covered.min()
    expected = -ndtri(1 / covered.size) * found.noise
    texture = found.bin_noise * found.side / found.noise if found.noise else 1

    return bool(tail < 0.75 * expected and texture < 0.8)


def _reject(coverage: NDArray, low: NDArray, high: NDArray) -> None:
    if np.isinf(low[coverage > 0]).any() or np.isinf(high[coverage > 0]).any():
        raise DataError("has infinite values")
    if not coverage.any():
        raise DataError("all pixels are blank")
    if (high[coverage > 0] == low[coverage > 0]).all():
        raise DataError(f"all pixels have the same value, {high[coverage > 0][0]:g}")
    best = coverage[high > low].max()
    if best < LEAST_COVERAGE:
        raise DataError(
            f"only {best:.0%} of the cutout has data, expected {LEAST_COVERAGE:.0%} or more"
        )


@njit(cache=True)
def _extent(image: NDArray) -> tuple[float, float, float]:  # pragma: no cover
    r"""Returns the fraction of pixels that are not blank, the lowest of them and the highest."""

    count, low, high = 0, np.inf, -np.inf
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            value = image[i, j]
            if not np.isnan(value):
                count += 1
                low = min(low, value)
                high = max(high, value)

    return count / image.size, low, high


def _last_resort(image: NDArray) -> float:
    r"""Returns a noise for an image of which most of the sky has one value."""

    steps = np.concatenate([np.diff(image, axis=axis).ravel() for axis in (0, 1)])
    steps = steps[~np.isnan(steps)].astype(float)

    return float(np.sqrt(np.mean(steps**2) / 2)) or float(np.nanstd(image))


def _saturation(image: NDArray, high: float, sky: float, level: float, grain: float) -> float:
    r"""Returns the fraction of saturated pixels.

    Without a known level, five pixels of the file or more at the top value make a plateau if
    they are half as many as those in the tenth of the range below them: no real source is as
    flat.
    """

    if np.isnan(sky):
        return 0.0
    if np.isfinite(level):
        return float(np.mean(image >= 0.99 * level))

    top = np.count_nonzero(image >= high)
    below = np.count_nonzero(image >= high - 0.1 * (high - sky)) - top

    return top / image.size if top >= 5 * max(grain, 1) ** 2 and 2 * top >= below else 0.0


def _composition(maps: list[NDArray]) -> set[str]:
    r"""Looks at the sources in the sum of the bands, in units of their noise."""

    stack = np.stack(maps)
    count = (~np.isnan(stack)).sum(axis=0)
    signal = np.nansum(stack, axis=0) / np.sqrt(np.maximum(count, 1))
    signal = 3 * ndimage.uniform_filter(signal, 3)

    sources = signal > DETECTION
    if not sources.any():
        return {"low_signal"}

    middle = (np.array(signal.shape) - 1) / 2
    found = np.argwhere(sources)
    distance = np.hypot(*(found - middle).T)
    if distance.min() > REACH * min(signal.shape):
        return {"off_centre"}

    flags = set()
    peak = _climb(signal, found[distance.argmin()])
    core, _ = ndimage.label(signal > signal[peak] / 2)
    bins = np.argwhere(core == core[peak])
    centroid = np.average(bins, axis=0, weights=signal[*bins.T])
    if np.hypot(*(centroid - middle)) > OFF_CENTRE * min(signal.shape):
        flags.add("off_centre")
    border = np.concatenate([signal[0], signal[-1], signal[1:-1, 0], signal[1:-1, -1]])
    if _outshone(signal, *peak) or np.mean(border > GLARE * signal[peak]) > GLARE_SHARE:
        flags.add("bright_neighbour")

    return flags


def _climb(signal: NDArray, start: NDArray) -> tuple[int, int]:
    r"""Walks uphill to the top of a source."""

    y, x = (int(value) for value in start)
    while True:
        top, left = max(y - 1, 0), max(x - 1, 0)
        around = signal[top : y + 2, left : x + 2]
        dy, dx = np.unravel_index(np.argmax(around), around.shape)
        if around[dy, dx] <= signal[y, x]:
            return y, x
        y, x = top + int(dy), left + int(dx)


@njit(cache=True)
def _outshone(signal: NDArray, y: int, x: int) -> bool:  # pragma: no cover
    r"""Whether a source is brighter than the target, where the two part.

    As the level sinks from the top to the sky, summits grow into sources and sources flow
    together. Where one meets the target, their fluxes above that level are compared, unless
    the saddle is nearly as high as one of the summits: such a summit is a detail.
    """

    height, width = signal.shape
    values = signal.ravel()
    parent = np.full(values.size, -1)
    flux, top = values.copy(), values.copy()
    target = y * width + x
    for k in np.argsort(-values):
        if values[k] <= DETECTION:
            break
        parent[k] = k
        for n in (k - width, k + width, k - 1, k + 1):
            beside = 0 <= n < values.size and (n // width == k // width or n % width == k % width)
            if not beside or parent[n] < 0:
                continue
            a, b = _root(parent, k), _root(parent, n)
            if a == b:
                continue
            apart = values[k] < SADDLE * min(top[a], top[b])
            own = _root(parent, target)
            if apart and own in (a, b) and flux[a + b - own] > NEIGHBOUR * flux[own]:
                return True
            parent[b] = a
            flux[a] += flux[b]
            top[a] = max(top[a], top[b])

    roots = np.flatnonzero(parent == np.arange(values.size))

    return flux[roots].max() > NEIGHBOUR * flux[_root(parent, target)]


@njit
def _root(parent: NDArray, k: int) -> int:  # pragma: no cover
    r"""Returns the first bin of a source. Minus one for a bin that is in none yet."""

    if k < 0 or parent[k] < 0:
        return -1
    while parent[k] != k:
        parent[k] = parent[parent[k]]  # halves the way of the next search
        k = parent[k]

    return k

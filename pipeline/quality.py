r"""What is wrong with a cutout, and what its sky and noise are."""

__all__ = ["Quality", "assess"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.background import background
from pipeline.errors import DataError

LEAST_COVERAGE = 0.5
r"""A band that covers less of the cutout is missing, and with no better one it is rejected."""

FULL_COVERAGE = 0.98
r"""A band that covers less of the cutout is cut by an edge."""

DETECTION = 4.0
r"""The significance of 3 x 3 bins that makes a source."""

OFF_CENTRE = 0.12
r"""The distance of target and centre, as a fraction of the shorter side, that is too much."""

NEIGHBOUR = 1.0
r"""The flux of a neighbour, as a fraction of that of the target, that is too much."""


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
    pixels: NDArray, quantum: NDArray | None = None, saturation_level: NDArray | None = None
) -> Quality:
    r"""Measures the sky and the noise of a cutout, and judges it.

    The flags are

    - `band_missing`: a band covers less than half of the cutout, or is constant;
    - `edge`: a band covers less than 98 % of it;
    - `saturated`: a band has a plateau at its top;
    - `low_signal`: no source stands out in the sum of all bands;
    - `off_centre`: the source nearest to the centre is further from it than 12 % of the side;
    - `bright_neighbour`: another source is brighter than the target.

    None of them depends on the unit of the pixels, nor on a pedestal.

    Arguments:
        pixels: The flux in each pixel, with shape `(C, H, W)`. NaN where not covered.
        quantum: The rounding step :math:`q` of each band, with shape `(C,)`, zero where values
            are continuous. The noise is :math:`q / \sqrt{12}` at least.
        saturation_level: The value at which each band saturates, with shape `(C,)`, NaN where
            unknown: a plateau at the top is looked for.

    Returns:
        The measurements and the flags.

    Raises:
        DataError: If this is no usable image of the sky: with infinite values, blank, constant,
            mostly uncovered, or a map of noise or weight.
    """

    covered = ~np.isnan(pixels)
    coverage = covered.mean(axis=(1, 2))
    low = np.where(covered, pixels, np.inf).min(axis=(1, 2))
    high = np.where(covered, pixels, -np.inf).max(axis=(1, 2))
    _reject(coverage, low, high)
    coverage = np.where(high > low, coverage, 0.0)

    bands = len(pixels)
    steps = np.zeros(bands) if quantum is None else np.asarray(quantum, float)
    levels = np.full(bands, np.nan) if saturation_level is None else saturation_level
    sky, noise = np.full((2, bands), np.nan)
    maps = []
    for c in np.flatnonzero(coverage > 0):
        found = background(pixels[c], steps[c])
        sky[c], noise[c] = found.sky, found.noise or _last_resort(pixels[c])
        maps.append(found.bins / (found.bin_noise or noise[c]))
    saturation = np.array(
        [_saturation(p, *values) for p, *values in zip(pixels, high, sky, levels, strict=True)]
    )

    flags = _composition(maps)
    flags |= {"edge"} if (coverage < FULL_COVERAGE).any() else set()
    flags |= {"band_missing"} if (coverage < LEAST_COVERAGE).any() else set()
    flags |= {"saturated"} if (saturation > 0).any() else set()

    return Quality(sky, noise, coverage, saturation, tuple(sorted(flags)))


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


def _last_resort(image: NDArray) -> float:
    r"""Returns a noise for an image of which most of the sky has one value."""

    steps = np.concatenate([np.diff(image, axis=axis).ravel() for axis in (0, 1)])
    steps = steps[~np.isnan(steps)].astype(float)

    return float(np.sqrt(np.mean(steps**2) / 2)) or float(np.nanstd(image))


def _saturation(image: NDArray, high: float, sky: float, level: float) -> float:
    r"""Returns the fraction of saturated pixels.

    Without a known level, five pixels or more at the top value make a plateau if they are half
    as many as those in the tenth of the range below them: no real source is as flat.
    """

    if np.isfinite(level):
        return float(np.mean(image >= 0.99 * level))

    top = np.count_nonzero(image >= high)
    below = np.count_nonzero(image >= high - 0.1 * (high - sky)) - top

    return top / image.size if top >= 5 and 2 * top >= below else 0.0


def _composition(maps: list[NDArray]) -> set[str]:
    r"""Looks at the sources in the sum of the bands, in units of their noise."""

    stack = np.stack(maps)
    count = (~np.isnan(stack)).sum(axis=0)
    signal = np.nansum(stack, axis=0) / np.sqrt(np.maximum(count, 1))
    signal = 3 * ndimage.uniform_filter(signal, 3)

    middle = (np.array(signal.shape) - 1) / 2
    reach = OFF_CENTRE * min(signal.shape)
    labels, _ = ndimage.label(signal > DETECTION)
    if not labels.any():
        return {"low_signal"}

    peak = _climb(signal, middle)
    if labels[peak] == 0 or np.hypot(*(peak - middle)) > reach:
        return {"off_centre"}

    flags = set()
    inside = labels == labels[peak]
    core = ndimage.label(inside & (signal > signal[peak] / 2))[0]
    centroid = ndimage.center_of_mass(signal, core, core[peak])
    if np.hypot(*(centroid - middle)) > reach:
        flags.add("off_centre")
    if _outshone(signal, peak):
        flags.add("bright_neighbour")

    return flags


def _climb(signal: NDArray, start: NDArray) -> tuple[int, int]:
    r"""Walks uphill from the centre to the top of the target."""

    y, x = (int(value) for value in np.round(start))
    while True:
        top, left = max(y - 1, 0), max(x - 1, 0)
        around = signal[top : y + 2, left : x + 2]
        dy, dx = np.unravel_index(np.argmax(around), around.shape)
        if around[dy, dx] <= signal[y, x]:
            return y, x
        y, x = top + int(dy), left + int(dx)


def _outshone(signal: NDArray, peak: tuple[int, int]) -> bool:
    r"""Whether a source is brighter than the target, where the two part.

    As the level rises from the sky to the top of the target, its neighbours break off one after
    the other. Each is compared with the target at the level at which it does.
    """

    attached = np.ones(signal.shape, bool)
    for level in np.geomspace(DETECTION, signal[peak], 12)[:-1]:
        labels, count = ndimage.label(signal > level)
        flux = ndimage.sum_labels(signal, labels, np.arange(count + 1))
        free = np.unique(labels[attached & (labels > 0)])
        target = labels[peak]
        if (flux[free[free != target]] > NEIGHBOUR * flux[target]).any():
            return True
        attached = labels == target

    return False

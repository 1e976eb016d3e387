r"""What the errors of the statistics are worth: each against the scatter of noisy images.

`python -m benchmarks.uncertainty [--quick] [--json] [--docs docs]`

Disks, disks with arms and clumps, and bulges of 64 px, with 5 px of half-light radius, at places
within a pixel that are drawn at random, are measured without noise and with white noise, the
target found and the sky taken off anew each time; some with the noise of a drizzle, that a
Gaussian has made alike in neighbours. The ratio is the median error over half of the
central 68 % of the differences; from 0.7 to 1.4 is taken for right. The S/N is that of half of
the light, within the ellipse that holds it. Errors are those to first order, of all images, and
those of noise that is added 32 times, of one in six.
"""

__all__ = ["KINDS", "galaxy", "main", "ratio", "ratios", "summary"]

import math
import sys
from collections.abc import Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.harness import parser, write_json
from benchmarks.pages import PAGE, TABLES, renew, table
from pipeline.morphometry import Morphology, measure
from pipeline.morphometry.resampling import resampled

KINDS = ("disk", "arms", "bulge")
LEVELS = (5.0, 20.0, 100.0)
r"""The signal to noise of half of the light."""

ALIKE = 0.7
r"""The width of the Gaussian that makes noise alike: next pixels have a coefficient of 0.6."""

CASES = (*product(KINDS, LEVELS, (0.0,)), *product(KINDS, LEVELS[1:], (ALIKE,)))
r"""What is drawn, how bright, and with noise of what width."""

RIGHT = (0.7, 1.4)
r"""The range of the ratio that is taken for right."""

SIDE, RADIUS, Q, THETA = 64, 5.0, 0.7, 0.6
SEEING = 2.5
r"""The full width of the Gaussian that blurs galaxies, in pixels."""

FINE = 5
r"""The samples per side of a pixel."""

PLACES = 25
r"""The number of places within a pixel."""

CLEAN = 1e-6
r"""The noise of an image without noise, relative to its brightest pixel."""

SHARE = 6
r"""Of how many images one has noise added."""

CLUMPS = ((5, 3, 0.5), (-4, 5, 0.35), (2, -7, 0.3), (7, -2, 0.25))
r"""Where clumps are in the plane, in pixels, and how bright, relative to the half-light radius."""


def galaxy(kind: str, x: float, y: float) -> NDArray[np.float64]:
    r"""Draws a galaxy of unit flux.

    Arguments:
        kind: One of :data:`KINDS`.
        x: The column of its centre.
        y: Its row.
    """

    n = 4.0 if kind == "bulge" else 1.0
    grid = (np.arange(SIDE * FINE) + 0.5) / FINE - 0.5
    dx, dy = np.meshgrid(grid - x, grid - y)
    u, v = dx * np.cos(THETA) + dy * np.sin(THETA), (dy * np.cos(THETA) - dx * np.sin(THETA)) / Q
    r = np.hypot(u, v)
    light = np.exp(-(2 * n - 1 / 3) * (r / RADIUS) ** (1 / n))
    if kind == "arms":
        light *= 1 + 0.6 * np.cos(2 * np.arctan2(v, u) - 5 * np.log(np.maximum(r, 0.5)))
        for along, across, peak in CLUMPS:
            light += peak * np.exp(-((u - along) ** 2 + (v - across) ** 2) / 2)
    light = ndimage.gaussian_filter(light, SEEING / 2.3548 * FINE)
    light = light.reshape(SIDE, FINE, SIDE, FINE).mean((1, 3))

    return light / light.sum()


def _noise(random: np.random.Generator, width: float) -> NDArray[np.float64]:
    noise = random.normal(size=(SIDE, SIDE))
    if width > 0:
        noise = ndimage.gaussian_filter(noise, width, mode="wrap")
        noise /= noise.std()

    return noise


def ratios(
    kind: str, sn: float, width: float, count: int
) -> tuple[dict[str, float], dict[str, float]]:
    r"""Returns the ratio of the error to the scatter of each statistic that has one.

    To first order, and with noise that is added.

    Arguments:
        kind: One of :data:`KINDS`.
        sn: The signal to noise of half of the light, were the noise white.
        width: That of the Gaussian that makes noise alike, in pixels, 0 for white noise.
        count: The number of noisy images.
    """

    random = np.random.default_rng(0)
    flux = 2 * sn * math.sqrt(math.pi * RADIUS**2 * Q)
    places = SIDE / 2 - 0.5 + random.uniform(-0.5, 0.5, (PLACES, 2))
    lights = [flux * galaxy(kind, x, y) for x, y in places]
    clean = [
        measure(light + CLEAN * light.max() * random.normal(size=light.shape)) for light in lights
    ]
    images = [lights[k % PLACES] + _noise(random, width) for k in range(count)]
    noisy = [measure(image) for image in images]
    again = [resampled(images[k], noisy[k]) for k in range(0, count, SHARE)]

    first, second = {}, {}
    for name in Morphology._fields:
        if f"{name}_error" in Morphology._fields:
            errors, others = (
                np.array([getattr(one, f"{name}_error") for one in some])
                for some in (noisy, again)
            )
            found = np.array([getattr(one, name) for one in noisy])
            true = np.array([getattr(clean[k % PLACES], name) for k in range(count)])
            if name == "sn_per_pixel":  # which is infinite without noise
                true = np.array([found[k % PLACES :: PLACES].mean() for k in range(count)])
            changes, axis = found - true, "theta" in name or name == "pitch"
            first[name] = ratio(errors, changes, axis)
            second[name] = ratio(others, changes, axis)

    return first, second


def ratio(errors: NDArray, changes: NDArray, axis: bool) -> float:
    r"""Returns the median error over the scatter of the changes.

    Arguments:
        errors: The errors, of some of the images.
        changes: What was found less what is true, of all of them.
        axis: Whether it is the angle of an axis, known modulo half a turn.

    Returns:
        The ratio, NaN if fewer than half have an error, or if nothing changes.
    """

    whole = errors.size, changes.size
    errors, changes = errors[np.isfinite(errors)], changes[np.isfinite(changes)]
    if 2 * errors.size < whole[0] or 2 * changes.size < whole[1]:
        return math.nan
    if axis:
        changes = (changes + math.pi / 2) % math.pi - math.pi / 2
    low, high = np.percentile(changes, (15.87, 84.13))

    return 2 * float(np.median(errors)) / (high - low) if high > low else math.nan


def summary(found: Mapping[str, Mapping[str, float]]) -> str:
    r"""Tells how many statistics have right errors, and which have not, as a table.

    Arguments:
        found: The ratio of each statistic, by case.
    """

    low, high = RIGHT
    rows = []
    for case, values in found.items():
        known = {name: value for name, value in values.items() if math.isfinite(value)}
        small = [f"{name} {value:.2f}" for name, value in known.items() if value < low]
        large = [f"{name} {value:.2f}" for name, value in known.items() if value > high]
        right = len(known) - len(small) - len(large)
        rows.append([case, f"{right} of {len(known)}", ", ".join(small), ", ".join(large)])

    return table(["", "right", "too small", "too large"], rows)


def _told(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def main() -> None:
    asked = parser(__doc__ or "", docs=True).parse_args()
    count = 50 if asked.quick else 300
    first, second = {}, {}
    for kind, sn, width in CASES:
        case = f"{kind}, S/N {sn:g}{', alike' if width else ''}"
        first[case], second[case] = ratios(kind, sn, width, count)
    found = {"first order": first, "noise added": second}
    if asked.json:
        write_json(found)
        return

    for part, cases in (("errors", first), ("errors, noise added", second)):
        names = next(iter(cases.values()))
        rows = [[name, *(_told(row[name]) for row in cases.values())] for name in names]
        told = {PAGE: summary(cases), TABLES: table(["error / scatter", *cases], rows)}
        sys.stdout.write("\n".join([part, *told.values()]))
        if asked.docs:
            for page, text in told.items():
                renew(asked.docs / page, part, text)


if __name__ == "__main__":
    main()

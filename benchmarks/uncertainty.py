r"""What the errors of the statistics are worth: each against the scatter of noisy images.

`python -m benchmarks.uncertainty [--quick] [--json] [--docs docs]`

Disks, disks with arms and clumps, and bulges of 64 px, with 5 px of half-light radius, at places
within a pixel that are drawn at random, are measured without noise and with white noise, the
target found and the sky taken off anew each time. The ratio is the median error over half of the
central 68 % of the differences; from 0.7 to 1.4 is taken for right. The S/N is that of half of
the light, within the ellipse that holds it.
"""

__all__ = ["KINDS", "galaxy", "main", "ratio", "ratios", "summary"]

import math
import sys
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.harness import parser, write_json
from benchmarks.pages import PAGE, TABLES, renew, table
from pipeline.morphometry import Morphology, measure

KINDS = ("disk", "arms", "bulge")
LEVELS = (5.0, 20.0, 100.0)
r"""The signal to noise of half of the light."""

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


def ratios(kind: str, sn: float, count: int) -> dict[str, float]:
    r"""Returns the ratio of the error to the scatter of each statistic that has one.

    Arguments:
        kind: One of :data:`KINDS`.
        sn: The signal to noise of half of the light.
        count: The number of noisy images.
    """

    random = np.random.default_rng(0)
    flux = 2 * sn * math.sqrt(math.pi * RADIUS**2 * Q)
    places = SIDE / 2 - 0.5 + random.uniform(-0.5, 0.5, (PLACES, 2))
    lights = [flux * galaxy(kind, x, y) for x, y in places]
    clean = [
        measure(light + CLEAN * light.max() * random.normal(size=light.shape)) for light in lights
    ]
    noisy = [measure(lights[k % PLACES] + random.normal(size=(SIDE, SIDE))) for k in range(count)]

    out = {}
    for name in Morphology._fields:
        if f"{name}_error" in Morphology._fields:
            errors = np.array([getattr(one, f"{name}_error") for one in noisy])
            found = np.array([getattr(one, name) for one in noisy])
            true = np.array([getattr(clean[k % PLACES], name) for k in range(count)])
            if name == "sn_per_pixel":  # which is infinite without noise
                true = np.array([found[k % PLACES :: PLACES].mean() for k in range(count)])
            out[name] = ratio(errors, found - true, "theta" in name or name == "pitch")

    return out


def ratio(errors: NDArray, changes: NDArray, axis: bool) -> float:
    r"""Returns the median error over the scatter of the changes.

    Arguments:
        errors: The errors, with shape `(N,)`.
        changes: What was found less what is true, with shape `(N,)`.
        axis: Whether it is the angle of an axis, known modulo half a turn.

    Returns:
        The ratio, NaN if fewer than half have an error, or if nothing changes.
    """

    known = np.isfinite(errors) & np.isfinite(changes)
    if 2 * known.sum() < known.size:
        return math.nan
    if axis:
        changes = (changes + math.pi / 2) % math.pi - math.pi / 2
    low, high = np.percentile(changes[known], (15.87, 84.13))

    return 2 * float(np.median(errors[known])) / (high - low) if high > low else math.nan


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


def main() -> None:
    asked = parser(__doc__ or "", docs=True).parse_args()
    count = 50 if asked.quick else 300
    cases = [(kind, sn) for kind in KINDS for sn in LEVELS]
    found = {f"{kind}, S/N {sn:g}": ratios(kind, sn, count) for kind, sn in cases}
    if asked.json:
        write_json(found)
        return

    rows = [
        [name, *("-" if math.isnan(row[name]) else f"{row[name]:.2f}" for row in found.values())]
        for name in next(iter(found.values()))
    ]
    told = {PAGE: summary(found), TABLES: table(["error / scatter", *found], rows)}
    sys.stdout.write("\n".join(told.values()))
    if asked.docs:
        for page, text in told.items():
            renew(asked.docs / page, "errors", text)


if __name__ == "__main__":
    main()

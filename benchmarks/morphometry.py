r"""Measurements of galaxies, against statmorph on the same images and maps of sources.

One core each. Ours include what statmorph lacks: errors, columns without the bias of noise,
entropy, gradient pattern, bar and spiral. Rates are followed by costs in milliseconds per
galaxy, by the gain of a second process, and by the time of the first galaxy of a process, when
everything has to be compiled and when that was done before.
"""

__all__ = ["main"]

import math
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks.harness import Case, compare, options, report
from benchmarks.peers import Galaxy, draw, split, with_statmorph
from pipeline.morphometry import measure, morphology
from pipeline.workers import in_order

NUMBERS = {64: 24, 128: 12, 256: 6}
r"""How many galaxies there are of each side in pixels."""

FAINTEST, BRIGHTEST = 60, 600
r"""The range of their total signal to noise ratio."""

PARTS = {
    "sky": ("skybox noise", "_slice_skybox sky_mean sky_median sky_sigma _sky_asymmetry"),
    "centroid and shape": (
        "centroid shape",
        "_centroid _covariance_centroid ellipticity_centroid orientation_centroid"
        " _covariance_asymmetry ellipticity_asymmetry orientation_asymmetry",
    ),
    "centre of symmetry": ("centre", "_asymmetry_center"),
    "Petrosian radii": (
        "cumulate petrosian_radius",
        "_rpetro_circ_centroid rpetro_circ rpetro_ellip",
    ),
    "outline": ("outline reach", "_segmap_shape_asym rmax_circ rmax_ellip"),
    "radii and fluxes": (
        "aperture_flux radii radius_of_fraction",
        "flux_circ flux_ellip r20 r50 r80 rhalf_circ rhalf_ellip",
    ),
    "asymmetries": (
        "residual asymmetry rms_asymmetry2 outer_asymmetry shape_asymmetry",
        "asymmetry rms_asymmetry2 outer_asymmetry shape_asymmetry",
    ),
    "smoothness": ("boxcar noise_smoothness sky_smoothness smoothness", "smoothness"),
    "Gini, M20, S/N": (
        "weights gini_segment ascending gini m20 sn_per_pixel",
        "_segmap_gini gini m20 _weightmap_stamp sn_per_pixel",
    ),
    "multimode": ("multimode", "multimode"),
    "intensity and deviation": (
        "mid_segment intensity_deviation",
        "_segmap_mid intensity deviation",
    ),
    "Sersic fit": ("sersic", "_sersic_model sersic_chi2_dof sersic_aic sersic_bic"),
    "without noise bias": ("unbiased_asymmetry unbiased_smoothness", ""),
    "entropy": ("entropy", ""),
    "gradient pattern": ("gradient_pattern", ""),
    "bar": ("bar", ""),
    "spiral": ("spiral", ""),
    "isophotes": ("isophote_twist", ""),
    "errors": ("of_place of_growth of_turn of_light of_arms", ""),
}
r"""What is timed apart: our kernels and the properties of statmorph."""

BEFORE = (
    "_slice_skybox _sky_asymmetry _centroid _rpetro_circ_centroid _asymmetry_center rpetro_circ"
    " rpetro_ellip"
).split()
r"""What others need. A property of statmorph is computed when it is first asked for."""

BUNCH, BUNCHES = 50, 24
r"""How many galaxies a task of a process has, and how many tasks there are."""

FIRST = """
import time
start = time.perf_counter()
import numpy as np
from pipeline.morphometry import measure
y, x = np.mgrid[:64, :64]
noise = np.random.default_rng(0).normal(size=(64, 64))
measure(100 * np.exp(-np.hypot(x - 31, y - 30) / 4) + noise)
print(time.perf_counter() - start)
"""


def ours(galaxies: list[Galaxy], mode: str = "fast") -> None:
    for galaxy in galaxies:
        measure(galaxy.image, galaxy.labels, galaxy.label, gain=galaxy.gain, mode=mode)  # type: ignore[arg-type]


def theirs(galaxies: list[Galaxy]) -> None:
    for galaxy in galaxies:
        with_statmorph(galaxy)


def rates(drawn: dict[int, list[Galaxy]], rounds: int) -> list[Case]:
    r"""Compares the rates of both modes, on each side of an image."""

    cases = []
    for mode in ("fast", "parity"):
        for side, galaxies in drawn.items():
            name = f"{mode}, {side} x {side} px"
            sides = partial(ours, galaxies, mode), partial(theirs, galaxies)
            cases.append(compare(name, *sides, items=len(galaxies), rounds=rounds))

    return cases


def costs(side: int, galaxies: list[Galaxy]) -> list[Case]:
    r"""Compares the cost of each part, in milliseconds per galaxy, NaN for what statmorph lacks.

    The first is that of all that both measure.
    """

    kernels, whole = _our_costs(galaxies)
    names = [name for _, part in PARTS.values() for name in part.split()]
    properties, wait = split(galaxies, list(dict.fromkeys([*BEFORE, *names])))
    sums = {
        part: (sum(kernels[n] for n in a.split()), sum(properties[n] for n in b.split()))
        for part, (a, b) in PARTS.items()
    }
    sums["everything else"] = (
        whole - sum(a for a, _ in sums.values()),
        wait - sum(b for _, b in sums.values()),
    )
    common = sum(a for a, b in sums.values() if b > 0)
    sums = {"what both measure": (common, wait)} | sums
    cases = []
    for part, times in sums.items():
        mine, other = (1e3 * t / len(galaxies) for t in times)
        other = other if other > 0 else math.nan
        cases.append(Case(f"{part}, {side} px", mine, other, "ms/galaxy", other / mine))

    return cases


def _our_costs(galaxies: list[Galaxy]) -> tuple[dict[str, float], float]:
    r"""Returns the seconds in each kernel that is called for a galaxy, and in all."""

    spent: dict[str, float] = defaultdict(float)
    with _timed(spent):
        ours(galaxies)
        spent.clear()
        start = time.perf_counter()
        ours(galaxies)
        whole = time.perf_counter() - start

    return spent, whole


@contextmanager
def _timed(spent: dict[str, float]) -> Iterator[None]:
    r"""Adds up the time in each function that `morphology` has from other modules."""

    kernels = {name: value for name, value in vars(morphology).items() if _elsewhere(value)}

    def timed(name: str, kernel: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            result = kernel(*arguments, **named)
            spent[name] += time.perf_counter() - start
            return result

        return call

    try:
        for name, kernel in kernels.items():
            setattr(morphology, name, timed(name, kernel))
        yield
    finally:
        for name, kernel in kernels.items():
            setattr(morphology, name, kernel)


def _elsewhere(value: object) -> bool:
    module = getattr(value, "__module__", None) or ""
    inside = module.startswith(f"{morphology.__package__}.") and module != morphology.__name__

    return inside and callable(value) and not isinstance(value, type)


def scaling(galaxies: list[Galaxy], workers: int) -> Case:
    r"""Compares the rate of several processes with that of one."""

    several, one = (_rate(galaxies, number) for number in (workers, 1))

    return Case(f"{workers} processes against one", several, one, "galaxies/s", several / one)


def _rate(galaxies: list[Galaxy], workers: int) -> float:
    r"""Returns the rate while all processes are at work, of tasks that are wholly in that time."""

    bunch = [galaxies[k % len(galaxies)] for k in range(BUNCH)]
    spans = [*in_order(_span, [(bunch,)] * BUNCHES * workers, workers)]
    processes = {process for process, _, _ in spans}
    first = max(min(t for p, t, _ in spans if p == process) for process in processes)
    last = min(max(t for p, _, t in spans if p == process) for process in processes)
    done = sum(first <= start and end <= last for _, start, end in spans)

    return done * BUNCH / (last - first)


def _span(galaxies: list[Galaxy]) -> tuple[int, float, float]:
    ours(galaxies[:1])
    start = time.perf_counter()
    ours(galaxies)

    return os.getpid(), start, time.perf_counter()


def first() -> Case:
    r"""Compares the first galaxy of a process, its kernels compiled before, with one where not."""

    with tempfile.TemporaryDirectory() as cache:
        cold, warm = (_first(cache) for _ in range(2))

    return Case("first galaxy of a process, compiled before or not", warm, cold, "s", cold / warm)


def _first(cache: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", FIRST],
        env=os.environ | {"NUMBA_CACHE_DIR": cache},
        check=True,
        capture_output=True,
        text=True,
    )

    return float(done.stdout)


def main() -> None:
    chosen = options(__doc__ or "")
    drawn = {
        side: draw(side, max(2, count // (8 if chosen.quick else 1)), FAINTEST, BRIGHTEST, side)
        for side, count in NUMBERS.items()
    }
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    cases = rates(drawn, 1 if chosen.quick else 5)
    for side, galaxies in drawn.items():
        cases += costs(side, galaxies)
    os.sched_setaffinity(0, cores)
    cases.append(scaling(drawn[64], 2))
    if not chosen.quick:
        cases.append(first())
    report(cases, chosen.json)


if __name__ == "__main__":
    main()

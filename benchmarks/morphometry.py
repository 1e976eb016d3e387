r"""Measurements of galaxies, against statmorph on the same images and maps of sources.

`python -m benchmarks.morphometry [--quick] [--json] [--docs docs]`

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
from functools import partial

from benchmarks.costs import PARTS, SIDES, our_costs, ours, tables
from benchmarks.harness import Case, compare, parser, report
from benchmarks.pages import PAGE, renew
from benchmarks.peers import draw, split, with_statmorph
from benchmarks.samples import Galaxy
from pipeline.workers import in_order

NUMBERS = dict(zip(SIDES, (24, 16, 12), strict=True))
r"""How many galaxies there are of each side in pixels."""

FAINTEST, BRIGHTEST = 60, 600
r"""The range of their total signal to noise ratio."""

PASSES = 5
r"""How often our parts are timed before theirs, and after, as one pass takes a blink only."""

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

    The first is that of all that both measure. Ours are those of the median of several passes.
    """

    names = [name for _, part in PARTS.values() for name in part.split()]
    before = [our_costs(galaxies) for _ in range(PASSES)]
    properties, wait = split(galaxies, names)
    after = [our_costs(galaxies) for _ in range(PASSES + 1)]
    kernels, whole = sorted(before + after, key=lambda one: one[1])[PASSES]
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
    chosen = parser(__doc__ or "", docs=True).parse_args()
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
    if chosen.docs:
        renew(chosen.docs / PAGE, "speed", tables(cases))


if __name__ == "__main__":
    main()

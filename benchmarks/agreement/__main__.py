r"""How far our measurements are from those of statmorph, by statistic and signal to noise.

`python -m benchmarks.agreement [--docs docs] [--known tests/morphometry/statmorph.json]`

Both are given the same images and maps of sources. With `parity` each measures the sky by
itself, of some galaxies also with a mask, with pixels that have no value, with a hot pixel or with
a point-spread function; with `fast` we are given the sky that statmorph found. statmorph is also
compared with itself, between a galaxy and the same one turned or flipped, on the same sky and on
the one that it then finds. What it measured can be kept, and told or drawn again without
measuring. With `--known` only what the tests compare `parity` with is measured.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.agreement.altered import altered
from benchmarks.agreement.compare import compare
from benchmarks.agreement.drawn import drawn
from benchmarks.agreement.figures import exact, fast
from benchmarks.agreement.pairs import MODES, Mode, Pair
from benchmarks.agreement.reasons import reasons
from benchmarks.agreement.tables import pool, rows, tables
from benchmarks.gallery.looks import save
from benchmarks.harness import parser, write_json
from benchmarks.pages import PAGE, TABLES, renew
from benchmarks.peers import draw, with_statmorph
from benchmarks.samples import REAL, Galaxy, real, simulated
from pipeline.figures import style
from pipeline.workers import in_order

GALSIM = {64: 120, 128: 60, 256: 20}
r"""How many galaxies GalSim draws of each side in pixels."""

OURS = 120
r"""How many galaxies our simulator draws."""

ALTERED = 24
r"""How many of those of 64 pixels are altered in each way, for `parity` only."""

FAINTEST, BRIGHTEST = 20, 2000
r"""The range of the total signal to noise ratio of those of GalSim."""


def galaxies(quick: bool) -> Iterator[tuple[str, Galaxy, Sequence[Mode]]]:
    r"""Yields galaxies, the names of their samples and the modes they are for."""

    data, fewer = Path(os.environ.get("TUNINGFORK_DATA", "../shared/data")), 10 if quick else 1
    samples: dict[str, Iterable[Galaxy]] = {
        f"GalSim, {side} px": draw(side, count // fewer, FAINTEST, BRIGHTEST, side)
        for side, count in GALSIM.items()
    }
    samples["our simulator, 64 px"] = simulated(OURS // fewer, 64, seed=1)
    samples |= {name: real(name, data, 3 if quick else 1000) for name in REAL}
    for name, found in samples.items():
        for galaxy in found:
            yield name, galaxy, MODES
    some = draw(64, ALTERED // fewer, FAINTEST, BRIGHTEST, 64)
    for name, galaxy in altered(some, seed=64):
        yield f"GalSim, 64 px, {name}", galaxy, ("parity",)


def measured(quick: bool, workers: int) -> list[Pair]:
    r"""Measures all galaxies by both codes, each compared in the next orientation."""

    tasks = (
        (name, galaxy, 1 + k % 7, modes) for k, (name, galaxy, modes) in enumerate(galaxies(quick))
    )

    return [pair for found in in_order(compare, tasks, workers) for pair in found]


def document(folder: Path, pairs: list[Pair], told: dict[str, str]) -> None:
    r"""Renews the tables and the figures of the pages in a folder."""

    for name, text in told.items():
        renew(folder / (TABLES if "," in name else PAGE), f"agreement: {name}", text)
    for mode, draw_it in (("fast", fast), ("parity", exact)):
        with style():
            figure = draw_it([pair for pair in pairs if pair.mode == mode])
            save(figure, folder / f"figures/agreement_{mode}.png")


def main() -> None:
    reader = parser(__doc__ or "", docs=True)
    reader.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    reader.add_argument("--to", type=Path, help="where to keep what is measured, a JSON file")
    reader.add_argument("--from", type=Path, dest="kept", help="what was kept, to tell it again")
    reader.add_argument("--known", type=Path, help="where the tests have what statmorph measures")
    asked = reader.parse_args()
    if asked.known:
        values = [found.values for galaxy in drawn() if (found := with_statmorph(galaxy))]
        asked.known.write_text(json.dumps(values, indent=1) + "\n")
        return
    if asked.kept:
        pairs = [Pair(*one) for one in json.loads(asked.kept.read_text())]
    else:
        pairs = measured(asked.quick, asked.workers)
    if asked.to:
        asked.to.write_text(json.dumps(pairs, default=float))
    if asked.json:
        write_json(
            [
                {"mode": mode, "sample": kind} | asdict(row)
                for mode in MODES
                for kind, found in pool(pair for pair in pairs if pair.mode == mode).items()
                for row in rows(found)
            ]
        )
        return

    told = tables(pairs) | reasons([pair for pair in pairs if pair.mode == "fast"])
    for name, text in told.items():
        sys.stdout.write(f"\n{name}\n\n{text}")
    if asked.docs:
        document(asked.docs, pairs, told)


if __name__ == "__main__":
    main()

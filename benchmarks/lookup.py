r"""Finds galaxies by identifier in a store of a million rows.

Ours is :meth:`pipeline.store.Store.row`, theirs a scan of the same column by pyarrow. The first
look-up of a process, which reads all identifiers, is a case of its own, and theirs then reads
the column too. At last the largest store stands against the smallest one: in constant time, the
ratio is near 1.
"""

__all__ = ["main"]

import tempfile
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.harness import Case, compare, options, report
from pipeline.store import Store, StoreInfo

PART = 50_000
SAMPLE = 200


def make(folder: Path, rows: int) -> Store:
    r"""Makes a store of galaxies named like those of SDSS, all of them without pixels."""

    store = Store.create(folder, StoreInfo(("r",), 8, 8, "native", "sdss"))
    nothing = np.zeros((0, 1, 8, 8), np.float16)
    for start in range(0, rows, PART):
        numbers = range(start, min(start + PART, rows))
        store.commit(
            nothing, [{"id": str(587722952767439450 + i), "status": "rejected"} for i in numbers]
        )

    return store


def later(store: Store) -> Case:
    r"""Times look-ups after the first one."""

    ids, wanted = store.manifest["id"].combine_chunks(), sample(store)
    if [store.row(id) for id in wanted] != [pc.index(ids, id).as_py() for id in wanted]:
        raise SystemExit("the two sides disagree")

    return compare(
        f"look-up of {SAMPLE} galaxies among {len(ids)}",
        lambda: [store.row(id) for id in wanted],
        lambda: [pc.index(ids, id) for id in wanted],
        items=SAMPLE,
    )


def first(folder: Path, wanted: str, rows: int) -> Case:
    r"""Times opening a store and looking up one galaxy."""

    def scan() -> None:
        ids = pq.read_table(folder / "manifest", columns=["id"])["id"]
        pc.index(ids, wanted)

    timed = compare("", lambda: Store.open(folder).row(wanted), scan, items=1)

    return Case(f"first look-up among {rows}", 1 / timed.ours, 1 / timed.theirs, "s", timed.ratio)


def constant(large: Store, small: Store) -> Case:
    r"""Times look-ups in a large store, after the first one, against those in a small one."""

    many, few = sample(large), sample(small)

    return compare(
        f"look-up among {len(large.manifest)} against {len(small.manifest)}",
        lambda: [large.row(id) for id in many],
        lambda: [small.row(id) for id in few],
        items=SAMPLE,
    )


def sample(store: Store) -> list[str]:
    r"""Draws identifiers at random."""

    ids = store.manifest["id"].combine_chunks()
    places = np.random.default_rng(0).integers(len(ids), size=SAMPLE)

    return [str(ids[int(place)]) for place in places]


def main() -> None:
    asked = options(__doc__ or "")
    sizes = (100_000, 10_000) if asked.quick else (1_000_000, 100_000, 10_000)
    cases, firsts = [], []
    with tempfile.TemporaryDirectory() as name:
        stores = {rows: make(Path(name) / f"{rows}", rows) for rows in sizes}
        for rows, store in stores.items():
            cases.append(later(store))
            firsts.append(first(store.folder, sample(store)[0], rows))
        cases.append(constant(stores[sizes[0]], stores[sizes[-1]]))

    report(cases + firsts, asked.json)


if __name__ == "__main__":
    main()

r"""Finds galaxies by identifier in a store of a million rows.

Ours is :meth:`pipeline.store.Store.row`, theirs a scan of the same column by pyarrow.
"""

__all__ = ["main"]

import tempfile
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from benchmarks import harness
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


def main() -> None:
    options = harness.options(__doc__ or "")
    cases = []
    for rows in (10_000, 100_000) if options.quick else (1_000_000, 100_000, 10_000):
        with tempfile.TemporaryDirectory() as folder:
            store = make(Path(folder), rows)
            ids = store.manifest["id"].combine_chunks()
            wanted = [
                str(ids[int(i)]) for i in np.random.default_rng(0).integers(rows, size=SAMPLE)
            ]
            if [store.row(id) for id in wanted] != [pc.index(ids, id).as_py() for id in wanted]:
                raise AssertionError("the two sides disagree")
            cases.append(
                harness.compare(
                    f"look-up of {SAMPLE} galaxies among {rows}",
                    lambda store=store, wanted=wanted: [store.row(id) for id in wanted],
                    lambda ids=ids, wanted=wanted: [pc.index(ids, id) for id in wanted],
                    items=SAMPLE,
                    unit="galaxies/s",
                )
            )
    harness.report(cases, options.json)


if __name__ == "__main__":
    main()

r"""How long the simulated survey takes, against the half minute that it may, and its classes.

They are not to be told by a trick: beside the forest on all measurements stands one that knows
fluxes, colours and sizes alone. The network, on the same split, is that of `make run`.
"""

__all__ = ["main"]

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.harness import Case, options, report
from pipeline import runs
from pipeline.baselines import fit_baseline, measurements
from pipeline.config import load
from pipeline.descriptors import number_names
from pipeline.runs.data import sample
from pipeline.simulate import simulate

ALLOWED = 30.0
WORKERS = 2
DEMO = Path(__file__).parents[1] / "configs/demo.yaml"
TRICKS = ("flux_", "colour_", "size", "radius_", "r20_", "r50_", "r80_", "rpetro_", "rhalf_")


def main() -> None:
    r"""Draws and writes the survey of the demo, ingests it, and plants the forests."""

    asked = options(__doc__ or "")
    galaxies = 400 if asked.quick else 2000
    with tempfile.TemporaryDirectory() as folder:
        survey = Path(folder, "survey")
        start = time.perf_counter()
        simulate(survey, galaxies, seed=1)
        seconds = (time.perf_counter() - start) * 2000 / galaxies
        every, tricks = _forests(Path(folder), survey)

    report(
        [
            Case("2000 galaxies of 4 x 64 x 64, drawn and written", seconds, ALLOWED, "s",
                 ALLOWED / seconds),
            Case("forest on all numbers, beside fluxes, colours and sizes", every, tricks,
                 "accuracy", every / tricks),
        ],
        asked.json,
    )  # fmt: skip


def _forests(folder: Path, survey: Path) -> tuple[float, float]:
    table = survey / "labels.csv"
    settings = {"folder": folder, "simulate": "null"}
    settings |= {"data.root": survey, "data.table.path": table}
    experiment = load(DEMO, [f"{name}={value}" for name, value in settings.items()])
    runs.ingest(experiment)
    found = sample(experiment)
    (seen, labels, _), (unseen, truth, _) = found.of("train"), found.of("test")
    names = number_names(found.store.info.bands)
    train, test = (measurements(found.store, rows, WORKERS) for rows in (seen, unseen))

    accuracies = []
    for chosen in (names, [name for name in names if name.startswith(TRICKS)]):
        columns = [names.index(name) for name in chosen]
        forest = fit_baseline("forest", train[:, columns], labels, seed=0)
        accuracies.append(float(np.mean(forest.predict(test[:, columns]) == truth)))

    return accuracies[0], accuracies[1]


if __name__ == "__main__":
    main()

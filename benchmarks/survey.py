r"""Draws galaxies of the simulator and of Galaxy Zoo, class by class, to be looked at together.

`python -m benchmarks.survey [--docs docs]` writes `figures/survey_demo.png` and
`figures/survey_gz1_sdss.png` below a folder. The real ones are looked for where
`configs/gz1_sdss.yaml` says.
"""

__all__ = ["draw", "main"]

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipeline import runs
from pipeline.config import Experiment, load
from pipeline.files import replacing
from pipeline.runs.data import sample
from pipeline.runs.inspection import sheet

CONFIGS = Path(__file__).parents[1] / "configs"
SIMULATED = ("simulate.galaxies=320", "data.root={0}", "data.table.path={0}/labels.csv")
SURVEYS: dict[str, tuple[str, ...]] = {"demo": SIMULATED, "gz1_sdss": ()}
r"""The experiments, and what is set otherwise, `{0}` being a folder for what is drawn."""

PER_CLASS = 8


def draw(experiment: Experiment) -> Figure:
    r"""Draws the first galaxies of each class, as the store of an experiment holds them."""

    runs.ingest(experiment)
    found = sample(experiment)
    kinds = range(len(found.scheme))
    chosen = [found.rows[found.labels == k][:PER_CLASS] for k in kinds]
    counts = Counter(found.scheme.classes[k] for k in found.labels)

    return sheet(found.store, np.concatenate(chosen), counts, PER_CLASS)


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--docs", type=Path, default=Path("docs"))
    docs = reader.parse_args().docs
    for name, settings in SURVEYS.items():
        with tempfile.TemporaryDirectory() as folder:
            own = [setting.format(f"{folder}/survey") for setting in settings]
            figure = draw(load(CONFIGS / f"{name}.yaml", [f"folder={folder}", *own]))
        with replacing(docs / "figures" / f"survey_{name}.png") as file:
            figure.savefig(file, format="png", dpi=90)


if __name__ == "__main__":
    main()

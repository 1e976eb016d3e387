r"""Kills a stage at random moments, resumes it, and compares it with an undisturbed run.

`python -m benchmarks.kills [--kills 50] [--seed 0] [STAGE ...]`, all in turn or those that are
named. To add one: write a class with the methods of :class:`Stage`, and a line in `STAGES`.
"""

__all__ = ["STAGES", "Classify", "Ingest", "Outcome", "Stage", "Train", "torture"]

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import numpy as np
from mlflow import MlflowClient

from models import build as network_of
from pipeline import runs
from pipeline.card import Card, save_card
from pipeline.config import Experiment, build, load
from pipeline.fits import write_image
from pipeline.runs.home import HISTORY, MODEL, RUN

BANDS, SIZE = ("g", "r"), (31, 33)
DEMO = Path(__file__).parents[1] / "configs/demo.yaml"
IGNORED = {".lock", "work"}
r"""Not results: the files that keep others out, and what a training works with."""


class Stage(Protocol):
    r"""What can be killed: prepared once, worked in processes, compared as a folder."""

    def prepare(self, folder: Path) -> None:
        r"""Makes the input below `folder`."""

    def work(self, folder: Path, output: Path) -> None:
        r"""Makes `output` of what was prepared, or resumes it."""


@dataclass(frozen=True)
class Ingest:
    r"""The verb, on galaxies in two bands, some of them damaged, in shards of sixteen."""

    galaxies: int = 200
    workers: int = 2

    def prepare(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        y, x = np.mgrid[-20:21, -24:25]
        for i in range(self.galaxies):
            width = rng.uniform(2, 6)
            for band in BANDS:
                galaxy = 200 * np.exp(-(x**2 + y**2) / (2 * width**2))
                path = folder / f"images/{i:04d}_{band}.fits"
                path.parent.mkdir(exist_ok=True)
                write_image(path, (galaxy + rng.normal(size=x.shape)).astype(np.float32), {})
            if i % 20 == 0:
                path.write_bytes(path.read_bytes()[:3000])
        rows = [f"{i:04d},{'ab'[i % 3 == 0]}\n" for i in range(self.galaxies)]
        (folder / "labels.csv").write_text(f"id,kind\n{''.join(rows)}")

    def work(self, folder: Path, output: Path) -> None:
        data = {
            "root": str(folder / "images"),
            "pattern": "{id}_{band}.fits",
            "bands": [*BANDS],
            "size": [*SIZE],
            "workers": self.workers,
            "chunk": 16,
            "table": {"path": str(folder / "labels.csv")},
            "labels": {"column": "kind", "classes": ["a", "b"]},
        }
        runs.ingest(build({"name": "test", "folder": str(output), "data": data}, [], folder))


@dataclass(frozen=True)
class Train:
    r"""The verb, with its MLflow run, on a small simulated survey.

    Compared are the model card, the history and the metrics that MLflow has, without their times.
    """

    epochs: int = 12
    devices: int = 1
    forest: bool = False

    def prepare(self, folder: Path) -> None:
        runs.ingest(self.experiment(folder, folder))

    def experiment(self, folder: Path, output: Path) -> Experiment:
        survey = folder / "survey"
        settings = {
            "folder": output / "work",
            "simulate": "{galaxies: 160, side: 32, seed: 1}",
            "data.root": survey,
            "data.table.path": survey / "labels.csv",
            "data.size": 32,
            "data.store": folder / "store",
            "data.workers": 1,
            "model.args": "{width: 8, dropout: 0.2}",
            "training.epochs": self.epochs,
            "training.average": 0.9,
            "training.devices": self.devices,
            "model.forest": str(self.forest).lower(),
            "tracking.system_metrics": "false",
        }

        return load(DEMO, [f"{name}={value}" for name, value in settings.items()])

    def work(self, folder: Path, output: Path) -> None:
        experiment = self.experiment(folder, output)
        result = runs.train(experiment)
        shutil.copytree(experiment.home / MODEL, output / MODEL, dirs_exist_ok=True)
        history = json.loads((experiment.home / HISTORY).read_text())
        for row in history["epochs"]:
            del row["seconds"]
        run = json.loads((experiment.home / RUN).read_text())
        client = MlflowClient(run["uri"])
        told = {
            name: sorted({(m.step, m.value) for m in client.get_metric_history(run["run"], name)})
            for name in client.get_run(run["run"]).data.metrics
            if name != "seconds"
        }
        status = client.get_run(run["run"]).info.status
        found = {"history": history, "told": told, "status": status, "epochs": result["epochs"]}
        (output / "found.json").write_text(json.dumps(found, indent=1))


@dataclass(frozen=True)
class Classify:
    r"""The verb, on a folder of files of which some are damaged, to a FITS catalogue."""

    galaxies: int = 400

    def prepare(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        (folder / "images").mkdir()
        for i in range(self.galaxies):
            path = folder / f"images/{i:04d}.fits"
            write_image(path, rng.normal(size=(len(BANDS), *SIZE)).astype(np.float32), {})
            if i % 50 == 0:
                path.write_bytes(path.read_bytes()[:3000])
        network = network_of("cutout_resnet", bands=len(BANDS), classes=3, width=8)
        card = Card(
            model="cutout_resnet",
            args={"width": 8},
            bands=BANDS,
            height=SIZE[0],
            width=SIZE[1],
            scale="native",
            survey="test",
            stretch={},
            classes=("a", "b", "c"),
            mirror=(0, 2, 1),
            symmetries=True,
        )
        save_card(folder / "model", card, network)

    def work(self, folder: Path, output: Path) -> None:
        output.mkdir(exist_ok=True)
        runs.classify(str(folder / "model"), folder / "images", output / "catalogue.fits")


STAGES: dict[str, Stage] = {
    "ingest": Ingest(),
    "train": Train(),
    "train_on_two": Train(devices=2),
    "train_with_forest": Train(epochs=3, forest=True),
    "classify": Classify(),
}


@dataclass(frozen=True)
class Outcome:
    r"""What was seen of one stage.

    Arguments:
        stage: Its name.
        kills: How many processes were killed at work.
        runs: How many runs it took to the end, all trials together.
        trials: How many outputs were made in pieces.
        differing: The files that differ from those of an undisturbed run.
        seconds: How long an undisturbed run takes.
    """

    stage: str
    kills: int
    runs: int
    trials: int
    differing: list[str]
    seconds: float

    @property
    def summary(self) -> str:
        r"""One line for a person."""

        some = f", e.g. {', '.join(self.differing[:3])}" if self.differing else ""

        return (
            f"{self.stage}: {self.kills} kills in {self.runs} runs of {self.trials} outputs,"
            f" {len(self.differing)} files differ from an undisturbed run{some}"
        )


def torture(name: str, stage: Stage, folder: Path, kills: int, seed: int = 0) -> Outcome:
    r"""Kills a stage at random moments until it has been killed often enough.

    A trial runs the stage on one output until it ends by itself. One run in four is killed at
    a random moment of the time that an undisturbed one takes, the others soon after they have
    written something. Every third time two run at once.
    """

    stage.prepare(folder)
    start = time.perf_counter()
    subprocess.run(_command(stage, folder, folder / "whole"), check=True, capture_output=True)
    seconds = time.perf_counter() - start
    wanted = _digests(folder / "whole")

    moments = random.Random(seed)
    killed = runs = trials = 0
    differing: set[str] = set()
    while killed < kills:
        output = folder / f"pieces{trials}"
        while (left := kills - killed) > 0:
            twins = min(2 if runs % 3 == 2 else 1, left)
            processes = [
                _start(stage, folder, output, folder / f"errors{k}") for k in range(twins)
            ]
            if runs % 4:
                _await_change(output, processes)
            after = moments.uniform(0, seconds / (5 if runs % 4 else 1))
            dead = _kill(processes, after, folder)
            killed, runs = killed + dead, runs + 1
            if dead < twins:
                break
        subprocess.run(_command(stage, folder, output), check=True, capture_output=True)
        found = _digests(output)
        names = wanted.keys() | found.keys()
        differing |= {f"{output}/{n}" for n in names if wanted.get(n) != found.get(n)}
        trials += 1

    return Outcome(name, killed, runs, trials, sorted(differing), seconds)


def _start(stage: Stage, folder: Path, output: Path, errors: Path) -> subprocess.Popen[bytes]:
    with errors.open("wb") as file:
        return subprocess.Popen(_command(stage, folder, output), stderr=file)


def _await_change(folder: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    r"""Waits until something new is written, as most of a short run is only imports."""

    before = set(folder.rglob("*"))
    while set(folder.rglob("*")) == before and any(p.poll() is None for p in processes):
        time.sleep(0.002)


def _kill(processes: list[subprocess.Popen[bytes]], after: float, folder: Path) -> int:
    r"""Kills what still runs after a while, and counts the dead."""

    time.sleep(after)
    for process in processes:
        process.kill()
    codes = [process.wait() for process in processes]
    for twin, code in enumerate(codes):
        if code > 0:
            errors = (folder / f"errors{twin}").read_text(errors="replace")
            raise RuntimeError(f"{processes[twin].args} failed with {code}:\n{errors[-3000:]}")

    return sum(code < 0 for code in codes)


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): blake2b(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not IGNORED & set(path.relative_to(folder).parts)
    }


def _command(stage: Stage, folder: Path, output: Path) -> list[str]:
    work = f"from pathlib import Path; from benchmarks.kills import *; {stage}.work"

    return [sys.executable, "-c", f"{work}(Path({str(folder)!r}), Path({str(output)!r}))"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", default=list(STAGES), metavar="stage")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    outcomes = []
    for name in options.stages:
        with tempfile.TemporaryDirectory() as folder:
            outcome = torture(name, STAGES[name], Path(folder), options.kills, options.seed)
        outcomes.append(outcome)
        if not options.json:
            sys.stdout.write(f"{outcome.summary}\n")
            sys.stdout.flush()
    if options.json:
        json.dump([asdict(outcome) for outcome in outcomes], sys.stdout)

    return int(any(outcome.differing for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())

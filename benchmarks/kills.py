r"""Kills a stage at random moments, resumes it, and compares it with an undisturbed run.

`python -m benchmarks.kills [--kills 50] [--seed 0] [stage ...]`. To add a stage: write a class
with the methods of :class:`Stage`, and a line in `STAGES`.
"""

__all__ = ["STAGES", "Ingest", "Outcome", "Stage", "torture"]

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.fits import write_image
from pipeline.ingest import Recipe, ingest
from pipeline.sources import find
from pipeline.store import Store, StoreInfo


class Stage(Protocol):
    r"""What can be killed: prepared once, run as a process, compared as a folder."""

    def prepare(self, folder: Path) -> None:
        r"""Makes the input below `folder`."""

    def command(self, folder: Path, output: Path) -> list[str]:
        r"""Returns the command that makes, or resumes, `output`."""


@dataclass(frozen=True)
class Ingest:
    r"""Two hundred galaxies in two bands, some of them damaged, in shards of sixteen."""

    galaxies: int = 200
    workers: int = 2

    def prepare(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        y, x = np.mgrid[-20:21, -24:25]
        for i in range(self.galaxies):
            width = rng.uniform(2, 6)
            for band in "gr":
                galaxy = 200 * np.exp(-(x**2 + y**2) / (2 * width**2))
                path = folder / f"images/{i:04d}_{band}.fits"
                path.parent.mkdir(exist_ok=True)
                write_image(path, (galaxy + rng.normal(size=x.shape)).astype(np.float32), {})
            if i % 20 == 0:
                path.write_bytes(path.read_bytes()[:3000])

    def command(self, folder: Path, output: Path) -> list[str]:
        return [
            sys.executable,
            "-m",
            "benchmarks.kills",
            "--ingest",
            str(folder),
            str(output),
            str(self.workers),
        ]


STAGES: dict[str, Stage] = {"ingest": Ingest()}


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
    subprocess.run(stage.command(folder, folder / "whole"), check=True, capture_output=True)
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
                subprocess.Popen(stage.command(folder, output), stderr=subprocess.DEVNULL)
                for _ in range(twins)
            ]
            if runs % 4:
                _await_change(output, processes)
            dead = _kill(processes, after=moments.uniform(0, seconds / (5 if runs % 4 else 1)))
            killed, runs = killed + dead, runs + 1
            if dead < twins:
                break
        subprocess.run(stage.command(folder, output), check=True, capture_output=True)
        found = _digests(output)
        names = wanted.keys() | found.keys()
        differing |= {f"{output}/{n}" for n in names if wanted.get(n) != found.get(n)}
        trials += 1

    return Outcome(name, killed, runs, trials, sorted(differing), seconds)


def _await_change(folder: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    r"""Waits until something new is written, as most of a short run is only imports."""

    before = set(folder.rglob("*"))
    while set(folder.rglob("*")) == before and any(p.poll() is None for p in processes):
        time.sleep(0.002)


def _kill(processes: list[subprocess.Popen[bytes]], after: float) -> int:
    r"""Kills what still runs after a while, and counts the dead."""

    time.sleep(after)
    for process in processes:
        process.kill()
    codes = [process.wait() for process in processes]
    if any(code > 0 for code in codes):
        raise RuntimeError(f"{processes[0].args} failed with {codes}")

    return sum(code < 0 for code in codes)


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): blake2b(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _ingest(folder: Path, output: Path, workers: int) -> None:
    recipe = Recipe(bands=("g", "r"), size=(31, 33))
    sources = find(folder / "images", "{id}_{band}.fits", recipe.bands)
    info = StoreInfo(recipe.bands, *recipe.size, scale=recipe.scale_text, survey="test")
    ingest(sources, Store.create(output, info), recipe, workers=workers, chunk=16)


def main() -> int:
    if sys.argv[1:2] == ["--ingest"]:
        folder, output, workers = sys.argv[2:]
        _ingest(Path(folder), Path(output), int(workers))
        return 0

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", default=list(STAGES), metavar="stage")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    outcomes = []
    for name in options.stages:
        with tempfile.TemporaryDirectory() as folder:
            outcomes.append(torture(name, STAGES[name], Path(folder), options.kills, options.seed))
    for outcome in outcomes:
        sys.stdout.write("" if options.json else f"{outcome.summary}\n")
    if options.json:
        json.dump([asdict(outcome) for outcome in outcomes], sys.stdout)

    return int(any(outcome.differing for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())

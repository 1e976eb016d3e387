r"""What is done to a stage, and what was seen of it."""

__all__ = ["Outcome", "Stage", "torture"]

import random
import subprocess
import sys
import time
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

IGNORED = {".lock", "work"}
r"""Not results: the files that keep others out, and what a training works with."""


class Stage(Protocol):
    r"""What can be killed: prepared once, worked in processes, compared as a folder."""

    def prepare(self, folder: Path) -> None:
        r"""Makes the input below `folder`."""

    def work(self, folder: Path, output: Path) -> None:
        r"""Makes `output` of what was prepared, or resumes it."""


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
            raise RuntimeError(f"{processes[twin].args!r} failed with {code}:\n{errors[-3000:]}")

    return sum(code < 0 for code in codes)


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): blake2b(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not IGNORED & set(path.relative_to(folder).parts)
    }


def _command(stage: Stage, folder: Path, output: Path) -> list[str]:
    kind = type(stage)
    imports = f"from pathlib import Path; from {kind.__module__} import {kind.__name__}"
    work = f"{stage}.work(Path({str(folder)!r}), Path({str(output)!r}))"

    return [sys.executable, "-c", f"{imports}; {work}"]

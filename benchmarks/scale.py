r"""Measures 100,000 simulated galaxies of 64 pixels with `tuningfork measure`.

`python -m benchmarks.scale [--quick] [--json] [--docs docs] [--galaxies N] [--kills N]`

Three runs of the verb: a tenth of the galaxies and all of them, whose rate and memory are put
side by side, and all of them again with SIGKILL at random moments, after each of which the same
command is run again. Both tables must have the same bytes. Memory is that of all processes of
the verb together, without the pages of the store that the system maps.

The galaxies are drawn by the simulator in one band, each in eight orientations with a noise of
its own each time.
"""

__all__ = ["Run", "main", "make", "measure", "tables"]

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from benchmarks.harness import Case, parser, report
from benchmarks.pages import PAGE, renew, table
from pipeline.simulate import render
from pipeline.simulate.camera import CAMERA, expose
from pipeline.store import Store, StoreInfo

SIDE, BLOCK, VIEWS = 64, 128, 8
BAND = "r"


@dataclass(frozen=True)
class Run:
    r"""What a run of the verb took.

    Arguments:
        galaxies: How many galaxies it measured.
        seconds: The time from its start to its end.
        memory: The most memory of all its processes, in MB.
        kills: How often it was killed.
    """

    galaxies: int
    seconds: float
    memory: float
    kills: int


def make(folder: Path, galaxies: int) -> Path:
    r"""Draws galaxies into a store, and returns its folder."""

    store = Store.create(folder, StoreInfo((BAND,), SIDE, SIDE, "native", "simulated"))
    c = CAMERA.bands.index(BAND)
    sky = CAMERA.electrons[c] * float(CAMERA.sky_flux[c])
    noise = float(np.hypot(np.sqrt(sky), CAMERA.read_noise) / CAMERA.electrons[c])
    about = {"status": "ok", "unit": "nanomaggy", "scale_arcsec": CAMERA.scale}
    about |= {f"noise_{BAND}": noise}

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        starts = range(0, -(-galaxies // VIEWS), BLOCK)
        for number, pixels in enumerate(pool.map(_block, starts)):
            first = number * BLOCK * VIEWS
            pixels = pixels[: galaxies - first]
            rows = [{"id": f"tf{first + i:06d}"} | about for i in range(len(pixels))]
            store.commit((pixels / noise).astype(np.float16), rows)
    torch.set_num_threads(threads)

    return folder


def _block(start: int) -> NDArray[np.float32]:
    r"""Draws a block of galaxies in all orientations, with shape `(BLOCK * VIEWS, 1, H, W)`."""

    flux = render(range(start, start + BLOCK), 0, SIDE)[0].numpy()
    noise = np.random.default_rng(start)
    views = [
        np.rot90(image[:, :, ::flip], turn, (1, 2))
        for image in flux
        for turn in range(4)
        for flip in (1, -1)
    ]
    c = CAMERA.bands.index(BAND)

    return np.stack([expose(view, CAMERA, noise)[c : c + 1] for view in views])


def measure(store: Path, to: Path, galaxies: int, kills: int = 0) -> Run:
    r"""Runs the verb, as often as it is killed and once more."""

    command = [sys.executable, "-m", "flows.cli", "measure", str(store), "--to", str(to)]
    chance = random.Random(0)
    start, memory, done = time.perf_counter(), 0.0, 0
    while True:
        patience = chance.uniform(5, 30) if done < kills else None
        ended, peak = _once(command, patience)
        memory = max(memory, peak)
        if ended:
            return Run(galaxies, time.perf_counter() - start, memory, done)
        done += 1


def _once(command: list[str], patience: float | None) -> tuple[bool, float]:
    r"""Runs a command until it ends or patience does, and returns whether it ended, and its MB."""

    start, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, _anonymous(process.pid))
        if patience is not None and time.perf_counter() - start > patience:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return False, peak
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")

    return True, peak


def _anonymous(pid: int) -> float:
    r"""Returns the memory of a process and all its children, in MB, without mapped files."""

    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for process in family:
        try:
            info = process.memory_info()
        except psutil.NoSuchProcess:
            continue
        total += info.rss - info.shared

    return total / 2**20


def tables(runs: Sequence[Run], same: bool) -> str:
    r"""Spells what runs took, the last of which was killed.

    Arguments:
        runs: Some.
        same: Whether its table has the same bytes as the one before.
    """

    rows = []
    for run in runs:
        rate, memory = f"{run.galaxies / run.seconds:.0f}", f"{run.memory / 1e3:.2f}"
        rows.append([f"{run.galaxies:,}", rate, memory, str(run.kills), ""])
    rows[-1][-1] = "the same bytes" if same else "OTHER BYTES"

    return table(["galaxies", "per second", "memory, GB", "killed", "its table"], rows)


def main() -> None:
    reader = parser(__doc__ or "", docs=True)
    reader.add_argument("--galaxies", type=int, default=100_000)
    reader.add_argument("--kills", type=int, default=5)
    asked = reader.parse_args()
    galaxies, kills = (2_000, 1) if asked.quick else (asked.galaxies, asked.kills)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few, every = make(folder / "few", galaxies // 10), make(folder / "all", galaxies)
        # What is compiled once is not to be timed, nor is its memory
        measure(few, folder / "warm.fits", galaxies // 10)
        part = measure(few, folder / "part.fits", galaxies // 10)
        whole = measure(every, folder / "whole.fits", galaxies)
        killed = measure(every, folder / "killed.fits", galaxies, kills)
        same = (folder / "whole.fits").read_bytes() == (folder / "killed.fits").read_bytes()

    ours, theirs = (run.galaxies / run.seconds for run in (whole, part))
    cases = [
        Case(f"{galaxies} against {galaxies // 10}", ours, theirs, "galaxies/s", ours / theirs),
        Case("memory of the same", whole.memory, part.memory, "MB", part.memory / whole.memory),
    ]
    report(cases, asked.json)
    told = tables([part, whole, killed], same)
    (sys.stderr if asked.json else sys.stdout).write(told)
    if not same:
        raise SystemExit(1)
    if asked.docs:
        renew(asked.docs / PAGE, "scale", told)


if __name__ == "__main__":
    main()

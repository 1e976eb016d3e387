r"""Measures the memory that ten times more galaxies take.

Each side is a process of its own, and what counts is the growth of its anonymous memory after
the imports: pages of shards that the system maps, and drops when it needs room, do not. Ours
handles ten times more galaxies than a memory of `CAP` bytes holds; theirs loads them all.
What may grow is the manifest, of which ingest and classification keep less than a kilobyte per
galaxy, against 24 of pixels.
"""

__all__ = ["main"]

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import harness
from models import build
from pipeline.card import Card, save_card
from pipeline.classify import classify
from pipeline.feeds import StoreFeed
from pipeline.fits import write_image
from pipeline.ingest import Recipe, ingest
from pipeline.sources import find
from pipeline.store import Store, StoreInfo

BANDS, SIDE = ("g", "r", "z"), 64
BYTES = len(BANDS) * SIDE * SIDE * 2
CAP = 64 << 20
SHARD = 256


def gather(folder: Path) -> None:
    r"""Draws as many galaxies as the store has, in random batches."""

    store = Store.open(folder)
    rows = np.random.default_rng(0).permutation(store.usable)
    for batch in np.array_split(rows, max(1, len(rows) // 256)):
        store.gather(batch)


def load(folder: Path) -> None:
    r"""Loads all galaxies at once."""

    np.concatenate([np.load(path) for path in sorted((folder / "shards").glob("*.npy"))])


def take_in(folder: Path) -> None:
    r"""Ingests a folder of FITS files."""

    recipe = Recipe(BANDS, (SIDE, SIDE))
    with tempfile.TemporaryDirectory(dir=folder.parent) as output:
        sources = find(folder, "{id}.fits", BANDS)
        ingest(sources, Store.create(Path(output) / "store", _info()), recipe, chunk=SHARD)


def classify_all(folder: Path) -> None:
    r"""Classifies all galaxies of a store, into a FITS catalogue beside it."""

    feed = StoreFeed(Store.open(folder))
    classify(folder.parent / "model", feed, folder.with_suffix(".fits"), device="cpu")


WORK: dict[str, Callable[[Path], None]] = {
    "gather": gather,
    "load": load,
    "ingest": take_in,
    "classify": classify_all,
}


def peak(work: str, folder: Path) -> float:
    r"""Runs one side in a process of its own, and returns its growth in MB."""

    command = [sys.executable, "-m", "benchmarks.memory", "--work", work, str(folder)]

    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def _watch(work: Callable[[Path], None], folder: Path) -> float:
    before = most = _anonymous()
    done = threading.Event()

    def look() -> None:
        nonlocal most
        while not done.wait(0.002):
            most = max(most, _anonymous())

    thread = threading.Thread(target=look)
    thread.start()
    work(folder)
    done.set()
    thread.join()

    return (max(most, _anonymous()) - before) / 2**20


def _anonymous() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()

    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))


def _info() -> StoreInfo:
    return StoreInfo(BANDS, SIDE, SIDE, "native", "test")


def make_store(folder: Path, galaxies: int) -> Path:
    r"""Makes a store of galaxies of noise, and returns its folder."""

    store = Store.create(folder, _info())
    shape = (SHARD, len(BANDS), SIDE, SIDE)
    pixels = np.random.default_rng(0).normal(size=shape).astype(np.float16)
    for start in range(0, galaxies, SHARD):
        store.commit(pixels, [{"id": f"{start + i}", "status": "ok"} for i in range(SHARD)])

    return folder


def make_images(folder: Path, galaxies: int) -> Path:
    r"""Makes a folder of FITS files, which are one and the same, and returns it."""

    folder.mkdir()
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    image = 100 * np.exp(-np.hypot(x, y) / 4) + rng.normal(size=(len(BANDS), SIDE, SIDE))
    write_image(folder / "0.fits", image.astype(np.float32), {})
    for i in range(1, galaxies):
        os.link(folder / "0.fits", folder / f"{i}.fits")

    return folder


def make_model(folder: Path) -> None:
    r"""Makes a small model that has learnt nothing."""

    classes = ("elliptical", "spiral")
    card = Card(
        model="lenet",
        args={},
        bands=BANDS,
        height=SIDE,
        width=SIDE,
        scale="native",
        survey="test",
        stretch={},
        classes=classes,
        mirror=(0, 1),
    )
    save_card(folder, card, build("lenet", bands=len(BANDS), classes=len(classes)))


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        sys.stdout.write(f"{_watch(WORK[sys.argv[2]], Path(sys.argv[3]))}")
        return

    options = harness.options(__doc__ or "")
    fits_in = CAP // BYTES // (8 if options.quick else 1)
    few = 200 if options.quick else 1000
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        stores = [make_store(root / f"s{n}", n) for n in (fits_in, 10 * fits_in)]
        images = [make_images(root / f"i{n}", n) for n in (few, 10 * few)]
        make_model(root / "model")
        one, ten = (peak("gather", store) for store in stores)
        whole = peak("load", stores[1])
        small, large = (peak("ingest", folder) for folder in images)
        short, long = (peak("classify", store) for store in stores)

    cases = [
        (f"random batches of {10 * fits_in} galaxies against loading them", ten, whole),
        (f"random batches of {10 * fits_in} galaxies against {fits_in}", ten, one),
        (f"ingest of {10 * few} galaxies against {few}", large, small),
        (f"classification of {10 * fits_in} galaxies against {fits_in}", long, short),
    ]
    harness.report(
        [harness.Case(name, ours, theirs, "MB", theirs / ours) for name, ours, theirs in cases],
        options.json,
    )


if __name__ == "__main__":
    main()

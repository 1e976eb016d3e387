r"""Random batches from a store, against the same pixels read from FITS files."""

__all__ = ["main"]

import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from astropy.io import fits
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.harness import Case, compare, options, report
from pipeline.dataset import Batches
from pipeline.store import Store, StoreInfo

BATCH_SIZE = 64
SHARD = 512
SIDES = (64, 128)


def write(folder: Path, num: int, side: int) -> tuple[Store, list[Path]]:
    r"""Writes the same galaxies of three bands as a store and as one FITS file each."""

    random = np.random.default_rng(0)
    store = Store.create(
        folder / "store", StoreInfo(("g", "r", "i"), side, side, "native", "benchmark")
    )
    paths = [folder / f"{i}.fits" for i in range(num)]
    for start in range(0, num, SHARD):
        part = paths[start : start + SHARD]
        fluxes = random.normal(0, 5, (len(part), 3, side, side)).astype(np.float16)
        for path, flux in zip(part, fluxes, strict=True):
            fits.writeto(path, flux.astype(np.float32))
        store.commit(fluxes, [{"id": path.stem, "status": "ok"} for path in part])

    return store, paths


def read(paths: list[Path], order: NDArray[np.int64]) -> Iterator[Tensor]:
    r"""Reads batches from FITS files, in some order."""

    def pixels(path: Path) -> Tensor:
        with fits.open(path, memmap=False) as hdus:
            return torch.from_numpy(hdus[0].data.astype(np.float32))

    for start in range(0, len(order), BATCH_SIZE):
        yield torch.stack([pixels(paths[i]) for i in order[start : start + BATCH_SIZE]])


def gather(store: Store, order: NDArray[np.int64]) -> Iterator[Tensor]:
    r"""Reads batches from a store, in some order, in float16 as they go to the device."""

    for start in range(0, len(order), BATCH_SIZE):
        yield torch.from_numpy(store.gather(order[start : start + BATCH_SIZE]))


def exhaust(batches: Callable[[], Iterator[Tensor]]) -> None:
    r"""Reads all batches, and keeps none."""

    deque(batches(), maxlen=0)


def cases(num: int, side: int) -> list[Case]:
    r"""Compares a shuffled epoch: the fluxes alone, then ours stretched to float32 as well."""

    with tempfile.TemporaryDirectory() as folder:
        store, paths = write(Path(folder), num, side)
        order = np.random.default_rng(1).permutation(num)
        labels = np.zeros(num, np.int64)
        mapped, resident = (
            Batches(store, store.usable, labels, BATCH_SIZE, shuffle=True, resident=resident)
            for resident in (False, True)
        )
        ways: dict[str, Callable[[], Iterator]] = {
            "fluxes": lambda: gather(store, order),
            "stretched, memory-mapped": lambda: iter(mapped),
            "stretched, resident": lambda: iter(resident),
        }

        return [
            compare(
                f"random batches, 3 x {side} x {side}, {name}",
                partial(exhaust, ours),
                partial(exhaust, partial(read, paths, order)),
                items=num,
            )
            for name, ours in ways.items()
        ]


def main() -> None:
    chosen = options(__doc__ or "")
    num = 512 if chosen.quick else 2048
    report([case for side in SIDES for case in cases(num * 64 // side, side)], chosen.json)


if __name__ == "__main__":
    main()

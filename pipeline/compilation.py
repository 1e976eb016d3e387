r"""The kernels of the measurements, compiled beside other work.

It takes minutes on a new machine, and no time once it is done.
"""

__all__ = ["compiled_meanwhile"]

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pipeline.morphometry.cutouts import measure_cutouts

SIDE = 48


@contextmanager
def compiled_meanwhile() -> Iterator[None]:
    r"""Compiles in a process of its own what no process has compiled yet, as far as it gets."""

    if _done().exists():
        yield
        return

    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=_compile, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _compile() -> None:
    r"""Measures two bands of a galaxy, which calls all but what few galaxies need."""

    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    noise = np.random.default_rng(0).normal(size=(1, 2, SIDE, SIDE))
    measure_cutouts(noise + 100 * np.exp(-np.hypot(x, 1.5 * y) / 5), ("blue", "red"))
    _done().touch()


def _done() -> Path:
    return Path(os.environ["NUMBA_CACHE_DIR"]) / "measured"

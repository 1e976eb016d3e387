r"""The kernels of the measurements, compiled beside other work, or before it.

It takes minutes on a new machine, and no time once it is done: `python -m pipeline.compilation`
does it at once.
"""

__all__ = ["compile_ahead", "compile_once"]

import logging
import multiprocessing
import os
import sys
import threading
import time
from functools import cache
from hashlib import blake2b
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from pipeline.morphometry.cutouts import measure_cutouts
from pipeline.workers import end_with_parent

SIDE = 48

PATIENCE = 30.0
r"""The seconds between two signs of life."""

_log = logging.getLogger(__name__)


def compile_ahead() -> None:
    r"""Begins to compile what will be needed, in a process that ends with this one."""

    if not _done().exists():
        _compiler()


def compile_once() -> None:
    r"""Compiles in one process what each of several would else compile for itself, or waits
    for what was begun."""

    if _done().exists():
        return
    _log.info("compiling the measurements: it takes minutes, once for each version of them")
    process, start = _compiler(), time.monotonic()
    while process.is_alive():
        process.join(PATIENCE)
        if process.is_alive():
            waited = time.monotonic() - start
            _log.info("still compiling the measurements, after %.0f seconds", waited)
    if process.exitcode:
        _compiler.cache_clear()  # for whoever asks next
        _log.warning("compiling the measurements ended with exit code %d", process.exitcode)


@cache
def _compiler() -> BaseProcess:
    # The server that workers are forked from would begin without what they need
    process = multiprocessing.get_context("spawn").Process(target=_compile, daemon=True)
    process.start()

    return process


def _compile() -> None:
    r"""Measures two bands of a galaxy, which calls all but what few galaxies need."""

    threading.Thread(target=end_with_parent, daemon=True).start()
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    noise = np.random.default_rng(0).normal(size=(1, 2, SIDE, SIDE))
    measure_cutouts(noise + 100 * np.exp(-np.hypot(x, 1.5 * y) / 5), ("blue", "red"))
    _done().touch()


def _done() -> Path:
    # What is compiled is kept for the sources as and where they are, not for a copy elsewhere
    folder = Path(__file__).parent
    digest = blake2b(str(folder).encode(), digest_size=8)
    for source in sorted(folder.joinpath("morphometry").glob("*.py")):
        digest.update(source.read_bytes())

    return Path(os.environ["NUMBA_CACHE_DIR"]) / f"measured_{digest.hexdigest()}"


if __name__ == "__main__":
    compile_once()
    sys.exit(not _done().exists())

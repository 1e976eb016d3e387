r"""Files that are written whole or not at all, by one process at a time."""

__all__ = ["locked", "read_json", "replacing", "sweep", "write_json"]

import errno
import fcntl
import glob
import json
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from pipeline.errors import DataError, PipelineError

_log = logging.getLogger(__name__)


@contextmanager
def replacing(path: Path, sync: bool = False) -> Iterator[BinaryIO]:
    r"""Opens a file that takes its name only once it is complete.

    A process that is killed leaves `.{name}.*.part` beside it, which nobody reads, see
    :func:`sweep`.

    Arguments:
        path: The file to create or to replace. Its folder is made if it is not there.
        sync: Whether it is to survive a power cut too.

    Raises:
        PipelineError: If the disk is full, or the folder cannot be written. What was there
            before stays.
    """

    path = Path(path)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("wb", buffering=1 << 18) as file:
                yield file
                _settle(file, sync)
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)


def sweep(path: Path) -> None:
    r"""Deletes what those who were killed while they wrote a file have left beside it, for
    whoever keeps other writers out."""

    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        leftover.unlink(missing_ok=True)


def write_json(path: Path, content: dict) -> None:
    r"""Writes a file, whole or not at all."""

    with replacing(path) as file:
        file.write(json.dumps(content, indent=1).encode())


def read_json(path: Path, *expected: str) -> dict:
    r"""Reads what :func:`write_json` wrote.

    Raises:
        DataError: If the file is missing or damaged, or lacks a name that is expected.
    """

    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds {type(content).__name__}, expected names and values")
    if missing := [name for name in expected if name not in content]:
        raise DataError(f"{path} lacks {', '.join(missing)}")

    return content


@contextmanager
def locked(folder: Path, sake: Path | None = None) -> Iterator[None]:
    r"""Keeps other processes out of a folder, waiting for the one at work. A kill releases it.

    Arguments:
        folder: The folder. Made if it is not there.
        sake: What it is for, which an error names. By default, the folder itself.

    Raises:
        PipelineError: If the folder cannot be written.
    """

    held = False
    while not held:
        with _explained(sake or folder):
            folder.mkdir(parents=True, exist_ok=True)
            file = (folder / ".lock").open("a")
        with file:
            _wait(file, folder)
            # Whoever was waited for may have deleted the file: its lock keeps nobody out
            if held := os.fstat(file.fileno()).st_nlink > 0:
                yield


def _wait(file: TextIO, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _log.warning("another process is writing to %s, waiting for it to end", folder)
        fcntl.flock(file, fcntl.LOCK_EX)


def _settle(file: BinaryIO, sync: bool) -> None:
    file.flush()
    if sync:
        os.fsync(file.fileno())


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            reason = "the disk is full; make room and run the same command again"
        raise PipelineError(f"{path} cannot be written: {reason}") from error

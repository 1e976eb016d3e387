r"""Catalogues that take long to make: part by part, and on from there after a kill."""

__all__ = ["contents", "in_parts"]

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.catalogue.formats import FORMATS, Column
from pipeline.catalogue.writing import concatenate
from pipeline.errors import ConfigError, suggest
from pipeline.files import locked, replacing, sweep

METADATA = 2**20
r"""The bytes at either end of a catalogue that hold its metadata."""

MOST_COLUMNS = 999
r"""What a table of FITS can have."""

SIGNATURE = b"tuningfork "
r"""What the metadata `software` of all catalogues begins with."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    r"""The parts of a catalogue that is under way.

    Arguments:
        to: The catalogue.
        columns: What its columns mean.
        files: The files of all parts, those done first.
        done: The number of parts that are done.
    """

    to: Path
    columns: Sequence[Column]
    files: Sequence[Path]
    done: int

    def add(self, tables: Iterator[pa.Table]) -> None:
        r"""Writes the parts that are not done yet, in order."""

        for path, table in zip(self.files[self.done :], tables, strict=True):
            with replacing(path) as file:
                pq.write_table(table, file)

    def finish(self, metadata: Mapping[str, str]) -> None:
        r"""Joins all parts, see :func:`concatenate`."""

        concatenate(self.files, self.to, self.columns, metadata)


@contextmanager
def in_parts(
    to: Path, columns: Sequence[Column], plan: Mapping[str, Any], parts: int
) -> Iterator[Parts]:
    r"""Makes a catalogue in parts, or goes on with the one that was killed.

    They are in the folder `TO.parts`, which is there until the catalogue is, beside the plan
    that they follow. Parts of another plan are deleted, and so is a folder of none on an error.

    Arguments:
        to: The catalogue: `.parquet`, `.fits`, `.vot` or `.csv`.
        columns: What its columns mean.
        plan: What has to be the same for parts to fit together, as JSON knows it.
        parts: How many there are to be.

    Raises:
        ConfigError: If the catalogue is of no known format, or of one that cannot hold it, or if
            it would replace what is no catalogue of this package.
    """

    to = Path(to)
    _check(to, len(columns))
    folder = Path(f"{to}.parts")
    with locked(folder, to):
        sweep(to)
        _follow(plan, folder)
        found = {int(part.stem) for part in folder.glob("[0-9]*.parquet")}
        done = next(number for number in count() if number not in found)
        files = [folder / f"{part:06d}.parquet" for part in range(parts)]
        try:
            yield Parts(to, columns, files, done)
        except BaseException:
            # Without a part there is nothing to go on from
            if not any(folder.glob("[0-9]*.parquet")):
                shutil.rmtree(folder)
            raise
        shutil.rmtree(folder)


def _check(to: Path, columns: int) -> None:
    r"""Refuses before any work what would fail, or be regretted, after it."""

    suffix = to.suffix.lower()
    if suffix not in FORMATS:
        raise ConfigError(f"{to} ends in {suffix!r}, {suggest(suffix, FORMATS)}")
    if suffix == ".fits" and columns > MOST_COLUMNS:
        raise ConfigError(
            f"{to} would have {columns} columns, expected {MOST_COLUMNS} at most in FITS:"
            " choose .parquet, .vot or .csv"
        )
    if to.is_dir():
        raise ConfigError(f"{to} is a folder, expected the name of a file to write")
    if to.exists() and not _is_ours(to):
        raise ConfigError(
            f"{to} is there already and is no catalogue of tuningfork, expected a new name:"
            " choose another one, or delete that file"
        )


def _is_ours(to: Path) -> bool:
    r"""Tells whether a file is empty, or says in its metadata that it was written here."""

    with to.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(METADATA)
        file.seek(max(size - METADATA, 0))

        return not size or SIGNATURE in head or SIGNATURE in file.read()  # a footer in Parquet


def contents(files: Sequence[Path]) -> str:
    r"""Hashes which inputs there were, and what was in their files."""

    digest = blake2b(digest_size=16)
    for file in files:
        digest.update(repr(pq.read_table(file, columns=["id", "digest"]).to_pydict()).encode())

    return digest.hexdigest()


def _follow(plan: Mapping[str, Any], folder: Path) -> None:
    text = json.dumps(plan, indent=1) + "\n"
    path = folder / "plan.json"
    if path.exists() and path.read_text() == text:
        return

    others = list(folder.glob("[0-9]*.parquet"))
    if others:
        _log.warning("%s: parts of other inputs or settings, %d, are deleted", folder, len(others))
    for other in others:
        other.unlink()
    with replacing(path) as file:
        file.write(text.encode())

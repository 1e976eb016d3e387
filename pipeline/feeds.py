r"""What is classified or measured: the galaxies of a store, or files that are in none yet."""

__all__ = [
    "ABOUT",
    "STATUS",
    "Feed",
    "FileFeed",
    "Records",
    "StoreFeed",
    "all_rejected",
    "commonest",
    "describe",
    "kinds",
    "why_rejected",
]

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.catalogue import Column
from pipeline.errors import DataError
from pipeline.ingest import Recipe, prepare, stamp
from pipeline.sources import Source
from pipeline.store import Store, StoreInfo

COLUMNS = ("id", "ra", "dec", "flags", "status", "reason", "digest", "scale_arcsec", "unit")

MOST_REASONS = 3
r"""How many kinds of reasons an error tells."""

Records = Sequence[Mapping[str, Any]]

ABOUT = (
    Column("id", "", "Identifier of the input"),
    Column("ra", "deg", "Right ascension (ICRS), NaN if unknown"),
    Column("dec", "deg", "Declination (ICRS), NaN if unknown"),
)
STATUS = (
    Column("flags", "", "What is odd about the input, comma-separated"),
    Column("status", "", "Of the input as read: ok, flagged or rejected"),
    Column("reason", "", "Why it is flagged or rejected"),
)
r"""What a catalogue says of every input, before and after what is found of it."""


class Feed(Protocol):
    r"""Inputs in a fixed order, read a batch at a time.

    Arguments:
        info: What all cutouts have in common.
        fingerprint: That of the data. Empty if it is not known before all is read.
        stamp: A hash that changes if the inputs do, known before any is read.
    """

    info: StoreInfo
    fingerprint: str
    stamp: str

    def __len__(self) -> int:
        r"""Returns the number of inputs :math:`N`."""

    def stream(self, start: int, size: int) -> Iterator[tuple[Records, NDArray[np.float16]]]:
        r"""Reads the inputs from one of them on.

        Arguments:
            start: The first input.
            size: The number of inputs per batch; the last batch may have fewer.

        Yields:
            The manifest rows of a batch, with :data:`COLUMNS` and the noise of each band at
            least unless they are rejected, and the flux over the noise of those that are not,
            with shape `(n, C, H, W)`.
        """


class StoreFeed:
    r"""All inputs that a store has seen, in its order, those rejected among them.

    Arguments:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.info = store.info
        self.fingerprint = store.fingerprint
        noise = (f"noise_{band}" for band in store.info.bands)
        self._table = store.manifest.select([*COLUMNS, *noise])

        digest = blake2b(self.info.to_json().encode(), digest_size=16)
        for batch in self._table.to_batches(max_chunksize=65536):
            digest.update(repr(batch.to_pydict()).encode())
        self.stamp = digest.hexdigest()

    def __len__(self) -> int:
        return len(self._table)

    def stream(self, start: int, size: int) -> Iterator[tuple[Records, NDArray[np.float16]]]:
        r"""Reads the inputs from one of them on. See :meth:`Feed.stream`."""

        usable = self.store.usable
        for first in range(start, len(self), size):
            low, high = np.searchsorted(usable, (first, first + size))
            records = self._table.slice(first, size).to_pylist()
            yield records, self.store.gather(usable[low:high])


class FileFeed:
    r"""Files, read as an ingest would read them, but kept nowhere.

    Arguments:
        sources: What :func:`pipeline.sources.find` found.
        recipe: How to read them.
        info: What all cutouts have in common.
        workers: The number of processes that read.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        recipe: Recipe,
        info: StoreInfo,
        workers: int = 1,
    ) -> None:
        self.sources = sources
        self.recipe = recipe
        self.info = info
        self.fingerprint = ""
        self.workers = workers

        digest = blake2b(self.info.to_json().encode(), digest_size=16)
        for source in sources:
            digest.update(f"{source.id}\t{stamp(source, recipe)}\n".encode())
        self.stamp = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.sources)

    def stream(self, start: int, size: int) -> Iterator[tuple[Records, NDArray[np.float16]]]:
        r"""Reads the inputs from one of them on. See :meth:`Feed.stream`."""

        sources = self.sources[start:]

        return prepare(sources, self.recipe, workers=self.workers, chunk=size)


def describe(records: Records) -> dict[str, pa.Array]:
    r"""Returns the columns :data:`ABOUT` and :data:`STATUS` of inputs, and their digests."""

    found = {c.name: [record[c.name] for record in records] for c in (*ABOUT, *STATUS)}
    found["digest"] = [record.get("digest", "") for record in records]
    kinds = {"ra": pa.float64(), "dec": pa.float64()}

    return {name: pa.array(found[name], kinds.get(name, pa.string())) for name in found}


def all_rejected(to: Path, files: Sequence[Path]) -> DataError:
    r"""Returns the error of a catalogue that would have nothing but rejected inputs.

    It is not written, and the one that was there stays.

    Arguments:
        to: The catalogue.
        files: Its parts.
    """

    reasons = [why for path in files for why in pq.read_table(path)["reason"].to_pylist()]

    return DataError(
        f"{to} is not written: all {len(reasons)} inputs are rejected, {commonest(reasons)}"
    )


def why_rejected(files: Sequence[Path]) -> dict[str, int]:
    r"""Counts the reasons of the rejected inputs of a catalogue, by their kinds.

    Arguments:
        files: Its parts.
    """

    reasons = []
    for path in files:
        found = pq.read_table(path, columns=["reason"], filters=[("status", "=", "rejected")])
        reasons += found["reason"].to_pylist()

    return kinds(reasons)


def commonest(reasons: Sequence[str]) -> str:
    r"""Tells the commonest kinds of reasons. See :func:`kinds`."""

    counts = list(kinds(reasons).items())
    told = [f"{count}: {why}" for why, count in counts[:MOST_REASONS]]
    others = sum(count for _, count in counts[MOST_REASONS:])
    told += [f"{others} for other reasons"] if others else []

    return "; ".join(told)


def kinds(reasons: Sequence[str]) -> dict[str, int]:
    r"""Counts reasons, the commonest first. Those that differ in the files and numbers that they
    name are of one kind, told by its first: `e.g.` that one, if they are several."""

    first = {_kind(why): why for why in reversed(reasons)}
    several = {_kind(why) for why in reasons if first[_kind(why)] != why}
    counts = Counter(map(_kind, reasons)).most_common()

    return {"e.g. " * (name in several) + first[name]: count for name, count in counts}


def _kind(reason: str) -> str:
    r"""Returns a reason without the files and the numbers that it names."""

    words = [word for word in reason.split() if "/" not in word]

    return re.sub(r"[+-]?\d+(\.\d+)?", "N", " ".join(words))

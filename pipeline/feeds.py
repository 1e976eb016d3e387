r"""What a model is asked to classify: the galaxies of a store, or files that are in none yet."""

__all__ = [
    "ABOUT",
    "STATUS",
    "Feed",
    "FileFeed",
    "Records",
    "StoreFeed",
    "describe",
    "images",
    "refused",
    "scale_misfit",
]

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.card import TOLERANCE, Card
from pipeline.catalogue import Column
from pipeline.ingest import Recipe, prepare, stamp
from pipeline.sources import Source
from pipeline.store import Store, StoreInfo

COLUMNS = ("id", "ra", "dec", "flags", "status", "reason", "digest", "scale_arcsec", "unit")

Records = Sequence[Mapping[str, Any]]

ABOUT = (
    Column("id", "", "Identifier of the input"),
    Column("ra", "deg", "Right ascension (ICRS), NaN if unknown"),
    Column("dec", "deg", "Declination (ICRS), NaN if unknown"),
)
STATUS = (
    Column("flags", "", "What is odd about the input, comma-separated"),
    Column("status", "", "ok, flagged or rejected"),
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


def images(card: Card, sources: Sequence[Source], workers: int = 1) -> FileFeed:
    r"""Prepares images without an experiment, to be read like those that a model learnt from.

    Arguments:
        card: The model.
        sources: The images.
        workers: The number of processes that read.
    """

    number, _, unit = card.scale.partition(" ")
    scale = float(number) if unit == "arcsec" else card.scale
    recipe = Recipe(card.bands, (card.height, card.width), scale, **card.reading, named=True)
    info = StoreInfo(card.bands, card.height, card.width, card.scale, card.survey)

    return FileFeed(sources, recipe, info, workers)


def refused(
    records: Records, pixels: NDArray[np.float16], why: Callable[[Mapping[str, Any]], str]
) -> tuple[Records, NDArray[np.float16]]:
    r"""Rejects what a model cannot judge.

    Arguments:
        records: The manifest rows of a batch.
        pixels: The cutouts of those that are not rejected, with shape `(n, C, H, W)`.
        why: Tells why a row is to be rejected, or an empty text.

    Returns:
        The rows and the cutouts, as a :meth:`Feed.stream` yields them.
    """

    told, kept = [], []
    for record in records:
        rejected = record["status"] == "rejected"
        reason = "" if rejected else why(record)
        told.append({**record, "status": "rejected", "reason": reason} if reason else record)
        if not rejected:
            kept.append(not reason)

    return told, pixels if all(kept) else pixels[kept]


def scale_misfit(card: Card, record: Mapping[str, Any]) -> str:
    r"""Tells whether a cutout on its native grid is of another scale than a model learnt from.

    Returns:
        What is wrong, or an empty text if nothing is, or if either scale is unknown.
    """

    learnt, found = card.pixel_arcsec, record.get("scale_arcsec")
    if card.scale != "native" or learnt is None or found is None:
        return ""
    if math.isnan(found) or abs(found / learnt - 1) <= TOLERANCE:
        return ""

    return f"scale {found:.3g} arcsec per pixel, the model learnt from {learnt:.3g}"

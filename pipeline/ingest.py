r"""From sources to a store: read, cut, assess, commit."""

__all__ = ["Recipe", "ingest", "prepare", "stamp"]

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.rows import Recipe, Row, make_row, stamp
from pipeline.sources import Source
from pipeline.store import Store
from pipeline.workers import in_order

TASK = 16
r"""The number of sources that a worker is handed at once."""

Rows = tuple[list[Row], NDArray[np.float16]]

_log = logging.getLogger(__name__)


def ingest(
    sources: Sequence[Source],
    store: Store,
    recipe: Recipe,
    *,
    workers: int = 1,
    chunk: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    r"""Brings into a store what is new or changed.

    Whole chunks are committed in order: killed at any moment it leaves a valid store, and run
    again it makes the same files, byte for byte, as if nothing had happened. A second ingest
    of the same store waits for the first one.

    What failed for a reason that may pass, such as a disk that could not be read, is tried
    again after all that is new. As long as it fails alike, the store stays as it is.

    Arguments:
        sources: What :func:`pipeline.sources.find` found.
        store: The store.
        recipe: How to make a row.
        workers: The number of processes. With one, all happens in this one.
        chunk: The number of sources per shard.
        progress: Called with the number of new sources that are done, and of all new ones.

    Returns:
        The number of sources that are `ok`, `flagged`, `rejected`, and of those `unchanged`;
        and of the galaxies of the store that are `gone` from the sources. They stay in it, as
        what was delivered in another night must.

    Raises:
        PipelineError: If the disk is full.
    """

    counts = Counter({"ok": 0, "flagged": 0, "rejected": 0, "unchanged": 0, "gone": 0})
    done = 0
    with store.lock():
        failed = _failed(store)
        new = _new(sources, store, recipe, failed)
        counts["unchanged"] = len(sources) - len(new)
        for rows, pixels in prepare(new, recipe, workers=workers, chunk=chunk):
            if told := [row for row in rows if not _same(row, failed.get(row["id"]))]:
                store.commit(pixels, told)
            counts.update(row["status"] for row in rows)
            done += len(rows)
            if progress:
                progress(done, len(new))

        gone = set(store.manifest["id"].take(store.usable).to_pylist())
        counts["gone"] = len(gone.difference(source.id for source in sources))

    _log.info("%s: %s", store.folder, ", ".join(f"{n} {name}" for name, n in counts.items()))

    return dict(counts)


def prepare(
    sources: Sequence[Source], recipe: Recipe, *, workers: int = 1, chunk: int = 256
) -> Iterator[Rows]:
    r"""Reads, cuts and assesses sources, in their order and in constant memory.

    Arguments:
        sources: What :func:`pipeline.sources.find` found.
        recipe: How to make a row.
        workers: The number of processes. With one, all happens in this one.
        chunk: The number of sources that are handed out at once.

    Yields:
        The rows of the manifest of a chunk, and the pixels of those that are not rejected, with
        shape `(n, C, H, W)`.
    """

    starts = range(0, len(sources), chunk)
    chunks = [sources[i : i + chunk] for i in starts]
    steps = [chunk if part[0].field else TASK for part in chunks]
    tasks = [
        (part[i : i + step], recipe)
        for part, step in zip(chunks, steps, strict=True)
        for i in range(0, len(part), step)
    ]
    done = in_order(_make, tasks, workers)
    for part in chunks:
        rows: list[Row] = []
        pixels: list[NDArray[np.float16]] = []
        while len(rows) < len(part):
            more, cutouts = next(done)
            rows += more
            pixels.append(cutouts)
        yield rows, np.concatenate(pixels)


def _failed(store: Store) -> dict[str, Row]:
    r"""Returns the rows of what is to be tried again."""

    rows = store.manifest.filter(pc.field("stamp") == "").to_pylist()

    return {row["id"]: row for row in rows}


def _new(
    sources: Sequence[Source], store: Store, recipe: Recipe, failed: Mapping[str, Row]
) -> list[Source]:
    seen = store.manifest.select(["id", "stamp"]).to_pydict()
    stamps = dict(zip(seen["id"], seen["stamp"], strict=True))
    new = [source for source in sources if stamps.get(source.id) != stamp(source, recipe)]
    again = {source.id: source for source in new if source.id in failed}

    # An ingest that resumes cuts what is left into the same chunks, and then tries again.
    return [source for source in new if source.id not in again] + [
        again[id] for id in failed if id in again
    ]


def _same(row: Row, known: Row | None) -> bool:
    return known is not None and all(str(known[name]) == str(row[name]) for name in row)


def _make(sources: Sequence[Source], recipe: Recipe) -> Rows:
    made = [make_row(source, recipe) for source in sources]
    kept = [pixels for _, pixels in made if pixels is not None]
    shape = (len(kept), len(recipe.bands), *recipe.size)

    return [row for row, _ in made], np.array(kept, np.float16).reshape(shape)

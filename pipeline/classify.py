r"""From galaxies to a catalogue of calibrated class probabilities."""

__all__ = ["classify", "columns"]

import logging
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from pipeline import __version__
from pipeline.admission import refused, scale_misfit
from pipeline.card import Card
from pipeline.catalogue import Column, contents, in_parts
from pipeline.errors import DataError
from pipeline.feeds import ABOUT, STATUS, Feed, Records, all_rejected, describe, why_rejected
from pipeline.predictor import Predictor

BATCH_PIXELS = 2**21
r"""A batch has this many pixels at most, over all bands, and as many galaxies as :data:`BATCH`."""

BATCH = {"cpu": 128, "cuda": 1024}
PART = 8
r"""The number of batches per part, which is what a kill costs. More in long catalogues, so that
there are :data:`PARTS` at most."""

PARTS = 500

TOLD = ("accuracy", "macro_f1", "calibration_error")
r"""The scores on its test galaxies that a catalogue says of its model."""

PART_PLAYED = Column("part", "", "train, validation or test: what it was to the model, or empty")

AHEAD = 4
r"""The number of batches that are read ahead."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


def classify(
    model: Path,
    feed: Feed,
    to: Path,
    *,
    version: str = "",
    verdict: str = "",
    device: str = "auto",
    members: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    r"""Classifies all inputs of a feed.

    One row per input, in order: position, calibrated probabilities

    .. math:: p = \mathrm{softmax}(z / T)

    of the logits :math:`z` at the temperature :math:`T` of the card, those of its network or of
    network and forest together (:func:`pipeline.trees.pool`), the likeliest class, the
    entropy :math:`-\sum_k p_k \log_2 p_k` in bits, flags, status and reason. A rejected input
    has NaN for numbers and no class. On a native grid, so is one of another scale than those
    that the model has learnt from.

    Parts are written to the folder `TO.parts` as they are done. Run again after a kill, with
    the same model and inputs, it skips them, and ends with the bytes it would have ended with.
    The memory it takes does not grow with the number of inputs, except for what the feed knows
    of each.

    Arguments:
        model: The folder of a model card.
        feed: What to classify.
        to: The catalogue: `.parquet`, `.fits`, `.vot` or `.csv`.
        version: The version of the model, to be named in the catalogue. By default, its digest.
        verdict: What its evaluation said of it, to be told too.
        device: Where to compute. By default, an accelerator if there is one.
        members: What galaxies were to the model, by their identifier: the column `part`. By
            default there is no such column.

    Returns:
        The numbers of inputs, of those classified, rejected, and why, and found done, and of
        galaxies by class.

    Raises:
        ConfigError: If the catalogue is of no known format, or would replace another file.
        DataError: If the cutouts are not what the model has learnt from, if there are none, if
            all are rejected, or if the model is damaged. A catalogue that is there stays.
    """

    place = _device(device)
    predictor = Predictor(model, place)
    card = predictor.card
    _check(card, feed, Path(model))

    plan = _Plan.of(card, feed, place)
    names = columns(card.classes)
    if members is not None:
        plan = replace(plan, feed=_hash(plan.feed + repr(sorted(members.items()))))
        names.append(PART_PLAYED)
    with in_parts(to, names, asdict(plan), plan.parts) as parts:
        done = parts.done
        _log.info("%d inputs, %d of %d parts are done", len(feed), done, plan.parts)
        tables = _parts(predictor, feed, plan, done)
        parts.add(tables if members is None else (_played(table, members) for table in tables))
        counts = _counts(parts.files)
        refusal = None if counts["classified"] else all_rejected(to, parts.files)
        if not refusal:
            metadata = _metadata(card, version, verdict)
            metadata["data"] = feed.fingerprint or contents(parts.files)
            parts.finish(metadata)
    if refusal:
        raise refusal

    return {"catalogue": str(to), "inputs": len(feed), "parts_found_done": done} | counts


def columns(classes: Sequence[str]) -> list[Column]:
    r"""Returns the columns of a catalogue, with units and descriptions."""

    return [
        *ABOUT,
        *(Column(f"p_{name}", "", f"Calibrated probability of class {name}") for name in classes),
        Column("class", "", "The likeliest class, empty if rejected"),
        Column("entropy", "bit", "Entropy of the probabilities, 0 if certain"),
        *STATUS,
    ]


@dataclass(frozen=True)
class _Plan:
    r"""What has to be the same for parts to fit together."""

    model: str
    feed: str
    inputs: int
    batch: int
    part: int
    device: str
    software: str

    @classmethod
    def of(cls, card: Card, feed: Feed, device: torch.device) -> "_Plan":
        volume = len(feed.info.bands) * feed.info.height * feed.info.width
        batch = min(BATCH[device.type], max(1, BATCH_PIXELS // volume))
        return cls(
            model=_hash(card.to_json()),
            feed=feed.stamp,
            inputs=len(feed),
            batch=batch,
            part=batch * max(PART, -(-len(feed) // (batch * PARTS))),
            device=device.type,
            software=f"{__version__}, torch {torch.__version__}",
        )

    @property
    def parts(self) -> int:
        return -(-self.inputs // self.part)


def _check(card: Card, feed: Feed, model: Path) -> None:
    if not len(feed):
        raise DataError("nothing to classify: there is no input")

    info = feed.info
    wanted = {"bands": card.bands, "size": (card.height, card.width), "scale": card.scale}
    found = {"bands": info.bands, "size": (info.height, info.width), "scale": info.scale}
    wanted |= {"survey": card.survey} | ({"classes": card.classes} if info.classes else {})
    found |= {"survey": info.survey} | ({"classes": info.classes} if info.classes else {})
    wrong = [
        f"{name} {_words(found[name])}, expected {_words(wanted[name])}"
        for name in wanted
        if found[name] != wanted[name]
    ]
    if wrong:
        raise DataError(f"the input does not fit the model {model}: found {'; '.join(wrong)}")


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _device(name: str) -> torch.device:
    if name != "auto":
        return torch.device(name)

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _parts(predictor: Predictor, feed: Feed, plan: _Plan, done: int) -> Iterator[pa.Table]:
    r"""Yields the parts that are not done. Batches are read while others are computed."""

    card = predictor.card
    rows: list[Mapping[str, Any]] = []
    found: list[NDArray[np.float64]] = []
    for given, all_pixels in _ahead(feed.stream(done * plan.part, plan.batch)):
        records, pixels = refused(given, all_pixels, partial(scale_misfit, card))
        rows += records
        if len(pixels):
            found.append(predictor.probabilities(pixels))
            if not np.isfinite(found[-1]).all():
                raise DataError(
                    f"the model {card.name!r} answers NaN to {records[0]['id']} or after"
                )
        if len(rows) == plan.part:
            yield _table(rows, found, card.classes)
            rows, found = [], []
    if rows:
        yield _table(rows, found, card.classes)


def _ahead(items: Iterator[T]) -> Iterator[T]:
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="classify")
    try:
        waiting = deque(pool.submit(next, items, None) for _ in range(AHEAD))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, items, None))
            yield item
    finally:
        pool.shutdown(cancel_futures=True)


def _table(records: Records, found: list[NDArray[np.float64]], classes: Sequence[str]) -> pa.Table:
    r"""Joins the records of a part with the probabilities of those that have any."""

    readable = np.array([record["status"] != "rejected" for record in records])
    p = np.full((len(records), len(classes)), np.nan)
    if found:
        p[readable] = np.concatenate(found)
    entropy = -(p * np.log2(p, where=p > 0, out=np.zeros_like(p))).sum(axis=1)
    entropy[~readable] = np.nan
    best = np.where(readable, np.array(classes)[p.argmax(axis=1)], "")

    made = {f"p_{name}": pa.array(p[:, k], pa.float32()) for k, name in enumerate(classes)}
    made |= {"entropy": pa.array(entropy, pa.float32()), "class": pa.array(best, pa.string())}
    made |= describe(records)

    # The digest stays in the parts: it tells what was in the files
    return pa.table({name: made[name] for name in [*(c.name for c in columns(classes)), "digest"]})


def _played(table: pa.Table, members: Mapping[str, str]) -> pa.Table:
    ids = table["id"].to_pylist()

    return table.append_column("part", pa.array([members.get(id, "") for id in ids], pa.string()))


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _metadata(card: Card, version: str, verdict: str) -> dict[str, str]:
    scores = [f"{name} {card.metrics[name]:.3f}" for name in TOLD if name in card.metrics]
    told = {"model_test": ", ".join(scores), "model_verdict": verdict}

    return {
        "description": f"Galaxy morphology by {card.name or card.model}",
        "model": card.name or card.model,
        "model_version": version or card.digest,
        "model_digest": card.digest,
        "training_data": card.fingerprint,
        "software": f"tuningfork {__version__}",
        "survey": card.survey,
        "bands": ",".join(card.bands),
        "scale": card.scale,
    } | {name: text for name, text in told.items() if text}


def _counts(files: Sequence[Path]) -> dict[str, Any]:
    status: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    for path in files:
        table = pq.read_table(path, columns=["status", "class"])
        status.update(table["status"].to_pylist())
        classes.update(name for name in table["class"].to_pylist() if name)

    rejected = status["rejected"]
    why = {"rejected_because": why_rejected(files)} if rejected else {}

    return {
        "classified": status.total() - rejected,
        "rejected": rejected,
        **why,
        "by_status": dict(sorted(status.items())),
        "by_class": dict(sorted(classes.items())),
    }

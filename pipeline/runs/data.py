r"""From files to a store and a split."""

__all__ = ["STORE", "Sample", "ingest", "sample", "scheme", "store_folder"]

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import split as splitting
from pipeline.config import Data, Experiment
from pipeline.errors import ConfigError, DataError
from pipeline.feeds import commonest
from pipeline.files import read_json, write_json
from pipeline.ingest import ingest as ingest_sources
from pipeline.labels import Scheme
from pipeline.rows import AWAY
from pipeline.runs.counts import count
from pipeline.runs.inputs import info_of, progress_bar, reading_of, recipe_of, sources_of
from pipeline.runs.simulation import simulate
from pipeline.store import Store

STORE = "store"
r"""The folder of the store, by default, in the folder of an experiment."""

READING = "reading.json"
r"""How the files of a store were read, beside it."""

UNFINISHED = "unfinished"
r"""Says there that some of them were read otherwise."""

SAME_SCALE = 1.05
r"""The ratio of two pixel scales above which they are different."""

_log = logging.getLogger(__name__)


def ingest(experiment: Experiment) -> dict:
    r"""Reads what is new of the files of an experiment into its store, and splits it."""

    data = experiment.data
    if experiment.simulate:
        simulate(data.root, **experiment.simulate.model_dump())

    recipe = recipe_of(data)
    # Nothing is left of an experiment that finds no file
    sources = sources_of(data, experiment.home / "headers.json")
    store = Store.create(store_folder(experiment), info_of(data))
    with store.lock():
        _begin_reading(store.folder / READING, _reading(data))
    with progress_bar("ingest") as progress:
        counts = ingest_sources(
            sources,
            store,
            recipe,
            workers=data.workers,
            chunk=data.chunk,
            progress=progress,
        )

    with store.lock():
        write_json(store.folder / READING, _reading(data))
    store.verify()
    reasons = count(store.manifest)["reasons"]
    if not len(store.usable):
        told = commonest(store.manifest["reason"].to_pylist())
        raise DataError(f"{store.folder}: all {len(store.manifest)} inputs are rejected, {told}")
    _warn_of_scales(store, data.pixel_scale)
    _warn_of_places(store)

    found = {"store": str(store.folder), **counts, "galaxies": len(store.usable)}
    found |= {"rejected_because": reasons} if reasons else {}
    if data.labels:
        parts = _labelled(experiment).parts
        if lack := _lack(parts):
            _log.warning("%s: %s, to train a model", store.folder, lack)
        found |= {"split": {part: int((parts == part).sum()) for part in splitting.PARTS}}
        found |= {"unlabelled": len(store.usable) - len(parts)}

    return found


def _warn_of_scales(store: Store, given: float | None) -> None:
    scales = store.manifest["scale_arcsec"].to_numpy()[store.usable]
    low, high = np.nanmin(scales, initial=np.inf), np.nanmax(scales, initial=0.0)
    native = store.info.scale == "native"
    if native and high > SAME_SCALE * low:
        _log.warning(
            "%s: its pixels are of %.3g to %.3g arcsec; set data.scale to bring them to one scale",
            store.folder,
            low,
            high,
        )
    if native and given and max(high / given, given / low) > SAME_SCALE:
        _log.warning(
            "%s: headers say %.3g to %.3g arcsec per pixel, which counts before"
            " data.pixel_scale=%g",
            store.folder,
            low,
            high,
            given,
        )


def _warn_of_places(store: Store) -> None:
    reasons = store.manifest["reason"].take(store.usable).to_pylist()
    away = sum(AWAY in reason for reason in reasons)
    if 2 * away > len(reasons):
        _log.warning(
            "%s: the table places %d of %d galaxies outside of their images; expected the columns"
            " data.table.ra and data.table.dec to be of the same sky",
            store.folder,
            away,
            len(reasons),
        )


@dataclass(frozen=True, eq=False)
class Sample:
    r"""The labelled galaxies of a store, and the part that each plays.

    Arguments:
        store: The store.
        scheme: What the labels mean.
        rows: The rows of the manifest, with shape `(N,)`.
        ids: The identifiers, with length `N`.
        labels: The index of the class of each, with shape `(N,)`.
        parts: `train`, `validation` or `test`, with shape `(N,)`.
    """

    store: Store
    scheme: Scheme
    rows: NDArray[np.int64]
    ids: list[str]
    labels: NDArray[np.int64]
    parts: NDArray[np.str_]

    def of(self, part: str) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
        r"""Returns the rows, labels and identifiers of one part."""

        here = np.flatnonzero(self.parts == part)

        return self.rows[here], self.labels[here], [self.ids[i] for i in here]


def scheme(experiment: Experiment) -> Scheme:
    r"""Returns what the labels of an experiment mean.

    Raises:
        ConfigError: If it has no labels.
    """

    labels = experiment.data.labels
    if labels is None:
        raise ConfigError(f"{experiment.name}: data.labels is missing, expected a scheme")

    return Scheme.of(labels.classes, labels.mirror)


def sample(experiment: Experiment) -> Sample:
    r"""Opens the store of an experiment and divides its galaxies, as they were before.

    Raises:
        ConfigError: If the experiment has no labels, or if its store was made otherwise.
        DataError: If there is no store, if it has no label, or if a part has no galaxy.
    """

    found = _labelled(experiment)
    if lack := _lack(found.parts):
        raise DataError(f"{found.store.folder}: {lack}")

    return found


def _lack(parts: NDArray[np.str_]) -> str:
    r"""Says which part has no galaxy, and nothing if all have."""

    lacking = [part for part in splitting.PARTS if not (parts == part).any()]
    told = f"{len(parts)} labelled galaxies leave none for {' and '.join(lacking)}"

    return f"{told}, expected more of them, or another split" if lacking else ""


def _labelled(experiment: Experiment) -> Sample:
    meaning = scheme(experiment)
    folder = store_folder(experiment)
    if not (folder / "store.json").exists():
        raise DataError(f"{folder} is not a store yet, expected `tuningfork ingest` before")

    store = Store.open(folder)
    store.check(info_of(experiment.data))
    _check_reading(folder, _reading(experiment.data))
    used = store.manifest.take(store.usable)
    ids, names = used["id"].to_pylist(), used["label"].to_pylist()
    if not any(names):
        raise DataError(f"{folder}: none of {len(names)} galaxies has a label{_why(store)}")
    parts = _parts(experiment, store, ids, names)
    kept = np.flatnonzero(parts != "")
    index = np.array([meaning.index(names[i]) for i in kept], np.int64)

    return Sample(store, meaning, store.usable[kept], [ids[i] for i in kept], index, parts[kept])


def _why(store: Store) -> str:
    r"""Gives one reason of what was flagged, and one of what was rejected: where identifiers do
    not match, that the table has no row of an image, and that a row has no image."""

    reasons = store.manifest["reason"].to_pylist()
    kinds = ("has no row", "unknown label", "no image")
    told = [next((why for why in reasons if kind in why), "") for kind in kinds]

    return "".join(f"; e.g. {why}" for why in told if why)


def _reading(data: Data) -> dict[str, Any]:
    r"""Returns how files are read, and what their labels mean."""

    found = reading_of(data) | {"pattern": data.pattern, "band_text": data.band_text}
    if data.labels:
        meaning = data.labels.model_dump(include={"column", "rename", "threshold"})
        found |= {f"labels.{name}": value for name, value in meaning.items()}

    return found


def _begin_reading(path: Path, wanted: dict[str, Any]) -> None:
    r"""Tells how a store is read, and marks one that was read otherwise until all of it is."""

    before = read_json(path) if path.exists() else wanted
    mixed = any(before.get(name, value) != value for name, value in wanted.items())
    write_json(path, wanted | ({UNFINISHED: True} if mixed or UNFINISHED in before else {}))


def _check_reading(folder: Path, wanted: dict[str, Any]) -> None:
    found = read_json(folder / READING) if (folder / READING).exists() else wanted
    for name, value in wanted.items():
        if found.get(name, value) != value:
            raise ConfigError(
                f"{folder} was read with {name}={found.get(name)!r}, not {value!r}: expected the"
                " same settings, or `tuningfork ingest` with these before"
            )
    if found.get(UNFINISHED):
        raise DataError(
            f"{folder} is read in part with these settings and in part with others: run"
            " `tuningfork ingest` again, which goes on where it was stopped"
        )


def store_folder(experiment: Experiment) -> Path:
    r"""Returns where the store of an experiment is."""

    return experiment.data.store or experiment.home / STORE


def _parts(
    experiment: Experiment, store: Store, ids: list[str], labels: list[str]
) -> NDArray[np.str_]:
    r"""Takes the split as given, or makes it, or extends the one made before to what is new."""

    used = store.manifest.take(store.usable)
    ra, dec = used["ra"].to_numpy(), used["dec"].to_numpy()
    options = experiment.split
    radius = _radius(experiment, store, used["scale_arcsec"].to_numpy())
    if options.path:
        given = splitting.load(options.path)
        splitting.check(given, ids, ra, dec, radius_arcsec=radius)
        parts = np.array([given.get(id, "") for id in ids])
        return np.where(np.array(labels) == "", "", parts)

    path = experiment.home / "split.parquet"
    existing = splitting.load(path) if path.exists() else {}
    before = splitting.places(path) if path.exists() else {}
    made = _made(path, experiment)
    here = zip(ids, ra.tolist(), dec.tolist(), strict=True)
    places = before | {id: (x, y) for id, x, y in here if not math.isnan(x + y)}
    # What cannot be used for a while has neighbours, and keeps its part until it comes back
    away = sorted(existing.keys() - set(ids))
    usual = np.median(radius) if len(ids) else 0.0
    nowhere = (math.nan, math.nan)
    parts = splitting.split(
        [*ids, *away],
        [*labels, *[""] * len(away)],
        *np.array([places.get(id, nowhere) for id in (*ids, *away)]).reshape(-1, 2).T,
        fractions=(1 - options.validation - options.test, options.validation, options.test),
        seed=experiment.seed,
        radius_arcsec=[*radius, *[usual] * len(away)],
        existing=existing,
    )[: len(ids)]
    known = existing | {id: part for id, part in zip(ids, parts.tolist(), strict=True) if part}
    places = {id: place for id, place in places.items() if id in known}
    # What cannot be used is not kept, or it would outlive its cause
    if (known, places) != (existing, before) and set(known.values()) == set(splitting.PARTS):
        splitting.save(path, list(known), list(known.values()), made, places)

    return np.where(np.array(labels) == "", "", parts)


def _radius(
    experiment: Experiment, store: Store, scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    r"""Returns how far from each galaxy its neighbours are, in arcsec, with shape `(N,)`."""

    if experiment.split.radius_arcsec:
        return np.full(len(scale), experiment.split.radius_arcsec)
    # Cutouts a diagonal apart cannot overlap, however they are turned
    radius = scale * math.hypot(store.info.height, store.info.width)
    known = radius[np.isfinite(radius)]

    return np.nan_to_num(radius, nan=float(np.median(known)) if len(known) else 0.0)


def _made(path: Path, experiment: Experiment) -> dict[str, float]:
    r"""Returns how a split was made, and refuses one that is not as asked for now.

    Another seed costs a warning: several networks may learn of one split.
    """

    part = experiment.split
    asked = {"split.validation": part.validation, "split.test": part.test}
    asked |= {"split.radius_arcsec": part.radius_arcsec, "seed": experiment.seed}
    if not path.exists():
        return asked

    made = splitting.options(path)
    changed = {
        name: f"{name}={made[name]:g}, not {value:g}"
        for name, value in asked.items()
        if made.get(name, value) != value
    }
    seed = changed.pop("seed", "")
    if changed:
        raise ConfigError(
            f"{path} was made with {'; '.join(changed.values())}: expected the same settings, or"
            " delete it to divide the galaxies anew"
        )
    if seed:
        _log.warning("%s was made with %s: galaxies keep their parts", path, seed)

    return made

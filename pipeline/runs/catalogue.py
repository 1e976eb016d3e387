r"""From a model and images to a catalogue."""

__all__ = ["classify", "classify_store"]

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline import config
from pipeline import split as splitting
from pipeline.admission import images
from pipeline.card import load_card, recover
from pipeline.classify import classify as classify_feed
from pipeline.config import Data, Experiment
from pipeline.errors import ConfigError, DataError
from pipeline.feeds import Feed, StoreFeed
from pipeline.files import read_json
from pipeline.runs.data import STORE, store_folder
from pipeline.runs.home import MEMBERS, MODEL, RUN, TRAINED, beside
from pipeline.runs.images import find_images
from pipeline.runs.inputs import feed
from pipeline.store import Store
from pipeline.tracking import kept_beside, resolve, run_page, store_uri, verdict_of


def classify(model: str, input: Path, to: Path, overrides: Sequence[str] = ()) -> dict:
    r"""Classifies a store, the files of an experiment, a folder of images or one image.

    Arguments:
        model: The folder of a model card, or `models:/name@champion` and the like.
        input: A store; an experiment, whose `data` say where the files are; or images that
            have all the bands of the model, in its order, each one a row. They are read as
            those were that the model learnt from.
        to: The catalogue: `.parquet`, `.fits`, `.vot` or `.csv`.
        overrides: Settings that replace those of the experiment, and `tracking.uri`.

    Raises:
        DataError: If there is nothing to classify, or nothing of it can be. A catalogue that is
            there stays.
    """

    input, to = Path(input), Path(to)
    if input.suffix in {".yaml", ".yml"}:
        experiment = config.load(input, overrides)
        return _classify(model, _uri(experiment), experiment, to)

    uri = store_uri(Path("runs"))
    for setting in overrides:
        key, _, value = setting.partition("=")
        if key != "tracking.uri":
            raise ConfigError(
                f"--set {setting!r}: {input} is no experiment, it takes tracking.uri only"
            )
        uri = config.expand(value, f"--set {setting!r}")

    return _classify(model, uri, input, to)


def classify_store(experiment: Experiment) -> dict:
    r"""Classifies all of the store of an experiment with the model it has trained."""

    home = experiment.home

    return _classify(
        str(home / MODEL), _uri(experiment), store_folder(experiment), home / "catalogue.parquet"
    )


def _uri(experiment: Experiment) -> str:
    return experiment.tracking.uri or store_uri(experiment.folder)


def _classify(model: str, uri: str, input: Path | Experiment, to: Path) -> dict:
    r"""Classifies; tells of a model that lies where it was made what its registry and its
    training know of it."""

    recover(Path(model))
    with TemporaryDirectory(prefix="tuningfork-") as scratch, _hinted(input):
        card, version = resolve(model, uri, Path(scratch))
        made = beside(card)
        origin = _origin(version, uri) if version else (made[1] if made else {})
        home = kept_beside(version, uri, Path(scratch)) if version else (made and made[0])
        found = classify_feed(
            card,
            feed(input.data) if isinstance(input, Experiment) else _feed(input, card),
            to,
            version=origin.get("model", ""),
            verdict=origin.get("verdict", ""),
            members=_members(home, input) if home else None,
        )

    told = {"version": "model", "verdict": "verdict", "run": "page"}

    return found | {name: origin[key] for name, key in told.items() if origin.get(key)}


def _origin(version: str, uri: str) -> Mapping[str, str]:
    r"""Returns the version of a model of the registry, the verdict on it, and where to look at
    the run that made it."""

    return {
        "model": version,
        "verdict": verdict_of(version, uri),
        "page": run_page(version, uri),
    }


def _members(home: Path, input: Path | Experiment) -> dict[str, str] | None:
    r"""Returns which galaxies taught a model, if they are those to classify.

    Arguments:
        home: The folder of the experiment that made it, or what the registry keeps of that.
        input: What is to be classified.
    """

    if not (home / TRAINED).exists():
        return None
    if isinstance(input, Experiment):
        same = _files(input.data) == _files(config.load(home / TRAINED).data)
    else:
        stores = str((home / STORE).resolve()), read_json(home / RUN).get("store")
        same = str(input.resolve()) in stores

    return splitting.load(home / MEMBERS) if same else None


def _files(data: Data) -> dict[str, Any]:
    r"""Returns which files and rows an experiment takes, wherever it is started from."""

    found = data.model_dump(exclude={"chunk", "store", "workers"})
    found["root"] = data.root.resolve()
    if data.table:
        found["table"]["path"] = data.table.path.resolve()

    return found


@contextmanager
def _hinted(input: Path | Experiment) -> Iterator[None]:
    r"""Says what to do where images without an experiment have one band each."""

    try:
        yield
    except DataError as error:
        if isinstance(input, Path) and "expected a cube" in str(error):
            hint = "an experiment tells which files are the bands of one galaxy"
            raise DataError(f"{error}; {hint}") from error
        raise


def _feed(input: Path, model: Path) -> Feed:
    if not input.exists():
        raise DataError(f"{input} does not exist, expected a store, an experiment or images")
    if Store.is_at(input):
        return StoreFeed(Store.open(input))

    card, _ = load_card(model)
    if " x " in card.scale:
        raise DataError(
            f"{input}: the model needs a scale of {card.scale},"
            " expected an experiment whose table has that column"
        )

    sources = find_images(input)

    return images(card, sources, min(os.cpu_count() or 1, len(sources)))

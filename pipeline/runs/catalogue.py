r"""From a model and images to a catalogue."""

__all__ = ["classify", "classify_store"]

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline import config
from pipeline import split as splitting
from pipeline.admission import images
from pipeline.card import load_card, recover
from pipeline.classify import classify as classify_feed
from pipeline.config import Experiment
from pipeline.errors import ConfigError, DataError
from pipeline.feeds import Feed, StoreFeed
from pipeline.files import read_json
from pipeline.runs.data import store_folder
from pipeline.runs.home import MEMBERS, MODEL, RUN
from pipeline.runs.images import find_images
from pipeline.runs.inputs import feed
from pipeline.store import Store
from pipeline.tracking import resolve, run_page, store_uri, version_of


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
        uri = experiment.tracking.uri or store_uri(experiment.folder)
        return _classify(model, uri, feed(experiment.data), to)

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
    r"""Classifies all of the store of an experiment with the model it has trained, and tells
    which galaxies have taught it."""

    store, home = Store.open(store_folder(experiment)), experiment.home
    run = read_json(home / RUN) if (home / RUN).exists() else {}

    return classify_feed(
        home / MODEL,
        StoreFeed(store),
        home / "catalogue.parquet",
        version=run.get("model", ""),  # none before it is evaluated
        members=splitting.load(home / MEMBERS),
    )


def _classify(model: str, uri: str, input: Path | Feed, to: Path) -> dict:
    recover(Path(model))
    with TemporaryDirectory(prefix="tuningfork-") as scratch:
        card = resolve(model, uri, Path(scratch))
        inputs = _feed(input, card) if isinstance(input, Path) else input

        version = version_of(model, uri)
        with _hinted(input):
            found = classify_feed(card, inputs, to, version=version)

    return found | _run_of(model, version, uri)


@contextmanager
def _hinted(input: Path | Feed) -> Iterator[None]:
    r"""Says what to do where images without an experiment have one band each."""

    try:
        yield
    except DataError as error:
        if isinstance(input, Path) and "expected a cube" in str(error):
            hint = "an experiment tells which files are the bands of one galaxy"
            raise DataError(f"{error}; {hint}") from error
        raise


def _run_of(model: str, version: str, uri: str) -> dict[str, str]:
    r"""Returns where to look at the run that made a model, where it is known."""

    if version:
        return {"run": run_page(version, uri)}
    beside = Path(model).parent / RUN
    told = read_json(beside) if beside.exists() else {}

    return {"run": told["page"]} if "page" in told else {}


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

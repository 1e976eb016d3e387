r"""From a model and images to a catalogue."""

__all__ = ["classify", "classify_store"]

from collections.abc import Sequence
from pathlib import Path

from pipeline import config
from pipeline.card import load_card
from pipeline.classify import classify as classify_feed
from pipeline.config import Data, Experiment
from pipeline.errors import ConfigError, DataError
from pipeline.feeds import Feed, StoreFeed
from pipeline.runs.data import feed, store_folder
from pipeline.runs.training import MODEL
from pipeline.store import Store
from pipeline.tracking import resolve, store_uri, version_of

IMAGES = (".fits", ".fit", ".fits.gz", ".fits.bz2", ".fits.fz", ".fz", ".jpeg", ".jpg", ".png")


def classify(model: str, input: Path, to: Path, overrides: Sequence[str] = ()) -> dict:
    r"""Classifies a store, the files of an experiment, a folder of images or one image.

    Arguments:
        model: The folder of a model card, or `models:/name@champion` and the like.
        input: A store; an experiment, whose `data` say where the files are; or images that
            have all the bands of the model, in its order.
        to: The catalogue: `.parquet`, `.fits`, `.vot` or `.csv`.
        overrides: Settings that replace those of the experiment, and `tracking.uri`.
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
        uri = value

    return _classify(model, uri, input, to)


def classify_store(experiment: Experiment) -> dict:
    r"""Classifies all of the store of an experiment with the model it has trained."""

    store = Store.open(store_folder(experiment))
    model = experiment.home / MODEL

    return classify_feed(model, StoreFeed(store), experiment.home / "catalogue.parquet")


def _classify(model: str, uri: str, input: Path | Feed, to: Path) -> dict:
    card = resolve(model, uri)
    images = _feed(input, card) if isinstance(input, Path) else input

    return classify_feed(card, images, to, version=version_of(model, uri))


def _feed(input: Path, model: Path) -> Feed:
    if not input.exists():
        raise DataError(f"{input} does not exist, expected a store, an experiment or images")
    if (input / "store.json").exists():
        return StoreFeed(Store.open(input))

    card, _ = load_card(model)
    root, pattern = (input, _pattern(input)) if input.is_dir() else (input.parent, input.name)
    scale = card.scale.removesuffix(" arcsec")
    if " x " in scale:
        raise DataError(
            f"{input}: the model needs a scale of {scale},"
            " expected an experiment whose table has that column"
        )

    return feed(
        Data(
            root=root,
            pattern=pattern if "{id}" in pattern else f"{{id}}{''.join(input.suffixes)}",
            bands=card.bands,
            survey=card.survey,
            size=(card.height, card.width),
            scale=scale if scale == "native" else float(scale),
        )
    )


def _pattern(folder: Path) -> str:
    names = [path.name for path in folder.iterdir()]
    found = [end for end in IMAGES if any(name.endswith(end) for name in names)]
    if not found:
        raise DataError(f"{folder} is no store and has no image ({', '.join(IMAGES)})")

    return f"{{id}}{found[0]}"

r"""What is saved of a trained model: a recipe and tensors, never a pickle."""

__all__ = [
    "RECIPE",
    "Card",
    "common_scale",
    "load_card",
    "load_model",
    "pack",
    "put",
    "recipe_digest",
    "recover",
    "save_card",
]

import errno
import json
import math
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from models import build
from pipeline import __version__
from pipeline.descriptors import number_names
from pipeline.errors import DataError, suggest
from pipeline.files import locked, replacing
from pipeline.trees import Trees

FORMAT = 2
RECIPE = "card.json"
WEIGHTS = "weights.safetensors"
FOREST = "forest.safetensors"

TOLERANCE = 0.05
r"""How much two pixel scales may differ and still be the same."""


@dataclass(frozen=True)
class Card:
    r"""All that it takes to classify a galaxy as it was learnt, except the weights.

    Arguments:
        model: The name of the network, as :func:`models.build` knows it.
        args: Its keyword arguments.
        bands: The names of the :math:`C` bands, from blue to red.
        height: The number of rows :math:`H` of a cutout.
        width: The number of columns :math:`W` of a cutout.
        scale: The scale of the grid, as in :class:`pipeline.store.StoreInfo`.
        survey: The survey it learnt from.
        pixel_arcsec: The arcsec per pixel of the cutouts it learnt from. None if that is unknown,
            or if they had no common one.
        reading: How files were read: the arguments of :class:`pipeline.ingest.Recipe` that the
            card does not name otherwise.
        stretch: The arguments of :class:`pipeline.stretch.Stretch`.
        classes: The names of the :math:`K` classes, in the order of the network's output.
        mirror: The index of the mirror image of each class, with length `K`.
        temperature: What logits are divided by, so that probabilities are calibrated. They are
            those of the network, or of the network and the forest together where there is one.
        symmetries: Whether the logits of the network are averaged over the symmetries of the
            square.
        numbers: What the forest asks of each galaxy, in order, see
            :func:`pipeline.descriptors.number_names`. None without a forest.
        name: What the model is called.
        fingerprint: That of the store it learnt from.
        metrics: How well it did on the test galaxies.
        software: The version of this package that trained it.
        digest: A hash of the weights and of the forest, filled in when they are saved.
    """

    model: str
    args: Mapping[str, Any]
    bands: tuple[str, ...]
    height: int
    width: int
    scale: str
    survey: str
    stretch: Mapping[str, Any]
    classes: tuple[str, ...]
    mirror: tuple[int, ...]
    pixel_arcsec: float | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    temperature: float = 1.0
    symmetries: bool = False
    numbers: tuple[str, ...] = ()
    name: str = ""
    fingerprint: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    software: str = __version__
    digest: str = ""

    def to_json(self) -> str:
        r"""Writes the card as text, the same text for the same card."""

        return json.dumps({"format": FORMAT} | asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        r"""Reads what :meth:`to_json` wrote.

        Raises:
            DataError: If the text is not a card, or one of another format.
        """

        try:
            values = json.loads(text)
        except ValueError as error:
            raise DataError(f"not JSON: {error}") from error
        found = values.pop("format", None) if isinstance(values, dict) else None
        if found != FORMAT:
            raise DataError(f"expected a model card of format {FORMAT}, found {found or 'none'}")

        values = {"numbers": []} | values  # of a time without forests
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                raise DataError(f"unknown key {key!r}, {suggest(key, known)}")
        if missing := [name for name in known if name not in values]:
            raise DataError(f"no {', '.join(missing)}")

        heat = values["temperature"]
        if not isinstance(heat, (int, float)) or not 0 < heat < math.inf:
            raise DataError(f"temperature={heat!r}, expected a number above 0")

        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}

        return cls(**values | lists)

    def build(self) -> nn.Module:
        r"""Creates the network, with weights drawn at random.

        Raises:
            ValueError: If there is no such network, or if it takes other arguments.
        """

        return build(
            self.model,
            bands=len(self.bands),
            classes=len(self.classes),
            mirror=self.mirror,
            **self.args,
        )


def save_card(folder: Path, card: Card, model: nn.Module, trees: Trees | None = None) -> Card:
    r"""Saves a trained model, in place of what the folder held. A reader sees all of it or none.

    Arguments:
        folder: Where to.
        card: The recipe of the model.
        model: The network, on any device.
        trees: The forest that answers together with it. None without one.

    Returns:
        The card, with the digest.
    """

    card, contents = pack(card, model, trees)
    with locked(Path(folder).parent):
        put(folder, contents)

    return card


def pack(
    card: Card, model: nn.Module, trees: Trees | None = None
) -> tuple[Card, dict[str, bytes]]:
    r"""Returns a card with its digest, and the files of the model by their names."""

    assert (trees is None) == (not card.numbers), "a forest asks for numbers"
    state = {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}
    weights = save({key: value.contiguous() for key, value in state.items()})
    forest = b"" if trees is None else safetensors.numpy.save(vars(trees))
    card = replace(card, digest=_digest(weights + forest))
    contents = {WEIGHTS: weights, RECIPE: card.to_json().encode()}

    return card, contents | ({FOREST: forest} if forest else {})


def put(folder: Path, contents: Mapping[str, bytes]) -> None:
    r"""Writes the files of a model, for whoever has the folder above it locked."""

    folder = Path(folder)
    recover(folder)
    aside, old = _beside(folder, "new"), _beside(folder, "old")
    for leftover in (aside, old):
        shutil.rmtree(leftover, ignore_errors=True)
    for name, content in contents.items():
        with replacing(aside / name, sync=True) as file:
            file.write(content)
    _swap(aside, folder, old)
    shutil.rmtree(old, ignore_errors=True)


def recipe_digest(folder: Path) -> str:
    r"""Names a model card by its recipe, which names its weights."""

    return blake2b((Path(folder) / RECIPE).read_bytes(), digest_size=16).hexdigest()


def recover(folder: Path) -> None:
    r"""Puts a model back that a save left aside, if it was killed before it had replaced it."""

    folder = Path(folder)
    if not folder.exists():
        # Without an older model there is nothing to put back, and whoever reads on will say so
        with suppress(OSError):
            _beside(folder, "old").rename(folder)


def common_scale(scales: NDArray[np.float64]) -> float | None:
    r"""Returns the median of the pixel scales of many cutouts.

    Arguments:
        scales: Arcsec per pixel, NaN where unknown, with shape `(N,)`.

    Returns:
        The median of those known. None if more than a tenth are unknown, or off it by more
        than :data:`TOLERANCE`, so that there is no common scale.
    """

    known = scales[np.isfinite(scales)]
    if len(known) <= 0.9 * len(scales):
        return None
    low, middle, high = np.quantile(known, (0.05, 0.5, 0.95))
    close = max(high / middle - 1, 1 - low / middle) <= TOLERANCE

    return float(middle) if close else None


def load_card(folder: Path) -> tuple[Card, nn.Module]:
    r"""Loads the card and the network of a trained model, see :func:`load_model`."""

    card, network, _ = load_model(folder)

    return card, network


def load_model(folder: Path) -> tuple[Card, nn.Module, Trees | None]:
    r"""Loads a trained model.

    Returns:
        The card; the network in evaluation mode, on the CPU; and the forest that answers together
        with it, None without one.

    Raises:
        DataError: If the folder is not a model card, if recipe and weights do not fit, or if
            what the forest asks for is not what is measured by now. The message names the file.
    """

    folder = Path(folder)
    recover(folder)
    recipe, weights = folder / RECIPE, folder / WEIGHTS
    try:
        card = Card.from_json(recipe.read_text())
    except OSError as error:
        inside = sorted(path.parent for path in folder.glob(f"*/{RECIPE}"))
        hint = f", did you mean {inside[0]}?" if inside else ""
        raise DataError(f"{folder} is not a model card{hint} ({error})") from error
    except (DataError, UnicodeDecodeError) as error:
        raise DataError(f"{recipe}: {error}") from error
    if card.numbers and card.numbers != number_names(card.bands):
        raise DataError(
            f"{recipe}: the forest asks for {len(card.numbers)} numbers, not all of which"
            f" tuningfork {__version__} measures; train it anew"
        )
    tensors = _part(weights)
    forest = _part(folder / FOREST) if card.numbers else b""
    if card.digest != _digest(tensors + forest):
        parts = f"{weights} or {FOREST} is" if forest else f"{weights} is"
        raise DataError(f"{parts} damaged or of another model than {RECIPE} beside it")

    try:
        model = card.build()
    except (ValueError, TypeError) as error:
        raise DataError(f"{recipe}: {error}") from error
    try:
        model.load_state_dict(load(tensors))
    except (RuntimeError, SafetensorError) as error:
        raise DataError(f"{weights} does not fit {card.model!r}: {error}") from error

    return card, model.eval(), Trees(**safetensors.numpy.load(forest)) if forest else None


def _part(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} is a part of the model and cannot be read: {error.strerror}"
        ) from error


def _beside(folder: Path, word: str) -> Path:
    return folder.with_name(f".{folder.name}.{word}")


def _swap(aside: Path, folder: Path, old: Path) -> None:
    while True:
        if folder.exists():
            folder.rename(old)
        try:
            aside.rename(folder)
            return
        except OSError as error:
            # A reader may have put the old one back in between
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise


def _digest(weights: bytes) -> str:
    return blake2b(weights, digest_size=16).hexdigest()

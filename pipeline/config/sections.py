r"""The sections of an experiment and their defaults.

Every field is documented under itself, or in the class that its section names, and
`tuningfork show` prints a file with all of them.
"""

__all__ = ["Experiment"]

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipeline.config.base import Config
from pipeline.errors import ConfigError, suggest
from pipeline.labels import Scheme, check_labels

Scalar = bool | int | float | str


def _different(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("expected different names")

    return names


def _file_name(name: str | None) -> str | None:
    if name is not None and not re.fullmatch(r"\w[\w .+-]*", name):
        raise ValueError("expected letters, digits, and ' ', '.', '+' or '-' but at the beginning")

    return name


def _enough_draws(draws: int) -> int:
    if draws and draws < 8:
        raise ValueError("expected 0, or 8 or more")

    return draws


def _large_enough(size: int | tuple[int, int]) -> int | tuple[int, int]:
    if min(size if isinstance(size, tuple) else (size,)) < 8:
        raise ValueError("expected 8 pixels or more")

    return size


def _scale(scale: float | str) -> float | str:
    multiple = re.fullmatch(r"(\d+(?:\.\d+)?) x \S+", str(scale))
    factor = float(multiple[1]) if multiple else scale
    valid = factor == "native" if isinstance(factor, str) else factor > 0
    if not valid:
        raise ValueError("expected native, arcsec per pixel, or a text like '4 x petro_r'")

    return scale


def _rise(given: dict[str, Any]) -> float:
    if given.get("schedule") == "onecycle":
        return 0.0

    return min(2.0, given.get("epochs", 4) / 2)


class Simulate(Config):
    r"""The survey to draw, see :func:`pipeline.simulate.simulate`."""

    galaxies: int = Field(2000, gt=0)
    r"""How many galaxies to draw."""

    side: int = Field(64, ge=32)
    r"""The side of each cutout, in pixels."""

    seed: int = Field(0, ge=0)
    r"""The same seed writes the same bytes."""

    faults: float = Field(0.04, ge=0, le=1)
    r"""The share of galaxies with a fault of the camera."""


class Table(Config):
    r"""The table of galaxies, and which of its columns mean what."""

    path: Path
    r"""A FITS, VOTable, ECSV, CSV or Parquet table, one row per galaxy."""

    id: str | None = "id"
    ra: str | None = None
    dec: str | None = None
    size: str | None = None
    r"""The columns of the identifier, the position (degrees) and the angular size (arcsec)."""

    match_arcsec: float | None = Field(None, gt=0)
    r"""Match images to rows by position within this radius, rather than by identifier, of which
    there need be none (`id: null`). Not for frames of the sky, which need none either."""

    @model_validator(mode="after")
    def _has_places(self) -> Self:
        if self.match_arcsec and None in (self.ra, self.dec):
            raise ValueError(f"match_arcsec={self.match_arcsec:g} needs the columns ra and dec")

        return self


class Labels(Config):
    r"""What the labels of the table mean."""

    column: str
    r"""The column of `table` that holds the label."""

    classes: Annotated[tuple[str, ...], AfterValidator(_different)] = Field(min_length=2)
    r"""The classes, in the order of every output."""

    mirror: dict[str, str] = {}
    r"""The pairs of classes that a mirror swaps."""

    rename: dict[str, str] = {}
    r"""Labels of the table by other names: found -> class."""

    threshold: float | None = None
    r"""For a column of numbers: below it the first class, from it on the second."""

    @model_validator(mode="after")
    def _is_a_scheme(self) -> Self:
        try:
            Scheme.of(self.classes, self.mirror)
            check_labels(self.classes, self.rename, self.threshold)
        except ConfigError as error:
            raise ValueError(str(error)) from error

        return self


class Data(Config):
    r"""Where the images are, and the grid they are brought onto."""

    root: Path
    r"""The folder of the images."""

    pattern: str = "{id}.fits"
    r"""Where the file of a galaxy is below `root`, with `{id}`, `{band}` and `*`. Without
    `{id}` the files are frames of the sky, and galaxies are cut at the table's positions."""

    bands: Annotated[tuple[str, ...], AfterValidator(_different)] = Field(min_length=1)
    r"""The bands from blue to red, in the order of the planes of a cube."""

    band_text: dict[str, str] = {}
    r"""What stands for a band in file names, if not its own name."""

    hdu: int | str | None = None
    r"""The extension, by index or name; with `{band}`, one extension per band. By default, the
    first image that fits."""

    survey: str = "unknown"
    r"""A key of :py:`pipeline.surveys.SURVEYS`, or a name of your own."""

    pixel_scale: float | None = Field(None, gt=0)
    r"""Arcsec per pixel of files without sky coordinates."""

    size: Annotated[int | tuple[int, int], AfterValidator(_large_enough)] = 64
    r"""The grid of the store, in pixels: a side, or `[height, width]`."""

    scale: Annotated[float | str, AfterValidator(_scale)] = "native"
    r"""Arcsec per pixel of the grid: `native`, a number, or `4 x petro_r` for a cutout that is
    four times as wide as that column of the table says."""

    cut_at: Literal["centre", "position"] = "centre"
    r"""Where the galaxy is in its file: in the middle, or at the table's position."""

    table: Table | None = None
    labels: Labels | None = None

    store: Path | None = None
    r"""The folder of the cutouts. By default, `store` in the folder of the experiment."""

    chunk: int = Field(256, gt=0)
    r"""The number of inputs per shard."""

    workers: int = Field(2, gt=0)
    r"""The number of processes that read."""

    @field_validator("band_text")
    @classmethod
    def _are_of_bands(cls, texts: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        bands = info.data.get("bands", texts)
        for name in texts:
            if name not in bands:
                raise ValueError(f"unknown band {name!r}, {suggest(name, bands)}")
        if texts and "{band}" not in info.data.get("pattern", "{band}"):
            raise ValueError(f"expected {{band}} in data.pattern={info.data['pattern']!r}")

        return texts

    @field_validator("table")
    @classmethod
    def _tells_rows_apart(cls, table: Table | None, info: ValidationInfo) -> Table | None:
        frames = "{id}" not in info.data.get("pattern", "{id}")
        if table and table.id is None and not table.match_arcsec and not frames:
            raise ValueError("id=None needs match_arcsec, expected a column")

        return table

    @property
    def shape(self) -> tuple[int, int]:
        r"""The number of rows and columns `(H, W)` of the grid."""

        return (self.size, self.size) if isinstance(self.size, int) else self.size


class Split(Config):
    r"""Which galaxies train, which validate and which test."""

    path: Path | None = None
    r"""A table `id, part` to be taken as it is. By default one is made."""

    validation: float = Field(0.1, gt=0, lt=1)
    test: float = Field(0.2, gt=0, lt=1)

    radius_arcsec: float = Field(0.0, ge=0)
    r"""Galaxies closer than this are kept in one part; 0 for the width of a cutout."""

    @model_validator(mode="after")
    def _leaves_some(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test leave nothing to train with")

        return self


class Stretch(Config):
    r"""See :class:`pipeline.stretch.Stretch`."""

    kind: Literal["asinh", "lupton", "linear", "log"] = "asinh"
    softening: float = Field(3.0, ge=1e-3)
    scale: float = Field(1.0, gt=0)


class Augment(Config):
    r"""See :class:`pipeline.augment.Augment`, whose defaults change nothing."""

    quarter_turns: bool = False
    rotation: float = Field(180.0, ge=0, le=180)
    reflection: float = Field(0.5, ge=0, le=1)
    scale: float = Field(0.1, ge=0)
    shear: float = Field(0.0, ge=0, le=1)
    shift: float = Field(2.0, ge=0)
    flux_jitter: float = Field(0.0, ge=0)
    blur: float = Field(0.0, ge=0, le=20)
    noise: float = Field(0.0, ge=0)
    band_dropout: float = Field(0.0, ge=0, lt=1)


class Batches(Config):
    r"""How galaxies come to the network, see :class:`pipeline.dataset.Batches`."""

    size: int = Field(64, gt=0)
    r"""Galaxies per batch."""

    stretch: Stretch = Stretch()
    augment: Augment | None = Augment()
    r"""Of the training galaxies alone; null for none."""

    balanced: bool = False
    r"""Draw every class equally often."""


class Model(Config):
    r"""The network, see :func:`models.build`."""

    name: str = "cutout_resnet"
    r"""A key of :py:`models.MODELS`, `timm:NAME` or `torchvision:NAME`."""

    args: dict[str, Scalar | list[int]] = {}
    r"""The keyword arguments of that model."""

    pretrained: bool | str = False
    r"""The published weights, a file, a URL, or `hf_hub:name`."""

    forest: bool = False
    r"""A forest on measured morphology answers together with the network, see
    :func:`pipeline.trees.pool`. It takes some ten milliseconds per galaxy."""


class Training(Config):
    r"""See :class:`pipeline.optimization.Training`."""

    epochs: int = Field(30, gt=0)
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    schedule: Literal["cosine", "onecycle", "constant", "step"] = "cosine"
    warmup_epochs: float = Field(default_factory=_rise, ge=0)
    r"""By default 2, or half of fewer than four epochs. `onecycle` has a rise of its own."""

    label_smoothing: float = Field(0.05, ge=0, lt=1)
    patience: int = Field(0, ge=0)
    precision: Annotated[Literal["auto", "32", "bf16", "16"], BeforeValidator(str)] = "auto"
    clip: float = Field(1.0, ge=0)
    class_weights: float = Field(0.0, ge=0, le=1)
    r"""The loss of a class is weighted by its count to the power of minus this."""

    handedness: float = Field(1.0, ge=1)
    devices: int = Field(1, gt=0)
    monitor: Literal["validation_loss", "validation_accuracy", "validation_macro_f1"] = (
        "validation_loss"
    )
    freeze: bool = False
    backbone_lr: float = Field(1.0, ge=0)
    average: float = Field(0.0, ge=0, lt=1)

    @field_validator("warmup_epochs")
    @classmethod
    def _rises(cls, warmup: float, info: ValidationInfo) -> float:
        if warmup and info.data.get("schedule") == "onecycle":
            raise ValueError("schedule='onecycle' has a rise of its own, expected 0")
        if warmup >= info.data.get("epochs", math.inf):
            raise ValueError(f"expected less than epochs={info.data['epochs']}")

        return warmup


class Evaluation(Config):
    r"""What the model is compared with, and how."""

    baselines: tuple[Literal["forest", "svm"], ...] = ("forest", "svm")
    symmetries: bool = True
    r"""Average what the network says over the eight symmetries of the square. A forest is asked
    once, though two of its numbers, the winding and the pitch of the arms, know the hand."""

    resamples: int = Field(1000, gt=0)
    r"""Of the bootstrap."""


class Morphometry(Config):
    r"""How galaxies are measured, see :func:`pipeline.morphometry.measure`."""

    mode: Literal["fast", "parity"] = "fast"
    r"""`parity` for all choices of statmorph."""

    gain: float | None = Field(None, gt=0)
    r"""Photons per unit of the images, for their noise. By default, that of the sky alone."""

    psf: Path | None = None
    r"""A FITS image of a star, with odd sides, for the Sersic fit; with `{band}`, one of each."""

    draws: Annotated[int, AfterValidator(_enough_draws)] = 0
    r"""How many times noise is added to each image, 8 or more, for the errors; 0 for those to
    first order. See :func:`pipeline.morphometry.resampling.resampled`."""

    workers: int | None = Field(None, gt=0)
    r"""The number of processes. By default, that of the cores."""


class Tracking(Config):
    r"""Where runs are recorded, see :class:`pipeline.tracking.Tracker`."""

    uri: str | None = None
    r"""An MLflow tracking URI. By default, an SQLite file in `folder`. A password in it is masked
    in all that is written and told."""

    experiment: str | None = None
    r"""The MLflow experiment. By default, `name`."""

    register_as: Annotated[str | None, AfterValidator(_file_name)] = None
    r"""The name of the registered model. By default, `name`."""

    system_metrics: bool = True
    r"""Record the use of processor, memory and GPU."""


class Experiment(Config):
    r"""All that a run is made of."""

    name: Annotated[str, AfterValidator(_file_name)]
    folder: Path = Path("runs")
    r"""Where everything goes, in a folder called `name`."""

    seed: int = Field(0, ge=0)
    r"""Seeds the split, the weights, the batches and the baselines."""

    simulate: Simulate | None = None
    r"""Draw the survey first, in `data.root`."""

    data: Data
    split: Split = Split()
    batches: Batches = Batches()
    model: Model = Model()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    morphometry: Morphometry = Morphometry()
    tracking: Tracking = Tracking()

    @field_validator("training")
    @classmethod
    def _fits(cls, training: Training, info: ValidationInfo) -> Training:
        data, batches = info.data.get("data"), info.data.get("batches")
        if training.handedness > 1 and data and not (data.labels and data.labels.mirror):
            raise ValueError(
                f"handedness={training.handedness} needs a hand: expected 1, or pairs in"
                " data.labels.mirror"
            )
        if training.class_weights and batches and batches.balanced:
            raise ValueError(
                f"class_weights={training.class_weights} and batches.balanced=True both weigh the"
                " classes, expected one of them"
            )

        return training

    @property
    def home(self) -> Path:
        r"""The folder of this experiment's store, split, model, report and catalogue."""

        return self.folder / self.name

r"""The sections of an experiment and their defaults.

Every field is documented under itself, or in the class that its section names, and
`tuningfork show` prints a file with all of them.
"""

__all__ = ["Experiment"]

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from pipeline.config.base import Config
from pipeline.config.data import Data, Simulate, Split

Scalar = bool | int | float | str


def _file_name(name: str | None) -> str | None:
    if name is not None and not re.fullmatch(r"\w[\w .+-]*", name):
        raise ValueError("expected letters, digits, and ' ', '.', '+' or '-' but at the beginning")

    return name


def _enough_draws(draws: int) -> int:
    if draws and draws < 8:
        raise ValueError("expected 0, or 8 or more")

    return draws


def _rise(given: dict[str, Any]) -> float:
    if given.get("schedule") == "onecycle":
        return 0.0

    return min(2.0, given.get("epochs", 4) / 2)


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

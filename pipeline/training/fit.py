r"""A network, trained with Lightning so that it can be interrupted."""

__all__ = ["Fitted", "fit"]

import io
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import safetensors.torch
import torch
from lightning.pytorch.callbacks import Callback, RichProgressBar, WeightAveraging
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

from models import freeze
from pipeline.dataset import Batches
from pipeline.errors import DataError
from pipeline.files import locked, replacing
from pipeline.optimization import PRECISIONS, Training, moving_average
from pipeline.training.keeper import Keeper, OnEpoch, heard
from pipeline.training.learner import Learner, Shares

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    r"""What came of training.

    Arguments:
        history: One row per epoch: `epoch` (from 1 on), `train_loss` (as minimized),
            `validation_loss` (the log loss), `validation_accuracy`, `validation_macro_f1`, `lr`
            (of the head, at its end) and `seconds`.
        best_epoch: The epoch whose weights were kept, from 1 on.
        seconds: The time of all epochs together.
    """

    history: list[dict[str, float]]
    best_epoch: int
    seconds: float

    @property
    def best(self) -> dict[str, float]:
        r"""The row of the epoch whose weights were kept."""

        return self.history[self.best_epoch - 1]


def fit(
    model: nn.Module,
    train: Batches,
    validation: Batches,
    folder: Path,
    *,
    settings: Training,
    on_epoch: OnEpoch | None = None,
    resume: bool = True,
    ids: Sequence[str] | None = None,
) -> Fitted:
    r"""Trains a network where it is, on its device, and leaves it with its best weights.

    After each epoch `folder` holds all that is needed to go on: a run that was interrupted
    ends with the weights of one that was not, to the last bit. What is random depends on the
    seeds and the epoch only. The files are `last.ckpt`, the state after the last complete
    epoch, and `best.safetensors`, the weights of the best one.

    Arguments:
        model: The network, from `(B, C, H, W)` to `(B, K)`.
        train: The batches to learn from.
        validation: The batches that tell which epoch is best.
        folder: Where the state goes.
        settings: How to learn.
        on_epoch: Called with the epoch and its row of the history, in this process. An epoch
            during which the run was interrupted may be told twice.
        resume: Whether to go on from the state in `folder`. Otherwise it is removed.
        ids: The name of each row of the store, for messages.

    Returns:
        The history, and which epoch was best.

    Raises:
        DataError: If there is nothing to learn from, or if the loss is not finite; the message
            names the galaxies.
        ConfigError: If the state in `folder` is that of other settings.
    """

    for name, batches in {"train": train, "validation": validation}.items():
        if len(batches) == 0:
            raise DataError(f"no galaxies to {name} with, expected one or more")

    if settings.freeze:
        freeze(model)
    plan = asdict(settings) | {
        "train_batches": len(train),
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    keeper = Keeper(folder, plan, settings)
    learner = Learner(model, settings, len(train), train.mirror, ids, keeper.say)

    with locked(folder):
        if not resume:
            keeper.last.unlink(missing_ok=True)
        if not keeper.finished(keeper.read()):
            with heard(keeper, on_epoch):
                _run(learner, keeper, train, validation)
        history = keeper.read()
        model.load_state_dict(safetensors.torch.load_file(folder / "best.safetensors"))

    return Fitted(history, keeper.best(history) + 1, sum(row["seconds"] for row in history))


class _AtomicIO(TorchCheckpointIO):
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        with replacing(Path(path), sync=True) as file:
            file.write(buffer.getbuffer())


def _run(learner: Learner, keeper: Keeper, train: Batches, validation: Batches) -> None:
    place = next(learner.net.parameters()).device
    learner.net.train()

    gpus = [place] if place.type == "cuda" else []
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings(), torch.random.fork_rng(gpus):
        warnings.filterwarnings("ignore", ".*eval mode at the start of training.*")
        warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
        trainer = _trainer(keeper.settings, keeper, place)
        trainer.fit(
            learner,
            Shares(train, learner, training=True),
            Shares(validation, learner, training=False),
            ckpt_path=keeper.last if keeper.last.exists() else None,
            weights_only=True,
        )
    learner.net.to(place)


def _trainer(settings: Training, keeper: Keeper, place: torch.device) -> L.Trainer:
    others: list[Callback] = []
    if settings.average:
        others.append(WeightAveraging(avg_fn=partial(moving_average, decay=settings.average)))
    shown = sys.stderr.isatty()
    if shown:
        others.append(RichProgressBar(leave=False, console_kwargs={"stderr": True}))
    on_gpu = place.type == "cuda"
    there = torch.cuda.device_count() if on_gpu else os.cpu_count() or 1
    devices = min(settings.devices, there)
    if devices < settings.devices:
        _log.warning("training.devices=%d, of which there are %d", settings.devices, there)
    precision = PRECISIONS[settings.precision]
    if not precision:
        precision = "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"

    return L.Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=[place.index or 0] if on_gpu and devices == 1 else devices,
        strategy="auto" if devices == 1 else "ddp_spawn",
        precision=precision,  # type: ignore[arg-type]
        max_epochs=settings.epochs,
        gradient_clip_val=settings.clip or None,
        callbacks=[keeper, *others],
        plugins=[_AtomicIO()],
        default_root_dir=keeper.folder,
        deterministic="warn" if on_gpu else None,
        logger=False,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=shown,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )

r"""Training and prediction. This is the only module that knows Lightning."""

__all__ = ["Fitted", "fit"]

import io
import logging
import multiprocessing
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning.pytorch as L
import numpy as np
import safetensors.torch
import torch
from lightning.pytorch.callbacks import Callback, RichProgressBar, WeightAveraging
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from models import freeze
from pipeline.dataset import Batch, Batches
from pipeline.errors import ConfigError, DataError
from pipeline.files import locked, replacing
from pipeline.metrics import measure
from pipeline.optimization import MONITORS, PRECISIONS, Training, moving_average, optimizer
from pipeline.prediction import channels_last
from pipeline.targets import ClassTarget

OnEpoch = Callable[[int, dict[str, float]], None]

DAMAGE = (OSError, RuntimeError, UnpicklingError, EOFError, KeyError)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    r"""What came of training.

    Arguments:
        history: One row per epoch: `epoch`, `train_loss` (as minimized), `validation_loss` (the
            log loss), `validation_accuracy`, `validation_macro_f1`, `lr` (of the head, at its
            end) and `seconds`.
        best_epoch: The epoch whose weights were kept, from 0 on.
        seconds: The time of all epochs together.
    """

    history: list[dict[str, float]]
    best_epoch: int
    seconds: float


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
    learner = _Learner(model, settings, len(train), train.mirror, ids)
    keeper = _Keeper(folder, plan, settings)

    with locked(folder):
        if not resume:
            keeper.last.unlink(missing_ok=True)
        if not keeper.finished(keeper.read()):
            with _heard(keeper, on_epoch):
                _run(learner, keeper, train, validation)
        history = keeper.read()
        model.load_state_dict(safetensors.torch.load_file(folder / "best.safetensors"))

    return Fitted(history, keeper.best(history), sum(row["seconds"] for row in history))


class _Learner(L.LightningModule):
    r"""The network, its loss and its optimizer, in the words of Lightning."""

    def __init__(
        self,
        net: nn.Module,
        settings: Training,
        steps_per_epoch: int,
        mirror: Sequence[int] | None,
        ids: Sequence[str] | None,
    ) -> None:
        super().__init__()

        self.net = net
        self.settings = settings
        self.steps_per_epoch = steps_per_epoch
        self.ids = ids
        self.target = ClassTarget(
            settings.label_smoothing, settings.class_weights, mirror, settings.handedness
        )
        self.unchecked: tuple[Tensor, Batch] | None = None
        self.losses: list[Tensor] = []
        self.answers: list[tuple[Tensor, Tensor]] = []
        self.row: dict[str, float] = {}

    def setup(self, stage: str) -> None:
        # In each process, where there are several
        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)

    def configure_optimizers(self) -> Any:
        made, rate = optimizer(self.net, self.settings, self.steps_per_epoch)

        return {"optimizer": made, "lr_scheduler": {"scheduler": rate, "interval": "step"}}

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        return Batch(batch.images.to(device), batch.labels.to(device), batch.rows)

    def on_train_epoch_start(self) -> None:
        self.losses = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.target(self.net(channels_last(batch.images)), batch.labels)
        self.check()
        self.unchecked = loss.detach(), batch
        self.losses.append(loss.detach())

        return loss

    def on_validation_epoch_start(self) -> None:
        self.check()
        self.answers = []

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        scores = self.net(channels_last(batch.images)).float()
        self.answers.append((scores, batch.labels))
        if not torch.isfinite(scores).all():
            self.stop(batch, "a score of validation")

    def check(self) -> None:
        r"""Stops if the loss of the step before is not finite.

        One step late, so that a GPU need not be waited for.
        """

        if self.unchecked is not None and not torch.isfinite(self.unchecked[0]):
            self.stop(self.unchecked[1], "the loss")
        self.unchecked = None

    def stop(self, batch: Batch, what: str) -> None:
        finite = batch.images.isfinite().flatten(1).all(dim=1).cpu()
        bad = batch.rows[~finite].tolist()
        rows = bad or batch.rows.tolist()
        names = ", ".join(f"row {r}" if self.ids is None else str(self.ids[r]) for r in rows)
        why = "with pixels that are not finite" if bad else "; lower `lr` or set `clip`"
        error = DataError(
            f"{what} is not finite in epoch {self.current_epoch}, batch of the galaxies {names}"
            f"{' ' if bad else ''}{why}"
        )
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined]
        keeper = next(one for one in callbacks if isinstance(one, _Keeper))
        keeper.say(self.global_rank, error)
        raise error

    def summary(self) -> dict[str, float]:
        r"""Returns the numbers of the epoch."""

        train_loss = torch.stack(self.losses).mean()
        if self.trainer.world_size > 1:
            train_loss = torch.as_tensor(self.all_gather(train_loss)).mean()
        scores, labels = (torch.cat(x).cpu() for x in zip(*self.answers, strict=True))
        found = measure(scores.double().softmax(dim=1).numpy(), labels.numpy())

        return {
            "epoch": self.current_epoch,
            "train_loss": float(train_loss),
            "validation_loss": float(found["log_loss"][0]),
            "validation_accuracy": float(found["accuracy"][0]),
            "validation_macro_f1": float(found["macro_f1"][0]),
            "lr": float(self.trainer.optimizers[0].param_groups[-1]["lr"]),
        }

    def on_validation_epoch_end(self) -> None:
        self.row = self.summary()
        if self.trainer.progress_bar_callback is not None:
            shown = {name: self.row[name] for name in ("train_loss", *MONITORS)}
            self.log_dict(shown, prog_bar=True, rank_zero_only=True)


class _Keeper(Callback):
    r"""Keeps the history, the best weights and the state, and stops when it is time."""

    state_key = "keeper"

    def __init__(
        self,
        folder: Path,
        plan: dict[str, Any],
        settings: Training,
    ) -> None:
        self.folder = folder
        self.last = folder / "last.ckpt"
        self.plan = plan
        self.settings = settings
        self.on_epoch: OnEpoch | None = None
        self.lines: list[Connection] = []
        self.history: list[dict[str, float]] = []
        self.validated: dict[str, Tensor] = {}
        self.start = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history, "plan": self.plan}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history = list(state_dict["history"])

    def read(self) -> list[dict[str, float]]:
        r"""Returns the history so far, after checking that it is of the same plan."""

        if not self.last.exists():
            return []
        try:
            whole = torch.load(self.last, map_location="cpu", weights_only=True)
            state = whole["callbacks"][self.state_key]
        except DAMAGE as error:
            raise DataError(f"{self.last} is no state of training, remove it: {error}") from error

        for name, value in self.plan.items():
            if state["plan"].get(name) != value:
                raise ConfigError(
                    f"{self.last} was trained with {name}={state['plan'].get(name)!r}, found"
                    f" {value!r}; expected the same settings, another folder, or resume=False"
                )

        return list(state["history"])

    def best(self, history: list[dict[str, float]]) -> int:
        sign = MONITORS[self.settings.monitor]
        values = [sign * row[self.settings.monitor] for row in history]

        return values.index(max(values))

    def finished(self, history: list[dict[str, float]]) -> bool:
        if not history:
            return False
        waited = len(history) - 1 - self.best(history)

        return len(history) >= self.settings.epochs or 0 < self.settings.patience <= waited

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.start = time.perf_counter()
        seed = np.random.SeedSequence([self.settings.seed, trainer.current_epoch])
        torch.manual_seed(int(seed.generate_state(1)[0]) + trainer.global_rank)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Where weights are averaged, this is the last moment that the network has the average
        assert isinstance(pl_module, _Learner)
        self.validated = {
            key: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for key, value in pl_module.net.state_dict().items()
        }

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, _Learner)
        row = pl_module.row | {"seconds": time.perf_counter() - self.start}
        self.history.append(row)
        numbers = ", ".join(f"{k} {v:.4g}" for k, v in row.items() if k != "epoch")
        logger.info("epoch %d: %s", row["epoch"], numbers)
        if trainer.is_global_zero:
            if self.best(self.history) == len(self.history) - 1:
                with replacing(self.folder / "best.safetensors", sync=True) as file:
                    file.write(safetensors.torch.save(self.validated))
            if self.on_epoch is not None:
                self.on_epoch(int(row["epoch"]), row)
            self.say(0, row)
        trainer.save_checkpoint(self.last)
        trainer.should_stop = self.finished(self.history)

    def say(self, rank: int, what: object) -> None:
        r"""Lets the process that waits for several others know."""

        if self.lines:
            self.lines[rank].send(what)


class _AtomicIO(TorchCheckpointIO):
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        with replacing(Path(path), sync=True) as file:
            file.write(buffer.getbuffer())


class _Shares:
    r"""One process's share of each batch, of the epoch that is running.

    Lightning asks for an iterator before it knows the epoch, hence the generator.
    """

    def __init__(self, batches: Batches, learner: _Learner, training: bool) -> None:
        self.batches = batches
        self.learner = learner
        self.training = training

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        rank, world = self.learner.global_rank, self.learner.trainer.world_size
        if self.training:
            self.batches.set_epoch(self.learner.current_epoch)
        for batch in self.batches:
            if self.training and world > 1:
                # A last batch that is too small for all is shared in turn
                mine = torch.arange(rank, max(len(batch.rows), world), world) % len(batch.rows)
                batch = Batch(*(x[mine.to(x.device)] for x in batch))
            yield batch


@contextmanager
def _heard(keeper: _Keeper, on_epoch: OnEpoch | None) -> Iterator[None]:
    r"""Tells in this process of each epoch, and of an error, wherever the training runs."""

    if keeper.settings.devices == 1:
        keeper.on_epoch = on_epoch
        yield
        return

    # A line for each process, as one that dies in the middle of a word would garble the others'
    pipes = [
        multiprocessing.get_context("spawn").Pipe(duplex=False)
        for _ in range(keeper.settings.devices)
    ]
    keeper.lines = [line for _, line in pipes]
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(_listen, [end for end, _ in pipes], on_epoch)
        try:
            yield
        finally:
            for line in keeper.lines:
                line.close()
            told.result()


def _listen(ends: list[Connection], on_epoch: OnEpoch | None) -> None:
    try:
        for said in _said(ends):
            if isinstance(said, DataError):
                raise said
            if on_epoch is not None:
                on_epoch(int(said["epoch"]), said)
    finally:
        for end in ends:
            end.close()


def _said(ends: list[Connection]) -> Iterator[Any]:
    r"""Yields what comes from many processes, until all have hung up."""

    speaking: list[Any] = list(ends)
    while speaking:
        ready: list[Any] = wait(speaking)
        for end in ready:
            try:
                said = end.recv()
            except (EOFError, OSError):
                speaking.remove(end)
                continue
            yield said


def _run(learner: _Learner, keeper: _Keeper, train: Batches, validation: Batches) -> None:
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
            _Shares(train, learner, training=True),
            _Shares(validation, learner, training=False),
            ckpt_path=keeper.last if keeper.last.exists() else None,
            weights_only=True,
        )
    learner.net.to(place)


def _trainer(settings: Training, keeper: _Keeper, place: torch.device) -> L.Trainer:
    others: list[Callback] = []
    if settings.average:
        others.append(WeightAveraging(avg_fn=partial(moving_average, decay=settings.average)))
    shown = sys.stderr.isatty()
    if shown:
        others.append(RichProgressBar(leave=False, console_kwargs={"stderr": True}))
    on_gpu = place.type == "cuda"
    devices = min(settings.devices, torch.cuda.device_count()) if on_gpu else settings.devices
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

r"""What is learnt, step by step, in the words of Lightning."""

__all__ = ["Learner", "Shares"]

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor, nn

from pipeline.dataset import Batch, Batches
from pipeline.errors import DataError
from pipeline.metrics import measure
from pipeline.optimization import MONITORS, Training, optimizer
from pipeline.prediction import channels_last
from pipeline.targets import ClassTarget


class Learner(L.LightningModule):
    r"""The network, its loss and its optimizer, in the words of Lightning."""

    def __init__(
        self,
        net: nn.Module,
        settings: Training,
        steps_per_epoch: int,
        mirror: Sequence[int] | None,
        ids: Sequence[str] | None,
        say: Callable[[int, object], None],
    ) -> None:
        super().__init__()

        self.net = net
        self.settings = settings
        self.steps_per_epoch = steps_per_epoch
        self.ids = ids
        self.say = say
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
            f"{what} is not finite in epoch {self.current_epoch + 1}, batch of the galaxies"
            f" {names}{' ' if bad else ''}{why}"
        )
        self.say(self.global_rank, error)
        raise error

    def summary(self) -> dict[str, float]:
        r"""Returns the numbers of the epoch."""

        train_loss = torch.stack(self.losses).mean()
        if self.trainer.world_size > 1:
            train_loss = torch.as_tensor(self.all_gather(train_loss)).mean()
        scores, labels = (torch.cat(x).cpu() for x in zip(*self.answers, strict=True))
        found = measure(scores.double().softmax(dim=1).numpy(), labels.numpy())

        return {
            "epoch": self.current_epoch + 1,
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


class Shares:
    r"""One process's share of each batch, of the epoch that is running.

    Lightning asks for an iterator before it knows the epoch, hence the generator.
    """

    def __init__(self, batches: Batches, learner: Learner, training: bool) -> None:
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

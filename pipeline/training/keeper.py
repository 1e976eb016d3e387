r"""What is kept of a training, and who is told of it."""

__all__ = ["Keeper", "OnEpoch", "heard"]

import logging
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning.pytorch as L
import numpy as np
import safetensors.torch
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from pipeline.errors import ConfigError, DataError
from pipeline.files import replacing
from pipeline.optimization import MONITORS, Training
from pipeline.training.learner import Learner

OnEpoch = Callable[[int, dict[str, float]], None]

DAMAGE = (OSError, RuntimeError, UnpicklingError, EOFError, KeyError)
logger = logging.getLogger(__name__)


class Keeper(Callback):
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
        assert isinstance(pl_module, Learner)
        self.validated = {
            key: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for key, value in pl_module.net.state_dict().items()
        }

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, Learner)
        row = pl_module.row | {"seconds": time.perf_counter() - self.start}
        self.history.append(row)
        if trainer.is_global_zero:
            if self.best(self.history) == len(self.history) - 1:
                with replacing(self.folder / "best.safetensors", sync=True) as file:
                    file.write(safetensors.torch.save(self.validated))
            self.say(0, row)
        trainer.save_checkpoint(self.last)
        trainer.should_stop = self.finished(self.history)

    def say(self, rank: int, what: Any) -> None:
        r"""Lets the process that waits for the training know of an epoch, or of an error."""

        if self.lines:
            self.lines[rank].send(what)
        else:
            _hear(what, self.on_epoch)


@contextmanager
def heard(keeper: Keeper, on_epoch: OnEpoch | None) -> Iterator[None]:
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
    before = {*multiprocessing.active_children()}
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(_listen, [end for end, _ in pipes], on_epoch)
        try:
            yield
        except BaseException:
            # Lightning leaves its processes to themselves, which would train on
            for process in {*multiprocessing.active_children()} - before:
                process.kill()
                process.join()
            raise
        finally:
            for line in keeper.lines:
                line.close()
            told.result()


def _listen(ends: list[Connection], on_epoch: OnEpoch | None) -> None:
    try:
        for said in _said(ends):
            _hear(said, on_epoch)
    finally:
        for end in ends:
            end.close()


def _hear(said: Any, on_epoch: OnEpoch | None) -> None:
    if isinstance(said, DataError):
        raise said
    numbers = ", ".join(f"{k} {v:.4g}" for k, v in said.items() if k != "epoch")
    logger.info("epoch %d: %s", said["epoch"], numbers)
    if on_epoch is not None:
        on_epoch(int(said["epoch"]), said)


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

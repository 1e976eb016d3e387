r"""How a network learns: its settings, its optimizer and the course of its learning rate."""

__all__ = ["MONITORS", "PRECISIONS", "Training", "moving_average", "optimizer", "schedule"]

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from models import head_names
from models.freezing import in_head
from pipeline.errors import ConfigError, suggest

OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("cosine", "onecycle", "constant", "step")
PRECISIONS = {"auto": "", "32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
MONITORS = {"validation_loss": -1, "validation_accuracy": 1, "validation_macro_f1": 1}


@dataclass(frozen=True)
class Training:
    r"""How a network learns.

    Arguments:
        epochs: The number of passes over the training galaxies.
        optimizer: One of `adamw`, `adam` and `sgd` (with a momentum of 0.9).
        lr: The highest learning rate.
        weight_decay: Of all weights but biases and normalizations.
        schedule: The course of the learning rate, see :func:`schedule`.
        warmup_epochs: The epochs in which it rises.
        label_smoothing: The share of each label that all classes divide.
        patience: The epochs without a better one before training stops; 0 for never.
        precision: `32`, `bf16` or `16` bits where that loses nothing. By default, `bf16` on
            a GPU that has it, else `32`.
        clip: The largest norm of the gradient; 0 for any.
        class_weights: The weight of each class in the loss. One each by default.
        handedness: The weight in the loss of the hand of a galaxy that has one, see
            :class:`pipeline.targets.ClassTarget`.
        seed: Seeds what is random in the network, such as dropout.
        devices: The number of devices that share each batch: GPUs where there are any, else
            processes on the CPU. With a small network, two processes make more of two cores
            than two threads do.
        monitor: The number that makes an epoch the best: `validation_loss`,
            `validation_accuracy` or `validation_macro_f1`.
        freeze: Whether all layers but the head keep their weights.
        backbone_lr: The learning rate of all layers but the head, relative to `lr`.
        average: The decay of the moving average of the weights, see
            :func:`moving_average`, which is what is validated and kept; 0 for the weights
            themselves.
    """

    epochs: int = 30
    optimizer: str = "adamw"
    lr: float = 2e-3
    weight_decay: float = 0.05
    schedule: str = "cosine"
    warmup_epochs: float = 2.0
    label_smoothing: float = 0.05
    patience: int = 0
    precision: str = "auto"
    clip: float = 1.0
    class_weights: tuple[float, ...] | None = None
    handedness: float = 1.0
    seed: int = 0
    devices: int = 1
    monitor: str = "validation_loss"
    freeze: bool = False
    backbone_lr: float = 1.0
    average: float = 0.0

    def __post_init__(self) -> None:
        for name, known in {
            "optimizer": OPTIMIZERS,
            "schedule": SCHEDULES,
            "precision": PRECISIONS,
            "monitor": MONITORS,
        }.items():
            if getattr(self, name) not in known:
                value = getattr(self, name)
                raise ConfigError(f"{name}={value!r}, {suggest(str(value), known)}")
        for name, least in {"epochs": 1, "devices": 1, "patience": 0, "clip": 0.0}.items():
            if getattr(self, name) < least:
                raise ConfigError(f"{name}={getattr(self, name)}, expected {least} or more")
        if self.handedness < 1:
            raise ConfigError(f"handedness={self.handedness}, expected 1 or more")
        if not 0 <= self.average < 1:
            raise ConfigError(f"average={self.average}, expected 0 or more and less than 1")


def schedule(kind: str, step: int, steps: int, warmup: float) -> float:
    r"""Returns the learning rate of one optimizer step, relative to the highest.

    All but `onecycle` rise linearly in the first `warmup` steps. Then `constant` stays,
    `cosine` falls to zero as half a period, and `step` falls to a tenth after a half and to a
    hundredth after three quarters of all steps. `onecycle` rises from 1/25 for three tenths of
    the steps and falls to nearly nothing, each as half a cosine.

    References:
        | SGDR: Stochastic Gradient Descent with Warm Restarts (Loshchilov & Hutter, 2016)
        | https://arxiv.org/abs/1608.03983
        | Super-Convergence (Smith & Topin, 2017)
        | https://arxiv.org/abs/1708.07120

    Arguments:
        kind: One of `cosine`, `onecycle`, `constant` and `step`.
        step: The number of steps already made.
        steps: The number of steps in all.
        warmup: The number of steps, not always whole, in which the rate rises.

    Example:
        >>> [round(schedule("cosine", step, 6, 2), 2) for step in range(6)]
        [0.5, 1.0, 1.0, 0.85, 0.5, 0.15]
    """

    if kind == "onecycle":
        peak = 0.3 * steps
        if step < peak:
            return _half_cosine(1 / 25, 1.0, step / peak)
        return _half_cosine(1.0, 1e-5, (step - peak) / (steps - peak))

    rise = min(1.0, (step + 1) / warmup) if warmup > 0 else 1.0
    if kind == "cosine" and step >= warmup:
        return _half_cosine(1.0, 0.0, (step - warmup) / max(steps - warmup, 1))
    if kind == "step":
        return rise * 0.1 ** ((step >= steps / 2) + (step >= 3 * steps / 4))

    return rise


def moving_average(before: Tensor, now: Tensor, step: int, decay: float) -> Tensor:
    r"""Returns the moving average of a weight after one more optimizer step.

    .. math:: \bar w_t = d_t \, \bar w_{t-1} + (1 - d_t) \, w_t
        \quad \text{with} \quad d_t = \min\left(d, \frac{1 + t}{10 + t}\right)

    It forgets the first steps soon, and averages over about :math:`1 / (1 - d)` later ones:
    what the noise of the batches adds to the weights is averaged away.

    References:
        | Acceleration of Stochastic Approximation by Averaging (Polyak & Juditsky, 1992)
        | https://doi.org/10.1137/0330046

    Arguments:
        before: The average :math:`\bar w_{t-1}`, with shape `(*)`.
        now: The weight :math:`w_t`, with shape `(*)`.
        step: The number of steps :math:`t` averaged before this one.
        decay: The decay :math:`d`.

    Returns:
        The average :math:`\bar w_t`, with shape `(*)`.
    """

    kept = min(decay, (1 + step) / (10 + step))

    return kept * before + (1 - kept) * now


def optimizer(
    net: nn.Module, settings: Training, steps_per_epoch: int
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    r"""Creates the optimizer of a network, and the schedule that follows each of its steps.

    The layers below the head and the head are groups of their own, and so are the biases and
    normalizations of each, which do not decay.
    """

    s, groups = settings, _groups(net, settings)
    made: torch.optim.Optimizer
    if s.optimizer == "sgd":
        made = torch.optim.SGD(groups, lr=s.lr, momentum=0.9, nesterov=True)
    else:
        made = (torch.optim.AdamW if s.optimizer == "adamw" else torch.optim.Adam)(groups, lr=s.lr)

    steps, warmup = s.epochs * steps_per_epoch, s.warmup_epochs * steps_per_epoch

    return made, LambdaLR(made, lambda step: schedule(s.schedule, step, steps, warmup))


def _groups(net: nn.Module, settings: Training) -> list[dict[str, Any]]:
    heads = head_names(net)
    groups = []
    for of_head in (False, True):
        for decays in (True, False):
            chosen = [
                p
                for name, p in net.named_parameters()
                if p.requires_grad and in_head(name, heads) == of_head and (p.ndim > 1) == decays
            ]
            groups.append(
                {
                    "params": chosen,
                    "lr": settings.lr * (1.0 if of_head else settings.backbone_lr),
                    "weight_decay": settings.weight_decay if decays else 0.0,
                    "name": f"{'head' if of_head else 'backbone'}{'' if decays else ', no decay'}",
                }
            )

    return [group for group in groups if group["params"]]


def _half_cosine(start: float, stop: float, share: float) -> float:
    return stop + (start - stop) * (1 + math.cos(math.pi * min(share, 1.0))) / 2

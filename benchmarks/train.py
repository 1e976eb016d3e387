r"""Training and predicting on the CPU, against a bare torch loop: `python -m benchmarks.train`.

Both sides read the same images, already stretched, and do the same work: the same network,
optimizer, schedule and clipping, a validation per epoch, then a prediction of all galaxies.
"""

__all__ = ["main"]

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.harness import Case, compare, options, report
from models import build
from pipeline.dataset import Batches
from pipeline.optimization import Training, optimizer
from pipeline.prediction import channels_last, predict
from pipeline.stretch import Stretch
from pipeline.training import fit

SIDE, BATCH, CLASSES = 64, 64, 6


class Memory:
    r"""Galaxies of noise, with shape `(N, 3, H, H)`."""

    def __init__(self, count: int, side: int = SIDE) -> None:
        random = np.random.default_rng(0)
        self.pixels = random.normal(size=(count, 3, side, side)).astype(np.float16)
        self.labels = random.integers(0, CLASSES, count)

    def gather(self, rows: NDArray) -> NDArray:
        return self.pixels[rows]


def network(name: str, **args: Any) -> nn.Module:
    torch.manual_seed(0)

    return build(name, bands=3, classes=CLASSES, **args)


def bare(name: str, x: Tensor, y: Tensor, split: int, settings: Training) -> Tensor:
    model = network(name)
    steps = -(-split // BATCH)
    made, rate = optimizer(model, settings, steps)
    for _ in range(settings.epochs):
        model.train()
        for part in torch.randperm(split).split(BATCH):
            loss = nn.functional.cross_entropy(
                model(x[part]), y[part], label_smoothing=settings.label_smoothing
            )
            made.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            made.step()
            rate.step()
        scores(model, x[split:])

    return scores(model, x)


@torch.inference_mode()
def scores(model: nn.Module, x: Tensor) -> Tensor:
    model.eval()

    return torch.cat([model(part) for part in x.split(BATCH)])


def ours(name: str, memory: Memory, split: int, settings: Training) -> NDArray:
    model = network(name)
    rows = np.arange(len(memory.labels))
    stretch = Stretch(kind="linear")
    train = Batches(
        memory, rows[:split], memory.labels[:split], BATCH, stretch=stretch, shuffle=True
    )
    validation = Batches(memory, rows[split:], memory.labels[split:], BATCH, stretch=stretch)
    with tempfile.TemporaryDirectory() as folder:
        fit(model, train, validation, Path(folder), settings=settings)

    return predict(model, Batches(memory, rows, memory.labels, BATCH, stretch=stretch))


def case(name: str, count: int, epochs: int, rounds: int, tuned: bool = False) -> Case:
    memory = Memory(count)
    split = count * 9 // 10
    settings = Training(epochs=epochs, warmup_epochs=1.0)
    stretched = Stretch(kind="linear")(torch.from_numpy(memory.pixels))
    labels = torch.from_numpy(memory.labels)
    if tuned:
        stretched = channels_last(stretched)

    return compare(
        f"{name}, {epochs} epochs of {split} galaxies of 3 x {SIDE} x {SIDE}"
        f"{', both with bands side by side in memory' if tuned else ''}",
        lambda: ours(name, memory, split, settings),
        lambda: bare(name, stretched, labels, split, settings),
        items=epochs * count + count,
        rounds=rounds,
    )


def main() -> None:
    args = options("Training and predicting, against a bare torch loop")
    count, epochs, rounds = (640, 2, 2) if args.quick else (2560, 4, 5)
    names = ["cutout_resnet"] if args.quick else ["cutout_resnet", "lenet"]

    cases = [case(name, count, epochs, rounds) for name in names]
    cases.append(case("cutout_resnet", count, epochs, rounds, tuned=True))

    report(cases, args.json)


if __name__ == "__main__":
    main()

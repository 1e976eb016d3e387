r"""Training and predicting on the CPU, against a bare torch loop: `python -m benchmarks.train`.

Both sides read the same images, already stretched, and do the same work: the same network,
optimizer, schedule and clipping, a validation per epoch, then a prediction of all galaxies.
"""

import fcntl
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.harness import Case, compare, options, report
from models import build
from pipeline.augment import Augment
from pipeline.dataset import Batches
from pipeline.optimization import Training, optimizer
from pipeline.prediction import channels_last
from pipeline.stretch import Stretch
from pipeline.training import fit, predict

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


def recipe(output: Path) -> None:
    r"""Trains a small network to the end, for `benchmarks.kills`.

    However often it is killed and begun again, `output` ends with the same bytes.
    """

    output.mkdir(parents=True, exist_ok=True)
    with output.with_name(f"{output.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (output / "history.json").exists():
            memory, settings = Memory(256, side=32), Training(epochs=12, lr=5e-3)
            rows = np.arange(256)
            view = Augment(rotation=180.0, reflection=0.5)
            model, history = network("cutout_resnet", width=8, dropout=0.2), output / "history"
            fitted = fit(
                model,
                Batches(memory, rows[:192], memory.labels[:192], 16, augment=view, shuffle=True),
                Batches(memory, rows[192:], memory.labels[192:], 64),
                output / "state",
                settings=settings,
            )
            save_file(model.state_dict(), output / "weights.safetensors")
            lines = [row | {"seconds": 0} for row in fitted.history]
            history.write_text(json.dumps(lines))
            history.rename(output / "history.json")
        shutil.rmtree(output / "state", ignore_errors=True)


def main() -> None:
    if sys.argv[1:2] == ["--recipe"]:
        recipe(Path(sys.argv[2]))
        return

    args = options("Training and predicting, against a bare torch loop")
    count, epochs, rounds = (640, 2, 2) if args.quick else (2560, 4, 5)
    names = ["cutout_resnet"] if args.quick else ["cutout_resnet", "lenet"]

    cases = [case(name, count, epochs, rounds) for name in names]
    cases.append(case("cutout_resnet", count, epochs, rounds, tuned=True))

    report(cases, args.json)


if __name__ == "__main__":
    main()

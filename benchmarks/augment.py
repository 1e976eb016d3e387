r"""Augmented batches on the CPU, against a chain of torchvision transforms per image."""

__all__ = ["main"]

from collections import deque
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode, v2

from benchmarks.harness import Case, compare, options, report
from pipeline.augment import Augment
from pipeline.dataset import Batches

BATCH_SIZE = 64
SIDES = (64, 128)


class Images(Dataset):
    r"""Images in memory, already stretched, each transformed when it is asked for."""

    def __init__(self, images: Tensor, transform: Callable[[Tensor], Tensor]) -> None:
        self.images = images
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(self.images[index])


class InMemory:
    r"""Fluxes in memory."""

    def __init__(self, fluxes: NDArray[np.float16]) -> None:
        self.fluxes = fluxes

    def gather(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        return self.fluxes[rows]


def case(num: int, side: int) -> Case:
    r"""Compares one epoch of either side over the same galaxies of three bands."""

    images = torch.randn(num, 3, side, side)
    ours = Batches(
        InMemory(images.half().numpy()),
        np.arange(num),
        np.zeros(num, np.int64),
        BATCH_SIZE,
        augment=Augment(rotation=180, reflection=0.5, scale=0.1, shear=0.1, shift=0.05 * side),
        shuffle=True,
    )
    chain = v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(
                degrees=180,
                translate=(0.05, 0.05),
                scale=(1 / 1.1, 1.1),
                shear=5.7,
                interpolation=InterpolationMode.BILINEAR,
            ),
        ]
    )
    theirs = DataLoader(
        Images(images, chain), BATCH_SIZE, shuffle=True, num_workers=2, persistent_workers=True
    )

    return compare(
        f"augmented batches on the CPU, 3 x {side} x {side}",
        lambda: deque(ours, maxlen=0),
        lambda: deque(theirs, maxlen=0),
        items=num,
    )


def main() -> None:
    chosen = options(__doc__ or "")
    num = 1024 if chosen.quick else 4096
    report([case(num * 64**2 // side**2, side) for side in SIDES], chosen.json)


if __name__ == "__main__":
    main()

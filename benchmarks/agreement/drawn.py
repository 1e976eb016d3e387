r"""Galaxies that NumPy draws, of which what statmorph measures is kept with the tests."""

__all__ = ["drawn"]

import numpy as np
from scipy import ndimage

from benchmarks.samples import Galaxy

SHAPES = ((64, 64), (70, 61), (56, 90), (128, 120))
r"""The shapes of the images, in pixels."""


def drawn() -> list[Galaxy]:
    r"""Draws an inclined disk with a clump and a neighbour in each of a few images."""

    return [_drawn(shape, seed) for seed, shape in enumerate(SHAPES)]


def _drawn(shape: tuple[int, int], seed: int) -> Galaxy:
    random = np.random.default_rng(seed)
    i, j = np.indices(shape) - (np.array(shape) / 2 + random.uniform(-1.5, 1.5, 2))[:, None, None]
    scale, q, theta = min(shape) / 16, random.uniform(0.5, 1), random.uniform(0, np.pi)
    u, v = j * np.cos(theta) + i * np.sin(theta), i * np.cos(theta) - j * np.sin(theta)
    image = 60 * np.exp(-np.hypot(u, v / q) / scale) + random.normal(size=shape)
    image += 20 * np.exp(-((u - 1.5 * scale) ** 2 + (v - 0.5 * scale) ** 2) / 3)
    star = 40 * np.exp(-((j - 5.5 * scale) ** 2 + (i + 4.5 * scale) ** 2) / 4)
    labels, _ = ndimage.label(ndimage.gaussian_filter(image, 1.5) > 1)
    labels = np.where(star > 0.5, -1, labels)
    target = labels[shape[0] // 2, shape[1] // 2]
    # Rounded, lest the last digit of an exponential matters
    return Galaxy(np.round(image + star, 3), labels.astype(np.int64) % 100, int(target), 50.0)

r"""Galaxies that are given with a mask, with bad pixels or with a point-spread function."""

__all__ = ["WAYS", "altered"]

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import point_spread
from benchmarks.samples import Galaxy

SHARE = 0.03
r"""The share of the pixels that are masked one by one, or have no value."""

BLOCK = 0.1
r"""The side of the block that is masked beside the middle, in sides of the image."""

HOT = 1e3
r"""What a hot pixel has more than the others, in units of the noise."""

PSF_SIDE = 25
r"""The side of the image of the point-spread function, in pixels."""


def altered(galaxies: Iterable[Galaxy], seed: int) -> Iterator[tuple[str, Galaxy]]:
    r"""Yields each galaxy altered in each way, and the name of that.

    Arguments:
        galaxies: The galaxies, with a noise of 1 per pixel.
        seed: The seed of what is drawn.
    """

    kept, random = [*galaxies], np.random.default_rng(seed)
    for name, change in WAYS.items():
        for galaxy in kept:
            yield name, change(galaxy, random)


def _masked(galaxy: Galaxy, random: np.random.Generator) -> Galaxy:
    r"""Masks pixels anywhere, and a block beside the middle."""

    mask = random.random(galaxy.image.shape) < SHARE
    height, width = galaxy.image.shape
    row, column = height // 2 + round(BLOCK * height), width // 2 + round(BLOCK * width / 2)
    mask[row : row + round(BLOCK * height), column : column + round(BLOCK * width)] = True

    return galaxy._replace(mask=mask)


def _without_values(galaxy: Galaxy, random: np.random.Generator) -> Galaxy:
    lost = random.random(galaxy.image.shape) < SHARE

    return galaxy._replace(image=np.where(lost, np.nan, galaxy.image))


def _hot(galaxy: Galaxy, random: np.random.Generator) -> Galaxy:
    r"""Adds light to one pixel of the target."""

    image = galaxy.image.copy()
    places: NDArray[np.int64] = np.argwhere(galaxy.labels == galaxy.label)
    image[tuple(random.choice(places))] += HOT

    return galaxy._replace(image=image)


def _with_psf(galaxy: Galaxy, random: np.random.Generator) -> Galaxy:
    return galaxy._replace(psf=point_spread(PSF_SIDE))


WAYS: dict[str, Callable[[Galaxy, np.random.Generator], Galaxy]] = {
    "masked": _masked,
    "NaN": _without_values,
    "hot pixel": _hot,
    "with PSF": _with_psf,
}
r"""What is done to a galaxy, by its name in the table."""

r"""Galaxies to measure, simulated and real, with the map of sources that both sides are given."""

__all__ = ["REAL", "Galaxy", "real", "simulated"]

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.real import SETS
from pipeline.cutout import cut
from pipeline.errors import DataError
from pipeline.fits import FitsFile
from pipeline.morphometry.flags import NO_SOURCE
from pipeline.morphometry.segment import segment
from pipeline.objects import Columns
from pipeline.simulate import render
from pipeline.simulate.camera import CAMERA, expose
from pipeline.sources import Source, find

REAL = {"aegis_hst": ("v", "i"), "sdss_r": ("r",), "virgo_dss2": ("red",), "hcg88": ("g", "r")}
r"""The folders of real images, as :data:`benchmarks.real.SETS` calls them, and bands of each."""

FIELD = (200, 200)
r"""The size of what is cut out of a frame that shows several galaxies, in pixels."""

BAND = 1
r"""The band of the simulator that is measured, r."""


class Galaxy(NamedTuple):
    r"""What both sides are given.

    Arguments:
        image: The image, sky subtracted, with shape `(H, W)`.
        labels: The map of sources, 0 in the sky, with shape `(H, W)`.
        label: The source to measure.
        gain: The photons per unit of the image.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        psf: The point-spread function, with odd sides.
    """

    image: NDArray[np.float64]
    labels: NDArray[np.int64]
    label: int
    gain: float
    mask: NDArray[np.bool_] | None = None
    psf: NDArray[np.float64] | None = None


def simulated(count: int, side: int, seed: int) -> list[Galaxy]:
    r"""Returns galaxies of our own simulator, with the noise of its camera.

    Arguments:
        count: How many.
        side: The side of an image, in pixels.
        seed: The seed of the survey.
    """

    flux = render(range(count), seed, side)[0].numpy()
    random = np.random.default_rng(seed)
    images = [expose(one, CAMERA, random)[BAND].astype(np.float64) for one in flux]

    return [one for image in images if (one := _found(image, CAMERA.electrons[BAND]))]


def real(name: str, data: Path, count: int) -> Iterator[Galaxy]:
    r"""Yields galaxies of real images, as they are read for ingest.

    The photons per unit are unknown in most, and taken to be infinite.

    Arguments:
        name: A key of :data:`REAL`.
        data: The folder of the data.
        count: From how many inputs, at most.
    """

    one = SETS[name]
    table = Columns(**one.table | {"path": data / one.table["path"]}) if one.table else None
    found = find(data / one.root, one.pattern, REAL[name], band_text=one.band_text, table=table)
    # One galaxy can be in the table under two names
    places = {(source.files, source.ra, source.dec): source for source in found}
    for source in [one for one in places.values() if not one.problem][:count]:
        for image in _images(source):
            galaxy = _found(image, np.inf)
            if galaxy is not None:
                yield galaxy


def _images(source: Source) -> Iterator[NDArray[np.float64]]:
    r"""Yields the image of a source in each band, if it can be read and shows it."""

    for path in source.files:
        try:
            frame = FitsFile.open(path).frames()[0]
            size = FIELD if source.field else frame.pixels.shape
            place = (source.ra, source.dec) if source.field else None
            yield cut([frame], size, None, place).pixels[0].astype(np.float64)
        except DataError:
            continue


def _found(image: NDArray[np.float64], gain: float) -> Galaxy | None:
    r"""Subtracts the sky and finds the target, as :func:`pipeline.morphometry.measure` does."""

    labels, level, _, _, flags = segment(image, np.nan, np.nan)
    if flags & NO_SOURCE:
        return None

    return Galaxy(image - level, labels, 1, gain)

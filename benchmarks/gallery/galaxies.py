r"""The real galaxies of the gallery, read and measured."""

__all__ = ["Galaxy", "galaxy", "in_band"]

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.fits import read_frame
from pipeline.morphometry import Morphology, measure
from pipeline.morphometry.segment import segment
from pipeline.morphometry.stamp import bounds, stamp


class Galaxy(NamedTuple):
    r"""A galaxy on its stamp.

    Arguments:
        name: What it is.
        scale: The side of a pixel, in arcseconds.
        raw: The image, sky subtracted, with shape `(H, W)`.
        image: The same, zero where masked, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        labels: The map of sources, 1 on the galaxy, with shape `(H, W)`.
        found: Its measurements, positions being those in the stamp.
        corner: The row and the column of the first pixel of the stamp in the image.
    """

    name: str
    scale: float
    raw: NDArray[np.float64]
    image: NDArray[np.float64]
    mask: NDArray[np.bool_]
    labels: NDArray[np.int64]
    found: Morphology
    corner: tuple[int, int]

    @property
    def segment(self) -> NDArray[np.bool_]:
        return self.labels == 1

    def seen(self, x: Any, y: Any) -> tuple[Any, Any]:
        r"""Returns columns and rows as arcseconds from the centre of symmetry."""

        return (x - self.found.x) * self.scale, (y - self.found.y) * self.scale

    def extent(self) -> tuple[float, float, float, float]:
        r"""Returns the edges of the stamp: left, right, bottom and top, in arcseconds."""

        corners = (
            np.array([-0.5, self.image.shape[1] - 0.5]),
            np.array([-0.5, len(self.image) - 0.5]),
        )
        (left, right), (bottom, top) = self.seen(*corners)

        return left, right, bottom, top


def galaxy(path: str, name: str, window: tuple[int, int, int] | None = None) -> Galaxy:
    r"""Reads and measures the galaxy in the middle of a file.

    Arguments:
        path: The pattern of the file, below the folder of the data.
        name: What it is.
        window: The column and the row of the middle of a square to read, and half of its side.
            By default, all of the image.

    Raises:
        DataError: If there is no such file.
    """

    pixels, scale = _read(path)
    if window:
        column, row, half = window
        pixels = pixels[
            max(row - half, 0) : row + half, max(column - half, 0) : column + half
        ].copy()
    labels, level, *_ = segment(pixels, math.nan, math.nan)
    pixels -= level
    found = measure(pixels, labels)
    top, bottom, left, right = bounds(labels, 1, False)
    raw = np.ascontiguousarray(pixels[top:bottom, left:right])
    sources = np.ascontiguousarray(labels[top:bottom, left:right])
    image, mask, _ = stamp(raw, sources, 1, np.zeros(raw.shape, np.bool_), False)
    for axis, first in (("x", left), ("y", top)):
        names = (axis, f"{axis}_centroid", f"sersic_{axis}")
        found = found._replace(**{key: getattr(found, key) - first for key in names})

    return Galaxy(name, scale, raw, image, mask, sources, found, (top, left))


def in_band(galaxy: Galaxy, path: str) -> Galaxy:
    r"""Reads the same stamp in another band, whose pixels are on the same grid."""

    pixels, _ = _read(path)
    _, level, _, noise, _ = segment(pixels, math.nan, math.nan)
    (top, left), (height, width) = galaxy.corner, galaxy.raw.shape
    raw = pixels[top : top + height, left : left + width] - level
    image = np.where(galaxy.mask, 0.0, raw)

    return galaxy._replace(raw=raw, image=image, found=galaxy.found._replace(sky_sigma=noise))


def _read(path: str) -> tuple[NDArray[np.float64], float]:
    root = Path(os.environ.get("TUNINGFORK_DATA", "../shared/data"))
    files = sorted(root.glob(path))
    if not files:
        raise DataError(f"{root / path} is not there, TUNINGFORK_DATA names the folder of data")
    frame = read_frame(files[0])

    return np.array(frame.pixels, np.float64), frame.scale_arcsec or 1.0

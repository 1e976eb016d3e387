r"""Where images point, remembered so that an unchanged file costs a stat."""

__all__ = ["Headers"]

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import DataError
from pipeline.files import replacing
from pipeline.fits import FitsFile, Frame


class Headers:
    r"""Reads the coordinates of images.

    Arguments:
        hdu: The HDU that has them, by index or name. By default, the first image.
        planes: The number of planes of that HDU.
        memory: A file in which to remember them. By default nothing is.
    """

    def __init__(
        self, hdu: int | str | None = None, planes: int = 1, memory: Path | None = None
    ) -> None:
        self.hdu = hdu
        self.planes = planes
        self.memory = memory
        self._old: dict[str, list[Any]] = {}
        self._new: dict[str, list[Any]] = {}
        if memory is not None and memory.exists():
            try:
                self._old = dict(json.loads(memory.read_text()))
            except (ValueError, TypeError):
                # What is remembered can be read again.
                self._old = {}

    def centre(self, path: Path) -> tuple[float, float]:
        r"""Returns the right ascension and declination of the middle of an image, or NaN."""

        frame = self.frame(path)
        if frame is None or frame.scale_arcsec is None:
            return math.nan, math.nan
        height, width = frame.pixels.shape
        ra, dec = frame.sky((width - 1) / 2, (height - 1) / 2)

        return float(ra), float(dec)

    def frame(self, path: Path) -> Frame | None:
        r"""Returns an image with its coordinates but without its pixels, or None."""

        key = f"{path}[{self.hdu}]"
        try:
            stat = os.stat(path)
        except OSError:
            return None
        times = [stat.st_size, stat.st_mtime_ns]
        known = self._old.get(key)
        if known is None or known[:2] != times:
            known = [*times, *self._read(path)]
        self._new[key] = known
        shape, cards = known[2:]

        return None if shape is None else Frame(np.broadcast_to(np.float32(0), shape), cards, key)

    def save(self) -> None:
        r"""Remembers what was asked for."""

        if self.memory is not None and self._new != self._old:
            with replacing(self.memory) as file:
                file.write(json.dumps(self._new, sort_keys=True).encode())

    def _read(self, path: Path) -> tuple[tuple[int, ...] | None, dict[str, Any]]:
        try:
            frame = FitsFile.open(path).frames(self.hdu, self.planes)[0]
        except DataError:
            # Its own row of the manifest will say what is wrong with it.
            return None, {}

        return frame.pixels.shape, dict(frame.header)

r"""Where images point, remembered so that an unchanged file costs a stat."""

__all__ = ["Headers"]

import json
import logging
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import DataError
from pipeline.files import replacing
from pipeline.fits import FitsFile, Frame

_log = logging.getLogger(__name__)


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
            self._old = _remembered(memory)

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

        shape, cards, _ = self._known(path)

        if shape is None:
            return None

        return Frame(np.broadcast_to(np.float32(0), shape), cards, str(path))

    def problem(self, path: Path) -> str:
        r"""Returns why an image has no place on the sky. Empty if it has one."""

        frame = self.frame(path)
        if frame is None:
            return str(self._known(path)[2])

        return "" if frame.wcs is not None else f"{path} has no sky coordinates"

    def save(self) -> None:
        r"""Remembers what was asked for."""

        if self.memory is not None and self._new != self._old:
            with replacing(self.memory) as file:
                file.write(json.dumps(self._new, sort_keys=True).encode())

    def _known(self, path: Path) -> list[Any]:
        r"""Returns the shape and the cards of an image, and why there are none."""

        key = f"{path}[{self.hdu}][{self.planes}]"
        try:
            stat = os.stat(path)
        except OSError as error:
            return [None, {}, f"{path} cannot be read: {error.strerror}"]
        times = [stat.st_size, stat.st_mtime_ns]
        known = self._new.get(key) or self._old.get(key)
        if known is None or known[:2] != times:
            known = [*times, *self._read(path)]
        self._new[key] = known

        return known[2:]

    def _read(self, path: Path) -> tuple[tuple[int, ...] | None, dict[str, Any], str]:
        try:
            frame = FitsFile.open(path).frames(self.hdu, self.planes)[0]
        except DataError as error:
            return None, {}, str(error)

        return frame.pixels.shape, dict(frame.header), ""


def _remembered(memory: Path) -> dict[str, list[Any]]:
    try:
        known = dict(json.loads(memory.read_text()))
        if not all(isinstance(one, list) and len(one) == 5 for one in known.values()):
            raise ValueError("its entries are not those of images")
    except (OSError, ValueError, TypeError) as error:
        _log.warning("%s is damaged, all headers are read again: %s", memory, error)
        return {}

    return known

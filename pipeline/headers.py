r"""Where images point, remembered so that an unchanged file costs a stat."""

__all__ = ["Headers"]

import json
import logging
import math
import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import DataError, may_pass
from pipeline.files import replacing
from pipeline.fits import FitsFile, Frame
from pipeline.workers import in_order

TASK = 16
r"""The number of images that a worker is handed at once."""

UNSEEN = [-1, -1]
r"""The size and the time of a file that is to be read again."""

_log = logging.getLogger(__name__)


class Headers:
    r"""Reads the coordinates of images.

    Arguments:
        hdu: The HDU that has them, by index or name. By default, the first image.
        planes: The number of planes of that HDU.
        memory: A file in which to remember them. By default nothing is.
        workers: The number of processes that read. With one, all happens in this one.
    """

    def __init__(
        self,
        hdu: int | str | None = None,
        planes: int = 1,
        memory: Path | None = None,
        workers: int = 1,
    ) -> None:
        self.hdu = hdu
        self.planes = planes
        self.memory = memory
        self.workers = workers
        self._old: dict[str, list[Any]] = {}
        self._new: dict[str, list[Any]] = {}
        if memory is not None and memory.exists():
            self._old = _remembered(memory)

    def read(self, paths: Sequence[Path]) -> None:
        r"""Reads what is new of many images, rather than one when it is asked for."""

        for path in paths:
            known = self._old.get(self._key(path))
            if known is not None and known[:2] == _times(path):
                self._new[self._key(path)] = known

        new = [path for path in paths if self._key(path) not in self._new]
        starts = range(0, len(new), TASK)
        tasks = [(new[i : i + TASK], self.hdu, self.planes) for i in starts]
        if new:
            _log.info("reading where %d images point", len(new))
        found = chain.from_iterable(in_order(_read, tasks, self.workers))
        self._new |= zip(map(self._key, new), found, strict=True)

    def centre(self, path: Path) -> tuple[float, float]:
        r"""Returns the right ascension and declination of the middle of an image, or NaN."""

        _, _, ra, dec, _ = self._known(path)

        return ra, dec

    def frame(self, path: Path) -> Frame | None:
        r"""Returns an image with its coordinates but without its pixels, or None."""

        shape, cards, *_ = self._known(path)

        if shape is None:
            return None

        return Frame(np.broadcast_to(np.float32(0), shape), cards, str(path))

    def problem(self, path: Path) -> str:
        r"""Returns why an image has no place on the sky. Empty if it has one."""

        frame = self.frame(path)
        if frame is None:
            return str(self._known(path)[-1])

        return "" if frame.wcs is not None else f"{path} has no sky coordinates"

    def save(self) -> None:
        r"""Remembers what was asked for."""

        if self.memory is not None and self._new != self._old:
            with replacing(self.memory) as file:
                file.write(json.dumps(self._new, sort_keys=True).encode())

    def _key(self, path: Path) -> str:
        return f"{path}[{self.hdu}][{self.planes}]"

    def _known(self, path: Path) -> list[Any]:
        r"""Returns the shape, the cards and the centre of an image, and why there are none."""

        if self._key(path) not in self._new:
            self.read([path])

        return self._new[self._key(path)][2:]


def _read(paths: Sequence[Path], hdu: int | str | None, planes: int) -> list[list[Any]]:
    return [_read_one(path, hdu, planes) for path in paths]


def _read_one(path: Path, hdu: int | str | None, planes: int) -> list[Any]:
    times = _times(path)
    try:
        frame = FitsFile.open(path).frames(hdu, planes)[0]
    except DataError as error:
        times = UNSEEN if may_pass(error) else times
        return [*times, None, {}, math.nan, math.nan, str(error)]

    height, width = frame.pixels.shape
    ra, dec = math.nan, math.nan
    if frame.scale_arcsec is not None:
        ra, dec = map(float, frame.sky((width - 1) / 2, (height - 1) / 2))

    return [*times, frame.pixels.shape, dict(frame.header), ra, dec, ""]


def _times(path: Path) -> list[int]:
    try:
        stat = os.stat(path)
    except OSError:
        return UNSEEN

    return [stat.st_size, stat.st_mtime_ns]


def _remembered(memory: Path) -> dict[str, list[Any]]:
    try:
        known = dict(json.loads(memory.read_text()))
        if not all(isinstance(one, list) and len(one) == 7 for one in known.values()):
            raise ValueError("its entries are not those of images")
    except (OSError, ValueError, TypeError) as error:
        _log.warning("%s is damaged, all headers are read again: %s", memory, error)
        return {}

    return known

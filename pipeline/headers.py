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

STAMP = ["path", "size", "time", "ra", "dec"]
FIELD = ["path", "size", "time", "shape", "cards", "problem"]
r"""What is kept of a stamp, and of a frame of the sky."""

LONGEST = 1000
r"""The most letters that the first line of a memory may have, which says what is kept."""

_log = logging.getLogger(__name__)


class Headers:
    r"""Reads the coordinates of images.

    No more than is asked of an image is kept: of a stamp the place of its middle, of a frame of
    the sky its shape and the cards that say where its pixels point.

    Arguments:
        hdu: The HDU that has them, by index or name. By default, the first image.
        planes: The number of planes of that HDU.
        memory: A file in which to remember them. By default nothing is.
        workers: The number of processes that read. With one, all happens in this one.
        fields: Whether the images are frames of the sky, of which :meth:`frame` and
            :meth:`problem` tell. Of stamps :meth:`centre` does.
    """

    def __init__(
        self,
        hdu: int | str | None = None,
        planes: int = 1,
        memory: Path | None = None,
        workers: int = 1,
        fields: bool = False,
    ) -> None:
        self.hdu = hdu
        self.planes = planes
        self.memory = memory
        self.workers = workers
        self.fields = fields
        self._old: dict[str, list[Any]] = {}
        self._new: dict[str, list[Any]] = {}
        if memory is not None and memory.exists():
            self._old = _remembered(memory, self._kept())

    def read(self, paths: Sequence[Path]) -> None:
        r"""Reads what is new of many images, rather than one when it is asked for."""

        for path in paths:
            known = self._old.get(str(path))
            if known is not None and known[:2] == _times(path):
                self._new[str(path)] = known

        new = [path for path in paths if str(path) not in self._new]
        starts = range(0, len(new), TASK)
        tasks = [(new[i : i + TASK], self.hdu, self.planes, self.fields) for i in starts]
        if new:
            _log.info("reading where %d images point", len(new))
        found = chain.from_iterable(in_order(_read, tasks, self.workers))
        self._new |= zip(map(str, new), found, strict=True)

    def centre(self, path: Path) -> tuple[float, float]:
        r"""Returns the right ascension and declination of the middle of an image, or NaN."""

        assert not self.fields
        ra, dec = self._known(path)

        return ra, dec

    def frame(self, path: Path) -> Frame | None:
        r"""Returns an image with its coordinates but without its pixels, or None."""

        assert self.fields
        shape, cards, _ = self._known(path)
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
        r"""Remembers what was asked for, an image per line."""

        if self.memory is not None and self._new != self._old:
            with replacing(self.memory) as file:
                file.write(f"{json.dumps(self._kept())}\n".encode())
                for path in sorted(self._new):
                    file.write(f"{json.dumps([path, *self._new[path]])}\n".encode())

    def _kept(self) -> dict[str, Any]:
        columns = FIELD if self.fields else STAMP

        return {"columns": columns, "hdu": self.hdu, "planes": self.planes}

    def _known(self, path: Path) -> list[Any]:
        r"""Returns what is kept of an image, but for its size and time."""

        if str(path) not in self._new:
            self.read([path])

        return self._new[str(path)][2:]


def _read(
    paths: Sequence[Path], hdu: int | str | None, planes: int, fields: bool
) -> list[list[Any]]:
    return [_read_one(path, hdu, planes, fields) for path in paths]


def _read_one(path: Path, hdu: int | str | None, planes: int, fields: bool) -> list[Any]:
    times = _times(path)
    try:
        frame = FitsFile.open(path).frames(hdu, planes)[0]
    except DataError as error:
        times = UNSEEN if may_pass(error) else times
        return [*times, None, {}, str(error)] if fields else [*times, math.nan, math.nan]
    if fields:
        return [*times, frame.pixels.shape, frame.sky_cards, ""]

    height, width = frame.pixels.shape
    ra, dec = math.nan, math.nan
    if frame.scale_arcsec is not None:
        ra, dec = map(float, frame.sky((width - 1) / 2, (height - 1) / 2))

    return [*times, ra, dec]


def _times(path: Path) -> list[int]:
    try:
        stat = os.stat(path)
    except OSError:
        return UNSEEN

    return [stat.st_size, stat.st_mtime_ns]


def _remembered(memory: Path, kept: dict[str, Any]) -> dict[str, list[Any]]:
    r"""Returns what is known of images, nothing if it is not what is to be kept of them."""

    try:
        with memory.open() as file:
            found = json.loads(file.readline(LONGEST))
            if any(found[key] != value for key, value in kept.items()):
                return {}
            known = {path: values for path, *values in map(json.loads, file)}
        if any(len(values) + 1 != len(kept["columns"]) for values in known.values()):
            raise ValueError("its lines are not those of images")
    except (OSError, ValueError, TypeError, LookupError) as error:
        told = "%s is damaged or of another version, all headers are read again: %s"
        _log.warning(told, memory, error)
        return {}

    return known

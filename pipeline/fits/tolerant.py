r"""The pixels of all other FITS files, by astropy."""

__all__ = ["read", "room"]

import io
import itertools
import math
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.fits.hdu.compressed._compression import CfitsioException
from astropy.io.fits.verify import VerifyError
from numpy.typing import NDArray

from pipeline.errors import DataError, suggest
from pipeline.fits.cards import BLOCK, CARD, Value
from pipeline.fits.strict import (
    MOST_PLANES,
    STORED,
    Image,
    beside_flux,
    has_planes,
    inherited,
    is_wanted,
)

_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    CfitsioException,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    VerifyError,
    struct.error,
    zlib.error,
)
r"""All that astropy is seen to raise on damaged files."""

# Many axes or columns are counted to, and a text is multiplied like a list.
_ENDLESS = re.compile(
    rb"(?:Z?NAXIS|TFIELDS) *= *\+?\d{4,}|(?:Z?NAXIS\d{0,3}|TFIELDS|[PG]COUNT|Z?BITPIX) *= *'"
)

_METHODS = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "NOCOMPRESS")
r"""The compressions that cannot write where they should not, once their settings are sound."""

_EXACT = {"f4", "i1", "u1", "i2", "u2"}
r"""The types whose values float32 holds."""


def room(data: bytes) -> int:
    r"""Returns how many bytes a compressed file may unfold to. No image is so empty."""

    return max(1 << 28, 64 * len(data))


def read(path: Path, data: bytes, hdu: int | str | None, bands: int | None) -> Image:
    r"""Reads the image of one HDU, or says why not.

    Arguments:
        path: The file, for messages.
        data: Its bytes, decompressed.
        hdu: The index or name of the HDU, or None for the first that fits and is not
            :func:`pipeline.fits.strict.beside_flux`.
        bands: The number of planes, or None for any from 1 to 8.

    Raises:
        DataError: If there is no such HDU, it has another number of planes, or it is damaged.
    """

    for match in _ENDLESS.finditer(data):
        if match.start() % CARD == 0:
            raise DataError(f"{path} is damaged: {match[0].decode()}")

    with _guarded(path), fits.open(io.BytesIO(data), memmap=False) as hdus:
        index = _choose(path, hdus, hdu, bands)
        image = hdus[index]
        shape = _shape(image)
        if not has_planes(shape, bands):
            raise DataError(f"{path}[{index}] has {_called(shape, '')}, expected {_wish(bands)}")
        _check_size(f"{path}[{index}]", image, data)

        # Reading the data changes the header.
        cards = _cards(image.header)
        primary = _cards(hdus[0].header) if index else {}
        pixels = _pixels(image, data, index)

    return Image(pixels, inherited(cards, primary), index)


def _choose(path: Path, hdus: fits.HDUList, hdu: int | str | None, bands: int | None) -> int:
    shapes, names = [], []
    for index, item in enumerate(_walk(path, hdus)):
        shapes.append(_shape(item))
        names.append(str(item.name))
        if is_wanted(hdu, index, names[-1], shapes[-1], bands):
            return index

    if isinstance(hdu, str):
        raise DataError(f"{path} has no HDU {hdu!r}, {suggest(hdu, filter(None, names))}")
    if hdu is not None:
        raise DataError(f"{path} has no HDU {hdu}, expected 0 to {len(names) - 1}")
    images = [_called(*each) for each in zip(shapes, names, strict=True) if each[0]]
    held = f"has {' and '.join(images)}" if images else "holds no image"

    refused = any(map(beside_flux, names))
    hint = " of flux; if that is one, `hdu` names it" if refused else ""

    raise DataError(f"{path} {held}, expected {_wish(bands)}{hint}")


def _walk(path: Path, hdus: fits.HDUList) -> Iterator[Any]:
    end = 0
    for index in itertools.count():
        try:
            item = hdus[index]
        except IndexError:
            return
        place = item.fileinfo()
        if place["hdrLoc"] != end or place["datSpan"] < 0:
            raise DataError(f"{path}[{index}] is damaged: it does not follow the HDU before it")
        end = place["datLoc"] + place["datSpan"]
        yield item


def _shape(item: Any) -> tuple[int, ...]:
    is_image = isinstance(item, (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU))
    if not is_image or isinstance(item, fits.GroupsHDU):
        return ()

    return tuple(int(side) for side in item.shape)


def _called(shape: tuple[int, ...], name: str) -> str:
    if not shape:
        return "no image"

    return f"an image of shape {shape}" + (f" called {name!r}" if beside_flux(name) else "")


def _wish(bands: int | None) -> str:
    if bands is None:
        return f"an image of 1 to {MOST_PLANES} bands"

    return "an image (H, W)" if bands == 1 else f"a cube ({bands}, H, W)"


def _check_size(source: str, image: Any, data: bytes) -> None:
    r"""Refuses what is not all there, before any memory is taken for it."""

    claimed = math.prod(image.shape) * abs(int(image.header["BITPIX"])) // 8
    place = image.fileinfo()
    left = len(data) - place["datLoc"]
    if isinstance(image, fits.CompImageHDU):
        if claimed > room(data):
            raise DataError(f"{source} claims {claimed} bytes of pixels, which is no image")
        with fits.open(io.BytesIO(data), memmap=False, disable_image_compression=True) as hdus:
            header = hdus[int(source[source.rindex("[") + 1 : -1])].header
        _check_tiles(source, header, image.shape)
        claimed = header["NAXIS1"] * header["NAXIS2"] + header["PCOUNT"]
    if not claimed <= place["datSpan"] < claimed + BLOCK:
        raise DataError(f"{source} is damaged: its size is not that of its axes")
    if claimed > left:
        raise DataError(f"{source} is truncated: {max(left, 0)} of {claimed} bytes of pixels")


def _check_tiles(source: str, header: fits.Header, shape: tuple[int, ...]) -> None:
    r"""Refuses what would lead the decompression, which is not memory-safe, astray."""

    method = header.get("ZCMPTYPE")
    if method not in _METHODS:
        known = ", ".join(_METHODS)
        raise DataError(f"{source} is compressed by {method}, expected {known}: unpack it first")

    sides = [header.get(f"ZTILE{i + 1}", 1 if i else shape[-1]) for i in range(len(shape))]
    if not all(type(side) is int and side > 0 for side in sides):
        raise DataError(f"{source} has tiles of {sides} pixels")
    tiles = math.prod(-(-n // side) for n, side in zip(reversed(shape), sides, strict=True))
    if tiles != header["NAXIS2"]:
        raise DataError(f"{source} has {header['NAXIS2']} tiles, expected {tiles}")

    values = {header.get(f"ZNAME{i}"): header.get(f"ZVAL{i}") for i in (1, 2)}
    block, width = values.get("BLOCKSIZE", 32), values.get("BYTEPIX", 4)
    seed = header.get("ZDITHER0", 1)
    if block not in (16, 32) or width not in (1, 2, 4) or not 1 <= seed <= 10_000:
        raise DataError(f"{source} has BLOCKSIZE {block}, BYTEPIX {width}, ZDITHER0 {seed}")


def _cards(header: fits.Header) -> dict[str, Value]:
    cards: dict[str, Value] = {}
    for card in header.cards:
        try:
            key, value = card.keyword, card.value
        except (VerifyError, ValueError):
            continue
        if key not in ("", "COMMENT", "HISTORY") and isinstance(value, (str, int, float)):
            cards.setdefault(key, value)

    return cards


def _pixels(image: Any, data: bytes, index: int) -> NDArray[np.floating]:
    blank = _blank(image, data, index)
    values = np.asarray(image.data)
    kind = "f4" if values.dtype.str[1:] in _EXACT else "f8"
    pixels = values.astype(kind)
    if blank is not None:
        pixels[blank] = np.nan

    return pixels


def _blank(image: Any, data: bytes, index: int) -> NDArray[np.bool_] | None:
    # astropy forgets a BLANK of 0, and that of unsigned integers.
    blank, bitpix = image.header.get("BLANK"), image.header["BITPIX"]
    if type(blank) is not int or bitpix < 0:
        return None
    if isinstance(image, fits.CompImageHDU):
        with fits.open(io.BytesIO(data), memmap=False, do_not_scale_image_data=True) as hdus:
            return np.asarray(hdus[index].data) == blank
    count, offset = math.prod(image.shape), image.fileinfo()["datLoc"]

    return (np.frombuffer(data, STORED[bitpix], count, offset) == blank).reshape(image.shape)


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            yield
        except DataError:
            raise
        except _FAULTS as error:
            reason = str(error).split("\n")[0] or type(error).__name__
            raise DataError(f"{path} is damaged: {reason}") from error

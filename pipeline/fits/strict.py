r"""The pixels of FITS files that follow the standard to the letter."""

__all__ = [
    "MOST_PLANES",
    "STORED",
    "Image",
    "beside_flux",
    "has_planes",
    "inherited",
    "is_wanted",
    "read",
]

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.fits.cards import BLOCK, STRUCTURAL, Header, Odd, Value, parse_header

STORED = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
MOST_PLANES = 8
r"""How many planes of a cube are taken for bands where it is not told how many there are."""

_BESIDE = re.compile(
    r"(.*[\s_.-])?(ERR(OR)?|NOISE|RMS|SIGMA|STD(DEV)?|STAT|UNC(ERT(AINTY)?)?|(INV|I)?VAR(IANCE)?"
    r"|WHT|WGT|WEIGHTS?|CTX|DQ|FLAGS?|MASK|QUALITY|SEG(M(AP)?)?|SEGMENTATION)"
    r"([\s_.-]?\d+|[\s_.-]\w{1,3})?",
    re.IGNORECASE,
)
r"""What extensions are called that tell of the flux of another one: errors, weights, masks."""

_KEPT = {8: "f4", 16: "f4", 32: "f8", 64: "f8", -32: "f4", -64: "f8"}


@dataclass(frozen=True, eq=False)
class Image:
    r"""The image of one HDU.

    Arguments:
        pixels: The values, with shape `(*, H, W)`.
        header: Its cards.
        index: Which HDU it is.
    """

    pixels: NDArray[np.floating]
    header: Header
    index: int


@dataclass(frozen=True, slots=True)
class _Block:
    cards: dict[str, Value]
    axes: list[int]
    offset: int
    size: int

    @property
    def shape(self) -> tuple[int, ...]:
        is_table = self.cards.get("XTENSION") == "BINTABLE"

        return () if is_table else tuple(reversed(self.axes))


def read(data: bytes, hdu: int | str | None, bands: int | None) -> Image:
    r"""Reads the image of one HDU, or refuses.

    Arguments:
        data: The bytes of the file, decompressed.
        hdu: The index or name of the HDU, or None for the first that fits and is not
            :func:`beside_flux`.
        bands: The number of planes, or None for any from 1 to 8.

    Raises:
        Odd: If anything up to that HDU is not as the standard wants it.
    """

    primary: Header = {}
    for index, block in enumerate(_blocks(data)):
        name = str(block.cards.get("EXTNAME", "" if index else "PRIMARY"))
        if is_wanted(hdu, index, name, block.shape, bands):
            if not has_planes(block.shape, bands):
                raise Odd("planes")
            return Image(_pixels(data, block), inherited(block.cards, primary), index)
        if index == 0:
            primary = block.cards

    raise Odd("no such HDU")


def is_wanted(
    hdu: int | str | None, index: int, name: str, shape: tuple[int, ...], bands: int | None
) -> bool:
    r"""Tells whether an HDU is the one that is asked for: by its name, by its index, or as the
    first image with so many planes that is not of errors, weights or masks."""

    if isinstance(hdu, str):
        return name.upper() == hdu.strip().upper()

    return index == hdu if hdu is not None else has_planes(shape, bands) and not beside_flux(name)


def beside_flux(name: str) -> bool:
    r"""Tells whether an extension is called like one of errors, weights or masks."""

    return _BESIDE.fullmatch(name.strip()) is not None


def has_planes(shape: tuple[int, ...], bands: int | None) -> bool:
    r"""Tells whether an image has that many planes, 1 to 8 if it is not told, and any pixels."""

    lead, planes = shape[:-2], math.prod(shape[:-2])
    if len(shape) < 2 or min(shape) < 1:
        return False
    right = 1 <= planes <= MOST_PLANES if bands is None else planes == bands

    return right and (planes == 1 or lead[-1] == planes)


def inherited(cards: Header, primary: Header) -> Header:
    r"""Adds what an extension inherits: all of a primary HDU that has no image of its own."""

    if not primary or not cards.get("INHERIT", primary.get("NAXIS") == 0):
        return cards

    return {k: v for k, v in primary.items() if not STRUCTURAL.fullmatch(k)} | dict(cards)


def _blocks(data: bytes) -> Iterator[_Block]:
    start = 0
    while start < len(data):
        cards, offset = parse_header(data, start)
        axes = _axes(cards, first=start == 0)
        size = abs(_whole(cards, "BITPIX")) // 8 * (math.prod(axes) if axes else 0)
        if start:
            size += _whole(cards, "PCOUNT")
        yield _Block(cards, axes, offset, size)
        start = offset + size + -size % BLOCK


def _axes(cards: dict[str, Value], first: bool) -> list[int]:
    count = _whole(cards, "NAXIS")
    names = [f"NAXIS{i + 1}" for i in range(min(count, 10))]
    expected = ["SIMPLE" if first else "XTENSION", "BITPIX", "NAXIS", *names]
    expected += [] if first else ["PCOUNT", "GCOUNT"]
    if list(cards)[: len(expected)] != expected or f"NAXIS{count + 1}" in cards:
        raise Odd("order")
    if cards.keys() & {"GROUPS", "ZIMAGE"} or _whole(cards, "BITPIX") not in STORED:
        raise Odd("kind")

    axes = [_whole(cards, name) for name in names]
    if min(axes, default=0) < 0:
        raise Odd("axes")
    _check_kind(cards, first)

    return axes


def _check_kind(cards: dict[str, Value], first: bool) -> None:
    if first:
        fine = cards["SIMPLE"] is True and not cards.keys() & {"PCOUNT", "GCOUNT"}
    else:
        counts = _whole(cards, "PCOUNT"), _whole(cards, "GCOUNT")
        is_image = cards["XTENSION"] == "IMAGE" and counts[0] == 0
        is_table = cards["XTENSION"] == "BINTABLE" and cards["BITPIX"] == 8
        fine = counts[1] == 1 and counts[0] >= 0 and (is_image or is_table)
    if not fine:
        raise Odd("kind")


def _whole(cards: dict[str, Value], key: str) -> int:
    value = cards.get(key)
    if type(value) is not int:
        raise Odd(key)

    return value


def _pixels(data: bytes, block: _Block) -> NDArray[np.floating]:
    cards = block.cards
    if "BLANK" in cards or cards.get("BSCALE", 1) != 1 or cards.get("BZERO", 0) != 0:
        raise Odd("scaled")
    if block.offset + block.size > len(data):
        raise Odd("truncated")

    bitpix = _whole(cards, "BITPIX")
    count = math.prod(block.shape)
    raw = np.frombuffer(data, STORED[bitpix], count, block.offset)

    return raw.reshape(block.shape).astype(_KEPT[bitpix])

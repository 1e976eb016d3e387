r"""Header cards: 80 characters each, to and from Python values."""

__all__ = ["BLOCK", "CARD", "STRUCTURAL", "Header", "Odd", "Value", "header_bytes", "parse_header"]

import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

import numpy as np

from pipeline.errors import DataError

Value = str | int | float | bool
Header = Mapping[str, Value]

BLOCK = 2880
CARD = 80
END = b"END".ljust(CARD)

STRUCTURAL = re.compile(
    r"SIMPLE|XTENSION|EXTEND|BITPIX|Z?NAXIS\d*|PCOUNT|GCOUNT|GROUPS|TFIELDS|BSCALE|BZERO|BLANK"
    r"|CHECKSUM|DATASUM|END"
)
r"""The keywords that say how the bytes lie, which are the writer's and nobody else's."""

_KEYWORD = re.compile(rb"([A-Z0-9_-]{1,8}) *")
_HIERARCH = re.compile(rb"HIERARCH +([A-Z0-9_-]+(?: [A-Z0-9_-]+)*) *=(.*)", re.DOTALL)
_VALUE = re.compile(
    rb" *(?:'((?:[^']|'')*)'|([TF])|([+-]?\d{1,18})"
    rb"|([+-]?(?:\d+\.?\d*|\.\d+)(?:[ED][+-]?\d{1,3})?))? *(?:/.*)?",
    re.DOTALL,
)
_PRINTABLE = re.compile(rb"[ -~]{80}")
_CONVERT: dict[int, Callable[[bytes], Value]] = {
    1: lambda text: text.decode().replace("''", "'").rstrip(),
    2: lambda flag: flag == b"T",
    3: int,
    4: lambda real: float(real.replace(b"D", b"E")),
}
r"""What makes a value of each group of :data:`_VALUE`."""

_COMMENTARY = (b"COMMENT ", b"HISTORY ", b"        ")


class Odd(Exception):
    r"""What a strict reader leaves to a tolerant one. Never leaves this folder."""


def parse_header(data: bytes, start: int) -> tuple[dict[str, Value], int]:
    r"""Reads one well-formed header.

    Comments, history and cards without a value are left out. Of two cards with one keyword,
    the first counts.

    Arguments:
        data: The bytes of the file.
        start: Where the header begins.

    Returns:
        The values by keyword, in order, and where the data begin.

    Raises:
        Odd: If anything in it is not as the standard wants it.
    """

    end = data.find(END, start)
    if end < 0 or (end - start) % CARD:
        raise Odd("END")
    stop = end + CARD + (start - end - CARD) % BLOCK
    if len(data) < stop or data[end + CARD : stop].strip(b" "):
        raise Odd("padding")

    cards: dict[str, Value] = {}
    for place in range(start, end, CARD):
        key, value = _parse_card(data[place : place + CARD])
        if key is None:
            raise Odd("card")
        if (key in cards or value is None) and STRUCTURAL.fullmatch(key):
            raise Odd("duplicate, or without a value")
        if value is not None:
            cards.setdefault(key, value)

    return cards, stop


# Cutouts of one survey share most of their cards.
@lru_cache(maxsize=16384)
def _parse_card(card: bytes) -> tuple[str | None, Value | None]:
    if not _PRINTABLE.fullmatch(card):
        return None, None
    if card.startswith(_COMMENTARY):
        return "", None

    key, field = _split(card)
    match = _VALUE.fullmatch(field) if key else None
    if match is None:
        return None, None

    group = match.lastindex

    return key.decode(), _CONVERT[group](match[group]) if group else None


def _split(card: bytes) -> tuple[bytes, bytes]:
    keyword = _KEYWORD.fullmatch(card[:8])
    if keyword and card[8:10] == b"= " and keyword[1] != b"CONTINUE":
        return keyword[1], card[10:]
    long = _HIERARCH.fullmatch(card)

    return (long[1], long[2]) if long else (b"", b"")


def header_bytes(cards: Iterable[tuple[str, Value]]) -> bytes:
    r"""Writes one header, its `END` and its padding.

    Arguments:
        cards: The keywords and values in order. A keyword that does not fit in 8 characters is
            written as `HIERARCH`, and a string that does not fit on one card is continued.

    Raises:
        DataError: If a value cannot stand in a header.
    """

    text = (
        "".join([_format_card(key, value, type(value).__name__) for key, value in cards]) + "END"
    )

    return text.ljust(-(-len(text) // BLOCK) * BLOCK).encode("ascii")


# The type is part of the cache's key because 1 == 1.0 == True.
@lru_cache(maxsize=16384)
def _format_card(key: str, value: Value, kind: str) -> str:
    name = f"{key:<8}= " if re.fullmatch(r"[A-Z0-9_-]{1,8}", key) else f"HIERARCH {key.upper()} = "
    if not re.fullmatch(r"[A-Z0-9_ -]{1,50}", key.upper()):
        raise DataError(f"header keyword {key!r}, expected at most 50 of A-Z, 0-9, _ and -")

    if isinstance(value, str):
        return _format_text(name, value)
    if isinstance(value, (bool, np.bool_)):
        return f"{name}{'T' if value else 'F':>20}".ljust(CARD)
    if not math.isfinite(value):
        raise DataError(f"header keyword {key!r} is {value}, expected a finite number")
    number = repr(int(value) if isinstance(value, (int, np.integer)) else float(value))

    return f"{name}{number.upper():>20}".ljust(CARD)


def _format_text(name: str, value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        value = value.encode("ascii", "replace").decode()
        value = "".join(letter if letter.isprintable() else "?" for letter in value)

    quoted = value.replace("'", "''")
    if len(name) + len(quoted) + 2 <= CARD:
        return f"{name}'{quoted:<8}'".ljust(CARD)

    lines, room = [], CARD - len(name) - 3
    while quoted:
        # A doubled quote must not be torn apart.
        cut = room - (quoted[:room].count("'") % 2 if len(quoted) > room else 0)
        lines.append(quoted[:cut])
        quoted, room = quoted[cut:], CARD - 13
    starts = [name] + ["CONTINUE  "] * (len(lines) - 1)
    ends = ["&"] * (len(lines) - 1) + [""]

    return "".join(
        f"{start}'{line}{end}'".ljust(CARD)
        for start, line, end in zip(starts, lines, ends, strict=True)
    )

r"""What a table says of each galaxy: its position, its size and its label."""

__all__ = ["Columns", "Entry", "read_entries"]

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.table import Column, Table

from pipeline.catalogue import read_table
from pipeline.errors import ConfigError, DataError, suggest
from pipeline.labels import check_labels

_SEXAGESIMAL = re.compile(r"([+-]?)(\d+)([:h°d ])(\d+)[:m' ](\d+\.?\d*)[s\"]?")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Columns:
    r"""A table of galaxies, and which of its columns mean what.

    Arguments:
        path: The table, in FITS, VOTable, ECSV, CSV or Parquet.
        id: The column of identifiers. With None, rows are numbered.
        ra: The column of right ascensions, in degrees unless it has another unit, or in
            hours if it is written like `12:30:49.4`, not like `187d42m21s`.
        dec: The column of declinations, in degrees unless it has another unit.
        size: The column of angular sizes, in arcsec unless it has another unit.
        label: The column of labels.
        classes: The classes that labels may name. By default, whatever the table says.
        rename: The class for labels that go by another name.
        threshold: For labels that are numbers: below it the first of two classes, from it on
            the second.
    """

    path: Path
    id: str | None = "id"
    ra: str | None = None
    dec: str | None = None
    size: str | None = None
    label: str | None = None
    classes: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    threshold: float | None = None

    def __post_init__(self) -> None:
        check_labels(self.classes, self.rename, self.threshold)


@dataclass(frozen=True)
class Entry:
    r"""One row of a table.

    Arguments:
        id: The identifier, without spaces around it. Empty if the row has none.
        row: Its number in the table, from 1.
        ra: The right ascension in degrees, NaN if unknown.
        dec: The declination in degrees, NaN if unknown.
        size_arcsec: The angular size, NaN if unknown.
        label: The class, empty if unknown.
        reason: Why the label is unknown although the table has one.
    """

    id: str
    row: int
    ra: float
    dec: float
    size_arcsec: float
    label: str
    reason: str


def read_entries(columns: Columns) -> list[Entry]:
    r"""Reads a table of galaxies, in its order.

    Raises:
        ConfigError: If the table has no such column, or one in a unit of something else.
        DataError: If identifiers were stored as numbers too large to be exact.
    """

    table = read_table(columns.path, (columns.id, columns.label))
    for name in (columns.id, columns.ra, columns.dec, columns.size, columns.label):
        if name is not None and name not in table.colnames:
            raise ConfigError(
                f"{columns.path} has no column {name!r}, {suggest(name, table.colnames)}"
            )

    labels = _labels(table, columns)
    ra = _angles(table, columns.ra, u.deg, columns.path, hours=True)
    dec = _angles(table, columns.dec, u.deg, columns.path)
    _warn_of_impossible(ra, dec, columns.path)
    values = zip(
        _identifiers(table, columns),
        ra,
        dec,
        _angles(table, columns.size, u.arcsec, columns.path),
        labels,
        strict=True,
    )

    return [
        Entry(id, row, *_on_the_sky(ra, dec), size if size > 0 else math.nan, *label)
        for row, (id, ra, dec, size, label) in enumerate(values, 1)
    ]


def _warn_of_impossible(ra: Sequence[float], dec: Sequence[float], path: Path) -> None:
    wrong = [
        (row, *pair)
        for row, pair in enumerate(zip(ra, dec, strict=True), 1)
        if all(map(math.isfinite, pair)) and math.isnan(_on_the_sky(*pair)[0])
    ]
    if wrong:
        _log.warning(
            "%s: %d of %d rows have no position on the sky, e.g. row %d RA %g, Dec %g; expected"
            " degrees from 0 to 360 and from -90 to 90. They are taken as unknown",
            path,
            len(wrong),
            len(ra),
            *wrong[0],
        )


def _on_the_sky(ra: float, dec: float) -> tuple[float, float]:
    valid = -360 <= ra <= 360 and -90 <= dec <= 90

    return (ra % 360, dec) if valid else (math.nan, math.nan)


def _texts(column: Column) -> list[str]:
    mask = getattr(column, "mask", None)
    blank = np.zeros(len(column), bool) if mask is None else np.broadcast_to(mask, len(column))
    values = np.asarray(column).tolist()

    return ["" if hidden else _text(value) for value, hidden in zip(values, blank, strict=True)]


def _text(value: object) -> str:
    if value is None or value != value:
        return ""

    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip()


def _identifiers(table: Table, columns: Columns) -> list[str]:
    if columns.id is None:
        return [f"row {row}" for row in range(1, len(table) + 1)]

    column = table[columns.id]
    values = np.asarray(column)
    if values.dtype.kind != "f":
        return _texts(column)
    if np.any(np.abs(values) >= 2**53):
        raise DataError(
            f"{columns.path}: column {columns.id!r} holds identifiers as {values.dtype}, which has"
            " lost their last digits; write them as integers or as text"
        )

    return [text.removesuffix(".0") for text in _texts(column)]


def _angles(
    table: Table, name: str | None, unit: u.UnitBase, path: Path, hours: bool = False
) -> Sequence[float]:
    if name is None:
        return [math.nan] * len(table)

    values, found = _numbers(table[name], hours), table[name].unit
    if table[name].dtype.kind not in "iuf":  # text says its unit by itself
        words = [text for text in _texts(table[name]) if text]
        if words and all(map(math.isnan, values)):
            raise ConfigError(f"{path}: column {name!r} holds {words[0]!r}, expected {unit}")
        return values
    if found in (None, u.one):
        return values
    if found == u.hour and hours:
        found = u.hourangle
    if not found.is_equivalent(unit):
        raise ConfigError(
            f"{path}: column {name!r} is in {found}, expected {unit} or another angle"
        )

    return [float(found.to(unit)) * value for value in values]


def _numbers(column: Column, hours: bool = False) -> list[float]:
    values = np.ma.masked_array(column)
    if values.dtype.kind not in "iuf":
        return [_number(text, hours) for text in _texts(column)]

    return np.ma.filled(values.astype(np.float64), math.nan).tolist()


def _number(text: str, hours: bool) -> float:
    if match := _SEXAGESIMAL.fullmatch(text):
        sign, whole, unit, minutes, seconds = match.groups()
        if max(float(minutes), float(seconds)) >= 60:
            return math.nan
        value = float(whole) + float(minutes) / 60 + float(seconds) / 3600
        value *= 15 if hours and unit not in "d°" else 1
        return -value if sign == "-" else value

    try:
        return float(text)
    except ValueError:
        return math.nan


def _labels(table: Table, columns: Columns) -> list[tuple[str, str]]:
    if columns.label is None:
        return [("", "")] * len(table)
    texts = _texts(table[columns.label])
    if columns.threshold is not None:
        values = _numbers(table[columns.label])
        return [_side(*pair, columns) for pair in zip(texts, values, strict=True)]

    return [_label(text, columns) for text in _whole(texts, table[columns.label], columns)]


def _whole(texts: list[str], column: Column, columns: Columns) -> list[str]:
    r"""Returns labels that are integers as such: with a blank among them, real numbers are kept.

    Those that are wanted as they are stay so.
    """

    if column.dtype.kind != "f":
        return texts
    values = np.array(_numbers(column))
    if np.any(values[np.isfinite(values)] % 1):
        return texts
    wanted = {*columns.classes, *columns.rename}

    return [text if text in wanted else text.removesuffix(".0") for text in texts]


def _side(text: str, value: float, columns: Columns) -> tuple[str, str]:
    if not math.isnan(value):
        return columns.classes[int(value >= (columns.threshold or 0.0))], ""
    if not text or text.lower() == "nan":
        return "", ""

    return "", f"unknown label {text!r}, expected a number, as threshold={columns.threshold:g}"


def _label(text: str, columns: Columns) -> tuple[str, str]:
    label = columns.rename.get(text, text)
    if not label or not columns.classes or label in columns.classes:
        return label, ""

    return "", f"unknown label {text!r}, {suggest(text, columns.classes)}"

r"""Tables of any format astronomers keep them in."""

__all__ = ["read_table"]

import csv
import gzip
import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers.expat import ExpatError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from astropy.table import Column, MaskedColumn, Table
from astropy.units import Unit
from numpy.typing import NDArray

from pipeline.catalogue.formats import ASTROPY
from pipeline.errors import DataError, suggest

_FAULTS = (
    ArithmeticError,
    AttributeError,
    ExpatError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    pa.ArrowException,
)
r"""All that the readers are seen to raise on damaged files."""

_PADDED = r"^[+-]?0[0-9]"
_SPOILT = r"^\d+\.0$|^\d\.\d+[eE]\+?\d+$"
_MISSING = ["", "--", "N/A", "NA", "NULL", "NaN", "nan", "null"]
_PRIVATE = (b"ARROW:schema", b"pandas", ASTROPY.encode(), b"table::len::")


def read_table(path: Path, texts: Collection[str | None] = ()) -> Table:
    r"""Reads a table.

    Strings are never bytes nor masked, missing numbers are NaN or, among integers, masked.
    A column of digits of which one begins with 0 is one of names, not of numbers. Columns of a
    `.csv` file that have no name themselves, such as the index of pandas, are left out.

    Arguments:
        path: A `.fits`, `.vot`, `.xml`, `.ecsv`, `.csv` or `.parquet` file; all but the last
            may be compressed (`.gz`). A `.csv` file may also be separated by `;` or tabs.
        texts: The columns of a `.csv` file that are texts, whatever they look like: `12.10` is
            not `12.1`. Integers that some program has written as real numbers, all of them,
            are still numbers.

    Raises:
        DataError: If it cannot be read, or if two columns have one name. (Those of an ECSV or
            VOTable file are told apart by astropy.)
    """

    path = Path(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    suffix = next((s for s in reversed(suffixes) if s != ".gz"), "")
    if suffix not in _READERS:
        raise DataError(f"{path} is of no known kind of table, {suggest(suffix, _READERS)}")

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader = _READERS[suffix]
            return _tidy(_read_csv(path, texts) if reader is _read_csv else reader(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except _FAULTS as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise DataError(f"{path} is not a table that can be read: {reason}") from error


def _read_fits(path: Path) -> Table:
    table = Table.read(path, format="fits")
    table.meta = {str(key).lower(): value for key, value in table.meta.items()}
    for i, column in enumerate(table.itercols(), 1):
        column.description = table.meta.pop(f"tcomm{i}", column.description)
        table.meta.pop(f"tucd{i}", None)

    return table


def _read_votable(path: Path) -> Table:
    # Identifiers are for machines: people see names
    table = Table.read(path, format="votable", use_names_over_ids=True)
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for _, element in ElementTree.iterparse(file, ("start",)):
            kind = element.tag.rpartition("}")[2]
            if kind == "DATA":
                break
            if kind == "PARAM":
                table.meta[element.get("name", "")] = element.get("value", "")

    return table


def _read_ecsv(path: Path) -> Table:
    return Table.read(path, format="ascii.ecsv")


def _read_parquet(path: Path) -> Table:
    _check_names(pq.read_schema(path).names)

    return _from_arrow(pq.read_table(path, partitioning=None))


def _read_csv(path: Path, texts: Collection[str | None] = ()) -> Table:
    data, skipped = path.read_bytes(), 0
    if data.startswith(b"\x1f\x8b"):
        data = gzip.decompress(data)
    if data.startswith(b"# %ECSV"):
        return Table.read(data.decode(), format="ascii.ecsv")

    while data.startswith(b"#"):
        data, skipped = data.partition(b"\n")[2], skipped + 1
    _check_text(data, skipped)
    line = data.partition(b"\n")[0].decode("utf-8-sig").rstrip("\r")
    delimiter = max(",;\t", key=line.count)
    names = next(csv.reader([line], delimiter=delimiter), [])
    _check_names([name.strip() for name in names if name.strip()])
    text = arrow_csv.read_csv(
        pa.BufferReader(data),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )

    names = [name.strip() for name in names]
    pairs = zip(text.columns, names, strict=True)
    columns = {name: _typed(column, name, texts) for column, name in pairs if name}

    return _from_arrow(pa.table(columns))


def _check_text(data: bytes, skipped: int) -> None:
    try:
        if not data.isascii():  # which costs no memory
            data.decode()
    except UnicodeDecodeError as error:
        line = skipped + data.count(b"\n", 0, error.start) + 1
        raise DataError(f"line {line} is not UTF-8, expected UTF-8: save it as UTF-8") from error


def _check_names(names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(f"it has {count} columns {name!r}, expected one of each name")


def _typed(column: pa.ChunkedArray, name: str, texts: Collection[str | None]) -> pa.ChunkedArray:
    text = pc.utf8_trim_whitespace(column)
    values = pc.if_else(pc.is_in(text, pa.array(_MISSING)), pa.scalar(None, pa.string()), text)
    if values.null_count == len(values) or pc.any(pc.match_substring_regex(text, _PADDED)).as_py():
        return text
    told = name in texts and not pc.all(pc.match_substring_regex(values, _SPOILT)).as_py()
    for kind in (pa.int64(), pa.float64(), pa.bool_()):
        try:
            typed = values.cast(kind)
            return values if told else typed
        except pa.ArrowInvalid:
            continue

    return text


def _from_arrow(data: pa.Table) -> Table:
    table = Table()
    for field, values in zip(data.schema, data.columns, strict=True):
        notes = {k.decode(): v.decode() for k, v in (field.metadata or {}).items()}
        unit = Unit(notes["unit"], parse_strict="silent") if notes.get("unit") else None
        column = MaskedColumn(*_from_column(values), unit=unit)
        table[field.name] = column if column.mask.any() else Column(column)
        table[field.name].description = notes.get("description")
    notes = {k: v for k, v in (data.schema.metadata or {}).items() if not k.startswith(_PRIVATE)}
    table.meta = {key.decode(): value.decode() for key, value in notes.items()}

    return table


def _from_column(values: pa.ChunkedArray) -> tuple[NDArray, str, NDArray[np.bool_]]:
    r"""Returns the values, no name, and where they are missing."""

    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    missing = values.is_null().to_numpy()
    kind = values.type
    if pa.types.is_floating(kind):
        return values.to_numpy(), "", np.zeros(len(values), bool)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return values.fill_null(False if pa.types.is_boolean(kind) else 0).to_numpy(), "", missing
    words = ["" if word is None else str(word) for word in values.to_pylist()]

    return np.array(words, dtype=str), "", np.zeros(len(values), bool)


def _tidy(table: Table) -> Table:
    for name in table.colnames:
        table.replace_column(name, _plain(table[name]))

    return table


def _plain(column: Column) -> Column:
    r"""Returns a column in native byte order, with blanks as NaN or empty texts where it can."""

    masked, kind = isinstance(column, MaskedColumn), column.dtype.kind
    if kind in "SUO":
        column = _words(column)
    elif masked and kind == "f":
        column = Column(column.filled(np.nan))
    elif masked and not column.mask.any():
        column = Column(column)

    return column if column.dtype.isnative else column.astype(column.dtype.newbyteorder("="))


def _words(column: Column) -> Column:
    # The fill of an object column would be text of its own.
    blank = b"" if column.dtype.kind == "S" else "" if column.dtype.kind == "U" else None
    values = column.filled(blank) if isinstance(column, MaskedColumn) else np.asarray(column)
    words = [w.decode("utf-8", "replace") if isinstance(w, bytes) else w for w in values.flat]
    if not all(isinstance(word, str) or word is None for word in words):
        return column
    text = np.array([word or "" for word in words], dtype=str).reshape(values.shape)

    return Column(text, description=column.description)


_READERS: dict[str, Callable[[Path], Table]] = {
    ".fits": _read_fits,
    ".fit": _read_fits,
    ".vot": _read_votable,
    ".votable": _read_votable,
    ".xml": _read_votable,
    ".ecsv": _read_ecsv,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
}

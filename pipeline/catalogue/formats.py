r"""How rows are spelled in each format of catalogue.

All hold any text, but FITS: there, what is not ASCII is escaped.
"""

__all__ = ["ASTROPY", "FORMATS", "Column", "Rows"]

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.fits import Value, header_bytes

_BLOCK = 2880

# What a string of FITS cannot hold, and what it could be mistaken for if escaped.
_ODD = r"[^ -~]|\\[uU]"

# (NumPy, FITS, VOTable, ECSV) for each type of column. Strings are as wide as the longest.
_TYPES = {
    pa.bool_(): ("S1", "L", "boolean", "bool"),
    pa.int16(): (">i2", "I", "short", "int16"),
    pa.int32(): (">i4", "J", "int", "int32"),
    pa.int64(): (">i8", "K", "long", "int64"),
    pa.float32(): (">f4", "E", "float", "float32"),
    pa.float64(): (">f8", "D", "double", "float64"),
    pa.string(): ("S{}", "{}A", "char", "string"),
}

ASTROPY = "table_meta_yaml"
r"""Where astropy keeps the header of a table in a Parquet file."""


@dataclass(frozen=True)
class Column:
    r"""What a column means.

    Arguments:
        name: The name.
        unit: The unit, in the spelling of FITS and VOTable, e.g. `deg`. None if empty.
        description: What it holds, in a sentence.
    """

    name: str
    unit: str = ""
    description: str = ""


@dataclass(frozen=True)
class Rows:
    r"""A table that passes by in batches, as often as wanted.

    Arguments:
        columns: What the columns mean, in order.
        schema: Their types, which are among seven plain ones.
        count: The number of rows.
        batches: Starts again from the first batch.
        metadata: What is to be known about the table.
    """

    columns: Sequence[Column]
    schema: pa.Schema
    count: int
    batches: Callable[[], Iterator[pa.RecordBatch]]
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class _Layout:
    r"""Rows of fixed width, which FITS and VOTable share.

    Arguments:
        dtype: How a row is stored.
        widths: The length of the longest string of each column, in ASCII or UTF-16 units.
        wide: Which columns hold anything but ASCII, and are stored in UTF-16.
        nulls: Which columns have nulls.
    """

    dtype: np.dtype
    widths: tuple[int, ...]
    wide: tuple[bool, ...]
    nulls: tuple[bool, ...]

    @classmethod
    def of(cls, rows: Rows) -> "_Layout":
        widths = [1] * len(rows.columns)
        wide, nulls = [False] * len(rows.columns), [False] * len(rows.columns)
        for batch in rows.batches():
            for i, values in enumerate(batch.columns):
                nulls[i] |= values.null_count > 0
                if pa.types.is_string(values.type):
                    ascii_only, longest = _extent(values)
                    wide[i] |= not ascii_only
                    widths[i] = max(widths[i], longest)

        sizes = [2 * w if two else w for w, two in zip(widths, wide, strict=True)]
        spelled = [_TYPES[f.type][0].format(n) for f, n in zip(rows.schema, sizes, strict=True)]
        dtype = np.dtype([(f"c{i}", spelling) for i, spelling in enumerate(spelled)])

        return cls(dtype, tuple(widths), tuple(wide), tuple(nulls))

    def pack(self, batch: pa.RecordBatch) -> NDArray:
        packed = np.zeros(batch.num_rows, self.dtype)
        names = self.dtype.names or ()
        for name, values, wide in zip(names, batch.columns, self.wide, strict=True):
            packed[name] = _plain(values, wide)

        return packed


def _extent(values: pa.Array) -> tuple[bool, int]:
    r"""Tells whether all strings are ASCII, and the length of the longest in UTF-16 units."""

    if pc.all(pc.string_is_ascii(values)).as_py() is not False:
        return True, pc.max(pc.binary_length(values)).as_py() or 0
    lengths = [len(word.encode("utf-16-be")) // 2 for word in values.drop_null().to_pylist()]

    return False, max(lengths)


def _plain(values: pa.Array, wide: bool) -> NDArray:
    if pa.types.is_string(values.type):
        encoding = "utf-16-be" if wide else "ascii"
        return np.array([word.encode(encoding) for word in _spelled(values).to_pylist()], "S")
    if pa.types.is_boolean(values.type):
        text = pc.if_else(values, "T", "F").fill_null("\0")
        return np.array(text.to_pylist(), dtype=bytes)
    if pa.types.is_integer(values.type):
        return values.fill_null(_null(values.type)).to_numpy(zero_copy_only=False)

    return values.to_numpy(zero_copy_only=False)


def _null(kind: pa.DataType) -> int:
    return -(2 ** (kind.bit_width - 1))


def _write_parquet(file: BinaryIO, rows: Rows) -> None:
    r"""Writes Parquet, with units and descriptions beside the fields, and once more in the
    words that astropy looks for."""

    widths = zip(rows.columns, _Layout.of(rows).widths, strict=True)
    metadata = {**rows.metadata, ASTROPY: "\n".join(_header_lines(rows))}
    metadata |= {f"table::len::{column.name}": str(width) for column, width in widths}
    notes = [{"unit": c.unit, "description": c.description} for c in rows.columns]
    fields = [f.with_metadata(n) for f, n in zip(rows.schema, notes, strict=True)]
    schema = pa.schema(fields, metadata=metadata)
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in rows.batches():
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))


def _write_fits(file: BinaryIO, rows: Rows) -> None:
    r"""Writes a binary table, in which text is printable ASCII and nothing else.

    Any other character is written as `\uXXXX`, or `\UXXXXXXXX` beyond `\uFFFF`, so that
    different names stay different; so is a backslash that would seem to begin such an escape.

    References:
        | Definition of the Flexible Image Transport System, version 4.0, section 7.3 (2018)
        | https://fits.gsfc.nasa.gov/fits_standard.html
    """

    rows = _in_ascii(rows)
    layout = _Layout.of(rows)
    primary: list[tuple[str, Value]] = [
        ("SIMPLE", True),
        ("BITPIX", 8),
        ("NAXIS", 0),
        ("EXTEND", True),
    ]
    file.write(header_bytes(primary))
    file.write(header_bytes(_fits_cards(rows, layout)))
    for batch in rows.batches():
        file.write(layout.pack(batch).tobytes())
    file.write(bytes(-rows.count * layout.dtype.itemsize % _BLOCK))


def _in_ascii(rows: Rows) -> Rows:
    def batches() -> Iterator[pa.RecordBatch]:
        for batch in rows.batches():
            columns = [_escaped_all(values) for values in batch.columns]
            yield pa.RecordBatch.from_arrays(columns, schema=rows.schema)

    columns = [
        replace(column, name=_escaped(column.name), description=_escaped(column.description))
        for column in rows.columns
    ]
    metadata = {key: _escaped(value) for key, value in rows.metadata.items()}

    return replace(rows, columns=columns, batches=batches, metadata=metadata)


def _escaped_all(values: pa.Array) -> pa.Array:
    values = _spelled(values) if pa.types.is_string(values.type) else values
    if pa.types.is_string(values.type) and pc.any(pc.match_substring_regex(values, _ODD)).as_py():
        return pa.array([_escaped(word) for word in values.to_pylist()], pa.string())

    return values


def _escaped(text: str) -> str:
    def escape(found: re.Match[str]) -> str:
        number = ord(found[0][0])
        return (f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}") + found[0][1:]

    return re.sub(_ODD, escape, text)


def _fits_cards(rows: Rows, layout: _Layout) -> Iterator[tuple[str, Value]]:
    axes = (layout.dtype.itemsize, rows.count)
    head: dict[str, Value] = {"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2}
    head |= {"NAXIS1": axes[0], "NAXIS2": axes[1], "PCOUNT": 0, "GCOUNT": 1}
    yield from (head | {"TFIELDS": len(rows.columns), "EXTNAME": "CATALOGUE"}).items()
    for i, (column, field) in enumerate(zip(rows.columns, rows.schema, strict=True)):
        yield f"TTYPE{i + 1}", column.name
        yield f"TFORM{i + 1}", _TYPES[field.type][1].format(layout.widths[i])
        if column.unit:
            yield f"TUNIT{i + 1}", column.unit
        if column.description:
            yield f"TCOMM{i + 1}", column.description
        if layout.nulls[i] and pa.types.is_integer(field.type):
            yield f"TNULL{i + 1}", _null(field.type)
    yield from rows.metadata.items()


def _write_votable(file: BinaryIO, rows: Rows) -> None:
    r"""Writes a VOTable, with columns of `unicodeChar` where they hold more than ASCII."""

    layout = _Layout.of(rows)
    file.write("\n".join(_votable_lines(rows, layout)).encode())

    # Lines of base64 are 57 bytes long: what is left over waits for the next batch.
    waiting = b""
    for batch in rows.batches():
        nulls = np.stack([values.is_null().to_numpy(False) for values in batch.columns], axis=1)
        flags = np.packbits(nulls, axis=1)
        body = np.ascontiguousarray(layout.pack(batch)).view(np.uint8)
        body = body.reshape(batch.num_rows, layout.dtype.itemsize)
        waiting += np.hstack([flags, body]).tobytes()
        whole = len(waiting) // 57 * 57
        file.write(base64.encodebytes(waiting[:whole]))
        waiting = waiting[whole:]
    file.write(base64.encodebytes(waiting))
    file.write(b"</STREAM></BINARY2></DATA></TABLE></RESOURCE></VOTABLE>\n")


def _votable_lines(rows: Rows, layout: _Layout) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
    yield f'<RESOURCE type="results"><TABLE name="catalogue" nrows="{rows.count}">'
    for key, value in rows.metadata.items():
        if key == "description":
            yield f"<DESCRIPTION>{escape(value)}</DESCRIPTION>"
    for key, value in rows.metadata.items():
        shown = f"name={quoteattr(key)} value={quoteattr(value)}"
        kind = "char" if value.isascii() else "unicodeChar"
        yield f'<PARAM datatype="{kind}" arraysize="*" {shown}/>'
    for i, (column, field) in enumerate(zip(rows.columns, rows.schema, strict=True)):
        kind = "unicodeChar" if layout.wide[i] else _TYPES[field.type][2]
        kind = f'datatype="{kind}"'
        kind += f' arraysize="{layout.widths[i]}"' if pa.types.is_string(field.type) else ""
        kind += f" unit={quoteattr(column.unit)}" if column.unit else ""
        yield f"<FIELD name={quoteattr(column.name)} {kind}>"
        yield f"<DESCRIPTION>{escape(column.description)}</DESCRIPTION></FIELD>"
    yield '<DATA><BINARY2><STREAM encoding="base64">\n'


def _write_csv(file: BinaryIO, rows: Rows) -> None:
    r"""Writes ECSV, which is CSV with its metadata in comments that TOPCAT understands.

    References:
        | ECSV: a self-describing table format (Taylor et al., 2022)
        | https://github.com/astropy/astropy-APEs/blob/main/APE6.rst
    """

    for line in ("%ECSV 1.0", "---", "delimiter: ','", *_header_lines(rows)):
        file.write(f"# {line}\n".encode())
    text = [pa.string() if pa.types.is_boolean(f.type) else f.type for f in rows.schema]
    schema = pa.schema([pa.field(f.name, t) for f, t in zip(rows.schema, text, strict=True)])
    with arrow_csv.CSVWriter(file, schema) as writer:
        for batch in rows.batches():
            columns = [_spelled(values) for values in batch.columns]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _header_lines(rows: Rows) -> Iterator[str]:
    r"""Says in YAML what columns there are, as astropy does. JSON is YAML too."""

    yield "datatype:"
    for column, field in zip(rows.columns, rows.schema, strict=True):
        notes = {"name": column.name, "unit": column.unit, "datatype": _TYPES[field.type][3]}
        notes["description"] = column.description
        yield f"- {json.dumps({k: v for k, v in notes.items() if v})}"
    yield f"meta: {json.dumps(dict(rows.metadata))}"


def _spelled(values: pa.Array) -> pa.Array:
    if pa.types.is_boolean(values.type):
        return pc.if_else(values, "True", "False")
    if pa.types.is_string(values.type):
        return pc.replace_substring_regex(values.fill_null(""), r"[\r\n]+", " ")

    return values


FORMATS: dict[str, Callable[[BinaryIO, Rows], None]] = {
    ".parquet": _write_parquet,
    ".fits": _write_fits,
    ".vot": _write_votable,
    ".xml": _write_votable,
    ".csv": _write_csv,
    ".ecsv": _write_csv,
}
r"""What writes each kind of file, by suffix."""

r"""Catalogues written whole or not at all, in constant memory."""

__all__ = ["concatenate", "write_table"]

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import MaskedColumn, Table

from pipeline.catalogue.formats import FORMATS, Column, Rows
from pipeline.errors import ConfigError, DataError, suggest
from pipeline.files import replacing

_BATCH = 16384
_WIDER = {
    pa.int8(): pa.int16(),
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
    pa.float16(): pa.float32(),
}
_PLAIN = {pa.bool_(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string()}


def concatenate(
    parts: Sequence[Path],
    path: Path,
    columns: Sequence[Column],
    metadata: Mapping[str, str],
) -> None:
    r"""Joins the parts of a catalogue, in order, into one file of any format.

    Rows pass by in batches, so that memory does not grow with the catalogue.

    Arguments:
        parts: Parquet files with the same columns of strings, booleans and numbers.
        path: The catalogue, which ends in `.parquet`, `.fits`, `.vot` or `.csv`.
        columns: What each column means. Those that it does not name are left out.
        metadata: What is to be known about the table: schema metadata in Parquet, cards in
            FITS, parameters in a VOTable, comments in CSV.

    Raises:
        ConfigError: If the suffix is unknown.
        DataError: If the parts cannot be read, or differ, or lack a column.
        PipelineError: If the catalogue cannot be written.
    """

    write = _writer(path)
    files = [_open(part) for part in parts]
    if not files:
        raise DataError(f"{path} would have no parts, expected one at least")
    names = [column.name for column in columns]
    plain = _shared_schema(files, parts, names)
    count = sum(file.metadata.num_rows for file in files)

    def batches() -> Iterator[pa.RecordBatch]:
        for part, file in zip(parts, files, strict=True):
            try:
                for batch in file.iter_batches(_BATCH, columns=names):
                    yield batch.select(names).cast(plain)
            except (OSError, pa.ArrowException) as error:
                raise DataError(f"{part} cannot be read: {error}") from error

    with replacing(path) as out:
        write(out, Rows(columns, plain, count, batches, metadata))


def write_table(table: Table, path: Path) -> None:
    r"""Writes a table, in the format of the suffix.

    Arguments:
        table: Columns of strings, booleans and numbers, with shape `(N)` each.
        path: The file, which ends in `.parquet`, `.fits`, `.vot`, `.ecsv` or `.csv`.

    Raises:
        ConfigError: If the suffix is unknown.
        DataError: If a column has more than one dimension.
        PipelineError: If the file cannot be written.
    """

    write = _writer(path)
    columns = [
        Column(name, str(table[name].unit or ""), str(table[name].description or ""))
        for name in table.colnames
    ]
    try:
        arrow = pa.table({name: _to_arrow(table[name]) for name in table.colnames})
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"{path} cannot hold the table: {error}") from error
    arrow = arrow.cast(_flat(arrow.schema, path))
    metadata = {str(key): str(value) for key, value in table.meta.items()}

    def batches() -> Iterator[pa.RecordBatch]:
        yield from arrow.to_batches(_BATCH)

    with replacing(path) as out:
        write(out, Rows(columns, arrow.schema, arrow.num_rows, batches, metadata))


def _writer(path: Path) -> Callable[[BinaryIO, Rows], None]:
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ConfigError(f"{path} ends in {suffix!r}, {suggest(suffix, FORMATS)}")

    return FORMATS[suffix]


def _open(part: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(part)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{part} is not a part of a catalogue: {error}") from error


def _shared_schema(
    files: Sequence[pq.ParquetFile], parts: Sequence[Path], names: Sequence[str]
) -> pa.Schema:
    schemas = [_flat(_named(f, p, names), p) for f, p in zip(files, parts, strict=True)]
    for part, schema in zip(parts, schemas, strict=True):
        for field, expected in zip(schema, schemas[0], strict=True):
            if field != expected:
                raise DataError(
                    f"{part} has column {field.name!r} of type {field.type},"
                    f" expected {expected.type} as in {parts[0]}"
                )

    return schemas[0]


def _named(file: pq.ParquetFile, part: Path, names: Sequence[str]) -> pa.Schema:
    schema = file.schema_arrow
    for name in names:
        if name not in schema.names:
            raise DataError(f"{part} has no column {name!r}, {suggest(name, schema.names)}")

    return pa.schema([pa.field(name, schema.field(name).type) for name in names])


def _flat(schema: pa.Schema, source: Path) -> pa.Schema:
    fields = []
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_large_string(kind) or pa.types.is_null(kind):
            kind = pa.string()
        kind = _WIDER.get(kind, kind)
        if kind not in _PLAIN:
            raise DataError(
                f"{source} has column {field.name!r} of type {field.type},"
                " expected strings, booleans or numbers"
            )
        fields.append(pa.field(field.name, kind))

    return pa.schema(fields)


def _to_arrow(column: MaskedColumn) -> pa.Array:
    values = np.asarray(column)
    if values.ndim != 1:
        raise ValueError(f"column {column.name!r} has shape {values.shape}, expected (N)")
    mask = np.asarray(column.mask) if isinstance(column, MaskedColumn) else None
    if values.dtype.kind in "SUO":
        words = [w.decode() if isinstance(w, bytes) else str(w) for w in values]
        return pa.array(words, pa.string(), mask=mask)

    return pa.array(values.astype(values.dtype.newbyteorder("=")), mask=mask)

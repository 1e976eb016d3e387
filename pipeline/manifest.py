r"""The manifest of a store: one row per input, in parts that are written one after the other."""

__all__ = ["blank_row", "read_manifest", "schema"]

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import DataError

PER_BAND = ("sky", "noise", "coverage", "saturation", "zero_point")
UNKNOWN = {pa.string(): "", pa.float64(): float("nan"), pa.int32(): -1}


def schema(bands: Sequence[str]) -> pa.Schema:
    r"""Returns the columns of a manifest, those of each band at the end."""

    texts = ("id", "status", "flags", "reason", "source", "stamp", "digest")
    numbers = ("scale_arcsec", *(f"{name}_{band}" for band in bands for name in PER_BAND))

    return pa.schema(
        [(name, pa.string()) for name in texts]
        + [("ra", pa.float64()), ("dec", pa.float64()), ("label", pa.string())]
        + [("unit", pa.string()), ("shard", pa.int32()), ("row", pa.int32())]
        + [(name, pa.float64()) for name in numbers]
    )


def blank_row(bands: Sequence[str]) -> dict[str, Any]:
    r"""Returns a row of which nothing is known."""

    return {field.name: UNKNOWN[field.type] for field in schema(bands)}


def read_manifest(parts: Sequence[Path], bands: Sequence[str], columns: Sequence[str]) -> pa.Table:
    r"""Reads the newest row of each input, in the order in which inputs were first seen.

    Arguments:
        parts: The files, in the order in which they were written.
        bands: The bands of the store.
        columns: Those to read, of which `id` is one.

    Raises:
        DataError: If a part is damaged, or has other columns.
    """

    wanted = pa.schema([schema(bands).field(name) for name in columns])
    tables = [_read_part(path, bands, wanted) for path in parts]
    table = pa.concat_tables([wanted.empty_table(), *tables]).combine_chunks()

    keys = table["id"].combine_chunks().dictionary_encode()
    newest = np.zeros(len(keys.dictionary), np.int64)
    np.maximum.at(newest, keys.indices.to_numpy(), np.arange(len(table)))

    return table if len(newest) == len(table) else table.take(newest)


def _read_part(path: Path, bands: Sequence[str], wanted: pa.Schema) -> pa.Table:
    try:
        part = pq.read_table(path, columns=wanted.names)
    except (pa.ArrowException, OSError) as error:
        why = str(error).splitlines()[0].rpartition("': ")[2].rstrip(".")
        raise DataError(f"{path} is damaged ({why}), expected a part of the manifest") from error
    if not part.schema.equals(wanted):
        found = ", ".join(f"{one.name} {one.type}" for one in set(part.schema) - set(wanted))
        raise DataError(
            f"{path} is no part of this manifest: found {found or 'other columns'}, expected"
            f" those of the bands {', '.join(bands)}"
        )

    return part

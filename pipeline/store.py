r"""A folder of cutouts ready to train on.

Pixels lie in `.npy` shards, `(n, C, H, W)` in float16: flux minus sky, over the noise of its
band, NaN where nothing was observed. Beside each shard a Parquet part of the manifest has one
row per input. A part is renamed into place after its shard, so that what is committed is always
a prefix of whole shards, whenever the writer dies.
"""

__all__ = ["Store", "StoreInfo"]

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import ConfigError, DataError
from pipeline.files import locked, replacing
from pipeline.manifest import blank_row, read_manifest, schema

OPEN = 512
r"""How many shards are mapped at once. Each holds a file open, and a process may hold 1,024."""

MOST_ALIKE = 20_000
r"""How many identifiers a wrong one is compared with, which takes a second."""

ANEW = "run `tuningfork ingest` again, which writes it anew"


@dataclass(frozen=True)
class StoreInfo:
    r"""What all cutouts of a store have in common.

    Arguments:
        bands: The names of the :math:`C` bands, from blue to red.
        height: The number of rows :math:`H`.
        width: The number of columns :math:`W`.
        scale: The scale of the grid, e.g. `native`, `0.396 arcsec` or `4 x petro_r`.
        survey: The survey the images come from.
        classes: The classes that labels may name, in order. Empty if there are no labels.
    """

    bands: tuple[str, ...]
    height: int
    width: int
    scale: str
    survey: str
    classes: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json.dumps({"version": 1} | asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        r"""Reads what :meth:`to_json` wrote.

        Raises:
            ValueError: If it is anything else.
        """

        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError(f"it holds {text.strip()[:40]}")
        kinds = {"bands": list, "height": int, "width": int, "scale": str, "survey": str}
        kinds |= {"classes": list}
        wrong = [name for name, kind in kinds.items() if type(found.get(name)) is not kind]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} missing or wrong")
        fields = {name: found[name] for name in kinds}

        return cls(**fields | {name: tuple(fields[name]) for name in ("bands", "classes")})


class Store:
    r"""Opens a store. What a killed writer left behind is not seen.

    Arguments:
        folder: A folder made by :meth:`create`.

    Raises:
        DataError: If the folder is not a store.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        try:
            self.info = StoreInfo.from_json((self.folder / "store.json").read_text())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DataError(
                f"{folder} has lost its store.json: {ANEW}"
                if self.is_at(folder)
                else f"{folder} is not a store, expected a folder with a store.json"
            ) from error
        except ValueError as error:
            raise DataError(
                f"{folder}/store.json is damaged ({error}), expected bands, size, scale, survey"
                f" and classes: delete that file and {ANEW}"
            ) from error

        self._shards: dict[int, NDArray[np.float16]] = {}
        self.refresh()

    @staticmethod
    def is_at(folder: Path) -> bool:
        r"""Tells whether a folder is a store, be it a damaged one."""

        folder = Path(folder)

        return (folder / "store.json").exists() or any(folder.glob("manifest/*.parquet"))

    @classmethod
    def open(cls, folder: Path) -> Self:
        r"""Opens a store that exists."""

        return cls(folder)

    @classmethod
    def create(cls, folder: Path, info: StoreInfo) -> Self:
        r"""Creates a store, or opens the one that is there, whose classes become those of `info`.
        One of nothing but rejected inputs is of no use, and becomes what is asked for.

        Raises:
            ConfigError: If the one that is there was made otherwise.
        """

        folder = Path(folder)
        if not (folder / "store.json").exists():
            with locked(folder):
                _describe(folder / "store.json", info)

        store = cls(folder)
        useless = len(store.manifest) and not len(store.usable)
        if useless and replace(store.info, classes=info.classes) != info:
            store = store._emptied(info)
        store.check(info)
        if store.info != info:
            with locked(folder), replacing(folder / "store.json", sync=True) as file:
                file.write(info.to_json().encode())
            store.info = info

        return store

    def _emptied(self, info: StoreInfo) -> Self:
        with self.lock():
            faster = type(self)(self.folder)
            if len(faster.usable):  # another process has filled it meanwhile
                return faster
            # The last ones first, so that what a kill leaves is a manifest still
            for path in sorted((self.folder / "manifest").glob("*.parquet"), reverse=True):
                path.unlink()
            with replacing(self.folder / "store.json", sync=True) as file:
                file.write(info.to_json().encode())

        return type(self)(self.folder)

    def check(self, info: StoreInfo) -> None:
        r"""Refuses a store that was made otherwise, but for what labels there may be, of which
        no pixel depends.

        Raises:
            ConfigError: If it was.
        """

        for name, wanted in asdict(info).items():
            if name != "classes" and (found := getattr(self.info, name)) != wanted:
                raise ConfigError(
                    f"{self.folder} was made with {name}={found!r}, not {wanted!r}:"
                    " choose another folder for the store, or delete this one"
                )

    @contextmanager
    def lock(self) -> Iterator[None]:
        r"""Keeps other writers out, waiting for the one at work. A kill releases it."""

        with locked(self.folder):
            self.refresh()
            uncommitted = self.folder.glob(f"shards/{_name(self._num_parts)}.npy")
            for leftover in (*uncommitted, *self.folder.rglob(".*.part")):
                leftover.unlink()
            yield

    def refresh(self) -> None:
        r"""Sees what other processes committed since."""

        names = {path.name for path in (self.folder / "manifest").glob("*.parquet")}
        self._num_parts = len(names)
        missing = {_name(i) + ".parquet" for i in range(len(names))} - names
        if missing:
            lost = f"{self.folder}/manifest has lost {', '.join(sorted(missing))}"
            raise DataError(f"{lost}: {self._remedy}")
        seen = ("manifest", "usable", "fingerprint", "_index", "_rows", "_places", "_lengths")
        for name in seen:
            self.__dict__.pop(name, None)

    @functools.cached_property
    def manifest(self) -> pa.Table:
        r"""One row per input: the newest, in the order in which inputs were first seen."""

        return self._current(schema(self.info.bands).names)

    @functools.cached_property
    def usable(self) -> NDArray[np.int64]:
        r"""The rows of the manifest that have pixels, with shape `(N,)`."""

        return np.flatnonzero(self._places[0] >= 0)

    @functools.cached_property
    def fingerprint(self) -> str:
        r"""A hash of what is in the store, blind to the order in which it came.

        It depends on the content of the files, the labels, and what the last word of a stamp
        stands for: how the pixels were made. It does not on when or where the files were written.
        """

        used = self.manifest.select(["id", "digest", "label", "stamp"]).take(self.usable)
        rows = zip(*used.to_pydict().values(), strict=True)
        lines = sorted("\t".join((*row[:3], row[3].rpartition(" ")[2])) for row in rows)
        digest = hashlib.blake2b(self.info.to_json().encode(), digest_size=16)
        digest.update("\n".join(lines).encode())

        return digest.hexdigest()

    def row(self, id: str) -> int:
        r"""Returns the row of one input in the manifest.

        The first call of a process, and the first after each :meth:`refresh` or :meth:`commit`,
        reads all identifiers: about a second for a million. All others take constant time.

        Raises:
            DataError: If the store has never seen it.
        """

        try:
            return self._rows[id]
        except KeyError:
            found = f"{self.folder} has no galaxy {id!r} among {len(self._rows)}"
            near = get_close_matches(id, islice(self._rows, MOST_ALIKE), n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            raise DataError(found + hint) from None

    def verify(self) -> None:
        r"""Opens every shard that has pixels of a galaxy, and reads none.

        Raises:
            DataError: If one is missing, or is not of the size that the manifest tells.
        """

        for number in np.flatnonzero(self._lengths).tolist():
            self._shard(number)

    def gather(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        r"""Reads cutouts from the disk.

        Arguments:
            rows: Rows of the manifest that have pixels, in any order, with shape `(B,)`.

        Returns:
            The flux minus sky, over the noise, with shape `(B, C, H, W)`. Not covered is NaN.
        """

        rows = np.asarray(rows, np.int64)
        shards, places = (values[rows] for values in self._places)
        if len(rows) and shards.min() < 0:
            id = self._index["id"][int(rows[shards.argmin()])]
            raise DataError(f"{self.folder}: {id} was rejected, it has no pixels")

        shape = (len(rows), len(self.info.bands), self.info.height, self.info.width)
        pixels = np.empty(shape, np.float16)
        order = np.lexsort((places, shards))
        starts = np.flatnonzero(np.diff(shards[order], prepend=-1))
        for part in np.split(order, starts[1:]) if len(rows) else ():
            pixels[part] = self._shard(int(shards[part[0]]))[places[part]]

        return pixels

    def commit(self, pixels: NDArray[np.float16], rows: Sequence[Mapping[str, Any]]) -> None:
        r"""Appends one shard and its part of the manifest, both or none.

        Arguments:
            pixels: The cutouts of the rows that are not rejected, with shape `(n, C, H, W)`.
            rows: One row per input, in the columns of :func:`pipeline.manifest.schema` except
                `shard` and `row`. What is not given is unknown.

        Raises:
            PipelineError: If the disk is full. The store stays as it was.
        """

        number = self._num_parts
        unknown = blank_row(self.info.bands)
        filled = [unknown | dict(row) for row in rows]
        kept = [row for row in filled if row["status"] != "rejected"]
        if pixels.shape != (len(kept), len(self.info.bands), self.info.height, self.info.width):
            raise ValueError(f"pixels has shape {pixels.shape}, for {len(kept)} rows to keep")
        for i, row in enumerate(kept):
            row |= {"shard": number, "row": i}

        if kept:
            with replacing(self.folder / f"shards/{_name(number)}.npy", sync=True) as file:
                _write_npy(file, pixels)
        table = pa.Table.from_pylist(filled, schema(self.info.bands))
        with replacing(self.folder / f"manifest/{_name(number)}.parquet", sync=True) as file:
            pq.write_table(table, file)
        self.refresh()

    @property
    def _remedy(self) -> str:
        return f"restore it, or delete {self.folder} and run `tuningfork ingest` again"

    def _current(self, columns: Sequence[str]) -> pa.Table:
        numbers = range(self._num_parts)
        parts = [self.folder / f"manifest/{_name(number)}.parquet" for number in numbers]
        try:
            return read_manifest(parts, self.info.bands, columns)
        except DataError as error:
            raise DataError(f"{error}: {self._remedy}") from error

    @functools.cached_property
    def _index(self) -> pa.Table:
        # Most of a manifest is not needed to read pixels.
        return self._current(["id", "shard", "row"])

    @functools.cached_property
    def _rows(self) -> dict[str, int]:
        return {id: i for i, id in enumerate(self._index["id"].to_pylist())}

    @functools.cached_property
    def _places(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        return self._index["shard"].to_numpy(), self._index["row"].to_numpy()

    @functools.cached_property
    def _lengths(self) -> NDArray[np.int64]:
        r"""The number of cutouts that each shard must have, of what is not superseded."""

        lengths = np.zeros(self._num_parts, np.int64)
        shards, rows = (values[self.usable] for values in self._places)
        np.maximum.at(lengths, shards, rows + 1)

        return lengths

    def _shard(self, number: int) -> NDArray[np.float16]:
        if number not in self._shards:
            path = self.folder / f"shards/{_name(number)}.npy"
            try:
                shard = np.load(path, mmap_mode="r")
            except (OSError, ValueError) as error:
                why = f"{path} cannot be read ({error}), expected a shard"
                raise DataError(f"{why}: {self._remedy}") from error
            least = int(self._lengths[number])
            wanted = (len(self.info.bands), self.info.height, self.info.width)
            if shard.dtype != np.float16 or shard.shape[1:] != wanted or len(shard) < least:
                raise DataError(
                    f"{path} has {shard.dtype} of shape {shard.shape}, expected float16 of"
                    f" {least} or more cutouts of shape {wanted}: {self._remedy}"
                )
            if len(self._shards) >= OPEN:
                self._shards = {}
            self._shards[number] = shard

        return self._shards[number]


def _describe(path: Path, info: StoreInfo) -> None:
    # Another process may have been first
    if not path.exists():
        with replacing(path, sync=True) as file:
            file.write(info.to_json().encode())


def _name(number: int) -> str:
    return f"{number:06d}"


def _write_npy(file: BinaryIO, pixels: NDArray[np.float16]) -> None:
    pixels = np.ascontiguousarray(pixels, np.float16)
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(pixels))
    file.write(pixels.data)

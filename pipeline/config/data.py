r"""The sections that say where the galaxies are: the images, their table, labels and parts."""

__all__ = ["Data", "Labels", "Simulate", "Split", "Table"]

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from pipeline.config.base import Config
from pipeline.errors import ConfigError, suggest
from pipeline.labels import Scheme, check_labels


def _different(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("expected different names")

    return names


def _large_enough(size: int | tuple[int, int]) -> int | tuple[int, int]:
    if min(size if isinstance(size, tuple) else (size,)) < 8:
        raise ValueError("expected 8 pixels or more")

    return size


def _scale(scale: float | str) -> float | str:
    multiple = re.fullmatch(r"(\d+(?:\.\d+)?) x \S+", str(scale))
    factor = float(multiple[1]) if multiple else scale
    valid = factor == "native" if isinstance(factor, str) else factor > 0
    if not valid:
        raise ValueError("expected native, arcsec per pixel, or a text like '4 x petro_r'")

    return scale


class Simulate(Config):
    r"""The survey to draw, see :func:`pipeline.simulate.simulate`."""

    galaxies: int = Field(2000, gt=0)
    r"""How many galaxies to draw."""

    side: int = Field(64, ge=32)
    r"""The side of each cutout, in pixels."""

    seed: int = Field(0, ge=0)
    r"""The same seed writes the same bytes."""

    faults: float = Field(0.04, ge=0, le=1)
    r"""The share of galaxies with a fault of the camera."""


class Table(Config):
    r"""The table of galaxies, and which of its columns mean what."""

    path: Path
    r"""A FITS, VOTable, ECSV, CSV or Parquet table, one row per galaxy."""

    id: str | None = "id"
    ra: str | None = None
    dec: str | None = None
    size: str | None = None
    r"""The columns of the identifier, the position (degrees) and the angular size (arcsec)."""

    match_arcsec: float | None = Field(None, gt=0)
    r"""Match images to rows by position within this radius, rather than by identifier, of which
    there need be none (`id: null`). Not for frames of the sky, which need none either."""

    @model_validator(mode="after")
    def _has_places(self) -> Self:
        if self.match_arcsec and None in (self.ra, self.dec):
            raise ValueError(f"match_arcsec={self.match_arcsec:g} needs the columns ra and dec")

        return self


class Labels(Config):
    r"""What the labels of the table mean."""

    column: str
    r"""The column of `table` that holds the label."""

    classes: Annotated[tuple[str, ...], AfterValidator(_different)] = Field(min_length=2)
    r"""The classes, in the order of every output."""

    mirror: dict[str, str] = {}
    r"""The pairs of classes that a mirror swaps."""

    rename: dict[str, str] = {}
    r"""Labels of the table by other names: found -> class."""

    threshold: float | None = None
    r"""For a column of numbers: below it the first class, from it on the second."""

    @model_validator(mode="after")
    def _is_a_scheme(self) -> Self:
        try:
            Scheme.of(self.classes, self.mirror)
            check_labels(self.classes, self.rename, self.threshold)
        except ConfigError as error:
            raise ValueError(str(error)) from error

        return self


class Data(Config):
    r"""Where the images are, and the grid they are brought onto."""

    root: Path
    r"""The folder of the images."""

    pattern: str = "{id}.fits"
    r"""Where the file of a galaxy is below `root`, with `{id}`, `{band}` and `*`. Without
    `{id}` the files are frames of the sky, and galaxies are cut at the table's positions."""

    bands: Annotated[tuple[str, ...], AfterValidator(_different)] = Field(min_length=1)
    r"""The bands from blue to red, in the order of the planes of a cube."""

    band_text: dict[str, str] = {}
    r"""What stands for a band in file names, if not its own name."""

    hdu: int | str | None = None
    r"""The extension, by index or name; with `{band}`, one extension per band. By default, the
    first image that fits and is not called like errors, weights or a mask (`ERR`, `WHT`)."""

    survey: str = "unknown"
    r"""A key of :py:`pipeline.surveys.SURVEYS`, or a name of your own."""

    pixel_scale: float | None = Field(None, gt=0)
    r"""Arcsec per pixel of files without sky coordinates."""

    size: Annotated[int | tuple[int, int], AfterValidator(_large_enough)] = 64
    r"""The grid of the store, in pixels: a side, or `[height, width]`."""

    scale: Annotated[float | str, AfterValidator(_scale)] = "native"
    r"""Arcsec per pixel of the grid: `native`, a number, or `4 x petro_r` for a cutout that is
    four times as wide as that column of the table says."""

    cut_at: Literal["centre", "position"] = "centre"
    r"""Where the galaxy is in its file: in the middle, or at the table's position."""

    table: Table | None = None
    labels: Labels | None = None

    store: Path | None = None
    r"""The folder of the cutouts. By default, `store` in the folder of the experiment."""

    chunk: int = Field(256, gt=0)
    r"""The number of inputs per shard."""

    workers: int = Field(2, gt=0)
    r"""The number of processes that read."""

    @field_validator("band_text")
    @classmethod
    def _are_of_bands(cls, texts: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        bands = info.data.get("bands", texts)
        for name in texts:
            if name not in bands:
                raise ValueError(f"unknown band {name!r}, {suggest(name, bands)}")
        if texts and "{band}" not in info.data.get("pattern", "{band}"):
            raise ValueError(f"expected {{band}} in data.pattern={info.data['pattern']!r}")

        return texts

    @field_validator("table")
    @classmethod
    def _tells_rows_apart(cls, table: Table | None, info: ValidationInfo) -> Table | None:
        frames = "{id}" not in info.data.get("pattern", "{id}")
        if table and table.id is None and not table.match_arcsec and not frames:
            raise ValueError("id=None needs match_arcsec, expected a column")

        return table

    @property
    def shape(self) -> tuple[int, int]:
        r"""The number of rows and columns `(H, W)` of the grid."""

        return (self.size, self.size) if isinstance(self.size, int) else self.size


class Split(Config):
    r"""Which galaxies train, which validate and which test."""

    path: Path | None = None
    r"""A table `id, part` to be taken as it is. By default one is made."""

    validation: float = Field(0.1, gt=0, lt=1)
    test: float = Field(0.2, gt=0, lt=1)

    radius_arcsec: float = Field(0.0, ge=0)
    r"""Galaxies closer than this are kept in one part; 0 for the width of a cutout."""

    @model_validator(mode="after")
    def _leaves_some(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test leave nothing to train with")

        return self

r"""The files of an experiment, and how they are read."""

__all__ = ["feed", "info_of", "progress_bar", "reading_of", "recipe_of", "sources_of"]

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.config import Data
from pipeline.errors import ConfigError, suggest
from pipeline.feeds import FileFeed
from pipeline.ingest import Recipe
from pipeline.objects import Columns
from pipeline.sources import Source, find
from pipeline.store import StoreInfo
from pipeline.surveys import SURVEYS

_log = logging.getLogger(__name__)


def feed(data: Data, sources: Sequence[Source] | None = None) -> FileFeed:
    r"""Prepares files to be read without being kept.

    Arguments:
        data: How to read them.
        sources: The files, each all that there is of a galaxy. By default, those of the
            experiment, which are read as those of its store.
    """

    recipe = replace(recipe_of(data), whole=sources is not None)
    found = sources_of(data) if sources is None else sources

    return FileFeed(found, recipe, info_of(data), workers=data.workers)


def sources_of(data: Data, memory: Path | None = None) -> list[Source]:
    r"""Finds the files of an experiment, see :func:`pipeline.sources.find`."""

    return find(
        data.root,
        data.pattern,
        data.bands,
        band_text=data.band_text,
        table=_columns(data),
        match_arcsec=data.table.match_arcsec if data.table else None,
        hdu=data.hdu,
        memory=memory,
        workers=data.workers,
    )


def _columns(data: Data) -> Columns | None:
    if data.table is None:
        if data.labels:
            raise ConfigError(
                f"data.labels.column={data.labels.column!r} needs data.table, which is missing"
            )
        return None

    columns = data.table.model_dump(exclude={"match_arcsec"})
    if data.labels:
        columns |= data.labels.model_dump(exclude={"mirror", "column"})
        columns["label"] = data.labels.column

    return Columns(**columns)


def recipe_of(data: Data) -> Recipe:
    r"""Returns how they are read.

    Raises:
        ConfigError: If their scale is that of another column than the table has.
    """

    survey = SURVEYS.get(data.survey)
    if not survey and (near := get_close_matches(data.survey, SURVEYS, n=1, cutoff=0.8)):
        _log.warning("data.survey=%r is not known, did you mean %r?", data.survey, near[0])
    points = dict(zip(survey.bands, survey.zero_points, strict=True)) if survey else {}

    recipe = Recipe(
        bands=data.bands,
        size=data.shape,
        scale=data.scale,
        hdu=data.hdu,
        pixel_scale=data.pixel_scale,
        at=data.cut_at,
        zero_points=tuple(points.get(band, float("nan")) for band in data.bands if points),
    )
    known = data.table.size if data.table else None
    if recipe.size_column and recipe.size_column != known:
        expected = suggest(recipe.size_column, [known]) if known else "data.table.size has none"
        raise ConfigError(
            f"data.scale={data.scale!r} is in units of {recipe.size_column!r}, {expected}"
        )

    return recipe


def reading_of(data: Data) -> dict[str, Any]:
    r"""Returns how the pixels of a file are found, which a model needs of new files too."""

    return {"hdu": data.hdu, "pixel_scale": data.pixel_scale, "at": data.cut_at}


def info_of(data: Data) -> StoreInfo:
    r"""Returns what their cutouts have in common."""

    height, width = data.shape
    classes = data.labels.classes if data.labels else ()
    scale = recipe_of(data).scale_text

    return StoreInfo(data.bands, height, width, scale, data.survey, classes)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None] | None]:
    r"""Shows a progress bar on a terminal, and nothing elsewhere."""

    if not sys.stderr.isatty():
        yield None
        return

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)

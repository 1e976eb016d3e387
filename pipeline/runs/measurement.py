r"""From images to a catalogue of measured morphology."""

__all__ = ["measure"]

import math
import os
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from pipeline import config, runs
from pipeline.config import Data, Experiment, Morphometry
from pipeline.errors import ConfigError, DataError
from pipeline.feeds import Feed, StoreFeed
from pipeline.fits import read_frame
from pipeline.measurement import Options
from pipeline.measurement import measure as measure_feed
from pipeline.morphometry.psf import Kernel, separate
from pipeline.runs.images import find_images, layout
from pipeline.runs.inputs import feed, progress_bar, sources_of
from pipeline.sources import Source
from pipeline.store import Store

OF_IMAGES = tuple(
    f"data.{key}"
    for key in (
        *("bands", "size", "scale", "pixel_scale", "hdu", "survey", "workers"),
        *("pattern", "band_text"),
    )
)
r"""The settings of `data` that images without an experiment heed."""


def measure(input: Path, to: Path, overrides: Sequence[str] = ()) -> dict:
    r"""Measures a store, the files of an experiment, a folder of images or one image.

    Arguments:
        input: A store; an experiment, whose `data` say where the files are; or images, each one
            a row: cut out or padded to `data.size` where they are of several sizes. What is
            padded is not covered, and no reason to reject.
        to: The catalogue: `.parquet`, `.fits`, `.vot` or `.csv`.
        overrides: Settings that replace those of the experiment: those of `morphometry` for a
            store, those of `data` too for images.

    Raises:
        ConfigError: If a setting is not possible.
        DataError: If there is nothing to measure, or nothing of it can be.
    """

    input, to = Path(input), Path(to)
    inputs, settings = _inputs(input, overrides)
    kernels = _psfs(settings, inputs.info.bands)
    options = Options(settings.mode, settings.gain or math.inf, kernels, settings.draws)

    with progress_bar("measure") as progress:
        return measure_feed(inputs, to, options, workers=_workers(settings), progress=progress)


def _inputs(input: Path, overrides: Sequence[str]) -> tuple[Feed, Morphometry]:
    if not input.exists():
        raise DataError(f"{input} does not exist, expected a store, an experiment or images")
    if input.suffix in {".yaml", ".yml"}:
        experiment = config.load(input, overrides)
        if experiment.simulate:
            runs.simulate(experiment.data.root, **experiment.simulate.model_dump())
        return feed(experiment.data), experiment.morphometry

    if Store.is_at(input):
        store = Store.open(input)
        info = store.info
        settings = _experiment(input, info.bands, (info.height, info.width), overrides)
        _only(overrides, (), f"{input} is a store")
        return StoreFeed(store), settings.morphometry

    experiment = _experiment(input, ("1",), (64, 64), overrides)
    _only(overrides, OF_IMAGES, f"{input} is no experiment")
    given = {text.partition("=")[0].removeprefix("data.") for text in overrides}
    sources = _sources(experiment.data, given)
    if not given >= {"bands", "size"}:
        found = layout(sources, experiment.data.workers, given)
        experiment = _experiment(input, *found, overrides)

    return feed(experiment.data, sources), experiment.morphometry


def _sources(data: Data, given: Collection[str]) -> list[Source]:
    r"""Finds images without an experiment, each all that there is of a galaxy, unless a pattern
    says which belong together."""

    if "pattern" not in given:
        return find_images(data.root)
    if "{band}" in data.pattern and "bands" not in given:
        raise ConfigError(
            f"data.pattern={data.pattern!r} has {{band}}: say which, from blue to red, with --set"
            " data.bands=[NAMES]"
        )

    return sources_of(data)


def _only(overrides: Sequence[str], known: Sequence[str], what: str) -> None:
    r"""Refuses settings that would do nothing."""

    for setting in overrides:
        key = setting.partition("=")[0]
        if not key.startswith("morphometry.") and key not in known:
            raise ConfigError(
                f"--set {setting!r}: {what}, it takes {', '.join(['morphometry.*', *known])}"
            )


def _experiment(
    input: Path, bands: Sequence[str], size: tuple[int, int], overrides: Sequence[str]
) -> Experiment:
    r"""Makes an experiment of what has none."""

    tree = {"name": input.name, "data": {"root": input, "bands": list(bands), "size": list(size)}}

    return config.build(tree, overrides, input)


def _psfs(settings: Morphometry, bands: Sequence[str]) -> tuple[Kernel, ...]:
    if settings.psf is None:
        return ()

    found = []
    for band in bands:
        path = Path(str(settings.psf).replace("{band}", band))
        pixels = read_frame(path).pixels
        if unknown := int((~np.isfinite(pixels)).sum()):
            raise DataError(
                f"{path}: {unknown} of the {pixels.size} pixels of the PSF are NaN or infinite,"
                " expected a number in each"
            )
        try:
            found.append(separate(pixels))
        except DataError as error:
            raise DataError(f"{path}: {error}") from error

    return tuple(found)


def _workers(settings: Morphometry) -> int:
    return settings.workers or os.cpu_count() or 1

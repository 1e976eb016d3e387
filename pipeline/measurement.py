r"""From galaxies to a catalogue of measured morphology."""

__all__ = ["Options", "measure"]

import logging
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.units import Unit, UnitsWarning
from numpy.typing import NDArray

from pipeline import KERNEL_VERSION, __version__
from pipeline.catalogue import Column, contents, in_parts
from pipeline.compilation import compile_once
from pipeline.errors import DataError
from pipeline.feeds import ABOUT, STATUS, Feed, Records, all_rejected, describe, why_rejected
from pipeline.morphometry import FLAGS, Morphology, names
from pipeline.morphometry.cutouts import GRADIENT, measure_cutouts, neighbours
from pipeline.morphometry.fields import FLUXES, meaning, unit
from pipeline.morphometry.measure import Mode
from pipeline.morphometry.psf import Kernel
from pipeline.workers import in_order

TASK = 32
r"""The number of galaxies that a worker is handed at once."""

PART = 16
r"""The number of tasks per part, which is what a kill costs. More in long catalogues, so that
there are :data:`PARTS` at most."""

PARTS = 500

ODD = Column(
    "flags", "", "What is odd about the input as read; flags_BAND say if the galaxy itself is cut"
)

PLACES = (("x", "y"), ("x_centroid", "y_centroid"), ("sersic_x", "sersic_y"))
r"""The fields that are places in an image."""

MEANINGS = {
    "sky_level": "Level of the sky beyond what was taken off as the image was read, in its unit"
} | {
    name: f"{meaning(name)} in the cutout, in whose middle the target was looked for"
    for place in PLACES
    for name in place
}
r"""What fields mean that are other ones in a catalogue."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    r"""How galaxies are measured.

    Arguments:
        mode: `fast`, or `parity` for all choices of statmorph.
        gain: The photons per unit of the images, infinite without their noise.
        psfs: The point spread function of each band. None by default.
        draws: How many times noise is added for the errors, 0 for those to first order.
    """

    mode: Mode = "fast"
    gain: float = math.inf
    psfs: tuple[Kernel, ...] = ()
    draws: int = 0

    @property
    def digest(self) -> str:
        digest = blake2b(f"{self.mode} {self.gain} {self.draws}".encode(), digest_size=16)
        for psf in self.psfs:
            digest.update(psf.columns.tobytes() + psf.rows.tobytes())

        return digest.hexdigest()


def measure(
    feed: Feed,
    to: Path,
    options: Options = Options(),
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    r"""Measures all inputs of a feed.

    One row per input, in order: position, the scale of its pixels, the fields of
    :class:`Morphology` in each band, the colour gradients between neighbouring bands, flags,
    status and reason. Lengths are in pixels of the cutout, fluxes in the unit of the image, which
    their columns have too if it is the same for all. A rejected input has NaN for numbers.

    Parts are written as they are done, see :func:`pipeline.catalogue.in_parts`: run again after
    a kill, with the same options and inputs, it ends with the bytes it would have ended with,
    whatever the number of workers.

    Arguments:
        feed: What to measure.
        to: The catalogue: `.parquet`, `.fits`, `.vot` or `.csv`.
        options: How to measure.
        workers: The number of processes.
        progress: Called with the number of inputs that are done, and of all.

    Returns:
        The numbers of inputs, of those measured and rejected, and why, of parts found done, and of
        galaxies by flag of each band.

    Raises:
        ConfigError: If the catalogue is of no known format, or would replace another file.
        DataError: If there are no inputs, or if all are rejected. A catalogue that is there stays.
    """

    if not len(feed):
        raise DataError("nothing to measure: there is no input")

    size = TASK * max(PART, -(-len(feed) // (TASK * PARTS)))
    plan = _plan(feed, options, size)
    with in_parts(to, columns(feed.info.bands), plan, -(-len(feed) // size)) as parts:
        start = parts.done * size
        _log.info("%d inputs, %d are done", len(feed), min(start, len(feed)))
        if workers > 1:  # one process needs no other, and a script no guard against it
            compile_once()
        tasks = ((*one, feed.info.bands, options) for one in feed.stream(start, TASK))
        tables = in_order(_measure, tasks, workers)
        parts.add(_joined(tables, size, start, len(feed), progress))
        counts = _counts(parts.files, feed.info.bands)
        refusal = None if counts["measured"] else all_rejected(to, parts.files)
        if not refusal:
            metadata = _metadata(feed, options)
            metadata["data"] = feed.fingerprint or contents(parts.files)
            units = columns(feed.info.bands, _unit_of_fluxes(parts.files))
            replace(parts, columns=units).finish(metadata)
    if refusal:
        raise refusal

    return {"catalogue": str(to), "inputs": len(feed), "parts_found_done": parts.done} | counts


def _plan(feed: Feed, options: Options, size: int) -> dict[str, Any]:
    r"""Returns all that numbers depend on, and how many inputs there are to a part."""

    return {
        "feed": feed.stamp,
        "inputs": len(feed),
        "part": size,
        "options": options.digest,
        "software": f"{__version__} {KERNEL_VERSION}, numpy {np.__version__}",
    }


def columns(bands: Sequence[str], flux: str = "") -> list[Column]:
    r"""Returns the columns of a catalogue, with units and descriptions.

    Arguments:
        bands: The names of the bands, from blue to red.
        flux: The unit of all fluxes, empty if rows differ.
    """

    units = {field: flux if _is_flux(field) else unit(field) for field in Morphology._fields}
    measured = [
        Column(f"{field}_{band}", units[field], f"{_meaning(field)}, in {band}")
        for band in bands
        for field in Morphology._fields
    ]
    for blue, red in neighbours(bands):
        texts = (
            f"Gradient of {blue} - {red} per decade of the radius, negative if bluer outside",
            f"Standard error of the gradient of {blue} - {red}",
            f"Why not to trust the gradient of {blue} - {red}, as bits",
        )
        measured += [
            Column(f"{field}_{blue}_{red}", "" if "flags" in field else "mag", text)
            for field, text in zip(GRADIENT, texts, strict=True)
        ]

    return [
        *ABOUT,
        Column("scale_arcsec", "arcsec", "Side of a pixel of the cutout, NaN if unknown"),
        Column("unit", "", "Unit of the image, which fluxes are in"),
        *measured,
        ODD,
        *(column for column in STATUS if column.name != ODD.name),
    ]


def _meaning(field: str) -> str:
    return MEANINGS.get(field) or meaning(field)


def _measure(
    records: Records, pixels: NDArray[np.float16], bands: Sequence[str], options: Options
) -> pa.Table:
    r"""Measures a batch, and puts it beside what is known of it."""

    kept = [record for record in records if record["status"] != "rejected"]
    noise = np.array([[record[f"noise_{band}"] for band in bands] for record in kept])
    noise = noise.reshape(len(kept), len(bands))
    found = _measure_covered(pixels, noise, bands, options)
    for c, band in enumerate(bands):
        for field in filter(_is_flux, Morphology._fields):
            found[f"{field}_{band}"] = found[f"{field}_{band}"] * noise[:, c]

    readable = np.array([record["status"] != "rejected" for record in records])
    made = {name: _spread(values, readable) for name, values in found.items()}
    scale = [record.get("scale_arcsec", math.nan) for record in records]
    made["scale_arcsec"] = pa.array(scale, pa.float64())
    made["unit"] = pa.array([record.get("unit", "") for record in records], pa.string())
    made |= describe(records)

    return pa.table({name: made[name] for name in [*(c.name for c in columns(bands)), "digest"]})


def _measure_covered(
    pixels: NDArray[np.float16],
    noise: NDArray[np.float64],
    bands: Sequence[str],
    options: Options,
) -> dict[str, NDArray]:
    r"""Measures cutouts without what lies around their images, which then are as they would be
    by themselves: how the sky is sampled depends on the size of an image."""

    # What is 1 in the store is the noise of the band, and a band without any has no photons
    gain = np.where(np.isnan(noise), math.inf, options.gain * noise)
    windows = np.array([_window(cutout) for cutout in pixels], int).reshape(-1, 4)
    found: dict[str, NDArray] = {}
    for window in {(0, pixels.shape[2], 0, pixels.shape[3]), *map(tuple, windows.tolist())}:
        bottom, top, left, right = window
        here = np.flatnonzero((windows == window).all(axis=1))
        inner = pixels[here, :, bottom:top, left:right]
        part = measure_cutouts(
            inner,
            bands,
            mode=options.mode,
            gain=gain[here],
            psfs=options.psfs,
            draws=options.draws,
        )
        for band in bands:
            for across, upwards in PLACES:
                part[f"{across}_{band}"] += left
                part[f"{upwards}_{band}"] += bottom
        for name, values in part.items():
            found.setdefault(name, np.empty(len(pixels), values.dtype))[here] = values

    return found


def _window(cutout: NDArray) -> tuple[int, ...]:
    r"""Returns the first row of an image within its cutout, the one after its last, and the same
    of its columns. Its middle is that of the cutout, to half a pixel, as there the target is."""

    covered = ~np.isnan(cutout).all(axis=0)
    window: list[int] = []
    for lines in (covered.any(axis=1), covered.any(axis=0)):
        first, last = (int(side.argmax()) for side in (lines, lines[::-1]))
        if abs(first - last) > 1:
            first = last = min(first, last)
        window += [first, len(lines) - last]

    return tuple(window)


def _is_flux(field: str) -> bool:
    return field.removesuffix("_error") in FLUXES


def _unit_of_fluxes(files: Sequence[Path]) -> str:
    r"""Returns the unit of all images that are measured, if they have one that FITS knows."""

    found: set[str] = set()
    for path in files:
        table = pq.read_table(path, columns=["unit", "status"])
        rows = zip(table["unit"].to_pylist(), table["status"].to_pylist(), strict=True)
        found |= {text for text, status in rows if status != "rejected"}
    if len(found) != 1:
        return ""

    text = found.pop()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UnitsWarning)
            Unit(text, format="fits")
    except (ValueError, UnitsWarning):
        return ""

    return text


def _spread(values: NDArray, readable: NDArray[np.bool_]) -> pa.Array:
    r"""Puts values into the rows that have any. In others numbers are NaN, and flags null."""

    if values.dtype.kind == "i":
        bits = np.zeros(len(readable), np.int32)
        bits[readable] = values
        return pa.array(bits, mask=~readable)

    numbers = np.full(len(readable), np.nan)
    numbers[readable] = values

    return pa.array(numbers)


def _joined(
    tables: Iterator[pa.Table],
    size: int,
    done: int,
    total: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[pa.Table]:
    r"""Joins the tables of tasks into those of parts."""

    while batch := list(islice(tables, size // TASK)):
        part = pa.concat_tables(batch)
        done += len(part)
        yield part
        if progress:
            progress(done, total)


def _metadata(feed: Feed, options: Options) -> dict[str, str]:
    bits = ", ".join(f"{1 << bit} {name}" for bit, name in enumerate(FLAGS))

    return {
        "description": f"Galaxy morphometry, {options.mode}",
        "flag_bits": bits,
        "gain": repr(float(options.gain)),
        "psf": "; ".join(f"variance {psf.variance:.6g} px2" for psf in options.psfs) or "none",
        "errors": f"of {options.draws} images with more noise" if options.draws else "first order",
        "software": f"tuningfork {__version__}",
        "survey": feed.info.survey,
        "bands": ",".join(feed.info.bands),
        "scale": feed.info.scale,
    }


def _counts(files: Sequence[Path], bands: Sequence[str]) -> dict[str, Any]:
    status: Counter[str] = Counter()
    flags: dict[str, Counter[str]] = {band: Counter() for band in bands}
    for path in files:
        table = pq.read_table(path, columns=["status", *(f"flags_{band}" for band in bands)])
        status.update(table["status"].to_pylist())
        for band, counter in flags.items():
            for bits, count in Counter(table[f"flags_{band}"].drop_null().to_pylist()).items():
                counter.update({name: count for name in names(bits)})

    rejected = status["rejected"]
    why = {"rejected_because": why_rejected(files)} if rejected else {}

    return {
        "measured": status.total() - rejected,
        "rejected": rejected,
        **why,
        "by_status": dict(sorted(status.items())),
        "by_flag": {band: _by_bit(counter) for band, counter in flags.items()},
    }


def _by_bit(counter: Mapping[str, int]) -> dict[str, int]:
    return {name: counter[name] for name in FLAGS if counter[name]}

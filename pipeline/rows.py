r"""From one source to one row of a store."""

__all__ = ["AWAY", "Recipe", "Row", "make_row", "stamp"]

import hashlib
import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cutout import Cutout, cut
from pipeline.errors import ConfigError, DataError, may_pass
from pipeline.filters import band_misfit
from pipeline.fits import FitsFile, Frame, read_composite
from pipeline.quality import Quality, assess, is_noise_map
from pipeline.sources import Source

COMPOSITES = {".jpg", ".jpeg", ".png"}

PREPROCESSING = 5
r"""Raised when the same files, table and recipe begin to give other pixels: all is read anew."""

AWAY = "the table places it"
r"""How the reason begins of a galaxy that the table places outside of its image."""

SMALLEST = 8
r"""The smallest side of a cutout."""

Row = dict[str, Any]

_FAULTS = (ArithmeticError, MemoryError, OSError, ValueError)
r"""What a file can be to blame for. All that damaged ones are seen to raise here is a
:class:`DataError`, which is a `ValueError`; the rest is for numbers out of range and for the
system. Anything else is a mistake of ours, and stops."""

_HALF = float(np.finfo(np.float16).max)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    r"""How a galaxy becomes a row of a store.

    Arguments:
        bands: The :math:`C` bands, from blue to red.
        size: The number of rows and columns `(H, W)` of a cutout.
        scale: The scale of its grid: `native`, arcsec per pixel, or a text like `4 x petro_r`
            for a cutout that is four times as wide as the size of the source.
        hdu: The extension of each file, by index or name. With `{band}` in its name, there is
            an extension per band. By default, as in
            :meth:`pipeline.fits.FitsFile.frames`.
        pixel_scale: The scale of files without sky coordinates, in arcsec per pixel.
        at: Where the galaxy is in its file: in the `centre`, or at the `position` of the source.
        zero_points: The zero point of each band where the header has none. NaN is unknown.
        named: Whether to reject files whose headers name other bands. An experiment may call
            them as it likes.
        whole: Whether a file is all that there is of a galaxy, as a stamp is. What the grid has
            beyond it is then no lack of data, and only what the first band reaches is judged. A
            galaxy that is cut by the edge of a larger frame lacks the rest.

    Raises:
        ConfigError: If the bands, the size, the scale or the place are not possible.
    """

    bands: tuple[str, ...]
    size: tuple[int, int]
    scale: str | float = "native"
    hdu: int | str | None = None
    pixel_scale: float | None = None
    at: str = "centre"
    zero_points: tuple[float, ...] = ()
    named: bool = field(default=False, repr=False)  # not in a stamp, as it makes no pixels
    whole: bool = field(default=False, repr=False)  # in a stamp by itself: stores never have it

    def __post_init__(self) -> None:
        if self.at not in {"centre", "position"}:
            raise ConfigError(f"at={self.at!r}, expected 'centre' or 'position'")
        if not self.bands or len(set(self.bands)) < len(self.bands):
            raise ConfigError(f"bands={self.bands}, expected one or more, each once")
        if min(self.size) < SMALLEST:
            raise ConfigError(f"size={self.size}, expected {SMALLEST} pixels or more")
        if self.scale != "native" and not self._factor() > 0:
            raise ConfigError(
                f"scale={self.scale!r}, expected 'native', arcsec per pixel, or '4 x petro_r'"
            )

    @property
    def size_column(self) -> str:
        r"""The column of sizes that the scale is a multiple of, empty if it is of none."""

        return str(self.scale).partition(" x ")[2]

    @property
    def scale_text(self) -> str:
        r"""The scale as a store says it."""

        return self.scale if isinstance(self.scale, str) else f"{self.scale:g} arcsec"

    def scale_of(self, source: Source) -> float | None:
        r"""Returns the arcsec per pixel of the grid of one galaxy, or None for native.

        Raises:
            DataError: If it depends on the size of the galaxy, which is unknown.
        """

        if not isinstance(self.scale, str):
            return self.scale
        if self.scale == "native":
            return None
        if not source.size_arcsec > 0:
            raise DataError(f"size missing: scale={self.scale!r} needs it, the table has none")

        return self._factor() * source.size_arcsec / self.size[1]

    def hdu_of(self, band: str) -> int | str | None:
        r"""Returns the extension of one band."""

        return self.hdu.replace("{band}", band) if isinstance(self.hdu, str) else self.hdu

    def _factor(self) -> float:
        if not isinstance(self.scale, str):
            return self.scale
        try:
            return float(self.scale.partition(" x ")[0]) if self.size_column else math.nan
        except ValueError:
            return math.nan


def stamp(source: Source, recipe: Recipe) -> str:
    r"""Returns what changes when a source does, for the cost of a stat per file.

    Its last word hashes what else than the files makes the pixels: the recipe, the version of
    the preprocessing, and the position and size that the table gives.
    """

    told = repr(([path.name for path in source.files], source.flags, source.reason))
    told += repr((source.id, source.label, source.problem))
    made = repr((source.ra, source.dec, source.size_arcsec, source.field)) + _spelled(recipe)

    return f"{_times(source.files)} {_hash(told)} {_hash(made)}".strip()


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@lru_cache(maxsize=8)
def _spelled(recipe: Recipe) -> str:
    return f"{PREPROCESSING} {recipe!r}{' whole' if recipe.whole else ''}"


def _times(files: Sequence[Path]) -> str:
    times = []
    for path in files:
        try:
            stat = os.stat(path)
            times.append(f"{stat.st_size}:{stat.st_mtime_ns}")
        except OSError:
            times.append("gone")

    return " ".join(times)


def make_row(source: Source, recipe: Recipe) -> tuple[Row, NDArray[np.float16] | None]:
    r"""Reads, cuts and assesses one source. Whatever is wrong with it ends in its row.

    Returns:
        The row of the manifest, and the pixels with shape `(C, H, W)`, or None if rejected. Its
        stamp is empty, as that of no source is, if all may be well the next time.
    """

    row: Row = {
        "id": source.id,
        "source": ";".join(map(str, source.files)),
        "stamp": stamp(source, recipe),
        "ra": source.ra,
        "dec": source.dec,
        "label": source.label,
    }
    try:
        if source.problem:
            raise DataError(source.problem)
        frames, row["digest"], problem = _read(source, recipe)
        if problem or (problem := _misnamed(source, frames, recipe)):
            raise DataError(problem)
        position = _position(source, recipe)
        scale = recipe.scale_of(source)
        cutout = cut(frames, recipe.size, scale, position, recipe.pixel_scale)
        judged = cutout.pixels[:, *cutout.window] if recipe.whole else cutout.pixels
        grain = cutout.areas.min() ** -0.5
        quality = assess(judged, cutout.quantum, _levels(frames, cutout), grain)
    except _FAULTS as error:
        if may_pass(error) and "gone" not in row["stamp"]:
            row["stamp"] = ""
        flags = ",".join(source.flags)
        return row | {"status": "rejected", "flags": flags, "reason": _why(source, error)}, None

    pixels, clipped = _normalise(cutout, quality)
    row |= _measured(frames, cutout, quality, recipe)
    extra = {*source.flags, *({"clipped"} if clipped else ()), *_odd(frames)}
    row |= _judged(source, cutout, quality, extra, recipe)

    return row, pixels


def _read(source: Source, recipe: Recipe) -> tuple[list[Frame], str, str]:
    r"""Returns the frames of a source, their digest, and why they are not to be used."""

    if source.field:
        # Galaxies of one field come one after the other. A NaN that has been sent to a worker
        # is no longer what it was to the cache.
        plain = replace(recipe, zero_points=())
        return _read_field(source.files, _times(source.files), plain)

    return _read_checked(source.files, recipe)


@lru_cache(maxsize=1)
def _read_field(
    files: tuple[Path, ...], times: str, recipe: Recipe
) -> tuple[list[Frame], str, str]:
    return _read_checked(files, recipe)


def _read_checked(files: tuple[Path, ...], recipe: Recipe) -> tuple[list[Frame], str, str]:
    frames, digest = _read_files(files, recipe)

    return frames, digest, _noise(frames)


def _noise(frames: Sequence[Frame]) -> str:
    r"""Returns which frame is no image but a map of noise. Empty if none is."""

    for frame in frames:
        if is_noise_map(frame.pixels):
            return (
                f"{frame.source} looks like a map of noise, not an image: all values are"
                " positive, their scatter has no lower tail, and averaging reduces it too much"
            )

    return ""


def _misnamed(source: Source, frames: Sequence[Frame], recipe: Recipe) -> str:
    apart = len(source.files) == len(recipe.bands) or "{band}" in str(recipe.hdu)

    return band_misfit(frames, recipe.bands, apart) if recipe.named else ""


def _read_files(files: tuple[Path, ...], recipe: Recipe) -> tuple[list[Frame], str]:
    bands = recipe.bands
    if files[0].suffix.lower() in COMPOSITES:
        frames, digest = read_composite(files[0])
        if len(bands) != len(frames) or len(files) > 1:
            raise DataError(
                f"wrong number of bands: {files[0]} is a composite of {len(frames)},"
                f" expected {', '.join(bands)}"
            )
        return frames, digest
    if len(files) > 1:
        opened = [FitsFile.open(path) for path in files]
        frames = [file.frames(recipe.hdu_of(b))[0] for file, b in zip(opened, bands, strict=True)]
        digests = "".join(file.digest for file in opened)
        return frames, hashlib.blake2b(digests.encode(), digest_size=16).hexdigest()

    file = FitsFile.open(files[0])
    if isinstance(recipe.hdu, str) and "{band}" in recipe.hdu:
        return [file.frames(recipe.hdu_of(band))[0] for band in bands], file.digest

    return file.frames(recipe.hdu, len(bands)), file.digest


def _position(source: Source, recipe: Recipe) -> tuple[float, float] | None:
    if recipe.at == "centre" and not source.field:
        return None
    if math.isnan(source.ra) or math.isnan(source.dec):
        raise DataError("position missing: the table has none on the sky to cut at")

    return source.ra, source.dec


def _odd(frames: Sequence[Frame]) -> set[str]:
    return {"eight_bit"} if any(frame.header.get("BITPIX") == 8 for frame in frames) else set()


def _levels(frames: Sequence[Frame], cutout: Cutout) -> NDArray[np.float64]:
    r"""Returns the level of saturation of each band on the grid of the cutout, NaN if unknown."""

    levels = np.full(len(frames), math.nan)
    for c, frame in enumerate(frames):
        if frame.saturation is None:
            continue
        level = frame.saturation * cutout.areas[c]
        # Some headers have a level in another unit.
        if np.mean(cutout.pixels[c] >= level) < 0.5:
            levels[c] = level

    return levels


def _normalise(cutout: Cutout, quality: Quality) -> tuple[NDArray[np.float16], bool]:
    sky, noise = quality.sky[:, None, None], quality.noise[:, None, None]
    flux = (cutout.pixels.astype(np.float64) - sky) / noise
    clipped = bool((np.abs(flux) > _HALF).any())

    return np.clip(flux, -_HALF, _HALF).astype(np.float16), clipped


def _measured(frames: Sequence[Frame], cutout: Cutout, quality: Quality, recipe: Recipe) -> Row:
    row: Row = {"scale_arcsec": cutout.scale_arcsec, "unit": frames[0].unit}
    given = recipe.zero_points or (math.nan,) * len(recipe.bands)
    for c, (band, frame) in enumerate(zip(recipe.bands, frames, strict=True)):
        stated = frame.zero_point
        # On another grid, the values of a surface brightness are summed like fluxes
        pixels = cutout.areas[c] if frame.per_area else 1.0
        row |= {
            f"sky_{band}": float(quality.sky[c]) / pixels,
            f"noise_{band}": float(quality.noise[c]) / pixels,
            f"coverage_{band}": float(quality.coverage[c]),
            f"saturation_{band}": float(quality.saturation[c]),
            f"zero_point_{band}": float(given[c] if stated is None else stated),
        }

    return row


def _judged(
    source: Source, cutout: Cutout, quality: Quality, extra: set[str], recipe: Recipe
) -> Row:
    flags = {*quality.flags, *extra}
    reasons = [source.reason] if source.reason else []
    if "eight_bit" in flags:
        reasons.append("values of 8 bits: a picture, of which no flux can be measured")
    if "clipped" in flags:
        reasons.append(
            f"pixels further than {_HALF:g} times the noise from the sky, cut off there"
        )
    if flags & {"edge", "band_missing"}:
        shares = zip(recipe.bands, quality.coverage, strict=True)
        reasons.append("covered: " + ", ".join(f"{share:.0%} in {band}" for band, share in shares))
    away = _separation_arcsec((source.ra, source.dec), cutout.position)
    if away > cutout.scale_arcsec * min(recipe.size) / 2:
        flags.add("off_centre")
        reasons.append(f"{AWAY} {away:.0f} arcsec from the centre of the image")

    row: Row = {
        "status": "flagged" if flags else "ok",
        "flags": ",".join(sorted(flags)),
        "reason": "; ".join(reasons),
    }
    if math.isnan(source.ra):
        row |= dict(zip(("ra", "dec"), cutout.position, strict=True))

    return row


def _separation_arcsec(a: tuple[float, float], b: tuple[float, float]) -> float:
    (ra, dec), (ra_b, dec_b) = np.radians(a), np.radians(b)
    half = np.sin((dec - dec_b) / 2) ** 2
    half += np.cos(dec) * np.cos(dec_b) * np.sin((ra - ra_b) / 2) ** 2

    return float(np.degrees(2 * np.arcsin(np.sqrt(half))) * 3600)


def _why(source: Source, error: Exception) -> str:
    reason = str(error)
    if not isinstance(error, DataError):
        reason = f"it cannot be handled ({type(error).__name__}: {error})"
        _log.error("%s: %s", source.id, reason, exc_info=error)
    if not source.files or any(str(path) in reason for path in source.files):
        return reason

    return f"{', '.join(map(str, source.files))}: {reason}"

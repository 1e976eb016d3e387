r"""What there is to ingest: the images of a folder, joined to a table of galaxies."""

__all__ = ["Source", "find"]

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.coordinates import angular_separation
from numpy.typing import NDArray

from pipeline.catalogue import Places, match_positions
from pipeline.errors import ConfigError
from pipeline.fits import Frame
from pipeline.headers import Headers
from pipeline.objects import Columns, Entry, read_entries
from pipeline.patterns import Found, find_files

Files = tuple[Path, ...]

WIDEST = 60.0
r"""The largest reach of a frame, in degrees, that is believed: a larger one may have seams."""

MARGIN = 1.5
r"""The most that a frame may reach beyond the farthest of some of its pixels, as a factor."""


@dataclass(frozen=True)
class Source:
    r"""One galaxy to ingest.

    Arguments:
        id: Its identifier, which no other source has.
        files: The file of each band from blue to red, or the one file of all.
        ra: The right ascension in degrees, NaN if unknown.
        dec: The declination in degrees, NaN if unknown.
        label: Its class, empty if unknown.
        size_arcsec: Its angular size, NaN if unknown.
        problem: Why it is to be rejected unread. Empty if it is not.
        flags: What is odd about it.
        reason: What the flags mean here.
        field: Whether the files are frames of the sky, out of which the galaxy is to be cut at
            its position.
    """

    id: str
    files: Files = ()
    ra: float = math.nan
    dec: float = math.nan
    label: str = ""
    size_arcsec: float = math.nan
    problem: str = ""
    flags: tuple[str, ...] = ()
    reason: str = ""
    field: bool = False


def find(  # noqa: PLR0913
    root: Path,
    pattern: str,
    bands: Sequence[str],
    *,
    band_text: Mapping[str, str] | None = None,
    table: Columns | None = None,
    match_arcsec: float | None = None,
    hdu: int | str | None = None,
    memory: Path | None = None,
    workers: int = 1,
) -> list[Source]:
    r"""Finds the images of galaxies, and what a table says of each.

    A pattern with `{id}` names the images of one galaxy each. One without names frames of the
    sky, out of which every galaxy of the table is to be cut. Whatever is wrong with an image
    or a row ends as the `problem` or the `flags` of a source.

    Arguments:
        root: The folder of the images.
        pattern: The place of a file below it, such as `{id}/*_{band}.fits`. Without `{band}`
            all bands of a galaxy are in one file.
        bands: The bands, from blue to red.
        band_text: What stands for a band in file names, where it is not its own name.
        table: The table of galaxies.
        match_arcsec: The radius within which an image belongs to a row of the table by
            position. By default it is the identifier that tells.
        hdu: The extension that has the coordinates, where they are needed.
        memory: A file in which to remember the coordinates, so that they are read once only.
        workers: The number of processes that read the coordinates.

    Returns:
        The sources, sorted by identifier.

    Raises:
        ConfigError: If the pattern or a column is impossible, or a radius is given that frames
            have no use for.
        DataError: If no file fits the pattern, or the table cannot be read.

    Example:
        >>> columns = Columns(Path("labels.csv"), id="objid", label="class")
        >>> find(Path("images"), "{id}.fits", ["g", "r", "i"], table=columns)  # doctest: +SKIP
    """

    texts = {band: (band_text or {}).get(band, band) for band in bands}
    wanted = tuple(bands) if "{band}" in pattern else ("",)
    found = find_files(root, pattern, texts)
    frames = "{id}" not in pattern
    if frames:
        _check_positions(pattern, table, match_arcsec)
    entries, repeats = _unique(read_entries(table), table) if table else ({}, [])
    apart = "{band}" in pattern or "{band}" in str(hdu)
    first = hdu.replace("{band}", bands[0]) if isinstance(hdu, str) else hdu
    headers = Headers(first, 1 if apart else len(bands), memory, workers, frames)
    if frames:
        fields = _fields(found, wanted, Path(root), headers)
        joined = _from_fields(list(entries.values()), fields, headers)
        return _ended([*joined, *repeats], headers)

    images, extra = _images(found, wanted)
    if table is None:
        return _sorted([*images.values(), *extra])
    name = str(table.path)
    if match_arcsec is None:
        joined = _by_id(images, entries, name, f"{root}/{pattern}")
    else:
        joined = _by_position(images, entries, name, match_arcsec, headers)

    return _ended([*joined, *repeats, *extra], headers)


def _check_positions(pattern: str, table: Columns | None, radius: float | None) -> None:
    r"""Refuses frames of the sky without positions to cut at, or with a radius for nothing."""

    if table is None or table.ra is None or table.dec is None:
        raise ConfigError(f"pattern={pattern!r} has no {{id}}, so it needs a table with ra, dec")
    if radius is not None:
        raise ConfigError(
            f"match_arcsec={radius:g} does nothing with pattern={pattern!r}: galaxies are cut out"
            " of frames at their positions, expected none, or a pattern with {id}"
        )


def _ended(sources: list[Source], headers: Headers) -> list[Source]:
    headers.save()

    return _sorted(sources)


def _unique(entries: list[Entry], table: Columns) -> tuple[dict[str, Entry], list[Source]]:
    first: dict[str, Entry] = {}
    repeats = []
    for entry in entries:
        row = f"row {entry.row} of {table.path}"
        if not entry.id:
            repeats.append(Source(row, problem=f"{row} has no identifier"))
        elif entry.id in first:
            used = f"row {first[entry.id].row} is used"
            repeats.append(Source(entry.id, problem=f"duplicate id: {row} repeats it, {used}"))
        else:
            first[entry.id] = entry

    return first, repeats


def _images(found: list[Found], bands: tuple[str, ...]) -> tuple[dict[str, Source], list[Source]]:
    by_id: dict[str, dict[str, Path]] = defaultdict(dict)
    extra = []
    for one in found:
        used = by_id[one.id].setdefault(one.band, one.path)
        if used != one.path:
            again = f"duplicate id: {one.path} is there beside {used}, which is used"
            extra.append(Source(one.id, (one.path,), problem=again))

    return {id: _complete(Source(id), files, bands) for id, files in by_id.items()}, extra


def _complete(source: Source, files: Mapping[str, Path], bands: Iterable[str]) -> Source:
    missing = [band for band in bands if band not in files]
    problem = ""
    if missing:
        beside = ", ".join(str(path) for path in files.values())
        problem = (
            f"wrong number of bands: there is no file of {', '.join(missing)} beside {beside}"
        )

    return replace(
        source, files=tuple(files[band] for band in bands if band in files), problem=problem
    )


def _told(source: Source, entry: Entry) -> Source:
    r"""Adds what the table says to a source."""

    return replace(
        source,
        ra=entry.ra,
        dec=entry.dec,
        label=entry.label,
        size_arcsec=entry.size_arcsec,
        flags=("unknown_label",) if entry.reason else (),
        reason=entry.reason,
    )


def _untold(source: Source, reason: str) -> Source:
    return replace(source, flags=("not_in_table",), reason=reason)


def _by_id(
    images: Mapping[str, Source], entries: Mapping[str, Entry], table: str, pattern: str
) -> Iterator[Source]:
    for id, image in images.items():
        if id in entries:
            yield _told(image, entries[id])
        else:
            yield _untold(image, f"{table} has no row of {id!r}")
    for id, entry in entries.items():
        if id not in images:
            problem = f"no image: no file matches {pattern.replace('{id}', id)}"
            yield replace(_told(Source(id), entry), problem=problem)


def _by_position(
    images: Mapping[str, Source],
    entries: Mapping[str, Entry],
    table: str,
    radius: float,
    headers: Headers,
) -> Iterator[Source]:
    rows = list(entries.values())
    first = [image.files[0] for image in images.values()]
    headers.read(first)
    centres = np.array([headers.centre(path) for path in first]).reshape(-1, 2)
    places = np.array([(row.ra, row.dec) for row in rows]).reshape(-1, 2)
    (ra, dec), (ra_ref, dec_ref) = centres.T, places.T
    nearest, _ = match_positions(ra, dec, ra_ref, dec_ref, radius)
    for image, centre, i in zip(images.values(), centres, nearest.tolist(), strict=True):
        if i >= 0:
            yield _told(image, rows[i])
        elif math.isnan(centre[0]):
            yield _untold(image, "it has no sky coordinates by which to find it in the table")
        else:
            yield _untold(image, f"{table} has no row within {radius:g} arcsec of its centre")
    for i in sorted(set(range(len(rows))) - set(nearest.tolist())):
        problem = (
            f"no image: no centre within {radius:g} arcsec of this row of {table}, or only such"
            " as are nearer to another row"
        )
        yield replace(_told(Source(rows[i].id), rows[i]), problem=problem)


def _fields(
    found: list[Found], bands: tuple[str, ...], root: Path, headers: Headers
) -> list[Source]:
    r"""Returns the frames of the sky, with the problem of those that cannot be used."""

    by_rest: dict[tuple[str, ...], dict[str, Path]] = defaultdict(dict)
    for one in found:
        by_rest[one.rest][one.band] = one.path

    fields = [_complete(Source("", field=True), files, bands) for files in by_rest.values()]
    headers.read([field.files[0] for field in fields])

    return [
        replace(
            field,
            id=str(field.files[0].relative_to(root)),
            problem=field.problem or headers.problem(field.files[0]),
        )
        for field in fields
    ]


def _sorted(sources: Iterable[Source]) -> list[Source]:
    r"""Sorts, fields together, and gives a name of its own to what repeats one."""

    seen: set[str] = set()
    ordered = []
    sources = list(sources)
    taken = {source.id for source in sources}
    for source in sorted(
        sources, key=lambda one: (one.problem.startswith("duplicate"), one.files)
    ):
        name, number = source.id, 1
        while name in seen or (number > 1 and name in taken):
            number += 1
            name = f"{source.id}~{number}"
        seen.add(name)
        ordered.append(replace(source, id=name) if name != source.id else source)

    return sorted(ordered, key=lambda one: (one.files if one.field else (), one.id))


def _from_fields(
    rows: Sequence[Entry], fields: Sequence[Source], headers: Headers
) -> Iterator[Source]:
    ra, dec = np.array([(row.ra, row.dec) for row in rows]).reshape(-1, 2).T
    places = Places(ra, dec)
    nearest, distance = np.full(len(rows), -1), np.full(len(rows), np.inf)
    unusable = [field for field in fields if field.problem]
    yield from unusable
    for i, field in enumerate(fields):
        frame = headers.frame(field.files[0])
        if frame is None or frame.wcs is None:
            continue
        # Only what is near is worth a projection, which costs a microsecond per position
        here = places.near(*_cap(frame))
        # A frame that lacks a band is the last to be taken.
        away = _away(frame, ra[here], dec[here]) + 2 * bool(field.problem)
        if not field.problem and not np.isfinite(away).any():
            problem = f"no galaxy: no position of the table is in {field.files[0]}"
            yield replace(field, problem=problem)
        nearer = away < distance[here]
        nearest[here[nearer]], distance[here[nearer]] = i, away[nearer]

    for row, i in zip(rows, nearest.tolist(), strict=True):
        source = replace(_told(Source(row.id), row), field=True)
        if math.isnan(row.ra):
            yield replace(source, problem="position missing: the table has none on the sky for it")
        elif i < 0:
            place = f"RA {row.ra:.5f}, Dec {row.dec:.5f}"
            besides = f"; {len(unusable)} of them cannot be used" if unusable else ""
            problem = f"no image: none of {len(fields)} covers {place}{besides}"
            yield replace(source, problem=problem)
        else:
            yield replace(source, files=fields[i].files, problem=fields[i].problem)


def _cap(frame: Frame) -> tuple[float, float, float]:
    r"""Returns the centre and the radius, in degrees, of a cap of the sky that holds a frame.

    It is all of the sky if the frame is very wide, or does not tell.
    """

    height, width = frame.pixels.shape
    x, y = np.meshgrid(np.linspace(-0.5, width - 0.5, 9), np.linspace(-0.5, height - 0.5, 9))
    ra, dec = frame.sky(x, y)
    middle = float(ra[4, 4]), float(dec[4, 4])
    away = angular_separation(*np.radians(middle), np.radians(ra), np.radians(dec))
    half = (frame.scale_arcsec or math.inf) / 3600 * math.hypot(height, width) / 2
    reach = MARGIN * np.maximum(half, np.degrees(away.max()))  # NaN if any is

    return (*middle, reach) if reach <= WIDEST else (0.0, 0.0, 180.0)


def _away(frame: Frame, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""Returns how far positions are from the middle of a frame, infinity if outside of it.

    The edge of the frame is at one.
    """

    x, y = frame.pixel(ra, dec)
    height, width = frame.pixels.shape
    away = np.maximum(abs(x + 0.5 - width / 2) / width, abs(y + 0.5 - height / 2) / height) * 2

    return np.where(away <= 1, away, np.inf)

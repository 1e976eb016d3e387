r"""Images without an experiment: those of a folder, or one, and what can be told of them."""

__all__ = ["find_images", "layout"]

import logging
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.errors import ConfigError, DataError
from pipeline.filters import cube_bands
from pipeline.fits import FitsFile, Frame, read_composite
from pipeline.rows import COMPOSITES
from pipeline.sources import Source
from pipeline.workers import in_order

FITS = (".fits", ".fit", ".fts")
PACKED = (".gz", ".bz2", ".fz")
IMAGES = (*FITS, *(end + pack for end in FITS for pack in PACKED), ".fz", ".jpeg", ".jpg", ".png")

COLOURS = ("blue", "green", "red")
TASK = 64
r"""The number of images that a worker is handed at once."""

_log = logging.getLogger(__name__)

Layout = tuple[tuple[str, ...], tuple[int, int]]


def find_images(input: Path) -> list[Source]:
    r"""Takes one image, or all images of a folder, whatever their formats, by their names. Those
    of folders within it, and links to nowhere, are told and left out."""

    if not input.is_dir():
        return [Source(_split(input.name)[0], (input,))]

    paths = [path for path in sorted(input.iterdir()) if not path.name.startswith(".")]
    files = [path for path in paths if path.is_file() and _split(path.name)[1]]
    within = _within(path for path in paths if path.is_dir())
    if not files:
        hint = f"; those of {next(iter(within))} need a call of their own" if within else ""
        raise DataError(f"{input} is no store and has no image ({', '.join(IMAGES)}){hint}")
    for folder, count in within.items():
        _log.warning(
            "the images of %s, %d, are left out: they need a call of their own", folder, count
        )
    for path in paths:
        if _split(path.name)[1] and not path.exists():
            _log.warning("%s is left out: a link to %s, which is not there", path, path.readlink())
    seen = Counter(_split(path.name)[0] for path in files)
    named = {path: _split(path.name)[0] for path in files}
    sources = [Source(id if seen[id] == 1 else path.name, (path,)) for path, id in named.items()]

    return sorted(sources, key=lambda source: source.id)


def _within(folders: Iterable[Path]) -> Counter[Path]:
    r"""Counts the images of folders, and of those within them, by the folder they lie in."""

    found = (path for folder in folders for path in sorted(folder.rglob("*")))

    return Counter(path.parent for path in found if _split(path.name)[1] and path.is_file())


def layout(sources: Sequence[Source], workers: int, given: Collection[str] = ()) -> Layout:
    r"""Finds out which bands images have, and their size.

    The names of bands are those of the headers of the first image that can be read (`FILTER`,
    or those of :func:`pipeline.filters.cube_bands`), or else numbers.

    Arguments:
        sources: The images.
        workers: The number of processes that read.
        given: What need not be the same: `bands`, or `size`.

    Returns:
        The bands, and the number of rows and columns `(H, W)`.

    Raises:
        ConfigError: If two images have different sizes or bands, so that one has to be chosen.
        DataError: If none can be read.
    """

    paths = [path for source in sources for path in source.files]
    tasks = ((paths[i : i + TASK],) for i in range(0, len(paths), TASK))
    found = [one for part in in_order(_layouts, tasks, workers) for one in part]
    known = {path: one for path, one in zip(paths, found, strict=True) if isinstance(one, tuple)}
    if not known:
        raise DataError(str(found[0]))

    first, (bands, size) = next(iter(known.items()))
    _warn_of_bands(known, given)
    for path, (names, other) in known.items():
        if "size" not in given and other != size:
            raise ConfigError(
                f"{first} has {size[0]} x {size[1]} pixels and {path} {other[0]} x {other[1]}:"
                " say which size all are brought to with --set data.size=PIXELS"
            )
        if "bands" not in given and names != bands:
            raise ConfigError(
                f"{first} has the bands {', '.join(bands)} and {path} {', '.join(names)}: say"
                " where those of a galaxy are, with --set 'data.pattern={id}_{band}.fits' and"
                " --set data.bands=[NAMES], or what to call them all, with the latter alone"
            )

    return bands, size


def _warn_of_bands(known: Mapping[Path, Layout], given: Collection[str]) -> None:
    r"""Tells of images that are called the same, and are not."""

    one: dict[tuple[str, ...], Path] = {}
    for path, (names, _) in known.items():
        one.setdefault(names, path)
    if "bands" in given and "pattern" not in given and len(one) > 1:
        (names, path), (others, other) = [*one.items()][:2]
        _log.warning(
            "%s has the bands %s and %s %s: all are called as data.bands says",
            *(path, ", ".join(names), other, ", ".join(others)),
        )


def _layouts(paths: Sequence[Path]) -> list[Layout | str]:
    return [_layout(path) for path in paths]


def _layout(path: Path) -> Layout | str:
    r"""Returns the bands and the size of an image, or why it cannot be read."""

    try:
        if path.suffix.lower() in COMPOSITES:
            frames, _ = read_composite(path)
            return COLOURS, frames[0].pixels.shape
        frames = FitsFile.open(path).frames(bands=None)
    except DataError as error:
        return str(error)

    return _bands(frames), frames[0].pixels.shape


def _bands(frames: Sequence[Frame]) -> tuple[str, ...]:
    one = [str(frames[0].header.get("FILTER", ""))]
    told = one if len(frames) == 1 else cube_bands(frames[0], len(frames))
    names = tuple((text.split() or [""])[0] for text in told)
    if len(set(names)) == len(names) and all(re.fullmatch(r"\w+", name) for name in names):
        return names

    return tuple(str(i + 1) for i in range(len(frames)))


def _split(name: str) -> tuple[str, str]:
    r"""Splits the name of a file into an identifier and the ending of an image, if it has it."""

    ends = [end for end in IMAGES if name.lower().endswith(end)]
    end = max(ends, key=len, default="")

    return name[: len(name) - len(end)], end

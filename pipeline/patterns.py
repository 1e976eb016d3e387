r"""File names that follow a pattern, such as `cutouts/{id}.acs.{band}_6ac_.fits`.

`{id}` stands for the name of a galaxy, `{band}` for a band, `*` and `?` for anything, each within
one folder or file name.
"""

__all__ = ["Found", "find_files"]

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ConfigError, DataError, suggest

_PIECES = re.compile(r"(\{.*?\}|\*|\?)")


@dataclass(frozen=True)
class Found:
    r"""One file that fits a pattern.

    Arguments:
        path: Where it is.
        id: What stands for `{id}`, or nothing.
        band: The band that stands for `{band}`, or nothing.
        rest: What stands for each `*` and `?`.
    """

    path: Path
    id: str
    band: str
    rest: tuple[str, ...]


def find_files(root: Path, pattern: str, bands: Mapping[str, str]) -> list[Found]:
    r"""Lists the files below a folder that fit a pattern, looking into each folder once.

    Arguments:
        root: The folder.
        pattern: The pattern of the paths below it.
        bands: The text that stands for each band in a file name, by band.

    Returns:
        The files, sorted by path.

    Raises:
        ConfigError: If the pattern has an unknown placeholder.
        DataError: If there is no such folder, or nothing in it fits.
    """

    root = Path(root)
    steps = [_compile(step, bands.values()) for step in pattern.strip("/").split("/")]
    names = {text: band for band, text in bands.items()}
    try:
        found = sorted(_walk(str(root), "", steps, {}, ()), key=lambda one: one[0])
    except OSError as error:
        raise DataError(
            f"cannot list {error.filename}: {error.strerror}, expected what `data.root` names"
        ) from error
    if not found:
        texts = f" with {{band}} as {' or '.join(bands.values())}" if "{band}" in pattern else ""
        raise DataError(f"no file below {root} matches {pattern!r}{texts}{_examples(root)}")

    return [
        Found(root / path, groups.get("id", ""), names.get(groups.get("band", ""), ""), rest)
        for path, groups, rest in found
    ]


def _compile(step: str, texts: object) -> re.Pattern[str]:
    words = sorted(map(re.escape, texts), key=len, reverse=True)  # type: ignore[call-overload]
    forms = {
        "{id}": "(?P<id>.+)",
        "{band}": f"(?P<band>{'|'.join(words)})",
        "*": "(.*)",
        "?": "(.)",
    }
    again = {"{id}": "(?P=id)", "{band}": "(?P=band)"}
    seen: set[str] = set()
    regex = ""
    for piece in _PIECES.split(step):
        if piece.startswith("{") and piece not in forms:
            raise ConfigError(f"pattern has {piece}, {suggest(piece, ('{id}', '{band}'))}")
        known = forms | {key: again[key] for key in seen & again.keys()}
        regex += known.get(piece, re.escape(piece))
        seen.add(piece)

    return re.compile(regex, re.DOTALL)


def _walk(
    folder: str, path: str, steps: list[re.Pattern[str]], groups: dict[str, str], rest: tuple
) -> Iterator[tuple[str, dict[str, str], tuple[str, ...]]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            match = steps[0].fullmatch(entry.name)
            if match is None or entry.is_dir() == (len(steps) == 1) or _hidden(entry, steps[0]):
                continue
            named = match.groupdict()
            if any(groups.get(key, value) != value for key, value in named.items()):
                continue
            places = match.re.groupindex.values()
            texts = [text for i, text in enumerate(match.groups(), 1) if i not in places]
            below = path + entry.name, groups | named, (*rest, *texts)
            if len(steps) == 1:
                yield below
            else:
                yield from _walk(entry.path, f"{below[0]}/", steps[1:], *below[1:])


def _hidden(entry: os.DirEntry[str], step: re.Pattern[str]) -> bool:
    return entry.name.startswith(".") and not step.pattern.startswith(r"\.")


def _examples(root: Path) -> str:
    names = sorted(entry.name for entry in os.scandir(root))[:3]

    return f", which holds {', '.join(names)}, ..." if names else ", which is empty"

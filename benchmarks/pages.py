r"""The tables of the documentation, each written by the benchmark that measures it."""

__all__ = ["PAGE", "TABLES", "renew", "table"]

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

PAGE, TABLES = "morphometry.md", "morphometry_tables.md"
r"""The page on morphometry, and that of its longer tables."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""Spells a table in Markdown.

    Example:
        >>> print(table(["", "n"], [["disk", "1"]]), end="")
        | | n |
        |---|---|
        | disk | 1 |
    """

    lines = [head, ["---"] * len(head), *rows]
    spelt = ["| " + " | ".join(line) + " |\n" for line in lines]
    spelt[1] = spelt[1].replace(" ", "")

    return "".join(spelt).replace("|  |", "| |")


def renew(page: Path, name: str, text: str) -> None:
    r"""Replaces what stands on a page between `<!-- name -->` and the next `<!-- end -->`.

    Arguments:
        page: A file in Markdown.
        name: What is told there, e.g. `agreement`.
        text: What shall stand there.

    Raises:
        SystemExit: If there is no such place, or more than one.
    """

    begin, end = f"<!-- {name} -->\n", "<!-- end -->"
    place = re.compile(f"{re.escape(begin)}.*?{end}", re.DOTALL)
    renewed, count = place.subn(lambda _: f"{begin}\n{text.strip()}\n\n{end}", page.read_text())
    if count != 1:
        raise SystemExit(f"{page}: {count} places for {name!r}, expected 1")
    page.write_text(renewed)

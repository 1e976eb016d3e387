r"""What is typed at the command line, before any verb sees it."""

__all__ = ["Arguments", "at_home"]

import os
import re
from typing import Any

from typer.core import TyperGroup


class Arguments(TyperGroup):
    r"""The verbs, with the home of the user for each `~/` that is typed."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [at_home(arg) for arg in args])


def at_home(text: str) -> str:
    r"""Puts the home of the user for `~/`, which no shell does in quotes or after `=`.

    Example:
        >>> at_home("--to=~/x.fits") == "--to=" + at_home("~/x.fits")
        True
        >>> at_home("a~/x.fits")
        'a~/x.fits'
    """

    home = os.path.expanduser("~")

    return re.sub(r"^((?:[\w.-]+=)*)~(?=/)", lambda found: found[1] + home, text)

r"""What is typed at the command line, before any verb sees it."""

__all__ = ["Arguments", "at_home", "replaced"]

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from typer.core import TyperGroup

from pipeline.errors import ConfigError, suggest


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


def replaced(
    verb: str, given: Mapping[str, Any], settings: Sequence[str] | None
) -> dict[str, Any]:
    r"""Replaces the arguments of a verb that has no experiment by `verb.key=value`."""

    import yaml

    values = dict(given)
    for setting in settings or []:
        name, equals, text = setting.partition("=")
        section, _, key = name.partition(".")
        if not equals:
            raise ConfigError(f"--set {setting!r}, expected {verb}.key=value")
        if section != verb or key not in values:
            known = [f"{verb}.{word}" for word in values]
            raise ConfigError(f"--set {setting!r}: unknown key {name!r}, {suggest(name, known)}")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {setting!r}: {text!r} is not a YAML value") from error
        values[key] = _like(values[key], value, setting)

    return values


def _like(default: object, value: object, setting: str) -> Any:
    r"""Returns the value of a setting if it is of the kind of its default."""

    kinds = {bool: "true or false", int: "a whole number", float: "a number"}
    wanted = type(default)
    if wanted is float and type(value) is int:
        return float(value)
    if wanted in kinds and type(value) is not wanted:
        raise ConfigError(f"--set {setting!r}: expected {kinds[wanted]}")

    return value

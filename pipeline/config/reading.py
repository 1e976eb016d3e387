r"""From a YAML file and settings that replace its own to an experiment."""

__all__ = ["build", "expand", "load"]

import os
import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from yaml.error import MarkedYAMLError

from pipeline.config.sections import Experiment
from pipeline.errors import ConfigError, suggest

_PLACE = re.compile(r"\{(id|band)\}")
_KINDS = {
    "tuple_type": "a list, such as [a, b]",
    "string_type": "text, in quotes if it looks like a number",
    "path_type": "the path of a file or a folder",
    "dict_type": "keys and values, such as {a: b}",
    "model_type": "a section of keys and values",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_type": "a whole number",
    "missing": "more values",
    "too_short": "more values",
    "too_long": "fewer values",
}
r"""What is expected of a value, by the kind of pydantic's errors."""

_KIND = re.compile(r"bool|int|float|str|(list|tuple)\[.*\]")


class _Loader(yaml.SafeLoader):
    r"""Reads YAML, in which a key must not stand twice, as it says of itself."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    problem = f"the key {key.value!r} stands twice"
                    raise MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
                seen.add(key.value)

        return node


def load(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    r"""Reads one experiment, e.g. `configs/demo.yaml`.

    `${NAME}` and `${NAME:-default}` in a value stand for a variable of the environment, and `~/`
    before it for the home of the user.

    Arguments:
        path: A YAML file.
        overrides: Settings that replace those of the file, as `section.key=value`.

    Raises:
        ConfigError: If the file cannot be read, if a key is unknown (the message names the
            nearest one) or stands twice, or if a value is not possible.
    """

    try:
        text = Path(path).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a configuration ({error})") from error

    try:
        tree = expand(yaml.load(text, _Loader), path)
    except yaml.YAMLError as error:
        told = str(error).replace('"<unicode string>", ', "")
        raise ConfigError(f"{path}: not YAML ({told})") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: a value that holds itself") from error
    if not isinstance(tree, dict):
        found = "is empty" if tree is None else f"holds {str(tree)[:40]!r}"
        raise ConfigError(f"{path}: {found}, expected keys and values")

    return build(tree, overrides, path)


def build(tree: dict[str, Any], overrides: Sequence[str], origin: Path) -> Experiment:
    r"""Makes an experiment of what a YAML file of it would hold.

    Arguments:
        tree: Sections by name.
        overrides: Settings that replace those of the tree, as `section.key=value`.
        origin: What messages name.

    Raises:
        ConfigError: If a key is unknown (the message names the nearest one), or if a value is
            not possible.
    """

    for setting in overrides:
        _override(tree, setting)

    try:
        return Experiment.model_validate(tree)
    except ValidationError as error:
        told: dict[str, str] = {}
        for one in _causes(error):
            # A value that may be of several kinds is wrong once for each
            place = tuple(takewhile(lambda name: not _KIND.fullmatch(str(name)), one["loc"]))
            where = ".".join(map(str, place))
            if where in told:
                told[where] += f" or {_expected(one)}"
            else:
                told[where] = _explain(place, one, _blame(place, overrides, origin))
        raise ConfigError("; ".join(told.values())) from error


def _causes(error: ValidationError) -> list[Any]:
    r"""Returns what is wrong by itself: not a default that depends on a wrong value, and not the
    length of a list of which the wrong values do not count."""

    found = [one for one in error.errors() if one["type"] != "default_factory_not_called"]
    inside = {one["loc"][:-1] for one in found}

    return [one for one in found if one["type"] != "too_short" or one["loc"] not in inside]


def expand(node: Any, path: Path | str) -> Any:
    r"""Puts what `${NAME}`, `${NAME:-default}` and `~/` stand for in all values of a tree.

    Arguments:
        node: Keys and values, a list, or a value.
        path: What messages name.

    Raises:
        ConfigError: If the environment has no such variable.
    """

    def value(match: re.Match) -> str:
        found = os.environ.get(match[1], match[3])
        if found is None:
            raise ConfigError(f"{path}: the environment has no variable {match[1]}")
        return found

    if isinstance(node, dict):
        return {key: expand(item, path) for key, item in node.items()}
    if isinstance(node, list):
        return [expand(item, path) for item in node]
    if isinstance(node, str):
        text = re.sub(r"\$\{(\w+)(:-([^}]*))?\}", value, node)
        return os.path.expanduser(text) if text.startswith("~/") else text

    return node


def _override(tree: dict, setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {setting!r}, expected section.key=value")

    *sections, last = key.split(".")
    for section in sections:
        if tree.get(section) is None:
            tree[section] = {}
        tree = tree[section]
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {setting!r}: {section} is a value, not a section")
    try:
        # A pattern may be no YAML, and the shortest ones are YAML of something else
        found = text if _PLACE.fullmatch(text) else yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        if not _PLACE.search(text):
            raise ConfigError(f"--set {setting!r}: {text!r} is not a YAML value") from error
        found = text
    tree[last] = expand(found, f"--set {setting!r}")


def _blame(place: Sequence[int | str], overrides: Sequence[str], origin: Path) -> str:
    r"""Returns what a wrong value is of: a setting, or the file and the settings within it."""

    within = []
    for setting in reversed(overrides):
        key = setting.partition("=")[0].split(".")
        if list(place[: len(key)]) == key:
            return f"--set {setting!r}"
        if key[: len(place)] == list(place):
            within.append(f" with --set {setting!r}")

    return f"{origin}{''.join(reversed(within))}"


def _explain(place: Sequence[int | str], error: Mapping[str, Any], origin: str) -> str:
    where = ".".join(map(str, place))

    if error["type"] == "extra_forbidden":
        return f"{origin}: unknown key {where!r}, {_nearest(place)}"
    if error["type"] == "literal_error":
        known = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        return f"{origin}: {where}={error['input']!r}, {suggest(str(error['input']), known)}"
    if error["type"] == "missing":
        return f"{origin}: {where} is missing"

    if error["type"] == "value_error":
        return (
            f"{origin}: {where}={error['input']!r}, {error['msg'].removeprefix('Value error, ')}"
        )

    return f"{origin}: {where}={error['input']!r}, expected {_expected(error)}"


def _expected(error: Mapping[str, Any]) -> str:
    r"""Says what a value should be in the words of YAML, rather than in those of Python."""

    said = error["msg"].removeprefix("Input should be ").removeprefix("a valid ")

    return _KINDS.get(error["type"], said)


def _nearest(place: Sequence[int | str]) -> str:
    r"""Suggests the sections that have a key, or else what is like it in its own."""

    key = str(place[-1])
    known = {name: section for name in Experiment.model_fields if (section := _section([name]))}
    found = [f"'{name}.{key}'" for name, one in known.items() if key in one.model_fields]

    return f"did you mean {' or '.join(found)}?" if found else suggest(key, _fields(place[:-1]))


def _fields(loc: Sequence[int | str]) -> list[str]:
    section = _section(loc)

    return list(section.model_fields) if section else []


def _section(loc: Sequence[int | str]) -> type[BaseModel] | None:
    r"""Returns the section at a place, if it is one."""

    section: type[BaseModel] | None = Experiment
    for name in loc:
        if section is None:
            break
        annotation = section.model_fields[str(name)].annotation
        kinds = [annotation, *get_args(annotation)]
        found = (k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel))
        section = next(found, None)

    return section

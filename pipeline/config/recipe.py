r"""What of an experiment makes its model."""

__all__ = ["recipe", "settings"]

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.config.sections import Experiment

ELSE: dict[str, Any] = {
    "name": True,
    "folder": True,
    "simulate": True,
    "evaluation": True,
    "morphometry": True,
    "tracking": True,
    "data": {"root": True, "store": True, "chunk": True, "workers": True, "table": {"path": True}},
}
r"""Where things are and what draws them, how fast they are read, and what is done with a model."""


def recipe(experiment: Experiment) -> dict[str, Any]:
    r"""Returns the settings that make a model, by their full names.

    Example:
        >>> data = {"root": "images", "bands": ["g", "r"]}
        >>> recipe(Experiment.model_validate({"name": "x", "data": data}))["data.bands"]
        ['g', 'r']
    """

    return _size(experiment, dict(_flat(experiment.model_dump(mode="json", exclude=ELSE))))


def settings(experiment: Experiment) -> dict[str, Any]:
    r"""Returns all settings, by their full names."""

    return _size(experiment, dict(_flat(experiment.model_dump(mode="json"))))


def _size(experiment: Experiment, flat: dict[str, Any]) -> dict[str, Any]:
    return flat | {"data.size": list(experiment.data.shape)}  # one number is a square


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value

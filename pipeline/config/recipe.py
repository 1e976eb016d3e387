r"""What of an experiment makes its model."""

__all__ = ["recipe", "settings", "shown"]

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.config.sections import Experiment
from pipeline.passwords import masked

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

    tree = shown(experiment).model_dump(mode="json", exclude=ELSE)

    return _size(experiment, dict(_flat(tree)))


def settings(experiment: Experiment) -> dict[str, Any]:
    r"""Returns all settings, by their full names."""

    return _size(experiment, dict(_flat(shown(experiment).model_dump(mode="json"))))


def shown(experiment: Experiment) -> Experiment:
    r"""Returns an experiment as it is written down and shown: its addresses are masked.

    Example:
        >>> data, uri = {"root": "images", "bands": ["g", "r"]}, "postgresql://me:s3cret@db"
        >>> tree = {"name": "x", "data": data, "tracking": {"uri": uri}}
        >>> shown(Experiment.model_validate(tree)).tracking.uri
        'postgresql://me:***@db'
    """

    model, tracking = experiment.model, experiment.tracking
    if isinstance(model.pretrained, str):
        model = model.model_copy(update={"pretrained": masked(model.pretrained)})
    if tracking.uri:
        tracking = tracking.model_copy(update={"uri": masked(tracking.uri)})

    return experiment.model_copy(update={"model": model, "tracking": tracking})


def _size(experiment: Experiment, flat: dict[str, Any]) -> dict[str, Any]:
    return flat | {"data.size": list(experiment.data.shape)}  # one number is a square


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value

r"""The verbs, used alike by the flows, the command line, tests and notebooks.

Here, and nowhere else, an experiment is unpacked into arguments. Each verb returns a plain
dictionary with what it did. A verb is imported when it is first asked for: what trains takes
seconds to import, and most verbs do without it.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "STAGES": "whole",
    "classify": "catalogue",
    "compare": "evaluation",
    "evaluate": "evaluation",
    "ingest": "data",
    "inspect": "inspection",
    "measure": "measurement",
    "run": "whole",
    "simulate": "simulation",
    "train": "training",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

r"""The kernels of a measurement, watched while it runs."""

__all__ = ["WATCHED", "Kernel", "watched"]

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

WATCHED = ("pipeline.morphometry.measure", "pipeline.morphometry.galaxy")
r"""The modules that call the kernels."""

PACKAGE = "pipeline.morphometry."

Kernel = Callable[..., Any]


@contextmanager
def watched(watch: Callable[[str, Kernel], Kernel]) -> Iterator[None]:
    r"""Replaces each function that a watched module has from one that is not, and puts it back.

    Arguments:
        watch: Makes of a name and its function what is called instead.
    """

    # By name: the package has a function `measure` where the module would be
    modules = [import_module(name) for name in WATCHED]
    kernels = [
        (module, name, value)
        for module in modules
        for name, value in vars(module).items()
        if _elsewhere(value)
    ]
    try:
        for module, name, kernel in kernels:
            setattr(module, name, watch(name, kernel))
        yield
    finally:
        for module, name, kernel in kernels:
            setattr(module, name, kernel)


def _elsewhere(value: object) -> bool:
    module = getattr(value, "__module__", None) or ""
    inside = module.startswith(PACKAGE) and module not in WATCHED

    return inside and callable(value) and not isinstance(value, type)

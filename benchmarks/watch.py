r"""The kernels of a measurement, watched while it runs."""

__all__ = ["Kernel", "watched"]

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.morphometry import statistics as morphology

Kernel = Callable[..., Any]


@contextmanager
def watched(watch: Callable[[str, Kernel], Kernel]) -> Iterator[None]:
    r"""Replaces each function that `morphology` has from other modules, and puts it back.

    Arguments:
        watch: Makes of a name and its function what is called instead.
    """

    kernels = {name: value for name, value in vars(morphology).items() if _elsewhere(value)}
    try:
        for name, kernel in kernels.items():
            setattr(morphology, name, watch(name, kernel))
        yield
    finally:
        for name, kernel in kernels.items():
            setattr(morphology, name, kernel)


def _elsewhere(value: object) -> bool:
    module = getattr(value, "__module__", None) or ""
    inside = module.startswith(f"{morphology.__package__}.") and module != morphology.__name__

    return inside and callable(value) and not isinstance(value, type)

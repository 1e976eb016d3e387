r"""That no function that counts no arrays returns one, which would be freed twice."""

import importlib
import pkgutil
import typing

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher
from numba.core.runtime import _nrt_python, rtsys
from numpy.typing import NDArray

import pipeline.morphometry
from pipeline.morphometry import measure
from pipeline.morphometry.cutouts import measure_cutouts
from pipeline.morphometry.known import Disk, Stamp

MODULES = [module.name for module in pkgutil.iter_modules(pipeline.morphometry.__path__)]


def arrays(kind):
    r"""Whether a type is an array or has one in it."""

    inside = typing.get_args(kind) or tuple(getattr(kind, "__annotations__", {}).values())

    return typing.get_origin(kind) is np.ndarray or any(map(arrays, inside))


def compiled(module):
    functions = vars(importlib.import_module(f"pipeline.morphometry.{module}")).values()

    return [one for one in functions if isinstance(one, Dispatcher)]


@pytest.mark.parametrize("module", MODULES)
def test_what_counts_none_returns_none(module):
    for function in compiled(module):
        if not function.targetoptions.get("_nrt", True):
            returned = typing.get_type_hints(function.py_func)["return"]
            assert not arrays(returned), function.__name__


def test_both_kinds_are_told_apart():
    r"""Else the test above would see nothing."""

    kinds = {one.targetoptions.get("_nrt", True) for name in MODULES for one in compiled(name)}
    assert kinds == {False, True}
    assert arrays(tuple[float, NDArray[np.float64]]) and arrays(Stamp)
    assert not arrays(tuple[float, int]) and not arrays(Disk)


@pytest.mark.parametrize("mode", ["fast", "parity"])
def test_every_array_is_freed(image, mode):
    r"""What an array is held by is counted right: as many are freed as are made."""

    _nrt_python.memsys_enable_stats()
    try:
        measure(image, psf=np.ones((3, 3)), mode=mode)
        before = rtsys.get_allocation_stats()
        measure_cutouts(np.stack([image, image[::-1]])[None], ("g", "r"), mode=mode, gain=5.0)
        measure(image, psf=np.ones((3, 3)), mode=mode)
        after = rtsys.get_allocation_stats()
    finally:
        _nrt_python.memsys_disable_stats()

    made, freed = after.mi_alloc - before.mi_alloc, after.mi_free - before.mi_free
    assert made == freed > 100

r"""How the functions of this package are compiled."""

__all__ = ["entry", "inlined", "inner"]

from typing import Any

from numba import njit

entry = njit(cache=True, error_model="numpy")
r"""Compiles a function that is called from Python, and keeps it on the disk."""

_UNSEEN: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}

inner = njit(error_model="numpy", **_UNSEEN)
r"""Compiles a function that is called by compiled ones only. What else it would take to call it
from Python is a third of the work of the compiler."""

inlined = njit(error_model="numpy", forceinline=True, **_UNSEEN)
r"""The same for a small function that is called so often that the calls would cost more."""

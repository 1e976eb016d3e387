r"""How the functions of this package are compiled."""

__all__ = ["entry", "inlined", "inner", "put"]

from numba import njit
from numpy.typing import NDArray

entry = njit(cache=True, error_model="numpy")
r"""Compiles a function that is called from Python, and keeps it on the disk."""

inner = njit(error_model="numpy")
r"""Compiles a function that is called by compiled ones only."""

inlined = njit(error_model="numpy", forceinline=True)
r"""The same for a small function that is called so often that the calls would cost more."""


@inlined
def put(out: NDArray, values: NDArray) -> None:  # pragma: no cover
    r"""Copies a line of numbers into another one.

    An assignment to a slice would check their shapes, and what makes the message of the error
    is compiled again with everything that calls it: it takes more than half of the time.
    """

    for k in range(out.size):
        out[k] = values[k]

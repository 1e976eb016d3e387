r"""How the functions of this package are compiled."""

__all__ = ["entry", "inlined", "inner", "making", "put", "summing"]

from numba import njit
from numpy.typing import NDArray

entry = njit(cache=True, error_model="numpy")
r"""Compiles a function that is called from Python, and keeps it on the disk."""

making = njit(error_model="numpy", _nrt=True)  # type: ignore[call-overload]
r"""Compiles a function that is called by compiled ones only, and makes or returns arrays."""

inner = njit(error_model="numpy", _nrt=False)  # type: ignore[call-overload]
r"""The same for one that neither makes nor returns any.

How many hold an array is not counted there: at each row that is looked at, counting takes longer
than adding the row up. An array that was returned would be counted by nobody, and freed twice."""

inlined = njit(  # type: ignore[call-overload]
    error_model="numpy", forceinline=True, _nrt=False
)
r"""The same for a small function that is called so often that the calls would cost more."""

summing = njit(  # type: ignore[call-overload]
    error_model="numpy", fastmath={"reassoc"}, _nrt=False
)
r"""The same for a loop that adds up, in an order that is left to the compiler: it is the same in
every call."""


@inlined
def put(out: NDArray, values: NDArray) -> None:  # pragma: no cover
    r"""Copies a line of numbers into another one.

    An assignment to a slice would check their shapes, and what makes the message of the error
    is compiled again with everything that calls it: it takes more than half of the time.
    """

    for k in range(out.size):
        out[k] = values[k]

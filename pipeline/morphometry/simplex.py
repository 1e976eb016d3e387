r"""The centre of the least asymmetry, by the simplex of Nelder and Mead."""

__all__ = ["minimize", "refine", "simplex"]

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import inner, making, put
from pipeline.morphometry.search import Search, about

STEP = 0.05
r"""The size of the first simplex along each axis, relative to the coordinate."""

ZERO_STEP = 0.00025
r"""The size of the first simplex along an axis on which the start is zero."""


@making
def simplex(x: float, y: float) -> NDArray:  # pragma: no cover
    r"""Returns the triangle from which `scipy.optimize.fmin` starts, with shape `(3, 2)`."""

    start = np.array([[x, y], [x, y], [x, y]])
    start[1, 0] = (1 + STEP) * x if x != 0 else ZERO_STEP
    start[2, 1] = (1 + STEP) * y if y != 0 else ZERO_STEP

    return start


@making
def minimize(
    search: Search, start: NDArray[np.float64], xtol: float, ftol: float, limit: int
) -> tuple[float, float, float, int]:  # pragma: no cover
    r"""Finds a minimum of the asymmetry, step for step as `scipy.optimize.fmin` does.

    The worst corner :math:`p_3` of a triangle is moved through the middle :math:`m` of the
    other two, to

    .. math:: p = m + t (m - p_3)

    with :math:`t = 1`, then 2 if that is the best so far, and 1/2 or -1/2 if it is not better
    than the second one. If nothing helps, the triangle shrinks to half about its best corner.
    Everything is equivariant: as the starting triangle moves or turns with the function, so
    does the minimum, but for ties.

    References:
        | A Simplex Method for Function Minimization (Nelder and Mead, 1965)
        | https://doi.org/10.1093/comjnl/7.4.308

    Arguments:
        search: What the asymmetry depends on besides its centre.
        start: The corners of the first triangle, with shape `(3, 2)`. Changed in place.
        xtol: The distance, along each axis, of the corners from the best one at which to stop.
        ftol: The difference of their values, which must be reached as well.
        limit: The largest number of iterations, and of evaluations, at least 3.

    Returns:
        The position of the minimum, the value there, and the number of evaluations.
    """

    values = np.empty(3)
    for k in range(3):
        values[k] = about(start[k, 0], start[k, 1], search)

    return refine(search, start, values, xtol, ftol, limit)


@inner
def refine(
    search: Search,
    start: NDArray[np.float64],
    values: NDArray[np.float64],
    xtol: float,
    ftol: float,
    limit: int,
) -> tuple[float, float, float, int]:  # pragma: no cover
    r"""Finds the minimum when the values at the corners are known, which count as evaluations."""

    _sort(start, values)
    calls, rounds = 3, 1
    while calls < limit and rounds < limit and not _small(start, values, xtol, ftol):
        calls += _move(search, start, values, limit - calls)
        _sort(start, values)
        rounds += 1

    return start[0, 0], start[0, 1], values[0], calls


@inner
def _move(search: Search, p: NDArray, f: NDArray, left: int) -> int:  # pragma: no cover
    r"""Moves the last corner, or shrinks the triangle; returns the number of evaluations.

    Where none is left the move is not made, and the best corner stands.
    """

    mx, my = (p[0, 0] + p[1, 0]) / 2, (p[0, 1] + p[1, 1]) / 2
    x, y = 2 * mx - p[2, 0], 2 * my - p[2, 1]
    value = about(x, y, search)
    if f[0] <= value < f[1]:
        _replace(p, f, x, y, value)
        return 1
    if left == 1:
        return 1

    # Like scipy, to the last digit: t m - s p, not m + t (m - p)
    if value < f[0]:
        x2, y2 = 3 * mx - 2 * p[2, 0], 3 * my - 2 * p[2, 1]
    elif value < f[2]:
        x2, y2 = 1.5 * mx - 0.5 * p[2, 0], 1.5 * my - 0.5 * p[2, 1]
    else:
        x2, y2 = 0.5 * mx + 0.5 * p[2, 0], 0.5 * my + 0.5 * p[2, 1]
    second = about(x2, y2, search)
    if second < min(value, f[2]) or f[0] <= value < f[2] and second == value:
        _replace(p, f, x2, y2, second)
    elif value < f[0]:
        _replace(p, f, x, y, value)
    else:
        return 2 + _shrink(search, p, f, left - 2)

    return 2


@making
def _shrink(search: Search, p: NDArray, f: NDArray, left: int) -> int:  # pragma: no cover
    r"""Halves the triangle about its best corner; returns the number of evaluations."""

    for k in range(1, min(2, left) + 1):
        put(p[k], p[0] + 0.5 * (p[k] - p[0]))
        f[k] = about(p[k, 0], p[k, 1], search)

    return min(2, left)


@inner
def _replace(p: NDArray, f: NDArray, x: float, y: float, value: float) -> None:  # pragma: no cover
    p[2, 0], p[2, 1], f[2] = x, y, value


@inner
def _sort(p: NDArray, f: NDArray) -> None:  # pragma: no cover
    r"""Orders the corners from the best to the worst; equal ones stay as they are."""

    for last in (1, 2, 1):
        if f[last] < f[last - 1]:
            f[last], f[last - 1] = f[last - 1], f[last]
            for axis in range(2):
                p[last, axis], p[last - 1, axis] = p[last - 1, axis], p[last, axis]


@inner
def _small(p: NDArray, f: NDArray, xtol: float, ftol: float) -> bool:  # pragma: no cover
    r"""Tells whether all corners and their values are near the best one."""

    far = 0.0
    for k in range(1, 3):
        far = max(far, abs(p[k, 0] - p[0, 0]), abs(p[k, 1] - p[0, 1]))

    return far <= xtol and f[2] - f[0] <= ftol

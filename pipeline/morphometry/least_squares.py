r"""Normal equations with a few unknowns, damped or not."""

__all__ = ["invert", "solve"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import inner, making, put


@making
def solve(
    normal: NDArray, vector: NDArray, damping: float, step: NDArray
) -> bool:  # pragma: no cover
    r"""Solves the damped normal equations of a least-squares problem.

    .. math:: (N + \lambda \operatorname{diag} N) \, \delta = v

    References:
        | An Algorithm for Least-Squares Estimation of Nonlinear Parameters (Marquardt, 1963)
        | https://doi.org/10.1137/0111030

    Arguments:
        normal: The matrix :math:`N`, of which the lower half is read, with shape `(D, D)`.
        vector: The right side :math:`v`, with shape `(D)`.
        damping: The factor :math:`\lambda`.
        step: Where the solution is put, with shape `(D)`.

    Returns:
        Whether the matrix is positive definite. The step is meaningless if not.
    """

    factor = np.empty_like(normal)
    if not _factorize(normal, damping, factor):
        return False
    size = vector.size
    for i in range(size):
        total = vector[i]
        for k in range(i):
            total -= factor[i, k] * step[k]
        step[i] = total / factor[i, i]
    for i in range(size - 1, -1, -1):
        total = step[i]
        for k in range(i + 1, size):
            total -= factor[k, i] * step[k]
        step[i] = total / factor[i, i]

    return True


@making
def invert(normal: NDArray, out: NDArray) -> bool:  # pragma: no cover
    r"""Inverts a symmetric matrix, for the covariance of what was fitted.

    Arguments:
        normal: The matrix, of which the lower half is read, with shape `(D, D)`.
        out: Where the inverse is put, with shape `(D, D)`. NaN if there is none.

    Returns:
        Whether the matrix is positive definite.
    """

    unit, column = np.zeros(len(normal)), np.empty(len(normal))
    for i in range(len(normal)):
        unit[:] = 0.0
        unit[i] = 1.0
        if not solve(normal, unit, 0.0, column):
            out[:] = np.nan
            return False
        put(out[:, i], column)

    return True


@inner
def _factorize(normal: NDArray, damping: float, factor: NDArray) -> bool:  # pragma: no cover
    r"""Finds the lower triangle whose square is the damped matrix (Cholesky)."""

    for i in range(len(normal)):
        for j in range(i + 1):
            total = normal[i, j]
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            if i > j:
                factor[i, j] = total / factor[j, j]
        rest = total + damping * normal[i, i]
        # What rounding leaves of a singular matrix is no pivot
        if not rest > 1e-14 * normal[i, i] or not math.isfinite(rest):
            return False
        factor[i, i] = math.sqrt(rest)

    return True

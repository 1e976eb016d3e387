r"""The way down to the Sersic profile that fits best."""

__all__ = ["Fit", "begin", "descend", "ellipse", "sandwich", "squares"]

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import inner, making, put
from pipeline.morphometry.geometry import Aperture
from pipeline.morphometry.least_squares import solve
from pipeline.morphometry.sersic_model import (
    UNKNOWNS,
    Data,
    Profile,
    dot,
    normal_equations,
    profile,
)

# What is fitted besides of the amplitude: logarithm of the index, column, row, logarithm of
# the mean radius, and the two components of the stretch
_LOG_N, _X, _Y, _LOG_RADIUS, _PLUS, _CROSS = range(6)


class Fit(NamedTuple):
    r"""Where a fit ended.

    Arguments:
        chi2: The weighted sum of squares of what is left.
        excess: What the profile varies within the squares, by which that was too large.
        amplitude: The amplitude.
        converged: Whether no more decrease of chi2 is expected.
        at_bound: Whether a parameter is at its limit.
    """

    chi2: float
    excess: float
    amplitude: float
    converged: bool
    at_bound: bool


@inner
def begin(
    start: Aperture, n: float, shape: tuple[int, int], parity: bool, p: NDArray, bounds: NDArray
) -> None:  # pragma: no cover
    r"""Sets what a fit starts from and its bounds. What is impossible is replaced."""

    height, width = shape
    diagonal = math.hypot(height, width)
    a = start.a if 0.1 < start.a < diagonal else 0.1 * diagonal
    q = min(max(start.q, 0.05), 1.0) if start.q > 0 else 1.0
    theta = start.theta if math.isfinite(start.theta) else 0.0
    stretch = -0.5 * math.log(q)
    p[_LOG_N] = math.log(min(max(n, 0.5), 6.0)) if n > 0 else math.log(1.5)
    p[_X] = start.x if 0 <= start.x <= width - 1 else 0.5 * (width - 1)
    p[_Y] = start.y if 0 <= start.y <= height - 1 else 0.5 * (height - 1)
    p[_LOG_RADIUS] = math.log(a) - stretch
    p[_PLUS], p[_CROSS] = stretch * math.cos(2 * theta), stretch * math.sin(2 * theta)

    least, most = bounds[:, 0], bounds[:, 1]
    most[_LOG_N] = math.log(100.0 if parity else 10.0)
    least[_LOG_N] = -most[_LOG_N]
    least[_X], most[_X] = -0.5, width - 0.5
    least[_Y], most[_Y] = -0.5, height - 0.5
    least[_LOG_RADIUS], most[_LOG_RADIUS] = math.log(0.01), math.log(10 * diagonal)
    least[_PLUS], most[_PLUS] = 0.0, 2.0  # the length of both: no axis ratio below e^-4
    least[_CROSS], most[_CROSS] = -np.inf, np.inf


@making
def descend(
    data: Data,
    p: NDArray,
    bounds: NDArray,
    tolerance: float,
    normal: NDArray,
    vectors: NDArray,
) -> Fit:  # pragma: no cover
    r"""Walks to the minimum of chi2.

    The last step, of which less than the tolerance is expected, is taken without looking. The
    walk has also ended where chi2 changes by less than that, or no step leads down: as the
    derivatives are not exact, more may be expected there than there is.

    Arguments:
        data: What to fit.
        p: The parameters, changed in place, with shape `(6)`.
        bounds: Their limits, with shape `(6, 2)`.
        tolerance: The decrease of chi2 per degree of freedom that does not matter.
        normal: Where the normal equations at the end are put, with shape `(7, 7)`.
        vectors: Where their right sides are put, of the image and of a level of one, `(2, 7)`.
    """

    vector, step = vectors[0], np.empty(UNKNOWNS)
    other, ahead = np.empty_like(normal), np.empty_like(vectors)
    trial = np.empty_like(p)
    _clip(p, bounds)
    chi2, amplitude, excess = _equations(data, p, normal, vectors)
    damping, converged = 1e-3, False
    for _ in range(100):
        if not math.isfinite(chi2) or damping > 1e9:
            converged = math.isfinite(chi2)
            break
        _freeze(p, bounds, normal, vector)
        if not solve(normal, vector, damping, step):
            damping = max(10 * damping, 1e-6)
            continue
        _move(p, step, bounds, trial)
        gain = dot(vector, step)
        least = tolerance * chi2 / (data.pixels - UNKNOWNS) + 1e-14 * data.total
        if gain < least and damping < 1e-1:
            put(p, trial)
            converged = True
            break
        here = _equations(data, trial, other, ahead)
        converged = abs(here[0] - chi2) < least
        damping *= 0.1 if here[0] <= chi2 else 10.0
        if here[0] <= chi2:
            _accept(p, normal, vectors, trial, other, ahead)
            chi2, amplitude, excess = here
        if converged:
            break

    return Fit(max(chi2 - excess, 0.0), excess, amplitude, converged, _clip(p, bounds))


@making
def squares(data: Data, p: NDArray) -> float:  # pragma: no cover
    r"""Returns the chi2 of a profile of the best amplitude, infinite if it has no value.

    Arguments:
        data: What is fitted, pixel by pixel.
        p: The parameters, with shape `(6)`.
    """

    return _equations(data, p, np.empty((UNKNOWNS, UNKNOWNS)), np.empty((2, UNKNOWNS)))[0]


@inner
def _accept(
    p: NDArray, normal: NDArray, vectors: NDArray, trial: NDArray, other: NDArray, ahead: NDArray
) -> None:  # pragma: no cover
    r"""Moves parameters, and the normal equations there."""

    put(p, trial)
    put(vectors[0], ahead[0])
    put(vectors[1], ahead[1])
    for i in range(UNKNOWNS):
        put(normal[i], other[i])


@making
def _equations(
    data: Data, p: NDArray, normal: NDArray, vectors: NDArray
) -> tuple[float, float, float]:  # pragma: no cover
    r"""Sums the normal equations at some parameters, with the best amplitude for them.

    Returns:
        The chi2, infinite if it has no value, the amplitude, and the part of chi2 that is due
        to the squares having one value only.
    """

    turn, raw, rights = np.empty(normal.shape), np.empty(normal.shape), np.empty(vectors.shape)
    galaxy = _unfold(p, turn)
    varied = normal_equations(data, galaxy, raw, rights)
    if not 0.0 < raw[0, 0] < np.inf:
        return np.inf, 0.0, 0.0
    amplitude = rights[0, 0] / raw[0, 0]
    for i in range(UNKNOWNS):
        for j in range(1, UNKNOWNS):
            turn[i, j] *= amplitude
        put(raw[i, i + 1 :], raw[i + 1 :, i])
    rights[0] -= amplitude * raw[0]
    for i in range(UNKNOWNS):
        vectors[0, i] = dot(turn[:, i], rights[0])
        vectors[1, i] = dot(turn[:, i], rights[1])
        for j in range(i + 1):
            normal[i, j] = sandwich(turn[:, i], raw, turn[:, j])
    chi2 = data.total - amplitude * amplitude * raw[0, 0]

    excess = amplitude * amplitude * varied

    return (chi2 if math.isfinite(vectors[0].sum()) else np.inf), amplitude, excess


@inner
def _unfold(p: NDArray, turn: NDArray) -> Profile:  # pragma: no cover
    r"""Returns the profile of some parameters, and the derivatives of its own by them.

    The form of the ellipse is the exponential of a symmetric matrix,

    .. math:: m = \frac{1}{a b} \left(\cosh 2\eta - \frac{\sinh 2\eta}{\eta}
        \begin{pmatrix} g_+ & g_\times \\ g_\times & -g_+ \end{pmatrix}\right)
    """

    plus, cross = p[_PLUS], p[_CROSS]
    eta = math.hypot(plus, cross)
    scale = math.exp(-2 * p[_LOG_RADIUS])
    cosh = math.cosh(2 * eta)
    if eta > 1e-3:
        sinh = math.sinh(2 * eta) / eta
        bend = (2 * cosh - sinh) / (eta * eta)
    else:
        sinh, bend = 2 + 4 / 3 * eta * eta, 8 / 3
    xx, yy, xy = scale * (cosh - sinh * plus), scale * (cosh + sinh * plus), -scale * sinh * cross

    n = math.exp(p[_LOG_N])
    turn[:] = 0.0
    turn[0, 0], turn[1, 1], turn[2, 2], turn[3, 3] = 1.0, n, 1.0, 1.0
    turn[4, 4], turn[5, 4], turn[6, 4] = -2 * xx, -2 * xy, -2 * yy
    turn[4, 5] = scale * (2 * sinh * plus - bend * plus * plus - sinh)
    turn[6, 5] = scale * (2 * sinh * plus + bend * plus * plus + sinh)
    turn[5, 5] = turn[5, 6] = -scale * bend * plus * cross
    turn[5, 6] = -scale * (bend * cross * cross + sinh)
    turn[4, 6] = scale * cross * (2 * sinh - bend * plus)
    turn[6, 6] = scale * cross * (2 * sinh + bend * plus)

    return profile(n, p[_X], p[_Y], xx, xy, yy)


@inner
def ellipse(p: NDArray) -> Aperture:  # pragma: no cover
    r"""Returns the half-light ellipse."""

    stretch = math.hypot(p[_PLUS], p[_CROSS])
    theta = 0.5 * math.atan2(p[_CROSS], p[_PLUS])
    a = math.exp(p[_LOG_RADIUS] + stretch)

    return Aperture(p[_X], p[_Y], a, math.exp(-2 * stretch), theta)


@inner
def _clip(p: NDArray, bounds: NDArray) -> bool:  # pragma: no cover
    r"""Brings parameters within their bounds. Returns whether any is at one."""

    reached = False
    for i in range(_PLUS):
        if p[i] <= bounds[i, 0] or p[i] >= bounds[i, 1]:
            p[i] = min(max(p[i], bounds[i, 0]), bounds[i, 1])
            reached = True
    stretch = math.hypot(p[_PLUS], p[_CROSS])
    if stretch >= bounds[_PLUS, 1]:
        p[_PLUS] *= bounds[_PLUS, 1] / stretch
        p[_CROSS] *= bounds[_PLUS, 1] / stretch
        reached = True

    return reached


@inner
def _freeze(
    p: NDArray, bounds: NDArray, normal: NDArray, vector: NDArray
) -> None:  # pragma: no cover
    r"""Takes the parameters that are pushed against their bounds out of the equations."""

    for i in range(_PLUS):
        low, high = p[i] <= bounds[i, 0], p[i] >= bounds[i, 1]
        if (low and vector[i + 1] <= 0) or (high and vector[i + 1] >= 0):
            normal[i + 1, :], normal[:, i + 1] = 0.0, 0.0
            normal[i + 1, i + 1], vector[i + 1] = 1.0, 0.0


@making
def _move(p: NDArray, step: NDArray, bounds: NDArray, trial: NDArray) -> None:  # pragma: no cover
    r"""Takes a step, no longer than what the linear equations may be good for."""

    radius = 1.0 + math.exp(p[_LOG_RADIUS])
    length = max(abs(step[1 + _LOG_N]), abs(step[1 + _LOG_RADIUS]))
    length = max(length, math.hypot(step[1 + _X], step[1 + _Y]) / radius)
    length = max(length, math.hypot(step[1 + _PLUS], step[1 + _CROSS]))
    if length > 1.0:
        step /= length
    put(trial, p + step[1:])
    _clip(trial, bounds)


@inner
def sandwich(left: NDArray, matrix: NDArray, right: NDArray) -> float:  # pragma: no cover
    r"""Returns the product of a row, a matrix and a column; the zeros of the row cost nothing."""

    total = 0.0
    for i in range(len(left)):
        if left[i] != 0.0:
            total += left[i] * dot(matrix[i], right)

    return total

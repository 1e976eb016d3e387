r"""Where a function of one variable is zero.

A function is bound when a solver is made, rather than passed to it: what calls a function that
is passed cannot be kept on the disk once compiled.
"""

__all__ = ["polish_of", "root_of"]

from collections.abc import Callable
from typing import Any

from pipeline.morphometry.compiled import inner, making

PRECISION = 4 * 2.220446049250313e-16
r"""The relative tolerance that is always added, the smallest that makes sense."""

LIMIT = 100
r"""The largest number of steps; halving alone needs fewer."""

NEAR = 0.25
r"""Half of the distance over which a slope is taken."""

TRIES = 6
r"""The number of steps in which a near zero is found, if ever."""


def root_of(function: Callable[..., float]) -> Callable[..., float]:
    r"""Makes a search between two points of opposite sign, step for step scipy's `brentq`.

    The best point :math:`x` moves to where the line, or the hyperbola, through the last points
    is zero. Where that converges too slowly, the bracket is halved.

    References:
        | An algorithm with guaranteed convergence for finding a zero of a function (Brent, 1971)
        | https://doi.org/10.1093/comjnl/14.4.422

    Arguments:
        function: A compiled function of :math:`x` and of what else it needs.

    Returns:
        A compiled function of what the function needs, both ends of the bracket, and how far
        from the zero the result may be. It returns the zero; if the signs are equal, or not
        defined, some point of the bracket.
    """

    @making
    def root(data: Any, low: float, high: float, tolerance: float) -> float:  # pragma: no cover
        last, x = low, high
        f_last, f = function(last, data), function(x, data)
        if f_last == 0:
            return last
        other, f_other, step, before = last, f_last, x - last, x - last
        for _ in range(LIMIT):
            if f_last != 0 and f != 0 and (f_last < 0) != (f < 0):
                other, f_other, step, before = last, f_last, x - last, x - last
            if abs(f_other) < abs(f):  # `x` is the better end, `last` and `other` the worse one
                last, x, other = x, other, x
                f_last, f, f_other = f, f_other, f
            smallest = 0.5 * (tolerance + PRECISION * abs(x))
            half = 0.5 * (other - x)
            if f == 0 or not abs(half) >= smallest:
                break
            trial = _interpolate(last, x, other, f_last, f, f_other)
            fast = abs(before) > smallest and abs(f) < abs(f_last)
            if fast and 2 * abs(trial) < min(abs(before), 3 * abs(half) - smallest):
                before, step = step, trial
            else:
                before, step = half, half
            last, f_last = x, f
            x += step if abs(step) > smallest else smallest if half > 0 else -smallest
            f = function(x, data)

        return x

    return root


@inner
def _interpolate(
    last: float, x: float, other: float, f_last: float, f: float, f_other: float
) -> float:  # pragma: no cover
    r"""Returns the step to the zero of a line, or of the inverse of a parabola."""

    if last == other:
        return -f * (x - last) / (f - f_last)
    slope = (f_last - f) / (last - x)
    slope_other = (f_other - f) / (other - x)

    return (
        -f * (f_other * slope_other - f_last * slope) / (slope_other * slope * (f_other - f_last))
    )


def polish_of(function: Callable[..., float]) -> Callable[..., float]:
    r"""Makes a search for a zero near that of a similar function, which is cheaper.

    The secants start with the slope of the similar function. Where they do not converge,
    Brent's method does.

    Arguments:
        function: A compiled function of :math:`x` and of what else it needs.

    Returns:
        A compiled function of what the function needs to be cheap, and to be right; where it
        is zero, if cheap; both ends of a bracket; and the last step, at most. It returns the
        zero; if there is none, some point of the bracket.
    """

    root = root_of(function)

    @making
    def polish(
        data: tuple[Any, Any], x: float, low: float, high: float, tolerance: float
    ) -> float:  # pragma: no cover
        cheap, right = data
        slope = (function(x + NEAR, cheap) - function(x - NEAR, cheap)) / (2 * NEAR)
        value = function(x, right)
        for _ in range(TRIES):
            step = -value / slope
            if not low <= x + step <= high:
                break
            x += step
            if abs(step) < tolerance:
                return x
            before, value = value, function(x, right)
            slope = (value - before) / step

        return root(right, low, high, tolerance)

    return polish

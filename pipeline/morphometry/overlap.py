r"""The area that a pixel shares with a circle or an ellipse, exactly."""

__all__ = ["lens", "overlap"]

import math

from numba import njit

from pipeline.morphometry.compiled import inner

LENS = (1 / 12, 3 / 80, 5 / 224, 35 / 2304, 63 / 5632, 231 / 26624, 143 / 20480, 6435 / 1114112)
r"""The first coefficients of :math:`(\arcsin c - c) / 2`, from :math:`c^3` on."""


@njit(error_model="numpy")
def overlap(dx: float, dy: float, a: float, q: float, theta: float) -> float:  # pragma: no cover
    r"""Returns the area that a pixel shares with an ellipse about the origin.

    Arguments:
        dx: The column of the pixel, seen from the centre of the ellipse.
        dy: The row of the pixel, seen from the centre of the ellipse.
        a: The semi-major axis.
        q: The axis ratio.
        theta: The angle of the major axis, in radians.

    Returns:
        The area, from 0 to 1.
    """

    if q == 1.0:
        return _overlap_circle(abs(dx), abs(dy), a)

    return _overlap_ellipse(dx, dy, a, a * q, math.cos(theta), math.sin(theta))


@inner
def _overlap_circle(dx: float, dy: float, r: float) -> float:  # pragma: no cover
    r"""Returns the area shared with a circle, from the parts of the pixel in each quadrant."""

    x, y = max(dx - 0.5, 0.0), max(dy - 0.5, 0.0)
    total = _overlap_quadrant(x, dx + 0.5, y, dy + 0.5, r)
    if dx < 0.5:
        total += _overlap_quadrant(0.0, 0.5 - dx, y, dy + 0.5, r)
    if dy < 0.5:
        total += _overlap_quadrant(x, dx + 0.5, 0.0, 0.5 - dy, r)
    if dx < 0.5 and dy < 0.5:
        total += _overlap_quadrant(0.0, 0.5 - dx, 0.0, 0.5 - dy, r)

    return total


@inner
def _overlap_quadrant(
    x0: float, x1: float, y0: float, y1: float, r: float
) -> float:  # pragma: no cover
    r"""Returns the area that a rectangle shares with a circle, where x and y are not negative."""

    square = r * r
    if x1 * x1 + y1 * y1 <= square:
        return (x1 - x0) * (y1 - y0)
    if x0 * x0 + y0 * y0 >= square:
        return 0.0
    # The circle enters at the top or on the left, and leaves at the bottom or on the right
    xa, ya = x0, y1
    if x0 * x0 + y1 * y1 > square:
        ya = math.sqrt(square - x0 * x0)
    else:
        xa = math.sqrt(square - y1 * y1)
    xb, yb = x1, y0
    if x1 * x1 + y0 * y0 > square:
        xb = math.sqrt(square - y0 * y0)
    else:
        yb = math.sqrt(square - x1 * x1)
    cap = lens((xb * ya - xa * yb) / square, (xa * xb + ya * yb) / square)

    return (xa - x0) * (y1 - y0) + (xb - xa) * (0.5 * (ya + yb) - y0) + square * cap


@inner
def lens(sin: float, cos: float) -> float:  # pragma: no cover
    r"""Returns the area between the unit circle and the chord of an angle up to half a turn."""

    square = sin * sin
    if square > 0.03 or cos < 0.0:
        return 0.5 * (math.atan2(sin, cos) - sin)
    fourth = square * square
    low = LENS[0] + LENS[1] * square + (LENS[2] + LENS[3] * square) * fourth
    high = LENS[4] + LENS[5] * square + (LENS[6] + LENS[7] * square) * fourth

    return (low + high * fourth * fourth) * square * sin


@inner
def _overlap_ellipse(
    dx: float, dy: float, a: float, b: float, cos: float, sin: float
) -> float:  # pragma: no cover
    r"""Returns the area shared with an ellipse.

    The pixel is mapped to where the ellipse is the unit circle. The area of a polygon inside
    of the circle is the signed sum, over its edges, of the triangles that they make with the
    origin, inside of the circle.
    """

    total = 0.0
    x0, y0 = dx - 0.5, dy - 0.5
    u0, v0 = (x0 * cos + y0 * sin) / a, (y0 * cos - x0 * sin) / b
    for corner in range(1, 5):
        x1 = dx + (0.5 if corner in (1, 2) else -0.5)
        y1 = dy + (0.5 if corner in (2, 3) else -0.5)
        u1, v1 = (x1 * cos + y1 * sin) / a, (y1 * cos - x1 * sin) / b
        total += _beside(u0, v0, u1, v1)
        u0, v0 = u1, v1

    return min(max(total * a * b, 0.0), 1.0)


@inner
def _beside(u0: float, v0: float, u1: float, v1: float) -> float:  # pragma: no cover
    r"""Returns the signed area of the triangle of an edge and the origin in the unit circle."""

    du, dv = u1 - u0, v1 - v0
    square = du * du + dv * dv
    along = -(u0 * du + v0 * dv) / square  # where the edge is nearest to the origin
    nearest = (u0 + along * du) ** 2 + (v0 + along * dv) ** 2
    if nearest >= 1.0:
        return 0.5 * _angle(u0, v0, u1, v1)

    half = math.sqrt((1.0 - nearest) / square)
    first, last = max(along - half, 0.0), min(along + half, 1.0)
    if first >= last:
        return 0.5 * _angle(u0, v0, u1, v1)

    ua, va, ub, vb = u0 + first * du, v0 + first * dv, u0 + last * du, v0 + last * dv
    total = ua * vb - va * ub
    if first > 0.0:
        total += _angle(u0, v0, ua, va)
    if last < 1.0:
        total += _angle(ub, vb, u1, v1)

    return 0.5 * total


@inner
def _angle(u0: float, v0: float, u1: float, v1: float) -> float:  # pragma: no cover
    return math.atan2(u0 * v1 - v0 * u1, u0 * u1 + v0 * v1)

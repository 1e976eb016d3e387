r"""The area that a pixel shares with an ellipse, exactly and slowly."""

import math


def share(dx: float, dy: float, a: float, q: float, theta: float) -> float:
    r"""Returns the area that a pixel shares with an ellipse about the origin.

    The pixel is mapped to where the ellipse is the unit circle. The area of a polygon inside
    of the circle is the signed sum, over its edges, of the triangles that they make with the
    origin, inside of the circle.
    """

    total, b, cos, sin = 0.0, a * q, math.cos(theta), math.sin(theta)
    x0, y0 = dx - 0.5, dy - 0.5
    u0, v0 = (x0 * cos + y0 * sin) / a, (y0 * cos - x0 * sin) / b
    for corner in range(1, 5):
        x1 = dx + (0.5 if corner in (1, 2) else -0.5)
        y1 = dy + (0.5 if corner in (2, 3) else -0.5)
        u1, v1 = (x1 * cos + y1 * sin) / a, (y1 * cos - x1 * sin) / b
        total += _beside(u0, v0, u1, v1)
        u0, v0 = u1, v1

    return min(max(total * a * b, 0.0), 1.0)


def _beside(u0: float, v0: float, u1: float, v1: float) -> float:
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


def _angle(u0: float, v0: float, u1: float, v1: float) -> float:
    return math.atan2(u0 * v1 - v0 * u1, u0 * u1 + v0 * v1)

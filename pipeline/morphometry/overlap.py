r"""The area that a pixel shares with a circle, exactly."""

__all__ = ["lens", "overlap"]

import math

from pipeline.morphometry.compiled import inner

LENS = (1 / 12, 3 / 80, 5 / 224, 35 / 2304, 63 / 5632, 231 / 26624, 143 / 20480, 6435 / 1114112)
r"""The first coefficients of :math:`(\arcsin c - c) / 2`, from :math:`c^3` on."""


@inner
def overlap(dx: float, dy: float, r: float) -> float:  # pragma: no cover
    r"""Returns the area that a pixel shares with a circle about the origin.

    It is the sum of the parts of the pixel in each quadrant.

    Arguments:
        dx: The column of the pixel, seen from the centre of the circle.
        dy: The row of the pixel, seen from the centre of the circle.
        r: The radius.

    Returns:
        The area, from 0 to 1.
    """

    dx, dy = abs(dx), abs(dy)
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

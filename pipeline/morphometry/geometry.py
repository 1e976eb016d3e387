r"""Apertures whose rims share pixels exactly."""

__all__ = ["Aperture", "area", "flux", "overlap"]

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Aperture(NamedTuple):
    r"""An ellipse among pixels, whose centres are at whole numbers.

    Arguments:
        x: The column of its centre.
        y: The row of its centre.
        a: The semi-major axis, in pixels.
        q: The ratio of the minor axis to the major one, 1 for a circle.
        theta: The angle from the x axis to the major one, towards the y axis, in radians.
    """

    x: float
    y: float
    a: float
    q: float = 1.0
    theta: float = 0.0


@njit
def overlap(dx: float, dy: float, a: float, q: float, theta: float) -> float:  # pragma: no cover
    r"""Returns the area that a pixel shares with an ellipse about the origin.

    The pixel is mapped to where the ellipse is the unit circle. The area of a polygon inside
    of the circle is the signed sum, over its edges, of the triangles that they make with the
    origin, inside of the circle.

    Arguments:
        dx: The column of the pixel, seen from the centre of the ellipse.
        dy: The row of the pixel, seen from the centre of the ellipse.
        a: The semi-major axis.
        q: The axis ratio.
        theta: The angle of the major axis, in radians.

    Returns:
        The area, from 0 to 1.
    """

    b = a * q
    cos, sin = math.cos(theta), math.sin(theta)
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


@njit
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


@njit
def _angle(u0: float, v0: float, u1: float, v1: float) -> float:  # pragma: no cover
    return math.atan2(u0 * v1 - v0 * u1, u0 * u1 + v0 * v1)


@njit
def area(
    mask: NDArray[np.bool_], x: float, y: float, a: float, q: float, theta: float
) -> float:  # pragma: no cover
    r"""Returns the area of an aperture that is inside of the image and not masked."""

    return _sums(mask, mask, x, y, a, q, theta)[1]


@njit
def flux(
    image: NDArray[np.float64],
    mask: NDArray[np.bool_],
    x: float,
    y: float,
    a: float,
    q: float,
    theta: float,
) -> tuple[float, float]:  # pragma: no cover
    r"""Returns the flux in an aperture and its area, both where it is not masked.

    Arguments:
        image: The image, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.
        a: The semi-major axis, in pixels.
        q: The axis ratio.
        theta: The angle of the major axis, in radians.
    """

    return _sums(image, mask, x, y, a, q, theta)


@njit
def _sums(
    image: NDArray, mask: NDArray, x: float, y: float, a: float, q: float, theta: float
) -> tuple[float, float]:  # pragma: no cover
    total, covered = 0.0, 0.0
    if not (a > 0 and q > 0):
        return total, covered
    height, width = image.shape
    b = a * q
    cos, sin = math.cos(theta), math.sin(theta)
    # No pixel reaches further from its centre, where the ellipse is the unit circle
    reach = math.sqrt(0.5) / b
    tall = math.sqrt((a * sin) ** 2 + (b * cos) ** 2) + 1.0
    wide = math.sqrt((a * cos) ** 2 + (b * sin) ** 2) + 1.0
    for i in range(max(int(math.ceil(y - tall)), 0), min(int(y + tall) + 1, height)):
        for j in range(max(int(math.ceil(x - wide)), 0), min(int(x + wide) + 1, width)):
            if mask[i, j]:
                continue
            dx, dy = j - x, i - y
            u, v = (dx * cos + dy * sin) / a, (dy * cos - dx * sin) / b
            r = math.sqrt(u * u + v * v)
            if r >= 1.0 + reach:
                continue
            share = 1.0 if r <= 1.0 - reach else overlap(dx, dy, a, q, theta)
            total += share * image[i, j]
            covered += share

    return total, covered

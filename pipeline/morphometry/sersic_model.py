r"""The Sersic profile in pixels, and the normal equations of its fit."""

__all__ = [
    "UNKNOWNS",
    "Box",
    "Data",
    "Profile",
    "dot",
    "normal_equations",
    "profile",
    "steepness",
]

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import inlined, inner, making, put, summing
from pipeline.morphometry.psf import Kernel, convolve

UNKNOWNS = 7
r"""The columns of the Jacobian: amplitude, index, column, row and the form (xx, xy, yy)."""

REACH = 0.5
r"""Squares larger than this part of their distance from the centre are integrated in parts."""

SMALLEST = 1 / 64
r"""The side of the smallest part, in pixels."""


class Profile(NamedTuple):
    r"""A galaxy of unit brightness at its effective radius,

    .. math:: f = \exp(b_n - b_n u^{1 / 2n}) \quad
        u = m_{xx} (x - x_0)^2 + 2 m_{xy} (x - x_0) (y - y_0) + m_{yy} (y - y_0)^2

    Arguments:
        b: The exponent at the effective radius.
        slope: The derivative of its logarithm with respect to the index.
        power: The power of :math:`u`, :math:`1 / 2n`.
        x: The column of the centre.
        y: The row of the centre.
        xx: The form :math:`m_{xx}`, an inverse area.
        xy: The form :math:`m_{xy}`.
        yy: The form :math:`m_{yy}`.
        largest: The largest eigenvalue of the form, :math:`1 / b^2` for a minor axis :math:`b`.
    """

    b: float
    slope: float
    power: float
    x: float
    y: float
    xx: float
    xy: float
    yy: float
    largest: float


class Box(NamedTuple):
    r"""The rows and columns next to a part of an image, which are not in it."""

    top: int
    bottom: int
    left: int
    right: int


class Data(NamedTuple):
    r"""What a profile is fitted to.

    Arguments:
        image: The image, with shape `(H, W)`.
        weight: The inverse variance of each pixel, 0 where it does not count, `(H, W)`.
        kernel: The point spread function.
        box: Where the profile has to be convolved with it.
        sampled: Whether the profile is taken at the centres of pixels, and for the convolution
            ends at the edges of the image; else it is averaged over pixels.
        cells: The image in squares, with shape `(N, 5)`, as `gather` makes them.
        pixels: The number of pixels that count.
        total: The weighted sum of their squares.
    """

    image: NDArray[np.float64]
    weight: NDArray[np.float64]
    kernel: Kernel
    box: Box
    sampled: bool
    cells: NDArray[np.float64]
    pixels: int
    total: float


@inner
def profile(
    n: float, x: float, y: float, xx: float, xy: float, yy: float
) -> Profile:  # pragma: no cover
    r"""Makes a profile, its exponent from its index."""

    step = 1e-4 * n
    b, slope = steepness(n), (steepness(n + step) - steepness(n - step)) / (2 * step)
    largest = 0.5 * (xx + yy) + math.hypot(0.5 * (xx - yy), xy)

    return Profile(b, slope / b, 0.5 / n, x, y, xx, xy, yy, largest)


@inner
def steepness(n: float) -> float:  # pragma: no cover
    r"""Returns the exponent :math:`b_n` for which half of the light is within r_eff.

    It is the median of a gamma distribution, :math:`P(2n, b_n) = 1 / 2`, found by Newton's
    method in :math:`\ln b` from the series of Ciotti & Bertin, to rounding.

    References:
        | Analytical properties of the R^(1/m) law (Ciotti & Bertin, 1999)
        | https://arxiv.org/abs/astro-ph/9911078

    Arguments:
        n: The Sersic index, positive.
    """

    shape = 2 * n
    if n > 0.3:
        b = shape - 1 / 3 + 4 / (405 * n) + 46 / (25515 * n * n) + 131 / (1148175 * n**3)
    else:
        b = math.exp((math.lgamma(shape + 1) - math.log(2)) / shape)
    for _ in range(20):
        front = math.exp(shape * math.log(b) - b - math.lgamma(shape + 1))
        total, term, k = 1.0, 1.0, shape
        while term > 1e-17 * total:
            k += 1
            term *= b / k
            total += term
        change = (total * front - 0.5) / (shape * front)
        b *= math.exp(-min(max(change, -1.0), 1.0))
        if abs(change) < 1e-14:
            break

    return b


@inlined
def _add(
    dx: float, dy: float, spread: float, share: float, galaxy: Profile, column: NDArray
) -> None:  # pragma: no cover
    r"""Adds the mean of a profile about a point, and its derivatives.

    A mean over a square of side :math:`h` is the value at its centre and, to the fourth order,
    :math:`h^2 / 24` of the Laplacian there. What this adds changes the derivatives by its
    factor only, since they need not be so exact: they say where to go, the value where to stop.

    Arguments:
        dx: The column of the point, seen from the centre of the galaxy.
        dy: The row of the point, seen from the centre of the galaxy.
        spread: The second moment :math:`s` of what is averaged over, half of it,
            :math:`f + s \nabla^2 f`.
        share: The factor on what is added.
        galaxy: The profile.
        column: The value and its derivatives, in the order of the unknowns, with shape `(7)`.
    """

    along, across = galaxy.xx * dx + galaxy.xy * dy, galaxy.xy * dx + galaxy.yy * dy
    u = max(dx * along + dy * across, 1e-24)
    inverse, log_u = 1.0 / u, math.log(u)
    t = galaxy.b * math.exp(galaxy.power * log_u)
    if t - galaxy.b > 700.0:  # nothing is left, and products would overflow
        return
    power = t * galaxy.power  # minus the logarithmic slope of f in u
    value = share * math.exp(galaxy.b - t)
    if spread > 0.0:
        steep = 4 * (power + 1 - galaxy.power) * (along * along + across * across) * inverse
        bend = spread * power * inverse * (steep - 2 * (galaxy.xx + galaxy.yy))
        value *= min(max(1 + bend, 0.5), 2.0)
    fall = -value * power * inverse
    column[0] += value
    column[1] += value * (2 * galaxy.power * power * log_u - galaxy.slope * (t - galaxy.b))
    column[2] -= 2 * fall * along
    column[3] -= 2 * fall * across
    column[4] += fall * dx * dx
    column[5] += 2 * fall * dx * dy
    column[6] += fall * dy * dy


@inlined
def _average(
    dx: float,
    dy: float,
    side: float,
    spread: float,
    galaxy: Profile,
    stack: NDArray,
    column: NDArray,
) -> None:  # pragma: no cover
    r"""Adds the mean of a profile over a square, in parts where it is next to the centre."""

    if _small(dx, dy, side, galaxy):
        _add(dx, dy, spread + side * side / 24, 1.0, galaxy, column)
    else:
        _in_parts(dx, dy, side, spread, galaxy, stack, column)


@inlined
def _small(dx: float, dy: float, side: float, galaxy: Profile) -> bool:  # pragma: no cover
    r"""Tells whether a square is small against its distance, on the scale of the minor axis."""

    u = galaxy.xx * dx * dx + 2 * galaxy.xy * dx * dy + galaxy.yy * dy * dy

    return side * side * galaxy.largest <= REACH * REACH * u


@inner
def _in_parts(
    dx: float,
    dy: float,
    side: float,
    spread: float,
    galaxy: Profile,
    stack: NDArray,
    column: NDArray,
) -> None:  # pragma: no cover
    r"""Adds the mean of a profile over a square that is split in four until parts are small.

    The last one about the centre counts as the ellipse of the same area, at its mean of
    :math:`u^{1 / 2n}`.
    """

    stack[0, 0], stack[0, 1], stack[0, 2] = dx, dy, side
    depth = 1
    while depth:
        depth -= 1
        x, y, part = stack[depth, 0], stack[depth, 1], stack[depth, 2]
        share = part * part / (side * side)
        if _small(x, y, part, galaxy):
            _add(x, y, spread + part * part / 24, share, galaxy, column)
        elif part <= SMALLEST:
            _add(x, y, 0.0, share, galaxy, column)
        else:
            depth = _quarter(stack, depth, x, y, part / 2)


@inner
def _quarter(
    stack: NDArray, depth: int, x: float, y: float, side: float
) -> int:  # pragma: no cover
    for quarter in range(4):
        stack[depth, 0] = x + side * (quarter % 2 - 0.5)
        stack[depth, 1] = y + side * (quarter // 2 - 0.5)
        stack[depth, 2] = side
        depth += 1

    return depth


@making
def normal_equations(
    data: Data, galaxy: Profile, normal: NDArray, vectors: NDArray
) -> float:  # pragma: no cover
    r"""Sums the normal equations of a profile of unit amplitude.

    Further from the centre than a point spread function reaches, convolution with it is

    .. math:: P * f = f + \frac{\sigma^2}{2} \nabla^2 f

    to the fourth order, as is averaging over a pixel. Next to the centre it is done.

    Arguments:
        data: What is fitted.
        galaxy: The profile.
        normal: Where :math:`\sum w J J^T` is put, its lower half, with shape `(7, 7)`.
        vectors: Where :math:`\sum w J d` is put, and the same of a level of one instead of the
            image, :math:`\sum w J`, with shape `(2, 7)`.

    Returns:
        The weighted sum of squares of what the profile varies within the squares.
    """

    jacobian = np.empty((UNKNOWNS, len(data.cells)))
    weight, value = data.cells[:, 3].copy(), data.cells[:, 4].copy()
    room = np.empty(UNKNOWNS), np.empty((64, 3))
    varied = _in_cells(data, galaxy, jacobian, weight, value, room)
    normal[:], vectors[:] = 0.0, 0.0
    _tally(jacobian, weight, value, normal, vectors)
    if data.box.right > data.box.left:
        _convolved(data, galaxy, normal, vectors)

    return varied


@inner
def _in_cells(
    data: Data,
    galaxy: Profile,
    jacobian: NDArray,
    weight: NDArray,
    value: NDArray,
    room: tuple[NDArray, NDArray],
) -> float:  # pragma: no cover
    r"""Fills in the Jacobian in each cell; those of the box that is convolved do not count."""

    box, kernel, cells = data.box, data.kernel, data.cells
    spread, varied = 0.5 * kernel.variance, 0.0
    column, stack = room
    for k in range(len(cells)):
        x, y, side = cells[k, 0], cells[k, 1], cells[k, 2]
        column[:] = 0.0
        if box.left < x < box.right and box.top < y < box.bottom:
            put(jacobian[:, k], column)
            weight[k], value[k] = 0.0, 0.0
            continue
        dx, dy = x - galaxy.x - kernel.x, y - galaxy.y - kernel.y
        if data.sampled:
            _add(dx, dy, spread + (side * side - 1) / 24, 1.0, galaxy, column)
        else:
            _average(dx, dy, side, spread, galaxy, stack, column)
        put(jacobian[:, k], column)
        varied += cells[k, 3] * (side * side - 1) / 12 * (column[2] ** 2 + column[3] ** 2)

    return varied


@making
def _convolved(
    data: Data, galaxy: Profile, normal: NDArray, vectors: NDArray
) -> None:  # pragma: no cover
    r"""Adds the pixels of the box, with which a profile is convolved."""

    box, (height, width) = data.box, data.image.shape
    around = _around(data, galaxy)
    tall, wide = box.bottom - box.top - 1, box.right - box.left - 1
    columns = np.empty((UNKNOWNS, tall, wide))
    for i in range(UNKNOWNS):
        convolve(around[i], data.kernel, columns[i])
    weight, value = np.zeros((tall, wide)), np.zeros((tall, wide))
    for y in range(max(box.top + 1, 0), min(box.bottom, height)):
        for x in range(max(box.left + 1, 0), min(box.right, width)):
            i, j = y - box.top - 1, x - box.left - 1
            weight[i, j] = data.weight[y, x]
            value[i, j] = data.weight[y, x] * data.image[y, x]
    _tally(columns.reshape(UNKNOWNS, tall * wide), weight.ravel(), value.ravel(), normal, vectors)


@making
def _around(data: Data, galaxy: Profile) -> NDArray:  # pragma: no cover
    r"""Returns a profile and its derivatives in a box and on what a kernel brings into it."""

    tall, wide = data.kernel.columns.shape[1], data.kernel.rows.shape[1]
    top, left = data.box.top + 1 - tall // 2, data.box.left + 1 - wide // 2
    bottom, right = data.box.bottom + (tall - 1) // 2, data.box.right + (wide - 1) // 2
    height, width = data.image.shape
    out = np.zeros((UNKNOWNS, bottom - top, right - left))
    first, last, start, stop = top, bottom, left, right
    if data.sampled:  # nothing is outside of the image
        first, last = max(top, 0), min(bottom, height)
        start, stop = max(left, 0), min(right, width)
    column, stack = np.empty(UNKNOWNS), np.empty((64, 3))
    for y in range(first, last):
        for x in range(start, stop):
            column[:] = 0.0
            if data.sampled:
                _add(x - galaxy.x, y - galaxy.y, 0.0, 1.0, galaxy, column)
            else:
                _average(x - galaxy.x, y - galaxy.y, 1.0, 0.0, galaxy, stack, column)
            put(out[:, y - top, x - left], column)

    return out


@making
def _tally(
    jacobian: NDArray, weight: NDArray, value: NDArray, normal: NDArray, vectors: NDArray
) -> None:  # pragma: no cover
    r"""Adds a Jacobian and weighted values to the normal equations."""

    for i in range(UNKNOWNS):
        vectors[0, i] += dot(jacobian[i], value)
        vectors[1, i] += dot(jacobian[i], weight)
        weighted = jacobian[i] * weight
        for j in range(i + 1):
            normal[i, j] += dot(jacobian[j], weighted)


@summing
def dot(left: NDArray, right: NDArray) -> float:  # pragma: no cover
    r"""Returns the inner product of two lines of numbers."""

    total = 0.0
    for k in range(left.size):
        total += left[k] * right[k]

    return total

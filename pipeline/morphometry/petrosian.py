r"""The radius at which the surface brightness falls below a fraction of the mean within."""

__all__ = ["ETA", "NOTHING", "petrosian_radius", "petrosian_ratio"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner
from pipeline.morphometry.flags import NEGATIVE_FLUX, RADIUS_NOT_REACHED, UNDEFINED
from pipeline.morphometry.geometry import sketch, within
from pipeline.morphometry.roots import polish_of, root_of

ETA = 0.2
r"""The ratio at the Petrosian radius."""

COVERED = 0.1
r"""The share of the ring around a radius that must be seen, else the ratio tells nothing."""

MARGIN = 0.015
r"""Where a ratio is nearer to its limit than this, a sketch does not decide."""

NOTHING = 1e-9
r"""An area, in pixels, that rounding leaves where there is none."""

STEPS = 100
r"""The number of radii at which the ratio is tried, from one pixel to the diagonal."""

STRIDE = 3
r"""Only every so many of these are tried while the ratio is high, without parity."""

FAR = 0.2
r"""By how much it must be higher for that."""

EXACT = 1e-6
r"""The tolerance of the radius, in pixels, with parity."""

FAST, FINE = 1e-2, 1e-4
r"""Otherwise: the tolerance of the radius by sketches, and the last step of the exact one, whose
error is a tenth of it; in pixels."""

Apertures = tuple[NDArray, float, float, float, float, bool]
r"""The cumulative sums of an image, the centre and the shape of apertures, and whether they are
sketched."""


@entry
def petrosian_radius(
    sums: NDArray[np.float64], x: float, y: float, q: float, theta: float, parity: bool
) -> tuple[float, int]:  # pragma: no cover
    r"""Returns the radius where :math:`\eta` is 0.2, the first from the centre.

    The ratio is tried at 100 radii, from one pixel to the diagonal of the image over the axis
    ratio, until it is below 0.2; in between, Brent's method finds the zero. Two crossings within
    a step are not seen.

    References:
        | Surface brightness and evolution of galaxies (Petrosian, 1976)
        | https://doi.org/10.1086/182253

        | A New Nonparametric Approach to Galaxy Morphological Classification (Lotz et al., 2004)
        | https://doi.org/10.1086/421849

    Arguments:
        sums: The cumulative sums of the image, with shape `(H, W + 1, 2)`.
        x: The column of the centre.
        y: The row of the centre.
        q: The axis ratio, 1 for circles.
        theta: The angle of the major axis, in radians.
        parity: Whether the radius is that of statmorph to 1e-6 pixels. If not, some radii are
            skipped while the ratio is high, the zero is looked for with sketches of the
            apertures first, and it is right to 1e-5 pixels.

    Returns:
        The radius, along the major axis, in pixels, and the flags. One pixel if the ratio starts
        below 0.2, the last radius tried if it does not fall that far: not reached, as where
        it falls because the image ends. Not a number if the centre or the shape is not one,
        or if all is masked.
    """

    height, width = sums.shape[0], sums.shape[1] - 1
    if not (math.isfinite(x * y) and math.isfinite(theta) and 0 < q <= 1) or _empty(sums):
        return np.nan, UNDEFINED
    last = math.sqrt(height * height + width * width) / q
    exact, data = (sums, x, y, q, theta, False), (sums, x, y, q, theta, not parity)
    first = 0 if parity else _skip(last, data)
    before = _tried(max(first - 1, 0), last)
    for k in range(first, STEPS):
        radius = _tried(k, last)
        value = _excess(radius, data)
        if not parity and abs(value) < MARGIN:
            value = _excess(radius, exact)
        if value <= 0:
            flags = RADIUS_NOT_REACHED if k == 0 and value < 0 else 0
            if k > 0 and value < 0:
                radius = _crossing(exact, data, before, radius, parity)
            return radius, flags | _doubts(radius, data)
        before = radius

    return last, RADIUS_NOT_REACHED | _doubts(last, data)


@inner
def _tried(k: int, last: float) -> float:  # pragma: no cover
    r"""Returns one of the radii that are tried."""

    return last if k == STEPS - 1 else k * ((last - 1.0) / (STEPS - 1)) + 1.0


@inner
def _skip(last: float, data: Apertures) -> int:  # pragma: no cover
    r"""Returns from which on radii must be tried one by one, as the ratio is no longer high."""

    k = 0
    while k + STRIDE < STEPS and _excess(_tried(k + STRIDE, last), data) > FAR:
        k += STRIDE

    return k + 1 if k > 0 else 0


@inner
def petrosian_ratio(
    sums: NDArray[np.float64],
    x: float,
    y: float,
    radius: float,
    q: float,
    theta: float,
    rough: bool = False,
) -> float:  # pragma: no cover
    r"""Returns the mean around a radius over the mean within it.

    .. math:: \eta(r) = \frac{|\langle f \rangle_{r - 1/2 < r' < r + 1/2}|}
        {|\langle f \rangle_{r' < r}|}

    Arguments:
        sums: The cumulative sums of the image, with shape `(H, W + 1, 2)`.
        x: The column of the centre.
        y: The row of the centre.
        radius: The radius, along the major axis, at least half a pixel.
        q: The axis ratio.
        theta: The angle of the major axis, in radians.
        rough: Whether apertures are sketched, for speed.

    Returns:
        The ratio. If the mean within is zero, 0 where that around is zero too, else 1.
    """

    total, covered, around, ring = _means(radius, (sums, x, y, q, theta, rough))
    inner = abs(total / covered) if covered > 0 else 0.0
    outer = abs(around / ring) if ring > 0 else 0.0
    if inner == 0:
        return 0.0 if outer == 0 else 1.0

    return outer / inner


@inner
def _excess(radius: float, data: Apertures) -> float:  # pragma: no cover
    sums, x, y, q, theta, rough = data

    return petrosian_ratio(sums, x, y, radius, q, theta, rough) - ETA


_root, _polish = root_of(_excess), polish_of(_excess)


@inner
def _crossing(
    exact: Apertures, rough: Apertures, low: float, high: float, parity: bool
) -> float:  # pragma: no cover
    r"""Finds where the ratio crosses its limit; without parity, by sketches first."""

    if parity:
        return _root(exact, low, high, EXACT)
    near = _root(rough, low, high, FAST)

    return _polish((rough, exact), near, low, high, FINE)


@inner
def _means(
    radius: float, data: Apertures
) -> tuple[float, float, float, float]:  # pragma: no cover
    r"""Returns the flux and the area within a radius, and in the ring around it."""

    less, hole = _inside(radius - 0.5, data)
    total, covered = _inside(radius, data)
    more, whole = _inside(radius + 0.5, data)
    if whole - hole < NOTHING:
        return total, covered, 0.0, 0.0

    return total, covered, more - less, whole - hole


@inner
def _inside(radius: float, data: Apertures) -> tuple[float, float]:  # pragma: no cover
    r"""Returns the flux and the area within a radius."""

    sums, x, y, q, theta, rough = data

    return sketch(sums, x, y, radius, q, theta) if rough else within(sums, x, y, radius, q, theta)


@inner
def _doubts(radius: float, data: Apertures) -> int:  # pragma: no cover
    r"""Returns the flags of a radius: of no flux within, or of an end of the image."""

    total, _, _, ring = _means(radius, data)
    flags = 0 if total > 0 else NEGATIVE_FLUX

    return flags | (RADIUS_NOT_REACHED if ring < COVERED * 2 * math.pi * radius * data[3] else 0)


@inner
def _empty(sums: NDArray) -> bool:  # pragma: no cover
    for i in range(sums.shape[0]):
        if sums[i, -1, 1] > 0:
            return False

    return True

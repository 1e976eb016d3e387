r"""What noise does to all that is read off the curve of growth."""

__all__ = ["fraction_errors", "half_error", "petrosian_errors"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner
from pipeline.morphometry.geometry import sketch
from pipeline.morphometry.petrosian import ETA

TOTAL, WHOLE = 1.5, 2.0
r"""Where the total of the fractions ends, and that of the flux, in Petrosian radii."""

STRIDE = 0.25
r"""The steps in which the surface brightness is compared around these, in Petrosian radii."""

STEP = 0.5
r"""The step in which the slope of the curve is measured at a small radius, in pixels."""

SHALLOW = 0.2
r"""The least logarithmic slope of the Petrosian ratio, lest noise makes it flat."""

NEAR = 0.1
r"""By how much the ratio at a Petrosian radius may differ from what it should be."""

DEX = 5.0 / math.log(10.0)
r"""The concentration of a ratio of radii, per unit of its natural logarithm."""

Curve = tuple[NDArray, NDArray, float, float, float, float]
r"""The cumulative sums of the image and of its variance, the centre and the shape."""


@entry
def petrosian_errors(
    curve: Curve, rpetro: float, level: float
) -> tuple[float, float]:  # pragma: no cover
    r"""Propagates the noise of pixels to the Petrosian radius and to the flux.

    To first order, whatever is read off a curve of growth :math:`F(r)` changes by
    :math:`\sum_k c_k \, \delta F(r_k)`. The flux in an aperture is in all that are larger, so
    that with the variance :math:`V(r)` of the pixels within,

    .. math:: \sigma^2 = \sum_{k l} c_k c_l \, V(\min(r_k, r_l))
        + \sigma_b^2 \left( \sum_k c_k \pi q r_k^2 \right)^2

    where :math:`\sigma_b` is the error of the level of the sky. The Petrosian radius is where
    the ratio :math:`\eta` of the ring of one pixel, of flux :math:`S`, to all within is 0.2:

    .. math:: \delta r_p = -\frac{\delta \eta}{\eta'}, \quad
        \frac{\delta \eta}{\eta} = \frac{\delta S}{S} - \frac{\delta F(r_p)}{F(r_p)}, \quad
        \eta' = \frac{\eta}{r_p} (2 (1 - \eta) - \beta)

    :math:`-\beta` being the logarithmic slope of the surface brightness, between rings on both
    sides. The flux moves with its aperture,

    .. math:: \delta F_{2 r_p} = \delta F(2 r_p) + 2 F'(2 r_p) \, \delta r_p

    The centre and the shape of the apertures are taken to be known: about a centre of symmetry
    they only matter to second order. On the rim the noise of parts of pixels is taken to be
    independent, which makes errors too large by some 0.2 / r.

    Arguments:
        curve: The cumulative sums of the image and of its variance, with shape `(H, W + 1, 2)`,
            see :func:`geometry.cumulate`; the column and the row of the centre, the axis ratio,
            and the angle of the major axis in radians.
        rpetro: The Petrosian radius, in pixels.
        level: The error of the level of the sky.

    Returns:
        The errors of the radius, in pixels, and of the flux within twice as much. NaN where the
        radius is none, or where the ratio there is not 0.2.
    """

    if not (rpetro > 1.0 and math.isfinite(rpetro)):
        return np.nan, np.nan
    places, row = _petrosian(curve, rpetro)
    rows = np.zeros((2, 4))
    rows[0, :3] = row
    rows[1] = WHOLE * _slope(curve, WHOLE * rpetro, STRIDE * rpetro) * rows[0]
    rows[1, 3] += 1.0
    out = _spread(rows, np.append(places, WHOLE * rpetro), curve, level)

    return out[0], out[1]


@entry
def fraction_errors(
    curve: Curve, rpetro: float, radii: tuple[float, float, float], level: float
) -> tuple[float, float, float, float]:  # pragma: no cover
    r"""Propagates the noise of pixels to the radii of 20, 50 and 80 % of the flux, and to C.

    As in :func:`petrosian_errors`. The total :math:`T = F(1.5 \, r_p)`, in which the light within
    is counted too, moves with its aperture, and

    .. math:: \delta r = \frac{p \, \delta T - \delta F(r)}{F'(r)}, \quad
        \delta C = \frac{5}{\ln 10}
        \left( \frac{\delta r_{80}}{r_{80}} - \frac{\delta r_{20}}{r_{20}} \right)

    Arguments:
        curve: The sums, the centre and the shape, as there.
        rpetro: The Petrosian radius, in pixels.
        radii: The radii of 20, 50 and 80 % of the flux, in pixels.
        level: The error of the level of the sky.

    Returns:
        The errors of the three radii, in pixels, and of the concentration. NaN where a radius is
        none, or where no flux is around it.
    """

    if not (rpetro > 1.0 and math.isfinite(rpetro)):
        return np.nan, np.nan, np.nan, np.nan
    places, row = _petrosian(curve, rpetro)
    total = np.zeros(7)
    total[:3] = TOTAL * _slope(curve, TOTAL * rpetro, STRIDE * rpetro) * row
    total[3] = 1.0
    rows = np.empty((4, 7))
    for k, share in enumerate((0.2, 0.5, 0.8)):
        rows[k] = share * total
        rows[k, 4 + k] -= 1.0
        rows[k] /= _slope(curve, radii[k], STEP)
    rows[3] = DEX * (rows[2] / radii[2] - rows[0] / radii[0])
    places = np.append(places, np.array((TOTAL * rpetro, radii[0], radii[1], radii[2])))
    out = _spread(rows, places, curve, level)

    return out[0], out[1], out[2], out[3]


@entry
def half_error(
    curve: Curve, outer: float, radius: float, level: float
) -> float:  # pragma: no cover
    r"""Propagates the noise of pixels to the radius of half of the flux within another one.

    As in :func:`fraction_errors`, the other radius being taken to be known.

    Arguments:
        curve: The sums, the centre and the shape, as in :func:`petrosian_errors`.
        outer: The outermost radius, in pixels.
        radius: The radius of half of its flux, in pixels.
        level: The error of the level of the sky.
    """

    row = np.array((-1.0, 0.5)).reshape(1, 2) / _slope(curve, radius, STEP)

    return _spread(row, np.array((radius, outer)), curve, level)[0]


@inner
def _flux(curve: Curve, radius: float) -> float:  # pragma: no cover
    sums, _, x, y, q, theta = curve

    return sketch(sums, x, y, radius, q, theta)[0]


@inner
def _slope(curve: Curve, radius: float, step: float) -> float:  # pragma: no cover
    r"""Returns the slope of the curve of growth, NaN where it does not grow."""

    low = max(radius - step, 0.0)
    slope = (_flux(curve, radius + step) - _flux(curve, low)) / (radius + step - low)

    return slope if radius > 0 and slope > 0 else np.nan


@inner
def _petrosian(curve: Curve, radius: float) -> tuple[NDArray, NDArray]:  # pragma: no cover
    r"""Returns three radii, and what the Petrosian radius changes by with the flux in each."""

    sums, _, x, y, q, theta = curve
    flux, area = np.empty(5), np.empty(5)
    for k, r in enumerate((0.75 * radius, radius - 0.5, radius, radius + 0.5, 1.25 * radius)):
        flux[k], area[k] = sketch(sums, x, y, r, q, theta)
    ring = flux[3] - flux[1]
    ratio = ring / (area[3] - area[1]) / (flux[2] / area[2])
    inside = (flux[2] - flux[0]) / (area[2] - area[0])
    beyond = (flux[4] - flux[2]) / (area[4] - area[2])
    places = np.array((radius - 0.5, radius, radius + 0.5))
    if not (abs(ratio - ETA) < NEAR and inside > 0):
        return places, np.full(3, np.nan)
    # The rings, of which the mean radii are 7/8 and 9/8
    steep = math.log(max(inside / max(beyond, 0.01 * inside), 1.0)) / math.log(9 / 7)
    slope = max(steep - 2.0 * (1.0 - ETA), SHALLOW) / radius

    return places, np.array((-1.0 / ring, -1.0 / flux[2], 1.0 / ring)) / slope


@inner
def _spread(
    rows: NDArray, places: NDArray, curve: Curve, level: float
) -> NDArray:  # pragma: no cover
    r"""Returns the standard deviations of sums of fluxes in apertures within each other."""

    _, noises, x, y, q, theta = curve
    variance, area = np.empty(places.size), np.empty(places.size)
    for k in range(places.size):
        variance[k], area[k] = sketch(noises, x, y, places[k], q, theta)
    out = np.empty(rows.shape[0])
    for n in range(rows.shape[0]):
        total, moved = 0.0, 0.0
        for k in range(places.size):
            moved += rows[n, k] * area[k]
            for l in range(places.size):
                total += rows[n, k] * rows[n, l] * min(variance[k], variance[l])
        out[n] = math.sqrt(max(total, 0.0) + (moved * level) ** 2)

    return out

r"""What noise does to all that is read off the curve of growth."""

__all__ = ["fraction_errors", "half_errors", "petrosian_errors", "scale_length"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner, making
from pipeline.morphometry.geometry import sketch
from pipeline.morphometry.petrosian import ETA, NOTHING

TOTAL, WHOLE = 1.5, 2.0
r"""Where the total of the fractions ends, and that of the flux, in Petrosian radii."""

STRIDE = 0.25
r"""The steps in which the surface brightness is compared around these, in Petrosian radii."""

PLACES = 8
r"""The number of radii at which noise in the flux matters to results."""

INWARDS = 0.75
r"""Where the scale of the outline is measured, in units of its radius: there is more light."""

STEP = 0.5
r"""The step in which the slope of the curve is measured at a small radius, in pixels."""

LEAST = 0.3
r"""The least share of the variance of a small aperture that is left by the pixels it cuts."""

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
    curve: Curve, rpetro: float, unsure: tuple[float, float], even: bool
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
    they only matter to second order. What the rim cuts of a pixel has the square of its share of
    the variance. Across a straight rim the shares go from 0 to 1, so that, for two rims at a
    distance :math:`d < 1`, :math:`(1 - d)^3 / 6` of the variance along the inner one is taken off
    :math:`V`. It is that of the pixels there, which photons make less than that of the middle.
    Noise that is alike in neighbours is taken for that of larger pixels.

    Arguments:
        curve: The cumulative sums of the image and of its variance, :math:`V` times that of
            pixels, with shape `(H, W + 1, 2)`, see :func:`geometry.cumulate`; the column and the
            row of the centre, the axis ratio, and the angle of the major axis in radians.
        rpetro: The Petrosian radius, in pixels.
        unsure: The error of the level of the sky, and the side of pixels of white noise that
            would be as noisy, in pixels: 1 if the noise of neighbours is not alike.
        even: Whether all pixels are taken to be as noisy, as ever in parity with statmorph.

    Returns:
        The errors of the radius, in pixels, and of the flux within twice as much. NaN where the
        radius is none, or where the ratio there is not 0.2.
    """

    if not (rpetro > 1.0 and math.isfinite(rpetro)):
        return np.nan, np.nan
    places, rows = np.zeros(PLACES), np.zeros((6, PLACES))
    _totals(curve, rpetro, places, rows)
    out = _spread(rows, places, (2, 5), curve, unsure, even)

    return out[0], out[1]


@entry
def fraction_errors(
    curve: Curve,
    rpetro: float,
    radii: tuple[float, float, float],
    unsure: tuple[float, float],
    even: bool,
) -> tuple[float, float, float, float, float, float]:  # pragma: no cover
    r"""Propagates the noise of pixels to the radii of 20, 50 and 80 % of the flux, and to C.

    As in :func:`petrosian_errors`, the results of which come first. The total
    :math:`T = F(1.5 \, r_p)`, in which the light within is counted too, moves with its
    aperture, and

    .. math:: \delta r = \frac{p \, \delta T - \delta F(r)}{F'(r)}, \quad
        \delta C = \frac{5}{\ln 10}
        \left( \frac{\delta r_{80}}{r_{80}} - \frac{\delta r_{20}}{r_{20}} \right)

    Arguments:
        curve: The sums, the centre and the shape, as there.
        rpetro: The Petrosian radius, in pixels.
        radii: The radii of 20, 50 and 80 % of the flux, in pixels.
        unsure: The error of the level of the sky, and the side of pixels of white noise.
        even: Whether all pixels are taken to be as noisy.

    Returns:
        The errors of the Petrosian radius and of the flux; those of the three radii, in pixels,
        and of the concentration. NaN where a radius is none, or where no flux is around it.
    """

    if not (rpetro > 1.0 and math.isfinite(rpetro)):
        return np.nan, np.nan, np.nan, np.nan, np.nan, np.nan
    places, rows = np.zeros(PLACES), np.zeros((6, PLACES))
    slope = _totals(curve, rpetro, places, rows)
    for k, share in enumerate((0.2, 0.5, 0.8)):
        places[5 + k], rise = radii[k], _rise(curve, radii[k])
        for l in range(3):
            rows[2 + k, l] = share * slope * rows[0, l] / rise
        rows[2 + k, 3], rows[2 + k, 5 + k] = share / rise, -1.0 / rise
    for l in range(PLACES):
        rows[5, l] = DEX * (rows[4, l] / radii[2] - rows[2, l] / radii[0])
    out = _spread(rows, places, (6, PLACES), curve, unsure, even)

    return out[0], out[1], out[2], out[3], out[4], out[5]


@entry
def half_errors(
    curve: Curve, outer: float, radius: float, unsure: tuple[float, float], even: bool
) -> tuple[float, float]:  # pragma: no cover
    r"""Propagates the noise of pixels to the radius of half of the flux within the outline.

    As in :func:`fraction_errors`. The outline is where the mean of 3 x 3 pixels, of which the
    noise is a third, is the noise of a pixel, so that it moves by a third of the length
    :math:`h` over which the light falls by :math:`e`,

    .. math:: \sigma_\mathrm{max} = \frac{h}{3}, \quad
        \delta r = \frac{(\delta F(r_\mathrm{max})
        + F'(r_\mathrm{max}) \, \delta r_\mathrm{max}) / 2 - \delta F(r)}{F'(r)}

    The furthest of many points scatters less, and noise that touches the outline, as well as the
    level where it begins, add to that: it is no more than about right. Where the light does not
    fall, :math:`h` is the radius.

    Arguments:
        curve: The sums, the centre and the shape, as in :func:`petrosian_errors`.
        outer: The radius of the furthest pixel of the outline, in pixels.
        radius: The radius of half of the flux within, in pixels.
        unsure: The error of the level of the sky, and the side of pixels of white noise.
        even: Whether all pixels are taken to be as noisy.

    Returns:
        The errors of the outer radius and of that of half of the flux, in pixels.
    """

    length = scale_length(curve, INWARDS * outer)
    reach = (length if length > 0.0 else outer) * min(unsure[1] / 3.0, 1.0)
    rise = _rise(curve, radius)
    places, rows = np.array((radius, outer)), np.array(((-1.0 / rise, 0.5 / rise),))
    spread = _spread(rows, places, (1, 2), curve, unsure, even)[0]
    moved = 0.5 * max(_slope(curve, outer, STRIDE * outer), 0.0) * reach / rise

    return reach, math.hypot(spread, moved)


@entry
def scale_length(curve: Curve, radius: float) -> float:  # pragma: no cover
    r"""Returns how far outwards the light around a radius falls by :math:`e`, in pixels.

    From the rings that are a quarter of the radius wide on both sides; not more than the radius.

    Arguments:
        curve: The sums, the centre and the shape, as in :func:`petrosian_errors`.
        radius: The radius, in pixels.
    """

    steep = _steepness(curve, radius)

    return radius / max(steep, 1.0) if radius > 0 and steep > 0 else 0.0


@making
def _steepness(curve: Curve, radius: float) -> float:  # pragma: no cover
    r"""Returns the logarithmic slope of the surface brightness, NaN without light."""

    sums, _, x, y, q, theta = curve
    flux, area = np.empty(3), np.empty(3)
    for k in range(3):
        flux[k], area[k] = sketch(sums, x, y, (1.0 + STRIDE * (k - 1)) * radius, q, theta)
    inside = (flux[1] - flux[0]) / (area[1] - area[0])
    beyond = (flux[2] - flux[1]) / (area[2] - area[1])
    if not inside > 0:
        return np.nan

    # The mean radii of the rings are 7/8 and 9/8
    return math.log(max(inside / max(beyond, 0.01 * inside), 1.0)) / math.log(9 / 7)


@inner
def _flux(curve: Curve, radius: float) -> float:  # pragma: no cover
    sums, _, x, y, q, theta = curve

    return sketch(sums, x, y, radius, q, theta)[0]


@inner
def _slope(curve: Curve, radius: float, step: float) -> float:  # pragma: no cover
    r"""Returns the slope of the curve of growth."""

    low = max(radius - step, 0.0)

    return (_flux(curve, radius + step) - _flux(curve, low)) / (radius + step - low)


@inner
def _rise(curve: Curve, radius: float) -> float:  # pragma: no cover
    r"""Returns the slope at a small radius, NaN where the curve does not grow."""

    slope = _slope(curve, radius, STEP)

    return slope if radius > 0 and slope > 0 else np.nan


@inner
def _local(curve: Curve, radius: float) -> float:  # pragma: no cover
    r"""Returns the variance of a pixel around a radius, or within where none is seen around it."""

    _, noises, x, y, q, theta = curve
    inside, hole = sketch(noises, x, y, max(radius - STEP, 0.0), q, theta)
    beyond, whole = sketch(noises, x, y, radius + STEP, q, theta)
    if whole - hole > NOTHING:
        return (beyond - inside) / (whole - hole)

    return beyond / max(whole, NOTHING)


@making
def _totals(
    curve: Curve, rpetro: float, places: NDArray, rows: NDArray
) -> float:  # pragma: no cover
    r"""Fills in what the Petrosian radius and the flux change by with the flux in five places.

    Returns what the total of the fractions changes by with the Petrosian radius.
    """

    sums, _, x, y, q, theta = curve
    flux, area = np.empty(3), np.empty(3)
    for k in range(3):
        places[k] = rpetro + 0.5 * (k - 1)
        flux[k], area[k] = sketch(sums, x, y, places[k], q, theta)
    ring = flux[2] - flux[0]
    ratio = ring / (area[2] - area[0]) / (flux[1] / area[1])
    steep, slope = _steepness(curve, rpetro), np.nan
    if abs(ratio - ETA) < NEAR and steep >= 0:
        slope = max(steep - 2.0 * (1.0 - ETA), SHALLOW) / rpetro
    rows[0, 0], rows[0, 1], rows[0, 2] = -1 / ring / slope, -1 / flux[1] / slope, 1 / ring / slope

    places[3], places[4] = TOTAL * rpetro, WHOLE * rpetro
    grown = WHOLE * _slope(curve, WHOLE * rpetro, STRIDE * rpetro)
    for k in range(3):
        rows[1, k] = grown * rows[0, k]
    rows[1, 4] = 1.0

    return TOTAL * _slope(curve, TOTAL * rpetro, STRIDE * rpetro)


@making
def _spread(
    rows: NDArray,
    places: NDArray,
    shape: tuple[int, int],
    curve: Curve,
    unsure: tuple[float, float],
    even: bool,
) -> NDArray:  # pragma: no cover
    r"""Returns the standard deviations of sums of fluxes in apertures within each other.

    Of the coefficients in `rows`, and of the places, the first ones are taken.
    """

    _, noises, x, y, q, theta = curve
    level, side = unsure
    narrow = 2.0 * q / (1.0 + q) / side  # the mean width of a ring of one pixel
    count, size = shape
    variance, area, rim = np.empty(size), np.empty(size), np.ones(size)
    for k in range(size):
        variance[k], area[k] = sketch(noises, x, y, places[k], q, theta)
        if not even and variance[k] > 0.0:
            rim[k] = _local(curve, places[k]) * area[k] / variance[k]
    shared = np.empty((size, size))
    for k in range(size):
        for l in range(size):
            apart = max(1.0 - narrow * abs(places[k] - places[l]), 0.0)
            cut = apart**3 / (3.0 * narrow * min(places[k], places[l])) if apart > 0.0 else 0.0
            cut *= rim[k if places[k] <= places[l] else l]
            shared[k, l] = min(variance[k], variance[l]) * max(1.0 - cut, LEAST)

    out = np.empty(count)
    for n in range(count):
        total, moved = 0.0, 0.0
        for k in range(size):
            moved += rows[n, k] * area[k]
            for l in range(size):
                total += rows[n, k] * rows[n, l] * shared[k, l]
        out[n] = math.sqrt(max(total, 0.0) + (moved * level) ** 2)

    return out

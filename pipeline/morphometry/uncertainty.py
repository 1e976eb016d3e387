r"""The standard errors of statistics that have none of their own: where they come from.

All are to first order what the noise of pixels does, that of the sky and that of photons, taken
to be independent. What noise moves otherwise is not in them: which pixels are in a segment, and
how far the outline reaches. Neither is the mean of what it adds, its bias.
"""

__all__ = ["of_arms", "of_growth", "of_light", "of_place", "of_turn"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.geometry import Aperture, cumulate
from pipeline.morphometry.growth_error import fraction_errors, half_error, petrosian_errors
from pipeline.morphometry.known import Known, Stamp
from pipeline.morphometry.shape_error import ANY, centre_error, moment_errors
from pipeline.morphometry.turn_error import outer_error, rms_error

EXTENT = 1.5
r"""The radius within which the asymmetry is measured, in Petrosian radii."""


def of_place(stamp: Stamp, known: Known, values: dict[str, float]) -> dict[str, float]:
    r"""Returns the errors of the centroid and of the shapes about both centres."""

    image, segment, weight = stamp.image, stamp.segment, known.weight
    place = values["x_centroid"], values["y_centroid"]
    shape = 1 - values["ellipticity_centroid"], values["theta_centroid"]
    x, y, first, first_angle = moment_errors(image, weight, segment, *place, *shape)
    second, angle = moment_errors(image, weight, segment, known.x, known.y, known.q, known.theta)[
        2:
    ]
    found = {"x_centroid": x, "y_centroid": y, "ellipticity_centroid": first}

    return _named(found | {"theta_centroid": first_angle, "ellipticity": second, "theta": angle})


def of_growth(stamp: Stamp, known: Known, values: dict[str, float]) -> dict[str, float]:
    r"""Returns the errors of fluxes, radii and concentration."""

    noises = cumulate(known.weight**2, stamp.mask)
    about = known.sums, noises, known.x, known.y
    circle, ellipse = (*about, 1.0, 0.0), (*about, known.q, known.theta)
    level = _level(stamp, known)
    rpetro_circ, flux_circ = petrosian_errors(circle, known.circ, level)
    rpetro_ellip, flux_ellip = petrosian_errors(ellipse, known.ellip, level)
    radii = values["r20"], values["r50"], values["r80"]
    r20, r50, r80, c = fraction_errors(circle, known.circ, radii, level)
    found = {"flux_circ": flux_circ, "flux_ellip": flux_ellip, "rpetro_circ": rpetro_circ}
    found |= {"rpetro_ellip": rpetro_ellip, "r20": r20, "r50": r50, "r80": r80}
    for name, curve in (("circ", circle), ("ellip", ellipse)):
        half, most = values[f"rhalf_{name}"], values[f"rmax_{name}"]
        found[f"rhalf_{name}"] = half_error(curve, most, half, level)

    return _named(found | {"concentration": c})


def _level(stamp: Stamp, known: Known) -> float:
    r"""Returns the error of the level of the sky, as the mean of all empty pixels."""

    return 0.0


def of_turn(
    stamp: Stamp,
    known: Known,
    values: dict[str, float],
    difference: NDArray[np.float64],
    hidden: NDArray[np.bool_],
) -> dict[str, float]:
    r"""Returns the errors of the centre of symmetry, of the rms asymmetry and the outer one."""

    both = stamp.image, difference, hidden, known.weight
    x, y = centre_error(stamp.image, difference, known.weight, stamp.segment, known.x, known.y)
    circle = Aperture(known.x, known.y, EXTENT * known.central)
    sigma = known.sky.sigma if known.sky.sigma > 0 else 0.0
    rms = rms_error(*both, circle, values["rms_asymmetry2"], (sigma, known.unsure))
    ellipses = tuple(
        Aperture(known.x, known.y, values[name], known.q, known.theta)
        for name in ("rhalf_ellip", "rmax_ellip")
    )
    a = known.sky.asymmetry if known.sky.asymmetry > 0 else 0.0
    outer = outer_error(*both, ellipses, values["outer_asymmetry"], (a, known.unsure))

    return _named({"x": x, "y": y, "rms_asymmetry2": rms, "outer_asymmetry": outer})


def of_light(known: Known, values: dict[str, float]) -> dict[str, float]:
    r"""Returns the errors of what is linear in others.

    The covariance of Gini and :math:`M_{20}` is neglected. It is mostly negative, so that the
    error of the bulge statistic is rather too small, and that of the merger one too large.
    """

    g, m = values["gini_error"], values["m20_error"]
    bulge, merger = math.hypot(0.693 * m, 4.95 * g), math.hypot(0.139 * m, 0.990 * g)
    found = {"gini_m20_bulge": bulge, "gini_m20_merger": merger}

    return _named(found)


def of_arms(known: Known, values: dict[str, float]) -> dict[str, float]:
    r"""Returns the error of the angle of the bar.

    Half of the noise of the Fourier coefficient across the bar, as seen on the sky,

    .. math:: \sigma_\varphi = \frac{\sigma_A}{2 A}, \quad
        \sigma_\alpha = \sigma_\varphi \frac{q^2 \cos^2 \alpha + \sin^2 \alpha}{q}
    """

    strength = values["bar_strength"]
    plane = values["bar_strength_error"] / (2 * strength) if strength > 0 else math.nan
    alpha, q = values["bar_theta"] - known.theta, max(known.q, 0.3)
    seen = ((q * math.cos(alpha)) ** 2 + math.sin(alpha) ** 2) / q

    return _named({"bar_theta": min(plane * seen, ANY)})


def _named(errors: dict[str, float]) -> dict[str, float]:
    return {f"{name}_error": error for name, error in errors.items()}

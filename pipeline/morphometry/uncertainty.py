r"""The standard errors of statistics that have none of their own: where they come from.

All are to first order what the noise of pixels does, that of the sky and that of photons, which
neighbours may have in common, see :mod:`pipeline.morphometry.grain`; and what the error of the
level of the sky does to fluxes, radii and all that is divided by light. What noise moves
otherwise is not in them: which pixels are in a segment, and how far the outline reaches. Neither
is the mean of what it adds, its bias.
"""

__all__ = ["level_error", "of_growth", "of_light", "of_place", "of_turn"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.asymmetry import EXTENT
from pipeline.morphometry.geometry import Aperture, cumulate
from pipeline.morphometry.growth_error import (
    fraction_errors,
    half_errors,
    petrosian_errors,
    scale_length,
)
from pipeline.morphometry.known import Known, Stamp
from pipeline.morphometry.petrosian import ETA
from pipeline.morphometry.shape_error import centre_error, moment_errors
from pipeline.morphometry.turn_error import outer_error, rms_error

LEVEL = 1.15
r"""The error of the level of the sky, in units of that of the mean of the empty pixels of a
stamp: the mode is less sure than the mean."""


def level_error(taken: NDArray[np.bool_], sigma: float) -> float:
    r"""Returns the error of the level of the sky in a stamp where no other is known.

    Arguments:
        taken: Whether each pixel is of any source or left out, with shape `(H, W)`.
        sigma: The noise of a pixel of sky, as sums over many have it. Without one it is 0.
    """

    empty = int(np.count_nonzero(~taken))

    return LEVEL * sigma / math.sqrt(max(empty, 1)) if sigma > 0 else 0.0


def of_place(stamp: Stamp, known: Known) -> dict[str, float]:
    r"""Returns the errors of the centroid and of the shape, about either centre the same."""

    segment, place = stamp.segment, (known.x, known.y, known.q, known.theta)
    radius = math.sqrt(np.count_nonzero(segment) / (math.pi * known.q)) if known.q > 0 else 0.0
    depth = scale_length((known.sums, known.sums, *place), radius)
    x, y, change, angle = moment_errors(stamp.image, known.rough, segment, *place, depth)
    found = {"x_centroid": x, "y_centroid": y, "ellipticity_centroid": change}

    return _named(found | {"theta_centroid": angle, "ellipticity": change, "theta": angle})


def of_growth(stamp: Stamp, known: Known, values: dict[str, float]) -> dict[str, float]:
    r"""Returns the errors of fluxes, radii and concentration."""

    noises = cumulate(known.rough**2, stamp.mask)
    about = known.sums, noises, known.x, known.y
    circle, ellipse = (*about, 1.0, 0.0), (*about, known.q, known.theta)
    unsure = known.sky.level, known.side
    radii = values["r20"], values["r50"], values["r80"]
    fields = "rpetro_circ", "flux_circ", "r20", "r50", "r80", "concentration"
    fractions = fraction_errors(circle, known.circ, radii, unsure, known.parity)
    found = dict(zip(fields, fractions, strict=True))
    of_ellipse = petrosian_errors(ellipse, known.ellip, unsure, known.parity)
    found["rpetro_ellip"], found["flux_ellip"] = of_ellipse
    for name, curve in (("circ", circle), ("ellip", ellipse)):
        half, most = values[f"rhalf_{name}"], values[f"rmax_{name}"]
        errors = half_errors(curve, most, half, unsure, known.parity)
        found[f"rmax_{name}"], found[f"rhalf_{name}"] = errors

    return _named(found)


def _sigma(known: Known) -> float:
    r"""Returns the noise of a pixel of sky, 0 if it is not known."""

    return known.sky.sigma if known.sky.sigma > 0 else 0.0


def of_turn(
    stamp: Stamp,
    known: Known,
    values: dict[str, float],
    difference: NDArray[np.float64],
    hidden: NDArray[np.bool_],
    level: float,
    spread: float,
) -> dict[str, float]:
    r"""Returns the errors of the centre of symmetry, of the rms asymmetry and the outer one.

    Of the noise `level` of pixels in the circle only the part of the sky is unsure.
    """

    both = stamp.image, difference, hidden, known.weight
    circle = Aperture(known.x, known.y, EXTENT * known.central)
    sigma = _sigma(known)
    pull = sigma * math.pi * circle.a**2
    x, y = centre_error(
        stamp.image, difference, known.weight, stamp.segment, known.x, known.y, pull, known.alike
    )
    level = level if level > 0 else 0.0
    unsure = known.sigma_error * (sigma / level) ** 2 if level > 0 else 0.0
    rms = rms_error(*both, circle, values["rms_asymmetry2"], (level, unsure, spread), known.alike)
    place, shape = (known.x, known.y), (known.q, known.theta)
    inner = Aperture(*place, values["rhalf_ellip"], *shape)
    ellipses = inner, Aperture(*place, values["rmax_ellip"], *shape)
    a = known.sky.asymmetry if known.sky.asymmetry > 0 else 0.0
    outer = outer_error(
        *both, ellipses, values["outer_asymmetry"], (a, known.sigma_error), known.alike
    )

    return _named({"x": x, "y": y, "rms_asymmetry2": rms, "outer_asymmetry": outer})


def of_light(known: Known, values: dict[str, float]) -> dict[str, float]:
    r"""Returns the errors of what is measured on the Gini segment.

    To those of known pixels, of Gini, :math:`M_{20}` and the signal to noise :math:`s`, comes
    that of how far the segment reaches. Its :math:`n` pixels are those within a Petrosian
    radius, the faintest of which are 0.2 of their mean, or what their noise is,

    .. math:: \delta G = (1 - G - f (1 + G)) \frac{\delta n}{n}, \quad
        \delta s = -(1 - f) s \frac{\delta n}{n}, \quad
        \delta M_{20} = -\frac{\delta r_p}{r_p \ln 10}, \quad
        f^2 = 0.2^2 + \frac{2}{\pi s^2}, \quad
        \frac{\delta n}{n} = \frac{2 \, \delta r_p}{r_p}

    and no less than nothing where that would make :math:`G` fall. The moment of all light grows
    with the radius to the power of 1.6 for an exponential disk, that of its brightest fifth to
    the power of 0.7. The noise of the sky, by which the signal is divided, has an error too. An
    error :math:`\sigma_b` of the level of the sky changes :math:`s` by :math:`b = \sigma_b /
    \sigma`, and :math:`G` by :math:`G b / s`.

    The covariance of Gini and :math:`M_{20}` is neglected. It is mostly negative, so that the
    error of the bulge statistic is rather too small, and that of the merger one too large.
    """

    sn = values["sn_per_pixel"]
    faint = math.hypot(ETA, math.sqrt(2 / math.pi) / sn) if sn > 0 else 1.0
    more = 2 * values["rpetro_ellip_error"] / known.ellip if known.ellip > 0 else 0.0
    more = 0.0 if math.isnan(more) else more
    m = math.hypot(values["m20_error"], more / (2 * math.log(10)))
    sigma = _sigma(known)
    level = known.sky.level / sigma if sigma > 0 else 0.0

    def of_gini(name: str) -> float:
        value = values[name]
        reach = more * max(1 - value - faint * (1 + value), 0.0)
        return math.hypot(values[f"{name}_error"], reach, value * level / sn if sn > 0 else 0.0)

    g, own = of_gini("gini"), of_gini("gini_unmasked")
    bulge, merger = math.hypot(0.693 * m, 4.95 * g), math.hypot(0.139 * m, 0.990 * g)
    of_pixels = known.side * values["sn_per_pixel_error"]
    sn = math.hypot(of_pixels, sn * known.sigma_error, sn * more * (1 - faint), level)
    found = {
        "gini": g,
        "gini_unmasked": own,
        "m20": m,
        "gini_m20_bulge": bulge,
        "gini_m20_merger": merger,
    }

    return _named(found | {"sn_per_pixel": sn})


def _named(errors: dict[str, float]) -> dict[str, float]:
    return {f"{name}_error": error for name, error in errors.items()}

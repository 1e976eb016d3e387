r"""All statistics of one galaxy in one band, one after the other."""

__all__ = ["Found", "measure_stamp"]

import math

import numpy as np

from pipeline.morphometry.asymmetry import (
    asymmetry,
    outer_asymmetry,
    rms_asymmetry2,
    rms_noise,
    shape_asymmetry,
    unbiased_asymmetry,
)
from pipeline.morphometry.bar import bar
from pipeline.morphometry.centre import centre
from pipeline.morphometry.entropy import BINS, entropy
from pipeline.morphometry.fields import JUMPING
from pipeline.morphometry.flags import MASKED_CENTRE, NO_SKY, NO_SOURCE, NOTHING
from pipeline.morphometry.geometry import Aperture, cumulate
from pipeline.morphometry.gini import gini, gini_segment, sn_per_pixel, with_zeros
from pipeline.morphometry.gradient_pattern import gradient_pattern
from pipeline.morphometry.grain import Grain, grain, turned_share
from pipeline.morphometry.growth import aperture_flux, concentration, radii, radius_of_fraction
from pipeline.morphometry.half_turn import residual
from pipeline.morphometry.isophotes import isophote_twist
from pipeline.morphometry.known import Disk, Known, Sky, Stamp
from pipeline.morphometry.m20 import bulge, m20, merger
from pipeline.morphometry.mid import intensity_deviation, mid_segment
from pipeline.morphometry.moments import centroid, shape
from pipeline.morphometry.multimode import multimode
from pipeline.morphometry.outline import outline, reach
from pipeline.morphometry.petrosian import petrosian_radius
from pipeline.morphometry.pieces import ascending, boxcar, unmasked_boxcar
from pipeline.morphometry.psf import Kernel, without_pixel
from pipeline.morphometry.sersic import Sersic, sersic
from pipeline.morphometry.skybox import left_over, noise, skybox, white_asymmetry, white_smoothness
from pipeline.morphometry.smoothness import (
    noise_smoothness,
    sky_smoothness,
    smoothness,
    unbiased_smoothness,
    width,
)
from pipeline.morphometry.spiral import spiral
from pipeline.morphometry.stamp import doubts, weights
from pipeline.morphometry.uncertainty import level_error, of_growth, of_light, of_place, of_turn

PROFILE = tuple(f"sersic_{name}" for name in Sersic._fields[:-1])
r"""The names of what is fitted."""


Found = tuple[dict[str, float], int]
r"""Measurements by name, and flags."""


def measure_stamp(stamp: Stamp, gain: float, sky: Sky, psf: Kernel, parity: bool) -> Found:
    r"""Measures one galaxy.

    Arguments:
        stamp: What is measured.
        gain: The photons per unit of the image, infinite without their noise.
        sky: What the sky adds, as far as it is known.
        psf: The point spread function.
        parity: Whether all choices are those of statmorph.

    Returns:
        The fields of :class:`pipeline.morphometry.morphology.Morphology`, positions being those in
        the stamp, and the flags.
    """

    values, known, flags = _place(stamp, gain, sky, parity)
    values |= {f"{name}_error": math.nan for name in JUMPING}
    flags |= doubts(stamp.segment, stamp.mask, known.x, known.y)
    for part in (_radii, _symmetry, _clumps, _light, _arms):
        found, bits = part(stamp, known, values)
        values |= found
        flags |= bits
    if flags & NO_SOURCE:
        lost = [name for name in (*values, *PROFILE) if not name.startswith("sky_")]
        if not stamp.segment.any():  # all but the sky is of an empty middle, another in a mirror
            rows, columns = (slice((side - 1) // 2, side // 2 + 1) for side in stamp.mask.shape)
            flags &= NO_SKY
            flags |= MASKED_CENTRE if stamp.mask[rows, columns].any() else 0
        return values | dict.fromkeys(lost, math.nan), flags | NOTHING

    found, bits = _profile(stamp, known, values, psf)
    values |= found
    sigma = known.sky.sigma
    if not (sigma > 0 or (sigma == 0 and known.weight.any())):  # none is known, and none is 0
        values |= {name: math.nan for name in values if name.endswith("_error")}

    return values, flags | bits


def _place(
    stamp: Stamp, gain: float, sky: Sky, parity: bool
) -> tuple[dict[str, float], Known, int]:
    r"""Measures the sky, and finds the centre of symmetry, the shape and the Petrosian radii."""

    image, mask, segment, _ = stamp
    values, sky, alike, box, sigma_error, bits = _sky(stamp, sky, parity)

    sums = cumulate(image, mask)
    x0, y0, _, f0 = centroid(image, segment)
    first, _, theta0, _, _, f1 = shape(image, segment, x0, y0)
    central, f2 = petrosian_radius(sums, x0, y0, 1.0, 0.0, parity)
    x, y, f3 = centre(image, mask, segment, x0, y0, central, sky.asymmetry, parity)
    ellipticity, elongation, theta, _, _, f4 = shape(image, segment, x, y)
    q = 1 / elongation
    circ, f5 = petrosian_radius(sums, x, y, 1.0, 0.0, parity)
    ellip, f6 = petrosian_radius(sums, x, y, q, theta, parity)

    values |= {"x_centroid": x0, "y_centroid": y0, "ellipticity_centroid": first}
    values |= {"theta_centroid": theta0, "x": x, "y": y, "ellipticity": ellipticity}
    values |= {"theta": theta, "rpetro_circ": circ, "rpetro_ellip": ellip}
    weight = weights(image, mask, gain, sky.sigma if sky.sigma > 0 else 0.0, parity)
    known = Known(
        x, y, q, theta, x0, y0, central, circ, ellip, sums, weight,
        sky, alike, box, math.sqrt(alike.folded) * sigma_error, parity,
    )  # fmt: skip

    return values | of_place(stamp, known), known, bits | f0 | f1 | f2 | f3 | f4 | f5 | f6


def _sky(
    stamp: Stamp, sky: Sky, parity: bool
) -> tuple[dict[str, float], Sky, Grain, tuple[int, int, int], float, int]:
    r"""Measures the sky, as far as it is not known, and how alike the noise of neighbours is.

    Returns:
        The fields of the sky; what it adds; how much neighbours are alike; the box, of no side
        where there is none; the relative error of the noise; and flags.
    """

    box = 0, 0, 0
    if parity:
        column, row, width, mean, median, sigma, turned, bits = skybox(stamp.image, stamp.taken)
        box, level, error = (column, row, width), mean, 1 / (math.sqrt(2) * max(width, 1))
    else:
        mean, median = left_over(stamp.image, stamp.taken)
        sigma, turned, error, bits = noise(stamp.image, stamp.taken)
        level, error = median, error / turned if turned > 0 else 0.0
    if not math.isnan(sky.sigma):
        sigma, turned, error, bits = sky.sigma, white_asymmetry(sky.sigma), 0.0, 0
    bits |= NO_SKY if not sigma > 0 or abs(level) > sigma else 0
    alike = grain(stamp.image, stamp.taken, sigma)
    side = math.sqrt(alike.summed)
    doubt = level_error(stamp.taken, side * sigma) if math.isnan(sky.level) else sky.level

    found = {"sky_mean": mean, "sky_median": median, "sky_sigma": sigma, "sky_grain": side}
    turned = turned if math.isnan(sky.asymmetry) else sky.asymmetry

    return found, Sky(sigma, turned, sky.smoothness, doubt), alike, box, error, bits


def _radii(stamp: Stamp, known: Known, values: dict[str, float]) -> Found:
    r"""Measures how the light grows outwards, and how far it reaches."""

    x, y, q, theta, sums = known.x, known.y, known.q, known.theta, known.sums
    flux_circ, f0 = aperture_flux(sums, x, y, 2 * known.circ, 1.0, 0.0)
    flux_ellip, f1 = aperture_flux(sums, x, y, 2 * known.ellip, q, theta)
    r20, r50, r80, f2 = radii(sums, x, y, 1.0, 0.0, 1.5 * known.circ, known.parity)
    # Without a box the noise is the threshold: the mode of all empty pixels has wings in it
    column, row, side = known.box
    empty = stamp.image[row : row + side, column : column + side].ravel()
    sigma = math.nan if known.parity else known.sky.sigma
    seen = stamp.image, stamp.mask, stamp.segment
    outside, f3 = outline(*seen, (empty, sigma), x, y, known.ellip, known.parity)
    rmax_circ, rmax_ellip, f4 = reach(outside, x, y, q, theta)
    rhalf_circ, f5 = radius_of_fraction(sums, x, y, 1.0, 0.0, rmax_circ, 0.5, known.parity)
    rhalf_ellip, f6 = radius_of_fraction(sums, x, y, q, theta, rmax_ellip, 0.5, known.parity)
    a_shape, f7 = shape_asymmetry(outside, stamp.mask, x, y, rmax_circ)

    found = {"flux_circ": flux_circ, "flux_ellip": flux_ellip, "r20": r20, "r50": r50}
    found |= {"r80": r80, "concentration": concentration(r20, r80), "rmax_circ": rmax_circ}
    found |= {"rmax_ellip": rmax_ellip, "rhalf_circ": rhalf_circ, "rhalf_ellip": rhalf_ellip}
    found |= of_growth(stamp, known, found) | {"shape_asymmetry": a_shape}

    return found, f0 | f1 | f2 | f3 | f4 | f5 | f6 | f7


def _symmetry(stamp: Stamp, known: Known, values: dict[str, float]) -> Found:
    r"""Measures how a galaxy changes when it is turned by half a turn."""

    image, x, y, sky = stamp.image, known.x, known.y, known.sky
    turned = residual(image, stamp.mask, x, y)
    a, f0 = asymmetry(image, *turned, x, y, known.central, sky.asymmetry)
    spread = 2.0 if known.parity else 1.0 + turned_share(x, y, known.alike)
    level = rms_noise(known.weight, turned[1], x, y, known.central)
    level = sky.sigma if known.parity else level
    a2, f1 = rms_asymmetry2(image, *turned, x, y, known.central, level, spread)
    unsure = known.sigma_error * sky.asymmetry if sky.asymmetry > 0 else 0.0
    free, free_error, error = unbiased_asymmetry(
        image, *turned, known.weight, x, y, known.central, (unsure, sky.level, known.alike)
    )
    inner, outer = (
        Aperture(x, y, values[name], known.q, known.theta)
        for name in ("rhalf_ellip", "rmax_ellip")
    )
    a_outer, f2 = outer_asymmetry(image, *turned, inner, outer, sky.asymmetry)

    found = {"asymmetry": a, "asymmetry_error": error, "asymmetry_unbiased": free}
    found |= {"asymmetry_unbiased_error": free_error, "rms_asymmetry2": a2}
    found["outer_asymmetry"] = a_outer

    return found | of_turn(stamp, known, values | found, *turned, level, spread), f0 | f1 | f2


def _clumps(stamp: Stamp, known: Known, values: dict[str, float]) -> Found:
    r"""Measures how much of the light is in small structures."""

    image, x, y, circ, sky = stamp.image, known.x, known.y, known.circ, known.sky
    size = width(circ)
    smooth = boxcar(image, size)
    excess = sky.smoothness
    if math.isnan(excess) and known.parity:
        excess = sky_smoothness(image, *known.box, size)
    elif math.isnan(excess):
        excess, _ = noise_smoothness(image, smooth, stamp.taken, size)
        excess = white_smoothness(sky.sigma, size) if math.isnan(excess) else excess
    s, flags = smoothness(image, smooth, x, y, circ, excess, known.parity)
    smooth = unmasked_boxcar(smooth, stamp.mask, size)
    free, free_error, error = unbiased_smoothness(
        image, smooth, stamp.mask, known.weight, x, y, circ, (sky.level, known.alike)
    )
    found = {"smoothness": s, "smoothness_error": error, "smoothness_unbiased": free}

    return found | {"smoothness_unbiased_error": free_error}, flags


def _light(stamp: Stamp, known: Known, values: dict[str, float]) -> Found:
    r"""Measures how light is shared among pixels, and what it says."""

    image, weight = stamp.image, known.weight
    place = known.x_centroid, known.y_centroid, known.ellip, known.q, known.theta
    lit, f0 = gini_segment(image, *place, known.parity)
    seen = lit & ~stamp.mask
    order = ascending(image, seen)
    own, own_error, f1 = gini(image, weight, order, known.alike)
    g, g_error = with_zeros(own, own_error, order.size, int(lit.sum()))
    m, m_error, f2 = m20(image, weight, seen, order)
    sn, sn_error, f3 = sn_per_pixel(image, weight, seen)
    h, h_error, f4 = entropy(image, weight, stamp.mask, lit, BINS)
    g2, f5 = gradient_pattern(image, stamp.mask, lit, known.x, known.y)
    order = ascending(image, stamp.segment & ~stamp.mask)
    inside, f6 = mid_segment(image, stamp.mask, stamp.segment, lit, order)
    parts, f7 = multimode(image, inside, order)
    target = np.where(stamp.segment, image, 0.0)
    intensity, i_error, deviation, d_error, f8 = intensity_deviation(target, known.rough, inside)

    found = {"gini": g, "gini_error": g_error, "gini_unmasked": own}
    found |= {"gini_unmasked_error": own_error, "m20": m, "m20_error": known.side * m_error}
    found |= {"gini_m20_bulge": bulge(g, m), "gini_m20_merger": merger(g, m)}
    found |= {"sn_per_pixel": sn, "sn_per_pixel_error": sn_error, "entropy": h}
    found |= {"entropy_error": h_error, "gradient_pattern": g2}
    found |= {"multimode": parts, "intensity": intensity, "deviation": deviation}
    found |= {"intensity_error": i_error, "deviation_error": d_error}
    found |= of_light(known, values | found)

    return found, f0 | f1 | f2 | f3 | f4 | f5 | f6 | f7 | f8


def _arms(stamp: Stamp, known: Known, values: dict[str, float]) -> Found:
    r"""Measures bar, arms and isophotes between 0.1 and 1 Petrosian radius."""

    disk = Disk(known.x, known.y, known.q, known.theta, 0.1 * known.ellip, known.ellip)
    sigma = known.sky.sigma if known.sky.sigma > 0 else 0.0
    photons = np.zeros(stamp.mask.shape) if known.parity else known.weight**2 - sigma**2
    seen = stamp.image, stamp.mask, disk
    rings = math.sqrt(known.alike.ring) * sigma, known.alike.ring * photons
    long, turned = bar(*seen, *rings), isophote_twist(*seen, *rings)
    wound = spiral(*seen, sigma, photons, known.side)

    found = {"bar_strength": long.strength, "bar_strength_error": long.strength_error}
    found |= {"bar_theta": long.theta, "bar_theta_error": long.theta_error}
    found |= {"bar_length": long.length, "winding": wound.winding}
    found |= {"winding_error": wound.winding_error, "arms": wound.arms}
    found |= {"pitch": wound.pitch, "pitch_error": wound.pitch_error, "twist": turned.twist}
    found |= {"twist_error": turned.twist_error, "ellipticity_change": turned.ellipticity_change}

    return found, long.flags | wound.flags | turned.flags


def _profile(stamp: Stamp, known: Known, values: dict[str, float], psf: Kernel) -> Found:
    r"""Fits a Sersic profile, from where statmorph starts too."""

    c = values["concentration"]
    n = min(max(10**-1.5 * c**3.5, 1.0), 3.5) if c > 0 else 1.0
    start = Aperture(known.x, known.y, values["rhalf_ellip"], known.q, known.theta)
    weight = known.weight
    if not (known.parity or known.sky.sigma > 0 or weight.any()):
        weight = np.where(stamp.mask, 0.0, 1.0)  # without noise all pixels weigh the same
    kernel = psf if known.parity else without_pixel(psf)
    unsure = known.sky.level, known.side
    fit = sersic(stamp.image, weight, start, n, kernel, known.parity, known.parity, unsure)

    return dict(zip(PROFILE, fit[:-1], strict=True)), fit.flags

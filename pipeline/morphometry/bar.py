r"""A bar: how strong it is, how long, and where it points."""

__all__ = ["ANGLES", "RINGS", "bar"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner
from pipeline.morphometry.flags import LOW_SIGNAL, RADIUS_NOT_REACHED, UNDEFINED
from pipeline.morphometry.polar import directions, harmonic, polar

RINGS = 40
r"""The number of rings, in equal steps of the radius."""

ANGLES = 64
r"""The number of samples in each ring."""

LEAST_RATIO = 0.3  # the least axis ratio that is taken for an inclination
LEAST = 3.0  # the S/N that the mean of a ring must have


@entry
def bar(  # noqa: PLR0913
    image: NDArray[np.float64],
    mask: NDArray[np.bool_],
    x: float,
    y: float,
    q: float,
    theta: float,
    inner: float,
    outer: float,
    sigma: float,
) -> tuple[float, float, float, float, float, float, float, int]:  # pragma: no cover
    r"""Measures the even Fourier amplitudes of a deprojected galaxy, and the bar that they show.

    Ring by ring, with the coefficients :math:`a_m` and :math:`b_m` of the azimuth and :math:`I_m =
    \sqrt{a_m^2 + b_m^2}`, the amplitude is

    .. math:: A_2 = I_2 / I_0

    and the strength of the bar is its largest value, as of Athanassoula & Misiriotis. For the
    length, as of Ohta et al. and Aguerri et al., the bar and what is beside it are

    .. math:: R = \frac{I_0 + I_2 + I_4 + I_6}{I_0 - I_2 + I_4 - I_6}

    and the bar ends where, outwards from its maximum, this falls below the middle between its
    maximum and its minimum. A bar has one phase, spiral arms have not: the constancy is

    .. math:: \frac{|\sum A_2 e^{2 i \varphi_2}|}{\sum A_2}

    over the rings within the length, 1 for a bar. The mean amplitude within the length is the
    integral that Aguerri et al. (1998) call the strength, over that length.

    References:
        | Morphology, Photometry and Kinematics of N-body Bars (Athanassoula & Misiriotis, 2002)
        | https://arxiv.org/abs/astro-ph/0111449

        | The Population of Barred Galaxies in the Local Universe (Aguerri et al., 2009)
        | https://arxiv.org/abs/0901.2346

        | Bar Strengths, Bar Lengths, and Corotation Radii (Aguerri et al., 1998)
        | https://doi.org/10.1086/300615

    Arguments:
        image: The image, sky subtracted, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.
        q: The axis ratio of the galaxy, taken for the inclination of its disk.
        theta: The angle of the major axis, in radians.
        inner: The least semi-major axis, in pixels.
        outer: The largest one, beyond the end of a bar.
        sigma: The noise of a pixel, 0 if not known.

    Returns:
        The largest :math:`A_2`; its error from white noise; its radius, in the plane, in pixels;
        the angle of the bar on the sky there, from the x axis towards the y axis, from 0 to
        :math:`\pi`, in radians; the length, in the plane, in pixels; the mean :math:`A_2` within
        it; the constancy of the phase; and flags. Where nothing varies along the rings the
        amplitudes are 0, the rest is NaN. Without light, all is NaN.
    """

    nothing = (np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, UNDEFINED)
    if not (0.0 < inner < outer):
        return nothing
    ratio = min(max(q, LEAST_RATIO), 1.0)
    radii = np.linspace(inner, outer, RINGS)
    around = directions(ANGLES)
    values, bad = polar(image, mask, x, y, ratio, theta, radii, around)
    profiles = _profiles(values, bad, around)
    errors = _errors(profiles[0], radii, ratio, sigma)
    best = _largest(profiles[1], errors)
    if best < 0:
        return nothing
    strength, error = profiles[1, best], math.sqrt(2.0) * errors[best]
    flag = LOW_SIGNAL if strength < LEAST * error else 0
    if not strength > 1e-10:  # rounding
        return 0.0, error, np.nan, np.nan, np.nan, 0.0, np.nan, flag | UNDEFINED

    phase = profiles[2, best]
    angle = (theta + math.atan2(ratio * math.sin(phase), math.cos(phase))) % math.pi
    length, reached = _length(profiles[3], errors, radii)
    flag |= 0 if reached else RADIUS_NOT_REACHED
    mean, constancy = _within(profiles, errors, radii, length)

    return strength, error, radii[best], angle, length, mean, constancy, flag


@inner
def _profiles(
    values: NDArray[np.float64], bad: NDArray[np.bool_], around: NDArray[np.float64]
) -> NDArray[np.float64]:  # pragma: no cover
    r"""Returns :math:`I_0`, :math:`A_2`, its phase, and bar over interbar, with shape `(4, R)`."""

    mean, a2, b2 = harmonic(values, bad, around, 2)
    _, a4, b4 = harmonic(values, bad, around, 4)
    _, a6, b6 = harmonic(values, bad, around, 6)
    out = np.full((4, mean.size), np.nan)
    for ring in range(mean.size):
        if not mean[ring] > 0.0:
            continue
        i2 = math.sqrt(a2[ring] ** 2 + b2[ring] ** 2)
        i4 = math.sqrt(a4[ring] ** 2 + b4[ring] ** 2)
        i6 = math.sqrt(a6[ring] ** 2 + b6[ring] ** 2)
        beside = mean[ring] - i2 + i4 - i6
        out[0, ring], out[1, ring] = mean[ring], i2 / mean[ring]
        out[2, ring] = 0.5 * math.atan2(b2[ring], a2[ring])
        if beside > 0.0:
            out[3, ring] = (mean[ring] + i2 + i4 + i6) / beside

    return out


@inner
def _errors(
    mean: NDArray[np.float64], radii: NDArray[np.float64], q: float, sigma: float
) -> NDArray[np.float64]:  # pragma: no cover
    r"""Returns the relative error of the mean of each ring, NaN where it is no measurement.

    A ring knows as many pixels as it covers, up to those that its samples interpolate.
    """

    out = np.full(mean.size, np.nan)
    for ring in range(mean.size):
        pixels = 2.0 * math.pi * q * radii[ring] * max(radii[1] - radii[0], 1.0)
        error = sigma / math.sqrt(min(pixels, 2.25 * ANGLES))
        if mean[ring] > LEAST * error:
            out[ring] = error / mean[ring]

    return out


@inner
def _largest(
    amplitude: NDArray[np.float64], errors: NDArray[np.float64]
) -> int:  # pragma: no cover
    best, most = -1, -1.0
    for ring in range(amplitude.size):
        if not math.isnan(errors[ring]) and amplitude[ring] > most:
            best, most = ring, amplitude[ring]

    return best


@inner
def _length(
    contrast: NDArray[np.float64], errors: NDArray[np.float64], radii: NDArray[np.float64]
) -> tuple[float, bool]:  # pragma: no cover
    r"""Returns where the bar ends, and whether it does within the rings."""

    best, most, least = -1, -1.0, np.inf
    for ring in range(radii.size):
        if math.isnan(errors[ring]) or math.isnan(contrast[ring]):
            continue
        if contrast[ring] > most:
            best, most = ring, contrast[ring]
        least = min(least, contrast[ring])
    if best < 0:
        return np.nan, False
    middle, last = 0.5 * (most + least), best
    for ring in range(best + 1, radii.size):
        if math.isnan(errors[ring]) or math.isnan(contrast[ring]):
            continue
        if contrast[ring] < middle:
            share = (contrast[last] - middle) / (contrast[last] - contrast[ring])
            return radii[last] + share * (radii[ring] - radii[last]), True
        last = ring

    return radii[last], False


@inner
def _within(
    profiles: NDArray[np.float64],
    errors: NDArray[np.float64],
    radii: NDArray[np.float64],
    length: float,
) -> tuple[float, float]:  # pragma: no cover
    r"""Returns the mean amplitude within a radius, and how constant its phase is."""

    total, real, imaginary, count = 0.0, 0.0, 0.0, 0
    for ring in range(radii.size):
        if math.isnan(errors[ring]) or not radii[ring] <= length:
            continue
        total += profiles[1, ring]
        real += profiles[1, ring] * math.cos(2.0 * profiles[2, ring])
        imaginary += profiles[1, ring] * math.sin(2.0 * profiles[2, ring])
        count += 1
    if count == 0 or not total > 0.0:
        return np.nan, np.nan

    return total / count, math.sqrt(real * real + imaginary * imaginary) / total

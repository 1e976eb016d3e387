r"""A bar: how strong it is, how long, and where it points."""

__all__ = ["ANGLES", "RINGS", "Bar", "bar"]

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner, making
from pipeline.morphometry.flags import NO_BAR
from pipeline.morphometry.known import Disk
from pipeline.morphometry.polar import axis_ratio, directions, harmonic, polar, ring_noise
from pipeline.morphometry.shape_error import ANY

RINGS = 40
r"""The number of rings, in equal steps of the radius."""

ANGLES = 64
r"""The number of samples in each ring."""

LEAST = 3.0  # the S/N that the mean of a ring must have, and the amplitude of one
SURE = 4.0  # that of a bar: in a third of plain disks one of 40 rings is above 3 by chance
WEAK, SHORT = 0.08, 4.0  # an amplitude, and a length in pixels, that pixels may give to a bulge
ROUNDING = 1e-10  # an amplitude that is none


class Bar(NamedTuple):
    r"""A bar. NaN where there is none.

    Arguments:
        strength: The amplitude of m = 2 where it is the most surely large.
        strength_error: Its error.
        theta: The angle of the bar on the sky, from the x axis towards the y axis, from 0 to
            :math:`\pi`, in radians.
        theta_error: Its error.
        length: The radius at which it ends, in the plane, in pixels.
        flags: `NO_BAR` where the strength is less than four times its error or than 0.08, the
            length less than 4 pixels, or the strength is large up to the last ring: the length
            is that of the rings then.
    """

    strength: float
    strength_error: float
    theta: float
    theta_error: float
    length: float
    flags: int


@entry
def bar(
    image: NDArray[np.float64],
    mask: NDArray[np.bool_],
    disk: Disk,
    sigma: float,
    photons: NDArray[np.float64],
) -> Bar:  # pragma: no cover
    r"""Measures the even Fourier amplitudes of a deprojected galaxy, and the bar that they show.

    Ring by ring, with the coefficients :math:`a_m` and :math:`b_m` of the azimuth and :math:`I_m =
    \sqrt{a_m^2 + b_m^2}`, the amplitude is

    .. math:: A_2 = I_2 / I_0

    and the strength of the bar is its largest value, as of Athanassoula & Misiriotis. As the
    largest of noisy rings would be noise, it is that of the ring where :math:`A_2 - 3 \sigma_A` is
    the largest. For the
    length, as of Ohta et al. and Aguerri et al., the bar and what is beside it are

    .. math:: R = \frac{I_0 + I_2 + I_4 + I_6}{I_0 - I_2 + I_4 - I_6}

    and the bar ends where, outwards from its maximum, this falls below the middle between its
    maximum and its minimum. Its phase :math:`\varphi` has half of the noise of the Fourier
    coefficient across it, :math:`\sigma_\varphi = \sigma_A / 2 A_2`, and on the sky, with the axis
    ratio :math:`q` of the disk,

    .. math:: \sigma_\theta = \sigma_\varphi \frac{q}{\cos^2 \varphi + q^2 \sin^2 \varphi}

    References:
        | Morphology, Photometry and Kinematics of N-body Bars (Athanassoula & Misiriotis, 2002)
        | https://arxiv.org/abs/astro-ph/0111449

        | The Population of Barred Galaxies in the Local Universe (Aguerri et al., 2009)
        | https://arxiv.org/abs/0901.2346

    Arguments:
        image: The image, sky subtracted, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        disk: Where the disk is; the largest radius is beyond the end of a bar.
        sigma: The noise of a pixel of sky, 0 if not known.
        photons: The variance that photons add to it, with shape `(H, W)`.

    Returns:
        The bar, with errors from noise that is taken to be white along rings. Where nothing
        varies along them the strength is 0, and the rest is NaN. Without light, all is NaN.
    """

    if not 0.0 < disk.inner < disk.outer:
        return Bar(np.nan, np.nan, np.nan, np.nan, np.nan, NO_BAR)
    q = axis_ratio(disk.q)
    radii = np.linspace(disk.inner, disk.outer, RINGS)
    around = directions(ANGLES)
    values, bad = polar(image, mask, disk.x, disk.y, q, disk.theta, radii, around)
    added, _ = polar(photons, mask, disk.x, disk.y, q, disk.theta, radii, around)
    profiles = _profiles(values, bad, around)
    errors = _errors(profiles[0], radii, q, ring_noise(sigma, added, bad))
    best = _largest(profiles[1], errors)
    if best < 0:
        return Bar(np.nan, np.nan, np.nan, np.nan, np.nan, NO_BAR)
    strength, error = profiles[1, best], math.sqrt(2.0) * errors[best]
    if not strength > ROUNDING:
        return Bar(0.0, error, np.nan, np.nan, np.nan, NO_BAR)

    along, across = math.cos(profiles[2, best]), q * math.sin(profiles[2, best])
    theta = (disk.theta + math.atan2(across, along)) % math.pi
    theta_error = _turned(error / (2.0 * strength), q / (along**2 + across**2))
    length, reached = _length(profiles[3], errors, radii)
    certain = reached and length >= SHORT and strength >= max(SURE * error, WEAK)

    return Bar(strength, error, theta, theta_error, length, 0 if certain else NO_BAR)


@inner
def _turned(error: float, rate: float) -> float:  # pragma: no cover
    r"""Returns the error of the angle of a bar, of that of its phase in the plane.

    Where the amplitude is less than three times its error, the angle is anything.
    """

    return min(error * rate, ANY) if error <= 0.5 / LEAST else ANY


@making
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


@making
def _errors(
    mean: NDArray[np.float64], radii: NDArray[np.float64], q: float, sigma: NDArray[np.float64]
) -> NDArray[np.float64]:  # pragma: no cover
    r"""Returns the relative error of the mean of each ring, NaN where it is no measurement.

    A ring knows as many pixels as interpolation takes from along it, 1.5 times its length of
    about :math:`\pi (1 + q) a`, up to those of all of its samples, which are 9 / 4 each.
    """

    out = np.full(mean.size, np.nan)
    for ring in range(mean.size):
        pixels = 1.5 * math.pi * (1.0 + q) * radii[ring]
        error = sigma[ring] / math.sqrt(min(pixels, 2.25 * ANGLES))
        if mean[ring] > LEAST * error:
            out[ring] = error / mean[ring]

    return out


@inner
def _largest(
    amplitude: NDArray[np.float64], errors: NDArray[np.float64]
) -> int:  # pragma: no cover
    r"""Returns the ring whose amplitude is surely the largest, -1 if none is a measurement."""

    best, most = -1, -np.inf
    for ring in range(amplitude.size):
        sure = amplitude[ring] - LEAST * math.sqrt(2.0) * errors[ring]
        if sure > most:  # not if it is NaN
            best, most = ring, sure

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

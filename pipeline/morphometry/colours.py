r"""How the colour of a galaxy changes from its centre outwards."""

__all__ = ["RINGS", "ColourGradient", "colour_gradient"]

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner, making
from pipeline.morphometry.flags import LOW_SIGNAL, UNDEFINED
from pipeline.morphometry.known import Disk

RINGS = 6
r"""The number of elliptical annuli, in equal steps of the logarithm of the radius."""

LEAST = 3.0  # the S/N that an annulus must have in each band
MAGNITUDE = 2.5 / math.log(10.0)


class ColourGradient(NamedTuple):
    r"""How a colour changes along the radius. NaN with less than two annuli.

    Arguments:
        slope: The gradient, in magnitudes per decade of the radius.
        slope_error: Its error, without the scatter about the line. 0 with no noise given.
        colour: The colour at the pivot, in magnitudes, without any zero point.
        flags: Why not to trust it.
    """

    slope: float
    slope_error: float
    colour: float
    flags: int


@entry
def colour_gradient(
    blue: NDArray[np.float64],
    red: NDArray[np.float64],
    mask: NDArray[np.bool_],
    disk: Disk,
    blue_noise: tuple[float, float],
    red_noise: tuple[float, float],
) -> ColourGradient:  # pragma: no cover
    r"""Measures the colour gradient of a galaxy, in magnitudes per decade of the radius.

    The fluxes of both bands in elliptical annuli give the colours :math:`c_k = -2.5 \log_{10} (B_k
    / R_k)`, each at the mean of :math:`\log_{10} r` weighted by the red light. The line

    .. math:: c = c_0 + \nabla \, (\log_{10} r - \log_{10} r_0)

    is fitted with the weights of noise, :math:`\sigma_{c,k} = \frac{2.5}{\ln 10}
    \sqrt{(\sigma_{B,k} / B_k)^2 + (\sigma_{R,k} / R_k)^2}` with :math:`\sigma_{B,k}^2 =
    N_k \sigma_B^2 + B_k / g_B`, at the pivot :math:`r_0` where
    the errors of both parameters are independent. Annuli with a S/N below 3 in a band are left
    out, and without noise all weigh the same. A negative gradient means that the galaxy is bluer
    outside. The bands must have the same seeing.

    References:
        | CCD Surface Photometry of Galaxies with Dynamical Data. II (Peletier et al., 1990)
        | https://doi.org/10.1086/115582

    Arguments:
        blue: The bluer image, sky subtracted, with shape `(H, W)`.
        red: The redder image, on the same pixels, with shape `(H, W)`.
        mask: Whether each pixel is left out in either band, with shape `(H, W)`.
        disk: Where the galaxy is, and the edges of the annuli.
        blue_noise: The noise of a pixel of sky in the bluer band, 0 if not known, and the
            photons :math:`g` per unit of the image, infinite without their noise.
        red_noise: The same in the redder band.

    Returns:
        The gradient.
    """

    if not (0.0 < disk.inner < disk.outer and disk.q > 0.0):
        return ColourGradient(np.nan, np.nan, np.nan, UNDEFINED)
    sums = _annuli(blue, red, mask, disk)
    points, flag = _points(sums, disk, blue_noise, red_noise)
    if len(points) < 2:
        return ColourGradient(np.nan, np.nan, np.nan, flag | UNDEFINED)
    slope, error, colour = _line(points[:, 0], points[:, 1], points[:, 2])
    known = _is_noise(blue_noise) or _is_noise(red_noise)

    return ColourGradient(slope, error if known else 0.0, colour, flag)


@inner
def _is_noise(noise: tuple[float, float]) -> bool:  # pragma: no cover
    return noise[0] > 0.0 or noise[1] < np.inf


@making
def _points(
    sums: NDArray[np.float64],
    disk: Disk,
    blue_noise: tuple[float, float],
    red_noise: tuple[float, float],
) -> tuple[NDArray[np.float64], int]:  # pragma: no cover
    r"""Returns the log radius, the colour and the weight of annuli, `(K, 3)`, and flags."""

    points, used, flag = np.zeros((RINGS, 3)), 0, 0
    noiseless = not (_is_noise(blue_noise) or _is_noise(red_noise))
    start, step = math.log10(disk.inner), math.log10(disk.outer / disk.inner)
    for k in range(RINGS):
        pixels, flux_b, flux_r, moment = sums[k]
        noise_b = math.sqrt(pixels * blue_noise[0] ** 2 + max(flux_b, 0.0) / blue_noise[1])
        noise_r = math.sqrt(pixels * red_noise[0] ** 2 + max(flux_r, 0.0) / red_noise[1])
        if not (flux_b > LEAST * noise_b and flux_r > LEAST * noise_r):
            flag |= LOW_SIGNAL if pixels > 0.0 else 0
            continue
        low, high = start + step * k / RINGS, start + step * (k + 1) / RINGS
        points[used, 0] = min(max(moment / flux_r, low), high)
        points[used, 1] = -MAGNITUDE * math.log(flux_b / flux_r)
        error = MAGNITUDE * math.sqrt((noise_b / flux_b) ** 2 + (noise_r / flux_r) ** 2)
        points[used, 2] = 1.0 if noiseless else 1.0 / (error * error)
        used += 1

    return points[:used], flag


@making
def _annuli(
    blue: NDArray[np.float64], red: NDArray[np.float64], mask: NDArray[np.bool_], disk: Disk
) -> NDArray[np.float64]:  # pragma: no cover
    r"""Returns the pixels, both fluxes and the red moment of the log radius of each annulus.

    Pixels go whole where their centre lies: both bands share the same ones, so that the colour
    does not depend on how their rims are cut.
    """

    x, y, q, theta, inner, outer = disk
    sums = np.zeros((RINGS, 4))
    cos, sin = math.cos(theta), math.sin(theta)
    start, step = math.log10(inner), math.log10(outer / inner) / RINGS
    top, bottom = max(int(math.ceil(y - outer)), 0), min(int(y + outer) + 1, red.shape[0])
    first, last = max(int(math.ceil(x - outer)), 0), min(int(x + outer) + 1, red.shape[1])
    for i in range(top, bottom):
        for j in range(first, last):
            dx, dy = j - x, i - y
            u, v = dx * cos + dy * sin, (dy * cos - dx * sin) / q
            square = u * u + v * v
            if mask[i, j] or not inner * inner <= square < outer * outer:
                continue
            place = 0.5 * math.log10(square)
            k = min(max(int((place - start) / step), 0), RINGS - 1)
            sums[k, 0] += 1.0
            sums[k, 1] += blue[i, j]
            sums[k, 2] += red[i, j]
            sums[k, 3] += red[i, j] * place

    return sums


@making
def _line(
    x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float, float, float]:  # pragma: no cover
    r"""Returns the slope of a line, its error, and the level at the mean."""

    total = weight.sum()
    middle, level = np.sum(weight * x) / total, np.sum(weight * y) / total
    spread = np.sum(weight * (x - middle) ** 2)
    if not spread > 0.0:
        return np.nan, np.nan, level

    return np.sum(weight * (x - middle) * (y - level)) / spread, 1.0 / math.sqrt(spread), level

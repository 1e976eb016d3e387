r"""How the colour of a galaxy changes from its centre outwards."""

__all__ = ["RINGS", "colour_gradient"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner
from pipeline.morphometry.flags import LOW_SIGNAL, UNDEFINED

RINGS = 6
r"""The number of elliptical annuli, in equal steps of the logarithm of the radius."""

LEAST = 3.0  # the S/N that an annulus must have in each band
MAGNITUDE = 2.5 / math.log(10.0)


@entry
def colour_gradient(  # noqa: PLR0913
    blue: NDArray[np.float64],
    red: NDArray[np.float64],
    mask: NDArray[np.bool_],
    x: float,
    y: float,
    q: float,
    theta: float,
    inner: float,
    outer: float,
    blue_sigma: float,
    red_sigma: float,
) -> tuple[float, float, float, float, int]:  # pragma: no cover
    r"""Measures the colour gradient of a galaxy, in magnitudes per decade of the radius.

    The fluxes of both bands in elliptical annuli give the colours :math:`c_k = -2.5 \log_{10} (B_k
    / R_k)`, each at the mean of :math:`\log_{10} r` weighted by the red light. The line

    .. math:: c = c_0 + \nabla \, (\log_{10} r - \log_{10} r_0)

    is fitted with the weights of white noise, :math:`\sigma_{c,k} = \frac{2.5}{\ln 10}
    \sqrt{(\sigma_B / B_k)^2 + (\sigma_R / R_k)^2} \sqrt{N_k}`, at the pivot :math:`r_0` where
    both errors are independent. Annuli with a S/N below 3 in a band are left out, and without
    noise all weigh the same. A negative gradient means that the galaxy is bluer outside. The
    bands must have the same seeing.

    References:
        | CCD Surface Photometry of Galaxies with Dynamical Data. II (Peletier et al., 1990)
        | https://ui.adsabs.harvard.edu/abs/1990AJ....100.1091P

    Arguments:
        blue: The bluer image, sky subtracted, with shape `(H, W)`.
        red: The redder image, on the same pixels, with shape `(H, W)`.
        mask: Whether each pixel is left out in either band, with shape `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.
        q: The axis ratio.
        theta: The angle of the major axis, in radians.
        inner: The least semi-major axis, in pixels.
        outer: The largest one.
        blue_sigma: The noise of a pixel of the bluer band, 0 if not known.
        red_sigma: The noise of a pixel of the redder band, 0 if not known.

    Returns:
        The gradient, in magnitudes per decade; its error; the colour at the pivot, in magnitudes,
        without any zero point; its error; and flags. With no noise given the errors are 0. NaN
        with less than two annuli, and errors do not have the scatter about the line.
    """

    if not (0.0 < inner < outer and q > 0.0):
        return np.nan, np.nan, np.nan, np.nan, UNDEFINED
    sums = _annuli(blue, red, mask, x, y, q, theta, inner, outer)
    noiseless = not (blue_sigma > 0.0 or red_sigma > 0.0)
    place, colour, weight = np.zeros(RINGS), np.zeros(RINGS), np.zeros(RINGS)
    used, flag = 0, 0
    for k in range(RINGS):
        pixels, flux_b, flux_r, moment = sums[k]
        noise_b, noise_r = blue_sigma * math.sqrt(pixels), red_sigma * math.sqrt(pixels)
        if not (flux_b > LEAST * noise_b and flux_r > LEAST * noise_r):
            flag |= LOW_SIGNAL if pixels > 0.0 else 0
            continue
        low = math.log10(inner) + math.log10(outer / inner) * k / RINGS
        high = math.log10(inner) + math.log10(outer / inner) * (k + 1) / RINGS
        place[used] = min(max(moment / flux_r, low), high)
        colour[used] = -MAGNITUDE * math.log(flux_b / flux_r)
        error = MAGNITUDE * math.sqrt((noise_b / flux_b) ** 2 + (noise_r / flux_r) ** 2)
        weight[used] = 1.0 if noiseless else 1.0 / (error * error)
        used += 1
    if used < 2:
        return np.nan, np.nan, np.nan, np.nan, flag | UNDEFINED
    slope, slope_error, level, level_error = _line(place[:used], colour[:used], weight[:used])
    if noiseless:
        slope_error, level_error = 0.0, 0.0

    return slope, slope_error, level, level_error, flag


@inner
def _annuli(  # noqa: PLR0913
    blue: NDArray[np.float64],
    red: NDArray[np.float64],
    mask: NDArray[np.bool_],
    x: float,
    y: float,
    q: float,
    theta: float,
    inner: float,
    outer: float,
) -> NDArray[np.float64]:  # pragma: no cover
    r"""Returns the pixels, both fluxes and the red moment of the log radius of each annulus.

    Pixels go whole where their centre lies: both bands share the same ones, so that the colour
    does not depend on how their rims are cut.
    """

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


@inner
def _line(
    x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float, float, float, float]:  # pragma: no cover
    r"""Returns the slope of a line and its level at the mean, each with its error."""

    total = weight.sum()
    middle, level = np.sum(weight * x) / total, np.sum(weight * y) / total
    spread = np.sum(weight * (x - middle) ** 2)
    if not spread > 0.0:
        return np.nan, np.nan, level, 1.0 / math.sqrt(total)
    slope = np.sum(weight * (x - middle) * (y - level)) / spread

    return slope, 1.0 / math.sqrt(spread), level, 1.0 / math.sqrt(total)

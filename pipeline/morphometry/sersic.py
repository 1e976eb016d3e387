r"""The Sersic profile that fits a galaxy best."""

__all__ = ["Sersic", "sersic"]

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.cells import BLOCK, corner, gather, inverse_variance
from pipeline.morphometry.compiled import entry, inner, making
from pipeline.morphometry.flags import FIT_AT_BOUND, FIT_FAILED
from pipeline.morphometry.geometry import Aperture
from pipeline.morphometry.least_squares import invert
from pipeline.morphometry.psf import Kernel
from pipeline.morphometry.sersic_descent import Fit, begin, descend, ellipse, sandwich, squares
from pipeline.morphometry.sersic_model import UNKNOWNS, Box, Data, dot

FINENESS = (0.5, 0.18, 0.0)
r"""The squares of each stage of a fit, against their distance from the centre."""

TOLERANCE = (0.1, 3e-3, 1e-8)
r"""The decrease of chi2 per degree of freedom below which a stage has converged."""

EXCESS = 0.01
r"""What the profile may vary within squares, in units of chi2 per degree of freedom: beyond, chi2
is that of all pixels, one by one."""

MARGIN = 3
r"""How much further than the point spread function reaches it is convolved with, in pixels."""


class Sersic(NamedTuple):
    r"""A Sersic profile and how well it fits. NaN where there is nothing to fit.

    Arguments:
        amplitude: The brightness at the effective radius, in the unit of the image.
        r_eff: The semi-major axis of the ellipse that holds half of the light, in pixels.
        n: The index, 1 for an exponential disk and 4 for a de Vaucouleurs profile.
        x: The column of the centre.
        y: The row of the centre.
        ellip: The ellipticity :math:`1 - q`, from 0 to 1.
        theta: The angle of the major axis, from 0 to :math:`\pi` excluded.
        amplitude_error: The standard deviation of the amplitude, as of the six after it, given
            the noise; it knows nothing of how badly the model fits. NaN where at a bound.
        r_eff_error: That of the effective radius.
        n_error: That of the index.
        x_error: That of the column.
        y_error: That of the row.
        ellip_error: That of the ellipticity.
        theta_error: That of the angle.
        chi2_dof: The weighted sum of squares over the degrees of freedom.
        aic: Akaike's information criterion, corrected if there are few pixels.
        bic: The Bayesian information criterion.
        flags: `FIT_AT_BOUND`, `FIT_FAILED`.
    """

    amplitude: float
    r_eff: float
    n: float
    x: float
    y: float
    ellip: float
    theta: float
    amplitude_error: float
    r_eff_error: float
    n_error: float
    x_error: float
    y_error: float
    ellip_error: float
    theta_error: float
    chi2_dof: float
    aic: float
    bic: float
    flags: int


@entry
def sersic(
    image: NDArray[np.float64],
    sigma: NDArray[np.float64],
    start: Aperture,
    n: float,
    kernel: Kernel,
    sampled: bool,
    parity: bool,
    unsure: tuple[float, float],
) -> Sersic:  # pragma: no cover
    r"""Fits a Sersic profile to a galaxy.

    .. math:: I(r) = I_e \exp\left(-b_n \left[(r / r_e)^{1/n} - 1\right]\right)

    minimizes :math:`\chi^2 = \sum (d - I)^2 / \sigma^2` over its seven parameters by the method
    of Levenberg and Marquardt, with analytic derivatives. The amplitude is always the best for
    the other six. These are :math:`\ln n`, the centre, :math:`\ln \sqrt{a b}` and
    :math:`\frac{1}{2} \ln (a / b) (\cos 2\theta, \sin 2\theta)`, which have neither edges nor a
    singular point for a round galaxy. What is fitted are means over squares of pixels, the larger
    the further from the centre, see :func:`pipeline.morphometry.cells.gather`: coarse ones at
    first, without the kernel, then fine ones. With parity it goes on with all pixels, one by one.

    References:
        | Influence of the atmospheric and instrumental dispersion on the brightness distribution
          in a galaxy (Sersic, 1963)
        | https://ui.adsabs.harvard.edu/abs/1963BAAA....6...41S
        | A Concise Reference to (Projected) Sersic R^1/n Quantities (Graham & Driver, 2005)
        | https://arxiv.org/abs/astro-ph/0503176

    Arguments:
        image: The image, sky subtracted, with shape `(H, W)`. With parity, pixels of exactly 0
            are left out.
        sigma: The standard deviation of each pixel, with shape `(H, W)`. A pixel where it is
            not positive is left out.
        start: Where to start: centre, effective semi-major axis and shape.
        n: The index to start from.
        kernel: The point spread function, `NONE` for none.
        sampled: Whether to compare pixels with the profile at their centres, as statmorph does,
            instead of its mean over them.
        parity: Whether to go to the very minimum, with all pixels one by one, and to let the
            index be from 0.01 to 100, instead of from 0.1 to 10.
        unsure: The error of the level of the sky, and the side of pixels of white noise that
            would be as noisy, in pixels: 1 if the noise of neighbours is not alike.

    Returns:
        The profile, its errors and flags.
    """

    cells, weight = np.empty((image.size + 1, 5)), inverse_variance(image, sigma, not parity)
    p, bounds = np.empty(6), np.empty((6, 2))
    begin(start, n, image.shape, parity, p, bounds)
    normal, vectors = np.empty((UNKNOWNS, UNKNOWNS)), np.empty((2, UNKNOWNS))
    fit = Fit(np.inf, 0.0, 0.0, False, False)
    pixels = 0
    for stage in range(3 if parity else 2):
        data = _data(image, weight, ellipse(p), stage, FINENESS[stage], kernel, sampled, cells)
        pixels = data.pixels
        if pixels <= UNKNOWNS or not 0.0 < data.total < np.inf:
            return _nothing()
        fit = descend(data, p, bounds, TOLERANCE[stage], normal, vectors)
    if not math.isfinite(fit.chi2):
        return _nothing()
    if fit.excess > EXCESS * pixels:
        data = _data(image, weight, ellipse(p), 1, 0.0, kernel, sampled, cells)
        fit = Fit(squares(data, p), 0.0, fit.amplitude, fit.converged, fit.at_bound)

    return _result(p, fit, pixels, _covariance(normal, vectors[1], unsure))


@making
def _data(
    image: NDArray,
    weight: NDArray,
    galaxy: Aperture,
    stage: int,
    fineness: float,
    kernel: Kernel,
    sampled: bool,
    cells: NDArray,
) -> Data:  # pragma: no cover
    r"""Returns what a stage fits: the image in squares, and with which kernel."""

    found, pixels, total = gather(image, weight, galaxy, fineness, cells)
    box = _box(galaxy, image.shape, kernel, stage)
    used = kernel if stage else Kernel(kernel.columns[:0], kernel.rows[:0], 0.0, 0.0, 0.0)

    return Data(image, weight, used, box, sampled, cells[:found], pixels, total)


@inner
def _box(
    galaxy: Aperture, shape: tuple[int, int], kernel: Kernel, stage: int
) -> Box:  # pragma: no cover
    r"""Returns what is to be convolved: nothing, what a kernel reaches, or all."""

    if stage == 0 or len(kernel.columns) == 0:
        return Box(0, 0, 0, 0)
    if stage == 2:
        return Box(-1, shape[0], -1, shape[1])
    reach = max(kernel.columns.shape[1], kernel.rows.shape[1]) // 2 + MARGIN
    side = BLOCK * ((reach + BLOCK - 1) // BLOCK)
    y, x = corner(galaxy.y, shape[0]), corner(galaxy.x, shape[1])

    return Box(y - side - 1, y + side, x - side - 1, x + side)


@inner
def _nothing() -> Sersic:  # pragma: no cover
    n = np.nan

    return Sersic(n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, FIT_FAILED)


@making
def _covariance(
    normal: NDArray, pull: NDArray, unsure: tuple[float, float]
) -> NDArray:  # pragma: no cover
    r"""Returns the covariance of what was fitted, NaN on the diagonal of what was frozen.

    .. math:: s^2 N^{-1} + \sigma_b^2 \, (N^{-1} g) (N^{-1} g)^T

    with what a level of sky of one pulls at the parameters, :math:`g`, and its error.
    """

    level, side = unsure
    inverse, out, moved = np.empty_like(normal), np.empty_like(normal), np.empty_like(pull)
    invert(normal, inverse)
    for i in range(UNKNOWNS):
        moved[i] = level * dot(inverse[i], pull)
    for i in range(UNKNOWNS):
        for j in range(UNKNOWNS):
            out[i, j] = side**2 * inverse[i, j] + moved[i] * moved[j]
    for i in range(UNKNOWNS):
        if np.abs(normal[i]).sum() == 1.0:  # frozen at a bound
            out[i, i] = np.nan

    return out


@making
def _result(p: NDArray, fit: Fit, pixels: int, covariance: NDArray) -> Sersic:  # pragma: no cover
    r"""Returns the parameters people use, their errors and the quality of a fit."""

    galaxy = ellipse(p)
    plus, cross = p[4], p[5]
    eta = max(math.hypot(plus, cross), 1e-12)
    stretch, angle = np.zeros(UNKNOWNS), np.zeros(UNKNOWNS)
    stretch[5], stretch[6] = plus / eta, cross / eta
    radius = galaxy.a * stretch
    radius[4] = galaxy.a
    angle[5], angle[6] = -0.5 * cross / eta**2, 0.5 * plus / eta**2
    n, theta = math.exp(p[0]), galaxy.theta % math.pi
    flags = FIT_AT_BOUND if fit.at_bound else 0
    if not (fit.converged and fit.amplitude > 0):
        flags |= FIT_FAILED
    aic, bic = _criteria(fit.chi2, pixels)

    # In the order of the fields: numba takes no more than 15 by name
    return Sersic(
        fit.amplitude,
        galaxy.a,
        n,
        galaxy.x,
        galaxy.y,
        1 - galaxy.q,
        theta if theta < math.pi else 0.0,
        math.sqrt(covariance[0, 0]),
        math.sqrt(sandwich(radius, covariance, radius)),
        n * math.sqrt(covariance[1, 1]),
        math.sqrt(covariance[2, 2]),
        math.sqrt(covariance[3, 3]),
        2 * galaxy.q * math.sqrt(sandwich(stretch, covariance, stretch)),
        math.sqrt(sandwich(angle, covariance, angle)),
        fit.chi2 / (pixels - UNKNOWNS),
        aic,
        bic,
        flags,
    )


@inner
def _criteria(chi2: float, pixels: int) -> tuple[float, float]:  # pragma: no cover
    r"""Returns the information criteria of a fit of unknown noise, as astropy defines them."""

    if not chi2 > 0:
        return np.nan, np.nan
    likelihood = pixels * math.log(chi2 / pixels)
    aic = likelihood + 2.0 * UNKNOWNS
    if pixels < 40 * UNKNOWNS:
        aic += 2.0 * UNKNOWNS * (UNKNOWNS + 1) / max(pixels - UNKNOWNS - 1, 1)

    return aic, likelihood + UNKNOWNS * math.log(pixels)

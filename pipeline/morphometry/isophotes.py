r"""The shape of a galaxy by radius: ellipticity, position angle, twist."""

__all__ = ["ANGLES", "isophote_twist", "isophotes", "twist"]

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner
from pipeline.morphometry.flags import LOW_SIGNAL, UNDEFINED
from pipeline.morphometry.polar import directions, harmonic, polar

ANGLES = 64
r"""The number of samples along an ellipse."""

RUNGS = 6
r"""The number of isophotes from which the twist of a galaxy is measured."""

INNERMOST = 2.0
r"""The least semi-major axis of these, in pixels: further in, pixels make isophotes round."""

STEP = 0.1  # the share of the radius across which the gradient is taken
ITERATIONS = 12
ROUNDEST, FLATTEST = 0.0, 0.9
STEEP = 3.0  # the S/N of the gradient below which an ellipse is not fitted
SETTLED = 1e-4


@entry
def isophote_twist(  # noqa: PLR0913
    image: NDArray[np.float64],
    mask: NDArray[np.bool_],
    x: float,
    y: float,
    q: float,
    theta: float,
    inner: float,
    outer: float,
    sigma: float,
) -> tuple[float, float, float, int]:  # pragma: no cover
    r"""Measures how far the isophotes of a galaxy turn, and how much their ellipticity changes.

    Six isophotes are fitted, see :func:`isophotes`, whose semi-major axes are in equal ratios
    from the inner one, but from 2 pixels at least, to the outer one. Those that the noise allows
    tell the twist, see :func:`twist`. Being a range, it is not negative: noise of the angles
    makes it larger, by about its error.

    Arguments:
        image: The image, sky subtracted, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.
        q: The axis ratio of the galaxy, from which the fits start.
        theta: The angle of its major axis, in radians.
        inner: The least semi-major axis, in pixels. A tenth of the Petrosian radius does well.
        outer: The largest one. The Petrosian radius does well.
        sigma: The noise of a pixel, 0 if not known.

    Returns:
        The twist, in radians; its error; the largest ellipticity less the smallest one; and
        flags. NaN with less than two isophotes that have an angle.
    """

    first = max(inner, INNERMOST)
    if not first < outer < np.inf:
        return np.nan, np.nan, np.nan, UNDEFINED
    radii = first * (outer / first) ** np.linspace(0.0, 1.0, RUNGS)
    shape, angle, _, error = isophotes(image, mask, x, y, q, theta, radii, sigma)

    return twist(shape, angle, error)


@njit(error_model="numpy")
def isophotes(
    image: NDArray[np.float64],
    mask: NDArray[np.bool_],
    x: float,
    y: float,
    q: float,
    theta: float,
    radii: NDArray[np.float64],
    sigma: float,
) -> tuple[
    NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]
]:  # pragma: no cover
    r"""Fits ellipses about a given centre to the isophotes of a galaxy.

    Along an ellipse with the semi-major axis :math:`a` that is not an isophote, the intensity
    varies with twice the eccentric anomaly, :math:`I = I_0 + A_2 \sin 2E + B_2 \cos 2E`. To first
    order its ellipticity :math:`\epsilon` and its angle :math:`\theta` miss by

    .. math:: \Delta \epsilon = -\frac{2 B_2 (1 - \epsilon)}{a I'}, \qquad
        \Delta \theta = -\frac{2 A_2 (1 - \epsilon)}{a I' \epsilon (2 - \epsilon)}

    with the radial gradient :math:`I'`. Both are applied at once to the vector :math:`\epsilon
    e^{2 i \theta}`, so that circles are nothing special, until they vanish. Each ellipse starts
    from the one inside of it, the first from that of the galaxy. The errors follow from those of
    :math:`A_2` and :math:`B_2` in white noise.

    References:
        | CCD Surface Photometry of Elliptical Galaxies (Jedrzejewski, 1987)
        | https://doi.org/10.1093/mnras/226.4.747

    Arguments:
        image: The image, sky subtracted, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.
        q: The axis ratio of the galaxy.
        theta: The angle of its major axis, in radians.
        radii: The semi-major axes, increasing, in pixels, with shape `(R)`.
        sigma: The noise of a pixel, 0 if not known.

    Returns:
        The ellipticities, the angles of the major axes, in radians from 0 to :math:`\pi`, and the
        errors of both, each with shape `(R)`. The angle of a circle is NaN, and its error
        infinite. All is NaN where less than half of an ellipse is good, where the light does not
        fall outwards with a S/N of 3, or where the fit does not settle.
    """

    shape, angle = np.full(radii.size, np.nan), np.full(radii.size, np.nan)
    shape_error, angle_error = np.full(radii.size, np.nan), np.full(radii.size, np.nan)
    around = directions(ANGLES)
    start = min(max(1.0 - q, ROUNDEST), FLATTEST)
    e, f = start * math.cos(2.0 * theta), start * math.sin(2.0 * theta)
    for k in range(radii.size):
        fitted, new_e, new_f, error = _fit(image, mask, x, y, radii[k], e, f, sigma, around)
        if not fitted:
            continue
        e, f = new_e, new_f
        shape[k] = math.sqrt(e * e + f * f)
        shape_error[k] = error
        if shape[k] > 1e-9:
            angle[k] = (0.5 * math.atan2(f, e)) % math.pi
            angle_error[k] = error / (shape[k] * (2.0 - shape[k]))
        else:
            angle_error[k] = np.inf

    return shape, angle, shape_error, angle_error


@inner
def _fit(  # noqa: PLR0913
    image: NDArray[np.float64],
    mask: NDArray[np.bool_],
    x: float,
    y: float,
    a: float,
    e: float,
    f: float,
    sigma: float,
    around: NDArray[np.float64],
) -> tuple[bool, float, float, float]:  # pragma: no cover
    r"""Returns whether an ellipse settled, its ellipticity vector and the error of that."""

    radii = np.array([a * (1.0 - STEP), a, a * (1.0 + STEP)])
    least, best_e, best_f, error = np.inf, e, f, np.nan
    for _ in range(ITERATIONS):
        shape, turn = math.sqrt(e * e + f * f), math.atan2(f, e)
        q = 1.0 - shape
        values, bad = polar(image, mask, x, y, q, 0.5 * turn, radii, around)
        mean, b2, a2 = harmonic(values, bad, around, 2)
        slope = (mean[2] - mean[0]) / (2.0 * STEP * a)
        noise = sigma / math.sqrt(min(2.0 * math.pi * a * math.sqrt(q), 2.25 * ANGLES))
        rough = noise * math.sqrt(2.0) / (2.0 * STEP * a)
        # A slope of rounding errors is none either
        if not (slope < 0.0 and -slope > STEEP * rough and -slope * a > 1e-9 * abs(mean[1])):
            return False, e, f, error
        unit = -2.0 * q / (a * slope)
        along, across = unit * b2[1], 2.0 * unit * a2[1] / (2.0 - shape)
        size = math.sqrt(along * along + across * across)
        if size < least:
            least, best_e, best_f, error = size, e, f, unit * math.sqrt(2.0) * noise
        if size < SETTLED:
            break
        # No step is so long that it leaves the part where it is linear
        damp = min(1.0, 0.2 / size)
        e += damp * (along * math.cos(turn) - across * math.sin(turn))
        f += damp * (along * math.sin(turn) + across * math.cos(turn))
        size = math.sqrt(e * e + f * f)
        if size > FLATTEST:
            e, f = e * FLATTEST / size, f * FLATTEST / size

    return least < max(10.0 * SETTLED, error), best_e, best_f, error


@njit(error_model="numpy")
def twist(
    shape: NDArray[np.float64], angle: NDArray[np.float64], angle_error: NDArray[np.float64]
) -> tuple[float, float, float, int]:  # pragma: no cover
    r"""Measures the twist of isophotes: how far their position angle turns.

    The angles are followed outwards, each to the nearest equivalent of the one before. The twist
    is the largest of them less the smallest, without a sign, so that a mirror image has the same.

    Arguments:
        shape: The ellipticities, with shape `(R)`.
        angle: The angles of the major axes, in radians, with shape `(R)`.
        angle_error: Their errors, with shape `(R)`. Angles less certain than 0.2 are left out.

    Returns:
        The twist, in radians; its error, that of the two angles; the largest ellipticity less
        the smallest one; and flags. NaN with less than two angles.
    """

    low, high, low_error, high_error, last, used = np.inf, -np.inf, 0.0, 0.0, 0.0, 0
    roundest, flattest, flag = np.inf, -np.inf, 0
    for k in range(angle.size):
        if not math.isnan(shape[k]):
            roundest, flattest = min(roundest, shape[k]), max(flattest, shape[k])
        if math.isnan(angle[k]) or not angle_error[k] < 0.2:
            flag |= 0 if math.isnan(shape[k]) else LOW_SIGNAL
            continue
        here = angle[k] - math.pi * math.floor((angle[k] - last) / math.pi + 0.5)
        last = here
        used += 1
        if here < low:
            low, low_error = here, angle_error[k]
        if here > high:
            high, high_error = here, angle_error[k]
    change = flattest - roundest if flattest >= roundest else np.nan
    if used < 2:
        return np.nan, np.nan, change, flag | UNDEFINED

    return high - low, math.sqrt(low_error**2 + high_error**2), change, flag

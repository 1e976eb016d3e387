r"""The shape of a galaxy by radius: ellipticity, position angle, twist."""

__all__ = ["ANGLES", "Isophotes", "Twist", "isophote_twist", "isophotes", "twist"]

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner, making
from pipeline.morphometry.flags import NO_TWIST
from pipeline.morphometry.known import Disk
from pipeline.morphometry.polar import directions, harmonic, polar, ring_noise

ANGLES = 64
r"""The number of samples along an ellipse."""

RUNGS = 6
r"""The number of isophotes from which the twist of a galaxy is measured."""

INNERMOST = 2.0
r"""The least semi-major axis of these, in pixels: further in, pixels make isophotes round."""

STEP = 0.1  # the share of the radius across which the gradient is taken
ITERATIONS = 40
ROUNDEST, FLATTEST = 0.0, 0.9
STEEP = 3.0  # the S/N of the gradient below which an ellipse is not fitted
SETTLED = 1e-6  # the step at which a fit ends
CLOSE = 1e-3  # what an ellipticity may miss, if not by its error
ROUND = 1e-9  # an ellipticity that has no angle
LEAST = 3.0  # the twist of isophotes that turn, in units of its error
UNSURE = 0.2  # the error of an angle that is left out
CIRCULAR = 0.05  # an ellipticity that pixels may give to a circle


class Isophotes(NamedTuple):
    r"""Ellipses along isophotes, each field with shape `(R)`. NaN where none is fitted.

    Arguments:
        ellipticity: The ellipticities :math:`1 - b / a`.
        theta: The angles of the major axes, in radians from 0 to :math:`\pi`. NaN for a circle.
        ellipticity_error: The errors of the ellipticities.
        theta_error: Those of the angles, infinite for a circle.
    """

    ellipticity: NDArray[np.float64]
    theta: NDArray[np.float64]
    ellipticity_error: NDArray[np.float64]
    theta_error: NDArray[np.float64]


class Twist(NamedTuple):
    r"""How isophotes change from one to another. NaN with less than two of them.

    Arguments:
        twist: How far the angle of the major axis turns, in radians.
        twist_error: Its error.
        ellipticity_change: The largest ellipticity less the smallest one.
        flags: `NO_TWIST` where the twist is less than three times its error, or has no value.
    """

    twist: float
    twist_error: float
    ellipticity_change: float
    flags: int


@entry
def isophote_twist(
    image: NDArray[np.float64],
    mask: NDArray[np.bool_],
    disk: Disk,
    sigma: float,
    photons: NDArray[np.float64],
) -> Twist:  # pragma: no cover
    r"""Measures how far the isophotes of a galaxy turn, and how much their ellipticity changes.

    Six isophotes are fitted, see :func:`isophotes`, whose semi-major axes are in equal ratios
    from the inner one, but from 2 pixels at least, to the outer one. Those that the noise allows
    tell the twist, see :func:`twist`. Being a range, it is not negative: noise of the angles
    makes it larger, by about its error.

    Arguments:
        image: The image, sky subtracted, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        disk: Where the disk is. The fits start from its shape.
        sigma: The noise of a pixel of sky, 0 if not known.
        photons: The variance that photons add to it, with shape `(H, W)`.

    Returns:
        The twist. NaN with less than two isophotes that have an angle.
    """

    first = max(disk.inner, INNERMOST)
    if not first < disk.outer < np.inf:
        return Twist(np.nan, np.nan, np.nan, NO_TWIST)
    radii = first * (disk.outer / first) ** np.linspace(0.0, 1.0, RUNGS)

    place = disk.x, disk.y, disk.q, disk.theta
    noise = ring_noise(sigma, *polar(photons, mask, *place, radii, directions(ANGLES)))

    return twist(isophotes(image, mask, *place, radii, noise))


@making
def isophotes(
    image: NDArray[np.float64],
    mask: NDArray[np.bool_],
    x: float,
    y: float,
    q: float,
    theta: float,
    radii: NDArray[np.float64],
    sigma: NDArray[np.float64],
) -> Isophotes:  # pragma: no cover
    r"""Fits ellipses about a given centre to the isophotes of a galaxy.

    Along an ellipse with the semi-major axis :math:`a` that is not an isophote, the intensity
    varies with twice the eccentric anomaly, :math:`I = I_0 + A_2 \sin 2E + B_2 \cos 2E`. To first
    order its ellipticity :math:`\epsilon` and its angle :math:`\theta` miss by

    .. math:: \Delta \epsilon = -\frac{2 B_2 (1 - \epsilon)}{a I'}, \qquad
        \Delta \theta = -\frac{2 A_2 (1 - \epsilon)}{a I' \epsilon (2 - \epsilon)}

    with the radial gradient :math:`I'`. Both are applied at once to the vector :math:`\epsilon
    e^{2 i \theta}`, so that circles are nothing special, until they vanish. A step that does not
    make them smaller is halved: a fit that jumps about would end elsewhere in a mirror. Each
    ellipse starts from the one inside of it, the first from that of the galaxy. The errors follow
    from those of :math:`A_2` and :math:`B_2` in noise that is white along an ellipse.

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
        sigma: The noise of a pixel around each of them, 0 if not known, with shape `(R)`.

    Returns:
        The ellipses. All is NaN where less than half of an ellipse is good, where the light does
        not fall outwards with a S/N of 3, or where the fit does not settle on less than its error.
    """

    found = np.full((4, radii.size), np.nan)
    around = directions(ANGLES)
    start = min(max(1.0 - q, ROUNDEST), FLATTEST)
    last = start * math.cos(2.0 * theta), start * math.sin(2.0 * theta)
    for k in range(radii.size):
        fitted, shape, error = _fit(image, mask, (x, y, radii[k]), last, sigma[k], around)
        if not fitted:
            continue
        last = shape
        size = math.sqrt(shape[0] ** 2 + shape[1] ** 2)
        found[0, k], found[2, k], found[3, k] = size, error, np.inf
        if size > ROUND:
            found[1, k] = (0.5 * math.atan2(shape[1], shape[0])) % math.pi
            found[3, k] = error / (size * (2.0 - size))

    return Isophotes(found[0], found[1], found[2], found[3])


@making
def _fit(
    image: NDArray[np.float64],
    mask: NDArray[np.bool_],
    place: tuple[float, float, float],
    start: tuple[float, float],
    sigma: float,
    around: NDArray[np.float64],
) -> tuple[bool, tuple[float, float], float]:  # pragma: no cover
    r"""Returns whether an ellipse settled, its ellipticity vector and the error of that."""

    x, y, a = place
    radii = np.array([a * (1.0 - STEP), a, a * (1.0 + STEP)])
    tried, step, least, best = start, 1.0, np.inf, start
    miss, error = (0.0, 0.0), np.nan
    for _ in range(ITERATIONS):
        (e, f), shape = tried, math.sqrt(tried[0] ** 2 + tried[1] ** 2)
        q = 1.0 - shape
        values, bad = polar(image, mask, x, y, q, 0.5 * math.atan2(f, e), radii, around)
        mean, b2, a2 = harmonic(values, bad, around, 2)
        noise = sigma / math.sqrt(min(2.0 * math.pi * a * math.sqrt(q), 2.25 * ANGLES))
        slope = (mean[2] - mean[0]) / (2.0 * STEP * a)
        if not _falls(slope, a, mean[1], noise):
            return False, start, np.nan
        unit = -2.0 * q / (a * slope)
        along, across = unit * b2[1], 2.0 * unit * a2[1] / (2.0 - shape)
        size = math.sqrt(along * along + across * across)
        step *= 0.5
        if size < least:
            step, least, best, miss = 1.0, size, tried, (along, across)
            error = unit * math.sqrt(2.0) * noise
        if step * least < SETTLED:
            return least < max(CLOSE, error), best, error
        tried = _moved(best, miss, step)

    return False, start, np.nan


@inner
def _falls(slope: float, a: float, mean: float, noise: float) -> bool:  # pragma: no cover
    r"""Tells if the light falls outwards, by more than noise and rounding do."""

    rough = noise * math.sqrt(2.0) / (2.0 * STEP * a)

    return slope < 0.0 and -slope > STEEP * rough and -slope * a > 1e-9 * abs(mean)


@inner
def _moved(
    shape: tuple[float, float], miss: tuple[float, float], step: float
) -> tuple[float, float]:  # pragma: no cover
    r"""Corrects an ellipticity vector by a share of what it misses, along itself and across.

    No step is so long that it leaves the part where it is linear.
    """

    (e, f), (along, across) = shape, miss
    turn, size = math.atan2(f, e), math.sqrt(along * along + across * across)
    damp = step * min(1.0, 0.2 / size)
    e += damp * (along * math.cos(turn) - across * math.sin(turn))
    f += damp * (along * math.sin(turn) + across * math.cos(turn))
    size = math.sqrt(e * e + f * f)

    return (e * FLATTEST / size, f * FLATTEST / size) if size > FLATTEST else (e, f)


@inner
def twist(found: Isophotes) -> Twist:  # pragma: no cover
    r"""Measures the twist of isophotes: how far their position angle turns.

    The angles are followed outwards, each to the nearest equivalent of the one before. The twist
    is the largest of them less the smallest, without a sign, so that a mirror image has the same.
    Its error is that of the two angles. Angles less certain than 0.2 are left out, and those of
    ellipticities below 0.05.

    Arguments:
        found: The isophotes, the innermost first.

    Returns:
        The twist. NaN with less than two angles.
    """

    low, high, low_error, high_error, last, used = np.inf, -np.inf, 0.0, 0.0, 0.0, 0
    roundest, flattest = np.inf, -np.inf
    for k in range(found.theta.size):
        shape, angle, error = found.ellipticity[k], found.theta[k], found.theta_error[k]
        if not math.isnan(shape):
            roundest, flattest = min(roundest, shape), max(flattest, shape)
        if math.isnan(angle) or not error < UNSURE or shape < CIRCULAR:
            continue
        last = angle - math.pi * math.floor((angle - last) / math.pi + 0.5)
        used += 1
        if last < low:
            low, low_error = last, error
        if last > high:
            high, high_error = last, error
    change = flattest - roundest if flattest >= roundest else np.nan
    if used < 2:
        return Twist(np.nan, np.nan, change, NO_TWIST)
    error = math.sqrt(low_error**2 + high_error**2)

    return Twist(high - low, error, change, 0 if high - low >= LEAST * error else NO_TWIST)

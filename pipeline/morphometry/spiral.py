r"""Spiral arms: which way they wind, how many there are, how open they are."""

__all__ = ["ANGLES", "LARGEST", "ORDERS", "RINGS", "STEP", "Spiral", "spiral"]

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner, making
from pipeline.morphometry.flags import NO_ARMS
from pipeline.morphometry.known import Disk
from pipeline.morphometry.polar import axis_ratio, contrast, directions, polar, ring_noise

RINGS = 48
r"""The number of rings, in equal steps of the logarithm of the radius."""

ANGLES = 64
r"""The number of samples in each ring."""

ORDERS = (2, 6)
r"""The least and the largest number of arms. One arm would be any galaxy that is off centre."""

STEP = 0.5
r"""The step of the radial wave numbers."""

LARGEST = 20.0
r"""The largest radial wave number: two arms of 6 degrees, four of 11."""

FLOOR = 0.02  # rings fainter than this share of the brightest one are not made as bright
SURE = 2.0  # the winding whose sign is known, in units of its error
LEAST = 3.0  # the winding of arms, in units of its error
FAINT = 0.006  # a contrast of arms that a smooth bulge has too, as of pixels and the deprojection
NOTHING = 1e-20  # a power that is due to rounding


class Spiral(NamedTuple):
    r"""Spiral arms. NaN where there are none; errors are those of noise that is white along rings.

    Arguments:
        winding: The winding :math:`W`, from -1 to 1.
        winding_error: Its error.
        arms: The number of arms.
        pitch: The pitch angle, in radians, with the sign of :math:`W`.
        pitch_error: Its error: the angle itself at least where the winding is less than twice
            its error, as nobody knows the sign then.
        flags: `NO_ARMS` where the winding is less than three times its error, or the contrast
            :math:`|A|` of the arms less than 0.006, or none.
    """

    winding: float
    winding_error: float
    arms: float
    pitch: float
    pitch_error: float
    flags: int


@entry
def spiral(
    image: NDArray[np.float64],
    mask: NDArray[np.bool_],
    disk: Disk,
    sigma: float,
    photons: NDArray[np.float64],
    side: float,
) -> Spiral:  # pragma: no cover
    r"""Measures the winding, the number and the pitch angle of the spiral arms.

    The galaxy is deprojected on a log-polar grid of :math:`u = \ln r` and :math:`\varphi`, and
    each ring is divided by its mean, which leaves the contrast :math:`\delta`. Its transform,

    .. math:: A(m, p) = \frac{\sum h(u) \, \delta(u, \varphi) \, e^{-i (m \varphi + p u)}}
        {\sum h(u)}

    with a Hann window :math:`h`, has a maximum where arms follow :math:`r = r_0 e^{\varphi
    \tan \psi}`, at :math:`p = -m / \tan \psi`. The transform is that of Puerari & Dottori, who
    have the flux instead of its contrast and no window. The handedness is not that of its highest
    maximum alone, but the balance of both signs,

    .. math:: W = \frac{\sum m |p| (|A(m, -|p|)|^2 - |A(m, |p|)|^2)}
        {\sum m |p| (|A(m, -|p|)|^2 + |A(m, |p|)|^2)}

    over :math:`2 \le m \le 6` and :math:`|p| \le 20`. The numerator is the mean of :math:`-2
    \partial_u \delta \, \partial_\varphi \delta`, that is the mean shear of the contrast; noise
    adds to the denominator only, so that it takes :math:`W` towards zero. The arms are then those
    of the maximum of :math:`|A|`, on the side of :math:`W`, where :math:`m |p| |A|^2` is largest:
    the highest one is often near :math:`p = 0`, a bar or an error of the deprojection.

    Rings whose mean is below 2 % of the brightest one are divided by that instead, as noise would
    make their contrast large: arms there count less.

    Positive is where the radius grows with the angle, from the x axis to the y axis. In an image
    with rows upwards, as on the sky, Galaxy Zoo calls this clockwise; with rows downwards,
    as in a JPEG, anticlockwise.

    References:
        | Fourier analysis of structure in spiral galaxies (Puerari & Dottori, 1992)
        | https://ui.adsabs.harvard.edu/abs/1992A%26AS...93..469P

        | Measurement of Galactic Logarithmic Spiral Arm Pitch Angle Using Two-Dimensional Fast
          Fourier Transform Decomposition (Davis et al., 2012)
        | https://arxiv.org/abs/1202.4780

    Arguments:
        image: The image, sky subtracted, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        disk: Where the disk is.
        sigma: The noise of a pixel of sky, 0 if not known.
        photons: The variance that photons add to it, with shape `(H, W)`.
        side: The side of pixels of white noise that would be as noisy, in pixels: 1 if the noise
            of neighbours is not alike.

    Returns:
        The arms. Where nothing varies along the rings, the winding is 0; number and pitch angle
        are NaN if there is no maximum, and all is NaN if there is no light.
    """

    if not 0.0 < disk.inner < disk.outer:
        return Spiral(np.nan, np.nan, np.nan, np.nan, np.nan, NO_ARMS)
    u = np.linspace(math.log(disk.inner), math.log(disk.outer), RINGS)
    q = axis_ratio(disk.q)
    around = directions(ANGLES)
    values, bad = polar(image, mask, disk.x, disk.y, q, disk.theta, np.exp(u), around)
    added, _ = polar(photons, mask, disk.x, disk.y, q, disk.theta, np.exp(u), around)
    rough = side * ring_noise(sigma, added, bad)
    window, noise = _window(values, bad, u, q, rough)
    if not window.sum() > 0.0:
        return Spiral(np.nan, np.nan, np.nan, np.nan, np.nan, NO_ARMS)
    window /= window.sum()
    delta = contrast(values, bad, FLOOR * _brightest(values, bad))
    plus, minus = _transform(_around(delta, window, around), u)
    white = _noise_power(u, window, noise, q, side)
    winding, error = _winding(plus, minus, white, _repeats(u, window, noise))
    half = plus if winding < 0.0 else minus
    m, k = _highest(half)
    if k < 0:
        return Spiral(winding, error, np.nan, np.nan, np.nan, NO_ARMS)
    p, p_error = _vertex(half[m - ORDERS[0]], k, u, window, noise)
    pitch = math.copysign(math.atan2(float(m), p), winding)
    pitch_error = m / (p * p + m * m) * p_error
    if abs(winding) < SURE * error:
        pitch_error = max(pitch_error, abs(pitch))
    certain = abs(winding) >= LEAST * error and half[m - ORDERS[0], k] >= FAINT**2

    return Spiral(winding, error, float(m), pitch, pitch_error, 0 if certain else NO_ARMS)


@inner
def _brightest(values: NDArray[np.float64], bad: NDArray[np.bool_]) -> float:  # pragma: no cover
    brightest = 0.0
    for ring in range(values.shape[0]):
        good = values.shape[1] - bad[ring].sum()
        if good > 0:
            brightest = max(brightest, values[ring].sum() / good)

    return brightest


@making
def _window(
    values: NDArray[np.float64],
    bad: NDArray[np.bool_],
    u: NDArray[np.float64],
    q: float,
    sigma: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # pragma: no cover
    r"""Returns the weight of each ring, and the variance of a coefficient of its contrast.

    A ring knows as many pixels as it covers. Where those are many more than its samples, each of
    these averages the 9 / 4 pixels of an interpolation.
    """

    rings, angles = values.shape
    window, noise = np.zeros(rings), np.zeros(rings)
    floor = FLOOR * _brightest(values, bad)
    for ring in range(rings):
        good = angles - bad[ring].sum()
        mean = values[ring].sum() / good if good > 0 else 0.0
        if not (mean > 0.0 and 2 * good >= angles):
            continue
        window[ring] = math.sin(math.pi * (ring + 1) / (rings + 1)) ** 2
        pixels = 2.0 * math.pi * q * math.exp(2.0 * u[ring]) * (u[1] - u[0])
        noise[ring] = (sigma[ring] / max(mean, floor)) ** 2 / min(pixels, 2.25 * angles)

    return window, noise


@making
def _transform(
    rings: NDArray[np.float64], u: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # pragma: no cover
    r"""Returns :math:`|A(m, p)|^2` for positive and for negative :math:`p`, from 0 on."""

    orders, waves = ORDERS[1] - ORDERS[0] + 1, int(LARGEST / STEP) + 2
    plus, minus = np.empty((orders, waves)), np.empty((orders, waves))
    phase, step = _phases(0.0 * u), _phases(STEP * u)
    for wave in range(waves):
        for order in range(orders):
            ac, as_, bc, bs = 0.0, 0.0, 0.0, 0.0
            for ring in range(u.size):
                cosine, sine = phase[ring, 0], phase[ring, 1]
                ac += rings[ring, order, 0] * cosine
                as_ += rings[ring, order, 0] * sine
                bc += rings[ring, order, 1] * cosine
                bs += rings[ring, order, 1] * sine
            plus[order, wave] = (ac + bs) ** 2 + (bc - as_) ** 2
            minus[order, wave] = (ac - bs) ** 2 + (bc + as_) ** 2
        _turn(phase, step)

    return plus, minus


@making
def _phases(angles: NDArray[np.float64]) -> NDArray[np.float64]:  # pragma: no cover
    r"""Returns the cosines and sines of angles, with shape `(K, 2)`."""

    out = np.empty((angles.size, 2))
    for k in range(angles.size):
        out[k, 0], out[k, 1] = math.cos(angles[k]), math.sin(angles[k])

    return out


@inner
def _turn(phase: NDArray[np.float64], step: NDArray[np.float64]) -> None:  # pragma: no cover
    r"""Adds to angles, in place, as it is faster than to ask for their cosines and sines."""

    for k in range(len(phase)):
        cosine, sine = phase[k, 0], phase[k, 1]
        phase[k, 0] = cosine * step[k, 0] - sine * step[k, 1]
        phase[k, 1] = sine * step[k, 0] + cosine * step[k, 1]


@making
def _around(
    delta: NDArray[np.float64], window: NDArray[np.float64], around: NDArray[np.float64]
) -> NDArray[np.float64]:  # pragma: no cover
    r"""Returns the transform along the rings, weighted, real and imaginary, `(R, orders, 2)`."""

    rings, angles = delta.shape
    orders = ORDERS[1] - ORDERS[0] + 1
    waves, out = np.empty((angles, orders, 2)), np.zeros((rings, orders, 2))
    for k in range(angles):
        for order in range(orders):
            turn = (order + ORDERS[0]) * k % angles
            waves[k, order, 0], waves[k, order, 1] = around[turn, 0], -around[turn, 1]
    for ring in range(rings):
        for k in range(angles):
            value = window[ring] / angles * delta[ring, k]
            for order in range(orders):
                out[ring, order, 0] += value * waves[k, order, 0]
                out[ring, order, 1] += value * waves[k, order, 1]

    return out


@inner
def _winding(
    plus: NDArray[np.float64],
    minus: NDArray[np.float64],
    white: NDArray[np.float64],
    repeats: float,
) -> tuple[float, float]:  # pragma: no cover
    r"""Returns the balance of both signs, and its error.

    A power :math:`E` measured in noise of the variance :math:`s` has the variance :math:`2 E s -
    s^2`.
    """

    orders, waves = plus.shape
    first, second, first_spread, second_spread, least = 0.0, 0.0, 0.0, 0.0, 0.0
    for order in range(orders):
        for wave in range(1, waves - 1):
            weight, s = (order + ORDERS[0]) * wave * STEP, white[order, wave]
            first += weight * minus[order, wave]
            second += weight * plus[order, wave]
            first_spread += weight * weight * s * (2.0 * minus[order, wave] - s)
            second_spread += weight * weight * s * (2.0 * plus[order, wave] - s)
            least += weight * weight * s * s
    total = first + second
    if not total > NOTHING:
        return 0.0, 0.0

    # The derivatives of the balance are 2 second / total^2 and -2 first / total^2
    spread = second**2 * max(first_spread, least) + first**2 * max(second_spread, least)

    return (first - second) / total, 2.0 * math.sqrt(repeats * spread) / total**2


@making
def _noise_power(
    u: NDArray[np.float64],
    window: NDArray[np.float64],
    noise: NDArray[np.float64],
    q: float,
    side: float,
) -> NDArray[np.float64]:  # pragma: no cover
    r"""Returns the power that noise has in each wave, with shape `(orders, waves)`.

    Bilinear interpolation leaves :math:`\mathrm{sinc}^4(k_x / 2) \, \mathrm{sinc}^4(k_y / 2)
    \approx e^{-k^2 / 6}` of a wave, where :math:`k^2 = (m^2 + p^2) / r^2` in the plane, and
    :math:`(1 + q^{-2}) / 2` times that on the sky, averaged along a ring. Of noise whose
    correlation falls as a Gaussian with the distance, pixels of side :math:`s` being as noisy,
    :math:`e^{-k^2 s^2 / 4 \pi}` is there to begin with.
    """

    orders, waves = ORDERS[1] - ORDERS[0] + 1, int(LARGEST / STEP) + 2
    out = np.zeros((orders, waves))
    grown = (side * side - 1.0) / (8.0 * math.pi)
    for ring in range(u.size):
        power = window[ring] ** 2 * noise[ring]
        width = (1.0 + 1.0 / (q * q)) * math.exp(-2.0 * u[ring]) * (1.0 / 12.0 + grown)
        for wave in range(waves):
            along = power * math.exp(-width * (STEP * wave) ** 2)
            for order in range(orders):
                out[order, wave] += along * math.exp(-width * (order + ORDERS[0]) ** 2)

    return out


@making
def _repeats(
    u: NDArray[np.float64], window: NDArray[np.float64], noise: NDArray[np.float64]
) -> float:  # pragma: no cover
    r"""Returns how many neighbouring waves share the same noise."""

    weights = window * window * noise
    total, repeats = weights.sum(), 1.0
    if not total > 0.0:
        return repeats
    phase, step = _phases(STEP * u), _phases(STEP * u)
    for _ in range(1, 17):  # further away there is nothing left of a Hann window
        real, imaginary = 0.0, 0.0
        for ring in range(u.size):
            real += weights[ring] * phase[ring, 0]
            imaginary += weights[ring] * phase[ring, 1]
        _turn(phase, step)
        repeats += 2.0 * (real * real + imaginary * imaginary) / (total * total)

    return repeats


@inner
def _highest(power: NDArray[np.float64]) -> tuple[int, int]:  # pragma: no cover
    r"""Returns the order and the wave of the maximum that weighs most, -1 if there is none."""

    best, m, k = NOTHING, 0, -1
    for order in range(power.shape[0]):
        for wave in range(1, power.shape[1] - 1):
            here = power[order, wave]
            score = (order + ORDERS[0]) * wave * here
            if score > best and here >= power[order, wave - 1] and here > power[order, wave + 1]:
                best, m, k = score, order + ORDERS[0], wave

    return m, k


@making
def _vertex(
    power: NDArray[np.float64],
    k: int,
    u: NDArray[np.float64],
    window: NDArray[np.float64],
    noise: NDArray[np.float64],
) -> tuple[float, float]:  # pragma: no cover
    r"""Returns where the amplitude has its maximum, and the error of that."""

    before, here, after = math.sqrt(power[k - 1]), math.sqrt(power[k]), math.sqrt(power[k + 1])
    curve = 2.0 * here - before - after
    shift = 0.5 * (after - before) / curve
    # The slope of the amplitude has the noise of the transform of u times the contrast
    middle = np.sum(window * u)
    slope = math.sqrt(0.5 * np.sum((window * (u - middle)) ** 2 * noise))

    return STEP * (k + shift), slope * STEP**2 / curve

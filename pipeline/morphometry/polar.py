r"""A galaxy on a polar grid, where rotation is a shift."""

__all__ = [
    "LEAST_RATIO",
    "axis_ratio",
    "contrast",
    "directions",
    "harmonic",
    "polar",
    "ring_noise",
]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import inlined, inner, making

LEAST_RATIO = 0.3
r"""The least axis ratio that is taken for an inclination: disks are not thin."""

TAU = 2.0 * math.pi


@inner
def axis_ratio(q: float) -> float:  # pragma: no cover
    r"""Returns the axis ratio that a disk is deprojected with."""

    return min(max(q, LEAST_RATIO), 1.0)


@making
def directions(angles: int) -> NDArray[np.float64]:  # pragma: no cover
    r"""Returns the cosines and sines of equal steps around a circle, with shape `(A, 2)`."""

    out = np.empty((angles, 2))
    for k in range(angles):
        out[k, 0], out[k, 1] = math.cos(TAU * k / angles), math.sin(TAU * k / angles)

    return out


@making
def polar(
    image: NDArray[np.float64],
    mask: NDArray[np.bool_],
    x: float,
    y: float,
    q: float,
    theta: float,
    radii: NDArray[np.float64],
    around: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:  # pragma: no cover
    r"""Resamples an image on ellipses, in steps of the eccentric anomaly.

    The sample at the radius :math:`a` and the angle :math:`\varphi` lies at

    .. math:: \begin{pmatrix} x \\ y \end{pmatrix} + R_\theta
        \begin{pmatrix} a \cos \varphi \\ q a \sin \varphi \end{pmatrix}

    and is interpolated bilinearly. A thin disk that is round when seen from above and inclined
    by :math:`i` has :math:`q = \cos i`: on the grid it is deprojected, and :math:`\varphi` counts
    from its line of nodes. With `q = 1`, it is seen as on the sky, from `theta` on.
    Radii that grow by a factor make the grid log-polar, where a logarithmic spiral is a line.

    Arguments:
        image: The image, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.
        q: The axis ratio.
        theta: The angle of the major axis, in radians.
        radii: The semi-major axes of the rings, in pixels, with shape `(R)`.
        around: The cosine and sine of :math:`\varphi` of each sample of a ring, `(A, 2)`.

    Returns:
        The samples, zero where they are bad, with shape `(R, A)`, and whether each is bad, that
        is outside of the image or next to a masked pixel, with shape `(R, A)`.
    """

    rings, angles = radii.size, len(around)
    values, bad = np.zeros((rings, angles)), np.ones((rings, angles), np.bool_)
    cos, sin = math.cos(theta), math.sin(theta)
    for ring in range(rings):
        a, b = radii[ring], q * radii[ring]
        for k in range(angles):
            u, v = a * around[k, 0], b * around[k, 1]
            place = x + u * cos - v * sin, y + u * sin + v * cos
            value = _interpolated(image, mask, place)
            if not math.isnan(value):
                values[ring, k], bad[ring, k] = value, False

    return values, bad


@making
def ring_noise(
    sigma: float, values: NDArray[np.float64], bad: NDArray[np.bool_]
) -> NDArray[np.float64]:  # pragma: no cover
    r"""Returns the noise of a pixel in each ring, from that of the sky and of photons.

    Arguments:
        sigma: The noise of the sky.
        values: The variance that photons add, see :func:`polar`, with shape `(R, A)`.
        bad: Whether each is bad, with shape `(R, A)`.

    Returns:
        The standard deviations, with shape `(R)`. That of the sky where less than half of a ring
        is good.
    """

    out = np.empty(len(values))
    for ring in range(out.size):
        photons = _mean(values[ring], bad[ring])
        out[ring] = math.sqrt(sigma * sigma + (0.0 if math.isnan(photons) else photons))

    return out


@inlined
def _interpolated(
    image: NDArray, mask: NDArray, place: tuple[float, float]
) -> float:  # pragma: no cover
    r"""Returns an image between pixels, NaN outside of it and next to a masked one."""

    (px, py), (height, width) = place, image.shape
    if not (0.0 <= px <= width - 1 and 0.0 <= py <= height - 1):
        return np.nan
    j, i = min(int(px), max(width - 2, 0)), min(int(py), max(height - 2, 0))
    right, below = min(j + 1, width - 1), min(i + 1, height - 1)
    if mask[i, j] or mask[i, right] or mask[below, j] or mask[below, right]:
        return np.nan
    fx, fy = px - j, py - i
    above = (1.0 - fx) * image[i, j] + fx * image[i, right]
    under = (1.0 - fx) * image[below, j] + fx * image[below, right]

    return (1.0 - fy) * above + fy * under


@making
def harmonic(
    values: NDArray[np.float64], bad: NDArray[np.bool_], around: NDArray[np.float64], m: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:  # pragma: no cover
    r"""Returns the mean of each ring and one of its Fourier coefficients.

    .. math:: a_m + i b_m = \frac{2}{N} \sum_k (I_k - \langle I \rangle) e^{i m \varphi_k}

    over the :math:`N` samples that are not bad, so that :math:`I = I_0 (1 + A \cos m \varphi)`
    gives :math:`a_m = I_0 A`. What is bad is left out.

    Arguments:
        values: The samples, with shape `(R, A)`.
        bad: Whether each is bad, with shape `(R, A)`.
        around: See :func:`directions`.
        m: The order, from 1 to :math:`A`.

    Returns:
        The means, the cosine and the sine coefficients, each with shape `(R)`. NaN where less
        than half of a ring is good.
    """

    rings, angles = values.shape
    mean, a, b = np.empty(rings), np.empty(rings), np.empty(rings)
    for ring in range(rings):
        mean[ring] = _mean(values[ring], bad[ring])
        total_a, total_b, count = 0.0, 0.0, 0
        turn = 0
        for k in range(angles):
            if not bad[ring, k]:
                total_a += (values[ring, k] - mean[ring]) * around[turn, 0]
                total_b += (values[ring, k] - mean[ring]) * around[turn, 1]
                count += 1
            turn += m if turn + m < angles else m - angles
        a[ring] = 2.0 * total_a / count if count else np.nan
        b[ring] = 2.0 * total_b / count if count else np.nan

    return mean, a, b


@making
def contrast(
    values: NDArray[np.float64], bad: NDArray[np.bool_], floor: float
) -> NDArray[np.float64]:  # pragma: no cover
    r"""Returns :math:`I / \langle I \rangle - 1`, ring by ring.

    Arguments:
        values: The samples, with shape `(R, A)`.
        bad: Whether each is bad, with shape `(R, A)`.
        floor: The least mean that a ring is divided by.

    Returns:
        The contrast, with shape `(R, A)`. Zero where a sample is bad, in rings of which less than
        half is good, and in rings whose mean is not positive.
    """

    rings, angles = values.shape
    out = np.zeros((rings, angles))
    for ring in range(rings):
        mean = _mean(values[ring], bad[ring])
        if not mean > 0.0:
            continue
        scale = max(mean, floor)
        for k in range(angles):
            if not bad[ring, k]:
                out[ring, k] = (values[ring, k] - mean) / scale

    return out


@inner
def _mean(values: NDArray[np.float64], bad: NDArray[np.bool_]) -> float:  # pragma: no cover
    r"""Returns the mean of a ring, NaN if less than half of it is good."""

    total, count = 0.0, 0
    for k in range(values.size):
        if not bad[k]:
            total += values[k]
            count += 1

    return total / count if 2 * count >= values.size and count > 0 else np.nan

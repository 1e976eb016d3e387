r"""Gradients that have no opposite on the other side of a galaxy."""

__all__ = ["MODULUS", "PHASE", "gradient_pattern"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner
from pipeline.morphometry.flags import NO_SOURCE, UNDEFINED

MODULUS = 0.01
r"""The share of the steepest gradient by which two lengths may differ and still be equal."""

PHASE = 0.01
r"""The angle by which two gradients may miss opposite directions, in radians."""

LEAST = math.cos(PHASE)
r"""The least cosine of that angle."""


@entry
def gradient_pattern(
    image: NDArray[np.float64],
    mask: NDArray[np.bool_],
    segment: NDArray[np.bool_],
    x: float,
    y: float,
) -> tuple[float, int]:  # pragma: no cover
    r"""Measures the second moment of the gradient pattern of a galaxy, :math:`G_2`.

    Each of the :math:`V` pixels whose four neighbours belong to the galaxy has a gradient, the
    central difference. A pair of pixels opposite with respect to the centre is symmetric, and
    left out, if its gradients are as long and point in opposite directions, both within the
    tolerances; so is a gradient that is shorter than the tolerance. With the :math:`V_A` that
    are left,

    .. math:: G_2 = \frac{V_A}{V} \left( 2 - \frac{|\sum v_i|}{\sum |v_i|} \right)

    from 0 where all is symmetric to 2 where nothing is and gradients point everywhere. A pixel
    without an opposite one in the galaxy is not symmetric. The form and the tolerances are those
    of CyMorph 2.0; there the centre is a pixel and the contour is left out of :math:`V` only,
    here the centre is rounded to half a pixel and the contour has no gradient. Both tolerances
    are far below the noise of most images: at low S/N, :math:`G_2` counts the noise.

    References:
        | Gradient Pattern Analysis Applied to Galaxy Morphology (Rosa et al., 2018)
        | https://arxiv.org/abs/1803.10853

        | Machine and Deep Learning Applied to Galaxy Morphology (Barchi et al., 2020)
        | https://arxiv.org/abs/1901.07047

    Arguments:
        image: The image, sky subtracted, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        segment: Whether each pixel belongs to the galaxy, with shape `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.

    Returns:
        :math:`G_2` and flags. No formula is known for an error. It is 0 where all is flat or
        symmetric, and NaN without a gradient.
    """

    along, across = np.full(image.shape, np.nan), np.full(image.shape, np.nan)
    pixels, steepest = _gradients(image, mask, segment, along, across)
    if pixels == 0:
        return np.nan, UNDEFINED if segment.any() else NO_SOURCE
    if not (math.isfinite(x) and math.isfinite(y)):
        return np.nan, UNDEFINED

    left, total, sum_x, sum_y = _asymmetric(along, across, x, y, MODULUS * steepest)
    if left == 0:
        return 0.0, 0

    return left / pixels * (2.0 - math.sqrt(sum_x * sum_x + sum_y * sum_y) / total), 0


@inner
def _asymmetric(
    along: NDArray, across: NDArray, x: float, y: float, tolerance: float
) -> tuple[int, float, float, float]:  # pragma: no cover
    r"""Returns how many gradients are left, the sum of their lengths, and their sum."""

    column, row = int(math.floor(2.0 * x + 0.5)), int(math.floor(2.0 * y + 0.5))
    left, total, sum_x, sum_y = 0, 0.0, 0.0, 0.0
    for i in range(1, along.shape[0] - 1):
        for j in range(1, along.shape[1] - 1):
            gx, gy = along[i, j], across[i, j]
            length = math.sqrt(gx * gx + gy * gy)
            if not length > tolerance:  # nor where there is none
                continue
            hx, hy = _at(along, row - i, column - j), _at(across, row - i, column - j)
            if not _opposite(gx, gy, hx, hy, tolerance):
                left, total = left + 1, total + length
                sum_x, sum_y = sum_x + gx, sum_y + gy

    return left, total, sum_x, sum_y


@inner
def _at(image: NDArray[np.float64], i: int, j: int) -> float:  # pragma: no cover
    r"""Returns a pixel, NaN outside of the image."""

    inside = 0 <= i < image.shape[0] and 0 <= j < image.shape[1]

    return image[i, j] if inside else np.nan


@inner
def _gradients(
    image: NDArray[np.float64],
    mask: NDArray[np.bool_],
    segment: NDArray[np.bool_],
    along: NDArray[np.float64],
    across: NDArray[np.float64],
) -> tuple[int, float]:  # pragma: no cover
    r"""Fills in the gradients; returns how many there are, and the length of the longest."""

    pixels, steepest = 0, 0.0
    for i in range(1, image.shape[0] - 1):
        for j in range(1, image.shape[1] - 1):
            if not (segment[i, j] and segment[i - 1, j] and segment[i + 1, j]):
                continue
            if not (segment[i, j - 1] and segment[i, j + 1]) or mask[i, j]:
                continue
            if mask[i - 1, j] or mask[i + 1, j] or mask[i, j - 1] or mask[i, j + 1]:
                continue
            gx = 0.5 * (image[i, j + 1] - image[i, j - 1])
            gy = 0.5 * (image[i + 1, j] - image[i - 1, j])
            along[i, j], across[i, j] = gx, gy
            steepest = max(steepest, math.sqrt(gx * gx + gy * gy))
            pixels += 1

    return pixels, steepest


@inner
def _opposite(
    gx: float, gy: float, hx: float, hy: float, tolerance: float
) -> bool:  # pragma: no cover
    r"""Returns whether two gradients cancel; never if one is NaN."""

    first, second = math.sqrt(gx * gx + gy * gy), math.sqrt(hx * hx + hy * hy)

    return abs(first - second) <= tolerance and -(gx * hx + gy * hy) >= LEAST * first * second

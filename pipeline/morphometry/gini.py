r"""How unevenly light is shared among pixels: the Gini coefficient, and its segment."""

__all__ = ["gini", "gini_segment", "sn_per_pixel", "with_zeros"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry import flags, geometry
from pipeline.morphometry.compiled import entry, making
from pipeline.morphometry.grain import Grain
from pipeline.morphometry.pieces import gaussian, piece
from pipeline.morphometry.unfolding import folded

SMOOTHING = 0.2
r"""The standard deviation of the smoothing, in Petrosian radii."""

RING = 1.0
r"""The width of the annulus that gives the threshold, in pixels along its major axis."""

LEAST = 2.5
r"""The signal to noise per pixel below which statistics are not to be trusted."""


@entry
def gini_segment(
    image: NDArray[np.float64],
    x: float,
    y: float,
    a: float,
    q: float,
    theta: float,
    parity: bool,
) -> tuple[NDArray[np.bool_], int]:  # pragma: no cover
    r"""Finds the pixels of a galaxy as far out as its Petrosian ellipse is bright.

    The image is smoothed by a Gaussian of :math:`\sigma = r_p / 5`. The threshold is the sum of
    the smooth image over an elliptical annulus one pixel wide at :math:`r_p`, over the area of
    this annulus, be it inside of the image or not. Pixels not fainter than it that are connected
    with the brightest smooth one are the segment.

    References:
        | A New Nonparametric Approach to Galaxy Morphological Classification (Lotz et al., 2004)
        | https://doi.org/10.1086/421849

    Arguments:
        image: The stamp, masked pixels being 0, with shape `(H, W)`.
        x: The column of the centre of the annulus, the centroid of the light.
        y: Its row.
        a: The Petrosian semi-major axis :math:`r_p`, in pixels.
        q: The axis ratio.
        theta: The angle of the major axis, in radians.
        parity: Whether the Gaussian is the one of statmorph, cut at four standard deviations.
            If not, a wide one is recursive.

    Returns:
        The segment, with shape `(H, W)`, and flags: it is one of several pieces; the annulus is
        brighter than any pixel, or the radius is none, and the segment is empty; every pixel is
        brighter, and it is all of the stamp.
    """

    empty = np.zeros(image.shape, np.bool_)
    # So wide a Gaussian would be flat
    if not (0.0 < a <= 10.0 * (image.shape[0] + image.shape[1]) and 0.0 < q < np.inf):
        return empty, flags.UNDEFINED
    if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(theta)):
        return empty, flags.UNDEFINED
    smooth = gaussian(image, SMOOTHING * a, False, parity)
    outer, inner = a + RING / 2, max(a - RING / 2, 0.0)
    # Nothing is masked: no one knows what would be under a smooth mask
    light = geometry.flux(smooth, empty, x, y, outer, q, theta)[0]
    light -= geometry.flux(smooth, empty, x, y, inner, q, theta)[0]
    above = smooth >= light / (math.pi * q * (outer**2 - inner**2))
    count = above.sum()
    if count == 0:
        return above, flags.UNDEFINED
    if count == above.size:
        return above, flags.LOW_SIGNAL | flags.EDGE

    brightest = smooth.argmax()
    segment = piece(above, brightest // image.shape[1], brightest % image.shape[1])

    return segment, flags.SEVERAL_PIECES if segment.sum() < count else 0


@entry
def gini(
    image: NDArray[np.float64],
    sigma: NDArray[np.float64],
    order: NDArray[np.int64],
    alike: Grain,
) -> tuple[float, float, int]:  # pragma: no cover
    r"""Measures how unevenly the light of a segment is shared among its pixels.

    With the :math:`n` absolute values :math:`X_1 \le \dots \le X_n`,

    .. math:: G = \frac{\sum_i (2 i - n - 1) X_i}{(n - 1) \sum_i X_i}, \quad
        \sigma_G^2 = \frac{\sum_i \left( \frac{2 i - n - 1}{n - 1} - G \right)^2
        f_i \sigma_i^2}{\left( \sum_i X_i \right)^2}

    The uncertainty is that of noise which does not move the segment. Of its variance, the
    absolute value leaves :math:`f`, from :math:`1 - 2 / \pi` where there is only noise to 1 where
    the sign is sure, and more if the noise of neighbours is alike. Noise also makes faint pixels
    uneven: this bias is not in it.

    References:
        | A New Approach to Galaxy Morphology (Abraham et al., 2003)
        | https://doi.org/10.1086/373919
        | A New Nonparametric Approach to Galaxy Morphological Classification (Lotz et al., 2004)
        | https://doi.org/10.1086/421849

    Arguments:
        image: The stamp, with shape `(H, W)`, contiguous.
        sigma: The noise of each pixel, with shape `(H, W)`, contiguous.
        order: The pixels of the segment, faintest first: see :func:`pieces.ascending`.
        alike: How much the noise of neighbours is alike.

    Returns:
        The coefficient, 0 for a flat patch and 1 for one lit pixel; its uncertainty; flags. NaN
        if there are less than two pixels or no light.
    """

    values, noise = image.ravel(), sigma.ravel()
    n = order.size
    total, weighted = 0.0, 0.0
    ranked = _by_magnitude(values, order)
    for k in range(n):
        magnitude = abs(values[ranked[k]])
        total += magnitude
        weighted += (2 * k + 1 - n) * magnitude
    if n < 2 or not total > 0.0:
        return np.nan, np.nan, flags.UNDEFINED

    value = weighted / (n - 1) / total
    variance = 0.0
    for k in range(n):
        share = folded(values[ranked[k]], noise[ranked[k]], alike)
        change = ((2 * k + 1 - n) / (n - 1) - value) * (noise[ranked[k]] / total)
        variance += share * change**2

    return value, math.sqrt(variance), 0


def with_zeros(value: float, error: float, seen: int, pixels: int) -> tuple[float, float]:
    r"""Returns what masked pixels make of a Gini coefficient if they are taken for zeros.

    .. math:: G = \frac{(m - 1) G_m + n - m}{n - 1}

    Arguments:
        value: The coefficient :math:`G_m` of the pixels that are not masked.
        error: Its uncertainty.
        seen: Their number :math:`m`.
        pixels: The number :math:`n` of all pixels.

    Example:
        >>> with_zeros(0.5, 0.25, 17, 33)
        (0.75, 0.125)
    """

    if pixels < 2:
        return math.nan, math.nan
    share = (seen - 1) / (pixels - 1)

    return share * value + (pixels - seen) / (pixels - 1), share * error


@making
def _by_magnitude(values: NDArray, order: NDArray) -> NDArray:  # pragma: no cover
    r"""Sorts sorted pixels by magnitude: from where the sign changes, to both sides."""

    upper = 0
    while upper < order.size and values[order[upper]] < 0.0:
        upper += 1
    lower = upper - 1
    out = np.empty_like(order)
    for k in range(order.size):
        above = np.inf if upper == order.size else values[order[upper]]
        below = np.inf if lower < 0 else -values[order[lower]]
        if above <= below and upper < order.size:
            out[k] = order[upper]
            upper += 1
        else:
            out[k] = order[lower]
            lower -= 1

    return out


@entry
def sn_per_pixel(
    image: NDArray[np.float64], sigma: NDArray[np.float64], segment: NDArray[np.bool_]
) -> tuple[float, float, int]:  # pragma: no cover
    r"""Averages the signal over the noise, over the pixels that are not negative.

    .. math:: \langle S / N \rangle = \frac{1}{n} \sum_i \frac{I_i}{\sigma_i}, \quad
        I_i \ge 0, \sigma_i > 0

    References:
        | A New Nonparametric Approach to Galaxy Morphological Classification (Lotz et al., 2004)
        | https://doi.org/10.1086/421849

    Arguments:
        image: The stamp, with shape `(H, W)`.
        sigma: The noise of each pixel, 0 where masked, with shape `(H, W)`.
        segment: The pixels of the galaxy, with shape `(H, W)`.

    Returns:
        The signal to noise of a pixel; its uncertainty, :math:`n^{-1/2}`; flags: it is less than
        the 2.5 below which Lotz et al. trust neither :math:`A`, :math:`S`, :math:`G` nor
        :math:`M_{20}`. NaN if no pixel counts.
    """

    total, count = 0.0, 0
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            if segment[i, j] and image[i, j] >= 0.0 and sigma[i, j] > 0.0:
                total += image[i, j] / sigma[i, j]
                count += 1
    if count == 0:
        noisy = flags.LOW_SIGNAL if sigma.max() > 0.0 else 0
        return np.nan, np.nan, noisy | flags.UNDEFINED

    return total / count, 1.0 / math.sqrt(count), flags.LOW_SIGNAL if total < LEAST * count else 0

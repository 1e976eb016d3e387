r"""How far a galaxy reaches above its sky: the segment of the shape asymmetry."""

__all__ = ["outline", "reach"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry import flags
from pipeline.morphometry.compiled import entry, inner, making
from pipeline.morphometry.pieces import ascending, boxcar, piece
from pipeline.morphometry.stamp import reaches_edge

INNER = 2.0
r"""The inner radius of the sky annulus, in Petrosian radii. The outer one is twice as much."""

LEAST = 32**2
r"""The least number of sky pixels in the annulus."""

CLIP = 3.0
r"""Sky pixels further than this from their mode, in standard deviations, are left out."""

ROUNDS = 10
r"""How often, at most, the sky is clipped about its median, to find its mode."""

ROUNDING = 1e-12
r"""What running sums leave of nothing, in units of the brightest pixel."""

BOXCAR = 3
r"""The side of the squares over which the image is averaged, in pixels."""


@entry
def outline(
    image: NDArray[np.float64],
    mask: NDArray[np.bool_],
    segment: NDArray[np.bool_],
    sky: tuple[NDArray[np.float64], float],
    x: float,
    y: float,
    a: float,
    parity: bool,
) -> tuple[NDArray[np.bool_], int]:  # pragma: no cover
    r"""Finds the pixels of a galaxy that stand out of the sky around it.

    The sky are the pixels whose centres are at 2 to 4 Petrosian radii; their mode is

    .. math:: m = 2.5 \, \mathrm{median} - 1.5 \, \mathrm{mean}

    where median and mean are of those within three standard deviations of the median. Those
    further than three standard deviations :math:`s` from it are left out until none is, and the
    mode is then that of all that are left.
    Pixels of the image averaged over 3 x 3 that reach :math:`m + s` and are connected with the
    brightest are the segment. A sky of nothing but zeros is not of the galaxy; with parity it is.

    References:
        | Shape asymmetry: a morphological indicator for automatic detection of galaxies in the
            post-coalescence merger stages (Pawlik et al., 2016)
        | https://doi.org/10.1093/mnras/stv2878
        | SExtractor: Software for source extraction (Bertin & Arnouts, 1996), for the mode
        | https://doi.org/10.1051/aas:1996164

    Arguments:
        image: The stamp, masked pixels being 0, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        segment: The target's own pixels, with shape `(H, W)`.
        sky: Pixels of empty sky, for when less than 1024 are in the annulus, with shape `(N,)`.
            There may be none: then the noise of a pixel, which follows, is the threshold.
        x: The column of the centre of symmetry.
        y: Its row.
        a: The Petrosian semi-major axis, in pixels.
        parity: Whether all that reaches the threshold belongs to the galaxy, be it 0.

    Returns:
        The segment, with shape `(H, W)`, and flags: no sky (the segment is the target's own
        pixels), no pixel reaches the threshold (it is around the brightest one), or it reaches
        the edge.
    """

    around = _annulus(image, mask, x, y, INNER * a, 2 * INNER * a)
    empty, sigma = sky
    if around.size < LEAST:
        around = empty
    if around.size == 0 and math.isnan(sigma):
        return segment & ~mask, flags.NO_SKY

    mode, spread = _clipped(around) if around.size > 0 else (0.0, sigma)
    smooth = boxcar(image, BOXCAR)[:-1, :-1].copy()
    brightest = smooth.argmax()
    i, j = brightest // image.shape[1], brightest % image.shape[1]
    above = smooth >= mode + spread + (0.0 if parity else ROUNDING * abs(smooth[i, j]))
    found = 0 if above[i, j] else flags.LOW_SIGNAL
    above[i, j] = True
    shape = piece(above, i, j)

    return shape, found | (flags.EDGE if reaches_edge(shape) else 0)


@making
def _annulus(
    image: NDArray, mask: NDArray, x: float, y: float, inner: float, outer: float
) -> NDArray:  # pragma: no cover
    r"""Returns the pixels whose centres are in an annulus and that are not masked."""

    out, count = np.empty(image.size), 0
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            square = (j - x) ** 2 + (i - y) ** 2
            if inner**2 <= square < outer**2 and not mask[i, j]:
                out[count] = image[i, j]
                count += 1

    return out[:count]


@making
def _clipped(values: NDArray) -> tuple[float, float]:  # pragma: no cover
    r"""Returns the mode of the sky and its standard deviation, outliers left out.

    What is left is always a range of the sorted values. These are seen from one in the middle,
    lest sums lose digits on a high sky.
    """

    line = np.ascontiguousarray(values).reshape(1, -1)
    values = line.ravel()[ascending(line, np.ones(line.shape, np.bool_))]
    pivot = values[values.size // 2]
    values = values - pivot
    sums = np.zeros((2, values.size + 1))
    for k in range(values.size):
        sums[0, k + 1] = sums[0, k] + values[k]
        sums[1, k + 1] = sums[1, k] + values[k] ** 2
    first, last = 0, values.size
    while True:
        mean, median, spread = _moments(values, sums, first, last)
        centre = _mode(values, sums, first, last)
        low, high = _within(values, first, last, centre, CLIP * spread)
        if low >= high or high - low == last - first:
            return 2.5 * median - 1.5 * mean + pivot, spread
        first, last = low, high


@inner
def _mode(values: NDArray, sums: NDArray, first: int, last: int) -> float:  # pragma: no cover
    r"""Returns the mode of a range, itself clipped about the median, as photutils has it."""

    for _ in range(ROUNDS):
        mean, median, spread = _moments(values, sums, first, last)
        low, high = _within(values, first, last, median, CLIP * spread)
        if low >= high or high - low == last - first:
            break
        first, last = low, high
    mean, median, spread = _moments(values, sums, first, last)

    return 2.5 * median - 1.5 * mean


@inner
def _moments(
    values: NDArray, sums: NDArray, first: int, last: int
) -> tuple[float, float, float]:  # pragma: no cover
    r"""Returns the mean, the median and the standard deviation of a range of sorted values."""

    mean = (sums[0, last] - sums[0, first]) / (last - first)
    square = (sums[1, last] - sums[1, first]) / (last - first)
    median = (values[(first + last) // 2] + values[(first + last - 1) // 2]) / 2

    return mean, median, math.sqrt(max(square - mean**2, 0.0))


@inner
def _within(
    values: NDArray, first: int, last: int, centre: float, most: float
) -> tuple[int, int]:  # pragma: no cover
    r"""Returns the part of a range that is not too far from a value."""

    while first < last and values[first] < centre - most:
        first += 1
    while first < last and values[last - 1] > centre + most:
        last -= 1

    return first, last


@entry
def reach(
    shape: NDArray[np.bool_], x: float, y: float, q: float, theta: float
) -> tuple[float, float, int]:  # pragma: no cover
    r"""Measures how far the pixels of a segment are from the centre.

    .. math:: r_\mathrm{max} = \max_i \sqrt{u_i^2 + v_i^2 / q^2}

    with :math:`u` and :math:`v` along the axes of an ellipse, and with :math:`q = 1`.

    References:
        | Shape asymmetry: a morphological indicator for automatic detection of galaxies in the
            post-coalescence merger stages (Pawlik et al., 2016)
        | https://doi.org/10.1093/mnras/stv2878

    Arguments:
        shape: The segment, with shape `(H, W)`.
        x: The column of the centre of symmetry.
        y: Its row.
        q: The axis ratio.
        theta: The angle of the major axis, in radians.

    Returns:
        The largest distance and the largest semi-major axis, in pixels, and flags. NaN if the
        segment is empty; flagged too if both are 0.
    """

    cos, sin = math.cos(theta), math.sin(theta)
    circle, ellipse = -1.0, -1.0
    for i in range(shape.shape[0]):
        for j in range(shape.shape[1]):
            if shape[i, j]:
                dx, dy = j - x, i - y
                circle = max(circle, dx * dx + dy * dy)
                u, v = dx * cos + dy * sin, (dy * cos - dx * sin) / q
                ellipse = max(ellipse, u * u + v * v)
    if circle < 0.0:
        return np.nan, np.nan, flags.UNDEFINED

    return math.sqrt(circle), math.sqrt(ellipse), flags.UNDEFINED if circle == 0.0 else 0

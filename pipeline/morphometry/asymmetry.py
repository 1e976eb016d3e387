r"""How much a galaxy changes when it is turned by half a turn."""

__all__ = [
    "asymmetry",
    "centre",
    "outer_asymmetry",
    "rms_asymmetry2",
    "shape_asymmetry",
    "unbiased_asymmetry",
]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry import geometry
from pipeline.morphometry.compiled import entry, inner
from pipeline.morphometry.flags import CENTRE_DRIFTED, MASKED_CENTRE, UNDEFINED
from pipeline.morphometry.half_turn import residual, turned_variance
from pipeline.morphometry.search import Search, about, prepare
from pipeline.morphometry.simplex import minimize, simplex
from pipeline.morphometry.unfolding import unfolded

EXTENT = 1.5
r"""The radius within which the asymmetry is measured, in Petrosian radii."""

DRIFT = 0.25
r"""The largest distance of the centre from where its search began, in Petrosian radii."""

STEP = 0.4
r"""The first step of the search, relative to the largest distance."""

WALK = 16
r"""The largest number of steps of one size."""

XTOL = 0.01
r"""How near to the minimum the search ends, in pixels."""

FTOL = 1e-3
r"""How near to the minimum the search ends, in asymmetry."""


@entry
def centre(
    image: NDArray[np.float64],
    mask: NDArray[np.bool_],
    segment: NDArray[np.bool_],
    x: float,
    y: float,
    rpetro: float,
    sky: float,
    parity: bool,
) -> tuple[float, float, int, int]:  # pragma: no cover
    r"""Finds the point about which a galaxy is the least asymmetric.

    The asymmetry within a circle of 1.5 Petrosian radii, which moves with its centre, is
    minimized from the centroid. If the minimum is further than a quarter of the Petrosian
    radius, it is looked for again from the brightest pixel, and if it is then too far from
    that one, the centroid is taken.

    To the letter of statmorph, the first triangle of the simplex is 5 % of the coordinates
    wide, so that where the minimum is found depends on where the galaxy is in its stamp and on
    how it is oriented. Otherwise nothing does: see :func:`_descend`.

    References:
        | The Asymmetry of Galaxies: Physical Morphology for Nearby and High-Redshift Galaxies
          (Conselice, Bershady & Jangren, 2000)
        | https://doi.org/10.1086/308300

    Arguments:
        image: The image, zero where masked, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        segment: Whether each pixel is of the target, with shape `(H, W)`.
        x: The column of the centroid.
        y: The row of the centroid.
        rpetro: The Petrosian radius about the centroid, in pixels.
        sky: The asymmetry of a pixel of sky. Nothing is subtracted if NaN.
        parity: Whether to search as statmorph does.

    Returns:
        The column and the row of the centre, the number of centres tried, and flags. Where
        the centroid is outside or there is no radius, the centroid, undefined.
    """

    height, width = image.shape
    if not (rpetro > 0 and math.isfinite(rpetro) and 0 <= x < width and 0 <= y < height):
        return x, y, 0, UNDEFINED

    search = prepare(image, mask, EXTENT * rpetro, sky)
    flags, far = 0, DRIFT * rpetro
    px, py, calls = _descend(x, y, far, search, parity)
    if math.hypot(px - x, py - y) > far:
        flags |= CENTRE_DRIFTED
        bx, by = _brightest(image, segment)
        px, py, more = _descend(bx, by, far, search, parity)
        calls += more
        if math.hypot(px - bx, py - by) > far:
            px, py = x, y
    if parity:
        hidden = image[int(py), int(px)] == 0
    else:
        hidden = mask[min(int(py + 0.5), height - 1), min(int(px + 0.5), width - 1)]

    return px, py, calls, flags | (MASKED_CENTRE if hidden else 0)


@inner
def _descend(
    x: float, y: float, far: float, search: Search, parity: bool
) -> tuple[float, float, int]:  # pragma: no cover
    r"""Searches a minimum from a point; returns where it is and the number of points tried.

    To find the same in an image that is shifted by whole pixels, mirrored or turned, the best
    of the four neighbours at a step is taken as long as it is better, at two steps that are
    fractions of the Petrosian radius. The better ones of its neighbours then
    make the triangle of a simplex.
    """

    if parity:
        px, py, _, calls = minimize(search, simplex(x, y), 1e-6, 1e-4, 400)
        return px, py, calls

    beside = np.empty(4)
    best, calls = about(x, y, search), 1
    for step in (STEP * far, 0.5 * STEP * far):
        x, y, best, more = _walk(x, y, best, step, beside, search)
        calls += more
    start = np.array([[x, y], [x, y], [x, y]])
    start[1, 0] += step if beside[1] < beside[0] else -step
    start[2, 1] += step if beside[3] < beside[2] else -step
    px, py, _, more = minimize(search, start, XTOL, FTOL, 100)

    return px, py, calls + more


@inner
def _walk(
    x: float, y: float, best: float, step: float, beside: NDArray, search: Search
) -> tuple[float, float, float, int]:  # pragma: no cover
    r"""Goes to the best neighbour while it is better; tells the values beside the last point."""

    calls = 0
    for _ in range(WALK):
        for k in range(4):
            sign = step if k % 2 else -step
            u, v = (x + sign, y) if k < 2 else (x, y + sign)
            beside[k] = about(u, v, search)
        calls += 4
        k = int(np.argmin(beside))
        if beside[k] >= best:
            break
        best = beside[k]
        sign = step if k % 2 else -step
        x, y = (x + sign, y) if k < 2 else (x, y + sign)

    return x, y, best, calls


@inner
def _brightest(image: NDArray, segment: NDArray) -> tuple[float, float]:  # pragma: no cover
    r"""Returns the column and row of the brightest pixel, all but the target being zero."""

    row, column, most = 0, 0, -math.inf
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            value = image[i, j] if segment[i, j] else 0.0
            if value > most:
                row, column, most = i, j, value

    return float(column), float(row)


@entry
def asymmetry(
    image: NDArray[np.float64],
    difference: NDArray[np.float64],
    hidden: NDArray[np.bool_],
    x: float,
    y: float,
    rpetro: float,
    sky: float,
) -> tuple[float, int]:  # pragma: no cover
    r"""Measures the light that is not symmetric under half a turn.

    .. math:: A = \frac{\sum |I_{180} - I| - N a}{\sum |I|}

    over the :math:`N` pixels of the circle of 1.5 Petrosian radii, shares of pixels on its rim
    included, that are in the image and not masked on either side, :math:`a` being what noise
    gives on average. It is twice that of Conselice (2003).

    References:
        | A New Nonparametric Approach to Galaxy Morphological Classification
          (Lotz, Primack & Madau, 2004)
        | https://doi.org/10.1086/421849

    Arguments:
        image: The image, zero where masked, with shape `(H, W)`.
        difference: The difference from the turned image, with shape `(H, W)`.
        hidden: Whether it is left out, with shape `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.
        rpetro: The Petrosian radius about the centroid, in pixels.
        sky: The asymmetry of a pixel of sky. Nothing is subtracted if NaN.

    Returns:
        The asymmetry, negative if less than that of the sky, and flags. NaN without light.
    """

    radius = EXTENT * rpetro
    total = geometry.flux(np.abs(image), hidden, x, y, radius, 1.0, 0.0)[0]
    change, area = geometry.flux(np.abs(difference), hidden, x, y, radius, 1.0, 0.0)
    if not total > 0:
        return math.nan, UNDEFINED

    return (change - (0.0 if math.isnan(sky) else area * sky)) / total, 0


@entry
def rms_asymmetry2(
    image: NDArray[np.float64],
    difference: NDArray[np.float64],
    hidden: NDArray[np.bool_],
    x: float,
    y: float,
    rpetro: float,
    sigma: float,
) -> tuple[float, int]:  # pragma: no cover
    r"""Measures the square of the rms asymmetry, which noise does not bias.

    .. math:: A_\text{rms}^2 = \frac{\sum (I_{180} - I)^2 - 2 N \sigma^2}
        {\sum I^2 - N \sigma^2}

    Of interpolated noise less than :math:`2 \sigma^2` is left, which is ignored here.

    References:
        | RMS Asymmetry: A Robust Metric of Galaxy Shapes in Images with Varied Depth and
          Resolution (Sazonova et al., 2024)
        | https://arxiv.org/abs/2404.05792

    Arguments:
        image: The image, zero where masked, with shape `(H, W)`.
        difference: The difference from the turned image, with shape `(H, W)`.
        hidden: Whether it is left out, with shape `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.
        rpetro: The Petrosian radius about the centroid, in pixels.
        sigma: The standard deviation of a pixel. Nothing is subtracted if NaN.

    Returns:
        The squared asymmetry and flags. NaN without light.
    """

    radius, variance = EXTENT * rpetro, 0.0 if math.isnan(sigma) else sigma**2
    total = geometry.flux(image**2, hidden, x, y, radius, 1.0, 0.0)[0]
    change, area = geometry.flux(difference**2, hidden, x, y, radius, 1.0, 0.0)
    if not total - area * variance != 0:
        return math.nan, UNDEFINED

    return (change - 2 * area * variance) / (total - area * variance), 0


@entry
def outer_asymmetry(
    image: NDArray[np.float64],
    difference: NDArray[np.float64],
    hidden: NDArray[np.bool_],
    inner: geometry.Aperture,
    outer: geometry.Aperture,
    sky: float,
) -> tuple[float, int]:  # pragma: no cover
    r"""Measures the asymmetry between the ellipse of half of the light and the outermost one.

    References:
        | Probing the Mass Assembly of Massive Nearby Galaxies with Deep Imaging
          (Wen, Zheng & An, 2014)
        | https://doi.org/10.1088/0004-637X/787/2/130

    Arguments:
        image: The image, zero where masked, with shape `(H, W)`.
        difference: The difference from the turned image, with shape `(H, W)`.
        hidden: Whether it is left out, with shape `(H, W)`.
        inner: The ellipse with half of the light.
        outer: The ellipse through the furthest pixel.
        sky: The asymmetry of a pixel of sky. Nothing is subtracted if NaN.

    Returns:
        The asymmetry and flags. NaN without light between, or without ellipses.
    """

    total, _ = _ring(np.abs(image), hidden, inner, outer)
    change, area = _ring(np.abs(difference), hidden, inner, outer)
    if not (0 < inner.a < outer.a and total > 0):
        return math.nan, UNDEFINED

    return (change - (0.0 if math.isnan(sky) else area * sky)) / total, 0


@inner
def _ring(
    image: NDArray, hidden: NDArray, inner: geometry.Aperture, outer: geometry.Aperture
) -> tuple[float, float]:  # pragma: no cover
    r"""Returns the sum between two ellipses and its area, where it is not hidden."""

    light, area = geometry.flux(image, hidden, outer.x, outer.y, outer.a, outer.q, outer.theta)
    core, hole = geometry.flux(image, hidden, inner.x, inner.y, inner.a, inner.q, inner.theta)

    return light - core, area - hole


@entry
def shape_asymmetry(
    shape: NDArray[np.bool_], mask: NDArray[np.bool_], x: float, y: float, radius: float
) -> tuple[float, int]:  # pragma: no cover
    r"""Measures the asymmetry of the outline of a galaxy, however bright its parts are.

    It is the asymmetry of a map of ones and zeros, which is interpolated like an image.

    References:
        | Shape Asymmetry: A Morphological Indicator for Automatic Detection of Galaxies in the
          Post-Coalescence Merger Stages (Pawlik et al., 2016)
        | https://doi.org/10.1093/mnras/stv2878

    Arguments:
        shape: The pixels of the galaxy, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.
        radius: The distance of the furthest pixel of the galaxy, in pixels.

    Returns:
        The asymmetry and flags. NaN without pixels in the circle.
    """

    if not (radius > 0 and math.isfinite(radius + x + y)):
        return math.nan, UNDEFINED
    ones = np.where(shape, 1.0, 0.0)
    difference, hidden = residual(ones, mask, x, y)

    return asymmetry(ones, difference, hidden, x, y, radius / EXTENT, 0.0)


@entry
def unbiased_asymmetry(
    image: NDArray[np.float64],
    difference: NDArray[np.float64],
    hidden: NDArray[np.bool_],
    noise: NDArray[np.float64],
    x: float,
    y: float,
    rpetro: float,
) -> tuple[float, float, float]:  # pragma: no cover
    r"""Estimates the asymmetry that the galaxy would have without noise, and errors.

    Noise is taken off the absolute differences in quadrature, see
    :func:`pipeline.morphometry.unfolding.unfolded`. That of a difference is the noise of the
    pixel and of the four that are interpolated,

    .. math:: s^2 = \sigma^2 + \sum_k w_k^2 \sigma_k^2

    which is 1.25 to 2 times :math:`\sigma^2` depending on the fractions of the centre: the
    difference of two pixels of sky, which are not interpolated, is too much. The light is the
    sum of the image, where negative noise counts as such. Both pixels of a pair share their
    noise. What the choice of the centre and the sky add to the errors is not in them.

    Arguments:
        image: The image, zero where masked, with shape `(H, W)`.
        difference: The difference from the turned image, with shape `(H, W)`.
        hidden: Whether it is left out, with shape `(H, W)`.
        noise: The standard deviation of each pixel, taken to be independent, `(H, W)`.
        x: The column of the centre.
        y: The row of the centre.
        rpetro: The Petrosian radius about the centroid, in pixels.

    Returns:
        The asymmetry, its standard error, and that of the plain asymmetry. NaN if the light
        is not positive.
    """

    radius = EXTENT * rpetro
    light = geometry.flux(image, hidden, x, y, radius, 1.0, 0.0)[0]
    total = geometry.flux(np.abs(image), hidden, x, y, radius, 1.0, 0.0)[0]
    if not light > 0:
        return math.nan, math.nan, math.nan

    sigma = np.sqrt(noise**2 + turned_variance(noise, x, y))
    left, variance, plain = unfolded(np.abs(difference), sigma, hidden, (x, y), (0.0, radius), 2.0)

    return left / light, math.sqrt(variance) / light, math.sqrt(plain) / total

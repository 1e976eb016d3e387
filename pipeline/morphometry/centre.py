r"""The centre about which a galaxy is the least asymmetric."""

__all__ = ["centre"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.asymmetry import EXTENT
from pipeline.morphometry.compiled import entry, inner, making
from pipeline.morphometry.flags import CENTRE_DRIFTED, MASKED_CENTRE, UNDEFINED
from pipeline.morphometry.search import Search, about, prepare
from pipeline.morphometry.simplex import minimize, refine, simplex

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
) -> tuple[float, float, int]:  # pragma: no cover
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
        The column and the row of the centre, and flags. Where the centroid is outside or there
        is no radius, the centroid, undefined.
    """

    height, width = image.shape
    if not (rpetro > 0 and math.isfinite(rpetro) and 0 <= x < width and 0 <= y < height):
        return x, y, UNDEFINED

    search = prepare(image, mask, EXTENT * rpetro, sky)
    flags, far = 0, DRIFT * rpetro
    px, py = _descend(x, y, far, search, parity)
    if math.hypot(px - x, py - y) > far:
        flags |= CENTRE_DRIFTED
        bx, by = _brightest(image, segment)
        px, py = _descend(bx, by, far, search, parity)
        if math.hypot(px - bx, py - by) > far:
            px, py = x, y
    if parity:
        hidden = image[int(py), int(px)] == 0
    else:
        hidden = mask[min(int(py + 0.5), height - 1), min(int(px + 0.5), width - 1)]

    return px, py, flags | (MASKED_CENTRE if hidden else 0)


@making
def _descend(
    x: float, y: float, far: float, search: Search, parity: bool
) -> tuple[float, float]:  # pragma: no cover
    r"""Searches a minimum from a point; returns where it is.

    To find the same in an image that is shifted by whole pixels, mirrored or turned, the best
    of the four neighbours at a step is taken as long as it is better, at two steps that are
    fractions of the Petrosian radius. The better ones of its neighbours then make the triangle
    of a simplex.
    """

    if parity:
        px, py, _, _ = minimize(search, simplex(x, y), 1e-6, 1e-4, 400)
        return px, py

    beside = np.empty(4)
    best = about(x, y, search)
    for step in (STEP * far, 0.5 * STEP * far):
        x, y, best = _walk(x, y, best, step, beside, search)
    right, below = beside[1] < beside[0], beside[3] < beside[2]
    start, values = np.array([[x, y], [x, y], [x, y]]), np.array([best, 0.0, 0.0])
    start[1, 0] += step if right else -step
    start[2, 1] += step if below else -step
    values[1], values[2] = beside[int(right)], beside[2 + int(below)]
    px, py, _, _ = refine(search, start, values, XTOL, FTOL, 100)

    return px, py


@inner
def _walk(
    x: float, y: float, best: float, step: float, beside: NDArray, search: Search
) -> tuple[float, float, float]:  # pragma: no cover
    r"""Goes to the best neighbour while it is better; tells the values beside the last point."""

    behind = -1  # the neighbour it came from, of which the value is known
    for move in range(WALK + 1):
        for k in range(4):
            if k != behind:
                sign = step if k % 2 else -step
                u, v = (x + sign, y) if k < 2 else (x, y + sign)
                beside[k] = about(u, v, search)
        k = int(np.argmin(beside))
        if beside[k] >= best or move == WALK:
            break
        behind = k ^ 1
        best, beside[behind] = beside[k], best
        sign = step if k % 2 else -step
        x, y = (x + sign, y) if k < 2 else (x, y + sign)

    return x, y, best


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

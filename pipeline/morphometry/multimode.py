r"""How many parts a galaxy has: the multimode statistic."""

__all__ = ["multimode"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry import flags
from pipeline.morphometry.compiled import entry, inner, making
from pipeline.morphometry.forest import forest, merge, positive, rimmed, touching

STEP = 0.02
r"""The coarsest step in which quantiles are tried."""

CALLS = 200
r"""The most energies that a simplex asks for."""

CLOSE = 1e-4
r"""How near the two points of a simplex, and their energies, are in the end."""

DRAWS = (
    (0.5488135039273248, 0.7151893663724195),
    (0.6027633760716439, 0.5448831829968969),
    (0.4236547993389047, 0.6458941130666561),
    (0.4375872112626925, 0.8917730007820798),
    (0.9636627605010293, 0.3834415188257777),
)
r"""What `numpy.random.RandomState(0)` draws for the moves of statmorph, and to accept them."""


@entry
def multimode(
    image: NDArray[np.float64],
    inside: NDArray[np.bool_],
    order: NDArray[np.int64],
) -> tuple[float, int]:  # pragma: no cover
    r"""Compares the areas of the two largest parts, at the level where they are most equal.

    Pixels that reach a level fall into pieces, the largest ones of :math:`A_1 \ge A_2` pixels.

    .. math:: M = \frac{A_2}{A_1} \quad \mathrm{where} \quad \frac{A_2^2}{A_1}
        \quad \mathrm{is\ largest}

    The areas are known at all levels: pixels are added one by one, brightest first, to pieces
    that grow and merge. The levels that are looked at are those of statmorph, by chance but
    always the same ones, which may miss the largest value: among all levels, bright galaxies
    fall into two pixels somewhere.

    References:
        | New Image Statistics for Detecting Disturbed Galaxy Morphologies at High Redshift
            (Freeman et al., 2013)
        | https://doi.org/10.1093/mnras/stt1016
        | Beyond spheroids and discs: classifications of CANDELS galaxy structure at 1.4 < z < 2
            via principal component analysis (Peth et al., 2016)
        | https://doi.org/10.1093/mnras/stw252

    Arguments:
        image: The stamp, with shape `(H, W)`, contiguous.
        inside: The segment of :func:`mid_segment`, with shape `(H, W)`, contiguous.
        order: The target's own pixels, not masked, faintest first: see
            :func:`pieces.ascending`.

    Returns:
        The statistic, from 0 (one piece at all levels) to 1, and flags. NaN if no pixel is
        positive.
    """

    values, flat = image.ravel(), inside.ravel()
    ranked = positive(values, order)
    kept = np.empty_like(ranked)
    count = 0
    for p in ranked:
        kept[count] = p
        count += flat[p]
    ranked = kept[:count]
    if count == 0:
        return np.nan, flags.UNDEFINED
    first, second = _areas(values, ranked, image.shape)
    total = 0.0
    for p in ranked:
        total += values[p]
    k = order.size - 1 - _searched(first, second, order.size, total)
    if k >= count:
        return 0.0, 0

    return second[k] / first[k], 0


@making
def _areas(
    values: NDArray, ranked: NDArray, shape: tuple[int, int]
) -> tuple[NDArray, NDArray]:  # pragma: no cover
    r"""Returns the areas of the two largest pieces, as fainter pixels are added."""

    height, width = shape
    parent, area = forest(height, width)
    around = np.empty(8, np.int64)
    pieces = np.zeros(ranked.size + 1, np.int64)  # how many there are of each area
    first, second = np.zeros_like(ranked), np.zeros_like(ranked)
    largest, next_one, start = 0, 0, 0
    for k in range(ranked.size):
        p = rimmed(ranked[k], width)
        roots = around[: touching(parent, p, width + 2, around)]
        for r in roots:
            pieces[area[r]] -= 1
        new = area[merge(parent, area, p, roots)]
        pieces[new] += 1
        largest, next_one = _two_largest(pieces, largest, next_one, new)
        if k + 1 == ranked.size or values[ranked[k + 1]] < values[ranked[k]]:
            first[start : k + 1], second[start : k + 1] = largest, next_one
            start = k + 1

    return first, second


@inner
def _two_largest(
    pieces: NDArray, largest: int, next_one: int, new: int
) -> tuple[int, int]:  # pragma: no cover
    r"""Returns the two largest areas. The second falls as often as it has grown, at most."""

    if new > largest:
        if pieces[largest] > 0:
            next_one = largest
        largest = new
    elif pieces[largest] > 1 or new == largest:
        next_one = largest if pieces[largest] > 1 else next_one
    else:
        next_one = max(next_one, new)
    while next_one > 0 and pieces[next_one] <= (next_one == largest):
        next_one -= 1

    return largest, next_one


@inner
def _searched(
    first: NDArray, second: NDArray, count: int, total: float
) -> int:  # pragma: no cover
    r"""Returns the rank at which statmorph's random search ends, from the faint end.

    It begins with even steps, refined until there are two pieces, and goes on by basin hopping:
    five random moves, each followed by a simplex and accepted by its energy and a draw.
    """

    start, least, step = _stepped(first, second, count, total)
    if not least < 0.0:
        return -1
    x, energy, fine = _simplex(start, first, second, count, total)
    best, best_energy, best_fine = x, energy, fine
    cold, accepted = 1.0 / (-0.5 * least), 0
    for move in range(len(DRAWS)):
        if move == 4:
            step = step / 0.9 if accepted / 5 > 0.5 else step * 0.9
        there = x + (2 * step * DRAWS[move][0] - step)
        there, new, good = _simplex(there, first, second, count, total)
        chance = math.exp(min(0.0, -(new - energy) * cold))
        if chance >= DRAWS[move][1] and (good or not fine):
            x, energy, fine = there, new, good
            accepted += 1
            if good and (new < best_energy or not best_fine):
                best, best_energy, best_fine = there, new, good

    return int(best * (count - 1)) if 0.0 <= best <= 1.0 else -1


@inner
def _stepped(
    first: NDArray, second: NDArray, count: int, total: float
) -> tuple[float, float, float]:  # pragma: no cover
    r"""Returns the best of even steps, its energy, and the step at which there are two pieces."""

    step, start, least = 2 * STEP, 0.0, 0.0
    while step >= 1e-3:
        step /= 2
        start, least = 0.0, total
        for k in range(math.ceil(1.0 / step)):
            energy = _energy(k * step, first, second, count, total)
            if energy < least:
                start, least = k * step, energy
        if least < 0.0:
            break

    return start, least, step


@inner
def _energy(
    q: float, first: NDArray, second: NDArray, count: int, total: float
) -> float:  # pragma: no cover
    r"""Returns how bad a quantile is: the flux of the segment if it leaves one piece."""

    if q < 0.0 or q > 1.0:
        return total
    k = count - 1 - int(q * (count - 1))
    if k >= first.size or second[k] == 0:
        return total

    return -(float(second[k]) ** 2) / first[k]


@inner
def _simplex(
    x: float, first: NDArray, second: NDArray, count: int, total: float
) -> tuple[float, float, bool]:  # pragma: no cover
    r"""Minimizes the energy from a quantile on, by a simplex of two points.

    References:
        | A Simplex Method for Function Minimization (Nelder & Mead, 1965)
        | https://doi.org/10.1093/comjnl/7.4.308
    """

    worst = 1.05 * x if x != 0.0 else 0.00025
    f = _energy(x, first, second, count, total)
    f_worst = _energy(worst, first, second, count, total)
    calls = 2
    while calls < CALLS:
        if f_worst < f:
            x, worst, f, f_worst = worst, x, f_worst, f
        if abs(worst - x) <= CLOSE and abs(f_worst - f) <= CLOSE:
            break
        there = 2 * x - worst
        f_there = _energy(there, first, second, count, total)
        beyond = f_there < f  # it goes further; if not, it comes back to either side
        if beyond:
            other = 3 * x - 2 * worst
        else:
            other = 1.5 * x - 0.5 * worst if f_there < f_worst else 0.5 * x + 0.5 * worst
        f_other = _energy(other, first, second, count, total)
        calls += 2
        if beyond and not f_other < f_there:
            worst, f_worst = there, f_there
        elif beyond or f_other < f_worst and (f_there >= f_worst or f_other <= f_there):
            worst, f_worst = other, f_other
        else:
            worst = x + 0.5 * (worst - x)
            f_worst = _energy(worst, first, second, count, total)
            calls += 1

    return x, f, calls < CALLS

r"""How far our measurements are from those of statmorph, by statistic and signal to noise.

Both are given the same images and maps of sources. With `parity` each measures the sky by
itself, with `fast` we are given the sky that statmorph found. Columns are, for each range of the
signal to noise per pixel, the median and the 99th percentile of the difference; the percentage
of galaxies outside of the tolerance; and that percentage for statmorph itself, between a galaxy
and the same one turned or flipped, on the same sky and on the one that it then finds. A second
table of the fast mode has the galaxies of which both found the same minimum of the asymmetry.
"""

__all__ = ["STATISTICS", "Pair", "Row", "compare", "main", "rows"]

import math
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import options, write_json
from benchmarks.peers import Galaxy, draw, turned, with_statmorph
from benchmarks.samples import REAL, real, simulated
from pipeline.morphometry import MEASURED, Morphology, measure
from pipeline.morphometry.geometry import Aperture
from pipeline.morphometry.gini import gini_segment
from pipeline.morphometry.mid import mid_segment
from pipeline.morphometry.outline import outline
from pipeline.morphometry.pieces import ascending
from pipeline.morphometry.psf import NONE
from pipeline.morphometry.sersic import sersic
from pipeline.morphometry.skybox import skybox
from pipeline.morphometry.stamp import bounds, stamp, weights

Mode = Literal["fast", "parity"]

EDGES = (0.0, 2.5, 5.0, 10.0, math.inf)
r"""The ranges of the signal to noise per pixel. Below 2.5, Lotz et al. (2004) trust nothing."""

MODES: tuple[Mode, ...] = ("parity", "fast")
KINDS = ("ours", "same", "own")

FLAGGED = 2
r"""The flag from which on statmorph calls its own measurements bad."""

NEAR = 0.05
r"""The distance of centres that are the same minimum of the asymmetry, in pixels."""

EXACT = 1e-6
r"""The relative tolerance of parity."""

POINTS = ("sersic_n", "sersic_r_eff", "sersic_ellip")
r"""What is compared a second time, as fitted to the centres of pixels."""

RADII = "rpetro_circ rpetro_ellip rmax_circ rmax_ellip rhalf_circ rhalf_ellip r20 r50 r80"


class Tolerance(NamedTuple):
    r"""How far a statistic of the fast mode may be away: the larger one of two distances.

    Arguments:
        absolute: In the unit of the statistic.
        relative: As a fraction of the statistic.
    """

    absolute: float
    relative: float = 0.0


STATISTICS = (
    {"concentration": Tolerance(0.01), "asymmetry": Tolerance(0.005)}
    | {"smoothness": Tolerance(0.005), "gini": Tolerance(0.005), "m20": Tolerance(0.02)}
    | dict.fromkeys(RADII.split(), Tolerance(0.05, 0.01))
    | {"deviation": Tolerance(0.005), "ellipticity": Tolerance(0.005)}
    | dict.fromkeys(("sersic_n", "sersic_n_points"), Tolerance(0.0, 0.01))
    | dict.fromkeys(("sersic_ellip", "sersic_ellip_points"), Tolerance(0.005))
    # The others have no agreed tolerance: these are of the same kind
    | dict.fromkeys(("shape_asymmetry", "outer_asymmetry", "rms_asymmetry2"), Tolerance(0.005))
    | dict.fromkeys(("intensity", "multimode"), Tolerance(0.005))
    | {"gini_m20_bulge": Tolerance(0.03), "gini_m20_merger": Tolerance(0.006)}
    | dict.fromkeys(("flux_circ", "flux_ellip", "sn_per_pixel"), Tolerance(0.0, 0.01))
    | dict.fromkeys(("sersic_r_eff", "sersic_r_eff_points"), Tolerance(0.05, 0.01))
    | dict.fromkeys(("sersic_amplitude", "sersic_chi2_dof"), Tolerance(0.0, 0.01))
    | dict.fromkeys(("x", "y", "sersic_x", "sersic_y"), Tolerance(0.05))
    | dict.fromkeys(("theta", "sersic_theta"), Tolerance(0.01))
    | dict.fromkeys(("x_centroid", "y_centroid"), Tolerance(0.05))
    | {"ellipticity_centroid": Tolerance(0.005), "theta_centroid": Tolerance(0.01)}
    | dict.fromkeys(("sersic_aic", "sersic_bic"), Tolerance(0.0, 0.01))
    | dict.fromkeys(("sky_mean", "sky_median", "sky_sigma"), Tolerance(0.0, 0.01))
    | dict.fromkeys(("pixels_gini", "pixels_mid", "pixels_shape"), Tolerance(0.01))
)
r"""Statistics, and the tolerance of the fast mode. The last three are the segments, whose
difference is the share of pixels that are in one of both only."""


class Seen(NamedTuple):
    r"""What is measured of a galaxy, and where it is in the image; see :func:`stamp`."""

    image: NDArray[np.float64]
    mask: NDArray[np.bool_]
    own: NDArray[np.bool_]
    taken: NDArray[np.bool_]
    top: int
    left: int


class Pair(NamedTuple):
    r"""One galaxy, measured by both. Differences are NaN without values, infinite with one only.

    Arguments:
        theirs: What statmorph measures.
        ours: How far our measurements are from it.
        same: How far statmorph is, when the galaxy is turned or flipped, on the same sky.
        own: The same, on the sky that it then finds.
        flagged: Whether statmorph calls its measurement bad.
    """

    theirs: dict[str, float]
    ours: dict[str, float]
    same: dict[str, float]
    own: dict[str, float]
    flagged: bool


@dataclass(frozen=True)
class Row:
    r"""One statistic in one range of signal to noise. Percentages of galaxies with both values.

    Arguments:
        sample: The galaxies.
        mode: `fast` or `parity`.
        statistic: Its name.
        sn: The range, `flagged` for what statmorph calls bad.
        galaxies: How many.
        median: The median of the difference, relative in parity and where the tolerance is.
        percentile: Its 99th percentile.
        outside: The percentage outside of the tolerance.
        same: That of statmorph on turned galaxies, on the same sky.
        own: The same, on its own sky.
        alone: For how many only one of both has a value.
    """

    sample: str
    mode: str
    statistic: str
    sn: str
    galaxies: int
    median: float
    percentile: float
    outside: float
    same: float
    own: float
    alone: int


def compare(galaxy: Galaxy, k: int) -> dict[Mode, Pair]:
    r"""Measures a galaxy on both sides, in both modes.

    Arguments:
        galaxy: The galaxy.
        k: The symmetry of the square by which statmorph is compared with itself.

    Returns:
        The comparison of each mode; empty where statmorph stops with an error.
    """

    theirs = with_statmorph(galaxy)
    if theirs is None:
        return {}
    values = _doubled(theirs.values)
    other, expected = turned(galaxy, values, k)
    same, own = (
        _differences(_doubled(again.values) if again else {}, expected)
        for again in (with_statmorph(other, theirs.sky), with_statmorph(other))
    )
    found: dict[Mode, Pair] = {}
    for mode in MODES:
        sky = MEASURED if mode == "parity" else theirs.sky
        one = measure(*galaxy[:3], gain=galaxy.gain, sky=sky, mode=mode)
        seen = _seen(galaxy)
        ours = _differences(one._asdict() | _points(galaxy, one, seen, mode), values)
        if theirs.segments:
            segments = _segments(one, seen, mode)
            ours |= {f"pixels_{k}": _apart(segments[k], theirs.segments[k]) for k in segments}
        found[mode] = Pair(values, ours, same, own, theirs.flag >= FLAGGED)

    return found


def near(pair: Pair) -> bool:
    r"""Says whether both have found the same minimum of the asymmetry."""

    return math.hypot(pair.ours["x"], pair.ours["y"]) <= NEAR


def _doubled(values: dict[str, float]) -> dict[str, float]:
    r"""Adds the Sersic fit a second time: for ours that compares the centres of pixels only."""

    return values | {f"{name}_points": values[name] for name in POINTS}


def _differences(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    found = {}
    for name, value in theirs.items():
        other = ours.get(name, math.nan)
        difference = abs(other - value)
        if "theta" in name:
            difference = abs((other - value + math.pi / 2) % math.pi - math.pi / 2)
        found[name] = math.inf if math.isnan(other) != math.isnan(value) else difference

    return found


def _seen(galaxy: Galaxy) -> Seen:
    r"""Cuts out what is measured of a galaxy."""

    top, bottom, left, right = bounds(galaxy.labels, galaxy.label)
    labels = np.ascontiguousarray(galaxy.labels[top:bottom, left:right])
    pixels = np.ascontiguousarray(galaxy.image[top:bottom, left:right])
    parts = stamp(pixels, labels, galaxy.label, np.zeros(labels.shape, np.bool_))

    return Seen(*parts, labels != 0, top, left)


def _points(galaxy: Galaxy, found: Morphology, seen: Seen, mode: Mode) -> dict[str, float]:
    r"""Fits a profile to the centres of pixels, as statmorph does, not to their means."""

    sigma = found.sky_sigma if found.sky_sigma > 0 else 0.0
    weight = weights(seen.image, seen.mask, galaxy.gain, sigma)
    x, y = found.sersic_x - seen.left, found.sersic_y - seen.top
    start = Aperture(x, y, found.sersic_r_eff, 1 - found.sersic_ellip, found.sersic_theta)
    fit = sersic(seen.image, weight, start, found.sersic_n, NONE, True, mode == "parity")

    return {f"{name}_points": getattr(fit, name.removeprefix("sersic_")) for name in POINTS}


def _segments(found: Morphology, seen: Seen, mode: Mode) -> dict[str, NDArray[np.bool_]]:
    r"""Returns the pixels of Gini, of MID and of the shape asymmetry."""

    image, mask, own, taken, top, left = seen
    shape = found.rpetro_ellip, 1 - found.ellipticity, found.theta
    place = found.x_centroid - left, found.y_centroid - top
    lit, _ = gini_segment(image, *place, *shape, mode == "parity")
    mid, _ = mid_segment(image, mask, own, lit, ascending(image, own & ~mask))
    column, row, side, *_ = skybox(image, taken)
    empty = image[row : row + side, column : column + side].ravel()
    around, _ = outline(image, mask, own, empty, found.x - left, found.y - top, shape[0])

    return {"gini": lit, "mid": mid, "shape": around}


def _apart(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a ^ b).sum() / max((a | b).sum(), 1))


def rows(sample: str, mode: Mode, pairs: Iterable[Pair]) -> list[Row]:
    r"""Sums up galaxies by statistic and signal to noise."""

    bins: dict[str, list[Pair]] = {}
    for low, high in pairwise(EDGES):
        bins[f"{low:g} to {high:g}"] = []
    bins["flagged"] = []
    for pair in pairs:
        sn = pair.theirs["sn_per_pixel"]
        inside = [not pair.flagged and low <= sn < high for low, high in pairwise(EDGES)]
        bins[[*bins][inside.index(True) if any(inside) else -1]].append(pair)

    return [
        _row(sample, mode, name, sn, inside)
        for name in STATISTICS
        for sn, inside in bins.items()
        if inside
    ]


def _row(sample: str, mode: Mode, name: str, sn: str, pairs: list[Pair]) -> Row:
    tolerance = STATISTICS[name] if mode == "fast" else Tolerance(0.0, EXACT)
    # Neither angles nor shares of pixels have a zero from which to count
    absolute = "theta" in name or name.startswith("pixels")
    theirs = np.array([1.0 if absolute else pair.theirs[name] for pair in pairs])
    limits = np.maximum(tolerance.absolute, tolerance.relative * np.abs(theirs))
    kinds = ([getattr(pair, kind).get(name, math.nan) for pair in pairs] for kind in KINDS)
    ours, same, own = (np.array(kind) for kind in kinds)
    both = np.isfinite(ours)
    scale = np.abs(theirs[both]) if tolerance.relative else 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        distances = np.where(ours[both] == 0, 0.0, ours[both] / scale)
    median, percentile = np.quantile(distances, (0.5, 0.99)) if both.any() else (math.nan,) * 2

    return Row(
        sample,
        mode,
        name,
        sn,
        galaxies=int(both.sum()),
        median=float(median),
        percentile=float(percentile),
        outside=_outside(ours, limits),
        same=_outside(same, limits),
        own=_outside(own, limits),
        alone=int(np.isinf(ours).sum()),
    )


def _outside(differences: NDArray, limits: NDArray) -> float:
    known = np.isfinite(differences)

    return 100 * float((differences > limits)[known].mean()) if known.any() else math.nan


def lines(found: list[Row]) -> Iterator[str]:
    r"""Spells the rows of one sample and mode as a table, a range of signal to noise beside
    the other."""

    ranges = list(dict.fromkeys(row.sn for row in found))
    most = {sn: max(row.galaxies + row.alone for row in found if row.sn == sn) for sn in ranges}
    yield f"\n{found[0].sample}, {found[0].mode}: signal to noise per pixel (galaxies)\n"
    yield f"{'':20}" + "".join(f" | {f'{sn} ({most[sn]})':^32}" for sn in ranges) + "\n"
    yield f"{'':20}" + " |  median   99 %   out  same   own" * len(ranges) + "\n"
    for name in dict.fromkeys(row.statistic for row in found):
        cells = (_cell(row) for row in found if row.statistic == name)
        yield f"{name:20}" + "".join(f" | {cell}" for cell in cells) + "\n"


def _cell(row: Row) -> str:
    shares = (f"{share:5.1f}" for share in (row.outside, row.same, row.own))
    alone = f"+{row.alone}" if row.alone else ""

    return f"{row.median:7.0e} {row.percentile:6.0e} {' '.join(shares)}{alone:<3}".replace(
        "nan", " - "
    )


def samples(quick: bool, data: Path) -> Iterator[tuple[str, Iterable[Galaxy]]]:
    r"""Yields the names of the samples and their galaxies."""

    for side, count in ((64, 120), (128, 60), (256, 20)):
        yield f"GalSim, {side} px", draw(side, count // (10 if quick else 1), 20, 2000, side)
    yield "our simulator, 64 px", simulated(8 if quick else 120, 64, seed=1)
    for name in REAL:
        yield name, real(name, data, 3 if quick else 100)


def main() -> None:
    chosen = options(__doc__ or "")
    data = Path(os.environ.get("TUNINGFORK_DATA", "../shared/data"))
    found: list[Row] = []
    for name, galaxies in samples(chosen.quick, data):
        pairs = [compare(galaxy, 1 + k % 7) for k, galaxy in enumerate(galaxies)]
        measured = [pair for pair in pairs if pair]
        for mode in MODES:
            compared = [pair[mode] for pair in measured]
            tables = [rows(name, mode, compared)]
            if mode == "fast":
                tables.append(rows(f"{name}, same centre", mode, filter(near, compared)))
            for table in filter(None, tables):
                found += table
                sys.stdout.writelines([] if chosen.json else lines(table))
            sys.stdout.flush()
        if len(measured) < len(pairs) and not chosen.json:
            sys.stdout.write(f"statmorph stops at {len(pairs) - len(measured)} of {len(pairs)}\n")
    if chosen.json:
        write_json([asdict(row) for row in found])


if __name__ == "__main__":
    main()

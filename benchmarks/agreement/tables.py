r"""The differences between both codes by statistic and by signal to noise, as tables."""

__all__ = [
    "AGREED",
    "EDGES",
    "GIVEN",
    "STATISTICS",
    "Row",
    "Tolerance",
    "limits",
    "rows",
    "tables",
]

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.agreement.pairs import Pair, near
from benchmarks.pages import table
from benchmarks.samples import REAL

EDGES = (0.0, 2.5, 5.0, 10.0, math.inf)
r"""The ranges of the signal to noise per pixel. Below 2.5, Lotz et al. (2004) trust nothing."""

RANGES = ("below 2.5", "2.5 to 5", "5 to 10", "above 10", "flagged")
r"""The names of the ranges. `flagged` is what statmorph calls bad, or stops at."""

EXACT = 1e-6
r"""The relative tolerance of parity."""

FITTED = 1e-3
r"""The relative tolerance of the Sersic fit in the table of parity: statmorph stops early."""

RADII = "rpetro_circ rpetro_ellip rmax_circ rmax_ellip rhalf_circ rhalf_ellip r20 r50 r80"


GIVEN = ("sky", "pixels")
r"""How those begin that are given, or no statistics."""

SETS = ("pixels_gini", "pixels_mid", "pixels_shape")
r"""The shares of the pixels of a set that are in one of both sets only."""


class Tolerance(NamedTuple):
    r"""How far a statistic of the fast mode may be away: the larger one of two distances.

    Arguments:
        absolute: In the unit of the statistic.
        relative: As a fraction of the statistic.
    """

    absolute: float
    relative: float = 0.0

    def __str__(self) -> str:
        told = f"{self.absolute:g}".removeprefix("0") if self.absolute else ""
        share = f"{100 * self.relative:g} %" if self.relative else ""

        return f"{share} or {told} px" if told and share else told or share


AGREED = (
    {"concentration": Tolerance(0.01), "asymmetry": Tolerance(0.005)}
    | {"smoothness": Tolerance(0.005), "gini": Tolerance(0.005), "m20": Tolerance(0.02)}
    | dict.fromkeys(RADII.split(), Tolerance(0.05, 0.01))
    | {"deviation": Tolerance(0.005), "ellipticity": Tolerance(0.005)}
    | {"sersic_n_points": Tolerance(0.0, 0.01), "sersic_n": Tolerance(0.0, 0.01)}
    | dict.fromkeys(("sersic_ellip_points", "sersic_ellip"), Tolerance(0.005))
)
r"""The statistics whose tolerance was set beforehand."""

STATISTICS = (
    AGREED
    | dict.fromkeys(("shape_asymmetry", "outer_asymmetry", "rms_asymmetry2"), Tolerance(0.005))
    | dict.fromkeys(("intensity", "multimode"), Tolerance(0.005))
    | {"gini_m20_bulge": Tolerance(0.03), "gini_m20_merger": Tolerance(0.006)}
    | dict.fromkeys(("flux_circ", "flux_ellip", "sn_per_pixel"), Tolerance(0.0, 0.01))
    | dict.fromkeys(("sersic_r_eff_points", "sersic_r_eff"), Tolerance(0.05, 0.01))
    | dict.fromkeys(("sersic_amplitude", "sersic_chi2_dof"), Tolerance(0.0, 0.01))
    | dict.fromkeys(("sersic_aic", "sersic_bic"), Tolerance(0.0, 0.01))
    | dict.fromkeys(("x", "y", "x_centroid", "y_centroid"), Tolerance(0.05))
    | dict.fromkeys(("sersic_x", "sersic_y"), Tolerance(0.05))
    | dict.fromkeys(("theta", "theta_centroid", "sersic_theta"), Tolerance(0.01))
    | {"ellipticity_centroid": Tolerance(0.005)}
    | dict.fromkeys(("sky_mean", "sky_median", "sky_sigma"), Tolerance(0.0, 0.01))
    | dict.fromkeys(SETS, Tolerance(0.01))
)
r"""All. The others have a tolerance of the same kind. `*_points` are those of the fit to the
centres of pixels."""


@dataclass(frozen=True)
class Row:
    r"""One statistic in one range of signal to noise. Percentages of galaxies with both values.

    Arguments:
        statistic: Its name.
        sn: The range, one of :data:`RANGES`.
        galaxies: How many.
        median: The median of the distance, relative in parity and where the tolerance is.
        percentile: Its 99th percentile.
        outside: The percentage outside of the tolerance.
        same: That of statmorph on turned galaxies, on the same sky.
        own: The same, on its own sky.
        alone: For how many only one of both has a value.
    """

    statistic: str
    sn: str
    galaxies: int
    median: float
    percentile: float
    outside: float
    same: float
    own: float
    alone: int


def rows(pairs: Iterable[Pair]) -> list[Row]:
    r"""Sums up galaxies of one mode by statistic and signal to noise."""

    bins: dict[str, list[Pair]] = {name: [] for name in RANGES}
    for pair in pairs:
        bins[_range(pair)].append(pair)

    return [_row(name, sn, inside) for name in STATISTICS for sn, inside in bins.items() if inside]


def _range(pair: Pair) -> str:
    sn = pair.theirs["sn_per_pixel"]
    inside = [not pair.flagged and low <= sn < high for low, high in pairwise(EDGES)]

    return RANGES[inside.index(True) if any(inside) else -1]


def limits(name: str, pairs: Sequence[Pair]) -> NDArray[np.float64]:
    r"""Returns how far each galaxy of one mode may be away, with shape `(N,)`."""

    tolerance = _tolerance(name, pairs)

    return np.maximum(tolerance.absolute, tolerance.relative * _size(name, pairs))


def _tolerance(name: str, pairs: Sequence[Pair]) -> Tolerance:
    return STATISTICS[name] if pairs[0].mode == "fast" else Tolerance(0.0, EXACT)


def _size(name: str, pairs: Sequence[Pair]) -> NDArray[np.float64]:
    # Neither angles nor shares of pixels have a zero from which to count
    absolute = "theta" in name or name.startswith("pixels")

    return np.abs([1.0 if absolute else pair.theirs[name] for pair in pairs])


def _row(name: str, sn: str, pairs: list[Pair]) -> Row:
    most = limits(name, pairs)
    ours, same, own = (
        np.abs([found.get(name, math.nan) for found in kind])
        for kind in zip(*((pair.ours, pair.same, pair.own) for pair in pairs), strict=True)
    )
    both = np.isfinite(ours)
    scale = _size(name, pairs)[both] if _tolerance(name, pairs).relative else 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        distances = np.where(ours[both] == 0, 0.0, ours[both] / scale)
    median, percentile = np.quantile(distances, (0.5, 0.99)) if both.any() else (math.nan,) * 2

    return Row(
        name,
        sn,
        galaxies=int(both.sum()),
        median=float(median),
        percentile=float(percentile),
        outside=_outside(ours, most),
        same=_outside(same, most),
        own=_outside(own, most),
        alone=int(np.isinf(ours).sum()),
    )


def _outside(distances: NDArray, most: NDArray) -> float:
    known = np.isfinite(distances)

    return 100 * float((distances > most)[known].mean()) if known.any() else math.nan


def tables(pairs: Sequence[Pair]) -> dict[str, str]:
    r"""Spells everything in Markdown: what the page on morphometry has, and all statistics."""

    parity, fast = ([pair for pair in pairs if pair.mode == mode] for mode in ("parity", "fast"))
    pooled = pool(fast)
    told = {"parity": _samples(parity), "centres": _centres(pooled), "fast": _shares(pooled)}
    for name, mode in (("fast", fast), ("parity", parity)):
        told |= {f"{name}, {kind}": whole(found) for kind, found in pool(mode).items()}
    close = [pair for pair in fast if near(pair.ours)]
    told |= {f"fast, {kind}, same centre": whole(found) for kind, found in pool(close).items()}

    return told


def pool(pairs: Iterable[Pair]) -> dict[str, list[Pair]]:
    r"""Shares galaxies out to `simulated` and `real`."""

    found: dict[str, list[Pair]] = {"simulated": [], "real": []}
    for pair in pairs:
        found["real" if pair.sample in REAL else "simulated"].append(pair)

    return {name: inside for name, inside in found.items() if inside}


def _samples(pairs: Sequence[Pair]) -> str:
    r"""Tells of each sample how many galaxies agree, the Sersic fit apart."""

    head = ["sample", "galaxies", "statmorph flags", "statmorph stops"]
    head += ["all but the Sersic fit within 1e-6", "its $n$ and $r_e$ within 1e-3"]
    head += ["same pixels: Gini, MID, shape"]
    lines = []
    for sample, inside in groupby(pairs, lambda pair: pair.sample):
        found = list(inside)
        stops = [all(map(math.isnan, pair.theirs.values())) for pair in found]
        exact, fitted = (sum(map(agrees, found)) for agrees in (_exact, _fitted))
        numbers = [len(found), sum(pair.flagged for pair in found), sum(stops), exact, fitted]
        sets = [[pair.ours.get(name) == 0 for name in SETS] for pair in found]
        alike = ", ".join(map(str, np.sum(sets, axis=0)))
        lines.append([sample, *map(str, numbers), alike])

    return table(head, lines)


def _exact(pair: Pair) -> bool:
    r"""Says whether all but the Sersic fit agrees, or has a value in neither."""

    names = [name for name in STATISTICS if not name.startswith(("sersic", "pixels"))]
    without = [math.isnan(pair.ours[name]) for name in names]
    inside = [abs(pair.ours[name]) <= limits(name, [pair])[0] for name in names]

    return not all(without) and all(a or b for a, b in zip(without, inside, strict=True))


def _fitted(pair: Pair) -> bool:
    r"""Says whether the Sersic index and the effective radius agree to :data:`FITTED`."""

    return all(
        abs(pair.ours[name]) <= FITTED * abs(pair.theirs[name])
        for name in ("sersic_n", "sersic_r_eff")
    )


def _centres(pooled: Mapping[str, list[Pair]]) -> str:
    r"""Tells how often the same minimum of the asymmetry is found, by signal to noise."""

    head = ["", "signal to noise", "galaxies", "both found the same centre"]
    head += ["statmorph its own again, when turned", "of others, ours is less asymmetric"]
    lines = []
    for kind, pairs in pooled.items():
        for sn in RANGES:
            inside = [p for p in pairs if _range(p) == sn and math.isfinite(p.ours["x"])]
            other = [pair.ours["asymmetry"] < 0 for pair in inside if not near(pair.ours)]
            again = sum(near(pair.same) for pair in inside)
            numbers = [len(inside), len(inside) - len(other), again]
            if inside:
                lines.append([kind, sn, *map(str, numbers), f"{sum(other)} of {len(other)}"])

    return table(head, lines)


def _shares(pooled: Mapping[str, list[Pair]]) -> str:
    r"""Tells the percentages outside of the tolerances, ours and that of statmorph itself."""

    found = {kind: rows(pairs) for kind, pairs in pooled.items()}
    columns = [(kind, sn) for kind, some in found.items() for sn in _ranges(some)]
    cells = {(kind, row.sn, row.statistic): row for kind, some in found.items() for row in some}
    head = [f"{kind}, {sn} ({_most(found[kind], sn)})" for kind, sn in columns]
    lines = []
    for name, tolerance in STATISTICS.items():
        if name.startswith(GIVEN):
            continue
        values = (cells[kind, sn, name] for kind, sn in columns)
        told = [f"**{_whole(row.outside)}** {_whole(row.same)}" for row in values]
        lines.append([name, str(tolerance), *told])

    return table(["", "tolerance", *head], lines)


def whole(pairs: Sequence[Pair]) -> str:
    r"""Spells the rows of galaxies of one mode, a range of signal to noise beside the other."""

    found, fast = rows(pairs), pairs[0].mode == "fast"
    head = [f"{sn} ({_most(found, sn)})" for sn in _ranges(found)]
    lines = []
    for name, inside in groupby(found, lambda row: row.statistic):
        first = [name, str(STATISTICS[name])] if fast else [name]
        lines.append(first + [_cell(row, row.same if fast else row.own) for row in inside])

    return table(["", "tolerance", *head] if fast else ["", *head], lines)


def _ranges(found: Iterable[Row]) -> Iterator[str]:
    yield from dict.fromkeys(row.sn for row in found)


def _most(found: Iterable[Row], sn: str) -> int:
    return max(row.galaxies + row.alone for row in found if row.sn == sn)


def _cell(row: Row, itself: float) -> str:
    alone = f" +{row.alone}" if row.alone else ""
    if math.isnan(row.median):
        return f"-{alone}"

    return (
        f"{row.median:.0e} {row.percentile:.0e} **{_whole(row.outside)}** {_whole(itself)}{alone}"
    )


def _whole(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.0f}"

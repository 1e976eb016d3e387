r"""Why the fast mode differs from statmorph where it does, as tables."""

__all__ = ["reasons"]

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.agreement.pairs import Pair, near
from benchmarks.agreement.tables import GIVEN, STATISTICS, limits, pool
from benchmarks.pages import table
from pipeline.morphometry.smoothness import width

OUTLINE = ("rmax_circ", "rmax_ellip", "rhalf_circ", "rhalf_ellip", "outer_asymmetry",
           "shape_asymmetry")  # fmt: skip
r"""What goes with the outline, which differs by design where little sky is around the target."""

MOST = 0.9
r"""The share of the galaxies that the last column of the smoothness is true of."""


def reasons(pairs: Sequence[Pair]) -> dict[str, str]:
    r"""Tells how much of what is outside of the tolerances has which reason, and the smoothness.

    Arguments:
        pairs: Galaxies in the fast mode.
    """

    pooled = pool(pairs)

    return {"reasons": _shared_out(pooled), "smoothness": _smoothness(pooled)}


def _shared_out(pooled: Mapping[str, list[Pair]]) -> str:
    r"""Counts the values outside of their tolerances, each for the first reason that it has."""

    head = ["", "values", "outside of the tolerance", "by design"]
    head += [f"of others, in galaxies with {which} centre" for which in ("another", "the same")]
    lines = []
    for kind, pairs in pooled.items():
        counts = np.zeros(5, int)
        for name in STATISTICS:
            if name.startswith(GIVEN):
                continue
            apart = np.abs([pair.ours[name] for pair in pairs])
            outside = np.isfinite(apart) & (apart > limits(name, pairs))
            ours = np.array([_by_design(name, pair) for pair in pairs])
            same = np.array([near(pair.ours) for pair in pairs])
            rest = outside & ~ours
            counts += [np.isfinite(apart).sum(), outside.sum(), (outside & ours).sum(),
                       (rest & ~same).sum(), (rest & same).sum()]  # fmt: skip
        lines.append([kind, *map(str, counts)])

    return table(head, lines)


def _by_design(name: str, pair: Pair) -> bool:
    r"""Says whether a statistic of a galaxy is defined otherwise in the fast mode."""

    if name == "smoothness":
        return _side(pair) % 2 == 0
    fitted = name.startswith("sersic") and not name.endswith("_points")

    return fitted or name == "rms_asymmetry2" or name in OUTLINE


def _side(pair: Pair) -> int:
    r"""Returns the side of the boxcar of a galaxy, in pixels."""

    return width(pair.theirs["rpetro_circ"])


def _smoothness(pooled: Mapping[str, list[Pair]]) -> str:
    r"""Tells how far the smoothness is apart where both have the same centre, by the boxcar."""

    head = ["", "side of the boxcar", "galaxies with the same centre"]
    head += ["median distance of $S$", "nine of ten are within"]
    lines = []
    for kind, pairs in pooled.items():
        kept = [p for p in pairs if near(p.ours) and np.isfinite(p.ours["smoothness"])]
        for said, rest in (("even", 0), ("odd", 1)):
            inside = [p for p in kept if _side(p) > 1 and _side(p) % 2 == rest]
            apart = np.abs([p.ours["smoothness"] for p in inside])
            told = map("{:.0e}".format, np.quantile(apart, (0.5, MOST))) if inside else "--"
            lines.append([kind, said, str(len(inside)), *told])

    return table(head, lines)

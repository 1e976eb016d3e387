r"""The differences between both codes, galaxy by galaxy."""

__all__ = ["exact", "fast"]

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from benchmarks.agreement.pairs import Pair
from benchmarks.agreement.tables import EDGES, EXACT, STATISTICS, limits, pool, rows
from benchmarks.gallery.looks import BLUE, RED, curve, logarithmic, title
from pipeline.figures import INK, PALE

PANELS = {
    "concentration": "$C$",
    "asymmetry": "$A$",
    "smoothness": "$S$",
    "gini": "$G$",
    "m20": "$M_{20}$",
    "rpetro_circ": "$r_p$, circles",
    "rpetro_ellip": "$r_p$, ellipses",
    "r20": "$r_{20}$",
    "r50": "$r_{50}$",
    "r80": "$r_{80}$",
    "rmax_ellip": "$r_{max}$, ellipses",
    "rhalf_ellip": "$r_{1/2}$, ellipses",
    "multimode": "$M$",
    "intensity": "$I$",
    "deviation": "$D$",
    "ellipticity": "$1 - b/a$",
    "outer_asymmetry": "$A_o$",
    "shape_asymmetry": "$A_s$",
    "sersic_n_points": "$n$, at centres of pixels",
    "sersic_n": "$n$, mean over pixels",
}
r"""What is drawn, and its title."""

LOOKS = {"simulated": (BLUE, "o"), "real": (RED, "^"), "statmorph, turned": (PALE, "o")}
FURTHEST = 300.0
r"""The ends of the axis, in tolerances. What is further is drawn there."""

FLOOR = 1e-17
r"""Where what is equal is drawn, on a logarithmic axis."""


def fast(pairs: Sequence[Pair]) -> Figure:
    r"""Draws the differences in units of the tolerance against the signal to noise.

    The axis is linear within the tolerance, and logarithmic outside.

    Arguments:
        pairs: Galaxies in the fast mode.
    """

    figure = Figure(figsize=(13.0, 13.4))
    grid = figure.subplots(5, 4, sharex=True, sharey=True)
    for axes, (name, heading) in zip(grid.flat, PANELS.items(), strict=True):
        _frame(axes)
        title(axes, f"{heading}  ± {STATISTICS[name]}")
        _points(axes, name, "statmorph, turned", pairs, [pair.same for pair in pairs])
        for place, (kind, inside) in enumerate(pool(pairs).items()):
            _points(axes, name, kind, inside, [pair.ours for pair in inside])
            _shares(axes, name, kind, inside, (0.985, 0.015)[place])
    for axes in grid[-1]:
        axes.set_xlabel("S/N per pixel")
    for axes in grid[:, 0]:
        axes.set_ylabel("(ours - statmorph) / tolerance")
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=3, markerscale=1.5)
    heading = "Percentages are outside of the tolerance, those of statmorph turned in brackets"
    figure.suptitle(heading, x=0.01, ha="left")

    return figure


def _frame(axes: Axes) -> None:
    r"""Makes the axes of a panel, with the band of the tolerance and the ranges of S/N."""

    axes.set_yscale("symlog", linthresh=1.0, linscale=1.4)
    axes.set_ylim(-12 * FURTHEST, 12 * FURTHEST)
    axes.yaxis.set_major_locator(FixedLocator([-100, -10, -1, 0, 1, 10, 100]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.axhspan(-1, 1, color=PALE, alpha=0.2, lw=0)
    logarithmic(axes, "x", 1, 2.5, 5, 10, 30, 100)
    axes.set_xlim(0.8, 200)
    for edge in EDGES[1:-1]:
        axes.axvline(edge, color=PALE, lw=0.8, dashes=(2, 3))
    axes.grid(visible=False)


def _points(
    axes: Axes, name: str, kind: str, pairs: Sequence[Pair], apart: Sequence[Mapping[str, float]]
) -> None:
    colour, marker = LOOKS[kind]
    found = np.array([one[name] for one in apart])
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(found == 0, 0.0, found / limits(name, pairs))
    found = np.clip(np.where(np.isinf(found), math.nan, found), -FURTHEST, FURTHEST)
    x = np.array([pair.theirs["sn_per_pixel"] for pair in pairs])
    look: dict[str, Any] = {
        "ls": "",
        "marker": marker,
        "ms": 3.4,
        "mew": 0,
        "color": colour,
        "alpha": 0.6,
    }
    axes.plot(np.clip(x, 0.85, 190), found, label=kind, **look)


def _shares(axes: Axes, name: str, kind: str, pairs: Sequence[Pair], height: float) -> None:
    r"""Writes the percentages outside of the tolerance, range by range."""

    left, right = axes.get_xlim()
    edges = np.clip(EDGES, left, right)
    middles = dict(zip(("below 2.5", "2.5 to 5", "5 to 10", "above 10"),
                       np.sqrt(edges[1:] * edges[:-1]), strict=True))  # fmt: skip
    for row in rows(pairs):
        if row.statistic == name and row.sn in middles and row.galaxies:
            text = f"{row.outside:.0f} ({row.same:.0f})"
            look: dict[str, Any] = {"color": LOOKS[kind][0], "fontsize": 6.8, "ha": "center"}
            axes.text(middles[row.sn], height, text, va="top" if height > 0.5 else "bottom",
                      transform=axes.get_xaxis_transform(), **look)  # fmt: skip


def exact(pairs: Sequence[Pair]) -> Figure:
    r"""Draws the relative differences of all statistics, galaxy by galaxy.

    Arguments:
        pairs: Galaxies in the mode `parity`.
    """

    figure = Figure(figsize=(13.0, 5.6))
    axes = figure.subplots()
    names = [name for name in STATISTICS if not name.endswith("_points")]
    for (kind, inside), shift in zip(pool(pairs).items(), (-0.2, 0.2), strict=False):
        x, y = [], []
        for place, name in enumerate(names):
            found = np.abs([pair.ours.get(name, math.nan) for pair in inside])
            with np.errstate(invalid="ignore", divide="ignore"):
                share = np.where(found == 0, 0.0, EXACT * found / limits(name, inside))
            share = share[np.isfinite(share)]
            x.append(place + shift + np.linspace(-0.16, 0.16, share.size))
            y.append(np.clip(share, FLOOR, 1.0))
        look: dict[str, Any] = {"ls": "", "ms": 2.2, "mew": 0, "alpha": 0.6}
        colour, marker = LOOKS[kind]
        axes.plot(np.concatenate(x), np.concatenate(y), color=colour, marker=marker,
                  label=kind, **look)  # fmt: skip
    axes.axhline(EXACT, color=INK, lw=1)
    curve(
        axes, "", "|ours - statmorph| / |statmorph|", yscale="log", xlim=(-0.6, len(names) - 0.4)
    )
    axes.set_ylim(0.4 * FLOOR, 2)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
    figure.legend(loc="outside upper right", ncols=2, markerscale=2)
    title(axes, "parity, each on its own sky; the line is the aim of 1e-6")

    return figure

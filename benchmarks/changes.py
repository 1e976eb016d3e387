r"""How statistics change when images get worse, as a figure and as tables."""

__all__ = ["SAME", "STEPS", "Flag", "Panel", "Series", "changes", "draw_figure", "lines"]

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, SubplotSpec
from numpy.typing import NDArray

from benchmarks.pages import table
from pipeline.figures import INK, PALETTE, style

STEPS = {"noise": (30.0, 10.0, 5.0, 3.0, 1.5), "resolution": (4.0, 2.0, 1.0)}
r"""The S/N of a pixel and the half-light radius over the width of the point-spread function."""

SAME = "ours, same map"
r"""The code that measures as ours does what the other one found."""

LOOKS = (
    ("statmorph", PALETTE[1], "s"),
    ("ours", PALETTE[0], "o"),
    ("ours, unbiased", PALETTE[2], "^"),
    (SAME, INK, ""),
)


class Panel(NamedTuple):
    r"""One statistic.

    Arguments:
        title: What stands above it.
        ours: The fields of :class:`Morphology`; a second one is its estimate without noise bias.
        theirs: The attribute of statmorph, empty if it has none.
        relative: Whether changes are in per cent of the value.
        length: Whether it is one, in pixels: galaxies are made smaller to blur them.
    """

    title: str
    ours: tuple[str, ...]
    theirs: str
    relative: bool = False
    length: bool = False


class Series(NamedTuple):
    r"""How one statistic of one code changes.

    Arguments:
        statistic: Its name in that code.
        code: `ours`, `statmorph` or :data:`SAME`.
        way: With `noise`, or with `resolution`.
        bias: The median change at each step, with shape `(P)`.
        scatter: Half of the central 68 %, with shape `(P)`.
        failed: The share of galaxies without a value, with shape `(P)`.
        spread: The standard deviation among galaxies, before any change.
    """

    statistic: str
    code: str
    way: str
    bias: list[float]
    scatter: list[float]
    failed: list[float]
    spread: float


class Flag(NamedTuple):
    r"""How often a flag is set, at each step, the first being the one to compare with."""

    name: str
    code: str
    way: str
    shares: list[float]


def changes(
    values: NDArray[np.float64], relative: bool
) -> tuple[list[float], list[float], list[float]]:
    r"""Compares the values at each step with those of the same galaxies at the first one.

    Arguments:
        values: The values, NaN where there is none, with shape `(N, 1 + P)`.
        relative: Whether changes are in per cent.

    Returns:
        The bias, the scatter and the share that failed at each step after the first.
    """

    start = values[:, :1]
    change = 100 * (values[:, 1:] / start - 1) if relative else values[:, 1:] - start
    bias, scatter, failed = [], [], []
    for column in change[np.isfinite(start[:, 0])].T:
        good = column[np.isfinite(column)]
        low, middle, high = np.quantile(good, [0.16, 0.5, 0.84]) if good.size else [np.nan] * 3
        bias.append(float(middle))
        scatter.append(float(high - low) / 2)
        failed.append(1 - good.size / column.size)

    return bias, scatter, failed


def draw_figure(
    panels: Sequence[Panel], series: Sequence[Series], flags: Sequence[Flag], count: int
) -> Figure:
    r"""Draws bias and scatter of each statistic, and how many galaxies are flagged.

    Arguments:
        panels: What is drawn.
        series: The changes, of one code or of both.
        flags: How often each flag is set, `any` among them.
        count: The number of galaxies.
    """

    with style():
        figure = Figure(figsize=(13.0, 12.6))
        grid = figure.add_gridspec(-(-(len(panels) + 1) // 4), 4)
        for panel, place in zip(panels, _places(grid), strict=False):
            _panel(_pair(figure, place, panel.title), panel, series)
        places = list(_places(grid))
        _flagged(_pair(figure, places[len(panels)], "Galaxies flagged [%]"), flags)
        handles, labels = figure.axes[2].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=4)
        heading = f"Change with noise and with blur: median and central 68 % of {count} galaxies"
        figure.suptitle(heading, x=0.01, ha="left")

        return figure


def _places(grid: GridSpec) -> list[SubplotSpec]:
    return [grid[k] for k in range(grid.nrows * grid.ncols)]


def _pair(figure: Figure, place: SubplotSpec, title: str) -> tuple[Axes, Axes]:
    r"""Returns two axes side by side, one for noise and one for resolution."""

    pair = place.subgridspec(1, 2, wspace=0.04)
    left = figure.add_subplot(pair[0])
    right = figure.add_subplot(pair[1], sharey=left)
    right.tick_params(labelleft=False)
    left.set_title(title, fontsize=10)
    lowest = place.rowspan.stop == place.get_gridspec().nrows
    names = ("S/N per pixel", r"$r_{50}$ / FWHM") if lowest else ("", "")
    for axes, steps, name in zip((left, right), STEPS.values(), names, strict=True):
        axes.axhline(0, color=INK, lw=0.8)
        axes.set_xscale("log")
        axes.set_xlim(steps[0] * 1.25, steps[-1] / 1.25)
        axes.set_xticks(steps, [f"{step:g}" for step in steps])
        axes.set_xticks([], minor=True)
        axes.set_xlabel(name)

    return left, right


def _panel(pair: tuple[Axes, Axes], panel: Panel, series: Sequence[Series]) -> None:
    keys = [(panel.theirs, "statmorph"), *((key, "ours") for key in panel.ours)]
    looks = dict(zip(keys, LOOKS, strict=False)) | {(panel.ours[0], SAME): LOOKS[-1]}
    for one in series:
        if (one.statistic, one.code) in looks:
            _line(pair[one.way == "resolution"], one, looks[one.statistic, one.code])
    _limit(pair[0], [one for one in series if (one.statistic, one.code) in looks])
    spread = next(one.spread for one in series if one.statistic == panel.ours[0])
    if not panel.relative:
        look: dict[str, Any] = {
            "ha": "right",
            "va": "top",
            "fontsize": 8,
            "transform": pair[1].transAxes,
        }
        pair[1].text(0.96, 0.95, f"spread {spread:.2g}", **look)


def _line(axes: Axes, one: Series, look: tuple[str, str, str]) -> None:
    name, colour, marker = look
    steps, bias, scatter = STEPS[one.way], np.array(one.bias), np.array(one.scatter)
    if name == SAME:  # lines only, lest a third band hides the others
        axes.plot(steps, bias, label=name, color=colour, lw=1, ls="--")
        for edge in (bias - scatter, bias + scatter):
            axes.plot(steps, edge, color=colour, lw=0.7, ls=":")
        return
    axes.plot(steps, bias, label=name, color=colour, marker=marker, ms=4, lw=1.5)
    axes.fill_between(steps, bias - scatter, bias + scatter, color=colour, alpha=0.16, lw=0)


def _limit(axes: Axes, series: Sequence[Series]) -> None:
    r"""Cuts off what few wide bands would make of the scale."""

    bias = np.concatenate([one.bias for one in series])
    scatter = np.concatenate([one.scatter for one in series])
    wide = np.minimum(scatter, 4 * np.median(scatter))
    low, high = min((bias - wide).min(), 0.0), max((bias + wide).max(), 0.0)
    axes.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))


def _flagged(pair: tuple[Axes, Axes], flags: Sequence[Flag]) -> None:
    looks = {code: look for code, *look in LOOKS}
    for flag in flags:
        if flag.name == "any":
            colour, marker = looks[flag.code]
            shares = 100 * np.array(flag.shares[1:])
            axes = pair[flag.way == "resolution"]
            look: dict[str, Any] = {"marker": marker, "ms": 4}
            if flag.code == SAME:
                look = {"lw": 1, "ls": "--"}
            axes.plot(STEPS[flag.way], shares, color=colour, **look)


def lines(series: Sequence[Series], flags: Sequence[Flag]) -> list[str]:
    r"""Spells bias and scatter of each statistic as tables, and how often each flag is set."""

    out = []
    for way, steps in STEPS.items():
        rows = [
            [one.statistic, one.code, *map(_change, one.bias, one.scatter)]
            for one in series
            if one.way == way
        ]
        rows += [
            [f"flag {flag.name}", flag.code, *(f"{share:.0%}" for share in flag.shares[1:])]
            for flag in flags
            if flag.way == way
        ]
        for code in dict.fromkeys(one.code for one in series if one.way == way):
            failed = [one.failed for one in series if (one.code, one.way) == (code, way)]
            most = (f"{share:.0%}" for share in np.max(failed, axis=0))
            rows.append(["without a value", code, *most])
        if rows:
            out += table([way, "code", *(f"{step:g}" for step in steps)], rows).splitlines()

    return out


def _change(bias: float, scatter: float) -> str:
    return f"{bias:+.3f} ± {scatter:.3f}"

r"""Figures of an evaluation and of a training. None shows itself: each is returned."""

__all__ = [
    "class_balance",
    "confusion_matrix",
    "learning_curves",
    "precision_recall_curves",
    "reliability_diagram",
    "roc_curves",
    "score_chart",
    "style",
]

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pipeline.curves import Curve
from pipeline.evaluation import Evaluation, Reliability
from pipeline.metrics import METRICS

# Okabe & Ito (2008): told apart with any colour vision, https://jfly.uni-koeln.de/color/
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
INK, PALE = "#222222", "#8a8a8a"
FEW = 5  # galaxies in a bin, below which no line leads to it

STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": PALE,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 1.7,
    "svg.fonttype": "path",
    "svg.hashsalt": "tuningfork",
    "text.color": INK,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
}


@contextmanager
def style() -> Iterator[None]:
    r"""Draws what stands inside with the look of all figures."""

    with mpl.rc_context(STYLE):
        yield


def roc_curves(evaluation: Evaluation) -> Figure:
    r"""Draws the receiver operating characteristic of each class against the rest."""

    with style():
        figure, axes = _square()
        axes.plot([0, 1], [0, 1], color=PALE, lw=1, dashes=(2, 3))
        axes.text(0.6, 0.56, "chance", color=PALE, rotation=45, rotation_mode="anchor", va="top")
        _lines(axes, evaluation.roc, lambda curve: f"AUC {curve.area:.3f}")
        axes.set(xlabel="False-positive rate", ylabel="True-positive rate", title="ROC")
        _legend(figure)

        return figure


def precision_recall_curves(evaluation: Evaluation) -> Figure:
    r"""Draws precision against recall of each class. Its share is what chance would reach."""

    with style():
        figure, axes = _square()
        shares = dict(zip(evaluation.classes, evaluation.support, strict=True))
        # Average precision is a sum of steps: between two of them there is no threshold
        curves = evaluation.precision_recall
        _lines(axes, curves, lambda curve: f"AP {curve.area:.3f}", drawn="steps-post")
        for line in axes.lines[:]:
            share = shares[str(line.get_gid())] / evaluation.galaxies
            axes.plot([1.0, 1.03], [share, share], color=line.get_color(), lw=2.5, clip_on=False)
        axes.set(xlabel="Recall", ylabel="Precision", title="Precision and recall")
        _legend(figure)

        return figure


def confusion_matrix(evaluation: Evaluation, model: str | None = None) -> Figure:
    r"""Draws the galaxies of each true and predicted class: shares of each row, and counts.

    Arguments:
        evaluation: The evaluation.
        model: The name of a model. By default, the one that matters.
    """

    counts = np.array(evaluation.confusion[model or evaluation.model])
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    side = 2.2 + 0.75 * len(counts)

    with style():
        figure = Figure(figsize=(side + 0.9, side - 0.3))
        axes = figure.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            share = shares[row, column]
            color = "white" if share > 0.55 else INK if count else "#bbbbbb"
            percent = f"{share:.0%}" if count == 0 or share >= 0.005 else "<1%"
            axes.text(column, row - 0.09, percent, ha="center", va="center", color=color)
            text = axes.text(column, row + 0.22, f"{count:,}", ha="center", va="center")
            text.set(color=color, fontsize=7.5)
        names = [_words(name) for name in evaluation.classes]
        axes.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.set(xlabel="Predicted", ylabel="True", title="Confusion")
        bar = figure.colorbar(image, ax=axes, shrink=0.75, format=PercentFormatter(1, 0))
        bar.outline.set_visible(False)
        bar.set_label("Share of the true class")

        return figure


def reliability_diagram(evaluation: Evaluation) -> Figure:
    r"""Draws how often the model is right at each confidence, and how often it is that sure."""

    sides = {"after": evaluation.after[evaluation.model]}
    if evaluation.model in evaluation.before:
        sides = {"before": evaluation.before[evaluation.model]} | sides

    with style():
        figure = Figure(figsize=(5.2, 5.6))
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, 1])
        top.plot([0, 1], [0, 1], color=PALE, lw=1, dashes=(2, 3), label="perfect")
        for (name, side), color in zip(sides.items(), PALETTE[1::-1][-len(sides) :], strict=True):
            _reliability(top, bottom, side, name if len(sides) > 1 else "", color)
        temperature = evaluation.temperature.get(evaluation.model)
        heading = "Reliability"
        if temperature is not None:
            heading += f", temperature {temperature:.2f}"
        top.set(ylim=(0, 1.02), xlim=(0, 1), ylabel="Share that is right", title=heading)
        top.legend(loc="best")
        bottom.set(xlabel="Probability of the predicted class", ylabel="Galaxies, log")
        bottom.set_yscale("symlog", linthresh=1, subs=range(2, 10))
        bottom.set_ylim(bottom=0)
        bottom.yaxis.set_major_formatter("{x:.0f}")

        return figure


def learning_curves(history: Sequence[Mapping[str, float]], best: int | None = None) -> Figure:
    r"""Draws loss, scores and learning rate epoch by epoch.

    Arguments:
        history: For each epoch, its numbers. `train_*` and `validation_*` of one name share a
            panel; those with `rate` or `lr` in their name come last.
        best: The epoch that was kept, counted from 1.
    """

    panels: dict[str, list[str]] = {}
    for key in sorted({key for epoch in history for key in epoch}, key=_rank):
        if key not in {"epoch", "seconds"}:
            panels.setdefault(_panel(key), []).append(key)

    with style():
        columns = 2 if len(panels) in {2, 4} else 3
        rows = -(-len(panels) // columns)
        figure = Figure(figsize=(7.2, 2.6 * rows))
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        epochs = np.arange(1, len(history) + 1)
        for (title, keys), axes in zip(panels.items(), grid.flat, strict=False):
            for key in keys:
                color = PALETTE[1] if key.startswith("train") else PALETTE[0]
                label = key.partition("_")[0] if len(keys) > 1 else None
                values = [epoch.get(key, np.nan) for epoch in history]
                marker = "o" if len(history) < 3 else ""
                axes.plot(epochs, values, color=color, label=label, marker=marker)
            if best is not None:
                axes.axvline(best, color=PALE, lw=1, dashes=(2, 3))
            axes.set(title=title, xlabel="Epoch")
            _widen(axes, title)
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            if len(keys) > 1:
                axes.legend()

        return figure


def class_balance(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    r"""Draws how many galaxies of each class are in each part of the split.

    Arguments:
        counts: For each part (train, validation, test), the galaxies of each class.
    """

    classes = list(dict.fromkeys(name for part in counts.values() for name in part))
    with style():
        figure = Figure(figsize=(7.2, 0.9 + 0.42 * len(classes)))
        axes = figure.subplots()
        left = np.zeros(len(classes))
        places = np.arange(len(classes))[::-1]
        for (part, of), color in zip(counts.items(), PALETTE, strict=False):
            width = np.array([of.get(name, 0) for name in classes])
            axes.barh(places, width, left=left, height=0.68, color=color, label=part)
            left += width
        for place, total in zip(places, left, strict=True):
            label = f" {total:,.0f}  ({total / left.sum():.1%})"
            axes.text(total, place, label, va="center", fontsize=8.5)
        axes.set_yticks(places, [_words(name) for name in classes])
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.set(xlabel="Galaxies", xlim=(0, 1.22 * left.max()), title="Classes of the split")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3)

        return figure


def score_chart(evaluation: Evaluation, metric: str = "accuracy") -> Figure:
    r"""Draws one metric of every model with its interval.

    Arguments:
        evaluation: The evaluation.
        metric: A key of :data:`pipeline.metrics.METRICS`.
    """

    models = list(evaluation.metrics)
    with style():
        figure = Figure(figsize=(4.8, 0.9 + 0.42 * len(models)))
        axes = figure.subplots()
        for place, name in enumerate(reversed(models)):
            interval = evaluation.metrics[name][metric]
            color = PALETTE[0] if name == evaluation.model else "#555555"
            axes.plot([interval.low, interval.high], [place, place], color=color, lw=2.5)
            axes.plot(interval.value, place, "o", color=color, ms=7)
            above = place + 0.24
            axes.text(interval.value, above, f"{interval.value:.3f}", ha="center", color=color)
        axes.set_yticks(range(len(models)), models[::-1])
        axes.set(ylim=(-0.5, len(models) - 0.2), title=_title(metric))
        axes.set_xlabel("Better to the right" if METRICS[metric] else "Better to the left")
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.08)

        return figure


def _square() -> tuple[Figure, Axes]:
    # The ticks of the shares are to the right of the axes, where no layout knows of them
    layout = ConstrainedLayoutEngine(rect=(0, 0, 0.95, 1))
    figure = Figure(figsize=(5.2, 6.2), layout=layout)
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal")

    return figure, axes


def _legend(figure: Figure) -> None:
    r"""Names the lines below the axes, where they cover none."""

    figure.legend(loc="outside lower center", ncols=2, handlelength=2.6)


def _lines(
    axes: Axes,
    curves: Mapping[str, Curve],
    describe: Callable[[Curve], str],
    drawn: str = "default",
) -> None:
    r"""Draws one line per class. Beyond the colours of the palette, dashes tell them apart."""

    for k, (name, curve) in enumerate(curves.items()):
        if curve.x:
            (line,) = axes.plot(curve.x, curve.y, label=f"{_words(name)}  {describe(curve)}")
            line.set(color=PALETTE[k % 7], ls=DASHES[k // 7 % 4], gid=name, drawstyle=drawn)


def _reliability(top: Axes, bottom: Axes, side: Reliability, name: str, color: str) -> None:
    label = f"{name} (ECE {side.error:.3f})".strip()
    count = np.array(side.count)
    known = count > 0
    x, y = np.array(side.confidence)[known], np.array(side.accuracy)[known]
    error = np.sqrt(np.clip(y * (1 - y), 1e-9, None) / count[known])
    many = count[known] >= FEW

    top.plot(x[many], y[many], color=color, lw=1.4, label=label)
    top.scatter(x, y, color=color, s=12 + 24 * np.sqrt(count[known] / count.max()), zorder=3)
    top.vlines(x, np.clip(y - error, 0, 1), np.clip(y + error, 0, 1), color=color, alpha=0.5)
    edges = np.linspace(0, 1, len(count) + 1)
    bottom.stairs(count, edges, color=color, fill=False, lw=1.6)


def _widen(axes: Axes, title: str) -> None:
    r"""Shows no less than a twentieth of the range of a score, lest a constant seem to jump."""

    if re.search("loss|rate", title, re.IGNORECASE):
        return
    low, high = axes.get_ylim()
    more = max(0.05 - (high - low), 0) / 2
    axes.set_ylim(low - more, high + more)


def _panel(key: str) -> str:
    name = key
    for prefix in ("train_", "validation_"):
        name = name.removeprefix(prefix)

    return "Learning rate" if _rank(key)[0] == 2 else _title(name)


def _rank(key: str) -> tuple[int, str]:
    if "rate" in key or key.split("_")[0] in {"lr", "rate"}:
        return 2, key

    return int("loss" not in key), key


def _title(name: str) -> str:
    return _words(name).capitalize().replace(" f1", " F1")


def _words(name: str) -> str:
    return name.replace("_", " ")

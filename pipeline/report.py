r"""One page that says it all, in a single file."""

__all__ = ["Picture", "Report", "Table"]

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from pipeline import figures
from pipeline.evaluation import Evaluation
from pipeline.files import replacing
from pipeline.metrics import BINS

COLUMNS = (
    ("accuracy", "Accuracy ↑"),
    ("balanced_accuracy", "Balanced accuracy ↑"),
    ("macro_f1", "Macro F1 ↑"),
    ("weighted_f1", "Weighted F1 ↑"),
    ("log_loss", "Log loss ↓"),
    ("brier", "Brier ↓"),
    ("calibration_error", "ECE ↓"),
)
ABOUT_RIGHT = 0.1
r"""The natural logarithm of a temperature below which it changes little."""

HEADLINE = (
    ("accuracy", "Accuracy"),
    ("balanced_accuracy", "Balanced accuracy"),
    ("macro_f1", "Macro F1"),
    ("calibration_error", "Calibration error"),
)


@dataclass(frozen=True)
class Table:
    r"""A small table of the data.

    Arguments:
        caption: What it counts.
        header: The names of the columns.
        rows: The cells, text or counts.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str | int]]


@dataclass(frozen=True)
class Picture:
    r"""A figure in the page.

    Arguments:
        title: What it is.
        caption: What is seen, and how it was made.
        source: The image itself, as a `data:` address.
        width: Its width on the screen in pixels, 0 for its own.
    """

    title: str
    caption: str
    source: str
    width: int = 0

    @classmethod
    def of(cls, title: str, caption: str, figure: Figure, *, pixels: bool = False) -> Self:
        r"""Draws a figure: as lines, or as `pixels` where it is made of images."""

        buffer = io.BytesIO()
        with figures.style():
            if pixels:
                figure.savefig(buffer, format="png", dpi=130)
            else:
                figure.savefig(buffer, format="svg", metadata={"Date": None})
        kind = "png" if pixels else "svg+xml"
        encoded = base64.b64encode(buffer.getvalue()).decode()
        width = round(figure.get_figwidth() * 96)

        return cls(title, caption, f"data:image/{kind};base64,{encoded}", width)


@dataclass(frozen=True)
class Report:
    r"""All that the page of a run says.

    Arguments:
        title: What the experiment is called.
        evaluation: The scores of every model.
        provenance: What was used: versions, seeds, commit, fingerprint, ...
        tables: Counts of the data, by status, flag, ...
        counts: For each part of the split, the galaxies of each class.
        history: The numbers of each epoch.
        best_epoch: The epoch that was kept, counted from 1.
        sample: A contact sheet of the classes.
        mistakes: The pictures of `evaluation.wrong`, if there are any.
        configuration: The experiment, as YAML.
        command: What makes it again.
        symmetries: Whether the scores of the network are means over the symmetries of the square.
    """

    title: str
    evaluation: Evaluation
    provenance: Mapping[str, str]
    tables: Sequence[Table] = ()
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    best_epoch: int | None = None
    sample: Figure | None = None
    mistakes: Figure | None = None
    configuration: str = ""
    command: str = ""
    symmetries: bool = False

    def save(self, path: Path) -> None:
        r"""Writes the page, whole or not at all."""

        with replacing(path) as file:
            file.write(self.render().encode())

    def render(self) -> str:
        r"""Returns the page as HTML. Nothing in it is loaded from elsewhere."""

        environment = Environment(
            loader=PackageLoader("pipeline"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        )

        return environment.get_template("report.html.j2").render(
            e=self.evaluation,
            classes=list(self.evaluation.classes),
            columns=COLUMNS,
            headline=HEADLINE,
            bins=BINS,
            title=self.title,
            abstract=_abstract(self.evaluation),
            certainty=_certainty(self.evaluation, sum(self.counts.get("validation", {}).values())),
            runner_up=_runner_up(self.evaluation),
            tables=[*self.tables, *_split_table(self.counts)],
            pictures=_of_scores(self.evaluation) | self._of_data(),
            wrong=self.evaluation.wrong,
            provenance=dict(self.provenance),
            command=self.command,
            configuration=self.configuration,
            symmetries=self.symmetries,
        )

    def _of_data(self) -> dict[str, Picture]:
        r"""Draws what there is of the data and of the training."""

        found = {}
        if self.counts:
            found["balance"] = Picture.of(
                "Classes and parts",
                "Galaxies of each class in each part of the split.",
                figures.class_balance(self.counts),
            )
        if self.sample:
            found["sample"] = Picture.of(
                "What the classes look like",
                "Test galaxies of each class by their label, and how many there are, as the store"
                " holds them. Bands from"
                " blue to red give blue, green and red (Lupton et al., 2004); each galaxy has"
                " its own white. Grey is not covered.",
                self.sample,
                pixels=True,
            )
        if self.mistakes:
            found["mistakes"] = Picture.of(
                "The mistakes the model was surest of",
                "Test galaxies in order of the probability, after calibration, of a class that"
                " is not their label.",
                self.mistakes,
                pixels=True,
            )
        if self.history:
            kept = "" if self.best_epoch is None else " The dotted line is the epoch kept."
            found["learning"] = Picture.of(
                "Epoch by epoch",
                "Training loss is measured on augmented galaxies while the weights still change,"
                f" so it may lie above that of validation.{kept}",
                figures.learning_curves(self.history, self.best_epoch),
            )

        return found


def _of_scores(e: Evaluation) -> dict[str, Picture]:
    many = len(e.metrics) > 1
    ticks = "The short ticks at the right are the shares of the classes, which chance reaches."
    told = ", before and after temperature scaling" if e.model in e.before else ""

    return {
        **(
            {
                "accuracy": Picture.of(
                    "Accuracy of every model",
                    "With 95 % intervals. Intervals may overlap where the paired difference is"
                    " still sure: see tuningfork compare.",
                    figures.score_chart(e, "accuracy"),
                ),
                "macro_f1": Picture.of(
                    "Macro F1 of every model",
                    "The same, each class counting the same however rare it is.",
                    figures.score_chart(e, "macro_f1"),
                ),
            }
            if many
            else {}
        ),
        "confusion": Picture.of(
            "Confusion",
            f"Galaxies of each label (row) by what the {e.model} calls them (column): shares of"
            " the row, and numbers below.",
            figures.confusion_matrix(e),
        ),
        "roc": Picture.of(
            "ROC", "Each class against the rest, as its threshold sinks.", figures.roc_curves(e)
        ),
        "precision_recall": Picture.of(
            "Precision and recall", ticks, figures.precision_recall_curves(e)
        ),
        "reliability": Picture.of(
            "Reliability",
            f"Share of right answers among galaxies of like confidence{told}. Bars are one"
            f" standard error; no line leads to bins of fewer than {figures.FEW} galaxies. Below,"
            " how many galaxies there are.",
            figures.reliability_diagram(e),
        ),
    }


def _abstract(e: Evaluation) -> str:
    best = e.metrics[e.model]["accuracy"]
    text = (
        f"Of {e.galaxies:,} test galaxies in {len(e.classes)} classes, the {e.model} calls"
        f" {best.value:.1%} as they are labelled ({best.low:.1%} to {best.high:.1%})."
    )
    others = [
        f"the {name} {scores['accuracy'].value:.1%}"
        for name, scores in e.metrics.items()
        if name in _rivals(e)
    ]
    if others:
        text += f" On the same galaxies, {', '.join(others)}."

    return f"{text} To always answer with the commonest class gives {e.majority_rate:.1%}."


def _certainty(e: Evaluation, validation: int) -> str:
    after = e.after[e.model].error
    if e.model not in e.before:
        return f"Confidence and accuracy differ by {after:.3f} on average (ECE)."
    temperature = e.temperature.get(e.model, 1.0)
    if abs(math.log(temperature)) < ABOUT_RIGHT:
        tendency = "about as sure as it should be"
    else:
        tendency = "too sure of itself" if temperature > 1 else "less sure than it could be"
    told = f"{validation:,}" if validation else "the"

    return (
        f"Confidence and accuracy differ by {e.before[e.model].error:.3f} on average (ECE) as the"
        f" {e.model} leaves them, and by {after:.3f} after its scores are divided by a temperature"
        f" of {temperature:.2f}, which was fitted on {told} validation galaxies: it"
        f" was {tendency}."
    )


def _rivals(e: Evaluation) -> list[str]:
    r"""The other models, but not the one that looks at no image."""

    return [name for name in e.metrics if name != e.model and not name.startswith("majority")]


def _runner_up(e: Evaluation) -> str:
    r"""The best of the other models that look at galaxies, if there is one."""

    return max(_rivals(e), key=lambda name: e.metrics[name]["accuracy"].value, default="")


def _split_table(counts: Mapping[str, Mapping[str, int]]) -> list[Table]:
    if not counts:
        return []
    rows: list[list[str | int]] = []
    for name in dict.fromkeys(name for part in counts.values() for name in part):
        rows.append([name.replace("_", " "), *(part.get(name, 0) for part in counts.values())])
    rows.append(["all", *(sum(part.values()) for part in counts.values())])

    return [Table("Galaxies by class and part", ["Class", *counts], rows)]

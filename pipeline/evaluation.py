r"""Several models judged on the same galaxies."""

__all__ = [
    "Evaluation",
    "Reliability",
    "Wrong",
    "evaluate",
    "majority_class",
]

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from pipeline.curves import Curve, curves
from pipeline.errors import DataError
from pipeline.files import replacing
from pipeline.metrics import (
    BINS,
    METRICS,
    Difference,
    Interval,
    bootstrap,
    confusion,
    paired_bootstrap,
)

WRONG = 24  # galaxies that are kept, at most


@dataclass(frozen=True)
class Wrong:
    r"""A galaxy that the model was sure of, and wrong about.

    Arguments:
        id: The name of the galaxy.
        row: Its place in the test set.
        true: The class of its label.
        predicted: The class that the model gave it.
        probability: The probability of that class.
        probability_true: The probability of the class of its label.
    """

    id: str
    row: int
    true: str
    predicted: str
    probability: float
    probability_true: float


@dataclass(frozen=True)
class Reliability:
    r"""How often the model is right at each confidence, in bins of equal width.

    Arguments:
        confidence: The mean probability of the predicted class. NaN where the bin is empty.
        accuracy: The share of galaxies that were right. NaN where the bin is empty.
        count: The number of galaxies.
        error: The expected calibration error, as in :func:`pipeline.metrics.measure`.
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    count: tuple[int, ...]
    error: float


@dataclass(frozen=True)
class Evaluation:
    r"""What several models score on one test set. The first is the one that matters.

    Arguments:
        classes: The names of the `K` classes.
        support: The number of test galaxies of each class.
        majority_rate: The share of the most frequent class, which asks for no image at all.
        metrics: For each model, the metrics of the whole set.
        per_class: For each model, `precision`, `recall` and `f1` of each class.
        above: For each model but the first, what the first one has above it in each metric.
        confusion: For each model, the counts of true (row) and predicted class (column).
        temperature: For each model that was calibrated, its temperature.
        before: For each model that was calibrated, its reliability before.
        after: For each model, its reliability.
        roc: For each class, the receiver operating characteristic of the first model.
        precision_recall: For each class, the precision-recall curve of the first model.
        wrong: The galaxies that the first model got most surely wrong, worst first.
        seed: What drew the resamples.
        resamples: The number of bootstrap resamples behind each interval.
    """

    classes: tuple[str, ...]
    support: tuple[int, ...]
    majority_rate: float
    metrics: dict[str, dict[str, Interval]]
    per_class: dict[str, dict[str, tuple[Interval, ...]]]
    above: dict[str, dict[str, Difference]]
    confusion: dict[str, tuple[tuple[int, ...], ...]]
    temperature: dict[str, float]
    before: dict[str, Reliability]
    after: dict[str, Reliability]
    roc: dict[str, Curve]
    precision_recall: dict[str, Curve]
    wrong: tuple[Wrong, ...]
    seed: int
    resamples: int

    @property
    def model(self) -> str:
        r"""The name of the model that matters."""

        return next(iter(self.metrics))

    @property
    def galaxies(self) -> int:
        r"""The number of test galaxies."""

        return sum(self.support)

    @property
    def warning(self) -> str:
        r"""Why not to use the model that matters, empty if nothing speaks against it."""

        scores = self.metrics[self.model]
        reached, balanced = (scores[name].value for name in ("accuracy", "balanced_accuracy"))
        # One that finds rare classes may well be wrong more often than the commonest one is
        if reached > self.majority_rate or balanced > self._chance:
            return ""

        return (
            f"accuracy {reached:.3f}, where always the commonest class gives"
            f" {self.majority_rate:.3f}; do not use it"
        )

    @property
    def baselines(self) -> list[str]:
        r"""The other models that look at galaxies, but for those that the first is a part of."""

        others = [name for name in self.metrics if name != self.model]

        return [name for name in others if not name.startswith((f"{self.model} +", "majority"))]

    @property
    def doubt(self) -> str:
        r"""What else speaks against the model, empty if nothing does: that it may be better than
        the commonest class by chance, and which baseline is measurably better."""

        return "; ".join(told for told in (self._luck, self._rival) if told)

    @property
    def _chance(self) -> float:
        r"""The balanced accuracy of an answer that is always the same."""

        return 1 / sum(n > 0 for n in self.support)

    @property
    def _luck(self) -> str:
        r"""What the model may have by chance, in the sense of :attr:`warning`."""

        reached, balanced = (
            self.metrics[self.model][name] for name in ("accuracy", "balanced_accuracy")
        )
        above = reached.low > self.majority_rate or balanced.low > self._chance
        if above or self.warning:
            return ""

        return (
            f"accuracy {reached.value:.3f} ({reached.low:.3f} to {reached.high:.3f}), not"
            f" measurably above that of always the commonest class, {self.majority_rate:.3f}"
        )

    @property
    def _rival(self) -> str:
        r"""Which baseline is better in macro F1, where accuracy is not better instead."""

        gaps = {name: self.above[name] for name in self.baselines}
        better = [
            name
            for name, gap in gaps.items()
            if gap["macro_f1"].sure
            and gap["macro_f1"].value < 0
            and not (gap["accuracy"].sure and gap["accuracy"].value > 0)
        ]
        if not better:
            return ""
        best = min(better, key=lambda name: self.above[name]["macro_f1"].value)
        reached = [self.metrics[name]["macro_f1"].value for name in (self.model, best)]
        gap = self.above[best]["macro_f1"]

        return (
            f"macro F1 {reached[0]:.3f}, measurably below that of the {best}, {reached[1]:.3f}"
            f" (difference {gap.value:+.3f}, {gap.low:+.3f} to {gap.high:+.3f})"
        )

    def summary(self) -> dict[str, float]:
        r"""Returns the finite numbers of the first model, flat, as a tracker wants them."""

        flat = {name: interval.value for name, interval in self.metrics[self.model].items()}
        flat["majority_rate"] = self.majority_rate
        if self.model in self.before:
            flat["calibration_error_before"] = self.before[self.model].error
        for name in ("precision", "recall"):
            values = zip(self.classes, self.per_class[self.model][name], strict=True)
            flat |= {f"{name}/{label}": interval.value for label, interval in values}

        return {name: value for name, value in flat.items() if math.isfinite(value)}

    def save(self, path: Path) -> None:
        r"""Writes the evaluation as JSON, where NaN is null."""

        with replacing(path) as file:
            file.write(json.dumps(_plain(asdict(self)), indent=1, allow_nan=False).encode())

    @classmethod
    def load(cls, path: Path) -> Self:
        r"""Reads what :meth:`save` wrote.

        Raises:
            DataError: If the file is missing, or is no evaluation.
        """

        if not path.is_file():
            raise DataError(f"{path} is missing, expected the evaluation of a run")
        try:
            return TypeAdapter(cls).validate_python(_numbers(json.loads(path.read_bytes())))
        except (ValidationError, json.JSONDecodeError) as error:
            raise DataError(f"{path} is no evaluation: {error}") from error


def evaluate(
    probabilities: Mapping[str, NDArray],
    labels: NDArray,
    classes: Sequence[str],
    seed: int = 0,
    *,
    ids: Sequence[str] | None = None,
    uncalibrated: Mapping[str, NDArray] | None = None,
    temperature: Mapping[str, float] | None = None,
    resamples: int = 1000,
) -> Evaluation:
    r"""Judges several models on the same galaxies.

    Arguments:
        probabilities: For each model, the probability of each class, with shape `(N, K)`. The
            first model is the one that matters: curves and mistakes are its own.
        labels: The index of the true class, with shape `(N,)`.
        classes: The names of the `K` classes.
        seed: Seeds the resamples. All models see the same ones.
        ids: The names of the galaxies. By default, their places.
        uncalibrated: For each model that was calibrated, what it said before.
        temperature: For each model that was calibrated, its temperature.
        resamples: The number of bootstrap resamples behind each interval.

    Returns:
        The evaluation.

    Raises:
        DataError: If there is no galaxy, or if a model does not fit the labels or the classes.
    """

    for name, p in {**probabilities, **(uncalibrated or {})}.items():
        if p.shape != (len(labels), len(classes)):
            raise DataError(
                f"{name} has probabilities {p.shape}, expected {(len(labels), len(classes))}"
            )

    first = next(iter(probabilities.values()))
    scores = {
        name: bootstrap(p, labels, resamples=resamples, seed=seed)
        for name, p in probabilities.items()
    }
    support = np.bincount(labels, minlength=len(classes))
    roc, precision_recall = curves(first, labels, classes)

    return Evaluation(
        classes=tuple(classes),
        support=tuple(support.tolist()),
        majority_rate=float(support.max() / support.sum()),
        metrics={name: {m: score[m][0] for m in METRICS} for name, score in scores.items()},
        per_class={
            name: {m: tuple(score[m]) for m in ("precision", "recall", "f1")}
            for name, score in scores.items()
        },
        above={
            name: paired_bootstrap(first, p, labels, resamples=resamples, seed=seed)
            for name, p in list(probabilities.items())[1:]
        },
        confusion={
            name: tuple(map(tuple, confusion(p, labels).tolist()))
            for name, p in probabilities.items()
        },
        temperature=dict(temperature or {}),
        before={name: _reliability(p, labels) for name, p in (uncalibrated or {}).items()},
        after={name: _reliability(p, labels) for name, p in probabilities.items()},
        roc=roc,
        precision_recall=precision_recall,
        wrong=_wrong(first, labels, classes, ids or [str(n) for n in range(len(labels))]),
        seed=seed,
        resamples=resamples,
    )


def majority_class(labels: NDArray, classes: int, galaxies: int) -> NDArray[np.float64]:
    r"""Predicts the most frequent class of the training set, whatever the galaxy.

    Arguments:
        labels: The index of the class of each training galaxy, with shape `(M,)`.
        classes: The number of classes `K`.
        galaxies: The number of galaxies to classify, `N`.

    Returns:
        The share of each class among `labels`, for each galaxy, with shape `(N, K)`.

    Example:
        >>> majority_class(np.array([0, 0, 1, 0]), 2, 1)
        array([[0.75, 0.25]])
    """

    shares = np.bincount(labels, minlength=classes) / len(labels)

    return np.tile(shares, (galaxies, 1))


def _reliability(p: NDArray, labels: NDArray) -> Reliability:
    confidence = p.max(axis=1).astype(np.float64)
    right = p.argmax(axis=1) == labels
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    sums = [np.bincount(bins, weights, minlength=BINS) for weights in (confidence, right)]
    means = [
        np.divide(s, count, out=np.full(BINS, np.nan), where=count > 0).tolist() for s in sums
    ]
    error = float(np.abs(sums[0] - sums[1]).sum() / len(labels))

    return Reliability(tuple(means[0]), tuple(means[1]), tuple(count.tolist()), error)


def _wrong(
    p: NDArray, labels: NDArray, classes: Sequence[str], ids: Sequence[str]
) -> tuple[Wrong, ...]:
    best = p.argmax(axis=1)
    mistakes = np.flatnonzero(best != labels)
    worst = mistakes[np.argsort(-p[mistakes, best[mistakes]], kind="stable")][:WRONG].tolist()

    return tuple(
        Wrong(
            id=str(ids[n]),
            row=n,
            true=classes[labels[n]],
            predicted=classes[best[n]],
            probability=float(p[n, best[n]]),
            probability_true=float(p[n, labels[n]]),
        )
        for n in worst
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]

    return None if isinstance(value, float) and math.isnan(value) else value


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]

    return math.nan if value is None else value

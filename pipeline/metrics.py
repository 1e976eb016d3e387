r"""How good predictions are, and how sure one can be of it."""

__all__ = [
    "BINS",
    "METRICS",
    "Difference",
    "Interval",
    "bootstrap",
    "confusion",
    "measure",
    "paired_bootstrap",
]

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError

METRICS: dict[str, bool] = {
    "accuracy": True,
    "balanced_accuracy": True,
    "macro_f1": True,
    "weighted_f1": True,
    "log_loss": False,
    "brier": False,
    "calibration_error": False,
}
r"""The metrics of a whole sample, and whether more is better."""

OF_ANSWERS = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1")
r"""The metrics that know of the probabilities only which class has the largest."""

BINS: int = 15
r"""The number of bins of confidence, as in Guo et al. (2017)."""

CELLS = 4_000_000  # at most as many weights at a time: 32 MB


@dataclass(frozen=True)
class Interval:
    r"""A number and the interval that holds 95 % of its bootstrap resamples.

    Arguments:
        value: The number, on the sample itself. NaN where it is not defined.
        low: The 2.5th percentile of the resamples.
        high: The 97.5th percentile of the resamples.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    r"""What a first model scores above a second one, on the same galaxies.

    Arguments:
        value: The difference, first minus second.
        low: The 2.5th percentile of the resampled differences.
        high: The 97.5th percentile of the resampled differences.
        p_value: How often chance alone would do as much, from both tails of the resamples; no
            less than one in so many resamples, nor than if all galaxies that are answered
            differently, as many as they are, had been tossed for.
    """

    value: float
    low: float
    high: float
    p_value: float

    @property
    def sure(self) -> bool:
        r"""Whether chance would do as much in less than one of twenty test sets, and the
        interval leaves out 0."""

        return self.p_value < 0.05 and not self.low <= 0 <= self.high


def measure(
    probabilities: NDArray,
    labels: NDArray,
    weights: NDArray | None = None,
) -> dict[str, NDArray[np.float64]]:
    r"""Computes every metric, of one sample or of many resamples of it at once.

    With :math:`p_{nk}` the probabilities, :math:`y_n` the labels and :math:`w_n` the weights,
    which are normalised to :math:`\sum_n w_n = 1`,

    .. math::
        \text{log loss} &= -\sum_n w_n \ln p_{n y_n} \\
        \text{Brier} &= \sum_n w_n \sum_k (p_{nk} - [k = y_n])^2 \\
        \text{calibration error} &= \sum_b \Big| \sum_{n \in b} w_n
            \big( [\hat y_n = y_n] - p_{n \hat y_n} \big) \Big|

    where the bins :math:`b` cut the confidence :math:`p_{n \hat y_n}` of the predicted class
    :math:`\hat y_n` into 15 of equal width. The Brier score goes from 0 to 2. Balanced accuracy
    is the mean recall of the classes that have a galaxy, macro F1 the mean of the classes that
    have one or are predicted, and weighted F1 weighs them by their galaxies.

    References:
        | On Calibration of Modern Neural Networks (Guo et al., 2017)
        | https://arxiv.org/abs/1706.04599
        | Verification of Forecasts Expressed in Terms of Probability (Brier, 1950)
        | https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2

    Arguments:
        probabilities: The probability of each class, with shape `(N, K)`.
        labels: The index of the true class, with shape `(N,)`.
        weights: How often each galaxy counts in each of `R` resamples, with shape `(R, N)`.
            By default, once, in one.

    Returns:
        The metrics of :data:`METRICS`, each with shape `(R,)`, and those of each class,
        `precision`, `recall` and `f1`, each with shape `(R, K)`. The precision of a class that
        is never predicted is NaN, and so is the recall of a class without a galaxy.

    Raises:
        DataError: If a row of `probabilities` is no distribution, or a label no class.

    Example:
        >>> scores = measure(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 1]))
        >>> scores["accuracy"], scores["brier"].round(2)
        (array([0.5]), array([0.37]))
    """

    return _scorer(probabilities, labels)(
        np.ones((1, len(labels))) if weights is None else weights
    )


def confusion(probabilities: NDArray, labels: NDArray) -> NDArray[np.int64]:
    r"""Counts the galaxies of each true class (row) and predicted class (column).

    Arguments:
        probabilities: The probability of each class, with shape `(N, K)`.
        labels: The index of the true class, with shape `(N,)`.

    Returns:
        The counts, with shape `(K, K)`.
    """

    _check(probabilities, labels)
    classes = probabilities.shape[1]
    cells = np.bincount(labels * classes + probabilities.argmax(axis=1), minlength=classes**2)

    return cells.reshape(classes, classes)


def bootstrap(
    probabilities: NDArray, labels: NDArray, *, resamples: int = 1000, seed: int = 0
) -> dict[str, list[Interval]]:
    r"""Computes every metric with the interval of its bootstrap resamples.

    References:
        | An Introduction to the Bootstrap (Efron & Tibshirani, 1993)
        | https://doi.org/10.1201/9780429246593

    Arguments:
        probabilities: The probability of each class, with shape `(N, K)`.
        labels: The index of the true class, with shape `(N,)`.
        resamples: The number of samples of `N` galaxies, drawn with replacement.
        seed: The same seed draws the same galaxies.

    Returns:
        The metrics of :func:`measure`: one interval for the whole sample, or one per class.
    """

    score = _scorer(probabilities, labels)
    drawn = _gather(score(weights) for weights in _draws(len(labels), resamples, seed))

    return {
        name: [
            Interval(*map(float, numbers))
            for numbers in zip(value, *_bounds(drawn[name]), strict=True)
        ]
        for name, value in _points(score, len(labels)).items()
    }


def paired_bootstrap(
    first: NDArray, second: NDArray, labels: NDArray, *, resamples: int = 1000, seed: int = 0
) -> dict[str, Difference]:
    r"""Compares two models on the same resamples of the same galaxies.

    Much of the noise of a test set is shared by both models and cancels in their difference,
    which is why two intervals that overlap can still belong to different models. Resamples of
    the :math:`n` galaxies that both answer differently know nothing but these: a sign test has
    :math:`p \ge 2^{1 - n}`, which is the least that is told.

    Arguments:
        first: The probabilities of one model, with shape `(N, K)`.
        second: The probabilities of the other model, with shape `(N, K)`.
        labels: The index of the true class, with shape `(N,)`.
        resamples: The number of samples of `N` galaxies, drawn with replacement.
        seed: The same seed draws the same galaxies.

    Returns:
        For each metric of :data:`METRICS`, what `first` has above `second`.
    """

    scorers = _scorer(first, labels), _scorer(second, labels)
    answers = int((first.argmax(axis=1) != second.argmax(axis=1)).sum())
    probabilities = int((first != second).any(axis=1).sum())
    one, two = (_points(score, len(labels)) for score in scorers)
    drawn = _gather(
        {name: a - b for (name, a), b in zip(ours.items(), theirs.values(), strict=True)}
        for weights in _draws(len(labels), resamples, seed)
        for ours, theirs in [tuple(score(weights) for score in scorers)]
    )

    differences = {}
    for name in METRICS:
        low, high = _bounds(drawn[name])
        tail = min((drawn[name] <= 0).mean(), (drawn[name] >= 0).mean())
        tossed = 2.0 ** (1 - (answers if name in OF_ANSWERS else probabilities))
        p_value = min(1.0, max(2 * tail, 1 / resamples, tossed))
        numbers = one[name][0] - two[name][0], low[0], high[0], p_value
        differences[name] = Difference(*map(float, numbers))

    return differences


Scorer = Callable[[NDArray], dict[str, NDArray[np.float64]]]


def _scorer(probabilities: NDArray, labels: NDArray) -> Scorer:
    r"""Prepares what every resample shares, so that each is only a matrix product."""

    _check(probabilities, labels)
    count, classes = probabilities.shape
    p = probabilities.astype(np.float64)
    rows, truth = np.arange(count), np.eye(classes)[labels]
    best = p.argmax(axis=1)
    chosen = p[rows, best]

    cells = np.eye(classes**2)[labels * classes + best]  # (N, K * K)
    bins = np.eye(BINS)[np.minimum((chosen * BINS).astype(np.int64), BINS - 1)]
    gaps = bins * ((best == labels) - chosen)[:, None]  # (N, bins)
    losses = np.stack(
        [-np.log(p[rows, labels].clip(np.finfo(p.dtype).eps)), np.square(p - truth).sum(axis=1)],
        axis=1,
    )

    def score(weights: NDArray) -> dict[str, NDArray[np.float64]]:
        w = weights.astype(np.float64)
        total = w.sum(axis=1)
        log_loss, brier = (w @ losses).T / total
        table = (w @ cells).reshape(-1, classes, classes)

        return _from_confusion(table) | {
            "log_loss": log_loss,
            "brier": brier,
            "calibration_error": np.abs(w @ gaps).sum(axis=1) / total,
        }

    return score


def _from_confusion(table: NDArray) -> dict[str, NDArray[np.float64]]:
    r"""Computes what needs only the counts of true and predicted classes, `(R, K, K)`."""

    hits = np.diagonal(table, axis1=1, axis2=2)
    actual, predicted = table.sum(axis=2), table.sum(axis=1)
    recall, precision = _ratio(hits, actual), _ratio(hits, predicted)
    f1 = _ratio(2 * hits, actual + predicted)

    return {
        "accuracy": hits.sum(axis=1) / actual.sum(axis=1),
        "balanced_accuracy": _mean(recall),
        "macro_f1": _mean(f1),
        "weighted_f1": (np.nan_to_num(f1) * actual).sum(axis=1) / actual.sum(axis=1),
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def _ratio(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    return np.divide(a, b, out=np.full(a.shape, np.nan), where=b > 0)


def _mean(x: NDArray) -> NDArray[np.float64]:
    return np.nan_to_num(x).sum(axis=1) / np.isfinite(x).sum(axis=1)


def _points(score: Scorer, count: int) -> dict[str, NDArray]:
    return {name: value.reshape(-1) for name, value in score(np.ones((1, count))).items()}


def _draws(count: int, resamples: int, seed: int) -> Iterator[NDArray]:
    r"""Draws how often each galaxy counts, some resamples at a time to bound the memory."""

    rng = np.random.default_rng(seed)
    step = max(1, CELLS // count)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        yield np.bincount(drawn.reshape(-1), minlength=rows * count).reshape(rows, count)


def _gather(parts: Iterator[dict[str, NDArray]]) -> dict[str, NDArray]:
    listed = list(parts)

    return {name: np.concatenate([part[name] for part in listed]) for name in listed[0]}


def _bounds(drawn: NDArray) -> NDArray:
    r"""The percentiles over the resamples where the number is defined, `(2, 1)` or `(2, K)`."""

    columns = drawn.reshape(len(drawn), -1).T
    defined = [column[np.isfinite(column)] for column in columns]

    return np.array(
        [np.percentile(c, [2.5, 97.5]) if c.size else [np.nan, np.nan] for c in defined]
    ).T


def _check(probabilities: NDArray, labels: NDArray) -> None:
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not len(labels):
        raise DataError(
            f"probabilities {probabilities.shape} and labels {labels.shape} do not fit,"
            " expected (N, K) and (N,) with N > 0"
        )
    if not np.isfinite(probabilities).all() or (abs(probabilities.sum(axis=1) - 1) > 1e-3).any():
        raise DataError("probabilities are not finite, or do not sum to one in each row")
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise DataError(
            f"labels go from {labels.min()} to {labels.max()}, expected 0 to"
            f" {probabilities.shape[1] - 1}"
        )

r"""The methods that a network has to beat."""

__all__ = ["BASELINES", "fit_baseline", "measurements", "probabilities"]

import logging

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import QuantileTransformer
from sklearn.svm import SVC

from pipeline.compilation import compile_once
from pipeline.descriptors import numbers
from pipeline.errors import ConfigError, DataError, suggest
from pipeline.store import Store
from pipeline.workers import in_order

BASELINES = ("forest", "svm")

QUANTILES = 200
r"""The number of quantiles that tell the rank of a number."""

FOLDS = 5
r"""The number of parts on which the scores of a support vector machine become probabilities."""

MOST = 20_000
r"""The number of galaxies that a support vector machine learns from at most: its cost grows with
the square of it, and 20,000 take a minute."""

TASK = 64
r"""The number of galaxies that a worker is handed at once."""

_log = logging.getLogger(__name__)


def measurements(store: Store, rows: NDArray[np.int64], workers: int = 1) -> NDArray[np.float32]:
    r"""Measures galaxies of a store, see :func:`pipeline.descriptors.numbers`.

    Arguments:
        store: The store.
        rows: Rows of its manifest that have pixels, with shape `(N,)`.
        workers: The number of processes.

    Returns:
        The numbers, NaN where undefined, with shape `(N, D)`.
    """

    if workers > 1:
        compile_once()
    blocks = (rows[i : i + TASK] for i in range(0, len(rows), TASK))
    tasks = ((store.gather(block), store.info.bands) for block in blocks)

    return np.concatenate([*in_order(numbers, tasks, workers)])


def fit_baseline(kind: str, numbers: NDArray, labels: NDArray, seed: int = 0) -> Pipeline:
    r"""Fits a classical classifier to the numbers of galaxies.

    `forest` is a random forest of 500 trees. A galaxy weighs the inverse root of the number of
    its class, so that rare classes are not lost among the common ones, and what is undefined is
    taken as it is. `svm` is a support vector machine with a Gaussian kernel, whose scores become
    probabilities by sigmoids that are fitted to held-out folds. For it what is undefined is
    replaced by the median, and each number by the normal deviate of its rank, as some have
    tails without end; it learns from 20,000 galaxies at most, with the same share of each class.

    References:
        | Random Forests (Breiman, 2001)
        | https://doi.org/10.1023/A:1010933404324
        | Probabilistic Outputs for Support Vector Machines (Platt, 1999)

    Arguments:
        kind: One of `forest` and `svm`.
        numbers: What is known of each galaxy, NaN where undefined, with shape `(N, D)`.
        labels: The index of the class of each, with shape `(N,)`.
        seed: The same seed gives the same classifier.

    Returns:
        A scikit-learn pipeline with `predict_proba`, see :func:`probabilities`. A class with
        fewer than two galaxies is unknown to it.

    Raises:
        ConfigError: If there is no such method.
        DataError: If fewer than two classes have two galaxies.
    """

    if kind not in BASELINES:
        raise ConfigError(f"unknown baseline {kind!r}, {suggest(kind, BASELINES)}")

    counts = np.bincount(labels)
    known = counts[labels] >= 2
    if (counts >= 2).sum() < 2:
        raise DataError(f"{kind}: classes of {counts.tolist()} galaxies, expected 2 in 2 or more")

    fit = _forest if kind == "forest" else _machine

    return fit(numbers[known], labels[known], seed)


def _forest(numbers: NDArray, labels: NDArray, seed: int) -> Pipeline:
    forest = RandomForestClassifier(
        500, max_features=0.3, min_samples_leaf=2, random_state=seed, n_jobs=-1
    )
    weights = np.bincount(labels)[labels] ** -0.5
    fitted = make_pipeline(forest)
    fitted.fit(numbers, labels, randomforestclassifier__sample_weight=weights)
    forest.n_jobs = 1  # threads add up the trees in any order, which shows in the last digit

    return fitted


def _machine(numbers: NDArray, labels: NDArray, seed: int) -> Pipeline:
    if len(labels) > MOST:
        _log.warning("svm: learns from %d of %d galaxies, as more take hours", MOST, len(labels))
        chosen = _share(labels, MOST / len(labels), seed)
        numbers, labels = numbers[chosen], labels[chosen]
    counts = np.bincount(labels)
    folds = StratifiedKFold(
        int(min(FOLDS, counts[counts > 0].min())), shuffle=True, random_state=seed
    )
    ranks = QuantileTransformer(
        n_quantiles=min(QUANTILES, len(labels)), output_distribution="normal", random_state=seed
    )

    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        ranks,
        CalibratedClassifierCV(SVC(C=3.0), cv=folds, ensemble=False),
    ).fit(numbers, labels)


def _share(labels: NDArray, share: float, seed: int) -> NDArray[np.int64]:
    r"""Returns rows of a share of each class, and enough of each for the folds."""

    rng, chosen = np.random.default_rng(seed), []
    for k in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == k))
        chosen.append(rows[: max(round(share * len(rows)), FOLDS)])

    return np.sort(np.concatenate(chosen))


def probabilities(baseline: Pipeline, numbers: NDArray, num_classes: int) -> NDArray[np.float64]:
    r"""Returns the probability of every class, 0 of one that the baseline never saw.

    Arguments:
        baseline: What :func:`fit_baseline` returned.
        numbers: What is known of each galaxy, with shape `(N, D)`.
        num_classes: The number of classes :math:`K`.

    Returns:
        The probabilities, with shape `(N, K)`.
    """

    p = np.zeros((len(numbers), num_classes))
    if len(numbers):
        p[:, baseline.classes_] = baseline.predict_proba(numbers)

    return p

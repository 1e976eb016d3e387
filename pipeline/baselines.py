r"""The methods that a network has to beat."""

__all__ = ["BASELINES", "fit_baseline", "probabilities"]

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from pipeline.errors import ConfigError, DataError, suggest

BASELINES = ("forest", "svm")


def fit_baseline(kind: str, numbers: NDArray, labels: NDArray, seed: int = 0) -> Pipeline:
    r"""Fits a classical classifier to the numbers of galaxies.

    `forest` is a random forest of 500 trees. `svm` is a support vector machine with a Gaussian
    kernel on standardized numbers, whose scores become probabilities by sigmoids that are
    fitted to held-out folds.

    References:
        | Random Forests (Breiman, 2001)
        | https://doi.org/10.1023/A:1010933404324
        | Probabilistic Outputs for Support Vector Machines (Platt, 1999)

    Arguments:
        kind: One of `forest` and `svm`.
        numbers: What is known of each galaxy, with shape `(N, D)`.
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

    method: RandomForestClassifier | CalibratedClassifierCV
    if kind == "forest":
        method = RandomForestClassifier(500, min_samples_leaf=2, random_state=seed, n_jobs=-1)
    else:
        folds = StratifiedKFold(
            int(min(5, counts[counts >= 2].min())), shuffle=True, random_state=seed
        )
        method = CalibratedClassifierCV(SVC(C=3.0), cv=folds, ensemble=False)

    fitted = make_pipeline(StandardScaler(), method).fit(numbers[known], labels[known])
    if kind == "forest":
        method.n_jobs = 1  # threads add up the trees in any order, which shows in the last digit

    return fitted


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

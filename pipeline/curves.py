r"""What a class scores against the rest at any threshold."""

__all__ = ["Curve", "curves"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

POINTS = 200  # of a curve that are kept, at most


@dataclass(frozen=True)
class Curve:
    r"""A line of a figure, of one class against the rest.

    Arguments:
        x: The false-positive rate, or the recall. Empty for a class without a galaxy.
        y: The true-positive rate, or the precision.
        area: The area under it, or the average precision. NaN for a class without a galaxy.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    area: float


def curves(
    p: NDArray, labels: NDArray, classes: Sequence[str]
) -> tuple[dict[str, Curve], dict[str, Curve]]:
    r"""Draws the curves of each class against the rest, as its threshold sinks.

    Average precision is :math:`\sum_n (R_n - R_{n-1}) P_n` over the steps of the recall, each
    with the best precision that reaches it.

    Arguments:
        p: The probability of each class, with shape `(N, K)`.
        labels: The index of the true class, with shape `(N,)`.
        classes: The names of the `K` classes.

    Returns:
        The receiver operating characteristics and the precision-recall curves, by class.
    """

    roc, precision_recall = {}, {}
    for k, name in enumerate(classes):
        true = labels == k
        if true.all() or not true.any():
            roc[name] = precision_recall[name] = Curve((), (), math.nan)
            continue
        x, y, _ = roc_curve(true, p[:, k])
        roc[name] = _thin(x, y, auc(x, y))
        precision, recall, _ = precision_recall_curve(true, p[:, k], drop_intermediate=True)
        best = np.append(recall[1:] != recall[:-1], True)  # at each recall, the last one
        area = average_precision_score(true, p[:, k])
        precision_recall[name] = _thin(recall[best], precision[best], area)

    return roc, precision_recall


def _thin(x: NDArray, y: NDArray, area: float) -> Curve:
    r"""Keeps points that lie evenly along the curve, its ends among them."""

    steps = np.abs(np.diff(x)) + np.abs(np.diff(y))
    length = np.concatenate([[0.0], np.cumsum(steps)])
    kept = np.unique(np.searchsorted(length, np.linspace(0, length[-1], POINTS)))
    kept = np.union1d(kept, [0, len(x) - 1])

    return Curve(tuple(x[kept].tolist()), tuple(y[kept].tolist()), float(area))

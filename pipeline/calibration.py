r"""Probabilities that mean what they say."""

__all__ = ["apply", "fit_temperature"]

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from pipeline.errors import DataError

LIMIT = 10.0

SPREAD = float(np.log(2))
r"""The standard deviation of the logarithm of temperatures, as far as no galaxy tells."""


def fit_temperature(logits: NDArray, labels: NDArray) -> float:
    r"""Finds the likeliest temperature, given a validation set.

    .. math:: T = \arg\min_T \frac{\ln^2 T}{2 \ln^2 2}
        - \sum_n \ln \mathrm{softmax}(z_n / T)_{y_n}

    from 1/10 to 10. No class changes, only how sure each is. The first term says that a factor
    of two either way is common, before any galaxy is seen: it decides where a handful of
    galaxies, or galaxies that all are right, would lead to certainty, and is lost among
    hundreds.

    References:
        | On Calibration of Modern Neural Networks (Guo et al., 2017)
        | https://arxiv.org/abs/1706.04599

    Arguments:
        logits: The unnormalised scores :math:`z`, with shape `(N, K)`.
        labels: The index of the true class :math:`y`, with shape `(N,)`.

    Returns:
        The temperature. Above 1, the model was too sure of itself.

    Raises:
        DataError: If there is no galaxy, or if a logit is not finite.

    Example:
        >>> z = np.array([[4.0, 0.0]] * 3 + [[0.0, 4.0]])
        >>> round(fit_temperature(np.tile(z, (99, 1)), np.zeros(396, np.int64)), 2)
        3.54
    """

    if labels.size == 0 or labels.shape != logits.shape[:1]:
        raise DataError(f"logits {logits.shape} do not fit labels {labels.shape}, or are none")
    if not np.isfinite(logits).all():
        raise DataError(f"{(~np.isfinite(logits)).any(axis=1).sum()} galaxies have a NaN logit")

    z = logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        scores = log_softmax(z * np.exp(-log_temperature), axis=1)
        return (log_temperature / SPREAD) ** 2 / 2 - scores[np.arange(len(z)), labels].sum()

    bound = np.log(LIMIT)
    found = minimize_scalar(
        loss, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-6}
    )

    return float(np.exp(found.x))


def apply(logits: NDArray, temperature: float = 1.0) -> NDArray[np.float64]:
    r"""Turns logits into probabilities.

    Arguments:
        logits: The unnormalised scores, with shape `(N, K)`.
        temperature: The temperature :math:`T` they are divided by.

    Returns:
        The probabilities, with shape `(N, K)`.
    """

    return softmax(logits.astype(np.float64) / temperature, axis=1)

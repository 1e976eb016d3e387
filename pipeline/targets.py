r"""How a network answers a scheme."""

__all__ = ["ClassTarget"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.errors import ConfigError


class ClassTarget(nn.Module):
    r"""Creates the target of a scheme of classes: one score per class, exactly one is true.

    With the scores :math:`z`, the true class :math:`y`, the smoothing :math:`\epsilon` and the
    weights :math:`w`, the loss of a batch is

    .. math:: L = \frac{\sum_b \sum_k w_k \, q_{bk} \, (-\ln p_{bk})}{\sum_b w_{y_b}}
        \quad \text{with} \quad q_{bk} = (1 - \epsilon) [k = y_b] + \frac{\epsilon}{K}
        \quad \text{and} \quad p = \mathrm{softmax}(z)

    A pair of classes that a mirror swaps is told apart by little, which is learnt late. As
    :math:`p_y = (p_y + p_{m(y)}) \cdot p_y / (p_y + p_{m(y)})`, the logarithm of the second
    factor, which is the hand of a galaxy that has one, can weigh more without moving the
    probabilities that minimize the loss, where neither smoothing nor weights do. With the
    mirror :math:`m` and the weight :math:`\lambda`, it adds

    .. math:: \frac{\lambda - 1}{B} \sum_{b: m(y_b) \neq y_b}
        -\ln \frac{p_{b y_b}}{p_{b y_b} + p_{b m(y_b)}}

    References:
        | Rethinking the Inception Architecture for Computer Vision (Szegedy et al., 2015)
        | https://arxiv.org/abs/1512.00567

    Arguments:
        smoothing: The share :math:`\epsilon` of each label that all classes divide.
        weights: The weight of each class :math:`w`, with shape `(K,)`. One each by default.
        mirror: The index of the mirror image of each class, with shape `(K,)`. By default,
            each class is its own.
        handedness: The weight :math:`\lambda` of the hand of a galaxy.
    """

    weights: Tensor | None
    mirror: Tensor | None

    def __init__(
        self,
        smoothing: float = 0.0,
        weights: Sequence[float] | None = None,
        mirror: Sequence[int] | None = None,
        handedness: float = 1.0,
    ) -> None:
        super().__init__()

        self.smoothing = smoothing
        self.handedness = handedness
        self.register_buffer(
            "mirror", None if mirror is None else torch.tensor(mirror), persistent=False
        )
        self.register_buffer(
            "weights", None if weights is None else torch.tensor(weights), persistent=False
        )

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        r"""
        Arguments:
            scores: The class scores :math:`z`, with shape `(B, K)`.
            labels: The index of the true class :math:`y`, with shape `(B,)`.

        Returns:
            The loss :math:`L`, with shape `()`.
        """

        if self.weights is not None and len(self.weights) != scores.shape[1]:
            raise ConfigError(
                f"class_weights has {len(self.weights)} numbers, expected {scores.shape[1]}"
            )

        scores = scores.float()
        loss = F.cross_entropy(scores, labels, weight=self.weights, label_smoothing=self.smoothing)
        if self.mirror is None or self.handedness == 1:
            return loss

        partner = self.mirror[labels]
        own, other = (scores.gather(1, k[:, None])[:, 0] for k in (labels, partner))
        hand = F.softplus(other - own) * (partner != labels)

        return loss + (self.handedness - 1) * hand.mean()

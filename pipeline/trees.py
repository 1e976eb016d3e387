r"""A random forest as arrays, to be kept beside a network and to answer together with it."""

__all__ = ["Trees", "pool"]

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.ensemble import RandomForestClassifier

LEAST = 1e-3
r"""The least probability of a class by a forest, about that of one tree of many."""

BLOCK = 256
r"""The number of galaxies that are led down at once."""


@dataclass(frozen=True, eq=False)
class Trees:
    r"""Many decision trees, whose answers are averaged.

    A node of a tree asks whether a number is at most a threshold, and passes a galaxy on to the
    lower or the higher node below it, up to a leaf, which knows the shares of the classes.

    References:
        | Random Forests (Breiman, 2001)
        | https://doi.org/10.1023/A:1010933404324

    Arguments:
        roots: The node that each of the :math:`T` trees begins with, with shape `(T,)`.
        lower: The lower node below each of the :math:`M` nodes of all trees, itself below a leaf,
            with shape `(M,)`.
        higher: The higher one, with shape `(M,)`.
        number: Which of the numbers of a galaxy each node asks for, with shape `(M,)`.
        threshold: What it is compared with, with shape `(M,)`.
        blank: Whether a galaxy without that number is passed to the lower node, with shape `(M,)`.
        shares: The probability of each class, with shape `(M, K)`.
    """

    roots: NDArray[np.int32]
    lower: NDArray[np.int32]
    higher: NDArray[np.int32]
    number: NDArray[np.int32]
    threshold: NDArray[np.float64]
    blank: NDArray[np.bool_]
    shares: NDArray[np.float32]

    @classmethod
    def of(cls, forest: RandomForestClassifier, num_classes: int) -> Self:
        r"""Takes a forest of scikit-learn apart, whose classes are indices below `num_classes`."""

        trees = [one.tree_ for one in forest.estimators_]
        roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
        joined = {
            name: np.concatenate([getattr(tree, name) for tree in trees])
            for name in ("children_left", "children_right", "feature", "threshold")
        }
        first = np.repeat(roots, [tree.node_count for tree in trees])
        leaf, itself = joined["children_left"] < 0, np.arange(len(first))
        shares = np.zeros((len(first), num_classes), np.float32)
        values = np.concatenate([tree.value[:, 0] for tree in trees])
        shares[:, forest.classes_] = values / values.sum(axis=1, keepdims=True)

        return cls(
            roots.astype(np.int32),
            np.where(leaf, itself, first + joined["children_left"]).astype(np.int32),
            np.where(leaf, itself, first + joined["children_right"]).astype(np.int32),
            np.where(leaf, 0, joined["feature"]).astype(np.int32),
            joined["threshold"],
            np.concatenate([tree.missing_go_to_left for tree in trees]).astype(np.bool_),
            shares,
        )

    def probabilities(self, numbers: NDArray) -> NDArray[np.float64]:
        r"""Returns the mean answer of the trees.

        Arguments:
            numbers: What is known of each galaxy, NaN where undefined, with shape `(N, D)`.

        Returns:
            The probabilities, with shape `(N, K)`.
        """

        blocks = np.split(numbers.astype(np.float32), range(BLOCK, len(numbers), BLOCK))

        return np.concatenate([self._block(block) for block in blocks])

    def _block(self, numbers: NDArray[np.float32]) -> NDArray[np.float64]:
        node = np.repeat(self.roots[:, None], len(numbers), axis=1)  # (T, N)
        galaxy = np.arange(len(numbers))
        while True:
            value = numbers[galaxy, self.number[node]]
            low = np.where(np.isnan(value), self.blank[node], value <= self.threshold[node])
            below = np.where(low, self.lower[node], self.higher[node])
            if np.array_equal(below, node):
                return self.shares[node].mean(axis=0, dtype=np.float64)
            node = below


def pool(logits: NDArray, votes: NDArray) -> NDArray[np.float64]:
    r"""Returns what a network and a forest say together.

    The one has seen pixels, the other numbers. With the probabilities :math:`p` and :math:`q` of
    both, it is the logarithmic pool of equal weights, :math:`\sqrt{p q}` but for a factor. A
    class for which no tree votes is not impossible.

    References:
        | Combining Probability Distributions: A Critique and an Annotated Bibliography
        | (Genest & Zidek, 1986), https://doi.org/10.1214/ss/1177013825

    Arguments:
        logits: The class scores of the network, with shape `(N, K)`.
        votes: The probabilities of the forest, with shape `(N, K)`.

    Returns:
        The class scores :math:`\ln \sqrt{p q}`, with shape `(N, K)`.

    Example:
        >>> pool(np.log([[0.8, 0.2]]), np.array([[0.2, 0.8]])).round(3)
        array([[-0.916, -0.916]])
    """

    p = log_softmax(logits.astype(np.float64), axis=1)

    return (p + np.log(np.maximum(votes, LEAST))) / 2

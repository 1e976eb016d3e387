r"""A forest as arrays."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from pipeline.trees import Trees, pool


@pytest.fixture(scope="module")
def galaxies():
    r"""Numbers, some of them undefined, and labels of which 2 is none."""

    random = np.random.default_rng(5)
    numbers = random.normal(size=(700, 6)).astype(np.float32)
    labels = np.digitize(numbers[:, 0] + numbers[:, 1] ** 2, (0, 1, 2))
    labels[labels == 2] = 4
    numbers[random.random(numbers.shape) < 0.1] = np.nan
    numbers[:, 5] = np.nan

    return numbers, labels


@pytest.mark.parametrize("options", [{}, {"min_samples_leaf": 9}, {"max_depth": 1}])
def test_answers_as_scikit_learn(galaxies, options):
    numbers, labels = galaxies
    weights = np.bincount(labels)[labels] ** -0.5
    forest = RandomForestClassifier(20, random_state=1, **options)
    forest.fit(numbers[:400], labels[:400], sample_weight=weights[:400])
    found = Trees.of(forest, num_classes=5).probabilities(numbers)

    expected = np.zeros((700, 5))
    expected[:, [0, 1, 3, 4]] = forest.predict_proba(numbers)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert found.argmax(axis=1).tolist() == expected.argmax(axis=1).tolist()


def test_one_leaf_and_no_galaxy():
    r"""A tree without a question has one answer, and nobody is answered nothing."""

    forest = RandomForestClassifier(3, random_state=0).fit(np.zeros((4, 2)), [0, 1, 1, 1])
    trees = Trees.of(forest, num_classes=2)
    np.testing.assert_allclose(
        trees.probabilities(np.ones((1, 2))), forest.predict_proba([[0, 0]])
    )
    assert trees.probabilities(np.zeros((0, 2))).shape == (0, 2)


def test_pool():
    r"""It is symmetric, knows no scale of the scores, and a class without a vote is possible."""

    random = np.random.default_rng(0)
    p, q = random.dirichlet(np.full(4, 9.0), size=(2, 9))

    def odds(scores):
        return np.exp(scores - scores[:, :1])

    both = odds(pool(np.log(p), q))
    np.testing.assert_allclose(both, odds(pool(np.log(q), p)))
    np.testing.assert_allclose(both, odds(pool(np.log(p) + 7, q)))
    np.testing.assert_allclose(both**2, odds(np.log(p)) * odds(np.log(q)))
    np.testing.assert_allclose(odds(pool(np.log(p), p)), odds(np.log(p)))
    assert np.isfinite(pool(np.log(p), np.eye(4)[[0] * 9])).all()

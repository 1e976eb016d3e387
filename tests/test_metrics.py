import time

import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics as sk

from pipeline.errors import DataError
from pipeline.metrics import METRICS, bootstrap, confusion, measure, paired_bootstrap

# class 5 is very rare, so that resamples without it occur
SHARES = [0.6, 0.15, 0.1, 0.08, 0.068, 0.002]


def sample(count, skill=2.0, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice(6, size=count, p=SHARES)
    z = rng.normal(size=(count, 6)) + np.log(SHARES)
    z[np.arange(count), labels] += skill
    return softmax(z, axis=1), labels


def test_against_sklearn():
    p, y = sample(2000)
    guess = p.argmax(axis=1)
    ours = {name: value[0] for name, value in measure(p, y).items()}

    theirs = {
        "accuracy": sk.accuracy_score(y, guess),
        "balanced_accuracy": sk.balanced_accuracy_score(y, guess),
        "macro_f1": sk.f1_score(y, guess, average="macro"),
        "weighted_f1": sk.f1_score(y, guess, average="weighted"),
        "log_loss": sk.log_loss(y, p),
        "brier": sk.brier_score_loss(y, p, scale_by_half=False),
        "precision": sk.precision_score(y, guess, average=None, zero_division=np.nan),
        "recall": sk.recall_score(y, guess, average=None),
        "f1": sk.f1_score(y, guess, average=None),
    }
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-12, err_msg=name)
    np.testing.assert_array_equal(confusion(p, y), sk.confusion_matrix(y, guess))


def test_calibration_error():
    p, y = sample(20_000)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    edges = np.linspace(0, 1, 16)
    error = 0.0
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = (confidence >= low) & (confidence < high)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert measure(p, y)["calibration_error"][0] == pytest.approx(error, rel=1e-9)

    # Labels drawn from the probabilities themselves: nothing but noise is left
    rng = np.random.default_rng(1)
    drawn = (p.cumsum(axis=1) > rng.random((len(p), 1))).argmax(axis=1)
    assert measure(p, drawn)["calibration_error"][0] < 0.01


def test_weights_are_repetitions():
    p, y = sample(300)
    weights = np.random.default_rng(0).integers(0, 4, size=(3, 300))
    weighted = measure(p, y, weights)

    for r, w in enumerate(weights):
        repeated = measure(p.repeat(w, axis=0), y.repeat(w))
        for name, value in repeated.items():
            np.testing.assert_allclose(weighted[name][r], value[0], rtol=1e-10, err_msg=name)


def test_surely_wrong_is_finite():
    scores = measure(np.eye(3)[[0, 1, 2]], np.array([1, 2, 0]))
    assert scores["accuracy"][0] == 0 and scores["brier"][0] == 2
    assert 30 < scores["log_loss"][0] < 40
    assert np.isfinite(scores["macro_f1"]).all()


def test_a_class_that_does_not_occur():
    scores = measure(np.full((4, 3), 1 / 3), np.array([0, 0, 1, 1]))
    assert np.isnan(scores["recall"][0, 2]) and np.isnan(scores["precision"][0, 1])
    assert scores["balanced_accuracy"][0] == 0.5  # of two classes, not of three


def test_bootstrap_covers():
    # The interval of the accuracy holds the truth about 95 times in 100
    truth = measure(*sample(400_000, seed=99))["accuracy"][0]
    inside = 0
    for seed in range(200):
        [interval] = bootstrap(*sample(300, seed=seed), resamples=300, seed=seed)["accuracy"]
        inside += interval.low <= truth <= interval.high
    assert 180 <= inside <= 198


def test_bootstrap_is_seeded_and_fast():
    p, y = sample(1000)
    start = time.perf_counter()
    first = bootstrap(p, y)
    assert time.perf_counter() - start < 2

    assert str(first) == str(bootstrap(p, y)) != str(bootstrap(p, y, seed=1))
    assert len(first["recall"]) == 6 and set(METRICS) < set(first)
    for intervals in first.values():
        assert all(i.low <= i.value <= i.high for i in intervals if np.isfinite(i.value))


def test_paired():
    p, y = sample(1000)
    noisy = 0.9 * p + 0.1 * np.roll(p, 1, axis=0)
    paired = paired_bootstrap(p, noisy, y)
    back = paired_bootstrap(noisy, p, y)
    alone = bootstrap(p, y)["accuracy"][0]

    for name, d in paired.items():
        assert d.value == pytest.approx(-back[name].value)
        assert d.low == pytest.approx(-back[name].high)
    assert paired["accuracy"].value > 0 > paired["log_loss"].value
    assert paired["log_loss"].p_value < 0.01
    # What both share cancels
    assert paired["accuracy"].high - paired["accuracy"].low < (alone.high - alone.low) / 2

    same = paired_bootstrap(p, p, y)["accuracy"]
    assert (same.value, same.low, same.high, same.p_value) == (0, 0, 0, 1)


@pytest.mark.parametrize(("apart", "sure"), [(5, False), (6, True)])
def test_few_galaxies_are_no_evidence(apart, sure):
    y = np.arange(40) % 2
    right = np.eye(2)[y] * 0.8 + 0.1
    wrong = right.copy()
    wrong[:apart] = 1 - wrong[:apart]
    found = paired_bootstrap(right, wrong, y)["accuracy"]

    assert found.low > 0 and found.sure == sure
    assert found.p_value >= 2.0 ** (1 - apart)


@pytest.mark.parametrize(
    ("p", "y", "message"),
    [
        (np.ones((2, 2)), [0, 1], "sum to one"),
        (np.full((2, 2), np.nan), [0, 1], "not finite"),
        (np.full((2, 2), 0.5), [0, 2], "labels go from 0 to 2, expected 0 to 1"),
        (np.full((2, 2), 0.5), [0], "do not fit"),
        (np.zeros((0, 2)), [], "N > 0"),
    ],
)
def test_refuses(p, y, message):
    with pytest.raises(DataError, match=message):
        measure(p, np.array(y, np.int64))

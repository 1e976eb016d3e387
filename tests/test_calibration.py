import numpy as np
import pytest
import torch
from scipy.special import softmax

from pipeline.calibration import apply, fit_temperature
from pipeline.errors import DataError
from pipeline.metrics import measure


def drawn(count=5000, classes=5, seed=0):
    r"""Logits, and labels drawn from their softmax: calibrated by construction."""

    rng = np.random.default_rng(seed)
    z = 2 * rng.normal(size=(count, classes))
    labels = (softmax(z, axis=1).cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
    return z, labels


@pytest.mark.parametrize("truth", [0.4, 1.0, 2.5, 6.0])
def test_recovers(truth):
    z, y = drawn()
    found = fit_temperature(z * truth, y)

    assert found == pytest.approx(truth, rel=0.05)
    assert found == pytest.approx(truth * fit_temperature(z, y), rel=1e-2)  # it scales
    after = apply(z * truth, found)
    assert (after.argmax(axis=1) == z.argmax(axis=1)).all()  # no class changes
    assert measure(after, y)["calibration_error"][0] < 0.02


def test_against_torch():
    r"""Among many galaxies, the maximum of the likelihood."""

    z, y = drawn(50_000)
    inverse = torch.ones(1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([inverse], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        scores = torch.as_tensor(3 * z) * inverse
        loss = torch.nn.functional.cross_entropy(scores, torch.as_tensor(y))
        loss.backward()
        return loss

    optimiser.step(closure)
    assert fit_temperature(3 * z, y) == pytest.approx(1 / inverse.item(), rel=1e-3)


def test_bounded():
    y = np.arange(6) % 3
    assert 0.5 < fit_temperature(5 * np.eye(3)[y], y) < 1  # no mistake: certainty is not learnt
    assert fit_temperature(np.zeros((6, 3)), y) == pytest.approx(1, abs=1e-4)  # nothing known
    assert fit_temperature(500 * np.eye(3)[(y + 1) % 3], y) == pytest.approx(10, rel=1e-3)
    # Few galaxies that tell little: two right, two wrong
    few = 0.02 * np.eye(2)[[0, 1, 0, 1]]
    assert 0.9 < fit_temperature(few, np.array([0, 1, 1, 1])) < 1.1
    # One galaxy in a hundred thousand logits
    assert 0.1 <= fit_temperature(1e5 * np.eye(3)[[0, 1, 2, 0]], np.array([0, 1, 2, 1])) <= 10.01


def test_probabilities():
    z, _ = drawn()
    p = apply(z)
    np.testing.assert_allclose(apply(np.log(p)), p, atol=1e-5)
    assert apply(np.array([[1e4, -1e4]], np.float32)).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("z", "y", "message"),
    [
        (np.zeros((0, 3)), [], "are none"),
        (np.zeros((2, 3)), [0], "do not fit"),
        (np.array([[0.0, np.nan], [0, 0]]), [0, 0], "1 galaxies have a NaN logit"),
    ],
)
def test_refuses(z, y, message):
    with pytest.raises(DataError, match=message):
        fit_temperature(z, np.array(y, np.int64))

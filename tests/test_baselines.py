r"""Numbers of galaxies, and the classifiers on them."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from pipeline import baselines
from pipeline.baselines import BASELINES, fit_baseline, measurements, probabilities
from pipeline.descriptors import number_names, simple_numbers
from pipeline.descriptors import numbers as every_number
from pipeline.errors import ConfigError, DataError
from pipeline.morphometry import measure
from pipeline.morphometry.features import SIGNED
from pipeline.store import Store, StoreInfo

BANDS = ("g", "r", "i")


def galaxies(count, shape=(48, 40), seed=0, size=None, ratio=None):
    r"""Gaussians of known size and axis ratio, away from the centre, in noise of one."""

    random = np.random.default_rng(seed)
    size = random.uniform(2, 5, count) if size is None else np.full(count, size)
    ratio = random.uniform(0.3, 1, count) if ratio is None else np.full(count, ratio)
    angle = random.uniform(0, np.pi, count)[:, None, None]
    y, x = np.indices(shape)
    y = y - (shape[0] - 1) / 2 - random.uniform(-2, 2, count)[:, None, None]
    x = x - (shape[1] - 1) / 2 - random.uniform(-2, 2, count)[:, None, None]
    u = (x * np.cos(angle) + y * np.sin(angle)) / (size * ratio**-0.5)[:, None, None]
    v = (y * np.cos(angle) - x * np.sin(angle)) / (size * ratio**0.5)[:, None, None]
    profile = 300 * np.exp(-(u**2 + v**2) / 2)[:, None] * np.array([1, 2, 3])[:, None, None]

    return (profile + random.normal(size=(count, 3, *shape))).astype(np.float32), size, ratio


def column(pixels, name):
    numbers, names = simple_numbers(pixels, BANDS)
    return numbers[:, names.index(name)]


def test_truth():
    pixels, size, ratio = galaxies(200)

    # A window of its own size halves the variance of a Gaussian
    found = np.exp(column(pixels, "size")) * np.sqrt(2)
    assert np.corrcoef(found, size)[0, 1] > 0.98
    assert np.median(found / size) == pytest.approx(1, abs=0.1)
    assert np.corrcoef(column(pixels, "axis_ratio"), ratio)[0, 1] > 0.95

    # Half the light of a round Gaussian is within 1.177 of its width
    round_ones, size, _ = galaxies(50, ratio=1.0, size=4.0)
    radius = np.exp(column(round_ones, "radius_50"))
    np.testing.assert_allclose(radius, 1.177 * size, rtol=0.12)
    np.testing.assert_allclose(np.diff(np.arcsinh([1.0, 2.0, 3.0])), [0.56, 0.37], atol=0.01)
    np.testing.assert_allclose(column(round_ones, "colour_g_r"), -np.log(2), atol=0.05)


def test_laws():
    pixels, _, _ = galaxies(20)
    numbers, names = simple_numbers(pixels, BANDS)
    assert numbers.shape == (20, len(names)) and len(set(names)) == len(names)
    assert numbers.dtype == np.float32

    # They do not tell a galaxy from its mirror image, or from itself turned
    for view in (pixels[..., ::-1], pixels[..., ::-1, :], np.rot90(pixels, axes=(2, 3))):
        np.testing.assert_allclose(simple_numbers(view, BANDS)[0], numbers, rtol=2e-3, atol=2e-3)

    # One galaxy does not change another's numbers
    np.testing.assert_allclose(simple_numbers(pixels[3:4], BANDS)[0], numbers[3:4], atol=1e-5)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -np.inf, -5.0, 6e4, 1e-30])
@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (33, 32)])
def test_finite(value, shape):
    flat = np.full((3, 3, *shape), value, np.float32)
    flat[1, 1] = np.nan
    flat[2, :, 0, 0] = 3.0

    assert np.isfinite(simple_numbers(flat, BANDS)[0]).all()
    assert not np.isinf(every_number(flat, BANDS)).any()
    assert simple_numbers(flat[:0], BANDS)[0].shape[0] == 0


def test_numbers(tmp_path, monkeypatch):
    r"""The morphology is that of the mean of the bands, however galaxies are shared out."""

    pixels = galaxies(5)[0].astype(np.float16)
    pixels[4] = np.nan
    found, names = every_number(pixels, BANDS), number_names(BANDS)
    assert found.shape == (5, len(names)) and found.dtype == np.float32
    one = measure(pixels[0].astype(float).mean(axis=0))
    for name in ("gini", "sersic_n", *SIGNED):
        assert found[0, names.index(f"{name}_mean")] == pytest.approx(getattr(one, name))
    assert np.isnan(found[4, names.index("gini_mean")]) and not np.isinf(found).any()

    # A band that nothing was observed in costs a galaxy nothing of the others
    without = pixels[:1].copy()
    without[:, 1] = np.nan
    one = measure(pixels[0, ::2].astype(float).mean(axis=0))
    for name in ("gini", "sersic_n", *SIGNED):
        value = every_number(without, BANDS)[0, names.index(f"{name}_mean")]
        assert value == pytest.approx(getattr(one, name))

    store = Store.create(tmp_path, StoreInfo(BANDS, *pixels.shape[2:], "native", "x"))
    store.commit(pixels, [{"id": f"{i}", "status": "ok"} for i in range(5)])
    rows = np.array([4, 0, 3])
    for size in (2, 64):
        monkeypatch.setattr(baselines, "TASK", size)
        np.testing.assert_array_equal(measurements(store, rows), found[rows])


@pytest.mark.parametrize("kind", BASELINES)
def test_baselines(kind):
    # Flat and round galaxies, a rarer class of small ones, and a class seen once
    parts = [galaxies(60, ratio=0.4, seed=1), galaxies(60, ratio=0.9, seed=2)]
    parts += [galaxies(12, size=2.0, ratio=0.65, seed=3), galaxies(1, size=9.0, seed=4)]
    numbers = simple_numbers(np.concatenate([p[0] for p in parts]), BANDS)[0]
    labels = np.repeat([0, 1, 3, 4], [60, 60, 12, 1])
    train = np.arange(len(labels)) % 3 > 0
    train[-1] = True
    numbers[::9, 5], numbers[:, 7] = np.nan, np.nan  # undefined here and there, or everywhere

    fitted = fit_baseline(kind, numbers[train], labels[train], seed=1)
    p = probabilities(fitted, numbers[~train], 6)
    assert p.shape == ((~train).sum(), 6)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (p[:, [2, 5]] == 0).all()
    assert (p.argmax(axis=1) == labels[~train]).mean() > 0.85
    assert log_loss(labels[~train], p, labels=range(6)) < 0.6
    assert probabilities(fitted, numbers[:0], 6).shape == (0, 6)

    again = fit_baseline(kind, numbers[train], labels[train], seed=1)
    assert np.array_equal(probabilities(again, numbers[~train], 6), p)


def test_errors():
    numbers = np.zeros((4, 2))
    with pytest.raises(ConfigError, match="did you mean 'forest'"):
        fit_baseline("forrest", numbers, np.array([0, 0, 1, 1]))
    with pytest.raises(DataError, match="svm: classes of \\[3, 1\\] galaxies"):
        fit_baseline("svm", numbers, np.array([0, 0, 0, 1]))


def test_machine_of_a_survey(monkeypatch, caplog):
    r"""A support vector machine learns from a share of what is too much, rare classes whole."""

    monkeypatch.setattr("pipeline.baselines.MOST", 200)
    labels = np.repeat([0, 1, 2], [1500, 500, 3])
    numbers = np.random.default_rng(0).normal(size=(len(labels), 3)) + 3 * labels[:, None]
    machine = fit_baseline("svm", numbers, labels)

    assert "svm: learns from 200 of 2003 galaxies" in caplog.text
    assert machine[0].n_features_in_ == 3 and machine.classes_.tolist() == [0, 1, 2]
    assert machine[-1].calibrated_classifiers_[0].estimator.shape_fit_[0] == 150 + 50 + 3
    assert (probabilities(machine, numbers, 3).argmax(1) == labels).mean() > 0.9
    np.testing.assert_array_equal(
        probabilities(fit_baseline("svm", numbers, labels), numbers, 3),
        probabilities(machine, numbers, 3),
    )

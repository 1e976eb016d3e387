r"""What the tables of science say is what was measured."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmarks import science
from pipeline.descriptors import number_names


def test_spearman():
    random = np.random.default_rng(0)
    x = random.normal(size=40)
    y = np.round(x + random.normal(size=40))  # with ties
    value, low, high = science.spearman(x, y)

    assert value == pytest.approx(spearmanr(x, y).statistic)
    assert low < value < high
    # The interval is about four errors wide, of 1 / sqrt(N - 1) or less
    assert 0.2 < high - low < 0.65
    assert science.spearman(x, np.exp(x))[:2] == pytest.approx((1, 1))
    assert science.spearman(x, -x)[2] == pytest.approx(-1)


def spiral(sign, seed):
    r"""Two arms whose radius grows with the angle, from x to y, or against it."""

    y, x = np.mgrid[-24:25, -24:25] + np.random.default_rng(seed).uniform(-1, 1, 2)[:, None, None]
    r, azimuth = np.hypot(x, y) + 0.3, np.arctan2(y, x)
    arms = 1 + 0.6 * np.cos(2 * (azimuth - 2.5 * sign * np.log(r)))
    noise = np.random.default_rng(seed).normal(size=(2, *r.shape))

    return 120 * np.exp(-r / 6) * arms + noise


def test_hand():
    r"""The radius of a clockwise spiral grows with the angle, where rows go upwards."""

    wound = np.array([1, -1, 1, 1, -1, -1])
    pixels = np.stack([spiral(sign, i) for i, sign in enumerate(wound)])

    assert science.hand(pixels, wound) == (1, 1, 1)
    assert science.hand(pixels[..., ::-1], wound) == (0, 0, 0)
    half = pixels.copy()
    half[:, 0] = np.nan  # a band that nothing was observed in
    assert science.hand(half, wound) == (1, 1, 1)
    value, low, high = science.hand(pixels, np.array([1, -1, 1, -1, 1, -1]))
    assert value == pytest.approx(4 / 6) and low < value < high


def test_forests():
    r"""Each forest has its own numbers only, and the first alone has an aim."""

    random = np.random.default_rng(0)
    labels = np.arange(120) % 2
    told = labels + random.normal(0, 0.1, labels.size)
    numbers = np.stack([random.normal(size=labels.size), told], axis=1)
    known, seen = (numbers[:80], labels[:80]), (numbers[80:], labels[80:])
    parts = {"": slice(None), ", told": slice(1, None), ", noise": slice(1)}
    rows = {row.name: row for row in science.forests(known, seen, parts, 2, 0)}

    assert rows["forest, accuracy"].value == rows["forest, told, accuracy"].value == 1
    assert 0.2 < rows["forest, noise, accuracy"].value < 0.8
    assert [row.aim for row in rows.values()] == [0.783, 0.484, None, None, None, None]
    assert {row.galaxies for row in rows.values()} == {40}


def test_columns():
    r"""The hand-made numbers and the morphology are all, and none is in both."""

    bands = ("g", "r")
    names = np.array(number_names(bands))
    every, morphology, hand_made = (names[part] for part in science.columns(bands).values())

    assert [*hand_made, *morphology] == [*every] == [*names]
    assert {"flux_g", "colour_g_r", "p99_r"} <= set(hand_made)
    assert {"gini_mean", "sersic_n_mean", "winding_mean"} <= set(morphology)


def test_aegis(shared_data, tmp_path, monkeypatch):
    monkeypatch.setattr(science, "DATA", shared_data)
    monkeypatch.setattr(science, "FIELDS", ("gini", "asymmetry"))
    rows = list(science.aegis(tmp_path))

    assert [row.name for row in rows] == ["gini v", "asymmetry v", "gini i", "asymmetry i"]
    assert all(36 <= row.galaxies <= 39 and row.low < row.value < row.high for row in rows)
    assert "(39) | aegis_hst, features, i" in science.tables(rows)

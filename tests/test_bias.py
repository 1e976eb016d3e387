r"""Bias and scatter are what they are called, and images have the noise that is asked for."""

import matplotlib as mpl
import numpy as np
import pytest

from benchmarks import bias
from benchmarks.changes import SAME, STEPS, Series, changes, draw_figure, lines


def test_known_changes():
    rng = np.random.default_rng(0)
    start = rng.normal(size=(5000, 1))
    shift = np.array([0.1, -0.4])
    values = np.hstack([start, start + shift + rng.normal(size=(5000, 2)) * [0.2, 0.5]])
    values[:500, 2] = np.nan
    middle, scatter, failed = changes(values, relative=False)

    assert middle == pytest.approx(shift, abs=0.03)
    assert scatter == pytest.approx([0.2, 0.5], rel=0.06)
    assert failed == pytest.approx([0.0, 0.1])


def test_per_cent():
    found, scatter, _ = changes(np.array([[2.0, 2.2], [4.0, 4.4], [np.nan, 7.0]]), relative=True)

    assert found == pytest.approx([10.0])
    assert scatter == pytest.approx([0.0], abs=1e-9)


def test_noise():
    truth = bias.draw_galaxy(1, 2.0)
    noisy, near = bias.degrade(truth, 1, 5.0), truth.outline > 0

    assert np.std(noisy - truth.image) == pytest.approx(truth.level / 5, rel=0.05)
    assert truth.image.min() >= 0 and 0 < near.sum() < 0.7 * near.size
    assert truth.image[near].min() == pytest.approx(1.5 * truth.level / 30, rel=0.2)


def test_only_ours():
    found = bias.sweep({"ours": bias.CODES["ours"]}, range(1))["ours"]
    series, flags = bias.summary("ours", found)
    known = {(one.statistic, one.way): one for one in series}
    figure = draw_figure(bias.PANELS, series, flags, 1)
    words = [text.get_text() for text in figure.findobj(mpl.text.Text)]

    assert found["held"][0][0] > 0.9 and len(found["held"][0]) == len(STEPS["noise"])
    assert max(np.abs(known["concentration", "noise"].bias[:2])) < 0.2
    assert all(len(one.bias) == len(STEPS[one.way]) for one in series)
    assert np.all(np.diff([0.0, *known["r50", "resolution"].bias]) > 0)
    assert all(panel.title in words for panel in bias.PANELS)
    assert any("asymmetry_unbiased | ours" in line for line in lines(series, flags))


def test_same_map():
    r"""Where both find the same, ours on their map is ours, and not told again without noise."""

    code = bias.CODES["ours"]
    found = bias.sweep({"ours": code, SAME: code}, range(1))
    ours, flags = bias.summary("ours", found["ours"])
    same, _ = bias.summary(SAME, found[SAME])
    figure = draw_figure(bias.PANELS, ours + same, flags, 1)
    words = [text.get_text() for text in figure.findobj(mpl.text.Text)]

    noise = [one for one in ours if one.way == "noise"]
    assert repr(same) == repr([one._replace(code=SAME) for one in noise])
    assert SAME in words and len(same) == len(noise) > len(bias.PANELS)


def test_held():
    r"""A map holds the share of the light above the noise that it covers, not of the pixels."""

    image, outline = np.zeros((9, 9)), np.zeros((9, 9), np.int64)
    image[2, 1], image[2, 2], image[2, 6], image[8, 8] = 0.7, 3.0, 1.0, 50.0
    outline[2] = 1
    truth, first = bias.Truth(image, 1.0, outline), np.zeros((9, 9), np.int64)
    first[:, 2:4] = 1
    second = np.where(first, 2, 1)

    assert bias.held(truth, first, 2.0) == pytest.approx(3 / 4)
    assert bias.held(truth, second, 2.0) == pytest.approx(1 / 4)
    assert bias.held(truth, first, 30.0) == pytest.approx(3 / 4.7)
    assert bias.held(truth, first | 1, 30.0) == 1


def test_wholes():
    shares = {"ours": [[1.0, 0.91, 0.5, 0, 0]] * 2 + [[0.89, 1, 0, 0, 0]]}
    told = bias.wholes(["ring", "merger", "ring"], shares).splitlines()

    assert told[0].startswith("| found whole, of 3, at a S/N of | 30, ours | 10, ours |")
    assert "| ring (2) | 1 | 2 | 0 | 0 | 0 |" in told
    assert "| merger (1) | 1 | 1 | 0 | 0 | 0 |" in told
    assert "| elliptical (0) | 0 | 0 | 0 | 0 | 0 |" in told


def test_lines():
    r"""A table of each way that has a series, and no flags where none are asked for."""

    one = Series("gini", "ours", "noise", [0.1] * 5, [0.2] * 5, [0.0, 0, 0, 0, 0.5], 1.0)
    told = lines([one], [])

    assert told[0] == "| noise | code | 30 | 10 | 5 | 3 | 1.5 |"
    assert told[2].startswith("| gini | ours | +0.100 ± 0.200 |")
    assert told[3] == "| without a value | ours | 0% | 0% | 0% | 0% | 50% |" and len(told) == 4

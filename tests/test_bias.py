r"""Bias and scatter are what they are called, and images have the noise that is asked for."""

import matplotlib as mpl
import numpy as np
import pytest

from benchmarks import bias
from benchmarks.changes import STEPS, changes, draw_figure, lines


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
    series, flags = bias.summary("ours", bias.sweep({"ours": bias.ours}, range(1))["ours"])
    known = {(one.statistic, one.way): one for one in series}
    figure = draw_figure(bias.PANELS, series, flags, 1)
    words = [text.get_text() for text in figure.findobj(mpl.text.Text)]

    assert max(np.abs(known["concentration", "noise"].bias[:2])) < 0.2
    assert all(len(one.bias) == len(STEPS[one.way]) for one in series)
    assert np.all(np.diff([0.0, *known["r50", "resolution"].bias]) > 0)
    assert all(panel.title in words for panel in bias.PANELS)
    assert any("asymmetry_unbiased | ours" in line for line in lines(series, flags))

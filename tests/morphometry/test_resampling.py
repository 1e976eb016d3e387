r"""Errors from noise that is added."""

import math

import numpy as np
import pytest

from benchmarks.uncertainty import galaxy
from pipeline.errors import ConfigError
from pipeline.morphometry import Morphology, measure
from pipeline.morphometry.cutouts import measure_cutouts
from pipeline.morphometry.fields import JUMPING
from pipeline.morphometry.resampling import resampled, scatter

IMAGE = 3000 * galaxy("arms", 31.3, 30.8) + np.random.default_rng(1).normal(size=(64, 64))
ERRORS = [name for name in Morphology._fields if name.endswith("_error")]


def test_resampled():
    r"""All have an error of the size of that to first order, where there is that one."""

    first = measure(IMAGE)
    found = resampled(IMAGE, first, 16)

    never = {"arms_error", "intensity_error"}  # always two arms, and no second peak
    assert all(getattr(found, name) > 0 for name in ERRORS if name not in never)
    ratio = [getattr(found, name) / getattr(first, name) for name in ERRORS]
    assert 0.6 < np.nanmedian(ratio) < 1.6
    missing = {name for name, value in zip(ERRORS, ratio, strict=True) if math.isnan(value)}
    assert missing <= {f"{name}_error" for name in (*JUMPING, "intensity")}
    for name in set(Morphology._fields) - set(ERRORS):
        assert getattr(found, name) == getattr(first, name)


@pytest.mark.parametrize("draws", [8, 16, 32])
def test_scatter(draws):
    r"""It is the standard deviation of normal numbers, however few, and knows what an axis is."""

    numbers = np.random.default_rng(0).normal(5, 0.1, size=(3000, draws))
    found = np.mean([scatter(row, 5.05, False) for row in numbers])
    turned = (numbers + np.pi * (numbers > 5)) % np.pi

    assert found == pytest.approx(0.1, rel=0.05)
    assert np.mean([scatter(row, 5.05, True) for row in turned]) == pytest.approx(found)
    assert math.isnan(scatter(np.array([1.0, np.nan, np.nan]), 1.0, False))


def test_photons():
    r"""The noise that is added is that of photons too."""

    still, lively = (resampled(IMAGE, measure(IMAGE), 16, gain=gain) for gain in (math.inf, 0.1))

    assert lively.flux_circ_error > 2 * still.flux_circ_error


def test_same_image():
    r"""The same image has the same errors, among others and in any layout."""

    alone = measure_cutouts(IMAGE[None, None], ("r",), draws=8)
    cutouts = np.stack([IMAGE.T, IMAGE, np.full_like(IMAGE, np.nan)])[:, None]
    among = measure_cutouts(np.asfortranarray(cutouts), ("r",), draws=8)

    direct = resampled(np.asfortranarray(IMAGE), measure(IMAGE), 8)
    for name in ERRORS:
        assert alone[f"{name}_r"][0] == among[f"{name}_r"][1] == getattr(direct, name)
        assert math.isnan(among[f"{name}_r"][2])


def test_hidden():
    r"""What is masked stays so, and an axis near its end has no error of half a turn."""

    y, x = np.mgrid[:64, :64]
    level = 50 * np.exp(-np.hypot((x - 31) * 0.7, y - 32) / 4)  # along y, where theta ends
    noisy = level + np.random.default_rng(2).normal(size=level.shape)
    masked = np.ma.array(noisy, mask=x > 60)
    masked.data[masked.mask] = 1e6

    found = resampled(masked, measure(masked), 8)
    assert 0 < found.theta_error < 0.1
    assert found.flux_circ_error < 0.1 * found.flux_circ


def test_refused():
    with pytest.raises(ConfigError, match="draws=7, expected 8 or more"):
        resampled(IMAGE, measure(IMAGE), 7)


def test_no_noise():
    r"""Without a noise there is nothing to add."""

    found = resampled(np.zeros((40, 40)), measure(np.zeros((40, 40))), 8)

    assert all(math.isnan(getattr(found, name)) for name in ERRORS)

r"""M20: laws, an independent formula, and its uncertainty."""

import numpy as np
import pytest

from pipeline.morphometry import flags
from pipeline.morphometry.m20 import bulge, m20, merger
from pipeline.morphometry.pieces import ascending


def measured(image, segment=None, sigma=1.0):
    segment = np.ones(image.shape, bool) if segment is None else segment
    image = np.ascontiguousarray(image)
    return m20(image, np.full(image.shape, sigma), segment, ascending(image, segment))


def galaxy(seed=0, height=40, width=46):
    i, j = np.mgrid[:height, :width]
    clumps = 8 * np.exp(-np.hypot(i - 12, j - 30) / 2) + 6 * np.exp(-np.hypot(i - 28, j - 9) / 2)
    noise = 0.05 * np.random.default_rng(seed).normal(size=(height, width))
    return 10 * np.exp(-np.hypot(i - 20.3, (j - 21.8) / 1.4) / 5) + clumps + noise


def slow(image):
    values = np.sort(image.ravel())
    least = values[np.cumsum(values) / values.sum() >= 0.8][0]
    i, j = np.indices(image.shape)
    y, x = (image * i).sum() / image.sum(), (image * j).sum() / image.sum()
    moment = image * ((i - y) ** 2 + (j - x) ** 2)
    return np.log10(moment[image >= least].sum() / moment.sum())


def test_formula():
    assert measured(galaxy())[0] == pytest.approx(slow(galaxy()), rel=1e-12)


def test_flat_disk_without_order():
    # All pixels are as bright as the threshold
    assert measured(np.full((9, 9), 2.0))[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("factor", [1e-12, 0.3, 1e9])
def test_flux_factor(factor):
    expected = measured(galaxy())[:2]
    assert measured(factor * galaxy(), sigma=factor)[:2] == pytest.approx(expected)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_symmetries_and_shift(turns, mirrored):
    image = np.rot90(galaxy()[:, :: -1 if mirrored else 1], turns)
    assert measured(image)[:2] == pytest.approx(measured(galaxy())[:2], rel=1e-9)
    padded = np.pad(image, ((3, 8), (1, 0)))
    inside = np.pad(np.ones(image.shape, bool), ((3, 8), (1, 0)))
    assert measured(padded, inside)[0] == pytest.approx(measured(galaxy())[0], rel=1e-9)


def test_error_is_the_scatter():
    rng = np.random.default_rng(1)
    model = galaxy()
    segment = model > 1
    values = [
        measured(model + 0.2 * rng.normal(size=model.shape), segment, 0.2) for _ in range(400)
    ]
    scatter = np.std([v[0] for v in values])
    assert np.mean([v[1] for v in values]) == pytest.approx(scatter, rel=0.2)


@pytest.mark.parametrize("value", [0.0, -1.0, 1.0, 1e-300])
def test_undefined(value):
    image = np.full((1, 1), value)
    out = measured(image)
    assert np.isnan(out[0]) and np.isnan(out[1]) and out[2] == flags.UNDEFINED
    assert measured(image, np.zeros((1, 1), bool))[2] == flags.UNDEFINED
    assert measured(np.full((3, 4), -abs(value)))[2] == flags.UNDEFINED


def test_bulge_and_merger():
    # Where the two lines of Lotz et al. (2008) meet, in the form of Snyder et al. (2015)
    assert bulge(0.5, -1.7) == pytest.approx(-0.3069)
    assert merger(0.5, -1.7) == pytest.approx(-0.0683)
    assert np.isnan(bulge(np.nan, -1.7)) and np.isnan(merger(0.5, np.nan))

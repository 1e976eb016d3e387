r"""How alike the noise of neighbours is: against what filters make of white noise, and laws."""

import math

import numpy as np
import pytest
from scipy.ndimage import correlate1d, gaussian_filter, uniform_filter

from pipeline.morphometry import measure
from pipeline.morphometry.grain import WHITE, boxcar_share, grain, turned_share
from pipeline.morphometry.half_turn import residual
from pipeline.morphometry.resampling import resampled

CLEAR = np.zeros((96, 80), bool)


def noise(seed, width=0.0, shape=CLEAR.shape):
    r"""Noise of a variance of one, seen through a Gaussian of some width."""

    wide = np.random.default_rng(seed).normal(size=(shape[0] + 16, shape[1] + 16))
    if width > 0:
        wide = correlate1d(correlate1d(wide, kernel(width), 0), kernel(width), 1)

    return np.ascontiguousarray(wide[8:-8, 8:-8])


def kernel(width):
    weights = np.exp(-(np.arange(-8, 9) ** 2) / (2 * width**2))

    return weights / math.sqrt((weights**2).sum())


def correlated(width):
    r"""The coefficients of that noise."""

    along = np.correlate(kernel(width), kernel(width), "full")[16 - 3 : 16 + 4]

    return np.outer(along, along)


def test_white_noise_is_white():
    found = [grain(noise(seed), CLEAR, 1.0) for seed in range(60)]

    assert sum(one.summed > 1 for one in found) <= 1
    for name, value in WHITE._asdict().items():
        assert np.array_equal(getattr(found[0], name), value)


@pytest.mark.parametrize("width", [0.5, 0.8, 1.0])
def test_correlation_of_filtered_noise(width):
    found = [grain(noise(seed, width), CLEAR, 1.0) for seed in range(30)]
    expected = correlated(width)

    assert np.mean([one.correlation for one in found], 0) == pytest.approx(expected, abs=0.03)
    assert np.mean([one.summed for one in found]) == pytest.approx(expected.sum(), rel=0.1)
    assert np.std([one.summed for one in found]) < 0.25 * expected.sum()


def test_pixels_that_are_taken_and_a_gradient():
    image = noise(0, 0.8)
    taken = CLEAR.copy()
    taken[30:60, 20:50] = True
    bright = np.where(taken, 1e6, image)
    sloped = image + 0.003 * np.arange(80)
    parts = [grain(image, CLEAR, 1.0), grain(bright, taken, 1.0), grain(sloped, CLEAR, 1.0)]

    for part in parts[1:]:
        assert part.correlation == pytest.approx(parts[0].correlation, abs=0.04)


@pytest.mark.parametrize("turn", range(4))
def test_views_and_units(turn):
    image = noise(1, 0.8)
    whole = grain(image, CLEAR, 1.0)
    seen = np.ascontiguousarray(np.rot90(7e-9 * image.T, turn))
    part = grain(seen, np.zeros(seen.shape, bool), 7e-9)

    assert part[1:] == pytest.approx(whole[1:], rel=1e-9)
    assert part.correlation == pytest.approx(np.rot90(whole.correlation.T, turn), abs=1e-9)


@pytest.mark.parametrize("value", [0.0, np.nan, 1.0])
def test_no_noise_and_no_sky(value):
    for taken in (CLEAR, ~CLEAR):
        assert grain(np.ones(CLEAR.shape), taken, value)[1:] == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(("x", "y"), [(40.0, 48.0), (40.25, 48.25), (40.25, 48.0), (40.1, 47.8)])
@pytest.mark.parametrize("width", [0.0, 0.8])
def test_variance_of_the_turned_image(x, y, width):
    alike = WHITE if width == 0 else WHITE._replace(correlation=correlated(width))
    # Nothing is common to pixels far from the centre
    away = np.hypot(*np.mgrid[-48:48, -40:40]) > 8
    squares = []
    for seed in range(20):
        difference, hidden = residual(noise(seed, width), CLEAR, x, y)
        squares.append(np.mean(difference[away & ~hidden] ** 2))

    assert 1 + turned_share(x, y, alike) == pytest.approx(np.mean(squares), rel=0.03)


@pytest.mark.parametrize("size", [2, 3, 4, 7])
@pytest.mark.parametrize("width", [0.0, 0.8])
def test_variance_beside_a_boxcar(size, width):
    alike = WHITE if width == 0 else WHITE._replace(correlation=correlated(width))
    images = [noise(seed, width) for seed in range(20)]
    found = [(image - uniform_filter(image, size))[8:-8, 8:-8].var() for image in images]

    assert boxcar_share(size, alike) == pytest.approx(np.mean(found), rel=0.04)


def test_noise_that_is_added_is_as_alike():
    y, x = np.mgrid[:64, :64]
    light = 60 * np.exp(-np.hypot(x - 31.2, (y - 30.7) / 0.7) / 5)
    images = [light + noise(seed, 0.8, light.shape) for seed in range(40)]
    found = [measure(image) for image in images]
    scatter = np.std([one.flux_ellip for one in found])
    added = resampled(images[0], found[0], 24).flux_ellip_error
    first = np.median([one.flux_ellip_error for one in found])

    assert found[0].sky_grain == pytest.approx(math.sqrt(correlated(0.8).sum()), rel=0.2)
    assert added == pytest.approx(scatter, rel=0.5) and first == pytest.approx(scatter, rel=0.4)


def test_statistics_free_of_the_noise_that_neighbours_share():
    y, x = np.mgrid[:96, :96]
    light = 30 * np.exp(-np.hypot(x - 47.3, (y - 47.6) / 0.7) / 7)
    knots = 30 * gaussian_filter(np.random.default_rng(0).random((96, 96)) > 0.99, 1.0)
    clumpy = light * (1 + np.where(np.hypot(x - 47.3, y - 47.6) > 5, knots, 0.0))
    quiet = [measure(image + 1e-4 * noise(0, 0.0, light.shape)) for image in (light, clumpy)]
    noisy = [
        [measure(image + noise(seed, 0.8, light.shape)) for seed in range(20)]
        for image in (light, clumpy)
    ]
    for name, tolerance in (("asymmetry_unbiased", 0.03), ("smoothness_unbiased", 0.02)):
        for truth, ones in zip(quiet, noisy, strict=True):
            values = [getattr(one, name) for one in ones]
            assert np.mean(values) == pytest.approx(getattr(truth, name), abs=tolerance)

r"""The entropy of pixels."""

import numpy as np
import pytest

from pipeline.morphometry.entropy import BINS, entropy
from pipeline.morphometry.flags import NO_SOURCE

SHAPE = (20, 30)
CLEAR, NONE = np.zeros(SHAPE, bool), np.zeros(SHAPE)


@pytest.fixture
def image():
    return np.random.default_rng(0).exponential(size=SHAPE)


@pytest.mark.parametrize("bins", [2, 10, BINS])
def test_the_definition(image, bins):
    segment = image > 0.3
    counts = np.histogram(image[segment], bins)[0]
    shares = counts[counts > 0] / segment.sum()
    terms = np.log(shares) / np.log(bins)
    expected = -np.sum(shares * terms)

    value, error, flag = entropy(image, NONE, CLEAR, segment, bins)

    assert value == pytest.approx(expected)
    spread = np.sum(shares * terms**2) - expected**2
    assert error == pytest.approx(np.sqrt(spread / segment.sum()))
    assert flag == 0


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_symmetries(image, turns, mirrored):
    view = np.ascontiguousarray(np.rot90(image[:, ::-1] if mirrored else image, turns))

    result = entropy(view, view, view < 0.1, view < 2, BINS)

    assert result == entropy(image, image, image < 0.1, image < 2, BINS)


@pytest.mark.parametrize("factor", [2.0**-40, 2.0**40])
def test_flux_factor_and_padding(image, factor):
    padded = np.pad(factor * image, 3)

    result = entropy(padded, padded, np.zeros_like(padded, bool), padded > 0, BINS)

    assert result == entropy(image, image, CLEAR, ~CLEAR, BINS)


def test_extremes():
    every = np.arange(600.0).reshape(SHAPE)
    one = CLEAR.astype(float)
    one[3, 4] = 1

    assert entropy(every, NONE, CLEAR, ~CLEAR, 100)[0] == pytest.approx(1)
    assert entropy(np.ones(SHAPE), NONE, CLEAR, ~CLEAR, BINS) == (0, 0, 0)
    assert 0 < entropy(one, NONE, CLEAR, ~CLEAR, BINS)[0] < 0.01


def test_error_is_that_of_the_sample():
    generator = np.random.default_rng(1)
    images = np.minimum(generator.geometric(0.4, (300, *SHAPE)), 7.0)
    results = np.array([entropy(image, NONE, CLEAR, ~CLEAR, 64) for image in images])

    assert results[:, 1].mean() == pytest.approx(results[:, 0].std(), rel=0.2)


@pytest.mark.parametrize("bins", [16, BINS, 1000])
def test_error_of_the_range(image, bins):
    r"""The brightest pixel moves all levels, which matters less where few pixels are in each."""

    brightest = image == image.max()
    sigma = np.where(brightest, 0.4, 0.0)
    generator = np.random.default_rng(2)
    images = [image + sigma * generator.normal() for _ in range(400)]
    results = np.array([entropy(one, sigma, CLEAR, ~CLEAR, bins)[:2] for one in images])
    known = np.array([entropy(one, NONE, CLEAR, ~CLEAR, bins)[1] for one in images])

    assert np.sqrt(np.mean(results[:, 1] ** 2 - known**2)) == pytest.approx(
        results[:, 0].std(), rel=0.25
    )


@pytest.mark.parametrize("segment", [CLEAR, ~CLEAR])
def test_no_source(image, segment):
    value, error, flag = entropy(image, NONE, segment, segment, BINS)

    assert np.isnan([value, error]).all() and flag == NO_SOURCE


def test_one_pixel():
    lit = np.ones((1, 1), bool)

    assert entropy(np.full((1, 1), 7.0), 1.0 * lit, ~lit, lit, BINS) == (0, 0, 0)

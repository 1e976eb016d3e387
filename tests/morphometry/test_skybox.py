import itertools
import math

import numpy as np
import pytest

from pipeline.morphometry.flags import NO_SKY
from pipeline.morphometry.skybox import (
    left_over,
    noise,
    skybox,
    white_asymmetry,
    white_smoothness,
)


def sky(height=70, width=52, seed=0):
    return np.random.default_rng(seed).normal(size=(height, width))


def brute(taken):
    for side in (32, 16, 8, 4, 2):
        origins = itertools.product(*(range(length - side) for length in taken.shape))
        for i, j in origins:
            if not taken[i : i + side, j : j + side].any():
                return j, i, side

    return 0, 0, 0


@pytest.mark.parametrize("density", [0.0, 0.0005, 0.003, 0.02, 0.1, 0.6])
@pytest.mark.parametrize("seed", range(3))
def test_first_box(density, seed):
    image = sky(seed=seed)
    taken = np.random.default_rng(seed).random(image.shape) < density

    column, row, side, *values, flags = skybox(image, taken)

    assert (column, row, side) == brute(taken) and flags == (0 if side else NO_SKY)
    if side:
        box = image[row : row + side, column : column + side]
        change = np.abs(box - np.rot90(box, 2)).mean()
        expected = (box.mean(), np.median(box), box.std(), change)
        assert values == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 50), (40, 40)])
def test_no_sky(shape):
    image, taken = np.zeros(shape), np.ones(shape, bool)

    assert skybox(image, taken)[2:] == (0, *[pytest.approx(math.nan, nan_ok=True)] * 4, NO_SKY)
    assert noise(image, taken)[3] == NO_SKY and np.isnan(left_over(image, taken)).all()


def test_last_row_and_column_are_never_tried():
    taken = np.ones((40, 40), bool)
    taken[-2:, -2:] = False

    assert skybox(np.zeros((40, 40)), taken)[2] == 0


def test_noise_is_that_of_white_noise():
    found = np.array([noise(sky(seed=seed), np.zeros((70, 52), bool)) for seed in range(60)])
    sigma, asymmetry, error = found[:, :3].T

    assert sigma.mean() == pytest.approx(1, abs=0.004)
    assert asymmetry.mean() == pytest.approx(white_asymmetry(1.0), abs=0.004)
    assert error.mean() == pytest.approx(asymmetry.std(), rel=0.3)


def test_noise_is_blind_to_level_gradient_and_stars():
    image, taken = sky(), np.zeros((70, 52), bool)
    taken[20:40, 10:30] = True
    plain = noise(image, taken)
    image[25, 15] += 1e9
    other = image + 5 + 0.01 * np.arange(52)
    other[60, 40] += 300

    assert noise(image, taken) == plain
    assert noise(other, taken)[0] == pytest.approx(plain[0], rel=0.01)


@pytest.mark.parametrize("turn", range(8))
def test_noise_has_the_eight_symmetries(turn):
    image = sky()
    taken = image > 2
    view = [np.rot90(a, turn)[:, ::-1] if turn > 3 else np.rot90(a, turn) for a in (image, taken)]
    found = noise(*(np.ascontiguousarray(a) for a in view))

    assert found == pytest.approx(noise(image, taken), rel=1e-12)


@pytest.mark.parametrize("turn", range(8))
@pytest.mark.parametrize("shape", [(70, 52), (131, 150)])
def test_what_is_left_has_the_eight_symmetries(shape, turn):
    image = sky(*shape) + 0.3
    taken = image > 2
    view = [np.rot90(a, turn)[:, ::-1] if turn > 3 else np.rot90(a, turn) for a in (image, taken)]
    mean, median = left_over(image, taken)

    found = left_over(*(np.ascontiguousarray(a) for a in view))

    assert found == pytest.approx((mean, median), rel=1e-12)
    assert (mean, median) == pytest.approx(
        (image[~taken].mean(), np.median(image[~taken])), abs=0.05
    )


def test_noise_scales_with_the_flux():
    image, taken = sky(), np.zeros((70, 52), bool)
    found = np.array(noise(1e-12 * image, taken)[:3])

    assert found == pytest.approx(1e-12 * np.array(noise(image, taken)[:3]), rel=1e-12)


@pytest.mark.parametrize("photons", [0.02, 0.1, 0.5, 2.0])
def test_noise_of_few_photons(photons):
    r"""Most differences are 0 or 1, and both are of the sky; a star is not."""

    generator, taken = np.random.default_rng(4), np.zeros((90, 96), bool)
    counts = generator.poisson(photons, (20, *taken.shape)).astype(float)
    counts[:, 50, 50] = 1000
    away = np.abs(generator.poisson(photons, 10**6) - generator.poisson(photons, 10**6))
    sigma, asymmetry = np.mean([noise(image, taken)[:2] for image in counts], 0)

    assert sigma == pytest.approx(math.sqrt(photons), rel=0.02)
    assert asymmetry == pytest.approx(away.mean(), rel=0.04)


def test_constant_sky():
    assert noise(np.full((40, 40), 3.0), np.zeros((40, 40), bool))[:3] == (0, 0, 0)


def test_white_smoothness():
    assert white_smoothness(1.0, 1) == 0
    assert white_smoothness(2.0, 1000) == pytest.approx(2 / math.sqrt(2 * math.pi), rel=1e-6)

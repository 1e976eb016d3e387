r"""The asymmetry of gradients."""

import numpy as np
import pytest

from pipeline.morphometry.flags import NO_SOURCE, UNDEFINED
from pipeline.morphometry.gradient_pattern import MODULUS, PHASE, gradient_pattern

SHAPE = (31, 37)
X, Y = 18.0, 15.0
CLEAR = np.zeros(SHAPE, bool)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]


def measure(image, segment=None, x=X, y=Y, mask=None):
    mask = np.zeros_like(image, bool) if mask is None else mask
    segment = np.ones_like(image, bool) if segment is None else segment

    return gradient_pattern(image, mask, segment, x, y)


def slow(image, segment, x, y):
    r"""The definition, pixel by pixel, with numpy's gradient."""

    gy, gx = np.gradient(image)
    inside = np.zeros_like(segment)
    inside[1:-1, 1:-1] = (segment[1:-1, 1:-1] & segment[:-2, 1:-1] & segment[2:, 1:-1]) & (
        segment[1:-1, :-2] & segment[1:-1, 2:]
    )
    length = np.where(inside, np.hypot(gx, gy), np.nan)
    size = length / np.nanmax(length)
    left = []
    for i, j in zip(*np.nonzero(inside & (np.nan_to_num(size) > MODULUS)), strict=True):
        k, l = int(2 * y) - i, int(2 * x) - j
        if 0 <= k < image.shape[0] and 0 <= l < image.shape[1] and inside[k, l]:
            turn = np.angle(complex(gx[i, j], gy[i, j]) / complex(-gx[k, l], -gy[k, l]))
            if abs(size[i, j] - size[k, l]) <= MODULUS and abs(turn) <= PHASE:
                continue
        left.append((gx[i, j], gy[i, j]))
    left = np.array(left)
    confluence = np.hypot(*left.sum(0)) / np.hypot(*left.T).sum()

    return len(left) / inside.sum() * (2 - confluence)


@pytest.fixture
def image():
    noise = np.random.default_rng(0).normal(0, 0.05, SHAPE)

    return 50 * np.exp(-np.hypot(COLUMNS - X, (ROWS - Y) * 1.3) / 4) + noise


@pytest.mark.parametrize(("x", "y"), [(X, Y), (X + 0.5, Y), (X - 1.5, Y + 2)])
def test_the_definition(image, x, y):
    segment = np.hypot(COLUMNS - X, ROWS - Y) < 12

    assert measure(image, segment, x, y) == (pytest.approx(slow(image, segment, x, y)), 0)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_symmetries(image, turns, mirrored):
    segment = image > 0.5
    expected = measure(image, segment, X + 0.5, Y)
    x, y = X + 0.5, Y
    if mirrored:
        image, segment, x = image[:, ::-1], segment[:, ::-1], SHAPE[1] - 1 - x
    for _ in range(turns):
        x, y = y, image.shape[1] - 1 - x
        image, segment = np.rot90(image), np.rot90(segment)

    result = measure(np.ascontiguousarray(image), np.ascontiguousarray(segment), x, y)

    assert result == pytest.approx(expected)


@pytest.mark.parametrize("factor", [2.0**-40, 2.0**40])
def test_flux_factor_padding_and_shift(image, factor):
    padded = np.pad(factor * image, 3)

    result = measure(padded, np.pad(~CLEAR, 3), X + 3, Y + 3)

    assert result == pytest.approx(measure(image))


def test_symmetric_galaxies_have_none():
    galaxy = 50 * np.exp(-np.hypot(COLUMNS - X, (ROWS - Y) * 1.3) / 4)

    assert measure(galaxy, np.hypot(COLUMNS - X, ROWS - Y) < 12) == (0, 0)


def test_a_slope_flows_together():
    assert measure(1.0 * COLUMNS) == pytest.approx((1, 0))


def test_noise_is_asymmetric():
    value, flag = measure(np.random.default_rng(1).normal(size=SHAPE))

    assert 1.8 < value < 2 and flag == 0


def test_constant():
    assert measure(np.ones(SHAPE)) == (0, 0)


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (5, 2)])
def test_no_gradients(shape):
    value, flag = measure(np.ones(shape))

    assert np.isnan(value) and flag == UNDEFINED


def test_no_source(image):
    assert measure(image, CLEAR)[-1] == NO_SOURCE
    assert measure(image, mask=~CLEAR)[-1] == UNDEFINED


@pytest.mark.parametrize("x", [np.nan, np.inf])
def test_impossible_centres(image, x):
    assert measure(image, x=x)[-1] == UNDEFINED


@pytest.mark.parametrize("x", [-40.0, 90.0])
def test_centres_far_away(image, x):
    assert measure(image, x=x) == (pytest.approx(slow(image, ~CLEAR, x, Y)), 0)

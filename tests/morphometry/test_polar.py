r"""Polar grids, their means and harmonics."""

import numpy as np
import pytest

from pipeline.morphometry.polar import contrast, directions, harmonic, polar


def turned(image, x, y, theta, turns, mirrored):
    r"""One of the eight symmetric images of the square, with its centre and its angle."""

    if mirrored:
        image, x, theta = image[:, ::-1], image.shape[1] - 1 - x, np.pi - theta
    for _ in range(turns):
        x, y, theta = y, image.shape[1] - 1 - x, theta - np.pi / 2
        image = np.rot90(image)

    return np.ascontiguousarray(image), x, y, theta


@pytest.fixture
def image():
    return np.random.default_rng(0).normal(size=(40, 50))


def test_linear_images_are_exact():
    rows, columns = np.mgrid[:40, :50].astype(float)
    mask = np.zeros((40, 50), bool)
    radii = np.array([0.0, 1.5, 7.0])

    values, bad = polar(2 * columns - 3 * rows, mask, 20.3, 18.6, 0.6, 0.4, radii, directions(24))

    phi = 2 * np.pi * np.arange(24) / 24
    u, v = radii[:, None] * np.cos(phi), 0.6 * radii[:, None] * np.sin(phi)
    x = 20.3 + u * np.cos(0.4) - v * np.sin(0.4)
    y = 18.6 + u * np.sin(0.4) + v * np.cos(0.4)
    assert not bad.any()
    assert np.allclose(values, 2 * x - 3 * y, atol=1e-12)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_symmetries(image, turns, mirrored):
    mask = np.zeros((40, 50), bool)
    mask[22, 28] = True
    radii = np.geomspace(1, 30, 7)
    values, bad = polar(image, mask, 24.2, 19.7, 0.7, 0.3, radii, directions(16))

    view, x, y, theta = turned(image, 24.2, 19.7, 0.3, turns, mirrored)
    hidden = turned(mask, 24.2, 19.7, 0.3, turns, mirrored)[0]
    seen, out = polar(view, hidden, x, y, 0.7, theta, radii, directions(16))
    order = (-np.arange(16)) % 16 if mirrored else np.arange(16)

    assert np.array_equal(out[:, order], bad)
    assert np.allclose(seen[:, order], values, atol=1e-12)


def test_bad_where_masked_or_outside(image):
    mask = np.zeros((40, 50), bool)
    mask[20, 30] = True

    values, bad = polar(
        image, mask, 25.0, 20.0, 1.0, 0.0, np.array([4.5, 20.5, 1e300, np.inf]), directions(8)
    )

    assert bad[0].tolist() == [True] + 7 * [False]
    assert bad[1, 2] and bad[1, 6] and not bad[1, 0]
    assert bad[2:].all() and not values[bad].any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2)])
def test_small_images(shape):
    values, bad = polar(
        np.ones(shape),
        np.zeros(shape, bool),
        0.0,
        0.0,
        1.0,
        0.0,
        np.array([0.0, 1.0]),
        directions(4),
    )

    assert values[0].tolist() == [1.0] * 4 and not bad[0].any()


@pytest.mark.parametrize("m", [1, 2, 4, 6])
def test_harmonics_come_back(m):
    phi = 2 * np.pi * np.arange(32) / 32
    values = np.array([[5.0], [2.0]]) * (1 + 0.3 * np.cos(m * phi) - 0.1 * np.sin(m * phi))

    mean, a, b = harmonic(values, np.zeros((2, 32), bool), directions(32), m)

    assert np.allclose(mean, [5, 2])
    assert np.allclose(a / mean, 0.3)
    assert np.allclose(b / mean, -0.1)


def test_rings_that_are_not_good_enough():
    values, bad = np.ones((3, 8)), np.zeros((3, 8), bool)
    bad[0, :5], bad[1] = True, True
    values[2] = -1.0

    mean, a, _ = harmonic(np.where(bad, 0.0, values), bad, directions(8), 2)

    assert np.isnan(mean[:2]).all() and np.isnan(a[:2]).all() and mean[2] == -1
    assert not contrast(np.where(bad, 0.0, values), bad, 0.0).any()


def test_contrast_has_no_mean_and_no_unit(image):
    mask = np.zeros(image.shape, bool)
    values, bad = polar(
        image + 9, mask, 24.0, 20.0, 0.8, 1.0, np.array([3.0, 9.0]), directions(32)
    )

    delta = contrast(values, bad, 0.0)

    assert np.allclose(delta.mean(1), 0, atol=1e-12)
    assert np.allclose(delta, values / values.mean(1, keepdims=True) - 1)
    assert np.allclose(contrast(1e-12 * values, bad, 0.0), delta)
    assert np.allclose(contrast(values, bad, 1e3), values * 1e-3 - values.mean(1)[:, None] * 1e-3)

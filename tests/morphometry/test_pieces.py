r"""Smoothing, sorting and pieces agree with SciPy and NumPy."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.morphometry.forest import forest, merge, positive, rimmed, root, touching
from pipeline.morphometry.pieces import ascending, boxcar, gaussian, piece, unmasked_boxcar

SHAPES = [(1, 1), (1, 9), (17, 30), (64, 64)]


def image_of(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) * np.exp(2 * rng.normal(size=shape))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 40, 61])
def test_boxcar(shape, size):
    r"""One of an even side has all of its places."""

    image = image_of(shape)
    tolerance = 1e-14 * np.abs(image).max()
    smooth, expected = boxcar(image, size), ndimage.uniform_filter(image, size)
    np.testing.assert_allclose(smooth[:-1, :-1], expected, rtol=0, atol=tolerance)

    other, place = ndimage.uniform_filter(image[::-1, ::-1], size)[::-1, ::-1], 1 - size % 2
    height, width = shape
    again = smooth[place : place + height, place : place + width]
    np.testing.assert_allclose(again, other, rtol=0, atol=tolerance)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_unmasked_boxcar(size):
    r"""What is masked has no weight, and squares without it are to the bit what they are."""

    image, mask = image_of((30, 41)), np.random.default_rng(2).random((30, 41)) < 0.1
    mask[8:18, :20] = True
    part, kept = np.where(mask, 0.0, image), ndimage.uniform_filter(1.0 - mask, size)
    plain = boxcar(part, size)
    smooth, plain = unmasked_boxcar(plain, mask, size)[:-1, :-1], plain[:-1, :-1]
    empty, full = kept < 0.5 / size**2, kept > 1 - 0.5 / size**2
    expected = np.where(empty, 0.0, ndimage.uniform_filter(part, size) / np.where(empty, 1, kept))

    np.testing.assert_allclose(smooth, expected, rtol=0, atol=1e-12 * np.abs(image).max())
    np.testing.assert_array_equal(smooth[full], plain[full])
    whole = boxcar(image, size)
    np.testing.assert_array_equal(unmasked_boxcar(whole, mask & False, size), whole)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sigma", [0.0, 0.1, 1.0, 3.3, 12.0])
@pytest.mark.parametrize("mirror", [True, False])
def test_gaussian(shape, sigma, mirror):
    image = image_of(shape)
    mode = "reflect" if mirror else "constant"
    expected = ndimage.gaussian_filter(image, sigma, mode=mode)
    scale = np.abs(image).max()
    exact = gaussian(image, sigma, mirror, True)
    np.testing.assert_allclose(exact, expected, rtol=0, atol=1e-14 * scale)

    point = np.zeros((65, 65))
    point[20, 40] = 1.0
    wide = gaussian(point, 5.0, False, False)
    assert np.abs(wide - gaussian(point, 5.0, False, True)).max() < 1e-3 * wide.max()
    np.testing.assert_allclose(wide.sum(), 1.0, atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["any", "ties", "equal", "offset"])
def test_ascending(shape, kind):
    image = image_of(shape)
    image = {
        "any": image,
        "ties": np.round(image),
        "equal": np.full(shape, -3.0),
        "offset": 1e9 + 1e-6 * image,
    }[kind]
    inside = np.random.default_rng(1).random(shape) < 0.7
    where = np.flatnonzero(inside)
    expected = where[np.argsort(image.ravel()[where] + 0.0, kind="stable")]
    order = ascending(image, inside)
    np.testing.assert_array_equal(order, expected)

    bright = positive(image.ravel(), order)
    np.testing.assert_array_equal(bright, [p for p in expected[::-1] if image.ravel()[p] > 0])


def test_negative_zero_is_zero():
    image = np.array([[0.0, -0.0, 0.0, -1e-300]])
    np.testing.assert_array_equal(ascending(image, np.ones((1, 4), bool)), [3, 0, 1, 2])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.45, 1.0])
def test_piece(shape, share):
    above = np.random.default_rng(2).random(shape) < share
    labels, _ = ndimage.label(above, np.ones((3, 3)))
    for i, j in {(0, 0), (shape[0] // 2, shape[1] // 2), (shape[0] - 1, 0)}:
        expected = (labels == labels[i, j]) & above[i, j]
        np.testing.assert_array_equal(piece(above, i, j), expected)


def test_forest():
    height, width = 12, 15
    image = image_of((height, width))
    order = ascending(image, np.ones((height, width), bool))[::-1]
    parent, area = forest(height, width)
    around = np.empty(8, np.int64)
    above = np.zeros((height, width), bool)
    for p in order:
        above[p // width, p % width] = True
        q = rimmed(p, width)
        new = merge(parent, area, q, around[: touching(parent, q, width + 2, around)])
        labels, count = ndimage.label(above, np.ones((3, 3)))
        assert area[new] == (labels == labels[p // width, p % width]).sum()
        roots = {root(parent, rimmed(k, width)) for k in np.flatnonzero(above)}
        assert len(roots) == count
        assert sorted(area[list(roots)]) == sorted(np.bincount(labels.ravel())[1:])

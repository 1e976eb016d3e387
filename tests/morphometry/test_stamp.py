r"""The stamp: its bounds, its mask and its weights."""

import math

import numpy as np
import pytest
from scipy import ndimage

from pipeline.morphometry.geometry import Aperture
from pipeline.morphometry.stamp import bad_pixels, bounds, outside, stamp, weights


def one_source(shape, top, bottom, left, right, label=3):
    labels = np.zeros(shape, np.int64)
    labels[top:bottom, left:right] = label
    return labels


@pytest.mark.parametrize(
    ("shape", "box", "expected"),
    [
        ((200, 200), (90, 110, 95, 100), (75, 125, 72, 122)),  # 25 to either side
        ((200, 200), (90, 111, 95, 100), (74, 126, 71, 123)),  # 26.25, rounded down
        ((200, 300), (100, 101, 150, 151), (76, 124, 126, 174)),  # at least 24
        ((60, 50), (20, 40, 20, 40), (5, 55, 5, 50)),  # as far as the image goes
        ((8, 9), (0, 8, 0, 9), (0, 8, 0, 9)),
    ],
)
def test_bounds(shape, box, expected):
    labels = one_source(shape, *box)
    labels[0, 0] = labels[0, 0] or 7

    assert bounds(labels, 3, True) == expected
    top, bottom, left, right = bounds(labels, 3, False)
    mirrored = bounds(np.ascontiguousarray(labels[::-1, ::-1]), 3, False)
    assert mirrored == (shape[0] - bottom, shape[0] - top, shape[1] - right, shape[1] - left)


def test_bounds_of_nothing():
    assert bounds(np.zeros((30, 40), np.int64), 1, False) == (0, 30, 0, 40)


def independent(image):
    filled = np.where(np.isfinite(image), image, 0.0)
    kernel = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]]) / 8
    mean = ndimage.correlate(filled, kernel, mode="nearest")
    square = ndimage.correlate(filled**2, kernel, mode="nearest")
    with np.errstate(invalid="ignore"):
        return np.abs(image - mean) > 10 * np.sqrt(square - mean**2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 2), (3, 5), (24, 31)])
@pytest.mark.parametrize("seed", range(4))
def test_bad_pixels(shape, seed):
    rng = np.random.default_rng(seed)
    image = rng.normal(size=shape)
    image.flat[rng.integers(0, image.size, 2)] *= 100
    if seed % 2:
        image.flat[rng.integers(0, image.size, 2)] = [np.nan, np.inf]

    for parity in (True, False):
        assert np.array_equal(bad_pixels(image, parity), independent(image) & np.isfinite(image))


def test_one_bad_pixel():
    image = np.random.default_rng(0).normal(size=(16, 16))
    image[5, 7] = 60
    assert np.argwhere(bad_pixels(image, False)).tolist() == [[5, 7]]


def test_flat_patch():
    for value in (0.0, 0.1, 1e-12, 1e4 / 3):
        for parity in (True, False):
            assert not bad_pixels(np.full((9, 11), value), parity).any()


def test_counts():
    r"""Whole numbers have the same bad pixels however they are turned, and a count has none."""

    rng = np.random.default_rng(3)
    image = np.round(rng.normal(size=(64, 64)))
    image[20, 30], image[40, 12] = 60, -70
    bad = bad_pixels(image, False)
    assert np.argwhere(bad).tolist() == [[20, 30], [40, 12]]
    for turn in range(4):
        seen = np.ascontiguousarray(np.rot90(image.T, turn)) + 1e4
        assert np.array_equal(bad_pixels(seen, False), np.rot90(bad.T, turn))

    photons = rng.poisson(0.05, (64, 64)).astype(float)
    assert not bad_pixels(photons, False).any() and bad_pixels(photons, True).any()


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("factor", [1.0, 2.0**-40])
def test_symmetry_and_factor(turn, factor):
    image = np.random.default_rng(1).normal(size=(20, 20)) ** 5
    bad = bad_pixels(image, False)
    seen = np.ascontiguousarray(np.rot90(image.T, turn)) * factor

    assert bad.any()
    assert np.array_equal(bad_pixels(seen, False), np.rot90(bad.T, turn))


def test_stamp():
    image = np.random.default_rng(2).normal(size=(20, 24))
    image[3, 3], image[4, 4], image[5, 6] = np.nan, -np.inf, 80.0
    labels = one_source(image.shape, 2, 9, 2, 9)
    labels[15:18, 15:18] = 2
    left_out = np.zeros(image.shape, bool)
    left_out[12] = True
    out, mask, segment = stamp(image, labels, 3, left_out, False)

    expected = left_out | (labels == 2) | ~np.isfinite(image)
    expected[5, 6] = True
    assert np.array_equal(mask, expected)
    assert np.array_equal(out, np.where(expected, 0, image))
    assert np.array_equal(segment, labels == 3)


def test_weights():
    image = np.random.default_rng(3).normal(size=(10, 12))
    mask = image > 1.5
    out = weights(image, mask, 50.0, 0.7, True)

    assert np.allclose(out[~mask], np.sqrt(np.abs(image) / 50 + 0.49)[~mask], rtol=1e-15)
    assert mask.any() and not out[mask].any()
    for parity in (True, False):
        found = weights(image, ~mask, np.inf, 0.7, parity)
        assert np.array_equal(found[mask], np.full(mask.sum(), 0.7))


def test_weights_of_what_is_seen():
    r"""Neither a mask nor an edge makes the light around it fainter."""

    mask = np.random.default_rng(3).random((20, 24)) < 0.6
    out = weights(np.where(mask, 0.0, 8.0), mask, 2.0, 3.0, False)

    assert out[~mask] == pytest.approx(math.sqrt(13)) and not out[mask].any()


@pytest.mark.parametrize("photons", [1, 10, 100])
def test_noise_of_the_sky_is_no_light(photons):
    sky = np.random.default_rng(4).poisson(photons, (150, 130)) - float(photons)
    out = weights(sky, sky > np.inf, 1.0, math.sqrt(photons), False)

    assert np.mean(out**2) == pytest.approx(photons, rel=0.02)
    for turn in range(4):
        seen = np.ascontiguousarray(np.rot90(sky.T, turn))
        again = weights(seen, seen > np.inf, 1.0, math.sqrt(photons), False)
        assert np.array_equal(again, np.rot90(out.T, turn))


@pytest.mark.parametrize(("x", "share"), [(20.0, 0.0), (-0.5, 0.5), (-9.0, 1.0), (math.nan, 0.0)])
def test_outside(x, share):
    assert outside(Aperture(x, 15.0, 8.0, 0.6, 0.7), 30, 40) == pytest.approx(share, abs=0.02)

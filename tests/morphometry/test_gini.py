r"""Gini: laws, an independent formula, its segment, and its uncertainty."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.morphometry import flags
from pipeline.morphometry.gini import gini, gini_segment, sn_per_pixel
from pipeline.morphometry.grain import WHITE
from pipeline.morphometry.pieces import ascending


def galaxy(height=60, width=52, x=25.3, y=30.6, scale=4.0, q=0.6, theta=0.7):
    i, j = np.mgrid[:height, :width]
    u = (j - x) * np.cos(theta) + (i - y) * np.sin(theta)
    v = (i - y) * np.cos(theta) - (j - x) * np.sin(theta)
    return 20 * np.exp(-np.hypot(u, v / q) / scale)


def measured(image, segment=None, sigma=1.0):
    segment = np.ones(image.shape, bool) if segment is None else segment
    return gini(image, np.full(image.shape, sigma), ascending(image, segment), WHITE)


def test_flat_patch_is_0():
    assert measured(np.full((5, 7), 3.0))[0] == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("value", [1.0, -2.0, 1e-12])
def test_one_lit_pixel_is_1(value):
    image = np.zeros((5, 7))
    image[2, 4] = value
    assert measured(image)[0] == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("factor", [1e-12, 0.3, -1.0, 1e9])
def test_flux_factor(factor):
    image = np.random.default_rng(0).normal(1, 2, (20, 30))
    value, error, _ = measured(image)
    assert measured(factor * image, sigma=abs(factor))[:2] == pytest.approx((value, error))


def test_mean_difference():
    image = np.random.default_rng(0).normal(1, 2, (9, 11))
    x = np.abs(image).ravel()
    expected = np.abs(x[:, None] - x).sum() / (2 * x.size * (x.size - 1) * x.mean())
    assert measured(image)[0] == pytest.approx(expected)


def test_error_is_the_scatter():
    rng = np.random.default_rng(1)
    model = galaxy()
    segment = model > 1
    values = [
        measured(model + 0.5 * rng.normal(size=model.shape), segment, 0.5) for _ in range(400)
    ]
    scatter = np.std([v[0] for v in values])
    assert np.mean([v[1] for v in values]) == pytest.approx(scatter, rel=0.12)


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.ones((1, 1)), np.zeros((1, 1))])
def test_undefined(image):
    value, error, found = measured(image)
    assert np.isnan(value) and np.isnan(error) and found == flags.UNDEFINED
    assert measured(image, np.zeros(image.shape, bool))[2] == flags.UNDEFINED


TURNS = [(k, mirrored) for k in range(4) for mirrored in (False, True)]


@pytest.mark.parametrize(("turns", "mirrored"), TURNS)
@pytest.mark.parametrize("parity", [True, False])
def test_segment_turns_with_the_image(turns, mirrored, parity):
    x, y, theta = 25.3, 30.6, 0.7
    image = galaxy() + 0.1 * np.random.default_rng(3).normal(size=(60, 52))
    segment, found = gini_segment(image, x, y, 16.0, 0.6, theta, parity)
    assert found & ~flags.SEVERAL_PIECES == 0 and 100 < segment.sum() < 1500

    turned, expected, width = image, segment, image.shape[1]
    if mirrored:
        turned, expected = turned[:, ::-1], expected[:, ::-1]
        x, theta = width - 1 - x, np.pi - theta
    for _ in range(turns):
        width = turned.shape[1]
        turned, expected = np.rot90(turned), np.rot90(expected)
        x, y, theta = y, width - 1 - x, theta - np.pi / 2
    out, again = gini_segment(np.ascontiguousarray(turned), x, y, 16.0, 0.6, theta, parity)
    np.testing.assert_array_equal(out, expected)
    assert again == found


@pytest.mark.parametrize("parity", [True, False])
def test_segment_of_scaled_padded_and_shifted(parity):
    image = galaxy() + 0.1 * np.random.default_rng(3).normal(size=(60, 52))
    segment, found = gini_segment(image, 25.3, 30.6, 16.0, 0.6, 0.7, parity)
    padded = np.pad(1e-12 * image, ((7, 3), (11, 2)))
    out, again = gini_segment(padded, 36.3, 37.6, 16.0, 0.6, 0.7, parity)
    np.testing.assert_array_equal(out[7:-3, 11:-2], segment)
    assert out.sum() == segment.sum() and again == found


def test_segment_is_that_of_scipy():
    image = galaxy() + np.random.default_rng(4).normal(size=(60, 52))
    segment, found = gini_segment(image, 25.3, 30.6, 14.0, 0.6, 0.7, True)
    smooth = ndimage.gaussian_filter(image, 2.8, mode="constant")
    i, j = (np.arange(60 * 9) - 4) / 9, (np.arange(52 * 9) - 4) / 9
    u = (j - 25.3) * np.cos(0.7) + (i[:, None] - 30.6) * np.sin(0.7)
    v = (i[:, None] - 30.6) * np.cos(0.7) - (j - 25.3) * np.sin(0.7)
    ring = np.abs(np.hypot(u, v / 0.6) - 14.0) < 0.5
    share = ring.reshape(60, 9, 52, 9).mean((1, 3))
    threshold = (share * smooth).sum() / (np.pi * 0.6 * 28.0)
    assert segment.any() and smooth[segment].min() == pytest.approx(threshold, rel=0.03)
    labels, count = ndimage.label(smooth >= smooth[segment].min(), np.ones((3, 3)))
    np.testing.assert_array_equal(segment, labels == labels[smooth == smooth.max()])
    assert bool(found & flags.SEVERAL_PIECES) == (count > 1)


def test_several_pieces():
    image = galaxy() + galaxy(x=8.0, y=8.0, scale=1.0)
    segment, found = gini_segment(image, 25.3, 30.6, 9.0, 0.6, 0.7, True)
    assert found == flags.SEVERAL_PIECES and segment[30, 25] and not segment[8, 8]


@pytest.mark.parametrize("a", [np.nan, -1.0, 0.0, 0.2, 1e300, np.inf, 3.0])
@pytest.mark.parametrize("shape", [(1, 1), (2, 9)])
@pytest.mark.parametrize("parity", [True, False])
def test_segment_never_fails(a, shape, parity):
    for image in (np.zeros(shape), np.full(shape, -1.0), np.full(shape, 1e-300)):
        segment, found = gini_segment(image, 0.0, np.nan if a == 0.2 else 0.0, a, 1.0, 0.0, parity)
        assert segment.shape == shape
        assert found or 0 < segment.sum() < segment.size


def test_signal_to_noise():
    image = np.array([[4.0, -1.0, 2.0, 9.0]])
    sigma = np.array([[2.0, 1.0, 0.0, 3.0]])
    segment = np.ones((1, 4), bool)
    assert sn_per_pixel(image, sigma, segment) == pytest.approx((2.5, 2**-0.5, 0))
    assert sn_per_pixel(0.99 * image, sigma, segment)[2] == flags.LOW_SIGNAL
    assert sn_per_pixel(image, sigma, ~segment)[2] == flags.UNDEFINED | flags.LOW_SIGNAL
    assert sn_per_pixel(image, 0 * sigma, segment)[2] == flags.UNDEFINED

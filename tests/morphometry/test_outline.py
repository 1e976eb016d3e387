r"""The outline of a galaxy above its sky, and how far it reaches."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.morphometry import flags
from pipeline.morphometry.outline import outline, reach

SIDE = 90


def galaxy(seed=0, sky=0.0, faint=1.0):
    i, j = np.mgrid[:SIDE, :SIDE]
    noise = np.random.default_rng(seed).normal(size=(SIDE, SIDE))
    return faint * 40 * np.exp(-np.hypot(i - 43.2, (j - 46.7) * 1.3) / 4) + noise + sky


def outlined(image, sky=(), x=46.7, y=43.2, a=11.0, mask=None, segment=None, sigma=np.nan):
    mask = np.zeros(image.shape, bool) if mask is None else mask
    segment = np.zeros(image.shape, bool) if segment is None else segment
    image = np.ascontiguousarray(image)
    return outline(image, mask, segment, (np.array(sky, float), sigma), x, y, a, False)


def clipped(values):
    def kept(values, centre, rounds):
        for _ in range(rounds):
            good = np.abs(values - centre(values)) <= 3 * values.std()
            if good.all():
                break
            values = values[good]
        return values

    def raw(values):
        return 2.5 * np.median(values) - 1.5 * values.mean()

    values = kept(values, lambda v: raw(kept(v, np.median, 10)), 1000)
    return raw(values) + values.std()


@pytest.mark.parametrize("sky", [0.0, 1e5])
@pytest.mark.parametrize("inside", [True, False])
def test_slow_formula(sky, inside):
    image = galaxy(sky=sky)
    image[3:6, 40:45] += 8.0
    i, j = np.indices(image.shape)
    r = np.hypot(i - 43.2, j - 46.7)
    sample = image[(r >= 22) & (r < 44)] if inside else image[:20, :20].ravel()
    smooth = ndimage.uniform_filter(image, 3)
    labels, _ = ndimage.label(smooth >= clipped(sample), np.ones((3, 3)))
    expected = labels == labels[smooth == smooth.max()]
    shape, found = outlined(image, image[:20, :20].ravel(), a=11.0 if inside else 60.0)
    np.testing.assert_array_equal(shape, expected)
    assert found == 0 and 100 < shape.sum() < 2000


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("factor", [1.0, 1e-12, 1e6])
def test_symmetries_and_flux(turns, factor):
    shape = outlined(galaxy())[0]
    x, y = 46.7, 43.2
    for _ in range(turns):
        x, y = y, SIDE - 1 - x
    turned, found = outlined(factor * np.rot90(galaxy(), turns), x=x, y=y)
    np.testing.assert_array_equal(turned, np.rot90(shape, turns))
    assert found == 0
    mirrored = outlined(factor * galaxy()[:, ::-1], x=SIDE - 1 - 46.7)[0]
    np.testing.assert_array_equal(mirrored, shape[:, ::-1])


def test_no_sky():
    segment = galaxy() > 5
    mask = np.zeros_like(segment)
    mask[43, 46] = True
    shape, found = outlined(galaxy(), a=60.0, mask=mask, segment=segment)
    np.testing.assert_array_equal(shape, segment & ~mask)
    assert found == flags.NO_SKY


def test_noise_is_the_threshold_where_no_sky_is_around():
    smooth = ndimage.uniform_filter(galaxy(), 3)
    labels, _ = ndimage.label(smooth >= 0.9, np.ones((3, 3)))
    shape, found = outlined(galaxy(), a=60.0, sigma=0.9)
    np.testing.assert_array_equal(shape, labels == labels[smooth == smooth.max()])
    assert found == 0


def test_edge():
    assert outlined(galaxy()[:, 44:], x=2.7, a=60.0, sigma=1.0)[1] == flags.EDGE


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (8, 8)])
@pytest.mark.parametrize("value", [0.0, -2.0, 1e-300])
@pytest.mark.parametrize("a", [0.0, np.nan, 2.0, np.inf])
def test_never_fails(shape, value, a):
    for sky in ([], [5.0], [1.0, 1e9]):
        out, found = outlined(np.full(shape, value), sky, 0.0, 0.0, a)
        assert out.shape == shape
        if sky:
            assert out.any() and found == flags.LOW_SIGNAL | flags.EDGE
        far = reach(out, 0.0, 0.0, 1.0, 0.0)
        assert np.isfinite(far[0]) or far[2] == flags.UNDEFINED


def test_reach():
    shape = np.zeros((9, 9), bool)
    shape[4, 4] = shape[4, 8] = shape[7, 4] = True
    assert reach(shape, 4.0, 4.0, 0.5, 0.0) == pytest.approx((4.0, 6.0, 0))
    assert reach(shape, 4.0, 4.0, 0.5, np.pi / 2) == pytest.approx((4.0, 8.0, 0))
    assert reach(shape & False, 4.0, 4.0, 0.5, 0.0)[2] == flags.UNDEFINED
    shape[:] = False
    shape[4, 4] = True
    assert reach(shape, 4.0, 4.0, 0.5, 0.0) == (0.0, 0.0, flags.UNDEFINED)

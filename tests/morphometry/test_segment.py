r"""The target among its neighbours: laws, cases with a known answer, and arrays of any kind."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.morphometry.coverage import smooth
from pipeline.morphometry.deblend import Rules, deblend, shell_sort
from pipeline.morphometry.flags import (
    EDGE,
    LOW_SIGNAL,
    MASKED_CENTRE,
    NO_SKY,
    NO_SOURCE,
    OFF_CENTRE,
)
from pipeline.morphometry.level import sky_plane
from pipeline.morphometry.segment import segment
from pipeline.simulate.scene import label
from pipeline.simulate.write import render


def disk(shape, x, y, flux, h=3.0, q=1.0):
    r = np.hypot(np.arange(shape[1]) - x, (np.arange(shape[0])[:, None] - y) / q)
    model = np.exp(-r / h)
    return flux * model / model.sum()


def arc(shape, x, y, flux, radius, width, around=360):
    dy, dx = np.indices(shape) - np.array([y, x])[:, None, None]
    model = np.exp(-0.5 * ((np.hypot(dx, dy) - radius) / width) ** 2)
    model *= np.abs(np.degrees(np.arctan2(dy, dx))) <= around / 2
    return flux * model / model.sum()


def scene(shape=(64, 64), seed=0, *sources):
    image = np.random.default_rng(seed).normal(size=shape)
    for source in sources or ((shape[1] / 2, shape[0] / 2, 3000.0),):
        image += disk(shape, *source)
    return image


def measure(image, x=np.nan, y=np.nan):
    labels, level, _, noise, flags = segment(np.ascontiguousarray(image, np.float64), x, y)

    return labels, level, noise, flags


TWO = scene((64, 64), 1, (30, 33, 3000.0), (47, 40, 1500.0, 2.0))
RING = scene((64, 64), 1, (27, 33, 1200.0, 1.5), (50, 44, 1500.0, 2.0))
RING += arc((64, 64), 27, 33, 5000.0, 11, 2)


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(
    "image",
    [TWO, TWO[3:, :57], np.round(3 * TWO), RING, RING[3:, :61]],
    ids=["", "odd", "whole", "ring", "odd ring"],
)
def test_symmetries(image, turn, mirror):
    labels, sky, noise, flags = measure(image)
    seen = np.rot90(image.T if mirror else image, turn)
    found = measure(seen)

    assert labels.max() == 2
    assert np.array_equal(found[0], np.rot90(labels.T if mirror else labels, turn))
    assert found[1:3] == pytest.approx((sky, noise), rel=1e-9, abs=1e-9) and found[3] == flags


@pytest.mark.parametrize("image", [TWO, RING], ids=["", "ring"])
@pytest.mark.parametrize("factor", [1e-12, 3.7, 1e4])
@pytest.mark.parametrize("offset", [0.0, -1000.0, 30.0])
def test_unit_and_offset(factor, offset, image):
    labels, sky, noise, _ = measure(image)
    found = measure(factor * (image + offset))

    assert np.array_equal(found[0], labels)
    assert found[1] == pytest.approx(factor * (sky + offset), rel=1e-9, abs=1e-9 * factor)
    assert found[2] == pytest.approx(factor * noise, rel=1e-9)


def test_shift():
    wide = scene((120, 120), 2, (60, 60, 3000.0), (80, 66, 900.0, 2.0))
    a, b = measure(wide[20:100, 20:100])[0], measure(wide[15:95, 27:107], 32.5, 44.5)[0]

    # The sky is not that of the same pixels: some at the threshold differ
    inner = (a[0:75, 7:80], b[5:80, 0:73])
    assert np.mean(inner[0] != inner[1]) < 0.003


def test_sky_and_noise():
    found = [measure(7 * scene((96, 80), seed) + 500)[1:3] for seed in range(20)]
    sky, noise = np.mean(found, axis=0)

    assert sky == pytest.approx(500, abs=0.5) and noise == pytest.approx(7, rel=0.02)


def test_error_of_the_level():
    found = [segment(scene((96, 80), seed), np.nan, np.nan)[1:3] for seed in range(80)]
    scatter, told = np.std(found, axis=0)[0], np.median(found, axis=0)[1]

    assert 0.6 < told / scatter < 1.2


def test_gradient():
    rows, columns = np.mgrid[:96, :80] - np.array([47.5, 39.5])[:, None, None]
    image = scene((96, 80), 3, (40, 48, 4000.0)) + 0.03 * rows - 0.05 * columns
    plane, sky = sky_plane(image, np.ones(image.shape, bool))

    assert abs(plane[0]) < 0.15
    assert plane[1:3] == pytest.approx([0.03, -0.05], abs=0.008)
    assert not sky[48, 40] and sky.mean() > 0.5
    assert measure(image)[0].max() == 1


def test_smooth():
    image = np.random.default_rng(4).normal(size=(9, 12))
    kernel = np.outer(*2 * (np.array([1, 4, 6, 4, 1]) / 16,))
    covered = image < 1
    for used in (np.ones_like(covered), covered):
        total = ndimage.convolve(np.where(used, image, 0), kernel, mode="constant")
        weight = ndimage.convolve(used.astype(float), kernel, mode="constant")
        expected = np.where(used, total / weight, np.nan)
        assert np.allclose(smooth(image, used), expected, rtol=1e-12, equal_nan=True)


def test_pieces_without_deblending():
    image = ndimage.gaussian_filter(np.random.default_rng(5).normal(size=(50, 60)), 1.5)
    labels, peaks = deblend(image, 0.1, Rules(0.1, 1, np.inf))
    pieces, count = ndimage.label(image > 0.1, np.ones((3, 3)))

    assert peaks.size == count + 1 and np.array_equal(labels > 0, pieces > 0)
    assert len(set(zip(labels.flat, pieces.flat, strict=True))) == count + 1
    assert np.all(np.diff(peaks[1:]) <= 0)
    assert np.allclose(peaks[1:], ndimage.maximum(image, labels, range(1, count + 1)))


@pytest.mark.parametrize("size", [0, 1, 2, 7, 500])
def test_sort(size):
    values = np.random.default_rng(6).normal(size=size).round(1)
    expected = np.sort(values)
    shell_sort(values)
    assert np.array_equal(values, expected)


def test_saddle():
    # Peaks of 10 and 8, the saddle at 4, above which there are 5 and 3 pixels
    row = np.array([0, 2, 5, 10, 6, 4, 6, 8, 5, 2, 0.0])
    image = np.vstack([row / 2, row, row / 2])
    total = image[image > 0.5].sum()
    share = np.array([6 + 2 + 1 + 1 + 1, 2 + 4 + 1]) / total
    least = share.min() * share.sum() ** 2
    for contrast, count in ((0.99 * least, 2), (1.01 * least, 1)):
        labels, peaks = deblend(image, 0.5, Rules(0.1, 3, contrast))
        assert peaks[1:].tolist() == [10.0, 8.0][:count]
        assert labels[1, 3] == 1 and labels[1, 7] == count
    assert deblend(image, 0.5, Rules(1.4, 3, 0.0))[1].size == 2  # 8 - 4 is less than 3 * 1.4
    assert deblend(image, 0.5, Rules(0.1, 6, 0.0))[1].size == 2


@pytest.mark.parametrize(("around", "count"), [(360, 1), (270, 1), (180, 2), (90, 2)])
@pytest.mark.parametrize("corner", [0, 2000])
def test_surrounded(around, count, corner):
    image = disk((64, 64), 30.0, 31.0, 500.0, 1.5)
    image += arc((64, 64), 30.0, 31.0, 1500.0, 12, 2, around)
    image = np.pad(image, ((0, 0), (corner, 0)))
    labels, peaks = deblend(image, 0.01, Rules(0.01, 5, 0.005))

    assert peaks.size == count + 1
    assert labels[31, corner + 30] == 1 and labels[31, corner + 42] == count


def test_within_a_group():
    # What surrounds the one in the middle are four sources
    image = disk((80, 80), 40, 40, 12.0, 1.5)
    for x, y in ((24, 24), (24, 56), (56, 24), (56, 56)):
        image += disk((80, 80), x, y, 100.0, 4.0)
    labels, peaks = deblend(image, 0.005, Rules(0.001, 5, 0.005))

    assert peaks.size == 6
    assert len({labels[40, 40], labels[24, 24], labels[24, 56], labels[56, 24]}) == 4


@pytest.mark.parametrize("index", [i for i in range(96) if label(0, i) == "ring"])
@pytest.mark.parametrize("depth", [30, 300])
def test_rings_are_whole(index, depth):
    light = render(range(index, index + 1), 0, 64)[1][0, 1].double().numpy()
    noise = light.max() / depth / 3
    labels = measure(light + np.random.default_rng(index).normal(size=light.shape) * noise)[0]
    seen = smooth(light, np.ones(light.shape, bool)) > 4 * 70 / 256 * noise

    assert light[seen & (labels == 1)].sum() > 0.9 * light[seen].sum()


@pytest.mark.parametrize("direction", range(0, 360, 45))
def test_companion_of_a_ring(direction):
    y, x = 40 + 20 * np.array([np.sin(np.radians(direction)), np.cos(np.radians(direction))])
    target = disk((80, 80), 40, 40, 3000.0, 1.5) + arc((80, 80), 40, 40, 9000.0, 10, 2.5)
    companion = disk((80, 80), x, y, 4000.0, 1.5)
    image = np.random.default_rng(7).normal(size=(80, 80)) + target + companion
    labels = measure(image)[0]

    assert labels.max() == 2
    assert companion[labels == 1].sum() < 0.15 * companion.sum()
    assert target[labels == 2].sum() < 0.05 * target.sum()


def test_companion():
    target, companion = disk((64, 64), 31, 32, 3000.0), disk((64, 64), 50, 38, 1200.0, 2.0)
    image = np.random.default_rng(7).normal(size=(64, 64)) + target + companion
    labels = measure(image)[0]

    assert labels.max() == 2 and labels[32, 31] == 1 and labels[38, 50] == 2
    assert companion[labels == 1].sum() < 0.15 * companion.sum()
    assert target[labels == 2].sum() < 0.05 * target.sum()
    assert measure(image, 50.0, 38.0)[0][38, 50] == 1  # the target is where it is asked for


def test_clumps_are_kept():
    rng = np.random.default_rng(8)
    smooth_part = disk((96, 96), 48, 47, 12000.0, 7.0)
    knots = np.zeros((96, 96))
    for x, y in rng.normal(47.5, 7, (25, 2)):
        knots += disk((96, 96), x, y, 100.0, 1.0)
    labels = measure(rng.normal(size=(96, 96)) + smooth_part + knots)[0]

    light = smooth_part + knots
    assert light[labels > 1].sum() < 0.01 * light.sum()
    assert light[labels == 1].sum() > 0.8 * light.sum()


def test_faint_target():
    faint = scene((64, 64), 9, (32, 32, 60.0, 2.0), (8, 9, 2000.0, 2.0))
    labels, _, _, flags = measure(faint)

    assert labels[9, 8] == 2 and np.hypot(*(np.argwhere(labels == 1).mean(0) - 32)) < 4
    assert flags & LOW_SIGNAL


def test_nothing_near():
    labels, _, _, flags = measure(scene((64, 64), 9, (14, 15, 2000.0, 2.0)))
    assert labels.max() == 1 and labels[15, 14] == 1 and flags == OFF_CENTRE


def test_nothing():
    labels, sky, noise, flags = measure(np.random.default_rng(10).normal(size=(64, 64)))
    assert not labels.any() and flags & NO_SOURCE and not flags & NO_SKY
    assert sky == pytest.approx(0, abs=0.15) and noise == pytest.approx(1, rel=0.05)


def test_edge():
    assert measure(scene((64, 64), 0, (3, 30, 3000.0)), 3.0, 30.0)[3] & EDGE
    image = scene((64, 64), 0)
    assert not measure(image)[3] & EDGE
    image[:, :24] = np.nan
    assert measure(image)[3] & EDGE


def test_blank_pixels():
    image = scene((64, 64), 0, (32, 32, 6000.0))
    image[36, 36] = np.inf
    labels, _, _, flags = measure(image)
    assert labels[36, 36] == 0 and labels[35, 35] == 1 and not flags & (EDGE | MASKED_CENTRE)
    image[31:34, 31:34] = np.nan
    assert measure(image)[3] & MASKED_CENTRE


def test_filled():
    # What is flat within the noise at the edge passes for sky: nothing in the image says more
    image = 20 * np.exp(-np.hypot(*(np.mgrid[:48, :48] - 23.4)) / 40)
    labels, sky, noise, _ = measure(image + np.random.default_rng(11).normal(size=(48, 48)))
    assert labels[24, 24] == 1 and sky < image[0, 24] and noise == pytest.approx(1, rel=0.15)

    image = 100 * np.exp(-np.hypot(*(np.mgrid[:48, :48] - 23.4)) / 12)
    assert measure(image + np.random.default_rng(11).normal(size=(48, 48)))[3] == EDGE | NO_SKY


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (4, 4), (8, 8), (5, 40), (37, 8), (1024, 20)])
@pytest.mark.parametrize(
    "kind", ["noise", "source", "blank", "constant", "negative", "few", "hot"]
)
def test_any_array(shape, kind):
    rng = np.random.default_rng(12)
    image = rng.normal(size=shape)
    if kind == "source":
        image += disk(shape, shape[1] / 2, shape[0] / 2, 500.0, 1.5)
    elif kind == "blank":
        image[:] = np.nan
    elif kind == "constant":
        image[:] = 0.1
    elif kind == "negative":
        image -= disk(shape, shape[1] / 2, shape[0] / 2, 5000.0, 1.5)
    elif kind == "few":
        image[rng.random(shape) < 0.9] = np.inf
    elif kind == "hot":
        image[shape[0] // 2, shape[1] // 2] = 1e30
    labels, _, _, flags = measure(image)

    assert labels.shape == shape and labels.min() >= 0
    assert (labels == 1).any() != bool(flags & NO_SOURCE)
    assert not labels[~np.isfinite(image)].any()
    if kind in ("blank", "constant"):
        assert flags & NO_SOURCE and not labels.any()

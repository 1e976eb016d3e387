r"""Multimode, intensity and deviation: laws, slow formulas, degenerate inputs."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.optimize import basinhopping, brentq

from pipeline.morphometry import flags
from pipeline.morphometry.basins import _flooded, basins, peaks
from pipeline.morphometry.mid import intensity_deviation, mid_segment
from pipeline.morphometry.multimode import multimode
from pipeline.morphometry.pieces import ascending, gaussian

EIGHT = np.ones((3, 3))


def galaxy(seed=0, height=48, width=40, second=0.6):
    i, j = np.mgrid[:height, :width]
    light = 30 * np.exp(-np.hypot(i - 22.3, j - 17.6) / 4)
    light += second * 30 * np.exp(-np.hypot(i - 30.0, j - 26.0) / 2)
    image = light + np.random.default_rng(seed).normal(size=(height, width))
    labels, _ = ndimage.label(ndimage.uniform_filter(image, 3) > 1.0, EIGHT)
    return image, labels == labels[22, 18]


def measured(image, segment):
    image, segment = np.ascontiguousarray(image), np.ascontiguousarray(segment)
    mask = np.zeros(image.shape, bool)
    order = ascending(image, segment)
    inside, found = mid_segment(image, mask, segment, segment, order)
    m, of_m = multimode(image, inside, order)
    own = np.where(segment, image, 0.0)
    i, _, d, _, of_i = intensity_deviation(own, np.ones(image.shape), inside)
    return inside, (m, i, d), found | of_m | of_i


def areas(light, least):
    labels, _ = ndimage.label(light >= least, EIGHT)
    return np.sort(np.append(np.bincount(labels.ravel())[1:], 0))[::-1][:2]


@pytest.mark.parametrize("seed", range(8))
def test_segment_ends_where_brent_ends(seed):
    image, segment = galaxy(seed)
    light = np.where(segment & (image > 0), image, 0.0)
    values = np.sort(light[segment])
    top = np.unravel_index(light.argmax(), light.shape)

    def clump(q):
        labels, _ = ndimage.label(light >= values[int(q * (values.size - 1))], EIGHT)
        return labels == labels[top]

    def excess(q):
        return values[int(q * (values.size - 1))] / light[clump(q)].mean() - 0.2

    votes = ndimage.uniform_filter(clump(brentq(excess, 0, 1, xtol=1 / values.size)) * 1.0, 3)
    labels, _ = ndimage.label(votes > 0.5, EIGHT)
    np.testing.assert_array_equal(measured(image, segment)[0], labels == labels[top])


@pytest.mark.parametrize("seed", range(4))
def test_multimode_is_that_of_basin_hopping(seed):
    image, segment = galaxy(seed, second=0.3)
    inside, (m, _, _), _ = measured(image, segment)
    light = np.where(inside & segment & (image > 0), image, 0.0)
    values = np.sort(light[segment])

    def pair(q):
        return areas(light, values[int(q * (values.size - 1))])

    def energy(q):
        q = np.atleast_1d(q)[0]
        first, second = pair(q) if 0 <= q <= 1 else (1, 0)
        return -(float(second) ** 2) / first if second else light.sum()

    step, steps = 0.02, np.arange(0, 1, 0.02)
    while min(map(energy, steps)) > 0:
        step /= 2
        steps = np.arange(0, 1, step)
    start = min(steps, key=energy)
    end = basinhopping(
        energy,
        start,
        niter=5,
        T=-0.5 * energy(start),
        stepsize=step,
        interval=2.5,
        minimizer_kwargs={"method": "Nelder-Mead"},
        rng=np.random.RandomState(0),
    )
    first, second = pair(end.x[0])
    assert m == second / first


@pytest.mark.parametrize("seed", range(4))
def test_basins_are_those_of_a_flood(seed):
    smooth = gaussian(np.random.default_rng(seed).random((30, 41)), 1.0, True, True)
    smooth[0], smooth[-1], smooth[:, 0], smooth[:, -1] = 0, 0, 0, 0
    summits = peaks(smooth, (True, True, True, True))
    assert summits.sum() > 20
    maxima = smooth == ndimage.maximum_filter(smooth, 3)
    np.testing.assert_array_equal(summits, maxima & (smooth > 0))
    other = np.random.default_rng(seed).random(smooth.shape)
    np.testing.assert_allclose(
        basins(smooth, summits, other), _flooded(smooth, summits, other), atol=1e-12
    )


def test_light_on_the_edge_goes_to_the_peak_that_reaches_it():
    smooth = np.array([[9.0, 2.0, 1.0, 1.5], [1.0, 3.0, 4.0, 2.5], [1.0, 2.0, 3.0, 1.0]])
    summits = peaks(smooth, (True, True, True, True))
    assert summits.sum() == 1 and summits[1, 2]
    sums = basins(smooth, summits, 2 * smooth)
    assert sums[:, 6] == pytest.approx([smooth.sum(), 2 * smooth.sum()]) and (sums > 0).sum() == 2


def test_intensity_of_two_sources():
    image = np.zeros((40, 50))
    image[20, 12], image[20, 36] = 8.0, 2.0
    # Only what is connected with the brightest pixel is in the segment
    found, values, flagged = measured(image, np.ones(image.shape, bool))
    assert found.sum() == 1 and found[20, 12]
    assert values == (0, 0, 0) and flagged == flags.LOW_SIGNAL
    inside = np.zeros(image.shape, bool)
    inside[20, 12] = inside[20, 36] = True
    i, _, d, _, found = intensity_deviation(image, np.ones(image.shape), inside)
    assert i == pytest.approx(0.25)
    assert d == pytest.approx(np.sqrt(np.pi / 2) * 24 * 0.2)
    assert found == 0


@pytest.mark.parametrize("factor", [1e-12, 3.7, 1e9])
def test_flux_factor(factor):
    image, segment = galaxy()
    inside, values, found = measured(image, segment)
    scaled, again, flagged = measured(factor * image, segment)
    np.testing.assert_array_equal(scaled, inside)
    assert again == pytest.approx(values, rel=1e-9) and flagged == found == 0


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_symmetries_padding_and_shift(turns, mirrored):
    image, segment = galaxy()
    inside, values, _ = measured(image, segment)
    step = -1 if mirrored else 1
    image, segment, inside = (np.rot90(a[:, ::step], turns) for a in (image, segment, inside))
    out, again, _ = measured(image, segment)
    np.testing.assert_array_equal(out, inside)
    assert again == pytest.approx(values, rel=1e-9)

    rim = ((5, 2), (0, 9))
    out, again, _ = measured(np.pad(image, rim), np.pad(segment, rim))
    np.testing.assert_array_equal(out, np.pad(inside, rim))
    assert again == pytest.approx(values, rel=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 9), (8, 8)])
@pytest.mark.parametrize("value", [0.0, -1.0, 1.0, 5e-324, 1e300])
def test_never_fails(shape, value):
    for segment in (np.ones(shape, bool), np.zeros(shape, bool), np.eye(*shape, dtype=bool)):
        inside, values, found = measured(np.full(shape, value), segment)
        assert inside.shape == shape
        assert not np.isnan(values).any() or found & flags.UNDEFINED


def test_steps_as_flat_as_they_come():
    # The search meets equal values at both ends
    image = np.repeat(np.array([[100.0, 3.0, 2.0, 1.0]]), 4, axis=0)
    image = np.pad(np.repeat(image, [1, 30, 30, 30], axis=1), 2)
    inside, values, _ = measured(image, image > 0)
    assert inside.any() and np.isfinite(values[0])

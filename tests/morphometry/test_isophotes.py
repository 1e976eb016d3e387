r"""Ellipses by radius, and how they turn."""

import numpy as np
import pytest

from pipeline.morphometry.flags import NO_TWIST
from pipeline.morphometry.isophotes import Isophotes, isophote_twist, isophotes, twist
from pipeline.morphometry.known import Disk
from tests.morphometry import disks

SHAPE = (90, 96)
X, Y, Q, THETA = 47.3, 44.8, 0.6, 0.5
CLEAR = np.zeros(SHAPE, bool)


def plane(q=Q, theta=THETA, shape=SHAPE, x=X, y=Y):
    return disks.plane(shape, x, y, q, theta)


RADII = np.geomspace(5, 30, 6)


def disk(q=Q, theta=THETA):
    return 100 * np.exp(-plane(q, theta)[0] / 8)


def measure(image, x=X, y=Y, q=0.8, theta=0.2, sigma=0.0):
    noise = np.full(RADII.size, sigma)

    return isophotes(image, np.zeros_like(image, bool), x, y, q, theta, RADII, noise)


@pytest.mark.parametrize("q", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("theta", [0.0, 0.5, 2.5])
def test_ellipses_come_back(q, theta):
    shape, angle, *_ = measure(disk(q, theta), q=0.7, theta=theta + 0.4)

    assert np.allclose(shape, 1 - q, atol=0.05)
    assert np.allclose(shape[3:], 1 - q, atol=0.01)
    assert np.allclose((angle - theta + 1) % np.pi, 1, atol=0.03)


@pytest.mark.parametrize("start", [1.0, 0.5])
def test_circles(start):
    shape, *_ = measure(disk(1.0), q=start)

    assert np.allclose(shape, 0, atol=0.01)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_symmetries(turns, mirrored):
    image = disk() + np.random.default_rng(0).normal(0, 0.3, SHAPE)
    found = measure(image, sigma=0.3)

    view, x, y, theta = disks.turned(image, X, Y, 0.2, turns, mirrored)
    other = measure(view, x, y, 0.8, theta, 0.3)

    assert np.allclose(other.ellipticity, found.ellipticity, equal_nan=True)
    expected = np.array([disks.turned(image, X, Y, a, turns, mirrored)[3] for a in found.theta])
    assert np.allclose(np.sin(other.theta - expected), 0, atol=1e-8, equal_nan=True)
    assert np.allclose(other[2:], found[2:], equal_nan=True)
    assert np.allclose(twist(other), twist(found))


@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_flux_factor(factor):
    image = disk() + np.random.default_rng(1).normal(0, 0.3, SHAPE)

    results = measure(factor * image, sigma=0.3 * factor)

    assert np.allclose(results, measure(image, sigma=0.3), rtol=1e-6, equal_nan=True)


def test_errors_are_those_of_noise():
    generator = np.random.default_rng(2)
    draws = [measure(disk() + generator.normal(0, 1, SHAPE), sigma=1.0) for _ in range(100)]
    results = np.array(draws)

    scatter = np.nanstd(results[:, 0, :4], 0)
    assert np.all(np.abs(np.log(np.nanmedian(results[:, 2, :4], 0) / scatter)) < 0.6)
    scatter = np.nanstd(results[:, 1, :4], 0)
    assert np.all(np.abs(np.log(np.nanmedian(results[:, 3, :4], 0) / scatter)) < 0.6)


def twisted():
    r"""A disk that turns by 0.5 from 5 to 30 pixels."""

    r, phi = plane(1.0, 0.0)
    angle = 0.3 + 0.5 * np.clip((np.log(np.maximum(r, 1)) - np.log(5)) / np.log(6), 0, 1)

    return 100 * np.exp(-r * np.hypot(np.cos(phi - angle), np.sin(phi - angle) / 0.6) / 8)


def test_a_twist_comes_back():
    image = twisted()
    found = twist(measure(image))

    assert found.twist == pytest.approx(0.5, abs=0.15)  # isophotes are no ellipses while they turn
    assert found.twist_error == 0 and found.ellipticity_change < 0.2 and found.flags == 0


def turn(image, x=X, y=Y, theta=0.2, sigma=0.0, photons=0.0):
    mask, added = np.zeros(image.shape, bool), np.zeros(image.shape) + photons

    return isophote_twist(image, mask, Disk(x, y, 0.8, theta, 3.0, 30.0), sigma, added)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_twist_of_a_galaxy(turns, mirrored):
    r"""That of the ladder of isophotes is there, is the same from any side, or is none."""

    view, x, y, theta = disks.turned(twisted(), X, Y, 0.2, turns, mirrored)
    values = turn(view, x, y, theta)
    straight = turn(disks.turned(disk(), X, Y, 0.2, turns, mirrored)[0], x, y, theta)

    assert values == pytest.approx(turn(twisted()), abs=1e-6)
    assert values.twist == pytest.approx(0.5, abs=0.15) and values.flags == 0
    assert straight.twist == pytest.approx(0, abs=0.05) and straight.ellipticity_change < 0.1


def clumpy(seed):
    r"""A noisy disk in clumps, whose isophotes are no ellipses."""

    generator, image = np.random.default_rng(seed), 30 * np.exp(-plane()[0] / 8)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for x, y in generator.normal(0, 9, (20, 2)):
        image += 30 * np.exp(-((columns - X - x) ** 2 + (rows - Y - y) ** 2) / 4.5)

    return image + generator.normal(size=SHAPE)


@pytest.mark.parametrize("seed", [27, 54, 71, 80])
def test_twist_of_clumps(seed):
    r"""A fit that jumps about ends elsewhere as soon as the centre is known to rounding only."""

    image, found = clumpy(seed), turn(clumpy(seed), sigma=1.0)
    assert found.twist > 0
    for k in range(8):
        view, x, y, theta = disks.turned(image, X, Y, 0.2, k % 4, k > 3)
        assert turn(view, x + 1e-7 * k, y, theta, 1.0) == pytest.approx(found, rel=0, abs=1e-5)


def test_twist_of_noise_is_within_its_error():
    generator = np.random.default_rng(5)
    draws = [turn(disk() + generator.normal(0, 1, SHAPE), sigma=1.0) for _ in range(60)]
    value, error, _, flags = np.array(draws).T

    assert 0.3 < np.median(value / error) < 3
    assert (flags != NO_TWIST).mean() < 0.05  # the false alarms
    assert turn(twisted() + generator.normal(0, 0.3, SHAPE), sigma=0.3).flags == 0


def test_photons_turn_no_isophotes():
    r"""Their noise is largest in the middle, and no more than that of a sky as noisy."""

    generator, light = np.random.default_rng(5), 5 * disk()
    draws = [generator.poisson(light) + generator.normal(0, 0.5, SHAPE) for _ in range(60)]
    errors = np.array([turn(image, sigma=0.5, photons=light) for image in draws])

    assert np.mean(errors[:, -1] == NO_TWIST) > 0.8
    even = turn(draws[0], sigma=3.0, photons=16.0)
    assert np.allclose(even, turn(draws[0], sigma=5.0), equal_nan=True)


@pytest.mark.parametrize("outer", [1.0, np.nan, np.inf])
def test_no_ladder(outer):
    result = isophote_twist(disk(), CLEAR, Disk(X, Y, 0.8, 0.2, 0.1, outer), 0.0, 0.0 * disk())

    assert np.isnan(result[:3]).all() and result[3] == NO_TWIST


def test_twist_follows_angles_past_the_end():
    angle, error = np.array([3.0, 3.1, 0.05, 0.15]), np.full(4, 0.01)

    found = twist(Isophotes(np.full(4, 0.3), angle, error, error))

    assert found.twist == pytest.approx(np.pi + 0.15 - 3.0)


@pytest.mark.parametrize("image", [np.zeros(SHAPE), np.ones(SHAPE), -disk()])
def test_no_isophotes(image):
    results = measure(image)

    assert np.isnan(results).all()
    *values, flag = twist(results)
    assert np.isnan(values).all() and flag == NO_TWIST


@pytest.mark.parametrize("x", [np.nan, -1e9])
def test_impossible_centres(x):
    assert np.isnan(measure(disk(), x=x)).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2)])
def test_small_images(shape):
    assert np.isnan(measure(np.ones(shape), 0.0, 0.0)).all()

r"""Spiral arms: handedness, pitch angle and number."""

import numpy as np
import pytest

from pipeline.morphometry.flags import NO_ARMS
from pipeline.morphometry.known import Disk
from pipeline.morphometry.polar import contrast, directions, polar
from pipeline.morphometry.spiral import ANGLES, RINGS, spiral
from tests.morphometry import disks

SHAPE = (60, 70)
X, Y, Q, THETA = 34.3, 29.8, 0.7, 0.5
CLEAR = np.zeros(SHAPE, bool)


def plane(q=Q, theta=THETA, shape=SHAPE, x=X, y=Y):
    return disks.plane(shape, x, y, q, theta)


def arms(m, pitch, amplitude=0.3, q=Q, **others):
    r, phi = plane(q, **others)
    wave = np.cos(m * (phi - np.log(np.maximum(r, 0.1)) / np.tan(pitch)) + 0.3)

    return 100 * np.exp(-r / 7) * (1 + amplitude * wave)


def measure(image, x=X, y=Y, q=Q, theta=THETA, sigma=0.0, mask=CLEAR, photons=0.0):
    added = np.zeros(image.shape) + photons

    return spiral(image, mask, Disk(x, y, q, theta, 3.0, 28.0), sigma, added, 1.0)


@pytest.mark.parametrize(("m", "degrees"), [(2, 15), (2, 25), (2, 40), (3, 20), (4, 25), (5, 35)])
@pytest.mark.parametrize("hand", [-1, 1])
def test_logarithmic_spirals_come_back(m, degrees, hand):
    found = measure(arms(m, hand * np.radians(degrees)))

    assert hand * found.winding > 0.9
    assert found.arms == m
    assert hand * np.degrees(found.pitch) == pytest.approx(degrees, abs=0.5)
    assert found.flags == 0


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_symmetries(turns, mirrored):
    image = arms(2, np.radians(20)) + np.random.default_rng(0).normal(size=SHAPE)
    expected = np.array(measure(image, sigma=1.0))
    if mirrored:
        expected[[0, 3]] *= -1

    view, x, y, theta = disks.turned(image, X, Y, THETA, turns, mirrored)

    assert np.allclose(measure(view, x, y, Q, theta, 1.0, np.zeros_like(view, bool)), expected)


@pytest.mark.parametrize("factor", [1e-12, 3.0, 1e12])
def test_flux_factor(factor):
    image = arms(3, np.radians(20)) + np.random.default_rng(1).normal(size=SHAPE)

    result = measure(factor * image, sigma=factor)

    assert np.allclose(result, measure(image, sigma=1.0), rtol=1e-9)


def test_padding_and_shift():
    image = arms(2, np.radians(20))
    padded = np.pad(image, 5)

    result = measure(padded, X + 5, Y + 5, mask=np.zeros_like(padded, bool))

    assert np.allclose(result, measure(image), rtol=1e-6)


def test_the_transform_is_that_of_the_definition():
    image = arms(3, np.radians(22)) + np.random.default_rng(2).normal(size=SHAPE)
    u = np.linspace(np.log(3.0), np.log(28.0), RINGS)
    values, bad = polar(image, CLEAR, X, Y, Q, THETA, np.exp(u), directions(ANGLES))
    delta = contrast(values, bad, 0.02 * values.mean(1).max())
    window = np.hanning(RINGS + 2)[1:-1]
    phi = 2 * np.pi * np.arange(ANGLES) / ANGLES
    top = bottom = 0.0
    for m in range(2, 7):
        for p in np.arange(0.5, 20.5, 0.5):
            waves = [np.exp(-1j * (m * phi + s * p * u[:, None])) for s in (-1, 1)]
            minus, plus = (abs(np.sum(window[:, None] * delta * wave)) ** 2 for wave in waves)
            top += m * p * (minus - plus)
            bottom += m * p * (minus + plus)

    assert measure(image)[0] == pytest.approx(top / bottom, rel=1e-9)


@pytest.mark.parametrize("sigma", [1.0, 4.0])
def test_errors_are_those_of_noise(sigma):
    generator = np.random.default_rng(3)
    image = arms(2, np.radians(20), 0.15)
    draws = [measure(image + generator.normal(0, sigma, SHAPE), sigma=sigma) for _ in range(100)]
    results = np.array(draws)
    kept = results[results[:, 2] == 2]

    assert 0.7 < np.median(kept[:, 4]) / kept[:, 3].std() < 1.5
    assert 0.7 < np.median(results[:, 1]) / results[:, 0].std() < 1.6


def test_noise_has_no_hand():
    generator = np.random.default_rng(4)
    disk = arms(2, 0.3, 0.0)
    results = np.array(
        [measure(disk + generator.normal(0, 3, SHAPE), sigma=3.0) for _ in range(100)]
    )

    assert abs(results[:, 0].mean()) < 3 * results[:, 0].std() / 10
    assert np.mean(results[:, -1].astype(int) & NO_ARMS > 0) > 0.9


def test_noise_of_photons_has_no_arms():
    r"""It is largest in the middle, and no more than noise of the sky where it is that large."""

    generator, light = np.random.default_rng(4), 5 * arms(2, 0.3, 0.0)
    draws = [generator.poisson(light) + generator.normal(0, 0.5, SHAPE) for _ in range(60)]
    results = np.array([measure(image, sigma=0.5, photons=light) for image in draws])

    assert np.mean(results[:, -1].astype(int) & NO_ARMS > 0) > 0.9
    assert 0.6 < np.median(results[:, 1]) / results[:, 0].std() < 1.6
    even = measure(draws[0], sigma=3.0, photons=16.0)
    assert np.allclose(even, measure(draws[0], sigma=5.0), equal_nan=True)


@pytest.mark.parametrize("q", [1.0, 0.5])
def test_a_disk_has_no_arms(q):
    r"""What pixels leave of a smooth disk has no number of arms, and is below any noise."""

    noise = np.random.default_rng(6).normal(size=SHAPE)
    disk, wound = arms(2, 0.3, 0.0, q), arms(2, 0.3, 0.3, q)
    bare, told = (measure(image + 3 * noise, q=q, sigma=3.0) for image in (disk, wound))

    assert bare.flags == NO_ARMS and abs(bare.winding) < 3 * bare.winding_error
    assert told.flags == 0 and told.winding > 0.8


def test_a_bar_is_no_arm():
    r, phi = plane()
    bar = 100 * np.exp(-r / 7) * (1 + 0.4 * np.cos(2 * phi - 1))
    both = bar * (1 + 0.2 * np.cos(2 * (phi - np.log(np.maximum(r, 0.1)) / np.tan(0.3))))

    assert abs(measure(bar).winding) < 0.1
    assert measure(both).pitch == pytest.approx(0.3, rel=0.1)


@pytest.mark.parametrize("level", [1.0, 1e-12, 0.1])
def test_constant(level):
    found = measure(np.full(SHAPE, level))

    assert (found.winding, found.winding_error) == (0, 0)
    assert np.isnan(found.arms) and np.isnan(found.pitch)
    assert found.flags == NO_ARMS


@pytest.mark.parametrize("image", [np.zeros(SHAPE), np.full(SHAPE, -1.0)])
def test_no_light(image):
    *values, flag = measure(image)

    assert np.isnan(values).all() and flag == NO_ARMS


@pytest.mark.parametrize(
    ("x", "y", "q", "theta", "inner", "outer"),
    [
        (X, Y, Q, THETA, 3.0, 3.0),
        (X, Y, Q, THETA, 0.0, 9.0),
        (X, Y, Q, THETA, 3.0, np.nan),
        (X, Y, Q, THETA, 3.0, np.inf),
        (np.nan, Y, Q, THETA, 3.0, 9.0),
        (1e9, Y, Q, THETA, 3.0, 9.0),
        (X, Y, Q, np.nan, 3.0, 9.0),
    ],
)
def test_impossible_apertures(x, y, q, theta, inner, outer):
    *values, flag = spiral(
        arms(2, 0.3), CLEAR, Disk(x, y, q, theta, inner, outer), 1.0, np.zeros(SHAPE), 1.0
    )

    assert np.isnan(values).all() and flag == NO_ARMS


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2)])
def test_small_images(shape):
    disk = Disk(0.0, 0.0, 1.0, 0.0, 1.0, 9.0)

    dark = np.zeros(shape)
    assert spiral(np.ones(shape), dark > 0, disk, 1.0, dark, 1.0).flags & NO_ARMS


def test_masked():
    hidden = CLEAR.copy()
    hidden[:, 36:40] = True

    assert measure(arms(2, np.radians(20)), mask=hidden)[0] > 0.5
    assert np.isnan(measure(arms(2, 0.3), mask=~CLEAR)[0])

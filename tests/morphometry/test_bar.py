r"""The Fourier amplitudes of bars."""

import numpy as np
import pytest

from pipeline.morphometry.bar import bar
from pipeline.morphometry.flags import NO_BAR
from pipeline.morphometry.known import Disk
from tests.morphometry import disks

SHAPE = (60, 70)
X, Y, Q, THETA = 34.3, 29.8, 0.7, 0.5
CLEAR = np.zeros(SHAPE, bool)


def plane(q=Q, theta=THETA, shape=SHAPE, x=X, y=Y):
    return disks.plane(shape, x, y, q, theta)


def barred(amplitude=0.4, end=12.0, phase=0.6, width=0.2):
    r, phi = plane()
    profile = amplitude / (1 + np.exp((r - end) / width))

    return 100 * np.exp(-r / 7) * (1 + profile * np.cos(2 * (phi - phase)))


def measure(image, x=X, y=Y, theta=THETA, sigma=0.0, mask=CLEAR, photons=0.0):
    added = np.zeros(image.shape) + photons

    return bar(image, mask, Disk(x, y, Q, theta, 2.0, 25.0), sigma, added)


@pytest.mark.parametrize("amplitude", [0.1, 0.4, 0.8])
def test_perfect_bars_come_back(amplitude):
    found = measure(barred(amplitude))

    assert found.strength == pytest.approx(amplitude, abs=0.02)
    angle = (THETA + np.arctan2(Q * np.sin(0.6), np.cos(0.6))) % np.pi
    assert found.theta == pytest.approx(angle, abs=0.01)
    assert found.length == pytest.approx(12.0, abs=0.6)
    assert (found.strength_error, found.theta_error, found.flags) == (0, 0, 0)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_symmetries(turns, mirrored):
    image = barred() + np.random.default_rng(0).normal(size=SHAPE)
    found = measure(image, sigma=1.0)
    angle = disks.turned(image, X, Y, found.theta, turns, mirrored)[3] % np.pi

    view, x, y, theta = disks.turned(image, X, Y, THETA, turns, mirrored)
    result = measure(view, x, y, theta, 1.0, np.zeros_like(view, bool))

    assert np.allclose(result, found._replace(theta=angle))


@pytest.mark.parametrize("factor", [1e-12, 3.0, 1e12])
def test_flux_factor(factor):
    image = barred() + np.random.default_rng(1).normal(size=SHAPE)

    assert np.allclose(measure(factor * image, sigma=factor), measure(image, sigma=1.0), rtol=1e-9)


def test_padding_and_shift():
    padded = np.pad(barred(), 4)

    result = measure(padded, X + 4, Y + 4, mask=np.zeros_like(padded, bool))

    assert np.allclose(result, measure(barred()), rtol=1e-6)


def test_error_is_that_of_noise():
    generator = np.random.default_rng(2)
    results = np.array(
        [measure(barred() + generator.normal(0, 2, SHAPE), sigma=2.0) for _ in range(400)]
    )

    # The largest of several rings varies less than each
    low, high = np.percentile(results[:, [0, 2]], (15.87, 84.13), axis=0)
    ratio = 2 * np.median(results[:, [1, 3]], axis=0) / (high - low)
    assert ratio == pytest.approx([1.1, 1], abs=0.15)


def test_a_disk_has_no_bar():
    assert measure(barred(0.0)).strength < 0.02
    assert measure(barred(0.0), sigma=1.0).flags & NO_BAR
    assert measure(barred(0.0), sigma=1.0).theta_error == pytest.approx(np.pi / np.sqrt(12))


def test_noise_is_no_bar():
    r"""The largest amplitude of noisy rings would be 0.4 here."""

    generator = np.random.default_rng(3)
    found = [measure(barred(0.0) + generator.normal(0, 6, SHAPE), sigma=6.0) for _ in range(30)]

    assert np.median([one.strength for one in found]) < 0.15


def test_noise_of_photons_is_no_bar():
    r"""It is largest in the middle, and no more than noise of the sky where it is that large."""

    generator, light = np.random.default_rng(3), 5 * barred(0.0)
    draws = [generator.poisson(light) + generator.normal(0, 0.5, SHAPE) for _ in range(60)]
    found = [measure(image, sigma=0.5, photons=light) for image in draws]

    assert np.median([one.strength / one.strength_error for one in found]) < 4
    even = measure(draws[0], sigma=3.0, photons=16.0)
    assert np.allclose(even, measure(draws[0], sigma=5.0), equal_nan=True)


def test_a_bar_without_end():
    r, phi = plane()
    growing = 100 * np.exp(-r / 7) * (1 + 0.02 * r * np.cos(2 * phi))

    assert measure(growing).flags & NO_BAR


def test_constant():
    found = measure(np.ones(SHAPE))

    assert (found.strength, found.strength_error) == (0, 0)
    assert np.isnan([found.theta, found.theta_error, found.length]).all()
    assert found.flags & NO_BAR


@pytest.mark.parametrize("image", [np.zeros(SHAPE), np.full(SHAPE, -1.0)])
def test_no_light(image):
    *values, flag = measure(image)

    assert np.isnan(values).all() and flag == NO_BAR


@pytest.mark.parametrize(
    ("x", "inner", "outer"),
    [(X, 3.0, 3.0), (X, 0.0, 9.0), (X, 3.0, np.nan), (np.nan, 3.0, 9.0), (1e9, 3.0, 9.0)],
)
def test_impossible_apertures(x, inner, outer):
    *values, flag = bar(barred(), CLEAR, Disk(x, Y, Q, THETA, inner, outer), 1.0, np.zeros(SHAPE))

    assert np.isnan(values).all() and flag == NO_BAR


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2)])
def test_small_images(shape):
    disk = Disk(0.0, 0.0, 1.0, 0.0, 1.0, 9.0)

    assert bar(np.ones(shape), np.zeros(shape, bool), disk, 1.0, np.zeros(shape)).flags & NO_BAR

r"""Colour gradients."""

import numpy as np
import pytest

from pipeline.morphometry.colours import colour_gradient
from pipeline.morphometry.cutouts import measure_cutouts
from pipeline.morphometry.flags import LOW_SIGNAL, NO_SKY, UNDEFINED
from pipeline.morphometry.known import Disk
from tests.morphometry import disks

SHAPE = (60, 70)
X, Y, Q, THETA = 34.3, 29.8, 0.7, 0.5
CLEAR = np.zeros(SHAPE, bool)


def plane(q=Q, theta=THETA, shape=SHAPE, x=X, y=Y):
    return disks.plane(shape, x, y, q, theta)


def bands(gradient, colour=0.8):
    r = np.maximum(plane()[0], 0.1)
    red = 100 * np.exp(-r / 7)

    return red * 10 ** (-0.4 * (colour + gradient * np.log10(r))), red


def measure(blue, red, x=X, y=Y, theta=THETA, sigma=0.0, mask=CLEAR, gain=np.inf):
    noise = sigma, gain
    return colour_gradient(blue, red, mask, Disk(x, y, Q, theta, 2.0, 22.0), noise, noise)


@pytest.mark.parametrize("gradient", [-0.3, 0.0, 0.5])
def test_gradients_come_back(gradient):
    found = measure(*bands(gradient))

    assert found.slope == pytest.approx(gradient, abs=3e-3)
    assert found.slope_error == 0 and found.flags == 0


def test_the_colour_without_gradient():
    assert measure(*bands(0.0, 0.8)).colour == pytest.approx(0.8)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_symmetries(turns, mirrored):
    noise = np.random.default_rng(0).normal(size=(2, *SHAPE))
    blue, red = bands(-0.3) + noise
    view, x, y, theta = disks.turned(red, X, Y, THETA, turns, mirrored)
    other = disks.turned(blue, X, Y, THETA, turns, mirrored)[0]

    result = measure(other, view, x, y, theta, 1.0, np.zeros_like(view, bool))

    assert np.allclose(result, measure(blue, red, sigma=1.0))


def test_flux_factors_are_zero_points():
    blue, red = bands(-0.3)
    expected = measure(blue, red)

    assert measure(1e-12 * blue, 1e-12 * red) == pytest.approx(expected)
    brighter = expected._replace(colour=expected.colour - 2.5)
    assert measure(10 * blue, red) == pytest.approx(brighter)


def test_bands_change_places():
    blue, red = bands(-0.3)

    assert measure(red, blue).slope == pytest.approx(-measure(blue, red).slope, abs=5e-3)


def test_errors_are_those_of_noise():
    generator = np.random.default_rng(1)
    draws = [
        measure(*(bands(-0.3) + generator.normal(size=(2, *SHAPE))), sigma=1.0) for _ in range(200)
    ]
    results = np.array(draws)

    assert results[:, 0].mean() == pytest.approx(-0.3, abs=0.005)
    assert results[:, 1].mean() == pytest.approx(results[:, 0].std(), rel=0.2)


def test_errors_are_those_of_photons():
    generator = np.random.default_rng(2)
    blue, red = bands(-0.3)
    draws = [measure(*generator.poisson((blue, red)).astype(float), gain=1.0) for _ in range(200)]
    results = np.array(draws)

    assert results[:, 1].mean() == pytest.approx(results[:, 0].std(), rel=0.2)


def test_faint_annuli_are_left_out():
    assert measure(*bands(-0.3), sigma=200.0).flags & LOW_SIGNAL


def test_constant():
    assert measure(np.ones(SHAPE), np.ones(SHAPE)) == pytest.approx((0, 0, 0, 0))


@pytest.mark.parametrize("image", [np.zeros(SHAPE), np.full(SHAPE, -1.0)])
def test_no_light(image):
    *values, flag = measure(image, np.ones(SHAPE))

    assert np.isnan(values).all() and flag & UNDEFINED


@pytest.mark.parametrize(
    ("x", "inner", "outer"),
    [(X, 3.0, 3.0), (X, 0.0, 9.0), (X, 3.0, np.nan), (np.nan, 3.0, 9.0), (1e9, 3.0, 9.0)],
)
def test_impossible_apertures(x, inner, outer):
    blue, red = bands(-0.3)
    disk, noise = Disk(x, Y, Q, THETA, inner, outer), (1.0, np.inf)
    *values, flag = colour_gradient(blue, red, CLEAR, disk, noise, noise)

    assert np.isnan(values).all() and flag & UNDEFINED


def test_masked():
    assert np.isnan(measure(*bands(-0.3), mask=~CLEAR).slope)
    hidden = CLEAR.copy()
    hidden[20:26] = True
    assert measure(*bands(-0.3), mask=hidden).slope == pytest.approx(-0.3, abs=0.01)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2)])
def test_small_images(shape):
    one, disk = np.ones(shape), Disk(0.0, 0.0, 1.0, 0.0, 2.5, 3.0)

    noise = 1.0, np.inf
    found = colour_gradient(one, one, np.zeros(shape, bool), disk, noise, noise)
    assert found.flags & UNDEFINED


def cutouts(change, seed=3):
    r"""One galaxy in two bands with noise, the bluer one changed."""

    blue, red = bands(-0.3)
    noise = np.random.default_rng(seed).normal(size=(2, *SHAPE))

    return np.stack([change(blue + noise[0]), red + noise[1]])[None]


def star(image):
    return image + 400 * np.exp(
        -((np.arange(70) - 48) ** 2 + (np.arange(60)[:, None] - 43) ** 2) / 3
    )


def hot(image):
    image[40, 45] = 3000.0

    return image


@pytest.mark.parametrize("change", [star, hot])
def test_what_only_the_blue_band_has_is_left_out(change):
    plain, other = (
        measure_cutouts(cutouts(one), "br")["colour_gradient_b_r"][0] for one in (np.copy, change)
    )
    error = measure_cutouts(cutouts(change), "br")["colour_gradient_error_b_r"][0]

    assert abs(other - plain) < 2 * error < 0.2


def test_errors_of_cutouts_know_the_photons():
    few, many = (
        measure_cutouts(cutouts(np.copy), "br", gain=gain)["colour_gradient_error_b_r"][0]
        for gain in (0.1, 1e9)
    )

    assert few > 1.5 * many


def test_unknown_noise():
    r"""A gradient whose noise nobody knows has no error, and says so."""

    y, x = np.mgrid[:40, :40]
    light = 500.0 - 0.3 * ((x - 19) ** 2 + (y - 20) ** 2)  # fills the image
    found = measure_cutouts(np.stack([light * 0.5, light])[None], "br")
    assert np.isnan(found["sky_sigma_b"][0]) and np.isfinite(found["colour_gradient_b_r"][0])
    assert np.isnan(found["colour_gradient_error_b_r"][0])
    assert found["colour_flags_b_r"][0] & NO_SKY


def test_workers():
    pixels = np.concatenate([cutouts(np.copy, seed) for seed in range(3)])
    alone, shared = (measure_cutouts(pixels, "br", workers=count) for count in (1, 2))

    for name, values in alone.items():
        np.testing.assert_array_equal(shared[name], values)

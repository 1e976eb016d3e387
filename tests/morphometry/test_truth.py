r"""Galaxies of which all is known, measured as a whole."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import gammainc, gammaincinv

from pipeline.morphometry import Sky, measure, names
from pipeline.morphometry.flags import STRUCTURE


def sersic_galaxy(n, side, r_eff):
    r"""A round Sersic galaxy without noise, each pixel the mean over it, and the radii."""

    fine = 9
    place = (np.arange(side * fine) + 0.5) / fine - 0.5
    r = np.hypot(place - side // 2 - 0.2, place[:, None] - side // 2 + 0.3)
    light = np.exp(-gammaincinv(2 * n, 0.5) * ((r / r_eff) ** (1 / n) - 1))
    r, light = (part.reshape(side, fine, side, fine).mean((1, 3)) for part in (r, light))

    return light, r


def sersic_radii(n, r_eff):
    r"""The Petrosian radius of a Sersic galaxy, and the radii of 20, 50 and 80 % within 1.5."""

    def flux(r):
        return gammainc(2 * n, gammaincinv(2 * n, 0.5) * (r / r_eff) ** (1 / n))

    def excess(r):
        ring = (flux(r + 0.5) - flux(r - 0.5)) / (2 * r)
        return ring / (flux(r) / r**2) - 0.2

    rpetro = brentq(excess, 1, 10 * r_eff)
    r = np.linspace(0, 1.5 * rpetro, 100_000)

    return rpetro, *np.interp([0.2, 0.5, 0.8], flux(r) / flux(r[-1]), r)


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 4.0])
def test_a_sersic_galaxy_is_what_it_is(n):
    image, r = sersic_galaxy(n, side=301, r_eff=14.0)
    found = measure(image, (r < 45).astype(int))
    rpetro, r20, r50, r80 = sersic_radii(n, 14.0)

    assert (found.sersic_x, found.sersic_y) == pytest.approx((150.2, 149.7), abs=0.01)
    assert (found.sersic_n, found.sersic_r_eff) == pytest.approx((n, 14.0), rel=0.01)
    assert (found.rpetro_circ, found.r50) == pytest.approx((rpetro, r50), rel=0.01)
    assert found.concentration == pytest.approx(5 * math.log10(r80 / r20), rel=0.01)


@pytest.mark.parametrize("n", [1.0, 2.5, 4.0])
@pytest.mark.parametrize("brightness", [10.0, 1000.0])
def test_what_is_round_and_smooth_has_no_structure(n, brightness):
    r"""Pixels give it one far above the noise, which is not to be taken for its own."""

    image, _ = sersic_galaxy(n, side=111, r_eff=7.0)
    noise = np.random.default_rng(0).normal(size=image.shape)
    assert measure(brightness * image + noise).flags & STRUCTURE == STRUCTURE


@pytest.mark.parametrize("gain", [math.inf, 1e4])
def test_a_galaxy_on_a_sky_of_zeros(gain):
    r"""Without noise all pixels weigh the same, no error is known, and the sky is none."""

    image, r = sersic_galaxy(1.0, side=91, r_eff=9.0)
    image[r > 30] = 0
    found = measure(image, (image > 0).astype(int), gain=gain)

    assert found.sky_sigma == 0 and "no_sky" in names(found.flags)
    assert (found.sersic_n, found.sersic_r_eff) == pytest.approx((1.0, 9.0), rel=0.01)
    assert math.isnan(found.sersic_n_error) == math.isinf(gain)
    filled = measure(image[32:60, 32:60], np.ones((28, 28), int))
    assert math.isnan(filled.sky_sigma) and filled.sersic_n == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("mode", ["fast", "parity"])
@pytest.mark.parametrize(("shape", "scale"), [((1024, 1024), 40.0), ((300, 700), 12.0)])
def test_large(shape, scale, mode):
    r"""A large galaxy, and one in a wide image, are what was drawn."""

    y, x = np.mgrid[: shape[0], : shape[1]]
    x0, y0 = shape[1] / 2 - 5.3, shape[0] / 2 + 3.6
    light = 100 * np.exp(-np.hypot(x - x0, (y - y0) / 0.7) / scale)
    found = measure(light + np.random.default_rng(0).normal(size=shape), mode=mode)

    assert names(found.flags & ~STRUCTURE) == ()
    assert (found.sersic_x, found.sersic_y) == pytest.approx((x0, y0), abs=0.1)
    assert (found.x, found.y) == pytest.approx((x0, y0), abs=0.3)
    assert found.sersic_n == pytest.approx(1, rel=0.01)
    assert found.sersic_r_eff == pytest.approx(1.678 * scale, rel=0.01)
    assert found.sersic_ellip == pytest.approx(0.3, abs=0.005)
    assert found.flux_ellip == pytest.approx(140 * math.pi * scale**2, rel=0.02)
    assert found.concentration == pytest.approx(2.76, abs=0.02)
    # In parity, of a box of 32 x 32 pixels
    assert found.sky_sigma == pytest.approx(1, abs=0.05 if mode == "parity" else 0.01)


@pytest.mark.parametrize("mode", ["fast", "parity"])
def test_small(mode):
    r"""A galaxy in 8 x 8 pixels is what was drawn, within twice its errors, once its sky is known:
    its wings leave none."""

    light, r = sersic_galaxy(1.0, side=8, r_eff=1.2)
    image = 10 * light + np.random.default_rng(0).normal(size=light.shape)
    sky = Sky(1.0, 2 / math.sqrt(math.pi), 0.3, 0.05)
    found = measure(image, (r < 2.6).astype(int), sky=sky, mode=mode)._asdict()
    drawn = {"sersic_x": 4.2, "sersic_y": 3.7, "sersic_n": 1.0, "sersic_r_eff": 1.2}
    drawn |= {"sersic_amplitude": 10.0, "flux_circ": 10 * light.sum()}
    for name, value in drawn.items():
        error = found[f"{name}_error"]
        assert found[name] == pytest.approx(value, abs=2 * error) and error < value / 8, name


def test_no_error_without_noise():
    r"""A target that fills its image leaves no sky: no error is known then, and none is 0."""

    image, _ = sersic_galaxy(1.0, 16, 6.0)
    found = measure(image, np.ones((16, 16), np.int64))

    assert "no_sky" in names(found.flags) and math.isnan(found.sky_sigma)
    errors = {n: v for n, v in found._asdict().items() if n.endswith("_error")}
    assert len(errors) > 30 and np.isnan(list(errors.values())).all()
    assert found.gini > 0

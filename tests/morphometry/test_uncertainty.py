r"""Errors, against the scatter of realizations of noise, and their laws."""

import math

import numpy as np
import pytest

from pipeline.morphometry import Morphology, Sky, measure
from pipeline.morphometry.asymmetry import outer_asymmetry, rms_asymmetry2
from pipeline.morphometry.centre import centre
from pipeline.morphometry.geometry import Aperture, cumulate
from pipeline.morphometry.grain import WHITE
from pipeline.morphometry.growth import aperture_flux, concentration, radii, radius_of_fraction
from pipeline.morphometry.growth_error import fraction_errors, half_errors, petrosian_errors
from pipeline.morphometry.half_turn import residual
from pipeline.morphometry.mid import intensity_deviation
from pipeline.morphometry.moments import centroid, shape
from pipeline.morphometry.petrosian import petrosian_radius
from pipeline.morphometry.shape_error import ANY, centre_error, moment_errors
from pipeline.morphometry.turn_error import outer_error, rms_error

REALIZATIONS = 300
X, Y, Q, THETA = 30.3, 31.8, 0.7, 0.6
FIELDS = [name for name in Morphology._fields if name.endswith("_error")]


def galaxy(peak: float = 40.0, x: float = X, y: float = Y) -> np.ndarray:
    r"""An inclined disk, as bright in its middle as so many standard deviations of the sky."""

    dy, dx = np.mgrid[:63, :65] - np.array([y, x])[:, None, None]
    u, v = dx * np.cos(THETA) + dy * np.sin(THETA), dy * np.cos(THETA) - dx * np.sin(THETA)

    return peak * np.exp(-np.hypot(u, v / Q) / 4)


def realizations(light: np.ndarray, photons: float) -> tuple[list[np.ndarray], np.ndarray]:
    r"""Returns images and their noise, photons adding to the variance of the sky."""

    rng, sigma = np.random.default_rng(2), np.sqrt(1 + photons * light)

    return [light + rng.normal(size=light.shape) * sigma for _ in range(REALIZATIONS)], sigma


def ratio(values: list, errors: list) -> np.ndarray:
    r"""Returns the median error in units of the scatter, which two in three are within."""

    low, high = np.percentile(values, (15.87, 84.13), axis=0)
    return 2 * np.median(errors, axis=0) / (high - low)


@pytest.mark.parametrize(
    ("peak", "photons"),
    [(10.0, 0.0), (10.0, 0.2), (10.0, 5.0), (40.0, 0.0), (40.0, 0.2), (40.0, 5.0), (300.0, 20.0)],
)
def test_growth(peak, photons):
    images, sigma = realizations(galaxy(peak), photons)
    mask = np.zeros(sigma.shape, bool)
    noises, values, errors = cumulate(sigma**2, mask), [], []
    rng = np.random.default_rng(1)
    for image in images:
        sums = cumulate(image, mask)
        rpetro, _ = petrosian_radius(sums, X, Y, Q, THETA, False)
        *three, _ = radii(sums, X, Y, Q, THETA, 1.5 * rpetro, False)
        flux, _ = aperture_flux(sums, X, Y, 2 * rpetro, Q, THETA)
        curve = (sums, noises, X, Y, Q, THETA)
        reach, half_error = half_errors(curve, 20.0, 7.0, (0.0, 1.0), False)
        outer = 20.0 + reach * rng.normal()
        half, _ = radius_of_fraction(sums, X, Y, Q, THETA, outer, 0.5, False)
        values.append((rpetro, flux, *three, concentration(three[0], three[2]), half))
        error = fraction_errors(curve, rpetro, tuple(three), (0.0, 1.0), False)
        assert error[:2] == pytest.approx(
            petrosian_errors(curve, rpetro, (0.0, 1.0), False), nan_ok=True
        )
        errors.append((*error, half_error))

    assert ratio(values, errors) == pytest.approx(1, abs=0.3)


def test_outline_of_a_flat_sky():
    r"""Where no light falls, the furthest pixel may be anywhere, not where it is for sure."""

    flat = np.ones((63, 65))
    sums = cumulate(flat, flat < 0)
    reach, _ = half_errors((sums, sums, X, Y, Q, THETA), 12.0, 8.0, (0.0, 1.0), False)
    assert reach == pytest.approx(4)


@pytest.mark.parametrize("photons", [0.0, 0.2])
def test_moments(photons):
    light = galaxy(20.0)
    images, sigma = realizations(light, photons)
    segment, values, errors = light > 1, [], []
    for image in images:
        x, y, _, _ = centroid(image, segment)
        e, _, theta, _, _, _ = shape(image, segment, X, Y)
        values.append((x, y, e, theta))
        errors.append(moment_errors(image, sigma, segment, X, Y, 1 - e, theta, 0.0))

    assert ratio(values, errors) == pytest.approx(1, abs=0.2)


def test_moments_of_a_round_galaxy():
    y, x = np.mgrid[:41, :41] - 20.0
    image = np.exp(-np.hypot(x, y) / 3)
    e, _, theta, _, _, _ = shape(image, image > 0.01, 20.0, 20.0)
    found = moment_errors(
        image, np.full(image.shape, 0.01), image > 0.01, 20.0, 20.0, 1 - e, theta, 0.0
    )
    assert found[3] == pytest.approx(ANY) and found[0] == pytest.approx(found[1])
    assert found[2] > 0
    dark = moment_errors(-image, image, image > 0.01, 20.0, 20.0, 1.0, 0.0, 0.0)
    assert np.isnan(dark).all()


def test_centre():
    r"""Among many places within a pixel, as interpolated noise draws the centre to some."""

    rng, values, errors = np.random.default_rng(8), [], []
    sigma = np.ones((63, 65))
    for _ in range(REALIZATIONS):
        x, y = X + rng.uniform(), Y + rng.uniform()
        light = galaxy(150.0, x, y)
        image, mask, segment = light + rng.normal(size=light.shape), light < 0, light > 2
        sky = 2 / math.sqrt(math.pi)
        found = centre(image, mask, segment, x, y, 14.0, sky, False)
        difference, _ = residual(image, mask, found[0], found[1])
        values.append((found[0] - x, found[1] - y))
        errors.append(
            centre_error(image, difference, sigma, segment, *found[:2], math.pi * 21**2, WHITE)
        )

    assert ratio(values, errors) == pytest.approx(1, abs=0.35)


def test_centre_of_noise():
    image, nothing = np.zeros((20, 20)), np.zeros((20, 20), bool)
    assert np.isnan(centre_error(image, image, image + 1, ~nothing, 9.0, 9.0, 1.0, WHITE)).all()


@pytest.mark.parametrize("at", [(30.3, 31.8), (30.0, 31.0)])
@pytest.mark.parametrize("photons", [0.0, 0.2])
def test_asymmetries(at, photons):
    x, y = at
    light = galaxy(20.0) + galaxy(4.0, 37.0, 24.0)
    images, sigma = realizations(light, photons)
    mask = np.zeros(light.shape, bool)
    circle = Aperture(x, y, 21.0)
    ellipses = Aperture(x, y, 6.0, Q, THETA), Aperture(x, y, 20.0, Q, THETA)
    values, errors, sky = [], [], 2 / math.sqrt(math.pi)
    for image in images:
        turned = residual(image, mask, x, y)
        square, _ = rms_asymmetry2(image, *turned, x, y, 14.0, 1.0, 2.0)
        outer, _ = outer_asymmetry(image, *turned, *ellipses, sky)
        values.append((square, outer))
        errors.append(
            (
                rms_error(image, *turned, sigma, circle, square, (1.0, 0.0, 2.0), WHITE),
                outer_error(image, *turned, sigma, ellipses, outer, (sky, 0.0), WHITE),
            )
        )

    assert ratio(values, errors) == pytest.approx(1, abs=0.25)


def test_errors_of_the_sky_add():
    light, mask = galaxy(20.0), np.zeros((63, 65), bool)
    turned, sigma = residual(light, mask, X, Y), np.ones(light.shape)
    circle = Aperture(X, Y, 21.0)
    known = rms_error(light, *turned, sigma, circle, 0.0, (1.0, 0.0, 2.0), WHITE)
    found = rms_error(light, *turned, sigma, circle, 0.0, (1.0, 0.1, 2.0), WHITE)
    pixels = np.pi * 21**2
    added = 0.4 * pixels / (np.sum(light**2) - pixels)
    assert math.sqrt(found**2 - known**2) == pytest.approx(added, rel=0.05)


def test_peaks():
    light = galaxy(60.0) + galaxy(30.0, 50.0, 20.0)
    images, sigma = realizations(light, 0.0)
    inside, values, errors = light > 6, [], []
    for image in images:
        i, i_error, d, d_error, _ = intensity_deviation(image, sigma, inside)
        values.append((i, d))
        errors.append((i_error, d_error))
    assert ratio(values, errors) == pytest.approx(1, abs=0.15)


def test_one_peak_has_no_second():
    image = galaxy(60.0)
    i, error, _, _, _ = intensity_deviation(image, np.ones(image.shape), image > 6)
    assert i == 0 and math.isnan(error)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return galaxy(30.0) + galaxy(9.0, 40.0, 27.0) + np.random.default_rng(4).normal(size=(63, 65))


def errors_of(found: Morphology) -> dict[str, float]:
    return {name: getattr(found, name) for name in FIELDS}


@pytest.mark.parametrize("factor", [1e-9, 1e5])
def test_flux_factor(image, factor):
    before, after = errors_of(measure(image)), errors_of(measure(factor * image))
    fluxes = ("flux_circ_error", "flux_ellip_error", "sersic_amplitude_error")
    for name, error in before.items():
        unit = factor if name in fluxes else 1.0
        assert after[name] == pytest.approx(unit * error, rel=1e-6, abs=0, nan_ok=True), name


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_symmetries(image, turns, mirrored):
    r"""Apertures are sketched by rows, so that a quarter of a turn gives others."""

    sky = Sky(1.0, 2 / math.sqrt(math.pi), 0.3)
    view = np.rot90(image[:, ::-1] if mirrored else image, turns)
    before, after = errors_of(measure(image, sky=sky)), errors_of(measure(view, sky=sky))
    if turns % 2:
        for name in ("x_centroid", "x", "sersic_x"):
            x, y = f"{name}_error", f"{name.replace('x', 'y', 1)}_error"
            after[x], after[y] = after[y], after[x]
    for name, error in before.items():
        rel = 0.08 if turns % 2 else 1e-9
        assert after[name] == pytest.approx(error, rel=rel, abs=0, nan_ok=True), name


def test_fall_with_the_noise(image):
    r"""Twice the signal to noise gives half of the error."""

    before = errors_of(measure(image, sky=Sky(0.2, 0.2, 0.05, 0.01)))
    after = errors_of(measure(image, sky=Sky(0.1, 0.1, 0.025, 0.005)))
    linear = ("x_centroid", "ellipticity", "theta", "flux_circ", "rpetro_ellip", "r20", "r80")
    for name in (*linear, "concentration", "intensity"):
        assert after[f"{name}_error"] == pytest.approx(0.5 * before[f"{name}_error"], rel=0.15)

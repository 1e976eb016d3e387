import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import gammainc

from pipeline.morphometry.flags import NEGATIVE_FLUX, UNDEFINED
from pipeline.morphometry.geometry import cumulate
from pipeline.morphometry.growth import aperture_flux, concentration, radii, radius_of_fraction
from tests.morphometry.shares import share

FRACTIONS = (0.2, 0.5, 0.8)


def radius(x: float, y: float, q: float, theta: float, side: int = 97) -> np.ndarray:
    dy, dx = np.mgrid[:side, :side] - np.array([y, x])[:, None, None]
    u, v = dx * np.cos(theta) + dy * np.sin(theta), dy * np.cos(theta) - dx * np.sin(theta)

    return np.hypot(u, v / q)


def sums(image: np.ndarray) -> np.ndarray:
    return cumulate(np.ascontiguousarray(image), np.zeros(image.shape, bool))


@pytest.fixture(scope="module")
def noisy() -> np.ndarray:
    rng = np.random.default_rng(4)

    return np.exp(-radius(20.3, 19.1, 0.6, 0.5, 40) / 4) + rng.normal(0, 0.02, (40, 40))


@pytest.mark.parametrize(("n", "scale"), [(0.5, 10.0), (1.0, 7.0), (1.5, 2.5)])
@pytest.mark.parametrize(("q", "theta"), [(1.0, 0.0), (0.6, 0.5)])
@pytest.mark.parametrize("parity", [True, False])
def test_perfect_profile(n: float, scale: float, q: float, theta: float, parity: bool):
    image = np.exp(-((radius(48.2, 47.7, q, theta) / scale) ** (1 / n)))
    *measured, flags = radii(sums(image), 48.2, 47.7, q, theta, 40.0, parity)

    def within(r: float) -> float:
        return gammainc(2 * n, (r / scale) ** (1 / n))

    expected = [brentq(lambda r, f=f: within(r) / within(40.0) - f, 0, 40) for f in FRACTIONS]
    assert flags == 0
    assert measured == pytest.approx(expected, rel=5e-3)
    assert concentration(measured[0], measured[2]) == pytest.approx(
        5 * math.log10(expected[2] / expected[0]), abs=0.01
    )


def test_converges_with_sampling():
    errors = []
    for side, scale in [(41, 3.0), (81, 6.0), (161, 12.0)]:
        centre = (side - 1) / 2 + 0.2
        image = np.exp(-((radius(centre, centre, 1.0, 0.0, side) / scale) ** 2))
        r50, _ = radius_of_fraction(sums(image), centre, centre, 1.0, 0.0, 6 * scale, 0.5, True)
        errors.append(abs(r50 / scale / math.sqrt(math.log(2)) - 1))

    assert errors[1] < errors[0] / 2
    assert errors[2] < errors[1] / 2
    assert errors[2] < 1e-3


@pytest.mark.parametrize(("q", "theta"), [(1.0, 0.0), (0.6, 0.5)])
def test_slow_formula(noisy: np.ndarray, q: float, theta: float):
    def within(r: float) -> float:
        if not r:
            return 0.0
        weights = [share(j - 20.3, i - 19.1, r, q, theta) for i in range(40) for j in range(40)]
        return float(np.sum(np.reshape(weights, (40, 40)) * noisy))

    total = within(15.0)
    grid = np.linspace(0, 15, 100)
    *fast, _ = radii(sums(noisy), 20.3, 19.1, q, theta, 15.0, False)
    *exact, flags = radii(sums(noisy), 20.3, 19.1, q, theta, 15.0, True)
    assert flags == 0
    for fraction, measured, near in zip(FRACTIONS, exact, fast, strict=True):
        first = next(k for k, r in enumerate(grid) if within(r) / total > fraction)
        root = brentq(
            lambda r, f=fraction: within(r) / total - f, grid[first - 1], grid[first], xtol=1e-6
        )
        assert measured == pytest.approx(root, abs=1e-9)
        assert near == pytest.approx(root, abs=1e-3)
        assert radius_of_fraction(sums(noisy), 20.3, 19.1, q, theta, 15.0, fraction, True) == (
            measured, 0
        )  # fmt: skip
    assert aperture_flux(sums(noisy), 20.3, 19.1, 15.0, q, theta) == (pytest.approx(total), 0)


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_symmetries(noisy: np.ndarray, turn: int, mirrored: bool):
    image, x, y, theta = noisy, 20.3, 19.1, 0.5
    expected = radii(sums(image), x, y, 0.6, theta, 15.0, True)
    if mirrored:
        image, x, theta = image[:, ::-1], 39 - x, math.pi - theta
    for _ in range(turn):
        image, x, y, theta = np.rot90(image), y, 39 - x, theta - math.pi / 2

    assert radii(sums(image), x, y, 0.6, theta, 15.0, True) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("factor", [1e-12, 0.3, 1e12])
@pytest.mark.parametrize("parity", [True, False])
def test_flux_factor(noisy: np.ndarray, factor: float, parity: bool):
    expected = radii(sums(noisy), 20.3, 19.1, 0.6, 0.5, 15.0, parity)

    assert radii(sums(noisy * factor), 20.3, 19.1, 0.6, 0.5, 15.0, parity) == pytest.approx(
        expected, abs=1e-9
    )


def test_padding_and_shift(noisy: np.ndarray):
    expected = radii(sums(noisy), 20.3, 19.1, 1.0, 0.0, 15.0, True)
    wide = np.pad(noisy, ((7, 2), (3, 9)))

    assert radii(sums(wide), 23.3, 26.1, 1.0, 0.0, 15.0, True) == pytest.approx(expected, abs=1e-6)


def test_one_lit_pixel():
    image = np.zeros((9, 9))
    image[4, 4] = 3.0
    r20, r50, r80, flags = radii(sums(image), 4.0, 4.0, 1.0, 0.0, 4.0, True)

    # While the circle is within the pixel, its flux grows with its area
    assert (r20, flags) == (pytest.approx(math.sqrt(0.2 / math.pi), abs=1e-6), 0)
    assert r50 == pytest.approx(math.sqrt(0.5 / math.pi), abs=1e-6)
    assert r50 < r80 < math.sqrt(0.5)


def test_flat_patch():
    r20, r50, r80, _ = radii(sums(np.ones((30, 30))), 14.5, 14.5, 1.0, 0.0, 12.0, True)

    assert (r20, r50, r80) == pytest.approx([12 * math.sqrt(f) for f in FRACTIONS], abs=1e-6)
    assert concentration(r20, r80) == pytest.approx(5 * math.log10(2))


@pytest.mark.parametrize("parity", [True, False])
def test_degenerate(parity: bool):
    empty, flat = sums(np.zeros((9, 9))), sums(np.ones((9, 9)))

    value, flags = radius_of_fraction(empty, 4.0, 4.0, 1.0, 0.0, 3.0, 0.5, parity)
    assert (value == 3.0 if parity else math.isnan(value)) and flags & UNDEFINED
    assert radii(empty, 4.0, 4.0, 1.0, 0.0, 3.0, parity)[3] & UNDEFINED
    assert radius_of_fraction(flat, 4.0, 4.0, 1.0, 0.0, 0.0, 0.5, parity)[0] == 0.0
    assert math.isnan(radius_of_fraction(flat, 4.0, 4.0, 1.0, 0.0, math.nan, 0.5, parity)[0])
    assert radii(sums(-np.ones((9, 9))), 4.0, 4.0, 1.0, 0.0, 3.0, parity)[3] == NEGATIVE_FLUX
    assert radius_of_fraction(flat, 40.0, 4.0, 1.0, 0.0, 3.0, 0.5, parity)[1] & UNDEFINED


def test_concentration_undefined():
    assert math.isnan(concentration(0.0, 1.0))
    assert math.isnan(concentration(math.nan, 1.0))


def test_aperture_flux_without_sign():
    image = -np.ones((9, 9))

    assert aperture_flux(sums(image), 4.0, 4.0, 2.0, 1.0, 0.0) == (
        pytest.approx(4 * math.pi), NEGATIVE_FLUX
    )  # fmt: skip
    assert aperture_flux(sums(image), math.nan, 4.0, 2.0, 1.0, 0.0)[1] == UNDEFINED

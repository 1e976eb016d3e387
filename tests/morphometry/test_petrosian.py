import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import gamma, gammainc

from pipeline.morphometry.flags import NEGATIVE_FLUX, RADIUS_NOT_REACHED, UNDEFINED
from pipeline.morphometry.geometry import cumulate
from pipeline.morphometry.petrosian import petrosian_radius, petrosian_ratio
from tests.morphometry.shares import share

SIDE = 97


def radius(x: float, y: float, q: float, theta: float, side: int = SIDE) -> np.ndarray:
    dy, dx = np.mgrid[:side, :side] - np.array([y, x])[:, None, None]
    u, v = dx * np.cos(theta) + dy * np.sin(theta), dy * np.cos(theta) - dx * np.sin(theta)

    return np.hypot(u, v / q)


def petrosian(image: np.ndarray, mask: np.ndarray, *where: float) -> tuple[float, int]:
    return petrosian_radius(cumulate(image, mask), *where)


def sersic(r: np.ndarray, scale: float, n: float) -> np.ndarray:
    return np.exp(-((r / scale) ** (1 / n)))


def flux(r: float, scale: float, n: float) -> float:
    return 2 * n * gamma(2 * n) * gammainc(2 * n, (r / scale) ** (1 / n)) * math.pi * scale**2


def expected(within: Callable[[float], float]) -> float:
    def excess(r: float) -> float:
        ring = (within(r + 0.5) - within(r - 0.5)) / (2 * r)
        return ring / (within(r) / r**2) - 0.2

    return brentq(excess, 1, 60)


@pytest.fixture(scope="module")
def noisy() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    image = sersic(radius(30.3, 29.1, 0.6, 0.5, 60), 6.0, 1.0) + rng.normal(0, 0.02, (60, 60))
    mask = rng.random(image.shape) < 0.03
    image[mask] = 0

    return image, mask


@pytest.mark.parametrize(("n", "scale"), [(0.5, 8.0), (1.0, 6.0), (1.5, 2.0)])
@pytest.mark.parametrize(("q", "theta"), [(1.0, 0.0), (0.6, 0.5)])
@pytest.mark.parametrize("parity", [True, False])
def test_perfect_profile(n: float, scale: float, q: float, theta: float, parity: bool):
    image = sersic(radius(48.2, 47.7, q, theta), scale, n)
    measured, flags = petrosian(image, np.zeros(image.shape, bool), 48.2, 47.7, q, theta, parity)

    assert flags == 0
    assert measured == pytest.approx(expected(lambda r: flux(r, scale, n)), rel=4e-3)


def test_converges_with_sampling():
    errors = []
    for side, scale in [(49, 3.0), (97, 6.0), (193, 12.0)]:
        centre = (side - 1) / 2 + 0.2
        image = sersic(radius(centre, centre, 1.0, 0.0, side), scale, 0.5)
        measured, _ = petrosian(image, np.zeros(image.shape, bool), centre, centre, 1.0, 0.0, True)
        errors.append(abs(measured / expected(lambda r, s=scale: flux(r, s, 0.5)) - 1))

    assert errors[1] < errors[0] / 2
    assert errors[2] < errors[1] / 2
    assert errors[2] < 1e-3


@pytest.mark.parametrize(("q", "theta"), [(1.0, 0.0), (0.6, 0.5)])
def test_slow_formula(noisy: tuple[np.ndarray, np.ndarray], q: float, theta: float):
    image, mask = noisy
    sums = cumulate(image, mask)

    def mean(inner: float, outer: float) -> float:
        weights = np.zeros(image.shape)
        for (i, j), open_pixel in np.ndenumerate(~mask):
            weights[i, j] = open_pixel * (
                share(j - 30.3, i - 29.1, outer, q, theta)
                - (share(j - 30.3, i - 29.1, inner, q, theta) if inner else 0)
            )
        return abs(np.sum(weights * image)) / np.sum(weights)

    def ratio(r: float) -> float:
        return mean(r - 0.5, r + 0.5) / mean(0, r)

    for r in (1.0, 4.3, 11.0):
        assert petrosian_ratio(sums, 30.3, 29.1, r, q, theta) == pytest.approx(ratio(r))

    grid = np.linspace(1, math.hypot(60, 60) / q, 100)
    first = next(k for k, r in enumerate(grid) if ratio(r) < 0.2)
    root = brentq(lambda r: ratio(r) - 0.2, grid[first - 1], grid[first], xtol=1e-6)
    assert petrosian_radius(sums, 30.3, 29.1, q, theta, True)[0] == pytest.approx(root, abs=1e-9)
    assert petrosian_radius(sums, 30.3, 29.1, q, theta, False)[0] == pytest.approx(root, abs=2e-3)


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_symmetries(noisy: tuple[np.ndarray, np.ndarray], turn: int, mirrored: bool):
    image, mask = noisy
    x, y, theta = 30.3, 29.1, 0.5
    expected = petrosian(image, mask, x, y, 0.6, theta, True)[0]
    if mirrored:
        image, mask, x, theta = image[:, ::-1], mask[:, ::-1], 59 - x, math.pi - theta
    for _ in range(turn):
        image, mask, x, y = np.rot90(image), np.rot90(mask), y, 59 - x
        theta -= math.pi / 2
    image, mask = np.ascontiguousarray(image), np.ascontiguousarray(mask)

    assert petrosian(image, mask, x, y, 0.6, theta, True)[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("factor", [1e-12, 0.3, 1e12])
def test_flux_factor(noisy: tuple[np.ndarray, np.ndarray], factor: float):
    image, mask = noisy
    expected = petrosian(image, mask, 30.3, 29.1, 0.6, 0.5, True)[0]

    assert petrosian(image * factor, mask, 30.3, 29.1, 0.6, 0.5, True)[0] == pytest.approx(
        expected, abs=1e-9
    )


def test_padding_and_shift(noisy: tuple[np.ndarray, np.ndarray]):
    image, mask = noisy
    expected = petrosian(image, mask, 30.3, 29.1, 1.0, 0.0, True)[0]
    wide, wider = np.pad(image, ((7, 2), (3, 9))), np.pad(mask, ((7, 2), (3, 9)))

    assert petrosian(wide, wider, 33.3, 36.1, 1.0, 0.0, True)[0] == pytest.approx(
        expected, abs=1e-6
    )


@pytest.mark.parametrize("parity", [True, False])
def test_degenerate(parity: bool):
    nothing = np.zeros((9, 9), bool)
    one, flat, empty = np.zeros((9, 9)), np.ones((9, 9)), np.zeros((9, 9))
    one[4, 4] = 1.0

    assert petrosian(flat, nothing, 4.0, 4.0, 1.0, 0.0, parity)[1] == RADIUS_NOT_REACHED
    assert 6 < petrosian(flat, nothing, 4.0, 4.0, 1.0, 0.0, parity)[0] < math.hypot(9, 9)
    assert petrosian(empty, nothing, 4.0, 4.0, 1.0, 0.0, parity) == (
        1.0, RADIUS_NOT_REACHED | NEGATIVE_FLUX
    )  # fmt: skip
    assert 1 <= petrosian(one, nothing, 4.0, 4.0, 1.0, 0.0, parity)[0] < 3
    assert petrosian(-one, nothing, 4.0, 4.0, 1.0, 0.0, parity)[1] & NEGATIVE_FLUX
    assert petrosian(one, nothing, 50.0, 50.0, 1.0, 0.0, parity)[1] & RADIUS_NOT_REACHED
    assert petrosian(one[:1, :1], nothing[:1, :1], 0.0, 0.0, 1.0, 0.0, parity)[0] > 0
    assert petrosian(flat, ~nothing, 4.0, 4.0, 1.0, 0.0, parity)[1] == UNDEFINED
    for x, q in [(math.nan, 1.0), (4.0, math.nan), (4.0, 0.0)]:
        value, flags = petrosian(flat, nothing, x, 4.0, q, 0.0, parity)
        assert math.isnan(value) and flags == UNDEFINED

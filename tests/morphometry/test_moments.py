import math

import numpy as np
import pytest

from pipeline.morphometry.flags import NEGATIVE_FLUX, NO_SOURCE, UNDEFINED
from pipeline.morphometry.moments import centroid, shape

SHAPE = (21, 27)


def gaussian(x: float, y: float, a: float, b: float, theta: float, side: int = 41) -> np.ndarray:
    dy, dx = np.mgrid[:side, :side] - np.array([y, x])[:, None, None]
    u, v = dx * np.cos(theta) + dy * np.sin(theta), dy * np.cos(theta) - dx * np.sin(theta)

    return np.exp(-0.5 * ((u / a) ** 2 + (v / b) ** 2))


@pytest.fixture(scope="module")
def source() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)

    return rng.normal(0.5, 1.0, SHAPE), rng.random(SHAPE) < 0.5


def test_slow_formulas(source: tuple[np.ndarray, np.ndarray]):
    image, segment = source
    y, x = np.nonzero(segment)
    weights = image[segment]
    px, py = 13.1, 9.7
    dx, dy = x - px, y - py
    matrix = np.array([[(weights * dx * dx).sum(), (weights * dx * dy).sum()],
                       [(weights * dx * dy).sum(), (weights * dy * dy).sum()]])  # fmt: skip
    b, a = np.sqrt(np.sort(np.abs(np.linalg.eigvalsh(matrix / weights.sum()))))

    assert centroid(image, segment) == pytest.approx(
        ((weights * x).sum() / weights.sum(), (weights * y).sum() / weights.sum(),
         weights.sum(), 0)
    )  # fmt: skip
    ellipticity, elongation, _, a_measured, b_measured, flags = shape(image, segment, px, py)
    assert (ellipticity, elongation) == pytest.approx((1 - b / a, a / b))
    assert (a_measured, b_measured) == pytest.approx((a, b))
    assert flags == 0


@pytest.mark.parametrize("theta", [-1.2, 0.0, 0.4, 1.5])
def test_gaussian(theta: float):
    image = gaussian(20.3, 19.8, 4.0, 2.0, theta)
    segment = np.ones(image.shape, bool)

    assert centroid(image, segment)[:2] == pytest.approx((20.3, 19.8), abs=1e-3)
    _, elongation, angle, a, b, _ = shape(image, segment, 20.3, 19.8)
    assert (elongation, angle) == pytest.approx((2.0, theta), abs=1e-3)
    assert (a, b) == pytest.approx((4.0, 2.0), abs=1e-3)


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_symmetries(turn: int, mirrored: bool):
    image = gaussian(20.3, 19.1, 4.0, 2.0, 0.4)
    x, y, theta = 20.3, 19.1, 0.4
    if mirrored:
        image, x, theta = image[:, ::-1], 40 - x, -theta
    for _ in range(turn):
        image, x, y, theta = np.rot90(image), y, 40 - x, theta - math.pi / 2
    image = np.ascontiguousarray(image)
    segment = np.ones(image.shape, bool)

    assert centroid(image, segment)[:2] == pytest.approx((x, y), abs=1e-4)
    measured = shape(image, segment, x, y)
    upright = shape(gaussian(20.3, 19.1, 4.0, 2.0, 0.4), segment, 20.3, 19.1)
    assert measured[1] == pytest.approx(upright[1], rel=1e-12)
    assert math.sin(measured[2] - theta) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("factor", [1e-12, 3.0, 1e12])
def test_flux_factor(source: tuple[np.ndarray, np.ndarray], factor: float):
    image, segment = source
    x, y, total, _ = centroid(image, segment)

    assert centroid(image * factor, segment)[:3] == pytest.approx((x, y, total * factor))
    assert shape(image * factor, segment, x, y) == pytest.approx(shape(image, segment, x, y))


def test_padding_and_shift(source: tuple[np.ndarray, np.ndarray]):
    image, segment = source
    x, y, total, _ = centroid(image, segment)
    wide, wider = np.pad(image, ((3, 1), (5, 2))), np.pad(segment, ((3, 1), (5, 2)))

    assert centroid(wide, wider)[:3] == pytest.approx((x + 5, y + 3, total))
    assert shape(wide, wider, x + 5, y + 3) == pytest.approx(shape(image, segment, x, y))


def test_one_pixel():
    image, segment = np.zeros(SHAPE), np.zeros(SHAPE, bool)
    image[4, 7], segment[4, 7] = 2.0, True

    assert centroid(image, segment) == (7.0, 4.0, 2.0, 0)
    ellipticity, elongation, _, a, b, flags = shape(image, segment, 7.0, 4.0)
    assert (ellipticity, elongation) == pytest.approx((0.0, 1.0), abs=1e-12)
    assert flags == UNDEFINED  # no moments at all
    assert (a, b) == pytest.approx((math.sqrt(1 / 12), math.sqrt(1 / 12)))


def test_thin_line():
    image, segment = np.zeros(SHAPE), np.zeros(SHAPE, bool)
    image[4, 3:12], segment[4, 3:12] = 1.0, True

    # SExtractor's rule: 1/12 is added to the variances 60 / 9 and 0
    *_, a, b, _ = shape(image, segment, 7.0, 4.0)
    assert (a, b) == pytest.approx((math.sqrt(60 / 9 + 1 / 12), math.sqrt(1 / 12)))


def test_nothing():
    image, segment = np.ones(SHAPE), np.zeros(SHAPE, bool)

    assert centroid(image, segment) == (13.5, 10.5, 0.0, NO_SOURCE)
    assert np.isnan(shape(image, segment, 13.0, 10.0)[:5]).all()
    assert centroid(-image, ~segment)[3] == NEGATIVE_FLUX
    assert shape(-image, ~segment, 13.0, 10.0)[5] == NEGATIVE_FLUX


def test_outside():
    image = np.zeros(SHAPE)
    image[5, 0], image[5, 20] = 1.1, -1.0

    assert centroid(image, np.ones(SHAPE, bool))[0::3] == (13.5, UNDEFINED)


def test_moments_over_a_total_near_zero():
    r"""Second moments so large that a pixel changes nothing have no shape, and end."""

    image, segment = np.zeros((40, 40)), np.zeros((40, 40), np.bool_)
    for k, value in enumerate((1.0, -1.0, 1e-16)):
        image[18 + k, 18 + k], segment[18 + k, 18 + k] = value, True
    *values, flags = shape(image, segment, 20.0, 20.0)

    assert np.isnan(values).all() and flags & UNDEFINED

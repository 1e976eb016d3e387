import math

import numpy as np
import pytest

from pipeline.morphometry import geometry
from pipeline.morphometry.overlap import overlap
from tests.morphometry.shares import share

SHAPE = (23, 31)
APERTURES = [
    (15.0, 11.0, 6.0, 1.0, 0.0),  # whole numbers: the rim passes through corners of pixels
    (14.5, 10.5, 5.0, 1.0, 0.0),
    (15.3, 10.8, 0.3, 1.0, 0.0),  # within one pixel
    (15.5, 10.9, 0.3, 0.4, 0.7),
    (15.2, 11.4, 7.7, 0.35, 0.6),
    (15.2, 11.4, 7.7, 0.35, -2.1),
    (2.1, 20.3, 9.0, 0.7, 1.2),  # over the edge
    (-3.0, -2.0, 8.0, 1.0, 0.0),  # its centre outside
    (15.0, 11.0, 300.0, 0.01, 0.3),  # a needle through all
    (15.0, 11.0, 1000.0, 1.0, 0.0),  # all
    (100.0, 100.0, 5.0, 1.0, 0.0),  # nothing
]


@pytest.fixture(scope="module")
def sky() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)

    return rng.normal(1.0, 2.0, SHAPE), rng.random(SHAPE) < 0.1


def shares(aperture: tuple[float, ...], shape: tuple[int, int] = SHAPE) -> np.ndarray:
    x, y, a, q, theta = aperture

    return np.array(
        [[share(j - x, i - y, a, q, theta) for j in range(shape[1])]
         for i in range(shape[0])]
    )  # fmt: skip


@pytest.mark.parametrize(("q", "theta"), [(1.0, 0.0), (0.4, 0.7)])
@pytest.mark.parametrize("a", [0.2, 0.6, 2.5, 9.0])
def test_share_of_fine_grid(a: float, q: float, theta: float):
    fine = (np.arange(400) + 0.5) / 400 - 0.5
    for dx, dy in [(0.0, 0.0), (0.3, -0.4), (a, 0.1), (0.2, -a * q), (a * 0.7, a * 0.7)]:
        u = (dx + fine) * math.cos(theta) + (dy + fine[:, None]) * math.sin(theta)
        v = (dy + fine[:, None]) * math.cos(theta) - (dx + fine) * math.sin(theta)
        inside = np.mean((u / a) ** 2 + (v / a / q) ** 2 < 1)
        assert share(dx, dy, a, q, theta) == pytest.approx(inside, abs=2e-3)


def test_circle_is_an_ellipse():
    rng = np.random.default_rng(0)
    for dx, dy, a in rng.uniform((-6, -6, 0.1), (6, 6, 7), (300, 3)):
        circle, ellipse = overlap(dx, dy, a), share(dx, dy, a, 1.0, 0.4)
        assert circle == pytest.approx(ellipse, abs=1e-11)


@pytest.mark.parametrize("aperture", APERTURES)
def test_sum_along_the_rim_is_that_of_shares(
    sky: tuple[np.ndarray, np.ndarray], aperture: tuple[float, ...]
):
    image, mask = sky
    parts = shares(aperture) * ~mask
    expected = (np.sum(parts * image), np.sum(parts))

    assert geometry.within(geometry.cumulate(image, mask), *aperture) == pytest.approx(
        expected, abs=1e-9
    )
    assert geometry.flux(image, mask, *aperture) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("aperture", APERTURES)
def test_sketch_is_near(sky: tuple[np.ndarray, np.ndarray], aperture: tuple[float, ...]):
    image, mask = sky
    sums = geometry.cumulate(np.ones(image.shape), mask)
    expected = geometry.within(sums, *aperture)[1]
    if aperture[3] > 0.1:  # not a needle, which passes between the lines
        assert geometry.sketch(sums, *aperture)[1] == pytest.approx(
            expected, abs=0.1 + 0.2 * math.sqrt(min(aperture[2], 30))
        )


@pytest.mark.parametrize("a", [0.01, 0.5, 3.0, 10.0])
@pytest.mark.parametrize(("q", "theta"), [(1.0, 0.0), (0.3, 2.0)])
def test_area(a: float, q: float, theta: float):
    flat = np.ones((25, 25))
    found = geometry.flux(flat, flat < 0, 12.1, 11.8, a, q, theta)

    assert found == pytest.approx((math.pi * a * a * q,) * 2, rel=1e-11)


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_symmetries(sky: tuple[np.ndarray, np.ndarray], turn: int, mirrored: bool):
    image, mask = (plane[:, :23] for plane in sky)
    x, y, theta = 12.3, 9.1, 0.5
    expected = geometry.flux(np.ascontiguousarray(image), np.ascontiguousarray(mask),
                             x, y, 7.3, 0.6, theta)  # fmt: skip
    if mirrored:
        image, mask, x, theta = image[:, ::-1], mask[:, ::-1], 22 - x, math.pi - theta
    for _ in range(turn):
        image, mask = np.rot90(image), np.rot90(mask)
        x, y, theta = y, 22 - x, theta - math.pi / 2

    assert geometry.flux(np.ascontiguousarray(image), np.ascontiguousarray(mask),
                         x, y, 7.3, 0.6, theta) == pytest.approx(expected, rel=1e-11)  # fmt: skip


@pytest.mark.parametrize("q", [1.0, 0.3])
def test_zero_where_all_is_zero(q: float):
    image = np.full(SHAPE, 1e10)
    mask = shares((15.2, 11.4, 8.0, q, 0.6)) > 0
    image[mask] = 0

    assert geometry.flux(image, mask, 15.2, 11.4, 7.0, q, 0.6) == (0.0, 0.0)
    assert geometry.flux(image, np.zeros(SHAPE, bool), 15.2, 11.4, 7.0, q, 0.6)[0] == 0


@pytest.mark.parametrize(
    "aperture", [(math.nan, 1, 2, 1, 0), (1, math.inf, 2, 1, 0), (1, 1, math.nan, 1, 0)]
)
def test_not_a_number(aperture: tuple[float, ...]):
    sums = geometry.cumulate(np.ones((3, 3)), np.zeros((3, 3), bool))

    assert np.isnan(geometry.within(sums, *map(float, aperture))).all()
    assert np.isnan(geometry.sketch(sums, *map(float, aperture))).all()


@pytest.mark.parametrize(("a", "q"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 0.0)])
def test_no_aperture(a: float, q: float):
    sums = geometry.cumulate(np.ones((3, 3)), np.zeros((3, 3), bool))

    assert geometry.within(sums, 1.0, 1.0, a, q, 0.0) == (0.0, 0.0)
    assert geometry.sketch(sums, 1.0, 1.0, a, q, 0.0) == (0.0, 0.0)

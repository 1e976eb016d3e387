import math

import pytest
from numba import njit
from scipy.optimize import brentq

from pipeline.morphometry.roots import polish_of, root_of


@njit
def curve(x: float, data: tuple[int, float]) -> float:  # pragma: no cover
    kind, level = data
    if kind == 0:
        return x**3 - level
    if kind == 1:
        return math.atan(50 * (x - level))

    return (1.0 if x > level else -1.0) if kind == 2 else math.exp(-x) - level


root, polish = root_of(curve), polish_of(curve)


@pytest.mark.parametrize(("kind", "level"), [(0, 0.3), (0, 1.0), (1, 0.61), (2, 0.37), (3, 0.9)])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-12])
def test_step_for_step(kind: int, level: float, tolerance: float):
    expected = brentq(lambda x: curve(x, (kind, level)), 0.0, 1.7, xtol=tolerance)

    assert root((kind, level), 0.0, 1.7, tolerance) == pytest.approx(expected, rel=1e-14)


def test_end_is_a_zero():
    assert root((0, 0.0), 0.0, 1.0, 1e-6) == 0.0
    assert root((0, 1.0), 0.5, 1.0, 1e-6) == 1.0


@pytest.mark.parametrize("level", [math.nan, 100.0])
def test_no_zero_ends(level: float):
    assert 0 <= root((0, level), 0.0, 1.0, 1e-6) <= 1


@pytest.mark.parametrize("start", [0.5, 0.69, 0.9])
def test_polish_from_a_similar_function(start: float):
    data = ((0, 0.31), (0, 0.3))

    assert polish(data, start, 0.0, 1.7, 1e-3) == pytest.approx(0.3 ** (1 / 3), abs=1e-4)


def test_polish_falls_back():
    # Steps along a step function lead nowhere
    assert polish(((2, 0.4), (2, 0.37)), 1.5, 0.0, 1.7, 1e-3) == pytest.approx(0.37, abs=1e-3)

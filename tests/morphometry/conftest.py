import numpy as np
import pytest

from pipeline.morphometry import Morphology, measure


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    r"""An inclined disk with a clump, a neighbour and noise, on no square image."""

    y, x = np.mgrid[:65, :72]
    u, v = x - 34.3, (y - 31.6) / 0.7
    light = 80 * np.exp(-np.hypot(u, v) / 4.5)
    light += 30 * np.exp(-((x - 39) ** 2 + (y - 28) ** 2) / 4)
    light += 90 * np.exp(-((x - 61) ** 2 + (y - 55) ** 2) / 5)

    return light + np.random.default_rng(3).normal(size=light.shape)


@pytest.fixture(scope="session")
def found(image) -> Morphology:
    return measure(image)

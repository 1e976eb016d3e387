import math

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from pipeline.morphometry.flags import NEGATIVE_FLUX, UNDEFINED
from pipeline.morphometry.grain import WHITE
from pipeline.morphometry.overlap import overlap
from pipeline.morphometry.pieces import boxcar, unmasked_boxcar
from pipeline.morphometry.skybox import white_smoothness
from pipeline.morphometry.smoothness import (
    noise_smoothness,
    sky_smoothness,
    smoothness,
    unbiased_smoothness,
    width,
)

RPETRO = 17.0
KNOWN = (0.0, WHITE)  # a level of sky without an error, noise that is white
X, Y = 25.3, 31.8
CLEAR = np.zeros((62, 54), bool)


def galaxy(noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:62, :54]
    image = 100 * np.exp(-np.hypot(columns - X, 1.4 * (rows - Y)) / 5)
    for x, y in rng.uniform(-9, 9, (12, 2)):
        image += 15 * np.exp(-((columns - X - x) ** 2 + (rows - Y - y) ** 2) / 2)

    return image + noise * rng.normal(size=image.shape)


def test_smoothness_is_the_definition():
    image, rpetro, sky = galaxy(), RPETRO, 0.2
    smooth = boxcar(image, width(rpetro))
    rows, columns = np.mgrid[:62, :54]
    share = np.vectorize(overlap)
    ring = share(columns - X, rows - Y, 1.5 * rpetro)
    ring -= share(columns - X, rows - Y, 0.25 * rpetro)
    excess = np.maximum(image - uniform_filter(image, 4), 0)
    area = math.pi * (1.5**2 - 0.25**2) * rpetro**2
    expected = ((ring * excess).sum() - area * sky) / (ring * image).sum()

    value, flags = smoothness(image, smooth, X, Y, rpetro, sky, True)

    assert value == pytest.approx(expected, rel=1e-9) and flags == 0


@pytest.mark.parametrize("turn", range(8))
@pytest.mark.parametrize("rpetro", [17.0, 20.5])
def test_eight_symmetries(turn, rpetro):
    r"""An even boxcar, which is off centre, has them in all its places."""

    image, size = galaxy(), width(rpetro)
    noise, mask = np.full(image.shape, 0.5), np.zeros(image.shape, bool)
    x, y, view = X, Y, image
    if turn & 1:
        x, view = 53 - x, view[:, ::-1]
    if turn & 2:
        y, view = 61 - y, view[::-1]
    if turn & 4:
        x, y, view = y, x, view.T
    view = np.ascontiguousarray(view)

    values = unbiased_smoothness(image, boxcar(image, size), mask, noise, X, Y, rpetro, KNOWN)
    one = unbiased_smoothness(view, boxcar(view, size), mask.reshape(view.shape),
                              noise.reshape(view.shape), x, y, rpetro, KNOWN)  # fmt: skip
    plain = smoothness(image, boxcar(image, size), X, Y, rpetro, 0.1, False)
    other = smoothness(view, boxcar(view, size), x, y, rpetro, 0.1, False)

    assert one == pytest.approx(values)
    assert other == pytest.approx(plain)


def test_flux_factor():
    image = galaxy()
    value = smoothness(image, boxcar(image, 4), X, Y, RPETRO, 0.1, False)[0]
    faint = 1e-12 * image
    noise, mask = np.full(image.shape, 0.5), np.zeros(image.shape, bool)
    first = unbiased_smoothness(image, boxcar(image, 4), mask, noise, X, Y, RPETRO, KNOWN)
    last = unbiased_smoothness(faint, boxcar(faint, 4), mask, 1e-12 * noise, X, Y, RPETRO, KNOWN)

    dim = smoothness(faint, boxcar(faint, 4), X, Y, RPETRO, 1e-13, False)[0]
    assert dim == pytest.approx(value)
    assert last == pytest.approx(first)


def test_flat_patch_has_no_clumps():
    image, mask = np.full((62, 54), 3.0), np.zeros((62, 54), bool)
    smooth = boxcar(image, 4)

    assert smoothness(image, smooth, X, Y, 17.0, 0.0, False)[0] == pytest.approx(0, abs=1e-12)
    assert unbiased_smoothness(image, smooth, mask, 0 * image, X, Y, 17.0, KNOWN) == pytest.approx(
        (0, 0, 0), abs=1e-12
    )


@pytest.mark.parametrize(
    ("rpetro", "factor", "expected"),
    [
        (7.9, 1.0, (0.0, 0)),
        (math.nan, 1.0, (math.nan, UNDEFINED)),
        (RPETRO, -1.0, (math.nan, NEGATIVE_FLUX | UNDEFINED)),
        (RPETRO, 0.0, (math.nan, NEGATIVE_FLUX | UNDEFINED)),
    ],
)
def test_degenerate(rpetro, factor, expected):
    image = factor * galaxy()
    mask = np.zeros(image.shape, bool)
    smooth = boxcar(image, max(width(rpetro), 1))

    plain = smoothness(image, smooth, X, Y, rpetro, 0.1, False)
    assert plain == pytest.approx(expected, nan_ok=True)
    value = unbiased_smoothness(image, smooth, mask, np.ones_like(image), X, Y, rpetro, KNOWN)[0]
    assert value == pytest.approx(expected[0], nan_ok=True)


@pytest.mark.parametrize("size", [2, 3, 4, 5, 8])
def test_sky_of_white_noise(size):
    rng = np.random.default_rng(size)
    taken = np.zeros((60, 60), bool)
    taken[20:35, 25:40] = True
    measured, errors, boxes = [], [], []
    for _ in range(40):
        image = rng.normal(size=(60, 60))
        boxes.append(sky_smoothness(image, 0, 0, 16, size))
        image[taken] += 1000
        mean, error = noise_smoothness(image, boxcar(image, size), taken, size)
        measured.append(mean)
        errors.append(error)

    assert np.mean(measured) == pytest.approx(white_smoothness(1.0, size), rel=0.01)
    assert np.mean(errors) == pytest.approx(np.std(measured), rel=0.5)
    assert np.std(measured) < 0.5 * np.std(boxes)


def test_no_sky():
    image, taken = galaxy(), np.ones((62, 54), bool)

    assert math.isnan(sky_smoothness(image, 0, 0, 0, 4))
    assert math.isnan(noise_smoothness(image, image, taken, 4)[0])
    assert noise_smoothness(image, image, taken, 1) == (0, 0)


@pytest.mark.parametrize("rpetro", [RPETRO, 20.5])
def test_masked_pixels_are_left_out(rpetro):
    r"""A part of the pixels has the clumps of all; zeros in their place are clumps."""

    image, size, noise = galaxy(), width(rpetro), np.full((62, 54), 0.5)
    seen = np.hypot(*(np.mgrid[:62, :54] - np.array([[[Y]], [[X]]]))) > 3
    draw = np.random.default_rng(1)

    def clumps(mask, average):
        part = np.where(mask, 0.0, image)
        smooth = average(boxcar(part, size), mask, size)
        return unbiased_smoothness(part, smooth, mask, noise, X, Y, rpetro, KNOWN)[0]

    whole = clumps(CLEAR, unmasked_boxcar)
    masks = [seen & (draw.random(seen.shape) < 0.1) for _ in range(20)]

    assert whole == clumps(CLEAR, lambda smooth, *_: smooth)
    found = np.mean([clumps(mask, unmasked_boxcar) for mask in masks])
    assert found == pytest.approx(whole, rel=0.05)
    assert np.mean([clumps(mask, lambda smooth, *_: smooth) for mask in masks]) > 1.2 * whole


@pytest.mark.parametrize("noise", [0.5, 3.0])
def test_unbiased(noise):
    rng = np.random.default_rng(7)
    clean, mask = galaxy(noise=0), np.zeros((62, 54), bool)
    true = unbiased_smoothness(clean, boxcar(clean, 4), mask, 0 * clean, X, Y, RPETRO, KNOWN)[0]
    plain, unbiased, errors, spreads = [], [], [], []
    for _ in range(40):
        image = clean + noise * rng.normal(size=clean.shape)
        smooth = boxcar(image, 4)
        white = white_smoothness(noise, 4)
        plain.append(smoothness(image, smooth, X, Y, RPETRO, white, False)[0])
        value, error, spread = unbiased_smoothness(
            image, smooth, mask, np.full(image.shape, noise), X, Y, RPETRO, KNOWN
        )
        unbiased.append(value)
        errors.append(error)
        spreads.append(spread)

    assert abs(np.mean(unbiased) - true) < 0.4 * abs(np.mean(plain) - true)
    # The noise of neighbours in a clump cancels in part, which is left out of the errors
    assert 0.8 < np.mean(spreads) / np.std(plain) < 2
    assert 0.5 < np.mean(errors) / np.std(unbiased) < 2.5

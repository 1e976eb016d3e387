import math

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.optimize import fmin

from pipeline.morphometry import asymmetry as asym
from pipeline.morphometry import half_turn
from pipeline.morphometry.centre import centre
from pipeline.morphometry.flags import CENTRE_DRIFTED, MASKED_CENTRE, UNDEFINED
from pipeline.morphometry.geometry import Aperture
from pipeline.morphometry.grain import WHITE, turned_share
from pipeline.morphometry.overlap import overlap
from pipeline.morphometry.search import about, prepare
from pipeline.morphometry.simplex import minimize, simplex
from pipeline.morphometry.stamp import weights

RPETRO = 8.0
KNOWN = (0.0, 0.0, WHITE)  # a sky without an error, whose noise is white


def galaxy(height=44, width=38, x=18.3, y=22.6, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    u, v = columns - x, rows - y
    image = 100 * np.exp(-np.hypot(u + 0.3 * v, 1.6 * v) / 3)
    image += 12 * np.exp(-((u - 5) ** 2 + (v - 2) ** 2) / 4)
    image += noise * rng.normal(size=image.shape)
    mask = np.zeros(image.shape, bool)
    segment = np.hypot(u, v) < 10

    return image, mask, segment


def masked(seed=0):
    image, mask, segment = galaxy(seed=seed)
    mask[10:16, 20:30] = mask[25, 9] = True
    image[mask] = 0

    return image, mask, segment


def view(array, turn):
    array = array[:, ::-1] if turn & 1 else array
    array = array[::-1] if turn & 2 else array

    return np.ascontiguousarray(array.T if turn & 4 else array)


def view_point(x, y, shape, turn):
    x = shape[1] - 1 - x if turn & 1 else x
    y = shape[0] - 1 - y if turn & 2 else y

    return (y, x) if turn & 4 else (x, y)


def slow(image, mask, x, y, radius, sky):
    r"""The same by coordinates of pixels, interpolation of scipy and one aperture weight each."""

    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    points = np.array([2 * y - rows, 2 * x - columns])
    turned = map_coordinates(image, points, order=1, mode="grid-constant")
    outside = map_coordinates(mask.astype(float), points, order=0, mode="grid-constant")
    kept = ~(mask | (outside > 0.5))
    weight = np.vectorize(overlap)(columns - x, rows - y, radius) * kept
    change = (weight * np.abs(turned - image)).sum()

    return (change - sky * weight.sum()) / (weight * np.abs(image)).sum()


@pytest.mark.parametrize("start", [(18.5, 22.4), (0.0, 21.0), (30.5, 8.1)])
@pytest.mark.parametrize("limit", [400, 37])
def test_simplex_is_that_of_scipy(start, limit):
    image, mask, _ = masked()
    search = prepare(image, mask, 1.5 * RPETRO, 0.1)
    theirs = fmin(
        lambda p: about(p[0], p[1], search),
        start,
        xtol=1e-6,
        maxiter=limit,
        maxfun=limit,
        disp=False,
        full_output=True,
    )

    x, y, value, calls = minimize(search, simplex(*start), 1e-6, 1e-4, limit)

    assert (x, y) == tuple(theirs[0]) and value == theirs[1] and calls == theirs[3]


@pytest.mark.parametrize("make", [galaxy, masked])
@pytest.mark.parametrize(
    "point", [(18.3, 22.6), (18.0, 22.0), (17.75, 22.5), (2.2, 3.4), (35.9, 43.6), (0.0, 0.0)]
)
@pytest.mark.parametrize("radius", [0.3, 4.7, 12.0, 60.0])
def test_about_is_the_definition(make, point, radius):
    image, mask, _ = make()

    value = about(*point, prepare(image, mask, radius, 0.1))

    assert value == pytest.approx(slow(image, mask, *point, radius, 0.1), rel=1e-9, abs=1e-10)


@pytest.mark.parametrize("make", [galaxy, masked])
def test_asymmetry_is_the_definition(make):
    image, mask, _ = make()
    difference, hidden = half_turn.residual(image, mask, 18.3, 22.6)

    value, flags = asym.asymmetry(image, difference, hidden, 18.3, 22.6, RPETRO, 0.1)

    assert flags == 0
    assert value == pytest.approx(slow(image, mask, 18.3, 22.6, 1.5 * RPETRO, 0.1), rel=1e-9)


def test_parity_is_the_simplex_of_scipy():
    image, mask, segment = masked()
    search = prepare(image, mask, 1.5 * RPETRO, 0.1)
    theirs = fmin(lambda p: about(p[0], p[1], search), (18.5, 22.4), xtol=1e-6, disp=False)

    x, y, flags = centre(image, mask, segment, 18.5, 22.4, RPETRO, 0.1, True)

    assert (x, y) == tuple(theirs) and flags == 0


@pytest.mark.parametrize("make", [galaxy, masked])
@pytest.mark.parametrize("turn", range(8))
def test_eight_symmetries(make, turn):
    image, mask, segment = make()
    x, y, flags = centre(image, mask, segment, 18.5, 22.4, RPETRO, 0.1, False)
    views = view(image, turn), view(mask, turn), view(segment, turn)
    point = view_point(18.5, 22.4, image.shape, turn)

    found = centre(*views, *point, RPETRO, 0.1, False)

    assert found[:2] == pytest.approx(view_point(x, y, image.shape, turn), abs=1e-9)
    assert found[2] == flags


def test_shift_and_padding_and_flux():
    image, mask, segment = masked()
    x, y, flags = centre(image, mask, segment, 18.5, 22.4, RPETRO, 0.1, False)
    wide = [np.pad(array, ((3, 8), (11, 2))) for array in (7e-12 * image, mask, segment)]

    found = centre(*wide, 29.5, 25.4, RPETRO, 7e-13, False)

    assert found[:2] == pytest.approx((x + 11, y + 3), abs=1e-9) and found[2] == flags


@pytest.mark.parametrize("parity", [True, False])
def test_symmetric_galaxy(parity):
    rows, columns = np.mgrid[:41, :37]
    image = 100 * np.exp(-(((columns - 18) / 4) ** 2) - ((rows - 20) / 3) ** 2)
    mask = np.zeros(image.shape, bool)

    x, y, flags = centre(image, mask, ~mask, 18.4, 19.7, RPETRO, 0.0, parity)
    difference, hidden = half_turn.residual(image, mask, 18.0, 20.0)

    assert (x, y) == pytest.approx((18, 20), abs=0.01) and flags == 0
    assert asym.asymmetry(image, difference, hidden, 18.0, 20.0, RPETRO, 0.0)[0] == 0
    assert asym.rms_asymmetry2(image, difference, hidden, 18.0, 20.0, RPETRO, 0.0, 2.0)[0] == 0


def test_no_symmetry_at_all():
    image = np.zeros((21, 21))
    image[10, 13] = 5.0
    mask = np.zeros(image.shape, bool)
    difference, hidden = half_turn.residual(image, mask, 10.0, 10.0)
    inner, outer = Aperture(10.0, 10.0, 1.0, 0.9), Aperture(10.0, 10.0, 6.0, 0.9)

    assert asym.asymmetry(image, difference, hidden, 10.0, 10.0, RPETRO, 0.0) == (2.0, 0)
    assert asym.rms_asymmetry2(image, difference, hidden, 10.0, 10.0, RPETRO, 0.0, 2.0) == (2.0, 0)
    assert asym.outer_asymmetry(image, difference, hidden, inner, outer, 0.0) == (2.0, 0)
    assert asym.shape_asymmetry(image > 0, mask, 10.0, 10.0, 5.0) == (2.0, 0)


@pytest.mark.parametrize("parity", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (8, 8)])
def test_nothing_to_measure(shape, parity):
    image, empty = np.zeros(shape), np.zeros(shape, bool)
    x, y = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    for mask in (empty, ~empty):
        found = centre(image, mask, empty, x, y, 2.0, np.nan, parity)
        difference, hidden = half_turn.residual(image, mask, x, y)
        assert np.isfinite(found[:2]).all()
        assert asym.asymmetry(image, difference, hidden, x, y, 2.0, 0.0)[1] == UNDEFINED
        free = asym.unbiased_asymmetry(image, difference, hidden, image, x, y, 2.0, KNOWN)
        assert math.isnan(free[0])
    assert centre(image, empty, empty, x, y, np.nan, 0.0, parity)[2] == UNDEFINED
    assert asym.shape_asymmetry(empty, empty, x, y, 3.0)[1] == UNDEFINED


def test_flags():
    image, mask, segment = galaxy()
    hole = mask.copy()
    hole[20:25, 16:21] = True
    flags = centre(np.where(hole, 0, image), hole, segment, 18.3, 22.6, RPETRO, 0.1, False)[2]
    drift = centre(image, mask, segment, 26.0, 22.0, RPETRO, 0.1, False)

    assert flags & MASKED_CENTRE
    assert drift[2] & CENTRE_DRIFTED and math.hypot(drift[0] - 18.3, drift[1] - 22.6) < 1


@pytest.mark.parametrize("noise", [0.3, 3.0])
@pytest.mark.parametrize("x", [18.3, 18.25, 18.0])
def test_unbiased(noise, x):
    clean, mask, _ = galaxy(noise=0)
    rng = np.random.default_rng(5)
    first = half_turn.residual(clean, mask, x, 22.6)
    true = asym.asymmetry(clean, *first, x, 22.6, RPETRO, 0.0)[0]
    plain, unbiased, errors, spreads = [], [], [], []
    for _ in range(40):
        image = clean + noise * rng.normal(size=clean.shape)
        pair = half_turn.residual(image, mask, x, 22.6)
        sky = 2 * noise / math.sqrt(math.pi)
        value, error, spread = asym.unbiased_asymmetry(
            image, *pair, np.full(image.shape, noise), x, 22.6, RPETRO, KNOWN
        )
        plain.append(asym.asymmetry(image, *pair, x, 22.6, RPETRO, sky)[0])
        unbiased.append(value)
        errors.append(error)
        spreads.append(spread)

    assert abs(np.mean(unbiased) - true) < 0.4 * abs(np.mean(plain) - true)
    assert np.mean(spreads) == pytest.approx(np.std(plain), rel=0.6)
    assert np.mean(errors) == pytest.approx(np.std(unbiased), rel=0.6)


def test_unbiased_without_noise_is_plain():
    image, mask, _ = galaxy(noise=0)
    pair = half_turn.residual(image, mask, 18.3, 22.6)

    value, *errors = asym.unbiased_asymmetry(
        image, *pair, np.zeros_like(image), 18.3, 22.6, RPETRO, KNOWN
    )

    assert value == pytest.approx(asym.asymmetry(image, *pair, 18.3, 22.6, RPETRO, 0.0)[0])
    assert errors == [0, 0]


def test_mask_at_the_edge_is_turned_to_the_nearest_pixel():
    r"""A point within half a pixel of the last column is still masked by it, as in statmorph."""

    mask = np.zeros((8, 8), bool)
    mask[:, 7] = True
    for x, first in [(3.65, True), (3.8, False)]:
        hidden = half_turn.residual(np.ones((8, 8)), mask, x, 3.5)[1]

        assert (hidden[:, 0] == first).all()


@pytest.mark.parametrize("point", [(18.3, 22.6), (18.25, 22.25), (18.25, 22.5)])
def test_rms_asymmetry_is_that_without_noise(point):
    r"""What interpolation leaves of the noise is taken off, and no more."""

    clean, mask, _ = galaxy(noise=0)
    rng, spread = np.random.default_rng(9), 1 + turned_share(*point, WHITE)
    pair = half_turn.residual(clean, mask, *point)
    true = asym.rms_asymmetry2(clean, *pair, *point, RPETRO, 0.0, spread)[0]
    found, plain = [], []
    for _ in range(150):
        image = clean + 3 * rng.normal(size=clean.shape)
        pair = half_turn.residual(image, mask, *point)
        found.append(asym.rms_asymmetry2(image, *pair, *point, RPETRO, 3.0, spread)[0])
        plain.append(asym.rms_asymmetry2(image, *pair, *point, RPETRO, 3.0, 2.0)[0])

    assert abs(np.mean(found) - true) < 4 * np.std(found) / math.sqrt(150)
    assert np.mean(plain) < true - 8 * np.std(found) / math.sqrt(150)


@pytest.mark.parametrize("sky", [4.0, 100.0])
def test_photons_are_no_asymmetry(sky):
    r"""What noise leaves is that of a galaxy whose photons are known, sky or not."""

    clean, mask, _ = galaxy(noise=0)
    rng, point = np.random.default_rng(9), (18.3, 22.6)
    spread, pair = 1 + turned_share(*point, WHITE), half_turn.residual(clean, mask, *point)
    true = asym.rms_asymmetry2(clean, *pair, *point, RPETRO, 0.0, spread)[0]
    squares, values, errors = [], [], []
    for _ in range(150):
        image = rng.poisson(clean + sky) - sky
        noise = weights(image, mask, 1.0, math.sqrt(sky), False)
        pair = half_turn.residual(image, mask, *point)
        level = asym.rms_noise(noise, pair[1], *point, RPETRO)
        squares.append(asym.rms_asymmetry2(image, *pair, *point, RPETRO, level, spread)[0])
        sure, found = (
            asym.unbiased_asymmetry(image, *pair, sigma, *point, RPETRO, KNOWN)
            for sigma in (np.sqrt(clean + sky), noise)
        )
        values.append((sure[0], found[0]))
        errors.append(found[1])

    assert abs(np.mean(squares) - true) < 4 * np.std(squares) / math.sqrt(150)
    sure, found = np.array(values).T
    assert abs(np.mean(found - sure)) < 0.01
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.3)


def test_rms_asymmetry_without_a_value():
    image, mask, _ = galaxy(noise=0)
    pair = half_turn.residual(1e160 * image, mask, 18.3, 22.6)
    value, flags = asym.rms_asymmetry2(1e160 * image, *pair, 18.3, 22.6, RPETRO, 0.0, 2.0)

    assert math.isnan(value) and flags == UNDEFINED


def test_error_of_the_sky_adds():
    image, mask, _ = galaxy(noise=0)
    pair, noise = half_turn.residual(image, mask, 18.3, 22.6), np.zeros_like(image)
    _, free, plain = asym.unbiased_asymmetry(
        image, *pair, noise, 18.3, 22.6, RPETRO, (0.1, 0.0, WHITE)
    )
    one = asym.asymmetry(image, *pair, 18.3, 22.6, RPETRO, 0.0)[0]

    other = asym.asymmetry(image, *pair, 18.3, 22.6, RPETRO, 0.1)[0]
    assert free == 0 and plain == pytest.approx(one - other)

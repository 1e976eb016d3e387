import math

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.signal import fftconvolve
from scipy.special import gammaincinv

from pipeline.morphometry import measure
from pipeline.morphometry.flags import FIT_AT_BOUND, FIT_FAILED
from pipeline.morphometry.geometry import Aperture
from pipeline.morphometry.psf import NONE, separate
from pipeline.morphometry.sersic import sersic
from pipeline.morphometry.sersic_model import steepness

# Amplitude, r_eff, n, x, y, ellip, theta
GALAXY = (2.0, 5.0, 1.5, 30.3, 24.8, 0.4, 0.7)
START = Aperture(29.5, 25.5, 6.5, 0.8, 0.4)


def brightness(x, y, galaxy):
    r"""Evaluates a Sersic profile as it is usually written."""

    amplitude, r_eff, n, x0, y0, ellip, theta = galaxy
    along = (x - x0) * np.cos(theta) + (y - y0) * np.sin(theta)
    across = (y - y0) * np.cos(theta) - (x - x0) * np.sin(theta)
    z = np.hypot(along / r_eff, across / r_eff / (1 - ellip))

    return amplitude * np.exp(-gammaincinv(2 * n, 0.5) * (z ** (1 / n) - 1))


def sampled(galaxy, shape=(49, 64)):
    y, x = np.indices(shape, np.float64)

    return brightness(x, y, galaxy)


def mean(y, x, galaxy, parts):
    r"""Averages a profile over a pixel, from its values at many points."""

    offset = (np.arange(parts) + 0.5) / parts - 0.5

    return brightness(x + offset, y + offset.reshape(-1, 1), galaxy).mean()


def integrated(galaxy, shape=(49, 64)):
    out = np.empty(shape)
    for i, j in np.ndindex(shape):
        distance = math.hypot(j - galaxy[3], i - galaxy[4])
        out[i, j] = mean(i, j, galaxy, 601 if distance < 2 else 51 if distance < 8 else 7)

    return out


def fit(image, sigma=None, start=START, n=2.0, kernel=NONE, centres=False, parity=False):
    sigma = np.full(image.shape, 0.01) if sigma is None else sigma

    return sersic(image, sigma, start, n, kernel, centres, parity, (0.0, 1.0))


def star(side=15):
    y, x = np.indices((side, side)) - side // 2

    return (1 + (x**2 + 1.2 * y**2 + 0.2 * x * y) / 6) ** -3.0


def assert_close(found, galaxy, rtol, atol):
    amplitude, r_eff, n, x, y, ellip, theta = galaxy
    assert found[:3] == pytest.approx((amplitude, r_eff, n), rel=rtol)
    assert found[3:6] == pytest.approx((x, y, ellip), abs=atol)
    if ellip > 0.05:
        assert math.sin(found.theta - theta) == pytest.approx(0, abs=atol / ellip)
    assert 0 <= found.ellip <= 1 and 0 <= found.theta < math.pi


@pytest.mark.parametrize("n", [0.02, 0.1, 0.3, 0.5, 1, 2.3, 4, 10, 60])
def test_steepness(n):
    assert steepness(n) == pytest.approx(gammaincinv(2 * n, 0.5), rel=1e-12)


@pytest.mark.parametrize("n", [0.5, 1, 2.5, 4])
@pytest.mark.parametrize("r_eff", [2.5, 6])
@pytest.mark.parametrize(("ellip", "theta"), [(0, 0), (0.3, 2.2), (0.7, 0.7)])
def test_perfect(n, r_eff, ellip, theta):
    r"""Pixels that are means of a profile give it back."""

    galaxy = (2.0, r_eff, n, 30.3, 24.8, ellip, theta)
    found = fit(integrated(galaxy))

    assert_close(found, galaxy, 0.005, 0.003)
    assert found.flags == 0


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("n", [0.7, 1, 2.5, 4])
def test_perfect_centres(n, parity):
    r"""Pixels that are values of a profile at their centres give it back."""

    galaxy = (2.0, 5.0, n, 30.3, 24.8, 0.5, 2.9)
    found = fit(sampled(galaxy), centres=True, parity=parity)

    assert_close(found, galaxy, 1e-5 if parity else 0.002, 1e-5 if parity else 0.001)
    assert found.flags == 0


def test_integration_matters():
    r"""The value at the centre of a pixel is not its mean: a cusp seems smaller than it is."""

    galaxy = (2.0, 3.0, 4.0, 30.4, 24.1, 0.2, 0.4)
    image = integrated(galaxy)
    inside, centres = fit(image), fit(image, centres=True)

    assert inside[1:3] == pytest.approx((3, 4), rel=0.005)
    assert abs(centres.r_eff / 3 - 1) > 0.05


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("centres", [False, True])
def test_psf(parity, centres):
    galaxy = (2.0, 4.0, 2.0, 40.3, 31.8, 0.5, 1.2)
    start = Aperture(40, 31, 6.0, 0.8, 0.9)
    psf = star()
    # What comes from around of the image is lost in parity only
    model = sampled if centres else integrated
    wide = (2.0, 4.0, 2.0, 50.3, 41.8, 0.5, 1.2)
    image = fftconvolve(model(wide, (91, 101)), psf / psf.sum(), "same")[10:-10, 10:-10]
    found = fit(image, start=start, kernel=separate(psf), centres=centres, parity=parity)

    assert_close(found, galaxy, 0.005, 0.003)
    assert fit(image, start=start).n < 1.7  # it does matter


@pytest.mark.parametrize(
    ("n", "radius", "width", "rel"),
    [(1.0, 6.0, 2.0, 0.005), (2.5, 4.0, 3.0, 0.02), (4.0, 6.0, 3.0, 0.05)],
)
def test_image_of_a_star(n, radius, width, rel):
    r"""A galaxy that a camera blurs as it does a star, drawn on a fine grid, has its index."""

    fine, side = 7, 81
    y, x = (np.indices((fine * side, fine * side)) - fine * side // 2) / fine
    galaxy = (1.0, radius, n, 0.3, 0.4, 0.2, 0.7)
    parts = (np.arange(8) - 3.5) / 8 / fine
    light = sum(brightness(x + dx, y + dy, galaxy) for dx in parts for dy in parts)
    blur = np.exp(-4 * np.log(2) * np.hypot(x, y) ** 2 / width**2)

    def seen(pixels):
        return pixels.reshape(side, fine, side, fine).mean((1, 3))

    image = seen(fftconvolve(light, blur / blur.sum(), "same"))
    image *= 3000 / image.max()
    image += np.random.default_rng(0).normal(size=image.shape)
    star = seen(blur)[30:51, 30:51]

    found = measure(image, np.ones(image.shape, int), psf=star)
    assert found.sersic_n == pytest.approx(n, rel=rel)
    assert found.sersic_r_eff == pytest.approx(radius, rel=rel)


def test_star_in_one_pixel():
    r"""A blur that is narrower than a pixel has no pixel in it to be taken out."""

    nothing = np.zeros((5, 5))
    nothing[2, 2] = 1.0
    image = integrated((2.0, 4.0, 1.5, 40.3, 31.8, 0.5, 1.2), (71, 81))
    image += 1e-3 * np.random.default_rng(0).normal(size=image.shape)
    labels = np.ones(image.shape, int)
    plain, blurred = (measure(image, labels, psf=psf) for psf in (None, nothing))
    assert blurred.sersic_n == pytest.approx(1.5, rel=0.005)
    assert blurred.sersic_n == pytest.approx(plain.sersic_n, rel=0.005)


def test_separate():
    psf = star()
    kernel = separate(psf)

    assert np.abs(kernel.columns.T @ kernel.rows - psf / psf.sum()).sum() < 1e-5
    assert len(separate(np.outer(np.arange(1, 6), np.ones(3))).rows) == 1
    with pytest.raises(ValueError, match=r"shape \(3, 3\)"):
        separate(np.zeros((3, 3)))


def noisy(seed, galaxy=GALAXY, sky=0.3):
    rng = np.random.default_rng(seed)

    return sampled(galaxy) + rng.normal(0, sky, (49, 64))


def test_minimum():
    r"""The minimum is the one that SciPy finds, and so are the errors."""

    image, sigma = noisy(0), np.full((49, 64), 0.3)
    sigma[:, :20] = 0.5
    image[10:20, 35:40] = 0.0
    sigma[30, 30] = 0.0
    used = (image != 0) & (sigma > 0)

    def residuals(p):
        return ((sampled(p) - image)[used]) / sigma[used]

    best = least_squares(residuals, GALAXY, x_scale="jac", xtol=1e-14, ftol=1e-14, gtol=1e-14)
    found = fit(image, sigma, centres=True, parity=True)
    errors = np.sqrt(np.diag(np.linalg.inv(best.jac.T @ best.jac)))
    size = np.sum(used)
    likelihood = size * np.log(2 * best.cost / size)

    assert found[:7] == pytest.approx(best.x, rel=2e-5)
    assert found[7:14] == pytest.approx(errors, rel=1e-3)
    assert found.chi2_dof == pytest.approx(2 * best.cost / (size - 7), rel=1e-9)
    assert found.aic == pytest.approx(likelihood + 14, rel=1e-9)
    assert found.bic == pytest.approx(likelihood + 7 * np.log(size), rel=1e-9)
    # The bins of the fast mode cost a small part of an error bar
    fast = fit(image, sigma, centres=True)
    assert np.all(np.abs(np.subtract(fast[:7], found[:7])) < 0.15 * np.array(found[7:14]))


def test_errors():
    r"""The errors are the scatter between images that differ by their noise."""

    sigma = np.full((49, 64), 0.3)
    found = np.array([fit(noisy(seed), sigma, centres=True) for seed in range(100)])
    pulls = (found[:, :7] - GALAXY) / found[:, 7:14]

    assert np.all(np.abs(pulls.mean(0)) < 0.4)
    assert np.all((pulls.std(0) > 0.75) & (pulls.std(0) < 1.3))
    assert found[:, 14].mean() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("turn", range(8))
def test_symmetries(turn, parity):
    r"""The symmetries of the square turn the fit and change nothing else."""

    def moved(image):
        image = np.rot90(image, turn % 4)

        return np.ascontiguousarray(image.T if turn > 3 else image)

    image = noisy(1)
    y, x = np.indices(image.shape, np.float64)
    before = fit(image, parity=parity)
    x1, y1 = (moved(x), moved(y))
    where = np.hypot(x1 - START.x, y1 - START.y)
    assert where.min() < 1
    # Where the frame goes: found from where two of its pixels go
    i0, j0 = np.argwhere((x1 == 0) & (y1 == 0))[0]
    i1, j1 = np.argwhere((x1 == 1) & (y1 == 0))[0]
    i2, j2 = np.argwhere((x1 == 0) & (y1 == 1))[0]

    def place(x, y):
        return j0 + x * (j1 - j0) + y * (j2 - j0), i0 + x * (i1 - i0) + y * (i2 - i0)

    def angle(theta):
        dx = math.cos(theta) * (j1 - j0) + math.sin(theta) * (j2 - j0)
        dy = math.cos(theta) * (i1 - i0) + math.sin(theta) * (i2 - i0)

        return math.atan2(dy, dx)

    start = START._replace(theta=angle(START.theta))._replace(
        **dict(zip("xy", map(float, place(START.x, START.y)), strict=True))
    )
    after = fit(moved(image), start=start, parity=parity)

    assert (after.x, after.y) == pytest.approx(place(before.x, before.y), rel=1e-7)
    assert math.sin(after.theta - angle(before.theta)) == pytest.approx(0, abs=1e-7)
    for name in ("amplitude", "r_eff", "n", "ellip", "n_error", "chi2_dof", "aic"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), rel=1e-6)


@pytest.mark.parametrize("factor", [1e-12, 0.1, 1e9])
def test_flux_factor(factor):
    image, sigma = noisy(2), np.full((49, 64), 0.3)
    before, after = fit(image, sigma), fit(image * factor, sigma * factor)

    assert after.amplitude == pytest.approx(before.amplitude * factor, rel=1e-6)
    assert after[1:7] == pytest.approx(before[1:7], rel=1e-6)
    assert after.chi2_dof == pytest.approx(before.chi2_dof, rel=1e-9)


@pytest.mark.parametrize("parity", [False, True])
def test_shift_and_padding(parity):
    r"""Columns and rows without noise around do not count, nor those of zeros with parity,
    wherever the galaxy comes to be."""

    image, margins = noisy(3), ((5, 2), (3, 12))
    noise = np.ones(image.shape)
    before = fit(image, noise, parity=parity)
    start = START._replace(x=START.x + 3, y=START.y + 5)
    around = np.pad(noise, margins, constant_values=float(parity))
    after = fit(np.pad(image, margins), around, start=start, parity=parity)

    assert (after.x - 3, after.y - 5) == pytest.approx((before.x, before.y), rel=1e-7)
    assert after[:3] == pytest.approx(before[:3], rel=1e-6)
    assert after[5:17] == pytest.approx(before[5:17], rel=1e-6)


@pytest.mark.parametrize("n", [1.0, 2.5])
def test_photons(n):
    r"""Bright pixels that weigh less than those around them do not draw the fit outwards."""

    galaxy = (100.0, 8.0, n, 48.3, 44.8, 0.3, 0.7)
    image = integrated(galaxy, (90, 100))
    found = fit(image, np.sqrt(1 + image), Aperture(48.0, 45.0, 9.0, 0.8, 0.6))

    assert_close(found, galaxy, rtol=1e-3, atol=5e-3)


@pytest.mark.parametrize("peak", [100, 3000, 30000])
@pytest.mark.parametrize(("n", "r_eff"), [(0.5, 6.0), (1.0, 12.0)])
def test_chi2_is_that_of_all_pixels(n, r_eff, peak):
    r"""However bright a galaxy is, of which the outskirts are fitted in squares."""

    galaxy = (1.0, r_eff, n, 60.3, 60.8, 0.3, 0.7)
    light = integrated(galaxy, (121, 121))
    image = light * peak / light.max() + np.random.default_rng(0).normal(size=light.shape)
    found = fit(image, np.ones(image.shape), Aperture(60.0, 61.0, r_eff, 0.8, 0.5))
    left = image - integrated(found[:7], image.shape)

    assert found.chi2_dof == pytest.approx((left**2).sum() / (image.size - 7), abs=0.004)


def test_start_does_not_matter():
    image, sigma = noisy(4), np.full((49, 64), 0.3)
    found = [
        fit(image, sigma, START._replace(a=a, q=q, theta=theta), n)
        for a, q, theta, n in [(3.0, 1.0, 0.0, 1.0), (12.0, 0.5, 2.0, 3.5), (np.nan, 0, np.nan, 0)]
    ]

    assert found[1][:7] == pytest.approx(found[0][:7], rel=0.003)
    assert found[2][:7] == pytest.approx(found[0][:7], rel=0.003)


def test_bound():
    r"""A uniform disk is steeper than any allowed profile, so that its index has no error."""

    y, x = np.indices((49, 64))
    disk = np.where(np.hypot(x - 30, y - 25) < 10, 1.0, 1e-9)
    found = fit(disk)

    assert found.flags & FIT_AT_BOUND and found.n == pytest.approx(0.1)
    assert np.isnan(found.n_error)
    assert 0 < found.r_eff_error < 0.01 and 0 < found.x_error < 0.01


DEGENERATE = {
    "zero": np.zeros((20, 30)),
    "one pixel": np.pad([[1.0]], 10),
    "flat": np.ones((20, 30)),
    "negative": -sampled(GALAXY),
    "1 x 1": np.ones((1, 1)),
    "1 x 9": np.ones((1, 9)),
    "2 x 4": np.arange(8.0).reshape(2, 4) + 1,
    "8 x 8": np.arange(64.0).reshape(8, 8) % 7,
    "noise": np.random.default_rng(0).normal(size=(40, 30)),
    "faint": 1e-300 * sampled(GALAXY),
    "bright": 1e150 * sampled(GALAXY),
    "gradient": np.arange(1.0, 401).reshape(20, 20),
    "spike": np.ones((21, 21)) + np.pad([[1e6]], 10),
}


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("sigma", [1e-8, 1.0, 0.0])
@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate(name, sigma, parity):
    image = DEGENERATE[name]
    found = fit(image, np.full(image.shape, sigma), parity=parity)

    assert isinstance(found.flags, int)
    assert found.flags & FIT_FAILED or np.all(np.isfinite(found[:7]))
    if sigma == 0 or (parity and np.count_nonzero(image) <= 7):
        assert found.flags == FIT_FAILED and np.all(np.isnan(found[:17]))

r"""A galaxy measured as a whole: its numbers and flags, its masks and labels, what is refused."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError, DataError
from pipeline.morphometry import MEASURED, Sky, measure, names
from pipeline.morphometry.flags import BLENDED, OFF_CENTRE, STRUCTURE
from pipeline.morphometry.segment import segment
from tests.morphometry.disks import clumpy, plane


def test_numbers(found):
    assert abs(found.x - 34.3) < 1.5 and abs(found.y - 31.6) < 1.5
    assert found.sersic_ellip == pytest.approx(0.3, abs=0.1)
    assert found.sersic_n == pytest.approx(1, abs=0.25)
    assert found.sersic_r_eff == pytest.approx(1.678 * 4.5, rel=0.15)
    assert 2.3 < found.concentration < 3.3 and 0.4 < found.gini < 0.65 and -2.2 < found.m20 < -1
    assert found.sky_sigma == pytest.approx(1, abs=0.08)
    assert found.sn_per_pixel > 2.5 and names(found.flags & ~STRUCTURE) == ()


def test_flags_of_noise_and_of_structure(image):
    r"""Each statistic that the noise hides says so, and those of other galaxies do not."""

    r, phi = plane(image.shape, 34.3, 31.6, 0.7, 0.0)
    disk = 80 * np.exp(-r / 4.5)
    noise = np.random.default_rng(5).normal(size=image.shape)
    wave = np.cos(2 * (phi - np.log(np.maximum(r, 0.5)) / np.tan(0.4)))
    wound, smooth = (measure(disk * (1 + part * wave) + 0.3 * noise) for part in (0.5, 0.0))
    faint = measure(disk + 40 * noise)

    assert not {"no_arms", "low_signal"} & {*names(wound.flags)}
    assert {"no_bar", "no_arms"} & {*names(smooth.flags)} and smooth.flags & ~STRUCTURE == 0
    assert faint.sn_per_pixel < 2.5 and "low_signal" in names(faint.flags)


def test_flags_in_words():
    r"""A number of any type has names, and the rule of the page says whether nothing is wrong."""

    page = (Path(__file__).parents[2] / "docs/morphometry.md").read_text()
    divisor, rest = re.search(r"nothing is where `flags % (\d+) == (\d+)`", page).groups()
    for bits in (0, 1, 4096, 16383, 16384, 8193, 16384 * 7, 16384 * 7 + 4):
        assert (bits % int(divisor) == int(rest)) == (bits & ~STRUCTURE == 0)
    assert names(np.float64(18)) == names(np.int16(18)) == ("edge", "no_sky")


def test_pixels_of_zero(image):
    r"""Whole numbers have many zeros in the sky, and a profile without them is another one."""

    labels, level, *_ = segment(image, math.nan, math.nan)
    found, rounded = (measure(one, labels) for one in (image - level, np.round(image - level)))
    assert (np.round(image - level) == 0).mean() > 0.2
    for name in ("sersic_n", "sersic_r_eff", "sersic_amplitude"):
        error = getattr(found, f"{name}_error")
        assert getattr(rounded, name) == pytest.approx(getattr(found, name), abs=0.5 * error)
    more = 1 + 1 / 12  # what rounding adds to the noise, and to what is known of it
    expected = 1 + (found.sersic_chi2_dof - 1) / more
    assert rounded.sersic_chi2_dof == pytest.approx(expected, rel=0.03)
    assert rounded.sky_sigma == pytest.approx(math.sqrt(more) * found.sky_sigma, rel=0.03)


def test_masked_centre(image):
    mask = np.zeros(image.shape, bool)
    mask[29:35, 31:38] = True
    assert "masked_centre" in names(measure(image, mask=mask).flags)


@pytest.mark.parametrize("share", [0.05, 0.15])
def test_masked_pixels(share):
    r"""What is left out, here and there, is left out of sums, squares and ranks, where statmorph
    has zeros."""

    r, _ = plane((80, 84), 41.2, 39.7, 0.7, 0.0)
    image = 100 * np.exp(-r / 6) + np.random.default_rng(2).normal(size=r.shape)
    whole, spread = measure(image), np.random.default_rng(3)
    parts = [measure(image, mask=(spread.random(r.shape) < share) & (r > 4)) for _ in range(6)]
    for name, most in (("gini_unmasked", 0.01), ("smoothness_unbiased", 0.005)):
        found = np.median([getattr(part, name) for part in parts])
        assert found == pytest.approx(getattr(whole, name), abs=most), name
    assert whole.gini_error == pytest.approx(whole.gini_unmasked_error)
    assert whole.gini == whole.gini_unmasked and parts[0].gini > parts[0].gini_unmasked + share / 4


def test_blank_is_masked(image):
    r"""What is not covered is no sky, whichever way it is told."""

    blank = np.zeros(image.shape, bool)
    blank[:15] = blank[:, :11] = True
    nothing = np.where(blank, np.nan, image)
    told = measure(image, mask=blank)
    for other in (measure(nothing), measure(np.ma.array(image, mask=blank))):
        np.testing.assert_array_equal(other, told)
    assert told.sky_sigma == pytest.approx(1, abs=0.1)
    nowhere = np.zeros(image.shape, bool)
    measure(np.ma.array(image, mask=blank), mask=nowhere)
    assert not nowhere.any()

    labels, level, error, *_ = segment(nothing, math.nan, math.nan)
    sources = np.ma.array(labels, mask=blank, fill_value=7)
    hidden = measure(image - level, sources)
    np.testing.assert_array_equal(hidden, measure(nothing - level, labels))
    given = measure(nothing - level, labels, sky=MEASURED._replace(level=error))
    np.testing.assert_array_equal(given, told._replace(sky_level=0.0, flags=given.flags))


@pytest.mark.parametrize("seed", range(3))
def test_blank_on_one_side(seed):
    r"""What is not covered does not move the level of the sky, on whichever side it is."""

    y, x = np.mgrid[:91, :84]
    galaxy = 60 * np.exp(-np.hypot((x - 41.5) * 0.8, y - 45) / 4)
    whole = galaxy + np.random.default_rng(seed).normal(size=galaxy.shape)
    wide = np.pad(whole, ((0, 0), (0, 30)), constant_values=np.nan)

    before, after = measure(whole), measure(wide)
    assert abs(after.sky_level) < 0.15
    assert after.flux_circ == pytest.approx(before.flux_circ, rel=0.05)


def test_over_the_edge():
    r"""Apertures that leave the image are told, though the target does not reach its edge."""

    whole = clumpy((120, 120), 60.0, 60.0, 7.0, 5)
    labels = np.zeros(whole.shape, int)
    labels[45:76, 45:76] = 1
    for margin, cut in ((0, False), (40, True)):
        part = np.s_[:, margin : 120 - margin]
        found = measure(whole[part], labels[part])
        assert ("edge" in names(found.flags)) == cut
        assert not labels[part][:, [0, -1]].any()


@pytest.mark.parametrize(("away", "off"), [(2, False), (5, False), (12, True), (25, True)])
def test_target_in_the_middle(away, off):
    r"""A galaxy further from the middle than half of its light is not what was looked for."""

    image = clumpy((105, 112), 55.5 + away, 52.0, 4.5, 0)
    assert 5 < measure(image).r50 < 12
    assert (measure(image).flags & OFF_CENTRE > 0) == off


@pytest.mark.parametrize(("apart", "brighter"), [(14, 2), (14, 50), (18, 2), (18, 50), (24, 50)])
def test_faint_beside_bright(apart, brighter):
    r"""Either the target is measured, or it is said that something else is."""

    y, x = np.mgrid[:128, :128]
    target = 12 * np.exp(-np.hypot(x - 64, y - 64) / 3)
    other = 12 * brighter * np.exp(-np.hypot(x - 64 - apart, y - 64 - apart / 3) / 3.5)
    found = measure(target + other + np.random.default_rng(0).normal(size=x.shape))

    assert (math.hypot(found.x - 64, found.y - 64) > 3) == (found.flags & OFF_CENTRE > 0)
    assert found.flags & (OFF_CENTRE | BLENDED) > 0


def test_labels(image, found):
    r"""A map of sources is taken as it is."""

    labels = np.zeros(image.shape, int)
    labels[22:42, 22:48] = 5
    given = measure(image, labels, 5, sky=MEASURED)
    assert given.gini == pytest.approx(found.gini, abs=0.05)


def test_level_that_is_left(image):
    r"""A map of sources comes with an image without sky."""

    labels, level, *_ = segment(image, math.nan, math.nan)
    assert measure(image + 3).sky_level == pytest.approx(level + 3)
    for mode in ("fast", "parity"):
        assert "no_sky" not in names(measure(image - level, labels, mode=mode).flags)
        assert "no_sky" in names(measure(image - level + 3, labels, mode=mode).flags)


def test_sky_as_a_plain_tuple(image):
    sky = Sky(1.0, 2 / math.sqrt(math.pi), 0.3)
    for labels in (None, image > 4):
        known, plain = measure(image, labels, sky=sky), measure(image, labels, sky=(*sky[:3],))
        np.testing.assert_array_equal(plain, known)
        np.testing.assert_array_equal(measure(image, labels, sky=(*sky,)), known)


def test_views(image, found):
    wide = np.repeat(np.repeat(image, 2, 0), 3, 1)
    wide.flags.writeable = False
    labels = np.zeros(wide.shape, np.int16)
    labels[::2, ::3] = segment(image, math.nan, math.nan)[0]
    labels.flags.writeable = False

    assert tuple(measure(wide[::2, ::3])) == pytest.approx(tuple(found), nan_ok=True)
    given = measure(wide[::2, ::3], labels[::2, ::3], np.int16(1), gain=np.float32(np.inf))
    assert given.gini == pytest.approx(found.gini, abs=0.01)


def test_refused(image):
    with pytest.raises(DataError, match=r"shape \(2, 3, 4\), expected \(H, W\)"):
        measure(np.zeros((2, 3, 4)))
    with pytest.raises(DataError, match="mask of shape"):
        measure(image, mask=np.zeros((2, 2)))
    with pytest.raises(DataError, match="'galaxy.fits', expected its pixels"):
        measure("galaxy.fits")
    with pytest.raises(DataError, match="expected real numbers"):
        measure(np.array([["a", "b"]]))
    with pytest.raises(DataError, match=r"psf of shape \(3, 4\), expected odd sides"):
        measure(image, psf=np.ones((3, 4)))
    labels = np.ones(image.shape)
    for wrong in (np.inf, 1e30):
        with pytest.raises(DataError, match="labels of float64, expected whole numbers"):
            measure(image, np.where(image > 50, wrong, 0.0))
    with pytest.raises(DataError, match="labels of uint64, expected whole numbers"):
        measure(image, np.full(image.shape, 2**64 - 1, np.uint64))
    with pytest.raises(DataError, match="labels of float64, expected whole numbers"):
        measure(image, 1.5 * labels)
    for psf in ([["a"]], np.ones((3, 3), complex), np.ma.masked_less(np.eye(3), 1)):
        with pytest.raises(DataError, match="psf of .*, expected (real|a finite)"):
            measure(image, psf=psf)
    wrong = [("gain", 0), ("label", 0), ("label", 2**70), ("mode", "slow"), ("sky", None)]
    for sky in ((-1, 1, 1), (1, 1, -1), (1, math.inf, 1), (1, 1), ("a", 1, 1)):
        wrong.append(("sky", sky))
    for name, value in wrong:
        with pytest.raises(ConfigError, match=rf"{name}=.*expected"):
            measure(image, labels.astype(int), **{name: value})
    with pytest.raises(ConfigError, match="label=7 of no labels, expected a map of sources"):
        measure(image, label=7)
    with pytest.raises(ConfigError, match="did you mean 'parity'"):
        measure(image, mode="parit")

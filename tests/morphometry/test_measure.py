r"""A galaxy measured as a whole: laws, and whatever may come as an image."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError, DataError
from pipeline.morphometry import MEASURED, Morphology, Sky, measure, names
from pipeline.morphometry.flags import MASKED_CENTRE, NO_SOURCE, NOTHING, STRUCTURE
from pipeline.morphometry.segment import segment
from pipeline.morphometry.stamp import bounds
from tests.morphometry.disks import plane

INVARIANT = (
    *("ellipticity", "rpetro_circ", "rpetro_ellip", "rmax_circ", "rhalf_circ", "r20", "r50"),
    *("r80", "sn_per_pixel", "concentration", "asymmetry", "smoothness", "gini", "m20"),
    *("multimode", "intensity", "deviation", "sersic_n", "sersic_r_eff", "entropy"),
)
OWN = (
    *("x_centroid", "y_centroid", "ellipticity_centroid", "theta_centroid", "gini", "m20"),
    *("gini_m20_bulge", "gini_m20_merger", "sn_per_pixel", "multimode", "intensity", "deviation"),
    *("entropy", "gradient_pattern", "flags"),
)
r"""What needs no aperture but to say which pixels are of the galaxy."""

PLACES = (("x", "y"), ("x_centroid", "y_centroid"), ("sersic_x", "sersic_y"))
ANGLES = ("theta", "theta_centroid", "sersic_theta", "bar_theta")
LEFT = ("sky_mean", "sky_median")
r"""What is measured on all empty pixels of a stamp."""

SKY = Sky(1.0, 2 / math.sqrt(math.pi), 0.3)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    r"""An inclined disk with a clump, a neighbour and noise, on no square image."""

    y, x = np.mgrid[:65, :72]
    u, v = x - 34.3, (y - 31.6) / 0.7
    light = 80 * np.exp(-np.hypot(u, v) / 4.5)
    light += 30 * np.exp(-((x - 39) ** 2 + (y - 28) ** 2) / 4)
    light += 90 * np.exp(-((x - 61) ** 2 + (y - 55) ** 2) / 5)

    return light + np.random.default_rng(3).normal(size=light.shape)


@pytest.fixture(scope="module")
def found(image) -> Morphology:
    return measure(image)


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


def seen(found: Morphology, width: int, height: int, turns: int, mirrored: bool) -> dict:
    r"""Returns what is measured of an image once it is mirrored and turned."""

    values = found._asdict()
    if mirrored:
        values |= {x: width - 1 - values[x] for x, _ in PLACES}
        values |= {name: -values[name] for name in (*ANGLES, "winding", "pitch")}
    for _ in range(turns):
        for x, y in PLACES:
            ends = f"{x}_error", f"{y}_error"
            values |= dict(zip(ends, (values[ends[1]], values[ends[0]]), strict=True))
            values |= {x: values[y], y: width - 1 - values[x]}
        values |= {name: values[name] - math.pi / 2 for name in ANGLES}
        width, height = height, width

    return values


def agree(one, other, rel=1e-6):
    for name in INVARIANT:
        a, b = getattr(one, name), getattr(other, name)
        assert a == pytest.approx(b, rel=rel, abs=1e-7, nan_ok=True), name


def disk(shape, x, y, scale, seed):
    r"""A disk with a clump, and noise of one."""

    r, _ = plane(shape, x, y, 0.8, 0.4)
    j, i = np.arange(shape[1]), np.arange(shape[0])[:, None]
    clump = 30 * np.exp(-((j - x - 4) ** 2 + (i - y + 3) ** 2) / 4)

    return 80 * np.exp(-r / scale) + clump + np.random.default_rng(seed).normal(size=shape)


VIEWS = {
    "small": disk((45, 48), 23.3, 21.6, 3.0, 1),  # too small for the annulus of the outline
    "odd boxcar": disk((64, 64), 31.2, 32.7, 5.0, 2),
    "own stamp": disk((150, 170), 70.3, 81.6, 3.6, 3),  # 91 x 101 pixels
    "whole numbers": np.round(disk((64, 64), 31.2, 32.7, 5.0, 4)).astype(np.int16),
    "no target": np.random.default_rng(7).normal(size=(50, 45)),
}


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("name", VIEWS)
def test_symmetries(name, turns, mirrored):
    r"""All eight. The errors are from apertures that are sketched by rows: turned, they differ.
    Those of whole numbers depend on which of several equal pixels comes first."""

    image = VIEWS[name]
    found, view = measure(image), np.rot90(image[:, ::-1] if mirrored else image, turns)
    there = measure(view)._asdict()
    for field, value in seen(found, *image.shape[::-1], turns, mirrored).items():
        turned = turns % 2 == 1 and field not in OWN
        turned |= name == "whole numbers" and "error" in field
        rel = 1e-9 if not turned else 0.03 if "error" in field else 1e-6
        if field in ANGLES:
            value = there[field] + math.remainder(value - there[field], math.pi)
        assert there[field] == pytest.approx(value, rel=rel, abs=1e-9, nan_ok=True), field


def test_views_differ():
    r"""The law is tested where it is hard: even and odd boxcars, few pixels for the outline."""

    sizes = {name: int(measure(image).rpetro_circ / 4) for name, image in VIEWS.items()
             if name != "no target"}  # fmt: skip
    assert sizes == {"small": 2, "odd boxcar": 3, "own stamp": 2, "whole numbers": 3}
    around = math.pi * (16 - 4) * measure(VIEWS["small"]).rpetro_ellip ** 2
    assert around > VIEWS["small"].size and measure(VIEWS["no target"]).flags & NO_SOURCE


def test_sky_around_the_stamp(image):
    r"""A stamp that the image cuts off grows with it, and no galaxy changes with its sky."""

    labels, level, *_ = segment(image, math.nan, math.nan)
    wide, around = np.random.default_rng(4).normal(size=(105, 110)), np.zeros((105, 110), int)
    wide[17:82, 20:92], around[17:82, 20:92] = image - level, labels
    top, bottom, left, right = bounds(labels, 1, False)
    assert (top, bottom, left, right) == (0, 65, 0, 72)
    top, bottom, left, right = bounds(np.asarray(around, np.int64), 1, False)
    assert bottom - top > 100 and right - left > 100

    before, after = (measure(*one, sky=SKY) for one in ((image - level, labels), (wide, around)))
    moved = {x: 20 for x, _ in PLACES} | {y: 17 for _, y in PLACES}
    fits = ("sersic_chi2_dof", "sersic_aic", "sersic_bic")  # to more pixels
    for name, value in before._asdict().items():
        if name.endswith("_error") or name in (*LEFT, *fits):
            continue
        rel = 1e-3 if name.startswith("sersic") else 1e-5  # to more pixels
        rel = 1e-9 if name in OWN else 0.02 if name == "shape_asymmetry" else rel
        found = getattr(after, name) - moved.get(name, 0)
        assert found == pytest.approx(value, rel=rel, nan_ok=True), name


@pytest.mark.parametrize("factor", [1e-12, 1e-3, 1e6])
def test_flux_factor(image, found, factor):
    scaled = measure(factor * image)
    agree(scaled, found)
    assert scaled.flux_circ == pytest.approx(factor * found.flux_circ, rel=1e-6)
    assert scaled.flags == found.flags


def test_level(image, found):
    agree(measure(image + 1000), found, rel=1e-4)


@pytest.mark.parametrize("mode", ["fast", "parity"])
@pytest.mark.parametrize("margins", [((7, 3), (4, 9)), ((0, 30), (23, 1))])
def test_padding_and_whole_pixels(image, mode, margins):
    r"""What is around a stamp in the middle of an image is not looked at, nor where it is."""

    wide = np.random.default_rng(4).normal(size=(145, 152))
    wide[40:105, 40:112] = image
    labels = np.pad(segment(image, math.nan, math.nan)[0], 40)
    (row, _), (column, _) = margins
    there = measure(np.pad(wide, margins), np.pad(labels, margins), mode=mode)
    here = measure(wide, labels, mode=mode)
    first = {"x": column, "x_centroid": column, "sersic_x": column}
    first |= {"y": row, "y_centroid": row, "sersic_y": row}

    for name in here._fields:
        value = getattr(there, name) - first.get(name, 0)
        if not name.endswith("_error"):
            assert value == pytest.approx(getattr(here, name), rel=1e-9, nan_ok=True), name


def test_padding_with_zeros():
    r"""A sky without noise is no part of a galaxy, however much there is of it."""

    y, x = np.mgrid[:60, :60]
    r = np.hypot(x - 29.5, y - 29.5)
    light = np.where(r < 20, np.exp(-r / 5), 0)
    for labels in (None, (light > 0.1).astype(int)):
        wide = None if labels is None else np.pad(labels, 30)
        here, there = measure(light, labels), measure(np.pad(light, 30), wide)
        assert here.rmax_circ == pytest.approx(20.5, abs=1)
        assert there.rmax_circ == pytest.approx(here.rmax_circ, rel=1e-9)
        for found in (here, there):
            assert found.shape_asymmetry == pytest.approx(0, abs=1e-9)


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


@pytest.mark.parametrize("dtype", [">f4", "<f8", ">i2", "u1", "bool", "f2", "f16"])
def test_types(image, dtype):
    values = np.clip(image, 0, 200).astype(dtype)
    agree(measure(values), measure(values.astype(float)))


def test_views(image, found):
    wide = np.repeat(np.repeat(image, 2, 0), 3, 1)
    wide.flags.writeable = False
    labels = np.zeros(wide.shape, np.int16)
    labels[::2, ::3] = segment(image, math.nan, math.nan)[0]
    labels.flags.writeable = False

    assert tuple(measure(wide[::2, ::3])) == pytest.approx(tuple(found), nan_ok=True)
    given = measure(wide[::2, ::3], labels[::2, ::3], np.int16(1), gain=np.float32(np.inf))
    assert given.gini == pytest.approx(found.gini, abs=0.01)


ROUND = np.exp(-np.hypot(*np.mgrid[-20:20, -20:20]) / 4)
NOISE = np.random.default_rng(0).normal(size=(64, 64))
ODD = {
    "one pixel": np.ones((1, 1)),
    "line": NOISE[:1, :9],
    "small": NOISE[:8, :8],
    "thin": NOISE[:3, :40],
    "wide": 30 * ROUND[16:25] + NOISE[:9, :40],
    "tall": 30 * ROUND[:, 16:25] + NOISE[:40, :9],
    "constant": np.full((40, 40), 7.0),
    "zero": np.zeros((40, 40)),
    "blank": np.full((40, 40), np.nan),
    "infinite": np.full((40, 40), np.inf),
    "noise": np.random.default_rng(1).normal(size=(50, 45)),
    "negative": -ROUND,
    "faint": 1e-12 * (50 * ROUND + NOISE[:40, :40]),
    "bright": 1e30 * (50 * ROUND + NOISE[:40, :40]),
    "partly infinite": np.where(NOISE[:40, :40] > 1.5, np.inf, 50 * ROUND),
    "checkerboard": np.indices((40, 40)).sum(0) % 2 * 1.0,
    "noiseless": ROUND,
    "touching": 50 * (ROUND + np.roll(ROUND, 9, 1)) + NOISE[:40, :40],
    "one lit": np.pad(np.array([[9.0]]), 20),
    "ramp": np.add.outer(np.arange(40.0), np.arange(50.0)),
    "edge": np.exp(-np.hypot(*np.mgrid[:40, :40]) / 4) * 50,
}


SOUND = {"wide": "edge", "tall": "edge", "faint": "edge", "bright": "edge"}
SOUND |= {"noiseless": "", "touching": "edge", "partly infinite": "masked_centre"}
r"""The flags of galaxies that are measured, if any."""

BOXED = {"noiseless": "edge no_sky", "partly infinite": "edge masked_centre no_sky"}
r"""The same with the sky in the first box, where it holds the wings of the galaxy."""

WRONG = {
    "one pixel": "no_source no_sky",
    "line": "no_source no_sky",
    "small": "no_source low_signal",
    "thin": "no_source no_sky",
    "constant": "no_source low_signal",
    "zero": "no_source low_signal",
    "blank": "no_source masked_centre no_sky",
    "infinite": "no_source masked_centre no_sky",
    "noise": "no_source low_signal",
    "negative": "edge no_sky low_signal negative_flux",
    "checkerboard": "no_source low_signal",
    "one lit": "no_sky radius_not_reached",
    "ramp": "edge off_centre fit_at_bound",
    "edge": "edge no_sky centre_drifted",
}
r"""Flags that what is no galaxy must have."""

BAD = {"one lit": "no_source masked_centre"}
r"""The same with parity, to which what stands out of nothing is a bad pixel."""

VALUES = ("rpetro_circ", "r50", "concentration", "asymmetry", "smoothness", "gini", "m20")


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("mode", ["fast", "parity"])
def test_anything(name, mode):
    r"""Whatever is measured, there is a value or a flag that it has none, and why."""

    result = measure(ODD[name], mode=mode)
    found = names(result.flags & ~STRUCTURE)
    if name in SOUND:
        expected = (SOUND | (BOXED if mode == "parity" else {}))[name]
        assert {*found} - {"fit_failed"} == {*expected.split()}
        assert "fit_failed" not in found or name == "partly infinite"
    else:
        expected = (WRONG | (BAD if mode == "parity" else {}))[name]
        assert {*found} >= {"undefined", *expected.split()}

    everything = np.ones(ODD[name].shape, int)
    part = np.tri(*everything.shape, -3)
    for labels, label in ((everything, 1), (everything, 2), (part, 1)):
        given = measure(ODD[name], labels, label, mode=mode, gain=3.0, psf=np.ones((3, 3)))
        found, own = names(given.flags), labels == label
        assert "edge" in found if own.any() else {"no_source", "fit_failed"} <= {*found}
        assert "no_sky" in found or labels is part
        for one in (result, given):
            known = [math.isfinite(getattr(one, value)) for value in VALUES]
            assert all(known) or "undefined" in names(one.flags)


def test_masked_centre(image):
    mask = np.zeros(image.shape, bool)
    mask[29:35, 31:38] = True
    assert "masked_centre" in names(measure(image, mask=mask).flags)


def test_labels(image, found):
    r"""A map of sources is taken as it is."""

    labels = np.zeros(image.shape, int)
    labels[22:42, 22:48] = 5
    given = measure(image, labels, 5, sky=MEASURED)
    assert given.gini == pytest.approx(found.gini, abs=0.05)


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


def test_level_that_is_left(image):
    r"""A map of sources comes with an image without sky."""

    labels, level, *_ = segment(image, math.nan, math.nan)
    assert measure(image + 3).sky_level == pytest.approx(level + 3)
    for mode in ("fast", "parity"):
        assert "no_sky" not in names(measure(image - level, labels, mode=mode).flags)
        assert "no_sky" in names(measure(image - level + 3, labels, mode=mode).flags)


def test_sky_as_a_plain_tuple(image):
    for labels in (None, image > 4):
        known, plain = measure(image, labels, sky=SKY), measure(image, labels, sky=(*SKY[:3],))
        np.testing.assert_array_equal(plain, known)
        np.testing.assert_array_equal(measure(image, labels, sky=(*SKY,)), known)


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


def test_no_source_is_no_galaxy(image):
    r"""Where there is no target all but the sky is NaN."""

    for found in (measure(image, np.zeros(image.shape, int)), measure(VIEWS["no target"])):
        known = {name for name, value in found._asdict().items() if value == value}
        assert {"no_source", "undefined", "fit_failed"} <= {*names(found.flags)}
        assert known == {"sky_level", "sky_mean", "sky_median", "sky_sigma", "sky_grain", "flags"}


@pytest.mark.parametrize("seed", range(5))
def test_flags_of_empty_sky(seed):
    r"""From any side nothing is told but that it is empty, or masked in the middle."""

    generator = np.random.default_rng(seed)
    sky, mask = generator.normal(size=(50, 44)), generator.random((50, 44)) < 0.2
    found = [set(), set()]
    for k in range(8):
        view, hidden = (np.rot90(a[:, ::-1] if k > 3 else a, k) for a in (sky, mask))
        found[0].add(measure(view).flags)
        found[1].add(measure(view, np.zeros(view.shape, int), mask=hidden).flags)
    middle = MASKED_CENTRE if mask[24:26, 21:23].any() else 0

    assert found == [{NOTHING}, {NOTHING | middle}]
    assert names(NOTHING & ~STRUCTURE) == ("no_source", "fit_failed", "low_signal", "undefined")


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


def test_over_the_edge():
    r"""Apertures that leave the image are told, though the target does not reach its edge."""

    whole = disk((120, 120), 60.0, 60.0, 7.0, 5)
    labels = np.zeros(whole.shape, int)
    labels[45:76, 45:76] = 1
    for margin, cut in ((0, False), (40, True)):
        part = np.s_[:, margin : 120 - margin]
        found = measure(whole[part], labels[part])
        assert ("edge" in names(found.flags)) == cut
        assert not labels[part][:, [0, -1]].any()


def test_flags_in_words():
    r"""A number of any type has names, and the rule of the page says whether nothing is wrong."""

    page = (Path(__file__).parents[2] / "docs/morphometry.md").read_text()
    divisor, rest = re.search(r"nothing is where `flags % (\d+) == (\d+)`", page).groups()
    for bits in (0, 1, 4096, 8191, 8192, 8193, 8192 * 7, 8192 * 7 + 4):
        assert (bits % int(divisor) == int(rest)) == (bits & ~STRUCTURE == 0)
    assert names(np.float64(18)) == names(np.int16(18)) == ("edge", "no_sky")

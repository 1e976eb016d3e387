r"""What a galaxy measured as a whole does not depend on: its sides, its unit, what is around."""

import math

import numpy as np
import pytest

from pipeline.morphometry import Morphology, Sky, measure
from pipeline.morphometry.fields import FLUXES, JUMPING
from pipeline.morphometry.flags import NO_SOURCE, OFF_CENTRE, STRUCTURE
from pipeline.morphometry.segment import segment
from pipeline.morphometry.stamp import bounds
from tests.morphometry.disks import clumpy

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

SURE = tuple(name for name in Morphology._fields if f"{name}_error" in Morphology._fields)
r"""What has an error."""

INFORMATION = ("sersic_aic", "sersic_bic")
r"""What has the logarithm of a flux in it."""

OF_LEVEL = (
    *("flux_circ", "flux_ellip", "rpetro_circ", "rpetro_ellip", "rhalf_circ", "rhalf_ellip"),
    *("r20", "r50", "r80", "concentration", "sn_per_pixel", "asymmetry", "asymmetry_unbiased"),
    *("smoothness", "smoothness_unbiased", "gini", "gini_unmasked", "m20", "gini_m20_bulge"),
    *("gini_m20_merger", "sersic_amplitude", "sersic_r_eff", "sersic_n"),
)
r"""What the level of the sky changes: its error is known the better, the more sky there is."""

SKY = Sky(1.0, 2 / math.sqrt(math.pi), 0.3)

VIEWS = {
    "small": clumpy((45, 48), 23.3, 21.6, 3.0, 1),  # too small for the annulus of the outline
    "odd boxcar": clumpy((64, 64), 31.2, 32.7, 5.0, 2),
    "own stamp": clumpy((150, 170), 70.3, 81.6, 3.6, 3),  # 91 x 101 pixels
    "whole numbers": np.round(clumpy((64, 64), 31.2, 32.7, 5.0, 4)).astype(np.int16),
    "no target": np.random.default_rng(7).normal(size=(50, 45)),
}


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


def back(found: Morphology, columns: int, rows: int) -> dict:
    r"""Returns what is measured of an image once it is moved back by whole pixels."""

    values = found._asdict()
    values |= {x: values[x] - columns for x, _ in PLACES}

    return values | {y: values[y] - rows for _, y in PLACES}


def agree(one, other, rel=1e-6):
    for name in INVARIANT:
        a, b = getattr(one, name), getattr(other, name)
        assert a == pytest.approx(b, rel=rel, abs=1e-7, nan_ok=True), name


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


@pytest.mark.parametrize("mode", ["fast", "parity"])
@pytest.mark.parametrize("gain", [math.inf, 4.0])
@pytest.mark.parametrize("factor", [1e-40, 1e-12, 1e-3, 1e6, 1e9])
def test_flux_factor(image, mode, gain, factor):
    r"""Fluxes and their errors follow the unit, and nothing else does."""

    found = measure(image, gain=gain, mode=mode)
    scaled = measure(factor * image, gain=gain / factor, mode=mode)
    for name, value in found._asdict().items():
        unit = factor if name.removesuffix("_error") in FLUXES else 1.0
        if name not in INFORMATION:
            there = getattr(scaled, name)
            assert there == pytest.approx(unit * value, rel=1e-6, abs=0, nan_ok=True), name
    penalty = found.sersic_bic - found.sersic_aic
    assert scaled.sersic_bic - scaled.sersic_aic == pytest.approx(penalty, rel=1e-6)


def test_level(image, found):
    agree(measure(image + 1000), found, rel=1e-4)


@pytest.mark.parametrize("dtype", [">f4", "<f8", ">i2", "u1", "bool", "f2", "f16"])
def test_types(image, dtype):
    values = np.clip(image, 0, 200).astype(dtype)
    agree(measure(values), measure(values.astype(float)))


@pytest.mark.parametrize("level", [0.02, math.nan])
def test_sky_around_the_stamp(image, level):
    r"""A stamp that the image cuts off grows with it, and no galaxy changes with its sky. Where
    the error of its level is not known, more of it makes that smaller, and all that has it."""

    labels, zero, *_ = segment(image, math.nan, math.nan)
    wide, around = np.random.default_rng(4).normal(size=(105, 110)), np.zeros((105, 110), int)
    wide[17:82, 20:92], around[17:82, 20:92] = image - zero, labels
    top, bottom, left, right = bounds(labels, 1, False)
    assert (top, bottom, left, right) == (0, 65, 0, 72)
    top, bottom, left, right = bounds(np.asarray(around, np.int64), 1, False)
    assert bottom - top > 100 and right - left > 100

    sky = SKY._replace(level=level)
    before, after = (measure(*one, sky=sky) for one in ((image - zero, labels), (wide, around)))
    there = back(after, 20, 17)
    for name, value in before._asdict().items():
        field = name.removesuffix("_error")
        if name in (*LEFT, "sersic_chi2_dof", *INFORMATION):  # of more pixels
            continue
        if name != field and math.isnan(level) and field in OF_LEVEL:
            assert there[name] < value, name
            continue
        # A fit to more pixels, and an aperture that was cut off
        fits = 3e-3 if name != field else 1e-3
        rel = fits if name.startswith("sersic") or name == "flux_ellip_error" else 1e-5
        rel = 1e-9 if name in OWN else 0.02 if name == "shape_asymmetry" else rel
        assert there[name] == pytest.approx(value, rel=rel, nan_ok=True), name


@pytest.mark.parametrize("mode", ["fast", "parity"])
@pytest.mark.parametrize("gain", [math.inf, 4.0])
@pytest.mark.parametrize("margins", [((7, 3), (4, 9)), ((0, 30), (23, 1))])
def test_padding_and_whole_pixels(image, mode, gain, margins):
    r"""What is around a stamp in the middle of an image is not looked at, nor where it is."""

    wide = np.random.default_rng(4).normal(size=(145, 152))
    wide[40:105, 40:112] = image
    labels = np.pad(segment(image, math.nan, math.nan)[0], 40)
    (row, _), (column, _) = margins
    there = measure(np.pad(wide, margins), np.pad(labels, margins), gain=gain, mode=mode)
    here = measure(wide, labels, gain=gain, mode=mode)
    for name, value in back(there, column, row).items():
        assert value == pytest.approx(getattr(here, name), rel=1e-9, nan_ok=True), name


def elsewhere(image, how, seed):
    r"""A galaxy with more sky or with nothing around it, or moved, and how far it is moved."""

    if how == "moved":
        return np.roll(image, (7, -5), (0, 1)), -5, 7
    height, width = image.shape
    wide = np.full((height + 33, width + 24), np.nan)
    if how == "more sky":
        wide = np.random.default_rng(seed).normal(size=wide.shape)
    wide[30 : height + 30, 1 : width + 1] = image

    return wide, 1, 30


@pytest.mark.parametrize("mode", ["fast", "parity"])
@pytest.mark.parametrize("how", ["more sky", "blank", "moved"])
def test_surroundings_without_a_map(mode, how):
    r"""The level of the sky is another one then, within its error. What is measured moves by some
    half of its own error, and errors hardly change, but for those of fluxes, which more sky makes
    smaller. The squared asymmetry changes with the centre, and its error is of one centre."""

    unknown = (*JUMPING, "intensity", "rms_asymmetry2")
    fields = [name for name in SURE if name not in unknown]
    levels, moves, changes = [], [], []
    for seed in range(12):
        image = clumpy((105, 112), 54.3, 51.6, 4.5, seed)
        wide, *step = elsewhere(image, how, 100 + seed)
        here, found = (measure(view, gain=9.0, mode=mode) for view in (image, wide))
        assert here.flags & ~STRUCTURE == found.flags & ~(STRUCTURE | OFF_CENTRE) == 0
        one, two = (segment(view, math.nan, math.nan)[1:3] for view in (image, wide))
        levels.append((two[0] - one[0]) / math.hypot(one[1], two[1]))
        there, errors = back(found, *step), [getattr(here, f"{name}_error") for name in fields]
        moves.append([there[name] - getattr(here, name) for name in fields] / np.array(errors))
        changes.append([there[f"{name}_error"] for name in fields] / np.array(errors) - 1)

    assert np.abs(levels).max() < 2.5 and np.std(levels) < 1.2
    moves, changes = np.abs(moves).T, np.abs(changes).T
    for name, move, change in zip(fields, moves, changes, strict=True):
        fewer = how == "more sky" and name in ("flux_circ", "flux_ellip")
        assert np.median(move) < 0.8 and move.max() < 3, name
        assert np.median(change) < (0.15 if fewer else 0.08), name


def test_padding_with_zeros():
    r"""A sky without noise is no part of a galaxy, however much there is of it."""

    y, x = np.mgrid[:60, :60]
    r = np.hypot(x - 29.5, y - 29.5)
    light = np.where(r < 20, np.exp(-r / 5), 0)
    for labels in (None, (light > 0.1).astype(int)):
        wide = None if labels is None else np.pad(labels, 30)
        here, there = measure(light, labels), measure(np.pad(light, 30), wide)
        assert here.rmax_circ == pytest.approx(20.5, abs=1)
        assert here.shape_asymmetry == pytest.approx(0, abs=1e-9)
        for name, value in back(there, 30, 30).items():
            if labels is None and ("sersic" in name or name == "pitch"):
                continue  # a fit to more pixels, and that of arms where there are none
            expected = pytest.approx(getattr(here, name), rel=1e-9, abs=1e-9, nan_ok=True)
            assert value == expected, name

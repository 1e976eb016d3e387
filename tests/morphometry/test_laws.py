r"""What a galaxy measured as a whole does not depend on: its sides, its unit, what is around."""

import math

import numpy as np
import pytest

from pipeline.morphometry import Morphology, Sky, measure
from pipeline.morphometry.flags import NO_SOURCE
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


@pytest.mark.parametrize("factor", [1e-12, 1e-3, 1e6])
def test_flux_factor(image, found, factor):
    scaled = measure(factor * image)
    agree(scaled, found)
    assert scaled.flux_circ == pytest.approx(factor * found.flux_circ, rel=1e-6)
    assert scaled.flags == found.flags


def test_level(image, found):
    agree(measure(image + 1000), found, rel=1e-4)


@pytest.mark.parametrize("dtype", [">f4", "<f8", ">i2", "u1", "bool", "f2", "f16"])
def test_types(image, dtype):
    values = np.clip(image, 0, 200).astype(dtype)
    agree(measure(values), measure(values.astype(float)))


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

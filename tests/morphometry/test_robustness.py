r"""Whatever may come as an image."""

import math

import numpy as np
import pytest

from pipeline.morphometry import measure, names
from pipeline.morphometry.flags import MASKED_CENTRE, NOTHING, STRUCTURE
from tests.morphometry.disks import plane

ROUND = np.exp(-np.hypot(*np.mgrid[-20:20, -20:20]) / 4)
NOISE = np.random.default_rng(0).normal(size=(64, 64))
ODD = {
    "one pixel": np.ones((1, 1)),
    "line": NOISE[:1, :9],
    "small": NOISE[:8, :8],
    "8 pixels": 30 * np.exp(-plane((8, 8), 3.4, 3.7, 0.8, math.pi / 2)[0] / 0.8) + NOISE[:8, :8],
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
    "largest": 1e300 * (ROUND + NOISE[:40, :40] / 50),
    "fourth powers overflow": 1e100 * (ROUND + NOISE[:40, :40] / 50),
    "squares overflow": 1e154 * (ROUND + NOISE[:40, :40] / 50),
    "squares vanish": 1e-300 * (ROUND + NOISE[:40, :40] / 50),
    "partly infinite": np.where(NOISE[:40, :40] > 1.5, np.inf, 50 * ROUND),
    "checkerboard": np.indices((40, 40)).sum(0) % 2 * 1.0,
    "noiseless": ROUND,
    "touching": 50 * (ROUND + np.roll(ROUND, 9, 1)) + NOISE[:40, :40],
    "one lit": np.pad(np.array([[9.0]]), 20),
    "ramp": np.add.outer(np.arange(40.0), np.arange(50.0)),
    "edge": np.exp(-np.hypot(*np.mgrid[:40, :40]) / 4) * 50,
}

SOUND = {"wide": "edge", "tall": "edge", "faint": "edge", "bright": "edge", "8 pixels": ""}
SOUND |= {"noiseless": "", "touching": "edge", "partly infinite": "masked_centre"}
r"""The flags of galaxies that are measured, if any."""

BOXED = {"noiseless": "edge no_sky", "partly infinite": "edge masked_centre no_sky"}
BOXED |= {"8 pixels": "edge no_sky"}
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

EXTREME = ("largest", "squares overflow", "fourth powers overflow", "squares vanish")
r"""Galaxies that are measured as any other, or told not to be."""

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
    elif name in EXTREME:
        assert found == ("edge",) or "undefined" in found
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
            infinite = [field for field, value in one._asdict().items() if math.isinf(value)]
            assert infinite == []


def test_no_source_is_no_galaxy(image):
    r"""Where there is no target all but the sky is NaN."""

    for found in (measure(image, np.zeros(image.shape, int)), measure(ODD["noise"])):
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

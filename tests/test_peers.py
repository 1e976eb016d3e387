r"""Both codes are given the same, and statmorph is timed whole."""

import importlib
import math

import numpy as np
import pytest

from benchmarks.agreement.drawn import drawn
from benchmarks.costs import PARTS


@pytest.fixture(scope="module")
def peers():
    try:
        return importlib.import_module("benchmarks.peers")
    except SystemExit:
        pytest.skip("no peers here")


def test_properties_are_timed_apart(peers):
    r"""No time is counted twice, whatever asks first, and little is left over."""

    names = [name for _, part in PARTS.values() for name in part.split()]
    spent, whole = peers.split(drawn()[:1], names)

    assert set(spent) == set(names) and len(names) == len(set(names))
    assert min(spent.values()) >= 0 and spent["_mask_stamp"] > 0 < spent["_centroid"]
    assert 0.8 * whole < sum(spent.values()) < whole
    alone, _ = peers.split(drawn()[:1], ["sersic_amplitude"])
    both, _ = peers.split(drawn()[:1], ["sersic_amplitude", "_sersic_model"])
    assert both["sersic_amplitude"] < 0.1 * alone["sersic_amplitude"]


def test_all_of_a_galaxy_is_turned(peers):
    r"""What is masked stays so, and the point-spread function turns with the galaxy."""

    galaxy = drawn()[1]
    psf, mask = np.arange(15.0).reshape(3, 5), galaxy.image > 50
    galaxy = galaxy._replace(mask=mask, psf=psf)
    place = {"x": 3.0, "y": 7.0, "theta": 0.1}
    names = (*peers.COLUMNS, *peers.ROWS, *peers.ANGLES)
    for k in range(8):
        other, values = peers.turned(galaxy, dict.fromkeys(names, 0.0) | place, k)
        row, column = round(values["y"]), round(values["x"])
        assert other.image[row, column] == galaxy.image[7, 3]
        assert np.array_equal(other.mask, other.image > 50)
        assert (other.psf.shape == (3, 5)) == (k < 4) and np.ptp(other.psf) == 14
        back, _ = peers.turned(other, values, {5: 6, 6: 5}.get(k, k))
        for array, first in zip(back, galaxy, strict=True):
            assert np.array_equal(array, first)


def test_altered_galaxies(peers):
    r"""Each way changes what both measure, and both by the same."""

    altered = importlib.import_module("benchmarks.agreement.altered")
    compare = importlib.import_module("benchmarks.agreement.compare").compare
    galaxy = drawn()[0]
    plain = peers.with_statmorph(galaxy).values
    found = dict(altered.altered([galaxy], seed=1))
    assert set(found) == set(altered.WAYS)
    for way, one in found.items():
        (pair,) = compare(way, one, 1, ("parity",))
        name = "sersic_n" if way == "with PSF" else "gini"
        change, apart = abs(pair.theirs[name] - plain[name]), abs(pair.ours[name])
        assert math.isfinite(apart) and change > 1e-4 and apart < 1e-2 * change

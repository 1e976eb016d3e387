r"""Both codes are given the same, and statmorph is timed whole."""

import importlib

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

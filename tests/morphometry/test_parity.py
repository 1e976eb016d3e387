r"""Parity with statmorph 0.7.2, whose values `python -m benchmarks.agreement --known` writes."""

import json
from pathlib import Path

import pytest

from benchmarks.agreement.drawn import SHAPES, drawn
from pipeline.morphometry import measure

KNOWN = json.loads(Path(__file__).with_name("statmorph.json").read_text())


@pytest.mark.parametrize("index", range(len(SHAPES)))
def test_all_but_the_fit_is_that_of_statmorph(index):
    galaxy, known = drawn()[index], KNOWN[index]
    found = measure(*galaxy[:3], gain=galaxy.gain, mode="parity")
    for name, value in known.items():
        # statmorph stops its fit where chi2 changes by less than 1e-5 of itself
        rel = 1e-2 if name.startswith("sersic") else 1e-6
        assert getattr(found, name) == pytest.approx(value, rel=rel, abs=1e-9), name
    assert len(known) > 40 and found.rpetro_circ > 8 and found.multimode > 0

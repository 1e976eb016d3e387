r"""What the benchmarks say is what they measured."""

import ast
import importlib
import sys
from pathlib import Path

import pytest

from benchmarks import ingest, lookup, memory, real
from pipeline.catalogue import read_table

MODULES = sorted((Path(__file__).parents[1] / "benchmarks").glob("[a-z]*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_modules(path):
    tree = ast.parse(path.read_text())
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    names = {ast.unparse(target) for node in assigned for target in node.targets}

    assert ast.get_docstring(tree)
    assert "__all__" in names


def test_missing_peers_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "galsim", None)
    monkeypatch.delitem(sys.modules, "benchmarks.peers", raising=False)

    with pytest.raises(SystemExit, match=r"galsim.*pip install .*\[peers\]"):
        importlib.import_module("benchmarks.peers")


def test_readers_are_compared(tmp_path, monkeypatch):
    r"""One other bit of a pixel, or another scale or centre, stops the benchmark."""

    cubes, bands = ingest.write_cutouts(tmp_path, 2)
    ingest.check(cubes, 3)
    ingest.check(bands, 1)
    read = ingest.read_by_astropy

    def other_bit(path):
        pixels, wcs = read(path)
        pixels.view("u4")[..., -1, -1] ^= 1
        return pixels, wcs

    def other_sky(path):
        pixels, wcs = read(path)
        wcs.wcs.crval[0] += 1e-3
        return pixels, wcs

    for change, message in [(other_bit, "other bits"), (other_sky, "another scale, parity or")]:
        monkeypatch.setattr(ingest, "read_by_astropy", change)
        with pytest.raises(SystemExit, match=message):
            ingest.check(cubes, 3)


def test_all_of_ingest_is_timed(tmp_path):
    cubes, _ = ingest.write_cutouts(tmp_path, 2)
    case = ingest.whole_case("cubes", cubes, "{id}.fits", 2)

    assert case.name.startswith("whole ingest") and case.ours > 0
    with pytest.raises(SystemExit, match="expected 3 ok"):
        ingest.whole_case("cubes", cubes, "{id}.fits", 3)


def test_all_real_images_are_read(shared_data, monkeypatch):
    assert real.unread(shared_data) == []

    monkeypatch.delitem(real.SETS, "virgo_wise")
    assert len(real.unread(shared_data)) == 5


def test_all_that_is_not_ok_is_listed():
    rows = [{"id": f"{i}", "status": "ok", "flags": "", "reason": ""} for i in range(300)]
    for i in range(0, 300, 10):
        rows[i] |= {"status": "rejected", "reason": f"/data/{i}.fits: fault {i}"}
    rows[1] |= {"status": "flagged", "flags": "edge"}
    rows[2] |= {"status": "rejected", "reason": "no image: none of 1 covers RA 1, Dec 2"}
    few = list(real.lines("few", rows[:5], Path("/data")))
    many = list(real.lines("many", rows, Path("/data")))

    assert len(few) == 5 and "| few | 3 | ok |  |  |" in few
    assert many[:2] == [
        "| many | 0 | rejected |  | 0.fits: fault 0 |",
        "| many | 1 | flagged | edge |  |",
    ]
    assert sum("fault" in line for line in many) == 30
    assert many[-2:] == [
        "| many | 268 inputs | ok | | |",
        "| many | 1 inputs | rejected, no image | | |",
    ]


def test_memory_of_classify(tmp_path):
    store = memory.make_store(tmp_path / "s", memory.SHARD)
    memory.make_model(tmp_path / "model")
    memory.WORK["classify"](store)

    assert len(read_table(tmp_path / "s.fits")) == memory.SHARD


def test_first_look_up(tmp_path):
    store = lookup.make(tmp_path, 300)
    first = lookup.first(store.folder, lookup.sample(store)[0], 300)

    assert first.unit == "s" and first.name == "first look-up among 300"
    assert first.ratio == pytest.approx(first.theirs / first.ours)
    assert lookup.later(store).ours > 0
    assert "among 300 against 300" in lookup.constant(store, store).name

r"""What the benchmarks say is what they measured."""

import ast
import importlib
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import costs, ingest, lookup, memory, real, scale, uncertainty
from benchmarks.harness import Case
from benchmarks.watch import WATCHED, watched
from pipeline.catalogue import read_table
from pipeline.morphometry import measure
from pipeline.store import Store

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


def test_kernels_are_watched():
    r"""What is called in a measurement is known, in its order, and nothing stays replaced."""

    seen: list[str] = []
    modules = [importlib.import_module(name) for name in WATCHED]
    before = [dict(vars(module)) for module in modules]

    def noted(name, kernel):
        return lambda *arguments: seen.append(name) or kernel(*arguments)

    image, labels = np.eye(48), np.eye(48, dtype=np.int64)
    with watched(noted):
        found = measure(image, labels)
    assert seen[:3] == ["bounds", "stamp", "left_over"] and seen[-1] == "outside"
    assert [vars(module) for module in modules] == before
    assert measure(image, labels).gini == found.gini

    with pytest.raises(ZeroDivisionError), watched(noted):
        1 / 0  # noqa: B018
    assert [vars(module) for module in modules] == before


def test_all_parts_are_timed():
    r"""A kernel of another name would cost nothing, and one of none would be left out."""

    parts = [name for kernels, _ in costs.PARTS.values() for name in kernels.split()]
    found: list[str] = []
    with watched(lambda name, kernel: found.append(name) or kernel):
        small = {"bulge", "merger", "concentration", "doubts", "width", "outside"}
        small |= {"white_asymmetry", "white_smoothness"}
        small |= {"segment", "separate"}  # not of a galaxy that is found, nor of the sky
    assert len(parts) == len(set(parts))
    assert set(parts) == set(found) - small


def test_speed_tables():
    cases = []
    for side, ours in ((64, 418.0), (128, 248.0)):
        for mode in ("fast", "parity"):
            cases.append(Case(f"{mode}, {side} x {side} px", ours, 4.0, "galaxies/s", ours / 4))
        for name in ("what both measure", *costs.PARTS, "everything else"):
            cases.append(Case(f"{name}, {side} px", 1.5, math.nan, "ms/galaxy", math.nan))
    cases.append(Case("2 processes against one", 3.0, 1.6, "galaxies/s", 1.9))
    told = costs.tables(cases).splitlines()

    assert told[0] == "| | 64 px | 128 px |"
    assert "| ratio | 104 | 62 |" in told and "| ratio of `parity` | 104 | 62 |" in told
    codes = "ours, 64 px | statmorph, 64 px | ours, 128 px | statmorph, 128 px"
    assert f"| milliseconds | {codes} |" in told
    assert "| Sersic fit | 1.5 | - | 1.5 | - |" in told
    assert "| 2 processes against one, galaxies/s | 3 | 1.6 |" in told


def test_errors_over_scatter():
    r"""An error twice too large is 2, and an axis has no jump at half a turn."""

    changes = np.random.default_rng(0).normal(size=20_000)
    errors = np.full(changes.size, 2.0)
    assert uncertainty.ratio(errors, changes, False) == pytest.approx(2, rel=0.03)
    assert uncertainty.ratio(errors / 10, changes / 10 + np.pi, True) == pytest.approx(2, rel=0.03)
    errors[: errors.size // 2 + 1] = np.nan
    assert np.isnan(uncertainty.ratio(errors, changes, False))
    assert np.isnan(uncertainty.ratio(np.ones(9), np.zeros(9), False))

    told = uncertainty.summary({"disk": {"gini": 0.5, "m20": 1.0, "r50": 1.41, "x": math.nan}})
    assert told.splitlines()[-1] == "| disk | 1 of 3 | gini 0.50 | r50 1.41 |"


@pytest.mark.parametrize("kind", uncertainty.KINDS)
def test_galaxies_of_known_size(kind):
    r"""The ellipse holds half of the light, but for the blur, wherever the centre is."""

    light = uncertainty.galaxy(kind, 31.7, 32.1)
    y, x = np.mgrid[: uncertainty.SIDE, : uncertainty.SIDE]
    dx, dy, theta = x - 31.7, y - 32.1, uncertainty.THETA
    u = dx * np.cos(theta) + dy * np.sin(theta)
    v = (dy * np.cos(theta) - dx * np.sin(theta)) / uncertainty.Q
    inside = light[np.hypot(u, v) < uncertainty.RADIUS].sum()

    assert light.sum() == pytest.approx(1)
    assert 0.4 < inside < 0.55


def test_store_of_scale(tmp_path, monkeypatch):
    r"""Each galaxy is there in eight orientations, with another noise each time."""

    monkeypatch.setattr(scale, "BLOCK", 1)
    store = Store.open(scale.make(tmp_path / "s", 12))
    pixels = store.gather(np.arange(12)).astype(float)[:, 0]

    assert store.manifest["id"].to_pylist() == [f"tf{i:06d}" for i in range(12)]
    edges = pixels[:, :8]
    assert 1.4826 * np.median(np.abs(edges - np.median(edges))) == pytest.approx(1, abs=0.2)
    turned = np.rot90(pixels[0]), np.rot90(pixels[0])[:, ::-1], pixels[0][:, ::-1]
    assert max(np.corrcoef(one.ravel(), pixels[2].ravel())[0, 1] for one in turned) > 0.9
    assert not any(np.array_equal(one, pixels[2]) for one in turned)
    assert np.corrcoef(pixels[0].ravel(), pixels[8].ravel())[0, 1] < 0.9


def test_runs_of_scale():
    r"""A killed process is told from one that ends, and the memory of its children counts."""

    hold = "import time; held = bytearray(150 << 20); held[::4096] = b'x' * 38400; time.sleep(1)"
    family = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    ended, memory = scale._once([sys.executable, "-c", family], None)
    assert ended and 150 < memory < 300
    assert not scale._once([sys.executable, "-c", "import time; time.sleep(60)"], 0.3)[0]
    with pytest.raises(SystemExit, match="ended with 3"):
        scale._once([sys.executable, "-c", "raise SystemExit(3)"], None)

    told = scale.tables([scale.Run(100, 2.0, 1e3, 0), scale.Run(1000, 2.5, 1.5e3, 4)], True)
    assert "| 100 | 50 | 1.00 | 0 | |" in told
    assert "| 1,000 | 400 | 1.50 | 4 | the same bytes |" in told
    assert "OTHER" in scale.tables([scale.Run(1, 1.0, 1.0, 1)], False)

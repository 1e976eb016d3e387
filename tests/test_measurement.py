r"""A store measured to a catalogue: its numbers, its header, and whatever may interrupt it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline import measurement as module
from pipeline.catalogue import read_table
from pipeline.errors import ConfigError, DataError
from pipeline.feeds import StoreFeed
from pipeline.measurement import Options, measure
from pipeline.morphometry import FLAGS, Morphology
from pipeline.morphometry import measure as measure_one
from pipeline.morphometry.cutouts import GRADIENT, measure_cutouts
from pipeline.morphometry.fields import FLUXES, meaning, unit
from pipeline.morphometry.psf import separate
from pipeline.store import Store, StoreInfo
from tests.stores import INFO, NOISE, SHAPE, fill


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(module, "TASK", 4)
    monkeypatch.setattr(module, "PART", 2)


@pytest.mark.parametrize("suffix", ["parquet", "fits", "vot", "csv"])
def test_catalogue(tmp_path, suffix):
    store = fill(tmp_path / "store", 9)
    to = tmp_path / f"c.{suffix}"
    answer = measure(StoreFeed(store), to)
    table = read_table(to)

    assert answer["inputs"] == 9 and answer["measured"] == 8 and answer["rejected"] == 1
    assert answer["rejected_because"] == {"the file is empty": 1}
    assert table["id"].tolist() == [f"J{i:03d}" for i in range(9)]
    assert np.ma.is_masked(table["flags_g"][3]) and np.isnan(table["gini_g"][3])
    assert table["reason"][3] == "the file is empty"
    assert set(np.asarray(table["unit"])[[0, 8]]) == {"nJy"}

    # Every number is that of a notebook, fluxes in the unit of the image
    cutout = store.gather(store.usable)[0].astype(float)
    for c, band in enumerate("gr"):
        one = measure_one(cutout[c])
        for field, value in one._asdict().items():
            factor = NOISE[f"noise_{band}"] if field.removesuffix("_error") in FLUXES else 1
            found = table[f"{field}_{band}"][0]
            assert np.isclose(found, factor * value, rtol=1e-12, equal_nan=True), field
    assert one.flux_circ > 0

    # Bands of two scale lengths: g is wider, so that the galaxy is bluer outside
    wide = [i for i in range(9) if i % 3 == 2]
    gradient = np.asarray(table["colour_gradient_g_r"])[wide]
    assert (gradient < -3 * np.asarray(table["colour_gradient_error_g_r"])[wide]).all()

    # What it is, for whoever opens it
    assert table["flux_circ_r"].unit == "nJy" and table["sky_sigma_g"].unit == "nJy"
    assert table["rpetro_circ_r"].unit == "pix" and table["theta_error_g"].unit in (None, "rad")
    told = table["gini_g"].description
    assert told.startswith("Gini coefficient G of the pixels of") and told.endswith(", in g")
    metadata = {key.lower(): value for key, value in table.meta.items()}
    assert metadata["flag_bits"].startswith("1 no_source, 2 edge")
    assert metadata["data"] == store.fingerprint
    assert not Path(f"{to}.parts").exists()


@pytest.mark.parametrize(
    ("units", "expected"),
    [(["nJy", "Jy", "nJy"], "nJy"), (["nJy", "Jy"], None), (["grey"], None), ([""], None)],
)
def test_unit_of_fluxes(tmp_path, monkeypatch, units, expected):
    r"""It is in the header where all that are measured have one that FITS knows; the second of
    three is rejected."""

    def unmeasured(pixels, bands, **options):
        names = [f"{field}_{band}" for band in bands for field in Morphology._fields]
        names += [f"{field}_g_r" for field in GRADIENT]
        return {name: np.zeros(len(pixels), int if "flags" in name else float) for name in names}

    monkeypatch.setattr(module, "measure_cutouts", unmeasured)
    store = Store.create(tmp_path / "store", INFO)
    status = ["ok", "rejected", "ok"] if len(units) == 3 else ["ok"] * len(units)
    rows = [
        {"id": str(i), "status": state, "unit": one} | NOISE
        for i, (one, state) in enumerate(zip(units, status, strict=True))
    ]
    store.commit(np.zeros((status.count("ok"), 2, *SHAPE), np.float16), rows)
    measure(StoreFeed(store), tmp_path / "c.fits")
    table = read_table(tmp_path / "c.fits")

    assert table["flux_circ_g"].unit == table["sersic_amplitude_error_r"].unit == expected
    assert table["unit"].tolist() == units and table["r20_g"].unit == "pix"


def test_fields():
    r"""Every field has a meaning; every unit is one that FITS and VOTable know."""

    for field in Morphology._fields:
        assert meaning(field) and unit(field) in {"", "pix", "rad"}
    assert set(FLUXES) <= set(Morphology._fields)


def test_flags_are_counted(tmp_path):
    store = Store.create(tmp_path / "store", INFO)
    pixels = np.random.default_rng(0).normal(size=(3, 2, *SHAPE)).astype(np.float16)
    store.commit(pixels, [{"id": str(i), "status": "ok"} | NOISE for i in range(3)])
    answer = measure(StoreFeed(store), tmp_path / "c.csv")

    assert answer["by_flag"]["g"]["no_source"] == 3
    bits = np.asarray(read_table(tmp_path / "c.csv")["flags_r"])
    assert (bits & 1 << FLAGS.index("no_source") > 0).all()


def test_workers_and_options(tmp_path):
    r"""The number of processes changes nothing; the mode and the gain do."""

    feed = StoreFeed(fill(tmp_path / "store", 11))
    one, two = tmp_path / "one.fits", tmp_path / "two.fits"
    measure(feed, one)
    measure(feed, two, workers=2)
    assert one.read_bytes() == two.read_bytes()

    measure(feed, two, Options("parity", gain=10.0))
    fast, parity = read_table(one), read_table(two)
    assert {key.lower(): value for key, value in parity.meta.items()}["gain"] == "10.0"
    wider = np.asarray(parity["x_centroid_error_g"]) > np.asarray(fast["x_centroid_error_g"])
    assert wider[np.arange(11) != 3].all()  # photons add to the noise


class Broken(StoreFeed):
    r"""A feed that fails on the way."""

    def stream(self, start, size):
        for number, batch in enumerate(super().stream(start, size)):
            if number == 3:
                raise DataError("the disk went away")
            yield batch


def test_resume(tmp_path):
    store = fill(tmp_path / "store", 17)
    whole, again = tmp_path / "whole.parquet", tmp_path / "again.parquet"
    measure(StoreFeed(store), whole)
    with pytest.raises(DataError, match="went away"):
        measure(Broken(store), again)
    assert not again.exists()
    assert measure(StoreFeed(store), again)["parts_found_done"] == 1
    assert again.read_bytes() == whole.read_bytes()

    with pytest.raises(DataError, match="went away"):
        measure(Broken(store), again)
    assert measure(StoreFeed(store), again, Options("parity"))["parts_found_done"] == 0


KILLED = """
import sys
from pathlib import Path
from pipeline import measurement as module
from pipeline.feeds import StoreFeed
from pipeline.store import Store

module.TASK, module.PART = 4, 2
module.measure(StoreFeed(Store.open(Path("store"))), Path("again.fits"), workers=2)
"""


def test_sigkill(tmp_path):
    r"""Killed, it leaves no catalogue, and ends with the bytes of the uninterrupted one."""

    store = fill(tmp_path / "store", 90)
    script = tmp_path / "killed.py"
    script.write_text(f"if __name__ == '__main__':\n{KILLED}".replace("\n", "\n    "))
    call = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}}
    process = subprocess.Popen([sys.executable, str(script)], **call)
    while not len(list(tmp_path.glob("again.fits.parts/*.parquet"))) >= 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "again.fits").exists()

    assert measure(StoreFeed(store), tmp_path / "again.fits")["parts_found_done"] >= 3
    measure(StoreFeed(store), tmp_path / "whole.fits")
    assert (tmp_path / "again.fits").read_bytes() == (tmp_path / "whole.fits").read_bytes()


def test_refusals(tmp_path):
    with pytest.raises(ConfigError, match=r"\.fit'.*did you mean '\.fits'"):
        measure(StoreFeed(fill(tmp_path / "store", 5)), tmp_path / "c.fit")
    with pytest.raises(DataError, match="no input"):
        measure(StoreFeed(Store.create(tmp_path / "empty", INFO)), tmp_path / "c.fits")
    many = StoreInfo(tuple("ugrizyjhkabc"), *SHAPE, scale="native", survey="s")
    store = Store.create(tmp_path / "many", many)
    store.commit(np.zeros((0, 12, *SHAPE), np.float16), [{"id": "a", "status": "rejected"}])
    with pytest.raises(ConfigError, match=r"columns, expected 999 at most in FITS: choose \.parq"):
        measure(StoreFeed(store), tmp_path / "c.fits")
    with pytest.raises(DataError, match=r"shape \(2, 33, 29\), expected \(B, 2, H, W\)"):
        measure_cutouts(np.zeros((2, *SHAPE)), "gr")
    pixels = np.zeros((3, 2, *SHAPE))
    with pytest.raises(DataError, match="1 psfs, expected one for each of the bands g, r"):
        measure_cutouts(pixels, "gr", psfs=[separate(np.ones((3, 3)))])
    for gain, shape in ((np.ones(3), r"\(3,\)"), (["a"], r"\(1,\)"), (np.ones((2, 2)), "")):
        with pytest.raises(DataError, match=rf"gain of shape {shape}.*to \(B, C\) = \(3, 2\)"):
            measure_cutouts(pixels, "gr", gain=gain)


def test_what_is_there_stays(tmp_path):
    r"""Only a catalogue of its own is replaced, and only by one that has measurements."""

    feed = StoreFeed(fill(tmp_path / "store", 2))
    for suffix in ("fits", "parquet", "vot", "csv"):
        to = tmp_path / f"c.{suffix}"
        to.touch()
        measure(feed, to)
        first = to.read_bytes()
        measure(feed, to, Options(gain=2.0))
        assert to.read_bytes() != first

    labels = tmp_path / "labels.csv"
    labels.write_text("id,class\nJ000,spiral\n")
    with pytest.raises(ConfigError, match=r"labels\.csv is there already and is no catalogue"):
        measure(feed, labels)
    assert labels.read_text() == "id,class\nJ000,spiral\n"
    (tmp_path / "folder.fits").mkdir()
    with pytest.raises(ConfigError, match=r"folder\.fits is a folder, expected the name"):
        measure(feed, tmp_path / "folder.fits")

    rejected = Store.create(tmp_path / "rejected", INFO)
    rejected.commit(
        np.zeros((0, 2, *SHAPE), np.float16),
        [{"id": "a", "status": "rejected", "reason": "a.fits is empty"}],
    )
    before = to.read_bytes()
    with pytest.raises(DataError, match=r"not written: all 1 inputs .*, 1: a\.fits is empty"):
        measure(StoreFeed(rejected), to)
    assert to.read_bytes() == before
    assert not list(tmp_path.glob("*.parts"))

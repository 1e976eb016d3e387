import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline import measurement as module
from pipeline import runs
from pipeline.catalogue import read_table
from pipeline.errors import ConfigError, DataError
from pipeline.feeds import StoreFeed
from pipeline.fits import write_image
from pipeline.measurement import Options, measure
from pipeline.morphometry import FLAGS, Morphology
from pipeline.morphometry import measure as measure_one
from pipeline.morphometry.cutouts import GRADIENT, measure_cutouts
from pipeline.morphometry.fields import FLUXES, meaning, unit
from pipeline.morphometry.psf import separate
from pipeline.runs.images import find_images, layout
from pipeline.simulate import simulate
from pipeline.store import Store, StoreInfo

SHAPE = (33, 29)
INFO = StoreInfo(("g", "r"), *SHAPE, scale="native", survey="s")
NOISE = {"noise_g": 0.25, "noise_r": 4.0}


def draw(seed, flux=60.0):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    r = np.hypot((x - 14.2) / 1.3, y - 16.4)

    return [
        flux * np.exp(-r / width) + random.normal(size=SHAPE) for width in (3.0 + seed % 3, 2.5)
    ]


def fill(folder, count):
    r"""A store whose fourth galaxy is rejected."""

    store = Store.create(folder, INFO)
    rows = [
        {"id": f"J{i:03d}", "status": "ok", "unit": "nJy", "scale_arcsec": 0.2, "ra": 1.0 + i}
        | NOISE
        | ({"status": "rejected", "reason": "the file is empty"} if i == 3 else {})
        for i in range(count)
    ]
    kept = [i for i in range(count) if i != 3]
    store.commit(np.array([draw(i) for i in kept], np.float16), rows)

    return store


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


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(3):
        cards = {"BAND1": "g", "BAND2": "r", "BUNIT": "nJy"}
        write_image(folder / f"{i}.fits", np.array(draw(i), np.float32) + 50, cards)
    (folder / "3.fits").write_bytes(b"")

    return folder


def test_images(tmp_path, images):
    r"""A folder tells its bands and its size; a file that cannot be read is a row that says so."""

    found = runs.measure(images, tmp_path / "c.parquet", ["morphometry.workers=1"])
    table = read_table(tmp_path / "c.parquet")
    assert found["measured"] == 3 and found["rejected"] == 1
    assert "is empty" in table["reason"][3]
    assert 60 < table["flux_circ_g"][0] and table["unit"][0] == "nJy"
    assert np.allclose(np.asarray(table["x_r"])[:3], 14.2, atol=0.3)

    runs.measure(images / "1.fits", tmp_path / "one.csv", ["data.bands=[blue,red]"])
    assert np.isclose(read_table(tmp_path / "one.csv")["gini_red"][0], table["gini_r"][1])


@pytest.mark.parametrize(
    ("cards", "bands"),
    [
        ({"BAND0": "g", "BAND1": "r DECam SDSS c0002 6415.0"}, ("g", "r")),
        ({"BAND1": "g", "BAND2": "r"}, ("g", "r")),
        ({"FILTER": "gr"}, ("g", "r")),
        ({"FILTER": "Red"}, ("1", "2")),
        ({"BAND0": "g"}, ("1", "2")),
        ({"BAND0": "g", "BAND1": "g"}, ("1", "2")),
        ({}, ("1", "2")),
    ],
)
def test_bands_of_a_cube(tmp_path, cards, bands):
    r"""Its header names them, however it counts them."""

    write_image(tmp_path / "a.fits", np.zeros((2, *SHAPE), np.float32), cards)

    assert layout(find_images(tmp_path), workers=1) == (bands, SHAPE)


def test_bands_of_the_simulator(tmp_path):
    simulate(tmp_path, galaxies=2, side=32, faults=0.0)

    assert layout(find_images(tmp_path / "cutouts"), 1) == (("g", "r", "i", "z"), (32, 32))


def test_file_per_band(tmp_path, caplog):
    r"""A pattern says which files are the bands of a galaxy; one name for several is told."""

    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(2):
        for band, image in zip("gr", draw(i), strict=True):
            write_image(folder / f"m{i}_{band}.fits", image + 50, {"FILTER": band})
    settings = ["morphometry.workers=1", "data.workers=1"]

    with pytest.raises(ConfigError, match=r"has the bands g and .*_r\.fits r: .*data\.pattern="):
        runs.measure(folder, tmp_path / "c.csv", settings)
    pattern = ["data.pattern={id}_{band}.fits", "data.bands=[g, r]"]
    runs.measure(folder, tmp_path / "two.csv", [*settings, *pattern])
    two = read_table(tmp_path / "two.csv")
    assert two["id"].tolist() == ["m0", "m1"] and not caplog.records

    runs.measure(folder, tmp_path / "one.csv", [*settings, "data.bands=[x]"])
    assert "m0_g.fits has the bands g and " in caplog.text and "m0_r.fits r: all" in caplog.text
    one = read_table(tmp_path / "one.csv")
    assert one["id"].tolist() == ["m0_g", "m0_r", "m1_g", "m1_r"]
    assert one["gini_x"].tolist() == [row[f"gini_{band}"] for row in two for band in "gr"]


def test_left_out(tmp_path, images, caplog):
    r"""What of a folder is not measured is told."""

    (images / "more").mkdir()
    (images / "more/4.fits").write_bytes((images / "0.fits").read_bytes())
    (images / "5.fits").symlink_to(tmp_path / "gone.fits")
    (images / "notes").symlink_to(tmp_path / "gone.txt")
    found = runs.measure(images, tmp_path / "c.csv", ["morphometry.workers=1"])

    assert found["inputs"] == 4
    assert f"the images of {images}/more, 1, are left out" in caplog.text
    assert f"{images}/5.fits is left out: a link to {tmp_path}/gone.fits" in caplog.text
    assert "notes" not in caplog.text


def test_padding(tmp_path):
    r"""An image that is padded, to a larger grid of either parity, is measured as by itself."""

    folder = tmp_path / "images"
    folder.mkdir()
    for i, shape in enumerate((SHAPE, (28, 25))):
        image = np.array(draw(i), np.float32)[:, : shape[0], : shape[1]]
        write_image(folder / f"{i}.fits", image + 50, {"BAND1": "g", "BAND2": "r"})
    image[:, :, :8] = np.nan  # a third is not covered, the rest is
    write_image(folder / "2.fits", image + 50, {"BAND1": "g", "BAND2": "r"})
    settings = ["morphometry.workers=1", "data.workers=1"]
    padded = tmp_path / "padded.csv"
    runs.measure(folder, padded, [*settings, "data.size=[97,120]"])
    table = read_table(padded)

    assert table["status"].tolist() == ["ok", "ok", "flagged"]
    assert table["reason"][2] == "covered: 68% in g, 68% in r"
    for i, (height, width) in enumerate((SHAPE, (28, 25))):
        runs.measure(folder / f"{i}.fits", tmp_path / "one.csv", settings)
        one = read_table(tmp_path / "one.csv")
        for name in one.colnames:
            found, expected = table[name][i], one[name][0]
            field = name.removesuffix("_g").removesuffix("_r")
            corner = (120 - width) // 2 if field in {"x", "x_centroid", "sersic_x"} else 0
            corner += (97 - height) // 2 if field in {"y", "y_centroid", "sersic_y"} else 0
            if one[name].dtype.kind == "f":
                assert np.isclose(found - corner, expected, rtol=1e-9, equal_nan=True), name
            else:
                assert found == expected, name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["morphometry.mode=exact"], "morphometry.mode='exact', expected one of fast, parity"),
        (["morphometry.gian=2"], "did you mean 'gain'"),
        (["morphometry.gain=GAIN"], "morphometry.gain='GAIN', .*expected a number"),
        (["morphometry.psf=nowhere.fits"], r"nowhere\.fits cannot be read"),
        (["data.bands=[g, r, i]"], "all 4 inputs are rejected"),
    ],
)
def test_wrong_settings(tmp_path, images, settings, message):
    with pytest.raises((ConfigError, DataError), match=message):
        runs.measure(images, tmp_path / "c.csv", settings)


def test_one_bad_file(tmp_path, images):
    r"""What is wrong with it is told as an ingest tells it."""

    path = images / "0.fits"
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(DataError, match=r"0\.fits\[0\] is truncated: 1120 of 7656 bytes"):
        runs.measure(path, tmp_path / "c.csv")
    write_image(path, np.zeros((9, *SHAPE), np.float32), {})
    with pytest.raises(DataError, match=r"shape \(9, 33, 29\), expected an image of 1 to 8 bands"):
        runs.measure(path, tmp_path / "c.csv")


def test_wrong_inputs(tmp_path, images):
    with pytest.raises(DataError, match=r"nowhere does not exist, expected a store"):
        runs.measure(tmp_path / "nowhere", tmp_path / "c.csv")
    write_image(images / "4.fits", np.zeros((2, 40, 40), np.float32), {})
    with pytest.raises(ConfigError, match=r"0\.fits has 33 x 29 pixels and .*4\.fits 40 x 40"):
        runs.measure(images, tmp_path / "c.csv")
    write_image(images / "4.fits", np.zeros((2, *SHAPE), np.float32), {"BAND1": "g", "BAND2": "i"})
    with pytest.raises(ConfigError, match=r"0\.fits has the bands g, r and .*4\.fits g, i"):
        runs.measure(images, tmp_path / "c.csv")
    with pytest.raises(ConfigError, match=r"is no experiment, it takes morphometry"):
        runs.measure(images, tmp_path / "c.csv", ["data.chunk=9"])
    with pytest.raises(ConfigError, match=r"has \{band\}: say which, from blue to red"):
        runs.measure(images, tmp_path / "c.csv", ["data.pattern={id}_{band}.fits"])
    store = fill(tmp_path / "store", 2).folder
    with pytest.raises(ConfigError, match=r"is a store, it takes morphometry"):
        runs.measure(store, tmp_path / "c.csv", ["data.size=9"])
    psf = tmp_path / "psf.fits"
    write_image(psf, np.ones((8, 9), np.float32), {})
    with pytest.raises(DataError, match=r"psf\.fits: psf of shape \(8, 9\), expected odd"):
        runs.measure(store, tmp_path / "c.csv", [f"morphometry.psf={psf}"])
    write_image(psf, np.where(np.eye(9) > 0, np.nan, 1).astype(np.float32), {})
    with pytest.raises(DataError, match=r"psf\.fits: 9 of the 81 pixels of the PSF are NaN"):
        runs.measure(store, tmp_path / "c.csv", [f"morphometry.psf={psf}"])
    write_image(psf, np.full((9, 9), -1, np.float32), {})
    with pytest.raises(DataError, match=r"psf\.fits: .*expected a finite image of positive sum"):
        runs.measure(store, tmp_path / "c.csv", [f"morphometry.psf={psf}"])


def test_simulated_experiment(tmp_path):
    r"""The survey of an experiment that has none yet is drawn, as ingest does."""

    demo = Path(__file__).parents[1] / "configs/demo.yaml"
    settings = {"simulate.galaxies": 3, "data.root": tmp_path / "survey", "data.workers": 1}
    settings |= {"data.table.path": tmp_path / "survey/labels.csv", "morphometry.workers": 1}
    found = runs.measure(
        demo, tmp_path / "c.csv", [f"{name}={value}" for name, value in settings.items()]
    )

    assert found["inputs"] == 3 and (tmp_path / "survey/labels.csv").exists()

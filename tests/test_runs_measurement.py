r"""Images, stores and experiments measured to a catalogue, with settings."""

from pathlib import Path

import numpy as np
import pytest

from pipeline import runs
from pipeline.catalogue import read_table
from pipeline.errors import ConfigError, DataError
from pipeline.fits import write_image
from pipeline.runs.images import find_images, layout
from pipeline.simulate import simulate
from tests.stores import SHAPE, draw, fill


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
    assert two["id"].tolist() == ["m0", "m1"] and "all are called" not in caplog.text

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

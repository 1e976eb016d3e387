r"""One source, and the row that it becomes."""

import errno
import gzip
import logging
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import rows as rows_module
from pipeline.errors import ConfigError
from pipeline.fits import FitsFile, read_frame, write_image
from pipeline.objects import Columns
from pipeline.rows import Recipe, make_row, stamp
from pipeline.sources import Source, find

BANDS = ("g", "r")
SIZE = (31, 37)


def galaxy(shape=(41, 49), bands=2):
    r"""A round galaxy in noise, with shape (C, H, W)."""

    y, x = np.mgrid[: shape[0], : shape[1]]
    light = np.exp(-np.hypot(x - shape[1] // 2, y - shape[0] // 2) / 3)
    noise = np.random.default_rng(0).normal(size=(bands, *shape))

    return (300 * light * np.arange(1, bands + 1)[:, None, None] + noise + 7).astype(np.float32)


def sky(shape=(41, 49)):
    step = 0.4 / 3600
    return {
        **{"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0},
        **{"CRPIX1": (shape[1] + 1) / 2, "CRPIX2": (shape[0] + 1) / 2},
        **{"CDELT1": -step, "CDELT2": step},
    }


def table(folder, text, **columns):
    (folder / "t.csv").write_text(text)

    return Columns(folder / "t.csv", **columns)


def made(sources, recipe):
    r"""The rows, and the pixels of those that have any, by identifier."""

    pairs = {source.id: make_row(source, recipe) for source in sources}
    pixels = {id: pixels for id, (_, pixels) in pairs.items() if pixels is not None}

    return {id: row for id, (row, _) in pairs.items()}, pixels


def test_clipped(tmp_path):
    r"""What the store has no room for is told."""

    pixels = galaxy(bands=1)[0]
    pixels[20, 24] = 1e6
    write_image(tmp_path / "x.fits", pixels, sky())
    row = made(find(tmp_path, "{id}.fits", ["r"]), Recipe(("r",), SIZE))[0]["x"]

    assert "clipped" in row["flags"] and "further than 65504 times the noise" in row["reason"]


def test_composite(tmp_path):
    flux = np.clip(galaxy(bands=3) / 4, 0, 255).astype(np.uint8)
    Image.fromarray(flux[::-1, ::-1].transpose(1, 2, 0)).save(tmp_path / "x.png")
    Image.fromarray(flux[0]).save(tmp_path / "grey.png")
    (tmp_path / "cut.jpeg").write_bytes(b"\xff\xd8\xff\xe0 half")
    recipe = Recipe(("g", "r", "i"), SIZE, pixel_scale=0.4)
    rows, pixels = made(find(tmp_path, "{id}.*", recipe.bands), recipe)

    assert rows["x"]["status"] != "rejected" and rows["x"]["scale_arcsec"] == 0.4
    assert "expected a colour composite" in rows["grey"]["reason"]
    assert rows["cut"]["status"] == "rejected" and "cut.jpeg" in rows["cut"]["reason"]
    for c, band in enumerate(recipe.bands):
        flux_c = pixels["x"][c].astype(np.float64) * rows["x"][f"noise_{band}"]
        cut = flux[c, 5:36, 6:43]
        np.testing.assert_allclose(flux_c + rows["x"][f"sky_{band}"], cut, atol=0.3)


def test_fields(tmp_path):
    r"""Galaxies are cut out of frames at their positions, at the edge too."""

    rng = np.random.default_rng(0)
    frame = rng.normal(size=(120, 150)).astype(np.float32)
    whole = galaxy((25, 31), bands=1)[0] - 7
    places = {"inside": (60, 70), "edge": (60, 12)}
    for y, x in places.values():
        lo = max(0, x - 15)
        frame[y - 12 : y + 13, lo : x + 16] += whole[:, lo - x + 15 :]
    for band in BANDS:
        write_image(tmp_path / f"f_{band}.fits", frame, sky(frame.shape))
    scale = 0.4 / 3600
    lines = [
        f"{id},{150 - (x - 74.5) * scale / math.cos(math.radians(2)):.8f},"
        f"{2 + (y - 59.5) * scale:.8f}"
        for id, (y, x) in places.items()
    ]
    columns = table(tmp_path, "\n".join(["id,ra,dec", *lines, "out,151,2"]), ra="ra", dec="dec")
    sources = find(tmp_path, "*_{band}.fits", BANDS, table=columns)
    rows, pixels = made(sources, Recipe(BANDS, (25, 31)))

    assert rows["out"]["status"] == "rejected" and "covers RA 151" in rows["out"]["reason"]
    assert rows["edge"]["flags"] == "edge"
    assert rows["edge"]["coverage_g"] == pytest.approx(28 / 31)
    for id, (y, x) in places.items():
        flux = pixels[id][0].astype(np.float64) * rows[id]["noise_g"] + rows[id]["sky_g"]
        covered = np.isfinite(flux)
        cut = frame[y - 12 : y + 13, max(0, x - 15) : x + 16]
        np.testing.assert_allclose(flux[covered], cut.ravel(), rtol=2e-3, atol=2e-2)


def test_field_lacks_a_band(tmp_path, caplog):
    write_image(tmp_path / "f_g.fits", galaxy(bands=1)[0], sky())
    columns = table(tmp_path, "id,ra,dec\na,150,2\n", ra="ra", dec="dec")
    sources = find(tmp_path, "*_{band}.fits", BANDS, table=columns)
    rows, pixels = made(sources, Recipe(BANDS, SIZE))

    assert not pixels and rows.keys() == {"a", "f_g.fits"}
    for row in rows.values():
        assert row["reason"].startswith("wrong number of bands: there is no file of r")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_field_is_read_once(tmp_path, monkeypatch):
    r"""By galaxies of several tasks, although NaN does not equal itself once it was sent."""

    write_image(tmp_path / "f.fits", galaxy(), sky())
    columns = table(tmp_path, "id,ra,dec\na,150,2\nb,150.0001,2\n", ra="ra", dec="dec")
    sources = find(tmp_path, "*.fits", BANDS, table=columns)
    read, once = [], FitsFile.open
    monkeypatch.setattr(FitsFile, "open", lambda path: read.append(path.name) or once(path))
    recipe = Recipe(BANDS, SIZE, zero_points=(22.5, math.nan))
    for source in sources:
        row, _ = make_row(source, pickle.loads(pickle.dumps(recipe)))
        assert row["status"] != "rejected" and row["zero_point_g"] == 22.5

    assert read == ["f.fits"]


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("MJy/sr", 1), ("nJy / arcsec2", 1), ("mag arcsec-2", 1), ("Jy", 4), ("adu", 4), ("", 4)],
)
def test_surface_brightness(tmp_path, unit, factor):
    r"""On a coarser grid, a flux per pixel grows and a surface brightness does not."""

    pixels = galaxy(bands=1)[0]
    cards = {"BUNIT": unit, "SATURATE": 200}
    write_image(tmp_path / "a.fits", pixels, sky() | cards)
    write_image(tmp_path / "b.fits", pixels, cards)
    a, b = (Source(id, (tmp_path / f"{id}.fits",)) for id in "ab")
    native, _ = make_row(a, Recipe(("r",), (31, 37)))
    coarse, _ = make_row(a, Recipe(("r",), (15, 17), 0.8))
    assert coarse["sky_r"] == pytest.approx(factor * native["sky_r"], rel=0.1)

    # Told by the header or by the experiment, the scale is the same
    told, _ = make_row(b, Recipe(("r",), (15, 17), 0.8, pixel_scale=0.4))
    for name in ("sky_r", "noise_r", "saturation_r"):
        assert told[name] == pytest.approx(coarse[name])


@pytest.mark.parametrize("zoom", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("dtype", ["f4", "i2"])
def test_finer_than_the_file(tmp_path, zoom, dtype):
    r"""Parts of a pixel share its noise: they are neither many nor a plateau."""

    y, x = np.mgrid[:240, :240] - 119.5
    shape = np.exp(-np.hypot(x, 1.3 * y) / 1.5)
    level, noise, rng = [], [], np.random.default_rng(1)
    for peak in np.linspace(20, 60, 10):
        image = 10 + 2 * rng.normal(size=shape.shape) + 2 * peak * shape
        write_image(
            tmp_path / "a.fits",
            image.round(2 if dtype == "f4" else 0).astype(dtype),
            sky((240, 240)),
        )
        row, _ = make_row(
            Source("a", (tmp_path / "a.fits",)), Recipe(("r",), (96, 96), 0.4 / zoom)
        )
        assert row["flags"] == ""
        level.append(row["sky_r"] * zoom**2)
        noise.append(row["noise_r"] * zoom**2)

    assert np.median(noise) == pytest.approx(2, rel=0.06) and np.ptp(noise) < 0.12 * zoom
    assert np.median(level) == pytest.approx(10, abs=0.2 * zoom)


def test_map_of_noise_in_one_band(shared_data: Path, tmp_path):
    stem = "abell_2744_dwarf_galaxy_f105w"
    for band, name in {"g": stem, "r": f"{stem}_rms"}.items():
        source = shared_data / f"specimens/{name}.fits.gz"
        (tmp_path / f"x_{band}.fits.gz").write_bytes(source.read_bytes())
    sources = find(tmp_path, "{id}_{band}.fits.gz", BANDS)
    row = made(sources, Recipe(BANDS, (32, 35), pixel_scale=0.06))[0]["x"]

    assert row["status"] == "rejected"
    assert row["reason"].startswith(f"{tmp_path}/x_r.fits.gz[0] looks like a map of noise")


def test_map_of_noise_as_a_field(shared_data: Path, tmp_path, monkeypatch):
    r"""It is recognized once, and none of its galaxies is cut out."""

    noise = read_frame(shared_data / "specimens/abell_2744_dwarf_galaxy_f105w_rms.fits.gz").pixels
    write_image(tmp_path / "f_rms.fits", noise, sky(noise.shape))
    columns = table(tmp_path, "id,ra,dec\na,150,2\nb,150.0005,2\n", ra="ra", dec="dec")
    sources = find(tmp_path, "*.fits", ["r"], table=columns)
    seen, judge = [], rows_module.is_noise_map
    monkeypatch.setattr(rows_module, "is_noise_map", lambda x: seen.append(x) or judge(x))
    rows, pixels = made(sources, Recipe(("r",), (32, 35)))

    assert rows.keys() == {"a", "b"} and not pixels and len(seen) == 1
    for row in rows.values():
        assert row["reason"].startswith(f"{tmp_path}/f_rms.fits[0] looks like a map of noise")
        assert row["digest"] and row["stamp"]


def test_real_fields_are_images(shared_data: Path):
    paths = sorted((shared_data / "fields").rglob("*.fits.bz2"))
    assert len(paths) == 5
    for path in paths:
        frame = read_frame(path)
        height, width = frame.pixels.shape
        ra, dec = map(float, frame.sky(width / 2, height / 2))
        row, _ = make_row(Source("x", (path,), ra, dec, field=True), Recipe(("r",), (64, 64)))
        assert row["status"] != "rejected", row["reason"]


def test_scale_of_a_size_column(tmp_path):
    for id, shape in {"a": (80, 90), "b": (160, 180), "c": (41, 49)}.items():
        write_image(tmp_path / f"{id}.fits", galaxy(shape), sky(shape))
    columns = table(tmp_path, "id,petro\na,5\nb,10\nc,\n", size="petro")
    recipe = Recipe(BANDS, (20, 25), scale="4 x petro")
    rows, _ = made(find(tmp_path, "{id}.fits", BANDS, table=columns), recipe)

    assert recipe.scale_text == "4 x petro"
    assert rows["a"]["scale_arcsec"] == pytest.approx(0.8)
    assert rows["b"]["scale_arcsec"] == pytest.approx(1.6)
    assert "size missing" in rows["c"]["reason"]


def test_position_without_coordinates(tmp_path):
    r"""The middle of such an image is not taken for the place of the galaxy."""

    write_image(tmp_path / "x.fits", galaxy(), {})
    source = Source("x", (tmp_path / "x.fits",), ra=150.0, dec=2.0)

    row, pixels = make_row(source, Recipe(BANDS, SIZE, at="position"))
    assert row["status"] == "rejected" and pixels is None
    expected = "x.fits[0][0] has no sky coordinates to find the position by"
    assert row["reason"].startswith(f"{tmp_path}/{expected}")
    assert make_row(source, Recipe(BANDS, SIZE))[0]["status"] == "ok"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"scale": "petro x 4"}, "expected 'native'"),
        ({"scale": "4 x "}, "expected 'native'"),
        ({"scale": -0.36}, "scale=-0.36, expected 'native', arcsec per pixel"),
        ({"scale": 0}, "scale=0, expected"),
        ({"scale": math.nan}, "scale=nan, expected"),
        ({"size": (64, 7)}, "expected 8 pixels or more"),
        ({"bands": ("g", "g")}, "each once"),
        ({"bands": ()}, "one or more"),
    ],
)
def test_impossible_recipe(options, expected):
    with pytest.raises(ConfigError, match=expected):
        Recipe(**({"bands": BANDS, "size": SIZE} | options))


@pytest.fixture
def source(tmp_path):
    write_image(tmp_path / "x.fits", galaxy(), sky())

    return Source("x", (tmp_path / "x.fits",))


@pytest.mark.parametrize("fault", [OSError(errno.EIO, "Input/output error"), MemoryError()])
def test_what_may_pass_is_tried_again(source, monkeypatch, fault):
    r"""A disk that fails for a while, or a lack of memory, is no property of a file."""

    recipe = Recipe(BANDS, SIZE)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda path: (_ for _ in ()).throw(fault))
        row, _ = make_row(source, recipe)
    assert (row["status"], row["stamp"]) == ("rejected", "")
    assert make_row(source, recipe)[0]["stamp"] == stamp(source, recipe)


def test_what_cannot_pass_is_not_tried_again(source, tmp_path):
    whole = source.files[0].read_bytes()
    files = {"cut.fits.gz": gzip.compress(whole)[:-99], "odd.fits": whole[:3000], "e.fits": b""}
    files |= {"flipped.fits.gz": gzip.compress(whole)[:-8] + bytes(8), "cut.jpeg": b"\xff\xd8\xff"}
    files |= {"no.fits.bz2": b"BZh9" + bytes(99)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    for name in (*files, "gone.fits"):
        one = Source(name, (tmp_path / name,))
        row, _ = make_row(one, Recipe(BANDS, SIZE))
        assert row["status"] == "rejected" and row["stamp"] == stamp(one, Recipe(BANDS, SIZE))


@pytest.mark.parametrize("fault", [TypeError, KeyError, IndexError, RuntimeError])
def test_own_mistakes_are_not_data(source, monkeypatch, fault):
    def wrong(*_):
        raise fault("ours")

    monkeypatch.setattr(rows_module, "cut", wrong)
    with pytest.raises(fault, match="ours"):
        make_row(source, Recipe(BANDS, SIZE))


@pytest.mark.parametrize("fault", [OverflowError, ValueError, np.linalg.LinAlgError])
def test_what_numbers_do(source, monkeypatch, caplog, fault):
    def odd(*_):
        raise fault("theirs")

    monkeypatch.setattr(rows_module, "cut", odd)
    row, pixels = make_row(source, Recipe(BANDS, SIZE))
    assert row["status"] == "rejected" and pixels is None and row["stamp"]
    assert f"x.fits: it cannot be handled ({fault.__name__}: theirs)" in row["reason"]
    assert "theirs" in caplog.text

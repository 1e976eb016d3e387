import bz2
import errno
import gzip
import logging
import math
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from benchmarks.kills.ingest import Ingest
from benchmarks.kills.torture import torture
from pipeline import runs
from pipeline.config import Data, Experiment, Table
from pipeline.errors import ConfigError, PipelineError
from pipeline.fits import FitsFile, write_extensions, write_image
from pipeline.ingest import Recipe, ingest
from pipeline.objects import Columns
from pipeline.sources import find
from pipeline.store import Store, StoreInfo

BANDS = ("g", "r")
SIZE = (31, 37)


def galaxy(seed=0, shape=(41, 49), bands=2):
    r"""A clockwise spiral of two arms in noise, with shape (C, H, W)."""

    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    x, y = x - shape[1] // 2, y - shape[0] // 2
    r, angle = np.hypot(x, y), np.arctan2(y, x)
    arms = np.exp(-r / 3) * (1 + 0.8 * np.cos(2 * (angle - 2.5 * np.log(r + 1))))
    noise = np.random.default_rng(seed).normal(size=(bands, *shape))

    return (300 * arms * np.arange(1, bands + 1)[:, None, None] + noise + 7).astype(np.float32)


def sky(shape=(41, 49), mirrored=False, ra=150.0, dec=2.0):
    step = 0.4 / 3600
    return {
        **{"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra, "CRVAL2": dec},
        **{"CRPIX1": (shape[1] + 1) / 2, "CRPIX2": (shape[0] + 1) / 2},
        **{"CD1_1": step if mirrored else -step, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": step},
    }


def store_of(folder, recipe):
    info = StoreInfo(recipe.bands, *recipe.size, scale=recipe.scale_text, survey="test")
    return Store.create(folder, info)


def run(folder, sources, recipe=None, **options):
    recipe = recipe or Recipe(BANDS, SIZE)
    store = store_of(folder, recipe)
    counts = ingest(sources, store, recipe, **options)
    return store, counts


def rows_of(store):
    return {row["id"]: row for row in store.manifest.to_pylist()}


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def images(tmp_path):
    for i in range(20):
        write_image(tmp_path / f"images/{i:02d}.fits", galaxy(i), sky())

    return tmp_path / "images"


@pytest.fixture(autouse=True)
def folders(tmp_path):
    (tmp_path / "images").mkdir()


def test_store_undoes_to_the_file(images, tmp_path):
    store, counts = run(tmp_path / "store", find(images, "{id}.fits", BANDS))
    assert counts == {"ok": 20, "flagged": 0, "rejected": 0, "unchanged": 0, "gone": 0}

    for i in (0, 7):
        row = rows_of(store)[f"{i:02d}"]
        stored = store.gather(np.array([i]))[0].astype(np.float64)
        noise, level = ([row[f"{name}_{b}"] for b in BANDS] for name in ("noise", "sky"))
        flux = stored * np.array(noise)[:, None, None] + np.array(level)[:, None, None]
        np.testing.assert_allclose(flux, galaxy(i)[:, 5:36, 6:43], rtol=2e-3, atol=1e-2)
        assert level == pytest.approx([7, 7], abs=1.5) and noise == pytest.approx([1, 1], abs=0.5)
        assert row["scale_arcsec"] == pytest.approx(0.4)
        assert (row["ra"], row["dec"]) == pytest.approx((150, 2))


def one_file_per_band(root, pixels):
    for band, plane in zip(BANDS, pixels, strict=True):
        write_image(root / f"x_{band}.fits", plane, sky())


def extension_per_band(root, pixels):
    write_extensions(root / "x.fits", {"SCI_R": pixels[1], "SCI_G": pixels[0]}, sky())


def cube_in_an_extension(root, pixels):
    write_extensions(root / "x.fits", {"WEIGHT": pixels * 0 + 1, "SCI": pixels}, sky())


def tile_compressed(root, pixels):
    whole = fits.CompImageHDU(pixels.astype(np.int32), fits.Header(sky()), "SCI", "RICE_1")
    fits.HDUList([fits.PrimaryHDU(), whole]).writeto(root / "x.fits.fz")


def gzipped(root, pixels):
    write_image(root / "x", pixels, sky())
    (root / "x.fits.gz").write_bytes(gzip.compress((root / "x").read_bytes()))


def bzipped(root, pixels):
    write_image(root / "x", pixels, sky())
    (root / "x.fits.bz2").write_bytes(bz2.compress((root / "x").read_bytes()))


def scaled_integers(root, pixels):
    scaled = fits.PrimaryHDU(pixels.copy(), fits.Header(sky()))
    scaled.scale("int16", bscale=1, bzero=100)
    scaled.writeto(root / "x.fits")


def doubles(root, pixels):
    write_image(root / "x.fits", pixels.astype("<f8"), sky())


@pytest.mark.parametrize(
    ("write", "pattern", "hdu"),
    [
        (one_file_per_band, "{id}_{band}.fits", None),
        (extension_per_band, "{id}.fits", "SCI_{band}"),
        (cube_in_an_extension, "{id}.fits", "sci"),
        (cube_in_an_extension, "{id}.fits", 2),
        (tile_compressed, "{id}.fits.fz", None),
        (gzipped, "{id}.fits.gz", None),
        (bzipped, "{id}.fits.bz2", None),
        (scaled_integers, "{id}.fits", None),
        (doubles, "{id}.fits", 0),
    ],
)
def test_layouts(write, pattern, hdu, tmp_path):
    pixels = np.round(galaxy())
    write(tmp_path / "images", pixels)
    recipe = Recipe(BANDS, SIZE, hdu=hdu)
    store, _ = run(tmp_path / "store", find(tmp_path / "images", pattern, BANDS), recipe)
    row = rows_of(store)["x"]

    assert row["status"] == "ok", row["reason"]
    stored = store.gather(np.array([0]))[0].astype(np.float64)
    for c, band in enumerate(BANDS):
        flux = stored[c] * row[f"noise_{band}"] + row[f"sky_{band}"]
        np.testing.assert_allclose(flux, pixels[c, 5:36, 6:43], rtol=2e-3, atol=1e-2)


def test_a_mirror_keeps_the_handedness(tmp_path):
    r"""One sky, seen by a camera and by one with a mirror more, is stored as one image."""

    seen = galaxy()
    write_image(tmp_path / "images/plain.fits", seen, sky())
    write_image(tmp_path / "images/mirror.fits", seen[..., ::-1], sky(mirrored=True))
    store, _ = run(tmp_path / "store", find(tmp_path / "images", "{id}.fits", BANDS))
    plain, mirror = store.gather(np.array([store.row("plain"), store.row("mirror")]))

    np.testing.assert_allclose(mirror, plain, rtol=1e-2, atol=1e-2)
    assert np.corrcoef(plain[0].ravel(), plain[0, :, ::-1].ravel())[0, 1] < 0.99


def damaged(root):
    r"""Writes what goes wrong, and returns the start of what should be said of each."""

    def image(name, pixels, **cards):
        write_image(root / f"{name}.fits", np.asarray(pixels, np.float32), sky() | cards)

    whole = galaxy()
    for name in ("good", "good too", "cut", "flagged"):
        image(name, whole)
    (root / "cut.fits").write_bytes((root / "cut.fits").read_bytes()[:9000])
    (root / "empty.fits").write_bytes(b"")
    (root / "text.fits").write_text("<html>404</html>" * 100)
    (root / "gone.fits").symlink_to(root / "deleted.fits")
    table = fits.BinTableHDU.from_columns([fits.Column("x", "D", array=np.arange(99.0))])
    table.writeto(root / "table.fits")
    image("single", whole[0])
    image("many", np.concatenate([whole, whole]))
    image("nan", whole * np.nan)
    image("constant", whole * 0 + 3)
    image("half", np.where(np.arange(49) < 30, np.nan, whole))
    image("infinite", np.where(whole == whole.max(), np.inf, whole))
    corner = whole.copy()
    corner[:, :12, :20] = np.nan
    image("edge", corner)

    return {
        "cut": "truncated",
        "empty": "empty",
        "text": "not a FITS file",
        "gone": "cannot be read",
        "table": "no image",
        "single": "expected a cube (2, H, W)",
        "many": "expected a cube (2, H, W)",
        "nan": "blank",
        "constant": "constant",
        "half": "of the cutout has data",
        "infinite": "infinite",
        "absent": "no file matches",
        "good~2": "duplicate id",
        "nowhere": "position missing",
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_everything_that_goes_wrong(workers, tmp_path):
    root = tmp_path / "images"
    wrong = damaged(root)
    write_image(root / "nowhere.fits", galaxy(), {})
    places = "\n".join(
        f"{name},150,2,{'elliptic' if name == 'flagged' else 'spiral'}"
        for name in ("good", *wrong, "edge", "flagged")
        if name not in {"nowhere", "good~2"}
    )
    table = tmp_path / "t.csv"
    table.write_text(f"id,ra,dec,kind\n{places}\ngood,1,1,spiral\nnowhere,,,spiral\n")
    columns = Columns(*(table, "id", "ra", "dec"), label="kind", classes=("spiral", "elliptical"))
    sources = find(root, "{id}.fits", BANDS, table=columns)
    # What is not in the table has no position to cut at.
    (root / "good too.fits").rename(root / "unlisted.fits")
    sources = find(root, "{id}.fits", BANDS, table=columns)
    store, counts = run(tmp_path / "store", sources, Recipe(BANDS, SIZE), workers=workers)
    rows = rows_of(store)

    rejected = {id for id, row in rows.items() if row["status"] == "rejected"}
    assert rejected == wrong.keys() - {"nowhere"} and counts["rejected"] == len(rejected)
    for name, words in wrong.items():
        if name != "nowhere":
            assert rows[name]["status"] == "rejected", name
            assert words in rows[name]["reason"], rows[name]["reason"]
            assert "fits" in rows[name]["reason"] or "t.csv" in rows[name]["reason"]
    assert rows["good"]["status"] == "ok" and rows["good"]["label"] == "spiral"
    flags = {name: rows[name]["flags"] for name in ("edge", "flagged", "unlisted")}
    assert flags == {"edge": "edge", "flagged": "unknown_label", "unlisted": "not_in_table"}
    assert "did you mean 'elliptical'" in rows["flagged"]["reason"]
    assert rows["edge"]["coverage_g"] == pytest.approx(1 - 7 * 14 / (31 * 37))

    at = Recipe(BANDS, SIZE, at="position")
    store, _ = run(tmp_path / "at", sources, at, workers=workers)
    reasons = {id: row["reason"] for id, row in rows_of(store).items()}
    assert "position missing" in reasons["nowhere"] and "position missing" in reasons["unlisted"]
    assert rows_of(store)["good"]["status"] == "ok"
    assert run(tmp_path / "at", sources, at)[1]["unchanged"] == len(sources)


def test_only_what_is_new(images, tmp_path):
    run(tmp_path / "store", find(images, "{id}.fits", BANDS), chunk=8)
    before = contents(tmp_path / "store")
    store, counts = run(tmp_path / "store", find(images, "{id}.fits", BANDS), chunk=8)
    assert counts["unchanged"] == 20 and contents(tmp_path / "store") == before

    write_image(images / "03.fits", galaxy(99), sky())
    write_image(images / "new.fits", galaxy(98), sky())
    seen = []
    store, counts = run(
        tmp_path / "store",
        find(images, "{id}.fits", BANDS),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert counts["unchanged"] == 19 and counts["ok"] == 2 and seen[-1] == (2, 2)
    assert store.row("03") == 3 and store.row("new") == 20 and len(store.manifest) == 21
    assert all((tmp_path / "store" / name).read_bytes() == old for name, old in before.items())

    fresh, _ = run(tmp_path / "fresh", find(images, "{id}.fits", BANDS))
    assert fresh.fingerprint == store.fingerprint

    # What was delivered once stays, and is counted
    (images / "new.fits").unlink()
    store, counts = run(tmp_path / "store", find(images, "{id}.fits", BANDS))
    assert counts["gone"] == 1 and counts["unchanged"] == 20
    assert len(store.usable) == 21 and store.fingerprint == fresh.fingerprint
    rows = np.arange(20)
    np.testing.assert_array_equal(fresh.gather(rows), store.gather(rows))


@pytest.mark.parametrize(
    ("size", "expected"),
    [("petro", "units of 'petr', did you mean 'petro'"), (None, "data.table.size has none")],
)
def test_scale_of_another_column(tmp_path, size, expected):
    table = Table(path=tmp_path / "t.csv", size=size)
    data = Data(root=tmp_path, bands=BANDS, size=SIZE, scale="4 x petr", table=table)

    with pytest.raises(ConfigError, match=expected):
        runs.ingest(Experiment(name="x", folder=tmp_path, data=data))


def test_headers_are_remembered(tmp_path, monkeypatch):
    r"""What is unchanged costs a stat, in frames of the sky too."""

    write_image(tmp_path / "images/f.fits", galaxy(bands=2), sky())
    (tmp_path / "t.csv").write_text("id,ra,dec\na,150,2\n")
    table = Table(path=tmp_path / "t.csv", ra="ra", dec="dec")
    data = Data(root=tmp_path / "images", pattern="*.fits", bands=BANDS, size=SIZE, table=table)
    experiment = Experiment(name="x", folder=tmp_path, data=data)
    read, once = [], FitsFile.open
    monkeypatch.setattr(FitsFile, "open", lambda path: read.append(path.name) or once(path))

    assert runs.ingest(experiment)["unchanged"] == 0 and len(read) == 2
    assert runs.ingest(experiment)["unchanged"] == 1 and len(read) == 2
    assert (tmp_path / "x/headers.json").exists()


def test_fingerprint_tells_how_pixels_were_made(tmp_path):
    root = tmp_path / "images"
    write_extensions(root / "x.fits", {"A": galaxy(1), "B": galaxy(2)}, sky())
    table = tmp_path / "t.csv"
    table.write_text("id,ra,dec\nx,150.0,2.0\n")
    columns = Columns(table, ra="ra", dec="dec")

    def fingerprint(**options):
        sources = find(root, "{id}.fits", BANDS, table=columns)
        store, counts = run(tmp_path / "store", sources, Recipe(BANDS, SIZE, **options))
        return store.fingerprint, counts["unchanged"]

    first, _ = fingerprint(hdu="A")
    os.utime(root / "x.fits", (1, 1))
    assert fingerprint(hdu="A") == (first, 0)
    assert fingerprint(hdu="A") == (first, 1)
    assert fingerprint(hdu="B")[0] != first
    at, _ = fingerprint(hdu="A", at="position")
    table.write_text("id,ra,dec\nx,150.0004,2.0\n")
    moved, _ = fingerprint(hdu="A", at="position")
    assert len({first, at, moved}) == 3
    table.write_text("id,ra,dec\nx,150.0,2.0\n")
    assert fingerprint(hdu="A") == (first, 0)


@pytest.fixture
def unreadable(monkeypatch):
    r"""Files of these names lie on a disk that does not answer."""

    names, once = set(), Path.read_bytes

    def read(path):
        if path.name in names:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return once(path)

    monkeypatch.setattr(Path, "read_bytes", read)

    return names


def test_a_disk_that_fails_for_a_while(images, tmp_path, unreadable):
    unreadable |= {"03.fits", "04.fits"}
    sources = find(images, "{id}.fits", BANDS)
    store, counts = run(tmp_path / "store", sources, chunk=8)
    assert counts["rejected"] == 2 and counts["ok"] == 18
    reason = f"{images}/03.fits cannot be read: Input/output error"
    assert rows_of(store)["03"]["reason"] == reason

    # As long as nothing changes nothing is written
    before = contents(tmp_path / "store")
    _, counts = run(tmp_path / "store", sources, chunk=8)
    assert counts == {"ok": 0, "flagged": 0, "rejected": 2, "unchanged": 18, "gone": 0}
    assert contents(tmp_path / "store") == before

    # What is new comes first
    unreadable.remove("03.fits")
    write_image(images / "new.fits", galaxy(98), sky())
    sources = find(images, "{id}.fits", BANDS)
    store, counts = run(tmp_path / "store", sources, chunk=8)
    assert counts == {"ok": 2, "flagged": 0, "rejected": 1, "unchanged": 18, "gone": 0}
    assert store.manifest["id"].to_pylist() == [source.id for source in sources]
    unreadable.clear()
    store, counts = run(tmp_path / "store", sources, chunk=8)
    assert counts == {"ok": 1, "flagged": 0, "rejected": 0, "unchanged": 20, "gone": 0}
    fresh, _ = run(tmp_path / "fresh", sources)
    assert store.fingerprint == fresh.fingerprint
    assert run(tmp_path / "store", sources)[1]["unchanged"] == 21


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_kill_while_a_disk_fails(images, tmp_path, unreadable, monkeypatch, parts):
    r"""The rest of an ingest that resumes is what it would have been, byte for byte."""

    unreadable |= {"03.fits", "11.fits"}
    sources = find(images, "{id}.fits", BANDS)
    run(tmp_path / "whole", sources, chunk=8)
    commit, left = Store.commit, iter(range(parts))

    def killed(self, *args):
        commit(self, *args)
        if next(left) == parts - 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "commit", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "store", sources, chunk=8)
    run(tmp_path / "store", sources, chunk=8)

    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


def test_zero_points_of_some_bands(tmp_path):
    r"""A survey knows those of its bands, whichever of them are taken."""

    write_image(tmp_path / "images/x.fits", galaxy(), sky())
    found = {}
    for bands in [("g", "r"), ("r", "Ks"), ("J", "Ks")]:
        home = tmp_path / "-".join(bands)
        data = Data(root=tmp_path / "images", bands=bands, size=SIZE, survey="sdss", workers=1)
        runs.ingest(Experiment(name="x", folder=home, data=data))
        (row,) = Store.open(home / "x/store").manifest.to_pylist()
        found[bands] = [row[f"zero_point_{band}"] for band in bands]

    expected = {("g", "r"): [22.5, 22.5], ("r", "Ks"): [22.5, math.nan]}
    np.testing.assert_equal(found, expected | {("J", "Ks"): [math.nan, math.nan]})


def test_workers_make_the_same_bytes(images, tmp_path):
    sources = find(images, "{id}.fits", BANDS)
    run(tmp_path / "one", sources, workers=1, chunk=7)
    run(tmp_path / "two", sources, workers=2, chunk=7)

    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_two_at_once(images, tmp_path, caplog):
    sources = find(images, "{id}.fits", BANDS)
    run(tmp_path / "one", sources, chunk=4)
    seen = []
    threads = [
        threading.Thread(target=lambda: seen.append(run(tmp_path / "two", sources, chunk=4)[1]))
        for _ in range(3)
    ]
    with caplog.at_level(logging.WARNING):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(counts["unchanged"] for counts in seen) == [0, 20, 20]
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert "waiting for it to end" in caplog.text


def test_kills(tmp_path):
    before = {*multiprocessing.active_children()}  # which joblib keeps for a while
    outcome = torture("ingest", Ingest(galaxies=100, workers=2), tmp_path, kills=2)

    assert outcome.kills == 2 and not outcome.differing
    assert not {*multiprocessing.active_children()} - before


def test_full_disk_leaves_a_valid_store(images, tmp_path, monkeypatch):
    sources = find(images, "{id}.fits", BANDS)
    run(tmp_path / "whole", sources, chunk=8)
    commit, calls = Store.commit, []

    def full(self, pixels, rows):
        calls.append(rows)
        if len(calls) == 2:
            raise PipelineError("the disk is full")
        commit(self, pixels, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "commit", full)
        with pytest.raises(PipelineError, match="full"):
            run(tmp_path / "store", sources, chunk=8)
    assert len(Store.open(tmp_path / "store").usable) == 8
    run(tmp_path / "store", sources, chunk=8)

    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


def test_real_data(shared_data: Path, tmp_path):
    root = shared_data / "decals_grz"
    recipe = Recipe(("g", "r", "z"), (128, 160))
    store, _ = run(tmp_path / "store", find(root, "{id}.fits", recipe.bands), recipe)
    rows = rows_of(store)

    assert "truncated" in rows["example_incomplete"]["reason"]
    assert rows["example_bad_pix"]["status"] == "flagged"
    assert rows["example_bad_pix"]["coverage_g"] < rows["example_bad_pix"]["coverage_z"] == 1
    root = shared_data / "specimens"
    one = Recipe(("f105w",), (32, 35), pixel_scale=0.06)
    store, _ = run(tmp_path / "hst", find(root, "{id}.fits.gz", one.bands), one)
    counts = {row["id"]: row["status"] for row in store.manifest.to_pylist()}
    assert counts.pop("abell_2744_dwarf_galaxy_f105w_rms") == "rejected"
    assert "rejected" not in counts.values() and len(counts) == 4

    near = [(rows[id]["ra"], rows[id]["dec"]) for id in ("example_d", "example_bad_pix")]
    np.testing.assert_allclose(*near, atol=1e-3)


def test_workers_leave_standard_output():
    code = "import os; from pipeline.workers import in_order;"
    code += "print(sum(in_order(os.write, [(1, b'noise')] * 3, 2)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert done.stdout == b"15\n" and done.stderr == b"noise" * 3

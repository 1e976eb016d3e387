import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from astropy.table import Table
from PIL import Image

from models import build
from pipeline import classify as module
from pipeline.admission import images
from pipeline.calibration import apply
from pipeline.card import Card, load_card, save_card
from pipeline.catalogue import read_table
from pipeline.catalogue.parts import Parts
from pipeline.classify import classify
from pipeline.errors import ConfigError, DataError
from pipeline.feeds import FileFeed, StoreFeed
from pipeline.fits import write_extensions, write_image
from pipeline.ingest import Recipe, ingest
from pipeline.serving import Server
from pipeline.sources import Source, find
from pipeline.store import Store, StoreInfo
from pipeline.stretch import Stretch

INFO = StoreInfo(
    bands=("g", "r"), height=24, width=28, scale="native", survey="s", classes=("round", "disk")
)
STATUS = ["ok", "ok", "rejected", "flagged", "ok"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(module, "BATCH", {"cpu": 4})
    monkeypatch.setattr(module, "PART", 2)


def card_of(info, classes=("round", "disk"), **changes):
    card = Card(
        model="lenet",
        args={},
        bands=info.bands,
        height=info.height,
        width=info.width,
        scale=info.scale,
        survey=info.survey,
        stretch={"kind": "asinh"},
        classes=classes,
        mirror=tuple(range(len(classes))),
        temperature=1.7,
        name="demo",
        fingerprint="abc",
    )
    return replace(card, **changes)


@pytest.fixture
def model(tmp_path):
    save_card(tmp_path / "model", card_of(INFO), build("lenet", bands=2, classes=2))
    return tmp_path / "model"


def fill(folder, count, info=INFO):
    random = np.random.default_rng(0)
    store = Store.create(folder, info)
    for start in range(0, count, 13):
        ids = range(start, min(start + 13, count))
        rows = [
            {
                "id": f"J{i:04d}",
                "status": STATUS[i % 5],
                "digest": str(i),
                "ra": 10.0 + i,
                "dec": -i / 7,
                "flags": "edge" if STATUS[i % 5] == "flagged" else "",
                "reason": "the file is empty" if STATUS[i % 5] == "rejected" else "",
            }
            for i in ids
        ]
        kept = sum(row["status"] != "rejected" for row in rows)
        shape = (kept, len(info.bands), info.height, info.width)
        store.commit(random.normal(size=shape).astype(np.float16), rows)

    return store


@pytest.fixture
def store(tmp_path):
    # Three parts of 8, the last one of a single batch of one
    return fill(tmp_path / "store", 17)


@pytest.mark.parametrize("suffix", ["parquet", "fits", "vot", "csv"])
def test_catalogue(tmp_path, model, store, suffix):
    to = tmp_path / f"galaxies.{suffix}"
    answer = classify(model, StoreFeed(store), to)
    table = read_table(to)

    # Every input is a row, in the order of the store
    assert table["id"].tolist() == [f"J{i:04d}" for i in range(17)]
    assert table["status"].tolist() == [STATUS[i % 5] for i in range(17)]
    assert np.allclose(table["ra"], 10.0 + np.arange(17))
    rejected = np.array([s == "rejected" for s in table["status"]])
    p = np.stack([table["p_round"], table["p_disk"]], axis=1)
    assert np.isnan(p[rejected]).all() and np.isnan(table["entropy"][rejected]).all()
    assert set(table["class"][rejected]) == {""}
    assert {*table["reason"][rejected]} == {*answer["rejected_because"]} == {"the file is empty"}

    # The probabilities are those of the network, calibrated, one galaxy at a time
    card, network = load_card(model)
    for i, row in enumerate(np.flatnonzero(~rejected)):
        pixels = torch.from_numpy(store.gather(np.array([row])))
        with torch.no_grad():
            z = network(Stretch(**card.stretch)(pixels)).numpy()
        assert np.allclose(p[row], apply(z, 1.7)[0], atol=1e-5), i
    p = p[~rejected]
    assert np.allclose(p.sum(axis=1), 1)
    assert (np.array(["round", "disk"])[p.argmax(axis=1)] == table["class"][~rejected]).all()
    assert np.allclose(table["entropy"][~rejected], -(p * np.log2(p)).sum(axis=1), atol=1e-5)
    assert (table["entropy"][~rejected] <= 1).all()  # one bit for two classes

    # What it is, for whoever opens it
    assert table["ra"].unit == "deg" and table["entropy"].unit == "bit"
    assert "Calibrated" in table["p_disk"].description
    metadata = {key.lower(): value for key, value in table.meta.items()}
    assert metadata["model_version"] == card.digest
    assert metadata["data"] == store.fingerprint
    assert metadata["software"].startswith("tuningfork 0")

    assert answer["classified"] == 14 and answer["rejected"] == 3
    assert sum(answer["by_class"].values()) == 14
    assert not Path(f"{to}.parts").exists()


@pytest.mark.parametrize("suffix", ["parquet", "fits", "vot", "csv"])
def test_members(tmp_path, model, store, suffix, monkeypatch):
    r"""A catalogue says which galaxies taught its model, after a kill too."""

    members = {"J0001": "train", "J0016": "test"}
    to = tmp_path / f"galaxies.{suffix}"
    with monkeypatch.context() as patch:
        patch.setattr(Parts, "finish", lambda *_: 1 / 0)
        for others in ({"J0003": "train"}, members):
            with pytest.raises(ZeroDivisionError):
                classify(model, StoreFeed(store), to, members=others)
    assert classify(model, StoreFeed(store), to, members=members)["parts_found_done"] == 3
    table = read_table(to)

    found = dict(zip(table["id"].tolist(), table["part"].tolist(), strict=True))
    assert {id: part for id, part in found.items() if part} == members
    assert "what it was to the model" in table["part"].description


def test_symmetries(tmp_path, store):
    r"""A mirrored galaxy has the mirrored probabilities."""

    card = card_of(INFO, mirror=(1, 0), symmetries=True)
    network = build("lenet", bands=2, classes=2)
    with torch.no_grad():
        network.head.weight *= 30
    save_card(tmp_path / "model", card, network)
    flipped = Store.create(tmp_path / "flipped", INFO)
    pixels = store.gather(store.usable)[..., ::-1]
    flipped.commit(pixels, [{"id": str(i), "status": "ok"} for i in range(len(pixels))])

    tables = []
    for one in (store, flipped):
        classify(tmp_path / "model", StoreFeed(one), tmp_path / "c.parquet")
        table = read_table(tmp_path / "c.parquet")
        tables.append(table[table["status"] != "rejected"])
    assert np.allclose(tables[0]["p_round"], tables[1]["p_disk"], atol=1e-5)
    assert np.ptp(tables[0]["p_round"]) > 1e-3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bands": ("r", "g")}, "found bands g, r, expected r, g"),
        ({"height": 28, "width": 24}, "found size 24, 28, expected 28, 24"),
        ({"scale": "0.4 arcsec"}, "found scale native, expected 0.4 arcsec"),
        ({"survey": "t"}, "found survey s, expected t"),
        ({"classes": ("round", "edge")}, "found classes round, disk, expected round, edge"),
    ],
)
def test_misfit(tmp_path, store, changes, message):
    save_card(tmp_path / "model", card_of(INFO, **changes), build("lenet", bands=2, classes=2))

    with pytest.raises(DataError, match=message):
        classify(tmp_path / "model", StoreFeed(store), tmp_path / "galaxies.csv")
    assert not list(tmp_path.glob("galaxies*"))


def test_refusals(tmp_path, model, store):
    with pytest.raises(ConfigError, match=r"\.fit'.*did you mean '\.fits'"):
        classify(model, StoreFeed(store), tmp_path / "galaxies.fit")
    empty = Store.create(tmp_path / "empty", INFO)
    with pytest.raises(DataError, match="no input"):
        classify(model, StoreFeed(empty), tmp_path / "galaxies.fits")
    with pytest.raises(DataError, match="is not a model card"):
        classify(tmp_path, StoreFeed(store), tmp_path / "galaxies.fits")


class Broken(StoreFeed):
    r"""A feed that fails on the way."""

    def stream(self, start, size):
        for number, batch in enumerate(super().stream(start, size)):
            if number == 3:
                raise DataError("the disk went away")
            yield batch


def test_resume(tmp_path, model, store):
    whole, again = tmp_path / "whole.fits", tmp_path / "again.fits"
    assert classify(model, StoreFeed(store), whole)["parts_found_done"] == 0

    with pytest.raises(DataError, match="went away"):
        classify(model, Broken(store), again)
    assert not again.exists()
    assert classify(model, StoreFeed(store), again)["parts_found_done"] == 1
    assert again.read_bytes() == whole.read_bytes()

    # Parts of another model, or of other inputs, are not taken for these
    with pytest.raises(DataError, match="went away"):
        classify(model, Broken(store), again)
    save_card(tmp_path / "model", card_of(INFO), build("lenet", bands=2, classes=2))
    with pytest.raises(DataError, match="went away"):
        classify(model, Broken(store), again)
    store.commit(np.zeros((0, 2, 24, 28), np.float16), [{"id": "late", "status": "rejected"}])
    answer = classify(model, StoreFeed(store), again)
    assert answer["parts_found_done"] == 0
    assert answer["inputs"] == 18


KILLED = """
import sys, torch
from pathlib import Path
from pipeline import classify as module
from pipeline.feeds import StoreFeed
from pipeline.store import Store

torch.set_num_threads(1)
module.BATCH, module.PART = {"cpu": 4}, 2
module.classify(Path("model"), StoreFeed(Store.open(Path("store"))), Path(sys.argv[1]))
"""


def test_sigkill(tmp_path, model):
    r"""Killed, it leaves no catalogue, and ends with the bytes of the uninterrupted one."""

    store = fill(tmp_path / "store", 1600)
    call = {"cwd": tmp_path, "env": {"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": ""}}
    process = subprocess.Popen([sys.executable, "-c", KILLED, "again.csv"], **call)
    while len(list(tmp_path.glob("again.csv.parts/*.parquet"))) < 30:
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "again.csv").exists()
    (tmp_path / ".again.csv.00c0ffee.part").touch()  # as if killed later

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for name in ("again.csv", "whole.csv"):
        done = classify(model, StoreFeed(store), tmp_path / name)["parts_found_done"]
        assert (done >= 30) == (name == "again.csv")
    torch.set_num_threads(threads)

    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not list(tmp_path.glob(".*.part"))


@pytest.fixture
def files(tmp_path):
    random = np.random.default_rng(1)
    (tmp_path / "images").mkdir()
    for i in range(11):
        pixels = random.normal(10, 1, size=(2, 24, 28)).astype(np.float32)
        y, x = np.mgrid[:24, :28]
        pixels += 200 * np.exp(-((y - 11.5) ** 2 + (x - 13.5) ** 2) / 18)
        write_image(tmp_path / f"images/{i:02d}.fits", pixels.astype(np.float32), {})
    (tmp_path / "images/05.fits").write_bytes(b"")
    Table({"id": [f"{i:02d}" for i in range(11)]}).write(tmp_path / "t.csv")

    return find(tmp_path / "images", "{id}.fits", INFO.bands), Recipe(INFO.bands, (24, 28))


def test_files(tmp_path, model, files):
    r"""Files give the catalogue of a store that was ingested from them."""

    info = replace(INFO, classes=())
    classify(model, FileFeed(*files, info), tmp_path / "files.parquet")
    store = Store.create(tmp_path / "store", info)
    ingest(*files[:1], store, *files[1:])
    classify(model, StoreFeed(store), tmp_path / "store.parquet")

    ours, theirs = (read_table(tmp_path / f"{name}.parquet") for name in ("files", "store"))
    assert ours["status"].tolist().count("rejected") == 1
    assert ours.colnames == theirs.colnames
    for name in ours.colnames:
        assert np.array_equal(ours[name], theirs[name], equal_nan=ours[name].dtype.kind == "f")
    assert ours.meta["data"]


def test_changed_file_starts_anew(tmp_path, files):
    feed = FileFeed(*files, INFO)
    (tmp_path / "images/03.fits").write_bytes(b"changed")
    assert FileFeed(*files, INFO).stamp != feed.stamp


def draw(path, scale=0.4, **cards):
    random = np.random.default_rng(2)
    y, x = np.mgrid[:24, :28]
    blob = 200 * np.exp(-((y - 11.5) ** 2 + (x - 13.5) ** 2) / 18)
    pixels = (random.normal(10, 1, size=(2, 24, 28)) + blob).astype(np.float32)
    cards |= {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 5.0}
    cards |= {"CRPIX1": 14.5, "CRPIX2": 12.5, "CDELT1": -scale / 3600, "CDELT2": scale / 3600}
    write_image(path, pixels, cards)

    return pixels


def test_other_scale(tmp_path):
    r"""On a native grid, what the model cannot have learnt from is a row that says so."""

    card = card_of(replace(INFO, classes=()), pixel_arcsec=0.4)
    save_card(tmp_path / "model", card, build("lenet", bands=2, classes=2))
    for name, scale in (("a", 0.41), ("b", 0.262), ("c", 0.4)):
        draw(tmp_path / f"{name}.fits", scale)
    sources = find(tmp_path, "{id}.fits", INFO.bands)
    recipe, info = Recipe(INFO.bands, (24, 28)), replace(INFO, classes=())
    store = Store.create(tmp_path / "store", info)
    ingest(sources, store, recipe)

    reason = "scale 0.262 arcsec per pixel, the model learnt from 0.4"
    for feed in (FileFeed(sources, recipe, info), StoreFeed(store)):
        classify(tmp_path / "model", feed, tmp_path / "c.csv")
        table = read_table(tmp_path / "c.csv")
        assert [s == "rejected" for s in table["status"]] == [False, True, False]
        assert table["reason"][1] == reason
        assert np.isnan(table["p_disk"]).tolist() == [False, True, False]

    paths = [str(tmp_path / f"{name}.fits") for name in "abc"]
    served = Server(tmp_path / "model").predict(paths)
    assert served["reason"][1] == reason
    assert np.allclose(served["disk"][[0, 2]], table["p_disk"][[0, 2]], atol=1e-5)

    table = pd.DataFrame({"id": ["a", "b", "c"], "path": paths})
    with pytest.raises(DataError, match="with the columns id, path, expected one column of paths"):
        Server(tmp_path / "model").predict(table)

    # A picture has none, unless the experiment gave it
    Image.fromarray(np.zeros((24, 28, 3), np.uint8) + np.arange(28, dtype=np.uint8)[:, None]).save(
        tmp_path / "p.png"
    )
    three = replace(INFO, bands=("g", "r", "i"), classes=())
    for scale, why in ((None, "scale unknown, the model learnt from 0.4 arcsec per"), (0.4, "")):
        told = card_of(three, pixel_arcsec=0.4, reading={"pixel_scale": scale})
        save_card(tmp_path / "three", told, build("lenet", bands=3, classes=2))
        (reason,) = Server(tmp_path / "three").predict([str(tmp_path / "p.png")])["reason"]
        assert reason.startswith(why) and bool(reason) == bool(why)

    # What it learnt from may be unknown, and a grid of a fixed scale is made
    for changes in ({"pixel_arcsec": None}, {"scale": "0.2 arcsec"}):
        save_card(tmp_path / "model", replace(card, **changes), build("lenet", bands=2, classes=2))
        served = Server(tmp_path / "model").predict(paths)
        assert served["disk"].notna().all()


@pytest.mark.parametrize(
    ("cards", "found"),
    [
        ({"BAND1": "g", "BAND2": "r"}, None),
        ({"BAND0": "G", "BAND1": "r DECam SDSS c0002 6415.0"}, None),
        ({"BAND1": "g", "BAND2": "z"}, "g, z"),
        ({"BAND1": "r", "BAND2": "g"}, "r, g"),
        ({"FILTER": "gr"}, None),
        ({"FILTER": "iz"}, "i, z"),
        ({"FILTER": "GG395"}, None),
    ],
)
def test_other_bands(tmp_path, cards, found):
    draw(tmp_path / "a.fits", **cards)
    feed = images(card_of(INFO), [Source("a", (tmp_path / "a.fits",))])
    (((row,), pixels),) = feed.stream(0, 4)

    assert len(pixels) == (found is None)
    why = f"{tmp_path}/a.fits: found the bands {found}, expected g, r"
    assert row["reason"] == ("" if found is None else why)


def test_other_filters(tmp_path):
    r"""The same of files and of extensions that have a band each, called as it is usual there."""

    pixels = draw(tmp_path / "a.fits")
    for name, filters in (("fine", ("F606W", "F814W")), ("swapped", ("F814W", "F606W"))):
        for plane, band, filter in zip(pixels, "vi", filters, strict=True):
            write_image(tmp_path / f"{name}_{band}.fits", plane, {"FILTER": filter})
    write_extensions(tmp_path / "e.fits", dict(zip("gr", pixels, strict=True)), {"FILTER": "z"})

    def reasons(card, *sources):
        found = [row["reason"] for rows, _ in images(card, sources).stream(0, 9) for row in rows]
        return [reason.rpartition(": ")[2] for reason in found]

    both = [
        Source(name, tuple(tmp_path / f"{name}_{band}.fits" for band in "vi"))
        for name in ("fine", "swapped")
    ]
    card = card_of(replace(INFO, bands=("f606w", "f814w")))
    assert reasons(card, *both) == ["", "found the bands F814W, F606W, expected f606w, f814w"]
    assert reasons(card_of(replace(INFO, bands=("v", "i"))), *both) == ["", ""]
    card = card_of(INFO, reading={"hdu": "{band}", "pixel_scale": None, "at": "centre"})
    one = Source("e", (tmp_path / "e.fits",))
    assert reasons(card, one) == ["found the bands z, z, expected g, r"]

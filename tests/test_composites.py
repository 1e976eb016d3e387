r"""Pictures of Galaxy Zoo, from files to a catalogue."""

from pathlib import Path

import numpy as np
import pytest

from models import build
from pipeline import runs
from pipeline.card import Card, save_card
from pipeline.catalogue import read_table
from pipeline.config import load
from pipeline.errors import DataError
from pipeline.serving import Server

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture
def composites(shared_data, tmp_path):
    r"""Pictures of Galaxy Zoo, and a model with random weights that learnt from their like."""

    folder = tmp_path / "images"
    folder.mkdir()
    for path in sorted((shared_data / "gz1_sdss/images").glob("*.jpeg"))[:3]:
        (folder / path.name).write_bytes(path.read_bytes())
    card = Card(
        model="lenet",
        args={},
        bands=("g", "r", "i"),
        height=40,
        width=48,
        scale="3 arcsec",
        survey="gz1",
        pixel_arcsec=3.0,
        reading={"hdu": None, "pixel_scale": 1.0, "at": "centre"},
        stretch={"kind": "asinh"},
        classes=("round", "disk"),
        mirror=(0, 1),
    )
    save_card(tmp_path / "model", card, build("lenet", bands=3, classes=2))

    return folder, tmp_path / "model"


def classified(model, input):
    to = model.parent / "catalogue.csv"
    runs.classify(str(model), input, to)

    return read_table(to)


def test_classify_composites(composites):
    r"""Files without a scale of their own are read like those that the model learnt from."""

    folder, model = composites
    table = classified(model, folder)
    paths = sorted(folder.iterdir())
    served = Server(model).predict([str(path) for path in paths])

    assert [str(id) for id in table["id"]] == [path.stem for path in paths]
    np.testing.assert_allclose(table["p_round"], served["round"], atol=1e-5)
    assert np.isfinite(table["p_round"]).all()


def test_classify_one_image(composites):
    folder, model = composites
    one = sorted(folder.iterdir())[1]

    assert [str(id) for id in classified(model, one)["id"]] == [one.stem]


def test_classify_all_formats(composites):
    r"""Every image of a folder is a row, whatever it ends in, and nothing else is."""

    folder, model = composites
    first, second, third = sorted(folder.iterdir())
    first.rename(folder / "a.JPG")
    second.rename(folder / "a.jpeg")
    third.rename(folder / "b.c.jpeg")
    for name in ("a.txt", ".d.jpeg", "e.fits.fz", "f.fits.gz", "g.fit"):
        (folder / name).write_bytes(b"not an image")
    table = classified(model, folder)

    assert list(table["id"]) == ["a.JPG", "a.jpeg", "b.c", "e", "f", "g"]
    assert list(table["status"] == "rejected") == [False] * 3 + [True] * 3
    with pytest.raises(DataError, match="has no image"):
        runs.classify(str(model), model, folder / "c.csv")


def test_classify_after_a_kill(composites):
    r"""A model that a killed save has left aside is found."""

    folder, model = composites
    model.rename(model.with_name(".model.old"))

    assert len(classified(model, folder)) == 3


def test_nothing_usable(composites, tmp_path):
    r"""Where every input is rejected, the reasons are told, and what is there stays."""

    folder, model = composites
    to = tmp_path / "catalogue.csv"
    runs.classify(str(model), folder, to)
    before = to.read_bytes()
    first, *others = sorted(folder.iterdir())
    first.write_bytes(first.read_bytes()[:5000])
    for path in others:
        path.write_bytes(b"nothing")
    told = rf"all 3 inputs are rejected, 2: e.g. {others[0]} is not a JPEG .*; 1: {first} is dam"
    with pytest.raises(DataError, match=told):
        runs.classify(str(model), folder, to)
    assert to.read_bytes() == before
    assert not list(tmp_path.glob("*.parts"))

    settings = {"folder": tmp_path, "data.root": tmp_path, "data.pattern": "images/{id}.jpeg"}
    settings |= {"data.table": "null", "data.labels": "null", "simulate": "null"}
    experiment = load(CONFIGS / "demo.yaml", [f"{k}={v}" for k, v in settings.items()])
    with pytest.raises(DataError, match=rf"all 3 inputs are rejected, 2: e.g. {others[0]} is not"):
        runs.ingest(experiment)

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier

from models import build
from pipeline.card import Card, common_scale, load_card, load_model, save_card
from pipeline.errors import DataError, PipelineError
from pipeline.trees import Trees

CARD = Card(
    model="cutout_resnet",
    args={},
    bands=("g", "r", "i"),
    height=32,
    width=48,
    scale="0.4 arcsec",
    survey="simulated",
    pixel_arcsec=0.4,
    reading={"hdu": "SCI_{band}", "pixel_scale": None, "at": "centre"},
    stretch={"kind": "asinh", "softening": 3.0},
    classes=("round", "cw", "acw"),
    mirror=(0, 2, 1),
    temperature=1.3,
    symmetries=True,
    name="demo",
    metrics={"accuracy": 0.9},
)


@pytest.fixture
def model():
    return build("cutout_resnet", bands=3, classes=3)


def test_round_trip(tmp_path, model):
    x = torch.randn(4, 3, 32, 48)
    model(x)  # moves the statistics of the normalisations
    saved = save_card(tmp_path / "model", CARD, model)
    card, twin = load_card(tmp_path / "model")

    assert card == saved == replace(CARD, digest=card.digest)
    assert not twin.training
    assert torch.equal(twin(x), model.eval()(x))
    assert sorted(os.listdir(tmp_path)) == [".lock", "model"]
    assert {p.name for p in (tmp_path / "model").iterdir()} == {"card.json", "weights.safetensors"}

    again = save_card(tmp_path / "again", CARD, twin)
    assert again.digest == card.digest
    for name in ("card.json", "weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


def test_forest(tmp_path, model, monkeypatch):
    r"""A forest is a part of the model: kept, replaced and missed with it."""

    monkeypatch.setattr("pipeline.card.number_names", lambda _: ("a", "b", "c", "d"))

    numbers = np.random.default_rng(0).normal(size=(60, 4))
    forest = RandomForestClassifier(5, random_state=0).fit(numbers, (numbers[:, 1] > 0) * 1)
    trees, folder = Trees.of(forest, num_classes=3), tmp_path / "model"
    card = replace(CARD, numbers=("a", "b", "c", "d"))
    saved = save_card(folder, card, model, trees)
    assert saved.digest != save_card(tmp_path / "alone", CARD, model).digest
    assert load_card(folder)[0] == saved and load_model(tmp_path / "alone")[2] is None
    twin = load_model(folder)[2]
    for name, array in vars(trees).items():
        assert np.array_equal(getattr(twin, name), array)

    save_card(tmp_path / "old", replace(card, numbers=("a", "b", "d", "c")), model, trees)
    with pytest.raises(DataError, match=r"old/card\.json: the forest asks for 4 numbers"):
        load_card(tmp_path / "old")

    path = folder / "forest.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(DataError, match=r"forest\.safetensors is damaged"):
        load_card(folder)
    path.unlink()
    with pytest.raises(DataError, match=r"forest\.safetensors is a part of the model and cannot"):
        load_card(folder)
    save_card(folder, CARD, model)
    assert not path.exists() and load_model(folder)[2] is None


def test_replaced_or_left(tmp_path, model, monkeypatch):
    r"""A save that fails leaves the model that was there."""

    folder = tmp_path / "model"
    first = save_card(folder, CARD, model)

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "disk full")))
        with pytest.raises(PipelineError, match=r"weights\.\w+ cannot be written: the disk"):
            save_card(folder, CARD, build("cutout_resnet", bands=3, classes=3))
    assert load_card(folder)[0] == first

    second = save_card(folder, CARD, build("cutout_resnet", bands=3, classes=3))
    assert load_card(folder)[0] == second != first
    assert sorted(os.listdir(tmp_path)) == [".lock", "model"]


def test_killed_in_between(tmp_path, model, monkeypatch):
    r"""A save killed after it has taken the old model away loses it for nobody."""

    folder, other = tmp_path / "model", build("cutout_resnet", bands=3, classes=3)
    first = save_card(folder, CARD, model)
    rename = Path.rename

    def killed(path, target):
        if path.name == ".model.new":
            raise KeyboardInterrupt
        return rename(path, target)

    for _ in range(2):
        with monkeypatch.context() as broken:
            broken.setattr(Path, "rename", killed)
            with pytest.raises(KeyboardInterrupt):
                save_card(folder, CARD, other)
        assert not folder.exists()
    assert load_card(folder)[0] == first

    # A reader puts the old one back while the writer is between its two steps
    def raced(path, target):
        if path.name == ".model.new" and not folder.exists():
            monkeypatch.setattr(Path, "rename", rename)
            load_card(folder)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", raced)
    assert save_card(folder, CARD, other) == load_card(folder)[0] != first
    assert sorted(os.listdir(tmp_path)) == [".lock", "model"]


def test_common_scale():
    nan = np.nan

    assert common_scale(np.array([nan, *[0.4, 0.41, 0.39] * 5])) == 0.4
    assert common_scale(np.array([nan, 0.4, 0.41, 0.39])) is None
    assert common_scale(np.array([nan, nan])) is None
    assert common_scale(np.repeat([0.26, 0.4], 20)) is None
    assert common_scale(np.append(np.full(99, 0.4), 4.0)) == 0.4


def damage_weights(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-8])


def edit(**changes):
    def change(folder):
        path = folder / "card.json"
        values = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({k: v for k, v in values.items() if v is not None}))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "card.json").unlink(), "is not a model card.*card.json"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "s.safetensors is a part"),
        (lambda folder: (folder / "card.json").write_text("{"), "card.json: not JSON"),
        (lambda folder: (folder / "card.json").write_text("[1]"), "card.json: expected a model"),
        (damage_weights, "weights.safetensors is damaged"),
        (edit(format=3), "card.json: expected a model card of format 2, found 3"),
        (edit(clases=[]), "card.json: unknown key 'clases', did you mean 'classes'?"),
        (edit(temperature=None), "card.json: no temperature"),
        (edit(temperature="1"), "card.json: temperature='1', expected a number above 0"),
        (edit(temperature=-1.0), "card.json: temperature=-1.0, expected a number above 0"),
        (edit(model="cutout_resne"), "card.json: unknown model .* did you mean 'cutout_resnet'?"),
        (edit(bands=["g"]), "weights.safetensors does not fit 'cutout_resnet'"),
    ],
)
def test_damage(tmp_path, model, change, message):
    save_card(tmp_path / "model", CARD, model)
    change(tmp_path / "model")

    with pytest.raises(DataError, match=message):
        load_card(tmp_path / "model")

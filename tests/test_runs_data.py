r"""From files to a store and a split, as an experiment has it."""

import fcntl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline import runs, split
from pipeline.config import build, load
from pipeline.errors import ConfigError, DataError
from pipeline.files import write_json
from pipeline.fits import write_image
from pipeline.runs.data import sample
from pipeline.store import Store, StoreInfo

CONFIGS = Path(__file__).parents[1] / "configs"


def test_overlapping_cutouts_stay_together(tmp_path):
    r"""Two cutouts that share a corner only are on one side of the split."""

    experiment = load(CONFIGS / "demo.yaml", [f"folder={tmp_path}", "data.size=[20, 20]"])
    store = Store.create(
        tmp_path / "demo/store", StoreInfo(experiment.data.bands, 20, 20, "native", "simulated")
    )
    classes = experiment.data.labels.classes
    step = 0.9 * 20 / 3600  # degrees, in both directions, of pixels of an arcsecond
    rows = [
        {
            "id": f"{i}",
            "ra": i // 2 + step * (i % 2),
            "dec": step * (i % 2),
            "label": classes[i // 2 % 8],
            "scale_arcsec": 1.0,
            "status": "ok",
        }
        for i in range(160)
    ]
    store.commit(np.zeros((160, 4, 20, 20), np.float16), rows)
    found = sample(experiment)

    parts = found.parts[np.argsort([int(id) for id in found.ids])]
    assert set(parts) == {"train", "validation", "test"}
    assert (parts[::2] == parts[1::2]).all()


def test_how_a_store_is_read_is_written_by_one_at_a_time(tmp_path, monkeypatch):
    r"""Whoever locks a store deletes what others have half written there."""

    def write(path, content):
        with (path.parent / ".lock").open("a") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        written.append(path.name)
        write_json(path, content)

    written = []
    monkeypatch.setattr("pipeline.runs.data.write_json", write)
    (tmp_path / "images").mkdir()
    write_image(tmp_path / "images/a.fits", np.random.default_rng(0).normal(size=(24, 24)), {})
    data = {"root": str(tmp_path / "images"), "bands": ["r"], "size": 24, "workers": 1}
    runs.ingest(build({"name": "x", "folder": str(tmp_path), "data": data}, [], tmp_path))
    assert written == ["reading.json", "reading.json"]


def test_a_part_is_kept(tmp_path):
    r"""What cannot be read for a while comes back to the part it had."""

    runs.simulate(tmp_path / "survey", galaxies=80)
    settings = {"folder": tmp_path / "runs", "data.root": tmp_path / "survey"}
    settings |= {"data.table.path": tmp_path / "survey/labels.csv", "simulate": "null"}
    experiment = load(
        CONFIGS / "demo.yaml", [f"{k}={v}" for k, v in settings.items()] + ["data.workers=1"]
    )
    runs.ingest(experiment)
    before = split.load(experiment.home / "split.parquet")
    away = sorted((tmp_path / "survey/cutouts").iterdir())[::4]
    for path in away:
        path.rename(tmp_path / path.name)
    assert runs.ingest(experiment)["galaxies"] < len(before)
    for path in away:
        (tmp_path / path.name).rename(path)
    runs.ingest(experiment)

    assert split.load(experiment.home / "split.parquet") == before
    found = sample(experiment)
    assert dict(zip(found.ids, found.parts.tolist(), strict=True)) == before


def test_labels_that_do_not_divide(tmp_path, caplog):
    r"""Few labels cost a warning, as the store is complete; labels of other names are told."""

    for name in "abc":
        write_image(
            tmp_path / f"{name}.fits", np.arange(256, dtype=np.float32).reshape(16, 16), {}
        )
    table = tmp_path / "labels.csv"
    table.write_text("id,kind\na,spiral\nb,elliptical\n")
    settings = "name: x\ndata:\n  bands: [r]\n  size: 16\n  labels: {column: kind,"
    settings += " classes: [spiral, elliptical]}\n"
    (tmp_path / "x.yaml").write_text(settings)
    given = {"folder": tmp_path / "runs", "data.root": tmp_path, "data.table.path": table}
    experiment = load(tmp_path / "x.yaml", [f"{key}={value}" for key, value in given.items()])

    counts = runs.ingest(experiment)
    assert counts["galaxies"] == 3 and counts["unlabelled"] == 1
    assert "2 labelled galaxies leave none for" in caplog.text
    with pytest.raises(DataError, match="2 labelled galaxies leave none for"):
        sample(experiment)

    table.write_text("id,kind\nN1,spiral\nN2,elliptical\n")
    with pytest.raises(DataError) as caught:
        runs.ingest(experiment)
    for text in ("none of 3 galaxies", "has no row of 'a'", "no file matches", "N1.fits"):
        assert text in str(caught.value)


def test_read_otherwise(tmp_path, monkeypatch):
    r"""A store is trained on as it was read, and only if all of it was read so."""

    runs.simulate(tmp_path / "survey", galaxies=80)
    settings = {"folder": tmp_path / "runs", "data.root": tmp_path / "survey", "data.chunk": 40}
    settings |= {"data.table.path": tmp_path / "survey/labels.csv", "simulate": "null"}
    given = [f"{key}={value}" for key, value in settings.items()] + ["data.workers=1"]
    runs.ingest(load(CONFIGS / "demo.yaml", given))
    for change, name in (
        ("data.labels.rename={ring: merger}", "labels.rename"),
        ("data.labels.column=kind", "labels.column"),
        ("data.pattern={id}.fits", "pattern"),
    ):
        with pytest.raises(ConfigError, match=f"was read with {name}="):
            sample(load(CONFIGS / "demo.yaml", [*given, change]))

    other = load(CONFIGS / "demo.yaml", [*given, "data.cut_at=position"])
    commit, calls = Store.commit, []

    def killed(self, *args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        commit(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "commit", killed)
        with pytest.raises(KeyboardInterrupt):
            runs.ingest(other)
    with pytest.raises(DataError, match="in part with these settings and in part with others"):
        sample(other)
    runs.ingest(other)
    assert len(sample(other).ids) == sample(other).store.usable.size


def test_simulate_into_a_folder(tmp_path, caplog):
    r"""Nobody's files are replaced, and nothing is left of a survey that is drawn anew."""

    survey, mine = tmp_path / "survey", tmp_path / "mine"
    runs.simulate(survey, galaxies=5)
    assert not runs.simulate(survey, galaxies=5)["drawn"]
    assert "drawn anew" not in caplog.text
    assert runs.simulate(survey, galaxies=3, seed=1)["drawn"]
    told = "survey was drawn with galaxies=5, seed=0: it is drawn anew with galaxies=3, seed=1"
    assert told in caplog.text
    assert len(list((survey / "cutouts").iterdir())) == 3

    mine.mkdir()
    (mine / "labels.csv").write_text("id,label\n")
    with pytest.raises(ConfigError, match=r"holds labels\.csv, which the simulator has not drawn"):
        runs.simulate(mine, galaxies=5)
    assert [path.name for path in mine.iterdir()] == ["labels.csv"]


def test_two_simulate_at_once(tmp_path):
    r"""One draws, and the other one waits and finds it drawn."""

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: runs.simulate(tmp_path / "survey", galaxies=40), range(2)))

    assert sorted(one["drawn"] for one in both) == [False, True]
    assert len(list((tmp_path / "survey/cutouts").iterdir())) == 40


def test_contradictions_are_told(tmp_path, caplog):
    r"""What a table or an experiment says is compared with what the headers say."""

    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0}
    cards |= {"CRPIX1": 16.0, "CRPIX2": 16.0, "CDELT1": -1e-4, "CDELT2": 1e-4}
    for name in "abc":
        write_image(
            tmp_path / f"{name}.fits", np.random.default_rng(0).normal(size=(32, 32)), cards
        )
    swapped = tmp_path / "swapped.csv"
    swapped.write_text("id,ra,dec\na,2,50\nb,2,50\nc,2,150\n")
    data = {"root": str(tmp_path), "bands": ["r"], "size": 32, "workers": 1, "pixel_scale": 4.0}
    data |= {"table": {"path": str(swapped), "ra": "ra", "dec": "dec"}}
    runs.ingest(build({"name": "x", "folder": str(tmp_path), "data": data}, [], tmp_path))

    assert f"{swapped}: 1 of 3 rows have no position on the sky, e.g. row 3 RA 2, Dec 150" in (
        caplog.text
    )
    assert "the table places 2 of 3 galaxies outside of their images" in caplog.text
    assert "headers say 0.36 to 0.36 arcsec per pixel, which counts before" in caplog.text


def test_mixed_scales(tmp_path, caplog):
    for i, step in enumerate([1e-4, 1e-4, 1e-3]):
        cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 1.0 + i, "CRVAL2": 2.0}
        cards |= {"CRPIX1": 16.0, "CRPIX2": 16.0, "CDELT1": -step, "CDELT2": step}
        pixels = np.random.default_rng(i).normal(size=(4, 32, 32)).astype(np.float32)
        write_image(tmp_path / f"{i}.fits", pixels, cards)
    settings = {"folder": tmp_path, "data.root": tmp_path, "data.pattern": "{id}.fits"}
    settings |= {"data.table": "null", "data.labels": "null", "simulate": "null"}
    settings |= {"data.size": 32, "data.workers": 1}
    runs.ingest(load(CONFIGS / "demo.yaml", [f"{k}={v}" for k, v in settings.items()]))

    assert "its pixels are of 0.36 to 3.6 arcsec" in caplog.text

r"""The verbs, from files to a catalogue."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from pipeline import runs, split
from pipeline.card import load_card, load_model, save_card
from pipeline.catalogue import read_table
from pipeline.comparison import Predictions
from pipeline.config import load, recipe, settings
from pipeline.errors import ConfigError, DataError
from pipeline.predictor import Predictor
from pipeline.runs import evaluation, training
from pipeline.runs.catalogue import classify_store
from pipeline.runs.data import sample
from pipeline.runs.home import beside, tracker
from pipeline.serving import Server
from pipeline.store import Store, StoreInfo
from pipeline.tracking import Tracker

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    r"""The demo, small, trained for two epochs."""

    folder = tmp_path_factory.mktemp("runs")
    experiment = load(
        CONFIGS / "demo.yaml",
        [
            f"folder={folder}",
            f"data.root={folder}/survey",
            f"data.table.path={folder}/survey/labels.csv",
            "simulate.galaxies=160",
            "data.workers=1",
            "training.epochs=2",
            "evaluation.resamples=50",
            "tracking.system_metrics=false",
        ],
    )

    return experiment, runs.run(experiment)


def test_run(demo):
    experiment, result = demo
    home = experiment.home

    counts = result["ingest"]
    assert counts["ok"] + counts["flagged"] + counts["rejected"] == 160
    assert sum(counts["split"].values()) == counts["galaxies"]
    assert set(result["evaluate"]["models"]) == {
        "cutout_resnet",
        "forest",
        "svm",
        "majority class",
        "cutout_resnet + forest",
    }
    said = Predictions.load(home / "predictions.parquet").probabilities
    network, forest = said["cutout_resnet"], np.maximum(said["forest"], 1e-3)
    both = said["cutout_resnet + forest"]
    ratio = both**2 / (network * forest)  # is the same for all classes of a galaxy
    np.testing.assert_allclose(ratio, ratio[:, :1].repeat(8, axis=1), rtol=1e-6)
    np.testing.assert_allclose(both.sum(axis=1), 1)
    evaluated = result["evaluate"]
    useless = evaluated["models"]["cutout_resnet"]["accuracy"] <= evaluated["majority_rate"]
    assert evaluated["champion"] or useless
    assert (home / "report.html").stat().st_size > 100_000

    table = read_table(home / "catalogue.parquet")
    p = np.stack([table[f"p_{name}"] for name in experiment.data.labels.classes], axis=1)
    done = np.array(table["status"]) != "rejected"
    np.testing.assert_allclose(p[done].sum(axis=1), 1, atol=1e-5)
    assert len(table) == 160
    members = split.load(home / "members.parquet")
    assert list(table["part"]) == [members.get(id, "") for id in table["id"]]
    assert set(table["part"]) == set(members.values())


def test_what_training_tells(demo):
    r"""What is told of a model is what its card answers, not what its network did alone."""

    experiment, result = demo
    told, history = result["train"], json.loads((experiment.home / "history.json").read_text())
    best = history["epochs"][told["best_epoch"] - 1]
    assert best["epoch"] == told["best_epoch"] == history["best"]
    assert told["network_at_best_epoch"]["validation_loss"] == best["validation_loss"]

    found, kept = sample(experiment), told["model_as_kept"]
    rows, labels, _ = found.of("validation")
    p = Predictor(experiment.home / "model").probabilities(found.store.gather(rows))
    assert kept["answers"] == "cutout_resnet" and kept["symmetries"]
    loss = -np.log(p[np.arange(len(p)), labels]).mean()
    assert kept["validation_loss"] == pytest.approx(loss, abs=1e-5)


def test_run_again_does_nothing_anew(demo):
    experiment, _ = demo

    assert runs.ingest(experiment)["unchanged"] == 160
    evaluated = [experiment.home / "run.json", *(experiment.home / "model").iterdir()]
    before = [path.read_bytes() for path in evaluated]
    assert "models:/demo/1" in before[0].decode()
    again = runs.train(experiment)
    assert again["epochs"] == 2
    found = sample(experiment)
    alike = replace(found, scheme=replace(found.scheme, mirror=tuple(range(8))))
    assert found.scheme.mirror != alike.scheme.mirror  # views of spirals were other labels
    assert training._digest(experiment, alike) != training._digest(experiment, found)
    assert [path.read_bytes() for path in evaluated] == before


@pytest.mark.parametrize(
    "lost", ["model", "model/card.json", "model/weights.safetensors", "run.json"]
)
def test_what_is_lost_comes_back(demo, tmp_path, lost):
    r"""A training that is there mends a model that is not, or is damaged."""

    experiment = demo[0].model_copy(update={"folder": tmp_path})
    shutil.copytree(demo[0].home, experiment.home)
    path = experiment.home / lost
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.write_bytes(path.read_bytes()[:-9])
    if lost.startswith("model"):
        with pytest.raises(DataError):
            runs.evaluate(experiment)

    assert runs.train(experiment)["epochs"] == 2
    assert json.loads((experiment.home / "run.json").read_text())["card"]
    assert load_card(experiment.home / "model")[0].classes == experiment.data.labels.classes


def test_weights_of_a_file(demo, tmp_path):
    r"""Other weights to begin with are another training, in the same file too."""

    found, file = sample(demo[0]), tmp_path / "w.pt"
    model = demo[0].model.model_copy(update={"pretrained": str(file)})
    experiment = demo[0].model_copy(update={"model": model})
    names = []
    for content in (b"a", b"b", b"a"):
        file.write_bytes(content)
        names.append(training._digest(experiment, found))

    assert names[0] == names[2] != names[1]


def test_weights_of_an_address(demo):
    r"""Another token to fetch the same weights with is the same training, and not told."""

    found, names = sample(demo[0]), []
    for token in ("s3cret", "an0ther"):
        weights = f"https://host/w.pt?token={token}"
        model = demo[0].model.model_copy(update={"pretrained": weights})
        experiment = demo[0].model_copy(update={"model": model})
        names.append(training._digest(experiment, found))
        assert recipe(experiment)["model.pretrained"] == "https://host/w.pt?token=***"

    assert names[0] == names[1] != training._digest(demo[0], found)


def test_on_the_accelerator(demo, monkeypatch):
    r"""A network learns where its batches are."""

    places = []

    def spy(network, *batches, **_):
        places.extend(p.device.type for p in network.parameters())
        places.extend(part.device.type for part in batches[:2])
        raise DataError("seen")

    monkeypatch.setattr(training, "device", lambda: "meta")
    monkeypatch.setattr(training, "fit", spy)
    with pytest.raises(DataError, match="seen"):
        runs.train(demo[0].model_copy(update={"seed": 1}))
    assert len(places) > 2 and set(places) == {"meta"}


def changed(experiment, **settings):
    r"""Returns an experiment with others of its settings, as `section_key=value`."""

    tree = experiment.model_dump()
    for name, value in settings.items():
        section, _, key = name.partition("_")
        tree[section][key] = value

    return type(experiment).model_validate(tree)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data_bands": ("g", "r", "i")}, r"bands=\('g', 'r', 'i', 'z'\), not \('g', 'r', 'i'\)"),
        ({"data_bands": ("r", "g", "i", "z")}, r"bands=.*, not \('r', 'g', 'i', 'z'\)"),
        ({"data_size": (64, 32)}, "width=64, not 32"),
        ({"data_scale": 0.8}, "scale='native', not '0.8 arcsec'"),
        ({"data_survey": "sdss"}, "survey='simulated', not 'sdss'"),
    ],
)
def test_train_on_another_store(demo, settings, message):
    with pytest.raises(ConfigError, match=f"store was made with {message}: choose another"):
        runs.train(changed(demo[0], **settings))


def test_read_otherwise(demo):
    r"""A model says how files are read, so that the store has to be read like that."""

    told = "was read with hdu=None, not 3: expected the same settings, or `tuningfork ingest`"
    with pytest.raises(ConfigError, match=told):
        runs.train(changed(demo[0], data_hdu=3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"model_forest": True, "data_size": 32},
            r"data.size=\[64, 64\], not \[32, 32\]; model.forest=False, not",
        ),
        ({"model_name": "lenet"}, "model.name='cutout_resnet', not 'lenet'"),
        ({"training_epochs": 3}, "training.epochs=2, not 3"),
        ({"batches_augment": None}, r"batches.augment.shift=2.0, not None"),
        ({"split_test": 0.3}, "split.test=0.2, not 0.3: expected the same settings, or"),
    ],
)
def test_evaluate_another_model(demo, settings, message):
    with pytest.raises(ConfigError, match=f"model was trained with .*{message}"):
        runs.evaluate(changed(demo[0], **settings))


def test_evaluate_otherwise(demo):
    r"""How a model is evaluated is no part of it; another predictor is another version."""

    experiment, result = demo
    found = runs.evaluate(changed(experiment, evaluation_symmetries=False, data_workers=2))
    card, _ = load_card(experiment.home / "model")
    assert not card.symmetries and found["version"] == "2"

    # The model that was registered first comes back as it was
    again = runs.evaluate(experiment)
    assert again["models"] == result["evaluate"]["models"] and again["version"] == "1"

    # A training that began over it and was killed leaves it alone
    (experiment.home / "experiment.yaml").rename(experiment.home / "aside.yaml")
    with pytest.raises(DataError, match="expected `tuningfork train` before"):
        runs.evaluate(experiment)
    (experiment.home / "aside.yaml").rename(experiment.home / "experiment.yaml")


def test_without_a_mistake(demo, tmp_path, monkeypatch):
    r"""A model that is always right is reported and registered like any other."""

    experiment = demo[0].model_copy(update={"folder": tmp_path})
    shutil.copytree(demo[0].home, experiment.home)
    monkeypatch.setattr(
        evaluation, "logits", lambda _, found, *__: 30 * np.eye(8)[found.of("test")[1]]
    )
    found = runs.evaluate(experiment)

    assert found["models"]["cutout_resnet"]["accuracy"] == 1 and found["champion"]
    assert "No mistake: the cutout_resnet" in (experiment.home / "report.html").read_text()


def test_of_no_use(demo, tmp_path, monkeypatch):
    r"""A model that is always wrong is registered, but no champion, and all say so."""

    experiment = demo[0].model_copy(update={"folder": tmp_path})
    shutil.copytree(demo[0].home, experiment.home)
    monkeypatch.setattr(
        evaluation, "logits", lambda _, found, *__: -30 * np.eye(8)[found.of("test")[1]]
    )
    found = runs.evaluate(changed(experiment, evaluation_baselines=()))

    assert not found["champion"] and found["version"] == "1"
    assert found["warning"] == found["verdict"] and found["warning"].endswith("; do not use it")
    assert found["warning"] in (experiment.home / "report.html").read_text()


def test_evaluate_elsewhere(demo, tmp_path):
    r"""Another tracking server gets the epochs and the data of the training too."""

    experiment = demo[0].model_copy(update={"folder": tmp_path})
    shutil.copytree(demo[0].home, experiment.home)
    uri = f"sqlite:///{tmp_path}/elsewhere.db"
    runs.evaluate(changed(experiment, tracking_uri=uri, evaluation_baselines=()))

    run = json.loads((experiment.home / "run.json").read_text())
    client = MlflowClient(uri)
    assert run["uri"] == uri
    assert [m.step for m in client.get_metric_history(run["run"], "train_loss")] == [1, 2]
    (seen,) = client.get_run(run["run"]).inputs.dataset_inputs
    store = Store.open(experiment.home / "store")
    assert seen.dataset.digest == store.fingerprint[:36]


def test_forest_in_the_model(demo, tmp_path):
    r"""A forest that belongs to the model answers with the network, wherever the model does."""

    experiment = demo[0].model_copy(
        update={
            "folder": tmp_path,
            "model": demo[0].model.model_copy(update={"forest": True}),
            "evaluation": demo[0].evaluation.model_copy(update={"baselines": ("svm",)}),
        }
    )
    shutil.copytree(demo[0].home, experiment.home)
    before = (experiment.home / "model/weights.safetensors").read_bytes()
    assert runs.train(experiment)["model_as_kept"]["answers"] == "cutout_resnet + forest"
    found = runs.evaluate(experiment)

    # The network does not learn again, and what both say is what the table says of both before
    assert (experiment.home / "model/weights.safetensors").read_bytes() == before
    assert list(found["models"]) == [
        *("cutout_resnet + forest", "cutout_resnet", "forest", "svm", "majority class")
    ]
    assert "the square root of <i>p q</i>" in (experiment.home / "report.html").read_text()
    said = Predictions.load(experiment.home / "predictions.parquet").probabilities
    of_demo = Predictions.load(demo[0].home / "predictions.parquet").probabilities
    np.testing.assert_allclose(said["forest"], of_demo["forest"], atol=1e-6)
    np.testing.assert_allclose(said["cutout_resnet"], of_demo["cutout_resnet"], atol=1e-6)

    # The catalogue and the served model have the same probabilities as the evaluation
    classify_store(experiment)
    table = read_table(experiment.home / "catalogue.parquet")
    p = np.stack([table[f"p_{name}"] for name in experiment.data.labels.classes], axis=1)
    test = sample(experiment).of("test")
    row = {id: n for n, id in enumerate(table["id"])}
    expected = said["cutout_resnet + forest"]
    np.testing.assert_allclose(p[[row[id] for id in test[2]]], expected, atol=1e-5)
    cutouts = Store.open(experiment.home / "store").gather(test[0][:5])
    served = Server(experiment.home / "model").predict(cutouts)
    np.testing.assert_allclose(served.to_numpy()[:, :8].astype(float), expected[:5], atol=1e-5)

    # Another predictor is calibrated anew; a forest that asks for what is not measured is refused
    card, network, trees = load_model(experiment.home / "model")
    single = experiment.evaluation.model_copy(update={"symmetries": False})
    runs.evaluate(experiment.model_copy(update={"evaluation": single}))
    assert load_model(experiment.home / "model")[0].temperature != card.temperature
    save_card(tmp_path / "old", replace(card, numbers=card.numbers[1:]), network, trees)
    with pytest.raises(DataError, match="the forest asks for .* train it anew"):
        Server(tmp_path / "old").predict(cutouts)


def test_metrics_of_a_killed_process(demo):
    r"""Epochs that were not sent to MLflow before a kill are sent by the next run."""

    experiment, _ = demo
    run = json.loads((experiment.home / "run.json").read_text())
    history = json.loads((experiment.home / "history.json").read_text())["epochs"]
    with Tracker(run["uri"], experiment.name, system_metrics=False) as tracked:
        tracked.log(history[0], step=1)
        tracked.complete(history)
    client = MlflowClient(run["uri"])
    for name in ("train_loss", "validation_loss"):
        told = client.get_metric_history(tracked.run_id, name)
        assert [m.step for m in told] == [1, 2]
        assert [m.value for m in told] == [row[name] for row in history]
    made = client.get_run(run["run"])
    assert made.info.run_name == "demo, cutout_resnet, seed 0"
    best = made.data.metrics["best_validation_loss"]
    assert best == min(row["validation_loss"] for row in history)


def test_settings_of_a_run(demo):
    r"""A run of MLflow keeps its parameters: a model of other settings is another run."""

    experiment, home = demo[0], demo[0].home
    run = json.loads((home / "run.json").read_text())["run"]
    params = MlflowClient(tracker(experiment, home).uri).get_run(run).data.params
    assert params["model.forest"] == "false" and params["data.bands"] == '["g", "r", "i", "z"]'
    assert params.keys() == settings(experiment).keys()

    assert tracker(changed(experiment, evaluation_resamples=9), home).run_id == run
    assert not tracker(changed(experiment, model_forest=True), home).run_id


def test_part_of_a_registered_model(demo, tmp_path):
    r"""The registry knows which galaxies taught a model, as its folder does."""

    experiment, _ = demo
    uri = f"tracking.uri=sqlite:///{experiment.folder.resolve()}/mlflow.db"
    store, members = experiment.home / "store", split.load(experiment.home / "members.parquet")
    runs.classify("models:/demo@challenger", store, tmp_path / "c.fits", [uri])
    table = read_table(tmp_path / "c.fits")

    assert table["part"].tolist() == [members.get(id, "") for id in table["id"].tolist()]
    assert set(table["part"]) > {"test", "train"}


def test_classify_files_as_the_store(demo, tmp_path):
    experiment, result = demo
    uri = f"sqlite:///{experiment.folder.resolve()}/mlflow.db"

    done = runs.classify(
        "models:/demo@challenger",
        experiment.data.root / "cutouts",
        tmp_path / "files.csv",
        [f"tracking.uri={uri}"],
    )
    again = runs.classify(
        str(experiment.home / "model"), experiment.home / "store", tmp_path / "a.vot"
    )
    files, store = read_table(tmp_path / "files.csv"), read_table(tmp_path / "a.vot")

    assert list(files["id"]) == list(store["id"])
    np.testing.assert_allclose(files["p_ring"], store["p_ring"], atol=1e-6)
    assert files.meta["model_version"] == store.meta["model_version"] == "models:/demo/1"
    catalogue = read_table(experiment.home / "catalogue.parquet")
    verdict = result["evaluate"]["verdict"]
    assert catalogue.meta["model_verdict"] == verdict and files.meta["model_verdict"]
    accuracy = result["evaluate"]["models"]["cutout_resnet"]["accuracy"]
    assert catalogue.meta["model_test"].startswith(f"accuracy {accuracy:.3f}, macro_f1 0.")

    # Without the experiment beside it, or with another model in its place, nobody knows
    shutil.copytree(experiment.home / "model", tmp_path / "model")
    shutil.copy(experiment.home / "run.json", tmp_path)
    runs.classify(str(tmp_path / "model"), experiment.home / "store", tmp_path / "b.vot")
    alone = read_table(tmp_path / "b.vot")
    assert alone.meta["model_version"] == load_card(tmp_path / "model")[0].digest
    assert "part" not in alone.colnames
    assert beside(experiment.home / "model")
    save_card(tmp_path / "model", *load_card(experiment.home / "model"))
    shutil.copy(experiment.home / "experiment.yaml", tmp_path)
    assert beside(tmp_path / "model")
    card, network = load_card(tmp_path / "model")
    save_card(tmp_path / "model", replace(card, temperature=2.0), network)
    assert not beside(tmp_path / "model")

    assert list(store["part"]) == list(catalogue["part"]) and "part" not in files.colnames
    assert done["run"] == again["run"] == result["train"]["run"]


def test_inspect(demo, tmp_path):
    experiment, _ = demo
    store = experiment.home / "store"
    result = runs.inspect(store, tmp_path)

    assert result["inputs"] == sum(result["status"].values()) == 160
    assert all(Path(figure).stat().st_size > 10_000 for figure in result["figures"].values())
    one = Store.open(store).manifest["id"][0].as_py()
    assert Path(runs.inspect(store, tmp_path, id=one)["figure"]).exists()
    with pytest.raises(DataError, match="no galaxy 'x'"):
        runs.inspect(store, tmp_path, id="x")


def test_compare(demo, tmp_path):
    experiment, _ = demo
    twin = tmp_path / "twin"
    twin.mkdir()
    name = "predictions.parquet"
    (twin / name).write_bytes((experiment.home / name).read_bytes())
    result = runs.compare([experiment.home, twin])

    assert result["differences"]["twin"]["accuracy"]["value"] == 0
    json.dumps(result, default=float)


def test_another_split(demo):
    r"""No galaxy that taught a model tests it."""

    home = demo[0].home
    members = (home / "members.parquet").read_bytes()
    parts = split.load(home / "members.parquet")
    assert parts == split.load(home / "split.parquet")
    moved = next(id for id, part in parts.items() if part == "test")
    split.save(home / "members.parquet", list(parts), list((parts | {moved: "train"}).values()))
    with pytest.raises(DataError, match=rf"1 of \d+ test galaxies, e\.g\. '{moved}', taught"):
        runs.evaluate(demo[0])
    (home / "members.parquet").write_bytes(members)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\xff"])
def test_damaged_receipts(tmp_path, text):
    experiment = load(CONFIGS / "demo.yaml", [f"folder={tmp_path}", f"data.root={tmp_path}/sky"])
    for name, use in {
        "sky/survey.json": lambda: runs.simulate(tmp_path / "sky"),
        "demo/run.json": lambda: tracker(experiment, experiment.home),
    }.items():
        path = tmp_path / name
        path.parent.mkdir()
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(DataError, match=f"{name} (cannot be read|holds list, expected names)"):
            use()


def test_a_file_in_the_way(demo, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("notes")
    with pytest.raises(ConfigError, match=r"notes\.txt is a file, expected a folder"):
        runs.simulate(path)
    with pytest.raises(ConfigError, match=r"notes\.txt is a file, expected a folder"):
        runs.inspect(demo[0].home / "store", path)
    assert path.read_text() == "notes"


def test_one_class(demo, tmp_path, caplog):
    r"""Galaxies of one class teach nothing, and a class without any is not learnt."""

    found = sample(demo[0])
    ids, names = np.array(found.ids), np.array(found.scheme.classes)[found.labels]
    settings = [f"folder={tmp_path}", f"data.store={found.store.folder}", "training.epochs=1"]
    settings += [f"split.path={tmp_path}/split.parquet", "tracking.system_metrics=false"]
    experiment = load(CONFIGS / "demo.yaml", settings)

    def learn(*classes):
        parts = np.where(np.arange(len(ids)) % 2, "validation", "test")
        parts[np.isin(names, classes)] = "train"
        split.save(tmp_path / "split.parquet", ids.tolist(), parts.tolist())
        runs.train(experiment)

    with pytest.raises(DataError, match=r"training galaxies are 'ring', expected two classes"):
        learn("ring")
    learn("ring", "merger")
    assert "no training galaxy is elliptical or spiral_clockwise or" in caplog.text


def test_aegis(shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("TUNINGFORK_DATA", str(shared_data))
    settings = [f"folder={tmp_path}", "data.workers=1", "training.epochs=1"]
    experiment = load(CONFIGS / "aegis_hst.yaml", [*settings, "tracking.system_metrics=false"])
    found = runs.ingest(experiment)
    manifest = Store.open(tmp_path / "aegis_hst/store").manifest.to_pylist()

    assert found["ok"] + found["flagged"] == 39
    assert {r["id"]: r["flags"] for r in manifest}["12011504"] == "edge"
    assert {row["label"] for row in manifest} == {"smooth", "featured"}

    runs.train(experiment)
    classify_store(experiment)
    table = read_table(experiment.home / "catalogue.parquet")
    assert set(table["class"]) <= {"smooth", "featured"} and len(table) == 39
    assert np.all(np.hypot(table["ra"] - 214.8, table["dec"] - 52.7) < 2)


def test_inspect_odd_names(tmp_path):
    info = StoreInfo(("r",), 24, 28, "native", "s", ("S0/a", "S0_a"))
    store = Store.create(tmp_path / "store", info)
    rows = [
        {"id": f"../{i}", "status": "ok", "label": name, "noise_r": 1.0, "ra": 1.0, "dec": 1.0}
        for i, name in enumerate(info.classes)
    ]
    store.commit(np.zeros((2, 1, 24, 28), np.float16), rows)
    figures = runs.inspect(store.folder, tmp_path / "out")["figures"]
    portrait = runs.inspect(store.folder, tmp_path / "out", id="../1")["figure"]

    assert len({*figures.values(), portrait}) == 3
    assert {Path(path).parent for path in [*figures.values(), portrait]} == {tmp_path / "out"}
    assert all(Path(path).exists() for path in [*figures.values(), portrait])


def test_card_says_how_files_were_read(demo):
    experiment, _ = demo
    card, _ = load_card(experiment.home / "model")

    assert card.pixel_arcsec == pytest.approx(0.4)
    assert card.reading == {"hdu": None, "pixel_scale": None, "at": "centre"}

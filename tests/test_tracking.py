r"""Runs, registry and served models, on a real SQLite file and on a real server."""

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from requests.exceptions import SSLError
from sqlalchemy.exc import OperationalError

import models
from pipeline import runs
from pipeline.calibration import apply
from pipeline.card import Card, load_card, save_card
from pipeline.comparison import Predictions
from pipeline.config import load
from pipeline.errors import ConfigError, DataError, PipelineError
from pipeline.fits import write_image
from pipeline.runs.home import tracker
from pipeline.stretch import Stretch
from pipeline.tracking import (
    Tracker,
    promote,
    resolve,
    run_page,
    store_uri,
    verdict_of,
)
from pipeline.tracking.address import page, understood

CLASSES = ("elliptical", "cw", "acw")
IDS = [f"g{n}" for n in range(300)]
LABELS = np.arange(300) % 3


def said(skill, seed=0):
    z = np.random.default_rng(seed).normal(size=(300, 3))
    z[np.arange(300), LABELS] += skill
    return Predictions(IDS, LABELS, CLASSES, {"network": apply(z)})


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card") / "model"
    network = models.build("lenet", bands=2, classes=3)
    recipe = Card(
        model="lenet",
        args={},
        bands=("g", "r"),
        height=24,
        width=32,
        scale="native",
        survey="drawn",
        stretch={"kind": "asinh", "softening": 3.0},
        classes=CLASSES,
        mirror=(0, 2, 1),
        temperature=1.5,
    )
    save_card(folder, recipe, network)
    return folder, network.eval()


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return store_uri(tmp_path_factory.mktemp("tracking"))


@pytest.fixture
def cutouts():
    x = np.random.default_rng(0).normal(size=(3, 2, 24, 32)).astype(np.float32)
    x[1, 0, :5] = np.nan
    return x


def test_run(uri, tmp_path):
    settings = {"seed": 0, "model.name": "lenet", "model.args": {}, "long": "x" * 9000}
    with Tracker(uri, "first", name="a run") as tracker:
        tracker.configure(settings, "seed: 0\n")
        for epoch in range(150):
            tracker.log({"loss": 1 / (epoch + 1), "recall/edge <on>": 0.5}, step=epoch)
        tracker.dataset("drawn", "0123456789abcdef" * 4, tmp_path, "training")
        tracker.figure("roc", Figure())
        (tmp_path / "report.html").write_text("<p>")
        tracker.file(tmp_path / "report.html")

    client = MlflowClient(uri)
    run = client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED" and run.info.run_name == "a run"
    assert run.data.params["model.name"] == "lenet" and run.data.params["model.args"] == "{}"
    assert len(run.data.params["long"]) == 500
    assert "version.torch" in run.data.tags
    assert len(run.data.tags.get("mlflow.source.git.commit", "0" * 40)) == 40
    history = client.get_metric_history(tracker.run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(n, 1 / (n + 1)) for n in range(150)]
    assert run.data.metrics["recall/edge _on_"] == 0.5
    [seen] = run.inputs.dataset_inputs
    assert seen.dataset.digest == "0123456789abcdef" * 2 + "0123"
    assert {t.key: t.value for t in seen.tags} == {"mlflow.data.context": "training"}
    kept = {file.path for file in client.list_artifacts(tracker.run_id)}
    assert kept == {"config.yaml", "figures", "report.html"}
    # Nothing beside the file it was given, and no trace of it outside
    assert run.info.artifact_uri.startswith("file:///" + uri.removeprefix("sqlite:////")[:-9])
    assert "MLFLOW_TRACKING_URI" not in os.environ


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")]
)
def test_interrupted(uri, error, status):
    def fail():
        with Tracker(uri, "first") as tracker:
            runs.append(tracker)
            tracker.log({"loss": 1.0}, step=0)
            tracker.log({"loss": 2.0}, step=1)  # still waits when it fails
            raise error

    runs = []
    with pytest.raises(error):
        fail()
    [tracker] = runs
    run = MlflowClient(uri).get_run(tracker.run_id)
    assert run.info.status == status and run.data.metrics["loss"] == 2.0

    # It can go on
    with Tracker(uri, "first", run_id=tracker.run_id) as again:
        again.log({"loss": 3.0}, step=2)
    run = MlflowClient(uri).get_run(tracker.run_id)
    assert run.info.status == "FINISHED" and run.data.metrics["loss"] == 3.0


def test_deleted_run(tmp_path, caplog):
    r"""Another run takes the place of one that is gone, or is in the waste-basket."""

    uri, client = store_uri(tmp_path), MlflowClient(store_uri(tmp_path))
    with Tracker(uri, "first", system_metrics=False) as gone:
        pass
    client.delete_run(gone.run_id)
    for run_id in (gone.run_id, "0" * 32):
        with Tracker(uri, "first", system_metrics=False, run_id=run_id) as tracker:
            tracker.log({"loss": 1.0})
        assert tracker.run_id != run_id and f"run {run_id} was deleted" in caplog.text
        assert client.get_run(tracker.run_id).data.metrics == {"loss": 1.0}


def test_killed_at_birth(tmp_path, monkeypatch):
    r"""A database of which a kill has left a part is made anew, as MLflow would refuse it."""

    uri = store_uri(tmp_path)

    def half(address, artifacts):
        Path(address.removeprefix("sqlite:///")).write_bytes(b"SQLite format 3\0 and no more")
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.tracking.address.SqlAlchemyStore", half)
    with pytest.raises(KeyboardInterrupt), Tracker(uri, "first"):
        pass
    assert not (tmp_path / "mlflow.db").exists()

    monkeypatch.undo()
    with Tracker(uri, "first", system_metrics=False) as tracker:
        tracker.log({"loss": 1.0})
    assert MlflowClient(uri).get_run(tracker.run_id).info.status == "FINISHED"


def test_batches_of_metrics(uri, monkeypatch):
    sent = []
    log_batch = MlflowClient.log_batch
    monkeypatch.setattr(
        MlflowClient,
        "log_batch",
        lambda self, run_id, metrics=(), **rest: (
            sent.append(len(metrics)) or log_batch(self, run_id, metrics, **rest)
        ),
    )
    start = time.perf_counter()
    with Tracker(uri, "first") as tracker:
        for epoch in range(300):
            tracker.log({f"m{i}": 0.0 for i in range(10)}, step=epoch)
    assert sum(sent) == 3000
    assert len(sent) <= 2 + (time.perf_counter() - start)  # about one a second


def registered(uri, card, cutouts, name="galaxies"):
    with Tracker(uri, "models") as tracker:
        return tracker.model(card, name, cutouts, list(CLASSES))


def renamed(card, folder, name):
    recipe, network = load_card(card)
    save_card(folder / name, replace(recipe, name=name), network)
    return folder / name


def test_champion(uri, card, cutouts, tmp_path):
    folder, _ = card
    client = MlflowClient(uri)

    def aliases():
        return {k: str(v) for k, v in client.get_registered_model("galaxies").aliases.items()}

    with pytest.raises(ConfigError, match="galaxies"):
        promote(uri, "galaxies", "1", said(1))

    assert registered(uri, folder, cutouts) == "1"
    assert aliases() == {"challenger": "1"}
    first = promote(uri, "galaxies", "1", said(1), doubt="the forest is better")
    assert first.promoted and first.reason.endswith("its name, but the forest is better")
    assert "already" in promote(uri, "galaxies", "1", said(1)).reason

    # The same model is the same version
    assert registered(uri, folder, cutouts) == "1"
    assert aliases() == {"challenger": "1", "champion": "1"}

    # As good as the champion is not better than it
    second = renamed(folder, tmp_path, "second")
    registered(uri, second, cutouts)
    verdict = promote(uri, "galaxies", "2", said(1, seed=1))
    assert not verdict.promoted and "not measurably" in verdict.reason
    assert aliases() == {"challenger": "2", "champion": "1"}

    registered(uri, renamed(folder, tmp_path, "third"), cutouts)
    some = said(1, seed=2).of(IDS[:200])
    elsewhere = replace(said(3), ids=[f"h{n}" for n in range(300)])
    assert "other galaxies" in promote(uri, "galaxies", "3", elsewhere).reason
    assert "on 200 galaxies: not measurably" in promote(uri, "galaxies", "3", some).reason
    verdict = promote(uri, "galaxies", "3", said(3), metric="log_loss", doubt="it is slow")
    assert verdict.promoted and verdict.reason.endswith("measurably better, but it is slow")
    assert verdict.champion == "1" and verdict.difference.high < 0
    assert aliases() == {"challenger": "3", "champion": "3"}
    assert client.get_model_version("galaxies", "3").tags["verdict"] == verdict.reason

    # Back to an old model is back to its version
    assert registered(uri, second, cutouts) == "2"
    with pytest.raises(ConfigError, match="did you mean 'macro_f1'"):
        promote(uri, "galaxies", "2", said(1), metric="macro_f")


def test_versions_of_one_run(uri, card, cutouts, tmp_path):
    r"""What a version said stays, if its run has another version by now."""

    with Tracker(uri, "models") as tracker:
        tracker.model(card[0], "twice", cutouts, list(CLASSES))
        assert promote(uri, "twice", "1", said(1)).promoted
        tracker.model(renamed(card[0], tmp_path, "again"), "twice", cutouts, list(CLASSES))
        tracker.model(renamed(card[0], tmp_path, "third"), "twice", cutouts, list(CLASSES))
    verdict = promote(uri, "twice", "2", said(3), metric="log_loss")

    assert verdict.promoted and verdict.champion == "1" and verdict.difference.high < 0
    aliases = MlflowClient(uri).get_registered_model("twice").aliases
    assert {k: str(v) for k, v in aliases.items()} == {"challenger": "3", "champion": "2"}


def test_of_no_use(uri, card, cutouts):
    r"""What is not to be used is no champion, not even the first of its name."""

    assert registered(uri, card[0], cutouts, "useless") == "1"
    verdict = promote(uri, "useless", "1", said(0), warning="do not use it")
    assert not verdict.promoted and verdict.reason == "do not use it" and verdict.champion is None
    assert verdict_of("models:/useless/1", uri) == "do not use it"
    assert verdict_of("runs:/0/model", uri) == ""
    version = MlflowClient(uri).get_model_version("useless", "1")
    page = run_page("models:/useless/1", uri)
    assert page.endswith(version.run_id) and run_page(version.source, uri) == page
    aliases = MlflowClient(uri).get_registered_model("useless").aliases
    assert {name: str(version) for name, version in aliases.items()} == {"challenger": "1"}


def test_resolve(uri, card, cutouts, tmp_path):
    folder, _ = card
    version = registered(uri, folder, cutouts, "found")
    run_id = MlflowClient(uri).get_model_version("found", version).run_id

    for last in ("found@challenger", f"found/{version}", "found/latest"):
        assert resolve(f"models:/{last}", uri, tmp_path)[1] == f"models:/found/{version}"
    for name in ("models:/found@challenger", f"runs:/{run_id}/model"):
        found, pinned = resolve(name, uri, tmp_path)
        assert pinned in {f"models:/found/{version}", f"runs:/{run_id}/model"}
        for file in folder.iterdir():
            assert (found / file.name).read_bytes() == file.read_bytes()
    assert resolve(str(folder), uri, tmp_path) == (folder, "")

    for name in ("models:/found@champion", "models:/none/1", "runs:/nothing/model"):
        with pytest.raises(DataError, match=f"has no model {name}"):
            resolve(name, uri, tmp_path)
    with pytest.raises(DataError, match=rf"found has challenger \(version {version}\)$"):
        resolve("models:/found@champion", uri, tmp_path)
    with pytest.raises(DataError, match="neither a folder"):
        resolve("nowhere", uri, tmp_path)


SERVED = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np, pandas as pd, mlflow
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/served@challenger")
out = model.predict(np.load(sys.argv[2]))
out.to_json(sys.argv[3], orient="records")
"""


def test_served(uri, card, cutouts, tmp_path):
    folder, network = card
    registered(uri, folder, cutouts, "served")

    # In another process, in another folder, by nothing but MLflow: the code came along
    np.save(tmp_path / "x.npy", cutouts)
    arguments = [uri, str(tmp_path / "x.npy"), str(tmp_path / "out.json")]
    subprocess.run([sys.executable, "-c", SERVED, *arguments], cwd=tmp_path, check=True)
    out = pd.read_json(tmp_path / "out.json")

    x = torch.from_numpy(cutouts.astype(np.float16))
    with torch.inference_mode():
        logits = network(Stretch("asinh", 3.0)(x)).numpy()
    np.testing.assert_allclose(out[list(CLASSES)], apply(logits, 1.5), atol=1e-6)
    assert list(out["predicted"]) == [CLASSES[k] for k in logits.argmax(axis=1)]


def test_served_files(uri, card, cutouts, tmp_path):
    folder, _ = card
    registered(uri, folder, cutouts, "files")
    rng = np.random.default_rng(1)
    rows, columns = np.indices((24, 32))
    galaxy = 800 * np.exp(-np.hypot(rows - 11.5, columns - 15.5) / 3)
    sky = rng.normal(100, 5, (2, 24, 32)) + galaxy
    write_image(tmp_path / "cube.fits", sky.astype(np.float32), {})
    for band, image in zip("gr", sky, strict=True):
        write_image(tmp_path / f"g1.{band}.fits", image.astype(np.float32), {})
    (tmp_path / "broken.fits").write_bytes(b"SIMPLE")

    model = mlflow_load(uri, "models:/files@challenger")
    paths = [str(tmp_path / name) for name in ("cube.fits", "g1.{band}.fits", "broken.fits")]
    out = model.predict(pd.DataFrame({"path": paths}))

    assert out["predicted"][0] in CLASSES and out["predicted"][2] == ""
    np.testing.assert_array_equal(out.loc[0, list(CLASSES)], out.loc[1, list(CLASSES)])
    assert "broken.fits" in out["reason"][2] and np.isnan(out["cw"][2])
    with pytest.raises(DataError, match=r"shape \(3, 1, 24, 32\), expected \(N, 2, 24, 32\)"):
        model.predict(cutouts[:, :1])


def mlflow_load(uri, name):
    from mlflow import pyfunc, set_tracking_uri  # noqa: PLC0415

    set_tracking_uri(uri)
    try:
        return pyfunc.load_model(name)
    finally:
        set_tracking_uri(None)


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns", "databricks"])
def test_refuses(uri):
    with pytest.raises(ConfigError, match="expected sqlite"):
        Tracker(uri, "first")


def begin(uri):
    with Tracker(uri, "first"):
        pass


@pytest.mark.parametrize(
    "ask",
    [
        lambda uri, _: begin(uri),
        lambda uri, _: promote(uri, "galaxies", "1", said(1)),
        lambda uri, folder: resolve("models:/galaxies@champion", uri, folder),
        lambda uri, _: run_page("models:/galaxies/1", uri),
    ],
    ids=["begin", "promote", "resolve", "run_page"],
)
def test_nobody_answers(ask, tmp_path, monkeypatch):
    r"""A server that is down is no mistake of the user: it may be there the next time."""

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    message = r"^http://127\.0\.0\.1:9 does not answer: .*refused; expected a tracking server that"
    with pytest.raises(PipelineError, match=message) as found:
        ask("http://127.0.0.1:9", tmp_path)
    assert type(found.value) is PipelineError


def down(words):
    return OperationalError("SELECT 1", {}, OSError(words))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (down("the connection was refused"), PipelineError),
        (MlflowException("failures while downloading a\nAPI request to b failed"), PipelineError),
        (MlflowException("failures while downloading a\nno such file"), ConfigError),
        (SSLError("the certificate is of another host"), ConfigError),
    ],
)
def test_what_may_pass(error, kind):
    with pytest.raises(PipelineError, match="^http://a") as found, understood("http://a"):
        raise error
    assert type(found.value) is kind


def test_the_end_is_lost(uri, monkeypatch):
    r"""A run whose end does not reach the server failed, as the server may be there again."""

    def fail(*_):
        raise MlflowException("away") from down("away")

    monkeypatch.setattr(MlflowClient, "set_terminated", fail)
    with pytest.raises(PipelineError, match="did not take the end") as found:
        begin(uri)
    assert type(found.value) is PipelineError


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("https://me:s3cret@host/", "https://host/#/experiments/1/runs/2"),
        ("http://host:5000", "http://host:5000/#/experiments/1/runs/2"),
        ("postgresql://me:s3cret@db/x", "mlflow ui --backend-store-uri postgresql://me:***@db/x,"),
    ],
)
def test_page(uri, told):
    assert page(uri, "1", "2").startswith(told)


def test_errors_tell_no_password(tmp_path, monkeypatch):
    r"""Neither what is said nor the traceback, which Prefect keeps."""

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = "http://me:s3cret@127.0.0.1:9"
    with pytest.raises(PipelineError) as away:
        resolve("models:/galaxies@champion", uri, tmp_path)
    with pytest.raises(ConfigError) as wrong, understood(uri):
        raise MlflowException(f"API request to {uri}/api failed with exception no JSON")
    for error in (away.value, wrong.value):
        told = "".join(traceback.format_exception(error))
        assert "http://me:***@127.0.0.1:9" in told and "s3cret" not in told


def test_warnings_tell_no_password(uri, monkeypatch, caplog, capsys):
    def fail(*_, **__):
        raise MlflowException(f"API request to {address}/api failed with exception no JSON")

    address = "http://me:s3cret@127.0.0.1:9"
    with Tracker(uri, "first") as tracker:
        monkeypatch.setattr(MlflowClient, "log_batch", fail)
        tracker.uri = address
        tracker.log({"loss": 1.0})
        monkeypatch.undo()
    logging.getLogger("mlflow.system_metrics").warning("Failed at %s", address)
    told = caplog.text + capsys.readouterr().err
    assert "they wait" in told and "Failed at http://me:***@" in told and "s3cret" not in told


@contextmanager
def server(folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store_uri(folder), "--host", "127.0.0.1"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        for _ in range(200):
            with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # it and its workers: nothing of it is kept
        process.wait()


def test_server(uri, card, cutouts, tmp_path):
    folder, _ = card
    # Tables that exist need not be made
    with Tracker(uri, "first"):
        pass
    shutil.copy(uri.removeprefix("sqlite:///"), tmp_path)
    with server(tmp_path) as remote:
        with Tracker(remote, "remote") as tracker:
            tracker.configure({"seed": 1}, "seed: 1\n")
            tracker.log({"loss": 0.5}, step=3)
            tracker.model(folder, "remote", cutouts, list(CLASSES))
            assert tracker.run_id in tracker.url
        assert promote(remote, "remote", "1", said(1)).promoted
        found, _ = resolve("models:/remote@champion", remote, tmp_path / "got")

        client = MlflowClient(remote)
        run = client.get_run(tracker.run_id)
        assert run.data.params == {"seed": "1"} and run.data.metrics == {"loss": 0.5}
    weights = "weights.safetensors"
    assert (found / weights).read_bytes() == (folder / weights).read_bytes()


def small(folder, uri):
    r"""The demo, small, which any address may track."""

    settings = {
        "folder": f"{folder}/runs",
        "data.root": f"{folder}/sky",
        "data.table.path": f"{folder}/sky/labels.csv",
        "data.size": 32,
        "data.workers": 1,
        "simulate": "{galaxies: 120, side: 32, seed: 1}",
        "model.name": "lenet",
        "training.epochs": 1,
        "evaluation": "{baselines: [], resamples: 5, symmetries: false}",
        "tracking.uri": uri,
    }
    config = Path(__file__).parents[1] / "configs/demo.yaml"

    return load(config, [f"{key}={value}" for key, value in settings.items()])


def test_password(uri, tmp_path, monkeypatch, capfd):
    r"""That of the server is in nothing that a run leaves or says, and the run is found again."""

    begin(uri)
    shutil.copy(uri.removeprefix("sqlite:///"), tmp_path)
    with server(tmp_path) as remote:
        monkeypatch.setenv("MLFLOW_URI", remote.replace("//", "//me:hunter2@"))
        experiment = small(tmp_path, "${MLFLOW_URI}")
        home, catalogue = experiment.home, tmp_path / "c.csv"
        made = runs.run(experiment)
        again = runs.train(experiment)
        said = runs.classify(
            "models:/demo/1", home / "store", catalogue, ["tracking.uri=${MLFLOW_URI}"]
        )

    page = made["train"]["run"]
    assert page.startswith(f"{remote}/#/experiments/")
    assert again["run"] == made["evaluate"]["run"] == said["run"] == page
    changed = small(tmp_path, remote.replace("//", "//me:another@"))
    assert page.endswith(f"/runs/{tracker(changed, home).run_id}")

    told = json.dumps([made, again, said], default=str) + "".join(capfd.readouterr())
    assert "hunter2" not in told
    address = remote.replace("//", "//me:***@")
    assert f"uri: {address}\n" in (home / "experiment.yaml").read_text()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"run.json", "report.html", "config.yaml", "mlflow.db"} <= {path.name for path in files}
    assert not [path for path in files if b"hunter2" in path.read_bytes()]

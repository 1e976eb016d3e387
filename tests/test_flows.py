r"""The flows, on a real Prefect server with a throw-away database."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import State, StateType
from prefect.client.schemas.schedules import CronSchedule
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness
from typer.testing import CliRunner

from flows import stages
from flows.classify import classify
from flows.cli import app
from flows.ingest import ingest
from flows.measure import measure
from flows.run import run
from flows.train import train
from pipeline import runs
from pipeline.catalogue import read_table
from pipeline.errors import ConfigError, DataError, PipelineError
from pipeline.runs.whole import STAGES
from pipeline.tracking import Tracker, resolve, store_uri

ROOT = Path(__file__).parents[1]
DEMO = str(ROOT / "configs" / "demo.yaml")


@pytest.fixture(scope="session")
def server() -> Iterator[None]:
    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield


@pytest.fixture
def calls(server, monkeypatch):
    r"""Stand-ins for the verbs that fail as often as they are told to."""

    made = {}
    failures = {}

    def fake(name):
        def verb(experiment):
            made[name] = made.get(name, 0) + 1
            if made[name] <= len(failures.get(name, [])):
                raise failures[name][made[name] - 1]
            link = {"run": "http://localhost:5000/#/runs/1"} if name == "train" else {}
            return {"of": experiment.name, "accuracy": 0.91234, **link}

        return verb

    for name in STAGES:
        monkeypatch.setitem(STAGES, name, fake(name))
    for task in (stages.persist, stages.classify, stages.measure, stages.publish):
        monkeypatch.setattr(task, "retry_delay_seconds", [0, 0, 0])

    return made, failures


def artifact(key):
    with get_client(sync_client=True) as client:
        found = client.request("POST", "/artifacts/latest/filter", json={}).json()
    return next(one["data"] for one in found if one["key"] == key)


def test_run(calls):
    made, _ = calls
    result = run(DEMO, ["training.epochs=1"])

    assert list(result) == ["ingest", "train", "evaluate", "classify"]
    assert made == dict.fromkeys(result, 1)
    page = artifact("run-demo")
    assert "| evaluate.accuracy | 0.9123 |" in page
    assert "[http://localhost:5000/#/runs/1](http://localhost:5000/#/runs/1)" in page


def test_input_is_tried_again(calls):
    made, failures = calls
    failures["ingest"] = [OSError(5, "input/output error"), PipelineError("the disk is full")]

    assert ingest(DEMO)["of"] == "demo"
    assert made == {"ingest": 3}


def test_a_mistake_of_ours_is_not(calls):
    made, failures = calls
    failures["ingest"] = [KeyError("band")]

    with pytest.raises(KeyError):
        ingest(DEMO)
    assert made == {"ingest": 1}


def test_training_is_not(calls):
    made, failures = calls
    failures["train"] = [OSError(5, "input/output error")]

    with pytest.raises(OSError, match="input/output"):
        train(DEMO)
    assert made == {"train": 1}


def test_a_typo_is_not(calls):
    made, failures = calls
    failures["ingest"] = [DataError("no file below images matches '{id}.fit'")]

    with pytest.raises(DataError, match="no file below"):
        ingest(DEMO)
    assert made == {"ingest": 1}
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        train(DEMO, ["training.epoch=1"])


def test_classify(calls, monkeypatch):
    tries = []

    def fake(model, input, to, settings):
        tries.append((model, input, to))
        if len(tries) == 1:
            raise DataError("the store is away") from TimeoutError()
        return {"catalogue": str(to)}

    monkeypatch.setattr(runs, "classify", fake)

    assert classify("model", "store", "night/galaxies.fits") == {
        "catalogue": "night/galaxies.fits"
    }
    assert tries == [("model", Path("store"), Path("night/galaxies.fits"))] * 2
    assert "night/galaxies.fits" in artifact("classify-galaxies")


class Restarting(BaseHTTPRequestHandler):
    r"""A server behind a proxy that does not find it."""

    def do_GET(self):
        self.send_error(503)

    def log_message(self, *_):
        pass


@pytest.fixture
def restarting():
    with HTTPServer(("127.0.0.1", 0), Restarting) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def may_pass(uri, folder):
    with pytest.raises(PipelineError, match=re.escape(uri)) as found:
        resolve("models:/galaxies@champion", uri, folder)
    assert "\n" not in str(found.value)

    return stages.may_pass(None, None, State(type=StateType.FAILED, data=found.value))


def test_tracking_server_is_away(restarting, tmp_path, monkeypatch):
    r"""It is asked again; for a model that it does not have, or an address of none, it is not."""

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert may_pass("http://127.0.0.1:9", tmp_path)
    assert may_pass(restarting, tmp_path)
    assert not may_pass(store_uri(tmp_path / "nowhere"), tmp_path)
    assert not (tmp_path / "nowhere").exists()
    with Tracker(store_uri(tmp_path), "first"):
        pass
    assert not may_pass(store_uri(tmp_path), tmp_path)
    assert not may_pass("mlruns", tmp_path)


def test_measure(calls, monkeypatch):
    tries = []

    def fake(input, to, settings):
        tries.append((input, to, settings))
        if len(tries) == 1:
            raise DataError("the store is away") from TimeoutError()
        return {"catalogue": str(to)}

    monkeypatch.setattr(runs, "measure", fake)

    assert measure("store", "night/shapes.fits", ["a.b=1"]) == {"catalogue": "night/shapes.fits"}
    assert tries == [(Path("store"), Path("night/shapes.fits"), ["a.b=1"])] * 2
    assert "night/shapes.fits" in artifact("measure-shapes")


def test_command_line(calls):
    r"""The flows answer like the verbs: a result, or one line without a traceback."""

    _, failures = calls
    done = CliRunner().invoke(app, ["ingest", DEMO, "--json"])
    assert done.exit_code == 0, done.stderr
    assert done.stdout == '{"of": "demo", "accuracy": 0.91234}\n'

    failures["train"] = [DataError("the store is empty")]
    done = CliRunner().invoke(app, ["train", DEMO])
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1] == "tuningfork: the store is empty"
    assert "Traceback" not in done.stderr
    assert done.stderr.count("the store is empty") == 1, done.stderr


def test_without_a_server(monkeypatch):
    r"""A server that is not there costs a line, which says what to do."""

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        done = CliRunner().invoke(app, ["ingest", DEMO])
    assert done.exit_code == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("tuningfork: Prefect fails: ") and "127.0.0.1:9" in last
    assert last.endswith("; --no-flow works without it")


def test_our_own_mistake(calls, monkeypatch):
    r"""What fails in a verb is not put down to Prefect."""

    def fail(experiment):
        raise RuntimeError("a mistake")

    monkeypatch.setitem(STAGES, "train", runs.train)
    monkeypatch.setattr("pipeline.runs.training.sample", fail)
    done = CliRunner().invoke(app, ["train", DEMO])
    assert done.exit_code == 2
    assert "Traceback" in done.stderr and "Prefect fails" not in done.stderr


def test_for_real(server, tmp_path):
    r"""The verbs themselves, through Prefect: a result that JSON can hold, and nothing else."""

    settings = {
        "folder": tmp_path,
        "data.root": tmp_path / "survey",
        "data.table.path": tmp_path / "survey/labels.csv",
        "data.size": 32,
        "data.workers": 1,
        "simulate": "{galaxies: 120, side: 32, seed: 1}",
        "model": "{name: lenet}",
        "training.epochs": 1,
        "evaluation": "{resamples: 20, symmetries: false}",
        "tracking.system_metrics": "false",
    }
    options = [text for key, value in settings.items() for text in ("--set", f"{key}={value}")]
    done = CliRunner().invoke(app, ["run", DEMO, "--json", *options])

    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert list(result) == list(STAGES)
    assert result["classify"]["inputs"] == 120
    assert Path(result["classify"]["catalogue"]).exists()
    page = artifact("run-demo")
    assert f"| evaluate.galaxies | {result['evaluate']['galaxies']} |" in page
    run_id = json.loads((tmp_path / "demo/run.json").read_text())["run"]
    assert re.search(rf"\]\(http://127.0.0.1:5000/#/experiments/\d+/runs/{run_id}\)", page)
    # The catalogue names the version that was registered
    assert read_table(result["classify"]["catalogue"]).meta["model_version"] == "models:/demo/1"


def test_wrong_model(calls):
    r"""An experiment that cannot train is refused before its data are read."""

    made, _ = calls
    with pytest.raises(ConfigError, match="did you mean 'lenet'"):
        run(DEMO, ["model.name=lennet"])
    assert not made


def test_schedule(tmp_path):
    r"""Prefect's own server plans the runs of a deployment, with the versions that are pinned."""

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    api = f"http://127.0.0.1:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    env = os.environ | {"PREFECT_HOME": str(tmp_path), "PREFECT_API_URL": api}
    log = (tmp_path / "log").open("wb")
    with log, subprocess.Popen(command, env=env, stdout=log, stderr=log) as process:
        try:
            with (
                temporary_settings({PREFECT_API_URL: api}),
                get_client(sync_client=True) as client,
            ):
                await_true(lambda: client.api_healthcheck() is None)
                nightly = DeploymentScheduleCreate(schedule=CronSchedule(cron="0 2 * * *"))
                flow = client.create_flow_from_name("nightly")
                client.create_deployment(flow, "nightly", schedules=[nightly])
                await_true(client.read_flow_runs)
        finally:
            process.terminate()


def await_true(found, seconds=120):
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.5)


def test_deployments():
    r"""Every deployment names a flow that is there, with arguments that it takes."""

    text = (ROOT / "prefect.yaml").read_text()
    for variable in set(re.findall(r"\$([A-Z_]+) }}", text)):
        assert f"#   export {variable}=" in text
    for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]:
        path, name = one["entrypoint"].split(":")
        flow = {f.name: f for f in (ingest, train, classify, measure, run)}[name]
        assert (ROOT / path).exists()
        flow.validate_parameters(one["parameters"])
        assert one["schedules"][0]["timezone"]
        assert one["concurrency_limit"] in (1, {"limit": 1, "collision_strategy": "CANCEL_NEW"})

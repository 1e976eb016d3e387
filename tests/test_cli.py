r"""What every verb promises at the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from flows.cli import app
from pipeline import runs
from pipeline.config import load
from pipeline.errors import DataError
from pipeline.store import Store, StoreInfo

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "configs" / "demo.yaml"
VERBS = {
    "simulate": ["sky"],
    "ingest": [str(DEMO)],
    "inspect": ["store"],
    "train": [str(DEMO)],
    "evaluate": [str(DEMO)],
    "compare": ["a", "b"],
    "classify": ["model", "store", "--to", "galaxies.csv"],
    "measure": ["store", "--to", "morphology.csv"],
    "run": [str(DEMO)],
}

HEAVY = set(
    "PIL astropy fastapi jinja2 lightning matplotlib mlflow numba numpy pandas prefect psutil"
    " pyarrow safetensors scipy sklearn timm torch torchvision yaml".split()
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def call(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def answers(monkeypatch, verb, result):
    def fake(*args, **kwargs):
        print("a library that talks")  # noqa: T201
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(runs, verb, fake)


WRONG = [
    ("simulate {file}", "{file} is a file"),
    ("simulate {full}", "{full} holds file.txt"),
    ("ingest {missing}.yaml", "{missing}.yaml"),
    ("ingest {full}", "{full}"),
    ("ingest {file}", "{file}"),
    ("ingest {yaml} --set data.root={missing}", "{missing}"),
    ("ingest {yaml} --set data.root={file}", "{file}"),
    ("inspect {missing}", "{missing} is not a store"),
    ("inspect {file}", "{file} is not a store"),
    ("inspect {store} --to {file}", "{file} is a file"),
    ("inspect {store} --to {file}/figures", "{file}"),
    ("inspect {store} --id m51", "{store} has no galaxy 'm51'"),
    ("train {yaml} --set data.store={missing}", "{missing} is not a store"),
    ("train {yaml} --set folder={file}", "{file}/x/store is not a store"),
    ("train {missing}.yaml", "{missing}.yaml"),
    ("evaluate {yaml}", "{runs}/x"),
    ("compare {missing} {full}", "{missing}"),
    ("compare {file} {full}", "{file}"),
    ("classify {missing} {store} --to {to}.csv", "{missing}"),
    ("classify {file} {store} --to {to}.csv", "{file}"),
    ("classify {full} {store} --to {to}.csv", "{full}"),
    ("measure {missing} --to {to}.csv", "{missing} does not exist"),
    ("measure {file} --to {to}.csv", "{file}"),
    ("measure {full} --to {to}.csv", "{full}"),
    ("measure {store} --to {to}.txt", "{to}.txt"),
    ("measure {store} --to {full}.csv", "{full}.csv"),
    ("measure {store} --to {file}/galaxies.csv", "{file}/galaxies.csv cannot be written"),
    ("run {missing}.yaml", "{missing}.yaml"),
    ("show {full}", "{full}"),
]
r"""What is typed, and what the error names."""


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong")
    named = {
        name: folder / name for name in ("missing", "full", "file.txt", "store", "to", "x.yaml")
    }
    for name in ("full", "full.csv"):
        (folder / name).mkdir()
    (folder / "full/file.txt").write_text("not an image")
    (folder / "file.txt").write_text("neither an image nor YAML: [")
    store = Store.create(folder / "store", StoreInfo(("g",), 8, 8, "native", "s"))
    store.commit(np.ones((1, 1, 8, 8), np.float16), [{"id": "m31", "status": "ok"}])
    text = "name: x\nfolder: {0}\ndata: {{root: {0}, bands: [g], table: {{path: t}},"
    named["x.yaml"].write_text(text.format(folder) + " labels: {column: c, classes: [a, b]}}\n")

    return {name.partition(".")[0]: path for name, path in named.items()} | {
        "yaml": named["x.yaml"],
        "runs": folder,
    }


def test_verbs_are_all():
    commands = {command.callback.__name__ for command in app.registered_commands}
    assert commands == VERBS.keys() | {"show"}


@pytest.mark.parametrize("verb", VERBS)
def test_json(verb, monkeypatch):
    answers(
        monkeypatch, verb, {"folder": Path("x"), "loss": float("nan"), "by": {"class": (1, 2)}}
    )
    done = call(verb, *VERBS[verb], "--json", "--no-flow")

    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == {"folder": "x", "loss": None, "by": {"class": [1, 2]}}
    assert "a library that talks" in done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_errors(verb, monkeypatch):
    answers(monkeypatch, verb, DataError("m51.fits is empty,\nexpected an image"))
    done = call(verb, *VERBS[verb], "--no-flow")

    assert done.exit_code == 1
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last == "tuningfork: m51.fits is empty, expected an image"
    assert "Traceback" not in done.stderr

    answers(monkeypatch, verb, OSError(28, "No space left on device", "store"))
    done = call(verb, *VERBS[verb], "--no-flow")
    assert done.exit_code == 1
    assert "No space left on device" in done.stderr

    answers(monkeypatch, verb, KeyError("ours"))
    done = call(verb, *VERBS[verb], "--no-flow")
    assert done.exit_code == 2
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["trian", DEMO], "Did you mean 'train'?"),
        (["train", DEMO, "--jsn"], "--json"),
        (["show", DEMO, "--set", "training.epoch=3"], "did you mean 'epochs'?"),
        (["show", DEMO, "--set", "trainin.epochs=3"], "did you mean 'training'?"),
        (["show", DEMO, "--set", "training.optimizer=adamww"], "did you mean 'adamw'?"),
        (["show", DEMO, "--set", "training.epochs=-3"], "training.epochs=-3"),
        (["show", DEMO, "--set", "epochs"], "expected section.key=value"),
        (["show", "demo.yml"], "demo.yml"),
        (["simulate", "sky", "--set", "simulate.galaxie=3"], "did you mean 'simulate.galaxies'?"),
        (["simulate", "sky", "--set", "simulate.galaxies=few"], "expected a whole number"),
        (["simulate", "sky", "--set", "simulate.galaxies=["], "'[' is not a YAML value"),
        (["simulate", "sky", "--set", "simulate.galaxies=true"], "expected a whole number"),
        (["simulate", "sky", "--set", "simulate.faults=few"], "expected a number"),
        (["simulate", "sky", "--set", "simulate.side=8"], "expected galaxies >= 1"),
        (["compare", "a", "--set", "compare.x=1"], "did you mean 'compare.common'?"),
        (["compare", "a", "--set", "compare.common=1"], "expected true or false"),
    ],
)
def test_hints(args, hint, tmp_path):
    done = call(*args)

    assert done.exit_code in (1, 2)
    assert hint in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("typed", "names"), WRONG, ids=[typed for typed, _ in WRONG])
def test_wrong_places(typed, names, places):
    r"""The verbs themselves: one line that names what is wrong, and nothing left half done."""

    done = call(*typed.format(**places).split(), "--no-flow")

    assert done.exit_code == 1, done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("tuningfork: ") and names.format(**places) in last
    assert not list(places["runs"].glob("to*"))


@pytest.mark.parametrize(
    "typed",
    [
        "classify {missing} {store} --to {to}.csv",
        "classify models:/a/1 {missing} --to {to}.csv",
        "measure {missing} --to {to}.csv",
    ],
)
def test_wrong_places_without_prefect(typed, places, monkeypatch):
    r"""What is not there is told before Prefect starts."""

    monkeypatch.setitem(sys.modules, "flows.server", None)  # to import it would fail
    done = call(*typed.format(**places).split())

    assert done.exit_code == 1, done.stderr
    assert str(places["missing"]) in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("verb", [*VERBS, "show"])
def test_no_flow_says_what_it_does(verb):
    told = " ".join(call(verb, "--help").stdout.split())

    assert ("Runs without Prefect." in told) == (ROOT / f"flows/{verb}.py").exists()
    assert ("this verb never uses Prefect" in told) != ("Runs without Prefect." in told)


def test_set_reaches_the_verb(monkeypatch):
    monkeypatch.setattr(runs, "train", lambda experiment: {"epochs": experiment.training.epochs})
    done = call("train", DEMO, "--no-flow", "--json", "--set", "training.epochs=7")
    assert json.loads(done.stdout) == {"epochs": 7}

    monkeypatch.setattr(runs, "simulate", lambda folder, **given: given)
    told = ["simulate.galaxies=7", "simulate.side=48", "simulate.faults=1"]
    settings = [word for setting in told for word in ("--set", setting)]
    done = call("simulate", "sky", "--seed", 4, "--json", *settings)
    assert json.loads(done.stdout) == {"galaxies": 7, "seed": 4, "side": 48, "faults": 1.0}

    monkeypatch.setattr(runs, "compare", lambda folders, **given: given)
    for word in (["--common"], ["--set", "compare.common=true"]):
        assert json.loads(call("compare", "a", "b", "--json", *word).stdout) == {"common": True}

    monkeypatch.setattr(runs, "inspect", lambda store, to, id: {"to": to, "id": id})
    done = call("inspect", "s", "--json", "--set", "inspect.id=12", "--set", "inspect.to=3")
    assert json.loads(done.stdout) == {"to": "3", "id": "12"}


def test_home(monkeypatch, tmp_path):
    r"""`~/` is the home of the user, wherever a verb takes a path, and makes no folder `~`."""

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for verb in ("inspect", "classify", "measure"):
        monkeypatch.setattr(runs, verb, lambda *args, **given: {"given": [*args, given]})
    typed = {
        ("measure", "~/a", "--to=~/b.csv", "--set=data.root=~/c"): ["a", "b.csv", "data.root=c"],
        ("classify", "~/m", "~/a", "--to", "~/b.csv", "--set", "tracking.uri=~/c"): ["m", "a"],
        ("inspect", "~/s", "--set", "inspect.to=~/d"): ["s", "d"],
    }
    for args, places in typed.items():
        done = call(*args, "--json", *(["--no-flow"] if "--to" in " ".join(args) else []))
        assert done.exit_code == 0, done.stderr
        assert "~" not in done.stdout
        for place in places:
            *name, place = place.rpartition("=")
            assert f'{"".join(name)}{tmp_path}/home/{place}"' in done.stdout

    assert call("simulate", "~/sky", "--galaxies", "1").exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert (tmp_path / "home/sky/labels.csv").exists()


def test_show_is_complete(tmp_path):
    r"""What it prints is an experiment again, the same one, with nothing left to a default."""

    printed = tmp_path / "full.yaml"
    printed.write_text(call("show", DEMO).stdout)

    assert load(printed) == load(DEMO)
    assert yaml.safe_load(printed.read_text())["training"]["clip"] == 1.0
    assert json.loads(call("show", DEMO, "--json").stdout) == load(DEMO).model_dump(mode="json")


def test_show_tells_no_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_URI", "postgresql://me:s3cret@db/mlflow")
    weights = "https://host/w.pt?token=s3cret"
    given = ["tracking.uri=${MLFLOW_URI}", f"model.pretrained={weights}"]
    for options in ([], ["--json"]):
        done = call("show", DEMO, *options, *(w for text in given for w in ("--set", text)))
        assert "postgresql://me:***@db/mlflow" in done.stdout and "token=***" in done.stdout
        assert "s3cret" not in done.output


def test_table(monkeypatch):
    answers(monkeypatch, "evaluate", {"test": {"accuracy": 0.91234, "galaxies": 400}})
    done = call("evaluate", DEMO)
    assert done.stdout.split() == ["test.accuracy", "0.9123", "test.galaxies", "400"]

    why = "m51.fits is not a FITS file, it begins with b'<!DOCTYPE html>'"
    answers(monkeypatch, "measure", {"inputs": 2, "rejected_because": {why: 1}})
    done = call("measure", DEMO, "--to", "x.fits", "--no-flow")
    assert done.stdout == f"inputs  2\nrejected_because.{why}  1\n"


@pytest.mark.parametrize("verb", [[], ["run"], ["classify"]])
def test_help_is_light(verb):
    r"""What makes it quick: no heavy library is imported before a verb needs it.

    How quick it is, `python -m benchmarks.startup` tells.
    """

    command = [sys.executable, "-X", "importtime", "-m", "flows.cli", *verb, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}

    assert done.returncode == 0, done.stderr
    assert "Usage: " in done.stdout
    assert {"typer", "flows.results"} <= imported
    assert not {name.partition(".")[0] for name in imported} & HEAVY
    # To print the help of a verb, typer itself imports pydantic.
    assert verb or "pydantic" not in imported


@pytest.mark.parametrize(
    ("imports", "drawn"),
    [
        ("flows.ingest, pipeline.runs.data", {"torch"}),
        ("flows.measure, pipeline.runs.measurement", set()),
    ],
)
def test_light(imports, drawn):
    r"""What reads or measures needs no network: its processes import none, and begin at once."""

    command = [sys.executable, "-c", f"import sys, {imports}; print(*sys.modules)"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    imported = {name.partition(".")[0] for name in done.stdout.split()}

    heavy = {"lightning", "matplotlib", "mlflow", "sklearn", "timm", "torch", "torchvision"}
    assert {"prefect", "numpy"} <= imported
    assert imported & heavy <= drawn


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_is_stopped(tmp_path, number):
    r"""Whoever is asked to end cleans up first, as Python does, and says so."""

    # What runs in the background ignores Ctrl-C, and hands that on
    begin = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    script = f"{begin}; from flows.cli import app; app()"
    command = [sys.executable, "-c", script, "simulate", "sky", "--galaxies", "100000"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    with process:
        while not any(tmp_path.glob("sky/cutouts/*")) and process.poll() is None:
            time.sleep(0.1)
        process.send_signal(number)
        told = process.communicate(timeout=30)[1]

    assert process.returncode == 128 + number
    assert told == "tuningfork: stopped; run it again to go on\n"

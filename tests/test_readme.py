r"""The commands of the README, as a reader would type them, on a small survey."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from flows.cli import app
from pipeline.catalogue import read_table

ROOT = Path(__file__).parents[1]
TOOL = ".venv/bin/tuningfork"


def commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith(TOOL)]

    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.fixture
def home(tmp_path, monkeypatch):
    r"""An empty folder with `my.yaml`: the demo, small, under another name."""

    tree = yaml.safe_load((ROOT / "configs/demo.yaml").read_text())
    tree |= {"name": "my", "simulate": {"galaxies": 160}}
    tree |= {"training": {"epochs": 1}, "evaluation": {"resamples": 50}}
    tree["data"]["workers"] = 1
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(tree))
    monkeypatch.chdir(tmp_path)

    return tmp_path


def test_make_targets():
    makefile = (ROOT / "Makefile").read_text()
    used = set(re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))

    assert used == {"run", "test"}
    assert all(f"\n{target}:" in makefile for target in used)


def test_commands(home):
    verbs = [words[0] for words in commands()]
    assert verbs == ["show", "ingest", "inspect", "train", "evaluate", "classify", "measure"]

    for words in commands():
        result = CliRunner().invoke(app, [*words, "--no-flow"])
        assert result.exit_code == 0, f"{words}: {result.output}"

    assert len(read_table(home / "galaxies.fits")) == 160
    assert len(read_table(home / "morphology.fits")) == 160

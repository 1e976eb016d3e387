r"""How commands end that are told to: real signals, a real terminal and a real Prefect."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pipeline import runs

ROOT = Path(__file__).parents[1]
LAST = "tuningfork: stopped; run it again to go on"

# What runs in the background ignores Ctrl-C, and hands that on
BEGIN = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
os.login_tty(0)
sys.argv[0] = "tuningfork"
"""
COMMAND = f"{BEGIN}from flows.cli import app; app()"

DEAF = f"""{BEGIN}
import time
from flows.stopping import Stop
with Stop():
    while True:
        try:
            print("READY", flush=True)
            time.sleep(600)
        except BaseException:
            print("no", flush=True)
"""


class Terminal:
    r"""A command in a terminal of its own, of which whatever it starts is known."""

    def __init__(self, script, *args):
        self.mark = str(uuid.uuid4())
        self.screen, inside = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, args)],
            env=os.environ | {"PYTHONPATH": str(ROOT), "MARK": self.mark},
            stdin=inside,
        )
        os.close(inside)
        self.text = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.left():
            process.kill()
        self.process.wait()
        os.close(self.screen)

    def read(self, enough, seconds):
        end = time.monotonic() + seconds
        while not enough() and time.monotonic() < end:
            if select.select([self.screen], [], [], 0.05)[0]:
                with suppress(OSError):  # of a terminal that nobody uses any more
                    self.text += os.read(self.screen, 65536).decode()

        return enough()

    def left(self):
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("MARK") == self.mark:
                    found.append(process)

        return found


def ends(terminal, how, within):
    r"""Whether a command ends in time, with one line, and leaves nothing behind."""

    before = len(terminal.text)
    if how == "Ctrl-C":
        os.write(terminal.screen, b"\x03")
    else:
        terminal.process.send_signal(how)
    code = signal.SIGTERM if how == signal.SIGTERM else signal.SIGINT
    assert terminal.read(lambda: terminal.process.poll() is not None, within)
    terminal.read(lambda: terminal.text.endswith(f"{LAST}\r\n"), 1)
    said = terminal.text[before:]
    assert terminal.process.returncode == 128 + code, said
    assert said.count("tuningfork:") == 1 and said.endswith(f"{LAST}\r\n"), said
    assert not any(word in said for word in ("Traceback", "Crash", "Error", "connect")), said
    assert terminal.read(lambda: not terminal.left(), 2)


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopped") / "sky"
    runs.simulate(folder, galaxies=40, seed=0, side=48, faults=0.0)

    return folder


@pytest.mark.parametrize("how", ["Ctrl-C", signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("options", [[], ["--no-flow"]], ids=["flow", "no_flow"])
def test_measure(sky, tmp_path, how, options):
    r"""A terminal sends Ctrl-C to the workers and to Prefect's server, too."""

    settings = ["--set", "morphometry.draws=1000", "--set", "morphometry.workers=2"]
    to = ["--to", tmp_path / "shapes.fits"]
    with Terminal(COMMAND, "measure", sky / "cutouts", *to, *settings, *options) as terminal:
        assert terminal.read(lambda: "0 are done" in terminal.text, 240)
        terminal.read(lambda: False, 4)  # by then the workers measure
        assert len(terminal.left()) > 3
        ends(terminal, how, 4)
    assert not (tmp_path / "shapes.fits").exists()


@pytest.mark.parametrize("how", ["Ctrl-C", signal.SIGTERM])
def test_deaf(how):
    r"""What does not come back is cut off."""

    with Terminal(DEAF) as terminal:
        assert terminal.read(lambda: "READY" in terminal.text, 60)
        ends(terminal, how, 4)
        assert "no\r\n" in terminal.text


@pytest.mark.parametrize("how", ["Ctrl-C", signal.SIGTERM])
def test_server_died(sky, tmp_path, how):
    r"""Prefect goes on asking a server that is no longer there, and is stopped nevertheless."""

    settings = ["--set", "morphometry.draws=8", "--set", "morphometry.workers=2"]
    to = tmp_path / "shapes.fits"
    with Terminal(COMMAND, "measure", sky / "cutouts", "--to", to, *settings) as terminal:
        assert terminal.read(lambda: "0 are done" in terminal.text, 240)
        for process in terminal.left():
            if "uvicorn" in process.cmdline():
                process.kill()
        assert terminal.read(to.exists, 60)
        terminal.read(lambda: "Unable to connect" in terminal.text, 20)
        ends(terminal, how, 4)

r"""All of a small experiment through Prefect, against the same verbs called without it.

Both sides are the command line in a process and a folder of its own, tracked alike in MLflow.
What Prefect may cost is fifteen seconds, for its temporary server, and two per cent.
"""

__all__ = ["main"]

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Case, options, report

CONFIG = Path(__file__).parents[1] / "configs" / "demo.yaml"
FIXED, SHARE = 15.0, 0.02


def main() -> None:
    r"""Runs both sides in turn."""

    asked = options(__doc__ or "")
    rounds, galaxies = (1, 120) if asked.quick else (3, 400)
    seconds: dict[str, list[float]] = {"flow": [], "direct": []}
    for _ in range(rounds):
        for side, extra in (("flow", []), ("direct", ["--no-flow"])):
            seconds[side].append(_run(galaxies, extra))

    flow, direct = (statistics.median(seconds[side]) for side in ("flow", "direct"))
    allowed = direct * (1 + SHARE) + FIXED
    cases = [
        Case(f"{galaxies} galaxies, within what is allowed", flow, allowed, "s", allowed / flow),
        Case(f"{galaxies} galaxies, without Prefect", flow, direct, "s", direct / flow),
    ]

    report(cases, asked.json)


def _run(galaxies: int, extra: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "folder": folder,
            "data.root": f"{folder}/survey",
            "data.table.path": f"{folder}/survey/labels.csv",
            "simulate.galaxies": galaxies,
            "training.epochs": 1,
            "evaluation.resamples": 20,
        }
        pairs = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        command = [sys.executable, "-m", "flows.cli", "run", str(CONFIG), *pairs, *extra]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)

        return time.perf_counter() - start


if __name__ == "__main__":
    main()

r"""How long `tuningfork --help` takes, against the half second that it may."""

__all__ = ["main"]

import statistics
import subprocess
import sys
import time

from benchmarks.harness import Case, options, report

ALLOWED = 0.5


def main() -> None:
    r"""Measures the start of the command in processes of their own."""

    asked = options(__doc__ or "")
    rounds = 5 if asked.quick else 15
    cases = []
    for verb in ([], ["run"], ["classify"]):
        command = [sys.executable, "-m", "flows.cli", *verb, "--help"]
        seconds = statistics.median(_time(command) for _ in range(rounds + 1))
        name = " ".join(["tuningfork", *verb, "--help"])
        cases.append(Case(name, seconds, ALLOWED, "s", ALLOWED / seconds))

    report(cases, asked.json)


def _time(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)

    return time.perf_counter() - start


if __name__ == "__main__":
    main()

r"""Times two sides in turn, and prints their medians and a ratio."""

__all__ = ["Case", "compare", "options", "parser", "report", "write_json"]

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from flows.results import plain


@dataclass(frozen=True)
class Case:
    r"""One comparison. A ratio above 1 means that ours is better, whatever the unit.

    Arguments:
        name: What was compared, and its size.
        ours: The median of our side, in `unit`.
        theirs: The median of the other side, in `unit`.
        unit: The unit of both, e.g. `galaxies/s` or `s`.
        ratio: How much better ours is.
    """

    name: str
    ours: float
    theirs: float
    unit: str
    ratio: float


def compare(
    name: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    items: int,
    unit: str = "galaxies/s",
    rounds: int = 5,
) -> Case:
    r"""Runs both sides `rounds` times in turn, after one unmeasured round.

    Arguments:
        items: The number of items that one call of either side handles.

    Returns:
        The medians of both rates, in `items` per second.
    """

    rates: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for side, call in zip(rates, (ours, theirs), strict=True):
            start = time.perf_counter()
            call()
            if turn:
                side.append(items / (time.perf_counter() - start))

    ours_rate, theirs_rate = map(statistics.median, rates)

    return Case(name, ours_rate, theirs_rate, unit, ours_rate / theirs_rate)


def parser(description: str, *, docs: bool = False) -> argparse.ArgumentParser:
    r"""Makes what reads `--quick` and `--json` from the command line.

    Arguments:
        description: What the benchmark says of itself.
        docs: Whether it reads `--docs` too, the folder of the pages that show its tables.
    """

    reader = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    reader.add_argument("--quick", action="store_true", help="a smaller size, for a first look")
    reader.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    if docs:
        reader.add_argument("--docs", type=Path, help="renew tables and figures in this folder")

    return reader


def options(description: str) -> argparse.Namespace:
    r"""Reads `--quick` and `--json` from the command line."""

    return parser(description).parse_args()


def report(cases: list[Case], as_json: bool) -> None:
    r"""Writes the cases to standard output. The first is the headline."""

    if as_json:
        told = [asdict(case) for case in cases]
        headline = {key: value for key, value in told[0].items() if key != "name"}
        write_json(headline | {"cases": told})
        return

    for case in cases:
        if math.isnan(case.theirs):
            sys.stdout.write(f"{case.name}: ours {case.ours:.4g} {case.unit}\n")
            continue
        sys.stdout.write(
            f"{case.name}: ours {case.ours:.4g}, theirs {case.theirs:.4g} {case.unit},"
            f" ratio {case.ratio:.2f}\n"
        )


def write_json(result: object) -> None:
    r"""Writes one line of JSON to standard output, with null for what is no finite number."""

    sys.stdout.write(json.dumps(plain(result), allow_nan=False) + "\n")

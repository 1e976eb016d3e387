r"""What a verb returns, for JSON and for tables."""

__all__ = ["flatten", "plain", "show", "side_by_side", "table"]

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

WIDEST = 40
r"""The characters of a name that values are aligned with."""


def plain(value: Any) -> Any:
    r"""Makes a result of what JSON knows: NaN becomes null, a path text, a NumPy scalar itself."""

    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None

    return value if isinstance(value, bool | int | float | str | None) else str(value)


def flatten(result: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    r"""Yields the names and the values of a result in the order of reading, as text.

    Example:
        >>> dict(flatten({"folder": "runs", "test": {"accuracy": 0.91234, "galaxies": 400}}))
        {'folder': 'runs', 'test.accuracy': '0.9123', 'test.galaxies': '400'}
    """

    for key, value in result.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", show(value)


def show(value: Any) -> str:
    r"""Writes a value as a person reads it."""

    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(show, value))

    return "-" if value is None else str(value)


def table(result: Mapping[str, Any]) -> str:
    r"""Writes a result line by line. A name as long as a sentence moves no other value."""

    rows = list(flatten(result))
    width = max((len(name) for name, _ in rows if len(name) <= WIDEST), default=0)

    return "".join(f"{name:{width}}  {text}".rstrip() + "\n" for name, text in rows)


def side_by_side(result: Mapping[str, Any]) -> str:
    r"""Writes a :class:`pipeline.comparison.Comparison`: a column for each run, and for each but
    the first one what it has above the first, with the interval, and whether it is better or
    worse where that is sure."""

    first, *others = result["metrics"]
    rows = [["", first], ["", result["models"][first]]]
    rows += [[name, _number(score)] for name, score in result["metrics"][first].items()]
    for name in others:
        gaps = result["differences"][name]
        scores = result["metrics"][name].items()
        column = [name, result["models"][name], *(_number(score) for _, score in scores)]
        above = ["minus the first", "", *(_interval(gaps[metric]) for metric, _ in scores)]
        rows = [[*row, *cells] for row, *cells in zip(rows, column, above, strict=True)]
    left = result["left_out"]
    told = f"{result['galaxies']} galaxies"
    told += f", without {left} that only some runs were tested on" if left else ""
    sure = "\nbetter, worse: chance would do as much in fewer than one of twenty test sets\n"
    any_sure = any(
        gap["verdict"] for gaps in result["differences"].values() for gap in gaps.values()
    )

    return f"{told}\n\n{_aligned(rows)}{sure if any_sure else ''}"


def _number(score: Mapping[str, float]) -> str:
    return "-" if score["value"] is None else f"{score['value']:.3f}"


def _interval(gap: Mapping[str, Any]) -> str:
    if gap["value"] is None:
        return "-"

    return f"{gap['value']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f}){gap['verdict']:>8}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    r"""Writes rows of as many cells, column below column."""

    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]

    return "".join(f"{line}\n" for line in lines)

r"""What a verb returns, for JSON and for tables."""

__all__ = ["flatten", "plain", "show"]

import math
from collections.abc import Iterator, Mapping
from typing import Any


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

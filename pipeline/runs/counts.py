r"""What a manifest holds, in numbers."""

__all__ = ["count"]

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from pipeline.feeds import kinds


def count(manifest: pa.Table) -> dict[str, dict[str, int]]:
    r"""Counts a manifest by status, flag and kind of reason."""

    flags = [flag for text in manifest["flags"].to_pylist() for flag in text.split(",") if flag]
    rejected = [
        reason
        for status, reason in zip(*_texts(manifest, "status", "reason"), strict=True)
        if status == "rejected"
    ]

    return {
        "status": dict(Counter(manifest["status"].to_pylist()).most_common()),
        "flags": dict(Counter(flags).most_common()),
        "reasons": kinds(rejected),
    }


def _texts(manifest: pa.Table, *names: str) -> list[Sequence[str]]:
    return [manifest[name].to_pylist() for name in names]

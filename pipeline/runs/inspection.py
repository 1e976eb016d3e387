r"""What is in a store."""

__all__ = ["PER_CLASS", "inspect", "noises", "sheet"]

import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.errors import ConfigError, DataError
from pipeline.files import replacing
from pipeline.pictures import contact_sheet, galaxy_sheet
from pipeline.runs.counts import count
from pipeline.store import Store

PER_CLASS = 10


def inspect(store_folder: Path, out_folder: Path, id: str | None = None) -> dict:
    r"""Counts a store by status, flag and reason, and draws a contact sheet per class.

    With `id`, draws that galaxy in all its bands instead.
    """

    store, out = Store.open(store_folder), Path(out_folder)
    if out.is_file():
        raise ConfigError(f"{out} is a file, expected a folder to draw figures in")
    if id is not None:
        path = out / f"{_file_name(id)}.png"
        _save(_portrait(store, id), path)
        return {"id": id, "figure": str(path)}

    labels = store.manifest.take(store.usable)["label"].to_pylist()
    figures = {}
    for name in dict.fromkeys([*store.info.classes, *sorted(set(labels))]):
        rows = store.usable[[label == name for label in labels]]
        if len(rows):
            path = out / f"{_file_name(name or 'unlabelled')}.png"
            told = name or "unlabelled"
            _save(sheet(store, _spread(rows, 6 * PER_CLASS), {told: len(rows)}), path)
            figures[told] = str(path)

    return {"inputs": len(store.manifest), **count(store.manifest), "figures": figures}


def sheet(
    store: Store,
    rows: NDArray[np.int64],
    counts: Mapping[str, int],
    columns: int = PER_CLASS,
) -> Figure:
    r"""Draws galaxies of a store, wrapped at `columns`, a class after the other, with the number
    of galaxies that there are of each class."""

    used = store.manifest.take(rows)
    names = [label or "unlabelled" for label in used["label"].to_pylist()]
    seen: Counter[str] = Counter()
    lines = []
    for name in names:
        turn = seen[name] // columns
        lines.append(" " * turn if turn else f"{name}\n{counts[name]:,}")
        seen[name] += 1

    return contact_sheet(
        store.gather(rows),
        lines,
        used["id"].to_pylist(),
        noise=noises(store, rows),
        columns=columns,
    )


def noises(store: Store, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    r"""Returns the noise of each band of some galaxies, with shape `(N, C)`."""

    used = store.manifest.take(rows)

    return np.stack([used[f"noise_{band}"].to_numpy() for band in store.info.bands], axis=1)


def _portrait(store: Store, id: str) -> Figure:
    row = store.row(id)
    facts = store.manifest.slice(row, 1).to_pylist()[0]
    if facts["status"] == "rejected":
        raise DataError(f"{id} was rejected, there is nothing to draw: {facts['reason']}")

    shown = {name: facts[name] for name in ("status", "flags", "reason", "label", "source")}
    known = math.isfinite(facts["ra"] + facts["dec"])
    shown |= {"position": f"{facts['ra']:.5f} {facts['dec']:+.5f} deg" if known else "unknown"}
    for name in ("sky", "noise", "coverage"):
        values = [f"{band} {facts[f'{name}_{band}']:.4g}" for band in store.info.bands]
        shown[name] = ", ".join(values)
    told = {name: text for name, text in shown.items() if text}

    rows = np.array([row])
    noise = noises(store, rows)[0]

    return galaxy_sheet(store.gather(rows)[0], store.info.bands, id, told, noise=noise)


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=150)


def _file_name(text: str) -> str:
    r"""Makes a file name of any text, and another one of another text."""

    return re.sub(r"[^\w .+#-]", lambda found: f"%{ord(found[0]):02X}", text)


def _spread(rows: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    r"""Takes at most `limit` rows, from all over."""

    return rows[np.unique(np.linspace(0, len(rows) - 1, min(limit, len(rows))).astype(int))]

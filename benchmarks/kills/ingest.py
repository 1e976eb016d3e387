r"""The killing of `tuningfork ingest`."""

__all__ = ["Ingest"]

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline import runs
from pipeline.config import build
from pipeline.fits import write_image

BANDS = ("g", "r")


@dataclass(frozen=True)
class Ingest:
    r"""The verb, on galaxies in two bands, some of them damaged, in shards of sixteen."""

    galaxies: int = 200
    workers: int = 2

    def prepare(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        y, x = np.mgrid[-20:21, -24:25]
        for i in range(self.galaxies):
            width = rng.uniform(2, 6)
            for band in BANDS:
                galaxy = 200 * np.exp(-(x**2 + y**2) / (2 * width**2))
                path = folder / f"images/{i:04d}_{band}.fits"
                path.parent.mkdir(exist_ok=True)
                write_image(path, (galaxy + rng.normal(size=x.shape)).astype(np.float32), {})
            if i % 20 == 0:
                path.write_bytes(path.read_bytes()[:3000])
        rows = [f"{i:04d},{'ab'[i % 3 == 0]}\n" for i in range(self.galaxies)]
        (folder / "labels.csv").write_text(f"id,kind\n{''.join(rows)}")

    def work(self, folder: Path, output: Path) -> None:
        data = {
            "root": str(folder / "images"),
            "pattern": "{id}_{band}.fits",
            "bands": [*BANDS],
            "size": [31, 33],
            "workers": self.workers,
            "chunk": 16,
            "table": {"path": str(folder / "labels.csv")},
            "labels": {"column": "kind", "classes": ["a", "b"]},
        }
        runs.ingest(build({"name": "test", "folder": str(output), "data": data}, [], folder))

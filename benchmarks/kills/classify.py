r"""The killing of `tuningfork classify`."""

__all__ = ["Classify"]

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models import build
from pipeline import runs
from pipeline.card import Card, save_card
from pipeline.fits import write_image

BANDS, SIZE = ("g", "r"), (31, 33)


@dataclass(frozen=True)
class Classify:
    r"""The verb, on a folder of files of which some are damaged, to a FITS catalogue."""

    galaxies: int = 400

    def prepare(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        (folder / "images").mkdir()
        for i in range(self.galaxies):
            path = folder / f"images/{i:04d}.fits"
            write_image(path, rng.normal(size=(len(BANDS), *SIZE)).astype(np.float32), {})
            if i % 50 == 0:
                path.write_bytes(path.read_bytes()[:3000])
        network = build("cutout_resnet", bands=len(BANDS), classes=3, width=8)
        card = Card(
            model="cutout_resnet",
            args={"width": 8},
            bands=BANDS,
            height=SIZE[0],
            width=SIZE[1],
            scale="native",
            survey="test",
            stretch={},
            classes=("a", "b", "c"),
            mirror=(0, 2, 1),
            symmetries=True,
        )
        save_card(folder / "model", card, network)

    def work(self, folder: Path, output: Path) -> None:
        output.mkdir(exist_ok=True)
        runs.classify(str(folder / "model"), folder / "images", output / "catalogue.fits")

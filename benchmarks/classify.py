r"""From files, or a store, to a catalogue, against the bare forward pass of the same model.

Both sides compute the same logits of the same galaxies in batches of the same size. The bare
pass has its images in memory, stretched already.
"""

__all__ = ["main"]

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness import Case, compare, options, report
from models import build
from pipeline.card import Card, load_card, save_card
from pipeline.classify import BATCH, classify
from pipeline.feeds import Feed, FileFeed, StoreFeed
from pipeline.fits import Value, write_image
from pipeline.ingest import Recipe, ingest
from pipeline.prediction import channels_last
from pipeline.sources import find
from pipeline.store import Store, StoreInfo
from pipeline.stretch import Stretch

BANDS, SIDE = ("g", "r", "i"), 64
CLASSES = ("elliptical", "spiral", "edge_on", "merger")


def main() -> None:
    r"""Measures both ways in, with and without the eight symmetries."""

    asked = options(__doc__ or "")
    count = 500 if asked.quick else 2000
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _draw(root / "images", count)
        info = StoreInfo(BANDS, SIDE, SIDE, "native", "benchmark")
        recipe = Recipe(BANDS, (SIDE, SIDE))
        sources = find(root / "images", "{id}.fits", BANDS)
        store = Store.create(root / "store", info)
        ingest(sources, store, recipe)

        files = FileFeed(sources, recipe, info)
        cases = [
            _case("files to catalogue", root, store, files, symmetries=False),
            _case("store to catalogue", root, store, StoreFeed(store), symmetries=False),
            _case("files, eight symmetries", root, store, files, symmetries=True),
        ]

    report(cases, asked.json)


def _case(name: str, root: Path, store: Store, feed: Feed, symmetries: bool) -> Case:
    _save_model(root / "model", symmetries)
    bare = _bare(root / "model", store)

    def ours() -> None:
        classify(root / "model", feed, root / "galaxies.fits")

    return compare(f"{name}, {len(feed)} galaxies", ours, bare, items=len(feed), rounds=3)


def _bare(model: Path, store: Store) -> Callable[[], None]:
    card, network = load_card(model)
    place = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.to(place)
    stretch = Stretch(**card.stretch)
    batches = np.array_split(store.usable, -(-len(store.usable) // BATCH[place]))
    images = [
        channels_last(stretch(torch.from_numpy(store.gather(rows)).to(place))) for rows in batches
    ]
    views = 8 if card.symmetries else 1

    @torch.inference_mode()
    def run() -> None:
        for batch in images:
            for _ in range(views):
                network(batch).cpu()

    return run


def _save_model(folder: Path, symmetries: bool) -> None:
    card = Card(
        model="cutout_resnet",
        args={},
        bands=BANDS,
        height=SIDE,
        width=SIDE,
        scale="native",
        survey="benchmark",
        stretch={},
        classes=CLASSES,
        mirror=tuple(range(len(CLASSES))),
        symmetries=symmetries,
    )
    save_card(folder, card, build("cutout_resnet", bands=len(BANDS), classes=len(CLASSES)))


def _draw(folder: Path, count: int) -> None:
    folder.mkdir()
    random = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    for number in range(count):
        radius = random.uniform(2, 6)
        galaxy = random.uniform(20, 200) * np.exp(-np.hypot(x, y) / radius)
        pixels = galaxy + random.normal(size=(len(BANDS), SIDE, SIDE))
        cards: dict[str, Value] = {"CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 32.5, "CRPIX2": 32.5}
        cards |= {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1e-4, "CDELT2": 1e-4}
        write_image(folder / f"{number:05d}.fits", pixels.astype(np.float32), cards)


if __name__ == "__main__":
    main()

r"""The figures of the page on morphometry are those that its command draws."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.gallery.figures import FIGURES
from benchmarks.gallery.looks import save
from pipeline.figures import style

DOCS = Path(__file__).parents[1] / "docs"
SIZE = 200_000


def test_all_are_on_the_page():
    shown = re.findall(r"\(figures/(\w+)\.png\)", (DOCS / "morphometry.md").read_text())

    assert sorted(shown) == sorted([*FIGURES, "agreement_fast", "agreement_parity", "bias"])
    for name in shown:
        assert (DOCS / f"figures/{name}.png").stat().st_size < SIZE, name


@pytest.mark.parametrize("name", ["asymmetry", "mid"])
def test_drawn_as_committed(name, shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("TUNINGFORK_DATA", str(shared_data))
    with style():
        save(FIGURES[name](), tmp_path / "drawn.png")
    drawn, kept = (
        np.asarray(Image.open(path).convert("RGB"), float)
        for path in (tmp_path / "drawn.png", DOCS / f"figures/{name}.png")
    )

    assert drawn.shape == kept.shape
    assert np.abs(drawn - kept).mean() < 6

r"""Draws the figures of `docs/morphometry.md`: `python -m benchmarks.gallery [--to FOLDER]`."""

import argparse
import sys
from pathlib import Path

from benchmarks.gallery.figures import FIGURES
from benchmarks.gallery.looks import save
from pipeline.figures import style

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--to", type=Path, default=Path("docs/figures"), metavar="FOLDER")
parser.add_argument("names", nargs="*", default=list(FIGURES), metavar="name")
asked = parser.parse_args()
asked.to.mkdir(parents=True, exist_ok=True)
for name in asked.names:
    with style():
        save(FIGURES[name](), asked.to / f"{name}.png")
    sys.stdout.write(f"{asked.to / name}.png\n")

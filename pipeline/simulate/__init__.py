r"""A survey of galaxies that never were, as real files."""

__all__ = ["CLASSES", "FAULTS", "MIRROR", "check", "render", "simulate"]

from pipeline.simulate.camera import FAULTS
from pipeline.simulate.scene import CLASSES, MIRROR
from pipeline.simulate.write import check, render, simulate

r"""What an experiment is made of: one YAML file of `configs/`."""

__all__ = [
    "Data",
    "Experiment",
    "Labels",
    "Morphometry",
    "Split",
    "Table",
    "build",
    "expand",
    "load",
    "recipe",
    "settings",
    "shown",
]

from pipeline.config.data import Data, Labels, Split, Table
from pipeline.config.reading import build, expand, load
from pipeline.config.recipe import recipe, settings, shown
from pipeline.config.sections import Experiment, Morphometry

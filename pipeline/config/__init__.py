r"""What an experiment is made of: one YAML file of `configs/`."""

__all__ = [
    "Data",
    "Experiment",
    "Labels",
    "Morphometry",
    "Split",
    "Table",
    "build",
    "load",
    "recipe",
]

from pipeline.config.reading import build, load
from pipeline.config.recipe import recipe
from pipeline.config.sections import Data, Experiment, Labels, Morphometry, Split, Table

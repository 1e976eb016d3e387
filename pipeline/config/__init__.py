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
    "settings",
]

from pipeline.config.reading import build, load
from pipeline.config.recipe import recipe, settings
from pipeline.config.sections import Data, Experiment, Labels, Morphometry, Split, Table

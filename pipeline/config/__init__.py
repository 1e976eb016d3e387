r"""What an experiment is made of: one YAML file of `configs/`."""

__all__ = ["Data", "Experiment", "Labels", "Split", "Table", "load"]

from pipeline.config.reading import load
from pipeline.config.sections import Data, Experiment, Labels, Split, Table

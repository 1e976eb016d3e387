r"""The verbs, used alike by the flows, the command line, tests and notebooks.

Here, and nowhere else, an experiment is unpacked into arguments. Each verb returns a plain
dictionary with what it did.
"""

__all__ = [
    "classify",
    "compare",
    "evaluate",
    "ingest",
    "inspect",
    "measure",
    "run",
    "simulate",
    "train",
]

from pipeline.runs.catalogue import classify
from pipeline.runs.data import ingest, simulate
from pipeline.runs.evaluation import compare, evaluate
from pipeline.runs.inspection import inspect
from pipeline.runs.measurement import measure
from pipeline.runs.training import train
from pipeline.runs.whole import run

r"""All of it, from files to a report and a catalogue."""

__all__ = ["STAGES", "run"]

from collections.abc import Callable

from pipeline.config import Experiment
from pipeline.runs.catalogue import classify_store
from pipeline.runs.data import ingest
from pipeline.runs.evaluation import evaluate
from pipeline.runs.training import check, prepare, train

STAGES: dict[str, Callable[[Experiment], dict]] = {
    "ingest": ingest,
    "train": train,
    "evaluate": evaluate,
    "classify": classify_store,
}


def run(experiment: Experiment) -> dict:
    r"""Ingests, trains, evaluates and classifies. What is ingested and trained already is kept."""

    check(experiment)
    prepare(experiment)

    return {name: stage(experiment) for name, stage in STAGES.items()}

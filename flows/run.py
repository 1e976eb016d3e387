r"""Does all of it, from files to a catalogue: `python -m flows.run configs/demo.yaml`."""

__all__ = ["run"]

import sys
from collections.abc import Sequence
from pathlib import Path

from prefect import flow

from flows import stages
from pipeline.config import load
from pipeline.runs.training import check, prepare
from pipeline.runs.whole import STAGES


@flow
def run(config: str, settings: Sequence[str] = ()) -> dict:
    r"""Ingests, trains, evaluates and classifies, one stage after the other.

    Arguments:
        config: A file of `configs/`.
        settings: Settings that replace those of the file, as `section.key=value`.

    Returns:
        What :func:`pipeline.runs.run` returns: the result of each stage, by its name.
    """

    experiment = load(Path(config), settings)
    check(experiment)
    prepare(experiment)
    result = {}
    for stage in STAGES:
        work = stages.persist if stage in stages.PATIENT else stages.perform
        result[stage] = work(stage, config, settings)
    stages.publish("run", experiment.name, result)

    return result


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2:])

r"""Reads the new files of an experiment: `python -m flows.ingest configs/demo.yaml`."""

__all__ = ["ingest"]

import sys
from collections.abc import Sequence
from pathlib import Path

from prefect import flow

from flows import stages
from pipeline.config import load


@flow
def ingest(config: str, settings: Sequence[str] = ()) -> dict:
    r"""Reads the new files of an experiment.

    Arguments:
        config: A file of `configs/`.
        settings: Settings that replace those of the file, as `section.key=value`.

    Returns:
        What :func:`pipeline.runs.ingest` returns.
    """

    name = load(Path(config), settings).name
    result = stages.persist("ingest", config, settings)
    stages.publish("ingest", name, result)

    return result


if __name__ == "__main__":
    ingest(sys.argv[1], sys.argv[2:])

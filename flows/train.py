r"""Trains the model of an experiment: `python -m flows.train configs/demo.yaml`."""

__all__ = ["train"]

import sys
from collections.abc import Sequence
from pathlib import Path

from prefect import flow

from flows import stages
from pipeline.config import load


@flow
def train(config: str, settings: Sequence[str] = ()) -> dict:
    r"""Trains the model of an experiment.

    Arguments:
        config: A file of `configs/`.
        settings: Settings that replace those of the file, as `section.key=value`.

    Returns:
        What :func:`pipeline.runs.train` returns.
    """

    name = load(Path(config), settings).name
    result = stages.perform("train", config, settings)
    stages.publish("train", name, result)

    return result


if __name__ == "__main__":
    train(sys.argv[1], sys.argv[2:])

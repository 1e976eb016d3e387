r"""Writes a catalogue: `python -m flows.classify MODEL INPUT CATALOGUE`."""

__all__ = ["classify"]

import sys
from collections.abc import Sequence
from pathlib import Path

from prefect import flow

from flows import stages


@flow
def classify(model: str, input: str, to: str, settings: Sequence[str] = ()) -> dict:
    r"""Writes a catalogue of calibrated class probabilities.

    Arguments:
        model: A folder, or a URI of the model registry such as `models:/demo@champion`.
        input: A store, or an experiment to take files from.
        to: The catalogue.
        settings: Settings that replace those of the experiment, as `section.key=value`.

    Returns:
        What :func:`pipeline.runs.classify` returns.
    """

    result = stages.classify(model, input, to, settings)
    stages.publish("classify", Path(to).stem, result)

    return result


if __name__ == "__main__":
    classify(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])

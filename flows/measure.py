r"""Writes a catalogue of morphology: `python -m flows.measure INPUT CATALOGUE`."""

__all__ = ["measure"]

import sys
from collections.abc import Sequence
from pathlib import Path

from prefect import flow

from flows import stages


@flow
def measure(input: str, to: str, settings: Sequence[str] = ()) -> dict:
    r"""Writes a catalogue of measured morphology.

    Arguments:
        input: A store, an experiment to take files from, a folder of images or one image.
        to: The catalogue.
        settings: Settings that replace those of the experiment, as `section.key=value`.

    Returns:
        What :func:`pipeline.runs.measure` returns.
    """

    result = stages.measure(input, to, settings)
    stages.publish("measure", Path(to).stem, result)

    return result


if __name__ == "__main__":
    measure(sys.argv[1], sys.argv[2], sys.argv[3:])

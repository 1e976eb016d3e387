r"""From a model card to a report."""

__all__ = ["compare", "evaluate"]

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from pipeline import comparison
from pipeline.baselines import fit_baseline, probabilities
from pipeline.calibration import apply
from pipeline.card import Card, load_card, save_card
from pipeline.config import Experiment
from pipeline.descriptors import simple_numbers
from pipeline.evaluation import Evaluation, majority_class
from pipeline.evaluation import evaluate as judge
from pipeline.runs.data import Sample, sample
from pipeline.runs.training import MODEL, RUN, logits, tracker
from pipeline.tracking import Verdict, promote

EVALUATION, REPORT = "evaluation.json", "report.html"
BLOCK = 512


def evaluate(experiment: Experiment) -> dict:
    r"""Measures the model and its baselines on the test galaxies, reports, and registers it.

    The model is the challenger of its name from then on, and the champion if there was none or
    if it is measurably better.
    """

    home = experiment.home
    found = sample(experiment)
    card, network = load_card(home / MODEL)
    _, labels, ids = found.of("test")
    z = logits(experiment, found, network, "test")

    said = {card.model: apply(z, card.temperature), **_baselines(experiment, found)}
    predictions = comparison.Predictions(ids, labels, card.classes, said)
    predictions.save(home / comparison.FILE)
    evaluation = judge(
        said,
        labels,
        card.classes,
        experiment.seed,
        ids=ids,
        uncalibrated={card.model: apply(z, 1.0)},
        temperature={card.model: card.temperature},
        resamples=experiment.evaluation.resamples,
    )
    evaluation.save(home / EVALUATION)
    card = save_card(home / MODEL, replace(card, metrics=evaluation.summary()), network)

    return _publish(experiment, found, card, evaluation, predictions)


def compare(folders: Sequence[Path], common: bool = False) -> dict:
    r"""Puts runs side by side, each against the first, on the same test galaxies."""

    return asdict(comparison.compare([Path(folder) for folder in folders], common=common))


def _baselines(experiment: Experiment, found: Sample) -> dict[str, NDArray]:
    r"""Returns what each baseline says of the test galaxies."""

    rows, labels, _ = found.of("train")
    test, _, _ = found.of("test")
    said = {}
    kinds = experiment.evaluation.baselines
    if kinds:
        seen, unseen = _numbers(found, rows), _numbers(found, test)
    for kind in kinds:
        fitted = fit_baseline(kind, seen, labels, experiment.seed)
        said[kind] = probabilities(fitted, unseen, len(found.scheme))
    said["majority"] = majority_class(labels, len(found.scheme), len(test))

    return said


def _numbers(found: Sample, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    blocks = [rows[i : i + BLOCK] for i in range(0, len(rows), BLOCK)]
    bands = found.store.info.bands

    return np.concatenate([simple_numbers(found.store.gather(b), bands)[0] for b in blocks])

r"""From a model card to a report."""

__all__ = ["compare", "evaluate"]

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import nn

from pipeline import comparison
from pipeline import split as splitting
from pipeline.baselines import fit_baseline, measurements, probabilities
from pipeline.calibration import apply
from pipeline.card import RECIPE, Card, load_model, save_card
from pipeline.config import Experiment
from pipeline.errors import DataError
from pipeline.evaluation import Evaluation, majority_class
from pipeline.evaluation import evaluate as judge
from pipeline.files import read_json
from pipeline.metrics import METRICS
from pipeline.runs.data import Sample, sample
from pipeline.runs.home import MEMBERS, MODEL, check_trained
from pipeline.runs.reporting import REPORT, publish
from pipeline.runs.training import logits, temperature
from pipeline.trees import Trees, pool

EVALUATION = "evaluation.json"

_log = logging.getLogger(__name__)


def evaluate(experiment: Experiment) -> dict:
    r"""Measures the model and its baselines on the test galaxies, reports, and registers it.

    The model is the challenger of its name from then on, and the champion if there was none or
    if it is measurably better, unless it is of no use.
    """

    check_trained(experiment)
    home = experiment.home
    found = sample(experiment)
    card, network, trees = load_model(home / MODEL)
    if card.fingerprint != found.store.fingerprint:
        _log.warning(
            "%s learnt from data of fingerprint %s, and is tested on those of %s",
            home / MODEL,
            card.fingerprint,
            found.store.fingerprint,
        )
    symmetries = experiment.evaluation.symmetries
    if card.symmetries != symmetries:  # which is another predictor, to be calibrated anew
        calibrated = temperature(experiment, found, network, trees)
        card = replace(card, symmetries=symmetries, temperature=calibrated)
    _, labels, ids = found.of("test")
    _check_unseen(home / MEMBERS, ids)
    said, z = _answers(experiment, found, card, network, trees)
    predictions = comparison.Predictions(ids, labels, card.classes, said, card.digest)
    predictions.save(home / comparison.FILE)
    model = next(iter(said))
    evaluation = judge(
        said,
        labels,
        card.classes,
        experiment.seed,
        ids=ids,
        uncalibrated={model: apply(z, 1.0)},
        temperature={model: card.temperature},
        resamples=experiment.evaluation.resamples,
    )
    evaluation.save(home / EVALUATION)
    warnings = [told for told in (evaluation.warning, evaluation.doubt) if told]
    for told in warnings:
        _log.warning("%s: %s", home / MODEL, told)
    support = zip(evaluation.classes, evaluation.support, strict=True)
    if absent := [name for name, galaxies in support if not galaxies]:
        _log.warning("%s: no test galaxy is %s", home / MODEL, " or ".join(absent))
    save_card(home / MODEL, replace(card, metrics=evaluation.summary()), network, trees)
    verdict, run = publish(experiment, found, evaluation, predictions)

    return {
        "report": str(home / REPORT),
        **({"warning": "; ".join(warnings)} if warnings else {}),
        **_scores(evaluation),
        "version": verdict.version,
        "champion": verdict.promoted or verdict.champion == verdict.version,
        "verdict": verdict.reason,
        "run": run,
    }


def compare(folders: Sequence[Path], common: bool = False) -> dict:
    r"""Puts runs side by side, each against the first, on the same test galaxies.

    Raises:
        DataError: If they cannot be compared, or if one was trained anew and not evaluated.
    """

    for folder in folders:
        _check_current(Path(folder))
    found = comparison.compare([Path(folder) for folder in folders], common=common)
    told = asdict(found)
    for run, gaps in found.differences.items():
        for metric, gap in gaps.items():
            better = "better" if (gap.value > 0) == METRICS[metric] else "worse"
            told["differences"][run][metric]["verdict"] = better if gap.sure else ""

    return told


def _check_current(folder: Path) -> None:
    r"""Refuses predictions of a model whose place another one has taken."""

    recipe = folder / MODEL / RECIPE
    digest = comparison.Predictions.load(folder / comparison.FILE).digest
    if digest and recipe.exists() and read_json(recipe).get("digest") != digest:
        raise DataError(
            f"{folder / comparison.FILE} is of another model than {recipe.parent}, expected"
            " `tuningfork evaluate` after `tuningfork train`"
        )


def _check_unseen(members: Path, ids: Sequence[str]) -> None:
    r"""Refuses test galaxies that have taught the model, as those of another split would."""

    parts = splitting.load(members)
    seen = [id for id in ids if parts.get(id, "test") != "test"]
    if seen:
        raise DataError(
            f"{len(seen)} of {len(ids)} test galaxies, e.g. {seen[0]!r}, taught the model: the"
            " split is another one by now; expected `tuningfork train` before"
        )


def _answers(
    experiment: Experiment, found: Sample, card: Card, network: nn.Module, trees: Trees | None
) -> tuple[dict[str, NDArray], NDArray]:
    r"""Returns the probabilities of the test galaxies by the model, the first, and by what it is
    compared with; and the class scores of the model.

    What the network and the forest say together is told in any case.
    """

    z: NDArray = logits(experiment, found, network, "test")
    said = _baselines(experiment, found, trees)
    together = f"{card.model} + forest"
    if trees is not None:
        alone = {card.model: apply(z, temperature(experiment, found, network))}
        z = pool(z, said["forest"])
        return {together: apply(z, card.temperature)} | alone | said, z

    said = {card.model: apply(z, card.temperature)} | said
    if "forest" in said:
        said[together] = apply(pool(z / card.temperature, said["forest"]))

    return said, z


def _scores(evaluation: Evaluation) -> dict[str, Any]:
    r"""Returns what was reached by all, and by the model on each class."""

    recall = [interval.value for interval in evaluation.per_class[evaluation.model]["recall"]]

    return {
        "galaxies": evaluation.galaxies,
        "majority_rate": evaluation.majority_rate,
        "models": {
            name: {metric: score[metric].value for metric in ("accuracy", "macro_f1")}
            for name, score in evaluation.metrics.items()
        },
        "recall": dict(zip(evaluation.classes, recall, strict=True)),
        "calibration_error": evaluation.metrics[evaluation.model]["calibration_error"].value,
    }


def _baselines(experiment: Experiment, found: Sample, trees: Trees | None) -> dict[str, NDArray]:
    r"""Returns what each baseline says of the test galaxies, the forest being that of the model
    if it has one."""

    rows, labels, _ = found.of("train")
    test, _, _ = found.of("test")
    said: dict[str, NDArray] = {}
    own = () if trees is None else ("forest",)
    kinds = [kind for kind in experiment.evaluation.baselines if kind not in own]
    workers = experiment.data.workers
    if own or kinds:
        unseen = measurements(found.store, test, workers)
    if kinds:
        seen = measurements(found.store, rows, workers)
    if trees is not None:
        said["forest"] = trees.probabilities(unseen)
    for kind in kinds:
        fitted = fit_baseline(kind, seen, labels, experiment.seed)
        said[kind] = probabilities(fitted, unseen, len(found.scheme))
    said["majority class"] = majority_class(labels, len(found.scheme), len(test))

    return said

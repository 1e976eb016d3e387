r"""The page and the MLflow run of an evaluation."""

__all__ = ["REPORT", "publish"]

from collections import Counter

import numpy as np
import yaml
from matplotlib.figure import Figure

from pipeline import figures
from pipeline.card import recipe_digest
from pipeline.comparison import FILE, Predictions
from pipeline.config import Experiment, settings, shown
from pipeline.evaluation import Evaluation
from pipeline.files import read_json, write_json
from pipeline.flags import FLAGS
from pipeline.pictures import gallery
from pipeline.provenance import provenance
from pipeline.report import Report, Table
from pipeline.runs.counts import count
from pipeline.runs.data import Sample
from pipeline.runs.home import HISTORY, MEMBERS, MODEL, RUN, TRAINED, receipt, tracker
from pipeline.runs.inspection import noises, sheet
from pipeline.split import PARTS
from pipeline.tracking import Verdict, keep_beside, promote

REPORT = "report.html"
PER_CLASS = 8
EXAMPLES = 4


def publish(
    experiment: Experiment, found: Sample, evaluation: Evaluation, predictions: Predictions
) -> tuple[Verdict, str]:
    r"""Writes the report, logs it, and registers the model.

    Returns:
        Whether the model is the champion now, and where its run is.
    """

    home = experiment.home
    drawn = {
        "roc": figures.roc_curves(evaluation),
        "precision_recall": figures.precision_recall_curves(evaluation),
        "confusion": figures.confusion_matrix(evaluation),
        "reliability": figures.reliability_diagram(evaluation),
        "classes": _examples(found),
    }
    if evaluation.wrong:
        drawn["mistakes"] = _mistakes(found, evaluation)
    text = yaml.safe_dump(shown(experiment).model_dump(mode="json"), sort_keys=False)
    _report(experiment, found, evaluation, drawn, text).save(home / REPORT)

    name = experiment.tracking.register_as or experiment.name
    with tracker(experiment, home) as tracked:
        tracked.configure(settings(experiment), text)
        # A run that training opened elsewhere has none of these
        tracked.dataset(experiment.name, found.store.fingerprint, found.store.folder, "evaluation")
        tracked.complete(read_json(home / HISTORY, "epochs")["epochs"])
        tracked.log({f"test/{key}": value for key, value in evaluation.summary().items()})
        for title, figure in drawn.items():
            tracked.figure(title, figure)
        for file in (REPORT, FILE):
            tracked.file(home / file)
        example = found.store.gather(found.of("test")[0][:EXAMPLES])
        version = tracked.model(home / MODEL, name, example, list(evaluation.classes))
        verdict = promote(
            tracked.uri,
            name,
            version,
            predictions,
            seed=experiment.seed,
            warning=evaluation.warning,
            doubt=evaluation.doubt,
        )
        address = f"models:/{name}/{version}"
        keep_beside(address, tracked.uri, [home / file for file in (MEMBERS, RUN, TRAINED)])
        known = receipt(experiment, tracked) | {"model": address}
        known |= {"verdict": verdict.reason, "card": recipe_digest(home / MODEL)}
    write_json(home / RUN, known)

    return verdict, tracked.url


def _report(
    experiment: Experiment,
    found: Sample,
    evaluation: Evaluation,
    drawn: dict[str, Figure],
    text: str,
) -> Report:
    history = read_json(experiment.home / HISTORY, "epochs", "best")
    facts = {
        **provenance(),
        "data": f"{found.store.folder}, fingerprint {found.store.fingerprint}",
        "seed": str(experiment.seed),
    }

    return Report(
        title=experiment.name,
        evaluation=evaluation,
        provenance=facts,
        tables=_tables(found),
        counts=_counts(found),
        history=history["epochs"],
        best_epoch=history["best"],
        sample=drawn["classes"],
        mistakes=drawn.get("mistakes"),
        configuration=text,
        symmetries=experiment.evaluation.symmetries,
        command=facts["command"],
    )


def _tables(found: Sample) -> list[Table]:
    counts = count(found.store.manifest)
    flags = [(name, FLAGS[name], number) for name, number in counts["flags"].items()]
    tables = [
        Table("Inputs by status", ["status", "inputs"], list(counts["status"].items())),
        Table("Flags", ["flag", "meaning", "inputs"], flags),
        Table("Rejected inputs", ["reason", "inputs"], list(counts["reasons"].items())),
    ]

    return [table for table in tables if table.rows]


def _counts(found: Sample) -> dict[str, dict[str, int]]:
    counts = {}
    for part in PARTS:
        seen = Counter(found.of(part)[1].tolist())
        counts[part] = {name: seen[k] for k, name in enumerate(found.scheme.classes)}

    return counts


def _examples(found: Sample) -> Figure:
    r"""Draws the first test galaxies of each class."""

    rows, labels, _ = found.of("test")
    chosen = [rows[labels == k][:PER_CLASS] for k in range(len(found.scheme))]

    return sheet(found.store, np.concatenate(chosen), _counts(found)["test"], PER_CLASS)


def _mistakes(found: Sample, evaluation: Evaluation) -> Figure:
    wrong = evaluation.wrong
    rows = np.array([found.store.row(one.id) for one in wrong], np.int64)

    return gallery(found.store.gather(rows), wrong, noise=noises(found.store, rows))

r"""What an experiment leaves in its folder, beside its store and its split."""

__all__ = ["HISTORY", "MEMBERS", "MODEL", "RUN", "TRAINED", "tracker", "trained"]

import logging
from operator import attrgetter
from pathlib import Path

from pipeline.config import Experiment, load
from pipeline.errors import ConfigError, DataError
from pipeline.files import read_json
from pipeline.tracking import Tracker, store_uri

MODEL = "model"
r"""The folder of the model card."""

RUN = "run.json"
r"""Which MLflow run the model is of, and its name in the registry once it is evaluated."""

HISTORY = "history.json"
r"""The numbers of each epoch."""

MEMBERS = "members.parquet"
r"""Which galaxies taught the model, validated it and were kept to test it: `id, part`."""

TRAINED = "experiment.yaml"
r"""The experiment as it was when the model was trained. Without it, there is none."""

_log = logging.getLogger(__name__)


def trained(experiment: Experiment) -> Experiment:
    r"""Returns the experiment as it was trained, with how to evaluate and track it as asked now.

    Raises:
        DataError: If it was not trained.
        ConfigError: If its labels or its split are others by now, which would let galaxies that
            trained the model test it.
    """

    path = experiment.home / TRAINED
    if not path.exists():
        raise DataError(f"{path} is missing, expected `tuningfork train` before")
    before = load(path)
    for name in ("data.labels", "data.bands", "split", "seed"):
        then, now = (attrgetter(name)(one) for one in (before, experiment))
        if then != now:
            raise ConfigError(f"{name} is {now!r}, but the model was trained with {then!r}")
    for name in ("data", "batches", "model", "training"):
        then, now = (getattr(one, name).model_dump() for one in (before, experiment))
        if changed := [key for key in then if then[key] != now[key]]:
            _log.warning("%s: %s as trained, not as asked now", name, ", ".join(changed))

    return before.model_copy(
        update={
            "folder": experiment.folder,
            "evaluation": experiment.evaluation,
            "tracking": experiment.tracking,
        }
    )


def tracker(experiment: Experiment, folder: Path) -> Tracker:
    r"""Opens the MLflow run that a folder tells of, or a new one."""

    options = experiment.tracking
    uri = options.uri or store_uri(experiment.folder)
    path = folder / RUN
    last = read_json(path) if path.exists() else {}

    return Tracker(
        uri,
        options.experiment or experiment.name,
        name=f"{experiment.name}, {experiment.model.name}, seed {experiment.seed}",
        system_metrics=options.system_metrics,
        run_id=last.get("run") if last.get("uri") == uri else None,
    )

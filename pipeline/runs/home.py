r"""What an experiment leaves in its folder, beside its store and its split."""

__all__ = [
    "HISTORY",
    "MEMBERS",
    "MODEL",
    "RUN",
    "TRAINED",
    "beside",
    "check_trained",
    "receipt",
    "tracker",
]

from pathlib import Path
from typing import Any

from pipeline.card import recipe_digest, recover
from pipeline.config import Experiment, load, recipe
from pipeline.errors import ConfigError, DataError
from pipeline.files import read_json
from pipeline.passwords import masked
from pipeline.runs.data import store_folder
from pipeline.tracking import Tracker, store_uri

MODEL = "model"
r"""The folder of the model card."""

RUN = "run.json"
r"""Which MLflow run the model is of, what it was made with, the digest of its card, and its name
in the registry once it is evaluated."""

HISTORY = "history.json"
r"""The numbers of each epoch."""

MEMBERS = "members.parquet"
r"""Which galaxies taught the model, validated it and were kept to test it: `id, part`."""

TRAINED = "experiment.yaml"
r"""The experiment as it was when the model was trained. Without it, there is none."""


def beside(model: Path) -> tuple[Path, dict[str, Any]] | None:
    r"""Returns the folder of the experiment that made the model in a folder, and its run, if the
    model lies where it was made."""

    home = Path(model).resolve().parent
    if not ((home / TRAINED).exists() and (home / RUN).exists()):
        return None
    run = read_json(home / RUN)
    if run.get("card") != recipe_digest(model):
        return None

    return home, run


def check_trained(experiment: Experiment) -> None:
    r"""Refuses an experiment that is not the one that was trained.

    Raises:
        DataError: If it was not trained.
        ConfigError: If what makes its model is otherwise by now.
    """

    path, model = experiment.home / TRAINED, experiment.home / MODEL
    recover(model)
    for needed in (path, model):
        if not needed.exists():
            raise DataError(f"{needed} is missing, expected `tuningfork train` before")

    then, now = recipe(load(path)), recipe(experiment)
    changed = [
        f"{name}={then.get(name)!r}, not {now.get(name)!r}"
        for name in then | now
        if then.get(name) != now.get(name)
    ]
    if changed:
        raise ConfigError(
            f"{experiment.home / MODEL} was trained with {'; '.join(changed)}: expected the same"
            " settings, or `tuningfork train` with these before"
        )


def tracker(experiment: Experiment, folder: Path) -> Tracker:
    r"""Opens the MLflow run that a folder tells of, or a new one if that was of other settings,
    which MLflow does not change."""

    options = experiment.tracking
    uri = options.uri or store_uri(experiment.folder)
    path, now = folder / RUN, recipe(experiment)
    last = read_json(path) if path.exists() else {}
    same = last.get("uri") == masked(uri) and last.get("recipe", now) == now
    model = experiment.model.name + (" + forest" if experiment.model.forest else "")

    return Tracker(
        uri,
        options.experiment or experiment.name,
        name=f"{experiment.name}, {model}, seed {experiment.seed}",
        system_metrics=options.system_metrics,
        run_id=last.get("run") if same else None,
    )


def receipt(experiment: Experiment, tracked: Tracker) -> dict[str, Any]:
    r"""Returns what a folder keeps of its MLflow run."""

    found = {"run": tracked.run_id, "uri": masked(tracked.uri), "page": tracked.url}
    store = str(store_folder(experiment).resolve())

    return found | {"recipe": recipe(experiment), "store": store}

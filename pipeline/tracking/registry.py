r"""Which model is the champion."""

__all__ = [
    "Verdict",
    "keep_beside",
    "kept_beside",
    "promote",
    "register",
    "registered",
    "resolve",
    "run_page",
    "verdict_of",
]

import logging
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from pipeline.comparison import Predictions
from pipeline.errors import ConfigError, DataError, suggest
from pipeline.metrics import METRICS, Difference, paired_bootstrap
from pipeline.passwords import masked
from pipeline.tracking.address import cause, checked, global_uri, is_away, page, understood

CHAMPION, CHALLENGER = "champion", "challenger"
PREDICTIONS = "predictions.parquet"
r"""What a version said of the test galaxies, kept in its run in a folder of its own, as several
versions may have one run."""

VERSION = re.compile(r"models:/([^@/]+)/(\d+)")

CARD, VERDICT = "card", "verdict"
r"""The tags of a version."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    r"""Whether a challenger became the champion.

    Arguments:
        promoted: Whether it did.
        reason: Why, in a sentence.
        version: The version of the challenger.
        champion: The version of the champion it met, or none.
        difference: What the challenger scores above the champion, or none.
    """

    promoted: bool
    reason: str
    version: str
    champion: str | None = None
    difference: Difference | None = None


def promote(
    uri: str,
    name: str,
    version: str,
    challenger: Predictions,
    *,
    metric: str = "macro_f1",
    seed: int = 0,
    warning: str = "",
    doubt: str = "",
) -> Verdict:
    r"""Makes the challenger the champion if it is measurably better, or if there is none.

    Measurably means that the paired difference, on the galaxies that tested both, is sure, see
    :class:`pipeline.metrics.Difference`, and on the right side of zero.

    Arguments:
        uri: The tracking server.
        name: The name of the registered model.
        version: The challenger.
        challenger: What it says of the test galaxies.
        metric: A key of :data:`pipeline.metrics.METRICS`.
        seed: Seeds the resamples.
        warning: Why not to use the challenger, which then does not become the champion.
        doubt: What speaks against it, to be told with any verdict.

    Returns:
        The verdict, which the version also keeps as a tag. What the challenger says is kept too.

    Raises:
        ConfigError: If no such version is registered, or if there is no such metric.
        PipelineError: If the server is away, which may pass.
    """

    with understood(uri):
        client = MlflowClient(checked(uri), uri)
        holder = client.get_registered_model(name).aliases.get(CHAMPION)
        _keep(client, name, version, challenger)

        if warning:
            verdict = Verdict(False, warning, version, holder and str(holder))
        elif holder is None:
            verdict = Verdict(True, "the first model of its name", version)
        elif str(holder) == version:
            verdict = Verdict(False, "it is the champion already", version, str(holder))
        else:
            rival = _kept(client, name, str(holder))
            verdict = _judge(version, str(holder), challenger, rival, metric, seed)

        if doubt and not warning:
            verdict = replace(verdict, reason=f"{verdict.reason}, but {doubt}")
        if verdict.promoted:
            client.set_registered_model_alias(name, CHAMPION, version)
        client.set_model_version_tag(name, version, VERDICT, verdict.reason)

    return verdict


def resolve(model: str, uri: str, folder: Path) -> tuple[Path, str]:
    r"""Finds the model card of a model, and which version it is.

    Arguments:
        model: A folder, `models:/name@champion`, `models:/name/version` or `runs:/id/model`.
        uri: The tracking server.
        folder: Where a card from a server goes.

    Returns:
        The folder of the card, and its address with the version rather than an alias, e.g.
        `models:/a/3`, which is empty for a folder.

    Raises:
        DataError: If there is no such model.
        PipelineError: If the server is away, which may pass.
    """

    if not re.match(r"(models|runs):/", model):
        if not Path(model).is_dir():
            raise DataError(f"{model} is neither a folder nor models:/... nor runs:/...")
        return Path(model), ""

    with global_uri(checked(uri)), understood(uri):
        try:
            # An alias may move: it is looked up once
            version = _version_of(model, MlflowClient(uri, uri))
            path = mlflow.artifacts.download_artifacts(version, dst_path=str(folder))
            flavor = Model.load(path).flavors["python_function"]
        except (MlflowException, OSError) as error:
            if is_away(error):
                raise
            told = f"{uri} has no model {model}: {error}{_known(model, uri)}"
            raise DataError(told) from cause(error)
    if flavor.get("loader_module") != "pipeline.serving":
        raise DataError(f"{model} was not made by this package, expected a model card")

    return Path(path) / flavor["data"], version


def _known(model: str, uri: str) -> str:
    r"""Says which aliases a model has."""

    match = re.match(r"models:/([^@/]+)", model)
    if match is None:
        return ""
    found = MlflowClient(uri, uri).search_registered_models(f"name = '{match[1]}'")
    aliases = found[0].aliases if found else {}
    told = [f"{alias} (version {number})" for alias, number in aliases.items()]

    return f"; {match[1]} has {', '.join(told)}" if told else ""


def _version_of(model: str, client: MlflowClient) -> str:
    r"""Returns a model of the registry by its version rather than its alias."""

    match = re.fullmatch(r"models:/([^@/]+)(?:@(.+)|/latest)", model)
    if match is None:
        return model
    name, alias = match.groups()
    if alias:
        return f"models:/{name}/{client.get_model_version_by_alias(name, alias).version}"
    versions = [int(found.version) for found in client.search_model_versions(f"name = '{name}'")]

    return f"models:/{name}/{max(versions)}" if versions else model


def verdict_of(version: str, uri: str) -> str:
    r"""Returns what :func:`promote` said of a model, as `models:/name/version`, or nothing."""

    if not (match := VERSION.fullmatch(version)):
        return ""
    with understood(uri):
        found = MlflowClient(checked(uri), uri).get_model_version(*match.groups())

    return found.tags.get(VERDICT, "")


def keep_beside(version: str, uri: str, files: Sequence[Path]) -> None:
    r"""Keeps files with a version, as `models:/name/version`, in its run."""

    with understood(uri):
        client = MlflowClient(checked(uri), uri)
        run_id, place = _beside(client, version)
        for path in files:
            client.log_artifact(run_id, str(path), place)


def kept_beside(version: str, uri: str, folder: Path) -> Path:
    r"""Fetches what is kept with a version.

    Arguments:
        version: The model, as `models:/name/version`; with anything else, nothing is.
        uri: The tracking server.
        folder: Where the files go.

    Returns:
        The folder of the files, which may be empty.
    """

    if VERSION.fullmatch(version):
        with understood(uri):
            client = MlflowClient(checked(uri), uri)
            run_id, place = _beside(client, version)
            if client.list_artifacts(run_id, place):
                return Path(client.download_artifacts(run_id, place, dst_path=str(folder)))

    return folder


def _beside(client: MlflowClient, version: str) -> tuple[str, str]:
    r"""Returns the run of a version, and the folder of its artifacts for that version."""

    name, number = version.removeprefix("models:/").split("/")

    return client.get_model_version(name, number).run_id or "", _place(name, number)


def run_page(model: str, uri: str) -> str:
    r"""Returns where to look at the run that made a model.

    Arguments:
        model: The model, as `models:/name/version`, `models:/id` or `runs:/id/model`.
        uri: The tracking server.
    """

    kind, name, *rest = model.replace(":", "").split("/")
    with understood(uri):
        client = MlflowClient(checked(uri), uri)
        if kind == "runs":
            run_id = name
        elif VERSION.fullmatch(model):
            run_id = str(client.get_model_version(name, rest[0]).run_id)
        else:
            run_id = str(client.get_logged_model(name).source_run_id)
        run = client.get_run(run_id).info

    return page(uri, run.experiment_id, run.run_id)


def _judge(
    version: str,
    holder: str,
    challenger: Predictions,
    champion: Predictions | None,
    metric: str,
    seed: int,
) -> Verdict:
    if metric not in METRICS:
        raise ConfigError(f"metric={metric!r}, {suggest(metric, METRICS)}")
    if champion is None:
        return Verdict(False, f"version {holder} kept no predictions", version, holder)
    known = set(champion.ids)
    common = [id for id in challenger.ids if id in known]
    if not common or champion.classes != challenger.classes:
        reason = f"version {holder} was tested on other galaxies or classes"
        return Verdict(False, reason, version, holder)

    both = challenger.of(common)
    first = next(iter(both.probabilities.values()))
    second = next(iter(champion.of(common).probabilities.values()))
    found = paired_bootstrap(first, second, both.labels, seed=seed)[metric]
    better = found.sure and (found.value > 0) == METRICS[metric]
    reason = (
        f"{metric.replace('_', ' ')} {found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
        f" beside version {holder} on"
        f" {len(common)} galaxies: {'measurably' if better else 'not measurably'} better"
    )

    return Verdict(better, reason, version, holder, found)


def _keep(client: MlflowClient, name: str, version: str, predictions: Predictions) -> None:
    run_id = client.get_model_version(name, version).run_id or ""
    with tempfile.TemporaryDirectory() as folder:
        predictions.save(Path(folder) / PREDICTIONS)
        client.log_artifact(run_id, str(Path(folder) / PREDICTIONS), _place(name, version))


def _place(name: str, version: str) -> str:
    return f"registered/{name}/{version}"


def _kept(client: MlflowClient, name: str, version: str) -> Predictions | None:
    run_id = client.get_model_version(name, version).run_id or ""
    path = f"{_place(name, version)}/{PREDICTIONS}"
    with tempfile.TemporaryDirectory() as folder:
        try:
            return Predictions.load(Path(client.download_artifacts(run_id, path, dst_path=folder)))
        except (MlflowException, OSError, DataError) as error:
            if is_away(error):
                raise
            _log.warning("version %s of %s: %s", version, name, masked(str(error)))
            return None


def register(client: MlflowClient, name: str, model_id: str, run_id: str, digest: str) -> str:
    r"""Registers a model as the challenger, and returns its version.

    Arguments:
        client: The tracking server.
        name: The name of the registered model. Made if there is none.
        model_id: The logged model.
        run_id: The run that made it.
        digest: A hash of its card, which names its weights.
    """

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source, tags = f"models:/{model_id}", {CARD: digest}
    version = client.create_model_version(name, source, run_id, tags, model_id=model_id).version
    client.set_registered_model_alias(name, CHALLENGER, str(version))

    return str(version)


def registered(client: MlflowClient, name: str, digest: str) -> str | None:
    r"""Returns the version of the model with a card, the challenger from now on, or none."""

    for version in client.search_model_versions(f"name = '{name}'"):
        if version.tags.get(CARD) == digest:
            client.set_registered_model_alias(name, CHALLENGER, str(version.version))
            return str(version.version)

    return None

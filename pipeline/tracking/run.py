r"""One run of MLflow."""

__all__ = ["Tracker"]

import getpass
import json
import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import mlflow
import numpy as np
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.types import ColSpec, Schema, TensorSpec
from numpy.typing import NDArray

from pipeline.card import recipe_digest
from pipeline.errors import ConfigError, PipelineError
from pipeline.passwords import masked
from pipeline.provenance import provenance, versions
from pipeline.tracking.address import cause, global_uri, is_away, made, page, understood
from pipeline.tracking.registry import register, registered

LONGEST = 500  # characters of a parameter that every server takes
FLUSH_SECONDS = 1.0

REQUIREMENTS = (
    *("astropy", "numba", "numpy", "pandas", "pillow", "pyarrow", "safetensors"),
    *("scikit-learn", "scipy", "timm", "torch", "torchvision"),
)
r"""What :mod:`pipeline.serving` imports."""

_log = logging.getLogger(__name__)


class Tracker:
    r"""Creates one MLflow run, open between `with` and its end.

    The run ends as `FINISHED`, as `KILLED` if it was interrupted, or as `FAILED`. Metrics wait
    in memory and go out together, about once a second and whatever happens at the end.

    Arguments:
        uri: The tracking server, or `sqlite:///...`, whose artifacts then lie beside the file.
        experiment: The name of the experiment. Made if there is none.
        name: The name of the run. By default MLflow finds one.
        system_metrics: Whether the use of processor, memory, disk and GPU is recorded.
        run_id: The run to go on with, rather than a new one, unless it was deleted.

    Raises:
        ConfigError: If `uri` is a folder, which MLflow no longer takes.
        PipelineError: If the server cannot be reached, which may pass.

    Example:
        >>> with Tracker(store_uri(Path("runs")), "demo") as tracker:  # doctest: +SKIP
        ...     tracker.log({"validation_loss": 0.3}, step=1)
    """

    def __init__(
        self,
        uri: str,
        experiment: str,
        *,
        name: str | None = None,
        system_metrics: bool = False,
        run_id: str | None = None,
    ) -> None:
        self.uri = made(uri)
        self.experiment = experiment
        self.name = name
        self.run_id = run_id or ""
        self._system_metrics = system_metrics
        self._monitor: SystemMetricsMonitor | None = None
        self._waiting: list[Metric] = []
        self._flushed = 0.0

    def __enter__(self) -> Self:
        with understood(self.uri):
            self._client = MlflowClient(self.uri, self.uri)
            self.experiment_id = _experiment(self._client, self.experiment)
            if self.run_id and _is_there(self._client, self.run_id):
                self._client.update_run(self.run_id, status="RUNNING")
            else:
                run = self._client.create_run(self.experiment_id, tags=_tags(), run_name=self.name)
                self.run_id = run.info.run_id

        if self._system_metrics:
            self._monitor = SystemMetricsMonitor(
                self.run_id, resume_logging=True, tracking_uri=self.uri
            )
            self._monitor.start()

        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        status = "FINISHED"
        if kind is not None:
            killed = issubclass(kind, KeyboardInterrupt | SystemExit)
            status = "KILLED" if killed else "FAILED"
        if self._monitor:
            self._monitor.finish()
        try:
            self.flush()
            self._client.set_terminated(self.run_id, status)
        except MlflowException as failure:
            if error is None:
                kind = PipelineError if is_away(failure) else ConfigError
                raise kind(f"{self.uri} did not take the end of the run") from cause(failure)
            _log.warning(masked(f"{self.uri} did not take the end of the run: {failure}"))

    @property
    def url(self) -> str:
        r"""Where to look at the run: its page, after the command that serves it if there is no
        server."""

        return page(self.uri, self.experiment_id, self.run_id)

    def configure(self, settings: Mapping[str, Any], text: str) -> None:
        r"""Records what the run is made of, as parameters and as a file.

        MLflow never changes a parameter: a setting that is another one by now, as those of an
        evaluation may be, is a tag `changed.NAME`.

        Arguments:
            settings: Values by name. Long ones are cut.
            text: The experiment as YAML, kept whole as `config.yaml`, the last one if it changes.
        """

        with understood(self.uri):
            known = self._client.get_run(self.run_id).data.params
            params = [Param(_key(key), _short(value)) for key, value in settings.items()]
            fresh = [param for param in params if param.key not in known]
            tags = [
                RunTag(f"changed.{param.key}", param.value)
                for param in params
                if known.get(param.key, param.value) != param.value
            ]
            self._client.log_batch(self.run_id, params=fresh, tags=tags)
            self._client.log_text(self.run_id, text, "config.yaml")

    def log(self, values: Mapping[str, float], step: int = 0) -> None:
        r"""Records metrics. A server that is away for a while costs a warning, and no metric.

        Arguments:
            values: The metrics, e.g. of an epoch.
            step: The epoch.
        """

        now = int(time.time() * 1000)
        self._waiting += [Metric(_key(k), float(v), now, step) for k, v in values.items()]
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            try:
                self.flush()
            except MlflowException as error:
                _log.warning(masked(f"{self.uri} does not take metrics, they wait: {error}"))
                self._flushed = time.monotonic()

    def flush(self) -> None:
        r"""Sends the metrics that wait."""

        if self._waiting:
            self._client.log_batch(self.run_id, metrics=self._waiting)
        self._waiting = []
        self._flushed = time.monotonic()

    def complete(self, history: Sequence[Mapping[str, float]]) -> None:
        r"""Records the epochs that are missing: those that a killed process had not sent yet.

        Arguments:
            history: The metrics of each epoch, all of the same names, and `epoch` itself.
        """

        if not history:
            return
        with understood(self.uri):
            self.flush()
            name = _key(next(iter(history[0])))
            told = {m.step for m in self._client.get_metric_history(self.run_id, name)}
        for row in history:
            if row["epoch"] not in told:
                self.log(row, step=int(row["epoch"]))

    def dataset(self, name: str, fingerprint: str, folder: Path, context: str) -> None:
        r"""Records which data the run saw, by their fingerprint.

        Arguments:
            name: What the data are called.
            fingerprint: That of the store. 36 characters of it are kept.
            folder: Where the store is.
            context: What they served for, e.g. `training`.
        """

        source = json.dumps({"uri": Path(folder).resolve().as_uri()})
        seen = Dataset(name=name, digest=fingerprint[:36], source_type="local", source=source)
        tag = InputTag("mlflow.data.context", context)
        with understood(self.uri):
            self._client.log_inputs(self.run_id, [DatasetInput(seen, [tag])])

    def figure(self, name: str, figure: Figure) -> None:
        r"""Keeps a figure as `figures/name.png`."""

        with understood(self.uri):
            self._client.log_figure(
                self.run_id, figure, f"figures/{name}.png", save_kwargs={"dpi": 150}
            )

    def file(self, path: Path, folder: str | None = None) -> None:
        r"""Keeps a file, e.g. the report, in a folder of the run."""

        with understood(self.uri):
            self._client.log_artifact(self.run_id, str(path), folder)

    def model(self, card: Path, name: str, example: NDArray, classes: list[str]) -> str:
        r"""Keeps a model, and registers it as the challenger. One that is registered already
        keeps its version.

        It loads with `mlflow.pyfunc.load_model` and takes an array of cutouts in units of the
        noise, or a table with one column of file paths: :mod:`pipeline.serving`.

        Arguments:
            card: The folder of the model card.
            name: The name of the registered model.
            example: A few cutouts, with shape `(B, C, H, W)`.
            classes: The names of the classes.

        Returns:
            The version in the registry.
        """

        source = Path(__file__).parents[2]
        digest = recipe_digest(card)
        with global_uri(self.uri), understood(self.uri):
            version = registered(self._client, name, digest)
            if version:
                return version

            logged = self._client.create_logged_model(
                self.experiment_id, "model", source_run_id=self.run_id
            )
            Model.log(
                None,
                mlflow.pyfunc,
                run_id=self.run_id,
                model_id=logged.model_id,
                loader_module="pipeline.serving",
                data_path=str(card),
                code_paths=[str(source / "pipeline"), str(source / "models")],
                signature=_signature(classes),
                input_example=example.astype(np.float32),
                pip_requirements=[f"{k}=={v}" for k, v in versions(REQUIREMENTS).items()],
            )

            return register(self._client, name, logged.model_id, self.run_id, digest)


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, _artifacts(client.tracking_uri))
        except MlflowException:  # somebody else was faster
            found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise ConfigError(f"the experiment {name!r} was deleted: restore it or take another name")

    return found.experiment_id


def _is_there(client: MlflowClient, run_id: str) -> bool:
    r"""Tells whether a run is there to go on with, rather than deleted."""

    try:
        there = client.get_run(run_id).info.lifecycle_stage == "active"
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        there = False
    if not there:
        _log.warning("the MLflow run %s was deleted, a new one takes its place", run_id)

    return there


def _artifacts(uri: str) -> str | None:
    if not uri.startswith("sqlite:///"):
        return None
    file = Path(uri.removeprefix("sqlite:///").partition("?")[0])

    return (file.resolve().parent / "mlartifacts").as_uri()


def _signature(classes: list[str]) -> ModelSignature:
    r"""One input of any shape, since both arrays and paths are welcome; a table comes out."""

    numbers = [ColSpec("double", name) for name in classes]
    outputs = Schema([*numbers, ColSpec("string", "predicted")])

    return ModelSignature(Schema([TensorSpec(np.dtype("O"), (-1,))]), outputs)


def _tags() -> dict[str, str]:
    facts = provenance()
    # The page shows what stands behind the last slash of a source
    source = " ".join(facts["command"].split()[:2]).rpartition("/")[2]
    tags = {"mlflow.user": _user(), "mlflow.source.name": source, "command": facts["command"]}
    if "git commit" in facts:
        tags["mlflow.source.git.commit"] = facts["git commit"].rstrip("+")
        tags["git.dirty"] = str(facts["git commit"].endswith("+")).lower()

    return tags | {f"version.{key}": facts[key] for key in ("tuningfork", "torch") if key in facts}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run as a number without a name
        return f"uid {os.getuid()}"


def _key(name: str) -> str:
    return re.sub(r"[^\w\-. :/]", "_", name)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)

    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."

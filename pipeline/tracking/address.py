r"""Where MLflow is, and what it says when it fails."""

__all__ = ["checked", "global_uri", "page", "store_uri", "understood"]

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# MLflow reads these when it is imported
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# A quarter of a minute for a server that does not answer, rather than four
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")

with warnings.catch_warnings():
    # About annotations of its own, when it is imported
    warnings.simplefilter("ignore")
    import mlflow.pyfunc

from mlflow.exceptions import MlflowException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from pipeline.errors import ConfigError
from pipeline.files import locked


def store_uri(folder: Path) -> str:
    r"""Returns the address of the SQLite file that tracks the runs of a folder.

    Arguments:
        folder: Where `mlflow.db` is, or will be.
    """

    return f"sqlite:///{Path(folder).resolve() / 'mlflow.db'}"


def checked(uri: str) -> str:
    r"""Returns the address of a tracking server, after making an SQLite file that is not there.

    Raises:
        ConfigError: If it is a folder, or anything else that MLflow does not take.
    """

    server = re.match(r"(sqlite|postgresql|mysql|mssql)[+\w]*://|https?://", uri)
    if not server or uri.startswith("sqlite:///:memory:"):
        raise ConfigError(
            f"tracking.uri={uri!r}, expected sqlite:///..., postgresql://... or http(s)://..."
        )
    if re.fullmatch(r"sqlite:///[^?]+", uri):
        _create(Path(uri.removeprefix("sqlite:///")))

    return uri


def page(uri: str, experiment_id: str, run_id: str) -> str:
    r"""Returns where to look at a run: its page, after the command that serves it if there is no
    server."""

    place = f"#/experiments/{experiment_id}/runs/{run_id}"
    if uri.startswith("http"):
        return f"{uri.rstrip('/')}/{place}"

    return f"mlflow ui --backend-store-uri {uri}, then http://127.0.0.1:5000/{place}"


def _create(path: Path) -> None:
    r"""Makes a database, whole or not at all: MLflow refuses what a kill has left of one."""

    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.parent):
        aside = path.with_name(f".{path.name}.new")
        for leftover in path.parent.glob(f"{aside.name}*"):
            leftover.unlink()
        if not path.exists():
            store = SqlAlchemyStore(
                f"sqlite:///{aside}", path.resolve().with_name("mlartifacts").as_uri()
            )
            store.engine.dispose()
            os.replace(aside, path)


@contextmanager
def understood(uri: str) -> Iterator[None]:
    r"""Turns what MLflow raises into an error that names the server."""

    try:
        yield
    except MlflowException as error:
        raise ConfigError(f"{uri}: {error.message}") from error


@contextmanager
def global_uri(uri: str) -> Iterator[None]:
    r"""Logging a model goes through MLflow's global address: set it, and set it back."""

    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None: there was none

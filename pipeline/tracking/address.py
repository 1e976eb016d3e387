r"""Where MLflow is, and what it says when it fails."""

__all__ = ["cause", "checked", "global_uri", "is_away", "made", "page", "store_uri", "understood"]

import logging
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
from requests import ConnectionError as NoConnection
from requests import RequestException, Timeout
from requests.exceptions import RetryError, SSLError
from sqlalchemy.exc import OperationalError

from pipeline.errors import ConfigError, PipelineError
from pipeline.files import locked
from pipeline.passwords import masked

AWAY = (NoConnection, OperationalError, RetryError, Timeout)
r"""What is raised if a server, or the one of a database, is down, or says so (HTTP 5xx)."""

BUSY = ("DEADLINE_EXCEEDED", "TEMPORARILY_UNAVAILABLE")
r"""What MLflow calls it."""


def store_uri(folder: Path) -> str:
    r"""Returns the address of the SQLite file that tracks the runs of a folder.

    Arguments:
        folder: Where `mlflow.db` is, or will be.
    """

    return f"sqlite:///{Path(folder).resolve() / 'mlflow.db'}"


def checked(uri: str) -> str:
    r"""Returns the address of a tracking server that is there.

    Raises:
        ConfigError: If it is a folder, or anything else that MLflow does not take, or an SQLite
            file that does not exist, which MLflow would make.
    """

    path = _file(uri)
    if path and not path.exists():
        raise ConfigError(f"{uri} does not exist, expected the MLflow database of some run")

    return uri


def made(uri: str) -> str:
    r"""Returns the address of a tracking server, after making an SQLite file that is not there.

    Raises:
        ConfigError: If it is a folder, or anything else that MLflow does not take.
    """

    path = _file(uri)
    if path:
        _create(path)

    return uri


def _file(uri: str) -> Path | None:
    r"""Returns the SQLite file of an address, if it is that of one."""

    server = re.match(r"(sqlite|postgresql|mysql|mssql)[+\w]*://|https?://", uri)
    if not server or uri.startswith("sqlite:///:memory:"):
        raise ConfigError(
            f"tracking.uri={uri!r}, expected sqlite:///..., postgresql://... or http(s)://..."
        )
    return Path(uri[len("sqlite:///") :]) if re.fullmatch(r"sqlite:///[^?]+", uri) else None


def page(uri: str, experiment_id: str, run_id: str) -> str:
    r"""Returns where to look at a run: its page, after the command that serves it if there is no
    server. A browser asks for a user and a password itself."""

    place = f"#/experiments/{experiment_id}/runs/{run_id}"
    if uri.startswith("http"):
        address = re.sub(r"(?<=://)[^/?#]*@", "", masked(uri))
        return f"{address.rstrip('/')}/{place}"

    return f"mlflow ui --backend-store-uri {masked(uri)}, then http://127.0.0.1:5000/{place}"


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
    r"""Turns what MLflow raises into an error that names the server.

    Raises:
        ConfigError: If MLflow refuses what it is asked for.
        PipelineError: If the server is away, which may pass.
    """

    try:
        yield
    except (MlflowException, OperationalError, RequestException) as error:
        if is_away(error):
            found = _chain(error)[-1]
            told = " ".join(str(found).split()) or type(found).__name__
            raise PipelineError(
                f"{uri} does not answer: {told}; expected a tracking server that does"
            ) from cause(error)
        raise ConfigError(f"{uri}: {getattr(error, 'message', error)}") from cause(error)


def is_away(error: BaseException) -> bool:
    r"""Tells whether the server does not answer, or cannot for now."""

    chain = _chain(error)
    if any(isinstance(one, SSLError) for one in chain):  # a certificate does not change by itself
        return False
    if getattr(error, "error_code", None) in BUSY or any(isinstance(one, AWAY) for one in chain):
        return True

    # Of what became of a download, MLflow keeps the words alone
    return re.search(r"downloading .*API request to \S+ failed", str(error), re.DOTALL) is not None


def cause(error: BaseException) -> BaseException | None:
    r"""Returns an error as the cause of another, or none if a traceback of it tells a password,
    which Prefect would keep."""

    return None if any(str(one) != masked(str(one)) for one in _chain(error)) else error


def _chain(error: BaseException) -> list[BaseException]:
    r"""Returns an error, what it came of, and so on."""

    before = error.__cause__ or error.__context__

    return [error, *(_chain(before) if before else [])]


def _discreet(record: logging.LogRecord) -> bool:
    record.msg, record.args = masked(record.getMessage()), None

    return True


for _handler in logging.getLogger("mlflow").handlers:  # which names the server when it warns
    _handler.addFilter(_discreet)


@contextmanager
def global_uri(uri: str) -> Iterator[None]:
    r"""Logging a model goes through MLflow's global address: set it, and set it back."""

    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None: there was none

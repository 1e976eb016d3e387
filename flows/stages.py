r"""The verbs as Prefect tasks: those that read or write are tried again, training is not.

Arguments are paths and settings, never arrays. Nothing is cached: the verbs themselves know
what is done already, and go on where they were.
"""

__all__ = ["PATIENT", "classify", "may_pass", "measure", "perform", "persist", "publish"]

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.settings import PREFECT_API_URL
from prefect.tasks import Task

from flows.arguments import at_home
from flows.results import flatten, plain
from pipeline import errors, runs
from pipeline.config import load
from pipeline.errors import ConfigError, PipelineError

DELAYS: list[float] = [10, 60, 300]
r"""The seconds before the first, second and third new attempt."""

LASTING = (ConfigError, FileNotFoundError, IsADirectoryError, NotADirectoryError)
r"""The errors that no patience mends."""

PATIENT = ("ingest", "classify")
r"""The stages of an experiment that are tried again."""


def may_pass(_task: Task, _run: TaskRun, state: State) -> bool:
    r"""Whether a failure may pass, as that of a disk or a network does and a typo does not."""

    error = state.data
    if any(isinstance(one, LASTING) for one in (error, getattr(error, "__cause__", None))):
        return False

    return type(error) is PipelineError or (
        isinstance(error, BaseException) and errors.may_pass(error)
    )


AGAIN: dict[str, Any] = {
    "retries": len(DELAYS),
    "retry_delay_seconds": DELAYS,
    "retry_condition_fn": may_pass,
}


@task(cache_policy=NO_CACHE, task_run_name="{stage}")
def perform(stage: str, config: str, settings: Sequence[str]) -> dict:
    r"""Does one stage of an experiment, once."""

    return runs.STAGES[stage](load(Path(config), settings))


persist = perform.with_options(name="persist", **AGAIN)
r"""Does one stage of an experiment that mainly reads or writes, again if need be."""


@task(cache_policy=NO_CACHE, **AGAIN)
def classify(model: str, input: str, to: str, settings: Sequence[str]) -> dict:
    r"""Writes a catalogue of any input."""

    return runs.classify(at_home(model), Path(at_home(input)), Path(at_home(to)), settings)


@task(cache_policy=NO_CACHE, **AGAIN)
def measure(input: str, to: str, settings: Sequence[str]) -> dict:
    r"""Writes a catalogue of morphology of any input."""

    return runs.measure(Path(at_home(input)), Path(at_home(to)), settings)


def may_come_back(_task: Task, _run: TaskRun, _state: State) -> bool:
    r"""Whether Prefect's server may be there again, as a temporary one that died is not."""

    return PREFECT_API_URL.value() is not None


@task(cache_policy=NO_CACHE, **(AGAIN | {"retry_condition_fn": may_come_back}))
def publish(verb: str, name: str, result: Mapping[str, Any]) -> None:
    r"""Leaves a page with the numbers of a flow, and a link to its MLflow run if it has one."""

    rows = [(key, text.replace("|", r"\|")) for key, text in flatten(plain(result))]
    lines = [f"| {key} | {_linked(text)} |" for key, text in rows]
    create_markdown_artifact(
        "\n".join([f"# {verb} {name}", "", "| | |", "|---|---|", *lines]),
        key=re.sub(r"[^a-z0-9]+", "-", f"{verb}-{name}".lower()).strip("-"),
        description=f"What {verb} did",
    )


def _linked(text: str) -> str:
    # An MLflow database has no address, but a command that opens it
    text = re.sub(r"^(mlflow \S.*?),", r"`\1`,", text)

    return re.sub(r"(https?://\S+)", r"[\1](\1)", text)

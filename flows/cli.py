r"""The command line: `tuningfork VERB ...`.

Imports stand inside functions here and in `flows.arguments`, and nowhere else, so that
`tuningfork --help` is quick.
The result of a verb is all that goes to standard output; progress and logs go to standard error.
"""

__all__ = ["app"]

import errno
import json
import logging
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, redirect_stdout
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import typer

from flows.arguments import Arguments, replaced
from flows.results import plain, side_by_side, table
from flows.stopping import Stop
from pipeline.errors import DataError, PipelineError

app = typer.Typer(
    cls=Arguments,
    add_completion=False,
    help="From the images of a sky survey to a galaxy-morphology catalogue.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Config = Annotated[Path, typer.Argument(help="An experiment, e.g. configs/demo.yaml.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="SECTION.KEY=VALUE", help="Replaces one setting; may be repeated."
    ),
]
Input = Annotated[
    Path,
    typer.Argument(
        help="A store, an experiment to take files from, a folder of images or one image."
    ),
]
Catalogue = Annotated[
    Path,
    typer.Option(
        help="A .parquet, .fits, .vot or .csv catalogue; the last has its units and metadata on"
        " top, as ECSV, in lines that begin with #."
    ),
]
NoFlow = Annotated[bool, typer.Option("--no-flow", help="Runs without Prefect.")]
NeverFlow = Annotated[
    bool, typer.Option("--no-flow", help="Changes nothing: this verb never uses Prefect.")
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Writes the result as one JSON object. A failure writes nothing to standard output.",
    ),
]

# What the machine, and neither the code nor the data, is short of
SHORTAGES = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="Where the survey is written.")],
    galaxies: Annotated[int, typer.Option(help="How many galaxies to draw.", min=1)] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed writes the same bytes.")] = 0,
    settings: Settings = None,
    no_flow: NeverFlow = False,
    as_json: Json = False,
) -> None:
    r"""Draws a survey: FITS cutouts and a table of labels."""

    def work() -> dict:
        values = {"galaxies": galaxies, "seed": seed, "side": 64, "faults": 0.04}
        given = replaced("simulate", values, settings)

        from pipeline import runs

        return runs.simulate(folder, **given)

    _answer(work, as_json)


@app.command()
def ingest(
    config: Config, settings: Settings = None, no_flow: NoFlow = False, as_json: Json = False
) -> None:
    r"""Reads the new files of an experiment into its store."""

    _work_on(config, "ingest", settings, no_flow, as_json)


@app.command()
def inspect(
    store: Annotated[Path, typer.Argument(help="The folder of a store.")],
    to: Annotated[
        Path | None,
        typer.Option(help="Where the figures go. By default, `inspection` beside the store."),
    ] = None,
    id: Annotated[str | None, typer.Option(help="One galaxy, drawn in all its bands.")] = None,
    settings: Settings = None,
    no_flow: NeverFlow = False,
    as_json: Json = False,
) -> None:
    r"""Counts a store by status, flag and reason; draws its galaxies."""

    def work() -> dict:
        place = store.parent / "inspection" if to is None else to
        given = replaced("inspect", {"to": place, "id": id}, settings)

        from pipeline import runs

        one = None if given["id"] is None else str(given["id"])

        return runs.inspect(store, Path(str(given["to"])), id=one)

    _answer(work, as_json)


@app.command()
def train(
    config: Config, settings: Settings = None, no_flow: NoFlow = False, as_json: Json = False
) -> None:
    r"""Trains the model of an experiment on its store."""

    _work_on(config, "train", settings, no_flow, as_json)


@app.command()
def evaluate(
    config: Config, settings: Settings = None, no_flow: NeverFlow = False, as_json: Json = False
) -> None:
    r"""Measures the model and its baselines on the test galaxies."""

    def work() -> dict:
        from pipeline import runs

        return runs.evaluate(_experiment(config, settings))

    _answer(work, as_json)


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(help="The folders of two or more runs.")],
    common: Annotated[
        bool, typer.Option("--common", help="Compares on the galaxies that all runs have tested.")
    ] = False,
    settings: Settings = None,
    no_flow: NeverFlow = False,
    as_json: Json = False,
) -> None:
    r"""Puts runs side by side."""

    def work() -> dict:
        given = replaced("compare", {"common": common}, settings)

        from pipeline import runs

        return runs.compare(folders, **given)

    _answer(work, as_json, side_by_side)


@app.command()
def classify(
    model: Annotated[str, typer.Argument(help="A folder, or a URI of the model registry.")],
    input: Input,
    to: Catalogue,
    settings: Settings = None,
    no_flow: NoFlow = False,
    as_json: Json = False,
) -> None:
    r"""Writes a catalogue of calibrated class probabilities."""

    def work() -> dict:
        if no_flow:
            from pipeline import runs

            return runs.classify(model, input, to, settings or [])

        _must_exist(input, model)
        return _flow("classify", model, str(input), str(to), settings or [])

    _answer(work, as_json)


@app.command()
def measure(
    input: Input,
    to: Catalogue,
    settings: Settings = None,
    no_flow: NoFlow = False,
    as_json: Json = False,
) -> None:
    r"""Writes a catalogue of measured morphology; settings are those of `morphometry`."""

    def work() -> dict:
        if no_flow:
            from pipeline import runs

            return runs.measure(input, to, settings or [])

        _must_exist(input)
        return _flow("measure", str(input), str(to), settings or [])

    _answer(work, as_json)


@app.command()
def run(
    config: Config, settings: Settings = None, no_flow: NoFlow = False, as_json: Json = False
) -> None:
    r"""Does all of it: from files to a report and a catalogue."""

    _work_on(config, "run", settings, no_flow, as_json)


@app.command()
def show(
    config: Config, settings: Settings = None, no_flow: NeverFlow = False, as_json: Json = False
) -> None:
    r"""Prints an experiment with every default filled in."""

    def work() -> dict:
        experiment = _experiment(config, settings)

        from pipeline.config import shown

        return shown(experiment).model_dump(mode="json")

    def text(result: Mapping[str, Any]) -> str:
        import yaml

        return yaml.safe_dump(result, sort_keys=False, width=99)

    _answer(work, as_json, text)


def _work_on(config: Path, verb: str, settings: Settings, no_flow: bool, as_json: bool) -> None:
    r"""Answers with what a verb does to an experiment, through Prefect or without."""

    def work() -> dict:
        experiment = _experiment(config, settings)
        if no_flow:
            from pipeline import runs

            return getattr(runs, verb)(experiment)

        return _flow(verb, str(config), settings or [])

    _answer(work, as_json)


def _flow(verb: str, *arguments: Any) -> dict:
    from flows.server import reached

    with reached():
        return getattr(import_module(f"flows.{verb}"), verb)(*arguments)


def _must_exist(input: Path, model: str | None = None) -> None:
    r"""Refuses what is not there before Prefect takes ten seconds to start."""

    if not input.exists():
        raise DataError(f"{input} does not exist, expected a store, an experiment or images")
    if model and not re.match(r"(models|runs):/", model) and not Path(model).is_dir():
        from pipeline.card import recover

        recover(Path(model))
        if not Path(model).is_dir():
            raise DataError(f"{model} is neither a folder nor models:/... nor runs:/...")


def _experiment(path: Path, settings: Sequence[str] | None) -> Any:
    from pipeline import config

    return config.load(path, settings or [])


def _answer(
    work: Callable[[], dict], as_json: bool, text: Callable[[dict], str] | None = None
) -> None:
    _log_to_stderr()

    with _ExitCode(), Stop(), redirect_stdout(sys.stderr):
        result = plain(work())

    if as_json:
        sys.stdout.write(json.dumps(result, allow_nan=False) + "\n")
    else:
        sys.stdout.write((text or table)(result))


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.addFilter(_not_told_below)
    logging.basicConfig(handlers=[handler])
    logging.getLogger("pipeline").setLevel(logging.INFO)


def _not_told_below(record: logging.LogRecord) -> bool:
    r"""A user's error is told once, at the end and in words; Prefect tells it of the task and of
    the flow as it passes, and with a traceback. New attempts are told, without one."""

    if not record.name.startswith("prefect"):
        return True
    if record.exc_info and isinstance(record.exc_info[1], PipelineError):
        record.exc_info = None
        record.exc_text = None
        return "Retry" in record.getMessage()

    return not record.getMessage().startswith("Finished in state Failed")


class _ExitCode(AbstractContextManager):
    r"""Ends the process with 1 and one line on a user's error, with 2 and a traceback on
    ours."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        short = isinstance(error, OSError) and error.errno in SHORTAGES

        if isinstance(error, PipelineError) or short:
            sys.stderr.write(f"tuningfork: {' '.join(str(error).split())}\n")
            raise SystemExit(1) from None
        if isinstance(error, Exception):
            traceback.print_exception(error)
            raise SystemExit(2) from None


if __name__ == "__main__":
    app()

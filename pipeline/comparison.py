r"""Runs side by side."""

__all__ = ["Comparison", "Predictions", "compare"]

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.files import replacing
from pipeline.metrics import METRICS, Difference, Interval, bootstrap, paired_bootstrap

FILE = "predictions.parquet"


@dataclass(frozen=True, eq=False)
class Predictions:
    r"""What models said of the galaxies of a test set, kept to compare them later.

    Arguments:
        ids: The names of the `N` galaxies, each once.
        labels: The index of the true class, with shape `(N,)`.
        classes: The names of the `K` classes.
        probabilities: For each model, the probability of each class, with shape `(N, K)`. The
            first model is the one that matters.
        digest: That of the card of the first model.

    Raises:
        DataError: If lengths differ, or if an id stands twice.
    """

    ids: Sequence[str]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    probabilities: Mapping[str, NDArray]
    digest: str = ""

    def __post_init__(self) -> None:
        shape = (len(self.ids), len(self.classes))
        for name, p in self.probabilities.items():
            if p.shape != shape or len(self.labels) != shape[0]:
                raise DataError(
                    f"{name} has probabilities {p.shape} and {len(self.labels)} labels,"
                    f" expected {shape} and {shape[0]}"
                )
        if len(set(self.ids)) < len(self.ids):
            raise DataError(f"{len(self.ids) - len(set(self.ids))} ids of the test set repeat")

    def save(self, path: Path) -> None:
        r"""Writes a Parquet table with `id`, `label`, and a column `model/class` for each."""

        labels = [self.classes[k] for k in self.labels]
        columns: dict[str, Sequence[str] | NDArray] = {"id": list(self.ids), "label": labels}
        for model, p in self.probabilities.items():
            columns |= {f"{model}/{c}": p[:, k] for k, c in enumerate(self.classes)}
        facts = {"classes": self.classes, "models": [*self.probabilities], "digest": self.digest}
        metadata = {key: json.dumps(value) for key, value in facts.items()}

        with replacing(path) as file:
            pq.write_table(pa.table(columns).replace_schema_metadata(metadata), file)

    @classmethod
    def load(cls, path: Path) -> Self:
        r"""Reads what :meth:`save` wrote.

        Raises:
            DataError: If there is no such file, or if it is something else.
        """

        if not path.is_file():
            raise DataError(f"{path} is missing, expected what `tuningfork evaluate` writes")
        try:
            table = pq.read_table(path)
            metadata = table.schema.metadata
            classes = tuple(json.loads(metadata[b"classes"]))
            models = json.loads(metadata[b"models"])
            digest = json.loads(metadata.get(b"digest", b'""'))  # of a time without
        except (pa.ArrowInvalid, KeyError, TypeError) as error:
            raise DataError(f"{path} is no table of predictions: {error}") from error

        return cls(
            table["id"].to_pylist(),
            np.array([classes.index(name) for name in table["label"].to_pylist()], np.int64),
            classes,
            {
                model: np.stack([table[f"{model}/{c}"].to_numpy() for c in classes], axis=1)
                for model in models
            },
            digest,
        )

    def of(self, ids: Sequence[str]) -> Self:
        r"""Returns the same predictions of these galaxies only, in this order."""

        place = {name: n for n, name in enumerate(self.ids)}
        rows = [place[name] for name in ids]

        return type(self)(
            list(ids),
            self.labels[rows],
            self.classes,
            {model: p[rows] for model, p in self.probabilities.items()},
            self.digest,
        )


@dataclass(frozen=True)
class Comparison:
    r"""The same galaxies, seen by several runs.

    Arguments:
        galaxies: The number of galaxies that all runs were tested on.
        left_out: The number of galaxies that only some of them were tested on.
        models: For each run, the name of its first model, which is the one that answers.
        metrics: For each run, the metrics of its first model.
        differences: For each run but the first, what it has above the first run.
    """

    galaxies: int
    left_out: int
    models: dict[str, str]
    metrics: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Difference]]


def compare(
    folders: Sequence[Path], *, common: bool = False, seed: int = 0, resamples: int = 1000
) -> Comparison:
    r"""Puts runs side by side, each against the first, galaxy by galaxy.

    Arguments:
        folders: The folders of the runs, each with its `predictions.parquet`.
        common: Whether to go on with the common galaxies if the test sets differ.
        seed: Seeds the resamples.
        resamples: The number of bootstrap resamples behind each interval.

    Returns:
        The comparison.

    Raises:
        DataError: If a run has no predictions, if classes or labels differ, or if the test
            sets do and `common` is false.
    """

    if len(folders) < 2:
        raise DataError(f"{len(folders)} run to compare, expected two or more")
    names = _names(folders)
    runs = [Predictions.load(Path(folder) / FILE) for folder in folders]
    ids = _common(names, runs, common)
    left_out = len(set().union(*(run.ids for run in runs))) - len(ids)
    runs = [run.of(ids) for run in runs]
    _agree(names, runs)

    labels, first = runs[0].labels, _main(runs[0])

    return Comparison(
        galaxies=len(ids),
        left_out=left_out,
        models={
            name: next(iter(run.probabilities)) for name, run in zip(names, runs, strict=True)
        },
        metrics={
            name: _scores(run, seed, resamples) for name, run in zip(names, runs, strict=True)
        },
        differences={
            name: paired_bootstrap(_main(run), first, labels, resamples=resamples, seed=seed)
            for name, run in zip(names[1:], runs[1:], strict=True)
        },
    )


def _names(folders: Sequence[Path]) -> list[str]:
    r"""Names each run by its folder, or by its whole path where two folders share a name."""

    names = [Path(folder).resolve().name for folder in folders]
    if len(set(names)) == len(names):
        return names
    paths = [str(folder) for folder in folders]
    if len(set(paths)) < len(paths):
        raise DataError("a run stands twice among those to compare")

    return paths


def _main(run: Predictions) -> NDArray:
    return next(iter(run.probabilities.values()))


def _scores(run: Predictions, seed: int, resamples: int) -> dict[str, Interval]:
    scores = bootstrap(_main(run), run.labels, resamples=resamples, seed=seed)

    return {name: scores[name][0] for name in METRICS}


def _common(names: Sequence[str], runs: Sequence[Predictions], common: bool) -> list[str]:
    first = set(runs[0].ids)
    for name, run in zip(names[1:], runs[1:], strict=True):
        differ = len(first ^ set(run.ids))
        if differ and not common:
            raise DataError(
                f"{names[0]} and {name} were tested on different galaxies: {differ} ids are in"
                " one only. Compare on the common ones with --common"
            )
    shared = first.intersection(*(run.ids for run in runs[1:]))
    if not shared:
        raise DataError(f"{', '.join(names)} have no test galaxy in common")

    return [name for name in runs[0].ids if name in shared]


def _agree(names: Sequence[str], runs: Sequence[Predictions]) -> None:
    for name, run in zip(names[1:], runs[1:], strict=True):
        if run.classes != runs[0].classes:
            raise DataError(
                f"{name} has the classes {', '.join(run.classes)}, expected those of {names[0]}:"
                f" {', '.join(runs[0].classes)}"
            )
        differ = int((run.labels != runs[0].labels).sum())
        if differ:
            raise DataError(f"{names[0]} and {name} label {differ} galaxies differently")

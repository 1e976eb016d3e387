r"""Whether measurements say what eyes saw.

`python -m benchmarks.science [--quick] [--json] [--docs docs]`

Spearman's rank correlation of measurements with the votes for features (`aegis_hst`) and with the
T-type (`virgo_dss2`); a forest on all numbers of Galaxy Zoo (`gz1_sdss`), on the morphology alone
and on the hand-made numbers alone (fluxes, colours, percentiles), beside one on 15 hand-made
numbers; and the hand of its spirals from the sign of one number. Intervals hold 95 % of bootstrap
resamples. The data are below `TUNINGFORK_DATA`, by default `../shared/data`.
"""

__all__ = ["HAND_MADE", "Row", "aegis", "columns", "forests", "galaxy_zoo", "hand", "main",
           "spearman", "tables", "virgo"]  # fmt: skip

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.harness import parser, write_json
from benchmarks.pages import PAGE, renew, table
from pipeline import runs
from pipeline.baselines import fit_baseline, measurements, probabilities
from pipeline.catalogue import read_table
from pipeline.config import Experiment, load
from pipeline.descriptors import mean_of_bands, simple_numbers
from pipeline.metrics import bootstrap
from pipeline.morphometry.cutouts import measure_cutouts
from pipeline.runs.data import sample, store_folder
from pipeline.store import Store

CONFIGS = Path(__file__).parents[1] / "configs"
DATA = Path(os.environ.get("TUNINGFORK_DATA", "../shared/data"))
RESAMPLES = 2000
WORKERS = 2

HAND_MADE = {"accuracy": 0.783, "macro_f1": 0.484}
r"""What a forest on 15 hand-made numbers scores on the same test galaxies of `gz1_sdss`."""

HAND = 0.80
r"""The share of the spirals whose hand is to be found."""

FIELDS = ("concentration", "asymmetry", "asymmetry_unbiased", "rms_asymmetry2", "smoothness",
          "gini", "m20", "sersic_n", "entropy", "gradient_pattern", "sn_per_pixel")  # fmt: skip
CORRELATED = ("aegis_hst, features", "virgo_dss2, T-type")
Sample = tuple[NDArray, NDArray]
r"""The numbers of galaxies, with shape `(N, D)`, and their classes, with shape `(N,)`."""

HANDS = {"spiral_clockwise": 1, "spiral_anticlockwise": -1}
OTHER_SKY = "N4402"  # its images show another galaxy, which has no type


@dataclass(frozen=True)
class Row:
    r"""A line of a table.

    Arguments:
        table: The data.
        name: What was measured.
        value: Its value.
        low: The lower end of its interval.
        high: The upper end.
        galaxies: How many galaxies it is of.
        aim: What it should reach. None if it need not reach anything.
    """

    table: str
    name: str
    value: float
    low: float
    high: float
    galaxies: int
    aim: float | None = None


def main() -> None:
    r"""Prints the tables."""

    asked = parser(__doc__ or "", docs=True).parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for rows_of in (aegis, virgo):
            rows += rows_of(Path(folder))
        rows += galaxy_zoo(Path(folder), every=8 if asked.quick else 1)

    if asked.json:
        first = next(row for row in rows if row.aim is not None)
        aim = HAND_MADE["accuracy"]
        head = {"ours": first.value, "theirs": aim, "unit": "accuracy", "ratio": first.value / aim}
        write_json(head | {"cases": [asdict(row) for row in rows]})
        return
    told = tables(rows)
    sys.stdout.write(told)
    if asked.docs:
        renew(asked.docs / PAGE, "science", told)


def tables(rows: Sequence[Row]) -> str:
    r"""Spells correlations, a statistic in a line and a band in a column, and then all others."""

    found = {(row.table, *row.name.split()): row for row in rows if row.table in CORRELATED}
    columns = list(dict.fromkeys((data, band) for data, _, band in found))
    most = [max(found[data, field, band].galaxies for field in FIELDS) for data, band in columns]
    head = [f"{data}, {band} ({n})" for (data, band), n in zip(columns, most, strict=True)]
    lines = [
        [field, *(_correlation(found[data, field, band]) for data, band in columns)]
        for field in FIELDS
    ]
    others = [_cells(row) for row in rows if row.table not in CORRELATED]
    names = ["data", "number", "value", "95 %", "galaxies", "aim"]

    return f"{table(['', *head], lines)}\n{table(names, others)}"


def _correlation(row: Row) -> str:
    r"""Spells a correlation, in bold where its interval does not hold 0."""

    bold = "**" if row.low * row.high > 0 else ""

    return f"{bold}{row.value:.2f}{bold} ({row.low:.2f} to {row.high:.2f})"


def _cells(row: Row) -> list[str]:
    aim = "" if row.aim is None else f"{row.aim:.3f}"
    span = f"{row.low:.3f} to {row.high:.3f}"

    return [row.table, row.name, f"{row.value:.3f}", span, str(row.galaxies), aim]


def spearman(
    x: NDArray, y: NDArray, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float, float]:
    r"""Correlates the ranks of two numbers.

    Arguments:
        x: One number of each galaxy, with shape `(N,)`.
        y: The other, with shape `(N,)`.
        resamples: The number of bootstrap resamples.
        seed: What draws them.

    Returns:
        The correlation, and the interval of 95 % of the resamples.
    """

    drawn = np.random.default_rng(seed).integers(len(x), size=(resamples, len(x)))
    drawn[0] = np.arange(len(x))  # the sample itself
    a, b = (rankdata(values[drawn], axis=1) for values in (x, y))
    a, b = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (a, b))
    with np.errstate(invalid="ignore"):  # a resample of one galaxy alone
        found = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    low, high = np.nanpercentile(found[1:], [2.5, 97.5])

    return float(found[0]), float(low), float(high)


def aegis(folder: Path) -> Iterator[Row]:
    r"""Correlates measurements with the share of votes for features or a disk."""

    experiment = load(
        CONFIGS / "aegis_hst.yaml", [f"folder={folder}", f"data.root={DATA}/aegis_hst"]
    )
    table = read_table(DATA / "aegis_hst/labels.csv")
    votes = dict(zip(map(str, table["object_id"]), table["p_features"], strict=True))

    yield from _correlations(experiment, CORRELATED[0], votes)


def virgo(folder: Path) -> Iterator[Row]:
    r"""Correlates measurements with the T-type, from early to late."""

    table = read_table(DATA / "virgo_dss2/labels.csv")
    types = dict(zip(map(str, table["name"]), table["t_type"], strict=True))
    types.pop(OTHER_SKY)
    experiment = Experiment.model_validate(
        {
            "name": "virgo_dss2",
            "folder": folder,
            "data": {
                "root": DATA / "virgo_dss2",
                "pattern": "{id}/*_{band}.fits",
                "bands": ("blue", "red", "ir"),
                "band_text": {band: f"dss2{band}" for band in ("blue", "red", "ir")},
                "size": 296,
                "cut_at": "position",
                "table": {
                    "path": DATA / "virgo_dss2/labels.csv", "id": "name", "ra": "ra", "dec": "dec",
                },
            },
        }
    )  # fmt: skip

    yield from _correlations(experiment, CORRELATED[1], types)


def _correlations(experiment: Experiment, table: str, seen: Mapping[str, float]) -> Iterator[Row]:
    r"""Measures all galaxies of an experiment, and correlates each field with what was seen."""

    runs.ingest(experiment)
    store = Store.open(store_folder(experiment))
    ids = store.manifest["id"].take(store.usable).to_pylist()
    measured = measure_cutouts(store.gather(store.usable), store.info.bands)
    target = np.array([float(seen.get(id, np.nan)) for id in ids])

    for band in store.info.bands:
        for field in FIELDS:
            x = measured[f"{field}_{band}"]
            kept = np.isfinite(x) & np.isfinite(target)
            yield Row(table, f"{field} {band}", *spearman(x[kept], target[kept]), int(kept.sum()))


def galaxy_zoo(folder: Path, every: int = 1) -> Iterator[Row]:
    r"""Judges forests on the test galaxies, and finds the hand of all labelled spirals.

    Arguments:
        folder: Where the store goes.
        every: One of how many galaxies are used.
    """

    root = DATA / "gz1_sdss"
    settings = [f"folder={folder}", f"data.root={root}", f"data.table.path={root}/labels.csv"]
    experiment = load(CONFIGS / "gz1_sdss.yaml", settings)
    runs.ingest(experiment)
    found = sample(experiment)

    known, seen = (
        (measurements(found.store, rows[::every], WORKERS), labels[::every])
        for rows, labels, _ in (found.of("train"), found.of("test"))
    )
    parts = columns(found.store.info.bands)
    yield from forests(known, seen, parts, len(found.scheme), experiment.seed)

    wound = np.array([HANDS.get(name, 0) for name in found.scheme.classes])[found.labels]
    rows, wound = (values[wound != 0][::every] for values in (found.rows, wound))
    yield Row("gz1_sdss, spirals", "hand", *hand(found.store.gather(rows), wound), len(rows), HAND)


def columns(bands: Sequence[str]) -> dict[str, slice]:
    r"""Tells which of the numbers of a galaxy each forest has, by what follows its name."""

    _, simple = simple_numbers(np.zeros((1, len(bands), 8, 8)), bands)
    first = len(simple)

    return {
        "": slice(None),
        ", morphology alone": slice(first, None),
        ", hand-made alone": slice(first),
    }


def forests(
    known: Sample, seen: Sample, parts: Mapping[str, slice], num_classes: int, seed: int
) -> Iterator[Row]:
    r"""Fits a forest to each part of the numbers, and judges it on other galaxies.

    Arguments:
        known: The galaxies that it is fitted to.
        seen: Those that it is judged on.
        parts: The columns of each part, by name. The first has the aim.
        num_classes: The number of classes :math:`K`.
        seed: The seed of the forests.
    """

    for place, (part, inside) in enumerate(parts.items()):
        forest = fit_baseline("forest", known[0][:, inside], known[1], seed)
        said = probabilities(forest, seen[0][:, inside], num_classes)
        scores = bootstrap(said, seen[1], resamples=RESAMPLES)
        for name, aim in HAND_MADE.items():
            reached = scores[name][0]
            span = reached.value, reached.low, reached.high
            told = f"forest{part}, {name}"
            yield Row("gz1_sdss, test", told, *span, len(seen[1]), None if place else aim)


def hand(pixels: NDArray, wound: NDArray) -> tuple[float, float, float]:
    r"""Tells the hand of spirals by the sign of :func:`pipeline.morphometry.spiral.spiral` alone.

    Arguments:
        pixels: The images, with rows upwards, with shape `(N, C, H, W)`.
        wound: 1 for clockwise, -1 for anticlockwise, with shape `(N,)`.

    Returns:
        The share that is right, and the interval of 95 % of the bootstrap resamples.
    """

    measured = measure_cutouts(mean_of_bands(pixels), ("all",))
    right = np.sign(measured["winding_all"]) == wound
    drawn = np.random.default_rng(0).choice(right, size=(RESAMPLES, len(right))).mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])

    return float(right.mean()), float(low), float(high)


if __name__ == "__main__":
    main()

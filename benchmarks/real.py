r"""All the real data through ingest, as a table: `python -m benchmarks.real [--data FOLDER]`.

One line per input with its status, flags and reason, and at the end which images there are that
no set reads. Of sets with hundreds of inputs those that are `ok` are counted, and so are the rows
of a table that lie where no image is; all others are listed.
"""

__all__ = ["SETS", "Set", "lines", "read", "unread"]

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.ingest import Recipe, ingest
from pipeline.objects import Columns
from pipeline.patterns import find_files
from pipeline.sources import find
from pipeline.store import Store, StoreInfo

MANY = 200
IMAGES = (".fits", ".fit", ".jpeg", ".jpg", ".png")
COMPRESSED = (".bz2", ".fz", ".gz")


@dataclass(frozen=True)
class Set:
    r"""One way to read one folder of images.

    Arguments:
        root: The folder, below that of the data.
        pattern: The place of a file in it.
        recipe: How to make a row.
        table: The table of galaxies and its columns, below the folder of the data.
        band_text: What stands for a band in file names, where it is not its own name.
    """

    root: str
    pattern: str
    recipe: Recipe
    table: dict[str, Any] = field(default_factory=dict)
    band_text: dict[str, str] = field(default_factory=dict)


DSS = {"blue": "dss2blue", "red": "dss2red", "ir": "dss2ir"}
CAPITALS = {"g": "G", "r": "R", "i": "I"}
VIRGO = {"path": "virgo_dss2/labels.csv", "id": "name", "ra": "ra", "dec": "dec"}
NGC = {"path": "fields/OpenNGC_NGC.csv.gz", "id": "Name", "ra": "RA", "dec": "Dec"}
HCG = "fields/hcg88_sdss_gri"
FRAME = "fields/sdss_subframe_1000_1_100"

SETS = {
    "aegis_hst": Set(
        "aegis_hst",
        "cutouts/{id}.acs.{band}_6ac_.fits",
        Recipe(("v", "i"), (128, 128)),
        {"path": "aegis_hst/labels.csv", "id": "object_id", "ra": "ra", "dec": "dec"},
    ),
    "decals_grz": Set("decals_grz", "{id}.fits", Recipe(("g", "r", "z"), (256, 256))),
    "sdss_r": Set("sdss_r", "{id}.fits", Recipe(("r",), (64, 64))),
    "virgo_dss2": Set(
        "virgo_dss2",
        "{id}/*_{band}.fits",
        Recipe(("blue", "red", "ir"), (200, 200), at="position"),
        VIRGO,
        DSS,
    ),
    "virgo_2mass": Set(
        "virgo_dss2",
        "{id}/*_2mass_{band}.fits",
        Recipe(("j", "h", "k"), (200, 200), at="position"),
        VIRGO,
    ),
    "virgo_wise": Set(
        "virgo_dss2",
        "{id}/*_wise_{band}.fits",
        Recipe(("w1",), (200, 200), at="position"),
        VIRGO,
        {"w1": "1"},
    ),
    "hcg88": Set(HCG, "reprojected_sdss_{band}.fits.bz2", Recipe(("g", "r", "i"), (96, 96)), NGC),
    "hcg88_full": Set(HCG, "fullres_*_{band}.fits.bz2", Recipe(("g",), (96, 96)), NGC),
    "sdss_subframe": Set(
        FRAME,
        "frame-{band}-*.fits.bz2",
        Recipe(("r",), (64, 64)),
        {
            "path": f"{FRAME}/photoObj-001000-1-0100.fits",
            "id": "OBJID",
            "ra": "RA",
            "dec": "DEC",
        },
    ),
    "fields_as_files": Set("fields", "*/{id}.fits*", Recipe(("r",), (64, 64))),
    "specimens": Set("specimens", "{id}.fits*", Recipe(("x",), (81, 81), pixel_scale=0.06)),
    "splus": Set(
        "specimens/splus_8band",
        "{id}_{band}.fits",
        Recipe(("u", "g", "j0515", "r", "j0660", "i", "j0861", "z"), (128, 128)),
    ),
    "splus_plain": Set(
        "specimens/splus_8band",
        "{id}_{band}.fits",
        Recipe(("g", "r", "i"), (128, 128)),
        band_text=CAPITALS,
    ),
    "splus_compressed": Set(
        "specimens/splus_8band",
        "{id}_{band}.fits.fz",
        Recipe(("g", "r", "i"), (128, 128)),
        band_text=CAPITALS,
    ),
    "gz1_sdss": Set(
        "gz1_sdss",
        "images/{id}.jpeg",
        Recipe(("g", "r", "i"), (141, 141), scale=3.0, pixel_scale=1.0),
        {"path": "gz1_sdss/labels.csv", "id": "objid", "label": "label"},
    ),
}


def read(name: str, data: Path, folder: Path, workers: int = 1) -> Store:
    r"""Ingests one of the sets.

    Arguments:
        name: A key of :data:`SETS`.
        data: The folder of the data.
        folder: Where the store goes.
        workers: The number of processes that read.
    """

    one = SETS[name]
    table = None
    if one.table:
        table = Columns(**one.table | {"path": data / one.table["path"]})
    sources = find(
        data / one.root, one.pattern, one.recipe.bands, band_text=one.band_text, table=table
    )
    info = StoreInfo(one.recipe.bands, *one.recipe.size, one.recipe.scale_text, survey=name)
    store = Store.create(folder, info)
    ingest(sources, store, one.recipe, workers=workers)

    return store


def unread(data: Path) -> list[Path]:
    r"""Lists the images below a folder that fit the pattern of no set."""

    fit: set[Path] = set()
    for one in SETS.values():
        texts = {band: one.band_text.get(band, band) for band in one.recipe.bands}
        fit |= {found.path for found in find_files(data / one.root, one.pattern, texts)}

    return sorted(path for path in data.rglob("*") if _is_image(path) and path not in fit)


def _is_image(path: Path) -> bool:
    plain = path.with_suffix("") if path.suffix.lower() in COMPRESSED else path

    return path.is_file() and plain.suffix.lower() in IMAGES


def lines(name: str, rows: Sequence[Mapping[str, Any]], data: Path) -> Iterator[str]:
    r"""Spells the rows of a manifest as those of a table.

    Arguments:
        name: The set.
        rows: The rows, with id, status, flags and reason.
        data: The folder of the data, which is left out of reasons.
    """

    counts: Counter[str] = Counter()
    for row in rows:
        reason = row["reason"].replace(f"{data}/", "").replace("|", "/")
        kind = "rejected, no image" if reason.startswith("no image:") else row["status"]
        if len(rows) > MANY and kind in {"ok", "rejected, no image"}:
            counts[kind] += 1
        else:
            yield f"| {name} | {row['id']} | {row['status']} | {row['flags']} | {reason} |"
    for kind, count in counts.most_common():
        yield f"| {name} | {count} inputs | {kind} | | |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("TUNINGFORK_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("sets", nargs="*", default=list(SETS), metavar="set")
    options = parser.parse_args()

    sys.stdout.write("| set | input | status | flags | reason |\n|---|---|---|---|---|\n")
    for name in options.sets:
        with tempfile.TemporaryDirectory() as folder:
            rows = read(name, options.data, Path(folder) / name, workers=2).manifest.to_pylist()
        sys.stdout.writelines(f"{line}\n" for line in lines(name, rows, options.data))
        sys.stdout.flush()

    left = unread(options.data)
    sys.stdout.write(f"\nImages that no set reads: {len(left)}\n")
    sys.stdout.writelines(f"- {path.relative_to(options.data)}\n" for path in left)


if __name__ == "__main__":
    main()

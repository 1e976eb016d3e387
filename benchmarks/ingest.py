r"""Ingest against a loop over astropy: `python -m benchmarks.ingest [--quick] [--json]`.

Theirs reads the pixels and builds the `WCS` of every file. Against it stand the reader alone,
which finds the digest, and the scale and parity of the pixels; the reader that asks where the
centre points as well, which theirs then does too; and the whole ingest into a fresh store, which
also cuts, measures sky and noise, assesses and writes.
"""

__all__ = ["main"]

import itertools
import math
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_area
from numpy.typing import NDArray

from benchmarks.harness import Case, compare, options, report
from pipeline.fits import FitsFile, Frame, write_image
from pipeline.ingest import Recipe, ingest
from pipeline.sources import find
from pipeline.store import Store, StoreInfo

BANDS, HEIGHT, WIDTH = ("g", "r", "z"), 128, 128
CENTRE = (WIDTH - 1) / 2, (HEIGHT - 1) / 2
SIZE = f"{len(BANDS)} x {HEIGHT} x {WIDTH}"


def main() -> None:
    r"""Compares the readers, then the whole ingest, one process each."""

    chosen = options(__doc__ or "")
    galaxies = 50 if chosen.quick else 400
    with tempfile.TemporaryDirectory() as folder:
        cubes, bands = write_cutouts(Path(folder), galaxies)
        check(cubes, len(BANDS))
        check(bands, 1)
        cases = [
            reader_case("one file per band", bands, galaxies),
            reader_case("cubes", cubes, galaxies),
            centre_case("cubes", cubes, galaxies),
            whole_case("one file per band", bands, "{id}_{band}.fits", galaxies),
            whole_case("cubes", cubes, "{id}.fits", galaxies),
        ]

    report(cases, chosen.json)


def check(files: Sequence[Path], planes: int) -> None:
    r"""Insists that both sides find the same pixels, bit for bit, scale, parity and centre."""

    for path in files:
        frames = read_by_us(path, planes)
        pixels, wcs = read_by_astropy(path)
        ours = np.stack([frame.pixels for frame in frames]).reshape(pixels.shape)
        if ours.dtype != pixels.dtype or not np.array_equal(ours.view("u4"), pixels.view("u4")):
            raise SystemExit(f"{path.name}: other bits than astropy")

        scale = 3600 * np.sqrt(proj_plane_pixel_area(wcs))
        mirrored = np.linalg.det(wcs.pixel_scale_matrix) > 0
        there = wcs.pixel_to_world(*CENTRE)
        for frame in frames:
            found = (frame.scale_arcsec or math.nan, *map(float, frame.sky(*CENTRE)))
            same = np.allclose(found, (scale, there.ra.deg, there.dec.deg), rtol=1e-9, atol=0)
            if not same or frame.mirrored != mirrored:
                raise SystemExit(f"{frame.source}: another scale, parity or centre than astropy")


def reader_case(name: str, files: Sequence[Path], galaxies: int) -> Case:
    r"""Times pixels, digest, scale and parity against astropy's pixels and WCS."""

    planes = len(BANDS) * galaxies // len(files)

    return compare(
        f"reader, {name}, {galaxies} galaxies of {SIZE}",
        loop(lambda path: read_by_us(path, planes), files),
        loop(read_by_astropy, files),
        items=galaxies,
    )


def centre_case(name: str, files: Sequence[Path], galaxies: int) -> Case:
    r"""Times the same, and where the centre points, on both sides."""

    planes = len(BANDS) * galaxies // len(files)

    return compare(
        f"reader and where the centre points, {name}, {galaxies} galaxies of {SIZE}",
        loop(lambda path: read_by_us(path, planes)[0].sky(*CENTRE), files),
        loop(lambda path: read_by_astropy(path)[1].pixel_to_world(*CENTRE), files),
        items=galaxies,
    )


def whole_case(name: str, files: Sequence[Path], pattern: str, galaxies: int) -> Case:
    r"""Times all of an ingest into a fresh store against astropy's pixels and WCS."""

    root = files[0].parent
    recipe = Recipe(BANDS, (HEIGHT, WIDTH))
    info = StoreInfo(BANDS, HEIGHT, WIDTH, recipe.scale_text, "benchmark")

    def ours() -> None:
        with tempfile.TemporaryDirectory(dir=root.parent) as folder:
            store = Store.create(Path(folder) / "store", info)
            counts = ingest(find(root, pattern, BANDS), store, recipe, workers=1)
        if counts["ok"] != galaxies:
            raise SystemExit(f"{root}: {counts}, expected {galaxies} ok")

    return compare(
        f"whole ingest, {name}, {galaxies} galaxies of {SIZE}",
        ours,
        loop(read_by_astropy, files),
        items=galaxies,
    )


def write_cutouts(folder: Path, galaxies: int) -> tuple[list[Path], list[Path]]:
    r"""Writes each galaxy as a cube, and again as a file per band.

    Returns:
        The `N` cubes, and the `3 N` bands in the order of the galaxies.
    """

    rng = np.random.default_rng(0)
    for name in ("cubes", "bands"):
        (folder / name).mkdir()
    cubes = [folder / f"cubes/{i}.fits" for i in range(galaxies)]
    pairs = itertools.product(range(galaxies), BANDS)
    bands = [folder / f"bands/{i}_{band}.fits" for i, band in pairs]
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    radius = np.hypot(x - CENTRE[0], y - CENTRE[1])
    for i, cube in enumerate(cubes):
        galaxy = rng.uniform(20, 200) * np.exp(-radius / rng.uniform(3, 8))
        pixels = (galaxy + rng.normal(size=(len(BANDS), HEIGHT, WIDTH))).astype("f4")
        sky = {"CRVAL1": rng.uniform(0, 360), "CRVAL2": rng.uniform(-60, 60)}
        write_image(cube, pixels, header() | sky)
        for path, plane in zip(bands[i * len(BANDS) :], pixels, strict=False):
            write_image(path, plane, header() | sky)

    return cubes, bands


def header() -> dict[str, str | int | float]:
    r"""Returns as many cards as a survey writes."""

    texts = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "RADESYS": "ICRS"}
    texts |= {"BUNIT": "nanomaggy", "FILTER": "r"}
    numbers = {"CRPIX1": 64.5, "CRPIX2": 64.5, "EXPTIME": 53.9}
    numbers |= {"CD1_1": -7.28e-5, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 7.28e-5}

    return {**texts, **numbers, **{f"CARD{i}": i / 7 for i in range(25)}}


def read_by_us(path: Path, planes: int) -> list[Frame]:
    r"""Reads the pixels and the digest of one file, the scale and parity of its planes."""

    file = FitsFile.open(path)
    frames = file.frames(bands=planes)
    assert file.digest
    for frame in frames:
        assert frame.scale_arcsec and not frame.mirrored

    return frames


def read_by_astropy(path: Path) -> tuple[NDArray[np.float32], WCS]:
    r"""Reads the pixels and the WCS of one file the usual way."""

    with warnings.catch_warnings(), fits.open(path, memmap=False) as hdus:
        warnings.simplefilter("ignore")
        wcs = WCS(hdus[0].header, naxis=2)
        return hdus[0].data.astype(np.float32), wcs


def loop(read: Callable[[Path], object], files: Sequence[Path]) -> Callable[[], None]:
    r"""Returns a call that reads every file once."""

    def call() -> None:
        for path in files:
            read(path)

    return call


if __name__ == "__main__":
    main()

r"""Ingest against a loop over astropy: `python -m benchmarks.ingest [--quick] [--json]`."""

__all__ = ["main"]

import itertools
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from benchmarks.harness import Case, compare, options, report
from pipeline.fits import FitsFile, write_image

BANDS, HEIGHT, WIDTH = 3, 128, 128


def main() -> None:
    r"""Compares the readers of cutouts, one process each."""

    chosen = options(__doc__ or "")
    galaxies = 50 if chosen.quick else 400
    with tempfile.TemporaryDirectory() as folder:
        report(read_cases(Path(folder), galaxies), chosen.json)


def read_cases(folder: Path, galaxies: int) -> list[Case]:
    r"""Times the reading of pixels, pixel scale and digest against astropy's pixels and WCS.

    Arguments:
        folder: Where to write the cutouts.
        galaxies: The number of cutouts :math:`N`, of 3 x 128 x 128 float32 each.
    """

    cubes, bands = write_cutouts(folder, galaxies)

    cases = []
    for name, files in [("one file per band", bands), ("cubes", cubes)]:
        planes = BANDS * galaxies // len(files)
        for path in files:
            ours = np.stack([frame.pixels for frame in FitsFile.open(path).frames(bands=planes)])
            theirs = read_by_astropy(path)
            if not np.array_equal(ours.reshape(theirs.shape).view("u4"), theirs.view("u4")):
                raise SystemExit(f"{path.name}: other bits than astropy")
        cases.append(
            compare(
                f"read, {name}, {galaxies} galaxies of {BANDS} x {HEIGHT} x {WIDTH}",
                loop(lambda path, planes=planes: read_by_us(path, planes), files),
                loop(read_by_astropy, files),
                items=galaxies,
            )
        )

    return cases


def write_cutouts(folder: Path, galaxies: int) -> tuple[list[Path], list[Path]]:
    r"""Writes each galaxy as a cube, and again as a file per band.

    Returns:
        The `N` cubes, and the `3 N` bands in the order of the galaxies.
    """

    rng = np.random.default_rng(0)
    cubes = [folder / f"{i}.fits" for i in range(galaxies)]
    bands = [folder / f"{i}_{b}.fits" for i, b in itertools.product(range(galaxies), "grz")]
    for i, cube in enumerate(cubes):
        pixels = rng.normal(size=(BANDS, HEIGHT, WIDTH)).astype("f4")
        sky = {"CRVAL1": rng.uniform(0, 360), "CRVAL2": rng.uniform(-60, 60)}
        write_image(cube, pixels, header() | sky)
        for path, plane in zip(bands[i * BANDS : (i + 1) * BANDS], pixels, strict=True):
            write_image(path, plane, header() | sky)

    return cubes, bands


def header() -> dict[str, str | int | float]:
    r"""Returns as many cards as a survey writes."""

    sky = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 64.5, "CRPIX2": 64.5}
    sky |= {"CD1_1": -7.28e-5, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 7.28e-5, "RADESYS": "ICRS"}
    rest = {f"CARD{i}": i / 7 for i in range(25)}

    return sky | {"BUNIT": "nanomaggy", "FILTER": "r", "EXPTIME": 53.9} | rest


def read_by_us(path: Path, planes: int) -> None:
    r"""Reads the pixels, the pixel scale and the digest of one file."""

    file = FitsFile.open(path)
    for frame in file.frames(bands=planes):
        assert frame.scale_arcsec
    assert file.digest


def read_by_astropy(path: Path) -> NDArray[np.float32]:
    r"""Reads the pixels and the WCS of one file the usual way."""

    with warnings.catch_warnings(), fits.open(path, memmap=False) as hdus:
        warnings.simplefilter("ignore")
        WCS(hdus[0].header)
        return hdus[0].data.astype(np.float32)


def loop(read: Callable[[Path], object], files: list[Path]) -> Callable[[], None]:
    r"""Returns a call that reads every file once."""

    def call() -> None:
        for path in files:
            read(path)

    return call


if __name__ == "__main__":
    main()

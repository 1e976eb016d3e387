r"""The survey as files: cutouts, a label table and the truth."""

__all__ = ["check", "petrosian_radius", "render", "simulate"]

import logging
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from astropy.table import Table
from torch import Tensor

from pipeline.catalogue import write_table
from pipeline.errors import ConfigError
from pipeline.fits import write_image
from pipeline.simulate.camera import CAMERA, FAULTS, blur, expose, spoil
from pipeline.simulate.render import Grid, light
from pipeline.simulate.scene import Scene, draw, generator, label

logger = logging.getLogger(__name__)

BLOCK = 16
r"""The galaxies drawn at once: the same whatever is asked for, so that the bytes are too."""

NUMBERS = 1024
r"""The uniform random numbers that make one galaxy and what is around it."""

LABEL_COLUMNS = ("id", "ra", "dec", "label", "redshift", "petro_r")

UNITS = {
    "ra": "deg",
    "dec": "deg",
    "petro_r": "arcsec",
    "radius_kpc": "kpc",
    "magnitude": "mag",
    "size": "arcsec",
    "x": "arcsec",
    "y": "arcsec",
    "inclination": "deg",
    "pitch": "deg",
    "angle": "rad",
    "bar_angle": "rad",
    "phase": "rad",
    **{f"flux_{band}": "nmgy" for band in CAMERA.bands},
    **{f"seeing_{band}": "arcsec" for band in CAMERA.bands},
}
r"""The units of the truth. Other lengths are in units of the half-light radius, `size`."""


def simulate(
    folder: Path, galaxies: int = 2000, seed: int = 0, side: int = 64, faults: float = 0.04
) -> Path:
    r"""Writes a survey of galaxies that never were.

    Each galaxy is a cube of the bands g, r, i, z in `cutouts/{id}.fits`. Beside them are
    `labels.csv`, with what a catalogue would hold (id, position, class, redshift and Petrosian
    radius in arcseconds), and `truth.parquet`, with every parameter that was drawn. The same
    arguments give the same bytes, and galaxy `i` of a seed is the same in a larger survey.

    Arguments:
        folder: Where to write. Files of the same names are replaced.
        galaxies: The number of galaxies.
        seed: The seed of the survey.
        side: The side of a cutout, in pixels of 0.4 arcseconds.
        faults: The share of galaxies with one of the :data:`FAULTS`.

    Returns:
        The path of the label table.

    Raises:
        ConfigError: If a number is out of range.
    """

    check(galaxies, seed, side, faults)
    (folder / "cutouts").mkdir(parents=True, exist_ok=True)
    starts = range(0, galaxies, BLOCK)
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        with one_thread_per_operation():
            parts = pool.map(
                lambda start: write_block(folder, start, galaxies, seed, side, faults), starts
            )
            rows = [row for part in parts for row in part]
    finally:
        pool.shutdown(cancel_futures=True)  # or whoever stops it would wait for all of them

    table = Table(rows)
    for name in table.colnames:
        table[name].unit = UNITS.get(name)
    write_table(table, folder / "truth.parquet")
    write_table(table[list(LABEL_COLUMNS)], folder / "labels.csv")
    logger.info("simulated %d galaxies in %s", galaxies, folder)

    return folder / "labels.csv"


def check(galaxies: int, seed: int, side: int, faults: float) -> None:
    r"""Refuses numbers that are out of range, see :func:`simulate`."""

    if galaxies < 1 or seed < 0 or side < 32 or not 0 <= faults <= 1:
        raise ConfigError(
            f"galaxies={galaxies}, seed={seed}, side={side}, faults={faults},"
            " expected galaxies >= 1, seed >= 0, side >= 32 and 0 <= faults <= 1"
        )


@contextmanager
def one_thread_per_operation() -> Iterator[None]:
    r"""Leaves the cores to the blocks. How sums are split among threads changes last digits."""

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def write_block(
    folder: Path, start: int, galaxies: int, seed: int, side: int, faults: float
) -> list[dict[str, str | float]]:
    r"""Writes the galaxies of one block, and returns their rows of the truth."""

    indices = range(start, start + BLOCK)
    flux, alone, scene, known = render(indices, seed, side)
    petro = petrosian_radius(alone[:, 1], scene) * CAMERA.scale
    rows = []
    for k, index in enumerate(indices[: galaxies - start]):
        random, broken = generator(seed, index, stream=1), fault(seed, index, faults)
        pixels = spoil(expose(flux[k].numpy(), CAMERA, random), broken, CAMERA, random)
        row = truth(index, k, scene, known) | place(generator(seed, index, stream=2))
        row |= {"petro_r": round(float(petro[k]), 2), "fault": broken}
        path = folder / "cutouts" / f"{row['id']}.fits"
        write_image(path, pixels, cards(row, scene.seeing[k], side))
        if broken == "truncated":
            os.truncate(path, int(random.uniform(0.3, 0.9) * path.stat().st_size))
        rows.append(row)

    return rows


def render(
    indices: range, seed: int, side: int
) -> tuple[Tensor, Tensor, Scene, dict[str, Tensor]]:
    r"""Draws galaxies as a perfect detector would see them.

    Arguments:
        indices: The galaxies of the survey to draw.
        seed: The seed of the survey.
        side: The side of the images, in pixels.

    Returns:
        The flux per pixel in nanomaggies, with shape `(B, C, H, W)`; that of the galaxies
        alone; the scene; and what is known of each besides.
    """

    labels = tuple(label(seed, index) for index in indices)
    numbers = [generator(seed, index).random(NUMBERS, dtype=np.float32) for index in indices]
    scene, known = draw(labels, torch.from_numpy(np.stack(numbers)), side * CAMERA.scale)
    grid = Grid(side, CAMERA.scale)
    alone, rest = (blur(x, scene.seeing, scene.beta, grid) for x in light(scene, grid))

    return alone + rest, alone, scene, known


def petrosian_radius(flux: Tensor, scene: Scene) -> Tensor:
    r"""Returns the Petrosian radius, in pixels.

    It is where the surface brightness falls to a fifth of its mean within:

    .. math:: I(r_P) = 0.2 \, \bar I(< r_P)

    References:
        | Surface brightness and evolution of galaxies (Petrosian, 1976)
        | https://doi.org/10.1086/182253

    Arguments:
        flux: Images without noise, with shape `(B, H, W)`.
        scene: Where their galaxies are.
    """

    side = flux.shape[-1]
    axis = torch.arange(side) - (side - 1) / 2
    x, y = (scene.body[key][:, None, None] / CAMERA.scale for key in ("x", "y"))
    bins = torch.hypot(axis - x, axis[:, None] - y).round().long().flatten(1).clamp(max=side)
    total = torch.zeros(len(flux), side + 1).scatter_add(1, bins, flux.flatten(1))
    area = torch.zeros(len(flux), side + 1).scatter_add(1, bins, torch.ones_like(flux).flatten(1))
    inside = total.cumsum(1) / area.cumsum(1)
    below = (total / area.clamp(min=1) < 0.2 * inside) & (torch.arange(side + 1) > 1)

    return below.float().argmax(1).clamp(min=2).float()


def truth(index: int, k: int, scene: Scene, known: dict[str, Tensor]) -> dict[str, str | float]:
    r"""Returns what was drawn of one galaxy."""

    row: dict[str, str | float] = {"id": f"tf{index:06d}", "label": scene.labels[k]}
    row |= {key: round(float(value[k]), 5) for key, value in known.items()}
    row |= {f"flux_{b}": float(f) for b, f in zip(CAMERA.bands, scene.flux[k], strict=True)}
    row |= {f"seeing_{b}": float(s) for b, s in zip(CAMERA.bands, scene.seeing[k], strict=True)}

    return row | {key: float(value[k]) for key, value in scene.body.items()}


def fault(seed: int, index: int, share: float) -> str:
    r"""Returns what is wrong with the picture of galaxy `index`, mostly nothing."""

    random = generator(seed, index, stream=3)

    return str(random.choice(FAULTS)) if random.uniform() < share else ""


def place(random: np.random.Generator) -> dict[str, float]:
    r"""Draws a position, evenly over a cap of the sky."""

    ra, height = random.uniform(120.0, 240.0), random.uniform(0.0, 0.85)

    return {"ra": round(ra, 6), "dec": round(math.degrees(math.asin(height)), 6)}


def cards(row: dict[str, str | float], seeing: Tensor, side: int) -> dict[str, str | float | int]:
    r"""Returns the cards of a cutout: North is up, East is left."""

    saturate = CAMERA.full_well / np.array(CAMERA.electrons) - CAMERA.sky_flux
    header: dict[str, str | float | int] = {
        "OBJECT": row["id"],
        "BUNIT": "nanomaggy",
        "MAGZERO": CAMERA.zero_point,
        "EXPTIME": CAMERA.exposure,
        "FILTER": "".join(CAMERA.bands),
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "CRVAL1": row["ra"],
        "CRVAL2": row["dec"],
        "CRPIX1": (side + 1) / 2,
        "CRPIX2": (side + 1) / 2,
        "CDELT1": -CAMERA.scale / 3600,
        "CDELT2": CAMERA.scale / 3600,
        "RADESYS": "ICRS",
    }
    for k, band in enumerate(CAMERA.bands):
        header |= {
            f"BAND{k}": band,
            f"GAIN{k}": CAMERA.electrons[k],
            f"SATUR{k}": round(float(saturate[k]), 3),
            f"SEEING{k}": round(float(seeing[k]), 3),
        }

    return header

r"""Measurements of galaxies in several bands."""

__all__ = ["GRADIENT", "measure_cutouts", "neighbours"]

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import DataError
from pipeline.morphometry.colours import colour_gradient
from pipeline.morphometry.flags import NO_SKY
from pipeline.morphometry.known import MEASURED, Disk
from pipeline.morphometry.measure import Mode, astray, measure, targeted
from pipeline.morphometry.morphology import Morphology
from pipeline.morphometry.psf import NONE, Kernel
from pipeline.morphometry.resampling import resampled
from pipeline.morphometry.stamp import stamp
from pipeline.workers import in_order

GRADIENT = ("colour_gradient", "colour_gradient_error", "colour_flags")
r"""What is measured between two neighbouring bands."""

INNER = 0.1
r"""Where a colour gradient begins, in units of the Petrosian radius at which it ends."""


def measure_cutouts(
    pixels: NDArray,
    bands: Sequence[str],
    *,
    mode: Mode = "fast",
    gain: ArrayLike = math.inf,
    psfs: Sequence[Kernel] = (),
    draws: int = 0,
    workers: int = 1,
) -> dict[str, NDArray]:
    r"""Measures galaxies, each band by itself, and the colour gradients between neighbours.

    Each band has its own segment and its own sky. The gradient of two bands follows the centre
    and the shape of the redder one, from 0.1 to 1 of its Petrosian semi-major axis, without what
    is masked in either, see :func:`pipeline.morphometry.colours.colour_gradient`. Both bands
    should have the same seeing.

    Arguments:
        pixels: The images, NaN where not covered, with shape `(B, C, H, W)`.
        bands: The names of the bands from blue to red, of length `C`.
        mode: See :func:`measure`.
        gain: The photons per unit of the image, infinite without their noise, with a shape that
            broadcasts to `(B, C)`.
        psfs: The point spread function of each band. None by default.
        draws: How many times noise is added to an image for the errors of its measurements,
            see :func:`pipeline.morphometry.resampling.resampled`; those of gradients are to first
            order still. By default, all are.
        workers: The number of processes. The numbers are the same.

    Returns:
        The fields of :class:`Morphology` as `FIELD_BAND` and those of :data:`GRADIENT` as
        `FIELD_BLUE_RED`, each with shape `(B,)`.

    Raises:
        ConfigError: If there are so few draws that they have no scatter.
        DataError: If the pixels are not those of so many bands, or neither are `gain` or `psfs`.
    """

    if pixels.ndim != 4 or pixels.shape[1] != len(bands):
        raise DataError(
            f"cutouts of shape {pixels.shape}, expected (B, {len(bands)}, H, W) for the bands"
            f" {', '.join(bands)}"
        )
    kernels = tuple(psfs) or (NONE,) * len(bands)
    if len(kernels) != len(bands):
        raise DataError(
            f"{len(kernels)} psfs, expected one for each of the bands {', '.join(bands)}"
        )
    gains = _gains(gain, pixels.shape[:2])

    same = kernels, mode, draws
    tasks = ((cutout, gain, *same) for cutout, gain in zip(pixels, gains, strict=True))
    rows = list(in_order(_measure, tasks, workers))
    names = [f"{field}_{band}" for band in bands for field in Morphology._fields]
    names += [f"{field}_{blue}_{red}" for blue, red in neighbours(bands) for field in GRADIENT]
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)

    return {
        name: np.array(column, np.int64 if "flags" in name else np.float64)
        for name, column in zip(names, columns, strict=True)
    }


def _gains(gain: ArrayLike, shape: tuple[int, int]) -> NDArray[np.float64]:
    try:
        return np.broadcast_to(np.asarray(gain, np.float64), shape)
    except ValueError as error:
        raise DataError(
            f"gain of shape {np.asarray(gain, object).shape}, expected numbers that broadcast to"
            f" (B, C) = {shape}"
        ) from error


def neighbours(bands: Sequence[str]) -> list[tuple[str, str]]:
    r"""Returns the pairs of bands that a colour is measured between."""

    return list(zip(bands[:-1], bands[1:], strict=True))


def _measure(
    cutout: NDArray, gains: NDArray[np.float64], psfs: Sequence[Kernel], mode: Mode, draws: int
) -> list[float]:
    r"""Returns all that is measured of one galaxy, in the order of the columns."""

    images, maps, found = [], [], []
    for image, gain, psf in zip(cutout.astype(np.float64), gains, psfs, strict=True):
        pixels, labels, level, error, flags = targeted(image)
        options: dict[str, Any] = {"gain": float(gain), "psf": psf, "mode": mode}
        one = measure(pixels, labels, sky=MEASURED._replace(level=error), **options)
        one = astray(one._replace(sky_level=level, flags=one.flags | flags), image.shape)
        images.append(pixels)
        maps.append(labels)
        found.append(resampled(image, one, draws, **options) if draws else one)

    values = [value for one in found for value in one]
    for blue in range(len(cutout) - 1):
        both = slice(blue, blue + 2)
        values += _gradient(images[both], maps[both], found[both], gains[both])

    return values


def _gradient(
    images: Sequence[NDArray[np.float64]],
    maps: Sequence[NDArray[np.int64]],
    found: Sequence[Morphology],
    gains: NDArray[np.float64],
) -> tuple[float, float, int]:
    nothing = np.zeros(images[0].shape, np.bool_)
    (blue, here, _), (red, there, _) = (
        stamp(image, labels, 1, nothing, False) for image, labels in zip(images, maps, strict=True)
    )
    frame = found[1]
    outer = frame.rpetro_ellip
    disk = Disk(frame.x, frame.y, 1 - frame.ellipticity, frame.theta, INNER * outer, outer)
    # That of a sum of pixels, in which neighbours may be alike; 0 if it is not known
    noise = (
        (
            one.sky_grain * one.sky_sigma if one.sky_sigma > 0 else 0.0,
            float(gain) / one.sky_grain**2,
        )
        for one, gain in zip(found, gains, strict=True)
    )
    slope, error, _, flags = colour_gradient(blue, red, here | there, disk, *noise)

    if not all(one.sky_sigma >= 0 for one in found):
        return slope, math.nan, flags | NO_SKY

    return slope, error, flags

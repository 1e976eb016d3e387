r"""The atmosphere, the detector, and what goes wrong with both."""

__all__ = ["CAMERA", "FAULTS", "Camera", "blur", "expose", "spoil"]

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.simulate.profiles import moffat
from pipeline.simulate.render import Grid

FAULTS = (
    "dead_columns",
    "cosmic_rays",
    "missing_band",
    "detector_edge",
    "saturation",
    "truncated",
)


@dataclass(frozen=True)
class Camera:
    r"""A survey much like the Sloan's: bands, exposure, sky and detector.

    References:
        | The Sloan Digital Sky Survey Photometric Camera (Gunn et al., 1998)
        | https://arxiv.org/abs/astro-ph/9809085

    Arguments:
        bands: The names of the bands, from blue to red.
        scale: The size of a pixel, in arcseconds.
        zero_point: The AB magnitude of a flux of one.
        exposure: The exposure time, in seconds.
        electrons: The electrons that one nanomaggy frees in an exposure, in each band.
        sky: The surface brightness of the sky, in magnitudes per square arcsecond.
        read_noise: The noise of the read-out, in electrons.
        full_well: The electrons at which a pixel saturates.
    """

    bands: tuple[str, ...] = ("g", "r", "i", "z")
    scale: float = 0.4
    zero_point: float = 22.5
    exposure: float = 53.9
    electrons: tuple[float, ...] = (1100.0, 1300.0, 1100.0, 420.0)
    sky: tuple[float, ...] = (22.0, 20.9, 20.2, 19.1)
    read_noise: float = 6.0
    full_well: float = 250_000.0

    @property
    def sky_flux(self) -> NDArray[np.float32]:
        r"""The sky in each band, in nanomaggies per pixel, with shape `(C)`."""

        magnitudes = self.zero_point - np.array(self.sky)

        return (10 ** (0.4 * magnitudes) * self.scale**2).astype(np.float32)


CAMERA = Camera()


def blur(image: Tensor, seeing: Tensor, beta: Tensor, grid: Grid) -> Tensor:
    r"""Convolves with the point-spread function and collects the light in pixels.

    Arguments:
        image: The flux per point, with shape `(B, C, H, W)`.
        seeing: The full width at half maximum in each band, in arcseconds, with shape `(B, C)`.
        beta: The Moffat exponent, with shape `(B)`.
        grid: The grid of the points.

    Returns:
        The flux per pixel, without the margin, with shape `(B, C, side, side)`.
    """

    count = image.shape[-1]
    axis = torch.fft.fftfreq(count, 1 / count) * grid.step
    radius = torch.hypot(axis[: count // 2 + 1], axis[:, None])
    psf = moffat(radius, seeing[..., None, None], beta[:, None, None, None])
    psf = torch.cat([psf, psf[..., 1 : count - count // 2].flip(-1)], dim=-1)
    transfer = torch.fft.rfft2(psf / psf.sum((-2, -1), keepdim=True))
    image = torch.fft.irfft2(torch.fft.rfft2(image) * transfer, s=(count, count))
    pixels = torch.nn.functional.avg_pool2d(image, grid.fine) * grid.fine**2
    inner = slice(grid.margin, grid.margin + grid.side)

    return pixels[..., inner, inner].clamp(min=0)


def expose(
    flux: NDArray[np.float32], camera: Camera, random: np.random.Generator
) -> NDArray[np.float32]:
    r"""Takes a picture: counts electrons of source and sky, and subtracts the mean sky.

    .. math:: n \sim \mathcal{P}(E (f + s)) + \mathcal{N}(0, \sigma_r^2), \quad f' = n / E - s

    A small gradient of the sky stays, as it does.

    Arguments:
        flux: The flux per pixel, in nanomaggies, with shape `(C, H, W)`.
        camera: The camera.
        random: The generator of this galaxy.

    Returns:
        The measured flux per pixel, with shape `(C, H, W)`.
    """

    electrons = np.array(camera.electrons)[:, None, None]
    sky = camera.sky_flux[:, None, None]
    slope = random.normal(0.0, 0.002, (len(electrons), 3, 1, 1))
    x, y = np.linspace(-1, 1, flux.shape[2]), np.linspace(-1, 1, flux.shape[1])[:, None]
    real_sky = sky * (1 + 0.5 * slope[:, 0] + slope[:, 1] * x + slope[:, 2] * y)

    count = random.poisson(electrons * (flux + real_sky)).astype(np.float64)
    count += camera.read_noise * random.standard_normal(flux.shape, dtype=np.float32)
    count = np.minimum(count, camera.full_well)

    return (count / electrons - sky).astype(np.float32)


def spoil(
    pixels: NDArray[np.float32], fault: str, camera: Camera, random: np.random.Generator
) -> NDArray[np.float32]:
    r"""Returns a picture with one of the :data:`FAULTS`.

    A truncated file has sound pixels: it is cut when it is written.
    """

    spoilers = {
        "dead_columns": dead_columns,
        "cosmic_rays": cosmic_rays,
        "missing_band": missing_band,
        "detector_edge": detector_edge,
        "saturation": saturation,
    }
    pixels = pixels.copy()
    if fault in spoilers:
        spoilers[fault](pixels, camera, random)

    return pixels


def blank(random: np.random.Generator) -> float:
    r"""Returns what stands where nothing was measured: NaN, or zero in older surveys."""

    return float(random.choice([np.nan, 0.0]))


def dead_columns(pixels: NDArray, camera: Camera, random: np.random.Generator) -> None:
    r"""Blanks one to three neighbouring columns of a band."""

    band = random.integers(len(pixels))
    first = random.integers(pixels.shape[2] - 3)
    pixels[band, :, first : first + random.integers(1, 4)] = blank(random)


def cosmic_rays(pixels: NDArray, camera: Camera, random: np.random.Generator) -> None:
    r"""Adds straight tracks of charge, each to one band."""

    for _ in range(random.integers(3, 9)):
        band, length = random.integers(len(pixels)), random.uniform(2, 25)
        along = np.arange(0, length, 0.5)
        angle = random.uniform(0, 2 * np.pi)
        y = np.rint(random.uniform(0, pixels.shape[1]) + along * np.sin(angle)).astype(int)
        x = np.rint(random.uniform(0, pixels.shape[2]) + along * np.cos(angle)).astype(int)
        inside = (y >= 0) & (y < pixels.shape[1]) & (x >= 0) & (x < pixels.shape[2])
        hit = random.uniform(500, 8000) / camera.electrons[band]
        pixels[band, y[inside], x[inside]] += np.float32(hit)


def missing_band(pixels: NDArray, camera: Camera, random: np.random.Generator) -> None:
    r"""Blanks a whole band."""

    pixels[random.integers(len(pixels))] = blank(random)


def detector_edge(pixels: NDArray, camera: Camera, random: np.random.Generator) -> None:
    r"""Blanks a strip along one side, in all bands."""

    axis, end = random.integers(1, 3), random.integers(2)
    width = int(random.uniform(0.1, 0.4) * pixels.shape[axis])
    lost = slice(0, width) if end else slice(pixels.shape[axis] - width, None)
    pixels[(slice(None),) * axis + (lost,)] = blank(random)


def saturation(pixels: NDArray, camera: Camera, random: np.random.Generator) -> None:
    r"""Puts a star of 9th magnitude or so in the field, flat in the middle, with its bleeding."""

    top = camera.full_well / np.array(camera.electrons) - camera.sky_flux
    y, x = (random.uniform(0.05, 0.95) * size for size in pixels.shape[1:])
    grid_y, grid_x = np.indices(pixels.shape[1:])
    radius = torch.from_numpy(np.hypot(grid_y - y, grid_x - x)) * camera.scale
    star = moffat(radius, torch.tensor(1.2), torch.tensor(3.0)).numpy() * camera.scale**2
    pixels += (10 ** random.uniform(4.6, 5.6) * star).astype(np.float32)
    reach = random.uniform(0.1, 0.4) * pixels.shape[1]
    column = np.abs(grid_x - x) < 1.0
    trail = column & (np.abs(grid_y - y) < reach)
    pixels[:, trail] = np.inf
    np.minimum(pixels, top[:, None, None].astype(np.float32), out=pixels)

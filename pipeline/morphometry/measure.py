r"""Measurements of images."""

__all__ = ["MODES", "measure", "targeted"]

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import ConfigError, DataError, suggest
from pipeline.morphometry.morphology import MEASURED, Morphology, Sky, Stamp, measure_stamp
from pipeline.morphometry.psf import NONE, Kernel, separate
from pipeline.morphometry.segment import segment
from pipeline.morphometry.stamp import bounds, stamp

MODES = ("fast", "parity")
Mode = Literal["fast", "parity"]


def measure(
    image: ArrayLike,
    labels: ArrayLike | None = None,
    label: int = 1,
    *,
    mask: ArrayLike | None = None,
    gain: float = math.inf,
    sky: Sky = MEASURED,
    psf: ArrayLike | Kernel | None = None,
    mode: Mode = "fast",
) -> Morphology:
    r"""Measures one galaxy in one band.

    Arguments:
        image: The image, with shape `(H, W)`, of any type, NaN where not covered. Without
            `labels`, with any level of sky; with them, the sky is to be subtracted.
        labels: The map of sources, 0 in the sky, with shape `(H, W)`. By default, the target
            is what is nearest to the centre, see :func:`segment`.
        label: The source to measure.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        gain: The photons per unit of the image, infinite without their noise.
        sky: The noise of the sky and what it adds to the statistics. Measured by default.
        psf: The point spread function, for the Sersic fit, with odd sides.
            :func:`pipeline.morphometry.psf.separate` makes it ready once for many galaxies.
        mode: `fast`, or `parity` for all choices of statmorph.

    Returns:
        The measurements. Whatever the image is, there is no exception: what cannot be
        measured is NaN, and flags say why.

    Raises:
        DataError: If shapes differ, or are not those of an image.
        ConfigError: If the mode is unknown.

    Example:
        >>> y, x = np.mgrid[:64, :64]
        >>> noise = np.random.default_rng(0).normal(size=(64, 64))
        >>> found = measure(100 * np.exp(-np.hypot(x - 31, y - 30) / 4) + noise)
        >>> round(found.x), round(found.y)
        (31, 30)
    """

    if mode not in MODES:
        raise ConfigError(f"mode={mode!r}, {suggest(mode, MODES)}")
    pixels = _pixels(image)
    hidden = _like(np.zeros(pixels.shape, np.bool_) if mask is None else mask, pixels, "mask")
    kernel = psf if isinstance(psf, Kernel) else NONE if psf is None else separate(psf)
    flags = 0
    if labels is None:
        pixels, sources, flags = targeted(np.where(hidden, np.nan, pixels))
        label = 1
    else:
        sources = _like(labels, pixels, "labels", np.int64)

    gain, sky, parity = float(gain), Sky(*map(float, sky)), mode == "parity"
    found = _measure(pixels, sources, int(label), hidden, gain, sky, kernel, parity)

    return found._replace(flags=found.flags | flags)


def targeted(
    image: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    r"""Finds what is nearest to the centre of an image, and takes the level of the sky off.

    Arguments:
        image: The image, NaN where not covered or left out, with shape `(H, W)`.

    Returns:
        The image without its sky; the map of sources, of which the target is 1; and flags.
    """

    labels, level, _, flags = segment(image, math.nan, math.nan)

    return image - level, labels, flags


def _pixels(image: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(image)
    if array.ndim != 2 or not array.size:
        raise DataError(f"an image of shape {array.shape}, expected (H, W)")
    if array.dtype.kind not in "buif":
        raise DataError(f"an image of {array.dtype}, expected numbers")

    return _own(array, np.float64)


def _own(array: NDArray, dtype: type) -> NDArray:
    r"""Returns an array that kernels take: they are compiled again for one that is read-only."""

    found: NDArray = np.ascontiguousarray(array, dtype)

    return found if found.flags.writeable else found.copy()


def _like(array: ArrayLike, image: NDArray, name: str, dtype: type = np.bool_) -> NDArray:
    found = _own(np.asarray(array), dtype)
    if found.shape != image.shape:
        raise DataError(f"{name} of shape {found.shape}, expected {image.shape} as the image")

    return found


def _measure(
    image: NDArray[np.float64],
    labels: NDArray[np.int64],
    label: int,
    mask: NDArray[np.bool_],
    gain: float,
    sky: Sky,
    psf: Kernel,
    parity: bool,
) -> Morphology:
    r"""Measures a source of a map on its stamp, and puts it back into the image."""

    top, bottom, left, right = bounds(labels, label)
    sources = np.ascontiguousarray(labels[top:bottom, left:right])
    hidden = np.ascontiguousarray(mask[top:bottom, left:right])
    pixels = np.ascontiguousarray(image[top:bottom, left:right])
    seen = Stamp(*stamp(pixels, sources, label, hidden), (sources != 0) | hidden)
    values, flags = measure_stamp(seen, gain, sky, psf, parity)
    for name in ("x", "x_centroid", "sersic_x"):
        values[name] += left
    for name in ("y", "y_centroid", "sersic_y"):
        values[name] += top

    return Morphology(**values, flags=flags)

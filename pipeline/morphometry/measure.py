r"""Measurements of images."""

__all__ = ["MODES", "astray", "check_options", "measure", "targeted"]

import math
import os
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import ConfigError, DataError, suggest
from pipeline.morphometry.fields import FLUXES
from pipeline.morphometry.flags import EDGE, OFF_CENTRE, UNDEFINED
from pipeline.morphometry.galaxy import Found, measure_stamp
from pipeline.morphometry.geometry import Aperture
from pipeline.morphometry.known import MEASURED, Sky, Stamp
from pipeline.morphometry.morphology import Morphology
from pipeline.morphometry.psf import NONE, Kernel, separate
from pipeline.morphometry.segment import segment
from pipeline.morphometry.stamp import bounds, outside, stamp

CUT = 0.1
r"""The share of the ellipse of 1.5 Petrosian radii that may be outside of the image."""

NEAR = 3.0
r"""How far from the middle of its image a galaxy may be, however small it is, in pixels."""

FURTHEST = 100
r"""The largest power of two of a pixel that is measured in the unit of its image."""

LARGEST = 2.0**53
r"""What whole numbers of any type have to be below."""

Mode = Literal["fast", "parity"]
MODES: tuple[Mode, ...] = get_args(Mode)


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
        image: The image, with shape `(H, W)`, of real numbers of any type, NaN where not
            covered. Without `labels`, with any level of sky; with them, the sky is to be
            subtracted. What a masked array masks is left out.
        labels: The map of sources, whole numbers, 0 in the sky, with shape `(H, W)`. By default,
            the target is what is nearest to the centre, see :func:`segment`. What a masked
            array masks is left out here too.
        label: The source to measure, from 1 on. Without `labels` it is 1.
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
        DataError: If shapes or types are not those of an image, its labels, its mask or a
            point spread function.
        ConfigError: If the mode, the label, the gain or the sky is not possible.

    Example:
        >>> y, x = np.mgrid[:64, :64]
        >>> noise = np.random.default_rng(0).normal(size=(64, 64))
        >>> found = measure(100 * np.exp(-np.hypot(x - 31, y - 30) / 4) + noise)
        >>> round(found.x), round(found.y)
        (31, 30)
    """

    check_options(mode, gain)
    _check(label, sky)
    if labels is None and label != 1:
        raise ConfigError(f"label={label} of no labels, expected a map of sources that has it")
    pixels = _pixels(image)
    hidden = _like(np.zeros(pixels.shape, np.bool_) if mask is None else mask, pixels, "mask")
    hidden = _without(hidden, image)
    kernel = psf if isinstance(psf, Kernel) else NONE if psf is None else separate(psf)
    sky, level, flags = Sky(*map(float, sky)), 0.0, 0
    if labels is None:
        pixels, sources, level, error, flags = targeted(np.where(hidden, np.nan, pixels))
        sky = sky if sky.level >= 0 else sky._replace(level=error)
    else:
        sources = _like(np.ma.filled(labels, 0), pixels, "labels", np.int64)
        hidden = _without(hidden, labels)

    options = float(gain), sky, kernel, mode == "parity"
    values, bits = _measure(pixels, sources, int(label), hidden, *options)
    found = Morphology(**values, sky_level=level, flags=bits | flags)

    return astray(found, pixels.shape) if labels is None else found


def check_options(mode: Mode, gain: float) -> None:
    r"""Refuses a mode or a gain that is not possible.

    Raises:
        ConfigError: If it is so.
    """

    if mode not in MODES:
        raise ConfigError(f"mode={mode!r}, {suggest(mode, MODES)}")
    if not isinstance(gain, (int, float, np.number)) or not gain > 0:
        raise ConfigError(f"gain={gain!r}, expected a number above 0")


def _check(label: int, sky: Sky) -> None:
    if not isinstance(label, (int, np.integer)) or not 1 <= label < LARGEST:
        raise ConfigError(f"label={label!r}, expected a whole number from 1 to {LARGEST:.0f}")
    known = isinstance(sky, tuple) and len(sky) in (len(Sky._fields) - 1, len(Sky._fields))
    if not (known and all(map(_is_noise, sky))):
        raise ConfigError(f"sky={sky!r}, expected {', '.join(Sky._fields)}, NaN or from 0 on")


def _is_noise(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not (value < 0 or value == math.inf)


def targeted(
    image: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], float, float, int]:
    r"""Finds what is nearest to the centre of an image, and takes the level of the sky off.

    Arguments:
        image: The image, NaN where not covered or left out, with shape `(H, W)`.

    Returns:
        The image without its sky; the map of sources, of which the target is 1; the level of
        the sky and its error; and flags.
    """

    labels, level, error, _, flags = segment(image, math.nan, math.nan)

    return image - level, labels, level, error, flags


def astray(found: Morphology, shape: tuple[int, ...]) -> Morphology:
    r"""Flags a galaxy that is not in the middle of its image, where it was looked for.

    That is `off_centre` where the centre of symmetry is further away than :math:`r_{50}`, and
    than 3 pixels.

    Arguments:
        found: The measurements.
        shape: The shape of the image, `(H, W)`.
    """

    height, width = shape
    away = math.hypot(found.x - (width - 1) / 2, found.y - (height - 1) / 2)
    far = away > NEAR and not away <= found.r50

    return found._replace(flags=found.flags | OFF_CENTRE) if far else found


def _pixels(image: ArrayLike) -> NDArray[np.float64]:
    if isinstance(image, (str, os.PathLike)):
        raise DataError(
            f"an image of {image!r}, expected its pixels: astropy.io.fits.getdata(...)"
        )
    array = np.asarray(image)
    if array.ndim != 2 or not array.size:
        raise DataError(f"an image of shape {array.shape}, expected (H, W)")
    if array.dtype.kind not in "buif":
        raise DataError(f"an image of {array.dtype}, expected real numbers")

    return _own(array, np.float64)


def _own(array: NDArray, dtype: type) -> NDArray:
    r"""Returns an array that kernels take: they are compiled again for one that is read-only."""

    found: NDArray = np.ascontiguousarray(array, dtype)

    return found if found.flags.writeable else found.copy()


def _like(array: ArrayLike, image: NDArray, name: str, dtype: type = np.bool_) -> NDArray:
    given = np.asarray(array)
    if given.shape != image.shape:
        raise DataError(f"{name} of shape {given.shape}, expected {image.shape} as the image")
    if not (np.can_cast(given.dtype, np.int64) or _whole(given)):
        raise DataError(f"{name} of {given.dtype}, expected whole numbers or booleans")

    return _own(given, dtype)


def _without(hidden: NDArray[np.bool_], array: ArrayLike) -> NDArray[np.bool_]:
    r"""Leaves out what a masked array masks, too."""

    return hidden | np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else hidden


def _whole(array: NDArray) -> bool:
    r"""Tells whether numbers are whole, and the same as integers."""

    if array.dtype.kind not in "uf":
        return False

    return bool(((array == np.floor(array)) & (np.abs(array) < LARGEST)).all())


def _measure(
    image: NDArray[np.float64],
    labels: NDArray[np.int64],
    label: int,
    mask: NDArray[np.bool_],
    gain: float,
    sky: Sky,
    psf: Kernel,
    parity: bool,
) -> Found:
    r"""Measures a source of a map on its stamp, and puts it back into the image.

    A stamp of which squares would overflow, or vanish, is measured in another unit.
    """

    top, bottom, left, right = bounds(labels, label, parity)
    sources = np.ascontiguousarray(labels[top:bottom, left:right])
    hidden = np.ascontiguousarray(mask[top:bottom, left:right])
    pixels = np.ascontiguousarray(image[top:bottom, left:right])
    out, blank, own = stamp(pixels, sources, label, hidden, parity)
    power = _power(out)
    if power:
        out, gain = _scaled(out, -power), float(_scaled(gain, power))
        sky = Sky(*map(float, _scaled(sky, -power)))
    # To the letter of statmorph, what is not covered is a sky of zeros
    seen = Stamp(out, blank, own, (sources != 0) | (hidden if parity else blank))
    values, flags = measure_stamp(seen, gain, sky, psf, parity)
    if power:
        fluxes = [name for name in values if name.removesuffix("_error") in FLUXES]
        values |= {name: float(_scaled(values[name], power)) for name in fluxes}
    if math.inf in map(abs, values.values()):
        values = {name: math.nan if math.isinf(one) else one for name, one in values.items()}
        flags |= UNDEFINED
    for name in ("x", "x_centroid", "sersic_x"):
        values[name] += left
    for name in ("y", "y_centroid", "sersic_y"):
        values[name] += top
    shape = 1 - values["ellipticity"], values["theta"]
    ellipse = Aperture(values["x"], values["y"], 1.5 * values["rpetro_ellip"], *shape)
    flags |= EDGE if outside(ellipse, *image.shape) > CUT else 0

    return values, flags


def _power(image: NDArray[np.float64]) -> int:
    r"""Returns the power of two of the brightest pixel if it is too large or too small, else 0."""

    largest = max(image.max(), -image.min())
    power = math.frexp(largest)[1]

    return power if largest > 0 and abs(power) > FURTHEST else 0


def _scaled(values: Any, power: int) -> Any:
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(values, power)

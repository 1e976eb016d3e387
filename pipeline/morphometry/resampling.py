r"""Errors of all statistics, from the scatter among images with more noise."""

__all__ = ["FEWEST", "resampled", "scatter"]

import math
from hashlib import blake2b
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import ConfigError
from pipeline.morphometry.grain import grain
from pipeline.morphometry.measure import measure, targeted
from pipeline.morphometry.morphology import Morphology

FEWEST = 8
r"""The smallest number of images from which a scatter is told."""

CENTRAL = 15.87, 84.13
r"""The percentiles one standard deviation to either side of the median of normal numbers."""

AXES = ("theta", "pitch")
r"""Parts of the names of angles of axes, which half a turn does not change."""


def resampled(image: ArrayLike, found: Morphology, draws: int = 32, **options: Any) -> Morphology:
    r"""Replaces the errors of a galaxy by the scatter of what is measured with more noise.

    To each pixel is added a normal number of the variance of its own noise,

    .. math:: \sigma_i^2 = \sigma^2 + \max(I_i - s, 0) / g

    with the noise :math:`\sigma` and the level :math:`s` of the sky and the gain :math:`g`; these
    numbers are as alike in neighbours as the noise of the image is. All is
    measured anew, the target found again if no map of sources is given, and the error of a
    statistic is half of the central 68 % of what is found. It knows what errors to first order
    do not: that a segment, an outline or a search ends elsewhere; and it is the only error of
    what jumps with pixels. It is that of an image with twice the variance, and due to chance by
    :math:`0.9 \, n^{-1/2}` of itself for :math:`n` draws. The numbers depend on the pixels of
    the image only: the same image has the same errors.

    References:
        | Bootstrap Methods: Another Look at the Jackknife (Efron, 1979)
        | https://doi.org/10.1214/aos/1176344552

    Arguments:
        image: The image that was measured, with shape `(H, W)`.
        found: What was measured.
        draws: The number of images with more noise.
        options: The options of :func:`pipeline.morphometry.measure` that it was measured with,
            `labels` included.

    Returns:
        The measurements with errors of all but the sky and how good the Sersic fit is. An error
        is not a number where the statistic is none, or is none in half of the images; and all
        are where the noise of the sky is not known.

    Raises:
        ConfigError: If there are fewer draws than :data:`FEWEST`.

    Example:
        >>> y, x = np.mgrid[:64, :64]
        >>> noise = np.random.default_rng(0).normal(size=(64, 64))
        >>> image = 100 * np.exp(-np.hypot(x - 31, y - 30) / 4) + noise
        >>> found = resampled(image, measure(image), draws=8)
        >>> bool(0 < found.shape_asymmetry_error < 0.2)
        True
    """

    if draws < FEWEST:
        raise ConfigError(f"draws={draws}, expected {FEWEST} or more")
    pixels = np.ma.asarray(image).astype(np.float64)
    fields = [name for name in found._fields if f"{name}_error" in found._fields]
    errors: dict[str, Any] = {f"{name}_error": math.nan for name in fields}
    if not found.sky_sigma > 0:
        return found._replace(**errors)

    noise = _noise(np.ma.getdata(pixels), found, options.get("gain", math.inf))
    random = np.random.default_rng(int.from_bytes(blake2b(pixels.tobytes()).digest()))
    spectrum = _spectrum(pixels, found, options.get("labels"), options.get("mask"))
    seen = [
        measure(pixels + noise * _filtered(random.normal(size=noise.shape), spectrum), **options)
        for _ in range(draws)
    ]

    for name in fields:
        values = np.array([getattr(one, name) for one in seen])
        axis = any(part in name for part in AXES)
        errors[f"{name}_error"] = scatter(values, getattr(found, name), axis)

    return found._replace(**errors)


def _noise(pixels: NDArray[np.float64], found: Morphology, gain: float) -> NDArray[np.float64]:
    signal = np.where(np.isfinite(pixels), pixels - found.sky_level, 0.0)

    return np.hypot(found.sky_sigma, np.sqrt(np.maximum(signal, 0.0) / gain))


def _spectrum(
    pixels: NDArray[np.float64],
    found: Morphology,
    labels: ArrayLike | None,
    mask: ArrayLike | None,
) -> NDArray[np.float64] | None:
    r"""Returns the amplitudes of the waves of noise that is as alike in neighbours, `(H, W)`.

    White noise needs none.
    """

    if not found.sky_grain > 1:
        return None
    image = np.ma.filled(pixels, np.nan)
    sources = targeted(image)[1] if labels is None else np.ma.filled(labels, 1)
    taken = (sources != 0) | ~np.isfinite(image) | (False if mask is None else np.asarray(mask))
    correlation = grain(np.where(taken, 0.0, image), taken, found.sky_sigma).correlation
    wide = np.zeros([max(*pair) for pair in zip(image.shape, correlation.shape, strict=True)])
    wide[: len(correlation), : len(correlation)] = correlation
    wide = np.roll(wide, 2 * (-(len(correlation) // 2),), axis=(0, 1))
    power = np.maximum(scipy.fft.fft2(wide).real, 0.0)  # a measured one may be negative

    return np.sqrt(power / power.mean())


def _filtered(
    white: NDArray[np.float64], spectrum: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    if spectrum is None:
        return white
    height, width = white.shape

    return scipy.fft.ifft2(scipy.fft.fft2(white, spectrum.shape) * spectrum).real[:height, :width]


def scatter(values: NDArray[np.float64], about: float, axis: bool) -> float:
    r"""Returns half of the central 68 % of values.

    Arguments:
        values: What was found in each image, with shape `(N,)`.
        about: What was found without more noise.
        axis: Whether they are angles of an axis, known modulo half a turn.
    """

    changes = values[np.isfinite(values)] - about
    if 2 * changes.size < values.size or math.isnan(about):
        return math.nan
    if axis:
        changes = (changes + math.pi / 2) % math.pi - math.pi / 2
    # Interpolated as usual, percentiles of few numbers are too near to their middle
    low, high = np.percentile(changes, CENTRAL, method="normal_unbiased")

    return float(high - low) / 2

r"""The measurements that tell kinds of galaxies apart."""

__all__ = ["FEATURES", "SIGNED", "feature_names", "features"]

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, suggest
from pipeline.morphometry.cutouts import GRADIENT, measure_cutouts, neighbours
from pipeline.morphometry.measure import Mode
from pipeline.morphometry.morphology import Morphology

LARGEST = float(np.finfo(np.float32).max)

SIGNED = ("winding", "pitch")
r"""What changes its sign in a mirror, and nothing else: the hand of the arms."""

FEATURES = (
    *("ellipticity", "flux_circ", "flux_ellip", "rpetro_circ", "rpetro_ellip", "rmax_circ"),
    *("rmax_ellip", "rhalf_circ", "rhalf_ellip", "r20", "r50", "r80", "sn_per_pixel"),
    *("concentration", "asymmetry", "asymmetry_unbiased", "rms_asymmetry2", "outer_asymmetry"),
    *("shape_asymmetry", "smoothness", "smoothness_unbiased", "gini", "gini_unmasked", "m20"),
    *(
        "gini_m20_bulge",
        "gini_m20_merger",
        "multimode",
        "intensity",
        "deviation",
        "sersic_amplitude",
    ),
    *("sersic_r_eff", "sersic_n", "sersic_ellip", "sersic_chi2_dof", "entropy"),
    *("gradient_pattern", "twist", "ellipticity_change", "bar_strength", "bar_length", "arms"),
    *SIGNED,
    "colour_gradient",
)
r"""What does not depend on where a galaxy lies or which way it points: no position and no angle.

All but :data:`SIGNED` are the same for the eight symmetric images of the square, but for
rounding; with parity, but for what the sky box and a boxcar of even side change too.
"""


def feature_names(bands: Sequence[str], columns: Sequence[str] = FEATURES) -> tuple[str, ...]:
    r"""Names the columns of :func:`features`.

    Arguments:
        bands: The names of the bands, from blue to red.
        columns: Fields of :class:`Morphology`, of :data:`GRADIENT`, or both.

    Raises:
        ConfigError: If one is neither, or if nothing is left to measure.
    """

    for column in columns:
        if column not in (*Morphology._fields, *GRADIENT):
            raise ConfigError(f"no measurement {column!r}, {suggest(column, Morphology._fields)}")
    of_one = [column for column in columns if column not in GRADIENT]
    of_two = [column for column in columns if column in GRADIENT]
    if not of_one and not (of_two and len(bands) > 1):
        raise ConfigError(f"columns={list(columns)} of {len(bands)} bands, expected measurements")

    return (
        *(f"{column}_{band}" for band in bands for column in of_one),
        *(f"{column}_{blue}_{red}" for blue, red in neighbours(bands) for column in of_two),
    )


def features(
    pixels: NDArray,
    bands: Sequence[str],
    columns: Sequence[str] = FEATURES,
    *,
    mode: Mode = "fast",
    gain: float = math.inf,
) -> NDArray[np.float64]:
    r"""Measures galaxies, for a classifier.

    Arguments:
        pixels: The images, NaN where not covered, with shape `(B, C, H, W)`.
        bands: The names of the bands, from blue to red, of length `C`.
        columns: Which measurements.
        mode: `fast`, or `parity` for all choices of statmorph.
        gain: The photons per unit of the image, infinite without their noise.

    Returns:
        The columns of :func:`feature_names`, NaN where undefined or beyond what single precision
        holds, as forests do not take infinities, with shape `(B, D)`.

    Raises:
        ConfigError: If there is no such measurement.
        DataError: If the pixels are not those of so many bands.
    """

    names = feature_names(bands, columns)
    found = measure_cutouts(pixels, bands, mode=mode, gain=gain)

    values = np.stack([found[name].astype(np.float64) for name in names], axis=1)

    return np.where(np.abs(values) < LARGEST, values, np.nan)

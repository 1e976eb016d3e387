r"""Numbers of a galaxy, for the baselines."""

__all__ = ["mean_of_bands", "number_names", "numbers", "simple_numbers"]

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.features import feature_names, features

PERCENTILES = (25, 50, 75, 90, 99)
SHARES = (0.2, 0.5, 0.8)
TURNS = 6  # of the adaptive moments
MEAN = "mean"  # of all bands


def numbers(pixels: NDArray, bands: Sequence[str]) -> NDArray[np.float32]:
    r"""Measures galaxies in all that a baseline is given.

    These are the simple numbers, which have the fluxes and the colours, and the morphology of the
    mean of the bands, see :func:`pipeline.morphometry.features.features`: of all bands, their mean
    has the best signal to noise, and is measured in the time of one. Two of the latter, the
    winding and the pitch angle of the arms, change their sign in a mirror.

    Arguments:
        pixels: The fluxes over the sky noise, with shape `(B, C, H, W)`, NaN where not covered.
        bands: The names of the bands, of length `C`.

    Returns:
        The numbers, NaN where undefined, with shape `(B, D)`, see :func:`number_names`.
    """

    simple, _ = simple_numbers(pixels, bands)
    measured = features(mean_of_bands(pixels), (MEAN,)).astype(np.float32)

    return np.concatenate([simple, measured], axis=1)


def number_names(bands: Sequence[str]) -> tuple[str, ...]:
    r"""Names what :func:`numbers` measures in bands of these names, in order."""

    _, names = simple_numbers(np.zeros((1, len(bands), 8, 8)), bands)

    return (*names, *feature_names((MEAN,)))


def mean_of_bands(pixels: NDArray) -> NDArray[np.float64]:
    r"""Averages the bands, each pixel over those that cover it.

    Arguments:
        pixels: The images, NaN where not covered, with shape `(B, C, H, W)`.

    Returns:
        The means, NaN where no band covers, with shape `(B, 1, H, W)`.

    Example:
        >>> mean_of_bands(np.array([[[[1.0, np.nan]], [[3.0, np.nan]], [[np.nan, np.nan]]]]))
        array([[[[ 2., nan]]]])
    """

    covered = ~np.isnan(pixels)
    with np.errstate(invalid="ignore"):  # infinities of both signs, and none of none
        total = np.where(covered, pixels, 0).sum(axis=1, keepdims=True, dtype=np.float64)
        return total / covered.sum(axis=1, keepdims=True)


def simple_numbers(
    pixels: NDArray, bands: Sequence[str]
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    r"""Measures how bright, red, large, flat, concentrated, lopsided and rough galaxies are.

    Of each band: percentiles of the pixels and the flux within the half-light radius of all
    bands together, both compressed as :math:`\mathrm{asinh}(f / 2)`, so that a faint or
    negative flux has a number too; differences of the latter between neighbouring bands are
    colours. Of the mean :math:`I` of the bands:

    - `size` and `axis_ratio`, :math:`\ln \sqrt{a b}` and :math:`b / a`, from the second moments
      under a Gaussian window that adapts to them;
    - `radius_20`, `radius_50` and `radius_80`, the logarithms of the radii (in pixels) that
      hold these shares of the light, and `concentration` :math:`= 5 \log_{10} (r_{80} / r_{20})`;
    - `asymmetry` :math:`= \sum |I - I_{180}| / 2 \sum |I|`, of the image turned by half;
    - `roughness` :math:`= \sum |I - \bar I| / \sum |I|`, with the 3 x 3 means :math:`\bar I`.

    None changes in a mirror or when the image is turned by 90 degrees.

    References:
        | A Modified Magnitude System that Produces Well-Behaved Magnitudes (Lupton et al., 1999)
        | https://arxiv.org/abs/astro-ph/9903081
        | Shapes and Shears, Stars and Smears (Bernstein & Jarvis, 2002)
        | https://arxiv.org/abs/astro-ph/0107431
        | The Relationship between Stellar Light Distributions of Galaxies and Their Formation
          Histories (Conselice, 2003), https://arxiv.org/abs/astro-ph/0303065

    Arguments:
        pixels: The fluxes over the sky noise, with shape `(B, C, H, W)`. NaN is not covered
            and counts as sky.
        bands: The names of the bands, of length `C`.

    Returns:
        The numbers, finite whatever the pixels are, with shape `(B, D)`, and their names.

    Example:
        >>> x, names = simple_numbers(np.ones((2, 1, 9, 8)), ["r"])
        >>> x.shape[1] == len(names)
        True
    """

    x = np.nan_to_num(pixels.astype(np.float32), nan=0.0, posinf=6e4, neginf=-6e4)
    mean = x.mean(axis=1)  # (B, H, W)
    light = np.maximum(mean - 1 / np.sqrt(x.shape[1]), 0)  # above the noise of the mean

    y0, x0, shape = _shapes(light)
    radii, apart = _radii(light, y0, x0)
    inside = apart <= radii[:, 1, None, None]
    flux = np.arcsinh(np.einsum("bchw,bhw->bc", x, inside.astype(np.float32)) / 2)

    columns = dict(shape)
    columns |= {f"flux_{band}": flux[:, i] for i, band in enumerate(bands)}
    columns |= {
        f"colour_{blue}_{red}": flux[:, i] - flux[:, i + 1]
        for i, (blue, red) in enumerate(zip(bands[:-1], bands[1:], strict=True))
    }
    flat = x.reshape(*x.shape[:2], x.shape[2] * x.shape[3])
    percentiles = np.arcsinh(np.percentile(flat, PERCENTILES, axis=2) / 2)  # (P, B, C)
    for p, values in zip(PERCENTILES, percentiles, strict=True):
        columns |= {f"p{p}_{band}": values[:, i] for i, band in enumerate(bands)}
    for share, radius in zip(SHARES, radii.T, strict=True):
        columns[f"radius_{round(100 * share)}"] = np.log(radius)
    columns["concentration"] = 5 * np.log10(radii[:, 2] / radii[:, 0])
    columns["asymmetry"] = _ratio(np.abs(mean - mean[:, ::-1, ::-1]), 2 * np.abs(mean))
    columns["roughness"] = _ratio(np.abs(mean - _smooth(mean)), np.abs(mean))

    return np.stack(list(columns.values()), axis=1).astype(np.float32), tuple(columns)


def _shapes(light: NDArray) -> tuple[NDArray, NDArray, dict[str, NDArray]]:
    r"""Returns the centre and the shape, from moments that adapt to what they find."""

    size, (height, width) = len(light), light.shape[1:]
    dy = np.arange(height, dtype=np.float32) - (height - 1) / 2
    dx = np.arange(width, dtype=np.float32) - (width - 1) / 2
    y0, x0 = np.zeros(size, np.float32), np.zeros(size, np.float32)
    scale = np.full(size, min(height, width) / 6, np.float32)

    for _ in range(TURNS):
        y, x = dy - y0[:, None], dx - x0[:, None]  # (B, H), (B, W)
        wy, wx = (np.exp(-(d**2) / (2 * scale[:, None] ** 2)) for d in (y, x))
        total = np.einsum("bhw,bh,bw->b", light, wy, wx, optimize=True)
        total = np.where(total > 0, total, np.inf)
        my = np.einsum("bhw,bh,bw->b", light, wy * y, wx, optimize=True) / total
        mx = np.einsum("bhw,bh,bw->b", light, wy, wx * x, optimize=True) / total
        yy = np.einsum("bhw,bh,bw->b", light, wy * y**2, wx, optimize=True) / total - my**2
        xx = np.einsum("bhw,bh,bw->b", light, wy, wx * x**2, optimize=True) / total - mx**2
        xy = np.einsum("bhw,bh,bw->b", light, wy * y, wx * x, optimize=True) / total - mx * my
        y0 = np.clip(y0 + my, -height / 4, height / 4)
        x0 = np.clip(x0 + mx, -width / 4, width / 4)
        # Under its own window a Gaussian has half its variance
        scale = np.clip(np.sqrt(np.maximum(yy + xx, 0)), 1.0, min(height, width) / 4)

    spread = np.hypot(yy - xx, 2 * xy)
    major, minor = (np.maximum(yy + xx + s, 0.1) / 2 for s in (spread, -spread))
    shape = {"size": np.log(major * minor) / 4, "axis_ratio": np.sqrt(minor / major)}

    return y0 + (height - 1) / 2, x0 + (width - 1) / 2, shape


def _radii(light: NDArray, y0: NDArray, x0: NDArray) -> tuple[NDArray, NDArray]:
    r"""Returns the radii that hold shares of the light, and the distance of each pixel."""

    size, (height, width) = len(light), light.shape[1:]
    y = np.arange(height, dtype=np.float32) - y0[:, None]
    x = np.arange(width, dtype=np.float32) - x0[:, None]
    apart = np.hypot(y[:, :, None], x[:, None, :])  # (B, H, W)
    rings = max(min(height, width) // 2, 1)
    ring = np.minimum(apart.astype(np.int64), rings) + np.arange(size)[:, None, None] * (rings + 1)
    sums = np.bincount(ring.ravel(), light.ravel(), size * (rings + 1))
    growth = np.zeros((size, rings + 1))  # within 0, 1, 2, ... pixels
    growth[:, 1:] = np.cumsum(sums.reshape(size, rings + 1)[:, :rings], axis=1)
    growth /= np.maximum(growth[:, -1:], 1e-12)
    steps = np.arange(rings + 1)
    radii = np.array([np.interp(SHARES, g, steps) for g in growth]).reshape(size, len(SHARES))

    return np.maximum(radii, 0.5), apart


def _smooth(image: NDArray) -> NDArray:
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]

    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9


def _ratio(above: NDArray, below: NDArray) -> NDArray:
    total = below.sum(axis=(1, 2))

    return np.where(total > 0, above.sum(axis=(1, 2)) / np.where(total > 0, total, 1), 0)

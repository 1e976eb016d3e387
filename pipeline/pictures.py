r"""Pictures of galaxies."""

__all__ = ["composite", "contact_sheet", "gallery", "galaxy_sheet"]

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from pipeline.evaluation import Wrong
from pipeline.figures import PALE, PALETTE, style

FEW = 8  # galaxies, whose mean colour is half that of the sky's galaxies and half their own
BLANK = (0.78, 0.78, 0.82)
NONE: Any = {"axes.grid": False, "axes.spines.left": False, "axes.spines.bottom": False}


def composite(
    pixels: NDArray,
    noise: NDArray | None = None,
    *,
    softening: float = 5.0,
    white: float = 99.7,
) -> NDArray[np.float32]:
    r"""Makes colour pictures of cutouts.

    The reddest band is red, the bluest blue, and what lies in the middle green. With
    :math:`I` the mean of the three, each of them is scaled by

    .. math:: f(I) / I, \quad f(I) = \frac{\mathrm{asinh}(I / s)}{\mathrm{asinh}(I_w / s)}

    so that colours are the same in the core and in the wings. Bands are weighed so that many
    galaxies together are white; a few keep more of the colour they have.

    References:
        | Preparing Red-Green-Blue Images from CCD Data (Lupton et al., 2004)
        | https://arxiv.org/abs/astro-ph/0312483

    Arguments:
        pixels: Flux over the sky noise, blue to red, NaN where blank, with shape
            `(N, C, H, W)`.
        noise: The noise of each band, with shape `(N, C)`, without which a galaxy with a noisy
            band looks as if it lacked that colour.
        softening: The flux :math:`s` where the stretch bends, in units of the noise.
        white: The percentile of :math:`I` in each cutout that is white, :math:`I_w`.

    Returns:
        Red, green and blue from 0 to 1, with shape `(N, H, W, 3)`. Where a band is blank the
        others stand for it; where all are, the picture is grey.
    """

    x = pixels.astype(np.float32)
    blank = np.isnan(x).all(axis=1)
    if noise is not None:
        x = x * _depths(noise)
    flux = _channels(x)  # (N, 3, H, W)
    flux *= _weights(flux)[:, None, None]

    intensity = flux.mean(axis=1, keepdims=True)
    top = np.percentile(intensity.reshape(len(x), -1), white, axis=1)
    top = np.maximum(top, 3 * softening).reshape(-1, 1, 1, 1)
    bent = np.arcsinh(intensity.clip(min=0) / softening) / np.arcsinh(top / softening)
    with np.errstate(invalid="ignore", divide="ignore"):
        color = np.where(intensity > 1e-3, flux.clip(min=0) * bent / intensity, 0)
    color /= color.max(axis=1, keepdims=True).clip(min=1)  # keeps the hue of what saturates

    picture = np.moveaxis(0.04 + 0.96 * color, 1, -1).astype(np.float32)
    picture[blank] = BLANK

    return picture


def contact_sheet(
    pixels: NDArray,
    labels: Sequence[str],
    captions: Sequence[str] = (),
    *,
    noise: NDArray | None = None,
    columns: int = 10,
) -> Figure:
    r"""Draws galaxies class by class.

    Arguments:
        pixels: Flux over the sky noise, with shape `(N, C, H, W)`.
        labels: The class of each.
        captions: What stands below each, e.g. its identifier.
        noise: The noise of each band, with shape `(N, C)`.
        columns: How many of each class are drawn, at most.

    Returns:
        A row of pictures for each class, in the order in which classes occur.
    """

    classes = list(dict.fromkeys(labels))
    chosen = {c: [n for n, label in enumerate(labels) if label == c][:columns] for c in classes}
    order = [n for places in chosen.values() for n in places]
    depths = None if noise is None else noise[order]
    pictures = dict(zip(order, composite(pixels[order], depths), strict=True))
    width = max(map(len, chosen.values()))

    with style(), mpl.rc_context(NONE):
        figure = Figure(figsize=(1.15 * width + 1.2, 1.22 * len(classes) + 0.1))
        grid = figure.subplots(len(classes), width, squeeze=False)
        for axes in grid.flat:
            axes.set_visible(False)
        for row, name in zip(grid, classes, strict=True):
            row[0].set_ylabel(_words(name), rotation=0, ha="right", va="center", labelpad=8)
            for axes, n in zip(row, chosen[name], strict=False):
                axes.set_visible(True)
                _show(axes, pictures[n])
                caption = captions[n] if captions else ""
                axes.set_xlabel(caption, fontsize=_fitting(caption, 1.0), labelpad=2)

        return figure


def gallery(
    pixels: NDArray, wrong: Sequence[Wrong], *, noise: NDArray | None = None, columns: int = 6
) -> Figure:
    r"""Draws the galaxies that the model got most surely wrong.

    Arguments:
        pixels: Flux over the sky noise of each, with shape `(N, C, H, W)`.
        wrong: What was said of each, in the same order.
        noise: The noise of each band, with shape `(N, C)`.
        columns: How many stand in a row.

    Returns:
        The pictures, each with its true class, the predicted one and its probability.
    """

    rows = max(1, -(-len(wrong) // columns))
    with style(), mpl.rc_context({**NONE, "figure.constrained_layout.use": False}):
        figure = Figure(figsize=(1.7 * columns, 2.2 * rows))
        figure.subplots_adjust(0.01, 0.3 / rows, 0.99, 1 - 0.1 / rows, wspace=0.08, hspace=0.42)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_visible(False)
        pictures = composite(pixels, noise)
        for axes, one, picture in zip(grid.flat, wrong, pictures, strict=False):
            axes.set_visible(True)
            _show(axes, picture)
            size = _fitting(one.id, 1.6)
            axes.set_title(one.id, fontsize=size, fontweight="normal", pad=2)
            said = f"{_words(one.predicted)} {one.probability:.0%}"
            place = {"transform": axes.transAxes, "ha": "center", "fontsize": 7}
            axes.text(0.5, -0.11, said, color=PALETTE[1], fontweight="bold", **place)
            axes.text(0.5, -0.22, f"labelled {_words(one.true)}", **place)

        return figure


def galaxy_sheet(
    pixels: NDArray,
    bands: Sequence[str],
    name: str,
    facts: Mapping[str, str] | None = None,
    *,
    noise: NDArray | None = None,
) -> Figure:
    r"""Draws one galaxy in colour and in each of its bands, all with one stretch.

    Arguments:
        pixels: Flux over the sky noise, with shape `(C, H, W)`.
        bands: The names of the bands.
        name: The identifier of the galaxy.
        facts: What is known of it: status, flags, position, noise of each band, ...
        noise: The noise of each band, with shape `(C,)`, as in :func:`composite`.

    Returns:
        The pictures, with a bar in units of the noise, and the facts below.
    """

    colour = len(bands) > 1
    total = len(bands) + colour
    columns = min(total, 5)
    rows = -(-total // columns)
    width = 2.1 * columns + 0.9
    lines = [
        (key if not i else "", line)
        for key, value in (facts or {}).items()
        for i, line in enumerate(wrap(value, int(11 * width)))
    ]
    below = 0.19 * len(lines)

    with style(), mpl.rc_context(NONE):
        figure = Figure(figsize=(width, 2.35 * rows + 0.5 + below))
        figure.suptitle(name, x=0.01, ha="left", fontsize=12, fontweight="bold")
        heights = [2.35 * rows + 0.5, max(below, 0.01)]
        upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
        grid = upper.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[total:]:
            axes.set_visible(False)
        panels = list(grid.flat[:total])
        if colour:
            _show(panels[0], composite(pixels[None], None if noise is None else noise[None])[0])
            panels[0].set_title("colour")
        top = max(20.0, float(np.nanpercentile(pixels, 99.8))) if np.isfinite(pixels).any() else 20
        norm = mpl.colors.AsinhNorm(linear_width=3.0, vmin=-3, vmax=top)
        shades = mpl.colormaps["gray_r"].with_extremes(bad=BLANK)
        for axes, plane, band in zip(panels[colour:], pixels, bands, strict=True):
            image = axes.imshow(plane.astype(np.float32), origin="lower", cmap=shades, norm=norm)
            axes.set(title=band, xticks=[], yticks=[])
        ticks = [t for t in (0, 3, 10, 30, 100, 300, 1000, 3000, 10000) if t <= top]
        bar = upper.colorbar(image, ax=grid, shrink=0.8, pad=0.02, ticks=ticks, format="%g")
        bar.minorticks_off()
        bar.outline.set_visible(False)
        bar.set_label("Flux / sky noise")
        _write(lower, lines)

        return figure


def _write(figure: SubFigure, lines: Sequence[tuple[str, str]]) -> None:
    for number, (key, text) in enumerate(lines):
        y = 1 - (number + 0.5) / len(lines)
        figure.text(0.012, y, key, color=PALE, va="center", fontsize=8.5)
        figure.text(0.17, y, text, va="center", fontsize=8.5)


def _channels(x: NDArray[np.float32]) -> NDArray[np.float32]:
    r"""Interpolates red, green and blue between the bands, `(N, 3, H, W)`, blanks filled."""

    valid = ~np.isnan(x)
    mean = np.nansum(x, axis=1, keepdims=True) / valid.sum(axis=1, keepdims=True).clip(min=1)
    x = np.where(valid, x, mean)
    places = np.array([1.0, 0.5, 0.0]) * (x.shape[1] - 1)
    low, high = np.floor(places).astype(int), np.ceil(places).astype(int)
    share = (places - low).astype(np.float32)[:, None, None]

    return x[:, low] * (1 - share) + x[:, high] * share


def _depths(noise: NDArray) -> NDArray[np.float32]:
    r"""Turns fluxes over the noise of their band into fluxes over that of all, `(N, C, 1, 1)`."""

    known = (noise > 0).all(axis=1, keepdims=True)
    log = np.log(np.where(known, noise, 1))
    depths = np.exp(log - log.mean(axis=1, keepdims=True))

    return depths[:, :, None, None].astype(np.float32)


def _weights(flux: NDArray[np.float32]) -> NDArray[np.float32]:
    r"""What makes many galaxies together white, within a factor of three either way."""

    height, width = flux.shape[2:]
    middle = flux[:, :, height // 3 : -(height // 3) or None, width // 3 : -(width // 3) or None]
    light = np.median(middle.mean(axis=(2, 3)).clip(min=0.1), axis=0)
    light = light / light.mean()

    trust = len(flux) / (len(flux) + FEW)

    return ((1 / light) ** trust).clip(1 / 3, 3).astype(np.float32)


def _show(axes: Axes, picture: NDArray) -> None:
    axes.imshow(picture, origin="lower", interpolation="nearest")
    axes.set(xticks=[], yticks=[])


def _fitting(text: str, width: float) -> float:
    r"""Returns the size in points at which a text is as wide as `width` inches, 7 at most."""

    return min(7.0, 72 * width / (0.64 * max(len(text), 1)))


def _words(name: str) -> str:
    return name.replace("_", " ")

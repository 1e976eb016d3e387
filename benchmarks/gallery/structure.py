r"""Figures of how light is shared among pixels: clumps, Gini, M20, parts, entropy."""

__all__ = ["gini", "information", "m20", "parts", "smoothness"]

import math

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.gallery.galaxies import Galaxy
from benchmarks.gallery.looks import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    RED,
    SKY,
    curve,
    ellipse,
    outline,
    panels,
    show,
    title,
    zoom,
)
from pipeline.figures import PALE
from pipeline.morphometry.entropy import BINS
from pipeline.morphometry.gini import gini_segment
from pipeline.morphometry.gradient_pattern import MODULUS, PHASE
from pipeline.morphometry.mid import SMOOTHING, mid_segment
from pipeline.morphometry.pieces import ascending, boxcar
from pipeline.morphometry.smoothness import INNER, OUTER, width

FULL = np.ones((3, 3))


def lit(galaxy: Galaxy) -> NDArray[np.bool_]:
    r"""Returns the Gini segment."""

    found = galaxy.found
    place = found.x_centroid, found.y_centroid, found.rpetro_ellip, 1 - found.ellipticity

    return gini_segment(galaxy.image, *place, found.theta, False)[0]


def smoothness(galaxy: Galaxy) -> Figure:
    r"""Draws a galaxy, its average over squares, and what stands out of it."""

    found, scale = galaxy.found, galaxy.scale
    size = width(found.rpetro_circ)
    smooth = boxcar(galaxy.image, size)[:-1, :-1]
    excess = np.maximum(galaxy.image - smooth, 0.0)
    figure = panels(3)
    for axes, image in zip(figure.axes, (galaxy.image, smooth, excess), strict=True):
        show(axes, galaxy, np.where(galaxy.mask, np.nan, image))
        axes.images[0].set_norm(figure.axes[0].images[0].norm)
        zoom(axes, 1.7 * found.rpetro_circ * scale)
        for share in (INNER, OUTER):
            ellipse(axes, share * found.rpetro_circ * scale, ls="--", lw=1.2)
    texts = (
        galaxy.name,
        f"averaged over {size} x {size} pixels",
        f"what stands out: $S = {found.smoothness:.3f} \\pm {found.smoothness_error:.3f}$",
    )
    for axes, text in zip(figure.axes, texts, strict=True):
        title(axes, text)
    for axes in figure.axes[1:]:
        axes.set_ylabel("")

    return figure


def gini(*galaxies: Galaxy) -> Figure:
    r"""Draws the Gini segments of galaxies and their Lorenz curves."""

    figure = panels(len(galaxies) + 1)
    lorenz = figure.axes[-1]
    lorenz.plot([0, 1], [0, 1], color=PALE, lw=1, ls="--")
    for axes, galaxy, colour in zip(figure.axes, galaxies, (ORANGE, RED), strict=False):
        segment = lit(galaxy)
        show(axes, galaxy, galaxy.raw)
        outline(axes, galaxy, segment, colors=colour)
        zoom(axes, 1.3 * galaxy.found.rpetro_ellip * galaxy.scale)
        title(axes, galaxy.name)
        values = np.sort(np.abs(galaxy.image[segment]))
        share = np.append(0, np.cumsum(values)) / values.sum()
        place = np.linspace(0, 1, share.size)
        lorenz.plot(place, share, color=colour, label=f"$G = {galaxy.found.gini:.3f}$")
        lorenz.fill_between(place, share, place, color=colour, alpha=0.12, lw=0)
    curve(lorenz, "share of pixels, faintest first", "share of light", xlim=(0, 1), ylim=(0, 1))
    lorenz.set_aspect("equal")
    lorenz.legend(loc="upper left")

    return figure


def m20(*galaxies: Galaxy) -> Figure:
    r"""Draws the brightest fifth of the light, and how much of the moment it has."""

    figure = panels(len(galaxies) + 1)
    moments = figure.axes[-1]
    for axes, galaxy, colour in zip(figure.axes, galaxies, (ORANGE, RED), strict=False):
        segment = lit(galaxy)
        y, x = np.nonzero(segment)
        values = galaxy.image[segment]
        order = np.argsort(values)
        flux = np.cumsum(values[order]) / values.sum()
        least = values[order][np.argmax(flux >= 0.8)]
        cx, cy = (np.average(place, weights=values) for place in (x, y))
        moment = values * ((x - cx) ** 2 + (y - cy) ** 2)
        show(axes, galaxy, galaxy.raw)
        outline(axes, galaxy, segment, colors=INK, linewidths=0.9, linestyles="--")
        outline(axes, galaxy, segment & (galaxy.image >= least), colors=colour)
        axes.plot(*galaxy.seen(cx, cy), "+", color=INK, ms=9, mew=1.4)
        zoom(axes, 1.3 * galaxy.found.rpetro_ellip * galaxy.scale)
        title(axes, galaxy.name)
        brightest = order[::-1]
        moments.plot(
            np.cumsum(values[brightest]) / values.sum(),
            np.cumsum(moment[brightest]) / moment.sum(),
            color=colour, label=f"$M_{{20}} = {galaxy.found.m20:.2f}$",
        )  # fmt: skip
        moments.plot(0.2, 10**galaxy.found.m20, "o", color=colour, ms=6)
    moments.axvline(0.2, color=PALE, lw=1, ls="--")
    moments.set_yscale("log")
    curve(moments, "share of light, brightest first", "share of the second moment")
    moments.set(xlim=(0, 1), ylim=(3e-3, 1.1))
    moments.legend(loc="lower right")

    return figure


def parts(galaxy: Galaxy) -> Figure:
    r"""Draws the two largest parts, the two brightest basins, and how far off the first is."""

    inside = mid(galaxy)
    light = np.where(inside & galaxy.segment, np.maximum(galaxy.image, 0.0), 0.0)
    first, second = _most_equal(light)
    smooth = ndimage.gaussian_filter(light, SMOOTHING, mode="constant")
    owner = _basins(np.where(smooth > 1e-3 * smooth.max(), smooth, 0.0))
    sums = ndimage.sum_labels(smooth, owner, np.arange(1, owner.max() + 1))
    ranks = np.argsort(sums)[::-1] + 1
    found = galaxy.found
    figure = panels(3)
    segment, pieces, basins = figure.axes
    for axes in figure.axes:
        show(axes, galaxy, galaxy.raw)
        zoom(axes, 1.25 * found.rmax_circ * galaxy.scale)
    outline(segment, galaxy, inside)
    for shape, colour in ((first, RED), (second, GREEN)):
        if shape.any():
            outline(pieces, galaxy, shape, colors=colour)
    for label, colour in zip(ranks[:2], (RED, GREEN), strict=False):
        outline(basins, galaxy, (owner == label) & inside, colors=colour)
    row, column = ndimage.maximum_position(smooth, owner, ranks[0])
    y, x = ndimage.center_of_mass(light)
    (px, cx), (py, cy) = galaxy.seen(np.array([column, x]), np.array([row, y]))
    basins.plot(px, py, "x", color=ORANGE, ms=7, mew=1.7)
    basins.plot(cx, cy, "+", color="white", ms=9, mew=1.5)
    texts = (
        f"{galaxy.name}: MID segment",
        f"two largest parts: $M = {found.multimode:.2f}$",
        f"basins: $I = {found.intensity:.2f}$, $D = {found.deviation:.2f}$",
    )
    for axes, text in zip(figure.axes, texts, strict=True):
        title(axes, text)
    for axes in figure.axes[1:]:
        axes.set_ylabel("")

    return figure


def mid(galaxy: Galaxy) -> NDArray[np.bool_]:
    r"""Returns the MID segment."""

    order = ascending(galaxy.image, galaxy.segment & ~galaxy.mask)

    return mid_segment(galaxy.image, galaxy.mask, galaxy.segment, lit(galaxy), order)[0]


def _most_equal(light: NDArray) -> tuple[NDArray, NDArray]:
    r"""Returns the two largest parts at the level where they are most equal."""

    best, out = 0.0, (light > 0, np.zeros(light.shape, bool))
    for level in np.quantile(light[light > 0], np.linspace(0, 1, 500)):
        labels, count = ndimage.label(light >= level, FULL)
        areas = np.bincount(labels.ravel())[1:]
        if count > 1:
            small, large = np.argsort(areas)[-2:]
            if areas[small] ** 2 / areas[large] > best:
                best = areas[small] ** 2 / areas[large]
                out = labels == large + 1, labels == small + 1

    return out


def _basins(smooth: NDArray) -> NDArray[np.int64]:
    r"""Labels the pixels from which one climbs to each peak, always to the brightest neighbour."""

    index: NDArray[np.int64] = np.arange(smooth.size).reshape(smooth.shape)
    best = ndimage.maximum_filter(smooth, 3)
    up: NDArray[np.int64] = index.copy()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            near = ndimage.shift(smooth, (dy, dx), order=0, cval=-1.0)
            up = np.where((near == best) & (smooth < best), index - dy * smooth.shape[1] - dx, up)
    up = up.ravel()
    while not np.array_equal(up, up[up]):
        up = up[up]
    _, owner = np.unique(np.where(smooth.ravel() > 0, up, -1), return_inverse=True)

    return owner.reshape(smooth.shape)


def information(galaxy: Galaxy) -> Figure:
    r"""Draws the levels of brightness, and the gradients that have no opposite."""

    found, segment = galaxy.found, lit(galaxy)
    figure = panels(3, width_ratios=[1, 1.1, 1.25])
    image, levels, field = figure.axes
    for axes in (image, field):
        show(axes, galaxy, galaxy.raw)
        zoom(axes, 1.15 * found.rpetro_ellip * galaxy.scale)
    outline(image, galaxy, segment)
    title(image, galaxy.name)
    values = galaxy.image[segment & ~galaxy.mask]
    counts, edges = np.histogram(values, BINS)
    levels.stairs(
        counts / values.size, (edges - edges[0]) / (edges[-1] - edges[0]), fill=True, color=BLUE
    )
    levels.set_yscale("log")
    curve(levels, "brightness, from the faintest to the brightest", "share of pixels")
    title(levels, f"$H = {found.entropy:.3f} \\pm {found.entropy_error:.3f}$")
    field.images[0].set_alpha(0.35)
    x, y, gx, gy, left = _gradients(galaxy, segment)
    step = max(round(math.sqrt(len(x) / 500)), 1)
    thin = (x % step == 0) & (y % step == 0)
    for some, colour in ((thin & ~left, SKY), (thin & left, RED)):
        length = np.hypot(gx[some], gy[some])
        field.quiver(
            *galaxy.seen(x[some], y[some]), gx[some] / length, gy[some] / length, color=colour,
            pivot="mid", scale=38, width=0.004, headwidth=4,
        )  # fmt: skip
    title(field, f"$G_2 = {found.gradient_pattern:.2f}$, unbalanced in red")

    return figure


def _gradients(galaxy: Galaxy, segment: NDArray) -> tuple[NDArray, ...]:
    r"""Returns columns, rows, both components, and whether each gradient has no opposite."""

    good = ndimage.binary_erosion(segment & ~galaxy.mask)
    slopes: NDArray[np.float64] = np.array(np.gradient(galaxy.image))
    gy, gx = slopes[0], slopes[1]
    length: NDArray[np.float64] = np.where(good, np.hypot(gx, gy), np.nan)
    tolerance = MODULUS * np.nanmax(length)
    y, x = np.nonzero(good & (length > tolerance))
    row, column = (round(2 * at) for at in (galaxy.found.y, galaxy.found.x))
    i, j = row - y, column - x
    inside = (i >= 0) & (i < len(good)) & (j >= 0) & (j < good.shape[1])
    i, j = np.where(inside, i, 0), np.where(inside, j, 0)
    same = np.abs(length[y, x] - length[i, j]) <= tolerance
    product = length[y, x] * length[i, j]
    against = -(gx[y, x] * gx[i, j] + gy[y, x] * gy[i, j]) >= math.cos(PHASE) * product
    paired = inside & good[i, j] & same & against

    return x, y, gx[y, x], gy[y, x], ~paired

r"""Figures of where the light is: sources, radii, profile, isophotes, colours."""

__all__ = ["colours", "isophote", "radii", "sersic", "sources"]

import math
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import gammaincinv

from benchmarks.gallery.galaxies import Galaxy
from benchmarks.gallery.looks import (
    BLUE,
    CHANGE,
    GREEN,
    INK,
    ORANGE,
    PINK,
    RED,
    SKY,
    curve,
    ellipse,
    flat,
    logarithmic,
    panels,
    show,
    title,
    zoom,
)
from pipeline.figures import PALE
from pipeline.morphometry.colours import RINGS, colour_gradient
from pipeline.morphometry.geometry import cumulate
from pipeline.morphometry.growth import aperture_flux
from pipeline.morphometry.isophotes import isophotes, twist
from pipeline.morphometry.known import Disk
from pipeline.morphometry.petrosian import ETA


def sources(*galaxies: Galaxy) -> Figure:
    r"""Draws targets and their neighbours, told apart where they touch."""

    figure = panels(2 * len(galaxies), 3.1, 12.0)
    hues = (ORANGE, GREEN, PINK, SKY, RED)
    for k, galaxy in enumerate(galaxies):
        image, chart = figure.axes[2 * k : 2 * k + 2]
        show(image, galaxy, galaxy.raw)
        title(image, galaxy.name)
        count = int(galaxy.labels.max())
        colours = ["#ffffff", BLUE, *(hues[n % len(hues)] for n in range(count - 1))]
        chart.imshow(
            galaxy.labels, cmap=ListedColormap(colours), vmin=-0.5, vmax=count + 0.5,
            origin="lower", extent=galaxy.extent(), interpolation="nearest",
        )  # fmt: skip
        chart.grid(visible=False)
        chart.set_xlabel("$x$ [arcsec]")
        chart.spines[:].set_visible(True)
        title(chart, f"{len(np.unique(galaxy.labels)) - 2} neighbours masked")

    return figure


def radii(galaxy: Galaxy) -> Figure:
    r"""Draws the apertures, the curve of growth and the Petrosian ratio."""

    found, scale = galaxy.found, galaxy.scale
    figure = panels(3, width_ratios=[1, 1.05, 1.05])
    image, growth, ratio = figure.axes
    show(image, galaxy, galaxy.raw)
    zoom(image, 1.75 * found.rpetro_circ * scale)
    marks = (
        ("$r_{20}$", found.r20, ORANGE),
        ("$r_{50}$", found.r50, GREEN),
        ("$r_{80}$", found.r80, PINK),
        ("$r_p$", found.rpetro_circ, RED),
    )
    for _, a, colour in marks:
        ellipse(image, a * scale, ec=colour)
    ellipse(image, 1.5 * found.rpetro_circ * scale, ec=RED, ls=":")
    q = 1 - found.ellipticity
    ellipse(image, found.rpetro_ellip * scale, q, found.theta, ec=INK, ls="--", lw=1.1)
    title(image, galaxy.name)

    radius = np.linspace(0.6, 1.75 * found.rpetro_circ, 150)
    flux, eta = _growth(galaxy, radius)
    growth.plot(radius * scale, flux, color=BLUE)
    ratio.plot(radius * scale, eta, color=BLUE)
    ratio.axhline(ETA, color=PALE, lw=1, ls="--")
    for (name, a, colour), share in zip(marks, (0.2, 0.5, 0.8, math.nan), strict=True):
        for axes in (growth, ratio) if name == "$r_p$" else (growth,):
            axes.axvline(a * scale, color=colour, lw=1.4)
        growth.plot(a * scale, share, "o", color=colour, ms=5)
        growth.text(
            a * scale, 1.06, name, color=colour, ha="center", fontsize=9, backgroundcolor="white"
        )
    for axes in (growth, ratio):
        axes.axvline(1.5 * found.rpetro_circ * scale, color=RED, lw=1.2, ls=":")
        axes.set_xlim(left=0)
    curve(growth, "radius [arcsec]", "flux within, of that in $1.5\\,r_p$", ylim=(0, 1.13))
    curve(ratio, "radius [arcsec]", r"$\eta$", ylim=(0, 1.25))
    title(ratio, f"$C = 5\\,\\log_{{10}}(r_{{80}} / r_{{20}}) = {found.concentration:.2f}$")

    return figure


def _growth(galaxy: Galaxy, radius: NDArray) -> tuple[NDArray, NDArray]:
    r"""Returns the share of the flux within each radius, and the Petrosian ratio there."""

    ones = np.where(galaxy.mask, 0.0, 1.0)
    light, number = (cumulate(image, galaxy.mask) for image in (galaxy.image, ones))
    place = galaxy.found.x, galaxy.found.y

    def within(sums: NDArray, radii: NDArray) -> NDArray:
        return np.array([aperture_flux(sums, *place, float(a), 1.0, 0.0)[0] for a in radii])

    inside = within(light, radius)
    ring = within(light, radius + 0.5) - within(light, radius - 0.5)
    area = within(number, radius + 0.5) - within(number, radius - 0.5)
    total = within(light, np.array([1.5 * galaxy.found.rpetro_circ]))

    return inside / total, (ring / area) / (inside / within(number, radius))


def sersic(galaxy: Galaxy) -> Figure:
    r"""Draws the Sersic model, what it leaves, and both profiles."""

    found, scale = galaxy.found, galaxy.scale
    model = _model(galaxy)
    residual = np.where(galaxy.mask, 0.0, (galaxy.image - model) / found.sky_sigma)
    figure = panels(4, 2.9, width_ratios=[1, 1, 1, 1.35])
    image, fit, left, profile = figure.axes
    show(image, galaxy, np.where(galaxy.mask, np.nan, galaxy.raw))
    show(fit, galaxy, model)
    fit.images[0].set_norm(image.images[0].norm)
    flat(left, galaxy, residual, -10, 10)
    q, half = 1 - found.sersic_ellip, 1.6 * found.rpetro_circ * scale
    for axes, text in zip(
        (image, fit, left), (galaxy.name, "model", "residual / noise, to ±10"), strict=True
    ):
        zoom(axes, half)
        title(axes, text)
    for axes in (fit, left):
        axes.set_ylabel("")
        axes.tick_params(labelleft=False)
    ellipse(fit, found.sersic_r_eff * scale, q, found.sersic_theta)

    a = np.geomspace(0.7, 1.6 * found.rpetro_circ, 30)
    seen = _profile(galaxy, np.where(galaxy.mask, np.nan, galaxy.image), a)
    drawn = _profile(galaxy, model, a)
    middle = np.sqrt(a[1:] * a[:-1]) * scale
    profile.errorbar(middle, seen[0], seen[1], fmt="o", ms=3, color=INK, lw=0.8, label="galaxy")
    profile.plot(
        middle,
        drawn[0],
        color=RED,
        label=f"$n = {found.sersic_n:.3f} \\pm {found.sersic_n_error:.3f}$",
    )
    profile.axvline(found.sersic_r_eff * scale, color=RED, lw=1, ls=":")
    logarithmic(profile, "x", 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
    profile.set_yscale("log")
    profile.set_ylim(bottom=0.3 * found.sky_sigma)
    profile.legend(loc="lower left", fontsize=8.5)
    curve(profile, "semi-major axis [arcsec]", "brightness per pixel")

    return figure


def _model(galaxy: Galaxy) -> NDArray[np.float64]:
    r"""Draws the Sersic profile, each pixel the mean of nine by nine points."""

    found, (height, width) = galaxy.found, galaxy.image.shape
    fine = (np.arange(9) - 4) / 9
    x = (np.arange(width)[:, None] + fine).ravel() - found.sersic_x
    y = ((np.arange(height)[:, None] + fine).ravel() - found.sersic_y)[:, None]
    cos, sin = math.cos(found.sersic_theta), math.sin(found.sersic_theta)
    u, v = x * cos + y * sin, (y * cos - x * sin) / (1 - found.sersic_ellip)
    power = (np.hypot(u, v) / found.sersic_r_eff) ** (1 / found.sersic_n)
    model = found.sersic_amplitude * np.exp(-gammaincinv(2 * found.sersic_n, 0.5) * (power - 1))

    return model.reshape(height, 9, width, 9).mean((1, 3))


def _profile(galaxy: Galaxy, image: NDArray, a: NDArray) -> tuple[NDArray, NDArray]:
    r"""Returns the mean brightness between ellipses of the model, and its error."""

    found = galaxy.found
    y, x = np.indices(image.shape)
    cos, sin = math.cos(found.sersic_theta), math.sin(found.sersic_theta)
    dx, dy = x - found.sersic_x, y - found.sersic_y
    place = np.hypot(dx * cos + dy * sin, (dy * cos - dx * sin) / (1 - found.sersic_ellip))
    rings = [
        image[(place >= b) & (place < c) & np.isfinite(image)]
        for b, c in zip(a, a[1:], strict=False)
    ]
    mean = np.array([ring.mean() if ring.size else np.nan for ring in rings])
    error = np.array(
        [ring.std() / math.sqrt(max(ring.size, 1)) if ring.size else np.nan for ring in rings]
    )

    return mean, error


def isophote(galaxy: Galaxy) -> Figure:
    r"""Draws ellipses along isophotes, and how their shape changes outwards."""

    found, scale = galaxy.found, galaxy.scale
    place = found.x, found.y, 1 - found.ellipticity, found.theta
    a = np.geomspace(5.0, 1.2 * found.rpetro_ellip, 14)
    ellipses = isophotes(galaxy.image, galaxy.mask, *place, a, np.full(a.size, found.sky_sigma))
    shape, angle, shape_error, angle_error = ellipses
    turn, error, _, _ = twist(ellipses)
    figure = panels(3, width_ratios=[1, 1.05, 1.05])
    image, flattening, direction = figure.axes
    show(image, galaxy, galaxy.raw)
    zoom(image, 1.3 * found.rpetro_ellip * scale)
    known = np.isfinite(shape)
    for k in np.flatnonzero(known):
        ellipse(image, a[k] * scale, 1 - shape[k], np.nan_to_num(angle[k]), lw=1.0)
    title(image, galaxy.name)
    look: dict[str, Any] = {"fmt": "o-", "ms": 4, "color": BLUE, "lw": 1.2}
    flattening.errorbar(a[known] * scale, shape[known], shape_error[known], **look)
    sure = known & (angle_error < 0.2)
    degrees = np.degrees(np.unwrap(angle[sure], period=math.pi))
    degrees -= 180 * np.floor(np.median(degrees) / 180)
    direction.errorbar(a[sure] * scale, degrees, np.degrees(angle_error[sure]), **look)
    for axes, name in ((flattening, "ellipticity"), (direction, "angle of the major axis [deg]")):
        logarithmic(axes, "x", 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
        curve(axes, "semi-major axis [arcsec]", name)
    title(direction, f"twist {math.degrees(turn):.0f} ± {math.degrees(error):.0f} deg")

    return figure


def colours(blue: Galaxy, red: Galaxy, name: str) -> Figure:
    r"""Draws a map of the colour of a galaxy, and the line along its radius."""

    found, scale = red.found, red.scale
    place = found.x, found.y, 1 - found.ellipticity, found.theta
    mask = blue.mask | red.mask
    span = 0.1 * found.rpetro_ellip, found.rpetro_ellip
    slope, slope_error, level, _ = colour_gradient(
        *(blue.image, red.image, mask, Disk(*place, *span)),
        *((one.sky_sigma, np.inf) for one in (blue.found, found)),
    )
    figure = panels(3, width_ratios=[1, 1.15, 1.05])
    image, chart, line = figure.axes
    show(image, red, red.raw)
    title(image, red.name)
    bright = (blue.image > 3 * blue.found.sky_sigma) & (red.image > 3 * found.sky_sigma) & ~mask
    ratio = np.divide(blue.image, red.image, out=np.ones(mask.shape), where=bright)
    colour = np.where(bright, -2.5 * np.log10(ratio), np.nan)
    low, high = np.nanquantile(colour, [0.03, 0.97])
    flat(chart, red, colour, low, high)
    chart.images[0].set_cmap(CHANGE.reversed())
    title(chart, f"{name} [mag]")
    chart.set_ylabel("")
    figure.colorbar(chart.images[0], ax=chart, shrink=0.85)
    for axes in (image, chart):
        zoom(axes, 1.2 * found.rpetro_ellip * scale)
    for a in span:
        ellipse(chart, a * scale, place[2], place[3], ec=INK, lw=1.0, ls="--")

    middle, values, errors = _annuli(blue, red, mask, span)
    line.errorbar(middle * scale, values, errors, fmt="o", color=BLUE, ms=5)
    pivot = np.average(np.log10(middle), weights=errors**-2.0)
    line.plot(middle * scale, level + slope * (np.log10(middle) - pivot), color=RED)
    logarithmic(line, "x", 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
    curve(line, "semi-major axis [arcsec]", f"{name} [mag]")
    title(line, f"{slope:+.3f} ± {slope_error:.3f} mag per decade")

    return figure


def _annuli(
    blue: Galaxy, red: Galaxy, mask: NDArray, span: tuple[float, float]
) -> tuple[NDArray, NDArray, NDArray]:
    r"""Returns the mean radius and the colour of the annuli of the gradient, and its error."""

    found = red.found
    y, x = np.indices(mask.shape)
    cos, sin = math.cos(found.theta), math.sin(found.theta)
    dx, dy = x - found.x, y - found.y
    a = np.hypot(dx * cos + dy * sin, (dy * cos - dx * sin) / (1 - found.ellipticity))
    edges = np.geomspace(*span, RINGS + 1)
    rings = [~mask & (a >= low) & (a < high) for low, high in zip(edges, edges[1:], strict=False)]
    middle = [10 ** np.average(np.log10(a[ring]), weights=red.image[ring]) for ring in rings]
    values = [-2.5 * math.log10(blue.image[r].sum() / red.image[r].sum()) for r in rings]
    blue_noise, red_noise = [
        [band.found.sky_sigma * math.sqrt(r.sum()) / band.image[r].sum() for r in rings]
        for band in (blue, red)
    ]

    return (
        np.array(middle),
        np.array(values),
        2.5 / math.log(10) * np.hypot(np.array(blue_noise), np.array(red_noise)),
    )

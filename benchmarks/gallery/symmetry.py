r"""Figures of what changes when a galaxy is turned: asymmetries, bar, spiral."""

__all__ = ["asymmetry", "bars", "outer", "spirals"]

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.gallery.galaxies import Galaxy
from benchmarks.gallery.looks import (
    BLUE,
    CHANGE,
    INK,
    LIGHT,
    RED,
    curve,
    ellipse,
    flat,
    logarithmic,
    outline,
    panels,
    show,
    title,
    zoom,
)
from pipeline.figures import PALE
from pipeline.morphometry import spiral
from pipeline.morphometry.half_turn import residual
from pipeline.morphometry.outline import outline as outline_of
from pipeline.morphometry.polar import axis_ratio


def asymmetry(galaxy: Galaxy) -> Figure:
    r"""Draws a galaxy, itself turned by half a turn, and the difference."""

    found, scale = galaxy.found, galaxy.scale
    difference, hidden = residual(galaxy.image, galaxy.mask, found.x, found.y)
    figure = panels(3)
    seen = np.where(galaxy.mask, np.nan, galaxy.image)
    turned = np.where(hidden, np.nan, galaxy.image + difference)
    for axes, image in zip(figure.axes, (seen, turned, difference), strict=True):
        show(axes, galaxy, image, change=image is difference)
        zoom(axes, 1.7 * found.rpetro_circ * scale)
        ellipse(
            axes, 1.5 * found.rpetro_circ * scale, ec=INK if image is difference else RED, ls="--"
        )
        axes.plot(0, 0, "+", color=INK if image is difference else RED, ms=9)
    texts = (
        galaxy.name,
        r"turned, $I_{180}$",
        f"$I_{{180}} - I$: $A = {found.asymmetry:.3f} \\pm {found.asymmetry_error:.3f}$",
    )
    _name(figure, texts)

    return figure


def _name(figure: Figure, texts: tuple[str, ...]) -> None:
    r"""Names the panels, and takes the axis off those that share the first one."""

    for axes, text in zip(figure.axes, texts, strict=True):
        title(axes, text)
    for axes in figure.axes[1:]:
        axes.set_ylabel("")


def outer(galaxy: Galaxy) -> Figure:
    r"""Draws where the outer asymmetry is measured, and the outline with its turned copy."""

    found, scale = galaxy.found, galaxy.scale
    difference, _ = residual(galaxy.image, galaxy.mask, found.x, found.y)
    seen, place = (galaxy.image, galaxy.mask, galaxy.segment), (found.x, found.y)
    shape, _ = outline_of(*seen, (np.empty(0), found.sky_sigma), *place, found.rpetro_ellip, False)
    change, hidden = residual(shape.astype(float), galaxy.mask, found.x, found.y)
    figure = panels(3)
    image, ring, both = figure.axes
    show(image, galaxy, np.where(galaxy.mask, np.nan, galaxy.image))
    outline(image, galaxy, shape)
    show(ring, galaxy, difference, change=True)
    q = 1 - found.ellipticity
    for a in (found.rhalf_ellip, found.rmax_ellip):
        ellipse(ring, a * scale, q, found.theta, ec=INK, lw=1.2)
    flat(both, galaxy, np.where(hidden, 0.0, change), -1, 1)
    outline(both, galaxy, shape, colors=INK, linewidths=1.0)
    ellipse(both, found.rmax_circ * scale, ec=INK, ls="--", lw=1.1)
    for axes in figure.axes:
        zoom(axes, 1.15 * found.rmax_ellip * scale)
    texts = (
        f"{galaxy.name}: the outline",
        f"$I_{{180}} - I$ between ellipses: $A_o = {found.outer_asymmetry:.2f}$",
        f"outline, turned less itself: $A_s = {found.shape_asymmetry:.2f}$",
    )
    _name(figure, texts)

    return figure


def bars(galaxy: Galaxy) -> Figure:
    r"""Draws the bar, and the amplitude and the phase that show it."""

    found, scale = galaxy.found, galaxy.scale
    q = axis_ratio(1 - found.ellipticity)
    radius = np.linspace(0.1, 1, 40) * found.rpetro_ellip
    values = _polar(galaxy, q, radius, 64)
    wave = 2 * np.fft.fft(values)[:, 2] / values.sum(1)
    turn = -0.5 * np.angle(wave)
    sky = found.theta + np.arctan2(q * np.sin(turn), np.cos(turn))
    figure = panels(3, width_ratios=[1, 1.05, 1.05])
    image, strength, phase = figure.axes
    show(image, galaxy, galaxy.raw)
    zoom(image, 1.1 * found.rpetro_ellip * scale)
    # The length is in the plane of the disk: on the sky it is shorter by the deprojection
    along = found.bar_theta - found.theta
    short = found.bar_length * scale / math.hypot(math.cos(along), math.sin(along) / q)
    dx, dy = short * math.cos(found.bar_theta), short * math.sin(found.bar_theta)
    image.plot([-dx, dx], [-dy, dy], color=RED, lw=2)
    ellipse(image, found.bar_length * scale, q, found.theta, lw=1.0, ls="--")
    title(image, galaxy.name)
    strength.plot(radius * scale, np.abs(wave), color=BLUE)
    degrees = np.degrees(np.unwrap(sky, period=math.pi))
    middle = math.degrees(found.bar_theta)
    degrees += 180 * np.round((middle - np.median(degrees)) / 180)
    phase.plot(radius * scale, degrees, color=BLUE)
    phase.axhline(middle, color=RED, lw=1, ls=":")
    for axes in (strength, phase):
        axes.axvline(found.bar_length * scale, color=RED, lw=1.2, ls="--")
    curve(strength, "radius in the plane [arcsec]", "$A_2$", ylim=(0, None))
    curve(phase, "radius in the plane [arcsec]", "angle of $m = 2$ on the sky [deg]")
    title(strength, f"strength {found.bar_strength:.3f} ± {found.bar_strength_error:.3f}")
    title(phase, f"length {found.bar_length * scale:.1f} arcsec, {middle:.0f} deg")

    return figure


def spirals(galaxy: Galaxy) -> Figure:
    r"""Draws the arms on a log-polar grid, and the power of each number and winding."""

    found, scale = galaxy.found, galaxy.scale
    q = axis_ratio(1 - found.ellipticity)
    u = np.linspace(math.log(0.1), 0, spiral.RINGS) + math.log(found.rpetro_ellip)
    values = _polar(galaxy, q, np.exp(u), 4 * spiral.ANGLES)
    mean = values.mean(1, keepdims=True)
    delta = (values - mean) / np.maximum(mean, 0.02 * mean.max())
    m, pitch = int(found.arms), found.pitch
    p = -m / math.tan(pitch)

    figure = panels(3, width_ratios=[1, 1.15, 1.15])
    image, unrolled, power = figure.axes
    show(image, galaxy, galaxy.raw)
    zoom(image, 1.1 * found.rpetro_ellip * scale)
    title(image, galaxy.name)
    angles, radius = np.linspace(0, 360, 4 * spiral.ANGLES, endpoint=False), np.exp(u) * scale
    unrolled.pcolormesh(angles, radius, delta, cmap=CHANGE, vmin=-1, vmax=1, shading="nearest")
    phase = np.angle(_coefficient(delta, u, m, p))
    for k in range(-8, 12):
        crest = (2 * math.pi * k - phase - p * u) / m
        unrolled.plot(np.degrees(crest), radius, color=INK, lw=1.1)
        if 0 <= k < m:
            image.plot(*_on_sky(radius * np.cos(crest), q * radius * np.sin(crest), found.theta),
                       color=RED, lw=1.3)  # fmt: skip
    logarithmic(unrolled, "y", 0.2, 0.3, 0.5, 1, 2, 3, 5, 10)
    unrolled.set(xlim=(0, 360), ylim=radius[[0, -1]], xticks=[0, 90, 180, 270, 360])
    curve(unrolled, "azimuth in the plane [deg]", "radius [arcsec]")
    title(unrolled, "contrast along rings")
    _power(power, delta, u)
    power.plot(p, m, "o", mfc="none", mec=RED, ms=11, mew=1.8)
    slope = f"pitch {math.degrees(pitch):+.0f} deg"
    title(power, f"$W = {found.winding:+.2f} \\pm {found.winding_error:.2f}$, {slope}")

    return figure


def _polar(galaxy: Galaxy, q: float, radius: NDArray, count: int) -> NDArray[np.float64]:
    r"""Samples rings in the plane of the disk, `count` each, with shape `(R, count)`."""

    azimuth = 2 * np.pi * np.arange(count) / count
    u, v = np.cos(azimuth) * radius[:, None], q * np.sin(azimuth) * radius[:, None]
    x, y = _on_sky(u, v, galaxy.found.theta)
    place = np.array([y + galaxy.found.y, x + galaxy.found.x])

    return ndimage.map_coordinates(galaxy.image, place, order=1, mode="nearest")


def _on_sky(u: NDArray, v: NDArray, theta: float) -> tuple[NDArray, NDArray]:
    cos, sin = math.cos(theta), math.sin(theta)

    return u * cos - v * sin, u * sin + v * cos


def _power(axes: Axes, delta: NDArray, u: NDArray) -> None:
    r"""Draws the amplitude of each number of arms and each radial wave number."""

    waves = np.arange(-spiral.LARGEST, spiral.LARGEST + spiral.STEP, spiral.STEP)
    orders = np.arange(spiral.ORDERS[0], spiral.ORDERS[1] + 1)
    size = np.array([[abs(_coefficient(delta, u, int(m), p)) for p in waves] for m in orders])
    axes.pcolormesh(waves, orders, size, cmap=LIGHT, shading="nearest", vmin=0)
    axes.axvline(0, color=PALE, lw=0.8)
    axes.grid(visible=False)
    axes.set_yticks(orders)
    curve(axes, "radial wave number $p$", "number of arms $m$")


def _coefficient(delta: NDArray, u: NDArray, m: int, p: float) -> complex:
    r"""Returns one coefficient of the log-polar transform, with a Hann window."""

    turn = 2 * np.pi * np.arange(delta.shape[1]) / delta.shape[1]
    window = np.hanning(len(u) + 2)[1:-1]
    wave = np.exp(-1j * (m * turn + p * u[:, None]))

    return complex((window[:, None] * delta * wave).sum() / window.sum() / delta.shape[1])

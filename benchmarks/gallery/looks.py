r"""How galaxies are shown: one family of colours, arcseconds from the centre, few words."""

__all__ = [
    "BLUE",
    "CHANGE",
    "GREEN",
    "LIGHT",
    "ORANGE",
    "PINK",
    "RED",
    "SKY",
    "curve",
    "ellipse",
    "flat",
    "logarithmic",
    "outline",
    "panels",
    "save",
    "show",
    "title",
    "zoom",
]

import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray
from PIL import Image

from benchmarks.gallery.galaxies import Galaxy
from pipeline.figures import INK, PALETTE

BLUE, RED, GREEN, PINK, ORANGE, SKY, _ = PALETTE

LIGHT = LinearSegmentedColormap.from_list(
    "light", ["#ffffff", "#d3e2ee", "#8db6d5", "#3f87b8", "#0b4f80", "#04203a"]
)
r"""From the sky to the brightest pixel."""

CHANGE = LinearSegmentedColormap.from_list("change", [RED, "#f0b48c", "#ffffff", "#84b4d6", BLUE])
r"""From less to more."""

DPI = 110


def panels(count: int, height: float = 3.6, width: float = 9.8, **options: Any) -> Figure:
    r"""Makes a figure of panels side by side."""

    figure = Figure(figsize=(width, height))
    figure.subplots(1, count, **options)

    return figure


def show(axes: Axes, galaxy: Galaxy, image: NDArray, *, change: bool = False) -> None:
    r"""Shows an image on the sky: faint light linear, bright light logarithmic.

    Arguments:
        axes: Where.
        galaxy: Whose centre is the origin.
        image: The image, with shape `(H, W)`.
        change: Whether zero is in the middle of the colours.
    """

    sigma = galaxy.found.sky_sigma
    # Not the brightest star around
    most = max(float(np.nanmax(np.abs(image[galaxy.segment]))), 8 * sigma)
    norm = AsinhNorm(4 * sigma, -most if change else -2 * sigma, most)
    _map(axes, galaxy, image, norm, CHANGE if change else LIGHT)


def flat(axes: Axes, galaxy: Galaxy, image: NDArray, low: float, high: float) -> None:
    r"""Shows an image on the sky, linearly."""

    _map(axes, galaxy, image, Normalize(low, high), CHANGE if low < 0 else LIGHT)


def _map(axes: Axes, galaxy: Galaxy, image: NDArray, norm: Any, colours: Any) -> None:
    axes.imshow(
        image,
        norm=norm,
        cmap=colours,
        origin="lower",
        extent=galaxy.extent(),
        interpolation="nearest",
    )
    axes.grid(visible=False)
    axes.set_xlabel("$x$ [arcsec]")
    axes.set_ylabel("$y$ [arcsec]", labelpad=1)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.spines[:].set_visible(True)


def zoom(axes: Axes, half: float) -> None:
    r"""Shows what is within so many arcseconds of the centre, as far as the stamp goes."""

    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    axes.set_xlim(max(left, -half), min(right, half))
    axes.set_ylim(max(bottom, -half), min(top, half))


def ellipse(axes: Axes, a: float, q: float = 1.0, theta: float = 0.0, **look: Any) -> None:
    r"""Draws an ellipse about the centre, its semi-major axis in arcseconds."""

    look = {"fill": False, "lw": 1.5, "ec": RED} | look
    axes.add_patch(Ellipse((0.0, 0.0), 2 * a, 2 * q * a, angle=np.degrees(theta), **look))


def outline(axes: Axes, galaxy: Galaxy, shape: NDArray, **look: Any) -> None:
    r"""Draws the rim of a set of pixels, along their sides."""

    shown: dict[str, Any] = {"colors": RED, "linewidths": 1.3} | look
    fine = np.kron(np.pad(shape, 1), np.ones((4, 4)))
    step = (np.arange(fine.shape[1]) + 0.5) / 4 - 1.5, (np.arange(len(fine)) + 0.5) / 4 - 1.5
    axes.contour(*galaxy.seen(*step), fine, [0.5], **shown)


def curve(axes: Axes, x_name: str, y_name: str, **options: Any) -> None:
    r"""Names the axes of a curve."""

    axes.set(xlabel=x_name, ylabel=y_name, **options)


def logarithmic(axes: Axes, way: str, *ticks: float) -> None:
    r"""Makes the axis `x` or `y` logarithmic, with plain numbers at a few places."""

    axes.set(**{f"{way}scale": "log"})
    axis = axes.xaxis if way == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def title(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=10, color=INK)


def save(figure: Figure, path: Path) -> None:
    r"""Writes a PNG of 256 colours, a third as large as one of all colours."""

    with io.BytesIO() as plain:
        figure.savefig(plain, format="png", dpi=DPI, metadata={"Software": None})
        image = Image.open(plain).convert("RGB")
        few = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(path, optimize=True)

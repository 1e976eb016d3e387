r"""What noise and blur do to each statistic, ours and statmorph's, in one figure.

`python -m benchmarks.bias [--quick] [--json] [--docs docs]`

Galaxies of the simulator, all classes alike, are drawn without neighbours and without noise. They
are measured again with ever more white noise, and ever smaller against the point-spread function.
The bias is the median, and the scatter half of the central 68 %, of the changes galaxy by galaxy:
with noise from the value of the same code without noise at the same resolution, with resolution
(without noise) from its value at the highest one. Both codes have the same pixels, the level of
the sky taken off, and the point-spread function, and find the galaxy by themselves: ours by
`segment`, statmorph by the central label of `photutils.detect_sources` at 1.5 sigma in the
smoothed image. Ours is measured on the map of statmorph too, which tells measuring from finding.
Without noise, all are given one outline. What a code does not return counts as failed, and is in
no median. By class it is told in how many galaxies what was found holds at least nine tenths of
the light above 1.5 sigma: the whole of a ring, and both of a pair that touches.

statmorph is optional: `pip install -e '.[peers]'`.
"""

__all__ = [
    "CODES",
    "PANELS",
    "Code",
    "Truth",
    "degrade",
    "draw_galaxy",
    "held",
    "main",
    "summary",
    "sweep",
    "wholes",
]

import math
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.changes import SAME, STEPS, Flag, Panel, Series, changes, draw_figure, lines
from benchmarks.gallery.looks import save
from benchmarks.harness import parser, write_json
from benchmarks.pages import PAGE, TABLES, renew, table
from pipeline.morphometry import measure, names
from pipeline.morphometry.flags import STRUCTURE
from pipeline.morphometry.segment import segment
from pipeline.simulate.camera import blur
from pipeline.simulate.profiles import moffat
from pipeline.simulate.render import Grid, light
from pipeline.simulate.scene import CLASSES, draw, generator, label

try:
    import statmorph
    from astropy.convolution import convolve
    from photutils.segmentation import detect_sources, make_2dgaussian_kernel
except ImportError:
    statmorph = None

RESOLUTION = (8.0, *STEPS["resolution"])
r"""The half-light radius over the full width of the point-spread function."""

AT = 4.0
r"""The resolution at which there is noise."""

FWHM, BETA = 2.5, 3.0
r"""The point-spread function, in pixels, and its Moffat exponent."""

DEEP = 30.0
r"""The S/N of a pixel at which 1.5 sigma is the outline of a galaxy without noise."""

FAINTEST = 1.5
r"""How far an outline is above the sky, in units of the noise."""

CLEAN = 1000.0
r"""The S/N of a pixel that counts as none: a sky of zeros would be no sky."""

FAULTS = (ArithmeticError, AssertionError, IndexError, TypeError, ValueError)
r"""What statmorph may raise where a check of its own fails. It counts as no value."""

WHOLE = 0.9
r"""The share of the light from which on a galaxy counts as found whole."""

GALAXIES = 8 * len(CLASSES)

SHOWN = ("asymmetry", "asymmetry_unbiased", "smoothness", "smoothness_unbiased", "concentration",
         "gini", "m20", "r50", "rpetro_ellip", "sersic_n", "sersic_r_eff",
         "sersic_rhalf")  # fmt: skip
r"""What the table of the page has, by the names of both; the figure has all."""

Measured = tuple[dict[str, float], tuple[str, ...]]
r"""The values by name, and the names of what is flagged."""


PANELS = (
    Panel("Concentration $C$", ("concentration",), "concentration"),
    Panel("Asymmetry $A$", ("asymmetry", "asymmetry_unbiased"), "asymmetry"),
    Panel("Smoothness $S$", ("smoothness", "smoothness_unbiased"), "smoothness"),
    Panel("Gini $G$", ("gini",), "gini"),
    Panel("$M_{20}$", ("m20",), "m20"),
    Panel("Shape asymmetry", ("shape_asymmetry",), "shape_asymmetry"),
    Panel("Outer asymmetry", ("outer_asymmetry",), "outer_asymmetry"),
    Panel("$A_{rms}^2$", ("rms_asymmetry2",), "rms_asymmetry2"),
    Panel("Multimode $M$", ("multimode",), "multimode"),
    Panel("Intensity $I$", ("intensity",), "intensity"),
    Panel("Deviation $D$", ("deviation",), "deviation"),
    Panel("Ellipticity", ("ellipticity",), "ellipticity_asymmetry"),
    Panel("$r_{50}$ [%]", ("r50",), "r50", True, True),
    Panel("Petrosian radius [%]", ("rpetro_ellip",), "rpetro_ellip", True, True),
    Panel("Sersic $n$ [%]", ("sersic_n",), "sersic_n", True),
    Panel("Sersic $r_e$ [%]", ("sersic_r_eff",), "sersic_rhalf", True, True),
    Panel("Entropy $H$", ("entropy",), ""),
    Panel("Gradient pattern $G_2$", ("gradient_pattern",), ""),
    Panel("Bar strength $A_2$", ("bar_strength",), ""),
)


class Truth(NamedTuple):
    r"""A galaxy at one resolution.

    Arguments:
        image: Its image without noise, with shape `(H, W)`.
        level: Its mean in the Gini segment.
        outline: Its one piece above 1.5 sigma at a S/N of 30, of ones, with shape `(H, W)`.
    """

    image: NDArray[np.float64]
    level: float
    outline: NDArray[np.int64]


def draw_galaxy(index: int, ratio: float) -> Truth:
    r"""Draws a galaxy as a perfect detector would see it.

    Arguments:
        index: Which one. Any eight in a row are of eight classes.
        ratio: Its half-light radius, in widths of the point-spread function.
    """

    side = max(64, round(12.8 * ratio * FWHM))
    grid = Grid(side, 1.0, fine=2 if ratio > 2 else 6)
    numbers = torch.from_numpy(generator(1, index).random(1024, dtype=np.float32))
    scene, _ = draw((label(1, index),), numbers[None], 64.0)
    stretch = ratio * FWHM / scene.body["size"]
    for key in ("size", "x", "y"):
        scene.body[key] *= stretch
        scene.companion[key] *= stretch
    seeing, beta = torch.full_like(scene.seeing, FWHM), torch.full_like(scene.beta, BETA)
    image = blur(light(scene, grid)[0], seeing, beta, grid)[0, 1].double().numpy()

    found = measure(image, (image > 0.01 * image.max()).astype(np.int64))
    level = found.sn_per_pixel * found.sky_sigma
    pieces, _ = ndimage.label(image > FAINTEST * level / DEEP, np.ones((3, 3)))
    brightest = pieces[np.unravel_index(image.argmax(), image.shape)]

    return Truth(image, level, (pieces == brightest).astype(np.int64))


def degrade(truth: Truth, index: int, sn: float) -> NDArray[np.float64]:
    r"""Adds white noise to a galaxy: the same at each S/N but for a factor.

    Arguments:
        truth: The galaxy.
        index: Which one it is.
        sn: The mean S/N of a pixel of its Gini segment.
    """

    noise = generator(1, index, stream=3).normal(size=truth.image.shape)

    return truth.image + truth.level / sn * noise


def point_spread() -> NDArray[np.float64]:
    r"""Draws the point-spread function, each pixel the mean over it."""

    fine = (torch.arange(25 * 9) - 112) / 9
    radius = torch.hypot(fine, fine[:, None])
    star = moffat(radius, torch.tensor(FWHM), torch.tensor(BETA)).double().numpy()

    return star.reshape(25, 9, 25, 9).mean((1, 3))


def ours(image: NDArray[np.float64], labels: NDArray[np.int64], psf: NDArray) -> Measured:
    r"""Measures a galaxy, of label 1."""

    found = measure(image, labels, psf=psf)

    return found._asdict(), names(found.flags & ~STRUCTURE)


def theirs(image: NDArray[np.float64], labels: NDArray[np.int64], psf: NDArray) -> Measured:
    r"""Measures a galaxy with statmorph."""

    if not labels.any():
        return {}, ("not found",)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            found = statmorph.SourceMorphology(image, labels, 1, gain=1e12, psf=psf)
        except FAULTS:
            return {}, ("error",)
    values = {
        name: float(getattr(found, name)) for name in (panel.theirs for panel in PANELS) if name
    }
    bits = (("flag >= 2", found.flag >= 2), ("flag_sersic", found.flag_sersic > 0))
    flags = tuple(name for name, bit in bits if bit)

    return {name: value for name, value in values.items() if value != -99.0}, flags


def segmented(image: NDArray[np.float64]) -> NDArray[np.int64]:
    r"""Finds a galaxy, of label 1, as ours does."""

    return segment(image, math.nan, math.nan)[0]


def detected(image: NDArray[np.float64]) -> NDArray[np.int64]:
    r"""Returns the source at the centre, of ones, as in the tutorial of statmorph."""

    sigma = 1.4826 * np.median(np.abs(image - np.median(image)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # if it finds none
        smooth = convolve(image, make_2dgaussian_kernel(3.0, size=5), normalize_kernel=True)
        sources = detect_sources(smooth, 1.5 * sigma, 5)
    if sources is None:
        return np.zeros(image.shape, np.int64)
    centre = sources.data[image.shape[0] // 2, image.shape[1] // 2]

    return ((sources.data == centre) & (centre > 0)).astype(np.int64)


class Code(NamedTuple):
    r"""What finds a galaxy in an image, and what measures it on that map."""

    find: Callable[[NDArray[np.float64]], NDArray[np.int64]]
    measure: Callable[[NDArray[np.float64], NDArray[np.int64], NDArray], Measured]


CODES = {"ours": Code(segmented, ours)} | (
    {SAME: Code(detected, ours), "statmorph": Code(detected, theirs)} if statmorph else {}
)


def held(truth: Truth, labels: NDArray[np.int64], sn: float) -> float:
    r"""Returns the share of the light of a galaxy above 1.5 sigma that label 1 holds."""

    above = (truth.outline > 0) & (truth.image > FAINTEST * truth.level / sn)

    return float(truth.image[above & (labels == 1)].sum() / truth.image[above].sum())


def sweep(codes: Mapping[str, Code], indices: Iterable[int]) -> dict[str, dict[str, list]]:
    r"""Measures galaxies without noise and with it, and at each resolution.

    Returns:
        By code, of `noise` and of `resolution`, for each galaxy, what is found at each step; and
        of `held` the share of its light in what was found, at each step of the noise.
    """

    psf = point_spread()
    found: dict[str, dict[str, list]] = {
        name: {"noise": [], "resolution": [], "held": []} for name in codes
    }
    for index in indices:
        truths = [draw_galaxy(index, ratio) for ratio in RESOLUTION]
        middle = truths[RESOLUTION.index(AT)]
        images = [degrade(middle, index, sn) for sn in STEPS["noise"]]
        clean = {
            measure: [measure(degrade(one, index, CLEAN), one.outline, psf) for one in truths]
            for measure in {code.measure for code in codes.values()}
        }
        for name, code in codes.items():
            start = clean[code.measure]
            maps = [code.find(image) for image in images]
            noisy = [
                code.measure(image, labels, psf)
                for image, labels in zip(images, maps, strict=True)
            ]
            found[name]["resolution"].append(start)
            found[name]["noise"].append([start[RESOLUTION.index(AT)], *noisy])
            found[name]["held"].append(
                [held(middle, labels, sn) for labels, sn in zip(maps, STEPS["noise"], strict=True)]
            )

    return found


def wholes(classes: Sequence[str], shares: Mapping[str, Sequence[Sequence[float]]]) -> str:
    r"""Tells how many galaxies of each class are found whole, as a table.

    Arguments:
        classes: The class of each galaxy.
        shares: By code, the share of its light that was found at each step of the noise, with
            shape `(N, P)`.
    """

    head = [f"found whole, of {len(classes)}, at a S/N of",
            *(f"{sn:g}, {code}" for sn in STEPS["noise"] for code in shares)]  # fmt: skip
    rows = []
    for name in CLASSES:
        where = [i for i, one in enumerate(classes) if one == name]
        cells = [
            sum(shares[code][i][step] >= WHOLE for i in where)
            for step in range(len(STEPS["noise"]))
            for code in shares
        ]
        rows.append([f"{name} ({len(where)})", *map(str, cells)])

    return table(head, rows)


def summary(code: str, found: dict[str, list]) -> tuple[list[Series], list[Flag]]:
    r"""Returns the changes of each statistic of one code, and how often each flag is set.

    `any` is set where one of the others is. Lengths are in half-light radii. Ours on the same map
    is ours where there is one outline, and not told again.
    """

    series, flags = [], []
    for way in ("noise",) if code == SAME else STEPS:
        rows = found[way]
        for panel in PANELS:
            keys = (panel.theirs,) * bool(panel.theirs) if code == "statmorph" else panel.ours
            series += [_series(key, code, way, rows, panel) for key in keys]
        some = np.mean([[bool(bits) for _, bits in row] for row in rows], axis=0)
        flags.append(Flag("any", code, way, some.tolist()))
        for name in sorted({name for row in rows for _, bits in row for name in bits}):
            shares = np.mean([[name in bits for _, bits in row] for row in rows], axis=0)
            flags.append(Flag(name, code, way, shares.tolist()))

    return series, flags


def _series(key: str, code: str, way: str, rows: list, panel: Panel) -> Series:
    values = np.array([[found.get(key, np.nan) for found, _ in row] for row in rows])
    if panel.length and way == "resolution":
        values /= RESOLUTION
    spread = float(np.nanstd(values[:, 0]))

    return Series(key, code, way, *changes(values, panel.relative), spread)


def main() -> None:
    asked = parser(__doc__ or "", docs=True).parse_args()
    count = len(CLASSES) // 2 if asked.quick else GALAXIES

    series: list[Series] = []
    flags: list[Flag] = []
    shares: dict[str, Any] = {}
    for name, found in sweep(CODES, range(count)).items():
        more = summary(name, found)
        series += more[0]
        flags += more[1]
        shares |= {} if name == SAME else {name: found["held"]}
    classes = [label(1, index) for index in range(count)]
    if asked.docs:
        save(draw_figure(PANELS, series, flags, count), asked.docs / "figures/bias.png")
        shown = [one for one in series if one.way == "noise" and one.statistic in SHOWN]
        shown.sort(key=lambda one: SHOWN.index(one.statistic))
        told = "\n".join([*lines(shown, []), "", wholes(classes, shares)])
        renew(asked.docs / PAGE, "bias", told)
        renew(asked.docs / TABLES, "bias", "\n".join(lines(series, flags)))
    if asked.json:
        every = {"galaxies": count, "steps": STEPS, "classes": classes, "held": shares}
        every |= {"series": [one._asdict() for one in series]}
        write_json(every | {"flags": [one._asdict() for one in flags]})
        return

    sys.stdout.write("\n".join(lines(series, flags)) + f"\n\n{wholes(classes, shares)}")
    if "statmorph" not in CODES:
        sys.stdout.write("statmorph is not here, only ours: pip install -e '.[peers]'\n")


if __name__ == "__main__":
    main()

r"""What statmorph says of a galaxy, under our names, and galaxies as GalSim draws them."""

__all__ = ["PAIRS", "Theirs", "draw", "point_spread", "split", "turned", "with_statmorph"]

import math
import time
import warnings
from functools import wraps
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.samples import Galaxy
from pipeline.morphometry import MEASURED, Sky

try:
    import galsim
    import photutils.segmentation as sources
    import statmorph
    from astropy.convolution import convolve
    from astropy.utils.decorators import lazyproperty
except ImportError as error:
    raise SystemExit(f"{error}: pip install -c constraints.txt -e '.[peers]'") from None

PAIRS = {
    "x_centroid": "xc_centroid",
    "y_centroid": "yc_centroid",
    "ellipticity_centroid": "ellipticity_centroid",
    "theta_centroid": "orientation_centroid",
    "x": "xc_asymmetry",
    "y": "yc_asymmetry",
    "ellipticity": "ellipticity_asymmetry",
    "theta": "orientation_asymmetry",
    "sersic_x": "sersic_xc",
    "sersic_y": "sersic_yc",
    "sersic_r_eff": "sersic_rhalf",
} | {
    name: name
    for name in (
        "flux_circ flux_ellip rpetro_circ rpetro_ellip rmax_circ rmax_ellip rhalf_circ"
        " rhalf_ellip r20 r50 r80 concentration asymmetry smoothness rms_asymmetry2"
        " outer_asymmetry shape_asymmetry gini m20 gini_m20_bulge gini_m20_merger sn_per_pixel"
        " multimode intensity deviation sersic_amplitude sersic_n sersic_ellip sersic_theta"
        " sersic_chi2_dof sersic_aic sersic_bic sky_mean sky_median sky_sigma"
    ).split()
}
r"""Our name of each statistic, and that of statmorph."""

COLUMNS = ("x_centroid", "x", "sersic_x")
ROWS = ("y_centroid", "y", "sersic_y")
ANGLES = ("theta_centroid", "theta", "sersic_theta")

NONE = -99.0
r"""What statmorph says instead of a number."""

FAULTS = (ArithmeticError, AssertionError, IndexError, TypeError, ValueError)
r"""What statmorph is seen to raise on real images, where a sanity check of its own fails."""


class Theirs(NamedTuple):
    r"""What statmorph measures.

    Arguments:
        values: Statistics by our names, NaN where it has none.
        sky: What it takes the sky to add.
        flag: From 0, good, to 4, catastrophic.
        segments: The pixels of Gini, of MID and of the shape asymmetry, on its stamp.
    """

    values: dict[str, float]
    sky: Sky
    flag: int
    segments: dict[str, NDArray[np.bool_]]


def with_statmorph(galaxy: Galaxy, sky: Sky = MEASURED) -> Theirs | None:
    r"""Measures a galaxy with statmorph, on the sky that it finds or on a given one.

    Returns:
        What it measures, or None where it stops with an error.
    """

    source = statmorph.SourceMorphology.__new__(statmorph.SourceMorphology)
    if not math.isnan(sky.sigma):
        # Its properties are computed when first asked for, and then kept here
        source.__dict__.update(
            sky_sigma=sky.sigma, _sky_asymmetry=sky.asymmetry, _sky_smoothness=sky.smoothness
        )
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            source.__init__(  # type: ignore[misc]
                galaxy.image, galaxy.labels, galaxy.label,
                gain=galaxy.gain, mask=galaxy.mask, psf=galaxy.psf,
            )  # fmt: skip
        except FAULTS:
            return None
    values = {ours: _number(getattr(source, theirs)) for ours, theirs in PAIRS.items()}
    if source.flag == 4:
        return Theirs(values, MEASURED, 4, {})
    sky = Sky(values["sky_sigma"], _number(source._sky_asymmetry), _number(source._sky_smoothness))
    segments = {
        "gini": source._segmap_gini,
        "mid": source._segmap_mid,
        "shape": source._segmap_shape_asym,
    }

    return Theirs(values, sky, int(source.flag), segments)


def _number(value: float) -> float:
    return math.nan if value == NONE else float(value)


def split(galaxies: list[Galaxy], names: list[str]) -> tuple[dict[str, float], float]:
    r"""Returns the seconds that statmorph takes for its properties, and in all.

    A property is computed when it is first asked for. The time of each is without that of the
    others among them that it asks for.
    """

    spent = dict.fromkeys(names, 0.0)
    asked = [0.0]  # the time of what is asked for, from the outermost property inwards

    def timed(name: str) -> lazyproperty:
        compute = vars(statmorph.SourceMorphology)[name].fget

        @wraps(compute)
        def call(source: object) -> object:
            asked.append(0.0)
            start = time.perf_counter()
            value = compute(source)
            whole = time.perf_counter() - start
            spent[name] += whole - asked.pop()
            asked[-1] += whole
            return value

        return lazyproperty(call)

    timing = type("Timed", (statmorph.SourceMorphology,), {name: timed(name) for name in names})
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for galaxy in galaxies:
            timing(galaxy.image, galaxy.labels, galaxy.label, gain=galaxy.gain)

    return spent, time.perf_counter() - start


def turned(galaxy: Galaxy, values: dict[str, float], k: int) -> tuple[Galaxy, dict[str, float]]:
    r"""Turns or flips a galaxy, and tells where its positions and angles are then.

    Arguments:
        galaxy: The galaxy.
        values: What was measured of it.
        k: Which of the eight symmetries of the square, 0 for none.
    """

    height, width = galaxy.image.shape
    columns, rows, angles = (
        np.array([values[name] for name in names]) for names in (COLUMNS, ROWS, ANGLES)
    )
    if k & 1:
        rows, angles = height - 1 - rows, -angles
    if k & 2:
        columns, angles = width - 1 - columns, -angles
    if k & 4:
        columns, rows, angles = rows, columns, math.pi / 2 - angles
    moved = np.concatenate([columns, rows, angles]).tolist()
    other = galaxy._replace(
        image=_turned(galaxy.image, k),
        labels=_turned(galaxy.labels, k),
        mask=None if galaxy.mask is None else _turned(galaxy.mask, k),
        psf=None if galaxy.psf is None else _turned(galaxy.psf, k),
    )

    return other, values | dict(zip(COLUMNS + ROWS + ANGLES, moved, strict=True))


def _turned(array: NDArray, k: int) -> NDArray:
    array = array[:: -1 if k & 1 else 1, :: -1 if k & 2 else 1]

    return np.ascontiguousarray(array.T if k & 4 else array)


def draw(side: int, count: int, low: float, high: float, seed: int) -> list[Galaxy]:
    r"""Draws galaxies with GalSim and finds them with photutils.

    They have a bulge, a disk and knots of star formation, are blurred by a Moffat function of
    3 pixels, and have a star beside them in two cases of five. The noise is 1 per pixel.

    Arguments:
        side: The side of an image, in pixels; half of the light of a disk is within 1/12.8 of it.
        count: How many.
        low: The least total signal to noise ratio.
        high: The largest one.
        seed: The seed.
    """

    random = np.random.default_rng(seed)
    found: list[Galaxy] = []
    while len(found) < count:
        model = _model(side, random)
        light = model.drawImage(nx=side, ny=side, scale=1).array.astype(float)
        light *= 10 ** random.uniform(*np.log10([low, high])) / np.sqrt((light**2).sum())
        image = light + random.normal(size=light.shape)
        labels = _sources(image)
        centre = labels[side // 2 - 2 : side // 2 + 3, side // 2 - 2 : side // 2 + 3]
        inside = np.unique(centre[centre > 0])
        if inside.size:
            label = max(inside, key=lambda k: (labels == k).sum())
            found.append(Galaxy(image, labels, int(label), 100.0))

    return found


def _model(side: int, random: np.random.Generator) -> "galsim.GSObject":
    radius = side / 12.8 * random.uniform(0.75, 1.25)
    share, q = random.uniform(0, 0.9), random.uniform(0.25, 1)
    angle = random.uniform(0, 180) * galsim.degrees
    knots = galsim.BaseDeviate(int(random.integers(1, 2**30)))
    disk = 0.85 * galsim.Exponential(half_light_radius=radius)
    disk += 0.15 * galsim.RandomKnots(30, half_light_radius=radius, rng=knots)
    bulge = galsim.Sersic(4, radius * random.uniform(0.3, 0.7), trunc=5 * radius)
    model = share * bulge.shear(q=max(q, 0.6), beta=angle)
    model += (1 - share) * disk.shear(q=q, beta=angle)
    model = model.shift(*random.uniform(-1.5, 1.5, 2))
    if random.random() < 0.4:
        away = random.uniform(2.5, 4.5) * radius * np.exp(2j * np.pi * random.random())
        star = galsim.DeltaFunction(random.uniform(0.02, 0.2))
        model += star.shift(away.real, away.imag)

    return galsim.Convolve(model, _seeing())


def point_spread(side: int) -> NDArray[np.float64]:
    r"""Draws what :func:`draw` blurs by, each pixel the mean over it.

    Arguments:
        side: The side of its image in pixels, odd.
    """

    return _seeing().drawImage(nx=side, ny=side, scale=1).array.astype(float)


def _seeing() -> "galsim.GSObject":
    return galsim.Moffat(beta=3.5, fwhm=3)


def _sources(image: NDArray[np.float64]) -> NDArray[np.int64]:
    soft = convolve(image, sources.make_2dgaussian_kernel(3, 5))
    found = sources.detect_sources(soft, 1.5, 5)
    if found is None:
        return np.zeros(image.shape, np.int64)
    found = sources.deblend_sources(soft, found, 5, n_levels=32, contrast=1e-3, progress_bar=False)

    return found.data.astype(np.int64)

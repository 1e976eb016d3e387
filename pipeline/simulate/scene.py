r"""Which galaxies there are: their classes, shapes, distances and colours.

All randomness of the survey starts here. Galaxy `i` of a seed has its own generator, so it is
the same galaxy however many there are.
"""

__all__ = ["CLASSES", "MIRROR", "Scene", "draw", "generator", "label"]

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

CLASSES = (
    "elliptical",
    "barred",
    "spiral_clockwise",
    "spiral_anticlockwise",
    "ring",
    "edge_on",
    "irregular",
    "merger",
)
r"""The classes. `barred` is a barred lenticular: bars of spirals do not change their class."""

MIRROR = {"spiral_clockwise": "spiral_anticlockwise"}
r"""What a mirror makes of them. Clockwise arms, drawn outwards from the centre on a picture with
North up and East left, turn anticlockwise: the galaxy trails them and rotates clockwise, as the
volunteers of Galaxy Zoo meant it."""

# The law of each parameter: uniform between two values, then cut at zero, so that a negative
# lower value makes it absent in some galaxies. Lengths are in half-light radii, angles in degrees.
DISK = {
    "bulge": (0.06, 0.3),
    "bulge_size": (0.14, 0.26),
    "bulge_index": (1.2, 3.0),
    "bulge_ratio": (0.75, 1.0),
    "inclination": (0.0, 57.0),
    "disk_size": (0.58, 0.72),
    "arms": (0.0, 0.0),
    "arm_count": (2.0, 2.9),
    "pitch": (14.0, 27.0),
    "bar": (0.0, 0.0),
    "bar_size": (0.55, 0.85),
    "ring": (0.0, 0.0),
    "ring_size": (1.0, 1.5),
    "ring_width": (0.1, 0.24),
    "dust": (0.0, 0.0),
    "height": (0.3, 0.45),
    "texture": (0.1, 0.3),
    "lopsided": (0.0, 0.1),
    "knots": (0.0, 0.0),
    "clumps": (0.0, 0.0),
    "tail": (0.0, 0.0),
    "tail_size": (1.2, 3.2),
}
SPIRAL = DISK | {
    "bulge": (0.06, 0.25),
    "inclination": (0.0, 52.0),
    "arms": (1.6, 3.2),
    "arm_count": (2.0, 3.25),
    "bar": (-0.25, 0.14),
    "dust": (0.1, 0.6),
    "texture": (0.35, 0.65),
    "knots": (0.04, 0.18),
}
LAWS = {
    "elliptical": DISK
    | {
        "bulge": (1.0, 1.0),
        "bulge_size": (0.9, 1.0),
        "bulge_index": (2.2, 5.5),
        "bulge_ratio": (0.45, 1.0),
        "texture": (0.0, 0.0),
    },
    "barred": DISK
    | {
        "bulge": (0.12, 0.3),
        "inclination": (0.0, 50.0),
        "bar": (0.2, 0.35),
        "bar_size": (1.0, 1.5),
        "disk_size": (0.65, 0.85),
        "texture": (0.0, 0.15),
    },
    "spiral_clockwise": SPIRAL,
    "spiral_anticlockwise": SPIRAL,
    "ring": DISK
    | {
        "bulge": (0.15, 0.4),
        "bar": (-0.2, 0.1),
        "ring": (0.3, 0.6),
        "texture": (0.4, 0.8),
        "lopsided": (0.0, 0.4),
        "knots": (0.0, 0.15),
    },
    "edge_on": DISK
    | {
        "bulge": (0.05, 0.35),
        "bulge_size": (0.2, 0.35),
        "bulge_ratio": (0.55, 0.9),
        "inclination": (84.0, 90.0),
        "disk_size": (0.65, 0.85),
        "dust": (0.8, 5.0),
    },
    "irregular": DISK
    | {
        "bulge": (-0.1, 0.05),
        "inclination": (10.0, 66.0),
        "texture": (0.6, 1.0),
        "lopsided": (0.5, 1.2),
        "clumps": (0.3, 0.55),
    },
    "merger": DISK
    | {
        "bulge": (0.15, 0.5),
        "bulge_index": (1.5, 4.0),
        "inclination": (20.0, 65.0),
        "arms": (-0.6, 0.8),
        "pitch": (26.0, 46.0),
        "texture": (0.3, 0.6),
        "lopsided": (0.2, 0.8),
        "knots": (-0.05, 0.08),
        "tail": (0.15, 0.4),
    },
}
NAMES = tuple(DISK)

SPOTS = 48  # knots, clumps or pieces of a tail of one galaxy
WAVES = 10  # waves that make a disk flocculent
NEIGHBOURS = 3
STARS = 4


@dataclass(frozen=True, eq=False)
class Scene:
    r"""What is in front of the camera, in arcseconds from the middle and nanomaggies.

    Arguments:
        labels: The class of each galaxy.
        body: The parameters of its shape and place, each of shape `(B)`.
        companion: Those of the galaxy that it merges with, whose flux is zero elsewhere.
        spots: Five uniform numbers for each knot of both, with shape `(B, 2, SPOTS, 5)`.
        waves: Three for each wave of their disks, with shape `(B, 2, WAVES, 3)`.
        flux: Its flux in each band, with shape `(B, C)`.
        neighbours: Background galaxies: x, y, radius, index, axis ratio, position angle and
            the flux in each band, with shape `(B, NEIGHBOURS, 6 + C)`.
        stars: Stars: x, y and the flux in each band, with shape `(B, STARS, 2 + C)`.
        seeing: The full width of the point-spread function, with shape `(B, C)`.
        beta: The Moffat exponent, with shape `(B)`.
    """

    labels: tuple[str, ...]
    body: dict[str, Tensor]
    companion: dict[str, Tensor]
    spots: Tensor
    waves: Tensor
    flux: Tensor
    neighbours: Tensor
    stars: Tensor
    seeing: Tensor
    beta: Tensor


class Dice:
    r"""Hands out the columns of a matrix of uniform numbers, each once."""

    def __init__(self, numbers: Tensor) -> None:
        self.numbers, self.used = numbers, 0

    def uniform(self, *shape: int) -> Tensor:
        size = math.prod(shape)
        self.used += size

        return self.numbers[:, self.used - size : self.used].reshape(-1, *shape)

    def between(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * self.uniform(*shape)

    def normal(self, mean: float, deviation: float, *shape: int) -> Tensor:
        return mean + deviation * torch.special.ndtri(self.uniform(*shape).clamp(0.01, 0.99))


def generator(seed: int, index: int, stream: int = 0) -> np.random.Generator:
    r"""Returns a generator of galaxy `index` of the survey `seed`, one for each `stream`."""

    return np.random.default_rng((seed, index, stream, 1))


def label(seed: int, index: int) -> str:
    r"""Returns the class of galaxy `index`. Each run of `K` galaxies holds every class once."""

    block, place = divmod(index, len(CLASSES))
    order = np.random.default_rng((seed, block, 0, 2)).permutation(len(CLASSES))

    return CLASSES[order[place]]


def distance_modulus(redshift: Tensor) -> tuple[Tensor, Tensor]:
    r"""Returns the distance modulus and the kiloparsecs in one arcsecond.

    In a flat universe with :math:`\Omega_m = 0.3` and :math:`H_0 = 70` km/s/Mpc,

    .. math:: d_C = \frac{c}{H_0} \int_0^z \frac{dz'}{E(z')}, \quad
        d_L = (1 + z) \, d_C, \quad d_A = \frac{d_C}{1 + z}

    to second order in `z` (5e-4 at 0.1). The surface brightness of a galaxy then falls as
    :math:`(d_A / d_L)^2 = (1 + z)^{-4}`. Its colours are taken as observed: there is no
    k-correction.

    References:
        | Distance measures in cosmology (Hogg, 1999)
        | https://arxiv.org/abs/astro-ph/9905116

        | On the Estimation of Distances in a Curved Universe (Tolman, 1930)
        | https://doi.org/10.1073/pnas.16.7.511
    """

    deceleration = 1.5 * 0.3 - 1
    comoving = 299792.458 / 70 * redshift * (1 - (1 + deceleration) / 2 * redshift)  # Mpc
    modulus = 5 * ((1 + redshift) * comoving).log10() + 25
    kpc_per_arcsec = comoving / (1 + redshift) * 1000 * math.pi / 180 / 3600

    return modulus, kpc_per_arcsec


def spectrum(dice: Dice, colours: tuple[float, float, float], scatter: float, *n: int) -> Tensor:
    r"""Draws fluxes in g, r, i, z relative to r, with shape `(B, *n, C)`."""

    age = dice.normal(0.0, 1.0, *n)  # old galaxies are red in all colours
    gr, ri, iz = (c + scatter * w * age for c, w in zip(colours, (1.0, 0.5, 0.4), strict=True))
    gr = gr + dice.normal(0.0, 0.2 * scatter, *n)

    return 10 ** (0.4 * torch.stack([-gr, 0 * ri, ri, ri + iz], dim=-1))


def body(dice: Dice, labels: tuple[str, ...]) -> dict[str, Tensor]:
    r"""Draws the shape of one galaxy per label."""

    law = torch.tensor([[LAWS[name][key] for key in NAMES] for name in labels])  # (B, D, 2)
    value = law[..., 0] + (law[..., 1] - law[..., 0]) * dice.uniform(len(NAMES))
    shape = dict(zip(NAMES, value.clamp(min=0).unbind(1), strict=True))
    shape["arm_count"] = shape["arm_count"].floor()

    side = torch.where(dice.uniform() < 0.5, -1.0, 1.0)
    for name, parity in (("spiral_clockwise", 1.0), ("spiral_anticlockwise", -1.0)):
        side[[label == name for label in labels]] = parity

    return shape | {
        "parity": side,
        "angle": dice.between(0, 2 * math.pi),
        "bar_angle": dice.between(0, math.pi),
        "phase": dice.between(0, 2 * math.pi),
        "x": dice.between(-0.2, 0.2),
        "y": dice.between(-0.2, 0.2),
    }


def pair(dice: Dice, first: dict[str, Tensor], second: dict[str, Tensor], merging: Tensor) -> None:
    r"""Moves two galaxies apart where they merge, and takes the second away elsewhere."""

    ratio = dice.between(0.35, 0.9) * merging
    second["share"] = ratio / (1 + ratio)
    first["share"] = 1 - second["share"]
    second["size"] = first["size"] * 0.85 * ratio.clamp(min=0.3).sqrt()
    first["size"] = torch.where(merging > 0, 0.75 * first["size"], first["size"])

    apart = first["size"] * dice.between(1.3, 2.4) * merging
    towards = dice.between(0, 2 * math.pi)
    for galaxy, way in ((first, -0.45), (second, 0.55)):
        galaxy["x"] = galaxy["x"] + way * apart * towards.cos()
        galaxy["y"] = galaxy["y"] + way * apart * towards.sin()


def draw(
    labels: tuple[str, ...], numbers: Tensor, field: float
) -> tuple[Scene, dict[str, Tensor]]:
    r"""Draws what is in front of the camera.

    Arguments:
        labels: The class of each galaxy.
        numbers: Uniform random numbers, with shape `(B, D)`, a row per galaxy.
        field: The side of the image, in arcseconds.

    Returns:
        The scene, and what a catalogue would know besides, each of shape `(B)`.
    """

    dice = Dice(numbers)
    redshift = dice.between(0.03**2, 0.08**2).sqrt()
    modulus, kpc_per_arcsec = distance_modulus(redshift)
    absolute = dice.normal(-20.6, 0.45)
    radius_kpc = 4.2 * 10 ** (dice.normal(0.0, 0.07) - 0.08 * (absolute + 20.6))
    magnitude = absolute + modulus

    first, second = body(dice, labels), body(dice, labels)
    first["size"] = (radius_kpc / kpc_per_arcsec).clamp(max=0.2 * field)
    merging = torch.tensor([float(name == "merger") for name in labels])
    pair(dice, first, second, merging)

    colours = spectrum(dice, (0.6, 0.32, 0.22), 0.12)
    shift = torch.tensor([{"elliptical": 0.04, "irregular": -0.05}.get(n, 0.0) for n in labels])
    redder = 10 ** (0.4 * shift[:, None] * torch.tensor([-1.0, 0.0, 0.4, 0.7]))
    flux = 10 ** (0.4 * (22.5 - magnitude))[:, None] * colours * redder

    scene = Scene(
        labels=labels,
        body=first,
        companion=second,
        spots=dice.uniform(2, SPOTS, 5),
        waves=dice.uniform(2, WAVES, 3),
        flux=flux,
        neighbours=neighbours(dice, field),
        stars=stars(dice, field),
        seeing=seeing(dice),
        beta=dice.between(2.6, 4.0),
    )

    return scene, {"redshift": redshift, "magnitude": magnitude, "radius_kpc": radius_kpc}


def neighbours(dice: Dice, field: float) -> Tensor:
    r"""Draws background galaxies, faint ones more often, outside of the middle."""

    distance = dice.between(0.25, 0.7, NEIGHBOURS) * field
    direction = dice.between(0, 2 * math.pi, NEIGHBOURS)
    magnitude = 22.5 - 4.0 * dice.uniform(NEIGHBOURS) ** 3
    shape = [
        distance * direction.cos(),
        distance * direction.sin(),
        dice.between(0.3, 1.1, NEIGHBOURS),
        dice.between(0.8, 3.0, NEIGHBOURS),
        dice.between(0.3, 1.0, NEIGHBOURS),
        dice.between(0, math.pi, NEIGHBOURS),
    ]
    flux = 10 ** (0.4 * (22.5 - magnitude)).unsqueeze(-1) * spectrum(
        dice, (0.9, 0.4, 0.3), 0.3, NEIGHBOURS
    )

    return torch.cat([torch.stack(shape, dim=-1), flux], dim=-1)


def stars(dice: Dice, field: float) -> Tensor:
    r"""Draws stars of the Galaxy, red dwarfs to blue ones, outside of the middle."""

    distance = dice.between(0.22, 0.7, STARS) * field
    direction = dice.between(0, 2 * math.pi, STARS)
    magnitude = 23.5 - 7.0 * dice.uniform(STARS) ** 4
    place = torch.stack([distance * direction.cos(), distance * direction.sin()], dim=-1)
    flux = 10 ** (0.4 * (22.5 - magnitude)).unsqueeze(-1) * spectrum(
        dice, (0.8, 0.35, 0.2), 0.35, STARS
    )

    return torch.cat([place, flux], dim=-1)


def seeing(dice: Dice) -> Tensor:
    r"""Draws the seeing of each band, in arcseconds, with shape `(B, C)`.

    Kolmogorov's turbulence makes it :math:`\propto \lambda^{-1/5}`, and bands differ in time.
    """

    red = 1.05 * 10 ** dice.normal(0.0, 0.04)
    wavelength = torch.tensor([477.0, 623.0, 763.0, 913.0]) / 623.0

    return red[:, None] * wavelength**-0.2 * (1 + dice.normal(0.0, 0.04, 4))

r"""From the parameters of galaxies to their image above the atmosphere."""

__all__ = ["Grid", "light"]

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.simulate import profiles
from pipeline.simulate.scene import Scene

OLD = torch.tensor([0.44, 1.0, 1.45, 1.85])
YOUNG = torch.tensor([0.95, 1.0, 1.02, 0.95])
r"""The flux of an old and of a young population in g, r, i, z, relative to r."""

YOUTH = torch.tensor([0.55, 0.42, 0.34, 0.28])
r"""The share of the light of a disk that young stars give, in each band."""

EXTINCTION = torch.tensor([1.0, 0.7, 0.52, 0.39])
r"""The optical depth of dust relative to that in g."""

GRADIENT = torch.tensor([1.06, 1.01, 0.98, 0.95])
r"""The scale length of a disk or an elliptical relative to its mean: redder inside."""

Body = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Grid:
    r"""The points where light is computed, finer and wider than the pixels.

    Arguments:
        side: The number of pixels of the image.
        scale: Their size, in arcseconds.
        fine: The number of points in a pixel, along each axis.
        margin: The number of pixels around the image that are computed and cut off.
    """

    side: int
    scale: float
    fine: int = 2
    margin: int = 8

    @property
    def step(self) -> float:
        return self.scale / self.fine

    def axis(self) -> Tensor:
        r"""Returns the coordinates of the points, zero in the middle, in arcseconds."""

        count = (self.side + 2 * self.margin) * self.fine

        return (torch.arange(count) - (count - 1) / 2) * self.step


def light(scene: Scene, grid: Grid) -> tuple[Tensor, Tensor]:
    r"""Draws the galaxies, and what else is around them.

    Arguments:
        scene: What to draw.
        grid: Where.

    Returns:
        The galaxies alone and the rest, in nanomaggies per point, with shape `(B, C, H, W)`.
    """

    alone = galaxy(scene.body, scene.waves[:, 0], scene.spots[:, 0], grid)
    merging = scene.companion["share"].nonzero().flatten()
    if len(merging):
        other = {key: value[merging] for key, value in scene.companion.items()}
        waves, spots = scene.waves[merging, 1], scene.spots[merging, 1]
        alone[merging] += galaxy(other, waves, spots, grid)
    alone = alone * (scene.flux / alone.sum((2, 3)))[..., None, None]

    return alone, background(scene, grid)


def galaxy(body: Body, waves: Tensor, spots: Tensor, grid: Grid) -> Tensor:
    r"""Draws one galaxy per row, of about its share of flux in r and of roughly true colours."""

    image = bulge(body, grid)
    edge_on = body["inclination"] > 80
    for rows, law in ((edge_on, from_the_side), (~edge_on, from_above)):
        rows = rows.nonzero().flatten()
        if len(rows):
            some = {key: value[rows, None, None] for key, value in body.items()}
            image[rows] = law(some, waves[rows], spots[rows], grid.axis(), image[rows])

    return image * body["share"][:, None, None, None]


def plane(body: Body, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    r"""Turns coordinates on the sky into those along and across the major axis.

    The second is reflected where the parity is negative, and with it all that is drawn.
    """

    x, y = x - body["x"], y - body["y"]
    cos, sin = body["angle"].cos(), body["angle"].sin()

    return x * cos + y * sin, body["parity"] * (y * cos - x * sin)


def flattening(body: Body) -> Tensor:
    r"""Returns the apparent axis ratio of a disk that is a fifth as thick as it is wide.

    .. math:: q^2 = \cos^2 i + q_0^2 \sin^2 i

    References:
        | Extragalactic Nebulae (Hubble, 1926)
        | https://doi.org/10.1086/143018
    """

    cos = torch.deg2rad(body["inclination"]).cos()

    return (cos**2 + 0.04 * (1 - cos**2)).sqrt()


def bulge(body: Body, grid: Grid) -> Tensor:
    r"""Draws the Sersic spheroids, with shape `(B, C, H, W)`."""

    body = {key: value[:, None, None, None] for key, value in body.items()}
    effective = body["bulge_size"] * body["size"] * GRADIENT[:, None, None]

    def law(x: Tensor, y: Tensor) -> Tensor:
        u, v = plane(body, x, y)
        radius = torch.hypot(u, v / body["bulge_ratio"])

        return profiles.sersic(radius, effective, body["bulge_index"], body["bulge_ratio"])

    image = integrate(law, body["x"].flatten(), body["y"].flatten(), grid)

    return image * body["bulge"] * OLD[:, None, None]


def integrate(law: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, grid: Grid) -> Tensor:
    r"""Integrates a cuspy profile over the points of a grid.

    Five by five points around the cusp are averages over 64 finer ones, the others are taken as
    flat.

    Arguments:
        law: A function of `x` and `y`, broadcast against `(B, C, H, W)`.
        x: Where the cusp is, with shape `(B)`.
        y: Likewise.
        grid: The grid.

    Returns:
        The flux per point, with shape `(B, C, H, W)`.
    """

    axis = grid.axis()
    image = law(axis, axis[:, None])
    near = torch.arange(-2, 3)
    finer = ((torch.arange(8) + 0.5) / 8 - 0.5) * grid.step
    column, row = (
        torch.searchsorted(axis, at - grid.step / 2).clamp(2, len(axis) - 3)[:, None] + near
        for at in (x, y)
    )  # (B, 5)
    fx = (axis[column][..., None] + finer).flatten(1)[:, None, None, :]
    fy = (axis[row][..., None] + finer).flatten(1)[:, None, :, None]
    mean = law(fx, fy).unflatten(3, (5, 8)).unflatten(2, (5, 8)).mean((3, 5))  # (B, C, 5, 5)
    first = torch.arange(len(x))[:, None, None]
    image[first, :, row[:, :, None], column[:, None, :]] = mean.permute(0, 2, 3, 1)

    return image * grid.step**2


def from_the_side(
    body: Body, waves: Tensor, spots: Tensor, axis: Tensor, spheroid: Tensor
) -> Tensor:
    r"""Draws disks seen edge-on, cut by a lane of dust, :math:`e^{-\tau(x, z)}`."""

    u, v = plane(body, axis, axis[:, None])
    length = (body["disk_size"] * body["size"])[:, None] * GRADIENT[:, None, None]
    height = body["height"] * body["disk_size"] * body["size"]
    disk = profiles.edge_on_disk(u[:, None], v[:, None], length, height[:, None])

    tilt = torch.deg2rad(90 - body["inclination"]).sin()
    offset = v - 3 * tilt * height
    lane = torch.exp(-0.5 * (offset / (0.35 * height)) ** 2 - u.abs() / (2.5 * length[:, 1]))
    lane = lane * texture(u, v, waves, 0.4 * torch.ones_like(tilt))
    depth = (body["dust"] * lane)[:, None] * EXTINCTION[:, None, None]
    colour = OLD * (1 - YOUTH) + YOUNG * YOUTH
    step = (axis[1] - axis[0]) ** 2

    disk = disk * (step * (1 - body["bulge"]))[:, None] * colour[:, None, None]

    return (disk + spheroid) * torch.exp(-depth)


def texture(u: Tensor, v: Tensor, waves: Tensor, strength: Tensor) -> Tensor:
    r"""Returns a lognormal field of mean near one, a sum of waves in the logarithmic plane."""

    azimuth = torch.atan2(v, u)
    radius = 0.5 * torch.log(u**2 + v**2 + 1e-2)
    total = torch.zeros_like(radius)
    for wave in waves.unbind(1):
        number, across, phase = wave[:, :, None, None].unbind(1)
        number = (1 + 6.99 * number).floor()
        slope = -number * (1 + 4 * across)
        total = total + torch.cos(number * azimuth + slope * radius + 2 * math.pi * phase)

    return torch.exp(strength * total * (2 / waves.shape[1]) ** 0.5 - 0.5 * strength**2)


def from_above(body: Body, waves: Tensor, spots: Tensor, axis: Tensor, spheroid: Tensor) -> Tensor:
    r"""Draws inclined disks with their arms, bars, rings, knots and tails."""

    ratio = flattening(body)
    u, v = plane(body, axis, axis[:, None])
    v = v / ratio
    radius = torch.hypot(u, v)
    azimuth = torch.atan2(v, u) + body["phase"]
    length = body["disk_size"] * body["size"]

    ridge, lane = arms(body, radius, azimuth, length)
    grain = texture(u, v, waves, body["texture"])
    uneven = 1 + body["lopsided"] * torch.cos(azimuth) * (radius / (radius + length))
    smooth = profiles.exponential_disk(
        radius[:, None], length[:, None] * GRADIENT[:, None, None], ratio[:, None]
    )
    between = torch.where(body["arms"] > 0, 0.3, 1.0)
    old = (between.sqrt() + 0.5 * ridge) * uneven
    young = (between + 1.3 * ridge) * uneven * grain
    youth = YOUTH[:, None, None]
    disk = smooth * (
        old[:, None] * (1 - youth) * OLD[:, None, None]
        + young[:, None] * youth * YOUNG[:, None, None]
    )
    disk = disk * torch.exp(-(body["dust"] * lane)[:, None] * EXTINCTION[:, None, None])

    hot, old = details(body, u, v, radius, grain, ratio)
    bright, debris = knots(body, spots, ratio, length, axis)
    hot, old = hot + bright + 0.6 * debris, old + 0.4 * debris
    left = 1 - body["bulge"] - body["bar"] - body["ring"] - body["clumps"] - body["tail"]
    image = disk * left.clamp(min=0.1)[:, None]
    image = image + hot[:, None] * YOUNG[:, None, None] + old[:, None] * OLD[:, None, None]

    return image * (axis[1] - axis[0]) ** 2 + spheroid


def arms(body: Body, radius: Tensor, azimuth: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    r"""Returns the strength of the arms, and of the dust at their inner edge."""

    start = torch.where(body["bar"] > 0, body["bar_size"] * body["size"], 0.7 * length)
    pitch = torch.deg2rad(body["pitch"])
    sharp = torch.full_like(pitch, 2.5)
    ridge = profiles.spiral_ridge(radius, azimuth, body["arm_count"], pitch, start, sharp)
    shift = 0.7 / body["arm_count"]
    lane = profiles.spiral_ridge(
        radius, azimuth + shift, body["arm_count"], pitch, start, 2 * sharp
    )
    rise = torch.sigmoid((radius - start) / (0.15 * length))
    fall = torch.sigmoid((4.2 * length - radius) / (0.5 * length))
    uneven = 1 + 0.35 * torch.cos(azimuth - 1.3 * radius / length)
    window = rise * fall * body["arms"] * uneven

    return ridge * window, lane * rise * fall * (body["arms"] > 0)


def details(
    body: Body, u: Tensor, v: Tensor, radius: Tensor, grain: Tensor, ratio: Tensor
) -> tuple[Tensor, Tensor]:
    r"""Draws the rings, which are half young and half old, and the bars, which are old."""

    size = body["size"]
    circle = profiles.ring(radius, body["ring_size"] * size, body["ring_width"] * size, ratio) * (
        body["ring"] / 2
    )
    cos, sin = body["bar_angle"].cos(), body["bar_angle"].sin()
    long = body["bar_size"] * size
    bar = profiles.ferrers_bar(u * cos + v * sin, v * cos - u * sin, long, 0.3 * long)

    return circle * grain, circle * grain.sqrt() + bar * body["bar"] / ratio


def knots(
    body: Body, spots: Tensor, ratio: Tensor, length: Tensor, axis: Tensor
) -> tuple[Tensor, Tensor]:
    r"""Draws what is lumpy: young knots and clumps, and the debris of a tail, of mixed age."""

    flat = {key: value.flatten(1) for key, value in body.items()}  # (B, 1)
    size, q, h = flat["size"], ratio.flatten(1), length.flatten(1)
    a, b, c, d, e = spots.unbind(-1)
    drawn = []
    for law, share in ((on_arms, "knots"), (anywhere, "clumps"), (along_tail, "tail")):
        radius, azimuth, sigma, weight = law(flat, h, a, b, c, d, e)
        azimuth = azimuth - flat["phase"]
        weight = weight / weight.sum(1, keepdim=True) * flat[share]
        p, s = radius * azimuth.cos(), radius * azimuth.sin() * q * flat["parity"]
        cos, sin = flat["angle"].cos(), flat["angle"].sin()
        x, y = flat["x"] + p * cos - s * sin, flat["y"] + p * sin + s * cos
        drawn.append(profiles.blobs(axis, axis, x, y, sigma * size, weight))

    return drawn[0] + drawn[1], drawn[2]


Spots = tuple[Tensor, Tensor, Tensor, Tensor]


def on_arms(f: Body, h: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor) -> Spots:
    r"""Places knots on the ring if there is one, else on the arms."""

    start = torch.where(f["bar"] > 0, f["bar_size"] * f["size"], 0.7 * h)
    ring = f["ring"] > 0
    radius = torch.where(
        ring, f["ring_size"] * f["size"] * (1 + 0.15 * (a - 0.5)), h + 2.8 * h * a
    )
    winding = (radius / start).log() / torch.deg2rad(f["pitch"]).tan()
    arm = 2 * math.pi / f["arm_count"] * (b * f["arm_count"]).floor()
    azimuth = torch.where(ring, 2 * math.pi * b, arm + winding + 0.5 * (c - 0.5))

    return radius, azimuth, 0.06 + 0.06 * d, torch.exp(-radius / h) * (0.1 + e**3)


def anywhere(f: Body, h: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor) -> Spots:
    r"""Places clumps over an irregular galaxy, a few of them bright."""

    radius = f["size"] * 1.7 * a**0.7

    return radius, 2 * math.pi * b, 0.05 + 0.16 * d, (0.02 + e**8) * (0.3 + c)


def along_tail(f: Body, h: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor) -> Spots:
    r"""Places the debris of an encounter on an arc that widens and fades outwards."""

    along = (torch.arange(a.shape[1]) + a) / a.shape[1]
    radius = f["size"] * (0.5 + f["tail_size"] * along) * (1 + 0.08 * (b - 0.5))
    azimuth = (radius / f["size"]).log() / torch.deg2rad(f["pitch"]).tan() + 0.15 * (c - 0.5)

    return radius, azimuth, 0.13 + 0.17 * along, (1.05 - along) * (0.6 + 0.8 * e)


def background(scene: Scene, grid: Grid) -> Tensor:
    r"""Draws the neighbours and the stars, with shape `(B, C, H, W)`."""

    axis = grid.axis()
    image = torch.zeros(len(scene.flux), 4, len(axis), len(axis))
    for other in scene.neighbours.unbind(1):
        x, y, radius, index, ratio, angle = other[:, :6, None, None, None].unbind(1)
        body = {"x": x, "y": y, "angle": angle, "parity": torch.ones_like(x)}

        def law(
            px: Tensor,
            py: Tensor,
            body: Body = body,
            shape: tuple[Tensor, ...] = (radius, index, ratio),
        ) -> Tensor:
            u, v = plane(body, px, py)
            return profiles.sersic(torch.hypot(u, v / shape[2]), *shape)

        image += integrate(law, x.flatten(), y.flatten(), grid) * other[:, 6:, None, None]

    x, y = scene.stars[..., 0], scene.stars[..., 1]
    point = torch.full_like(x, 0.6 * grid.step)
    for band, flux in enumerate(scene.stars[..., 2:].unbind(-1)):
        image[:, band] += profiles.blobs(axis, axis, x, y, point, flux) * grid.step**2

    return image

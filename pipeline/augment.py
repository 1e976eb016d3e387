r"""Random views of the same galaxies.

What a telescope does to the sky (brightness, seeing, noise, a lost band) is done to the flux,
before the stretch; where the camera points is done to the stretched image, as one affine map.
Every random number comes from a generator on the CPU, so that all devices see the same batch.
"""

__all__ = ["Augment", "Draw", "symmetry"]

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import ive
from torch import Generator, Tensor
from torch.nn.functional import grid_sample

from pipeline.errors import ConfigError
from pipeline.stretch import fill_blank

BOUNDS = {"rotation": 180.0, "reflection": 1.0, "shear": 1.0, "blur": 20.0, "band_dropout": 1.0}


class Draw(NamedTuple):
    r"""The random numbers of one batch, all on the CPU; what is not asked for is None.

    Arguments:
        turns: The quarter turns, anticlockwise with rows upwards, with shape `(B)`.
        reflected: Whether each galaxy is mirrored, with shape `(B)`.
        affine: The map from output to input pixels about the centre, with shape `(B, 2, 3)`.
            It includes `turns` and `reflected`.
        gain: The factor on the flux of each band, with shape `(B, C)`.
        kernel: The profile of the blur, with shape `(B, 2R + 1)`.
        noise: The added noise, in units of the sky noise, with what a blur takes of it, with
            shape `(B, C, H, W)`.
        depth: The noise afterwards, in units of the one before, with shape `(B)`.
        lost: Whether each band is lost, with shape `(B, C)`.
    """

    turns: Tensor
    reflected: Tensor
    affine: Tensor | None = None
    gain: Tensor | None = None
    kernel: Tensor | None = None
    noise: Tensor | None = None
    depth: Tensor | None = None
    lost: Tensor | None = None

    def part(self, start: int, stop: int) -> "Draw":
        r"""Returns the random numbers of some galaxies of the batch."""

        parts = (None if values is None else values[start:stop] for values in self)

        return Draw(*parts)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Augment:
    r"""Draws another view of each galaxy. By default, the view it has.

    The flux is first multiplied, then blurred, then given noise and expressed in units of the
    new noise, as an ingest of that image would have done; then bands are lost. A blur of kernel
    :math:`k` leaves :math:`\sum k^2` of the variance of the sky: what it takes is given back as
    white noise, as seeing blurs the galaxies and not the noise of the camera. The image,
    stretched, is mirrored left to right, zoomed, sheared along x, rotated and shifted, by one
    map about its centre,

    .. math:: p = R_\theta \begin{pmatrix} 1 & k \\ 0 & 1 \end{pmatrix} s
        \begin{pmatrix} \pm 1 & 0 \\ 0 & 1 \end{pmatrix} q + t

    interpolated once, bilinearly; what comes from outside is 0, the level of the sky. A zoom
    keeps the surface brightness. Where only quarter turns and reflections are asked for, pixels
    are permuted and none is interpolated.

    References:
        | Scale-Space for Discrete Signals (Lindeberg, 1990), for a blur exact below a pixel
        | https://doi.org/10.1109/34.49051

    Arguments:
        quarter_turns: Whether to turn by a random multiple of 90 degrees (180 where `H != W`).
        rotation: The largest angle on top, to either side, in degrees.
        reflection: The probability of a reflection.
        scale: The largest zoom :math:`s - 1`, the smallest being its inverse; uniform in log.
        shear: The largest shear :math:`|k|`.
        shift: The largest shift along each axis, in pixels.
        flux_jitter: The largest change of a band's flux, in magnitudes, each band by its own.
        blur: The largest standard deviation of the blur, in pixels.
        noise: The largest standard deviation of the added noise, in units of the sky noise.
        band_dropout: The probability to lose a band. One is always left.

    Raises:
        ConfigError: If an amplitude is negative or impossible.

    Example:
        >>> view = Augment(rotation=180, reflection=0.5, scale=0.1)
        >>> x, reflected = view(torch.randn(8, 3, 32, 48), torch.Generator().manual_seed(0))
        >>> x.shape, reflected.shape
        (torch.Size([8, 3, 32, 48]), torch.Size([8]))
    """

    quarter_turns: bool = False
    rotation: float = 0.0
    reflection: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    flux_jitter: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    band_dropout: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, bound = getattr(self, field.name), BOUNDS.get(field.name, math.inf)
            # A `true` is no amplitude: it would pass as 1 degree, or as 1 pixel.
            if isinstance(value, bool) != (field.name == "quarter_turns"):
                kind = "true or false" if field.name == "quarter_turns" else "a number"
                raise ConfigError(f"augment {field.name}={value}, expected {kind}")
            if not (0 <= value <= bound and math.isfinite(value)):
                raise ConfigError(f"augment {field.name}={value}, expected 0 to {bound:g}")

    def __call__(
        self, x: Tensor, generator: Generator, stretch: Callable[[Tensor], Tensor] = fill_blank
    ) -> tuple[Tensor, Tensor]:
        r"""
        Arguments:
            x: The fluxes over the sky noise, with shape `(B, C, H, W)`. Blank pixels are NaN.
            generator: The source of random numbers, on the CPU.
            stretch: What makes images of fluxes. By default, they are only filled.

        Returns:
            The stretched views, float32, with shape `(B, C, H, W)`, and whether each galaxy is
            reflected, on the CPU, with shape `(B)`.
        """

        draw = self.draw(x.shape, generator)

        return self.apply(x, draw, stretch), draw.reflected

    def draw(self, shape: tuple[int, ...], generator: Generator) -> Draw:
        r"""Draws the views of a batch of shape `(B, C, H, W)`.

        What is asked for changes neither the number nor the order of what is drawn before it.
        """

        size, bands, height, width = shape
        u = torch.rand(size, 10, generator=generator, dtype=torch.float64)
        u_bands = torch.rand(size, 2 * bands, generator=generator, dtype=torch.float64)

        turns = torch.zeros(size, dtype=torch.int64)
        if self.quarter_turns:
            turns = (4 * u[:, 0]).long() if height == width else 2 * (2 * u[:, 0]).long()
        reflected = u[:, 1] < self.reflection
        draw = Draw(turns, reflected)

        if any((self.rotation, self.scale, self.shear, self.shift)):
            draw = draw._replace(affine=self._affine(u[:, 2:7], turns, reflected))
        if self.flux_jitter:
            magnitudes = self.flux_jitter * (2 * u_bands[:, :bands] - 1)
            draw = draw._replace(gain=(10 ** (-0.4 * magnitudes)).float())
        if self.blur:
            draw = draw._replace(kernel=_kernel(self.blur * u[:, 7], math.ceil(4 * self.blur) + 1))
        if self.band_dropout:
            draw = draw._replace(lost=self._lost(u_bands[:, bands:], u[:, 8]))
        if self.noise or self.blur:
            sigma = (self.noise * u[:, 9]).float()
            lost = 0.0 if draw.kernel is None else 1 - draw.kernel.square().sum(dim=1) ** 2
            noise = torch.randn(shape, generator=generator)
            noise *= _per_galaxy(torch.sqrt(sigma**2 + lost))
            draw = draw._replace(noise=noise, depth=torch.sqrt(1 + sigma**2))

        return draw

    def _affine(self, u: Tensor, turns: Tensor, reflected: Tensor) -> Tensor:
        u = 2 * u - 1
        angle = torch.deg2rad(90.0 * turns + self.rotation * u[:, 0])
        zoom = (1 + self.scale) ** u[:, 1]
        shear = self.shear * u[:, 2]
        shift = self.shift * u[:, 3:5, None]
        mirror = 1.0 - 2.0 * reflected

        cos, sin = angle.cos(), angle.sin()
        one, zero = torch.ones_like(zoom), torch.zeros_like(zoom)

        # Each part is inverted, and they stand in reverse: from the output back to the input.
        back = _matrix(mirror / zoom, zero, zero, one / zoom)
        back = back @ _matrix(one, -shear, zero, one) @ _matrix(cos, sin, -sin, cos)

        return torch.cat([back, -back @ shift], dim=2)

    def _lost(self, u: Tensor, u_kept: Tensor) -> Tensor:
        lost = u < self.band_dropout
        kept = (u_kept * u.shape[1]).long()
        kept = torch.nn.functional.one_hot(kept, u.shape[1]).bool()

        return lost & ~(lost.all(dim=1, keepdim=True) & kept)

    def apply(self, x: Tensor, draw: Draw, stretch: Callable[[Tensor], Tensor]) -> Tensor:
        r"""Makes the views that were drawn, on the device of `x`.

        Arguments:
            x: The fluxes over the sky noise, with shape `(B, C, H, W)`. Blank pixels are NaN.
            draw: The random numbers of these galaxies.
            stretch: What makes images of fluxes.

        Returns:
            The stretched views, with shape `(B, C, H, W)`.
        """

        x = stretch(_observe(x, draw))

        return _permute(x, draw) if draw.affine is None else _resample(x, draw.affine)


def symmetry(x: Tensor, turns: int, reflected: bool) -> Tensor:
    r"""Returns one of the eight symmetric images of the square, exactly.

    Arguments:
        x: The images, with shape `(*, H, W)`.
        turns: The quarter turns, anticlockwise where rows go upwards.
        reflected: Whether to mirror left and right first, which maps the label too.

    Returns:
        The turned images, with shape `(*, H, W)`, or `(*, W, H)` if `turns` is odd.
    """

    return torch.rot90(x.flip(-1) if reflected else x, -turns, dims=(-2, -1))


def _observe(x: Tensor, draw: Draw) -> Tensor:
    if any(values is not None for values in (draw.gain, draw.kernel, draw.noise)):
        blank = x.isnan()
        x = fill_blank(x)
        if draw.gain is not None:
            x = x.mul_(draw.gain[:, :, None, None].to(x.device))
        if draw.kernel is not None:
            kernel = draw.kernel.to(x.device)
            x = _convolve(_convolve(x, kernel, -1), kernel, -2)
        if draw.noise is not None and draw.depth is not None:
            x = x.add_(draw.noise.to(x.device)).div_(_per_galaxy(draw.depth).to(x.device))
        x = x.masked_fill_(blank, 0.0)
    if draw.lost is not None:
        x = x.masked_fill(draw.lost[:, :, None, None].to(x.device), 0.0)

    return x


def _permute(x: Tensor, draw: Draw) -> Tensor:
    code = draw.turns + 4 * draw.reflected
    if not code.any():
        return x

    out = torch.empty_like(x)
    for value in code.unique().tolist():
        index = (code == value).nonzero().squeeze(1).to(x.device)
        out[index] = symmetry(x[index], value % 4, value >= 4)

    return out


def _resample(x: Tensor, affine: Tensor) -> Tensor:
    # Not affine_grid: its matrix product may round to ten bits on a GPU.
    height, width = x.shape[-2:]
    side = torch.tensor([width, height], dtype=torch.float64)
    affine = (affine * (2 / side[:, None])).to(x.device, torch.float32)  # (B, 2, 3)
    column = torch.arange(width, device=x.device) - (width - 1) / 2
    row = torch.arange(height, device=x.device) - (height - 1) / 2

    along = affine[:, :, 0, None] * column + affine[:, :, 2, None]
    across = affine[:, :, 1, None] * row
    grid = along[:, :, None, :] + across[:, :, :, None]  # (B, 2, H, W)

    return grid_sample(x, grid.permute(0, 2, 3, 1), align_corners=False)


def _kernel(sigma: Tensor, radius: int) -> Tensor:
    offsets = np.abs(np.arange(-radius, radius + 1))
    kernel = torch.from_numpy(ive(offsets, sigma.numpy()[:, None] ** 2))

    return (kernel / kernel.sum(dim=1, keepdim=True)).float()


def _convolve(x: Tensor, kernel: Tensor, dim: int) -> Tensor:
    # Shifted sums, as a grouped convolution may round to ten bits on a GPU.
    side, radius = x.shape[dim], kernel.shape[1] // 2
    out = x * _per_galaxy(kernel[:, radius])
    for step in range(1, min(radius, side - 1) + 1):
        weight = _per_galaxy(kernel[:, radius + step])
        for start, source in ((step, 0), (0, step)):
            target = out.narrow(dim, start, side - step)
            target.addcmul_(x.narrow(dim, source, side - step), weight)

    return out


def _matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    return torch.stack([torch.stack([a, b], dim=1), torch.stack([c, d], dim=1)], dim=1)


def _per_galaxy(values: Tensor) -> Tensor:
    return values[:, None, None, None]

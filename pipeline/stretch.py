r"""Dynamic-range compression.

Pixels come in units of the sky noise, as a store keeps them: nothing here knows a survey's unit.
"""

__all__ = ["LIMIT", "STRETCHES", "Stretch", "fill_blank"]

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from pipeline.errors import ConfigError, suggest

STRETCHES = ("asinh", "lupton", "linear", "log")

LIMIT = 65504.0
r"""The largest float16: the brightest pixel of a store, and what an infinity becomes."""


@dataclass(frozen=True)
class Stretch:
    r"""Brings fluxes over the sky noise to numbers of order one, fit for a network.

    With the softening :math:`a`, in units of the sky noise, and the scale :math:`s`,

    .. math:: f(x) = \frac{g(x / a)}{s}

    where :math:`g` is :math:`\mathrm{asinh}(u)`, :math:`\mathrm{sign}(u) \log(1 + |u|)` or
    :math:`u` for the kinds `asinh`, `log` and `linear`: all odd and increasing. By default the
    sky noise comes out with a deviation of 0.33, a pixel of a hundred times the noise as 4.2, and
    the brightest that a store can hold as 10.7. The kind `lupton` is the asinh of the intensity
    :math:`I`, the mean of :math:`|x_c|` over the bands, which keeps colours where `asinh`
    whitens them:

    .. math:: y_c = x_c \frac{f(I)}{I}

    The absolute values change nothing where a source is, and bound :math:`y_c` by
    :math:`C f(I)` where the noise makes bands cancel. The kinds `linear` and `log` are there
    for teaching.

    References:
        | Preparing Red-Green-Blue Images from CCD Data (Lupton et al., 2004)
        | https://arxiv.org/abs/astro-ph/0312483

    Arguments:
        kind: One of :data:`STRETCHES`.
        softening: The flux :math:`a` where the stretch bends, in units of the sky noise.
        scale: What the stretched pixels are divided by.

    Raises:
        ConfigError: If the kind is unknown, or if a number is out of its range.

    Example:
        >>> Stretch("linear", softening=5)(torch.tensor([[[[0.0, 50.0, torch.nan]]]]))
        tensor([[[[ 0., 10.,  0.]]]])
    """

    kind: str = "asinh"
    softening: float = 3.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in STRETCHES:
            raise ConfigError(f"unknown stretch {self.kind!r}, {suggest(self.kind, STRETCHES)}")
        for name in ("softening", "scale"):
            if not 1e-6 <= getattr(self, name) <= 1e6:
                raise ConfigError(
                    f"{name}={getattr(self, name)} of the stretch, expected 1e-6 to 1e6"
                )

    def __call__(self, x: Tensor) -> Tensor:
        r"""
        Arguments:
            x: The fluxes over the sky noise, with shape `(B, C, H, W)`. Blank pixels are NaN.

        Returns:
            The stretched images, float32 and finite, with shape `(B, C, H, W)`. Blank pixels
            are 0, the level of the sky.
        """

        if self.kind == "lupton":
            return self._lupton(fill_blank(x))
        if x.dtype == torch.float16:
            # There are 65,536 fluxes in float16: a look-up is ten times as fast as asinh.
            bits = x.view(torch.uint16).to(torch.int32)
            return _table(self, x.device).index_select(0, bits.flatten()).view(x.shape)

        return self._curve(fill_blank(x).div_(self.softening)).div_(self.scale)

    def _lupton(self, x: Tensor) -> Tensor:
        # Below a millionth of the noise f(I) / I no longer changes: it is where 0 / 0 would be.
        intensity = x.abs().mean(dim=1, keepdim=True).div_(self.softening).clamp_(min=1e-6)

        return x.mul_(torch.asinh(intensity) / intensity / (self.softening * self.scale))

    def _curve(self, u: Tensor) -> Tensor:
        if self.kind == "linear":
            return u
        if self.kind == "log":
            return u.abs().log1p_().copysign_(u)

        return u.asinh_()


def fill_blank(x: Tensor) -> Tensor:
    r"""Returns a float32 copy where blank pixels are 0, the sky, and none is beyond :data:`LIMIT`.

    Arguments:
        x: The fluxes over the sky noise, with shape `(*)`, float16 or float32.
    """

    return x.to(torch.float32).clamp(-LIMIT, LIMIT).nan_to_num_(nan=0.0)


@lru_cache(maxsize=16)
def _table(stretch: Stretch, device: torch.device) -> Tensor:
    bits = torch.arange(2**16, dtype=torch.int32).to(torch.uint16)
    fluxes = bits.view(torch.float16).to(torch.float32)

    return stretch(fluxes).to(device)

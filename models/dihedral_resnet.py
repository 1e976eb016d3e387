r"""A residual network to which all symmetries of the square are one."""

__all__ = ["DihedralResNet"]

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

SYMMETRIES = tuple((mirrored, turns) for mirrored in (False, True) for turns in range(4))
r"""The dihedral group :math:`D_4`: whether the square is mirrored, and then its quarter turns."""


class DihedralResNet(nn.Module):
    r"""Creates a residual network that sees a galaxy and its mirror image as one.

    A galaxy has no upper side. A usual network must learn each form in all its orientations;
    here they share their weights. A map has one value per pixel, field and symmetry
    :math:`g` of the square, and a convolution is a sum over pixels and symmetries,

    .. math:: (f \star \psi)(x, g)
        = \sum_y \sum_{h \in D_4} f(y, h) \, \psi(g^{-1}(y - x), g^{-1} h)

    so that turned galaxies give turned maps. The means over all pixels and quarter turns do not
    change then, and a mirror swaps the two that are left, :math:`u` and :math:`v`. The scores

    .. math:: z = \frac{1}{2} \left[ A u + b + M (A v + b) \right]

    where :math:`M` swaps the classes that a mirror swaps, are therefore, to rounding, the same
    for all eight views of a galaxy, but for the mirror. Each stage halves the sides with a
    convolution of 4 x 4 pixels, as the centres of 3 x 3 would not turn with an even image:
    sides are to be multiples of :math:`2^{S}` with :math:`S` stages. At other sides, the
    symmetry is approximate.

    References:
        | Group Equivariant Convolutional Networks (Cohen & Welling, 2016)
        | https://arxiv.org/abs/1602.07576
        | Exploiting Cyclic Symmetry in Convolutional Neural Networks (Dieleman et al., 2016)
        | https://arxiv.org/abs/1602.02660

    Arguments:
        bands: The number of bands :math:`C`.
        classes: The number of classes :math:`K`.
        mirror: The index of the mirror image of each class, with length :math:`K`. By default,
            each class is its own.
        width: The number of fields of the first stage, each of eight channels.
        stages: The number of stages, each with twice the fields of the one before.
        depth: The number of blocks in each stage.
        dropout: The probability to drop a feature before the head.

    Example:
        >>> network = DihedralResNet(bands=4, classes=3, mirror=(0, 2, 1)).eval()
        >>> x = torch.randn(2, 4, 64, 64)
        >>> torch.allclose(network(x.flip(-1))[:, [0, 2, 1]], network(x), atol=1e-5)
        True
    """

    def __init__(
        self,
        bands: int,
        classes: int,
        mirror: Sequence[int] | None = None,
        width: int = 3,
        stages: int = 4,
        depth: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()

        self.mirror = list(range(classes)) if mirror is None else list(mirror)
        if sorted(self.mirror) != list(range(classes)):
            raise ValueError(f"mirror={self.mirror}, expected each of {classes} classes once")
        if width < 1 or stages < 1 or depth < 1:
            raise ValueError(
                f"width={width}, stages={stages}, depth={depth}, expected one or more of each"
            )

        stem = max(1, 2 * width // 3)
        self.stem = nn.Sequential(Lifting(bands, stem), FieldNorm(stem), nn.ReLU(inplace=True))
        widths = [stem, *(width * 2**i for i in range(stages))]
        self.stages = nn.Sequential(
            *(
                Block(widths[i] if j == 0 else widths[i + 1], widths[i + 1], halves=j == 0)
                for i in range(stages)
                for j in range(depth)
            )
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        r"""
        Arguments:
            x: The stretched images, with shape `(B, C, H, W)`.

        Returns:
            The class scores, with shape `(B, K)`.
        """

        pooled = self.stages(self.stem(x)).mean(dim=(2, 3))  # (B, 8 D)
        pooled = pooled.unflatten(1, (2, 4, -1)).mean(dim=2)  # (B, 2, D)
        seen, mirrored = self.head(self.dropout(pooled)).unbind(dim=1)

        return (seen + mirrored[:, self.mirror]) / 2


class Block(nn.Module):
    r"""Creates a residual block of group convolutions.

    Arguments:
        before: The number of fields that come in.
        after: The number of fields that go out.
        halves: Whether the sides are halved.
    """

    def __init__(self, before: int, after: int, halves: bool) -> None:
        super().__init__()

        first = GroupConvolution(before, after, *((4, 2) if halves else (3, 1)))
        last = FieldNorm(after)
        nn.init.zeros_(last.weight)
        self.residual = nn.Sequential(
            first, FieldNorm(after), nn.ReLU(inplace=True), GroupConvolution(after, after), last
        )
        self.skip = (
            nn.Sequential(
                nn.AvgPool2d(2), GroupConvolution(before, after, kernel=1), FieldNorm(after)
            )
            if halves
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        r"""
        Arguments:
            x: The features, with shape `(B, 8 D, H, W)`.

        Returns:
            The features, with shape `(B, 8 D', H', W')`.
        """

        return torch.relu(self.skip(x) + self.residual(x))


class GroupConvolution(nn.Module):
    r"""Creates a convolution over pixels and symmetries, from maps on them to maps on them.

    Arguments:
        before: The number of fields :math:`D` that come in.
        after: The number of fields :math:`D'` that go out.
        kernel: The side of the kernel, in pixels.
        stride: The step, in pixels.
    """

    symmetries = len(SYMMETRIES)
    r"""The number of symmetries on which the incoming maps are."""

    turned: Tensor

    def __init__(self, before: int, after: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()

        self.stride, self.padding, self.kernel = stride, (kernel - 1) // 2, kernel
        taps = self.symmetries * kernel**2
        self.weight = nn.Parameter(
            torch.randn(after, before, taps) * math.sqrt(2 / (before * taps))
        )
        self.register_buffer("turned", _turned(self.symmetries, kernel), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        r"""
        Arguments:
            x: The maps, symmetry by symmetry, with shape `(B, 8 D, H, W)`.

        Returns:
            The maps, with shape `(B, 8 D', H', W')`.
        """

        after, before, _ = self.weight.shape
        bank = self.weight[:, :, self.turned]  # (D', D, 8, 8 k k)
        bank = bank.view(after, before, len(SYMMETRIES), self.symmetries, -1)
        bank = bank.permute(2, 0, 3, 1, 4).reshape(
            len(SYMMETRIES) * after, self.symmetries * before, self.kernel, self.kernel
        )

        return F.conv2d(x, bank, stride=self.stride, padding=self.padding)


class Lifting(GroupConvolution):
    r"""Creates a convolution from an image to maps on its pixels and symmetries."""

    symmetries = 1


class FieldNorm(nn.BatchNorm2d):
    r"""Creates a batch normalization that is the same for all symmetries of a field.

    Over galaxies of random orientation the moments of a field are the same at each symmetry:
    in training each is normalized by its own, and their mean is kept for later.

    Arguments:
        num_features: The number of fields :math:`D`.
    """

    def forward(self, input: Tensor) -> Tensor:
        r"""
        Arguments:
            input: The maps, symmetry by symmetry, with shape `(B, 8 D, H, W)`.

        Returns:
            The normalized maps, with shape `(B, 8 D, H, W)`.
        """

        group = len(SYMMETRIES)
        assert self.running_mean is not None and self.running_var is not None
        mean, var = self.running_mean.repeat(group), self.running_var.repeat(group)
        weight, bias = self.weight.repeat(group), self.bias.repeat(group)
        momentum = self.momentum or 0.0
        output = F.batch_norm(input, mean, var, weight, bias, self.training, momentum, self.eps)
        if self.training:
            self.running_mean.copy_(mean.view(group, -1).mean(dim=0))
            self.running_var.copy_(var.view(group, -1).mean(dim=0))

        return output


def _act(x: NDArray, mirrored: bool, turns: int) -> NDArray:
    return np.rot90(x[..., ::-1] if mirrored else x, turns, axes=(-2, -1))


def _turned(symmetries: int, kernel: int) -> Tensor:
    r"""Returns, for each symmetry, which weight each tap of its kernel has.

    Arguments:
        symmetries: 8, or 1 where the incoming maps have no symmetries.
        kernel: The side :math:`k` of the kernel.

    Returns:
        The indices, with shape `(8, 8 k k)`, or `(8, k k)`.
    """

    taps = np.arange(symmetries * kernel**2).reshape(symmetries, kernel, kernel)
    if symmetries == 1:
        return torch.from_numpy(np.stack([_act(taps, *g).ravel() for g in SYMMETRIES]))

    # What two symmetries make together is read off a square whose pixels all differ
    square = np.arange(9).reshape(3, 3)
    views = [_act(square, *g).tobytes() for g in SYMMETRIES]
    rows = []
    for g in SYMMETRIES:
        # The place of h among all g k is that of k = g^-1 h
        products = [_act(_act(square, *k), *g).tobytes() for k in SYMMETRIES]
        rows.append(_act(taps, *g)[[products.index(h) for h in views]].ravel())

    return torch.from_numpy(np.stack(rows))

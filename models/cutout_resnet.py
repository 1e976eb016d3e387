r"""A small residual network made for cutouts."""

__all__ = ["CutoutResNet"]

import torch
from torch import Tensor, nn

NORMS = ("batch", "group")


class CutoutResNet(nn.Module):
    r"""Creates a residual network that keeps the pixels of a cutout for longer.

    A galaxy fills a few tens of pixels and its arms are one or two pixels wide, so the stem
    has stride 1. Each stage then halves the sides and doubles the channels,

    .. math:: y = \mathrm{ReLU}(P(x) + N_2 * \mathrm{ReLU}(N_1 * x))

    where :math:`N_i` are normalized 3 x 3 convolutions and :math:`P` is the identity, or the
    2 x 2 mean and a 1 x 1 convolution where the shape changes. The last map is averaged over
    its pixels, so that any image of at least 16 x 16 pixels fits. The last normalization of
    each block begins at zero: the network begins as a linear map of the pooled stem.

    References:
        | Deep Residual Learning for Image Recognition (He et al., 2015)
        | https://arxiv.org/abs/1512.03385
        | Bag of Tricks for Image Classification with CNNs (He et al., 2018)
        | https://arxiv.org/abs/1812.01187

    Arguments:
        bands: The number of bands :math:`C`.
        classes: The number of classes :math:`K`.
        width: The number of channels of the first stage, a multiple of 4.
        stages: The number of stages.
        depth: The number of blocks in each stage.
        norm: The normalization, `batch` or `group`.
        dropout: The probability to drop a feature before the head.

    Example:
        >>> CutoutResNet(bands=4, classes=7)(torch.zeros(2, 4, 64, 48)).shape
        torch.Size([2, 7])
    """

    def __init__(
        self,
        bands: int,
        classes: int,
        width: int = 20,
        stages: int = 4,
        depth: int = 1,
        norm: str = "batch",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()

        if norm not in NORMS:
            raise ValueError(f"norm={norm!r}, expected one of {', '.join(NORMS)}")
        if width < 4 or width % 4 or stages < 1 or depth < 1:
            raise ValueError(
                f"width={width}, stages={stages}, depth={depth}, expected a width that is a"
                " multiple of 4, and one or more stages and blocks"
            )

        stem = width // 2
        self.stem = nn.Sequential(_convolution(bands, stem, norm), nn.ReLU(inplace=True))
        widths = [stem, *(width * 2**i for i in range(stages))]
        self.stages = nn.Sequential(
            *(
                Block(widths[i] if j == 0 else widths[i + 1], widths[i + 1], norm)
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

        features = self.stages(self.stem(x)).mean(dim=(2, 3))  # (B, D)

        return self.head(self.dropout(features))


class Block(nn.Module):
    r"""Creates a residual block, which halves the sides where it widens.

    Arguments:
        before: The number of channels that come in.
        after: The number of channels that go out.
        norm: The normalization, `batch` or `group`.
    """

    def __init__(self, before: int, after: int, norm: str) -> None:
        super().__init__()

        widens = before != after
        last = _convolution(after, after, norm)
        nn.init.zeros_(last.get_parameter("1.weight"))
        self.residual = nn.Sequential(
            _convolution(before, after, norm, stride=2 if widens else 1),
            nn.ReLU(inplace=True),
            last,
        )
        self.skip = (
            nn.Sequential(
                nn.AvgPool2d(2, ceil_mode=True), _convolution(before, after, norm, kernel=1)
            )
            if widens
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        r"""
        Arguments:
            x: The features, with shape `(B, D, H, W)`.

        Returns:
            The features, with shape `(B, D', H', W')`.
        """

        return torch.relu(self.skip(x) + self.residual(x))


def _convolution(
    before: int, after: int, norm: str, kernel: int = 3, stride: int = 1
) -> nn.Sequential:
    normalize = nn.BatchNorm2d(after) if norm == "batch" else nn.GroupNorm(after // 2, after)

    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False), normalize
    )

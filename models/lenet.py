r"""LeNet-5."""

__all__ = ["LeNet"]

from torch import Tensor, nn
from torch.nn import functional as F


class LeNet(nn.Module):
    r"""Creates a LeNet-5 with ReLU activations, the smallest network.

    Two convolutions, each followed by a pooling, feed three linear layers. The second pooling
    always gives 5 x 5 means, so that any image of at least 22 x 22 pixels fits.

    References:
        | Gradient-Based Learning Applied to Document Recognition (LeCun et al., 1998)
        | https://doi.org/10.1109/5.726791

    Arguments:
        bands: The number of bands :math:`C`.
        classes: The number of classes :math:`K`.

    Example:
        >>> LeNet(bands=3, classes=10)(torch.zeros(2, 3, 64, 48)).shape
        torch.Size([2, 10])
    """

    def __init__(self, bands: int, classes: int) -> None:
        super().__init__()

        self.features = nn.Sequential(
            nn.Conv2d(bands, 6, kernel_size=5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, kernel_size=5),
            nn.ReLU(),
        )
        self.hidden = nn.Sequential(
            nn.Linear(16 * 5 * 5, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
        )
        self.head = nn.Linear(84, classes)

    def forward(self, x: Tensor) -> Tensor:
        r"""
        Arguments:
            x: The stretched images, with shape `(B, C, H, W)`.

        Returns:
            The class scores, with shape `(B, K)`.
        """

        if min(x.shape[-2:]) < 22:
            raise ValueError(f"images of {tuple(x.shape[-2:])} pixels, expected 22 x 22 or more")

        return self.head(self.hidden(_mean_grid(self.features(x), 5).flatten(1)))


def _mean_grid(x: Tensor, side: int) -> Tensor:
    r"""Returns `side` x `side` means, of windows that cover the image and hardly overlap.

    Unlike the adaptive poolings of torch, its gradient on a GPU is reproducible.
    """

    strides = [length // side for length in x.shape[-2:]]
    kernel = [n - (side - 1) * s for n, s in zip(x.shape[-2:], strides, strict=True)]

    return F.avg_pool2d(x, kernel, strides)

r"""A trained model, from cutouts to calibrated probabilities."""

__all__ = ["Predictor"]

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.calibration import apply
from pipeline.card import load_model
from pipeline.dataset import Batch
from pipeline.descriptors import numbers
from pipeline.prediction import predict
from pipeline.stretch import Stretch
from pipeline.trees import pool


class Predictor:
    r"""Loads a model card: its network, and the forest that answers with it where there is one.

    Arguments:
        folder: The folder of the model card.
        device: Where the network computes.

    Raises:
        DataError: If the folder is not a model card, or its forest of another time.
    """

    def __init__(self, folder: Path, device: torch.device | str = "cpu") -> None:
        self.card, network, self.trees = load_model(folder)
        self.network = network.to(device)
        self.stretch = Stretch(**self.card.stretch)
        self.device = device

    def probabilities(self, pixels: NDArray[np.float16]) -> NDArray[np.float64]:
        r"""Returns the calibrated probability of each class.

        Arguments:
            pixels: Flux minus sky over the noise, NaN where blank, with shape `(B, C, H, W)`.

        Returns:
            The probabilities, with shape `(B, K)`. NaN if the network answers none.
        """

        if not len(pixels):
            return np.zeros((0, len(self.card.classes)))

        images = self.stretch(torch.from_numpy(pixels).to(self.device))
        unknown = torch.full((len(images),), -1)
        batch = Batch(images, unknown, unknown)
        z: NDArray = predict(self.network, [batch], self.card.symmetries, self.card.mirror)
        if self.trees is not None:
            z = pool(z, self.trees.probabilities(numbers(pixels, self.card.bands)))

        return apply(z, self.card.temperature)

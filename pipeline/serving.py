r"""A model card behind MLflow's `pyfunc`: arrays or paths in, a table of probabilities out.

MLflow keeps the card as it is and the name of this module, no pickle.
"""

__all__ = ["Server"]

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.admission import images, refused, scale_misfit
from pipeline.errors import DataError
from pipeline.predictor import Predictor
from pipeline.sources import Source

BATCH = 64


class Server:
    r"""Loads a model that answers galaxy by galaxy.

    Arguments:
        folder: The folder of the model card.

    Raises:
        DataError: If the folder is not a model card.
    """

    def __init__(self, folder: Path) -> None:
        self.predictor = Predictor(folder)
        self.card = self.predictor.card

    def predict(self, data: Any, params: dict | None = None) -> pd.DataFrame:
        r"""Classifies cutouts, or the files that hold them.

        Arguments:
            data: Flux minus sky over the noise, NaN where blank, with shape `(N, C, H, W)`. Or
                paths, as a table of one column; `{band}` in a path stands for each band, where
                there is a file for each.
            params: Ignored. MLflow asks for it.

        Returns:
            The calibrated probability of each class, and the likeliest as `predicted`. A file
            that cannot be used has NaN and no class, and its `reason` then stands beside it.

        Raises:
            DataError: If the cutouts are not what the model has learnt from, or if a table of
                paths has other columns too.
        """

        values = data.to_numpy() if isinstance(data, pd.DataFrame | pd.Series) else data
        values = np.asarray(values)
        if values.size and isinstance(values.flat[-1], str):
            if values.size != len(values):
                told = f"columns {', '.join(map(str, getattr(data, 'columns', values.shape)))}"
                raise DataError(f"a table with the {told}, expected one column of paths")
            return self._files([str(path) for path in values.flat])

        return self._table(self._cutouts(values))

    def _cutouts(self, values: NDArray) -> NDArray[np.float64]:
        shape = len(self.card.bands), self.card.height, self.card.width
        if values.ndim != 4 or values.shape[1:] != shape:
            raise DataError(
                f"cutouts have shape {values.shape}, expected (N, {', '.join(map(str, shape))}):"
                f" the bands {', '.join(self.card.bands)} in units of the sky noise"
            )
        half = np.finfo(np.float16)
        pixels = values.astype(np.float32).clip(half.min, half.max).astype(np.float16)
        blocks = np.split(pixels, range(BATCH, len(pixels), BATCH))

        return np.concatenate([self.predictor.probabilities(block) for block in blocks])

    def _files(self, paths: list[str]) -> pd.DataFrame:
        card = self.card
        feed = images(card, [Source(path, _files(path, card.bands)) for path in paths])

        probabilities = np.full((len(paths), len(card.classes)), np.nan)
        reasons: list[str] = []
        for given, cutouts in feed.stream(0, BATCH):
            rows, pixels = refused(given, cutouts, partial(scale_misfit, card))
            read = np.array([row["status"] != "rejected" for row in rows])
            here = len(reasons) + np.flatnonzero(read)
            probabilities[here] = self._cutouts(pixels)
            reasons += [row["reason"] for row in rows]

        return self._table(probabilities).assign(reason=reasons)

    def _table(self, probabilities: NDArray[np.float64]) -> pd.DataFrame:
        names = np.array(self.card.classes, object)
        known = np.isfinite(probabilities).all(axis=1)
        likeliest = np.where(known, names[probabilities.argmax(axis=1)], "")

        return pd.DataFrame(probabilities, columns=list(names)).assign(predicted=likeliest)


def _files(path: str, bands: tuple[str, ...]) -> tuple[Path, ...]:
    if "{band}" not in path:
        return (Path(path),)

    return tuple(Path(path.replace("{band}", band)) for band in bands)


def _load_pyfunc(folder: str) -> Server:
    r"""Loads what MLflow kept: the entry point that it looks for in a module."""

    return Server(Path(folder))

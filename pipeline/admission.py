r"""What a model may be asked to classify, and what it must not."""

__all__ = ["images", "refused", "scale_misfit"]

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.card import TOLERANCE, Card
from pipeline.feeds import FileFeed, Records
from pipeline.ingest import Recipe
from pipeline.sources import Source
from pipeline.store import StoreInfo


def images(card: Card, sources: Sequence[Source], workers: int = 1) -> FileFeed:
    r"""Prepares images without an experiment, to be read like those that a model learnt from.

    Arguments:
        card: The model.
        sources: The images.
        workers: The number of processes that read.
    """

    number, _, unit = card.scale.partition(" ")
    scale = float(number) if unit == "arcsec" else card.scale
    recipe = Recipe(card.bands, (card.height, card.width), scale, **card.reading, named=True)
    info = StoreInfo(card.bands, card.height, card.width, card.scale, card.survey)

    return FileFeed(sources, recipe, info, workers)


def refused(
    records: Records, pixels: NDArray[np.float16], why: Callable[[Mapping[str, Any]], str]
) -> tuple[Records, NDArray[np.float16]]:
    r"""Rejects what a model cannot judge.

    Arguments:
        records: The manifest rows of a batch.
        pixels: The cutouts of those that are not rejected, with shape `(n, C, H, W)`.
        why: Tells why a row is to be rejected, or an empty text.

    Returns:
        The rows and the cutouts, as a :meth:`Feed.stream` yields them.
    """

    told, kept = [], []
    for record in records:
        rejected = record["status"] == "rejected"
        reason = "" if rejected else why(record)
        told.append({**record, "status": "rejected", "reason": reason} if reason else record)
        if not rejected:
            kept.append(not reason)

    return told, pixels if all(kept) else pixels[kept]


def scale_misfit(card: Card, record: Mapping[str, Any]) -> str:
    r"""Tells whether a cutout on its native grid is of another scale than a model learnt from.

    Returns:
        What is wrong, or an empty text if nothing is, or if the scale it learnt from is unknown.
        A cutout without a scale, such as a picture, is not taken for one of the right scale.
    """

    learnt, found = card.pixel_arcsec, record.get("scale_arcsec")
    if card.scale != "native" or learnt is None:
        return ""
    if found is None or math.isnan(found):
        return (
            f"scale unknown, the model learnt from {learnt:.3g} arcsec per pixel; an experiment"
            " may give that of files without sky coordinates as data.pixel_scale"
        )
    if abs(found / learnt - 1) <= TOLERANCE:
        return ""

    return f"scale {found:.3g} arcsec per pixel, the model learnt from {learnt:.3g}"

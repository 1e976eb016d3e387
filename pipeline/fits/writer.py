r"""Images into FITS files, whole or not at all."""

__all__ = ["write_extensions", "write_image"]

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.files import replacing
from pipeline.fits.cards import BLOCK, STRUCTURAL, Value, header_bytes

_BITPIX = {"u1": 8, "i2": 16, "i4": 32, "i8": 64, "f4": -32, "f8": -64}


def write_image(path: Path, pixels: NDArray, cards: Mapping[str, Value]) -> None:
    r"""Writes one image, or one cube of bands, as the primary HDU.

    Arguments:
        path: The file to create or to replace.
        pixels: The values, with shape `(H, W)` or `(C, H, W)`.
        cards: The header, but for the cards that say how the bytes lie.

    Raises:
        DataError: If a card or the pixels cannot stand in a FITS file.
        PipelineError: If the file cannot be written.
    """

    head, body = _hdu(pixels, cards, ("SIMPLE", True))
    with replacing(path) as file:
        file.write(head)
        file.write(body)


def write_extensions(
    path: Path, images: Mapping[str, NDArray], cards: Mapping[str, Value]
) -> None:
    r"""Writes one extension per image, after a primary HDU without data.

    Arguments:
        path: The file to create or to replace.
        images: The values by name of extension, each with shape `(H, W)` or `(C, H, W)`.
        cards: The header of every extension.

    Raises:
        DataError: If a card or the pixels cannot stand in a FITS file.
        PipelineError: If the file cannot be written.
    """

    parts = [header_bytes([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)])]
    for name, pixels in images.items():
        parts += _hdu(pixels, cards, ("XTENSION", "IMAGE"), name)

    with replacing(path) as file:
        for part in parts:
            file.write(part)


def _hdu(
    pixels: NDArray,
    cards: Mapping[str, Value],
    first: tuple[str, Value],
    name: str | None = None,
) -> tuple[bytes, bytes]:
    pixels = np.asarray(pixels)
    code = pixels.dtype.str[1:]
    if code not in _BITPIX or pixels.ndim not in (2, 3) or pixels.size == 0:
        raise DataError(
            f"pixels of type {pixels.dtype} and shape {pixels.shape},"
            f" expected (H, W) or (C, H, W) of {', '.join(_BITPIX)}"
        )

    head: list[tuple[str, Value]] = [first, ("BITPIX", _BITPIX[code]), ("NAXIS", pixels.ndim)]
    head += [(f"NAXIS{i}", side) for i, side in enumerate(reversed(pixels.shape), 1)]
    if name is not None:
        head += [("PCOUNT", 0), ("GCOUNT", 1), ("EXTNAME", name)]
    taken = {key for key, _ in head}
    head += [
        (key, value)
        for key, value in cards.items()
        if key not in taken and not STRUCTURAL.fullmatch(key)
    ]
    body = pixels.astype(f">{code}").tobytes()

    return header_bytes(head), body + bytes(-len(body) % BLOCK)

r"""Colour composites, as JPEG or PNG."""

__all__ = ["read_composite"]

import io
import warnings
from hashlib import blake2b
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.errors import DataError
from pipeline.fits.frame import Frame

_COLOURS = {"RGB", "RGBA", "P"}
_FAULTS = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError)


def read_composite(path: Path) -> tuple[list[Frame], str]:
    r"""Reads the three colours of a composite.

    Arguments:
        path: A JPEG or PNG file.

    Returns:
        The blue, green and red frames, float32 from 0 to 255, NaN where transparent, with row 0
        at the bottom as in FITS, and the digest of the file.

    Raises:
        DataError: If it is not a JPEG or PNG in colour, or if it is damaged.
    """

    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
                mode = image.mode
                # A camera may say that its picture is to be turned, and a PNG what is clear
                upright = ImageOps.exif_transpose(image)
                colours = np.asarray(upright.convert("RGBA")) if mode in _COLOURS else None
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is not a JPEG or PNG image") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{path} claims too many pixels for a composite: {error}") from error
    except _FAULTS as error:
        raise DataError(f"{path} is damaged: {error}") from error

    if colours is None:
        raise DataError(f"{path} has mode {mode}, expected a colour composite (RGB)")

    # (H, W, 4) from the top, red first, to (3, H, W) from the bottom, blue first.
    planes = np.ascontiguousarray(colours[::-1, :, 2::-1].transpose(2, 0, 1), np.float32)
    planes[:, colours[::-1, :, 3] == 0] = np.nan

    return (
        [Frame(plane, {}, f"{path}[{name}]") for plane, name in zip(planes, "bgr", strict=True)],
        blake2b(data, digest_size=16).hexdigest(),
    )

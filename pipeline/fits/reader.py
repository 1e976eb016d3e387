r"""FITS files, read once and whole."""

__all__ = ["FitsFile", "read_frame"]

import bz2
import gzip
import io
import zlib
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

from pipeline.errors import DataError
from pipeline.fits import strict, tolerant
from pipeline.fits.cards import Odd
from pipeline.fits.frame import Frame

_COMPRESSED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open}


@dataclass(frozen=True, eq=False)
class FitsFile:
    r"""A file read once, and decompressed in memory.

    Whatever follows the standard to the letter is read by a strict scan of the header cards;
    the rest is left to astropy. Both give the same pixels.

    Arguments:
        path: The file.
        digest: The BLAKE2b hash (128 bits, hexadecimal) of the bytes on disk.
        data: The bytes, decompressed.
    """

    path: Path
    digest: str
    data: bytes = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> Self:
        r"""Reads a file.

        Arguments:
            path: A FITS file, plain, or compressed with gzip or bzip2.

        Raises:
            DataError: If it cannot be read, is empty, or is not a FITS file.
        """

        if Path(path).exists() and not Path(path).is_file():  # a pipe may never say anything
            raise DataError(f"{path} is no file, expected a FITS file")
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error

        digest = blake2b(data, digest_size=16).hexdigest()
        for magic, opener in _COMPRESSED.items():
            if data.startswith(magic):
                data = _decompress(path, data, opener)

        if not data:
            raise DataError(f"{path} is empty, expected a FITS file")
        if not data.startswith(b"SIMPLE"):
            raise DataError(f"{path} is not a FITS file, it begins with {data[:8]!r}")

        return cls(path, digest, data)

    def frames(self, hdu: int | str | None = None, bands: int | None = 1) -> list[Frame]:
        r"""Reads the planes of one HDU.

        Arguments:
            hdu: The index or name of the HDU. By default, the first that fits and is not called
                like errors, weights or a mask.
            bands: The number of planes. For one, the HDU must be an image `(H, W)`; for more,
                a cube `(C, H, W)`. Leading axes of length 1 do not count. None for as many as
                there are, from 1 to 8.

        Returns:
            The frames, in the order of the file.

        Raises:
            DataError: If there is no such HDU, or it does not hold that many planes, or is
                truncated or damaged.
        """

        try:
            image = strict.read(self.data, hdu, bands)
        except Odd:
            image = tolerant.read(self.path, self.data, hdu, bands)

        source = f"{self.path}[{image.index}]"
        planes = image.pixels.reshape(-1, *image.pixels.shape[-2:])
        if len(planes) == 1:
            return [Frame(planes[0], image.header, source)]

        return [Frame(p, image.header, f"{source}[{i}]", i) for i, p in enumerate(planes)]


def read_frame(path: Path, hdu: int | str | None = None) -> Frame:
    r"""Reads one image and its sky coordinates.

    Arguments:
        path: A FITS file, compressed or not.
        hdu: The index or name of the HDU. By default, as in :meth:`FitsFile.frames`.

    Raises:
        DataError: If there is no such image, or it cannot be read.
    """

    return FitsFile.open(path).frames(hdu)[0]


def _decompress(path: Path, data: bytes, opener: Any) -> bytes:
    limit, plain = tolerant.room(data), bytearray()
    try:
        with opener(io.BytesIO(data)) as file:
            while len(plain) <= limit and (chunk := file.read(1 << 20)):
                plain += chunk
    except (OSError, EOFError, zlib.error, ValueError, MemoryError) as error:
        raise DataError(f"{path} cannot be decompressed: {error}") from error
    if len(plain) > limit:
        raise DataError(f"{path} decompresses to more than {limit} bytes, which is no image")

    return bytes(plain)

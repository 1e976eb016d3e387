r"""Reads thousands of damaged FITS files: `python -m benchmarks.damaged [--files N] [--json]`.

What our reader accepts must hold exactly the pixels that astropy reads, and may point
anywhere or nowhere, at once; all else must be refused with a :class:`DataError`. The engine
serves the tests, too.
"""

__all__ = ["Case", "Outcome", "bases", "damage", "examine", "expected_pixels"]

import argparse
import bz2
import collections
import faulthandler
import gzip
import io
import json
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.fits import FitsFile

CARD = 80
BLOCK = 2880

KEYWORDS = """SIMPLE XTENSION BITPIX NAXIS NAXIS1 NAXIS2 NAXIS3 PCOUNT GCOUNT GROUPS EXTEND BSCALE
BZERO BLANK EXTNAME INHERIT BUNIT TFIELDS TFORM1 TFORM2 TTYPE1 TTYPE2 THEAP TNULL1 TSCAL1 TDIM1
ZIMAGE ZCMPTYPE ZBITPIX ZNAXIS ZNAXIS1 ZNAXIS2 ZNAXIS3 ZTILE1 ZTILE2 ZTILE3 ZNAME1 ZVAL1 ZNAME2
ZVAL2 ZSCALE ZZERO ZBLANK ZQUANTIZ ZDITHER0 ZMASKCMP ZTENSION ZPCOUNT CONTINUE COMMENT
WCSAXES CTYPE1 CTYPE2 CUNIT1 CRVAL2 CRPIX1 CD1_1 CDELT2 PV2_1 A_ORDER B_ORDER AP_ORDER A_2_0
END""".split()
VALUES = """0 1 -1 2 3 4 7 8 9 12 13 16 31 32 33 64 -32 -64 -16 100 999 1000 32768 65536 1000000
2147483647 2147483648 -2147483648 1000000000000 99999999999999999999 1.0 0.5 1.5 -0.0 1E-40 1E300
1D2 NAN INF T F 'A' '' 'IMAGE' 'BINTABLE' 'TABLE' 'RICE_1' 'GZIP_1' 'GZIP_2' 'PLIO_1' 'HCOMPRESS_1'
'NOCOMPRESS' '1PB(5)' '1QB' '1D' '1E' '1J' '0A' 'BLOCKSIZE' 'BYTEPIX' 'SCALE' 'SMOOTH'
'NO_DITHER' 'SUBTRACTIVE_DITHER_1' (1,2) 3/4 / #""".split()
SKY = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.1, "CRVAL2": 2.2}
SKY |= {"CD1_1": -1e-4, "CD2_2": 1e-4, "CRPIX1": 18.0}
BENT = {"A_ORDER": 2, "B_ORDER": 2, "AP_ORDER": 2, "BP_ORDER": 2, "A_2_0": 1e-6, "B_0_2": 1e-6}


@dataclass(frozen=True)
class Case:
    r"""A sound file, and the image asked of it.

    Arguments:
        name: What it is, with the suffix of its file.
        data: Its bytes.
        hdu: The HDU asked for, None for the first that fits.
        bands: The number of planes asked for.
    """

    name: str
    data: bytes
    hdu: int | str | None = None
    bands: int = 1


@dataclass(frozen=True)
class Outcome:
    r"""What became of one damaged file.

    Arguments:
        kind: `identical`, `refused` or `wrong`.
        reason: What the refusal said, or what was wrong.
        seconds: How long our reader took.
    """

    kind: str
    reason: str
    seconds: float


def bases() -> list[Case]:
    r"""Builds one sound file of each layout."""

    rng = np.random.default_rng(0)
    sky = rng.normal(100, 10, (3, 29, 37))
    plain = {dtype: _plain(sky[0].astype(dtype)) for dtype in ("f4", "f8", "u1", "i2", "i4", "i8")}
    scaled = fits.PrimaryHDU(sky[0].astype("i2"))
    scaled.header.update({"BSCALE": 0.25, "BZERO": 7.5, "BLANK": 100})
    zero = fits.PrimaryHDU((sky[0] - 100).astype("i2"))
    zero.header["BLANK"] = 0
    unsigned = fits.PrimaryHDU((sky[0] * 300).astype("u2"))
    unsigned.header["BLANK"] = -32768 + 30000
    table = fits.BinTableHDU.from_columns([fits.Column("x", "J", array=np.arange(9))])
    named = [fits.ImageHDU(p.astype("f4"), name=n) for p, n in zip(sky, "gri", strict=True)]
    bent = fits.PrimaryHDU(sky[0].astype("f4"))
    bent.header.update(SKY | BENT)
    long = fits.PrimaryHDU(sky[0].astype("f4"))
    long.header.update({"LONGTEXT": "a" * 90, "HIERARCH ESO INS": 1.5, "COMMENT": "hello"})

    cases = [Case(f"plain_{dtype}.fits", data) for dtype, data in plain.items()]
    cases += [
        Case("cube.fits", _plain(sky.astype("f4")), None, 3),
        Case("scaled.fits", _bytes(scaled)),
        Case("blank_zero.fits", _bytes(zero)),
        Case("unsigned.fits", _bytes(unsigned)),
        Case("long.fits", _bytes(long)),
        Case("bent.fits", _bytes(bent)),
        Case("named.fits", _bytes(fits.PrimaryHDU(), table, *named), "r"),
        Case("second.fits", _bytes(fits.PrimaryHDU(), *named), 2),
        Case("plain.fits.gz", gzip.compress(plain["f4"], mtime=0)),
        Case("plain.fits.bz2", bz2.compress(plain["i2"])),
    ]
    for method in ("RICE_1", "GZIP_1", "GZIP_2"):
        for dtype in ("i2", "f4"):
            pixels = sky[0].astype(dtype)
            cases.append(Case(f"{method}_{dtype}.fits.fz", _tiled(pixels, method)))
    cases.append(Case("HCOMPRESS_1.fits.fz", _tiled(sky[0].astype("i2"), "HCOMPRESS_1")))
    cases.append(Case("RICE_cube.fits.fz", _tiled(sky.astype("f4"), "RICE_1"), 1, 3))

    return cases


def _plain(pixels: NDArray) -> bytes:
    hdu = fits.PrimaryHDU(pixels)
    hdu.header.update({"BUNIT": "nanomaggy"} | SKY)

    return _bytes(hdu)


def _tiled(pixels: NDArray, method: str) -> bytes:
    tile = (16, 16) if method == "HCOMPRESS_1" else (1, pixels.shape[-1])
    shape = (1,) * (pixels.ndim - 2) + tile
    hdu = fits.CompImageHDU(pixels, compression_type=method, tile_shape=shape)

    return _bytes(fits.PrimaryHDU(), hdu)


def _bytes(*hdus: fits.PrimaryHDU) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = io.BytesIO()
        fits.HDUList(list(hdus)).writeto(file, output_verify="silentfix")

    return file.getvalue()


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    r"""Damages one file, one to three times, in a way that the generator chooses."""

    for _ in range(rng.integers(1, 4)):
        kind = _DAMAGES[rng.integers(len(_DAMAGES))]
        if data:
            data = kind(bytearray(data), rng)

    return data


def _flip(data: bytearray, rng: np.random.Generator) -> bytes:
    for place in rng.integers(len(data), size=rng.integers(1, 9)):
        data[place] = rng.integers(256)

    return bytes(data)


def _flip_header(data: bytearray, rng: np.random.Generator) -> bytes:
    start = BLOCK * rng.integers(-(-len(data) // BLOCK)) if rng.random() < 0.5 else 0
    stop = min(start + BLOCK, len(data))
    for place in rng.integers(start, stop, size=rng.integers(1, 4)):
        data[place] = rng.integers(32, 127) if rng.random() < 0.8 else rng.integers(256)

    return bytes(data)


def _cut(data: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(data[: rng.integers(len(data))])


def _cut_short(data: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(data[: -int(rng.integers(1, BLOCK + 1))])


def _append(data: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(data) + rng.bytes(int(rng.integers(1, 2 * BLOCK)))


def _remove_block(data: bytearray, rng: np.random.Generator) -> bytes:
    start = BLOCK * int(rng.integers(-(-len(data) // BLOCK)))

    return bytes(data[:start] + data[start + BLOCK :])


def _cards(data: bytes | bytearray) -> list[int]:
    r"""Returns where cards of any header seem to be."""

    words = tuple(word.encode() for word in KEYWORDS)

    return [i for i in range(0, len(data), CARD) if data[i : i + CARD].startswith(words)]


def _edit(data: bytearray, rng: np.random.Generator) -> bytes:
    places = _cards(data)
    if places:
        place = places[rng.integers(len(places))]
        keyword = data[place : place + 8].decode("latin-1")
        data[place : place + CARD] = _card(keyword, rng)

    return bytes(data)


def _overwrite(data: bytearray, rng: np.random.Generator) -> bytes:
    places = _cards(data)
    if places:
        place = places[rng.integers(len(places))]
        data[place : place + CARD] = _card(KEYWORDS[rng.integers(len(KEYWORDS))], rng)

    return bytes(data)


def _duplicate(data: bytearray, rng: np.random.Generator) -> bytes:
    places = _cards(data)
    if len(places) > 1:
        source, target = (places[i] for i in rng.choice(len(places), 2, replace=False))
        data[target : target + CARD] = data[source : source + CARD]

    return bytes(data)


def _insert(data: bytearray, rng: np.random.Generator) -> bytes:
    r"""Inserts a card before an `END`, and takes a blank one away behind it."""

    end, blank = data.find(b"END" + b" " * 77), data.find(b" " * 160)
    if end >= 0 and end < blank:
        card = _card(KEYWORDS[rng.integers(len(KEYWORDS))], rng)
        data = data[:end] + card + data[end : end + CARD] + data[end + 2 * CARD :]

    return bytes(data)


def _remove_end(data: bytearray, rng: np.random.Generator) -> bytes:
    end = data.find(b"END" + b" " * 77)
    if end >= 0:
        data[end : end + 3] = b"   " if rng.random() < 0.5 else b"ENS"

    return bytes(data)


def _card(keyword: str, rng: np.random.Generator) -> bytes:
    value = VALUES[rng.integers(len(VALUES))]
    text = f"{keyword:<8}= {value:>20} / edited" if rng.random() < 0.9 else f"{keyword}={value}"

    return text[:CARD].ljust(CARD).encode("latin-1")


_DAMAGES: list[Callable[[bytearray, np.random.Generator], bytes]] = [
    *(_flip, _flip_header, _cut, _cut_short, _append, _remove_block, _duplicate, _remove_end),
    *(_edit, _edit, _edit, _edit, _overwrite, _overwrite, _insert, _insert),
]


def examine(path: Path, case: Case) -> Outcome:
    r"""Reads one file, and compares what is accepted with astropy, pixel by pixel."""

    start = time.perf_counter()
    try:
        frames = FitsFile.open(path).frames(case.hdu, case.bands)
        frames[0].pixel(*frames[0].sky(0.0, 0.0))
    except DataError as error:
        return Outcome("refused", str(error), time.perf_counter() - start)
    seconds = time.perf_counter() - start

    index = int(frames[0].source.split("[")[1].split("]")[0])
    pixels = np.stack([frame.pixels for frame in frames])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            expected = expected_pixels(path, index).reshape(pixels.shape)
        except Exception as error:  # noqa: BLE001
            return Outcome("wrong", f"accepted, astropy: {error!r}", seconds)
    if not _same(pixels, expected):
        return Outcome("wrong", "other pixels than astropy", seconds)

    return Outcome("identical", "", seconds)


def _same(pixels: NDArray, expected: NDArray) -> bool:
    with np.errstate(all="ignore"):
        return np.array_equal(pixels.astype("f8"), expected.astype("f8"), equal_nan=True)


def expected_pixels(path: Path, index: int) -> NDArray:
    r"""Reads one image by astropy alone, with blank pixels NaN whatever their type."""

    with fits.open(path, memmap=False) as hdus:
        blank = hdus[index].header.get("BLANK")
        pixels = hdus[index].data
    if type(blank) is not int:
        return pixels

    with fits.open(path, memmap=False, do_not_scale_image_data=True) as hdus:
        raw = hdus[index].data

    return np.where((raw == blank) & (raw.dtype.kind in "iu"), np.nan, pixels)


def main() -> None:
    r"""Damages, reads and counts."""

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    faulthandler.enable()
    cases, counts = bases(), collections.Counter[str]()
    slowest, wrong = (0.0, ""), []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(options.files):
            case = cases[i % len(cases)]
            path = Path(folder) / case.name
            path.write_bytes(damage(case.data, np.random.default_rng([options.seed, i])))
            outcome = examine(path, case)
            counts[outcome.kind] += 1
            slowest = max(slowest, (outcome.seconds, f"{i} ({case.name})"))
            if outcome.kind == "wrong":
                wrong.append(f"file {i} ({case.name}): {outcome.reason}")

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {kind: counts[kind] for kind in ("identical", "refused", "wrong")}
    timing = {"slowest_s": round(slowest[0], 3), "slowest": slowest[1], "peak_mib": round(peak)}
    if options.json:
        sys.stdout.write(json.dumps(result | timing) + "\n")
    else:
        sys.stdout.write("\n".join([*wrong, f"{result | timing}"]) + "\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

r"""Damaged files are refused, or hold the pixels that astropy reads."""

import bz2
import gzip
import tracemalloc

import numpy as np
import pytest

from benchmarks.damaged import bases, damage, examine
from pipeline.errors import DataError
from pipeline.fits import FitsFile, read_frame, tolerant, write_image

CASES = bases()
REFUSED = {"HCOMPRESS_1.fits.fz"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_damaged(case, tmp_path):
    path = tmp_path / case.name

    path.write_bytes(case.data)
    assert examine(path, case).kind == ("refused" if case.name in REFUSED else "identical")

    for i in range(20):
        path.write_bytes(damage(case.data, np.random.default_rng([1, i])))
        outcome = examine(path, case)
        assert outcome.kind != "wrong", f"{i}: {outcome.reason}"
        assert outcome.kind == "identical" or outcome.reason.startswith(str(path))


def card(keyword: str, value: object) -> bytes:
    return f"{keyword:<8}= {value:>20}".ljust(80).encode()


@pytest.fixture
def plain(tmp_path):
    write_image(tmp_path / "plain.fits", np.ones((5, 7), "f4"), {"OBJECT": "M 51"})

    return (tmp_path / "plain.fits").read_bytes()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"<html>404</html>", "is not a FITS file"),
        (gzip.compress(b""), "is empty"),
        (gzip.compress(b"SIMPLE")[:-5], "cannot be decompressed"),
        (b"BZh91AY" + b"0" * 99, "cannot be decompressed"),
        (b"SIMPLE  =                    T", "is damaged"),
    ],
)
def test_not_fits(data, message, tmp_path):
    path = tmp_path / "x.fits"
    path.write_bytes(data)

    with pytest.raises(DataError, match=rf"x\.fits.* {message}"):
        read_frame(path)


@pytest.mark.parametrize("side", [10**6, 10**12, 10**17])
def test_impossible_sizes_take_no_memory(side, plain, tmp_path):
    path = tmp_path / "x.fits"
    path.write_bytes(plain.replace(card("NAXIS1", 7), card("NAXIS1", side)))

    tracemalloc.start()
    with pytest.raises(DataError, match=r"x\.fits\[0\] is (truncated|damaged)"):
        read_frame(path)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_impossible_tiles_take_no_memory(tmp_path):
    case = next(case for case in CASES if case.name == "RICE_1_f4.fits.fz")
    data = case.data
    for keyword, side in [("ZNAXIS1", 37), ("ZNAXIS2", 29), ("ZTILE1", 37)]:
        place = data.index(f"{keyword:<8}= {side:>20}".encode())
        data = data[:place] + card(keyword, 10**7) + data[place + 80 :]
    path = tmp_path / "x.fits.fz"
    path.write_bytes(data)

    with pytest.raises(DataError, match=r"claims 400000000000000 bytes of pixels"):
        read_frame(path)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_bombs(compress, plain, tmp_path, monkeypatch):
    assert tolerant.room(b"") == 1 << 28
    monkeypatch.setattr(tolerant, "room", lambda data: 1 << 21)
    path = tmp_path / "bomb.fits"
    path.write_bytes(compress(plain + bytes(1 << 22)))

    with pytest.raises(DataError, match="decompresses to more than"):
        FitsFile.open(path)


@pytest.mark.parametrize("edited", [card("NAXIS", 10**8), b"NAXIS=100000000".ljust(80)])
def test_endless_axes(edited, plain, tmp_path):
    path = tmp_path / "x.fits"
    path.write_bytes(plain.replace(card("NAXIS", 2), edited))

    with pytest.raises(DataError, match="is damaged: NAXIS"):
        read_frame(path)


def test_axes_of_text(plain, tmp_path):
    path = tmp_path / "x.fits"
    edited = plain.replace(card("NAXIS1", 7), card("NAXIS1", "'PLIO_1'"))
    path.write_bytes(edited.replace(card("NAXIS2", 5), card("NAXIS2", 2**31)))

    with pytest.raises(DataError, match="is damaged: NAXIS1"):
        read_frame(path)


def test_continuation_of_nothing(tmp_path):
    r"""What astropy does not open is not accepted."""

    case = next(case for case in CASES if case.name == "named.fits")
    end = b"END".ljust(80)
    odd = b"CONTINUE=         'NOCOMPRESS'".ljust(80) + end
    path = tmp_path / case.name
    path.write_bytes(case.data.replace(end + b" " * 80, odd, 1))

    assert examine(path, case).kind == "refused"

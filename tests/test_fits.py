r"""Frames hold what astropy reads, bit for bit."""

import errno
import itertools
import os
import warnings

import numpy as np
import pytest
from astropy.coordinates import FK4, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

from benchmarks.damaged import expected_pixels
from pipeline.errors import DataError, PipelineError
from pipeline.fits import (
    FitsFile,
    Frame,
    read_composite,
    read_frame,
    strict,
    write_extensions,
    write_image,
)

H, W = 11, 17
SKY = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0}
SKY |= {"CRPIX1": 4.0, "CRPIX2": 9.0}
TRUNCATED = "example_incomplete.fits"


def same_bits(a, b):
    return np.array_equal(a.astype("f8").view("u8"), b.astype("f8").view("u8"))


def test_real_files(shared_data):
    seen = strictly = 0
    for path in sorted(set(shared_data.rglob("*.fits*")) - set(shared_data.rglob(TRUNCATED))):
        file = FitsFile.open(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(path, memmap=False) as hdus:
                images = [(i, h.data) for i, h in enumerate(hdus) if h.is_image and h.size]
        for index, expected in images:
            if expected.ndim < 2:
                continue
            bands = len(expected) if expected.ndim == 3 else 1
            frames = file.frames(index, bands)
            pixels = np.stack([frame.pixels for frame in frames]).reshape(expected.shape)
            assert same_bits(pixels, expected), path
            assert pixels.dtype.isnative
            seen += 1
            try:
                assert same_bits(strict.read(file.data, index, bands).pixels, expected)
                strictly += 1
            except strict.Odd:
                pass

    assert seen > 200
    assert strictly > 0.9 * seen


def test_real_troubles(shared_data):
    with pytest.raises(DataError, match=r"incomplete\.fits\[0\] is truncated: 1386164 of 2157312"):
        FitsFile.open(shared_data / "decals_grz" / "example_incomplete.fits").frames(bands=3)
    with pytest.raises(DataError, match=r"has an image of shape \(3, 424, 424\).*\(H, W\)"):
        read_frame(shared_data / "decals_grz" / "example_a.fits")
    table = shared_data / "fields" / "sdss_subframe_1000_1_100" / "photoObj-001000-1-0100.fits"
    with pytest.raises(DataError, match="holds no image"):
        read_frame(table)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize("scale", [{}, {"BZERO": 32768}, {"BSCALE": 0.1, "BZERO": -3.5}])
@pytest.mark.parametrize("blank", [None, 0, 7])
def test_types_and_scales(dtype, scale, blank, tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 9, (2, H, W)).astype(dtype)
    hdu = fits.PrimaryHDU(pixels)
    hdu.header.update(scale)
    if blank is not None and dtype[0] != "f":
        hdu.header["BLANK"] = blank
    hdu.writeto(tmp_path / "x.fits")

    frames = FitsFile.open(tmp_path / "x.fits").frames(bands=2)
    found = np.stack([frame.pixels for frame in frames])
    assert found.shape == (2, H, W)
    assert found.dtype == (np.float64 if dtype in ("i4", "i8", "f8") else found.dtype)
    assert same_bits(found, expected_pixels(tmp_path / "x.fits", 0))
    if blank is not None and dtype[0] != "f":
        assert (np.isnan(found) == (pixels == blank)).all()


@pytest.mark.parametrize(
    ("dtype", "blank"), [("i2", 0), ("i2", -32768), ("u2", -32768), ("u1", 0)]
)
def test_blank_tiles(dtype, blank, tmp_path):
    r"""An image is blank where it was before it was compressed."""

    pixels = np.arange(H * W).reshape(H, W).astype(dtype)
    pixels[3, 4:9] = blank + 32768 if dtype == "u2" else blank
    plain = fits.PrimaryHDU(pixels)
    plain.header["BLANK"] = blank
    plain.writeto(tmp_path / "x.fits")
    fits.CompImageHDU(pixels, plain.header, compression_type="RICE_1").writeto(
        tmp_path / "x.fits.fz"
    )

    found, packed = (read_frame(tmp_path / name).pixels for name in ("x.fits", "x.fits.fz"))
    assert np.isnan(found[3, 4:9]).all()
    assert same_bits(packed, found)


def test_which_hdu(tmp_path):
    path = tmp_path / "x.fits"
    images = {name: np.full((H, W), i, "i2") for i, name in enumerate("gri")}
    write_extensions(path, images | {"cube": np.zeros((3, H, W))}, {"BUNIT": "nJy"})

    file = FitsFile.open(path)
    assert [file.frames(name)[0].pixels[0, 0] for name in ("G", "r", 3)] == [0, 1, 2]
    assert read_frame(path).source == f"{path}[1]"
    assert file.frames(bands=3)[2].source == f"{path}[4][2]"
    assert file.frames("g")[0].unit == "nJy"
    for hdu, bands, message in [
        ("cubes", 1, "has no HDU 'cubes', did you mean 'cube'?"),
        (9, 1, "has no HDU 9, expected 0 to 4"),
        (0, 1, "[0] has no image, expected an image (H, W)"),
        ("g", 3, f"[1] has an image of shape ({H}, {W}), expected a cube (3, H, W)"),
        (None, 4, "expected a cube (4, H, W)"),
    ]:
        with pytest.raises(DataError) as caught:
            file.frames(hdu, bands)
        assert message in str(caught.value)


@pytest.mark.parametrize("data_type", ["f4", ">i8"])
@pytest.mark.parametrize("name", ["ERR", "err_r", "R_RMS", "IVAR", "WHT", "DQ.2", "weight map"])
def test_flux_is_read(tmp_path, name, data_type):
    r"""Errors, weights and masks are not what is looked for, unless by their names."""

    path, pixels = tmp_path / "x.fits", np.ones((H, W), data_type)
    write_extensions(path, {name: pixels, "VARIABLE": 2 * pixels}, {})
    assert read_frame(path).pixels[0, 0] == 2
    assert read_frame(path, name).pixels[0, 0] == 1

    write_extensions(path, {name: pixels}, {})
    with pytest.raises(DataError, match=f"(?i)called '{name}', expected an image .* of flux"):
        read_frame(path)


def test_inheritance(tmp_path):
    primary = fits.PrimaryHDU()
    primary.header["EXPTIME"] = 53.9
    hdus = [fits.ImageHDU(np.ones((H, W))), fits.ImageHDU(np.ones((H, W)))]
    hdus[1].header["INHERIT"] = False
    fits.HDUList([primary, *hdus]).writeto(tmp_path / "x.fits")

    file = FitsFile.open(tmp_path / "x.fits")
    assert file.frames(1)[0].header["EXPTIME"] == 53.9
    assert file.frames(1)[0].header["NAXIS"] == 2
    assert "EXPTIME" not in file.frames(2)[0].header


@pytest.mark.parametrize(
    "cards",
    [
        {"CD1_1": -1e-4, "CD1_2": 2e-5, "CD2_1": 1e-5, "CD2_2": 2e-4},
        {"CD1_1": -1e-4, "CD2_2": 1e-4, "CDELT1": 9.0, "CDELT2": 9.0},
        {"CDELT1": 1e-4, "CDELT2": 2e-4, "CROTA2": 33.0},
        {"CDELT1": -1e-4, "CDELT2": 2e-4, "PC1_2": 0.3, "PC2_1": -0.2, "PC2_2": 0.9},
        {"PC1_1": 1e-4, "PC1_2": 2e-5, "PC2_1": 1e-5, "PC2_2": 2e-4},
        {"CDELT1": -0.3, "CDELT2": 0.3, "CUNIT1": "arcsec", "CUNIT2": "arcsec"},
    ],
)
def test_jacobian(cards):
    frame = Frame(np.zeros((H, W)), SKY | cards, "x")
    wcs = WCS(fits.Header(SKY | cards))

    assert np.allclose(frame.jacobian, wcs.pixel_scale_matrix, rtol=1e-12, atol=0)
    area = wcs.proj_plane_pixel_area().to_value("arcsec2")
    assert frame.scale_arcsec == pytest.approx(np.sqrt(area))
    assert frame.mirrored == (np.linalg.det(wcs.pixel_scale_matrix) > 0)

    # The axes may come in the other order.
    swapped = {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": 2.0, "CRVAL2": 150.0}
    other = Frame(frame.pixels, SKY | cards | swapped, "x")
    assert np.array_equal(other.jacobian, frame.jacobian[::-1])
    ra, dec = other.sky(3.0, 8.0)
    assert [dec, ra] == pytest.approx(other.wcs.wcs.crval)
    assert other.pixel(ra, dec) == pytest.approx((3.0, 8.0))


@pytest.mark.parametrize("cards", [{}, {"CD1_1": "x"}, {"CD1_1": 0.0}, {"CTYPE1": "LAMBDA"}])
def test_no_sky(cards):
    frame = Frame(np.zeros((H, W)), SKY | cards if cards else {}, "x")

    assert frame.jacobian is None
    assert frame.scale_arcsec is None
    assert not frame.mirrored
    if not cards or "CTYPE1" in cards:
        assert frame.wcs is None
        assert np.isnan(frame.pixel([1.0, 2.0], [3.0, 4.0])).all()
        assert np.isnan(frame.sky(1.0, 2.0)).all()


def test_positions():
    scale = {"CD1_1": -1e-4, "CD2_2": 1e-4}
    frame = Frame(np.zeros((H, W)), SKY | scale, "x")
    assert frame.pixel(150.0, 2.0) == pytest.approx((3.0, 8.0))

    x, y = frame.pixel([[150.0, np.nan, 330.0]], [[2.0, 2.0, -2.0]])
    assert x.shape == y.shape == (1, 3)
    assert np.isnan(x[0, 1:]).all()

    # B1950 coordinates, asked for by an ICRS position
    old = Frame(frame.pixels, SKY | scale | {"RADESYS": "FK4", "EQUINOX": 1950.0}, "x")
    icrs = SkyCoord(150.0, 2.0, unit="deg", frame=FK4(equinox="B1950")).icrs
    assert old.pixel(icrs.ra.deg, icrs.dec.deg) == pytest.approx((3.0, 8.0), abs=1e-3)
    assert old.sky(3.0, 8.0) == pytest.approx((icrs.ra.deg, icrs.dec.deg), abs=1e-7)


def test_nothing_is_said(capsys):
    r"""Not even of the terms of a distortion that the type of the axes does not name."""

    terms = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-6, "B_2_0": 1e-6}
    frame = Frame(np.zeros((H, W)), SKY | {"CD1_1": -1e-4, "CD2_2": 1e-4} | terms, "x")

    assert frame.wcs.sip is not None
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("cards", "zero_point"),
    [
        ({"MAGZERO": 25.5, "BUNIT": "Jy"}, 25.5),
        ({"MAGZP": "20.3"}, 20.3),
        ({"BUNIT": "nanomaggy"}, 22.5),
        ({"BUNIT": "nJy"}, 31.4),
        ({"BUNIT": "mJy"}, 16.4),
        ({"BUNIT": "MJy"}, -6.1),
        # ACS F814W, as its handbook has it: 25.94
        ({"PHOTFLAM": 7.0332e-20, "PHOTPLAM": 8059.8}, 25.943),
        ({"MAGZERO": "unknown"}, None),
        ({"PHOTFLAM": 0.0, "PHOTPLAM": 8059.8}, None),
        ({}, None),
    ],
)
def test_zero_point(cards, zero_point):
    found = Frame(np.zeros((H, W)), cards, "x").zero_point

    assert found is None if zero_point is None else found == pytest.approx(zero_point, abs=5e-3)


def test_saturation():
    cards = {"SATURATE": 65535, "SATUR0": 100, "SATUR1": 300}

    assert Frame(np.zeros((H, W)), cards, "x").saturation == 65535
    assert [Frame(np.zeros((H, W)), cards, "x", k).saturation for k in range(3)] == [
        100,
        300,
        65535,
    ]
    logical = {"SATURATE": True, "SATLEVEL": 900.0, "MAGZERO": True}
    frame = Frame(np.zeros((H, W)), logical, "x")
    assert (frame.saturation, frame.zero_point) == (900, None)


CARDS = {
    "BUNIT": "nanomaggy",
    "EXPTIME": 1e-7,
    "COUNT": -3,
    "FLAG": True,
    "OBSERVER": "O'Neill " + "'" * 70 + " and others",
    "HUGE": 1.7976931348623157e308,
    "NUMPY": np.float32(0.1),
    "long_keyword": "a" * 200,
}


@pytest.mark.parametrize(
    ("dtype", "shape"),
    list(itertools.product(["u1", "i2", "i4", "i8", "f4", "f8"], [(H, W), (3, H, W)])),
)
def test_written_files_are_sound(dtype, shape, tmp_path):
    path = tmp_path / "x.fits"
    pixels = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    write_image(path, pixels, CARDS)
    write_extensions(tmp_path / "y.fits", {"g": pixels, "r": pixels}, CARDS)

    for name, index in [("x.fits", 0), ("y.fits", 2)]:
        with fits.open(tmp_path / name) as hdus:
            hdus.verify("exception")
            assert np.array_equal(hdus[index].data, pixels)
            header = dict(hdus[index].header)
        assert {key: header[key.upper()] for key in CARDS} == CARDS | {
            "NUMPY": float(CARDS["NUMPY"])
        }

    frames = FitsFile.open(path).frames(bands=shape[0] if len(shape) == 3 else 1)
    assert {key: frames[0].header[key.upper()] for key in CARDS if key != "NUMPY"} == {
        key: value for key, value in CARDS.items() if key != "NUMPY"
    }
    assert same_bits(np.stack([f.pixels for f in frames]).reshape(shape), pixels)


@pytest.mark.parametrize(
    ("pixels", "cards"),
    [
        (np.zeros(W), {}),
        (np.zeros((0, W)), {}),
        (np.zeros((H, W), complex), {}),
        (np.zeros((H, W)), {"GAIN": np.nan}),
        (np.zeros((H, W)), {"GÄIN": 1}),
    ],
)
def test_unwritable(pixels, cards, tmp_path):
    with pytest.raises(DataError, match="expected"):
        write_image(tmp_path / "x.fits", pixels, cards)
    assert not list(tmp_path.iterdir())


def test_full_disk(tmp_path, monkeypatch):
    path = tmp_path / "x.fits"
    write_image(path, np.zeros((H, W)), {})
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(PipelineError, match=r"x\.fits cannot be written: the disk is full"):
        write_image(path, np.ones((H, W)), {})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.fits"]

    with pytest.raises(PipelineError, match="cannot be written"):
        write_image(tmp_path / "none" / "x.fits", np.ones((H, W)), {})


def test_digest(tmp_path):
    for name, value in [("a", 1), ("b", 1), ("c", 2)]:
        write_image(tmp_path / name, np.full((H, W), value, "f4"), {})
    a, b, c = (FitsFile.open(tmp_path / name).digest for name in "abc")

    assert a == b != c
    assert len(a) == 32


def test_composites(tmp_path, shared_data):
    colours = np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)
    Image.fromarray(colours).save(tmp_path / "x.png")
    frames, digest = read_composite(tmp_path / "x.png")
    assert np.array_equal(np.stack([f.pixels for f in frames], -1), colours[::-1, :, ::-1])
    assert frames[0].pixels.dtype == np.float32
    assert len(digest) == 32

    # What is clear is not covered, and a picture stands as its camera says
    alpha = np.full((H, W, 1), 255, np.uint8)
    alpha[:4, 5:] = 0
    Image.fromarray(np.concatenate([colours, alpha], 2)).save(tmp_path / "clear.png")
    clear = np.stack([f.pixels for f in read_composite(tmp_path / "clear.png")[0]], -1)
    assert np.array_equal(np.isnan(clear), np.repeat(alpha == 0, 3, 2)[::-1])
    assert np.array_equal(clear[: H - 4], colours[::-1, :, ::-1][: H - 4])
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by a quarter to the right
    Image.fromarray(colours).save(tmp_path / "turned.png", exif=turned)
    frames, _ = read_composite(tmp_path / "turned.png")
    upright = np.rot90(colours, -1)
    assert np.array_equal(np.stack([f.pixels for f in frames], -1), upright[::-1, :, ::-1])

    real = next((shared_data / "gz1_sdss" / "images").glob("*.jpeg"))
    assert [f.pixels.shape for f in read_composite(real)[0]] == [(423, 423)] * 3

    (tmp_path / "cut.jpg").write_bytes(real.read_bytes()[:3000])
    (tmp_path / "text.jpg").write_text("<html>")
    Image.new("L", (W, H)).save(tmp_path / "grey.png")
    Image.new("CMYK", (W, H)).save(tmp_path / "cmyk.jpg")
    Image.new("1", (20_000, 10_000)).save(tmp_path / "bomb.png")
    for name, message in [
        ("cut.jpg", "is damaged"),
        ("text.jpg", "is not a JPEG or PNG"),
        ("grey.png", "has mode L, expected a colour composite"),
        ("cmyk.jpg", "has mode CMYK"),
        ("bomb.png", "claims too many pixels"),
        ("none.png", "cannot be read"),
    ]:
        with pytest.raises(DataError, match=rf"{name} {message}"):
            read_composite(tmp_path / name)


@pytest.mark.parametrize(
    ("axes", "known"),
    [(2, True), (3, True), (65536, False), (1, False), (-1, False), (2.5, False)],
)
def test_number_of_axes(axes, known, tmp_path):
    r"""Thousands of axes, which end a process in the C library, are no sky coordinates."""

    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0}
    cards |= {"CRPIX1": 5.0, "CRPIX2": 5.0, "CDELT1": -1e-4, "CDELT2": 1e-4, "WCSAXES": axes}
    write_image(tmp_path / "x.fits", np.ones((H, W), np.float32), cards)
    assert (read_frame(tmp_path / "x.fits").wcs is not None) == known


@pytest.mark.parametrize(
    ("order", "known"), [(2, True), (9, True), (1950, False), (10**9, False), ("2", False)]
)
def test_order_of_a_distortion(order, known):
    r"""One of some thousands, which takes minutes, is damage."""

    for card in ("A_ORDER", "BP_ORDER"):
        orders = {"A_ORDER": 2, "B_ORDER": 2, "AP_ORDER": 2, "BP_ORDER": 2} | {card: order}
        frame = Frame(np.zeros((H, W)), SKY | {"CD1_1": -1e-4, "CD2_2": 1e-4} | orders, "x")
        assert (frame.wcs is not None) == known


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.fits")
    for path in (tmp_path, tmp_path / "pipe.fits"):
        with pytest.raises(DataError, match="is no file, expected a FITS file"):
            FitsFile.open(path)

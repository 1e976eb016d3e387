import numpy as np
import pytest
from scipy import ndimage

from pipeline.cutout import cut
from pipeline.errors import DataError
from pipeline.fits import Frame, read_frame
from pipeline.regrid import Affine, regrid


def header(shape, jacobian, position=(150.0, 2.0), bitpix=-32):
    r"""The cards of a tangential projection about the centre of the frame."""

    cards = {"BITPIX": bitpix, "NAXIS": 2, "NAXIS1": shape[1], "NAXIS2": shape[0]}
    cards |= {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg"}
    cards |= {"CRVAL1": position[0], "CRVAL2": position[1]}
    cards |= {"CRPIX1": (shape[1] + 1) / 2, "CRPIX2": (shape[0] + 1) / 2}
    names = ("CD1_1", "CD1_2", "CD2_1", "CD2_2")

    return cards | dict(zip(names, np.ravel(jacobian).tolist(), strict=True))


def north_up(scale):
    return np.array([[-scale, 0.0], [0.0, scale]]) / 3600


def on_sky(shape, jacobian, draw, dtype=np.float32):
    r"""A frame of a function of the sky, of arcseconds to the East and to the North."""

    y, x = np.indices(shape)
    pixels = np.stack([x - (shape[1] - 1) / 2, y - (shape[0] - 1) / 2])
    east, north = np.einsum("ij,jhw->ihw", jacobian, pixels) * 3600

    return Frame(draw(east, north).astype(dtype), header(shape, jacobian), "made")


def spiral(east, north):
    r"""One arm that winds in one sense."""

    radius, angle = np.hypot(east, north), np.arctan2(north, east)
    return np.exp(-radius / 8) * (1 + np.cos(angle - radius / 3))


def handedness(image):
    r"""The winding of the first Fourier component with radius, in an image with East left."""

    y, x = np.indices(image.shape) - (np.array(image.shape)[:, None, None] - 1) / 2
    radius, angle = np.hypot(x, y), np.arctan2(y, -x)
    rings = [image * np.exp(1j * angle) * ((radius > r) & (radius < r + 2)) for r in range(3, 15)]
    sums = np.array([ring.sum() for ring in rings])

    return np.sign(np.angle(sums[1:] / sums[:-1]).sum())


def blob(shape, centre, width=2.5):
    y, x = np.indices(shape)
    return np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * width**2))


TURNS = [np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), k) for k in range(4)]


@pytest.mark.parametrize("turn", TURNS + [t @ np.diag([-1, 1]) for t in TURNS])
@pytest.mark.parametrize("scale", [None, 1.7])
def test_handedness(turn, scale):
    frame = on_sky((61, 61), north_up(1.0) @ turn, spiral)
    image = cut([frame], (33, 31), scale).pixels[0]

    assert handedness(image) == handedness(on_sky((33, 31), north_up(1.0), spiral).pixels)


def test_mirror_is_undone():
    frame = on_sky((40, 53), north_up(0.5), spiral)
    mirrored = on_sky((40, 53), north_up(0.5) @ np.diag([-1, 1]), spiral)
    position = (150.0004, 2.0003)
    for size in ((20, 30), (21, 31)):
        for where in (None, position):
            one, other = (cut([f], size, None, where) for f in (frame, mirrored))
            # On a half pixel the two round apart by one, and no more than that.
            assert np.allclose(one.pixels, other.pixels, atol=1e-6)


def test_native_is_bit_identical():
    pixels = np.random.default_rng(0).normal(1100, 5, (50, 61))
    frame = Frame(pixels, header((50, 61), north_up(0.4)), "made")
    whole = cut([frame], (50, 61))
    assert whole.pixels.dtype == np.float64
    assert np.array_equal(whole.pixels[0], pixels)
    assert whole.scale_arcsec == pytest.approx(0.4)
    assert np.allclose(whole.position, (150, 2))
    assert np.array_equal(cut([frame], (20, 31)).pixels[0], pixels[15:35, 15:46])

    # A shift by whole pixels is a shift, and what is outside is blank.
    ra, dec = frame.sky(np.array([12.0]), np.array([40.0]))
    moved = cut([frame], (21, 31), None, (float(ra[0]), float(dec[0]))).pixels[0]
    assert np.array_equal(moved[:20, 3:], pixels[30:50, :28])
    assert np.isnan(moved[20]).all() and np.isnan(moved[:, :3]).all()


@pytest.mark.parametrize("angle", [0, 0.3, 90, 137])
@pytest.mark.parametrize("zoom", [0.37, 0.9, 1.7, 3.3])
def test_flux_is_conserved(zoom, angle):
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    matrix = zoom * np.array([[c, -s], [s, c]])
    image = blob((60, 71), (35.2, 29.7)).astype(np.float32)
    size = (int(60 / zoom), int(63 / zoom))
    offset = np.array([35, 30]) - matrix @ (np.array(size[::-1]) - 1) / 2
    out = regrid(image, Affine(matrix, offset), size)

    assert np.nansum(out, dtype=float) == pytest.approx(image.sum(dtype=float), rel=1e-6)
    # And it is where it should be.
    centre = np.array(ndimage.center_of_mass(np.nan_to_num(out)))[::-1]
    assert np.allclose(matrix @ centre + offset, (35.2, 29.7), atol=0.01)


@pytest.mark.parametrize("turned", [False, True])
def test_pixels_become_square(turned):
    r"""A round galaxy is round on a grid of a given scale, whatever pixels it was taken with."""

    jacobian = np.diag([-0.4, 0.8] if not turned else [-0.8, 0.4]) / 3600
    frame = on_sky((61, 91), jacobian, lambda east, north: np.exp(-(east**2 + north**2) / 18))
    found = cut([frame], (31, 41), np.sqrt(0.32))
    y, x = np.indices((31, 41)) - np.array([15, 20])[:, None, None]
    light = np.nan_to_num(found.pixels[0])

    assert (light * x**2).sum() == pytest.approx((light * y**2).sum(), rel=0.05)
    assert found.scale_arcsec == np.sqrt(0.32) and found.areas == pytest.approx([1])


def test_coverage():
    image = np.full((40, 50), 2.0, np.float32)
    image[:, :11] = np.nan
    for angle in (0.0, 0.001):
        matrix = 4 * np.array([[1, -angle], [angle, 1]])
        out = regrid(image, Affine(matrix, np.array([1.5, 1.5])), (10, 12))
        # The third column has one column of pixels of four: too little. Beyond, all or none.
        assert np.isnan(out[1:9, :3]).all()
        assert np.allclose(out[1:9, 3:11], 32, rtol=1e-3)
    image[:, 9:] = 2
    assert np.allclose(
        regrid(image, Affine(np.diag([4.0, 4.0]), np.array([1.5, 1.5])), (10, 12))[:, 2], 32
    )


def test_bands_meet_on_the_sky():
    # Other scale, other parity, other tangent point, turned, and smaller than the cutout.
    c, s = np.cos(0.4), np.sin(0.4)
    first = on_sky((80, 90), north_up(1.0), lambda e, n: np.exp(-((e - 4) ** 2 + n**2) / 18))
    turned = north_up(0.7) @ np.diag([-1, 1]) @ np.array([[c, -s], [s, c]])
    shape = (71, 77)
    other = Frame(np.zeros(shape, np.float32), header(shape, turned, (150.003, 2.001)), "other")
    y, x = np.indices(shape)
    ra, dec = other.sky(x.ravel(), y.ravel())
    east, north = (ra - 150) * np.cos(np.radians(2)) * 3600, (dec - 2) * 3600
    light = 0.49 * np.exp(-((east - 4) ** 2 + north**2) / 18).reshape(shape)
    other = Frame(light.astype(np.float32), other.header, "other")
    one, two = cut([first, other], (34, 37), 2.0).pixels

    both = np.isfinite(one) & np.isfinite(two)
    assert 0.2 < both.mean() < 0.9
    assert np.abs(one - two)[both].max() < 0.03 * np.nanmax(one)
    assert np.nansum(two) == pytest.approx(np.nansum(one), rel=1e-3)


def test_grids_differ_in_any_card():
    r"""Bands whose linear cards agree may still differ by a distortion."""

    shape = (40, 40)
    first = on_sky(shape, north_up(1.0), lambda east, north: np.exp(-np.hypot(east, north) / 9))
    distorted = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2}
    cards = first.header | distorted | {"A_2_0": 1e-3}
    other = Frame(first.pixels, cards, "distorted")
    one, two = cut([first, other], (32, 32)).pixels

    assert np.array_equal(one, cut([first], (32, 32)).pixels[0])
    assert np.abs(one - two).max() > 1e-3


def test_zeros():
    rng = np.random.default_rng(1)
    sky = rng.normal(0, 1, (60, 70)).astype(np.float32)
    cards = {"BITPIX": -32}

    def blank(pixels, cards=cards):
        return np.isnan(cut([Frame(pixels, cards, "made")], pixels.shape).pixels[0])

    corner = np.where(np.add.outer(np.arange(60), np.arange(70)) < 50, 0, sky).astype(np.float32)
    assert np.array_equal(blank(corner), corner == 0)
    column = sky.copy()
    column[:, 20] = 0
    assert np.array_equal(blank(column), column == 0)

    # Clipped skies, counts and integers keep theirs.
    assert not blank(np.maximum(sky, 0)).any()
    assert not blank(rng.poisson(0.05, (60, 70)).astype(np.float32)).any()
    assert not blank(corner, {"BITPIX": 16}).any()
    assert not blank(corner, {}).any()


def test_quantum():
    image = np.round(np.random.default_rng(0).normal(50, 3, (64, 64))).astype(np.float32)
    composite = Frame(image, {}, "made")
    assert cut([composite], (16, 16), 4.0, None, 1.0).quantum == pytest.approx([4.0])
    scaled = Frame(image, {"BITPIX": 16, "BSCALE": 0.5}, "made")
    assert cut([scaled], (16, 16)).quantum == pytest.approx([0.5])
    assert cut([Frame(image, {"BITPIX": -32}, "made")], (16, 16)).quantum == [0]


def test_errors():
    frame = on_sky((40, 50), north_up(1.0), spiral)
    plain = Frame(frame.pixels, {"BITPIX": -32}, "plain")
    with pytest.raises(DataError, match="RA 151.00000, Dec 2.00000 is outside the image"):
        cut([frame], (20, 20), None, (151.0, 2.0))
    with pytest.raises(DataError, match="give pixel_scale"):
        cut([plain], (20, 20), 0.5)
    with pytest.raises(DataError, match="without sky coordinates"):
        cut([frame, Frame(plain.pixels[1:], plain.header, "plain")], (20, 20))
    with pytest.raises(DataError, match="all pixels are blank"):
        cut([Frame(np.full((9, 9), np.nan, np.float32), {"BITPIX": -32}, "blank")], (9, 9))
    pixels = frame.pixels.copy()
    pixels[20, 20] = np.inf
    with pytest.raises(DataError, match="1 pixels are infinite"):
        cut([Frame(pixels, frame.header, "infinite")], (20, 20))
    unscaled = {card: frame.header[card] for card in frame.header if not card.startswith("CD")}
    for lost in (plain, Frame(frame.pixels, unscaled, "unscaled")):
        with pytest.raises(DataError, match=f"{lost.source} has no sky coordinates to find the"):
            cut([lost], (20, 20), None, (150.0, 2.0))
    assert np.isnan(cut([plain], (20, 20)).scale_arcsec)


def test_dss_bands_align(shared_data):
    # Stars of three plates, each with its own grid, fall on each other.
    for name in ("N4321", "N4402", "N4579"):
        folder = shared_data / "virgo_dss2" / name
        frames = [read_frame(next(folder.glob(f"*dss2{b}.fits"))) for b in ("blue", "red", "ir")]
        pixels = cut(frames, (160, 150), 1.1).pixels
        sharp = [p - ndimage.median_filter(p, 15) for p in pixels]
        for other in sharp[1:]:
            product = np.fft.ifft2(np.fft.fft2(sharp[0]) * np.conj(np.fft.fft2(other))).real
            shift = np.array(np.unravel_index(product.argmax(), product.shape))
            assert (np.minimum(shift, pixels.shape[1:] - shift) <= 1).all(), name

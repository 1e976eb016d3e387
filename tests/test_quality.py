import numpy as np
import pytest

from pipeline.background import background
from pipeline.cutout import cut
from pipeline.errors import DataError
from pipeline.fits import read_frame
from pipeline.quality import assess, is_noise_map


def galaxy(shape, fill, index=1.0, centre=(0.0, 0.0), ratio=0.6):
    r"""A Sersic profile whose isophote of one unit encloses a fraction of the frame."""

    y, x = np.indices(shape)
    radius = np.hypot(
        x - (shape[1] - 1) / 2 - centre[0], (y - (shape[0] - 1) / 2 - centre[1]) / ratio
    )
    edge = np.sqrt(fill * shape[0] * shape[1] / (np.pi * ratio))
    slope = 2 * index - 1 / 3

    return np.exp(
        -slope * ((radius / edge / 0.6 + 0.02) ** (1 / index) - (1 / 0.6) ** (1 / index))
    )


def sky(shape=(96, 110), seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def flags(*planes, **arguments):
    return set(assess(np.stack(planes).astype(np.float32), **arguments).flags)


@pytest.mark.parametrize(
    ("fill", "index", "bias"),
    [(0, 1, 0.03), (0.05, 1, 0.05), (0.2, 1, 0.1), (0.3, 1, 0.15), (0.1, 4, 0.12), (0.3, 4, 0.3)],
)
def test_sky_is_unbiased(fill, index, bias):
    light = galaxy((96, 110), fill, index) if fill else 0.0
    found = [background(1100 + light + sky(seed=seed)) for seed in range(12)]

    assert abs(np.mean([f.sky - 1100 for f in found])) < bias
    assert np.mean([f.noise for f in found]) == pytest.approx(1, abs=0.03)
    assert max(abs(f.noise - 1) for f in found) < 0.05


def test_dark_flaw():
    r"""A hair on a plate, or a dead column, is not the sky."""

    for hair in (np.s_[20:60, 8:14], np.s_[:, 70:73]):
        image = 1100 + galaxy((96, 110), 0.1) + sky()
        image[hair] -= np.linspace(3, 30, image[hair].shape[1])
        found = background(image)
        assert found.sky == pytest.approx(1100, abs=0.2)
        assert found.noise == pytest.approx(1, abs=0.05)


def test_gradient_and_correlation():
    y, x = np.indices((96, 110)) / 50
    tilted = [
        background(4 * x - 3 * y + sky(seed=seed) + galaxy(y.shape, 0.1)) for seed in range(9)
    ]
    assert np.mean([f.noise for f in tilted]) == pytest.approx(1, abs=0.04)
    middle = 4 * 109 / 100 - 3 * 95 / 100
    assert np.mean([f.sky for f in tilted]) == pytest.approx(middle, abs=0.15)

    # Neighbours that share their noise do not hide it.
    noise = sky((97, 111))
    shared = (noise[1:, 1:] + noise[:-1, 1:] + noise[1:, :-1] + noise[:-1, :-1]) / 2
    assert background(shared).noise == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("unit", [1e-12, 1e6])
def test_unit_does_not_matter(unit):
    planes = np.stack([galaxy((96, 110), 0.1) + sky(seed=seed) for seed in range(3)])
    planes[1, :30] = np.nan
    one, other = assess(planes), assess(planes * unit)

    assert one.flags == other.flags
    assert np.array_equal(one.coverage, other.coverage)
    assert np.array_equal(one.saturation, other.saturation)
    assert np.allclose(other.sky, one.sky * unit, rtol=1e-6, atol=1e-6 * unit)
    assert np.allclose(other.noise, one.noise * unit, rtol=1e-6)


def test_rounding():
    for quantum in (0.5, 1.0, 2.0):
        rounded = quantum * np.round(sky() / quantum + 0.3)
        expected = np.sqrt(1 + quantum**2 / 12)
        assert background(rounded, quantum).noise == pytest.approx(expected, rel=0.05)

    # A black composite: most of the sky is zero, and stays finite.
    black = np.clip(np.round(galaxy((96, 110), 0.1) + 0.1 * sky()), 0, 255)
    assert background(black, 1.0).noise >= 12**-0.5
    # A model without noise has some all the same.
    model = assess(np.maximum(galaxy((96, 110), 0.1) - 1, 0)[None])
    assert 0 < model.noise[0] < model.sky[0] + 10


def test_flags():
    light, noise = 3 * galaxy((96, 110), 0.05), sky()
    good = light + noise
    assert flags(good, light + sky(seed=1)) == set()
    assert flags(noise) == {"low_signal"}
    assert flags(3 * galaxy((96, 110), 0.05, centre=(35, 0)) + noise) == {"off_centre"}
    assert flags(good + 9 * galaxy((96, 110), 0.05, centre=(40, 30))) == {"bright_neighbour"}
    assert flags(good + galaxy((96, 110), 0.03, centre=(40, 30))) == set()
    assert flags(good + 30 * galaxy((96, 110), 0.1, 4, centre=(80, 0))) == {"bright_neighbour"}
    assert flags(np.minimum(good, 6)) == {"saturated"}
    assert flags(good, saturation_level=np.array([10.0])) == {"saturated"}

    corner = np.where(np.add.outer(np.arange(96), np.arange(110)) < 40, np.nan, good)
    assert flags(good, corner) == {"edge"}
    half = good.copy()
    half[:60] = np.nan
    for missing in (half, np.full_like(good, np.nan), np.zeros_like(good)):
        assert flags(good, missing) == {"band_missing", "edge"}
        found = assess(np.stack([good, missing]))
        assert found.coverage[1] < 0.5 and np.isfinite(found.noise[0])


@pytest.mark.parametrize("quantum", [None, np.ones(2)])
def test_rejections(quantum):
    good = np.stack([galaxy((96, 110), 0.1) + sky(seed=seed) for seed in range(2)])
    for pixels, reason in (
        (np.full_like(good, np.nan), "all pixels are blank"),
        (np.full_like(good, 7.0), "all pixels have the same value, 7"),
        (np.where(good > 8, np.inf, good), "infinite"),
        (np.where(np.arange(110) < 70, np.nan, good), "only 36% of the cutout has data"),
    ):
        with pytest.raises(DataError, match=reason):
            assess(pixels, quantum)


def read(folder, *patterns):
    return [read_frame(next(folder.glob(pattern))) for pattern in patterns]


@pytest.mark.parametrize(
    ("folder", "patterns", "expected"),
    [
        ("aegis_hst/cutouts", ("12011504*.v_*", "12011504*.i_*"), {"edge"}),
        ("aegis_hst/cutouts", ("11051203*.v_*", "11051203*.i_*"), set()),
        ("virgo_dss2/N4647", ("*dss2blue*", "*dss2red*", "*dss2ir*"), {"bright_neighbour"}),
        ("virgo_dss2/N4388", ("*2mass_j*", "*2mass_h*", "*2mass_k*"), {"off_centre"}),
        ("virgo_dss2/N4321", ("*2mass_j*", "*2mass_h*", "*2mass_k*"), set()),
        ("sdss_r", ("1237653622298509849.fits",), {"edge"}),
        ("sdss_r", ("1237667735031251259.fits",), set()),
        # Its sky is clipped at zero in single pixels, which is not a lack of data.
        ("specimens/splus_8band", ("splus_test_g.fits", "splus_test_r.fits"), set()),
    ],
)
def test_real_flags(shared_data, folder, patterns, expected):
    frames = read(shared_data / folder, *patterns)
    cutout = cut(frames, frames[0].pixels.shape)
    assert set(assess(cutout.pixels, cutout.quantum).flags) == expected


def test_map_of_noise(shared_data):
    folder = shared_data / "specimens"
    (rms,) = read(folder, "*_rms.fits.gz")
    images = read(folder, "abell_*w.fits.gz") + read(folder, "M86*.fits")
    images += read(shared_data / "sdss_r", "123766[0-9]*.fits")[:8]

    assert is_noise_map(rms.pixels)
    assert is_noise_map(1e-12 * rms.pixels[:128, :100])
    assert not any(is_noise_map(frame.pixels) for frame in images)
    assert not is_noise_map(np.full((64, 64), np.nan))

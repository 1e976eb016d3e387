import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from astropy.cosmology import FlatLambdaCDM
from astropy.io import fits
from astropy.wcs import WCS
from scipy.special import gammainc
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

from pipeline.catalogue import read_table
from pipeline.errors import ConfigError, DataError
from pipeline.fits import FitsFile, read_composite, read_frame, write_image
from pipeline.labels import Scheme
from pipeline.simulate import CLASSES, FAULTS, MIRROR, render, simulate
from pipeline.simulate.camera import CAMERA, blur, expose
from pipeline.simulate.profiles import edge_on_disk, ferrers_bar, moffat, sersic, sersic_b
from pipeline.simulate.render import Grid, integrate, light
from pipeline.simulate.scene import distance_modulus, draw, generator, label
from pipeline.simulate.write import NUMBERS, fault


def scene(labels, seed=0):
    numbers = [generator(seed, k).random(NUMBERS, dtype=np.float32) for k in range(len(labels))]

    return draw(tuple(labels), torch.tensor(np.stack(numbers)), 25.6)


def winding(image):
    r"""Above 0 if the azimuth of two arms grows outwards: a Fourier transform in ln R."""

    h, w = image.shape
    y, x = np.mgrid[:h, :w] - np.array([(h - 1) / 2, (w - 1) / 2])[:, None, None]
    radius, azimuth = np.hypot(x, y), np.arctan2(y, x)
    inside = (radius > 4) & (radius < 22)
    ring, value = radius[inside].astype(int), image[inside]
    mean = (np.bincount(ring, value) / np.maximum(np.bincount(ring), 1))[ring]
    arms = (value - mean) / (mean + np.median(mean)) / radius[inside] ** 2
    arms = arms * np.exp(2j * azimuth[inside])
    waves = np.exp(1j * np.arange(1, 15)[:, None] * np.log(radius[inside]))
    outward, inward = np.abs(waves.conj() @ arms).sum(), np.abs(waves @ arms).sum()

    return (outward - inward) / (outward + inward)


def composite(path):
    r"""The middle of a colour composite, in pixels of 1.6 arcsec."""

    image = np.sum([frame.pixels for frame in read_composite(path)[0]], axis=0)

    return image[111:311, 111:311].reshape(50, 4, 50, 4).mean((1, 3))


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    folder = tmp_path_factory.mktemp("survey")

    return simulate(folder, galaxies=24, seed=3).parent


def test_same_seed_same_bytes(survey, tmp_path):
    # A galaxy does not depend on how many there are
    again = simulate(tmp_path / "again", galaxies=24, seed=3).parent
    fewer = simulate(tmp_path / "fewer", galaxies=5, seed=3).parent
    other = simulate(tmp_path / "other", galaxies=5, seed=4).parent

    names = sorted(path.relative_to(survey) for path in survey.rglob("*.*"))
    assert len(names) == 26
    assert all((again / name).read_bytes() == (survey / name).read_bytes() for name in names)

    cutouts = sorted(path.relative_to(fewer) for path in fewer.glob("cutouts/*"))
    assert len(cutouts) == 5
    for name in cutouts:
        assert (fewer / name).read_bytes() == (survey / name).read_bytes()
        assert (other / name).read_bytes() != (survey / name).read_bytes()


def test_render_is_batch_independent():
    together = render(range(0, 16), seed=0, side=48)[0]

    for first, last in ((0, 1), (3, 8)):
        apart = render(range(first, last), seed=0, side=48)[0]
        assert torch.allclose(apart, together[first:last], rtol=1e-4, atol=1e-4)


def test_files_are_real(survey):
    table = read_table(survey / "labels.csv").to_pandas()
    truth = pd.read_parquet(survey / "truth.parquet")
    assert list(table.columns) == ["id", "ra", "dec", "label", "redshift", "petro_r"]
    assert (truth.id == table.id).all() and set(truth.fault) <= {"", *FAULTS}

    for row in table[truth.fault != "truncated"].itertuples():
        pixels, header = fits.getdata(survey / f"cutouts/{row.id}.fits", header=True)
        assert pixels.shape == (4, 64, 64) and header["BUNIT"] == "nanomaggy"
        assert [header[f"BAND{k}"] for k in range(4)] == list("griz")
        assert {"EXPTIME", "MAGZERO", "GAIN0", "SATUR3", "FILTER"} <= set(header)
        assert not {"GAIN", "SATURATE"} & set(header)  # of no one value in all bands
        assert header["OBJECT"] == row.id

        wcs = WCS(header).celestial
        assert np.allclose(wcs.all_pix2world(31.5, 31.5, 0), (row.ra, row.dec))
        assert np.allclose(wcs.proj_plane_pixel_scales()[0].to_value("arcsec"), 0.4)
        assert np.linalg.det(wcs.pixel_scale_matrix) < 0

    frames = FitsFile.open(survey / f"cutouts/{table.id[truth.fault == ''].iloc[0]}.fits").frames(
        bands=4
    )
    assert len(frames) == 4 and not frames[0].mirrored
    full = CAMERA.full_well / np.array(CAMERA.electrons) - CAMERA.sky_flux
    assert [frame.saturation for frame in frames] == pytest.approx(full, abs=1e-3)


def test_labels_are_balanced():
    labels = [label(0, index) for index in range(400)]

    assert {labels.count(name) for name in CLASSES} == {50}
    assert len(Scheme.of(CLASSES, MIRROR)) == len(CLASSES)
    assert labels[: len(CLASSES)] != labels[len(CLASSES) : 2 * len(CLASSES)]


def test_faults(tmp_path):
    drawn = [fault(0, index, 0.04) for index in range(6000)]
    share = sum(name != "" for name in drawn) / len(drawn)
    assert abs(share - 0.04) < 4 * math.sqrt(0.04 * 0.96 / len(drawn))
    assert set(drawn) == {"", *FAULTS}

    simulate(tmp_path, galaxies=40, faults=1.0)
    truth = pd.read_parquet(tmp_path / "truth.parquet")
    assert set(truth.fault) == set(FAULTS)
    for row in truth.itertuples():
        path = tmp_path / f"cutouts/{row.id}.fits"
        if row.fault == "truncated":
            with pytest.raises(DataError):
                FitsFile.open(path).frames(bands=4)
            continue
        pixels = fits.getdata(path)
        blank = (np.isnan(pixels) | (pixels == 0)).mean((1, 2))
        if row.fault == "missing_band":
            assert sorted(blank.round(2)) == [0, 0, 0, 1]
        if row.fault == "detector_edge":
            assert (blank > 0.05).all() and (blank < 0.45).all()
        if row.fault == "dead_columns":
            assert sorted(blank > 0.01) == [False, False, False, True]
        if row.fault == "saturation":
            assert np.nanmax(pixels[1]) == pytest.approx(fits.getval(path, "SATUR1"), abs=1e-2)


def test_wrong_arguments(tmp_path):
    with pytest.raises(ConfigError, match="galaxies=0"):
        simulate(tmp_path, galaxies=0)
    with pytest.raises(ConfigError, match="faults=2"):
        simulate(tmp_path, faults=2)


@pytest.mark.parametrize("index", [0.7, 1.0, 4.0, 6.0])
@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.13, -0.37)])
def test_sersic_flux(index, centre):
    # Light within a radius is the incomplete gamma function, although the centre is a cusp
    grid = Grid(side=48, scale=0.4)
    x, y = torch.tensor([centre[0]]), torch.tensor([centre[1]])
    shape = torch.tensor(3.0), torch.tensor(index), torch.tensor(1.0)
    cx, cy = x[:, None, None, None], y[:, None, None, None]
    image = integrate(
        lambda px, py: sersic(torch.hypot(px - cx, py - cy), *shape),
        x,
        y,
        grid,
    )[0, 0]
    radius = torch.hypot(grid.axis() - x, grid.axis()[:, None] - y)

    b = float(sersic_b(shape[1]))
    for limit in (2.0, 4.0, 9.0):
        expected = gammainc(2 * index, b * (limit / 3.0) ** (1 / index))
        assert float(image[radius < limit].sum()) == pytest.approx(expected, rel=0.02)
    assert gammainc(2 * index, b) == pytest.approx(0.5, abs=1e-3)


def test_profiles_have_unit_flux():
    x = torch.linspace(-60, 60, 1201)
    y, area = x[:, None], (x[1] - x[0]) ** 2
    value = torch.tensor
    disk = edge_on_disk(x, y, value(4.0), value(1.0))
    bar = ferrers_bar(x, y, value(8.0), value(2.0))
    star = moffat(torch.hypot(x, y), value(3.0), value(3.5))

    for image in (disk, bar, star):
        assert float(image.sum() * area) == pytest.approx(1, abs=5e-3)
    half = star[600] >= star.max() / 2
    assert float(x[half].max() - x[half].min()) == pytest.approx(3.0, abs=0.25)


def test_blur_and_exposure_keep_flux():
    grid = Grid(side=41, scale=0.4)
    image = torch.zeros(1, 4, 114, 114)
    image[:, :, 56:58, 56:58] = 25.0
    blurred = blur(image, torch.full((1, 4), 1.2), torch.tensor([4.0]), grid)
    assert blurred.shape == (1, 4, 41, 41)
    assert torch.allclose(blurred.sum((2, 3)), torch.tensor(100.0), rtol=0.02)
    assert torch.allclose(blurred, blurred.flip(2, 3), atol=1e-4)

    # Noise is what counting says, even on an image that is not square
    flat = np.full((4, 96, 80), 0.5, dtype=np.float32)
    noisy = expose(flat, CAMERA, generator(0, 0))
    electrons = np.array(CAMERA.electrons)
    expected = np.sqrt(electrons * (0.5 + CAMERA.sky_flux) + CAMERA.read_noise**2) / electrons
    assert np.allclose(noisy.mean((1, 2)), 0.5, atol=0.02)
    assert np.allclose(noisy.std((1, 2)), expected, rtol=0.05)


def test_mirrored_parameters_draw_a_mirror_image():
    before, _ = scene(CLASSES)
    background, stars = before.neighbours.clone(), before.stars.clone()
    background[..., 0] *= -1
    background[..., 5] = math.pi - background[..., 5]
    stars[..., 0] *= -1

    def mirrored(body):
        return body | {
            "x": -body["x"],
            "angle": math.pi - body["angle"],
            "parity": -body["parity"],
        }

    after = replace(
        before,
        body=mirrored(before.body),
        companion=mirrored(before.companion),
        neighbours=background,
        stars=stars,
    )
    grid = Grid(side=40, scale=0.4)
    for image, reflection in zip(light(before, grid), light(after, grid), strict=True):
        peak = image.amax((2, 3), keepdim=True)
        assert ((reflection.flip(3) - image).abs() / peak).max() < 2e-3


def test_handedness_is_that_of_galaxy_zoo(shared_data):
    images, _, drawn, _ = render(range(0, 80), seed=0, side=64)
    simulated = {
        name: [
            winding(x[:2].sum(0).numpy())
            for x, k in zip(images, drawn.labels, strict=True)
            if k == name
        ]
        for name in ("spiral_clockwise", "spiral_anticlockwise")
    }
    table = pd.read_csv(shared_data / "gz1_sdss" / "labels.csv")
    for name, way in (("spiral_clockwise", 1), ("spiral_anticlockwise", -1)):
        assert np.mean(np.sign(simulated[name]) == way) >= 0.8

        files = table.file[table.label == name].iloc[:90]
        real = [winding(composite(shared_data / "gz1_sdss" / file)) for file in files]
        assert way * np.mean(real) > 3 * np.std(real) / math.sqrt(len(real))


def test_distance():
    cosmology = FlatLambdaCDM(H0=70, Om0=0.3)
    redshift = torch.tensor([0.03, 0.08])
    modulus, kpc_per_arcsec = distance_modulus(redshift)
    assert np.allclose(modulus, cosmology.distmod(redshift.numpy()).value, atol=2e-3)
    assert np.allclose(
        kpc_per_arcsec, cosmology.kpc_proper_per_arcmin(redshift.numpy()).value / 60, rtol=1e-3
    )

    # The same galaxy further away: surface brightness falls as Tolman says
    brightness = 10 ** (-0.4 * modulus) * kpc_per_arcsec**2
    dimming = ((1 + redshift[0]) / (1 + redshift[1])) ** 4
    assert float(brightness[1] / brightness[0]) == pytest.approx(float(dimming), rel=1e-4)


def test_fluxes_do_not_tell_the_class():
    labels = [label(0, index) for index in range(1200)]
    drawn, known = scene(labels)
    columns = [*drawn.flux.log().unbind(1), known["redshift"], drawn.body["size"]]
    forest = RandomForestClassifier(100, min_samples_leaf=3, random_state=0)
    accuracy = cross_val_score(forest, torch.stack(columns, dim=1).numpy(), labels, cv=3).mean()

    assert 1 / len(CLASSES) - 0.05 < accuracy < 0.35


def test_handedness_survives_the_file(tmp_path):
    images, _, drawn, _ = render(range(0, 16), seed=0, side=64)
    k = drawn.labels.index("spiral_clockwise")
    write_image(tmp_path / "x.fits", images[k, 1].numpy(), {})

    assert winding(read_frame(tmp_path / "x.fits").pixels) > 0

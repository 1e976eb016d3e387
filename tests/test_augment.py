import math
from dataclasses import replace

import pytest
import torch

from pipeline.augment import Augment, symmetry
from pipeline.errors import ConfigError
from pipeline.stretch import Stretch

EVERYTHING = Augment(
    rotation=180, reflection=0.5, scale=0.2, shear=0.1, shift=3,
    flux_jitter=0.1, blur=1.0, noise=0.5, band_dropout=0.3,
)  # fmt: skip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grid(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return x - (width - 1) / 2, y - (height - 1) / 2


def source(height: int, width: int, x0: float, y0: float, sigma: float = 1.5) -> torch.Tensor:
    x, y = grid(height, width)
    return torch.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * sigma**2))


def centre(image: torch.Tensor) -> tuple[float, float]:
    x, y = grid(*image.shape[-2:])
    return ((image * x).sum() / image.sum()).item(), ((image * y).sum() / image.sum()).item()


def spiral(height: int, width: int, turn: int) -> torch.Tensor:
    x, y = grid(height, width)
    r, angle = torch.hypot(x, y) + 1e-3, torch.atan2(y, x)
    return (1 + torch.cos(2 * angle - turn * 4 * torch.log(r))) * torch.exp(-(((r - 11) / 6) ** 2))


def handedness(image: torch.Tensor) -> torch.Tensor:
    # The strength of the right-handed arms less that of the left-handed ones.
    x, y = grid(*image.shape[-2:])
    r, angle = torch.hypot(x, y) + 1e-3, torch.atan2(y, x)
    phases = [torch.exp(1j * (2 * angle - turn * 4 * torch.log(r))) for turn in (1, -1)]
    right, left = ((image * phase).sum((-2, -1)).abs() for phase in phases)
    return (right - left) / (right + left)


def test_nothing_asked_is_the_identity():
    x = torch.randn(5, 3, 9, 14)
    y, reflected = Augment()(x, generator())

    assert torch.equal(x, y) and not reflected.any()


@pytest.mark.parametrize("shape", [(16, 16), (9, 14)])
def test_symmetries_are_exact(shape):
    x = torch.randn(64, 2, *shape)
    augment = Augment(quarter_turns=True, reflection=0.5)
    draw = augment.draw(x.shape, generator())
    y, reflected = augment(x, generator())

    group = {(t, m) for t, m in zip(draw.turns.tolist(), reflected.tolist(), strict=True)}
    assert len(group) == (8 if shape[0] == shape[1] else 4)
    for i in range(len(x)):
        expected = x[i].flip(-1) if reflected[i] else x[i]
        assert torch.equal(y[i], expected.rot90(-int(draw.turns[i]), (-2, -1)))

    # The affine map of the same parts agrees with the permutation
    affine = Augment()._affine(torch.full((64, 5), 0.5), draw.turns, reflected)
    z = augment.apply(x, draw._replace(affine=affine), Stretch("linear", 1))
    torch.testing.assert_close(z, y, rtol=0, atol=1e-5 * x.abs().max().item())


def test_a_reflection_undoes_itself():
    x = torch.randn(4, 3, 9, 14)
    augment = Augment(reflection=1)
    once, reflected = augment(x, generator())

    assert reflected.all() and not torch.equal(once, x)
    assert torch.equal(augment(once, generator())[0], x)


def test_parts_in_the_documented_order():
    # One point of the galaxy, carried by each part in turn, is where the image shows it.
    height, width = 41, 56
    x0, y0 = 5.0, -3.0
    x = source(height, width, x0, y0, sigma=2.5).expand(64, 1, -1, -1)
    augment = Augment(rotation=180, reflection=0.5, scale=0.2, shear=0.3, shift=4)
    y, reflected = augment(x, generator(1))

    u = torch.rand(64, 10, generator=generator(1), dtype=torch.float64)
    signed = 2 * u - 1
    for i in range(64):
        px, py = (-x0 if reflected[i] else x0), y0
        zoom = 1.2 ** signed[i, 3].item()
        px, py = zoom * px, zoom * py
        px += 0.3 * signed[i, 4].item() * py
        angle = math.radians(180 * signed[i, 2].item())
        px, py = (
            math.cos(angle) * px - math.sin(angle) * py,
            math.sin(angle) * px + math.cos(angle) * py,
        )
        px, py = px + 4 * signed[i, 5].item(), py + 4 * signed[i, 6].item()
        assert centre(y[i, 0]) == pytest.approx((px, py), abs=0.02)


def test_flux():
    x = source(48, 63, 2.3, -1.7).expand(128, 2, -1, -1)
    moved, _ = Augment(rotation=180, reflection=0.5, shear=0.1, shift=5)(x, generator())
    assert (moved.sum((-2, -1)) / x.sum((-2, -1)) - 1).abs().max() < 0.01

    # A zoom keeps the surface brightness
    x = source(48, 63, 2.3, -1.7, sigma=3).expand(128, 2, -1, -1)
    zoomed, _ = Augment(scale=0.3)(x, generator())
    u = torch.rand(128, 10, generator=generator(), dtype=torch.float64)[:, 3, None]
    zoom = 1.3 ** (2 * u - 1)
    assert (zoomed.sum((-2, -1)) / x.sum((-2, -1)) / zoom**2 - 1).abs().max() < 0.01


@pytest.mark.parametrize(
    "augment",
    [
        Augment(quarter_turns=True, reflection=0.5),
        replace(EVERYTHING, noise=0.0, band_dropout=0.0),
    ],
)
@pytest.mark.parametrize("turn", [-1, 1])
def test_only_a_reflection_changes_the_handedness(augment, turn):
    x = spiral(48, 48, turn).expand(64, 2, -1, -1)
    y, reflected = augment(100 * x, generator(), Stretch("asinh"))

    sign = torch.where(reflected, -turn, turn)
    assert 16 < reflected.sum() < 48
    assert (sign * handedness(y[:, 0]) > 0.3).all()


def test_same_numbers_same_views():
    x = torch.randn(8, 3, 9, 14)
    y, reflected = EVERYTHING(x, generator(3))
    again, reflected_again = EVERYTHING(x, generator(3))
    other, _ = EVERYTHING(x, generator(4))

    assert torch.equal(y, again) and torch.equal(reflected, reflected_again)
    assert not torch.equal(y, other)

    # What else is asked for does not change where a galaxy points
    plain = replace(EVERYTHING, flux_jitter=0.0, blur=0.0, noise=0.0, band_dropout=0.0)
    draws = [augment.draw(x.shape, generator(3)) for augment in (EVERYTHING, plain)]
    assert torch.equal(draws[0].affine, draws[1].affine)

    # Parts of a batch are the batch in parts
    stretch = Stretch()
    halves = [EVERYTHING.apply(x[a:b], draws[0].part(a, b), stretch) for a, b in [(0, 3), (3, 8)]]
    torch.testing.assert_close(torch.cat(halves), EVERYTHING.apply(x, draws[0], stretch))


def test_blur_adds_its_variance_and_keeps_the_flux():
    x = torch.zeros(32, 1, 41, 56)
    x[:, :, 20, 30] = 6e4
    nothing = x.new_zeros(x.shape)
    y, noise = (Augment(blur=2.0)(one, generator())[0] for one in (x, nothing))
    y -= noise  # what is given back of it

    sigma = 2.0 * torch.rand(32, 10, generator=generator(), dtype=torch.float64)[:, 7]
    columns, rows = torch.arange(56), torch.arange(41)[:, None]
    for axis in (columns - 30, rows - 20):
        variance = (y[:, 0] * axis**2).sum((-2, -1)) / 6e4
        torch.testing.assert_close(variance.double(), sigma**2, rtol=2e-3, atol=2e-4)
    torch.testing.assert_close(y.sum((-2, -1)), x.sum((-2, -1)))


def test_noise_keeps_the_unit():
    # Sky of unit noise stays so: a shallower image is what its own ingest would have made.
    y, _ = Augment(noise=3.0)(torch.randn(64, 2, 32, 45), generator())
    assert y.std((1, 2, 3)).sub(1).abs().max() < 0.06

    for blur in (1.0, 3.0):
        for noise in (0.0, 2.0):
            y, _ = Augment(blur=blur, noise=noise)(torch.randn(64, 2, 48, 45), generator())
            inside = y[..., 14:-14, 14:-14]  # beyond the edge is no noise to be blurred
            assert inside.std((1, 2, 3)).sub(1).abs().max() < 0.15
            assert inside.std() == pytest.approx(1, abs=0.02)

    # And a source fades by the depth that was drawn
    x = torch.full((64, 1, 32, 45), 100.0)
    y, _ = Augment(noise=3.0)(x, generator())
    sigma = 3.0 * torch.rand(64, 10, generator=generator(), dtype=torch.float64)[:, 9]
    faded = 100 / torch.sqrt(1 + sigma**2)
    assert (y.mean((1, 2, 3)) - faded).abs().max() < 0.15


def test_bands():
    x = torch.ones(500, 3, 5, 8)
    y, _ = Augment(band_dropout=0.6)(x, generator())
    lost = (y == 0).all(-1).all(-1)
    assert ((y == 0) | (y == 1)).all() and not lost.all(1).any()
    # 0.6 each, less a band put back in the 0.6^3 of galaxies that lost all
    assert lost.float().mean().item() == pytest.approx(0.6 - 0.6**3 / 3, abs=0.04)

    assert torch.equal(Augment(band_dropout=1.0)(x[:, :1], generator())[0], x[:, :1])

    y, _ = Augment(flux_jitter=0.2)(x, generator())
    magnitudes = -2.5 * y[:, :, 0, 0].log10()
    assert magnitudes.abs().max() < 0.2 + 1e-5 and magnitudes.std() == pytest.approx(
        0.115, abs=0.01
    )


def test_blank_stays_sky():
    x = torch.full((6, 2, 12, 17), 50.0)
    x[:, 0, :, :4] = torch.nan
    x[:, 1, 3, 3] = torch.inf
    photometric = Augment(flux_jitter=0.1, blur=1.0, noise=1.0)
    for augment in (Augment(), photometric, EVERYTHING):
        y, _ = augment(x, generator(), Stretch())
        assert y.isfinite().all()
    y, _ = photometric(x, generator(), Stretch())
    assert (y[:, 0, :, :4] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rotation": 190}, "rotation=190, expected 0 to 180"),
        ({"reflection": 1.5}, "reflection=1.5, expected 0 to 1"),
        ({"scale": -0.1}, "scale=-0.1"),
        ({"shift": math.nan}, "shift=nan"),
        ({"rotation": True}, "rotation=True, expected a number"),
        ({"quarter_turns": 1}, "quarter_turns=1, expected true or false"),
    ],
)
def test_impossible_amplitudes(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Augment(**arguments)


def test_symmetry_of_frames():
    x = torch.randn(3, 9, 14)
    assert symmetry(x, 1, False).shape == (3, 14, 9)
    assert torch.equal(symmetry(symmetry(x, 1, True), 1, True), x)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_devices_agree():
    x = 100 * torch.randn(16, 3, 33, 48)
    y, reflected = EVERYTHING(x, generator(), Stretch())
    z, reflected_there = EVERYTHING(x.cuda(), generator(), Stretch())

    torch.testing.assert_close(z.cpu(), y, rtol=1e-4, atol=1e-4)
    assert torch.equal(reflected, reflected_there)

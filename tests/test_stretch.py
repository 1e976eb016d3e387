import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from pipeline.errors import ConfigError
from pipeline.stretch import LIMIT, STRETCHES, Stretch


@pytest.mark.parametrize("kind", STRETCHES)
def test_laws(kind):
    stretch = Stretch(kind, softening=2.0, scale=1.5)
    x = 30 * torch.randn(5, 3, 9, 14)
    y = stretch(x)
    assert y.dtype == torch.float32 and y.shape == x.shape

    # Odd, and increasing with the exposure
    torch.testing.assert_close(stretch(-x), -y)
    assert (stretch(1.1 * x).abs() >= y.abs()).all()

    # Linear below the noise
    faint = 1e-3 * x
    torch.testing.assert_close(stretch(faint) * 2 * 1.5, faint, rtol=0.05, atol=0)

    # A galaxy does not see its neighbours in the batch
    torch.testing.assert_close(stretch(x[2:3]), y[2:3])


@pytest.mark.parametrize("kind", STRETCHES)
def test_half_precision_is_only_a_faster_way(kind):
    x = (100 * torch.randn(4, 2, 7, 12)).half()
    x[0, 0, 0, :4] = torch.tensor([torch.nan, torch.inf, -torch.inf, 6e4])

    torch.testing.assert_close(Stretch(kind)(x), Stretch(kind)(x.float()), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", STRETCHES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_bad_pixels(kind, dtype):
    x = torch.tensor([torch.nan, 0.0, torch.inf, -torch.inf, -5000.0, 6e4], dtype=dtype)
    x = x.expand(2, 3, 4, 6)
    before = x.clone()
    y = Stretch(kind)(x)

    assert y.isfinite().all()
    assert (y[..., :2] == 0).all()
    torch.testing.assert_close(y[..., 2], -y[..., 3])
    assert (y[..., 2] >= y[..., 5]).all() and (y[..., 4] < 0).all()
    torch.testing.assert_close(x, before, equal_nan=True)
    assert Stretch(kind)(torch.full((1, 2, 3, 4), 1e30)).max() <= LIMIT


def test_reference():
    x = 1e3 * torch.randn(2, 3, 8, 5)
    u = x.double().numpy() / 3
    expected = {
        "asinh": np.arcsinh(u),
        "linear": u,
        "log": np.sign(u) * np.log1p(np.abs(u)),
    }
    for kind, y in expected.items():
        np.testing.assert_allclose(Stretch(kind, 3.0, 2.0)(x), y / 2, rtol=1e-5)


def test_lupton_keeps_colours():
    x = torch.rand(2, 4, 6, 9) * torch.logspace(-2, 4, 9)
    y = Stretch("lupton")(x)

    torch.testing.assert_close(y / y.mean(1, True), x / x.mean(1, True))
    torch.testing.assert_close(y.mean(1), Stretch("asinh")(x.mean(1)))

    # Bands that cancel are no singularity
    cancelling = torch.tensor([1e4, -1e4]).view(1, 2, 1, 1)
    assert Stretch("lupton")(cancelling).abs().max() < 20


def test_recipe():
    stretch = Stretch("lupton", 5.0, 2.0)
    assert Stretch(**json.loads(json.dumps(asdict(stretch)))) == stretch

    with pytest.raises(ConfigError, match="did you mean 'asinh'"):
        Stretch("asin")
    with pytest.raises(ConfigError, match="softening=0"):
        Stretch("asinh", softening=0)
    with pytest.raises(ConfigError, match="scale=nan"):
        Stretch("asinh", scale=float("nan"))

r"""What every network promises."""

import copy
import pickle

import pytest
import torch
from torch import nn

from models import MODELS, build, freeze, head_names

NAMES = [*MODELS, "timm:resnet10t", "torchvision:squeezenet1_1"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bands", [1, 3, 5])
@pytest.mark.parametrize("shape", [(32, 48), (69, 41)])
def test_contract(name, bands, shape):
    model = build(name, bands=bands, classes=7)
    x = torch.randn(4, bands, *shape)

    # Shapes
    y = model(x)
    assert y.shape == (4, 7)

    # Every parameter learns
    y.square().mean().backward()
    for key, p in model.named_parameters():
        assert p.grad is not None and p.grad.isfinite().all(), key

    # One galaxy does not change another's score, not even when it is alone
    model.eval()
    torch.testing.assert_close(model(x)[:1], model(x[:1]), atol=1e-4, rtol=1e-4)

    # Weights survive a round trip, and the same seed draws them again
    twin = build(name, bands=bands, classes=7)
    twin.load_state_dict(model.state_dict())
    assert torch.equal(twin.eval()(x), model(x))


@pytest.mark.parametrize("shape", [(32, 32), (32, 64)])
def test_dihedral(shape):
    r"""All views of a galaxy are one to it, but for the classes that a mirror swaps."""

    swap = [0, 2, 1]
    model = build("dihedral_resnet", bands=2, classes=3, mirror=swap, width=2).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # blocks begin as nothing, so that it is seen
            nn.init.normal_(module.weight)
    x = torch.randn(6, 2, *shape, dtype=torch.float64)
    model(x)  # moves the statistics of the norms
    model.eval()

    z = model(x)
    for turns in range(0, 4, 1 if shape[0] == shape[1] else 2):
        view = x.rot90(turns, dims=(2, 3))
        torch.testing.assert_close(model(view), z)
        torch.testing.assert_close(model(view.flip(2))[:, swap], z)

    # It is not blind to the mirror, nor to a shift of one quarter alone
    assert (z[:, 1] - z[:, 2]).abs().max() > 1e-3
    x[:, :, :16, :16] = x[:, :, :16, :16].roll(3, dims=3)
    assert (model(x) - z).abs().max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_seed(name):
    states = []
    for _ in range(2):
        torch.manual_seed(1)
        states.append(build(name, bands=2, classes=3).state_dict())

    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("name", NAMES)
def test_frozen(name):
    model = freeze(build(name, bands=2, classes=3))
    heads = head_names(model)
    before = copy.deepcopy(model.state_dict())

    # Training moves the head, and neither a weight nor a statistic below it
    model.train()
    optimizer = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=0.1)
    for _ in range(3):
        model(torch.randn(4, 2, 40, 32)).square().sum().backward()
        optimizer.step()
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]) != key.startswith(heads), key

    # Nothing below the head is in the graph
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not any(m.training for m in norms)
    assert {k for k, p in model.named_parameters() if p.requires_grad} == {
        k for k in before if k.startswith(heads)
    }

    # A copy is as frozen
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert not any(m.training for m in twin.train().modules() if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lennet", "did you mean 'lenet'"),
        ("xyz", "expected one of lenet, cutout_resnet, dihedral_resnet, timm:NAME"),
        ("timm:resnet81", "did you mean 'timm:resnet"),
        ("torchvision:resnt18", "did you mean 'torchvision:resnet18'"),
    ],
)
def test_unknown(name, message):
    with pytest.raises(ValueError, match=message):
        build(name, bands=3, classes=2)


def test_arguments():
    with pytest.raises(ValueError, match="did you mean 'width'"):
        build("cutout_resnet", bands=3, classes=2, widht=8)
    with pytest.raises(ValueError, match="expected a width"):
        build("cutout_resnet", bands=3, classes=2, width=6)
    with pytest.raises(ValueError, match="nonsense"):
        build("timm:resnet10t", bands=3, classes=2, nonsense=8)
    with pytest.raises(ValueError, match="22 x 22"):
        build("lenet", bands=1, classes=2)(torch.zeros(1, 1, 16, 64))


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("depth", [1, 2])
def test_cutout_resnet(norm, depth):
    model = build("cutout_resnet", 3, 5, width=8, stages=2, depth=depth, norm=norm)

    # At first, the residuals are silent
    assert len(model.stages) == 2 * depth
    x = torch.randn(3, 4, 9, 7).relu()
    for block in list(model.stages)[1:depth]:
        x = torch.randn(3, 8, 9, 7).relu()
        torch.testing.assert_close(block(x), x)

r"""Weights that were learnt before."""

import hashlib
import logging
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import safetensors.torch
import timm
import torch

from models import adapt, build, read_weights
from models.weights import fetch, spread


class Handler(SimpleHTTPRequestHandler):
    asked: list[str] = []

    def do_GET(self):
        self.asked.append(self.path)
        if self.path.startswith("/cut"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 10)
        else:
            super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "server"
    folder.mkdir()
    Handler.asked.clear()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hub" / "checkpoints"


def same(model, state):
    return all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("bands", range(1, 9))
def test_spread(bands):
    weight = torch.randn(6, 3, 5, 5)
    wide = spread(weight, bands)

    # The response to an image whose bands are all equal is that to grey
    torch.testing.assert_close(wide.sum(dim=1), weight.sum(dim=1))
    grey = torch.randn(2, 1, 16, 12)
    torch.testing.assert_close(
        torch.conv2d(grey.expand(-1, bands, -1, -1), wide),
        torch.conv2d(grey.expand(-1, 3, -1, -1), weight),
        atol=1e-4,
        rtol=1e-4,
    )

    # Bands keep their order: reversing them reverses the filters
    torch.testing.assert_close(spread(weight.flip(1), bands), wide.flip(1))
    # One more step over a multiple of the bands leads to the same place
    torch.testing.assert_close(spread(spread(weight, 3 * bands), bands), wide)
    if bands == 3:
        assert torch.equal(wide, weight)


@pytest.mark.parametrize("name", ["timm:resnet10t", "torchvision:resnet18", "cutout_resnet"])
def test_bands(name, tmp_path):
    three = build(name, bands=3, classes=4).eval()
    torch.save(three.state_dict(), tmp_path / "w.pt")
    five = build(name, bands=5, classes=4, pretrained=str(tmp_path / "w.pt")).eval()

    grey = torch.randn(2, 1, 40, 32)
    torch.testing.assert_close(
        five(grey.expand(-1, 5, -1, -1)), three(grey.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4
    )
    again = adapt(three, 5)(grey.expand(-1, 5, -1, -1))
    torch.testing.assert_close(again, five(grey.expand(-1, 5, -1, -1)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("wrap", ["", "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_files(wrap, prefix, tmp_path):
    model = build("lenet", bands=2, classes=3)
    state = {prefix + key: value for key, value in model.state_dict().items()}
    torch.save({wrap: state, "epoch": 3} if wrap else state, tmp_path / "w.pth")
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")

    for name in ["w.pth", "w.safetensors"]:
        twin = build("lenet", bands=2, classes=3, pretrained=str(tmp_path / name))
        assert same(twin, model.state_dict())


def test_head(tmp_path, caplog):
    state = build("lenet", bands=2, classes=9).state_dict()
    torch.save(state, tmp_path / "w.pt")

    with caplog.at_level(logging.INFO, "models"):
        model = build("lenet", bands=2, classes=3, pretrained=str(tmp_path / "w.pt"))
    assert "the head head begins at random" in caplog.text
    assert torch.equal(model.hidden[0].weight, state["hidden.0.weight"])
    assert model.head.weight.shape == (3, 84)


def test_mismatch(tmp_path):
    state = build("lenet", bands=2, classes=3).state_dict()
    state["extra"] = state.pop("features.0.bias")
    state["hidden.0.bias"] = torch.zeros(7)
    torch.save(state, tmp_path / "w.pt")

    with pytest.raises(ValueError) as caught:  # noqa: PT011
        build("lenet", bands=2, classes=3, pretrained=str(tmp_path / "w.pt"))
    message = str(caught.value)
    assert "w.pt does not fit LeNet: missing: features.0.bias" in message
    assert "unexpected: extra" in message
    assert "of another shape: hidden.0.bias (7,) for (120,)" in message


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("a file of weights was executed",))


@pytest.mark.parametrize("name", ["trap.pt", "noise.pt", "noise.safetensors", "absent.pt"])
def test_damage(name, tmp_path):
    torch.save({"a": Trap()}, tmp_path / "trap.pt")
    for noise in ["noise.pt", "noise.safetensors"]:
        (tmp_path / noise).write_bytes(b"\x08" + b"nothing" * 30)

    with pytest.raises(ValueError, match=name):
        read_weights(tmp_path / name)


def test_address(server, cache):
    folder, address = server
    model = build("lenet", bands=2, classes=3)
    safetensors.torch.save_file(model.state_dict(), folder / "w.safetensors")
    digest = hashlib.sha256((folder / "w.safetensors").read_bytes()).hexdigest()

    url = f"{address}/w.safetensors#sha256={digest}"
    assert same(build("lenet", bands=2, classes=3, pretrained=url), model.state_dict())

    # Once is enough, unless the copy was damaged
    (path,) = cache.iterdir()
    assert fetch(url) == path and len(Handler.asked) == 1
    path.write_bytes(b"damaged")
    assert fetch(url) == path and len(Handler.asked) == 2
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest


def test_address_is_bare(server, cache):
    r"""Messages tell neither user nor password nor query, which may be a token."""

    _, address = server
    with pytest.raises(ValueError, match=f"^{address}/absent.pt cannot be downloaded"):
        fetch(f"{address}/absent.pt?token=s3cret")
    with pytest.raises(ValueError, match=f"^{address}/w.pt: expected an address without a user"):
        fetch(f"{address.replace('//', '//me:s3cret@')}/w.pt")


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        ("w.bin#sha256=00ff", "has sha256 .*, expected 00ff"),
        ("absent.pt", "cannot be downloaded: HTTP Error 404"),
        ("cut.pt", "after 10 of 1000 bytes"),
    ],
)
def test_address_fails(tail, message, server, cache):
    folder, address = server
    (folder / "w.bin").write_bytes(b"something")

    with pytest.raises(ValueError, match=message):
        fetch(f"{address}/{tail}")
    assert not any(cache.iterdir())


def test_hub(tmp_path):
    # The folder that a hub's repository is, without the hub
    model = timm.create_model("resnet10t", num_classes=11)
    timm.models.save_for_hf(model, tmp_path / "hub", safe_serialization=True)

    name = f"local-dir:{tmp_path / 'hub'}"
    twin = build("timm:resnet10t", bands=3, classes=2, pretrained=name)
    assert torch.equal(twin.conv1[0].weight, model.conv1[0].weight.flip(1))
    assert build(f"timm:{name}", bands=4, classes=2).num_classes == 2


def test_published():
    with pytest.raises(ValueError, match="no published weights"):
        build("lenet", bands=2, classes=3, pretrained=True)


def test_published_elsewhere(monkeypatch):
    # What torchvision downloads is stood in for; timm's own download is not tested
    state = build("torchvision:resnet18", bands=3, classes=1000).state_dict()
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *a, **k: state)

    model = build("torchvision:resnet18", bands=2, classes=3, pretrained=True)
    assert torch.equal(model.layer1[0].conv1.weight, state["layer1.0.conv1.weight"])
    torch.testing.assert_close(model.conv1.weight.sum(1), state["conv1.weight"].sum(1))


@pytest.mark.parametrize("name", ["timm:resnet10t", "timm:crossvit_tiny_240"])
def test_colours(name, tmp_path):
    r"""A red pixel is red to a network that was published; to one of one's own it is a band."""

    model = timm.create_model(name.removeprefix("timm:"), num_classes=2).eval()
    timm.models.save_for_hf(model, tmp_path / "hub", safe_serialization=True)
    torch.save(model.state_dict(), tmp_path / "own.pt")
    hub = build(name, bands=3, classes=2, pretrained=f"local-dir:{tmp_path / 'hub'}").eval()
    own = build(name, bands=3, classes=2, pretrained=str(tmp_path / "own.pt")).eval()

    picture = torch.zeros(1, 3, 240, 240)
    picture[0, 0, 120, 130] = 9.0  # red, and the last of the bands
    torch.testing.assert_close(hub(picture.flip(1)), model(picture))
    assert not torch.allclose(hub(picture), model(picture))
    torch.testing.assert_close(own(picture), model(picture))

r"""Training, interrupted or not, and prediction."""

import logging
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from models import build
from pipeline.augment import Augment
from pipeline.dataset import Batches
from pipeline.errors import ConfigError, DataError
from pipeline.optimization import SCHEDULES, Training, moving_average, optimizer, schedule
from pipeline.prediction import predict
from pipeline.targets import ClassTarget
from pipeline.training import fit

KEYS = {
    *("epoch", "train_loss", "validation_loss", "validation_accuracy", "validation_macro_f1"),
    *("lr", "seconds"),
}


class Sky:
    r"""Waves of three lengths, one per class, with shape `(N, 2, 20, 28)`."""

    def __init__(self, count: int) -> None:
        random = np.random.default_rng(0)
        self.labels = np.arange(count) % 3
        wave = np.sin(np.arange(28) * (self.labels[:, None] + 1) * 0.4)  # (N, W)
        noise = random.normal(size=(count, 2, 20, 28))
        self.pixels = (noise + 4 * wave[:, None, None]).astype(np.float16)

    def gather(self, rows: np.ndarray) -> np.ndarray:
        return self.pixels[rows]


def batches(sky: Sky) -> tuple[Batches, Batches]:
    rows = np.arange(len(sky.labels))
    view = Augment(rotation=180.0, reflection=0.5)
    return (
        Batches(sky, rows[:70], sky.labels[:70], 16, augment=view, shuffle=True, seed=3),
        Batches(sky, rows[70:], sky.labels[70:], 16),
    )


def run(folder, on_epoch=None, **changes):
    torch.manual_seed(0)
    model = build("cutout_resnet", 2, 3, width=8, stages=2, dropout=0.2)
    train, validation = batches(Sky(100))
    settings = Training(**({"epochs": 6, "warmup_epochs": 1.0, "lr": 5e-3} | changes))
    ids = [f"galaxy-{row}" for row in range(100)]
    fitted = fit(model, train, validation, folder, settings=settings, on_epoch=on_epoch, ids=ids)
    return model, fitted


def same(a: nn.Module, b: nn.Module) -> bool:
    twin = b.state_dict()
    return all(torch.equal(value, twin[key]) for key, value in a.state_dict().items())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    with torch.random.fork_rng():
        return run(tmp_path_factory.mktemp("whole"))


def test_learns(whole, tmp_path):
    told = []
    model, fitted = run(tmp_path, lambda epoch, row: told.append((epoch, row)))

    # It learns, and says how
    assert [row["epoch"] for row in fitted.history] == [1, 2, 3, 4, 5, 6]
    assert all(set(row) == KEYS for row in fitted.history)
    assert told == list(enumerate(fitted.history, 1))
    assert fitted.history[-1]["train_loss"] < 0.8 * fitted.history[0]["train_loss"]
    assert fitted.best["validation_accuracy"] > 0.6

    # The same seeds give the same weights
    assert same(model, whole[0])

    # A finished run is not run again
    again, refitted = run(tmp_path, lambda *_: pytest.fail("trained again"))
    assert refitted == fitted and same(again, model)

    # Another seed is another run, and does not take over this one's state
    with pytest.raises(ConfigError, match="trained with seed=0, found 1"):
        run(tmp_path, seed=1)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_best(average, tmp_path):
    # The weights that are kept are those of the epoch that validates best
    _, validation = batches(Sky(100))
    model, fitted = run(tmp_path, lr=0.03, schedule="constant", epochs=5, average=average)
    losses = [row["validation_loss"] for row in fitted.history]
    scores = torch.from_numpy(predict(model, validation)).double()
    labels = torch.from_numpy(validation.labels)

    assert fitted.best_epoch == 1 + int(np.argmin(losses))
    assert fitted.best["validation_loss"] == min(losses)
    assert nn.functional.cross_entropy(scores, labels).item() == pytest.approx(min(losses))


def test_two_devices(tmp_path, caplog):
    r"""Two processes share each batch, and learn what one does."""

    caplog.set_level(logging.INFO, "pipeline.training")
    told, training, before = [], [], multiprocessing.active_children()

    def tell(epoch, row):
        told.append((epoch, row))
        if epoch == 1:
            training.extend(set(multiprocessing.active_children()) - set(before))

    changes = {"epochs": 3, "warmup_epochs": 0.5, "average": 0.5}
    model, fitted = run(tmp_path / "two", tell, devices=2, **changes)
    _, alone = run(tmp_path / "one", **changes)

    assert told == list(enumerate(fitted.history, 1)) and len(told) == 3
    assert len(training) == 2
    assert [text[:8] for text in caplog.messages[:3]] == ["epoch 1:", "epoch 2:", "epoch 3:"]
    for row, expected in zip(fitted.history, alone.history, strict=True):
        assert row["lr"] == pytest.approx(expected["lr"])
        # Not the same to rounding: each normalizes its own share
        assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=0.2)
    again, refitted = run(tmp_path / "again", devices=2, **changes)
    assert [row["train_loss"] for row in refitted.history] == [
        row["train_loss"] for row in fitted.history
    ]
    assert same(again, model)


def test_stopped_on_two_devices(tmp_path):
    r"""Whoever ends the process that waits ends those that train."""

    before = {*multiprocessing.active_children()}

    def end(*_):
        raise SystemExit(143)

    def tell(epoch, _):
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    handler = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(SystemExit):
            run(tmp_path, tell, devices=2, epochs=999)
    finally:
        signal.signal(signal.SIGTERM, handler)

    assert not {*multiprocessing.active_children()} - before
    assert (tmp_path / "last.ckpt").exists()


def test_more_devices_than_there_are(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    model, _ = run(tmp_path / "many", devices=9, epochs=1)
    alone, _ = run(tmp_path / "one", epochs=1)

    assert "training.devices=9, of which there are 1" in caplog.text
    assert same(model, alone)


def test_patience(tmp_path):
    model, fitted = run(tmp_path, epochs=40, patience=2, lr=0.3, schedule="constant")

    assert len(fitted.history) == fitted.best_epoch + 2 < 40
    again, refitted = run(tmp_path, epochs=40, patience=2, lr=0.3, schedule="constant")
    assert refitted == fitted and same(again, model)


def telling_run(folder, pipe):
    run(folder, lambda epoch, row: pipe.send(epoch))


def test_killed(whole, tmp_path):
    r"""Killed at random moments, a run ends with the weights of one that was not."""

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipeline.training"])
    random = np.random.default_rng(7)
    for epoch in [1, 2, 3]:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=telling_run, args=(tmp_path, theirs))
        process.start()
        while ours.recv() < epoch:
            pass
        time.sleep(random.uniform(0, 0.05))
        process.kill()
        process.join()
        assert process.exitcode == -9

    model, fitted = run(tmp_path)
    assert same(model, whole[0])
    for row, expected in zip(fitted.history, whole[1].history, strict=True):
        assert row | {"seconds": 0} == expected | {"seconds": 0}


def test_moving_average():
    random = np.random.default_rng(1)
    weights = random.normal(size=(40, 3))
    average = torch.zeros(3, dtype=torch.float64)
    for step, weight in enumerate(weights):
        average = moving_average(average, torch.from_numpy(weight), step, decay=0.7)

    # Past the first steps, where more is forgotten, weights fade as powers of the decay
    kept = np.minimum(0.7, (1 + np.arange(40)) / (10 + np.arange(40)))
    shares = [(1 - kept[t]) * kept[t + 1 :].prod() for t in range(40)]
    assert shares[-2] == pytest.approx(0.7 * 0.3)
    assert average.numpy() == pytest.approx(shares @ weights)


@pytest.mark.parametrize(
    "changes", [{"patience": 3, "monitor": "validation_macro_f1"}, {"average": 0.9}]
)
def test_interrupted(changes, tmp_path):
    def stop(epoch, row):
        if epoch == 3:
            raise RuntimeError("power cut")

    changes |= {"optimizer": "sgd", "schedule": "onecycle", "freeze": True, "epochs": 5}
    model, fitted = run(tmp_path / "whole", **changes)
    with pytest.raises(RuntimeError, match="power cut"):
        run(tmp_path / "cut", stop, **changes)
    twin, _ = run(tmp_path / "cut", **changes)

    assert same(model, twin)
    # All is data, nothing is code
    torch.load(tmp_path / "cut" / "last.ckpt", weights_only=True)
    kept = safetensors.torch.load_file(tmp_path / "cut" / "best.safetensors")
    assert all(torch.equal(value, kept[key]) for key, value in twin.state_dict().items())


def test_damaged_state(tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"nothing")
    with pytest.raises(DataError, match="last.ckpt is no state of training, remove it"):
        run(tmp_path)


@pytest.mark.parametrize(("bad", "devices"), [("pixels", 1), ("rate", 1), ("rate", 2)])
def test_not_finite(bad, devices, tmp_path):
    train, validation = batches(Sky(100))
    model = build("cutout_resnet", 2, 3, width=4, stages=2)
    if bad == "pixels":

        def stretch(x):
            broken = (x == torch.from_numpy(train.store.pixels[41])).flatten(1).all(dim=1)
            return x.float().masked_fill(broken[:, None, None, None], torch.nan)

        train.augment, train.stretch = None, stretch
        settings = Training(epochs=3)
        message = "the loss is not finite in epoch 1, batch of the galaxies galaxy-41 with pixels"
    else:
        rate = {"lr": 1e20, "clip": 0, "warmup_epochs": 0, "devices": devices}
        settings = Training(epochs=3, optimizer="sgd", **rate)
        others = 16 // devices - 1
        message = (
            f"not finite in epoch 1, batch of the galaxies (galaxy-\\d+, ){{{others}}}galaxy-\\d+;"
            " lower"
        )

    ids = [f"galaxy-{row}" for row in range(100)]
    with pytest.raises(DataError, match=message):
        fit(model, train, validation, tmp_path, settings=settings, ids=ids)
    assert not list(tmp_path.glob("*.ckpt"))


def test_nothing(tmp_path):
    train, validation = batches(Sky(70))
    with pytest.raises(DataError, match="no galaxies to validation with"):
        fit(build("lenet", 2, 3), train, validation, tmp_path, settings=Training())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "adamww"}, "did you mean 'adamw'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"precision": "64"}, "expected one of auto, 32, bf16, 16"),
        ({"monitor": "validation_f1"}, "did you mean 'validation_macro_f1'"),
        ({"epochs": 0}, "epochs=0, expected 1 or more"),
        ({"handedness": 0.5}, "handedness=0.5, expected 1 or more"),
        ({"average": 1.0}, "average=1.0, expected 0 or more and less than 1"),
    ],
)
def test_settings(change, message):
    with pytest.raises(ConfigError, match=message):
        Training(**change)


def test_rates():
    r"""The rate of each group, at each epoch, is the one that is asked for."""

    model = build("cutout_resnet", 1, 2, width=4, stages=1)
    settings = Training(epochs=6, lr=0.1, warmup_epochs=2.0, backbone_lr=0.1, weight_decay=0.3)
    made, rate = optimizer(model, settings, steps_per_epoch=4)

    rates = []
    for _ in range(6):
        for _ in range(4):
            made.step()
            rate.step()
        rates.append([group["lr"] for group in made.param_groups])

    # At the end of each epoch: two of rising, then four along half a cosine
    highest = [5 / 8, 1, *((1 + np.cos(np.pi * np.arange(1, 5) / 4)) / 2)]
    expected = np.outer(highest, [0.01, 0.01, 0.1, 0.1])
    np.testing.assert_allclose(rates, expected, atol=1e-12)

    names = [group["name"] for group in made.param_groups]
    assert names == ["backbone", "backbone, no decay", "head", "head, no decay"]
    assert [group["weight_decay"] for group in made.param_groups] == [0.3, 0, 0.3, 0]
    sizes = [sum(p.numel() for p in group["params"]) for group in made.param_groups]
    assert sum(sizes) == sum(p.numel() for p in model.parameters())
    assert sizes[2:] == [8, 2]


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 2.5, 10.0])
def test_schedule(kind, warmup):
    rates = np.array([schedule(kind, step, 100, warmup) for step in range(101)])

    assert rates.max() == pytest.approx(1.0, abs=0.01) and rates.min() >= 0
    if kind == "onecycle":
        torch_one = torch.optim.lr_scheduler.OneCycleLR(
            made := torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9),
            max_lr=1.0,
            total_steps=101,
        )
        theirs = []
        for _ in range(100):
            theirs.append(made.param_groups[0]["lr"])
            made.step()
            torch_one.step()
        np.testing.assert_allclose(rates[:100], theirs, atol=0.06)
    else:
        rising = int(warmup)
        np.testing.assert_allclose(rates[:rising], np.arange(1, rising + 1) / max(warmup, 1))
        assert (np.diff(rates[rising:]) <= 0).sum() >= 100 - rising - 1


def test_target():
    scores, labels = torch.randn(50, 3), torch.arange(50) % 3
    p = scores.double().softmax(dim=1)
    weights, e = torch.tensor([1.0, 2.0, 5.0]), 0.1

    q = (1 - e) * nn.functional.one_hot(labels, 3) + e / 3
    expected = -(weights * q * p.log()).sum() / weights[labels].sum()
    found = ClassTarget(e, (1.0, 2.0, 5.0))(scores, labels)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)

    with pytest.raises(ConfigError, match="class_weights has 2 numbers, expected 3"):
        ClassTarget(0.0, (1.0, 2.0))(scores, labels)


def test_handedness():
    r"""The hand weighs more where there is one, and the best probabilities stay what they are."""

    scores, labels = torch.randn(50, 3), torch.arange(50) % 3
    p = scores.double().softmax(dim=1)
    hand = [p[b, y] / (p[b, 1] + p[b, 2]) for b, y in enumerate(labels.tolist()) if y > 0]
    expected = -(p[torch.arange(50), labels].log().sum() + 3 * torch.stack(hand).log().sum()) / 50
    found = ClassTarget(mirror=(0, 2, 1), handedness=4.0)(scores, labels)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)

    # Of galaxies without features, the best scores say how frequent each class is
    labels = torch.tensor([0] * 5 + [1] * 3 + [2] * 2)
    z = torch.zeros(1, 3, requires_grad=True)
    optimizer = torch.optim.LBFGS([z], max_iter=100)

    def loss():
        optimizer.zero_grad()
        value = ClassTarget(mirror=(0, 2, 1), handedness=4.0)(z.expand(10, 3), labels)
        value.backward()
        return value

    optimizer.step(loss)
    assert z.softmax(dim=1).tolist()[0] == pytest.approx([0.5, 0.3, 0.2], abs=1e-4)


class Slope(nn.Module):
    r"""Scores that a turn permutes: how bright each side is, left to right."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x):
        spin = (x[..., :-1, 1:] - x[..., 1:, :-1]).mean(dim=(1, 2, 3))  # odd in a mirror
        return self.gain * torch.stack([spin, -spin, x.mean(dim=(1, 2, 3))], dim=1)


@pytest.mark.parametrize("shape", [(16, 16), (12, 20)])
def test_symmetries(shape):
    count = 37
    pixels = np.random.default_rng(0).normal(size=(count, 1, *shape)).astype(np.float16)

    class Field(Sky):
        def __init__(self, pixels):
            self.pixels = pixels

    def scores(pixels, **options):
        rows = np.arange(count)
        return predict(Slope(), Batches(Field(pixels), rows, rows * 0, 12), **options)

    mirror = (1, 0, 2)
    mean = scores(pixels, symmetries=True, mirror=mirror)
    assert mean.shape == (count, 3) and mean.dtype == np.float32
    assert np.abs(mean - scores(pixels)).max() > 1e-3

    # Whatever turns the sky leaves the mean alone, and a mirror swaps the classes
    turned = np.rot90(pixels, 2, axes=(2, 3))
    np.testing.assert_allclose(scores(turned, symmetries=True, mirror=mirror), mean, atol=1e-5)
    flipped = pixels[..., ::-1, :]
    found = scores(flipped, symmetries=True, mirror=mirror)
    np.testing.assert_allclose(found, mean[:, list(mirror)], atol=1e-5)
    if shape[0] == shape[1]:
        quarter = np.rot90(pixels, 1, axes=(2, 3))
        found = scores(quarter, symmetries=True, mirror=mirror)
        np.testing.assert_allclose(found, mean, atol=1e-5)

    with pytest.raises(ConfigError, match="expected the mirror"):
        scores(pixels, symmetries=True)


def test_precision(tmp_path):
    # What a GPU does, on the CPU: the network computes in bfloat16, its weights stay float32
    model, fitted = run(tmp_path, precision="bf16", epochs=2)
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert np.isfinite(fitted.history[-1]["train_loss"])

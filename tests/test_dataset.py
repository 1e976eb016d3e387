from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from pipeline.augment import Augment
from pipeline.dataset import Batches, class_weights
from pipeline.errors import ConfigError, DataError
from pipeline.stretch import Stretch

VIEWS = Augment(rotation=180, reflection=0.5, scale=0.1, shift=2, noise=0.3, band_dropout=0.2)


@dataclass
class Fake:
    pixels: np.ndarray

    def gather(self, rows):
        return self.pixels[rows]


@pytest.fixture
def fake():
    pixels = np.random.default_rng(0).normal(0, 30, (60, 2, 9, 14)).astype(np.float16)
    pixels[3, 0, :, :5] = np.nan
    return Fake(pixels)


def batches(store, size=8, **options):
    rows = np.arange(5, 60)
    return Batches(store, rows, rows % 3, size, **options)


def test_in_order_nothing_is_random(fake):
    data = batches(fake, size=9)
    out = list(data)

    assert len(data) == len(out) == 7
    assert [len(batch.images) for batch in out] == [9] * 6 + [1]
    assert torch.cat([batch.rows for batch in out]).tolist() == list(range(5, 60))
    for batch in out:
        assert batch.images.dtype == torch.float32 and batch.labels.dtype == torch.int64
        assert torch.equal(batch.labels, batch.rows % 3)
        fluxes = torch.from_numpy(fake.pixels[batch.rows.numpy()])
        assert torch.equal(batch.images, Stretch()(fluxes))

    data.set_epoch(7)
    for batch, again in zip(out, data, strict=True):
        assert torch.equal(batch.images, again.images)


def test_shuffling_is_a_permutation(fake):
    data = batches(fake, shuffle=True)
    epochs = []
    for epoch in range(3):
        data.set_epoch(epoch)
        rows = torch.cat([batch.rows for batch in data]).tolist()
        assert sorted(rows) == list(range(5, 60))
        epochs.append(rows)

    assert epochs[0] != epochs[1] != epochs[2]


def test_order_and_views_depend_on_seed_and_epoch_alone(fake, monkeypatch):
    options = {"shuffle": True, "augment": VIEWS, "mirror": (1, 0, 2), "seed": 3}
    reference = batches(fake, resident=False, prefetch=0, **options)
    reference.set_epoch(2)
    expected = list(reference)

    ways = [{"resident": False, "prefetch": 3}, {"resident": True}, {"resident": "auto"}]
    for way in ways:
        data = batches(fake, **options, **way)
        next(iter(data))  # an epoch begun, and left
        for epoch in (0, 2):
            data.set_epoch(epoch)
            out = list(data)
        for batch, other in zip(expected, out, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(batch, other, strict=True))

    # In chunks, by any number of threads, as large batches are made on the CPU
    monkeypatch.setattr("pipeline.dataset.CHUNK_BYTES", 3000)
    threads = torch.get_num_threads()
    for number in (1, 3, threads):
        torch.set_num_threads(number)
        for batch, other in zip(expected, reference, strict=True):
            torch.testing.assert_close(batch.images, other.images)
    assert torch.get_num_threads() == threads

    for change in ({"seed": 4}, {}):
        other = batches(fake, **(options | change))
        assert not torch.equal(next(iter(other)).images, expected[0].images)


def test_labels_follow_the_mirror(fake):
    # Columns that brighten to the right: seen in a mirror, to the left.
    ramp = np.linspace(0, 10, 14, dtype=np.float16)
    store = Fake(np.broadcast_to(ramp, (60, 2, 9, 14)))
    views = Augment(reflection=0.5)
    data = batches(store, augment=views, mirror=(1, 0, 2), shuffle=True, resident=False)

    seen = Counter()
    for batch in data:
        reflected = batch.images[:, 0, 0, 0] > batch.images[:, 0, 0, -1]
        before = batch.rows % 3
        expected = torch.where(reflected, torch.tensor([1, 0, 2])[before], before)
        assert torch.equal(batch.labels, expected)
        seen.update(reflected.tolist())
    assert min(seen[True], seen[False]) > 10

    unknown = Batches(store, np.arange(20), np.full(20, -1), 20, augment=views, mirror=(1, 0))
    assert (next(iter(unknown)).labels == -1).all()


@pytest.mark.parametrize("prefetch", [0, 2])
def test_what_fails_in_the_background_is_seen(fake, prefetch):
    class Failing(Fake):
        def gather(self, rows):
            if 30 in rows:
                raise DataError("shard 1 is gone")
            return super().gather(rows)

    out = []
    with pytest.raises(DataError, match="shard 1 is gone"):
        out.extend(batches(Failing(fake.pixels), resident=False, prefetch=prefetch))


def test_balanced(fake):
    labels = np.repeat([0, 1, 2], [40, 12, 3])
    data = Batches(fake, np.arange(55), labels, 8, shuffle=True, balanced=True)
    out = list(data)

    drawn = torch.cat([batch.labels for batch in out]).numpy()
    counts = Counter(torch.cat([batch.rows for batch in out]).tolist())
    assert len(drawn) == 55 and set(np.bincount(drawn)) <= {18, 19}
    assert max(counts[row] for row in range(40)) == 1
    assert {counts[row] for row in range(40, 52)} <= {1, 2}
    assert {counts[row] for row in range(52, 55)} <= {6, 7}


@pytest.mark.parametrize(("free", "held"), [(10**6, True), (1000, False)])
def test_free_memory_decides_what_is_resident(fake, monkeypatch, free, held):
    data = batches(fake)
    assert not data._is_resident()  # the CPU has the memory map

    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (free, 10**6))
    data.device = torch.device("cuda")
    assert data._is_resident() is held


def test_no_galaxies(fake):
    empty = Batches(fake, np.arange(0), np.arange(0), 8)
    assert len(empty) == 0 and list(empty) == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"size": 0}, ConfigError, "batch_size=0"),
        ({"resident": "always"}, ConfigError, "resident='always'"),
        ({"balanced": True}, ConfigError, "shuffle=True"),
        ({"mirror": (1, 0)}, DataError, "labels from 0 to 2, expected -1 .unknown. to 1"),
    ],
)
def test_impossible_arguments(fake, options, error, message):
    with pytest.raises(error, match=message):
        batches(fake, **options)


def test_one_label_per_row(fake):
    with pytest.raises(DataError, match="expected one label per row"):
        Batches(fake, np.arange(3), np.arange(4), 2)


def test_class_weights():
    labels = np.repeat([0, 1, 3, -1], [60, 30, 10, 7])
    weights = class_weights(labels, 5)

    # By hand: 100 / 3 galaxies for each class that has any
    expected = torch.tensor([100 / 180, 100 / 90, 1.0, 100 / 30, 1.0])
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(class_weights(labels, 5, power=0), torch.ones(5))

import errno
import os
import resource
import shutil
import threading
import time
from contextlib import contextmanager

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.errors import ConfigError, DataError, PipelineError
from pipeline.files import locked
from pipeline.store import Store, StoreInfo

INFO = StoreInfo(bands=("g", "r"), height=5, width=7, scale="native", survey="simulated")


def cutouts(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 2, 5, 7)).astype(np.float16)


def rows(*ids, status="ok", **values):
    return [{"id": id, "status": status, "digest": f"of {id}"} | values for id in ids]


@pytest.fixture
def store(tmp_path):
    store = Store.create(tmp_path / "store", INFO)
    store.commit(cutouts(3), rows("a", "b", "c", sky_g=1.5, noise_r=2.0))
    store.commit(cutouts(0), rows("d", status="rejected", reason="d.fits is empty"))
    store.commit(cutouts(4, 1), rows("e", "b", "f", "g", status="flagged", label="spiral"))

    return store


def test_newest_row_wins(store):
    manifest = store.manifest.to_pydict()

    assert manifest["id"] == ["a", "b", "c", "d", "e", "f", "g"]
    assert manifest["label"] == ["", "spiral", "", "", "spiral", "spiral", "spiral"]
    assert manifest["shard"] == [0, 2, 0, -1, 2, 2, 2]
    assert manifest["sky_g"][0] == 1.5 and np.isnan(manifest["sky_g"][1])
    assert store.usable.tolist() == [0, 1, 2, 4, 5, 6]
    assert [store.row(id) for id in "abcdefg"] == list(range(7))
    with pytest.raises(DataError, match="no galaxy 'x' among 7"):
        store.row("x")


def test_first_look_up_reads_all(store, monkeypatch):
    store.row("a")
    with monkeypatch.context() as patch:
        patch.delattr(pq, "read_table")
        assert [store.row(id) for id in "gda"] == [6, 3, 0]

    store.commit(cutouts(1), rows("h"))
    assert store.row("h") == 7


def test_gather(store):
    everything = np.concatenate([cutouts(3), cutouts(4, 1)])
    of = np.array([0, 4, 2, -1, 3, 5, 6])
    rows = np.random.default_rng(2).choice(store.usable, 50)

    assert store.gather(rows).dtype == np.float16
    np.testing.assert_array_equal(store.gather(rows), everything[of[rows]])
    assert store.gather(np.array([], np.int64)).shape == (0, 2, 5, 7)
    with pytest.raises(DataError, match="d was rejected, it has no pixels"):
        store.gather(np.array([0, 3]))


def test_leftovers_are_not_seen(store):
    (store.folder / "shards/000003.npy").write_bytes(b"half a sha")
    (store.folder / "manifest/.000003.parquet.0.part").write_bytes(b"half a part")
    again = Store.open(store.folder)

    assert repr(again.manifest.to_pydict()) == repr(store.manifest.to_pydict())
    with again.lock():
        again.commit(cutouts(1, 3), rows("h"))
    np.testing.assert_array_equal(again.gather(np.array([7])), cutouts(1, 3))
    assert not list(store.folder.rglob("*.part"))


def test_same_bytes(store, tmp_path):
    again = Store.create(tmp_path / "again", INFO)
    again.commit(cutouts(3), rows("a", "b", "c", sky_g=1.5, noise_r=2.0))

    for name in ("store.json", "shards/000000.npy", "manifest/000000.parquet"):
        assert (again.folder / name).read_bytes() == (store.folder / name).read_bytes()


def test_fingerprint_is_blind_to_order(tmp_path):
    prints = []
    for name, order in {"x": "ab", "y": "ba", "z": "ac"}.items():
        store = Store.create(tmp_path / name, INFO)
        for id in order:
            store.commit(cutouts(1), rows(id))
        prints.append(store.fingerprint)

    assert prints[0] == prints[1] != prints[2]


def test_two_first_ones(tmp_path, monkeypatch):
    r"""Of two that create a store at once, the second one finds the first one's."""

    other = StoreInfo(**(vars(INFO) | {"height": 9}))

    @contextmanager
    def late(folder):
        with locked(folder):
            (folder / "store.json").write_text(other.to_json())
            yield

    monkeypatch.setattr("pipeline.store.locked", late)
    with pytest.raises(ConfigError, match="height=9, not 5"):
        Store.create(tmp_path, INFO)


def test_made_otherwise(store, tmp_path):
    other = StoreInfo(**(vars(INFO) | {"bands": ("g", "i")}))

    with pytest.raises(ConfigError, match=r"bands=\('g', 'r'\), not \('g', 'i'\)"):
        Store.create(store.folder, other)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file is not a store, expected a folder"):
        Store.open(tmp_path / "file")
    with pytest.raises(DataError, match="is not a store"):
        Store.open(tmp_path)
    (store.folder / "manifest/000001.parquet").unlink()
    with pytest.raises(DataError, match="lost 000001"):
        Store.open(store.folder)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}", "bands, height, width, scale, survey, classes missing or wrong"),
        ('{"bands": "gr"}', "bands, height"),
        ("[1]", r"it holds \[1\]"),
        ("none", "Expecting value"),
        ("", "Expecting value"),
    ],
)
def test_damaged_description(store, text, found):
    r"""It is told, and what the error says to do mends it."""

    before = repr(store.manifest.to_pydict())
    path = store.folder / "store.json"
    path.write_text(text)
    with pytest.raises(
        DataError, match=rf"store\.json is damaged \({found}.*delete that file and"
    ):
        Store.open(store.folder)
    path.unlink()
    assert Store.is_at(store.folder) and not Store.is_at(store.folder / "shards")
    with pytest.raises(
        DataError, match=r"has lost its store\.json: run `tuningfork ingest` again"
    ):
        Store.open(store.folder)
    assert repr(Store.create(store.folder, INFO).manifest.to_pydict()) == before


def test_damaged_parts(store):
    part = store.folder / "manifest/000001.parquet"
    whole = part.read_bytes()
    for content, why in (
        (whole[:-100], "magic bytes not found"),
        (whole[:900] + bytes(200) + whole[1100:], "."),
        (b"", "size is 0 bytes"),
    ):
        part.write_bytes(content)
        told = rf"{part} is damaged \(.*{why}.*delete {store.folder} and run `tuningfork ingest`"
        with pytest.raises(DataError, match=told):
            _ = Store.open(store.folder).manifest
    table = pq.read_table(store.folder / "manifest/000000.parquet")
    for other in (table.drop(["ra"]), table.set_column(0, "id", [list(range(len(table)))])):
        pq.write_table(other, part)
        with pytest.raises(DataError, match=rf"{part} is (damaged|no part)"):
            _ = Store.open(store.folder).manifest
    part.write_bytes(whole)
    whole = np.load(store.folder / "shards/000000.npy")
    for shard in (whole[..., :5], whole[:-1], whole.astype(np.float32)):
        np.save(store.folder / "shards/000000.npy", shard)
        told = rf"{shard.dtype} of shape .*, expected float16 of {len(whole)} or more .*ingest"
        with pytest.raises(DataError, match=told):
            Store.open(store.folder).gather(np.array([0]))
        with pytest.raises(DataError, match=told):
            Store.open(store.folder).verify()
    (store.folder / "shards/000000.npy").unlink()
    with pytest.raises(DataError, match=r"000000\.npy cannot be read .*No such file"):
        Store.open(store.folder).verify()


def test_many_shards(tmp_path):
    r"""A store has more shards than a process may have files open."""

    store = Store.create(tmp_path, INFO)
    for i in range(60):
        store.commit(cutouts(2, i), rows(f"{i}a", f"{i}b"))
    used = len(os.listdir("/dev/fd"))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    order = np.random.default_rng(0).permutation(store.usable)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.store.OPEN", 20)
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 40, limits[1]))
        try:
            store.verify()
            found = store.gather(order)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    everything = np.concatenate([cutouts(2, i) for i in range(60)])
    np.testing.assert_array_equal(found, everything[order])


def test_made_otherwise_without_a_galaxy(tmp_path):
    r"""A store of nothing but rejected inputs keeps nobody from a better one."""

    store = Store.create(tmp_path, INFO)
    store.commit(np.zeros((0, 2, 5, 7), np.float16), [{"id": "a", "status": "rejected"}])
    again = Store.create(tmp_path, StoreInfo(**(vars(INFO) | {"bands": ("i", "z")})))

    assert again.info.bands == ("i", "z") and len(again.manifest) == 0
    assert Store.open(tmp_path).info == again.info


def test_filled_meanwhile(tmp_path, monkeypatch):
    r"""Whoever would empty a store finds what another process has put there."""

    Store.create(tmp_path, INFO).commit(
        np.zeros((0, 2, 5, 7), np.float16), [{"id": "a", "status": "rejected"}]
    )
    lock = Store.lock

    def late(store):
        Store.open(tmp_path).commit(cutouts(1), rows("b"))
        return lock(store)

    monkeypatch.setattr(Store, "lock", late)
    with pytest.raises(ConfigError, match="bands"):
        Store.create(tmp_path, StoreInfo(**(vars(INFO) | {"bands": ("i", "z")})))
    assert len(Store.open(tmp_path).usable) == 1


def test_other_classes(store):
    r"""Classes may come, go and change their order: labels are texts, and pixels stay."""

    before = store.fingerprint
    info = StoreInfo(**(vars(INFO) | {"classes": ("spiral", "ring")}))
    again = Store.create(store.folder, info)

    assert again.info == Store.open(store.folder).info == info
    assert again.fingerprint == Store.open(store.folder).fingerprint != before
    assert repr(again.manifest.to_pydict()) == repr(store.manifest.to_pydict())
    wider = StoreInfo(**(vars(info) | {"width": 9, "classes": ("ring",)}))
    with pytest.raises(ConfigError, match="width=7, not 9"):
        Store.create(store.folder, wider)
    assert Store.open(store.folder).info == info


@pytest.mark.parametrize("writes", [0, 1])
def test_full_disk(store, monkeypatch, writes):
    before = store.manifest
    calls = []

    def fsync(_):
        calls.append(_)
        if len(calls) > writes:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(PipelineError, match="the disk is full; make room"):
            store.commit(cutouts(1), rows("h"))

    assert repr(Store.open(store.folder).manifest.to_pydict()) == repr(before.to_pydict())
    assert not list(store.folder.rglob("*.part"))


def test_lock_of_a_deleted_folder(tmp_path):
    r"""Whoever waits while the folder is deleted has a lock that keeps others out, too."""

    folder, found = tmp_path / "parts", []

    def wait():
        with locked(folder):
            found.append((folder / ".lock").exists())

    waiting = threading.Thread(target=wait)
    with locked(folder):
        waiting.start()
        time.sleep(0.2)
        shutil.rmtree(folder)
    waiting.join()

    assert found == [True]

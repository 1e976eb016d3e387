import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from pipeline import split as splits
from pipeline.config import Data, Experiment, Labels, Split
from pipeline.errors import ConfigError, DataError
from pipeline.runs.data import sample
from pipeline.split import PARTS, check, group, load, save, split
from pipeline.store import Store, StoreInfo

FRACTIONS = (0.7, 0.1, 0.2)
INFO = StoreInfo(("r",), 8, 8, "native", "unknown", ("a", "b"))


def sky(n, seed=0):
    r"""Galaxies all over the sky, each with a neighbour at 20 arcsec, across RA = 0 too."""

    rng = np.random.default_rng(seed)
    ra = rng.uniform(0, 360, n)
    ra[: n // 10] = 1e-4
    dec = np.degrees(np.arcsin(rng.uniform(-0.999, 0.999, n)))
    angle = rng.uniform(0, 2 * np.pi, n)
    step = 20 / 3600
    near = (ra + step * np.cos(angle) / np.cos(np.radians(dec))) % 360, dec + step * np.sin(angle)

    return np.concatenate([ra, near[0]]), np.concatenate([dec, near[1]])


def separation(ra, dec):
    ra, dec = np.radians(ra), np.radians(dec)
    a = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], 1)

    return np.degrees(2 * np.arcsin(np.linalg.norm(a[:, None] - a[None], axis=2) / 2)) * 3600


def test_singles_are_dealt_exactly():
    labels = np.repeat(["common", "rare", "single"], [1000, 13, 1])
    ids = [f"g{i}" for i in range(len(labels))]
    nowhere = np.full(len(ids), np.nan)
    parts = split(ids, labels, nowhere, nowhere, fractions=FRACTIONS)

    for name in np.unique(labels):
        n = (labels == name).sum()
        counts = [(parts[labels == name] == part).sum() for part in PARTS]
        assert sum(counts) == n
        np.testing.assert_allclose(counts, n * np.array(FRACTIONS), atol=1)


def test_order_and_seed():
    ids = np.array([f"g{i}" for i in range(500)])
    labels = np.where(np.arange(500) % 7, "disc", "bulge")
    ra, dec = sky(250)
    one = split(ids, labels, ra, dec, radius_arcsec=30)
    order = np.random.default_rng(1).permutation(500)
    again = split(ids[order], labels[order], ra[order], dec[order], radius_arcsec=30)

    assert (again == one[order]).all()
    assert (split(ids, labels, ra, dec, radius_arcsec=30, seed=1) != one).any()


def test_neighbours_never_straddle():
    ra, dec = sky(300)
    ids = [f"g{i}" for i in range(600)]
    ids[5] = ids[500]
    labels = np.random.default_rng(3).choice(["a", "b", ""], 600, p=[0.7, 0.2, 0.1])
    parts = split(ids, labels, ra, dec, fractions=FRACTIONS, radius_arcsec=30)
    close = separation(ra, dec) < 30
    labelled = (labels != "")[:, None] & (labels != "")

    assert close[:300, 300:].diagonal().all()
    assert (parts[:, None] == parts)[close & labelled].all()
    assert (parts[labels == ""] == "").all()
    assert labels[5] == "" or labels[500] == "" or parts[5] == parts[500]
    for name in "ab":
        shares = [(parts[labels == name] == part).mean() for part in PARTS]
        np.testing.assert_allclose(shares, FRACTIONS, atol=0.03)


def test_chain_is_one_group():
    dec = np.arange(5) * 9 / 3600

    assert len(set(group(list("abcde"), np.zeros(5), dec, 10))) == 1
    assert len(set(group(list("abcde"), np.zeros(5), dec, 8))) == 5
    assert len(set(group(list("abcda"), np.zeros(5), dec, 0))) == 4


def test_each_has_its_own_radius():
    r"""Neighbours are those of all pairs, and what has great neighbours has few itself."""

    ra, dec = sky(300)
    radius = np.random.default_rng(4).uniform(5, 60, 600)
    radius[7] = 3600 * 400
    near = separation(ra, dec) <= (radius[:, None] + radius) / 2
    near[7] = near[:, 7] = False
    rest = np.arange(600) != 7
    ids = [f"g{i}" for i in range(600)]
    alone = group(np.array(ids)[rest], ra[rest], dec[rest], radius[rest])
    expected = connected_components(near[rest][:, rest], directed=False)[1]

    assert len(set(alone)) == len(set(zip(alone, expected, strict=True))) == expected.max() + 1
    assert len(set(group(ids, ra, dec, radius))) == 1
    two = group(list("abc"), [0, 0, 0], np.array([0, 60, 100]) / 3600, [4, 50, 4])
    assert len(set(two)) == 3


def test_a_size_that_is_wrong(tmp_path):
    r"""One size that joins all galaxies divides none, and is forgotten once it is mended."""

    labels = Labels(column="kind", classes=("a", "b"))
    experiment = Experiment(
        name="x", folder=tmp_path, data=Data(root=tmp_path, bands=("r",), size=8, labels=labels)
    )

    def rows(first, number, **values):
        spots = [{"id": f"g{i}", "ra": 0.0, "dec": i / 360} for i in range(first, first + number)]
        return [
            {"status": "ok", "label": "ab"[i % 2], "scale_arcsec": 0.5} | spot | values
            for i, spot in enumerate(spots)
        ]

    store = Store.create(tmp_path / "x/store", INFO)
    store.commit(np.zeros((60, 1, 8, 8), np.float16), rows(0, 60))
    store.commit(np.zeros((1, 1, 8, 8), np.float16), rows(30, 1, scale_arcsec=258.0))
    with pytest.raises(DataError, match="60 labelled galaxies leave none for validation"):
        sample(experiment)
    assert not (tmp_path / "x/split.parquet").exists()

    for scale in (25.0, 0.5):  # the one that joins some, and none
        store.commit(np.zeros((1, 1, 8, 8), np.float16), rows(30, 1, scale_arcsec=scale))
        assert [(sample(experiment).parts == part).any() for part in PARTS] == [True] * 3
        (tmp_path / "x/split.parquet").unlink()


def test_extend_keeps_what_was(caplog):
    ra, dec = sky(300)
    ids, labels = [f"g{i}" for i in range(600)], np.tile(["a", "b", "b"], 200)
    first = np.arange(200)
    old = split(ids[:200], labels[:200], ra[:200], dec[:200], radius_arcsec=30)
    existing = dict(zip(ids[:200], old.tolist(), strict=True))
    parts = split(ids, labels, ra, dec, fractions=FRACTIONS, radius_arcsec=30, existing=existing)

    assert (parts[first] == old).all()
    assert (parts[:300] == parts[300:]).all()
    np.testing.assert_allclose([(parts == part).mean() for part in PARTS], FRACTIONS, atol=0.02)

    apart = {"x": "train", "y": "test"}
    between = split("xyz", "aaa", [0, 0, 0], [0, 2e-3, 1e-3], radius_arcsec=5, existing=apart)
    assert between.tolist() == ["train", "test", ""]
    assert "z is in no part, it has neighbours in test and train" in caplog.text


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_saved_table(tmp_path, suffix):
    path = tmp_path / f"split.{suffix}"
    numbers = ["12.10", "12.1"]
    save(path, numbers, ["train", "test"], places={id: (1.0, 2.0) for id in numbers})
    assert load(path) == dict(zip(numbers, ["train", "test"], strict=True))
    assert list(splits.places(path)) == numbers
    save(path, ["587722952767439450", "b", "c"], ["train", "test", ""])

    assert load(path) == {"587722952767439450": "train", "b": "test"}
    assert splits.options(path) == {}
    save(tmp_path / "split.parquet", ["b"], ["test"], {"seed": 3, "split.test": 0.2})
    assert splits.options(tmp_path / "split.parquet") == {"seed": 3, "split.test": 0.2}


def test_other_options_are_told(tmp_path, caplog):
    r"""A split is kept: another seed is told, and what would divide otherwise is refused."""

    labels = Labels(column="kind", classes=("a", "b"))
    data = Data(root=tmp_path, bands=("r",), size=8, labels=labels)
    experiment = Experiment(name="x", folder=tmp_path, data=data)
    store = Store.create(tmp_path / "x/store", INFO)
    rows = [{"id": f"g{i}", "status": "ok", "label": "ab"[i % 2]} for i in range(60)]
    store.commit(np.zeros((40, 1, 8, 8), np.float16), rows[:40])
    old = sample(experiment).parts
    store.commit(np.zeros((20, 1, 8, 8), np.float16), rows[40:])
    sample(experiment)
    assert not caplog.records

    seeded = experiment.model_copy(update={"seed": 7})
    for _ in range(2):
        caplog.clear()
        assert (sample(seeded).parts[:40] == old).all()
        assert "split.parquet was made with seed=0, not 7: galaxies keep" in caplog.text
    other = seeded.model_copy(update={"split": Split(test=0.4, radius_arcsec=9)})
    told = r"split.parquet was made with split.test=0.2, not 0.4; split.radius_arcsec=0, not 9: e"
    with pytest.raises(ConfigError, match=told):
        sample(other)
    (tmp_path / "x/split.parquet").unlink()
    caplog.clear()
    assert (sample(other).parts == "test").sum() == 24
    assert not caplog.records


def test_crowded(caplog):
    r"""Where the neighbours of neighbours are everyone, the shares cannot be right, and why."""

    rng, n = np.random.default_rng(0), 2000
    ids, labels = [f"g{i}" for i in range(n)], ["a", "b"] * (n // 2)
    for side, crowded in ((1.0, False), (0.25, True)):
        ra, dec = 150 + side * rng.random(n), side * rng.random(n)
        caplog.clear()
        parts = split(ids, labels, ra, dec, radius_arcsec=36)
        assert (group(ids, ra, dec, 36) == 0).sum() < n
        assert bool(caplog.records) == crowded
    assert f"{(parts == 'train').sum()}, " in caplog.text
    assert "asked for 1400, 200, 400: neighbours stay together, and the largest" in caplog.text


def test_away_for_a_night(tmp_path, caplog):
    r"""What cannot be used for a while holds its place, and its new neighbours follow it."""

    labels = Labels(column="kind", classes=("a", "b"))
    data = Data(root=tmp_path, bands=("r",), size=8, labels=labels)
    experiment = Experiment(name="x", folder=tmp_path, data=data, split=Split(radius_arcsec=9))
    store = Store.create(tmp_path / "x/store", INFO)

    def deliver(names, dec, **values):
        rows = [
            {"id": f"{name}{i}", "status": "ok", "label": "ab"[i % 2], "ra": float(i), "dec": dec}
            for name in names
            for i in range(30)
        ]
        kept = 0 if "status" in values else len(rows)
        store.commit(np.zeros((kept, 1, 8, 8), np.float16), [row | values for row in rows])

    deliver("ng", 0.0)
    old = dict(zip((found := sample(experiment)).ids, found.parts, strict=True))
    deliver("g", np.nan, status="rejected")
    deliver("n", 0.5)  # far from where they were
    deliver("f", 1 / 3600)
    sample(experiment)
    deliver("g", 0.0)
    parts = dict(zip((found := sample(experiment)).ids, found.parts, strict=True))

    assert old.items() <= parts.items()
    assert all(parts[f"f{i}"] == parts[f"g{i}"] for i in range(30))
    assert not caplog.records

    # Of one that was divided before positions were kept, it is told
    straddling = {id: "test" if id[0] == "f" else "train" for id in parts} | {"n3": "validation"}
    save(tmp_path / "x/split.parquet", list(straddling), list(straddling.values()))
    sample(experiment)
    assert "neighbours are in different parts, e.g. f0 (test) and g0 (train)" in caplog.text


def test_given_split(tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("id,part\na,train\nb,valid\n")
    with pytest.raises(DataError, match="b is in 'valid', did you mean 'validation'"):
        load(path)
    path.write_text("id,part\na,train\na,test\n")
    with pytest.raises(DataError, match="a is in 'train' and in 'test'"):
        load(path)

    found = check({"a": "train", "b": "test", "x": "train"}, ["a", "b", "c"], [0, 0, 9], [0, 0, 0])
    assert found == [
        "1 galaxies of the split are unknown, e.g. x",
        "1 galaxies have no part, e.g. c",
    ]
    assert check({"a": "train", "b": "test"}, ["a", "b"], [0, 0], [0, 1e-4], 1.0) == [
        "1 neighbours are in different parts, e.g. a (train) and b (test)"
    ]


def test_fractions():
    with pytest.raises(ConfigError, match="expected three that sum to 1"):
        split(["a"], ["x"], [0], [0], fractions=(0.5, 0.2, 0.2))
    assert splits.PARTS == ("train", "validation", "test")

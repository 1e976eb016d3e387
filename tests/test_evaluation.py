import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from flows.results import plain, side_by_side
from pipeline import runs
from pipeline.comparison import Predictions, compare
from pipeline.errors import DataError
from pipeline.evaluation import Evaluation, evaluate, majority_class

CLASSES = ("elliptical", "spiral <cw>", "edge/on", "never")


def said(labels, skill, seed=0):
    z = np.random.default_rng(seed).normal(size=(len(labels), 4))
    z[np.arange(len(labels)), labels] += skill
    return softmax(z, axis=1)


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(0).choice(3, size=400, p=[0.7, 0.2, 0.1])


@pytest.fixture(scope="module")
def evaluation(labels):
    network = said(labels, 3)
    return evaluate(
        {
            "network": network,
            "forest": said(labels, 1, seed=1),
            "majority class": majority_class(labels, 4, len(labels)),
        },
        labels,
        CLASSES,
        ids=[f"g{n}" for n in range(len(labels))],
        uncalibrated={"network": softmax(0.2 * np.log(network), axis=1)},
        temperature={"network": 0.2},
        resamples=100,
    )


def test_numbers(evaluation, labels):
    assert evaluation.model == "network" and evaluation.galaxies == 400
    majority = evaluation.metrics["majority class"]
    assert majority["accuracy"].value == evaluation.majority_rate == (labels == 0).mean()
    assert majority["accuracy"].value < evaluation.metrics["network"]["accuracy"].value
    assert sum(map(sum, evaluation.confusion["forest"])) == 400

    reliability = evaluation.after["network"]
    assert reliability.error == pytest.approx(
        evaluation.metrics["network"]["calibration_error"].value
    )
    assert evaluation.before["network"].error > reliability.error
    assert sum(reliability.count) == 400


def test_doubt(evaluation, labels):
    r"""A model that a baseline beats is told of, but not one that includes it."""

    assert evaluation.baselines == ["forest"] and evaluation.doubt == ""
    gap = evaluation.above["forest"]["macro_f1"]
    scores = [evaluation.metrics[name]["macro_f1"].value for name in ("network", "forest")]
    assert gap.value == pytest.approx(scores[0] - scores[1]) and gap.low > 0

    better = {"forest": said(labels, 3), "network + forest": said(labels, 9)}
    behind = evaluate({"network": said(labels, 1, seed=1)} | better, labels, CLASSES, resamples=99)
    assert behind.doubt.startswith(
        f"macro F1 {scores[1]:.3f}, measurably below that of the forest"
    )
    assert f"{scores[0]:.3f} (difference {-gap.value:+.3f}" in behind.doubt and not behind.warning


def test_luck():
    r"""One galaxy more than by the commonest class is no merit, and four no defeat."""

    truth = np.array([0] * 5 + [1] * 4)
    lucky, idle = (
        evaluate(
            {"network": np.eye(2)[answer] * 0.8 + 0.1, "forest": np.eye(2)[truth] * 0.8 + 0.1},
            truth,
            ("smooth", "featured"),
        )
        for answer in ([0] * 8 + [1], [0] * 9)
    )

    assert lucky.doubt.startswith("accuracy 0.667 (") and "not measurably above" in lucky.doubt
    assert lucky.doubt.endswith("commonest class, 0.556") and not lucky.warning
    assert idle.above["forest"]["macro_f1"].high < 0
    assert idle.warning and not idle.doubt


def test_curves(evaluation, labels):
    network = said(labels, 3)
    for k, name in enumerate(CLASSES[:3]):
        curve = evaluation.roc[name]
        assert curve.area == pytest.approx(roc_auc_score(labels == k, network[:, k]))
        assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
        # Thinned, it is still the same curve
        assert np.trapezoid(curve.y, curve.x) == pytest.approx(curve.area, abs=0.01)
        assert len(evaluation.precision_recall[name].x) <= 202
    assert np.isnan(evaluation.roc["never"].area) and evaluation.roc["never"].x == ()


def test_wrong(evaluation, labels):
    sure = [w.probability for w in evaluation.wrong]
    assert sure == sorted(sure, reverse=True)
    for w in evaluation.wrong:
        assert w.true == CLASSES[labels[w.row]] != w.predicted and w.id == f"g{w.row}"
        assert w.probability > w.probability_true


def test_round_trip(evaluation, tmp_path):
    path = tmp_path / "evaluation.json"
    evaluation.save(path)

    json.loads(path.read_text(), parse_constant=pytest.fail)  # strict: no NaN
    again = Evaluation.load(path)
    assert repr(again) == repr(evaluation)
    assert "recall/never" not in again.summary() and "recall/edge/on" in again.summary()
    assert all(np.isfinite(value) for value in again.summary().values())

    path.write_text("{}")
    with pytest.raises(DataError, match="no evaluation"):
        Evaluation.load(path)
    with pytest.raises(DataError, match="missing"):
        Evaluation.load(tmp_path / "none.json")


def test_refuses(labels):
    with pytest.raises(DataError, match=r"forest has probabilities \(3, 4\), expected \(400, 4\)"):
        evaluate({"network": said(labels, 1), "forest": said(labels[:3], 1)}, labels, CLASSES)


def run(folder, ids, labels, skill, classes=CLASSES):
    folder.mkdir(parents=True)
    network, forest = said(labels, skill), said(labels, 0.5, seed=1)
    written = Predictions(ids, labels, classes, {"network": network, "forest": forest})
    written.save(folder / "predictions.parquet")

    read = Predictions.load(folder / "predictions.parquet")
    assert read.classes == classes and read.ids == list(ids)
    np.testing.assert_array_equal(read.probabilities["network"], network)
    return folder


def found_accuracy(folder, ids):
    kept = Predictions.load(folder / "predictions.parquet").of(ids)

    return (kept.probabilities["network"].argmax(axis=1) == kept.labels).mean()


def test_compare(labels, tmp_path):
    ids = [f"g{n}" for n in range(400)]
    good = run(tmp_path / "good", ids, labels, 3)
    poor = run(tmp_path / "poor", ids, labels, 1)
    # The same galaxies in another order are the same test set
    order = np.random.default_rng(0).permutation(400)
    table = Predictions.load(poor / "predictions.parquet")
    table.of([ids[n] for n in order]).save(poor / "predictions.parquet")

    found = compare([poor, good], resamples=200)
    assert found.galaxies == 400 and found.left_out == 0
    difference = found.differences["good"]["accuracy"]
    assert difference.low > 0.2 and difference.p_value < 0.05
    assert difference.value == pytest.approx(
        found.metrics["good"]["accuracy"].value - found.metrics["poor"]["accuracy"].value
    )

    # Other galaxies: refused, then asked for
    other = run(tmp_path / "other", ids[10:], labels[10:], 2)
    with pytest.raises(DataError, match="10 ids are in one only"):
        compare([good, other])
    found = compare([good, other], common=True, resamples=10)
    assert (found.galaxies, found.left_out) == (390, 10)
    assert set(found.models.values()) == {"network"}

    # A column for each run, and one for what it has above the first
    told = side_by_side(plain(runs.compare([poor, good, other], common=True))).splitlines()
    assert told[0] == "390 galaxies, without 10 that only some runs were tested on"
    assert told[2].split("  ")[-1] == "minus the first" and told[2].split()[0] == "poor"
    words = next(line for line in told if line.startswith("accuracy")).split()
    assert words[1] == f"{found_accuracy(poor, ids[10:]):.3f}"
    assert words.count("better") == 2 and words[3].startswith("+0.")
    assert next(line for line in told if line.startswith("log_loss")).endswith("better")


def test_compare_refuses_what_another_model_said(labels, tmp_path):
    ids = [f"g{n}" for n in range(400)]
    good, poor = run(tmp_path / "good", ids, labels, 3), run(tmp_path / "poor", ids, labels, 1)
    (good / "model").mkdir()
    for digest in ("", "old"):
        table = Predictions.load(good / "predictions.parquet")
        replace(table, digest=digest).save(good / "predictions.parquet")
        (good / "model" / "card.json").write_text(f'{{"digest": "{digest}"}}')
        assert runs.compare([poor, good])["galaxies"] == 400
    (good / "model" / "card.json").write_text('{"digest": "new"}')
    with pytest.raises(DataError, match="good/predictions.parquet is of another model than"):
        runs.compare([poor, good])


def test_compare_refuses(labels, tmp_path):
    ids = [str(n) for n in range(400)]
    first = run(tmp_path / "a" / "run", ids, labels, 1)
    relabelled = run(tmp_path / "b" / "run", ids, (labels + (np.arange(400) < 7)) % 4, 1)
    renamed = run(tmp_path / "c", ids, labels, 1, classes=("a", "b", "c", "d"))
    foreign = run(tmp_path / "d", [f"x{i}" for i in ids], labels, 1)

    with pytest.raises(DataError, match=r"a/run and .*b/run label 7 galaxies differently"):
        compare([first, relabelled])
    with pytest.raises(DataError, match="c has the classes a, b, c, d"):
        compare([first, renamed])
    with pytest.raises(DataError, match="no test galaxy in common"):
        compare([first, foreign], common=True)
    with pytest.raises(DataError, match="stands twice"):
        compare([first, first])
    with pytest.raises(DataError, match="expected two or more"):
        compare([first])
    with pytest.raises(DataError, match="missing"):
        compare([first, tmp_path / "nothing"])

    (tmp_path / "c" / "predictions.parquet").write_text("not parquet")
    with pytest.raises(DataError, match="no table of predictions"):
        compare([first, tmp_path / "c"])
    with pytest.raises(DataError, match="2 ids of the test set repeat"):
        Predictions(["a"] * 3, np.zeros(3, np.int64), ("x", "y"), {"n": np.full((3, 2), 0.5)})

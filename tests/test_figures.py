r"""What figures show, and that pictures keep colour, orientation and blanks."""

import matplotlib as mpl
import numpy as np
import pytest
from scipy.special import softmax

from pipeline import figures, pictures
from pipeline.evaluation import evaluate

CLASSES = ("elliptical", "spiral_cw", "edge_on", "never")


@pytest.fixture(scope="module")
def evaluation():
    rng = np.random.default_rng(0)
    labels = rng.choice(3, size=300, p=[0.7, 0.2, 0.1])
    z = rng.normal(size=(300, 4))
    z[np.arange(300), labels] += 2
    said = {"network": softmax(z, axis=1), "forest": softmax(z / 2, axis=1)}
    before = {"network": softmax(3 * z, axis=1)}
    return evaluate(
        said,
        labels,
        CLASSES,
        uncalibrated=before,
        temperature={"network": 3.0},
        resamples=20,
    )


def words(figure):
    return [t.get_text() for t in figure.findobj(mpl.text.Text) if t.get_text()]


def test_curves(evaluation):
    for draw, curves in [
        (figures.roc_curves, evaluation.roc),
        (figures.precision_recall_curves, evaluation.precision_recall),
    ]:
        said = " ".join(words(draw(evaluation)))
        assert "spiral cw" in said and "never" not in said  # a class without a galaxy has no line
        assert f"{curves['edge_on'].area:.3f}" in said


def test_confusion(evaluation):
    said = words(figures.confusion_matrix(evaluation))
    for count in np.ravel(evaluation.confusion["network"]):
        assert f"{count}" in said
    assert {"elliptical", "spiral cw", "edge on", "never"} <= set(said)
    assert figures.confusion_matrix(evaluation, "forest")


def test_reliability(evaluation):
    said = " ".join(words(figures.reliability_diagram(evaluation)))
    assert "temperature 3.00" in said
    for side in (evaluation.before, evaluation.after):
        assert f"{side['network'].error:.3f}" in said


def test_learning_curves():
    history = [
        {"train_loss": 1.0, "validation_loss": 1.2, "validation_macro_f1": 0.1, "lr": 1e-3},
        {"train_loss": 0.5, "validation_loss": 0.7, "validation_macro_f1": 0.3, "lr": 1e-4},
    ]
    figure = figures.learning_curves(history, best=2)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == ["Loss", "Macro F1", "Learning rate"]
    assert len(shown[0].lines) == 3 and list(shown[0].lines[0].get_ydata()) == [1.0, 0.5]
    assert set(shown[0].lines[2].get_xdata()) == {2}


def test_others(evaluation):
    counts = {"train": {"a": 30, "b": 3}, "test": {"a": 10}}
    said = words(figures.class_balance(counts))
    assert " 40  (93.0%)" in said and "test" in said
    chart = words(figures.score_chart(evaluation, "log_loss"))
    assert "Better to the left" in chart and "forest" in chart


def galaxy(height=24, width=30):
    y, x = np.indices((height, width))
    return 200 * np.exp(-np.hypot(y - (height - 1) / 2, x - (width - 1) / 2) / 4)


def test_composite_colours():
    red = np.stack([0.3 * galaxy(), 0.6 * galaxy(), galaxy()])
    picture = pictures.composite(np.stack([red, red[::-1], red[:, ::-1]]))

    assert picture.shape == (3, 24, 30, 3) and 0 <= picture.min() <= picture.max() <= 1
    r, g, b = np.moveaxis(picture[0, 10:14, 10:20].mean(axis=(0, 1)), -1, 0)
    assert r > g > b
    r, g, b = np.moveaxis(picture[1, 10:14, 10:20].mean(axis=(0, 1)), -1, 0)
    assert r < g < b
    # Rows stay rows
    np.testing.assert_allclose(picture[2], picture[0, ::-1], atol=1e-6)


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 8])
def test_composite_bands(bands):
    x = np.stack([galaxy()] * bands).astype(np.float16)[None]
    picture = pictures.composite(x)
    np.testing.assert_allclose(picture[..., 0], picture[..., 2], atol=1e-3)  # alike: grey
    assert picture[0, 12, 15, 0] > 0.9 and picture[0, 0, 0, 0] < 0.2


def test_composite_blanks():
    x = np.stack([galaxy()] * 3)[None]
    x[0, :, :5] = np.nan
    x[0, 0, :, 25:] = np.nan
    picture = pictures.composite(x)
    assert np.isfinite(picture).all()
    np.testing.assert_allclose(picture[0, :5], np.broadcast_to(pictures.BLANK, (5, 30, 3)))
    assert np.ptp(picture[0, 12, 26]) < 1e-5  # the other bands stand for it
    assert np.isfinite(pictures.composite(x * np.nan)).all()


def test_composite_noise():
    # One band twice as noisy: without the noise, the galaxy seems to lack that colour
    flux = np.stack([galaxy()] * 3)
    noise = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 2.0]])
    x = flux / noise[:, :, None, None]
    picture = pictures.composite(x, noise)
    np.testing.assert_allclose(picture[1, ..., 0], picture[1, ..., 2], atol=2e-3)
    assert np.abs(np.diff(pictures.composite(x)[1, ..., ::2], axis=-1)).max() > 0.05
    unknown = noise * [[1], [np.nan]]
    assert np.isfinite(pictures.composite(x, unknown)).all()


def test_sheets(evaluation):
    x = np.stack([np.stack([galaxy()] * 2)] * 5)
    sheet = pictures.contact_sheet(x, ["b_c", "a", "a", "a", "a"], list("vwxyz"), columns=3)
    said = words(sheet)
    assert said.count("b c") == 1 and "z" not in said and {"v", "w", "x", "y"} <= set(said)
    assert sum(axes.get_visible() for axes in sheet.axes) == 4

    said = words(pictures.gallery(x, evaluation.wrong[:5]))
    first = evaluation.wrong[0]
    assert first.id in said and f"labelled {first.true.replace('_', ' ')}" in said

    said = words(pictures.galaxy_sheet(x[0], ["g", "r"], "NGC $1", {"flags": "edge"}))
    assert {"NGC $1", "g", "r", "colour", "flags", "edge"} <= set(said)
    one = pictures.galaxy_sheet(x[0, :1] * np.nan, ["g"], "blank")
    assert "colour" not in words(one)
    for image in one.findobj(mpl.image.AxesImage):
        assert image.origin == "lower"

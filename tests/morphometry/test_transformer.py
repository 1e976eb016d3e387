r"""Measurements as a step of scikit-learn."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from pipeline.errors import ConfigError, DataError
from pipeline.morphometry import measure
from pipeline.morphometry.features import FEATURES, SIGNED, feature_names, features
from pipeline.morphometry.transformer import MorphologyTransformer


@parametrize_with_checks([MorphologyTransformer()])
def test_contract(estimator, check):
    check(estimator)


def galaxies(count, bands=2, shape=(40, 36), seed=0):
    r"""Exponential disks, half of them flat, redder in the middle, in noise of one."""

    random = np.random.default_rng(seed)
    kinds = np.arange(count) % 2
    y, x = np.indices(shape) - np.array([shape[0] / 2 - 0.3, shape[1] / 2 + 0.2])[:, None, None]
    radius = [np.hypot(x, y / q) for q in np.where(kinds, 0.3, 1) + random.uniform(0, 0.1, count)]
    size = 3 + 0.3 * np.arange(bands)[::-1]
    clean = 90 * np.exp(-np.stack(radius)[:, None] / size[:, None, None])

    return clean + random.normal(size=clean.shape), kinds


def test_shapes():
    images, _ = galaxies(3)
    given = MorphologyTransformer().fit(images)
    found = given.transform(images)
    assert given.image_shape_ == (2, 40, 36) and given.n_features_in_ == images[0].size
    assert found.shape == (3, 2 * (len(FEATURES) - 1) + 1) and found.dtype == np.float64
    assert list(given.get_feature_names_out()) == list(feature_names(("0", "1")))

    # Rows of pixels, in one band or in two, are the same images
    rows = images.reshape(3, -1)
    for shape in ((40, 36), [2, 40, 36]):
        again = MorphologyTransformer(shape).fit(rows)
        np.testing.assert_array_equal(again.transform(rows), found)
        np.testing.assert_array_equal(again.transform(images), found)
    one = MorphologyTransformer(columns=("gini", "m20")).fit(images[:, 0])
    assert one.image_shape_ == (1, 40, 36)
    expected = [[m.gini, m.m20] for m in map(measure, images[:, 0])]
    np.testing.assert_array_equal(one.transform(images[:, 0]), expected)

    # What is masked is not covered
    hidden = np.ma.masked_greater(images[:, 0], 60)
    np.testing.assert_array_equal(one.transform(hidden), one.transform(hidden.filled(np.nan)))
    assert not np.array_equal(one.transform(hidden), expected)

    # The squarest shape: 1440 = 36 * 40
    assert MorphologyTransformer().fit(rows[:, :1440]).image_shape_ == (1, 36, 40)
    assert MorphologyTransformer().fit(rows[:, :1439]).image_shape_ == (1, 1, 1439)


def test_names():
    images, _ = galaxies(2)
    columns = ("gini", "colour_gradient")
    blind = MorphologyTransformer(columns=columns).fit(images)
    named = MorphologyTransformer(columns=columns, bands=("g", "r")).fit(images)
    single = MorphologyTransformer(columns=columns).fit(images[:, 0])

    assert list(blind.get_feature_names_out()) == ["gini_0", "gini_1", "colour_gradient_0_1"]
    assert list(named.get_feature_names_out()) == ["gini_g", "gini_r", "colour_gradient_g_r"]
    assert list(single.get_feature_names_out()) == ["gini"]
    frame = named.set_output(transform="pandas").transform(images)
    assert list(frame.columns) == list(named.get_feature_names_out())
    assert (frame["colour_gradient_g_r"] < 0).all()  # bluer outside


def test_classifier():
    r"""A forest takes what is undefined as it is, and the step lives in a pipeline."""

    images, kinds = galaxies(24)
    images[0] = 0  # nothing to be seen
    forest = RandomForestClassifier(30, random_state=0)
    chain = make_pipeline(MorphologyTransformer(columns=("ellipticity", "gini")), forest)
    assert np.isnan(chain[0].fit_transform(images)).any()
    assert chain.fit(images[:16], kinds[:16]).score(images[16:], kinds[16:]) == 1

    again = pickle.loads(pickle.dumps(chain))
    np.testing.assert_array_equal(again.predict(images), chain.predict(images))
    assert clone(chain[0]).get_params() == chain[0].get_params()


def test_jobs():
    r"""Processes share the images, more of them than there are images too."""

    images, _ = galaxies(3, bands=1, shape=(18, 16))
    alone = MorphologyTransformer(columns=("gini", "r50")).fit(images)
    found = alone.transform(images)

    for jobs in (2, 5):
        shared = clone(alone).set_params(n_jobs=jobs).fit(images)
        np.testing.assert_array_equal(shared.transform(images), found)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_symmetries(turns, mirrored):
    r"""Only what tells the hand knows a galaxy from its mirror image."""

    images, _ = galaxies(2, seed=3)
    view = images[..., ::-1] if mirrored else images
    view = np.ascontiguousarray(np.rot90(view, turns, axes=(2, 3)))
    before, after = (features(pixels, ("g", "r")) for pixels in (images, view))
    names = feature_names(("g", "r"))
    sign = np.array([-1 if mirrored and name.startswith(SIGNED) else 1 for name in names])

    assert np.isfinite(before).mean() > 0.9
    np.testing.assert_allclose(after, sign * before, rtol=1e-6, atol=1e-5)


def test_refused():
    images, _ = galaxies(2)
    with pytest.raises(DataError, match=r"shape \(40, 37\) with 2880 pixels"):
        MorphologyTransformer((40, 37)).fit(images)
    with pytest.raises(DataError, match=r"bands=\['g'\] for images of shape \(2, 40, 36\)"):
        MorphologyTransformer(bands=["g"]).fit(images)
    with pytest.raises(ConfigError, match="no measurement 'ginni', did you mean 'gini'"):
        MorphologyTransformer(columns=["ginni"]).fit(images)
    with pytest.raises(ConfigError, match=r"columns='gini', expected a list of names"):
        MorphologyTransformer(columns="gini").fit(images)
    with pytest.raises(ConfigError, match="mode='slow', expected one of fast, parity"):
        MorphologyTransformer(mode="slow").fit(images)
    with pytest.raises(ConfigError, match="gain=0, expected a number above 0"):
        MorphologyTransformer(gain=0).fit(images)
    with pytest.raises(DataError, match=r"\(40, 36, 2\), which is 40 bands of 36 x 2 pixels"):
        MorphologyTransformer().fit(np.moveaxis(images, 1, 3))
    for columns in ([], ["colour_gradient"]):
        with pytest.raises(ConfigError, match="of 1 bands, expected measurements"):
            MorphologyTransformer(columns=columns).fit(images[:, 0])
    fitted = MorphologyTransformer().fit(images)
    for wrong in (np.moveaxis(images, 1, 3), images.swapaxes(2, 3), images[:, 0].swapaxes(1, 2)):
        with pytest.raises(DataError, match=r"expected \(2, 40, 36\) as in `fit`"):
            fitted.transform(wrong)


def test_light_import():
    r"""Measuring does not load scikit-learn."""

    code = "import sys, pipeline.morphometry; assert 'sklearn' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

r"""Experiments, and what is said of wrong ones."""

from dataclasses import fields
from pathlib import Path

import pytest
import torch

from models import build
from pipeline import config
from pipeline.augment import Augment
from pipeline.config import sections
from pipeline.errors import ConfigError
from pipeline.optimization import Training
from pipeline.stretch import Stretch

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))

SMALL = "name: x\ndata: {root: a, bands: [g, r], labels: {column: c, classes: [a, b]}}\n"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(SMALL)

    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_file_builds(path):
    experiment = config.load(path)
    options, labels = experiment.model, experiment.data.labels

    with torch.device("meta"):
        build(options.name, len(experiment.data.bands), len(labels.classes), **options.args)
    Stretch(**experiment.batches.stretch.model_dump())
    Augment(**experiment.batches.augment.model_dump())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.epoch=3", r"^--set .*: unknown key 'training.epoch', did you mean 'epochs'\?"),
        ("mode=fast", r"unknown key 'mode', did you mean 'morphometry\.mode'\?"),
        ("data.optimizer=sgd", r"unknown key 'data\.optimizer', .* 'training\.optimizer'\?"),
        ("workers=2", r"did you mean 'data\.workers' or 'morphometry\.workers'\?"),
        ("trainning.epochs=3", r"unknown key 'trainning', did you mean 'training'\?"),
        ("data.labels.colum=c", r"unknown key 'data.labels.colum', did you mean 'column'\?"),
        ("training.optimizer=adamm", r"training.optimizer='adamm', did you mean 'adam'\?"),
        ("training.epochs=0", r"training.epochs=0, expected greater than 0$"),
        ("training.lr=fast", r"training.lr='fast', expected a number$"),
        ("training.epochs=true", "training.epochs=True, expected a number, not true or false$"),
        ("data.scale=true", "data.scale=True, expected a number, not true or false$"),
        ("split.radius_arcsec=.inf", "split.radius_arcsec=inf, expected a finite number$"),
        ("data.scale=.nan", "data.scale=nan, .*finite number"),
        ("model.args={dropout: .nan}", "model.args.dropout=nan, .*finite number"),
        ("data.root=null", "data.root=None, expected the path of a file or a folder$"),
        ("data.scale=-1", r"data.scale=-1, expected native, arcsec per pixel"),
        ("data.scale=0 x petro_r", r"data.scale='0 x petro_r', expected native, arcsec per pixel"),
        ("data.scale=0.00 x petro_r", r"data.scale='0.00 x petro_r', expected native"),
        ("data.scale=4 petro_r", r"data.scale='4 petro_r', expected native"),
        (
            "data.band_text={q: z}",
            r"^--set '.*': data.band_text={'q': 'z'}, unknown band 'q', expected one of g, r$",
        ),
        ("data.size=[3, 64]", r"data.size=\[3, 64\], expected 8 pixels or more"),
        ("data.labels.mirror={b: c}", "mirror names 'c', expected one of a, b"),
        ("data.labels.rename={S: c}", "data.labels.*rename gives 'c', expected one of a, b"),
        (
            "data.labels={column: c, classes: [a, b, c], threshold: 0.5}",
            "data.labels.*threshold=0.5 needs two classes, not",
        ),
        ("data.band_text={r: z}", r"data.band_text={'r': 'z'}, expected {band} in data.pattern="),
        ("data.bands=g,r", r"data.bands='g,r', expected a list, such as \[a, b\]$"),
        ("data.bands=[1]", r"data.bands.0=1, expected text, in quotes if it looks like a number$"),
        ("data.bands=[]", r"data.bands=\[\], expected more values$"),
        ("data.size=[64]", r"data.size=\[64\], expected a whole number or more values$"),
        ("name=3", "name=3, expected text"),
        ("model=3", "model=3, expected a section of keys and values$"),
        ("data.bands=[g, g]", r"data.bands=.*, expected different names"),
        ("split.test=0.95", "validation and test leave nothing to train with"),
        (
            "training={warmup_epochs: 5, epochs: 5}",
            "training.warmup_epochs=5, expected less than epochs=5",
        ),
        (
            "training={warmup_epochs: 1, schedule: onecycle}",
            "training.warmup_epochs=1, schedule='onecycle' has a rise of its own, expected 0",
        ),
        (
            "training.handedness=4.0",
            "x.yaml with --set '.*': training=.*, handedness=4.0 needs a hand: expected 1, or"
            " pairs in data.labels.mirror",
        ),
        (
            "data.table={path: t.csv, match_arcsec: 2, ra: ra}",
            "match_arcsec=2 needs the columns ra",
        ),
        ("data.table={path: t.csv, id: null}", "id=None needs match_arcsec, expected a column"),
        (
            "data.size=wide",
            r"^--set '.*': data.size='wide', expected a whole number or a list, .*$",
        ),
        ("data.hdu=[1]", r"^--set '.*': data.hdu=\[1\], expected a whole number or text, .*$"),
        ("name=${NOBODY}", r"--set 'name=\$\{NOBODY\}': the environment has no variable NOBODY"),
        ("name.first=x", "name is a value, not a section"),
        ("training", "expected section.key=value"),
        ("data.size=[1,", "is not a YAML value"),
        ("training={lr: 1, lr: 2}", "is not a YAML value"),
        ("name=../b", r"name='../b', expected letters, digits, and"),
        ("tracking.register_as=a/b", r"tracking.register_as='a/b', expected letters"),
    ],
)
def test_wrong_settings(path, setting, message):
    with pytest.raises(ConfigError, match=message):
        config.load(path, [setting])


def test_scales_and_texts_of_bands(path):
    for scale in ("native", "0.4", "0.5 x petro_r", "4 x r"):
        config.load(path, [f"data.scale={scale}"])
    assert config.load(
        path, ["data.band_text={r: red}", "data.pattern={id}_{band}"]
    ).data.band_text == {"r": "red"}
    # Frames have no need of identifiers, nor of a radius
    table = "data.table={path: t.csv, id: null, ra: ra, dec: dec}"
    assert config.load(path, ["data.pattern=*_{band}.fits", table]).data.table.id is None


def test_numbers_that_are_words(path):
    assert config.load(path, ["training.precision=32"]).training.precision == "32"


def test_who_is_to_blame(path):
    r"""A setting for itself, the last one if there are several, and the file for all others."""

    settings = ["training.lr=fast", "data.size=wide", "training.lr=slow"]
    path.write_text(f"{SMALL}training: {{epochs: many}}\n")
    with pytest.raises(ConfigError) as found:
        config.load(path, settings)
    lr = "--set 'training.lr=slow': training.lr='slow'"
    size, epochs = "--set 'data.size=wide': data.size='wide'", f"{path}: training.epochs='many'"
    assert all(text in str(found.value) for text in (lr, size, epochs))


def test_classes_are_weighed_once(path):
    settings = ["batches.balanced=true", "training.class_weights=0.5"]
    for setting in settings:
        config.load(path, [setting])
    with pytest.raises(
        ConfigError, match=r"class_weights=0.5 and batches.balanced=True .* one of"
    ):
        config.load(path, settings)


def test_default_rise(path):
    r"""It fits the epochs and the schedule, as it must when it is given."""

    for settings, rise in {
        ("training.epochs=20",): 2.0,
        ("training.epochs=1",): 0.5,
        ("training.schedule=onecycle",): 0.0,
        ("training.warmup_epochs=3", "training.epochs=4"): 3.0,
    }.items():
        assert config.load(path, settings).training.warmup_epochs == rise


def test_wrong_files(path, tmp_path):
    with pytest.raises(ConfigError, match="nowhere.yaml: cannot be read"):
        config.load(tmp_path / "nowhere.yaml")

    for text, message in {
        "name: [": "not YAML",
        "- name": r"holds ..'name'.., expected keys",
        "": "is empty, expected keys",
        "name: x\nseed: 1\nname: y": r"x\.yaml: not YAML \(the key 'name' stands twice\s.* line 3",
        "name: x": "data is missing",
        "name: ${NO_SUCH_VARIABLE}": "no variable NO_SUCH_VARIABLE",
        "name: &a [*a]": "a value that holds itself",
    }.items():
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            config.load(path)


def test_keys_that_are_merged(path):
    r"""A key of a mapping may stand in what it merges too."""

    path.write_text(
        SMALL + "model: {name: lenet, args: {x: &a {<<: {dropout: 0}, dropout: 1}}}\n"
        "batches: {augment: {<<: *a}}\n"
    )
    with pytest.raises(ConfigError, match=r"unknown key 'batches\.augment\.dropout'"):
        config.load(path)


def test_settings_and_variables(path, monkeypatch):
    path.write_text(SMALL.replace("root: a", "root: '${ROOT:-b}/c'"))
    assert config.load(path).data.root == Path("b/c")
    path.write_text(path.read_text() + "\n# what ${NOBODY} set in a comment does not matter\n")

    monkeypatch.setenv("ROOT", "d")
    experiment = config.load(path, ["training.lr=0.5", "data.size=[48, 64]", "seed=3"])
    assert experiment.data.root == Path("d/c")
    assert experiment.training.lr == 0.5
    assert experiment.data.shape == (48, 64)
    assert experiment.seed == 3
    for pattern in ("{id}", "{band}", "{band}/*", "{band}/{id}.fits", "{id}/{band}.fits"):
        assert config.load(path, [f"data.pattern={pattern}"]).data.pattern == pattern
    assert config.load(path, ["data.hdu={band}"]).data.hdu == "{band}"

    monkeypatch.setenv("HOME", "/home/eve")
    path.write_text(SMALL.replace("root: a", "root: ~/sky"))
    assert config.load(path).data.root == Path("/home/eve/sky")
    assert config.load(path, ["folder=~/runs", "seed=4"]).folder == Path("/home/eve/runs")
    assert config.load(path, ["data.pattern=a~/{id}"]).data.pattern == "a~/{id}"


@pytest.mark.parametrize(
    ("section", "component"), [(sections.Stretch, Stretch), (sections.Training, Training)]
)
def test_defaults_are_those_of_the_component(section, component):
    theirs = {field.name: field.default for field in fields(component)}
    ours = {name: field.default for name, field in section.model_fields.items()}
    # An experiment has one seed, weighs classes by a power of their counts, and rises in time.
    for name in ("seed", "class_weights", "warmup_epochs"):
        theirs.pop(name, None), ours.pop(name, None)

    assert ours == theirs


def test_augmentation_has_every_key():
    assert {f.name for f in fields(Augment)} == set(sections.Augment.model_fields)

r"""What is refused before time is spent on it."""

from pathlib import Path

import pytest

from models import MODELS
from pipeline import runs
from pipeline.config import load
from pipeline.errors import ConfigError, DataError
from pipeline.runs import training

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.mark.parametrize(
    ("model", "size", "found"),
    [
        ("{name: lenet}", 20, "expected 22 x 22 or more"),
        ("{name: dihedral_resnet, args: {stages: 6}}", 16, "Output size is too small"),
        ("{name: 'timm:vit_tiny_patch16_224'}", 64, r"Input height \(64\) doesn't match"),
        ("{name: 'torchvision:inception_v3'}", 64, "Kernel size can't be greater"),
    ],
)
def test_images_that_do_not_fit(model, size, found, tmp_path):
    r"""A network that cannot take the images is refused before they are read."""

    settings, fits = [f"folder={tmp_path}", f"model={model}"], 299 if "inception" in model else 224
    experiment = load(CONFIGS / "demo.yaml", [*settings, f"data.size={size}"])
    told = rf"model\.name='{experiment.model.name}' takes no images of {size} x {size} pixels"
    with pytest.raises(ConfigError, match=rf"{told}: .*{found}.*; expected .* data\.size"):
        training.check(experiment)
    training.check(load(CONFIGS / "demo.yaml", [*settings, f"data.size={fits}"]))


@pytest.mark.parametrize(
    "name",
    [
        *MODELS,
        *("timm:resnet18", "timm:efficientnet_lite0", "timm:convnext_atto"),
        *("torchvision:resnet18", "torchvision:googlenet", "torchvision:regnet_y_400mf"),
    ],
)
def test_images_that_fit(name, tmp_path):
    settings = [f"folder={tmp_path}", f"model={{name: '{name}'}}"]
    training.check(load(CONFIGS / "demo.yaml", settings))


NO_TABLE = ("data.table=null", "simulate=null")


def test_not_yet(tmp_path):
    experiment = load(CONFIGS / "demo.yaml", [f"folder={tmp_path}"])
    with pytest.raises(DataError, match="not a store yet, expected `tuningfork ingest` before"):
        runs.train(experiment)
    with pytest.raises(ConfigError, match=r"labels\.column='label' needs data\.table, which is"):
        runs.ingest(load(CONFIGS / "demo.yaml", [f"folder={tmp_path}", *NO_TABLE]))
    with pytest.raises(ConfigError, match=r"data\.labels is missing"):
        runs.train(
            experiment.model_copy(
                update={"data": experiment.data.model_copy(update={"labels": None})}
            )
        )

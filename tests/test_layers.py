r"""Imports only go down, without cycles, and each heavy library has one door."""

import ast
import graphlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = [
    "pipeline.errors pipeline.files pipeline.flags pipeline.labels pipeline.passwords",
    "pipeline.catalogue pipeline.config pipeline.fits pipeline.headers pipeline.manifest "
    "pipeline.objects pipeline.patterns pipeline.provenance pipeline.simulate pipeline.store "
    "pipeline.surveys pipeline.workers",
    "pipeline.augment pipeline.background pipeline.calibration pipeline.cutout "
    "pipeline.descriptors pipeline.filters pipeline.metrics pipeline.morphometry "
    "pipeline.optimization pipeline.quality pipeline.regrid pipeline.split "
    "pipeline.stretch pipeline.trees models",
    "pipeline.admission pipeline.baselines pipeline.card pipeline.classify pipeline.comparison "
    "pipeline.compilation pipeline.curves pipeline.dataset pipeline.evaluation pipeline.feeds "
    "pipeline.figures pipeline.ingest pipeline.measurement pipeline.pictures "
    "pipeline.prediction pipeline.predictor pipeline.report pipeline.rows pipeline.serving "
    "pipeline.sources pipeline.targets pipeline.tracking pipeline.training",
    "pipeline.runs",
    "flows",
]

DOORS = {
    "astropy.io": "pipeline.fits",
    "lightning": "pipeline.training",
    "mlflow": "pipeline.tracking",
    "prefect": "flows",
    "typer": "flows",
}

MODELS_USE = {"models", "numpy", "safetensors", "sklearn", "timm", "torch", "torchvision"}

OURS = ("pipeline", "models", "flows")
FILES = [p for top in OURS for p in sorted((ROOT / top).rglob("*.py"))]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def noun_of(module: str) -> str:
    r"""A module of `pipeline/`, which may be a folder; `models` and `flows` are one noun each."""

    parts = module.split(".")

    return ".".join(parts[:2]) if parts[0] == "pipeline" else parts[0]


def level(noun: str) -> int:
    found = [i for i, layer in enumerate(LAYERS) if noun in layer.split()]
    assert len(found) == 1, f"{noun} should be in one layer, found in {len(found)}"
    return found[0]


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno} uses a relative import"
            names |= {f"{node.module}.{a.name}" for a in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
    return names


def ours(path: Path) -> set[str]:
    r"""The other nouns of the project that a file imports."""

    modules = {name_of(p) for p in FILES} - {"pipeline"}
    return {noun_of(m) for m in imports(path) & modules} - {noun_of(name_of(path))}


@pytest.mark.parametrize("path", [p for p in FILES if name_of(p) != "pipeline"], ids=name_of)
def test_layers(path):
    noun = noun_of(name_of(path))

    for other in ours(path):
        assert level(other) <= level(noun), f"{noun} imports {other}"

    for library, door in DOORS.items():
        enters = any(n == library or n.startswith(library + ".") for n in imports(path))
        assert not enters or noun == door, f"{noun} imports {library}"

    if noun == "models":
        others = {n.split(".")[0] for n in imports(path)} - sys.stdlib_module_names
        assert others <= MODELS_USE, f"models imports {others - MODELS_USE}"


def test_no_cycles():
    graph = {}
    for path in FILES:
        graph.setdefault(noun_of(name_of(path)), set()).update(ours(path))

    graphlib.TopologicalSorter(graph).prepare()  # raises on a cycle


def test_names():
    nouns = {noun_of(name_of(p)) for p in FILES}
    assert nouns - {"pipeline"} == {noun for layer in LAYERS for noun in layer.split()}
    for path in FILES:
        name = name_of(path).split(".")[-1]
        assert name not in sys.stdlib_module_names, f"{name} hides a library"

r"""Imports only go down, and each heavy library has one door."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = [
    ["pipeline.errors"],
    ["pipeline.labels"],
    ["pipeline.config", "pipeline.fits", "pipeline.surveys"],
    ["pipeline.catalogue", "pipeline.simulate", "pipeline.store"],
    [
        *("pipeline.augment", "pipeline.calibration", "pipeline.cutout", "pipeline.descriptors"),
        *("pipeline.metrics", "pipeline.quality", "pipeline.split", "pipeline.stretch"),
        "models.*",
    ],
    ["pipeline.card", "pipeline.dataset", "pipeline.sources", "pipeline.targets"],
    ["pipeline.baselines", "pipeline.evaluation", "pipeline.ingest", "pipeline.training"],
    ["pipeline.classify", "pipeline.figures"],
    ["pipeline.report", "pipeline.tracking"],
    ["pipeline.runs"],
    ["flows.*"],
]

DOORS = {
    "astropy.io": ["pipeline.fits"],
    "lightning": ["pipeline.training"],
    "mlflow": ["pipeline.tracking"],
    "prefect": ["flows.*"],
    "typer": ["flows.*"],
}

MODELS_USE = {"models", "safetensors", "sklearn", "timm", "torch", "torchvision", "numpy"}

OURS = ("pipeline", "models", "flows")
FILES = [p for top in OURS for p in sorted((ROOT / top).rglob("*.py"))]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def matches(module: str, patterns: list[str]) -> bool:
    return any(
        module == p or p.endswith("*") and f"{module}.".startswith(p[:-1]) for p in patterns
    )


def level(module: str) -> int:
    found = [i for i, patterns in enumerate(LAYERS) if matches(module, patterns)]
    assert len(found) == 1, f"{module} should be in one layer, found in {len(found)}"
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


@pytest.mark.parametrize("path", [p for p in FILES if name_of(p) != "pipeline"], ids=name_of)
def test_layers(path):
    module = name_of(path)
    top = module.split(".")[0]

    for other in imports(path) & {name_of(p) for p in FILES} - {"pipeline", module}:
        same = top == other.split(".")[0] in ("models", "flows")
        assert level(other) < level(module) or same, f"{module} imports {other}"

    for library, doors in DOORS.items():
        enters = any(n == library or n.startswith(library + ".") for n in imports(path))
        assert not enters or matches(module, doors), f"{module} imports {library}"

    if top == "models":
        others = {n.split(".")[0] for n in imports(path)} - sys.stdlib_module_names
        assert others <= MODELS_USE, f"{module} imports {others - MODELS_USE}"


def test_names():
    modules = [name_of(p) for p in FILES]
    for pattern in [p for layer in LAYERS for p in layer]:
        assert any(matches(module, [pattern]) for module in modules), f"no module {pattern}"
    for module in modules:
        assert module.split(".")[-1] not in sys.stdlib_module_names, f"{module} hides a library"

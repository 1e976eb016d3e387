r"""What the pages say is there, and their Python runs."""

import re
from pathlib import Path

import pytest

from pipeline.morphometry import FLAGS, Morphology

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "morphometry.md"


def blocks(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.stem)
def test_links(path):
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        assert target.startswith("https://") or (DOCS / target).exists(), target


def test_examples(capsys):
    names: dict[str, object] = {}
    for block in blocks(PAGE):
        exec(block, names)

    assert len(blocks(PAGE)) >= 2
    assert re.search(r"C = 2\.\d\d, n = \d\.\d\d", capsys.readouterr().out)


def test_all_measurements_are_explained():
    text = PAGE.read_text()
    listed = set(re.findall(r"`([a-z0-9_]+\*?)`", text))
    families = tuple(name.removesuffix("*") for name in listed if name.endswith("*"))
    fields = {name for name in Morphology._fields if not name.endswith(("_error", "_centroid"))}

    assert {
        name for name in fields if name not in listed and not name.startswith(families)
    } == set()
    assert set(FLAGS) <= listed

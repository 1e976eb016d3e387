import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pipeline.compilation import compile_ahead

MANY = 1000
LONG_WITHOUT_KERNELS = ("test_ingest.py", "test_training.py", "test_tracking.py")

SHARED = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    r"""Compiles the kernels beside tests that do without them, where all tests are to run."""

    if len(items) > MANY:
        items.sort(key=lambda item: item.path.name not in LONG_WITHOUT_KERNELS)
        compile_ahead()


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    r"""The folder of real data. Its absence fails where TUNINGFORK_DATA says it must be there."""

    demanded = os.environ.get("TUNINGFORK_DATA")
    folder = Path(demanded) if demanded else SHARED
    if not folder.is_dir():
        if demanded:
            pytest.fail(f"TUNINGFORK_DATA={demanded} is not a folder")
        pytest.skip(f"no real data at {folder}")

    return folder

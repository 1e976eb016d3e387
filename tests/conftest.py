import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).parents[2] / "shared" / "data"


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

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

# What numba has compiled is kept by source file, whatever else it calls. Here any change of any
# file begins anew, and an unchanged tree is not compiled twice.
_SOURCES = sorted(Path(__file__).parent.glob("pipeline/**/*.py"))
_DIGEST = hashlib.blake2b(b"".join(path.read_bytes() for path in _SOURCES), digest_size=8)
os.environ.setdefault(
    "NUMBA_CACHE_DIR", f"{tempfile.gettempdir()}/tuningfork-numba-{_DIGEST.hexdigest()}"
)


@pytest.fixture(autouse=True)
def doctest_names(doctest_namespace: dict) -> None:
    doctest_namespace |= {"np": np, "torch": torch}

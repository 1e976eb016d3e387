r"""From survey files to a morphology catalogue."""

__version__ = "0.1.0"

import os
from hashlib import blake2b
from pathlib import Path


def _keep_compiled() -> None:
    r"""Keeps what numba compiles in a folder of this very source.

    By itself, numba looks for changes only in the file of a function, not in those of the
    functions that it calls.
    """

    sources = sorted(Path(__file__).parent.rglob("*.py"))
    digest = blake2b(b"".join(path.read_bytes() for path in sources), digest_size=8)
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    os.environ.setdefault("NUMBA_CACHE_DIR", f"{cache}/tuningfork/{digest.hexdigest()}")


_keep_compiled()

r"""From survey files to a morphology catalogue."""

__version__ = "0.1.0"

import os
from hashlib import blake2b
from pathlib import Path

KERNELS = ("background.py", "morphometry/*.py", "quality.py", "regrid.py")
r"""The files with functions that numba compiles, and with the constants in them."""


def _digest() -> str:
    folder = Path(__file__).parent
    sources = sorted(path for pattern in KERNELS for path in folder.glob(pattern))

    return blake2b(b"".join(path.read_bytes() for path in sources), digest_size=8).hexdigest()


def _keep_compiled() -> None:
    r"""Keeps what numba compiles in a folder of these very sources.

    By itself, numba looks for changes only in the file of a function, not in those of the
    functions that it calls.
    """

    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    os.environ.setdefault("NUMBA_CACHE_DIR", f"{cache}/tuningfork/{KERNEL_VERSION}")


KERNEL_VERSION = _digest()
r"""A hash of :data:`KERNELS`: with another one, numbers may be others."""

_keep_compiled()

import os
import subprocess
import sys
from pathlib import Path

import pipeline

SCRIPT = """
import time
from pathlib import Path
from pipeline.compilation import compiled_meanwhile

if __name__ == "__main__":
    cache = Path("cache")
    with compiled_meanwhile():
        while not list(cache.rglob("*.nbi")):
            time.sleep(0.1)
    (cache / "measured").touch()
    before = set(cache.rglob("*"))
    with compiled_meanwhile():
        time.sleep(0.5)
    print(set(cache.rglob("*")) == before)
"""


def test_compiles_once(tmp_path):
    r"""What is compiled beside other work is kept, and what is kept is not compiled again."""

    (tmp_path / "script.py").write_text(SCRIPT)
    root = str(Path(__file__).parents[1])
    env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": root}
    command = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, check=True, capture_output=True, text=True, timeout=300
    )

    assert done.stdout == "True\n"


def test_all_kernels_are_watched():
    r"""A change of any file with a compiled function begins a cache of its own."""

    folder = Path(pipeline.__file__).parent
    watched = {path for pattern in pipeline.KERNELS for path in folder.glob(pattern)}
    kernels = {path for path in folder.rglob("*.py") if "import njit" in path.read_text()}

    assert kernels and kernels <= watched

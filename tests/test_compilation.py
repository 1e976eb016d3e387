import os
import subprocess
import sys
from pathlib import Path

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

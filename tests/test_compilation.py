import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pipeline

SCRIPT = """
import multiprocessing
import time
from pathlib import Path
from pipeline import compilation
from pipeline.compilation import compile_ahead, compile_once
from pipeline.morphometry.growth import concentration

def one_kernel(*_):  # rather than all, for which it would be killed in their midst
    concentration(1.0, 3.0)
    time.sleep(600)

compilation.measure_cutouts = one_kernel

if __name__ == "__main__":
    cache = Path("cache")
    (cache / "measured_elsewhere").touch()
    for _ in range(2):  # which is begun once
        compile_ahead()
        print(len(multiprocessing.active_children()))
    while not list(cache.rglob("*.nbi")):
        time.sleep(0.1)
    multiprocessing.active_children()[0].kill()
    compile_once()
    compilation._done().touch()
    compilation._compiler.cache_clear()
    before = set(cache.rglob("*"))
    compile_ahead()
    compile_once()
    print(len(multiprocessing.active_children()), set(cache.rglob("*")) == before)
"""


def test_compiles_once(tmp_path):
    r"""What is compiled beside other work is kept, and what is kept is not compiled again."""

    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "cache").mkdir()
    root = str(Path(__file__).parents[1])
    env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": root}
    command = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, check=True, capture_output=True, text=True, timeout=300
    )

    assert done.stdout.split() == ["1", "1", "0", "True"]


def test_a_change_of_any_kernel_begins_a_cache(tmp_path, monkeypatch):
    r"""Whatever is compiled, or is compiled into something else, in whatever file it is."""

    code = re.compile(r"^(from|import) (numba|pipeline\.morphometry\.compiled)\b", re.MULTILINE)
    folder = tmp_path / "pipeline"
    shutil.copytree(Path(pipeline.__file__).parent, folder)
    monkeypatch.setattr(pipeline, "__file__", str(folder / "__init__.py"))
    kernels = [path for path in folder.rglob("*.py") if code.search(path.read_text())]
    digests = {pipeline._digest()}
    assert digests == {pipeline.KERNEL_VERSION}

    for path in kernels:
        path.write_text(path.read_text() + "\n")
        digests.add(pipeline._digest())

    assert len(kernels) > 40 and len(digests) == 1 + len(kernels)

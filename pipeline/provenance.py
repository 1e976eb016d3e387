r"""Where a result comes from: software, machine and commit."""

__all__ = ["git_commit", "provenance", "versions"]

import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from pipeline import __version__
from pipeline.passwords import masked

LIBRARIES = ("torch", "lightning", "timm", "numpy", "astropy", "scikit-learn", "mlflow", "prefect")


def provenance() -> dict[str, str]:
    r"""Describes what runs now, in words for a report and tags of a run."""

    commit = git_commit()

    return {
        "tuningfork": __version__,
        **({"git commit": commit} if commit else {}),
        "command": masked(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])),
        "python": platform.python_version(),
        **versions(LIBRARIES),
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions(libraries: Sequence[str]) -> dict[str, str]:
    r"""Returns the version of each library that is installed, without its build."""

    found = {}
    for name in libraries:
        try:
            found[name] = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            continue

    return found


def git_commit() -> str | None:
    r"""Returns the commit of this package, `+` added if files differ from it, else none."""

    folder = Path(__file__).parents[1]
    if not (folder / ".git").exists():  # installed, perhaps within a repository of another kind
        return None
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None

    return done.stdout.strip() or None

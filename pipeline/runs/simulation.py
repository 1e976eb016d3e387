r"""Surveys that are drawn."""

__all__ = ["simulate"]

import logging
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.files import locked, read_json, write_json
from pipeline.simulate import check
from pipeline.simulate import simulate as draw_survey

RECEIPT = "survey.json"
r"""What was drawn, in the folder of the survey."""

_log = logging.getLogger(__name__)


def simulate(
    folder: Path, galaxies: int = 2000, seed: int = 0, side: int = 64, faults: float = 0.04
) -> dict:
    r"""Draws a survey, unless the folder already has it. One of other numbers is replaced.

    Raises:
        ConfigError: If a number is out of range, or if the folder holds what was not drawn here,
            which might be replaced.
    """

    folder = Path(folder)
    if folder.is_file():
        raise ConfigError(f"{folder} is a file, expected a folder to write a survey to")
    asked: dict[str, Any] = {"galaxies": galaxies, "seed": seed, "side": side, "faults": faults}
    check(**asked)
    receipt = folder / RECEIPT
    # Looked at before the receipt, which another process writes before it draws
    found = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    foreign = [name for name in found if not name.startswith(".")]
    if foreign and not receipt.exists():
        raise ConfigError(
            f"{folder} holds {', '.join(foreign[:3])}, which the simulator has not drawn; expected"
            " an empty folder, or an experiment without `simulate`"
        )
    with locked(folder):
        told = read_json(receipt) if receipt.exists() else {}
        if told != asked:
            _draw(folder, told, asked)

    return {"survey": str(folder), "drawn": told != asked, **asked}


def _draw(folder: Path, told: dict[str, Any], asked: dict[str, Any]) -> None:
    r"""Draws a survey in the place of another one, or of what a kill has left of it."""

    differ = [name for name in asked if told and told.get(name) != asked[name]]
    if differ:
        then, now = (", ".join(f"{k}={one.get(k)}" for k in differ) for one in (told, asked))
        _log.warning("%s was drawn with %s: it is drawn anew with %s", folder, then, now)
    for leftover in folder.glob("cutouts/tf*.fits") if told else ():
        leftover.unlink()
    write_json(folder / RECEIPT, asked | {"complete": False})
    draw_survey(folder, **asked)
    write_json(folder / RECEIPT, asked)

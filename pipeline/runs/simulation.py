r"""Surveys that are drawn."""

__all__ = ["simulate"]

from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.files import read_json, write_json
from pipeline.simulate import check
from pipeline.simulate import simulate as draw_survey


def simulate(
    folder: Path, galaxies: int = 2000, seed: int = 0, side: int = 64, faults: float = 0.04
) -> dict:
    r"""Draws a survey, unless the folder already has it.

    Raises:
        ConfigError: If a number is out of range, or if the folder holds what was not drawn here,
            which might be replaced.
    """

    folder = Path(folder)
    if folder.is_file():
        raise ConfigError(f"{folder} is a file, expected a folder to write a survey to")
    asked: dict[str, Any] = {"galaxies": galaxies, "seed": seed, "side": side, "faults": faults}
    check(**asked)
    receipt = folder / "survey.json"
    told = read_json(receipt) if receipt.exists() else {}
    if not told and folder.exists() and (found := sorted(p.name for p in folder.iterdir())):
        raise ConfigError(
            f"{folder} holds {', '.join(found[:3])}, which the simulator has not drawn; expected"
            " an empty folder, or an experiment without `simulate`"
        )
    if told != asked:
        for leftover in folder.glob("cutouts/tf*.fits") if told else ():
            leftover.unlink()
        write_json(receipt, asked | {"complete": False})
        draw_survey(folder, **asked)
        write_json(receipt, asked)

    return {"survey": str(folder), "drawn": told != asked, **asked}

r"""What a camera and a release fix: the bands and their zero points."""

__all__ = ["SURVEYS", "Survey"]

from dataclasses import dataclass


@dataclass(frozen=True)
class Survey:
    r"""One survey.

    Arguments:
        name: Its name.
        bands: Its bands in the order of wavelength, from blue to red.
        zero_points: The AB magnitude of one unit of flux in each band. A survey of which that
            changes from image to image has no place here.
    """

    name: str
    bands: tuple[str, ...]
    zero_points: tuple[float, ...]


SURVEYS: dict[str, Survey] = {
    survey.name: survey
    for survey in (
        Survey("simulated", ("g", "r", "i", "z"), (22.5,) * 4),
        Survey("sdss", ("u", "g", "r", "i", "z"), (22.5,) * 5),
        Survey("decals", ("g", "r", "z"), (22.5,) * 3),
    )
}
r"""The surveys by name."""

r"""Which bands the headers of images name."""

__all__ = ["band_misfit", "cube_bands"]

import re
from collections.abc import Sequence

from pipeline.fits import Frame

LETTERS = set("ugrizybvjhk")
HUBBLE = re.compile(r"f\d{3,4}[a-z]{1,2}")


def band_misfit(frames: Sequence[Frame], bands: Sequence[str], apart: bool) -> str:
    r"""Compares the filters that headers name with the bands that there should be.

    Arguments:
        frames: The image of each band.
        bands: The names of the bands.
        apart: Whether each has a header of its own, rather than all that of a cube.

    Returns:
        What is wrong, or an empty text if nothing surely is.
    """

    found = _each(frames) if apart else cube_bands(frames[0], len(bands))
    wrong = [name and _differ(name, band, bands) for name, band in zip(found, bands, strict=True)]

    return f"found the bands {', '.join(found)}, expected {', '.join(bands)}" if any(wrong) else ""


def cube_bands(frame: Frame, count: int) -> list[str]:
    r"""Returns what the header of a cube calls its bands.

    That is `BAND1`, `BAND2`, ..., or `BAND0`, `BAND1`, ..., or else a letter of `FILTER` each.

    Arguments:
        frame: One of its planes.
        count: The number of bands :math:`C`.

    Returns:
        A text for each band, empty where the header has none.
    """

    first = 0 if "BAND0" in frame.header else 1
    named = [str(frame.header.get(f"BAND{first + c}", "")).strip() for c in range(count)]
    text = str(frame.header.get("FILTER", "")).strip()
    if not any(named) and len(text) == count and LETTERS.issuperset(text.lower()):
        return list(text)

    return named


def _each(frames: Sequence[Frame]) -> list[str]:
    return [str(frame.header.get("FILTER", "")).strip() for frame in frames]


def _differ(found: str, band: str, bands: Sequence[str]) -> bool:
    r"""Tells whether a filter is surely not a band: `GG395` may well be what is called `blue`."""

    band, others = band.lower(), {other.lower() for other in bands}
    words = {found.lower(), *re.findall(r"[a-z0-9]+", found.lower())}
    if band in words:
        return False
    hubble = HUBBLE.fullmatch(band) and any(HUBBLE.fullmatch(word) for word in words)

    return bool(hubble or words & others or (band in LETTERS and words & LETTERS))

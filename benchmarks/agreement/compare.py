r"""Galaxies measured by both codes."""

__all__ = ["compare"]

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.agreement.pairs import MODES, Mode, Pair, differences
from benchmarks.peers import PAIRS, Theirs, turned, with_statmorph
from benchmarks.samples import Galaxy
from benchmarks.watch import Kernel, watched
from pipeline.morphometry import MEASURED, Morphology, Sky, measure
from pipeline.morphometry.psf import NONE
from pipeline.morphometry.sersic import sersic

FLAGGED = 2
r"""The flag from which on statmorph calls its own measurements bad."""

POINTS = ("sersic_n", "sersic_r_eff", "sersic_ellip")
r"""What is compared a second time, as fitted to the centres of pixels."""

SETS = {"gini": "gini_segment", "mid": "mid_segment", "shape": "outline"}
r"""The sets of pixels, and what finds them: the first that it returns."""

UNKNOWN = Theirs(dict.fromkeys(PAIRS, math.nan), MEASURED, 4, {})
r"""What statmorph says where it stops with an error."""

Calls = dict[str, tuple[tuple[Any, ...], Any]]
r"""The arguments and the result of each kernel."""


def compare(sample: str, galaxy: Galaxy, k: int, modes: Sequence[Mode] = MODES) -> list[Pair]:
    r"""Measures a galaxy on both sides.

    Arguments:
        sample: Where it is from.
        galaxy: The galaxy.
        k: The symmetry of the square by which statmorph is compared with itself, from 1 to 7.
        modes: Ours.

    Returns:
        The comparison in each mode.
    """

    theirs = with_statmorph(galaxy) or UNKNOWN
    values = _doubled(theirs.values)
    other, expected = turned(galaxy, values, k)
    same, own = (
        differences(_doubled((with_statmorph(other, sky) or UNKNOWN).values), expected)
        for sky in (theirs.sky, MEASURED)
    )
    flagged = theirs.flag >= FLAGGED
    found = []
    for mode in modes:
        measured, calls = _measured(galaxy, MEASURED if mode == "parity" else theirs.sky, mode)
        ours = differences(measured._asdict() | _points(calls), values) | _apart(calls, theirs)
        found.append(Pair(sample, mode, flagged, values, ours, same, own))

    return found


def _doubled(values: dict[str, float]) -> dict[str, float]:
    r"""Adds the Sersic fit a second time: for ours that compares the centres of pixels only."""

    return values | {f"{name}_points": values[name] for name in POINTS}


def _measured(galaxy: Galaxy, sky: Sky, mode: Mode) -> tuple[Morphology, Calls]:
    r"""Measures a galaxy by ours, and keeps what each kernel is given and returns."""

    calls: Calls = {}

    def noted(name: str, kernel: Kernel) -> Kernel:
        def call(*arguments: Any, **named: Any) -> Any:
            result = kernel(*arguments, **named)
            calls[name] = arguments, result
            return result

        return call

    with watched(noted):
        found = measure(
            galaxy.image, galaxy.labels, galaxy.label,
            mask=galaxy.mask, gain=galaxy.gain, sky=sky, psf=galaxy.psf, mode=mode,
        )  # fmt: skip

    return found, calls


def _points(calls: Calls) -> dict[str, float]:
    r"""Fits a profile to the centres of pixels, as statmorph does, not to their means."""

    if "sersic" not in calls:
        return {}
    (image, weight, start, n, psf, _, parity, _), _ = calls["sersic"]
    fit = sersic(image, weight, start, n, psf if parity else NONE, True, parity, (0.0, 1.0))

    return {f"{name}_points": getattr(fit, name.removeprefix("sersic_")) for name in POINTS}


def _apart(calls: Calls, theirs: Theirs) -> dict[str, float]:
    r"""Returns the share of the pixels of each set that are in one of both sets only."""

    found = {}
    for name, pixels in theirs.segments.items():
        mine: NDArray[np.bool_] = calls[SETS[name]][1][0]
        other = np.zeros_like(mine)  # their stamp lacks the last row or column around an odd box
        other[: len(pixels), : pixels.shape[1]] = pixels
        found[f"pixels_{name}"] = float((mine ^ other).sum() / max((mine | other).sum(), 1))

    return found

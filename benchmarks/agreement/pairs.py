r"""How far two measurements of one galaxy are apart."""

__all__ = ["MODES", "Mode", "Pair", "differences", "near"]

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

Mode = Literal["fast", "parity"]
MODES: tuple[Mode, ...] = ("parity", "fast")

NEAR = 0.05
r"""The distance of centres that are the same minimum of the asymmetry, in pixels."""


class Pair(NamedTuple):
    r"""One galaxy, measured by both in one mode.

    Differences are signed, NaN where both have no value and infinite where only one has one.

    Arguments:
        sample: Where the galaxy is from.
        mode: Ours.
        flagged: Whether statmorph calls its measurement bad.
        theirs: What statmorph measures.
        ours: How far our measurements are from it.
        same: How far statmorph is when the galaxy is turned or flipped, on the same sky.
        own: The same, on the sky that it then finds.
    """

    sample: str
    mode: Mode
    flagged: bool
    theirs: dict[str, float]
    ours: dict[str, float]
    same: dict[str, float]
    own: dict[str, float]


def near(apart: Mapping[str, float]) -> bool:
    r"""Says whether both have found the same minimum of the asymmetry."""

    return math.hypot(apart["x"], apart["y"]) <= NEAR


def differences(ours: Mapping[str, float], theirs: Mapping[str, float]) -> dict[str, float]:
    r"""Subtracts theirs, angles of axes modulo half a turn; see :class:`Pair`."""

    found = {}
    for name, value in theirs.items():
        other = ours.get(name, math.nan)
        apart = other - value
        if "theta" in name:
            apart = (apart + math.pi / 2) % math.pi - math.pi / 2
        found[name] = math.inf if math.isnan(other) != math.isnan(value) else apart

    return found

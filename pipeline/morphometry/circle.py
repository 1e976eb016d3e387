r"""The area of a circle among pixels, quickly, where many circles are needed.

What a circle has to the left of a column and below a row depends on the areas under a quarter
of it, each of which belongs to one column or one row: there are as many inverse sines as lines
between pixels, and none per pixel. The results are those of :mod:`pipeline.morphometry.geometry`
but for rounding, 1e-16 of the area of the circle.
"""

__all__ = ["after", "before", "chords", "corner", "cut"]

import math

from pipeline.morphometry.compiled import inlined


@inlined
def after(edge: float) -> int:  # pragma: no cover
    r"""Returns the first pixel that reaches beyond an edge."""

    return int(math.floor(edge + 0.5))


@inlined
def before(edge: float) -> int:  # pragma: no cover
    r"""Returns the last pixel that begins before an edge."""

    return int(math.ceil(edge - 0.5))


@inlined
def cut(t: float, r: float) -> float:  # pragma: no cover
    r"""Returns the area under a quarter of a circle, from its centre to a line at `t`."""

    return 0.5 * (t * math.sqrt(max(r * r - t * t, 0.0)) + r * r * math.asin(t / r))


@inlined
def corner(u: float, v: float, cut_u: float, cut_v: float, r: float) -> float:  # pragma: no cover
    r"""Returns the area of a circle to the left of `u` and below `v`."""

    if u * u + v * v <= r * r:
        return 0.25 * math.pi * r * r + cut_u + cut_v + u * v
    if u > 0:
        return 2 * (cut_u + cut_v) if v > 0 else 0.5 * math.pi * r * r + 2 * cut_v

    return 0.5 * math.pi * r * r + 2 * cut_u if v > 0 else 0.0


@inlined
def chords(
    i: int, x: float, y: float, r: float, width: int
) -> tuple[int, int, int, int]:  # pragma: no cover
    r"""Returns where a row enters a circle, is wholly in it, no more is, and leaves it."""

    v0, v1 = i - 0.5 - y, i + 0.5 - y
    near = 0.0 if v0 < 0 < v1 else min(abs(v0), abs(v1))
    wide = math.sqrt(max(r * r - near * near, 0.0))
    full = math.sqrt(max(r * r - max(v0 * v0, v1 * v1), 0.0))
    first, last = max(after(x - wide), 0), min(before(x + wide) + 1, width)
    start, stop = max(before(x - full) + 1, first), min(after(x + full), last)
    start = min(start, last)

    return first, start, max(start, stop), last

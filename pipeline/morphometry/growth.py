r"""The flux within each radius: radii of its fractions, concentration, totals."""

__all__ = ["aperture_flux", "concentration", "radii", "radius_of_fraction"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner
from pipeline.morphometry.flags import NEGATIVE_FLUX, UNDEFINED
from pipeline.morphometry.geometry import sketch, within
from pipeline.morphometry.roots import polish_of, root_of

STEPS = 100
r"""The number of radii at which the flux is tried, from zero to the outermost."""

EXACT = 1e-6
r"""The tolerance of a radius, in pixels, with parity."""

FAST, FINE = 1e-3, 1e-4
r"""Otherwise: the tolerance of a radius by sketches, and the last step of the exact one, whose
error is a tenth of it; in pixels."""


@entry
def radii(
    sums: NDArray[np.float64],
    x: float,
    y: float,
    q: float,
    theta: float,
    outer: float,
    parity: bool,
) -> tuple[float, float, float, int]:  # pragma: no cover
    r"""Returns the radii of 20, 50 and 80 % of the flux, on one curve of growth.

    See :func:`radius_of_fraction`.

    Returns:
        The three radii, in pixels, and the flags.
    """

    total, flags = _total(sums, x, y, q, theta, outer)
    if flags & UNDEFINED:
        value = outer if parity else np.nan
        return value, value, value, flags
    curve = (sums, x, y, q, theta, outer, total)
    r20, k = _reach(curve, 0.2, 0, parity)
    r50, k = _reach(curve, 0.5, k, parity)
    r80, k = _reach(curve, 0.8, k, parity)

    return r20, r50, r80, flags


@entry
def radius_of_fraction(
    sums: NDArray[np.float64],
    x: float,
    y: float,
    q: float,
    theta: float,
    outer: float,
    fraction: float,
    parity: bool,
) -> tuple[float, int]:  # pragma: no cover
    r"""Returns the radius with a fraction of the flux within the outermost one.

    .. math:: |F(r)| = p |F(r_\mathrm{out})|

    The first of 100 radii, from zero to the outermost, with more flux than that ends
    a bracket, in which Brent's method finds the radius. Masked pixels have no flux.

    References:
        | Structural and Photometric Classification of Galaxies (Bershady et al., 2000)
        | https://doi.org/10.1086/301386

    Arguments:
        sums: The cumulative sums of the image, with shape `(H, W + 1, 2)`.
        x: The column of the centre.
        y: The row of the centre.
        q: The axis ratio, 1 for circles.
        theta: The angle of the major axis, in radians.
        outer: The outermost radius, along the major axis, in pixels.
        fraction: The fraction :math:`p`, between 0 and 1.
        parity: Whether the radius is that of statmorph to 1e-6 pixels. If not, it is looked for
            with sketches of the apertures first, and is right to 1e-5 pixels.

    Returns:
        The radius, in pixels, and the flags. Zero if the outermost radius is zero. If there is
        no flux, not a number, or the outermost radius with parity.
    """

    total, flags = _total(sums, x, y, q, theta, outer)
    if flags & UNDEFINED:
        return outer if parity or outer == 0 else np.nan, flags
    radius, _ = _reach((sums, x, y, q, theta, outer, total), fraction, 0, parity)

    return radius, flags


@inner
def _total(
    sums: NDArray, x: float, y: float, q: float, theta: float, outer: float
) -> tuple[float, int]:  # pragma: no cover
    r"""Returns the total flux without its sign, and the flags."""

    total, _ = within(sums, x, y, outer, q, theta)
    if not (outer > 0 and abs(total) > 0):
        return np.nan, UNDEFINED | (NEGATIVE_FLUX if outer > 0 and total <= 0 else 0)

    return abs(total), 0 if total > 0 else NEGATIVE_FLUX


@inner
def _reach(
    curve: tuple[NDArray, float, float, float, float, float, float],
    fraction: float,
    first: int,
    parity: bool,
) -> tuple[float, int]:  # pragma: no cover
    r"""Returns where a curve of growth reaches a fraction, and the step before which it does.

    For a larger fraction, the search can go on from that step.
    """

    outer = curve[5]
    last = STEPS - 1
    step = outer / last
    data, exact = (curve, fraction, not parity), (curve, fraction, False)
    for k in range(first, STEPS):
        radius = outer if k == last else k * step
        if _excess(radius, data) > 0:
            low = max(k - 1, 0) * step
            if parity:
                return _root(exact, low, radius, EXACT), k
            near = _root(data, low, radius, FAST)
            return _polish((data, exact), near, 0.0, outer, FINE), k

    return outer, last


@inner
def _excess(
    radius: float,
    data: tuple[tuple[NDArray, float, float, float, float, float, float], float, bool],
) -> float:  # pragma: no cover
    (sums, x, y, q, theta, _, total), fraction, rough = data
    if rough:
        return abs(sketch(sums, x, y, radius, q, theta)[0]) / total - fraction

    return abs(within(sums, x, y, radius, q, theta)[0]) / total - fraction


_root, _polish = root_of(_excess), polish_of(_excess)


@entry
def concentration(r20: float, r80: float) -> float:  # pragma: no cover
    r"""Returns how much light is in the middle.

    .. math:: C = 5 \log_{10} \frac{r_{80}}{r_{20}}

    References:
        | Structural and Photometric Classification of Galaxies (Bershady et al., 2000)
        | https://doi.org/10.1086/301386

    Arguments:
        r20: The radius with 20 % of the flux.
        r80: The radius with 80 % of the flux.

    Returns:
        The concentration, from 0 for all light on a circle; 2.80 for an exponential disk within
        infinity. Not a number if a radius is not positive.
    """

    if not (r20 > 0 and r80 > 0):
        return np.nan

    return 5.0 * math.log10(r80 / r20)


@entry
def aperture_flux(
    sums: NDArray[np.float64], x: float, y: float, radius: float, q: float, theta: float
) -> tuple[float, int]:  # pragma: no cover
    r"""Returns the flux within a radius, without its sign.

    Arguments:
        sums: The cumulative sums of the image, with shape `(H, W + 1, 2)`.
        x: The column of the centre.
        y: The row of the centre.
        radius: The radius, along the major axis, in pixels.
        q: The axis ratio, 1 for circles.
        theta: The angle of the major axis, in radians.

    Returns:
        The flux, in the unit of the image, and the flags.
    """

    total, _ = within(sums, x, y, radius, q, theta)
    if total != total:
        return total, UNDEFINED

    return abs(total), 0 if total > 0 else NEGATIVE_FLUX

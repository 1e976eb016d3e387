r"""Positions matched on the sky."""

__all__ = ["Places", "match_positions"]

import numpy as np
from astropy.coordinates import SkyCoord
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree


def match_positions(
    ra: ArrayLike,
    dec: ArrayLike,
    ra_ref: ArrayLike,
    dec_ref: ArrayLike,
    radius_arcsec: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    r"""Finds the nearest reference position of each galaxy.

    Arguments:
        ra: The right ascensions (degrees), with shape `(N)`. NaN where unknown.
        dec: The declinations (degrees), with shape `(N)`.
        ra_ref: The right ascensions of the reference (degrees), with shape `(M)`.
        dec_ref: The declinations of the reference (degrees), with shape `(M)`.
        radius_arcsec: How far a match may be.

    Returns:
        The indices into the reference, -1 where nothing is as near, and the separations in
        arcsec, NaN there, each with shape `(N)`.

    Example:
        >>> index, separation = match_positions([10.0, 20.0], [0, 0], [20.0001], [0], 1.0)
        >>> index, separation.round(2)
        (array([-1,  0]), array([ nan, 0.36]))
    """

    places = [np.atleast_1d(np.asarray(x, float)) for x in (ra, dec, ra_ref, dec_ref)]
    known, known_ref = (
        np.flatnonzero(np.isfinite(lon) & (np.abs(lat) <= 90))
        for lon, lat in (places[:2], places[2:])
    )

    index = np.full(len(places[0]), -1, np.int64)
    separation = np.full(len(places[0]), np.nan)
    if not (len(known) and len(known_ref)):
        return index, separation

    here = SkyCoord(places[0][known], places[1][known], unit="deg")
    there = SkyCoord(places[2][known_ref], places[3][known_ref], unit="deg")
    nearest, angle, _ = here.match_to_catalog_sky(there)

    near = angle.arcsec <= radius_arcsec
    index[known[near]] = known_ref[nearest[near]]
    separation[known[near]] = angle.arcsec[near]

    return index, separation


class Places:
    r"""Positions, sorted once so that those near another are found without a look at the rest.

    Two of them, :math:`r` apart on the sky, are :math:`2 \sin(r / 2)` apart on the unit sphere,
    at a pole as elsewhere.

    Arguments:
        ra: The right ascensions (degrees), with shape `(N)`. NaN where unknown.
        dec: The declinations (degrees), with shape `(N)`.

    Example:
        >>> Places([359.9, 10.0, 0.1], [0.0, 0.0, 0.0]).near(0.0, 0.0, radius_deg=1.0)
        array([0, 2])
    """

    def __init__(self, ra: ArrayLike, dec: ArrayLike) -> None:
        places = _unit_vectors(ra, dec)
        self._known = np.flatnonzero(np.isfinite(places).all(-1))
        self._tree = cKDTree(places[self._known])

    def near(self, ra: float, dec: float, radius_deg: float) -> NDArray[np.int64]:
        r"""Returns the indices of those within a radius, in order, with shape `(*)`.

        Within 180 degrees are all that are known.
        """

        if radius_deg >= 180:
            return self._known
        chord = 2 * np.sin(np.radians(radius_deg) / 2)
        found = self._tree.query_ball_point(_unit_vectors(ra, dec), chord)

        return self._known[np.sort(np.array(found, np.int64))]


def _unit_vectors(ra: ArrayLike, dec: ArrayLike) -> NDArray[np.float64]:
    r"""Returns positions of shape `(*)` on the unit sphere, with shape `(*, 3)`."""

    ra, dec = np.radians(np.asarray(ra, float)), np.radians(np.asarray(dec, float))

    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)

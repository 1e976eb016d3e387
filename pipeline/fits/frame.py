r"""One image of the sky, where it points and what its values mean."""

__all__ = ["Frame"]

import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy import log
from astropy.coordinates import ICRS, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, NoConvergence, WcsError
from astropy.wcs.utils import wcs_to_celestial_frame
from numpy.typing import ArrayLike, NDArray

from pipeline.fits.cards import Header

# Dates are left out: the sky does not need them, and surveys get them wrong.
_SKY_CARDS = re.compile(
    r"WCSAXES|(?:CTYPE|CRVAL|CRPIX|CUNIT|CDELT|CROTA)\d|(?:CD|PC)\d_\d|PV\d_\d+|LONPOLE|LATPOLE"
    r"|RADESYS|RADECSYS|EQUINOX|EPOCH|[AB]P?_(?:ORDER|DMAX|\d_\d)"
)
_LONGITUDE = ("RA--", "GLON", "ELON", "SLON", "HLON")
_LATITUDE = ("DEC-", "GLAT", "ELAT", "SLAT", "HLAT")
_DEGREES = {"deg": 1.0, "degree": 1.0, "degrees": 1.0, "arcsec": 1 / 3600, "arcmin": 1 / 60}
_DEGREES |= {"rad": math.degrees(1)}

MOST_AXES = 9
r"""The largest number of axes that a WCS may have."""

ORDERS = range(10)
r"""The orders that the polynomials of a distortion may have."""

_ZERO_POINTS = ("MAGZERO", "MAGZPT", "MAGZP", "PHOTZP", "ZP", "ZEROPT", "MAG0")
_UNITS = {"nanomaggy": 22.5, "nanomaggies": 22.5, "nmgy": 22.5, "maggy": 0.0, "maggies": 0.0}
_UNITS |= {"jy": 8.9, "mjy": 16.4, "ujy": 23.9, "njy": 31.4, "MJy": -6.1}
_PER_AREA = re.compile(r"(/|per) ?(sr|arcsec|deg|rad)|\b(sr|(arcsec|deg|rad)2?)(\^|\*\*)?\(?-[12]")
_SATURATION = ("SATURATE", "SATLEVEL", "SATURAT")


@dataclass(frozen=True, eq=False)
class Frame:
    r"""One image of the sky.

    Arguments:
        pixels: The values, in :attr:`unit`, with shape `(H, W)`, in native byte order. float32,
            or float64 where the values of the file need it. Blank pixels are NaN.
        header: The cards of its HDU, and those that it inherits from the primary one.
        source: Where it came from, e.g. `m51.fits[1]`, for messages.
        plane: The index of its plane, from 0 on, if its HDU is a cube.
    """

    pixels: NDArray[np.floating]
    header: Header
    source: str
    plane: int | None = None

    @property
    def unit(self) -> str:
        r"""The unit of one pixel value as the header spells it, `""` if it does not."""

        return str(self.header.get("BUNIT", "")).strip()

    @cached_property
    def sky_cards(self) -> Header:
        r"""The cards of the header that say where pixels point."""

        return {key: self.header[key] for key in self.header if _SKY_CARDS.fullmatch(key)}

    @cached_property
    def wcs(self) -> WCS | None:
        r"""The celestial part of the WCS, or None if there is none or it makes no sense."""

        cards = self.sky_cards
        axes = cards.get("WCSAXES", 2)
        # The C library of astropy would end the process on some thousands of axes
        if "CTYPE1" not in cards or not isinstance(axes, int) or not 2 <= axes <= MOST_AXES:
            return None
        # Nor would it end, for some thousands of terms
        if any(cards.get(f"{of}_ORDER", 0) not in ORDERS for of in ("A", "B", "AP", "BP")):
            return None

        try:
            with _quiet():
                wcs = WCS(fits.Header(cards))
                if wcs.naxis > 2:
                    wcs = wcs.sub([1, 2])
                wcs_to_celestial_frame(wcs)
        except (WcsError, ValueError, KeyError, TypeError, AttributeError, MemoryError):
            return None

        return wcs if wcs.has_celestial else None

    def pixel(self, ra: ArrayLike, dec: ArrayLike) -> tuple[NDArray, NDArray]:
        r"""Finds where positions of the sky fall.

        Arguments:
            ra: The right ascensions (ICRS, degrees), with shape `(*)`.
            dec: The declinations (ICRS, degrees), with shape `(*)`.

        Returns:
            The columns x and rows y, each with shape `(*)`. The centre of the first pixel is
            `(0, 0)`. NaN without a WCS, and where the projection does not reach.
        """

        ra, dec = np.broadcast_arrays(np.asarray(ra, float), np.asarray(dec, float))
        known = np.isfinite(ra) & (np.abs(dec) <= 90)
        x, y = np.full(ra.shape, np.nan), np.full(ra.shape, np.nan)
        if self.wcs is None or not known.any():
            return x, y

        with _quiet():
            frame = wcs_to_celestial_frame(self.wcs)
            world = [ra[known], dec[known]]
            if not isinstance(frame, ICRS):  # else a turn by nothing would cost a millisecond
                sky = SkyCoord(*world, unit="deg").transform_to(frame).spherical
                world = [sky.lon.deg, sky.lat.deg]
            if self.wcs.wcs.lng:
                world.reverse()
            try:
                x[known], y[known] = self.wcs.all_world2pix(*world, 0)
            except NoConvergence as error:
                lost = [i for i in (error.divergent, error.slow_conv) if i is not None]
                error.best_solution[np.concatenate(lost)] = np.nan
                x[known], y[known] = error.best_solution.T
            except (WcsError, ValueError):
                pass

        return x, y

    def sky(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray]:
        r"""Finds where pixels point, the inverse of :meth:`pixel`.

        Arguments:
            x: The columns, with shape `(*)`.
            y: The rows, with shape `(*)`.

        Returns:
            The right ascensions and declinations (ICRS, degrees), each with shape `(*)`.
        """

        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        nowhere = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
        if self.wcs is None:
            return nowhere

        try:
            with _quiet():
                world = [angle.reshape(x.shape) for angle in self.wcs.all_pix2world(x, y, 0)]
                lon, lat = reversed(world) if self.wcs.wcs.lng else world
                frame = wcs_to_celestial_frame(self.wcs)
                if isinstance(frame, ICRS):
                    return lon % 360, lat
                icrs = SkyCoord(lon, lat, unit="deg", frame=frame).icrs
        except (WcsError, ValueError):
            return nowhere

        return np.asarray(icrs.ra.deg), np.asarray(icrs.dec.deg)

    @cached_property
    def jacobian(self) -> NDArray[np.float64] | None:
        r"""The change of the sky per pixel at the reference point, with shape `(2, 2)`.

        Rows are east and north, columns are x and y, values are degrees. None if the header
        has no celestial axes, or none that make sense.

        References:
            | Representations of celestial coordinates in FITS (Calabretta & Greisen, 2002)
            | https://doi.org/10.1051/0004-6361:20021327
        """

        types = [str(self.header.get(f"CTYPE{i}", "")) for i in (1, 2)]
        swapped = types[0].startswith(_LATITUDE)
        if swapped:
            types.reverse()
        if not (types[0].startswith(_LONGITUDE) and types[1].startswith(_LATITUDE)):
            return None

        try:
            matrix = _linear(self.header)
        except (TypeError, ValueError):
            return None
        if not np.isfinite(matrix).all() or np.linalg.det(matrix) == 0:
            return None

        return matrix[::-1] if swapped else matrix

    @property
    def scale_arcsec(self) -> float | None:
        r"""The side of a square as large as one pixel, in arcsec. None without a jacobian."""

        if self.jacobian is None:
            return None
        (a, b), (c, d) = self.jacobian.tolist()

        return 3600 * math.sqrt(abs(a * d - b * c))

    @property
    def mirrored(self) -> bool:
        r"""Whether east is to the right of north, so that spirals wind the other way."""

        if self.jacobian is None:
            return False
        (a, b), (c, d) = self.jacobian.tolist()

        return a * d - b * c > 0

    @property
    def zero_point(self) -> float | None:
        r"""The magnitude of one unit of flux per pixel, or None if the header does not say.

        Either stated outright, or that of AB magnitudes from the unit, or from the inverse
        sensitivity :math:`f_\lambda` and pivot wavelength :math:`\lambda` of a camera,

        .. math:: -2.5 \log_{10} f_\lambda - 5 \log_{10} \lambda - 2.408

        References:
            | Synthetic photometry in SYNPHOT (Bushouse & Simon, 1998)
            | https://www.stsci.edu/hst/instrumentation/acs/data-analysis/zeropoints
        """

        stated = self._number(*_ZERO_POINTS)
        if stated is not None:
            return stated
        for unit in (self.unit, self.unit.lower()):
            if unit in _UNITS:
                return _UNITS[unit]

        sensitivity, pivot = self._number("PHOTFLAM"), self._number("PHOTPLAM")
        if sensitivity is not None and pivot is not None and min(sensitivity, pivot) > 0:
            return -2.5 * math.log10(sensitivity) - 5 * math.log10(pivot) - 2.408

        return None

    @property
    def per_area(self) -> bool:
        r"""Whether a pixel value is a surface brightness, as in MJy/sr, and not a flux."""

        return _PER_AREA.search(self.unit) is not None

    @property
    def saturation(self) -> float | None:
        r"""The value at which pixels saturate, in :attr:`unit`. None if the header is silent.

        A cube may say `SATUR0`, `SATUR1`, ... of its planes.
        """

        own = () if self.plane is None else (f"SATUR{self.plane}",)

        return self._number(*own, *_SATURATION)

    def _number(self, *keys: str) -> float | None:
        for key in keys:
            value = self.header.get(key, math.nan)
            try:
                number = math.nan if isinstance(value, bool) else float(value)
            except ValueError:
                continue
            if math.isfinite(number):
                return number

        return None


def _linear(header: Header) -> NDArray[np.float64]:
    def number(key: str, default: float) -> float:
        return float(header.get(key, default))

    units = [str(header.get(f"CUNIT{i}", "deg")).strip().lower() or "deg" for i in (1, 2)]
    degrees = np.array([[_DEGREES.get(unit, math.nan)] for unit in units])

    if any(f"CD{i}_{j}" in header for i in (1, 2) for j in (1, 2)):
        return degrees * [[number(f"CD{i}_{j}", 0) for j in (1, 2)] for i in (1, 2)]

    steps = degrees * [[number("CDELT1", 1)], [number("CDELT2", 1)]]
    if any(f"PC{i}_{j}" in header for i in (1, 2) for j in (1, 2)):
        return steps * [[number(f"PC{i}_{j}", float(i == j)) for j in (1, 2)] for i in (1, 2)]
    if "CDELT1" not in header or "CDELT2" not in header:
        return np.full((2, 2), np.nan)

    angle = math.radians(number("CROTA2", number("CROTA1", 0)))
    cos, sin = math.cos(angle), math.sin(angle)
    (east,), (north,) = steps.tolist()

    return np.array([[east * cos, -north * sin], [east * sin, north * cos]])


@contextmanager
def _quiet() -> Iterator[None]:
    # Headers of surveys are full of small sins that astropy mends, and says so: on standard
    # output, which belongs to whoever reads results there.
    disabled, log.disabled = log.disabled, True
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.disabled = disabled

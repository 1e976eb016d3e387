r"""One galaxy on one grid of pixels, cut out of the images of all its bands."""

__all__ = ["Cutout", "cut"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.errors import DataError
from pipeline.fits import Frame
from pipeline.regrid import TOLERANCE, Affine, regrid

BLOCKS = (np.ones((5, 5), bool), np.ones((1, 25), bool), np.ones((25, 1), bool))
r"""The smallest groups of zeros that mean "no data". Even where half of the sky is clipped at
zero, chance makes one of these with a probability of 2^-25 per pixel."""


@dataclass(frozen=True, eq=False)
class Cutout:
    r"""One galaxy on one grid.

    Arguments:
        pixels: The flux in each pixel, in the unit of each file, bands from blue to red, with
            shape `(C, H, W)`; float32, or float64 where a frame is. NaN where not covered.
        scale_arcsec: The side of a pixel in arcseconds. NaN if unknown.
        position: The right ascension and declination of the centre, in degrees. NaN if unknown.
        quantum: The rounding step of each band in the unit of its pixels, with shape `(C,)`.
            Where :math:`a` rounded pixels make one, it is :math:`\sqrt{a}` times theirs; where
            one is a part :math:`a` of a rounded one, :math:`a` times. Zero where values are
            continuous.
        areas: The area of a pixel in those of the frame of each band, with shape `(C,)`.
        window: The rows and the columns that the first frame reaches. Others are beyond it.
    """

    pixels: NDArray
    scale_arcsec: float
    position: tuple[float, float]
    quantum: NDArray[np.float64]
    areas: NDArray[np.float64]
    window: tuple[slice, slice]


def cut(
    frames: Sequence[Frame],
    size: tuple[int, int],
    scale_arcsec: float | None = None,
    position: tuple[float, float] | None = None,
    pixel_scale: float | None = None,
) -> Cutout:
    r"""Cuts one galaxy out of one frame per band, onto one grid.

    The grid has the orientation of the first frame and the parity of the sky: where the file
    shows the sky in a mirror, its x axis is reversed, so that with North up East is left. At
    the native scale the pixels of the first frame, and of those on the same grid, are copied
    as they are, the centre being rounded to a pixel.

    Anything else is resampled by exact areas, which conserves flux: pixel values are fluxes,
    shared out among the output pixels in proportion to the area that falls into each. An
    output pixel is covered if half of its area is; its flux is then the mean surface
    brightness of what is covered, times its area. In a file of floating-point numbers, solid
    blocks of exact zeros are not sky but lack of data, and not covered.

    From one band to another the map is affine, fitted to the sky coordinates of nine points of
    the grid. For tangential projections with tangent points an angle :math:`\Delta` apart, it
    is wrong by :math:`\theta^2 \tan \Delta` at :math:`\theta` from the centre: 0.03 arcsec for
    the corner of a cutout of 10 arcmin from photographic plates 3 degrees apart.

    Arguments:
        frames: One frame per band, from blue to red. The first one defines the grid.
        size: The number of rows and columns `(H, W)`.
        scale_arcsec: The side of an output pixel in arcseconds. By default, that of the first
            frame, whose pixels need not be square.
        position: The right ascension and declination of the centre, in degrees. By default,
            the centre of the first frame.
        pixel_scale: The side of a pixel in arcseconds where a frame has no sky coordinates.

    Returns:
        The cutout.

    Raises:
        DataError: If the target is outside all frames, if a position or a scale is given and
            the first frame has no sky coordinates for it, or if the frames cannot be laid on
            each other.
    """

    reference = frames[0]
    native = reference.scale_arcsec or pixel_scale
    grid = _grid(reference, size, _zoom(reference, pixel_scale, scale_arcsec), position)
    maps = [grid if _same_grid(reference, f) else _onto(grid, reference, f, size) for f in frames]
    planes = [_resample(frame, place, size) for frame, place in zip(frames, maps, strict=True)]
    pixels = np.stack(planes)
    if np.isnan(pixels).all():
        raise DataError(_nowhere(frames, position))

    areas = np.array([place.area for place in maps])

    return Cutout(
        pixels=pixels,
        scale_arcsec=scale_arcsec or native or float("nan"),
        position=position or _sky(reference, grid, size),
        quantum=np.array([_quantum(frame) for frame in frames])
        * np.minimum(areas, np.sqrt(areas)),
        areas=areas,
        window=_window(reference, grid, size),
    )


def _zoom(
    frame: Frame, pixel_scale: float | None, scale_arcsec: float | None
) -> NDArray[np.float64]:
    r"""Returns the side of an output pixel in widths and heights of those of the first frame."""

    if scale_arcsec is None:
        return np.ones(2)
    if frame.jacobian is not None:
        return scale_arcsec / (3600 * np.linalg.norm(frame.jacobian, axis=0))
    if not pixel_scale:
        raise DataError(
            "has no sky coordinates, so that its pixels cannot be brought to"
            f" {scale_arcsec:g} arcsec: give pixel_scale, or keep the native scale"
        )

    return np.full(2, scale_arcsec / pixel_scale)


def _nowhere(frames: Sequence[Frame], position: tuple[float, float] | None) -> str:
    if position is None or all(np.isnan(frame.pixels).all() for frame in frames):
        return "all pixels are blank"

    return f"the target at RA {position[0]:.5f}, Dec {position[1]:.5f} is outside the image"


def _quantum(frame: Frame) -> float:
    if "BITPIX" in frame.header:
        integer = int(frame.header["BITPIX"]) > 0
        return abs(float(frame.header.get("BSCALE", 1))) if integer else 0.0

    # A composite: one step of its eight bits.
    return 1.0


def _sky(frame: Frame, grid: Affine, size: tuple[int, int]) -> tuple[float, float]:
    if frame.scale_arcsec is None:
        return float("nan"), float("nan")

    x, y = grid(np.array([(size[1] - 1) / 2, (size[0] - 1) / 2]))
    ra, dec = frame.sky(float(x), float(y))

    return float(ra), float(dec)


def _grid(
    frame: Frame,
    size: tuple[int, int],
    zoom: NDArray[np.float64],
    position: tuple[float, float] | None,
) -> Affine:
    r"""Lays the output grid on the reference frame."""

    height, width = frame.pixels.shape
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    if position is not None:
        if frame.wcs is None or frame.scale_arcsec is None:
            raise DataError(
                f"{frame.source} has no sky coordinates to find the position by, expected a WCS,"
                " or to cut at the centre"
            )
        centre = np.array([float(value) for value in frame.pixel(*position)])
        if not np.isfinite(centre).all():
            raise DataError(_nowhere([frame], position))

    step = zoom * [-1 if frame.mirrored else 1, 1]
    offset = centre - step * (np.array(size[::-1]) - 1) / 2
    if abs(zoom - 1).max() * max(size) < TOLERANCE:
        step = np.sign(step)
        offset = centre - step * (np.array(size[::-1]) - 1) / 2
        # Rounded so that an image and its mirror image give the same pixels.
        offset = np.where(step > 0, np.floor(offset + 0.5), np.ceil(offset - 0.5))

    return Affine(np.diag(step), offset)


def _window(frame: Frame, grid: Affine, size: tuple[int, int]) -> tuple[slice, slice]:
    r"""Returns the rows and the columns of the grid that have their middle in the frame."""

    # The grid lies straight on the frame
    along = grid(np.arange(max(size))[:, None] * np.ones(2))[:, ::-1]  # y, x of the diagonal
    slices = []
    for n, places, length in zip(size, along.T, frame.pixels.shape, strict=True):
        inside = np.flatnonzero((places[:n] >= -0.5) & (places[:n] < length - 0.5))
        slices.append(slice(inside[0], inside[-1] + 1) if len(inside) else slice(0))

    return slices[0], slices[1]


def _same_grid(first: Frame, other: Frame) -> bool:
    if other is first:
        return True
    if first.pixels.shape != other.pixels.shape:
        return False
    if first.header is other.header or None in (first.scale_arcsec, other.scale_arcsec):
        return True

    return first.sky_cards == other.sky_cards


def _onto(grid: Affine, first: Frame, other: Frame, size: tuple[int, int]) -> Affine:
    r"""Lays the output grid on the frame of another band, through the sky."""

    if first.scale_arcsec is None or other.scale_arcsec is None:
        raise DataError(
            f"{other.source} has {other.pixels.shape} pixels and {first.source} has"
            f" {first.pixels.shape}, without sky coordinates that would lay one on the other"
        )

    x, y = np.meshgrid(np.linspace(0, size[1] - 1, 3), np.linspace(0, size[0] - 1, 3))
    points = np.stack([x.ravel(), y.ravel()], axis=-1)  # (9, 2)
    there = np.stack(other.pixel(*first.sky(*grid(points).T)), axis=-1)
    if not np.isfinite(there).all():
        # The other band sees another part of the sky: everything is outside it.
        return Affine(grid.matrix, np.array([np.inf, np.inf]))

    design = np.column_stack([points, np.ones(len(points))])
    fit = np.linalg.lstsq(design, there, rcond=None)[0]
    error = np.abs(design @ fit - there).max()
    if error > 0.5:
        raise DataError(
            f"{other.source} is distorted by {error:.1f} pixels against {first.source},"
            " expected less than half a pixel within the cutout"
        )

    return Affine(fit[:2].T, fit[2])


def _resample(frame: Frame, place: Affine, size: tuple[int, int]) -> NDArray:
    r"""Returns the pixels of one band on the output grid, with shape `(H, W)`."""

    height, width = size
    corners = place(np.array([(x, y) for x in (-0.5, width - 0.5) for y in (-0.5, height - 0.5)]))
    whole = np.array(frame.pixels.shape[::-1])
    if (
        not np.isfinite(corners).all()
        or (corners.max(0) < 0).any()
        or (corners.min(0) > whole).any()
    ):
        return np.full(size, np.nan, frame.pixels.dtype)

    lo = np.clip(np.floor(corners.min(0) + 0.5).astype(int), 0, whole)
    hi = np.clip(np.ceil(corners.max(0) + 0.5).astype(int), 0, whole)
    image = frame.pixels[lo[1] : hi[1], lo[0] : hi[0]]
    if np.isinf(image).any():
        raise DataError(f"{np.isinf(image).sum()} pixels are infinite")
    if _quantum(frame) == 0:
        image = _without_zeros(image)

    return regrid(image, Affine(place.matrix, place.offset - lo), size)


def _without_zeros(image: NDArray) -> NDArray:
    r"""Blanks solid blocks of exact zeros.

    They stay where values are so coarse that zero may well be one of them: where the commonest
    of the others makes up a quarter of the others.
    """

    zero = image == 0
    if np.count_nonzero(zero) < BLOCKS[0].sum():
        return image

    blocks = [ndimage.binary_opening(zero, block) for block in BLOCKS]
    solid = np.logical_or.reduce(blocks)
    others = image[~zero & np.isfinite(image)]
    if not solid.any() or others.size and np.unique_counts(others).counts.max() * 4 > others.size:
        return image

    # The ragged rim of a block belongs to it.
    solid = ndimage.binary_dilation(solid, np.ones((3, 3), bool), iterations=2, mask=zero)

    return np.where(solid, image.dtype.type(np.nan), image)

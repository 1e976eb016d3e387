r"""What is measured of an image, and what several statistics need."""

__all__ = ["MEASURED", "Disk", "Known", "Sky", "Stamp"]

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.grain import Grain


class Sky(NamedTuple):
    r"""What the sky adds to a pixel on average. NaN is to be measured.

    Arguments:
        sigma: The standard deviation of a pixel.
        asymmetry: The mean absolute difference of two pixels.
        smoothness: The mean positive excess of a pixel over a boxcar.
        level: The standard error of the level of the sky that was taken off.
    """

    sigma: float
    asymmetry: float
    smoothness: float
    level: float = math.nan


MEASURED = Sky(math.nan, math.nan, math.nan)
r"""A sky that is measured on the empty pixels around a galaxy."""


class Stamp(NamedTuple):
    r"""What is measured of an image.

    Arguments:
        image: The image, sky subtracted, zero where masked, with shape `(H, W)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        segment: Whether each pixel belongs to the galaxy, with shape `(H, W)`.
        taken: Whether each pixel is of any source, or left out, with shape `(H, W)`. In
            parity with statmorph, not where it is only not covered: there it takes zeros for sky.
    """

    image: NDArray[np.float64]
    mask: NDArray[np.bool_]
    segment: NDArray[np.bool_]
    taken: NDArray[np.bool_]


class Disk(NamedTuple):
    r"""An inclined disk, and the part of it that is measured.

    Arguments:
        x: The column of its centre.
        y: The row of its centre.
        q: The axis ratio, taken for the inclination.
        theta: The angle of the major axis, in radians.
        inner: The least semi-major axis, in pixels. A tenth of the Petrosian radius does well.
        outer: The largest one. The Petrosian radius does well.
    """

    x: float
    y: float
    q: float
    theta: float
    inner: float
    outer: float


class Known(NamedTuple):
    r"""What several statistics need.

    Arguments:
        x: The column of the centre of symmetry.
        y: Its row.
        q: The axis ratio.
        theta: The angle of the major axis, in radians.
        x_centroid: The column of the centroid.
        y_centroid: Its row.
        central: The Petrosian radius about the centroid.
        circ: That about the centre of symmetry.
        ellip: The Petrosian semi-major axis.
        sums: The cumulative sums of the image, see :func:`geometry.cumulate`.
        weight: The noise of each pixel, with shape `(H, W)`.
        sky: What the sky adds.
        alike: How much the noise of neighbours is alike.
        box: The column, the row and the side of the empty box.
        sigma_error: The relative error of the noise of the sky.
        parity: Whether all choices are those of statmorph.
    """

    x: float
    y: float
    q: float
    theta: float
    x_centroid: float
    y_centroid: float
    central: float
    circ: float
    ellip: float
    sums: NDArray[np.float64]
    weight: NDArray[np.float64]
    sky: Sky
    alike: Grain
    box: tuple[int, int, int]
    sigma_error: float
    parity: bool

    @property
    def side(self) -> float:
        r"""The side of pixels of white noise that would be as noisy, in pixels."""

        return math.sqrt(self.alike.summed)

    @property
    def rough(self) -> NDArray[np.float64]:
        r"""The noise of each pixel as sums over many have it, with shape `(H, W)`."""

        return self.side * self.weight

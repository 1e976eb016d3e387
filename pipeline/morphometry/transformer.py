r"""Measurements as a step of a scikit-learn pipeline.

Not imported by :mod:`pipeline.morphometry`, which does not need scikit-learn.
"""

__all__ = ["MorphologyTransformer"]

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted, validate_data

from pipeline.errors import ConfigError, DataError
from pipeline.morphometry.features import FEATURES, feature_names, features
from pipeline.morphometry.measure import Mode, check_options


class MorphologyTransformer(TransformerMixin, BaseEstimator):
    r"""Turns images into measurements, for any classifier of scikit-learn.

    Each band is measured by itself, with the target nearest to the centre, and neighbouring
    bands give colour gradients, see :func:`pipeline.morphometry.features.features`.
    Nothing is learnt but the shape of the images, so that a galaxy has the same numbers whatever
    it is fitted with. What is undefined is NaN: forests and boosted trees of scikit-learn take it
    as it is, most other methods need an imputer after this step.

    Arguments:
        image_shape: The shape of one image, `(H, W)` or `(C, H, W)`. With `(H, W)`, the number
            of bands is that of the pixels over `H W`. By default, that of the arrays `fit` is
            given or, if they are rows of pixels, the squarest one of a single band: with
            :math:`D` pixels, `H` is the largest divisor that is not above :math:`\sqrt D`.
        columns: The fields of :class:`pipeline.morphometry.Morphology` to keep. By default,
            those that do not depend on where a galaxy lies or points, :data:`FEATURES`.
        bands: The names of the bands, for those of the columns. By default, their numbers.
        mode: `fast`, or `parity` for all choices of statmorph.
        gain: The photons per unit of the image, infinite without their noise.
        n_jobs: The number of processes that share the images, -1 for one per core. By default
            one, or what a `joblib.parallel_config` says. The numbers are the same.

    Attributes:
        image_shape_: The shape `(C, H, W)` of one image.
        n_features_in_: The number of pixels of one image in all bands.

    Example:
        >>> y, x = np.mgrid[:48, :48]
        >>> image = 100 * np.exp(-np.hypot(x - 23, y - 25) / 3) + np.sin(7 * x * y)
        >>> galaxies = image.reshape(1, -1)
        >>> MorphologyTransformer(columns=["rpetro_circ", "gini"]).fit_transform(galaxies).shape
        (1, 2)
    """

    def __init__(
        self,
        image_shape: Sequence[int] | None = None,
        *,
        columns: Sequence[str] | None = None,
        bands: Sequence[str] | None = None,
        mode: Mode = "fast",
        gain: float = math.inf,
        n_jobs: int | None = None,
    ) -> None:
        self.image_shape = image_shape
        self.columns = columns
        self.bands = bands
        self.mode = mode
        self.gain = gain
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        r"""Learns the shape of the images.

        Arguments:
            X: The images, with shape `(N, D)`, `(N, H, W)` or `(N, C, H, W)`, NaN where not
                covered.
            y: Not used.

        Raises:
            DataError: If images of that shape do not have that many pixels or bands, or have
                more bands than pixels on a side.
            ConfigError: If a column is no measurement, or the mode or the gain is not possible.
        """

        given = getattr(X, "shape", ())
        pixels = validate_data(self, _flat(X), dtype=np.float64, ensure_all_finite=False)
        known = given[1:] if self.image_shape is None and len(given) > 2 else self.image_shape
        self.image_shape_ = _shape(pixels.shape[1], known)
        feature_names(self._bands(), self._columns())
        check_options(self.mode, self.gain)
        if len(self._bands()) != self.image_shape_[0]:
            raise DataError(f"bands={self.bands!r} for images of shape {self.image_shape_}")

        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        r"""Measures images.

        Arguments:
            X: The images, in the shape that `fit` was given, or as rows of pixels.

        Returns:
            The measurements, in the order of :meth:`get_feature_names_out`, with shape `(N, M)`.

        Raises:
            DataError: If the images have another shape than those of `fit`.
        """

        check_is_fitted(self)
        shape = getattr(X, "shape", ())[1:]
        if len(shape) > 1 and tuple(shape) != self.image_shape_[-len(shape) :]:
            raise DataError(f"images of shape {shape}, expected {self.image_shape_} as in `fit`")
        pixels = validate_data(
            self, _flat(X), reset=False, dtype=np.float64, ensure_all_finite=False
        )
        images = pixels.reshape(-1, *self.image_shape_)
        count = min(effective_n_jobs(self.n_jobs), len(images))
        settings = {"mode": self.mode, "gain": self.gain}
        found = Parallel(n_jobs=self.n_jobs)(
            delayed(features)(part, self._bands(), self._columns(), **settings)
            for part in np.array_split(images, max(count, 1))
        )

        return np.concatenate(found)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        r"""Returns the names of the measurements.

        Arguments:
            input_features: Not used: pixels have no names.
        """

        check_is_fitted(self)
        names = feature_names(self._bands(), self._columns())
        alone = self.bands is None and self.image_shape_[0] == 1

        return np.array([name.removesuffix("_0") if alone else name for name in names], object)

    def _columns(self) -> tuple[str, ...]:
        if isinstance(self.columns, str):
            raise ConfigError(f"columns={self.columns!r}, expected a list of names")

        return FEATURES if self.columns is None else tuple(self.columns)

    def _bands(self) -> tuple[str, ...]:
        planes = self.image_shape_[0]

        return tuple(map(str, range(planes) if self.bands is None else self.bands))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True

        return tags


def _flat(images: Any) -> Any:
    r"""Returns images as rows of pixels, and leaves all else to the checks of scikit-learn. What
    a masked array masks is not covered."""

    if isinstance(images, np.ma.MaskedArray):
        images = np.ma.filled(images.astype(np.float64), np.nan)
    shape: tuple[int, ...] = getattr(images, "shape", ())

    return images.reshape(shape[0], -1) if len(shape) in (3, 4) and shape[0] else images


def _shape(size: int, given: Sequence[int] | None) -> tuple[int, int, int]:
    r"""Returns the bands, the rows and the columns of images of that many pixels."""

    if given is None:
        height = next(h for h in range(math.isqrt(size), 0, -1) if size % h == 0)
        return 1, height, size // height

    shape = [int(side) for side in given]
    if len(shape) == 2 and min(shape) > 0:
        shape = [size // math.prod(shape), *shape]
    if len(shape) != 3 or min(shape) < 1 or math.prod(shape) != size:
        raise DataError(f"images of shape {tuple(given)} with {size} pixels")
    if shape[0] > min(shape[1:]):
        raise DataError(
            f"images of shape {tuple(shape)}, which is {shape[0]} bands of {shape[1]} x {shape[2]}"
            " pixels, expected (C, H, W): bands first, and no more than pixels on a side"
        )

    return shape[0], shape[1], shape[2]

r"""Smoothing, sorting and connecting pixels: what several statistics share."""

__all__ = ["ascending", "boxcar", "gaussian", "piece", "unmasked_boxcar"]

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.morphometry.compiled import entry, inner, making, put

TRUNCATE = 4.0
r"""The half-width of a Gaussian kernel, in standard deviations."""

RECURSIVE = 2.0
r"""The standard deviation from which the fast Gaussian is recursive, in pixels."""

BITS = 8
r"""The width of a digit, when numbers are sorted by their digits."""

MOST = (1 << BITS) - 1
r"""The largest digit."""

FEW = 4
r"""By how many places a number is moved on average, at most, when what is left is sorted."""

# A half Gaussian as the sum of two damped oscillations (Deriche, 1993): cosine and sine
# amplitudes, decay and frequency, the last two in units of 1 / sigma.
WAVES = ((1.68, 3.735, 1.783, 0.6318), (-0.6803, -0.2598, 1.723, 1.997))


@entry
def boxcar(image: NDArray[np.float64], size: int) -> NDArray[np.float64]:  # pragma: no cover
    r"""Averages an image over squares, by running sums; beyond its edges it is mirrored.

    A square of an even side has no pixel in its middle. As in `scipy.ndimage.uniform_filter`
    it reaches one pixel further up and left. There is one more row and column of squares, so
    that those that reach further down and right are at the pixels one row and column on.

    Arguments:
        image: The image, with shape `(H, W)`.
        size: The side of the square. Below 2, the averages are the image.

    Returns:
        The averages, with shape `(H + 1, W + 1)`.
    """

    height, width = image.shape
    size = max(size, 1)
    half = size // 2
    out, line = np.empty((height + 1, width + 1)), np.zeros(width)
    for t in range(-half, size - half):
        line += image[_mirrored(t, height)]
    for i in range(height + 1):
        put(out[i, :width], line / size)
        line += image[_mirrored(i + size - half, height)] - image[_mirrored(i - half, height)]
    row = np.empty(width)
    for i in range(height + 1):
        put(row, out[i, :width])
        total = 0.0
        for t in range(-half, size - half):
            total += row[_mirrored(t, width)]
        for j in range(width + 1):
            out[i, j] = total / size
            total += row[_mirrored(j + size - half, width)] - row[_mirrored(j - half, width)]

    return out


@entry
def unmasked_boxcar(
    smooth: NDArray[np.float64], mask: NDArray[np.bool_], size: int
) -> NDArray[np.float64]:  # pragma: no cover
    r"""Turns averages over squares into those over what is not masked of them.

    Arguments:
        smooth: The :func:`boxcar` of an image that is zero where masked, with shape
            `(H + 1, W + 1)`.
        mask: Whether each pixel is left out, with shape `(H, W)`.
        size: The side of the square. Below 2, the averages are the image.

    Returns:
        The averages, with the same shape, 0 where all of a square is masked.
    """

    out = smooth.copy()
    if size < 2 or not mask.any():
        return out
    kept, half = boxcar((~mask).astype(np.float64), size), 0.5 / size**2
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            # Of running sums, 0 and 1 are not exact
            if half < kept[i, j] < 1.0 - half:
                out[i, j] /= kept[i, j]

    return out


@inner
def _mirrored(i: int, length: int) -> int:  # pragma: no cover
    r"""Returns the pixel of which one beyond an edge is the mirror image."""

    if 0 <= i < length:
        return i
    i %= 2 * length

    return i if i < length else 2 * length - 1 - i


@making
def gaussian(
    image: NDArray[np.float64], sigma: float, mirror: bool, exact: bool
) -> NDArray[np.float64]:  # pragma: no cover
    r"""Smooths by a Gaussian cut at four standard deviations.

    .. math:: S = I * G, \quad G_{ij} \propto e^{-(i^2 + j^2) / 2 \sigma^2}

    The recursive way is not cut, and wrong by 0.001 of the peak of the Gaussian at most. Its
    time does not grow with the width.

    References:
        | Recursively implementing the Gaussian and its derivatives (Deriche, 1993)
        | https://inria.hal.science/inria-00074778

    Arguments:
        image: The image, with shape `(H, W)`.
        sigma: The standard deviation :math:`\sigma`, in pixels.
        mirror: Whether the image goes on mirrored outside, else it is zero.
        exact: Whether to sum over the kernel. If not, wide ones are recursive, unless mirrored.

    Returns:
        The smooth image, with shape `(H, W)`.
    """

    if not exact and not mirror and sigma >= RECURSIVE:
        rows = _recursive(image, sigma)
        return _recursive(rows.T.copy(), sigma).T.copy()

    reach = int(TRUNCATE * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(reach + 1.0) / max(sigma, 1e-15)) ** 2)
    weights /= weights[0] + 2 * weights[1:].sum()
    rows = _weighted(image, weights, mirror)

    return _weighted(rows.T.copy(), weights, mirror).T.copy()


@making
def _weighted(image: NDArray, weights: NDArray, mirror: bool) -> NDArray:  # pragma: no cover
    r"""Sums rows around each one, those at the same distance together, the nearest last."""

    height, width = image.shape
    nothing = np.zeros(width)
    out = np.empty((height, width))
    reach = weights.size - 1 if mirror else min(weights.size, height) - 1
    for i in range(height):
        put(out[i], image[i] * weights[0])
        for k in range(reach, 0, -1):
            above, below = nothing, nothing
            if mirror or i >= k:
                above = image[_mirrored(i - k, height)]
            if mirror or i + k < height:
                below = image[_mirrored(i + k, height)]
            _add(out[i], above, below, weights[k])

    return out


@inner
def _add(row: NDArray, above: NDArray, below: NDArray, weight: float) -> None:  # pragma: no cover
    for j in range(row.size):
        row[j] += (above[j] + below[j]) * weight


@making
def _recursive(image: NDArray, sigma: float) -> NDArray:  # pragma: no cover
    r"""Filters along columns, once downwards and once upwards; nothing comes from outside."""

    a, b = _coefficients(sigma)
    down = _passed(image, a, b)
    # What comes from below leaves the row itself out
    up = _passed(image[::-1].copy(), a, b)[::-1]

    return down + up - b[0] * image


@making
def _passed(image: NDArray, a: NDArray, b: NDArray) -> NDArray:  # pragma: no cover
    height, width = image.shape
    x = np.zeros((height + 4, width))
    for i in range(height):
        put(x[i + 4], image[i])
    y = np.zeros((height + 4, width))
    for i in range(4, height + 4):
        for j in range(width):
            y[i, j] = (
                b[0] * x[i, j]
                + (b[1] * x[i - 1, j] - a[1] * y[i - 1, j])
                + (b[2] * x[i - 2, j] - a[2] * y[i - 2, j])
                + (b[3] * x[i - 3, j] - a[3] * y[i - 3, j])
                - a[4] * y[i - 4, j]
            )

    return y[4:]


@making
def _coefficients(sigma: float) -> tuple[NDArray, NDArray]:  # pragma: no cover
    r"""Returns what a row owes to those before it, and to the image there, of unit sum."""

    a, b = np.zeros(5), np.zeros(5)
    a[0] = 1.0
    for cosine, sine, decay, frequency in WAVES:
        angle, fade = frequency / sigma, math.exp(-decay / sigma)
        turn = (sine * math.sin(angle) - cosine * math.cos(angle)) * fade
        fade2, back = fade * fade, -2 * fade * math.cos(angle)
        # The sum of two fractions in 1 / z; the new one is (cosine + turn / z) over
        # (1 + back / z + fade2 / z^2)
        for k in range(4, -1, -1):
            b[k] += back * (b[k - 1] if k > 0 else 0.0) + fade2 * (b[k - 2] if k > 1 else 0.0)
            b[k] += cosine * a[k] + turn * (a[k - 1] if k > 0 else 0.0)
        for k in range(4, 0, -1):
            a[k] += back * a[k - 1] + fade2 * (a[k - 2] if k > 1 else 0.0)
    b /= 2 * b.sum() / a.sum() - b[0]

    return a, b


@making
def piece(above: NDArray[np.bool_], i: int, j: int) -> NDArray[np.bool_]:  # pragma: no cover
    r"""Returns the connected pixels around one of them.

    Arguments:
        above: Which pixels may be taken, with shape `(H, W)`.
        i: The row of the first pixel.
        j: Its column.

    Returns:
        The pixels connected with the first one, with shape `(H, W)`. None if it is not above.
    """

    inside = np.zeros(above.shape, np.bool_)
    rows, columns = np.empty(above.size, np.int64), np.empty(above.size, np.int64)
    top = _spread(above, inside, rows, columns, 0, i, j) if above[i, j] else 0
    while top > 0:
        top -= 1
        top = _spread(above, inside, rows, columns, top, rows[top], columns[top])

    return inside


@inner
def _spread(
    above: NDArray,
    inside: NDArray,
    rows: NDArray,
    columns: NDArray,
    top: int,
    i: int,
    j: int,
) -> int:  # pragma: no cover
    r"""Takes the pixels around one, puts them on a stack, and returns its height."""

    height, width = above.shape
    for m in range(max(i - 1, 0), min(i + 2, height)):
        for n in range(max(j - 1, 0), min(j + 2, width)):
            if above[m, n] and not inside[m, n]:
                inside[m, n] = True
                rows[top], columns[top] = m, n
                top += 1

    return top


@entry
def ascending(
    image: NDArray[np.float64], inside: NDArray[np.bool_]
) -> NDArray[np.int64]:  # pragma: no cover
    r"""Sorts pixels by their values, digit by digit.

    The leading half of the digits tells nearly all pixels apart; what is left is put right by
    insertion, or by all digits where that would take long.

    Arguments:
        image: The image, with shape `(H, W)`, contiguous.
        inside: Which pixels to sort, with shape `(H, W)`.

    Returns:
        The indices of the pixels in the flattened image, the faintest first. Equal ones are in
        the order of the image.
    """

    order = np.flatnonzero(inside)
    keys = (image.ravel()[order] + 0.0).view(np.int64)  # no negative zero
    # Of a negative number, a larger magnitude is less
    keys ^= (keys >> 63) & 0x7FFFFFFFFFFFFFFF
    order, keys = _sorted(order, keys, 32)
    if not _insert(order, keys):
        order, keys = _sorted(order, keys, 0)

    return order


@making
def _sorted(
    order: NDArray, keys: NDArray, first: int
) -> tuple[NDArray, NDArray]:  # pragma: no cover
    r"""Sorts by the digits from a bit on, from the lowest one, and keeps equal ones in order."""

    spare_order, spare_keys = np.empty_like(order), np.empty_like(keys)
    starts = np.empty((1 << BITS) + 1, np.int64)
    for shift in range(first, 64, BITS):
        # The last digit has the sign
        half = 1 << (BITS - 1) if shift + BITS == 64 else 0
        starts[:] = 0
        for key in keys:
            starts[(((key >> shift) + half) & MOST) + 1] += 1
        for digit in range(MOST):
            starts[digit + 1] += starts[digit]
        for k in range(keys.size):
            digit = ((keys[k] >> shift) + half) & MOST
            spare_order[starts[digit]], spare_keys[starts[digit]] = order[k], keys[k]
            starts[digit] += 1
        order, spare_order = spare_order, order
        keys, spare_keys = spare_keys, keys

    return order, keys


@inner
def _insert(order: NDArray, keys: NDArray) -> bool:  # pragma: no cover
    r"""Sorts what is nearly sorted, in place; returns whether it was."""

    moves = 0
    for i in range(1, keys.size):
        key, place, k = keys[i], order[i], i
        while k > 0 and keys[k - 1] > key:
            keys[k], order[k] = keys[k - 1], order[k - 1]
            k -= 1
        keys[k], order[k] = key, place
        moves += i - k
        if moves > FEW * keys.size:
            return False

    return True

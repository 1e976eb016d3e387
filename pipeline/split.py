r"""Which galaxies train, which validate and which test.

Cutouts of one galaxy, or of neighbours that see each other's light, are alike: a network that
trained on one knows the other. So galaxies are grouped on the sky, and a group is never divided.
"""

__all__ = ["PARTS", "check", "group", "load", "options", "places", "save", "split"]

import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from itertools import compress
from pathlib import Path

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from pipeline.catalogue import read_table, write_table
from pipeline.errors import ConfigError, DataError, suggest

PARTS = ("train", "validation", "test")

MISSED = 0.25
r"""The share of a part by which it may differ from what was asked for."""

_OPTIONS = "divided_by"

_log = logging.getLogger(__name__)


def group(
    ids: Sequence[str], ra: ArrayLike, dec: ArrayLike, radius_arcsec: ArrayLike = 0.0
) -> NDArray[np.int64]:
    r"""Groups what is one galaxy, or neighbours.

    Two belong together if they share an identifier, or if they are within the mean of their
    radii of each other, and so do all that a chain of such pairs joins.

    Arguments:
        ids: The identifiers, with length `N`.
        ra: The right ascensions in degrees, NaN if unknown, with shape `(N,)`.
        dec: The declinations in degrees, NaN if unknown, with shape `(N,)`.
        radius_arcsec: The radius of all, or of each, with shape `(N,)`; e.g. the diagonal of
            a cutout, so that no two groups overlap.

    Returns:
        The number of the group of each, with shape `(N,)`.
    """

    _, first, same = np.unique(np.asarray(ids, str), return_index=True, return_inverse=True)
    pairs = [np.stack([np.arange(len(same)), first[same]], axis=1)]
    ra, dec = np.radians(np.asarray(ra, np.float64)), np.radians(np.asarray(dec, np.float64))
    radius = np.radians(np.asarray(radius_arcsec, np.float64) / 3600) * np.ones(len(same))
    known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    if radius.any() and len(known):
        pairs.append(known[_neighbours(ra[known], dec[known], radius[known])])

    i, j = np.concatenate(pairs).T
    links = coo_array((np.ones(len(i), bool), (i, j)), shape=(len(same), len(same)))

    return connected_components(links, directed=False)[1].astype(np.int64)


def _neighbours(
    ra: NDArray[np.float64], dec: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.int64]:
    r"""Returns the pairs nearer than the mean of their radii, in radians, with shape `(*, 2)`."""

    points = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], 1)
    # Whoever has the larger radius sees the other: no ball need be as large as the largest.
    around = cKDTree(points).query_ball_point(points, _chord(radius))
    i, j = np.repeat(np.arange(len(points)), list(map(len, around))), np.concatenate(around)
    i, j = np.stack([i, j])[:, i != j].astype(np.int64)
    near = np.linalg.norm(points[i] - points[j], axis=1) <= _chord((radius[i] + radius[j]) / 2)

    return np.stack([i[near], j[near]], axis=1)


def _chord(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    return 2 * np.sin(np.minimum(angle, np.pi) / 2)


def split(
    ids: Sequence[str],
    labels: Sequence[str],
    ra: ArrayLike,
    dec: ArrayLike,
    *,
    fractions: Sequence[float] = (0.7, 0.1, 0.2),
    seed: int = 0,
    radius_arcsec: ArrayLike = 0.0,
    existing: Mapping[str, str] | None = None,
) -> NDArray[np.str_]:
    r"""Divides galaxies into parts, each with the same share of every class.

    What has a part already keeps it, and its neighbours follow. A newcomer between two parts
    is in none, as it would join what must stay apart. The rest is dealt so that the shares are
    right for old and new together.

    Arguments:
        ids: The identifiers, with length `N`.
        labels: The classes, with length `N`. What has none is in no part.
        ra: The right ascensions in degrees, NaN if unknown, with shape `(N,)`.
        dec: The declinations in degrees, NaN if unknown, with shape `(N,)`.
        fractions: The shares of train, validation and test, which sum to 1.
        seed: The same seed divides the same galaxies alike, in whatever order they come.
        radius_arcsec: Galaxies closer than this are never divided. See :func:`group`.
        existing: The part of each galaxy divided before, by identifier.

    Returns:
        The part of each, or an empty string, with shape `(N,)`.

    Raises:
        ConfigError: If the fractions are not three that sum to 1.
    """

    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ConfigError(f"fractions={list(fractions)}, expected three that sum to 1")

    ids, given = [str(id) for id in ids], np.asarray(list(labels), str)
    before = existing or {}
    parts = np.array([before.get(id, "") for id in ids], f"<U{max(map(len, PARTS))}")
    used = np.flatnonzero((given != "") | (parts != ""))
    if not len(used):
        return parts

    places = np.broadcast_arrays(np.asarray(ra, np.float64), dec, radius_arcsec)
    groups = group([ids[i] for i in used], *(values[used] for values in places))
    order = used[np.argsort(groups, kind="stable")]
    clusters = np.split(order, np.cumsum(np.bincount(groups))[:-1])
    old = [bool((parts[members] != "").any()) for members in clusters]
    for members in compress(clusters, old):
        parts[members] = _follow(members, parts, ids)

    classes = np.unique(given, return_inverse=True)[1]
    dealer = _Dealer(classes, parts, fractions)
    fresh = [members for members, known in zip(clusters, old, strict=True) if not known]
    names = [min(ids[i] for i in members) for members in fresh]
    turns = [
        (*dealer.turn(m), _shuffled(seed, name)) for m, name in zip(fresh, names, strict=True)
    ]
    for i in sorted(range(len(fresh)), key=turns.__getitem__):
        parts[fresh[i]] = dealer.deal(fresh[i])
    _compare(parts[used], fractions, max(map(len, clusters)))

    return parts


def check(
    parts: Mapping[str, str],
    ids: Sequence[str],
    ra: ArrayLike,
    dec: ArrayLike,
    radius_arcsec: ArrayLike = 0.0,
) -> list[str]:
    r"""Finds what is wrong with a given split, and logs it.

    Returns:
        One sentence per kind of trouble: galaxies without a part that others have, parts of
        unknown galaxies, and groups that straddle. See :func:`group`.
    """

    found = []
    if strangers := sorted(set(parts) - set(ids)):
        found.append(f"{len(strangers)} galaxies of the split are unknown, e.g. {strangers[0]}")
    if missing := sorted(set(ids) - set(parts)):
        found.append(f"{len(missing)} galaxies have no part, e.g. {missing[0]}")

    groups = group(ids, ra, dec, radius_arcsec)
    seen: dict[int, str] = {}
    pairs = [
        (seen[number], id)
        for number, id in zip(groups.tolist(), ids, strict=True)
        if id in parts and parts[seen.setdefault(number, id)] != parts[id]
    ]
    if pairs:
        example = " and ".join(f"{id} ({parts[id]})" for id in pairs[0])
        found.append(f"{len(pairs)} neighbours are in different parts, e.g. {example}")
    for sentence in found:
        _log.warning("%s", sentence)

    return found


def save(
    path: Path,
    ids: Sequence[str],
    parts: Sequence[str],
    options: Mapping[str, float] | None = None,
    places: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    r"""Writes the parts as a table `id, part`. What is in no part is left out.

    Arguments:
        path: The table.
        ids: The identifiers, with length `N`.
        parts: The part of each, with length `N`.
        options: How they were divided, to be kept with them. See :func:`options`.
        places: Where they are, to be kept in columns `ra, dec`. See :func:`places`.
    """

    rows = [(str(id), str(part)) for id, part in zip(ids, parts, strict=True) if part]
    table = Table(rows=rows, names=["id", "part"], dtype=[str, str])
    if places:
        nowhere = (math.nan, math.nan)
        table["ra"], table["dec"] = np.array([places.get(id, nowhere) for id, _ in rows]).T
    if options:
        table.meta[_OPTIONS] = json.dumps(dict(options), sort_keys=True)
    write_table(table, path)


def options(path: Path) -> dict[str, float]:
    r"""Reads how the galaxies of a table were divided, empty if it does not say."""

    return dict(json.loads(read_table(path).meta.get(_OPTIONS, "{}")))


def places(path: Path) -> dict[str, tuple[float, float]]:
    r"""Reads the position in degrees of each galaxy of a table, if it says so."""

    table = read_table(path, ("id",))
    if not {"ra", "dec"} <= set(table.colnames):
        return {}
    found = zip(map(str, table["id"]), table["ra"].tolist(), table["dec"].tolist(), strict=True)

    return {id: (ra, dec) for id, ra, dec in found if not math.isnan(ra)}


def load(path: Path) -> dict[str, str]:
    r"""Reads the part of each galaxy from a table `id, part`.

    Raises:
        DataError: If there are no such columns, or no such part, or a galaxy is in two.
    """

    table = read_table(path, ("id", "part"))
    for name in ("id", "part"):
        if name not in table.colnames:
            raise DataError(f"{path} has no column {name!r}, {suggest(name, table.colnames)}")

    parts: dict[str, str] = {}
    for id, part in zip(map(str, table["id"]), map(str, table["part"]), strict=True):
        if part not in PARTS:
            raise DataError(f"{path}: {id} is in {part!r}, {suggest(part, PARTS)}")
        if parts.setdefault(id.strip(), part) != part:
            raise DataError(f"{path}: {id} is in {parts[id.strip()]!r} and in {part!r}")

    return parts


class _Dealer:
    r"""Deals groups to the parts that lack their classes most."""

    def __init__(
        self, classes: NDArray[np.int64], parts: NDArray[np.str_], fractions: Sequence[float]
    ) -> None:
        self.classes = classes
        self.totals = np.bincount(classes)
        self.missing = self.totals[:, None] * np.asarray(fractions, np.float64)
        for i, part in enumerate(PARTS):
            self.missing[:, i] -= np.bincount(classes[parts == part], minlength=len(self.totals))

    def turn(self, members: NDArray[np.int64]) -> tuple[int, int]:
        r"""The rarest classes are dealt first, and large groups before small ones."""

        return int(self.totals[self.classes[members]].min()), -len(members)

    def deal(self, members: NDArray[np.int64]) -> str:
        found, counts = np.unique(self.classes[members], return_counts=True)
        # A class that has few left to deal is the more urgent one.
        left = np.maximum(self.missing[found].sum(axis=1), 1.0)
        best = int(np.argmax(counts / left @ self.missing[found]))
        self.missing[found, best] -= counts

        return PARTS[best]


def _compare(parts: NDArray[np.str_], fractions: Sequence[float], largest: int) -> None:
    r"""Warns where groups are so large that the shares are not those asked for."""

    asked = [len(parts) * fraction for fraction in fractions]
    reached = [int((parts == part).sum()) for part in PARTS]
    if any(abs(n - m) > MISSED * m + 3 for n, m in zip(reached, asked, strict=True)):
        _log.warning(
            "%s galaxies for %s, asked for %s: neighbours stay together, and the largest group"
            " has %d; a smaller split.radius_arcsec divides them, or a split.path of your own",
            ", ".join(map(str, reached)),
            ", ".join(PARTS),
            ", ".join(f"{n:.0f}" for n in asked),
            largest,
        )


def _follow(
    members: NDArray[np.int64], parts: NDArray[np.str_], ids: Sequence[str]
) -> NDArray[np.str_]:
    known = parts[members]
    homes = sorted(set(known.tolist()) - {""})
    if len(homes) == 1:
        return np.full_like(known, homes[0])

    strangers = members[known == ""]
    for i in strangers:
        _log.warning("%s is in no part, it has neighbours in %s", ids[i], " and ".join(homes))
    if not len(strangers):
        examples = [f"{ids[members[known == home][0]]} ({home})" for home in homes]
        _log.warning("neighbours are in different parts, e.g. %s", " and ".join(examples))

    return known


def _shuffled(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest()

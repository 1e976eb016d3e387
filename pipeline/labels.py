r"""What labels mean."""

__all__ = ["Scheme", "check_labels"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from pipeline.errors import ConfigError, DataError, suggest


@dataclass(frozen=True)
class Scheme:
    r"""Classes in order, and what a mirror makes of each.

    Seen in a mirror, a clockwise spiral is an anticlockwise one, and an elliptical is an
    elliptical still. Whoever reflects a galaxy maps its label through :attr:`mirror`.

    Arguments:
        classes: The names of the :math:`K` classes, in the order of every output.
        mirror: The index of the mirror image of each class, an involution of length `K`.

    Raises:
        ConfigError: If a name stands twice, or if the mirror of a mirror is another class.

    Example:
        >>> scheme = Scheme.of(["elliptical", "cw", "acw"], {"cw": "acw"})
        >>> scheme.mirror
        (0, 2, 1)
        >>> scheme.index("acw")
        2
    """

    classes: tuple[str, ...]
    mirror: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ConfigError(
                f"classes={list(self.classes)}, expected two or more different names"
            )
        if [self.mirror[m] for m in self.mirror] != list(range(len(self.classes))):
            raise ConfigError(f"mirror={list(self.mirror)} is not its own inverse")

    @classmethod
    def of(cls, classes: Sequence[str], mirror: Mapping[str, str] | None = None) -> Self:
        r"""Creates a scheme from the pairs of names that a mirror swaps."""

        pairs = dict(mirror or {})
        pairs |= {after: before for before, after in pairs.items()}
        for name in pairs:
            if name not in classes:
                raise ConfigError(f"mirror names {name!r}, {suggest(name, classes)}")

        return cls(tuple(classes), tuple(list(classes).index(pairs.get(c, c)) for c in classes))

    def __len__(self) -> int:
        return len(self.classes)

    def index(self, name: str) -> int:
        r"""Returns the index of a class.

        Raises:
            DataError: If there is no such class.
        """

        if name not in self.classes:
            raise DataError(f"unknown label {name!r}, {suggest(name, self.classes)}")

        return self.classes.index(name)


def check_labels(
    classes: Sequence[str], rename: Mapping[str, str], threshold: float | None
) -> None:
    r"""Refuses labels that cannot become classes.

    Raises:
        ConfigError: If a threshold does not part two classes, or if a label is renamed to none.
    """

    if threshold is not None and len(classes) != 2:
        raise ConfigError(f"threshold={threshold:g} needs two classes, not {list(classes)}")
    for name in rename.values():
        if classes and name not in classes:
            raise ConfigError(f"rename gives {name!r}, {suggest(name, classes)}")

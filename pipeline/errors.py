r"""Errors a user can act on."""

__all__ = ["ConfigError", "DataError", "PipelineError", "may_pass", "suggest"]

from collections.abc import Iterable
from difflib import get_close_matches

from pipeline.passwords import masked


class PipelineError(Exception):
    r"""Base of every error this package raises on purpose. It tells no password."""

    def __init__(self, message: str = "") -> None:
        super().__init__(masked(message))


class ConfigError(PipelineError, ValueError):
    r"""A configuration asks for something impossible."""


class DataError(PipelineError, ValueError):
    r"""An input file does not hold what it should."""


def suggest(found: str, expected: Iterable[str]) -> str:
    r"""Ends an error message with the nearest right word, or with all of them.

    Arguments:
        found: The word that was not understood.
        expected: The words that would have been.

    Returns:
        The end of a sentence.

    Example:
        >>> suggest("lennet", ["lenet", "resnet"])
        "did you mean 'lenet'?"
        >>> suggest("x", ["lenet", "resnet"])
        'expected one of lenet, resnet'
    """

    words = [str(word) for word in expected]
    near = get_close_matches(str(found), words, n=1)

    return f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(words)}"


def may_pass(error: BaseException) -> bool:
    r"""Tells whether what failed may succeed the next time: a disk, a network, the memory.

    What is wrong with the content of a file never passes. Decoders raise errors of input and
    output for that, too, but without the number that the system gives its own.
    """

    return any(
        isinstance(one, MemoryError | ConnectionError | TimeoutError)
        or (isinstance(one, OSError) and one.errno is not None)
        for one in (error, error.__cause__)
    )

r"""Prefect's server, where it cannot be had."""

__all__ = ["reached"]

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb

from httpx import HTTPError

from pipeline.errors import PipelineError


@contextmanager
def reached() -> Iterator[None]:
    r"""Says in one line what became of Prefect's server, and how to do without it.

    Raises:
        PipelineError: If Prefect fails, rather than what it runs.
    """

    try:
        yield
    except (RuntimeError, HTTPError) as error:
        names = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
        if any(name.startswith(("pipeline.", "models.")) for name in names):
            raise
        told = str(error) or type(error).__name__
        raise PipelineError(f"Prefect fails: {told}; --no-flow works without it") from error

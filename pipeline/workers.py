r"""Work shared out to processes, with the results in order."""

__all__ = ["end_with_parent", "in_order"]

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import Any, TypeVar

from pipeline.errors import PipelineError

T = TypeVar("T")

AHEAD = 3
r"""How many tasks per process are under way, so that none idles and memory is bounded."""


def in_order(
    function: Callable[..., T], tasks: Iterable[tuple[Any, ...]], workers: int = 1
) -> Iterator[T]:
    r"""Calls a function of a module with each tuple of arguments.

    Arguments:
        function: The function.
        tasks: The arguments of each call, taken only a few ahead of the results.
        workers: The number of processes. With one, or one task, all happens in this one.

    Yields:
        The results, in the order of the tasks.

    Raises:
        PipelineError: If a process dies.
    """

    queue = iter(tasks)
    first = list(islice(queue, 2))
    queue = chain(first, queue)
    if workers <= 1 or len(first) < 2:
        for task in queue:
            yield function(*task)
        return

    # A forked process would inherit threads and locks in whatever state they are.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([function.__module__])
    pool = ProcessPoolExecutor(workers, context, _begin, (os.getcwd(),))
    try:
        waiting: deque[Future[T]] = deque()
        for task in islice(queue, AHEAD * workers):
            waiting.append(pool.submit(function, *task))
        while waiting:
            yield waiting.popleft().result()
            for task in islice(queue, 1):
                waiting.append(pool.submit(function, *task))
    except BrokenProcessPool as error:
        raise PipelineError(
            "a worker process died, perhaps for lack of memory: what was committed is safe,"
            " run the same command again with fewer workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(folder: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C is told by the parent alone
    os.chdir(folder)
    if sys.stderr is not None:
        os.dup2(2, 1)  # results alone go to standard output, and those are the parent's
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    r"""Waits for the end of the parent, which cannot say so if it is killed, and ends too."""

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)

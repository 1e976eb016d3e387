r"""How a command ends that is told to, by Ctrl-C or SIGTERM: soon, in one line, and with all that
it has started."""

__all__ = ["Stop"]

import atexit
import logging
import os
import re
import select
import signal
import socket
import sys
import threading
import time
from contextlib import AbstractContextManager, suppress
from importlib import import_module
from types import FrameType

GRACE = 1.5
r"""The seconds that are left to clean up in."""

POKE = signal.SIGURG
r"""What ends a wait of the main thread, and does nothing by itself."""

WORKERS = r"multiprocessing\.(forkserver|spawn)"
r"""What the commands of processes have that work for this one. A server is told of the end."""

SERVERS = r"^(?!.*resource_tracker)"
r"""What is killed at last: what cleans up after all ends by itself."""

SHOW = "\x1b[?25h"
r"""What brings the cursor back to a terminal, which a progress bar hides."""


class Stop(AbstractContextManager):
    r"""Ends the process with 130 on Ctrl-C and 143 on SIGTERM, for as long as it is open.

    The main thread is interrupted, and may clean up. What it does not come back from by then,
    as Prefect tries for minutes to reach a server that died, is cut off: all that is written is
    written aside and renamed.

    Processes that are started meanwhile do not hear Ctrl-C, which a terminal sends to each: this
    one ends them. A thread hears it, whatever the main thread waits for, and SIGTERM, whoever
    else listens to that.
    """

    number = 0
    r"""The signal that has come, 0 before."""

    def __enter__(self) -> "Stop":
        self._interrupted = self._told = False
        self._screen = sys.stderr
        self._ear, self._mouth = socket.socketpair()
        self._mouth.setblocking(False)
        self._handlers = [*logging.root.handlers]
        for handler in self._handlers:
            handler.addFilter(self._may_tell)

        atexit.register(self._leave)  # the first is the last to be called
        # What runs in the background ignores Ctrl-C, and goes on to
        numbers = [signal.SIGINT, signal.SIGTERM]
        self._numbers = [n for n in numbers if signal.getsignal(n) is not signal.SIG_IGN]
        self._before = {n: signal.signal(n, self._interrupt) for n in self._numbers}
        self._before[POKE] = signal.signal(POKE, lambda *_: None)
        self._wakeup = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        _track()  # before, as in Python 3.11 it unblocks what is blocked
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

        return self

    def __exit__(self, *_error: object) -> None:
        if self.number:  # and until the process ends
            self._say()
            _kill(SERVERS)  # of which Prefect would wait for the end
            raise SystemExit(128 + self.number) from None

        atexit.unregister(self._leave)
        signal.set_wakeup_fd(self._wakeup)
        for number, before in self._before.items():
            signal.signal(number, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for handler in self._handlers:
            handler.removeFilter(self._may_tell)
        self._mouth.close()
        self._thread.join()
        self._ear.close()

    def _interrupt(self, number: int, _frame: FrameType | None) -> None:
        self._heed(number)
        if not self._interrupted:
            self._interrupted = True
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    def _may_tell(self, _record: logging.LogRecord) -> bool:
        r"""Whether a record may be told: not once a signal waits, though no thread knows yet."""

        return not self.number and not select.select([self._ear], [], [], 0)[0]

    def _listen(self) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        import_module("psutil")  # there is no time for it later
        while heard := self._ear.recv(1, socket.MSG_PEEK):
            if heard[0] in self._numbers:
                self._end(heard[0])
            self._ear.recv(1)

    def _end(self, number: int) -> None:
        self._heed(number)
        signal.pthread_kill(threading.main_thread().ident or 0, POKE)
        time.sleep(GRACE)

        self._say()
        _kill(SERVERS)
        self._leave()

    def _leave(self) -> None:
        r"""Ends the process, which takes seconds where large libraries are taken apart."""

        os._exit(128 + self.number)

    def _heed(self, number: int) -> None:
        r"""Keeps all but the last word from the user, and the workers from more work."""

        self.number = self.number or number
        logging.disable()
        sys.stderr = open(os.devnull, "w")
        _kill(WORKERS)

    def _say(self) -> None:
        if not self._told:
            self._told = True
            shown = SHOW if self._screen.isatty() else ""
            self._screen.write(f"{shown}tuningfork: stopped; run it again to go on\n")
            self._screen.flush()


def _track() -> None:
    r"""Starts what deletes the semaphores that killed processes leave, and not with a warning."""

    before = {"PYTHONWARNINGS": text} if (text := os.environ.get("PYTHONWARNINGS")) else {}
    os.environ["PYTHONWARNINGS"] = "ignore"
    import_module("multiprocessing.resource_tracker").ensure_running()
    del os.environ["PYTHONWARNINGS"]
    os.environ |= before


def _kill(kind: str) -> None:
    r"""Kills the processes of this one whose commands are of a kind."""

    psutil = import_module("psutil")
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if re.search(kind, " ".join(process.cmdline())):
                process.kill()

"""Ending a command by a signal: it is said where things stand, and it takes seconds whatever is under way."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from delivery.console import said, say
from delivery.errors import ExitCode, Stopped, stopped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 4.0  # seconds for what has to be closed
SAID = 1.0  # seconds in which, after that, all is said


@contextmanager
def stoppable() -> Iterator[None]:
    """Inside, a signal raises Stopped; further ones are ignored. After PATIENCE the process ends, come what may.

    The wakeup descriptor is written to by the interpreter at once, also while the main thread is in code that is not
    Python's. A signal that was ignored before (nohup) stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    ended, ending = threading.Event(), threading.Lock()
    threading.Thread(target=_end_in_time, args=(reader, ended, ending), name="delivery-stopping", daemon=True).start()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _stop)
    wakeup = signal.set_wakeup_fd(writer.fileno())
    try:
        yield
    finally:
        with ending:  # from here on nobody sends the signal again, which would end the process without a word
            ended.set()
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        writer.close()


def _stop(number: int, _frame: FrameType | None) -> None:
    for each in SIGNALS:
        signal.signal(each, _ignore)
    raise Stopped(signal.Signals(number).name)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """In place of SIG_IGN: of a signal that came just before that, the interpreter would print a traceback."""


def _end_in_time(reader: socket.socket, ended: threading.Event, ending: threading.Lock) -> None:
    with reader:  # further signals are written to it, too
        number = next((one for one in reader.recv(1) if one in SIGNALS), None)
        if number is None:
            return
        with ending:
            if ended.is_set():
                return
            # Another thread may have got it: the main one hears of it when it runs on, and may be asleep for long.
            signal.pthread_kill(threading.main_thread().ident or 0, number)
        if ended.wait(PATIENCE):
            time.sleep(SAID)  # a thread that hangs would hold the process
        else:
            cut_off = "What was under way did not end in time, and was cut off."
            say(said(stopped(signal.Signals(number).name, [cut_off])))
        sys.stdout.flush()
        os._exit(ExitCode.FAILED)

"""Closes a connection that hangs, because neither TCP nor paramiko bounds every wait.

With each of paramiko's own timeouts set, a peer that froze at the wrong moment (subsystem request, window full,
kernel buffer full) or that sent a byte a second still held the caller for ever.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Watchdog:
    """The time of one delivery's connection: `stall` seconds without movement in a step, `deadline` seconds in all."""

    def __init__(
        self, stall: float, deadline: float, cut: threading.Event | None = None, since: float | None = None
    ) -> None:
        """cut: once set, nothing goes on. since: when the deadline began to run, by time.monotonic()."""
        self.reason = ""  # why it closed the connection, for people
        self._cut = cut or threading.Event()
        self._stall = self._patience = stall
        self._deadline = deadline
        self._ends = (time.monotonic() if since is None else since) + deadline
        self._limit: float | None = None
        self._close: list[Callable[[], object]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="delivery-watchdog", daemon=True)
        self._thread.start()

    @property
    def left(self) -> float:
        """Seconds until the deadline; never negative."""
        return max(0.0, self._ends - time.monotonic())

    def closes(self, close: Callable[[], object]) -> None:
        """Add what is to be closed; it must not wait."""
        self._close.append(close)
        if self.reason:
            close()

    def beat(self) -> None:
        """Note that something moved."""
        self._limit = time.monotonic() + self._patience

    @contextmanager
    def step(self, patience: float = 0.0) -> Iterator[None]:
        """Watch a step. patience: seconds, on top, that one reply may take because the server has work to do."""
        self._patience = self._stall + patience
        self.beat()
        try:
            yield
        finally:
            self._limit = None

    def stop(self) -> None:
        """Watch no longer."""
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(min(0.25, self._stall / 4)):
            now, limit = time.monotonic(), self._limit
            if now >= self._ends:
                self.reason = f"not finished within its deadline of {self._deadline:g} s"
            elif limit is not None and now >= limit:
                self.reason = f"nothing moved for {self._patience:g} s"
            elif self._cut.is_set():
                self.reason = "the run was stopped"
            if self.reason:
                for close in self._close:
                    close()
                return

"""Connections kept from one delivery of a run to the next: a login each would cost more than a small file."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery.sftp.extensions import LARGE_REQUEST

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from delivery.sftp.session import Channel, Session

MOST = 16  # that nobody uses just now
IDLE = 60.0  # seconds: servers and gateways forget connections of which they hear nothing, some without a word


@dataclass(frozen=True)
class Opened:
    """A channel for a session and how to end it. packet_bytes: see Session; software: the server's own word.

    another: opens one more on the same connection, where there is one.
    """

    channel: Channel
    close: Callable[[], object]
    packet_bytes: int = LARGE_REQUEST
    software: str = ""
    another: Callable[[], Opened] | None = None


@dataclass(frozen=True)
class Connection:
    """A session and how to end it. request_bytes: largest READ and WRITE; the others as in Opened."""

    session: Session
    request_bytes: int
    close: Callable[[], object]
    software: str = ""
    another: Callable[[], Opened] | None = None


class Kept:
    """Those that nobody uses just now. Each is used by one thread at a time, and kept if all went well on it."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._idle: list[tuple[float, Hashable, Connection]] = []  # since when; the one kept last is at the end

    def take(self, login: Hashable) -> Connection | None:
        """One that was made with this login, if there is one that was used of late."""
        with self._changing:
            found = next((one for one in reversed(self._idle) if one[1] == login), None)
            if found is None:
                return None
            self._idle.remove(found)
        since, _, connection = found
        if time.monotonic() - since < IDLE:
            return connection
        connection.close()
        return None

    def keep(self, login: Hashable, connection: Connection) -> None:
        """Keeps one, in place of the oldest where there are too many."""
        with self._changing:
            self._idle.append((time.monotonic(), login, connection))
            surplus = self._idle[:-MOST]
            del self._idle[:-MOST]
        for _, _, one in surplus:
            one.close()

    def close(self) -> None:
        """Ends all."""
        with self._changing:
            idle, self._idle = self._idle, []
        for _, _, one in idle:
            one.close()

"""A server while it is used: its connection, kept or new, and the watchdog of the time that a delivery has there."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from paramiko import SSHException

from delivery.sftp import extensions
from delivery.sftp.failures import LOWER_ERRORS, translate
from delivery.sftp.kept import Connection, Kept, Opened
from delivery.sftp.session import ConnectionLost, Session
from delivery.sftp.ssh import connect
from delivery.sftp.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from delivery.config.integrations import SftpDestination

READ_WINDOW = 1 << 24  # bytes under way when a file is read back: as many as are asked for at once
SLOWEST_DISK = 10_000_000  # bytes a second that a server is granted for work inside one reply: fsync, hash, close


class Reached:
    """Opened and closed as often as a delivery is tried; its deadline is for all of these together.

    is_first: whether this is the first try. Only between `open` and `close` are there: session; request_bytes, the
    largest READ and WRITE; software, the server's own word.
    """

    session: Session
    request_bytes: int
    software: str

    def __init__(self, where: str, opens: Callable[[Watchdog], Opened], timeout: float, deadline: float) -> None:
        """where: for messages; timeout, deadline: seconds, see Watchdog."""
        self.is_first = True
        self._where, self._opens, self._timeout, self._deadline = where, opens, timeout, deadline
        self._kept, self._login = Kept(), tuple[object, ...]()
        self._is_cut = threading.Event()
        self._since: float | None = None

    def keeps(self, kept: Kept, login: tuple[object, ...]) -> None:
        """Where connections with this login come from, and go when all went well."""
        self._kept, self._login = kept, login

    def open(self, check: Callable[[Session], None]) -> None:
        """Connect, or go on with a connection that was kept. check: shows that the server still answers on it."""
        self.is_first = self._since is None
        self._since = time.monotonic() if self._since is None else self._since  # whatever has to be tried again
        self._watchdog = Watchdog(self._timeout, self._deadline, self._is_cut, self._since)
        self._close: Callable[[], object] = lambda: None
        try:
            with self.step("connect"):
                if not self._goes_on(check):
                    self._use(self._connect())
                    check(self.session)
        except BaseException:
            self.close(is_well=False)
            raise

    def close(self, *, is_well: bool) -> None:
        """Watch no longer. is_well: whether the connection may be used again."""
        self._watchdog.stop()
        if is_well and self._login and not self._watchdog.reason:
            self._kept.keep(self._login, self._connection)
        else:
            self._close()

    def cut(self) -> None:
        """Have the watchdog close the connection."""
        self._is_cut.set()

    @contextmanager
    def step(self, step: str, size: int = 0) -> Iterator[None]:
        """Watch and translate. size: bytes that the server may have to work through before it replies."""
        try:
            with self._watchdog.step(size / SLOWEST_DISK):
                yield
        except LOWER_ERRORS as error:
            raise translate(self._where, step, error, self._watchdog.reason) from error

    @property
    def has_channels(self) -> bool:
        """Whether more sessions may be opened on the connection."""
        return self._connection.another is not None

    def another(self) -> tuple[Session, Callable[[], object]]:
        """A further session on the connection, and how to end it."""
        assert self._connection.another is not None  # noqa: S101 - it was asked for
        opened = self._connection.another()
        return Session(opened.channel, opened.packet_bytes, self._watchdog.beat), opened.close

    def _goes_on(self, check: Callable[[Session], None]) -> bool:
        """Whether a kept connection is there, and the server still has it."""
        while connection := self._kept.take(self._login):
            self._watched(connection.close)
            self._use(connection)
            try:
                check(self.session)
            except (ConnectionLost, SSHException, EOFError, OSError):
                if self._watchdog.reason:
                    raise
                connection.close()
            else:
                return True
        return False

    def _connect(self) -> Connection:
        opened = self._opens(self._watchdog)
        self._watched(opened.close)
        session = Session(opened.channel, opened.packet_bytes, self._watchdog.beat)
        size = extensions.request_bytes(session)
        return Connection(session, size, opened.close, opened.software, opened.another)

    def _watched(self, close: Callable[[], object]) -> None:
        self._close = close
        self._watchdog.closes(close)

    def _use(self, connection: Connection) -> None:
        self._connection = connection
        self.session, self.request_bytes = connection.session, connection.request_bytes
        self.software = connection.software
        self.session.beat = self._watchdog.beat


def over_ssh(name: str, target: SftpDestination) -> Callable[[Watchdog], Opened]:
    """What connects to an integration's server and logs in."""

    def opens(watchdog: Watchdog) -> Opened:
        transport = connect(target, f"delivery trust {name}", watchdog)

        def another() -> Opened:
            channel = transport.open_session(window_size=READ_WINDOW)
            channel.settimeout(target.deadline)  # the watchdog is quicker, in both
            channel.invoke_subsystem("sftp")
            return Opened(channel, channel.close, channel.out_max_packet_size - 64)

        first = another()
        return Opened(first.channel, transport.close, first.packet_bytes, transport.remote_version, another)

    return opens

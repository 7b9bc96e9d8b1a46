"""A large file to a far server over several channels of one connection.

A server has so much of a channel under way and no more (OpenSSH: 2 MiB), so that 40 ms away one channel carries
50 MB a second however fast the line is.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from paramiko import SSHException

from delivery.sftp.checked_writer import write_checked
from delivery.sftp.session import CLOSE, WRITING, Session, Status, string

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHANNELS = 4
LARGE = 1 << 25  # bytes from which it is worth the channels
FAR = 0.015  # seconds of a round trip, likewise
# Programs that write where they are told to. Others may keep what came by one channel and drop the rest, as gateways to
# object stores do: it would be seen when the file is read back, and the file be sent a second time.
IN_PLACE = ("OpenSSH", "mod_sftp")


def is_worth(software: str, size: int, round_trip: float) -> bool:
    """Whether to write a file of so many bytes over several channels to that program. round_trip: seconds."""
    return size >= LARGE and round_trip >= FAR and any(name in software for name in IN_PLACE)


class _Shared:
    """Chunks for whichever channel is ready for the next, until one has failed."""

    def __init__(self, chunks: Iterator[tuple[int, bytes]], acknowledged: Callable[[int], None]) -> None:
        self._chunks, self._acknowledged = chunks, acknowledged
        self._taking, self._telling = threading.Lock(), threading.Lock()
        self._failed: BaseException | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[int, bytes]:
        with self._taking:
            if self._failed:
                raise self._failed
            return next(self._chunks)

    def write(self, session: Session, handle: bytes) -> int:
        """A channel's part of them: so many bytes."""
        try:
            return write_checked(session, handle, self, self._told)
        except BaseException as error:
            self._failed = self._failed or error
            raise

    def _told(self, count: int) -> None:
        with self._telling:
            self._acknowledged(count)


def write_over_channels(
    session: Session,
    file: tuple[bytes, bytes],
    another: Callable[[], tuple[Session, Callable[[], object]]],
    chunks: Iterator[tuple[int, bytes]],
    acknowledged: Callable[[int], None],
) -> int:
    """As `write_checked`, over as many channels as the server gives, up to four; raises what the first to fail raised.

    file: path, and handle on the connection's own session; another: a further session, and how to end it.
    """
    (path, handle), shared = file, _Shared(chunks, acknowledged)
    ends: list[Callable[[], object]] = []

    def write_beside() -> int:
        try:
            beside, close = another()
        except SSHException:  # no more channels for us
            return 0
        ends.append(close)
        try:
            also = beside.open(path, WRITING)
        except Status:  # nobody opens a file twice
            return 0
        else:
            count = shared.write(beside, also)
            beside.request(CLOSE, string(also))
            return count
        finally:
            close()

    with ThreadPoolExecutor(CHANNELS - 1, "delivery-channel") as threads:
        counts = [threads.submit(write_beside) for _ in range(CHANNELS - 1)]
        try:
            return shared.write(session, handle) + sum(count.result() for count in counts)
        except BaseException:
            for close in ends:  # who waits for a reply there is woken
                close()
            raise

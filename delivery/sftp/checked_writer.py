"""Pipelined WRITEs whose every status is checked, and the reading back that proves what lies there.

What paramiko's `put` does instead, and why it must not be used: tests/delivery/test_checked_writer.py, the control.
"""

from __future__ import annotations

import hashlib
import struct
from collections import deque
from typing import TYPE_CHECKING, BinaryIO

from delivery.sftp.session import DATA, EOF, READ, WRITE, BadReply, Session, Status, string

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

OUTSTANDING = 64  # as OpenSSH's sftp
NEAR = 0.01, 16  # a server that answers in so many seconds is asked for no more at once: it comes in piles otherwise


def chunks_of(source: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """The source from its start, by so many bytes: offset and bytes."""
    offset = 0
    while chunk := source.read(size):
        yield offset, chunk
        offset += len(chunk)


def write_checked(
    session: Session,
    handle: bytes,
    chunks: Iterable[tuple[int, bytes]],
    acknowledged: Callable[[int], None] | None = None,
) -> int:
    """Write chunks, each at its offset, to an open file; the number of bytes, each acknowledged with status OK.

    acknowledged: called with the bytes of each WRITE that was. Raises Status at the first WRITE that was refused,
    whichever it was and in whatever order the replies came.
    """
    pending: deque[tuple[int, int]] = deque()
    written = 0

    def finish() -> int:
        ident, count = pending.popleft()
        session.finish(ident)
        if acknowledged:
            acknowledged(count)
        return count

    for offset, chunk in chunks:
        if len(pending) >= OUTSTANDING:
            written += finish()
        where = struct.pack(">QI", offset, len(chunk))
        pending.append((session.begin(WRITE, string(handle), where, chunk), len(chunk)))
    while pending:
        written += finish()
    return written


def read_hashed(session: Session, handle: bytes, size: int, request_bytes: int, round_trip: float = 1.0) -> str:
    """SHA-256 (hex) of an open file, read to its end.

    size: in bytes as far as known, for reading ahead; round_trip: in seconds, as seen.
    """
    outstanding = NEAR[1] if round_trip < NEAR[0] else OUTSTANDING
    digest = hashlib.sha256()
    pending: deque[tuple[int, int]] = deque()
    asked = done = 0
    while True:
        while len(pending) < outstanding and (asked <= size or not pending):  # the last one must find the end
            count = min(request_bytes, size - asked) if asked < size else request_bytes
            pending.append((_ask(session, handle, asked, count), asked + count))
            asked += count
        ident, end = pending.popleft()
        try:
            data = session.finish(ident, DATA).string()
        except Status as status:
            if status.code != EOF:
                raise
            return digest.hexdigest()
        if not 0 < len(data) <= end - done:
            raise BadReply(f"{len(data)} bytes of data")
        digest.update(data)
        done += len(data)
        if done < end and pending:  # a server may send less than it was asked for
            pending.appendleft((_ask(session, handle, done, end - done), end))
        elif done < end:
            asked = done


def _ask(session: Session, handle: bytes, offset: int, count: int) -> int:
    return session.begin(READ, string(handle), struct.pack(">QI", offset, count))

"""SFTP version 3 over a channel of bytes: requests, and replies matched by id, with their status kept.

Why not paramiko's SFTPClient: it drops the status of CLOSE and of WRITEs it does not wait for, reads past truncated
replies, forgets the server's extensions, and turns every status but two into the same exception
(docs/decisions/0009-sftp-session.md). Only its Channel is used here. Numbers: draft-ietf-secsh-filexfer-02;
names with @openssh.com: PROTOCOL in OpenSSH's sources.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, _, FSETSTAT, OPENDIR, READDIR, REMOVE, MKDIR, RMDIR = range(
    1, 16
)
STAT, RENAME, STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED, EXTENDED_REPLY = 17, 18, 101, 102, 103, 104, 105, 200, 201
OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, OP_UNSUPPORTED = 0, 1, 2, 3, 4, 8
READING, WRITING, CREATE, EXCLUSIVE = 1, 2, 8, 32
_HAS_SIZE, _HAS_OWNER, _HAS_MODE, _HAS_TIMES, _HAS_MORE = 1, 2, 4, 8, 1 << 31
LARGEST_REPLY, LARGEST_READ = 1 << 20, 1 << 26
MOST_TEXT = 2000  # characters


class Channel(Protocol):
    """What carries the session: paramiko's Channel, or a pipe to an sftp-server in tests."""

    def send(self, data: bytes, /) -> int:
        """Send some of the bytes; how many, 0 at the end."""

    def recv(self, count: int, /) -> bytes:
        """Receive up to count bytes; none at the end."""


class ConnectionLost(Exception):
    """The channel ended."""


class BadReply(Exception):
    """The server's reply makes no sense: wrong type, unknown or repeated id, cut short."""


class Status(Exception):
    """The server refused a request. code: as in the draft; text: the server's words, as they came but for their end."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text[:MOST_TEXT]


@dataclass(frozen=True)
class Attributes:
    """size in bytes, mode with the file's type; None where the server does not say."""

    size: int | None
    mode: int | None


class Reader:
    """Takes values off a reply; unlike paramiko's Message it does not read zeros past the end."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self._at = at

    def take(self, layout: str) -> int:
        """Take one number, `I` of 32 or `Q` of 64 bits."""
        try:
            number: int = struct.unpack_from(">" + layout, self.data, self._at)[0]
        except struct.error:
            raise BadReply("cut short") from None
        self._at += struct.calcsize(layout)
        return number

    def string(self) -> bytes:
        """Take a counted string."""
        start = self._at + 4
        end = start + self.take("I")
        if end > len(self.data):
            raise BadReply("cut short")
        self._at = end
        return self.data[start:end]

    def rest(self) -> bytes:
        """Take all that is left."""
        return self.data[self._at :]

    def attributes(self) -> Attributes:
        """Take an ATTRS structure."""
        flags = self.take("I")
        size = self.take("Q") if flags & _HAS_SIZE else None
        if flags & _HAS_OWNER:
            self.take("Q")
        mode = self.take("I") if flags & _HAS_MODE else None
        if flags & _HAS_TIMES:
            self.take("Q")
        if flags & _HAS_MORE:
            for _ in range(2 * self.take("I")):
                self.string()
        return Attributes(size, mode)


def string(value: bytes) -> bytes:
    """Count and carry bytes."""
    return struct.pack(">I", len(value)) + value


class Session:
    """One SFTP session, for one thread.

    Requests that need no answer of each other are sent together: the draft has a server do those of one file in the
    order in which they came. Far away each wait costs a round trip, and a small file is nothing but waits.
    """

    def __init__(self, channel: Channel, packet_bytes: int = 1 << 18, beat: Callable[[], None] = lambda: None) -> None:
        """Negotiate. packet_bytes: what one send can carry; beat: called whenever something moved."""
        self._channel = channel
        self.beat = beat
        self._packet_bytes = packet_bytes
        self._buffer = bytearray()
        self._last_id = 0
        self._open: set[int] = set()
        self._early: dict[int, tuple[int, Reader]] = {}
        self._left: set[int] = set()
        self._send(struct.pack(">IBI", 5, INIT, 3))
        kind, reply = self._receive()
        if kind != VERSION:
            raise BadReply(f"type {kind} instead of VERSION")
        self.version = reply.take("I")
        self.extensions: dict[str, bytes] = {}
        while reply.rest():
            name = reply.string().decode(errors="replace")
            self.extensions[name] = reply.string()

    def begin(self, kind: int, *parts: bytes) -> int:
        """Send a request; its id, to be given to finish."""
        self._last_id = (self._last_id + 1) & 0xFFFFFFFF
        self._open.add(self._last_id)
        self._send(b"".join((struct.pack(">IBI", 5 + sum(map(len, parts)), kind, self._last_id), *parts)))
        return self._last_id

    def finish(self, ident: int, expected: int = STATUS) -> Reader:
        """Wait for the reply to one request, in whatever order they come; raise Status unless it is good."""
        while ident not in self._early:
            kind, reply = self._receive()
            answered = reply.take("I")
            if answered not in self._open:
                raise BadReply("to a request that is not open")
            self._open.remove(answered)
            if answered in self._left:
                self._left.remove(answered)
            else:
                self._early[answered] = kind, reply
        kind, reply = self._early.pop(ident)
        if kind == STATUS:
            code = reply.take("I")
            if code != OK:  # version 2 servers send no text
                raise Status(code, reply.string().decode(errors="replace") if reply.rest() else "")
        if kind != expected:
            raise BadReply(f"type {kind} instead of {expected}")
        return reply

    def request(self, kind: int, *parts: bytes, expected: int = STATUS) -> Reader:
        """Send a request and wait for its reply."""
        return self.finish(self.begin(kind, *parts), expected)

    def leave(self, ident: int) -> None:
        """Not wait for the reply to a request, whatever it says: it is dropped when it comes."""
        self._left.add(ident)

    def open(self, path: bytes, flags: int, mode: int | None = None) -> bytes:
        """Open a file; its handle."""
        attributes = struct.pack(">I", 0) if mode is None else struct.pack(">II", _HAS_MODE, mode)
        return self.request(OPEN, string(path), struct.pack(">I", flags), attributes, expected=HANDLE).string()

    def mkdir(self, path: bytes, mode: int) -> None:
        """Make a directory."""
        self.request(MKDIR, string(path), struct.pack(">II", _HAS_MODE, mode))

    def rmdir(self, path: bytes) -> None:
        """Remove an empty directory."""
        self.request(RMDIR, string(path))

    def begin_chmod(self, handle: bytes, mode: int) -> int:
        """Send the request to set the mode of an open file."""
        return self.begin(FSETSTAT, string(handle), struct.pack(">II", _HAS_MODE, mode))

    def attributes(self, kind: int, subject: bytes) -> Attributes:
        """LSTAT or STAT of a path, FSTAT of a handle."""
        return self.told(self.begin(kind, string(subject)))

    def told(self, ident: int) -> Attributes:
        """Wait for the attributes."""
        return self.finish(ident, ATTRS).attributes()

    def scan(self, path: bytes) -> Iterator[tuple[bytes, Attributes]]:
        """Names in a directory and their attributes, without `.` and `..`."""
        handle = self.request(OPENDIR, string(path), expected=HANDLE).string()
        try:
            while True:
                reply = self.request(READDIR, string(handle), expected=NAME)
                for _ in range(reply.take("I")):
                    name, _long_name, attributes = reply.string(), reply.string(), reply.attributes()
                    if name not in {b".", b".."}:
                        yield name, attributes
        except Status as status:
            if status.code != EOF:
                raise
        self.request(CLOSE, string(handle))

    def extended(self, name: str, *parts: bytes, expected: int = EXTENDED_REPLY) -> Reader:
        """Make a request that is not in the draft."""
        return self.request(EXTENDED, string(name.encode()), *parts, expected=expected)

    def _send(self, frame: bytes) -> None:
        at = 0
        while at < len(frame):
            sent = self._channel.send(frame[at : at + self._packet_bytes])  # paramiko would copy the rest each time
            if sent <= 0:
                raise ConnectionLost("while sending")
            at += sent
            self.beat()

    def _receive(self) -> tuple[int, Reader]:
        size: int = struct.unpack(">I", self._read(4))[0]
        if not 1 <= size <= LARGEST_REPLY:
            raise BadReply(f"of {size} bytes")
        data = self._read(size)
        return data[0], Reader(data, 1)

    def _read(self, count: int) -> bytes:
        while len(self._buffer) < count:
            part = self._channel.recv(LARGEST_READ)  # all there is: paramiko would move the rest each time
            if not part:
                raise ConnectionLost("while waiting for a reply")
            self.beat()
            self._buffer += part
        with memoryview(self._buffer) as view:
            data = bytes(view[:count])
        del self._buffer[:count]
        return data

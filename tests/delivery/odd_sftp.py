"""An SFTP server over a directory that answers otherwise than OpenSSH: without SSH and without threads."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from delivery.sftp.session import string

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Numbers of draft-ietf-secsh-filexfer-02, written out: the session's own would follow its mistakes.
REQUESTS = {
    1: "INIT", 3: "OPEN", 4: "CLOSE", 5: "READ", 6: "WRITE", 7: "LSTAT", 8: "FSTAT", 10: "FSETSTAT", 11: "OPENDIR",
    12: "READDIR", 13: "REMOVE", 17: "STAT", 18: "RENAME", 200: "EXTENDED",
}  # fmt: skip
OK, EOF, NO_SUCH_FILE, FAILURE, UNSUPPORTED = 0, 1, 2, 4, 8
SIZE, OWNER, MODE, TIMES, MORE = 1, 2, 4, 8, 1 << 31
ALL = SIZE | OWNER | MODE | TIMES
FREAD, FCREATE, FEXCLUSIVE = 1, 8, 32


@dataclass(frozen=True)
class Answers:
    """What is said otherwise; by default the server is a plain one that offers what OpenSSH does.

    attributes: flags of what is told of a file. limits: packet, READ, WRITE and handles, or a status; None: not
    offered. space: the eleven numbers of statvfs. codes: request -> status that refuses it, as on a server that does
    not know it; an extended request goes by its own name. code: what refuses a taken name. text: of every status but
    OK; None: there is none, as in version 2. handle: what every handle ends with. late: request -> seconds until its
    answer. turned: replies that wait together come last one first. most: bytes in one DATA. listed: names in one NAME.
    long_name: of each name, for people. checks: algorithm and digest that check-file answers. version: of the protocol.
    own: an extension that nobody else has.
    """

    attributes: int = ALL
    limits: tuple[int, ...] | int | None = (262_144, 261_120, 261_120, 1019)
    space: tuple[int, ...] | None = (4096, 4096, 1000, 500, 400, 10, 10, 10, 1, 0, 255)
    fsync: bool = True
    codes: dict[str, int] = field(default_factory=dict)
    code: int = FAILURE
    text: bytes | None = b"Failure"
    handle: bytes = b""
    late: dict[str, float] = field(default_factory=dict)
    turned: bool = False
    most: int = 1 << 18
    listed: int = 100
    own: str = ""
    long_name: bytes = b"-rw-------    1 acme     acme            0 Nov  3 06:00 name"
    checks: tuple[bytes, Callable[[bytes], bytes]] | None = None
    overwrites: bool = False
    version: int = 3


class Refused(Exception):
    """A status but OK."""


class OddServer:
    """A channel to the server; `asked` lists (request, its size in bytes of data or 0) as they came."""

    def __init__(self, directory: Path, answers: Answers) -> None:
        self.directory, self.answers = directory, answers
        self.asked: list[tuple[str, int]] = []
        self._in = b""
        self._waiting: list[tuple[float, bytes]] = []  # seconds until it comes, and a reply
        self._out = b""
        self._files: dict[bytes, int] = {}
        self._scans: dict[bytes, list[str]] = {}
        self._count = 0
        self._wait = 0.0
        self._closed = threading.Event()

    # the channel

    def send(self, data: bytes) -> int:
        if self._closed.is_set():
            return 0
        self._in += data
        while len(self._in) >= 4 and len(self._in) >= (end := 4 + struct.unpack(">I", self._in[:4])[0]):
            frame, self._in = self._in[4:end], self._in[end:]
            self._wait = 0.0
            reply = string(self._reply(frame))
            self._waiting.append((self._wait, reply))
        return len(data)

    def recv(self, count: int) -> bytes:
        turn = -1 if self.answers.turned else 0
        while self._waiting and not (self._out and self._waiting[turn][0]):
            wait, reply = self._waiting.pop(turn)
            self._closed.wait(wait)
            self._out += reply
        if self._closed.is_set():
            return b""
        part, self._out = self._out[:count], self._out[count:]
        return part

    def close(self) -> None:
        self._closed.set()
        while self._files:  # a watchdog may close at the same time; a number closed twice is another file's by then
            with contextlib.suppress(KeyError):
                os.close(self._files.popitem()[1])

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.asked]

    @property
    def open_handles(self) -> int:
        return len(self._files) + len(self._scans)

    # the server

    def _reply(self, frame: bytes) -> bytes:
        name, at = REQUESTS[frame[0]], Taker(frame, 5)
        if name == "INIT":
            return self._version()
        if name == "EXTENDED":
            name = at.string().decode()
        self._wait = self.answers.late.get(name, 0.0)
        self.asked.append((name, 0))
        try:
            kind, body = self._answer(name, at)
        except FileNotFoundError:
            kind, body = self._status(NO_SUCH_FILE)
        except OSError:
            kind, body = self._status(FAILURE)
        except Refused as refused:
            kind, body = self._status(refused.args[0])
        return struct.pack(">B", kind) + frame[1:5] + bytes(body)

    def _answer(self, name: str, at: Taker) -> tuple[int, bytes]:
        if name in self.answers.codes:
            raise Refused(self.answers.codes[name])
        method: Callable[[Taker], tuple[int, bytes]] = getattr(self, "_" + name.lower().split("@")[0].replace("-", "_"))
        return method(at)

    def _version(self) -> bytes:
        offered = {"posix-rename@openssh.com": b"1"}
        if self.answers.own:
            offered[self.answers.own] = b"1"
        if self.answers.fsync:
            offered["fsync@openssh.com"] = b"1"
        if self.answers.limits is not None:
            offered["limits@openssh.com"] = b"1"
        if self.answers.space:
            offered["statvfs@openssh.com"] = b"2"
        if self.answers.checks:
            offered["check-file"] = b"md5,sha256"
        pairs = b"".join(string(name.encode("latin-1")) + string(value) for name, value in offered.items())
        return struct.pack(">BI", 2, self.answers.version) + pairs

    def _status(self, code: int = OK) -> tuple[int, bytes]:
        text = b"Success" if code == OK else self.answers.text
        return 101, struct.pack(">I", code) + (b"" if text is None else string(text) + string(b""))

    def _told(self, found: os.stat_result) -> bytes:
        flags = self.answers.attributes
        told = struct.pack(">I", flags)
        told += struct.pack(">Q", found.st_size) if flags & SIZE else b""
        told += struct.pack(">II", 1000, 1000) if flags & OWNER else b""
        told += struct.pack(">I", found.st_mode) if flags & MODE else b""
        told += struct.pack(">II", 1, 1) if flags & TIMES else b""
        pairs = string(b"acl@example.com") + string(b"") + string(b"tag@example.com") + string(b"x")
        return told + (struct.pack(">I", 2) + pairs if flags & MORE else b"")

    def _path(self, at: Taker) -> Path:
        return self.directory / os.fsdecode(at.string())

    def _handle(self) -> bytes:
        self._count += 1
        return b"%d" % self._count + self.answers.handle

    def _lstat(self, at: Taker) -> tuple[int, bytes]:
        return 105, self._told(self._path(at).lstat())

    def _stat(self, at: Taker) -> tuple[int, bytes]:
        return 105, self._told(self._path(at).stat())

    def _fstat(self, at: Taker) -> tuple[int, bytes]:
        return 105, self._told(os.fstat(self._files[at.string()]))

    def _fsetstat(self, at: Taker) -> tuple[int, bytes]:
        handle = at.string()
        assert at.number("I") == MODE
        os.fchmod(self._files[handle], at.number("I"))
        return self._status()

    def _open(self, at: Taker) -> tuple[int, bytes]:
        path, flags, told = self._path(at), at.number("I"), at.number("I")
        if flags & FEXCLUSIVE and os.path.lexists(path):
            raise Refused(self.answers.code)
        how = os.O_RDONLY if flags == FREAD else os.O_WRONLY | (os.O_CREAT if flags & FCREATE else 0)
        descriptor = os.open(path, how, at.number("I") if told == MODE else 0o666)
        handle = self._handle()
        self._files[handle] = descriptor
        return 102, string(handle)

    def _close(self, at: Taker) -> tuple[int, bytes]:
        handle = at.string()
        if handle in self._scans:
            del self._scans[handle]
        else:
            os.close(self._files.pop(handle))
        return self._status()

    def _read(self, at: Taker) -> tuple[int, bytes]:
        descriptor, offset, count = self._files[at.string()], at.number("Q"), at.number("I")
        self.asked[-1] = ("READ", count)
        if not (data := os.pread(descriptor, min(count, self.answers.most), offset)):
            raise Refused(EOF)
        return 103, string(data)

    def _write(self, at: Taker) -> tuple[int, bytes]:
        descriptor, offset, data = self._files[at.string()], at.number("Q"), at.string()
        self.asked[-1] = ("WRITE", len(data))
        os.pwrite(descriptor, data, offset)
        return self._status()

    def _opendir(self, at: Taker) -> tuple[int, bytes]:
        names = [".", "..", *(path.name for path in self._path(at).iterdir())]
        handle = self._handle()
        self._scans[handle] = names
        return 102, string(handle)

    def _readdir(self, at: Taker) -> tuple[int, bytes]:
        left = self._scans[at.string()]
        if not left:
            raise Refused(EOF)
        names, left[:] = left[: self.answers.listed], left[self.answers.listed :]
        body = struct.pack(">I", len(names))
        for name in names:
            body += string(os.fsencode(name)) + string(self.answers.long_name)
            body += self._told((self.directory / name).lstat())
        return 104, body

    def _remove(self, at: Taker) -> tuple[int, bytes]:
        self._path(at).unlink()
        return self._status()

    def _rename(self, at: Taker) -> tuple[int, bytes]:
        old, new = self._path(at), self._path(at)
        if os.path.lexists(new) and not self.answers.overwrites:
            raise Refused(self.answers.code)
        old.replace(new)
        return self._status()

    def _posix_rename(self, at: Taker) -> tuple[int, bytes]:
        self._path(at).replace(self._path(at))
        return self._status()

    def _fsync(self, at: Taker) -> tuple[int, bytes]:
        os.fsync(self._files[at.string()])
        return self._status()

    def _limits(self, _: Taker) -> tuple[int, bytes]:
        limits = self.answers.limits
        if isinstance(limits, int):
            raise Refused(limits)
        return 201, b"".join(struct.pack(">Q", number) for number in limits or ())

    def _statvfs(self, at: Taker) -> tuple[int, bytes]:
        assert self._path(at).is_dir()
        return 201, b"".join(struct.pack(">Q", number) for number in self.answers.space or ())

    def _check_file_handle(self, at: Taker) -> tuple[int, bytes]:
        descriptor = self._files[at.string()]
        assert (at.string(), at.number("Q"), at.number("Q"), at.number("I")) == (b"sha256", 0, 0, 0)
        assert self.answers.checks
        algorithm, digest = self.answers.checks
        return 201, algorithm + digest(os.pread(descriptor, 1 << 30, 0))


class Taker:
    """Takes the fields of a request, each as it comes."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def number(self, layout: str) -> int:
        value: int = struct.unpack_from(">" + layout, self._data, self._at)[0]
        self._at += struct.calcsize(layout)
        return value

    def string(self) -> bytes:
        end = self.number("I") + self._at
        start = self._at
        assert end <= len(self._data)
        self._at = end
        return self._data[start:end]


def sha256_of(content: bytes) -> bytes:
    return sha256(content).digest()

"""A directory on a client's SFTP server, on one connection. What each step does is in `session`; here is what it means.

Servers differ: what one refuses or lacks is listed at each method, with what is done instead.
"""

from __future__ import annotations

import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from delivery.errors import DeliveryError, DestinationFailed, DestinationRefused, NameTaken, redact
from delivery.schedule.names import check_name, finished_name
from delivery.sftp import extensions
from delivery.sftp import session as sftp
from delivery.sftp.channels import is_worth, write_over_channels
from delivery.sftp.checked_writer import chunks_of, read_hashed, write_checked
from delivery.sftp.reached import Reached, over_ssh
from delivery.sftp.session import Session, Status, string
from delivery.transfer import Capabilities, Found, Handling
from delivery.transfer.probe import prove

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from delivery.config.integrations import SftpDestination
    from delivery.sftp.kept import Kept, Opened
    from delivery.sftp.watchdog import Watchdog


class SftpDirectory:
    """Destination over SFTP; see `Destination` for what each method promises."""

    handling = Handling()

    def __init__(
        self, where: str, directory: str, opens: Callable[[Watchdog], Opened], timeout: float, deadline: float
    ) -> None:
        """See `Reached`."""
        self._at = Reached(where, opens, timeout, deadline)
        self._there: bytes | None = None
        self._takes_mode = True
        self._where = where
        self._directory = (directory.rstrip("/") or "/").encode()
        self._hashed_there = False
        self._made: list[bytes] = []
        self._round_trip = 0.0

    @classmethod
    def of(cls, name: str, target: SftpDestination, directory: str, kept: Kept | None = None) -> Self:
        """Choose the directory of an integration. kept: where connections come from, and go when all went well."""
        root = "" if directory.startswith("/") else "~/"
        where = f"{target.server}/{root}{directory.strip('/')}"
        of = cls(where, directory, over_ssh(name, target), target.timeout, target.deadline)
        of.handling = Handling.of(target)
        if kept is not None:
            of._at.keeps(kept, target.login)
        return of

    def made_below(self, there: str) -> Self:
        """Make what is missing of the directory below that part of it."""
        self._there = (there.rstrip("/") or "/").encode()
        return self

    def __enter__(self) -> Self:
        self._at.open(self._check_directory)
        self._session, self._request_bytes = self._at.session, self._at.request_bytes
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(DeliveryError), self._at.step("remove"):
            self._unmake(self._session)
        self._at.close(is_well=kind is None)

    def cut(self) -> None:
        """Have the watchdog close the connection."""
        self._at.cut()

    def describe(self) -> str:
        """Name user, host, port and directory."""
        return self._where

    def look(self, name: str) -> Found | None:
        """LSTAT; where the server refuses that, search the listing."""
        return self.look_at(name)[0]

    def look_at(self, *names: str) -> list[Found | None]:
        """The same, all asked at once."""
        with self._at.step("look"):
            asked = [(name, self._session.begin(sftp.LSTAT, string(self._path(name)))) for name in names]
            return [self._seen(name, ident) for name, ident in asked]

    def hash(self, name: str, size: int | None = None) -> str:
        """Ask the server where it offers check-file with SHA-256 (ProFTPD); otherwise read the file back."""
        with self._at.step("verify"):
            if size is None:  # whatever else it may be, it is not opened
                found = self._look(name)
                if found is None or found.kind == "other":
                    raise DestinationFailed(f"{self._where}: {name} is not a file there", step="verify")
                size = found.size or 0
            asked = time.monotonic()
            handle = self._session.open(self._path(name), sftp.READING)
            round_trip = time.monotonic() - asked
        with self._at.step("verify", size):
            digest = extensions.remote_hash(self._session, handle)
            self._hashed_there = digest is not None
            if digest is None:
                digest = read_hashed(self._session, handle, size, self._request_bytes, round_trip)
            self._session.leave(self._session.begin(sftp.CLOSE, string(handle)))
        return digest

    def upload(self, spool: Path, temp: str, progress: Callable[[int], None] | None = None) -> None:
        """Open exclusively, write, fsync where offered, FSTAT, CLOSE. A server may refuse chmod, FSTAT, lack fsync."""
        handle = self._open_new(temp)
        try:
            self._finish(handle, self._fill(handle, spool, temp, progress))
        except Exception:
            with suppress(DeliveryError):
                self.remove(temp)
            raise

    def create(self, name: str) -> None:
        """Open exclusively, CLOSE."""
        handle = self._open_new(name)
        with self._at.step("close"):
            self._session.request(sftp.CLOSE, string(handle))

    @property
    def server(self) -> str | None:
        """The login at the server: what a rename does is the server's program's, not the directory's."""
        scheme, _, rest = self._where.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}/"

    @property
    def software(self) -> str:
        """The server's version, and the names of what it offers."""
        return " ".join([redact(self._at.software), *sorted(self._session.extensions)])

    def publish(self, temp: str, final: str) -> None:
        """Look; then RENAME, which the probe saw refuse a taken name, unless the integration does without that."""
        if self.look(final):
            raise NameTaken(f"{self._where}: {final} exists already")
        try:
            self._rename(temp, final)
        except (DestinationFailed, DestinationRefused) as error:
            if isinstance(error.__cause__, Status) and self.look(final) and self.look(temp):
                raise NameTaken(f"{self._where}: {final} exists already") from None
            raise

    def replace(self, temp: str, final: str) -> None:
        """Rename as POSIX does; refused where the server does not offer that: delete-then-rename is never done."""
        with self._at.step("publish"):
            if not extensions.posix_rename(self._session, self._path(temp), self._path(final)):
                raise Status(sftp.OP_UNSUPPORTED, f"{extensions.POSIX_RENAME} is not offered")

    def remove(self, name: str) -> None:
        """Remove a file."""
        with self._at.step("remove"):
            try:
                self._session.request(sftp.REMOVE, string(self._path(name)))
            except Status as status:
                if status.code != sftp.NO_SUCH_FILE:
                    raise

    def list(self) -> list[str]:
        """Read the directory."""
        with self._at.step("list"):
            return sorted(name.decode(errors="surrogateescape") for name, _ in self._session.scan(self._directory))

    def probe(self, token: str) -> Capabilities:
        """Try each step; then tell what the server offers beyond."""
        proof = prove(self, token, self._rename)
        with self._at.step("look"):
            free = extensions.free_bytes(self._session, self._directory)
        return Capabilities(
            **vars(proof),
            fsync=extensions.FSYNC in self._session.extensions,
            remote_hash=self._hashed_there,
            statvfs=free is not None,
            request_bytes=self._request_bytes,
            free_bytes=free,
        )

    def _open_new(self, name: str) -> bytes:
        path, flags = self._path(name), sftp.WRITING | sftp.CREATE | sftp.EXCLUSIVE
        mode = self.handling.file_mode if self._takes_mode else None
        with self._at.step("open"):
            asked = time.monotonic()
            try:
                return self._session.open(path, flags, mode)
            except Status as refused:
                if self._look(name):
                    raise NameTaken(f"{self._where}: {name} exists already") from None
                # A final name is not opened twice: the first may have been there, and be collected.
                if not self._takes_mode or finished_name(self.handling.temporary_name, name) is None:
                    raise
                first = refused
            finally:
                self._round_trip = time.monotonic() - asked
            try:  # some servers take no attributes with OPEN
                handle = self._session.open(path, flags)
            except Status:
                raise first from None
            self._takes_mode = False
            return handle

    def _fill(self, handle: bytes, spool: Path, temp: str, progress: Callable[[int], None] | None) -> int:
        done = 0

        def acknowledged(count: int) -> None:
            nonlocal done
            done += count
            if progress:
                progress(done)

        with spool.open("rb") as source, self._at.step("upload"):
            self._session.leave(self._session.begin_chmod(handle, self.handling.file_mode))
            chunks = chunks_of(source, self._request_bytes)
            try:
                if self._over_channels(spool.stat().st_size):
                    file = self._path(temp), handle
                    return write_over_channels(self._session, file, self._at.another, chunks, acknowledged)
                return write_checked(self._session, handle, chunks, acknowledged)
            except Exception as error:
                self._session.leave(self._session.begin(sftp.CLOSE, string(handle)))
                if not isinstance(error, Status):
                    raise
                free = extensions.free_bytes(self._session, self._directory)
                raise Status(error.code, f"{error.text}; free bytes there: {free}") from None

    def _over_channels(self, size: int) -> bool:
        """Never when something has to be tried again, nor where the file is not read back."""
        is_possible = self._at.is_first and self._at.has_channels and self.handling.verify == "hash"
        return is_possible and is_worth(self._at.software, size, self._round_trip)

    def _finish(self, handle: bytes, size: int) -> None:
        with self._at.step("sync", size):
            syncing = extensions.begin_fsync(self._session, handle)
            counting = self._session.begin(sftp.FSTAT, string(handle))
            closing = self._session.begin(sftp.CLOSE, string(handle))
            if syncing is not None:
                try:
                    self._session.finish(syncing)
                except Status as status:  # some offer it and do not know it: as if it were not offered
                    if status.code != sftp.OP_UNSUPPORTED:
                        raise
            with suppress(Status):
                written = self._session.told(counting).size
                if written not in {size, None}:
                    raise DestinationFailed(f"{self._where}: {written} bytes arrived of {size}", step="sync")
        with self._at.step("close", size):
            self._session.finish(closing)

    def _look(self, name: str) -> Found | None:
        return self._seen(name, self._session.begin(sftp.LSTAT, string(self._path(name))))

    def _seen(self, name: str, ident: int) -> Found | None:
        try:
            found = self._session.told(ident)
        except Status as status:
            if status.code == sftp.NO_SUCH_FILE:
                return None
            if (listed := self._listed(name)) is None:
                return None
            found = listed
        return Found("file" if found.mode is None or stat.S_ISREG(found.mode) else "other", found.size)

    def _listed(self, name: str) -> sftp.Attributes | None:
        """What the directory's list says of it; with `verify: none`, a server may refuse to list, too."""
        try:
            return dict(self._session.scan(self._directory)).get(name.encode())
        except Status:
            if self.handling.verify == "none":
                return None
            raise

    def _rename(self, old: str, new: str) -> None:
        with self._at.step("publish"):
            self._session.request(sftp.RENAME, string(self._path(old)), string(self._path(new)))

    def _check_directory(self, session: Session) -> None:
        try:
            mode = session.attributes(sftp.STAT, self._directory).mode
        except Status as status:
            if status.code != sftp.NO_SUCH_FILE:
                return  # a server may refuse STAT; the first OPEN will tell
            if self._there is not None and self._make_below(session, self._there):
                return
            mode = 0
        if mode is not None and not stat.S_ISDIR(mode):
            hint = "Ask the server's owner to create it, or correct `directory`."
            raise DestinationRefused(f"{self._where}: no such directory", hint=hint)

    def _make_below(self, session: Session, there: bytes) -> bool:
        """Whether the directory was made, level by level; another runner may make it at the same time."""
        try:
            session.attributes(sftp.STAT, there)
        except Status:
            return False
        below = self._directory.removeprefix(there if there != b"." else b"").strip(b"/").split(b"/")
        for count in range(1, len(below) + 1):
            path = b"/".join([b"" if there == b"/" else there, *below[:count]])
            try:
                session.mkdir(path, self.handling.folder_mode)
                self._made.append(path)
            except Status as status:
                try:
                    session.attributes(sftp.STAT, path)
                except Status:
                    self._unmake(session)
                    raise status from None
        return True

    def _unmake(self, session: Session) -> None:
        """A folder that we made goes again when nothing was left in it."""
        with suppress(Status):
            while self._made:
                session.rmdir(self._made.pop())

    def _path(self, name: str) -> bytes:
        return self._directory.rstrip(b"/") + b"/" + check_name(name).encode()

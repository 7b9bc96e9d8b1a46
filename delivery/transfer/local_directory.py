"""A directory of this machine: the hosted share, or a mount that a client reads.

All work goes through one directory descriptor, so that a renamed or replaced parent cannot redirect a file, and no
symbolic link below the share is followed.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, Self

from delivery.errors import DestinationFailed, DestinationRefused, NameTaken
from delivery.schedule.names import check_name, finished_name
from delivery.transfer import Capabilities, Found, Handling
from delivery.transfer.probe import prove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO
    from pathlib import Path
    from types import TracebackType

CHUNK_BYTES = 1 << 20
PRIVATE = 0o600
_NOREPLACE = 1  # linux/fs.h

_FINAL = {
    errno.EACCES: "no permission",
    errno.EPERM: "not permitted",
    errno.ENOENT: "no such directory",
    errno.ENOTDIR: "not a directory",
    errno.ELOOP: "a symbolic link is in the way",
    errno.EROFS: "the file system is read-only",
    errno.ENAMETOOLONG: "the name is too long",
}


class LocalDirectory:
    """Destination in the file system; see `Destination` for what each method promises."""

    def __init__(
        self, directory: Path, *, below: Path | None = None, looks: bool = False, handling: Handling | None = None
    ) -> None:
        """directory: must exist, or, when it is to lie `below` a root, is created there.

        Files are private until they are whole and get their final names; then those may read who their mode lets.
        looks: before a rename that would replace, where none refuses to.
        """
        self.handling = handling or Handling()
        self._path = directory
        self._below = below
        self._looks = looks
        self._fd = -1
        self._made: list[Path] = []
        self._makes_root = False
        self._is_cut = False

    @classmethod
    def hosted(
        cls, share: Path, namespace: str, directory: str, looks: bool = False, handling: Handling | None = None
    ) -> Self:
        """`<share>/<namespace>/<directory>`; the share is made, too."""
        parts = [check_name(part) for part in (namespace, *directory.split("/")) if part]
        made = cls(share.joinpath(*parts), below=share, looks=looks, handling=handling)
        made._makes_root = True
        return made

    def __enter__(self) -> Self:
        with self._step("open"):
            if self._below:
                if self._makes_root and not self._below.exists():
                    self._below.mkdir(mode=0o700, parents=True, exist_ok=True)
                    self._below.chmod(self.handling.folder_mode)
                    self._made.append(self._below)
                self._fd, made = _make_below(self._below, self._path, self.handling.folder_mode)
                self._made += made
            else:
                self._fd = _open_directory(self._path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)
        self._fd = -1
        with suppress(OSError):  # a folder that we made goes again when nothing was left in it
            while self._made:
                self._made.pop().rmdir()

    def cut(self) -> None:
        """Copy no further."""
        self._is_cut = True

    def describe(self) -> str:
        """Name the path."""
        return str(self._path)

    def look(self, name: str) -> Found | None:
        """Lstat."""
        with self._step("look"):
            try:
                status = os.stat(check_name(name), dir_fd=self._fd, follow_symlinks=False)
            except FileNotFoundError:
                return None
        return Found("file" if stat.S_ISREG(status.st_mode) else "other", status.st_size)

    def look_at(self, *names: str) -> list[Found | None]:
        """The same, one after the other."""
        return [self.look(name) for name in names]

    def hash(self, name: str, size: int | None = None) -> str:  # noqa: ARG002 - a link shows when it is opened
        """Read the file back; refuse a link."""
        with self._step("hash"):
            fd = os.open(check_name(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fd)
            with os.fdopen(fd, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()

    def upload(self, spool: Path, temp: str, progress: Callable[[int], None] | None = None) -> None:
        """Create exclusively, copy, fsync, compare the size."""

        def tell(done: int) -> None:
            if self._is_cut:
                raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
            if progress:
                progress(done)

        with spool.open("rb") as source, self._step("upload"):
            fd = self._open_new(temp)
            try:
                with os.fdopen(fd, "wb", buffering=0) as file:
                    _copy(source, file, tell)
                    if finished_name(self.handling.temporary_name, temp) is None:  # it has its final name already
                        os.fchmod(fd, self.handling.file_mode)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temp, dir_fd=self._fd)
                raise

    def create(self, name: str) -> None:
        """Open exclusively, and sync the directory."""
        with self._step("open"):
            fd = self._open_new(name)
            try:
                os.fchmod(fd, self.handling.file_mode)
            finally:
                os.close(fd)
            os.fsync(self._fd)

    @property
    def server(self) -> str | None:
        """The share; of other directories each may be a mount of its own."""
        return f"{self._below}/" if self._makes_root else None

    @property
    def software(self) -> str:
        """Nothing that is worth knowing: the kernel says what it cannot do."""
        return ""

    def publish(self, temp: str, final: str) -> None:
        """Rename without replacing, in one step; or, where the integration says so, look, and rename."""
        if self._looks and self.look(final):
            raise NameTaken(f"{self.describe()}: {final} exists already")
        try:
            (self.replace if self._looks else self._rename)(temp, final)
        except DestinationFailed as error:
            if isinstance(error.__cause__, FileExistsError):
                raise NameTaken(f"{self.describe()}: {final} exists already") from None
            raise

    def replace(self, temp: str, final: str) -> None:
        """Rename."""
        with self._step("publish"):
            self._let_read(check_name(temp))
            os.replace(check_name(temp), check_name(final), src_dir_fd=self._fd, dst_dir_fd=self._fd)
            os.fsync(self._fd)

    def remove(self, name: str) -> None:
        """Unlink."""
        with self._step("remove"), suppress(FileNotFoundError):
            os.unlink(check_name(name), dir_fd=self._fd)
            os.fsync(self._fd)

    def list(self) -> list[str]:
        """List by the descriptor, so that a moved directory is still ours."""
        with self._step("list"):
            return sorted(os.listdir(self._fd))  # noqa: PTH208 - a Path has no descriptor

    def probe(self, token: str) -> Capabilities:
        """Try each step; the rest is known."""
        proof = prove(self, token, self._rename)
        if not proof.rename_refuses:  # on this machine a rename that replaces is always to be had
            proof = prove(self, token, self.replace)
        space = os.fstatvfs(self._fd)
        return Capabilities(
            **vars(proof),
            fsync=True,
            remote_hash=False,
            statvfs=True,
            request_bytes=CHUNK_BYTES,
            free_bytes=space.f_bavail * space.f_frsize,
        )

    def _open_new(self, name: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(check_name(name), flags, PRIVATE, dir_fd=self._fd)
        except FileExistsError:
            raise NameTaken(f"{self.describe()}: {name} exists already") from None

    def _rename(self, old: str, new: str) -> None:
        with self._step("publish"):
            self._let_read(check_name(old))
            _rename_exclusive(self._fd, check_name(old), check_name(new))
            os.fsync(self._fd)

    def _let_read(self, name: str) -> None:
        """A whole file, about to get its final name: with it, its readers may read it."""
        if self.handling.file_mode != PRIVATE:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fd)
            try:
                os.fchmod(fd, self.handling.file_mode)
            finally:
                os.close(fd)

    @contextmanager
    def _step(self, step: str) -> Iterator[None]:
        """Turn operating-system errors into ours; the only place that does."""
        try:
            yield
        except OSError as error:
            code = error.errno or 0
            if code in _FINAL and (code != errno.ENOENT or step == "open"):
                raise DestinationRefused(
                    f"{self.describe()}: {step}: {_FINAL[code]}", hint="Create the directory or grant access to it."
                ) from error
            raise DestinationFailed(f"{self.describe()}: {step}: {os.strerror(code)}", step=step) from error


def _copy(source: BinaryIO, file: FileIO, tell: Callable[[int], None]) -> None:
    os.fchmod(file.fileno(), PRIVATE)  # whatever the umask
    while chunk := source.read(CHUNK_BYTES):
        view = memoryview(chunk)
        while view:
            view = view[file.write(view) :]
        tell(file.tell())
    os.fsync(file.fileno())
    if os.fstat(file.fileno()).st_size != source.tell():
        raise OSError(errno.EIO, "wrong size after writing")


def _rename_exclusive(fd: int, old: str, new: str) -> None:
    """renameat2 with RENAME_NOREPLACE (Linux 3.15, glibc 2.28); OSError where it is not to be had."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if renameat2(fd, os.fsencode(old), fd, os.fsencode(new), _NOREPLACE) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _open_directory(path: str | Path, at: int | None = None, flags: int = 0) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | flags, dir_fd=at)


def _make_below(root: Path, path: Path, mode: int) -> tuple[int, list[Path]]:
    """Open a directory below the root, and say what was made of its missing levels. No link is followed."""
    made = []
    fd, below_root = _open_directory(root), root
    for part in path.relative_to(root).parts:
        below_root /= part
        with suppress(FileExistsError):
            os.mkdir(part, mode, dir_fd=fd)
            os.chmod(part, mode, dir_fd=fd)  # whatever the umask
            made.append(below_root)
        try:
            below = _open_directory(part, fd, os.O_NOFOLLOW)
        finally:
            os.close(fd)
        fd = below
    return fd, made

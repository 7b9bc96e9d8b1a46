"""Files on this machine's disk: private, new or in place of another as a whole; and where a delivery's files lie."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from delivery.errors import ConfigError, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from delivery.config.project import Project


@contextmanager
def exclusive(path: Path) -> Iterator[IO[bytes]]:
    """A new file of mode 0600, synced when the block ends and removed when it fails. Raises WriteFailed."""
    with writing(path):
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            with open(descriptor, "wb") as disk:  # noqa: PTH123
                yield disk
                disk.flush()
                os.fsync(disk.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Says what the disk did not take as WriteFailed."""
    try:
        yield
    except OSError as error:
        raise WriteFailed(
            f"{path} could not be written: {error.strerror or type(error).__name__}.",
            hint="Free space or permission there, then run again.",
        ) from None


@contextmanager
def locked(folder: Path, *, wait: bool = True, follow: bool = True) -> Iterator[int]:
    """A folder's own lock, which ends with whoever holds it. Gives its descriptor.

    follow: whether it may be a link. Raises OSError, BlockingIOError where another has it and nobody is to wait.
    """
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | (0 if follow else os.O_NOFOLLOW))
    try:
        fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield held
    finally:
        os.close(held)


def replace_file(path: Path, content: bytes) -> None:
    """A private file in place of what has the name: whole or not at all. Raises ConfigError, WriteFailed."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder.", hint="Name a file.")
    if not path.parent.is_dir():
        raise ConfigError(f"There is no folder {path.parent}.", hint="Make it, or name another file.")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    with exclusive(unfinished) as disk:
        disk.write(content)
    try:
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise WriteFailed(f"{path} could not be written: {error.strerror}.", hint="Name another file.") from None


def hash_file(path: Path) -> str:
    """SHA-256 of a file, streamed. Raises WriteFailed when it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise WriteFailed(f"{path} cannot be read: {error.strerror}.", hint="Restore it, or release it.") from None


def folder_of(project: Project, delivery: str) -> Path:
    """A delivery's folder in the spool."""
    return project.spool / delivery[:32]


def clear(folder: Path) -> None:
    """Removes a delivery's spool folder."""
    shutil.rmtree(folder, ignore_errors=True)

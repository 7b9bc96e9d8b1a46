"""Where files go: one small interface over a client's SFTP server, a bucket, the hosted share and a local directory.

A destination is one directory. It is used by one thread, inside `with`, on one connection; it keeps no state that
matters between two uses, because the next run learns what happened by looking.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, Self

from delivery.config.buckets import BucketDestination
from delivery.config.values import TEMPORARY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from delivery.config.integrations import AnyDestination, Integration
    from delivery.config.project import Project
    from delivery.sftp.kept import Kept

Method = Literal["rename", "look-and-rename", "exclusive"]  # decision 0010


@dataclass(frozen=True)
class Found:
    """What lies under a name: a regular file, or something else that is never touched.

    size: in bytes; None where the server does not say.
    """

    kind: Literal["file", "other"]
    size: int | None


@dataclass(frozen=True)
class Capabilities:
    """What a probe file proved in the directory, and what the server says it offers."""

    rename: bool  # a file was renamed
    rename_refuses: bool  # a rename onto a name that is taken was refused, and changed neither file
    replace: bool  # a rename that replaces its target
    fsync: bool
    remote_hash: bool  # SHA-256 computed by the server: nothing is read back
    statvfs: bool
    request_bytes: int  # largest write in one request
    free_bytes: int | None  # None when the server does not tell
    left: tuple[str, ...] = ()  # names of probe files that could not be removed

    def allows(self, method: Method) -> bool:
        """Whether enough was proven for files to get their final names in this way."""
        return {"rename": self.rename_refuses, "look-and-rename": self.rename, "exclusive": True}[method]


@dataclass(frozen=True)
class Handling:
    """How files are handled in a directory: their mode, their names while they are uploaded, and what proves them."""

    file_mode: int = 0o600
    temporary_name: str = TEMPORARY_NAME
    verify: Literal["hash", "size", "none"] = "hash"

    @classmethod
    def of(cls, target: AnyDestination) -> Self:
        """As an integration says."""
        return cls(target.file_mode, target.temporary_name, target.verify)

    def fits(self, found: Found | None, size: int) -> bool:
        """Whether that may be a file of so many bytes: where no size is told, its hash will show."""
        if found is None or found.kind == "other":
            return False
        return found.size == size or (found.size is None and self.verify == "hash")

    @property
    def folder_mode(self) -> int:
        """Of folders that are made: whoever may read the files gets through, and a group is handed on."""
        group = stat.S_ISGID if self.file_mode & stat.S_IRGRP else 0
        return group | self.file_mode | 0o100 | (self.file_mode & 0o044) >> 2


class Destination(Protocol):
    """A directory that takes whole files. Names are plain file names in it; every method may raise DeliveryError."""

    handling: Handling

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def cut(self) -> None:
        """End what is under way, said by another thread: its step raises, and so does every later one."""

    def describe(self) -> str:
        """Name the directory as a person would write it, without secrets."""

    def look(self, name: str) -> Found | None:
        """Tell what lies under the name, links not followed; None when nothing does."""

    def look_at(self, *names: str) -> list[Found | None]:
        """The same of several names, in the time of one."""

    def hash(self, name: str, size: int | None = None) -> str:
        """Return the SHA-256 (hex) of the bytes that lie there now, not of those that were sent.

        size: in bytes, of what is known to be a file; without it, that is looked at first.
        """

    def upload(self, spool: Path, temp: str, progress: Callable[[int], None] | None = None) -> None:
        """Write the spool file to a new file; every byte is acknowledged, synced and counted on return.

        progress is called with the number of bytes acknowledged so far. NameTaken when the name exists. A file that
        could not be finished is removed again if the connection still stands.
        """

    def create(self, name: str) -> None:
        """Create an empty file, likewise. NameTaken when the name exists; after any other error: look."""

    @property
    def server(self) -> str | None:
        """What all directories are called at first in which a rename does the same; None where each may differ."""

    @property
    def software(self) -> str:
        """What the other side says it is: a probe holds as long as this stays the same."""

    def publish(self, temp: str, final: str) -> None:
        """Rename the file to its final name, as configured. NameTaken when that exists; after any other error: look."""

    def replace(self, temp: str, final: str) -> None:
        """Rename over what lies there, in one step: readers see the old file or the new one."""

    def remove(self, name: str) -> None:
        """Remove one of our own files; not an error when it is gone already."""

    def list(self) -> list[str]:
        """Return the names in the directory, sorted."""

    def probe(self, token: str) -> Capabilities:
        """Write, rename and remove probe files. token: in their names, so that a later probe finds leftovers."""


def open_destination(
    name: str, integration: Integration, project: Project, *, there: str | None = None, kept: Kept | None = None
) -> Destination:
    """Choose the destination of an integration, not yet connected.

    there: the part of the directory that must be there, where what is below it may be made; kept: connections of
    other deliveries of this run.
    """
    target = integration.destination
    if target.type == "sftp":
        from delivery.transfer.sftp_directory import SftpDirectory  # here, because paramiko is slow to import

        opened = SftpDirectory.of(name, target, integration.directory, kept)
        return opened if there is None else opened.made_below(there)
    if isinstance(target, BucketDestination):
        from delivery.transfer.bucket_directory import BucketDirectory  # here, because only buckets need its package

        return BucketDirectory(target, integration.directory)
    from delivery.transfer.local_directory import LocalDirectory

    looks, handling = target.publish == "look-and-rename", Handling.of(target)
    if target.type == "hosted":
        return LocalDirectory.hosted(project.share, integration.namespace, integration.directory, looks, handling)
    below = None if there is None else project.root / there
    return LocalDirectory(project.root / integration.directory, below=below, looks=looks, handling=handling)

"""Plain rows of a file that will be encrypted: on the disk for a while, in a file without a name.

Nobody can open it by a path, and it is gone with the process, however that ends (docs/decisions/0031-no-name.md).
"""

from __future__ import annotations

import io
import os
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from delivery.files.disk import writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Nameless:
    """One private file in the folder. Files are written one after the other, and read as often as one likes.

    One for all of a delivery's parts: a file for each would meet the limit of open files.
    """

    def __init__(self, folder: Path) -> None:
        with writing(folder):
            # By O_TMPFILE; where a file system has none, its name goes while it is still empty.
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115

    def close(self) -> None:
        """Frees the disk."""
        self._file.close()

    @property
    def size(self) -> int:
        """Where the next file will begin."""
        return os.fstat(self._file.fileno()).st_size

    @contextmanager
    def next(self, path: Path) -> Iterator[IO[bytes]]:
        """Takes the bytes of the next file. path: what it is called in WriteFailed."""
        with writing(path), open(os.dup(self._file.fileno()), "wb") as disk:  # noqa: PTH123
            yield disk

    def cut(self, size: int) -> None:
        """Forgets what was written beyond that size."""
        self._file.truncate(size)
        self._file.seek(size)

    def read(self, start: int, size: int) -> IO[bytes]:
        """The bytes of one file."""
        return io.BufferedReader(_Piece(self._file.fileno(), start, size), 1 << 20)


class _Piece(io.RawIOBase):
    def __init__(self, descriptor: int, start: int, size: int) -> None:
        self._descriptor, self._at, self._end = descriptor, start, start + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = os.pread(self._descriptor, min(len(buffer), self._end - self._at), self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

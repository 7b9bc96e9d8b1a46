"""Files that only this process can read: what must lie on the disk for a while before it may lie there.

The key is random, stays in memory and is gone with the process; what is left on a disk after a crash is noise. Nothing
here proves that the bytes are unchanged: whoever reads them to the end compares their hash.
"""

from __future__ import annotations

import io
import os
from typing import IO, TYPE_CHECKING, Any, cast

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

if TYPE_CHECKING:
    from pathlib import Path


class Seal:
    """The key of one file. A second file needs a second seal."""

    def __init__(self) -> None:
        self._cipher = Cipher(AES(os.urandom(32)), CTR(os.urandom(16)))

    def writer(self, disk: IO[bytes]) -> IO[bytes]:
        """What is written here lies on the disk sealed."""
        return cast("IO[bytes]", _Sealing(disk, self._cipher.encryptor()))

    def reader(self, path: Path) -> IO[bytes]:
        """The bytes as they were before."""
        return io.BufferedReader(_Unsealing(path.open("rb"), self._cipher.decryptor()), 1 << 20)


class _Sealing(io.RawIOBase):
    def __init__(self, disk: IO[bytes], context: CipherContext) -> None:
        self._disk, self._context = disk, context

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._disk.write(self._context.update(data))
        return len(data)


class _Unsealing(io.RawIOBase):
    def __init__(self, disk: IO[bytes], context: CipherContext) -> None:
        self._disk, self._context = disk, context

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._context.update(self._disk.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._disk.close()
        super().close()

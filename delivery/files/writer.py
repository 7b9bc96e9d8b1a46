"""Arrow batches to the bytes of a file: encoding, compression, hash and count.

The same rows give the same bytes: no time and no file name goes into a compressed header, and compressors are fed
blocks of one size, however the engine cuts its batches.
"""

from __future__ import annotations

import hashlib
import io
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

import zstandard
from isal import igzip

from delivery.files.disk import exclusive
from delivery.files.proof import Dialect
from delivery.files.proving import Proving
from delivery.files.stages import Behind
from delivery.files.text import LINE_ENDS, check_types, encoded, to_text, unwritable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from delivery.config.integrations import Integration
    from delivery.files.nameless import Nameless

    Renames = Mapping[str, Mapping[str, str]]

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Written:
    """What a file holds. bytes and sha256 are of the file as it is, plain_sha256 of what it is before compression."""

    rows: int
    bytes: int
    sha256: str
    plain_sha256: str


class _Hashing(io.RawIOBase):
    """Passes bytes on, hashed and counted."""

    def __init__(self, target: IO[bytes] | _Blocks) -> None:
        self.digest = hashlib.sha256()
        self.size = 0
        self._target = target

    def write(self, data: Any) -> int:
        self.digest.update(data)
        size = len(data)
        self.size += size
        self._target.write(data)
        return size


class _Blocks(io.RawIOBase):
    """Passes bytes on in blocks of one size: a compressor's bytes may depend on how it is fed."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting += data
        whole = len(self._waiting) - len(self._waiting) % BLOCK_BYTES
        for start in range(0, whole, BLOCK_BYTES):
            self._target.write(self._waiting[start : start + BLOCK_BYTES])
        del self._waiting[:whole]
        return len(data)

    def finish(self) -> None:
        """Passes on what is left. Not `close`: a file that failed must not be finished."""
        self._target.write(self._waiting)
        self._waiting.clear()


class NewFile:
    """A file that is being written: rows in, bytes out, each in a thread of its own."""

    def __init__(
        self, disk: IO[bytes], integration: Integration, renames: Renames, proof: Proving, stack: ExitStack
    ) -> None:
        self.rows = 0
        self._integration, self._renames, self._proof = integration, renames, proof
        self._final = _Hashing(disk)
        packer = _compressor(self._final, integration.compression, stack)
        self._behind = stack.enter_context(Behind())  # it ends first, whatever happens
        self._blocks = _Blocks(packer) if packer else None
        self._plain = _Hashing(self._blocks) if self._blocks else self._final
        self._begun = False
        self.size = 0
        self._put(_mark(integration))

    def text(self, batch: pa.RecordBatch) -> bytes:
        """What the batch would add, the header included if the file has none yet."""
        if not self._begun:
            check_types(batch.schema)
        text = to_text(
            batch, self._integration, self._renames, header=not self._begun and self._integration.include_header_row
        )
        if self._integration.character_encoding == "UTF-8":
            return text
        try:
            return encoded(text.decode("utf-8"), self._integration)
        except UnicodeEncodeError:
            raise unwritable(batch, self._integration, self._renames, self.rows) from None

    def add(self, batch: pa.RecordBatch, text: bytes | None = None) -> None:
        """Adds the rows. text: what `text` gave for them, if it was asked before."""
        self._put(self.text(batch) if text is None else text)
        self._begun = True
        self.rows += batch.num_rows

    def _put(self, text: bytes) -> None:
        self.size += len(text)  # of text so far, with header and byte-order mark, before compression
        self._behind.call(self._write, text)

    def _write(self, text: bytes) -> None:
        self._plain.write(text)
        self._proof.grown()

    def finish(self) -> None:
        """Writes the trailer, and passes on what waits for a whole block."""
        if trailer := self._integration.trailer:
            self._put(
                encoded(trailer.format(rows=self.rows) + LINE_ENDS[self._integration.row_delimiter], self._integration)
            )
        self._behind.finish()
        if self._blocks:
            self._blocks.finish()

    def written(self) -> Written:
        """What the file holds, once it is closed."""
        return Written(self.rows, self._final.size, self._final.digest.hexdigest(), self._plain.digest.hexdigest())


@contextmanager
def new_file(
    path: Path, integration: Integration, renames: Renames, proof: Proving, plain: Nameless | None = None
) -> Iterator[NewFile]:
    """A new file of mode 0600, proven and synced to disk when the block ends, removed when it fails.

    renames: per column, values that are spelled differently; proof: expects what is added; plain: takes the bytes in
    place of the path. Raises WriteFailed when the disk does not take it, or it does not read back the same.
    """
    how = Dialect(path.name, integration, renames)
    with plain.next(path) if plain else exclusive(path) as disk:
        with proof.file(disk, how), ExitStack() as stack:
            file = NewFile(disk, integration, renames, proof, stack)
            yield file
            file.finish()
        if proof.seen != file.rows:
            raise how.fail(f"has {proof.seen} rows, {file.rows} were written.")


def write_file(
    path: Path, batches: Iterable[pa.RecordBatch], integration: Integration, renames: Renames | None = None
) -> Written:
    """Writes the batches as the integration asks, to one new file.

    The first batch may be empty and gives the columns. Raises WriteFailed when the disk does not take it or it does not
    read back the same, GateRefused when a value has no text form; then no file remains.
    """
    with Proving() as proof, new_file(path, integration, renames or {}, proof) as file:
        for batch in batches:
            proof.expect(batch)
            file.add(batch)
    return file.written()


def _compressor(target: _Hashing, kind: str, stack: ExitStack) -> IO[bytes] | None:
    if kind == "gzip":
        gzip: Any = igzip.IGzipFile  # untyped
        return cast(
            "IO[bytes]", stack.enter_context(gzip(filename="", mode="wb", compresslevel=1, fileobj=target, mtime=0))
        )
    if kind == "zstd":
        zstd = zstandard.ZstdCompressor(level=3, write_checksum=True)
        writer = zstd.stream_writer(cast("IO[bytes]", target), closefd=False)
        return cast("IO[bytes]", stack.enter_context(writer))
    return None


def _mark(integration: Integration) -> bytes:
    if integration.character_encoding == "UTF-16":
        return b"\xff\xfe"
    return b"\xef\xbb\xbf" if integration.bom else b""

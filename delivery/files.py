"""Arrow batches to the bytes of a file: dialect, encoding, compression, hash and count. One formatter for all engines.

Polars renders the text (RFC 4180 quoting; NULL empty or a token, the empty string as two quotes); ISA-L and Zstandard
compress it.
The same rows give the same bytes, so no time and no file name goes into a compressed header.
"""

from __future__ import annotations

import hashlib
import io
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import zstandard
from isal import igzip

from delivery.errors import WriteFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from delivery.integrations import Integration

# Fraction of a second in groups of three digits, and only where the data has one.
TIMESTAMP = "%Y-%m-%dT%H:%M:%S%.fZ"
FORMULA = r"^[=+\-@\t\r]"
EXTENSIONS = {"none": "", "gzip": ".gz", "zstd": ".zst"}


@dataclass(frozen=True)
class Written:
    """What a file holds. bytes and sha256 are of the file as it is, plain_sha256 of what it is before compression."""

    rows: int
    bytes: int
    sha256: str
    plain_sha256: str


class _Hashing(io.RawIOBase):
    """Passes bytes on, hashed and counted."""

    def __init__(self, target: IO[bytes] | None) -> None:
        self.digest = hashlib.sha256()
        self.size = 0
        self._target = target

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.digest.update(data)
        size = len(data)
        self.size += size
        if self._target:
            self._target.write(data)
        return size


def write_file(
    path: Path,
    batches: Iterable[pa.RecordBatch],
    integration: Integration,
    renames: Mapping[str, Mapping[str, str]] | None = None,
) -> Written:
    """Writes the batches as the integration asks, to a new file of mode 0600, synced to disk.

    The first batch may be empty and gives the columns. renames: per column, values that are spelled differently.
    Raises WriteFailed when the disk does not take it.
    """
    rows = 0
    with exclusive(path) as disk:
        final = _Hashing(disk)
        with ExitStack() as stack:
            compressed = _compressor(final, integration.compression, stack)
            plain = _Hashing(compressed)
            plain.write(_mark(integration))
            for number, batch in enumerate(batches):
                header = number == 0 and integration.include_header_row
                text = _render(batch, integration, renames or {}, header=header)
                plain.write(
                    text.decode("utf-8").encode("utf-16-le") if integration.character_encoding == "UTF-16" else text
                )
                rows += batch.num_rows
    return Written(rows, final.size, final.digest.hexdigest(), plain.digest.hexdigest())


@contextmanager
def exclusive(path: Path) -> Iterator[IO[bytes]]:
    """A new file of mode 0600 that is synced when the block ends. Raises WriteFailed."""
    try:
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as disk:  # noqa: PTH123
            yield disk
            disk.flush()
            os.fsync(disk.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise WriteFailed(
            f"{path} could not be written: {error.strerror}.", hint="Free space or permission there, then run again."
        ) from None


def _compressor(target: _Hashing, kind: str, stack: ExitStack) -> IO[bytes]:
    if kind == "gzip":
        gzip: Any = igzip.IGzipFile  # untyped
        return cast(
            "IO[bytes]", stack.enter_context(gzip(filename="", mode="wb", compresslevel=1, fileobj=target, mtime=0))
        )
    if kind == "zstd":
        zstd = zstandard.ZstdCompressor(level=3, write_checksum=True)
        writer = zstd.stream_writer(cast("IO[bytes]", target), closefd=False)
        return cast("IO[bytes]", stack.enter_context(writer))
    return cast("IO[bytes]", target)


def _mark(integration: Integration) -> bytes:
    if integration.character_encoding == "UTF-16":
        return b"\xff\xfe"
    return b"\xef\xbb\xbf" if integration.bom else b""


def _render(
    batch: pa.RecordBatch, integration: Integration, renames: Mapping[str, Mapping[str, str]], *, header: bool
) -> bytes:
    frame = cast("pl.DataFrame", pl.from_arrow(batch, rechunk=False))
    for column, spelling in renames.items():
        if column in frame.columns:
            frame = frame.with_columns(pl.col(column).replace(dict(spelling)))
    if integration.escape_formulas:
        text = pl.col(pl.String)
        frame = frame.with_columns(pl.when(text.str.contains(FORMULA)).then("'" + text).otherwise(text).name.keep())
    buffer = io.BytesIO()
    frame.write_csv(
        buffer,
        include_header=header,
        separator=integration.column_delimiter,
        line_terminator="\r\n" if integration.row_delimiter == "windows" else "\n",
        null_value=integration.nulls,
        quote_style="always" if integration.quoting == "all" else "necessary",
        datetime_format=TIMESTAMP,
    )
    return buffer.getvalue()


def count_rows(path: Path, columns: int, integration: Integration) -> int:
    """Reads a written file again with a reader that did not write it (Arrow's), and counts its rows.

    Raises WriteFailed when a row does not have that many columns.
    """
    codec = {"none": None, "gzip": "gzip", "zstd": "zstd"}[integration.compression]
    names = [f"c{n}" for n in range(columns)]
    encoding = "utf-16" if integration.character_encoding == "UTF-16" else "utf8"
    rows = 0
    try:
        with pa.input_stream(str(path), compression=codec) as stream:
            reader = pa_csv.open_csv(
                stream,
                read_options=pa_csv.ReadOptions(
                    column_names=names, encoding=encoding, use_threads=False, block_size=1 << 20
                ),
                parse_options=pa_csv.ParseOptions(
                    delimiter=integration.column_delimiter, newlines_in_values=True, ignore_empty_lines=False
                ),
                convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
            )
            for batch in reader:
                rows += batch.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        if "Empty CSV file" in str(error):
            return 0
        raise WriteFailed(
            f"{path.name} does not read back: {str(error).split(':', 1)[0]}.",
            hint="Nothing was sent. Check the local disk, then run again.",
        ) from None
    return rows - int(integration.include_header_row)


def hash_file(path: Path) -> str:
    """SHA-256 of a file, streamed. Raises WriteFailed when it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise WriteFailed(f"{path} cannot be read: {error.strerror}.", hint="Restore it, or release it.") from None

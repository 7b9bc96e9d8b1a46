"""Reading a written file again, with a reader that did not write it, and holding it against the table.

Arrow's reader parses each column into the type that it has in the table, by rules of its own: nothing here calls the
renderer. Cells are compared one by one in the order of the rows, which finds what a checksum of each column alone
would not: two rows that changed places, or two values of one column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.types as pt
from isal import igzip, isal_zlib

from delivery.config.formats import CODECS
from delivery.errors import WriteFailed
from delivery.files import times
from delivery.files.body import Body
from delivery.files.text import LINE_ENDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import IO, Any

    from delivery.config.integrations import Integration

BLOCK_BYTES = (1 << 18, 1 << 20, 1 << 25)  # the next when a single value is larger than the one before
DAMAGED = cast("type[Exception]", isal_zlib.error)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Dialect:
    """How a file must be read. renames: per column, values that are spelled differently in the file."""

    name: str
    integration: Integration
    renames: Mapping[str, Mapping[str, str]]

    def fail(self, what: str, hint: str = "Nothing was sent. This is a defect: report it.") -> WriteFailed:
        """The error that says what was seen; never a value."""
        return WriteFailed(f"{self.name} {what}", hint=hint)


def read_back(opened: Callable[[], IO[bytes]], schema: pa.Schema, how: Dialect) -> Iterator[pa.RecordBatch]:
    """The rows of a plain or compressed file, parsed into the types of the schema; timestamps are in UTC.

    opened: gives the file from its beginning, as often as it is called. Raises WriteFailed when it does not read back:
    ragged rows, another header, texts that are not of the type.
    """
    done = 0
    for block_bytes in BLOCK_BYTES:
        try:
            known = done
            for batch in _read(opened(), schema, how, block_bytes):
                fresh = batch.slice(min(known, batch.num_rows))
                known -= batch.num_rows - fresh.num_rows
                done += fresh.num_rows
                yield fresh
        except (pa.ArrowInvalid, OSError, EOFError, DAMAGED) as error:
            if "straddles two block boundaries" in str(error) and block_bytes != BLOCK_BYTES[-1]:
                continue
            raise how.fail(
                f"does not read back: {_without_values(error)}.", "Nothing was sent. Check the local disk, run again."
            ) from None
        return


def compare(seen: Iterable[pa.RecordBatch], wanted: Rows, namespace: str, how: Dialect) -> int:
    """Compares what was read back with as many rows of the table, cell by cell; returns how many they are.

    Raises WriteFailed at the first difference, naming its row and column, and for another namespace's value.
    """
    rows = 0
    for batch in seen:
        _check_namespace(batch, namespace, rows, how)
        start = 0
        while start < batch.num_rows:
            other = wanted.take(batch.num_rows - start)
            if other is None:
                raise how.fail(f"has more rows than the {rows + start} of the table.")
            _check_same(batch.slice(start, other.num_rows), other, rows + start, how)
            start += other.num_rows
        rows += batch.num_rows
    return rows


def parsed_schema(schema: pa.Schema) -> pa.Schema:
    """The types that a file's columns are parsed into, for a table's."""
    return pa.schema([pa.field(field.name, _parsed_type(field.type)) for field in schema])


class Rows:
    """Batches, taken in pieces of any size."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = iter(batches)
        self._waiting: pa.RecordBatch | None = None

    def take(self, most: int) -> pa.RecordBatch | None:
        """At least one row and at most so many; None when there are no more."""
        while self._waiting is None or not self._waiting.num_rows:
            self._waiting = next(self._batches, None)
            if self._waiting is None:
                return None
        taken, self._waiting = self._waiting.slice(0, most), self._waiting.slice(most)
        return taken


def _read(stream: IO[bytes], schema: pa.Schema, how: Dialect, block_bytes: int) -> Iterator[pa.RecordBatch]:
    keys, rows = how.integration, 0
    gzip: Any = igzip.IGzipFile  # untyped
    unpacked = gzip(fileobj=stream) if keys.compression == "gzip" else stream
    charset = "utf-16" if keys.character_encoding == "UTF-16" else CODECS[keys.character_encoding]
    with pa.input_stream(unpacked, compression="zstd" if keys.compression == "zstd" else None) as plain:
        text = plain if charset == "utf-8" else pa.transcoding_input_stream(plain, charset, "utf8")
        body = Body(text) if keys.trailer else None
        try:
            for batch in _batches(_Unsplit(body or text), parsed_schema(schema), how, block_bytes):
                rows += batch.num_rows
                yield batch
        except pa.ArrowInvalid as error:
            if "Empty CSV file" not in str(error):
                raise
    # What Arrow's reader takes off a file, it does not see where the trailer is all that there is.
    mark = "\ufeff" if keys.bom and not (rows or keys.include_header_row) else ""
    trailer = mark + (keys.trailer or "").format(rows=rows) + LINE_ENDS[keys.row_delimiter]
    if body and body.trailer.decode() != trailer:
        raise how.fail(f"has another trailer than one of {rows} rows.")


def _batches(text: _Unsplit, parsed: pa.Schema, how: Dialect, block_bytes: int) -> Iterator[pa.RecordBatch]:
    keys = how.integration
    labels = [keys.label(name) for name in parsed.names]
    kinds = (times.type_in_file(field.type, keys) for field in parsed)
    reader = pa_csv.open_csv(
        pa.PythonFile(text, mode="r"),
        read_options=pa_csv.ReadOptions(
            column_names=None if keys.include_header_row else labels,
            use_threads=False,
            block_size=block_bytes,
        ),
        parse_options=pa_csv.ParseOptions(
            delimiter=keys.column_delimiter, newlines_in_values=True, ignore_empty_lines=False
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict(zip(labels, kinds, strict=True)),
            null_values=[keys.nulls],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["true"],
            false_values=["false"],
        ),
    )
    if reader.schema.names != labels:
        raise how.fail("has another header than the columns of its layout.")
    for batch in reader:
        columns = [times.parsed(column, field.type, keys) for column, field in zip(batch, parsed, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, schema=parsed)


class _Unsplit:
    """A stream in pieces that never end between CR and LF: of those, Arrow's reader drops the LF, in quotes too."""

    closed = False

    def __init__(self, stream: pa.NativeFile | Body) -> None:
        self._stream = stream
        self._kept = b""

    def read(self, most: int) -> bytes:
        """At most so many bytes; none at the end."""
        data: bytes = self._kept + self._stream.read(most - len(self._kept))
        self._kept = b"\r" if data.endswith(b"\r") and data != b"\r" else b""
        return data[:-1] if self._kept else data

    def close(self) -> None:
        """Left to whoever opened the stream."""


def _parsed_type(kind: pa.DataType) -> pa.DataType:
    if pt.is_dictionary(kind):
        return _parsed_type(kind.value_type)
    if pt.is_large_string(kind) or pt.is_string_view(kind):
        return pa.string()
    if pt.is_float16(kind):
        return pa.float32()
    if pt.is_date64(kind):  # milliseconds, and written as such
        return pa.timestamp("ms", "UTC")
    return pa.timestamp(kind.unit, "UTC") if pt.is_timestamp(kind) else kind


def _check_namespace(batch: pa.RecordBatch, namespace: str, before: int, how: Dialect) -> None:
    if "namespace" not in batch.schema.names or not batch.num_rows:
        return
    column = batch["namespace"]
    if column.null_count or pc.min_max(column).as_py() != {"min": namespace, "max": namespace}:
        raise how.fail(f"holds another namespace's row after row {before}.")


def _check_same(seen: pa.RecordBatch, wanted: pa.RecordBatch, before: int, how: Dialect) -> None:
    for name, column in zip(seen.schema.names, seen.columns, strict=True):
        expected = _as_in_file(name, wanted[name], column.type, how)
        if _same(column, expected):
            continue
        row = next(n for n in range(len(column)) if not _same(column.slice(n, 1), expected.slice(n, 1)))
        raise how.fail(f"differs from the table in row {before + row + 1}, column {name}.")


def _as_in_file(name: str, column: pa.Array, kind: pa.DataType, how: Dialect) -> pa.Array:
    """A table's column with the changes that the integration and the campaign ask for."""
    column = column.cast(kind)
    if spelling := how.renames.get(name):
        found = pc.index_in(column, pa.array(spelling.keys(), kind))
        column = pc.coalesce(pc.take(pa.array(spelling.values(), kind), found), column)
    if how.integration.escape_formulas and pt.is_string(kind):
        first = pc.utf8_slice_codeunits(column, 0, 1)
        escaped = pc.binary_join_element_wise("'", column, "")
        column = pc.if_else(pc.is_in(first, pa.array(FORMULA_STARTS)), escaped, column)
    return column


def _same(seen: pa.Array, wanted: pa.Array) -> bool:
    """Whether two columns are alike; NaN is like NaN."""
    if seen.equals(wanted):
        return True
    if not pt.is_floating(seen.type) or not seen.is_valid().equals(wanted.is_valid()):
        return False
    alike = pc.or_(pc.equal(seen, wanted), pc.and_(pc.is_nan(seen), pc.is_nan(wanted)))
    return bool(pc.all(alike, min_count=0).as_py())


def _without_values(error: Exception) -> str:
    """What Arrow says, up to where it quotes the data."""
    return str(error).split(":", 1)[0].split("'", 1)[0].strip()

"""Arrow batches to text: one formatter for all engines, so that the same rows give the same bytes everywhere.

RFC 4180 quoting by Polars. NULL is never quoted, and every value that could be taken for it is, so that a reader that
looks at quotes can tell NULL from the empty string and from a text that happens to equal the token.
"""

from __future__ import annotations

import io
from datetime import date, datetime
from typing import TYPE_CHECKING, cast

import polars as pl
import pyarrow.csv as pa_csv
import pyarrow.types as pt
from polars import selectors

from delivery.config.formats import CODECS
from delivery.errors import ConfigError, GateRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from delivery.config.integrations import Integration

# Fraction of a second in groups of three digits, and only where the data has one.
TIMESTAMP = "%Y-%m-%dT%H:%M:%S%.fZ"
TIME = "%H:%M:%S%.f"
FORMULA = r"^[=+\-@\t\r]"
LINE_ENDS = {"windows": "\r\n", "linux": "\n"}
# A line that holds nothing else ends the input of PostgreSQL's COPY, without an error.
END_OF_COPY = "\\."


def check_types(schema: pa.Schema) -> None:
    """Raises GateRefused for columns that have no one text form: lists, structs, maps, blobs, intervals."""
    kinds = (
        pt.is_string,
        pt.is_large_string,
        pt.is_string_view,
        pt.is_integer,
        pt.is_floating,
        pt.is_decimal128,
        pt.is_boolean,
        pt.is_date,
        lambda kind: pt.is_timestamp(kind) and kind.unit != "s",  # Polars' milliseconds would wrap round at infinity
        pt.is_time,
        pt.is_null,
    )
    for field in schema:
        kind = field.type.value_type if pt.is_dictionary(field.type) else field.type
        if not any(is_kind(kind) for is_kind in kinds):
            raise GateRefused(
                f"Column {field.name} is of type {field.type}, which a delimited file cannot hold.",
                hint="Cast it in the model, a JSON value to text.",
            )


def to_text(
    batch: pa.RecordBatch, integration: Integration, renames: Mapping[str, Mapping[str, str]], *, header: bool
) -> bytes:
    """The batch as UTF-8 text in the integration's dialect. renames: per column, values that are spelled differently.

    Raises GateRefused or ConfigError for values that readers would not get back as they are.
    """
    frame = _texts(cast("pl.DataFrame", pl.from_arrow(batch, rechunk=False)))
    _check_times(frame)
    frame = _in_own_format(frame, integration)
    for column, spelling in renames.items():
        if column in frame.columns:
            frame = frame.with_columns(pl.col(column).replace(dict(spelling)))
    _check_nulls(frame, integration)
    if integration.escape_formulas:
        text = pl.col(pl.String)
        frame = frame.with_columns(pl.when(text.str.contains(FORMULA)).then("'" + text).otherwise(text).name.keep())
    named = frame
    frame = frame.rename({name: integration.label(name) for name in frame.columns})
    quotes_all = integration.quoting == "all"
    written = (_all_quoted if quotes_all else _minimal)(frame, integration, header=header)
    if b"\0" in written:
        _refuse_nul(named)
    # Single bytes are found in no time: without them, no value needs quotes that Polars would not give it.
    may_be_special = integration.nulls or b"\\" in written or b"\xef" in written
    if not quotes_all and may_be_special and _has_special(frame, integration):
        return _minimal(_quoted(frame, integration), integration, header=header, is_quoted=True)
    return written


def _minimal(frame: pl.DataFrame, integration: Integration, *, header: bool, is_quoted: bool = False) -> bytes:
    buffer = io.BytesIO()
    frame.write_csv(
        buffer,
        include_header=header,
        separator=integration.column_delimiter,
        line_terminator=LINE_ENDS[integration.row_delimiter],
        null_value=integration.nulls,
        quote_style="never" if is_quoted else "necessary",
        datetime_format=TIMESTAMP,
        time_format=TIME,
    )
    return buffer.getvalue()


def _all_quoted(frame: pl.DataFrame, integration: Integration, *, header: bool) -> bytes:
    """By Arrow, in half the time: what is in the quotes is Polars' text all the same."""
    texts = frame.select(_as_text(name, kind) for name, kind in frame.schema.items())
    buffer = io.BytesIO()
    how = pa_csv.WriteOptions(
        include_header=header,
        delimiter=integration.column_delimiter,
        eol=LINE_ENDS[integration.row_delimiter],
        null_string=integration.nulls,
        quoting_style="all_valid",
        quoting_header="all_valid",
    )
    pa_csv.write_csv(texts.to_arrow(compat_level=pl.CompatLevel.oldest()), buffer, how)
    return buffer.getvalue()


def _texts(frame: pl.DataFrame) -> pl.DataFrame:
    """Categories as the texts that they stand for, times in UTC without a zone."""
    categories = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Categorical | pl.Enum)]
    zoned = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime) and kind.time_zone]
    return frame.with_columns(
        pl.col(categories).cast(pl.String), pl.col(zoned).dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    )


def _check_times(frame: pl.DataFrame) -> None:
    """Refuses years that no reader knows, among them `infinity`. Nanoseconds only reach from 1677 to 2262."""
    checks = [~selectors.date().is_between(date.min, date.max)]
    for unit in ("ms", "us"):  # compared in the unit of the column: another unit may overflow
        first, last = (pl.lit(bound).cast(pl.Datetime(unit)) for bound in (datetime.min, datetime.max))
        checks.append(~selectors.datetime(unit).is_between(first, last))
    outside = frame.select(check.any() for check in checks)
    for name in outside.columns:
        if outside[name][0]:
            raise GateRefused(
                f"Column {name} holds a time outside the years 1 to 9999.", hint="Replace it by NULL in the model."
            )


def _in_own_format(frame: pl.DataFrame, integration: Integration) -> pl.DataFrame:
    """Times as texts, where the client has a format or a zone of its own."""
    if pattern := integration.own_timestamp_format:
        stamps = selectors.datetime()
        local = frame.select(stamps.dt.replace_time_zone("UTC").dt.convert_time_zone(integration.time_zone))
        offset = stamps.dt.base_utc_offset() + stamps.dt.dst_offset()
        odd = local.select(~stamps.dt.year().is_between(1, 9999) | (offset.dt.total_seconds() % 60 != 0))
        for name in odd.columns:
            if odd[name].any():
                raise GateRefused(
                    f"Column {name} holds a time so early or late that {integration.time_zone} cannot tell it.",
                    hint="Replace it by NULL in the model, or take time_zone out of the integration.",
                )
        pattern = pattern.replace("%S", "%S%.f").replace("%z", "%:z")
        frame = frame.with_columns(local.select(stamps.dt.to_string(pattern)))
    if integration.date_format:
        frame = frame.with_columns(selectors.date().dt.to_string(integration.date_format))
    return frame


def encoded(text: str, integration: Integration) -> bytes:
    """The text in the integration's encoding, without a mark. Raises UnicodeEncodeError for what that lacks."""
    return text.encode(CODECS[integration.character_encoding])


def unwritable(
    batch: pa.RecordBatch, integration: Integration, renames: Mapping[str, Mapping[str, str]], before: int
) -> GateRefused:
    """Why the batch cannot be written in the integration's encoding. before: how many rows the file has before it."""
    found = (
        (row, name)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
        for row, value in enumerate(column.to_pylist(), before + 1)
        if isinstance(value, str) and not _fits(renames.get(name, {}).get(value, value), integration)
    )
    where = "The header" if (first := min(found, default=None)) is None else f"Row {first[0]}, column {first[1]},"
    return GateRefused(
        f"{where} holds a character that {integration.character_encoding} does not have.",
        hint="Agree on UTF-8 with the client, or replace it in the model.",
    )


def _fits(text: str, integration: Integration) -> bool:
    try:
        encoded(text, integration)
    except UnicodeEncodeError:
        return False
    return True


def _refuse_nul(frame: pl.DataFrame) -> None:
    nul = frame.select(pl.col(pl.String).str.contains("\0", literal=True).any())
    for name in nul.columns:
        if nul[name][0]:
            raise GateRefused(
                f"Column {name} holds a NUL character, at which readers stop.", hint="Remove it in the model."
            )


def _check_nulls(frame: pl.DataFrame, integration: Integration) -> None:
    if frame.width == 1 and not integration.nulls and frame.to_series(0).null_count():
        raise ConfigError(
            f"NULL in {frame.columns[0]}, the file's only column, would be a blank line, which readers drop.",
            hint="Set `nulls` for the integration.",
        )


def _has_special(frame: pl.DataFrame, integration: Integration) -> bool:
    found = frame.select(_special(pl.col(pl.String), integration).any())
    return any(found[name][0] for name in found.columns)


def _special(text: pl.Expr, integration: Integration) -> pl.Expr:
    tokens = [END_OF_COPY, *([integration.nulls] if integration.nulls else [])]
    # At the start of a file, readers take U+FEFF for a byte-order mark.
    return text.is_in(tokens) | text.str.starts_with("\ufeff")


def _quoted(frame: pl.DataFrame, integration: Integration) -> pl.DataFrame:
    """The frame and its header as texts, in quotes if they need them."""
    unsafe = '[\r\n"' + integration.column_delimiter + "]"
    text = pl.col(pl.String)
    needs = (text == "") | text.str.contains(unsafe) | _special(text, integration)
    quoted = frame.with_columns(pl.when(needs).then(_in_quotes(text)).otherwise(text).name.keep())
    header = pl.Series(frame.columns)
    return quoted.rename(
        {
            name: '"' + name.replace('"', '""') + '"'
            for name, needs_quotes in zip(header, header.str.contains(unsafe), strict=True)
            if needs_quotes
        }
    )


def _in_quotes(text: pl.Expr) -> pl.Expr:
    return pl.format('"{}"', text.str.replace_all('"', '""', literal=True))


def _as_text(name: str, kind: pl.DataType) -> pl.Expr:
    """The text that Polars would write."""
    if isinstance(kind, pl.Datetime):
        return pl.col(name).dt.to_string(TIMESTAMP)
    if isinstance(kind, pl.Time):
        return pl.col(name).dt.to_string(TIME)
    return pl.col(name).cast(pl.String)

"""Times in a client's format, read back: taken apart, and put together as ISO 8601, which Arrow reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from delivery.config.formats import tokens

if TYPE_CHECKING:
    from delivery.config.integrations import Integration

_TWO_DIGITS = r"\d\d"
_PLACES = {"Y": r"\d{4}", "S": r"\d\d(?:\.\d+)?", "z": r"[+-]\d\d:\d\d"}


def _format_of(kind: pa.DataType, keys: Integration) -> str | None:
    if pt.is_timestamp(kind):
        return keys.own_timestamp_format
    return keys.date_format if pt.is_date(kind) else None


def type_in_file(kind: pa.DataType, keys: Integration) -> pa.DataType:
    """What Arrow's reader is to take a column for: times in a format of their own are texts at first."""
    return pa.string() if _format_of(kind, keys) else kind


def parsed(column: pa.Array, kind: pa.DataType, keys: Integration) -> pa.Array:
    """The column in its type. Raises ArrowInvalid for texts that are not in the client's format."""
    pattern = _format_of(kind, keys)
    if pattern is None:
        return column
    found = tokens(pattern)
    parts = pc.extract_regex(column, "^" + "".join(map(_place, found)) + "$")
    if parts.null_count != column.null_count:
        raise pa.ArrowInvalid("a time is not in its format")
    iso = ["Y", "-", "m", "-", "d"]
    if pt.is_timestamp(kind):
        iso += ["T", "H", ":", "M", ":", "S", "z" if "%z" in found else "Z"]
    texts = [pc.struct_field(parts, name) if f"%{name}" in found else name for name in iso]
    return pc.binary_join_element_wise(*texts, "").cast(kind)


def _place(token: str) -> str:
    return f"(?P<{token[1]}>{_PLACES.get(token[1], _TWO_DIGITS)})" if token[0] == "%" else re.escape(token)

"""What columns hold, the same on every engine; and values cast back to what they were when a layout was frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.types as pt

from delivery.errors import GateRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from delivery.config.datasets import Dataset
    from delivery.warehouse import Engine

# What a reader of text can tell apart. The widths of integers and the units of times are not among that.
KINDS: dict[str, tuple[Callable[[pa.DataType], bool], pa.DataType]] = {
    "text": (lambda kind: pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind), pa.string()),
    "integer": (pt.is_integer, pa.int64()),
    "boolean": (pt.is_boolean, pa.bool_()),
    "date": (pt.is_date, pa.date32()),
    "timestamp": (pt.is_timestamp, pa.timestamp("us")),
    "time": (pt.is_time, pa.time64("us")),
}
WRITTEN_OTHERWISE = ("timestamp", "time", "float", "double")  # Arrow's text of these is not ours


def kind_of(data_type: pa.DataType) -> str:
    """What a column holds, the same on every engine: `text`, `integer`, `decimal(s)` with its scale, and so on."""
    kind = data_type.value_type if pt.is_dictionary(data_type) else data_type
    if pt.is_decimal(kind):
        return f"decimal({kind.scale})"
    return next((name for name, (fits, _) in KINDS.items() if fits(kind)), str(kind))


def kinds_of(dataset: Dataset, engine: Engine) -> dict[str, str]:
    """What each column of the dataset's table holds now."""
    schema = engine.table(f"select * from {dataset.relation} limit 0").schema
    return {field.name: kind_of(field.type) for field in schema}


def cast_back(batch: pa.RecordBatch, kinds: Mapping[str, str]) -> pa.RecordBatch:
    """The batch with each column as the layout has it. Raises GateRefused for values that do not fit."""
    for number, field in enumerate(batch.schema):
        frozen, now = kinds.get(field.name) or "", kind_of(field.type)
        if frozen in ("", now):
            continue
        try:
            if frozen == "text" and now in WRITTEN_OTHERWISE:
                raise pa.ArrowInvalid  # as if Arrow could not
            cast = batch.column(number).cast(_type_of(frozen))
            if frozen == "date" and cast.cast(field.type) != batch.column(number):
                raise pa.ArrowInvalid  # Arrow cuts the time of day off
        except (ValueError, pa.ArrowNotImplementedError, KeyError):  # ValueError: a kind that Arrow has no name for
            raise GateRefused(
                f"{field.name} was {frozen} when the layout was frozen; it is {now} now, and not all values fit.",
                hint="Restore its type in the model, or start a new campaign with the new layout.",
            ) from None
        batch = batch.set_column(number, field.name, cast)
    return batch


def _type_of(kind: str) -> pa.DataType:
    if kind.startswith("decimal("):
        return pa.decimal128(38, int(kind[len("decimal(") : -1]))
    return KINDS[kind][1] if kind in KINDS else pa.type_for_alias(kind)

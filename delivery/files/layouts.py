"""Frozen layouts: which columns a campaign's files for an integration have, kept from the first delivery on.

A later change of the integration or the model is reported and changes no file: added columns stay out, the order stays,
and values of a column that changed its type are cast back. Where that cannot be, the delivery is refused.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.types as pt

from delivery.config.campaigns import campaigns as campaigns_of
from delivery.config.integrations import declared_definitions, declared_names
from delivery.errors import GateRefused
from delivery.ledger import Layout, Ledger
from delivery.warehouse import open_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from delivery.config.datasets import Dataset
    from delivery.config.project import Project
    from delivery.schedule.jobs import Job
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


class Frozen(NamedTuple):
    """One frozen layout and what has changed since."""

    campaign: str
    integration: str
    frozen_at: str
    columns: tuple[str, ...]
    changes: tuple[str, ...]


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


def layout_of(job: Job, ledger: Ledger, kinds: Mapping[str, str]) -> Layout:
    """The layout that the job's files have: the frozen one, or that of a first delivery."""
    frozen = ledger.layout(job.campaign.name, job.integration_name)
    if frozen is not None:
        return frozen
    columns = job.campaign.columns(job.integration.definitions)
    return Layout(columns, tuple(kinds.get(name, "") for name in columns))


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


def changes(frozen: Layout, asked: Iterable[str], kinds: Mapping[str, str] | None) -> tuple[str, ...]:
    """What differs between a layout and what would be a new campaign's.

    kinds: of the table's columns now; None if they are not known.
    """
    asked = tuple(asked)
    found = [f"{name} was added since; the file goes on without it" for name in asked if name not in frozen.columns]
    for name, kind in zip(frozen.columns, frozen.kinds or ("",) * len(frozen.columns), strict=True):
        if kinds is not None and name not in kinds:
            found.append(f"{name} was removed from the table since; nothing is sent without it")
        elif name not in asked:
            found.append(f"{name} is not asked for any more; the file goes on with it")
        if kinds and name in kinds and kind not in ("", kinds[name]):
            found.append(f"{name} was {kind} and is {kinds[name]} now; the file goes on with {kind}")
    common = [name for name in asked if name in frozen.columns]
    if common != [name for name in frozen.columns if name in asked]:
        found.append("the order of the columns changed since; the file keeps its own")
    return tuple(found)


def frozen_layouts(project: Project) -> list[Frozen]:
    """Every frozen layout, with what has changed since; of a campaign or integration that is gone, that."""
    definitions = declared_definitions(project.integrations_file)
    known = campaigns_of(project.manifest(), declared_names(project.integrations_file))
    with closing(Ledger(project.ledger_url)) as ledger, open_engine(project) as engine:
        found = []
        for (campaign, integration), layout in ledger.layouts().items():
            one = known.get(campaign)
            if one is None or integration not in one.integrations:
                differences: tuple[str, ...] = ("the campaign no longer serves the integration",)
            else:
                asked = one.columns(definitions[integration])
                differences = changes(layout, asked, kinds_of(one.dataset, engine))
            found.append(Frozen(campaign, integration, layout.frozen_at or "", layout.columns, differences))
        return found

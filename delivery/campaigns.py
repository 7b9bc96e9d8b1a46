"""Campaigns and datasets as the dbt manifest declares them.

A campaign is an exposure with `config.meta.export`; a dataset is a model with `config.meta.dataset`. Which columns a
file has comes from the dataset's contract: those marked `layout: optional` on request, `layout: internal` never.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from delivery.errors import ConfigError
from delivery.value_types import RowCount
from delivery.windows import Window, check_cron

if TYPE_CHECKING:
    from collections.abc import Iterable

Manifest = dict[str, Any]
LAYOUTS = ("file", "optional", "internal")


def _all_or_names(value: object) -> object:
    if value == "all" or (isinstance(value, list | tuple) and value and all(isinstance(name, str) for name in value)):
        return value
    raise ValueError("must be `all` or a list of names")


def _iso_day(value: object) -> object:
    if value is None or isinstance(value, date) or (isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value)):
        return value
    raise ValueError(f"must be a day as YYYY-MM-DD (seen: {value!r})")  # not the seconds since 1970


Integrations = Annotated[Literal["all"] | tuple[str, ...], BeforeValidator(_all_or_names)]
Day = Annotated[date, BeforeValidator(_iso_day)]


@dataclass(frozen=True)
class Column:
    """One column of a dataset. layout: `file`, `optional` or `internal`."""

    name: str
    data_type: str
    layout: str


@dataclass(frozen=True)
class Dataset:
    """A final model that can be exported.

    relation: as the engine names it. window: the day column, None for a current-state dataset.
    order_by: columns that order the rows of one namespace and day totally.
    """

    name: str
    unique_id: str
    relation: str
    window: str | None
    order_by: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def tells_changes(self) -> bool:
        """Whether the rows of a window have an identity and a time of their last change."""
        return self.window is not None and {"unique_key", "updated_at"} <= {column.name for column in self.columns}

    def layout(self, optional: Iterable[str] = ()) -> tuple[str, ...]:
        """The columns of a file, in contract order, with the optional ones that were asked for."""
        wanted = set(optional)
        return tuple(
            c.name for c in self.columns if c.layout == "file" or (c.layout == "optional" and c.name in wanted)
        )


class DatasetMeta(BaseModel):
    """`config.meta.dataset` of a model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: str | None = None
    order_by: tuple[str, ...] = Field(min_length=1)


class Layout(BaseModel):
    """What a campaign changes in its files' columns. event_names: a spelling of the seed `event_spellings`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: tuple[str, ...] = ()
    event_names: str = "default"


class Export(BaseModel):
    """`config.meta.export` of an exposure."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    integrations: Integrations
    schedule: str = Field(description="cron in UTC, or `once`")
    start: Day | None = None
    end: Day | None = None
    layout: Layout = Layout()
    catch_up: Literal["all", "last"] = "all"
    empty: Literal["header", "skip", "fail"] | None = None
    row_count: RowCount | None = None
    late_rows: Literal["correct", "ignore"] | None = Field(
        default=None, description="`correct` by default where the dataset has unique_key and updated_at"
    )

    @field_validator("schedule")
    @classmethod
    def _is_schedule(cls, value: str) -> str:
        reason = None if value == "once" else check_cron(value)
        if reason:
            raise ValueError(f"is neither `once` nor a cron expression: {reason} in {value!r}")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Export:
        if self.start and self.end and self.start >= self.end:
            raise ValueError("start must be before end")
        return self


@dataclass(frozen=True)
class Campaign:
    """One export campaign: a dataset to integrations on a schedule."""

    name: str
    dataset: Dataset
    integrations: tuple[str, ...]
    export: Export

    def is_live(self, slot: datetime) -> bool:
        """Whether the campaign's start and end include the slot."""
        start, end = self.export.start, self.export.end
        return (start is None or slot.date() >= start) and (end is None or slot.date() < end)

    @property
    def is_corrected(self) -> bool:
        """Whether rows that change after a window's delivery are sent as a correction."""
        return self.export.late_rows != "ignore" and self.dataset.tells_changes

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the campaign's files."""
        return self.dataset.layout(self.export.layout.columns)

    def once_slot(self) -> tuple[datetime, Window | None]:
        """The only slot of a `once` campaign, and its window when the dataset has one."""
        start = self.export.start or date(1970, 1, 1)
        end = self.export.end or start
        slot_day = end if self.dataset.window else start
        slot = datetime(slot_day.year, slot_day.month, slot_day.day, tzinfo=UTC)
        return slot, Window(start, end) if self.dataset.window else None


def datasets(manifest: Manifest) -> dict[str, Dataset]:
    """Every dataset of the manifest by name. Raises ConfigError with all faults of all datasets."""
    found, faults = {}, []
    for unique_id, node in manifest["nodes"].items():
        meta = node["config"].get("meta", {}).get("dataset") if node["resource_type"] == "model" else None
        if meta is None:
            continue
        try:
            rules = DatasetMeta.model_validate(meta)
        except ValidationError as error:
            faults += [
                _describe(fault, f"{node['name']}: config.meta.dataset", DatasetMeta) for fault in error.errors()
            ]
            continue
        columns = tuple(
            Column(c["name"], c.get("data_type") or "", _column_meta(c).get("layout", "file"))
            for c in node["columns"].values()
        )
        more = list(_column_faults(rules, columns))
        faults += [f"{node['name']}: {fault}" for fault in more]
        if not more:
            found[node["name"]] = Dataset(
                node["name"], unique_id, node["relation_name"], rules.window, rules.order_by, columns
            )
    if faults:
        raise ConfigError(
            "The datasets have faults:\n" + "\n".join(f"  {fault}" for fault in faults),
            hint="Mend the yml files of the models, then `dbt parse`.",
        )
    return found


def _column_faults(rules: DatasetMeta, columns: tuple[Column, ...]) -> Iterable[str]:
    names = [column.name for column in columns]
    if "namespace" not in names:
        yield "has no column namespace, by which rows are kept apart"
    if rules.window is not None and rules.window not in names:
        yield f"config.meta.dataset.window: no column {rules.window!r}; known: {', '.join(names)}"
    for name in rules.order_by:
        if name not in names:
            yield f"config.meta.dataset.order_by: no column {name!r}; known: {', '.join(names)}"
    for column in columns:
        if column.layout not in LAYOUTS:
            yield f"columns.{column.name}.config.meta.layout: unknown {column.layout!r}; known: {', '.join(LAYOUTS)}"
    if not any(column.layout == "file" for column in columns):
        yield "has no column for its files"


def _column_meta(column: dict[str, Any]) -> dict[str, Any]:
    meta: dict[str, Any] = (column.get("config") or {}).get("meta") or column.get("meta") or {}
    return meta


def campaigns(manifest: Manifest, integration_names: Iterable[str]) -> dict[str, Campaign]:
    """Every campaign by name. Raises ConfigError with all faults of all campaigns."""
    known, names = datasets(manifest), list(integration_names)
    found, faults = {}, []
    for exposure in manifest["exposures"].values():
        meta = exposure["config"].get("meta", {}).get("export")
        if meta is None:
            continue
        try:
            export = Export.model_validate(meta)
        except ValidationError as error:
            where = f"{exposure['name']}: config.meta.export"
            faults += [_describe(fault, where, Export) for fault in error.errors()]
            continue
        more = list(_mismatches(export, exposure, known, names))
        faults += [f"{exposure['name']}: {fault}" for fault in more]
        if not more:
            chosen = tuple(names) if export.integrations == "all" else export.integrations
            found[exposure["name"]] = Campaign(exposure["name"], known[export.dataset], chosen, export)
    if faults:
        raise ConfigError(
            "The campaigns have faults:\n" + "\n".join(f"  {fault}" for fault in faults),
            hint="Mend the exposures in models/campaigns, then `dbt parse`.",
        )
    return found


def _describe(fault: Any, where: str, model: type[BaseModel]) -> str:
    path = ".".join([where, *map(str, fault["loc"])])
    if fault["type"] == "extra_forbidden":
        inner: dict[str, type[BaseModel]] = {"layout": Layout, "row_count": RowCount}
        known = next((inner[part] for part in fault["loc"][:-1] if part in inner), model)
        return f"{path}: unknown key; known: {', '.join(known.model_fields)}"
    if fault["type"] == "missing":
        return f"{path}: is required"
    return f"{path}: {fault['msg'].removeprefix('Value error, ')}"


def _mismatches(export: Export, exposure: dict[str, Any], known: dict[str, Dataset], names: list[str]) -> Iterable[str]:
    where = "config.meta.export"
    if export.integrations != "all":
        for name in export.integrations:
            if name not in names:
                yield f"{where}.integrations: unknown integration {name!r}; known: {', '.join(names)}"
    dataset = known.get(export.dataset)
    if dataset is None:
        yield f"{where}.dataset: unknown dataset {export.dataset!r}; known: {', '.join(sorted(known))}"
        return
    if dataset.unique_id not in exposure["depends_on"]["nodes"]:
        yield f"depends_on: must name ref('{export.dataset}')"
    optional = [column.name for column in dataset.columns if column.layout == "optional"]
    for column in export.layout.columns:
        if column not in optional:
            yield (
                f"{where}.layout.columns: {column!r} is not an optional column of {dataset.name}; "
                f"optional: {', '.join(optional) or 'none'}"
            )
    if export.late_rows == "correct" and not dataset.tells_changes:
        yield f"{where}.late_rows: {dataset.name} cannot be corrected: it needs a window, unique_key and updated_at"
    if export.schedule == "once" and dataset.window and not (export.start and export.end):
        yield f"{where}: a `once` campaign of {dataset.name} needs start and end, its days"

"""Campaigns as the dbt manifest declares them: exposures with `config.meta.export`.

An audience is a model that names members of a dataset.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from delivery.config.columns import misfits
from delivery.config.datasets import ENTITLEMENTS, find_datasets, read_beside
from delivery.config.faults import Faults, described, nearest
from delivery.config.values import RejectedLimit, RowCount  # noqa: TC001 - pydantic reads it
from delivery.sql import literal
from delivery.windows import Window, check_cron

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from delivery.config.datasets import Dataset, Manifest
    from delivery.config.integrations_file import Integrations


def _all_or_names(value: object) -> object:
    if value == "all" or (isinstance(value, list | tuple) and value and all(isinstance(name, str) for name in value)):
        return value
    raise ValueError("must be `all` or a list of names")


def _iso_day(value: object) -> object:
    if value is None or isinstance(value, date) or (isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value)):
        return value
    raise ValueError("must be a day as YYYY-MM-DD")  # not the seconds since 1970


AllOrNames = Annotated[Literal["all"] | tuple[str, ...], BeforeValidator(_all_or_names)]
Day = Annotated[date, BeforeValidator(_iso_day)]


class Layout(BaseModel):
    """What a campaign changes in its files' columns. event_names: a spelling of the seed `event_spellings`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: tuple[str, ...] = ()
    event_names: str = "default"


class Export(BaseModel):
    """`config.meta.export` of an exposure."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    audience: str | None = Field(default=None, description="a model of members; without it, every row of the dataset")
    unsubscribed: Literal["include", "exclude"] = Field(
        default="include", description="whether members go out who may get no email now"
    )
    integrations: AllOrNames
    schedule: str = Field(description="cron in UTC, or `once`")
    start: Day | None = None
    end: Day | None = None
    layout: Layout = Layout()
    catch_up: Literal["all", "last"] = "all"
    empty: Literal["header", "skip", "fail"] | None = None
    row_count: RowCount | None = None
    rejected: RejectedLimit | None = None
    mode: Literal["full", "changes"] = Field(
        default="full", description="`changes`: who entered, changed and left since the last delivery"
    )
    full_every: int = Field(default=7, ge=1, description="of `mode: changes`, each so many-th delivery is whole")
    build_age_hours: int = Field(
        default=0, ge=0, description="of a current-state dataset: so much older than the slot its build may be"
    )
    late_rows: Literal["correct", "ignore"] | None = Field(
        default=None, description="`correct` by default where the dataset has unique_key and updated_at"
    )

    @field_validator("schedule")
    @classmethod
    def _is_schedule(cls, value: str) -> str:
        reason = None if value == "once" else check_cron(value)
        if reason:
            raise ValueError(f"is neither `once` nor a cron expression: {reason}")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Export:
        if self.start and self.end and self.start >= self.end:
            raise ValueError("start must be before end")
        if self.unsubscribed == "exclude" and self.audience is None:
            raise ValueError("unsubscribed: exclude needs an audience, which marks them")
        if self.mode == "changes" and self.schedule == "once":
            raise ValueError("mode: changes needs a schedule that recurs")
        return self


@dataclass(frozen=True)
class Members:
    """Of whom the rows are: the audience's relation, which names them by the dataset's key."""

    relation: str
    without_unsubscribed: bool = False

    def where(self, namespace: str) -> str:
        """The relation and the condition that a client's members meet, as they stand in a query after `from`."""
        subscribed = " and not is_unsubscribed" if self.without_unsubscribed else ""
        return f"{self.relation} where namespace = {literal(namespace)}{subscribed}"


@dataclass(frozen=True)
class Campaign:
    """One export campaign: a dataset to integrations on a schedule."""

    name: str
    dataset: Dataset
    integrations: tuple[str, ...]
    export: Export
    members: Members | None = None
    proven_with: tuple[str, ...] = ()  # unique ids of what else the runner reads: the audience, the entitlements, …

    def is_live(self, slot: datetime) -> bool:
        """Whether the campaign's start and end include the slot."""
        start, end = self.export.start, self.export.end
        return (start is None or slot.date() >= start) and (end is None or slot.date() < end)

    @property
    def is_corrected(self) -> bool:
        """Whether rows that change after a window's delivery are sent as a correction."""
        return self.export.late_rows != "ignore" and self.dataset.tells_changes

    def keys(self, *, replaces: bool) -> tuple[str, ...]:
        """The columns by which a client applies what is sent later of the same rows; none where all are sent anew."""
        if self.export.mode == "changes":
            return self.dataset.contacts
        has_key = self.is_corrected and not replaces and "unique_key" in self.columns()
        return ("unique_key",) if has_key else ()

    def columns(self, definitions: Iterable[str] = ()) -> tuple[str, ...]:
        """The columns of the campaign's files for an integration that asks for these definitions, which come last."""
        own = self.dataset.layout(self.export.layout.columns)
        known = set(self.dataset.definitions) - set(own)
        return own + tuple(name for name in dict.fromkeys(definitions) if name in known)

    def once_slot(self) -> tuple[datetime, Window | None]:
        """The only slot of a `once` campaign, and its window when the dataset has one."""
        start = self.export.start or date(1970, 1, 1)
        end = self.export.end or start
        slot_day = end if self.dataset.window else start
        slot = datetime(slot_day.year, slot_day.month, slot_day.day, tzinfo=UTC)
        return slot, Window(start, end) if self.dataset.window else None


def campaigns(manifest: Manifest, integration_names: Iterable[str]) -> dict[str, Campaign]:
    """Every campaign by name. Raises ConfigError with all faults of all datasets and campaigns."""
    found = _find_campaigns(manifest, list(integration_names), faults := Faults())
    faults.raise_any()
    return {name: campaign for name, campaign in found.items() if campaign is not None}


def read_campaigns(
    manifest: Manifest, declared: Integrations, needed: Collection[str]
) -> tuple[dict[str, Campaign], dict[str, list[str]]]:
    """Campaigns, and by integration what is wrong with it, or with what it asks of its campaigns.

    needed: those for which what this machine lacks is wrong, too. Raises ConfigError for a fault of the datasets, the
    campaigns or integrations.yml that is not one integration's, with every fault of these. Definitions are looked for
    when all campaigns could be read: one that could not may have them.
    """
    found = _find_campaigns(manifest, declared.names, faults := Faults())
    known = {name: campaign for name, campaign in found.items() if campaign is not None}
    undefined = definition_faults(known, declared.definitions) if len(known) == len(found) else {}
    beyond, lacking = misfits(known, declared.possible), declared.lacking.keys() - {*needed}
    of = {
        name: [*declared.faults(name, secrets=name not in lacking), *undefined.get(name, ()), *beyond.get(name, ())]
        for name in declared.names
    }
    wrong = {name: lines for name, lines in of.items() if lines}
    if faults or declared.around:
        declared.add_faults(faults, wrong)
        faults.raise_any()
    return known, wrong


def _find_campaigns(manifest: Manifest, names: list[str], faults: Faults) -> dict[str, Campaign | None]:
    """Every campaign by name; None for one that has faults, which are added."""
    known, models = find_datasets(manifest, faults), _models(manifest)
    found: dict[str, Campaign | None] = {}
    wrong: list[str] = []
    for exposure in manifest["exposures"].values():
        meta = exposure["config"].get("meta", {}).get("export")
        if meta is None:
            continue
        name = exposure["name"]
        found[name] = None
        try:
            export = Export.model_validate(meta)
        except ValidationError as error:
            wrong += [f"{name}: {path}: {why}" for path, why in described(error, Export, "config.meta.export")]
            continue
        more = [f"{name}: {fault}" for fault in _mismatches(export, exposure, known, names)]
        more += [f"{name}: {fault}" for fault in _faulty_audience(export, exposure, known, models)]
        dataset = known.get(export.dataset)
        if dataset is not None and not more:
            chosen = tuple(names) if export.integrations == "all" else export.integrations
            members = models[export.audience] if export.audience else None
            found[name] = Campaign(
                name,
                dataset,
                chosen,
                export,
                Members(members["relation_name"], export.unsubscribed == "exclude") if members else None,
                _proven_with(manifest, exposure, dataset),
            )
        wrong += more
    mend = "Mend the exposures in models/campaigns, or the ymls of the models that they name, then `dbt parse`."
    faults.add("The campaigns have", wrong, mend)
    return found


def read_by(manifest: Manifest, exposure: dict[str, Any]) -> tuple[str, ...]:
    """Unique ids of all that the runner reads for a campaign: what the exposure names, and what it always reads."""
    spelled = exposure["config"]["meta"]["export"].get("layout", {}).get("event_names", "default") != "default"
    named = [node for node in exposure["depends_on"]["nodes"] if node in manifest["nodes"]]
    beside = read_beside(manifest, *(["event_spellings"] if spelled else []))
    return tuple(dict.fromkeys((*named, *beside)))


def definition_faults(chosen: Mapping[str, Campaign], definitions: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """By integration what it asks for that no dataset of its campaigns has. definitions: of each integration."""
    faults: dict[str, list[str]] = {}
    defined = [(one.dataset, frozenset(one.integrations)) for one in chosen.values() if one.dataset.definitions]
    for name, asked in definitions.items():
        of = [dataset for dataset, integrations in defined if name in integrations] if asked else []
        known = sorted({definition for dataset in of for definition in dataset.definitions})
        if not of:
            continue
        faults[name] = [
            f"integrations.{name}.definitions: unknown {definition!r}; known: {', '.join(known)}"
            f"{nearest(definition, known)}"
            for definition in asked
            if definition not in known
        ]
    return faults


def _models(manifest: Manifest) -> dict[str, Any]:
    return {
        node["name"]: {"unique_id": unique_id, **node}
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "model"
    }


def _proven_with(manifest: Manifest, exposure: dict[str, Any], dataset: Dataset) -> tuple[str, ...]:
    read = set(read_by(manifest, exposure)) - {dataset.unique_id}
    return tuple(sorted(read))


def _faulty_audience(
    export: Export, exposure: dict[str, Any], known: dict[str, Dataset | None], models: dict[str, Any]
) -> Iterable[str]:
    where, dataset = "config.meta.export.audience", known.get(export.dataset)
    if export.audience is None or dataset is None:
        return
    if dataset.key is None:
        yield f"{where}: {dataset.name} has no members: its config.meta.dataset has no key"
        return
    needed = {"namespace", dataset.key, "is_unsubscribed"}
    fitting = {n: m for n, m in models.items() if needed <= set(m["columns"]) and n not in known}
    if export.audience not in fitting:
        declared = models.get(export.audience, {}).get("columns")
        lacks = "" if declared is None else ", ".join(sorted(needed - set(declared)))
        yield (
            f"{where}: {export.audience!r} is no audience of {dataset.name}, with {', '.join(sorted(needed))}"
            f"{f' (its yml does not name {lacks})' if lacks else ''}; "
            f"known: {', '.join(sorted(fitting)) or 'none'}{nearest(export.audience, fitting)}"
        )
    elif fitting[export.audience]["unique_id"] not in exposure["depends_on"]["nodes"]:
        yield f"depends_on: must name ref('{export.audience}')"


def _mismatches(
    export: Export, exposure: dict[str, Any], known: dict[str, Dataset | None], names: list[str]
) -> Iterable[str]:
    where = "config.meta.export"
    if export.integrations != "all":
        for name in export.integrations:
            if name not in names:
                shown = f"{', '.join(names)}{nearest(name, names)}"
                yield f"{where}.integrations: unknown integration {name!r}; known: {shown}"
    if export.dataset not in known:
        close = nearest(export.dataset, known)
        yield f"{where}.dataset: unknown dataset {export.dataset!r}; known: {', '.join(sorted(known))}{close}"
    dataset = known.get(export.dataset)
    if dataset is None:  # its own faults are told
        return
    parents = exposure["depends_on"]["nodes"]
    if dataset.unique_id not in parents:
        yield f"depends_on: must name ref('{export.dataset}')"
    if dataset.definitions and not any(node.endswith(f".{ENTITLEMENTS}") for node in parents):
        yield f"depends_on: must name ref('{ENTITLEMENTS}'), which says who may have which definition"
    yield from _beyond(export, dataset)


def _beyond(export: Export, dataset: Dataset) -> Iterable[str]:
    """What is asked of the dataset that it does not have."""
    where, optional = "config.meta.export", [column.name for column in dataset.columns if column.layout == "optional"]
    for column in export.layout.columns:
        if column not in optional:
            yield (
                f"{where}.layout.columns: {column!r} is not an optional column of {dataset.name}; "
                f"optional: {', '.join(optional) or 'none'}{nearest(column, optional)}"
            )
    if export.late_rows == "correct" and not dataset.tells_changes:
        yield f"{where}.late_rows: {dataset.name} cannot be corrected: it needs a window, unique_key and updated_at"
    if export.mode == "changes" and dataset.key is None:
        yield f"{where}.mode: {dataset.name} cannot tell changes: its config.meta.dataset has no key and contacts"
    if export.rejected and not dataset.rejects:
        yield f"{where}.rejected: nobody counts what was rejected of {dataset.name}; `row_count` bounds what leaves"
    if export.build_age_hours and dataset.window:
        yield f"{where}.build_age_hours: {dataset.name} is by day; a day leaves when it was built after it ended"
    if export.schedule == "once" and dataset.window and not (export.start and export.end):
        yield f"{where}: a `once` campaign of {dataset.name} needs start and end, its days"

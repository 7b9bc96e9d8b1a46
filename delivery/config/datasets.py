"""Datasets: the models that can be exported, as the dbt manifest declares them.

A dataset is a model with `config.meta.dataset`. Which columns a file has comes from its contract: those marked
`layout: optional` on request, `layout: internal` never. A column marked
`definition` is one that an integration asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from delivery.config.faults import Faults, described

if TYPE_CHECKING:
    from collections.abc import Iterable

Manifest = dict[str, Any]
LAYOUTS = ("file", "optional", "internal")
ENTITLEMENTS = "definition_entitlements"  # the model that says who may have which definition
DATASET_ENTITLEMENTS = "dataset_entitlements"  # the model that says who may have which dataset
PACKAGE = "dbt_delivery"  # the dbt package whose hooks write the build log, and whose source says where it is
ACCEPTED_TESTS = "accepted_tests"  # the seed of tests that say less than they seem to, each with a reason
READ_ALWAYS = ("namespaces", ENTITLEMENTS, DATASET_ENTITLEMENTS, ACCEPTED_TESTS)


@dataclass(frozen=True)
class Column:
    """One column of a dataset. layout: `file`, `optional` or `internal`. is_definition: integrations may ask for it."""

    name: str
    data_type: str
    layout: str
    is_definition: bool = False


@dataclass(frozen=True)
class Rejects:
    """Where to count what was rejected on its way to a dataset. Each a relation with namespace and the day column.

    listed_in: the rows that were rejected, with a reason; among: all that came; name: of the list, for people; nodes:
    the unique ids of both. On Spark each is a table: the runner reads no views there.
    """

    name: str
    listed_in: str
    among: str
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A final model that can be exported.

    relation: as the engine names it. window: the day column, None for a current-state dataset.
    order_by: columns that order the rows of one namespace and day totally. key: the column that identifies a row of a
    current-state dataset within its namespace. contacts: the columns by which the reader of its files knows a row.
    log: the schema of the build log.
    """

    name: str
    unique_id: str
    relation: str
    window: str | None
    order_by: tuple[str, ...]
    columns: tuple[Column, ...]
    log: str = ""
    key: str | None = None
    contacts: tuple[str, ...] = ()
    rejects: Rejects | None = None

    @property
    def definitions(self) -> tuple[str, ...]:
        """The columns that an integration may ask for."""
        return tuple(column.name for column in self.columns if column.is_definition)

    @cached_property  # asked of each client
    def tells_changes(self) -> bool:
        """Whether the rows of a window have an identity and a time of their last change."""
        return self.window is not None and {"unique_key", "updated_at"} <= {column.name for column in self.columns}

    def layout(self, optional: Iterable[str] = ()) -> tuple[str, ...]:
        """The columns of a file, in contract order, with the optional ones that were asked for."""
        wanted = set(optional)
        return tuple(
            c.name for c in self.columns if c.layout == "file" or (c.layout == "optional" and c.name in wanted)
        )


class RejectsMeta(BaseModel):
    """Names of models: `listed_in` has the rejected rows, with namespace, reason and the day; `among` the others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listed_in: str
    among: str


class DatasetMeta(BaseModel):
    """`config.meta.dataset` of a model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: str | None = None
    order_by: tuple[str, ...] = Field(min_length=1)
    key: str | None = None
    contacts: tuple[str, ...] = ()
    rejects: RejectsMeta | None = None

    @model_validator(mode="after")
    def _of_current_state(self) -> DatasetMeta:
        if self.window is not None and (self.key or self.contacts):
            raise ValueError("key and contacts are for a current-state dataset, which has no window")
        if bool(self.key) != bool(self.contacts):
            raise ValueError("key needs contacts, and contacts need key")
        if self.rejects and self.window is None:
            raise ValueError("rejects is for a dataset by day, which has a window")
        return self


def datasets(manifest: Manifest) -> dict[str, Dataset]:
    """Every dataset of the manifest by name. Raises ConfigError with all faults of all datasets."""
    found = find_datasets(manifest, faults := Faults())
    faults.raise_any()
    return {name: dataset for name, dataset in found.items() if dataset is not None}


def find_datasets(manifest: Manifest, faults: Faults) -> dict[str, Dataset | None]:
    """Every dataset of the manifest by name; None for one that has faults, which are added."""
    found: dict[str, Dataset | None] = {}
    wrong: list[str] = []
    for unique_id, node in manifest["nodes"].items():
        if not is_dataset(node):
            continue
        name, meta = node["name"], node["config"]["meta"]["dataset"]
        found[name] = None
        try:
            rules = DatasetMeta.model_validate(meta)
        except ValidationError as error:
            wrong += [f"{name}: {path}: {why}" for path, why in described(error, DatasetMeta, "config.meta.dataset")]
            continue
        columns = tuple(
            Column(
                c["name"],
                c.get("data_type") or "",
                column_meta(c).get("layout", "file"),
                "definition" in column_meta(c),
            )
            for c in node["columns"].values()
        )
        more = [f"{name}: {fault}" for fault in (*_column_faults(rules, columns), *_rejects_faults(rules, manifest))]
        if not more:
            own = {**dict(rules), "rejects": _rejects(rules.rejects, manifest)}
            log = build_log(manifest) or node["relation_name"]
            found[name] = Dataset(
                name, unique_id, node["relation_name"], columns=columns, log=log.rsplit(".", 1)[0], **own
            )
        wrong += more
    faults.add("The datasets have", wrong, "Mend the yml files of the models, then `dbt parse`.")
    return found


def is_dataset(node: dict[str, Any]) -> bool:
    """Whether the node is a model that can be exported."""
    return node["resource_type"] == "model" and (node["config"].get("meta") or {}).get("dataset") is not None


def _column_faults(rules: DatasetMeta, columns: tuple[Column, ...]) -> Iterable[str]:
    names = [column.name for column in columns]
    if "namespace" not in names:
        yield "has no column namespace, by which rows are kept apart"
    if rules.window is not None and rules.window not in names:
        yield f"config.meta.dataset.window: no column {rules.window!r}; known: {', '.join(names)}"
    lists = {"order_by": rules.order_by, "key": (rules.key,) if rules.key else (), "contacts": rules.contacts}
    for key, asked in lists.items():
        for name in asked:
            if name not in names:
                yield f"config.meta.dataset.{key}: no column {name!r}; known: {', '.join(names)}"
    for column in columns:
        if column.layout not in LAYOUTS:
            yield f"columns.{column.name}.config.meta.layout: unknown {column.layout!r}; known: {', '.join(LAYOUTS)}"
    if not any(column.layout == "file" for column in columns):
        yield "has no column for its files"


def _rejects_faults(rules: DatasetMeta, manifest: Manifest) -> Iterable[str]:
    if rules.rejects is None:
        return
    day = rules.window or ""
    asked = {"listed_in": {"namespace", "reason", day}, "among": {"namespace", day}}
    for key, name in rules.rejects:
        node = _node(manifest, name)
        where = f"config.meta.dataset.rejects.{key}"
        if node is None:
            yield f"{where}: no model {name!r}"
        elif missing := asked[key] - set(node["columns"]):
            yield f"{where}: {name} has no column {', '.join(sorted(missing))}"


def _rejects(asked: RejectsMeta | None, manifest: Manifest) -> Rejects | None:
    if asked is None:
        return None
    listed_in, among = (relation_of(manifest, name) or "" for _, name in asked)
    return Rejects(asked.listed_in, listed_in, among, ids_of(manifest, (asked.listed_in, asked.among)))


def column_meta(column: dict[str, Any]) -> dict[str, Any]:
    """A column's meta, where this or an older dbt puts it."""
    meta: dict[str, Any] = (column.get("config") or {}).get("meta") or column.get("meta") or {}
    return meta


def relation_of(manifest: Manifest, name: str) -> str | None:
    """The relation of the model or seed with that name; None when the project has none."""
    node = _node(manifest, name)
    return str(node["relation_name"]) if node else None


def build_log(manifest: Manifest) -> str | None:
    """The relation of the build log; None when the project lacks the dbt package that writes it."""
    found = (one for one in manifest.get("sources", {}).values() if one.get("package_name") == PACKAGE)
    return next((one["relation_name"] for one in found if one["name"] == "build_log"), None)


def _node(manifest: Manifest, name: str) -> dict[str, Any] | None:
    nodes = (node for node in manifest["nodes"].values() if node["resource_type"] in ("model", "seed"))
    return next((node for node in nodes if node["name"] == name), None)


def rejects_of(node: dict[str, Any]) -> tuple[str, ...]:
    """The models that say how much was rejected on its way to the dataset that the node is; none for another node."""
    meta = (node["config"].get("meta") or {}).get("dataset") or {}
    return tuple((meta.get("rejects") or {}).values())


def read_beside(manifest: Manifest, *names: str) -> tuple[str, ...]:
    """Unique ids of what the runner reads beside a dataset's rows, with the models and seeds named."""
    return ids_of(manifest, (*READ_ALWAYS, *names))


def ids_of(manifest: Manifest, names: Iterable[str]) -> tuple[str, ...]:
    """Unique ids of the models and seeds with these names, as far as the project has them."""
    wanted, nodes = set(names), manifest["nodes"].items()
    return tuple(sorted(uid for uid, n in nodes if n["resource_type"] in ("model", "seed") and n["name"] in wanted))

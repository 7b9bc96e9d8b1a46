"""What a node is built from, which tests speak of that and how they are defined, as dbt's manifest says."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from hashlib import md5
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from delivery.config.datasets import Dataset, Manifest

BUILT = ("model", "seed", "snapshot")
TESTS = ("test", "unit_test")
BY_DAY = "__rebuilt_days__"  # the bound of tests on growing models: macros/days.sql
# A test says less than its name with another value of these.
WHOLE = {"where": "", "limit": "", "severity": "error", "warn_if": "!= 0", "error_if": "!= 0", "fail_calc": "count(*)"}
OF_DBT = ("macro.dbt.", "macro.dbt_duckdb.", "macro.dbt_postgres.", "macro.dbt_spark.")  # macros
KEY_TESTS = ("is_key", "unique", "unique_together", "unique_combination_of_columns")


class Lineage:
    """The manifest's graph. nodes: every model, seed, snapshot, source, data test and unit test by unique id."""

    def __init__(self, manifest: Manifest) -> None:
        self.nodes: dict[str, Any] = {
            **manifest["nodes"],
            **manifest.get("unit_tests", {}),
            **manifest.get("sources", {}),
        }
        self._parents: dict[str, list[str]] = manifest["parent_map"]
        self._macros: dict[str, Any] = manifest.get("macros", {})
        self._project = (manifest.get("metadata") or {}).get("project_name")
        self._own = [name for name in self._macros if name.startswith(f"macro.{self._project}.")]
        self._disabled: dict[str, list[Any]] = manifest.get("disabled", {})
        self._fingerprints: dict[str, str] = {}  # of the nodes that were asked about: for each client again

    def upstream(self, unique_ids: Iterable[str]) -> set[str]:
        """The nodes and all that they are built from; sources and ephemeral models, which dbt never builds, are out."""
        return {node for node in self.read(unique_ids) if self._is_built(node)}

    def read(self, unique_ids: Iterable[str]) -> set[str]:
        """The same with sources and ephemeral models."""
        found: set[str] = set()
        queue = list(unique_ids)
        while queue:
            node = queue.pop()
            if node not in found and node in self.nodes and self.nodes[node]["resource_type"] in (*BUILT, "source"):
                found.add(node)
                queue += self._parents.get(node, [])
        return found

    def tests_on(self, nodes: set[str]) -> list[str]:
        """The tests that speak of any of the nodes."""
        return sorted(test for test, subjects in self._subjects.items() if subjects & nodes)

    def spoken_of(self, test: str) -> set[str]:
        """The nodes of which the test speaks, in the place of an ephemeral model what it is made of."""
        return self._tables(self._subjects[test])

    def read_by(self, test: str) -> set[str]:
        """What has to be older than a result of the test: the tables that it reads, also through views."""
        return self._tables(self.nodes[test]["depends_on"]["nodes"])

    def made_of(self, node: str) -> set[str]:
        """What dbt builds before the node, in the place of an ephemeral model what that is made of."""
        return {one for one in self._tables(self._parents.get(node, [])) if one in self.nodes and self._is_built(one)}

    def is_view(self, node: str) -> bool:
        """Whether it holds no rows of its own."""
        return bool(self.nodes[node]["config"].get("materialized") == "view")

    def shown(self, node: str) -> list[str]:
        """The sources whose rows a view shows, with nothing between that stores them."""
        if node not in self.nodes or self.nodes[node]["config"].get("materialized") not in ("view", "ephemeral"):
            return []
        found = set()
        for parent in self._parents.get(node, []):
            found |= {self._called(parent)} if parent.startswith("source.") else {*self.shown(parent)}
        return sorted(found)

    def place(self, node: str) -> str:
        """Database, schema and name of what it is built into, as the log has it."""
        found = self.nodes[node]
        parts = (found.get("database"), found.get("schema"), found.get("alias") or found["name"])
        return ".".join(part or "" for part in parts).lower()

    def _called(self, source: str) -> str:
        found = self.nodes.get(source) or {}
        return f"{found.get('source_name')}.{found.get('name')}"

    def readers(self, source: str, among: Iterable[str]) -> set[str]:
        """Which of the nodes read a source."""
        return {node for node in among if source in self._tables(self._parents.get(node, []))}

    def is_by_day(self, test: str) -> bool:
        """Whether the test looks at the days being built only."""
        config = self.nodes[test]["config"]
        return BY_DAY in (config.get("where") or "") or (config.get("meta") or {}).get("bounded_by") == "event_day"

    def grows(self, node: str) -> bool:
        """Whether the model is built day by day."""
        return bool((self.nodes[node]["config"].get("meta") or {}).get("grows_by") == "event_day")

    def fingerprint(self, node: str) -> str:
        """How a test is defined, or what a model reads, as dbt_package/macros/audit.sql logs it with each result."""
        if node in self._fingerprints:
            return self._fingerprints[node]
        found = self.nodes[node]
        if found["resource_type"] == "test":
            parts = [found.get("raw_code") or "", *(str(found["config"].get(key) or "").lower() for key in WHOLE)]
            parts += self._rules(found)
        else:
            parts = sorted(found["depends_on"]["nodes"])
        self._fingerprints[node] = md5("|".join(parts).encode(), usedforsecurity=False).hexdigest()
        return self._fingerprints[node]

    def _rules(self, test: dict[str, Any]) -> list[str]:
        """The macros that a test names, what bounds it, and what those call; dbt's own are dbt's to answer for.

        Of a test that dbt brings, the project's own form is one of them: dbt calls it, and no manifest says so.
        """
        found: list[str] = []
        named = (test.get("depends_on") or {}).get("macros") or []  # dbt adds what it calls itself when it runs one
        queue = [name for name in named if name.rpartition(".")[2] in (test.get("raw_code") or "")]
        forms = tuple(f"__{name.rpartition('.')[2]}" for name in queue if name.startswith(OF_DBT))
        queue += [name for name in self._own if name.endswith(forms)]
        queue += [f"macro.{self._project}.get_where_subquery"] if test.get("attached_node") else []
        while queue:
            name = queue.pop()
            if name not in found and name in self._macros and not name.startswith(OF_DBT):
                found.append(name)
                queue += self._macros[name]["depends_on"]["macros"]
        return [self._macros[name]["macro_sql"] for name in sorted(found)]

    def weakened(self, tests: Iterable[str], nodes: set[str]) -> Iterable[tuple[str, str]]:
        """Names of tests that say less than they seem to, and how; of those on the nodes that are switched off, too."""
        for test in tests:
            node = self.nodes[test]
            may_warn = (node["config"].get("meta") or {}).get("gate") == "open_list"
            for key, whole in WHOLE.items():
                value = str(node["config"].get(key) or whole)
                by_day = key == "where" and value == BY_DAY
                if value.lower() != whole and not by_day and not (key == "severity" and may_warn):
                    yield node["name"], f"{key}: {value}"
        read = {self.nodes[node]["name"] for node in nodes}
        for node in (one for versions in self._disabled.values() for one in versions):
            if node["resource_type"] == "test":
                attached = node.get("attached_node")
                refs = {ref["name"] for ref in node.get("refs") or []}
                if attached in nodes or (not attached and refs & read):
                    yield node["name"], "enabled: false"

    def is_switched_off(self, node: str) -> bool:
        """Whether the project still has it, with `enabled: false`."""
        return node in self._disabled

    def has_key(self, dataset: Dataset) -> bool:
        """Whether a test tells the dataset's rows apart: by its key, or by what orders them."""
        known = {"namespace", "unique_key", dataset.window, dataset.key, *dataset.order_by}
        for test in self.tests_on({dataset.unique_id}):
            metadata = self.nodes[test].get("test_metadata") or {}
            columns = self._tested_columns(metadata.get("kwargs") or {})
            if metadata.get("name") in KEY_TESTS and columns and columns <= known:
                return True
            if (self.nodes[test]["config"].get("meta") or {}).get("gate") == "key":
                return True
        return False

    def selectors(self, unique_ids: Iterable[str]) -> list[str]:
        """dbt selectors of all that the nodes and the tests on them need."""
        read = self.read(unique_ids)
        read |= self.read(
            {parent for test in self.tests_on(read) for parent in self.nodes[test]["depends_on"]["nodes"]}
        )
        return self._selectors(read)

    def dated_sources(self, unique_ids: Iterable[str]) -> list[str]:
        """dbt selectors of the sources of the nodes that may be silent for so long only."""
        return self._selectors(node for node in self.read(unique_ids) if self.silence(node))

    def silence(self, node: str) -> timedelta | None:
        """For how long nothing may land in a source, if it says so: its `error_after`."""
        most = (self.nodes[node].get("freshness") or {}).get("error_after") or {}
        return timedelta(**{f"{most['period']}s": most["count"]}) if most.get("count") else None

    def _selectors(self, nodes: Iterable[str]) -> list[str]:
        return sorted(
            ("source:" if self.nodes[node]["resource_type"] == "source" else "fqn:") + ".".join(self._name(node))
            for node in nodes
        )

    def _name(self, node: str) -> list[str]:
        found = self.nodes[node]
        if found["resource_type"] == "source":
            return [found["package_name"], found["source_name"], found["name"]]
        return list(found["fqn"])

    def _is_built(self, node: str) -> bool:
        found = self.nodes[node]
        return found["resource_type"] in BUILT and found["config"]["materialized"] != "ephemeral"

    def _tables(self, read: Iterable[str]) -> set[str]:
        """The nodes with the tables that views of them show, and in the place of an ephemeral model what it is made of.

        Rows of a view change with the tables below it, whoever builds those.
        """
        found: set[str] = set()
        queue = list(read)
        while queue:
            node = queue.pop()
            kind = self.nodes[node]["config"].get("materialized") if node in self.nodes else None
            if kind == "view" and node not in found:
                queue += [parent for parent in self._parents.get(node, []) if not parent.startswith("source.")]
            if kind == "ephemeral":
                queue += self._parents.get(node, [])
            else:
                found.add(node)
        return found

    @cached_property
    def _subjects(self) -> dict[str, set[str]]:
        """What each test speaks of: what it is attached to; else, of what it reads, whatever nothing else is built of.

        A test that holds an export against the model it is made from speaks of the export: if that one is broken, what
        else is made from the model may still leave.
        """
        return {
            test: {node["attached_node"]} if node.get("attached_node") else self.last_of(node["depends_on"]["nodes"])
            for test, node in self.nodes.items()
            if node["resource_type"] in TESTS
        }

    def last_of(self, nodes: Iterable[str]) -> set[str]:
        """Those of the nodes of which no other is built."""
        read = set(nodes)
        return {one for one in read if not any(one in self.read([other]) for other in read - {one})}

    @staticmethod
    def _tested_columns(arguments: dict[str, Any]) -> set[str]:
        named = (
            arguments.get("columns") or arguments.get("combination_of_columns") or arguments.get("column_name") or ()
        )
        return {named} if isinstance(named, str) else set(named)

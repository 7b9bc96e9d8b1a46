"""A small project of audiences, made in a moment: people of two clients, an audience of them, and who may have what."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import yaml
from builders import NOW
from small_project import AUDIT

from delivery import run as runner
from delivery.config.project import Project, open_project
from delivery.progress import Watch
from delivery.schedule.request import Request

COLUMNS = {
    "namespace": ("internal", False),
    "customer_id": ("optional", True),
    "email": ("file", False),
    "phone": ("file", False),
    "is_unsubscribed": ("optional", False),
    "first_name": ("optional", True),
    "points": ("optional", True),
    "pclv": ("optional", True),
}
PEOPLE = """
    create table people as
    select namespace, namespace[1] || '-' || lpad(n::text, 3, '0') as customer_id,
        case when n % 7 > 0 then namespace[1] || n || '@example.com' end as email,
        case when n % 2 = 0 or n % 7 = 0 then '+4477009' || lpad(n::text, 5, '0') end as phone,
        n % 5 = 0 as is_unsubscribed, 'Name ' || n as first_name, n::bigint as points, 100 - n as pclv
    from range(1, 41) as numbers(n), (values ('acme_outdoor'), ('brightside_beauty')) as clients(namespace)
    order by namespace, customer_id;
    create table aud_many as
    select namespace, customer_id, is_unsubscribed from people where points <= 20 order by namespace, customer_id;
    create table definition_entitlements as
    select namespace, definition, not (namespace = 'brightside_beauty' and definition = 'pclv') as entitled,
        case when namespace = 'brightside_beauty' and definition = 'pclv' then 'no contract for pclv' end as reason
    from (select distinct namespace from people),
        unnest(['customer_id', 'first_name', 'points', 'pclv']) as d(definition);
"""
MODELS = ("people", "aud_many", "definition_entitlements")


@cache
def _warehouse() -> bytes:
    with TemporaryDirectory() as folder, duckdb.connect(f"{folder}/warehouse.duckdb") as connection:
        connection.execute(PEOPLE + AUDIT.format(schema="main").split("insert", 1)[0])
        connection.execute("checkpoint")
        return Path(folder, "warehouse.duckdb").read_bytes()


@dataclass
class Audiences:
    """The project in a folder. export: the campaign's meta; definitions: of the integration `acme`."""

    root: Path
    export: dict[str, Any] = field(default_factory=dict)
    definitions: list[str] = field(default_factory=lambda: ["pclv", "first_name"])
    acme: dict[str, Any] = field(default_factory=dict)
    campaigns: tuple[str, ...] = ("many",)

    def __post_init__(self) -> None:
        (self.root / "target").mkdir(parents=True)
        (self.root / "dbt_project.yml").write_text("name: p\nprofile: p\n")
        (self.root / "profiles.yml").write_text(
            "p:\n  target: duckdb\n  outputs:\n    duckdb: {type: duckdb, path: warehouse.duckdb}\n"
        )
        (self.root / "warehouse.duckdb").write_bytes(_warehouse())
        self.built()
        self.write()

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Runs a statement in the warehouse."""
        with duckdb.connect(str(self.root / "warehouse.duckdb")) as connection:
            return connection.execute(statement).fetchall()

    def built(self, **tests: str) -> None:
        """Logs a build of everything, with the results of the tests."""
        at = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"
        results = {f"model.p.{name}": "success" for name in MODELS} | {f"test.p.{name}_key": "pass" for name in MODELS}
        results |= {f"test.p.{name}_key": status for name, status in tests.items()}
        rows = ", ".join(
            f"('i', '{at}', 'end', 'build', false, '{node}', '{node.split('.')[0]}', '{status}',"
            f" {int(status == 'fail')}, true)"
            for node, status in results.items()
        )
        self.sql(
            "insert into build_log (invocation_id, started_at, phase, command, partial, unique_id, resource_type,"
            f" status, failures, whole_table) values {rows}"
        )

    def write(self) -> None:
        """Writes the manifest and integrations.yml as the fields say."""
        share = {"vendor_name": "V", "destination": {"type": "hosted"}, "directory": "in", "existing": "hold"}
        named = {"file_name": "{campaign}_{window:%Y-%m-%d}"}
        acme = share | named | {"namespace": "acme_outdoor", "definitions": self.definitions} | self.acme
        bright = (
            share
            | {"file_name": "{namespace}_{window:%Y-%m-%d}"}
            | {"namespace": "brightside_beauty", "definitions": ["first_name"]}
        )
        (self.root / "integrations.yml").write_text(
            yaml.safe_dump({"integrations": {"acme": acme, "bright": bright}}, sort_keys=False)
        )
        (self.root / "target" / "manifest.json").write_text(json.dumps(self._manifest()))

    def _manifest(self) -> dict[str, Any]:
        present = [row[0] for row in self.sql("from (describe people) select column_name")]
        nodes = {
            "model.p.people": _model("people", {n: _meta(*rule) for n, rule in COLUMNS.items() if n in present})
            | {"config": {"materialized": "table", "meta": {"dataset": DATASET}}},
            "model.p.aud_many": _model(
                "aud_many", {name: {} for name in ("namespace", "customer_id", "is_unsubscribed")}
            ),
            "model.p.definition_entitlements": _model("definition_entitlements", {}),
        }
        tests = {
            f"test.p.{name}_key": {
                "resource_type": "test", "name": f"{name}_key", "attached_node": f"model.p.{name}", "config": {},
                "test_metadata": {"name": "is_key", "kwargs": {"columns": ["namespace", "customer_id"]}},
                "depends_on": {"nodes": [f"model.p.{name}"]}, "fqn": ["p", name],
            }
            for name in MODELS
        }  # fmt: skip
        export = {"dataset": "people", "audience": "aud_many", "integrations": ["acme"], "schedule": "0 5 * * *"}
        exposures = {
            f"exposure.p.{name}": {
                "name": name, "depends_on": {"nodes": list(nodes)}, "fqn": ["p", name],
                "config": {"meta": {"export": export | self.export}},
            }
            for name in self.campaigns
        }  # fmt: skip
        parents = {name: [] for name in nodes} | {name: test["depends_on"]["nodes"] for name, test in tests.items()}
        return {"nodes": nodes | tests, "exposures": exposures, "parent_map": parents}

    @property
    def project(self) -> Project:
        """The project as the runner sees it."""
        return open_project(self.root, None, None)

    def run(self, at: datetime = NOW, **request: Any) -> list[runner.Outcome]:
        """One run, after writing the files anew."""
        self.write()
        return runner.run(self.project, Request(at=at, **request), Watch())

    def files(self) -> dict[str, bytes]:
        """What lies on the share, by name."""
        return {path.name: path.read_bytes() for path in sorted((self.root / "share").rglob("*")) if path.is_file()}

    def rows(self, name: str) -> list[str]:
        """The lines of a file, without the header."""
        return self.files()[name].decode().split("\r\n")[1:-1]


DATASET = {"order_by": ["customer_id"], "key": "customer_id", "contacts": ["email", "phone"]}


def _meta(layout: str, is_definition: bool) -> dict[str, Any]:
    return ({} if layout == "file" else {"layout": layout}) | ({"definition": {"kind": "x"}} if is_definition else {})


def _model(name: str, columns: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "resource_type": "model", "name": name, "relation_name": f'"warehouse"."main"."{name}"', "fqn": ["p", name],
        "columns": {n: {"name": n, "data_type": "text", "config": {"meta": m}} for n, m in columns.items()},
        "config": {"materialized": "table"}, "depends_on": {"nodes": []},
    }  # fmt: skip

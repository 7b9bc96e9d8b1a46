"""A dbt project of one tested model, as dbt would leave it, made in milliseconds and without dbt.

Each thing has a neighbour that a key must tell apart: three clients with rows of the same times, the days before and
after the one that is asked for, a log with builds of those days. A test may ask for more days and campaigns.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

ROWS = 600
NEAR = 20  # rows of a client on each other day
DAY = "2026-11-03"
BESIDE = ("2026-11-02", "2026-11-04")
AT = datetime(2026, 11, 4, 6, tzinfo=UTC)
CLIENTS = ("acme_outdoor", "brightside_beauty", "cedar_books")
CANARIES = {"SWEEP_PASSWORD": "canary-of-the-password", "SWEEP_PASSPHRASE": "canary-of-the-passphrase"}
SFTP = """
  {name}:
    vendor_name: Acme
    namespace: acme_outdoor
    directory: {directory}
    destination:
      type: sftp
      host: sftp.example.com
      username: acme
      password: "{{{{ env_var('SWEEP_PASSWORD') }}}}"
      private_key: key
      passphrase: "{{{{ env_var('SWEEP_PASSPHRASE') }}}}"
      host_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIlOM4VJ6dIqWGYKzvYF8Jj0yD5T2i6yL7O5m0c7b9Xk]
      publish: {publish}
"""
SHARE = """
  {name}:
    vendor_name: Acme
    namespace: {namespace}
    directory: inbox
    destination: {{type: hosted}}
"""
INTEGRATIONS = "integrations:" + "".join(
    [
        SFTP.format(name="by_sftp", directory="inbox", publish="rename"),
        SFTP.format(name="without_rename", directory="open", publish="exclusive"),
        *(SHARE.format(name=f"share_of_{client}", namespace=client) for client in CLIENTS[1:]),
        SHARE.format(name="by_share", namespace=CLIENTS[0]),
    ]
)


def canary(client: str) -> str:
    """What stands in each row of a client, and nowhere else."""
    return f"canary-of-{client.replace('_', '-')}"


AUDIT = """
create table {schema}.build_log (invocation_id text, started_at timestamp, phase text, command text,
    partial boolean, unique_id text, resource_type text, status text, failures bigint,
    whole_table boolean, message text, began_at timestamp, ended_at timestamp, fingerprint text, speaks_of text);
create table {schema}.build_days (invocation_id text, started_at timestamp, unique_id text, event_day date,
    ended_at timestamp);
create table {schema}.build_failures (invocation_id text, unique_id text, namespace text, event_day date,
    failures bigint);
insert into {schema}.build_days (invocation_id, started_at, unique_id, event_day)
    values ('i1', '2026-11-25 05:00:00', 'model.sweep.events', '2026-11-03');
insert into {schema}.build_log (invocation_id, started_at, phase, command, partial, unique_id, resource_type, status,
    failures, whole_table) values
    ('i1', '2026-11-25 05:00:00', 'start', 'build', false, 'model.sweep.events', 'model', 'selected', null, null),
    ('i1', '2026-11-25 05:00:00', 'end', 'build', false, 'model.sweep.events', 'model', 'success', null, true),
    ('i1', '2026-11-25 05:00:00', 'end', 'build', false, 'test.sweep.unique', 'test', 'pass', 0, false)
"""
POSTGRES = """
sweep:
  target: duckdb
  outputs:
    duckdb: {{type: duckdb, path: warehouse.duckdb}}
    postgres:
      {{type: postgres, host: {host}, user: delivery, password: "{password}", dbname: {database}, schema: delivery}}
"""


def make_postgres_project(root: Path, server: psycopg.Connection[Any], *, rows: int = ROWS, password: str = "") -> None:
    """The same project with its tables in a database, too; hosted shares only."""
    make_project(root)
    info = server.info
    text = POSTGRES.format(host=info.host, database=info.dbname, password=password)
    (root / "profiles.yml").write_text(text)
    shares = [SHARE.format(name=f"share_of_{client}", namespace=client) for client in CLIENTS]
    (root / "integrations.yml").write_text("integrations:" + "".join(shares))
    relation = f'"{info.dbname}"."delivery"."events"'
    (root / "target" / "manifest.json").write_text(json.dumps(_manifest(relation)))
    server.execute("create schema delivery")
    server.execute(f"""
        create table delivery.events as
        select client as namespace, 'canary-of-' || replace(client, '_', '-') || n || '@example.com' as email,
            timestamp '{DAY} 00:00:00' + mod(n, 1440) * interval '1 minute' as event_time,
            md5(client || n) as unique_key,
            timestamp '{DAY} 00:00:00' as updated_at, date '{DAY}' as event_day
        from generate_series(0, {rows - 1}) as numbers(n), unnest(array{list(CLIENTS)}) as client
    """)
    for statement in AUDIT.format(schema="delivery").split(";"):
        server.execute(statement)


def make_project(
    root: Path,
    *,
    rows: int = ROWS,
    beside: tuple[str, ...] = BESIDE,
    empty: tuple[str, ...] = (),
    campaigns: Mapping[str, dict[str, Any]] | None = None,
) -> None:
    """Makes the project in a new folder: 600 rows of each of three clients on one day, one campaign to each of them.

    beside: other days, with fewer rows; empty: days that were built and have none; campaigns: what others beside
    `daily` say of their export.
    """
    root.mkdir(parents=True)
    (root / "dbt_project.yml").write_text("name: sweep\nprofile: sweep\n")
    (root / "profiles.yml").write_text(
        "sweep:\n  target: duckdb\n  outputs:\n    duckdb: {type: duckdb, path: warehouse.duckdb}\n"
    )
    (root / "integrations.yml").write_text(INTEGRATIONS)
    (root / "key").touch(mode=0o600)
    (root / "target").mkdir()
    (root / "target" / "manifest.json").write_text(json.dumps(_manifest(campaigns=campaigns)))
    (root / "warehouse.duckdb").write_bytes(_warehouse(rows, beside, empty))


@cache
def _warehouse(rows: int, beside: tuple[str, ...], empty: tuple[str, ...]) -> bytes:
    """The file, made once in a process: copied, it costs a fiftieth."""
    days = "(values " + ", ".join(f"(date '{day}', {rows if day == DAY else NEAR})" for day in (DAY, *beside)) + ")"
    with TemporaryDirectory() as folder, duckdb.connect(f"{folder}/warehouse.duckdb") as connection:
        connection.execute(f"""
            create table events as
            select client as namespace, 'canary-of-' || replace(client, '_', '-') || n || '@example.com' as email,
                day + n * interval 1 minute as event_time,
                md5(client || n || if(day = '{DAY}', '', day::text)) as unique_key,
                timestamp '{DAY} 00:00:00' as updated_at, day as event_day
            from {days} as days(day, most), (select unnest({list(CLIENTS)}) as client), range({rows}) as numbers(n)
            where n < most order by client, event_time;
        """)
        connection.execute(AUDIT.format(schema="main"))
        connection.execute(f"""
            insert into build_days select build_days.* replace (day as event_day)
            from build_days, {days} as days(day, most) where day <> '{DAY}';
            insert into build_days select build_days.* replace (cast(day as date) as event_day)
            from build_days, (select unnest({list(empty)}::text[]) as day) where event_day = '{DAY}'
        """)
        connection.execute("checkpoint")
        return Path(folder, "warehouse.duckdb").read_bytes()


def _manifest(
    relation: str = '"warehouse"."main"."events"', campaigns: Mapping[str, dict[str, Any]] | None = None
) -> dict[str, Any]:
    names = {"namespace": "text", "email": "text", "event_time": "timestamp", "unique_key": "text", "event_day": "date",
             "updated_at": "timestamp"}  # fmt: skip
    columns = {
        name: {
            "name": name,
            "data_type": kind,
            "config": {"meta": {"layout": "internal"} if name in {"event_day", "updated_at"} else {}},
        }
        for name, kind in names.items()
    }
    model = {
        "resource_type": "model", "name": "events", "relation_name": relation, "columns": columns,
        "fqn": ["sweep", "events"], "depends_on": {"nodes": []},
        "config": {
            "materialized": "incremental",
            "meta": {"dataset": {"window": "event_day", "order_by": ["event_time", "unique_key"]},
                     "grows_by": "event_day"},
        },
    }  # fmt: skip
    test = {
        "resource_type": "test", "name": "unique", "attached_node": "model.sweep.events",
        "test_metadata": {"name": "unique", "kwargs": {"column_name": "unique_key"}},
        "config": {"where": "__rebuilt_days__", "meta": {}},
        "depends_on": {"nodes": ["model.sweep.events"]}, "fqn": ["sweep", "unique"],
    }  # fmt: skip
    export = {"dataset": "events", "integrations": "all", "schedule": "0 5 * * *"}
    exposures = {
        f"exposure.sweep.{name}": {
            "name": name, "depends_on": {"nodes": ["model.sweep.events"]}, "fqn": ["sweep", name],
            "config": {"meta": {"export": export | more}},
        }
        for name, more in ({"daily": {}} | dict(campaigns or {})).items()
    }  # fmt: skip
    return {
        "nodes": {"model.sweep.events": model, "test.sweep.unique": test},
        "exposures": exposures,
        "parent_map": {"model.sweep.events": [], "test.sweep.unique": ["model.sweep.events"]},
        "child_map": {"model.sweep.events": ["test.sweep.unique"], "test.sweep.unique": []},
    }

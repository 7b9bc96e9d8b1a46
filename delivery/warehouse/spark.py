"""Spark: tables are parquet parts on a path; they are read where they lie, without a JVM, by the embedded DuckDB.

The parts are listed once, when the snapshot is opened, so that gate and rows speak of the same ones. The build log is
listed last: a build that replaced a part before it was listed has said there that it began, and the gate refuses it.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from delivery.errors import ConfigError, WriteFailed, redact
from delivery.warehouse.duckdb import DuckDB, in_little_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from delivery.config.project import Project

# A reader of parquet holds a whole row group of each column; profiles.yml says how large Spark may make them.
SCAN_MEMORY = "128MB"
LISTED_LAST = ("build_days", "build_failures", "build_log")
WAREHOUSE_KEY = "spark.sql.warehouse.dir"
# dbt-spark writes `name`; text literals are stepped over.
QUOTED = re.compile(r"('(?:[^']|'')*')|`([^`]*)`")


class Parts(DuckDB):
    """The parts of one Spark warehouse as they were when it was opened."""

    # Spark writes the parts of a sorted table in its order, and they are read by name, one after another.
    keeps_order = True
    scan_memory = SCAN_MEMORY

    def table(self, sql: str) -> pa.Table:
        """A small result, whole."""
        with _explained():
            return super().table(_in_our_quotes(sql))

    def stream(self, sql: str, *, sorts: bool = False) -> Iterator[pa.RecordBatch]:
        """A result of any size, in batches."""
        with _explained():
            yield from super().stream(_in_our_quotes(sql), sorts=sorts)


@contextmanager
def _explained() -> Iterator[None]:
    """A part that went away while it was read has a reason that DuckDB does not know."""
    try:
        yield
    except WriteFailed as error:
        if "No files found" not in str(error) and "Cannot open file" not in str(error):
            raise
        raise WriteFailed(
            "A part of the Spark warehouse went away while it was read: a build replaced it.",
            hint="Let the build end, then run again; what was not finished is resumed.",
        ) from None


def _in_our_quotes(sql: str) -> str:
    """The statement with dbt-spark's `names` as "names"; text literals stay as they are."""
    return QUOTED.sub(lambda found: found[1] or f'"{found[2]}"', sql)


@contextmanager
def open_spark(project: Project) -> Iterator[Parts]:
    """The tables of the target's schema, by the parts that they have now."""
    folder = _schema_folder(project.root, project.profile)
    connection = duckdb.connect(":memory:", config=in_little_memory(project, SCAN_MEMORY))
    try:
        schema = project.profile["schema"]
        connection.execute(f'create schema "{schema}"')
        tables = sorted(
            (path for path in folder.iterdir() if path.is_dir()), key=lambda p: (p.name in LISTED_LAST, p.name)
        )
        empty = _columns_by_contract(project)
        for table in tables:
            connection.execute(f'create view "{schema}"."{table.name}" as {_select(table, empty.get(table.name))}')
        connection.execute("begin transaction")
        yield Parts(connection)
    except duckdb.Error as error:
        raise WriteFailed(
            f"The Spark warehouse at {folder} cannot be read: {redact(str(error).splitlines()[0])}",
            hint="Let a build that is running end; then run again.",
        ) from None
    finally:
        connection.close()


def _schema_folder(root: Path, profile: dict[str, Any]) -> Path:
    """The folder of the session catalog's schema. Raises ConfigError when there is none."""
    where = (profile.get("server_side_parameters") or {}).get(WAREHOUSE_KEY)
    if not where:
        raise ConfigError(
            f"The target names no {WAREHOUSE_KEY}.",
            hint="Set it under server_side_parameters in profiles.yml: the runner reads the tables there.",
        )
    folder = root / str(where).removeprefix("file:") / f"{profile['schema']}.db"
    if not folder.is_dir():
        raise ConfigError(
            f"There is no Spark warehouse at {folder}.",
            hint="Run `dbt build --target spark`, or set SPARK_WAREHOUSE to the folder that Spark writes to.",
        )
    return folder


def _select(table: Path, columns: dict[str, str] | None) -> str:
    """A query on the parts that a table has now. Parts being written lie below names that begin with _ or a dot."""
    parts = sorted(
        str(path)
        for path in table.rglob("*.parquet")
        if not any(step.startswith(("_", ".")) for step in path.relative_to(table).parts)
    )
    if parts:
        listed = ", ".join("'" + part.replace("'", "''") + "'" for part in parts)
        by_name = ", hive_partitioning = true" if any("=" in Path(part).parent.name for part in parts) else ""
        types = ", hive_types = {'event_day': date}" if any("/event_day=" in part for part in parts) else ""
        widened = ", union_by_name = true" if table.name in LISTED_LAST else ""  # they got columns later
        return f"select * from read_parquet([{listed}]{by_name}{types}{widened})"
    if columns:
        return (
            "select "
            + ", ".join(f'cast(null as {kind}) as "{name}"' for name, kind in columns.items())
            + " where false"
        )
    # Nothing says what such a table holds; a query on it then names the table as one that is not there.
    return "select null as nothing where false"


def _columns_by_contract(project: Project) -> dict[str, dict[str, str]]:
    """Per model with types for all columns: name and type; what an empty table, which has no parts, would hold."""
    found: dict[str, dict[str, str]] = {
        "build_days": {
            "invocation_id": "varchar",
            "started_at": "timestamp",
            "unique_id": "varchar",
            "event_day": "date",
            "ended_at": "timestamp",
        },
        "build_failures": {
            "invocation_id": "varchar",
            "unique_id": "varchar",
            "namespace": "varchar",
            "event_day": "date",
            "failures": "bigint",
        },
    }
    for node in project.manifest()["nodes"].values():
        columns = {name: column.get("data_type") for name, column in (node.get("columns") or {}).items()}
        if columns and all(columns.values()):
            found[node["name"]] = {name: str(kind) for name, kind in columns.items()}
    return found

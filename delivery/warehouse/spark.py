"""Spark: tables are parquet parts on a path; they are read where they lie, without a JVM, by the embedded DuckDB.

The parts are listed once, when the snapshot is opened, so that gate and rows speak of the same ones. The build log is
listed last: a build that replaced a part before it was listed has said there that it began, and the gate refuses it.
A statement binds only the tables that it names, so that one that cannot be read is nobody else's trouble.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from delivery.errors import ConfigError, NotRead, WriteFailed, redact
from delivery.sql import identifier, literal, path_literal
from delivery.warehouse.duckdb import DuckDB, in_little_memory
from delivery.warehouse.folders import tables_of
from delivery.warehouse.parts import DAY, Held, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from delivery.config.project import Project

# A reader of parquet holds a whole row group of each column; profiles.yml says how large Spark may make them.
SCAN_MEMORY = "128MB"
WAREHOUSE_KEY = "spark.sql.warehouse.dir"
SCHEME = re.compile(r"^([a-z][a-z0-9+.-]*):", re.IGNORECASE)
# dbt-spark writes `name`; text literals are stepped over.
QUOTED = re.compile(r"('(?:[^']|'')*')|`([^`]*)`")
TEXT = re.compile(r"'(?:[^']|'')*'")
# The days that a statement asks for, as delivery/warehouse/rows.py says them.
DAYS_ASKED = re.compile(rf"\"{DAY}\" >= date '([\d-]+)' and \"{DAY}\" < date '([\d-]+)'")


class Parts(DuckDB):
    """The tables of one schema of a Spark warehouse as they were when it was opened.

    tables: what each holds, or why nobody knows. columns: name and type of those that have a contract.
    """

    # Spark writes the parts of a sorted table in its order, and they are read by name, one after another.
    keeps_order = True
    scan_memory = SCAN_MEMORY

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        schema: str,
        tables: Mapping[str, Held | NotRead],
        columns: Mapping[str, dict[str, str]],
    ) -> None:
        super().__init__(connection)
        self._schema, self._tables, self._columns = schema, tables, columns
        self._named = re.compile(rf'\b"?{re.escape(schema)}"?\s*\.\s*"?(\w+)"?', re.IGNORECASE)
        connection.execute(f"create schema {identifier(schema)}")
        connection.execute("set TimeZone = 'UTC'")  # of times with a zone, whatever that of this machine

    def table(self, sql: str) -> pa.Table:
        """A small result, whole. Raises NotRead where it names a table of which nobody knows what it holds."""
        with _explained():
            return super().table(self._bound(sql))

    def stream(self, sql: str, *, sorts: bool = False) -> Iterator[pa.RecordBatch]:
        """A result of any size, in batches. Raises NotRead as `table` does."""
        with _explained():
            yield from super().stream(self._bound(sql), sorts=sorts)

    def _bound(self, sql: str) -> str:
        """The statement in our quotes, once what it names is there to be read.

        Of a table that is cut by day, only the parts of the days asked for are bound: a list of all of its history
        costs half a second and 500 MB a statement once it has 40,000 parts. The condition on days stays in the
        statement, so what is bound beyond them does no harm; two tables or two conditions bind everything.
        """
        sql = _in_our_quotes(sql)
        names = [name.lower() for name in self._named.findall(TEXT.sub("''", sql))]
        asked = DAYS_ASKED.findall(sql)
        for name in dict.fromkeys(names):
            held = self._tables.get(name)
            if isinstance(held, NotRead):
                raise held
            if held is not None:
                parts = list(held.parts)
                if by_day := held.days() if len(asked) == names.count(name) == 1 else {}:
                    parts = [part for part, day in by_day.items() if day and asked[0][0] <= day < asked[0][1]]
                view = f"{identifier(self._schema)}.{identifier(name)}"
                self._bind(view, name, held, parts)
        return sql

    def _bind(self, view: str, name: str, held: Held, parts: list[str]) -> None:
        try:
            self._connection.execute(f"create or replace view {view} as {self._select(name, held, parts)}")
        except duckdb.Error as error:
            raise WriteFailed(
                f"The table {name} cannot be read: {redact(str(error).splitlines()[0])}",
                hint="Let a build that is running end; then run again, or build the table anew.",
            ) from None

    def _select(self, name: str, held: Held, parts: list[str]) -> str:
        """A query on parts of a table, or, when there are none, one that has its columns and no rows."""
        columns, none = self._columns.get(name, {}), "" if parts else " where false"
        parts = parts or list(held.parts[:1])
        head = ""
        if held.schema is not None:
            head = f"select * from {identifier(f'of {name}')}"
            self._connection.register(f"of {name}", held.schema.empty_table())
            columns = self._types(head)
        if not parts and not columns:
            # Nothing says what such a table holds; a query on it then names the table as one that is not there.
            return "select null as nothing where false"
        if not parts:
            return head or _without_rows(columns)
        cut = values_of(parts[0]) if held.is_cut else {}
        kinds = ", ".join(f"{identifier(c)}: {literal(columns.get(c, 'date' if c == DAY else 'varchar'))}" for c in cut)
        options = f", hive_partitioning = true, hive_types = {{{kinds}}}" if cut else ", hive_partitioning = false"
        # Told only of the first one's columns, DuckDB leaves out what later parts have more, and casts 1.7 to 2.
        options += "" if held.is_alike else ", union_by_name = true"
        found = f"select * from read_parquet([{', '.join(map(path_literal, parts))}]{options}){none}"
        rows = f"{head} union all by name {found}" if head else found
        return f"select * {_as_elsewhere(self._types(rows))} from ({rows})"

    def _types(self, query: str) -> dict[str, str]:
        """The columns of a query, with their types."""
        return {name: kind for name, kind, *_ in self._connection.execute(f"describe {query}").fetchall()}


def _without_rows(columns: Mapping[str, str]) -> str:
    nulls = ", ".join(f"cast(null as {kind}) as {identifier(name)}" for name, kind in columns.items())
    return f"select {nulls} where false"


def _as_elsewhere(types: Mapping[str, str]) -> str:
    """What makes of columns what other engines give: times are UTC in microseconds without a zone."""
    times = [identifier(name) for name, kind in types.items() if kind.startswith("TIMESTAMP") and kind != "TIMESTAMP"]
    return f"replace ({', '.join(f'cast({name} as timestamp) as {name}' for name in times)})" if times else ""


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
    folder, schema = _schema_folder(project.root, project.profile), project.profile["schema"]
    models = {str(node.get("alias") or node["name"]): node for node in project.manifest()["nodes"].values()}
    try:
        tables = tables_of(folder, models, schema, project.target)
    except (OSError, pa.ArrowException) as error:  # a part may go away while it is looked at
        raise WriteFailed(
            f"The Spark warehouse at {folder} cannot be read: {redact(str(error).splitlines()[0])}",
            hint="Let a build that is running end; then run again.",
        ) from None
    connection = duckdb.connect(":memory:", config=in_little_memory(project, SCAN_MEMORY))
    try:
        yield Parts(connection, schema, tables, _columns_by_contract(models))
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
    scheme = SCHEME.match(str(where))
    if scheme and scheme[1].lower() != "file":
        raise ConfigError(
            f"The Spark warehouse is at {scheme[1]}://…, which is no folder: the runner reads tables on a path only.",
            hint="Set SPARK_WAREHOUSE to a path that Spark and the runner both see, as of a mounted store.",
        )
    folder = root / str(where).removeprefix("file:") / f"{profile['schema']}.db"
    if not folder.is_dir():
        raise ConfigError(
            f"There is no Spark warehouse at {folder}.",
            hint="Run `dbt build --target spark`, or set SPARK_WAREHOUSE to the folder that Spark writes to.",
        )
    return folder


def _columns_by_contract(models: Mapping[str, Any]) -> dict[str, dict[str, str]]:
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
    for alias, node in models.items():
        columns = {name: column.get("data_type") for name, column in (node.get("columns") or {}).items()}
        if columns and all(columns.values()):
            found[alias.lower()] = {name: str(kind) for name, kind in columns.items()}
    return found

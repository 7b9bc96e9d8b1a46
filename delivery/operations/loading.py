"""`load`: the landing folder into the raw tables of an engine that reads tables.

The files are read by the models' own reader, dbt's macro `load_raw` on DuckDB, so that every engine is told the same of
each line. What it read lies for a while in parquet files, one a source, which the engine's tables then take.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from delivery.errors import ConfigError, WriteFailed
from delivery.gate.dbt_command import dbt, run_dbt

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from delivery.config.project import Project
    from delivery.progress import Watch

READER = "duckdb"  # the target whose reader of files is used
FILES = "files.parquet"
KNOWN = pa.schema({"file_name": pa.string(), "file_size": pa.int64(), "modified_at": pa.timestamp("us")})


@dataclass(frozen=True)
class Landed:
    """What was read of the files that are new or changed.

    files: name, size and time of change when they were listed, below the landing folder; parts: of each source (schema,
    table), new or not, the rows, those of a file together.
    """

    files: list[dict[str, Any]]
    parts: dict[tuple[str, str], Path]


@dataclass(frozen=True)
class Loaded:
    """What became of a load. waiting: files that changed while they were read; the next load takes them."""

    files: int
    rows: int
    waiting: tuple[str, ...] = ()


class RawTables(Protocol):
    """The raw tables of an engine, opened by one loader at a time."""

    scratch: Path  # where what was read may lie; emptied before and after

    def known(self) -> pa.Table:
        """The files that they hold, as KNOWN; file_size may be NULL."""

    def take(self, landed: Landed) -> Loaded:
        """Takes what was read: of each file all rows or none, in place of those that it had before."""


def load(project: Project, watch: Watch) -> Loaded:
    """Loads what is new or changed. Raises ConfigError where raw data is not in tables, or cannot be read at all."""
    with _raw_tables(project) as tables:
        shutil.rmtree(tables.scratch, ignore_errors=True)
        tables.scratch.mkdir(parents=True, mode=0o700)
        try:
            return tables.take(_read(project, tables, watch))
        finally:
            shutil.rmtree(tables.scratch, ignore_errors=True)


def landing_dir(project: Project) -> Path:
    """Where raw files lie: LANDING_DIR, as the models have it."""
    return project.root / os.environ.get("LANDING_DIR", "landing")


def folder_of(source: tuple[str, str]) -> str:
    """Where the files lie whose rows are for a raw table, given by schema and name: of a provider's events, all."""
    schema, table = source
    return f"{schema}/" if table == "events" else f"{schema}/{table}/"


def _raw_tables(project: Project) -> AbstractContextManager[RawTables]:
    kind = project.profile.get("type")
    if kind == "postgres":
        from delivery.operations.raw_postgres import open_raw

        return open_raw(project)
    if kind == "spark":
        from delivery.operations.raw_spark import open_parts

        return open_parts(project)
    raise ConfigError(
        f"Target {project.target!r} is of type {kind!r}: `load` has no tables to fill there.",
        hint="DuckDB reads the files of LANDING_DIR itself; choose a target of type postgres or spark with --target.",
    )


def _read(project: Project, tables: RawTables, watch: Watch) -> Landed:
    where = landing_dir(project)
    if not where.is_dir():
        raise ConfigError(f"There is no landing folder at {where}.", hint="Set LANDING_DIR to where loaders write.")
    pq.write_table(tables.known(), tables.scratch / "known.parquet")
    into = tables.scratch / "read"
    into.mkdir()
    given = f"{{into: '{into}', known: '{tables.scratch / 'known.parquet'}'}}"
    command = dbt(project, READER, "run-operation", "load_raw", "--args", given)
    aside = {"WAREHOUSE": ":memory:", "DBT_TARGET_PATH": str(project.target_path / "load"), "LANDING_DIR": str(where)}
    if code := run_dbt(command, project.root, watch, os.environ | aside):
        raise WriteFailed(
            f"The landing folder could not be read: dbt ended with exit code {code}.",
            hint="Read its messages above; nothing was loaded.",
        )
    files = into / FILES
    parts = {tuple(path.stem.split(".")): path for path in sorted(into.glob("*.parquet")) if path != files}
    return Landed(pq.read_table(files).to_pylist(), {(schema, table): parts[schema, table] for schema, table in parts})

"""Engines: each opens one read-only snapshot of the warehouse and streams Arrow batches from it.

No engine renders a file: formats differ between them, bytes must not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from delivery.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from delivery.project import Project


# Kinds of target. Each is a module here, with a function `open_<type>`.
KINDS = ("duckdb", "lake", "postgres", "spark", "snowflake", "bigquery", "flightsql")


class Engine(Protocol):
    """One open snapshot.

    keeps_order: whether rows come back in the order in which they were stored. is_snapshot: whether all statements are
    of one state; where they are not, the gate looks again after the rows were read.
    """

    keeps_order: bool
    is_snapshot: bool

    def table(self, sql: str) -> pa.Table:
        """A small result, whole."""

    def stream(self, sql: str, *, sorts: bool = False) -> Iterator[pa.RecordBatch]:
        """A result of any size, in batches, in flat memory. sorts: the statement orders its rows."""


def open_engine(project: Project) -> AbstractContextManager[Engine]:
    """The engine of the project's target. Raises ConfigError for one that is not supported."""
    kind = kind_of(project.profile)
    if kind not in KINDS:
        raise ConfigError(
            f"Target {project.target!r} is of type {kind!r}, which cannot be read.", hint=f"Known: {', '.join(KINDS)}."
        )
    opened = getattr(import_module(f"delivery.engines.{kind}"), f"open_{kind}")  # a driver costs its import only in use
    return cast("AbstractContextManager[Engine]", opened(project))


def kind_of(profile: dict[str, Any]) -> str:
    """What holds the tables of a target: its type, or `lake` where dbt-duckdb builds in a DuckLake that it attaches."""
    return "lake" if attached_lake(profile) else str(profile.get("type"))


def attached_lake(profile: dict[str, Any]) -> dict[str, Any] | None:
    """The entry of `attach` that is the target's database, if that is a DuckLake."""
    for entry in profile.get("attach") or ():
        if entry.get("alias") == profile.get("database") and str(entry.get("path")).startswith("ducklake:"):
            return dict(entry)
    return None


def literal(text: str) -> str:
    """The text as a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """The name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'

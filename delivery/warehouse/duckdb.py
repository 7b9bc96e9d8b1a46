"""DuckDB: the warehouse is one file, which one process writes or many read."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_fixed

from delivery.errors import Busy, ConfigError, WriteFailed, redact
from delivery.warehouse.keys import lock_wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from delivery.config.project import Project

# Rows are rendered and hashed while they are read, so a second reading thread gains no time and costs memory.
BATCH_ROWS = 4_096
SCAN_MEMORY = "48MB"
SORT_MEMORY = "192MB"  # a sort spills to disk beyond it
THREADS = 1
HELD = "Conflicting lock is held in "
Settings = dict[str, str | bool | int | float | list[str]]


class DuckDB:
    """One read-only transaction on the warehouse file."""

    keeps_order = True
    is_snapshot = True
    scan_memory = SCAN_MEMORY

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def table(self, sql: str) -> pa.Table:
        """A small result, whole."""
        try:
            return self._connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise _failed(error) from None

    def stream(self, sql: str, *, sorts: bool = False) -> Iterator[pa.RecordBatch]:
        """A result of any size, in batches of at most BATCH_ROWS rows."""
        try:
            self._connection.execute(f"set memory_limit = '{SORT_MEMORY if sorts else self.scan_memory}'")
            yield from self._connection.sql(sql).to_arrow_reader(BATCH_ROWS)
        except duckdb.Error as error:
            raise _failed(error) from None


def _failed(error: duckdb.Error) -> WriteFailed:
    return WriteFailed(
        f"The warehouse could not be read: {redact(str(error).splitlines()[0])}",
        hint="Run `dbt build`, then run again.",
    )


@contextmanager
def open_duckdb(project: Project) -> Iterator[DuckDB]:
    """The warehouse file of the target, read-only; waits for a build that holds it, then raises Busy."""
    path = project.root / project.profile.get("path", ":memory:")
    if not path.exists():
        raise ConfigError(f"There is no warehouse at {path}.", hint="Run `dbt build`, or `delivery run --build`.")
    connection = _connect(str(path), in_little_memory(project, SCAN_MEMORY), lock_wait())
    try:
        connection.execute("begin transaction")
        yield DuckDB(connection)
    finally:
        connection.close()


def in_little_memory(project: Project, memory: str) -> Settings:
    """Settings of a DuckDB that reads in flat memory, and spills into a folder of the project's state."""
    scratch = project.state / "scratch"
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    return {"memory_limit": memory, "threads": THREADS, "temp_directory": str(scratch)}


def _connect(path: str, settings: Settings, wait: float) -> duckdb.DuckDBPyConnection:
    def say(state: RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome:
            print(f"{_lock_holder(state.outcome.exception())}; waiting up to {wait:.0f} s.", file=sys.stderr)  # noqa: T201

    try:
        for attempt in Retrying(
            retry=retry_if_exception(_is_held),
            wait=wait_fixed(0.5),
            stop=stop_after_delay(wait),
            before_sleep=say,
            reraise=True,
        ):
            with attempt:
                return duckdb.connect(path, read_only=True, config=settings)
    except duckdb.Error as error:
        if not _is_held(error):
            raise _failed(error) from None
        raise Busy(
            f"{_lock_holder(error)}, and still after {wait:.0f} s.",
            hint="Wait for the build to end, or set DELIVERY_LOCK_WAIT (seconds).",
        ) from None
    raise AssertionError


def _is_held(error: BaseException) -> bool:
    return isinstance(error, duckdb.IOException) and HELD in str(error)


def _lock_holder(error: BaseException | None) -> str:
    return f"The warehouse is held by {str(error).split(HELD, 1)[1].split(')', 1)[0]})"

"""PostgreSQL's raw tables: what each landed file holds, in one transaction with the note that it does.

Whenever a loader dies, the file at hand is as it was before; the next load begins with it. Two loaders take turns: the
second is told to wait, so that `loaded_at` grows as rows become visible.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from delivery.errors import Busy, ConfigError, WriteFailed
from delivery.operations.loading import KNOWN, Loaded, folder_of, landing_dir
from delivery.warehouse import postgres
from delivery.warehouse.adbc import connected
from delivery.warehouse.landing import sha256_as_listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.config.project import Project
    from delivery.operations.loading import Landed

BATCH_ROWS = 10_000
LOCK = 7_233_110_845_120  # any number; of the database's advisory locks
MICROSECOND = timedelta(microseconds=1)
# All names with their schema: which one comes first on the search path is not ours to say.
NOTES = """
create table landing.files (
    file_name text primary key, file_size bigint, modified_at timestamp, sha256 text, row_count bigint,
    loaded_at timestamp
);
create index files_loaded_at on landing.files (loaded_at)
"""
TABLE = """
create table {schema}.{table} (
    {received_at}payload text, fault text, file_name text, line_number bigint, landed_at timestamp, loaded_at timestamp
);
create index {table}_file_name on {schema}.{table} (file_name);
create index {table}_loaded_at on {schema}.{table} (loaded_at)
"""
NOTE = """
insert into landing.files values ($1, $2, $3, $4, $5, $6)
on conflict (file_name) do update set (file_size, modified_at, sha256, row_count, loaded_at)
    = (excluded.file_size, excluded.modified_at, excluded.sha256, excluded.row_count, excluded.loaded_at)
"""


class RawPostgres:
    """An open connection that holds the loaders' lock."""

    def __init__(self, connection: Any, project: Project) -> None:
        self._connection = connection
        self._landing = landing_dir(project)
        self.scratch = project.state / "loading"
        self._make("landing", "files", NOTES)
        last: datetime | None = self._table("select max(loaded_at) as last from landing.files")["last"][0].as_py()
        self._last = last or datetime.min

    def known(self) -> pa.Table:
        """The files that were loaded, as they were then."""
        return self._table("select file_name, file_size, modified_at from landing.files").cast(KNOWN)

    def take(self, landed: Landed) -> Loaded:
        """File by file."""
        for schema, table in landed.parts:
            received_at = "received_at timestamp, " if table == "events" else ""
            self._make(schema, table, TABLE.format(schema=schema, table=table, received_at=received_at))
        left = {file["file_name"]: file for file in landed.files}
        found = dict[str, int | None]()
        for source, part in landed.parts.items():
            with pq.ParquetFile(part) as content:
                for name, pieces in groupby(_pieces(content), key=lambda piece: piece[0]):
                    found[name] = self._replace(source, left.pop(name), (rows for _, rows in pieces))
            for name in [name for name in left if name.startswith(folder_of(source))]:  # those without a row
                found[name] = self._replace(source, left.pop(name), iter(()))
        taken = [rows for rows in found.values() if rows is not None]
        return Loaded(len(taken), sum(taken), tuple(name for name, rows in found.items() if rows is None))

    def _replace(self, source: tuple[str, str], file: dict[str, Any], batches: Iterator[pa.RecordBatch]) -> int | None:
        """Puts a file's rows in place of those that it had; how many. None: it has changed since it was listed."""
        schema, table = source
        rows = _Rows(batches, self._next())
        with self._connection.cursor() as cursor:
            # Cast, as the driver may call a text by the name of another type that the server reads alike.
            cursor.execute(f"delete from {schema}.{table} where file_name = cast($1 as text)", (file["file_name"],))
            if rows.first is not None:
                reader = pa.RecordBatchReader.from_batches(rows.first.schema, rows)
                cursor.adbc_ingest(table, reader, mode="append", db_schema_name=schema)
            is_same, sha256 = sha256_as_listed(f"{self._landing}/{file['file_name']}", file)
            if not is_same:
                self._connection.rollback()
                return None
            note = (file["file_name"], file["file_size"], file["modified_at"], sha256, rows.count, rows.loaded_at)
            cursor.execute(NOTE, note)
        self._connection.commit()
        return rows.count

    def _next(self) -> datetime:
        """The time of a load: now, and after all that came before, whatever the clock says."""
        self._last = max(datetime.now(UTC).replace(tzinfo=None), self._last + MICROSECOND)
        return self._last

    def _make(self, schema: str, table: str, statements: str) -> None:
        """A table, and its schema, where there is none: a role that may only fill it may not say "if not exists"."""
        name = f"{schema}.{table}"
        query = f"select to_regnamespace('{schema}') is null as schema, to_regclass('{name}') is null as table"
        missing = self._table(query).to_pylist()[0]
        made = [f"create schema {schema}"] * missing["schema"] + statements.split(";") * missing["table"]
        with self._connection.cursor() as cursor:
            for statement in made:
                cursor.execute(" ".join(statement.split()))  # on one line: an error quotes it first
        self._connection.commit()

    def _table(self, query: str) -> pa.Table:
        with self._connection.cursor() as cursor:
            cursor.execute(query)
            found = cursor.fetch_arrow_table()
        self._connection.commit()
        return found


class _Rows:
    """The batches of one file as the raw table has them, counted while they pass. first: None when there is none."""

    def __init__(self, batches: Iterator[pa.RecordBatch], loaded_at: datetime) -> None:
        self.loaded_at, self.count = loaded_at, 0
        self._batches = map(self._as_raw, batches)
        self.first = next(self._batches, None)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in chain([self.first], self._batches):
            self.count += batch.num_rows
            yield batch

    def _as_raw(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """PostgreSQL's text has no NUL. As a raw byte it stands only in lines that are no JSON."""
        place = batch.schema.get_field_index("payload")
        batch = batch.set_column(place, "payload", pc.replace_substring(batch["payload"], "\x00", "\ufffd"))
        times = pa.repeat(pa.scalar(self.loaded_at, pa.timestamp("us")), batch.num_rows)
        return batch.set_column(batch.schema.get_field_index("loaded_at"), "loaded_at", times)


def _pieces(part: pq.ParquetFile) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The rows in small batches, each of one file, with its name."""
    for batch in part.iter_batches(batch_size=BATCH_ROWS):
        runs, start = pc.run_end_encode(batch["file_name"]), 0
        for name, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            yield name, batch.slice(start, end - start)
            start = end


@contextmanager
def open_raw(project: Project) -> Iterator[RawPostgres]:
    """The raw tables of the target. Raises Busy while another loader has them, ConfigError where a right is missing."""
    from adbc_driver_manager import Error

    source = postgres.source(postgres.keys_of(project))
    with connected(source, postgres.Postgres.refusals, autocommit=False) as connection:
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"select pg_try_advisory_lock({LOCK})")
                is_ours = cursor.fetchone()[0]
            if not is_ours:
                raise Busy(
                    f"Another `load` is at work on {source.place}.",
                    hint="Let it end; what it loads need not be loaded.",
                )
            yield RawPostgres(connection, project)
        except (Error, pa.ArrowException) as error:
            said = source.without_secrets(str(error).splitlines()[0])
            if isinstance(error, Error) and error.status_code.name == "UNAUTHORIZED":
                raise ConfigError(
                    f"PostgreSQL at {source.place} does not let us load: {said}",
                    hint="docs/postgres.md says what the role needs; what was loaded before stays.",
                ) from None
            raise WriteFailed(
                f"PostgreSQL at {source.place} did not take a file: {said}",
                hint="Run again: the file is as it was before, and those before it are loaded.",
            ) from None

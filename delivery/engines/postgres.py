"""PostgreSQL: one repeatable-read transaction, read by ADBC in Arrow batches.

Needs a database whose text is ordered by bytes (locale C), as on the other engines: rows leave in that order, and
models choose among rows by it.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pyarrow as pa

from delivery.errors import ConfigError, WriteFailed, redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.project import Project

DRIVER = "adbc_driver_postgresql"
BATCH_BYTES = 4 << 20
CONNECT_SECONDS = 10
SNAPSHOT = "set transaction isolation level repeatable read read only"
NUMERICS = """
    select column_name, max(numeric_precision) as precision, max(numeric_scale) as scale,
        count(distinct (numeric_precision, numeric_scale)) as kinds
    from information_schema.columns
    where table_schema = $1 and data_type = 'numeric' and numeric_precision is not null
    group by column_name
"""


class Postgres:
    """One snapshot. decimals: of numeric columns, by name, as the tables declare them; the driver gives text."""

    keeps_order = False  # a heap has no order

    def __init__(self, connection: Any, decimals: dict[str, pa.DataType]) -> None:
        self._connection = connection
        self._decimals = decimals

    def table(self, sql: str) -> pa.Table:
        """A small result, whole."""
        batches = list(self.stream(sql))
        return pa.Table.from_batches(batches)

    def stream(self, sql: str, *, sorts: bool = False) -> Iterator[pa.RecordBatch]:  # noqa: ARG002 - the server sorts
        """A result of any size, in batches of about BATCH_BYTES; at least one, so that the columns are known."""
        from adbc_driver_manager import Error

        try:
            with self._connection.cursor() as cursor:
                cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
                cursor.execute(sql)
                reader = cursor.fetch_record_batch()
                schema = pa.schema([self._field(field) for field in reader.schema])
                yield pa.RecordBatch.from_pylist([], schema=schema)
                for batch in reader:
                    yield batch.cast(schema)
        except Error as error:
            raise _failed(error) from None

    def _field(self, field: pa.Field) -> pa.Field:
        kind = self._decimals.get(field.name)
        if kind is not None and _is_numeric(field):
            return pa.field(field.name, kind)
        return pa.field(field.name, field.type)


def _is_numeric(field: pa.Field) -> bool:
    return (field.metadata or {}).get(b"ADBC:postgresql:typname") == b"numeric"


def _failed(error: Exception) -> WriteFailed:
    return WriteFailed(
        f"PostgreSQL could not be read: {redact(str(error).splitlines()[0])}",
        hint="Run `dbt build --target postgres`, see that the server is up, then run again.",
    )


@contextmanager
def open_postgres(project: Project) -> Iterator[Postgres]:
    """The target's schema, as it is now. Raises ConfigError when the server, the driver or the locale will not do."""
    if find_spec(DRIVER) is None:
        raise ConfigError(
            "The target needs the extra `postgres`, which is not installed.", hint="pip install 'delivery[postgres]'."
        )
    import adbc_driver_postgresql.dbapi as driver
    from adbc_driver_manager import Error

    pa.set_memory_pool(pa.system_memory_pool())
    profile = project.profile
    where = f"{profile['host']}:{profile['port']}/{profile['dbname']}"
    try:
        connection = driver.connect(_uri(profile))
    except Error as error:
        seen = redact(str(error).strip().splitlines()[-1])
        raise ConfigError(
            f"PostgreSQL at {where} does not let us in: {seen}",
            hint="See that the server is up, and PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE are right.",
        ) from None
    with closing(connection):
        engine = Postgres(connection, {})
        try:
            with connection.cursor() as cursor:
                cursor.execute(SNAPSHOT)
        except Error as error:
            raise _failed(error) from None
        if engine.table("select 'a' < 'B' as by_language")["by_language"][0].as_py():
            raise ConfigError(
                f"The database {profile['dbname']} orders text by a language, not by bytes.",
                hint="Make it with `createdb --template=template0 --locale=C`, load and build again.",
            )
        yield Postgres(connection, _decimals(engine, profile["schema"]))


def _uri(profile: dict[str, Any]) -> str:
    """For libpq; a host that is a folder of sockets goes where a URI takes it."""
    login = quote(str(profile["user"]), safe="")
    if profile.get("password"):
        login += ":" + quote(str(profile["password"]), safe="")
    options = urlencode(
        {
            "host": profile["host"],
            "port": profile["port"],
            "connect_timeout": CONNECT_SECONDS,
            "options": "-c timezone=UTC",
        },
        quote_via=quote,
    )
    return f"postgresql://{login}@/{quote(str(profile['dbname']), safe='')}?{options}"


def _decimals(engine: Postgres, schema: str) -> dict[str, pa.DataType]:
    from delivery.engines import literal

    rows = engine.table(NUMERICS.replace("$1", literal(schema))).to_pylist()
    return {row["column_name"]: pa.decimal128(row["precision"], row["scale"]) for row in rows if row["kinds"] == 1}

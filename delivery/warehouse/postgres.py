"""PostgreSQL: one repeatable-read transaction.

Needs a database whose text is ordered by bytes (locale C), as on the other engines: rows leave in that order, and
models choose among rows by it.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pyarrow as pa

from delivery.config.datasets import is_dataset
from delivery.sql import literal
from delivery.warehouse.adbc import Adbc, Source, open_adbc
from delivery.warehouse.keys import lock_wait, read_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.config.project import Project

DRIVER = "adbc_driver_postgresql"
BATCH_BYTES = 4 << 20
CONNECT_SECONDS = "10"
NEEDS = ("host", "user", "dbname", "schema")
# To libpq, which calls them the same.
PASSED_ON = (
    "port", "connect_timeout", "sslmode", "sslcert", "sslkey", "sslrootcert", "application_name", "keepalives_idle"
)  # fmt: skip
FOR_DBT = ("threads", "retries", "search_path", "autocommit")
ALIASES = {"database": "dbname", "pass": "password"}
NUMERICS = """
    select column_name, max(numeric_precision) as precision, max(numeric_scale) as scale,
        count(distinct (numeric_precision, numeric_scale)) as kinds
    from information_schema.columns
    where table_schema in ($1) and data_type = 'numeric' and numeric_precision is not null
    group by column_name
"""


class Postgres(Adbc):
    """One snapshot. decimals: of numeric columns, by name, as the tables declare them; the driver gives text."""

    is_snapshot = True
    opening = ("set transaction isolation level repeatable read read only",)
    refusals = ("authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied", "denied")
    held = "lock timeout"
    by_bytes = "Make the database with `createdb --template=template0 --locale=C`, load and build again."

    def __init__(self, connection: Any, source: Source) -> None:
        super().__init__(connection, source)
        self.decimals: dict[str, pa.DataType] = {}

    def as_elsewhere(self, field: pa.Field) -> pa.Field:
        """A column as other engines give it."""
        kind = self.decimals.get(field.name)
        is_numeric = (field.metadata or {}).get(b"ADBC:postgresql:typname") == b"numeric"
        return pa.field(field.name, kind) if kind is not None and is_numeric else super().as_elsewhere(field)


@contextmanager
def open_postgres(project: Project) -> Iterator[Postgres]:
    """The target's schema, as it is now. Raises ConfigError when the server, the driver or the locale will not do."""
    said = keys_of(project)
    with open_adbc(source(said), Postgres) as engine:
        engine.decimals = _decimals(engine, {said["schema"], *_schemas(project)})
        yield engine


def keys_of(project: Project) -> dict[str, str]:
    """What the target says. Raises ConfigError for keys that are missing or not read here."""
    return read_keys(project, needs=NEEDS, may=(*PASSED_ON, "password", "role"), for_dbt=FOR_DBT, aliases=ALIASES)


def source(said: dict[str, str]) -> Source:
    """The server that a target's keys speak of."""
    password = said.get("password", "")
    return Source(
        name="PostgreSQL",
        place=f"{said['host']}:{said.get('port', '5432')}/{said['dbname']}",
        driver=DRIVER,
        package="dbt-delivery[postgres]",
        settings="PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE",
        uri=_uri(said),
        secrets=(password, quote(password, safe="")),
        statement={"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)},
    )


def _uri(said: dict[str, str]) -> str:
    """For libpq; a host that is a folder of sockets goes where a URI takes it."""
    login = quote(said["user"], safe="")
    if said.get("password"):
        login += ":" + quote(said["password"], safe="")
    given = {key: said[key] for key in ("host", *PASSED_ON) if key in said}
    role = re.sub(r"([\\\s])", r"\\\1", said.get("role", ""))
    wait = max(1, round(lock_wait() * 1000))  # milliseconds, where 0 would be for ever
    session = f"-c timezone=UTC -c jit=off -c lock_timeout={wait}" + (f" -c role={role}" if role else "")
    options = {"connect_timeout": CONNECT_SECONDS, **given, "options": session}
    return f"postgresql://{login}@/{quote(said['dbname'], safe='')}?{urlencode(options, quote_via=quote)}"


def _schemas(project: Project) -> set[str]:
    """Where the datasets are: dbt may put each into a schema of its own."""
    return {node["schema"] for node in project.manifest()["nodes"].values() if is_dataset(node) and "schema" in node}


def _decimals(engine: Postgres, schemas: set[str]) -> dict[str, pa.DataType]:
    listed = ", ".join(map(literal, sorted(schemas)))
    rows = engine.table(NUMERICS.replace("$1", listed)).to_pylist()
    return {row["column_name"]: pa.decimal128(row["precision"], row["scale"]) for row in rows if row["kinds"] == 1}

"""The engine for ADBC drivers, on a real PostgreSQL that it is told nothing special about."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pyarrow as pa
import pytest

from delivery.errors import ConfigError, EngineDown, WriteFailed
from delivery.sql import literal
from delivery.warehouse import adbc, postgres
from delivery.warehouse.adbc import Adbc, Source, open_adbc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET = "s3cret/p&ss"


@pytest.fixture
def server(new_database: Callable[[], str]) -> Iterator[psycopg.Connection]:
    url = new_database().replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table t as select n, repeat('x', 100) as a from generate_series(1, 20000) as n")
        yield connection


@pytest.fixture
def source(server: psycopg.Connection) -> Source:
    info = server.info
    said = {"host": info.host, "user": "delivery", "dbname": info.dbname, "password": SECRET}
    return replace(postgres.source(said), statement={"adbc.postgresql.batch_size_hint_bytes": str(1 << 16)})


def test_a_server_of_which_nothing_special_is_known(server: psycopg.Connection, source: Source) -> None:
    with open_adbc(source, Adbc) as engine:
        assert not engine.is_snapshot
        before = engine.table("select count(*) as n from t")["n"][0].as_py()
        server.execute("insert into t values (0, 'later')")
        sizes = [(batch.num_rows, batch.nbytes) for batch in engine.stream("select * from t order by n")]
        assert before + 1 == sum(rows for rows, _ in sizes)
        assert len(sizes) > 10
        assert max(size for _, size in sizes) < 1 << 18
        zoned = engine.table("select timestamptz '2026-11-01 10:00:00+02' as at, 'a' as b")
        assert zoned.schema == pa.schema([("at", pa.timestamp("us")), ("b", pa.string())])
        assert str(zoned["at"][0].as_py()) == "2026-11-01 08:00:00"
        assert engine.table("select * from t where false").schema.names == ["n", "a"]


def test_after_an_error_reading_goes_on_and_the_gate_is_to_look_again(source: Source) -> None:
    with open_adbc(source, postgres.Postgres) as engine:
        assert engine.is_snapshot
        with pytest.raises(WriteFailed, match="does not exist"):
            engine.table("select * from no_such")
        assert not engine.is_snapshot
        assert engine.table("select count(*) as n from t")["n"][0].as_py() == 20_000
        with pytest.raises(WriteFailed, match="read-only"):
            engine.table("insert into t values (0, 'never') returning n")


def test_no_secret_and_no_address_in_an_error(source: Source) -> None:
    with open_adbc(source, Adbc) as engine:
        for text in (SECRET, "s3cret%2Fp%26ss", "jane@example.com"):
            with pytest.raises(WriteFailed, match="invalid input syntax") as failed:
                engine.table(f"select cast({literal(text)} as int)")
            said = failed.value.message + failed.value.hint
            assert not [word for word in ("s3cret", "jane") if word in said], said
    assert "s3cret" not in repr(source)


def test_a_server_that_goes_away_in_the_middle(server: psycopg.Connection, source: Source) -> None:
    with open_adbc(source, Adbc) as engine:
        batches = engine.stream("select n, repeat('x', 500) as a from generate_series(1, 500000) as n")
        assert next(batches).num_rows == 0
        assert next(batches).num_rows > 0
        server.execute("select pg_terminate_backend(pid) from pg_stat_activity where query like '%500000) as n%'"
                       " and pid <> pg_backend_pid()")  # fmt: skip
        with pytest.raises(EngineDown, match="went away while it was read") as lost:
            list(batches)
        assert "run again" in lost.value.hint
        with pytest.raises(EngineDown):
            engine.table("select 1 as n")


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("postgresql://delivery@/no_such?host={host}", ConfigError),
        ("postgresql://no_such@/postgres?host={host}", ConfigError),
        ("postgresql://delivery@/postgres?host=/nowhere", EngineDown),
        ("postgresql://delivery@127.0.0.1:1/postgres", EngineDown),
    ],
)
def test_a_refusal_is_told_from_a_server_that_is_not_there(
    uri: str, kind: type[Exception], server: psycopg.Connection, source: Source
) -> None:
    with (
        pytest.raises(kind, match="PostgreSQL at"),
        open_adbc(replace(source, uri=uri.format(host=server.info.host)), postgres.Postgres),
    ):
        pass


def test_an_argument_that_the_driver_refuses_is_configuration(source: Source) -> None:
    with pytest.raises(ConfigError, match="does not let us in"), open_adbc(replace(source, options={"no": "1"}), Adbc):
        pass


def test_a_missing_driver_is_named_with_its_package(source: Source) -> None:
    other = replace(source, driver="adbc_driver_nowhere", package="nowhere")
    with pytest.raises(ConfigError, match="needs adbc_driver_nowhere, which") as missing, open_adbc(other, Adbc):
        pass
    assert missing.value.hint == "pip install 'nowhere'."


def test_a_server_that_orders_by_a_language_is_refused(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(Adbc):
        def stream(self, sql: str, *, sorts: bool = False) -> Iterator[pa.RecordBatch]:
            return super().stream(sql.replace("'a' < 'B'", "'a' < 'B' collate \"und-x-icu\""), sorts=sorts)

    with pytest.raises(ConfigError, match="by a language, not by bytes"), open_adbc(source, Other):
        pass


def test_names_of_errors_are_adbcs_own() -> None:
    from adbc_driver_manager import AdbcStatusCode

    assert set(adbc.REFUSALS) <= {code.name for code in AdbcStatusCode}

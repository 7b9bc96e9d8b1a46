"""PostgreSQL as the warehouse: one snapshot, types as the tables have them, and errors that say what to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import psycopg
import pyarrow as pa
import pytest

from delivery.config.project import Project, open_project
from delivery.errors import ConfigError, DeliveryError, EngineDown, WriteFailed
from delivery.warehouse import open_engine, postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from projects import Copy

SECRET = "s3cret/p@ss"


@pytest.fixture
def database(postgres_socket: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(host=postgres_socket, user="delivery", dbname="postgres", autocommit=True) as server:
        for name, made in (
            ("by_bytes", "locale 'C'"),
            ("by_language", "locale_provider icu icu_locale 'en' locale 'C'"),
        ):
            server.execute(f"drop database if exists {name}")
            server.execute(f"create database {name} template template0 {made}")
    with psycopg.connect(host=postgres_socket, user="delivery", dbname="by_bytes", autocommit=True) as connection:
        connection.execute("create schema delivery")
        yield connection


@pytest.fixture
def target(project: Copy, postgres_socket: str, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name, value in {
        "PGHOST": postgres_socket,
        "PGUSER": "delivery",
        "PGDATABASE": "by_bytes",
        "PGPASSWORD": SECRET,
    }.items():
        monkeypatch.setenv(name, value)
    return open_project(project.root, "postgres", None)


def test_one_snapshot_of_decimals_and_text(database: psycopg.Connection, target: Project) -> None:
    database.execute(
        "create table delivery.t (a text, price numeric(12, 2), at timestamp, day date, n bigint, ok boolean)"
    )
    row = ("é_a", Decimal("10.50"), datetime(2026, 11, 1, 10, 0, 0, 123456), date(2026, 11, 1), 7, True)
    database.execute(
        "insert into delivery.t values (%s, %s, %s, %s, %s, %s), (null, null, null, null, null, null)", row
    )
    with open_engine(target) as engine:
        before = engine.table("select count(*) as n from delivery.t")["n"][0].as_py()
        database.execute("insert into delivery.t (a) values ('later')")
        table = pa.Table.from_batches(list(engine.stream("select * from delivery.t order by a")))
        assert before == table.num_rows == 2
        assert table.schema.field("price").type == pa.decimal128(12, 2)
        assert [tuple(found.values()) for found in table.to_pylist()] == [row, (None,) * 6]
        assert engine.table("select * from delivery.t where false").schema == table.schema
        with pytest.raises(WriteFailed, match="read-only"):
            engine.table("insert into delivery.t (a) values ('never') returning a")


def test_rows_come_in_batches(database: psycopg.Connection, target: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "BATCH_BYTES", 1 << 16)
    database.execute("create table delivery.t as select n, repeat('x', 100) as a from generate_series(1, 20000) as n")
    with open_engine(target) as engine:
        sizes = [batch.nbytes for batch in engine.stream("select * from delivery.t order by n")]
    assert len(sizes) > 10
    assert max(sizes) < 1 << 18


@pytest.mark.usefixtures("database")
def test_a_database_that_orders_by_a_language_is_refused(target: Project) -> None:
    other = replace(target, profile=target.profile | {"dbname": "by_language"})
    with pytest.raises(ConfigError, match="not by bytes") as refused, open_engine(other):
        pass
    assert "--locale=C" in refused.value.hint


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"host": "/nowhere"}, EngineDown),
        ({"dbname": "no_such"}, ConfigError),
        ({"user": "nobody_known"}, ConfigError),
    ],
)
def test_a_server_that_does_not_answer_is_named_without_the_password(
    target: Project, wrong: dict[str, str], kind: type[DeliveryError]
) -> None:
    with pytest.raises(kind) as refused, open_engine(replace(target, profile=target.profile | wrong)):
        pass
    said = refused.value.message + refused.value.hint
    assert "PostgreSQL at " in said
    assert "PGHOST" in said
    assert SECRET not in said
    assert "s3cret" not in said


@pytest.mark.usefixtures("database")
def test_a_table_that_is_not_there_says_to_build(target: Project) -> None:
    with open_engine(target) as engine, pytest.raises(WriteFailed, match="does not exist") as failed:
        engine.table("select * from delivery.no_such")
    assert "dbt build" in failed.value.hint


def test_a_table_that_somebody_holds_is_given_up_on_after_the_stated_time(
    database: psycopg.Connection, target: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELIVERY_LOCK_WAIT", "0.3")
    database.execute("alter database by_bytes set statement_timeout = '20s'")
    database.execute("create table delivery.t as select 1 as n; create table delivery.other as select 2 as n")
    with open_engine(target) as engine:
        with database.transaction():
            database.execute("lock table delivery.t in access exclusive mode")
            with pytest.raises(WriteFailed, match="lock timeout") as failed:
                engine.table("select * from delivery.t")
            assert "DELIVERY_LOCK_WAIT" in failed.value.hint
            assert engine.table("select n from delivery.other")["n"].to_pylist() == [2]
        assert engine.table("select n from delivery.t")["n"].to_pylist() == [1]


def test_a_missing_driver_is_named_with_the_extra(target: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "DRIVER", "no_such_module")
    with pytest.raises(ConfigError, match="needs no_such_module, which") as refused, open_engine(target):
        pass
    assert refused.value.hint == "pip install 'dbt-delivery[postgres]'."


KEYS = {"type": "postgres", "host": "db", "user": "u", "database": "d", "schema": "s", "pass": SECRET}


def test_what_makes_a_connection_safe_is_passed_on(tmp_path: Path) -> None:
    profile = KEYS | {"sslmode": "verify-full", "role": "a b", "search_path": "x", "threads": 4}
    said = postgres.keys_of(Project(tmp_path, "there", profile, tmp_path, tmp_path, ""))
    uri = postgres.source(said).uri or ""
    assert uri.startswith("postgresql://u:s3cret%2Fp%40ss@/d?")
    assert "sslmode=verify-full" in uri
    assert "role%3Da%5C%20b" in uri
    assert "search_path" not in uri


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"gssencmode": "disable"}, "gssencmode is not read here"),
        ({"host": ""}, "host is missing"),
        ({"host": None, "ssl_mode": "require"}, "host is missing, ssl_mode is not read here"),
    ],
)
def test_a_key_that_is_missing_or_not_read_is_named(wrong: dict[str, str], words: str, tmp_path: Path) -> None:
    wrong_target = Project(tmp_path, "there", KEYS | wrong, tmp_path, tmp_path, "")
    with pytest.raises(ConfigError) as refused, open_engine(wrong_target):
        pass
    assert refused.value.message == f"profiles.yml: target 'there': {words}."
    assert "sslmode" in refused.value.hint
    assert "s3cret" not in refused.value.message + refused.value.hint

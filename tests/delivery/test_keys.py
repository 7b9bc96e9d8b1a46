"""The keys of a target: which are read, which are dbt's, and what becomes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from delivery.config.project import Project
from delivery.errors import ConfigError
from delivery.warehouse.adbc import Source
from delivery.warehouse.keys import read_keys
from delivery.warehouse.postgres import source


def read(**profile: Any) -> dict[str, str]:
    project = Project(Path(), "mine", {"type": "some", **profile}, Path(), Path(), "")
    return read_keys(
        project, needs=("host", "dbname"), may=("port", "tls"), for_dbt=("threads",), aliases={"database": "dbname"}
    )


def test_what_is_said_is_read_as_text() -> None:
    assert read(host="h", database="d", port=5433, tls=True, threads=4) == {
        "type": "some", "host": "h", "dbname": "d", "port": "5433", "tls": "true",
    }  # fmt: skip
    assert read(host="h", dbname="d", port=0, tls=False) == {
        "type": "some", "host": "h", "dbname": "d", "port": "0", "tls": "false",
    }  # fmt: skip


@pytest.mark.parametrize("empty", [None, ""])
def test_what_is_empty_is_not_said(empty: Any) -> None:
    assert read(host="h", dbname="d", port=empty, sslmode=empty) == {"type": "some", "host": "h", "dbname": "d"}
    with pytest.raises(ConfigError, match="host is missing"):
        read(host=empty, dbname="d")


def test_every_fault_is_named_and_what_is_known() -> None:
    with pytest.raises(ConfigError) as said:
        read(dbname="d", sslmode="verify", hots="h")
    assert said.value.message == (
        "profiles.yml: target 'mine': host is missing, sslmode is not read here, hots is not read here."
    )
    assert said.value.hint == "Known: dbname, host, port, tls, type."


LOGIN = {"host": "db.example.com", "user": "delivery", "dbname": "warehouse", "schema": "main"}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, "postgresql://delivery@/warehouse?connect_timeout=10&host=db.example.com&options=-c%20timezone%3DUTC%20-c%20jit%3Doff%20-c%20lock_timeout%3D60000"),
        (
            {"password": "p@ss/ä"},
            ("postgresql://delivery:p%40ss%2F%C3%A4@/warehouse?connect_timeout=10&host=db.example.com"
            "&options=-c%20timezone%3DUTC%20-c%20jit%3Doff%20-c%20lock_timeout%3D60000"),
        ),
        (
            {"host": "/var/run/postgresql", "dbname": "a/b?c", "user": "o'b@c"},
            ("postgresql://o%27b%40c@/a%2Fb%3Fc?connect_timeout=10&host=%2Fvar%2Frun%2Fpostgresql"
            "&options=-c%20timezone%3DUTC%20-c%20jit%3Doff%20-c%20lock_timeout%3D60000"),
        ),
        (
            {"port": "5433", "connect_timeout": "3", "sslmode": "verify-full", "sslrootcert": "/ca", "sslcert": "/c",
             "sslkey": "/k", "application_name": "n", "keepalives_idle": "9", "search_path": "x"},
            ("postgresql://delivery@/warehouse?connect_timeout=3&host=db.example.com&port=5433&sslmode=verify-full"
            "&sslcert=%2Fc&sslkey=%2Fk&sslrootcert=%2Fca&application_name=n&keepalives_idle=9"
            "&options=-c%20timezone%3DUTC%20-c%20jit%3Doff%20-c%20lock_timeout%3D60000"),
        ),
        (
            {"role": r"a b\c"},
            ("postgresql://delivery@/warehouse?connect_timeout=10&host=db.example.com"
            "&options=-c%20timezone%3DUTC%20-c%20jit%3Doff%20-c%20lock_timeout%3D60000%20-c%20role%3Da%5C%20b%5C%5Cc"),
        ),
    ],
)  # fmt: skip
def test_a_postgres_target_as_libpq_is_told(said: dict[str, str], expected: str) -> None:
    assert source(LOGIN | said).uri == expected


def test_where_a_postgres_target_is() -> None:
    """For messages; the password is known to be a secret as it is and as it stands in the URI."""
    of = source(LOGIN | {"password": "p@ss"})
    assert (of.name, of.place) == ("PostgreSQL", "db.example.com:5432/warehouse")
    assert source(LOGIN | {"port": "6000"}).place == "db.example.com:6000/warehouse"
    assert (of.driver, of.package) == ("adbc_driver_postgresql", "dbt-delivery[postgres]")
    assert of.statement == {"adbc.postgresql.batch_size_hint_bytes": "4194304"}
    assert of.settings == "PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE"
    assert of.without_secrets("p@ss or p%40ss of jane@example.com") == "<secret> or <secret> of <address>"


@pytest.mark.parametrize(
    ("secrets", "text", "shown"),
    [
        (("ab", "abcd"), "abcd ab abc", "<secret> <secret> <secret>c"),
        (("abcd", "ab"), "abcd ab abc", "<secret> <secret> <secret>c"),
        (("cd", "abcd"), "abcd cd", "<secret> <secret>"),
        (("", "x"), "plain x", "plain <secret>"),
        ((), "plain", "plain"),
    ],
)
def test_no_part_of_a_secret_is_shown(secrets: tuple[str, ...], text: str, shown: str) -> None:
    """The longer one first: a part of it would leave the rest."""
    of = Source(name="", place="", driver="", package="", settings="", secrets=secrets)
    assert of.without_secrets(text) == shown
    assert "abcd" not in repr(of)

"""A server of its own for the catalogs, and lakes in it; runs in the environment of `make laketest`."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import duckdb
import psycopg
import pytest

from delivery.engines.lake import load_extensions
from delivery.project import Project, open_project
from tests.delivery.postgres import running_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]


@dataclass
class Place:
    """One lake that is not made yet: its server's socket, database and folder of files."""

    socket: str
    database: str
    data: Path
    environment: dict[str, str] = field(default_factory=dict)

    def writer(self) -> duckdb.DuckDBPyConnection:
        """A connection that writes to the lake, as dbt's does; makes the lake."""
        connection = duckdb.connect()
        load_extensions(connection)
        connection.execute(
            f"attach 'ducklake:postgres:host={self.socket} user=delivery dbname={self.database}' as lake"
            f" (metadata_schema 'lake', data_path '{self.data}', data_inlining_row_limit 0)"
        )
        connection.execute("create schema if not exists lake.delivery")
        return connection

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`dbt` or `delivery` on the repository, as a user would."""
        return subprocess.run(
            [Path(sys.executable).with_name(program), *arguments],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            text=True,
            capture_output=True,
            check=False,
        )


@pytest.fixture(scope="session")
def socket() -> Iterator[str]:
    with running_server() as started:
        yield started


@pytest.fixture
def place_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Place]:
    """Chooses a database on a server, and makes it what the environment names."""

    def choose(server: str) -> Place:
        name = f"d{uuid4().hex}"
        with psycopg.connect(host=server, user="delivery", dbname="postgres", autocommit=True) as connection:
            connection.execute(f"create database {name}")
        environment = {
            "PGHOST": server,
            "PGUSER": "delivery",
            "PGDATABASE": name,
            "LAKE_DATA": str(tmp_path / "data"),
            "DELIVERY_STATE": str(tmp_path / "state"),
            "DBT_TARGET_PATH": str(tmp_path / "target"),
            "DBT_LOG_PATH": str(tmp_path / "logs"),
            "DBT_USE_COLORS": "false",
        }
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
        return Place(server, name, tmp_path / "data", environment)

    return choose


@pytest.fixture
def place(place_in: Callable[[str], Place], socket: str) -> Place:
    return place_in(socket)


@pytest.fixture
def own_server() -> Iterator[tuple[str, Callable[[], None]]]:
    """A server that the test may stop: its socket, and what stops it."""
    with ExitStack() as stack:
        started = stack.enter_context(running_server())
        yield started, stack.close


@pytest.fixture
def target(place: Place) -> Project:
    """The repository's target `lake`."""
    return open_project(ROOT, "lake", None)

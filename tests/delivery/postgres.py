"""A PostgreSQL server of its own for the tests: a new cluster on a socket, started once a session, without root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


# Small tables are planned as large ones would be: in parallel.
PARALLEL = "-c min_parallel_table_scan_size=0 -c parallel_setup_cost=0 -c parallel_tuple_cost=0"


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[str]:
    """The directory of the server's socket."""
    if _programs() is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: postgresql)")
    with running_server() as socket:
        yield socket


@contextmanager
def running_server(settings: str = PARALLEL) -> Iterator[str]:
    """A server; gives the directory of its socket. Durability is off: what is tested is not a power cut."""
    programs = _programs()
    assert programs, "PostgreSQL's server is not installed (Debian: postgresql)"
    user = "nobody" if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="delivery-pg-"))  # short: a socket's path has at most 107 bytes
    data = folder / "data"
    if user:
        shutil.chown(folder, user)

    def call(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, user=user, cwd=folder)

    call(str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "delivery", "-E", "UTF8", "-N")
    start(str(folder), settings)
    try:
        yield str(folder)
    finally:
        stop(str(folder))
        shutil.rmtree(folder, ignore_errors=True)


def start(socket: str, settings: str = PARALLEL) -> None:
    """Starts the server of that socket."""
    options = f"-k {socket} -c listen_addresses='' -c fsync=off -c max_connections=100 {settings}"
    _control(socket, "-l", f"{socket}/log", "-o", options, "start")


def stop(socket: str) -> None:
    """Stops it at once, as a power cut would."""
    _control(socket, "-m", "immediate", "stop")


def _control(socket: str, *command: str) -> None:
    programs = _programs()
    assert programs
    subprocess.run(
        [str(programs / "pg_ctl"), "-D", f"{socket}/data", "-w", "-s", *command],
        check=True, capture_output=True, user="nobody" if os.getuid() == 0 else None, cwd=socket,
    )  # fmt: skip


@pytest.fixture
def new_database(postgres_socket: str) -> Callable[[], str]:
    """Makes an empty database and gives its SQLAlchemy URL."""

    def make() -> str:
        name = f"d{uuid4().hex}"
        with psycopg.connect(host=postgres_socket, user="delivery", dbname="postgres", autocommit=True) as connection:
            connection.execute(f"create database {name}")
        return f"postgresql+psycopg://delivery@/{name}?host={postgres_socket}"

    return make


@pytest.fixture
def postgres_url(new_database: Callable[[], str]) -> str:
    """A ledger's URL on the server, of a database that is empty; its small tables are not read in parallel."""
    url = new_database()
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"alter database {connection.info.dbname} set max_parallel_workers_per_gather = 0")
    return url

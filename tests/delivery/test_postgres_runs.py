"""Runs on PostgreSQL: the server goes away, a build comes between, and the same bytes as from DuckDB."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from postgres import running_server, start, stop
from projects import Copy
from small_project import CLIENTS, DAY, make_postgres_project, make_project

from delivery.config.datasets import datasets
from delivery.config.project import open_project
from delivery.errors import EngineDown
from delivery.files import spool
from delivery.files.manifest import verify
from delivery.files.spool import Files
from delivery.gate.judge import Gate
from delivery.warehouse import open_engine
from delivery.warehouse.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PASSWORD = "s3cret/p@ss"
RUN = ("--target", "postgres", "run", "--window", DAY)
STARTED = (
    "('i2', '2026-11-25 06:00:00', 'start', 'build', false, 'model.sweep.events', 'model', 'selected', null, null)"
)
ENDED = """
    ('i2', '2026-11-25 06:00:00', 'end', 'build', false, 'model.sweep.events', 'model', 'success', null, true),
    ('i2', '2026-11-25 06:00:00', 'end', 'build', false, 'test.sweep.unique', 'test', 'pass', 0, false)
"""


def logged(server: psycopg.Connection[Any], rows: str) -> None:
    columns = (
        "invocation_id, started_at, phase, command, partial, unique_id, resource_type, status, failures, whole_table"
    )
    server.execute(f"insert into delivery.build_log ({columns}) values {rows}")


@pytest.fixture
def server(new_database: Callable[[], str]) -> Iterator[psycopg.Connection[Any]]:
    url = new_database().replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def left(copy: Copy) -> list[Path]:
    """What lies in the spool."""
    return list((copy.root / ".delivery" / "spool").glob("*"))


def test_the_same_bytes_as_from_duckdb(server: psycopg.Connection[Any], tmp_path: Path) -> None:
    here, there = Copy(tmp_path / "duckdb"), Copy(tmp_path / "postgres")
    make_project(here.root)
    make_postgres_project(there.root, server)
    shares = ("by_share", *(f"share_of_{client}" for client in CLIENTS[1:]))
    assert here.delivery("run", "--window", DAY, *(f"--integration={name}" for name in shares)).exit_code == 0
    assert there.delivery(*RUN).exit_code == 0
    found = [
        sorted(path.read_bytes() for name, path in copy.files().items() if name.endswith(".csv"))
        for copy in (here, there)
    ]
    assert len(found[0]) == 3
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_server_that_stops_in_the_middle_and_the_run_that_finishes(tmp_path: Path) -> None:
    with running_server() as socket:
        copy = Copy(tmp_path / "project")
        with psycopg.connect(host=socket, user="delivery", dbname="postgres", autocommit=True) as server:
            make_postgres_project(copy.root, server, rows=60_000, password=PASSWORD)
            run = copy.process(*RUN)
            deadline = time.monotonic() + 60
            while not server.execute(
                "select 1 from pg_stat_activity where query like 'COPY (select \"namespace\"%' and state = 'active'"
            ).fetchone():
                assert run.poll() is None, run.communicate()
                assert time.monotonic() < deadline
        stop(socket)
        out, err = run.communicate(timeout=60)
        assert run.returncode == 1, err
        assert "went away while it was read" in err
        assert "run again" in err
        assert "Traceback" not in err
        assert "s3cret" not in out + err
        assert copy.files() == {}
        assert left(copy) == []

        down = copy.delivery(*RUN)
        assert down.exit_code == 1
        assert "PostgreSQL at " in down.stderr
        assert "cannot be reached" in down.stderr
        assert "s3cret" not in down.stderr
        assert copy.files() == {}

        start(socket)
        up = copy.delivery(*RUN)
        assert up.exit_code == 0, up.stderr
        results = verify(copy.root / "share")
        assert [(result.problem, result.rows) for result in results] == [("", 60_000)] * 3
        assert left(copy) == []
        assert "3 already delivered before" in copy.delivery(*RUN).stderr


def test_a_server_that_is_gone_is_no_refusal_of_the_gate(server: psycopg.Connection[Any], tmp_path: Path) -> None:
    make_postgres_project(tmp_path / "project", server)
    project = open_project(tmp_path / "project", "postgres", None)
    manifest = project.manifest()
    with open_engine(project) as engine:
        server.execute("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
                       " and datname = current_database()")  # fmt: skip
        with pytest.raises(EngineDown):
            Gate(manifest, engine).judge(datasets(manifest)["events"], None)


@pytest.mark.parametrize("kind", ["with a snapshot", "without"])
def test_a_build_that_comes_between(
    kind: str, server: psycopg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Copy(tmp_path / "project")
    make_postgres_project(copy.root, server)
    write = Files._write

    def built_meanwhile(self: Files, *arguments: Any) -> Any:
        written = write(self, *arguments)
        if not server.execute("select 1 from delivery.build_log where invocation_id = 'i2'").fetchone():
            logged(server, STARTED)
        return written

    monkeypatch.setattr(Files, "_write", built_meanwhile)
    if kind == "with a snapshot":
        assert copy.delivery(*RUN).exit_code == 0
        return
    monkeypatch.setattr(Postgres, "is_snapshot", False)
    during = copy.delivery(*RUN)
    assert during.exit_code == 1
    assert "Something was built or tested while events was read" in during.stderr
    assert copy.files() == {}
    assert left(copy) == []

    unfinished = copy.delivery(*RUN)
    assert unfinished.exit_code == 3
    assert "did not end" in unfinished.stderr

    logged(server, ENDED)
    after = copy.delivery(*RUN)
    assert after.exit_code == 0, after.stderr
    assert len(verify(copy.root / "share")) == 3


def test_a_build_that_comes_between_is_no_reason_to_skip(
    server: psycopg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Copy(tmp_path / "project")
    make_postgres_project(copy.root, server)
    server.execute("delete from delivery.events")
    path = copy.root / "integrations.yml"
    path.write_text(path.read_text().replace("directory: inbox", "directory: inbox\n    empty: skip"))
    content_of = spool.content_of

    def built_meanwhile(*arguments: Any) -> Any:
        logged(server, STARTED)
        return content_of(*arguments)

    monkeypatch.setattr(spool, "content_of", built_meanwhile)
    monkeypatch.setattr(Postgres, "is_snapshot", False)
    during = copy.delivery(*RUN)
    assert during.exit_code == 1
    assert "Something was built or tested" in during.stderr


def test_one_dataset_that_cannot_be_read_stops_no_other(
    server: psycopg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error ends PostgreSQL's transaction; what is read after it is of a new one."""
    copy = Copy(tmp_path / "project")
    make_postgres_project(copy.root, server)
    kinds_of, asked = spool.content_of, list[str]()

    def fails_once(job: Any, selection: Any, engine: Any, *others: Any) -> Any:
        asked.append(job.integration_name)
        if len(asked) == 1:
            engine.table("select 1 / 0 as n")
        return kinds_of(job, selection, engine, *others)

    monkeypatch.setattr(spool, "content_of", fails_once)
    once = copy.delivery(*RUN)
    assert once.exit_code == 1
    assert "division by zero" in once.stderr
    assert len(verify(copy.root / "share")) == 2
    assert copy.delivery(*RUN).exit_code == 0
    assert len(verify(copy.root / "share")) == 3

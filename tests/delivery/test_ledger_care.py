"""Looking after the ledger: migrations, copies, checks, and a ledger that is missing, another one, or too old."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from small_project import AT, DAY, make_project
from test_ledger import planned, spooled

from delivery import holds, runner
from delivery.destinations.local import LocalDirectory
from delivery.errors import ConfigError, DestinationRefused, ExitCode, WriteFailed
from delivery.ledger import Ledger, health
from delivery.ledger.opened import adopt
from delivery.ledger.schema import VERSION
from delivery.ledger.tables import METADATA
from delivery.project import Project
from delivery.request import Request
from delivery.watch import Watch

if TYPE_CHECKING:
    from pathlib import Path

NAME = f"daily_{DAY}.csv"

# As version 1 of the schema made it.
VERSION_1 = """
create table deliveries (id varchar(64) not null, campaign text not null, integration text not null,
    namespace text not null, dataset text not null, slot text not null, window_start text, window_end text,
    revision integer not null, state text not null, note text not null, destination text not null, rows bigint,
    invocation_id text, reason text, created_at text not null, updated_at text not null, primary key (id),
    unique (campaign, integration, namespace, slot, window_start, window_end, revision));
create table layouts (campaign text not null, integration text not null, columns text not null,
    created_at text not null, primary key (campaign, integration));
create table meta (key text not null, value text, primary key (key));
create table files (delivery_id varchar(64) not null, part integer not null, role text not null, name text not null,
    spool text not null, state text not null, rows bigint, bytes bigint not null, sha256 varchar(64) not null,
    destination text not null, updated_at text not null, primary key (delivery_id, part),
    foreign key(delivery_id) references deliveries (id));
create table steps (id integer not null, delivery_id varchar(64) not null, at text not null, step text not null,
    note text not null, primary key (id), foreign key(delivery_id) references deliveries (id));
create index ix_steps_delivery_id on steps (delivery_id);
insert into meta values ('schema_version', '1');
insert into deliveries values ('k', 'daily', 'acme', 'acme_outdoor', 'events', '2026-11-04T05:00:00Z', '2026-11-03',
    '2026-11-04', 0, 'spooled', '', '/share/acme', 3, 'i', null, '2026-11-04T05:00:00Z', '2026-11-04T05:00:00Z');
insert into files values ('k', 0, 'data', 'f.csv', '/spool/f.csv', 'uploaded', 3, 10, 'aaaaaaaaaaaa', '/share/acme',
    '2026-11-04T05:00:00Z');
insert into steps values (7, 'k', '2026-11-04T05:00:00Z', 'spooled', '');
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    make_project(tmp_path / "project")
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setenv("SWEEP_PASSWORD", "not needed")
    profile = {"type": "duckdb", "path": "warehouse.duckdb"}
    state = tmp_path / "state"
    return Project(
        tmp_path / "project", "duckdb", profile, state, tmp_path / "share", f"sqlite:///{state / 'ledger.sqlite'}"
    )


def run(project: Project, **request: Any) -> runner.Outcome:
    asked = {"window": DAY, "integrations": ("by_share",)} | request
    (outcome,) = runner.run(project, Request(at=AT, **asked), Watch())
    return outcome


def arrived(project: Project) -> list[str]:
    return sorted(path.name for path in project.share.rglob("*") if path.is_file())


# Migrations


def old_ledger(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1)
    return f"sqlite:///{path}"


def test_an_older_ledger_is_migrated_after_a_copy(tmp_path: Path) -> None:
    url = old_ledger(tmp_path / "ledger.sqlite")
    with closing(Ledger(url)) as ledger:
        row, (file,) = ledger.delivery("k"), ledger.files("k")
        assert (row.state, row.asked_by, row.fence, file.fence) == ("spooled", None, 0, 0)
        ledger.take("k")
        ledger.advance_file(file, "publishing")
        identity = ledger.identity()
        assert identity[1] == 8
    with closing(Ledger(url)) as again:
        assert again.identity() == identity, "migrated once"
    copy = tmp_path / "ledger.sqlite.version-1"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("select state from files").fetchall() == [("uploaded",)]
        assert connection.execute("select value from meta").fetchall() == [("1",)]


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = old_ledger(tmp_path / "ledger.sqlite")
    with monkeypatch.context() as patched:
        patched.setattr("delivery.ledger.schema._set", mock.Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            Ledger(url)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as connection:
        assert "fence" not in connection.execute("select sql from sqlite_master where name = 'files'").fetchone()[0]
    with closing(Ledger(url)) as ledger:
        assert ledger.delivery("k").fence == 0


def _differences(ledger: Ledger) -> list[Any]:
    with ledger.storage.begin() as connection:
        found: list[Any] = compare_metadata(MigrationContext.configure(connection), METADATA)
        return found


@pytest.mark.parametrize("database", ["new sqlite", "old sqlite", "new postgres", "old postgres"])
def test_a_migrated_ledger_is_as_a_new_one(tmp_path: Path, database: str, request: pytest.FixtureRequest) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    if "postgres" in database:
        url = request.getfixturevalue("postgres_url")
    if database == "old sqlite":
        old_ledger(tmp_path / "ledger.sqlite")
    if database == "old postgres":
        import psycopg

        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            connection.execute(VERSION_1.encode())
    with closing(Ledger(url)) as ledger:
        assert _differences(ledger) == []
        assert ledger.identity()[0]
    with closing(Ledger(url)) as ledger, ledger.storage.begin() as connection:
        found = connection.exec_driver_sql("select value from meta where key = 'schema_version'").scalar()
        assert found == str(VERSION)


def test_a_second_migration_finds_the_first_one_done(tmp_path: Path) -> None:
    """Two runners meet an old ledger at once: the one that waited has nothing left to do."""
    from delivery.ledger import schema

    with closing(Ledger(old_ledger(tmp_path / "ledger.sqlite"))) as ledger:
        before = ledger.identity()
        schema._migrate(ledger.storage)
        assert ledger.identity() == before


# Copies and checks


def test_each_day_that_something_went_leaves_a_private_copy(project: Project) -> None:
    run(project)
    (copy,) = (project.state / "backups").iterdir()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(Ledger(f"sqlite:///{copy}")) as ledger:
        assert [row.state for row in ledger.find()] == ["delivered"]
    before = copy.stat().st_ino
    run(project)
    assert copy.stat().st_ino == before, "nothing happened, nothing is copied"
    for day in range(10, 20):
        (copy.parent / f"ledger-2020-01-{day}.sqlite").touch()
    run(project, redeliver=True, reason="again")
    kept = sorted(path.name for path in copy.parent.iterdir())
    assert len(kept) == health.COPIES
    assert copy.name in kept, "the newest stay"


def test_a_copy_goes_to_a_new_file_only(project: Project, tmp_path: Path, postgres_url: str) -> None:
    run(project)
    health.copy(project, tmp_path / "copy")
    with closing(Ledger(f"sqlite:///{tmp_path / 'copy'}")) as ledger:
        assert len(ledger.find()) == 1
    for target in (tmp_path / "copy", tmp_path / "none" / "copy"):
        with pytest.raises(ConfigError, match="cannot be a new file"):
            health.copy(project, target)
    on_server = Project(project.root, "t", {}, project.state, project.share, postgres_url)
    with pytest.raises(ConfigError, match="no file of ours") as refused:
        health.copy(on_server, tmp_path / "other")
    assert "pg_dump" in refused.value.hint


def test_a_healthy_ledger_has_no_problems(project: Project) -> None:
    run(project)
    assert health.check(project) == []


def _sql(project: Project, *statements: str) -> None:
    with closing(sqlite3.connect(project.state / "ledger.sqlite")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_what_must_not_be_is_found(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    run(project)
    _sql(project, "update files set state = 'uploaded' where role = 'manifest'")
    assert health.check(project) == [
        f"daily to by_share [{DAY}, 2026-11-04) is delivered, and {NAME}.manifest.json never was"
    ]
    _sql(project, "update steps set note = 'released by a person' where step = 'delivered'")
    assert health.check(project) == [], "a person said so"
    _sql(project, "update files set delivery_id = 'nobody' where role = 'manifest'")
    assert health.check(project) == ["foreign_key_check: files"]


def test_a_damaged_spool_is_found_before_it_is_needed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(LocalDirectory, "upload", mock.Mock(side_effect=DestinationRefused("not yet")))
        run(project)
    assert health.check(project) == []
    (spool,) = project.state.rglob(NAME)
    spool.write_bytes(b"other")
    (problem,) = health.check(project)
    assert "changed after it was hashed" in problem


def test_a_damaged_page_is_found(project: Project) -> None:
    with closing(Ledger(project.ledger_url)) as ledger:
        for revision in range(300):
            planned(ledger, revision=revision)
    _sql(project, "pragma wal_checkpoint(truncate)")
    with (project.state / "ledger.sqlite").open("r+b") as file:
        pages = file.seek(0, 2) // 4096
        file.seek((pages - 2) * 4096)
        file.write(b"\xff" * 4096)
    with suppress(WriteFailed):  # a damage that reading meets by itself is said, too
        assert health.check(project)


# A ledger that is not the one


def test_a_ledger_that_is_gone_is_not_begun_anew(project: Project) -> None:
    run(project)
    (project.state / "ledger.sqlite").unlink()
    for path in project.state.glob("ledger.sqlite-*"):
        path.unlink()
    before = arrived(project)
    with pytest.raises(ConfigError, match=r"is new, and .* belongs to another one") as refused:
        run(project)
    assert "backups" in refused.value.hint
    assert refused.value.exit_code == ExitCode.USAGE
    assert arrived(project) == before


def test_spools_of_another_ledger_are_not_written_over(project: Project) -> None:
    spool = project.state / "spool" / "0123"
    spool.mkdir(parents=True)
    (spool / "f.csv").touch()
    with pytest.raises(ConfigError, match="is new, and 1 deliveries of another one are spooled"):
        run(project)


def _restored(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delivers a day, then another one, which the client collects; then the ledger is as after the first day."""
    run(project, window="2026-11-01")
    saved = project.state / "saved"
    shutil.copytree(project.state, saved, ignore=lambda *_: ["spool"])
    assert run(project).state == "delivered"
    for path in list(project.share.rglob("*")):
        if path.is_file():
            path.unlink()
    for path in project.state.glob("ledger.sqlite*"):
        path.unlink()
    (copy,) = (saved / "backups").iterdir()
    shutil.copy(copy, project.state / "ledger.sqlite")


def test_a_restored_ledger_sends_nothing_that_was_collected(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    _restored(project, monkeypatch)
    with pytest.raises(ConfigError, match=r"ends at step .* restored from an older backup"):
        run(project)
    adopt(project, "the disk broke")
    held = run(project)
    assert (held.state, held.code, arrived(project)) == ("held", ExitCode.FAILED, [])
    assert "Ask the client" in held.message
    assert run(project).state == "held"
    assert run(project, window="2026-11-01").state == "already delivered", "what it knows, it knows"
    holds.release(project, held.delivery.id[:12], "accept", "the client has it")
    assert run(project).state == "already delivered"
    assert arrived(project) == []


def test_what_the_client_did_not_get_is_sent_after_a_person_said_so(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    _restored(project, monkeypatch)
    adopt(project, "the disk broke")
    held = run(project)
    holds.release(project, held.delivery.id, "resend", "the client has nothing")
    assert run(project).state == "delivered"
    assert arrived(project) == [NAME, f"{NAME}.manifest.json"]


def test_another_ledger_is_not_taken_for_ours(project: Project, tmp_path: Path) -> None:
    run(project)
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.sqlite'}"
    with closing(Ledger(elsewhere)) as other:
        spooled(other)
    wrong = Project(project.root, "duckdb", project.profile, project.state, project.share, elsewhere)
    with pytest.raises(ConfigError, match=r"is not the one that .* belongs to"):
        run(wrong)


def test_a_memory_that_cannot_be_read_stops(project: Project) -> None:
    run(project)
    (project.state / "runner.json").write_text("{")
    with pytest.raises(WriteFailed, match=r"runner\.json cannot be read"):
        run(project)
    (project.state / "runner.json").unlink()
    assert run(project).state == "already delivered"


def test_a_run_that_died_leaves_a_memory_that_is_behind_and_goes_on(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("delivery.ledger.opened.remember", mock.Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(project)
    assert run(project).state == "already delivered"

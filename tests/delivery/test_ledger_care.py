"""Looking after the ledger: its schema, copies, checks, and a ledger that is missing, another one, or too old."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import sqlalchemy as sa
from small_project import AT, DAY, make_project
from tenacity import wait_none
from test_ledger import planned, spooled

from delivery import run as runner
from delivery.config.project import Project
from delivery.errors import ConfigError, DestinationRefused, ExitCode, WriteFailed
from delivery.ledger import Ledger
from delivery.ledger.opened import COPIES, adopt
from delivery.ledger.storage import Storage
from delivery.ledger.tables import VERSION, meta
from delivery.operations import health, holds
from delivery.operations.status import held as held_deliveries
from delivery.progress import Watch
from delivery.schedule.request import Request
from delivery.transfer.local_directory import LocalDirectory

if TYPE_CHECKING:
    from pathlib import Path

NAME = f"daily_{DAY}.csv"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    make_project(tmp_path / "project", empty=("2026-11-01",))
    monkeypatch.setattr("delivery.handing_over.BACK_OFF", wait_none())
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


# The schema's number


@pytest.mark.parametrize("number", [str(VERSION - 1), str(VERSION + 1), "", None])
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_ledger_with_another_schema_stops_the_run_before_anything_is_written(
    project: Project, database: str, number: str | None, request: pytest.FixtureRequest
) -> None:
    """None: it says nothing. What is found, what is read, and what to do are said; the ledger stays as it is."""
    if database == "postgres":
        project = replace(project, ledger_url=request.getfixturevalue("postgres_url"))
    run(project, window="2026-11-01")
    with closing(Storage(project.ledger_url).engine.connect()) as connection, connection.begin():
        connection.exec_driver_sql("delete from meta where key = 'schema_version'")
        if number is not None:
            connection.execute(meta.insert().values(key="schema_version", value=number))
    before = (_rows(project), arrived(project), sorted(project.state.rglob("*")))
    for command in (run, health.check, held_deliveries):
        with pytest.raises(
            ConfigError, match=f"schema version {number or 'unknown'}; this program reads {VERSION}"
        ) as no:
            command(project)
        assert no.value.exit_code == ExitCode.USAGE
        assert "version of this program that wrote it" in no.value.hint
    assert (_rows(project), arrived(project), sorted(project.state.rglob("*"))) == before


def _rows(project: Project) -> list[Any]:
    """All that is in the ledger, and in which tables."""
    with closing(Storage(project.ledger_url).engine.connect()) as connection:
        found = sa.MetaData()
        found.reflect(connection)
        return [(table.name, connection.execute(sa.select(table)).all()) for table in found.sorted_tables]


def test_two_runners_make_one_new_ledger(project: Project, postgres_url: str) -> None:
    """The one that waited finds the tables of the other one."""
    with ThreadPoolExecutor(4) as pool:
        ledgers = list(pool.map(Ledger, [postgres_url] * 4))
    assert len({ledger.identity() for ledger in ledgers}) == 1
    for ledger in ledgers:
        ledger.close()


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
    assert len(kept) == COPIES
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

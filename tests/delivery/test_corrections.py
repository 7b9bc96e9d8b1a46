"""Late rows: what changes in a delivered window leaves as a numbered correction, once, and only what changed."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from unittest import mock

import duckdb
import pytest
from small_project import AT, DAY, ROWS, make_project

from delivery import corrections, runner
from delivery.destinations.local import LocalDirectory
from delivery.errors import ConfigError, DestinationRefused, ExitCode, NothingDue
from delivery.manifest_file import verify
from delivery.project import Project
from delivery.request import Request
from delivery.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = f"daily_{DAY}.csv"
CLIENT = "acme_outdoor"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    make_project(tmp_path / "project")
    monkeypatch.setattr("time.sleep", lambda _: None)
    state = tmp_path / "state"
    url = f"sqlite:///{state / 'ledger.sqlite'}"
    profile = {"type": "duckdb", "path": "warehouse.duckdb"}
    return Project(tmp_path / "project", "duckdb", profile, state, tmp_path / "share", url)


def run(project: Project, **request: Any) -> dict[int, runner.Outcome]:
    """The outcomes by revision."""
    asked = {"at": AT, "window": DAY, "integrations": ("by_share",)} | request
    return {o.delivery.revision: o for o in runner.run(project, Request(**asked), Watch())}


def build(project: Project, *statements: str, tested: bool = True) -> None:
    """What a later build does: rows change, the day is built again, its tests pass again."""
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.execute("create or replace table events as select * from events order by namespace, event_time")
        later = "(select max(started_at) + interval 1 hour from build_days)"
        connection.execute(
            f"insert into build_days select 'later', {later}, unique_id, event_day from build_days limit 1"
        )
        now = "(select max(started_at) from build_days)"
        connection.execute(f"""insert into build_log select 'later', {now}, phase, command, partial, unique_id,
            resource_type, status, failures, whole_table, message from build_log
            where invocation_id = 'i1' and (resource_type = 'model' or {tested})""")


def late(key: str, minute: int, client: str = CLIENT) -> str:
    return (
        "insert into events (namespace, email, event_time, unique_key, updated_at, event_day) "
        f"values ('{client}', 'late@example.com', timestamp '{DAY} 12:00:30' + interval {minute} minute, '{key}', "
        f"timestamp '2026-11-04 07:00:00', date '{DAY}')"
    )


CHANGE = (
    "update events set email = 'new@example.com', updated_at = timestamp '2026-11-04 07:00:00' "
    f"where namespace = '{CLIENT}' and event_time = timestamp '{DAY} 00:05:00'"
)
WITHDRAW = f"delete from events where namespace = '{CLIENT}' and event_time = timestamp '{DAY} 00:07:00'"


def files(project: Project) -> dict[str, Path]:
    return {path.name: path for path in project.share.rglob("*") if path.is_file()}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def manifest(project: Project, name: str) -> Any:
    return json.loads(files(project)[f"{name}.manifest.json"].read_text())


def test_only_what_changed_leaves_under_a_number(project: Project) -> None:
    first = run(project)[0]
    build(project, late("late1", 1), CHANGE, WITHDRAW, late("theirs", 1, "cedar_books"))
    found = run(project)
    assert {revision: o.state for revision, o in found.items()} == {0: "already delivered", 1: "delivered"}
    corrected = f"daily_{DAY}_r1.csv"
    assert [row["email"] for row in rows(files(project)[corrected])] == ["new@example.com", "late@example.com"]
    gone = rows(files(project)[f"daily_{DAY}_r1_withdrawn.csv"])
    assert len(gone) == 1
    assert list(gone[0]) == ["unique_key"]
    assert gone[0]["unique_key"] in {row["unique_key"] for row in rows(files(project)[NAME])}
    says = manifest(project, corrected)
    assert says["revision"] == 1
    assert says["correction"] == {
        "corrects": first.delivery.id,
        "scope": "changes",
        "withdrawn": f"daily_{DAY}_r1_withdrawn.csv",
    }
    assert [(file["name"], file["rows"]) for file in says["files"]] == [
        (corrected, 2),
        (f"daily_{DAY}_r1_withdrawn.csv", 1),
    ]
    assert "correction" not in manifest(project, NAME)
    assert not [checked for checked in verify(project.share) if checked.problem]


def test_a_correction_leaves_once(project: Project) -> None:
    run(project)
    build(project, late("late1", 1))
    run(project)
    before = set(files(project))
    assert {o.state for o in run(project).values()} == {"already delivered"}
    assert set(files(project)) == before
    build(project, late("late2", 2))
    run(project)
    assert [row["unique_key"] for row in rows(files(project)[f"daily_{DAY}_r2.csv"])] == ["late2"], "since the last one"


def test_a_client_who_merges_by_key_has_what_the_table_has(project: Project) -> None:
    run(project)
    build(project, late("late1", 1), CHANGE)
    run(project)
    build(project, WITHDRAW, late("late2", 2), "delete from events where unique_key = 'late1'")
    run(project)
    have = {row["unique_key"]: row for row in rows(files(project)[NAME])}
    for revision in (1, 2):
        have |= {row["unique_key"]: row for row in rows(files(project)[f"daily_{DAY}_r{revision}.csv"])}
        withdrawn = files(project).get(f"daily_{DAY}_r{revision}_withdrawn.csv")
        for row in rows(withdrawn) if withdrawn else []:
            del have[row["unique_key"]]
    with duckdb.connect(str(project.root / "warehouse.duckdb"), read_only=True) as connection:
        table = dict(
            connection.execute(f"select unique_key, email from events where namespace = '{CLIENT}'").fetchall()
        )
    assert {key: row["email"] for key, row in have.items()} == table


def test_a_day_that_was_built_again_and_is_the_same_sends_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project)
    build(project)
    assert list(run(project)) == [0]
    monkeypatch.setattr(corrections, "changes", mock.Mock(side_effect=AssertionError("compared again")))
    assert list(run(project)) == [0]


def test_only_withdrawn_rows_leave_as_a_list_beside_a_header(project: Project) -> None:
    run(project)
    build(project, WITHDRAW)
    run(project)
    assert rows(files(project)[f"daily_{DAY}_r1.csv"]) == []
    assert len(rows(files(project)[f"daily_{DAY}_r1_withdrawn.csv"])) == 1


def test_due_looks_at_the_last_seven_days(project: Project) -> None:
    run(project)
    with pytest.raises(NothingDue):
        run(project, window=None, due=True)
    build(project, late("late1", 1))
    assert list(run(project, window=None, due=True, at=AT + timedelta(hours=1))) == [1]
    with pytest.raises(NothingDue):
        run(project, window=None, due=True, at=AT + timedelta(hours=2))


def test_what_is_older_is_left_alone_unless_it_is_named(project: Project) -> None:
    run(project)
    build(project, late("late1", 1))
    later = AT + timedelta(days=8)
    assert all(o.delivery.revision == 0 for o in run(project, window=None, due=True, at=later).values())
    assert run(project, at=later)[1].state == "delivered"


def change_manifest(project: Project, change: Callable[[Any, Any], None]) -> None:
    path = project.root / "target" / "manifest.json"
    document = json.loads(path.read_text())
    change(document["nodes"]["model.sweep.events"], document["exposures"]["exposure.sweep.daily"])
    path.write_text(json.dumps(document))


def test_a_campaign_may_ignore_late_rows(project: Project) -> None:
    change_manifest(project, lambda _, exposure: exposure["config"]["meta"]["export"].update(late_rows="ignore"))
    run(project)
    build(project, late("late1", 1))
    assert list(run(project)) == [0]
    assert not (project.state / "sent").exists()


def test_a_dataset_without_times_of_change_cannot_promise_it(project: Project) -> None:
    def change(model: Any, exposure: Any) -> None:
        del model["columns"]["updated_at"]

    change_manifest(project, change)
    run(project)
    build(project, late("late1", 1))
    assert list(run(project)) == [0]
    change_manifest(project, lambda _, exposure: exposure["config"]["meta"]["export"].update(late_rows="correct"))
    with pytest.raises(ConfigError, match="late_rows: events cannot be corrected"):
        run(project)


def test_a_file_without_keys_is_corrected_whole(project: Project) -> None:
    def change(model: Any, exposure: Any) -> None:
        model["columns"]["unique_key"]["config"]["meta"]["layout"] = "internal"

    change_manifest(project, change)
    run(project)
    build(project, late("late1", 1), WITHDRAW)
    run(project)
    assert len(rows(files(project)[f"daily_{DAY}_r1.csv"])) == ROWS
    says = manifest(project, f"daily_{DAY}_r1.csv")
    assert (says["correction"]["scope"], says["correction"]["withdrawn"]) == ("whole", None)


def test_rows_of_a_window_that_was_skipped_are_not_lost(project: Project) -> None:
    change_manifest(project, lambda _, exposure: exposure["config"]["meta"]["export"].update(empty="skip"))
    build(project, "delete from events")
    assert run(project)[0].state == "skipped"
    build(project, late("late1", 1))
    run(project)
    assert manifest(project, f"daily_{DAY}_r1.csv")["correction"]["scope"] == "whole"
    assert len(rows(files(project)[f"daily_{DAY}_r1.csv"])) == 1


def test_a_correction_passes_the_gate_or_stays(project: Project) -> None:
    run(project)
    build(project, late("late1", 1), tested=False)
    found = run(project)
    assert (found[1].state, found[1].code) == ("refused", ExitCode.GATE)
    assert sorted(files(project)) == [NAME, f"{NAME}.manifest.json"]
    build(project)
    assert run(project)[1].state == "delivered"
    assert len(rows(files(project)[f"daily_{DAY}_r1.csv"])) == 1


@pytest.mark.parametrize("died_at", ["spool", "upload"])
def test_a_correction_that_was_interrupted_goes_on_as_one(
    project: Project, monkeypatch: pytest.MonkeyPatch, died_at: str
) -> None:
    run(project)
    build(project, late("late1", 1))
    with monkeypatch.context() as patched:
        dies = mock.Mock(side_effect=KeyboardInterrupt)
        patched.setattr(*((runner, "spool", dies) if died_at == "spool" else (LocalDirectory, "upload", dies)))
        with pytest.raises(KeyboardInterrupt):
            run(project)
    assert run(project)[1].state == "delivered"
    assert [row["unique_key"] for row in rows(files(project)[f"daily_{DAY}_r1.csv"])] == ["late1"]


def test_what_is_the_same_again_by_then_is_skipped(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    run(project)
    build(project, late("late1", 1))
    with monkeypatch.context() as patched:
        patched.setattr(runner, "spool", mock.Mock(side_effect=DestinationRefused("not now")))
        run(project)
    build(project, "delete from events where unique_key = 'late1'")
    assert run(project)[1].state == "skipped"
    assert sorted(files(project)) == [NAME, f"{NAME}.manifest.json"]
    build(project, late("late2", 1))
    assert run(project)[2].state == "delivered"
    assert manifest(project, f"daily_{DAY}_r2.csv")["correction"]["scope"] == "changes"


def test_without_a_record_nothing_is_guessed(project: Project) -> None:
    run(project)
    for path in (project.state / "sent").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert b"@example.com" not in path.read_bytes()
        path.unlink()
    build(project, late("late1", 1))
    assert list(run(project)) == [0]


def test_a_fixed_name_that_is_replaced_is_replaced_whole(project: Project) -> None:
    path = project.root / "integrations.yml"
    path.write_text(
        path.read_text().replace("  by_share:\n", "  by_share:\n    existing: replace\n    file_name: events.csv\n")
    )
    run(project)
    build(project, late("late1", 1))
    run(project)
    assert len(rows(files(project)["events.csv"])) == ROWS + 1


def test_another_state_directory_has_no_record(project: Project, tmp_path: Path) -> None:
    run(project)
    build(project, late("late1", 1))
    assert list(run(replace(project, state=tmp_path / "other"))) == [0]

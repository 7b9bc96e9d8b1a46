"""Receipts: what changes after a delivery is told once, and only what changed; of windows and of audiences."""

from __future__ import annotations

import csv
import json
import os
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from unittest import mock

import duckdb
import pyarrow as pa
import pytest
from audience_project import Audiences
from builders import NOW, campaign, dataset, job
from small_project import AT, BESIDE, DAY, ROWS, make_project
from tenacity import wait_none

from delivery import run as runner
from delivery.config.datasets import Column
from delivery.config.integrations_file import Integrations
from delivery.config.project import Project
from delivery.errors import ConfigError, DestinationRefused, ExitCode, NothingDue
from delivery.files import corrections, receipts
from delivery.files.corrections import outdated
from delivery.files.manifest import Changes, Correction, verify
from delivery.files.receipts import Content, Difference
from delivery.files.spool import Spool
from delivery.forecast import plan
from delivery.ledger import Ledger
from delivery.operations.holds import release
from delivery.progress import Watch
from delivery.schedule.gaps import gaps
from delivery.schedule.jobs import sent, told_since
from delivery.schedule.request import Request
from delivery.setup import load
from delivery.transfer.local_directory import LocalDirectory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from delivery.schedule.jobs import Job

NAME = f"daily_{DAY}.csv"
CLIENT = "acme_outdoor"
NEXT = timedelta(days=1)
PEOPLE = dataset(window=None, order_by=("customer_id",), key="customer_id", contacts=("email", "phone"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr("delivery.handing_over.BACK_OFF", wait_none())
    return project_in(tmp_path)


def run(project: Project, **request: Any) -> dict[int, runner.Outcome]:
    """The outcomes by revision."""
    asked = {"at": AT, "window": DAY, "integrations": ("by_share",)} | request
    return {o.delivery.revision: o for o in runner.run(project, Request(**asked), Watch())}


def build(project: Project, *statements: str, tested: bool = True, day: str = DAY) -> None:
    """What a later build does: rows change, the day is built again, its tests pass again."""
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.execute("create or replace table events as select * from events order by namespace, event_time")
        later = "(select max(started_at) + interval 1 hour from build_days)"
        connection.execute(
            "insert into build_days (invocation_id, started_at, unique_id, event_day)"
            f" select 'later', {later}, unique_id, date '{day}' from build_days limit 1"
        )
        now = "(select max(started_at) from build_days)"
        connection.execute(f"""insert into build_log by name select 'later' as invocation_id, {now} as started_at,
            phase, command, partial, unique_id, resource_type, status, failures, whole_table from build_log
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


def test_a_correction_whose_days_cannot_be_read_says_so(project: Project) -> None:
    run(project)
    build(project, late("late1", 1))
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as connection:
        connection.execute("alter table build_days drop column event_day")
    found = run(project)
    assert {revision: o.state for revision, o in found.items()} == {0: "already delivered", 1: "refused"}
    assert "the build log cannot be read" in found[1].message
    assert not [name for name in files(project) if "_r1" in name]


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
            connection.execute(
                f"select unique_key, email from events where namespace = '{CLIENT}' and event_day = date '{DAY}'"
            ).fetchall()
        )
    assert {key: row["email"] for key, row in have.items()} == table


def test_what_goes_to_another_window_is_not_withdrawn(project: Project) -> None:
    """Whose list and whose row come first is nobody's business: the client merges the row, and keeps it."""
    before = {"window": BESIDE[0]}
    for window in ({}, before):
        run(project, **window)
    key = rows(files(project)[NAME])[3]["unique_key"]
    earlier = f"event_day = date '{BESIDE[0]}', event_time = event_time - interval 1 day"
    moves = f"update events set {earlier}, updated_at = timestamp '2026-11-04 07:00:00' where unique_key = '{key}'"
    build(project, moves)
    build(project, day=BESIDE[0])
    assert [(revision, o.state) for revision, o in run(project).items()] == [(0, "already delivered"), (1, "skipped")]
    assert run(project, **before)[1].state == "delivered"
    assert [row["unique_key"] for row in rows(files(project)[f"daily_{BESIDE[0]}_r1.csv"])] == [key]
    assert not [name for name in files(project) if name.startswith(f"daily_{DAY}_r1") or "withdrawn" in name]
    build(project, WITHDRAW)
    run(project)
    assert len(rows(files(project)[f"daily_{DAY}_r2_withdrawn.csv"])) == 1, "what is nowhere is withdrawn"


def test_what_goes_to_a_day_before_all_that_the_client_has_is_withdrawn(project: Project) -> None:
    run(project)
    key = rows(files(project)[NAME])[3]["unique_key"]
    earlier = f"event_day = date '{BESIDE[0]}', event_time = event_time - interval 1 day"
    build(project, f"update events set {earlier} where unique_key = '{key}'")
    assert run(project)[1].state == "delivered"
    assert [row["unique_key"] for row in rows(files(project)[f"daily_{DAY}_r1_withdrawn.csv"])] == [key]


def test_a_day_that_was_built_again_and_is_the_same_sends_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project)
    build(project)
    assert list(run(project)) == [0]
    monkeypatch.setattr(receipts, "_compare", mock.Mock(side_effect=AssertionError("compared again")))
    assert list(run(project)) == [0]
    for day in BESIDE:
        build(project, day=day)
    assert list(run(project)) == [0], "what was built since is another day"


def test_nothing_is_compared_again_where_a_file_system_keeps_whole_seconds(project: Project) -> None:
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as connection:
        for table in ("build_days", "build_log"):
            connection.execute(f"update {table} set started_at = started_at + interval 400 milliseconds")
    assert run(project)[0].state == "delivered"
    for path in (project.state / "sent").glob("*.parquet"):
        seconds = path.stat().st_mtime_ns // 10**9
        os.utime(path, (seconds, seconds))
    with mock.patch.object(receipts, "_compare", side_effect=AssertionError("compared again")):
        assert list(run(project)) == [0]


def test_only_withdrawn_rows_leave_as_a_list_beside_a_header(project: Project) -> None:
    run(project)
    build(project, WITHDRAW)
    run(project)
    assert rows(files(project)[f"daily_{DAY}_r1.csv"]) == []
    assert len(rows(files(project)[f"daily_{DAY}_r1_withdrawn.csv"])) == 1


def test_a_correction_is_due_once(project: Project) -> None:
    run(project)
    with pytest.raises(NothingDue):
        run(project, window=None, due=True)
    build(project, late("late1", 1))
    assert list(run(project, window=None, due=True, at=AT + timedelta(hours=1))) == [1]
    with pytest.raises(NothingDue):
        run(project, window=None, due=True, at=AT + timedelta(hours=2))


LONG_AFTER = datetime(2026, 11, 20, 6, tzinfo=UTC)
DAYS = [f"2026-10-{day}" for day in range(26, 32)] + [f"2026-11-{day:02}" for day in range(1, 13)]
WEEKS = ("2026-10-26..2026-11-01", "2026-11-02..2026-11-08")


def project_in(root: Path, **world: Any) -> Project:
    make_project(root / "project", **world)
    state, profile = root / "state", {"type": "duckdb", "path": "warehouse.duckdb"}
    return Project(root / "project", "duckdb", profile, state, root / "share", f"sqlite:///{state / 'ledger.sqlite'}")


@pytest.fixture(scope="module")
def changed_since(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Days and weeks that went to two clients, of which all rows changed since; nobody has corrected them yet."""
    beside = tuple(day for day in DAYS if day != DAY)
    weekly = {"schedule": "0 5 * * 1", "integrations": ["by_share", "share_of_cedar_books"]}
    project = project_in(tmp_path_factory.mktemp("changed"), rows=3, beside=beside, campaigns={"weekly": weekly})
    for name, days in (("by_share", (DAYS[0], "2026-11-13")), ("share_of_cedar_books", ("2026-11-02", "2026-11-03"))):
        asked = Request(at=LONG_AFTER, start=days[0], end=days[1], integrations=(name,))
        assert {o.state for o in runner.run(project, asked, Watch())} == {"delivered"}
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as connection:
        connection.execute("update events set updated_at = timestamp '2026-11-19 00:00:00'")
        connection.execute(
            "insert into build_days by name select * replace ('later' as invocation_id,"
            " timestamp '2026-11-25 12:00:00' as started_at) from build_days"
        )
    return project


def due(project: Project, **request: Any) -> list[str]:
    """Campaign and days of the corrections of acme's deliveries, or of those that are asked for."""
    asked = {"at": LONG_AFTER, "integrations": ("by_share",)} | request
    declared = Integrations(project.integrations_file)
    setup = load(project, declared, ("by_share", "share_of_cedar_books", "share_of_brightside_beauty"))
    with closing(Ledger(project.ledger_url)) as ledger:
        found = outdated(Request(**asked), setup.campaigns, setup.integrations, project, ledger, keep=True)
        assert all(one.corrects == replace(one, revision=one.revision - 1).key for one in found)
        assert {one.revision for one in found} <= {1}
    return sorted(f"{one.campaign.name} {one.window}" for one in found)


@pytest.mark.parametrize(
    ("request_", "days", "weeks"),
    [
        # of --due: of any age, but none that is to come
        ({"due": True, "at": datetime(2026, 11, 9, 6, tzinfo=UTC)}, DAYS[:15], WEEKS),
        ({"due": True, "at": datetime(2026, 11, 8, 23, 59, tzinfo=UTC)}, DAYS[:14], WEEKS),
        ({"due": True, "at": datetime(2026, 12, 20, 6, tzinfo=UTC)}, DAYS, WEEKS),
        ({"window": "2026-11-02"}, ["2026-11-02"], WEEKS[1:]),
        ({"window": "2026-11-08"}, ["2026-11-08"], WEEKS[1:]),
        ({"window": "2026-11-09"}, ["2026-11-09"], ()),
        ({"window": "2026-10-25"}, [], ()),
        ({"start": "2026-11-03", "end": "2026-11-05"}, ["2026-11-03", "2026-11-04"], WEEKS[1:]),
        ({"start": "2026-10-31", "end": "2026-11-02"}, ["2026-10-31", "2026-11-01"], WEEKS[:1]),
        ({"start": "2026-10-31", "end": "2026-11-03"}, ["2026-10-31", "2026-11-01", "2026-11-02"], WEEKS),
        ({"start": "2026-11-03"}, DAYS, WEEKS),  # which is no range
    ],
)
def test_which_days_are_looked_at(
    changed_since: Project, request_: dict[str, Any], days: list[str], weeks: tuple[str, ...]
) -> None:
    assert due(changed_since, **request_) == [f"daily {day}" for day in days] + [f"weekly {week}" for week in weeks]


def test_only_the_campaigns_and_clients_that_are_asked_for(changed_since: Project) -> None:
    day = {"window": "2026-11-02"}
    assert due(changed_since, **day, select=("weekly",)) == [f"weekly {WEEKS[1]}"]
    assert due(changed_since, **day, select=("daily",)) == ["daily 2026-11-02"]
    assert due(changed_since, **day, integrations=("share_of_brightside_beauty",)) == [], "to whom nothing went"
    both = due(changed_since, **day, integrations=("share_of_cedar_books", "by_share"))
    assert both == ["daily 2026-11-02"] * 2 + [f"weekly {WEEKS[1]}"]
    assert due(changed_since, **day, integrations=("share_of_cedar_books",)) == ["daily 2026-11-02"]


def on_record(ledger: Ledger, one: Job, state: str, **changes: Any) -> None:
    values = one.record("/share", None) | {"id": f"{len(ledger.find()):064}"} | changes
    ledger.plan(**values)
    if state != "planned":
        ledger.advance(values["id"], "planned", state)


@pytest.mark.parametrize(
    ("states", "found"),
    [
        (["delivered"], [0]),
        (["skipped"], [0]),
        (["held"], []),
        (["planned"], []),
        (["delivered", "delivered"], [1]),
        (["delivered", "planned"], []),
        (["delivered", "held"], []),
        (["delivered", "skipped", "delivered"], [2]),
        (["delivered", "cancelled"], [1]),
        (["cancelled"], []),
        (["cancelled", "cancelled"], []),
    ],
)
def test_the_newest_revision_is_corrected_where_it_has_ended_well(states: list[str], found: list[int]) -> None:
    columns = tuple(Column(name, "text", "file") for name in ("namespace", "unique_key", "updated_at"))
    one = job(campaign=campaign(of=dataset(columns=columns)))
    with closing(Ledger("sqlite://")) as ledger:
        for revision, state in reversed(list(enumerate(states))):
            on_record(ledger, replace(one, revision=revision), state)
        beside = {"window_start": "2026-11-02", "window_end": "2026-11-03"}
        on_record(ledger, one, "delivered", revision=7, campaign="weekly")
        on_record(ledger, one, "delivered", revision=7, integration="other")
        on_record(ledger, one, "delivered", revision=7, namespace="cedar_books")
        on_record(ledger, one, "delivered", revision=7, **beside)
        asked = Request(at=AT, window=DAY)
        newest = sent(asked, {"daily": one.campaign}, {"acme": one.integration}, ledger, lambda *_: True)
        assert [(other.job.revision, other.job.window, other.job.slot) for other in newest] == [
            (revision, one.window, one.slot) for revision in found
        ]


@pytest.mark.parametrize(
    ("columns", "keys", "before", "whole"),
    [
        (("unique_key", "email"), {}, {}, False),
        (("email",), {}, {}, True),
        (("unique_key", "email"), {"existing": "replace"}, {}, True),
        (("unique_key",), {}, {"state": "skipped"}, True),
        (("unique_key",), {}, {"campaign": "weekly"}, True),
        (("unique_key",), {}, {"integration": "other"}, True),
        (("unique_key",), {}, {"namespace": "cedar_books"}, True),
        (("unique_key",), {}, {"window_start": "2026-11-02"}, True),
        (("unique_key",), {}, {"window_end": "2026-11-05"}, True),
    ],
)
def test_a_correction_is_whole_without_keys_or_anything_before(
    columns: tuple[str, ...], keys: dict[str, Any], before: dict[str, str], whole: bool
) -> None:
    one = job(**keys, file_name="x", revision=1)
    with closing(Ledger("sqlite://")) as ledger:
        state = before.pop("state", "delivered")
        on_record(ledger, one, state, **before)
        assert receipts.is_whole(one, columns, ledger) == whole


@pytest.mark.parametrize("days", [9, 40])
def test_a_row_is_never_too_late(project: Project, days: int) -> None:
    run(project)
    build(project, late("late1", 1))
    later = AT + timedelta(days=days)
    found = run(project, window=None, due=True, at=later, select=("daily",))
    assert found[1].state == "delivered"
    assert [row["unique_key"] for row in rows(files(project)[f"daily_{DAY}_r1.csv"])] == ["late1"]


def test_a_day_and_the_week_that_begins_with_it_are_each_corrected(tmp_path: Path) -> None:
    """Also where a schedule was changed: they are windows of one campaign, with one first day."""
    project = project_in(tmp_path, rows=3, beside=tuple(f"2026-11-0{day}" for day in (2, 4, 5, 6, 7, 8)))
    week = {"at": datetime(2026, 11, 9, 6, tzinfo=UTC), "window": "2026-11-02"}
    run(project, **week)
    change_manifest(project, lambda _, exposure: exposure["config"]["meta"]["export"].update(schedule="0 5 * * 1"))
    change_keys(project, file_name="{campaign}_{window:%Y-%m-%d}_week")
    run(project, **week)
    build(project, "delete from events where event_day = date '2026-11-02' and event_time::time = '00:01:00'",
          day="2026-11-02")  # fmt: skip
    outcomes = runner.run(project, Request(at=week["at"], due=True, integrations=("by_share",)), Watch())
    assert sorted(o.delivery.window_end for o in outcomes if o.delivery.revision == 1) == ["2026-11-03", "2026-11-09"]


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
        patched.setattr(*((Spool, "write", dies) if died_at == "spool" else (LocalDirectory, "upload", dies)))
        with pytest.raises(KeyboardInterrupt):
            run(project)
    assert run(project)[1].state == "delivered"
    assert [row["unique_key"] for row in rows(files(project)[f"daily_{DAY}_r1.csv"])] == ["late1"]


def test_what_is_the_same_again_by_then_is_skipped(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    run(project)
    build(project, late("late1", 1))
    with monkeypatch.context() as patched:
        patched.setattr(Spool, "write", mock.Mock(side_effect=DestinationRefused("not now")))
        run(project)
    build(project, "delete from events where unique_key = 'late1'")
    assert run(project)[1].state == "skipped"
    assert sorted(files(project)) == [NAME, f"{NAME}.manifest.json"]
    build(project, late("late2", 1))
    assert run(project)[2].state == "delivered"
    assert manifest(project, f"daily_{DAY}_r2.csv")["correction"]["scope"] == "changes"


def test_without_a_record_nothing_is_guessed_and_it_is_said(project: Project) -> None:
    """Once it was built again: the run fails for that window, and it is a gap until a person sends it again."""
    both = ("by_share", "share_of_cedar_books")
    run(project, integrations=both)
    with closing(Ledger(project.ledger_url)) as ledger:
        keys = {row.integration: row.id for row in ledger.find()}
    path = project.state / "sent" / f"{keys['by_share']}.parquet"
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"@example.com" not in path.read_bytes()
    path.unlink()
    assert list(run(project)) == [0], "nothing was built since"
    build(project, late("late1", 1), late("theirs", 1, "cedar_books"))
    before_the_build(project)
    due = {"window": None, "due": True, "integrations": both}
    foreseen = {one.destination: (one.code, one.refusal[:20]) for one in plan(project, Request(at=AT, **due))}
    assert foreseen == {
        str(project.share / CLIENT / "inbox"): (ExitCode.FAILED, "There is no record h"),
        str(project.share / "cedar_books" / "inbox"): (ExitCode.DONE, ""),
    }
    for _ in range(2):
        found = {o.delivery.integration: o for o in runner.run(project, Request(at=AT, **due), Watch())}
        lost = found.pop("by_share")
        assert (lost.state, lost.code) == ("failed", ExitCode.FAILED)
        assert "There is no record here" in lost.message
        assert "--redeliver" in lost.hint
        assert {o.state for o in found.values()} <= {"delivered"}, "who has one is corrected"
    (gap,) = gaps(project, Integrations(project.integrations_file), AT, "daily", None, None)
    assert (gap.integration, gap.when, gap.state) == ("by_share", f"{DAY} r1", "planned")
    assert "There is no record here" in gap.note
    assert run(project, redeliver=True, reason="not known what they have")[1].state == "delivered"
    assert len(rows(files(project)[f"daily_{DAY}_r1.csv"])) == ROWS + 1
    assert not gaps(project, Integrations(project.integrations_file), AT, "daily", None, None)
    assert list(run(project)) == [1]


def before_the_build(project: Project) -> None:
    """What the ledger has was delivered before the last build of these tests, which are of the past."""
    with closing(Ledger(project.ledger_url)) as ledger, ledger.storage.begin() as connection:
        connection.exec_driver_sql("update deliveries set updated_at = '2026-11-04T06:00:00.000000Z'")


def test_a_fixed_name_that_is_replaced_is_replaced_whole(project: Project) -> None:
    change_keys(project, existing="replace", file_name="events.csv")
    run(project)
    build(project, late("late1", 1))
    run(project)
    assert len(rows(files(project)["events.csv"])) == ROWS + 1


def change_keys(project: Project, **keys: str) -> None:
    path = project.integrations_file
    written = "".join(f"    {key}: '{value}'\n" for key, value in keys.items())
    path.write_text(path.read_text().replace("  by_share:\n", f"  by_share:\n{written}"))


@pytest.mark.parametrize(("days", "works", "is_told"), [(9999, False, False), (0, False, True), (0, True, False)])
def test_what_another_runner_delivered_is_left_to_it_while_it_is_there(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, works: bool, is_told: bool
) -> None:
    """It has the receipt; where it did nothing for days after a build, its windows are said to be unknown here."""
    monkeypatch.setattr(corrections, "LEFT_TO_OTHERS", timedelta(days=days))
    run(project)
    build(project, late("late1", 1))
    before_the_build(project)
    if works:
        run(project, window="2026-11-02")
    other = replace(project, state=tmp_path / "other")
    if is_told:
        assert "There is no record here" in run(other, window=None, due=True)[1].message
        return
    with pytest.raises(NothingDue):
        run(other, window=None, due=True)


def test_a_table_that_is_built_whole_is_corrected_too(project: Project) -> None:
    """As in a dbt project that has no growing models: of no day it is on record when it was built."""

    def change(model: Any, _: Any) -> None:
        del model["config"]["meta"]["grows_by"]
        model["config"]["materialized"] = "table"

    def rebuild(*statements: str) -> None:
        build(project, *statements)
        with duckdb.connect(str(project.root / "warehouse.duckdb")) as connection:
            connection.execute("delete from build_days where event_day <> date '2026-11-30'")
            connection.execute("update build_log set whole_table = true")

    change_manifest(project, change)
    document = json.loads((project.root / "target" / "manifest.json").read_text())
    document["nodes"]["test.sweep.unique"]["config"] = {"meta": {}}
    (project.root / "target" / "manifest.json").write_text(json.dumps(document))
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as connection:
        connection.execute(
            "update build_log set whole_table = true;"
            " update build_days set unique_id = 'model.sweep.other', event_day = date '2026-11-30'"
        )
    run(project)
    with mock.patch.object(receipts, "_compare", side_effect=AssertionError("compared")):
        assert list(run(project)) == [0], "nothing was built since"
    rebuild(late("late1", 1))
    assert run(project)[1].state == "delivered"
    rebuild()
    assert list(run(project)) == [1], "built, and the same"


def test_of_a_window_what_the_client_has_is_kept_and_what_came_before_is_not(project: Project) -> None:
    run(project, window="2026-11-02")
    run(project)
    for number in (1, 2, 3):
        build(project, late(f"late{number}", number))
        run(project)
    with closing(Ledger(project.ledger_url)) as ledger:
        kept = {row.id for row in ledger.find() if row.revision >= 2 or row.window_start == "2026-11-02"}
    assert {path.stem for path in (project.state / "sent").glob("*.parquet")} == kept


def test_what_a_run_left_that_died_while_it_compared_stops_nothing(project: Project) -> None:
    run(project)
    build(project, late("late1", 1))
    with mock.patch.object(receipts, "_compare", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        run(project)
    assert run(project)[1].state == "delivered"


def test_a_redelivery_that_was_cancelled_hides_no_correction(project: Project) -> None:
    run(project)
    with mock.patch.object(LocalDirectory, "upload", side_effect=DestinationRefused("closed")):
        again = run(project, redeliver=True, reason="asked for")[1].delivery
    with closing(Ledger(project.ledger_url)) as ledger:
        ledger.advance(again.id, "spooled", "cancelled", note="not wanted")
    assert list(run(project)) == [1], "nothing changed since"
    build(project, late("late1", 1))
    corrected = run(project)[2]
    assert corrected.state == "delivered"
    assert [row["unique_key"] for row in rows(files(project)[f"daily_{DAY}_r2.csv"])] == ["late1"]


def test_a_row_count_is_not_asked_of_what_changed(project: Project) -> None:
    path = project.integrations_file
    path.write_text(path.read_text().replace("{type: hosted}", "{type: hosted}\n    row_count: {min: 600, change: 10}"))
    run(project)
    build(project, late("late1", 1), CHANGE)
    corrected = run(project)[1]
    assert (corrected.state, corrected.delivery.rows) == ("delivered", 2)


# What changed of an audience


@pytest.fixture
def changing(tmp_path: Path) -> Audiences:
    made = Audiences(tmp_path / "project")
    made.export = {"mode": "changes", "full_every": 9, "layout": {"columns": ["customer_id"]}}
    return made


def told(audiences: Audiences, day: str, campaign: str = "many") -> dict[str, list[str]]:
    kinds = ("entered", "changed", "left")
    return {kind: [row.split(",")[0] for row in audiences.rows(f"{campaign}_{day}_{kind}.csv")] for kind in kinds}


def test_a_contact_that_two_members_shared_leaves_once_and_only_with_the_last(changing: Audiences) -> None:
    changing.sql("update people set email = 'both@example.com', phone = null where points in (2, 3, 4, 5)")
    changing.run()
    changing.sql("delete from aud_many where customer_id in ('a-002', 'a-003')")
    changing.run(NOW + NEXT)
    assert told(changing, "2026-11-05") == {"entered": [], "changed": [], "left": []}, "two are members still"
    changing.sql("delete from aud_many where customer_id in ('a-004', 'a-005')")
    changing.run(NOW + 2 * NEXT)
    assert told(changing, "2026-11-06") == {"entered": [], "changed": [], "left": ["both@example.com"]}


def test_who_has_only_one_of_two_contacts_is_known_by_it(changing: Audiences) -> None:
    """Of the members some have no phone and some no email: what is not there is the same as what is not there."""
    changing.run()
    changing.run(NOW + NEXT)
    assert told(changing, "2026-11-05") == {"entered": [], "changed": [], "left": []}
    changing.sql("update people set pclv = 1 where points in (1, 7) ")
    changing.sql("update people set phone = '+447700900001' where points = 3")
    changing.run(NOW + 2 * NEXT)
    assert told(changing, "2026-11-06") == {
        "entered": ["a-003"], "changed": ["a-001", "a-007"], "left": ["a3@example.com"],
    }  # fmt: skip


def test_two_deliveries_never_wait_for_each_other(changing: Audiences) -> None:
    """One that is held is released and written anew, while the next one told the changes since it."""
    changing.run()
    changing.sql("insert into aud_many select namespace, customer_id, is_unsubscribed from people where points = 30")
    with mock.patch.object(LocalDirectory, "upload", side_effect=DestinationRefused("closed")):
        (first,) = changing.run(NOW + NEXT)
    for path in (changing.root / ".delivery" / "spool").rglob("*_entered.csv"):
        path.write_text("changed")
    changing.sql("insert into aud_many select namespace, customer_id, is_unsubscribed from people where points = 31")
    assert [o.state for o in changing.run(NOW + 2 * NEXT, due=True)] == ["held", "failed"]
    changing.sql("delete from aud_many where customer_id in ('a-031', 'a-004')")
    release(changing.project, first.delivery.id, "resend", "the disk was mended")
    changing.built()
    assert [o.state for o in changing.run(NOW + 2 * NEXT, due=True)] == ["delivered", "delivered"]
    assert told(changing, "2026-11-05") == {"entered": ["a-030"], "changed": [], "left": ["a4@example.com"]}
    assert told(changing, "2026-11-06") == {"entered": [], "changed": [], "left": []}


def test_each_campaign_tells_of_its_own_last_delivery(changing: Audiences) -> None:
    changing.campaigns = ("many", "more")
    changing.run()
    changing.sql("delete from aud_many where customer_id = 'a-001'")
    changing.run(NOW + NEXT, select=("more",))
    changing.sql("delete from aud_many where customer_id = 'a-002'")
    changing.run(NOW + 2 * NEXT)
    assert told(changing, "2026-11-06")["left"] == ["a1@example.com", "a2@example.com"]
    assert told(changing, "2026-11-05", "more")["left"] == ["a1@example.com"]
    assert told(changing, "2026-11-06", "more")["left"] == ["a2@example.com"]


def test_what_does_not_differ_is_no_change_and_a_value_cannot_run_into_the_next(changing: Audiences) -> None:
    changing.definitions = ["first_name", "pclv"]
    changing.export["layout"] = {"columns": ["customer_id"]}
    changing.sql("update people set first_name = 'x1', pclv = 23 where points = 3")
    changing.run()
    changing.sql("update people set first_name = 'x', pclv = 123 where points = 3")
    changing.sql("update people set first_name = null where points = 4")
    changing.run(NOW + NEXT)
    assert told(changing, "2026-11-05")["changed"] == ["a-003", "a-004"]


def test_the_record_of_the_last_delivery_is_kept_and_a_neighbours_too(changing: Audiences) -> None:
    changing.campaigns = ("many", "more")
    changing.run()
    changing.run(NOW + NEXT, select=("many",))
    changing.run(NOW + 2 * NEXT, select=("many",))
    folder = changing.root / ".delivery" / "members"
    assert len(list(folder.iterdir())) == 3, "two of `many`, one of `more`"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.suffix for path in folder.iterdir()} == {".parquet"}


def ended(ledger: Ledger, slot: str, state: str = "delivered", **changes: Any) -> str:
    one = job(slot, campaign=campaign(of=PEOPLE, mode="changes"))
    values = one.record("/share", None) | {"id": f"{len(ledger.find()):02}"} | changes
    ledger.plan(**values)
    if state != "planned":
        ledger.advance(values["id"], "planned", state)
    return str(values["id"])


def test_before_is_what_was_written_of_this_campaign_and_client_in_order(ledger: Ledger) -> None:
    """Not in the order of slots: one that was refused and is written later stands on those that left before it."""
    first = ended(ledger, "2026-11-02 05:00", revision=1)
    second = ended(ledger, "2026-11-02 05:00")
    ended(ledger, "2026-11-01 05:00", "skipped")
    on_its_way = ended(ledger, "2026-11-03 05:00", "spooled")
    for state in ("planned", "held", "cancelled"):
        ended(ledger, "2026-11-03 05:00", state, revision=2 + len(state))
    unwanted = ended(ledger, "2026-11-03 05:00", "spooled", revision=1)
    ledger.advance(unwanted, "spooled", "cancelled")
    anew = ended(ledger, "2026-11-03 05:00", "spooled", revision=99)
    ledger.advance(anew, "spooled", "planned")
    for neighbour in ({"campaign": "weekly"}, {"integration": "other"}, {"namespace": "cedar_books"}):
        ended(ledger, "2026-11-03 05:00", **neighbour)
    today: Job = job("2026-11-04 05:00", campaign=campaign(of=PEOPLE, mode="changes"))
    ended(ledger, "2026-11-04 05:00", id=today.key)
    assert [row.id for row in told_since(today, ledger)[0]] == [first, second], "what may still be needed is kept"
    assert told_since(today, ledger)[1] == on_its_way


@pytest.mark.parametrize("left_first", ["many_2026-11-05_entered.csv", "many_2026-11-05_left.csv"])
def test_after_changes_of_which_a_part_left_and_that_are_cancelled_all_are_sent(
    changing: Audiences, left_first: str
) -> None:
    """Who entered with that part, and left since, is in no file of changes: the client would keep them."""
    changing.run()
    changing.sql("insert into aud_many select namespace, customer_id, is_unsubscribed from people where points = 30")
    inbox = changing.root / "share" / "acme_outdoor" / "in"
    (inbox / left_first).write_text("of somebody else")
    (held,) = changing.run(NOW + NEXT)
    assert held.state == "held"
    (planned,) = plan(changing.project, Request(at=NOW + 2 * NEXT))
    assert planned.taken.startswith("it tells the changes since many to acme 2026-11-05T05:00:00Z, which is held")
    release(changing.project, held.delivery.id, "cancel", "never mind")
    (planned,) = plan(changing.project, Request(at=NOW + 2 * NEXT))
    assert planned.taken == ""
    changing.sql("delete from aud_many where customer_id = 'a-030'")
    (done,) = changing.run(NOW + 2 * NEXT)
    assert done.state == "delivered"
    nothing_left = left_first.endswith("entered.csv")
    assert ("many_2026-11-06.csv" in changing.files()) is not nothing_left
    (after,) = changing.run(NOW + 3 * NEXT)
    assert after.delivery.since == done.delivery.id


@pytest.mark.parametrize(
    ("full_every", "told_changes", "is_full"),
    [
        (1, [], True),
        (1, [True, True], True),
        (2, [False], False),
        (2, [False, True], True),
        (3, [False, True], False),
        (3, [True, True], True),
        (3, [False, True, True], True),
        (3, [True, False, True], False),
        (3, [True, True, False], False),
        (4, [True, True], False),
        (4, [True, True, True], True),
    ],
)
def test_each_so_many_th_is_whole(ledger: Ledger, full_every: int, told_changes: list[bool], is_full: bool) -> None:
    for day, changed in enumerate(told_changes, start=1):
        ended(ledger, f"2026-11-{day:02} 05:00", since="before" if changed else None)
    today = job("2026-11-09 05:00", campaign=campaign(of=PEOPLE, mode="changes", full_every=full_every))
    assert (told_since(today, ledger)[1] is None) == is_full


@pytest.mark.parametrize(("entered", "changed", "left"), [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)])
def test_one_of_any_kind_is_a_change(entered: int, changed: int, left: int) -> None:
    gone = pa.RecordBatch.from_pydict({"email": ["x"] * left})
    found = Difference(pa.array(["k"] * entered), pa.array(["k"] * changed), gone)
    assert bool(found) == (entered + changed + left > 0)


def test_other_modes_tell_no_changes_and_keep_no_receipt(changing: Audiences) -> None:
    changing.export["mode"] = "full"
    changing.run()
    changing.run(NOW + NEXT)
    assert changing.rows("many_2026-11-05.csv") == changing.rows("many_2026-11-04.csv")
    assert not (changing.root / ".delivery" / "members").exists()


# What a delivery's files hold


@pytest.mark.parametrize(
    ("content", "skipped_with"),
    [
        # a first delivery: empty or not
        ({"rows": 3}, []),
        ({"rows": 0}, ["skip"]),
        # the whole window again, where something differs or nothing does
        ({"rows": 3, "differs": True}, []),
        ({"rows": 3, "differs": False}, ["header", "skip", "fail"]),
        ({"rows": 0, "differs": True}, ["skip"]),
        ({"rows": 0, "differs": False}, ["header", "skip", "fail"]),
        # what changed of a window; without rows of its own, it lists what is gone
        ({"rows": 2, "holds": 5, "differs": True}, []),
        ({"rows": 0, "holds": 5, "differs": True}, []),
        ({"rows": 0, "holds": 5, "differs": False}, ["header", "skip", "fail"]),
        # changes of an audience
        ({"rows": 3, "since": "before", "differs": True}, []),
        ({"rows": 0, "since": "before", "differs": True}, []),
        ({"rows": 3, "since": "before", "differs": False}, ["skip"]),
        ({"rows": 0, "since": "before", "differs": False}, ["skip"]),
    ],
    ids=str,
)
def test_what_there_is_nothing_to_send_of(content: dict[str, Any], skipped_with: list[str]) -> None:
    found = Content(selections={}, **content)
    assert [empty for empty in ("header", "skip", "fail") if found.is_skipped(empty)] == skipped_with


@pytest.mark.parametrize(
    ("holds", "names", "scope", "withdrawn"),
    [
        (None, {"": ["a.csv"]}, "whole", None),
        (0, {"": ["a.csv"]}, "changes", None),
        (7, {"": ["a.csv"], "withdrawn": ["gone.csv"]}, "changes", "gone.csv"),
    ],
)
def test_a_correction_says_of_what_and_how_much(
    holds: int | None, names: dict[str, list[str]], scope: str, withdrawn: str | None
) -> None:
    content = Content(3, {}, holds=holds)
    assert content.told(replace(job(), corrects="first"), names) == Correction(
        corrects="first", scope=scope, withdrawn=withdrawn
    )
    assert content.told(job(), names) is None


def test_changes_say_since_when_and_in_which_files() -> None:
    names = {"entered": ["e1", "e2"], "changed": ["c"], "left": ["l"]}
    assert Content(3, {}, since="before").told(job(), names) == Changes(
        since="before", entered=["e1", "e2"], changed=["c"], left=["l"]
    )


# What the client would be left with


@pytest.mark.parametrize(
    ("gone", "row_count", "refusal"),
    [
        ("true", None, "none of the rows that were delivered is left"),
        ("event_time >= timestamp '2026-11-03 00:05:00'", {"min": 100}, "5 rows, fewer than row_count.min 100"),
        ("event_time >= timestamp '2026-11-03 00:05:00'", None, None),
    ],
)
def test_a_correction_is_judged_by_what_the_window_holds_after_it(
    project: Project, gone: str, row_count: dict[str, int] | None, refusal: str | None
) -> None:
    """A build that went wrong takes no window back; what a person says is right leaves."""
    if row_count:
        path = project.root / "target" / "manifest.json"
        document = json.loads(path.read_text())
        document["exposures"]["exposure.sweep.daily"]["config"]["meta"]["export"]["row_count"] = row_count
        path.write_text(json.dumps(document))
    run(project)
    build(project, f"delete from events where namespace = '{CLIENT}' and event_day = date '{DAY}' and {gone}")
    asked: dict[str, Any] = {"at": AT, "window": DAY, "integrations": ("by_share",)}
    planned = plan(project, Request(**asked))[-1]
    assert (refusal or "") in planned.refusal
    assert planned.code == (ExitCode.GATE if refusal else ExitCode.DONE)
    assert plan(project, Request(**asked, ungated=True, reason="x"))[-1].refusal == ""
    found = run(project)[1]
    if refusal is None:
        assert found.state == "delivered"
        return
    assert (found.state, found.code) == ("refused", ExitCode.GATE)
    assert refusal in found.message
    assert f"daily_{DAY}_r1.csv" not in files(project)
    accepted = run(project, ungated=True, reason="the client withdrew them")[1]
    assert accepted.state == "delivered"
    assert f"daily_{DAY}_r1_withdrawn.csv" in files(project)


@pytest.mark.parametrize("blocked", [f"daily_{DAY}_r1.csv", f"daily_{DAY}_r1_withdrawn.csv"], ids=["nothing", "a part"])
def test_what_a_cancelled_correction_told_is_taken_back_where_a_part_had_left(project: Project, blocked: str) -> None:
    """Rows are again what they were in the delivery that ended; the client may have those of the correction."""
    build(project, "create table before as select * from events")
    run(project)
    build(project, late("late1", 1), CHANGE, WITHDRAW)
    inbox = files(project)[NAME].parent
    (inbox / blocked).write_text("of somebody else")
    first, held = run(project).values()
    assert held.state == "held"
    release(project, held.delivery.id, "cancel", "never mind")
    build(project, "delete from events", "insert into events select * from before")
    found = run(project)
    if blocked.endswith("r1.csv"):
        assert found[2].state == "skipped"
        return
    assert found[2].state == "delivered"
    taken_back = rows(files(project)[f"daily_{DAY}_r2.csv"])
    assert {row["event_time"][11:16] for row in taken_back} == {"00:05", "00:07"}
    assert "new@example.com" not in str(taken_back)
    assert [row["unique_key"] for row in rows(files(project)[f"daily_{DAY}_r2_withdrawn.csv"])] == ["late1"]
    assert found[2].delivery.corrects == first.delivery.id
    build(project, late("late2", 2))
    assert run(project)[3].delivery.rows == 1, "what was taken back is not taken back again"


def test_a_correction_that_was_cancelled_hides_no_other(project: Project) -> None:
    """It is not made again by itself; what changes after it leaves with it, since the client has neither."""
    run(project)
    build(project, late("late1", 1))
    upload = LocalDirectory.upload
    with mock.patch.object(LocalDirectory, "upload", side_effect=DestinationRefused("closed")):
        cancelled = run(project)[1].delivery
    with closing(Ledger(project.ledger_url)) as ledger:
        ledger.advance(cancelled.id, "spooled", "cancelled", note="not wanted")
    assert upload is LocalDirectory.upload
    assert list(run(project)) == [1]
    assert 2 not in run(project), "nothing changed since"
    build(project, late("late2", 2))
    assert run(project)[2].state == "delivered"
    corrected = rows(files(project)[f"daily_{DAY}_r2.csv"])
    assert [row["unique_key"] for row in corrected] == ["late1", "late2"]
    assert manifest(project, f"daily_{DAY}_r2.csv")["correction"]["corrects"] != cancelled.id

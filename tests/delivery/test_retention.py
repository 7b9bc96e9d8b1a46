"""Prune: only what was delivered, is the ledger's and is old enough goes, and what no delivery needs."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from small_project import AT, DAY, make_project

from delivery import run as runner
from delivery.cli import cli
from delivery.config.project import Project
from delivery.errors import Busy, WriteFailed
from delivery.ledger import Ledger
from delivery.ledger.lock import only_runner
from delivery.ledger.tables import files
from delivery.operations import retention
from delivery.operations.retention import Clock, Pruned, prune
from delivery.progress import Watch
from delivery.schedule.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = f"daily_{DAY}.csv"
BOTH = [NAME, f"{NAME}.manifest.json"]
START = datetime.now(UTC)
EIGHT = START + timedelta(days=8)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    root, state = tmp_path / "project", tmp_path / "state"
    make_project(root)
    monkeypatch.setenv("SWEEP_PASSWORD", "not needed")
    profile = {"type": "duckdb", "path": "warehouse.duckdb"}
    return Project(root, "duckdb", profile, state, tmp_path / "share", f"sqlite:///{state / 'ledger.sqlite'}")


def deliver(project: Project, **request: Any) -> runner.Outcome:
    wanted = {"window": DAY, "integrations": ("by_share",)} | request
    (outcome,) = runner.run(project, Request(at=AT, **wanted), Watch())
    return outcome


def inbox(project: Project) -> Path:
    return project.share / "acme_outdoor" / "inbox"


def names(project: Project) -> list[str]:
    return sorted(path.name for path in inbox(project).iterdir())


def age(project: Project, days: int = 8) -> None:
    """Lets days pass, as prune on each of them would."""
    with closing(Ledger(project.ledger_url)) as ledger:
        for day in range(1, days):
            ledger.tick(START + timedelta(days=day))


def done(found: list[Pruned]) -> dict[str, str]:
    return {thing.name: thing.done for thing in found}


def test_what_was_delivered_goes_after_its_days_and_is_recorded(project: Project) -> None:
    outcome = deliver(project)
    for day in range(1, 7):
        assert prune(project, START + timedelta(days=day)) == []
    assert names(project) == BOTH
    assert done(prune(project, EIGHT, dry_run=True)) == dict.fromkeys(BOTH, "removed")
    assert names(project) == BOTH
    assert [thing.name for thing in prune(project, EIGHT)] == BOTH[::-1], "the manifest first"
    assert names(project) == []
    with closing(Ledger(project.ledger_url)) as ledger:
        assert [file.state for file in ledger.files(outcome.delivery.id)] == ["pruned", "pruned"]
        assert {"pruned"} <= {step for _, step, _ in ledger.steps(outcome.delivery.id)}
        delivery = ledger.delivery(outcome.delivery.id)
        assert delivery.state == "delivered"
        assert delivery.note.startswith("pruned: kept ")
    assert prune(project, EIGHT + timedelta(days=1)) == []
    assert deliver(project).state == "already delivered", "it is not sent again"


def copies(project: Project, number: int) -> None:
    """So many more deliveries like the first one, each in a folder of its own beside it."""
    with closing(Ledger(project.ledger_url)) as ledger:
        (row,) = ledger.find()
        published = ledger.files(row.id)
        for n in range(number):
            key, there = f"{n:064}", inbox(project).with_name(f"inbox{n:03}")
            there.mkdir()
            ledger.plan(**row._asdict() | {"id": key, "integration": f"gone_{n}", "destination": str(there)})
            with ledger.storage.begin() as connection:
                for file in published:
                    values = file._asdict() | {"delivery_id": key, "destination": str(there)}
                    connection.execute(files.insert().values(values))
                    shutil.copy(inbox(project) / file.name, there / file.name)


def test_what_goes_is_recorded_some_hundreds_at_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is at hand at once: all places are looked at, also those that are gone."""
    deliver(project)
    copies(project, 9)
    shutil.rmtree(inbox(project).with_name("inbox004"))
    age(project)
    at_once: list[int] = []
    pruned = Ledger.pruned
    monkeypatch.setattr(Ledger, "pruned", lambda ledger, gone: at_once.append(len(gone)) or pruned(ledger, gone))  # type: ignore[func-returns-value]
    monkeypatch.setattr(retention, "AT_ONCE", 7)
    monkeypatch.setattr(retention, "AT_HAND", 6)
    found = prune(project, EIGHT)
    assert Counter(thing.done for thing in found) == {"removed": 18, "gone": 2}
    assert at_once == [7, 7, 6]
    assert [path for path in project.share.rglob("*.csv*") if path.is_file()] == []
    with closing(Ledger(project.ledger_url)) as ledger:
        assert {file.state for file in ledger.all_files()} == {"pruned"}
        assert ledger.places_below(str(project.share)) == []
    assert prune(project, EIGHT) == []


def test_so_many_files_are_at_hand_at_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(project)
    copies(project, 9)
    shutil.rmtree(project.share)
    at_hand: list[int] = []
    left = Ledger.left_between
    monkeypatch.setattr(
        Ledger, "left_between", lambda ledger, *of: (at_hand.append(len((found := left(ledger, *of))[0])), found)[1]
    )  # fmt: skip
    monkeypatch.setattr(retention, "AT_HAND", 6)
    assert len(prune(project, EIGHT)) == 20
    assert at_hand == [6, 6, 6, 2]


def test_what_was_removed_and_not_recorded_is_found_gone(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a kill between the two."""
    outcome = deliver(project)
    age(project)
    with monkeypatch.context() as dies:
        dies.setattr(Ledger, "pruned", lambda *_: (_ for _ in ()).throw(WriteFailed("killed", hint="")))
        with pytest.raises(WriteFailed, match="killed"):
            prune(project, EIGHT)
    assert names(project) == []
    assert done(prune(project, EIGHT)) == dict.fromkeys(BOTH, "gone")
    with closing(Ledger(project.ledger_url)) as ledger:
        assert {file.state for file in ledger.files(outcome.delivery.id)} == {"pruned"}


def test_what_went_before_a_fault_is_recorded(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(project)
    copies(project, 2)
    age(project)
    places = retention._Pruning._places

    def broken(pruning: Any, there: Any) -> Any:
        yield from places(pruning, there)
        raise MemoryError

    monkeypatch.setattr(retention._Pruning, "_places", broken)
    monkeypatch.setattr(retention, "AT_HAND", 4)
    with pytest.raises(MemoryError):
        prune(project, EIGHT)
    with closing(Ledger(project.ledger_url)) as ledger:
        assert Counter(file.state for file in ledger.all_files()) == {"pruned": 4, "published": 2}


def test_an_integration_may_keep_longer(project: Project) -> None:
    text = project.integrations_file.read_text().replace("{type: hosted}", "{type: hosted, keep_days: 30}")
    project.integrations_file.write_text(text)
    deliver(project)
    age(project)
    assert prune(project, EIGHT) == []
    assert done(prune(project, EIGHT, days=7)) == dict.fromkeys(BOTH, "removed")


def test_an_integration_that_cannot_be_read_is_not_touched(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    text = project.integrations_file.read_text()
    project.integrations_file.write_text(
        text.replace("directory: inbox\n    destination: {type: hosted}",
                     "directory: inbox\n    nulls: \"{{ env_var('OTHER') }}\"\n"
                     "    destination: {type: hosted, keep_days: 30}")
    )  # fmt: skip
    monkeypatch.setenv("OTHER", "NIL")
    deliver(project)
    age(project)
    monkeypatch.delenv("OTHER")
    assert prune(project, EIGHT) == []
    assert names(project) == BOTH


def change(project: Project, statement: str) -> None:
    engine = sa.create_engine(project.ledger_url)
    with engine.begin() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()


@pytest.mark.parametrize("state", ["planned", "spooled", "held", "cancelled", "skipped"])
def test_what_was_not_delivered_stays(project: Project, state: str) -> None:
    deliver(project)
    age(project)
    change(project, f"update deliveries set state = '{state}'")
    assert prune(project, EIGHT) == []
    assert names(project) == BOTH


def test_a_name_that_another_delivery_still_needs_stays(project: Project) -> None:
    deliver(project)
    again = deliver(project, redeliver=True, reason="asked")
    age(project)
    change(project, f"update deliveries set state = 'held' where id = '{again.delivery.id}'")
    change(project, f"update files set name = '{NAME}' where delivery_id = '{again.delivery.id}' and part = 0")
    assert NAME not in done(prune(project, EIGHT))
    assert NAME in names(project)


def test_nothing_is_touched_while_a_run_is_at_work(project: Project) -> None:
    deliver(project)
    age(project)
    with only_runner(project.state), pytest.raises(Busy, match="Another runner"):
        prune(project, EIGHT)
    assert names(project) == BOTH


def other_content(path: Path) -> None:
    path.write_bytes(b"not ours")


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [other_content, link, directory])
def test_what_is_not_the_ledgers_file_stays_and_is_said(project: Project, spoil: Callable[[Path], None]) -> None:
    deliver(project)
    spoil(inbox(project) / NAME)
    os.utime(inbox(project) / NAME, (START.timestamp(), START.timestamp()), follow_symlinks=False)
    age(project)
    assert done(prune(project, EIGHT)) == {NAME: "left", BOTH[1]: "removed"}
    assert NAME in names(project)


def test_foreign_files_are_never_touched(project: Project) -> None:
    deliver(project)
    foreign = {"notes.txt", ".hidden", f"{NAME}.bak", f".other.csv.{'0' * 8}.part", f".{NAME}.part"}
    for name in foreign:
        (inbox(project) / name).write_text("x")
        os.utime(inbox(project) / name, (0, 0))
    age(project)
    prune(project, EIGHT)
    assert set(names(project)) == foreign


def test_a_linked_directory_is_not_followed(project: Project, tmp_path: Path) -> None:
    deliver(project)
    age(project)
    inbox(project).rename(tmp_path / "elsewhere")
    inbox(project).symlink_to(tmp_path / "elsewhere")
    (found,) = prune(project, EIGHT)
    assert found.done == "left"
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == BOTH


def test_what_was_collected_is_recorded(project: Project) -> None:
    outcome = deliver(project)
    (inbox(project) / NAME).unlink()
    age(project)
    assert done(prune(project, EIGHT)) == {NAME: "gone", BOTH[1]: "removed"}
    with closing(Ledger(project.ledger_url)) as ledger:
        assert {file.state for file in ledger.files(outcome.delivery.id)} == {"pruned"}


# Clocks


def test_a_clock_that_jumps_forward_removes_nothing(project: Project) -> None:
    deliver(project)
    for later in (START + timedelta(days=400), START + timedelta(days=400, hours=1)):
        assert prune(project, later) == []
    deliver(project, redeliver=True, reason="a run in between changes nothing")
    assert prune(project, START + timedelta(days=401), dry_run=True) == []
    assert len(names(project)) == 4


def test_after_a_jump_and_back_a_person_must_vouch_for_the_clock(project: Project) -> None:
    deliver(project)
    prune(project, START + timedelta(days=400))
    with pytest.raises(WriteFailed, match="the clock is wrong, or was") as refused:
        prune(project, EIGHT)
    assert "--days" in refused.value.hint
    assert names(project) == BOTH
    assert prune(project, START + timedelta(days=6), days=7) == []
    assert done(prune(project, EIGHT, days=7)) == dict.fromkeys(BOTH, "removed")


def test_files_of_the_future_stay(project: Project) -> None:
    deliver(project)
    future = EIGHT.timestamp() + 3600
    os.utime(inbox(project) / NAME, (future, future))
    age(project)
    assert done(prune(project, EIGHT)) == {BOTH[1]: "removed"}
    assert names(project) == [NAME]
    assert prune(project, EIGHT, days=1) == [], "whoever vouches for the clock"


def test_a_file_that_the_ledger_published_lately_stays(project: Project) -> None:
    """Whatever its own time says."""
    deliver(project)
    for name in BOTH:
        os.utime(inbox(project) / name, (0, 0))
    with closing(Ledger(project.ledger_url)) as ledger:
        for day in range(-10, 3):
            ledger.tick(START + timedelta(days=day))
    assert prune(project, START + timedelta(days=3)) == []
    assert names(project) == BOTH


def test_time_that_the_ledger_did_not_see_does_not_count(project: Project) -> None:
    deliver(project)
    gap = timedelta(days=3, hours=1)
    assert prune(project, START + gap) == []
    for day in range(1, 7):
        assert prune(project, START + gap + timedelta(days=day)) == []
    assert len(prune(project, START + gap + timedelta(days=7, hours=2))) == 2


def test_time_that_the_ledger_saw_in_steps_of_three_days_counts(project: Project) -> None:
    deliver(project)
    for day in (2.9, 5.8):
        assert prune(project, START + timedelta(days=day)) == []
    assert len(prune(project, START + timedelta(days=7, hours=1))) == 2


NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("entries", "since", "confirmed", "days"),
    [
        # days before noon: entries of the ledger, since when, and what counts as passed
        ([], [2], False, 2),
        ([], [3], False, 3),
        ([], [3.1], False, 0),
        ([], [3.1], True, 3.1),
        ([], [21], False, 0),
        ([3], [6], False, 6),
        ([2.9], [6], False, 2.9),
        ([3.1], [6], False, 2.9),
        ([9, 6, 3], [12], False, 12),
        ([18, 15], [21], False, 6),
        ([9, 6, 3], [5], False, 5),
        ([9, 6, 3], [12, 4], False, 4),
        ([9, 6, 3], [4, 12], False, 4),
        ([9, 6, 3], [12, -1], False, -1),
        ([3, -2], [6], False, 6),
        ([6, 3], [6], False, 6),
    ],
)
def test_only_time_without_a_long_gap_counts(
    entries: list[float], since: list[float], confirmed: bool, days: float
) -> None:
    times = [NOON - timedelta(days=one) for one in entries]
    clock = Clock(NOON, times, confirmed)
    found = clock.age(*(NOON - timedelta(days=one) for one in since))
    assert abs(found - timedelta(days=days)) < timedelta(seconds=1)


def test_looking_changes_nothing(project: Project) -> None:
    outcome = deliver(project)
    age(project)
    with closing(Ledger(project.ledger_url)) as ledger:
        before = (ledger.times(), ledger.steps(outcome.delivery.id), ledger.all_files())
    assert len(prune(project, EIGHT, dry_run=True)) == 2
    with closing(Ledger(project.ledger_url)) as ledger:
        assert (ledger.times(), ledger.steps(outcome.delivery.id), ledger.all_files()) == before
    prune(project, EIGHT)
    with closing(Ledger(project.ledger_url)) as ledger:
        assert ledger.times()[-1] - EIGHT.replace(microsecond=0) < timedelta(seconds=1)
        assert len(ledger.times()) > len(before[0])


@pytest.mark.parametrize(("ahead", "refused"), [(4, False), (6, True)])
def test_a_clock_may_differ_by_minutes(project: Project, ahead: int, refused: bool) -> None:
    deliver(project)
    with closing(Ledger(project.ledger_url)) as ledger:
        ledger.tick(EIGHT + timedelta(minutes=ahead))
    if refused:
        with pytest.raises(WriteFailed, match="the clock is wrong"):
            prune(project, EIGHT)
    else:
        prune(project, EIGHT)


def test_of_two_clients_each_has_its_days(project: Project) -> None:
    text = project.integrations_file.read_text()
    kept = "namespace: acme_outdoor\n    directory: inbox\n    destination: {type: hosted"
    project.integrations_file.write_text(text.replace(f"{kept}}}", f"{kept}, keep_days: 9}}"))
    deliver(project)
    deliver(project, integrations=("share_of_cedar_books",))
    age(project, 9)
    theirs = project.share / "cedar_books" / "inbox"
    assert {(thing.name, thing.where) for thing in prune(project, EIGHT)} == {(name, str(theirs)) for name in BOTH}
    assert (names(project), list(theirs.iterdir())) == (BOTH, [])
    assert done(prune(project, EIGHT + timedelta(days=1, hours=1))) == dict.fromkeys(BOTH, "removed")


def test_a_name_that_several_deliveries_gave_is_kept_for_the_longest(project: Project) -> None:
    deliver(project)
    change(project, "update files set updated_at = '2026-01-01T00:00:00.000000Z'")
    again = deliver(project, redeliver=True, reason="asked")
    change(project, f"update files set name = '{NAME}' where delivery_id = '{again.delivery.id}' and part = 0")
    os.utime(inbox(project) / NAME, (0, 0))
    age(project, 7)
    assert NAME not in done(prune(project, START + timedelta(days=6)))
    assert done(prune(project, EIGHT))[NAME] == "removed", "one of the two hashes it has"


def test_what_is_gone_with_its_directory_is_recorded(project: Project) -> None:
    outcome = deliver(project)
    deliver(project, integrations=("share_of_cedar_books",))
    shutil.rmtree(inbox(project))
    found = prune(project, START + timedelta(hours=1))
    assert [(thing.name, thing.done, thing.why) for thing in found] == [
        (name, "gone", "its directory is gone") for name in BOTH
    ]
    with closing(Ledger(project.ledger_url)) as ledger:
        assert {file.state for file in ledger.files(outcome.delivery.id)} == {"pruned"}


# The spool and temporary files


def test_spool_folders_that_no_delivery_needs_go(project: Project) -> None:
    outcome = deliver(project)
    with closing(Ledger(project.ledger_url)) as ledger:
        ledger.plan(
            id="a" * 64, campaign="c", integration="i", namespace="n", dataset="d", slot="2026-11-01T00:00:00Z",
            window_start=None, window_end=None, revision=0, destination="x", reason=None,
        )  # fmt: skip
    spool = project.state / "spool"
    for name in (outcome.delivery.id[:32], "a" * 32, "b" * 32, "notes"):
        (spool / name).mkdir()
        (spool / name / "f").write_text("x")
    (spool / ("c" * 32)).symlink_to(spool / "notes")
    assert [thing.done for thing in prune(project, START + timedelta(hours=1))] == ["left", "left"], "too young"
    age(project)
    found = {thing.name: thing.done for thing in prune(project, EIGHT) if thing.kind == "spool"}
    assert found == {
        outcome.delivery.id[:32]: "removed", "b" * 32: "removed", "c" * 32: "left", "notes": "left"
    }  # fmt: skip
    assert sorted(path.name for path in spool.iterdir()) == ["a" * 32, "c" * 32, "notes"]
    assert (spool / "notes" / "f").exists()


@pytest.mark.parametrize(
    ("state", "goes"), [("delivered", True), ("cancelled", True), ("spooled", False), ("held", False)]
)
def test_temporary_files_that_no_delivery_needs_go(project: Project, state: str, goes: bool) -> None:
    deliver(project)
    temp = inbox(project) / f".{NAME}.{'0' * 8}.part"
    temp.write_text("x")
    linked = inbox(project) / f".{NAME}.{'1' * 8}.part"
    linked.symlink_to(NAME)
    age(project)
    change(project, f"update deliveries set state = '{state}'")
    found = [thing for thing in prune(project, EIGHT) if thing.kind == "temporary"]
    assert [thing.name for thing in found] == ([temp.name] if goes else [])
    assert temp.exists() != goes
    assert linked.is_symlink()


# The command


def test_the_command_shows_what_it_would_do(project: Project) -> None:
    deliver(project)
    env = {"DELIVERY_STATE": str(project.state), "DELIVERY_SHARE": str(project.share)}
    for name in BOTH:
        os.utime(inbox(project) / name, (0, 0))
    change(project, "update files set updated_at = '2026-01-01T00:00:00.000000Z'")
    arguments = ["--project-dir", str(project.root), "prune", "--days", "7"]
    shown = CliRunner(env=env).invoke(cli, [*arguments, "--dry-run", "--json"])
    assert shown.exit_code == 0, shown.output
    assert [thing["name"] for thing in json.loads(shown.stdout)["pruned"]] == BOTH[::-1]
    assert names(project) == BOTH
    assert CliRunner(env=env).invoke(cli, [*arguments, "--days", "0"]).exit_code == 2
    shown = CliRunner(env=env).invoke(cli, arguments)
    assert shown.exit_code == 0
    assert shown.stdout.count("removed") == 2
    assert names(project) == []
    status = CliRunner(env=env).invoke(cli, [*arguments[:2], "status"])
    assert "pruned: kept" in status.stdout

"""Guards of a whole run that no other quick test would miss; tests/faults/mutations.py removes each of them in turn."""

from __future__ import annotations

import shutil
from contextlib import closing, nullcontext
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from unittest import mock

import duckdb
import pytest
from builders import job, window
from small_project import AT, DAY, ROWS, make_project
from tenacity import wait_none

from delivery import run as runner
from delivery.config.project import Project
from delivery.errors import DestinationFailed, DestinationRefused, ExitCode, Held
from delivery.files import spool
from delivery.ledger import Ledger
from delivery.progress import Watch
from delivery.schedule.request import Request
from delivery.transfer.local_directory import LocalDirectory
from delivery.transfer.protocol import hand_over

if TYPE_CHECKING:
    from pathlib import Path

    from delivery.files.parts import Part
    from delivery.warehouse.rows import Tally

NAME = f"daily_{DAY}.csv"
AGAIN = f"daily_{DAY}_r1.csv"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    make_project(tmp_path / "project")
    monkeypatch.setattr("delivery.handing_over.BACK_OFF", wait_none())
    monkeypatch.setenv("SWEEP_PASSWORD", "not needed")
    profile = {"type": "duckdb", "path": "warehouse.duckdb"}
    state = tmp_path / "state"
    url = f"sqlite:///{state / 'ledger.sqlite'}"
    return Project(tmp_path / "project", "duckdb", profile, state, tmp_path / "share", url)


def run(project: Project, **request: Any) -> runner.Outcome:
    (outcome,) = runner.run(
        project, Request(at=AT, **({"window": DAY, "integrations": ("by_share",)} | request)), Watch()
    )
    return outcome


def arrived(project: Project) -> dict[str, int]:
    """Names and inodes."""
    return {path.name: path.stat().st_ino for path in project.share.rglob("*") if path.is_file()}


def test_a_second_run_sends_nothing(project: Project) -> None:
    assert run(project).state == "delivered"
    before = arrived(project)
    assert sorted(before) == [NAME, f"{NAME}.manifest.json"]
    again = run(project)
    assert (again.state, again.code) == ("already delivered", ExitCode.DONE)
    assert arrived(project) == before


def test_the_gate_is_obeyed(project: Project) -> None:
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as connection:
        connection.execute("update build_log set status = 'fail', failures = 1 where resource_type = 'test'")
    assert run(project).code == ExitCode.GATE
    assert not arrived(project)


@pytest.mark.parametrize("fewer", ["written", "in the table", "in a column"])
def test_rows_are_counted_by_another_query(project: Project, monkeypatch: pytest.MonkeyPatch, fewer: str) -> None:
    write, count = spool.write_parts, spool.count_again

    def lose(*arguments: Any, **more: Any) -> list[Part]:
        (part,) = write(*arguments, **more)
        return [replace(part, written=replace(part.written, rows=ROWS - 1))]

    def otherwise(*arguments: Any) -> Tally:
        counted = count(*arguments)
        counted.rows += fewer == "in the table"
        counted.values["email"] += fewer == "in a column"
        return counted

    if fewer == "written":
        monkeypatch.setattr(spool, "write_parts", lose)
    else:
        monkeypatch.setattr(spool, "count_again", otherwise)
    outcome = run(project)
    assert (outcome.state, outcome.code) == ("failed", ExitCode.FAILED)
    assert str(ROWS) in outcome.message
    assert ("email has 601 values" in outcome.message) == (fewer == "in a column")
    assert not arrived(project)


def test_a_file_that_was_spoilt_after_it_was_written_is_not_sent(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = spool.write_parts

    def spoil(*arguments: Any, **more: Any) -> list[Part]:
        parts = write(*arguments, **more)
        parts[0].path.write_bytes(parts[0].path.read_bytes().replace(b"acme-outdoor7@", b"acme-outdoor8@"))
        return parts

    monkeypatch.setattr(spool, "write_parts", spoil)
    outcome = run(project)
    assert (outcome.state, outcome.code) == ("held", ExitCode.FAILED)
    assert "changed after it was hashed" in outcome.message
    assert not arrived(project)
    monkeypatch.undo()
    again = run(project, redeliver=True, reason="written anew")
    assert (again.state, sorted(arrived(project))) == ("delivered", [AGAIN, f"{AGAIN}.manifest.json"])


def test_a_destination_that_fails_is_tried_again_at_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    upload, calls = LocalDirectory.upload, []

    def fail_once(self: LocalDirectory, *arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise DestinationFailed("cut", step="upload")
        upload(self, *arguments)

    monkeypatch.setattr(LocalDirectory, "upload", fail_once)
    assert run(project).state == "delivered"


def test_a_destination_that_refuses_is_not_tried_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def refuse(_: LocalDirectory, *arguments: Any) -> None:
        calls.append(arguments)
        raise DestinationRefused("no permission")

    monkeypatch.setattr(LocalDirectory, "upload", refuse)
    assert run(project).code == ExitCode.DESTINATION
    assert len(calls) == 1


def test_held_is_said_by_every_run(project: Project) -> None:
    folder = project.share / "acme_outdoor" / "inbox"
    folder.mkdir(parents=True)
    (folder / NAME).write_text("theirs")
    for _ in range(2):
        outcome = run(project)
        assert (outcome.state, outcome.code) == ("held", ExitCode.FAILED)
        assert outcome.hint
    (folder / NAME).unlink()
    assert run(project).state == "held", "only a person releases it"


def test_two_files_of_one_name_do_not_go_together_and_stop_nobody_else(project: Project) -> None:
    """A fixed name, and a day that was missed: the first one leaves, the next is refused; other clients' leave."""
    path = project.root / "integrations.yml"
    path.write_text(path.read_text().replace("  by_share:\n", "  by_share:\n    file_name: always_the_same\n"))
    asked = Request(at=AT, start="2026-11-02", end="2026-11-04", integrations=("by_share", "share_of_cedar_books"))
    outcomes = {(o.delivery.integration, o.delivery.window_start): o for o in runner.run(project, asked, Watch())}
    refused = outcomes.pop(("by_share", "2026-11-03"))
    assert (refused.state, refused.code) == ("failed", ExitCode.USAGE)
    assert "would be written by" in refused.message
    assert {o.state for o in outcomes.values()} == {"delivered"}
    assert len(outcomes) == 3
    (again,) = [o for o in runner.run(project, asked, Watch()) if o.code]
    assert again.state in {"failed", "held"}


def test_the_layout_is_frozen_by_the_first_delivery(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    advance = Ledger.advance

    def die_after(self: Ledger, key: str, before: str, after: str, **values: Any) -> None:
        advance(self, key, before, after, **values)
        if after == "delivered":
            raise KeyboardInterrupt

    monkeypatch.setattr(Ledger, "advance", die_after)
    with pytest.raises(KeyboardInterrupt):
        run(project)
    with closing(Ledger(project.ledger_url)) as ledger:
        layout = ledger.layout("daily", "by_share")
    assert layout is not None
    assert layout[:2] == (
        ("namespace", "email", "event_time", "unique_key"),
        ("text", "text", "timestamp", "text"),
    )


class Collected(LocalDirectory):
    """A directory whose client collects the file right after we saw it for the n-th time."""

    after = 0

    def look(self, name: str) -> Any:
        found = super().look(name)
        if found and not name.startswith("."):
            self.after -= 1
            if self.after == 0:
                self.remove(name)
        return found


@pytest.mark.parametrize("looks", [1, 2, 3])
def test_collected_between_two_looks_is_delivered(tmp_path: Path, looks: int) -> None:
    content, inbox, spool = b"a,b\r\n1,2\r\n", tmp_path / "inbox", tmp_path / "spool"
    inbox.mkdir()
    spool.write_bytes(content)
    with closing(Ledger("sqlite://")) as ledger, Collected(inbox) as destination:
        destination.after = looks
        key = ledger.plan(**job().record(str(inbox), None)).id
        row = {"part": 0, "role": "data", "name": NAME, "spool": str(spool), "rows": 1, "bytes": len(content)}
        ledger.spooled(key, [row | {"sha256": sha256(content).hexdigest(), "destination": str(inbox)}])
        for _ in range(3):
            try:
                hand_over(ledger.files(key)[0], destination, ledger, replace=False)
                break
            except DestinationFailed:  # it was gone when it was to be hashed
                continue
        assert ledger.files(key)[0].state == "published"


def test_a_later_file_is_not_replaced_by_an_earlier_one(tmp_path: Path) -> None:
    """The earlier delivery failed, the later one came through, and then the earlier one is tried again."""
    inbox, spool = tmp_path / "inbox", tmp_path / "spool"
    inbox.mkdir()
    with closing(Ledger("sqlite://")) as ledger, LocalDirectory(inbox) as destination:
        for day, later in [(4, False), (5, False), (3, True)]:
            slot = f"2026-11-0{day} 05:00"
            content = slot.encode()
            spool.write_bytes(content)
            days = window(f"2026-11-0{day - 1}", f"2026-11-0{day}")
            key = ledger.plan(**job(slot, days).record(str(inbox), None)).id
            row = {"part": 0, "role": "data", "name": NAME, "spool": str(spool), "rows": 1, "bytes": len(content)}
            ledger.spooled(key, [row | {"sha256": sha256(content).hexdigest(), "destination": str(inbox)}])
            with pytest.raises(Held, match="later slot") if later else nullcontext():
                hand_over(ledger.files(key)[0], destination, ledger, replace=True)
    assert (inbox / NAME).read_bytes() == b"2026-11-05 05:00"


@pytest.mark.parametrize("backup", ["none", "planned", "spooled"])
def test_a_ledger_from_before_the_delivery_holds_what_lies_there(
    project: Project, monkeypatch: pytest.MonkeyPatch, backup: str
) -> None:
    """The ledger was lost, or restored from a backup that was taken before the file left."""
    with monkeypatch.context() as patched:
        refused = DestinationRefused("not yet")
        if backup == "planned":
            patched.setattr(spool.Spool, "write", mock.Mock(side_effect=refused))
        patched.setattr(LocalDirectory, "upload", mock.Mock(side_effect=refused))
        run(project)
    saved = project.state.with_name("saved")
    shutil.copytree(project.state, saved)
    assert run(project).state == "delivered"
    before = arrived(project)
    shutil.rmtree(project.state)
    if backup != "none":
        shutil.copytree(saved, project.state)
    outcome = run(project)
    assert outcome.state == "held"
    assert "already lies in" in outcome.message
    assert arrived(project) == before

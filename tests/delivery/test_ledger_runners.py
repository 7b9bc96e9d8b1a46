"""Several runners, each with a state directory of its own, and one ledger: on PostgreSQL as on several hosts."""

from __future__ import annotations

import inspect
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from builders import job, window
from small_project import AT, DAY, make_project
from test_ledger import file_row, planned

from delivery import run as runner
from delivery.config.project import Project
from delivery.errors import Busy, DestinationFailed, ExitCode, WriteFailed
from delivery.ledger import Ledger, Past, deliveries, delivery_id, leases, opened
from delivery.ledger.storage import Storage
from delivery.progress import Watch
from delivery.schedule.request import Request
from delivery.transfer.local_directory import LocalDirectory
from delivery.transfer.protocol import hand_over, temp_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = f"daily_{DAY}.csv"
REQUEST = Request(at=AT, window=DAY, integrations=("by_share",))


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    made: str = request.getfixturevalue("postgres_url")
    return made


@pytest.fixture
def two(url: str) -> Iterator[tuple[Ledger, Ledger]]:
    with closing(Ledger(url, "one")) as one, closing(Ledger(url, "two")) as two:
        yield one, two


def let_leases_end(ledger: Ledger) -> None:
    with ledger.storage.begin() as connection:
        connection.execute(deliveries.update().values(lease_until="2026-01-01T00:00:00.000000Z"))


# What is asked of all


def test_what_is_asked_of_all_clients_is_the_same_on_either_database(two: tuple[Ledger, Ledger]) -> None:
    """Histories, what ended last, and what is pruned: of several clients, windows, revisions and runners."""
    for number, ledger in enumerate(two):
        for revision in (1, 0):
            for day in (3, 2):
                days = window(f"2026-11-{day:02}", f"2026-11-{day + 1:02}")
                one = replace(
                    job(f"2026-11-{day + 1:02} 05:00", days, revision=revision), integration_name=f"c{number}"
                )
                key = ledger.plan(**one.record("/share/acme", None), asked_by="schedule").id
                ledger.spooled(key, [file_row(part) for part in (0, 1)])
                if revision == 0 or day == 2:
                    ledger.advance(key, "spooled", "delivered")
    ledger = two[0]
    client = (("c0", "acme_outdoor"), ("c1", "acme_outdoor"))
    past = tuple(
        Past(f"2026-11-0{day + 1}T05:00:00Z", f"2026-11-0{day}", f"2026-11-0{day + 1}", revision, state, "schedule")
        for day, revision, state in ((2, 0, "delivered"), (2, 1, "delivered"), (3, 0, "delivered"), (3, 1, "spooled"))
    )
    assert ledger.histories("daily") == dict.fromkeys(client, past)
    ended = {(one.window_start, one.spooled_by): one.ids for one in ledger.ended("daily")}
    assert ended == {
        (f"2026-11-0{day}", by): [
            delivery_id("daily", f"c{number}", "acme_outdoor", f"2026-11-0{day}/2026-11-0{day + 1}", int(day == 2))
        ]
        for day in (2, 3)
        for number, by in enumerate(("one", "two"))
    }
    assert ledger.places_below("/share") == [("/share/acme", 16)]
    there, owners = ledger.left_between("/share/acme", "/share/acme")
    assert len(owners) == 8
    with pytest.raises(Busy):
        ledger.pruned([(file._replace(part=file.part + (number == 5)), "gone") for number, file in enumerate(there)])
    assert ledger.places_below("/share") == [("/share/acme", 16)]
    ledger.pruned([(file, "gone") for file in there])
    assert ledger.places_below("/share") == []


# A delivery in hand


def test_what_is_in_hand_cannot_be_taken(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    key = planned(one)
    one.take(key)
    with pytest.raises(Busy, match="one has this delivery in hand until 20"):
        other.take(key)
    one.take(key)  # again, after it died and came back
    one.let_go()
    other.take(key)
    with pytest.raises(Busy, match="two has this delivery in hand"):
        one.take(key)


def test_what_was_let_go_records_no_step(two: tuple[Ledger, Ledger]) -> None:
    """A thread that a signal could not wake may still be at it when the run has said how far things are."""
    one, other = two
    key = planned(one)
    one.take(key)
    one.let_go()
    with pytest.raises(Busy):
        one.spooled(key, [file_row(0)])
    assert other.delivery(key).state == "planned"
    one.take(key)
    one.spooled(key, [file_row(0)])


def test_a_lease_that_was_slept_through_gives_no_right(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    key = planned(one)
    one.take(key)
    let_leases_end(one)
    other.take(key)
    other.spooled(key, [file_row(0)])
    (file,) = other.files(key)
    for step in (
        lambda: one.advance(key, "spooled", "delivered"),
        lambda: one.advance_file(file, "uploaded"),
        lambda: one.spooled(key, [file_row(0)]),
    ):
        with pytest.raises(Busy, match="taken over by another runner"):
            step()
    one.let_go()
    assert other.delivery(key).holder == "two", "who lost it cannot let it go either"
    other.advance_file(file, "uploaded")


def test_a_lease_is_kept_while_a_run_takes_long(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    key = planned(one)
    one.take(key)
    let_leases_end(one)
    with opened.kept(one, every=0.05):
        deadline = time.monotonic() + 20
        while one.delivery(key).lease_until < "2026-02" and time.monotonic() < deadline:
            time.sleep(0.02)
        with pytest.raises(Busy):
            other.take(key)


def test_a_lease_is_kept_several_times_before_it_ends(two: tuple[Ledger, Ledger]) -> None:
    one, _ = two
    key = planned(one)
    before = datetime.now(UTC)
    one.take(key)
    until = datetime.fromisoformat(str(one.delivery(key).lease_until))
    assert timedelta(seconds=100) < until - before < timedelta(seconds=140), "two minutes"
    assert inspect.signature(opened.kept).parameters["every"].default == 30


def test_a_lease_of_one_delivery_is_none_of_another(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    mine, also, theirs = (planned(one, revision=revision) for revision in range(3))
    one.take(mine)
    one.take(also)
    other.take(theirs)
    let_leases_end(one)
    one.keep()
    kept = {row.id: str(row.lease_until) > "2026-02" for row in one.find()}
    assert kept == {mine: True, also: True, theirs: False}
    other.take(theirs)
    one.advance(mine, "planned", "skipped")
    one.let_go()
    assert {row.id: row.holder for row in one.find()} == {mine: None, also: None, theirs: "two"}
    assert {row.id: row.fence for row in one.find()} == {mine: 1, also: 1, theirs: 2}
    other.let_go()
    assert [(row.holder, row.lease_until) for row in one.find()] == [(None, None)] * 3


def test_a_lease_that_another_took_over_is_not_kept_for_it(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    key = planned(one)
    one.take(key)
    let_leases_end(one)
    other.take(key)
    let_leases_end(one)
    one.keep()
    assert str(other.delivery(key).lease_until) < "2026-02"


def test_a_lease_ends_at_its_moment(two: tuple[Ledger, Ledger]) -> None:
    one, _ = two
    key, start = planned(one), datetime(2026, 11, 4, 6, tzinfo=UTC)
    with one.storage.begin() as connection:
        assert leases.take(connection, key, "one", start) == 1
        with pytest.raises(Busy, match="until 2026-11-04T06:02:00"):
            leases.take(connection, key, "two", start + timedelta(seconds=120))
        assert leases.take(connection, key, "two", start + timedelta(seconds=121)) == 2


def test_keeping_ends_with_the_block_and_survives_a_ledger_that_fails(
    two: tuple[Ledger, Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = two
    beats = threading.Semaphore(0)

    def fail() -> None:
        beats.release()
        raise WriteFailed("the ledger is away")

    monkeypatch.setattr(one, "keep", fail)
    with opened.kept(one, every=0.01):
        assert beats.acquire(timeout=20)
        assert beats.acquire(timeout=20), "tried again"
    assert "delivery-leases" not in {thread.name for thread in threading.enumerate()}


def test_a_lease_is_judged_by_the_databases_clock(postgres_url: str) -> None:
    storage = Storage(postgres_url)
    with storage.begin() as connection:
        there = storage.now(connection)
        assert there.tzinfo is UTC
        assert abs(there - datetime.now(UTC)) < timedelta(minutes=1)
        session = connection.execute(sa.text("select clock_timestamp()")).scalar_one()
        assert session - there < timedelta(minutes=1)
    storage.engine.dispose()


def test_the_hand_is_in_the_temporary_name(two: tuple[Ledger, Ledger]) -> None:
    """So that a runner that wakes up late renames nothing but what it wrote itself."""
    one, other = two
    key = planned(one)
    names = set()
    for ledger in (one, other):
        ledger.take(key)
        ledger.spooled(key, [file_row(0)])
        names.add(temp_name(ledger.files(key)[0], LocalDirectory(Path())))
        ledger.advance(key, "spooled", "planned")
        ledger.let_go()
    assert len(names) == 2


def test_a_runner_that_wakes_up_late_leaves_one_file(two: tuple[Ledger, Ledger], tmp_path: Path) -> None:
    """It slept right before its rename; another one took over, delivered, and the client collected."""
    one, other = two
    inbox, content = tmp_path / "inbox", b"a,b\r\n1,2\r\n"
    inbox.mkdir()
    key = one.plan(**job().record(str(inbox), None)).id

    def spool(ledger: Ledger) -> None:
        path = tmp_path / f"spool of {ledger.runner}"
        path.write_bytes(content)
        row = file_row(0, name=NAME, spool=str(path), destination=str(inbox), bytes=len(content))
        ledger.take(key)
        ledger.spooled(key, [row | {"sha256": sha256(content).hexdigest()}])

    class Sleeper(LocalDirectory):
        def publish(self, temp: str, final: str) -> None:
            let_leases_end(one)
            other.take(key)
            with LocalDirectory(inbox) as destination:  # in `publishing`: it looks, and renames the same file
                hand_over(other.files(key)[0], destination, other, replace=False)
            assert (inbox / NAME).read_bytes() == content
            (inbox / NAME).unlink()
            super().publish(temp, final)

    spool(one)
    with Sleeper(inbox) as destination, pytest.raises(DestinationFailed):
        hand_over(one.files(key)[0], destination, one, replace=False)
    assert list(inbox.iterdir()) == [], "it came once, was collected, and did not come again"
    assert other.files(key)[0].state == "published"


# Whole runs


@pytest.fixture
def projects(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Project]:
    """One project, one share and one ledger; a state directory for each name."""
    monkeypatch.setenv("SWEEP_PASSWORD", "not needed")
    make_project(tmp_path / "project")
    profile = {"type": "duckdb", "path": "warehouse.duckdb"}
    return lambda name: Project(tmp_path / "project", "duckdb", profile, tmp_path / name, tmp_path / "share", url)


def names(project: Project) -> list[str]:
    return sorted(path.name for path in project.share.rglob("*") if path.is_file())


def test_another_host_delivers_what_the_first_has_spooled(
    projects: Callable[[str], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = projects("first"), projects("second")
    upload = LocalDirectory.upload
    with monkeypatch.context() as patched:

        def die(self: LocalDirectory, *arguments: Any) -> None:
            upload(self, *arguments)
            raise KeyboardInterrupt

        patched.setattr(LocalDirectory, "upload", die)
        with pytest.raises(KeyboardInterrupt):
            runner.run(first, REQUEST, Watch())
    (outcome,) = runner.run(second, REQUEST, Watch())
    assert outcome.state == "delivered"
    assert names(second) == [NAME, f"{NAME}.manifest.json"], "nothing is left of the first"
    with closing(Ledger(first.ledger_url)) as ledger:
        notes = [note for _, _, note in ledger.steps(outcome.delivery.id)]
        assert any("written anew" in note for note in notes)
    (again,) = runner.run(first, REQUEST, Watch())
    assert again.state == "already delivered"


def test_who_has_it_in_hand_is_said(projects: Callable[[str], Project]) -> None:
    first, second = projects("first"), projects("second")
    with closing(Ledger(first.ledger_url, "host-a/1234")) as ledger:
        key = ledger.plan(**job().record("x", None) | {"campaign": "daily"}).id
        ledger.advance(key, "planned", "cancelled")  # only so that the ledger is not new
        runner.run(second, REQUEST, Watch())
        other = Request(at=AT, window=DAY, integrations=("by_share",), redeliver=True, reason="again")
        with ledger.storage.begin() as connection:
            connection.execute(
                deliveries.update()
                .where(deliveries.c.integration == "by_share")
                .values(state="planned", holder="host-a/1234", lease_until="2999-01-01T00:00:00.000000Z")
            )
        (outcome,) = runner.run(second, other, Watch())
    assert (outcome.state, outcome.code) == ("failed", ExitCode.FAILED)
    assert "host-a/1234 has this delivery in hand" in outcome.message


def _command(project: Project) -> tuple[list[str], dict[str, str]]:
    command = [sys.executable, "-m", "delivery", "run", "--json", "--window", DAY, "--integration", "by_share"]
    env = {"DELIVERY_STATE": str(project.state), "DELIVERY_SHARE": str(project.share)}
    return command, os.environ | env | {"DELIVERY_LEDGER": project.ledger_url}


@pytest.mark.slow
def test_many_hosts_at_once_and_killed_deliver_once(new_database: Callable[[], str], tmp_path: Path) -> None:
    """Six runners with one ledger on PostgreSQL; some are killed, and their leases end at once."""
    chance = random.Random(7)
    make_project(tmp_path / "project")
    os.environ["SWEEP_PASSWORD"] = "not needed"
    for number in range(12):
        url, share = new_database(), tmp_path / f"share{number}"
        hosts = [
            Project(tmp_path / "project", "duckdb", {}, tmp_path / f"state{number}-{n}", share, url) for n in range(6)
        ]
        seen: set[tuple[str, int]] = set()
        over = threading.Event()

        def watch(share: Path = share, seen: set[tuple[str, int]] = seen, over: threading.Event = over) -> None:
            while not over.is_set():
                seen.update((p.name, p.stat().st_ino) for p in share.rglob("*") if p.is_file() and p.name[0] != ".")
                time.sleep(0.001)

        watcher = threading.Thread(target=watch)
        watcher.start()
        with ExitStack() as stack:
            stack.callback(watcher.join)
            stack.callback(over.set)
            processes = []
            for host in hosts:
                command, env = _command(host)
                processes.append(
                    subprocess.Popen(
                        command, cwd=host.root, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
                    )
                )
            for process in processes[:3]:
                time.sleep(chance.uniform(0.0, 0.6))
                process.send_signal(signal.SIGKILL)
            for process in processes:
                out, err = process.communicate(timeout=120)
                assert process.returncode in (0, 1, -signal.SIGKILL), (out, err)
            with closing(Ledger(url)) as ledger:
                let_leases_end(ledger)
            command, env = _command(hosts[-1])
            done = subprocess.run(command, cwd=hosts[-1].root, env=env, capture_output=True, text=True, check=False)
        (delivery,) = json.loads(done.stdout)["deliveries"]
        assert delivery["state"] == "delivered", done.stderr
        assert sorted(name for name, _ in seen) == [NAME, f"{NAME}.manifest.json"], "each came once"

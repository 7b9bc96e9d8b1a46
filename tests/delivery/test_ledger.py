"""The ledger: forward only, one winner a step, private, and readable errors when its storage is not well."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import sqlalchemy as sa
from builders import job, utc, window
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from delivery.errors import Busy, ConfigError, WriteFailed
from delivery.ledger import Ledger, delivery_id
from delivery.ledger.book import DOUBT, _history
from delivery.ledger.storage import TIME
from delivery.ledger.tables import (
    METADATA,
    VERSION,
    Delivery,
    Fetch,
    File,
    Past,
    Probe,
    deliveries,
    fetches,
    files,
    meta,
    probes,
    steps,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

HASH = "a" * 64
TABLES = Path(__file__).with_name(f"ledger_{VERSION}.sql")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with closing(Ledger(f"sqlite:///{path}")) as opened:
        yield opened


def planned(ledger: Ledger, **changes: Any) -> str:
    chosen = job(**changes)
    return ledger.plan(**chosen.record("/share/acme", None)).id


def file_row(part: int = 0, **changes: Any) -> dict[str, Any]:
    values = {"part": part, "role": "data", "name": f"f{part}.csv", "spool": f"/spool/f{part}.csv", "rows": 3}
    return {**values, "bytes": 10, "sha256": HASH, "destination": "/share/acme", **changes}


def spooled(ledger: Ledger, **changes: Any) -> str:
    key = planned(ledger, **changes)
    ledger.spooled(key, [file_row(0), file_row(1, role="manifest", rows=None)], rows=3)
    return key


def test_planning_again_changes_nothing(ledger: Ledger) -> None:
    first = ledger.plan(**job().record("/share/acme", "first"))
    again = ledger.plan(**job().record("/elsewhere", "second"))
    assert again == first
    assert [step for _, step, _ in ledger.steps(first.id)] == ["planned"]
    ledger.advance(first.id, "planned", "skipped", rows=0)
    assert ledger.plan(**job().record("/share/acme", None)).state == "skipped", "what ended is not begun again"


def test_steps_are_recorded_in_order_with_their_notes(ledger: Ledger) -> None:
    key = spooled(ledger)
    data, _ = ledger.files(key)
    for state in ("uploaded", "publishing", "published"):
        data = ledger.advance_file(data, state)
    ledger.note(key, "server was slow")
    ledger.advance(key, "spooled", "delivered")
    assert [step[1:] for step in ledger.steps(key)] == [
        ("planned", ""),
        ("spooled", ""),
        ("uploaded", "f0.csv"),
        ("publishing", "f0.csv"),
        ("published", "f0.csv"),
        ("note", "server was slow"),
        ("delivered", ""),
    ]
    row = ledger.delivery(key)
    assert (row.state, row.rows, row.note, row.window_start) == ("delivered", 3, "", "2026-11-03")
    assert [(file.part, file.role, file.state) for file in ledger.files(key)] == [
        (0, "data", "published"),
        (1, "manifest", "spooled"),
    ]


@pytest.mark.parametrize(("before", "after"), [("planned", "spooled"), ("delivered", "planned"), ("held", "spooled")])
def test_only_the_state_that_it_has_can_be_left(ledger: Ledger, before: str, after: str) -> None:
    key = spooled(ledger)
    steps = ledger.steps(key)
    with pytest.raises(Busy, match=f"{key[:12]} is no longer {before}"):
        ledger.advance(key, before, after)
    assert (ledger.delivery(key).state, ledger.steps(key)) == ("spooled", steps)


def test_a_files_stale_state_cannot_be_left(ledger: Ledger) -> None:
    key = spooled(ledger)
    stale = ledger.files(key)[0]
    ledger.advance_file(stale, "uploaded")
    with pytest.raises(Busy, match=r"f0\.csv is no longer spooled"):
        ledger.advance_file(stale, "uploaded")


def test_spooling_is_all_or_nothing(ledger: Ledger) -> None:
    key = planned(ledger)
    with pytest.raises(WriteFailed, match="UNIQUE"):
        ledger.spooled(key, [file_row(0), file_row(0)], rows=3)
    assert (ledger.delivery(key).state, ledger.files(key)) == ("planned", [])
    ledger.spooled(key, [file_row(0)], rows=3)
    with pytest.raises(Busy):
        ledger.spooled(key, [file_row(0)], rows=3)


@pytest.mark.parametrize("anew", [False, True])
def test_resending_keeps_what_was_published(ledger: Ledger, anew: bool) -> None:
    key = spooled(ledger)
    data, manifest = ledger.files(key)
    ledger.advance_file(data, "published")
    ledger.advance_file(manifest, "publishing")
    with pytest.raises(Busy):
        ledger.resend(key, anew=anew, note="")
    ledger.advance(key, "spooled", "held")
    ledger.resend(key, anew=anew, note="by a person")
    assert ledger.delivery(key).state == ("planned" if anew else "spooled")
    assert [file.state for file in ledger.files(key)] == ["published", "spooled"]


def test_only_our_published_file_of_that_name_place_and_hash_is_ours(ledger: Ledger) -> None:
    key = spooled(ledger)
    data = ledger.files(key)[0]
    assert ledger.holder_of(data, HASH) is None, "not published yet"
    ledger.advance_file(data, "published")
    assert ledger.holder_of(data, HASH)
    assert ledger.holder_of(data, "b") is None
    for other in ({"destination": "/share/other"}, {"name": "f1.csv"}):
        assert ledger.holder_of(data._replace(**other), HASH) is None
    asking = ledger.plan(**job(revision=1).record("/share/acme", None)).id
    assert ledger.holder_of(data._replace(delivery_id=asking), HASH), "an earlier one of the same series"
    for number, whose in enumerate(("campaign", "integration", "namespace")):
        record = job(revision=2).record("/share/acme", None) | {"id": str(number), whose: "another"}
        asking = ledger.plan(**record).id
        assert ledger.holder_of(data._replace(delivery_id=asking), HASH) is None, f"of another {whose}"


def test_a_layout_is_frozen_once(ledger: Ledger) -> None:
    assert ledger.layout("daily", "acme") is None
    for revision, columns in enumerate((["a", "b"], ["c"])):
        key = planned(ledger, revision=revision)
        layout = json.dumps({"columns": columns, "kinds": ["text"] * len(columns)})
        ledger.spooled(key, [file_row(0)], rows=3, layout=layout)
        ledger.freeze_layout(key)
    frozen = ledger.layout("daily", "acme")
    assert frozen is not None
    assert frozen[:2] == (("a", "b"), ("text", "text"))
    assert list(ledger.layouts()) == [("daily", "acme")]


def test_deliveries_are_found_oldest_slot_first(ledger: Ledger) -> None:
    slots = ["2026-11-04 05:00", "2026-11-02 05:00", "2026-11-03 05:00"]
    keys = [planned(ledger, slot=slot, directory=slot, revision=n) for n, slot in enumerate(slots)]
    assert [row.id for row in ledger.find()] == [keys[1], keys[2], keys[0]]
    assert [row.revision for row in ledger.find(deliveries.c.revision > 0)] == [1, 2]
    with pytest.raises(KeyError):
        ledger.delivery("none")


def test_titles_are_for_people(ledger: Ledger) -> None:
    assert ledger.delivery(planned(ledger)).title == "daily to acme [2026-11-03, 2026-11-04)"
    assert ledger.delivery(planned(ledger, revision=2)).title == "daily to acme [2026-11-03, 2026-11-04) r2"


def test_keys_are_stable() -> None:
    """A change of this hash would send everything again."""
    key = delivery_id("daily", "acme", "acme_outdoor", "2026-11-03/2026-11-04", 0)
    assert key == "a14810fb3ac18d81d0d4dc3099157c9d900a270e169fbd12d8d9ab2d0e47fbdd"
    assert delivery_id("a", "b", "c", "d", 0) != delivery_id("a,b", "", "c", "d", 0)


# Several at once


@pytest.mark.parametrize("runners", [2, 4])
def test_two_connections_plan_one_delivery(path: Path, runners: int) -> None:
    ledgers = [Ledger(f"sqlite:///{path}") for _ in range(runners)]
    barrier = Barrier(runners)

    def plan(ledger: Ledger) -> list[str]:
        found = []
        for revision in range(20):
            barrier.wait()
            found.append(planned(ledger, revision=revision))
        return found

    with ThreadPoolExecutor(runners) as pool:
        results = list(pool.map(plan, ledgers))
    assert all(found == results[0] for found in results)
    assert len(ledgers[0].find()) == 20
    for ledger in ledgers:
        ledger.close()


RACE = """
import sys
from delivery.errors import Busy
from delivery.ledger import Ledger
ledger = Ledger(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
won = 0
for row in ledger.find():
    try:
        ledger.advance(row.id, "planned", "spooled")
    except Busy:
        continue
    for file in ledger.files(row.id):
        ledger.advance_file(file, "uploaded")
    won += 1
print(won, flush=True)
"""


def test_each_step_has_one_winner_among_processes(ledger: Ledger, path: Path) -> None:
    keys = [planned(ledger, revision=revision) for revision in range(40)]
    runners = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, f"sqlite:///{path}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for runner in runners:
        assert runner.stdout
        assert runner.stdout.readline() == "ready\n"
    for runner in runners:
        assert runner.stdin
        runner.stdin.write("go\n")
        runner.stdin.flush()
    won = [int(runner.communicate()[0]) for runner in runners]
    assert sum(won) == len(keys)
    assert all([step for _, step, _ in ledger.steps(key)] == ["planned", "spooled"] for key in keys)


def test_the_first_runs_of_several_create_one_ledger(path: Path) -> None:
    barrier = Barrier(4)

    def first(_: int) -> int:
        barrier.wait()
        with closing(Ledger(f"sqlite:///{path}")) as opened:
            return len(opened.find())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(first, range(4))) == [0] * 4


def test_a_locked_ledger_says_so(ledger: Ledger, path: Path) -> None:
    with closing(sqlite3.connect(path)) as other, closing(Ledger(f"sqlite:///{path}?timeout=0.1")) as waiting:
        other.execute("begin exclusive")
        with pytest.raises(WriteFailed, match="failed: database is locked"):
            waiting.find()
    assert ledger.find() == []


# Storage


def test_the_ledger_and_its_folder_are_private(ledger: Ledger, path: Path) -> None:
    planned(ledger)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes.keys() >= {"ledger.sqlite", "ledger.sqlite-wal"}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_every_step_is_synced_to_disk(ledger: Ledger) -> None:
    with ledger._begin() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"pragma {name}").scalar() for name in ("journal_mode", "synchronous")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}


def test_a_ledger_in_memory_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite://", "sqlite:///:memory:"):
        with closing(Ledger(url)) as opened:
            assert planned(opened)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_corrupt_ledger_is_said_without_a_traceback(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(
        WriteFailed, match=r"ledger\.sqlite failed: (file is not a database|database disk image)"
    ) as failed:
        Ledger(f"sqlite:///{path}")
    assert failed.value.__suppress_context__
    assert path.read_bytes() == content, "left as it is for whoever mends it"


def test_a_ledger_that_breaks_later_is_said_too(path: Path) -> None:
    with closing(Ledger(f"sqlite:///{path}")) as opened:
        planned(opened)
    with path.open("r+b") as broken:
        broken.seek(4096)
        broken.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(WriteFailed, match=r"malformed|not a database"), closing(Ledger(f"sqlite:///{path}")) as opened:
        opened.find()


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, reason in ((tmp_path / "file" / "x", "Not a directory"), (tmp_path, "Is a directory")):
        with pytest.raises(WriteFailed, match=f"The ledger {path}.* cannot be opened: ") as failed:
            Ledger(f"sqlite:///{path}")
        assert reason in failed.value.message or "File exists" in failed.value.message
        assert "--ledger" in failed.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "",
        "nodialect://user:hunter2@host/db",
        "postgresql+nodriver://user:hunter2@host/db",
        "postgresql://user:hunter2@host:port/db",
    ],
)
def test_a_url_that_cannot_be_used_shows_no_secret(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Ledger(url)
    assert "hunter2" not in refused.value.message + refused.value.hint


@pytest.mark.filterwarnings("ignore:Query string")
def test_an_error_shows_no_secret_of_the_url(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(WriteFailed) as failed:
        Ledger(f"sqlite:///{path}?key=hunter2")
    assert "hunter2" not in failed.value.message


# Each thing has a neighbour


def two_deliveries(ledger: Ledger) -> tuple[str, str]:
    """Two that were spooled, of two days."""
    other = window("2026-11-02", "2026-11-03")
    return spooled(ledger), spooled(ledger, days=other)


def test_what_moves_one_delivery_moves_no_other(ledger: Ledger) -> None:
    key, other = two_deliveries(ledger)
    before = (ledger.delivery(other), ledger.files(other), ledger.steps(other))
    ledger.advance_file(ledger.files(key)[0], "uploaded")
    assert [file.state for file in ledger.files(key)] == ["uploaded", "spooled"]
    ledger.note(key, "slow")
    assert (ledger.delivery(key).note, ledger.delivery(other).note) == ("slow", "")
    ledger.advance(key, "spooled", "held", note="why")
    ledger.resend(key, anew=True, note="again")
    assert [file.state for file in ledger.files(key)] == ["spooled", "spooled"]
    ledger.spooled(key, [file_row(0)], rows=7)
    assert len(ledger.files(key)) == 1, "in place of what was spooled before"
    assert (ledger.delivery(key).rows, ledger.delivery(key).note) == (7, "")
    ledger.advance(key, "spooled", "delivered")
    assert (ledger.delivery(other), ledger.files(other), ledger.steps(other)) == before
    assert [(step, note) for _, step, note in ledger.steps(key)][3:] == [
        ("note", "slow"), ("held", "why"), ("planned", "again"), ("spooled", ""), ("delivered", ""),
    ]  # fmt: skip


def test_files_stand_in_the_order_of_handing_over_and_all_of_them_by_delivery(ledger: Ledger) -> None:
    key = planned(ledger)
    ledger.spooled(key, [file_row(2), file_row(0), file_row(1)])
    other = spooled(ledger, revision=1)
    assert [file.part for file in ledger.files(key)] == [0, 1, 2]
    assert [file.delivery_id for file in ledger.all_files()] == sorted([key] * 3 + [other] * 2)
    with pytest.raises(KeyError):
        ledger.delivery("a" * 64)


def test_of_two_published_under_one_name_each_is_found_by_its_hash(ledger: Ledger) -> None:
    key, other = two_deliveries(ledger)
    for one, sha256 in ((key, HASH), (other, "b" * 64)):
        with ledger.storage.begin() as connection:
            connection.execute(files.update().where(files.c.delivery_id == one).values(sha256=sha256))
        ledger.advance_file(ledger.files(one)[0], "published")
    found = [ledger.holder_of(ledger.files(key)[0], sha256) for sha256 in (HASH, "b" * 64, "c" * 64)]
    assert [one and one.delivery_id for one in found] == [key, other, None]


def test_of_one_slot_the_one_that_was_planned_first_comes_first(ledger: Ledger) -> None:
    keys = [planned(ledger, revision=revision) for revision in (2, 0, 1)]
    early = planned(ledger, slot="2026-11-03 05:00", revision=9)
    assert [row.id for row in ledger.find()] == [early, *keys]
    assert [row.id for row in ledger.find(deliveries.c.revision > 0, deliveries.c.revision < 9)] == [keys[0], keys[2]]


@pytest.mark.parametrize(
    ("slot", "revision", "state"),
    [
        ("2020-11-04 05:00", 0, "held"),
        ("2020-11-04 05:00", 1, "planned"),
        ("2099-11-04 05:00", 0, "planned"),
    ],
)
def test_in_doubt_what_is_past_and_new_is_held(ledger: Ledger, slot: str, revision: int, state: str) -> None:
    known = spooled(ledger, days=window("2026-10-01", "2026-10-02"), slot="2026-10-02 05:00")
    for reason in ("restored", "restored again"):
        ledger.doubt(reason)
    row = ledger.plan(**job(slot, revision=revision).record("/share", "asked for"))
    assert (row.state, row.note == DOUBT) == (state, state == "held")
    assert [step[1:] for step in ledger.steps(row.id)] == [(state, DOUBT if state == "held" else "asked for")]
    assert ledger.delivery(known).state == "spooled"
    with ledger.storage.begin() as connection:
        kept = dict(connection.execute(sa.select(meta.c.key, meta.c.value)).all())
    assert kept["doubt_reason"] == "restored again"


def test_without_doubt_the_past_is_planned(ledger: Ledger) -> None:
    assert ledger.plan(**job().record("/share", None)).state == "planned"


def test_times_are_of_steps_one_an_hour_and_of_pruning_one_a_day(ledger: Ledger) -> None:
    assert ledger.times() == []
    for text in ("2026-11-03 06:00", "2026-11-03 18:00", "2026-11-01 06:00", "2026-11-04 00:00"):
        ledger.tick(utc(text))
    assert ledger.times() == [utc("2026-11-01 06:00"), utc("2026-11-03 18:00"), utc("2026-11-04 00:00")]
    key = spooled(ledger)
    written = [utc(f"2026-10-31 {at}") for at in ("07:59", "07:00", "06:59")] + [utc("2026-11-05 07:30")]
    with ledger.storage.begin() as connection:
        connection.execute(steps.delete())
        rows = [{"delivery_id": key, "step": "note", "at": at.strftime(TIME)} for at in written]
        connection.execute(steps.insert(), rows)
    ticks = [utc("2026-11-01 06:00"), utc("2026-11-03 18:00"), utc("2026-11-04 00:00")]
    assert ledger.times() == [written[2], written[0], *ticks, written[3]]


def test_a_probe_replaces_that_of_its_destination_only(ledger: Ledger) -> None:
    ledger.keep_probe("/a", "rename", {"fsync": True}, "A 1")
    ledger.keep_probe("/b", "exclusive", {}, "B 1")
    ledger.keep_probe("/a", None, {"fsync": False}, "A 2")
    found = ledger.probes()
    assert {name: (probe.method, json.loads(probe.offers), probe.software) for name, probe in found.items()} == {
        "/a": (None, {"fsync": False}, "A 2"), "/b": ("exclusive", {}, "B 1"),
    }  # fmt: skip
    assert [ledger.method(name) for name in ("/a", "/b", "/c")] == [None, "exclusive", None]


def test_a_ledger_knows_itself_and_its_last_step(ledger: Ledger, tmp_path: Path) -> None:
    own, none = ledger.identity()
    assert none == 0
    key = spooled(ledger)
    ledger.note(key, "x")
    assert ledger.identity() == (own, 3)
    with closing(Ledger(f"sqlite:///{tmp_path / 'other.sqlite'}")) as other:
        assert other.identity()[0] != own


def test_a_layout_is_its_campaigns_and_integrations(ledger: Ledger) -> None:
    layouts = {("daily", "acme"): ["a"], ("daily", "other"): ["b"], ("weekly", "acme"): ["c"]}
    for number, ((name, integration), columns) in enumerate(layouts.items()):
        row = job().record("/share", None) | {"id": f"{number}", "campaign": name, "integration": integration}
        ledger.plan(**row)
        ledger.spooled(f"{number}", [], layout=json.dumps({"columns": columns, "kinds": ["text"]}))
        ledger.freeze_layout(f"{number}")
    ledger.plan(**job().record("/share", None) | {"id": "9", "revision": 1})
    ledger.spooled("9", [], layout=json.dumps({"columns": ["z"], "kinds": ["text"]}))
    ledger.freeze_layout("9")
    assert {key: list(found.columns) for key, found in ledger.layouts().items()} == layouts
    assert list(ledger.layouts()) == sorted(layouts)
    assert ledger.layout("weekly", "other") is None


def test_a_runner_knows_its_own_spool(tmp_path: Path) -> None:
    with closing(Ledger(f"sqlite:///{tmp_path / 'l'}", "one")) as ledger:
        assert [ledger.is_ours(name) for name in ("one", None, "two", "")] == [True, False, False, False]
        assert ledger.delivery(spooled(ledger)).spooled_by == "one"


# Of many


def of_day(ledger: Ledger, campaign: str, integration: str, day: int) -> Delivery:
    """One day's delivery."""
    days = window(f"2026-11-{day:02}", f"2026-11-{day + 1:02}")
    one = replace(job(), window=days, slot=utc(f"2026-11-{day + 1:02} 05:00"), integration_name=integration)
    row = one.record("/share", None) | {"campaign": campaign}
    return ledger.plan(**row | {"id": delivery_id(campaign, integration, "acme", one.when, 0)})


def test_the_latest_are_the_newest_slots_oldest_first(ledger: Ledger) -> None:
    first, second, other, third = (
        of_day(ledger, *asked) for asked in (("a", "x", 3), ("a", "y", 1), ("b", "x", 2), ("a", "x", 2))
    )
    assert ledger.latest(2) == [third, first]
    assert ledger.latest(9) == [second, other, third, first]
    assert ledger.latest(2, deliveries.c.campaign == "b") == [other]


def test_what_is_recorded_of_a_campaign_is_by_client_oldest_first(ledger: Ledger) -> None:
    rows = [of_day(ledger, *asked) for asked in (("a", "x", 3), ("a", "y", 1), ("b", "x", 2), ("a", "x", 2))]
    recorded = ledger.recorded("a")
    client = rows[0].namespace
    assert {key: [row.id for row in found] for key, found in recorded.items()} == {
        ("x", client): [rows[3].id, rows[0].id],
        ("y", client): [rows[1].id],
    }
    for name, value in recorded["y", client][0]._asdict().items():
        assert value == getattr(rows[1], name), name
    later = ledger.recorded("a", deliveries.c.window_start > "2026-11-02")
    assert [row.id for row in later["x", client]] == [rows[0].id]


def test_a_history_is_what_a_campaign_sent_to_a_client_oldest_first(ledger: Ledger) -> None:
    """Those who have the same share one, in whatever order it was planned."""
    for client, days in {"x": (3, 2), "y": (2, 3), "z": (2,)}.items():
        for number in days:
            of_day(ledger, "a", client, number)
    of_day(ledger, "b", "x", 4)
    key = delivery_id("a", "v", "acme_outdoor", "2026-11-09T05:00:00Z", 1)
    bare = {"window_start": None, "window_end": None, "revision": 1, "asked_by": "hand"}
    ledger.plan(**job().record("/share", None) | bare | {"id": key, "campaign": "a", "integration": "v"})
    found = {name: past for (name, _), past in ledger.histories("a").items()}
    second, third = (
        Past(f"2026-11-0{n + 1}T05:00:00Z", f"2026-11-0{n}", f"2026-11-0{n + 1}", 0, "planned", None) for n in (2, 3)
    )
    assert found == {
        "x": (second, third),
        "y": (second, third),
        "z": (second,),
        "v": (Past("2026-11-04T05:00:00Z", None, None, 1, "planned", "hand"),),
    }
    assert {namespace for _, namespace in ledger.histories("a")} == {"acme_outdoor"}
    assert ledger.histories("c") == {}


def test_a_history_is_in_order_whatever_order_the_database_gives() -> None:
    later, first = "2026-11-04T05:00:00Z|||1|planned|", "2026-11-03T05:00:00Z|||0|held|hand"
    again = "2026-11-04T05:00:00Z|||0|held|"
    assert [(row.slot[:10], row.revision) for row in _history(",".join((later, again, first)))] == [
        ("2026-11-03", 0), ("2026-11-04", 0), ("2026-11-04", 1),
    ]  # fmt: skip


def test_of_a_window_the_newest_that_ended_are_named_by_who_wrote_them(ledger: Ledger) -> None:
    def went(client: str, day: int, state: str = "delivered", revision: int = 0, by: str | None = "host") -> str:
        days = window(f"2026-11-{day:02}", f"2026-11-{day + 1:02}")
        one = replace(job(), window=days, integration_name=client, revision=revision)
        key = ledger.plan(**one.record("/share", None)).id
        ledger.advance(key, "planned", state, spooled_by=by)
        return key

    first = went("x", 2)
    last = went("y", 2)
    went("x", 3)
    corrected, cancelled = went("x", 3, revision=1), went("x", 4, "cancelled")
    for revision, state in enumerate(("delivered", "held", "spooled"), 5):
        went("y", 5, state, revision)
    other = went("z", 2, by="another")
    at = {key: ledger.delivery(key).updated_at for key in (first, last, other)}
    found = {(one.window_start, one.spooled_by): one for one in ledger.ended("daily")}
    assert {key: set(one.ids) for key, one in found.items()} == {
        ("2026-11-02", "host"): {first, last},
        ("2026-11-02", "another"): {other},
        ("2026-11-03", "host"): {corrected},
        ("2026-11-04", "host"): {cancelled},
        ("2026-11-05", "host"): {delivery_id("daily", "y", "acme_outdoor", "2026-11-05/2026-11-06", 5)},
    }
    one = found["2026-11-02", "host"]
    assert (one.window_end, one.first, one.last) == ("2026-11-03", at[first], at[last])
    assert [one.window_start for one in ledger.ended("daily", deliveries.c.window_start > "2026-11-04")] == [
        "2026-11-05"
    ]
    assert ledger.ended("weekly") == []


def test_one_layout_is_read_for_one(path: Path) -> None:
    with closing(Ledger(f"sqlite:///{path}")) as ledger:
        for name in ("acme", "other"):
            key = ledger.plan(**replace(job(), integration_name=name).record("/share", None)).id
            ledger.advance(key, "planned", "spooled", layout=json.dumps({"columns": [name]}))
            ledger.freeze_layout(key)
        with mock.patch.object(json, "loads", wraps=json.loads) as read:
            found = ledger.layout("daily", "other")
        assert found is not None
        assert found.columns == ("other",)
        assert [call.args[0] for call in read.call_args_list if "acme" in call.args[0]] == []


def test_files_below_a_folder_are_those_that_are_there(ledger: Ledger) -> None:
    places = {"/srv/share/a": "published", "/srv/share/b": "pruned", "/srv/share_2/a": "published"}
    for number, (place, state) in enumerate(places.items(), 1):
        key = of_day(ledger, "a", "x", number).id
        with ledger.storage.begin() as connection:
            row = file_row(0, delivery_id=key, destination=place, state=state, updated_at="")
            connection.execute(files.insert().values(row))
    assert ledger.places_below("/srv/share/") == [("/srv/share/a", 1)]
    found, owners = ledger.left_between("/srv/share/a", "/srv/share/b")
    assert [file.destination for file in found] == ["/srv/share/a"]
    assert {key: row.window_start for key, row in owners.items()} == {found[0].delivery_id: "2026-11-01"}
    assert ledger.left_between("/srv/share/b", "/srv/share/c") == ([], {})


def test_what_is_pruned_is_recorded_all_at_once_or_not_at_all(ledger: Ledger, queries: list[str]) -> None:
    keys = [of_day(ledger, "a", client, 1).id for client in ("x", "y", "z")]
    with ledger.storage.begin() as connection:
        for key in keys:
            for part in (0, 1):
                row = file_row(part, delivery_id=key, state="published", updated_at="")
                connection.execute(files.insert().values(row))
    found = [file for key in keys[:2] for file in ledger.files(key)]
    queries.clear()
    with pytest.raises(Busy, match="in another state now"):
        ledger.pruned([(file, "collected") for file in (*found[:3], found[3]._replace(state="spooled"))])
    assert {file.state for key in keys for file in ledger.files(key)} == {"published"}
    assert [ledger.steps(key)[1:] for key in keys] == [[], [], []]
    queries.clear()
    ledger.pruned([(file, f"because of {file.part}") for file in found])
    assert len([text for text in queries if not text.startswith("begin")]) == 3, "whatever the number"
    assert [[file.state for file in ledger.files(key)] for key in keys] == [
        ["pruned"] * 2,
        ["pruned"] * 2,
        ["published"] * 2,
    ]
    assert [ledger.delivery(key).note for key in keys] == ["pruned: because of 1"] * 2 + [""]
    assert [step[1:] for step in ledger.steps(keys[1])[1:]] == [
        ("pruned", "f0.csv"), ("pruned", "f1.csv"), ("note", "pruned: because of 1"),
    ]  # fmt: skip


# The tables


def test_the_schema_is_what_its_number_says() -> None:
    """Other tables under the same number would be read wrongly by, or from, ledgers that are there."""
    found = []
    for dialect in (sqlite.dialect(), postgresql.dialect()):
        for table in METADATA.sorted_tables:
            found += [str(CreateTable(table).compile(dialect=dialect)).strip()]
            found += [str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes]
    lines = [line.rstrip() for line in ";\n".join(found).replace("\t", "  ").splitlines()]
    assert lines == TABLES.read_text().splitlines()


@pytest.mark.parametrize(("table", "row"), [(deliveries, Delivery), (files, File), (fetches, Fetch), (probes, Probe)])
def test_a_row_has_its_tables_columns_in_order(table: sa.Table, row: type[Any]) -> None:
    assert [column.name for column in table.c] == list(row._fields)

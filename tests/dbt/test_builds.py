"""Builds in a row, on a warehouse of their own: what late, changed, unknown and broken raw data does to days.

Each test lands a few rows, builds, lands more, and builds again.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from projects import DATA_TESTS_ONLY, Copy, dbt, new_project, once

if TYPE_CHECKING:
    from collections.abc import Iterator

DBT = Path(sys.executable).with_name("dbt")
DAYS = ["2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04", "2026-11-05"]
EXPORTS = ["esp_events", "email_unsubscribes", "email_eligibility", "rejected_events"]
# What customers do is built from the rest and grows by no day: left out, as these builds are many.
LEFT_OUT = ["source:commerce+", "source:data_science+", "int_contacts_read+", "definitions+", "score_bands"]
GROWING = ["int_email_events_classified", "esp_events", "email_unsubscribes", "rejected_events", "email_days"]
# Tables of a row for each event, which no day's build reads whole.
RAW_ROWS = [
    "stg_sendgrid__events", "base_platform__halts", "base_platform__unsubscribes", "int_email_events_classified",
]  # fmt: skip

# What is said of the events that are not of the five days' files: names, the link that tells them apart, and times.
LATE = (
    "select journey_name, campaign_name, campaign_run_id, click_url, namespace, event_time, email, updated_at "
    "from esp_events where click_url not like '2026-%' order by all"
)


@dataclass
class Built:
    """What one dbt command did."""

    code: int
    output: str


@dataclass
class Warehouse:
    """The project with a landing folder and a warehouse of its own; `folder` is where dbt runs."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        quick = {"DBT_USE_COLORS": "false", "DBT_WRITE_JSON": "false", "DBT_LOG_LEVEL_FILE": "none"}
        self.environment = {**Copy(self.folder).environment, **quick}

    def land(self, name: str, rows: list[Any]) -> Path:
        """Writes a file of the landing folder; text is a line as it is."""
        path = self.folder / "landing" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
        return path

    def dbt(self, *arguments: str) -> Built:
        """Runs dbt to its end."""
        done = dbt(*arguments, folder=self.folder, environment=self.environment)
        return Built(done.returncode, done.stdout)

    def build(self, *arguments: str) -> Built:
        """Builds everything and expects its data tests to pass; unit tests are run when the sample is built."""
        built = self.dbt("build", *arguments, *DATA_TESTS_ONLY, "--exclude", *LEFT_OUT)
        assert built.code == 0, built.output
        return built

    def models(self, *arguments: str) -> Built:
        """Builds the models only: quicker, where tests do not matter."""
        built = self.dbt("run", *arguments, "--exclude", *LEFT_OUT)
        assert built.code == 0, built.output
        return built

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query says."""
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def write(self, sql: str) -> None:
        """Changes the warehouse behind dbt's back."""
        with duckdb.connect(str(self.folder / "warehouse.duckdb")) as connection:
            connection.execute(sql)

    def exports(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all exports."""
        return {name: self.rows(f"select * from {name} order by all") for name in EXPORTS}

    def last_days(self, model: str) -> list[str]:
        """The days that the last command built of a model."""
        return [
            str(day)
            for (day,) in self.rows(
                f"select event_day from build_days where unique_id = 'model.delivery.{model}' "
                "and started_at = (select max(started_at) from build_log) order by 1"
            )
        ]

    def read_whole(self) -> set[tuple[str, str]]:
        """The growing models, each with the tables of raw rows and events that it reads from end to end: in the plan
        of what the last command asked for, their rows are not found by day.
        """
        asked = {}
        for path in (self.folder / "target" / "compiled" / "delivery" / "models").rglob("*.sql"):
            if path.stem in (*GROWING, "int_email_arguments", "int_email_signals", "int_record_days", "email_clicks"):
                asked[path.stem] = json.loads(self.rows(f"explain (format json) {path.read_text()}")[0][1])
        return {(name, table) for name, plan in asked.items() for table in _read_whole({"children": plan})}

    def keys(self, day: str) -> list[str]:
        """The links clicked in the events that leave on a day: what tells the test's events apart."""
        return [url for (url,) in self.rows(f"select click_url from esp_events where event_day = '{day}' order by 1")]

    def status(self, unique_id: str) -> list[str]:
        """What became of a node, command by command."""
        return [
            status
            for (status,) in self.rows(
                "select status from build_log where phase = 'end' "
                f"and unique_id like '%{unique_id}%' order by started_at"
            )
        ]


def _read_whole(step: dict[str, Any]) -> Iterator[str]:
    told = step.get("extra_info", {})
    table = told.get("Table", "").split(".")[-1]
    if table in RAW_ROWS and "event_day" not in str(told.get("Filters")):
        yield table
    for below in step["children"]:
        yield from _read_whole(below)


def run(name: str = "r", namespace: str = "n", **more: Any) -> dict[str, Any]:
    """A campaign run."""
    return {
        "namespace": namespace,
        "campaign_run_id": name,
        "campaign_id": 1,
        "campaign_run_time": "2026-11-01T08:00:00Z",
        "campaign_name": "Autumn",
        "campaign_classification": "Batch",
        "subject_line": "Hi",
        "audience_id": "1",
        "updated_at": "2026-11-01T08:01:00Z",
        **more,
    }


def click(name: str, day: str, at: str = "10:00:00", **more: Any) -> dict[str, Any]:
    """A click, told by its link, received on a day."""
    payload = {
        "sg_event_id": name,
        "event": "click",
        "email": "a@example.com",
        "url": name,
        "namespace": "n",
        "campaign_run_id": "r",
        "nqe": "q",
        "timestamp": 1793527331,
        **more,
    }
    return {"received_at": f"{day}T{at}Z", "payload": payload}


def landed(root: Path) -> Warehouse:
    """Five days that wait to be built."""
    warehouse = Warehouse(new_project(root, without=("landing",)).root)
    warehouse.land(
        "platform/namespaces/all.ndjson", [{"namespace": "n", "name": "N", "updated_at": "2026-09-01T00:00:00Z"}]
    )
    warehouse.land("platform/campaign_runs/all.ndjson", [run()])
    for day in DAYS:
        warehouse.land(f"sendgrid/{day}.ndjson", [click(day, day), click(f"{day}-b", day, "11:00:00")])
    return warehouse


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse of five days, built once; each test has a copy of it."""

    def build(root: Path) -> None:
        landed(root).build()

    return once(tmp_path_factory, "first", build)


@pytest.fixture
def warehouse(first: Path, tmp_path: Path) -> Warehouse:
    """A copy of the first warehouse, its files with their times."""
    return Warehouse(shutil.copytree(first, tmp_path / "project", symlinks=True))


@pytest.mark.slow
def test_building_again_rebuilds_no_day_and_changes_nothing(warehouse: Warehouse) -> None:
    before = warehouse.exports()
    warehouse.build()
    assert warehouse.last_days("esp_events") == []
    assert warehouse.exports() == before


@pytest.mark.slow
def test_late_rows_rebuild_their_day_and_those_that_hold_their_retries(warehouse: Warehouse) -> None:
    untouched = warehouse.rows("select * from esp_events where event_day = '2026-11-01' order by all")
    warehouse.land(
        "sendgrid/late.ndjson",
        [click("late", "2026-11-02"), click("2026-11-04", "2026-11-02"), click("2026-11-01", "2026-11-02")],
    )
    warehouse.models()
    for model in GROWING:
        assert warehouse.last_days(model) == ["2026-11-02", "2026-11-04"], model
    assert warehouse.keys("2026-11-02") == ["2026-11-02", "2026-11-02-b", "2026-11-04", "late"]
    assert warehouse.keys("2026-11-04") == ["2026-11-04-b"]
    assert warehouse.rows("select * from esp_events where event_day = '2026-11-01' order by all") == untouched
    warehouse.models()
    assert warehouse.last_days("esp_events") == []


@pytest.mark.slow
def test_a_changed_file_replaces_its_rows_and_empties_days(warehouse: Warehouse) -> None:
    time.sleep(0.01)
    warehouse.land("sendgrid/2026-11-01.ndjson", [click("moved", "2026-11-05")])
    warehouse.land("sendgrid/2026-11-03.ndjson", [])
    warehouse.models()
    assert warehouse.keys("2026-11-01") == []
    assert warehouse.keys("2026-11-03") == []
    assert warehouse.keys("2026-11-05") == ["2026-11-05", "2026-11-05-b", "moved"]


@pytest.mark.slow
def test_a_run_that_becomes_known_brings_its_events(warehouse: Warehouse) -> None:
    warehouse.land("sendgrid/unknown.ndjson", [click("waits", "2026-11-02", campaign_run_id="later")])
    warehouse.models()
    assert warehouse.rows("select reason from rejected_events") == [("unknown_run",)]
    warehouse.models()
    assert warehouse.last_days("esp_events") == []
    warehouse.land("platform/campaign_runs/later.ndjson", [run("later", updated_at="2026-11-09T08:01:00Z")])
    warehouse.models()
    assert warehouse.last_days("esp_events") == ["2026-11-02"]
    assert warehouse.rows("select count(*) from rejected_events") == [(0,)]
    assert [str(t) for (t,) in warehouse.rows("select updated_at from esp_events where click_url = 'waits'")] == [
        "2026-11-09 08:01:00"
    ]
    warehouse.models()
    assert warehouse.last_days("esp_events") == []


@pytest.mark.slow
def test_an_event_that_was_rejected_and_then_was_not_stops_nobody(warehouse: Warehouse) -> None:
    """Both say something of an address, which need not be the same; what they say counts once."""
    report = {"event": "spamreport", "email": "b@example.com"}
    warehouse.land("sendgrid/rejected.ndjson", [click("e", "2026-11-02", campaign_run_id="none", **report)])
    warehouse.models()
    accepted = click("e", "2026-11-03", **report)
    other = click("f", "2026-11-02", email="c@example.com", event="spamreport")
    warehouse.land("sendgrid/accepted.ndjson", [accepted, accepted, other])
    warehouse.models()
    said = "select unique_key, is_rejected, event_day from int_email_signals where email = 'b@example.com' order by 2"
    (first, *of_first), (second, *of_second) = warehouse.rows(said)
    assert first == second
    assert [(rejected, str(day)) for rejected, day in (of_first, of_second)] == [
        (False, "2026-11-03"), (True, "2026-11-02")
    ]  # fmt: skip
    tested = warehouse.dbt("test", "--select", "int_email_signals", *DATA_TESTS_ONLY, "--vars", "test_all_days: true")
    assert tested.code == 0, tested.output
    assert warehouse.rows("select email, status, cast(changed_at as text) from email_eligibility order by 1") == [
        ("b@example.com", "unsubscribed", "2026-11-01 10:02:11"),
        ("c@example.com", "unsubscribed", "2026-11-01 10:02:11"),
    ]
    step_by_step = warehouse.exports()
    warehouse.models("--full-refresh")
    assert warehouse.exports() == step_by_step


@pytest.mark.slow
def test_records_that_land_or_change_late_are_as_if_they_had_always_been_there(warehouse: Warehouse) -> None:
    """A journey after its events, a run's first version after its second, a run and a client that are taken back.

    Only rows whose content is another one, or that were gone, get another time, and a full refresh keeps it.
    """
    early = {"campaign_run_time": "2026-10-01T08:00:00Z"}
    journey = {"namespace": "n", "journey_id": "j", "journey_name": "Late", "updated_at": "2026-10-01T00:00:00Z"}
    warehouse.land("platform/campaign_runs/more.ndjson", [run("named twice"), run("early", **early), run("taken back")])
    warehouse.land(
        "sendgrid/more.ndjson",
        [
            click("in journey", "2026-11-02", journey_id="j"),
            click("in journey, before", "2026-10-21", journey_id="j", campaign_run_id="early"),
            click("named twice", "2026-10-26", campaign_run_id="named twice"),
            click("taken back", "2026-10-16", campaign_run_id="taken back"),
            click("theirs", "2026-10-11", namespace="m"),
        ],
    )
    warehouse.land("platform/campaign_runs/m.ndjson", [run(namespace="m")])
    client = [{"namespace": "m", "name": "M", "updated_at": "2026-09-01T00:00:00Z"}]
    warehouse.land("platform/namespaces/m.ndjson", client)
    warehouse.models()
    before = {row[-5]: row for row in warehouse.rows(LATE)}
    assert {(row[0], row[1]) for row in before.values()} == {(None, "Autumn")}

    warehouse.land("platform/journeys/late.ndjson", [journey])
    warehouse.models()
    assert warehouse.last_days("esp_events") == ["2026-10-21", "2026-11-02"]
    warehouse.land("platform/journeys/later.ndjson", [
        {**journey, "journey_name": "Renamed", "updated_at": "2026-11-01T00:00:00Z"},
        {**journey, "namespace": "m", "journey_name": "Theirs"},
    ])  # fmt: skip
    warehouse.land("platform/campaign_runs/a.ndjson", [
        run("named twice", campaign_name="As it ran", updated_at="2026-11-01T08:00:30Z"),
        run("early", campaign_name="Nobody's", namespace="m"),
    ])  # fmt: skip
    warehouse.models()
    assert warehouse.last_days("esp_events") == ["2026-10-26", "2026-11-02"]
    after = {row[-5]: row for row in warehouse.rows(LATE)}
    assert {name: row[:2] for name, row in after.items() if row != before[name]} == {
        "in journey": ("Renamed", "Autumn"),
        "in journey, before": ("Late", "Autumn"),
        "named twice": (None, "As it ran"),
    }
    started = [at for (at,) in warehouse.rows("select distinct started_at from build_log order by 1 desc limit 2")]
    moved = {name: row[-1] for name, row in after.items() if row[-1] != before[name][-1]}
    assert moved == {"in journey": started[0], "in journey, before": started[1], "named twice": started[0]}
    warehouse.models()
    assert warehouse.last_days("esp_events") == []

    time.sleep(0.01)
    warehouse.land("platform/campaign_runs/more.ndjson", [run("named twice"), run("early", **early)])
    warehouse.land("platform/namespaces/m.ndjson", [])
    warehouse.models()
    assert warehouse.last_days("esp_events") == ["2026-10-11", "2026-10-16"]
    assert warehouse.rows("select reason from rejected_events order by event_day") == [
        ("unknown_namespace",), ("unknown_run",)
    ]  # fmt: skip
    step_by_step = warehouse.exports()
    warehouse.models("--full-refresh")
    assert warehouse.exports() == step_by_step
    warehouse.land("platform/namespaces/m.ndjson", client)
    warehouse.models()
    theirs = {row[-5]: row for row in warehouse.rows(LATE)}["theirs"]
    assert theirs[:-1] == before["theirs"][:-1]
    assert theirs[-1] > started[0] > before["theirs"][-1], "it was gone"


@pytest.mark.slow
def test_a_file_that_is_gone_takes_its_rows_with_it_and_brings_them_back(warehouse: Warehouse) -> None:
    """Its retries are events then; what its records told is forgotten; when it is back, all is as it was."""
    warehouse.land("platform/campaign_runs/more.ndjson", [run("more")])
    gone = warehouse.land(
        "sendgrid/gone.ndjson", [click("gone", "2026-11-02"), click("more", "2026-11-05", campaign_run_id="more")]
    )
    warehouse.land("sendgrid/retries.ndjson", [click("gone", "2026-11-03")])
    warehouse.models()
    contents = "select * exclude (updated_at) from esp_events order by all"
    before, at = warehouse.rows(contents), gone.stat()
    gone.unlink()
    (warehouse.folder / "landing/platform/campaign_runs/more.ndjson").unlink()
    warehouse.build()
    assert warehouse.last_days("esp_events") == ["2026-11-02", "2026-11-03", "2026-11-05"]
    assert [("gone" in warehouse.keys(day), "more" in warehouse.keys(day)) for day in DAYS[1:]] == [
        (False, False), (True, False), (False, False), (False, False)
    ]  # fmt: skip
    assert warehouse.rows("select count(*) from rejected_events") == [(0,)]
    step_by_step = warehouse.exports()
    warehouse.models("--full-refresh")
    assert warehouse.exports() == step_by_step
    warehouse.land(
        "sendgrid/gone.ndjson", [click("gone", "2026-11-02"), click("more", "2026-11-05", campaign_run_id="more")]
    )
    os.utime(gone, ns=(at.st_atime_ns, at.st_mtime_ns))
    warehouse.models()
    assert warehouse.rows("select reason, cast(event_day as text) from rejected_events") == [
        ("unknown_run", "2026-11-05")
    ]
    warehouse.land("platform/campaign_runs/more.ndjson", [run("more")])
    warehouse.models()
    assert warehouse.rows(contents) == before


@pytest.mark.slow
def test_a_row_is_as_new_as_what_it_says_in_its_own_columns(warehouse: Warehouse) -> None:
    """A journey whose name is empty is one: its events change, and not what email_unsubscribes says of them.

    A row that was gone, and is back as another, has changed.
    """
    warehouse.land(
        "sendgrid/more.ndjson",
        [
            click("u", "2026-11-02", event="unsubscribe", journey_id="j"),
            click("in no journey", "2026-11-02", event="unsubscribe"),
        ],
    )
    lost = [click("lost", "2026-11-04", sg_message_id="m"), click("kept", "2026-11-04", sg_message_id="m2")]
    warehouse.land("sendgrid/lost.ndjson", lost)
    warehouse.models()
    events = (
        "select email, journey_name, subject_line, updated_at from esp_events where event = 'unsubscribe' order by all"
    )
    unsubscribes = "select * from email_unsubscribes order by all"
    before, theirs = warehouse.rows(events), warehouse.rows(unsubscribes)
    journey = {"namespace": "n", "journey_id": "j", "journey_name": "", "updated_at": "2026-10-01T00:00:00Z"}
    warehouse.land("platform/journeys/j.ndjson", [journey])
    time.sleep(0.01)
    warehouse.land("sendgrid/lost.ndjson", lost[1:])
    warehouse.models()
    after = warehouse.rows(events)
    assert [row[1] for row in before] == [None, None]
    assert sorted(after, key=lambda row: row[1] is None) != sorted(before, key=lambda row: row[1] is None)
    assert [(row[1], row[3] > before[0][3]) for row in after] == [("", True), (None, False)]
    assert warehouse.rows(unsubscribes) == theirs
    lost[0]["payload"]["variant_id"] = "B"
    time.sleep(0.01)
    warehouse.land("sendgrid/lost.ndjson", lost)
    warehouse.land("platform/campaign_runs/all.ndjson", [run(subject_line="Another")])
    warehouse.models()
    dated = (
        "select updated_at > current_timestamp::timestamp - interval 1 hour from esp_events where click_url = 'lost'"
    )
    assert warehouse.rows(dated) == [(True,)]
    assert all(new[-2] > old[-2] for new, old in zip(warehouse.rows(unsubscribes), theirs, strict=True))
    step_by_step = warehouse.exports()
    warehouse.models("--full-refresh")
    assert warehouse.exports() == step_by_step


@pytest.mark.slow
def test_a_bounce_without_arguments_has_those_of_its_message_whenever_it_comes(warehouse: Warehouse) -> None:
    """By the part of the id before its dot, or by the header's; two clients that claim a message get nothing of it,
    once both are known.
    """
    bounce = {"event": "bounce", "type": "bounce", "namespace": None, "campaign_run_id": None, "nqe": None}
    warehouse.land(
        "sendgrid/bounces.ndjson",
        [
            click("b1", "2026-10-11", **bounce, sg_message_id="one.recvd-2", email="B1@example.com", reason="b1"),
            click("b2", "2026-10-11", **bounce, **{"smtp-id": "<two>"}, email="b2@example.com", reason="b2"),
            click("b3", "2026-10-11", **bounce, sg_message_id="three", email="b3@example.com", reason="b3"),
        ],
    )
    warehouse.models()
    missing = "select count(*) from rejected_events where reason = 'no_namespace'"
    assert warehouse.rows(missing) == [(3,)]
    deliver = {"event": "delivered"}
    sent = [
        click("d1", "2026-10-12", **deliver, sg_message_id="one.recvd-1", email="b1@example.com", nqe="q1"),
        click("d2", "2026-10-05", **deliver, **{"smtp-id": "<two>"}, email="b2@example.com", nqe="q2"),
        click("d3", "2026-10-09", **deliver, sg_message_id="three.x", email="b3@example.com", nqe="q3"),
    ]
    warehouse.land("sendgrid/sent.ndjson", sent)
    warehouse.models()
    assert warehouse.last_days("esp_events") == ["2026-10-05", "2026-10-09", "2026-10-11", "2026-10-12"]
    bounced = "select reason, namespace, campaign_run_id, nqe from esp_events where event = 'hard_bounce' order by 1"
    assert warehouse.rows(bounced) == [("b1", "n", "r", "q1"), ("b2", "n", "r", "q2"), ("b3", "n", "r", "q3")]
    claim = click("d4", "2026-10-08", **deliver, sg_message_id="three", namespace="m")
    warehouse.land("sendgrid/claims.ndjson", [claim])
    time.sleep(0.01)
    warehouse.land("sendgrid/sent.ndjson", sent[1:])
    warehouse.models()
    assert warehouse.rows(bounced) == [("b2", "n", "r", "q2"), ("b3", "n", "r", "q3")]
    assert warehouse.rows(missing) == [(1,)]
    warehouse.land(
        "platform/namespaces/m.ndjson", [{"namespace": "m", "name": "M", "updated_at": "2026-09-01T00:00:00Z"}]
    )
    warehouse.models()
    assert warehouse.last_days("esp_events") == ["2026-10-08", "2026-10-11"]
    assert warehouse.rows(bounced) == [("b2", "n", "r", "q2")]
    assert warehouse.rows(missing) == [(2,)]
    step_by_step = warehouse.exports()
    warehouse.models("--full-refresh")
    assert warehouse.exports() == step_by_step


@pytest.mark.slow
def test_a_retry_under_another_id_is_the_same_event(warehouse: Warehouse) -> None:
    """What tells is the message, the time, the link and who clicked with what; without a message only the id."""
    same = {"sg_message_id": "m.1", "url": "same"}
    warehouse.land(
        "sendgrid/again.ndjson",
        [
            click("a1", "2026-10-11", **same),
            click("a2", "2026-10-11", "10:05:00", **same),
            click("a3", "2026-10-13", **same, nqe="q"),
            click("a4", "2026-10-11", **{**same, "url": "another"}),
            click("a5", "2026-10-11", **same, useragent="another"),
            click("a6", "2026-10-11", **same, namespace="m"),
            click("a7", "2026-10-11", url="no message"),
            click("a8", "2026-10-11", url="no message"),
        ],
    )
    warehouse.models()
    assert warehouse.keys("2026-10-11") == ["another", "no message", "no message", "same", "same"]
    assert warehouse.keys("2026-10-13") == []
    warehouse.land("sendgrid/later.ndjson", [click("a9", "2026-10-14", **same)])
    warehouse.models()
    assert warehouse.keys("2026-10-14") == []
    step_by_step = warehouse.exports()
    warehouse.models("--full-refresh")
    assert warehouse.exports() == step_by_step


@pytest.mark.slow
def test_what_one_post_holds_many_times_is_one_event(warehouse: Warehouse) -> None:
    """Nothing tells such rows apart: whichever of them is the first, it is so in every respect."""
    posts = []
    for number in range(200):
        post = click(f"many-{number}", "2026-11-04")
        posts.append(post | {"payload": [post["payload"]] * 20})
    warehouse.land("sendgrid/many.ndjson", posts)
    warehouse.models()
    found = warehouse.rows("select click_url from esp_events where click_url like 'many-%' order by 1")
    assert found == sorted((f"many-{number}",) for number in range(200))


@pytest.mark.slow
def test_an_event_is_one_however_late_it_comes_again(warehouse: Warehouse) -> None:
    """After 4, 10 and 200 days, under its id or another; first seen last, withdrawn, and rejected before it is good."""
    alike = {"sg_message_id": "m.1", "url": "alike"}
    spelled = {"timestamp": "1793527331", "email": "A@example.com "}
    of = "select event_day from esp_events where click_url in ('again', 'alike') order by 1"

    def days(built: list[str]) -> list[str]:
        """Where the two events are, after a build of those days."""
        warehouse.models()
        assert warehouse.last_days("esp_events") == built
        return [str(day) for (day,) in warehouse.rows(of)]

    old = warehouse.land("sendgrid/old.ndjson", [click("again", "2026-04-15"), click("a1", "2026-04-15", **alike)])
    assert days(["2026-04-15"]) == ["2026-04-15", "2026-04-15"]
    again = ["2026-04-19", "2026-04-25", "2026-11-01"]
    for number, day in enumerate(again):
        posts = [click("again", day, "12:00:00"), click(f"b{number}", day, "12:00:00", **alike, **spelled)]
        warehouse.land(f"sendgrid/again-{day}.ndjson", posts)
        assert days([day]) == ["2026-04-15", "2026-04-15"]
    kept, at = old.read_bytes(), old.stat().st_mtime
    old.unlink()
    assert days(["2026-04-15", *again]) == ["2026-04-19", "2026-04-19"]
    old.with_name("again-2026-04-19.ndjson").unlink()
    assert days(again) == ["2026-04-25", "2026-04-25"]
    step_by_step = warehouse.exports()
    warehouse.models("--full-refresh")
    assert warehouse.exports() == step_by_step
    old.write_bytes(kept)
    os.utime(old, (at, at))
    assert days(["2026-04-15", *again[1:]]) == ["2026-04-15", "2026-04-15"]
    waits = {"namespace": "late", "campaign_run_id": "late"}
    warehouse.land("sendgrid/waits.ndjson", [click("w", "2026-05-01", **waits), click("w", "2026-08-01", **waits)])
    warehouse.models()
    warehouse.land("platform/campaign_runs/late.ndjson", [run("late", namespace="late")])
    named = {"namespace": "late", "name": "L", "updated_at": "2026-09-01T00:00:00Z"}
    warehouse.land("platform/namespaces/late.ndjson", [named])
    warehouse.models()
    assert (warehouse.keys("2026-05-01"), warehouse.keys("2026-08-01")) == (["w"], [])


@pytest.mark.slow
def test_an_id_of_several_is_each_ones_whatever_comes_first(warehouse: Warehouse) -> None:
    """On one day, or later; who has it first keeps its key, also when that one comes last. As a full refresh has it."""
    of = "select email, event, count(*), count(distinct unique_key) from esp_events where nqe = 'shared' group by 1, 2"
    keys = "select count(distinct unique_key) from esp_events where nqe = 'shared'"
    first, second, third = (f"{name}@example.com" for name in ("first", "second", "third"))
    left = {"event": "unsubscribe", "nqe": "shared"}

    def told(events: list[tuple[str, str]]) -> None:
        """Which events of the id there are, after a build of what is due and after one of everything."""
        warehouse.models()
        step_by_step = warehouse.exports()
        assert sorted(warehouse.rows(of)) == [(email, event, 1, 1) for email, event in sorted(events)]
        assert warehouse.rows(keys) == [(len(events),)]
        warehouse.models("--full-refresh")
        assert warehouse.exports() == step_by_step

    posts = [
        click("import", "2026-11-05", email=second, **left),
        click("import", "2026-11-05", "11:00:00", email=third, **left),
    ]
    warehouse.land("sendgrid/one.ndjson", posts)
    warehouse.land("sendgrid/two.ndjson", [click("import", "2026-11-06", email=third, **left)])
    told([(second, "unsubscribe"), (third, "unsubscribe")])
    posts = [click("import", "2026-11-07", email=email, event="delivered", nqe="shared") for email in (second, first)]
    warehouse.land("sendgrid/three.ndjson", posts)
    events = [(second, "unsubscribe"), (third, "unsubscribe"), (second, "deliver"), (first, "deliver")]
    told(events)
    warehouse.land("sendgrid/late.ndjson", [click("import", "2026-11-04", email=first, **left)])
    told([*events, (first, "unsubscribe")])


@pytest.mark.slow
def test_who_posts_another_clients_email_fails_alone(warehouse: Warehouse) -> None:
    """Also where that day's first event of it is the stranger's: the owner's first was days before."""
    warehouse.land(
        "platform/namespaces/m.ndjson", [{"namespace": "m", "name": "M", "updated_at": "2026-09-01T00:00:00Z"}]
    )
    warehouse.land("platform/campaign_runs/m.ndjson", [run(namespace="m")])
    own, theirs = click("own", "2026-11-05", nqe="own"), click("theirs", "2026-11-05", "09:00:00")
    for line in (own, theirs):
        line["payload"]["namespace"] = "m"
    warehouse.land("sendgrid/m.ndjson", [own, theirs])
    warehouse.models()
    assert warehouse.dbt("test", "--select", "no_row_of_another_namespace").code == 1
    assert warehouse.rows("select distinct namespace from build_failures") == [("m",)]
    assert warehouse.rows("select namespace, count(*) from esp_events where nqe = 'own' group by 1") == [("m", 1)]


@pytest.mark.slow
def test_who_posts_of_an_email_before_it_is_sent_fails_alone(warehouse: Warehouse) -> None:
    """It is whose provider sent or delivered it; the first event of it may be the stranger's."""
    warehouse.land(
        "platform/namespaces/m.ndjson", [{"namespace": "m", "name": "M", "updated_at": "2026-09-01T00:00:00Z"}]
    )
    warehouse.land("platform/campaign_runs/m.ndjson", [run(namespace="m")])
    warehouse.land(
        "sendgrid/m.ndjson",
        [
            click("theirs", "2026-11-05", "09:00:00", nqe="sent", namespace="m"),
            click("sent", "2026-11-05", nqe="sent", event="processed"),
            click("own", "2026-11-05", nqe="sent"),
            click("theirs, too", "2026-11-05", "09:00:00", nqe="delivered", namespace="m"),
            click("delivered", "2026-11-05", nqe="delivered", event="delivered"),
            click("theirs as well", "2026-11-05", nqe="both", event="delivered", namespace="m"),
            click("later", "2026-11-05", "11:00:00", nqe="both", event="delivered"),
        ],
    )
    warehouse.models()
    assert warehouse.dbt("test", "--select", "no_row_of_another_namespace").code == 1
    failures = "select namespace, cast(event_day as varchar), failures from build_failures order by 1"
    assert warehouse.rows(failures) == [("m", "2026-11-05", 2), ("n", "2026-11-05", 1)]


@pytest.mark.slow
def test_a_namespace_that_becomes_known_brings_its_events(warehouse: Warehouse) -> None:
    warehouse.land("sendgrid/unknown.ndjson", [click("waits", "2026-11-02", namespace="m")])
    warehouse.land("platform/campaign_runs/m.ndjson", [run(namespace="m")])
    warehouse.models()
    assert warehouse.rows("select reason from rejected_events") == [("unknown_namespace",)]
    warehouse.land(
        "platform/namespaces/m.ndjson", [{"namespace": "m", "name": "M", "updated_at": "2026-11-09T00:00:00Z"}]
    )
    warehouse.models()
    assert "waits" in warehouse.keys("2026-11-02")


@pytest.mark.slow
def test_many_small_builds_end_as_one_full_refresh_does(warehouse: Warehouse) -> None:
    retry = click("2026-11-05", "2026-11-06", "00:05:00")
    warehouse.land("sendgrid/2026-11-06.ndjson", [retry, click("new", "2026-11-06"), click("again", "2026-11-06")])
    warehouse.models()
    warehouse.land("sendgrid/2026-11-07.ndjson", [click("again", "2026-11-07"), click("2026-11-01", "2026-11-07")])
    warehouse.models()
    warehouse.land("sendgrid/late.ndjson", [click("again", "2026-11-05", email=" A@Example.com")])
    warehouse.models()
    assert warehouse.keys("2026-11-05") == ["2026-11-05", "2026-11-05-b", "again"]
    assert warehouse.keys("2026-11-06") == ["new"]
    step_by_step = warehouse.exports()
    warehouse.models("--full-refresh")
    assert warehouse.exports() == step_by_step


@pytest.mark.slow
def test_days_can_be_forced(warehouse: Warehouse) -> None:
    before = warehouse.exports()
    warehouse.models("--vars", "{rebuild_from: 2026-11-02, rebuild_to: 2026-11-03}")
    for model in GROWING:
        assert warehouse.last_days(model) == DAYS[1:3], model
    assert warehouse.exports() == before


@pytest.mark.slow
def test_days_that_ended_without_rows_are_built_as_well(warehouse: Warehouse) -> None:
    """Those since the model's own last build, and those asked for; never one that has not ended."""
    day = timedelta(days=1)
    for table, moment in {"build_log": "started_at", "build_days": "started_at", "int_raw_days": "loaded_at"}.items():
        warehouse.write(f"update {table} set {moment} = {moment} - interval 3 day")
    warehouse.models("--select", "esp_events", "email_days")
    (today,) = warehouse.rows("select max(started_at)::date from build_log")[0]
    assert warehouse.last_days("esp_events") == [str(today - n * day) for n in (3, 2, 1)]
    assert warehouse.last_days("email_days") == warehouse.last_days("esp_events")
    warehouse.models("--select", "esp_events", "email_clicks")
    assert warehouse.last_days("esp_events") == []
    assert warehouse.last_days("email_clicks") == [str(today - n * day) for n in (3, 2, 1)]
    asked = f"{{rebuild_from: {today - 5 * day}, rebuild_to: {today}}}"
    warehouse.models("--select", "esp_events", "--vars", asked)
    assert warehouse.last_days("esp_events") == [str(today - n * day) for n in (5, 4)]


@pytest.mark.slow
def test_a_model_built_before_its_parent_is_built_after_it_too(warehouse: Warehouse) -> None:
    warehouse.land("sendgrid/late.ndjson", [click("late", "2026-11-05")])
    warehouse.models("--select", "base_landing__files", "+int_email_events_posted", "int_raw_days")
    warehouse.models("--select", "esp_events")
    assert warehouse.last_days("esp_events") == ["2026-11-05"]
    assert "late" not in warehouse.keys("2026-11-05")
    warehouse.models()
    assert warehouse.last_days("esp_events") == ["2026-11-05"]
    assert "late" in warehouse.keys("2026-11-05")


@pytest.mark.slow
def test_a_dropped_table_is_built_and_recorded_whole(warehouse: Warehouse) -> None:
    before = warehouse.exports()
    warehouse.write("drop table esp_events")
    warehouse.models()
    assert warehouse.last_days("esp_events") == DAYS
    assert warehouse.exports() == before


@pytest.mark.slow
def test_a_model_made_anew_has_all_its_days(warehouse: Warehouse) -> None:
    before = warehouse.exports()
    warehouse.models("--full-refresh", "--select", "esp_events")
    assert warehouse.last_days("esp_events") == DAYS
    assert warehouse.exports() == before
    assert warehouse.rows("select * from int_days_due") == []


@pytest.mark.slow
def test_a_model_made_anew_has_all_its_days_where_days_due_are_a_table(warehouse: Warehouse) -> None:
    """As on Spark: of the last build of everything, with one day due."""
    before = warehouse.exports()
    Copy(warehouse.folder).edit("dbt_project.yml", "'table' if target.type == 'spark' else 'view'", "'table'")
    warehouse.models("--vars", "{rebuild_from: 2026-11-03, rebuild_to: 2026-11-03}")
    assert warehouse.rows("select distinct event_day::text from int_days_due") == [("2026-11-03",)]
    for _ in range(2):
        warehouse.models("--full-refresh", "--select", "esp_events")
        assert warehouse.last_days("esp_events") == DAYS
        assert warehouse.last_days("rejected_events") == []
        assert warehouse.rows("select event_day::text from int_days_due where model = 'esp_events' order by 1") == [
            (day,) for day in DAYS
        ]
    assert warehouse.exports() == before


@pytest.mark.slow
def test_a_new_growing_model_is_not_built_before_its_days_are_known(warehouse: Warehouse) -> None:
    model = Copy(warehouse.folder).own("models/intermediate/email/int_sent.sql")
    text = model.with_name("int_email_signals.sql").read_text()
    model.write_text(text.replace("int_email_signals", "int_sent"))
    model.with_suffix(".yml").write_text("models: [{name: int_sent, config: {meta: {grows_by: event_day}}}]")
    alone = warehouse.dbt("run", "--select", "int_sent")
    assert alone.code == 1
    assert "--select +int_sent" in alone.output
    warehouse.models("--select", "+int_sent")
    assert warehouse.last_days("int_sent") == DAYS


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--empty"], ["--empty", "--full-refresh"]], ids=["kept", "refreshed"])
def test_an_empty_run_is_marked_and_made_good(warehouse: Warehouse, arguments: list[str]) -> None:
    before = warehouse.exports()
    warehouse.build(*arguments)
    assert warehouse.rows(
        "select distinct partial from build_log where started_at = (select max(started_at) from build_log)"
    ) == [(True,)]
    assert warehouse.last_days("esp_events") == []
    warehouse.models()
    assert warehouse.exports() == before
    assert warehouse.last_days("esp_events") == DAYS


@pytest.mark.slow
def test_a_killed_build_has_no_end_and_its_days_stay_due(warehouse: Warehouse) -> None:
    before = warehouse.rows("select max(started_at) from build_log")
    warehouse.land("sendgrid/late.ndjson", [click("late", "2026-11-05")])
    process = subprocess.Popen(
        [str(DBT), "run"], cwd=warehouse.folder, env=warehouse.environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    for line in process.stdout:
        if "OK created sql incremental model main.int_email_events_classified" in line:
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    started = warehouse.rows("select max(started_at) from build_log")
    assert started > before
    assert warehouse.rows(f"select distinct phase from build_log where started_at = '{started[0][0]}'") == [("start",)]
    warehouse.models()
    assert warehouse.last_days("esp_events") == ["2026-11-05"]
    assert warehouse.keys("2026-11-05") == ["2026-11-05", "2026-11-05-b", "late"]


@pytest.mark.slow
def test_a_failed_bounded_test_looks_at_its_days_until_it_passes(warehouse: Warehouse) -> None:
    name = "is_address_esp_events_email"
    warehouse.write("update esp_events set email = 'No Address' where event_day = '2026-11-02'")
    warehouse.land("sendgrid/late.ndjson", [click("late", "2026-11-05")])
    warehouse.build()
    assert warehouse.status(name)[-1] == "pass", "2026-11-02 is not under test, as it was not built"
    warehouse.dbt("run", "--vars", "{rebuild_from: 2026-11-02, rebuild_to: 2026-11-02}")
    warehouse.write("update esp_events set email = 'No Address' where event_day = '2026-11-02'")
    failed = warehouse.dbt("test", *DATA_TESTS_ONLY)
    assert failed.code == 1
    again = warehouse.dbt("build", *DATA_TESTS_ONLY, "--exclude", *LEFT_OUT)
    assert again.code == 1, "nothing was built anew, but the day is still unproven"
    assert warehouse.status(name)[-2:] == ["fail", "fail"]
    warehouse.build("--vars", "{rebuild_from: 2026-11-02, rebuild_to: 2026-11-02}")
    assert warehouse.status(name)[-1] == "pass"


@pytest.mark.slow
def test_the_weekly_run_looks_at_all_days(warehouse: Warehouse) -> None:
    warehouse.write("update esp_events set email = 'No Address' where event_day = '2026-11-02'")
    assert warehouse.dbt("test", "--select", "esp_events").code == 0
    weekly = warehouse.dbt("test", "--selector", "whole_tables", "--vars", "test_all_days: true")
    assert weekly.code == 1
    assert warehouse.status("is_address_esp_events_email") == ["pass", "pass", "fail"]
    assert warehouse.rows(
        "select distinct whole_table from build_log where resource_type = 'test' "
        "and started_at = (select max(started_at) from build_log)"
    ) == [(True,)]


@pytest.mark.slow
def test_malformed_lines_are_listed_and_stop_nothing(warehouse: Warehouse) -> None:
    warehouse.land("sendgrid/cut.ndjson", [click("good", "2026-11-05"), '{"received_at": "2026-11-05T1', "[1, 2]"])
    warehouse.build()
    assert warehouse.status("every_raw_line_can_be_read")[-1] == "warn"
    assert "good" in warehouse.keys("2026-11-05")
    assert warehouse.rows(
        "select file_name, line_number, fault, payload from int_email_events_classified where fault is not null "
        "order by line_number"
    ) == [
        ("sendgrid/cut.ndjson", 2, 'not {"received_at": ..., "payload": ...}', '{"received_at": "2026-11-05T1'),
        ("sendgrid/cut.ndjson", 3, 'not {"received_at": ..., "payload": ...}', "[1, 2]"),
    ]
    warehouse.land("sendgrid/cut.ndjson", [click("good", "2026-11-05"), click("mended", "2026-11-05")])
    warehouse.build()
    assert warehouse.keys("2026-11-05") == ["2026-11-05", "2026-11-05-b", "good", "mended"]


@pytest.mark.slow
def test_a_record_lacks_what_its_source_needs(warehouse: Warehouse) -> None:
    """Each source of the platform asks for its own: without any one of them a line is no record, with all it is."""
    at = "2026-11-05T10:00:00Z"
    whole = {
        "namespaces": {"namespace": "m", "updated_at": at},
        "campaigns": {"namespace": "m", "campaign_id": 7, "updated_at": at},
        "campaign_runs": {"namespace": "m", "campaign_run_id": "r", "updated_at": at},
        "audiences": {"namespace": "m", "audience_id": "1", "updated_at": at},
        "journeys": {"namespace": "m", "journey_id": "j", "updated_at": at},
        "customers": {"updated_at": at},
        "entitlements": {"namespace": "m", "entitlement": "audiences"},
        "halts": {"received_at": at},
        "unsubscribes": {"received_at": at},
    }
    for entity, record in whole.items():
        lacking = [{**record, field: " "} for field in record]
        warehouse.land(f"platform/{entity}/lacking.ndjson", [*lacking, record])
    built = warehouse.dbt("run", "--select", "base_landing__files", "base_platform__*")
    assert built.code == 0, built.output
    for entity, record in whole.items():
        found = f"select fault from base_platform__{entity} where file_name like '%lacking%' order by line_number"
        said = [f"{field} is {'no time' if field.endswith('_at') else 'missing'}" for field in record]
        assert [fault for (fault,) in warehouse.rows(found)] == [*said, None], entity


@pytest.mark.slow
def test_a_misspelled_folder_is_noticed(warehouse: Warehouse) -> None:
    warehouse.land("sendgrid/.2026-11-06.ndjson", [click("hidden", "2026-11-06")])
    warehouse.land("sendgrid/2026-11-06.ndjson.part", [click("half", "2026-11-06")])
    warehouse.build("--select", "base_landing__files")
    warehouse.land("platform/campaing_runs/all.ndjson", [run("x")])
    warehouse.land("sendgrid/2026-11-06.json", [click("lines", "2026-11-06")])
    warehouse.build("--select", "base_landing__files")
    assert warehouse.status("in_a_known_folder")[-1] == "warn"
    assert warehouse.rows(
        "select failures from build_log where unique_id like '%in_a_known_folder%' order by began_at desc limit 1"
    ) == [(2,)]


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["landing", "landing/sendgrid", "landing/platform"])
def test_nothing_to_read_is_said_before_anything_is_built(warehouse: Warehouse, folder: str) -> None:
    before = warehouse.rows("select count(*) from build_log")
    (warehouse.folder / folder).rename(warehouse.folder / "away")
    failed = warehouse.dbt("build")
    assert failed.code != 0
    assert "Set LANDING_DIR to the folder that the loaders write to" in failed.output
    assert f"'landing/{'platform' if folder.endswith('platform') else 'sendgrid'}'" in failed.output
    assert warehouse.rows("select count(*) from build_log") == before


@pytest.mark.slow
def test_a_clock_that_went_back_stops_the_build(warehouse: Warehouse) -> None:
    warehouse.write("update build_log set started_at = started_at + interval 1 day")
    failed = warehouse.dbt("build")
    assert failed.code != 0
    assert "The clock went back" in failed.output


@pytest.mark.slow
def test_a_landing_folder_may_have_wildcards_in_its_name(warehouse: Warehouse) -> None:
    odd = warehouse.folder / "what? [new] *"
    (warehouse.folder / "landing").rename(odd)
    warehouse.environment["LANDING_DIR"] = str(odd)
    (odd / "sendgrid/[x].ndjson").write_text(json.dumps(click("odd", "2026-11-05")) + "\n")
    warehouse.models()
    assert warehouse.keys("2026-11-05") == ["2026-11-05", "2026-11-05-b", "odd"]


def test_three_builds_of_what_waits_bounces_and_is_renamed(tmp_path: Path) -> None:
    """What each of three builds adds stays beside what the others left, and is what one build of all of it makes.

    The third lands a retry of a bounce, which counts no second time.
    """
    warehouse = landed(tmp_path / "project")
    warehouse.build("--exclude-resource-type", "test")  # those of five days are among the slow ones
    known = {"namespace": "m", "name": "M", "soft_bounce_limit": 2, "updated_at": "2026-09-01T00:00:00Z"}
    in_journey = {"journey_id": "j", "campaign_run_time": "2026-11-02T08:00:00Z", "updated_at": "2026-11-02T08:01:00Z"}
    renamed = {"namespace": "n", "journey_id": "j", "journey_name": "Old", "updated_at": "2026-10-01T00:00:00Z"}
    bounced = {"event": "bounce", "type": "blocked", "email": "soft@example.com"}
    theirs = {**bounced, "namespace": "m"}
    warehouse.land("platform/namespaces/m.ndjson", [known])
    warehouse.land("platform/journeys/old.ndjson", [renamed])
    warehouse.land(
        "platform/campaign_runs/more.ndjson",
        [run(namespace="m", campaign_name="Theirs"), run("in journey", **in_journey)],
    )
    warehouse.land("platform/campaign_runs/half.ndjson", [run("half", subject_line=None)])
    warehouse.land("platform/campaign_runs/bare.ndjson", [run("bare", audience_id=None)])
    warehouse.land(
        "platform/unsubscribes/first.ndjson",
        [
            {"unsubscribe_id": "1", "namespace": "n", "email": "pixel@example.com", "source": "Pixel", "nqe": "q",
             "campaign_run_id": "r", "received_at": "2026-11-03T12:00:00Z"},
            {"unsubscribe_id": "2", "namespace": "n", "email": "manual@example.com", "source": "Manual",
             "received_at": "2026-11-03T12:00:00Z"},
        ],
    )  # fmt: skip
    warehouse.land(
        "platform/halts/first.ndjson",
        [{"halt_id": "1", "namespace": "n", "email": "halt@example.com", "reason": "frequency cap", "nqe": "halted",
          "campaign_run_id": "r", "received_at": "2026-11-03T13:00:00Z"}],
    )  # fmt: skip
    warehouse.land(
        "sendgrid/first.ndjson",
        [
            click("waits for its run", "2026-10-01", campaign_run_id="later"),
            click("waits for its subject", "2026-10-06", campaign_run_id="half"),
            click("waits for its audience", "2026-10-11", campaign_run_id="bare"),
            click("waits for its namespace", "2026-10-16", namespace="k"),
            click("waits for nothing", "2026-10-21", nqe=None),
            click("in journey", "2026-11-02", campaign_run_id="in journey"),
            click("b1", "2026-11-02", **theirs),
            click("b2", "2026-11-02", **bounced),
            click("b3", "2026-11-02", event="bounce", type="bounce", email="hard@example.com"),
            click("b4", "2026-11-02", **{**theirs, "email": "once@example.com"}),
        ],
    )
    warehouse.models()
    waits = "select cast(event_day as text), reason from rejected_events order by event_day"
    assert warehouse.rows(waits) == [
        ("2026-10-01", "unknown_run"),
        ("2026-10-06", "incomplete_run"),
        ("2026-10-11", "no_audience"),
        ("2026-10-16", "unknown_namespace"),
        ("2026-10-21", "no_nqe"),
    ]

    warehouse.land("platform/campaign_runs/later.ndjson", [run("later")])
    warehouse.land("platform/campaign_runs/half.ndjson", [run("half", subject_line="Found")])
    warehouse.land("platform/campaign_runs/bare.ndjson", [run("bare", audience_id="7")])
    warehouse.land("platform/campaign_runs/k.ndjson", [run(namespace="k")])
    warehouse.land("platform/namespaces/k.ndjson", [{**known, "namespace": "k"}])
    warehouse.land(
        "platform/journeys/new.ndjson", [{**renamed, "journey_name": "New", "updated_at": "2026-11-02T08:00:00Z"}]
    )
    fifth = click("b5", "2026-11-02", "11:00:00", timestamp="2026-11-02T10:59:00Z", **theirs)
    warehouse.land("sendgrid/second.ndjson", [fifth])
    warehouse.models()
    assert warehouse.rows(waits) == [("2026-10-21", "no_nqe")]

    warehouse.land("sendgrid/third.ndjson", [click("b1", "2026-11-05", **theirs), click("last", "2026-11-06")])
    warehouse.models()
    of_itself = {("int_email_events_classified",) * 2}  # the days of which are known only while it is looked for
    assert warehouse.read_whole() == of_itself
    left = """
        select cast(event_day as text), namespace, email, event, coalesce(click_url, reason), audience_id, journey_name
        from esp_events where click_url not like '2026-%' or click_url is null order by event_time, namespace, email
    """
    address = "a@example.com"
    assert warehouse.rows(left) == [
        ("2026-10-01", "n", address, "click", "waits for its run", "1", None),
        ("2026-10-06", "n", address, "click", "waits for its subject", "1", None),
        ("2026-10-11", "n", address, "click", "waits for its audience", "7", None),
        ("2026-10-16", "k", address, "click", "waits for its namespace", "1", None),
        ("2026-11-02", "m", "once@example.com", "soft_bounce", None, "1", None),
        ("2026-11-02", "m", "soft@example.com", "soft_bounce", None, "1", None),
        ("2026-11-02", "n", address, "click", "in journey", "1", "New"),
        ("2026-11-02", "n", "hard@example.com", "hard_bounce", None, "1", None),
        ("2026-11-02", "n", "soft@example.com", "soft_bounce", None, "1", None),
        ("2026-11-02", "m", "soft@example.com", "soft_bounce", None, "1", None),
        ("2026-11-03", "n", "pixel@example.com", "unsubscribe", None, "1", None),
        ("2026-11-03", "n", "halt@example.com", "halt", "frequency cap", "1", None),
        ("2026-11-06", "n", address, "click", "last", "1", None),
    ]
    assert warehouse.rows("select email, cast(event_time as text) from email_unsubscribes") == [
        ("pixel@example.com", "2026-11-03 12:00:00")
    ]
    state = "select namespace, email, status, source, cast(changed_at as text) from email_eligibility order by all"
    assert warehouse.rows(state) == [
        ("m", "soft@example.com", "unsubscribed", "Bounce/Blocked", "2026-11-02 10:59:00"),
        ("n", "hard@example.com", "unsubscribed", "Bounce/Bounce", "2026-11-01 10:02:11"),
        ("n", "manual@example.com", "unsubscribed", "Manual", "2026-11-03 12:00:00"),
        ("n", "pixel@example.com", "unsubscribed", "Pixel", "2026-11-03 12:00:00"),
    ]
    signals = "select count(*), count(distinct unique_key) from int_email_signals where email = '{}'"
    assert warehouse.rows(signals.format("once@example.com")) == [(1, 1)]
    step_by_step = warehouse.exports()
    warehouse.models("--full-refresh")
    assert warehouse.exports() == step_by_step

    for path in (warehouse.folder / "landing").rglob("*.ndjson"):
        os.utime(
            path, (2_000_000_000, 2_000_000_000) if path.parent.name == "halts" else (1_700_000_000, 1_700_000_000)
        )
    asked = {
        "sendgrid": "{{ freshness_query(none, 'sendgrid') }}",
        "halts": "{{ freshness_query(none, 'platform/halts') }}",
    }
    query = "select " + ", ".join(f"({one}) as {name}" for name, one in asked.items())
    told = warehouse.dbt("--quiet", "show", "--inline", query, "--output", "json")
    assert (told.code, json.loads(told.output)["show"]) == (
        0, [{"sendgrid": "2023-11-14T22:13:20", "halts": "2033-05-18T03:33:20"}]
    ), "each source is as fresh as the newest file of its own folder"  # fmt: skip


NO_PROOF = (["--empty"], ["--sample", "1 day"], ["--defer", "--state", "target"])


@pytest.mark.slow
@pytest.mark.parametrize("ways", [NO_PROOF[:1], NO_PROOF[1:]], ids=["empty", "others"])
def test_builds_that_are_no_proof_are_marked(warehouse: Warehouse, ways: list[list[str]]) -> None:
    """From nothing, from a sample, from another schema's tables: marked, and no day counts as built by them."""
    marked = "select distinct partial from build_log where started_at = (select max(started_at) from build_log)"
    built = "select count(*) from build_days"
    days = warehouse.rows(built)
    warehouse.environment["DBT_WRITE_JSON"] = "true"
    asked = ("--vars", "{rebuild_from: 2026-11-01, rebuild_to: 2026-11-01}")
    warehouse.dbt("run", "--select", "int_raw_days", "esp_events", *asked)
    assert warehouse.rows(marked) == [(False,)]
    assert warehouse.rows(built) == [(days[0][0] + 1,)]
    for arguments in ways:
        assert warehouse.dbt("run", "--select", "esp_events", *arguments).code == 0
        assert warehouse.rows(marked) == [(True,)], arguments
    assert warehouse.rows(built) == [(days[0][0] + 1,)]

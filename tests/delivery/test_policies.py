"""Row counts and empty windows: what is out of bounds stays, unless a person says why it may leave."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from builders import campaign, integration, job, window
from pydantic import ValidationError
from small_project import AT, DAY, make_project

from delivery import run as runner
from delivery.config.project import Project
from delivery.errors import ExitCode
from delivery.forecast import Forecast, plan
from delivery.gate.bounds import last_delivered, refusal
from delivery.ledger import Ledger, deliveries
from delivery.progress import Watch
from delivery.schedule.request import Request

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    root, state = tmp_path / "project", tmp_path / "state"
    make_project(root)
    monkeypatch.setenv("SWEEP_PASSWORD", "not needed")
    profile = {"type": "duckdb", "path": "warehouse.duckdb"}
    return Project(root, "duckdb", profile, state, tmp_path / "share", f"sqlite:///{state / 'ledger.sqlite'}")


def configure(project: Project, integration_keys: str = "", **export: Any) -> None:
    path, manifest_path = project.integrations_file, project.root / "target" / "manifest.json"
    if integration_keys:
        hosted = "destination: {type: hosted}"
        path.write_text(path.read_text().replace(hosted, f"{hosted}\n    {integration_keys}"))
    manifest = json.loads(manifest_path.read_text())
    manifest["exposures"]["exposure.sweep.daily"]["config"]["meta"]["export"] |= export
    manifest_path.write_text(json.dumps(manifest))


def deliver(project: Project, **request: Any) -> runner.Outcome:
    wanted = {"window": DAY, "integrations": ("by_share",)} | request
    (outcome,) = runner.run(project, Request(at=AT, **wanted), Watch())
    return outcome


def planned(project: Project, **request: Any) -> Forecast:
    wanted = {"window": DAY, "integrations": ("by_share",)} | request
    (forecast,) = plan(project, Request(at=AT, **wanted))
    return forecast


def past(
    project: Project, rows: list[int | None], state: str = "delivered", revision: int = 0, before: int = 1
) -> None:
    """Deliveries of the days before, the last number being that of the day before."""
    ledger = Ledger(project.ledger_url)
    for age, count in enumerate(reversed(rows), before):
        slot = AT.replace(hour=5) - timedelta(days=age)
        key = f"{revision}{state}{age}"
        ledger.plan(
            id=key, campaign="daily", integration="by_share", namespace="acme_outdoor", dataset="events",
            slot=slot.strftime("%Y-%m-%dT%H:%M:%SZ"), window_start=str((slot - timedelta(days=1)).date()),
            window_end=str(slot.date()), revision=revision, destination="x", reason=None,
        )  # fmt: skip
        ledger.advance(key, "planned", state, rows=count)
    ledger.close()


@pytest.mark.parametrize("where", ["integration", "campaign"])
@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"min": 601}, "600 rows, fewer than row_count.min 601"),
        ({"max": 599}, "600 rows, more than row_count.max 599"),
        ({"min": 700, "max": 800}, "fewer than row_count.min 700"),
    ],
)
def test_a_breach_refuses_and_sends_nothing(project: Project, where: str, bounds: dict[str, int], message: str) -> None:
    if where == "campaign":
        configure(project, "row_count: {min: 1}", row_count=bounds)
    else:
        configure(project, f"row_count: {json.dumps(bounds)}")
    foreseen = planned(project)
    outcome = deliver(project)
    assert (outcome.state, outcome.code, outcome.delivery.state) == ("refused", ExitCode.GATE, "planned")
    assert message in outcome.message
    assert (foreseen.refusal, foreseen.code, foreseen.rows) == (outcome.message, ExitCode.GATE, 600)
    assert planned(project, ungated=True, reason="a quiet day").refusal == ""
    assert "--ungated --reason" in outcome.hint
    assert not project.share.exists()
    assert not list(project.state.glob("spool/*"))

    outcome = deliver(project, ungated=True, reason="a quiet day")
    assert outcome.state == "delivered"
    steps = Ledger(project.ledger_url).steps(outcome.delivery.id)
    assert any("row count accepted: a quiet day" in note and message in note for _, _, note in steps)


@pytest.mark.parametrize("bounds", [{"min": 600}, {"max": 600}, {"min": 0}, {"change": 50}])
def test_the_bounds_themselves_may_leave(project: Project, bounds: dict[str, int]) -> None:
    configure(project, f"row_count: {json.dumps(bounds)}")
    assert deliver(project).state == "delivered"


@pytest.mark.parametrize(
    ("before", "change", "refused"),
    [
        ([1200, 1200, 1200], 49, True),
        ([1200, 1200, 1200], 50, False),
        ([400, 400, 400], 49, True),
        ([400, 400, 400], 50, False),
        ([1200, 1200], 10, False),
        ([9, 9, 9, 600, 600, 600, 600, 600, 600, 600], 1, False),
        ([600, 600, 600, 600, 600, 9, 9, 9, 9], 50, True),
        ([1, 600, 100_000], 1, False),
        ([0, 0, 0], 100, True),
    ],
    ids=str,
)
def test_rows_that_drop_are_refused_against_the_last_deliveries(
    project: Project, before: list[int | None], change: int, refused: bool
) -> None:
    configure(project, f"row_count: {{change: {change}}}")
    past(project, before)
    outcome = deliver(project)
    assert outcome.state == ("refused" if refused else "delivered"), outcome.message
    if refused:
        assert f"row_count.change {change} % away" in outcome.message
        assert f"2026-11-02 {before[-1]}" in outcome.message, "names what it was compared with"


def test_only_what_was_delivered_before_counts(tmp_path: Path) -> None:
    project = Project(tmp_path, "t", {}, tmp_path, tmp_path, f"sqlite:///{tmp_path / 'l'}")
    past(project, [1, 2, 3, 4])
    past(project, [50], state="held", before=5)
    past(project, [60] * 5, revision=1)
    ledger = Ledger(project.ledger_url)
    today = job("2026-11-04 05:00")
    mine = type(today)(today.campaign, "by_share", today.integration, today.slot, today.window)
    assert [row.rows for row in last_delivered(mine, ledger)] == [1, 2, 3, 4]
    earlier = type(today)(today.campaign, "by_share", today.integration, today.slot - timedelta(days=1), today.window)
    assert [row.rows for row in last_delivered(earlier, ledger)] == [1, 2, 3]
    assert last_delivered(today, ledger) == [], "another integration's"


@pytest.mark.parametrize(
    ("own", "campaigns", "state", "code"),
    [
        ("header", None, "delivered", ExitCode.DONE),
        ("fail", None, "refused", ExitCode.GATE),
        ("fail", "skip", "skipped", ExitCode.DONE),
        ("skip", "fail", "refused", ExitCode.GATE),
        ("skip", "header", "delivered", ExitCode.DONE),
    ],
)
def test_an_empty_window_by_the_campaigns_word_before_the_integrations(
    project: Project, own: str, campaigns: str | None, state: str, code: ExitCode
) -> None:
    configure(project, f"empty: {own}", **({"empty": campaigns} if campaigns else {}))
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as connection:
        connection.execute("delete from events")
    foreseen = planned(project)
    outcome = deliver(project)
    assert (outcome.state, outcome.code) == (state, code), outcome.message
    assert (foreseen.code, foreseen.refusal) == (code, outcome.message if code else "")


def test_an_empty_window_is_judged_like_any_other(project: Project) -> None:
    configure(project, "empty: skip", row_count={"min": 1})
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as connection:
        connection.execute("delete from events")
    assert deliver(project).code == ExitCode.GATE


@pytest.mark.parametrize("bounds", [{}, {"min": 5, "max": 4}, {"min": -1}, {"change": 0}, {"least": 1}])
def test_bounds_that_cannot_be_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        integration(row_count=bounds)
    with pytest.raises(ValidationError):
        campaign(row_count=bounds)


def test_nothing_is_judged_that_was_not_asked_for(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'l'}")
    assert refusal(job(), 0, ledger) is None
    assert ledger.find(deliveries.c.state == "planned") == []


# By hand: what was delivered before, among neighbours


def went(ledger: Ledger, day: int, rows: int | None, state: str = "delivered", **changes: Any) -> None:
    """One delivery of the morning of a day of October."""
    slot = f"2026-10-{day:02} 05:00"
    days = window(f"2026-10-{day - 1:02}", f"2026-10-{day:02}")
    values = job(slot, days).record("/share", None) | {"id": f"{len(ledger.find()):064}"} | changes
    ledger.plan(**values)
    ledger.advance(values["id"], "planned", state, rows=rows)


TODAY = job("2026-10-20 05:00", window("2026-10-19", "2026-10-20"), row_count={"change": 10})


def test_the_last_seven_that_were_delivered_before_count(ledger: Ledger) -> None:
    for day in range(9, 18):
        went(ledger, day, day)
    for changes in ({"campaign": "weekly"}, {"integration": "other"}, {"namespace": "cedar_books"}, {"revision": 1}):
        went(ledger, 18, 99, **changes)
    for number, state in enumerate(("held", "skipped", "cancelled", "spooled")):
        went(ledger, 18, 98, state, window_start=f"2026-10-{number + 10}")
    went(ledger, 19, None)
    went(ledger, 20, 97)
    went(ledger, 21, 96)
    assert [row.rows for row in last_delivered(TODAY, ledger)] == [11, 12, 13, 14, 15, 16, 17]


@pytest.mark.parametrize(("known", "compared"), [(2, 0), (3, 3), (7, 7), (8, 7)])
def test_with_fewer_than_three_nothing_is_compared(ledger: Ledger, known: int, compared: int) -> None:
    for day in range(20 - known, 20):
        went(ledger, day, 100)
    assert len(last_delivered(TODAY, ledger)) == compared


def test_deliveries_of_this_very_run_do_not_count(ledger: Ledger) -> None:
    """Side by side, which of them have been delivered by now depends on who is quicker."""
    for day in range(10, 14):
        went(ledger, day, 100)
    for row in ledger.find():
        ledger.take(row.id)
    for day in range(14, 17):
        went(ledger, day, 50)
    assert [row.rows for row in last_delivered(TODAY, ledger)] == [50, 50, 50]


@pytest.mark.parametrize(
    ("before", "rows", "refused"),
    [
        ([100, 100, 100], 110, False),
        ([100, 100, 100], 111, True),
        ([100, 100, 100], 90, False),
        ([100, 100, 100], 89, True),
        ([100, 100, 1000], 110, False),  # the median, not the mean
        ([0, 100, 100], 89, True),
        ([90, 110, 110, 90], 110, False),
        ([0, 0, 0], 0, False),
        ([0, 0, 0], 1, True),
        ([100, 100], 1, False),
    ],
)
def test_the_change_is_from_the_median_in_both_directions(
    ledger: Ledger, before: list[int], rows: int, refused: bool
) -> None:
    for day, count in enumerate(before, start=20 - len(before)):
        went(ledger, day, count)
    found = refusal(TODAY, rows, ledger)
    assert bool(found) == refused
    if found:
        assert found.message.startswith(
            f"daily to acme 2026-10-19/2026-10-20: {rows} rows, more than row_count.change 10 %"
        )


@pytest.mark.parametrize(
    ("bounds", "rows", "reasons"),
    [
        ({"min": 5}, 5, 0), ({"min": 5}, 4, 1), ({"max": 5}, 5, 0), ({"max": 5}, 6, 1), ({"min": 0}, 0, 0),
        ({"max": 0}, 1, 1), ({"min": 5, "max": 9}, 7, 0),
    ],
)  # fmt: skip
def test_bounds_are_in(ledger: Ledger, bounds: dict[str, int], rows: int, reasons: int) -> None:
    found = refusal(job(row_count=bounds), rows, ledger)
    assert (found.message.count(";") + 1 if found else 0) == reasons


def test_every_reason_is_named(ledger: Ledger) -> None:
    for day in (17, 18, 19):
        went(ledger, day, 100)
    one = job("2026-10-20 05:00", window("2026-10-19", "2026-10-20"), row_count={"min": 50, "change": 10})
    found = refusal(one, 4, ledger)
    assert found
    assert found.message == (
        "daily to acme 2026-10-19/2026-10-20: 4 rows, fewer than row_count.min 50; 4 rows, more than row_count.change "
        "10 % away from 100, the median of the last deliveries (2026-10-16 100, 2026-10-17 100, 2026-10-18 100)."
    )

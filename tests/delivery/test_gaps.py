"""Gaps: what the schedules say should have gone, held against what the ledger says went."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from builders import job, utc, window
from click.testing import CliRunner
from small_project import make_project

from delivery import run as runner
from delivery.cli import cli
from delivery.config.integrations_file import Integrations
from delivery.config.project import Project
from delivery.errors import ConfigError
from delivery.ledger import Ledger
from delivery.progress import Watch
from delivery.schedule.gaps import gaps
from delivery.schedule.request import Request
from delivery.setup import load

if TYPE_CHECKING:
    from pathlib import Path

    from delivery.windows import Window

AT = utc("2026-11-05 06:00")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    make_project(tmp_path / "project", empty=("2026-10-31", "2026-11-01"))
    for name in ("SWEEP_PASSWORD", "SWEEP_PASSPHRASE"):
        monkeypatch.setenv(name, "not needed")
    state = tmp_path / "project" / ".delivery"
    profile = {"type": "duckdb", "path": "warehouse.duckdb"}
    url = f"sqlite:///{state / 'ledger.sqlite'}"
    return Project(tmp_path / "project", "duckdb", profile, state, tmp_path / "project" / "share", url)


def run(project: Project, at: str, **request: Any) -> None:
    runner.run(project, Request(at=utc(at), integrations=("by_share",), **request), Watch())


def found(project: Project, start: str | None = None, end: str | None = None) -> dict[str, str]:
    """Windows and states of the integration that was ever used."""
    return {
        g.when: g.state
        for g in gaps(project, Integrations(project.integrations_file), AT, "daily", start, end)
        if g.integration == "by_share"
    }


def test_what_should_have_gone_and_did_not(project: Project) -> None:
    run(project, "2026-11-01 06:00", due=True)
    run(project, "2026-11-04 06:00", window="2026-11-02")
    assert found(project) == {"2026-11-01": "missing", "2026-11-03": "missing", "2026-11-04": "missing"}


def test_what_waits_or_failed_is_a_gap_with_its_state(project: Project) -> None:
    for day in ("2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04"):
        run(project, "2026-11-05 06:00", window=day)
    assert found(project) == {}
    with closing(Ledger(project.ledger_url)) as ledger, ledger.storage.begin() as connection:
        for day, state in (("2026-11-01", "held"), ("2026-11-02", "planned"), ("2026-11-03", "cancelled")):
            connection.exec_driver_sql(f"update deliveries set state = '{state}' where window_start = '{day}'")
    assert found(project) == {"2026-11-01": "held", "2026-11-02": "planned"}


def test_before_the_first_delivery_nothing_was_due(project: Project) -> None:
    assert found(project) == {}
    run(project, "2026-11-04 06:00", window="2026-11-03")
    assert found(project) == {"2026-11-04": "missing"}


def test_days_that_are_asked_for_are_looked_at(project: Project) -> None:
    run(project, "2026-11-04 06:00", window="2026-11-03")
    assert found(project, "2026-10-31", "2026-11-03") == dict.fromkeys(
        ["2026-10-31", "2026-11-01", "2026-11-02"], "missing"
    )
    assert found(project, "2026-11-03") == {"2026-11-04": "missing"}
    assert found(project, "2026-11-04", "2026-11-30") == {"2026-11-04": "missing"}, "not what is still to come"


def recorded(project: Project, slot: str, days: Window | None, state: str, **changes: Any) -> None:
    with closing(Ledger(project.ledger_url)) as ledger:
        values = job(slot, days).record("/share", None) | {"integration": "by_share", "asked_by": "schedule"} | changes
        values["id"] = f"{len(ledger.find()):064}"
        ledger.plan(**values)
        if state != "planned":
            ledger.advance(values["id"], "planned", state, note="why\nand more" if state == "held" else "")


def listed(project: Project, at: str = "2026-11-05 06:00", **asked: Any) -> list[tuple[str, ...]]:
    found = gaps(
        project,
        Integrations(project.integrations_file),
        utc(at),
        asked.get("campaign"),
        asked.get("start"),
        asked.get("end"),
    )
    return [gap[1:] for gap in found if gap.integration in ("by_share", "share_of_cedar_books")]


@pytest.fixture
def weekly(tmp_path: Path) -> Project:
    """Beside `daily`, a campaign of weeks that began on the nineteenth of October."""
    more = {"weekly": {"schedule": "0 5 * * 1", "start": "2026-10-19", "integrations": ["by_share"]}}
    root, state = tmp_path / "project", tmp_path / "state"
    make_project(root, rows=1, campaigns=more)
    profile = {"type": "duckdb", "path": "warehouse.duckdb"}
    return Project(root, "duckdb", profile, state, tmp_path / "share", f"sqlite:///{state / 'ledger.sqlite'}")


def missing(campaign: str, integration: str, when: str, due: str, state: str = "missing", note: str = "") -> Any:
    return (campaign, integration, when, f"{due}T05:00:00Z", state, note)


def test_gaps_come_in_order_with_what_a_row_of_their_slot_says(weekly: Project) -> None:
    recorded(weekly, "2026-11-02 05:00", window("2026-11-01", "2026-11-02"), "delivered")
    recorded(weekly, "2026-11-03 05:00", window("2026-11-02", "2026-11-03"), "delivered", revision=1)
    recorded(weekly, "2026-11-04 05:00", window("2026-11-03", "2026-11-04"), "planned")
    recorded(weekly, "2026-11-04 05:00", window("2026-11-03", "2026-11-04"), "held", revision=1)
    recorded(weekly, "2026-11-03 05:00", window("2026-11-02", "2026-11-03"), "held", integration="share_of_cedar_books",
             namespace="cedar_books")  # fmt: skip
    recorded(weekly, "2026-10-26 05:00", window("2026-10-19", "2026-10-26"), "skipped", campaign="weekly")
    assert listed(weekly) == [
        missing("weekly", "by_share", "2026-10-26..2026-11-01", "2026-11-02"),
        missing("daily", "share_of_cedar_books", "2026-11-02", "2026-11-03", "held", "why"),
        missing("daily", "by_share", "2026-11-03", "2026-11-04", "held", "why"),
        missing("daily", "share_of_cedar_books", "2026-11-03", "2026-11-04"),
        missing("daily", "by_share", "2026-11-04", "2026-11-05"),
        missing("daily", "share_of_cedar_books", "2026-11-04", "2026-11-05"),
    ]
    assert [gap[2] for gap in listed(weekly, campaign="weekly")] == ["2026-10-26..2026-11-01"]
    assert [gap[2] for gap in listed(weekly, "2026-11-05 04:59", campaign="daily") if gap[1] == "by_share"] == [
        "2026-11-03"
    ]


def test_a_campaign_that_has_a_start_owes_from_then_on(weekly: Project) -> None:
    weeks = ["2026-10-12..2026-10-18", "2026-10-19..2026-10-25", "2026-10-26..2026-11-01"]
    assert [gap[2] for gap in listed(weekly)] == weeks, "nothing went, and only one campaign says since when"
    recorded(weekly, "2026-10-26 05:00", window("2026-10-19", "2026-10-26"), "delivered", campaign="weekly")
    assert [gap[2] for gap in listed(weekly)] == weeks[2:], "the schedule began with what went first"
    asked = {"campaign": "weekly", "start": "2026-10-12", "end": "2026-10-26"}
    assert [gap[2] for gap in listed(weekly, **asked)] == weeks[:1]
    assert listed(weekly, campaign="weekly", start="2026-10-13", end="2026-10-25") == [], "no week is whole in these"
    assert [gap[2] for gap in listed(weekly, campaign="weekly", start="2026-10-13")] == weeks[2:]


@pytest.mark.parametrize(
    "neighbour",
    [{"campaign": "weekly"}, {"integration": "share_of_cedar_books"}, {"namespace": "cedar_books"}],
)
def test_what_went_to_another_fills_no_gap_of_this_one(weekly: Project, neighbour: dict[str, str]) -> None:
    recorded(weekly, "2026-11-02 05:00", window("2026-11-01", "2026-11-02"), "delivered")
    recorded(weekly, "2026-11-04 05:00", window("2026-11-03", "2026-11-04"), "held", **neighbour)
    recorded(weekly, "2026-11-05 05:00", window("2026-11-04", "2026-11-05"), "delivered", **neighbour)
    found = [gap for gap in listed(weekly, campaign="daily") if gap[1] == "by_share"]
    assert [(gap[2], gap[4]) for gap in found] == [
        ("2026-11-02", "missing"), ("2026-11-03", "missing"), ("2026-11-04", "missing"),
    ]  # fmt: skip


def test_an_unknown_campaign_is_said(project: Project) -> None:
    with pytest.raises(ConfigError, match="Unknown campaign: nightly") as refused:
        gaps(project, Integrations(project.integrations_file), AT, "nightly", None, None)
    assert "daily" in refused.value.hint


def test_the_command_tells_by_its_exit_code(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)

    def ask(*arguments: str) -> tuple[int, Any]:
        result = CliRunner().invoke(cli, ["status", "--gaps", "--json", *arguments], catch_exceptions=False)
        return result.exit_code, json.loads(result.stdout)["gaps"]

    assert ask("--from", "2026-11-03", "--to", "2026-11-04")[0] == 1
    with closing(Ledger(project.ledger_url)) as ledger:
        setup = load(project, Integrations(project.integrations_file))
        for name in setup.integrations:
            (job,) = setup.wanted(Request(at=AT, window="2026-11-03", integrations=(name,)), ledger, keep=True)
            ledger.plan(**job.record("/share", None))
            ledger.advance(job.key, "planned", "skipped")
    assert ask("--from", "2026-11-03", "--to", "2026-11-04") == (0, [])
    assert "Nothing is missing" in CliRunner().invoke(cli, ["status", "--gaps", "--to", "2026-11-04"]).stderr

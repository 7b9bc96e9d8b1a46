"""Gaps: what the schedules say should have gone, held against what the ledger says went."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from builders import utc
from click.testing import CliRunner
from small_project import make_project

from delivery import runner
from delivery.cli import cli
from delivery.errors import ConfigError
from delivery.gaps import gaps
from delivery.ledger import Ledger
from delivery.project import Project
from delivery.request import Request
from delivery.watch import Watch

if TYPE_CHECKING:
    from pathlib import Path

AT = utc("2026-11-05 06:00")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    make_project(tmp_path / "project")
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
    return {g.when: g.state for g in gaps(project, AT, "daily", start, end) if g.integration == "by_share"}


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


def test_an_unknown_campaign_is_said(project: Project) -> None:
    with pytest.raises(ConfigError, match="Unknown campaign: nightly") as refused:
        gaps(project, AT, "nightly", None, None)
    assert "daily" in refused.value.hint


def test_the_command_tells_by_its_exit_code(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)

    def ask(*arguments: str) -> tuple[int, Any]:
        result = CliRunner().invoke(cli, ["gaps", "--json", *arguments], catch_exceptions=False)
        return result.exit_code, json.loads(result.stdout)["gaps"]

    assert ask("--from", "2026-11-03", "--to", "2026-11-04")[0] == 1
    with closing(Ledger(project.ledger_url)) as ledger:
        setup = runner.load(project)
        for name in setup.integrations:
            (job,) = runner._wanted(setup, Request(at=AT, window="2026-11-03", integrations=(name,)), ledger)
            ledger.plan(**job.record("/share", None))
            ledger.advance(job.key, "planned", "skipped")
    assert ask("--from", "2026-11-03", "--to", "2026-11-04") == (0, [])
    assert "Nothing is missing" in CliRunner().invoke(cli, ["gaps", "--to", "2026-11-04"]).stderr

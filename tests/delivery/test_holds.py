"""What a person can decide on a held delivery, and what the next run makes of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from projects import DAY

from delivery.ledger import Ledger, State

if TYPE_CHECKING:
    from pathlib import Path

    from projects import Copy

ONE = ("--window", DAY, "--integration", "acme_share", "--select", "daily_esp_events")


@pytest.fixture
def taken(project: Copy) -> Path:
    """A stranger's file under the final name, for which the delivery is held."""
    path = project.root / "share" / "acme_outdoor" / "daily" / f"daily_esp_events_{DAY}.csv"
    path.parent.mkdir(parents=True)
    path.write_text("theirs")
    assert project.deliver(*ONE)[0] == 1
    return path


def held(project: Copy) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(project.delivery("status", "--held", "--json").stdout)["deliveries"]
    return found


def latest(project: Copy) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(project.delivery("status", "--json").stdout)["deliveries"]
    return found


def release(project: Copy, *options: str) -> int:
    return project.delivery("release", held(project)[0]["id"][:12], *options, "--reason", "asked the client").exit_code


def test_held_says_why(project: Copy, taken: Path) -> None:
    (row,) = held(project)
    assert taken.name in row["note"]
    assert taken.name in project.delivery("status", "--held", "--full").stdout


def test_what_another_runner_decided_meanwhile_stands(project: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is taken, and before this run can hold the delivery another one has moved it on."""
    advance = Ledger.advance

    def late(ledger: Ledger, key: str, before: str, after: str, **values: str) -> None:
        if after == State.HELD:
            advance(ledger, key, before, State.CANCELLED, note="not meant")
        advance(ledger, key, before, after, **values)

    monkeypatch.setattr(Ledger, "advance", late)
    path = project.root / "share" / "acme_outdoor" / "daily" / f"daily_esp_events_{DAY}.csv"
    path.parent.mkdir(parents=True)
    path.write_text("theirs")
    code, report = project.deliver(*ONE)
    (row,) = report["deliveries"]
    assert (code, row["outcome"]) == (1, "failed")
    assert "is no longer spooled" in row["message"], row
    assert [(row["state"], row["note"]) for row in latest(project)] == [("cancelled", "not meant")]
    assert path.read_text() == "theirs"


def test_resend_hands_over_when_the_name_is_free(project: Copy, taken: Path) -> None:
    assert release(project, "--resend") == 0
    assert project.deliver(*ONE)[0] == 1  # still taken: held again, nothing overwritten
    assert taken.read_text() == "theirs"

    taken.unlink()
    assert release(project, "--resend") == 0
    code, report = project.deliver(*ONE)
    assert (code, report["deliveries"][0]["outcome"]) == (0, "delivered")
    assert taken.read_text(encoding="utf-8").startswith("namespace,")


def test_resend_writes_a_changed_spool_anew(project: Copy, taken: Path) -> None:
    next((project.root / ".delivery" / "spool").glob("*/*.csv")).write_text("changed")
    taken.unlink()
    assert release(project, "--resend") == 0
    assert project.deliver(*ONE)[0] == 0
    assert taken.read_text(encoding="utf-8").startswith("namespace,")


@pytest.mark.parametrize(("option", "state"), [("--accept", "delivered"), ("--cancel", "cancelled")])
def test_accept_and_cancel_end_it(project: Copy, taken: Path, option: str, state: str) -> None:
    assert release(project, option) == 0
    assert held(project) == []
    code, report = project.deliver(*ONE)
    assert (code, report["deliveries"][0]["outcome"]) == (0, f"already {state}")
    assert taken.read_text() == "theirs"
    steps = json.loads(project.delivery("history", "--json", report["deliveries"][0]["id"]).stdout)["steps"]
    assert any("asked the client" in step["note"] for step in steps)


def test_wrong_calls_are_refused(project: Copy, taken: Path) -> None:
    assert release(project) == 2
    assert project.delivery("release", "nothing", "--accept", "--reason", "x").exit_code == 2
    assert project.delivery("release", held(project)[0]["id"], "--accept").exit_code == 2
    assert len(held(project)) == 1
    assert taken.exists()


def test_cancelling_removes_what_the_delivery_left(project: Copy, taken: Path) -> None:
    files = json.loads(project.delivery("history", held(project)[0]["id"], "--json").stdout)["files"]
    left = taken.with_name(f".{taken.name}.{files[0]['sha256'][:8]}.{files[0]['fence']}.part")
    left.write_text("half")
    assert release(project, "--cancel") == 0
    assert not left.exists()
    assert taken.read_text() == "theirs"
    assert not list((project.root / ".delivery" / "spool").iterdir())


def test_cancelling_needs_no_destination(project: Copy, taken: Path) -> None:
    project.edit("integrations.yml", "acme_share:", "acme_renamed:")
    (row,) = held(project)
    assert release(project, "--cancel") == 0
    shown = json.loads(project.delivery("history", row["id"], "--json").stdout)
    assert shown["state"] == "cancelled"
    assert "temporary files may lie in" in shown["note"]
    assert taken.read_text() == "theirs"


def test_a_delivery_that_was_never_meant_can_be_cancelled(project: Copy) -> None:
    """A day that nobody built is asked for by mistake: without that, each `--due` would be refused for it."""
    asked = ("--integration", "acme_share", "--select", "daily_esp_events")
    assert project.deliver(*asked, "--window", "2026-10-20")[0] == 3
    (planned,) = [row for row in latest(project) if row["state"] == "planned"]
    for decision, code in (("--accept", 2), ("--resend", 2), ("--cancel", 0), ("--cancel", 2)):
        done = project.delivery("release", planned["id"][:12], decision, "--reason", "mistyped")
        assert done.exit_code == code, decision
    at = ("--at", f"{DAY}T23:00:00Z")
    assert project.deliver(*asked, "--due", *at)[1]["deliveries"][0]["window_start"] == "2026-11-02"
    assert {row["id"]: row["state"] for row in latest(project)}[planned["id"]] == "cancelled"

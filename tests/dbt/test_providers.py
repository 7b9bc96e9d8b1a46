"""Two email providers in one project: what each posted, landed in pieces, built by day and anew, on two engines."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from projects import ROOT, Copy, new_project
from test_builds import LEFT_OUT, Warehouse, click, run

if TYPE_CHECKING:
    from collections.abc import Callable

LEFT = """
    select cast(event_day as text), namespace, email, event, coalesce(click_url, reason, unsubscribe_source), nqe
    from esp_events order by event_time, namespace, email, event
"""
DISPOSITIONS = "select disposition, count(*) from int_email_events_classified where source = '{}' group by 1 order by 1"
TOKENS = iter(range(1000))


def event(name: str, at: float, **more: Any) -> dict[str, Any]:
    """An event of Mailgun's about one email of the client n, unless it says otherwise; at: hours of 1 November."""
    about = {"namespace": "n", "campaign_run_id": "r", "nqe": "q"}
    message = {"headers": {"message-id": "m@example.com", "subject": "Hi"}}
    return {
        "event": name,
        "id": f"{name} {at}",
        "timestamp": 1793491200.6585283 + at * 3600,
        "recipient": "A@Example.com",
        "message": message,
        "user-variables": about,
        **more,
    }


def body(event_data: dict[str, Any]) -> dict[str, Any]:
    """What Mailgun posts; the signature of a retry is another."""
    return {
        "signature": {"token": next(TOKENS), "timestamp": "1793491200", "signature": "0a"},
        "event-data": event_data,
    }


def line(event_data: dict[str, Any], day: str, at: str = "12:00:00") -> dict[str, Any]:
    """A post, received on a day."""
    return {"received_at": f"{day}T{at}Z", "payload": body(event_data)}


def failed(severity: str, at: float, reason: str, code: int, **more: Any) -> dict[str, Any]:
    """A failure, told by its reply."""
    status = {"code": code, "message": f"{severity} {reason}"}
    return event("failed", at, severity=severity, reason=reason, **{"delivery-status": status}, **more)


@pytest.fixture
def both(tmp_path: Path) -> Warehouse:
    """A project of both providers, two clients and a run of each, with nothing built."""
    project = new_project(tmp_path / "project", without=("landing",))
    project.edit("dbt_project.yml", "providers: [sendgrid]", "providers: [sendgrid, mailgun]")
    warehouse = Warehouse(project.root)
    known = [{"namespace": name, "name": name, "updated_at": "2026-09-01T00:00:00Z"} for name in "nm"]
    warehouse.land("platform/namespaces/all.ndjson", known)
    warehouse.land("platform/campaign_runs/all.ndjson", [run(), run(namespace="m")])
    return warehouse


@pytest.mark.slow
def test_events_of_two_providers_leave_alike(both: Warehouse, new_database: Callable[[], str]) -> None:
    """From each, what leaves, what is a retry, whose a late bounce is, and what is rejected; the same on PostgreSQL."""
    theirs = {"namespace": "m", "campaign_run_id": "r", "nqe": "theirs"}
    silent = {"user-variables": [], "message": {"headers": {"message-id": "late@example.com"}}}
    told = {"message": {"headers": {"message-id": "late@example.com"}}}
    opened = event("opened", 9)
    both.land("sendgrid/2026-11-01.ndjson", [click("s1", "2026-11-01", nqe="s", sg_message_id="late@example.com")])
    both.land(
        "mailgun/2026-11-01.ndjson",
        [
            line(event("accepted", 1), "2026-11-01", "01:00:00"),
            line(event("delivered", 2), "2026-11-01", "02:00:00"),
            line(event("delivered", 3, **told, recipient="late@example.com"), "2026-11-01", "03:00:00"),
            line(failed("temporary", 4, "generic", 498), "2026-11-01", "04:00:00"),
            line(failed("permanent", 5, "old", 421), "2026-11-01", "05:00:00"),
            line(failed("permanent", 6, "bounce", 550, recipient="hard@example.com"), "2026-11-01", "06:00:00"),
            line(failed("permanent", 7, "suppress-bounce", 605), "2026-11-01", "07:00:00"),
            line(event("rejected", 8, reason="no route"), "2026-11-01", "08:00:00"),
            line(opened, "2026-11-01", "23:59:59"),
            line(event("clicked", 10, url="u", id="one", **{"user-variables": theirs}), "2026-11-01", "10:00:00"),
            line(event("stored", 11), "2026-11-01", "11:00:00"),
            line(event("stored", 11, id="of nobody", **{"user-variables": []}), "2026-11-01", "11:00:00"),
            line(event("list_member_uploaded", 11), "2026-11-01", "11:00:00"),
            {"received_at": "2026-11-01T11:00:00Z", "payload": {"event": "opened", "id": "without its envelope"}},
            {"received_at": "2026-11-01T11:00:00Z", "payload": {"event": "clicked", "id": "another"}},
        ],
    )
    post = both.folder / "landing/mailgun/posts/20261101T130000Z-1.json"
    post.parent.mkdir()
    post.write_text(json.dumps(body(event("unsubscribed", 13)), indent=2))
    both.dbt("seed")
    both.models()
    assert both.rows(DISPOSITIONS.format("mailgun.events")) == [("exported", 10), ("not_exported", 2), ("rejected", 4)]

    both.land(
        "mailgun/2026-11-02.ndjson",
        [
            line(opened, "2026-11-02", "00:00:01"),
            line({**opened, "id": "retried under another id"}, "2026-11-02", "00:00:02"),
            line(event("clicked", 34, url="u2", id="one", **{"user-variables": theirs}), "2026-11-02", "10:00:00"),
            line(event("complained", 35), "2026-11-02", "11:00:00"),
            line(failed("permanent", 36, "late", 551, **silent, recipient="Late@example.com"), "2026-11-02"),
        ],
    )
    both.land("sendgrid/2026-11-02.ndjson", [click("s1", "2026-11-02", nqe="s", sg_message_id="late@example.com")])
    both.models()
    accounted = both.dbt("test", "--select", "every_raw_row_is_accounted_for", "every_load_is_a_raw_day")
    assert accounted.code == 0, accounted.output
    assert both.rows(DISPOSITIONS.format("sendgrid.events")) == [("duplicate", 1), ("exported", 1)]
    assert both.rows(DISPOSITIONS.format("mailgun.events"))[0] == ("duplicate", 2)
    assert both.rows("select reason, count(*) from rejected_events group by 1 order by 1") == [
        ("malformed", 2), ("no_namespace", 1), ("unknown_type", 1)
    ]  # fmt: skip
    address = "a@example.com"
    left = both.rows(LEFT)
    assert left == [
        ("2026-11-01", "n", address, "deliver", None, "q"),
        ("2026-11-01", "n", "late@example.com", "deliver", None, "q"),
        ("2026-11-01", "n", address, "deferred", "temporary generic", "q"),
        ("2026-11-01", "n", address, "soft_bounce", "permanent old", "q"),
        ("2026-11-01", "n", "hard@example.com", "hard_bounce", "permanent bounce", "q"),
        ("2026-11-01", "n", address, "dropped", "permanent suppress-bounce", "q"),
        ("2026-11-01", "n", address, "dropped", "no route", "q"),
        ("2026-11-01", "m", address, "click", "u", "theirs"),
        ("2026-11-01", "n", address, "click", "s1", "s"),
        ("2026-11-01", "n", address, "unsubscribe", "List-Unsubscribe", "q"),
        ("2026-11-01", "n", address, "open", None, "q"),
        ("2026-11-02", "m", address, "click", "u2", "theirs"),
        ("2026-11-02", "n", address, "spam_report", None, "q"),
        ("2026-11-02", "n", "late@example.com", "hard_bounce", "permanent late", "q"),
    ]
    state = "select email, status, source from email_eligibility where namespace = 'n' order by 1"
    assert both.rows(state) == [
        (address, "unsubscribed", "Spamreport"),
        ("hard@example.com", "unsubscribed", "Bounce/Bounce"),
        ("late@example.com", "unsubscribed", "Bounce/Bounce"),
    ]
    step_by_step = both.exports()
    both.models("--full-refresh")
    assert both.exports() == step_by_step
    units = both.dbt("test", "--select", "stg_mailgun__events,test_type:unit")
    assert (units.code, units.output.count("PASS stg_mailgun__events::")) == (0, 2), units.output

    with psycopg.connect(new_database().replace("+psycopg", ""), autocommit=True) as server:
        both.environment |= {"PGHOST": server.info.host, "PGUSER": "delivery", "PGDATABASE": server.info.dbname}
        both.environment["DBT_TARGET_PATH"] = "target/postgres"
        both.dbt("seed", "--target", "postgres")
        loaded = Copy(both.folder, both.environment).delivery("--target", "postgres", "load")
        assert loaded.exit_code == 0, loaded.output
        both.models("--target", "postgres")
        keys = "select unique_key, event, email, event_time from {}esp_events order by unique_key"
        assert server.execute(keys.format("delivery.")).fetchall() == both.rows(keys.format(""))
        rejected = "select unique_key, reason, fault from {}rejected_events order by unique_key"
        assert server.execute(rejected.format("delivery.")).fetchall() == both.rows(rejected.format(""))


@pytest.mark.slow
def test_a_project_needs_the_files_of_its_own_providers_only(tmp_path: Path) -> None:
    """Of SendGrid alone, of Mailgun alone; what is no list of providers, or names one without a model, is said."""
    project = new_project(tmp_path / "project", without=("tests",))
    shutil.rmtree(project.own("models") / "staging/mailgun")
    project.dbt("parse")
    missing = project.dbt("parse", "--vars", "{providers: [sendgrid, mailgun]}", check=False)
    assert missing.returncode != 0
    assert "stg_mailgun__events" in missing.stdout
    refused = project.dbt("parse", "--vars", "{providers: mailgun}", check=False)
    assert refused.returncode != 0
    assert "The var providers is mailgun. Set it to the list of email providers in use" in refused.stdout


@pytest.mark.slow
def test_mailgun_alone(tmp_path: Path) -> None:
    """Without a file of SendGrid's."""
    project = new_project(tmp_path / "project", without=("tests", "landing"))
    project.edit("dbt_project.yml", "providers: [sendgrid]", "providers: [mailgun]")
    shutil.rmtree(project.own("models") / "staging/sendgrid")
    warehouse = Warehouse(project.root)
    warehouse.land("platform/namespaces/all.ndjson", [{"namespace": "n", "updated_at": "2026-09-01T00:00:00Z"}])
    warehouse.land("platform/campaign_runs/all.ndjson", [run()])
    failed = warehouse.dbt("build", "--exclude", *LEFT_OUT)
    assert "there is no file to read in 'landing/mailgun'" in failed.output
    warehouse.land("mailgun/2026-11-01.ndjson", [line(event("opened", 9), "2026-11-01")])
    warehouse.dbt("seed")
    warehouse.models()
    assert warehouse.rows("select event, nqe from esp_events") == [("open", "q")]


def test_the_page_says_what_a_provider_takes() -> None:
    """Files, lines and rows of seeds, counted."""
    folder = ROOT / "models" / "staging" / "mailgun"
    lines = {path.suffix: len(path.read_text(encoding="utf-8").splitlines()) for path in folder.iterdir()}
    seeds = {
        name: (ROOT / "seeds" / name).read_text(encoding="utf-8") for name in ("event_types.csv", "bounce_evidence.csv")
    }
    rows = seeds["event_types.csv"].count("\nmailgun.events,")
    rows += sum(f"\ntype,{word}," in seeds["bounce_evidence.csv"] for word in ("permanent", "old", "espblock"))
    said = f"Mailgun took 1 model ({lines['.sql']} lines), its yml ({lines['.yml']}) and {rows} rows of seeds."
    assert said in (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
    others = ("macros", "models/intermediate", "models/marts", "models/exports", "tests/dbt/integrity", "delivery")
    files = [path for name in others for path in (ROOT / name).rglob("*") if path.suffix in {".sql", ".py"}]
    assert [path for path in files if "mailgun" in path.read_text(encoding="utf-8").lower()] == []

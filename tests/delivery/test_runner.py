"""The main job on the sample: what is delivered, once, and what a second run does."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from projects import AT, DATA_TESTS_ONLY, DAY

from delivery.files.manifest import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from projects import Copy

GOLDEN = Path(__file__).with_name("golden")


def test_sample_is_delivered_byte_for_byte(project: Copy) -> None:
    code, report = project.deliver()

    assert code == 0
    assert {d["outcome"] for d in report["deliveries"]} == {"delivered"}
    data = {name: path for name, path in project.files().items() if not name.endswith(".manifest.json")}
    golden = {str(p.relative_to(GOLDEN)): p for p in sorted(GOLDEN.rglob("*")) if p.is_file()}
    assert sorted(data) == sorted(golden)
    for name, path in data.items():
        assert path.read_bytes() == golden[name].read_bytes(), name


def test_each_file_has_a_manifest_that_fits(project: Copy) -> None:
    _, report = project.deliver()

    results = verify(project.root / "share")
    assert len(results) == len(report["deliveries"]) == 4
    assert [r.problem for r in results] == [""] * 4
    assert sorted(r.rows for r in results) == sorted(d["rows"] for d in report["deliveries"])


def test_delivered_files_are_their_groups_and_nothing_else_remains(project: Copy) -> None:
    project.deliver()

    modes = {stat.S_IMODE(path.stat().st_mode) for path in project.files().values()}
    assert modes == {0o640}
    assert not [name for name in project.files() if name.endswith(".part")]
    assert not list((project.root / ".delivery" / "spool").iterdir())


def test_second_run_sends_nothing_and_says_so(project: Copy) -> None:
    project.deliver()
    before = {name: (p.stat().st_mtime_ns, p.stat().st_ino) for name, p in project.files().items()}

    again = project.delivery("run", "--window", DAY)

    assert again.exit_code == 0
    assert "0 delivered now, 4 already delivered before (nothing was sent twice)" in again.stderr
    assert before == {name: (p.stat().st_mtime_ns, p.stat().st_ino) for name, p in project.files().items()}


def test_every_file_holds_its_own_namespace_only(project: Copy) -> None:
    project.deliver()

    for name, path in project.files().items():
        if name.endswith(".manifest.json"):
            continue
        raw = path.read_bytes()
        text = raw.decode("utf-16" if raw.startswith(b"\xff\xfe") else "utf-8")
        namespace = name.split("/")[0]
        others = {"acme_outdoor", "brightside_beauty", "nordlicht_books"} - {namespace}
        assert namespace in text
        assert not [other for other in others if other in text]


def test_due_delivers_a_slot_once_and_then_nothing_is_due(project: Copy) -> None:
    code, report = project.deliver("--due", "--at", AT)
    assert code == 0
    assert {d["window_start"] for d in report["deliveries"]} == {DAY}

    code, report = project.deliver("--due", "--at", AT)
    assert code == 5
    assert report["error"]["exit_code"] == 5


def test_due_catches_up_missed_slots(project: Copy) -> None:
    project.deliver("--due", "--at", "2026-11-02T06:00:00Z")
    code, report = project.deliver("--due", "--at", AT)

    assert code == 0
    assert sorted({d["window_start"] for d in report["deliveries"]}) == ["2026-11-02", DAY]


def test_manual_window_and_slot_are_one_delivery(project: Copy) -> None:
    project.deliver("--window", DAY)
    _, report = project.deliver("--due", "--at", AT)
    assert "error" in report  # nothing was due: the window has left


def test_backfill_delivers_each_day_and_resumes(project: Copy) -> None:
    project.deliver("--window", "2026-11-02")
    code, report = project.deliver("--from", "2026-11-01", "--to", "2026-11-04", "--at", AT)

    assert code == 0
    outcomes = {(d["window_start"], d["outcome"]) for d in report["deliveries"]}
    assert outcomes == {("2026-11-01", "delivered"), ("2026-11-02", "already delivered"), (DAY, "delivered")}


def test_redeliver_is_a_new_revision_under_another_name(project: Copy) -> None:
    project.deliver()
    refused = project.delivery("run", "--window", DAY, "--redeliver")
    assert refused.exit_code == 2
    assert "--reason" in refused.stderr

    code, report = project.deliver(
        "--window",
        DAY,
        "--redeliver",
        "--reason",
        "the client lost it",
        "--select",
        "daily_esp_events",
        "--integration",
        "acme_share",
    )

    assert code == 0
    (delivery,) = report["deliveries"]
    assert (delivery["revision"], delivery["reason"]) == (1, "the client lost it")
    first, second = (p for n, p in project.files().items() if "acme" in n and "esp_events" in n and n.endswith(".csv"))
    assert first.read_bytes() == second.read_bytes()
    assert second.name == f"daily_esp_events_{DAY}_r1.csv"


def empty_day(project: Copy) -> None:
    """A day that builds have on record, with no row: as if it had ended since the build before."""
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as connection:
        connection.execute(
            "insert into build_days select distinct on (unique_id) * replace (date '2026-10-20' as event_day)"
            " from build_days"
        )


def test_a_day_that_no_build_has_on_record_is_not_empty(project: Copy) -> None:
    code, report = project.deliver("--window", "2026-10-20", "--at", AT)

    assert code == 3
    assert all("2026-10-20 is not built" in d["message"] for d in report["deliveries"])
    assert not project.files()


def test_an_empty_day_is_a_file_with_only_a_header(project: Copy) -> None:
    empty_day(project)
    code, report = project.deliver("--window", "2026-10-20", "--at", AT)

    assert code == 0
    assert {d["rows"] for d in report["deliveries"]} == {0}
    text = next(p for n, p in project.files().items() if "acme" in n and n.endswith(".csv")).read_text(encoding="utf-8")
    assert text.count("\n") == 1
    assert text.startswith("namespace,email,event,")


@pytest.mark.parametrize(("policy", "code", "outcome"), [("skip", 0, "skipped"), ("fail", 3, "refused")])
def test_an_empty_day_by_policy(project: Copy, policy: str, code: int, outcome: str) -> None:
    project.edit("integrations.yml", "    directory: daily\n", f"    directory: daily\n    empty: {policy}\n")
    empty_day(project)
    done, report = project.deliver("--window", "2026-10-20", "--at", AT, "--integration", "acme_share")

    assert done == code
    assert {d["outcome"] for d in report["deliveries"]} == {outcome}
    assert not project.files()


def test_a_name_that_is_taken_is_held_and_nothing_is_overwritten(project: Copy) -> None:
    taken = project.root / "share" / "acme_outdoor" / "daily" / f"daily_esp_events_{DAY}.csv"
    taken.parent.mkdir(parents=True)
    taken.write_text("theirs")

    code, report = project.deliver()

    assert code == 1
    outcomes = {(d["integration"], d["campaign"]): d["outcome"] for d in report["deliveries"]}
    assert outcomes.pop(("acme_share", "daily_esp_events")) == "held"
    assert set(outcomes.values()) == {"delivered"}
    assert taken.read_text() == "theirs"


def test_a_failed_destination_is_tried_again_by_the_next_run(project: Copy) -> None:
    project.edit(
        "integrations.yml",
        "destination: {type: hosted}\n    directory: daily",
        "destination: {type: local}\n    directory: inbox",
    )
    code, report = project.deliver()
    assert code == 4
    outcomes = {d["integration"]: d["outcome"] for d in report["deliveries"]}
    assert outcomes == {"acme_share": "failed", "brightside_drop": "delivered"}
    messages = {d["message"] for d in report["deliveries"] if d["outcome"] == "failed"}
    assert all("inbox" in message for message in messages)
    known = json.loads(project.delivery("status", "--json").stdout)["deliveries"]
    assert {d["note"] for d in known if d["integration"] == "acme_share"} == messages

    (project.root / "inbox").mkdir()
    code, report = project.deliver()
    assert code == 0
    assert {d["outcome"] for d in report["deliveries"]} == {"delivered", "already delivered"}
    assert len(list((project.root / "inbox").iterdir())) == 4


def test_a_spool_that_was_changed_is_held(project: Copy) -> None:
    project.edit(
        "integrations.yml",
        "destination: {type: hosted}\n    directory: daily",
        "destination: {type: local}\n    directory: inbox",
    )
    project.deliver("--integration", "acme_share", "--window", DAY)
    (project.root / "inbox").mkdir()
    for path in (project.root / ".delivery" / "spool").glob("*/*.csv"):
        path.write_text("changed")

    code, report = project.deliver("--integration", "acme_share", "--window", DAY)

    assert code == 1
    assert {d["outcome"] for d in report["deliveries"]} == {"held"}
    assert not list((project.root / "inbox").iterdir())


def test_a_second_runner_says_who_holds_the_lock(project: Copy) -> None:
    from delivery.ledger.lock import only_runner

    with only_runner(project.root / ".delivery"):
        result = project.delivery("run", "--window", DAY)
    assert result.exit_code == 1
    assert f"process {os.getpid()} since" in result.stderr
    assert not project.files()


@pytest.mark.parametrize("runners", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_runners_at_once_deliver_once(project: Copy, runners: int) -> None:
    processes = [project.process("run", "--json", "--window", DAY) for _ in range(runners)]
    results = [(p.communicate()[0], p.returncode) for p in processes]

    delivered = [d for out, _ in results for d in json.loads(out).get("deliveries", []) if d["outcome"] == "delivered"]
    assert len(delivered) == 4
    assert len(project.files()) == 8


def test_killed_at_random_moments_it_still_delivers_once(project: Copy) -> None:
    project.delivery("status")  # warm imports
    for pause in (0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.05, 1.2):
        process = project.process("run", "--window", DAY)
        time.sleep(pause)
        process.kill()
        process.communicate()

    code, report = project.deliver()

    assert code == 0
    assert {d["state"] for d in report["deliveries"]} == {"delivered"}
    assert [r.problem for r in verify(project.root / "share")] == [""] * 4
    assert len(project.files()) == 8


def test_plan_touches_nothing(project: Copy) -> None:
    before = sorted(str(p) for p in project.root.rglob("*"))
    result = project.delivery("plan", "--json", "--window", DAY)

    assert result.exit_code == 0
    plan = json.loads(result.stdout)["deliveries"]
    assert len(plan) == 4
    assert all(p["gate"]["passed"] and p["rows"] is not None for p in plan)
    assert (
        sorted(str(p) for p in project.root.rglob("*") if "scratch" not in str(p) and p.name != ".delivery") == before
    )


def test_frozen_layout_goes_on_and_plan_says_what_changed(project: Copy) -> None:
    project.deliver("--window", "2026-11-02")
    before = next(p for n, p in project.files().items() if "acme" in n and "esp" in n and n.endswith(".csv"))
    manifest = project.root / "target" / "manifest.json"
    content = json.loads(manifest.read_bytes())
    exposure = next(e for e in content["exposures"].values() if e["name"] == "daily_esp_events")
    for where in (exposure["config"]["meta"], exposure["meta"]):
        where.get("export", {})["layout"] = {"columns": ["reason"]}
    manifest.write_text(json.dumps(content))

    planned = project.delivery("plan", "--window", DAY)
    assert "reason was added since; the file goes on without it" in planned.stderr
    project.deliver()
    after = next(p for n, p in project.files().items() if "acme" in n and f"esp_events_{DAY}.csv" in n)
    assert after.read_bytes().splitlines()[0] == before.read_bytes().splitlines()[0]


def test_status_shows_every_step(project: Copy) -> None:
    project.deliver()
    rows = json.loads(project.delivery("status", "--json").stdout)["deliveries"]
    assert {row["state"] for row in rows} == {"delivered"}

    steps = json.loads(project.delivery("status", "--json", rows[0]["id"][:16]).stdout)["steps"]
    assert [s["step"] for s in steps] == [
        "planned",
        "spooled",
        *["uploaded", "publishing", "published"] * 2,
        "delivered",
    ]
    assert project.delivery("status", "nothing").exit_code == 2
    assert project.delivery("status", "").exit_code == 2, "which all ids begin with"


def test_no_address_reaches_output_or_ledger(project: Copy) -> None:
    human = project.delivery("run", "--window", DAY)
    more = project.delivery("run", "--window", DAY, "--json")
    ledger = (project.root / ".delivery" / "ledger.sqlite").read_bytes()
    for text in (human.output, more.output, ledger.decode("latin-1")):
        assert "@example." not in text


HOSTED = "{type: hosted}\n    directory: daily"
SFTP = "{type: sftp, host: h, username: u, host_keys: [KEY], LOGIN}\n    directory: daily"
SFTP = SFTP.replace("KEY", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIlOM4VJ6dIqWGYKzvYF8Jj0yD5T2i6yL7O5m0c7b9Xk")
WHERE = "integrations.acme_share"
LACKING = [
    (
        HOSTED,
        SFTP.replace("LOGIN", "password: \"{{ env_var('NOT_SET') }}\""),
        f"{WHERE}.destination.password: the environment variable NOT_SET is not set",
    ),
    (
        HOSTED,
        SFTP.replace("LOGIN", "private_key: /nowhere/key"),
        f"{WHERE}.destination.private_key: /nowhere/key cannot be read",
    ),
]


def test_bad_configuration_stops_before_anything(project: Copy) -> None:
    """Of one integration: what goes to it. Around them: everything."""
    project.edit("integrations.yml", "vendor_name: Acme Outdoor warehouse", "vendor: Acme")
    said = f"{WHERE}.vendor: unknown key; known: vendor_name"
    named = project.delivery("run", "--window", DAY, "--integration", "acme_share")
    text = (project.root / "integrations.yml").read_text()
    project.edit("integrations.yml", "integrations:\n", "integration: 1\nintegrations:\n")
    around = project.delivery("run", "--window", DAY)
    for result in (named, around):
        assert (result.exit_code, said in result.stderr) == (2, True)
        assert "Traceback" not in result.output
    assert "integration: unknown key; known: integrations, share, alerts (did you mean" in around.stderr
    assert not project.files()

    (project.root / "integrations.yml").write_text(text)
    result = project.delivery("run", "--window", DAY)
    assert (result.exit_code, said in result.stderr) == (2, True)
    assert {name.split("/")[0] for name in project.files()} == {"brightside_beauty"}


@pytest.mark.parametrize(("before", "after", "message"), LACKING)
def test_what_one_client_lacks_stops_its_deliveries(project: Copy, before: str, after: str, message: str) -> None:
    project.edit("integrations.yml", before, after)
    for command in ("plan", "run"):
        result = project.delivery(command, "--window", DAY)
        assert result.exit_code == 2, command
        assert message in result.stderr
        assert "Traceback" not in result.output
    assert {name.split("/")[0] for name in project.files()} == {"brightside_beauty"}


def test_an_integration_of_no_client_stops_no_other(project: Copy) -> None:
    """Nor does it leave anything at its place, whoever looks."""
    project.edit("integrations.yml", "namespace: acme_outdoor", "namespace: acme_indoor")
    said = "integrations.acme_share.namespace: unknown namespace 'acme_indoor'"
    plan = project.delivery("plan", "--window", DAY)
    assert (plan.exit_code, said in plan.stderr) == (2, True)
    assert "\nNext: Correct it, or add the client" in plan.stderr
    check = project.delivery("check")
    assert (check.exit_code, said in check.stderr) == (2, True)
    assert "brightside_drop" in check.stdout
    assert not (project.root / "share").exists(), "a probe makes no folder that stays"
    run = project.delivery("run", "--window", DAY)
    assert (run.exit_code, said in run.stderr) == (2, True)
    assert {name.split("/")[0] for name in project.files()} == {"brightside_beauty"}


def test_unknown_names_and_days_are_refused(project: Copy) -> None:
    for arguments, message in [
        (["--select", "nosuch"], "Known: at_risk_buyers, daily_email_unsubscribes, daily_esp_events, "),
        (["--integration", "nosuch"], "Known: acme_share, brightside_drop"),
        (["--window", "03.11.2026"], "is not a day"),
        (["--window", "today"], "has not ended yet"),
        (["--from", "2026-11-01"], "--from with --to"),
        (["--at", "noon"], "is not a time"),
    ]:
        result = project.delivery("run", *arguments)
        assert result.exit_code == 2, arguments
        assert message in result.stderr


def test_bad_campaigns_are_named_with_their_faults(project: Copy) -> None:
    """As dbt hands them on, whatever they say."""
    manifest = project.root / "target" / "manifest.json"
    text = manifest.read_text(encoding="utf-8")
    text = text.replace('"schedule": "0 5 * * *"', '"schedule": "0 25 * * *"')
    manifest.write_text(text.replace('"dataset": "email_unsubscribes"', '"dataset": "email_nothing"'), encoding="utf-8")

    result = project.delivery("run", "--window", DAY)

    assert result.exit_code == 2
    assert "daily_esp_events: config.meta.export.schedule: is neither `once` nor a cron expression" in result.stderr
    assert "unknown dataset 'email_nothing'; known:" in result.stderr


def test_no_warehouse_no_manifest_no_project(project: Copy, tmp_path: Path) -> None:
    (project.root / "warehouse.duckdb").unlink()
    assert project.delivery("run", "--window", DAY).exit_code == 2
    (project.root / "target" / "manifest.json").unlink()
    result = project.delivery("run", "--window", DAY)
    assert result.exit_code == 2
    assert "dbt build" in result.stderr
    assert project.delivery("--project-dir", str(tmp_path), "status").exit_code == 2


@pytest.mark.slow
def test_build_and_run_in_one_command(project: Copy, configure: Callable[[str], None]) -> None:
    (project.root / "warehouse.duckdb").unlink()
    result = project.process("run", "--build", "--json", "--window", DAY)
    out, err = result.communicate()

    assert result.returncode == 0, err[-3000:]
    assert len(json.loads(out)["deliveries"]) == 4

    # Of each source that says how long it may be silent it was asked whether data has come.
    with duckdb.connect(str(project.root / "warehouse.duckdb"), read_only=True) as warehouse:
        asked_of = warehouse.sql("select unique_id, status from build_log where command = 'freshness'").fetchall()
    sources = json.loads((project.root / "target" / "manifest.json").read_text())["sources"]
    dated = {name for name, one in sources.items() if ((one["freshness"] or {}).get("error_after") or {}).get("count")}
    assert {name for name, _ in asked_of} == dated
    assert {status for _, status in asked_of} <= {"pass", "warn", "error"}

    # The second build keeps what people export proven.
    again = project.process("run", "--build", "--window", DAY)
    again.communicate()
    assert again.returncode == 0
    asked = ["export", "performance", "--namespace", "acme_outdoor", "--from", "2026-11-01", "--to", "2026-11-04"]
    exported = project.delivery(*asked, "-o", str(project.root / "performance.csv"))
    assert exported.exit_code == 0, exported.stderr

    # What fell silent long before a day's end holds that day back.
    for path in (project.own("landing") / "sendgrid").rglob("*.*"):
        os.utime(path, (1793000000, 1793000000))  # 26 October
    silent = project.process("run", "--build", "--window", "2026-11-02", "--select", "daily_esp_events")
    _, err = silent.communicate()
    assert silent.returncode == 3, err[-3000:]
    assert "source sendgrid.events: nothing has landed since 2026-10-26" in err


@pytest.mark.slow
def test_missing_landing_folder_is_one_clear_message(project: Copy) -> None:
    project.env["LANDING_DIR"] = str(project.root / "nowhere")
    process = project.process("run", "--build", "--window", DAY)
    out, err = process.communicate()

    assert process.returncode == 3, err
    assert "LANDING_DIR" in err
    assert not project.files()
    assert "Traceback" not in out + err


@pytest.mark.slow
def test_late_events_of_a_delivered_day_leave_as_a_correction(project: Copy) -> None:
    """With dbt itself: an event lands late, its day is built and tested again, and only it leaves."""
    assert project.deliver()[0] == 0
    known = project.root / "landing" / "sendgrid"
    line = next(
        line
        for path in sorted(known.glob("*.ndjson"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if '"event": "delivered"' in line
        and '"acme_outdoor"' in line
        and line.startswith('{"received_at": "2026-11-03T')
    )
    event = json.loads(line)
    event["payload"] |= {"sg_event_id": "came-late", "event": "open"}
    (project.own("landing") / "sendgrid" / "late.ndjson").write_text(json.dumps(event) + "\n", encoding="utf-8")
    project.dbt("build", *DATA_TESTS_ONLY)
    code, report = project.deliver()
    assert code == 0
    revised = {d["integration"]: d for d in report["deliveries"] if d["revision"] == 1}
    assert {d["campaign"] for d in revised.values()} == {"daily_esp_events"}
    (delivery,) = revised.values()
    assert (delivery["outcome"], delivery["rows"]) == ("delivered", 1)
    assert {d["outcome"] for d in project.deliver()[1]["deliveries"]} == {"already delivered"}

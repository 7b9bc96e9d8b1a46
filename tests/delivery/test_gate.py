"""The gate: every way in which a dataset can be unproven, on the sample's own build log."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING

import duckdb
import pytest

from delivery.datasets import datasets
from delivery.engines.duckdb import open_duckdb
from delivery.gate import Gate, Verdict
from delivery.project import open_project
from delivery.windows import Window

if TYPE_CHECKING:
    from projects import Copy

WINDOW = Window(date(2026, 11, 3), date(2026, 11, 4))
OTHER = Window(date(2026, 11, 1), date(2026, 11, 2))


def judge(project: Copy, dataset: str = "esp_events", window: Window | None = WINDOW) -> Verdict:
    """What the gate says of a dataset in the copy."""
    opened = open_project(project.root, None, None)
    manifest = opened.manifest()
    with open_duckdb(opened) as engine:
        return Gate(manifest, engine).judge(datasets(manifest)[dataset], window)


def sql(project: Copy, *statements: str) -> None:
    """Changes the copy's warehouse."""
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as connection:
        for statement in statements:
            connection.execute(statement)


def one_test(project: Copy, node: str, *, bounded: bool) -> str:
    """The unique id of some generic test on a model."""
    manifest = json.loads((project.root / "target" / "manifest.json").read_bytes())
    return next(
        uid
        for uid, n in sorted(manifest["nodes"].items())
        if n["resource_type"] == "test"
        and (n.get("attached_node") or "").endswith(f".{node}")
        and bool(n["config"].get("where")) == bounded
        and n["config"]["severity"].lower() == "error"
    )


@pytest.mark.parametrize("dataset", ["esp_events", "email_unsubscribes", "email_eligibility"])
def test_the_built_sample_is_proven(project: Copy, dataset: str) -> None:
    verdict = judge(project, dataset, None if dataset == "email_eligibility" else WINDOW)
    assert verdict.reasons == ()
    assert verdict.invocation_id


def test_open_lists_may_warn(project: Copy) -> None:
    assert any("outside an open list" in warning for warning in judge(project).warnings)


@pytest.mark.parametrize("status", ["fail", "error", "warn", "skipped", "runtime error"])
@pytest.mark.parametrize("bounded", [True, False])
def test_any_other_result_than_pass_refuses_and_names_the_test(project: Copy, status: str, *, bounded: bool) -> None:
    test = one_test(project, "esp_events" if bounded else "event_types", bounded=bounded)
    sql(project, f"update build_log set status = '{status}', failures = 3 where unique_id = '{test}'")

    verdict = judge(project)

    assert not verdict.passed
    assert any(test.split(".")[2] in reason and status in reason for reason in verdict.reasons)


@pytest.mark.parametrize("bounded", [True, False])
def test_a_missing_result_refuses(project: Copy, *, bounded: bool) -> None:
    test = one_test(project, "esp_events" if bounded else "event_types", bounded=bounded)
    sql(project, f"delete from build_log where unique_id = '{test}'")
    assert any("has no result" in reason for reason in judge(project).reasons)


def test_a_test_upstream_counts_and_one_beside_does_not(project: Copy) -> None:
    test = one_test(project, "email_unsubscribes", bounded=True)
    sql(project, f"update build_log set status = 'fail' where unique_id = '{test}'")
    assert judge(project, "esp_events").passed
    assert not judge(project, "email_unsubscribes").passed


def test_a_build_that_was_killed_refuses(project: Copy) -> None:
    sql(
        project,
        "insert into build_log select 'killed', started_at + interval 1 hour, phase, command, partial, unique_id,"
        " resource_type, status, failures, whole_table, message from build_log"
        " where phase = 'start' and unique_id like '%.esp_events'",
    )
    assert any("did not end" in reason for reason in judge(project).reasons)
    assert judge(project, "email_unsubscribes").passed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("set partial = true", "partial"),
        ("set status = 'error', message = 'Malformed JSON in file x for a@example.com'", "Malformed JSON"),
        ("set status = 'skipped'", "skipped"),
    ],
)
def test_a_bad_build_refuses(project: Copy, change: str, message: str) -> None:
    sql(project, f"update build_log {change} where phase = 'end' and unique_id like 'model.%.esp_events'")
    reasons = judge(project).reasons
    assert any(message in reason for reason in reasons)
    assert not any("@example.com" in reason for reason in reasons)


def test_a_model_rebuilt_after_its_tests_refuses(project: Copy) -> None:
    sql(
        project,
        "insert into build_log select 'later', started_at + interval 1 hour, phase, 'run', partial, unique_id,"
        " resource_type, status, failures, whole_table, message from build_log"
        " where unique_id like 'seed.%.event_types'",
    )
    assert any("no result since the build" in reason for reason in judge(project).reasons)


def test_a_day_rebuilt_without_tests_refuses_that_day_only(project: Copy) -> None:
    sql(
        project,
        "insert into build_days select 'later', max(started_at) + interval 1 hour, unique_id, date '2026-11-03'"
        " from build_days where unique_id like '%.esp_events' group by unique_id",
    )
    assert any("for 2026-11-03" in reason for reason in judge(project).reasons)
    assert judge(project, window=OTHER).passed


def test_a_later_failure_on_another_day_does_not_refuse_this_one(project: Copy) -> None:
    test = one_test(project, "esp_events", bounded=True)
    sql(
        project,
        "insert into build_days select 'later', max(started_at) + interval 1 hour, unique_id, date '2026-11-01'"
        " from build_days where unique_id like '%.esp_events' group by unique_id",
        "insert into build_log select 'later', started_at + interval 1 hour, phase, command, partial, unique_id,"
        " resource_type, case unique_id when '" + test + "' then 'fail' else status end, failures, false, message"
        " from build_log where phase = 'end' and not whole_table",
    )
    assert judge(project).passed
    assert not judge(project, window=OTHER).passed


def test_no_log_at_all_refuses(project: Copy) -> None:
    sql(project, "drop table build_log")
    assert any("build log cannot be read" in reason for reason in judge(project).reasons)


def test_the_override_needs_a_reason_and_is_recorded(project: Copy) -> None:
    test = one_test(project, "esp_events", bounded=True)
    sql(project, f"update build_log set status = 'fail' where unique_id = '{test}'")
    assert project.delivery("run", "--window", "2026-11-03", "--ungated").exit_code == 2

    code, report = project.deliver("--window", "2026-11-03", "--ungated", "--reason", "agreed with the client")
    assert code == 0
    steps = json.loads(project.delivery("history", "--json", report["deliveries"][0]["id"]).stdout)["steps"]
    assert any("agreed with the client" in step["note"] for step in steps)


# The same with dbt itself: what an engineer can do to a project, and what then must not leave.

BREAKS = {
    "a NULL email": ("    email,", "    case when event = 'click' then null else email end as email,"),
    "a duplicate key": ("    unique_key,", "    md5(namespace) as unique_key,"),
    "an unknown event": ("    event,", "    case when event = 'click' then 'clack' else event end as event,"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BREAKS)
def test_breaking_one_dataset_stops_it_and_no_other(project: Copy, name: str) -> None:
    before, after = BREAKS[name]
    project.edit("models/exports/esp_events.sql", before, after)
    project.dbt("build", "--full-refresh", check=False)

    code, report = project.deliver()

    assert code == 3
    outcomes = {d["campaign"]: d["outcome"] for d in report["deliveries"]}
    assert outcomes == {"daily_esp_events": "refused", "daily_email_unsubscribes": "delivered"}
    assert not [n for n in project.files() if "esp_events" in n]


@pytest.mark.parametrize(
    ("command", "passes"),
    [
        pytest.param(["build", "--select", "nosuch"], True, marks=pytest.mark.slow),
        pytest.param(["run", "--select", "namespaces"], True, marks=pytest.mark.slow),  # not upstream
        pytest.param(["run", "--select", "stg_platform__campaign_runs"], False, marks=pytest.mark.slow),
        (["run", "--select", "esp_events", "--full-refresh"], False),
        pytest.param(["build", "--empty"], False, marks=pytest.mark.slow),
        pytest.param(["build"], True, marks=pytest.mark.slow),
        pytest.param(["test"], True, marks=pytest.mark.slow),
    ],
)
def test_traps_of_run_results(project: Copy, command: list[str], *, passes: bool) -> None:
    project.dbt(*command, check=False)
    assert judge(project).passed == passes


@pytest.mark.slow
def test_a_malformed_line_stops_and_names_file_and_line(project: Copy) -> None:
    landing = project.own("landing")
    (landing / "sendgrid" / "2026-11-05.ndjson").write_text('{"received_at": "2026-11-05T00:00:00Z", "pay\n')
    project.dbt("build", check=False)

    code, report = project.deliver()

    assert code == 3
    assert {d["outcome"] for d in report["deliveries"]} == {"refused"}
    messages = {d["message"] for d in report["deliveries"]}
    assert all("file name sendgrid/2026-11-05.ndjson, line number 1" in message for message in messages), messages

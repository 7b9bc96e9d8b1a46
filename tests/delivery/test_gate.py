"""The gate: every way in which a dataset can be unproven, on the sample's own build log and on one by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from builders import dataset
from small_project import AUDIT

from delivery.config.datasets import datasets
from delivery.config.project import open_project
from delivery.errors import EngineDown, WriteFailed
from delivery.gate.judge import Gate, Verdict
from delivery.warehouse.duckdb import DuckDB, open_duckdb
from delivery.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa
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


def test_unit_tests_are_not_asked_for_but_one_that_failed_refuses(project: Copy) -> None:
    test = "unit_test.delivery.esp_events.sends_and_resubscribes_do_not_leave"
    sql(project, "delete from build_log where resource_type = 'unit_test'")
    assert judge(project).passed

    sql(
        project,
        f"insert into build_log select invocation_id, started_at, 'end', command, false, '{test}', 'unit_test',"
        " 'fail', 1, true, '' from build_log where phase = 'end' and unique_id = 'model.delivery.esp_events'",
    )
    assert [reason for reason in judge(project).reasons if "sends_and_resubscribes_do_not_leave: fail" in reason]
    assert judge(project, "email_unsubscribes").passed


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


# The same by hand, on a log of a few lines in which each line has a neighbour. `twin` and `events` grow by day, `raw`
# is rebuilt whole, and nothing is made of `beside`.

MODELS = {"raw": [], "twin": ["raw"], "events": ["raw", "twin"], "beside": ["raw"]}
TESTS = {"raw_key": ["raw"], "events_key": ["events"], "both": ["events", "raw"], "pair": ["events", "twin"]} | {
    "beside_key": ["beside"]
}
BOUNDED = ("events_key", "pair")
BY_HAND = dataset(unique_id="model.p.events", relation='"w"."main"."events"')
NOV = [date(2026, 11, day) for day in range(1, 8)]  # NOV[1] is the second


def manifest_by_hand(**open_lists: str) -> dict[str, Any]:
    nodes: dict[str, Any] = {
        f"model.p.{name}": {
            "resource_type": "model", "name": name, "config": {"materialized": "table"}, "fqn": ["p", name],
            "depends_on": {"nodes": [f"model.p.{one}" for one in parents]},
        }
        for name, parents in MODELS.items()
    } | {
        f"test.p.{name}": {
            "resource_type": "test", "name": name, "config": {"meta": {"gate": open_lists.get(name)}},
            "depends_on": {"nodes": [f"model.p.{one}" for one in read]},
            "attached_node": f"model.p.{read[0]}" if len(read) == 1 else None,
        }
        for name, read in TESTS.items()
    }  # fmt: skip
    return {"nodes": nodes, "parent_map": {uid: node["depends_on"]["nodes"] for uid, node in nodes.items()}}


def node_id(name: str) -> str:
    return f"{'model' if name in MODELS else 'test'}.p.{name}"


class Builds:
    """A build log by hand. Everything was built and tested at 05:00 for the second to the fourth of November."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("attach ':memory:' as w; use w")
        self.connection.execute(AUDIT.format(schema="main").split("insert", 1)[0])
        for name in MODELS:
            self.log(5, name, "selected", phase="start")
            self.log(5, name, "success")
        for name in TESTS:
            self.log(5, name, "pass", failures=0)
        for day in NOV[1:4]:
            self.days(5, ("twin", "events"), day)

    def log(self, hour: int, name: str, status: str, **changes: Any) -> None:
        values = {"phase": "end", "partial": False, "failures": None, "message": None, "whole": name not in BOUNDED}
        values |= changes
        self.connection.execute(
            "insert into build_log values (?, ?, ?, 'build', ?, ?, ?, ?, ?, ?, ?)",
            [f"at {hour}", datetime(2026, 11, 4, hour), values["phase"], values["partial"], node_id(name), "x", status,
             values["failures"], values["whole"], values["message"]],
        )  # fmt: skip

    def days(self, hour: int, names: tuple[str, ...], *days: date) -> None:
        for name in names:
            for day in days:
                at = datetime(2026, 11, 4, hour)
                self.connection.execute(
                    "insert into build_days values (?, ?, ?, ?)", [f"at {hour}", at, node_id(name), day]
                )

    def rebuilt(self, hour: int, *days: date) -> None:
        """Another build of `events`, of these days."""
        self.log(hour, "events", "selected", phase="start")
        self.log(hour, "events", "success")
        self.log(hour, "both", "pass")
        self.days(hour, ("events",), *days)

    def gate(self, **open_lists: str) -> Gate:
        return Gate(manifest_by_hand(**open_lists), DuckDB(self.connection))

    def refusals(self, window: Window | None = WINDOW, **open_lists: str) -> list[str]:
        return list(self.gate(**open_lists).judge(BY_HAND, window).reasons)


def test_what_was_built_and_tested_is_proven() -> None:
    builds = Builds()
    for window in (WINDOW, Window(NOV[0], NOV[6]), None):
        verdict = builds.gate().judge(BY_HAND, window)
        assert (verdict.passed, verdict.reasons, verdict.warnings) == (True, (), ())
        assert (verdict.dataset, verdict.invocation_id) == ("events", "at 5")
    builds.rebuilt(6, NOV[2])
    assert builds.gate().judge(BY_HAND, WINDOW).invocation_id == "at 6"


UNTESTED = "no result{} since the build of 2026-11-04 0{}:00:00 UTC"


@pytest.mark.parametrize(
    ("window", "is_refused"),
    [((1, 2), False), ((2, 3), True), ((3, 4), False), ((0, 2), False), ((1, 3), True), ((3, 6), False)],
)
def test_a_day_built_since_refuses_the_windows_that_hold_it(window: tuple[int, int], is_refused: bool) -> None:
    builds = Builds()
    builds.rebuilt(6, NOV[2])
    said = [f"{test}: {UNTESTED.format(' for 2026-11-03', 6)}" for test in ("events_key", "pair")]
    assert builds.refusals(Window(NOV[window[0]], NOV[window[1]])) == (said if is_refused else [])


@pytest.mark.parametrize("name", ["raw", "events"])
def test_a_test_of_two_tables_counts_when_both_are_older_than_it(name: str) -> None:
    builds = Builds()
    builds.log(6, name, "success")
    own = ["raw_key"] if name == "raw" else []
    assert builds.refusals() == [f"{test}: {UNTESTED.format('', 6)}" for test in ["both", *own]]
    builds.log(6, "both", "pass")
    builds.log(6, "raw_key", "pass")
    assert builds.refusals() == []


@pytest.mark.parametrize("name", ["twin", "events"])
def test_a_test_of_two_growing_tables_counts_for_a_day_when_both_are_older_than_it(name: str) -> None:
    builds = Builds()
    builds.days(7, (name,), NOV[2])
    builds.days(6, ("twin", "events"), NOV[2])
    builds.log(6, "pair", "pass")
    builds.log(7, "events_key", "pass")
    assert builds.refusals() == [f"pair: {UNTESTED.format(' for 2026-11-03', 7)}"]
    assert builds.refusals(Window(NOV[1], NOV[2])) == []
    builds.log(7, "pair", "pass")
    assert builds.refusals() == []


@pytest.mark.parametrize(
    ("results", "refused"),
    [
        # since the build of the day at 6; the day before was built at 5 and tested then
        ([(6, "pass", False)], {}),
        ([(6, "fail", False)], {3: "fail"}),
        ([(6, "pass", True)], {3: "its last run for 2026-11-03 was partial"}),
        ([(6, "pass", False), (7, "fail", False)], {}),  # which speaks of days that were built later
        ([(6, "pass", False), (7, "pass", True)], {}),
        ([(6, "fail", False), (7, "pass", False)], {}),
        ([(6, "fail", False), (7, "pass", True)], {3: "its last run for 2026-11-03 was partial"}),
        ([(6, "error", False), (7, "fail", False)], {3: "fail"}),
        ([(6, "pass", True), (7, "error", False)], {3: "error"}),
    ],
)
def test_a_day_needs_one_whole_pass_since_it_was_built(
    results: list[tuple[int, str, bool]], refused: dict[int, str]
) -> None:
    builds = Builds()
    builds.rebuilt(6, NOV[2])
    builds.log(6, "pair", "pass")
    for hour, status, partial in results:
        builds.log(hour, "events_key", status, partial=partial)
    said = [f"events_key: {word if ' ' in word else f'{word} for 2026-11-03'}" for word in refused.values()]
    assert builds.refusals() == said
    assert builds.refusals(Window(NOV[1], NOV[3])) == said, "the day before is proven still"
    assert builds.refusals(None) == said
    assert builds.refusals(Window(NOV[1], NOV[2])) == []


@pytest.mark.parametrize(
    ("status", "partial", "refused"),
    [
        ("pass", False, []),
        ("pass", True, ["raw_key: its last run was partial"]),
        ("fail", False, ["raw_key: fail with 3 rows"]),
        ("fail", True, ["raw_key: its last run was partial"]),
        ("error", False, ["raw_key: error with 3 rows"]),
        ("warn", False, ["raw_key: warn with 3 rows"]),
        ("skipped", False, ["raw_key: skipped with 3 rows"]),
    ],
)
def test_of_a_test_of_a_whole_table_the_last_word_counts(status: str, partial: bool, refused: list[str]) -> None:
    builds = Builds()
    builds.log(6, "raw_key", status, partial=partial, failures=3)
    assert builds.refusals() == refused
    builds.log(7, "raw_key", "pass")
    assert builds.refusals() == []


def test_only_a_warning_of_an_open_list_may_leave() -> None:
    builds = Builds()
    builds.log(6, "raw_key", "warn", failures=2)
    builds.rebuilt(6, NOV[2])
    builds.log(6, "events_key", "warn", failures=4)
    builds.log(6, "pair", "pass")
    assert builds.refusals() == ["events_key: warn for 2026-11-03 with 4 rows", "raw_key: warn with 2 rows"]
    verdict = builds.gate(raw_key="open_list", events_key="open_list").judge(BY_HAND, WINDOW)
    assert (verdict.reasons, set(verdict.warnings)) == (
        (), {"raw_key: 2 rows outside an open list", "events_key: 4 rows outside an open list"}
    )  # fmt: skip
    assert builds.refusals(raw_key="closed", events_key="open_list") == ["raw_key: warn with 2 rows"]
    builds.log(7, "raw_key", "fail", failures=2)
    assert builds.refusals(raw_key="open_list", events_key="open_list") == ["raw_key: fail with 2 rows"]


def test_a_test_without_a_result_refuses() -> None:
    builds = Builds()
    builds.connection.execute("delete from build_log where unique_id in ('test.p.both', 'test.p.pair')")
    assert builds.refusals() == ["both: has no result", "pair: has no result"]


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        ([(6, "selected", "start", False)], "events: the build that began at 2026-11-04 06:00:00 UTC did not end"),
        ([(6, "selected", "start", False), (6, "success", "end", False)], None),
        ([(6, "success", "end", True)], "events: its last build was partial (--empty, --sample or --defer)"),
        ([(6, "error", "end", False)], "events: its last build ended as error with 2 rows: no such column"),
        ([(6, "error", "end", True)], "events: its last build ended as error with 2 rows: no such column"),
        ([(6, "skipped", "end", False)], "skipped by the last build: events"),
        ([(6, "error", "end", False), (7, "success", "end", False)], None),
    ],
)
def test_a_build_that_did_not_end_well_refuses(lines: list[tuple[int, str, str, bool]], refused: str | None) -> None:
    builds = Builds()
    for hour, status, phase, partial in lines:
        failed = {"failures": 2, "message": " no such column\n"} if status == "error" else {}
        builds.log(hour, "events", status, phase=phase, partial=partial, **failed)
        builds.log(hour, "both", "pass")
    assert builds.refusals() == ([refused] if refused else [])


def test_what_was_never_built_is_told_from_what_did_not_end() -> None:
    builds = Builds()
    builds.connection.execute("delete from build_log where unique_id = 'model.p.raw'")
    builds.connection.execute("delete from build_log where unique_id = 'model.p.twin' and phase = 'end'")
    assert builds.refusals() == [
        "raw was never built", "twin: the build that began at 2026-11-04 05:00:00 UTC did not end",
    ]  # fmt: skip


def test_the_cause_stands_before_what_it_kept_from_being_built() -> None:
    builds = Builds()
    for name, status, message in (("raw_key", "fail", "Got 3 results, configured to fail if != 0"),
                                  ("both", "error", "Malformed JSON of jane@example.com\n"),
                                  ("pair", "skipped", ""), ("events_key", "warn", None)):  # fmt: skip
        builds.log(6, name, status, failures=3 if status != "error" else None, message=message)
    for name in ("twin", "events"):
        builds.log(6, name, "skipped")
    assert builds.refusals(events_key="open_list") == [
        "both: error: Malformed JSON of <address>", "raw_key: fail with 3 rows",
        "skipped by the last build: events, twin",
    ]  # fmt: skip
    assert "events_key: warn with 3 rows" in builds.refusals(), "which is no open list"


def test_a_dataset_leaves_with_what_it_is_proven_with() -> None:
    builds = Builds()
    builds.log(6, "beside_key", "fail")
    gate = builds.gate()
    assert gate.judge(BY_HAND, WINDOW).passed
    assert gate.judge(BY_HAND, WINDOW, ("model.p.beside",)).reasons == ("beside_key: fail",)
    assert gate.judge(BY_HAND, WINDOW, ("model.p.raw",)).passed


def test_each_window_is_judged_for_itself_and_once() -> None:
    builds = Builds()
    builds.rebuilt(6, NOV[2])
    gate = builds.gate()
    first = gate.judge(BY_HAND, WINDOW)
    assert not first.passed
    assert gate.judge(BY_HAND, Window(NOV[1], NOV[2])).passed
    assert not gate.judge(BY_HAND, None).passed
    assert gate.judge(replace(BY_HAND, name="others", unique_id="model.p.beside"), WINDOW).dataset == "others"
    assert gate.judge(BY_HAND, WINDOW) is first


class Moving(DuckDB):
    """An engine of which each statement sees what is there by then."""

    is_snapshot = False


@pytest.mark.parametrize("engine", [DuckDB, Moving])
def test_a_build_while_rows_are_read_is_seen_where_there_is_no_snapshot(engine: type[DuckDB]) -> None:
    builds = Builds()
    gate = Gate(manifest_by_hand(), engine(builds.connection))
    gate.judge(BY_HAND, WINDOW)
    gate.check_unchanged(BY_HAND)
    builds.log(6, "beside", "selected", phase="start")
    gate.judge(BY_HAND, None)  # which must not be taken for the beginning
    if engine is DuckDB:
        gate.check_unchanged(BY_HAND)
    else:
        with pytest.raises(WriteFailed, match="Something was built or tested while events was read"):
            gate.check_unchanged(BY_HAND)


def test_a_log_that_cannot_be_read_refuses_and_an_engine_that_is_down_is_no_verdict() -> None:
    class Down(DuckDB):
        def table(self, sql: str) -> pa.Table:
            raise EngineDown("The server is gone.")

    builds = Builds()
    with pytest.raises(EngineDown, match="gone"):
        Gate(manifest_by_hand(), Down(builds.connection)).judge(BY_HAND, WINDOW)
    builds.connection.execute("drop table build_days")
    (reason,) = builds.refusals()
    assert reason.startswith("the build log cannot be read: ")
    error = builds.gate().judge(BY_HAND, WINDOW).error()
    assert error.message == f"events is not proven:\n  {reason}"
    assert error.exit_code == 3


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
        pytest.param(["run", "--select", "esp_events", "--full-refresh"], False, marks=pytest.mark.slow),
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

"""The gate: every way in which a dataset can be unproven, on the sample's own build log and on one by hand."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from builders import dataset
from projects import DATA_TESTS_ONLY
from small_project import AUDIT

from delivery.config.datasets import datasets
from delivery.config.project import open_project
from delivery.errors import EngineDown, WriteFailed
from delivery.gate.judge import Gate, Verdict
from delivery.gate.lineage import Lineage
from delivery.warehouse.duckdb import DuckDB, open_duckdb
from delivery.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa
    from projects import Copy

WINDOW = Window(date(2026, 11, 3), date(2026, 11, 4))
OTHER = Window(date(2026, 11, 1), date(2026, 11, 2))
BY_DAY = ("esp_events", "email_unsubscribes")


def judge(
    project: Copy, dataset: str = "esp_events", window: Window | None = WINDOW, namespace: str | None = None
) -> Verdict:
    """What the gate says of a dataset in the copy."""
    opened = open_project(project.root, None, None)
    manifest = opened.manifest()
    with open_duckdb(opened) as engine:
        return Gate(manifest, engine).judge(datasets(manifest)[dataset], window, namespace=namespace)


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


def test_a_view_in_the_place_of_a_table_is_refused(project: Copy) -> None:
    """`dbt clone` leaves one, with rows of another schema, and nothing in the log."""
    sql(project, "create schema other", "create table other.rows as from esp_events", "drop table esp_events")
    sql(project, "create view esp_events as from other.rows")
    (reason,) = judge(project).reasons
    assert reason == "esp_events was built as a table, and is a view now (`dbt clone`?)"
    assert judge(project, "email_unsubscribes").passed, "a neighbour"
    sql(project, "drop view esp_events", "create table esp_events as from other.rows")
    assert judge(project).passed


def test_open_lists_may_warn(project: Copy) -> None:
    listed = "listed_in_esp_events_campaign_classification"
    assert judge(project).warnings == (f"{listed}: 9 rows outside an open list",)
    assert judge(project, namespace="acme_outdoor").warnings == judge(project).warnings
    assert judge(project, namespace="brightside_beauty").warnings == (), "whose words are all listed"
    assert judge(project, window=OTHER).warnings == (), "nor has another day any"


@pytest.mark.slow
def test_a_row_that_fails_a_test_says_whose_it_is_and_of_which_day(project: Copy) -> None:
    """It refuses one client on one day, here by rules that are broken."""
    for rule, before, after in (
        ("is_address", "not like '%_@_%'", "like 'gia.romano@%'"),
        ("only_for_events", "event not in", "namespace = 'acme_outdoor' and event in"),
        ("is_day_of", "<> cast({{ time }} as date)", "= date '2026-11-03' and namespace = 'acme_outdoor'"),
    ):
        project.edit(f"tests/dbt/generic/{rule}.sql", before, after)
    project.dbt("test", "--select", "esp_events", "--vars", "{test_all_days: true}", check=False)
    failed = {reason.split(":")[0] for reason in judge(project, namespace="acme_outdoor").reasons}
    assert {name for name in failed if name.startswith(("is_address_esp", "is_day_of_esp"))}
    assert len({name for name in failed if name.startswith("only_for_events_esp_events")}) == 4
    assert judge(project, namespace="brightside_beauty").reasons == ()


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
        "insert into build_log by name select * replace"
        f" ('{test}' as unique_id, 'unit_test' as resource_type, 'fail' as status, 1 as failures, '' as fingerprint)"
        " from build_log where phase = 'end' and unique_id = 'model.delivery.esp_events'",
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
        "insert into build_log by name select * replace ('killed' as invocation_id,"
        " started_at + interval 1 hour as started_at) from build_log"
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
        "insert into build_log by name select * replace ('later' as invocation_id,"
        " ended_at + interval 1 minute as ended_at) from build_log where unique_id like 'seed.%.event_types'",
    )
    assert any("no result since the build" in reason for reason in judge(project).reasons)


def test_a_day_rebuilt_without_tests_refuses_that_day_only(project: Copy) -> None:
    sql(
        project,
        "insert into build_days by name select * replace (ended_at + interval 1 hour as ended_at)"
        " from build_days where unique_id like '%.esp_events' and event_day = '2026-11-03'",
    )
    assert any("for 2026-11-03" in reason for reason in judge(project).reasons)
    assert judge(project, window=OTHER).passed


def test_a_later_failure_on_another_day_does_not_refuse_this_one(project: Copy) -> None:
    test = one_test(project, "esp_events", bounded=True)
    sql(
        project,
        "insert into build_days by name select * replace (ended_at + interval 1 hour as ended_at)"
        " from build_days where unique_id like '%.esp_events' and event_day = '2026-11-01'",
        "insert into build_log by name select * replace ('later' as invocation_id,"
        " began_at + interval 1 hour as began_at,"
        " ended_at + interval 1 hour as ended_at, case unique_id when '"
        + test
        + "' then 'fail' else status end as status)"
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

    accepted = ("--window", "2026-11-03", "--ungated", "--reason", "agreed with the client")
    foreseen = project.delivery("plan", "--json", *accepted)
    assert foreseen.exit_code == 0
    assert [one["rows"] is None for one in json.loads(foreseen.stdout)["deliveries"]] == [False] * 4
    code, report = project.deliver(*accepted)
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
GROWING = ("twin", "events")
BY_HAND = dataset(unique_id="model.p.events", relation='"w"."main"."events"', log="main")
BUILT_ON = date(2026, 11, 20)
NOV = [date(2026, 11, day) for day in range(1, 8)]  # NOV[1] is the second


def manifest_by_hand(**open_lists: str | None) -> dict[str, Any]:
    nodes: dict[str, Any] = {
        f"model.p.{name}": {
            "resource_type": "model", "name": name, "fqn": ["p", name],
            "config": {"materialized": "table", "meta": {"grows_by": "event_day"} if name in GROWING else {}},
            "depends_on": {"nodes": [f"model.p.{one}" for one in parents]},
        }
        for name, parents in MODELS.items()
    } | {
        f"test.p.{name}": {
            "resource_type": "test", "name": name,
            "config": {
                "meta": {"gate": open_lists.get(name)}, "where": "__rebuilt_days__" if name in BOUNDED else None
            },
            "test_metadata": {"name": "unique", "kwargs": {"column_name": "unique_key"}},
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
        for day in NOV:
            self.days(5, ("twin", "events"), day)

    def log(self, hour: int, name: str, status: str, **changes: Any) -> None:
        values = {"phase": "end", "partial": False, "failures": None, "message": None, "whole": name not in BOUNDED}
        values |= changes
        at = datetime.combine(BUILT_ON, time(hour))
        self.connection.execute(
            "insert into build_log values (?, ?, ?, 'build', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [values.get("command", f"at {hour}"), values.get("started", at), values["phase"], values["partial"],
             node_id(name), node_id(name).split(".")[0], status, values["failures"], values["whole"], values["message"],
             values.get("began"), values.get("ended"), values.get("fingerprint"), values.get("speaks_of")],
        )  # fmt: skip

    def days(self, hour: int, names: tuple[str, ...], *days: date) -> None:
        for name in names:
            for day in days:
                at = datetime.combine(BUILT_ON, time(hour))
                self.connection.execute(
                    "insert into build_days values (?, ?, ?, ?, null)", [f"at {hour}", at, node_id(name), day]
                )

    def failing(self, hour: int, name: str, *rows: tuple[str | None, date | None, int]) -> None:
        """Whose the failing rows of a test are."""
        for row in rows:
            self.connection.execute(
                "insert into build_failures values (?, ?, ?, ?, ?)", [f"at {hour}", node_id(name), *row]
            )

    def rebuilt(self, hour: int, *days: date) -> None:
        """Another build of `events`, of these days."""
        self.log(hour, "events", "selected", phase="start")
        self.log(hour, "events", "success")
        self.log(hour, "both", "pass")
        self.days(hour, ("events",), *days)

    def gate(self, **open_lists: str | None) -> Gate:
        return Gate(manifest_by_hand(**open_lists), DuckDB(self.connection))

    def refusals(self, window: Window | None = WINDOW, **open_lists: str) -> list[str]:
        return list(self.gate(**open_lists).judge(BY_HAND, window).reasons)

    def judged(self, namespace: str | None = None, window: Window | None = WINDOW, **changes: Any) -> list[str]:
        """The refusals of a manifest with changes, for a client."""
        manifest = manifest_by_hand()
        for key, value in changes.items():
            manifest[key] = {**manifest.get(key, {}), **value}
        return list(Gate(manifest, DuckDB(self.connection)).judge(BY_HAND, window, namespace=namespace).reasons)


def test_what_was_built_and_tested_is_proven() -> None:
    builds = Builds()
    for window in (WINDOW, Window(NOV[1], NOV[6]), None):
        verdict = builds.gate().judge(BY_HAND, window)
        assert (verdict.passed, verdict.reasons, verdict.warnings) == (True, (), ())
        assert (verdict.dataset, verdict.invocation_id) == ("events", "at 5")
    builds.rebuilt(6, NOV[2])
    assert builds.gate().judge(BY_HAND, WINDOW).invocation_id == "at 6"


UNTESTED = "no result{} since the build of 2026-11-20 0{}:00:00 UTC"


@pytest.mark.parametrize(
    ("window", "is_refused"),
    [((1, 2), False), ((2, 3), True), ((3, 4), False), ((0, 2), False), ((1, 3), True), ((3, 6), False)],
)
def test_a_day_built_since_refuses_the_windows_that_hold_it(window: tuple[int, int], is_refused: bool) -> None:
    builds = Builds()
    builds.rebuilt(6, NOV[2])
    said = [f"{test}: {UNTESTED.format(' for 2026-11-03', 6)}" for test in ("events_key", "pair")]
    assert builds.refusals(Window(NOV[window[0]], NOV[window[1]])) == (said if is_refused else [])


def test_of_several_days_without_proof_the_first_comes_first() -> None:
    builds = Builds()
    for hour, day in ((6, NOV[4]), (7, NOV[2]), (8, NOV[3])):
        builds.rebuilt(hour, day)
        builds.log(hour, "pair", "pass")
    builds.connection.execute("create or replace table build_days as from build_days order by event_day desc")
    said = [f"events_key: {UNTESTED.format(f' for {NOV[day]}', hour)}" for day, hour in ((2, 7), (3, 8), (4, 6))]
    assert builds.refusals(Window(NOV[0], NOV[6])) == said


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
        ([(6, "selected", "start", False)], "events: the build that began at 2026-11-20 06:00:00 UTC did not end"),
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
        "no dbt build of this warehouse made it: raw",
        "twin: the build that began at 2026-11-20 05:00:00 UTC did not end",
    ]  # fmt: skip


def test_what_was_never_built_is_one_line_and_says_how_it_is_built() -> None:
    builds = Builds()
    builds.connection.execute("delete from build_log where unique_id in ('model.p.raw', 'model.p.twin')")
    refusals = builds.refusals()
    assert refusals == ["no dbt build of this warehouse made it: raw, twin"]
    assert "run again with --build" in Verdict("events", tuple(refusals)).error().hint


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


# Complete


def test_a_window_leaves_when_all_was_built_by_commands_that_began_after_it_ended() -> None:
    builds = Builds()
    last = Window(date(2026, 11, 19), BUILT_ON)
    builds.days(5, GROWING, last.start)
    assert builds.refusals(last) == []
    builds.log(6, "raw", "success", started=datetime(2026, 11, 19, 23, 59), ended=datetime(2026, 11, 20, 0, 1))
    assert builds.refusals(last) == [], "an earlier command that ended earlier counts for nothing"
    builds.log(6, "raw", "success", started=datetime(2026, 11, 19, 23, 59), ended=datetime(2026, 11, 20, 7))
    for test in ("raw_key", "both"):
        builds.log(8, test, "pass")
    assert builds.refusals(last) == [
        "not built since the window ended at 2026-11-20 00:00:00 UTC, but at 2026-11-19 23:59:00: raw"
    ]
    assert builds.refusals(WINDOW) == []


def test_a_current_state_leaves_when_it_was_built_at_or_after_its_slot() -> None:
    gate = Builds().gate()
    slot = datetime(2026, 11, 20, 5, tzinfo=UTC)
    assert gate.judge(BY_HAND, None, complete_at=slot).passed
    verdict = gate.judge(BY_HAND, None, complete_at=slot + timedelta(minutes=1))
    assert verdict.reasons == (
        "not built since the slot at 2026-11-20 05:01:00 UTC, but at 2026-11-20 05:00:00: events, raw, twin",
    )


def test_what_was_built_before_what_it_is_made_of_refuses_until_it_is_built_again() -> None:
    """Each is of a command that began late enough; what events read was not."""
    builds = Builds()
    builds.connection.execute(
        "update build_log set started_at = timestamp '2026-11-03 05:00:00'"
        " where unique_id in ('model.p.raw', 'model.p.twin')"
    )
    for hour, name in ((6, "twin"), (7, "raw")):
        builds.log(hour, name, "success")
    for test in ("raw_key", "both", "events_key", "pair"):
        builds.log(8, test, "pass")
    said = "not built since what they are made of was: {}"
    assert builds.refusals() == [said.format("events, twin")]
    builds.log(9, "twin", "success", ended=datetime(2026, 11, 20, 9, 30))
    builds.log(10, "pair", "pass")
    assert builds.refusals() == [said.format("events")]
    builds.log(10, "events", "success", began=datetime(2026, 11, 20, 9, 29))
    for test in ("both", "events_key", "pair"):
        builds.log(11, test, "pass")
    assert builds.refusals() == [said.format("events")], "it began before that one had ended"
    builds.log(12, "events", "success", partial=True)
    builds.log(12, "events", "error")
    builds.log(13, "events", "success")
    for test in ("both", "events_key", "pair"):
        builds.log(13, test, "pass")
    assert builds.refusals() == []
    builds.log(14, "raw", "success")
    for test in ("raw_key", "both"):
        builds.log(14, test, "pass")
    assert builds.refusals() == [], "they have read it whole"


def test_a_partial_build_is_not_what_anything_may_be_made_of() -> None:
    builds = Builds()
    builds.connection.execute(
        "update build_log set started_at = '2026-11-03 05:00:00' where unique_id not in ('model.p.beside')"
    )
    builds.log(6, "raw", "success", partial=True)
    for name in ("twin", "events"):
        builds.log(7, name, "success")
    builds.log(8, "raw", "success")
    for test in ("raw_key", "both", "events_key", "pair"):
        builds.log(9, test, "pass")
    assert builds.refusals() == ["not built since what they are made of was: events, twin"]


def test_a_view_is_as_whole_as_what_it_shows() -> None:
    builds, manifest = Builds(), manifest_by_hand()
    manifest["nodes"]["model.p.twin"]["config"] |= {"materialized": "view", "meta": {}}
    builds.connection.execute("update build_log set started_at = '2026-11-03 05:00:00' where unique_id = 'model.p.raw'")
    builds.log(6, "raw", "success")
    builds.log(7, "events", "success", began=datetime(2026, 11, 20, 6, 30))
    for test in ("raw_key", "both", "events_key", "pair"):
        builds.log(8, test, "pass")
    assert Gate(manifest, DuckDB(builds.connection)).judge(BY_HAND, WINDOW).reasons == ()


def test_a_dataset_that_shows_rows_of_a_source_refuses() -> None:
    """Whatever lands after its tests would leave."""
    builds, manifest = Builds(), manifest_by_hand()
    manifest["sources"] = {
        f"source.p.{name}": {"resource_type": "source", "source_name": "crm", "name": name, "config": {}}
        for name in ("landed", "other")
    }
    manifest["nodes"]["model.p.thin"] = manifest["nodes"]["model.p.raw"] | {
        "name": "thin", "config": {"materialized": "ephemeral"},
    }  # fmt: skip
    manifest["parent_map"] |= {
        "model.p.thin": ["source.p.landed"], "model.p.events": ["model.p.thin", "model.p.twin"],
        "model.p.raw": ["source.p.other"],
    }  # fmt: skip

    def reasons(**kinds: str) -> tuple[str, ...]:
        for name, kind in kinds.items():
            manifest["nodes"][f"model.p.{name}"]["config"]["materialized"] = kind
        return Gate(manifest, DuckDB(builds.connection)).judge(BY_HAND, WINDOW).reasons

    assert reasons() == ()
    said = (
        "events shows rows of crm.landed as they are when somebody looks, tested or not; give it, or what is between, "
        "`materialized: table`, and build it"
    )
    assert reasons(events="view") == (said,)
    assert reasons(thin="table") == ("no dbt build of this warehouse made it: thin",)
    manifest["parent_map"]["model.p.events"] = ["model.p.twin"]
    assert reasons(raw="view") == (), "a table lies between"


def test_a_manifest_that_makes_a_model_of_others_than_its_last_build_refuses() -> None:
    """What it was made of may have failing tests, which that manifest does not know."""
    builds, now = Builds(), Lineage(manifest_by_hand()).fingerprint("model.p.twin")
    builds.log(6, "beside", "success", fingerprint="of others")
    builds.log(6, "twin", "success", fingerprint="of others")
    for test in ("pair", "both"):
        builds.log(6, test, "pass")
    assert builds.refusals() == ["twin: its last build read other models than the manifest says; build it"]
    builds.log(7, "twin", "success", fingerprint=now)
    builds.log(7, "pair", "pass")
    assert builds.refusals() == []


def test_a_manifest_that_names_another_table_than_the_last_build_made_refuses() -> None:
    """What lies there is of some build before; a DuckDB file that was renamed holds the same tables."""
    builds, manifest = Builds(), manifest_by_hand()
    for name in ("twin", "beside"):
        manifest["nodes"][f"model.p.{name}"] |= {"database": "W", "schema": "Main", "alias": f"{name}_now"}

    def reasons(hour: int, place: str) -> tuple[str, ...]:
        for name, of in {"twin": place, "beside": "w.main.elsewhere"}.items():
            builds.log(hour, name, "success", speaks_of=of)
        for test in ("pair", "both"):
            builds.log(hour, test, "pass")
        return Gate(manifest, DuckDB(builds.connection)).judge(BY_HAND, WINDOW).reasons

    assert reasons(6, "renamed.file.main.twin_now") == ()
    for hour, place in enumerate(("w.main.twin", "w.other.twin_now"), 7):
        assert reasons(hour, place) == (
            f"twin: its last build was into {place}, and the manifest says w.main.twin_now; build it",
        )


def test_what_another_project_was_built_into_refuses() -> None:
    builds, manifest = Builds(), manifest_by_hand()
    for name in MODELS:
        manifest["nodes"][f"model.p.{name}"] |= {"database": "W", "schema": "main", "alias": f"{name}_now"}
    one = "insert into build_log by name select * replace ('model.q.x' as unique_id, {} as speaks_of, {} as started_at"
    one += ") from build_log where unique_id = 'model.p.twin' and phase = 'end' and started_at < '2026-11-20 06:00'"

    def reasons() -> tuple[str, ...]:
        return Gate(manifest, DuckDB(builds.connection)).judge(BY_HAND, WINDOW).reasons

    for place, at in (("w.main.twin", 6), ("w.other.twin_now", 6), ("v.main.twin_now", 6), ("w.main.twin_now", 4)):
        builds.connection.execute(one.format(f"'{place}'", f"timestamp '2026-11-20 0{at}:00:00'"))
    assert reasons() == ()
    builds.connection.execute(one.format("'w.main.twin_now'", "timestamp '2026-11-20 06:00:00'"))
    assert reasons() == ("twin: model.q.x was built into the same table at 2026-11-20 06:00:00 UTC",)
    builds.log(7, "twin", "success")
    builds.log(7, "pair", "pass")
    assert reasons() == ()


def test_of_what_was_built_before_nothing_is_read_to_know_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log grows with each build of each model; another's table does not concern this one either."""
    builds, manifest = Builds(), manifest_by_hand()
    for name in MODELS:
        manifest["nodes"][f"model.p.{name}"] |= {"database": "w", "schema": "main", "alias": f"{name}_now"}
    again = "insert into build_log by name select * replace ({} as unique_id, '{}' as speaks_of, timestamp '{}' as"
    again += " started_at) from build_log where unique_id = 'model.p.twin' and phase = 'end' limit 1"
    for day in range(1, 20):
        for name in MODELS:
            place, at = f"w.main.{name}_now", f"2026-10-{day:02} 03:00:00"
            builds.connection.execute(again.format("'model.q.before'", place, at))
            builds.connection.execute(again.format("'model.q.else'", "w.main.else", "2026-11-20 06:00:00"))
    read: list[list[str]] = []
    ask = DuckDB.table

    def table(engine: DuckDB, query: str) -> pa.Table:
        found = ask(engine, query)
        if "group by speaks_of" in query:
            read.append(found["unique_id"].to_pylist())
        return found

    monkeypatch.setattr(DuckDB, "table", table)
    assert Gate(manifest, DuckDB(builds.connection)).judge(BY_HAND, WINDOW).passed
    assert len(read) == 1
    assert {"model.q.before", "model.q.else"}.isdisjoint(read[0])
    assert Gate(manifest, DuckDB(builds.connection)).rejected_by_day("acme", WINDOW) == []
    assert len(read) == 1, "asked where it is told"


def test_what_is_yet_to_come_is_refused() -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    (reason,) = Builds().refusals(Window(tomorrow, tomorrow + timedelta(days=1)))
    assert "which is yet to come" in reason


def test_a_day_that_no_build_has_on_record_is_not_built() -> None:
    builds = Builds()
    builds.days(5, ("twin",), date(2026, 11, 8))
    asked = Window(NOV[6], date(2026, 11, 10))
    said = [reason.split(";")[0] for reason in builds.refusals(asked)]
    assert said == [
        "2026-11-08 is not built: no build has it on record (events)",
        "2026-11-09 is not built: no build has it on record (events, twin)",
    ]
    assert builds.refusals(Window(NOV[5], NOV[6])) == []


def test_a_build_while_the_clock_was_ahead_names_its_line() -> None:
    builds = Builds()
    ahead = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)
    builds.log(6, "twin", "success", started=ahead)
    (reason,) = builds.refusals()
    assert reason.startswith(f"twin: its last build began at {ahead} UTC, which is yet to come")
    assert "take_back --args '{invocation_id: at 6}'" in reason


def test_a_verdict_says_when_rows_were_built_and_until_when_data_was_read() -> None:
    builds = Builds()
    builds.log(6, "events", "success", ended=datetime(2026, 11, 20, 6, 30))
    builds.log(7, "both", "pass")
    verdict = builds.gate().judge(BY_HAND, WINDOW)
    assert verdict.passed
    assert (verdict.built_at, verdict.data_until) == (datetime(2026, 11, 20, 6, 30), datetime(2026, 11, 20, 5))


# The last word


def test_a_failure_that_spoke_of_all_days_stands_until_a_run_that_looks_at_all_passes() -> None:
    builds = Builds()
    builds.log(6, "events_key", "fail", failures=3, whole=True)
    builds.log(7, "events_key", "pass")
    said = ["events_key: fail when it last looked at all days with 3 rows"]
    assert builds.refusals() == said
    builds.rebuilt(8, NOV[2])
    builds.log(8, "events_key", "pass")
    builds.log(8, "pair", "pass")
    assert builds.refusals() == said
    builds.log(9, "events_key", "pass", whole=True, partial=True)
    assert builds.refusals() != []
    builds.log(10, "events_key", "pass", whole=True)
    assert builds.refusals() == []


@pytest.mark.parametrize(("first", "second"), [("pass", "fail"), ("fail", "pass")])
def test_of_two_that_ended_at_once_the_one_that_was_asked_for_later_has_the_last_word(first: str, second: str) -> None:
    builds = Builds()
    for hour, status in ((3, first), (4, second)):
        builds.log(hour, "events_key", status, whole=True, ended=datetime(2026, 11, 20, 4, 30))
    said = ["events_key: fail when it last looked at all days"]
    assert builds.refusals() == (said if second == "fail" else [])


def test_a_test_that_began_during_a_build_has_read_the_rows_from_before_it() -> None:
    builds = Builds()
    builds.log(6, "raw", "success", ended=datetime(2026, 11, 20, 6, 10))
    for test in ("raw_key", "both"):
        builds.log(
            6, test, "pass", began=datetime(2026, 11, 20, 6, 9), ended=datetime(2026, 11, 20, 6, 20), command="beside"
        )
    said = "no result since the build of 2026-11-20 06:10:00 UTC"
    assert builds.refusals() == [f"both: {said}", f"raw_key: {said}"]
    for test in ("raw_key", "both"):
        builds.log(6, test, "pass", began=datetime(2026, 11, 20, 6, 11), command="after")
    assert builds.refusals() == []


def test_a_build_beside_the_last_one_that_has_not_ended_refuses() -> None:
    """As PostgreSQL logs it: a line with each table, in its own transaction."""
    builds = Builds()
    builds.log(4, "twin", "selected", phase="start", command="beside")
    assert builds.refusals() == [], "it began before, and has not come to it"
    builds.log(6, "twin", "built", phase="built", command="beside")
    assert builds.refusals() == ["twin: the build that began at 2026-11-20 06:00:00 UTC did not end"]
    builds.log(7, "twin", "success")
    assert builds.refusals() == []


def test_every_parent_of_a_test_is_part_of_the_proof() -> None:
    builds = Builds()
    manifest = manifest_by_hand()
    manifest["nodes"]["test.p.raw_key"]["depends_on"]["nodes"].append("model.p.beside")
    assert Gate(manifest, DuckDB(builds.connection)).judge(BY_HAND, WINDOW).passed
    builds.log(6, "beside", "success")
    assert Gate(manifest, DuckDB(builds.connection)).judge(BY_HAND, WINDOW).reasons == (
        f"raw_key: {UNTESTED.format('', 6)}",
    )


def test_a_parent_that_is_rebuilt_whole_is_part_of_the_proof_of_each_day() -> None:
    builds = Builds()
    manifest = manifest_by_hand()
    manifest["nodes"]["test.p.events_key"]["depends_on"]["nodes"].append("model.p.beside")
    builds.log(6, "beside", "success")
    builds.log(7, "pair", "pass")  # a neighbour, which does not read it
    assert Gate(manifest, DuckDB(builds.connection)).judge(BY_HAND, WINDOW).reasons == (
        f"events_key: {UNTESTED.format('', 6)}",
    )
    builds.log(7, "events_key", "pass")
    assert Gate(manifest, DuckDB(builds.connection)).judge(BY_HAND, WINDOW).passed


def test_a_seed_that_changed_unproves_the_days_tested_with_the_old_one() -> None:
    manifest = manifest_by_hand()
    manifest["nodes"]["seed.p.raw"] = manifest["nodes"].pop("model.p.raw") | {"resource_type": "seed"}
    text = json.dumps(manifest).replace("model.p.raw", "seed.p.raw")
    manifest = json.loads(text)
    manifest["nodes"]["test.p.events_key"]["depends_on"]["nodes"].append("seed.p.raw")
    builds = Builds()
    builds.connection.execute(
        "update build_log set unique_id = 'seed.p.raw', resource_type = 'seed', fingerprint = 'a'"
        " where unique_id = 'model.p.raw'"
    )

    def seeded(hour: int, fingerprint: str) -> tuple[str, ...]:
        builds.log(hour, "raw", "success", fingerprint=fingerprint)
        builds.connection.execute("update build_log set unique_id = 'seed.p.raw', resource_type = 'seed'"
                                  " where unique_id = 'model.p.raw'")  # fmt: skip
        for test in ("raw_key", "both", "events_key"):
            builds.log(hour, test, "pass")
        return Gate(manifest, DuckDB(builds.connection)).judge(BY_HAND, WINDOW).reasons

    builds.rebuilt(5, NOV[2])
    assert seeded(6, "a") == ()
    builds.log(7, "events_key", "pass")
    builds.connection.execute(
        "delete from build_log where unique_id = 'test.p.events_key' and started_at >= '2026-11-20 06:00:00'"
    )
    builds.log(6, "events_key", "pass", started=datetime(2026, 11, 20, 5, 30))
    assert seeded(8, "b") == (), "tested since"
    builds.connection.execute(
        "delete from build_log where unique_id = 'test.p.events_key' and started_at >= '2026-11-20 06:00:00'"
    )
    builds.log(9, "events_key", "error")
    assert Gate(manifest, DuckDB(builds.connection)).judge(BY_HAND, WINDOW).reasons != ()


def test_a_test_that_is_gone_refuses_until_that_is_accepted_by_name() -> None:
    builds = Builds()
    builds.connection.execute("create table accepted (test text, weakened_by text, reason text)")
    seed = {"seed.p.accepted_tests": {
        "resource_type": "seed", "name": "accepted_tests", "relation_name": "accepted",
        "config": {"materialized": "seed"},
    }}  # fmt: skip
    builds.log(5, "old_key", "fail", speaks_of="model.p.raw")
    builds.connection.execute(
        "update build_log set unique_id = 'test.p.old_key', resource_type = 'test' where speaks_of is not null"
    )
    builds.connection.execute(
        "insert into build_log by name select * replace ('test.p.other' as unique_id, 'model.p.beside' as speaks_of)"
        " from build_log where unique_id = 'test.p.old_key'"
    )

    def reasons() -> list[str]:
        manifest = manifest_by_hand()
        manifest["nodes"] |= seed
        return list(Gate(manifest, DuckDB(builds.connection)).judge(BY_HAND, WINDOW).reasons)

    assert reasons() == ["old_key: is gone (fail when it last ran); say why in seeds/accepted_tests.csv"]
    builds.connection.execute("insert into accepted values ('old_keys', 'gone', 'why'), ('old_key', 'limit: 1', 'why')")
    builds.connection.execute("insert into accepted values ('old_key', 'gone', null), ('old_key', 'gone', '  ')")
    assert reasons() != []
    builds.connection.execute("insert into accepted values ('old_key', 'gone', 'why')")
    assert reasons() == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"where": "false"}, "where: false"),
        ({"error_if": ">1000"}, "error_if: >1000"),
        ({"warn_if": ">9"}, "warn_if: >9"),
        ({"limit": 1}, "limit: 1"),
        ({"severity": "warn"}, "severity: warn"),
        ({"fail_calc": "0"}, "fail_calc: 0"),
        ({"severity": "ERROR", "error_if": "!= 0", "limit": None}, None),
    ],
)
def test_a_test_that_says_less_than_it_seems_to_refuses(change: dict[str, Any], said: str | None) -> None:
    manifest = manifest_by_hand()
    manifest["nodes"]["test.p.raw_key"]["config"] |= change
    manifest["nodes"]["test.p.beside_key"]["config"] |= {"where": "false"}  # which says nothing of events
    reasons = Gate(manifest, DuckDB(Builds().connection)).judge(BY_HAND, WINDOW).reasons
    expected = f"raw_key: says less than it seems to ({said}); say why in seeds/accepted_tests.csv"
    assert reasons == ((expected,) if said else ())


def test_a_test_that_is_switched_off_refuses() -> None:
    off = {"resource_type": "test", "name": "raw_filled", "attached_node": "model.p.raw", "config": {"enabled": False}}
    beside = off | {"name": "beside_filled", "attached_node": "model.p.beside"}
    by_hand = off | {"name": "read", "attached_node": None, "refs": [{"name": "twin"}]}
    found = Builds().judged(disabled={"test.p.a": [off], "test.p.b": [beside], "test.p.c": [by_hand]})
    assert [reason.split(";")[0] for reason in found] == [
        "raw_filled: says less than it seems to (enabled: false)", "read: says less than it seems to (enabled: false)",
    ]  # fmt: skip


def test_a_test_that_was_changed_since_it_ran_refuses() -> None:
    builds = Builds()
    for test in ("raw_key", "events_key"):
        builds.log(6, test, "pass", fingerprint="as it was")
    assert builds.refusals() == ["events_key: was changed since its last run for 2026-11-03",
                                 "raw_key: was changed since its last run"]  # fmt: skip
    for test in ("raw_key", "events_key"):
        builds.log(7, test, "pass", fingerprint=Lineage(manifest_by_hand()).fingerprint(f"test.p.{test}"))
    assert builds.refusals() == []


def test_a_test_that_ran_with_other_variables_than_what_it_is_of_refuses() -> None:
    builds = Builds()

    def given(hour: int, name: str, status: str, command: str, variables: str) -> None:
        builds.log(hour, name, status, command=command)
        builds.connection.execute(
            f"update build_log set command = 'build{variables}' where invocation_id = '{command}'"
            f" and unique_id = '{node_id(name)}'"
        )

    given(6, "raw_key", "pass", "weak", " --vars a")
    assert builds.refusals() == ["raw_key: its last run had other --vars than the build of raw"]
    given(7, "raw_key", "pass", "plain", "")
    assert builds.refusals() == []
    given(8, "raw", "success", "both", " --vars a")
    for test in ("raw_key", "both"):
        given(8, test, "pass", "both", " --vars a")
    assert builds.refusals() == ["both: its last run had other --vars than the build of events"]
    given(8, "both", "pass", "as events", "")
    assert builds.refusals() == [], "one command built and tested the other"
    given(9, "raw_key", "pass", "plain again", "")
    assert builds.refusals() == [], "as the project says"
    given(9, "raw_key", "pass", "weaker", " --vars c")
    assert builds.refusals() == ["raw_key: its last run had other --vars than the build of raw"]
    given(10, "raw_key", "pass", "as the build", " --vars a")
    assert builds.refusals() == []
    for name, status in (("events", "success"), ("events_key", "pass"), ("pair", "pass"), ("both", "pass")):
        given(11, name, status, "one", " --vars b")
    for name, status in (("events", "success"), ("events_key", "fail"), ("pair", "pass"), ("both", "pass")):
        given(12, name, status, "another", "")
    builds.days(12, ("events",), NOV[5])
    assert builds.refusals() == [], "the day was tested by the command that built it"


def test_a_test_whose_macros_were_changed_since_it_ran_is_another() -> None:
    manifest = manifest_by_hand()
    manifest["metadata"] = {"project_name": "p"}
    manifest["nodes"]["test.p.raw_key"] |= {"raw_code": "{{ test_rule(model) }}"}
    manifest["nodes"]["test.p.raw_key"]["depends_on"]["macros"] = ["macro.p.test_rule", "macro.dbt.statement"]

    def macro(text: str, *calls: str) -> dict[str, Any]:
        return {"macro_sql": text, "depends_on": {"macros": list(calls)}}

    manifest["macros"] = macros = {
        "macro.p.test_rule": macro("a", "macro.p.inner", "macro.dbt.x"),
        "macro.p.inner": macro("b", "macro.p.test_rule"),
        "macro.p.get_where_subquery": macro("c"),
        "macro.p.beside": macro("d"),
        "macro.dbt.x": macro("e"),
    }
    first = Lineage(manifest).fingerprint("test.p.raw_key")
    for name, counts in {"test_rule": True, "inner": True, "get_where_subquery": True, "beside": False}.items():
        kept = macros[f"macro.p.{name}"]
        macros[f"macro.p.{name}"] = kept | {"macro_sql": "weak"}
        assert (Lineage(manifest).fingerprint("test.p.raw_key") != first) == counts, name
        macros[f"macro.p.{name}"] = kept
    macros["macro.dbt.x"] = macro("of another release of dbt")
    assert Lineage(manifest).fingerprint("test.p.raw_key") == first


def test_a_form_of_dbts_own_test_is_a_part_of_it() -> None:
    """dbt calls the project's own form of a test that it brings, and no manifest says so."""
    manifest = manifest_by_hand()
    manifest["metadata"] = {"project_name": "p"}
    manifest["nodes"]["test.p.raw_key"] |= {"raw_code": "{{ test_unique(model) }}"}
    manifest["nodes"]["test.p.raw_key"]["depends_on"]["macros"] = ["macro.dbt.test_unique"]
    first = Lineage(manifest).fingerprint("test.p.raw_key")
    for name, counts in {
        "p.default__test_unique": True, "p.duckdb__test_unique": True, "p.default__test_not_null": False,
        "p.my_test_unique": False, "dbt.default__test_unique": False,
    }.items():  # fmt: skip
        manifest["macros"] = {f"macro.{name}": {"macro_sql": "weak", "depends_on": {"macros": []}}}
        assert (Lineage(manifest).fingerprint("test.p.raw_key") != first) == counts, name


@pytest.mark.parametrize(
    ("metadata", "has_key"),
    [
        ({"name": "unique", "kwargs": {"column_name": "unique_key"}}, True),
        ({"name": "is_key", "kwargs": {"columns": ["event_time", "unique_key"]}}, True),
        ({"name": "is_key", "kwargs": {"columns": ["unique_key", "email"]}}, False),
        ({"name": "unique", "kwargs": {"column_name": "email"}}, False),
        ({"name": "not_null", "kwargs": {"column_name": "unique_key"}}, False),
        (None, False),
    ],
)
def test_a_dataset_without_a_test_of_its_key_refuses(metadata: Any, *, has_key: bool) -> None:
    manifest = manifest_by_hand()
    for test in ("events_key", "both", "pair"):
        manifest["nodes"][f"test.p.{test}"]["test_metadata"] = metadata
    reasons = Gate(manifest, DuckDB(Builds().connection)).judge(BY_HAND, WINDOW).reasons
    assert reasons == (() if has_key else ("events: no test tells its rows apart (unique, is_key, …)",))
    manifest["nodes"]["test.p.both"]["config"]["meta"] = {"gate": "key"}  # of two models: it speaks of events
    assert Gate(manifest, DuckDB(Builds().connection)).judge(BY_HAND, WINDOW).passed


def test_tests_on_sources_and_ephemeral_models_count() -> None:
    manifest = manifest_by_hand()
    nodes, parents = manifest["nodes"], manifest["parent_map"]
    manifest["sources"] = {"source.p.landed": {"resource_type": "source", "name": "landed", "config": {}}}
    nodes["model.p.thin"] = nodes["model.p.raw"] | {"name": "thin", "config": {"materialized": "ephemeral"}}
    parents |= {"model.p.raw": ["source.p.landed"], "model.p.thin": ["model.p.raw"], "model.p.twin": ["model.p.thin"]}
    for name, read in (("of_source", "source.p.landed"), ("of_thin", "model.p.thin")):
        nodes[f"test.p.{name}"] = nodes["test.p.raw_key"] | {
            "name": name, "attached_node": None, "depends_on": {"nodes": [read]}
        }  # fmt: skip
    builds = Builds()

    def reasons() -> tuple[str, ...]:
        return Gate(manifest, DuckDB(builds.connection)).judge(BY_HAND, WINDOW).reasons

    assert reasons() == ("of_source: has no result", "of_thin: has no result")
    for test, status in (("of_source", "fail"), ("of_thin", "fail")):
        builds.log(5, test, status, failures=1)
    assert reasons() == ("of_source: fail with 1 rows", "of_thin: fail with 1 rows")
    for test in ("of_source", "of_thin"):
        builds.log(6, test, "pass")
    assert reasons() == ()
    builds.log(7, "raw", "success")
    for test in ("raw_key", "both"):
        builds.log(7, test, "pass")
    assert reasons() == (f"of_source: {UNTESTED.format('', 7)}", f"of_thin: {UNTESTED.format('', 7)}")


STALE = "nothing has landed since 2026-10-31 23:59:59 UTC, more than 3 days before the window ended at 2026-11-04"


@pytest.mark.parametrize(
    ("status", "landed", "asked", "within", "refuses"),
    [
        ("error", "2026-10-31 23:59:59+00:00", 5, 3, True),
        ("pass", "2026-10-31 23:59:59+00:00", 5, 3, True),  # what was allowed when dbt asked, and is not any more
        ("error", "2026-11-01 00:00:00+00:00", 5, 3, False),
        ("error", "2026-11-20 04:00:00+00:00", 5, 3, False),
        ("error", "2026-10-31 23:59:59+00:00", None, 3, False),
        ("error", "2026-10-31 23:59:59+00:00", 5, None, False),
        ("runtime error", "the source is empty", 5, 3, False),
    ],
)
def test_a_source_that_was_silent_for_longer_than_it_allows_refuses(
    status: str, landed: str, asked: int | None, within: int | None, *, refuses: bool
) -> None:
    """As dbt was told since the window ended: what was answered before says nothing of the window."""
    manifest, builds = manifest_by_hand(), Builds()
    freshness = {"error_after": {"count": within, "period": within and "day"}}
    source = {"resource_type": "source", "source_name": "crm", "name": "landed", "config": {}, "freshness": freshness}
    manifest["sources"] = {"source.p.landed": source, "source.p.other": source | {"name": "other"}}
    manifest["parent_map"] |= {"model.p.raw": ["source.p.landed"], "model.p.beside": ["model.p.raw", "source.p.other"]}
    ended = datetime.combine(BUILT_ON, time(asked)) if asked else datetime(2026, 11, 3, 23, 59, 59)
    for one, what, said in (("landed", status, landed), ("other", "error", "2020-01-01 00:00:00+00:00")):
        builds.connection.execute(
            "insert into build_log by name select 'f' as invocation_id, cast(? as timestamp) as started_at,"
            " started_at as ended_at, 'end' as phase, false as partial, true as whole_table, ? as unique_id,"
            " 'source' as resource_type, ? as status, ? as message",
            [ended, f"source.p.{one}", what, said],
        )
    reasons = Gate(manifest, DuckDB(builds.connection)).judge(BY_HAND, WINDOW).reasons
    assert reasons == (
        (f"source crm.landed: {STALE} 00:00:00 UTC; once it has: dbt source freshness",) if refuses else ()
    )


# Whose rows


@pytest.mark.parametrize("test", ["events_key", "raw_key"])
@pytest.mark.parametrize(
    ("rows", "failures", "refused"),
    [
        ([("a", None, 3)], 3, {"a", None}),
        ([("a", None, 1), ("b", None, 2)], 3, {"a", "b", None}),
        ([("a", None, 2), (None, None, 1)], 3, {"a", "b", "c", None}),
        ([("a", NOV[4], 3)], 3, set()),  # another day than is asked for
        ([("a", NOV[4], 2), ("b", NOV[2], 1)], 3, {"b", None}),
        ([("a", NOV[4], 2), (None, NOV[2], 1)], 3, {"a", "b", "c", None}),
        ([("a", None, 2)], 3, {"a", "b", "c", None}),  # one row is not accounted for
        ([(" A\u00a0", None, 3)], 3, {"a", None}),  # as a raw row may write it
        ([("", None, 1), ("b", None, 2)], 3, {"a", "b", "c", None}),
        ([("\u200b ", None, 3)], 3, {"a", "b", "c", None}),
        ([], 3, {"a", "b", "c", None}),
    ],
)
def test_a_failing_row_refuses_whose_it_is(test: str, rows: list[Any], failures: int, refused: set[str | None]) -> None:
    builds = Builds()
    builds.rebuilt(6, NOV[2])
    builds.log(6, "pair", "pass")
    if test == "raw_key":
        builds.log(6, "events_key", "pass")
    builds.log(6, test, "fail", failures=failures)
    builds.failing(6, test, *rows)
    builds.failing(5, test, ("c", NOV[2], 1))  # of an earlier command
    found = {client for client in ("a", "b", "c", None) if builds.judged(client)}
    assert found == refused


def test_an_error_is_everybodys_and_another_clients_failure_is_said() -> None:
    builds = Builds()
    builds.failing(6, "raw_key", ("a", None, 3))
    builds.log(6, "raw_key", "error", failures=3)
    assert builds.judged("b") == ["raw_key: error with 3 rows"]
    builds.failing(7, "raw_key", ("a", None, 3))
    builds.log(7, "raw_key", "fail", failures=3)
    verdict = builds.gate().judge(BY_HAND, WINDOW, namespace="b")
    assert (verdict.reasons, verdict.warnings) == ((), ("raw_key: fail with 3 rows, of other clients or days",))


def test_a_warning_of_an_open_list_counts_the_rows_of_whom_and_of_when_it_is_asked() -> None:
    builds = Builds()
    builds.log(6, "events_key", "warn", failures=6)
    third, second = WINDOW.start, OTHER.start
    builds.failing(6, "events_key", ("a", third, 2), ("a", second, 1), ("b", third, 3))
    gate = builds.gate(events_key="open_list")
    for client, rows in (("a", 2), ("b", 3), (None, 5)):
        verdict = gate.judge(BY_HAND, WINDOW, namespace=client)
        assert (verdict.reasons, verdict.warnings) == ((), (f"events_key: {rows} rows outside an open list",))
    verdict = gate.judge(BY_HAND, WINDOW, namespace="c")
    assert (verdict.reasons, verdict.warnings) == ((), ())


def test_a_warning_of_an_open_list_stands_until_its_day_is_built_again() -> None:
    """A test that may warn looks no more at a day that it warned of: what it says later speaks of other days."""
    builds, third = Builds(), WINDOW.start

    def said() -> tuple[str, ...]:
        verdict = builds.gate(events_key="open_list").judge(BY_HAND, WINDOW, namespace="a")
        assert verdict.reasons == ()
        return verdict.warnings

    builds.log(6, "events_key", "warn", failures=2)
    builds.failing(6, "events_key", ("a", third, 2))
    builds.log(7, "events_key", "pass")
    builds.log(8, "events_key", "warn", failures=3)
    builds.failing(8, "events_key", ("a", OTHER.start, 1), ("b", third, 2))
    assert said() == ("events_key: 2 rows outside an open list",)
    builds.rebuilt(9, third)
    builds.log(9, "events_key", "pass")
    builds.log(9, "pair", "pass")
    assert said() == ()


# The same with dbt itself: what an engineer can do to a project, and what then must not leave.

BREAKS = {
    "a NULL email": ("events.email,", "case when events.event = 'click' then null else events.email end as email,"),
    "a duplicate key": ("events.unique_key,", "md5(events.namespace) as unique_key,"),
    "an unknown event": ("events.event,", "replace(events.event, 'click', 'clack') as event,"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BREAKS)
def test_breaking_one_dataset_stops_it_and_no_other(project: Copy, name: str) -> None:
    before, after = BREAKS[name]
    project.edit("models/exports/esp_events.sql", before, after)
    project.dbt("build", "--full-refresh", *DATA_TESTS_ONLY, check=False)  # where a unit test fails, none is asked

    code, report = project.deliver()

    assert code == 3
    outcomes = {d["campaign"]: d["outcome"] for d in report["deliveries"]}
    assert outcomes == {"daily_esp_events": "refused", "daily_email_unsubscribes": "delivered"}
    assert not [n for n in project.files() if "esp_events" in n]


@pytest.mark.parametrize(
    ("command", "passes"),
    [
        pytest.param(["build", "--select", "nosuch"], True, marks=pytest.mark.slow),
        pytest.param(["run", "--select", "stg_commerce__products"], True, marks=pytest.mark.slow),  # not upstream
        pytest.param(["run", "--select", "namespaces"], False, marks=pytest.mark.slow),  # a test compares with it
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
def test_a_failing_test_of_one_source_refuses_what_is_built_from_it_and_nothing_else(project: Copy) -> None:
    tests = project.own("tests/dbt/integrity")
    for base in ("base_platform__customers", "base_commerce__orders"):
        (tests / f"{base}_is_empty.sql").write_text(f"select * from {{{{ ref('{base}') }}}}")
    assert project.dbt("test", "--select", "*_is_empty", check=False).returncode == 1

    names = datasets(open_project(project.root, None, None).manifest())
    left = {name for name in names if judge(project, name, WINDOW if name in BY_DAY else None).passed}

    assert left == {*BY_DAY, "analytics_identification"}


@pytest.mark.slow
def test_a_silent_source_refuses_what_is_built_from_it_once_dbt_has_asked(project: Copy) -> None:
    """The customers fell silent a week before the window; orders, campaigns and events did not."""
    landing = project.own("landing")
    for path in landing.rglob("*.*"):
        silent = path.parent.name == "customers"
        at = datetime(2026, 10, 27 if silent else 28, 23, tzinfo=UTC).timestamp()
        os.utime(path, (at, at))
    names = datasets(open_project(project.root, None, None).manifest())

    def left() -> set[str]:
        return {name for name in names if judge(project, name, WINDOW if names[name].window else None).passed}

    assert left() == set(names)
    project.dbt("source", "freshness", check=False)
    assert not judge(project, "analytics_performance").passed
    assert judge(project, "analytics_identification").passed
    (stale,) = judge(project, "esp_events").reasons
    assert stale.startswith(
        "source sendgrid.events: nothing has landed since 2026-10-28 23:00:00 UTC, more than 3 days"
    )
    (customers,) = judge(project, "analytics_customers", WINDOW).reasons
    assert "platform.customers" in customers
    for path in (landing / "sendgrid").rglob("*.*"):
        path.touch()
    asked = "{{ freshness_query(this, 'platform/customers') }}"
    project.edit("models/staging/platform/_platform__sources.yml", asked, "select no_such_column")
    project.dbt("source", "freshness", check=False)
    assert judge(project, "esp_events").passed
    assert not judge(project, "analytics_customers", WINDOW).passed, "what cannot be asked has not answered"


@pytest.mark.slow
def test_a_new_word_of_the_provider_is_noticed_on_its_day_by_whom_it_concerns(project: Copy) -> None:
    """An event of another kind is rejected, a word for a bounce that no list has is warned of: on no day before."""
    landing = project.own("landing")
    told = [json.loads(line)["payload"] for line in (landing / "sendgrid" / "untidy.ndjson").open(encoding="utf-8")]
    bounces = {one["namespace"]: one for one in told if isinstance(one, dict) and one.get("event") == "bounce"}

    def land(day: str, namespace: str, **words: str) -> None:
        event = {**bounces[namespace], "sg_event_id": f"{day} {words}", "sg_message_id": f"{day} {words}", **words}
        path = landing / "sendgrid" / f"{day}-{namespace}.ndjson"
        path.write_text(json.dumps({"received_at": f"{day}T12:00:00Z", "payload": event}) + "\n")

    land("2026-11-04", "acme_outdoor", bounce_classification="Content")
    land("2026-11-04", "brightside_beauty", type="blocked")
    land("2026-11-05", "acme_outdoor", event="bounced")
    land("2026-11-05", "brightside_beauty", bounce_classification="No Such Word")
    project.dbt("build", *DATA_TESTS_ONLY)

    noticed = {}
    for day in ("2026-11-04", "2026-11-05"):
        _, report = project.deliver("--window", day, "--select", "daily_esp_events")
        for one in report["deliveries"]:
            reasons = [(of["name"], of["before"]) for of in (one["rejected_by_reason"] or {}).get("reasons", [])]
            bounced = [warning for warning in one["warnings"] if warning.startswith("every_word_for_a_bounce")]
            noticed[day[-2:], one["namespace"]] = (reasons, bounced)
    assert noticed == {
        ("04", "acme_outdoor"): ([], []),
        ("04", "brightside_beauty"): ([], []),
        ("05", "acme_outdoor"): ([("unknown_type", 1)], []),
        ("05", "brightside_beauty"): ([], ["every_word_for_a_bounce_is_listed: 1 rows outside an open list"]),
    }


@pytest.mark.slow
def test_a_malformed_line_stops_nobody_and_is_named(project: Copy) -> None:
    landing = project.own("landing")
    (landing / "sendgrid" / "2026-11-05.ndjson").write_text('{"received_at": "2026-11-05T00:00:00Z", "pay\n')
    project.dbt("build", *DATA_TESTS_ONLY)

    code, report = project.deliver()

    assert (code, {d["outcome"] for d in report["deliveries"]}) == (0, {"delivered"})
    with duckdb.connect(str(project.root / "warehouse.duckdb"), read_only=True) as connection:
        found = connection.sql(
            "select file_name, line_number, reason, event_day from rejected_events where file_name like '%2026-11-05%'"
        ).fetchall()
    assert found == [("sendgrid/2026-11-05.ndjson", 1, "malformed", date(2026, 11, 5))]

"""Rejected rows: a few are told, too many keep that client's delivery back, and nobody else's."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import date
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from small_project import AT, CLIENTS, DAY, make_project

from delivery import forecast as planner
from delivery import run as runner
from delivery.cli.deliver import forecasts, outcomes
from delivery.config.datasets import datasets
from delivery.config.project import Project
from delivery.errors import ConfigError, ExitCode, GateRefused
from delivery.gate.judge import Gate
from delivery.gate.rejected import Rejections
from delivery.ledger import Ledger
from delivery.progress import Watch
from delivery.schedule.request import Request
from delivery.warehouse import open_engine
from delivery.windows import Window

if TYPE_CHECKING:
    from pathlib import Path

SHARES = ("by_share", "share_of_brightside_beauty", "share_of_cedar_books")
ACME, BRIGHT, CEDAR = CLIENTS
DAYS = Window(date(2026, 11, 3), date(2026, 11, 4))
# namespace, day, reason, rows: 40 of acme's 640 are 6.25 %
REJECTED = [
    (ACME, DAY, "unknown_run", 30),
    (ACME, DAY, "unknown_event", 10),
    (ACME, "2026-11-02", "unknown_run", 5),
    (ACME, "2026-10-27", "unknown_run", 2),  # the first of the seven days before
    (ACME, "2026-10-26", "unknown_run", 900),
    (ACME, "2026-11-04", "unknown_event", 900),
    (BRIGHT, DAY, "no_email", 20),
    (CEDAR, "2026-11-02", "no_email", 900),
    (None, DAY, "no_namespace", 900),
]
TOLD = (
    "40 of 640 rows were rejected (6.2 %): unknown_run 30 (7 in the 7 days before), "
    "unknown_event 10 (none in the 7 days before)"
)

BRIGHT_TOLD = "20 of 620 rows were rejected (3.2 %): no_email 20 (none in the 7 days before)"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The small project whose dataset says where its rejected rows are."""
    root, state = tmp_path / "project", tmp_path / "state"
    make_project(root)
    monkeypatch.setenv("SWEEP_PASSWORD", "not needed")
    path = root / "target" / "manifest.json"
    manifest = json.loads(path.read_text())
    events = manifest["nodes"]["model.sweep.events"]
    events["config"]["meta"]["dataset"]["rejects"] = {"listed_in": "rejects", "among": "came"}
    columns = {name: {"name": name} for name in ("namespace", "reason", "event_day")}
    for name in ("rejects", "came"):
        manifest["nodes"][f"model.sweep.{name}"] = {
            **events, "name": name, "relation_name": f'"warehouse"."main"."{name}"', "columns": columns,
            "fqn": ["sweep", name], "config": {"materialized": "table", "meta": {}},
        }  # fmt: skip
        manifest["parent_map"][f"model.sweep.{name}"] = manifest["child_map"][f"model.sweep.{name}"] = []
    path.write_text(json.dumps(manifest))
    with duckdb.connect(str(root / "warehouse.duckdb")) as warehouse:
        warehouse.execute("create table rejects (namespace text, reason text, event_day date)")
        for namespace, day, reason, rows in REJECTED:
            row = [namespace, reason, day]
            warehouse.execute(f"insert into rejects select ?, ?, cast(? as date) from range({rows})", row)
        warehouse.execute(
            "create table came as select namespace, event_day from events"
            " union all select namespace, event_day from rejects"
        )
        warehouse.execute(
            "insert into build_log select build_log.* replace (name as unique_id) from build_log,"
            " (values ('model.sweep.rejects'), ('model.sweep.came')) as names (name)"
            " where unique_id = 'model.sweep.events'"
        )
    profile = {"type": "duckdb", "path": "warehouse.duckdb"}
    return Project(root, "duckdb", profile, state, tmp_path / "share", f"sqlite:///{state / 'ledger.sqlite'}")


def configure(project: Project, *, client: str = "", campaign: dict[str, Any] | None = None) -> None:
    path, manifest_path = project.integrations_file, project.root / "target" / "manifest.json"
    first, own = path.read_text().split("  by_share:")
    path.write_text(f"{first}  by_share:" + own.replace("{type: hosted}", "{type: hosted}\n    " + client))
    if campaign is not None:
        manifest = json.loads(manifest_path.read_text())
        manifest["exposures"]["exposure.sweep.daily"]["config"]["meta"]["export"]["rejected"] = campaign
        manifest_path.write_text(json.dumps(manifest))


def request(**asked: Any) -> Request:
    return Request(at=AT, **{"window": DAY, "integrations": SHARES} | asked)


def run(project: Project, **asked: Any) -> dict[str, runner.Outcome]:
    return {one.delivery.namespace: one for one in runner.run(project, request(**asked), Watch())}


def test_too_many_keep_that_clients_delivery_back_until_somebody_says_why(project: Project) -> None:
    found = run(project)
    assert [found[client].state for client in CLIENTS] == ["refused", "delivered", "delivered"]
    assert found[ACME].code == ExitCode.GATE
    assert found[ACME].message == (
        f"daily to by_share 2026-11-03/2026-11-04: {TOLD}. That is more than rejected.rows 20 and rejected.percent 5."
    )
    assert "rejects, by namespace and reason" in found[ACME].hint

    asked = {"ungated": True, "reason": "the provider had a new word"}
    assert forecasts(planner.plan(project, request(**asked))).code == ExitCode.DONE
    found = run(project, **asked)
    assert found[ACME].state == "delivered"
    with_history = Ledger(project.ledger_url).steps(found[ACME].delivery.id)
    assert any(f"rejected rows accepted: the provider had a new word; {TOLD}" in note for _, _, note in with_history)
    assert found[ACME].delivery.rejected == 40


def test_a_few_are_told_and_stop_nobody(project: Project) -> None:
    configure(project, client="rejected: {percent: 6.25}")
    found = run(project)
    view = outcomes(list(found.values()))
    assert [found[client].state for client in CLIENTS] == ["delivered"] * 3
    assert [found[client].delivery.rejected for client in CLIENTS] == [40, 20, 0]
    said = [part for part in view.parts if isinstance(part, str) and "rejected" in part]
    assert said == [
        f"daily to by_share [2026-11-03, 2026-11-04): {TOLD}.",
        f"daily to share_of_brightside_beauty [2026-11-03, 2026-11-04): {BRIGHT_TOLD}.",
    ]


@pytest.mark.parametrize(
    ("client", "campaign", "refused"),
    [
        ("rejected: {rows: 39, percent: 6.2}", None, True),
        ("rejected: {rows: 40, percent: 0}", None, False),
        ("rejected: {rows: 0, percent: 6.3}", None, False),
        ("rejected: {rows: 100}", {"rows": 30}, True),
        ("rejected: {rows: 30}", {"rows": 100}, False),
    ],
)
def test_the_limit_is_passed_when_both_numbers_are(
    project: Project, client: str, campaign: dict[str, Any] | None, *, refused: bool
) -> None:
    configure(project, client=client, campaign=campaign)
    assert (run(project)[ACME].state == "refused") == refused


def test_a_plan_says_it_before(project: Project) -> None:
    view = forecasts(planner.plan(project, request()))
    assert view.code == ExitCode.GATE
    acme, bright, cedar = sorted(view.document["deliveries"], key=lambda one: one["title"])
    assert TOLD in acme["refusal"]
    assert (bright["refusal"], bright["gate"]["rejected"].rows, bright["gate"]["rejected"].came) == (None, 20, 620)
    assert cedar["gate"]["rejected"] is None
    lines = [part for part in view.parts if isinstance(part, str)]
    assert sum("rows were rejected" in line for line in lines) == 2


def test_each_dataset_and_window_is_asked_for_once(project: Project) -> None:
    """However many clients there are; where nothing was rejected, nothing else is counted."""
    asked = []
    chosen = datasets(project.manifest())["events"]
    with open_engine(project) as engine:

        class Counting:
            def table(self, query: str) -> Any:
                asked.append(query)
                return engine.table(query)

        found = Rejections(Counting())  # type: ignore[arg-type]
        for client in (*CLIENTS, *CLIENTS):
            found.of(chosen, client, DAYS)
        assert len(asked) == 2
        for client in CLIENTS:
            assert found.of(chosen, client, Window(date(2026, 11, 10), date(2026, 11, 12))) is None
        assert len(asked) == 3


def test_each_day_is_held_against_those_before_it_and_nobody_else_is_read(project: Project) -> None:
    asked = []
    chosen = datasets(project.manifest())["events"]
    range_of_days = Window(date(2026, 11, 1), date(2026, 11, 5))
    with open_engine(project) as engine:

        class Counting:
            def table(self, query: str) -> Any:
                asked.append(query)
                return engine.table(query)

        found = Rejections(Counting()).by_day(chosen, ACME, range_of_days)  # type: ignore[arg-type]
    days = {str(day): [(one.name, one.rows, one.before) for one in of.reasons] for day, of in found.items()}
    assert days == {
        "2026-11-02": [("unknown_run", 5, 902)],
        "2026-11-03": [("unknown_run", 30, 7), ("unknown_event", 10, 0)],
        "2026-11-04": [("unknown_event", 900, 10)],
    }
    assert (found[DAYS.start].rows, found[DAYS.start].came, found[DAYS.start].listed_in) == (40, 640, "rejects")
    assert all(f"namespace = '{ACME}'" in query for query in asked)


def test_the_days_are_known_as_soon_as_their_list_is_built(project: Project) -> None:
    manifest = project.manifest()
    with open_engine(project) as engine:
        gate = Gate(manifest, engine)
        assert [(str(day), of.rows) for day, of in gate.rejected_by_day(BRIGHT, DAYS)] == [(DAY, 20)]
        assert gate.rejected_by_day(CEDAR, DAYS) == []
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as warehouse:
        warehouse.execute("update build_log set status = 'fail' where unique_id like 'test.%'")
    with open_engine(project) as engine:
        assert Gate(manifest, engine).rejected_by_day(BRIGHT, DAYS)
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as warehouse:
        warehouse.execute("update build_log set partial = true where unique_id = 'model.sweep.rejects'")
    with open_engine(project) as engine, pytest.raises(GateRefused, match="rejects: its last build was partial"):
        Gate(manifest, engine).rejected_by_day(BRIGHT, DAYS)
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as warehouse:
        warehouse.execute("drop table build_log")
    with open_engine(project) as engine, pytest.raises(GateRefused, match="the build log cannot be read"):
        Gate(manifest, engine).rejected_by_day(BRIGHT, DAYS)


def test_reasons_of_as_many_rows_stand_by_name(project: Project) -> None:
    reasons = [f"reason_{letter}" for letter in "fbdaec"]
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as warehouse:
        for reason in reasons:
            warehouse.execute("insert into rejects values (?, ?, cast(? as date))", [BRIGHT, reason, DAY])
    with open_engine(project) as engine:
        found = Rejections(engine).of(datasets(project.manifest())["events"], BRIGHT, DAYS)
    assert found
    assert [reason.name for reason in found.reasons] == ["no_email", *sorted(reasons)]


def test_a_list_that_was_not_built_refuses(project: Project) -> None:
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as warehouse:
        warehouse.execute("delete from build_log where unique_id = 'model.sweep.rejects'")
    found = run(project)
    assert {one.state for one in found.values()} == {"refused"}
    assert "rejects" in found[CEDAR].message


@pytest.mark.parametrize(
    ("rejects", "fault"),
    [
        ({"listed_in": "nowhere", "among": "events"}, "rejects.listed_in: no model 'nowhere'"),
        ({"listed_in": "events", "among": "rejects"}, "rejects.listed_in: events has no column reason"),
        ({"listed_in": "rejects"}, "rejects.among"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_when_loading(
    project: Project, rejects: dict[str, str], fault: str
) -> None:
    manifest = deepcopy(project.manifest())
    manifest["nodes"]["model.sweep.events"]["config"]["meta"]["dataset"]["rejects"] = rejects
    with pytest.raises(ConfigError) as failed:
        datasets(manifest)
    assert fault in failed.value.message


def test_what_has_no_days_has_no_limit_of_a_day(project: Project) -> None:
    manifest = deepcopy(project.manifest())
    meta = manifest["nodes"]["model.sweep.events"]["config"]["meta"]["dataset"]
    meta["window"] = None
    with pytest.raises(ConfigError, match="rejects is for a dataset by day"):
        datasets(manifest)


def test_a_campaign_of_what_nobody_counts_has_no_limit(project: Project) -> None:
    """It would be read, and mean nothing."""
    configure(project, campaign={"rows": 0, "percent": 0})
    assert run(project)[ACME].state == "refused"
    path = project.root / "target" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["nodes"]["model.sweep.events"]["config"]["meta"]["dataset"]["rejects"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match="rejected: nobody counts what was rejected of events; `row_count` bounds"):
        run(project)


def test_the_limit_is_a_number_and_a_share(project: Project) -> None:
    configure(project, client="rejected: {percent: 101, rows: -1, days: 3}")
    with pytest.raises(ConfigError) as failed:
        run(project)
    for fault in ("rejected.percent", "rejected.rows", "rejected.days"):
        assert fault in failed.value.message

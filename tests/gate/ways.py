"""The table of ways: what is done to a built project, and whose rows may not leave after it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.gate.world import BEFORE, CLIENTS, DAY, EVERYBODY, TODAY

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from tests.gate.world import World

KEY = "- is_key: {arguments: {columns: [unique_key]}, config: {where: __rebuilt_days__"
AT = "config: {where: __rebuilt_days__}}}]\n      - name: event\n"
STAGED = "data_tests: [never_null]\n  - name: namespaces"
ACME, BRIGHT = CLIENTS["acme"], CLIENTS["brightside"]
ALL_DAYS = '{"test_all_days":true}'
KILLED_AT = range(1, 11)  # events of dbt: a node that starts, a node that has finished


@dataclass(frozen=True)
class Way:
    """do: what is done. refused: the clients whose rows may not leave. said: what a refusal says."""

    name: str
    do: Callable[[World], object]
    refused: frozenset[str] = EVERYBODY
    said: str = ""
    campaign: str = "daily"
    day: date | None = DAY
    at: datetime | None = None


NOBODY: frozenset[str] = frozenset()
BUILD_ALL = ("build",)


def commands(*each: str) -> Callable[[World], None]:
    """Commands of dbt, one after the other, whatever becomes of them."""

    def do(world: World) -> None:
        for command in each:
            assert world.dbt(*command.split()) in (0, 1), world.said

    return do


def then(first: Callable[[World], object], *each: str) -> Callable[[World], None]:
    """Something, then commands of dbt."""

    def do(world: World) -> None:
        first(world)
        commands(*each)(world)

    return do


def edit(name: str, before: str, after: str) -> Callable[[World], None]:
    return lambda world: world.edit(name, before, after)


def land(
    namespace: str | None, email: str | None = "new@example.com", day: date = DAY, event: str = "open"
) -> Callable[[World], None]:
    return lambda world: world.land(namespace, email, day, event)


def rebuild(day: date) -> str:
    """Variables that ask for a day to be built."""
    return f'{{"rebuild_from":"{day}","rebuild_to":"{day}"}}'


def weaken(config: str) -> Callable[[World], None]:
    """Another configuration of the test of namespace on stg_events."""
    return edit("models/models.yml", STAGED, STAGED.replace("never_null", f"{{never_null: {{config: {{{config}}}}}}}"))


def days_earlier(world: World) -> None:
    """As if all commands had run three days earlier: the build of the day before yesterday failed, and the next one."""
    columns = "started_at = started_at - interval 3 day, ended_at = ended_at - interval 3 day"
    world.sql(
        f"update build_log set {columns}, began_at = began_at - interval 3 day", f"update build_days set {columns}"
    )


def an_hour_earlier(world: World) -> None:
    world.sql("update build_log set started_at = started_at - interval 61 minute")


def unknown_to_the_manifest(world: World) -> None:
    """The manifest of another branch, without the test that failed in the last build."""
    before = (world.folder / "target" / "manifest.json").read_text()
    world.edit("models/models.yml", STAGED, STAGED.replace("never_null", "never_null, unique"))
    world.dbt("run")
    world.dbt("test")
    (world.folder / "target" / "manifest.json").write_text(before)


def accepted(world: World) -> None:
    world.edit("models/models.yml", STAGED, STAGED.replace("[never_null]", "[]"))
    with (world.folder / "seeds" / "accepted_tests.csv").open("a") as seed:
        seed.write("never_null_stg_events_namespace,gone,the source has it\n")
    world.dbt("build")


def spoil_without_a_trace(world: World) -> None:
    """A row that no test has looked at since it was tested: the weekly run finds it, the daily one does not look."""
    world.sql(f"update events set email = 'nobody' where event_day = date '{BEFORE}' and namespace = '{ACME}'")


def deferred(world: World) -> None:
    (world.folder / "state").mkdir()
    (world.folder / "state" / "manifest.json").write_text((world.folder / "target" / "manifest.json").read_text())
    world.dbt("run", "--select", "events", "--defer", "--state", "state")


def killed(at: int) -> Callable[[World], object]:
    return lambda world: world.dbt("build", "--full-refresh", DIE_AT_EVENT=str(at))


def clock_ahead(world: World) -> None:
    ahead = "started_at = started_at + interval 1 day"
    world.sql(f"update build_log set {ahead}")


def taken_back(world: World) -> None:
    """A command of tomorrow stops builds; taken back, all is built anew."""
    clock_ahead(world)
    assert world.dbt("build") != 0
    assert "take_back" in world.said, world.said
    invocation = world.said.split("{invocation_id: ")[1].split("}")[0]
    assert world.dbt("run-operation", "take_back", "--args", json.dumps({"invocation_id": invocation})) == 0, world.said
    assert world.dbt("build") == 0, world.said


def parents_last(world: World) -> None:
    """What is to leave was built since, of what had not been; then that was, and all was tested."""
    days_earlier(world)
    world.land(ACME)
    commands("run --select events", "seed", "run --exclude events", "test")(world)


def taken_back_alone(world: World) -> None:
    """Tables that do not grow still hold what the command made."""
    world.land(ACME, BAD)
    world.dbt("run", "--select", "people")
    (invocation,) = world.asked("select invocation_id from build_log order by started_at desc limit 1")
    assert world.dbt("run-operation", "take_back", "--args", json.dumps({"invocation_id": invocation})) == 0, world.said


def another_project(world: World) -> None:
    """One of another name, with a model of its own in the place of ours."""
    other = world.folder / "other"
    (other / "models").mkdir(parents=True)
    name = "flags: {send_anonymous_usage_stats: false}"
    (other / "dbt_project.yml").write_text(f"name: other\nprofile: gate\nconfig-version: 2\n{name}\n")
    at = str(world.folder / "warehouse.duckdb")
    profiles = (world.folder / "profiles.yml").read_text().replace("warehouse.duckdb", at)
    (other / "profiles.yml").write_text(profiles)
    (other / "dbt_packages").symlink_to(world.folder / "dbt_packages")
    people = "{{ config(materialized='table') }} select 'acme_outdoor' as namespace, 'theirs' as email"
    (other / "models" / "people.sql").write_text(people)
    here = ("--project-dir", str(other), "--profiles-dir", str(other), "--target-path", str(other / "target"))
    assert world.dbt("run", *here) == 0, world.said


def another_name(world: World) -> None:
    """The manifest of a branch in which the table has another name: one that a build of days ago was made into."""
    world.sql("create table events_then as from events limit 1")
    world.edit("models/events.sql", "config(", "config(alias='events_then', ")
    commands("parse")(world)


def weakened_form(world: World) -> None:
    """The project's own form of a test that dbt brings says nothing while it runs, and is gone then."""
    macros = world.folder / "macros"
    there = macros.resolve()
    macros.unlink()
    shutil.copytree(there, macros)
    commands("run")(world)
    form = macros / "form.sql"
    form.write_text("{% macro default__test_unique(model, column_name) %} select 1 where false {% endmacro %}\n")
    commands("test")(world)
    form.unlink()
    commands("parse")(world)


def asked_in_vain(world: World) -> None:
    """A source that was silent, and then cannot be asked: nobody knows of anything that has landed since."""
    source, known = "      - name: landed\n", "loaded_at_field: landed_at"
    config = f"        config: {{{known}, freshness: {{error_after: {{count: 1, period: hour}}}}}}\n"
    world.edit("models/models.yml", source, source + config)
    world.sql("update main.landed set landed_at = landed_at - interval 5 day")
    commands("build", "source freshness")(world)
    world.edit("models/models.yml", known, "loaded_at_field: no_such_column")
    commands("source freshness")(world)


def manifest_without_a_parent(world: World) -> None:
    """That of another branch, where nothing is made of the model whose test fails."""
    before = (world.folder / "target" / "manifest.json").read_text()
    (world.folder / "models" / "extra.sql").write_text("select distinct event from {{ source('raw', 'landed') }}")
    listed = "{listed_in: {arguments: {to: ref('accepted_tests'), field: test, key: event}}}"
    column = f"columns: [{{name: event, data_tests: [{listed}]}}]"
    (world.folder / "models" / "extra.yml").write_text(f"models: [{{name: extra, {column}}}]\n")
    world.edit(
        "models/events.sql", "order by", "and stg_events.event in (select event from {{ ref('extra') }})\norder by"
    )
    commands("run", "test")(world)
    (world.folder / "target" / "manifest.json").write_text(before)


def a_view_of_the_source(world: World) -> None:
    world.edit("models/people.sql", "config(", "config(materialized='view', ")
    commands("build")(world)
    world.land(ACME, BAD)


def weakened_rule(world: World) -> None:
    """The macro of a test says less while it runs, and is then as it was."""
    world.land(ACME, BAD)
    rule, weak = "not like '%@%'", "not like '%'"
    commands("run")(world)
    world.edit("tests/generic/tests.sql", rule, weak)
    commands("test")(world)
    world.edit("tests/generic/tests.sql", weak, rule)
    commands("parse")(world)


def weakened_by_a_variable(world: World) -> None:
    sign = '{{ "" if var("bad") == "weak" else "@" }}'
    world.edit("tests/generic/tests.sql", "not like '%@%'", f"not like '%{sign}%'")
    commands("build")(world)
    world.land(ACME, BAD)
    commands("run", 'test --vars {"bad":"weak"}')(world)


def without_the_log(world: World) -> None:
    world.sql("drop table build_log")


def accepted_key(world: World) -> None:
    world.edit(
        "models/models.yml", KEY, "- never_null: {arguments: {column_name: email}, config: {where: __rebuilt_days__"
    )


BAD = "no address"
WAYS = [
    # What may leave: a gate that refuses everything is none
    Way("built and tested", commands(), NOBODY),
    Way("nothing selected", commands("build --select nosuch"), NOBODY),
    Way("tested again", commands("test"), NOBODY),
    Way("run, then tested", commands("seed", "run", "test"), NOBODY),
    Way("the weekly run passes", commands(f"build --vars {ALL_DAYS}"), NOBODY),
    Way("built twice", commands("build", "build"), NOBODY),
    Way("built anew", commands("build --full-refresh"), NOBODY),
    Way("a late row", then(land(ACME), "build"), NOBODY),
    Way("what nothing is made of is built", commands("run --select beside"), NOBODY),
    Way("compiled, listed and parsed", commands("parse", "compile", "ls"), NOBODY),
    Way("a bad row of another day", then(land(ACME, BAD, BEFORE), "build"), NOBODY),
    Way("a test that is gone, accepted by name", accepted, NOBODY),
    Way("a command of tomorrow, taken back", taken_back, NOBODY),
    Way("the state now, built now", commands(), NOBODY, campaign="hourly", day=None),
    Way("a day asked for, on which nothing came",
        commands(f"build --vars {rebuild(BEFORE - timedelta(days=2))}"),
        NOBODY, day=BEFORE - timedelta(days=2)),
    # Not built, or not whole
    Way("built before the day ended", days_earlier, said="not built since the window ended"),
    Way("a state built before its slot", an_hour_earlier, said="not built since the slot", campaign="hourly", day=None),
    Way("a day that has not come", commands(), said="yet to come", day=TODAY, at=datetime.now(UTC) + timedelta(days=1)),
    Way("a day that no build has on record", commands(), said="no build has it on record",
        day=BEFORE - timedelta(days=1)),
    Way("from nothing", commands("build --empty")),  # no client is known then
    Way("from nothing, its own models only", commands("run --empty --select events"), said="partial"),
    Way("from another schema's tables", deferred, said="partial"),
    Way("a model that fails", then(edit("models/events.sql", "stg_events.email,", "no_such_column as email,"), "build"),
        said="ended as error"),
    Way("skipped, as what is above it failed",
        then(edit("models/stg_events.sql", "select *,", "select *, no_such_column,"), "build"), said="skipped"),
    Way("a clock that was ahead", clock_ahead, said="yet to come"),
    Way("no log", without_the_log, said="cannot be read"),
    *(Way(f"killed at event {at}", killed(at), said="did not end") for at in KILLED_AT),
    Way("built before what it is made of", parents_last, said="not built since what they are made of was"),
    Way("taken back and not built again", taken_back_alone, said="did not end", campaign="hourly", day=None),
    Way("another project in the same schema", another_project, said="into the same table", campaign="hourly", day=None),
    Way("a manifest that lacks a parent", manifest_without_a_parent, said="read other models"),
    Way("a table of another name", another_name, said="its last build was into"),
    Way("a silent source that cannot be asked", asked_in_vain, said="nothing has landed since"),
    Way("a view of a source", a_view_of_the_source, said="tested or not", campaign="hourly", day=None),
    # Not tested
    Way("run alone", commands("run"), said="no result since"),
    Way("run anew alone", commands("run --full-refresh --select events"), said="no result"),
    Way("built without tests", commands("build --exclude-resource-type test"), said="no result since"),
    Way("built without one test", commands("build --exclude has_at_events_email__unique_key"), NOBODY),
    Way("a day built without one test", then(land(ACME), "build --exclude has_at_events_email__unique_key"),
        said="has_at_events_email__unique_key: no result for"),
    Way("a code list changed, nothing tested", then(edit("seeds/codes.csv", "opened", "seen"), "seed --select codes"),
        said="no result since"),
    Way("what the runner reads changed, nothing tested",
        then(edit("seeds/event_spellings.csv", "OPEN", "OPENED"), "seed --select event_spellings"),
        said="no result since"),
    Way("the list of clients built, nothing tested", commands("run --select namespaces"), said="no result since"),
    Way("a code list changed, and all days tested with it",
        then(edit("seeds/codes.csv", "opened", "seen"), "seed", "run --exclude events", "test"), NOBODY),
    Way("a code list changed, of which an old day knows nothing",
        then(edit("seeds/codes.csv", "click,clicked\n", ""), "seed", "run --exclude events", "test"),
        said="listed_in_events_event"),
    Way("built with DBT_EMPTY", lambda world: world.dbt("build", DBT_EMPTY="1"), said="partial"),
    Way("tested with days chosen", then(land(ACME, BAD), "run", f"test --vars {rebuild(BEFORE)}"), frozenset({"acme"}),
        "has_at"),
    Way("tests that read nothing else", then(land(ACME), "build --select events --indirect-selection empty"),
        said="no result for"),
    Way("ended at the first failure", then(land(None), "build --fail-fast")),
    Way("tried again after a failure",
        then(edit("models/events.sql", "stg_events.email,", "no_such_column as email,"), "build", "retry"),
        said="ended as error"),
    # Failed
    Way("a bad row of a client", then(land(ACME, BAD), "build"), frozenset({"acme"}), "has_at_events_email"),
    Way("a bad row of the other", then(land(BRIGHT, BAD), "build"), frozenset({"brightside"}), "has_at_events_email"),
    Way("a bad row of nobody", then(land("nobody", BAD), "build"), said="has_at_events_email"),
    Way("a bad row, its own day", then(land(ACME, BAD, BEFORE), "build"), frozenset({"acme"}), "has_at", day=BEFORE),
    Way("a bad row, built again", then(land(ACME, BAD), "build", "build"), frozenset({"acme"}), "has_at_events_email"),
    Way("a bad row, tested again", then(land(ACME, BAD), "build", "test"), frozenset({"acme"}), "has_at_events_email"),
    Way("a key twice", then(land(ACME), "build", "run --full-refresh", "build"), NOBODY),
    Way("a row whose test says not whose it is", then(land(ACME, event="gone"), "build"), NOBODY),
    Way("a failing test above", then(land(None), "run", "test"), said="never_null_stg_events_namespace"),
    Way("a failing test above, built", then(land(None), "build"), said="never_null_stg_events_namespace"),
    Way("a failing test of an ephemeral model", then(
        edit("models/models.yml", "- name: event_time\n        data_tests: [never_null]",
             "- name: event_time\n        data_tests: [unique]"), "run", "test"), said="unique_thin_event_time"),
    Way("a failing test of a source", then(land(ACME, None, BEFORE - timedelta(days=9)), "seed", "run", "test"),
        refused=frozenset({"acme"}), said="never_null_raw_landed_email"),
    Way("a source that was not tested since it was read",
        then(land(ACME), "seed", "run", "test --exclude source:raw"),
        said="source_never_null_raw_landed_email: no result"),
    Way("the weekly run fails, a bounded one passes",
        then(spoil_without_a_trace, f"test --vars {ALL_DAYS}", "test"), frozenset({"acme"}),
        "when it last looked at all days", day=BEFORE),
    Way("the weekly run fails for another day",
        then(spoil_without_a_trace, f"test --vars {ALL_DAYS}", "test"), NOBODY),
    Way("a bad row whose client is spelt otherwise", then(land(" ACME_Outdoor", BAD), "build"),
        frozenset({"acme"}), "has_at_events_email"),
    Way("a bad row whose client is a blank", then(land(" ", BAD), "build"), said="has_at_events_email"),
    # Tests that say less, or are not there
    Way("a rule weakened while it ran", weakened_rule, said="has_at_events_email__unique_key: was changed since"),
    Way("a form of dbt's own test weakened while it ran", weakened_form,
        said="unique_namespaces_namespace: was changed since"),
    Way("a rule weakened by a variable", weakened_by_a_variable, said="had other --vars"),
    Way("warns only", then(weaken("severity: warn"), "build"), said="severity: warn"),
    Way("where false", then(weaken('where: "false"'), "build"), said="where: false"),
    Way("where the days are not",
        then(edit("models/models.yml", KEY, KEY.replace("__rebuilt_days__", '"false"')), "build"),
        said="where: false"),
    Way("error_if", then(weaken('error_if: ">1000"'), "build"), said="error_if: >1000"),
    Way("warn_if", then(weaken('warn_if: ">1000"'), "build"), said="warn_if: >1000"),
    Way("limit", then(weaken("limit: 1"), "build"), said="limit: 1"),
    Way("fail_calc", then(weaken('fail_calc: count(*) * 0'), "build"), said="fail_calc: count(*) * 0"),
    Way("switched off", then(weaken("enabled: false"), "build"), said="enabled: false"),
    Way("switched off, parsed", then(weaken("enabled: false"), "parse"), said="enabled: false"),
    *(
        Way(f"all tests: {config}",
            then(edit("dbt_project.yml", "models:", f"data_tests: {{+{config}}}\nmodels:"), "build"), said=config)
        for config in ("severity: warn", "where: 1 = 0", "limit: 1")
    ),
    Way("a test deleted, parsed",
        then(edit("models/models.yml", STAGED, STAGED.replace("[never_null]", "[]")), "parse"),
        said="is gone"),
    Way("a test deleted, built", then(edit("models/models.yml", STAGED, STAGED.replace("[never_null]", "[]")), "build"),
        said="is gone"),
    Way("a failing test deleted, built",
        then(land(None), "build", ), said="never_null_stg_events_namespace"),
    Way("a failing test that the manifest does not know", unknown_to_the_manifest, said="is gone"),
    Way("a test changed, parsed",
        then(edit("tests/events_are_staged.sql", "is null", "is null and false"), "parse"), said="was changed since"),
    Way("no test of the key", then(accepted_key, "build"), said="no test tells its rows apart"),
]  # fmt: skip

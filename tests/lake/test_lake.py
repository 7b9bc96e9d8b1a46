"""A DuckLake as the warehouse: one snapshot, the order of writing, and errors that say what to do."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import psycopg
import pytest
from conftest import ROOT, Place
from dbt.adapters.duckdb.credentials import Attachment

from delivery.engines import lake, open_engine
from delivery.engines.lake_plugin import Plugin
from delivery.errors import ConfigError, WriteFailed
from delivery.project import Project, open_project

if TYPE_CHECKING:
    from collections.abc import Callable

    from delivery.engines import Engine

SECRET = "s3cret/p@ss"
DAYS = "select range as n, date '2026-11-01' + cast(range // 100 as int) as event_day from range(300)"
REBUILD = """
    begin transaction;
    delete from lake.delivery.t where event_day = date '2026-11-02';
    insert into lake.delivery.t select 100 + range as n, date '2026-11-02' as event_day from range(90);
    commit
"""


def numbers(engine: Engine, where: str = "true") -> list[int]:
    batches = engine.stream(f'select n from "lake"."delivery"."t" where {where}')
    return [n for batch in batches for n in batch["n"].to_pylist()]


# One snapshot


def test_a_reader_keeps_its_snapshot_while_a_build_commits_and_neither_waits(place: Place, target: Project) -> None:
    with place.writer() as writer:
        writer.execute(f"create table lake.delivery.t as {DAYS}")
        with open_engine(target) as engine:
            rows = engine.stream("select n from lake.delivery.t")
            first = next(rows)

            writer.execute(REBUILD)
            writer.execute("create table lake.delivery.t2 as select 1 as n")
            writer.execute("alter table lake.delivery.t rename to t_backup; alter table lake.delivery.t2 rename to t")

            assert first.num_rows + sum(batch.num_rows for batch in rows) == 300
            assert numbers(engine) == list(range(300))
        with open_engine(target) as engine:
            assert numbers(engine) == [1]


def test_a_reader_that_is_open_before_the_first_read_sees_one_snapshot_from_then_on(
    place: Place, target: Project
) -> None:
    with place.writer() as writer, open_new(writer, target) as engine:
        gate = engine.table("select count(*) as n from lake.delivery.t")["n"][0].as_py()
        writer.execute("insert into lake.delivery.t values (1000, date '2026-11-09')")
        assert len(numbers(engine)) == gate == 300


def open_new(writer: Any, target: Project) -> Any:
    writer.execute(f"create table lake.delivery.t as {DAYS}")
    return open_engine(target)


def test_a_reader_cannot_write(place: Place, target: Project) -> None:
    with place.writer() as writer, open_new(writer, target) as engine, pytest.raises(WriteFailed, match="read-only"):
        engine.table("insert into lake.delivery.t values (1, null)")


# Order, and what is left behind


def test_rows_come_back_in_the_order_of_writing_also_after_a_day_was_replaced(place: Place, target: Project) -> None:
    with place.writer() as writer:
        writer.execute(f"create table lake.delivery.t as {DAYS}")
        writer.execute(REBUILD)
        with open_engine(target) as engine:
            assert engine.keeps_order
            assert numbers(engine) == [*range(100), *range(200, 300), *range(100, 190)]
            by_position = engine.table("select n from lake.delivery.t order by rowid")["n"].to_pylist()
            assert by_position == numbers(engine), "stored_position() of macros/engine.sql is another order"
            assert numbers(engine, "event_day = date '2026-11-02'") == list(range(100, 190))


def test_rows_of_many_groups_are_written_in_order_and_read_in_little_memory(target: Project) -> None:
    wide = ", ".join(f"md5(cast(n * {number} as varchar)) || repeat('x', 60) as c{number}" for number in range(1, 13))
    with as_dbt_opens_it(target) as writer:
        writer.execute("create schema lake.delivery")
        writer.execute("create table lake.delivery.source as select range as n from range(200000)")
        writer.execute(f"create table lake.delivery.t as select n, {wide} from lake.delivery.source order by n")
    with open_engine(target) as engine:
        rows = [n for b in engine.stream("select * from lake.delivery.t") for n in b["n"].to_pylist()]
    assert rows == list(range(200_000))


def as_dbt_opens_it(target: Project) -> duckdb.DuckDBPyConnection:
    """With the options of profiles.yml, and what the plugin does."""
    connection = duckdb.connect(config=target.profile["config_options"])
    attached = [Attachment.from_dict(entry) for entry in target.profile["attach"]]
    Plugin("lake", {}, SimpleNamespace(attach=attached)).configure_connection(connection)
    return connection


def test_tidying_forgets_snapshots_and_files_and_loses_no_row(place: Place, target: Project) -> None:
    with place.writer() as writer:
        writer.execute(f"create table lake.delivery.t as {DAYS}")
        for _ in range(3):
            writer.execute(REBUILD)
    before = {path.name for path in place.data.rglob("*.parquet")}
    kept = place.run("dbt", "run-operation", "--target", "lake", "tidy_lake")
    assert "0 snapshots forgotten, 0 files removed" in kept.stdout
    waiting = place.run("dbt", "run-operation", "--target", "lake", "tidy_lake", "--args", "{days: 0}")
    assert re.search(r"[1-9]\d* snapshots forgotten, 0 files removed", waiting.stdout)
    assert before <= {path.name for path in place.data.rglob("*.parquet")}

    done = place.run("dbt", "run-operation", "--target", "lake", "tidy_lake", "--args", "{days: 0, grace_hours: 0}")

    assert done.returncode == 0, done.stdout
    after = {path.name for path in place.data.rglob("*.parquet")}
    assert len(after) < len(before)
    with open_engine(target) as engine:
        assert sorted(numbers(engine)) == [*range(190), *range(200, 300)]
        assert numbers(engine, "event_day = date '2026-11-02'") == list(range(100, 190))


def test_a_relative_folder_is_below_the_project(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_DATA", "files")
    monkeypatch.chdir(tmp_path)
    with replace_data(place, Path("files")).writer() as writer:
        writer.execute("create table lake.delivery.t as select 7 as n")
    monkeypatch.chdir("/")
    with open_engine(replace(open_project(ROOT, "lake", None), root=tmp_path)) as engine:
        assert numbers(engine) == [7]


def replace_data(place: Place, data: Path) -> Place:
    return Place(place.socket, place.database, data)


# What is missing


def test_a_missing_extension_is_the_extra(target: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake, "PACKAGE", "no_such_package_")
    with pytest.raises(ConfigError, match="extra `lake`") as refused, open_engine(target):
        pass
    assert "environment of its own" in refused.value.hint


def test_an_extension_for_another_duckdb_is_refused(target: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake.duckdb, "__version__", "9.9.9")
    with (
        pytest.raises(ConfigError, match=r"postgres_scanner .* not for DuckDB 9\.9\.9") as refused,
        open_engine(target),
    ):
        pass
    assert "lake.lock" in refused.value.hint


def test_nothing_is_downloaded(place: Place, target: Project) -> None:
    with place.writer() as writer, open_new(writer, target) as engine:
        asked = engine.table("select current_setting('autoinstall_known_extensions') as n")
    assert asked["n"].to_pylist() == [False]


def test_a_catalog_without_a_lake_says_to_build_and_is_left_as_it_is(place: Place, target: Project) -> None:
    with pytest.raises(ConfigError, match="no lake in the catalog") as refused, open_engine(target):
        pass
    assert "run --build" in refused.value.hint
    with psycopg.connect(host=place.socket, user="delivery", dbname=place.database) as connection:
        assert not connection.execute("select 1 from pg_namespace where nspname = 'lake'").fetchall()


def test_files_that_are_not_there_name_the_folder(place: Place, target: Project) -> None:
    with place.writer() as writer, open_new(writer, target) as engine:
        place.data.rename(place.data.with_name("elsewhere"))
        with pytest.raises(WriteFailed, match=r"The lake could not be read: .*data") as failed:
            numbers(engine)
    assert "LAKE_DATA" in failed.value.hint


# The server


@pytest.mark.parametrize("wrong", [{"PGHOST": "/nowhere"}, {"PGDATABASE": "no_such"}, {"PGUSER": "nobody_known"}])
def test_a_server_that_does_not_let_us_in_is_said_without_the_password(
    place: Place, wrong: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPASSWORD": SECRET, **wrong}.items():
        monkeypatch.setenv(name, value)
    target = with_password_in_the_profile(open_project(ROOT, "lake", None))

    with pytest.raises(ConfigError, match="does not let us in: ") as refused, open_engine(target):
        pass

    said = refused.value.message + refused.value.hint
    assert "PGHOST" in said
    assert "\n" not in refused.value.message
    assert "s3cret" not in said


def with_password_in_the_profile(target: Project) -> Project:
    """As somebody may write it who does not read that PGPASSWORD is enough."""
    (entry,) = target.profile["attach"]
    return replace(
        target, profile=target.profile | {"attach": [entry | {"path": f"{entry['path']} password='{SECRET}'"}]}
    )


def test_a_server_that_stops_while_it_is_read_is_said_without_the_password(
    place_in: Callable[[str], Place], own_server: tuple[str, Callable[[], None]]
) -> None:
    socket, stop = own_server
    place = place_in(socket)
    with place.writer() as writer:
        writer.execute(f"create table lake.delivery.t as {DAYS}")
    with open_engine(with_password_in_the_profile(open_project(ROOT, "lake", None))) as engine:
        stop()
        with pytest.raises(WriteFailed, match="The lake could not be read: ") as failed:
            engine.table("select count(*) from lake.delivery.t")
    assert "s3cret" not in failed.value.message
    assert "server is up" in failed.value.hint


class Quoting:
    """A connection whose errors quote how the server is reached, wherever they stand."""

    def execute(self, statement: str) -> None:
        raise lake.duckdb.IOException("it broke at password=s3cret and stayed so")

    sql = execute


def test_the_login_is_cut_out_of_errors_of_any_form() -> None:
    with pytest.raises(ConfigError, match=r"in: it broke at \.\.\. and stayed so"):
        lake.attach(Quoting(), "ducklake:postgres:password=s3cret", "attach")
    with pytest.raises(WriteFailed, match=r"read: it broke at \.\.\. and stayed so"):
        lake.Lake(Quoting(), "password=s3cret").table("select 1")


def test_the_password_of_the_environment_opens_the_lake_and_another_does_not(
    place_in: Callable[[str], Place],
    own_server: tuple[str, Callable[[], None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    socket, _ = own_server
    place = place_in(socket)
    with place.writer() as writer:
        writer.execute("create table lake.delivery.t as select 7 as n")
    with psycopg.connect(host=socket, user="delivery", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"alter role delivery password '{SECRET}'")
        Path(socket, "data", "pg_hba.conf").write_text("local all all scram-sha-256\n")
        connection.execute("select pg_reload_conf()")
    monkeypatch.setenv("PGPASSWORD", SECRET)
    target = open_project(ROOT, "lake", None)
    assert SECRET not in str(target.profile)
    with open_engine(target) as engine:
        assert numbers(engine) == [7]

    monkeypatch.setenv("PGPASSWORD", "wr0ng")
    with pytest.raises(ConfigError, match="password authentication failed") as refused, open_engine(target):
        pass
    assert "wr0ng" not in refused.value.message


# The commands


def test_the_commands_say_that_the_server_is_away(place: Place) -> None:
    place.environment |= {"PGHOST": "/nowhere", "PGPASSWORD": SECRET}

    built = place.run("delivery", "--target", "lake", "run", "--build", "--window", "2026-11-03")
    planned = place.run("delivery", "--target", "lake", "plan", "--window", "2026-11-03")

    assert (built.returncode, planned.returncode) == (3, 2)
    for done in (built, planned):
        assert "The lake's catalog does not let us in: " in all_said(done)
        assert "Traceback" not in all_said(done)
        assert "s3cret" not in all_said(done)
    logs = [path.read_text() for path in Path(place.environment["DBT_LOG_PATH"]).iterdir()]
    assert logs
    assert all("s3cret" not in text for text in logs)


def all_said(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


def test_more_than_one_thread_is_refused_before_anything_is_built(place: Place) -> None:
    done = place.run("dbt", "build", "--target", "lake", "--threads", "2", "--select", "event_types")

    assert done.returncode == 2
    assert "A lake is built by one thread, and there are 2." in done.stdout
    assert not list(place.data.rglob("*.parquet"))

"""Raw tables on PostgreSQL: whatever arrives, changes or dies, they hold each file's last version, whole and once."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delivery.cli import cli
from delivery.config.project import Project
from delivery.errors import Busy, ConfigError, WriteFailed
from delivery.operations import raw_postgres
from delivery.operations.loading import Landed, Loaded
from delivery.operations.raw_postgres import open_raw
from delivery.warehouse.landing import landed_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILES = ("sendgrid/a.ndjson", "sendgrid/b.ndjson", "platform/halts/a.ndjson")
SOURCES = {("sendgrid", "events"): "sendgrid/", ("platform", "halts"): "platform/halts/"}
ROWS = pa.schema(
    {
        "payload": pa.string(),
        "fault": pa.string(),
        "file_name": pa.string(),
        "line_number": pa.int64(),
        "landed_at": pa.timestamp("us"),
        "loaded_at": pa.timestamp("us"),
    }
)


class World:
    """A landing folder, a database, and what the raw tables should hold."""

    def __init__(self, url: str, root: Path) -> None:
        self.server = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
        info = self.server.info
        profile = {
            "type": "postgres",
            "host": info.host,
            "user": "delivery",
            "dbname": info.dbname,
            "schema": "delivery",
        }
        self.project = Project(root, "postgres", profile, root / ".delivery", root, "")
        self.versions = dict[str, tuple[int, int]]()  # of each file: how often it changed, and its rows

    def begin_anew(self) -> None:
        """Nothing has arrived, nothing is loaded."""
        self.server.execute("drop schema if exists sendgrid, platform, landing cascade")
        self.versions.clear()

    def arrives(self, name: str, rows: int) -> None:
        """A file, or another version of it, whose time is its version's."""
        version = self.versions.get(name, (0, 0))[0] + 1
        path = self.project.root / "landing" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{version}\n" * rows)
        os.utime(path, (version * 86_400, version * 86_400))
        self.versions[name] = (version, rows)

    def read(self, known: pa.Table) -> Landed:
        """As the macro reads it: the files that are new or changed, and the rows of each."""
        held = {tuple(row.values()) for row in known.to_pylist()}
        files, parts = [], {}
        for name in sorted(self.versions):
            stat = (self.project.root / "landing" / name).stat()
            at = pa.scalar(int(stat.st_mtime) * 1_000_000, pa.timestamp("us")).as_py()
            if (name, stat.st_size, at) not in held:
                files.append({"file_name": name, "file_size": stat.st_size, "modified_at": at})
        for (schema, table), folder in SOURCES.items():
            rows = [
                {
                    "payload": f"{version}\0",
                    "file_name": name,
                    "line_number": line,
                    "landed_at": None,
                    "loaded_at": None,
                }
                for name, (version, count) in sorted(self.versions.items())
                if name.startswith(folder) and any(file["file_name"] == name for file in files)
                for line in range(count)
            ]
            parts[schema, table] = self.project.root / f"{schema}.{table}.parquet"
            pq.write_table(pa.Table.from_pylist(rows, schema=ROWS), parts[schema, table])
        return Landed(files, parts)

    def load(self) -> Loaded:
        """What `delivery load` does with what it read."""
        with open_raw(self.project) as tables:
            return tables.take(self.read(tables.known()))

    def held(self) -> dict[str, list[tuple[int, int]]]:
        """Of each file, version and line of its rows."""
        found = dict[str, list[tuple[int, int]]]()
        for schema, table in SOURCES:
            if self.server.execute(f"select to_regclass('{schema}.{table}')").fetchone() == (None,):
                continue
            for name, payload, line in self.server.execute(
                f"select file_name, payload, line_number from {schema}.{table}"
            ):
                found.setdefault(name, []).append((int(payload.rstrip("\ufffd")), line))
        return {name: sorted(rows) for name, rows in found.items()}

    def dies(self) -> None:
        """The server ends every connection but ours."""
        self.server.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )


@pytest.fixture
def world(new_database: Callable[[], str], tmp_path: Path) -> Iterator[World]:
    made = World(new_database(), tmp_path)
    yield made
    made.server.close()


def rows_of(version: int, count: int) -> list[tuple[int, int]]:
    return [(version, line) for line in range(count)]


ARRIVALS = st.tuples(st.sampled_from(FILES), st.integers(0, 3))
LOADS = st.tuples(st.just("load"), st.one_of(st.none(), st.integers(0, 4)))


@settings(max_examples=int(os.environ.get("LOADS", "6")), deadline=None, suppress_health_check=list(HealthCheck))
@given(history=st.lists(st.one_of(ARRIVALS, LOADS), min_size=2, max_size=12))
def test_any_history_of_loads(history: list[tuple[str, Any]], world: World) -> None:
    """Files arrive, change, get empty; loads die at any file; then one is let end. LOADS: draws."""
    world.begin_anew()
    for what, how in [*history, ("load", None), ("load", None)]:
        if what != "load":
            world.arrives(what, how)
            continue
        with pytest.MonkeyPatch.context() as patch:
            if how is not None:
                patch.setattr(raw_postgres, "BATCH_ROWS", 1)
                patch.setattr(raw_postgres, "sha256_as_listed", dying(world, raw_postgres.sha256_as_listed, how))
            before = world.held()
            with suppress(WriteFailed):
                loaded = world.load()
        for name, rows in world.held().items():
            assert rows in (before.get(name, []), rows_of(*world.versions[name])), name
    assert loaded == Loaded(0, 0)
    assert world.held() == {name: rows_of(*of) for name, of in world.versions.items() if of[1]}
    notes = world.server.execute("select file_name, row_count from landing.files order by loaded_at").fetchall()
    assert dict(notes) == {name: rows for name, (_, rows) in world.versions.items()}


def dying(world: World, goes_on: Callable[..., Any], at: int) -> Callable[..., Any]:
    """In place of what looks at a file between its rows and its note: the connection is lost at one of them."""
    calls = iter(range(at, -1, -1))

    def look(*arguments: Any) -> Any:
        if next(calls, None) == 0:
            world.dies()
        return goes_on(*arguments)

    return look


def test_a_file_that_changes_while_it_is_read_is_left_for_the_next_load(world: World) -> None:
    for name in FILES:
        world.arrives(name, 2)
    with open_raw(world.project) as tables:
        landed = world.read(tables.known())
        world.arrives(FILES[0], 3)
        (world.project.root / "landing" / FILES[2]).unlink()
        assert tables.take(landed) == Loaded(1, 2, (FILES[0], FILES[2]))
    assert world.held() == {FILES[1]: rows_of(1, 2)}


def test_what_cannot_be_read_and_names_that_are_told_otherwise_are_loaded_once(world: World) -> None:
    """Each is a row that names it; a pipe holds nobody up, and no link is followed."""
    root = world.project.root / "landing"
    folder = root / "sendgrid"
    folder.mkdir(parents=True)
    (folder / "new\nline.ndjson").write_text("1\n")
    (folder / "link.ndjson").symlink_to(folder / "new\nline.ndjson")
    os.mkfifo(folder / "pipe.ndjson")
    files = sorted(landed_files(str(root)), key=lambda file: str(file["file_name"]))
    part = world.project.root / "rows.parquet"
    rows = [{"payload": "1", "file_name": file["file_name"], "line_number": 1} for file in files]
    pq.write_table(pa.Table.from_pylist(rows, schema=ROWS), part)
    with open_raw(world.project) as tables:
        assert tables.take(Landed(files, {("sendgrid", "events"): part})) == Loaded(3, 3)
        assert sorted(tables.known().to_pylist(), key=lambda file: str(file["file_name"])) == files
    (folder / "pipe.ndjson").unlink()
    pq.write_table(pa.Table.from_pylist(rows[2:], schema=ROWS), part)
    with open_raw(world.project) as tables:
        assert tables.take(Landed(files[2:], {("sendgrid", "events"): part})) == Loaded(0, 0, ("sendgrid/pipe.ndjson",))


def test_one_loader_at_a_time_and_times_that_grow(world: World) -> None:
    with open_raw(world.project), pytest.raises(Busy, match="Another `load`"), open_raw(world.project):
        pass
    for name in FILES:
        world.arrives(name, 1)
    world.load()
    world.server.execute(
        "update landing.files set loaded_at = loaded_at + interval '1 year' where file_name = %s", FILES[:1]
    )
    world.arrives(FILES[1], 1)
    world.load()
    (first, last) = world.server.execute("select min(loaded_at), max(loaded_at) from sendgrid.events").fetchone() or ()
    noted = world.server.execute("select file_name from landing.files order by loaded_at desc limit 1").fetchone()
    assert noted == FILES[1:2]
    assert (last - first).days > 300


def test_tables_are_found_whatever_comes_first_on_the_search_path(world: World) -> None:
    world.server.execute("create schema delivery")  # the user's name: it comes first
    world.arrives(FILES[0], 1)
    world.load()
    world.server.execute("drop schema delivery cascade")
    assert world.load() == Loaded(0, 0)


def test_a_role_that_may_only_fill_tables(world: World) -> None:
    """Schemas and tables are made by whoever may; what a role may not do is said in the server's words."""
    database = world.server.info.dbname
    world.server.execute("drop role if exists filler")
    world.server.execute("create role filler login")
    world.project.profile["user"] = "filler"
    world.arrives(FILES[0], 2)
    try:
        with pytest.raises(ConfigError, match="permission denied for database") as refused:
            world.load()
        assert "docs/postgres.md" in refused.value.hint
        world.server.execute(f"grant create on database {database} to filler")
        assert world.load() == Loaded(1, 2)
        world.server.execute(f"revoke create on database {database} from filler")
        world.arrives(FILES[0], 3)
        assert world.load() == Loaded(1, 3)
        for table in ("landing.files", "sendgrid.events"):
            world.server.execute(f"alter table {table} owner to delivery")
            world.server.execute(f"grant select, insert, update, delete on {table} to filler")
        world.arrives(FILES[0], 1)
        assert world.load() == Loaded(1, 1)
        world.server.execute("revoke insert on sendgrid.events from filler")
        world.arrives(FILES[0], 2)
        with pytest.raises(ConfigError, match="permission denied for table events"):
            world.load()
        assert world.held() == {FILES[0]: rows_of(3, 1)}
    finally:
        world.server.execute("drop owned by filler cascade")
        world.server.execute("drop role filler")


def test_a_name_of_a_file_is_text_whatever_the_driver_takes_for_it(world: World) -> None:
    """It asks the server which of its types is text, and takes the first that is read alike: mostly text is."""
    world.server.execute("update pg_type set typname = typname where typname = 'text'")  # now it is the last one
    world.arrives(FILES[0], 2)
    world.load()
    world.arrives(FILES[0], 3)
    assert world.load() == Loaded(1, 3)
    assert world.held() == {FILES[0]: rows_of(2, 3)}


def test_a_target_without_raw_tables_is_told_where_its_data_is(world: World) -> None:
    root = world.project.root
    (root / "dbt_project.yml").write_text("name: x\nprofile: x\n")
    outputs = {"duckdb": {"type": "duckdb", "path": "w"}, "spark": {"type": "spark"}, "postgres": world.project.profile}
    (root / "profiles.yml").write_text(json.dumps({"x": {"target": "duckdb", "outputs": outputs}}))
    for target, words in (
        ("duckdb", "LANDING_DIR itself"),
        ("spark", "RAW_DIR is ''"),
        ("postgres", "There is no landing folder"),
    ):
        found = CliRunner().invoke(
            cli, ["--project-dir", str(root), "--target", target, "load"], env={"RAW_DIR": "", "LANDING_DIR": "nowhere"}
        )
        assert found.exit_code == 2
        assert words in " ".join(found.output.split())

"""DuckDB as an engine: one snapshot, flat memory, a build that holds the file is waited for, faults are told apart."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import duckdb
import pytest

from delivery.config.project import Project
from delivery.errors import Busy, ConfigError, WriteFailed
from delivery.warehouse.duckdb import BATCH_ROWS, DuckDB, open_duckdb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLD = """
import duckdb, sys, time
held = duckdb.connect(sys.argv[1])
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def opened(tmp_path: Path) -> Project:
    """A project whose warehouse has a table of 20,000 rows."""
    with closing(duckdb.connect(str(tmp_path / "w.duckdb"))) as connection:
        connection.execute("create table t as select i, repeat('x', 100) as text from range(20_000) r(i)")
    return Project(
        tmp_path, "dev", {"type": "duckdb", "path": "w.duckdb"}, tmp_path / ".delivery", tmp_path / "share", ""
    )


@contextmanager
def held(path: Path, seconds: float) -> Iterator[None]:
    """Another process writes to the file for so long."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.kill()


def test_batches_are_of_at_most_so_many_rows_and_none_is_missing(opened: Project) -> None:
    with open_duckdb(opened) as engine:
        sizes = [batch.num_rows for batch in engine.stream("select * from t")]
    assert sum(sizes) == 20_000
    assert max(sizes) == BATCH_ROWS


def test_memory_is_small_for_a_scan_and_larger_for_a_sort(opened: Project) -> None:
    limit = "select current_setting('memory_limit') as has, current_setting('threads') as threads"
    with open_duckdb(opened) as engine:
        assert engine.table(limit).to_pylist() == [{"has": "45.7 MiB", "threads": 1}]
        list(engine.stream("select 1", sorts=True))
        assert engine.table(limit)["has"].to_pylist() == ["183.1 MiB"]
        list(engine.stream("select 1"))
        assert engine.table(limit)["has"].to_pylist() == ["45.7 MiB"]


def test_what_spills_lies_in_a_folder_of_its_own_that_only_its_user_reads(opened: Project) -> None:
    with open_duckdb(opened) as engine:
        (row,) = engine.table("select current_setting('temp_directory') as at").to_pylist()
    assert row["at"] == str(opened.state / "scratch")
    assert (opened.state / "scratch").stat().st_mode & 0o777 == 0o700


def test_it_is_read_only_and_free_again_after_it(opened: Project) -> None:
    with open_duckdb(opened) as engine, pytest.raises(WriteFailed, match="could not be read"):
        engine.table("create table another (i int)")
    with closing(duckdb.connect(str(opened.root / "w.duckdb"))) as writer:
        writer.execute("insert into t values (1, 'y')")
    with pytest.raises(ZeroDivisionError), open_duckdb(opened):
        1 / 0  # noqa: B018
    duckdb.connect(str(opened.root / "w.duckdb")).close()


def test_a_build_that_ends_is_waited_for_and_named(
    opened: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DELIVERY_LOCK_WAIT", "20")
    with held(opened.root / "w.duckdb", 1.5), open_duckdb(opened) as engine:
        assert engine.table("select count(*) as n from t")["n"].to_pylist() == [20_000]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1  # said once, however often it tries
    assert "The warehouse is held by " in said[0]
    assert "PID" in said[0]
    assert said[0].endswith("; waiting up to 20 s.")


def test_a_build_that_does_not_end_is_given_up_on_after_the_stated_time(
    opened: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELIVERY_LOCK_WAIT", "1")
    began = time.monotonic()
    with (
        held(opened.root / "w.duckdb", 60),
        pytest.raises(Busy, match=r"held by .*PID.*, and still after 1 s\.") as busy,
        open_duckdb(opened),
    ):
        pass
    assert 1 <= time.monotonic() - began < 20
    assert "DELIVERY_LOCK_WAIT" in busy.value.hint


def test_without_a_setting_it_waits_a_minute(opened: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []
    monkeypatch.delenv("DELIVERY_LOCK_WAIT", raising=False)

    def connect(_path: str, _settings: object, wait: float) -> duckdb.DuckDBPyConnection:
        waits.append(wait)
        return duckdb.connect()

    monkeypatch.setattr("delivery.warehouse.duckdb._connect", connect)
    with open_duckdb(opened):
        pass
    assert waits == [60.0]


def test_what_is_no_warehouse_is_said_and_not_quoted(opened: Project, tmp_path: Path) -> None:
    (tmp_path / "w.duckdb").unlink()
    with pytest.raises(ConfigError, match=r"There is no warehouse at .*w\.duckdb") as missing, open_duckdb(opened):
        pass
    assert "delivery run --build" in missing.value.hint
    (tmp_path / "w.duckdb").write_bytes(b"jane@example.com" * 1000)
    began = time.monotonic()
    with pytest.raises(WriteFailed, match="could not be read") as broken, open_duckdb(opened):
        pass
    assert time.monotonic() - began < 20  # nothing is waited for that no build will end
    assert "jane@example.com" not in str(broken.value)


def test_an_error_of_the_engine_keeps_its_first_line_without_values(opened: Project) -> None:
    with open_duckdb(opened) as engine:
        for read in (engine.table, lambda sql: list(engine.stream(sql))):
            with pytest.raises(WriteFailed, match="could not be read") as failed:
                read("select cast('jane@example.com' as integer)")
            assert "jane@example.com" not in failed.value.message
            assert "dbt build" in failed.value.hint


def test_two_readers_at_once_do_not_exclude_each_other(opened: Project) -> None:
    with open_duckdb(opened) as one, open_duckdb(opened) as two:
        assert isinstance(one, DuckDB)
        assert one.table("select 1 as n")["n"].to_pylist() == two.table("select 1 as n")["n"].to_pylist()

"""Tables with logs of their own, written by the libraries that read them: only what the last snapshot holds is read."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.types import StringType
from pyiceberg.utils.config import Config

from delivery.config.project import Project
from delivery.errors import GateRefused
from delivery.warehouse import open_engine

if TYPE_CHECKING:
    from pathlib import Path

DAYS = [date(2026, 11, day) for day in (2, 3, 3, 4)]
ROWS = pa.table({"n": [1, 2, 3, 4], "said": ["a", "b", "c", "d"], "event_day": DAYS})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the schema; beside each table lies one of plain parquet, which nothing of the others concerns."""
    found = tmp_path / "wh" / "delivery.db"
    (found / "plain").mkdir(parents=True)
    pq.write_table(ROWS, found / "plain" / "part-00000.parquet")
    (found / "plain" / "_SUCCESS").touch()
    return found


def project(folder: Path, **formats: str) -> Project:
    """formats: what the models say of theirs."""
    root = folder.parents[1]
    (root / "target").mkdir(exist_ok=True)
    nodes = {f"model.x.{name}": {"name": name, "config": {"file_format": kind}} for name, kind in formats.items()}
    (root / "target" / "manifest.json").write_text(json.dumps({"nodes": nodes}))
    settings = {"server_side_parameters": {"spark.sql.warehouse.dir": str(folder.parent)}}
    return Project(root, "spark", {"type": "spark", "schema": "delivery"} | settings, root / "state", root, "")


def rows(where: Project, sql: str) -> list[tuple[Any, ...]]:
    with open_engine(where) as engine:
        return [tuple(row.values()) for row in engine.table(sql).to_pylist()]


def refused(where: Project, name: str) -> str:
    """Why a table is not read; the one beside it is."""
    with open_engine(where) as engine:
        with pytest.raises(GateRefused, match=rf"\b{name}\b") as why:
            engine.table(f"select * from delivery.{name}")
        assert why.value.hint
        assert engine.table("select n from delivery.plain").num_rows == ROWS.num_rows
    return why.value.message


def test_what_a_delta_log_removed_is_not_read(folder: Path) -> None:
    table = folder / "events"
    write_deltalake(table, ROWS, partition_by=["event_day"])
    DeltaTable(table).delete("n = 2")
    pq.write_table(ROWS.drop(["event_day"]), table / "event_day=2026-11-03" / "part-of-a-killed-job.parquet")
    here = project(folder, events="delta")
    assert rows(here, "select n, event_day from delivery.events order by n") == [
        (1, DAYS[0]),
        (3, DAYS[1]),
        (4, DAYS[3]),
    ]
    of_a_day = """select n from `delivery`.`events` where "event_day" >= date '{}' and "event_day" < date '{}'"""
    assert rows(here, of_a_day.format("2026-11-03", "2026-11-04")) == [(3,)]
    assert rows(here, of_a_day.format("2027-01-01", "2027-01-02")) == []
    DeltaTable(table).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    write_deltalake(table, ROWS.slice(0, 1).set_column(0, "n", pa.array([9])), mode="overwrite")
    assert rows(here, "select n from delivery.events") == [(9,)]


def test_rows_that_are_alike_are_each_a_row(folder: Path) -> None:
    """A test that looks for doubled rows must see them."""
    for _ in range(2):
        write_deltalake(folder / "events", ROWS.slice(0, 1), mode="append")
    assert rows(project(folder, events="delta"), "select n from delivery.events") == [(1,), (1,)]


def test_a_delta_table_has_the_columns_and_times_of_its_log(folder: Path) -> None:
    table, at = folder / "events", datetime(2026, 11, 3, 1, 2, 3, 456789)
    times = pa.array([at], pa.timestamp("us", tz="UTC"))
    write_deltalake(table, pa.table({"n": [1], "seen_at": times}))
    write_deltalake(table, pa.table({"n": [2], "seen_at": times, "late": ["x"]}), mode="append", schema_mode="merge")
    here = project(folder)
    assert rows(here, "select n, seen_at, late from delivery.events order by n") == [(1, at, None), (2, at, "x")]
    DeltaTable(table).delete()
    with open_engine(here) as engine:
        assert engine.table("select * from delivery.events").schema.names == ["n", "seen_at", "late"]
        assert engine.table("select * from delivery.events").num_rows == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"],
                       "writerFeatures": ["deletionVectors"]}}, "deletionVectors"),
        ({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["unheardOf"],
                       "writerFeatures": ["unheardOf"]}}, "unheardOf"),
        ({"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}}, "columnMapping"),
        ({"protocol": {"minReaderVersion": 9, "minWriterVersion": 9}}, "events"),
    ],
)  # fmt: skip
def test_what_a_delta_log_says_beyond_its_files_is_refused(folder: Path, change: dict[str, Any], words: str) -> None:
    write_deltalake(folder / "events", ROWS)
    log = folder / "events" / "_delta_log" / "00000000000000000000.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        action.update(change if "protocol" in action else {})
        if "metaData" in action and words == "columnMapping":
            action["metaData"]["configuration"] |= {"delta.columnMapping.mode": "name"}
            schema = json.loads(action["metaData"]["schemaString"])
            for number, field in enumerate(schema["fields"]):
                field["metadata"] = {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": f"c{number}"}
            action["metaData"]["schemaString"] = json.dumps(schema)
    log.write_text("\n".join(json.dumps(action) for action in actions))
    assert words in refused(project(folder), "events")


def test_what_a_delta_table_is_cut_by_has_the_type_that_its_log_says(folder: Path) -> None:
    for name, value in (("n", 7), ("event_day", DAYS[0]), ("price", Decimal("1.50"))):
        write_deltalake(folder / name, pa.table({"kept": [1], name: [value]}), partition_by=[name])
        assert rows(project(folder), f"select {name} from delivery.{name}") == [(value,)]


def test_a_delta_log_that_lists_what_is_not_there_is_refused(folder: Path) -> None:
    write_deltalake(folder / "events", ROWS)
    next((folder / "events").glob("*.parquet")).unlink()
    assert "not there" in refused(project(folder), "events")
    log = folder / "events" / "_delta_log" / "00000000000000000000.json"
    log.write_text(log.read_text()[:50])
    assert "cannot be read" in refused(project(folder), "events")


@pytest.fixture
def catalog(folder: Path, monkeypatch: pytest.MonkeyPatch) -> SqlCatalog:
    """A catalog, of which pyiceberg knows under the name of the target."""
    uri = f"sqlite:///{folder.parent}/catalog.sqlite"
    for key, value in {"URI": uri, "TYPE": "sql", "WAREHOUSE": f"file://{folder.parent}"}.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__SPARK__{key}", value)
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())  # it reads the environment when it is imported
    made = SqlCatalog("spark", uri=uri, warehouse=f"file://{folder.parent}")
    made.create_namespace("delivery")
    return made


def test_what_an_iceberg_catalog_says_is_read(folder: Path, catalog: SqlCatalog) -> None:
    table = catalog.create_table("delivery.events", ROWS.schema, location=f"file://{folder}/events")
    here = project(folder, events="iceberg")
    assert rows(here, "select * from delivery.events") == []
    table.append(ROWS)
    table.delete("n = 2")
    pq.write_table(ROWS, folder / "events" / "data" / "part-of-a-killed-job.parquet")
    assert rows(here, "select n from delivery.events order by n") == [(1,), (3,), (4,)]
    with table.update_schema() as update:
        update.add_column("late", StringType())
    assert rows(here, "select n, late from delivery.events order by n") == [(1, None), (3, None), (4, None)]
    with table.update_schema() as update:
        update.rename_column("said", "told")
    assert "renamed" in refused(here, "events")


def test_an_iceberg_table_without_its_catalog_is_refused(
    folder: Path, catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.create_table("delivery.events", ROWS.schema, location=f"file://{folder}/events").append(ROWS)
    for key in ("URI", "TYPE", "WAREHOUSE"):
        monkeypatch.delenv(f"PYICEBERG_CATALOG__SPARK__{key}")
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
    assert "its catalog does not tell its snapshot: ValueError" in refused(project(folder), "events")
    write_deltalake(folder / "events", ROWS)
    assert "the logs of delta and iceberg" in refused(project(folder), "events")

"""The parts of a Spark warehouse as the runner reads them; the parts are laid out as Spark does it."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from delivery.config.project import Project
from delivery.errors import ConfigError, GateRefused, WriteFailed
from delivery.warehouse import open_engine

if TYPE_CHECKING:
    from pathlib import Path


AT = datetime(2026, 11, 3, 1, 2, 3, 456789)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "wh" / "delivery.db"
    part(folder / "plain" / "part-00001-b.snappy.parquet", n=[3, 4])
    part(folder / "plain" / "part-00000-a.snappy.parquet", n=[1, 2])
    ended(folder / "plain")
    part(folder / "plain" / "_temporary" / "0" / "part-00002-c.snappy.parquet", n=[9])
    part(folder / "days" / "event_day=2026-11-02" / "part-00000.parquet", n=[2])
    part(folder / "days" / "event_day=2026-11-03" / "part-00000.parquet", n=[3])
    ended(folder / "days")
    (folder / "empty").mkdir()
    (tmp_path / "target").mkdir()
    node = {"name": "empty", "columns": {"n": {"data_type": "bigint"}, "said": {"data_type": "string"}}}
    (tmp_path / "target" / "manifest.json").write_text(json.dumps({"nodes": {"model.x.empty": node}}))
    profile = {
        "type": "spark",
        "schema": "delivery",
        "server_side_parameters": {"spark.sql.warehouse.dir": str(tmp_path / "wh")},
    }
    return Project(tmp_path, "spark", profile, tmp_path / "state", tmp_path / "share", "")


def part(path: Path, **columns: list[Any] | pa.Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def ended(table: Path) -> None:
    """As Spark's committer does it when all parts of a job are in their places."""
    (table / "_SUCCESS").touch()


def test_parts_are_read_by_name_and_unfinished_ones_are_not(project: Project) -> None:
    with open_engine(project) as engine:
        rows = [row["n"] for batch in engine.stream("select * from `delivery`.`plain`") for row in batch.to_pylist()]

    assert rows == [1, 2, 3, 4]


def test_a_name_is_found_however_it_is_written(project: Project) -> None:
    part(project.root / "wh" / "delivery.db" / "Mixed" / "part-00000.parquet", n=[5])
    ended(project.root / "wh" / "delivery.db" / "Mixed")
    said_by_dbt(project, "Elsewhere", location_root="/far")
    with open_engine(project) as engine:
        for name, rows in (("Mixed", [5]), ("mixed", [5]), ("Plain", [1, 2, 3, 4])):
            assert engine.table(f"select n from `delivery`.`{name}` order by n")["n"].to_pylist() == rows
        with pytest.raises(GateRefused, match="Elsewhere lies elsewhere"):
            engine.table("select n from delivery.elsewhere")


def test_the_days_of_parts_are_dates(project: Project) -> None:
    with open_engine(project) as engine:
        found = engine.table("select n, event_day from delivery.days where event_day >= date '2026-11-03'")

    assert found.schema.field("event_day").type == pa.date32()
    assert found["n"].to_pylist() == [3]


def test_back_quotes_in_text_stay(project: Project) -> None:
    with open_engine(project) as engine:
        assert engine.table("select 'it''s `so`' as `said`").to_pylist() == [{"said": "it's `so`"}]


def test_a_table_without_parts_has_the_columns_of_its_contract(project: Project) -> None:
    with open_engine(project) as engine:
        found = engine.table("select * from delivery.empty")

    assert (found.schema.names, found.num_rows) == (["n", "said"], 0)


def test_a_part_that_appears_after_opening_is_not_read(project: Project, tmp_path: Path) -> None:
    with open_engine(project) as engine:
        part(tmp_path / "wh" / "delivery.db" / "plain" / "part-00002-c.snappy.parquet", n=[5])

        assert engine.table("select count(*) as n from delivery.plain")["n"].to_pylist() == [4]


def test_a_part_that_goes_away_is_an_error_that_says_so(project: Project, tmp_path: Path) -> None:
    with open_engine(project) as engine:
        (tmp_path / "wh" / "delivery.db" / "plain" / "part-00001-b.snappy.parquet").unlink()

        with pytest.raises(WriteFailed, match="went away while it was read"):
            list(engine.stream("select * from delivery.plain"))


def test_no_warehouse_is_an_error_that_names_the_folder(project: Project) -> None:
    project.profile["schema"] = "nowhere"

    with pytest.raises(ConfigError, match=r"There is no Spark warehouse at .*nowhere\.db"), open_engine(project):
        pass


def test_a_part_with_a_block_larger_than_spark_is_told_to_make_is_read(project: Project, tmp_path: Path) -> None:
    rows = 240_000
    texts = pa.array([f"{n:0400d}" for n in range(rows)])
    path = tmp_path / "wh" / "delivery.db" / "wide" / "part-00000.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"a": texts}), path, row_group_size=rows, use_dictionary=False, compression="none")
    ended(path.parent)

    with open_engine(project) as engine:
        assert sum(batch.num_rows for batch in engine.stream("select * from delivery.wide")) == rows


@pytest.fixture
def warehouse(project: Project) -> Path:
    """The folder of the schema."""
    return project.root / "wh" / "delivery.db"


def refused(project: Project, name: str) -> str:
    """Why a table is not read; the one beside it is."""
    with open_engine(project) as engine:
        with pytest.raises(GateRefused, match=rf"\b{name}\b") as why:
            list(engine.stream(f"select * from `delivery`.`{name}`"))
        assert why.value.hint
        assert engine.table(f"select n, 'delivery.{name}' as of from delivery.plain").num_rows == 4
    return why.value.message


def said_by_dbt(project: Project, name: str, **config: object) -> None:
    """What the manifest says of a model."""
    path = project.target_path / "manifest.json"
    nodes = json.loads(path.read_text())["nodes"]
    nodes[f"model.x.{name}"] = {"name": name, "unique_id": f"model.x.{name}", "config": config}
    path.write_text(json.dumps({"nodes": nodes}))


def test_a_table_whose_job_did_not_end_is_refused(project: Project, warehouse: Path) -> None:
    part(warehouse / "half" / "part-00000.parquet", n=[1])
    assert "has no _SUCCESS" in refused(project, "half")
    ended(warehouse / "half")
    os.utime(warehouse / "half" / "_SUCCESS", (0, 0))
    (warehouse / "half" / "_temporary").mkdir()
    assert "parts of a job that did not end" in refused(project, "half")
    ended(warehouse / "half")
    with open_engine(project) as engine:
        assert engine.table("select n from delivery.half")["n"].to_pylist() == [1]


def test_only_what_spark_would_read_is_read(project: Project, warehouse: Path) -> None:
    for name in ("archive/part-0.parquet", ".part-1.parquet", "_part-2.parquet", "part-3.parquet._COPYING_"):
        part(warehouse / "plain" / name, n=[9])
    (warehouse / "plain" / "part-4.parquet").touch()
    part(warehouse / "days" / ".spark-staging-1" / "event_day=2026-11-03" / "part-0.parquet", n=[9])
    part(warehouse / "by_text" / "_code=007" / "part-0.parquet", n=[1])
    part(warehouse / "by_text" / "_code=a%2Fb" / "part-0.parquet", n=[2])
    part(warehouse / "by_text" / "_code=__HIVE_DEFAULT_PARTITION__" / "part-0.parquet", n=[3])
    ended(warehouse / "by_text")
    with open_engine(project) as engine:
        assert engine.table("select n from delivery.plain order by n")["n"].to_pylist() == [1, 2, 3, 4]
        assert engine.table("select n from delivery.days order by n")["n"].to_pylist() == [2, 3]
        found = engine.table("select _code from delivery.by_text order by n")["_code"].to_pylist()
    assert found == ["007", "a/b", None]


@pytest.mark.parametrize(
    ("config", "files", "words"),
    [
        ({}, ["part-0.orc"], "not of parquet alone: it holds 'part-0.orc'"),
        ({}, ["part-0.parquet", "000000_0", "000001_0"], "'000000_0' and 1 files more|'000001_0' and 1 files more"),
        ({}, ["part-0.parquet", "event_day=2026-11-03/part-0.parquet"], "only one kind is its own"),
        ({}, ["part-0.parquet", ".hoodie/hoodie.properties"], "of the format hudi"),
        ({"file_format": "orc"}, ["part-0.parquet"], "of the format orc"),
        ({"file_format": "delta"}, ["part-0.parquet"], "of the format delta"),
        ({"materialized": "view"}, [], "is a view"),
        ({"materialized": "view"}, ["part-0.parquet"], "is a view"),
        ({"location_root": "/elsewhere"}, [], "lies elsewhere, below '/elsewhere'"),
    ],
)
def test_what_is_no_table_of_parquet_here_is_refused_by_name(
    project: Project, warehouse: Path, config: dict[str, str], files: list[str], words: str
) -> None:
    for name in files:
        part(warehouse / "odd" / name, n=[1])
        ended(warehouse / "odd")
    said_by_dbt(project, "odd", **config)
    found = refused(project, "odd")
    assert any(each in found for each in words.split("|")), found


def test_a_damaged_part_is_the_trouble_of_its_table_alone(project: Project, warehouse: Path) -> None:
    (warehouse / "broken").mkdir()
    (warehouse / "broken" / "part-0.parquet").write_text("no parquet")
    ended(warehouse / "broken")
    with open_engine(project) as engine:
        with pytest.raises(WriteFailed, match="The table broken cannot be read"):
            engine.table("select * from delivery.broken")
        assert engine.table("select n from delivery.plain").num_rows == 4


@pytest.mark.parametrize("model", ["days", "Days"])  # Spark's folders are in lower case whatever dbt calls a model
def test_days_that_no_build_has_ended_are_not_read(project: Project, warehouse: Path, model: str) -> None:
    for name in (model, "plain"):  # what is not cut by day is replaced whole
        said_by_dbt(project, name, materialized="incremental", meta={"grows_by": "event_day"})
    log = warehouse / "build_days" / f"unique_id=model.x.{model}" / "part-0.parquet"
    beside = warehouse / "build_days" / "unique_id=model.x.other" / "part-0.parquet"
    for path, day in ((log, date(2026, 11, 3)), (beside, date(2026, 11, 2))):
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"event_day": [day]}), path)
    with open_engine(project) as engine:
        assert engine.table("select n from delivery.days")["n"].to_pylist() == [3]
        assert engine.table("select n from delivery.plain").num_rows == 4
    log.unlink()
    with open_engine(project) as engine:
        assert engine.table("select * from delivery.days").num_rows == 0


def test_a_statement_binds_the_parts_of_the_days_that_it_asks_for(project: Project, warehouse: Path) -> None:
    asked = """"event_day" >= date '2026-11-03' and "event_day" < date '2026-11-04'"""
    other = """"event_day" >= date '2026-11-02' and "event_day" < date '2026-11-03'"""
    with open_engine(project) as engine:
        (warehouse / "days" / "event_day=2026-11-02" / "part-00000.parquet").unlink()
        assert engine.table(f"select n from delivery.days where {asked}")["n"].to_pylist() == [3]
        for both in (f"{asked} or {other}", f"n in (select n from delivery.days where {asked})", "true"):
            with pytest.raises(WriteFailed, match="went away"):
                engine.table(f"select n from delivery.days where {both}")


def test_rows_of_no_day_and_days_written_otherwise_hide_no_other_rows(project: Project, warehouse: Path) -> None:
    asked = """where "event_day" >= date '2026-11-03' and "event_day" < date '2026-11-04'"""
    for client in "ab":
        for number, day in enumerate(("2026-11-03", "__HIVE_DEFAULT_PARTITION__", "2026-11-04")):
            part(warehouse / "many" / f"client={client}" / f"event_day={day}" / "part-0.parquet", n=[number])
    part(warehouse / "hand_made" / "event_day=2026-11-3" / "part-0.parquet", n=[1])
    for name in ("many", "hand_made"):
        ended(warehouse / name)
    with open_engine(project) as engine:
        found = engine.table(f"select client, n from delivery.many {asked} order by client").to_pylist()
        assert found == [{"client": "a", "n": 0}, {"client": "b", "n": 0}]
        assert engine.table(f"select n from delivery.hand_made {asked}").num_rows == 1


def test_a_table_that_is_cut_below_a_folder_with_a_sign_of_equality_is_refused(
    project: Project, warehouse: Path
) -> None:
    moved = project.root / "event_day=2020-01-01"
    warehouse.parent.rename(moved)
    project.profile["server_side_parameters"]["spark.sql.warehouse.dir"] = str(moved)
    assert "below a folder called 'event_day=2020-01-01'" in refused(project, "days")


@pytest.mark.parametrize(
    ("earlier", "later", "values"),
    [
        (pa.array([1]), pa.array([1.7]), [1.0, 1.7]),
        (pa.array([7]), pa.array(["007"]), ["7", "007"]),
        (pa.array([1], pa.int32()), pa.array([1 << 40]), [1, 1 << 40]),
        (
            pa.array([Decimal("1.20")], pa.decimal128(10, 2)),
            pa.array([Decimal("1.2345")], pa.decimal128(10, 4)),
            [Decimal("1.2"), Decimal("1.2345")],
        ),
        (pa.array([date(2026, 11, 3)]), pa.array([AT]), [datetime(2026, 11, 3), AT]),
        (pa.array([AT]), pa.array([AT], pa.timestamp("us", "UTC")), [AT, AT]),
        (pa.array([AT], pa.timestamp("us", "UTC")), pa.array([AT], pa.timestamp("ns")), [AT, AT]),
    ],
)
def test_parts_of_which_the_later_ones_say_more_are_read_as_they_are(
    project: Project, warehouse: Path, earlier: pa.Array, later: pa.Array, values: list[object]
) -> None:
    part(warehouse / "changed" / "part-0.parquet", n=earlier)
    part(warehouse / "changed" / "part-1.parquet", late=["x"], n=later)
    ended(warehouse / "changed")
    with open_engine(project) as engine:
        found = engine.table("select n, late from delivery.changed").to_pydict()
    assert found == {"n": values, "late": [None, "x"]}


def test_times_with_a_zone_are_utc_wherever_the_runner_is(
    project: Project, warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        part(warehouse / "zoned" / "part-0.parquet", seen=pa.array([AT], pa.timestamp("us", "UTC")))
        ended(warehouse / "zoned")
        with open_engine(project) as engine:
            found = engine.table(
                "select seen, cast(seen as varchar) as said from delivery.zoned where seen >= timestamp '2026-11-03'"
            )
        assert found.to_pylist() == [{"seen": AT, "said": "2026-11-03 01:02:03.456789"}]
        assert found.schema.field("seen").type == pa.timestamp("us")
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("log", ["_spark_metadata", "_started_7", "_committed_7"])
def test_a_folder_whose_parts_another_log_tells_apart_is_refused(project: Project, warehouse: Path, log: str) -> None:
    (warehouse / "plain" / log).mkdir()
    with open_engine(project) as engine:
        with pytest.raises(GateRefused, match=f"The table plain has the log of .*'{log}'"):
            engine.table("select * from delivery.plain")
        assert engine.table("select * from delivery.days").num_rows == 2


def test_a_table_that_a_killed_job_has_emptied_is_refused(project: Project, warehouse: Path) -> None:
    part(warehouse / "empty" / "_temporary" / "0" / "part-0.parquet", n=[1])
    assert "has no _SUCCESS" in refused(project, "empty")


def test_a_sign_that_is_a_wildcard_elsewhere_leads_to_no_other_warehouse(project: Project, warehouse: Path) -> None:
    settings = project.profile["server_side_parameters"]
    for name in ("wh[1]", "w*", "wh?"):
        shutil.copytree(warehouse.parent, project.root / name)
        part(project.root / name / "delivery.db" / "plain" / "part-3.parquet", n=[5])
        ended(project.root / name / "delivery.db" / "plain")
        settings["spark.sql.warehouse.dir"] = str(project.root / name)
        with open_engine(project) as engine:
            assert engine.table("select n from delivery.plain").num_rows == 5
    shutil.copytree(warehouse.parent, project.root / "wh1")
    settings["spark.sql.warehouse.dir"] = str(project.root / "wh[1]")
    with open_engine(project) as engine:
        assert engine.table("select n from delivery.plain").num_rows == 5


def test_of_two_folders_whose_names_differ_in_case_the_table_is_the_one_that_spark_names(
    project: Project, warehouse: Path
) -> None:
    for name in ("Plain", "PLAIN"):
        part(warehouse / name / "part-0.parquet", n=[9])
        ended(warehouse / name)
    with open_engine(project) as engine:
        assert engine.table("select n from delivery.plain").num_rows == 4


def test_a_warehouse_that_is_on_no_path_is_named_as_what_it_is(project: Project) -> None:
    settings = project.profile["server_side_parameters"]
    for where, words in (
        ("s3://bucket/warehouse", "is at s3://"),
        ("abfss:/x", "is at abfss://"),
        (settings["spark.sql.warehouse.dir"] + "/no", "There is no Spark warehouse"),
    ):
        settings["spark.sql.warehouse.dir"] = where
        with pytest.raises(ConfigError, match=words), open_engine(project):
            pass

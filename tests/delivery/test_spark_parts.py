"""The parts of a Spark warehouse as the runner reads them; the parts are laid out as Spark does it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from delivery.config.project import Project
from delivery.errors import ConfigError, WriteFailed
from delivery.warehouse import open_engine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "wh" / "delivery.db"
    part(folder / "plain" / "part-00001-b.snappy.parquet", n=[3, 4])
    part(folder / "plain" / "part-00000-a.snappy.parquet", n=[1, 2])
    part(folder / "plain" / "_temporary" / "0" / "part-00002-c.snappy.parquet", n=[9])
    part(folder / "days" / "event_day=2026-11-02" / "part-00000.parquet", n=[2])
    part(folder / "days" / "event_day=2026-11-03" / "part-00000.parquet", n=[3])
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


def part(path: Path, **columns: list[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def test_parts_are_read_by_name_and_unfinished_ones_are_not(project: Project) -> None:
    with open_engine(project) as engine:
        rows = [row["n"] for batch in engine.stream("select * from `delivery`.`plain`") for row in batch.to_pylist()]

    assert rows == [1, 2, 3, 4]


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

    with open_engine(project) as engine:
        assert sum(batch.num_rows for batch in engine.stream("select * from delivery.wide")) == rows

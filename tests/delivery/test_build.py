"""What a build needs is looked for before dbt starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from delivery import build
from delivery.engines import kind_of
from delivery.errors import ConfigError
from delivery.project import Project


def project(folder: Path, kind: str) -> Project:
    return Project(folder, kind, {"type": kind}, folder / "state", folder / "share", "")


def test_a_missing_adapter_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(build.ADAPTERS, "spark", ("click", "dbt-nowhere", "not-there"))

    with pytest.raises(ConfigError, match="dbt needs dbt-nowhere and not-there, which") as caught:
        build.build(project(tmp_path, "spark"), ())

    assert caught.value.hint == "pip install 'delivery[spark]'."


def test_a_lake_needs_its_extensions_though_its_type_is_duckdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(build.ADAPTERS, "lake", ("not-there",))
    attached = [{"alias": "other", "path": "other.duckdb"}, {"alias": "lake", "path": "ducklake:postgres:host=x"}]
    profile = {"type": "duckdb", "path": ":memory:", "database": "lake", "attach": attached}
    lake = replace(project(tmp_path, "lake"), profile=profile)

    with pytest.raises(ConfigError, match="To build on lake, dbt needs not-there, which"):
        build.build(lake, ())
    assert kind_of(profile | {"database": "other"}) == "duckdb"


@pytest.mark.parametrize(
    ("home", "message"),
    [(None, "no java on PATH, and JAVA_HOME is not set"), ("/nowhere", r"none in JAVA_HOME \(/nowhere\)")],
)
def test_spark_without_java_says_so(
    home: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(build.ADAPTERS, "spark", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    if home:
        monkeypatch.setenv("JAVA_HOME", home)

    with pytest.raises(ConfigError, match=message):
        build.build(project(tmp_path, "spark"), ())

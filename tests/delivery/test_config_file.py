"""Templates of profiles.yml, as dbt fills them in."""

from __future__ import annotations

from pathlib import Path

import pytest

from delivery.config.project import open_project
from delivery.config.yaml_file import render
from delivery.errors import ConfigError

ROOT = Path(__file__).parents[2]


def test_as_native_gives_what_the_literal_says() -> None:
    template = "{{\n  dict({'a': env_var('NO_SUCH', '7')}, **({} if true else {'b': 1})) | as_native\n}}\n"

    assert render({"x": template}, "p", {}, {}) == {"x": {"a": "7"}}


def test_what_is_no_literal_is_a_fault_that_names_the_key() -> None:
    faults: dict[str, str] = {}

    render({"x": "{{ 'a b' | as_native }}"}, "p", faults, {})

    assert list(faults) == ["p.x"]


@pytest.mark.parametrize("remote", [None, "sc://spark.example.com:15002"])
def test_spark_connect_gets_no_master(remote: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark refuses a master beside SPARK_REMOTE; the runner needs the warehouse with both."""
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    monkeypatch.setenv("SPARK_WAREHOUSE", "/data/warehouse")
    if remote:
        monkeypatch.setenv("SPARK_REMOTE", remote)

    settings = open_project(ROOT, "spark", None).profile["server_side_parameters"]

    assert settings["spark.sql.warehouse.dir"] == "/data/warehouse"
    assert ("spark.master" in settings) == (remote is None)


def test_a_target_that_is_not_there_is_named_beside_those_that_are() -> None:
    with pytest.raises(ConfigError, match="Unknown target 'sprak'") as caught:
        open_project(ROOT, "sprak", None)

    assert "duckdb, postgres, spark" in caught.value.hint

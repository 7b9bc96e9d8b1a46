"""What a build needs is looked for before dbt starts."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from delivery import build
from delivery.errors import ConfigError, EngineDown
from delivery.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator


def project(folder: Path, kind: str) -> Project:
    return Project(folder, kind, {"type": kind}, folder / "state", folder / "share", "")


def test_a_missing_adapter_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(build.ADAPTERS, "spark", ("click", "dbt-nowhere", "not-there"))

    with pytest.raises(ConfigError, match="dbt needs dbt-nowhere and not-there, which") as caught:
        build.build(project(tmp_path, "spark"), ())

    assert caught.value.hint == "pip install 'delivery[spark]'."


def test_what_could_not_be_read_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(build.ADAPTERS, "redshift", ("not-there",))

    with pytest.raises(ConfigError, match="of type 'redshift', which cannot be read"):
        build.build(project(tmp_path, "redshift"), ())


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


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Spark needs is installed."""
    monkeypatch.setitem(build.ADAPTERS, "spark", ())
    monkeypatch.setattr(build.shutil, "which", lambda *_, **__: "/usr/bin/java")
    monkeypatch.delenv("SPARK_REMOTE", raising=False)


@pytest.fixture
def silent() -> Iterator[str]:
    """An address on which nothing listens; it stays taken, so that nothing will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("remote", [False, True])
def test_a_spark_that_does_not_answer_is_named_at_once(
    remote: bool, silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spark = project(tmp_path, "spark")
    if remote:
        monkeypatch.setenv("SPARK_REMOTE", f"sc://{silent}/;user_id=loader")
    else:
        spark.profile["server_side_parameters"] = {"spark.master": f"spark://{silent},{silent}"}

    with pytest.raises(EngineDown, match=f"does not answer at {silent}: Connection refused") as caught:
        build.build(spark, ())

    assert caught.value.exit_code == 1
    assert ("SPARK_REMOTE" if remote else "SPARK_MASTER_URL") in caught.value.hint


@pytest.mark.usefixtures("ready")
def test_one_master_of_two_is_enough(silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.Path, "exists", lambda _: False)  # the next thing that is looked for
    with socket.create_server(("127.0.0.1", 0)) as master:
        spark = project(tmp_path, "spark")
        there = f"127.0.0.1:{master.getsockname()[1]}"
        spark.profile["server_side_parameters"] = {"spark.master": f"spark://{silent},{there}"}

        with pytest.raises(ConfigError, match="No dbt beside"):
            build.build(spark, ())


def test_a_spark_that_is_away_stops_no_build_elsewhere(
    silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build.Path, "exists", lambda _: False)  # the next thing that is looked for
    monkeypatch.setenv("SPARK_REMOTE", f"sc://{silent}")

    with pytest.raises(ConfigError, match="No dbt beside"):
        build.build(project(tmp_path, "duckdb"), ())


@pytest.mark.parametrize(("host", "seen"), [("127.0.0.1", "Connection refused"), ("/nowhere", "No such file")])
def test_a_postgres_that_does_not_answer_is_no_failed_build(
    host: str, seen: str, silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(build.ADAPTERS, "postgres", ())
    port = int(silent.split(":")[1])
    postgres = project(tmp_path, "postgres")
    postgres.profile.update(host=host, port=port)

    with pytest.raises(EngineDown, match=f"PostgreSQL does not answer at {host}:{port}: {seen}") as caught:
        build.build(postgres, ())

    assert "PGHOST" in caught.value.hint

"""What a build needs is looked for before dbt starts."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from delivery.config.project import Project
from delivery.errors import ConfigError, EngineDown, GateRefused
from delivery.gate import build, dbt_command
from delivery.progress import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def project(folder: Path, kind: str) -> Project:
    return Project(folder, kind, {"type": kind}, folder / "state", folder / "share", "")


def test_a_missing_adapter_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(build.ADAPTERS, "spark", ("click", "dbt-nowhere", "not-there"))

    with pytest.raises(ConfigError, match="dbt needs dbt-nowhere and not-there, which") as caught:
        build.build(project(tmp_path, "spark"), (), Watch())

    assert caught.value.hint == "pip install 'dbt-delivery[spark]'."


def test_what_could_not_be_read_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(build.ADAPTERS, "redshift", ("not-there",))

    with pytest.raises(ConfigError, match="of type 'redshift', which cannot be read"):
        build.build(project(tmp_path, "redshift"), (), Watch())


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
        build.build(project(tmp_path, "spark"), (), Watch())


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
        build.build(spark, (), Watch())

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
            build.build(spark, (), Watch())


def test_a_spark_that_is_away_stops_no_build_elsewhere(
    silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build.Path, "exists", lambda _: False)  # the next thing that is looked for
    monkeypatch.setenv("SPARK_REMOTE", f"sc://{silent}")

    with pytest.raises(ConfigError, match="No dbt beside"):
        build.build(project(tmp_path, "duckdb"), (), Watch())


@pytest.mark.parametrize(("host", "seen"), [("127.0.0.1", "Connection refused"), ("/nowhere", "No such file")])
def test_a_postgres_that_does_not_answer_is_no_failed_build(
    host: str, seen: str, silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(build.ADAPTERS, "postgres", ())
    port = int(silent.split(":")[1])
    postgres = project(tmp_path, "postgres")
    postgres.profile.update(host=host, port=port)

    with pytest.raises(EngineDown, match=f"PostgreSQL does not answer at {host}:{port}: {seen}") as caught:
        build.build(postgres, (), Watch())

    assert "PGHOST" in caught.value.hint


# Which server is asked, and what is built


@pytest.mark.parametrize(
    ("profile", "remote", "expected"),
    [
        ({"type": "duckdb", "path": "a:1"}, "sc://c:15002", ("", [], "")),
        ({"type": "postgres", "host": "db.example.com", "port": 5433}, None,
         ("PostgreSQL", [("db.example.com", "5433")], "PGHOST and PGPORT")),
        ({"type": "spark"}, None, ("Spark", [], "SPARK_MASTER_URL")),
        ({"type": "spark", "server_side_parameters": None}, None, ("Spark", [], "SPARK_MASTER_URL")),
        ({"type": "spark", "server_side_parameters": {"spark.master": "local[2]"}}, None,
         ("Spark", [], "SPARK_MASTER_URL")),
        ({"type": "spark", "server_side_parameters": {"spark.master": "yarn://a:1"}}, None,
         ("Spark", [], "SPARK_MASTER_URL")),
        ({"type": "spark", "server_side_parameters": {"spark.master": "spark://a:7077,b:7078"}}, None,
         ("Spark", [("a", "7077"), ("b", "7078")], "SPARK_MASTER_URL")),
        ({"type": "spark", "server_side_parameters": {"spark.master": "spark://a:7077"}}, "sc://c:15002/;token=x",
         ("Spark", [("c", "15002")], "SPARK_REMOTE")),
        ({"type": "spark"}, "http://c:1", ("Spark", [], "SPARK_REMOTE")),
    ],
)  # fmt: skip
def test_which_server_has_to_answer(
    profile: dict[str, Any], remote: str | None, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    if remote:
        monkeypatch.setenv("SPARK_REMOTE", remote)
    assert build._server(profile) == expected


def test_a_socket_of_postgres_is_looked_for_in_its_folder(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / ".s.PGSQL.5432"))
        assert build._no_answer(str(tmp_path), "5432") == f"{tmp_path}:5432: Connection refused"
        server.listen()
        assert build._no_answer(str(tmp_path), "5432") is None
        assert build._no_answer(str(tmp_path), "5433") == f"{tmp_path}:5433: No such file or directory"


@pytest.mark.parametrize(
    ("campaigns", "expected"),
    [
        ((), ["clicks", "events", "figures", "metrics", "orders"]),
        (("daily",), ["events"]),
        (("hourly",), ["clicks", "orders"]),
        (("daily", "hourly"), ["clicks", "events", "orders"]),
        (("another",), None),
        (("no_campaign",), None),
    ],
)
def test_what_is_built_for_campaigns(campaigns: tuple[str, ...], expected: list[str] | None, tmp_path: Path) -> None:
    """Two campaigns, and an exposure that is none; without a name, also what belongs to no campaign."""

    def exposure(name: str, model: str, **meta: Any) -> dict[str, Any]:
        return {"name": name, "depends_on": {"nodes": [f"model.p.{model}"]}, "config": {"meta": meta}}

    manifest = {
        "nodes": {
            f"model.p.{name}": {
                "resource_type": "model",
                "name": name,
                "fqn": ["p", name],
                "depends_on": {"nodes": []},
                "config": {"materialized": "table"},
            }
            for name in ("events", "orders", "clicks", "figures", "of_nobody")
        },
        "exposures": {
            "e1": exposure("daily", "events", export={"dataset": "events"}),
            "e2": exposure("hourly", "orders", export={"dataset": "orders"}),
            "e3": exposure("no_campaign", "clicks"),
        },
        "parent_map": {f"model.p.{name}": [] for name in ("events", "orders", "clicks")},
        "child_map": {f"model.p.{name}": [] for name in ("events", "orders", "clicks")},
    }
    manifest["nodes"]["model.p.orders"]["config"]["meta"] = {"dataset": {"rejects": {"rows": "clicks"}}}
    manifest["nodes"]["model.p.figures"]["config"]["meta"] = {"dataset": {}}  # of no campaign: people export it
    metrics = {
        **manifest["nodes"]["model.p.clicks"],
        "resource_type": "seed",
        "name": "metrics",
        "fqn": ["p", "metrics"],
    }
    manifest["nodes"]["seed.p.metrics"] = metrics
    for of in ("parent_map", "child_map"):
        manifest[of] |= {"model.p.figures": [], "model.p.of_nobody": [], "seed.p.metrics": []}
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "manifest.json").write_text(json.dumps(manifest))
    selected = build._selection(project(tmp_path, "duckdb"), campaigns)
    if expected is None:
        assert selected == []
    else:
        assert selected[:3] == ["--indirect-selection", "cautious", "--select"]
        assert sorted(name.split(".")[-1] for name in selected[3:]) == expected


def test_all_is_built_before_dbt_has_parsed_anything(tmp_path: Path) -> None:
    assert build._selection(project(tmp_path, "duckdb"), ("daily",)) == []


def event(name: str, level: str = "info", msg: str = "", **data: Any) -> str:
    return json.dumps({"info": {"name": name, "level": level, "msg": msg}, "data": data})


def ended(name: str, status: str, index: int) -> str:
    return event(
        name, "warn" if status == "warn" else "info", "Q", node_info={"node_status": status}, index=index, total=5
    )


SAID = [
    "Registered a leaked semaphore of jane@example.com",  # no event
    '{"info": "of another program"}',
    "[1]",
    event("MainReportVersion", msg="Running with dbt"),
    ended("LogSeedResult", "success", 1),
    ended("LogModelResult", "success", 2),
    ended("LogModelResult", "success", 3),
    ended("LogTestResult", "warn", 4),
    ended("LogTestResult", "fail", 5),
    event("RunResultWarningMessage", "warn", "\n  Got 11 of joe@example.com\n"),
    event("RunResultError", "error", "Failure in test unique"),
    event(
        "RunResultError",
        "error",
        '\n  Database Error in model a (a.sql)\n  no "b"\n  DETAIL:  (Joe,\n+1).\n  code at a',
    ),
]
TOLD = ["  Got 11 of <address>", "Failure in test unique", "  Database Error in model a (a.sql)", '  no "b"']
LAST = "dbt: 2 models built, 1 seed built, 1 test failed, 1 test warned in 0 s."


@pytest.mark.parametrize(("code", "refused"), [(0, False), (1, False), (2, True), (-9, True)])
def test_what_people_see_of_dbt(
    code: int, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program stands for dbt: it says how it was called, and speaks as dbt does, with others between."""
    program = tmp_path / "bin" / "dbt"
    program.parent.mkdir()
    (tmp_path / "said").write_text("\n".join(SAID) + "\n")
    program.write_text(f"""#!/bin/sh\necho "$@" > called\ncat said\n[ {code} = -9 ] && kill -9 $$\nexit {code}\n""")
    program.chmod(0o755)
    monkeypatch.setattr(dbt_command.sys, "executable", str(program.with_name("python")))
    monkeypatch.delenv("DBT_LOG_PATH", raising=False)
    chosen = project(tmp_path, "duckdb")
    if refused:
        with pytest.raises(GateRefused, match=f"dbt could not build: it ended with exit code {code}"):
            build.build(chosen, (), Watch())
    else:
        build.build(chosen, (), Watch())
    says = "--no-use-colors --log-format json --log-format-file debug --log-level-file info"
    command = f"{says} build --exclude-resource-type unit_test"
    here = f"--project-dir {tmp_path} --profiles-dir {tmp_path} --target duckdb"
    assert (tmp_path / "called").read_text() == f"{command} {here}\n"
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.endswith("all that it says is in logs/dbt.log.")
    stray = ["Registered a leaked semaphore of <address>", *SAID[1:3]] if refused else []
    assert rest == [*TOLD, *stray, LAST]

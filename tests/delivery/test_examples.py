"""The examples of where people run it: each calls what is there, and has what the project needs."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from projects import ROOT, SOURCES, new_project
from test_docs import calls, page, parse

from delivery.cli import cli

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = ROOT / "docs" / "examples"
OTHER_PROGRAMS = {"pip", "git", "useradd", "install", "dbt", "sqlfluff"}


def tracked() -> list[str]:
    """The files of the repository."""
    return subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()


def check_commands(name: str, text: str) -> set[str]:
    """Those of ours can be parsed; returns which programs are called."""
    found = list(calls(name, text))
    for call in found:
        if call.program == "delivery":
            parse(cli, call.arguments, "delivery")
    return {call.program for call in found}


def instructions() -> list[tuple[str, str]]:
    """The Containerfile's, with what each is told."""
    text = re.sub(r"^#.*\n", "", (EXAMPLES / "Containerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.replace("\\\n", " ").splitlines() if line]


def test_the_image_has_what_the_project_needs_and_writes_into_its_volume_only() -> None:
    found = instructions()
    copied = {source for name, text in found if name == "COPY" for source in text.split()[:-1]}
    files = tracked()
    assert all(source in files or any(file.startswith(f"{source}/") for file in files) for source in copied)
    needed = {name for name in SOURCES if name not in {"landing", "tests"}} | {
        "tests/dbt",
        "delivery",
        "pyproject.toml",
    }
    assert needed <= copied
    assert check_commands("Containerfile", "\n".join(text for name, text in found if name == "RUN")) <= OTHER_PROGRAMS
    (volume,) = [text for name, text in found if name == "VOLUME"]
    (variables,) = [dict(pair.split("=") for pair in text.split()) for name, text in found if name == "ENV"]
    written = set(variables) - {"LANDING_DIR"}
    assert written == {"WAREHOUSE", "DBT_TARGET_PATH", "DBT_LOG_PATH", "DELIVERY_STATE", "DELIVERY_SHARE"}
    assert all(variables[name].startswith(f"{volume}/") for name in written)
    last = {name: text for name, text in found if name in {"USER", "ENTRYPOINT", "CMD"}}
    assert last["USER"] not in {"root", "0"}
    program, *arguments = [word for name in ("ENTRYPOINT", "CMD") for word in yaml.safe_load(last[name])]
    assert program == "delivery"
    parse(cli, tuple(arguments), "delivery")


def test_the_workflow_calls_what_is_there() -> None:
    workflow = yaml.safe_load((EXAMPLES / "github-workflow.yml").read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    (steps,) = [job["steps"] for job in workflow["jobs"].values()]
    ran = [step["run"] for step in steps if "run" in step]
    assert check_commands("github-workflow.yml", "\n".join(ran)) <= OTHER_PROGRAMS
    assert not [text for text in ran if "${{" in text], "what a pull request says is no part of a command"


@pytest.mark.slow
def test_the_workflow_builds_what_changed_with_all_that_it_needs(tmp_path: Path) -> None:
    """What else a reader of the changed model reads is built, too, as nothing is there before."""
    project = new_project(tmp_path / "project", without=("tests",))
    project.dbt("parse", "--target-path", "target/before")
    listed = ("ls", "--resource-type", "model", "--output", "name", "--quiet")
    changed = ("--select", "@state:modified", "--state", "target/before")
    assert "stg_" not in project.dbt(*listed, *changed).stdout
    project.edit("models/staging/platform/stg_platform__halts.sql", "select", "select /* changed */")
    found = set(project.dbt(*listed, *changed).stdout.split())
    assert {"stg_platform__halts", "int_email_events_unioned", "stg_sendgrid__events", "esp_events"} <= found
    assert "analytics_identification" not in found


def test_the_hooks_call_what_is_there_for_files_that_are_there() -> None:
    hooks = yaml.safe_load((EXAMPLES / "pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    for hook in hooks:
        assert check_commands(hook["id"], hook["entry"]) <= OTHER_PROGRAMS
        assert sum(bool(re.search(hook["files"], name)) for name in tracked()) > 5, hook["id"]


def test_prune_has_a_timer() -> None:
    service, timer = ConfigParser(interpolation=None), ConfigParser(interpolation=None)
    service.read(EXAMPLES / "delivery-prune.service")
    timer.read(EXAMPLES / "delivery-prune.timer")
    program, *arguments = shlex.split(service["Service"]["ExecStart"])
    assert (program.endswith("/.venv/bin/delivery"), arguments) == (True, ["prune"])
    parse(cli, tuple(arguments), "delivery")
    assert timer["Timer"]["OnCalendar"] == "*-*-* 13:35:00 UTC"
    assert "call `delivery prune` at 13:35" in page("docs/run-daily.md")


@pytest.fixture
def dagster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The definitions, loaded with stand-ins for Dagster's names; the command is one that exits as `code` says."""

    class Failure(Exception):
        def __init__(self, description: str, *, allow_retries: bool) -> None:
            super().__init__(description)
            self.allow_retries = allow_retries

    stand_in: Any = ModuleType("dagster")
    stand_in.op = stand_in.job = lambda function: function
    stand_in.Failure, stand_in.OpExecutionContext = Failure, object
    stand_in.Definitions = stand_in.ScheduleDefinition = lambda **said: SimpleNamespace(**said)
    monkeypatch.setitem(sys.modules, "dagster", stand_in)
    monkeypatch.setenv("DELIVERY_PROJECT_DIR", str(tmp_path))
    command = tmp_path / ".venv" / "bin" / "delivery"
    command.parent.mkdir(parents=True)
    command.write_text('#!/bin/sh\necho "$@" >asked\nexit "$(cat code)"\n', encoding="utf-8")
    command.chmod(0o755)
    spec = importlib.util.spec_from_file_location("dagster_definitions", EXAMPLES / "dagster_definitions.py")
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_dagster_calls_what_is_there_and_tries_again_what_may_be_mended(dagster: Any, tmp_path: Path) -> None:
    said: list[str] = []
    context = SimpleNamespace(log=SimpleNamespace(info=said.append))
    steps: list[tuple[Callable[[Any], None], str]] = [
        (dagster.build_and_deliver, "run --due --build"), (dagster.deliver_what_is_left, "run --due"),
        (dagster.prune, "prune"),
    ]  # fmt: skip
    for step, asked in steps:
        for code in range(6):
            (tmp_path / "code").write_text(str(code))
            if code in {0, 5}:
                step(context)
            else:
                with pytest.raises(dagster.Failure, match=f"ended with {code}") as failed:
                    step(context)
                assert failed.value.allow_retries == (code == 1)
            assert (tmp_path / "asked").read_text().strip() == asked
        parse(cli, tuple(asked.split()), "delivery")
    assert said == ["Nothing was due."] * 3
    hours = {one.job.__name__: (one.cron_schedule, one.execution_timezone) for one in dagster.defs.schedules}
    assert hours == {
        "daily_exports": ("35 5 * * *", "UTC"),
        "daily_exports_again": ("35 6-12 * * *", "UTC"),
        "daily_exports_kept": ("35 13 * * *", "UTC"),
    }

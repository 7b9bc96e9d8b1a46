"""The command line: what it takes, what it refuses before anything is started, and how it says so."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner, Result
from small_project import make_project

from delivery import __version__
from delivery.cli import EXIT_CODES, cli
from delivery.config.project import open_project
from delivery.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMANDS = ["", *sorted(cli.commands)]
PROFILE = {"type": "duckdb", "path": "warehouse.duckdb"}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The smallest project: no manifest, no warehouse, one integration."""
    for name in [name for name in os.environ if name.startswith(("DELIVERY_", "DBT_TARGET"))]:
        monkeypatch.delenv(name)
    (tmp_path / "dbt_project.yml").write_text("name: x\nprofile: x\n")
    (tmp_path / "profiles.yml").write_text(json.dumps({"x": {"target": "dev", "outputs": {"dev": PROFILE}}}))
    (tmp_path / "integrations.yml").write_text(
        "integrations: {acme: {vendor_name: A, namespace: a, directory: d, destination: {type: hosted}}}"
    )
    return tmp_path


@pytest.fixture
def call(root: Path) -> Callable[..., Result]:
    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(cli, ["--project-dir", str(root), *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


# Help


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_is_there(command: str, option: str) -> None:
    result = CliRunner().invoke(cli, [*command.split(), option])
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_and_command_says_what_it_is_for(command: str) -> None:
    chosen: click.Command = cli.commands[command] if command else cli
    assert chosen.help
    for parameter in chosen.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
        else:
            assert str(parameter.metavar or parameter.name).upper() in chosen.help, "arguments stand in the help"


def test_every_exit_code_is_in_the_help() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).stdout
    assert EXIT_CODES.removeprefix("\b\n").rstrip() in shown
    assert [line.split()[0] for line in EXIT_CODES.splitlines()[2:]] == [str(int(code)) for code in ExitCode]


@pytest.mark.parametrize("command", sorted(set(cli.commands) - {"schema"}))
def test_every_command_takes_json(command: str) -> None:
    for one in alone(cli.commands[command]):
        assert any("--json" in parameter.opts for parameter in one.params)


def alone(command: click.Command) -> list[click.Command]:
    """The command, or those of a group, and of groups in it."""
    if not isinstance(command, click.Group):
        return [command]
    return [one for below in command.commands.values() for one in alone(below)]


def test_help_imports_nothing_heavy() -> None:
    """What makes the first answer slow: each of these costs a tenth of a second or more."""
    heavy = ("dbt", "polars", "pyarrow", "duckdb", "sqlalchemy", "paramiko", "pydantic", "jinja2", "yaml", "rich.table")
    program = f"""
import sys
from delivery.cli import cli
cli(["--help"], standalone_mode=False)
print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_a_run_with_nothing_to_write_imports_no_formatter() -> None:
    """Nor what uploads over SFTP; a plan neither, and `status` nothing that reads a warehouse."""
    program = """
import sys
import delivery.operations.status
print([name for name in ("polars", "pyarrow", "duckdb", "paramiko", "pydantic") if name in sys.modules])
import delivery.forecast, delivery.run
print([name for name in ("polars", "dbt", "paramiko", "isal") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\n"


def test_the_version(call: Callable[..., Result]) -> None:
    assert __version__ in call("--version").stdout


# Refused before anything is started


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nosuch"],
        ["nosuch"],
        ["run", "--nosuch"],
        ["run", "--windw", "yesterday"],
        ["run", "extra"],
        ["plan", "--build"],
        ["status", "--limit", "0"],
        ["status", "--limit", "-1"],
        ["status", "--limit", "many"],
        ["status", "a", "b"],
        ["trust"],
        ["verify"],
        ["run", "--deadline", "1e99"],
    ],
)
def test_what_click_refuses(call: Callable[..., Result], arguments: list[str]) -> None:
    result = call(*arguments)
    assert result.exit_code == ExitCode.USAGE
    assert result.stdout == ""
    assert "Usage: " in result.stderr


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--window", "2026-11-03", "--due"], "Give one of"),
        (["--window", "2026-11-03", "--from", "2026-11-01", "--to", "2026-11-03"], "Give one of"),
        (["--due", "--from", "2026-11-01", "--to", "2026-11-03"], "Give one of"),
        (["--from", "2026-11-01"], "Give one of"),
        (["--to", "2026-11-01"], "Give one of"),
        (["--redeliver"], "need --reason"),
        (["--ungated"], "need --reason"),
        (["--redeliver", "--reason", ""], "need --reason"),
        (["--reason", "because"], "--reason needs one of them"),
        (["--at", "noon"], "'noon' is not a time"),
        (["--at", ""], "'' is not a time"),
    ],
)
def test_what_does_not_go_together(
    call: Callable[..., Result], root: Path, command: str, arguments: list[str], message: str
) -> None:
    before = sorted(root.iterdir())
    result = call(command, *arguments)
    assert result.exit_code == ExitCode.USAGE
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(root.iterdir()) == before


def test_no_address_of_a_reason_is_kept(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    from delivery import run as runner

    seen: list[Any] = []
    monkeypatch.setattr(runner, "run", lambda project, request, watch, **_: seen.append(request) or [])
    assert call("run", "--redeliver", "--reason", "asked by jane@example.com today").exit_code == 0
    assert seen[0].reason == "asked by <address> today"


# Projects


def refused(result: Result, message: str) -> None:
    assert result.exit_code == ExitCode.USAGE
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", [["run"], ["plan"], ["check"], ["trust", "acme"], ["status"], ["history", "x"]])
def test_what_is_no_project(call: Callable[..., Result], root: Path, command: list[str]) -> None:
    (root / "dbt_project.yml").unlink()
    refused(call(*command), "is not a dbt project")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("dbt_project.yml", "name: x", "dbt_project.yml names no profile"),
        ("dbt_project.yml", "a: [", "dbt_project.yml is not valid YAML at line"),
        ("dbt_project.yml", "", "dbt_project.yml names no profile"),
        ("profiles.yml", None, "No profiles.yml in"),
        ("profiles.yml", "y: {}", "profiles.yml has no profile 'x' with outputs and a target"),
        ("profiles.yml", "x: {outputs: }", "profiles.yml has no profile 'x' with outputs and a target"),
        ("profiles.yml", "x: {target: prod, outputs: {dev: {}}}", "Unknown target 'prod'"),
        ("profiles.yml", "x: {outputs: {dev: {}}}", "Unknown target 'default'"),
        (
            "profiles.yml",
            "x: {target: dev, outputs: {dev: {path: \"{{ env_var('UNSET_PATH') }}\"}}}",
            "profiles.yml: x.outputs.dev.path: the environment variable UNSET_PATH is not set",
        ),
        ("profiles.yml", "x: {target: \"{{ env_var('UNSET_TARGET') }}\", outputs: {}}", "UNSET_TARGET is not set"),
        ("integrations.yml", None, "No integrations.yml in"),
    ],
)
def test_what_is_wrong_with_a_project(
    call: Callable[..., Result], root: Path, file: str, content: str | None, message: str
) -> None:
    (root / file).unlink()
    if content is not None:
        (root / file).write_text(content)
    refused(call("check"), message)


def test_only_the_chosen_targets_variables_are_needed(call: Callable[..., Result], root: Path) -> None:
    prod = {"type": "postgres", "password": "{{ env_var('UNSET_PASSWORD') }}", "port": "{{ 5432 | as_number }}"}
    (root / "profiles.yml").write_text(json.dumps({"x": {"target": "dev", "outputs": {"dev": PROFILE, "prod": prod}}}))
    assert call("status").exit_code == ExitCode.DONE
    refused(call("--target", "prod", "status"), "UNSET_PASSWORD is not set")
    refused(call("--target", "nosuch", "status"), "Unknown target 'nosuch'")


def test_an_unknown_integration_lists_the_known(call: Callable[..., Result]) -> None:
    for command in (["check", "nosuch"], ["trust", "nosuch"]):
        refused(call(*command), "Known: acme.")
    refused(call("trust", "acme"), "acme is not an SFTP integration")


def test_no_manifest_yet(call: Callable[..., Result]) -> None:
    for command in ("run", "plan"):
        refused(call(command), "No manifest at")


def test_a_ledger_url_that_cannot_be_used(call: Callable[..., Result]) -> None:
    result = call("--ledger", "postgres://user:hunter2@host/db", "status")
    refused(result, "no driver for a ledger")
    assert "hunter2" not in result.stderr


# JSON


@pytest.mark.parametrize("command", [["run"], ["plan"], ["check", "nosuch"], ["trust", "acme"], ["history", "x"]])
def test_an_error_is_one_json_document_on_stdout(call: Callable[..., Result], command: list[str]) -> None:
    result = call(*command, "--json")
    document = json.loads(result.stdout)
    assert document["error"].keys() == {"message", "hint", "exit_code"}
    assert document["error"]["exit_code"] == result.exit_code == ExitCode.USAGE
    assert f"Error: {document['error']['message']}" in result.stderr


def test_a_success_is_one_json_document_on_stdout_or_a_table(root: Path, call: Callable[..., Result]) -> None:
    assert json.loads(call("status", "--json").stdout) == {"deliveries": []}
    seen = [" ".join(line.split()) for line in call("check", "--full").stdout.splitlines()]
    assert seen[0] == "integration where result publish offers"
    assert seen[1].startswith(f"acme {root}/share/a/d ok rename ")
    (check,) = json.loads(call("check", "--json").stdout)["integrations"]
    assert (check["integration"], check["ok"], check["error"]) == ("acme", True, None)
    for arguments in (["schema"], ["schema", "--json"]):
        assert json.loads(call(*arguments).stdout)["title"] == "integrations.yml"


# What nobody foresaw


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A project whose ledger's code has a defect that quotes the data."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError("row of jo.doe@example.com, password hunter2")

    make_project(tmp_path / "project")
    monkeypatch.setattr("delivery.operations.status.latest", fail)
    return tmp_path / "project"


def test_an_unforeseen_error_is_told_without_what_it_quotes(broken: Path) -> None:
    result = CliRunner().invoke(cli, ["--project-dir", str(broken), "status", "--json"])
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert error["message"].startswith("Unexpected ZeroDivisionError in fail, line ")
    assert "--debug" in error["hint"]
    assert not {"jo.doe", "hunter2", "Traceback"} & set(re.findall(r"[\w.]+", result.stdout + result.stderr))


def test_debug_shows_where_and_no_address(broken: Path) -> None:
    result = CliRunner().invoke(cli, ["--debug", "--project-dir", str(broken), "status"])
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "<address>" in result.stderr
    assert "jo.doe" not in result.stderr


# The ledger's own commands


def test_the_ledgers_commands(tmp_path: Path) -> None:
    make_project(tmp_path / "project")

    def ask(*arguments: str) -> Any:
        return CliRunner().invoke(cli, ["--project-dir", str(tmp_path / "project"), "ledger", *arguments])

    assert "The ledger is well" in ask("check").stderr
    assert json.loads(ask("check", "--json").stdout) == {"problems": []}
    assert ask("backup", str(tmp_path / "copy")).exit_code == 0
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    assert ask("backup", str(tmp_path / "copy")).exit_code == 2
    assert ask("adopt").exit_code == 2, "needs a reason"
    assert ask("adopt", "--reason", "for jo.doe@example.com").exit_code == 0
    with closing(sqlite3.connect(tmp_path / "project" / ".delivery" / "ledger.sqlite")) as connection:
        (reason,) = connection.execute("select value from meta where key = 'doubt_reason'").fetchone()
        connection.execute("insert into steps values (1, 'of no delivery', '', '', '')")
        connection.commit()
    assert reason == "for <address>"
    damaged = ask("check")
    assert (damaged.exit_code, damaged.stderr) == (ExitCode.FAILED, "foreign_key_check: steps\n1 problems.\n")


def test_a_manifest_that_is_cut_is_said_to_be_so(root: Path, call: Callable[..., Result]) -> None:
    path = root / "target" / "manifest.json"
    path.parent.mkdir()
    path.write_text('{"nodes": {')
    cut = call("plan", "--window", "2026-11-03")
    assert (cut.exit_code, cut.stderr) == (2, f"Error: {path} is not whole.\nNext: Run `dbt parse` again.\n")


def test_profiles_are_looked_for_where_dbt_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "project"
    folders = {"home": tmp_path / "home" / ".dbt", "own": root, "said": root / "elsewhere"}
    for name, folder in folders.items():
        folder.mkdir(parents=True)
        (folder / "profiles.yml").write_text(f"p: {{target: t, outputs: {{t: {{type: duckdb, path: {name}}}}}}}\n")
    (root / "dbt_project.yml").write_text("name: p\nprofile: p\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def found() -> str:
        project = open_project(root, None, None)
        assert (project.profiles / "profiles.yml").is_file()
        return str(project.profile["path"])

    assert found() == "own"
    monkeypatch.setenv("DBT_PROFILES_DIR", "elsewhere")
    assert found() == "said"
    monkeypatch.delenv("DBT_PROFILES_DIR")
    (root / "profiles.yml").unlink()
    assert found() == "home"
    (folders["home"] / "profiles.yml").unlink()
    with pytest.raises(ConfigError, match=f"No profiles.yml in {root}"):
        open_project(root, None, None)

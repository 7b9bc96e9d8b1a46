"""A command of dbt in a fork of a process that has dbt imported does what the typed command does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from projects import dbt, new_project

if TYPE_CHECKING:
    from projects import Copy


@pytest.fixture
def fresh(tmp_path: Path) -> Copy:
    """A project that dbt did not parse here, and whose name of the warehouse is its own."""
    copy = new_project(tmp_path / "project")
    copy.env = {"WAREHOUSE": "own.duckdb", "DBT_USE_COLORS": "false"}
    return copy


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--quiet", "show", "--inline", "select '{{ target.path }}' as path", "--output", "json"], 0),
        (["--quiet", "run", "--select", "namespaces"], 1),  # without what it reads from
        (["build", "--no-such-option"], 2),
    ],
    ids=["done", "failed", "refused"],
)
def test_a_fork_does_what_the_typed_command_does(fresh: Copy, arguments: list[str], code: int) -> None:
    forked = dbt(*arguments, folder=fresh.root, environment=fresh.environment)
    typed = subprocess.run(
        [str(Path(sys.executable).with_name("dbt")), *arguments],
        cwd=fresh.root,
        env=fresh.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (forked.returncode, untimed(forked.stdout), forked.stderr) == (code, untimed(typed.stdout), typed.stderr)
    assert typed.returncode == code
    assert code or "own.duckdb" in forked.stdout


def untimed(text: str) -> str:
    """Without the times of the log's lines, and what they took."""
    return re.sub(r"^\d\d:\d\d:\d\d|in \d[^]]*s\b|\d+\.\d\ds", "", text, flags=re.MULTILINE)


def test_a_command_knows_nothing_of_the_one_before(fresh: Copy) -> None:
    arguments = ["--quiet", "show", "--inline", "select '{{ env_var(\"WHO\") }}' as who", "--output", "json"]
    for who in ("first", "second"):
        done = dbt(*arguments, folder=fresh.root, environment=fresh.environment | {"WHO": who})
        assert f'"who": "{who}"' in done.stdout
    assert dbt(*arguments, folder=fresh.root, environment=fresh.environment).returncode != 0

"""The sample project, built once a session by dbt, and cheap copies of it that a test may damage."""

from __future__ import annotations

import atexit
import fcntl
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from delivery.cli import cli
from tests.delivery.dbt_worker import DbtWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
SOURCES = (
    "models",
    "macros",
    "seeds",
    "tests",
    "landing",
    "selectors.yml",
    "dbt_project.yml",
    "profiles.yml",
    "integrations.yml",
)
BY_NODE = shutil.ignore_patterns("compiled", "run")  # of a target: 1,300 files of SQL, which dbt only writes
DAY = "2026-11-03"
AT = "2026-11-04T06:00:00Z"


@dataclass
class Copy:
    """A project in a folder of its own: the sources are links until `own` makes them files."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    def own(self, name: str) -> Path:
        """The path of a source file or folder of this copy, safe to change."""
        top = self.root / name.split("/")[0]
        if top.is_symlink():
            origin = top.resolve()
            top.unlink()
            shutil.copytree(origin, top) if origin.is_dir() else shutil.copy(origin, top)
        return self.root / name

    def edit(self, name: str, before: str, after: str) -> None:
        """Replaces text in a source file; the text must be there."""
        path = self.own(name)
        text = path.read_text(encoding="utf-8")
        assert before in text, f"{before!r} is not in {name}"
        path.write_text(text.replace(before, after), encoding="utf-8")

    def dbt(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs dbt here, as a user would."""
        done = dbt(*arguments, folder=self.root, environment=self.environment)
        assert not check or done.returncode == 0, done.stdout[-4000:]
        return done

    def delivery(self, *arguments: str) -> Result:
        """Runs the command line in this process: exit code, stdout and stderr."""
        before = Path.cwd()
        os.chdir(self.root)
        try:
            result = CliRunner(env=self.env).invoke(cli, list(arguments))
        finally:
            os.chdir(before)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def deliver(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """`delivery run --json`: exit code and document."""
        result = self.delivery("run", "--json", *(arguments or ("--window", DAY)))
        return result.exit_code, json.loads(result.stdout)

    def process(self, *arguments: str) -> subprocess.Popen[str]:
        """The command line in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "delivery", *arguments],
            cwd=self.root,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
        )

    def files(self) -> dict[str, Path]:
        """Everything below the share, by path."""
        share = self.root / "share"
        return {str(p.relative_to(share)): p for p in sorted(share.rglob("*")) if p.is_file()}

    @property
    def environment(self) -> dict[str, str]:
        """Ours without what would lead a command elsewhere, and this project's."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DBT_", "DELIVERY_", "WAREHOUSE", "LANDING_"))}
        return {**kept, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", **self.env}


def new_project(root: Path, *, without: tuple[str, ...] = ()) -> Copy:
    """A project whose sources are links to the repository's, but for some that the test brings."""
    root.mkdir(parents=True)
    for name in SOURCES:
        if (ROOT / name).exists() and name not in without:
            (root / name).symlink_to(ROOT / name)
    return Copy(root)


def dbt(*arguments: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A command of dbt, run to its end in a process of its own; see dbt_worker.py for how it starts quickly.

    A project without a target has the worker's: parsed with the sources as they are, which dbt checks.
    """
    worker, target = _worker()
    if not (folder / "target").exists():
        shutil.copytree(target, folder / "target")
    return worker.run(list(arguments), folder, environment)


@functools.cache
def _worker() -> tuple[DbtWorker, Path]:
    folder = tempfile.mkdtemp(prefix="parsed-")
    atexit.register(shutil.rmtree, folder)
    parsed = new_project(Path(folder, "project"))
    return DbtWorker(parsed.root, parsed.environment), parsed.root / "target"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Copy:
    """The sample after `dbt build`, once for all test workers; never to be changed."""
    shared = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    with (shared / "built.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        root = shared / "built"
        if not (root / "done").exists():
            new_project(root).dbt("build")
            (root / "done").touch()
    return Copy(root)


@pytest.fixture
def project(built: Copy, tmp_path: Path) -> Copy:
    """A copy of the built sample that the test may change."""
    copy = new_project(tmp_path / "project")
    shutil.copy(built.root / "warehouse.duckdb", copy.root)
    shutil.copytree(built.root / "target", copy.root / "target", ignore=BY_NODE)
    return copy


@pytest.fixture
def configure(project: Copy) -> Iterator[Callable[[str], None]]:
    """Replaces integrations.yml of the project."""

    def replace(text: str) -> None:
        path = project.own("integrations.yml")
        path.write_text(text, encoding="utf-8")

    return replace

"""The sample project, built once by dbt, and cheap copies of it that a test may damage."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from delivery.cli import cli
from delivery.transfer.descriptions import NAME as DESCRIBED
from tests.delivery.dbt_worker import DbtWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "target" / "sample"
PARSED = ROOT / "target" / "parsed"
SOURCES = (
    "models",
    "macros",
    "dbt_packages",
    "seeds",
    "tests",
    "landing",
    "selectors.yml",
    "dbt_project.yml",
    "profiles.yml",
    "integrations.yml",
)
BY_NODE = shutil.ignore_patterns("compiled", "run")  # of a target: 1,300 files of SQL, which dbt only writes
DATA_TESTS_ONLY = ("--exclude-resource-type", "unit_test")  # those are run when `make test` builds the sample
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
        """Everything below the share, by path, but for what its page says of it."""
        share = self.root / "share"
        return {str(p.relative_to(share)): p for p in sorted(share.rglob("*")) if p.is_file() and p.name != DESCRIBED}

    @property
    def environment(self) -> dict[str, str]:
        """Ours without what would lead a command elsewhere, or have it say things sooner, and this project's."""
        other = ("DBT_", "DELIVERY_", "WAREHOUSE", "LANDING_", "PYTHONUNBUFFERED")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(other)}
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
    """The worker of this session, and a copy of the target that it parsed.

    The project that it parses is kept: of what did not change, later sessions only read what was parsed.
    """
    project, target = Copy(_parsed()), Path(tempfile.mkdtemp(prefix="parsed-"), "target")
    atexit.register(shutil.rmtree, target.parent)
    PARSED.mkdir(parents=True, exist_ok=True)
    with (PARSED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not project.root.exists():
            new_project(project.root)
        worker = DbtWorker(project.root, project.environment)
        shutil.copytree(project.root / "target", target)
    return worker, target


def _parsed() -> Path:
    """The project that workers parse: of seeds dbt keeps the path in it."""
    links = [str(ROOT / name) for name in SOURCES if (ROOT / name).exists()]
    return PARSED / hashlib.sha256("\n".join(links).encode()).hexdigest()[:16]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """The sample after `dbt build`, never to be changed.

    It is kept for the next session of the day, until something that dbt reads changes.
    """

    def build(root: Path) -> None:
        sample, kept = new_project(root), KEPT / _what_dbt_reads()
        if kept.exists() and _parsed().exists():
            _copy_built(kept, root)
        else:
            sample.env["DBT_LOG_LEVEL_FILE"] = "none"
            sample.dbt("build")
            _keep(root, kept)

    return Copy(once(tmp_path_factory, "built", build))


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that one test worker makes for all of them."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        root = shared / name
        if not (root / "done").exists():
            make(root)
            (root / "done").touch()
    return root


def _what_dbt_reads() -> str:
    """Says when the sample has to be built anew: models count from the day of the build."""
    files = [path for name in SOURCES if name != "tests" for path in [ROOT / name, *(ROOT / name).rglob("*")]]
    files += [*(ROOT / "tests" / "dbt").rglob("*.*ml"), *(ROOT / "tests" / "dbt").rglob("*.sql")]
    files += [ROOT / "delivery" / "warehouse" / "landing.py", ROOT / "requirements" / "dev.lock"]
    read = hashlib.sha256(str(_parsed()).encode())
    for path in sorted(path for path in files if path.is_file() and path.suffix != ".pyc"):
        read.update(f"{path.relative_to(ROOT)}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return f"{datetime.now(UTC).date()}-{read.hexdigest()[:16]}"


def _keep(root: Path, kept: Path) -> None:
    """In place of what was kept before; whole or not at all."""
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=KEPT))
    _copy_built(root, unfinished)
    with contextlib.suppress(OSError):  # another session was first
        unfinished.rename(kept)


def _copy_built(built: Path, to: Path) -> None:
    """What dbt has made of the sources."""
    shutil.copy(built / "warehouse.duckdb", to)
    shutil.copytree(built / "target", to / "target", ignore=BY_NODE)


@pytest.fixture
def project(built: Copy, tmp_path: Path) -> Copy:
    """A copy of the built sample that the test may change."""
    return copy_of(built, tmp_path / "project")


def copy_of(built: Copy, root: Path) -> Copy:
    """A copy of the built sample in a folder that is not there yet."""
    copy = new_project(root)
    _copy_built(built.root, copy.root)
    return copy


@pytest.fixture
def configure(project: Copy) -> Iterator[Callable[[str], None]]:
    """Replaces integrations.yml of the project."""

    def replace(text: str) -> None:
        path = project.own("integrations.yml")
        path.write_text(text, encoding="utf-8")

    return replace

"""Builds of a small project: dbt is imported and the project parsed once; each command runs in a fork of that."""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

import delivery.files.spool
import delivery.progress
import delivery.run  # noqa: F401 - these once, not in each fork
from delivery.cli import cli
from tests.delivery.projects import new_project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dbt.contracts.graph.manifest import Manifest

FORK = multiprocessing.get_context("fork")
QUIET = {
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DBT_LOG_LEVEL_FILE": "none",
    "DBT_STATIC_PARSER": "false",  # it starts threads, after which a fork would wait for ever
}
NOW = "{as_of: 2026-11-13}"  # what is built from "now" does not change at midnight
GROWING = "config.materialized:incremental"
STORED = (GROWING, "config.materialized:table")
BY_DAY = (GROWING, f"+{GROWING},config.materialized:table")  # views stay as they are; the rest is built when compared
INTEGRATIONS = """
integrations:
  acme_share: &share
    vendor_name: Acme
    namespace: {}
    destination: {{type: hosted}}
    directory: daily
  brightside_drop:
    <<: *share
    namespace: {}
"""
WAREHOUSE = "warehouse.duckdb"  # each in a folder of its own, as tables are named after it
CAMPAIGNS = ("--select", "daily_esp_events", "--select", "daily_email_unsubscribes")


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns, called in a fork of this process: it may start threads and load what it wants."""
    return side_by_side(function, [arguments])[0]


def side_by_side(function: Callable[..., Any], calls: list[tuple[Any, ...]]) -> list[Any]:
    """What a function returns for each of several lists of arguments, each in a fork; RuntimeError if one ends."""
    pipes = [FORK.Pipe(duplex=False) for _ in calls]
    started = [
        FORK.Process(target=lambda to, with_: to.send(function(*with_)), args=(there, arguments))
        for (_, there), arguments in zip(pipes, calls, strict=True)
    ]
    for process, (_, there) in zip(started, pipes, strict=True):
        process.start()
        there.close()
    try:
        return [here.recv() for here, _ in pipes]
    except EOFError:
        raise RuntimeError(f"{function.__name__} ended without an answer") from None
    finally:
        for process in started:
            process.join()


class Builder:
    """The project, parsed, with its seeds in a warehouse that each history begins with."""

    def __init__(self, folder: Path) -> None:
        """folder: where the project is to be."""
        self.project = new_project(folder, without=("landing", "integrations.yml")).root
        self.seeded = folder / WAREHOUSE
        for name in [name for name in os.environ if name.startswith(("DBT_", "DELIVERY_", "LANDING_"))]:
            del os.environ[name]
        os.environ.update(QUIET, WAREHOUSE=str(self.seeded))
        os.chdir(folder)
        gc.disable()  # dbt keeps the project to its end, and a fork that looks through it copies all of it
        parsed = dbtRunner().invoke(["--quiet", "parse", "--vars", NOW])
        assert parsed.success, parsed.exception
        self._manifest: Manifest = parsed.result  # type: ignore[assignment]
        self.dbt("seed", warehouse=self.seeded, landing=folder)

    @property
    def tables(self) -> list[str]:
        """The models that are stored."""
        stored = ("incremental", "table")
        nodes = self._manifest.nodes.values()
        return sorted(n.name for n in nodes if n.resource_type == "model" and n.config.materialized in stored)

    def dbt(self, *arguments: str, warehouse: Path, landing: Path) -> None:
        """A command of dbt; raises RuntimeError when a model cannot be built."""
        if failed := apart(self._dbt, arguments, warehouse, landing):
            raise RuntimeError(f"dbt {' '.join(arguments)}: {failed}")

    def _dbt(self, arguments: tuple[str, ...], warehouse: Path, landing: Path) -> str:
        os.environ.update(beside(warehouse), LANDING_DIR=str(landing))
        asked = ["--quiet", *arguments, "--vars", NOW, "--threads", "1"]
        done = dbtRunner(manifest=self._manifest).invoke(asked)
        DuckDBConnectionManager.close_all_connections()  # a fork ends without this, and leaves a part in the log
        return "" if done.success else str(done.exception or "a model failed")

    def deliver(self, *arguments: str, clients: tuple[str, ...], warehouse: Path, share: Path) -> None:
        """A run of deliveries to two clients. Nothing is tested here, so that the gate is asked for nothing."""
        project = share.with_name(f"project-{clients[0]}")
        if not project.exists():
            new_project(project, without=("landing", "integrations.yml"))
            (project / "integrations.yml").write_text(INTEGRATIONS.format(*clients))
        said = apart(self._deliver, arguments, project, warehouse, share)
        if said:
            raise RuntimeError(f"delivery run {' '.join(arguments)}: {said}")

    def _deliver(self, arguments: tuple[str, ...], project: Path, warehouse: Path, share: Path) -> str:
        os.chdir(project)
        os.environ.update(beside(warehouse), DELIVERY_STATE=str(share) + ".state", DELIVERY_SHARE=str(share))
        asked = ["run", *CAMPAIGNS, *arguments, "--ungated", "--reason", "a history"]
        done = CliRunner().invoke(cli, asked)
        return "" if done.exit_code == 0 else f"exit code {done.exit_code}\n{done.output}"


def beside(warehouse: Path) -> dict[str, str]:
    """A warehouse, and what dbt writes of it: other histories are played at the same time."""
    return {"WAREHOUSE": str(warehouse), "DBT_TARGET_PATH": str(warehouse.parent / "target")}


def copied(warehouse: Path, folder: Path) -> Path:
    """A copy of a warehouse in another folder, in place of what is there."""
    folder.mkdir(exist_ok=True)
    return shutil.copy(warehouse, folder / WAREHOUSE)

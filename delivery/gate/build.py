"""Building what the chosen campaigns need: one `dbt build`."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delivery.config.campaigns import read_by
from delivery.config.datasets import ids_of, is_dataset, read_beside, rejects_of
from delivery.errors import ConfigError, EngineDown, GateRefused
from delivery.gate.dbt_command import FINISHED, dbt, run_dbt
from delivery.gate.lineage import Lineage
from delivery.warehouse import find_engine

if TYPE_CHECKING:
    from delivery.config.project import Project
    from delivery.progress import Watch

ANSWER_SECONDS = 5
# Type of target: what dbt needs beside itself. The extra of this package that brings it is named as the type is.
ADAPTERS = {
    "duckdb": ("dbt-duckdb",),
    "postgres": ("dbt-postgres",),
    "spark": ("dbt-spark", "pyspark"),
}


def build(project: Project, campaigns: tuple[str, ...], watch: Watch) -> None:
    """Runs dbt on what the campaigns need; when none is named, on what all need, and on what people export by hand.

    Then dbt is asked when something last landed in the sources that say how long they may be silent. What failed inside
    the build is for the gate to judge. Raises GateRefused when dbt could not build at all, and
    ConfigError when something that it needs is not installed, EngineDown when its server does not answer.
    """
    find_engine(project)  # what cannot be read afterwards need not be built
    _check_installed(str(project.profile["type"]))
    _check_answers(project)
    # Unit tests prove code, not rows, and run when the code changes.
    command = dbt(project, project.target, "build", "--exclude-resource-type", "unit_test")
    log = Path(os.environ.get("DBT_LOG_PATH", "logs")) / "dbt.log"
    watch.stage(f"Building and testing what the campaigns need, with dbt; all that it says is in {log}.")
    code = run_dbt([*command, *_selection(project, campaigns)], project.root, watch)
    if code not in FINISHED:
        raise GateRefused(
            f"dbt could not build: it ended with exit code {code}.",
            hint="Read its messages above; nothing was delivered.",
        )
    if sources := _dated_sources(project, campaigns):
        command = dbt(project, project.target, "source", "freshness", "--select", *sources)
        run_dbt(command, project.root, watch)


def _check_installed(kind: str) -> None:
    """What dbt would say about a missing adapter, or Java, is a traceback, seconds later."""
    missing = [name for name in ADAPTERS.get(kind, ()) if not _is_installed(name)]
    if missing:
        raise ConfigError(
            f"To build on {kind}, dbt needs {' and '.join(missing)}, which {sys.prefix} does not hold.",
            hint=f"pip install 'dbt-delivery[{kind}]'.",
        )
    home = os.environ.get("JAVA_HOME")
    if kind == "spark" and not shutil.which("java", path=f"{home}/bin" if home else None):
        where = f"none in JAVA_HOME ({home})" if home else "no java on PATH, and JAVA_HOME is not set"
        raise ConfigError(
            f"Spark runs on Java, and there is {where}.",
            hint="Install Java 17 or later (Debian: default-jdk-headless).",
        )


def _check_answers(project: Project) -> None:
    """dbt's clients go on trying, for minutes, or end with what a scheduler takes for a failed build."""
    name, addresses, variable = _server(project.profile)
    failures = [seen for host, port in addresses if (seen := _no_answer(host, port))]
    if addresses and len(failures) == len(addresses):
        raise EngineDown(
            f"{name} does not answer at {'; '.join(failures)}.",
            hint=f"Start it, or set {variable}; then run again.",
        )


def _server(profile: dict[str, Any]) -> tuple[str, list[tuple[str, str]], str]:
    """Name, addresses (one that answers is enough) and what sets them; no addresses: there is no server to ask."""
    if profile.get("type") == "postgres":
        return "PostgreSQL", [(str(profile["host"]), str(profile.get("port", 5432)))], "PGHOST and PGPORT"
    if profile.get("type") != "spark":
        return "", [], ""
    remote = os.environ.get("SPARK_REMOTE")
    url = str(remote or (profile.get("server_side_parameters") or {}).get("spark.master", ""))
    addresses = re.findall(r"([^:/,;]+):(\d+)", url) if url.startswith(("spark://", "sc://")) else []
    return "Spark", addresses, "SPARK_REMOTE" if remote else "SPARK_MASTER_URL"


def _no_answer(host: str, port: str) -> str | None:
    """What was seen there; None when something answered. A host that is a folder holds PostgreSQL's socket."""
    try:
        if host.startswith("/"):
            with socket.socket(socket.AF_UNIX) as local:
                local.connect(f"{host}/.s.PGSQL.{port}")
        else:
            socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        return f"{host}:{port}: {getattr(error, 'strerror', None) or error}"
    return None


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _selection(project: Project, campaigns: tuple[str, ...]) -> list[str]:
    """The nodes to build; nothing, which is all of them, when dbt has not parsed the project yet."""
    lineage, needed = _needed(project, campaigns)
    names = lineage.selectors(needed) if lineage else []
    # cautious: exactly the tests whose parents are all built here, and those are all that the gate asks for
    return ["--indirect-selection", "cautious", "--select", *names] if names else []


def _dated_sources(project: Project, campaigns: tuple[str, ...]) -> list[str]:
    """The sources of these nodes that say how long they may be silent."""
    lineage, needed = _needed(project, campaigns)
    return lineage.dated_sources(needed) if lineage else []


def _needed(project: Project, campaigns: tuple[str, ...]) -> tuple[Lineage | None, set[str]]:
    """What the campaigns and the runner read; None when dbt has not parsed the project yet."""
    try:
        manifest = project.manifest()
    except ConfigError:
        return None, set()
    exposures = [
        exposure
        for exposure in manifest["exposures"].values()
        if exposure["config"].get("meta", {}).get("export") and (not campaigns or exposure["name"] in campaigns)
    ]
    needed = {node for exposure in exposures for node in read_by(manifest, exposure)}
    if not campaigns:  # what is built anew below an analytics table takes its proof, so that is built, too
        needed |= {n for n, node in manifest["nodes"].items() if is_dataset(node)}
        needed |= set(read_beside(manifest, "metrics"))
    needed |= set(ids_of(manifest, (name for node in needed for name in rejects_of(manifest["nodes"][node]))))
    return Lineage(manifest), needed

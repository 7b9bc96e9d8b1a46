"""Building what the chosen campaigns need: one `dbt build`, as a subprocess, because importing dbt costs seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.errors import ConfigError, GateRefused, redact
from delivery.lineage import Lineage

if TYPE_CHECKING:
    from delivery.project import Project

FINISHED = (0, 1)  # dbt's exit codes for a build that ran to its end, tests failed or not


def build(project: Project, campaigns: tuple[str, ...]) -> None:
    """Runs dbt on what the campaigns need (all of them when none is named); its output goes to stderr.

    What failed inside the build is for the gate to judge. Raises GateRefused when dbt could not build at all.
    """
    dbt = Path(sys.executable).with_name("dbt")
    if not dbt.exists():
        raise ConfigError(f"No dbt beside {sys.executable}.", hint="Install requirements/run.lock.")
    here = ["--project-dir", str(project.root), "--profiles-dir", str(project.root), "--target", project.target]
    command = [str(dbt), "--no-use-colors", "build", *here, *_selection(project, campaigns)]
    with subprocess.Popen(
        command, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as running:
        for line in running.stdout or ():
            print(redact(line.rstrip()), file=sys.stderr)  # noqa: T201
    if running.returncode not in FINISHED:
        raise GateRefused(
            f"dbt could not build: it ended with exit code {running.returncode}.",
            hint="Read its messages above; nothing was delivered.",
        )


def _selection(project: Project, campaigns: tuple[str, ...]) -> list[str]:
    """The nodes to build; nothing, which is all of them, when dbt has not parsed the project yet."""
    try:
        manifest = project.manifest()
    except ConfigError:
        return []
    exposures = [
        exposure
        for exposure in manifest["exposures"].values()
        if exposure["config"].get("meta", {}).get("export") and (not campaigns or exposure["name"] in campaigns)
    ]
    lineage = Lineage(manifest)
    names = lineage.selectors(node for exposure in exposures for node in exposure["depends_on"]["nodes"])
    # cautious: exactly the tests whose parents are all built here, and those are all that the gate asks for
    return ["--indirect-selection", "cautious", "--select", *names] if names else []

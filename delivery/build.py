"""Building what the chosen campaigns need: one `dbt build`, as a subprocess, because importing dbt costs seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.errors import ConfigError, redact

if TYPE_CHECKING:
    from delivery.project import Project


def build(project: Project, campaigns: tuple[str, ...]) -> int:
    """Runs dbt on everything upstream of the campaigns (of all when none is named); its output goes to stderr.

    Returns dbt's exit code: the gate decides what a failure means for each dataset.
    """
    dbt = Path(sys.executable).with_name("dbt")
    if not dbt.exists():
        raise ConfigError(
            f"No dbt beside {sys.executable}.", hint="Install the project's lock file: requirements/run.lock."
        )
    select = [f"+exposure:{name}" for name in campaigns] or ["+exposure:*"]
    command = [
        str(dbt),
        "--no-use-colors",
        "build",
        "--project-dir",
        str(project.root),
        "--profiles-dir",
        str(project.root),
        "--target",
        project.target,
        "--select",
        *select,
    ]
    with subprocess.Popen(
        command, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as dbt_run:
        assert dbt_run.stdout is not None  # noqa: S101 - it is a pipe
        for line in dbt_run.stdout:
            print(redact(line.rstrip()), file=sys.stderr)  # noqa: T201
    return dbt_run.returncode

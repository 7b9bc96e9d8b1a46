"""The target `lake` among the engines: in an environment of its own, as its extensions are for another DuckDB."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-lake" / "bin" / "python"  # as the Makefile names it


def python_of(target: str) -> Path:
    """The interpreter beside which a target's dbt lies."""
    return PYTHON if target == "lake" else Path(sys.executable)


def exports(project: Path) -> dict[str, str]:
    """Name and SHA-256 of each export of the lake, whole."""
    command = [PYTHON, "-m", "tests.engines.exports", "lake", project]
    done = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE)
    found: dict[str, str] = json.loads(done.stdout)
    return found

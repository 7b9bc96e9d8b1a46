"""The target `lake` among the engines: in an environment of its own, as its extensions are for another DuckDB.

Called by itself, with that environment's Python, it prints each export of the lake with its SHA-256, as JSON.
"""

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


def exports() -> dict[str, str]:
    """Name and SHA-256 of each export of the lake, whole."""
    done = subprocess.run([PYTHON, "-m", __name__], cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE)
    found: dict[str, str] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    from tests.engines.__main__ import _exports

    print(json.dumps(dict(_exports("lake"))))

"""Compiles every model and test for each warehouse, as a first build there would, and has each read by sqlglot.

Nobody is connected to (tests/compile/offline.py), so nothing is said of what a server would make of it. The adapters
are in an environment of their own, .venv/compile. A sample (SAMPLE) is one warehouse, or none where Spark is built.
Ends with one line of figures; exit code 1 when anything cannot be parsed.

    python -m tests.compile
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import sqlglot
from sqlglot.errors import SqlglotError
from sqlglot.expressions import Command

from tests.delivery.sampling import chosen, described

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv/compile/bin/python"
ADAPTERS = ".venv/compile.stamp"  # installed only where a warehouse is compiled for
WAREHOUSES = {0: "snowflake", 2: "bigquery", 4: "databricks"}  # by part of the sample


def main() -> int:
    """Returns the exit code."""
    compiled, faults = 0, []
    warehouses = [WAREHOUSES[part] for part in chosen() if part in WAREHOUSES]
    print(described("make compile"), flush=True)
    if warehouses:
        subprocess.run(["make", "--no-print-directory", ADAPTERS], cwd=ROOT, check=True)
    for warehouse in warehouses:
        with tempfile.TemporaryDirectory(prefix="compile") as folder:
            nodes = compile_for(warehouse, Path(folder))
        compiled += sum(node["resource_type"] == "model" for node in nodes)
        found = [
            f"{warehouse}: {node['original_file_path']}: {fault}"
            for node in nodes
            if (fault := fault_in(node, warehouse))
        ]
        print(f"{warehouse}: {len(nodes)} models and tests, {len(found)} not parsed", flush=True)
        faults += found
    print("\n".join(faults))
    print(f"compile: {len(warehouses)} warehouses {compiled} models {len(faults)} not parsed")
    return 1 if faults or (warehouses and not compiled) else 0


def compile_for(warehouse: str, folder: Path) -> list[dict[str, Any]]:
    """The models and data tests of dbt's manifest, with what they were compiled to."""
    command = ["compile", "--quiet", "--no-populate-cache", "--profiles-dir", "tests/compile", "--target", warehouse]
    done = subprocess.run(
        [PYTHON, "tests/compile/offline.py", warehouse, *command, "--target-path", folder, "--log-path", folder],
        cwd=ROOT, env={**os.environ, "DBT_TARGET": warehouse}, timeout=900, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"dbt compile for {warehouse} ended with {done.returncode}.")
    nodes = json.loads((folder / "manifest.json").read_bytes())["nodes"].values()
    return [node for node in nodes if node["resource_type"] in ("model", "test")]


def fault_in(node: dict[str, Any], warehouse: str) -> str | None:
    """Why the parser of that warehouse's SQL cannot read it."""
    if not node.get("compiled_code"):
        return "was not compiled"
    try:
        statements = sqlglot.parse(node["compiled_code"], dialect=warehouse)
    except SqlglotError as error:
        return str(error).splitlines()[0]
    # What sqlglot does not know it keeps as text.
    return "is no query that the parser knows" if any(isinstance(one, Command) for one in statements) else None


if __name__ == "__main__":
    sys.exit(main())

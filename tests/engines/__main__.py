"""Builds the sample on DuckDB and on Spark, delivers from both, and compares the SHA-256 of every file.

Beside the files of the campaigns, each dataset is written whole, a file a client, in its own order: so every dataset is
compared, delivered or not. Ends with one line of figures; exit code 1 when anything differs.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.engines import identifier, open_engine
from delivery.project import open_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.datasets import Manifest

ROOT = Path(__file__).parents[2]
TARGETS = ("duckdb", "spark")
DAYS = ("2026-11-01", "2026-11-05")


def main() -> int:
    """Returns the exit code."""
    work = Path(os.environ.get("ENGINES_WORK") or tempfile.mkdtemp(prefix="engines"))
    hashes = {target: dict(files(target, work)) for target in TARGETS}
    one, other = (hashes[target] for target in TARGETS)
    different = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    for name in different:
        print(f"{name}: {one.get(name, 'missing')[:12]} {other.get(name, 'missing')[:12]}")
    print(f"engines: {' '.join(TARGETS)}: {len(one)} files {len(different)} different")
    return 1 if different or not one else 0


def files(target: str, work: Path) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of every file of a target, built unless it is there."""
    state, share = work / target / "state", work / target / "share"
    places = {
        "WAREHOUSE": str(work / "engines.duckdb"),
        "SPARK_WAREHOUSE": str(work / "warehouse.spark"),
        "DBT_TARGET_PATH": str(work / target / "target"),
        "DELIVERY_STATE": str(state),
        "DELIVERY_SHARE": str(share),
    }
    os.environ.update(places)
    built = work / target / "built"
    if not built.exists():
        _run(str(Path(sys.executable).with_name("dbt")), "build", "--target", target, "--no-use-colors")
        built.parent.mkdir(parents=True, exist_ok=True)
        built.touch()
    delivery = (sys.executable, "-m", "delivery", "--target", target, "run")
    _run(*delivery, "--from", DAYS[0], "--to", DAYS[1])
    _run(*delivery)
    for path in sorted(share.rglob("*")):
        if path.is_file() and not path.name.endswith(".manifest.json"):
            yield str(path.relative_to(share)), hashlib.sha256(path.read_bytes()).hexdigest()
    yield from _datasets(target)


def _datasets(target: str) -> Iterator[tuple[str, str]]:
    project = open_project(ROOT, target, None)
    with open_engine(project) as engine:
        for dataset in _whole(project.manifest()):
            name, relation, order = dataset
            schema = engine.table(f"select * from {relation} limit 0").schema
            columns = sorted(schema.names)
            select = ", ".join(f"cast({identifier(c)} as varchar) as {identifier(c)}" for c in columns)
            digest = hashlib.sha256()
            for batch in engine.stream(
                f"select {select} from {relation} order by {', '.join(map(identifier, order))}", sorts=True
            ):
                for row in batch.to_pylist():
                    digest.update(repr(row).encode())
            yield f"{name} (whole table)", digest.hexdigest()


def _whole(manifest: Manifest) -> Iterator[tuple[str, str, list[str]]]:
    """Name, relation and order of each export; those that are no dataset (what was rejected) by their key."""
    for node in manifest["nodes"].values():
        if node["resource_type"] == "model" and node["fqn"][1] == "exports":
            asked = (node["config"].get("meta") or {}).get("dataset") or {"order_by": ["unique_key"]}
            window = [asked["window"]] if asked.get("window") else []
            yield node["name"], node["relation_name"], [*window, "namespace", *asked["order_by"]]


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, check=False, text=True, capture_output=True)
    if done.returncode:
        print(f"{' '.join(command[1:])} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())

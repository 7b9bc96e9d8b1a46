"""Builds the sample on each engine, delivers from each, and compares the SHA-256 of every file.

Beside the files of the campaigns, each export is compared whole, row by row in its own order: so every dataset is
compared, delivered or not. Then late rows come, among them texts that are hard to carry, a day is built anew by hand,
and all is compared again. Ends with one line of figures; exit code 1 when anything differs.

    python -m tests.engines [duckdb] [postgres] [spark] [lake]
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from delivery.engines import identifier, open_engine
from delivery.project import open_project
from tests.delivery.postgres import running_server
from tests.delivery.raw_data import events_of
from tests.engines import lake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.datasets import Manifest

ROOT = Path(__file__).parents[2]
DEFAULT = ("duckdb", "postgres", "spark")
KNOWN = (*DEFAULT, "lake")
DAYS = ("2026-11-01", "2026-11-05")
# Texts that readers, formatters and engines stumble over; NUL is left out, as PostgreSQL has none.
HARD = (
    'quote " and \' and ""', "a,b;c|d\te", "line\nbreak\r\nand return\r", "\\.", "back\\slash\\n", "  spaces  ", "NULL",
    "\\N", "=1+1", "-0", "00123", "1e5", "NaN", "true", "2026-11-01", "\xe9 \xf1 \xfc \xdf \u017f \u0130 \u0131",
    "\u4e2d\u6587 \u65e5\u672c", "\U0001f600\u200d\u200b", "e\u0301", "\ufeffmark", "\u2028\u2029\u0085", "\u00a0",
    "\x01\x1f\x7f", "\u202eabc", "%s {x} ${y} `z` $1", "<a>&amp;</a>", "x" * 5000,
)  # fmt: skip


def main(engines: list[str]) -> int:
    """Returns the exit code. engines: the first is what the others are compared with."""
    hashes: dict[str, dict[str, str]] = {target: {} for target in engines}
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="engines")))
        os.environ.update({"LANDING_DIR": str(work / "landing"), "RAW_DIR": str(work / "raw")})
        shutil.copytree(ROOT / "landing", work / "landing")
        if {"postgres", "lake"} & set(engines):
            _new_database(stack.enter_context(running_server()))
        for stage in ("first", "late"):
            if stage == "late":
                _late_rows(work / "landing")
            _load(engines)
            for target in engines:
                hashes[target] |= {f"{stage}: {name}": found for name, found in files(target, work, stage)}
    first = hashes[engines[0]]
    assert first["first: esp_events (whole table)"] != first["late: esp_events (whole table)"], "nothing came late"
    different = sorted(
        {
            name
            for found in hashes.values()
            for name in first.keys() | found.keys()
            if found.get(name) != first.get(name)
        }
    )
    for name in different:
        print(f"{name}: {' '.join(hashes[target].get(name, 'missing')[:12] for target in engines)}")
    print(f"engines: {' '.join(engines)}: {len(first)} files {len(different)} different")
    return 1 if different or not first else 0


def _new_database(socket: str) -> None:
    """A database that orders text by bytes."""
    with psycopg.connect(host=socket, user="delivery", dbname="postgres", autocommit=True) as connection:
        connection.execute("create database engines template template0 locale 'C'")
    os.environ.update({"PGHOST": socket, "PGUSER": "delivery", "PGDATABASE": "engines"})


def _load(engines: list[str]) -> None:
    if engines != ["duckdb"]:
        _run("make", "-s", "load")
    if "postgres" in engines:
        _run(sys.executable, "-m", "benchmarks.load_postgres")


def _late_rows(landing: Path) -> None:
    """What is received late: opens and clicks once more, with texts that are hard to carry, and one of them twice."""
    lines = []
    for number, event in enumerate(events_of(landing)):
        if event.payload.get("event") in ("open", "click") and event.payload.get("namespace"):
            payload = event.payload | {"sg_event_id": f"late-{number}", "useragent": HARD[number % len(HARD)]}
            lines.append(json.dumps({"received_at": "2026-11-04T23:30:00Z", "payload": payload}))
    assert len(lines) > len(HARD)
    (landing / "sendgrid" / "late.ndjson").write_text("\n".join([*lines, lines[0]]) + "\n", encoding="utf-8")


def files(target: str, work: Path, stage: str) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of every file of a target, and of each export whole. Late: a day is built anew by hand, too."""
    share = work / target / "share"
    os.environ.update(
        {
            "WAREHOUSE": str(work / "engines.duckdb"),
            "LAKE_DATA": str(work / "warehouse.lake"),
            "SPARK_WAREHOUSE": str(work / "warehouse.spark"),
            "DBT_TARGET_PATH": str(work / target / "target"),
            "DELIVERY_STATE": str(work / target / "state"),
            "DELIVERY_SHARE": str(share),
        }
    )
    python = lake.python_of(target)
    dbt = [str(python.with_name("dbt")), "build", "--target", target, "--no-use-colors"]
    again = ["--vars", "{rebuild_from: 2026-11-02, rebuild_to: 2026-11-02}"] if stage == "late" else []
    _run(*dbt, *again)
    delivery = (str(python), "-m", "delivery", "--target", target, "run")
    _run(*delivery, "--from", DAYS[0], "--to", DAYS[1])
    _run(*delivery)
    for path in sorted(share.rglob("*")):
        if path.is_file() and not path.name.endswith(".manifest.json"):
            yield str(path.relative_to(share)), hashlib.sha256(path.read_bytes()).hexdigest()
    yield from lake.exports().items() if target == "lake" else _exports(target)


def _exports(target: str) -> Iterator[tuple[str, str]]:
    project = open_project(ROOT, target, None)
    with open_engine(project) as engine:
        for name, relation, keys in _whole(project.manifest()):
            columns = sorted(engine.table(f"select * from {relation} limit 0").schema.names)
            select = ", ".join(f"cast({identifier(c)} as varchar) as {identifier(c)}" for c in columns)
            digest = hashlib.sha256()
            order = ", ".join(f"whole.{identifier(key)}" for key in keys)
            for batch in engine.stream(f"select {select} from {relation} as whole order by {order}", sorts=True):
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
    unknown = [name for name in sys.argv[1:] if name not in KNOWN]
    if unknown:
        sys.exit(f"Unknown engine: {', '.join(unknown)}. Known: {', '.join(KNOWN)}.")
    sys.exit(main(sys.argv[1:] or list(DEFAULT)))

"""Builds the sample on each engine, delivers from each, and compares the SHA-256 of every file.

Three stages: the first build, of raw rows that are odd in every way beside the sample; then late rows, with texts that
are hard to carry, and a day built anew by hand; then a schema that changes. After each, the files of the campaigns are
compared, and each export whole, row by row in its own order: so every dataset is compared, delivered or not. Spark has
the first stage in a session of its own, the second on a standalone master with two workers, of which one is killed, the
third on a Spark Connect server. dbt's tests run on the first engine at each build, on the others at the second: what
equals tested rows need not be tested again. Unit tests on DuckDB are those of `make test`.
Ends with one line of figures; exit code 1 when anything differs.

A sample (SAMPLE) is this on the first engine and one other, until a stage that the part says.

    python -m tests.engines [--until STAGE] [duckdb] [postgres] [spark]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING

import psycopg

from benchmarks.cluster import connect, standalone
from tests.delivery.postgres import running_server
from tests.delivery.projects import SOURCES, Copy
from tests.delivery.sampling import chosen, described
from tests.engines.exports import exports
from tests.engines.stages import STAGES, Target, run

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
KNOWN = ("duckdb", "postgres", "spark")
# The last stage on an engine, by part of the sample. On Spark each is as long as those before it together.
UNTIL = {
    "postgres": ("schema", None, "schema", None, "schema", None, "schema", None),
    "spark": (None, "first", None, "late", None, "first", None, "schema"),
}
LOST_AFTER = 60  # seconds; the build takes minutes


def main(engines: list[str], until: str) -> int:
    """Returns the exit code. engines: the first is what the others are compared with. until: the last stage."""
    on = stages_on(engines, until, chosen())
    engines, stages = list(on), on[engines[0]]
    hashes: dict[str, dict[str, str]] = {target: {} for target in engines}
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="engines")))
        project = _project(work)
        if "postgres" in engines:
            os.environ.update(new_database(stack.enter_context(running_server()), "engines"))
        for name in stages:
            STAGES[name].change(project)
            _load(engines)
            for target in engines:
                if name not in on[target]:
                    continue
                with _environment(target, name, work):
                    STAGES[name].build(Target(target, project.root, target == engines[0]))
                    hashes[target] |= {f"{name}: {file}": sha256 for file, sha256 in files(target, project.root)}
    first = hashes[engines[0]]
    for before, after in pairwise(stages):
        same = first[f"{before}: esp_events (whole table)"] == first[f"{after}: esp_events (whole table)"]
        assert not same, f"{after}: nothing changed"
    different = sorted(
        {
            name
            for found in hashes.values()
            for name in first.keys() | found.keys()
            if _stage(name) in map(_stage, found) and found.get(name) != first.get(name)
        }
    )
    for name in different:
        print(f"{name}: {' '.join(hashes[target].get(name, 'missing')[:12] for target in engines)}")
    run_on = " ".join(f"{target} {len(found)}" for target, found in on.items())
    print(f"engines (stages): {run_on}, until {stages[-1]}: {len(first)} files {len(different)} different")
    return 1 if different or not first else 0


def stages_on(engines: list[str], until: str, parts: range) -> dict[str, list[str]]:
    """The stages that parts of the sample run on each engine that they run; on the first, what another one runs."""
    names = list(STAGES)[: list(STAGES).index(until) + 1]
    last = {engine: max(-1, *(_number(UNTIL[engine][part]) for part in parts)) for engine in engines[1:]}
    on = {engine: names[: number + 1] for engine, number in last.items() if number >= 0}
    return {engines[0]: max(on.values(), key=len, default=names), **on}


def _number(stage: str | None) -> int:
    return list(STAGES).index(stage) if stage else -1


def _stage(name: str) -> str:
    return name.split(":")[0]


def _project(work: Path) -> Copy:
    """The project in a folder of its own, whose raw data and models a stage may change."""
    root = work / "project"
    root.mkdir()
    for name in SOURCES:
        (root / name).symlink_to(ROOT / name)
    project = Copy(root)
    os.environ.update({"LANDING_DIR": str(project.own("landing")), "RAW_DIR": str(work / "raw")})
    return project


def new_database(socket: str, name: str) -> dict[str, str]:
    """A database that orders text by bytes; gives the variables that lead to it."""
    with psycopg.connect(host=socket, user="delivery", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"create database {name} template template0 locale 'C'")
    return {"PGHOST": socket, "PGUSER": "delivery", "PGDATABASE": name}


def _load(engines: list[str]) -> None:
    for engine in engines:
        if engine != "duckdb":
            run(sys.executable, "-m", "delivery", "--target", engine, "load", where=ROOT)


@contextmanager
def _environment(target: str, stage: str, work: Path) -> Iterator[None]:
    """Where a target has its things, and the servers that it runs on in this stage."""
    warehouse = str(work / "warehouse.spark")
    os.environ.update(
        {
            "WAREHOUSE": str(work / "engines.duckdb"),
            "SPARK_WAREHOUSE": warehouse,
            "SPARK_PARTITIONS": "1",
            "SPARK_CONF_DIR": str(Path(__file__).with_name("conf")),
            "DBT_TARGET_PATH": str(work / target / "target"),
            "DELIVERY_STATE": str(work / target / "state"),
            "DELIVERY_SHARE": str(work / target / "share"),
        }
    )
    with ExitStack() as stack:
        began = time.monotonic()
        if target == "spark" and stage == "late":
            cluster = stack.enter_context(standalone())
            os.environ["SPARK_MASTER_URL"] = cluster.url
            stack.callback(os.environ.pop, "SPARK_MASTER_URL")
            lost = Timer(LOST_AFTER, cluster.lose_worker)
            lost.start()
            stack.callback(lost.join)
        if target == "spark" and stage == "schema":
            os.environ["SPARK_REMOTE"] = stack.enter_context(connect(warehouse))
            stack.callback(os.environ.pop, "SPARK_REMOTE")
        yield
        print(f"{stage}: {target}: {time.monotonic() - began:.0f} s", file=sys.stderr)


def files(target: str, root: Path) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of every file of a target, and of each export whole."""
    yield from delivered(Path(os.environ["DELIVERY_SHARE"]))
    yield from exports(target, root)


def delivered(share: Path) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of every file for clients."""
    for path in sorted(share.rglob("*")):
        if path.is_file() and not path.name.endswith((".manifest.json", ".htaccess")):
            with path.open("rb") as content:
                yield str(path.relative_to(share)), hashlib.file_digest(content, "sha256").hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.engines")
    parser.add_argument("--until", choices=STAGES, default=list(STAGES)[-1])
    parser.add_argument("engines", nargs="*", default=KNOWN)
    asked = parser.parse_args()
    if unknown := [name for name in asked.engines if name not in KNOWN]:
        sys.exit(f"Unknown engine: {', '.join(unknown)}. Known: {', '.join(KNOWN)}.")
    print(described("make engines"), flush=True)
    sys.exit(main(list(asked.engines), asked.until))

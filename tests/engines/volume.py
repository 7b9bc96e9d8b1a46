"""Generated events at volume on each engine: load, build, one more day, late rows, deliver; every file is compared.

Twenty clients, of which one has half of the rows. All days but the last are built at once, then the last day, then
rows of an earlier day that were landed late (one day alone is built once); then every day is delivered to every
client. Each engine has a project of its own. A table says what each step took: seconds, CPU seconds and memory of all
processes, the servers among them, and on PostgreSQL the rows that the server read. Ends with one line of figures; exit
code 1 when a file differs.

    python -m tests.engines.volume [--events N] [--days N] [--customers N] [duckdb] [postgres] [spark]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager, nullcontext
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from benchmarks.cluster import standalone
from benchmarks.generate import generate
from benchmarks.processes import adopt_orphans, watched
from benchmarks.project import BIN, declare_clients, environment
from tests.delivery.postgres import running_server
from tests.delivery.projects import new_project
from tests.engines.__main__ import KNOWN, delivered, new_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.delivery.projects import Copy

CLIENTS, LARGEST, SEED = 20, 0.5, 20
START = date(2026, 10, 1)
LATE = 50  # of so many rows of an earlier day, one is landed late
CAMPAIGN = "daily_esp_events"
AS_INSTALLED = ""  # the settings of PostgreSQL's server
EVENTS_A_PARTITION = 200_000  # of Spark: some 200 MB of rows


class Engine:
    """A project on one engine, and what its steps took. read: the rows that its server has read until now."""

    def __init__(self, name: str, project: Copy, env: dict[str, str], read: Callable[[], int | None]) -> None:
        self.name, self.project, self._env, self._read = name, project, env, read

    def step(self, name: str, program: str, *arguments: str) -> None:
        """Runs a command; prints its line of the table. Ends everything when it fails."""
        before = self._read()
        with watched() as used, tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(
                [BIN / program, *arguments], cwd=self.project.root, env=self._env, stdout=said, stderr=said, check=False
            )
            said.seek(0)
            text = said.read()
        if done.returncode:
            sys.exit(f"{self.name}, {name}: ended with {done.returncode}:\n{text[-6000:]}")
        rows = "" if before is None else f"{self._read() - before:,}"
        row = (self.name, name, used["seconds"], used["cpu_seconds"], used["peak_mb"], rows)
        print(f"| {' | '.join(map(str, row))} |", flush=True)

    def build(self, what: str, as_of: date) -> None:
        """Loads what has landed, where the engine reads tables; builds and tests it."""
        if self.name != "duckdb":
            self.step(f"load {what}", "delivery", "--target", self.name, "load")
        now = json.dumps({"as_of": str(as_of)})
        untested = ("--exclude-resource-type", "unit_test")  # those have rows of their own
        self.step(f"build {what}", "dbt", "build", "--target", self.name, "--vars", now, *untested)


def main(engines: list[str], events: int, days: int, customers: int | None) -> int:
    """Returns the exit code."""
    adopt_orphans()
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="volume") as folder:
        work = Path(folder)
        raw = partial(generate, work / "raw", events=events, days=days, namespaces=CLIENTS, seed=SEED, start=START)
        raw(customers=customers, largest=LARGEST)
        if days > 1:
            _put_aside(work, START + timedelta(days=days - 1), START + timedelta(days=(days - 1) // 2))
        print("| engine | step | seconds | CPU seconds | MB | rows read |\n| --- | --- | --- | --- | --- | --- |")
        for name in engines:
            with _engine(name, work, events) as engine:
                found[name] = _files(engine, work, days)
    first, different = found[engines[0]], different_files(list(found.values()))
    for name in different:
        print(f"{name}: {' '.join(files.get(name, 'missing')[:12] for files in found.values())}")
    print(f"load of the machine when it ended: {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    print(f"volume: {' '.join(engines)} {events} events {len(first)} files {len(different)} different")
    return 1 if different or not first else 0


def different_files(found: list[dict[str, str]]) -> list[str]:
    """The names of files, of those that each engine gave with their hashes, that are not the same on all."""
    names = {name for files in found for name in files}
    return [name for name in sorted(names) if len({files.get(name) for files in found}) > 1]


def _put_aside(work: Path, last: date, late: date) -> None:
    """Takes out of the raw data what comes later: the last day, and some rows of an earlier one."""
    for path in [path for path in (work / "raw").rglob("*") if path.is_file() and _of(last, path)]:
        _move(path, work / "last" / path.relative_to(work / "raw"))
    landed = work / "raw" / "sendgrid" / f"{late}-000.ndjson"
    lines = landed.read_bytes().splitlines(keepends=True)
    held = lines[::LATE]
    del lines[::LATE]
    landed.write_bytes(b"".join(lines))
    path = work / "late" / "sendgrid" / f"{late}-late.ndjson"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(held))


def _of(day: date, path: Path) -> bool:
    return path.name.startswith((str(day), f"{day:%Y%m%d}T"))


def _move(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    path.rename(to)


def _land(files: Path, landing: Path) -> None:
    """Files come by a second name each: they are landed for every engine, and take their room once."""
    for path in [path for path in files.rglob("*") if path.is_file()]:
        to = landing / path.relative_to(files)
        to.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, to)


def _files(engine: Engine, work: Path, days: int) -> dict[str, str]:
    """Builds as the raw data comes, delivers; name and SHA-256 of every file."""
    landing, after = engine.project.root / "landing", START + timedelta(days=days)
    for part, what in (("raw", "the first days"), ("last", "one more day"), ("late", "late rows")):
        if (work / part).exists():
            _land(work / part, landing)
            engine.build(what, after)
    window = ("--from", str(START), "--to", str(after))
    engine.step("deliver", "delivery", "--target", engine.name, "run", "--select", CAMPAIGN, *window)
    return dict(delivered(engine.project.root / "share"))


@contextmanager
def _engine(name: str, work: Path, events: int) -> Iterator[Engine]:
    """A project with twenty clients on an engine, whose servers run as long as the context."""
    project = new_project(work / name, without=("landing", "integrations.yml"))
    declare_clients(project.root, CLIENTS)
    project.edit("models/campaigns/daily.yml", "integrations: [acme_share, brightside_drop]", "integrations: all")
    env, read = {}, lambda: None
    servers = {"postgres": partial(running_server, AS_INSTALLED), "spark": standalone}.get(name, nullcontext)
    with servers() as server:
        if name == "postgres":
            env = new_database(server, "volume")
            read = partial(_rows_read, server)
        elif name == "spark":
            partitions = str(max(2, events // EVENTS_A_PARTITION))
            env = {"SPARK_MASTER_URL": server.url, "RAW_DIR": str(project.root / "raw"), "SPARK_PARTITIONS": partitions}
            env["SPARK_WAREHOUSE"] = str(project.root / "warehouse.spark")
        yield Engine(name, project, environment(project.root, **env), read)


def _rows_read(socket: str) -> int:
    """Of every table, the server's own among them, since the database was made."""
    with psycopg.connect(host=socket, user="delivery", dbname="postgres") as connection:
        asked = "select tup_returned from pg_stat_database where datname = 'volume'"
        return int(connection.execute(asked).fetchone()[0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.engines.volume")
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--customers", type=int, help="in all; one to ten events unless said")
    parser.add_argument("engines", nargs="*", default=KNOWN)
    asked = parser.parse_args()
    if unknown := [name for name in asked.engines if name not in KNOWN]:
        parser.error(f"Unknown engine: {', '.join(unknown)}. Known: {', '.join(KNOWN)}.")
    sys.exit(main(list(asked.engines), asked.events, asked.days, asked.customers))

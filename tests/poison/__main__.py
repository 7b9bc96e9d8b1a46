"""`make poison`: bad data of one client in a copy of the sample, all kinds at once, one by one, then none.

Each build mends what the one before had. The kinds of a sample share a build.

Nobody else's rows change, no build stops, no row is unaccounted for, nothing of a raw row stands in a log. Ends with
`poison: <kinds> kinds <n> others changed <n> builds stopped <n> unaccounted <n> quoted`, the last four 0.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from tests.delivery.projects import DATA_TESTS_ONLY, Copy, new_project
from tests.delivery.sampling import chosen, described, part_of
from tests.poison.kinds import CANARY, kinds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.poison.kinds import Kind

AT_ONCE = 40  # kinds of a sample in one build; of the whole, each has its own
OTHERS = " union all ".join(
    f"select '{table}', md5(string_agg(to_json(e), '' order by {key})) from {table} e where namespace <> 'acme_outdoor'"
    for table, key in (
        ("esp_events", "unique_key"),
        ("email_unsubscribes", "unique_key"),
        ("audience_attributes", "unique_key"),
        ("analytics_performance", "namespace, day"),
    )
)
REJECTED = "select (select count(*) from rejected_events) + (select count(*) from rejected_records)"
# Tables of raw rows, each file's lines: what was listed and not read is seen by these.
RAW = """
    select table_name from duckdb_columns()
    where column_name = 'line_number'
        and (table_name like 'base\\_%' escape '\\' or table_name = 'stg_sendgrid__events')
"""
SECRETS = (CANARY, CANARY.replace("@", "%40"), "poisonnqe")


@dataclass
class Found:
    """What went wrong, by kind."""

    changed: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    unaccounted: list[str] = field(default_factory=list)
    quoted: list[str] = field(default_factory=list)


class World:
    """A copy of the sample whose landing folder may be poisoned; built from nothing once, then day by day."""

    def __init__(self, folder: Path) -> None:
        self.project: Copy = new_project(folder / "project")
        self.landing = self.project.own("landing")
        self.found = Found()
        self.there: dict[str, Kind] = {}

    def asked(self, sql: str) -> list[tuple[object, ...]]:
        """Rows of the warehouse."""
        with duckdb.connect(str(self.project.root / "warehouse.duckdb"), read_only=True) as connection:
            return connection.sql(sql).fetchall()

    def build(self, name: str) -> bool:
        """A daily build, whose words are looked through; whether it went to its end without an error."""
        done = self.project.dbt("build", *DATA_TESTS_ONLY, check=False)
        said = done.stdout + done.stderr
        said += "".join(path.read_text(errors="replace") for path in (self.project.root / "logs").glob("*.log"))
        shutil.rmtree(self.project.root / "logs", ignore_errors=True)
        if any(secret in said for secret in SECRETS):
            self.found.quoted.append(name)
        if done.returncode:
            self.found.stopped.append(name)
            print("\n".join(line for line in done.stdout.splitlines() if "FAIL" in line or "rror" in line)[:2000])
        return not done.returncode

    def put(self, poison: dict[str, Kind]) -> None:
        """Files of one or more kinds."""
        for kind in poison.values():
            kind.put(self.landing)

    def empty(self, poison: dict[str, Kind]) -> None:
        """Mends them: nothing is in the files any more."""
        for kind in poison.values():
            kind.mend(self.landing)

    def rows(self) -> tuple[int, int]:
        """How many raw rows were read, and how many of them were rejected."""
        counts = " + ".join(f"(select count(*) from {table})" for (table,) in self.asked(RAW))
        return int(str(self.asked(f"select {counts}")[0][0])), int(str(self.asked(REJECTED)[0][0]))

    def judge(self, name: str, poison: dict[str, Kind], proven: tuple[object, tuple[int, int]]) -> None:
        """Mends what was put in before, puts in what is next, builds, and compares with the build without any."""
        self.empty(self.there)
        self.put(poison)
        self.there = poison
        if self.build(name):
            put_in = sum(kind.rows for kind in poison.values()), sum(kind.lost for kind in poison.values())
            if self.asked(OTHERS) != proven[0]:
                self.found.changed.append(name)
            more = tuple(now - before for now, before in zip(self.rows(), proven[1], strict=True))
            if more != put_in:
                self.found.unaccounted.append(
                    f"{name}: {more[0]} read, {put_in[0]} put in; {more[1]} rejected, {put_in[1]} to be rejected"
                )


def main() -> int:
    """The sweep; the exit code."""
    every = kinds()
    here = {name: kind for name, kind in every.items() if part_of(name) in chosen()}
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        world = World(Path(folder))
        if not world.build("nothing"):
            return 1
        proven = world.asked(OTHERS), world.rows()
        world.judge("all at once", every, proven)
        for names in _together(list(here), 1 if len(here) == len(every) else AT_ONCE):
            world.judge(", ".join(names), {name: here[name] for name in names}, proven)
        world.judge("none", {}, proven)
        found = world.found
    for what, names in vars(found).items():
        for name in names:
            print(f"{what}: {name}")
    print(described("make poison"))
    print(
        f"poison: {len(here)} kinds {len(found.changed)} others changed {len(found.stopped)} builds stopped "
        f"{len(found.unaccounted)} unaccounted {len(found.quoted)} quoted"
    )
    return int(any(vars(found).values()))


def _together(names: list[str], count: int) -> Iterator[list[str]]:
    for start in range(0, len(names), count):
        yield names[start : start + count]


if __name__ == "__main__":
    sys.exit(main())

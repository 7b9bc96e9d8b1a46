"""Ways that need two commands at once, on PostgreSQL."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from tests.delivery.dbt_worker import DbtWorker
from tests.delivery.postgres import running_server
from tests.gate.world import CLIENTS, DAY, NOW, World, environment, landed, lines, new_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECONDS = 60
SLOWLY = ("--vars", '{"sleep":15}')  # longer than another command takes
ACME = CLIENTS["acme"]


@dataclass
class Two:
    """One project on PostgreSQL, and two processes that run dbt on it."""

    one: World
    other: World
    server: psycopg.Connection[Any]

    def land(self, email: str) -> None:
        """A raw row of acme that lands now."""
        self.server.execute(
            f"insert into main.landed values ('{ACME}', '{email}', 'open', timestamp '{DAY} 12:00:00',"
            f" 'new', now() at time zone 'UTC')"
        )

    def during(self, command: tuple[str, ...], do: Callable[[], object], **env: str) -> None:
        """Does something while the other process runs the command, slowly, and waits for its end."""
        counted = "select count(*) from main.build_log where phase = 'start'"
        before = self._count(counted)
        running = threading.Thread(target=lambda: self.other.dbt(*command, *SLOWLY, **env))
        running.start()
        deadline = time.monotonic() + SECONDS
        while self._count(counted) == before:
            assert time.monotonic() < deadline, "the other command did not begin"
            time.sleep(0.1)
        do()
        assert running.is_alive(), "the other command ended too early"
        running.join()

    def _count(self, sql: str) -> int:
        found = self.server.execute(sql).fetchone()
        assert found
        return int(found[0])


@dataclass(frozen=True)
class Beside:
    """do: what the two do. said: why acme's rows may not leave; None: they may."""

    name: str
    do: Callable[[Two], object]
    said: str | None

    def tried(self, folder: Path) -> tuple[bool, list[str]]:
        """As for the other ways."""
        with two(folder / self.name.replace(" ", "_")) as both:
            assert both.one.dbt("build") == 0, both.one.said
            try:
                self.do(both)
            except AssertionError as error:
                return False, [f"{self.name}: could not be tried: {error}"]
            reasons = both.one.verdicts("daily", DAY)["acme"]
        if self.said is None:
            return False, [f"{self.name}: acme is refused: {lines(reasons)}"] if reasons else []
        if not reasons:
            return True, [f"{self.name}: acme is let through"]
        wrong = f"{self.name}: acme is refused for another reason than {self.said!r}: {lines(reasons)}"
        return False, [] if self.said in "\n".join(reasons) else [wrong]


@contextmanager
def two(folder: Path) -> Iterator[Two]:
    """Both, with a server of their own."""
    with running_server() as socket:
        with psycopg.connect(host=socket, user="delivery", dbname="postgres", autocommit=True) as server:
            server.execute("create database gate")
        env = {"GATE_TARGET": "postgres", "PGHOST": socket, "PGDATABASE": "gate"}
        projects = [new_project(folder / name) for name in ("one", "other")]
        worlds = [World(project, DbtWorker(project, environment(**env)), env) for project in projects]
        with psycopg.connect(host=socket, user="delivery", dbname="gate", autocommit=True) as server:
            server.execute("create schema main")
            server.execute(landed(NOW))
            yield Two(worlds[0], worlds[1], server)
        for world in worlds:
            world.worker.end()


def tested_while_it_ran(both: Two) -> None:
    both.land("no address")
    both.during(("run", "--select", "events"), lambda: both.one.dbt("test"))


def tested_after_it_ran(both: Two) -> None:
    both.during(("run", "--select", "events"), lambda: None)
    assert both.one.dbt("test") == 0, both.one.said


def killed_beside(both: Two) -> None:
    """It began before the build that was tested, replaced a table after it, and was killed."""
    both.land("late@example.com")
    both.during(("run", "--select", "events"), lambda: both.one.dbt("build"), DIE_AT_EVENT="2")


BESIDE = [
    Beside("tested while it ran", tested_while_it_ran, "no result"),
    Beside("tested after it ran", tested_after_it_ran, None),
    Beside("killed beside a build", killed_beside, "did not end"),
]

"""Base models on PostgreSQL read an ordinary loader's rows once: in whatever loads they come, with builds between.

Whatever its clock says, and whether or not it has a zone, which is not that of the server.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from projects import new_project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SOURCES = (
    "sendgrid.events", "data_science.scores", "commerce.orders", "commerce.products", "commerce.sessions",
    "platform.namespaces", "platform.campaigns", "platform.campaign_runs", "platform.audiences", "platform.journeys",
    "platform.halts", "platform.unsubscribes", "platform.customers", "platform.entitlements",
)  # fmt: skip
BEGAN = datetime(2026, 11, 3, 8)


class Loader:
    """Fills one raw table, with the columns that every loader has; each of its steps is a transaction."""

    def __init__(self, server: psycopg.Connection[Any], source: str, seed: int) -> None:
        self._server, self._source, self._chance = server, source, random.Random(f"{source} {seed}")
        self._times, self._rows = [BEGAN], 0
        server.execute(f"create schema if not exists {source.split('.')[0]}")
        zone = self._chance.choice(["with", "without"])
        server.execute(f"create table {source} (payload text, loaded_at timestamp {zone} time zone)")

    def step(self, *, timeless: bool = False) -> None:
        """A load after all others, at the time of another, or begun before the newest and ended after it.

        Or at no time, or at one that has not come: what follows is not older for that.
        """
        newest = max(self._times)
        at = self._chance.choice(
            [
                newest + timedelta(minutes=self._chance.randrange(1, 3000)),
                self._chance.choice([time for time in self._times if time > newest - timedelta(days=1)]),
                newest - timedelta(seconds=self._chance.randrange(1, 80_000)),
            ]
        )
        if timeless or self._chance.random() < 0.1:
            at = None if timeless else self._chance.choice([None, "infinity", "-infinity", "1969-12-31", "2090-01-01"])
        else:
            self._times.append(at)
        for _ in range(self._chance.randrange(1, 4)):
            self._rows += 1
            payload = self._chance.choice(['{{"n": "{}"}}', "no JSON {}", '{{"namespace": "same"}}']).format(self._rows)
            self._server.execute(
                f"insert into {self._source} values (%s, %s::text::timestamp)", (payload, at and str(at))
            )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(int(os.environ.get("LOADERS", "1"))))
def test_what_an_ordinary_loader_leaves_is_read_once(
    seed: int, new_database: Callable[[], str], tmp_path: Path
) -> None:
    """Fourteen histories in each draw, a table each."""
    project = new_project(tmp_path / "project")
    url = new_database()
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as server:
        project.env |= {"PGHOST": server.info.host, "PGUSER": "delivery", "PGDATABASE": server.info.dbname}
        server.execute("set timezone = 'UTC'")  # ours; the builds have the server's
        server.execute(f"alter database {server.info.dbname} set timezone = 'America/St_Johns'")
        loaders = [Loader(server, source, seed) for source in SOURCES]
        chance = random.Random(seed)
        for _ in range(4):
            for loader in loaders:
                for _ in range(chance.randrange(3)):
                    loader.step()
            loaders[0].step(timeless=True)
            project.dbt("run", "--target", "postgres", "--select", "base_*", "stg_sendgrid__events")
            for source in SOURCES:
                layer = "stg_" if source == "sendgrid.events" else "base_"
                base = f"delivery.{layer}" + source.replace(".", "__")
                given, read = (
                    Counter(server.execute(f"select payload, cast(cast({at} as timestamp) as text) from {table}"))
                    for table, at in ((source, "loaded_at"), (base, "landed_at"))
                )
                assert read == given, (source, read - given, given - read)


@pytest.mark.slow
def test_a_text_that_is_no_time_is_told_as_in_a_file(new_database: Callable[[], str], tmp_path: Path) -> None:
    """Of the column received_at; a row without it was received when it was loaded."""
    project = new_project(tmp_path / "project")
    url = new_database()
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as server:
        project.env |= {"PGHOST": server.info.host, "PGUSER": "delivery", "PGDATABASE": server.info.dbname}
        server.execute("create schema sendgrid")
        server.execute("create table sendgrid.events (payload json, loaded_at timestamp, received_at varchar(40))")
        said = {"2026-11-03T09:00:00+02:00": 3, None: 4, "now": 4, "2026-11-03T24:00:00Z": 4, "1793675338": 4}
        for number, time in enumerate(said):
            payload = f'{{"event": "open", "sg_event_id": "{number}"}}'
            server.execute("insert into sendgrid.events values (%s, '2026-11-04', %s)", (payload, time))
        project.dbt("run", "--target", "postgres", "--select", "base_landing__files", "stg_sendgrid__events")
        found = server.execute(
            "select cast(extract(day from event_day) as int), fault from delivery.stg_sendgrid__events order by payload"
        ).fetchall()
    faults = [None, None, *["received_at is no time"] * 3]
    assert found == list(zip(said.values(), faults, strict=True))


@pytest.mark.slow
def test_a_row_at_which_the_server_stops_is_not_kept_in_the_log(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    """PostgreSQL quotes it below the first line of its error."""
    project = new_project(tmp_path / "project")
    url = new_database()
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as server:
        project.env |= {"PGHOST": server.info.host, "PGUSER": "delivery", "PGDATABASE": server.info.dbname}
        server.execute("create schema sendgrid")
        server.execute("create table sendgrid.events (payload json, loaded_at timestamp)")
        build = ("run", "--target", "postgres", "--select", "base_landing__files", "stg_sendgrid__events")
        project.dbt(*build)
        server.execute("alter table delivery.stg_sendgrid__events add constraint never check (payload is null)")
        server.execute("""insert into sendgrid.events values ('{"useragent": "Joe Doe"}', '2026-11-04')""")
        assert project.dbt(*build, check=False).returncode == 1
        said = server.execute("select message from delivery.build_log where status = 'error'").fetchall()
    assert [len(message.splitlines()) for (message,) in said] == [2]
    assert 'violates check constraint "never"' in said[0][0]
    assert "Joe" not in said[0][0]

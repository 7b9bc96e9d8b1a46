"""A small project, built by dbt, of two clients and three days; what may be done to it, and what the gate then says."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import duckdb

from delivery import forecast as planner
from delivery.config.project import open_project
from delivery.errors import ConfigError
from delivery.schedule.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from tests.delivery.dbt_worker import DbtWorker

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC)
TODAY = NOW.date()
DAY, BEFORE, LAST = (TODAY - timedelta(days=n) for n in (2, 3, 1))
CLIENTS = {"acme": "acme_outdoor", "brightside": "brightside_beauty"}
EVERYBODY = frozenset(CLIENTS)
LANDED = """
    create table main.landed as
    select client as namespace, client || n || '@example.com' as email, case when n % 2 = 0 then 'open' else 'click' end
        as event, day + n * interval '1' minute as event_time, client || day || n as unique_key,
        cast('{now}' as timestamp) as landed_at
    from (values {clients}) as clients(client), (values {days}) as days(day), (values (0), (1), (2)) as numbers(n)
"""


def landed(now: datetime) -> str:
    """The statement that makes the raw table."""
    clients = ", ".join(f"('{name}')" for name in CLIENTS.values())
    days = ", ".join(f"(timestamp '{day} 00:00:00')" for day in (BEFORE, DAY, LAST))
    return LANDED.format(now=f"{now:%Y-%m-%d %H:%M:%S}", clients=clients, days=days)


def environment(**more: str) -> dict[str, str]:
    """Ours without what would lead dbt elsewhere."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DBT_", "DELIVERY_", "GATE_", "PG"))}
    return {**kept, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DO_NOT_TRACK": "1", **more}


def new_project(folder: Path) -> Path:
    """The project's files in a new folder."""
    shutil.copytree(Path(__file__).parent / "project", folder)
    for name in ("macros", "dbt_packages"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "models" / "int_days_due.sql").symlink_to(ROOT / "models/intermediate/email/int_days_due.sql")
    return folder


@dataclass
class World:
    """One copy of the built project."""

    folder: Path
    worker: DbtWorker
    env: dict[str, str] = field(default_factory=dict)

    def dbt(self, *arguments: str, **env: str) -> int:
        """A command of dbt; its exit code."""
        done = self.worker.run(["--no-use-colors", *arguments], self.folder, environment(**self.env, **env))
        (self.folder / "said").write_text(done.stdout + done.stderr)
        return done.returncode

    @property
    def said(self) -> str:
        """What the last command printed."""
        return (self.folder / "said").read_text()

    def sql(self, *statements: str) -> None:
        """Changes the warehouse behind dbt's back."""
        with duckdb.connect(str(self.folder / "warehouse.duckdb")) as connection:
            for statement in statements:
                connection.execute(statement)

    def asked(self, query: str) -> list[str]:
        """The first column of a query on the warehouse."""
        with duckdb.connect(str(self.folder / "warehouse.duckdb")) as connection:
            return [str(row[0]) for row in connection.sql(query).fetchall()]

    def land(
        self, namespace: str | None, email: str | None = "new@example.com", day: date = DAY, event: str = "open"
    ) -> None:
        """A raw row that lands now."""
        said = "null" if namespace is None else f"'{namespace}'"
        address = "null" if email is None else f"'{email}'"
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"
        self.sql(
            f"insert into main.landed values ({said}, {address}, '{event}', timestamp '{day} 12:00:00',"
            f" 'new-{day}-{namespace}', timestamp '{now}')"
        )

    def edit(self, name: str, before: str, after: str) -> None:
        """Replaces text in a file of the project; it must be there."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert before in text, f"{before!r} is not in {name}"
        path.write_text(text.replace(before, after), encoding="utf-8")

    def verdicts(self, campaign: str, window: date | None, at: datetime | None = None) -> dict[str, tuple[str, ...]]:
        """The refusals, by integration."""
        request = Request(at=at or datetime.now(UTC), select=(campaign,), window=window and window.isoformat())
        found = {}
        try:
            with patch.dict(os.environ, self.env):
                forecasts = planner.plan(open_project(self.folder, self.env.get("GATE_TARGET"), None), request)
        except ConfigError as error:
            return dict.fromkeys(CLIENTS, (error.message,))
        for forecast in forecasts:
            name = next(name for name in CLIENTS if f" to {name} " in f"{forecast.title} ")
            found[name] = forecast.verdict.reasons if forecast.verdict else ()
        return found


def lines(found: Iterable[str]) -> str:
    """Reasons as they are shown."""
    return "; ".join(found)[:300]

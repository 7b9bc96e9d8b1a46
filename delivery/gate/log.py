"""What dbt commands left in the warehouse (dbt_package/macros): how nodes ended, days built, whose rows failed."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from delivery.errors import redact
from delivery.sql import literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from delivery.gate.asked import Asked
    from delivery.warehouse import Engine
    from delivery.windows import Window

AROUND = re.compile(r"^[\s\u200b\ufeff]+|[\s\u200b\ufeff]+$")  # as macros/engine/text.sql has it
# Whose failing rows, of which day, and how many; None where the rows do not say.
Failing = tuple["str | None", "date | None", int]


@dataclass(frozen=True)
class Entry:
    """One result in the build log. started_at: of the command; began_at and ended_at: of the node itself.

    speaks_of: of a test, the nodes; of what was built, into which table.
    """

    invocation_id: str
    started_at: datetime
    status: str
    failures: int | None
    partial: bool
    whole_table: bool
    message: str
    began_at: datetime
    ended_at: datetime
    fingerprint: str
    command: str = ""
    speaks_of: str = ""

    @property
    def variables(self) -> str:
        """Which variables the command was given, as the log tells them apart; those that choose days do not count."""
        return self.command.partition(" --vars ")[2]

    def __str__(self) -> str:
        rows = f" with {self.failures} rows" if self.failures else ""
        counted_only = self.message.startswith("Got ")  # dbt's own words for a failing test
        said = "" if counted_only else redact(self.message.strip())
        return rows + (f": {said}" if said else "")


@dataclass(frozen=True)
class Known:
    """A test that the log knows: what it spoke of, and its last status."""

    unique_id: str
    speaks_of: frozenset[str]
    status: str


@dataclass
class Log:
    """What the build log says about some nodes.

    starts and ends: per node, oldest first. replaced: where builds run beside each other, when a node's rows were last
    replaced, and by which command. days: per node and day, when it was built. failing: per command and test. stored:
    per table, what was built into it after what was first of those that are asked about.
    """

    starts: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    ends: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    replaced: dict[str, Entry] = field(default_factory=dict)
    days: dict[str, dict[date, datetime]] = field(default_factory=lambda: defaultdict(dict))
    failing: dict[tuple[str, str], list[Failing]] = field(default_factory=lambda: defaultdict(list))
    tests: list[Known] = field(default_factory=list)
    stored: dict[str, dict[str, datetime]] = field(default_factory=lambda: defaultdict(dict))

    def last_build(self, node: str) -> Entry | None:
        """The last result of building the node."""
        return self.ends[node][-1] if self.ends[node] else None

    def changed_at(self, seed: str) -> datetime | None:
        """When the seed was first built from the file that it holds now; None when it never held another."""
        changed = None
        for before, entry in zip(self.ends[seed], self.ends[seed][1:], strict=False):
            if entry.fingerprint != before.fingerprint:
                changed = entry.ended_at
        return changed

    def concerns(self, test: str, entry: Entry, asked: Asked, day: date | None = None) -> bool:
        """Whether a test that failed speaks against one client's rows of some days.

        It does unless all of its failing rows say that they are of other clients or other days.
        """
        return entry.status not in ("fail", "warn") or self.concerning(test, entry, asked, day) != 0

    def concerning(self, test: str, entry: Entry, asked: Asked, day: date | None = None) -> int | None:
        """How many of a test's failing rows are one client's, of some days; None if they do not say."""
        rows = self.failing[entry.invocation_id, test]
        if not rows or sum(count for _, _, count in rows) != (entry.failures or 0):
            return None
        days = {day} if day else set(asked.window.days()) if asked.window else None
        return sum(
            count
            for of, when, count in rows
            if (asked.namespace is None or not (said := _said(of)) or said == _said(asked.namespace))
            and (days is None or when is None or when in days)
        )


def _said(namespace: str | None) -> str:
    """A client's name as a row may write it: neither case nor blanks count, and of blanks alone it is nobody's."""
    return AROUND.sub("", namespace or "").lower()


def read_log(
    engine: Engine, schema: str, nodes: Iterable[str], window: Window | None, places: Mapping[str, str]
) -> Log:
    """Reads the log of the nodes; days only of the window.

    places: by node, into which table it is built; what was put there after it is asked for, too.
    """
    names = ", ".join(literal(node) for node in nodes)
    bounds = "" if window is None else f" and event_day >= date '{window.start}' and event_day < date '{window.end}'"
    log = Log()
    for row in engine.table(
        "select unique_id, event_day, max(coalesce(ended_at, started_at)) as built_at"
        f" from {schema}.build_days where unique_id in ({names}){bounds} group by unique_id, event_day"
    ).to_pylist():
        log.days[row["unique_id"]][row["event_day"]] = row["built_at"]
    # The log grows with every build: of older ones only a node's last word is read, its last on all days; all of seeds.
    since = min((built for days in log.days.values() for built in days.values()), default=None)
    recent = f" or ended_at >= timestamp '{since}'" if since else ""
    for row in engine.table(
        "select * from (select unique_id, resource_type, phase, invocation_id, started_at, status, failures, partial,"
        " whole_table, message, coalesce(began_at, started_at) as began_at, coalesce(ended_at, started_at) as ended_at,"
        " fingerprint, command, speaks_of, row_number() over (partition by unique_id, phase, whole_table order by"
        " coalesce(ended_at, started_at) desc, started_at desc) as age,"
        " row_number() over (partition by unique_id, phase order by started_at desc) as command_age"
        f" from {schema}.build_log"
        f" where unique_id in ({names})) as entries"
        f" where age = 1 or command_age = 1 or resource_type = 'seed'{recent} order by ended_at, started_at"
    ).to_pylist():
        entry = Entry(
            row["invocation_id"],
            row["started_at"],
            row["status"],
            row["failures"],
            bool(row["partial"]),
            bool(row["whole_table"]),
            row["message"] or "",
            row["began_at"],
            row["ended_at"],
            row["fingerprint"] or "",
            row["command"] or "",
            row["speaks_of"] or "",
        )
        if row["phase"] == "built":
            log.replaced[row["unique_id"]] = entry
        else:
            (log.starts if row["phase"] == "start" else log.ends)[row["unique_id"]].append(entry)
    for row in engine.table(
        "select invocation_id, unique_id, namespace, event_day, failures"
        f" from {schema}.build_failures where unique_id in ({names})"
    ).to_pylist():
        log.failing[row["invocation_id"], row["unique_id"]].append(
            (row["namespace"], row["event_day"], row["failures"])
        )
    for row in engine.table(
        "select * from (select unique_id, speaks_of, status, row_number() over (partition by unique_id"
        f" order by coalesce(ended_at, started_at) desc) as age from {schema}.build_log"
        " where phase = 'end' and resource_type = 'test' and speaks_of is not null) as tests where age = 1"
    ).to_pylist():
        log.tests.append(Known(row["unique_id"], frozenset(row["speaks_of"].split()), row["status"]))
    if built := {node: last.ended_at for node in places if (last := log.last_build(node))}:
        where = ", ".join(literal(places[node]) for node in built)
        for row in engine.table(
            f"select speaks_of, unique_id, max(coalesce(ended_at, started_at)) as at from {schema}.build_log"
            " where phase = 'end' and resource_type in ('model', 'seed', 'snapshot') and status = 'success'"
            f" and speaks_of in ({where}) and coalesce(ended_at, started_at) > timestamp '{min(built.values())}'"
            " group by speaks_of, unique_id"
        ).to_pylist():
            log.stored[row["speaks_of"]][row["unique_id"]] = row["at"]
    return log


def read_builds(
    engine: Engine, schema: str, nodes: Iterable[str], since: datetime
) -> dict[str, list[tuple[datetime, datetime]]]:
    """Per node, when its whole builds, by commands that began since then (UTC), began and ended."""
    names = ", ".join(literal(node) for node in nodes)
    found: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for row in engine.table(
        "select unique_id, coalesce(began_at, started_at) as began, coalesce(ended_at, started_at) as ended"
        f" from {schema}.build_log where unique_id in ({names}) and phase = 'end' and status = 'success'"
        f" and not partial and started_at >= timestamp '{since}'"
    ).to_pylist():
        found[row["unique_id"]].append((row["began"], row["ended"]))
    return found

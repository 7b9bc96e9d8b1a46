"""How many of a client's rows were rejected on their way to a dataset, and whether that is more than may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery.errors import GateRefused
from delivery.sql import identifier, literal
from delivery.windows import DAY, Window

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from delivery.config.datasets import Dataset
    from delivery.schedule.jobs import Job
    from delivery.warehouse import Engine

BEFORE = 7  # days before a window, with which it is compared


@dataclass(frozen=True)
class Reason:
    """Rows rejected for one reason. before: in the seven days before the window."""

    name: str
    rows: int
    before: int

    def __str__(self) -> str:
        return f"{self.name} {self.rows} ({self.before or 'none'} in the {BEFORE} days before)"


@dataclass(frozen=True)
class Rejected:
    """What was rejected of a client's rows of a window. came: all of them; listed_in: a model that has the rejected."""

    rows: int
    came: int
    reasons: tuple[Reason, ...]
    listed_in: str

    @property
    def percent(self) -> float:
        """Of the rows that came."""
        return 100 * self.rows / self.came

    def __str__(self) -> str:
        reasons = ", ".join(map(str, self.reasons))
        return f"{self.rows} of {self.came} rows were rejected ({self.percent:.2g} %): {reasons}"


class Rejections:
    """What was rejected, as one snapshot has it; each dataset and window is asked for once, for all clients."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[tuple[str, Window | None], _Counts] = {}

    def of(self, dataset: Dataset, namespace: str, window: Window | None) -> Rejected | None:
        """Of a client's rows; None when none were rejected, or the dataset does not say where to look."""
        if window is None:
            return None
        key = dataset.name, window
        if key not in self._known:
            self._known[key] = _counted(self._engine, dataset, window)
        return self._known[key].of(namespace, window)

    def by_day(self, dataset: Dataset, namespace: str, window: Window) -> dict[date, Rejected]:
        """Of one client's rows, those of nobody else are read: each day on which any were rejected."""
        counts = _counted(self._engine, dataset, window, f"namespace = {literal(namespace)}")
        days = {day: counts.of(namespace, Window(day, day + DAY)) for day in window.days()}
        return {day: found for day, found in days.items() if found}


def refusal(job: Job, found: Rejected | None) -> GateRefused | None:
    """Why the rest must not leave; None when it may."""
    limit = job.rejected
    if found is None or found.rows <= limit.rows or found.percent <= limit.percent:
        return None
    return GateRefused(
        f"{job.campaign.name} to {job.integration_name} {job.when}: {found}. "
        f"That is more than rejected.rows {limit.rows} and rejected.percent {limit.percent:g}.",
        hint=f"Look at them in {found.listed_in}, by namespace and reason, and mend what sends them. If the rest may "
        "leave without them: run again with --ungated --reason, or set `rejected` for the client.",
    )


@dataclass(frozen=True)
class _Counts:
    """Rows by namespace, reason and day, from seven days before a window on; all that came, by namespace and day."""

    listed_in: str
    rejected: Mapping[str, Mapping[str, Mapping[date, int]]]
    came: Mapping[tuple[str, date], int]

    def of(self, namespace: str, window: Window) -> Rejected | None:
        inside = window.days()
        before = Window(window.start - BEFORE * DAY, window.start).days()
        reasons = [
            Reason(reason, rows, sum(on_day.get(day, 0) for day in before))
            for reason, on_day in self.rejected.get(namespace, {}).items()
            if (rows := sum(on_day.get(day, 0) for day in inside))
        ]
        if not reasons:
            return None
        reasons.sort(key=lambda one: (-one.rows, one.name))
        rows = sum(reason.rows for reason in reasons)
        came = sum(self.came.get((namespace, day), 0) for day in inside)
        return Rejected(rows, max(rows, came), tuple(reasons), self.listed_in)


def _counted(engine: Engine, dataset: Dataset, window: Window, whose: str = "namespace is not null") -> _Counts:
    """What was rejected in the window and before it; all that came is counted only where anything was in it."""
    rejects, column = dataset.rejects, identifier(dataset.window or "")
    if rejects is None:
        return _Counts("", {}, {})
    rejected: dict[str, dict[str, dict[date, int]]] = {}
    for row in engine.table(
        f"select namespace, reason, {column} as day, count(*) as n from {rejects.listed_in} where {whose}"
        f" and {column} >= date '{window.start - BEFORE * DAY}' and {column} < date '{window.end}'"
        f" group by namespace, reason, {column}"
    ).to_pylist():
        rejected.setdefault(row["namespace"], {}).setdefault(row["reason"], {})[row["day"]] = row["n"]
    came = {}
    if any(day >= window.start for reasons in rejected.values() for days in reasons.values() for day in days):
        came = {
            (row["namespace"], row["day"]): row["n"]
            for row in engine.table(
                f"select namespace, {column} as day, count(*) as n from {rejects.among} where {whose}"
                f" and {column} >= date '{window.start}' and {column} < date '{window.end}'"
                f" group by namespace, {column}"
            ).to_pylist()
        }
    return _Counts(rejects.name, rejected, came)

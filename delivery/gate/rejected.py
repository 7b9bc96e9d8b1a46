"""How many of a client's rows were rejected on their way to a dataset, and whether that is more than may be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from delivery.errors import GateRefused
from delivery.sql import identifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from delivery.config.datasets import Dataset
    from delivery.schedule.jobs import Job
    from delivery.warehouse import Engine
    from delivery.windows import Window

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
    """What was rejected, of all clients, as one snapshot has it; each dataset and window is asked for once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[tuple[str, Window | None], Mapping[str, Rejected]] = {}

    def of(self, dataset: Dataset, namespace: str, window: Window | None) -> Rejected | None:
        """Of a client's rows; None when none were rejected, or the dataset does not say where to look."""
        key = dataset.name, window
        if key not in self._known:
            self._known[key] = _counted(self._engine, dataset, window)
        return self._known[key].get(namespace)


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


def _counted(engine: Engine, dataset: Dataset, window: Window | None) -> dict[str, Rejected]:
    """By namespace, where anything was rejected."""
    rejects = dataset.rejects
    if rejects is None or window is None:
        return {}
    day = identifier(dataset.window or "")
    inside = f"{day} >= date '{window.start}' and {day} < date '{window.end}'"
    before = f"{day} >= date '{window.start - timedelta(days=BEFORE)}' and {day} < date '{window.start}'"
    listed = engine.table(
        f"select namespace, reason, count(case when {inside} then 1 end) as inside,"
        f" count(case when {before} then 1 end) as before from {rejects.listed_in}"
        f" where namespace is not null and (({inside}) or ({before})) group by namespace, reason"
    ).to_pylist()
    of_client: dict[str, list[Reason]] = {}
    for row in sorted(listed, key=lambda row: (-row["inside"], row["reason"])):
        if row["inside"]:
            of_client.setdefault(row["namespace"], []).append(Reason(row["reason"], row["inside"], row["before"]))
    if not of_client:
        return {}
    counts = engine.table(f"select namespace, count(*) as n from {rejects.among} where {inside} group by namespace")
    came = {row["namespace"]: row["n"] for row in counts.to_pylist()}
    found = {}
    for namespace, reasons in of_client.items():
        rows = sum(reason.rows for reason in reasons)
        found[namespace] = Rejected(rows, max(rows, came.get(namespace, 0)), tuple(reasons), rejects.name)
    return found

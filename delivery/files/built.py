"""When the days of a dataset were last built, as the build log has it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, NamedTuple

from delivery.sql import literal

if TYPE_CHECKING:
    from collections.abc import Collection

    from delivery.config.datasets import Dataset
    from delivery.warehouse import Engine
    from delivery.windows import Window


class Built(NamedTuple):
    """Of some days, when the build of them that began last began, and when the last one had ended (UTC)."""

    began: datetime
    ended: datetime


def days_built(dataset: Dataset, engine: Engine, window: Window | None = None) -> dict[date | None, Built]:
    """By day, of a window or of all. Of a table that is built whole nothing is of a day, and stands under None."""
    of = f"where unique_id = {literal(dataset.unique_id)}"
    bounds = f" and event_day >= date '{window.start}' and event_day < date '{window.end}'" if window else ""
    times = "max(started_at) as began, max(coalesce(ended_at, started_at)) as ended"
    days, log = f"{dataset.log}.build_days", f"{dataset.log}.build_log"
    by_day = f"select event_day, {times} from {days} {of}{bounds} group by event_day"
    whole = (
        f"select cast(null as date) as event_day, {times} from {log} {of} and phase = 'end' and status = 'success'"
        f" and not exists (select 1 from {days} {of})"
    )
    rows = engine.table(by_day).to_pylist() or engine.table(whole).to_pylist()
    return {row["event_day"]: Built(_utc(row["began"]), _utc(row["ended"])) for row in rows if row["began"]}


def last_of(builds: Collection[Built]) -> Built | None:
    """The last of some builds; None of none."""
    if not builds:
        return None
    return Built(max(one.began for one in builds), max(one.ended for one in builds))


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)

"""Which windows need a correction: those that were built since they were delivered, and whose rows are others now.

Thousands of windows are told by what is known of their days, their receipts and the ledger's rows, without a look at
any of them; only a window that was built since is compared (decision 0069).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from delivery.errors import EngineDown
from delivery.files.built import days_built, last_of
from delivery.files.receipts import differs, kept, nanoseconds
from delivery.ledger.identity import this_runner
from delivery.ledger.storage import TIME
from delivery.schedule.jobs import sent
from delivery.warehouse import open_engine
from delivery.windows import window_between

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from delivery.config.campaigns import Campaign
    from delivery.config.datasets import Dataset
    from delivery.config.integrations import Integration
    from delivery.config.project import Project
    from delivery.files.built import Built
    from delivery.ledger import Ended, Ledger, Recorded
    from delivery.schedule.jobs import Job, Sent
    from delivery.schedule.request import Request
    from delivery.warehouse import Engine

A_SECOND = 10**9  # of nanoseconds: some file systems keep no more of a time
LEFT_TO_OTHERS = timedelta(days=2)  # for the runner that has the receipt to look


def outdated(
    request: Request,
    campaigns: Mapping[str, Campaign],
    integrations: Mapping[str, Integration],
    project: Project,
    ledger: Ledger,
    *,
    keep: bool,
) -> list[Job]:
    """A correction for each window whose rows are not what they were, or cannot be compared: that fails for itself.

    keep: whether what turns out to be the same is remembered, and not compared again.
    """
    with ExitStack() as stack:
        looks = _Looks(project, stack, keep=keep)
        built = sent(request, campaigns, integrations, ledger, looks.was_built)
        found = [one for one in built if looks.may_differ(one)]
    return [replace(one.job, revision=one.job.revision + 1, corrects=one.arrived) for one in found]


class _Looks:
    """What is known of the warehouse and of the receipts, asked for once and only if there is anything to correct."""

    def __init__(self, project: Project, stack: ExitStack, *, keep: bool) -> None:
        self._project, self._stack, self._keep = project, stack, keep
        self._days: dict[str, dict[date | None, Built]] = {}
        self._windows: dict[tuple[str, str, str], tuple[int, str] | None] = {}
        self._at_work: dict[str | None, str] = {}

    @cached_property
    def _engine(self) -> Engine:
        return self._stack.enter_context(open_engine(self._project))

    @cached_property
    def _kept(self) -> dict[str, int]:
        return kept(self._project)

    @cached_property
    def _runner(self) -> str:
        return this_runner(self._project.state).name

    def was_built(self, dataset: Dataset, ended: Ended) -> bool:
        """Whether a window was built since any of these, as far as its receipt says, or without one the ledger."""
        self._at_work[ended.spooled_by] = max(ended.last, self._at_work.get(ended.spooled_by, ""))
        try:
            built = self._of_window(dataset, ended.window_start, ended.window_end)
        except EngineDown:
            raise
        except Exception:  # noqa: BLE001 - whatever is wrong with one dataset's log: its own corrections say so
            return True
        return built is not None and any(self._is_older(key, ended.first, built) for key in ended.ids)

    def _is_older(self, key: str, ended_at: str, built: tuple[int, str]) -> bool:
        known = self._kept.get(key)
        return built[1] > ended_at if known is None else abs(known - built[0]) >= A_SECOND

    def may_differ(self, one: Sent) -> bool:
        """Whether what was sent may be other than what the table has."""
        row = one.newest
        try:
            built = self._of_window(one.job.campaign.dataset, row.window_start or "", row.window_end or "")
            if built is None or not self._is_older(row.id, row.updated_at, built):
                return False
            if row.id in self._kept:
                return differs(one.job, self._engine, self._project, keep=self._keep)
            return self._is_unknown(row, built[1])
        except EngineDown:
            raise
        except Exception:  # noqa: BLE001 - whatever is wrong with one receipt: its own correction says so
            return True

    def _is_unknown(self, row: Recorded, ended: str) -> bool:
        """Whether nobody can compare a window that was built since. Of another runner's, that runner may."""
        is_ours = row.spooled_by in {self._runner, None}
        is_left = ended < (datetime.now(UTC) - LEFT_TO_OTHERS).strftime(TIME)
        return is_ours or (is_left and self._at_work[row.spooled_by] < ended)

    def _of_window(self, dataset: Dataset, start: str, end: str) -> tuple[int, str] | None:
        """As receipts and the ledger have these times; None of days that no build has on record."""
        key = dataset.unique_id, start, end
        if key not in self._windows:
            if dataset.unique_id not in self._days:
                self._days[dataset.unique_id] = days_built(dataset, self._engine)
            days = self._days[dataset.unique_id]
            last = last_of([days[day] for day in (*window_between(start, end).days(), None) if day in days])
            self._windows[key] = last and (nanoseconds(last.began), last.ended.strftime(TIME))
        return self._windows[key]

"""Windows and schedules: which days a slot of a cron schedule covers. All times are UTC.

A window is [start, end) of whole UTC days. The slot of a schedule delivers the days since the slot before it: a daily
slot delivers yesterday, a weekly slot the seven days before today.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from cronsim import CronSim, CronSimError

from delivery.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = timedelta(days=1)
REMEMBERED = 4096  # thousands of clients ask for the same slots


@dataclass(frozen=True)
class Window:
    """[start, end): midnights UTC, at least one day apart."""

    start: date
    end: date

    def days(self) -> list[date]:
        """The days of the window, in order."""
        return [self.start + DAY * n for n in range((self.end - self.start).days)]

    @property
    def end_at(self) -> datetime:
        """The midnight at which the window ended, UTC."""
        return midnight(self.end)

    def __str__(self) -> str:
        last = self.end - DAY
        return self.start.isoformat() if last == self.start else f"{self.start.isoformat()}..{last.isoformat()}"


def midnight(day: date) -> datetime:
    """The beginning of a day, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


YEARS = 2000, 2199  # what lies beyond is mistyped, and calendars end soon after


def parse_day(text: str, at: datetime) -> date:
    """A day from `YYYY-MM-DD`, `today` or `yesterday` (as seen from `at`)."""
    if text in ("today", "yesterday"):
        return at.astimezone(UTC).date() - (DAY if text == "yesterday" else timedelta())
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is not a day.", hint="Write YYYY-MM-DD, `today` or `yesterday`.") from None
    _check_year(day)
    return day


def parse_instant(text: str) -> datetime:
    """A time from ISO 8601; without an offset it is UTC."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is not a time.", hint="Write it as 2026-11-04T06:00:00Z.") from None
    _check_year(instant)
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _check_year(day: date) -> None:
    first, last = YEARS
    if not first <= day.year <= last:
        raise ConfigError(
            f"{day.isoformat()[:10]} is too far away.", hint=f"Name a day of the years {first} to {last}."
        )


def check_cron(expression: str) -> str | None:
    """Why the expression is not a schedule, or None."""
    if len(expression.split()) != 5:  # a sixth field would be seconds
        return "it does not have the five fields minute, hour, day, month, weekday"
    try:
        next(CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        return str(error) or "it never fires"
    return None


def last_slot(expression: str, at: datetime) -> datetime:
    """The latest slot of the schedule at or before `at`."""
    slot: datetime = next(_slots_before(expression, at))
    return slot


def last_window(expression: str, at: datetime) -> tuple[datetime, Window]:
    """The latest slot at or before `at` that delivers days, and its window."""
    return next((slot, window) for slot in _slots_before(expression, at) if (window := window_of(expression, slot)))


def _slots_before(expression: str, at: datetime) -> Iterator[datetime]:
    after = at.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    slots: Iterator[datetime] = CronSim(expression, after, reverse=True)
    return slots


@lru_cache(maxsize=REMEMBERED)
def slots_between(expression: str, after: datetime, until: datetime) -> tuple[datetime, ...]:
    """The slots with after < slot <= until, in order."""
    slots = []
    for slot in CronSim(expression, after.astimezone(UTC)):
        if slot > until:
            break
        slots.append(slot)
    return tuple(slots)


@lru_cache(maxsize=REMEMBERED)
def window_of(expression: str, slot: datetime) -> Window | None:
    """The days that a slot delivers, or None for a slot on the same day as the one before."""
    previous = next(CronSim(expression, slot, reverse=True))
    return Window(previous.date(), slot.date()) if previous.date() < slot.date() else None


def windows_within(expression: str, start: date, end: date) -> Iterator[tuple[datetime, Window]]:
    """The slots and windows of a schedule that lie wholly inside [start, end)."""
    for slot in CronSim(expression, midnight(start)):
        window = window_of(expression, slot)
        if slot.date() - DAY >= end:
            return
        if window and window.start >= start and window.end <= end:
            yield slot, window


def slot_covering(expression: str, day: date) -> tuple[datetime, Window]:
    """The slot that delivers a day, and its whole window."""
    before = datetime(day.year, day.month, day.day, 23, 59, tzinfo=UTC)
    for slot in CronSim(expression, before):
        window = window_of(expression, slot)
        if window and window.start <= day < window.end:
            return slot, window
    raise ConfigError(f"No slot of {expression!r} delivers {day}.")


@lru_cache(maxsize=REMEMBERED)
def window_between(start: str, end: str) -> Window:
    """The days between two that ISO 8601 writes; the second is exclusive."""
    return Window(date.fromisoformat(start), date.fromisoformat(end))


def when(start: str | None, end: str | None, slot: str) -> str:
    """The day or days of a window, or the slot of a current-state dataset."""
    return str(window_between(start, end)) if start and end else slot

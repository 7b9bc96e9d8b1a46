"""Ranges of days, what they are compared with, and by how much a figure changed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from delivery.windows import Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from delivery.analytics.measures import Grain

YEAR = timedelta(days=364)  # so that weekdays meet
YEAR_BEFORE = "Year before"
SUNDAY = 6


def before(window: Window) -> Window:
    """As many days, right before."""
    length = window.end - window.start
    return Window(window.start - length, window.start)


def year_before(window: Window) -> Window:
    """The same weekdays a year before."""
    return Window(window.start - YEAR, window.end - YEAR)


COMPARISONS: dict[str, Callable[[Window], Window] | None] = {
    "Previous period": before,
    YEAR_BEFORE: year_before,
    "Nothing": None,
}


def change(kind: str, now: Decimal | int | None, then: Decimal | int | None) -> str | None:
    """How a figure changed: in percent, or a rate that is a share in percentage points; None when nothing can be said.

    kind: `count`, `money` or `rate`, as the seed `metrics` has it.
    """
    if now is None or then is None:
        return None
    if kind == "rate":
        return f"{(Decimal(now) - Decimal(then)) * 100:+.2f} pp"
    return f"{(Decimal(now) - Decimal(then)) / Decimal(then) * 100:+.1f} %" if then else None


def first_days(window: Window, grain: Grain, *, whole_weeks: bool) -> list[date]:
    """The first day of each day, week or month of a window, as an answer has it, with rows or without.

    whole_weeks: only weeks whose Sunday is in the window, as of a dataset that is by week.
    """
    days = window.days()
    if whole_weeks:
        return [day for day in days if day.weekday() == SUNDAY]
    begins = {"week": lambda day: day.weekday() == SUNDAY, "month": lambda day: day.day == 1}.get(grain)
    return [day for day in days if begins is None or begins(day) or day == window.start]


def said(day: date) -> str:
    """A day as people write it."""
    return f"{day.day} {day:%B %Y}"

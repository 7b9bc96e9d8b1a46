"""Ranges of days, what they are compared with, and by how much a figure changed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from delivery.windows import Window

if TYPE_CHECKING:
    from collections.abc import Callable

YEAR = timedelta(days=364)  # so that weekdays meet


def before(window: Window) -> Window:
    """As many days, right before."""
    length = window.end - window.start
    return Window(window.start - length, window.start)


def year_before(window: Window) -> Window:
    """The same weekdays a year before."""
    return Window(window.start - YEAR, window.end - YEAR)


COMPARISONS: dict[str, Callable[[Window], Window] | None] = {
    "Previous period": before,
    "Year before": year_before,
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

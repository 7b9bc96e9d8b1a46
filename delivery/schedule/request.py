"""What the command line asks of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

DEADLINE = 43_200.0  # seconds of a run: twelve hours, and a daily one is over before the next


@dataclass(frozen=True)
class Request:
    """What the command line asked for. at: the time that counts as now; start and end: days, end exclusive."""

    at: datetime
    select: tuple[str, ...] = ()
    integrations: tuple[str, ...] = ()
    window: str | None = None
    start: str | None = None
    end: str | None = None
    due: bool = False
    redeliver: bool = False
    ungated: bool = False
    reason: str | None = None

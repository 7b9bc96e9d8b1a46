"""Which slots of its schedule, and so which windows, a request means for one campaign and client."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from delivery.errors import ConfigError
from delivery.ledger import OPEN_STATES, AskedBy, State
from delivery.windows import (
    REMEMBERED,
    Window,
    last_slot,
    last_window,
    parse_day,
    slot_covering,
    slots_between,
    window_between,
    window_of,
    windows_within,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from delivery.config.campaigns import Campaign
    from delivery.ledger import Delivery, Past, Recorded
    from delivery.schedule.request import Request

SLOT = "%Y-%m-%dT%H:%M:%SZ"


def slots(request: Request, campaign: Campaign, past: Sequence[Past]) -> Iterator[tuple[datetime, Window | None]]:
    """The slots that are meant, and their windows; None for the window of a current-state dataset.

    past: the campaign's deliveries to one integration, oldest first; only what is due depends on them.
    Raises ConfigError for days that have not ended or cannot be.
    """
    if request.due:
        yield from _due(request, campaign, past)
    elif campaign.dataset.window is None and (request.window or request.start):
        if campaign.name in request.select:
            raise ConfigError(
                f"{campaign.name} has no days: {campaign.dataset.name} is the current state.",
                hint="Leave out --window, --from and --to.",
            )
    elif campaign.export.schedule == "once":
        slot, window = campaign.once_slot()
        if slot <= request.at and (window is None or _asked_for(request, window)):
            yield slot, window
    else:
        yield from ((slot, window) for slot, window in _recurring(request, campaign) if campaign.is_live(slot))


def _recurring(request: Request, campaign: Campaign) -> Iterator[tuple[datetime, Window | None]]:
    schedule = campaign.export.schedule
    if campaign.dataset.window is None:
        yield last_slot(schedule, request.at), None
    elif request.window is not None:
        yield _ended(request, *slot_covering(schedule, parse_day(request.window, request.at)))
    elif (days := _range(request)) is not None:
        for slot, window in windows_within(schedule, *days):
            yield _ended(request, slot, window)
    else:
        yield last_window(schedule, request.at)


def _range(request: Request) -> tuple[date, date] | None:
    if request.start is None or request.end is None:
        return None
    start, end = parse_day(request.start, request.at), parse_day(request.end, request.at)
    if start >= end:
        raise ConfigError(f"--from {start} is not before --to {end}.", hint="--to is the day after the last one.")
    return start, end


def _asked_for(request: Request, window: Window) -> bool:
    """Whether the days of a `once` campaign are among those asked for; all are when none is named."""
    if request.window is not None:
        return window.start <= parse_day(request.window, request.at) < window.end
    days = _range(request)
    return days is None or (days[0] <= window.start and window.end <= days[1])


def _ended(request: Request, slot: datetime, window: Window) -> tuple[datetime, Window]:
    if window.end > request.at.astimezone(UTC).date():
        raise ConfigError(
            f"The window {window} has not ended yet: it is {request.at:%Y-%m-%d %H:%M} UTC.",
            hint="Only whole days are delivered; ask for `yesterday` or earlier.",
        )
    return slot, window


def _due(request: Request, campaign: Campaign, past: Sequence[Past]) -> Iterator[tuple[datetime, Window | None]]:
    """Slots since the first that the schedule asked for that are not on record, and deliveries that are unfinished.

    What was sent by hand hides no slot that was missed, and does not make older ones due. What lies after `at` counts
    for nothing: a clock that ran ahead may have left it.
    """
    known = [row for row in past if instant(row.slot) <= request.at]
    yield from ((instant(row.slot), window_on_record(row)) for row in known if row.state in OPEN_STATES)
    schedule, windowed = campaign.export.schedule, campaign.dataset.window is not None
    if schedule == "once":
        slot, window = campaign.once_slot()
        if slot <= request.at and not known:
            yield slot, window
        return
    # What a person cancelled was never meant: nothing begins with it.
    begun = [row for row in known if row.state != State.CANCELLED or row.asked_by == AskedBy.SCHEDULE]
    if not begun:
        slot, window = last_window(schedule, request.at) if windowed else (last_slot(schedule, request.at), None)
        if campaign.is_live(slot):
            yield slot, window
        return
    newest = instant(begun[-1].slot)
    if not windowed or campaign.export.catch_up == "last":  # what was missed is not made up for
        yield from scheduled(campaign, newest, request.at)[-1 if campaign.export.catch_up == "last" else 0 :]
        return
    fired, days = scheduled(campaign, first_due(begun) or newest, request.at), days_on_record(known)
    yield from ((slot, window) for slot, window in fired if window and not days.issuperset(window.days()))


def scheduled(campaign: Campaign, after: datetime, until: datetime) -> list[tuple[datetime, Window | None]]:
    """The slots with after < slot <= until at which the campaign is live, and their windows."""
    schedule, windowed = campaign.export.schedule, campaign.dataset.window is not None
    if schedule == "once":
        slot, window = campaign.once_slot()
        return [(slot, window)] if after < slot <= until else []
    fired = [slot for slot in slots_between(schedule, after, until) if campaign.is_live(slot)]
    found = [(slot, window_of(schedule, slot) if windowed else None) for slot in fired]
    return [(slot, window) for slot, window in found if window or not windowed]


def first_due(past: Iterable[Past]) -> datetime | None:
    """The first slot that was delivered because the schedule said so; None when none was."""
    return min((instant(row.slot) for row in past if row.asked_by == AskedBy.SCHEDULE), default=None)


def days_on_record(past: Iterable[Past]) -> set[date]:
    """The days that deliveries cover, also in other windows than today's schedule has; of slots without, their days."""
    days: set[date] = set()
    for row in past:
        window = window_on_record(row)
        days.update(window.days() if window else [instant(row.slot).date()])
    return days


@lru_cache(maxsize=REMEMBERED)
def instant(slot: str) -> datetime:
    """A slot as the ledger writes it."""
    return datetime.strptime(slot, SLOT).replace(tzinfo=UTC)


def window_on_record(row: Delivery | Recorded | Past) -> Window | None:
    """The days of a recorded delivery; None for a current-state dataset."""
    if row.window_start is None or row.window_end is None:
        return None
    return window_between(row.window_start, row.window_end)

"""Windows that should have gone by their schedules, and did not."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from delivery.config.campaigns import campaigns as campaigns_of
from delivery.errors import ConfigError
from delivery.ledger import ENDED, Ledger
from delivery.schedule.slots import SLOT, days_on_record, first_due, instant, scheduled, window_on_record
from delivery.windows import midnight, parse_day

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime

    from delivery.config.campaigns import Campaign
    from delivery.config.integrations_file import Integrations
    from delivery.config.project import Project
    from delivery.ledger import Recorded

# What needs nothing more: it went, there was nothing to send, or a person did not want it.


class Gap(NamedTuple):
    """One window, or slot of a current-state dataset. state: `missing` when the ledger does not know it.

    Of one that went it is the revision that should have followed.
    """

    namespace: str
    campaign: str
    integration: str
    when: str
    due: str
    state: str
    note: str


def gaps(
    project: Project, declared: Integrations, at: datetime, campaign: str | None, start: str | None, end: str | None
) -> list[Gap]:
    """The gaps of all campaigns or of one, oldest first. start, end: days, end exclusive; see the command's help."""
    namespaces = declared.namespaces
    known = campaigns_of(project.manifest(), declared.names)
    if campaign is not None and campaign not in known:
        raise ConfigError(f"Unknown campaign: {campaign}.", hint=f"Known: {', '.join(known) or 'none'}.")
    first = parse_day(start, at) if start else None
    until = min(at, midnight(parse_day(end, at)) + timedelta(days=1)) if end else at
    found: list[Gap] = []
    with closing(Ledger(project.ledger_url)) as ledger:
        for name, one in known.items():
            if campaign in (None, name):
                recorded = ledger.recorded(name)
                for integration in one.integrations:
                    where = (integration, namespaces[integration])
                    found += _of(one, where, recorded[where], first, until)
    return sorted(found, key=lambda gap: (gap.due, gap.campaign, gap.integration))


def _of(
    campaign: Campaign, where: tuple[str, str], recorded: list[Recorded], first: date | None, until: datetime
) -> Iterator[Gap]:
    integration, namespace = where
    begins = midnight(first) if first else first_due(recorded) or _first(campaign, recorded)
    if begins is None:
        return
    ended = days_on_record(row for row in recorded if row.state in ENDED)
    for slot, window in scheduled(campaign, begins - timedelta(seconds=1), until):
        if ended.issuperset(window.days() if window else [slot.date()]) or (first and window and window.start < first):
            continue
        row = next((row for row in reversed(recorded) if row.slot == slot.strftime(SLOT)), None)
        state, note = (row.state, _begins(row)) if row else ("missing", "")
        yield Gap(namespace, campaign.name, integration, str(window or slot.date()), f"{slot:{SLOT}}", state, note)
    for row in _not_corrected(recorded):
        window = window_on_record(row)
        if instant(row.slot) <= until and (first is None or (window is not None and window.start >= first)):
            when = f"{window or row.slot[:10]} r{row.revision}"
            yield Gap(namespace, campaign.name, integration, when, row.slot, row.state, _begins(row))


def _begins(row: Recorded) -> str:
    return (row.note.splitlines() or [""])[0]


def _not_corrected(recorded: list[Recorded]) -> Iterator[Recorded]:
    """Of what went, the newest revisions that should have followed, and did not."""
    revised: dict[tuple[str | None, ...], list[Recorded]] = {}
    for row in sorted(recorded, key=lambda row: row.revision):
        revised.setdefault((row.slot, row.window_start, row.window_end), []).append(row)
    for rows in revised.values():
        if rows[-1].state not in ENDED and any(row.state in ENDED for row in rows):
            yield rows[-1]


def _first(campaign: Campaign, recorded: list[Recorded]) -> datetime | None:
    if recorded:
        return instant(recorded[0].slot)
    return midnight(campaign.export.start) if campaign.export.start else None

"""Windows that should have gone by their schedules, and did not."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from delivery.config.campaigns import campaigns as campaigns_of
from delivery.errors import ConfigError
from delivery.ledger import ENDED, Ledger, deliveries
from delivery.schedule.slots import SLOT, days_on_record, first_due, instant, scheduled, window_on_record
from delivery.windows import midnight, parse_day

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, datetime

    from delivery.config.campaigns import Campaign
    from delivery.config.integrations_file import Integrations
    from delivery.config.project import Project
    from delivery.ledger import Past


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
        raise ConfigError(f"Unknown campaign: {campaign}.", hint=f"Known: {', '.join(sorted(known)) or 'none'}.")
    first = parse_day(start, at) if start else None
    until = min(at, midnight(parse_day(end, at)) + timedelta(days=1)) if end else at
    found: list[Gap] = []
    with closing(Ledger(project.ledger_url)) as ledger:
        for name, one in known.items():
            if campaign in (None, name):
                found += _of_campaign(one, namespaces, ledger, first, until)
    return sorted(found, key=lambda gap: (gap.due, gap.campaign, gap.integration))


def _of_campaign(
    campaign: Campaign, namespaces: Mapping[str, str], ledger: Ledger, first: date | None, until: datetime
) -> Iterator[Gap]:
    """Of clients with one history the gaps are the same, but for what is noted of each delivery."""
    histories = ledger.histories(campaign.name)
    found: dict[tuple[Past, ...], list[tuple[str, str, Past | None]]] = {}
    for name in campaign.integrations:
        past = histories.get((name, namespaces[name]), ())
        if past not in found:
            found[past] = list(_of(campaign, past, first, until))
    noted = ledger.recorded(campaign.name, deliveries.c.state.not_in(ENDED)) if any(found.values()) else {}
    notes = {row[1:7]: row.note.partition("\n")[0] for rows in noted.values() for row in rows}
    for name in campaign.integrations:
        where = (name, namespaces[name])
        for when, due, row in found[histories.get(where, ())]:
            state, note = (row.state, notes.get((*where, *row[:4]), "")) if row else ("missing", "")
            yield Gap(namespaces[name], campaign.name, name, when, due, state, note)


def _of(
    campaign: Campaign, past: Sequence[Past], first: date | None, until: datetime
) -> Iterator[tuple[str, str, Past | None]]:
    """Of one history: when, due, and the delivery if there is one."""
    begins = midnight(first) if first else first_due(past) or _first(campaign, past)
    if begins is None:
        return
    ended = days_on_record(row for row in past if row.state in ENDED)
    for slot, window in scheduled(campaign, begins - timedelta(seconds=1), until):
        if ended.issuperset(window.days() if window else [slot.date()]) or (first and window and window.start < first):
            continue
        due = slot.strftime(SLOT)
        yield str(window or slot.date()), due, next((row for row in reversed(past) if row.slot == due), None)
    for row in _not_corrected(past):
        window = window_on_record(row)
        if instant(row.slot) <= until and (first is None or (window is not None and window.start >= first)):
            yield f"{window or row.slot[:10]} r{row.revision}", row.slot, row


def _not_corrected(past: Sequence[Past]) -> Iterator[Past]:
    """Of what went, the newest revisions that should have followed, and did not."""
    revised: dict[tuple[str | None, ...], list[Past]] = {}
    for row in sorted(past, key=lambda row: row.revision):
        revised.setdefault((row.slot, row.window_start, row.window_end), []).append(row)
    for rows in revised.values():
        if rows[-1].state not in ENDED and any(row.state in ENDED for row in rows):
            yield rows[-1]


def _first(campaign: Campaign, past: Sequence[Past]) -> datetime | None:
    if past:
        return instant(past[0].slot)
    return midnight(campaign.export.start) if campaign.export.start else None

"""What a request means: which deliveries, of which windows or slots, under which keys."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

from delivery.config.faults import nearest
from delivery.errors import ConfigError
from delivery.ledger import ENDED, ENDED_WELL, NOT_LEFT, OPEN_STATES, Delivery, Ledger, State, deliveries, delivery_id
from delivery.schedule.slots import SLOT, instant, slots, window_on_record
from delivery.windows import DAY, parse_day

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from delivery.config.campaigns import Campaign
    from delivery.config.datasets import Dataset
    from delivery.config.integrations import Integration
    from delivery.config.values import RejectedLimit, RowCount
    from delivery.ledger import Ended, Layout, Past, Recorded
    from delivery.schedule.request import Request
    from delivery.windows import Window


class Sent(NamedTuple):
    """A window that was delivered: its newest revision, that as the ledger has it, and what the client has."""

    job: Job
    newest: Recorded
    arrived: str


@dataclass(frozen=True)
class Job:
    """One delivery to be made."""

    campaign: Campaign
    integration_name: str
    integration: Integration
    slot: datetime
    window: Window | None
    revision: int = 0
    corrects: str | None = None  # the delivery whose rows changed since

    @property
    def when(self) -> str:
        """What the key says of time: the window, or the slot of a current-state dataset."""
        return f"{self.window.start}/{self.window.end}" if self.window else self.slot.strftime(SLOT)

    @property
    def day(self) -> date:
        """What stands for its time in names: the window's first day, or the slot's."""
        return self.window.start if self.window else self.slot.date()

    @property
    def series(self) -> tuple[str, str, str]:
        """Of what this is one delivery: campaign, integration and namespace, as the ledger has them."""
        return self.campaign.name, self.integration_name, self.integration.namespace

    @property
    def key(self) -> str:
        """The delivery's id in the ledger."""
        return delivery_id(*self.series, self.when, self.revision)

    @property
    def complete_at(self) -> datetime:
        """What it is built from must have begun to be built then, or later."""
        if self.window:
            return self.window.end_at
        return self.slot - timedelta(hours=self.campaign.export.build_age_hours)

    @property
    def empty(self) -> str:
        """What becomes of a window without rows: the campaign's word before the integration's."""
        return self.campaign.export.empty or self.integration.empty

    @property
    def row_count(self) -> RowCount | None:
        """The bounds of the row count: the campaign's, as a whole, before the integration's."""
        return self.campaign.export.row_count or self.integration.row_count

    @property
    def rejected(self) -> RejectedLimit:
        """How many rows may have been rejected: the campaign's word, as a whole, before the integration's."""
        return self.campaign.export.rejected or self.integration.rejected

    def record(self, destination: str, reason: str | None) -> dict[str, object]:
        """The delivery's row in the ledger when it is planned."""
        return {
            "id": self.key,
            "campaign": self.campaign.name,
            "integration": self.integration_name,
            "namespace": self.integration.namespace,
            "dataset": self.campaign.dataset.name,
            "slot": self.slot.strftime(SLOT),
            "window_start": self.window.start.isoformat() if self.window else None,
            "window_end": self.window.end.isoformat() if self.window else None,
            "revision": self.revision,
            "destination": destination,
            "reason": reason,
            "corrects": self.corrects,
        }


def jobs(
    request: Request, campaigns: Mapping[str, Campaign], integrations: Mapping[str, Integration], ledger: Ledger
) -> list[Job]:
    """The deliveries that the request means, oldest first. Raises ConfigError for names and days that cannot be."""
    _check_names("campaign", request.select, campaigns)
    _check_names("integration", request.integrations, integrations)
    found: dict[str, Job] = {}
    for campaign, asked in _asked(request, campaigns, integrations):
        histories = ledger.histories(campaign.name) if request.due else {}
        meant: dict[tuple[Past, ...], list[tuple[datetime, Window | None]]] = {}
        for name, integration in asked.items():
            past = histories.get((name, integration.namespace), ())
            if past not in meant:
                meant[past] = list(slots(request, campaign, past))
            for slot, window in meant[past]:
                revised = _revised(Job(campaign, name, integration, slot, window), request, ledger)
                found[revised.key] = revised
    return sorted(
        _as_frozen(found.values(), ledger), key=lambda job: (job.slot, job.campaign.name, job.integration_name)
    )


def _check_names(kind: str, asked: tuple[str, ...], known: Mapping[str, object]) -> None:
    unknown = [name for name in asked if name not in known]
    if unknown:
        shown = ", ".join(f"{name}{nearest(name, known)}" for name in unknown)
        raise ConfigError(f"Unknown {kind}: {shown}.", hint=f"Known: {', '.join(sorted(known)) or 'none'}.")


def _revised(job: Job, request: Request, ledger: Ledger) -> Job:
    """The job's latest revision, or the one after it when a new one is asked for.

    One that is asked for again is whole, also where it takes the place of a correction that could not be made.
    """
    known = revisions(job, ledger)
    if not known:
        return job
    latest = max(known, key=lambda row: row.revision)
    if not request.redeliver:
        return replace(job, revision=latest.revision, corrects=latest.corrects)
    is_known = latest.state in OPEN_STATES or any(_is_redelivery(row, request.reason) for row in known)
    return replace(job, revision=latest.revision + (0 if is_known else 1))


def _is_redelivery(row: Delivery, reason: str | None) -> bool:
    """Whether a window was sent for this reason: it is sent once for it, however often that is run."""
    return row.corrects is None and row.reason == reason is not None


def revisions(job: Job, ledger: Ledger) -> list[Delivery]:
    """All deliveries of the job's window, or of its slot, to the same client."""
    if job.window is None:
        return ledger.series(*job.series, deliveries.c.slot == job.slot.strftime(SLOT))
    start, end = job.window.start.isoformat(), job.window.end.isoformat()
    return ledger.series(*job.series, deliveries.c.window_start == start, deliveries.c.window_end == end)


def told_since(job: Job, ledger: Ledger) -> tuple[list[Delivery], str | None]:
    """What came before a delivery of `mode: changes` and is needed no more, and since which one changes are told.

    That is the one written last, be it handed over or still on its way, which this one then waits for (`waits_for`).
    None when all is to be sent: at first, each `full_every`-th time, when a delivery is sent again, and after one that
    was cancelled when a part of it had left: what the client made of that is not known.
    """
    states = (*ENDED_WELL, State.SPOOLED, State.HELD, State.CANCELLED)
    found = {row.id: row for row in ledger.series(*job.series, deliveries.c.state.in_(states)) if row.id != job.key}
    written = [found[key] for key in ledger.in_order_of_writing(found)]
    before = [row for row in written if row.state != State.CANCELLED]
    after = written[written.index(before[-1]) + 1 :] if before else []
    is_unknown = any(has_left(row, ledger) for row in after)
    last = before[1 - job.campaign.export.full_every :] if job.campaign.export.full_every > 1 else []
    is_full_due = len(last) == job.campaign.export.full_every - 1 and all(row.since for row in last)
    arrived = [number for number, row in enumerate(before) if row.state in ENDED_WELL]
    past = before[: arrived[-1]] if arrived else []
    return past, None if job.revision or not before or is_unknown or is_full_due else before[-1].id


def has_left(row: Delivery, ledger: Ledger) -> bool:
    """Whether the client may have seen a part of a delivery, be it that it was cancelled since."""
    return any(file.state not in NOT_LEFT for file in ledger.files(row.id))


def waits_for(row: Delivery, ledger: Ledger) -> Delivery | None:
    """The delivery that one of `mode: changes` stands on, while the client does not have it."""
    found = ledger.find(deliveries.c.id == row.since) if row.since else []
    return next((one for one in found if one.state not in ENDED_WELL), None)


def sent(
    request: Request,
    campaigns: Mapping[str, Campaign],
    integrations: Mapping[str, Integration],
    ledger: Ledger,
    was_built: Callable[[Dataset, Ended], bool],
) -> list[Sent]:
    """What may need a correction: the newest revision of each window that the request means, and what the client has.

    That is the last one that ended well. While one after it is under way or held there is none; one that a person
    cancelled is not made again as long as nothing else changes. Where no days are named: windows of any age.
    was_built: whether a window was built since any of some deliveries of it; of others nothing more is read.
    """
    first, last = _days(request)
    within = (deliveries.c.window_end > first.isoformat(), deliveries.c.window_start <= last.isoformat())
    found: list[Sent] = []
    for campaign, asked in _asked(request, campaigns, integrations):
        ended = ledger.ended(campaign.name, *within) if campaign.is_corrected else []
        begins = {one.window_start for one in ended if was_built(campaign.dataset, one)}
        if not begins:
            continue
        recorded = ledger.recorded(campaign.name, *within, deliveries.c.window_start.in_(begins))
        for name, integration in asked.items():
            for newest, arrived in _arrived(recorded.get((name, integration.namespace), ())):
                slot, window = instant(newest.slot), window_on_record(newest)
                job = Job(campaign, name, integration, slot, window, newest.revision, newest.corrects)
                found.append(Sent(job, newest, arrived.id))
    jobs = _as_frozen([one.job for one in found], ledger)
    return [one._replace(job=job) for one, job in zip(found, jobs, strict=True)]


def _arrived(recorded: Sequence[Recorded]) -> Iterator[tuple[Recorded, Recorded]]:
    """Of each window with nothing under way the newest revision, and the last that ended well."""
    windows: dict[tuple[str | None, str | None], list[Recorded]] = {}
    for row in sorted(recorded, key=lambda row: row.revision):
        windows.setdefault((row.window_start, row.window_end), []).append(row)
    for revised in windows.values():
        newest, arrived = revised[-1], [row for row in revised if row.state in ENDED_WELL]
        if arrived and newest.state in ENDED:
            yield newest, arrived[-1]


def _asked(
    request: Request, campaigns: Mapping[str, Campaign], integrations: Mapping[str, Integration]
) -> Iterator[tuple[Campaign, dict[str, Integration]]]:
    """The campaigns that are asked for, with each integration that is and can be served."""
    for campaign in campaigns.values():
        if not request.select or campaign.name in request.select:
            asked = set(request.integrations or campaign.integrations)
            served = [name for name in campaign.integrations if name in asked and name in integrations]
            yield campaign, {name: integrations[name] for name in served}


def _as_frozen(asked: Collection[Job], ledger: Ledger) -> list[Job]:
    """The jobs with their integrations as the files are since the first delivery."""
    layouts = ledger.layouts() if asked else {}
    return [
        replace(job, integration=_frozen(job.integration, layouts.get((job.campaign.name, job.integration_name))))
        for job in asked
    ]


def _frozen(integration: Integration, layout: Layout | None) -> Integration:
    if layout is None:
        return integration
    columns = dict(zip(layout.columns, layout.labels or layout.columns, strict=True))
    return integration.model_copy(update={"columns": columns, "rows": layout.rows})


def _days(request: Request) -> tuple[date, date]:
    """The first and the last day that are named, or all that have come."""
    if request.window is not None:
        day = parse_day(request.window, request.at)
        return day, day
    if request.start is not None and request.end is not None:
        return parse_day(request.start, request.at), parse_day(request.end, request.at) - DAY
    return date.min, request.at.date()

"""What a request means: which deliveries, of which windows or slots, under which keys and names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from delivery.errors import ConfigError
from delivery.ledger import OPEN_STATES, Delivery, Ledger, deliveries, delivery_id
from delivery.rows import Selection
from delivery.windows import Window, last_slot, parse_day, slot_covering, slots_between, window_of, windows_within

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from delivery.campaigns import Campaign
    from delivery.integrations import Integration

SLOT = "%Y-%m-%dT%H:%M:%SZ"


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


@dataclass(frozen=True)
class Job:
    """One delivery to be made."""

    campaign: Campaign
    integration_name: str
    integration: Integration
    slot: datetime
    window: Window | None
    revision: int = 0

    @property
    def when(self) -> str:
        """What the key says of time: the window, or the slot of a current-state dataset."""
        return f"{self.window.start}/{self.window.end}" if self.window else self.slot.strftime(SLOT)

    @property
    def key(self) -> str:
        """The delivery's id in the ledger."""
        return delivery_id(
            self.campaign.name, self.integration_name, self.integration.namespace, self.when, self.revision
        )

    def selection(self, columns: tuple[str, ...]) -> Selection:
        """What the delivery reads."""
        return Selection(self.campaign.dataset, columns, self.integration.namespace, self.window)

    def file_name(self, now: datetime) -> str:
        """The final name. now: for `filename_timestamped`; kept by the ledger from the first time on."""
        default = "{campaign}_{window:%Y-%m-%d}" if self.window else "{campaign}"
        template = self.integration.file_name or default
        day = self.window.start if self.window else self.slot.date()
        name = template.format(
            namespace=self.integration.namespace,
            campaign=self.campaign.name,
            window=day,
            revision=self.revision,
            part=1,
        )
        path = PurePosixPath(name)
        stem, suffix = (path.stem, path.suffix) if path.suffix else (name, ".csv")
        if self.revision and "{revision" not in template and self.integration.existing != "replace":
            stem += f"_r{self.revision}"
        if self.integration.filename_timestamped:
            stem += now.astimezone(UTC).strftime("_%Y%m%d%H%M%S")
        compressed = {"none": "", "gzip": ".gz", "zstd": ".zst"}[self.integration.compression]
        return stem + suffix + ("" if suffix == compressed else compressed)

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
        }


def jobs(
    request: Request, campaigns: Mapping[str, Campaign], integrations: Mapping[str, Integration], ledger: Ledger
) -> list[Job]:
    """The deliveries that the request means, oldest first. Raises ConfigError for names and days that cannot be."""
    _check_names("campaign", request.select, campaigns)
    _check_names("integration", request.integrations, integrations)
    found: dict[str, Job] = {}
    for campaign in campaigns.values():
        if request.select and campaign.name not in request.select:
            continue
        for name in campaign.integrations:
            if request.integrations and name not in request.integrations:
                continue
            for slot, window in _slots(request, campaign, name, ledger):
                job = _revised(Job(campaign, name, integrations[name], slot, window), request, ledger)
                found[job.key] = job
    return sorted(found.values(), key=lambda job: (job.slot, job.campaign.name, job.integration_name))


def _check_names(kind: str, asked: tuple[str, ...], known: Mapping[str, object]) -> None:
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise ConfigError(f"Unknown {kind}: {', '.join(unknown)}.", hint=f"Known: {', '.join(known) or 'none'}.")


def _slots(
    request: Request, campaign: Campaign, integration: str, ledger: Ledger
) -> Iterator[tuple[datetime, Window | None]]:
    schedule, windowed = campaign.export.schedule, campaign.dataset.window is not None
    if request.due:
        yield from _due(request, campaign, integration, ledger)
    elif schedule == "once":
        yield campaign.once_slot()
    elif windowed and request.window is not None:
        yield _ended(request, *slot_covering(schedule, parse_day(request.window, request.at)))
    elif windowed and request.start is not None and request.end is not None:
        start, end = parse_day(request.start, request.at), parse_day(request.end, request.at)
        if start >= end:
            raise ConfigError(f"--from {start} is not before --to {end}.", hint="--to is the day after the last one.")
        for slot, window in windows_within(schedule, start, end):
            yield _ended(request, slot, window)
    else:
        slot = last_slot(schedule, request.at)
        latest = window_of(schedule, slot) if windowed else None
        if campaign.is_live(slot) and (latest or not windowed):
            yield slot, latest


def _ended(request: Request, slot: datetime, window: Window) -> tuple[datetime, Window]:
    if window.end > request.at.astimezone(UTC).date():
        raise ConfigError(
            f"The window {window} has not ended yet: it is {request.at:%Y-%m-%d %H:%M} UTC.",
            hint="Only whole days are delivered; ask for `yesterday` or earlier.",
        )
    return slot, window


def _due(
    request: Request, campaign: Campaign, integration: str, ledger: Ledger
) -> Iterator[tuple[datetime, Window | None]]:
    """Slots that came since the last one on record, and recorded deliveries that have not ended."""
    known = ledger.find(deliveries.c.campaign == campaign.name, deliveries.c.integration == integration)
    yield from ((_instant(row.slot), _window(row)) for row in known if row.state in OPEN_STATES)
    schedule = campaign.export.schedule
    if schedule == "once":
        slot, window = campaign.once_slot()
        if slot <= request.at and not known:
            yield slot, window
        return
    newest = last_slot(schedule, request.at)
    slots = slots_between(schedule, _instant(known[-1].slot), request.at) if known else [newest]
    if campaign.export.catch_up == "last":
        slots = slots[-1:]
    for slot in slots:
        window = window_of(schedule, slot) if campaign.dataset.window else None
        if campaign.is_live(slot) and (window or campaign.dataset.window is None):
            yield slot, window


def _instant(slot: str) -> datetime:
    return datetime.strptime(slot, SLOT).replace(tzinfo=UTC)


def _window(row: Delivery) -> Window | None:
    if row.window_start is None or row.window_end is None:
        return None
    return Window(date.fromisoformat(row.window_start), date.fromisoformat(row.window_end))


def _revised(job: Job, request: Request, ledger: Ledger) -> Job:
    """The job's latest revision, or the one after it when a new one is asked for."""
    same = [
        deliveries.c.campaign == job.campaign.name,
        deliveries.c.integration == job.integration_name,
        deliveries.c.namespace == job.integration.namespace,
    ]
    if job.window:
        same += [
            deliveries.c.window_start == job.window.start.isoformat(),
            deliveries.c.window_end == job.window.end.isoformat(),
        ]
    else:
        same.append(deliveries.c.slot == job.slot.strftime(SLOT))
    known = ledger.find(*same)
    if not known:
        return job
    latest = max(known, key=lambda row: row.revision)
    step = 1 if request.redeliver and latest.state not in OPEN_STATES else 0
    return replace(job, revision=latest.revision + step)

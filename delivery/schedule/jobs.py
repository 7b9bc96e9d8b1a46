"""What a request means: which deliveries, of which windows or slots, under which keys and names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from delivery.errors import ConfigError
from delivery.ledger import OPEN_STATES, Ledger, deliveries, delivery_id
from delivery.schedule.names import EXTENSIONS, LONGEST_ADDITION, check_name, split_name
from delivery.schedule.slots import SLOT, slots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from delivery.config.campaigns import Campaign
    from delivery.config.integrations import Integration
    from delivery.config.values import RowCount
    from delivery.schedule.request import Request
    from delivery.windows import Window


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
    def key(self) -> str:
        """The delivery's id in the ledger."""
        return delivery_id(
            self.campaign.name, self.integration_name, self.integration.namespace, self.when, self.revision
        )

    @property
    def empty(self) -> str:
        """What becomes of a window without rows: the campaign's word before the integration's."""
        return self.campaign.export.empty or self.integration.empty

    @property
    def row_count(self) -> RowCount | None:
        """The bounds of the row count: the campaign's, as a whole, before the integration's."""
        return self.campaign.export.row_count or self.integration.row_count

    def file_name(self, now: datetime, part: int = 1, kind: str = "") -> str:
        """The final name of a part, or of the only file.

        now: for `filename_timestamped`; kept by the ledger from the first time on. kind: what else than rows it has.
        """
        default = "{campaign}_{window:%Y-%m-%d}" if self.window else "{campaign}"
        template = self.integration.file_name or default
        day = self.window.start if self.window else self.slot.date()
        name = template.format(
            namespace=self.integration.namespace,
            campaign=self.campaign.name,
            window=day,
            revision=self.revision,
            part=part,
        )
        name = name.removesuffix(EXTENSIONS[self.integration.encryption])
        compressed = EXTENSIONS[self.integration.compression]
        packed = compressed != "" and name.endswith(compressed)
        stem, suffix = split_name(name.removesuffix(compressed) if packed else name)
        if self.revision and "{revision" not in template and self.integration.existing != "replace":
            stem += f"_r{self.revision}"
        if self.integration.split and "{part" not in template:
            stem += f"_part{part:04}"
        if kind:
            stem += f"_{kind}"
        if self.integration.filename_timestamped:
            stem += now.astimezone(UTC).strftime("_%Y%m%d%H%M%S")
        encrypted = EXTENSIONS[self.integration.encryption]
        name = stem + (suffix or ("" if packed else ".csv")) + compressed + encrypted
        return check_name(name, room=LONGEST_ADDITION)

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
    for campaign in campaigns.values():
        if request.select and campaign.name not in request.select:
            continue
        for name in campaign.integrations:
            if request.integrations and name not in request.integrations:
                continue
            integration = integrations[name]
            if integration.split and integration.split.by == "day" and campaign.dataset.window is None:
                raise ConfigError(
                    f"integrations.{name}.split: {campaign.dataset.name} ({campaign.name}) has no days to split by.",
                    hint="Split by rows or bytes.",
                )
            if integration.existing == "replace" and campaign.export.mode == "changes":
                raise ConfigError(
                    f"integrations.{name}.existing: replace would overwrite changes ({campaign.name}) not loaded yet.",
                    hint="Put {window:%Y-%m-%d} into file_name, or set filename_timestamped, with existing: hold.",
                )
            for slot, window in slots(request, campaign, name, integration.namespace, ledger):
                job = _revised(Job(campaign, name, integration, slot, window), request, ledger)
                found[job.key] = job
    return sorted(found.values(), key=lambda job: (job.slot, job.campaign.name, job.integration_name))


def _check_names(kind: str, asked: tuple[str, ...], known: Mapping[str, object]) -> None:
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise ConfigError(f"Unknown {kind}: {', '.join(unknown)}.", hint=f"Known: {', '.join(known) or 'none'}.")


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
    return replace(job, revision=latest.revision + step, corrects=None if step else latest.corrects)

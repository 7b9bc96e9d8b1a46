"""Small parts for tests: integrations, datasets, campaigns, jobs and manifests, with everything optional."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from delivery.config.campaigns import Campaign, Export
from delivery.config.datasets import Column, Dataset
from delivery.config.integrations import Integration
from delivery.schedule.jobs import Job
from delivery.windows import Window, parse_day

NOW = datetime(2026, 11, 4, 6, tzinfo=UTC)


def utc(text: str) -> datetime:
    """`2026-11-04` or `2026-11-04 06:00` as a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(start: str, end: str) -> Window:
    """[start, end) from two dates."""
    return Window(parse_day(start, NOW), parse_day(end, NOW))


def integration(**changes: Any) -> Integration:
    """A valid integration of acme_outdoor on the hosted share."""
    values = {
        "vendor_name": "Acme",
        "namespace": "acme_outdoor",
        "destination": {"type": "hosted"},
        "directory": "daily",
    }
    return Integration.model_validate(values | changes)


def dataset(**changes: Any) -> Dataset:
    """The dataset `events`, by day."""
    values: dict[str, Any] = {
        "name": "events",
        "unique_id": "model.exports.events",
        "relation": "events",
        "window": "event_day",
        "order_by": ("event_time", "unique_key"),
        "columns": (Column("namespace", "text", "file"), Column("email", "text", "file")),
    }
    return Dataset(**(values | changes))


def campaign(schedule: str = "0 5 * * *", *, of: Dataset | None = None, **export: Any) -> Campaign:
    """A campaign named `daily` to the integration `acme`."""
    values = {"dataset": "events", "integrations": ["acme"], "schedule": schedule, **export}
    return Campaign("daily", of or dataset(), ("acme",), Export.model_validate(values))


def job(slot: str = "2026-11-04 05:00", days: Window | None = None, **changes: Any) -> Job:
    """The delivery of 2026-11-03; changes are keys of the integration, `revision` or `campaign`."""
    revision, chosen = changes.pop("revision", 0), changes.pop("campaign", None) or campaign()
    days = days or (window("2026-11-03", "2026-11-04") if chosen.dataset.window else None)
    return Job(chosen, "acme", integration(**changes), utc(slot), days, revision)

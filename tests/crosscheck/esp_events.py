"""`esp_events`: one row per email event."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from tests.crosscheck.values import text, word
from tests.crosscheck.words import device, is_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.crosscheck.events import Event
    from tests.crosscheck.raw import Row
    from tests.crosscheck.records import Records

BY_A_PERSON = ("open", "click", "unsubscribe")
device_of, is_program_of = cache(device), cache(is_program)


def rows(events: list[Event], records: Records) -> Iterator[Row]:
    """Those that can be exported."""
    for event in events:
        if event.exported and event.run:
            yield row(event, event.run, records)


def row(event: Event, run: Row, records: Records) -> dict[str, Any]:
    """The columns of an event."""
    said = event.payload
    agent = text(said.get("useragent"))
    journey = word(said.get("journey_id")) or run["journey_id"]
    return {
        "namespace": event.namespace,
        "email": event.email,
        "event": event.event,
        "event_time": event.received,
        "device_type": device_of(agent) if agent and event.event in BY_A_PERSON else None,
        "user_agent": agent if event.event in BY_A_PERSON else None,
        "click_url": text(said.get("url")) if event.event == "click" else None,
        "unsubscribe_source": event.source if event.event == "unsubscribe" else None,
        "campaign_id": run["campaign_id"],
        "campaign_name": run["campaign_name"],
        "campaign_classification": run["campaign_classification"],
        "audience_id": said["audience"],
        "campaign_run_id": event.run_id,
        "campaign_run_time": run["campaign_run_time"],
        "variant_id": text(said.get("variant_id")),
        "subject_line": run["subject_line"],
        "tracking_parameters": run["tracking_parameters"],
        "nqe": event.nqe,
        "journey_id": journey,
        "journey_name": records.journey(event.namespace, journey, run["campaign_run_time"]),
        "unique_key": event.unique_key,
        "updated_at": max(event.received, run["updated_at"]),
        "reason": text(said.get("reason")),
        "is_bot_click": event.event == "click" and bool(agent) and is_program_of(str(agent)),
        "event_day": event.received.date(),
    }

"""`email_unsubscribes`: one row per click to unsubscribe that a person made through a campaign's email."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.crosscheck import esp_events
from tests.crosscheck.values import code
from tests.crosscheck.words import NOT_BY_EMAIL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.crosscheck.events import Event
    from tests.crosscheck.raw import Row
    from tests.crosscheck.records import Records

NOT_THERE = ("click_url", "unsubscribe_source", "journey_id", "journey_name", "reason", "is_bot_click")


def rows(events: list[Event], records: Records) -> Iterator[Row]:
    """Of the exported unsubscribes, those whose source is not known to be a screen, a file or a rule."""
    found = [one for one in events if one.event == "unsubscribe" and code(one.source) not in NOT_BY_EMAIL]
    for row in esp_events.rows(found, records):
        yield {name: value for name, value in row.items() if name not in NOT_THERE}

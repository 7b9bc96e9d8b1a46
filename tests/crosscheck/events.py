"""Every event once, judged: what the provider posted, and what the platform says itself."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.crosscheck.raw import CLOCKS, FIRST_DAY, Post, Row, lines, posts, received
from tests.crosscheck.values import address, code, happened, is_possible, joined, key, moment, named, text, truth, word
from tests.crosscheck.words import EVENTS, NO_EXPORTS, SOURCES, bounce

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.crosscheck.records import Records

SAME_MESSAGE = timedelta(days=7)
ARGUMENTS = ("campaign_run_id", "audience_id", "variant_id", "journey_id", "nqe")


@dataclass(frozen=True)
class Event:
    """One event of one email, at its first post.

    received: when the platform was told; happened: when it was, as far as that is known and earlier. run: what the
    campaign run says, of an event of one. sound: it can be exported; else it is known whose address it is of. by_email:
    it is about an email of a run.
    """

    namespace: str
    email: str
    event: str
    received: datetime
    happened: datetime
    unique_key: str
    retry: tuple[Any, ...] | None
    sound: bool
    by_email: bool
    nqe: str | None
    run_id: str | None
    run: Row | None
    source: str | None
    group: str | None
    payload: Row
    place: tuple[str, int]

    @property
    def exported(self) -> bool:
        """Whether it is a row of esp_events."""
        return self.sound and self.by_email and self.event not in NO_EXPORTS


def messages(payload: Row) -> list[str]:
    """The names of the message that an event is of."""
    ours, theirs = word((text(payload.get("sg_message_id")) or "").split(".")[0]), word(payload.get("smtp-id"))
    return [name for name in (ours and f"id {ours}", theirs and f"smtp {theirs}") if name]


class Told:
    """What the events that name a client say of their messages."""

    def __init__(self, everything: Iterable[Post], known: Iterable[str]) -> None:
        self._known = set(known)
        self._of: dict[str, list[Post]] = defaultdict(list)
        for post in everything:
            if word(post.payload.get("namespace")):
                for name in messages(post.payload):
                    self._of[name].append(post)

    def of(self, silent: Post) -> Row:
        """An event without a client, with what others of its message say, at most seven days from it."""
        near = [
            post.payload
            for name in messages(silent.payload)
            for post in self._of.get(name, [])
            if abs(post.received.date() - silent.received.date()) <= SAME_MESSAGE
        ]
        clients = {word(other["namespace"]) for other in near}
        clients = clients & self._known or clients
        if len(clients) != 1:
            return silent.payload
        found = silent.payload | {"namespace": next(iter(clients))}
        own = address(silent.payload.get("email"))
        for field in ARGUMENTS:
            read = {"audience_id": joined, "campaign_run_id": word, "journey_id": word, "nqe": word}.get(field, text)
            said = {read(other.get(field))
                    for other in near
                    if address(other.get("email")) == own and word(other["namespace"]) in clients} - {None}  # fmt: skip
            if len(said) == 1 and not text(silent.payload.get(field)):
                found[field] = said.pop()
        return found


def read(folder: Path, records: Records) -> list[Event]:
    """All events of a landing folder whose address is known, each once, in the order in which they were received."""
    everything = list(posts(folder))
    told = Told(everything, records.namespaces)
    found = []
    for post in everything:
        payload = post.payload if word(post.payload.get("namespace")) else told.of(post)
        found.append(_provided(post, payload, records))
    for source in ("halts", "unsubscribes"):
        for path, number, row in lines(folder / "platform" / source):
            if isinstance(row, dict):
                at, timely = received(moment(row.get("received_at")), path)
                found.append(_platform(source, Post(at, row, (str(path), number), timely), records))
    return list(once(sorted((one for one in found if one), key=lambda one: (one.received, one.place))))


def reply(payload: Row) -> str | None:
    """The digit that says whether a server refused for good: that of its code, else the first of what it said."""
    status, said = word(payload.get("status")) or "", re.search("[0-9]", text(payload.get("reason")) or "")
    return status[0] if re.match("[0-9]", status) else said and said[0]


def _provided(post: Post, payload: Row, records: Records) -> Event | None:
    said = code(payload.get("event"))
    kind, classification = code(payload.get("type")), code(payload.get("bounce_classification"))
    counted = EVENTS.get(said or "")
    if said == "bounce":
        counted = bounce(kind, classification, reply(payload))
    at, url, agent = happened(payload.get("timestamp")), text(payload.get("url")), text(payload.get("useragent"))
    message, smtp = text(payload.get("sg_message_id")), word(payload.get("smtp-id"))
    group = word(payload.get("asm_group_id")) if (said or "").startswith("group_") else None
    same = (word(payload.get("namespace")), address(payload.get("email")), said, kind, at, message, smtp, url, agent,
            text(payload.get("ip")), word(payload.get("nqe")))  # fmt: skip
    own = named(payload.get("sg_event_id")) or key(*same) + (f" {group}" if group else "")
    retry = (*same, group) if at and (message or smtp) else None
    return _judged(
        "sendgrid.events",
        own,
        counted,
        replace(post, payload=payload),
        records,
        retry=retry,
        at=at,
        group=group,
    )


def _platform(source: str, post: Post, records: Records) -> Event | None:
    row, event = post.payload, source.removesuffix("s")
    if event == "unsubscribe":
        row = {name: row.get(name) for name in ("namespace", "email", "source", "campaign_run_id", "nqe")}
    own = named(post.payload.get(f"{event}_id")) or f"says {json.dumps(post.payload)}"
    by_email = event == "halt" or bool(word(row["campaign_run_id"]) and word(row["nqe"]))
    return _judged(f"platform.{source}", own, event, replace(post, payload=row), records, by_email=by_email)


def _judged(
    source: str, own: str, event: str | None, post: Post, records: Records,
    *, retry: tuple[Any, ...] | None = None, at: datetime | None = None, group: str | None = None,
    by_email: bool = True,
) -> Event | None:  # fmt: skip
    """An event of a known client and a possible address, and whether all else is there."""
    row = post.payload
    namespace, email = word(row.get("namespace")), address(row.get("email"))
    if event is None or namespace not in records.namespaces or email is None or not is_possible(email):
        return None
    by_email = by_email and event != "resubscribe"
    run_id, nqe = word(row.get("campaign_run_id")), word(row.get("nqe"))
    run = records.runs.get((namespace, run_id or ""))
    audience = joined(row.get("audience_id")) or (run and run["audience_id"])
    sound = post.timely and (not by_email or bool(run and run["is_complete"] and nqe and audience))
    if not post.timely:  # known by its line alone
        own, retry = f"line {post.place}", None
    given = (word(row.get("source")) or "unknown") if source == "platform.unsubscribes" else SOURCES.get(event)
    if source != "sendgrid.events":
        at = post.received
    if at and not FIRST_DAY <= at < post.received + CLOCKS:
        at = None
    if event == "resubscribe" and not (at or post.timely):  # nobody can date it
        return None
    return Event(
        namespace=namespace, email=email, event=event, received=post.received,
        happened=min(at or post.received, post.received), unique_key=key(source, namespace, own), retry=retry,
        sound=sound, by_email=by_email, nqe=nqe, run_id=run_id, run=run, source=given, group=group,
        payload=row | {"audience": audience}, place=post.place,
    )  # fmt: skip


def once(events: Iterable[Event]) -> Iterator[Event]:
    """Each event the first time: what was seen before, by its id or all it says, is the same, however late it comes.

    An id is of one address and kind of event, the first's; others that have it have a key of their own.

    What is rejected is told apart from what is not: an event whose run becomes known is one that was not there before.
    """
    seen: set[Any] = set()
    owners: dict[tuple[bool, str], tuple[str, str]] = {}
    for event in events:
        kind = (event.email, event.event)
        if owners.setdefault((event.sound, event.unique_key), kind) != kind:
            event = replace(event, unique_key=key(event.unique_key, *kind))
        names = [(event.sound, event.unique_key), (event.sound, event.retry)][: 2 if event.retry else 1]
        if seen.isdisjoint(names):
            yield event
        seen.update(names)


def is_machine_open(event: Event) -> bool:
    """Whether a mail provider's proxy opened it."""
    return event.event == "open" and truth(event.payload.get("sg_machine_open")) is True

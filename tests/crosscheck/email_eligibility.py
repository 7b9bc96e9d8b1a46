"""`email_eligibility`: one row per namespace and address, by what was said of it last."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.crosscheck.values import key, whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tests.crosscheck.events import Event
    from tests.crosscheck.raw import Row
    from tests.crosscheck.records import Records

SOFT_BOUNCES = 10
OPT_OUT = ("unsubscribe", "hard_bounce", "spam_report")


@dataclass(frozen=True)
class Word:
    """Something said of an address. status: what it makes it, None for one soft bounce; group: None for all mail."""

    at: datetime
    status: str | None
    source: str
    told: datetime
    group: str | None = None

    def takes_back(self, other: Word) -> bool:
        """Whether it is a later opt-in to what the other withdrew from."""
        return self.status == "opted_in" and self.at > other.at and self.group in (None, other.group)


def rows(events: list[Event], records: Records) -> Iterator[Row]:
    """Signals count whether or not their event could be exported."""
    said: dict[tuple[str, str], list[Word]] = defaultdict(list)
    for event in _each_once(events):
        status = "opted_in" if event.event == "resubscribe" else "unsubscribed" if event.event in OPT_OUT else None
        if status or event.event == "soft_bounce":
            word = Word(event.happened, status, str(event.source), event.received, event.group)
            said[event.namespace, event.email].append(word)
    for row in records.said:
        if row["address"]:
            own, told = said[row["namespace"], row["address"]], row["updated_at"]
            own.append(Word(told, "known", "Customer", told))
            own.extend(Word(row["opted_in"], "opted_in", "Consent", told) for _ in [1] if row["opted_in"])
    for namespace, customer, at_that_time, at, told in records.withdrawn:
        now = records.customers.get((namespace, customer or ""), {"address": None})
        if at_that_time:
            said[namespace, at_that_time].append(Word(at, "unsubscribed", "Consent", told))
        if now["address"]:
            told = max(told, now["updated_at"])
            said[namespace, now["address"]].append(Word(at, "unsubscribed", "Consent", told))
    for (namespace, email), words in said.items():
        limit = whole(records.namespaces[namespace].get("soft_bounce_limit"))
        if last := _last(words, SOFT_BOUNCES if limit is None else limit):
            yield {
                "namespace": namespace, "email": email, "status": last.status, "source": last.source,
                "changed_at": last.at, "unique_key": key(namespace, email), "updated_at": last.told,
            }  # fmt: skip


def _each_once(events: list[Event]) -> Iterator[Event]:
    """An event that was rejected and then was not is one: at its earliest."""
    found: dict[str, Event] = {}
    for event in events:
        found.setdefault(event.unique_key, event)
    yield from found.values()


def _last(words: list[Word], limit: int) -> Word | None:
    """The last withdrawal that nothing took back, else the last opt-in. Soft bounces do together, since an opt-in."""
    deciding = [word for word in words if word.status not in (None, "known")]
    soft = sorted((word for word in words if word.status is None), key=lambda word: (word.at, word.source, word.told))
    times: dict[int, int] = defaultdict(int)
    for word in soft:
        since = sum(one.status == "opted_in" and one.group is None and one.at <= word.at for one in words)
        times[since] += 1
        if times[since] == limit:
            deciding.append(Word(word.at, "unsubscribed", word.source, word.told))
    known = [word for word in words if word.status == "known"]
    out = [word for word in deciding if word.status == "unsubscribed"]
    out = [word for word in out if not any(one.takes_back(word) for one in words)]
    into = [word for word in deciding if word.status == "opted_in"]
    first = sorted(out or into or known, key=lambda word: word.told, reverse=True)
    return max(sorted(first, key=lambda word: word.source), key=lambda word: word.at, default=None)

"""Twelve days of two clients with the same ids in a landing folder, and what has arrived of them so far.

Several worlds may share the folder: each has its own days, weeks from the others', its own clients, ids and files. So a
day of one is never due for what lands of another.
"""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("acme", "brightside")  # of clients
FIRST = datetime(2026, 11, 1, tzinfo=UTC)  # of the newest world
DAYS = 12
APART = 40  # days from the first of a world to the first of the next
CAMPAIGNS = (7, 8)  # a day each in turn; the second's runs are in a journey
PEOPLE = 6
EVENTS = (
    *("processed", "delivered", "delivered", "open", "open", "open", "click", "click", "click", "bounce", "dropped"),
    *("deferred", "spamreport", "unsubscribe", "group_resubscribe"),
)
AGENTS = ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5) Mobile", "Mozilla/5.0 (Windows NT 10.0)", "Googlebot/2.1")

Record = dict[str, Any]


@dataclass
class World:
    """The folder and what is known of it.

    place: how many calendars are newer than its own. texts: of each file, unpacked. gone: text and time of those that
    were taken away. posts: time and payload of every event that ever arrived. later: day, file and text of what is to
    come.
    """

    landing: Path
    seed: int
    place: int = 0
    day: int = 0
    number: int = 0
    rng: Random = field(default_factory=Random)
    texts: dict[str, str] = field(default_factory=dict)
    gone: dict[str, tuple[str, float]] = field(default_factory=dict)
    posts: list[tuple[str, Record]] = field(default_factory=list)
    later: list[tuple[int, str, str]] = field(default_factory=list)

    def draw(self, what: str) -> None:
        """What is drawn next depends on the seed, the day and this, and on nothing that came before."""
        self.rng = Random(f"{self.seed} {self.day} {what}")

    def new(self) -> int:
        """A number that nothing had before."""
        self.number += 1
        return self.number

    @property
    def agents(self) -> list[str]:
        """Programs that people use, and one that nobody is."""
        return [f"{agent} {self.seed}" for agent in AGENTS]

    @property
    def clients(self) -> tuple[str, ...]:
        return tuple(f"{kind}_{self.seed}" for kind in KINDS)

    def moment(self, day: int, second: int = 0) -> datetime:
        """A second of a day of the world."""
        return FIRST + timedelta(days=day - self.place * APART, seconds=second)

    def at(self, day: int | None = None) -> str:
        """A moment of a day, today if none is given; its first and its last too."""
        second = self.rng.choice([0, 86399, *(self.rng.randrange(86400) for _ in range(8))])
        return text(self.moment(self.day if day is None else day, second))

    def client(self) -> str:
        return self.rng.choice(self.clients)

    def path(self, name: str) -> Path:
        """Where a file lies: no other world has it."""
        stem, dot, ending = name.partition(".")
        return self.landing / f"{stem}-{self.seed}{dot}{ending}"

    def file(self, *folders: str) -> str | None:
        """A file of one of the folders that have any; None where none has."""
        there = [sorted(name for name in self.texts if name.startswith(folder)) for folder in folders]
        return self.rng.choice(self.rng.choice([names for names in there if names] or [[None]]))

    def put(self, name: str, content: str, *, at: float | None = None, lost: int = 0) -> None:
        """Writes a file, packed if it is named so, at a time of the day that is played; lost: bytes of its end."""
        self.texts[name] = content
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        written = gzip.compress(content.encode(), mtime=0) if name.endswith(".gz") else content.encode()
        path.write_bytes(written[: len(written) - lost])
        at = at or self.moment(self.day, 80000).timestamp() + self.new()
        os.utime(path, (at, at))

    def add(self, name: str, *records: Record) -> None:
        """Lines at the end of a file."""
        self.put(name, self.texts.get(name, "") + "".join(json.dumps(record) + "\n" for record in records))

    def take(self, name: str) -> None:
        """Removes a file."""
        self.gone[name] = self.texts.pop(name), self.path(name).stat().st_mtime
        self.path(name).unlink()

    def post(self, name: str, payload: Record, received_at: str | None = None) -> None:
        """An event arrives."""
        self.posts.append((received_at or self.at(), payload))
        self.add(name, dict(zip(("received_at", "payload"), self.posts[-1], strict=True)))

    def arrive(self) -> None:
        """What was to come later, and is due."""
        for _, name, content in [one for one in self.later if one[0] <= self.day]:
            self.put(name, self.texts.get(name, "") + content)
        self.later = [one for one in self.later if one[0] > self.day]


def text(at: datetime) -> str:
    """As loaders write it."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def event(world: World, **more: Any) -> Record:
    """An event of an email of one of the last runs; None leaves a field out."""
    rng, day = world.rng, max(0, world.day - world.rng.choice([0, 0, 1, 2]))
    person, kind, client = rng.randrange(PEOPLE), rng.choice(EVENTS), more.get("namespace") or world.client()
    payload = {
        "sg_event_id": f"e{world.new()} of {world.seed}",
        "sg_message_id": f"{client}-{day}-{person}.recvd-{rng.randrange(2)}",
        "smtp-id": f"<{client}-{day}-{person}@mail.example.net>",
        "event": kind,
        "email": f"person{person}@example.com",
        "timestamp": int(world.moment(world.day, rng.randrange(86400)).timestamp()),
        "namespace": client,
        "campaign_run_id": f"run-{day}",
        "nqe": f"nqe-{day}-{person}",
        "useragent": rng.choice([*world.agents, None]),
        "url": f"https://shop.example.com/{rng.randrange(3)}" if kind == "click" else None,
        "type": rng.choice(["bounce", "blocked", "blocked"]) if kind == "bounce" else None,
        "journey_id": rng.choice([None, None, "journey-1"]),
    }
    return {name: value for name, value in (payload | more).items() if value is not None}


def run(world: World, client: str, day: int, **more: Any) -> Record:
    """The record of a day's campaign run."""
    record = {
        "namespace": client,
        "campaign_run_id": f"run-{day}",
        "campaign_id": CAMPAIGNS[day % 2],
        "campaign_run_time": text(world.moment(day)),
        "campaign_name": f"Campaign of {client}",
        "campaign_classification": "Batch",
        "subject_line": f"Subject of {day}",
        "audience_id": "1",
        "journey_id": "journey-1" if day % 2 else None,
        "updated_at": text(world.moment(day, 60)),
    }
    return record | more


def begin(world: World) -> None:
    """What is there before the first day: clients, their campaigns, customers, contracts."""
    for client in world.clients:
        of = {"namespace": client, "updated_at": text(world.moment(-9))}
        world.add(f"platform/namespaces/{client}.ndjson", {**of, "name": client, "soft_bounce_limit": 2})
        contracts = ("esp_events", "email_unsubscribes", "analytics")
        world.add("platform/entitlements/all.ndjson", *({**of, "entitlement": name} for name in contracts))
        world.add("platform/campaigns/all.ndjson", *({**of, "campaign_id": campaign} for campaign in CAMPAIGNS))
        people = [{"customer_id": f"c{n}", "email": f"Person{n}@example.com"} for n in range(PEOPLE)]
        world.add(f"platform/customers/{client}.ndjson", *(of | person for person in people))
    # Nothing that arrives touches the contracts: to whom one is lost, nothing is delivered.
    del world.texts["platform/entitlements/all.ndjson"]

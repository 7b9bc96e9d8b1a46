"""The measures of analytics by their definitions (docs/analytics.md), in Python and Polars, from the raw files."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import crawleruseragents
import polars as pl

from tests.crosscheck.raw import Row, address, moment, posts, rows, word

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

EVENTS = {
    "processed": "send",
    "delivered": "deliver",
    "open": "open",
    "click": "click",
    "unsubscribe": "unsubscribe",
    "group_unsubscribe": "unsubscribe",
    "bounce/bounce": "hard_bounce",
    "bounce/blocked": "soft_bounce",
    "dropped": "dropped",
    "deferred": "deferred",
    "spamreport": "spam_report",
}
RETRIES = timedelta(days=3)
WINDOW_HOURS = 120
# In the name of a program, beside those of the list that others keep.
PROGRAMS = ("bot/", "crawler", "spider", "barracuda", "mimecast", "proofpoint", "urldefense", "safelinks", "linkscan")
YEAR = timedelta(days=364)
WEEK = timedelta(days=7)
POSSIBLE = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)*\.[^@\s.\d][^@\s.]*")


def messages(payload: Row) -> list[str]:
    """The names of the message that an event is of."""
    ours, theirs = str(payload.get("sg_message_id") or "").split(".")[0], word(payload.get("smtp-id"))
    return [name for name in (ours and f"id {ours}", theirs and f"smtp {theirs}") if name]


def told(silent: Row, received: datetime, speaking: dict[str, list[tuple[datetime, Row]]]) -> Row:
    """An event without a client, with what other events of its message say, at most seven days from it."""
    others = [
        other
        for name in messages(silent)
        for at, other in speaking.get(name, [])
        if abs((at.date() - received.date()).days) <= 7
    ]
    clients = {str(other["namespace"]) for other in others}
    if len(clients) != 1:
        return silent
    found = silent | {"namespace": clients.pop()}
    same = [other for other in others if address(other.get("email")) == address(silent.get("email"))]
    for field in ("campaign_run_id", "audience_id", "variant_id", "journey_id", "nqe"):
        said = {json.dumps(other[field]): other[field] for other in same if word(other.get(field))}
        if len(said) == 1 and not word(silent.get(field)):
            found[field] = next(iter(said.values()))
    return found


@dataclass(frozen=True)
class Event:
    """One event of one email, once. counted: what it counts as; `bot_click` is one of its own.

    at: when the platform was told; happened: when it was, as far as that is known and earlier.
    """

    namespace: str
    nqe: str
    email: str
    counted: str
    at: datetime
    happened: datetime
    machine: bool
    run: str | None
    key: Any


class World:
    """Everything read once."""

    def __init__(self, folder: Path) -> None:
        self._known_agents: dict[str, bool] = {}
        self.namespaces = latest(rows(folder / "platform/namespaces"), "namespace")
        self.runs: dict[tuple[str, str], Row] = {}
        for run in sorted(rows(folder / "platform/campaign_runs"), key=lambda row: row["updated_at"]):
            needed = ("campaign_id", "campaign_run_time", "campaign_name", "campaign_classification", "subject_line")
            if all(run.get(name) is not None for name in needed):
                self.runs.setdefault((run["namespace"], str(run["campaign_run_id"])), run)
        self.customers = {
            key: row
            for key, row in latest(rows(folder / "platform/customers"), "namespace", "customer_id").items()
            if row["namespace"] in self.namespaces and word(row.get("customer_id"))
        }
        self.orders = self._known(
            latest(self._dated(folder / "commerce/orders", "ordered_at"), "namespace", "order_id")
        )
        self.sessions = self._known(
            latest(self._dated(folder / "commerce/sessions", "started_at"), "namespace", "session_id")
        )
        self.events = list(once(self._events(folder)))

    def _dated(self, folder: Path, field: str) -> Iterator[Row]:
        for row in rows(folder):
            if moment(row.get(field)) and moment(row.get("updated_at")):
                yield row

    def _known(self, found: dict[Any, Row]) -> list[Row]:
        return [row for key, row in found.items() if row["namespace"] in self.namespaces and None not in key]

    def _is_bot(self, agent: str | None) -> bool:
        if agent is None:
            return False
        if agent not in self._known_agents:
            says = any(word in agent.lower() for word in PROGRAMS)
            self._known_agents[agent] = says or crawleruseragents.is_crawler(agent)
        return self._known_agents[agent]

    def _events(self, folder: Path) -> Iterator[Event]:
        everything = list(posts(folder))
        speaking: dict[str, list[tuple[datetime, Row]]] = {}
        for received, payload in everything:
            if word(payload.get("namespace")):
                for name in messages(payload):
                    speaking.setdefault(name, []).append((received, payload))
        for received, silent in everything:
            payload = silent if word(silent.get("namespace")) else told(silent, received, speaking)
            kind = str(payload.get("event"))
            counted = EVENTS.get(f"{kind}/{payload.get('type')}" if kind == "bounce" else kind)
            if counted is None:
                continue
            identity = word(payload.get("sg_event_id")) or tuple(
                str(payload.get(name)).strip().lower()
                for name in (
                    "namespace",
                    "email",
                    "event",
                    "type",
                    "timestamp",
                    "sg_message_id",
                    "smtp-id",
                    "url",
                    "useragent",
                    "ip",
                    "nqe",
                )
            )
            machine = counted == "open" and payload.get("sg_machine_open") is True
            if counted == "click" and self._is_bot(word(payload.get("useragent"))):
                counted = "bot_click"
            yield from self._checked(payload, counted, received, ("provider", identity), machine=machine)
        for row in rows(folder / "platform/halts"):
            yield from self._checked(row, "halt", moment(row.get("received_at")), ("halt", row.get("halt_id")))
        for row in rows(folder / "platform/unsubscribes"):
            if word(row.get("nqe")):
                received, key = moment(row.get("received_at")), ("unsubscribe", row.get("unsubscribe_id"))
                yield from self._checked(
                    row, "unsubscribe", received, key, needs_run=bool(word(row.get("campaign_run_id")))
                )

    def _checked(
        self, row: Row, counted: str, at: datetime | None, key: Any, *, machine: bool = False, needs_run: bool = True
    ) -> Iterator[Event]:
        """The event, if it can meet the contract."""
        namespace, email, nqe = word(row.get("namespace")), address(row.get("email")), word(row.get("nqe"))
        run = word(row.get("campaign_run_id"))
        if namespace not in self.namespaces or namespace is None or email is None or nqe is None or at is None:
            return
        if not re.search(r".@.", email):
            return
        if needs_run:
            known = self.runs.get((namespace, str(run)))
            if known is None or not (row.get("audience_id") or known.get("audience_id")):
                return
        happened = min(happened_at(row.get("timestamp")) or at, at)
        named = run if needs_run else None
        yield Event(namespace, nqe, email, counted, at, happened, machine, named, (namespace, *key))


def happened_at(said: Any) -> datetime | None:
    """SendGrid's time of an event: seconds since 1970, as a number or as text, or a time as text."""
    for read in (lambda: datetime.fromtimestamp(float(said), UTC).replace(tzinfo=None), lambda: moment(said)):
        with suppress(TypeError, ValueError, OverflowError):
            return read()
    return None


def latest(found: Iterable[Row], *keys: str) -> dict[Any, Row]:
    """The newest version of each record by its own time; of two equal ones the one read last."""
    newest: dict[Any, Row] = {}
    for row in found:
        key = tuple(word(row.get(name)) for name in keys)
        if key not in newest or str(row.get("updated_at")) >= str(newest[key].get("updated_at")):
            newest[key] = row
    return {key[0]: row for key, row in newest.items()} if len(keys) == 1 else newest


def once(events: Iterable[Event]) -> Iterator[Event]:
    """Each event the first time; what was seen within the days of retries before is the same one."""
    seen: dict[Any, date] = {}
    for event in sorted(events, key=lambda one: one.at):
        before = seen.get(event.key)
        seen[event.key] = event.at.date()
        if before is None or before + RETRIES < event.at.date():
            yield event


def conversions(world: World) -> dict[tuple[str, str], tuple[int, Decimal]]:
    """Orders and their money by namespace and email (nqe) of the last click within the window."""
    clicks: dict[tuple[str, str], list[tuple[datetime, str]]] = defaultdict(list)
    for event in world.events:
        if event.counted == "click":
            clicks[event.namespace, event.email].append((event.happened, event.nqe))
    for one in clicks.values():
        one.sort()
    found: dict[tuple[str, str], tuple[int, Decimal]] = {}
    for order in purchases(world):
        namespace, own = order["namespace"], order["address"]
        before = clicks.get((namespace, own), [])
        place = bisect_right(before, (order["at"], "\U0010ffff"))
        hours = world.namespaces[namespace].get("attribution_hours") or WINDOW_HOURS
        if place and before[place - 1][0] >= order["at"] - timedelta(hours=int(hours)):
            orders, money = found.get((namespace, before[place - 1][1]), (0, Decimal()))
            found[namespace, before[place - 1][1]] = (orders + 1, money + order["money"])
    return found


def purchases(world: World) -> Iterator[Row]:
    """Orders that were not cancelled, with whose they are: by name, or by an address that only one customer has."""
    own: dict[tuple[str, str], str] = {}
    owners: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for (namespace, customer), row in world.customers.items():
        email = address(row.get("email"))
        if email and is_possible(email):
            own[namespace, customer] = email
            owners[namespace, email].append(customer)
    for order in world.orders:
        if str(order.get("status")).lower() == "cancelled":
            continue
        namespace, email, customer = order["namespace"], address(order.get("email")), word(order.get("customer_id"))
        if customer is None and len(owners.get((namespace, email), [])) == 1:
            customer = owners[namespace, email][0]
        yield {
            "namespace": namespace,
            "customer": customer,
            "address": own.get((namespace, str(customer)), email),
            "at": moment(order["ordered_at"]),
            "money": Decimal(str(order.get("total") or 0)),
        }


def is_possible(email: str) -> bool:
    """Whether mail could reach the address, by its look."""
    local = email.split("@")[0]
    dots = local.startswith(".") or local.endswith(".") or ".." in local
    return bool(POSSIBLE.fullmatch(email)) and not dots and len(email) <= 254


def campaigns(world: World) -> pl.DataFrame:
    """Measures by namespace, day of the send and campaign."""
    emails: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in world.events:
        emails[event.namespace, event.nqe].append(event)
    bought = conversions(world)
    found = []
    for (namespace, nqe), events in emails.items():
        runs = [world.runs[namespace, event.run] for event in events if event.run]
        if not runs:
            continue
        n = Counter(event.counted for event in events)
        sent_at = min((event.at for event in events if event.counted == "send"), default=None)
        ran_at = min(at for run in runs if (at := moment(run["campaign_run_time"])))
        sent = any(kind not in ("halt", "dropped") for kind in n)
        bounced = n["hard_bounce"] + n["soft_bounce"] > 0
        orders, money = bought.get((namespace, nqe), (0, Decimal()))
        found.append({
            "namespace": namespace,
            "day": (sent_at or ran_at).date(),
            "campaign_id": min(int(run["campaign_id"]) for run in runs),
            "sent": sent,
            "hard_bounced": n["hard_bounce"] > 0,
            "soft_bounced": n["soft_bounce"] > 0 and not n["hard_bounce"],
            "delivered": sent and not bounced,
            "deferred": n["deferred"] > 0,
            "opens": n["open"],
            "unique_opens": n["open"] > 0,
            "machine_opens": sum(event.machine for event in events),
            "clicks": n["click"],
            "unique_clicks": n["click"] > 0,
            "bot_clicks": n["bot_click"],
            "unsubscribes": n["unsubscribe"] > 0,
            "spam_reports": n["spam_report"] > 0,
            "dropped": n["dropped"] > 0,
            "halted": n["halt"] > 0,
            "conversions": orders,
            "revenue": money,
        })  # fmt: skip
    frame = pl.DataFrame(found, infer_schema_length=None)
    return frame.with_columns(pl.col(pl.Boolean).cast(pl.Int64), pl.col("revenue").cast(pl.Decimal(18, 2)))


def customers(world: World) -> pl.DataFrame:
    """Measures by namespace and week, with those of the same week a year before."""
    found: dict[tuple[str, date], Counter[str]] = defaultdict(Counter)
    money: dict[tuple[str, date], Decimal] = defaultdict(Decimal)
    history: dict[tuple[str, str], list[date]] = defaultdict(list)
    for order in purchases(world):
        if order["customer"]:
            day = order["at"].date()
            history[order["namespace"], order["customer"]].append(day)
            week = sunday(day)
            found[order["namespace"], week]["orders"] += 1
            money[order["namespace"], week] += order["money"]
    for (namespace, _), days in history.items():
        for week in {sunday(day) for day in days}:
            before = [day for day in days if day < week]
            lifetime = sum(day < week + WEEK for day in days)
            kind = "new" if not before else "retained" if max(before) >= week - YEAR else "reactivated"
            found[namespace, week].update(
                ["buyers", f"{kind}_customers", "one_time_customers" if lifetime == 1 else "repeat_customers"]
            )
    names = ("buyers", "new_customers", "retained_customers", "reactivated_customers", "one_time_customers",
             "repeat_customers", "orders")  # fmt: skip
    weeks = set(found) | {(namespace, week + YEAR) for namespace, week in found}
    empty: Counter[str] = Counter()
    return pl.DataFrame(
        [
            {"namespace": namespace, "week": week}
            | {name: found.get((namespace, week), empty)[name] for name in names}
            | {f"{name}_year_before": found.get((namespace, week - YEAR), empty)[name] for name in names}
            | {"revenue": money.get((namespace, week), Decimal()),
               "revenue_year_before": money.get((namespace, week - YEAR), Decimal())}
            for namespace, week in weeks
        ],
        infer_schema_length=None,
    ).with_columns(pl.col("revenue", "revenue_year_before").cast(pl.Decimal(18, 2)))  # fmt: skip


def sunday(day: date) -> date:
    """The Sunday on or before a day."""
    return day - timedelta(days=day.isoweekday() % 7)


def identification(world: World) -> pl.DataFrame:
    """Visits by namespace, day and device."""
    return pl.DataFrame(
        [
            {
                "namespace": row["namespace"],
                "day": at.date(),
                "device_type": (word(row.get("device_type")) or "unknown").lower(),
                "sessions": 1,
                "identified_sessions": int(word(row.get("customer_id")) is not None),
            }
            for row in world.sessions
            if (at := moment(row["started_at"]))
        ]
    )

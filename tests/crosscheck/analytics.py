"""The measures of analytics by their definitions (docs/analytics.md), in Python and Polars."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl

from tests.crosscheck.esp_events import is_program_of
from tests.crosscheck.events import is_machine_open
from tests.crosscheck.values import code, text, whole, word
from tests.crosscheck.words import NOT_BY_EMAIL

if TYPE_CHECKING:
    from tests.crosscheck.events import Event
    from tests.crosscheck.records import Records

WINDOW_HOURS = 120
YEAR = timedelta(days=364)
WEEK = timedelta(days=7)


def counted(event: Event) -> str:
    """What an event counts as: a click of a program is its own, and so is leaving otherwise than by email."""
    if event.event == "unsubscribe" and code(event.source) in NOT_BY_EMAIL:
        return "unsubscribe elsewhere"
    agent = text(event.payload.get("useragent"))
    return "bot_click" if event.event == "click" and agent and is_program_of(agent) else event.event


def conversions(events: list[Event], records: Records) -> dict[tuple[str, str], tuple[int, Decimal]]:
    """Orders and their money by namespace and email (nqe) of the last click within the window."""
    clicks: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in events:
        if event.sound and event.nqe and counted(event) == "click":
            clicks[event.namespace, event.email].append(event)
    for one in clicks.values():  # of one moment, the lowest key counts
        one.sort(key=lambda click: click.unique_key, reverse=True)
        one.sort(key=lambda click: click.happened)
    found: dict[tuple[str, str], tuple[int, Decimal]] = {}
    for order in records.orders:
        namespace = order["namespace"]
        customer = records.customers.get((namespace, order["customer"] or ""))
        before = clicks.get((namespace, (customer and customer["address"]) or order["address"] or ""), [])
        place = bisect_right(before, order["at"], key=lambda click: click.happened)
        hours = whole(records.namespaces[namespace].get("attribution_hours")) or WINDOW_HOURS
        if place and (last := before[place - 1]).happened >= order["at"] - timedelta(hours=hours):
            orders, money = found.get((namespace, last.nqe), (0, Decimal()))
            found[namespace, last.nqe] = (orders + 1, money + order["money"])
    return found


def campaigns(events: list[Event], records: Records) -> pl.DataFrame:
    """Measures by namespace, day of the send and campaign."""
    emails: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in events:
        if event.sound and event.nqe:
            emails[event.namespace, event.nqe].append(event)
    bought = conversions(events, records)
    found = []
    for (namespace, nqe), own in emails.items():
        runs = [event.run for event in own if event.run and event.by_email]
        if not runs:
            continue
        n = Counter(map(counted, own))
        sent_at = min((event.received for event in own if event.event == "send"), default=None)
        ran_at = min(run["campaign_run_time"] for run in runs)
        sent = any(kind not in ("halt", "dropped") for kind in n)
        bounced = n["hard_bounce"] + n["soft_bounce"] > 0
        orders, money = bought.get((namespace, nqe), (0, Decimal()))
        found.append({
            "namespace": namespace,
            "day": (sent_at or ran_at).date(),
            "campaign_id": min(run["campaign_id"] for run in runs),
            "sent": sent,
            "hard_bounced": n["hard_bounce"] > 0,
            "soft_bounced": n["soft_bounce"] > 0 and not n["hard_bounce"],
            "delivered": sent and not bounced,
            "deferred": n["deferred"] > 0,
            "opens": n["open"],
            "unique_opens": n["open"] > 0,
            "machine_opens": sum(map(is_machine_open, own)),
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
    return frame.with_columns(pl.col(pl.Boolean).cast(pl.Int64), pl.col("revenue").cast(pl.Decimal(38, 3)))


def customers(records: Records) -> pl.DataFrame:
    """Measures by namespace and week, with those of the same week a year before."""
    found: dict[tuple[str, date], Counter[str]] = defaultdict(Counter)
    money: dict[tuple[str, date], Decimal] = defaultdict(Decimal)
    history: dict[tuple[str, str], list[date]] = defaultdict(list)
    for order in records.orders:
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
    ).with_columns(pl.col("revenue", "revenue_year_before").cast(pl.Decimal(38, 3)))  # fmt: skip


def sunday(day: date) -> date:
    """The Sunday on or before a day."""
    return day - timedelta(days=day.isoweekday() % 7)


def identification(records: Records) -> pl.DataFrame:
    """Visits by namespace, day and device."""
    return pl.DataFrame(
        [
            {
                "namespace": row["namespace"],
                "day": row["at"].date(),
                "device_type": code(row.get("device_type")) or "unknown",
                "sessions": 1,
                "identified_sessions": int(word(row.get("customer_id")) is not None),
            }
            for row in records.sessions
        ]
    )

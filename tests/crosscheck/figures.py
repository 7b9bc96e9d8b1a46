"""The exports of analytics against what they should hold: sums of the measures, and rates made of the sums."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
from click.testing import CliRunner

from delivery.cli import cli
from tests.crosscheck import analytics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.crosscheck.events import Event
    from tests.crosscheck.records import Records

AT = "2026-11-25T12:00:00Z"
START, END = date(2024, 11, 25), date(2026, 11, 25)
RATES = {
    "delivered_rate": ("delivered", "sent"),
    "hard_bounce_rate": ("hard_bounced", "sent"),
    "soft_bounce_rate": ("soft_bounced", "sent"),
    "unique_open_rate": ("unique_opens", "delivered"),
    "unique_click_rate": ("unique_clicks", "delivered"),
    "click_through_rate": ("clicks", "delivered"),
    "click_to_open_rate": ("unique_clicks", "unique_opens"),
    "conversion_rate": ("conversions", "delivered"),
    "click_to_conversion_rate": ("conversions", "clicks"),
    "average_order_value": ("revenue", "conversions"),
    "revenue_per_email": ("revenue", "delivered"),
    "revenue_per_click": ("revenue", "clicks"),
    "unsubscribe_rate": ("unsubscribes", "delivered"),
    "spam_rate": ("spam_reports", "delivered"),
    "deferral_rate": ("deferred", "sent"),
    "identification_rate": ("identified_sessions", "sessions"),
}
KEYS = {
    "performance": ["day"],
    "campaigns": ["day", "campaign_id"],
    "identification": ["day", "device_type"],
    "customers": ["week"],
}
GRAINS = dict.fromkeys(KEYS, ("day", "week", "month", "total")) | {"customers": ("week", "total")}
TEXTS = ("first_day", "last_day", "namespace", "campaign_id", "campaign_name", "campaign_classification", "device_type")
SIX = Decimal("0.000001")
EXACT = Context(prec=60)
Cells = dict[tuple[Any, ...], dict[str, Decimal | None]]


def compare(
    environment: dict[str, str], folder: Path, events: list[Event], records: Records
) -> Iterator[tuple[str, Cells, list[str]]]:
    """Of each export: its name, the cells that it should have, and what is different. Files go into the folder."""
    by_campaign = analytics.campaigns(events, records)
    frames = {
        "performance": by_campaign,
        "campaigns": by_campaign,
        "identification": analytics.identification(records),
        "customers": analytics.customers(records),
    }
    for dataset, frame in frames.items():
        for grain in GRAINS[dataset]:
            wanted = first_days(expected(frame, dataset, grain), grain)
            found: Cells = {}
            for namespace in sorted(records.namespaces):
                found |= exported(environment, folder, dataset, grain, namespace)
            yield f"{dataset} by {grain}", wanted, list(different(wanted, found))


def expected(frame: pl.DataFrame, dataset: str, grain: str) -> Cells:
    """What an export should hold: sums, then rates."""
    keys = KEYS[dataset]
    time = keys[0]
    frame = frame.filter((pl.col(time) >= START) & (pl.col(time) < END))
    if dataset == "performance":
        frame = frame.drop("campaign_id")
    if grain == "total":
        frame, keys = frame.drop(time), keys[1:]
    elif grain == "month":
        frame = frame.with_columns(pl.col(time).dt.truncate("1mo"))
    elif grain == "week" and time == "day":
        frame = frame.with_columns((pl.col(time) + timedelta(days=1)).dt.truncate("1w") - timedelta(days=1))
    summed = frame.group_by(["namespace", *keys]).agg(pl.all().sum())
    cells: Cells = {}
    for row in summed.iter_rows(named=True):
        values = {name: Decimal(value) for name, value in row.items() if name not in ("namespace", *keys)}
        rates = {
            rate: EXACT.divide(values[above], values[below]).quantize(SIX, ROUND_HALF_UP) if values[below] else None
            for rate, (above, below) in RATES.items()
            if above in values and below in values
        }
        cells[row["namespace"], *(str(row[key]) for key in keys)] = values | rates
    return cells


def exported(environment: dict[str, str], folder: Path, dataset: str, grain: str, namespace: str) -> Cells:
    """The cells of one export's file."""
    path = folder / f"{dataset}-{grain}-{namespace}.csv"
    asked = ["export", f"analytics_{dataset}", "--namespace", namespace, "--grain", grain, "-o", str(path)]
    asked += ["--from", str(START), "--to", str(END), "--at", AT]
    done = CliRunner(env=environment).invoke(cli, asked)
    assert done.exit_code == 0, done.output
    keys = [] if grain == "total" else ["first_day"]
    keys += KEYS[dataset][1:]
    cells: Cells = {}
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            key = (row["namespace"], *(row[name] for name in keys))
            assert key not in cells, key
            cells[key] = {name: Decimal(cell) if cell else None for name, cell in row.items() if name not in TEXTS}
    return cells


def different(one: Cells, other: Cells) -> Iterator[str]:
    """Each cell that one side lacks or says otherwise."""
    for key in sorted({*one, *other}):
        left, right = one.get(key, {}), other.get(key, {})
        for name in sorted({*left, *right}):
            if name not in left or name not in right or left[name] != right[name]:
                yield f"{key} {name}: expected {left.get(name, 'no cell')}, exported {right.get(name, 'no cell')}"


def first_days(cells: Cells, grain: str) -> Cells:
    """A month that the range cuts begins with the range."""
    if grain not in ("month", "week"):
        return cells
    return {(key[0], max(key[1], str(START)), *key[2:]): value for key, value in cells.items()}

"""`make crosscheck`: exports of the sample and of generated events, against `independent`.

Every file is written by `delivery export` after one `dbt build`, and read back; a cell is one number of one row.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from benchmarks.generate import generate
from tests.crosscheck import independent, raw
from tests.delivery.projects import DATA_TESTS_ONLY
from tests.delivery.sampling import PARTS, chosen, described

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
AT = "2026-11-25T12:00:00Z"
START, END = date(2024, 11, 25), date(2026, 11, 25)
EVENTS = 1_000_000  # of which a part of the sample has an eighth, generated from a seed of its own
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
# Customers who came back after more than a year, and one who did within it, by a day.
RETURNED = [
    *(("back-1", day) for day in ("2023-10-02", "2025-11-03", "2026-11-02")),
    *(("back-2", day) for day in ("2025-11-01", "2026-11-01")),
    *(("back-3", day) for day in ("2025-11-02", "2026-11-07")),
]
SIX = Decimal("0.000001")
EXACT = Context(prec=60)
Cells = dict[tuple[Any, ...], dict[str, Decimal | None]]


def add_orders(folder: Path) -> int:
    """Orders after clicks, which the generator has not: at the click, within the window, at its end, after it."""
    hours = [0, 1, 26, 47, 48, 49, 119, 120, 121, 200]
    written = 0
    with (folder / "commerce/orders/after_clicks.ndjson").open("w", encoding="utf-8") as out:
        for number, (at, event) in enumerate(raw.posts(folder)):
            if event.get("event") != "click" or number % 3 or not event.get("namespace"):
                continue
            kind = number // 3
            ordered = at + timedelta(hours=hours[kind % len(hours)], seconds=kind % 7 - 3 if kind % 4 == 0 else 0)
            order = {
                "namespace": event["namespace"],
                "order_id": f"after-{number}",
                "email": event["email"].upper() if kind % 5 == 0 else event["email"],
                "status": "cancelled" if kind % 11 == 0 else "placed",
                "ordered_at": f"{ordered.isoformat()}Z",
                "currency": "EUR",
                "total": round(5 + kind % 9973 / 100, 2),
                "lines": [],
                "updated_at": f"{ordered.isoformat()}Z",
            }
            out.write(json.dumps(order) + "\n")
            written += 1
        for customer, day in RETURNED:
            at = f"{day}T10:00:00Z"
            order = {"namespace": "client_0000", "order_id": f"{customer}-{day}", "customer_id": customer}
            money = {"status": "placed", "currency": "EUR", "total": 9.99, "lines": []}
            out.write(json.dumps(order | money | {"ordered_at": at, "updated_at": at}) + "\n")
    with (folder / "platform/namespaces/windows.ndjson").open("w", encoding="utf-8") as out:
        name = {"namespace": "client_0001", "name": "Client 1", "attribution_hours": 48}
        out.write(json.dumps({**name, "updated_at": "2026-10-01T00:00:00Z"}) + "\n")
    return written


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
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("delivery")), "export", f"analytics_{dataset}"),
            *("--namespace", namespace, "--from", str(START), "--to", str(END), "--grain", grain, "--at", AT),
            *("-o", str(path)),
        ],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    keys = [] if grain == "total" else ["first_day"]
    keys += KEYS[dataset][1:]
    texts = {
        "first_day",
        "last_day",
        "namespace",
        "campaign_id",
        "campaign_name",
        "campaign_classification",
        "device_type",
    }
    cells: Cells = {}
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            key = (row["namespace"], *(row[name] for name in keys))
            assert key not in cells, key
            cells[key] = {name: Decimal(cell) if cell else None for name, cell in row.items() if name not in texts}
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


def compare(name: str, landing: Path, work: Path) -> tuple[dict[str, bool], int, int]:
    """Builds and exports one folder of raw data: measures and whether one is above zero, cells, cells different."""
    environment = os.environ | {
        "LANDING_DIR": str(landing),
        "WAREHOUSE": str(work / f"{name}.duckdb"),
        "DBT_TARGET_PATH": str(work / f"target-{name}"),
        "DELIVERY_STATE": str(work / f"state-{name}"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    dbt = [str(Path(sys.executable).with_name("dbt")), "build", "-q", "--log-path", str(work / f"logs-{name}")]
    dbt += DATA_TESTS_ONLY
    subprocess.run(dbt, check=True, cwd=ROOT, env=environment, stdout=sys.stderr)
    world = independent.World(landing)
    by_campaign = independent.campaigns(world)
    frames = {
        "performance": by_campaign,
        "campaigns": by_campaign,
        "identification": independent.identification(world),
        "customers": independent.customers(world),
    }
    tasks = [
        (dataset, grain)
        for dataset in frames
        for grain in (("week", "total") if dataset == "customers" else ("day", "week", "month", "total"))
    ]
    measures: dict[str, bool] = {}
    cells = wrong = 0
    with ThreadPoolExecutor(2) as pool:
        for dataset, grain in tasks:
            wanted = first_days(expected(frames[dataset], dataset, grain), grain)
            found: Cells = {}
            jobs = [pool.submit(exported, environment, work, dataset, grain, one) for one in sorted(world.namespaces)]
            for job in jobs:
                found |= job.result()
            faults = list(different(wanted, found))
            for fault in faults[:5]:
                print(f"{name} {dataset} by {grain}: {fault}")
            for measure, value in (cell for row in wanted.values() for cell in row.items()):
                measures[measure] = measures.get(measure, False) or bool(value)
            cells += sum(len(row) for row in wanted.values())
            wrong += len(faults)
    print(f"{name}: {len(world.events)} events, {cells} cells, {wrong} different")
    return measures, cells, wrong


def main() -> int:
    """Ends with one line of figures; 1 when a cell differs."""
    parts = chosen()
    events = EVENTS * len(parts) // PARTS
    print(described("make crosscheck"), flush=True)
    with tempfile.TemporaryDirectory(prefix="crosscheck-") as folder:
        work = Path(folder)
        landing = work / "landing"
        generate(landing, events=events, days=5, namespaces=3, seed=1 + parts[0], start=datetime(2026, 11, 1).date())
        print(f"generated: {events} events, {add_orders(landing)} orders after clicks")
        results = [compare("sample", ROOT / "landing", work), compare("generated", landing, work)]
    cells, wrong = (sum(result[number] for result in results) for number in (1, 2))
    names = {name for result in results for name in result[0]}
    idle = sorted(name for name in names if not any(result[0].get(name) for result in results))
    if idle:
        print(f"never above zero, so not compared: {', '.join(idle)}")
    print(f"crosscheck: {len(names)} measures {cells} cells {wrong} different")
    return 1 if wrong or idle else 0


if __name__ == "__main__":
    sys.exit(main())

"""`make crosscheck`: the datasets and the exports of analytics, each computed a second time from the raw files.

Two landing folders are built by one `dbt build` each: the sample with rows that are odd in every way, and generated
events. A cell is one column of one row of a dataset's table, or one number of one row of an export's file.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.generate import generate
from tests.crosscheck import (
    audience_attributes,
    email_eligibility,
    email_unsubscribes,
    esp_events,
    events,
    figures,
    raw,
    records,
    tables,
)
from tests.delivery.projects import DATA_TESTS_ONLY
from tests.delivery.sampling import PARTS, chosen, described
from tests.nasty.landing import put_odd_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
TODAY = date(2026, 11, 25)  # of what is current
EVENTS = 1_000_000  # of which a part of the sample has an eighth, generated from a seed of its own
# Customers who came back after more than a year, and one who did within it, by a day.
RETURNED = [
    *(("back-1", day) for day in ("2023-10-02", "2025-11-03", "2026-11-02")),
    *(("back-2", day) for day in ("2025-11-01", "2026-11-01")),
    *(("back-3", day) for day in ("2025-11-02", "2026-11-07")),
]


@dataclass
class Found:
    """cells, and how many are different; measures and columns, and whether they say anything anywhere."""

    cells: int = 0
    different: int = 0
    said: dict[str, bool] = field(default_factory=dict)

    def add(self, cells: int, different: int, said: Iterable[tuple[str, bool]]) -> None:
        self.cells, self.different = self.cells + cells, self.different + different
        for name, something in said:
            self.said[name] = self.said.get(name, False) or something


def compare(name: str, landing: Path, work: Path, found: Found) -> None:
    """Builds one folder of raw data, and holds all that is exported of it against what it should be."""
    warehouse = work / "warehouse.duckdb"  # a new one each time under one name, so that dbt parses the project once
    warehouse.unlink(missing_ok=True)
    environment = os.environ | {
        "LANDING_DIR": str(landing),
        "WAREHOUSE": str(warehouse),
        "DBT_TARGET_PATH": str(work / "target"),
        "DELIVERY_STATE": str(work / f"state-{name}"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    dbt = [str(Path(sys.executable).with_name("dbt")), "build", "-q", "--log-path", str(work / f"logs-{name}")]
    dbt += [*DATA_TESTS_ONLY, "--vars", json.dumps({"as_of": str(TODAY)})]
    subprocess.run(dbt, check=True, cwd=ROOT, env=environment, stdout=sys.stderr)
    known = records.read(landing)
    every = events.read(landing, known)
    eligibility = list(email_eligibility.rows(every, known))
    unsubscribed = {(row["namespace"], row["email"]) for row in eligibility if row["status"] == "unsubscribed"}
    for table, wanted in {
        "esp_events": esp_events.rows(every, known),
        "email_unsubscribes": email_unsubscribes.rows(every, known),
        "email_eligibility": eligibility,
        "audience_attributes": audience_attributes.rows(landing, known, unsubscribed, TODAY),
    }.items():
        compared = tables.compare(warehouse, table, wanted)
        for fault in compared.faults.values():
            print(f"{name} {table}: {fault}")
        found.add(compared.cells, compared.different, ((f"{table}.{one}", any_) for one, any_ in compared.said.items()))
    for export, cells, faults in figures.compare(environment, work, every, known):
        for fault in faults[:5]:
            print(f"{name} {export}: {fault}")
        said = ((measure, bool(value)) for row in cells.values() for measure, value in row.items())
        found.add(sum(map(len, cells.values())), len(faults), said)
    print(f"{name}: {len(every)} events; so far {found.cells} cells {found.different} different", flush=True)


def main() -> int:
    """Ends with one line of figures; 1 when a cell differs."""
    parts = chosen()
    number = EVENTS * len(parts) // PARTS
    print(described("make crosscheck"), flush=True)
    found = Found()
    with tempfile.TemporaryDirectory(prefix="crosscheck-") as folder:
        work = Path(folder)
        odd, landing = work / "odd", work / "landing"
        shutil.copytree(ROOT / "landing", odd)
        print(f"the sample, and {put_odd_rows(odd)} rows that are odd")
        compare("odd", odd, work, found)
        generate(landing, events=number, days=5, namespaces=3, seed=1 + parts[0], start=datetime(2026, 11, 1).date())
        print(f"generated: {number} events, {add_orders(landing)} orders after clicks")
        compare("generated", landing, work, found)
    idle = sorted(name for name, something in found.said.items() if not something)
    if idle:
        print(f"says nothing anywhere, so not compared: {', '.join(idle)}")
    print(f"crosscheck: {len(found.said)} measures {found.cells} cells {found.different} different")
    return 1 if found.different or idle else 0


def add_orders(folder: Path) -> int:
    """Orders after clicks, which the generator has not: at the click, within the window, at its end, after it."""
    hours = [0, 1, 26, 47, 48, 49, 119, 120, 121, 200]
    written = 0
    with (folder / "commerce/orders/after_clicks.ndjson").open("w", encoding="utf-8") as out:
        for number, post in enumerate(raw.posts(folder)):
            at, event = post.received, post.payload
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


if __name__ == "__main__":
    sys.exit(main())

"""Times what reads a ledger of many deliveries: the latest ones, gaps, a run with nothing due, care and pruning.

Each client has one daily campaign, and every day of it until the sample's last one went, with a receipt as new as the
build and a frozen layout: nothing is due and nothing is to be corrected. The share is gone. Prints one JSON line.
"""

import json
import os
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click

from benchmarks.project import ROOT, declare_clients, link_sources, run
from delivery.errors import ExitCode
from delivery.ledger import Ledger, delivery_id
from delivery.ledger.tables import deliveries, files, layouts, steps
from delivery.windows import DAY

CAMPAIGN, DATASET, SLOT = "daily_email_unsubscribes", "email_unsubscribes", "T05:30:00Z"
TODAY = date(2026, 11, 4)  # the day after the sample's last one
AT = ["--select", CAMPAIGN, "--at", f"{TODAY}T06:00:00Z"]
COMMANDS = {
    "status": ["status"],
    "gaps": ["status", "--gaps", "--campaign", CAMPAIGN, "--to", str(TODAY)],
    "nothing_due": ["run", "--due", *AT],
    "plan_nothing_due": ["plan", "--due", *AT],
    "check": ["ledger", "check"],
    "prune": ["prune"],  # last, and once: after it there is nothing to prune
}
LAYOUT = {"columns": ["event_timestamp", "namespace", "email"], "kinds": ["time", "text", "text"]}
EXPECTED = {"nothing_due": ExitCode.NOTHING_DUE, "plan_nothing_due": ExitCode.NOTHING_DUE}


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--clients", type=click.IntRange(min=1), default=10_000)
@click.option("--days", type=click.IntRange(min=1), default=10)
@click.option("--repeats", type=click.IntRange(min=1), default=3)
def main(clients: int, days: int, repeats: int) -> None:
    """Median seconds, CPU seconds and peak memory of each command, as JSON on stdout."""
    with tempfile.TemporaryDirectory(prefix="ledger") as folder:
        root = Path(folder)
        with ProcessPoolExecutor(1) as apart:
            size = apart.submit(make, root, clients, days).result()
        told = {name: _timed(root, name, 1 if name == "prune" else repeats) for name in COMMANDS}
    click.echo(json.dumps({"deliveries": clients * days, "clients": clients, "ledger_megabytes": size, **told}))


def make(root: Path, clients: int, days: int) -> float:
    """A built project in `root` with so many clients, of which the ledger knows so many days. Its megabytes."""
    link_sources(root)
    (root / "landing").symlink_to(ROOT / "landing")
    namespaces = declare_clients(root, clients)
    run(root, "dbt", "build", "--exclude-resource-type", "unit_test")
    (root / ".delivery").mkdir(mode=0o700)
    (root / ".delivery" / "sent").mkdir()
    path = root / ".delivery" / "ledger.sqlite"
    past = [TODAY - DAY * ago for ago in range(days, 0, -1)]
    built = _built(root, past)
    with closing(Ledger(f"sqlite:///{path}", "benchmark")) as ledger, ledger.storage.begin() as connection:
        for day in past:
            rows = [_rows(root, name, namespace, day) for name, namespace in namespaces.items()]
            for table, part in ((deliveries, 0), (files, 1), (steps, 2)):
                connection.execute(table.insert(), [row for one in rows for row in one[part]])
            for one in rows:
                receipt = root / ".delivery" / "sent" / f"{one[0][0]['id']}.parquet"
                receipt.touch()
                os.utime(receipt, ns=(built[day], built[day]))
        frozen = {"campaign": CAMPAIGN, "created_at": str(TODAY), **{key: json.dumps(LAYOUT[key]) for key in LAYOUT}}
        connection.execute(layouts.insert(), [{**frozen, "integration": name} for name in namespaces])
    return round(path.stat().st_size / 1e6, 1)


def _built(root: Path, days: list[date]) -> dict[date | None, int]:
    """As of which build a receipt is, by day; the log is told that the build made those that the sample lacks, too."""
    import duckdb  # here, and in a process of its own: what is measured is never less than what measures has

    from delivery.config.datasets import datasets
    from delivery.config.project import open_project
    from delivery.files.built import days_built
    from delivery.files.receipts import nanoseconds
    from delivery.warehouse import open_engine

    project = open_project(root, None, None)
    dataset = datasets(project.manifest())[DATASET]
    with duckdb.connect(str(root / "warehouse.duckdb")) as warehouse:
        known = f"{dataset.log}.build_days where unique_id = '{dataset.unique_id}'"
        for day in days:
            as_last = f"select * replace (date '{day}' as event_day) from {known} and event_day = date '{TODAY - DAY}'"
            is_new = f"not exists (select 1 from {known} and event_day = date '{day}')"
            warehouse.execute(f"insert into {dataset.log}.build_days by name {as_last} and {is_new}")
    with open_engine(project) as engine:
        return {day: nanoseconds(built.began) for day, built in days_built(dataset, engine).items()}


def _rows(root: Path, integration: str, namespace: str, day: date) -> tuple[list[dict[str, Any]], ...]:
    """What the ledger keeps of a delivery that went: the row, its file and manifest, and its steps."""
    after, at = day + timedelta(days=1), f"{day + timedelta(days=1)}{SLOT}"
    key = delivery_id(CAMPAIGN, integration, namespace, f"{day}/{after}", 0)
    there = str(root / "share" / namespace / integration)
    name = f"{CAMPAIGN}_{day}.csv"
    row = {
        "id": key, "campaign": CAMPAIGN, "integration": integration, "namespace": namespace,
        "dataset": "email_unsubscribes", "slot": at, "window_start": str(day), "window_end": str(after), "revision": 0,
        "state": "delivered", "note": "", "destination": there, "rows": 3, "invocation_id": "0" * 36, "reason": None,
        "created_at": at, "updated_at": at, "asked_by": "schedule", "corrects": None, "holder": None,
        "lease_until": None, "fence": 1, "spooled_by": "benchmark", "layout": json.dumps(LAYOUT), "since": None,
        "rejected": 0,
    }  # fmt: skip
    written = [
        {
            "delivery_id": key, "part": part, "role": role, "name": name + ending, "spool": "", "state": "published",
            "rows": 3, "bytes": 300, "sha256": key, "destination": there, "updated_at": at, "fence": 1,
        }
        for part, (role, ending) in enumerate((("data", ""), ("manifest", ".manifest.json")))
    ]  # fmt: skip
    told = ["planned", "spooled", "uploaded", "publishing", "published", "uploaded", "publishing", "published"]
    taken = [{"delivery_id": key, "at": at, "step": step, "note": ""} for step in (*told, "delivered")]
    return [row], written, taken


def _timed(root: Path, name: str, repeats: int) -> dict[str, float]:
    said = [run(root, "delivery", *COMMANDS[name], expected=EXPECTED.get(name, ExitCode.DONE)) for _ in range(repeats)]
    return {
        "seconds": round(statistics.median(one.seconds for one in said), 2),
        "cpu": round(statistics.median(one.cpu_seconds for one in said), 2),
        "megabytes": max(one.megabytes for one in said),
    }


if __name__ == "__main__":
    main()

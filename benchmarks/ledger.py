"""Times what reads a ledger of many deliveries: the latest ones, gaps, a run with nothing due, care and pruning.

Each client has one daily campaign, and every day of it until today went. Prints one JSON line.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from benchmarks.project import BIN, ROOT, declare_clients, environment, link_sources
from delivery.ledger import Ledger, delivery_id
from delivery.ledger.tables import deliveries, files, steps

CAMPAIGN, SLOT = "daily_email_unsubscribes", "T05:30:00Z"
COMMANDS = {
    "status": ["status"],
    "gaps": ["status", "--gaps", "--campaign", CAMPAIGN],
    "nothing_due": ["run", "--due", "--select", CAMPAIGN],
    "plan_nothing_due": ["plan", "--due", "--select", CAMPAIGN],
    "check": ["ledger", "check"],
    "prune": ["prune"],
}


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--clients", type=click.IntRange(min=1), default=10_000)
@click.option("--days", type=click.IntRange(min=1), default=10)
@click.option("--repeats", type=click.IntRange(min=1), default=3)
def main(clients: int, days: int, repeats: int) -> None:
    """Median seconds and peak memory of each command, as JSON on stdout."""
    with tempfile.TemporaryDirectory(prefix="ledger") as folder:
        root = Path(folder)
        size = make(root, clients, days)
        told = {name: _timed(root, command, repeats) for name, command in COMMANDS.items()}
    click.echo(json.dumps({"deliveries": clients * days, "clients": clients, "ledger_megabytes": size, **told}))


def make(root: Path, clients: int, days: int) -> float:
    """A built project in `root` with so many clients, of which the ledger knows so many days. Its megabytes."""
    link_sources(root)
    (root / "landing").symlink_to(ROOT / "landing")
    namespaces = declare_clients(root, clients)
    _run(root, "dbt", "build", "--exclude-resource-type", "unit_test")
    (root / ".delivery").mkdir(mode=0o700)
    path = root / ".delivery" / "ledger.sqlite"
    today = datetime.now(UTC).date()
    with closing(Ledger(f"sqlite:///{path}", "benchmark")) as ledger, ledger.storage.begin() as connection:
        for day in (today - timedelta(days=ago) for ago in range(days, 0, -1)):
            rows = [_rows(root, name, namespace, day) for name, namespace in namespaces.items()]
            for table, part in ((deliveries, 0), (files, 1), (steps, 2)):
                connection.execute(table.insert(), [row for one in rows for row in one[part]])
    return round(path.stat().st_size / 1e6, 1)


def _rows(root: Path, integration: str, namespace: str, day: date) -> tuple[list[dict[str, Any]], ...]:
    """What the ledger keeps of a delivery that went: the row, its file and manifest, and its steps."""
    after, at = day + timedelta(days=1), f"{day + timedelta(days=1)}{SLOT}"
    key = delivery_id(CAMPAIGN, integration, namespace, f"{day}/{after}", 0)
    there = str(root / "share" / namespace / integration)
    name = f"{CAMPAIGN}_{day}.csv"
    layout = {"columns": ["event_timestamp", "namespace", "email"], "kinds": ["time", "text", "text"]}
    row = {
        "id": key, "campaign": CAMPAIGN, "integration": integration, "namespace": namespace,
        "dataset": "email_unsubscribes", "slot": at, "window_start": str(day), "window_end": str(after), "revision": 0,
        "state": "delivered", "note": "", "destination": there, "rows": 3, "invocation_id": "0" * 36, "reason": None,
        "created_at": at, "updated_at": at, "asked_by": "schedule", "corrects": None, "holder": None,
        "lease_until": None, "fence": 1, "spooled_by": "benchmark", "layout": json.dumps(layout), "since": None,
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


def _timed(root: Path, arguments: list[str], repeats: int) -> dict[str, float]:
    said = [_run(root, "delivery", *arguments) for _ in range(repeats)]
    return {
        "seconds": round(statistics.median(seconds for seconds, _ in said), 2),
        "megabytes": max(memory for _, memory in said),
    }


def _run(root: Path, program: str, *arguments: str) -> tuple[float, int]:
    began = time.perf_counter()
    with (root / "said.log").open("w+") as log:
        process = subprocess.Popen([BIN / program, *arguments], cwd=root, env=environment(root), stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code not in (0, 5):
            log.seek(0)
            raise click.ClickException(f"{program} {arguments[0]} ended with {code}:\n{log.read()[-2000:]}")
    return time.perf_counter() - began, usage.ru_maxrss // 1024


if __name__ == "__main__":
    main()

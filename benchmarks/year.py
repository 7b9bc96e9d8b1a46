"""Times a year of daily campaign analytics of one client, beside the same counts made from the events by hand.

Run it in a project whose warehouse is built. Each of the two is run in turn, whole commands, and medians are told.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click
import duckdb

BY_HAND = """
    select event_day, campaign_id, event, count(*) as events, count(distinct nqe) as emails
    from email_events
    where namespace = ? and event_day >= ? and event_day < ?
    group by all
"""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--warehouse", type=click.Path(exists=True, dir_okay=False), required=True)
@click.option("--namespace", required=True, help="The client.")
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True)
def main(warehouse: str, namespace: str, runs: int) -> None:
    """Seconds of both, and how many events there are, as JSON on stdout."""
    after = datetime.now(UTC).date()
    first = after - timedelta(days=365)
    with duckdb.connect(warehouse, read_only=True) as connection:
        (events,) = connection.execute("select count(*) from email_events").fetchall()[0]
    with tempfile.TemporaryDirectory() as folder:
        times = [
            (
                _exported(namespace, first, after, Path(folder) / "year.csv"),
                _by_hand(warehouse, namespace, first, after),
            )
            for _ in range(runs)
        ]
        rows = duckdb.read_csv(f"{folder}/year.csv").count("*").fetchall()[0][0]
    export, by_hand = (statistics.median(column) for column in zip(*times, strict=True))
    found = {"events": events, "rows": rows, "export_seconds": round(export, 2), "by_hand_seconds": round(by_hand, 2)}
    print(json.dumps(found))


def _exported(namespace: str, first: date, after: date, path: Path) -> float:
    command = [str(Path(sys.executable).with_name("delivery")), "export", "analytics_campaigns"]
    command += ["--namespace", namespace, "--from", str(first), "--to", str(after), "--grain", "day", "-o", str(path)]
    begun = time.monotonic()
    # a build of a selection leaves tests out, which the gate notices; it is asked all the same
    subprocess.run([*command, "--ungated", "--reason", "a timing"], check=True, stderr=subprocess.DEVNULL)
    return time.monotonic() - begun


def _by_hand(warehouse: str, namespace: str, first: date, after: date) -> float:
    begun = time.monotonic()
    with duckdb.connect(warehouse, read_only=True) as connection:
        connection.execute(BY_HAND, [namespace, first, after]).fetchall()
    return time.monotonic() - begun


if __name__ == "__main__":
    main()

"""Rows out of PostgreSQL as the runner reads them: sorted by the server, in Arrow batches.

`python -m benchmarks.read_postgres` starts a server of its own, fills a table shaped like `esp_events`, and streams it
through the engine in a process of its own: one JSON line a run, with rows a second and that process's peak memory.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import click
import psycopg

from benchmarks.processes import own_peak
from delivery.config.project import Project
from delivery.warehouse import open_engine

TABLE = """
    create table delivery.esp_events as
    select
        'acme_outdoor' as namespace,
        'customer' || n % 200000 || '@example.com' as email,
        (array['deliver', 'open', 'click', 'unsubscribe'])[1 + n % 4] as event,
        timestamp '2026-11-03 00:00:00' + (n::bigint * 7919 % 86400000) * interval '1 millisecond' as event_time,
        case when n % 4 = 0 then null else 'mobile' end as device_type,
        case when n % 4 = 0 then null else 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit' end
            as user_agent,
        case when n % 4 = 2 then 'https://shop.example.com/products/' || n % 5000 || '?utm_source=email' end
            as click_url,
        cast(null as text) as unsubscribe_source,
        1101 + n % 20 as campaign_id,
        'Autumn sale, part ' || n % 20 as campaign_name,
        'Promotional' as campaign_classification,
        '31|32' as audience_id,
        'run-' || n % 400 as campaign_run_id,
        timestamp '2026-11-03 06:00:00' as campaign_run_time,
        case when n % 2 = 0 then 'A' else 'B' end as variant_id,
        'Your path through autumn, number ' || n % 20 as subject_line,
        '{"utm_campaign":"autumn","utm_medium":"email"}' as tracking_parameters,
        md5((n / 4)::text) as nqe,
        cast(null as text) as journey_id,
        cast(null as text) as journey_name,
        md5('key' || n) as unique_key,
        timestamp '2026-11-04 05:00:00' as updated_at,
        date '2026-11-03' as event_day
    from generate_series(1, %(rows)s) as numbers(n)
"""
QUERY = (
    "select * from delivery.esp_events where namespace = 'acme_outdoor' and event_day >= date '2026-11-03'"
    " and event_day < date '2026-11-04' order by event_time, unique_key"
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rows", type=click.IntRange(min=1), multiple=True, default=(1_000_000, 4_000_000), show_default=True)
@click.option("--socket", hidden=True, help="Streams what is in the server of this socket.")
def main(rows: tuple[int, ...], socket: str | None) -> None:
    """Rows a second and peak memory in MB, as JSON on stdout, for each number of rows."""
    if socket:
        _stream(socket)
        return
    from tests.delivery.postgres import running_server

    with (
        running_server() as own,
        psycopg.connect(host=own, user="delivery", dbname="postgres", autocommit=True) as server,
    ):
        server.execute("create schema delivery")
        for number in rows:
            server.execute("drop table if exists delivery.esp_events")
            server.execute(TABLE.replace("%(rows)s", str(number)))
            server.execute("analyze delivery.esp_events")
            subprocess.run([sys.executable, "-m", "benchmarks.read_postgres", "--socket", own], check=True)


def _stream(socket: str) -> None:
    profile = {"type": "postgres", "host": socket, "user": "delivery", "dbname": "postgres", "schema": "delivery"}
    project = Project(Path(), "postgres", profile, Path(), Path(), "")
    with open_engine(project) as engine:
        before, began = own_peak(), time.monotonic()
        rows = size = most = 0
        for batch in engine.stream(QUERY, sorts=True):
            rows, size, most = rows + batch.num_rows, size + batch.nbytes, max(most, batch.nbytes)
        seconds = time.monotonic() - began
    found = {"rows": rows, "arrow_mb": size >> 20, "largest_batch_mb": most >> 20, "seconds": round(seconds, 1)}
    print(json.dumps(found | {"rows_per_second": round(rows / seconds), "mb_before": before, "peak_mb": own_peak()}))


if __name__ == "__main__":
    main()

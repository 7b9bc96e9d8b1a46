"""Two warehouses, row for row; two builds of one, for when rows say that they changed; and what clients have."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from pathlib import Path

# When a row was loaded.
TIMES = "loaded_at"
# What by definition is not the same: why a day was touched, build by build; a file that is gone is remembered, so that
# it is known when it is back; a program is kept that nobody uses any more.
LEFT_OUT = ("int_raw_days",)
ONLY = {
    "base_landing__files": "file_size is not null",
    "int_user_agents": "user_agent in (select user_agent from two.int_user_agents)",
}
EXPORTED = ("esp_events", "email_unsubscribes")


def attached(one: Path, two: Path) -> duckdb.DuckDBPyConnection:
    """A connection that reads both."""
    connection = duckdb.connect(config={"threads": 1})
    for name, path in (("one", one), ("two", two)):
        connection.execute(f"attach '{path}' as {name} (read_only)")
        connection.execute(f"use {name}")
    return connection


def different(built: Path, rebuilt: Path, tables: list[str]) -> list[str]:
    """Each row that is not in both, and of which table it is."""
    found = []
    with attached(built, rebuilt) as connection:
        for table in sorted(set(tables) - {*LEFT_OUT}):
            rows = f"select columns(lambda c: c <> '{TIMES}') from {{}}.{table} where {ONLY.get(table, 'true')}"
            for here, there, said in (("one", "two", "built day by day"), ("two", "one", "built anew")):
                only = f"{rows.format(here)} except all {rows.format(there)}"
                rows_as_text = connection.execute(f"select cast(to_json(o) as varchar) from ({only}) as o order by 1")
                found += [f"{table}: only as {said}: {row}" for (row,) in rows_as_text.fetchall()]
    return found


def wrongly_dated(before: Path, after: Path) -> list[str]:
    """Rows that changed between two builds and do not say so, and those that did not and say they did.

    Of what its campaign run says a row may show a part only: where the run says something else, the time may move.
    """
    found = []
    with attached(before, after) as connection:
        for table in EXPORTED:
            query = (
                "select unique_key, event_day, rows.updated_at, runs.run_version, rows.* exclude (updated_at) "
                f"from {{0}}.{table} as rows left join {{0}}.stg_platform__campaign_runs as runs "
                "using (namespace, campaign_run_id)"
            )
            rows = [connection.execute(query.format(name)).fetchall() for name in ("one", "two")]
            was, now = ({row[:2]: row[2:] for row in of} for of in rows)
            for key in was.keys() & now.keys():
                (dated, said, *content), (then, said_then, *other) = was[key], now[key]
                if (then != dated and said == said_then) if content == other else (then <= dated):
                    found.append(f"{table}: dated {dated}, then {then}: {content}, then {other}")
    return found


def what_clients_have(share: Path, first: str) -> dict[str, list[tuple[str, ...]]]:
    """The rows of each window from a day on, after corrections, which manifests say how to apply.

    As a client does, by unique_key, whichever window a row came with.
    """
    windows: set[tuple[str, str, str]] = set()
    have: dict[tuple[str, str], dict[str, tuple[str, tuple[str, ...]]]] = defaultdict(dict)
    manifests = [(json.loads(path.read_text()), path.parent) for path in share.rglob("*.manifest.json")]
    for manifest, folder in sorted(manifests, key=lambda one: (one[0]["built_at"], one[0]["revision"])):
        start = manifest["window"]["start"]
        if start < first:
            continue
        correction = manifest.get("correction") or {"scope": "whole", "withdrawn": None}
        series = manifest["namespace"], manifest["campaign"]
        windows.add((*series, start))
        if correction["scope"] == "whole":
            have[series] = {key: row for key, row in have[series].items() if row[0] != start}
        for file in manifest["files"]:
            with (folder / file["name"]).open(encoding="utf-8", newline="") as lines:
                header, *found = csv.reader(lines)
            if file["name"] == correction["withdrawn"]:
                for (key,) in found:
                    del have[series][key]
            else:
                key_at = header.index("unique_key") if "unique_key" in header else None
                named = ((f"{start} {n}" if key_at is None else row[key_at], row) for n, row in enumerate(found))
                have[series].update((key, (start, tuple(row))) for key, row in named)
    return {
        " ".join(window): sorted(row for start, row in have[window[:2]].values() if start == window[2])
        for window in windows
    }

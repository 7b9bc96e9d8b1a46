"""A new field of SendGrid's in a file, made by the edits of docs/providers.md: how many files, and what leaves."""

from __future__ import annotations

import json
import re
import textwrap
from typing import TYPE_CHECKING

import duckdb
import pytest
from projects import DATA_TESTS_ONLY, ROOT, SOURCES, Copy, new_project

from tests.delivery.raw_data import events_of

if TYPE_CHECKING:
    from pathlib import Path

STAGING = "models/staging/sendgrid/stg_sendgrid__events.sql"
EXPORT = "models/exports/esp_events.yml"
CAMPAIGN = "models/campaigns/daily.yml"
DICTIONARY = "docs/data-dictionary.md"
FIELDS = "'campaign_run_id', 'audience_id', 'variant_id', 'journey_id', 'nqe'"
TOLD = "{{ posted_extra_fields({}) }} as extra_fields,"
LAST = "      - name: event_day\n"
SCHEDULE = '          schedule: "0 5 * * *"\n'
ENTRY = """      - name: ip_pool
        data_type: string
        description: The pool.
        config: {meta: {layout: optional, extra_field: true}}
"""
CLIENTS = ("acme_outdoor", "brightside_beauty")
DAYS = ("2026-11-02", "2026-11-03")


def page() -> str:
    """The section of the page that says how."""
    text = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
    return text.split("## A new field in a file")[1].split("\n## ")[0]


def edit(project: Copy) -> None:
    """What the page says, in its order."""
    blocks = re.findall(r"^ *```\w+\n(.*?)^ *```$", page(), re.MULTILINE | re.DOTALL)
    field, told, column, layout = (textwrap.dedent(block) for block in blocks)
    project.edit(STAGING, FIELDS, field.strip())
    project.edit(STAGING, TOLD, told.strip())
    project.edit(EXPORT, LAST, textwrap.indent(column, " " * 6) + LAST)
    project.edit(CAMPAIGN, SCHEDULE, SCHEDULE + textwrap.indent(layout, " " * 10))


def changed(project: Copy) -> set[str]:
    """The files of the copy that are not as in the repository."""
    names = [name for name in SOURCES if (project.root / name).exists() and name != "landing"]
    paths = [path for name in names for path in [project.root / name, *(project.root / name).rglob("*")]]
    files = {str(path.relative_to(project.root)): path for path in paths if path.is_file() and path.suffix != ".pyc"}
    files[DICTIONARY] = project.root / DICTIONARY
    return {name for name, path in files.items() if path.read_bytes() != (ROOT / name).read_bytes()}


def deliver(project: Copy) -> dict[str, str]:
    """The files of the days, after every test passed: by name and day, their text."""
    for day in DAYS:
        code, report = project.deliver("--select", "daily_esp_events", "--window", day)
        assert code == 0, report
    files = {name: path for name, path in project.files().items() if not name.endswith(".json")}
    return {name: path.read_text("utf-16" if name.endswith(".txt") else "utf-8") for name, path in files.items()}


def land_pools(landing: Path) -> None:
    """An open of each client on each day, each of a pool of its own."""
    opens = {e.payload["namespace"]: e.payload for e in events_of(landing) if e.payload.get("event") == "open"}
    lines = [
        {
            "received_at": f"{day}T12:00:00Z",
            "payload": opens[client]
            | {"sg_event_id": day, "sg_message_id": day, "pool": {"name": f"{client} of {day}"}},
        }
        for client in CLIENTS
        for day in DAYS
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (landing / "sendgrid" / "pools.ndjson").write_text(text, encoding="utf-8")


def rows(project: Copy, sql: str) -> list[tuple[object, ...]]:
    """What a query says."""
    with duckdb.connect(str(project.root / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.slow
def test_a_new_field_takes_the_files_that_the_page_says_and_leaves(project: Copy) -> None:
    """First for what lands from now on; after a full refresh the sample's own pool is there, too."""
    edit(project)
    (project.root / "docs").mkdir()
    project.dbt("build", "--full-refresh", "--select", "esp_events", "--indirect-selection", "eager", *DATA_TESTS_ONLY)
    project.delivery("dictionary", "-o", str(project.root / DICTIONARY))
    assert changed(project) == {STAGING, EXPORT, CAMPAIGN, DICTIONARY}
    assert changed(project) == set(re.findall(r"^\d\. `([\w/.-]+)`", page(), re.MULTILINE))
    assert "It takes four files" in page()

    land_pools(project.own("landing"))
    project.dbt("build", *DATA_TESTS_ONLY)
    files = deliver(project)
    assert len(files) == len(CLIENTS) * len(DAYS)
    for name, text in files.items():
        (client,) = (client for client in CLIENTS if client.split("_")[0] in name)
        (day,) = (day for day in DAYS if re.sub(r"\D", "", day) in re.sub(r"\D", "", name))
        assert text.splitlines()[0].endswith("ip_pool"), name
        assert re.findall(r"\w+ of 2026-..-..", text) == [f"{client} of {day}"], name

    query = "select ip_pool, cast(event_day as text) from esp_events where ip_pool not like '% of %'"
    assert rows(project, query) == []
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as connection:
        connection.execute("alter table esp_events drop column ip_pool")  # as it was before the edits
    project.dbt("run", "--full-refresh", "--select", "+esp_events")
    assert rows(project, query) == [("marketing", "2026-11-02")]
    changes = "select unique_key from email_changes where changed_at = (select max(started_at) from build_log)"
    filled = "select unique_key from esp_events where ip_pool is not null"
    assert sorted(rows(project, changes)) == sorted(rows(project, filled))


def test_a_name_that_is_only_on_one_side_stops_the_build_and_says_where_it_goes(tmp_path: Path) -> None:
    project = new_project(tmp_path / "project")

    def said(model: str) -> str:
        done = project.dbt("compile", "--select", model, check=False)
        assert done.returncode, done.stdout
        return " ".join(done.stdout.split())

    told = "{{ posted_extra_fields({'ip_pool': 'nqe_text'}) }} as extra_fields,"
    project.edit(STAGING, TOLD, told)
    project.edit(EXPORT, LAST, ENTRY.replace("ip_pool", "ip_pol").replace("string", "text") + LAST)
    unknown = "ip_pool in posted_extra_fields is no extra field. Add it to esp_events.yml"
    assert unknown in (staged := said("stg_sendgrid__events"))
    assert "known: ip_pol." in staged
    faults = said("esp_events")
    assert "ip_pol: data_type is string, bigint" in faults
    assert "ip_pol: no provider in use has it: name it in posted_extra_fields" in faults

"""What a day's build, tests and delivery read on PostgreSQL: of a table that grows, the day, and never all of it.

The server of these tests plans as for tables of volume: reading a whole table costs so much that it does so only where
nothing else is possible, compiles what it may, and writes down the plan of every statement.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from projects import new_project

from tests.delivery.raw_data import events_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A day of raw rows, of what is made of them, and of what leaves.
GROWING = {
    "stg_sendgrid__events", "int_email_events_classified", "int_email_signals", "email_clicks", "email_days",
    "esp_events", "rejected_events", "email_unsubscribes", "int_record_days", "int_repeat_days", "int_email_arguments",
}  # fmt: skip
# Of these a few rows a day. With as few rows as here; at volume nobody has looked.
READ_WHOLE = {
    *((name, "model.delivery.int_raw_days") for name in ("int_record_days", "int_repeat_days", "int_email_arguments")),
    ("int_email_arguments", "model.delivery.int_email_events_classified"),
}
AS_FOR_VOLUME = (
    "session_preload_libraries = 'auto_explain'",
    "auto_explain.log_min_duration = 0",
    "auto_explain.log_format = 'json'",
    "enable_seqscan = off",
    "jit_above_cost = 0",
    "jit_optimize_above_cost = -1",
    "jit_inline_above_cost = -1",
)
# What takes time; a line of the build log takes none.
WORK = re.compile(
    r"\b(create|delete)\b|\binsert\b(?! into \S+build_log)|dbt_internal_test|select \"namespace\", \"email\""
)
DAY = "2026-11-07"
INCOMPRESSIBLE = b64encode(b"".join(sha256(bytes([number])).digest() for number in range(99))).decode()


@pytest.mark.slow
def test_a_day_reads_a_day(new_database: Callable[[], str], tmp_path: Path) -> None:
    project = new_project(tmp_path / "project")
    with psycopg.connect(new_database().replace("+psycopg", ""), autocommit=True) as server:
        info = server.info
        project.env |= {"PGHOST": info.host, "PGUSER": "delivery", "PGDATABASE": info.dbname}
        project.env |= {"DBT_TARGET_PATH": str(tmp_path / "target")}
        landing = project.own("landing")
        assert project.delivery("--target", "postgres", "load").exit_code == 0
        without_tests = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
        project.dbt("build", "--target", "postgres", *without_tests)
        lines = [
            {"received_at": f"{DAY}T10:00:00Z", "payload": event.payload} for event in list(events_of(landing))[:20]
        ]
        # The server looks nothing up by a text that long.
        odd = {"namespace": INCOMPRESSIBLE, "email": "odd@example.com", "sg_event_id": "odd", "event": "open"}
        lines.append(lines[0] | {"payload": lines[0]["payload"] | odd})
        text = "\n".join(map(json.dumps, lines)).replace('"sg_event_id": "', '"sg_event_id": "another-')
        (landing / "sendgrid" / f"{DAY}.ndjson").write_text(text + "\n")
        assert project.delivery("--target", "postgres", "load").exit_code == 0
        for setting in AS_FOR_VOLUME:
            server.execute(f"alter database {info.dbname} set {setting}")
        said = Path(info.host, "log")
        before = said.stat().st_size
        accepted = ("--ungated", "--reason", "the tests have seen one day only")
        of_a_day = ("run", "--build", "--select", "daily_esp_events", "--window", DAY, *accepted)
        delivered = project.delivery("--target", "postgres", *of_a_day)
        assert delivered.exit_code == 0, delivered.stderr
        assert "model failed" not in delivered.stderr, delivered.stderr
        plans = list(plans_in(said.read_bytes()[before:].decode(errors="replace")))
    asked = " ".join(text for text, _, _ in plans)
    for name in ("stg_sendgrid__events", "int_email_events_classified", "esp_events", "rejected_events"):
        assert f'"{name}"' in asked
    assert 'select "namespace", "email"' in asked, "the runner's own query is among them"
    assert any(is_compiled for _, _, is_compiled in plans), "the server compiles"
    compiled = {said_by(text) for text, _, is_compiled in plans if is_compiled and WORK.search(text)}
    assert [name for name in compiled if not name.startswith(("operation.", "seed."))] == []
    reading = [(text, plan) for text, plan, _ in plans if " limit 0)" not in text]  # that asks for columns only
    whole = {(name, said_by(text)) for text, plan in reading for name in read_whole(plan)}
    assert whole == READ_WHOLE


def plans_in(log: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Each statement of the log, with its plan, and whether that was compiled. Plans are JSON, indented by a tab."""
    for found in re.finditer(r"plan:\n(\t\{\n.*?\n\t\})\n", log, re.DOTALL):
        document = json.loads(found[1].replace("\n\t", "\n"))
        yield document["Query Text"], document["Plan"], "JIT" in document


def read_whole(plan: dict[str, Any]) -> Iterator[str]:
    """The growing tables that a plan reads from end to end.

    Without what is only done when one question asked before (`exists`) is answered by yes.
    """
    name = plan.get("Relation Name")
    by_index = "Index Cond" in plan or plan["Node Type"] == "Bitmap Heap Scan"
    if name in GROWING and not by_index and plan["Node Type"] != "ModifyTable":
        yield name
    for below in plan.get("Plans", ()):
        if "One-Time Filter" not in plan or below["Parent Relationship"] == "InitPlan":
            yield from read_whole(below)


def said_by(text: str) -> str:
    """The node of dbt that a statement is of, or how it begins."""
    found = re.search(r'"node_id": "([^"]+)"', text)
    return found[1] if found else text[:200]

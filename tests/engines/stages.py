"""What happens to the sample, stage by stage, and what each engine then does with it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.delivery.projects import DATA_TESTS_ONLY, ROOT
from tests.delivery.raw_data import events_of
from tests.nasty.landing import put_odd_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.delivery.projects import Copy

# Texts that readers, formatters and engines stumble over; NUL is left out, as PostgreSQL has none.
HARD = (
    'quote " and \' and ""', "a,b;c|d\te", "line\nbreak\r\nand return\r", "\\.", "back\\slash\\n", "  spaces  ", "NULL",
    "\\N", "=1+1", "-0", "00123", "1e5", "NaN", "true", "2026-11-01", "\xe9 \xf1 \xfc \xdf \u017f \u0130 \u0131",
    "\u4e2d\u6587 \u65e5\u672c", "\U0001f600\u200d\u200b", "e\u0301", "\ufeffmark", "\u2028\u2029\u0085", "\u00a0",
    "\x01\x1f\x7f", "\u202eabc", "%s {x} ${y} `z` $1", "<a>&amp;</a>", "x" * 5000,
)  # fmt: skip
SAMPLE = ROOT / "landing"
DAYS = ("--from", "2026-11-01", "--to", "2026-11-05")
ATTRIBUTE = """
      - name: complexion
        data_type: string
        description: The skin type.
        config: {meta: {layout: optional, definition: {kind: customer_attribute, attribute: skin_type}}}
"""
COLUMN = """
      - name: journey
        data_type: string
        description: The journey, once more.
        config: {meta: {layout: optional}}
"""
EXTRA_FIELDS = """      - name: response
        data_type: string
        description: What the receiving server said.
        config: {meta: {layout: optional, extra_field: true}}
      - name: attempts
        data_type: bigint
        description: How often it was tried.
        config: {meta: {layout: optional, extra_field: true}}
"""
UNTESTED = ("--exclude-resource-type", "test", *DATA_TESTS_ONLY)
UNIT_TESTED = {"duckdb": DATA_TESTS_ONLY}  # by `make test`
OUT_OF_SYNC = "schemas on this incremental model are out of sync"


@dataclass(frozen=True)
class Target:
    """A project on one engine; what it runs finds everything else in the environment.

    is_reference: whether the others are compared with it; then dbt tests what it builds from the first stage on.
    """

    name: str
    root: Path
    is_reference: bool

    def dbt(self, *arguments: str, expected: int = 0) -> str:
        """`dbt build`; "now" is a day that does not pass while engines are compared. Gives what it said."""
        days = json.dumps({"as_of": "2026-11-10", **dict(a.split("=") for a in arguments if "=" in a)})
        rest = [argument for argument in arguments if "=" not in argument]
        rest += UNIT_TESTED.get(self.name, ())
        dbt = str(Path(sys.executable).with_name("dbt"))
        return run(
            *(dbt, "build", "--target", self.name, "--no-use-colors", "--vars", days, *rest),
            where=self.root,
            expected=expected,
        )

    def delivery(self, *arguments: str, expected: int = 0) -> str:
        """`delivery run`. Gives what it said."""
        command = (sys.executable, "-m", "delivery", "--target", self.name, "run", *arguments)
        return run(*command, where=self.root, expected=expected)


class Stage(NamedTuple):
    """change: made to the project before the stage; build: done on each engine after it."""

    change: Callable[[Copy], None]
    build: Callable[[Target], None]


def run(*command: str, where: Path, expected: int = 0) -> str:
    """Gives what the command said; ends everything when it ends otherwise than expected."""
    done = subprocess.run(command, cwd=where, check=False, text=True, capture_output=True)
    said = done.stdout + done.stderr
    if done.returncode != expected:
        print(f"{' '.join(command[1:])} ended with {done.returncode}, not {expected}:")
        print(f"{done.stderr[-1000:]}\n{done.stdout[-6000:]}")  # what dbt says of what failed comes last
        sys.exit(1)
    return said


def _odd_rows(project: Copy) -> None:
    """Raw rows that are odd in every way, beside the sample: so many are rejected that the usual limit would refuse.

    And two fields of SendGrid's more, as docs/providers.md says.
    """
    staging, last = "models/staging/sendgrid/stg_sendgrid__events.sql", "      - name: event_day\n"
    project.edit(staging, "'journey_id', 'nqe'\n", "'journey_id', 'nqe', 'response', 'attempt'\n")
    told = "{'response': 'response_text', 'attempts': 'attempt_text'}"
    project.edit(staging, "posted_extra_fields({})", f"posted_extra_fields({told})")
    project.edit("models/exports/esp_events.yml", last, EXTRA_FIELDS + last)
    schedule = '          schedule: "0 5 * * *"\n'
    layout = "          layout: {columns: [response, attempts]}\n"
    project.edit("models/campaigns/daily.yml", schedule, schedule + layout)
    put_odd_rows(project.own("landing"))
    for client in ("acme_outdoor", "brightside_beauty"):
        name = f"namespace: {client}"
        project.edit("integrations.yml", name, f"{name}\n    rejected: {{rows: 1000}}")


def _build(target: Target) -> None:
    untested = () if target.is_reference else UNTESTED
    accepted = () if target.is_reference else ("--ungated", "--reason", "compared with rows that were tested")
    target.dbt(*untested, "rebuild_from=2026-11-09", "rebuild_to=2026-11-09")  # the day before "now", proven empty
    target.delivery(*DAYS, *accepted)
    target.delivery("--at", "2026-11-10T06:00:00Z", *accepted)


def _late_rows(project: Copy) -> None:
    """What is received late: opens and clicks once more, with texts that are hard to carry, and one of them twice."""
    landing = project.own("landing")
    lines = []
    for number, event in enumerate(events_of(SAMPLE)):
        if event.payload.get("event") in ("open", "click") and event.payload.get("namespace"):
            hard = HARD[number % len(HARD)]
            payload = event.payload | {"sg_event_id": f"late-{number}", "useragent": hard, "response": hard}
            lines.append(json.dumps({"received_at": "2026-11-04T23:30:00Z", "payload": payload}))
    assert len(lines) > len(HARD)
    (landing / "sendgrid" / "late.ndjson").write_text("\n".join([*lines, lines[0]]) + "\n", encoding="utf-8")


def _build_late(target: Target) -> None:
    """A day is built anew by hand, too."""
    target.dbt("rebuild_from=2026-11-02", "rebuild_to=2026-11-02")
    target.delivery(*DAYS)
    target.delivery("--at", "2026-11-10T06:00:00Z")


def _new_columns(project: Copy) -> None:
    """One more column of a table that grows, and one more attribute of customers."""
    for name, entry in (("esp_events", COLUMN), ("audience_attributes", ATTRIBUTE)):
        project.edit(f"models/exports/{name}.yml", "\n\nunit_tests:", f"{entry}\nunit_tests:")
    last = "    events.event_day"
    project.edit("models/exports/esp_events.sql", f"{last}\nfrom", f"{last},\n    events.journey_id as journey\nfrom")


def _build_new_columns(target: Target) -> None:
    """A table that grows does not change by itself: the build stops, the gate refuses, a full refresh mends both."""
    assert OUT_OF_SYNC in target.dbt("--select", "esp_events", expected=1), f"{target.name}: the build said nothing"
    again = ("--select", "daily_esp_events", "--window", "2026-11-03", "--redeliver", "--reason", "a new column")
    assert "esp_events is not proven" in target.delivery(*again, expected=3)
    eager = ("--indirect-selection", "eager")  # tests that read more than what is built, too
    target.dbt("--full-refresh", "--select", "esp_events", *eager)
    target.dbt(*eager, "--select", "definitions", "audience_attributes", "rejected_records", "definition_entitlements")
    target.delivery(*again)
    target.delivery("--select", "weekly_openers_without_purchase", "--at", "2026-11-17T06:00:00Z")


STAGES = {
    "first": Stage(_odd_rows, _build),
    "late": Stage(_late_rows, _build_late),
    "schema": Stage(_new_columns, _build_new_columns),
}

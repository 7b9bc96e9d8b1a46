"""`delivery status --prometheus`: what is on record, as a scraper reads it."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

from projects import AT, DAY

from delivery.operations.metrics import Sample, exposition

if TYPE_CHECKING:
    from projects import Copy

LINE = re.compile(r'(\w+)\{((?:\w+="(?:[^"\\\n]|\\[\\"n])*",?)*)\} (-?\d+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\\n]|\\[\\"n])*)"')


def read(text: str) -> dict[tuple[str, ...], int]:
    """The values by metric and labels, of a text that is the format throughout; each metric is described before."""
    found, described = dict[tuple[str, ...], int](), list[str]()
    for line in text.splitlines():
        if help_of := re.fullmatch(r"# HELP (\w+) .+", line):
            described.append(help_of[1])
        elif not re.fullmatch(rf"# TYPE {described[-1]} gauge", line):
            sample = LINE.fullmatch(line)
            assert sample, line
            assert sample[1] == described[-1]
            found[sample[1], *(value for _, value in LABEL.findall(sample[2]))] = int(sample[3])
    assert len(set(described)) == len(described)
    assert text.endswith("\n")
    return found


def test_figures_are_what_is_on_record(project: Copy) -> None:
    """Of two clients and two campaigns, one held at its place; and what should have gone beside."""
    taken = project.root / "share/acme_outdoor/daily/daily_esp_events_2026-11-03.csv"
    taken.parent.mkdir(parents=True)
    taken.write_text("another file\n", encoding="utf-8")
    assert not project.delivery("status", "--prometheus").stdout.count("{")
    assert not (project.root / ".delivery").exists(), "asking makes no ledger"
    project.delivery("run", "--window", DAY, "--at", AT)
    shown = project.delivery("status", "--prometheus")
    assert shown.exit_code == 0
    found = read(shown.stdout)
    rows = json.loads(project.delivery("status", "--json").stdout)["deliveries"]
    assert len(rows) == 4
    states = Counter((r["namespace"], r["campaign"], r["integration"], r["state"]) for r in rows)
    assert {key[1:]: n for key, n in found.items() if key[0] == "delivery_deliveries"} == states
    held = ("acme_outdoor", "daily_esp_events", "acme_share", "held")
    assert states[held] == 1
    delivered = {
        (r["namespace"], r["campaign"], r["integration"]): int(datetime.fromisoformat(r["updated_at"]).timestamp())
        for r in rows if r["state"] == "delivered"
    }  # fmt: skip
    assert {k[1:]: n for k, n in found.items() if k[0] == "delivery_last_delivered_timestamp_seconds"} == delivered
    gaps = json.loads(project.delivery("status", "--gaps", "--json").stdout)["gaps"]
    missing = Counter((g["namespace"], g["campaign"], g["integration"]) for g in gaps)
    assert missing[held[:3]] > 1
    unsent = {key[1:]: n for key, n in found.items() if key[0] == "delivery_gaps"}
    assert unsent == {key: missing[key] for key in {*missing, *(state[:3] for state in states)}}
    assert json.loads(project.delivery("status", "--prometheus", "--json").stdout)["metrics"][0]["labels"]["client"]


def test_names_are_escaped() -> None:
    odd = 'a "b" \\ c\nd'
    text = exposition([Sample("delivery_gaps", {"client": odd, "campaign": "c"}, 2)])
    assert read(text) == {("delivery_gaps", 'a \\"b\\" \\\\ c\\nd', "c"): 2}

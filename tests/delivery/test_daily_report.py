"""The page of one day: what the ledger and the tables say, of the right client, and nothing from elsewhere."""

from __future__ import annotations

import json
import re
import stat
from contextlib import closing
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from test_gate import sql

from delivery.analytics.report import Series, _series
from delivery.ledger import Delivery, Fetch, Ledger, deliveries
from delivery.ledger.fetches import keep_fetches

if TYPE_CHECKING:
    from pathlib import Path

    from projects import Copy

AT = ("--at", "2026-11-04T06:00:00Z")
DAY = ("--day", "2026-11-04")


class Page(HTMLParser):
    """Cells of the tables, row by row, and every tag with its attributes."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.text = path.read_text("utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1] and data.strip():
            self.rows[-1][-1] += data.strip()


def page(project: Copy, *more: str) -> Page:
    path = project.root / "day.html"
    done = project.delivery("report", "--html", str(path), *DAY, *AT, *more)
    assert done.exit_code == 0, done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return Page(path)


@pytest.fixture
def delivered(project: Copy) -> Copy:
    code, _ = project.deliver("--due", *AT)
    assert code == 0
    return project


def test_the_page_says_what_was_delivered(delivered: Copy) -> None:
    status = json.loads(delivered.delivery("status", "--json").stdout)["deliveries"]
    assert len(status) == 4
    sent = Fetch("line", status[0]["id"], 0, "acme_it", "page", "2026-11-04T07:00:00Z", 0, 10**9, 10)
    with closing(Ledger(f"sqlite:///{delivered.root / '.delivery' / 'ledger.sqlite'}")) as ledger:
        keep_fetches(ledger, [sent])
    shown = page(delivered)
    for row in status:
        (line,) = (cells for cells in shown.rows if cells[1:3] == [row["campaign"], row["integration"]])
        assert (line[0], line[5]) == (row["namespace"], f"{row['rows']:,}")
        there = "fetched by acme_it" if row is status[0] else f"not fetched yet, goes on {row['fetched']['goes_on']}"
        assert line[4] == f"delivered, {there}"
        assert line[6] == (str(row["rejected"]) if row["rejected"] else "")
        assert f"{row['campaign']}_2026-11-03" in line[7] or "20261103" in line[7]
    assert {row["rejected"] for row in status} == {3, 1}
    bars = [attributes for tag, attributes in shown.tags if tag == "rect"]
    assert len(bars) == 4


def test_the_page_says_how_the_campaigns_did(delivered: Copy) -> None:
    shown = page(delivered)
    done = delivered.delivery(
        *("export", "campaigns", "--namespace", "acme_outdoor", "--from", "2026-11-03", "--to", "2026-11-04"),
        *("--format", "json", "-o", str(delivered.root / "out.json"), *AT),
    )
    assert done.exit_code == 0, done.stderr
    campaigns = json.loads((delivered.root / "out.json").read_text("utf-8"))
    assert campaigns
    for row in campaigns:
        (line,) = (cells for cells in shown.rows if cells[0] == f"{row['campaign_name']} ({row['campaign_id']})")
        assert line[1:3] == [f"{row['sent']:,}", f"{row['delivered']:,}"]
        rate = row["unique_open_rate"]
        assert line[3] == ("no base" if rate is None else f"{rate * 100:.1f} %")


def test_the_page_of_a_client_has_nothing_of_another(delivered: Copy) -> None:
    shown = page(delivered, "--namespace", "brightside_beauty")
    assert "brightside_drop" in shown.text
    for other in ("acme", "nordlicht"):
        assert other not in shown.text
    document = json.loads(delivered.delivery("report", "--json", *DAY, *AT, "--namespace", "brightside_beauty").stdout)
    assert {one["namespace"] for one in document["deliveries"]} == {"brightside_beauty"}
    assert [one["namespace"] for one in document["results"]] == ["brightside_beauty"]


def test_the_page_says_what_was_rejected_and_what_was_before(delivered: Copy) -> None:
    shown = page(delivered)
    rejected = [cells[:-1] for cells in shown.rows if cells[-1:] and cells[-1].startswith("rejected_events")]
    assert rejected == [
        ["acme_outdoor", "no email", "1", "1"],
        ["acme_outdoor", "unknown run", "1", "none"],
        ["acme_outdoor", "unknown type", "1", "none"],
        ["acme_outdoor", "all, 5.9 % of 51 that came", "3", ""],
        ["brightside_beauty", "unknown run", "1", "1"],
        ["brightside_beauty", "all, 2.9 % of 34 that came", "1", ""],
    ]
    assert "esp_events: listed_in_esp_events_campaign_classification: 9 rows outside an open list" in shown.text
    theirs = page(delivered, "--namespace", "brightside_beauty")
    mine = [cells[:-1] for cells in theirs.rows if cells[-1:] and cells[-1].startswith("rejected_events")]
    assert mine == rejected[4:]
    assert "open list" not in theirs.text, "which counts the rows of all"
    sql(delivered, "update build_log set partial = true where unique_id = 'model.delivery.rejected_events'")
    refused = [cells for cells in page(delivered).rows if "Not known" in cells[-1]]
    assert [cells[0] for cells in refused] == ["acme_outdoor", "brightside_beauty"]
    assert "rejected_events: its last build was partial" in refused[0][1]


def test_the_page_needs_nothing_else_and_names_nobody(delivered: Copy) -> None:
    shown = page(delivered)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in shown.tags}
    assert not any(key in ("src", "href") for _, attributes in shown.tags for key in attributes)
    assert "http" not in shown.text
    assert not re.search(r"[\w.]+@[\w.]+", shown.text)


def test_what_is_held_or_missed_is_said(project: Copy) -> None:
    taken = project.root / "share" / "acme_outdoor" / "daily" / "daily_esp_events_2026-11-03.csv"
    taken.parent.mkdir(parents=True)
    taken.write_text("somebody's")
    project.deliver("--due", *AT, "--select", "daily_esp_events")
    shown = page(project)
    assert re.search(r'<li class="bad"><b>1</b>held', shown.text)
    (held,) = (cells for cells in shown.rows if cells[4:5] == ["held"])
    assert held[1] == "daily_esp_events"
    document = json.loads(project.delivery("report", "--json", *DAY, *AT).stdout)
    assert {(one["integration"], one["state"]) for one in document["missed"]} == {("acme_share", "held")}


def test_numbers_that_are_not_proven_are_not_shown(delivered: Copy) -> None:
    sql(delivered, "update build_log set status = 'fail' where unique_id like 'test.%analytics_campaigns%'")
    shown = page(delivered)
    assert "Not shown: the tests of these numbers have not all passed" in shown.text
    assert not any("(1101)" in cell for cells in shown.rows for cell in cells)


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ((*DAY, *AT), "Name a file with --html, or ask for --json."),
        (("--html", "x.html", "--day", "2026-11-05", *AT), "2026-11-05 is yet to come"),
        (("--html", "x.html", *DAY, *AT, "--namespace", "acme"), "Known: acme_outdoor, brightside_beauty"),
    ],
)
def test_what_cannot_be_asked_is_said(delivered: Copy, options: tuple[str, ...], seen: str) -> None:
    done = delivered.delivery("report", *options)
    assert done.exit_code == 2
    assert seen in done.stderr
    assert not (delivered.root / "x.html").exists()


def row(campaign: str, integration: str, day: int, **changes: Any) -> Delivery:
    values: dict[str, Any] = dict.fromkeys(Delivery._fields)
    values |= {"campaign": campaign, "integration": integration, "slot": f"2026-11-{day:02}T05:00:00Z", "revision": 0}
    return Delivery(**values | {"rows": day} | changes)


def test_a_series_has_the_days_of_one_campaign_and_integration_without_corrections() -> None:
    known = [
        row("daily", "acme", 1),
        row("daily", "acme", 1, revision=1, rows=99),
        row("daily", "other", 1, rows=98),
        row("weekly", "acme", 1, rows=97),
        row("daily", "acme", 2, rows=None),  # which is only planned
        row("daily", "acme", 3, rows=0),
        row("daily", "acme", 4),
        row("weekly", "acme", 4, rows=None),
        row("new", "acme", 4, rows=None),
    ]
    assert list(_series(known, [known[7], known[8], known[6], known[6]])) == [
        Series("daily", "acme", (("2026-11-01", 1), ("2026-11-03", 0), ("2026-11-04", 4))),
        Series("weekly", "acme", (("2026-11-01", 97),)),
    ]
    assert list(_series(known, [])) == []
    many = [row("daily", "acme", day) for day in range(1, 21)]
    (series,) = _series(many, many[-1:])
    assert series.rows == tuple((f"2026-11-{day:02}", day) for day in range(7, 21)), "the last fourteen"


def test_the_page_of_a_day_has_its_slots_and_no_others(project: Copy) -> None:
    project.deliver("--from", "2026-11-01", "--to", "2026-11-04", "--at", "2026-11-05T06:00:00Z")
    with closing(Ledger(f"sqlite:///{project.root / '.delivery' / 'ledger.sqlite'}")) as ledger:
        gone = next(one for one in ledger.find() if one.window_start == "2026-11-02")
        at_midnight = next(one for one in ledger.find() if one.window_start == "2026-11-03")
        with ledger.storage.begin() as connection:
            connection.execute(deliveries.update().where(deliveries.c.id == gone.id).values(state="cancelled"))
            moved = deliveries.update().where(deliveries.c.id == at_midnight.id)
            connection.execute(moved.values(slot=f"{at_midnight.slot[:10]}T00:00:00Z"))
    at = ("--at", "2026-11-05T06:00:00Z")

    def day(text: str) -> Any:
        return json.loads(project.delivery("report", "--json", "--day", text, *at).stdout)

    fourth = day("2026-11-04")
    assert {one["window_start"] for one in fourth["deliveries"]} == {"2026-11-03"}
    assert at_midnight.id in {one["id"] for one in fourth["deliveries"]}, "and not in the day that ends then"
    assert all(one["files"] and not any("manifest" in name for name in one["files"]) for one in fourth["deliveries"])
    assert {tuple(slot for slot, _ in one["rows"])[-1] for one in fourth["series"]} == {"2026-11-04"}
    third = day("2026-11-03")
    assert gone.id not in {one["id"] for one in third["deliveries"]}
    assert {one["window_start"] for one in third["deliveries"]} == {"2026-11-02"}
    assert len(third["deliveries"]) == len(fourth["deliveries"]) - 1
    assert all(one["rows"][-1][0] <= "2026-11-03" for one in third["series"]), "nothing of a later day"
    assert third["missed"] == []
    fifth = day("2026-11-05")
    assert fifth["deliveries"] == []
    assert {one["due"][:10] for one in fifth["missed"]} == {"2026-11-05"}
    theirs = json.loads(
        project.delivery("report", "--json", "--day", "2026-11-05", *at, "--namespace", "brightside_beauty").stdout
    )
    assert {one["namespace"] for one in theirs["missed"]} == {"brightside_beauty"}

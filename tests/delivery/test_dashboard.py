"""The page `delivery analytics`, looked at with a real browser: figures, choices, downloads, separation.

SCREENSHOTS=docs/images keeps the pictures that the docs show.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from test_gate import sql

from delivery.analytics.page import server
from delivery.analytics.page.periods import before, change, year_before
from delivery.analytics.page.served import current
from delivery.config.integrations_file import Integrations
from delivery.config.project import open_project
from delivery.schedule.gaps import gaps
from delivery.windows import Window, parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page
    from projects import Copy

AT = ("--at", "2026-11-05T06:00:00Z")
SECONDS = 60_000  # in milliseconds; a loaded machine is slow, and nothing here is timed
OTHER = b"brightside"


@dataclass
class Seen:
    """A page, and all that the browser asked for and was told by its socket."""

    page: Page
    url: str
    requests: list[str] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)

    def figure(self, label: str) -> str:
        """What a headline says."""
        found = self.page.get_by_test_id("stMetric").filter(has=self.page.get_by_text(label, exact=True))
        return found.get_by_test_id("stMetricValue").inner_text().strip()

    def choose(self, label: str, option: str) -> None:
        """Picks from a drop-down list."""
        self.page.get_by_role("combobox", name=label).click()
        self.page.get_by_role("option", name=option).first.click()
        self.rest()

    def figures(self, name: str) -> None:
        """Picks a dataset."""
        self.page.get_by_test_id("stRadio").get_by_text(name, exact=True).click()
        self.rest()

    def rest(self) -> None:
        """Waits until the script has run to its end."""
        self.page.wait_for_timeout(300)
        self.page.locator("[data-test-script-state='notRunning']").wait_for(timeout=SECONDS)

    def download(self, kind: str) -> tuple[str, bytes]:
        """Name and bytes of the rows shown."""
        with self.page.expect_download(timeout=SECONDS) as waiting:
            self.page.get_by_role("link", name=kind).click()
        return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()

    def picture(self, name: str) -> None:
        """Kept for the docs, when asked for."""
        if folder := os.environ.get("SCREENSHOTS"):
            self.page.wait_for_timeout(2000)
            self.page.screenshot(path=f"{folder}/{name}.png")


@contextmanager
def serving(project: Copy, *arguments: str) -> Iterator[str]:
    process = project.process("analytics", "--port", "0", "--json", *AT, *arguments)
    assert process.stdout
    assert process.stderr
    said = ""
    silent = Timer(SECONDS / 1000, process.kill)  # what says nothing ends, so that the test does
    silent.start()
    while not said.rstrip().endswith("}"):
        line = process.stdout.readline()
        assert line, process.stderr.read()
        said += line
    silent.cancel()
    try:
        yield json.loads(said)["url"]
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors


@contextmanager
def looking(browser: Browser, project: Copy, *arguments: str, path: str = "") -> Iterator[Seen]:
    with serving(project, *arguments) as url:
        seen = watching(browser.new_page(viewport={"width": 1400, "height": 1250}), url)
        seen.page.goto(url + path, timeout=SECONDS)
        seen.page.get_by_test_id("stSidebar").wait_for(timeout=SECONDS)
        seen.rest()
        yield seen
        seen.page.close()


def watching(page: Page, url: str) -> Seen:
    """A page of which all that it asks for and is told is noted."""
    seen = Seen(page, url)
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on(
        "websocket",
        lambda socket: socket.on(
            "framereceived", lambda said: seen.frames.append(said if isinstance(said, bytes) else said.encode())
        ),
    )
    return seen


def exported(project: Copy, dataset: str, grain: str, kind: str, *more: str) -> bytes:
    path = project.root / f"out.{kind}"
    done = project.delivery(
        *("export", dataset, "--namespace", "acme_outdoor", "--from", "2026-11-01", "--to", "2026-11-04"),
        *("--grain", grain, "-o", str(path), *AT, *more),
    )
    assert done.exit_code == 0, done.stderr
    return path.read_bytes()


@pytest.mark.slow
def test_what_is_shown_is_what_an_export_has(browser: Browser, project: Copy) -> None:
    with looking(browser, project) as seen:
        total = json.loads(exported(project, "performance", "total", "json"))[0]
        assert seen.figure("Sent") == f"{total['sent']:,}"
        assert seen.figure("Unique open rate") == f"{total['unique_open_rate']:.2%}"
        assert seen.page.get_by_test_id("stVegaLiteChart").count() == 2  # trend and funnel
        name, content = seen.download("CSV")
        assert name == "analytics_performance_acme_outdoor_2026-11-01_2026-11-03_day.csv"
        assert content == exported(project, "performance", "day", "csv")
        seen.page.get_by_test_id("stButtonGroup").get_by_text("total").click()
        seen.rest()
        for kind in ("XLSX", "PARQUET", "JSON"):
            name, content = seen.download(kind)
            assert name.endswith(f"_total.{kind.lower()}")
            assert content == exported(project, "performance", "total", kind.lower())
        seen.picture("analytics")
        assert {urlsplit(url).netloc for url in seen.requests if url.startswith("http")} == {urlsplit(seen.url).netloc}


@pytest.mark.slow
def test_one_campaign_and_every_other_dataset(browser: Browser, project: Copy) -> None:
    rows = json.loads(exported(project, "campaigns", "total", "json"))
    one = next(row for row in rows if row["sent"])
    with looking(browser, project) as seen:
        seen.figures("Campaigns")
        assert seen.figure("Sent") == f"{sum(row['sent'] for row in rows):,}"
        seen.page.get_by_role("heading", name="By campaign").wait_for(timeout=SECONDS)
        seen.picture("campaigns")
        seen.choose("Campaign", one["campaign_name"])
        assert seen.figure("Sent") == f"{one['sent']:,}"
        assert seen.page.get_by_role("heading", name="By campaign").count() == 0
        _, content = seen.download("JSON")
        wanted = exported(project, "campaigns", "day", "json", "--campaign-id", str(one["campaign_id"]))
        assert content == wanted
        seen.figures("Identification")
        visits = json.loads(
            exported(project, "identification", "total", "json", "--from", "2026-10-01", "--to", "2026-11-06")
        )
        assert seen.figure("Sessions") == f"{sum(row['sessions'] for row in visits):,}"
        seen.page.get_by_role("heading", name="By device").wait_for(timeout=SECONDS)
        seen.figures("Customers")
        seen.page.get_by_role("heading", name="Year before").wait_for(timeout=SECONDS)
        assert seen.page.get_by_test_id("stException").count() == 0


@pytest.mark.slow
def test_a_range_is_compared_with_others(browser: Browser, project: Copy) -> None:
    days = {row["first_day"]: row["sent"] for row in json.loads(exported(project, "performance", "day", "json"))}
    table, copied = "analytics_performance", []
    for back, day in ((30, "2026-11-03"), (364, "2026-11-02")):
        copied.append(f"select * replace (day - {back} as day) from {table} where day = date '{day}'")
    sql(project, f"insert into {table} {' union all '.join(copied)}")
    with looking(browser, project) as seen:
        delta = seen.page.get_by_test_id("stMetricDelta").first
        assert delta.inner_text().strip() == change("count", sum(days.values()), days["2026-11-03"])
        seen.choose("Compare with", "Year before")
        assert delta.inner_text().strip() == change("count", sum(days.values()), days["2026-11-02"])
        seen.picture("compared")
        seen.choose("Compare with", "Nothing")
        assert delta.count() == 0


@pytest.mark.slow
def test_figures_that_are_not_proven_are_not_shown(browser: Browser, project: Copy) -> None:
    sql(project, "update build_log set status = 'fail' where unique_id like 'test.%unique_counts_add_up%'")
    with looking(browser, project) as seen:
        seen.page.get_by_text("are being checked").wait_for(timeout=SECONDS)
        assert "unique_counts_add_up" not in seen.page.inner_text("body")
        assert seen.page.get_by_test_id("stMetric").count() == 0
        assert seen.page.get_by_role("link", name="CSV").count() == 0


@pytest.mark.slow
def test_deliveries_show_what_went_and_what_is_missing(browser: Browser, project: Copy) -> None:
    code, _ = project.deliver("--due", "--at", "2026-11-04T06:00:00Z")
    assert code == 0
    with looking(browser, project, path="/deliveries") as seen:
        seen.page.get_by_role("heading", name="Deliveries").wait_for(timeout=SECONDS)
        status = json.loads(project.delivery("status", "--json").stdout)["deliveries"]
        mine = [row for row in status if row["namespace"] == "acme_outdoor"]
        here = open_project(project.root, None, None)
        missing = gaps(here, Integrations(here.integrations_file), parse_instant(AT[1]), None, None, None)
        assert seen.figure("Delivered") == str(len(mine))
        assert seen.figure("Rows delivered") == f"{sum(row['rows'] for row in mine):,}"
        mine_missing = [gap for gap in missing if gap.namespace == "acme_outdoor"]
        assert mine_missing
        assert seen.figure("Missed or unfinished") == str(len(mine_missing))
        seen.picture("deliveries")


@pytest.mark.slow
def test_held_deliveries_say_why(browser: Browser, project: Copy) -> None:
    share = project.root / "share" / "acme_outdoor" / "daily"
    share.mkdir(parents=True)
    (share / "daily_esp_events_2026-11-03.csv").write_text("not ours")
    code, _ = project.deliver("--due", "--at", "2026-11-04T06:00:00Z")
    assert code == 1
    with looking(browser, project, path="/deliveries") as seen:
        seen.page.get_by_role("heading", name="Held").wait_for(timeout=SECONDS)
        assert seen.figure("Held") == "1"


@pytest.mark.slow
def test_nothing_of_another_client_reaches_the_browser(browser: Browser, project: Copy) -> None:
    project.deliver("--due", "--at", "2026-11-04T06:00:00Z")
    with looking(browser, project, "--namespace", "acme_outdoor") as seen:
        seen.figures("Campaigns")
        seen.page.get_by_role("link", name="Deliveries").click()
        seen.page.get_by_role("heading", name="What went where").wait_for(timeout=SECONDS)
        seen.rest()
        told = b"".join(seen.frames)
        assert b"acme_outdoor" in told
        assert not re.search(OTHER, told, re.IGNORECASE)
    with looking(browser, project) as seen:  # the check can fail: with all clients served, the name is there
        assert re.search(OTHER, b"".join(seen.frames), re.IGNORECASE)


@pytest.mark.slow
def test_looking_changes_nothing(browser: Browser, project: Copy) -> None:
    project.deliver("--due", "--at", "2026-11-04T06:00:00Z")

    def content() -> dict[str, str]:
        files = [path for path in project.root.rglob("*") if path.is_file() and not path.is_symlink()]
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    earlier = content()
    with looking(browser, project) as seen:
        seen.download("CSV")
        seen.page.get_by_role("link", name="Deliveries").click()
        seen.page.get_by_role("heading", name="What went where").wait_for(timeout=SECONDS)
        seen.rest()
    kept = str(project.root / ".delivery" / "figures")
    assert {path: sha256 for path, sha256 in content().items() if not path.startswith(kept)} == earlier


def test_only_this_machines_names_are_answered(project: Copy) -> None:
    with serving(project) as url:
        where = urlsplit(url)
        assert where.hostname == "127.0.0.1"
        answers = []
        for host in ("localhost", "pages.example.com"):
            connection = http.client.HTTPConnection("127.0.0.1", where.port or 0)
            connection.request("GET", "/", headers={"Host": host})
            answers.append(connection.getresponse().status)
            connection.close()
        assert answers == [200, 400]


def test_mistakes_are_said_before_anything_is_served(project: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = project.delivery("analytics", "--namespace", "nobody", "--port", "0")
    assert unknown.exit_code == 2
    assert "'nobody'" in unknown.stderr
    assert "acme_outdoor" in unknown.stderr
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = project.delivery("analytics", "--port", str(taken.getsockname()[1]))
    assert busy.exit_code == 2
    assert "Address already in use" in busy.stderr
    assert "--port" in busy.stderr
    monkeypatch.setattr(server, "NEEDS", ("streamlit", "no_such_module"))
    missing = project.delivery("analytics", "--port", "0")
    assert missing.exit_code == 2
    assert "extra `analytics`" in missing.stderr


@pytest.mark.parametrize(
    ("arguments", "at"), [((), None), (("--at", "2026-11-05T06:00:00Z"), parse_instant("2026-11-05T06:00:00Z"))]
)
def test_the_page_has_the_clocks_time_unless_another_is_given(
    project: Copy, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], at: object
) -> None:
    """Also one that is open for days."""
    monkeypatch.setattr(server, "serve", lambda host, port, announce, door: announce(f"http://{host}:{port}"))
    assert project.delivery("analytics", *arguments).exit_code == 0
    assert current().at == at


def test_what_the_command_line_needs_does_not_include_the_page(project: Copy) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from delivery.cli import cli; print('streamlit' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


def window(start: str, end: str) -> Window:
    return Window(date.fromisoformat(start), date.fromisoformat(end))


def test_what_a_range_is_compared_with() -> None:
    assert before(window("2026-11-02", "2026-11-05")) == window("2026-10-30", "2026-11-02")
    assert year_before(window("2026-11-02", "2026-11-05")) == window("2025-11-03", "2025-11-06")
    assert (
        window("2026-11-02", "2026-11-03").start.weekday()
        == year_before(window("2026-11-02", "2026-11-03")).start.weekday()
    )


@pytest.mark.parametrize(
    ("kind", "now", "then", "said"),
    [
        ("count", 12, 10, "+20.0 %"),
        ("money", 5, 10, "-50.0 %"),
        ("rate", "0.25", "0.2", "+5.00 pp"),
        ("count", 3, 0, None),
        ("count", 3, None, None),
        ("rate", None, "0.2", None),
    ],
)
def test_a_change_is_said_in_percent_or_points(kind: str, now: object, then: object, said: str | None) -> None:

    assert (
        change(kind, None if now is None else Decimal(str(now)), None if then is None else Decimal(str(then))) == said
    )

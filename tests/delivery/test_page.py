"""The page without a browser: what each choice shows, drawn from the built sample; Streamlit runs the script here."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from test_gate import sql

from delivery.analytics.measures import Metric
from delivery.analytics.page import charts, reading, server
from delivery.analytics.page.deliveries import rows_over_time
from delivery.analytics.page.results import funnel, written
from delivery.analytics.page.served import current, serve_these
from delivery.config.project import open_project
from delivery.errors import ConfigError
from delivery.windows import Window, parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable

    from projects import Copy

streamlit = pytest.importorskip("streamlit.testing.v1")
AT = parse_instant("2026-11-05T06:00:00Z")
SECONDS = 120
MINE, OTHER = "acme_outdoor", "brightside_beauty"
RANGE = Window(date(2026, 11, 1), date(2026, 11, 5))


@pytest.fixture
def served(project: Copy, monkeypatch: pytest.MonkeyPatch) -> Copy:
    """A copy of the sample, served with both clients; nothing that was read before is remembered."""
    monkeypatch.chdir(project.root)
    for name in ("answer", "days_known", "delivered", "files_of", "missed", "rejected", "_manifest_as_of"):
        getattr(reading, name).clear()
    serve_these(open_project(project.root, None, None), (), AT)
    return project


def shown(page: str = "results", **state: Any) -> Any:
    """The page as a visitor of a client first sees it."""
    script = (
        f"from delivery.analytics.page import {page}\nimport streamlit as st\n"
        f"st.session_state.setdefault('namespace', '{state.pop('namespace', MINE)}')\n{page}.show()"
    )
    return streamlit.AppTest.from_string(script, default_timeout=SECONDS).run()


def exported(project: Copy, dataset: str, grain: str, start: str, end: str) -> list[dict[str, Any]]:
    """What an export of the same days has, both ends in."""
    path = project.root / "out.json"
    done = project.delivery(
        *("export", dataset, "--namespace", MINE, "--from", start, "--to", _after(end), "--grain", grain),
        *("-o", str(path), "--at", "2026-11-05T06:00:00Z"),
    )
    assert done.exit_code == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(path.read_text())
    return rows


def _after(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


def figures(page: Any) -> dict[str, tuple[str, str]]:
    """Headlines: figure and change."""
    return {one.label: (one.value, one.delta) for one in page.metric}


@pytest.mark.parametrize(
    ("dataset", "labels", "beside", "grains"),
    [
        (
            "performance",
            ["Sent", "Delivered", "Unique open rate", "Unique click rate", "Conversions", "Revenue"],
            ["Trend", "Funnel", "Rows"],
            ["day", "week", "month"],
        ),
        (
            "campaigns",
            ["Sent", "Delivered", "Unique open rate", "Unique click rate", "Conversions", "Revenue"],
            ["Trend", "By campaign", "Funnel", "Rows"],
            ["day", "week", "month"],
        ),
        (
            "identification",
            ["Sessions", "Identified sessions", "Identification rate"],
            ["Trend", "By device", "Rows"],
            ["day", "week", "month"],
        ),
        (
            "customers",
            ["Buyers", "New customers", "Retained customers", "Orders", "Revenue"],
            ["Trend", "Year before", "Rows"],
            ["week"],
        ),
    ],
)
def test_each_dataset_has_its_headlines_and_charts(
    served: Copy, dataset: str, labels: list[str], beside: list[str], grains: list[str]
) -> None:
    page = shown()
    assert page.radio(key="dataset").options == ["Performance", "Campaigns", "Identification", "Customers"]
    page.radio(key="dataset").set_value(dataset).run()
    assert not page.exception
    assert not page.error
    assert list(figures(page)) == labels
    assert [one.value for one in page.subheader] == beside
    assert page.selectbox(key=f"grain {dataset == 'customers'}").options == grains
    first, last = page.date_input[0].value
    rows = exported(served, dataset, "total", first.isoformat(), last.isoformat())
    column = {"identification": "sessions", "customers": "buyers"}.get(dataset, "sent")
    assert figures(page)[labels[0]][0] == f"{sum(row[column] for row in rows):,}"


def test_the_last_four_weeks_that_the_client_has_are_shown_first(served: Copy) -> None:
    first, last = shown().date_input[0].value
    with_rows = [row["first_day"] for row in exported(served, "performance", "day", "2026-08-01", "2026-11-04")]
    assert last.isoformat() == max(with_rows)
    assert first.isoformat() == max(min(with_rows), date.fromordinal(last.toordinal() - 27).isoformat())


def test_days_of_another_client_or_outside_what_may_be_asked_are_not_known(served: Copy) -> None:
    known = reading.days_known(MINE, "performance")
    sql(served, "delete from analytics_performance where namespace = 'brightside_beauty'")
    assert known == reading.days_known(MINE, "performance")
    assert reading.days_known(OTHER, "performance") is None
    page = shown(namespace=OTHER)
    assert ["no days of this client" in one.value for one in page.info] == [True]
    reading.days_known.clear()
    table = "analytics_performance"
    for back in (-2, -1, 800):  # tomorrow, today, and more than two years ago
        sql(served, f"insert into {table} select * replace (date '2026-11-04' - {back} as day) from {table} limit 1")
    assert known is not None
    first, last = reading.days_known(MINE, "performance") or (None, None)
    assert first == known[0]
    assert last == date(2026, 11, 5)  # today is, tomorrow is not


def test_a_client_that_is_not_served_is_not_read(served: Copy) -> None:
    serve_these(open_project(served.root, None, None), (OTHER,), AT)
    reads: list[Callable[[], Any]] = [
        lambda: reading.answer(MINE, "performance", RANGE, "total"),
        lambda: reading.days_known(MINE, "performance"),
        lambda: reading.delivered(MINE, RANGE),
        lambda: reading.missed(MINE, RANGE),
    ]
    for read in reads:
        with pytest.raises(ConfigError, match="'acme_outdoor' is not served here"):
            read()


def test_who_is_served_is_who_was_named_and_has_an_integration(served: Copy) -> None:
    project = open_project(served.root, None, None)
    assert set(current().namespaces) >= {MINE, OTHER}
    assert current().now() == AT
    assert serve_these(project, (OTHER, MINE, OTHER), None).namespaces == (MINE, OTHER)
    assert current().now() != AT
    with pytest.raises(ConfigError, match=r"Unknown namespace: 'nobody', 'noone'\.") as unknown:
        serve_these(project, ("nobody", MINE, "noone"), None)
    assert MINE in unknown.value.hint
    served.own("integrations.yml").write_text("integrations: {}\n")
    with pytest.raises(ConfigError, match="names no client"):
        serve_these(project, (), None)


def test_a_range_is_compared_with_what_was_chosen(served: Copy) -> None:
    sql(
        served,
        "insert into analytics_performance"
        " select * replace (day - 364 as day, sent * 2 as sent) from analytics_performance"
        " where day between date '2026-11-02' and date '2026-11-03'",
    )
    sent = {row["first_day"]: row["sent"] for row in exported(served, "performance", "day", "2026-10-31", "2026-11-03")}
    page = shown()
    page.date_input[0].set_value((date(2026, 11, 2), date(2026, 11, 3))).run()
    now = sent["2026-11-02"] + sent["2026-11-03"]
    then = sent.get("2026-10-31", 0) + sent.get("2026-11-01", 0)
    assert figures(page)["Sent"] == (f"{now:,}", f"{(now - then) / then * 100:+.1f} %")
    assert [one.value for one in page.sidebar.caption] == ["2026-10-31 to 2026-11-01"]
    page.selectbox(key="compare").set_value("Year before").run()
    assert figures(page)["Sent"][1] == "-50.0 %"
    assert [one.value for one in page.sidebar.caption] == ["2025-11-03 to 2025-11-04"]
    page.selectbox(key="compare").set_value("Nothing").run()
    assert figures(page)["Sent"][1] == ""
    assert not page.sidebar.caption
    page.date_input[0].set_value((date(2025, 6, 1), date(2025, 6, 1))).run()
    page.selectbox(key="compare").set_value("Year before").run()
    assert figures(page)["Sent"] == ("0", "")  # no rows at all is no figure to compare with


def test_one_campaign_alone(served: Copy) -> None:
    page = shown()
    page.radio(key="dataset").set_value("campaigns").run()
    first, last = (day.isoformat() for day in page.date_input[0].value)
    rows = exported(served, "campaigns", "total", first, last)
    one = next(row for row in rows if row["sent"])
    choice = page.selectbox(key=f"campaign {MINE}")
    assert choice.options[0] == "All campaigns"
    assert f"{one['campaign_name']} ({one['campaign_id']})" in choice.options
    bars = page.get("vega_lite_chart")
    choice.set_value(one["campaign_id"]).run()
    assert figures(page)["Sent"][0] == f"{one['sent']:,}"
    assert len(page.get("vega_lite_chart")) == len(bars) - 1  # no bar for each campaign


def test_what_is_not_proven_is_not_shown(served: Copy) -> None:
    sql(served, "update build_log set status = 'fail' where unique_id like 'test.%unique_counts_add_up%'")
    page = shown()
    assert "unique_counts_add_up" in page.error[0].value
    assert not page.metric
    assert not page.get("vega_lite_chart")
    found = reading.answer(MINE, "performance", RANGE, "total")
    assert found.frame.is_empty()
    assert found.refusals


def test_deliveries_and_what_is_missing(served: Copy) -> None:
    page = shown("deliveries")
    assert [one.value for one in page.info] == ["Nothing was delivered to this client on these days."]
    assert figures(page)["Delivered"][0] == "0"
    assert served.deliver("--due", "--at", "2026-11-04T06:00:00Z")[0] == 0
    for read in (reading.delivered, reading.missed):
        read.clear()
    page = shown("deliveries")
    status = json.loads(served.delivery("status", "--json").stdout)["deliveries"]
    mine = [row for row in status if row["namespace"] == MINE]
    assert figures(page)["Delivered"][0] == str(len(mine))
    assert figures(page)["Rows delivered"][0] == f"{sum(row['rows'] for row in mine):,}"
    assert figures(page)["Held"][0] == "0"
    assert [one.value for one in page.subheader] == [
        "Missed or unfinished", "Rows over time", "What went where", "Rejected rows"
    ]  # fmt: skip
    missing, table, rejected = (frame.value for frame in page.dataframe)
    assert len(missing) == int(figures(page)["Missed or unfinished"][0])
    assert list(missing["due"]) == sorted(missing["due"], reverse=True)
    assert list(table["due"]) == sorted(table["due"], reverse=True)
    assert set(table["state"]) == {"delivered"}
    assert set(table["where"]) == {str(served.root / "share" / MINE / "daily")}
    assert list(table.columns) == [
        *("due", "campaign", "to", "days", "revision", "state", "rows", "file", "where", "last change", "note")
    ]
    assert all(str(name).endswith((".csv", ".gz", ".csv.gz", ".txt", ".tsv")) for name in table["file"])
    assert [(str(row[0])[:10], *row[1:5]) for row in rejected.itertuples(index=False)] == [
        ("2026-11-03", "no_email", 1, 1, "1.96%"),
        ("2026-11-03", "unknown_run", 1, 0, "1.96%"),
        ("2026-11-03", "unknown_type", 1, 0, "1.96%"),
        ("2026-11-02", "no_email", 1, 0, rejected["of all that came"][3]),
    ]
    page.date_input[0].set_value((date(2026, 10, 1), date(2026, 10, 2))).run()
    assert figures(page)["Delivered"][0] == "0"
    assert page.caption[-1].value == "None."
    sql(served, "update build_log set partial = true where unique_id = 'model.delivery.rejected_events'")
    reading.rejected.clear()
    assert "rejected_events: its last build was partial" in shown("deliveries").warning[0].value


def test_held_deliveries_say_why(served: Copy) -> None:
    taken = served.root / "share" / MINE / "daily" / "daily_esp_events_2026-11-03.csv"
    taken.parent.mkdir(parents=True)
    taken.write_text("not ours")
    assert served.deliver("--due", "--at", "2026-11-04T06:00:00Z")[0] == 1
    page = shown("deliveries")
    assert figures(page)["Held"][0] == "1"
    assert page.subheader[0].value == "Held: a person decides"
    assert taken.name in page.dataframe[0].value["why"][0]


SENT = Metric("sent", "count", None, None, "emails")


@pytest.mark.parametrize(
    ("kind", "numerator", "value", "text"),
    [
        ("count", None, 1234567, "1,234,567"),
        ("count", None, 0, "0"),
        ("money", None, Decimal("1234.5"), "1,234.50"),
        ("rate", "unique_opens", Decimal("0.12346"), "12.35%"),
        ("rate", "revenue", Decimal("1234.567"), "1,234.57"),
        ("count", None, None, "none"),
    ],
)
def test_a_figure_is_written_for_people(kind: str, numerator: str | None, value: Any, text: str) -> None:
    assert written(replace(SENT, kind=kind, numerator=numerator), value) == text


def test_each_step_of_the_funnel_has_its_share_of_the_step_before() -> None:
    steps = ("sent", "delivered", "unique_opens", "unique_clicks", "conversions")
    metrics = [replace(SENT, metric=step) for step in steps]
    frame = pl.DataFrame({step: [value] for step, value in zip(steps, (2000, 1500, 300, 0, 0), strict=True)})
    found = funnel(reading.Answer(frame, metrics, ()))
    assert found["name"].to_list() == ["Sent", "Delivered", "Unique opens", "Unique clicks", "Conversions"]
    assert found["value"].to_list() == [2000.0, 1500.0, 300.0, 0.0, 0.0]
    assert found["label"].to_list() == ["2,000", "1,500 (75.0%)", "300 (20.0%)", "0 (0.0%)", "0"]


def days(count: int) -> pl.DataFrame:
    first = date(2026, 1, 1).toordinal()
    at = [date.fromordinal(first + day) for day in range(count)]
    series = ["This range"] * count
    return pl.DataFrame({"day": at, "shown": at, "value": [1.0] * count, "series": series})


@pytest.mark.parametrize(("count", "dots"), [(62, True), (63, False)])
def test_a_long_line_has_no_dots_and_fewer_days_on_its_axis(count: int, dots: bool) -> None:
    spec = charts.trend(days(count), "Sent").to_dict()
    assert spec["mark"]["point"] is dots
    assert ("tickCount" in spec["encoding"]["x"]["axis"]) is dots
    assert spec["encoding"]["color"]["scale"]["domain"] == ["This range", "Compared"]
    assert spec["encoding"]["y"]["title"] == "Sent"
    assert [one["field"] for one in spec["encoding"]["tooltip"]] == ["shown", "value", "series"]


def test_bars_grow_with_their_rows_and_leave_room_for_labels() -> None:
    def spec(values: list[float]) -> dict[str, Any]:
        names = [str(value) for value in values]
        frame = pl.DataFrame({"name": names, "value": values, "label": names}, schema_overrides={"value": pl.Float64})
        found: dict[str, Any] = charts.bars(frame, "emails").to_dict()
        return found

    two, three = spec([100.0, 40.0]), spec([200.0, 0.0, 1.0])
    assert three["height"] - two["height"] == 28
    assert two["height"] == 126
    ends = [one["layer"][0]["encoding"]["x"]["scale"]["domain"] for one in (two, three)]
    assert [end[0] for end in ends] == [0, 0]
    assert ends[0][1] == pytest.approx(135)
    assert ends[1][1] == pytest.approx(270)
    assert spec([0.0])["layer"][0]["encoding"]["x"]["scale"]["domain"] == [0, 1.0]
    assert spec([])["layer"][0]["encoding"]["x"]["scale"]["domain"] == [0, 1.0]
    assert two["layer"][0]["encoding"]["y"]["sort"] is None  # as the frame has them


def test_rows_over_time_leave_out_corrections_and_what_has_no_rows_yet(served: Copy) -> None:
    assert served.deliver("--due", "--at", "2026-11-04T06:00:00Z")[0] == 0
    found = reading.delivered(MINE, RANGE)
    assert len(found) > 1
    frame = rows_over_time(found)
    assert frame["day"].to_list() == sorted(one.slot[:10] for one in found)
    assert frame["rows"].sum() == sum(one.rows or 0 for one in found)
    spec = charts.rows_over_time(frame).to_dict()
    assert spec["encoding"]["y"]["field"] == "rows"
    assert spec["encoding"]["detail"]["field"] == "integration"


@pytest.mark.parametrize(
    ("host", "here"),
    [("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", False),
     ("192.0.2.7", False), ("pages.example.com", False)],
)  # fmt: skip
def test_an_address_that_only_this_machine_reaches(host: str, here: bool) -> None:
    assert server.is_loopback(host) is here


def test_what_the_server_is_told_keeps_data_out_of_errors_and_nobody_is_called() -> None:
    from streamlit import config

    assert server.SETTINGS["browser.gatherUsageStats"] is False
    assert server.SETTINGS["client.showErrorDetails"] == "none"
    assert server.SETTINGS["server.headless"] is True
    known = {name for name in server.SETTINGS if config.get_options_for_section(name.split(".", 1)[0])}
    assert known == set(server.SETTINGS)
    assert Path(server.__file__).with_name("app.py").is_file()

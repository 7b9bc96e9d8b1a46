"""The page without a browser: what each choice shows, drawn from the built sample; Streamlit runs the script here."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from test_gate import sql

from delivery.analytics.export import encode
from delivery.analytics.measures import Metric
from delivery.analytics.page import charts, reading, server
from delivery.analytics.page.choices import campaign_names
from delivery.analytics.page.deliveries import rows_over_time
from delivery.analytics.page.periods import first_days
from delivery.analytics.page.results import funnel, written
from delivery.analytics.page.served import current, serve_these
from delivery.config.project import open_project
from delivery.errors import ConfigError
from delivery.windows import Window, parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable

    from projects import Copy

streamlit = pytest.importorskip("streamlit.testing.v1")
streamlit_caching = pytest.importorskip("streamlit").cache_resource
AT = parse_instant("2026-11-05T06:00:00Z")
SECONDS = 120
MINE, OTHER = "acme_outdoor", "brightside_beauty"
RANGE = Window(date(2026, 11, 1), date(2026, 11, 5))


@pytest.fixture
def served(project: Copy, monkeypatch: pytest.MonkeyPatch) -> Copy:
    """A copy of the sample, served with both clients; nothing that was read before is remembered."""
    monkeypatch.chdir(project.root)
    streamlit_caching.clear()
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
            ["Day", "Week", "Month"],
        ),
        (
            "campaigns",
            ["Sent", "Delivered", "Unique open rate", "Unique click rate", "Conversions", "Revenue"],
            ["Trend", "By campaign", "Funnel", "Rows"],
            ["Day", "Week", "Month"],
        ),
        (
            "identification",
            ["Sessions", "Identified sessions", "Identification rate"],
            ["Trend", "By device", "Rows"],
            ["Day", "Week", "Month"],
        ),
        (
            "customers",
            ["Buyers", "New customers", "Retained customers", "Orders", "Revenue"],
            ["Trend", "Year before", "Rows"],
            ["Week"],
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
    first, _ = shown().date_input[0].value
    sql(served, "delete from analytics_performance where namespace = 'brightside_beauty'")
    page = shown(namespace=OTHER)
    assert ["no days of this client" in one.value for one in page.info] == [True]
    table = "analytics_performance"
    for back in (-2, -1, 800):  # tomorrow, today, and more than two years ago
        sql(
            served,
            f"insert into {table} select * replace (date '2026-11-04' - {back} as day) from {table}"
            f" where namespace = '{MINE}' limit 1",
        )
    streamlit_caching.clear()
    assert shown().date_input[0].value == (first, date(2026, 11, 5))  # today is, tomorrow is not


def test_a_client_that_is_not_served_is_not_read(served: Copy) -> None:
    serve_these(open_project(served.root, None, None), (OTHER,), AT)
    reads: list[Callable[[], Any]] = [
        lambda: reading.answer(MINE, "performance", RANGE, "total"),
        lambda: reading.known(MINE, "performance"),
        lambda: reading.currency(MINE),
        lambda: reading.contracted(MINE),
        lambda: reading.delivered(MINE, RANGE),
        lambda: reading.files_of(MINE, ()),
        lambda: reading.missed(MINE, RANGE),
    ]
    for read in reads:
        with pytest.raises(ConfigError, match="'acme_outdoor' is not served here"):
            read()
    assert reading.names() == {OTHER: "Brightside Beauty ✨"}


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
    assert sorted(choice.options[1:]) == sorted({row["campaign_name"] for row in rows})
    bars = page.get("vega_lite_chart")
    choice.set_value(one["campaign_id"]).run()
    assert figures(page)["Sent"][0] == f"{one['sent']:,}"
    assert len(page.get("vega_lite_chart")) == len(bars) - 1  # no bar for each campaign


REFUSE = "update build_log set status = 'fail' where unique_id like 'test.%unique_counts_add_up%'"


def test_what_is_not_proven_is_not_shown(served: Copy) -> None:
    sql(served, REFUSE)
    page = shown()
    built = reading.known(MINE, "performance").built_at
    assert built is not None
    assert [one.value for one in page.warning] == [
        f"The figures of {built.day} {built:%B %Y} are being checked. None are yet good."
    ]
    assert not page.metric
    assert not page.get("vega_lite_chart")
    found = reading.answer(MINE, "performance", RANGE, "total")
    assert (found.frame.is_empty(), found.metrics) == (True, [])


def test_while_figures_are_checked_the_last_good_ones_are_shown(served: Copy) -> None:
    """Of this client and these figures alone; as they were, whatever was built since."""
    before = figures(shown())
    good = reading.known(MINE, "performance").figures
    assert good is not None
    rows = exported(served, "performance", "day", "2026-11-01", "2026-11-03")
    sql(served, REFUSE, "update analytics_performance set sent = sent + 1000")
    streamlit_caching.clear()
    page = shown()
    until = good.data_until
    assert page.warning[0].value.endswith(
        f"Shown are the last good ones, data as of {until.day} {until:%B %Y}, {until:%H:%M} UTC."
    )
    assert "unique_counts" not in page.warning[0].value
    assert figures(page) == before
    last = reading.answer(MINE, "performance", Window(date(2026, 11, 1), date(2026, 11, 4)), "day").frame
    assert json.loads(encode(last, "json", "x")) == rows
    assert not shown(namespace=OTHER).metric, "nobody looked at those while they were good"
    kept = served.root / ".delivery" / "figures"
    assert [path.name for path in kept.iterdir()] == [f"{MINE}.analytics_performance.parquet"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (kept, *kept.iterdir())] == [0o700, 0o600]
    good_bytes = next(kept.iterdir()).read_bytes()
    next(kept.iterdir()).write_bytes(b"PAR1 nonsense")
    streamlit_caching.clear()
    assert not shown().metric
    next(kept.iterdir()).write_bytes(good_bytes)
    later = ", ".join(f"{at} = {at} + interval 1 minute" for at in ("started_at", "began_at", "ended_at"))
    sql(served, f"update build_log set {later}", REFUSE.replace("'fail'", "'pass'"))
    streamlit_caching.clear()
    newer = figures(shown())
    assert newer["Sent"] != before["Sent"]
    sql(served, REFUSE)
    streamlit_caching.clear()
    assert figures(shown()) == newer


def test_while_a_build_holds_the_warehouse_the_last_good_figures_are_shown(
    served: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = figures(shown())
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"
    monkeypatch.setenv("DELIVERY_LOCK_WAIT", "0")
    streamlit_caching.clear()
    path, pipes = str(served.root / "warehouse.duckdb"), {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", hold, path], **pipes, text=True) as building:  # type: ignore[call-overload]
        assert building.stdout.readline() == "held\n"
        page = shown()
        assert page.warning[0].value.startswith("The figures are being checked. Shown are the last good ones, data as")
        assert figures(page) == before
        assert reading.contracted(MINE) == ("performance",)
        assert reading.names()[MINE] == MINE
        assert reading.known(OTHER, "performance").figures is None
        building.communicate("\n")


def test_whose_figures_of_when_and_in_what_money(served: Copy) -> None:
    page = shown()
    until = reading.known(MINE, "performance").figures
    assert until is not None
    as_of = f"data as of {until.data_until.day} {until.data_until:%B %Y}, {until.data_until:%H:%M} UTC"
    assert [one.value for one in page.text] == [
        f"Acme Outdoor, Inc. · 1 November 2026 to 3 November 2026 · amounts in USD · {as_of}"
    ]
    page.radio(key="dataset").set_value("identification").run()
    assert "USD" not in page.text[0].value
    assert shown(namespace=OTHER).text[0].value.startswith("Brightside Beauty ✨ · 1 November")
    sql(served, "update build_log set started_at = timestamp '2026-11-03 06:30:00' where phase = 'end'")
    streamlit_caching.clear()
    assert (
        shown().text[0].value.endswith("data as of 3 November 2026, 06:30 UTC · not yet whole from 3 November 2026 on")
    )


def drawn(page: Any) -> dict[str, list[tuple[str, float | None]]]:
    """The trend: days and values of each series."""
    (source, *_) = page.get("vega_lite_chart")[0].proto.datasets
    frame = pl.read_ipc_stream(source.data.data) if source.data.data else pl.DataFrame()
    found: dict[str, list[tuple[str, float | None]]] = {}
    for row in frame.to_dicts():
        found.setdefault(row["series"], []).append((str(row["shown"])[:10], row["value"]))
    return found


def test_the_customers_chart_compares_with_what_was_chosen(served: Copy) -> None:
    table = "analytics_customers"
    sql(
        served,
        f"create temp table one as select * from {table} where namespace = '{MINE}' limit 1",
        f"delete from {table} where namespace = '{MINE}'",
        *(
            f"insert into {table} select * replace (date '{week}' as week, {now} as buyers, {then} as"
            " buyers_year_before) from one"
            for week, now, then in (("2026-10-04", 3, 8), ("2026-10-18", 5, 0), ("2026-09-20", 2, 1))
        ),
    )
    page = shown()
    page.radio(key="dataset").set_value("customers").run()
    page.date_input[0].set_value((date(2026, 10, 4), date(2026, 10, 24))).run()
    mine = [("2026-10-04", 3.0), ("2026-10-11", 0.0), ("2026-10-18", 5.0)]
    past = [("2026-09-13", 0.0), ("2026-09-20", 2.0), ("2026-09-27", 0.0)]
    assert drawn(page) == {"This range": mine, "Compared": past}
    page.selectbox(key="compare").set_value("Year before").run()
    year = [("2026-10-04", 8.0), ("2026-10-11", 0.0), ("2026-10-18", 0.0)]
    assert drawn(page) == {"This range": mine, "Compared": year}
    page.selectbox(key="compare").set_value("Nothing").run()
    assert drawn(page) == {"This range": mine}


def test_days_without_rows_are_zero_and_a_rate_of_nothing_is_none(served: Copy) -> None:
    sql(served, f"delete from analytics_performance where namespace = '{MINE}' and day = date '2026-11-02'")
    page = shown()
    assert [value == 0 for _, value in drawn(page)["This range"]] == [False, True, False]
    assert "Compared" not in drawn(page), "there were no days before"
    page.selectbox(key="metric").select_index(
        [one.metric for one in known_metrics(page)].index("unique_open_rate")
    ).run()
    assert [value is None for _, value in drawn(page)["This range"]] == [False, True, False]


def known_metrics(page: Any) -> list[Metric]:
    figures = reading.known(MINE, "performance").figures
    assert figures is not None
    return figures.metrics


@pytest.mark.parametrize(
    ("grain", "whole_weeks", "days"),
    [
        ("day", False, ["2026-10-30", "2026-10-31", "2026-11-01", "2026-11-02"]),
        ("week", False, ["2026-10-30", "2026-11-01"]),
        ("month", False, ["2026-10-30", "2026-11-01"]),
        ("week", True, ["2026-11-01"]),
    ],
)
def test_periods_begin_as_those_of_an_export(grain: Any, whole_weeks: bool, days: list[str]) -> None:
    window = Window(date(2026, 10, 30), date(2026, 11, 3))
    assert [str(day) for day in first_days(window, grain, whole_weeks=whole_weeks)] == days


def test_a_campaign_has_its_name_and_its_id_only_where_it_shares_the_name() -> None:
    frame = pl.DataFrame({"campaign_id": [1, 2, 3, 4], "campaign_name": ["Spring", "Sale", "Sale", None]})
    assert campaign_names(frame) == {1: "Spring", 2: "Sale (2)", 3: "Sale (3)", 4: "No name"}


def test_deliveries_and_what_is_missing(served: Copy) -> None:
    page = shown("deliveries")
    assert [one.value for one in page.info] == ["Nothing was delivered to this client on these days."]
    assert figures(page)["Delivered"][0] == "0"
    assert served.deliver("--due", "--at", "2026-11-04T06:00:00Z")[0] == 0
    streamlit_caching.clear()
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
    page.date_input[0].set_value((date(2026, 11, 3), date(2026, 11, 3))).run()
    of_the_day_before = page.dataframe[-1].value
    assert {str(day)[:10] for day in of_the_day_before["day"]} == {"2026-11-02"}
    page.date_input[0].set_value((date(2026, 10, 1), date(2026, 10, 2))).run()
    assert figures(page)["Delivered"][0] == "0"
    assert page.caption[-1].value == "None."
    sql(served, "update build_log set partial = true where unique_id = 'model.delivery.rejected_events'")
    streamlit_caching.clear()
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
    found = funnel(reading.Answer(frame, metrics))
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
    assert "interpolate" not in spec["mark"], "straight"
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

"""Charts: all that a browser is told of each, but the rows."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

from delivery.analytics.page import charts

DAYS_AXIS = {"format": "%-d %b", "labelOverlap": True, "tickCount": {"interval": "day", "step": 1}}
X_DAYS = {"field": "day", "title": None, "type": "temporal", "axis": DAYS_AXIS}
ON_TOP = {"orient": "top", "title": None}
LINES = ON_TOP | {"symbolSize": 400, "symbolStrokeWidth": 2, "symbolType": "stroke"}


def told(chart: Any) -> dict[str, Any]:
    """What is drawn how; without the frame, and what Altair says of itself."""
    spec: dict[str, Any] = chart.to_dict()
    return {name: value for name, value in spec.items() if name not in ("$schema", "config", "data", "datasets")}


def nominal(field: str, **more: Any) -> dict[str, Any]:
    return {"field": field, "type": "nominal", **more}


def test_the_two_series_of_a_trend_have_a_colour_and_a_dash_each() -> None:
    day = [date(2026, 11, 3)]
    frame = pl.DataFrame({"day": day, "shown": day, "value": [1.0], "series": ["This range"]})
    domain = ["This range", "Compared"]
    assert told(charts.trend(frame, "Sent")) == {
        "mark": {"type": "line", "point": True},
        "height": 340,
        "encoding": {
            "x": X_DAYS,
            "y": {"field": "value", "title": "Sent", "type": "quantitative"},
            "color": nominal("series", legend=LINES, scale={"domain": domain, "range": ["#1f5fa8", "#7d8a99"]}),
            "strokeDash": nominal("series", legend=LINES, scale={"domain": domain, "range": [[1, 0], [6, 4]]}),
            "tooltip": [
                {"field": "shown", "title": "day", "type": "temporal"},
                {"field": "value", "title": "Sent", "type": "quantitative", "format": ",.6~f"},
                nominal("series"),
            ],
        },
    }


def test_a_bar_has_its_label_beside_it() -> None:
    frame = pl.DataFrame({"name": ["Sent", "Clicks"], "value": [2.0, 1.0], "label": ["2", "1 (50.0%)"]})
    encoding = {
        "x": {"field": "value", "title": "emails", "type": "quantitative", "scale": {"domain": [0, 2.7]}},
        "y": nominal("name", sort=None, title=None, axis={"labelLimit": 260, "labelOverlap": False}),
        "tooltip": [
            nominal("name"),
            {"field": "value", "title": "emails", "type": "quantitative", "format": ",.6~f"},
            nominal("label", title=" "),
        ],
    }
    assert told(charts.bars(frame, "emails")) == {
        "height": 126,
        "layer": [
            {"mark": {"type": "bar", "color": "#1f5fa8"}, "encoding": encoding},
            {"mark": {"type": "text", "align": "left", "dx": 4}, "encoding": encoding | {"text": nominal("label")}},
        ],
    }


def test_rows_over_time_have_a_colour_for_each_campaign_and_a_line_for_each_integration() -> None:
    frame = pl.DataFrame({"day": ["2026-11-03"], "rows": [3], "campaign": ["daily"], "integration": ["acme_share"]})
    assert told(charts.rows_over_time(frame)) == {
        "mark": {"type": "line", "point": True},
        "height": 320,
        "encoding": {
            "x": X_DAYS,
            "y": {"field": "rows", "title": "rows", "type": "quantitative"},
            "color": nominal("campaign", legend=ON_TOP | {"columns": 2, "labelLimit": 300}),
            "detail": nominal("integration"),
            "tooltip": [
                {"field": "day", "type": "temporal"},
                nominal("campaign"),
                nominal("integration"),
                {"field": "rows", "type": "quantitative", "format": ","},
            ],
        },
    }


def test_a_long_axis_is_not_asked_for_every_day() -> None:
    days = [date.fromordinal(date(2026, 1, 1).toordinal() + number) for number in range(63)]
    columns = {"rows": [1] * 63, "campaign": ["daily"] * 63, "integration": ["acme_share"] * 63}
    for count, every_day in ((62, True), (63, False)):
        frame = pl.DataFrame({"day": [str(day) for day in days], **columns}).head(count)
        axis = told(charts.rows_over_time(frame))["encoding"]["x"]["axis"]
        assert ("tickCount" in axis) is every_day

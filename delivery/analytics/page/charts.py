"""Charts of frames. Each is one Altair chart; what it draws is in the frame that it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

if TYPE_CHECKING:
    import polars as pl

SERIES = ("This range", "Compared")
COLOURS = ["#1f5fa8", "#7d8a99"]
DASHES = [[1, 0], [6, 4]]
BAR, AXIS = 28, 70  # pixels: a bar with its gap, and what is below the bars
POINTS = 62  # beyond so many, a line has no dots and the axis not every day


_LINES = alt.Legend(title=None, orient="top", symbolType="stroke", symbolSize=400, symbolStrokeWidth=2)


def trend(frame: pl.DataFrame, title: str) -> alt.Chart:
    """A line for each series, straight from value to value; broken where there is none, as of a rate of nothing.

    Columns: day, value, series, shown (the series' own day).
    """
    few = frame.height <= POINTS
    chart: alt.Chart = (
        alt.Chart(frame)
        .mark_line(point=few)
        .encode(
            x=alt.X("day:T", title=None, axis=_days(few=few)),
            y=alt.Y("value:Q", title=title),
            color=alt.Color("series:N", scale=alt.Scale(domain=SERIES, range=COLOURS), legend=_LINES),
            strokeDash=alt.StrokeDash("series:N", scale=alt.Scale(domain=SERIES, range=DASHES), legend=_LINES),
            tooltip=[
                alt.Tooltip("shown:T", title="day"),
                alt.Tooltip("value:Q", title=title, format=",.6~f"),
                alt.Tooltip("series:N"),
            ],
        )
        .properties(height=340)
    )
    return chart


def bars(frame: pl.DataFrame, title: str) -> alt.LayerChart:
    """A bar for each row, in the frame's order, with its label. Columns: name, value, label."""
    base = alt.Chart(frame).encode(
        y=alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=260, labelOverlap=False)),
        x=alt.X("value:Q", title=title, scale=alt.Scale(domain=[0, _room(frame)])),
        tooltip=["name:N", alt.Tooltip("value:Q", title=title, format=",.6~f"), alt.Tooltip("label:N", title=" ")],
    )
    bar = base.mark_bar(color=COLOURS[0])
    text = base.mark_text(align="left", dx=4).encode(text="label:N")
    chart: alt.LayerChart = (bar + text).properties(height=BAR * frame.height + AXIS)
    return chart


def rows_over_time(frame: pl.DataFrame) -> alt.Chart:
    """Rows of the deliveries of each campaign. Columns: day, rows, campaign, integration."""
    chart: alt.Chart = (
        alt.Chart(frame)
        .mark_line(point=True)
        .encode(
            x=alt.X("day:T", title=None, axis=_days(few=frame.height <= POINTS)),
            y=alt.Y("rows:Q", title="rows"),
            color=alt.Color("campaign:N", legend=alt.Legend(title=None, orient="top", columns=2, labelLimit=300)),
            detail="integration:N",
            tooltip=["day:T", "campaign:N", "integration:N", alt.Tooltip("rows:Q", format=",")],
        )
        .properties(height=320)
    )
    return chart


def _days(*, few: bool) -> alt.Axis:
    """Days on the axis, never hours between them."""
    count = alt.TimeIntervalStep(interval="day", step=1) if few else alt.Undefined
    return alt.Axis(format="%-d %b", labelOverlap=True, tickCount=count)


def _room(frame: pl.DataFrame) -> float:
    """Where the axis of bars ends, so that the label of the longest one has room."""
    most = frame["value"].max()
    return 1.35 * most if isinstance(most, float) and most > 0 else 1.0

"""The page of analytics: a client's figures of any range, compared, drawn, and downloaded as an export."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import polars as pl
import streamlit as st

from delivery.analytics import export, measures
from delivery.analytics.page import charts, reading
from delivery.analytics.page.choices import BY_WEEK, campaign_names, choose, chosen_dataset, grains
from delivery.analytics.page.periods import YEAR_BEFORE, change, first_days, said
from delivery.windows import DAY, Window, midnight

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from decimal import Decimal

    from delivery.analytics.measures import Metric
    from delivery.analytics.page.choices import Chosen
    from delivery.analytics.page.reading import Answer, Known

MOST_BARS = 15
HEADLINES = {
    "performance": ("sent", "delivered", "unique_open_rate", "unique_click_rate", "conversions", "revenue"),
    "campaigns": ("sent", "delivered", "unique_open_rate", "unique_click_rate", "conversions", "revenue"),
    "identification": ("sessions", "identified_sessions", "identification_rate"),
    "customers": ("buyers", "new_customers", "retained_customers", "orders", "revenue"),
}
FUNNEL = ("sent", "delivered", "unique_opens", "unique_clicks", "conversions")
STORED_YEAR_BEFORE = "_year_before"


def show() -> None:
    """The whole page."""
    namespace: str = st.session_state["namespace"]
    st.title("Analytics")
    dataset = chosen_dataset()
    known = reading.known(namespace, dataset)
    if known.checking:
        st.warning(_checked(known))
    if known.figures is None:
        return
    chosen = choose(namespace, dataset, known.figures)
    if chosen is None:
        st.info("There are no days of this client yet. They come with the next build of the models.")
        return
    total = chosen.answer(chosen.window, "total")
    st.text(_about(chosen, total))
    _headlines(chosen, total)
    metric = st.selectbox("Metric", total.metrics, format_func=lambda one: _title(one.metric), key="metric")
    st.caption(metric.definition)
    left, right = st.columns([3, 2])
    with left:
        _trend(chosen, metric)
    with right:
        _beside(chosen, total, metric)
    _table(chosen)


def _checked(known: Known) -> str:
    """That the newest figures are not proven, and which ones are shown instead."""
    of = f" of {said(known.built_at)}" if known.built_at else ""
    last = (
        f"Shown are the last good ones, {_as_of(known.figures.data_until)}." if known.figures else "None are yet good."
    )
    return f"The figures{of} are being checked. {last}"


def _about(chosen: Chosen, total: Answer) -> str:
    """Whose figures these are, of which days, of when, and in what money."""
    client, first, last = chosen.rows.namespace, chosen.window.start, chosen.window.end - DAY
    parts = [reading.names()[client], said(first) if first == last else f"{said(first)} to {said(last)}"]
    if any(metric.kind == "money" for metric in total.metrics) and (currency := reading.currency(client)):
        parts.append(f"amounts in {currency}")
    parts.append(_as_of(chosen.data_until))
    if midnight(chosen.window.end) > chosen.data_until.replace(tzinfo=UTC):
        parts.append(f"not yet whole from {said(chosen.data_until)} on")
    return " · ".join(parts)


def _as_of(instant: datetime) -> str:
    return f"data as of {said(instant)}, {instant:%H:%M} UTC"


def _headlines(chosen: Chosen, total: Answer) -> None:
    now = measures.summed_over(total.frame, total.metrics, []).to_dicts()[0]
    then: dict[str, Any] = {}
    if chosen.compared:
        compared = chosen.answer(chosen.compared, "total")
        # no rows at all is no figure, rather than a figure of zero
        if not compared.frame.is_empty():
            then = measures.summed_over(compared.frame, compared.metrics, []).to_dicts()[0]
    metrics = {metric.metric: metric for metric in total.metrics}
    wanted = [metrics[name] for name in HEADLINES[chosen.dataset] if name in metrics]
    for place, metric in zip(st.columns(len(wanted)), wanted, strict=True):
        place.metric(
            _title(metric.metric),
            written(metric, now[metric.metric]),
            change(metric.kind, now[metric.metric], then.get(metric.metric)),
            help=metric.definition,
        )


def _trend(chosen: Chosen, metric: Metric) -> None:
    st.subheader("Trend")
    pieces = [_series(chosen, chosen.window, metric.metric, metric, charts.SERIES[0])]
    stored = f"{metric.metric}{STORED_YEAR_BEFORE}"
    if chosen.against == YEAR_BEFORE and stored in chosen.answer(chosen.window, "total").frame.columns:
        # Weeks of customers know their year before, also one that is longer ago than rows are.
        pieces.append(_series(chosen, chosen.window, stored, metric, charts.SERIES[1]))
    elif chosen.compared and not chosen.answer(chosen.compared, "total").frame.is_empty():
        back = chosen.window.start - chosen.compared.start
        other = _series(chosen, chosen.compared, metric.metric, metric, charts.SERIES[1])
        pieces.append(other.with_columns(day=pl.col("day") + back))
    st.altair_chart(charts.trend(pl.concat(pieces), _title(metric.metric)), width="stretch", key="trend")


def _series(chosen: Chosen, window: Window, column: str, metric: Metric, name: str) -> pl.DataFrame:
    """A value for each period until the data end: zero of what is counted where there are no rows, none of a rate."""
    grain = chosen.rows.grain
    found = chosen.answer(window, grain)
    end = min(window.end, max(chosen.data_until.date() + DAY, window.start + DAY))
    periods = first_days(Window(window.start, end), grain, whole_weeks=chosen.dataset in BY_WEEK)
    value = pl.col(column).cast(pl.Float64)
    summed = measures.summed_over(found.frame, found.metrics, ["first_day"])
    return (
        pl.DataFrame({"first_day": periods}, schema={"first_day": pl.Date})
        .join(summed, on="first_day", how="left")
        .sort("first_day")
        .select(
            day=pl.col("first_day"),
            shown=pl.col("first_day"),
            value=value if metric.kind == "rate" else value.fill_null(0),
            series=pl.lit(name),
        )
    )


def _beside(chosen: Chosen, total: Answer, metric: Metric) -> None:
    """What tells most beside the trend: campaigns, devices, or the way from sent to bought."""
    if chosen.dataset == "campaigns" and chosen.rows.campaign_id is None:
        st.subheader("By campaign")
        names = campaign_names(total.frame)
        _by(total, metric, "campaign_id", lambda number: names[number])
    elif chosen.dataset == "identification":
        st.subheader("By device")
        _by(total, metric, "device_type", lambda device: str(device or "unknown").capitalize())
    elif chosen.dataset == "customers":
        st.subheader("Year before")
        _year_before(total)
    if chosen.dataset in ("performance", "campaigns"):
        st.subheader("Funnel")
        st.altair_chart(charts.bars(funnel(total), "emails"), width="stretch", key="funnel")


def funnel(total: Answer) -> pl.DataFrame:
    """Steps from sent to bought, each with its share of the step before: name, value, label."""
    sums = measures.summed_over(total.frame, total.metrics, []).to_dicts()[0]
    labels = [f"{sums[FUNNEL[0]]:,}"]
    for above, step in pairwise(FUNNEL):
        (share,) = measures.rates(pl.Series([sums[step]]), pl.Series([sums[above]]))
        labels.append(f"{sums[step]:,}" + ("" if share is None else f" ({share:.1%})"))
    return pl.DataFrame(
        {"name": [_title(s) for s in FUNNEL], "value": [float(sums[s]) for s in FUNNEL], "label": labels}
    )


def _by(total: Answer, metric: Metric, column: str, name: Callable[[Any], str]) -> None:
    frame = measures.summed_over(total.frame, total.metrics, [column])
    frame = frame.sort(metric.metric, descending=True, nulls_last=True)
    shown = frame.head(MOST_BARS)
    drawn = shown.select(
        name=pl.Series([name(value) for value in shown[column]], dtype=pl.String),
        value=pl.col(metric.metric).cast(pl.Float64),
        label=pl.Series([written(metric, value) for value in shown[metric.metric]], dtype=pl.String),
    )
    st.altair_chart(charts.bars(drawn, _title(metric.metric)), width="stretch", key="by")
    if frame.height > MOST_BARS:
        st.caption(f"The {MOST_BARS} largest of {frame.height}; the table below has all.")


def _year_before(total: Answer) -> None:
    sums = measures.summed_over(total.frame, total.metrics, []).to_dicts()[0]
    kinds = {metric.metric: metric for metric in total.metrics}
    rows = [
        {
            "": _title(name),
            "this range": written(metric, sums[name]),
            "year before": written(metric, sums[name + STORED_YEAR_BEFORE]),
            "change": change(metric.kind, sums[name], sums[name + STORED_YEAR_BEFORE]) or "",
        }
        for name, metric in kinds.items()
        if name + STORED_YEAR_BEFORE in kinds
    ]
    st.dataframe(pl.DataFrame(rows), hide_index=True, width="stretch")


def _table(chosen: Chosen) -> None:
    st.subheader("Rows")
    choices = ("total", *grains(chosen.dataset))
    grain = st.segmented_control(
        "One row for each",
        choices,
        default=chosen.rows.grain,
        format_func=str.capitalize,
        required=True,
        key=f"rows {choices}",
    )
    shown = chosen.answer(chosen.window, grain).frame.drop("namespace")
    columns: dict[str, Any] = {name: st.column_config.Column(_title(name)) for name in shown.columns}
    columns |= {name: st.column_config.DateColumn(_title(name)) for name in ("first_day", "last_day")}
    st.dataframe(shown, hide_index=True, width="stretch", column_config=columns)
    buttons = st.container(horizontal=True)
    for kind in export.FORMATS:
        url = replace(chosen.rows, grain=grain).url(kind)
        buttons.link_button(kind.upper(), url, icon=":material/download:", key=f"download {kind}")


def _title(metric: str) -> str:
    return metric.replace("_", " ").capitalize()


def written(metric: Metric, value: Decimal | int | None) -> str:
    """A figure for people: rates of counts as percent, money with its cents."""
    if value is None:
        return "none"
    if metric.kind == "rate":
        return f"{value:,.2f}" if metric.numerator == "revenue" else f"{value:.2%}"
    return f"{value:,.2f}" if metric.kind == "money" else f"{value:,}"

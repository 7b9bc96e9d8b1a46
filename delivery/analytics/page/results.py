"""The page of analytics: a client's figures of any range, compared, drawn, and downloaded as an export."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl
import streamlit as st

from delivery.analytics import export, measures
from delivery.analytics.page import charts, reading
from delivery.analytics.page.periods import COMPARISONS, change
from delivery.analytics.page.served import current
from delivery.windows import DAY, Window

if TYPE_CHECKING:
    from datetime import date
    from decimal import Decimal

    from delivery.analytics.measures import Grain, Metric
    from delivery.analytics.page.reading import Answer

FIRST_SHOWN = timedelta(days=28)
MOST_BARS = 15
TITLES = {
    "performance": "Performance",
    "campaigns": "Campaigns",
    "identification": "Identification",
    "customers": "Customers",
}
HEADLINES = {
    "performance": ("sent", "delivered", "unique_open_rate", "unique_click_rate", "conversions", "revenue"),
    "campaigns": ("sent", "delivered", "unique_open_rate", "unique_click_rate", "conversions", "revenue"),
    "identification": ("sessions", "identified_sessions", "identification_rate"),
    "customers": ("buyers", "new_customers", "retained_customers", "orders", "revenue"),
}
FUNNEL = ("sent", "delivered", "unique_opens", "unique_clicks", "conversions")
GRAINS: dict[str, tuple[Grain, ...]] = {"customers": ("week",)}
GRAIN_OF_ALL: tuple[Grain, ...] = ("day", "week", "month")
YEAR_BEFORE = "_year_before"


class Chosen(NamedTuple):
    """What the visitor chose in the sidebar. compared: the other range, None for no comparison."""

    namespace: str
    dataset: str
    window: Window
    grain: Grain
    compared: Window | None
    campaign_id: int | None

    def answer(self, window: Window, grain: Grain) -> Answer:
        """The rows of a range."""
        return reading.answer(self.namespace, self.dataset, window, grain, self.campaign_id)


def show() -> None:
    """The whole page."""
    st.title("Analytics")
    chosen = _choose(st.session_state["namespace"])
    if chosen is None:
        st.info("There are no days of this client yet. They come with the next build of the models.")
        return
    total = chosen.answer(chosen.window, "total")
    if total.refusals:
        st.error(
            "These figures are not proven, so they are not shown:\n\n" + "\n".join(f"- {r}" for r in total.refusals)
        )
        return
    _headlines(chosen, total)
    metric = st.selectbox("Metric", total.metrics, format_func=lambda one: _title(one.metric), key="metric")
    st.caption(metric.definition)
    left, right = st.columns([3, 2])
    with left:
        _trend(chosen, metric)
    with right:
        _beside(chosen, total, metric)
    _table(chosen)


def _choose(namespace: str) -> Chosen | None:
    side = st.sidebar
    dataset = side.radio("Figures", reading.DATASETS, format_func=TITLES.__getitem__, key="dataset")
    known = reading.days_known(namespace, dataset)
    if known is None:
        return None
    first, last = known
    allowed = measures.allowed(current().now())
    picked = side.date_input(
        "Days, both ends in",
        (max(first, last - FIRST_SHOWN + DAY), last),
        min_value=allowed.start,
        max_value=allowed.end - DAY,
        key=f"days {namespace} {dataset}",
    )
    days: tuple[date, ...] = picked if isinstance(picked, tuple) else (picked,)
    window = Window(days[0], days[-1] + DAY)  # with one end picked so far, that day alone
    grain = side.selectbox("By", GRAINS.get(dataset, GRAIN_OF_ALL), key=f"grain {dataset == 'customers'}")
    campaign_id = _campaign(namespace, window) if dataset == "campaigns" else None
    return Chosen(namespace, dataset, window, grain, _compared(window, allowed), campaign_id)


def _campaign(namespace: str, window: Window) -> int | None:
    frame = reading.answer(namespace, "campaigns", window, "total").frame
    if frame.is_empty():
        return None
    named = dict(frame.filter(pl.col("campaign_id").is_not_null()).select("campaign_id", "campaign_name").iter_rows())
    chosen = st.sidebar.selectbox(
        "Campaign",
        [None, *named],
        format_func=lambda one: "All campaigns" if one is None else f"{named[one] or 'Unnamed'} ({one})",
        key=f"campaign {namespace}",
    )
    return None if chosen is None else int(chosen)


def _compared(window: Window, allowed: Window) -> Window | None:
    other = COMPARISONS[st.sidebar.selectbox("Compare with", COMPARISONS, key="compare")]
    if other is None:
        return None
    compared = other(window)
    st.sidebar.caption(f"{compared}".replace("..", " to "))
    if compared.start < allowed.start:
        st.sidebar.caption("That is more than two years ago: nothing to compare with.")
        return None
    return compared


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
    pieces = [_series(chosen, chosen.window, metric, charts.SERIES[0])]
    if f"{metric.metric}{YEAR_BEFORE}" in pieces[0].columns:  # weeks of customers know their year before
        other = pieces[0].with_columns(
            value=pl.col(f"{metric.metric}{YEAR_BEFORE}").cast(pl.Float64), series=pl.lit(charts.SERIES[1])
        )
        pieces.append(other)
    elif chosen.compared:
        back = chosen.window.start - chosen.compared.start
        other = _series(chosen, chosen.compared, metric, charts.SERIES[1])
        pieces.append(other.with_columns(day=pl.col("day") + back))
    drawn = pl.concat([piece.select("day", "shown", "value", "series") for piece in pieces])
    st.altair_chart(charts.trend(drawn, _title(metric.metric)), width="stretch", key="trend")


def _series(chosen: Chosen, window: Window, metric: Metric, name: str) -> pl.DataFrame:
    found = chosen.answer(window, chosen.grain)
    return measures.summed_over(found.frame, found.metrics, ["first_day"]).with_columns(
        day=pl.col("first_day"),
        shown=pl.col("first_day"),
        value=pl.col(metric.metric).cast(pl.Float64),
        series=pl.lit(name),
    )


def _beside(chosen: Chosen, total: Answer, metric: Metric) -> None:
    """What tells most beside the trend: campaigns, devices, or the way from sent to bought."""
    if chosen.dataset == "campaigns" and chosen.campaign_id is None:
        st.subheader("By campaign")
        _by(total, metric, "campaign_name", "campaign_id")
    elif chosen.dataset == "identification":
        st.subheader("By device")
        _by(total, metric, "device_type")
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


def _by(total: Answer, metric: Metric, *columns: str) -> None:
    frame = measures.summed_over(total.frame, total.metrics, list(columns))
    frame = frame.sort(metric.metric, descending=True, nulls_last=True)
    shown = frame.head(MOST_BARS)
    name = pl.concat_str([pl.col(c).cast(pl.String).fill_null("none") for c in columns], separator=" · ")
    drawn = shown.select(
        name=name,
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
            "year before": written(metric, sums[name + YEAR_BEFORE]),
            "change": change(metric.kind, sums[name], sums[name + YEAR_BEFORE]) or "",
        }
        for name, metric in kinds.items()
        if name + YEAR_BEFORE in kinds
    ]
    st.dataframe(pl.DataFrame(rows), hide_index=True, width="stretch")


def _table(chosen: Chosen) -> None:
    st.subheader("Rows")
    grains = ("total", *GRAINS.get(chosen.dataset, GRAIN_OF_ALL))
    grain = st.segmented_control("One row for each", grains, default=chosen.grain, required=True, key="rows")
    found = chosen.answer(chosen.window, grain)
    days = dict.fromkeys(("first_day", "last_day"), st.column_config.DateColumn())
    st.dataframe(found.frame, hide_index=True, width="stretch", column_config=days)
    last = chosen.window.end - DAY
    name = f"{measures.PREFIX}{chosen.dataset}_{chosen.namespace}_{chosen.window.start}_{last}_{grain}"
    buttons = st.container(horizontal=True)
    for kind in export.FORMATS:
        buttons.download_button(
            kind.upper(),
            partial(export.encode, found.frame, kind, f"{measures.PREFIX}{chosen.dataset}"),
            f"{name}.{kind}",
            on_click="ignore",
            icon=":material/download:",
            key=f"download {kind}",
        )


def _title(metric: str) -> str:
    return metric.replace("_", " ").capitalize()


def written(metric: Metric, value: Decimal | int | None) -> str:
    """A figure for people: rates of counts as percent, money with its cents."""
    if value is None:
        return "none"
    if metric.kind == "rate":
        return f"{value:,.2f}" if metric.numerator == "revenue" else f"{value:.2%}"
    return f"{value:,.2f}" if metric.kind == "money" else f"{value:,}"

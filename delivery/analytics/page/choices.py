"""What a visitor chooses in the sidebar: figures, days, campaign, and what to compare with."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, cast

import polars as pl
import streamlit as st

from delivery.analytics import measures
from delivery.analytics.page import reading
from delivery.analytics.page.downloads import Rows
from delivery.analytics.page.periods import COMPARISONS
from delivery.analytics.page.served import current
from delivery.windows import DAY, Window

if TYPE_CHECKING:
    from datetime import date, datetime

    from delivery.analytics.measures import Grain
    from delivery.analytics.page.proven import Figures
    from delivery.analytics.page.reading import Answer

FIRST_SHOWN = timedelta(days=28)
TITLES = {
    "performance": "Performance",
    "campaigns": "Campaigns",
    "identification": "Identification",
    "customers": "Customers",
}
BY_WEEK = ("customers",)


class Chosen(NamedTuple):
    """What the visitor chose. against: a key of COMPARISONS; compared: the other range, None for none."""

    rows: Rows
    against: str
    compared: Window | None
    data_until: datetime

    @property
    def window(self) -> Window:
        """The days chosen."""
        return self.rows.window

    @property
    def dataset(self) -> str:
        """Which figures."""
        return self.rows.dataset

    def answer(self, window: Window, grain: Grain) -> Answer:
        """The rows of a range."""
        return reading.answer(self.rows.namespace, self.dataset, window, grain, self.rows.campaign_id)


def chosen_dataset() -> str:
    """Which figures."""
    return st.sidebar.radio("Figures", reading.DATASETS, format_func=TITLES.__getitem__, key="dataset")


def grains(dataset: str) -> tuple[Grain, ...]:
    """What a dataset can be drawn by."""
    return ("week",) if dataset in BY_WEEK else ("day", "week", "month")


def choose(namespace: str, dataset: str, figures: Figures) -> Chosen | None:
    """The rest; None when there are no days to choose from."""
    side, allowed = st.sidebar, measures.allowed(current().now())
    days_known = _days_known(figures, allowed)
    if days_known is None:
        return None
    first, last = days_known
    picked = side.date_input(
        "Days, both ends in",
        (max(first, last - FIRST_SHOWN + DAY), last),
        min_value=allowed.start,
        max_value=allowed.end - DAY,
        key=f"days {namespace} {dataset}",
    )
    days: tuple[date, ...] = picked if isinstance(picked, tuple) else (picked,)
    window = Window(days[0], days[-1] + DAY)  # with one end picked so far, that day alone
    grain = side.selectbox("By", grains(dataset), format_func=str.capitalize, key=f"grain {dataset in BY_WEEK}")
    campaign_id = _campaign(namespace, window) if dataset == "campaigns" else None
    rows = Rows(namespace, dataset, window, grain, campaign_id)
    return Chosen(rows, *_compared(window, allowed), figures.data_until)


def _days_known(figures: Figures, allowed: Window) -> tuple[date, date] | None:
    """The first and the last day of which there are rows, and that may be asked for; a week has all of its days."""
    column = "week" if "week" in figures.rows.columns else "day"
    days = figures.rows[column].filter(figures.rows[column].is_between(allowed.start, allowed.end, closed="left"))
    if days.is_empty():
        return None
    first, last = (cast("date", day) for day in (days.min(), days.max()))
    whole = timedelta(days=measures.DAYS_OF_WEEK - 1 if column == "week" else 0)
    return first, min(last + whole, allowed.end - DAY)


def _campaign(namespace: str, window: Window) -> int | None:
    frame = reading.answer(namespace, "campaigns", window, "total").frame
    named = campaign_names(frame.filter(pl.col("campaign_id").is_not_null()))
    chosen = st.sidebar.selectbox(
        "Campaign",
        [None, *named],
        format_func=lambda one: "All campaigns" if one is None else named[one],
        key=f"campaign {namespace}",
    )
    return None if chosen is None else int(chosen)


def campaign_names(frame: pl.DataFrame) -> dict[int | None, str]:
    """The name of each campaign, by id; with the id only where two have one name."""
    names = dict(frame.select("campaign_id", pl.col("campaign_name").fill_null("No name")).iter_rows())
    often = Counter(names.values())
    return {number: f"{name} ({number})" if often[name] > 1 else name for number, name in names.items()}


def _compared(window: Window, allowed: Window) -> tuple[str, Window | None]:
    against: str = st.sidebar.selectbox("Compare with", COMPARISONS, key="compare")
    other = COMPARISONS[against]
    if other is None:
        return against, None
    compared = other(window)
    st.sidebar.caption(f"{compared}".replace("..", " to "))
    if compared.start < allowed.start:
        st.sidebar.caption("That is more than two years ago: nothing to compare with.")
        return against, None
    return against, compared

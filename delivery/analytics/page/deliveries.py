"""The page of deliveries: what went where and when, rows over time, what is held, and what was missed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl
import streamlit as st

from delivery.analytics.page import charts, reading
from delivery.analytics.page.served import current
from delivery.errors import DeliveryError
from delivery.gate.rejected import BEFORE
from delivery.windows import DAY, Window, when

if TYPE_CHECKING:
    from datetime import date

    from delivery.ledger import Delivery

SHOWN = timedelta(days=30)
TEXT = pl.String


def show() -> None:
    """The whole page."""
    st.title("Deliveries")
    namespace = st.session_state["namespace"]
    today = current().now().date()
    picked = st.sidebar.date_input("Due, both ends in", (today - SHOWN, today), max_value=today, key="due")
    days: tuple[date, ...] = picked if isinstance(picked, tuple) else (picked,)
    window = Window(days[0], days[-1] + DAY)
    found, gaps = reading.delivered(namespace, window), reading.missed(namespace, window)
    held = [one for one in found if one.state == "held"]
    figures = {
        "Delivered": sum(one.state == "delivered" for one in found),
        "Rows delivered": sum(one.rows or 0 for one in found if one.state == "delivered"),
        "Held": len(held),
        "Missed or unfinished": len(gaps),
    }
    for place, (label, figure) in zip(st.columns(len(figures)), figures.items(), strict=True):
        place.metric(label, f"{figure:,}")
    if held:
        st.subheader("Held: a person decides")
        _frame([{"delivery": one.title, "why": one.note} for one in held])
    if gaps:
        st.subheader("Missed or unfinished")
        _frame([{"due": g.due, "campaign": g.campaign, "to": g.integration, "days": g.when, "state": g.state,
                 "why": g.note} for g in gaps])  # fmt: skip
    if found:
        st.subheader("Rows over time")
        st.altair_chart(charts.rows_over_time(rows_over_time(found)), width="stretch", key="rows over time")
        st.subheader("What went where")
        files = reading.files_of(namespace, tuple(one.id for one in found))
        _frame([_line(one, files[one.id]) for one in found])
    else:
        st.info("Nothing was delivered to this client on these days.")
    st.subheader("Rejected rows")
    _rejected(namespace, Window(window.start - DAY, window.end - DAY))


def rows_over_time(found: list[Delivery]) -> pl.DataFrame:
    """The first delivery of each slot; corrections and repeats have few rows or the same ones."""
    rows = [
        {"day": one.slot[:10], "campaign": one.campaign, "integration": one.integration, "rows": one.rows}
        for one in reversed(found)
        if one.rows is not None and one.revision == 0
    ]
    return pl.DataFrame(rows, schema={"day": TEXT, "campaign": TEXT, "integration": TEXT, "rows": pl.Int64})


def _rejected(namespace: str, window: Window) -> None:
    """What of the rows could not leave, day by day; the rest is shown also while a build holds the warehouse."""
    try:
        days = reading.rejected(namespace, window)
    except DeliveryError as error:
        st.warning(error.message)
        return
    rows = [
        {"day": day, "why": reason.name, "rows": reason.rows, f"in the {BEFORE} days before": reason.before,
         "of all that came": f"{reason.rows / found.came:.2%}", "listed in": found.listed_in}
        for day, found in days
        for reason in found.reasons
    ]  # fmt: skip
    if rows:
        _frame(rows)
    else:
        st.caption("None.")


def _line(one: Delivery, files: str) -> dict[str, object]:
    return {
        "due": one.slot,
        "campaign": one.campaign,
        "to": one.integration,
        "days": when(one.window_start, one.window_end, one.slot),
        "revision": one.revision,
        "state": one.state,
        "rows": one.rows,
        "file": files,
        "where": one.destination,
        "last change": one.updated_at,
        "note": one.note,
    }


def _frame(rows: list[dict[str, object]]) -> None:
    st.dataframe(pl.DataFrame(rows), hide_index=True, width="stretch")

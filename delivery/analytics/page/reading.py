"""What the page reads: analytics that the gate lets out, and the ledger; kept for a minute, never written."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl
import streamlit as st

from delivery.analytics import measures
from delivery.analytics.page.served import current
from delivery.config.datasets import read_beside
from delivery.config.integrations_file import Integrations
from delivery.errors import ConfigError
from delivery.gate.entitlements import dataset_refusal
from delivery.gate.judge import Gate
from delivery.ledger import Delivery, Ledger, deliveries
from delivery.schedule.gaps import Gap, gaps
from delivery.schedule.slots import SLOT
from delivery.sql import identifier, literal
from delivery.warehouse import open_engine

if TYPE_CHECKING:
    from datetime import date

    from delivery.analytics.measures import Grain, Metric
    from delivery.gate.rejected import Rejected
    from delivery.windows import Window

SECONDS, ANSWERS = 60, 256  # kept
DATASETS = ("performance", "campaigns", "identification", "customers")


class Answer(NamedTuple):
    """Rows as `delivery export` writes them. refusals: why the gate keeps them back; there are no rows then."""

    frame: pl.DataFrame
    metrics: list[Metric]
    refusals: tuple[str, ...]


@st.cache_data(ttl=SECONDS, max_entries=ANSWERS, show_spinner=False)
def answer(namespace: str, dataset: str, window: Window, grain: Grain, campaign_id: int | None = None) -> Answer:
    """The rows of one client. Raises ConfigError for a client that is not served, or a range not allowed."""
    asked = _question(namespace, dataset, window, grain, campaign_id)
    manifest = _manifest()
    with open_engine(current().project) as engine:
        gate = Gate(manifest, engine)
        verdict = gate.judge(asked.dataset, None, read_beside(manifest, "metrics"), namespace=namespace)
        if not verdict.passed:
            return Answer(pl.DataFrame(), [], verdict.reasons)
        if refusal := dataset_refusal(asked.dataset.name, namespace, manifest, engine):
            return Answer(pl.DataFrame(), [], (refusal.message,))
        metrics = measures.read_metrics(engine, manifest, asked.dataset)
        frame = measures.answer(engine, asked, metrics)
        gate.check_unchanged(asked.dataset)
        return Answer(frame, metrics, ())


@st.cache_data(ttl=SECONDS, max_entries=ANSWERS, show_spinner=False)
def days_known(namespace: str, dataset: str) -> tuple[date, date] | None:
    """The first and the last day that the dataset has of a client."""
    window = measures.allowed(current().now())
    asked = _question(namespace, dataset, window, "total", None)
    column = identifier(asked.time_column)
    with open_engine(current().project) as engine:
        row = engine.table(
            f"select min({column}) as first_day, max({column}) as last_day from {asked.dataset.relation}"
            f" where namespace = {literal(namespace)} and {column} >= date '{window.start}'"
            f" and {column} < date '{window.end}'"
        ).to_pylist()[0]
    if row["last_day"] is None:
        return None
    week = timedelta(days=0 if asked.dataset.window else measures.DAYS_OF_WEEK - 1)
    return row["first_day"], min(row["last_day"] + week, window.days()[-1])


@st.cache_data(ttl=SECONDS, max_entries=ANSWERS, show_spinner=False)
def delivered(namespace: str, window: Window) -> list[Delivery]:
    """The deliveries of a client that were due in a range of days, newest first."""
    _check(namespace)
    with closing(Ledger(current().project.ledger_url)) as ledger:
        found = ledger.find(
            deliveries.c.namespace == namespace,
            deliveries.c.slot >= f"{window.start:{SLOT}}",
            deliveries.c.slot < f"{window.end:{SLOT}}",
            deliveries.c.state != "cancelled",
        )
    return found[::-1]


@st.cache_data(ttl=SECONDS, max_entries=ANSWERS, show_spinner=False)
def files_of(keys: tuple[str, ...]) -> dict[str, str]:
    """The names of the data files of deliveries, by delivery."""
    with closing(Ledger(current().project.ledger_url)) as ledger:
        return {key: ", ".join(file.name for file in ledger.files(key) if file.role == "data") for key in keys}


@st.cache_data(ttl=SECONDS, max_entries=ANSWERS, show_spinner=False)
def rejected(namespace: str, window: Window) -> list[tuple[date, Rejected]]:
    """What of a client's rows was rejected on days of a range, newest first. Raises GateRefused where nobody knows."""
    _check(namespace)
    with open_engine(current().project) as engine:
        found = Gate(_manifest(), engine).rejected_by_day(namespace, window)
    return sorted(found, key=lambda one: one[0], reverse=True)


@st.cache_data(ttl=SECONDS, max_entries=ANSWERS, show_spinner=False)
def missed(namespace: str, window: Window) -> list[Gap]:
    """What should have gone to a client on days of a range, and did not, newest first."""
    _check(namespace)
    project = current().project
    found = gaps(project, Integrations(project.integrations_file), current().now(), None, None, window.end.isoformat())
    first, last = f"{window.start:{SLOT}}", f"{window.end:{SLOT}}"
    return [gap for gap in reversed(found) if gap.namespace == namespace and first <= gap.due < last]


def _question(namespace: str, dataset: str, window: Window, grain: Grain, campaign_id: int | None) -> measures.Question:
    _check(namespace)
    return measures.question(
        _manifest(), current().now(), dataset=dataset, namespace=namespace, start=window.start.isoformat(),
        end=window.end.isoformat(), grain=grain, campaign_id=campaign_id,
    )  # fmt: skip


def _check(namespace: str) -> None:
    """The last line of separation: whatever a visitor's browser sends, no other client is read."""
    if namespace not in current().namespaces:
        raise ConfigError(f"The namespace {namespace!r} is not served here.")


def _manifest() -> dict[str, Any]:
    path = current().project.target_path / "manifest.json"
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return _manifest_as_of(changed)


@st.cache_resource(max_entries=1, show_spinner=False)
def _manifest_as_of(changed: int) -> dict[str, Any]:  # noqa: ARG001 - a new build is a new key
    return current().project.manifest()

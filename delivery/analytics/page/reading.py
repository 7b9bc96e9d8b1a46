"""What the page reads: analytics that the gate lets out, and the ledger; kept for a minute."""

from __future__ import annotations

from contextlib import closing, suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import polars as pl
import streamlit as st

from delivery.analytics import measures
from delivery.analytics.page import proven
from delivery.analytics.page.served import current, visible
from delivery.config.datasets import read_beside, relation_of
from delivery.config.integrations_file import Integrations
from delivery.errors import Busy, ConfigError, EngineDown, WriteFailed
from delivery.gate.entitlements import dataset_refusal
from delivery.gate.judge import Gate
from delivery.ledger import Delivery, Ledger, deliveries
from delivery.schedule.gaps import Gap, gaps
from delivery.schedule.slots import SLOT
from delivery.sql import literal
from delivery.warehouse import open_engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime
    from pathlib import Path

    from delivery.analytics.measures import Grain, Metric
    from delivery.analytics.page.proven import Figures
    from delivery.gate.rejected import Rejected
    from delivery.warehouse import Engine
    from delivery.windows import Window

SECONDS, ANSWERS = 60, 256  # kept
DATASETS = ("performance", "campaigns", "identification", "customers")
P = ParamSpec("P")
R = TypeVar("R")


class Known(NamedTuple):
    """What there is to show of a client's dataset.

    figures: the newest that are proven; None when none ever were. checking: newer ones are not proven. built_at: when
    those were built, if they were.
    """

    figures: Figures | None
    checking: bool
    built_at: datetime | None


class Answer(NamedTuple):
    """Rows as `delivery export` writes them."""

    frame: pl.DataFrame
    metrics: list[Metric]


def _of_a_client(read: Callable[Concatenate[str, P], R]) -> Callable[Concatenate[str, P], R]:
    """Kept for a minute, whoever asked; the last line of separation, asked each time: who may not see it has nothing.

    Raises ConfigError, the same for another's client as for none.
    """
    keeping = st.cache_resource(ttl=SECONDS, max_entries=ANSWERS, show_spinner=False)(read)

    @wraps(read)
    def checked(namespace: str, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if namespace not in visible():
            raise ConfigError(f"The namespace {namespace!r} is not served here.")
        return keeping(namespace, *args, **kwargs)

    return checked


def names() -> dict[str, str]:
    """What the clients that may be seen are called, by namespace; while nothing can be read, as their namespaces."""
    found = _names()
    return {namespace: found.get(namespace) or namespace for namespace in visible()}


@st.cache_resource(ttl=SECONDS, max_entries=1, show_spinner=False)
def _names() -> dict[str, str]:
    relation = relation_of(_manifest(), "namespaces")
    try:
        with open_engine(current().project) as engine:
            rows = engine.table(f"select namespace, name from {relation}").to_pylist() if relation else []
    except (Busy, EngineDown):
        return {}
    return {row["namespace"]: row["name"] for row in rows}


@_of_a_client
def currency(namespace: str) -> str | None:
    """Of the client's orders: those in another one are rejected. None while there are none, or none known."""
    relation = relation_of(_manifest(), "orders")
    if relation is None:
        return None
    query = f"select max(currency) as currency from {relation} where namespace = {literal(namespace)}"
    try:
        with open_engine(current().project) as engine:
            found: str | None = engine.table(query).to_pylist()[0]["currency"]
    except (Busy, EngineDown):
        return None
    return found


@_of_a_client
def contracted(namespace: str) -> tuple[str, ...]:
    """The datasets that the client's contract has; while nothing can be read, those of which figures were kept."""
    try:
        with open_engine(current().project) as engine:
            manifest = _manifest()
            refused = {one: dataset_refusal(_full(one), namespace, manifest, engine) for one in DATASETS}
    except (Busy, EngineDown):
        return tuple(one for one in DATASETS if proven.kept(_kept(namespace, one)))
    return tuple(one for one in DATASETS if refused[one] is None)


@_of_a_client
def known(namespace: str, dataset: str) -> Known:
    """The rows of the last two years that the gate lets out, else those that it let out last. Raises GateRefused.

    That is for a contract that does not have the dataset.
    """
    try:
        with open_engine(current().project) as engine:
            return _judged(namespace, dataset, engine)
    except (Busy, EngineDown):  # a build is at it, say
        return Known(proven.kept(_kept(namespace, dataset)), True, None)


def _judged(namespace: str, dataset: str, engine: Engine) -> Known:
    manifest, window = _manifest(), measures.allowed(current().now())
    asked = _question(namespace, dataset, window, "total", None)
    if refusal := dataset_refusal(asked.dataset.name, namespace, manifest, engine):
        raise refusal
    gate = Gate(manifest, engine)
    verdict = gate.judge(asked.dataset, None, read_beside(manifest, "metrics"), namespace=namespace)
    if not verdict.passed or not verdict.built_at or not verdict.data_until:
        return Known(proven.kept(_kept(namespace, dataset)), True, verdict.built_at)
    metrics = measures.read_metrics(engine, manifest, asked.dataset)
    rows = measures.stored_rows(engine, asked, metrics)
    gate.check_unchanged(asked.dataset)
    figures = proven.Figures(rows, metrics, verdict.built_at, verdict.data_until)
    with suppress(WriteFailed):  # they are proven, kept or not
        proven.keep(_kept(namespace, dataset), figures)
    return Known(figures, False, verdict.built_at)


def _full(dataset: str) -> str:
    return f"{measures.PREFIX}{dataset}"


def _kept(namespace: str, dataset: str) -> Path:
    return current().project.state / "figures" / f"{namespace}.{_full(dataset)}.parquet"


def answer(namespace: str, dataset: str, window: Window, grain: Grain, campaign_id: int | None = None) -> Answer:
    """The rows of one client. Raises ConfigError for a client that is not served, or a range not allowed."""
    figures = known(namespace, dataset).figures
    asked = _question(namespace, dataset, window, grain, campaign_id)
    if figures is None:
        return Answer(pl.DataFrame(), [])
    rows = figures.rows.filter(pl.col(asked.time_column).is_between(window.start, window.end, closed="left"))
    if campaign_id is not None:
        rows = rows.filter(pl.col("campaign_id") == campaign_id)
    return Answer(measures.added_up(rows, asked, figures.metrics), figures.metrics)


@_of_a_client
def delivered(namespace: str, window: Window) -> list[Delivery]:
    """The deliveries of a client that were due in a range of days, newest first."""
    with closing(Ledger(current().project.ledger_url)) as ledger:
        found = ledger.find(
            deliveries.c.namespace == namespace,
            deliveries.c.slot >= f"{window.start:{SLOT}}",
            deliveries.c.slot < f"{window.end:{SLOT}}",
            deliveries.c.state != "cancelled",
        )
    return found[::-1]


@_of_a_client
def files_of(namespace: str, keys: tuple[str, ...]) -> dict[str, str]:  # noqa: ARG001 - who may see them
    """The names of the data files of a client's deliveries, by delivery."""
    with closing(Ledger(current().project.ledger_url)) as ledger:
        return {key: ", ".join(file.name for file in ledger.files(key) if file.role == "data") for key in keys}


@_of_a_client
def rejected(namespace: str, window: Window) -> list[tuple[date, Rejected]]:
    """What of a client's rows was rejected on days of a range, newest first. Raises GateRefused where nobody knows."""
    with open_engine(current().project) as engine:
        found = Gate(_manifest(), engine).rejected_by_day(namespace, window)
    return sorted(found, key=lambda one: one[0], reverse=True)


@_of_a_client
def missed(namespace: str, window: Window) -> list[Gap]:
    """What should have gone to a client on days of a range, and did not, newest first."""
    project = current().project
    found = gaps(project, Integrations(project.integrations_file), current().now(), None, None, window.end.isoformat())
    first, last = f"{window.start:{SLOT}}", f"{window.end:{SLOT}}"
    return [gap for gap in reversed(found) if gap.namespace == namespace and first <= gap.due < last]


def _question(namespace: str, dataset: str, window: Window, grain: Grain, campaign_id: int | None) -> measures.Question:
    return measures.question(
        _manifest(), current().now(), dataset=dataset, namespace=namespace, start=window.start.isoformat(),
        end=window.end.isoformat(), grain=grain, campaign_id=campaign_id,
    )  # fmt: skip


def _manifest() -> dict[str, Any]:
    path = current().project.target_path / "manifest.json"
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return _manifest_as_of(changed)


@st.cache_resource(max_entries=1, show_spinner=False)
def _manifest_as_of(changed: int) -> dict[str, Any]:  # noqa: ARG001 - a new build is a new key
    return current().project.manifest()

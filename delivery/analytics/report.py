"""One day in one page: what was delivered, held and missed, and how the day's campaigns did.

The page needs no network and no other file. It holds names, counts and rates, and nothing of a person.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from delivery.analytics import measures
from delivery.config.datasets import datasets, read_beside
from delivery.config.integrations_file import Integrations
from delivery.errors import ConfigError, GateRefused
from delivery.fetched import Fetched, fetched
from delivery.gate.entitlements import dataset_refusal
from delivery.gate.judge import Gate
from delivery.gate.rejected import BEFORE
from delivery.ledger import Delivery, Ledger, deliveries
from delivery.schedule.gaps import Gap, gaps
from delivery.schedule.slots import SLOT
from delivery.warehouse import open_engine
from delivery.windows import DAY, Window

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

    from delivery.config.datasets import Manifest
    from delivery.config.project import Project
    from delivery.gate.rejected import Rejected
    from delivery.warehouse import Engine

CAMPAIGNS = "analytics_campaigns"
SHOWN = 14  # deliveries of a series, at most
METRICS = (
    "sent", "delivered", "unique_open_rate", "unique_click_rate", "conversions", "revenue", "hard_bounce_rate",
    "unsubscribe_rate",
)  # fmt: skip


class Sent(NamedTuple):
    """One delivery of the day, the names of its files, and who fetched them, of a share with doors."""

    delivery: Delivery
    files: tuple[str, ...]
    fetched: Fetched | None


class Series(NamedTuple):
    """Rows of a campaign's last deliveries to an integration, oldest first, with their days."""

    campaign: str
    integration: str
    rows: tuple[tuple[str, int], ...]


class Results(NamedTuple):
    """How a client's campaigns of the day did. rows: by campaign, with METRICS; refusals: why they are not shown."""

    namespace: str
    rows: tuple[dict[str, Any], ...]
    refusals: tuple[str, ...]


class Rejects(NamedTuple):
    """What of a client's rows of the day was rejected, by list. refusals: why that is not known."""

    namespace: str
    lists: tuple[Rejected, ...]
    refusals: tuple[str, ...]


@dataclass(frozen=True)
class DailyReport:
    """What one day's page says. namespace: None for all clients. warnings: of the gate, which may be of any of them."""

    day: date
    namespace: str | None
    sent: tuple[Sent, ...]
    series: tuple[Series, ...]
    missed: tuple[Gap, ...]
    results: tuple[Results, ...]
    rejects: tuple[Rejects, ...]
    warnings: tuple[str, ...]

    def count(self, state: str) -> int:
        """How many of the day's deliveries are in the state."""
        return sum(one.delivery.state == state for one in self.sent)

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "day": self.day,
            "namespace": self.namespace,
            "deliveries": [{**one.delivery._asdict(), "files": one.files, "fetched": one.fetched} for one in self.sent],
            "series": self.series,
            "missed": self.missed,
            "results": self.results,
            "rejects": self.rejects,
            "warnings": self.warnings,
        }


def daily_report(project: Project, day: date, at: datetime, namespace: str | None = None) -> DailyReport:
    """The day's deliveries by slot, what should have gone, and results of the emails sent on the day before.

    A slot delivers what came before it, so the page of a morning shows the campaigns of the day that it delivers.
    Raises ConfigError for a day to come and for a client that has no integration.
    """
    declared = Integrations(project.integrations_file)
    clients = declared.clients
    if day > at.date():
        raise ConfigError(f"{day} is yet to come.", hint="--day is the day on which the deliveries were due.")
    if namespace is not None and namespace not in clients:
        raise ConfigError(f"Unknown namespace {namespace!r}.", hint=f"Known: {', '.join(clients) or 'none'}.")
    chosen = [namespace] if namespace else clients
    with closing(Ledger(project.ledger_url)) as ledger:
        known = ledger.find(
            deliveries.c.namespace.in_(chosen), deliveries.c.slot < _slot(day + DAY), deliveries.c.state != "cancelled"
        )
        of_day = [row for row in known if row.slot >= _slot(day)]
        taken = fetched(project, ledger, of_day, declared)
        sent = tuple(
            Sent(row, tuple(f.name for f in ledger.files(row.id) if f.role == "data"), taken.get(row.id))
            for row in of_day
        )
    until = gaps(project, declared, at, None, None, day.isoformat())
    due = [gap for gap in until if _slot(day) <= gap.due < _slot(day + DAY)]
    manifest = project.manifest()
    with open_engine(project) as engine:
        seen = _Seen(manifest, engine, Gate(manifest, engine), Window(day - DAY, day), at)
        return DailyReport(
            day,
            namespace,
            sent,
            tuple(_series(known, of_day)),
            tuple(gap for gap in due if gap.namespace in chosen),
            tuple(_results(seen, client) for client in chosen),
            tuple(_rejects(seen, client) for client in chosen),
            () if namespace else tuple(_warnings(seen)),
        )


def _slot(day: date) -> str:
    return f"{day:{SLOT}}"


def _series(known: list[Delivery], of_day: list[Delivery]) -> Iterable[Series]:
    for campaign, integration in sorted({(row.campaign, row.integration) for row in of_day}):
        rows = [
            (row.slot[:10], row.rows or 0)
            for row in known
            if (row.campaign, row.integration, row.revision) == (campaign, integration, 0) and row.rows is not None
        ]
        if rows:
            yield Series(campaign, integration, tuple(rows[-SHOWN:]))


class _Seen(NamedTuple):
    """The warehouse as of one moment, and the day of which it is asked."""

    manifest: Manifest
    engine: Engine
    gate: Gate
    window: Window
    at: datetime


def _results(seen: _Seen, client: str) -> Results:
    asked = measures.question(
        seen.manifest, seen.at, dataset=CAMPAIGNS, namespace=client, start=seen.window.start.isoformat(),
        end=seen.window.end.isoformat(), grain="total", campaign_id=None,
    )  # fmt: skip
    verdict = seen.gate.judge(
        asked.dataset,
        None,
        read_beside(seen.manifest, "metrics"),
        namespace=client,
        complete_at=asked.window.end_at,
    )
    refusal = dataset_refusal(asked.dataset.name, client, seen.manifest, seen.engine)
    reasons = (*verdict.reasons, *((refusal.message,) if refusal else ()))
    rows: list[dict[str, Any]] = []
    if not reasons:
        metrics = measures.read_metrics(seen.engine, seen.manifest, asked.dataset)
        rows = measures.answer(seen.engine, asked, metrics).to_dicts()
        seen.gate.check_unchanged(asked.dataset)
    return Results(client, tuple(rows), reasons)


def _rejects(seen: _Seen, client: str) -> Rejects:
    try:
        return Rejects(client, tuple(found for _, found in seen.gate.rejected_by_day(client, seen.window)), ())
    except GateRefused as refused:
        return Rejects(client, (), (refused.message,))


def _warnings(seen: _Seen) -> Iterable[str]:
    """Words that no list has, and failing tests of some of the clients, in what leaves day by day."""
    for dataset in datasets(seen.manifest).values():
        if dataset.rejects:
            for warning in dict.fromkeys(seen.gate.judge(dataset, seen.window).warnings):
                yield f"{dataset.name}: {warning}"


def render(report: DailyReport) -> str:
    """The page."""
    environment = Environment(
        loader=PackageLoader("delivery", "pages"),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    yesterday = Window(report.day - timedelta(days=1), report.day)
    shown = {"report": report, "results_of": yesterday, "metrics": METRICS, "before": BEFORE}
    return environment.get_template("report.html").render(shown)

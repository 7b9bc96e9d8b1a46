"""Analytics by hand: sums of daily rows over any range and grain, and the rates that are made of those sums.

What each metric means is one row of the seed `metrics`; the models hold what adds up, so rates are made here, last.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING, Any, Literal, cast

import polars as pl

from delivery.config.datasets import Dataset, datasets
from delivery.errors import ConfigError
from delivery.sql import identifier, literal
from delivery.windows import DAY, Window, parse_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from delivery.config.datasets import Manifest
    from delivery.warehouse import Engine

Grain = Literal["total", "day", "week", "month"]
PREFIX = "analytics_"
YEARS = 2
MONEY = pl.Decimal(38, 3)
CENTS = pl.Decimal(38, 2)
RATE = pl.Decimal(38, 6)
_PLACES = Decimal("0.000001")
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)
DAYS_OF_WEEK = 7


@dataclass(frozen=True)
class Metric:
    """One row of the seed `metrics`. kind: `count` and `money` add up, a `rate` is made of two sums."""

    metric: str
    kind: str
    numerator: str | None
    denominator: str | None
    definition: str


@dataclass(frozen=True)
class Question:
    """What is asked: rows of one dataset and client, of the days of a window, summed by a grain."""

    dataset: Dataset
    namespace: str
    window: Window
    grain: Grain
    campaign_id: int | None = None

    @property
    def time_column(self) -> str:
        """The day, or the Sunday of a week, of which a row is."""
        return "day" if self.dataset.window else "week"


def question(
    manifest: Manifest,
    at: datetime,
    *,
    dataset: str,
    namespace: str,
    start: str,
    end: str,
    grain: Grain,
    campaign_id: int | None,
) -> Question:
    """The question, checked as far as the command line alone can be. Raises ConfigError with every fault."""
    known = {name: one for name, one in datasets(manifest).items() if name.startswith(PREFIX)}
    found = known.get(dataset) or known.get(PREFIX + dataset)
    faults = []
    if found is None:
        faults.append(f"Unknown dataset {dataset!r}; known: {', '.join(sorted(known))}.")
    if found and campaign_id is not None and not _has(found, "campaign_id"):
        faults.append(f"{found.name} is not by campaign; --campaign-id is for {PREFIX}campaigns.")
    if found and not found.window and grain in ("day", "month"):
        faults.append(f"{found.name} is by week: its grain is week or total, not {grain}.")
    first, after = parse_day(start, at), parse_day(end, at)
    faults += _range_faults(first, after, at)
    if faults or found is None:
        raise ConfigError("\n".join(faults), hint="Nothing was written; mend the command line.")
    return Question(found, namespace, Window(first, after), grain, campaign_id)


def allowed(at: datetime) -> Window:
    """The days that may be asked for: the last two years, today included."""
    today = at.astimezone(UTC).date()
    leap = (today.month, today.day) == (2, 29)
    return Window(today.replace(year=today.year - YEARS, day=28 if leap else today.day), today + DAY)


def _range_faults(first: date, after: date, at: datetime) -> Iterable[str]:
    may = allowed(at)
    if first >= after:
        yield f"--from {first} is not before --to {after}; --to is the day after the last one."
    if first < may.start or after > may.end:
        yield (
            f"{first} to {after} is not within the last {YEARS} years: --from {may.start} or later,"
            f" --to {may.end} or earlier."
        )


def _has(dataset: Dataset, column: str) -> bool:
    return any(one.name == column for one in dataset.columns)


def read_metrics(engine: Engine, manifest: Manifest, dataset: Dataset) -> list[Metric]:
    """The metrics of a dataset, in the seed's order: what adds up by the contract's order, then the rates."""
    nodes: Iterable[Mapping[str, Any]] = manifest["nodes"].values()
    relation = next(
        (n["relation_name"] for n in nodes if n["resource_type"] == "seed" and n["name"] == "metrics"), None
    )
    if relation is None:
        raise ConfigError("The project has no seed `metrics`.", hint="Restore seeds/metrics.csv, then `dbt build`.")
    own = dataset.name.removeprefix(PREFIX)
    rows = engine.table(
        f"select metric, datasets, kind, numerator, denominator, definition from {relation}"
    ).to_pylist()
    found = {
        row["metric"]: Metric(row["metric"], row["kind"], row["numerator"], row["denominator"], row["definition"])
        for row in rows
        if own in row["datasets"].split("|")
    }
    order = [column.name for column in dataset.columns]
    sums = sorted((m for m in found.values() if m.kind != "rate"), key=lambda m: order.index(m.metric))
    return sums + [m for m in found.values() if m.kind == "rate"]


def answer(engine: Engine, asked: Question, metrics: list[Metric]) -> pl.DataFrame:
    """The rows: first and last day, what else tells them apart, sums, rates."""
    return added_up(stored_rows(engine, asked, metrics), asked, metrics)


def added_up(rows: pl.DataFrame, asked: Question, metrics: list[Metric]) -> pl.DataFrame:
    """Stored rows of what is asked as its answer has them: summed by its grain, with the rates of the sums."""
    return _with_rates(_summed(rows, asked, [m.metric for m in metrics if m.kind != "rate"]), metrics)


def summed_over(frame: pl.DataFrame, metrics: list[Metric], keys: list[str]) -> pl.DataFrame:
    """Rows of an answer added up by fewer keys, with the rates of the new sums. No keys: one row."""
    sums = [m.metric for m in metrics if m.kind != "rate"]
    grouped = frame.group_by(keys).agg(pl.col(sums).sum()).sort(keys) if keys else frame.select(pl.col(sums).sum())
    money = [m.metric for m in metrics if m.kind == "money"]
    return _with_rates(_with_digits(grouped, money), metrics)


def _with_digits(frame: pl.DataFrame, money: list[str]) -> pl.DataFrame:
    """Money with two digits after the point, or three where an amount has them, as dinars do."""
    exact = frame.cast(dict.fromkeys(money, MONEY))
    rounded = exact.cast(dict.fromkeys(money, CENTS))
    return rounded if rounded.cast(dict.fromkeys(money, MONEY)).equals(exact) else exact


def _with_rates(summed: pl.DataFrame, metrics: list[Metric]) -> pl.DataFrame:
    made = [
        pl.Series(m.metric, rates(summed[str(m.numerator)], summed[str(m.denominator)]), dtype=RATE)
        for m in metrics
        if m.kind == "rate"
    ]
    return summed.with_columns(made)


def stored_rows(engine: Engine, asked: Question, metrics: list[Metric]) -> pl.DataFrame:
    """The rows of a day or a week that the question asks about, as the dataset has them."""
    dataset, day = asked.dataset, identifier(asked.time_column)
    names = [*_dimensions(asked), asked.time_column, *(m.metric for m in metrics if m.kind != "rate")]
    where = (
        f"namespace = {literal(asked.namespace)} and {day} >= date '{asked.window.start}'"
        f" and {day} < date '{asked.window.end}'"
    )
    if asked.campaign_id is not None:
        where += f" and campaign_id = {asked.campaign_id}"
    select = ", ".join(identifier(name) for name in names)
    table = engine.table(f"select {select} from {dataset.relation} where {where}")
    frame = cast("pl.DataFrame", pl.from_arrow(table))
    columns = [pl.col(m.metric).cast(MONEY if m.kind == "money" else pl.Int64) for m in metrics if m.kind != "rate"]
    return frame.with_columns(pl.col(asked.time_column).cast(pl.Date), *columns)


def _dimensions(asked: Question) -> list[str]:
    known = ("namespace", "campaign_id", "campaign_name", "campaign_classification", "device_type")
    return [column.name for column in asked.dataset.columns if column.name in known]


def _summed(frame: pl.DataFrame, asked: Question, measures: list[str]) -> pl.DataFrame:
    """The sums, one row for each period and what else tells rows apart, in that order."""
    keys = ["first_day", "last_day", *_dimensions(asked)]
    window = asked.window
    day = pl.col(asked.time_column)
    first, last = {
        "total": (pl.lit(window.start), pl.lit(window.end - DAY)),
        "day": (day, day),
        "week": _week(day),
        "month": (day.dt.month_start(), day.dt.month_end()),
    }[asked.grain]
    if asked.dataset.window:  # a week or month that the range cuts says which of its days are in
        first, last = pl.max_horizontal(first, pl.lit(window.start)), pl.min_horizontal(last, pl.lit(window.end - DAY))
    frame = frame.with_columns(first.alias("first_day"), last.alias("last_day"))
    summed = frame.group_by(keys).agg(pl.col(measures).sum()).sort([k for k in keys if k != "last_day"])
    money = [name for name in measures if isinstance(frame.schema[name], pl.Decimal)]
    return _with_digits(summed.select(*keys, *measures), money)


def _week(day: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Sunday to Saturday."""
    sunday = day - pl.duration(days=day.dt.weekday() % DAYS_OF_WEEK)
    return sunday, sunday + timedelta(days=DAYS_OF_WEEK - 1)


def rates(numerators: pl.Series, denominators: pl.Series) -> list[Decimal | None]:
    """Quotients to six places, half up; None for a zero denominator."""
    return [
        _EXACT.divide(Decimal(above), Decimal(below)).quantize(_PLACES, ROUND_HALF_UP, _EXACT) if below else None
        for above, below in zip(numerators, denominators, strict=True)
    ]

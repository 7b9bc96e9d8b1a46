"""The rows of one delivery: read in order, checked to be one namespace's, in the layout's columns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from delivery.errors import GateRefused, WriteFailed
from delivery.sql import identifier, literal
from delivery.warehouse.kinds import cast_back
from delivery.windows import DAY, Window

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from delivery.config.campaigns import Members
    from delivery.config.datasets import Dataset
    from delivery.schedule.jobs import Job
    from delivery.warehouse import Engine


PIECE = 16_384  # members that are joined at once: DuckDB may hold their rows, a few MB


@dataclass
class Tally:
    """How many rows passed, and in each column how many that are not NULL."""

    rows: int = 0
    values: Counter[str] = field(default_factory=Counter)

    def of(self, batches: Iterable[pa.RecordBatch]) -> Generator[pa.RecordBatch]:
        """The batches, counted."""
        for batch in batches:
            self.rows += batch.num_rows
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                self.values[name] += len(column) - column.null_count
            yield batch


class OutOfOrder(Exception):
    """The table is not stored in the order in which it leaves; read it again, sorted."""


@dataclass(frozen=True)
class Selection:
    """What one delivery reads.

    columns: the file's, in order; window: None for a current-state dataset; kinds: of columns, what they held when the
    layout was frozen; rows: by column, the values that are chosen; members: None for every row; keys: of `key_column`,
    when only these rows are meant.
    """

    dataset: Dataset
    columns: tuple[str, ...]
    namespace: str
    window: Window | None
    keys: pa.Array | None = None
    key_column: str = "unique_key"
    kinds: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    members: Members | None = None
    from_key: str | None = None
    before_key: str | None = None

    def queries(self, *, ordered: bool) -> Iterator[str]:
        """One query a day, so that a table stored by day is read in order without sorting it again."""
        own = (self.key_column,) if self.keys is not None else ()
        keys = [name for name in dict.fromkeys(("namespace", *self.dataset.order_by, *own)) if name not in self.columns]
        select = ", ".join(identifier(name) for name in (*self.columns, *keys))
        order = ", ".join(identifier(name) for name in self.dataset.order_by)
        tail = f" order by {order}" if ordered else ""
        for day in self.by_day():
            yield f"select {select} from {self.dataset.relation} where {day.where()}{tail}"

    def by_day(self) -> list[Selection]:
        """The same rows, day by day; one for a current-state dataset."""
        if self.window is None:
            return [self]
        return [replace(self, window=Window(day, day + DAY)) for day in self.window.days()]

    def pieces(self, engine: Engine) -> Iterator[Selection]:
        """The rows piece by piece, so that no join with an audience outgrows its memory and loses its order."""
        if self.members is None:
            yield self
            return
        key, seen, bounds = identifier(self.dataset.key or ""), 0, list[str]()
        for batch in engine.stream(f"select {key} from {self.members.where(self.namespace)}"):
            bounds += [str(batch[0][n]) for n in range(-seen % PIECE, batch.num_rows, PIECE) if seen + n]
            seen += batch.num_rows
        if bounds != sorted(set(bounds)):  # the audience is not stored by key
            bounds = []
        for start, end in zip([None, *bounds], [*bounds, None], strict=True):
            yield replace(self, from_key=start, before_key=end)

    def count(self, engine: Engine) -> int:
        """How many rows are meant, counted by the engine apart from reading them; of chosen rows, their keys."""
        if self.keys is not None:
            return len(self.keys)
        query = f"select count(*) as n from {self.dataset.relation} where "
        rows: int = sum(engine.table(query + piece.where())["n"][0].as_py() for piece in self.pieces(engine))
        return rows

    def where(self) -> str:
        """The condition that the rows of the namespace, window and audience meet."""
        where = f"namespace = {literal(self.namespace)}"
        for name, values in self.rows.items():
            where += f" and {identifier(name)} in ({', '.join(map(literal, values))})"
        if self.window is not None:
            day = identifier(self.dataset.window or "")
            where += f" and {day} >= date '{self.window.start}' and {day} < date '{self.window.end}'"
        if self.members is not None:
            key = identifier(self.dataset.key or "")
            between = f" and {key} >= {literal(self.from_key)}" if self.from_key is not None else ""
            between += f" and {key} < {literal(self.before_key)}" if self.before_key is not None else ""
            where += f"{between} and {key} in (select {key} from {self.members.where(self.namespace)}{between})"
        return where


def selection_of(job: Job, columns: tuple[str, ...], kinds: tuple[str, ...] | None = None) -> Selection:
    """What the delivery reads. kinds: what the columns held when the layout was frozen."""
    return Selection(
        job.campaign.dataset,
        columns,
        job.integration.namespace,
        job.window,
        kinds=dict(zip(columns, kinds or (), strict=False)),
        rows=job.integration.rows,
        members=job.campaign.members,
    )


def read(engine: Engine, selection: Selection, *, ordered: bool) -> Iterator[pa.RecordBatch]:
    """The rows in batches of the layout's columns.

    Raises OutOfOrder when unsorted rows turn out not to be in order, WriteFailed when a row is not the namespace's,
    GateRefused when the table lacks a column of the layout or its rows have no total order.
    """
    schema = check_columns(engine, selection)
    yield cast_back(no_rows(schema), selection.kinds)
    for query in (query for piece in selection.pieces(engine) for query in piece.queries(ordered=ordered)):
        last: list[pa.Array] | None = None
        for batch in engine.stream(query, sorts=ordered):
            if batch.num_rows == 0:
                continue
            _check_namespace(batch, selection)
            last = _check_order(batch, selection.dataset, last, ordered=ordered)
            if selection.keys is not None:
                batch = batch.filter(pc.is_in(batch[selection.key_column], value_set=selection.keys))
            yield cast_back(batch.select(list(selection.columns)), selection.kinds)


def count_again(engine: Engine, selection: Selection) -> Tally:
    """What `read` should give, by a query that counts: rows, and in each column those that are not NULL.

    Of chosen rows only their keys are counted.
    """
    if selection.keys is not None:
        return Tally(len(selection.keys))
    counted = Tally()
    names = sorted(selection.columns, reverse=True)
    counts = ", ".join(f"count({identifier(name)}) as c{number}" for number, name in enumerate(names))
    for piece in selection.pieces(engine):
        query = f"select count(*) as n, {counts} from {selection.dataset.relation} where {piece.where()}"
        (row,) = engine.table(query).to_pylist()
        counted.rows += row["n"]
        counted.values.update({name: row[f"c{number}"] for number, name in enumerate(names)})
    return counted


def no_rows(schema: pa.Schema) -> pa.RecordBatch:
    """Made of NULLs: Arrow imports pandas, where it is installed, to look at any value of Python's."""
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


def check_columns(engine: Engine, selection: Selection) -> pa.Schema:
    """Raises GateRefused when the table lacks a column of the layout."""
    present = engine.table(f"select * from {selection.dataset.relation} limit 0").schema
    missing = [name for name in selection.columns if name not in present.names]
    if missing:
        raise GateRefused(
            f"{selection.dataset.name} no longer has {', '.join(missing)}, which the layout needs.",
            hint="Restore the column, or start a new campaign with the new layout.",
        )
    return pa.schema([present.field(name) for name in selection.columns])


def _check_namespace(batch: pa.RecordBatch, selection: Selection) -> None:
    column, own = batch["namespace"], selection.namespace
    if column.null_count or pc.min_max(column).as_py() != {"min": own, "max": own}:
        raise WriteFailed(
            f"The query for {own} returned another namespace's rows; nothing was sent.",
            hint="This is a defect in the engine or in this program: report it.",
        )


def _check_order(
    batch: pa.RecordBatch, dataset: Dataset, last: list[pa.Array] | None, *, ordered: bool
) -> list[pa.Array]:
    """Checks that the batch goes on from the last row before it; returns the keys of its own last row."""
    ascending: pa.Array | None = None
    for number, name in reversed(list(enumerate(dataset.order_by))):
        column = batch[name]
        if column.null_count:
            raise GateRefused(
                f"{dataset.name} has rows without {name}, by which they are ordered.",
                hint="Test the column with not_null, mend the data, and build again.",
            )
        if last is not None:
            column = pa.concat_arrays([last[number], column])
        here, following = column.slice(0, len(column) - 1), column.slice(1)
        less = pc.less(here, following)
        ascending = less if ascending is None else pc.or_(less, pc.and_(pc.equal(here, following), ascending))
    if not pc.all(ascending, min_count=0).as_py():
        if ordered:
            raise GateRefused(
                f"{dataset.name} has rows with the same {', '.join(dataset.order_by)}, so they have no one order.",
                hint="Test that they are unique together, mend the data, and build again.",
            )
        raise OutOfOrder
    return [batch[name].slice(batch.num_rows - 1) for name in dataset.order_by]

"""The rows of one delivery: read in order, checked to be one namespace's, in the layout's columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from delivery.engines import Engine, literal
from delivery.errors import GateRefused, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.campaigns import Dataset
    from delivery.windows import Window


class OutOfOrder(Exception):
    """The table is not stored in the order in which it leaves; read it again, sorted."""


@dataclass(frozen=True)
class Selection:
    """What one delivery reads. columns: the file's, in order; window: None for a current-state dataset."""

    dataset: Dataset
    columns: tuple[str, ...]
    namespace: str
    window: Window | None

    def queries(self, *, ordered: bool) -> Iterator[str]:
        """One query a day, so that a table stored by day is read in order without sorting it again."""
        keys = [name for name in ("namespace", *self.dataset.order_by) if name not in self.columns]
        select = ", ".join(f'"{name}"' for name in (*self.columns, *keys))
        order = ", ".join(f'"{name}"' for name in self.dataset.order_by)
        where = f"namespace = {literal(self.namespace)}"
        tail = f" order by {order}" if ordered else ""
        if self.window is None:
            yield f"select {select} from {self.dataset.relation} where {where}{tail}"
            return
        for day in self.window.days():
            yield (
                f"select {select} from {self.dataset.relation} "
                f"where {where} and \"{self.dataset.window}\" = date '{day}'{tail}"
            )

    def count(self, engine: Engine) -> int:
        """How many rows the window has, counted by the engine apart from reading them."""
        where = f"namespace = {literal(self.namespace)}"
        if self.window is not None:
            day = f'"{self.dataset.window}"'
            where += f" and {day} >= date '{self.window.start}' and {day} < date '{self.window.end}'"
        rows: int = engine.table(f"select count(*) as n from {self.dataset.relation} where {where}")["n"][0].as_py()
        return rows


def read(engine: Engine, selection: Selection, *, ordered: bool) -> Iterator[pa.RecordBatch]:
    """The rows in batches of the layout's columns.

    Raises OutOfOrder when unsorted rows turn out not to be in order, GateRefused when a row is not the namespace's
    or the table's columns are not the layout's.
    """
    schema = _check_columns(engine, selection)
    yield pa.RecordBatch.from_pylist([], schema=schema)
    for query in selection.queries(ordered=ordered):
        last: tuple[object, ...] | None = None
        for batch in engine.stream(query):
            if batch.num_rows == 0:
                continue
            _check_namespace(batch, selection)
            last = _check_order(batch, selection.dataset.order_by, last)
            yield batch.select(list(selection.columns))


def _check_columns(engine: Engine, selection: Selection) -> pa.Schema:
    present = engine.table(f"select * from {selection.dataset.relation} limit 0").schema
    missing = [name for name in selection.columns if name not in present.names]
    if missing:
        raise GateRefused(
            f"{selection.dataset.name} no longer has {', '.join(missing)}, which the layout needs.",
            hint="Restore the column, or start a new campaign with the new layout.",
        )
    return pa.schema([present.field(name) for name in selection.columns])


def _check_namespace(batch: pa.RecordBatch, selection: Selection) -> None:
    if pc.min_max(batch["namespace"]).as_py() != {"min": selection.namespace, "max": selection.namespace}:
        raise WriteFailed(
            f"The query for {selection.namespace} returned another namespace's rows; nothing was sent.",
            hint="This is a defect in the engine or in this program: report it.",
        )


def _check_order(batch: pa.RecordBatch, keys: tuple[str, ...], last: tuple[object, ...] | None) -> tuple[object, ...]:
    first = tuple(batch[key][0].as_py() for key in keys)
    if last is not None and first <= last:
        raise OutOfOrder
    if batch.num_rows > 1:
        ascending = pa.scalar(False)
        for key in reversed(keys):
            column = batch[key]
            here, following = column.slice(0, batch.num_rows - 1), column.slice(1)
            ascending = pc.or_(pc.less(here, following), pc.and_(pc.equal(here, following), ascending))
        if not pc.all(ascending).as_py():
            raise OutOfOrder
    return tuple(batch[key][-1].as_py() for key in keys)

"""Who entered, changed and left since the last delivery, for campaigns with `mode: changes`.

Beside each delivery lies a record of the members that it told of: their key, the contacts by which the client knows
them, and a hash of the row as it left. It lies in the state directory, private, until the delivery after the next. A
client knows members by contact, so one whose contact changed has left under the old one and entered under the new one.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from delivery.errors import WriteFailed
from delivery.ledger import Delivery, Ledger, deliveries
from delivery.sql import identifier
from delivery.warehouse.kinds import cast_back

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from delivery.schedule.jobs import Job
    from delivery.warehouse import Engine
    from delivery.warehouse.rows import Selection


class Changes(NamedTuple):
    """Since the delivery `since`. entered, changed: keys of members; left: contacts of those who are none any more."""

    since: str
    entered: pa.Array
    changed: pa.Array
    left: pa.RecordBatch

    @property
    def are_none(self) -> bool:
        """Whether nothing changed."""
        return not (len(self.entered) or len(self.changed) or self.left.num_rows)


def changes(job: Job, selection: Selection, engine: Engine, state: Path, ledger: Ledger) -> Changes | None:
    """What changed since the last delivery, and a record for the next; None when the whole audience is to be sent.

    That is so for the first delivery, for each `full_every`-th, for one that is sent again, and where no record is at
    hand. Raises WriteFailed.
    """
    if job.campaign.export.mode != "changes":
        return None
    before = _before(job, ledger)
    with _failing_well(state):
        now = _record(job, selection, engine, state)
        for row in before[:-1]:
            _path(state, row.id).unlink(missing_ok=True)
        if job.revision or not before or _is_full_due(job, before):
            return None
        sent = _path(state, before[-1].id)
        if not sent.is_file():
            return None
        return Changes(before[-1].id, *_compare(sent, now, selection, state))


def _before(job: Job, ledger: Ledger) -> list[Delivery]:
    """The campaign's deliveries to the client before this one that ended well, oldest first."""
    found = ledger.find(
        deliveries.c.campaign == job.campaign.name,
        deliveries.c.integration == job.integration_name,
        deliveries.c.namespace == job.integration.namespace,
        deliveries.c.state.in_(("delivered", "skipped")),
        deliveries.c.id != job.key,
    )
    return sorted(found, key=lambda row: (row.slot, row.revision))


def _is_full_due(job: Job, before: list[Delivery]) -> bool:
    last = before[-(job.campaign.export.full_every - 1) :] if job.campaign.export.full_every > 1 else []
    return len(last) == job.campaign.export.full_every - 1 and all(row.since for row in last)


def _record(job: Job, selection: Selection, engine: Engine, state: Path) -> Path:
    """Writes the record of all members now."""
    dataset = selection.dataset
    kept = dict.fromkeys((dataset.key or "", *dataset.contacts))
    wide = replace(selection, columns=tuple(dict.fromkeys((*kept, *selection.columns))))
    path = _path(state, job.key)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    unfinished = path.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    batches = _batches(wide, engine)
    schema = next(batches).schema
    members = pa.RecordBatchReader.from_batches(schema, batches)  # noqa: F841 - DuckDB finds it by its name
    # As JSON, so that no value can run into the next one.
    of = ", ".join(f"{identifier(f'c{n}')} := {identifier(name)}" for n, name in enumerate(selection.columns))
    names = ", ".join(f"cast({identifier(name)} as varchar) as {identifier(name)}" for name in kept)
    query = f"select {names}, md5(cast(to_json(struct_pack({of})) as varchar)) as hash from members"
    with _duckdb(state) as connection:
        rows = connection.sql(query).to_arrow_reader(8192)
        with pq.ParquetWriter(unfinished, rows.schema, compression="zstd") as writer:
            for batch in rows:
                writer.write_batch(batch)
    unfinished.replace(path)
    return path


def _batches(selection: Selection, engine: Engine) -> Iterator[pa.RecordBatch]:
    """The members' rows in any order, first a batch without rows."""
    names = ", ".join(identifier(name) for name in selection.columns)
    query = f"select {names} from {selection.dataset.relation} where {selection.where()}"
    schema = engine.table(f"{query} limit 0").schema
    yield cast_back(pa.RecordBatch.from_pylist([], schema=schema), selection.kinds)
    for batch in engine.stream(query):
        yield cast_back(batch, selection.kinds)


def _compare(sent: Path, now: Path, selection: Selection, state: Path) -> tuple[pa.Array, pa.Array, pa.RecordBatch]:
    key, contacts = identifier(selection.dataset.key or ""), [identifier(c) for c in selection.dataset.contacts]
    known = " and ".join(f"now.{name} is not distinct from sent.{name}" for name in contacts)
    tables = "from read_parquet($now) as now {join} join read_parquet($sent) as sent on "
    same = f"now.{key} = sent.{key} and {known}"
    entering = f"select now.{key} {tables.format(join='anti')} {same} order by 1"
    changing = f"select now.{key} {tables.format(join='inner')} {same} where now.hash <> sent.hash order by 1"
    named = ", ".join(f"sent.{name}" for name in contacts)
    leaving = f"""select distinct {named} from read_parquet($sent) as sent
        anti join read_parquet($now) as now on {known} order by all nulls last"""
    paths = {"sent": str(sent), "now": str(now)}
    with _duckdb(state) as connection:
        entered, changed, left = (
            connection.sql(query, params=paths).to_arrow_table() for query in (entering, changing, leaving)
        )
    gone = left.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], schema=left.schema)]
    return entered.column(0).combine_chunks(), changed.column(0).combine_chunks(), gone[0]


@contextmanager
def _duckdb(state: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": "96MB", "threads": 1, "temp_directory": str(state / "scratch"),
    }  # fmt: skip
    with duckdb.connect(config=settings) as connection:
        yield connection


@contextmanager
def _failing_well(state: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, duckdb.Error, pa.ArrowException) as error:
        raise WriteFailed(
            f"The record of members in {state / 'members'} could not be written or read: {type(error).__name__}.",
            hint="Free space or permission there, then run again. Without the record, all members are sent.",
        ) from None


def _path(state: Path, key: str) -> Path:
    return state / "members" / f"{key}.parquet"

"""Receipts: which rows a client has, kept beside each delivery and held against what the table has later.

Of a window the receipt holds unique_key and updated_at, a function of what the row was made of (decision 0005). It is
kept, and what differs leaves as a numbered correction, however late (decision 0069). With `mode: changes` it holds the
key of members, the contacts by which the client knows them, and a hash of the row as it left; it is kept until the
delivery after the next. Who has another contact has left under the old one and entered under the new one.
"""

from __future__ import annotations

import itertools
import os
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from delivery.errors import WriteFailed
from delivery.files.built import days_built, last_of
from delivery.files.disk import exclusive, writing
from delivery.files.manifest import Changes, Correction
from delivery.ledger import ENDED_WELL, State, deliveries
from delivery.schedule.jobs import has_left, revisions, told_since
from delivery.sql import identifier, literal
from delivery.warehouse.duckdb import in_little_memory
from delivery.warehouse.kinds import cast_back
from delivery.warehouse.rows import PIECE, no_rows, selection_of
from delivery.windows import Window

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from delivery.config.project import Project
    from delivery.ledger import Delivery, Ledger
    from delivery.schedule.jobs import Job
    from delivery.warehouse import Engine
    from delivery.warehouse.rows import Selection

KEY, CHANGED = "unique_key", "updated_at"
SENT, MEMBERS = "sent", "members"  # folders of the state directory
NOW = ".now"  # in the same folder: what is compared with a receipt, and may take its place
MEMORY = "96MB"


class Difference(NamedTuple):
    """Between a receipt and the table. entered, changed: keys of rows; left: by what the client knows those gone."""

    entered: pa.Array
    changed: pa.Array
    left: pa.RecordBatch

    def __bool__(self) -> bool:
        return bool(len(self.entered) or len(self.changed) or self.left.num_rows)

    def or_else(self, other: Difference) -> Difference:
        """What differs from one of two receipts of a window, where the client may have the rows of either."""
        keys = pa.concat_arrays([self.entered, self.changed, other.entered, other.changed]).unique().sort()
        left = pa.Table.from_batches([self.left, other.left]).group_by(KEY).aggregate([]).sort_by(KEY)
        return Difference(keys, keys[:0], next(iter(left.combine_chunks().to_batches()), self.left))


@dataclass(frozen=True)
class Content:
    """What a delivery's files hold, by kind of file; the plain file's kind is empty.

    selections: rows to be read. listed: rows that are in no table any more. rows: what the ledger records; of an
    audience all members, whatever is sent of them. holds: the rows of the window once a correction of single rows is
    applied, None of what is whole; the policies judge them. differs: None where nothing came before. since: the
    delivery that changes are told of.
    """

    rows: int
    selections: Mapping[str, Selection]
    listed: Mapping[str, pa.RecordBatch] = field(default_factory=dict)
    holds: int | None = None
    differs: bool | None = None
    since: str | None = None

    def is_skipped(self, empty: str) -> bool:
        """Whether there is nothing to be sent. empty: what the client wants of a delivery without rows."""
        if self.since:
            return empty == "skip" and not self.differs
        return self.differs is False or (self.holds is None and self.rows == 0 and empty == "skip")

    def told(self, job: Job, names: Mapping[str, list[str]]) -> Correction | Changes | None:
        """What the manifest says of a delivery that others came before. names: of files, by kind."""
        if self.since is not None:
            return Changes(since=self.since, entered=names["entered"], changed=names["changed"], left=names["left"])
        if job.corrects is None:
            return None
        withdrawn = names.get("withdrawn", [None])[0]
        return Correction(
            corrects=job.corrects, scope="whole" if self.holds is None else "changes", withdrawn=withdrawn
        )


class _Kind(NamedTuple):
    """What receipts hold of a row. names: by what the client knows it; mark: what is another when the row changed."""

    folder: str
    key: str
    names: tuple[str, ...]
    mark: str
    select: str  # key, names and mark as SQL
    reads: Selection

    def path(self, project: Project, delivery: str) -> Path:
        return project.state / self.folder / f"{delivery}.parquet"


def content_of(job: Job, selection: Selection, engine: Engine, project: Project, ledger: Ledger) -> Content:
    """What the delivery's files are to hold; keeps a receipt of the rows, for what comes after.

    Raises WriteFailed, also when the delivery that is corrected left no receipt.
    """
    kind = _kind(job, selection)
    if kind is None:
        return Content(selection.count(engine), {"": selection})
    if lack := unknown(job, project):
        raise lack
    now = _write(kind.path(project, job.key), kind, engine, project)
    cancelled: list[Delivery] = []
    if kind.folder == SENT:
        (past, cancelled), since = _before_and_after(job, ledger), job.corrects
    else:
        past, since = told_since(job, ledger)
    for row in past:
        kind.path(project, row.id).unlink(missing_ok=True)
    if since is None or not kind.path(project, since).is_file():
        return Content(selection.count(engine), {"": selection})
    found = _compare(kind.path(project, since), now, kind, project)
    if not job.corrects:
        chosen = replace(selection, key_column=kind.key)
        told = {"entered": replace(chosen, keys=found.entered), "changed": replace(chosen, keys=found.changed)}
        return Content(selection.count(engine), told, {"left": found.left}, differs=bool(found), since=since)
    for row in cancelled:
        if lack := _lack(row.id, project):
            raise lack
        found = found.or_else(_compare(kind.path(project, row.id), now, kind, project))
    if is_whole(job, selection.columns, ledger):
        return Content(selection.count(engine), {"": selection}, differs=bool(found))
    found = found._replace(left=_in_no_window(found.left, selection, engine, _first_day(job, ledger)))
    keys = pa.concat_arrays([found.entered, found.changed])
    gone = {"withdrawn": found.left} if found.left.num_rows else {}
    return Content(len(keys), {"": replace(selection, keys=keys)}, gone, selection.count(engine), differs=bool(found))


def unknown(job: Job, project: Project) -> WriteFailed | None:
    """Why a correction cannot be made, where there is no receipt of what it corrects."""
    return _lack(job.corrects, project) if job.corrects else None


def _lack(key: str, project: Project) -> WriteFailed | None:
    if (project.state / SENT / f"{key}.parquet").is_file():
        return None
    return WriteFailed(
        f"There is no record here of the rows that delivery {key[:12]} had.",
        hint="Run where it was delivered, or send the window again with --redeliver.",
    )


def _kind(job: Job, selection: Selection) -> _Kind | None:
    """None when nothing is told of a delivery later."""
    if job.campaign.export.mode == "changes":
        return _of_members(selection)
    return _of_window(selection) if job.campaign.is_corrected or job.corrects else None


def _of_window(selection: Selection) -> _Kind:
    return _Kind(SENT, KEY, (KEY,), CHANGED, f"{KEY}, {CHANGED}", replace(selection, columns=(KEY, CHANGED), kinds={}))


def _of_members(selection: Selection) -> _Kind:
    key, contacts = selection.dataset.key or "", selection.dataset.contacts
    kept = tuple(dict.fromkeys((key, *contacts)))
    # As JSON, so that no value can run into the next one.
    row = ", ".join(f"{identifier(f'c{n}')} := {identifier(name)}" for n, name in enumerate(selection.columns))
    names = ", ".join(f"cast({identifier(name)} as varchar) as {identifier(name)}" for name in kept)
    select = f"{names}, md5(cast(to_json(struct_pack({row})) as varchar)) as hash"
    reads = replace(selection, columns=tuple(dict.fromkeys((*kept, *selection.columns))))
    return _Kind(MEMBERS, key, contacts, "hash", select, reads)


def _first_day(job: Job, ledger: Ledger) -> date:
    """Of all that the client has of the campaign."""
    arrived = ledger.series(*job.series, deliveries.c.state.in_(ENDED_WELL))
    return min(date.fromisoformat(row.window_start) for row in arrived if row.window_start)


def _in_no_window(left: pa.RecordBatch, selection: Selection, engine: Engine, first: date) -> pa.RecordBatch:
    """Of keys that left a window, those that no other has: an earlier post takes an event to another day.

    first: what lies before it is in no window that the client has, or will have.
    """
    keys, there = left.column(KEY), []
    since = replace(selection, window=Window(first, date.max)).where()
    whole = f"select {KEY} from {selection.dataset.relation} where {since}"
    for start in range(0, len(keys), PIECE):
        some = ", ".join(map(literal, keys.slice(start, PIECE).to_pylist()))
        there += engine.table(f"{whole} and {KEY} in ({some})")[KEY].to_pylist()
    return left.filter(pc.invert(pc.is_in(keys, value_set=pa.array(there, keys.type))))


def _before_and_after(job: Job, ledger: Ledger) -> tuple[list[Delivery], list[Delivery]]:
    """Of the window, what came before the last delivery that the client has, and what was cancelled after it.

    Of the latter, those of which a part had left: the client may have their rows.
    """
    found = revisions(job, ledger)
    arrived = max((row.revision for row in found if row.state in ENDED_WELL), default=0)
    cancelled = [row for row in found if row.revision > arrived and row.state == State.CANCELLED]
    return [row for row in found if row.revision < arrived], [row for row in cancelled if has_left(row, ledger)]


def is_whole(job: Job, columns: tuple[str, ...], ledger: Ledger) -> bool:
    """Whether the correction must be the whole window: where rows have no key in the file, or nothing came before."""
    has_delivered = any(row.state == State.DELIVERED for row in revisions(job, ledger))
    return job.integration.existing == "replace" or KEY not in columns or not has_delivered


def differs(job: Job, engine: Engine, project: Project, *, keep: bool) -> bool:
    """Whether a window's rows are not those of its receipt; with `keep`, one of the same rows is as new as these."""
    kind = _of_window(selection_of(job, (KEY,)))
    sent = kind.path(project, job.key)
    with nullcontext(sent.parent / NOW) if keep else TemporaryDirectory() as folder:
        now = _write(Path(folder, "now.parquet"), kind, engine, project)
        found = bool(_compare(sent, now, kind, project))
        if keep and not found:
            now.replace(sent)
    return found


def _write(path: Path, kind: _Kind, engine: Engine, project: Project) -> Path:
    """A receipt of the rows as they are now, in any order, in the snapshot that the files are written from.

    Of a window's, the time of the file is that of the last build in it: thousands are told by a look at their folder.
    """
    columns = ", ".join(identifier(name) for name in kind.reads.columns)
    query = f"select {columns} from {kind.reads.dataset.relation} where {kind.reads.where()}"
    built = last_of(days_built(kind.reads.dataset, engine, kind.reads.window).values()) if kind.folder == SENT else None
    of_none = no_rows(engine.table(f"{query} limit 0").schema)
    unfinished = path.with_name(path.name + ".part")
    with writing(path), _duckdb(project) as connection:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        unfinished.unlink(missing_ok=True)
        with exclusive(unfinished) as disk, ExitStack() as stack:
            writer = None
            for batch in itertools.chain([of_none], engine.stream(query)):
                rows = pa.Table.from_batches([cast_back(batch, kind.reads.kinds)])  # noqa: F841 - found by its name
                kept = connection.sql(f"select {kind.select} from rows").to_arrow_table()
                if writer is None:
                    writer = stack.enter_context(pq.ParquetWriter(disk, kept.schema, compression="zstd"))
                writer.write_table(kept)
        if built:
            os.utime(unfinished, ns=(nanoseconds(built.began),) * 2)
        return unfinished.replace(path)


def _compare(sent: Path, now: Path, kind: _Kind, project: Project) -> Difference:
    """Between two receipts, each list sorted."""
    key, names, mark = identifier(kind.key), [identifier(name) for name in kind.names], identifier(kind.mark)
    known = " and ".join(f"now.{name} is not distinct from sent.{name}" for name in names)
    same = f"now.{key} = sent.{key} and {known}"
    queries = (
        f"select now.{key} from now anti join sent on {same} order by 1",
        f"select now.{key} from now join sent on {same} where now.{mark} is distinct from sent.{mark} order by 1",
        f"select distinct {', '.join(names)} from sent anti join now on {known} order by all nulls last",
    )
    with _duckdb(project) as connection:
        connection.read_parquet(str(sent)).create_view("sent")
        connection.read_parquet(str(now)).create_view("now")
        entered, changed, left = (connection.sql(query).to_arrow_table() for query in queries)
    gone = left.combine_chunks().to_batches() or [no_rows(left.schema)]
    return Difference(entered.column(0).combine_chunks(), changed.column(0).combine_chunks(), gone[0])


@contextmanager
def _duckdb(project: Project) -> Generator[duckdb.DuckDBPyConnection]:
    try:
        with _opened(tuple(in_little_memory(project, MEMORY).items())).cursor() as connection:
            yield connection
    except (duckdb.Error, pa.ArrowException) as error:
        raise WriteFailed(
            f"A receipt in {project.state} could not be written or read: {type(error).__name__}.",
            hint="Free space or permission there, then run again.",
        ) from None


@lru_cache(maxsize=1)
def _opened(settings: tuple[tuple[str, Any], ...]) -> duckdb.DuckDBPyConnection:
    """One for all receipts of a run: to open it costs more than to write a small one."""
    return duckdb.connect(config=dict(settings))


def kept(project: Project) -> dict[str, int]:
    """By delivery, the receipts of windows that are here, and as of which build: see `_write`."""
    with suppress(FileNotFoundError), os.scandir(project.state / SENT) as entries:
        found = (one for one in entries if one.name.endswith(".parquet"))
        return {one.name.removesuffix(".parquet"): one.stat().st_mtime_ns for one in found}
    return {}


def nanoseconds(at: datetime) -> int:
    """Since 1970, to the microsecond: what file systems keep of a time, without rounding."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000

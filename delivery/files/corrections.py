"""Late rows: what changed in a window since it was delivered, and sending it as a numbered correction.

Beside each delivery of a window lies a record of the rows that it had: their `unique_key` and `updated_at`, which is a
function of what the row was made of (docs/decisions/0005-updated-at.md). A later build of a day of the window is held
against it. The record lies in the state directory for two weeks and holds no column of a person.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from delivery.errors import WriteFailed
from delivery.ledger import Delivery, Ledger, deliveries
from delivery.schedule.jobs import Job
from delivery.schedule.slots import instant, window_on_record
from delivery.sql import identifier, literal
from delivery.warehouse import Engine, open_engine
from delivery.warehouse.rows import selection_of
from delivery.windows import parse_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date
    from pathlib import Path

    from delivery.config.campaigns import Campaign
    from delivery.config.integrations import Integration
    from delivery.config.project import Project
    from delivery.schedule.request import Request
    from delivery.warehouse.rows import Selection

KEY, CHANGED = "unique_key", "updated_at"
LOOKED_AT = timedelta(days=7)  # since a window's end: as long as webhooks are tried again, twice over
KEPT = timedelta(days=14)
SENT = ("delivered", "skipped")
BUILT = b"built"  # the record's own key: when the window's days had last been built


@dataclass(frozen=True)
class Changes:
    """unique_keys of a window, sorted. changed: of rows that are new or differ; withdrawn: of rows that are gone."""

    changed: pa.Array
    withdrawn: pa.Array

    def __bool__(self) -> bool:
        return bool(len(self.changed) or len(self.withdrawn))


def record(job: Job, selection: Selection, engine: Engine, folder: Path) -> None:
    """Keeps which rows the delivery has, in the snapshot that it was written from; nothing for current-state datasets.

    Raises WriteFailed.
    """
    if not job.campaign.is_corrected:
        return
    path = _path(folder, job.key)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)
        batches = _rows(selection, engine)
        schema = next(batches).schema.with_metadata({BUILT: _built(selection, engine).encode()})
        with pq.ParquetWriter(unfinished, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch.cast(schema))
        unfinished.replace(path)
    except OSError as error:
        raise WriteFailed(
            f"{path} could not be written: {error.strerror or type(error).__name__}.",
            hint="Free space or permission there, then run again.",
        ) from None


def changes(job: Job, selection: Selection, engine: Engine, folder: Path) -> Changes:
    """What differs now from the delivery that the job corrects. Raises WriteFailed when that left no record."""
    path = _path(folder, job.corrects or "")
    if not path.is_file():
        raise WriteFailed(
            f"There is no record here of the rows that delivery {(job.corrects or '')[:12]} had.",
            hint="Run where it was delivered, or send the window again with --redeliver.",
        )
    batches = _rows(selection, engine)
    schema = next(batches).schema
    now = pa.RecordBatchReader.from_batches(schema, batches)  # noqa: F841 - DuckDB finds it by its name
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": "192MB", "threads": 1, "temp_directory": str(folder / "scratch"),
    }  # fmt: skip
    with duckdb.connect(config=settings) as connection:
        found: pa.Table = connection.sql(
            f"""select coalesce(now.{KEY}, sent.{KEY}) as {KEY}, now.{KEY} is null as is_withdrawn
            from now full join read_parquet(?) as sent on now.{KEY} = sent.{KEY}
            where now.{CHANGED} is distinct from sent.{CHANGED} order by 1""",
            params=[str(path)],
        ).to_arrow_table()
    keys, gone = found.column(KEY).combine_chunks(), found.column("is_withdrawn").combine_chunks()
    return Changes(keys.filter(pc.invert(gone)), keys.filter(gone))


def is_whole(job: Job, columns: tuple[str, ...], ledger: Ledger) -> bool:
    """Whether the correction must be the whole window: where rows have no key in the file, or nothing came before."""
    if job.integration.existing == "replace" or KEY not in columns:
        return True
    return not any(row.state == "delivered" for row in _of_window(job, ledger))


def due(
    request: Request,
    campaigns: Mapping[str, Campaign],
    integrations: Mapping[str, Integration],
    project: Project,
    ledger: Ledger,
) -> list[Job]:
    """A correction for each delivered window that the request means and whose rows are not what they were.

    With `--due` those of the last seven days, otherwise those that are named.
    """
    days = _days(request)
    candidates = [
        job
        for campaign in campaigns.values()
        if campaign.is_corrected and (not request.select or campaign.name in request.select)
        for name in campaign.integrations
        if not request.integrations or name in request.integrations
        for job in _sent(campaign, name, integrations[name], days, ledger)
        if _path(project.state, job.key).is_file()
    ]
    _forget(project.state)
    if not candidates:
        return []
    with open_engine(project) as engine:
        return [_next(job) for job in candidates if _differs(job, engine, project.state)]


def _days(request: Request) -> tuple[date, date]:
    if request.window is not None:
        day = parse_day(request.window, request.at)
        return day, day
    if request.start is not None and request.end is not None:
        return parse_day(request.start, request.at), parse_day(request.end, request.at) - timedelta(days=1)
    return (request.at - LOOKED_AT).date(), request.at.date()


def _sent(
    campaign: Campaign, name: str, integration: Integration, days: tuple[date, date], ledger: Ledger
) -> Iterator[Job]:
    """The newest revision of each window that touches the days, where that one has ended well."""
    rows = ledger.find(
        deliveries.c.campaign == campaign.name,
        deliveries.c.integration == name,
        deliveries.c.namespace == integration.namespace,
        deliveries.c.window_end > days[0].isoformat(),
        deliveries.c.window_start <= days[1].isoformat(),
    )
    newest: dict[str | None, Delivery] = {}
    for row in rows:
        if row.window_start not in newest or row.revision > newest[row.window_start].revision:
            newest[row.window_start] = row
    for row in newest.values():
        if row.state in SENT:
            yield Job(campaign, name, integration, instant(row.slot), window_on_record(row), row.revision, row.corrects)


def _next(job: Job) -> Job:
    return replace(job, revision=job.revision + 1, corrects=job.key)


def _differs(job: Job, engine: Engine, state: Path) -> bool:
    """Compares only what was built since; what turns out to be the same is not compared again."""
    selection = selection_of(job, (KEY,))
    known = pq.read_schema(_path(state, job.key)).metadata[BUILT].decode()
    if known == _built(selection, engine):
        return False
    if changes(_next(job), selection, engine, state):
        return True
    record(job, selection, engine, state)
    return False


def _rows(selection: Selection, engine: Engine) -> Iterator[pa.RecordBatch]:
    """Keys and times of the window's rows, first a batch without rows."""
    where = selection.where()
    query = f"select {identifier(KEY)}, {identifier(CHANGED)} from {selection.dataset.relation} where {where}"
    schema = engine.table(f"{query} limit 0").schema
    yield pa.RecordBatch.from_pylist([], schema=schema)
    yield from engine.stream(query)


def _built(selection: Selection, engine: Engine) -> str:
    schema = selection.dataset.relation.rsplit(".", 1)[0]
    window = selection.window
    bounds = f" and event_day >= date '{window.start}' and event_day < date '{window.end}'" if window else ""
    query = f"select max(started_at) as built from {schema}.build_days where unique_id = "
    return str(engine.table(query + literal(selection.dataset.unique_id) + bounds)["built"][0].as_py())


def _of_window(job: Job, ledger: Ledger) -> Iterable[Delivery]:
    window = job.window
    return ledger.find(
        deliveries.c.campaign == job.campaign.name,
        deliveries.c.integration == job.integration_name,
        deliveries.c.namespace == job.integration.namespace,
        deliveries.c.window_start == (window.start.isoformat() if window else None),
        deliveries.c.window_end == (window.end.isoformat() if window else None),
    )


def _forget(state: Path) -> None:
    oldest = time.time() - KEPT.total_seconds()
    for path in (state / "sent").glob("*"):
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)


def _path(state: Path, key: str) -> Path:
    return state / "sent" / f"{key}.parquet"

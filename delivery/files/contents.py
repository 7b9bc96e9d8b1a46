"""What the files of one delivery hold: a window or the current state, what changed of it since, and who left."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from delivery.files import corrections, memberships
from delivery.files.manifest import Changes, Correction

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from delivery.ledger import Ledger
    from delivery.schedule.jobs import Job
    from delivery.warehouse import Engine
    from delivery.warehouse.rows import Selection

Names = dict[str, list[str]]  # of files, by kind


@dataclass(frozen=True)
class Content:
    """What a delivery's files hold, by kind of file; the plain file's kind is empty.

    selections: rows to be read. listed: rows that are in no table any more. rows: what the ledger records, and the
    policies judge if is_judged; of an audience all members, whatever is sent of them. differs: None where nothing came
    before. since: the delivery that changes are told of.
    """

    rows: int
    selections: Mapping[str, Selection]
    listed: Mapping[str, pa.RecordBatch] = field(default_factory=dict)
    is_judged: bool = True
    differs: bool | None = None
    since: str | None = None

    def is_skipped(self, empty: str) -> bool:
        """Whether there is nothing to be sent. empty: what the client wants of a delivery without rows."""
        if self.since:
            return empty == "skip" and not self.differs
        return self.differs is False or (self.is_judged and self.rows == 0 and empty == "skip")

    def correction(self, job: Job, names: Names) -> Correction | None:
        """What the manifest says of a correction."""
        if job.corrects is None:
            return None
        withdrawn = names.get("withdrawn", [None])[0]
        return Correction(corrects=job.corrects, scope="whole" if self.is_judged else "changes", withdrawn=withdrawn)

    def changes(self, names: Names) -> Changes | None:
        """What the manifest says of a delivery of changes."""
        if self.since is None:
            return None
        return Changes(since=self.since, entered=names["entered"], changed=names["changed"], left=names["left"])


def content_of(job: Job, selection: Selection, engine: Engine, state: Path, ledger: Ledger) -> Content:
    """What the delivery's files are to hold; keeps a record of the rows, for what comes after. Raises WriteFailed."""
    since = memberships.changes(job, selection, engine, state, ledger)
    content = _of_members(selection, since, engine) if since else _of_rows(job, selection, engine, state, ledger)
    corrections.record(job, selection, engine, state)
    return content


def _of_members(selection: Selection, since: memberships.Changes, engine: Engine) -> Content:
    chosen = replace(selection, key_column=selection.dataset.key or "")
    return Content(
        rows=selection.count(engine),
        selections={
            "entered": replace(chosen, keys=since.entered),
            "changed": replace(chosen, keys=since.changed),
        },
        listed={"left": since.left},
        differs=not since.are_none,
        since=since.since,
    )


def _of_rows(job: Job, selection: Selection, engine: Engine, state: Path, ledger: Ledger) -> Content:
    if not job.corrects:
        return Content(selection.count(engine), {"": selection})
    found = corrections.changes(job, selection, engine, state)
    if corrections.is_whole(job, selection.columns, ledger):
        return Content(selection.count(engine), {"": selection}, differs=bool(found))
    gone = pa.RecordBatch.from_arrays([found.withdrawn], names=[corrections.KEY])
    return Content(
        rows=len(found.changed),
        selections={"": replace(selection, keys=found.changed)},
        listed={"withdrawn": gone} if gone.num_rows else {},
        is_judged=False,
        differs=bool(found),
    )

"""Writing one delivery's files to the spool, proving them, and recording their hashes."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from delivery import corrections, files, manifest_file, policies
from delivery.encryption import check_certificate, encrypt
from delivery.engines import Engine, literal
from delivery.errors import GateRefused, WriteFailed
from delivery.parts import Part, write_parts
from delivery.reread import Dialect, Rows, compare, read_back
from delivery.rows import OutOfOrder, Selection, read, read_again
from delivery.sealed import Seal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from delivery.campaigns import Campaign, Manifest
    from delivery.files import Renames
    from delivery.gate import Verdict
    from delivery.integrations import Integration
    from delivery.ledger import Ledger
    from delivery.plan import Job
    from delivery.project import Project

DONE_SUFFIX = ".done"


@dataclass(frozen=True)
class _Content:
    """What a delivery's files hold. withdrawn: unique_keys that are no more; differs: None if nothing is corrected."""

    selection: Selection
    withdrawn: pa.Array | None = None
    differs: bool | None = None

    @property
    def is_whole(self) -> bool:
        return self.selection.keys is None

    @property
    def lists(self) -> bool:
        return self.withdrawn is not None and len(self.withdrawn) > 0

    @property
    def is_nothing(self) -> bool:
        return self.differs is False

    def correction(self, job: Job, withdrawn: list[Part]) -> manifest_file.Correction | None:
        if job.corrects is None:
            return None
        listed = withdrawn[0].path.name if withdrawn else None
        return manifest_file.Correction(
            corrects=job.corrects, scope="whole" if self.is_whole else "changes", withdrawn=listed
        )


def spool(
    job: Job,
    columns: tuple[str, ...],
    verdict: Verdict,
    engine: Engine,
    manifest: Manifest,
    project: Project,
    ledger: Ledger,
    destination: str,
    accepted: str | None = None,
) -> None:
    """Writes the files and the manifest, proves the files by reading them, and moves the delivery to `spooled`.

    An empty window is `skipped` or refused if the campaign or integration says so. accepted: why a row count out of
    bounds may leave. Raises WriteFailed, GateRefused or ConfigError; then the delivery stays `planned` and nothing of
    it remains.
    """
    content = _content(job, columns, engine, project, ledger)
    rows = content.selection.count(engine)
    if content.is_whole and (refusal := policies.refusal(job, rows, ledger)):
        if accepted is None:
            raise refusal
        ledger.note(job.key, f"row count accepted: {accepted}; {refusal.message}")
    if rows == 0 and content.is_whole and job.empty == "fail":
        raise GateRefused(
            f"{job.campaign.dataset.name} has no rows for {job.integration.namespace} in {job.when}.",
            hint="Find out why; or set `empty: header` or `empty: skip` for the campaign or the integration.",
        )
    if content.is_nothing or (rows == 0 and content.is_whole and job.empty == "skip"):
        ledger.advance(job.key, "planned", "skipped", note="no rows", rows=0)
        return
    folder = project.spool / job.key[:32]
    clear(folder)
    folder.mkdir(parents=True, mode=0o700)
    try:
        parts = _write_and_prove(job, content.selection, engine, folder, spellings(job.campaign, manifest, engine))
        withdrawn = _write_withdrawn(job, content.withdrawn, folder) if content.lists else []
        listed = [(part.path.name, part.written) for part in [*parts, *withdrawn]]
        recorded = [
            _row(number, "data", part.path, part.written.rows, part.written.bytes, part.written.sha256, destination)
            for number, part in enumerate([*parts, *withdrawn])
        ]
        if job.integration.manifest:
            correction = content.correction(job, withdrawn)
            text = manifest_file.render(job, columns, listed, verdict.invocation_id, correction)
            beside = folder / (listed[0][0] + files.MANIFEST_SUFFIX)
            with files.exclusive(beside) as disk:
                disk.write(text)
            recorded.append(
                _row(len(recorded), "manifest", beside, None, len(text), files.hash_file(beside), destination)
            )
        if job.integration.has_done_file:
            last = folder / (listed[0][0] + DONE_SUFFIX)
            with files.exclusive(last):
                pass
            recorded.append(_row(len(recorded), "done", last, None, 0, files.hash_file(last), destination))
    except BaseException:
        clear(folder)
        raise
    ledger.spooled(job.key, recorded, rows=rows, invocation_id=verdict.invocation_id)


def _content(job: Job, columns: tuple[str, ...], engine: Engine, project: Project, ledger: Ledger) -> _Content:
    """The window's rows, or what changed of them; keeps a record of the rows, for later corrections."""
    selection = job.selection(columns)
    content = _Content(selection)
    if job.corrects:
        found = corrections.changes(job, selection, engine, project.state)
        content = _Content(selection, differs=bool(found))
        if not corrections.is_whole(job, columns, ledger):
            content = _Content(replace(selection, keys=found.changed), found.withdrawn, bool(found))
    corrections.record(job, selection, engine, project.state)
    return content


def clear(folder: Path) -> None:
    """Removes a delivery's spool folder."""
    shutil.rmtree(folder, ignore_errors=True)


def spellings(campaign: Campaign, manifest: Manifest, engine: Engine) -> dict[str, dict[str, str]]:
    """Per column, the client's spelling of its values: the event names of the seed `event_spellings`.

    Raises GateRefused when the seed does not know the campaign's spelling.
    """
    asked = campaign.export.layout.event_names
    if asked == "default":
        return {}
    seed = next(
        (
            node
            for node in manifest["nodes"].values()
            if node["resource_type"] == "seed" and node["name"] == "event_spellings"
        ),
        None,
    )
    rows = (
        engine.table(f"select event, name from {seed['relation_name']} where spelling = {literal(asked)}").to_pylist()
        if seed
        else []
    )
    if not rows:
        raise GateRefused(
            f"{campaign.name}: the seed event_spellings has no spelling {asked!r}.",
            hint="Add it to seeds/event_spellings.csv and build.",
        )
    return {"event": {row["event"]: row["name"] for row in rows}}


def _write_and_prove(job: Job, selection: Selection, engine: Engine, folder: Path, renames: Renames) -> list[Part]:
    """The files as they will leave. Where they are to be encrypted, what is proven lies sealed until then."""
    certificate = job.integration.public_key
    if certificate:
        check_certificate(certificate)
    parts, ordered = _write(_places(job, folder), engine, selection, job.integration, renames)
    _prove(parts, selection, job.integration, engine, renames, ordered=ordered)
    return [_encrypted(part, certificate) for part in parts] if certificate else parts


def _write_withdrawn(job: Job, keys: pa.Array, folder: Path) -> list[Part]:
    """The file that lists rows which are no more: one column, in the client's dialect, proven as the others are."""
    certificate, batch = job.integration.public_key, pa.RecordBatch.from_arrays([keys], names=[corrections.KEY])
    integration = job.integration.model_copy(update={"split": None})
    (part,) = write_parts(_places(job, folder, "withdrawn"), [batch], integration, {})
    dialect = Dialect(part.path.name, integration, {})
    seen = compare(read_back(partial(_opened, part), batch.schema, dialect), Rows([batch]), "", dialect)
    if not seen == part.written.rows == batch.num_rows:
        raise WriteFailed(
            f"{part.path.name}: {seen} of {batch.num_rows} rows were read back.",
            hint="Nothing was sent. This is a defect: report it.",
        )
    return [_encrypted(part, certificate)] if certificate else [part]


def _places(job: Job, folder: Path, kind: str = "") -> Callable[[int], tuple[Path, Seal | None]]:
    now = datetime.now(UTC)

    def place(number: int) -> tuple[Path, Seal | None]:
        name = job.file_name(now, number, kind)
        return (folder / f"{name}.sealed", Seal()) if job.integration.public_key else (folder / name, None)

    return place


def _write(
    place: Callable[[int], tuple[Path, Seal | None]],
    engine: Engine,
    selection: Selection,
    integration: Integration,
    renames: Renames,
) -> tuple[list[Part], bool]:
    """The parts, and whether their rows had to be sorted."""

    def write(*, ordered: bool) -> list[Part]:
        done: list[Part] = []
        for piece in selection.by_day() if integration.split and integration.split.by == "day" else [selection]:
            rows = read(engine, piece, ordered=ordered)
            done += write_parts(place, rows, integration, renames, first=len(done) + 1)
        return done

    if engine.keeps_order:
        try:
            return write(ordered=False), False
        except OutOfOrder:  # rebuilt by hand, or by more than one build: sort after all
            for path in place(1)[0].parent.iterdir():
                path.unlink()
    return write(ordered=True), True


def _prove(
    parts: list[Part],
    selection: Selection,
    integration: Integration,
    engine: Engine,
    renames: Renames,
    *,
    ordered: bool,
) -> None:
    """Reads the files again and holds every cell against a second query. Raises WriteFailed when they differ."""
    expected, again = selection.count(engine), []
    with closing(read_again(engine, selection, ordered=ordered)) as table:
        schema = next(table).schema
        rows = Rows(table)
        for part in parts:
            dialect = Dialect(part.path.name, integration, renames)
            seen = read_back(partial(_opened, part), schema, dialect)
            again.append(compare(seen, rows, integration.namespace, dialect))
    written = [part.written.rows for part in parts]
    if written != again or sum(again) != expected:
        raise WriteFailed(
            f"{parts[0].path.name}: the table has {expected} rows, {sum(written)} were written and {sum(again)} read "
            "back.",
            hint="Nothing was sent. This is a defect: report it.",
        )


def _opened(part: Part) -> IO[bytes]:
    return part.seal.reader(part.path) if part.seal else part.path.open("rb")


def _encrypted(part: Part, certificate: Path) -> Part:
    """The part encrypted, if what is encrypted has the hash of what was proven."""
    target = part.path.with_suffix("")  # without .sealed
    with _opened(part) as source:
        done = encrypt(source, target, certificate)
    if done.source_sha256 != part.written.sha256:
        raise WriteFailed(f"{target.name} changed before it was encrypted.", hint="Check the local disk, run again.")
    part.path.unlink()
    return Part(target, replace(part.written, bytes=done.bytes, sha256=done.sha256), None)


def _row(
    part: int, role: str, path: Path, rows: int | None, size: int, sha256: str, destination: str
) -> dict[str, Any]:
    return {
        "part": part,
        "role": role,
        "name": path.name,
        "spool": str(path),
        "rows": rows,
        "bytes": size,
        "sha256": sha256,
        "destination": destination,
    }

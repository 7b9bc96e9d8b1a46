"""Writing one delivery's files to the spool, proving them, and recording their hashes."""

from __future__ import annotations

import json
import shutil
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from delivery.errors import GateRefused, WriteFailed
from delivery.files import manifest as manifest_file
from delivery.files import writer
from delivery.files.contents import content_of
from delivery.files.nameless import Nameless
from delivery.files.openpgp import check_certificate, encrypt
from delivery.files.parts import Part, write_parts
from delivery.files.proof import Dialect, Rows, compare, read_back
from delivery.gate import bounds
from delivery.schedule.names import DONE_SUFFIX, MANIFEST_SUFFIX
from delivery.sql import literal
from delivery.warehouse.rows import OutOfOrder, read, read_again, selection_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyarrow as pa

    from delivery.config.campaigns import Campaign
    from delivery.config.datasets import Manifest
    from delivery.config.integrations import Integration
    from delivery.config.project import Project
    from delivery.files.contents import Content
    from delivery.files.writer import Renames
    from delivery.gate.judge import Gate, Verdict
    from delivery.ledger import Layout, Ledger
    from delivery.schedule.jobs import Job
    from delivery.warehouse import Engine
    from delivery.warehouse.rows import Selection


def spool(
    job: Job,
    layout: Layout,
    verdict: Verdict,
    gate: Gate,
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
    content = content_of(job, selection_of(job, layout.columns, layout.kinds), engine, project.state, ledger)
    _judge(job, content, ledger, accepted)
    about = {"layout": json.dumps({"columns": layout.columns, "kinds": layout.kinds}), "since": content.since}
    if content.is_skipped(job.empty):
        if verdict.passed:
            gate.check_unchanged(job.campaign.dataset)
        ledger.advance(job.key, "planned", "skipped", note="no rows", rows=content.rows, **about)
        return
    folder = project.spool / job.key[:32]
    clear(folder)
    folder.mkdir(parents=True, mode=0o700)
    try:
        parts = _write_all(job, content, engine, folder, spellings(job.campaign, manifest, engine))
        listed = [part for kind in parts for part in parts[kind]]
        recorded = [
            _row(number, "data", part.path, part.written.rows, part.written.bytes, part.written.sha256, destination)
            for number, part in enumerate(listed)
        ]
        first = listed[0].path.name
        if job.integration.manifest:
            names = {kind: [part.path.name for part in found] for kind, found in parts.items()}
            text = manifest_file.render(
                job,
                layout.columns,
                [(part.path.name, part.written) for part in listed],
                verdict.invocation_id,
                content.correction(job, names),
                content.changes(names),
            )
            beside = folder / (first + MANIFEST_SUFFIX)
            with writer.exclusive(beside) as disk:
                disk.write(text)
            recorded.append(
                _row(len(recorded), "manifest", beside, None, len(text), writer.hash_file(beside), destination)
            )
        if job.integration.has_done_file:
            last = folder / (first + DONE_SUFFIX)
            with writer.exclusive(last):
                pass
            recorded.append(_row(len(recorded), "done", last, None, 0, writer.hash_file(last), destination))
        if verdict.passed:
            gate.check_unchanged(job.campaign.dataset)
    except BaseException:
        clear(folder)
        raise
    ledger.spooled(job.key, recorded, rows=content.rows, invocation_id=verdict.invocation_id, **about)
    if content.since:
        counts = ", ".join(f"{sum(part.written.rows for part in found)} {kind}" for kind, found in parts.items())
        ledger.note(job.key, f"since delivery {content.since[:12]}: {counts}")


def _judge(job: Job, content: Content, ledger: Ledger, accepted: str | None) -> None:
    """The policies on the number of rows. Raises GateRefused."""
    if not content.is_judged:
        return
    if refusal := bounds.refusal(job, content.rows, ledger):
        if accepted is None:
            raise refusal
        ledger.note(job.key, f"row count accepted: {accepted}; {refusal.message}")
    if content.rows == 0 and job.empty == "fail":
        raise GateRefused(
            f"{job.campaign.dataset.name} has no rows for {job.integration.namespace} in {job.when}.",
            hint="Find out why; or set `empty: header` or `empty: skip` for the campaign or the integration.",
        )


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


def _write_all(job: Job, content: Content, engine: Engine, folder: Path, renames: Renames) -> dict[str, list[Part]]:
    """The files as they will leave, by kind. Where they are to be encrypted, what is proven has no name until then."""
    certificate = job.integration.public_key
    if certificate:
        check_certificate(certificate)
    parts: dict[str, list[Part]] = {}
    with closing(Nameless(folder)) if certificate else nullcontext() as plain:
        for kind, selection in content.selections.items():
            found, ordered = _write(_places(job, folder, kind), engine, selection, job.integration, renames, plain)
            _prove(found, selection, job.integration, engine, renames, ordered=ordered)
            parts[kind] = [_encrypted(part, certificate) for part in found] if certificate else found
        for kind, batch in content.listed.items():
            part = _write_listed(job, batch, kind, folder, plain)
            parts[kind] = [_encrypted(part, certificate) if certificate else part]
    return parts


def _write_listed(job: Job, batch: pa.RecordBatch, kind: str, folder: Path, plain: Nameless | None) -> Part:
    """The file that lists what is in no table any more, in the client's dialect, proven as the others are."""
    integration = job.integration.model_copy(update={"split": None})
    (part,) = write_parts(_places(job, folder, kind), [batch], integration, {}, plain=plain)
    dialect = Dialect(part.path.name, integration, {})
    seen = compare(read_back(part.opened, batch.schema, dialect), Rows([batch]), "", dialect)
    if not seen == part.written.rows == batch.num_rows:
        raise WriteFailed(
            f"{part.path.name}: {seen} of {batch.num_rows} rows were read back.",
            hint="Nothing was sent. This is a defect: report it.",
        )
    return part


def _places(job: Job, folder: Path, kind: str = "") -> Callable[[int], Path]:
    now = datetime.now(UTC)
    return lambda number: folder / job.file_name(now, number, kind)


def _write(
    place: Callable[[int], Path],
    engine: Engine,
    selection: Selection,
    integration: Integration,
    renames: Renames,
    plain: Nameless | None,
) -> tuple[list[Part], bool]:
    """The parts, and whether their rows had to be sorted."""
    written: list[Path] = []
    begun = plain.size if plain else 0

    def placed(number: int) -> Path:
        written.append(place(number))
        return written[-1]

    def write(*, ordered: bool) -> list[Part]:
        done: list[Part] = []
        for piece in selection.by_day() if integration.split and integration.split.by == "day" else [selection]:
            rows = read(engine, piece, ordered=ordered)
            done += write_parts(placed, rows, integration, renames, first=len(done) + 1, plain=plain)
        return done

    if engine.keeps_order:
        try:
            return write(ordered=False), False
        except OutOfOrder:  # rebuilt by hand, or by more than one build: sort after all
            for path in written:
                path.unlink(missing_ok=True)
            if plain:
                plain.cut(begun)
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
            seen = read_back(part.opened, schema, dialect)
            again.append(compare(seen, rows, integration.namespace, dialect))
    written = [part.written.rows for part in parts]
    if written != again or sum(again) != expected:
        raise WriteFailed(
            f"{parts[0].path.name}: the table has {expected} rows, {sum(written)} were written and {sum(again)} read "
            "back.",
            hint="Nothing was sent. This is a defect: report it.",
        )


def _encrypted(part: Part, certificate: Path) -> Part:
    """The part encrypted, if what is encrypted has the hash of what was proven."""
    with part.opened() as source:
        done = encrypt(source, part.path, certificate)
    if done.source_sha256 != part.written.sha256:
        raise WriteFailed(f"{part.path.name} changed before it was encrypted.", hint="Check the local disk, run again.")
    return Part(part.path, replace(part.written, bytes=done.bytes, sha256=done.sha256))


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

"""Writing one delivery's files to the spool, proving them, and recording their hashes."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from delivery import files, manifest_file, policies
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
    selection = job.selection(columns)
    rows = selection.count(engine)
    if refusal := policies.refusal(job, rows, ledger):
        if accepted is None:
            raise refusal
        ledger.note(job.key, f"row count accepted: {accepted}; {refusal.message}")
    if rows == 0 and job.empty == "fail":
        raise GateRefused(
            f"{job.campaign.dataset.name} has no rows for {job.integration.namespace} in {job.when}.",
            hint="Find out why; or set `empty: header` or `empty: skip` for the campaign or the integration.",
        )
    if rows == 0 and job.empty == "skip":
        ledger.advance(job.key, "planned", "skipped", note="no rows", rows=0)
        return
    folder = project.spool / job.key[:32]
    clear(folder)
    folder.mkdir(parents=True, mode=0o700)
    try:
        parts = _write_and_prove(job, selection, engine, folder, spellings(job.campaign, manifest, engine))
        listed = [(part.path.name, part.written) for part in parts]
        recorded = [
            _row(number, "data", part.path, part.written.rows, part.written.bytes, part.written.sha256, destination)
            for number, part in enumerate(parts)
        ]
        if job.integration.manifest:
            content = manifest_file.render(job, columns, listed, verdict.invocation_id)
            beside = folder / (listed[0][0] + files.MANIFEST_SUFFIX)
            with files.exclusive(beside) as disk:
                disk.write(content)
            digest = files.hash_file(beside)
            recorded.append(_row(len(parts), "manifest", beside, None, len(content), digest, destination))
    except BaseException:
        clear(folder)
        raise
    ledger.spooled(job.key, recorded, rows=rows, invocation_id=verdict.invocation_id)


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
    certificate, now = job.integration.public_key, datetime.now(UTC)

    def place(number: int) -> tuple[Path, Seal | None]:
        name = job.file_name(now, number)
        return (folder / f"{name}.sealed", Seal()) if certificate else (folder / name, None)

    if certificate:
        check_certificate(certificate)
    parts, ordered = _write(place, engine, selection, job.integration, renames)
    _prove(parts, selection, job.integration, engine, renames, ordered=ordered)
    return [_encrypted(part, certificate) for part in parts] if certificate else parts


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

"""Writing one delivery's files to the spool, proving them, and recording their hashes."""

from __future__ import annotations

import itertools
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from delivery.errors import GateRefused, WriteFailed
from delivery.files import layouts, policies
from delivery.files.disk import clear, exclusive, folder_of, hash_file
from delivery.files.manifest import DeliveryManifest
from delivery.files.nameless import Nameless
from delivery.files.openpgp import check_certificates, encrypt
from delivery.files.parts import Part, write_parts
from delivery.files.receipts import content_of
from delivery.files.stages import ahead
from delivery.ledger import Role, State
from delivery.schedule.names import DONE_SUFFIX, MANIFEST_SUFFIX, file_name
from delivery.warehouse.rows import OutOfOrder, Tally, count_again, read, selection_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyarrow as pa

    from delivery.config.datasets import Manifest
    from delivery.config.integrations import Integration
    from delivery.config.project import Project
    from delivery.files.receipts import Content
    from delivery.files.writer import Renames
    from delivery.gate.judge import Gate, Verdict
    from delivery.ledger import Layout, Ledger
    from delivery.schedule.jobs import Job
    from delivery.warehouse import Engine
    from delivery.warehouse.rows import Selection


@dataclass(frozen=True)
class Spool:
    """Where the deliveries of one run are written, all from one snapshot. manifest: dbt's."""

    project: Project
    ledger: Ledger
    engine: Engine
    gate: Gate
    manifest: Manifest

    def write(self, job: Job, layout: Layout, verdict: Verdict, destination: str, accepted: str | None = None) -> None:
        """Writes the files and the manifest, proves the files by reading them, and moves the delivery to `spooled`.

        An empty window is `skipped` or refused if the campaign or integration says so. accepted: why a row count out
        of bounds may leave. Raises WriteFailed, GateRefused or ConfigError; then the delivery stays `planned` and
        nothing of it remains.
        """
        selection = selection_of(job, layout.columns, layout.kinds)
        content = content_of(job, selection, self.engine, self.project, self.ledger)
        policies.judge(job, content, self.ledger, accepted)
        about = {
            "rows": content.rows,
            "layout": layouts.as_json(layout),
            "since": content.since,
            "rejected": verdict.rejected.rows if verdict.rejected else 0,
        }
        if content.is_skipped(job.empty):
            self._check_unchanged(job, verdict)
            self.ledger.advance(
                job.key, State.PLANNED, State.SKIPPED, note="no rows", spooled_by=self.ledger.runner, **about
            )
            return
        folder = folder_of(self.project, job.key)
        clear(folder)
        folder.mkdir(parents=True, mode=0o700)
        try:
            parts = _write_all(
                job, content, self.engine, folder, policies.spellings(job.campaign, self.manifest, self.engine)
            )
            told = content.told(job, {kind: [part.path.name for part in found] for kind, found in parts.items()})
            data = list(itertools.chain(*parts.values()))
            rows = [_row(Role.DATA, p.path, p.written.bytes, p.written.sha256, p.written.rows) for p in data]
            built = (verdict.built_at, verdict.data_until)
            manifest = DeliveryManifest.of(job, layout.columns, data, verdict.invocation_id, told, built)
            beside = [(Role.MANIFEST, MANIFEST_SUFFIX, manifest.content())] if job.integration.manifest else []
            beside += [(Role.DONE, DONE_SUFFIX, b"")] if job.integration.has_done_file else []
            for role, suffix, text in beside:
                path = folder / (data[0].path.name + suffix)
                with exclusive(path) as disk:
                    disk.write(text)
                rows.append(_row(role, path, len(text), hash_file(path)))
            self._check_unchanged(job, verdict)
        except BaseException:
            clear(folder)
            raise
        recorded = [{"part": number, "destination": destination, **row} for number, row in enumerate(rows)]
        self.ledger.spooled(job.key, recorded, invocation_id=verdict.invocation_id, destination=destination, **about)
        if content.since:
            counts = ", ".join(f"{sum(part.written.rows for part in found)} {kind}" for kind, found in parts.items())
            self.ledger.note(job.key, f"since delivery {content.since[:12]}: {counts}")

    def _check_unchanged(self, job: Job, verdict: Verdict) -> None:
        if verdict.passed:
            self.gate.check_unchanged(job.campaign.dataset)


def _write_all(job: Job, content: Content, engine: Engine, folder: Path, renames: Renames) -> dict[str, list[Part]]:
    """The files as they will leave, by kind. Where they are to be encrypted, what is proven has no name until then."""
    certificates = job.integration.certificates
    check_certificates(certificates)
    with closing(Nameless(folder)) if certificates else nullcontext() as plain:
        files = Files(job, folder, renames, plain)
        parts = {kind: files.of_rows(kind, selection, engine) for kind, selection in content.selections.items()}
        parts |= {kind: [files.of_list(kind, batch)] for kind, batch in content.listed.items()}
        if certificates:
            parts = {kind: [_encrypted(part, job.integration) for part in found] for kind, found in parts.items()}
    return parts


class Files:
    """One delivery's files, written and proven by reading them. plain: takes their bytes in place of the folder."""

    def __init__(self, job: Job, folder: Path, renames: Renames, plain: Nameless | None = None) -> None:
        self._job, self._folder, self._renames, self._plain = job, folder, renames, plain
        self._now = datetime.now(UTC)

    def of_rows(self, kind: str, selection: Selection, engine: Engine) -> list[Part]:
        """The parts with the rows of a table.

        Raises WriteFailed when they do not read back the same, or a query that counts finds other rows or values.
        """
        parts, seen = self._write(kind, selection, engine)
        written, counted = sum(part.written.rows for part in parts), count_again(engine, selection)
        if not counted.rows == seen.rows == written:
            what = f"the table has {counted.rows} rows, {seen.rows} were read and {written} written."
            raise _defect(parts[0], what)
        for name, values in counted.values.items():
            if seen.values[name] != values:
                raise _defect(parts[0], f"{name} has {values} values in the table, {seen.values[name]} were read.")
        return parts

    def of_list(self, kind: str, batch: pa.RecordBatch) -> Part:
        """The file that lists what is in no table any more, in the client's dialect, proven as the others are."""
        integration = self._job.integration.model_copy(update={"split": None})
        (part,) = write_parts(self._place(kind), [batch], integration, {}, plain=self._plain)
        return part

    def _place(self, kind: str) -> Callable[[int], Path]:
        return lambda number: self._folder / file_name(self._job, self._now, number, kind)

    def _write(self, kind: str, selection: Selection, engine: Engine) -> tuple[list[Part], Tally]:
        """The parts, and what was read for them; once more in order where the table is not stored so."""
        integration, begun = self._job.integration, self._plain.size if self._plain else 0
        written: list[Path] = []

        def placed(number: int) -> Path:
            written.append(self._place(kind)(number))
            return written[-1]

        def write(*, ordered: bool) -> tuple[list[Part], Tally]:
            done, tally = list[Part](), Tally()
            for piece in _pieces(selection, integration):
                with closing(ahead(tally.of(read(engine, piece, ordered=ordered)))) as rows:
                    done += write_parts(
                        placed, rows, integration, self._renames, first=len(done) + 1, plain=self._plain
                    )
            return done, tally

        if engine.keeps_order:
            try:
                return write(ordered=False)
            except OutOfOrder:  # rebuilt by hand, or by more than one build: sort after all
                for path in written:
                    path.unlink(missing_ok=True)
                if self._plain:
                    self._plain.cut(begun)
        return write(ordered=True)


def _pieces(selection: Selection, integration: Integration) -> list[Selection]:
    """The same rows, as they are read one after the other, where each of a day or of a value begins a part."""
    split = integration.split
    if split is None or split.by is None:
        return [selection]
    column = split.column
    if column is None:
        return selection.by_day()
    if not integration.split_values:
        raise GateRefused(
            f"split by {column}: the files have rows of every {column} since the campaign's first delivery.",
            hint="Start a new campaign with the new layout, or split in another way.",
        )
    return [replace(selection, rows={**selection.rows, column: (one,)}) for one in integration.split_values]


def _defect(part: Part, what: str) -> WriteFailed:
    return WriteFailed(f"{part.path.name}: {what}", hint="Nothing was sent. This is a defect: report it.")


def _encrypted(part: Part, how: Integration) -> Part:
    """The part encrypted, if what is encrypted has the hash of what was proven."""
    with part.opened() as source:
        done = encrypt(source, part.path, how.certificates, armor=how.armor, signature=how.signature)
    if done.source_sha256 != part.written.sha256:
        raise WriteFailed(f"{part.path.name} changed before it was encrypted.", hint="Check the local disk, run again.")
    return Part(part.path, replace(part.written, bytes=done.bytes, sha256=done.sha256))


def _row(role: Role, path: Path, size: int, sha256: str, rows: int | None = None) -> dict[str, Any]:
    return {"role": role, "name": path.name, "spool": str(path), "rows": rows, "bytes": size, "sha256": sha256}

"""Writing one delivery's files to the spool, proving them, and recording their hashes."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from delivery import files, manifest_file
from delivery.engines import Engine, literal
from delivery.errors import GateRefused, WriteFailed
from delivery.reread import Dialect, compare, read_back
from delivery.rows import OutOfOrder, Selection, read, read_again

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from delivery.campaigns import Campaign, Manifest
    from delivery.files import Written
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
) -> None:
    """Writes the data file and the manifest, reads the data file again, and moves the delivery to `spooled`.

    An empty window is `skipped` or refused if the integration says so. Raises WriteFailed or GateRefused; then the
    delivery stays `planned` and nothing of it remains.
    """
    folder = project.spool / job.key[:32]
    clear(folder)
    folder.mkdir(parents=True, mode=0o700)
    name = job.file_name(datetime.now(UTC))
    path = folder / name
    selection = job.selection(columns)
    renames = spellings(job.campaign, manifest, engine)
    written, ordered = _write(path, engine, selection, job.integration, renames)
    _prove(path, written, selection, job.integration, engine, renames, ordered=ordered)
    if written.rows == 0 and job.integration.empty != "header":
        clear(folder)
        if job.integration.empty == "fail":
            raise GateRefused(
                f"{job.campaign.dataset.name} has no rows for {job.integration.namespace} in {job.when}.",
                hint="Find out why; or set `empty: header` or `empty: skip` for the integration.",
            )
        ledger.advance(job.key, "planned", "skipped", note="no rows", rows=0)
        return
    recorded = [_row(0, "data", path, written.rows, written.bytes, written.sha256, destination)]
    if job.integration.manifest:
        content = manifest_file.render(job, columns, name, written, verdict.invocation_id)
        beside = folder / (name + files.MANIFEST_SUFFIX)
        with files.exclusive(beside) as disk:
            disk.write(content)
        recorded.append(_row(1, "manifest", beside, None, len(content), files.hash_file(beside), destination))
    ledger.spooled(job.key, recorded, rows=written.rows, invocation_id=verdict.invocation_id)


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


def _write(
    path: Path, engine: Engine, selection: Selection, integration: Integration, renames: Mapping[str, Mapping[str, str]]
) -> tuple[Written, bool]:
    """The file, and whether its rows had to be sorted."""
    if engine.keeps_order:
        try:
            return files.write_file(path, read(engine, selection, ordered=False), integration, renames), False
        except OutOfOrder:  # rebuilt by hand, or by more than one build: sort after all
            path.unlink(missing_ok=True)
    return files.write_file(path, read(engine, selection, ordered=True), integration, renames), True


def _prove(
    path: Path,
    written: Written,
    selection: Selection,
    integration: Integration,
    engine: Engine,
    renames: Mapping[str, Mapping[str, str]],
    *,
    ordered: bool,
) -> None:
    """Reads the file again and holds every cell against a second query. Raises WriteFailed when they differ."""
    expected = selection.count(engine)
    dialect = Dialect(path.name, integration, renames)
    table = read_again(engine, selection, ordered=ordered)
    schema = next(table).schema
    seen = read_back(lambda: path.open("rb"), schema, dialect)
    again = compare(seen, table, integration.namespace, dialect)
    if not written.rows == expected == again:
        raise WriteFailed(
            f"{path.name}: the table has {expected} rows, {written.rows} were written and {again} read back.",
            hint="Nothing was sent. This is a defect: report it.",
        )


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

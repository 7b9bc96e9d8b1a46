"""One export by hand: asks the gate, reads, writes one private file or stdout, and keeps a line of it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from delivery.analytics import measures
from delivery.config.datasets import read_beside
from delivery.errors import ConfigError, WriteFailed, redact
from delivery.files.disk import replace_file
from delivery.gate.entitlements import dataset_refusal
from delivery.gate.judge import Gate
from delivery.warehouse import open_engine
from delivery.windows import midnight

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    import polars as pl

    from delivery.analytics.measures import Question
    from delivery.config.datasets import Manifest
    from delivery.config.project import Project
    from delivery.warehouse import Engine

Format = Literal["csv", "parquet", "xlsx", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)
STDOUT = "-"
RECORD = "exports.ndjson"


@dataclass(frozen=True)
class Exported:
    """What was written. first_day and last_day: the range, both in. reason: why the gate was not asked to agree."""

    at: str
    dataset: str
    namespace: str
    first_day: str
    last_day: str
    grain: str
    campaign_id: int | None
    format: str
    file: str
    rows: int
    bytes: int
    sha256: str
    invocation_id: str | None
    reason: str | None
    unproven: Sequence[str]


def export(project: Project, asked: Question, output: str, kind: Format, at: datetime, reason: str | None) -> Exported:
    """Writes the answer. Raises GateRefused unless a reason is given, ConfigError for an unknown client."""
    manifest = project.manifest()
    with open_engine(project) as engine:
        gate = Gate(manifest, engine)
        verdict = gate.judge(
            asked.dataset,
            None,
            read_beside(manifest, "metrics"),
            namespace=asked.namespace,
            complete_at=min(asked.window.end_at, midnight(min(at, datetime.now(UTC)).astimezone(UTC).date())),
        )
        if not verdict.passed and not reason:
            raise verdict.error()
        _check_client(engine, manifest, asked)
        if refusal := dataset_refusal(asked.dataset.name, asked.namespace, manifest, engine):
            raise refusal
        frame = measures.answer(engine, asked, measures.read_metrics(engine, manifest, asked.dataset))
        if verdict.passed:
            gate.check_unchanged(asked.dataset)
    content = encode(frame, kind, asked.dataset.name)
    _write(content, output)
    done = Exported(
        at=at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        dataset=asked.dataset.name,
        namespace=asked.namespace,
        first_day=asked.window.start.isoformat(),
        last_day=asked.window.days()[-1].isoformat(),
        grain=asked.grain,
        campaign_id=asked.campaign_id,
        format=kind,
        file=output if output == STDOUT else str(Path(output).absolute()),
        rows=frame.height,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        invocation_id=verdict.invocation_id,
        reason=reason,
        unproven=verdict.reasons,
    )
    _record(project, done)
    return done


def format_of(output: str, asked: str | None) -> Format:
    """The format asked for, else the one that the file's name ends with, else CSV."""
    ending = Path(output).suffix.removeprefix(".").lower()
    for kind in FORMATS:
        if kind == (asked or ending):
            return kind
    return "csv"


def _check_client(engine: Engine, manifest: Manifest, asked: Question) -> None:
    """Raises ConfigError when there is no such client."""
    relations = {n["name"]: n["relation_name"] for n in manifest["nodes"].values() if n["resource_type"] == "model"}
    rows = engine.table(f"select namespace from {relations['namespaces']} order by namespace").to_pylist()
    known = [row["namespace"] for row in rows]
    if asked.namespace not in known:
        raise ConfigError(f"Unknown namespace {asked.namespace!r}.", hint=f"Known: {', '.join(known) or 'none'}.")


def encode(frame: pl.DataFrame, kind: Format, title: str) -> bytes:
    """The rows as the bytes of one file; also of no rows, with the header."""
    buffer = io.BytesIO()
    if kind == "parquet":
        frame.write_parquet(buffer)
    elif kind == "xlsx":
        _workbook(frame, buffer, title)
    elif kind == "json":
        text = json.dumps(frame.to_dicts(), default=_plain, ensure_ascii=False, indent=1)
        buffer.write(text.encode("utf-8") + b"\n")
    else:
        frame.write_csv(buffer, line_terminator="\r\n")
    return buffer.getvalue()


def _plain(value: object) -> object:
    """A decimal as a float: what has at most fifteen digits, as money and rates have, prints as it is."""
    return float(value) if isinstance(value, Decimal) else value.isoformat() if isinstance(value, date) else str(value)


def _workbook(frame: pl.DataFrame, target: IO[bytes], title: str) -> None:
    """One sheet. Text stays text, whatever it begins with."""
    import xlsxwriter

    with xlsxwriter.Workbook(target, {"constant_memory": True}) as book:
        book.set_properties({"created": datetime(2000, 1, 1)})  # the same rows give the same bytes
        sheet = book.add_worksheet(title[:31])
        bold, day = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, frame.width - 1, 16)
        for number, name in enumerate(frame.columns):
            sheet.write_string(0, number, name, bold)
        for line, row in enumerate(frame.iter_rows(), start=1):
            for number, value in enumerate(row):
                if isinstance(value, str):
                    sheet.write_string(line, number, value)
                elif isinstance(value, date):
                    sheet.write_datetime(line, number, datetime(value.year, value.month, value.day), day)
                elif value is not None:
                    sheet.write_number(line, number, float(value))


def _write(content: bytes, output: str) -> None:
    if output == STDOUT:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    replace_file(Path(output), content)


def _record(project: Project, done: Exported) -> None:
    """Who took what, one JSON line each, beside the ledger; a reason to leave the gate aside is kept here."""
    project.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = project.state / RECORD
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        with open(descriptor, "w", encoding="utf-8") as record:  # noqa: PTH123
            record.write(redact(json.dumps(asdict(done), ensure_ascii=False)) + "\n")
    except OSError as error:
        raise WriteFailed(f"{path} could not be written: {error.strerror}.", hint="Free space or permission.") from None

"""Writes the values in every dialect, has every reader read them, and compares cell by cell."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from delivery.config.integrations import Integration
from delivery.errors import DeliveryError
from delivery.files.writer import write_file
from tests.nasty.dialects import ONE_BYTE, Dialect, crossed, paired, single_column
from tests.nasty.readers import READERS, Job, Reader, Rows, encoding
from tests.nasty.rules import RULES, Rule, Spot
from tests.nasty.values import HEADER, REFUSED, batch, expected, lacking

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.nasty.values import Cell, Without

SHOWN = 60
CLIENT = {"vendor_name": "Nasty", "namespace": "acme_outdoor", "destination": {"type": "hosted"}, "directory": "nasty"}
SETTINGS = (
    "character_encoding",
    "bom",
    "row_delimiter",
    "column_delimiter",
    "include_header_row",
    "quoting",
    "nulls",
    "compression",
    "escape_formulas",
)


@dataclass(frozen=True)
class File:
    """A file in one dialect.

    long: whether it holds the longest value too; without: the texts left out; width: how many of the columns it has.
    """

    path: Path
    how: Integration
    long: bool
    without: Without
    width: int = len(HEADER)


@dataclass
class Outcome:
    """What one reader's comparisons found. used: how often each rule was."""

    comparisons: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)
    used: Counter[int] = field(default_factory=Counter)

    def fault(self, reader: Reader, how: Integration, what: str) -> None:
        """Notes a difference that no rule explains."""
        dialect = " ".join(f"{key}={getattr(how, key)!r}" for key in SETTINGS)
        self.faults.append(f"{reader.name}: {what} [{dialect}]")


def integration(dialect: Mapping[str, object]) -> Integration:
    """A client with this dialect."""
    return Integration.model_validate(CLIENT | dict(dialect))


def write_all(folder: Path, without: Without = frozenset()) -> list[File]:
    """A file for each dialect, and for some one more with a single column."""
    folder.mkdir(exist_ok=True)
    files = [
        *(write_dialect(folder, dialect, without, long=False) for dialect in crossed()),
        *(write_dialect(folder, dialect, without, long=True) for dialect in paired()),
    ]
    return files + [write_dialect(folder, dialect, without, long=False, width=1) for dialect in single_column()]


def write_dialect(
    folder: Path, dialect: Mapping[str, object], without: Without, *, long: bool, width: int = len(HEADER)
) -> File:
    """A file of two batches. NULL without a token cannot be in a single column."""
    path, how = folder / f"{len(list(folder.iterdir())):03}.csv", integration(dialect)
    without |= lacking(how.character_encoding)
    without |= {None} if width == 1 and not how.nulls else set()
    rows = batch(long=long, without=without).select(list(range(width)))
    write_file(path, [rows.slice(0, 100), rows.slice(100)], how)
    return File(path, how, long, without, width)


def check_refused(folder: Path) -> list[str]:
    """What the product should have refused, in any dialect, and did not."""
    faults = []
    for dialect in [*crossed(), *paired()]:
        for what, values, _ in REFUSED:
            try:
                write_file(
                    folder / "refused", [pa.record_batch({"first": ["x"], "nasty": values})], integration(dialect)
                )
            except DeliveryError:
                continue
            faults.append(f"{what} was not refused [{dialect}]")
            (folder / "refused").unlink()
    return faults


def check_reader(number: int, folder: Path, files: list[File]) -> Outcome:
    """Every file by one reader, and what it needs to be done for it."""
    reader, outcome, started = READERS[number], Outcome(), time.monotonic()
    work = folder / f"reader-{number}"
    work.mkdir()
    if reader.refuses:
        files = write_all(work / "files", reader.refuses)
    jobs: dict[Path, tuple[Job, list[File]]] = {}
    for file in files:
        if file.width == 1 and not reader.narrow:
            continue
        job = prepare(file, reader, work)
        jobs.setdefault(job.source, (job, []))[1].append(file)
    probes = list(needs(reader, work))
    if reader.start:
        reader.start([*(job for job, _ in jobs.values()), *(job for _, _, job in probes)], work)
    for job, same in jobs.values():
        seen = rows_of(reader, job)
        for file in same:
            compare(reader, file, seen, outcome)
    for need, file, job in probes:
        trial = Outcome()
        compare(reader, file, rows_of(reader, job), trial)
        if not trial.faults:
            outcome.fault(reader, file.how, f"needs no {need}")
    outcome.seconds = time.monotonic() - started
    return outcome


def prepare(file: File, reader: Reader, folder: Path) -> Job:
    """The file as the reader can take it: unpacked, in UTF-8, without a mark. The same content is read once."""
    how, content = file.how, file.path.read_bytes()
    changes: dict[str, object] = {}
    reads = {"UTF-8": True, "UTF-16": reader.utf16} | dict.fromkeys(ONE_BYTE, reader.one_byte)
    converted = not reads[how.character_encoding]
    unmarked = how.character_encoding == "UTF-8" and how.bom and not reader.mark
    if how.compression != "none" and (converted or unmarked or how.compression not in reader.unpacks):
        changes["compression"] = "none"
        content = subprocess.run([how.compression, "-dc"], input=content, capture_output=True, check=True).stdout
    if converted:
        changes["character_encoding"] = "UTF-8"
        content = content.decode(encoding(how)).encode()
    if unmarked:
        changes["bom"] = False
        content = content.removeprefix(b"\xef\xbb\xbf")
    return place(content, how.model_copy(update=changes), folder, file.width)


def place(content: bytes, how: Integration, folder: Path, width: int) -> Job:
    """A file of this content, open to a server of another user."""
    source = folder / hashlib.sha256(content).hexdigest()[:24]
    source.write_bytes(content)
    source.chmod(0o644)
    return Job(source, source.with_suffix(".answer"), how, width)


def needs(reader: Reader, folder: Path) -> Iterator[tuple[str, File, Job]]:
    """Each thing that is done for the reader, with a file for which it is not done. It must not read that one."""
    without = reader.refuses
    if not reader.narrow:
        file = write_dialect(folder, {}, without, long=False, width=1)
        yield "file of several columns", file, place(file.path.read_bytes(), file.how, folder, file.width)
    trials: list[tuple[str, Dialect, Without]] = [
        (f"absence of {show(text)}", {}, without - {text}) for text in sorted(map(str, without))
    ]
    if not reader.utf16:
        trials.append(("conversion from UTF-16", {"character_encoding": "UTF-16"}, without))
    if not reader.one_byte:
        trials += [(f"conversion from {name}", {"character_encoding": name}, without) for name in ONE_BYTE]
    if not reader.mark:
        trials.append(("removal of the byte-order mark", {"bom": True}, without))
    packed = sorted({"gzip", "zstd"} - reader.unpacks)
    trials += [(f"unpacking of {kind}", {"compression": kind}, without) for kind in packed]
    for number, (need, dialect, left_out) in enumerate(trials):
        tried = folder / f"need-{number}"
        tried.mkdir()
        file = write_dialect(tried, dialect, left_out, long=False)
        yield need, file, place(file.path.read_bytes(), file.how, folder, file.width)


def rows_of(reader: Reader, job: Job) -> Rows | str:
    """The rows, or the reader's error."""
    try:
        return reader.read(job)
    except FileNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001 - readers raise what they like
        return f"{type(error).__name__}: {error}"[:300]


def compare(reader: Reader, file: File, seen: Rows | str, outcome: Outcome) -> None:
    """Every cell against the value that was written, or what a rule says that this reader makes of it."""
    how = file.how
    header: Rows = [[*HEADER]] if how.include_header_row else []
    wanted = [row[: file.width] for row in header + expected(long=file.long, without=file.without)]
    outcome.comparisons += len(wanted) * file.width
    if isinstance(seen, str) or list(map(len, seen)) != list(map(len, wanted)):
        outcome.fault(reader, how, seen if isinstance(seen, str) else f"{len(seen)} rows for {len(wanted)}, or ragged")
        return
    rules = [(n, rule) for n, rule in enumerate(RULES) if {reader.name, "every reader"} & {*rule.readers}]
    for row, (cells, values) in enumerate(zip(seen, wanted, strict=True), -int(how.include_header_row)):
        for column, (cell, value) in enumerate(zip(cells, values, strict=True)):
            given = as_given(value, Spot(row, column, how), rules, reader, outcome)
            if cell != given:
                outcome.fault(reader, how, f"row {row}, {HEADER[column]!r}: {show(given)} came back as {show(cell)}")


def as_given(value: Cell, spot: Spot, rules: list[tuple[int, Rule]], reader: Reader, outcome: Outcome) -> Cell:
    """The value as the rules say that the reader gives it. A rule that changes nothing is a fault."""
    for number, rule in rules:
        if rule.applies(value, spot):
            given = rule.gives(value, spot)
            if given == value:
                outcome.fault(reader, spot.how, f"the rule on {rule.values} is not needed for {show(value)}")
            outcome.used[number] += 1
            value = given
    return value


def show(value: Cell) -> str:
    """A value in ASCII, not too long."""
    text = ascii(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(value or '')} characters)"

"""The readers: programs that no one here wrote, each with the settings that read our files.

A program in `programs/` gets a file of jobs, a line each: source, target, delimiter (code), encoding, row delimiter and
token for NULL, divided by tabs. It writes its answer to the target: a cell is its length in bytes of UTF-8, a colon and
the bytes, or `N` for NULL; a row ends with a line feed; an answer that begins with `E` is the reader's error.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from tests.nasty.values import Cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from delivery.config.integrations import Integration
    from tests.nasty.values import Without

Rows = list[list[Cell]]
HERE = Path(__file__).parent / "programs"
JARS = ("commons-csv", "opencsv", "commons-lang3", "commons-text", "commons-beanutils", "commons-collections4")
csv.field_size_limit(1 << 30)


@dataclass(frozen=True)
class Job:
    """A file to read, and where a program puts its answer."""

    source: Path
    target: Path
    how: Integration
    width: int  # columns


@dataclass(frozen=True)
class Reader:
    """A reader: what it reads as it is, and what a client must set."""

    name: str
    start: Callable[[list[Job], Path], None] | None  # a program that answers all jobs at once
    read: Callable[[Job], Rows]
    settings: str  # for the docs
    utf16: bool = True
    one_byte: bool = True  # Windows-1252 and ISO-8859-1
    mark: bool = True  # skips a byte-order mark before UTF-8
    narrow: bool = True  # reads files of a single column
    unpacks: frozenset[str] = frozenset()
    refuses: Without = frozenset()  # texts with which it does not read the file; they are left out for it


def encoding(how: Integration) -> str:
    """Python's name of the encoding, which takes a byte-order mark for what it is."""
    return {"UTF-8": "utf-8-sig", "UTF-16": "utf-16", "Windows-1252": "cp1252"}.get(how.character_encoding, "latin-1")


def by_python(job: Job) -> Rows:
    with job.source.open(encoding=encoding(job.how), newline="") as stream:
        return [list(row) for row in csv.reader(stream, delimiter=job.how.column_delimiter, strict=True)]


def by_pandas(job: Job) -> Rows:
    compression = {"gzip": "gzip", "zstd": "zstd", "none": None}[job.how.compression]
    frame = pd.read_csv(
        job.source,
        sep=job.how.column_delimiter,
        encoding=encoding(job.how),
        compression=compression,
        dtype=str,
        keep_default_na=False,
        header=None,
        skip_blank_lines=False,
        engine="c",
    )
    rows: Rows = frame.to_numpy().tolist()
    return rows


def by_polars(job: Job) -> Rows:
    frame = pl.read_csv(
        job.source,
        separator=job.how.column_delimiter,
        has_header=False,
        infer_schema=False,
        null_values=job.how.nulls or None,
    )
    return [list(row) for row in frame.rows()]


def by_arrow(job: Job) -> Rows:
    names = list(map(str, range(job.width)))
    codec = None if job.how.compression == "none" else job.how.compression
    with pa.input_stream(str(job.source), compression=codec) as stream:
        table = pa_csv.read_csv(
            stream,
            pa_csv.ReadOptions(
                encoding=encoding(job.how).removesuffix("-sig"),
                column_names=names,
                block_size=1 << 24,
                use_threads=False,
            ),
            pa_csv.ParseOptions(delimiter=job.how.column_delimiter, newlines_in_values=True, ignore_empty_lines=False),
            pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[job.how.nulls],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    return [list(row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)]


DUCKDB = duckdb.connect(config={"threads": 1})


def by_duckdb(job: Job) -> Rows:
    columns = ", ".join(f"'c{n}': 'varchar'" for n in range(job.width))
    found = DUCKDB.execute(
        f"from read_csv(?, columns={{{columns}}}, delim=?, nullstr=?, compression=?, new_line=?, "
        """quote='"', escape='"', allow_quoted_nulls=false, header=false, auto_detect=false)""",
        [
            str(job.source),
            job.how.column_delimiter,
            job.how.nulls,
            job.how.compression,
            "\\r\\n" if job.how.row_delimiter == "windows" else "\\n",
        ],
    )
    return [list(row) for row in found.fetchall()]


def answer(job: Job) -> Rows:
    """The rows that a program wrote. Raises ValueError with the reader's error."""
    text = job.target.read_bytes()
    job.target.unlink()
    if text.startswith(b"E"):
        raise ValueError(text[1:300].decode(errors="replace"))
    return parse(text)


def hex_answer(job: Job) -> Rows:
    """The rows of an answer whose lines are in hexadecimal."""
    return parse(b"".join(bytes.fromhex(line) + b"\n" for line in job.target.read_text(encoding="ascii").splitlines()))


def parse(dump: bytes) -> Rows:
    """The rows of an answer."""
    rows: Rows = []
    row: list[Cell] = []
    at = 0
    while at < len(dump):
        if dump[at : at + 1] == b"N":
            row.append(None)
            at += 1
        elif dump[at : at + 1] == b"\n":
            rows.append(row)
            row = []
            at += 1
        else:
            colon = dump.index(b":", at)
            end = colon + 1 + int(dump[at:colon])
            row.append(dump[colon + 1 : end].decode("utf-8"))
            at = end
    return rows


def run(*command: str | Path, jobs: list[Job], folder: Path, last: tuple[str | Path, ...] = ()) -> None:
    """A program over a file of jobs."""
    lines = folder / f"{'-'.join(map(str, command[-2:])).replace('/', '_')}.jobs"
    lines.write_text(
        "".join(
            f"{job.source}\t{job.target}\t{ord(job.how.column_delimiter)}\t{job.how.character_encoding}\t"
            f"{job.how.row_delimiter}\t{job.how.nulls}\n"
            for job in jobs
        ),
        encoding="utf-8",
    )
    call([*map(str, command), str(lines), *map(str, last)])


def call(command: list[str], text: str | None = None, user: str | None = None) -> None:
    """A command that must not fail. Raises RuntimeError with its error."""
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, errors="replace", check=False, env=environment, user=user
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)[:200]}: {done.stderr[-2000:]}")


def start_node(library: str, jobs: list[Job], folder: Path) -> None:
    modules = folder / f"node-{library}"
    modules.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, modules)
    call(["npm", "ci", "--prefix", str(modules), "--no-audit", "--no-fund", "--ignore-scripts"])
    run("node", HERE / "read.js", library, jobs=jobs, folder=folder, last=(modules,))


def start_java(library: str, jobs: list[Job], folder: Path) -> None:
    jars = ":".join(f"/usr/share/java/{jar}.jar" for jar in JARS)
    run("java", "-cp", jars, HERE / "Read.java", library, jobs=jobs, folder=folder)


def program(*command: str) -> Callable[[list[Job], Path], None]:
    """A reader in `programs/`: its interpreter, its file and its arguments."""
    interpreter, file, *arguments = command
    return lambda jobs, folder: run(interpreter, HERE / file, *arguments, jobs=jobs, folder=folder)


def cells(size: str, width: int) -> str:
    """The answer's line for a row, in SQL. size: what gives a text's bytes."""
    return " || ".join(f"coalesce({size.format(f'c{n}')} || ':' || c{n}, 'N')" for n in range(width))


def start_sqlite(jobs: list[Job], folder: Path) -> None:
    script = [".bail on"]
    for job in jobs:
        columns = ", ".join(f"c{n} text" for n in range(job.width))
        delimiter = job.how.column_delimiter.replace("\t", "\\t")
        script += [
            f"create table t ({columns});",
            ".mode csv",
            f'.separator "{delimiter}" "\\n"',
            f".import {job.source} t",
            ".mode list",
            f".output {job.target}",
            f"select {cells('length(cast({} as blob))', job.width)} from t;",
            ".output",
            "drop table t;",
        ]
    call(["sqlite3", str(folder / "sqlite.db")], "\n".join(script))


@contextmanager
def postgres(folder: Path) -> Iterator[list[str]]:
    """A server of its own on a socket, by a user that is not root. Gives the command of a client."""
    programs = max(Path("/usr/lib/postgresql").iterdir(), key=lambda path: int(path.name)) / "bin"
    user = "nobody" if os.getuid() == 0 else None
    data = folder / "postgres"
    data.mkdir(mode=0o700)
    if user:
        shutil.chown(data, user)
    call([str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "nasty", "-E", "UTF8", "-N"], user=user)
    options = f"-k {data} -c listen_addresses='' -c fsync=off"
    control = [str(programs / "pg_ctl"), "-D", str(data), "-w", "-s"]
    call([*control, "-l", str(data / "log"), "-o", options, "start"], user=user)
    try:
        yield [str(programs / "psql"), "-h", str(data), "-U", "nasty", "-d", "postgres", "-XqAt"]
    finally:
        call([*control, "-m", "immediate", "stop"], user=user)


POSTGRES_ENCODINGS = {"Windows-1252": "WIN1252", "ISO-8859-1": "LATIN1"}


def start_postgres(jobs: list[Job], folder: Path) -> None:
    script = []
    for job in jobs:
        columns = ", ".join(f"c{n}" for n in range(job.width))
        delimiter = job.how.column_delimiter.replace("\t", "\\t")
        options = ["format csv", f"delimiter e'{delimiter}'", f"null '{job.how.nulls}'"]
        options.append(f"encoding '{POSTGRES_ENCODINGS.get(job.how.character_encoding, 'UTF8')}'")
        script += [
            f"create temp table t (row bigserial, {columns.replace(',', ' text,')} text);",
            f"copy t ({columns}) from '{job.source}' ({', '.join(options)});",
            f"\\o {job.target}",
            # In hexadecimal: psql leaves noncharacters out of what it prints.
            f"select encode(convert_to({cells('octet_length({})', job.width)}, 'UTF8'), 'hex') from t order by row;",
            "\\o",
            "drop table t;",
        ]
    with postgres(folder) as psql:
        call(psql, "\n".join(script))


def start_libreoffice(jobs: list[Job], folder: Path) -> None:
    run("/usr/bin/python3", HERE / "libreoffice.py", jobs=jobs, folder=folder)


GZIP, BOTH = frozenset({"gzip"}), frozenset({"gzip", "zstd"})

READERS = (
    Reader(
        "Python csv",
        None,
        by_python,
        '`open(path, encoding="utf-8-sig", newline="")`, or `utf-16`, `cp1252`, `latin-1`; '
        "`csv.reader(file, delimiter=…, strict=True)`. "
        "For values above 131,072 characters `csv.field_size_limit`.",
    ),
    Reader(
        "pandas",
        None,
        by_pandas,
        "`read_csv(path, sep=…, dtype=str, keep_default_na=False)`: otherwise `NA` and `None` become missing, `007` "
        "becomes 7. "
        "`skip_blank_lines=False` if there is one column only. The C engine; "
        "the Python engine is Python's csv. `encoding` as for Python.",
        unpacks=BOTH,
    ),
    Reader(
        "Polars",
        None,
        by_polars,
        "`read_csv(path, separator=…, infer_schema=False)`. It also writes our files, with other code.",
        utf16=False,
        one_byte=False,
        unpacks=BOTH,
    ),
    Reader(
        "PyArrow",
        None,
        by_arrow,
        "`newlines_in_values=True`, `ignore_empty_lines=False`, `column_types` all text; "
        "`strings_can_be_null=True` with `quoted_strings_can_be_null=False` tells NULL. "
        "A `block_size` above the largest row.",
        unpacks=BOTH,
    ),
    Reader(
        "DuckDB",
        None,
        by_duckdb,
        "`read_csv` with `auto_detect=false`, `columns` all text, `quote` and `escape` a quote, `new_line`, "
        "`allow_quoted_nulls=false`. Without `new_line`, "
        "it takes the first line break, even one inside a value, for that of all rows.",
        utf16=False,
        one_byte=False,
        unpacks=BOTH,
    ),
    Reader(
        "PostgreSQL",
        start_postgres,
        hex_answer,
        "`COPY … FROM` on the server, `FORMAT csv`, `NULL` the integration's `nulls`, text columns; "
        "`ENCODING` `WIN1252` or `LATIN1`.",
        utf16=False,
        mark=False,
    ),
    Reader(
        "SQLite",
        start_sqlite,
        answer,
        "`.mode csv`, `.separator`, `.import` into a table of text columns.",
        utf16=False,
        one_byte=False,
    ),
    Reader(
        "LibreOffice",
        start_libreoffice,
        answer,
        "In the import dialogue: every column as text, the quote as string delimiter, one separator. Otherwise "
        "numbers and dates are changed. UTF-16 is called Unicode there, Windows-1252 Western Europe.",
    ),
    Reader(
        "csv-parse",
        partial(start_node, "csv-parse"),
        answer,
        'Node: `bom: true`, `delimiter`, `record_delimiter`, `encoding: "utf16le"` or `"latin1"`; '
        'Windows-1252 by `new TextDecoder("windows-1252")`; '
        "`cast` sees `context.quoting`, which tells NULL.",
    ),
    Reader(
        "Papa Parse",
        partial(start_node, "papaparse"),
        answer,
        "Node and browsers: `delimiter`, `newline`; drop the row that it sees after the last line break.",
    ),
    Reader(
        "commons-csv",
        partial(start_java, "commons-csv"),
        answer,
        "Java: `CSVFormat.RFC4180` with `QuoteMode.ALL_NON_NULL`, which tells NULL, and `setNullString` for a token. "
        "A U+FFFE, which is no character, makes it skip the row or fail.",
        mark=False,
        refuses=frozenset[str | None]({"\ufffe"}),
    ),
    Reader(
        "opencsv",
        partial(start_java, "opencsv"),
        answer,
        "Java: `RFC4180ParserBuilder`, as the default parser takes a backslash for an escape; "
        "`withFieldAsNull(EMPTY_SEPARATORS)` tells NULL.",
        mark=False,
    ),
    Reader(
        "Text::CSV_XS",
        program("perl", "read.pl"),
        answer,
        "Perl: `binary => 1`, `sep_char`, `eol` (otherwise a lone CR may end a row); `keep_meta_info => 1` tells NULL.",
        mark=False,
    ),
    Reader(
        "read.csv",
        program("Rscript", "read.R", "read.csv"),
        answer,
        'R: `sep`, `colClasses = "character"`, `na.strings = character(0)`, `comment.char = ""`, '
        '`fileEncoding = "UTF-8-BOM"` or `"UTF-16"`, `"Windows-1252"`, `"ISO-8859-1"`.',
        unpacks=GZIP,
    ),
    Reader(
        "fread",
        program("Rscript", "read.R", "fread"),
        answer,
        "R's data.table: `sep`, `colClasses = \"character\"`, `na.strings` the integration's `nulls`, "
        '`strip.white = FALSE`, `encoding = "UTF-8"`.',
        utf16=False,
        one_byte=False,
        narrow=False,
    ),
    Reader(
        "Ruby CSV",
        program("ruby", "read.rb"),
        answer,
        "Mode `rb:BOM\\|UTF-8` or `rb:BOM\\|UTF-16LE:UTF-8`, `rb:Windows-1252:UTF-8`; `col_sep`, `row_sep`.",
    ),
    Reader(
        "PHP fgetcsv",
        program("php", "read.php"),
        answer,
        'The escape must be the empty text: `fgetcsv($file, null, ",", \'"\', "")`, as the default is a backslash.',
        utf16=False,
        one_byte=False,
        mark=False,
    ),
)

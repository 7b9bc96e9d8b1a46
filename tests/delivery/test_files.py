"""Files: what is written reads back identical, in every dialect, by readers that no one here wrote."""

from __future__ import annotations

import csv
import gzip
import itertools
import os
import stat
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
import zstandard
from builders import integration

from delivery.errors import ConfigError, GateRefused, WriteFailed
from delivery.files.disk import exclusive, hash_file, replace_file
from delivery.files.proof import Dialect, read_back
from delivery.files.writer import write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from delivery.config.integrations import Integration
    from delivery.files.writer import Written

# fmt: off
NASTY: list[str | None] = [
    "plain", "", None, "NULL", "null", "<NULL>", "\\N", "\\.", "\\", "NA", "nan", "None", "-", "#", "# comment",
    "a,b", "a;b", "a|b", "a\tb", '"', '""', 'a"b', '"quoted"', "'", "a\nb", "a\rb", "a\r\nb", "\n", "\r", "\r\n",
    "\r\n\\.\r\n", " lead", "trail ", " ", "  ", "\t", "\ttab", "tab\t", "\u00a0", "é", "e\u0301", "日本語", "العربية",
    "\u200b", "\u202e", "\ufeff", "\ufeffmark", "\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1a", "\x1c", "\x7f",
    "\x01", "=1+1", "+1", "-1", "@x", "007", "1e5", "0x1", "true", '{"a": "b,c", "d": "e\\"f"}', "1|2", "x" * 5000,
    'a,"b"\r\n;|\t', "\ue000", "%s{}", "<b>", "$HOME", "C:\\new", '\\"', '"\\', "end\\",
]
ASTRAL: list[str | None] = ["😀", "👨‍👩‍👧", "\U0001d518", "\U0010ffff"]
# fmt: on
DIALECTS = [
    {
        "character_encoding": encoding,
        "column_delimiter": column,
        "row_delimiter": row,
        "nulls": nulls,
        "include_header_row": header,
        "bom": encoding == "UTF-8" and (row == "linux") != header,
    }
    for encoding, column, row, nulls, header in itertools.product(
        ("UTF-8", "UTF-16"), ",|\t;", ("windows", "linux"), ("", "<NULL>"), (True, False)
    )
]
Cells = list[list[str | None]]


def batch(values: list[str | None]) -> pa.RecordBatch:
    """The values in the first and, turned round, in the last column."""
    numbers = [str(n) for n in range(len(values))]
    return pa.record_batch({"first": pa.array(values, pa.string()), "n": numbers, "last": values[::-1]})


def cells(values: list[str | None]) -> Cells:
    return [list(row) for row in zip(values, map(str, range(len(values))), values[::-1], strict=True)]


def write(path: Path, batches: list[pa.RecordBatch], **format_keys: Any) -> tuple[Written, Integration]:
    chosen = integration(**format_keys)
    return write_file(path, batches, chosen), chosen


def text_of(path: Path, **format_keys: Any) -> str:
    return path.read_bytes().decode("utf-16" if format_keys.get("character_encoding") == "UTF-16" else "utf-8-sig")


def written_text(path: Path, columns: dict[str, Any], **format_keys: Any) -> str:
    """The text of a file with these columns, without its header."""
    write(path, [pa.record_batch(columns)], include_header_row=False, row_delimiter="linux", **format_keys)
    return text_of(path, **format_keys)


def count_rows(path: Path, columns: int, how: Integration) -> int:
    """The rows of a file with so many columns of text, by the reader that proves files before they leave."""
    names = {1: ("a",), 2: ("a", "b"), 3: ("first", "n", "last")}[columns]
    schema = pa.schema([(name, pa.string()) for name in names])
    return sum(batch.num_rows for batch in read_back(lambda: path.open("rb"), schema, Dialect(path.name, how, {})))


# Readers: each gives all rows without the header. `tells_null`: from which texts it can tell NULL.


def read_csv(path: Path, how: Integration) -> Cells:
    encoding = "utf-16" if how.character_encoding == "UTF-16" else "utf-8-sig"
    with path.open(encoding=encoding, newline="") as stream:
        rows: Cells = [list(row) for row in csv.reader(stream, delimiter=how.column_delimiter, strict=True)]
    return rows[how.include_header_row :]


def read_pandas(path: Path, how: Integration) -> Cells:
    encoding = "utf-16" if how.character_encoding == "UTF-16" else "utf-8-sig"
    header = 0 if how.include_header_row else None
    frame = pd.read_csv(
        path, sep=how.column_delimiter, encoding=encoding, dtype=str, keep_default_na=False, header=header
    )
    rows: Cells = frame.to_numpy().tolist()
    return rows


def read_polars(path: Path, how: Integration) -> Cells:
    content = path.read_bytes()
    if how.character_encoding == "UTF-16":  # Polars reads UTF-8 only
        content = content.decode("utf-16").encode()
    frame = pl.read_csv(
        content,
        separator=how.column_delimiter,
        has_header=how.include_header_row,
        infer_schema=False,
    )
    return [list(row) for row in frame.rows()]


def read_arrow(path: Path, how: Integration) -> Cells:
    names = ("first", "n", "last", "f0", "f1", "f2")
    table = pa_csv.read_csv(
        path,
        pa_csv.ReadOptions(
            encoding="utf-16" if how.character_encoding == "UTF-16" else "utf8",
            autogenerate_column_names=not how.include_header_row,
        ),
        pa_csv.ParseOptions(delimiter=how.column_delimiter, newlines_in_values=True, ignore_empty_lines=False),
        pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[how.nulls],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return [list(row.values()) for row in table.to_pylist()]


DUCKDB = duckdb.connect(config={"threads": 1})


def read_duckdb(path: Path, how: Integration) -> Cells:
    encoding = "utf-16" if how.character_encoding == "UTF-16" else "utf-8"
    found = DUCKDB.execute(
        "from read_csv(?, delim=?, header=?, nullstr=?, encoding=?, allow_quoted_nulls=false, auto_detect=false, "
        """columns={'a': 'varchar', 'b': 'varchar', 'c': 'varchar'}, quote='"', escape='"')""",
        [str(path), how.column_delimiter, how.include_header_row, how.nulls, encoding],
    )
    return [list(row) for row in found.fetchall()]


READERS: list[tuple[Callable[[Path, Integration], Cells], str]] = [
    (read_csv, "none"),
    (read_pandas, "none"),
    (read_polars, "the empty one"),
    (read_arrow, "any"),
    (read_duckdb, "any"),
]


@pytest.mark.parametrize("quoting", ["minimal", "all"])
@pytest.mark.parametrize(("reader", "tells_null"), READERS, ids=[reader.__name__ for reader, _ in READERS])
def test_nasty_values_come_back_as_they_were(
    reader: Callable[[Path, Integration], Cells], tells_null: str, quoting: str, tmp_path: Path
) -> None:
    for number, dialect in enumerate(DIALECTS):
        # DuckDB's UTF-16 reader knows no surrogate pairs: see the next test.
        astral = [] if reader is read_duckdb and dialect["character_encoding"] == "UTF-16" else ASTRAL
        values = NASTY + astral
        path = tmp_path / f"{number}.csv"
        done, how = write(path, [batch(values)], quoting=quoting, **dialect)
        expected = cells(values)
        if tells_null == "none" or (dialect["nulls"] and tells_null == "the empty one"):
            expected = [[dialect["nulls"] if cell is None else cell for cell in row] for row in expected]
        assert reader(path, how) == expected, dialect
        assert done.rows == count_rows(path, 3, how) == len(values), dialect


def test_duckdb_still_refuses_astral_characters_in_utf_16(tmp_path: Path) -> None:
    """A limit of that reader, not of the file; when this goes red, take the exception out of the test above."""
    _, how = write(tmp_path / "f", [batch(ASTRAL)], character_encoding="UTF-16")
    with pytest.raises(duckdb.InvalidInputException, match="not utf-16"):
        read_duckdb(tmp_path / "f", how)
    assert read_csv(tmp_path / "f", how) == cells(ASTRAL)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("quoting", ["minimal", "all"])
def test_compressed_is_the_plain_file_compressed(compression: str, quoting: str, tmp_path: Path) -> None:
    unpack = {"gzip": gzip.decompress, "zstd": zstandard.ZstdDecompressor().decompressobj().decompress}[compression]
    plain, _ = write(tmp_path / "plain", [batch(NASTY)], quoting=quoting)
    packed, how = write(tmp_path / "packed", [batch(NASTY)], quoting=quoting, compression=compression)
    assert unpack((tmp_path / "packed").read_bytes()) == (tmp_path / "plain").read_bytes()
    assert plain.sha256 == plain.plain_sha256 == packed.plain_sha256
    assert packed.sha256 == hash_file(tmp_path / "packed") != plain.sha256
    assert packed.bytes == (tmp_path / "packed").stat().st_size
    assert count_rows(tmp_path / "packed", 3, how) == len(NASTY)


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("keys", [{}, {"quoting": "all"}, {"nulls": "NULL", "character_encoding": "UTF-16"}])
def test_same_rows_same_bytes_however_the_engine_cuts_them(
    compression: str, keys: dict[str, Any], tmp_path: Path
) -> None:
    whole = batch((NASTY + ASTRAL) * 300)
    cuts: dict[str, Iterator[pa.RecordBatch]] = {
        "whole": iter([whole]),
        "after an empty one": iter([whole.slice(0, 0), whole]),
        "in thousands": (whole.slice(n, 1000) for n in range(0, whole.num_rows, 1000)),
        "unevenly": iter([whole.slice(0, 1), whole.slice(1, 7), whole.slice(8, 20_000), whole.slice(20_008)]),
    }
    hashes = {
        write(tmp_path / name, list(batches), compression=compression, **keys)[0].sha256
        for name, batches in cuts.items()
    }
    assert len(hashes) == 1


def test_bytes_of_each_format(tmp_path: Path) -> None:
    """What the platform's form promises, to the byte."""
    columns = {"a": ["x", None, ""], "b": ["1|2", "é", "€"]}

    def content(**keys: Any) -> bytes:
        path = tmp_path / str(len(list(tmp_path.iterdir())))
        write(path, [pa.record_batch(columns)], **keys)
        return path.read_bytes()

    assert content() == 'a,b\r\nx,1|2\r\n,é\r\n"",€\r\n'.encode()
    assert content(row_delimiter="linux") == 'a,b\nx,1|2\n,é\n"",€\n'.encode()
    assert content(column_delimiter="|") == 'a|b\r\nx|"1|2"\r\n|é\r\n""|€\r\n'.encode()
    assert content(quoting="all") == '"a","b"\r\n"x","1|2"\r\n,"é"\r\n"","€"\r\n'.encode()
    assert content(include_header_row=False, nulls="-") == 'x,1|2\r\n-,é\r\n"",€\r\n'.encode()
    assert content(bom=True) == b"\xef\xbb\xbf" + content()
    assert content(character_encoding="UTF-16") == b"\xff\xfe" + content().decode().encode("utf-16-le")
    assert content(character_encoding="UTF-16", bom=True) == content(character_encoding="UTF-16")


@pytest.mark.parametrize("quoting", ["minimal", "all"])
def test_only_null_looks_like_null(quoting: str, tmp_path: Path) -> None:
    columns = {"a": pa.array(["NULL", None, "", "null", "NULL "])}
    lines = written_text(tmp_path / "f", columns, nulls="NULL", quoting=quoting).splitlines()
    assert [line == "NULL" for line in lines] == [False, True, False, False, False]
    assert lines[0] == '"NULL"'


def test_a_single_column_has_no_blank_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="NULL in a, the file's only column") as refused:
        write(tmp_path / "f", [pa.record_batch({"a": ["x", None]})])
    assert "nulls" in refused.value.hint
    assert not (tmp_path / "f").exists()
    assert written_text(tmp_path / "g", {"a": ["x", ""]}) == 'x\n""\n'


def test_a_lone_end_of_copy_mark_is_quoted(tmp_path: Path) -> None:
    assert written_text(tmp_path / "f", {"a": ["\\.", "x\\.", "\\.."]}) == '"\\."\nx\\.\n\\..\n'


@pytest.mark.parametrize("quoting", ["minimal", "all"])
def test_a_value_at_the_start_is_not_taken_for_a_mark(quoting: str, tmp_path: Path) -> None:
    content = written_text(tmp_path / "f", {"a": ["\ufeffx"], "b": ["y"]}, quoting=quoting)
    assert content.startswith('"\ufeffx"')


def test_nul_is_refused_by_rule(tmp_path: Path) -> None:
    with pytest.raises(GateRefused, match="Column b holds a NUL") as refused:
        write(tmp_path / "f", [pa.record_batch({"a": ["x", "y"], "b": ["fine", text]}) for text in ("", "secret\0x")])
    assert "secret" not in str(refused.value)
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([datetime(2026, 11, 3, 1, 2, 3)]), "2026-11-03T01:02:03Z"),
        (pa.array([datetime(2026, 11, 3, 1, 2, 3, 500_000)]), "2026-11-03T01:02:03.500Z"),
        (pa.array([datetime(2026, 11, 3, 1, 2, 3, 123_456)]), "2026-11-03T01:02:03.123456Z"),
        (pa.array([datetime(2026, 11, 3, 1, 2, 3, 1)]), "2026-11-03T01:02:03.000001Z"),
        (pa.array([datetime(2026, 11, 3)], pa.timestamp("ms")), "2026-11-03T00:00:00Z"),
        (pa.array([1_793_667_723_000_000_001], pa.timestamp("ns")), "2026-11-03T01:02:03.000000001Z"),
        (pa.array([datetime(1, 1, 1)]), "0001-01-01T00:00:00Z"),
        (pa.array([datetime(9999, 12, 31, 23, 59, 59, 999_999)]), "9999-12-31T23:59:59.999999Z"),
        (pa.array([datetime(2026, 11, 3, 23, tzinfo=UTC)], pa.timestamp("us", "UTC")), "2026-11-03T23:00:00Z"),
        (
            pa.array([datetime(2026, 11, 3, 23, tzinfo=UTC)], pa.timestamp("us", "Europe/Berlin")),
            "2026-11-03T23:00:00Z",
        ),
        (pa.array([date(2026, 11, 3)]), "2026-11-03"),
        (pa.array([3_723_500_000], pa.time64("us")), "01:02:03.500"),
        (pa.array([True]), "true"),
        (pa.array([2**63 - 1]), "9223372036854775807"),
        (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
        (pa.array([Decimal("123456789012345678901234567890.12")]), "123456789012345678901234567890.12"),
        (pa.array([Decimal("1.50")]), "1.50"),
        (pa.array([0.1]), "0.1"),
        (pa.array([1.0]), "1.0"),
        (pa.array([-0.0000001]), "-1e-7"),
        (pa.array(["b"]).dictionary_encode(), "b"),
        (pa.nulls(1), ""),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else value,
)
@pytest.mark.parametrize("quoting", ["minimal", "all"])
def test_text_of_each_type(values: pa.Array, expected: str, quoting: str, tmp_path: Path) -> None:
    marks = '"' if quoting == "all" else ""
    shown = f"{marks}{expected}{marks}" if expected else ""
    content = written_text(tmp_path / "f", {"v": values, "x": ["y"]}, quoting=quoting)
    assert content == f"{shown},{marks}y{marks}\n"


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[1, 2]]),
        pa.array([{"a": 1}]),
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        pa.array([b"\x00\xff"]),
        pa.array([3], pa.duration("us")),
        pa.array([3], pa.timestamp("s")),
        pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
    ],
    ids=lambda value: str(value.type),
)
def test_types_without_a_text_form_are_refused(values: pa.Array, tmp_path: Path) -> None:
    for rows in (values, values.slice(0, 0)):
        with pytest.raises(GateRefused, match="Column odd is of type"):
            write(tmp_path / "f", [pa.record_batch({"odd": rows})])
        assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(
    "value",
    [
        "'infinity'::timestamp",
        "'-infinity'::date",
        "timestamptz '10000-01-01 00:00Z'",
        "date '0001-01-01' - 1",
    ],
)
def test_times_that_no_reader_knows_are_refused(value: str, tmp_path: Path) -> None:
    rows = DUCKDB.sql(f"select {value} as v").to_arrow_table().to_batches()
    with pytest.raises(GateRefused, match="Column v holds a time outside the years 1 to 9999"):
        write(tmp_path / "f", rows)


def test_formulas_are_escaped_in_texts_only(tmp_path: Path) -> None:
    texts = ["=1", "+1", "-1", "@a", "\tx", "\rx", "a=1", "", None, "'=1"]
    columns = {"t": texts, "n": pa.array([-1] * len(texts)), "c": pa.array(texts).dictionary_encode()}
    write(tmp_path / "f", [pa.record_batch(columns)], escape_formulas=True)
    expected = ["'=1", "'+1", "'-1", "'@a", "'\tx", "'\rx", "a=1", "", "", "'=1"]
    assert read_csv(tmp_path / "f", integration()) == [[text, "-1", text] for text in expected]


@pytest.mark.parametrize("quoting", ["minimal", "all"])
def test_spellings_replace_whole_values_of_their_column(quoting: str, tmp_path: Path) -> None:
    how = integration(quoting=quoting)
    rows = pa.record_batch({"event": ["open", "opened", "click"], "other": ["open", "x", "y"]})
    write_file(tmp_path / "f", [rows], how, {"event": {"open": "Opened, again"}, "absent": {"a": "b"}})
    assert read_csv(tmp_path / "f", how) == [["Opened, again", "open"], ["opened", "x"], ["click", "y"]]


@pytest.mark.parametrize("quoting", ["minimal", "all"])
def test_headers_are_quoted_like_values(quoting: str, tmp_path: Path) -> None:
    for value in ("plain", "\\."):
        path = tmp_path / str(value == "plain")
        write(path, [pa.record_batch({"a,b": [value], 'c"d': ["x"]})], quoting=quoting)
        with path.open(newline="") as stream:
            assert list(csv.reader(stream)) == [["a,b", 'c"d'], [value, "x"]]


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("keys", [{}, {"bom": True}, {"character_encoding": "UTF-16"}, {"quoting": "all"}])
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_an_empty_window_has_its_header_and_no_rows(
    columns: int, header: bool, keys: dict[str, Any], compression: str, tmp_path: Path
) -> None:
    names = ("a",) if columns == 1 else ("first", "n", "last")
    empty = pa.record_batch({name: pa.array([], pa.string()) for name in names})
    done, how = write(tmp_path / "f", [empty], include_header_row=header, compression=compression, **keys)
    assert done.rows == count_rows(tmp_path / "f", columns, how) == 0


@pytest.mark.parametrize("size", [(1 << 20) - 5, 3 << 20, 20 << 20])
def test_a_value_larger_than_a_read_block_is_counted(size: int, tmp_path: Path) -> None:
    done, how = write(tmp_path / "f", [pa.record_batch({"a": ["x" * size, "\n" * size], "b": ["y", "z"]})])
    assert count_rows(tmp_path / "f", 2, how) == done.rows == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a,b\r\n1,2,3\r\n", "does not read back"),
        (b"a,b\r\n1\r\n", "does not read back"),
        (b'a,b\r\n"1,2\r\n', "does not read back"),
        (b"a,b\r\n\xff\xfe,2\r\n", "does not read back"),
    ],
)
def test_a_damaged_file_does_not_read_back(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(WriteFailed, match=reason):
        count_rows(tmp_path / "f", 2, integration())


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_truncated_compressed_file_does_not_read_back(compression: str, tmp_path: Path) -> None:
    done, how = write(tmp_path / "f", [batch(NASTY * 50)], compression=compression)
    (tmp_path / "f").write_bytes((tmp_path / "f").read_bytes()[: done.bytes // 2])
    with suppress(WriteFailed):
        assert count_rows(tmp_path / "f", 3, how) != done.rows


def test_a_new_file_is_private_and_never_replaces_one(tmp_path: Path) -> None:
    write(tmp_path / "f", [batch(["x"])])
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o600
    before = (tmp_path / "f").read_bytes()
    with pytest.raises(WriteFailed, match="File exists"):
        write(tmp_path / "f", [batch(["y"])])
    assert (tmp_path / "f").read_bytes() == before, "the file that was there is not ours to touch"


def test_a_file_is_on_the_disk_before_it_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    done, _ = write(tmp_path / "f", [batch(["x"])])
    assert synced == [done.bytes]


def test_nothing_remains_when_the_rows_fail(tmp_path: Path) -> None:
    def rows() -> Iterator[pa.RecordBatch]:
        yield batch(["x"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "f", rows(), integration())
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(WriteFailed, match="No such file or directory"), exclusive(tmp_path / "none" / "f"):
        pass


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of a file stands for the full disk; the random values do not compress."""
    program = f"""
import os, resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import pyarrow as pa
from builders import integration
from delivery.errors import WriteFailed
from delivery.files.writer import write_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
rows = pa.record_batch({{"a": [os.urandom(500).hex() for _ in range(5000)]}})
for compression in ("none", "gzip", "zstd"):
    try:
        write_file(Path({str(tmp_path)!r}) / compression, [rows], integration(compression=compression))
    except WriteFailed as error:
        print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"{tmp_path / name} could not be written: File too large." for name in ("none", "gzip", "zstd")
    ]
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_hash_of_a_missing_file_is_an_error_that_people_can_read(tmp_path: Path) -> None:
    with pytest.raises(WriteFailed, match="cannot be read: No such file"):
        hash_file(tmp_path / "none")


@pytest.mark.parametrize("before", [None, b"yesterday's, and longer"])
def test_a_file_is_replaced_whole(before: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "f"
    if before:
        path.write_bytes(before)
        path.chmod(0o644)
    replace_file(path, b"today's")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"today's", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_replaced_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError) as folder:
        replace_file(tmp_path / "folder", b"")
    assert (folder.value.message, folder.value.hint) == (f"{tmp_path / 'folder'} is a folder.", "Name a file.")
    with pytest.raises(ConfigError) as none:
        replace_file(tmp_path / "none" / "f", b"")
    assert none.value.message == f"There is no folder {tmp_path / 'none'}."
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_compressed_files_say_no_time_no_name_and_their_checksum(tmp_path: Path) -> None:
    """RFC 1952: method 8, no flags, time 0. RFC 8878: the frame's magic number, and a content checksum."""
    for kind in ("gzip", "zstd"):
        write(tmp_path / kind, [batch(NASTY * 50)], compression=kind)
    assert (tmp_path / "gzip").read_bytes()[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
    assert (tmp_path / "zstd").read_bytes()[:4] == b"\x28\xb5\x2f\xfd"
    assert (tmp_path / "zstd").read_bytes()[4] & 0b100 == 0b100

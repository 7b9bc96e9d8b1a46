"""Files read again: what was written is what the table holds, and every change between them is found."""

from __future__ import annotations

import itertools
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pytest
from builders import integration

from delivery.errors import WriteFailed
from delivery.files import text
from delivery.files.proof import Dialect, Rows, _same, compare, read_back
from delivery.files.writer import write_file

if TYPE_CHECKING:
    from pathlib import Path

    from delivery.config.integrations import Integration

ROWS = 2_000
RENAMES = {"event": {"open": "opened", "click": "clicked"}}
PARTS = {
    "email": ["a@example.com", "b@example.com", None, ""],
    "event": ["open", "click", "deliver"],
    "text": ["plain", "", None, "<NULL>", 'a"b', "a\r\nb", "=1+1", "-", "\ttab", "é😀", "a,b;c|d", "\\.", "'"],
    "at": [datetime(2026, 11, 3, 4, 5, 6), datetime(2026, 11, 3, 4, 5, 6, 250_000), datetime(1, 1, 1), None],
    "day": [date(2026, 11, 3), date(9999, 12, 31), None],
    "clock": [time(1, 2, 3), time(1, 2, 3, 4), None],
    "whole": [0, -1, 2**63 - 1, None],
    "amount": [Decimal("1.50"), Decimal("-0.01"), Decimal("99999999999999.99"), None],
    "real": [0.1, 1e300, -0.0, float("inf"), float("nan"), None],
    "flag": [True, False, None],
}
TYPES = {
    "at": pa.timestamp("us"),
    "clock": pa.time64("us"),
    "whole": pa.int64(),
    "amount": pa.decimal128(16, 2),
}
DIALECTS = [
    {"character_encoding": encoding, "nulls": nulls, "quoting": quoting, "include_header_row": header, **more}
    for encoding, nulls, quoting, header, more in itertools.product(
        ("UTF-8", "UTF-16"),
        ("", "<NULL>"),
        ("minimal", "all"),
        (True, False),
        ({}, {"column_delimiter": "|", "row_delimiter": "linux", "compression": "gzip", "escape_formulas": True}),
    )
]


def rows(count: int = ROWS) -> pa.RecordBatch:
    """Rows of every type: each column runs through its values at a pace of its own."""
    columns = {"namespace": pa.array(["acme_outdoor"] * count)}
    for name, values in PARTS.items():
        columns[name] = pa.array([values[n % len(values)] for n in range(count)], TYPES.get(name))
    columns["n"] = pa.array([str(n) for n in range(count)])
    columns["kind"] = pa.array(["a", None, "b"] * count)[:count].dictionary_encode()
    return pa.record_batch(columns)


def check(path: Path, how: Integration, table: list[pa.RecordBatch], namespace: str = "acme_outdoor") -> int:
    dialect, wanted = Dialect(path.name, how, RENAMES), Rows(table)
    seen = compare(read_back(lambda: path.open("rb"), table[0].schema, dialect), wanted, namespace, dialect)
    if wanted.take(1) is not None:
        raise WriteFailed(f"ends after {seen} rows")
    return seen


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_what_was_written_is_what_the_table_holds(dialect: dict[str, Any], tmp_path: Path) -> None:
    table, how = rows(), integration(**dialect)
    write_file(tmp_path / "f", [table.slice(0, 7), table.slice(7)], how, RENAMES)
    assert check(tmp_path / "f", how, [table.slice(0, 1500), table.slice(1500, 0), table.slice(1500)]) == ROWS


def test_every_unit_of_time_and_every_width_of_number(tmp_path: Path) -> None:
    stamps = [1_793_667_723, 0, None]
    columns = {unit: pa.array(stamps, pa.timestamp(unit)) for unit in ("ms", "us", "ns")}
    columns["zoned"] = pa.array(stamps, pa.timestamp("us", "Europe/Berlin"))
    columns |= {str(kind): pa.array([1, 0, None], kind) for kind in (pa.int8(), pa.uint64(), pa.float32())}
    columns |= {
        "large": pa.array(["x", "", None], pa.large_string()),
        "view": pa.array(["x", "", None], pa.string_view()),
    }
    columns |= {"none": pa.nulls(3), "date64": pa.array([date(2026, 11, 3), None, None], pa.date64())}
    table, how = pa.record_batch(columns), integration()
    write_file(tmp_path / "f", [table], how)
    assert check(tmp_path / "f", how, [table]) == 3


def changed(table: pa.RecordBatch, name: str, row: int, value: object) -> pa.RecordBatch:
    place = table.schema.get_field_index(name)
    values = table.column(place).to_pylist()
    values[row] = value
    return table.set_column(place, name, pa.array(values, table.schema.field(name).type))


@pytest.mark.parametrize("dialect", [DIALECTS[0], DIALECTS[-1]], ids=str)
@pytest.mark.parametrize(
    ("name", "row", "value"),
    [
        ("email", 0, "c@example.com"),
        ("email", 0, None),
        ("email", 3, None),
        ("email", 2, ""),
        ("text", 1, None),
        ("text", 3, None),
        ("text", 4, 'a""b'),
        ("text", 5, "a\nb"),
        ("text", 6, "=1+2"),
        ("text", 6, "1+1"),
        ("text", 9, "e\u0301😀"),
        ("event", 0, "click"),
        ("at", 1, datetime(2026, 11, 3, 4, 5, 6)),
        ("at", 0, datetime(2026, 11, 3, 5, 5, 6)),
        ("day", 0, date(2026, 11, 4)),
        ("clock", 1, time(1, 2, 3)),
        ("whole", 0, None),
        ("whole", 2, 2**63 - 2),
        ("amount", 0, Decimal("1.51")),
        ("real", 0, 0.1000001),
        ("real", 4, None),
        ("real", 5, float("nan")),
        ("flag", 0, False),
        ("flag", 2, False),
        ("kind", 0, "b"),
        ("n", ROWS - 1, "0"),
    ],
)
def test_a_changed_cell_is_found(dialect: dict[str, Any], name: str, row: int, value: object, tmp_path: Path) -> None:
    how, table = integration(**dialect), rows()
    write_file(tmp_path / "f", [table], how, RENAMES)
    with pytest.raises(WriteFailed, match=rf"f differs from the table in row {row + 1}, column {name}\.") as found:
        check(tmp_path / "f", how, [changed(table, name, row, value)])
    assert "example.com" not in str(found.value)


def test_rows_that_changed_places_are_found(tmp_path: Path) -> None:
    """Sums over each column would be the same."""
    how, table = integration(), rows()
    order = [*range(10), 11, 10, *range(12, ROWS)]
    write_file(tmp_path / "f", [table.take(pa.array(order))], how, RENAMES)
    with pytest.raises(WriteFailed, match="row 11, column"):
        check(tmp_path / "f", how, [table])


def test_two_columns_in_each_others_place_are_found(tmp_path: Path) -> None:
    how, table = integration(), rows()
    order = list(table.schema.names)
    order[1], order[3] = order[3], order[1]
    wrong = pa.record_batch(table.select(order).columns, names=table.schema.names)
    write_file(tmp_path / "f", [wrong], how, RENAMES)
    with pytest.raises(WriteFailed, match="row 1, column email"):
        check(tmp_path / "f", how, [table])


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([0, *range(1, 99), 98], "row 100, column"),
        ([0, 0, *range(1, 100)], "row 2, column"),
        ([*range(100), 99], "more rows than the 100 of the table"),
        (list(range(99)), "ends after 99 rows"),
        ([], "ends after 0 rows"),
    ],
    ids=["doubled while another is lost", "doubled", "one more", "lost", "all lost"],
)
def test_rows_that_are_doubled_or_lost_are_found(order: list[int], message: str, tmp_path: Path) -> None:
    how, table = integration(), rows(100)
    write_file(tmp_path / "f", [table.take(pa.array(order, pa.int64()))], how, RENAMES)
    with pytest.raises(WriteFailed, match=message):
        check(tmp_path / "f", how, [table.slice(0, 40), table.slice(40)])


@pytest.mark.parametrize("stranger", ["nordlicht_books", "acme_outdoor2", "", None])
@pytest.mark.parametrize("at", [0, 5, 99])
def test_another_namespace_in_the_file_is_found(stranger: str | None, at: int, tmp_path: Path) -> None:
    """Even if the query gives the same row."""
    how, table = integration(), changed(rows(100), "namespace", at, stranger)
    with pytest.raises(WriteFailed, match="holds another namespace's row") as found:
        write_file(tmp_path / "f", [table], how, RENAMES)
    assert "nordlicht" not in str(found.value)


def test_another_header_is_found(tmp_path: Path) -> None:
    how, table = integration(), rows(3)
    names = [name.upper() for name in table.schema.names]
    write_file(tmp_path / "f", [pa.record_batch(table.columns, names=names)], how)
    with pytest.raises(WriteFailed, match="another header"):
        check(tmp_path / "f", how, [table])


def test_what_does_not_parse_is_said_without_its_value(tmp_path: Path) -> None:
    how, table = integration(), rows(3)
    place = table.schema.get_field_index("whole")
    wrong = table.set_column(place, "whole", pa.array(["secret@example.com"] * 3))
    write_file(tmp_path / "f", [wrong], how, RENAMES)
    with pytest.raises(WriteFailed, match="does not read back: In CSV column") as found:
        check(tmp_path / "f", how, [table])
    assert "secret" not in str(found.value)


def test_a_value_larger_than_a_block_does_not_lose_its_place(tmp_path: Path) -> None:
    how = integration()
    table = pa.record_batch({"a": ["x", "y" * (1 << 19), "z", "é" * (2 << 20), "end"] * 3})
    write_file(tmp_path / "f", [table], how)
    assert check(tmp_path / "f", how, [table]) == 15


BROKEN: dict[str, tuple[str, Any]] = {
    "fractions of a second lost": ("TIMESTAMP", "%Y-%m-%dT%H:%M:%SZ"),
    "the Z lost": ("TIMESTAMP", "%Y-%m-%dT%H:%M:%S%.f"),
    "months for minutes": ("TIMESTAMP", "%Y-%m-%dT%H:%m:%S%.fZ"),
    "fractions of a time lost": ("TIME", "%H:%M:%S"),
    "formulas not escaped": ("FORMULA", "^never$"),
    "quotes not doubled": ("_in_quotes", lambda text: pl.format('"{}"', text)),
    "empty text not quoted": ("_in_quotes", lambda text: text),
    "times as they are": ("_texts", lambda frame: frame.with_columns(pl.col("at").dt.offset_by("1h"))),
    "texts trimmed": ("_texts", lambda frame: frame.with_columns(pl.col("text").str.strip_chars())),
    "rows turned round": ("_texts", lambda frame: frame.reverse()),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_renderer_that_is_broken_in_one_place_is_found(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, replacement = BROKEN[how]
    monkeypatch.setattr(text, name, replacement)
    table = rows(200)
    format_keys = integration(nulls="<NULL>", escape_formulas=True)
    with pytest.raises(WriteFailed):
        write_file(tmp_path / "f", [table], format_keys, RENAMES)
    assert not (tmp_path / "f").exists()


def test_spelling_left_out_is_found(tmp_path: Path) -> None:
    how, table = integration(), rows(10)
    write_file(tmp_path / "f", [table], how)
    with pytest.raises(WriteFailed, match="row 1, column event"):
        check(tmp_path / "f", how, [table])


# What the reader takes for what


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (pa.bool_(), "true", True),
        (pa.bool_(), "false", False),
        *((pa.bool_(), text, None) for text in ("True", "TRUE", "False", "FALSE", "1", "0", "t", "yes")),
        (pa.int64(), "1.0", None),
        (pa.int64(), "NULL", None),
        (pa.float64(), "NA", None),
        (pa.string(), "NULL", "NULL"),
        (pa.string(), "N/A", "N/A"),
        (pa.timestamp("us"), "2026-11-03", None),
        (pa.date32(), "03.11.2026", None),
    ],
)
def test_only_our_spelling_is_read(kind: pa.DataType, text: str, expected: object, tmp_path: Path) -> None:
    how = integration()
    write_file(tmp_path / "f", [pa.record_batch({"a": [text], "b": ["x"]})], how)
    table = pa.record_batch({"a": pa.array([expected], kind), "b": pa.array(["x"])})
    if expected is None:
        with pytest.raises(WriteFailed, match="f does not read back: "):
            check(tmp_path / "f", how, [table])
    else:
        assert check(tmp_path / "f", how, [table]) == 1


@pytest.mark.parametrize("keys", [{}, {"quoting": "all"}, {"character_encoding": "UTF-16"}, {"compression": "gzip"}])
@pytest.mark.parametrize("mark", ["\r\n", "\r", "\n", "\r\r\n", "\n\r"])
def test_a_line_within_a_value_that_two_blocks_share(mark: str, keys: dict[str, Any], tmp_path: Path) -> None:
    """Wherever the first block of 256 KiB ends in it."""
    how = integration(**keys)
    for at in range(262_136, 262_146):
        table = pa.record_batch({"a": ["x" * (at - 6) + mark + "y", mark], "b": ["z", f"{mark}z"]})
        write_file(tmp_path / str(at), [table], how)
        assert check(tmp_path / str(at), how, [table]) == 2


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_lines_within_values_across_blocks(compression: str, tmp_path: Path) -> None:
    """A block of 256 KiB ends within one."""
    table = pa.record_batch({"a": ['one\r\n"two",\nthree ' * 9] * 9000, "b": [str(n) for n in range(9000)]})
    how = integration(compression=compression)
    write_file(tmp_path / "f", [table], how)
    assert (tmp_path / "f").stat().st_size > (1 << 20 if compression == "none" else 0)
    assert check(tmp_path / "f", how, [table]) == 9000


@pytest.mark.parametrize(
    ("seen", "wanted", "same"),
    [
        ([1.0, float("nan"), None], [1.0, float("nan"), None], True),
        ([float("nan")], [1.0], False),
        ([1.0], [float("nan")], False),
        ([float("nan")], [None], False),
        ([None], [float("nan")], False),
        ([None, 1.0], [1.0, None], False),
        ([float("nan"), 1.0], [float("nan"), 2.0], False),
        ([float("inf")], [float("-inf")], False),
        ([], [], True),
    ],
)
def test_numbers_that_are_none(seen: list[float | None], wanted: list[float | None], same: bool) -> None:
    assert _same(pa.array(seen, pa.float64()), pa.array(wanted, pa.float64())) is same


def test_the_first_row_that_differs_is_named(tmp_path: Path) -> None:
    """Counted from the beginning of the file, over batches of both."""
    how, table = integration(), rows(100)
    write_file(tmp_path / "f", [table], how, RENAMES)
    other = changed(changed(table, "n", 70, "x"), "n", 90, "y")
    with pytest.raises(WriteFailed, match=r"^f differs from the table in row 71, column n\.$"):
        check(tmp_path / "f", how, [other.slice(0, 33), other.slice(33, 30), other.slice(63)])
    with pytest.raises(WriteFailed, match=r"^f holds another namespace's row after row 0\.$"):
        check(tmp_path / "f", how, [table], "another")


@pytest.mark.parametrize(("escape", "first"), list(itertools.product((True, False), ("=", "+", "-", "@", "\t", "\r"))))
def test_formulas_are_expected_as_they_were_asked_for(escape: bool, first: str, tmp_path: Path) -> None:
    """In texts only, whatever follows; a file that was written the other way is not taken."""
    table = pa.record_batch({"a": [first, f"{first}1", f"a{first}", "'", ""], "n": pa.array([-1] * 5)})
    for asked in (escape, not escape):
        write_file(tmp_path / str(asked), [table], integration(escape_formulas=asked))
    assert check(tmp_path / str(escape), integration(escape_formulas=escape), [table]) == 5
    with pytest.raises(WriteFailed, match="row 1, column a"):
        check(tmp_path / str(not escape), integration(escape_formulas=escape), [table])


def test_rows_are_taken_in_pieces_of_any_size() -> None:
    batches = [pa.record_batch({"a": list(range(start, end))}) for start, end in ((0, 0), (0, 3), (3, 3), (3, 7))]
    taken, wanted = Rows(batches), []
    for most in (2, 2, 3, 9, 1):
        piece = taken.take(most)
        wanted.append(piece and piece["a"].to_pylist())
    assert wanted == [[0, 1], [2], [3, 4, 5], [6], None]

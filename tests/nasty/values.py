"""The values: why each is nasty, and the text that a reader must get back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

from delivery.config.formats import CODECS

LONG = 100_000  # characters; longer ones stand only in the first column


@dataclass(frozen=True)
class Text:
    """A text, or NULL, and why it is nasty."""

    value: str | None
    why: str


@dataclass(frozen=True)
class Column:
    """A typed column: its values, each with the text that the file must hold. None is NULL."""

    name: str
    type: pa.DataType
    values: tuple[tuple[Any, str | None], ...]


TEXTS = (
    Text("plain", "a value that is not nasty, as a control"),
    Text(None, "NULL"),
    Text("", "the empty text is not NULL"),
    Text(" ", "only a space: readers trim"),
    Text("   ", "only spaces"),
    Text("\t", "only a tab: also a delimiter"),
    Text("\n", "only a line feed"),
    Text("\r", "only a carriage return: for some readers the end of a row"),
    Text("\r\n", "only a CRLF"),
    Text("\n\n\n", "only line feeds: blank lines inside a value"),
    Text("\r\r", "only carriage returns"),
    Text(",", "only a comma"),
    Text(";", "only a semicolon"),
    Text("|", "only a pipe"),
    Text('"', "only a quote"),
    Text('""', "two quotes, which look like an empty value or an escaped quote"),
    Text('"""', "three quotes"),
    Text("a,b", "comma, a delimiter"),
    Text("a;b", "semicolon, a delimiter"),
    Text("101|103", "pipe, a delimiter, as in audience_id"),
    Text("a\tb", "tab, a delimiter"),
    Text(",;|\t", "all delimiters"),
    Text(",lead", "begins with a delimiter"),
    Text("trail,", "ends with a delimiter"),
    Text('a"b', "a quote inside"),
    Text('"a', "begins with a quote"),
    Text('a"', "ends with a quote"),
    Text('"quoted"', "looks quoted already"),
    Text('a""b', "doubled quotes inside: must not be halved"),
    Text('","', "looks like the end of a value and the start of the next"),
    Text('"\n"', "quotes around a line break"),
    Text("'", "an apostrophe, in some dialects a quote"),
    Text("'a,b'", "apostrophes around a delimiter"),
    Text("`a`", "backticks"),
    Text("a\nb", "line feed inside"),
    Text("a\rb", "a lone carriage return inside"),
    Text("a\r\nb", "CRLF inside: must not become LF"),
    Text("a\n\rb", "LF CR: neither a Windows nor a Linux line break"),
    Text("a\r\r\nb", "CR CRLF"),
    Text("a\nb\r\nc\rd", "all three line breaks in one value"),
    Text("line\n", "ends with a line feed: readers trim"),
    Text("line\r", "ends with a carriage return, which next to CRLF readers swallow"),
    Text("line\r\n", "ends with CRLF"),
    Text("\nline", "begins with a line feed"),
    Text("a\n\nb", "a blank line inside"),
    Text("a\n# b", "a line inside that looks like a comment"),
    Text(" lead", "a leading space: readers trim"),
    Text("trail ", "a trailing space"),
    Text(" both ", "spaces on both sides"),
    Text("\tlead", "a leading tab"),
    Text("trail\t", "a trailing tab"),
    Text(' "a" ', "spaces outside of quotes"),
    Text("\\.", "ends the input of PostgreSQL's COPY"),
    Text("\r\n\\.\r\n", "the end of COPY on a line of its own, inside a value"),
    Text("\\N", "NULL of COPY and MySQL"),
    Text("NULL", "the word, not NULL"),
    Text("null", "the word, not NULL"),
    Text("<NULL>", "equal to a token for NULL"),
    Text("NA", "missing for R and pandas; Namibia's country code"),
    Text("N/A", "missing for pandas"),
    Text("None", "missing for Python"),
    Text("nan", "missing for pandas, a number for others"),
    Text("-", "a token for NULL elsewhere"),
    Text("#", "a comment sign"),
    Text("# a comment", "looks like a comment line"),
    Text("//", "a comment sign"),
    Text("\\", "a lone backslash, an escape for some readers"),
    Text("end\\", "a trailing backslash, which would escape a closing quote"),
    Text('\\"', "a backslash before a quote"),
    Text('"\\', "a quote before a backslash"),
    Text("C:\\new\\table", "a path: \\n and \\t are no escapes"),
    Text("a\\,b", "a backslash before a delimiter"),
    Text("\\u0041\\x41\\101", "looks like escapes"),
    Text("\ufeff", "only a byte-order mark"),
    Text("\ufeffmark", "begins with a byte-order mark"),
    Text("mid\ufeffdle", "a byte-order mark inside"),
    Text("\u00a0", "a no-break space, which trims as a space in some languages"),
    Text("\u00a0x\u00a0", "no-break spaces around"),
    Text("a\u200bb", "a zero width space"),
    Text("\u200e\u202eabc", "marks that turn the direction of writing"),
    Text("العربية, עברית", "right to left, with a delimiter"),
    Text("é", "one character, composed"),
    Text("e\u0301", "the same letter, combining: must not be normalised"),
    Text("日本語、中文", "three bytes a character in UTF-8"),
    Text("😀", "astral plane: a surrogate pair in UTF-16"),
    Text("👩‍👩‍👧‍👦", "a family of seven code points with zero width joiners"),
    Text("🇩🇪✨", "a flag of two code points"),
    Text("\U0001d518\U0010ffff", "the last code point that there is"),
    Text("\ue000\ufffd", "private use, and the replacement character"),
    Text("\uffff", "a noncharacter"),
    Text("\ufffe", "in UTF-16, a byte-order mark turned round"),
    Text("ਊഊ", "in UTF-16, each has the byte 0A, as a line feed has"),
    Text("\u0d0d\u2222\u2c2c\u7c7c", "in UTF-16, the bytes 0D, 22, 2C, 7C: line break, quote, delimiters"),
    Text("a\u2028b", "line separator: a line break for some languages"),
    Text("a\u2029b", "paragraph separator"),
    Text("a\u0085b", "next line (NEL), a line break for Unicode"),
    Text("a\x0bb", "vertical tab"),
    Text("a\x0cb", "form feed"),
    Text("a\x1cb\x1db\x1eb\x1f", "file, group, record and unit separators"),
    Text("\x1a", "Ctrl-Z, the end of a file on Windows"),
    Text("\x1b[31mred", "an escape sequence for terminals"),
    Text("a\x01b\x7f", "control characters, DEL"),
    Text("=1+1", "a formula"),
    Text("+1", "a formula, or a number"),
    Text("-1", "a formula, or a number"),
    Text("@SUM(A1)", "a formula"),
    Text('=HYPERLINK("https://example.com","x")', "a formula with quotes and commas"),
    Text("007", "leading zeros"),
    Text("+4930123456", "a phone number in E.164"),
    Text("12345678901234567890", "an integer beyond 64 bits"),
    Text("1.10", "a trailing zero"),
    Text("1,5", "a decimal comma"),
    Text("1 000", "grouped digits"),
    Text("1e5", "scientific"),
    Text("0x1F", "hexadecimal"),
    Text("1_000", "digits for Python"),
    Text("inf", "infinity for parsers of numbers"),
    Text("-Infinity", "infinity"),
    Text("true", "a boolean"),
    Text("No", "a boolean for YAML"),
    Text("2026-11-03", "a date"),
    Text("03/04/2026", "a date that means two days"),
    Text("1-2", "a date for spreadsheets"),
    Text("MARCH1", "a gene, a date for spreadsheets"),
    Text('{"a": "b,c", "d": "e\\"f\\n"}', "JSON with quotes, commas and backslashes"),
    Text('[["x"],\r\n[]]', "JSON over two lines"),
    Text("'; drop table x; --", "SQL"),
    Text("$HOME $(id) `id`", "shell"),
    Text("%s %n {} {0}", "formats"),
    Text("50%", "per cent"),
    Text("<b>&amp;</b>", "markup"),
    Text("_x000D_", "how Excel's files write a carriage return"),
    Text("?utm_source=a&b=%2C", "a URL's query"),
    Text("sep=;", "Excel's directive for the delimiter"),
    Text("ID", "as the first value of a file, Excel takes it for SYLK"),
    Text('"' * 10_000, "ten thousand quotes"),
    Text("\r\n" * 5_000, "five thousand line breaks"),
    Text("é" * 40_000, "longer than a cell of Excel (32,767) and a block of 64 KiB"),
    Text(("x" * 1023 + "\n") * 1024, "1 MiB, with line breaks; only in the dialects that cover pairs"),
)


def _timestamp(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[arg-type]


COLUMNS = (
    Column(
        "bigint",
        pa.int64(),
        (
            (-(2**63), "-9223372036854775808"),
            (2**63 - 1, "9223372036854775807"),
            (0, "0"),
            (-1, "-1"),
            (2**53 + 1, "9007199254740993"),
            (None, None),
        ),
    ),
    Column(
        "deci,mal",
        pa.decimal128(38, 10),
        (
            (Decimal("9999999999999999999999999999.9999999999"), "9999999999999999999999999999.9999999999"),
            (Decimal("-9999999999999999999999999999.9999999999"), "-9999999999999999999999999999.9999999999"),
            (Decimal("0.0000000001"), "0.0000000001"),
            (Decimal("1.5"), "1.5000000000"),
            (Decimal(0), "0.0000000000"),
            (None, None),
        ),
    ),
    Column(
        'dou"ble',
        pa.float64(),
        (
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (-5e-324, "-5e-324"),
            (0.1, "0.1"),
            (1 / 3, "0.3333333333333333"),
            (-0.0, "-0.0"),
            (1e16, "1e+16"),
            (float("inf"), "inf"),
            (float("nan"), "NaN"),
            (None, None),
        ),
    ),
    Column(
        "time;stamp",
        pa.timestamp("us"),
        (
            (_timestamp(2026, 11, 3, 4, 44, 4), "2026-11-03T04:44:04Z"),
            (_timestamp(2026, 11, 3, 4, 44, 4, 250_000), "2026-11-03T04:44:04.250Z"),
            (_timestamp(2026, 11, 3, 4, 44, 4, 1), "2026-11-03T04:44:04.000001Z"),
            (_timestamp(1, 1, 1), "0001-01-01T00:00:00Z"),
            (_timestamp(9999, 12, 31, 23, 59, 59, 999_999), "9999-12-31T23:59:59.999999Z"),
            (_timestamp(1969, 12, 31, 23, 59, 59, 999_999), "1969-12-31T23:59:59.999999Z"),
            (None, None),
        ),
    ),
    Column(
        " date ",
        pa.date32(),
        (
            (date(1, 1, 1), "0001-01-01"),
            (date(9999, 12, 31), "9999-12-31"),
            (date(2024, 2, 29), "2024-02-29"),
            (None, None),
        ),
    ),
    Column(
        "clock\ntime",
        pa.time64("us"),
        ((time(0), "00:00:00"), (time(23, 59, 59, 999_999), "23:59:59.999999"), (None, None)),
    ),
    Column("boolean é", pa.bool_(), ((True, "true"), (False, "false"), (None, None))),
)

REFUSED = (
    (
        "a text with the character NUL",
        pa.array(["a\0b"]),
        "PostgreSQL refuses it, and readers in C stop there",
    ),
    ("a timestamp of infinity", pa.array([2**63 - 1], pa.timestamp("us")), "no reader knows it"),
    ("a date before year 1", pa.array([-719_163], pa.date32()), "most readers begin at year 1"),
    ("a list", pa.array([["a", "b"]]), "has no one text form"),
    ("a struct", pa.array([{"a": 1}]), "has no one text form"),
    ("bytes", pa.array([b"\xff"]), "has no one text form"),
)

Cell = str | None
HEADER = ("first", "n", *(column.name for column in COLUMNS), "last")


Without = frozenset[str | None]


def texts(*, long: bool, without: Without = frozenset()) -> tuple[Text, ...]:
    """The texts of a file, with the longest or not, and without some."""
    kept = (text for text in TEXTS if text.value not in without)
    return tuple(kept) if long else tuple(text for text in kept if len(text.value or "") < LONG)


def batch(*, long: bool, without: Without = frozenset()) -> pa.RecordBatch:
    """Every text in the first and, in reverse order, in the last column; the typed values repeated between them."""
    rows = texts(long=long, without=without)
    columns = [
        pa.array([text.value for text in rows], pa.string()),
        pa.array([str(n) for n in range(len(rows))]),
        *(
            pa.array([column.values[n % len(column.values)][0] for n in range(len(rows))], column.type)
            for column in COLUMNS
        ),
        pa.array([_short(text.value) for text in reversed(rows)], pa.string()),
    ]
    return pa.record_batch(columns, names=list(HEADER))


def expected(*, long: bool, without: Without = frozenset()) -> list[list[Cell]]:
    """The rows of `batch` as texts."""
    rows = texts(long=long, without=without)
    return [
        [
            text.value,
            str(n),
            *(column.values[n % len(column.values)][1] for column in COLUMNS),
            _short(rows[-1 - n].value),
        ]
        for n, text in enumerate(rows)
    ]


def lacking(encoding: object) -> Without:
    """The texts that cannot be written in an encoding."""
    return frozenset(text.value for text in TEXTS if text.value and not _fits(text.value, CODECS[str(encoding)]))


def _fits(text: str, codec: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def count() -> int:
    """How many values there are, NULL counted once for each type."""
    return len(TEXTS) + sum(len(column.values) for column in COLUMNS)


def _short(value: Cell) -> Cell:
    return value[:10] if value and len(value) > LONG else value

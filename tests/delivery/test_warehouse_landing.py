"""Raw files that a reader would stop at: what is said of each, and which of their lines can be read all the same."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from delivery.warehouse import landing
from delivery.warehouse.landing import a_name_comes_twice, damaged_lines, file_exists, file_fault, json_fault

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of eight bytes, lines of at most twenty."""
    monkeypatch.setattr(landing, "CHUNK_BYTES", 8)
    monkeypatch.setattr(landing, "MOST_BYTES", 20)


def written(tmp_path: Path, content: bytes, name: str = "a.ndjson") -> str:
    path = tmp_path / name
    path.write_bytes(content)
    return str(path)


TWO = gzip.compress(b'{"a": 1}\n', mtime=0) + gzip.compress(b'{"a": 2}\n', mtime=0)
FAULTS: list[tuple[str, bytes, str | None]] = [
    ("a.ndjson", b"", None),
    ("a.ndjson", b'{"a": "\xc3\xa9"}\n' * 9, None),
    ("a.ndjson", b"1234567\xc3\xa9\n", None),  # a character in two chunks
    ("a.ndjson", b"1234567\r\n1\r\n", None),  # an end of a line, too
    ("a.ndjson", b"1234567\r", None),  # the last sign of a file
    ("a.ndjson", b"1234567\r1", "a carriage return without a line feed"),
    ("a.ndjson", b"1\r2\n", "a carriage return without a line feed"),
    ("a.ndjson", b"1234567\xc3", "not UTF-8"),
    ("a.ndjson", b"\xff\n", "not UTF-8"),
    ("a.ndjson", b"1" * 20 + b"\n" + b"1" * 20, None),
    ("a.ndjson", b"1" * 21, "a line is too long"),
    ("a.ndjson", b"1" * 21 + b"\n", "a line is too long"),
    ("a.ndjson", b"1\n" + b"1" * 21 + b"\n1\n", "a line is too long"),
    ("a.ndjson", b"1234567\n" + b"1" * 20 + b"\n", None),
    ("a.ndjson", b"12\n4\n678" + b"1" * 17 + b"\n", None),  # counted from the last end of a line of a chunk
    ("a.ndjson", b"12\n4\n678" + b"1" * 18 + b"\n", "a line is too long"),
    ("a.gz", TWO, None),
    ("a.gz", gzip.compress(b"", mtime=0), None),
    ("a.gz", gzip.compress(b"1" * 21, mtime=0), "a line is too long"),
    ("a.gz", b"", "an empty gzip"),
    ("a.gz", TWO[:-1], "the gzip is cut"),
    ("a.gz", TWO[:-9], "the gzip is cut"),
    ("a.gz", TWO + b"\n", "there is something after the end of the gzip"),
    ("a.gz", b"{}\n" * 9, "no gzip, or a damaged one"),
    ("a.gz", TWO[:-8] + b"\0" * 8, "no gzip, or a damaged one"),  # the checksum
    ("none.ndjson", b"", "it is gone"),
    (".", b"", "Is a directory"),
]


@pytest.mark.parametrize(("name", "content", "fault"), FAULTS)
def test_why_a_reader_would_stop(tmp_path: Path, name: str, content: bytes, fault: str | None) -> None:
    path = str(tmp_path / name) if name in (".", "none.ndjson") else written(tmp_path, content, name)
    assert file_fault(path) == fault
    assert file_exists(path) == (name not in (".", "none.ndjson"))


def test_of_a_damaged_file_each_line_that_can_be_read_is(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"a": 1}\r\n\n  \n\xff\n' + b"1" * 20 + b"\n" + b"2" * 21 + b"\r{}"
    assert [tuple(line.values()) for line in damaged_lines(written(tmp_path, content))] == [
        (1, '{"a": 1}', None),
        (4, "\ufffd", "not UTF-8"),
        (5, "1" * 20, None),
        (6, "2" * 21, "the line is longer than 32 MB"),
        (7, "{}", None),
    ]
    assert [line["line"] for line in damaged_lines(written(tmp_path, TWO, "a.gz"))] == ['{"a": 1}', '{"a": 2}']
    for name, why in (("cut.gz", "the gzip is cut"), ("gone", "it is gone")):
        path = written(tmp_path, TWO[:-1], name) if name == "cut.gz" else str(tmp_path / name)
        told = {"line_number": 1, "line": "", "fault": f"the file cannot be read: {why}"}
        assert damaged_lines(path) == [told], "of a gzip that is cut nothing is taken"


def test_of_a_line_that_is_far_too_long_the_beginning_is_kept(tmp_path: Path) -> None:
    (line,) = damaged_lines(written(tmp_path, b"12345" * 300))
    assert line["line"] == "12345" * 200


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, None),
        ('{"a": ["\\u00e9", "é", 1e400, null, {"b": "\\ud83c\\udf89"}]}', None),
        ("[]", None),
        ("{", "not JSON"),
        ('{"a": 1,}', "not JSON"),
        ('{"a": NaN}', "NaN is no JSON"),
        ('{"a": -Infinity}', "-Infinity is no JSON"),
        ('{"a": "\\u0000"}', "a text holds the character NUL"),
        ('{"a": {"\\u0000": 1}}', "a text holds the character NUL"),
        ('{"a": "\\ud83c"}', "a text holds half a character"),
        ('{"\\udfff": 1}', "a text holds half a character"),
        ('{"a": "\\ud800"}', "a text holds half a character"),
        ('{"a": "\\ud7ff\\ue000"}', None),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_the_standard_forbids_and_some_readers_let_pass(text: str | None, fault: str | None) -> None:
    assert json_fault(text) == fault


@pytest.mark.parametrize(
    ("shape", "twice"),
    [(None, False), ("[]", False), ('[["a", "b"], ["a"]]', False), ('[["a"], ["b", "c", "b"]]', True)],
)
def test_a_name_that_comes_twice_in_one_object(shape: str | None, twice: bool) -> None:
    assert a_name_comes_twice(shape) is twice

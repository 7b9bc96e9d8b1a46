"""Raw files that a reader would stop at: what is said of each, and which of their lines can be read all the same."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import tracemalloc
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from delivery.warehouse import landing
from delivery.warehouse.landing import (
    Damaged,
    a_name_comes_twice,
    file_exists,
    file_fault,
    halves_marked,
    halves_unmarked,
    json_fault,
    landed_files,
    mended_copy,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of eight bytes, lines of at most twenty."""
    monkeypatch.setattr(landing, "CHUNK_BYTES", 8)
    monkeypatch.setattr(landing, "MOST_BYTES", 20)
    monkeypatch.setattr(landing, "WHOLE_BYTES", 20)


def written(tmp_path: Path, content: bytes, name: str = "a.ndjson") -> str:
    path = tmp_path / name
    path.write_bytes(content)
    return str(path)


def damaged_lines(path: str) -> list[dict[str, Any]]:
    """What a model reads of a file that has a fault: lines that are blank, and have none, it leaves out."""
    read = Path(mended_copy(json.dumps([path]))).read_bytes().decode().split("\n")
    assert read.pop() == "", "each line ends"
    lines = [[number, *line.split("\x01")] for number, line in enumerate(read, 1)]
    assert all(file == "1" for _, file, _, _ in lines)
    return [
        {"line_number": number, "line": line, "fault": fault or None}
        for number, _, fault, line in lines
        if fault or line.strip()
    ]


TWO = gzip.compress(b'{"a": 1}\n', mtime=0) + gzip.compress(b'{"a": 2}\n', mtime=0)


def with_head(flags: int, fields: bytes) -> bytes:
    """A gzip whose head has more than it needs."""
    plain = gzip.compress(b'{"a": 3}\n', mtime=0)
    return plain[:3] + bytes([flags]) + plain[4:10] + fields + plain[10:]


COMMENTED, NAMED = with_head(16, b"of whom\0"), with_head(12, b"\2\0xxname\0")
LONG = "the line is longer than 32 MB"
HEAD = "the head of the gzip has what not every reader takes"
COLUMN = "a control character that ends a column"
FAULTS: list[tuple[str, bytes, str | None]] = [
    ("a.ndjson", b"", None),
    ("a.ndjson", b'{"a": "\xc3\xa9"}\n' * 9, None),
    ("a.ndjson", b"1234567\xc3\xa9\n", None),  # a character in two chunks
    ("a.ndjson", b"1234567\r\n1\r\n", "carriage returns"),
    ("a.ndjson", b"1\n1234567\r", "carriage returns"),
    ("a.ndjson", b"1234567\xc3", "not UTF-8"),
    ("a.ndjson", b"\xff\n", "not UTF-8"),
    ("a.ndjson", b"1" * 20 + b"\n" + b"1" * 20, None),
    ("a.ndjson", b"1" * 21, "a long line"),
    ("a.ndjson", b"1" * 21 + b"\n", "a long line"),
    ("a.ndjson", b"1\n" + b"1" * 21 + b"\n1\n", "a long line"),
    ("a.ndjson", b"1234567\n" + b"1" * 20 + b"\n", None),
    ("a.ndjson", b"12\n4\n678" + b"1" * 17 + b"\n", None),  # counted from the last end of a line of a chunk
    ("a.ndjson", b"12\n4\n678" + b"1" * 18 + b"\n", "a long line"),
    ("a.ndjson", b'{"a": 1}\n{"b"\x01: 1}\n', COLUMN),
    ("a.gz", gzip.compress(b"{}\x01", mtime=0), COLUMN),
    ("a.gz", TWO, None),
    ("a.gz", gzip.compress(b"", mtime=0), None),
    ("a.gz", gzip.compress(b"1" * 21, mtime=0), "a long line"),
    ("a.gz", b"", "an empty gzip"),
    ("a.gz", TWO[:-1], "the gzip is cut"),
    ("a.gz", TWO[:-9], "the gzip is cut"),
    ("a.gz", TWO + b"\n", "there is something after the end of the gzip"),
    ("a.gz", b"{}\n" * 9, "no gzip, or a damaged one"),
    ("a.gz", TWO[:-8] + b"\0" * 8, "no gzip, or a damaged one"),  # the checksum
    ("a.gz", NAMED, None),
    ("a.gz", COMMENTED, HEAD),
    ("a.gz", TWO + COMMENTED, HEAD),
    ("a.gz", with_head(1, b""), HEAD),
    ("a.gz", with_head(32, b""), HEAD),
    ("none.ndjson", b"", "it is gone"),
    (".", b"", "it is a link, or no regular file"),
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


def test_what_the_reader_would_not_see_behind_a_control_character_is_no_event(tmp_path: Path) -> None:
    content = b'{"a": 1}\n{"a": 2}\x01{"a": 3}\n\x01\n\xff\x01\n{"a": 4}' + b" " * 20 + b"\x01\n{}"
    assert [tuple(line.values()) for line in damaged_lines(written(tmp_path, content))] == [
        (1, '{"a": 1}', None),
        (2, '{"a": 2}\ufffd{"a": 3}', "not JSON"),
        (3, "\ufffd", "not JSON"),
        (4, "\ufffd\ufffd", "not JSON"),
        (5, '{"a": 4}' + " " * 20 + "\ufffd", LONG),
        (6, "{}", None),
    ]


def test_a_copy_holds_several_files_and_what_cannot_be_read_takes_nothing_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = written(tmp_path, b"1\n\xff", "a.ndjson"), written(tmp_path, b"2\r3", "b.ndjson")
    paths = json.dumps([first, str(tmp_path / "gone"), last])
    lines_of = landing._lines_of

    def lost(path: str) -> Iterator[tuple[bytes, bool]]:
        for line in lines_of(path):
            yield line
            if path == first:
                raise Damaged("it is gone")

    read = [
        ("1", "", "1"), ("1", "not UTF-8", "\ufffd"), ("2", "the file cannot be read: it is gone", ""), ("3", "", "2"),
        ("3", "", "3"),
    ]  # fmt: skip
    assert [tuple(line.split("\x01")) for line in Path(mended_copy(paths)).read_text().splitlines()] == read
    monkeypatch.setattr(landing, "_lines_of", lost)
    meanwhile = [("1", "the file cannot be read: it is gone", ""), *read[2:]]
    assert [tuple(line.split("\x01")) for line in Path(mended_copy(paths)).read_text().splitlines()] == meanwhile


def test_a_line_that_cannot_be_shown_in_full_fits_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "KEPT_BYTES", 10)
    lines = damaged_lines(written(tmp_path, b"\xff" * 6 + b"\n" + b"\xff" * 7))
    told = [(1, "\ufffd" * 6, "not UTF-8"), (2, "\ufffd" * 3, "not UTF-8")]
    assert [tuple(line.values()) for line in lines] == told, "18 bytes and 21, of which 20 fit"


def test_a_file_that_has_a_fault_is_copied_in_flat_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "CHUNK_BYTES", 1 << 16)
    path = written(tmp_path, b'{"a": 1}\n' * 200_000 + b"\xff\n")
    tracemalloc.start()
    copied = Path(mended_copy(json.dumps([path]))).stat().st_size
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (copied > 2_000_000, most < 2_000_000) == (True, True)


def test_of_a_gzip_whose_head_duckdb_does_not_take_each_line_is_read(tmp_path: Path) -> None:
    """One that the format does not know is none."""
    lines = damaged_lines(written(tmp_path, TWO + COMMENTED + NAMED, "a.gz"))
    assert [line["line"] for line in lines] == ['{"a": 1}', '{"a": 2}', '{"a": 3}', '{"a": 3}']
    (line,) = damaged_lines(written(tmp_path, TWO + with_head(32, b""), "a.gz"))
    assert line["fault"] == f"the file cannot be read: {HEAD}"


def test_a_gzip_that_unpacks_to_far_more_than_it_is_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, gzip.compress(b"\n" * 40_000, mtime=0), "a.gz")
    assert file_fault(path) is None, "not much"
    monkeypatch.setattr(landing, "MOST_UNPACKED", 1000)
    assert file_fault(path) == "it unpacks to more than 200 times its size"
    (line,) = damaged_lines(path)
    assert line["fault"] == "the file cannot be read: it unpacks to more than 200 times its size"
    monkeypatch.setattr(landing, "_lines_of", lambda _: pytest.fail("a line of it was looked at"))
    assert damaged_lines(path) == [line]
    lines = b"".join(b"%d\n" % number for number in range(400))
    assert file_fault(written(tmp_path, gzip.compress(lines, mtime=0), "b.gz")) is None, "not so many times"


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_lines_are_the_same_wherever_a_chunk_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(landing, "CHUNK_BYTES", chunk)
    assert file_fault(written(tmp_path, TWO + COMMENTED, "a.gz")) == HEAD
    content = b"\xef\xbb\xbfa\r\n\rb\n" + b"1" * 30 + b"\r\n" + b"2" * 30 + b"\rc\n\n\xff\r"
    assert [tuple(line.values()) for line in damaged_lines(written(tmp_path, content))] == [
        (1, "a", None), (3, "b", None), (4, "1" * 30, LONG), (5, "2" * 30, LONG), (6, "c", None),
        (8, "\ufffd", "not UTF-8"),
    ]  # fmt: skip


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
        ('{"a": ["x", ["\\ud800"]]}', "a text holds half a character"),
        ('["\\u0000"]', "a text holds the character NUL"),
        ('{"a": "\\ud7ff\\ue000"}', None),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_the_standard_forbids_and_some_readers_let_pass(text: str | None, fault: str | None) -> None:
    assert json_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        (None, None),
        ("", ""),
        (r'["\ud83d", "\uDE00"]', r'["\u0000\u0001d83d", "\u0000\u0001DE00"]'),
        (r'["\ud83d\ud83d\ude00\ude00"]', r'["\u0000\u0001d83d\ud83d\ude00\u0000\u0001de00"]'),
        (r'["\\ud83d", "\\\ud83d"]', r'["\\ud83d", "\\\u0000\u0001d83d"]'),
        (
            r'["\ud8zz", "\ud7ff", "\u0000", "\\u0000\u0001d83d"]',
            r'["\ud8zz", "\ud7ff", "\u0000", "\\u0000\u0001d83d"]',
        ),
    ],
)
def test_halves_of_characters_are_marked_so_that_what_is_beside_them_is_read(text: str, marked: str) -> None:
    assert halves_marked(text) == marked
    assert halves_unmarked(marked) == text


@pytest.mark.parametrize(
    ("shape", "twice"),
    [(None, False), ("[]", False), ('[["a", "b"], ["a"]]', False), ('[["a"], ["b", "c", "b"]]', True)],
)
def test_a_name_that_comes_twice_in_one_object(shape: str | None, twice: bool) -> None:
    assert a_name_comes_twice(shape) is twice


NAMES = [
    b"a.ndjson", b"back\\slash", b"a\nb", b"a\rb\x01", b"[a]*?", b"{a,b}", b"'\"%#", b"-", b" a ", b"~",
    b"\xff\xfe", b"\\xff\\xfe", b"\\\xff", b"n" * 255, "\u202e\U0001f4e7".encode(),
]  # fmt: skip


def test_every_name_is_listed_once_and_its_lines_are_read(tmp_path: Path) -> None:
    below = tmp_path / "folder.jsonl.gz"
    below.mkdir()
    for folder in (tmp_path, below):
        for name in NAMES:
            Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(name.hex().encode()[:20])
    listed = [str(file["file_name"]) for file in landed_files(str(tmp_path))]
    assert len(set(listed)) == len(listed) == 2 * len(NAMES)
    assert all(name.encode().isascii() or "\u202e" in name for name in listed)
    assert not [name for name in listed if any(ord(sign) < 32 for sign in name)]
    read = [damaged_lines(f"{tmp_path}/{name}")[0] for name in listed]
    assert sorted(str(line["line"]) for line in read) == sorted(2 * [name.hex()[:20] for name in NAMES])
    assert all(line["fault"] is None for line in read)
    assert all(file_exists(f"{tmp_path}/{name}") for name in listed)


@pytest.mark.parametrize("name", [b"back\\slash", b"a\nb", b"[a]", b"a*", b"a?", b"\xff"])
def test_a_name_that_the_reader_would_stumble_over_is_read_by_hand(name: bytes, tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"1\n")
    (listed,) = landed_files(str(tmp_path))
    assert file_fault(f"{tmp_path}/{listed['file_name']}") == "a name that DuckDB's reader does not take"


@pytest.mark.parametrize("kind", ["pipe", "socket", "to nothing", "to itself", "to another's", "to a folder", "device"])
def test_what_is_no_file_is_named_and_never_waited_for(kind: str, tmp_path: Path) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "landing").mkdir()
    path, theirs = tmp_path / "landing" / "a", tmp_path / "beside" / "secret"
    theirs.write_text("1\n")
    with socket.socket(socket.AF_UNIX) as bound, contextlib.chdir(path.parent):
        {
            "pipe": lambda: os.mkfifo("a"),
            "socket": lambda: bound.bind("a"),
            "to nothing": lambda: path.symlink_to("nothing"),
            "to itself": lambda: path.symlink_to("a"),
            "to another's": lambda: path.symlink_to(theirs),
            "to a folder": lambda: path.symlink_to(".."),
            "device": lambda: path.symlink_to("/dev/zero"),
        }[kind]()
    (listed,) = landed_files(str(path.parent))
    assert (listed["file_name"], listed["file_size"]) == ("a", -1)
    assert file_exists(str(path))
    why = "it is a link, or no regular file"
    assert file_fault(str(path)) == why
    assert damaged_lines(str(path)) == [{"line_number": 1, "line": "", "fault": f"the file cannot be read: {why}"}]


def test_a_pipe_that_takes_the_place_of_a_file_meanwhile_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    os.close(landing._at_once(str(tmp_path / "a"), os.O_RDONLY))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_a_file_without_permission_is_named_and_read_once_it_has_it(tmp_path: Path) -> None:
    """As nobody, where we are root, who reads everything."""
    for name, mode in (("closed", 0), ("open", 0o644)):
        (tmp_path / name).write_text("1\n")
        (tmp_path / name).chmod(mode)
    (tmp_path / "shut").mkdir(mode=0)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o5 != 0o5:
            folder.chmod(0o755)

    def told() -> tuple[dict[str, int], str | None]:
        child = os.fork()
        if not child:
            try:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setgid(65534)
                    os.setuid(65534)
                sizes = {str(file["file_name"]): int(file["file_size"]) for file in landed_files(str(tmp_path))}
                os.write(into, json.dumps([sizes, file_fault(f"{tmp_path}/closed")]).encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        sizes, fault = json.loads(os.read(out, 4096))
        return sizes, fault

    out, into = os.pipe()
    os.set_blocking(out, False)
    assert told() == ({"closed": -1, "open": 2, "shut": -1}, "Permission denied")
    (tmp_path / "closed").chmod(0o644)
    assert told() == ({"closed": 2, "open": 2, "shut": -1}, None)
    os.close(out)
    os.close(into)


def test_a_file_that_changed_within_a_second_has_another_time(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    times = []
    for nanoseconds in (1_793_700_000_123_456_000, 1_793_700_000_123_457_000):
        os.utime(path, ns=(nanoseconds, nanoseconds))
        times.append(landed_files(str(tmp_path))[0]["modified_at"])
    assert times == [datetime(2026, 11, 3, 10, 0, 0, 123_456), datetime(2026, 11, 3, 10, 0, 0, 123_457)]

"""Lines of landed files, as the models' reader gives them: each of them, whole, under its number."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
from projects import Copy, new_project

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

QUERY = """
    select file_name, count(*) as lines, max(line_number) as last, coalesce(sum(strlen(line)), 0) as bytes,
        coalesce(sum(line_number % 1009 * strlen(line)), 0) as where_they_are, count(fault) as faults
    from ({{{{ duckdb__file_lines({files}, '{root}') }}}}) where line <> '' group by file_name
"""
LONG = b"h" * 99_999 + b"\n"


@pytest.fixture
def project(tmp_path: Path) -> Copy:
    """The project, not built."""
    return new_project(tmp_path / "project")


def short(length: int) -> bytes:
    """A long line, blank ones after it, and a short one."""
    return b"x" * length + b"\n" * (1 + length % 3) + b"yy\n"


def around_a_buffer(length: int) -> bytes:
    """Of 34 MB: where the reader's buffer of 32 MB ends, and before and behind it, short lines."""
    return LONG * 319 + short(length) * (200_000 // len(short(length))) + LONG * 20


def read(project: Copy, root: Path, files: Mapping[str, bytes]) -> dict[str, tuple[int, ...]]:
    """By file: its lines that are not blank, the last one's number, bytes, where they are, and faults."""
    for name, content in files.items():
        (root / name).write_bytes(content)
    query = QUERY.format(files=json.dumps(list(files)), root=root)
    told = project.dbt("--quiet", "show", "--inline", query, "--output", "json", "--limit", "-1")
    rows = json.loads(told.stdout[told.stdout.index("{") :])["show"]
    return {row["file_name"]: tuple(list(row.values())[1:]) for row in rows}


def expected(content: bytes, faults: int = 0) -> tuple[int, ...]:
    """What `read` gives of a file."""
    lines = [(number, len(line)) for number, line in enumerate(content.splitlines(), 1) if line]
    where = sum(number % 1009 * size for number, size in lines)
    return len(lines), lines[-1][0], sum(size for _, size in lines), where, faults


@pytest.mark.parametrize("length", [10, 17])
def test_no_line_is_left_out_where_a_buffer_of_the_reader_ends(length: int, project: Copy, tmp_path: Path) -> None:
    """Each of the lengths had DuckDB's reader give up, or leave out a line, with other settings than ours."""
    content = around_a_buffer(length)
    files = {"a.ndjson": content, "b.ndjson": content.replace(b"\n", b"\r\n"), "c.ndjson.gz": gzip.compress(content, 1)}
    assert read(project, tmp_path, files) == dict.fromkeys(files, expected(content))


def test_texts_that_look_like_the_end_of_a_column_end_none(project: Copy, tmp_path: Path) -> None:
    """And of a line that has one, nothing behind it is taken for an event without it."""
    text = b'{"useragent": "\\\\x01"}\n{}\n'
    files = {"a.ndjson": text, "b.ndjson": text + b"\xff\n", "c.ndjson": text + b"{}\x01{}\n", "d.ndjson": text}
    assert read(project, tmp_path, files) == {
        "a.ndjson": expected(text),
        "b.ndjson": expected(text + b"???\n", faults=1),
        "c.ndjson": expected(text + b"{}???{}\n", faults=1),
        "d.ndjson": expected(text),
    }

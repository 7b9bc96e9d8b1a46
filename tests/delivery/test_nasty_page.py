"""`make nasty`: its page is fresh, and it goes red when the renderer does not do its work."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import polars as pl
import pytest

from delivery.files import proving, text
from tests.nasty import compare
from tests.nasty.compare import CLIENT, File, Integration, check_reader, check_refused, write_file
from tests.nasty.readers import READERS
from tests.nasty.report import PAGE, page
from tests.nasty.values import batch

if TYPE_CHECKING:
    from pathlib import Path

    from delivery.files.proof import Rows

PYTHON_CSV, ARROW = (next(n for n, r in enumerate(READERS) if r.name == name) for name in ("Python csv", "PyArrow"))
MINIMAL = {"row_delimiter": "linux", "include_header_row": False}


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.nasty --write-docs"


def unproven(_: object, rows: Rows, *__: object) -> int:
    return sum(one.num_rows for one in iter(partial(rows.take, 99), None))


def faults(number: int, folder: Path, **dialect: object) -> list[str]:
    """What a reader finds in one dialect."""
    how = Integration.model_validate(CLIENT | dialect)
    write_file(folder / "file", [batch(long=False)], how)
    return check_reader(number, folder, [File(folder / "file", how, False, frozenset())]).faults


@pytest.mark.parametrize("number", [PYTHON_CSV, ARROW])
@pytest.mark.parametrize("dialect", [MINIMAL, {"quoting": "all", "nulls": "NULL"}])
def test_nothing_is_unexplained(number: int, dialect: dict[str, object], tmp_path: Path) -> None:
    assert faults(number, tmp_path, **dialect) == []


@pytest.mark.parametrize(
    ("part", "broken"),
    [
        ("_in_quotes", lambda text: pl.format('"{}"', text)),
        ("_in_quotes", lambda text: pl.format('"{}"', text.str.replace_all("\r", ""))),
        ("_special", lambda text, integration: text == "\\."),
        ("_quoted", lambda frame, integration: frame),
        ("TIMESTAMP", "%Y-%m-%dT%H:%M:%SZ"),
    ],
    ids=["quotes not doubled", "CR dropped", "only one special", "nothing quoted", "no fraction"],
)
def test_a_broken_renderer_is_found(part: str, broken: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, part, broken)
    monkeypatch.setattr(proving, "compare", unproven)
    assert faults(ARROW, tmp_path, **MINIMAL, nulls="NULL")


def test_a_value_that_is_not_refused_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "crossed", lambda: [{}])
    monkeypatch.setattr(compare, "paired", list)
    assert check_refused(tmp_path) == []
    monkeypatch.setattr(text, "_refuse_nul", lambda frame: None)
    assert any("NUL" in fault for fault in check_refused(tmp_path))

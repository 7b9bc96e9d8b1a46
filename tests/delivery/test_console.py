"""What is shown: a view as tables that fit, or as one document, on the stream where it belongs."""

from __future__ import annotations

import json

import pytest

from delivery import console
from delivery.console import Brief, Hash, Table, Text, View
from delivery.errors import ExitCode

ID = Hash("0123456789abcdef" * 4)
LONG = "a long text that says what was seen, where it was seen, and what is to be done about it, all in one sentence"


@pytest.fixture(autouse=True)
def _piped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def shown(capsys: pytest.CaptureFixture[str], view: View, **asked: bool) -> tuple[str, str]:
    console.show(view, as_json=asked.pop("as_json", False), **asked)
    return tuple(capsys.readouterr())  # type: ignore[return-value]


def test_tables_and_texts_are_data_and_lines_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    view = View({"a": 1}, ["first", Table(["x", "#n"], [["y", 7]]), Text("raw: [markup]\n"), "last"])
    assert view.code == ExitCode.DONE
    assert shown(capsys, view) == ("x  n\ny  7\nraw: [markup]\n", "first\nlast\n")
    out, err = shown(capsys, view, as_json=True)
    assert (json.loads(out), err) == ({"a": 1}, "")


def test_numbers_stand_at_the_right_and_nothing_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(["what", "#rows", "then"], [["a", 5, "x"], ["b", 12345, "y"], ["c", None, "z"]])
    lines = [line.rstrip() for line in shown(capsys, View(None, [table]))[0].splitlines()]
    assert lines == ["what   rows  then", "a         5  x", "b     12345  y", "c            z"]


def test_some_columns_are_shown_in_full_only(capsys: pytest.CaptureFixture[str]) -> None:
    view = View(None, [Table(["a", "+b", "#n", "+c"], [["x", "y", 7, "z"]])])
    shortly, full = (shown(capsys, view, full=one)[0].splitlines() for one in (False, True))
    assert shortly == ["a  n", "x  7"]
    assert [line.split() for line in full] == [["a", "b", "n", "c"], ["x", "y", "7", "z"]]


def test_a_cell_is_no_markup_and_keeps_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(["a"], [["[bold]x[/bold] :smile:"]])
    assert "[bold]x[/bold] :smile:" in shown(capsys, View(None, [table]))[0]


def test_hashes_are_short_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(["id", "why"], [[ID, LONG]])
    short, full = (shown(capsys, View(None, [table]), full=one)[0] for one in (False, True))
    assert (ID[:12] in short, ID[:13] in short, ID in full) == (True, False, True)
    assert max(map(len, short.splitlines())) <= 100
    assert LONG in full


@pytest.mark.parametrize(("columns", "width"), [(None, 100), ("80", 80), ("120", 120), ("60", 80), ("junk", 100)])
def test_the_width_is_the_terminals(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str | None, width: int
) -> None:
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    table = Table(["id", "#rows", "where", "why"], [[ID, 600, "/" + "long/" * 30, LONG]])
    out, _ = shown(capsys, View(None, [table]))
    lines = [line.rstrip() for line in out.splitlines()]
    assert width - 12 < max(map(len, lines)) <= width
    assert lines[1].startswith(f"{ID[:12]}   600  ")
    why = lines[0].index("why")
    assert "".join(line[why:] for line in lines[1:]).replace(" ", "") == LONG.replace(" ", ""), "folded, not lost"
    where = "".join(line[lines[0].index("where") : why] for line in lines[1:]).replace(" ", "")
    assert where == "/" + "long/" * 30


def test_a_brief_text_is_cut_to_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(["id", "note"], [[ID, Brief(LONG)]])
    lines = shown(capsys, View(None, [table]))[0].splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(f"{ID[:12]}  {LONG[:60]}")
    assert lines[1].rstrip().endswith("…")
    assert LONG in shown(capsys, View(None, [table]), full=True)[0]


def test_named_tuples_and_dataclasses_are_objects_however_deep() -> None:
    view = View([1], [Table(["a"], [])])
    assert json.loads(console.as_text({"view": view, "rows": (Text("x"), {"y": [Text("z")]})})) == {
        "view": {"document": [1], "parts": [{"headings": ["a"], "rows": []}], "code": 0},
        "rows": [{"text": "x"}, {"y": [{"text": "z"}]}],
    }


def test_more_rows_than_anybody_reads_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    view = View([*range(1_002)], [Table(["a"], [[str(number)] for number in range(1_002)]), "last"])
    out, err = shown(capsys, view)
    assert [line.rstrip() for line in out.splitlines()] == ["a", *map(str, range(1_000))]
    assert err == "2 more rows, which `--full` and `--json` show.\nlast\n"
    assert shown(capsys, view, full=True)[0].splitlines()[-1].rstrip() == "1001"
    assert len(json.loads(shown(capsys, view, as_json=True)[0])) == 1_002
    exactly = View(None, [Table(["a"], [["x"]] * 1_000)])
    assert shown(capsys, exactly)[1] == ""


def test_nothing_that_a_terminal_would_obey_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, View({}, ["one\x1b[31m\n\ttwo é\r"]))[1] == "one\\x1b[31m\n\ttwo é\\r\n"

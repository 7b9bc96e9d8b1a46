"""What people and machines are shown: tables or one JSON document on stdout, progress and errors on stderr."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from delivery.errors import ExitCode, redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from delivery.errors import DeliveryError

WIDTH = 100  # of a table that is not shown on a terminal
NARROWEST = 80
SHOWN = 12  # characters of a hash: enough to tell deliveries apart, and what commands take
LISTED = 1_000  # rows: nobody reads more, and to lay 200,000 out took minutes and a gigabyte
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # what a terminal would obey
SHORT = 20  # a column of shorter texts is never folded


class Hash(str):
    """A hash or an id: a table shows its first characters, unless it is asked for in full."""

    __slots__ = ()


class Brief(str):
    """A text of which a table shows what fits in one line, unless it is asked for in full."""

    __slots__ = ()


class Table(NamedTuple):
    """Headings that begin with `#` are numbers and stand at the right, with `+` columns that are shown in full only."""

    headings: Sequence[str]
    rows: Sequence[Sequence[object]]


class Text(NamedTuple):
    """What is written to stdout as it is, for a file or another program."""

    text: str


@dataclass(frozen=True)
class View:
    """What a command found: as one JSON document, and as people see it. code: what it asks of whoever called.

    parts: in order; a table or a text goes to stdout, a plain line to stderr.
    """

    document: Any
    parts: Sequence[Table | Text | str] = ()
    code: ExitCode = ExitCode.DONE


def show(view: View, *, as_json: bool, full: bool = False) -> None:
    """The document, or all parts. full: tables as wide as they need, with whole hashes."""
    if as_json:
        document(view.document)
    else:
        for part in view.parts:
            if isinstance(part, Table):
                _table(part, full=full)
            elif isinstance(part, Text):
                sys.stdout.write(part.text)
            else:
                say(part)
    sys.stdout.flush()  # who reads it from a pipe would wait for it as long as `analytics` serves


def _table(table: Table, *, full: bool) -> None:
    from rich.console import Console
    from rich.table import Table as Shown
    from rich.text import Text as Cell

    chosen = [number for number, heading in enumerate(table.headings) if full or not heading.startswith("+")]
    listed = table.rows if full else table.rows[:LISTED]
    rows = [[_cell(row[number], full=full) for number in chosen] for row in listed]
    shown = Shown(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for number, heading in enumerate(table.headings[number] for number in chosen):
        shown.add_column(
            heading.lstrip("#+"),
            justify="right" if heading.startswith("#") else "left",
            overflow="fold",
            no_wrap=all(len(row[number]) <= SHORT for row in rows),
        )
    for row in rows:
        shown.add_row(*(Cell(one, no_wrap=True, overflow="ellipsis") if isinstance(one, Brief) else one for one in row))
    width = 10_000 if full else max(NARROWEST, shutil.get_terminal_size((WIDTH, 0)).columns)
    Console(width=width, highlight=False, markup=False, emoji=False).print(shown)
    if more := len(table.rows) - len(rows):
        say(f"{more} more rows, which `--full` and `--json` show.")


def _cell(value: object, *, full: bool) -> str:
    if isinstance(value, Hash) and not full:
        return value[:SHOWN]
    if isinstance(value, Brief) and not full:
        return value
    return "" if value is None else str(value)


def document(content: Any) -> None:
    """One JSON document on stdout."""
    print(as_text(content))  # noqa: T201


def as_text(content: Any) -> str:
    """The content as JSON, indented; named tuples and dataclasses are objects of their fields."""
    import json

    return json.dumps(_plain(content), indent=2, default=str, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if is_dataclass(value):
        return _plain(vars(value))
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def say(text: str) -> None:
    """A line for people, on stderr."""
    print(CONTROL.sub(lambda found: ascii(found[0])[1:-1], text), file=sys.stderr)  # noqa: T201


def said(error: DeliveryError) -> str:
    """An error with what to do next, for people."""
    return f"Error: {error.message}" + (f"\nNext: {error.hint}" if error.hint else "")


def failure(error: DeliveryError, *, as_json: bool) -> None:
    """An error with what to do next; as the JSON document when one is asked for."""
    if as_json:
        document({"error": {"message": error.message, "hint": error.hint, "exit_code": int(error.exit_code)}})
    say(said(error))


def traceback(error: Exception) -> None:
    """Where an error came from, for `--debug`, without what it may quote of the data."""
    import traceback as tracebacks

    say(redact("".join(tracebacks.format_exception(error))))

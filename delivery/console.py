"""What people and machines are shown: tables or one JSON document on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from delivery.errors import DeliveryError, ExitCode, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from delivery.run import Forecast, Outcome

WIDTH = 1000  # of a table that is not shown on a terminal: nothing is folded, so that lines can be searched


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout. Headings that begin with `#` are numbers and stand at the right."""
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    shown = Table(box=None, pad_edge=False)
    for heading in headings:
        shown.add_column(
            heading.removeprefix("#"), justify="right" if heading.startswith("#") else "left", overflow="fold"
        )
    for row in rows:
        shown.add_row(*("" if cell is None else str(cell) for cell in row))
    console.print(shown, markup=False)


def document(content: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(content, indent=2, default=str, ensure_ascii=False))  # noqa: T201


def say(text: str) -> None:
    """A line for people, on stderr."""
    print(text, file=sys.stderr)  # noqa: T201


def failure(error: DeliveryError, *, as_json: bool) -> None:
    """An error with what to do next; as the JSON document when one is asked for."""
    if as_json:
        document({"error": {"message": error.message, "hint": error.hint, "exit_code": int(error.exit_code)}})
    say(f"Error: {error.message}")
    if error.hint:
        say(f"Next: {error.hint}")


def traceback(error: Exception) -> None:
    """Where an error came from, for `--debug`, without what it may quote of the data."""
    import traceback as tracebacks

    say(redact("".join(tracebacks.format_exception(error))))


def outcomes(found: list[Outcome]) -> None:
    """The table of a run, and below it what did not go well."""
    table(
        ["client", "file", "#rows", "#bytes", "SHA-256", "state", "where"],
        [
            [
                o.delivery.namespace,
                _data(o, "name") or o.delivery.title,
                o.delivery.rows,
                _data(o, "bytes"),
                _data(o, "sha256"),
                o.state,
                o.delivery.destination,
            ]
            for o in found
        ],
    )
    for message, titles in _grouped(found).items():
        say(f"\n{', '.join(titles)}:\n{message}")
    for outcome in found:
        for change in outcome.layout_changes:
            say(f"{outcome.delivery.title}: {change}")
    done = sum(o.state == "delivered" for o in found)
    before = sum(o.state.startswith("already") for o in found)
    rest = len(found) - done - before
    say(
        f"\n{done} delivered now, {before} already delivered before (nothing was sent twice)"
        + (f", {rest} not delivered" if rest else "")
        + "."
    )


def _grouped(found: list[Outcome]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for outcome in found:
        if outcome.message and outcome.code != ExitCode.DONE:
            text = outcome.message + (f"\nNext: {outcome.hint}" if outcome.hint else "")
            groups.setdefault(text, []).append(outcome.delivery.title)
    return groups


def _data(outcome: Outcome, field: str) -> object:
    return next((getattr(file, field) for file in outcome.files if file.role == "data"), None)


def exit_code(found: list[Outcome]) -> ExitCode:
    """The code that asks most: destination before gate before another try."""
    codes = {outcome.code for outcome in found}
    order = (ExitCode.DESTINATION, ExitCode.GATE, ExitCode.USAGE, ExitCode.FAILED)
    return next((code for code in order if code in codes), ExitCode.DONE)


def outcomes_document(found: list[Outcome]) -> dict[str, Any]:
    """The run as JSON: one object a delivery, with its files."""
    return {
        "exit_code": int(exit_code(found)),
        "deliveries": [
            {
                **o.delivery._asdict(),
                "outcome": o.state,
                "message": o.message,
                "hint": o.hint,
                "layout_changes": o.layout_changes,
                "files": [
                    {
                        "name": f.name,
                        "role": f.role,
                        "state": f.state,
                        "rows": f.rows,
                        "bytes": f.bytes,
                        "sha256": f.sha256,
                    }
                    for f in o.files
                ],
            }
            for o in found
        ],
    }


def forecasts(found: list[Forecast]) -> None:
    """The table of a plan, then refusals and layout changes."""
    table(
        ["delivery", "state", "gate", "#rows", "file", "where", "publish"],
        [
            [
                f.title,
                f.state,
                "" if f.verdict is None else "passes" if f.verdict.passed and not f.refusal else "refuses",
                f.rows,
                f.file,
                f.destination,
                f.publish or "not probed yet",
            ]
            for f in found
        ],
    )
    for name, reasons in {f.verdict.dataset: f.verdict.reasons for f in found if f.verdict}.items():
        for reason in reasons:
            say(f"{name}: {reason}")
    for name, warnings in {f.verdict.dataset: f.verdict.warnings for f in found if f.verdict}.items():
        for warning in warnings:
            say(f"{name}: {warning} (it may leave)")
    for forecast in found:
        for change in forecast.layout_changes:
            say(f"{forecast.title}: {change}")
        if forecast.refusal:
            say(f"{forecast.title}: {forecast.refusal}")


def forecasts_document(found: list[Forecast]) -> dict[str, Any]:
    """The plan as JSON."""
    return {
        "deliveries": [
            {
                "title": f.title,
                "state": f.state,
                "destination": f.destination,
                "publish": f.publish or None,
                "file": f.file,
                "rows": f.rows,
                "columns": f.columns,
                "layout_changes": f.layout_changes,
                "refusal": f.refusal or None,
                "gate": None
                if f.verdict is None
                else {"passed": f.verdict.passed, "reasons": f.verdict.reasons, "warnings": f.verdict.warnings},
            }
            for f in found
        ]
    }

"""What a run and a plan say: tables, documents, and the exit code that asks most."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest

from delivery import console
from delivery.cli.deliver import exit_code, forecasts, outcomes
from delivery.errors import ConfigError, DeliveryError, ExitCode, known
from delivery.forecast import Forecast
from delivery.gate.judge import Verdict
from delivery.ledger import Delivery, File
from delivery.run import Outcome
from delivery.windows import when

DONE, FAILED, USAGE, GATE, DESTINATION = (
    ExitCode.DONE, ExitCode.FAILED, ExitCode.USAGE, ExitCode.GATE, ExitCode.DESTINATION,
)  # fmt: skip


def delivery(**changes: Any) -> Delivery:
    values: dict[str, Any] = dict.fromkeys(Delivery._fields)
    values |= {
        "id": "a" * 64, "campaign": "daily", "integration": "acme", "namespace": "acme_outdoor", "dataset": "events",
        "slot": "2026-11-04T05:00:00Z", "window_start": "2026-11-03", "window_end": "2026-11-04", "revision": 0,
        "state": "delivered", "note": "", "destination": "/share/acme", "rows": 600, "fence": 1,
    }  # fmt: skip
    return Delivery(**values | changes)


def file(part: int, role: str, **changes: Any) -> File:
    values = {
        "delivery_id": "a" * 64, "part": part, "role": role, "name": f"f{part}.csv", "spool": "/s",
        "state": "published", "rows": 300 if role == "data" else None, "bytes": 9000 + part, "sha256": f"{part}" * 64,
        "destination": "/share/acme", "updated_at": "", "fence": 1,
    }  # fmt: skip
    return File(**values | changes)


def outcome(state: str = "delivered", code: ExitCode = DONE, **more: Any) -> Outcome:
    return Outcome(more.pop("delivery", delivery()), state, code, **more)


@pytest.mark.parametrize(
    ("codes", "asks_most"),
    [
        ([], DONE),
        ([DONE], DONE),
        ([FAILED, DONE], FAILED),
        ([USAGE, FAILED, DONE], USAGE),
        ([GATE, USAGE, FAILED], GATE),
        ([DESTINATION, GATE, DONE], DESTINATION),
        ([DESTINATION, FAILED], DESTINATION),
        ([GATE, FAILED], GATE),
    ],
)
def test_the_exit_code_is_the_one_that_asks_most(codes: list[ExitCode], asks_most: ExitCode) -> None:
    for order in permutations(codes):
        found = [outcome(code=code) for code in order]
        assert exit_code(found) == outcomes(found).code == asks_most
        assert outcomes(found).document["exit_code"] == int(asks_most)


FULL = "`--full` shows hashes and places."


def shown(found: list[Outcome]) -> None:
    console.show(outcomes(found), as_json=False)


def test_the_table_of_a_run_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    other = delivery(integration="other", namespace="cedar_books", window_end="2026-11-10", rows=None, revision=2)
    refused = {"code": GATE, "message": "not proven", "hint": "mend it"}
    shown([
        outcome(files=(file(1, "manifest"), file(2, "data"), file(3, "data"))),
        outcome("already delivered", message="pruned"),
        outcome("already held", FAILED, delivery=other, message="a stranger's", layout_changes=("x was added",)),
        outcome("refused", delivery=other, **refused),
        outcome("refused", **refused),
    ])  # fmt: skip
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["client", "file", "rows", "bytes", "state"]
    assert lines[1] == ["acme_outdoor", "f2.csv", "and", "1", "more", "600", "18005", "delivered"]
    title, ours = "daily to other [2026-11-03, 2026-11-10) r2", "daily to acme [2026-11-03, 2026-11-04)"
    assert err.split("\n\n") == [
        f"\n{title}:\na stranger's",
        f"{title}, {ours}:\nnot proven\nNext: mend it\n{title}: x was added",
        f"1 delivered now, 2 already delivered before (nothing was sent twice), 2 not delivered. {FULL}\n",
    ]
    parts = outcome(files=(file(2, "data"), file(3, "data")))
    found = [outcome(files=(file(2, "data"), file(3, "manifest"))), outcome("already delivered"), parts]
    console.show(outcomes(found), as_json=False, full=True)
    out, err = capsys.readouterr()
    assert err == (f"\n2 delivered now, 1 already delivered before (nothing was sent twice). {FULL}\n")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["client", "file", "rows", "bytes", "state", "SHA-256", "where"]
    assert lines[1] == ["acme_outdoor", "f2.csv", "600", "9002", "delivered", "2" * 64, "/share/acme"]
    several = ["acme_outdoor", "f2.csv", "and", "1", "more", "600", "18005", "delivered", "/share/acme"]
    assert lines[3] == several, "no hash of one beside the bytes of all"


def test_a_run_says_what_it_warns_of_once_with_all_that_it_concerns(capsys: pytest.CaptureFixture[str]) -> None:
    other = delivery(integration="other", namespace="cedar_books")
    words, bounce = "list: 2 rows outside an open list", "bounce: 1 rows outside an open list"
    found = [outcome(warnings=(words, words)), outcome(delivery=other, warnings=(words, bounce)), outcome()]
    shown(found)
    ours, theirs = (f"daily to {name} [2026-11-03, 2026-11-04)" for name in ("acme", "other"))
    assert capsys.readouterr().err.splitlines()[:2] == [f"{ours}, {theirs}: {words}.", f"{theirs}: {bounce}."]
    assert [one["warnings"] for one in outcomes(found).document["deliveries"]] == [(words, words), (words, bounce), ()]


def test_the_document_of_a_run_has_each_delivery_with_its_files() -> None:
    done = outcome("held", FAILED, files=(file(0, "data"),), message="why", hint="what", layout_changes=("x",))
    (one,) = outcomes([done]).document["deliveries"]
    assert one == delivery()._asdict() | {
        "outcome": "held", "message": "why", "hint": "what", "layout_changes": ("x",), "rejected_by_reason": None,
        "warnings": (), "files": [
            {"name": "f0.csv", "role": "data", "state": "published", "rows": 300, "bytes": 9000, "sha256": "0" * 64}
        ],
    }  # fmt: skip


def forecast(verdict: Verdict | None, refusal: str = "", **changes: Any) -> Forecast:
    values: dict[str, Any] = {
        "title": "daily to acme", "state": "planned", "destination": "/share", "publish": "rename", "file": "f.csv",
        "rows": 3, "columns": ("email",), "layout_changes": (), "taken": "",
        "hint": "Ask for it." if refusal else "",
        "code": ExitCode.GATE if refusal or (verdict and verdict.reasons) else ExitCode.DONE,
    }  # fmt: skip
    return Forecast(verdict=verdict, refusal=refusal, **values | changes)


def test_the_table_of_a_plan_says_why_not(capsys: pytest.CaptureFixture[str]) -> None:
    proven, warned = Verdict("events", ()), Verdict("people", (), ("list: 2 rows outside an open list",))
    unproven = Verdict("orders", ("key: fail with 3 rows", "twin: fail"))
    found = [
        forecast(proven), forecast(warned, "pclv: no contract", publish=""), forecast(unproven, rows=None),
        forecast(unproven, layout_changes=("x was added",)), forecast(None, state="delivered"),
        forecast(proven, "pclv: no contract", title="weekly to acme"), forecast(unproven, code=DONE),
    ]  # fmt: skip
    view = forecasts(found)
    console.show(view, as_json=False, full=True)
    out, err = capsys.readouterr()
    gates = [line.split("planned" if "planned" in line else "delivered")[1].split()[0] for line in out.splitlines()[1:]]
    assert gates == ["passes", "refuses", "refuses", "refuses", "3", "refuses", "overridden"]
    assert [line.rstrip().endswith("not probed yet") for line in out.splitlines()[1:]] == [
        False,
        True,
        False,
        False,
        False,
        False,
        False,
    ]
    assert err.splitlines() == [
        "people: list: 2 rows outside an open list (it may leave)",
        "orders: key: fail with 3 rows", "orders: twin: fail",
        "daily to acme: x was added", "daily to acme, weekly to acme: pclv: no contract", "Next: Ask for it.",
    ]  # fmt: skip
    assert (view.code, forecasts(found[:1]).code, forecasts(found[1:2]).code) == (GATE, DONE, GATE)
    document = view.document["deliveries"]
    assert [one["gate"] and one["gate"]["passed"] for one in document] == [True, True, False, False, None, True, False]
    assert [(one["publish"], one["refusal"], one["hint"]) for one in document[:2]] == [
        ("rename", None, None), (None, "pclv: no contract", "Ask for it."),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [
        ("2026-11-03", "2026-11-04", "2026-11-03"),
        ("2026-11-02", "2026-11-09", "2026-11-02..2026-11-08"),
        (None, None, "slot"),
        ("2026-11-03", None, "slot"),
        (None, "2026-11-04", "slot"),
    ],
)
def test_days_are_shown_without_the_end(start: str | None, end: str | None, shown: str) -> None:
    assert when(start, end, "slot") == shown


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("hint", ["do this", ""])
def test_a_failure_says_what_to_do_next(capsys: pytest.CaptureFixture[str], as_json: bool, hint: str) -> None:
    console.failure(ConfigError("wrong", hint=hint), as_json=as_json)
    out, err = capsys.readouterr()
    assert err == "Error: wrong\n" + (f"Next: {hint}\n" if hint else "")
    assert (json.loads(out) if out else None) == (
        {"error": {"message": "wrong", "hint": hint, "exit_code": 2}} if as_json else None
    )


def test_an_unforeseen_error_is_placed_and_not_quoted() -> None:
    try:
        json.loads("jane@example.com")
    except ValueError as error:
        found: DeliveryError = known(error)
    assert found.message.startswith("Unexpected JSONDecodeError in raw_decode, line ")
    assert found.message.endswith(" of decoder.py.")
    assert "jane" not in found.message


def test_what_was_sent_again_before_is_said_of_a_redelivery(capsys: pytest.CaptureFixture[str]) -> None:
    again, first = delivery(revision=1), delivery(integration="other")
    found = [outcome("already delivered", delivery=again), outcome("already delivered", delivery=first), outcome()]
    console.show(outcomes(found, redelivers=True), as_json=False)
    said = "Sent again before, for the same --reason: daily to acme [2026-11-03, 2026-11-04) r1. With another reason"
    assert said in capsys.readouterr().err
    console.show(outcomes(found), as_json=False)
    assert "Sent again before" not in capsys.readouterr().err

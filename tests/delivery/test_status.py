"""`delivery status`: the latest, the held, gaps, layouts and one delivery; older names; tables that fit."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from builders import job, window
from click.testing import CliRunner, Result
from small_project import make_project

from delivery.cli import cli
from delivery.errors import ExitCode
from delivery.fetched import Fetched
from delivery.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from delivery.ledger import Delivery

WHY = "The final name is taken by something that is not ours; a person looks at the destination.\nand a second line"


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    make_project(tmp_path / "project", rows=2)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("DELIVERY_LEDGER", "DELIVERY_STATE", "DBT_TARGET"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["--project-dir", str(tmp_path / "project"), *arguments], catch_exceptions=False)

    return invoke


@pytest.fixture
def rows(call: Callable[..., Result], tmp_path: Path) -> list[Delivery]:
    """Two held, of neighbouring campaigns, then one that is planned."""
    found = []
    (tmp_path / "project" / ".delivery").mkdir(exist_ok=True, mode=0o700)
    with closing(Ledger(f"sqlite:///{tmp_path}/project/.delivery/ledger.sqlite")) as ledger:
        for day, campaign, state in ((2, "daily", "held"), (2, "nightly", "held"), (3, "daily", "planned")):
            days = window(f"2026-11-0{day}", f"2026-11-0{day + 1}")
            values = job(f"2026-11-0{day + 1} 05:00", days).record("/share/acme", None)
            values |= {"campaign": campaign, "id": f"{len(found) + 1}{campaign[0]:d<62}a".replace("n", "e")}
            ledger.plan(**values)
            if state == "held":
                ledger.advance(str(values["id"]), "planned", "held", note=WHY)
            found.append(ledger.delivery(str(values["id"])))
    return found


def documents(result: Result) -> Any:
    return json.loads(result.stdout)


def test_the_latest_come_last_and_are_limited(call: Callable[..., Result], rows: list[Delivery]) -> None:
    shown = documents(call("status", "--json"))["deliveries"]
    assert [one["id"] for one in shown] == [row.id for row in rows]
    assert shown[0] == rows[0]._asdict() | {"publish": None, "fetched": None}
    assert [one["id"] for one in documents(call("status", "--json", "--limit", "1"))["deliveries"]] == [rows[2].id]
    assert [one["id"] for one in documents(call("status", "--json", "--campaign", "daily"))["deliveries"]] == [
        rows[0].id, rows[2].id,
    ]  # fmt: skip


def test_the_held_are_those_only(call: Callable[..., Result], rows: list[Delivery]) -> None:
    held = documents(call("status", "--held", "--json"))["deliveries"]
    assert [one["id"] for one in held] == [rows[0].id, rows[1].id]
    assert held[0] == rows[0]._asdict()
    of = documents(call("status", "--held", "--campaign", "nightly", "--json"))["deliveries"]
    assert [one["id"] for one in of] == [rows[1].id]


def test_one_delivery_by_its_first_characters(call: Callable[..., Result], rows: list[Delivery]) -> None:
    one = documents(call("status", rows[1].id[:12], "--json"))
    assert (one["id"], one["files"]) == (rows[1].id, [])
    assert [(step["step"], step["note"]) for step in one["steps"]] == [("planned", ""), ("held", WHY)]
    for unknown in ("x", "", "%"):
        refused = call("status", unknown)
        assert refused.exit_code == ExitCode.USAGE
        assert "deliveries have an id that begins with" in refused.stderr


def test_gaps_tell_by_the_exit_code(call: Callable[..., Result], rows: list[Delivery]) -> None:
    none = call("status", "--gaps", "--from", "2026-11-03", "--to", "2026-11-03")
    assert (none.exit_code, none.stderr) == (ExitCode.DONE, "Nothing is missing.\n")
    some = call("status", "--gaps", "--campaign", "daily", "--from", "2026-11-02", "--to", "2026-11-04", "--json")
    assert some.exit_code == ExitCode.FAILED
    assert {gap["campaign"] for gap in documents(some)["gaps"]} == {"daily"}
    unknown = call("status", "--gaps", "--campaign", "nosuch")
    assert (unknown.exit_code, "Unknown campaign: nosuch" in unknown.stderr) == (ExitCode.USAGE, True)
    assert {gap["when"] for gap in documents(some)["gaps"]} == {"2026-11-02", "2026-11-03"}


def test_a_release_needs_a_decision(call: Callable[..., Result], rows: list[Delivery]) -> None:
    refused = call("release", rows[0].id, "--reason", "none")
    assert (refused.exit_code, "Nothing was decided." in refused.stderr) == (ExitCode.USAGE, True)


def test_layouts_are_of_all_campaigns_or_one(call: Callable[..., Result], tmp_path: Path) -> None:
    with closing(Ledger(f"sqlite:///{tmp_path}/project/.delivery/ledger.sqlite")) as ledger:
        for campaign in ("daily", "gone"):
            columns = '["email", "a_column_with_a_long_name", "another_column_with_a_long_name", "and_one_more"]'
            with ledger.storage.begin() as connection:
                connection.exec_driver_sql(
                    "insert into layouts values (?, 'by_share', ?, null, null, null, '2026-11-01')", (campaign, columns)
                )
    everything = documents(call("status", "--layouts", "--json"))["layouts"]
    assert [one["campaign"] for one in everything] == ["daily", "gone"]
    assert everything[1]["changes"] == ["the campaign no longer serves the integration"]
    shown = call("status", "--layouts", "--campaign", "gone")
    assert "gone to by_share: the campaign no longer serves the integration" in shown.stderr
    assert "daily" not in shown.stdout


def test_people_see_each_column_under_its_heading(
    call: Callable[..., Result], rows: list[Delivery], tmp_path: Path
) -> None:
    file = {"part": 0, "role": "data", "name": "a.csv", "spool": "", "rows": 3, "bytes": 99, "sha256": "f" * 64}
    with closing(Ledger(f"sqlite:///{tmp_path}/project/.delivery/ledger.sqlite")) as ledger:
        ledger.spooled(rows[2].id, [{**file, "destination": "/share/acme"}], rows=3)
        with ledger.storage.begin() as connection:
            columns = '["namespace", "email", "event_time", "unique_key"]'
            connection.exec_driver_sql(
                "insert into layouts values ('daily', 'by_share', ?, null, null, null, '2026-11-01')", (columns,)
            )
    why = WHY.splitlines()[0]
    range_ = ("--campaign", "daily", "--from", "2026-11-03", "--to", "2026-11-04")
    for arguments, headings, line in (
        ((), "id client campaign when state rows note", f"{rows[0].id} acme_outdoor daily 2026-11-02 held {why}"),
        (
            ("--held",),
            "id delivery where why",
            f"{rows[0].id} daily to acme [2026-11-02, 2026-11-03) /share/acme {why}",
        ),
        ((rows[2].id,), "file state rows bytes SHA-256", f"a.csv spooled 3 99 {'f' * 64}"),
        ((rows[1].id,), "at step note", f"{rows[1].updated_at[:19]} held {why}"),
        (
            ("--gaps", *range_),
            "client campaign integration when due state note",
            "brightside_beauty daily share_of_brightside_beauty 2026-11-03 2026-11-04T05:00:00Z missing",
        ),
        (
            ("--layouts",),
            "campaign integration since columns",
            "daily by_share 2026-11-01 namespace, email, event_time, unique_key",
        ),
    ):
        seen = [" ".join(shown.split()) for shown in call("status", *arguments, "--full").stdout.splitlines()]
        assert headings in seen
        assert line in seen[seen.index(headings) + 1 :]
    assert call("status", "--gaps", *range_).stderr == "5 gaps.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x", "--held"], "DELIVERY and --held do not go together."),
        (["--held", "--gaps"], "--held and --gaps do not go together."),
        (["--gaps", "--layouts"], "--gaps and --layouts do not go together."),
        (["x", "--campaign", "daily"], "--campaign does not go with DELIVERY."),
        (["--held", "--limit", "3"], "--limit does not go with --held."),
        (["--from", "2026-11-01"], "--from does not go with the latest deliveries."),
        (["--layouts", "--to", "2026-11-01"], "--to does not go with --layouts."),
    ],
)
def test_what_does_not_go_together(call: Callable[..., Result], arguments: list[str], message: str) -> None:
    refused = call("status", *arguments)
    assert refused.exit_code == ExitCode.USAGE
    assert message in refused.stderr


@pytest.mark.parametrize(
    ("older", "now"),
    [
        (["held"], ["--held"]),
        (["history", "2"], ["2"]),
        (["gaps", "--campaign", "daily", "--from", "2026-11-02", "--to", "2026-11-04"],
         ["--gaps", "--campaign", "daily", "--from", "2026-11-02", "--to", "2026-11-04"]),
        (["layouts"], ["--layouts"]),
    ],
)  # fmt: skip
def test_older_names_do_the_same_and_are_in_no_help(
    call: Callable[..., Result], rows: list[Delivery], older: list[str], now: list[str]
) -> None:
    for more in ([], ["--json"]):
        before, after = call(*older, *more), call("status", *now, *more)
        assert (before.exit_code, before.output) == (after.exit_code, after.output)
        assert before.stdout
    assert not [line for line in call("--help").stdout.splitlines() if line.split()[:1] == older[:1]]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Fetched("fetched", ["acme_it"], "2026-12-03"), "fetched by acme_it"),
        (Fetched("fetched", ["acme_it", "robot"], None), "fetched by acme_it, robot"),
        (Fetched("fetched in part", [], "2026-12-03"), "fetched in part, goes on 2026-12-03"),
        (Fetched("not fetched yet", [], None), "not fetched yet, and gone"),
    ],
)
def test_what_became_of_a_delivery_on_the_share_in_words(found: Fetched, text: str) -> None:
    assert found.text == text


@pytest.mark.parametrize("arguments", [[], ["--held"], ["1"], ["--gaps"]])
def test_tables_fit_unless_they_are_asked_for_in_full(
    call: Callable[..., Result], rows: list[Delivery], arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for columns, width in (("80", 80), ("120", 120), ("40", 80)):
        monkeypatch.setenv("COLUMNS", columns)
        assert max(len(line.rstrip()) for line in call("status", *arguments).stdout.splitlines()) <= width
    monkeypatch.delenv("COLUMNS")
    assert max(len(line.rstrip()) for line in call("status", *arguments).stdout.splitlines()) <= 100


def test_in_full_a_row_is_a_line_with_its_whole_id(call: Callable[..., Result], rows: list[Delivery]) -> None:
    short, full = call("status").stdout, call("status", "--full").stdout
    assert rows[0].id[:12] in short
    assert rows[0].id[:13] not in short
    lines = full.splitlines()
    assert len(lines) == 1 + len(rows)
    assert lines[1].startswith(rows[0].id)
    assert lines[1].rstrip().endswith(WHY.splitlines()[0])
    assert "second line" not in full

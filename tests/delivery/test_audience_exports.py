"""Audience exports: members and their definitions, who may have which, frozen layouts, and what changed since."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import audience_project
import pytest
from audience_project import COLUMNS, Audiences
from builders import NOW
from click.testing import CliRunner

from delivery import forecast as planner
from delivery.cli import cli
from delivery.errors import ConfigError, DestinationRefused, ExitCode
from delivery.files.manifest import verify
from delivery.ledger import Ledger
from delivery.operations.holds import release
from delivery.schedule.request import Request
from delivery.transfer.local_directory import LocalDirectory
from delivery.warehouse import rows

if TYPE_CHECKING:
    from pathlib import Path

DAY = timedelta(days=1)
FIRST = "many_2026-11-04.csv"


@pytest.fixture
def audiences(tmp_path: Path) -> Audiences:
    return Audiences(tmp_path / "project")


def plan(audiences: Audiences) -> planner.Forecast:
    audiences.write()
    (found,) = planner.plan(audiences.project, Request(at=NOW))
    return found


def json_of(audiences: Audiences, *command: str) -> Any:
    audiences.write()
    done = CliRunner().invoke(cli, ["--project-dir", str(audiences.root), *command, "--json"])
    return json.loads(done.stdout)


# Members and columns


def test_members_leave_with_contacts_and_the_integrations_definitions_in_its_order(audiences: Audiences) -> None:
    (done,) = audiences.run()
    assert done.state == "delivered"
    lines = audiences.files()[FIRST].decode().split("\r\n")
    assert lines[0] == "email,phone,pclv,first_name"
    assert lines[1:4] == [
        "a1@example.com,,99,Name 1",
        "a2@example.com,+447700900002,98,Name 2",
        "a3@example.com,,97,Name 3",
    ]
    assert len(lines) == 1 + 20 + 1
    assert not any("b" in line for line in audiences.rows(FIRST))


def test_who_unsubscribed_is_marked_or_left_out(audiences: Audiences) -> None:
    audiences.export = {"layout": {"columns": ["is_unsubscribed", "customer_id"]}}
    audiences.run()
    rows = audiences.rows(FIRST)
    assert rows[4] == "a-005,a5@example.com,,true,95,Name 5"
    assert sum(",true," in row for row in rows) == 4
    audiences.export["unsubscribed"] = "exclude"
    audiences.run(NOW + DAY)
    assert audiences.rows("many_2026-11-05.csv") == [row for row in rows if ",true," not in row]


def test_without_an_audience_everybody_leaves(audiences: Audiences) -> None:
    audiences.export = {"audience": None}
    audiences.run()
    assert len(audiences.rows(FIRST)) == 40


def test_the_same_data_gives_the_same_bytes(audiences: Audiences) -> None:
    audiences.run()
    audiences.run(redeliver=True, reason="again")
    files = audiences.files()
    assert files[FIRST] == files["many_2026-11-04_r1.csv"]


def test_campaigns_with_other_definitions_share_a_build(audiences: Audiences) -> None:
    audiences.export = {"integrations": "all"}
    first, second = audiences.run()
    assert first.state == second.state == "delivered"
    headers = [content.split(b"\r\n")[0] for name, content in audiences.files().items() if name.endswith(".csv")]
    assert headers == [b"email,phone,pclv,first_name", b"email,phone,first_name"]


def test_days_are_not_for_the_current_state(audiences: Audiences) -> None:
    assert json_of(audiences, "run", "--window", "2026-11-03")["error"]["exit_code"] == ExitCode.NOTHING_DUE
    assert "has no days" in json_of(audiences, "run", "--window", "2026-11-03", "--select", "many")["error"]["message"]
    assert not audiences.files()


def test_a_failing_test_of_the_audience_or_of_entitlements_refuses(audiences: Audiences) -> None:
    for model in ("aud_many", "definition_entitlements"):
        audiences.built(**{model: "fail"})
        assert f"{model}_key: fail" in plan(audiences).verdict.reasons[0]  # type: ignore[union-attr]
        (done,) = audiences.run()
        assert (done.state, done.code) == ("refused", ExitCode.GATE)
    assert not audiences.files()


# Who may have what


def test_what_the_contract_does_not_allow_is_refused_before_anything_is_written(audiences: Audiences) -> None:
    audiences.export = {"integrations": "all"}
    audiences.sql(
        "update definition_entitlements set entitled = false, reason = 'needs email campaigns'"
        " where namespace = 'acme_outdoor' and definition in ('pclv', 'first_name')"
    )
    refused, delivered = audiences.run()
    assert (refused.code, delivered.state) == (ExitCode.GATE, "delivered")
    assert refused.message == (
        "acme: acme_outdoor may not have\n  pclv: needs email campaigns\n  first_name: needs email campaigns"
    )
    assert not (audiences.root / ".delivery" / "spool" / refused.delivery.id[:32]).exists()
    again, _ = audiences.run(ungated=True, reason="no override reaches a contract")
    assert again.code == ExitCode.GATE
    assert [name for name in audiences.files() if name.endswith(".csv")] == ["brightside_beauty_2026-11-04.csv"]


def test_a_plan_names_what_may_not_be_had(audiences: Audiences) -> None:
    audiences.sql("delete from definition_entitlements where definition = 'pclv'")
    assert "pclv: the platform does not list the client" in plan(audiences).refusal
    assert json_of(audiences, "plan")["deliveries"][0]["refusal"]


def test_contacts_alone_need_a_contract_too(audiences: Audiences) -> None:
    audiences.definitions = []
    audiences.sql(
        "update definition_entitlements set entitled = false, reason = 'no contract for audience exports'"
        " where namespace = 'acme_outdoor' and definition = 'customer_id'"
    )
    (done,) = audiences.run()
    assert "customer_id: no contract for audience exports" in done.message


def test_unknown_definitions_are_named_with_the_known(audiences: Audiences) -> None:
    audiences.definitions = ["pclv", "plcv", "email"]
    with pytest.raises(ConfigError) as refused:
        audiences.run()
    for name in ("plcv", "email"):
        fault = f"integrations.acme.definitions: unknown '{name}'; known: customer_id, first_name, pclv, points"
        assert fault in refused.value.message


@pytest.mark.parametrize(
    ("export", "fault"),
    [
        ({"audience": "aud_none"}, "audience: 'aud_none' is no audience of people, with customer_id, is_unsubscribed"),
        ({"audience": "people"}, "audience: 'people' is no audience of people"),
        ({"audience": None, "unsubscribed": "exclude"}, "unsubscribed: exclude needs an audience"),
        ({"mode": "changes", "schedule": "once"}, "mode: changes needs a schedule that recurs"),
        ({"mode": "delta"}, "config.meta.export.mode: Input should be 'full' or 'changes'"),
        ({"layout": {"columns": ["email"]}}, "'email' is not an optional column of people"),
    ],
)
def test_faults_of_a_campaign_are_named(audiences: Audiences, export: dict[str, Any], fault: str) -> None:
    audiences.export = export
    with pytest.raises(ConfigError) as refused:
        audiences.run()
    assert fault in refused.value.message


def test_changes_are_not_replaced(audiences: Audiences) -> None:
    audiences.export, audiences.acme = {"mode": "changes"}, {"existing": "replace"}
    with pytest.raises(ConfigError, match="replace would overwrite changes"):
        audiences.run()


# Frozen layouts


def test_a_new_definition_changes_no_campaign_that_was_delivered(audiences: Audiences) -> None:
    audiences.run()
    audiences.definitions = ["first_name", "points"]
    found = [
        "points was added since; the file goes on without it",
        "pclv is not asked for any more; the file goes on with it",
    ]
    assert list(plan(audiences).layout_changes) == found
    (done,) = audiences.run(NOW + DAY)
    assert list(done.layout_changes) == found
    assert audiences.files()["many_2026-11-05.csv"] == audiences.files()[FIRST]
    audiences.campaigns = ("many", "newer")
    _, newer = audiences.run(NOW + 2 * DAY)
    assert newer.layout_changes == ()
    assert audiences.files()["newer_2026-11-06.csv"].startswith(b"email,phone,first_name,points\r\n")
    listed = {one["campaign"]: one for one in json_of(audiences, "layouts")["layouts"]}
    assert (listed["many"]["columns"], listed["many"]["changes"]) == (["email", "phone", "pclv", "first_name"], found)
    assert (listed["newer"]["columns"], listed["newer"]["changes"]) == (["email", "phone", "first_name", "points"], [])


def test_another_order_is_said_and_changes_no_file(audiences: Audiences) -> None:
    audiences.run()
    audiences.definitions = ["first_name", "pclv"]
    (done,) = audiences.run(NOW + DAY)
    assert done.layout_changes == ("the order of the columns changed since; the file keeps its own",)
    assert audiences.files()["many_2026-11-05.csv"] == audiences.files()[FIRST]


@pytest.mark.parametrize(("kind", "shown"), [("decimal(9,2)", "decimal(2)"), ("text", "text")])
def test_another_type_is_said_and_changes_no_file(audiences: Audiences, kind: str, shown: str) -> None:
    audiences.run()
    audiences.sql(f"alter table people alter pclv type {kind}")
    (done,) = audiences.run(NOW + DAY)
    assert done.layout_changes == (f"pclv was integer and is {shown} now; the file goes on with integer",)
    assert audiences.files()["many_2026-11-05.csv"] == audiences.files()[FIRST]


@pytest.mark.parametrize(
    "change", ["alter pclv type text using 'about ' || pclv", "alter first_name type timestamp using now()"]
)
def test_values_that_do_not_fit_the_layout_refuse(audiences: Audiences, change: str) -> None:
    audiences.run()
    audiences.sql(f"alter table people {change}")
    (done,) = audiences.run(NOW + DAY)
    assert (done.state, done.code) == ("refused", ExitCode.GATE)
    assert "when the layout was frozen" in done.message
    assert "about" not in done.message


def test_a_column_that_is_gone_refuses(audiences: Audiences) -> None:
    audiences.run()
    audiences.definitions = ["first_name"]
    audiences.sql("alter table people drop column pclv")
    audiences.write()
    assert json_of(audiences, "layouts")["layouts"][0]["changes"] == [
        "pclv was removed from the table since; nothing is sent without it"
    ]
    foreseen = planner.plan(audiences.project, Request(at=NOW + DAY))[-1]
    (done,) = audiences.run(NOW + DAY)
    assert (done.state, done.code) == ("refused", ExitCode.GATE)
    assert "people no longer has pclv" in done.message
    assert (foreseen.refusal, foreseen.code) == (done.message, ExitCode.GATE)


def test_a_layout_is_not_frozen_by_what_was_not_delivered(
    audiences: Audiences, monkeypatch: pytest.MonkeyPatch
) -> None:
    audiences.built(people="fail")
    audiences.run()
    assert json_of(audiences, "layouts") == {"layouts": []}


# What changed since


@pytest.fixture
def changing(audiences: Audiences) -> Audiences:
    audiences.export = {"mode": "changes", "full_every": 4, "layout": {"columns": ["customer_id"]}}
    audiences.run()
    assert len(audiences.rows(FIRST)) == 20
    return audiences


def told(audiences: Audiences, day: str) -> dict[str, list[str]]:
    return {kind: audiences.rows(f"many_{day}_{kind}.csv") for kind in ("entered", "changed", "left")}


def test_who_entered_changed_and_left_is_told(changing: Audiences) -> None:
    changing.sql("delete from aud_many where customer_id in ('a-001', 'a-002', 'b-003')")
    changing.sql("insert into aud_many select namespace, customer_id, is_unsubscribed from people where points = 30")
    changing.sql("update people set pclv = 1 where points in (3, 31)")
    changing.sql("update people set points = -1 where points = 4")  # not asked for
    (done,) = changing.run(NOW + DAY)
    assert told(changing, "2026-11-05") == {
        "entered": ["a-030,a30@example.com,+447700900030,70,Name 30"],
        "changed": ["a-003,a3@example.com,,1,Name 3"],
        "left": ["a1@example.com,", "a2@example.com,+447700900002"],
    }
    assert changing.files()["many_2026-11-05_left.csv"].startswith(b"email,phone\r\n")
    assert changing.files()["many_2026-11-05_entered.csv"].startswith(b"customer_id,email,phone,pclv,first_name\r\n")
    manifest = json.loads(changing.files()["many_2026-11-05_entered.csv.manifest.json"])
    assert manifest["changes"] == {
        "since": done.delivery.since,
        **{kind: [f"many_2026-11-05_{kind}.csv"] for kind in ("entered", "changed", "left")},
    }
    assert [file["rows"] for file in manifest["files"]] == [1, 1, 2]
    assert not any(found.problem for found in verify(changing.root / "share"))
    assert done.delivery.rows == 19, "the audience's members"


def test_another_contact_is_leaving_and_entering(changing: Audiences) -> None:
    changing.sql("update people set email = 'new@example.com' where customer_id = 'a-001'")
    changing.sql("update people set email = 'a3@example.com', phone = null where customer_id = 'a-002'")
    changing.sql("delete from aud_many where customer_id = 'a-003'")
    changing.run(NOW + DAY)
    assert told(changing, "2026-11-05") == {
        "entered": ["a-001,new@example.com,,99,Name 1", "a-002,a3@example.com,,98,Name 2"],
        "changed": [],
        "left": ["a1@example.com,", "a2@example.com,+447700900002"],
    }, "a3@example.com is somebody's contact still"


def test_a_client_who_applies_the_changes_has_what_the_audience_has(changing: Audiences) -> None:
    import random

    dice = random.Random(7)
    entering = """insert into aud_many select namespace, customer_id, is_unsubscribed from people
        where customer_id = {0} and customer_id not in (select customer_id from aud_many)"""
    have = {tuple(row.split(",")[1:3]): row for row in changing.rows(FIRST)}
    for number in range(1, 8):
        day = NOW + number * DAY
        for _ in range(4):
            one = f"'a-{dice.randint(1, 40):03}'"
            changing.sql(
                dice.choice(
                    [
                        f"delete from aud_many where customer_id = {one}",
                        f"update people set pclv = {dice.randint(0, 99)} where customer_id = {one}",
                        f"update people set email = 'm{number}@example.com' where customer_id = {one}",
                        entering.format(one),
                    ]
                )
            )
        changing.run(day)
        name = f"many_{day:%Y-%m-%d}"
        if f"{name}.csv" in changing.files():
            assert number % 4 == 0, "a whole file every fourth time"
            have = {}
            entered, changed, left = changing.rows(f"{name}.csv"), [], []
        else:
            assert number % 4 != 0
            entered, changed, left = told(changing, f"{day:%Y-%m-%d}").values()
        for row in left:
            del have[tuple(row.split(","))]
        for row in changed:
            assert tuple(row.split(",")[1:3]) in have
        have |= {tuple(row.split(",")[1:3]): row for row in [*changed, *entered]}
        now = changing.sql(
            "select concat_ws(',', customer_id, coalesce(email, ''), coalesce(phone, ''), pclv, first_name)"
            " from people where namespace = 'acme_outdoor' and customer_id in (select customer_id from aud_many)"
        )
        assert sorted(have.values()) == sorted(row[0] for row in now)


def test_without_changes_headers_are_sent_or_nothing(changing: Audiences) -> None:
    changing.run(NOW + DAY)
    assert told(changing, "2026-11-05") == {"entered": [], "changed": [], "left": []}
    changing.export["empty"] = "skip"
    (done,) = changing.run(NOW + 2 * DAY)
    assert done.state == "skipped"
    changing.sql("delete from aud_many where namespace = 'acme_outdoor'")
    changing.run(NOW + 3 * DAY)
    assert len(told(changing, "2026-11-07")["left"]) == 20, "that all have left is news"


def test_where_no_record_is_at_hand_all_are_sent(changing: Audiences) -> None:
    for record in (changing.root / ".delivery" / "members").iterdir():
        assert record.stat().st_mode & 0o777 == 0o600
        record.unlink()
    changing.run(NOW + DAY)
    assert len(changing.rows("many_2026-11-05.csv")) == 20


def test_what_is_sent_again_is_sent_whole(changing: Audiences) -> None:
    changing.run(NOW + DAY)
    changing.run(NOW + DAY, redeliver=True, reason="lost")
    assert len(changing.rows("many_2026-11-05_r1.csv")) == 20


def test_what_was_never_delivered_is_nothing_to_tell_changes_from(changing: Audiences) -> None:
    changing.sql("delete from aud_many where customer_id = 'a-001'")
    (changing.root / "share" / "acme_outdoor" / "in" / "many_2026-11-05_entered.csv").write_text("somebody's")
    (held,) = changing.run(NOW + DAY)
    assert held.state == "held"
    release(changing.project, held.delivery.id[:12], "cancel", "not wanted")
    changing.run(NOW + 2 * DAY)
    assert told(changing, "2026-11-06")["left"] == ["a1@example.com,"]
    with closing(Ledger(changing.project.ledger_url)) as ledger:
        first = ledger.find()[0]
    assert json.loads(changing.files()["many_2026-11-06_entered.csv.manifest.json"])["changes"]["since"] == first.id


def test_only_the_records_that_are_needed_are_kept(changing: Audiences) -> None:
    for number in range(1, 5):
        changing.run(NOW + number * DAY)
    assert len(list((changing.root / ".delivery" / "members").iterdir())) == 2


def applied(audiences: Audiences, days: list[str]) -> set[tuple[str, ...]]:
    """The contacts that a client has who loads whole files and applies changes, in the order in which they came."""
    has: set[tuple[str, ...]] = set()
    for day in days:
        if f"many_{day}.csv" in audiences.files():
            has = {tuple(row.split(",")[1:3]) for row in audiences.rows(f"many_{day}.csv")}
            continue
        found = told(audiences, day)
        has -= {tuple(row.split(",")) for row in found["left"]}
        has |= {tuple(row.split(",")[1:3]) for row in found["entered"]}
    return has


def members(audiences: Audiences) -> set[tuple[str, ...]]:
    query = "select email, phone from aud_many join people using (namespace, customer_id)"
    return {(email or "", phone or "") for email, phone in audiences.sql(f"{query} where namespace = 'acme_outdoor'")}


ENTERS = "insert into aud_many select namespace, customer_id, false from people where customer_id = 'a-030'"
LEAVES = "delete from aud_many where customer_id = 'a-030'"
DAYS = ["2026-11-04", "2026-11-05", "2026-11-06", "2026-11-07"]


@pytest.mark.parametrize("then", ["it arrives", "cancelled", "nothing arrives yet"])
def test_who_left_while_a_delivery_was_on_its_way_is_told(
    changing: Audiences, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """Day 1 is written and does not get through; on day 2 who entered is gone. The client must not keep them."""
    upload, closed = LocalDirectory.upload, {"2026-11-05"}

    def refuse(self: LocalDirectory, spool: Path, *arguments: Any) -> None:
        if any(day in spool.name for day in closed):
            raise DestinationRefused("closed")
        upload(self, spool, *arguments)

    monkeypatch.setattr(LocalDirectory, "upload", refuse)
    changing.sql(ENTERS)
    (first,) = changing.run(NOW + DAY)
    assert first.state == "failed"
    changing.sql(LEAVES)
    if then == "cancelled":
        with closing(Ledger(changing.project.ledger_url)) as ledger:
            ledger.advance(first.delivery.id, "spooled", "held", note="for a person")
        (second,) = changing.run(NOW + 2 * DAY)
        assert "the client does not have yet: held" in second.message
        release(changing.project, first.delivery.id[:12], "cancel", "not wanted")
    elif then == "it arrives":
        closed.clear()
    else:
        (second,) = changing.run(NOW + 2 * DAY)
        assert "the client does not have yet: spooled" in second.message
        closed.clear()
    found = changing.run(NOW + 2 * DAY, due=True)
    assert {o.state for o in found} == {"delivered"}
    changing.sql("delete from aud_many where customer_id = 'a-001'")
    assert {o.state for o in changing.run(NOW + 3 * DAY, due=True)} == {"delivered"}
    came = [day for day in DAYS if then != "cancelled" or day != "2026-11-05"]
    assert applied(changing, came) == members(changing)
    if then == "it arrives":
        assert [row.split(",")[0] for row in told(changing, "2026-11-06")["left"]] == ["a30@example.com"]


def test_a_row_count_is_judged_by_the_audience(changing: Audiences) -> None:
    changing.export["row_count"] = {"min": 10}
    (done,) = changing.run(NOW + DAY)
    assert done.state == "delivered"
    changing.sql("delete from aud_many where customer_id > 'a-005'")
    (done,) = changing.run(NOW + 2 * DAY)
    assert "fewer than row_count.min" in done.message


# Size


def test_members_are_joined_piece_by_piece(audiences: Audiences, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes whatever a piece is, and whether or not the audience is stored by key."""
    audiences.run()
    for number, statement in enumerate(
        ("", "create or replace table aud_many as from aud_many order by is_unsubscribed")
    ):
        audiences.sql(statement or "select 1")
        for place, size in enumerate((1, 3, 20, 21)):
            monkeypatch.setattr(rows, "PIECE", size)
            audiences.run(NOW + (1 + 4 * number + place) * DAY)
    contents = {content for name, content in audiences.files().items() if name.endswith(".csv")}
    assert len(audiences.files()) == 2 * 9
    assert contents == {audiences.files()[FIRST]}


WIDE = [f"attribute_{n:02}" for n in range(40)]
MEMBERS = 1_000_000


@pytest.mark.slow
def test_a_million_members_by_forty_definitions_leave_in_flat_memory(
    audiences: Audiences, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, and then those who changed; peak memory of the whole process."""
    kinds = (
        "n % 97",
        "'value ' || n % 1000",
        "(n % 9999) / 100::decimal(9,2)",
        "n % 3 = 0",
        "date '2026-01-01' + (n % 300)::int",
    )
    columns = ", ".join(f"{kinds[number % 5]} as {name}" for number, name in enumerate(WIDE))
    audiences.sql("drop table people; drop table aud_many; delete from definition_entitlements")
    audiences.sql(f"""
        create table people as
        select 'acme_outdoor' as namespace, 'a-' || lpad(n::text, 8, '0') as customer_id,
            'a' || n || '@example.com' as email, null::text as phone, false as is_unsubscribed, {columns}
        from range({MEMBERS}) as numbers(n) order by customer_id;
        create table aud_many as select namespace, customer_id, is_unsubscribed from people order by customer_id;
        insert into definition_entitlements
        select 'acme_outdoor', unnest(['customer_id', {", ".join(f"'{name}'" for name in WIDE)}]), true, null;
    """)
    monkeypatch.setattr(audience_project, "COLUMNS", COLUMNS | dict.fromkeys(WIDE, ("optional", True)))
    audiences.definitions, audiences.export = WIDE, {"mode": "changes"}
    audiences.write()
    assert len(audiences.files()) == 0
    whole = peak_of_run(audiences, NOW)
    assert len(audiences.files()) == 2
    audiences.sql("update people set attribute_00 = -1 where attribute_00 = 5")
    audiences.sql(f"delete from aud_many where customer_id > 'a-{MEMBERS * 9 // 10:08}'")
    changes = peak_of_run(audiences, NOW + DAY)
    assert len(audiences.rows("many_2026-11-05_left.csv")) == MEMBERS // 10 - 1
    print(f"peak MB: whole {whole}, changes {changes}")
    assert max(whole, changes) < 400


def peak_of_run(audiences: Audiences, at: datetime) -> int:
    """MB that a run of its own process had at most."""
    code = "import sys; from delivery.cli import cli; cli(standalone_mode=False, args=sys.argv[1:]);"
    code += "print([int(line.split()[1]) // 1024 for line in open('/proc/self/status') if line.startswith('VmHWM')][0])"
    command = [sys.executable, "-c", code, "--project-dir", str(audiences.root), "run", "--at", at.isoformat()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert "1 delivered now" in done.stderr, done.stderr
    return int(done.stdout.split()[-1])

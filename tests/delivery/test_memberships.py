"""Who entered, changed and left: between neighbours that share a contact, a day, a campaign or a client."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from audience_project import Audiences
from builders import NOW, campaign, dataset, job

from delivery.files import memberships
from delivery.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from delivery.schedule.jobs import Job

DAY = timedelta(days=1)
PEOPLE = dataset(window=None, order_by=("customer_id",), key="customer_id", contacts=("email", "phone"))


@pytest.fixture
def changing(tmp_path: Path) -> Audiences:
    made = Audiences(tmp_path / "project")
    made.export = {"mode": "changes", "full_every": 9, "layout": {"columns": ["customer_id"]}}
    return made


def told(audiences: Audiences, day: str, campaign: str = "many") -> dict[str, list[str]]:
    kinds = ("entered", "changed", "left")
    return {kind: [row.split(",")[0] for row in audiences.rows(f"{campaign}_{day}_{kind}.csv")] for kind in kinds}


def test_a_contact_that_two_members_shared_leaves_once_and_only_with_the_last(changing: Audiences) -> None:
    changing.sql("update people set email = 'both@example.com', phone = null where points in (2, 3, 4, 5)")
    changing.run()
    changing.sql("delete from aud_many where customer_id in ('a-002', 'a-003')")
    changing.run(NOW + DAY)
    assert told(changing, "2026-11-05") == {"entered": [], "changed": [], "left": []}, "two are members still"
    changing.sql("delete from aud_many where customer_id in ('a-004', 'a-005')")
    changing.run(NOW + 2 * DAY)
    assert told(changing, "2026-11-06") == {"entered": [], "changed": [], "left": ["both@example.com"]}


def test_who_has_only_one_of_two_contacts_is_known_by_it(changing: Audiences) -> None:
    """Of the members some have no phone and some no email: what is not there is the same as what is not there."""
    changing.run()
    changing.run(NOW + DAY)
    assert told(changing, "2026-11-05") == {"entered": [], "changed": [], "left": []}
    changing.sql("update people set pclv = 1 where points in (1, 7) ")
    changing.sql("update people set phone = '+447700900001' where points = 3")
    changing.run(NOW + 2 * DAY)
    assert told(changing, "2026-11-06") == {
        "entered": ["a-003"], "changed": ["a-001", "a-007"], "left": ["a3@example.com"],
    }  # fmt: skip


def test_each_campaign_tells_of_its_own_last_delivery(changing: Audiences) -> None:
    changing.campaigns = ("many", "more")
    changing.run()
    changing.sql("delete from aud_many where customer_id = 'a-001'")
    changing.run(NOW + DAY, select=("more",))
    changing.sql("delete from aud_many where customer_id = 'a-002'")
    changing.run(NOW + 2 * DAY)
    assert told(changing, "2026-11-06")["left"] == ["a1@example.com", "a2@example.com"]
    assert told(changing, "2026-11-05", "more")["left"] == ["a1@example.com"]
    assert told(changing, "2026-11-06", "more")["left"] == ["a2@example.com"]


def test_what_does_not_differ_is_no_change_and_a_value_cannot_run_into_the_next(changing: Audiences) -> None:
    changing.definitions = ["first_name", "pclv"]
    changing.export["layout"] = {"columns": ["customer_id"]}
    changing.sql("update people set first_name = 'x1', pclv = 23 where points = 3")
    changing.run()
    changing.sql("update people set first_name = 'x', pclv = 123 where points = 3")
    changing.sql("update people set first_name = null where points = 4")
    changing.run(NOW + DAY)
    assert told(changing, "2026-11-05")["changed"] == ["a-003", "a-004"]


def test_the_record_of_the_last_delivery_is_kept_and_a_neighbours_too(changing: Audiences) -> None:
    changing.campaigns = ("many", "more")
    changing.run()
    changing.run(NOW + DAY, select=("many",))
    changing.run(NOW + 2 * DAY, select=("many",))
    folder = changing.root / ".delivery" / "members"
    assert len(list(folder.iterdir())) == 3, "two of `many`, one of `more`"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.suffix for path in folder.iterdir()} == {".parquet"}


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    opened = Ledger("sqlite://")
    yield opened
    opened.close()


def sent(ledger: Ledger, slot: str, state: str = "delivered", **changes: Any) -> str:
    one = job(slot, campaign=campaign(of=PEOPLE, mode="changes"))
    values = one.record("/share", None) | {"id": f"{len(ledger.find()):02}"} | changes
    ledger.plan(**values)
    if state != "planned":
        ledger.advance(values["id"], "planned", state)
    return str(values["id"])


def test_before_is_what_ended_well_of_this_campaign_and_client_in_order(ledger: Ledger) -> None:
    third = sent(ledger, "2026-11-02 05:00", revision=1)
    second = sent(ledger, "2026-11-02 05:00")
    first = sent(ledger, "2026-11-01 05:00", "skipped")
    for state in ("planned", "spooled", "held", "cancelled"):
        sent(ledger, "2026-11-03 05:00", state)
    for neighbour in ({"campaign": "weekly"}, {"integration": "other"}, {"namespace": "cedar_books"}):
        sent(ledger, "2026-11-03 05:00", **neighbour)
    today: Job = job("2026-11-04 05:00", campaign=campaign(of=PEOPLE, mode="changes"))
    sent(ledger, "2026-11-04 05:00", id=today.key)
    assert [row.id for row in memberships._before(today, ledger)] == [first, second, third]


@pytest.mark.parametrize(
    ("full_every", "told_changes", "is_full"),
    [
        (1, [], True),
        (1, [True, True], True),
        (2, [False], False),
        (2, [False, True], True),
        (3, [False, True], False),
        (3, [True, True], True),
        (3, [False, True, True], True),
        (3, [True, False, True], False),
        (3, [True, True, False], False),
        (4, [True, True], False),
        (4, [True, True, True], True),
    ],
)
def test_each_so_many_th_is_whole(ledger: Ledger, full_every: int, told_changes: list[bool], is_full: bool) -> None:
    sent(ledger, "2026-11-01 05:00")
    (row,) = ledger.find()
    before = [row._replace(since="before" if changed else None) for changed in told_changes]
    today = job(campaign=campaign(of=PEOPLE, mode="changes", full_every=full_every))
    assert memberships._is_full_due(today, before) == is_full


@pytest.mark.parametrize(("entered", "changed", "left"), [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)])
def test_one_of_any_kind_is_a_change(entered: int, changed: int, left: int) -> None:
    gone = pa.RecordBatch.from_pydict({"email": ["x"] * left})
    found = memberships.Changes("before", pa.array(["k"] * entered), pa.array(["k"] * changed), gone)
    assert found.are_none == (entered + changed + left == 0)


def test_other_modes_tell_no_changes_and_keep_no_record(tmp_path: Path, ledger: Ledger) -> None:
    one = replace(job(campaign=campaign(of=PEOPLE)), revision=0)
    assert memberships.changes(one, None, None, tmp_path, ledger) is None  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []

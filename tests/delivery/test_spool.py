"""The spool: what is written, judged and recorded of one delivery, beside another one's."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from audience_project import Audiences
from builders import NOW, campaign, job

from delivery.errors import GateRefused, WriteFailed
from delivery.files.disk import clear
from delivery.files.policies import judge, spellings
from delivery.files.receipts import Content
from delivery.files.spool import Files
from delivery.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

FEW, NONE = Content(2, {}), Content(0, {})


@pytest.mark.parametrize(
    ("content", "keys", "accepted", "refused"),
    [
        (FEW, {}, None, ""),
        (FEW, {"row_count": {"min": 2}}, None, ""),
        (FEW, {"row_count": {"min": 3}}, None, "2 rows, fewer than row_count.min 3"),
        (FEW, {"row_count": {"min": 3}}, "a quiet day", ""),
        (replace(FEW, holds=3), {"row_count": {"min": 3}}, None, ""),
        (replace(FEW, holds=1), {"row_count": {"min": 2}}, None, "1 rows, fewer than row_count.min 2"),
        (replace(FEW, holds=0), {}, None, "none of the rows that were delivered is left"),
        (NONE, {}, None, ""),
        (NONE, {"empty": "skip"}, None, ""),
        (NONE, {"empty": "fail"}, None, "events has no rows for acme_outdoor in 2026-11-03/2026-11-04"),
        (NONE, {"empty": "fail"}, "accepted", "events has no rows"),
        (
            NONE,
            {"empty": "fail", "rows": {"event": ["halt"], "device": ["phone"]}},
            None,
            r"events has none of the rows that acme_outdoor chooses by event, device in 2026-11-03/2026-11-04\.",
        ),
        (FEW, {"empty": "fail"}, None, ""),
        (replace(NONE, holds=3), {"empty": "fail", "row_count": {"min": 3}}, None, ""),
    ],
)
def test_how_many_rows_may_leave(
    ledger: Ledger, content: Content, keys: dict[str, Any], accepted: str | None, refused: str
) -> None:
    one = job(**keys)
    ledger.plan(**one.record("/share", None))
    if refused:
        with pytest.raises(GateRefused, match=refused):
            judge(one, content, ledger, accepted)
    else:
        judge(one, content, ledger, accepted)
        notes = [note for _, step, note in ledger.steps(one.key) if step == "note"]
        assert [note.split(";")[0] for note in notes] == ([f"row count accepted: {accepted}"] if accepted else [])


@pytest.mark.parametrize("split", [None, {"rows": 2}, {"bytes": 1024}, {"by": "day"}])
def test_a_list_of_who_left_is_one_file_however_long(tmp_path: Path, split: dict[str, Any] | None) -> None:
    gone = pa.RecordBatch.from_pydict({"email": [f"p{n}@example.com" for n in range(300)]})
    one = job(**({"split": split} if split else {}))
    part = Files(one, tmp_path, {}).of_list("left", gone)
    number = "_part0001" if split else ""
    assert [path.name for path in tmp_path.iterdir()] == [f"daily_2026-11-03{number}_left.csv"] == [part.path.name]
    lines = part.path.read_text().splitlines()
    assert (lines[0], len(lines), part.written.rows) == ("email", 301, 300)


def test_a_list_that_is_read_back_otherwise_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = pa.RecordBatch.from_pydict({"email": ["x@example.com"]})
    monkeypatch.setattr("delivery.files.proving.compare", lambda *_: 0)
    with pytest.raises(WriteFailed, match=r"daily_2026-11-03_left\.csv has 0 rows, 1 were written"):
        Files(job(), tmp_path, {}).of_list("left", gone)


SPELLINGS = pa.table(
    {"event": ["open", "click", "open"], "name": ["Opened", "Clicked", "O"], "spelling": ["past", "past", "short"]}
)


class Seed:
    """An engine of one table: the part of a query after `spelling =` chooses."""

    def table(self, sql: str) -> pa.Table:
        import duckdb

        seed = SPELLINGS  # noqa: F841 - DuckDB finds it by its name
        return duckdb.sql(sql).to_arrow_table()


def test_events_are_spelt_as_the_campaign_says() -> None:
    nodes = {
        "test.p.event_spellings": {"resource_type": "test", "name": "event_spellings", "relation_name": "nowhere"},
        "seed.p.event_types": {"resource_type": "seed", "name": "event_types", "relation_name": "nowhere"},
        "seed.p.event_spellings": {"resource_type": "seed", "name": "event_spellings", "relation_name": "seed"},
    }

    def found(names: str, known: dict[str, Any] = nodes) -> dict[str, dict[str, str]]:
        chosen = campaign(layout={"event_names": names})
        return spellings(chosen, {"nodes": known}, Seed())  # type: ignore[arg-type]

    assert found("default") == {}
    assert found("past") == {"event": {"open": "Opened", "click": "Clicked"}}
    assert found("short") == {"event": {"open": "O"}}
    for names, known in (("long", nodes), ("past", {})):
        with pytest.raises(GateRefused, match=f"daily: the seed event_spellings has no spelling '{names}'"):
            found(names, known)


def test_a_folder_is_cleared_and_its_neighbour_is_not(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").touch()
    clear(tmp_path / "one")
    clear(tmp_path / "one")
    assert [path.name for path in tmp_path.iterdir()] == ["two"]


@pytest.fixture
def audiences(tmp_path: Path) -> Audiences:
    made = Audiences(tmp_path / "project")
    made.export = {"mode": "changes", "full_every": 9, "layout": {"columns": ["customer_id"]}}
    return made


def test_parts_of_each_kind_are_recorded_in_order_with_what_is_beside_them(audiences: Audiences) -> None:
    audiences.acme = {"split": {"rows": 2}}
    audiences.run()
    audiences.sql("delete from aud_many where customer_id in ('a-001', 'a-002', 'a-003')")
    audiences.sql("insert into aud_many select namespace, customer_id, false from people where points in (31, 32, 33)")
    audiences.sql("update people set pclv = 1 where points = 5")
    (done,) = audiences.run(NOW + timedelta(days=1))
    name = "many_2026-11-05_part000{}_{}.csv".format
    assert [(file.part, file.role, file.name, file.rows) for file in done.files] == [
        (0, "data", name(1, "entered"), 2),
        (1, "data", name(2, "entered"), 1),
        (2, "data", name(1, "changed"), 1),
        (3, "data", name(1, "left"), 3),
        (4, "manifest", f"{name(1, 'entered')}.manifest.json", None),
    ]
    assert done.delivery.rows == 20
    for file in done.files:
        content = audiences.files()[file.name]
        assert (file.bytes, file.destination) == (len(content), done.delivery.destination)
    with closing(Ledger(audiences.project.ledger_url)) as ledger:
        first = next(row for row in ledger.find() if row.id != done.delivery.id)
        notes = [note for _, step, note in ledger.steps(done.delivery.id) if step == "note"]
    assert notes == [f"since delivery {first.id[:12]}: 3 entered, 1 changed, 3 left"]
    assert (first.since, done.delivery.since) == (None, first.id)
    assert json.loads(done.delivery.layout or "")["columns"] == ["customer_id", "email", "phone", "pclv", "first_name"]
    assert not list((audiences.root / ".delivery" / "spool").iterdir())

"""Columns and rows that a client asks for: refused at load, delivered, frozen, corrected, told of in the manifest."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import yaml
from audience_project import Audiences
from builders import NOW, campaign, dataset, integration
from small_project import AT, DAY
from tenacity import wait_none
from test_receipts import build, files, late, manifest, project_in, rows, run

from delivery.config.columns import misfits
from delivery.config.datasets import Column
from delivery.errors import ConfigError
from delivery.files.manifest import verify
from delivery.files.proof import Dialect, Rows, compare, read_back
from delivery.files.writer import write_file
from delivery.forecast import plan
from delivery.operations.status import frozen_layouts
from delivery.schedule.request import Request

if TYPE_CHECKING:
    from pathlib import Path

    from delivery.config.project import Project

COLUMNS = (
    Column("namespace", "text", "file"),
    Column("email", "text", "file"),
    Column("event", "STRING", "file"),
    Column("n", "bigint", "file"),
    Column("unique_key", "text", "file"),
    Column("updated_at", "timestamp", "optional"),
    Column("secret", "text", "internal"),
)
EVENTS = dataset(columns=COLUMNS)
PEOPLE = dataset(columns=COLUMNS[:2], window=None, order_by=("email",), key="namespace", contacts=("email",))
CHANGES = {"mode": "changes", "late_rows": None}
LEFT_OUT = "columns: leaves out {}, by which the client applies what is sent later of the same rows"
NAME = f"daily_{DAY}.csv"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], "must be a list of columns, each a name or `name: label`"),
        ("email", "must be a list of columns"),
        ({"email": "mail"}, "must be a list of columns"),
        ([{"email": "mail", "event": "what"}], "must be a name or `name: label`"),
        ([{"email": None}], "must be a name or `name: label`"),
        ([1], "must be a name or `name: label`"),
        (["email", {"email": "again"}], "'email' is there twice"),
        ([{"email": "Event"}, "event"], "two columns are called 'event'"),
        ([{"email": " "}], "'email' needs a label that is not blank"),
        ([{"email": "\ufeffE-Mail"}], "'email' needs a label that is not blank"),  # as copied out of a file with a mark
        ([{"email": "a\nb"}], "'email' needs a label that is not blank, without control characters"),
    ],
    ids=str,
)
def test_columns_that_cannot_be_meant_are_refused(asked: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        integration(columns=asked)


@pytest.mark.parametrize(
    ("keys", "export", "said"),
    [
        ({"columns": ["email", "unique_key"]}, {}, []),
        ({"columns": ["email"]}, {}, [LEFT_OUT.format("unique_key")]),
        ({"columns": ["email"]}, {"late_rows": "ignore"}, []),
        ({"columns": ["email"], "existing": "replace"}, {}, []),
        ({"columns": ["unique_key", "updated_at"]}, {}, []),
        ({"columns": ["unique_key", "secret"]}, {}, ["columns: 'secret' is no column of events; known: "]),
        (
            {"columns": ["unique_key", "emial", "x"]}, {},
            ["columns: 'emial' is no column of events; known: ", "columns: 'x' is no column of events; known: "],
        ),
        ({"rows": {"event": ["open"]}}, {}, []),
        ({"rows": {"n": ["1"]}}, {}, ["rows: 'n' is no column of text of events; known: namespace, email, event"]),
        ({"rows": {"evnt": ["1"]}}, {}, ["rows: 'evnt' is no column of text of events; known: "]),
    ],
    ids=str,
)  # fmt: skip
def test_what_a_dataset_does_not_have_is_told_with_the_campaign(
    keys: dict[str, Any], export: dict[str, Any], said: list[str]
) -> None:
    one = campaign(of=EVENTS, **export)
    found = misfits({"daily": one}, {"acme": integration(**keys), "other": integration(columns=["zzz"])})["acme"]
    assert len(found) == len(said)
    for fault, start in zip(found, said, strict=True):
        assert fault.startswith(f"integrations.acme.{start}")
        assert fault.endswith(" (daily)")


def test_a_client_of_changes_keeps_the_contacts() -> None:
    one = campaign(of=PEOPLE, **CHANGES)
    found = misfits({"daily": one}, {"acme": integration(columns=["namespace"])})
    assert found["acme"] == [f"integrations.acme.{LEFT_OUT.format('email')} (daily)"]


def test_swapped_names_reach_the_right_columns(tmp_path: Path) -> None:
    """Each is called what the other was: a rename one by one would mix them."""
    how = integration(columns=[{"a": "b"}, {"b": "a"}, {"namespace": 'the "client", so called'}])
    table = pa.record_batch({"a": ["1", "2"], "b": ["x", None], "namespace": ["acme_outdoor"] * 2})
    write_file(tmp_path / "f", [table], how)
    assert (tmp_path / "f").read_text().splitlines() == [
        'b,a,"the ""client"", so called"', "1,x,acme_outdoor", "2,,acme_outdoor",
    ]  # fmt: skip
    dialect = Dialect("f", how, {})
    back = read_back(lambda: (tmp_path / "f").open("rb"), table.schema, dialect)
    assert compare(back, Rows([table]), "acme_outdoor", dialect) == 2


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr("delivery.handing_over.BACK_OFF", wait_none())
    return with_kinds(tmp_path, rows=6)


def with_kinds(folder: Path, *, rows: int) -> Project:
    """Each client's rows are opens and clicks by turns; a test lists these two, and one more."""
    made = project_in(folder, rows=rows)
    path = made.root / "target" / "manifest.json"
    document = json.loads(path.read_text())
    nodes = document["nodes"]
    nodes["model.sweep.events"]["columns"]["event"] = {"name": "event", "data_type": "text", "config": {}}
    listed = {"name": "accepted_values", "kwargs": {"column_name": "event", "values": ["open", "click", "halt"]}}
    nodes["test.sweep.listed"] = nodes["test.sweep.unique"] | {
        "name": "listed", "column_name": "event", "test_metadata": listed,
    }  # fmt: skip
    document["child_map"]["model.sweep.events"].append("test.sweep.listed")
    document["parent_map"]["test.sweep.listed"] = ["model.sweep.events"]
    path.write_text(json.dumps(document))
    build(
        made,
        "insert into build_log select * replace ('test.sweep.listed' as unique_id)"
        " from build_log where resource_type = 'test'",
        "alter table events add column event text",
        "update events set event = if(minute(event_time) % 2 = 0, 'open', 'click')",
    )
    return made


def ask(project: Project, name: str = "by_share", **keys: Any) -> None:
    """What the file says of one integration from now on."""
    path = project.root / "integrations.yml"
    document = yaml.safe_load(path.read_text())
    document["integrations"][name] |= keys
    path.write_text(yaml.safe_dump(document, sort_keys=False))


ASKED = {
    "columns": [{"unique_key": "Schlüssel"}, "event", {"event_time": "when"}, {"email": "Kontakt, E-Mail"}],
    "rows": {"event": ["open"]},
}


def test_a_client_gets_its_columns_and_rows_and_corrections_of_these(project: Project) -> None:
    ask(project, **ASKED)
    (asked,) = plan(project, Request(at=AT, window=DAY, integrations=("by_share",)))
    assert (asked.rows, asked.refusal) == (3, "")
    run(project, integrations=("by_share", "share_of_cedar_books"))
    first, says = rows(files(project)[NAME]), manifest(project, NAME)
    assert [list(row) for row in first] == [["Schlüssel", "event", "when", "Kontakt, E-Mail"]] * 3
    assert {row["event"] for row in first} == {"open"}
    assert says["columns"] == ["Schlüssel", "event", "when", "Kontakt, E-Mail"]
    assert (says["rows"], says["files"][0]["rows"]) == ({"event": ["open"]}, 3)

    gone = "delete from events where namespace = 'acme_outdoor' and minute(event_time) in (0, 1)"
    build(project, gone, late("late1", 1), "update events set event = 'click' where unique_key = 'late1'")
    build(project, late("late2", 2), "update events set event = 'open' where unique_key = 'late2'")
    run(project)
    corrected, withdrawn = f"daily_{DAY}_r1.csv", f"daily_{DAY}_r1_withdrawn.csv"
    assert [row["Schlüssel"] for row in rows(files(project)[corrected])] == ["late2"]
    assert [list(row) for row in rows(files(project)[withdrawn])] == [["Schlüssel"]]
    assert rows(files(project)[withdrawn])[0]["Schlüssel"] == first[0]["Schlüssel"]
    assert not [checked for checked in verify(project.share) if checked.problem]


def test_what_was_delivered_once_keeps_its_columns_and_rows(project: Project) -> None:
    ask(project, **ASKED)
    run(project)
    ask(project, columns=["email", {"event_time": "at"}, "unique_key"], rows={"event": ["click"]})
    later = run(project, window="2026-11-02")[0]
    assert later.layout_changes == (
        "event is not asked for any more; the file goes on with it",
        "the order of the columns changed since; the file keeps its own",
        "email is to be called email now; the file goes on with Kontakt, E-Mail",
        "event_time is to be called at now; the file goes on with when",
        "unique_key is to be called unique_key now; the file goes on with Schlüssel",
        "other rows are chosen since; the file goes on with those of before",
    )
    again = rows(files(project)["daily_2026-11-02.csv"])
    assert {(tuple(row), row["event"]) for row in again} == {
        (("Schlüssel", "event", "when", "Kontakt, E-Mail"), "open")
    }
    assert [one.changes for one in frozen_layouts(project)] == [later.layout_changes]
    ask(project, columns=None, rows={})
    assert "other rows" in run(project, window="2026-11-04", at=AT.replace(day=5))[0].layout_changes[-1]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"event": ["opn", "click"]}, "event: unknown 'opn'; known: click, halt, open (did you mean 'open'?)"),
        ({"email": ["x@example.com"]}, "email: no test lists its values"),
    ],
)
def test_values_that_no_test_lists_send_nothing(project: Project, chosen: dict[str, list[str]], said: str) -> None:
    ask(project, rows=chosen)
    (asked,) = plan(project, Request(at=AT, window=DAY, integrations=("by_share",)))
    done = run(project)[0]
    for message in (asked.refusal, done.message):
        assert message.startswith("by_share: rows cannot be chosen by")
        assert said in message
    assert (done.state, done.code, files(project)) == ("refused", 3, {})


@pytest.mark.parametrize("test", ["listed_in", "relationships"])
def test_values_are_those_of_the_table_that_a_test_names(project: Project, test: str) -> None:
    path = project.root / "target" / "manifest.json"
    manifest = json.loads(path.read_text())
    (listing,) = (
        n for n in manifest["nodes"].values() if (n.get("test_metadata") or {}).get("name") == "accepted_values"
    )
    listing["test_metadata"] = {"name": test, "kwargs": {"field": "event", "to": "ref('events')"}}
    path.write_text(json.dumps(manifest))
    ask(project, rows={"event": ["halt"]})
    refused = run(project)[0]
    assert "event: unknown 'halt'; known: click, open" in refused.message
    ask(project, rows={"event": ["open"]})
    assert run(project)[0].state == "delivered"


def test_faults_of_columns_and_rows_are_all_said_and_nothing_is_written(project: Project) -> None:
    ask(project, columns=["emial", "unique_key"], rows={"evnt": ["open"]})
    ask(project, name="share_of_cedar_books", columns=["email"])
    with pytest.raises(ConfigError) as refused:
        run(project, integrations=("by_share", "share_of_cedar_books"))
    for said in (
        "by_share.columns: 'emial' is no",
        "by_share.rows: 'evnt' is no",
        "cedar_books.columns: leaves out unique_key",
    ):
        assert said in refused.value.message
    assert files(project) == {}


def test_each_kind_that_is_asked_for_has_a_file_of_its_own(project: Project) -> None:
    """Also one without rows; a correction has the same files, and one list of what was withdrawn."""
    ask(project, rows={"event": ["open", "halt", "click"]}, split={"by": "event"})
    (asked,) = plan(project, Request(at=AT, window=DAY, integrations=("by_share",)))
    assert (asked.rows, asked.refusal, asked.file) == (6, "", f"daily_{DAY}_open.csv")
    run(project)
    kinds = {kind: rows(files(project)[f"daily_{DAY}_{kind}.csv"]) for kind in ("open", "halt", "click")}
    assert {kind: [row["event"] for row in found] for kind, found in kinds.items()} == {
        "open": ["open"] * 3, "halt": [], "click": ["click"] * 3,
    }  # fmt: skip
    listed = manifest(project, f"daily_{DAY}_open.csv")
    assert [(file["name"], file["rows"]) for file in listed["files"]] == [
        (f"daily_{DAY}_{kind}.csv", len(found)) for kind, found in kinds.items()
    ]
    assert len(files(project)) == 4

    gone = "delete from events where namespace = 'acme_outdoor' and minute(event_time) in (0, 1)"
    build(project, gone, late("late", 2), "update events set event = 'click' where unique_key = 'late'")
    assert run(project)[1].message == ""
    revised = {name.removeprefix(f"daily_{DAY}_") for name in files(project)} - {f"{kind}.csv" for kind in kinds}
    assert {name for name in revised if not name.endswith(".json")} == {
        "r1_open.csv", "r1_halt.csv", "r1_click.csv", "r1_all_withdrawn.csv",
    }  # fmt: skip
    assert [row["unique_key"] for row in rows(files(project)[f"daily_{DAY}_r1_click.csv"])] == ["late"]
    assert len(rows(files(project)[f"daily_{DAY}_r1_all_withdrawn.csv"])) == 2
    assert not [checked for checked in verify(project.share) if checked.problem]


def test_kinds_need_rows_that_were_chosen_at_the_first_delivery(project: Project) -> None:
    run(project, window="2026-11-02")
    ask(project, rows={"event": ["open", "click"]}, split={"by": "event"})
    (done,) = run(project).values()
    assert (done.state, len(files(project))) == ("refused", 2)
    assert "split by event: the files have rows of every event" in done.message


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "split by event needs rows"),
        ({"rows": {"evnt": ["open"]}}, "split by event needs rows"),
        ({"rows": {"event": ["a/b"]}}, "'a/b' cannot stand in a name"),
        ({"rows": {"event": [".a"]}}, "'.a' cannot stand in a name"),
        ({"rows": {"event": ["open", "Open"]}}, "two values are the same"),
        ({"rows": {"event": ["open"]}, "file_name": "x_{part:03}.csv"}, "takes no format"),
        ({"rows": {"event": ["open"]}, "file_name": "x.csv", "existing": "replace"}, "cannot be split"),
    ],
)
def test_kinds_that_cannot_be_files_are_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        integration(split={"by": "event"}, **keys)


def test_a_kind_may_stand_anywhere_in_a_name(project: Project) -> None:
    ask(project, rows={"event": ["click", "open"]}, split={"by": "event"}, file_name="{part}-of-{window:%d.%m}.txt")
    run(project)
    assert {name for name in files(project) if not name.endswith(".json")} == {
        "click-of-03.11.txt",
        "open-of-03.11.txt",
    }


def test_the_empty_policy_speaks_of_the_rows_chosen(project: Project) -> None:
    ask(project, rows={"event": ["halt"]}, empty="skip")
    assert run(project)[0].state == "skipped"


def test_changes_of_an_audience_go_by_the_clients_names(tmp_path: Path) -> None:
    audiences = Audiences(tmp_path, export={"mode": "changes"})
    audiences.acme = {"columns": [{"pclv": "score"}, {"email": "mail"}, "phone"], "trailer": "{rows}"}
    audiences.run()
    audiences.sql("delete from aud_many where customer_id = 'a-001'")
    audiences.sql("update people set points = -1 where customer_id = 'a-003'")  # not asked for
    audiences.sql("update people set pclv = -1 where customer_id = 'a-004'")
    (done,) = audiences.run(NOW + timedelta(days=1))
    assert done.state == "delivered", done.message
    texts = {name: text.decode() for name, text in audiences.files().items() if "11-05" in name}
    assert texts["many_2026-11-05_left.csv"] == "mail,phone\r\na1@example.com,\r\n1\r\n"
    assert texts["many_2026-11-05_entered.csv"] == "score,mail,phone\r\n0\r\n"
    assert texts["many_2026-11-05_changed.csv"] == "score,mail,phone\r\n-1,a4@example.com,+447700900004\r\n1\r\n"


def test_a_definition_without_a_contract_is_refused_under_any_name(tmp_path: Path) -> None:
    audiences = Audiences(tmp_path, definitions=[])
    audiences.acme = {"namespace": "brightside_beauty", "columns": ["email", "phone", {"pclv": "harmless"}]}
    (done,) = audiences.run()
    assert (done.state, "pclv: no contract for pclv" in done.message) == ("refused", True)

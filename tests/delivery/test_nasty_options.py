"""Nasty values in files of the options that choose columns, rows, parts and times: delivered, and read by others."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest
from small_project import DAY
from tenacity import wait_none
from test_columns import ask, with_kinds
from test_encryption import KEY, read_by
from test_receipts import CLIENT, build, files, run

from delivery.config.integrations_file import Integrations
from tests.nasty.compare import File, prepare
from tests.nasty.readers import READERS
from tests.nasty.values import texts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from delivery.config.project import Project
    from tests.nasty.readers import Rows

pytestmark = pytest.mark.slow

TEXTS = [text.value for text in texts(long=False)]
# Of two makers, and both tell NULL from the empty text. Files are unpacked for them, as a trailer is cut off.
BY = [replace(reader, unpacks=frozenset()) for reader in READERS if reader.name in ("PyArrow", "DuckDB")]
DIALECTS: list[dict[str, Any]] = [
    {},
    {"column_delimiter": "|", "row_delimiter": "linux", "quoting": "all", "nulls": "<NULL>", "compression": "gzip"},
    {"column_delimiter": ";", "character_encoding": "UTF-16", "include_header_row": False},
]
TIMES = {"timestamp_format": "%d.%m.%Y, %H:%M:%S %z", "time_zone": "Europe/Berlin"}
OPTIONS: dict[str, dict[str, Any]] = {
    "columns": {"columns": [{"nasty": 'Größe; "roh" | x,y'}, "event", {"event_time": "at"}, {"unique_key": "key"}]},
    "rows": {"rows": {"event": ["click"]}},
    "a file for each kind": {"rows": {"event": ["open", "halt", "click"]}, "split": {"by": "event"}},
    "parts of rows": {"split": {"rows": 7}},
    "parts of bytes": {"split": {"bytes": 20_000}},
    "times": TIMES,
    "trailer": {"trailer": 'end "{rows}", of rows'},
    "no extension": {"extension": False},
    "OpenPGP": {"encryption": "openpgp", "public_key": "acme.asc", "armor": True},
    "most at once": {
        "columns": ["nasty", "event", "event_time", "unique_key"], "rows": {"event": ["open", "click"]},
        "split": {"by": "event"}, "trailer": "{rows}", **TIMES,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Its rows have a nasty text each; another client's have its name."""
    project = with_kinds(tmp_path_factory.mktemp("nasty"), rows=len(TEXTS))
    path = project.root / "target" / "manifest.json"
    document = json.loads(path.read_text())
    columns = document["nodes"]["model.sweep.events"]["columns"]
    columns["nasty"] = {"name": "nasty", "data_type": "text", "config": {}}
    path.write_text(json.dumps(document))
    given = pa.table({"n": range(len(TEXTS)), "value": pa.array(TEXTS, pa.string())})
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as connection:
        connection.register("given", given)
        connection.execute("alter table events add column nasty text")
        connection.execute(
            "update events set nasty = if(namespace = ?, (select value from given where n = "
            "datediff('minute', event_day::timestamp, event_time)), namespace)", [CLIENT],
        )  # fmt: skip
    build(project)
    (project.root / "acme.asc").write_text(str(KEY.extract_certificate()))
    return project


@pytest.fixture
def project(made: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The same, with a ledger and a share of its own."""
    monkeypatch.setattr("delivery.handing_over.BACK_OFF", wait_none())
    before = made.integrations_file.read_text()
    state = tmp_path / "state"
    yield replace(made, state=state, share=tmp_path / "share", ledger_url=f"sqlite:///{state / 'ledger.sqlite'}")
    made.integrations_file.write_text(before)


def wanted(option: dict[str, Any]) -> dict[int, dict[str, str | None]]:
    """By the number of a row: what the file is to say of it."""
    found: dict[int, dict[str, str | None]] = {}
    for number, text in enumerate(TEXTS):
        at = datetime.fromisoformat(DAY).replace(tzinfo=UTC) + timedelta(minutes=number)
        told = at.astimezone(ZoneInfo("Europe/Berlin")).strftime("%d.%m.%Y, %H:%M:%S +01:00")
        event = "click" if number % 2 else "open"
        if event in option.get("rows", {}).get("event", (event,)):
            time = told if "time_zone" in option else f"{at:%Y-%m-%dT%H:%M:%SZ}"
            found[number] = {"nasty": text, "event": event, "event_time": time}
    return found


@pytest.mark.parametrize("dialect", DIALECTS, ids=["as it comes", "quoted", "UTF-16"])
@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS.keys())
def test_nasty_values_come_back_whatever_is_asked_for(
    option: dict[str, Any], dialect: dict[str, Any], project: Project, tmp_path: Path
) -> None:
    ask(project, **option, **dialect)
    assert run(project)[0].message == ""
    how = Integrations(project.integrations_file).loaded["by_share"]
    (said,) = [json.loads(path.read_text()) for path in files(project).values() if path.suffix == ".json"]
    asked = [
        one if isinstance(one, dict) else {one: one} for one in option.get("columns", ("nasty", "event", "event_time"))
    ]
    labels = {label: name for one in asked for name, label in one.items() if name != "unique_key"}
    for reader in BY:
        seen: list[dict[str, str | None]] = []
        for number, one in enumerate(said["files"]):
            work = tmp_path / f"{reader.name}-{number}"
            work.mkdir()
            content = files(project)[one["name"]]
            (work / "file").write_bytes(read_by(KEY, content) if how.encryption != "none" else content.read_bytes())
            job = prepare(File(work / "file", how, False, frozenset(), len(said["columns"])), reader, work)
            if how.trailer:
                cut_trailer(job.source, job.how.character_encoding, how.trailer.format(rows=one["rows"]))
            rows: Rows = reader.read(job) if one["rows"] or how.include_header_row else []
            header = [rows.pop(0)] if how.include_header_row else []
            assert header in ([], [said["columns"]])
            assert len(rows) == one["rows"]
            seen += [
                {labels[name]: cell for name, cell in zip(said["columns"], row, strict=True) if name in labels}
                for row in rows
            ]
            assert (
                how.split is None
                or how.split.by != "event"
                or len({row["event"] for row in seen[len(seen) - len(rows) :]}) <= 1
            )
        order = sorted(wanted(option).values(), key=lambda row: kind_of(row, option))
        assert seen == order, reader.name


def kind_of(row: dict[str, str | None], option: dict[str, Any]) -> int:
    """Files of kinds come in the order in which they were asked for."""
    kinds: list[str | None] = option["rows"]["event"] if option.get("split") == {"by": "event"} else [row["event"]]
    return kinds.index(row["event"])


def cut_trailer(path: Path, encoding: str, trailer: str) -> None:
    """As a client does it: the last line, which is no row, is looked at and left out."""
    codec = {"UTF-16": "utf-16-le"}.get(encoding, "utf-8")
    text, end = path.read_bytes().decode(codec), "\r\n"
    end = end if text.endswith(end) else "\n"
    assert text.endswith(f"{trailer}{end}")
    path.write_bytes(text.removesuffix(f"{trailer}{end}").encode(codec))

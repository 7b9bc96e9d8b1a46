"""Parts: where one file ends and the next begins, the same for the same rows."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest
from builders import integration, job
from pydantic import ValidationError
from small_project import AT, DAY, make_project

from delivery import run as runner
from delivery.config.project import Project
from delivery.files.manifest import verify
from delivery.files.parts import write_parts
from delivery.progress import Watch
from delivery.schedule.names import file_name
from delivery.schedule.request import Request
from delivery.transfer.local_directory import LocalDirectory

if TYPE_CHECKING:
    from pathlib import Path


HEADER = b"a,b\r\n"


def rows(count: int) -> pa.RecordBatch:
    return pa.record_batch({"a": [str(n) for n in range(count)], "b": ["x\r\n" * (n % 7) for n in range(count)]})


def write(folder: Path, batches: list[pa.RecordBatch], **keys: Any) -> list[bytes]:
    """The bytes of each part, unpacked."""
    folder.mkdir()
    parts = write_parts(lambda n: folder / str(n), batches, integration(**keys), {})
    assert [part.path.name for part in parts] == [str(n + 1) for n in range(len(parts))]
    found = [part.path.read_bytes() for part in parts]
    assert [part.written.bytes for part in parts] == list(map(len, found))
    return [gzip.decompress(content) for content in found] if keys.get("compression") else found


def read(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("split", [{"rows": 100}, {"rows": 1}, {"bytes": 1024}, {"bytes": 5000}, {"rows": 10**9}])
def test_parts_are_whole_and_do_not_depend_on_batches(split: dict[str, int], compression: str, tmp_path: Path) -> None:
    count = 45 if split == {"rows": 1} else 450
    whole = rows(count)
    keys = {"split": split, **({"compression": compression} if compression != "none" else {})}
    parts = write(tmp_path / "whole", [whole.slice(0, 0), whole], **keys)
    ends = [0, 0, 1, count * 2 // 9, count * 8 // 9, count]
    cut = [whole.slice(start, end - start) for start, end in itertools.pairwise(ends)]
    assert write(tmp_path / "cut", cut, **keys) == parts
    assert all(content.startswith(HEADER) for content in parts)
    (single,) = write(tmp_path / "single", [whole])
    assert HEADER + b"".join(content.removeprefix(HEADER) for content in parts) == single
    assert [row for content in parts for row in read(content)[1:]] == read(single)[1:]
    if most := split.get("rows"):
        counts = [len(read(content)) - 1 for content in parts]
        assert counts == [most] * (count // most) + ([count % most] if count % most else [])


def test_a_part_is_as_large_as_may_be(tmp_path: Path) -> None:
    """Greedy: the first row of the next part would not have fitted."""
    parts = write(tmp_path / "f", [rows(2000)], split={"bytes": 3000})
    assert len(parts) > 5
    for content, following in itertools.pairwise(parts):
        first = read(following)[1]
        row = f'{first[0]},"{first[1]}"\r\n'.encode()
        assert len(content) <= 3000 < len(content) + len(row)


def test_a_row_that_is_larger_than_a_part_has_its_own(tmp_path: Path) -> None:
    table = pa.record_batch({"a": ["x", "y" * 5000, "z"], "b": ["", "", ""]})
    assert [len(read(content)) - 1 for content in write(tmp_path / "f", [table], split={"bytes": 1024})] == [1, 1, 1]


@pytest.mark.parametrize("split", [{"rows": 5}, {"bytes": 1024}])
def test_no_rows_are_one_part(split: dict[str, int], tmp_path: Path) -> None:
    assert write(tmp_path / "f", [rows(0)], split=split) == [HEADER]


def test_names_have_a_number() -> None:
    chosen = job(split={"rows": 5}, compression="gzip")
    assert [file_name(chosen, AT, n) for n in (1, 12)] == [
        "daily_2026-11-03_part0001.csv.gz", "daily_2026-11-03_part0012.csv.gz"
    ]  # fmt: skip
    chosen = job(split={"rows": 5}, file_name="x-{part:03}-{window:%m}.txt", filename_timestamped=True)
    assert file_name(chosen, AT, 2) == "x-002-11_20261104060000.txt"
    assert file_name(job(), AT) == "daily_2026-11-03.csv"


@pytest.mark.parametrize("split", [{}, {"rows": 1, "bytes": 2048}, {"rows": 0}, {"bytes": 5}, {"by": "week"}, {"x": 1}])
def test_a_split_is_one_of_three(split: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        integration(split=split)


def test_what_cannot_be_split_is_refused() -> None:
    with pytest.raises(ValidationError, match="cannot be split"):
        integration(split={"rows": 5}, existing="replace")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    root, state = tmp_path / "project", tmp_path / "state"
    make_project(root, beside=())
    monkeypatch.setenv("SWEEP_PASSWORD", "not needed")
    profile = {"type": "duckdb", "path": "warehouse.duckdb"}
    return Project(root, "duckdb", profile, state, tmp_path / "share", f"sqlite:///{state / 'ledger.sqlite'}")


def deliver(project: Project, keys: str, **request: Any) -> runner.Outcome:
    text = (project.root / "integrations.yml").read_text().replace("destination: {type: hosted}", keys)
    (project.root / "integrations.yml").write_text(text.replace("    \n", ""))
    wanted = {"window": DAY, "integrations": ("by_share",)} | request
    (outcome,) = runner.run(project, Request(at=AT, **wanted), Watch())
    return outcome


def test_parts_are_handed_over_in_order_and_the_manifest_last(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    published, publish = [], LocalDirectory.publish

    def note(self: LocalDirectory, temp: str, final: str, *more: Any) -> None:
        publish(self, temp, final, *more)
        published.append(final)

    monkeypatch.setattr(LocalDirectory, "publish", note)
    outcome = deliver(project, "destination: {type: hosted}\n    split: {rows: 250}")
    assert (outcome.state, outcome.delivery.rows) == ("delivered", 600)
    names = [f"daily_{DAY}_part000{n}.csv" for n in (1, 2, 3)]
    assert published == [*names, f"{names[0]}.manifest.json"]
    assert [(file.part, file.role, file.rows) for file in outcome.files] == [
        (0, "data", 250), (1, "data", 250), (2, "data", 100), (3, "manifest", None)
    ]  # fmt: skip
    folder = project.share / "acme_outdoor" / "inbox"
    manifest = json.loads((folder / published[-1]).read_bytes())
    assert [(file["name"], file["rows"]) for file in manifest["files"]] == list(
        zip(names, [250, 250, 100], strict=True)
    )
    for path in (folder, folder / names[0], folder / names[2], folder / published[-1]):
        assert [(checked.rows, checked.problem) for checked in verify(path)] == [(250, ""), (250, ""), (100, "")]
    (folder / names[1]).write_bytes(b"x")
    assert [bool(checked.problem) for checked in verify(folder)] == [False, True, False]


def test_a_part_for_each_day(project: Project) -> None:
    after = date.fromisoformat(DAY) + timedelta(days=1)
    with duckdb.connect(str(project.root / "warehouse.duckdb")) as connection:
        connection.execute(f"insert into build_days select * replace (date '{after}' as event_day) from build_days")
        connection.execute(f"insert into build_days select * replace (date '{after}' + 1 as event_day) from build_days")
        connection.execute(
            f"insert into events select * replace (event_time + interval 2 day as event_time, date '{after}' + 1 as "
            "event_day, md5(unique_key) as unique_key) from events"
        )
    manifest = json.loads((project.root / "target" / "manifest.json").read_text())
    manifest["exposures"]["exposure.sweep.daily"]["config"]["meta"]["export"] |= {
        "schedule": "once", "start": DAY, "end": str(after + timedelta(days=2))
    }  # fmt: skip
    (project.root / "target" / "manifest.json").write_text(json.dumps(manifest))
    request = {"at": AT + timedelta(days=7), "window": None}
    text = (project.root / "integrations.yml").read_text()
    (project.root / "integrations.yml").write_text(
        text.replace("destination: {type: hosted}", "destination: {type: hosted}\n    split: {by: day}")
    )
    (outcome,) = runner.run(project, Request(integrations=("by_share",), **request), Watch())
    assert outcome.message == ""
    assert [file.rows for file in outcome.files] == [600, 0, 600, None], "a day without rows has a part, too"

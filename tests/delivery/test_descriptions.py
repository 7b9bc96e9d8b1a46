"""What the share's page says of a folder: by what lies there, whatever became of the run that was to say it."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from share_world import made
from small_project import AT, BESIDE, CLIENTS, DAY, make_project

from delivery import run as runner
from delivery.config.integrations_file import Integrations
from delivery.config.project import Project, open_project
from delivery.ledger import Ledger
from delivery.operations.retention import prune
from delivery.operations.status import fetched
from delivery.progress import Watch
from delivery.schedule.request import Request
from delivery.transfer import descriptions
from delivery.transfer.descriptions import describe

if TYPE_CHECKING:
    from pathlib import Path

NAME = f"daily_{DAY}.csv"
LINE = re.compile(r'AddDescription "([^"]*)" "(?:\*/acme_outdoor/inbox/)?([^"/]*)"\n')


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return made(tmp_path / "project")


def inbox(project: Project) -> Path:
    return project.share / CLIENTS[0] / "inbox"


def deliver(project: Project, day: str = DAY) -> list[str]:
    """How each delivery to the share ended."""
    asked = Request(at=AT, window=day, integrations=("by_share",))
    return [str(one.state) for one in runner.run(project, asked, Watch())]


def said(project: Project) -> dict[str, str]:
    text = (inbox(project) / ".htaccess").read_text()
    assert LINE.sub("", text) == "", "nothing else is in it"
    return {name: words for words, name in LINE.findall(text)}


def test_each_file_has_its_rows_its_hash_and_the_day_on_which_it_goes(project: Project) -> None:
    assert deliver(project) == deliver(project, BESIDE[0]) == ["delivered"]
    path, other = inbox(project) / NAME, f"daily_{BESIDE[0]}.csv"
    goes = f"{datetime.fromtimestamp(path.stat().st_mtime, UTC) + timedelta(days=7):%Y-%m-%d}"
    found = said(project)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    rows = path.read_bytes().count(b"\r\n") - 1
    assert found[NAME] == f"{rows} rows, goes on {goes}<br>SHA-256 <code>{sha256}</code>"
    assert found[f"{NAME}.manifest.json"] == f"Says what the file must be, goes on {goes}"
    assert found.keys() == {name + more for name in (NAME, other) for more in ("", ".manifest.json")}
    assert found[other] != found[NAME]
    assert stat.S_IMODE((inbox(project) / ".htaccess").stat().st_mode) == 0o640
    assert not (project.share / CLIENTS[1]).exists()
    path.write_bytes(b"cut")
    describe(inbox(project), project.share, {})
    assert said(project)[NAME] == " ", "what is not as its manifest says is not said to be"


def test_page_and_status_name_the_same_day_also_of_a_file_of_midnight(project: Project) -> None:
    """The file lay there a moment before midnight, and the ledger knew it a moment after; what has gone has no day."""
    deliver(project)
    path = inbox(project) / NAME
    midnight = datetime(2026, 11, 5, tzinfo=UTC).timestamp()

    def shown() -> tuple[str | None, str]:
        describe(inbox(project), project.share, Integrations(project.integrations_file).loaded)
        with closing(Ledger(project.ledger_url)) as ledger, ledger.storage.begin() as connection:
            connection.exec_driver_sql("update files set updated_at = '2026-11-05T00:00:00.000001Z'")
        with closing(Ledger(project.ledger_url)) as ledger:
            (found,) = fetched(project, ledger, ledger.find()).values()
        return found.goes_on, said(project).get(NAME, "")

    for at, day in ((midnight - 0.001, "2026-11-11"), (midnight, "2026-11-12")):
        os.utime(path, (at, at))
        goes_on, text = shown()
        assert goes_on == day
        assert f"goes on {day}<br>" in text
    path.unlink()
    assert shown() == (None, "")


def test_whatever_was_left_the_next_run_says_it_and_a_run_without_a_page_says_nothing(
    project: Project, tmp_path: Path
) -> None:
    deliver(project)
    path, unfinished = inbox(project) / ".htaccess", inbox(project) / ".htaccess.part"
    whole = path.read_bytes()
    for damage in (path.unlink, lambda: path.write_bytes(b"x"), lambda: unfinished.write_bytes(whole[:9])):
        damage()
        assert deliver(project) == ["already delivered"]
        assert path.read_bytes() == whole
    unfinished.unlink()
    before = path.stat().st_ino, inbox(project).stat().st_mtime_ns
    deliver(project)
    assert (path.stat().st_ino, inbox(project).stat().st_mtime_ns) == before, "nothing is written that is there"

    make_project(tmp_path / "other")
    plain = open_project(tmp_path / "other", None, None)
    assert deliver(plain) == ["delivered"]
    assert not (inbox(plain) / ".htaccess").exists()


def test_names_stand_alone_unless_a_folder_below_would_get_them_too(project: Project) -> None:
    """Apache asks each description for each file: with a path that takes it minutes where there are thousands."""
    deliver(project)
    path = inbox(project) / ".htaccess"
    alone = said(project)
    assert "*/" not in path.read_text()
    (inbox(project) / "below").mkdir()
    describe(inbox(project), project.share, Integrations(project.integrations_file).loaded)
    assert said(project) == alone | {"below": " "}
    assert path.read_text().count(f'"*/{CLIENTS[0]}/inbox/') == len(alone) + 1


def test_nothing_fails_by_it(project: Project) -> None:
    (inbox(project) / ".htaccess.part" / "in the way").mkdir(parents=True)
    assert deliver(project) == ["delivered"]
    assert not (inbox(project) / ".htaccess").exists()
    inbox(project).rename(project.share / "elsewhere")
    describe(inbox(project), project.share, {})
    assert not inbox(project).exists()


def test_what_has_gone_is_said_no_more(project: Project) -> None:
    deliver(project)
    deliver(project, BESIDE[0])
    now = datetime.now(UTC)
    for more in ("", ".manifest.json"):
        (inbox(project) / f"{NAME}{more}").unlink()
    prune(project, now, dry_run=True)
    assert NAME in said(project)
    prune(project, now)
    assert said(project).keys() == {f"daily_{BESIDE[0]}.csv", f"daily_{BESIDE[0]}.csv.manifest.json"}
    prune(project, now + timedelta(days=8), days=7)
    assert list(inbox(project).iterdir()) == []


def test_who_writes_last_has_seen_what_was_there(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has looked, and has not written yet, holds up another that would see more."""
    deliver(project)
    looked, go_on, lines = threading.Event(), threading.Event(), descriptions._lines

    def slowly(*asked: object) -> list[str]:
        found = list(lines(*asked))  # type: ignore[arg-type]
        if not looked.is_set():
            looked.set()
            assert go_on.wait(30)
        return found

    monkeypatch.setattr(descriptions, "_lines", slowly)
    (inbox(project) / ".htaccess").unlink()
    first = threading.Thread(target=describe, args=(inbox(project), project.share, {}))
    first.start()
    assert looked.wait(30)
    (inbox(project) / "new").touch()
    second = threading.Thread(target=describe, args=(inbox(project), project.share, {}))
    second.start()
    second.join(0.3)
    go_on.set()
    first.join(30)
    second.join(30)
    assert "new" in said(project)

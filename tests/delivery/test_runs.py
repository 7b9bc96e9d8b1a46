"""What a run promises to all that it serves: nobody is stopped by another, nothing goes twice, a plan is a look."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner
from small_project import AT, DAY, ROWS, make_project
from small_project import INTEGRATIONS as SMALL
from test_receipts import build, late

from delivery import forecast as planner
from delivery import run as runner
from delivery.cli import cli
from delivery.cli.deliver import forecasts
from delivery.config.project import Project
from delivery.errors import ConfigError, ExitCode, LeftOut, LoginRefused
from delivery.files.spool import Spool
from delivery.ledger import Ledger
from delivery.ledger.opened import adopt
from delivery.progress import Watch
from delivery.schedule.request import Request
from delivery.transfer.local_directory import LocalDirectory
from delivery.transfer.sftp_directory import SftpDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PINNED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIlOM4VJ6dIqWGYKzvYF8Jj0yD5T2i6yL7O5m0c7b9Xk"
SHARES = ("by_share", "share_of_brightside_beauty", "share_of_cedar_books")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    make_project(tmp_path / "project")
    monkeypatch.setenv("SWEEP_PASSWORD", "not needed")
    monkeypatch.setenv("SWEEP_PASSPHRASE", "not needed")
    profile = {"type": "duckdb", "path": "warehouse.duckdb"}
    state = tmp_path / "state"
    return Project(
        tmp_path / "project", "duckdb", profile, state, tmp_path / "share", f"sqlite:///{state}/ledger.sqlite"
    )


def run(project: Project, **request: Any) -> dict[str, runner.Outcome]:
    asked = {"window": DAY, "integrations": SHARES} | request
    return {o.delivery.integration: o for o in runner.run(project, Request(at=AT, **asked), Watch())}


def arrived(project: Project) -> list[str]:
    return sorted(
        str(path.relative_to(project.share)) for path in project.share.rglob("*.csv") if ".part" not in path.name
    )


def kept(folder: Path) -> dict[str, tuple[int, str]]:
    """Each file with its time and bytes."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, sha256(path.read_bytes()).hexdigest()) for path in found}


@pytest.mark.parametrize("where", ["writing", "handing over"])
@pytest.mark.parametrize("error", [RuntimeError("jane@example.com"), FileNotFoundError("x"), RecursionError()])
def test_whatever_happens_to_one_the_others_leave(
    project: Project, monkeypatch: pytest.MonkeyPatch, where: str, error: Exception
) -> None:
    of, name = (Spool, "write") if where == "writing" else (LocalDirectory, "upload")
    real = getattr(of, name)

    def fail(self: Any, *arguments: Any, **more: Any) -> Any:
        if "acme_outdoor" in f"{arguments} {getattr(self, '_path', '')}":
            raise error
        return real(self, *arguments, **more)

    monkeypatch.setattr(of, name, fail)
    found = run(project)
    assert {one: o.state for one, o in found.items()} == dict.fromkeys(SHARES, "delivered") | {"by_share": "failed"}
    assert found["by_share"].code == ExitCode.FAILED
    assert found["by_share"].message.startswith(f"Unexpected {type(error).__name__} in ")
    assert "jane" not in found["by_share"].message
    monkeypatch.undo()
    assert run(project)["by_share"].state == "delivered"


@pytest.mark.parametrize("lack", ["secret", "key file", "certificate"])
def test_what_one_client_lacks_stops_no_other(project: Project, monkeypatch: pytest.MonkeyPatch, lack: str) -> None:
    """A secret that is not set, a key that others can read: where everybody's files go is known all the same."""
    secret, keys = "{{ env_var('UNSET') }}", project.root / "keys"
    keys.write_text("key")
    keys.chmod(0o640)
    server = {"type": "sftp", "host": "sftp.example.com", "username": "acme", "host_keys": [PINNED]}
    changes: dict[str, Any] = {
        "secret": {"destination": server | {"password": secret}},
        "key file": {"destination": server | {"private_key": "keys"}},
        "certificate": {"encryption": "openpgp", "public_key": "gone.asc"},
    }[lack]
    said = {
        "secret": "integrations.by_share.destination.password: the environment variable UNSET is not set.",
        "key file": f"integrations.by_share.destination.private_key: {keys} is open to others; chmod 600.",
        "certificate": f"integrations.by_share.public_key: {project.root / 'gone.asc'} cannot be read: "
        "No such file or directory.",
    }[lack]
    document = yaml.safe_load(project.integrations_file.read_text())
    document["integrations"] = {name: document["integrations"][name] for name in SHARES}
    document["integrations"]["by_share"] |= changes
    project.integrations_file.write_text(yaml.safe_dump(document))

    planned = forecasts(planner.plan(project, Request(at=AT, window=DAY)))
    assert (planned.code, [f["refusal"] for f in planned.document["deliveries"]]) == (
        ExitCode.USAGE,
        [said, None, None],
    )
    for tries in (1, 2):
        found = run(project, integrations=())
        assert {name: (str(o.state), o.code) for name, o in found.items()} == {
            "by_share": ("failed", ExitCode.USAGE),
            **dict.fromkeys(SHARES[1:], ("delivered" if tries == 1 else "already delivered", ExitCode.DONE)),
        }
        assert (found["by_share"].message, found["by_share"].delivery.state) == (said, "planned")
    with pytest.raises(ConfigError, match=re.escape(said[:-1])):  # who is named is needed
        run(project, integrations=("by_share",))
    keys.chmod(0o600)
    project.integrations_file.write_text(SMALL)
    assert run(project, integrations=("by_share",))["by_share"].state == "delivered"


LOGIN = {"type": "sftp", "host": "sftp.example.com", "username": "acme", "host_keys": [PINNED], "password": "hunter2"}
FAULTS = {
    "colour: unknown key": {"colour": 1},
    "directory: the environment variable UNSET is not set": {"directory": "{{ env_var('UNSET') }}"},
    "destination.password: a secret must not stand in the file": {"destination": LOGIN},
    "columns: 'emial' is no column of events": {"columns": ["emial"]},
    "file_name: file name longer than": {"file_name": "x" * 250},
    "directory: must be a path of at most 1000 bytes, of names of at most 255": {"directory": "in/" + "x" * 256},
}


@pytest.mark.parametrize(("said", "changes"), FAULTS.items(), ids=[one.partition(":")[0] for one in FAULTS])
def test_what_is_wrong_with_one_integration_stops_no_other(
    project: Project, monkeypatch: pytest.MonkeyPatch, said: str, changes: dict[str, Any]
) -> None:
    """Of which nobody can say what its files would be, or where they would lie: it is in no plan."""
    monkeypatch.delenv("UNSET", raising=False)
    document = yaml.safe_load(project.integrations_file.read_text())
    document["integrations"] = {name: document["integrations"][name] for name in SHARES}
    well = yaml.safe_dump(document)
    document["integrations"]["by_share"] |= changes
    project.integrations_file.write_text(yaml.safe_dump(document))
    text = f"Nothing goes to by_share, until this is mended in integrations.yml:\n  integrations.by_share.{said}"

    with pytest.raises(LeftOut, match=re.escape(text)) as planned:
        planner.plan(project, Request(at=AT, window=DAY))
    assert [(f.title.split()[2], f.code) for f in planned.value.done] == [(name, ExitCode.DONE) for name in SHARES[1:]]
    for state in ("delivered", "already delivered"):
        with pytest.raises(LeftOut, match=re.escape(text)) as left_out:
            run(project, integrations=())
        assert "hunter2" not in left_out.value.message
        assert {o.delivery.integration: str(o.state) for o in left_out.value.done} == dict.fromkeys(SHARES[1:], state)
        assert not (project.share / "acme_outdoor").exists()
    assert set(run(project, integrations=SHARES[1:])) == {*SHARES[1:]}, "to whom it does not matter"
    with pytest.raises(ConfigError, match=re.escape(said)):
        run(project, integrations=("by_share",))

    project.integrations_file.write_text(well)
    assert run(project, integrations=())["by_share"].state == "delivered"


def test_whom_a_chosen_campaign_does_not_serve_is_not_told_of(tmp_path: Path) -> None:
    make_project(tmp_path / "p", campaigns={"few": {"integrations": list(SHARES[1:])}})
    path = tmp_path / "p" / "integrations.yml"
    document = yaml.safe_load(path.read_text())
    document["integrations"]["by_share"]["colour"] = 1
    path.write_text(yaml.safe_dump(document))
    for select, code in (("few", 0), ("daily", 2)):
        asked = ["--project-dir", str(tmp_path / "p"), "plan", "--select", select, "--window", DAY]
        result = CliRunner().invoke(cli, asked)
        assert (result.exit_code, "by_share.colour: unknown key" in result.stderr) == (code, bool(code)), select


def test_who_is_left_out_is_said_by_each_command(project: Project) -> None:
    """Also when nothing is due for all others: the exit code stays the same until it is mended."""
    document = yaml.safe_load(project.integrations_file.read_text())
    document["integrations"] = {name: document["integrations"][name] for name in SHARES}
    document["integrations"] |= {"by share": document["integrations"].pop("by_share"), "cedar": "cedar_books"}
    project.integrations_file.write_text(yaml.safe_dump(document))
    names = ("'by share'", "cedar")

    def call(*arguments: str) -> tuple[int, str, Any]:
        result = CliRunner().invoke(cli, ["--project-dir", str(project.root), *arguments])
        return result.exit_code, result.stderr, json.loads(result.stdout or "{}") if "--json" in arguments else None

    for command in (("plan", "--json"), ("run", "--json")):
        code, stderr, shown = call(*command, "--window", DAY)
        assert (code, "integrations." in stderr, len(shown["deliveries"])) == (2, False, 2)
        assert all(f"integrations.{name}: " in shown["left_out"] for name in names)
    for options in (("--window", DAY), ("--due", "--at", f"{AT:%Y-%m-%dT%H:%M:%SZ}")):
        for command in ("plan", "run"):
            code, stderr, _ = call(command, *options)
            assert code == 2
            assert all(f"integrations.{name}: " in stderr for name in names)
            assert "Next: Mend integrations.yml" in stderr
    code, stderr, shown = call("check", "--json")
    assert code == 2
    assert {one["integration"]: one["ok"] for one in shown["integrations"]} == {
        **dict.fromkeys(SHARES[1:], True), **dict.fromkeys(names, False),
    }  # fmt: skip


def test_an_account_that_was_refused_is_not_tried_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the other deliveries of a run: three tries may lock it. The next run tries again."""
    tried = []

    def refuse(self: SftpDirectory) -> None:
        tried.append(self.describe())
        raise LoginRefused("the password has expired")

    monkeypatch.setattr(SftpDirectory, "__enter__", refuse)
    for number in (1, 2):
        found = runner.run(
            project,
            Request(
                at=AT, start="2026-11-02", end="2026-11-04", integrations=("by_sftp", "without_rename", "by_share")
            ),
            Watch(),
        )
        assert len(tried) == number
        refused = [o for o in found if o.delivery.integration != "by_share"]
        assert {(o.code, o.message) for o in refused} == {(ExitCode.DESTINATION, "the password has expired")}
        assert len(refused) == 4


def test_a_redelivery_is_asked_for_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run again because one client's failed, it goes on for that one; the others get no second copy."""
    run(project)
    upload = LocalDirectory.upload
    asked = {"redeliver": True, "reason": "columns were wrong"}
    with monkeypatch.context() as patched:

        def fail(self: LocalDirectory, *arguments: Any) -> None:
            if "cedar_books" in self.describe():
                raise RuntimeError
            upload(self, *arguments)

        patched.setattr(LocalDirectory, "upload", fail)
        first = run(project, **asked)
    assert [o.state for o in first.values()] == ["delivered", "delivered", "failed"]
    again = run(project, **asked)
    assert [(o.state, o.delivery.revision) for o in again.values()] == [
        ("already delivered", 1),
        ("already delivered", 1),
        ("delivered", 1),
    ]
    assert {o.state for o in run(project, **asked).values()} == {"already delivered"}
    assert len(arrived(project)) == 2 * len(SHARES)
    other = run(project, redeliver=True, reason="the client lost it")
    assert {(o.state, o.delivery.revision) for o in other.values()} == {("delivered", 2)}
    assert {o.delivery.revision for o in run(project, **asked).values()} == {2}, "an older reason sends nothing either"
    assert len(arrived(project)) == 3 * len(SHARES)


def test_what_had_not_left_is_what_is_asked_for_again(project: Project) -> None:
    """Of a window that never went to one client the first delivery leaves, once for the same words."""
    asked = {"redeliver": True, "reason": "columns were wrong"}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(LocalDirectory, "upload", fails)
        assert {o.state for o in run(project).values()} == {"failed"}
    for state in ("delivered", "already delivered"):
        assert {(o.state, o.delivery.revision) for o in run(project, **asked).values()} == {(state, 0)}
    assert len(arrived(project)) == len(SHARES)


@pytest.mark.parametrize("spooled", [True, False])
def test_all_is_sent_again_in_place_of_a_correction_that_had_not_left(project: Project, *, spooled: bool) -> None:
    run(project)
    build(project, late("late1", 1))
    with pytest.MonkeyPatch.context() as patched:
        if spooled:
            patched.setattr(LocalDirectory, "upload", fails)
        else:
            patched.setattr(Spool, "write", fails)
        (o,) = [o for o in runner.run(project, Request(at=AT, window=DAY, integrations=SHARES), Watch()) if o.code]
    assert (o.delivery.revision, o.delivery.corrects is None) == (1, False)
    asked = Request(at=AT, window=DAY, integrations=("by_share",), redeliver=True, reason="the client lost it")
    for state in ("delivered", "already delivered"):
        (o,) = runner.run(project, asked, Watch())
        assert (o.state, o.delivery.revision, o.delivery.rows) == (state, 1, ROWS + 1)
    text = (project.share / "acme_outdoor" / "inbox" / f"daily_{DAY}_r1.csv.manifest.json").read_text()
    assert "correction" not in json.loads(text)


def fails(*_: Any, **__: Any) -> None:
    raise RuntimeError


@contextmanager
def only_data() -> Iterator[None]:
    """No manifest gets to a directory of this machine."""
    upload = LocalDirectory.upload

    def of_data(self: LocalDirectory, spool: Path, temp: str, progress: Any = None) -> None:
        if ".manifest.json" in temp:
            raise RuntimeError
        upload(self, spool, temp, progress)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(LocalDirectory, "upload", of_data)
        yield


def test_a_correction_of_which_a_part_went_is_not_what_is_sent_again(project: Project) -> None:
    run(project)
    build(project, late("late1", 1))
    with only_data():
        run(project)
    asked = Request(at=AT, window=DAY, integrations=("by_share",), redeliver=True, reason="the client lost it")
    ended = [
        (o.state, o.delivery.revision, o.delivery.rows) for _ in range(3) for o in runner.run(project, asked, Watch())
    ]
    assert ended == [("delivered", 1, 1), ("delivered", 2, ROWS + 1), ("already delivered", 2, ROWS + 1)]


MOVED = "  by_share:\n    vendor_name: Acme\n    namespace: acme_outdoor\n    directory: "


def move(project: Project) -> None:
    path = project.integrations_file
    path.write_text(path.read_text().replace(f"{MOVED}inbox", f"{MOVED}outbox"))


@pytest.mark.parametrize("stands", ["planned", "spooled"])
def test_a_delivery_lies_where_the_ledger_says(project: Project, stands: str) -> None:
    """Also when its integration led elsewhere as it was planned, or written."""
    with pytest.MonkeyPatch.context() as patched:
        of = (LocalDirectory, "upload") if stands == "spooled" else (Spool, "write")
        patched.setattr(*of, fails)
        assert {o.delivery.state for o in run(project).values()} == {stands}
    move(project)
    assert {o.state for o in run(project).values()} == {"delivered"}
    with closing(Ledger(project.ledger_url)) as ledger:
        for row in ledger.find():
            box = "outbox" if row.namespace == "acme_outdoor" else "inbox"
            assert {row.destination, *(file.destination for file in ledger.files(row.id))} == {
                str(project.share / row.namespace / box)
            }
            assert (project.share / row.namespace / box / f"daily_{DAY}.csv.manifest.json").exists()


def test_no_delivery_lies_in_two_places(project: Project) -> None:
    """A part of it went; then its integration leads elsewhere: a person decides, and the others' leave."""
    with only_data():
        assert {o.state for o in run(project).values()} == {"failed"}
    move(project)
    found = run(project)
    held = found.pop("by_share")
    assert (held.state, held.code) == ("held", ExitCode.FAILED)
    assert str(project.share / "acme_outdoor" / "inbox") in held.message
    assert str(project.share / "acme_outdoor" / "outbox") in held.message
    assert {o.state for o in found.values()} == {"delivered"}
    assert not list((project.share / "acme_outdoor").rglob("*.manifest.json"))


def test_a_plan_touches_nothing(project: Project) -> None:
    """Neither before there is a ledger, nor while another writes to it, nor what was kept of windows that were sent."""
    request = Request(at=AT, window=DAY, integrations=SHARES)
    assert len(planner.plan(project, request)) == 3
    assert not project.state.exists()
    run(project)
    for old in (project.state / "sent").iterdir():
        os.utime(old, (time.time() - 15 * 86400,) * 2)
        break
    before = kept(project.state)
    with closing(Ledger(project.ledger_url)) as ledger, ledger.storage.begin():
        assert {one.state for one in planner.plan(project, request)} == {"delivered"}
    assert {name: kept(project.state)[name] for name in before if "ledger" not in name} == {
        name: value for name, value in before.items() if "ledger" not in name
    }
    before = kept(project.state)
    planner.plan(project, request)
    assert kept(project.state) == before
    with closing(Ledger.to_read(project.ledger_url)) as ledger, pytest.raises(Exception, match=r"readonly"):
        ledger.note("a" * 64, "written")


def test_what_was_kept_of_one_window_stops_no_other(project: Project) -> None:
    """No longer to be read: only what it concerns is said to be in need of a person."""
    run(project)
    with closing(Ledger(project.ledger_url)) as ledger:
        keys = {row.integration: row.id for row in ledger.find()}
    sent = project.state / "sent"
    (sent / f"{keys['share_of_cedar_books']}.parquet").write_bytes(b"PAR1 no more")
    for _ in range(2):
        found = run(project)
        assert found["by_share"].state == found["share_of_brightside_beauty"].state == "already delivered"
        assert (found["share_of_cedar_books"].state, found["share_of_cedar_books"].code) == ("failed", ExitCode.FAILED)
    anew = run(project, redeliver=True, reason="what was sent is not known", integrations=("share_of_cedar_books",))
    assert anew["share_of_cedar_books"].state == "delivered"
    assert {o.state for o in run(project).values()} == {"already delivered"}


def test_a_state_directory_that_was_lost_is_said(project: Project) -> None:
    """By what runs unattended; nothing of the past leaves before a person decided."""
    due = {"window": None, "due": True}
    assert {o.state for o in run(project, **due).values()} == {"delivered"}
    collected = arrived(project)
    shutil.rmtree(project.share)
    shutil.rmtree(project.state)
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"ledger\.sqlite is new.* is gone, or was emptied"):
            planner.plan(project, Request(at=AT, due=True))
        with pytest.raises(ConfigError, match="is gone, or was emptied") as refused:
            run(project, **due)
        assert "delivery ledger adopt" in refused.value.hint
        asked = {
            ("status",): ExitCode.DONE,
            ("status", "--gaps"): ExitCode.USAGE,
            ("status", "--prometheus"): ExitCode.USAGE,
            ("ledger", "check"): ExitCode.FAILED,
        }
        for command, code in asked.items():
            env = {"DELIVERY_STATE": str(project.state), "DELIVERY_LEDGER": project.ledger_url}
            said = CliRunner(env=env).invoke(cli, ["--project-dir", str(project.root), *command])
            assert (said.exit_code, "is gone, or was emptied" in said.stderr + said.stdout) == (code, True)
    assert not project.share.exists()
    adopt(project, "the disk was lost")
    assert {(o.state, o.delivery.note[:20]) for o in run(project, **due).values()} == {("held", "The ledger was lost ")}
    assert not arrived(project)
    assert collected


def test_a_first_run_is_no_lost_one(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it died before anything was on record, and its state directory was removed."""
    monkeypatch.setattr(Ledger, "plan", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(project, window=None, due=True)
    monkeypatch.undo()
    shutil.rmtree(project.state)
    assert {o.state for o in run(project, window=None, due=True).values()} == {"delivered"}


def test_names_that_are_taken_are_foreseen(project: Project) -> None:
    """A name that is sent again and again: held the second day, and planned to be."""
    path = project.integrations_file
    path.write_text(path.read_text().replace("  by_share:\n", "  by_share:\n    file_name: latest\n"))
    run(project)
    next_day = {"window": "2026-11-02", "integrations": ("by_share", "share_of_cedar_books")}
    planned = {one.title: one.taken for one in planner.plan(project, Request(at=AT, **next_day))}
    assert [bool(taken) for taken in planned.values()] == [True, False]
    assert "latest.csv already lies in" in next(iter(planned.values()))
    assert [o.state for o in run(project, **next_day).values()] == ["held", "delivered"]
    path.write_text(
        path.read_text().replace("    file_name: latest\n", "    file_name: latest\n    existing: replace\n")
    )
    asked = {"integrations": ("by_share",)}
    (earlier,) = planner.plan(project, Request(at=AT, window="2026-11-01", **asked))
    assert "latest.csv already lies in" in earlier.taken, "it is of a later slot"
    (later,) = planner.plan(project, Request(at=AT + timedelta(days=1), window="2026-11-04", **asked))
    assert later.taken == ""


@pytest.mark.parametrize("ahead", [timedelta(minutes=2), timedelta(days=31)])
def test_an_instant_that_has_not_come_is_refused(project: Project, ahead: timedelta) -> None:
    at = (datetime.now(UTC) + ahead).isoformat()
    for command in ("run", "plan"):
        said = CliRunner().invoke(cli, ["--project-dir", str(project.root), command, "--due", "--at", at])
        assert (said.exit_code, "has not come" in said.stderr) == (ExitCode.USAGE, True)

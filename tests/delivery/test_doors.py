"""Proving the share: what `check` sees at a door that is as it should be, and at each that is not."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
import yaml
from paramiko import Transport
from servers import PASSWORD
from share_here import Doors, doors
from share_world import call, made
from small_project import INTEGRATIONS

from delivery.errors import ConfigError, DeliveryError, DestinationFailed, ExitCode, LoginRefused
from delivery.share.check import Proof, check
from delivery.share.check import _figures as figures_of
from delivery.share.config import run_folder
from delivery.share.doors import CHUNK_BYTES, Web, open_door
from delivery.share.users import User, Users, new_user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MINE, OTHERS, NEW = "acme_outdoor", "brightside_beauty", "cedar_books"
USER = {"acme_it": User("acme_it", (MINE, "not_there_yet"))}
FILE = {"rows": 1, "plain_sha256": "", "bytes": 1}
WHAT = ["own folders", "own files whole", "nothing of others", "no change", "nothing hidden"]
LOGGED = "in the log"


def manifest(folder: Path, day: str, *names: str, sha256: str = "") -> Path:
    """Of a delivery whose files hold their names, newer than those of earlier days."""
    from hashlib import sha256 as of

    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(name)
    said = {
        **dict.fromkeys(("delivery", "campaign", "integration", "namespace", "dataset", "slot"), ""),
        "window": None,
        "revision": 0,
        "columns": [],
        "file_format": {},
        "dbt_invocation_id": None,
        "files": [FILE | {"name": name, "sha256": sha256 or of(name.encode()).hexdigest()} for name in names],
    }
    path = folder / f"{names[0]}.manifest.json"
    path.write_text(json.dumps(said))
    os.utime(path, (int(day), int(day)))
    return path


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A share of two clients with deliveries, one of them split, and one without."""
    share = tmp_path / "files"
    manifest(share / MINE / "in box", "1", "a & b%25.csv")
    manifest(share / MINE / "in box", "3", "new 1.csv", "new 2.csv")
    manifest(share / MINE / "in box", "2", "gone.csv", sha256="0" * 64)  # not the newest: nobody asks for it
    manifest(share / OTHERS / "in box", "1", "other.csv")
    (share / NEW).mkdir()
    (share / "not a folder.txt").touch()
    hidden = manifest(share / MINE, "9", "half.csv", sha256="0" * 64)
    hidden.rename(hidden.with_name(".half.csv.manifest.json"))
    broken = share / MINE / "broken.csv.manifest.json"
    broken.write_text("{")
    os.utime(broken, (8, 8))
    return share


@pytest.fixture
def here(tmp_path: Path, files: Path) -> Iterator[Doors]:
    """Both doors, which show one client's folder alone."""
    with doors(tmp_path) as opened:
        shutil.copytree(files / MINE, opened.shown / MINE)
        yield opened


def problems(here: Doors, files: Path, password: str = PASSWORD) -> dict[tuple[str, str], str]:
    """What is wrong, by door and by what was tried."""
    proofs = check(here.share, files, USER, {"acme_it": password})
    assert proofs[0] == Proof("", "", "no links on the share", proofs[0].problem)
    tried = [(proof.user, proof.door, proof.what) for proof in proofs[1:]]
    if password == PASSWORD and not here.page:
        wrong = {proof.door for proof in proofs if proof.problem and proof.what == "own files whole"}
        logged = [("acme_it", door, LOGGED) for door in ("page", "sftp") if door not in wrong]
        assert tried == [("acme_it", door, what) for door in ("page", "sftp") for what in WHAT] + logged
    return {(proof.door, proof.what): proof.problem for proof in proofs if proof.problem}


def at_both(what: str, problem: str) -> dict[tuple[str, str], str]:
    return {(door, what): problem for door in ("page", "sftp")}


def test_what_is_as_it_should_be(here: Doors, files: Path) -> None:
    before = sorted(here.shown.rglob("*"))
    assert problems(here, files) == {}
    assert sorted(here.shown.rglob("*")) == before


def test_what_is_not(here: Doors, files: Path) -> None:
    """One after the other: each is told of both doors, with where it was seen, and nothing else is."""
    own = here.shown / MINE / "in box"
    path = f"/{MINE}/in box/new 2.csv"
    (own / "new 2.csv").write_text("new 3.csv")
    assert problems(here, files) == at_both("own files whole", f"not as its manifest says: {path}")
    (own / "new 2.csv").unlink()
    assert problems(here, files) == at_both("own files whole", f"not as its manifest says: {path}")
    (own / "new 2.csv").write_text("new 2.csv")

    shutil.copytree(files / OTHERS, here.shown / OTHERS)
    open_, seen = f"could be read: /{OTHERS}/", f"sees {MINE}, {OTHERS} instead of {MINE}"
    assert problems(here, files) == at_both("nothing of others", open_) | at_both("own folders", seen)
    shutil.rmtree(here.shown / OTHERS)

    (files / MINE / "link").symlink_to("/etc")
    linked = {("", "no links on the share"): f"{files / MINE / 'link'} is one; remove it, or set `view`"}
    assert problems(here, files) == linked
    viewed = here.share.model_copy(update={"view": files})
    assert not [proof for proof in check(viewed, files, USER, {"acme_it": PASSWORD}) if proof.problem]
    (files / MINE / "link").unlink()

    (here.shown / MINE).rename(here.shown.parent / "elsewhere")
    found = problems(here, files)
    assert found == at_both("own folders", f"sees nothing instead of {MINE}") | at_both(
        "own files whole", f"not as its manifest says: /{MINE}/in box/new 1.csv"
    )


def test_names_that_nobody_is_to_see_and_logs_that_say_nothing(
    here: Doors, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Doors that show all that lies there; one that writes nothing down; a share that cannot be written to."""
    monkeypatch.setattr("delivery.share.check.LOG_SECONDS", 0.3)
    before = sorted(here.shown.rglob("*"))
    found = problems(here, here.shown)
    for door in ("page", "sftp"):
        assert re.fullmatch(
            r"shown: (\.probe_\w{8}), (probe_\w{8}\.part), \1 by its name, \2 by its name",
            found.pop((door, "nothing hidden")),
        )
    assert found == {}
    assert sorted(here.shown.rglob("*")) == before, "they are gone again"
    here.logs = {"page"}
    silent = f"no new line in {run_folder(here.share)} tells of what was fetched"
    assert problems(here, here.shown)["sftp", LOGGED] == silent
    here.logs = {"sftp"}
    found = problems(here, here.shown)
    assert (found["page", LOGGED], ("sftp", LOGGED) in found) == (silent, False)

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("delivery.share.check.os.fchmod", refused)
    said = "could not be tried, no file could be made: Permission denied; run it as the user who delivers"
    assert {problem for key, problem in problems(here, here.shown).items() if key[1] == "nothing hidden"} == {said}
    assert sorted(here.shown.rglob("*")) == before


def test_figures_of_the_own_clients_and_nothing_of_others(here: Doors, files: Path) -> None:
    """With rows, or in no contract; the page may be down, behind, or tell one of another's client by its answer."""
    share = here.share.model_copy(update={"analytics_port": 8502})

    with open_door("page", share, here.host_key, "acme_it", PASSWORD) as page:
        assert isinstance(page, Web)

        def problems(**figures: tuple[int, bytes]) -> dict[str, str]:
            here.figures = figures
            found = {proof.what: proof.problem for proof in figures_of(page, USER["acme_it"], {MINE, OTHERS, NEW})}
            assert found.keys() == {"own figures", "nothing of others"}
            return {what: problem for what, problem in found.items() if problem}

        rows = (200, b"day,clicks\r\n")
        assert problems(**{MINE: rows}) == {}
        assert problems(**{MINE: (404, b"in no contract")}) == {}
        assert problems() == {"own figures": f"of {MINE}: 404 later"}
        assert problems(**{MINE: (503, b"<h1>later</h1>")}) == {"own figures": f"of {MINE}: 503"}
        assert problems(**{MINE: rows, OTHERS: rows}) == {"nothing of others": f"another answer of {OTHERS}"}
        assert problems(**{MINE: rows, OTHERS: (404, b"in no contract")}) == {
            "nothing of others": f"another answer of {OTHERS}"
        }

    for doors_of, told in ((here.share, []), (share, ["own figures", "nothing of others"])):
        proofs = check(doors_of, files, USER, {"acme_it": PASSWORD})
        assert [proof.what for proof in proofs if proof.door == "figures"] == told


def test_each_change_that_is_not_refused(here: Doors, files: Path) -> None:
    """By its name; what can be put back is."""
    own, before = here.shown / MINE / "in box", {path: path.stat().st_mode for path in here.shown.rglob("*.csv")}
    path, new = f"/{MINE}/in box/new 1.csv", f"/{MINE}/in box/probe"
    for kind, ways in (
        ("page", ("PUT", "POST", "MKCOL", "DELETE", "MOVE", "PATCH")),
        ("sftp", ("write", "mkdir", "rename", "chmod")),
    ):
        with open_door(kind, here.share, here.host_key, "acme_it", PASSWORD) as door:
            for way in ways:
                here.open_to = {way}
                assert door.changes(path, new) == [way]
                for made in own.glob("probe*"):
                    made.rmdir() if made.is_dir() else made.unlink()
    assert {path.name for path in here.shown.rglob("*.csv")} == {path.name for path in before}
    here.open_to = {"write", "remove", "PUT", "MKCOL"}
    assert problems(here, files) == {
        ("sftp", "no change"): "not refused: write, remove",
        ("page", "no change"): "not refused: PUT, MKCOL, PUT at another's, MKCOL at another's",
    }
    (here.shown / OTHERS).mkdir()
    (here.shown / OTHERS / "in box").mkdir()
    found = problems(here, files)["sftp", "no change"]
    assert found == "not refused: write, remove, write at another's, remove at another's"
    assert not list(own.glob("probe*"))


def test_who_is_not_let_in(here: Doors, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each door says so; a page that cannot be asked, or that has another certificate, proves nothing."""
    found = problems(here, files, "another password")
    assert found.keys() == {("page", "log in"), ("sftp", "log in")}
    assert found["page", "log in"].endswith(": the page does not let acme_it in (401).")
    monkeypatch.setattr("delivery.share.doors.SECONDS", 0.5)
    of = here.share, here.host_key, "acme_it"
    for page, said in (
        ("rootless", "The page does not show the root (403)."),
        ("no http", "The page cannot be asked: what is this\r\n."),
        ("silent", "The page cannot be asked: The read operation timed out."),
    ):
        here.page = page
        with pytest.raises(DeliveryError) as failed, open_door("page", *of, PASSWORD) as door:
            door.folders()
        assert failed.value.message == said
    here.page = ""
    unknown = here.share.model_copy(update={"certificate": files / "none.pem"})
    with pytest.raises(DestinationFailed, match=r"The page cannot be asked: .*certificate verify failed"):
        open_door("page", unknown, here.host_key, "acme_it", PASSWORD)
    # Behind a proxy of this machine its name leads to the proxy: it is asked here, and must prove that name.
    behind = here.share.model_copy(update={"host": "files.example.com", "proxy": ip_address("127.0.0.1")})
    with pytest.raises(DestinationFailed, match=r"certificate is not valid for 'files\.example\.com'"):
        open_door("page", behind, here.host_key, "acme_it", PASSWORD)
    with open_door("page", behind.model_copy(update={"host": "localhost"}), here.host_key, "acme_it", PASSWORD) as door:
        assert door.folders() == {MINE}
    for kind, port in (("page", "web_port"), ("sftp", "sftp_port")):
        nobody = here.share.model_copy(update={port: 1})
        with pytest.raises(DestinationFailed):
            open_door(kind, nobody, here.host_key, "acme_it", PASSWORD)
        with pytest.raises(LoginRefused):
            open_door(kind, *of, "another password")
    del failed  # which has a connection in its hand
    assert left_open(here) == (0, [])


def test_a_file_of_several_reads_is_whole_at_both_doors(here: Doors) -> None:
    from hashlib import sha256

    content = os.urandom(CHUNK_BYTES + 7)
    (here.shown / MINE / "large.bin").write_bytes(content)
    (here.shown / MINE / "many").mkdir()
    many = {f"{number:0240}" for number in range(CHUNK_BYTES // 450)}  # their links are longer than one read
    for name in many:
        (here.shown / MINE / "many" / name).touch()
    for kind in ("page", "sftp"):
        with open_door(kind, here.share, here.host_key, "acme_it", PASSWORD) as door:
            assert door.name == kind
            assert door.folders() == {MINE}
            assert door.fetch(f"/{MINE}/large.bin") == sha256(content).hexdigest()
            assert door.fetch(f"/{MINE}/none.bin") is None
            assert door.names(f"/{MINE}/many") == many
            assert door.names(f"/{MINE}/none") == set()
    assert left_open(here) == (0, [])


def left_open(here: Doors) -> tuple[int, list[threading.Thread]]:
    """Connections to the page and threads of SFTP, once what ends by itself has ended."""
    for _ in range(100):
        left = [one for one in threading.enumerate() if one.name == "delivery-watchdog" or isinstance(one, Transport)]
        if not here.connections and not left:
            break
        time.sleep(0.02)
    return here.connections, left


def test_the_command_asks_for_each_password_and_shows_what_was_proven(
    here: Doors, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who has a key alone is named, and not checked; what we fetched ourselves is nobody's download."""
    project = made(tmp_path / "project")
    project.integrations_file.write_text(
        f"{INTEGRATIONS}\n{yaml.safe_dump({'share': here.share.model_dump(mode='json', exclude_none=True)})}"
    )
    monkeypatch.setenv("DELIVERY_SHARE", str(files))
    users = Users.of(here.share)
    users.put(new_user("acme_it", [MINE], [MINE], PASSWORD, ()))
    users.put(new_user("robot", [MINE], [MINE], "", [here.host_key]))
    done = call(project, "check", typed=f"{PASSWORD}\n")
    seen = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert seen == [
        "user door what result",
        "no links on the share proven",
        *(f"acme_it {door} {what} proven" for door in ("page", "sftp") for what in WHAT),
        *(f"acme_it {door} {LOGGED} proven" for door in ("page", "sftp")),
    ]
    assert (done.exit_code, done.stderr) == (ExitCode.DONE, "robot has no password, and was not checked.\n")
    wrong = call(project, "check", "--json", typed="another password\n")
    assert wrong.exit_code == ExitCode.FAILED
    assert [(one["door"], one["what"]) for one in json.loads(wrong.stdout)["proofs"] if one["problem"]] == [
        ("page", "log in"),
        ("sftp", "log in"),
    ]


def test_a_server_that_has_not_run_yet_has_no_key(here: Doors, files: Path) -> None:
    (here.share.folder / "servers" / "host.key.pub").unlink()
    with pytest.raises(ConfigError, match="host key cannot be read: No such file") as failed:
        check(here.share, files, USER, {})
    assert "docs/share.md" in failed.value.hint

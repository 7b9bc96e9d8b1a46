"""The share's two doors, seen from outside: who sees what, in which ways, and that nothing else is to be had.

SCREENSHOTS=docs/images keeps the picture that the docs show.
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from http.cookiejar import MozillaCookieJar
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import paramiko
import pytest
from axe_playwright_python.sync_playwright import Axe
from click.testing import CliRunner
from share_world import (
    NAME,
    ODD_NAMES,
    PASSWORDS,
    PROVEN,
    SCREENSHOTS,
    SEES,
    VENDOR,
    Visitor,
    World,
    call,
    hosted,
    world_of,
)
from small_project import AT, CLIENTS, DAY, canary

from delivery import run as runner
from delivery.cli import cli
from delivery.config.integrations_file import Integrations
from delivery.errors import ExitCode
from delivery.files.disk import hash_file
from delivery.files.manifest import DeliveryManifest
from delivery.ledger import Ledger
from delivery.ledger.fetches import fetches_of
from delivery.operations.retention import prune
from delivery.progress import Watch
from delivery.schedule.request import Request
from delivery.share import config
from delivery.share.users import Users, new_user
from delivery.transfer.descriptions import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with world_of() as opened:
        inbox = opened.file(CLIENTS[0]).parent
        (inbox / ".hidden").mkdir(mode=0o750)
        (inbox / "tmp.part").mkdir(mode=0o750)
        for name in (*ODD_NAMES, ".dot.csv", ".x.csv.12345678.part", "y.part", ".hidden/in.csv", "tmp.part/in.csv"):
            (inbox / name).write_text(f"{name}\n")
        for path in (inbox, *inbox.rglob("*")):
            shutil.chown(path, group=opened.project.share.stat().st_gid)
            path.chmod(0o2750 if path.is_dir() else 0o640)
        yield opened


def visitor(world: World, tmp_path: Path, user: str, source: str = "127.0.0.1") -> Visitor:
    found = Visitor(world, tmp_path / f"jar-{user}", source)
    assert found.log_in(user) == 302
    return found


@pytest.mark.slow
@pytest.mark.parametrize("user", PASSWORDS)
def test_each_user_sees_the_own_folders_and_nothing_of_others(world: World, tmp_path: Path, user: str) -> None:
    """Users x doors x folders; what is another's gives the same answer as what there is not."""
    if PASSWORDS[user]:
        page = visitor(world, tmp_path, user)
        status, root = page.ask("/")
        assert (status, set(re.findall(r'<td><a href="([^"]+)/">', root.decode()))) == (200, SEES[user])
        nothing = page.ask("/no_such_client/")
        for client in CLIENTS:
            wanted = world.file(client)
            got = page.ask(f"/{client}/inbox/{NAME}")
            listing = page.ask(f"/{client}/inbox/")
            if client in SEES[user]:
                assert (got[0], hashlib.sha256(got[1]).hexdigest()) == (200, hash_file(wanted))
                assert NAME.encode() in listing[1]
            else:
                assert got == listing == page.ask(f"/{client}/") == page.ask(f"/{client}") == nothing
                assert nothing[0] == 404
            for asked in ("", "/", "/inbox", "/inbox/", f"/inbox/{NAME}.manifest.json"):
                told = page.ask(f"/{client}{asked}")[1]
                assert not [other for other in set(CLIENTS) - SEES[user] if canary(other).encode() in told]
    gets = [f'get "/{client}/inbox/{NAME}" "{tmp_path / client}"' for client in CLIENTS]
    said = world.sftp(user, "ls -1 /", "ls -1a", *gets)
    for client in CLIENTS:
        seen = client in SEES[user]
        assert bool(re.search(rf"^/?{client}\s*$", said, re.MULTILINE)) is seen, said
        assert (tmp_path / client).exists() is seen
        if seen:
            assert hash_file(tmp_path / client) == hash_file(world.file(client))


def ways_by_page(client: str, own: str) -> list[str]:
    """Paths that mean, or may be taken to mean, another client's folder, its file or what is said of them."""
    path = f"/{client}/inbox/{NAME}"
    return [
        f"/{client}", f"/{client}/", f"/{client}/inbox", f"/{client}/inbox/", f"/{client}/inbox/?C=N;O=D", path,
        f"{path}.manifest.json", f"{path}/", f"{path}%00", f"/{client}/inbox/.htaccess", f"/{path}", f"/.{path}",
        f"/{client.upper()}/inbox/{NAME}", f"/{client}%2finbox%2f{NAME}", f"/{client};/inbox/{NAME}",
        f"/{client}./inbox/{NAME}", "/" + "".join(f"%{byte:02x}" for byte in path[1:].encode()), f"/no/..{path}",
        f"/.page/..{path}", f"/log-out/..{path}", f"/{own}/inbox/{NAME}/../../..{path}",
        *(f"/{own}/{dots}{path}" for dots in DOTS),
    ]  # fmt: skip


FORGED = [
    "X-Original-URL: {path}", "X-Rewrite-URL: {path}", "X-Forwarded-User: {user}", "X-Share-User: {user}",
    "Remote-User: {user}", "Authorization: Basic eDp5", "Forwarded: for=127.0.0.1;host={client}", "Host: {client}",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("user", PASSWORDS)
def test_nobody_sees_anything_of_another_by_any_way_in(world: World, tmp_path: Path, user: str) -> None:
    """Users x doors x ways: each is refused, and nothing that only the other's files hold comes on the wire."""
    sees = sorted(SEES[user])
    others = [client for client in CLIENTS if client not in sees]
    assert others
    for client in others:
        path = f"/{client}/inbox/{NAME}"
        assert canary(client).encode() in world.file(client).read_bytes()
        if PASSWORDS[user]:
            page, asked = visitor(world, tmp_path, user), ways_by_page(client, sees[0])
            for way, (status, body) in zip(asked, page.ask_all(asked), strict=True):
                assert (status in (400, 404), canary(client).encode() in body) == (True, False), (user, way)
            its = next(name for name in SEES if client in SEES[name]) if client != CLIENTS[2] else "cedar_it"
            headers = [part for line in FORGED for part in ("-H", line.format(path=path, user=its, client=client))]
            for way in (("-r", "0-99"), ("-I",), ("-X", "OPTIONS"), headers, ("-H", f"Referer: {world.url}{path}")):
                status, body = page.ask(path, *way)
                assert status in (400, 401, 404, 405, 421), (user, way)
                assert canary(client).encode() not in body
            assert canary(client).encode() not in page.ask("/", *headers)[1]
        own, got = f"/{sees[0]}/inbox", tmp_path / client
        got.mkdir()
        outs = [
            path, f"{client}/inbox/{NAME}", f"..{path}", f"/..{path}", f"{own}/..{path}", f"{own}/../..{path}",
            f"{own}/./../../{client}/./inbox/{NAME}", f"{world.file(client)}", f"/proc/self/root{world.file(client)}",
            f"/../../../../../..{world.file(client)}", f"~{path}", f"{own}/%2e%2e/%2e%2e{path}",
            f"{path}.manifest.json",
        ]  # fmt: skip
        said = world.sftp(
            user,
            *(f"get {out} {got / str(number)}" for number, out in enumerate(outs)),
            *(f"ls -la {out}" for out in (f"/{client}", f"/{client}/inbox", f"{own}/../..", f"/../{client}", "/")),
            f"cd /{client}", "ls", f"get inbox/{NAME} {got / 'cd'}", f"df /{client}",
        )  # fmt: skip
        assert said.startswith("0\n"), said
        lists = [line for line in said.splitlines() if not line.startswith(("sftp>", "File", "Can't", "realpath"))]
        assert not [line for line in lists if NAME in line or client in line]
        assert not [file for file in got.iterdir() if file.stat().st_size]


SESSIONS = 25  # of SFTP at once, each from an address of its own
DOTS = (
    "..", "%2e%2e", "%252e%252e", ".%2e", "..;", "%c0%ae%c0%ae", "%u002e%u002e", "....", "..%00", "\uff0e\uff0e",
)  # fmt: skip
OUT = [
    f"/{CLIENTS[0]}/{dots}{slash}{CLIENTS[1]}{slash}inbox{slash}{NAME}"
    for dots in DOTS
    for slash in ("/", "%2f", "%5c", "\\", "//")
]


def answer(page: Visitor, tmp_path: Path, path: str) -> tuple[int, str, bytes]:
    """Status, headers without the time, and body."""
    status, body = page.ask(path, "-D", str(tmp_path / "head"))
    return status, re.sub(r"Date: .*", "", (tmp_path / "head").read_text()), body


@pytest.mark.slow
def test_no_way_of_writing_a_path_leads_out(world: World, tmp_path: Path) -> None:
    """By the page: dots and slashes in every spelling, hidden and temporary names, links. Nothing of another comes."""
    page = visitor(world, tmp_path, "acme_it")
    link = world.file(CLIENTS[0], "link")
    hidden = (
        ".dot.csv",
        ".x.csv.12345678.part",
        "y.part",
        ".hidden/in.csv",
        ".hidden/",
        "tmp.part/in.csv",
        "tmp.part/",
    )
    try:
        nothing = answer(page, tmp_path, f"/{CLIENTS[0]}/inbox/nothing")
        for target in (f"../../{CLIENTS[1]}", "/etc", "/", ".", "..", "gone", f"../../{CLIENTS[1]}/inbox/{NAME}", NAME):
            link.symlink_to(target)
            for below in ("", "/", "/inbox/", f"/inbox/{NAME}", "/passwd"):
                assert answer(page, tmp_path, f"/{CLIENTS[0]}/inbox/link{below}") == nothing, (target, below)
            assert b'href="link' not in page.ask(f"/{CLIENTS[0]}/inbox/")[1]
            link.unlink()
        assert nothing[0] == 404
    finally:
        link.unlink(missing_ok=True)
    for path in OUT:
        status, body = page.ask(path)
        assert status in (400, 404), path
        assert canary(CLIENTS[1]).encode() not in body, path
    listing = page.ask(f"/{CLIENTS[0]}/inbox/")[1].decode()
    for name in hidden:
        assert answer(page, tmp_path, f"/{CLIENTS[0]}/inbox/{name}") == nothing, name
        assert name not in listing
    for path in (
        "/.share/users/passwd",
        "/../.share/users/passwd",
        "/.page/",
        "/.page/../.share/users/passwd",
        "/.htaccess",
    ):
        status, body = page.ask(path)
        assert (status in (400, 404), b"$2y$" in body) == (True, False), path


@pytest.mark.slow
def test_odd_names_are_shown_as_text_and_fetched(world: World, tmp_path: Path) -> None:
    page = visitor(world, tmp_path, "acme_it")
    listing = page.ask(f"/{CLIENTS[0]}/inbox/")[1].decode()
    assert "<script>" not in listing
    for number, name in enumerate(ODD_NAMES):
        assert page.ask(f"/{CLIENTS[0]}/inbox/{quote(name)}") == (200, f"{name}\n".encode()), name
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        world.sftp("robot", f'get "/{CLIENTS[0]}/inbox/{escaped}" "{tmp_path / str(number)}"')
        assert (tmp_path / str(number)).read_text() == f"{name}\n"
    head = page.ask("/", "-D", str(tmp_path / "head"))
    assert head[0] == 200
    for line in ("Strict-Transport-Security", "X-Content-Type-Options: nosniff", "default-src 'none'", "no-store"):
        assert line in (tmp_path / "head").read_text()


@pytest.mark.slow
def test_a_folder_is_called_what_it_is_called(world: World, tmp_path: Path) -> None:
    name = "ünï <b> & 100%25?"
    folder = world.file(CLIENTS[0]).parent / name
    folder.mkdir()
    _given(world, folder.parent)
    folder.chmod(0o2750)
    try:
        page = visitor(world, tmp_path, "acme_it").ask(f"/{CLIENTS[0]}//inbox/{quote(name)}/?C=N;O=A")[1].decode()
    finally:
        folder.rmdir()
    assert re.findall("Folder <code>(.*?)</code>", page) == [f"/{CLIENTS[0]}//inbox/{html.escape(name)}/"]


@pytest.mark.slow
def test_nothing_can_be_changed(world: World, tmp_path: Path) -> None:
    page, before = visitor(world, tmp_path, "acme_it"), _state(world.project.share)
    (tmp_path / "new").write_text("new")
    own = f"/{CLIENTS[0]}/inbox"
    for method in ("PUT", "DELETE", "MOVE", "COPY", "MKCOL", "PROPFIND", "PROPPATCH", "LOCK", "PATCH", "POST", "TRACE"):
        for path in (f"{own}/{NAME}", f"{own}/new", f"{own}/", "/", f"/{CLIENTS[1]}/inbox/new"):
            assert page.ask(path, "-X", method, "-d", "x", "-H", f"Destination: {own}/moved")[0] in (400, 405), method
    said = world.sftp(
        "robot",
        *(f"put {tmp_path / 'new'} {path}" for path in (f"{own}/new", f"{own}/{NAME}", "/new", f"{own}/.x.part")),
        f"rm {own}/{NAME}", f"rename {own}/{NAME} {own}/moved", f"mkdir {own}/folder", f"rmdir {own}",
        f"chmod 777 {own}/{NAME}", f"chown 0 {own}/{NAME}", f"ln {own}/{NAME} {own}/hard", f"ln -s /etc {own}/soft",
        f"reput {tmp_path / 'new'} {own}/{NAME}",
    )  # fmt: skip
    assert said.startswith("0\n"), said
    assert _state(world.project.share) == before


@pytest.mark.slow
def test_by_sftp_nothing_but_files_is_served(world: World) -> None:
    """No link is made or told, no command run, nothing forwarded; a key is its own user's."""
    path, before = f"/{CLIENTS[0]}/inbox/{NAME}", _state(world.project.share)
    link, key = world.file(CLIENTS[0], "link"), paramiko.Ed25519Key.from_private_key_file(str(world.keys / "robot"))

    def connected(user: str = "robot") -> paramiko.Transport:
        connection = paramiko.Transport(_connected(world, "127.0.0.22"))
        connection.connect(username=user, pkey=key)
        return connection

    with pytest.raises(paramiko.AuthenticationException):
        connected("acme_it")
    link.symlink_to(world.project.share)
    try:
        with connected() as connection:
            files: Any = paramiko.SFTPClient.from_transport(connection)
            for ask in (
                lambda: files.readlink(str(Path(path).with_name("link"))), lambda: files.symlink("/etc", f"{path}.x"),
                lambda: files.utime(path, (1, 1)), lambda: files.posix_rename(path, f"{path}.x"),
                lambda: files._request(200, b"hardlink@openssh.com", path.encode(), f"{path}.x".encode()),
                lambda: files._request(200, b"copy-file", path.encode(), f"{path}.x".encode(), 1),
                *(lambda mode=mode: files.open(path, mode) for mode in ("w", "a", "r+", "x")),
            ):  # fmt: skip
                with pytest.raises(OSError, match=r"denied|Failure|exists"):
                    ask()
            assert NAME in files.listdir(f"/{CLIENTS[0]}/inbox"), "and the connection goes on"
        asks: tuple[Callable[[paramiko.Transport], object], ...] = (
            lambda one: one.open_session().exec_command("id"), lambda one: one.open_session().invoke_shell(),
            lambda one: one.open_session().invoke_subsystem("netconf"), lambda one: one.open_session().get_pty(),
            lambda one: one.open_channel("direct-tcpip", ("127.0.0.1", 22), ("127.0.0.1", 1)),
            lambda one: one.request_port_forward("127.0.0.1", 0),
        )  # fmt: skip
        for asked in asks:
            with connected() as connection, pytest.raises(paramiko.SSHException):
                asked(connection)
    finally:
        link.unlink()
    files_of = {name: state for name, state in _state(world.project.share).items() if Path(name).is_file()}
    assert files_of == {name: state for name, state in before.items() if Path(name).is_file()}


def _state(share: Path) -> dict[str, tuple[int, int, int, int]]:
    return {
        str(path): ((found := path.lstat()).st_ino, found.st_mtime_ns, found.st_size, found.st_mode)
        for path in share.rglob("*")
    }


@pytest.mark.slow
def test_by_sftp_no_path_leads_out(world: World, tmp_path: Path) -> None:
    names = (".dot.csv", ".x.csv.12345678.part", "y.part", ".hidden/in.csv", "tmp.part/in.csv")
    outs = ("/../../../etc/passwd", f"/{CLIENTS[0]}/../{CLIENTS[1]}/inbox/{NAME}", f"/{CLIENTS[1]}/inbox/{NAME}",
            f"{world.file(CLIENTS[1])}", f"/{CLIENTS[0]}/../../../share/{CLIENTS[1]}/inbox/{NAME}", "/etc/passwd",
            f"/{CLIENTS[0]}/inbox/../../../../../../etc/passwd", "/passwd")  # fmt: skip
    gets = [*outs, *(f"/{CLIENTS[0]}/inbox/{name}" for name in names)]
    said = world.sftp(
        "robot", *(f"get {path} {tmp_path / f'got{n}'}" for n, path in enumerate(gets)), f"ls -a /{CLIENTS[0]}/inbox"
    )
    got = {
        path for n, path in enumerate(gets) if (tmp_path / f"got{n}").exists() and (tmp_path / f"got{n}").stat().st_size
    }
    assert not got
    assert NAME in said
    assert not re.search(r"^/acme_outdoor/inbox/(\.|.*\.part\s*$)", said, re.MULTILINE)


@pytest.mark.slow
def test_through_a_view_no_link_leads_anywhere(tmp_path: Path) -> None:
    """ProFTPD follows links, and cannot be told not to; the kernel can."""
    if subprocess.run(["unshare", "--mount", "true"], check=False).returncode != 0:
        pytest.skip("nothing may be mounted here")
    with world_of(with_view=True) as world:
        inbox = world.file(CLIENTS[0]).parent
        for name, target in (("out", "/etc"), ("other", f"../../{CLIENTS[1]}"), ("file", world.file(CLIENTS[1]))):
            (inbox / name).symlink_to(target)
        ways = ("out/passwd", f"other/inbox/{NAME}", "file")
        gets = [f"get /{CLIENTS[0]}/inbox/{way} {tmp_path / f'got{n}'}" for n, way in enumerate(ways)]
        said = world.sftp(
            "acme_it", *gets, f"ls /{CLIENTS[0]}/inbox/out/", f"get /{CLIENTS[0]}/inbox/{NAME} {tmp_path / 'own'}"
        )
        assert [path.name for path in tmp_path.iterdir()] == ["own"], said
        assert "passwd" not in said.partition("sftp> -ls")[2].partition("sftp>")[0]
        typed = "".join(f"{PASSWORDS[user]}\n" for user in sorted(PASSWORDS) if PASSWORDS[user])
        assert call(world.project, "check", typed=typed).exit_code == 0


@pytest.mark.slow
def test_logins_logouts_and_sessions_end(world: World, tmp_path: Path) -> None:
    page = Visitor(world, tmp_path / "jar", source="127.0.0.20")
    status, body = page.ask("/")
    assert (status, b'name="httpd_password"' in body) == (401, True)
    assert page.ask(f"/{CLIENTS[0]}/") == page.ask("/no_such_client/") == (status, body), (
        "nothing is told before a login"
    )
    assert page.log_in("acme_it", "not the password") == 401
    assert b"do not go together" in page.ask("/log-in", "-d", "httpd_username=acme_it", "-d", "httpd_password=x")[1]
    assert page.log_in("acme_it") == 302
    cookie = next(line for line in page.jar.read_text().splitlines() if "__Host-share" in line)
    assert cookie.startswith("#HttpOnly_")
    assert cookie.split("\t")[3] == "TRUE", "sent over TLS only"
    assert page.ask("/")[0] == 200
    kept = page.jar.read_text()
    value = re.findall(r"__Host-share\t(\S+)", kept)[0]
    assert page.ask("/log-out")[0] in (302, 307)
    assert page.ask("/")[0] == 401
    page.jar.write_text(kept)
    assert page.ask("/")[0] == page.ask(f"/{CLIENTS[0]}/inbox/{NAME}")[0] == 401, "whoever copied the cookie"
    page.jar.write_text(kept.replace(value, f"{value[:-4]}{'0000' if value[-4:] != '0000' else '1111'}"))
    assert page.ask("/")[0] == 401, "a cookie that somebody changed"
    assert "acme_it" not in kept
    assert PASSWORDS["acme_it"] not in "".join(
        world.doors.log(name) for name in ("web.log", "web.json", "sftp.log", "sftp.transfers")
    )


@pytest.mark.slow
def test_who_is_removed_is_out_at_both_doors(world: World, tmp_path: Path) -> None:
    users = Users(world.project.root / ".share" / "users")
    kept = users.all()["bright_it"]
    page = visitor(world, tmp_path, "bright_it", source="127.0.0.21")
    assert page.ask("/")[0] == 200
    connected = paramiko.Transport(_connected(world, "127.0.0.21"))
    connected.connect(username="bright_it", password=PASSWORDS["bright_it"])
    files = paramiko.SFTPClient.from_transport(connected)
    assert files is not None
    assert files.listdir("/") == [CLIENTS[1]]
    try:
        assert call(world.project, "user", "remove", "bright_it").exit_code == 0
        _readable(world)
        with pytest.raises((OSError, EOFError, paramiko.SSHException)):
            files.listdir("/")
        assert page.ask("/")[0] == page.ask(f"/{CLIENTS[1]}/inbox/{NAME}")[0] == 401, "with the cookie that it has"
        assert page.log_in("bright_it") == 401
        assert world.sftp("bright_it", "ls /").startswith("255\n")
        users.put(new_user("bright_it", [CLIENTS[0]], CLIENTS, "a password of later", ()))
        _readable(world)
        assert page.ask("/")[0] == 401, "the cookie has the password of before"
        assert page.log_in("bright_it", "a password of later") == 302
        assert page.ask(f"/{CLIENTS[1]}/inbox/{NAME}")[0] == 404, "it sees another client's folder now"
    finally:
        users.put(kept)
        _readable(world)


def _readable(world: World) -> None:
    """Where we are root, the servers' group is not ours, and a folder of mode 2750 passes it on by itself."""
    folder = world.project.root / ".share" / "users"
    assert {path.stat().st_gid for path in folder.rglob("*")} == {world.project.share.stat().st_gid}


@pytest.mark.slow
def test_who_fails_too_often_is_locked_out_and_nobody_else(world: World, tmp_path: Path) -> None:
    guess = Visitor(world, tmp_path / "jar", source="127.0.0.9")
    assert [guess.log_in("bright_it", "wrong") for _ in range(7)] == [401] * 5 + [429] * 2
    assert guess.log_in("bright_it") == 429, "the right password, too"
    assert b"ten minutes" in guess.ask("/log-in", "-d", "httpd_username=a", "-d", "httpd_password=b")[1]
    visitor(world, tmp_path, "bright_it", source="127.0.0.10")

    for _ in range(2):  # on one connection each
        transport = paramiko.Transport(_connected(world, "127.0.0.9"))
        transport.start_client(timeout=20)
        with contextlib.suppress(paramiko.SSHException, EOFError):
            for _ in range(config.TRIES):
                with contextlib.suppress(paramiko.AuthenticationException):
                    transport.auth_password("acme_it", "wrong")
        transport.close()
    assert world.sftp("acme_it", "ls /", source="127.0.0.9").startswith("255\n")
    assert world.sftp("acme_it", "ls /", source="127.0.0.10").startswith("0\n")


def _connected(world: World, source: str) -> Any:
    return socket.create_connection(("127.0.0.1", world.doors.share.sftp_port), 20, source_address=(source, 0))


@pytest.mark.slow
def test_a_session_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "SESSION_SECONDS", 2)
    with world_of() as world:
        page = visitor(world, tmp_path, "acme_it")
        kept = page.jar.read_text()
        assert page.ask("/")[0] == 200
        time.sleep(3)
        page.jar.write_text(re.sub(r"\t\d{10}\t", "\t4102444800\t", kept))  # a client that keeps it all the same
        assert page.ask("/")[0] == 401


@pytest.mark.slow
def test_large_downloads_resume_and_many_go_at_once(world: World, tmp_path: Path) -> None:
    large = world.file(CLIENTS[0], "large.bin")
    with large.open("wb") as file:
        file.truncate(1 << 30)
        file.seek((1 << 29) + 5)
        file.write(os.urandom(1 << 20))
    shutil.chown(large, group=world.project.share.stat().st_gid)
    large.chmod(0o640)
    page = visitor(world, tmp_path, "acme_it")
    path, got = f"/{CLIENTS[0]}/inbox/large.bin", tmp_path / "large"
    slow: list[subprocess.Popen[bytes]] = []
    try:
        command = ["curl", "-sS", "-k", "-b", page.jar, "-o", got, world.url + path]
        assert subprocess.run([*command, "-r", f"0-{(1 << 29) + 9}"], check=False).returncode == 0
        assert got.stat().st_size == (1 << 29) + 10
        assert subprocess.run([*command, "-C", "-"], check=False).returncode == 0
        digest = hash_file(large)
        assert hash_file(got) == digest
        with got.open("r+b") as file:
            file.truncate((1 << 30) - (64 << 20))
        with world.sftp_begun("robot", f"reget {path} {got}") as resuming:
            most = _most(lambda: _memory(world.doors.sftp), while_running=resuming)
            resuming.communicate(timeout=60)
            assert resuming.returncode == 0
        assert hash_file(got) == digest
        assert most < 32 << 20, most
        got.unlink()
        with contextlib.ExitStack() as many:
            sources = [f"127.0.0.{number}" for number in range(100, 100 + SESSIONS)]
            # Slowly, and in the middle of it all of them are there.
            begun = [
                many.enter_context(
                    world.sftp_begun("robot", f"get {path} /dev/null", source=source, more=("-l", "800"))
                )
                for source in sources
            ]
            for one in begun:
                many.callback(one.kill)  # also where one of them did not come
            _wait_for(lambda: len(_children(world.doors.sftp)) >= SESSIONS)
            time.sleep(3)
            assert sum(one.poll() is None for one in begun) == SESSIONS
            assert _memory(world.doors.sftp) < SESSIONS * (8 << 20)

        before = _memory(world.doors.web)
        slowly = [*command[:-2], "/dev/null", "--limit-rate", "200k", command[-1]]
        slow = [subprocess.Popen(slowly, stderr=subprocess.DEVNULL) for _ in range(200)]
        time.sleep(8)
        during = _memory(world.doors.web)
        assert page.ask(f"/{CLIENTS[0]}/inbox/{NAME}")[0] == 200, "somebody else is served meanwhile"
        assert sum(one.poll() is None for one in slow) == 200
        assert during - before < 200 << 20, (before, during)
    finally:
        for one in slow:
            one.kill()
            one.wait()
        large.unlink()


def _children(server: subprocess.Popen[bytes]) -> list[str]:
    of = ["ps", "-o", "pid=", "--ppid", str(server.pid)]
    return subprocess.run(of, capture_output=True, text=True, check=False).stdout.split()


def _memory(server: subprocess.Popen[bytes]) -> int:
    """Bytes of a server's processes that they share with nobody."""
    found = 0
    for pid in (*_children(server), str(server.pid)):
        with contextlib.suppress(OSError):  # it has ended
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            found += sum(int(kb) << 10 for kb in re.findall(r"^Private_\w+: +(\d+)", text, re.MULTILINE))
    return found


def _most(measured: Callable[[], int], *, while_running: subprocess.Popen[str]) -> int:
    """The most that it comes to before a process ends."""
    assert while_running.stdin
    while_running.stdin.close()
    while_running.stdin = None
    most = 0
    while while_running.poll() is None:
        most = max(most, measured())
        time.sleep(0.2)
    return most


@pytest.mark.slow
def test_what_was_fetched_is_in_the_ledger_and_in_status(world: World, tmp_path: Path) -> None:
    def states() -> dict[str, tuple[str, list[str], str]]:
        done = CliRunner().invoke(cli, ["--project-dir", str(world.project.root), "status", "--json"])
        rows = json.loads(done.stdout)["deliveries"]
        return {row["namespace"]: row["fetched"]["state"] for row in rows if row["state"] == "delivered"}

    def read() -> list[dict[str, Any]]:
        told = call(world.project, "log", "--json")
        assert told.exit_code == 0, told.stderr
        found: list[dict[str, Any]] = json.loads(told.stdout)["fetched"]
        return found

    read()
    third = world.file(CLIENTS[2])
    assert states()[CLIENTS[2]] == "not fetched yet"
    size = third.stat().st_size
    users = Users(world.project.root / ".share" / "users")
    users.put(new_user("cedar_it", [CLIENTS[2]], CLIENTS, "a password for cedar", ()))
    PASSWORDS["cedar_it"] = "a password for cedar"
    try:
        page = visitor(world, tmp_path, "cedar_it")
        page.ask(f"/{CLIENTS[2]}/inbox/{NAME}", "-r", f"0-{size // 2 - 1}")
        page.ask(f"/{CLIENTS[2]}/inbox/{NAME}", "-I")
        time.sleep(0.3)
        assert [(row["login"], row["door"], row["name"], row["bytes"]) for row in read()] == [
            ("cedar_it", "page", NAME, size // 2)
        ]
        assert states()[CLIENTS[2]] == "fetched in part"
        page.ask(f"/{CLIENTS[2]}/inbox/{NAME}", "-r", f"{size // 2}-")
        time.sleep(0.3)
        assert [row["start"] for row in read()] == [size // 2]
        assert states()[CLIENTS[2]] == "fetched"
        world.sftp("cedar_it", f"get /{CLIENTS[2]}/inbox/{NAME} {tmp_path / 'got'}")
        assert [(row["door"], row["bytes"]) for row in read()] == [("sftp", size)]
        assert read() == []
        table = CliRunner().invoke(cli, ["--project-dir", str(world.project.root), "status", "--full"]).stdout
        assert "fetched by cedar_it" in table
        for line in (world.doors.run / "web.json").read_text().splitlines():
            assert {"at", "user", "address", "method", "status", "bytes", "path"} <= json.loads(line).keys()
    finally:
        users.remove("cedar_it")
        del PASSWORDS["cedar_it"]


@pytest.mark.slow
def test_check_proves_it_and_says_what_is_not_so(world: World) -> None:
    typed = "".join(f"{PASSWORDS[user]}\n" for user in sorted(PASSWORDS) if PASSWORDS[user])

    def problems() -> dict[tuple[str, str, str], str]:
        told = call(world.project, "check", "--json", typed=typed)
        proofs = json.loads(told.stdout)["proofs"]
        found = {(one["user"], one["door"], one["what"]): one["problem"] for one in proofs}
        assert told.exit_code == (ExitCode.FAILED if any(found.values()) else ExitCode.DONE)
        return found

    clean = problems()
    assert {what for _, _, what in clean} == PROVEN | {"no links on the share"}
    assert len(clean) == 1 + 3 * 2 * len(PROVEN)
    with closing(Ledger(world.project.ledger_url)) as ledger:
        ids = [row.id for row in ledger.find()]
        told = [fetch.at for found in fetches_of(ledger, ids).values() for fetch in found]
        problems()
        again = [fetch.at for found in fetches_of(ledger, ids).values() for fetch in found]
    assert again == told, "it counts for nothing"
    assert json.loads(call(world.project, "log", "--json").stdout)["fetched"] == []
    assert not any(clean.values())

    path = world.file(CLIENTS[0])
    content = path.read_bytes()
    link = world.file(CLIENTS[0], "link")
    try:
        path.write_bytes(content.replace(b"acme", b"ACME", 1))
        link.symlink_to("/etc")
        found = {key for key, problem in problems().items() if problem}
        assert found == {("", "", "no links on the share")} | {
            (user, door, "own files whole") for user in ("acme_it", "both.of-them") for door in ("page", "sftp")
        }
        link.unlink()
        path.write_bytes(content)
        path.chmod(0o600)
        wrong = {key for key, problem in problems().items() if problem}
        assert wrong == (found - {("", "", "no links on the share")})
    finally:
        path.write_bytes(content)
        path.chmod(0o640)
        link.unlink(missing_ok=True)
    typed = "wrong\n" + typed.partition("\n")[2]
    assert {key[2] for key, problem in problems().items() if problem} == {"log in"}


def by_page(world: World, visitor: Visitor) -> Callable[[str], bytes | None]:
    """What the page has under a path, on one connection; None when there is nothing."""
    jar = MozillaCookieJar()
    jar.load(str(visitor.jar), ignore_discard=True)
    cookie = "; ".join(f"{one.name}={one.value}" for one in jar)
    context = ssl.create_default_context(cafile=world.doors.share.certificate)
    connection = HTTPSConnection("localhost", world.doors.share.web_port, context=context, timeout=60)

    def read(path: str) -> bytes | None:
        connection.request("GET", path, headers={"Cookie": cookie})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status in {200, 404}
        return content if answer.status == 200 else None

    return read


def by_sftp(session: paramiko.SFTPClient) -> Callable[[str], bytes | None]:
    """The same by SFTP."""

    def read(path: str) -> bytes | None:
        with contextlib.suppress(FileNotFoundError), session.open(path) as file:
            return file.read()
        return None

    return read


def seen_until(read: Callable[[str], bytes | None], path: str, ended: Event) -> list[tuple[str | None, bool]]:
    """The SHA-256 of a file, and whether its manifest was there, asked for before it; until the end, and once then."""
    seen = []
    while True:
        is_last = ended.is_set()
        manifest, content = read(f"{path}.manifest.json"), read(path)
        found = hashlib.sha256(content).hexdigest() if content is not None else None
        if manifest is not None:
            assert json.loads(manifest)["files"][0]["sha256"] == found
        seen.append((found, manifest is not None))
        if is_last:
            return seen


@pytest.mark.slow
def test_a_file_is_seen_only_whole_while_it_is_delivered(tmp_path: Path) -> None:
    """At both doors, asked all the time: as soon as it has its name it is whole, and so is its manifest."""
    with (
        world_of(rows=80_000) as world,
        closing(paramiko.Transport(("127.0.0.1", world.doors.share.sftp_port))) as transport,
        ThreadPoolExecutor(2) as pool,
    ):
        transport.connect(username="robot", pkey=paramiko.Ed25519Key.from_private_key_file(str(world.keys / "robot")))
        session = paramiko.SFTPClient.from_transport(transport)
        assert session
        doors = [by_page(world, visitor(world, tmp_path, "acme_it")), by_sftp(session)]
        for revision in range(1, 5):
            file = world.file(CLIENTS[0], f"{Path(NAME).stem}_r{revision}.csv")
            path, ended = f"/{CLIENTS[0]}/inbox/{file.name}", Event()
            watched = [pool.submit(seen_until, door, path, ended) for door in doors]
            reason = f"asked for the {revision}. time"
            again = Request(at=AT, window=DAY, integrations=hosted(world.project), redeliver=True, reason=reason)
            runner.run(world.project, again, Watch())
            ended.set()
            for seen in (one.result() for one in watched):
                assert {found for found, _ in seen} == {None, hash_file(file)}
                assert seen[-1] == (hash_file(file), True)


@pytest.mark.slow
def test_prune_while_somebody_downloads_breaks_nothing(tmp_path: Path) -> None:
    """At both doors: who has begun gets all of it, and nobody else finds it any more."""
    with world_of(rows=80_000) as world:
        path, large = f"/{CLIENTS[0]}/inbox/{NAME}", world.file(CLIENTS[0])
        digest = hash_file(large)
        page = visitor(world, tmp_path, "acme_it")
        command = ["curl", "-sS", "-k", "-b", page.jar, "--limit-rate", "2M", "-o", tmp_path / "page", world.url + path]
        with (
            subprocess.Popen(command) as by_page,
            world.sftp_begun("acme_it", f"get {path} {tmp_path / 'sftp'}", more=("-l", "16000")) as by_sftp,
        ):
            _wait_for(lambda: all((tmp_path / name).exists() for name in ("page", "sftp")))
            gone = prune(world.project, datetime.now(UTC) + timedelta(days=8), days=7)
            assert {NAME, f"{NAME}.manifest.json"} <= {one.name for one in gone if one.done == "removed"}
            assert (by_page.poll(), by_sftp.poll()) == (None, None), "they are still at it"
            assert page.ask(path)[0] == 404
            assert NAME.encode() not in page.ask(f"/{CLIENTS[0]}/inbox/")[1]
            by_sftp.communicate(timeout=60)
            assert (by_page.wait(60), by_sftp.returncode) == (0, 0)
        assert hash_file(tmp_path / "page") == hash_file(tmp_path / "sftp") == digest


def _wait_for(is_so: Callable[[], bool]) -> None:
    for _ in range(400):
        if is_so():
            return
        time.sleep(0.05)
    pytest.fail("it did not come to that")


def described(listing: bytes) -> dict[str, str]:
    """What the page says beside each name, as text."""
    rows = re.findall(r'<td><a href="[^"]*">([^<]*)</a></td>(.*?)</tr>', listing.decode(), re.DOTALL)
    cells = {html.unescape(name): re.findall(r"<td[^>]*>(.*?)</td>", rest, re.DOTALL) for name, rest in rows}
    return {name: re.sub(r"<[^>]+>", "", found[2]).replace("&nbsp;", "").strip() for name, found in cells.items()}


@pytest.mark.slow
def test_beside_each_file_stand_its_rows_its_hash_and_when_it_goes(world: World, tmp_path: Path) -> None:
    """As its manifest says; beside what no manifest speaks of nothing; as a file of its own it is not to be had."""
    inbox, path = world.file(CLIENTS[0]).parent, f"/{CLIENTS[0]}/inbox"
    page = visitor(world, tmp_path, "acme_it")
    goes = f"{datetime.fromtimestamp(world.file(CLIENTS[0]).stat().st_mtime, UTC) + timedelta(days=7):%Y-%m-%d}"
    said = described(page.ask(f"{path}/")[1])
    assert sum("rows" in text for text in said.values()) == 2, "of two days"
    manifest = DeliveryManifest.read(inbox / f"{NAME}.manifest.json")
    assert manifest
    (file,) = manifest.files
    whole = f"{file.rows:,} rows, goes on {goes}SHA-256 {hash_file(inbox / NAME)}"
    assert said[NAME] == whole
    assert said[f"{NAME}.manifest.json"] == f"Says what the file must be, goes on {goes}"
    assert {said[name] for name in ODD_NAMES} == {""}
    for name in (".htaccess", ".htaccess.part"):
        assert page.ask(f"{path}/{name}")[0] == 404
        assert name not in said
        world.sftp("robot", f"get {path}/{name} {tmp_path / 'got'}")
        assert not (tmp_path / "got").exists()

    damaged = f"damaged {NAME}"
    odd = [damaged, "it's ${PATH} \"[a-z]*?\\.csv", "ünï 🎉.csv", f"x{NAME}", f"{NAME}.bak", "<b>.csv"]
    integrations = Integrations(world.project.integrations_file).loaded
    try:
        for name in odd:
            (inbox / name).write_text("x\n")
            one = file.model_copy(
                update={"name": name, "rows": 1234567, "bytes": 2, "sha256": f"{odd.index(name):064}"}
            )
            if name == damaged:
                one = one.model_copy(update={"sha256": "0\nOptions All"})
            if not name.endswith(".bak"):
                made = manifest.model_copy(update={"files": [one]})
                (inbox / f"{name}.manifest.json").write_bytes(made.content())
        describe(inbox, world.project.share, integrations)
        _given(world, inbox)
        again = described(page.ask(f"{path}/")[1])
        assert {name: again[name] for name in said} == said
        for name in odd:
            text = f"1,234,567 rows, goes on {_today(7)}SHA-256 {odd.index(name):064}"
            assert again[name] == ("" if name.endswith(".bak") or name == damaged else text), name
            assert page.ask(f"{path}/{quote(name)}") == (200, b"x\n")
    finally:
        for name in odd:
            (inbox / name).unlink()
            (inbox / f"{name}.manifest.json").unlink(missing_ok=True)
        describe(inbox, world.project.share, integrations)
        _given(world, inbox)
    assert described(page.ask(f"{path}/")[1]) == said


def _today(days: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}"


def _given(world: World, inbox: Path) -> None:
    """What is made while the servers run, where we are root, and the folders are not of mode 2750 since the start."""
    for path in inbox.iterdir():
        shutil.chown(path, group=world.project.share.stat().st_gid)
        if path.name != ".htaccess" and path.is_file():
            path.chmod(0o640)


@pytest.mark.slow
def test_everybody_can_use_the_pages(browser: Browser, world: World) -> None:
    """By the rules of WCAG 2.2 that a program can hold a page against, and by keyboard alone, in the page's order."""
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 1000, "height": 800})
    page = context.new_page()

    def broken() -> list[str]:
        asked = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
        found = Axe().run(page, options=asked).response["violations"]
        return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found]

    page.goto(world.url)
    assert broken() == []
    page.keyboard.type("both.of-them")
    page.keyboard.press("Tab")
    page.keyboard.type("not the password")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    assert broken() == []
    page.get_by_label("User name").fill("both.of-them")
    page.get_by_label("Password").fill(PASSWORDS["both.of-them"])
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Log out").wait_for()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for path in ("/", f"/{CLIENTS[0]}/inbox/", "/.page/check.html", "/no_such/"):
            page.goto(world.url + path)
            assert broken() == [], (scheme, path)
            page.set_viewport_size({"width": 320, "height": 800})  # as wide as one that is enlarged four times
            assert page.evaluate("document.documentElement.scrollWidth") == 320, path
            page.set_viewport_size({"width": 1000, "height": 800})
    page.goto(f"{world.url}/{CLIENTS[0]}/inbox/")
    links = page.evaluate("[...document.querySelectorAll('a')].map(link => link.href)")
    reached = []
    for _ in links:
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.href"))
    assert reached == links
    context.close()


@pytest.mark.slow
def test_the_page_in_a_browser(browser: Browser, world: World, tmp_path: Path) -> None:
    """Log in, go to the exports, click: without JavaScript, by keyboard, on a phone."""
    context = browser.new_context(
        ignore_https_errors=True,
        java_script_enabled=False,
        viewport={"width": 390, "height": 800},
        accept_downloads=True,
    )
    page = context.new_page()
    page.goto(world.url)
    page.get_by_label("User name").fill("both.of-them")
    page.get_by_label("Password").fill("wrong password")
    page.keyboard.press("Enter")
    assert "do not go together" in page.get_by_role("alert").inner_text()
    page.get_by_label("User name").fill("both.of-them")
    page.get_by_label("Password").fill(PASSWORDS["both.of-them"])
    page.keyboard.press("Enter")
    page.wait_for_url(f"{world.url}/")
    assert VENDOR in page.inner_text("header")
    if SCREENSHOTS:
        page.goto(f"{world.url}/{CLIENTS[1]}/inbox/")
        page.set_viewport_size({"width": 900, "height": 420})
        page.screenshot(path=f"{SCREENSHOTS}/share.png")
        page.set_viewport_size({"width": 390, "height": 700})
        page.screenshot(path=f"{SCREENSHOTS}/share-phone.png")
        page.goto(world.url)
    page.get_by_role("link", name=f"{CLIENTS[0]}/").click()
    page.get_by_role("link", name="inbox/").click()
    assert page.get_by_role("link", name=ODD_NAMES[2]).count() == 1
    with page.expect_download() as downloading:
        page.get_by_role("link", name=NAME, exact=True).click()
    assert hash_file(Path(downloading.value.path())) == hash_file(world.file(CLIENTS[0]))
    page.get_by_role("link", name="How to check a file").click()
    assert "sha256sum" in page.inner_text("main")
    page.go_back()
    page.get_by_role("link", name="Log out").click()
    assert page.get_by_label("Password").count() == 1
    context.close()

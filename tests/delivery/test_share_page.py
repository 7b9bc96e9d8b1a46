"""The share's page against those who mean no good, and those who have very much: real Apache, asked with curl."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest
from share_world import NAME, PASSWORDS, Visitor, World, call, world_of
from small_project import CLIENTS

from delivery.config.integrations_file import Integrations
from delivery.files.disk import hash_file
from delivery.files.manifest import DeliveryManifest
from delivery.share import config
from delivery.share.users import LONGEST, Users, new_user
from delivery.transfer.descriptions import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

PATH = f"/{CLIENTS[0]}/inbox/{NAME}"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with world_of() as opened:
        yield opened


def visitor(world: World, tmp_path: Path, user: str = "acme_it", source: str = "127.0.0.1") -> Visitor:
    found = Visitor(world, tmp_path / f"jar-{user}", source)
    assert found.log_in(user) == 302
    return found


def given(world: World, folder: Path) -> None:
    """As its reader is to find it, where we are root."""
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, group=world.project.share.stat().st_gid)
        path.chmod(0o2750 if path.is_dir() else 0o640)


LOG_INS = [
    "/log-in?x", "/log-in/", "//log-in", "/./log-in", "/%6cog-in", "/log-in/x", "/log-in/.page/x", "/log-in/../log-in",
    "/no/../log-in", "/log-in/?/log-in", "/log-in/%2e",
]  # fmt: skip


@pytest.mark.slow
def test_no_way_of_writing_the_login_gets_round_the_lock_out(world: World, tmp_path: Path) -> None:
    """In vain as often as one may, by one spelling; then the right password by it, and by the plain one."""
    right = ("-d", "httpd_username=acme_it", "--data-urlencode", f"httpd_password={PASSWORDS['acme_it']}")
    for number, path in enumerate(LOG_INS):
        guess = Visitor(world, tmp_path / "none", source=f"127.0.1.{number}")
        tried = [guess.ask(path, "-d", "httpd_username=acme_it", "-d", "httpd_password=x")[0] for _ in range(5)]
        assert tried == [401] * config.TRIES, path
        assert (guess.ask(path, *right)[0], guess.ask("/log-in", *right)[0]) == (429, 429), path


@pytest.mark.slow
def test_a_form_sends_nobody_to_another_place(world: World, tmp_path: Path) -> None:
    page = visitor(world, tmp_path)
    right = ("-d", "httpd_username=acme_it", "--data-urlencode", f"httpd_password={PASSWORDS['acme_it']}")
    (field,) = re.findall(r"AuthFormLocation (\S+)", (world.doors.share.folder / "config" / "web.conf").read_text())
    for name, place in (
        ("httpd_location", "https://evil.example.com/"), ("httpd_location", "//evil.example.com"),
        ("httpd_location", "/.page/check.html"), (field[:600], "https://evil.example.com/"),
    ):  # fmt: skip
        status, found = headers(page, tmp_path, "/log-in", *right, "-d", f"{name}={place}")
        assert (status, found["location"]) == (302, ["/"]), (name, place)
    for more in ((), ("-H", "Transfer-Encoding: chunked")):
        status, found = headers(page, tmp_path, "/log-in", *right, "-d", f"{field}=//evil.example.com", *more)
        assert (status, "location" in found) == (413, False), "a field of that name makes the form too long"


@pytest.mark.slow
def test_a_form_of_another_site_logs_nobody_in(world: World, tmp_path: Path) -> None:
    """A browser says whose page a form was on. What another's sends does not count as a try of its visitor, either."""
    page = Visitor(world, tmp_path / "jar", source="127.0.8.1")
    right = ("-d", "httpd_username=acme_it", "--data-urlencode", f"httpd_password={PASSWORDS['acme_it']}")
    for site in ["cross-site", "same-site"] * config.TRIES:
        for form in (right, ("-d", "httpd_username=acme_it", "-d", "httpd_password=x")):
            assert page.ask("/log-in", "-H", f"Sec-Fetch-Site: {site}", *form)[0] == 404
    status, body = page.ask("/", "-H", "Sec-Fetch-Site: cross-site")
    assert (status, b'name="httpd_password"' in body) == (401, True), "but a link there leads to the login"
    assert page.ask("/log-in", "-H", "Sec-Fetch-Site: same-origin", *right)[0] == 302


@pytest.mark.slow
def test_who_comes_back_to_the_address_of_the_form_is_shown_it(world: World, tmp_path: Path) -> None:
    """After a failed login it is the browser's address, and may be kept as a bookmark."""
    page = Visitor(world, tmp_path / "jar", source="127.0.8.2")
    for more in ((), ("-I",)):
        assert page.ask("/log-in", "-D", str(tmp_path / "head"), *more)[0] == 302
        assert re.findall(r"(?i)^location: (.*)$", (tmp_path / "head").read_text(), re.MULTILINE) == [f"{world.url}/"]
    assert page.ask("/log-in", "-X", "PUT")[0] == 405


@pytest.mark.slow
def test_who_begins_to_speak_and_does_not_go_on_is_cut_off(world: World) -> None:
    """Each holds one of the page's threads: before the handshake as well as in a request."""
    port, begun = world.doors.share.web_port, time.monotonic()
    with socket.create_connection(("127.0.0.1", port), 40, source_address=("127.0.8.3", 0)) as silent:
        silent.sendall(b"\x16\x03\x01")
        with contextlib.suppress(ConnectionResetError):
            while silent.recv(4096):
                pass
    assert time.monotonic() - begun < 20


@pytest.mark.slow
def test_in_a_browser_nothing_of_others_is_there_and_who_guesses_is_told(browser: Browser, tmp_path: Path) -> None:
    """Another's and an unknown folder look alike; a session that has expired, and a lock, end at the form."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(config, "SESSION_SECONDS", 10)
        with world_of() as world:
            context = browser.new_context(ignore_https_errors=True)
            page = context.new_page()

            def log_in(password: str) -> None:
                page.goto(world.url)
                page.get_by_label("User name").fill("acme_it")
                page.get_by_label("Password").fill(password)
                page.keyboard.press("Enter")

            log_in(PASSWORDS["acme_it"])
            page.get_by_role("link", name=f"{CLIENTS[0]}/").wait_for()
            told = []
            for folder in (CLIENTS[1], "no_such_client"):
                answer = page.goto(f"{world.url}/{folder}/")
                assert answer
                told.append((answer.status, page.content()))
            assert (told[0], told[0][0]) == (told[1], 404)
            time.sleep(12)
            page.goto(f"{world.url}/{CLIENTS[0]}/")
            page.get_by_label("Password").wait_for()
            for _ in range(config.TRIES):
                log_in("not the password")
                page.get_by_text("do not go together").wait_for()
            log_in(PASSWORDS["acme_it"])
            page.get_by_text("Try again in ten minutes").wait_for()
            assert page.get_by_role("link", name=f"{CLIENTS[0]}/").count() == 0
            context.close()


AT_A_TIME = 150


@pytest.mark.slow
def test_of_guesses_of_one_moment_few_are_looked_at(world: World, tmp_path: Path) -> None:
    """By the page as many as may fail; by SFTP as many on each of as many connections. Another address logs in."""
    url, before = f"{world.url}/log-in", world.doors.log("sftp.log").count(INCORRECT)
    form = ["-d", "httpd_username=acme_it&httpd_password=wrong", "-w", "%{http_code}\n"]
    asked = [part for _ in range(AT_A_TIME) for part in ("-o", "/dev/null", url)]
    at_once = ["--parallel", "--parallel-immediate", "--parallel-max", str(AT_A_TIME), "--interface", "127.0.8.2"]
    done = subprocess.run(["curl", "-s", "-k", *at_once, *form, *asked], capture_output=True, text=True, timeout=60)
    told = Counter(done.stdout.split())
    assert told == {"401": config.TRIES, "429": AT_A_TIME - config.TRIES}
    assert visitor(world, tmp_path, source="127.0.8.3").ask("/")[0] == 200

    with ThreadPoolExecutor(1) as apart:  # this one may have a browser's loop, which stays
        apart.submit(asyncio.run, guessed_by_sftp(world, "127.0.8.2", AT_A_TIME // 3)).result()
    looked_at = world.doors.log("sftp.log").count(INCORRECT) - before
    print(f"by SFTP {looked_at} of {AT_A_TIME // 3} times {config.TRIES} guesses were looked at")
    assert config.TRIES < looked_at <= config.TRIES * config.CONNECTIONS
    assert world.sftp("acme_it", "ls /", source="127.0.8.2").startswith("255\n")
    assert world.sftp("acme_it", "ls /", source="127.0.8.3").startswith("0\n")


INCORRECT = "failed: Incorrect password"


async def guessed_by_sftp(world: World, source: str, count: int) -> None:
    """Connections at once, each with guesses until it is closed."""

    class Guesser(asyncssh.SSHClient):
        def password_auth_requested(self) -> str:
            return "wrong"

    async def guess() -> None:
        with contextlib.suppress(OSError, asyncssh.Error):
            await asyncssh.connect(
                "127.0.0.1", world.doors.share.sftp_port, username="acme_it", client_factory=Guesser, client_keys=[],
                known_hosts=None, local_addr=(source, 0), config=None, login_timeout=60,
            )  # fmt: skip

    await asyncio.gather(*(guess() for _ in range(count)))


@pytest.mark.slow
def test_logins_that_succeed_lock_nobody_out(world: World, tmp_path: Path) -> None:
    """Many from one address, also anew in a browser that is logged in, between failures that are one too few."""
    page = Visitor(world, tmp_path / "jar", source="127.0.8.4")
    for _ in range(config.TRIES - 1):
        assert page.log_in("acme_it", "wrong") == 401
        assert [page.log_in("acme_it") for _ in range(3)] == [302] * 3
    with ThreadPoolExecutor(AT_ONCE) as pool:
        others = [Visitor(world, tmp_path / f"jar-{number}", source="127.0.8.5") for number in range(AT_ONCE // 2)]
        assert {one.result() for one in [pool.submit(other.log_in, "bright_it") for other in others]} == {302}
    assert page.log_in("acme_it", "wrong") == 401
    assert page.log_in("acme_it") == 429
    with closing(sqlite3.connect(world.doors.run / config.LOGINS)) as database:
        counted = "select address, count(*) from tries where address like '127.0.8.%' group by address"
        tried = dict(database.execute(counted).fetchall())
        assert (tried["127.0.8.4"], "127.0.8.5" in tried) == (config.TRIES, False)
        for seconds in (-601, 3600):  # ten minutes later; by a clock that has been set back by an hour
            database.execute("update tries set at = unixepoch() + ? where address = '127.0.8.4'", (seconds,))
            database.commit()
            assert page.log_in("acme_it") == 302, seconds


ALWAYS = {
    "strict-transport-security": ["max-age=31536000"], "x-content-type-options": ["nosniff"],
    "x-frame-options": ["DENY"], "referrer-policy": ["no-referrer"],
    "content-security-policy": [
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ],
}  # fmt: skip


@pytest.mark.slow
def test_every_answer_has_the_headers_also_one_of_an_error(world: World, tmp_path: Path) -> None:
    page, seen = visitor(world, tmp_path), set()
    etag = headers(page, tmp_path, PATH)[1]["etag"][0]
    for path, *more in (
        ("/",), (PATH,), (PATH, "-I"), (PATH, "-r", "0-9"), (PATH, "-r", "99999999-"),
        (PATH, "-H", f"If-None-Match: {etag}"), (PATH, "-H", 'If-Match: "x"'),
        (f"/{CLIENTS[0]}",), ("/no_such/",), (f"/{CLIENTS[0]}/no.csv",), ("/%zz",),
        ("/", "-b", "x=y"), ("/", "-X", "PUT"), ("/", "-X", "NONE"), ("/", "-X", "TRACE"), ("/", "-H", "Host:"),
        ("/", "-H", "Expect: x"), ("/log-out",), ("/log-in",), ("/log-in", "-d", "x=" + "x" * 5000),
        ("/" + "x" * 9000,), ("/", "-H", "X: " + "x" * 9000), ("/.page/style.css",), ("/.page/",),
    ):  # fmt: skip
        status, found = headers(page, tmp_path, path, *more)
        assert {name: found.get(name) for name in ALWAYS} == ALWAYS, (path, more)
        assert "no-store" in ",".join(found["cache-control"]), path
        for cookie in found.get("set-cookie", ()):
            name, *flags = cookie.split(";")
            assert name.startswith("__Host-"), path
            assert {"path=/", "HttpOnly", "Secure", "SameSite=Strict"} <= {*flags}, path
        seen.add(status)
    assert seen == {200, 206, 301, 302, 304, 307, 400, 404, 405, 412, 413, 414, 416, 417}


def headers(page: Visitor, tmp_path: Path, path: str, *more: str) -> tuple[int, dict[str, list[str]]]:
    """Status, and the values of each header by its name in small letters."""
    kept = page.jar.read_text()
    status, _ = page.ask(path, "-D", str(tmp_path / "head"), "-m", "20", *more)
    page.jar.write_text(kept)
    found: dict[str, list[str]] = {}
    for line in (tmp_path / "head").read_text().splitlines()[1:]:
        name, _, value = line.partition(": ")
        found.setdefault(name.lower(), []).append(value)
    return status, found


@pytest.mark.slow
def test_a_file_is_a_download_whatever_it_holds(browser: Browser, world: World, tmp_path: Path) -> None:
    """Also one that says it is a page: a browser keeps it, and runs nothing of it."""
    folder = world.file(CLIENTS[0]).parent
    names = ["page.html", "picture.svg", "x.csv", "noextension", "form.xhtml", "run.php", "in.shtml"]
    text = "<html><script>document.title='run'</script><!--#echo var='DOCUMENT_ROOT' --></html>"
    context = browser.new_context(ignore_https_errors=True)
    tab, page = context.new_page(), visitor(world, tmp_path)
    tab.goto(world.url)
    tab.get_by_label("User name").fill("acme_it")
    tab.get_by_label("Password").fill(PASSWORDS["acme_it"])
    tab.keyboard.press("Enter")
    tab.get_by_role("link", name="Log out").wait_for()
    try:
        for name in names:
            (folder / name).write_text(text)
        given(world, folder)
        for name in names:
            status, found = headers(page, tmp_path, f"/{CLIENTS[0]}/inbox/{name}")
            said = (found["content-type"], found["content-disposition"], found["x-content-type-options"])
            assert (status, *said) == (200, ["application/octet-stream"], ["attachment"], ["nosniff"]), name
            assert page.ask(f"/{CLIENTS[0]}/inbox/{name}")[1] == text.encode()
            tab.goto(f"{world.url}/{CLIENTS[0]}/inbox/")
            with tab.expect_download() as downloading:
                tab.get_by_role("link", name=name, exact=True).click()
            assert downloading.value.suggested_filename == name
            assert tab.title() != "run"
        assert "content-disposition" not in headers(page, tmp_path, f"/{CLIENTS[0]}/inbox/")[1]
    finally:
        for name in names:
            (folder / name).unlink(missing_ok=True)
    context.close()


@pytest.mark.slow
def test_what_is_typed_as_a_name_is_no_line_of_a_log(world: World, tmp_path: Path) -> None:
    forged = json.dumps({"at": "2026-11-05T06:00:00Z", "user": "forged"})
    names = [
        f"acme_it\n{forged}",
        f"acme_it\r\n{forged}\r\n",
        'acme_it","user":"forged',
        "acme_it\x00",
        "acme_it\n",
        "\x1b[31m",
    ]
    before = len(world.doors.log("web.json").splitlines())
    for number, name in enumerate(names):
        guess = Visitor(world, tmp_path / "none", source=f"127.0.2.{number}")
        written = "".join(f"%{byte:02x}" for byte in name.encode())
        assert guess.ask("/log-in", "-d", f"httpd_username={written}&httpd_password=x")[0] == 401
        guess.ask(f"/{written}", "-H", f"Referer: {world.url}/{written}")
    time.sleep(0.3)
    lines = [json.loads(line) for line in world.doors.log("web.json").splitlines()[before:]]
    assert len(lines) == 2 * len(names)
    assert {line["user"] for line in lines} == {"-"}
    assert all(line.startswith("[") for line in world.doors.log("web.log").splitlines())


@pytest.mark.slow
def test_a_cookie_that_somebody_left_in_a_browser_is_worth_nothing_after_a_login(world: World, tmp_path: Path) -> None:
    """Each login has a session of its own, and ends the one whose cookie it came with: none can be handed to others."""
    mine, other = visitor(world, tmp_path), visitor(world, tmp_path, "bright_it")
    mine.jar.write_text(other.jar.read_text())
    assert f"{CLIENTS[1]}/".encode() in mine.ask("/")[1]
    assert mine.log_in("acme_it") == 302
    root = mine.ask("/")[1]
    assert (f'href="{CLIENTS[0]}/'.encode() in root, CLIENTS[1].encode() in root) == (True, False)
    assert other.ask("/")[0] == 401, "nor does the other one become anybody else"


PEOPLE, AT_ONCE = 24, 8


@pytest.mark.slow
def test_sessions_begin_and_end_beside_each_other(world: World, tmp_path: Path) -> None:
    """While others click and the server reads its configuration anew: each its own, and none is lost or left."""

    def day(number: int) -> tuple[int, ...]:
        page = Visitor(world, tmp_path / f"jar-{number}", source=f"127.0.4.{number + 1}")
        told = (page.log_in("acme_it"), page.ask("/")[0])
        kept = page.jar.read_text()
        told += (page.ask("/log-out")[0],)
        page.jar.write_text(kept)
        return (*told, page.ask("/")[0])

    stays, logged = visitor(world, tmp_path, "bright_it"), len(world.doors.log("web.log"))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        days = [pool.submit(day, number) for number in range(PEOPLE)]
        clicks = pool.submit(stays.ask_all, ["/"] * 60)
        world.doors.web.send_signal(signal.SIGUSR1)
        assert {one.result() for one in days} == {(302, 200, 307, 401)}
        assert {status for status, _ in clicks.result()} == {200}
    # A process that begins while another closes the last connection says so (AH00632 to AH00636), and opens its own at
    # its first request.
    told = re.findall(r".*\[(?:session\w*|dbd):.*", world.doors.log("web.log")[logged:])
    assert [line for line in told if not re.search("AH0063[2-6]:", line)] == []
    with closing(sqlite3.connect(world.doors.run / config.LOGINS)) as database:
        contents = [content for (content,) in database.execute("select content from sessions")]
    assert contents
    assert not [text for text in contents if "acme_it" in text or PASSWORDS["acme_it"] in text]


ODD = {
    "a" + ".b-c_d" * 5 + "e": "with: a colon, a % and a + & =",
    "x": "é" * (LONGEST // 2),
    "q-": "  blanks at both ends  ",
    "z": '🎉 and \\ "quotes" $HOME `x` #',
}


@pytest.mark.slow
def test_odd_names_and_passwords_are_the_same_at_both_doors(world: World, tmp_path: Path) -> None:
    users = Users(world.project.root / ".share" / "users")
    for number, (user, password) in enumerate(ODD.items()):
        users.put(new_user(user, [CLIENTS[0]], CLIENTS, password, ()))
        PASSWORDS[user] = password
        source = f"127.0.3.{number + 1}"
        try:
            page = visitor(world, tmp_path, user, source)
            assert page.ask(PATH)[0] == 200
            assert NAME in world.sftp(user, f"ls /{CLIENTS[0]}/inbox", source=source)
            for wrong in (password[:-1], password.encode()[:-1].decode(errors="ignore"), password.upper() + "x"):
                assert Visitor(world, tmp_path / "none", source).log_in(user, wrong) == 401
            assert world.sftp(user, "ls /", source=source, password=password[:-1]).startswith("255\n")
        finally:
            users.remove(user)
            del PASSWORDS[user]


MANY = 1000


@pytest.mark.slow
def test_a_folder_of_very_many_files_is_shown_at_once(world: World, tmp_path: Path) -> None:
    """Each with its description. A listing asks for each name whether it may be shown; that hashes no password."""
    folder = world.project.share / CLIENTS[0] / "many"
    manifest = DeliveryManifest.read(world.file(CLIENTS[0]).parent / f"{NAME}.manifest.json")
    assert manifest
    folder.mkdir()
    try:
        for number in range(MANY):
            one = manifest.files[0].model_copy(update={"name": f"{number:05}.csv", "bytes": 2, "rows": number + 2})
            (folder / one.name).write_bytes(b"x\n")
            (folder / f"{one.name}.manifest.json").write_bytes(manifest.model_copy(update={"files": [one]}).content())
        describe(folder, world.project.share, Integrations(world.project.integrations_file).loaded)
        given(world, folder)
        page = visitor(world, tmp_path)
        begun = time.monotonic()
        status, body = page.ask(f"/{CLIENTS[0]}/many/")
        assert time.monotonic() - begun < 15
        rows = re.findall(r'href="(\d+)\.csv">.*?([\d,]+) rows, goes on', body.decode())
        assert status == 200
        assert {int(name): int(count.replace(",", "")) for name, count in rows} == {n: n + 2 for n in range(MANY)}
        listed = world.sftp("acme_it", f"ls -1 /{CLIENTS[0]}/many")
        assert len(re.findall(r"\d{5}\.csv\s*$", listed, re.MULTILINE)) == MANY
    finally:
        shutil.rmtree(folder)


@pytest.mark.slow
def test_a_script_fetches_and_resumes_by_the_lines_of_the_docs(world: World, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "share.md").read_text(encoding="utf-8")
    log_in, fetch = re.findall(r"^curl .*$", page, re.MULTILINE)
    (tmp_path / "password").write_text(PASSWORDS["acme_it"])
    (tmp_path / ".curlrc").write_text(f'cacert = "{world.doors.share.certificate}"\nsilent\n')
    wanted, got = world.file(CLIENTS[0]), tmp_path / NAME

    def script(line: str) -> int:
        here = line.replace("https://files.example.com", world.url).replace("/daily/daily_esp_events_", "/inbox/daily_")
        environment = os.environ | {"CURL_HOME": str(tmp_path)}
        return subprocess.run(shlex.split(here), cwd=tmp_path, env=environment, check=False).returncode

    assert script(fetch) == 22, "nobody is logged in"
    assert script(log_in) == script(fetch) == 0
    assert hash_file(got) == hash_file(wanted)
    with got.open("r+b") as file:
        file.truncate(1000)
    assert script(fetch) == 0
    assert hash_file(got) == hash_file(wanted)
    time.sleep(0.3)
    last = json.loads(world.doors.log("web.json").splitlines()[-1])
    assert (last["status"], last["bytes"]) == (206, wanted.stat().st_size - 1000)


@pytest.mark.slow
def test_what_was_sent_in_several_ranges_counts_for_nothing(world: World, tmp_path: Path) -> None:
    """The log says of them only how many bytes they were, with what stands between them."""
    page, size = visitor(world, tmp_path), world.file(CLIENTS[0]).stat().st_size
    call(world.project, "log")
    status, body = page.ask(PATH, "-r", f"0-{size // 2},{size // 2 + 9}-")
    assert (status, b"content-range" in body.lower(), len(body) > size) == (206, True, True)
    time.sleep(0.3)
    assert json.loads(call(world.project, "log", "--json").stdout)["fetched"] == []

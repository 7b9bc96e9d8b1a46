"""Figures behind the share's login: the sample's page, real Apache in front of it, users who see one client or two."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import ssl
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from projects import copy_of
from servers import free_port
from share_world import Visitor, World, call, said_in
from test_dashboard import SECONDS, watching
from test_gate import sql
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from benchmarks import share as sample
from delivery.config.integrations_file import Integrations
from delivery.config.project import open_project
from delivery.share import config
from delivery.share.users import Users, new_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page
    from projects import Copy

ACME, BRIGHT, NORTH = "acme_outdoor", "brightside_beauty", "nordlicht_books"
CLIENTS = [ACME, BRIGHT, NORTH]
SEES = {"acme_it": {ACME}, "bright_it": {BRIGHT}, "both_it": {ACME, BRIGHT}, "north_it": {NORTH}}
# What nobody is told who does not see the client.
CANARIES = {
    ACME: [b"acme", b"Acme", b"Winter Warm-Up"],
    BRIGHT: [b"brightside", b"Brightside"],
    NORTH: [b"nordlicht", b"Nordlicht"],
}
PAGES = ("Performance", "Campaigns", "Identification", "Customers")


def password(user: str) -> str:
    return f"a long password of {user}"


def rows(client: str, *, dataset: str = "performance", kind: str = "json") -> str:
    """The address of a client's rows."""
    asked = f"namespace={client}&dataset={dataset}&format={kind}&grain=total"
    return f"/analytics/rows?{asked}&from=2026-11-01&to=2026-11-04"


@pytest.fixture(scope="module")
def world(built: Copy) -> Iterator[World]:
    with figures_of(built) as opened:
        yield opened


@contextlib.contextmanager
def figures_of(built: Copy, **changes: Any) -> Iterator[World]:
    """The sample's page behind the share; of three clients one has no contract for analytics. changes: of `share:`."""
    if missing := sample.missing():
        pytest.skip(missing)
    base = Path(tempfile.mkdtemp(prefix="figures-"))
    base.chmod(0o711)  # the servers' account must get through
    copy = copy_of(built, base / "project")
    path = copy.own("integrations.yml")
    document = yaml.safe_load(path.read_text())
    hosted = {"vendor_name": "North", "namespace": NORTH, "destination": {"type": "hosted"}, "directory": "daily"}
    document["integrations"]["north_share"] = hosted
    document["share"] = said_in(analytics_port=free_port(), **changes)
    path.write_text(yaml.safe_dump(document, allow_unicode=True))
    sql(copy, f"update dataset_entitlements set entitled = false where namespace = '{NORTH}'")
    project = open_project(copy.root, None, None)
    for client in CLIENTS:
        (project.share / client).mkdir(parents=True)
    users = Users.of(config.settings(Integrations(project.integrations_file)))
    for user, clients in SEES.items():
        users.put(new_user(user, clients, CLIENTS, password(user), ()))
    try:
        with sample.running(project) as doors:
            yield World(project, doors, base)
    finally:
        shutil.rmtree(base)


def visitor(world: World, tmp_path: Path, user: str) -> Visitor:
    found = Visitor(world, tmp_path / f"jar-{user}")
    assert found.log_in(user, password(user)) == 302
    return found


def behind(world: World) -> str:
    """The page itself, on loopback."""
    return f"http://127.0.0.1:{world.doors.share.analytics_port}"


def told_of_others(user: str, *told: bytes) -> list[bytes]:
    """Another client's canaries in what a user was told."""
    others = [canary for client in CLIENTS if client not in SEES[user] for canary in CANARIES[client]]
    return [canary for canary in others for text in told if canary in text]


@pytest.mark.slow
def test_users_by_clients_by_ways_of_asking(world: World, tmp_path: Path) -> None:
    """Rows of the own clients, of those whose contract has them; of another's the answer is that of none."""
    for user, sees in SEES.items():
        asks = visitor(world, tmp_path, user)
        for client in (*CLIENTS, "nobody"):
            has = client in sees - {NORTH}
            ways = [(name.lower(), "json") for name in PAGES] + [("performance", "csv"), ("performance", "xlsx")]
            for dataset, kind in ways:
                status, body = asks.ask(rows(client, dataset=dataset, kind=kind))
                assert status == (200 if has else 404), (user, client, dataset, kind)
                assert told_of_others(user, body.replace(client.encode(), b"")) == []
            if client not in sees:
                assert body.replace(client.encode(), b"nobody") == asks.ask(rows("nobody"))[1]
        for client in set(CLIENTS) - sees:
            forged = next(f"X-Share-User: {other}" for other in SEES if client in SEES[other])
            for more in ((), ("-H", "X-Share-Secret: x"), ("-H", "Connection: X-Share-User, X-Share-Secret")):
                status, body = asks.ask(rows(client), "-H", forged, *more)
                assert status == (403 if "Connection" in str(more) else 404)
                assert told_of_others(user, body.replace(client.encode(), b"")) == []
    once = json.loads(visitor(world, tmp_path, "both_it").ask(rows(BRIGHT))[1])
    assert {row["namespace"] for row in once} == {BRIGHT}


@pytest.mark.slow
def test_nothing_is_answered_but_by_the_front_door(world: World, tmp_path: Path) -> None:
    paths = ("/analytics/", rows(ACME), "/analytics/_stcore/health", "/analytics/_stcore/host-config", "/analytics/x")
    nobody, direct = Visitor(world, tmp_path / "nobody"), Visitor(world, tmp_path / "direct")
    for path in paths:
        assert nobody.ask(path)[0] == 401, path
        for headers in ((), ("-H", "X-Share-User: acme_it"), ("-H", "X-Share-User: acme_it", "-H", "X-Share-Secret: ")):
            assert direct.ask(path, *headers, url=behind(world))[0] == 403, path
    secret = world.doors.share.analytics_secret
    assert (secret.stat().st_mode & 0o777, len(secret.read_text())) == (0o640, 64)
    page = (
        nobody.ask("/analytics/static/js/../../index.html")[0],
        direct.ask("/analytics/static/x", url=behind(world))[0],
    )
    assert page == (401, 403)
    asks = visitor(world, tmp_path, "acme_it")
    script = re.findall(rb'src="./(static/js/[^"]+)"', asks.ask("/analytics/")[1])[0].decode()
    for path, kept in ((f"/analytics/{script}", True), (rows(ACME), False)):
        head = (nobody if kept else asks).ask(path, "-D", str(tmp_path / "head"))
        said = (tmp_path / "head").read_text().lower()
        assert (head[0], "immutable" in said, "no-store" in said) == (200, kept, not kept), path
    for path in ("/analytics/_stcore/metrics", "/analytics/media/x", "/analytics/_stcore/upload_file/a/b"):
        assert asks.ask(path)[0] == 404, path
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert asks.ask("/analytics/", "-X", method)[0] == 405
    assert asks.ask("/analytics")[0] == 302
    shown = b"".join(asks.ask(path)[1] for path in paths)
    assert secret.read_bytes() not in shown
    assert asks.ask("/analytics/../analytics.secret")[0] in (400, 403, 404)


@pytest.mark.slow
def test_a_connection_is_opened_by_the_front_door_alone(world: World, tmp_path: Path) -> None:
    port, stream = world.doors.share.analytics_port, "/analytics/_stcore/stream"
    asks = visitor(world, tmp_path, "acme_it")
    cookie = re.findall(r"__Host-share\t(\S+)", asks.jar.read_text())[0]

    def opened(url: str, origin: str, **headers: str) -> int:
        trusted = ssl.create_default_context(cafile=world.doors.share.certificate) if url.startswith("wss") else None
        try:
            with connect(url, additional_headers=headers, origin=origin, ssl=trusted):  # type: ignore[arg-type]
                return 101
        except InvalidStatus as error:
            return error.response.status_code

    inside, outside = f"ws://127.0.0.1:{port}{stream}", world.url.replace("https", "wss") + stream
    assert opened(inside, world.url, **{"X-Share-User": "acme_it"}) == 403
    assert opened(inside, world.url, **{"X-Share-User": "acme_it", "X-Share-Secret": "x"}) == 403
    assert opened(outside, world.url) == 401
    assert opened(outside, world.url, Cookie=f"__Host-share={cookie}") == 101
    assert opened(outside, "https://evil.example.com", Cookie=f"__Host-share={cookie}") == 403
    assert asks.ask("/log-out")[0] == 307
    assert opened(outside, world.url, Cookie=f"__Host-share={cookie}") == 401, "whoever copied it"


@pytest.mark.slow
def test_check_proves_the_figures_too(world: World) -> None:
    """Of who has a contract, rows; of who has none, that; of others no more than of a client that there is not."""
    typed = "".join(f"{password(user)}\n" for user in sorted(SEES))
    told = json.loads(call(world.project, "check", "--json", typed=typed).stdout)["proofs"]
    found = {(one["user"], one["what"]): one["problem"] for one in told if one["door"] == "figures"}
    assert found == {(user, what): "" for user in SEES for what in ("own figures", "nothing of others")}


def logged_in(browser: Browser, world: World, user: str) -> Page:
    page = browser.new_context(ignore_https_errors=True, viewport={"width": 1400, "height": 1250}).new_page()
    page.goto(world.url)
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(password(user))
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Log out").wait_for(timeout=SECONDS)
    return page


@pytest.mark.slow
@pytest.mark.parametrize("user", ["acme_it", "both_it"])
def test_each_user_sees_the_own_clients_on_each_page(browser: Browser, world: World, user: str) -> None:
    seen = watching(logged_in(browser, world, user), world.url)
    bodies: list[bytes] = []
    seen.page.on("response", lambda got: bodies.append(got.body()) if "/analytics/" in got.url and got.ok else None)
    seen.page.get_by_role("link", name="Figures").click()
    seen.page.get_by_test_id("stMetric").first.wait_for(timeout=SECONDS)
    for name in PAGES:
        seen.figures(name)
        seen.page.get_by_role("heading", name="Rows").wait_for(timeout=SECONDS)
        assert seen.page.get_by_test_id("stException").count() == seen.page.get_by_test_id("stAlert").count() == 0
        file, content = seen.download("JSON")
        assert f"analytics_{name.lower()}_" in file
        assert {row["namespace"] for row in json.loads(content)} <= SEES[user]
        bodies.append(content)
    for client in SEES[user] - {ACME}:
        seen.choose("Client", "Brightside")
        name, content = seen.download("JSON")
        assert (client in name, {row["namespace"] for row in json.loads(content)}) == (True, {client})
    told = b"".join(seen.frames)
    assert all(canary in told for client in SEES[user] for canary in CANARIES[client][1:2])
    assert told_of_others(user, told, *bodies) == []
    assert {url.split("/")[2] for url in seen.requests if url.startswith("http")} == {
        world.url.removeprefix("https://")
    }
    seen.page.context.close()


@pytest.mark.slow
def test_who_has_no_contract_is_told_and_who_is_removed_is_out(browser: Browser, world: World, tmp_path: Path) -> None:
    users = Users.of(world.doors.share)
    page = logged_in(browser, world, "north_it")
    page.goto(f"{world.url}/analytics/")
    page.get_by_text("in no contract of yours").wait_for(timeout=SECONDS)
    assert page.get_by_test_id("stMetric").count() == 0
    page.context.close()

    kept = users.all()["bright_it"]
    seen = watching(logged_in(browser, world, "bright_it"), world.url)
    seen.page.goto(f"{world.url}/analytics/")
    seen.page.get_by_test_id("stMetric").first.wait_for(timeout=SECONDS)
    seen.rest()
    asks = visitor(world, tmp_path, "bright_it")
    assert asks.ask(rows(BRIGHT))[0] == 200
    try:
        assert call(world.project, "user", "remove", "bright_it").exit_code == 0
        seen.frames.clear()
        seen.page.get_by_test_id("stRadio").get_by_text("Campaigns", exact=True).click()
        seen.page.get_by_text("You are logged out").wait_for(timeout=SECONDS)
        assert seen.page.get_by_test_id("stMetric").count() == 0
        assert not [canary for canary in CANARIES[BRIGHT] if canary in b"".join(seen.frames)]
        assert asks.ask(rows(BRIGHT))[0] == asks.ask("/analytics/")[0] == 401
        seen.page.reload()
        assert seen.page.get_by_label("Password").count() == 1
    finally:
        users.put(kept)
    seen.page.context.close()


def told_behind(asks: Visitor, port: int, *forged: str) -> dict[str, list[str]]:
    """The headers of a request as they come to whoever answers on the page's port."""
    with socket.create_server(("127.0.0.1", port)) as listening, ThreadPoolExecutor() as pool:
        listening.settimeout(30)
        asked = pool.submit(asks.ask, "/analytics/", *(part for header in forged for part in ("-H", header)))
        taken, _ = listening.accept()
        with taken:
            lines = taken.recv(65536).decode().splitlines()
            taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        assert asked.result()[0] == 200
    found: dict[str, list[str]] = {}
    for name, _, value in (line.partition(": ") for line in lines[1:] if line):
        found.setdefault(name.lower(), []).append(value)
    return found


@pytest.mark.slow
def test_a_login_expires_and_a_page_that_is_down_is_said(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With servers of its own."""
    monkeypatch.setattr(config, "SESSION_SECONDS", 2)
    path = world.project.integrations_file
    before = path.read_text()
    document = yaml.safe_load(before)
    document["share"] |= {"web_port": free_port(), "sftp_port": free_port(), "analytics_port": free_port()}
    document["share"] |= {"folder": "other", "certificate": "other.pem", "certificate_key": "other.key"}
    try:
        path.write_text(yaml.safe_dump(document, allow_unicode=True))
        share = config.settings(Integrations(path))
        Users.of(share).put(new_user("acme_it", [ACME], CLIENTS, password("acme_it"), ()))
        with sample.running(world.project) as doors:
            asks = visitor(World(world.project, doors, tmp_path), tmp_path, "acme_it")
            kept = asks.jar.read_text()
            assert asks.ask(rows(ACME))[0] == 200
            time.sleep(3)
            asks.jar.write_text(re.sub(r"\t\d{10}\t", "\t4102444800\t", kept))  # a browser that keeps it all the same
            assert asks.ask(rows(ACME))[0] == asks.ask("/analytics/")[0] == 401
            assert doors.analytics
            doors.analytics.terminate()
            doors.analytics.wait(60)
            asks.log_in("acme_it", password("acme_it"))
            status, body = asks.ask(rows(ACME))
            assert (status, b"Try again in a few minutes" in body) == (503, True)
            assert asks.ask("/")[0] == 200, "the files are there"
            got = told_behind(asks, share.analytics_port or 0, "X-Share-User: both_it", "x-share-secret: x")
            assert got["x-share-user"] == ["acme_it"]
            assert got["x-share-secret"] == [share.analytics_secret.read_text()]
            assert "cookie" not in got
    finally:
        path.write_text(before)

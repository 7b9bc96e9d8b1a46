"""The share's page behind a reverse proxy: Apache in front, and nginx by the very lines of docs/share.md."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers import free_port
from share_world import NAME, PASSWORDS, Visitor, World, call, world_of
from small_project import CLIENTS, canary
from test_dashboard import SECONDS, watching
from test_share_analytics import ACME, CANARIES, figures_of, logged_in, rows, told_of_others
from test_share_analytics import visitor as visitor_of_figures

from benchmarks.share import as_account, wait_for_port
from delivery.files.disk import hash_file
from delivery.share import config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser
    from projects import Copy

    from delivery.config.share import Share

# What docs/share.md asks of nginx, in Apache's words.
FRONT = """
ServerRoot "{folder}"
ServerName localhost
Listen 127.0.0.1:{port} https
DefaultRuntimeDir "{folder}"
PidFile "{folder}/front.pid"
ErrorLog "{folder}/front.log"
{modules}
SSLEngine on
SSLCertificateFile "{share.certificate}"
SSLCertificateKeyFile "{share.certificate_key}"
SSLProxyEngine on
ProxyPreserveHost On
ProxyAddHeaders Off
RequestHeader set X-Forwarded-For "expr=%{{REMOTE_ADDR}}"
ProxyPass "/" "https://127.0.0.1:{share.web_port}/"
"""
MODULES = ("mpm_event", "authz_core", "socache_shmcb", "ssl", "headers", "proxy", "proxy_http")


# Around the lines of the page: what Debian's own nginx.conf has, for whoever runs it here.
NGINX = """
pid "{folder}/nginx.pid";
error_log "{folder}/front.log";
events {{}}
http {{
    access_log off;
    {folders}
    {server}
}}
"""
NGINX_FOLDERS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def apache(share: Share, folder: Path, port: int) -> list[str | Path]:
    modules = "".join(f"LoadModule {one}_module /usr/lib/apache2/modules/mod_{one}.so\n" for one in MODULES)
    (folder / "front.conf").write_text(FRONT.format(folder=folder, port=port, share=share, modules=modules))
    return ["apache2", "-f", folder / "front.conf", "-DFOREGROUND"]


def nginx(share: Share, folder: Path, port: int) -> list[str | Path]:
    """What the page shows, but for the port that it listens on, and where the share and its certificate are."""
    if not shutil.which("nginx", path="/usr/sbin"):
        pytest.skip("apt-get install nginx-light")
    page = (Path(__file__).parents[2] / "docs" / "share.md").read_text(encoding="utf-8")
    (server,) = re.findall(r"^```text\n(server \{\n.*?^\}\n)```$", page, re.MULTILINE | re.DOTALL)
    for shown, here in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("server_name files.example.com;", f"server_name {share.host};"),
        ("/etc/delivery-share-tls/fullchain.pem", str(share.certificate)),
        ("/etc/delivery-share-tls/privkey.pem", str(share.certificate_key)),
        ("https://127.0.0.1:8443;", f"https://127.0.0.1:{share.web_port};"),
    ):
        assert server.count(shown) == 1, shown
        server = server.replace(shown, here)
    folders = "\n".join(f'{name}_temp_path "{folder}/{name}";' for name in NGINX_FOLDERS)
    (folder / "front.conf").write_text(NGINX.format(folder=folder, folders=folders, server=server))
    return ["nginx", "-c", folder / "front.conf", "-e", folder / "front.log", "-g", "daemon off;"]


@contextlib.contextmanager
def behind(opened: World, kind: str) -> Iterator[World]:
    """The same world; its page is at the proxy's port."""
    share, folder, port = opened.doors.share, opened.doors.run, free_port()
    command = [*as_account(), *{"apache": apache, "nginx": nginx}[kind](share, folder, port)]
    path = {"PATH": f"{os.environ['PATH']}:/usr/sbin"}
    with subprocess.Popen(command, env=os.environ | path) as front:
        try:
            wait_for_port(front, port, folder / "front.log")
            doors = dataclasses.replace(opened.doors, share=share.model_copy(update={"web_port": port}))
            yield dataclasses.replace(opened, doors=doors)
        finally:
            front.terminate()


@pytest.fixture(scope="module", params=["apache", "nginx"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with world_of(proxy="127.0.0.1") as opened, behind(opened, request.param) as found:
        yield found


def visitor(world: World, tmp_path: Path, source: str, *forged: str) -> Visitor:
    found = Visitor(world, tmp_path / f"jar-{source}", source)
    assert found.ask("/log-in", *forged, "-d", "httpd_username=acme_it", "--data-urlencode",
                     f"httpd_password={PASSWORDS['acme_it']}")[0] == 302  # fmt: skip
    return found


@pytest.mark.slow
def test_files_come_whole_and_the_log_has_the_visitors_address(world: World, tmp_path: Path) -> None:
    """Whatever a browser says of its own address; another's folder stays shut."""
    forged = ("-H", "X-Forwarded-For: 192.0.2.9")
    page = visitor(world, tmp_path, "127.0.0.31", *forged)
    path = f"/{CLIENTS[0]}/inbox/{NAME}"
    whole = world.file(CLIENTS[0]).read_bytes()
    assert page.ask(path, *forged) == (200, whole)
    half = len(whole) // 2
    assert [page.ask(path, "-r", part) for part in (f"0-{half - 1}", f"{half}-")] == [
        (206, whole[:half]), (206, whole[half:])
    ]  # fmt: skip
    for other in CLIENTS[1:]:
        status, body = page.ask(f"/{other}/inbox/{NAME}", *forged)
        assert (status, canary(other).encode() in body) == (404, False)
    time.sleep(0.3)
    lines = [json.loads(line) for line in world.doors.log("web.json").splitlines()]
    assert {line["address"] for line in lines} == {"127.0.0.31"}
    told = json.loads(call(world.project, "log", "--json").stdout)["fetched"]
    assert sorted((one["start"], one["bytes"]) for one in told) == [
        (0, half), (0, len(whole)), (half, len(whole) - half)
    ]  # fmt: skip


@pytest.mark.slow
def test_who_guesses_is_locked_out_alone(world: World, tmp_path: Path) -> None:
    """Each guess under another forged address: it is the visitor's own that counts, and not the proxy's."""
    guess = Visitor(world, tmp_path / "jar", "127.0.0.32")
    told = [
        guess.ask(
            "/log-in", "-H", f"X-Forwarded-For: 192.0.2.{n}", "-d", "httpd_username=acme_it", "-d", "httpd_password=x"
        )
        for n in range(config.TRIES + 1)
    ]
    assert [status for status, _ in told] == [401] * config.TRIES + [429]
    visitor(world, tmp_path, "127.0.0.33")


@pytest.mark.slow
def test_who_guesses_from_a_network_of_ipv6_is_one(tmp_path: Path) -> None:
    """Addresses with and without zeros in them; the network beside is another, and so is each address of IPv4."""
    with world_of(proxy="127.0.0.1") as opened:

        def guess(address: str) -> int:
            said = ("-d", "httpd_username=acme_it", "-d", "httpd_password=x")
            return Visitor(opened, tmp_path / "jar").ask("/log-in", "-H", f"X-Forwarded-For: {address}", *said)[0]

        networks = {"2001:db8:0:1": "2001:db8:0:2", "2001:db8:": "2001:db9:", "2001:db8:7:": "2001:db8:8:"}
        for whole, beside in networks.items():
            told = [guess(f"{whole}:a:b:c:{n:x}") for n in range(config.TRIES + 1)]
            assert told == [401] * config.TRIES + [429], whole
            assert guess(f"{whole}:ffff:ffff:ffff:ffff") == 429
            assert guess(f"{beside}:a:b:c:1") == 401
        assert [guess(f"192.0.2.{n}") for n in range(config.TRIES + 1)] == [401] * (config.TRIES + 1)


@pytest.mark.slow
def test_through_nginx_a_browser_fetches_and_sees_figures(browser: Browser, built: Copy, tmp_path: Path) -> None:
    """Log in, own folder, a download, a chart drawn and another after a click; nothing of another on the wire."""
    with figures_of(built, proxy="127.0.0.1") as opened, behind(opened, "nginx") as world:
        file = world.project.share / ACME / "for_nginx.csv"
        file.write_bytes(b"row\r\n" * 300_000)
        shutil.chown(file, group=world.project.share.stat().st_gid)
        file.chmod(0o640)
        seen = watching(logged_in(browser, world, "acme_it"), world.url)
        bodies: list[bytes] = []
        seen.page.on("response", lambda got: bodies.append(got.body()) if "/analytics/" in got.url and got.ok else None)
        sockets: list[str] = []
        seen.page.on("websocket", lambda socket: sockets.append(socket.url))
        folders = seen.page.locator("td a").all_inner_texts()
        assert folders == [f"{ACME}/"]
        seen.page.get_by_role("link", name=f"{ACME}/").click()
        with seen.page.expect_download(timeout=SECONDS) as downloading:
            seen.page.get_by_role("link", name=file.name).click()
        assert hash_file(Path(downloading.value.path())) == hash_file(file)
        seen.page.get_by_role("link", name="Figures").click()
        for name in ("Performance", "Customers"):
            if name != "Performance":
                seen.figures(name)
            chart = seen.page.get_by_test_id("stVegaLiteChart").first.locator("canvas, svg.marks").first
            chart.wait_for(timeout=SECONDS)
            seen.rest()
            assert colours(chart.screenshot(path=tmp_path / f"{name}.png")) > 20, "it is drawn"
        assert sockets == [f"{world.url.replace('https', 'wss')}/analytics/_stcore/stream"]
        assert CANARIES[ACME][1] in b"".join(seen.frames)
        assert told_of_others("acme_it", b"".join(seen.frames), *bodies) == []
        assert {url.split("/")[2] for url in seen.requests if url.startswith("http")} == {world.url.split("/")[2]}
        asks = visitor_of_figures(world, tmp_path, "acme_it")
        assert (asks.ask(rows(ACME))[0], asks.ask(rows("brightside_beauty"))[0]) == (200, 404)
        seen.page.context.close()


def colours(picture: bytes) -> int:
    """How many there are in a picture: an empty one has one or two."""
    from io import BytesIO

    from PIL import Image

    found = Image.open(BytesIO(picture)).convert("RGB").getcolors(1 << 24)
    return len(found or ())

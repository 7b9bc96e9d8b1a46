"""The share's page behind a reverse proxy: another Apache stands in front, as docs/share.md asks of any proxy."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers import free_port
from share_world import NAME, PASSWORDS, Visitor, World, call, world_of
from small_project import CLIENTS, canary

from benchmarks.share import as_account, wait_for_port
from delivery.share import config

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The page is at the proxy's port."""
    with world_of(proxy="127.0.0.1") as opened:
        share, folder, port = opened.doors.share, opened.doors.run, free_port()
        modules = "".join(f"LoadModule {one}_module /usr/lib/apache2/modules/mod_{one}.so\n" for one in MODULES)
        (folder / "front.conf").write_text(FRONT.format(folder=folder, port=port, share=share, modules=modules))
        command = [*as_account(), "apache2", "-f", folder / "front.conf", "-DFOREGROUND"]
        path = {"PATH": f"{os.environ['PATH']}:/usr/sbin"}
        with subprocess.Popen(command, env=os.environ | path) as front:
            wait_for_port(front, port, folder / "front.log")
            doors = dataclasses.replace(opened.doors, share=share.model_copy(update={"web_port": port}))
            yield dataclasses.replace(opened, doors=doors)
            front.terminate()


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
        assert (status, canary(other).encode() in body) == (403, False)
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

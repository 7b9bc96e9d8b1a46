"""Both doors of a share in this process, a page and SFTP, as odd as a test wants them; both show one folder."""

from __future__ import annotations

import json
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import asyncssh
from asyncssh_here import running
from servers import PASSWORD

from benchmarks.share import make_certificate
from delivery.config.share import Share
from delivery.share.config import run_folder
from delivery.share.users import Users

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COOKIE = "__Host-share"


@dataclass
class Doors:
    """Two running servers. shown: the folder that both show; open_to: what of changing things they do not refuse."""

    share: Share
    host_key: str
    shown: Path
    open_to: set[str] = field(default_factory=set)
    page: str = ""  # what is wrong with it: "rootless", "no http", "silent"
    logs: set[str] = field(default_factory=lambda: {"page", "sftp"})  # which of them write down what they send
    connections: int = 0  # to the page, that are open
    figures: dict[str, tuple[int, bytes]] = field(default_factory=dict)  # by client, what the page of figures answers

    def log(self, door: str, path: str) -> None:
        """As Apache and ProFTPD write it."""
        if door not in self.logs:
            return
        said = {"at": "2026-11-05T06:00:00Z", "user": "acme_it", "method": "GET", "status": 200, "bytes": 1, "sent": 1}
        line = json.dumps({**said, "range": "-", "ended": "+", "path": path})
        if door == "sftp":
            home = f"{Users.of(self.share).home}{path}".replace(" ", "_")
            line = f"Thu Nov 05 06:00:00 2026 0 127.0.0.1 1 {home} b _ o r acme_it sftp 0 * c"
        with (run_folder(self.share) / ("web.json" if door == "page" else "sftp.transfers")).open("a") as log:
            log.write(line + "\n")


@contextmanager
def doors(base: Path) -> Iterator[Doors]:
    """Both, on loopback, for whoever gives the one password; a folder of the share's settings is in `base`."""
    here: list[Doors] = []

    class Sftp(_Sftp):
        def told(self, path: str) -> None:
            here[0].log("sftp", path)

        def may(self, what: str) -> None:
            if what not in here[0].open_to:
                raise asyncssh.SFTPPermissionDenied("not here")

    class Page(_Page):
        doors = property(lambda _: here[0])

    page = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    with running(base, [], asks=False, sftp=Sftp) as (target, _):
        settings = {"host": "localhost", "vendor_name": "Example", "web_port": page.server_port, "folder": base}
        keys = {"certificate": base / "certificate.pem", "certificate_key": base / "certificate.key"}
        share = Share.model_validate({**settings, **keys, "sftp_port": target.port})
        make_certificate(share)
        run_folder(share).mkdir()
        (run_folder(share) / "host.key.pub").write_text(f"{target.host_keys[0]}\n")
        here.append(Doors(share, target.host_keys[0], base / "home"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(share.certificate, share.certificate_key)
        page.socket = context.wrap_socket(page.socket, server_side=True)
        threading.Thread(target=page.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield here[0]
        finally:
            page.shutdown()
            page.server_close()


class _Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    doors: Any

    def handle(self) -> None:
        self.doors.connections += 1
        try:
            if self.doors.page == "silent":
                self.rfile.read()
            else:
                super().handle()
        finally:
            self.doors.connections -= 1

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        if self.doors.page == "no http":
            self.wfile.write(b"what is this\r\n\r\n")
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        wanted = self.doors.shown / unquote(self.path).strip("/")
        if self.headers.get("Cookie") != f"{COOKIE}=in":
            self._answer(401)
        elif self.path == "/" and self.doors.page == "rootless":
            self._answer(403)
        elif self.path == "/":
            rows = (f'<tr><td><a href="{path.name}/">{path.name}/</a></td>' for path in wanted.iterdir())
            self._answer(200, f'<a href="style.css">{"".join(rows)}<td><a href="/log-out">'.encode())
        elif self.path.startswith("/analytics/rows?"):
            (client,) = parse_qs(urlsplit(self.path).query)["namespace"]
            self._answer(*self.doors.figures.get(client, (404, b"later")))
        elif wanted.is_file():
            self._answer(200, wanted.read_bytes(), Content_Type="application/octet-stream")
            self.doors.log("page", self.path)
        elif wanted.is_dir() and self.path.endswith("/"):
            links = (f'<td><a href="{quote(path.name)}">{path.name}</a></td>' for path in wanted.iterdir())
            self._answer(200, "".join(links).encode())
        else:
            self._answer(403, b"not here")

    def do_POST(self) -> None:
        if self.path != "/log-in":
            self._other()
            return
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        said = {"httpd_username": ["acme_it"], "httpd_password": [PASSWORD]}
        if "urlencoded" not in self.headers["Content-Type"] or parse_qs(body) != said:
            self._answer(401)
        else:
            self._answer(302, Location="/", Set_Cookie=f"{COOKIE}=in; path=/; HttpOnly")

    def _other(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(201 if self.command in self.doors.open_to else 405)

    do_PUT = do_MKCOL = do_DELETE = do_MOVE = do_PATCH = _other  # noqa: N815 - as http.server looks for them


class _Sftp(asyncssh.SFTPServer):
    """asyncssh's own, but that each way of changing something is asked for first."""

    def may(self, what: str) -> None:
        """Raises SFTPPermissionDenied."""

    def told(self, path: str) -> None:
        """Of a file that is read."""

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        if pflags & asyncssh.FXF_WRITE:
            self.may("write")
        else:
            self.told(path.decode())
        return super().open(path, pflags, attrs)

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> Any:
        self.may("mkdir")
        return super().mkdir(path, attrs)

    def rename(self, oldpath: bytes, newpath: bytes) -> Any:
        self.may("rename")
        return super().rename(oldpath, newpath)

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> Any:
        self.may("chmod")
        return super().setstat(path, attrs)

    def remove(self, path: bytes) -> Any:
        self.may("remove")
        return super().remove(path)

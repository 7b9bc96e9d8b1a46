"""What a user can do at each of the share's doors, as far as `check` needs it: log in, list, fetch, try to write."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, cast
from urllib.parse import quote, unquote, urlencode

from delivery.config.share import ANALYTICS
from delivery.errors import DestinationFailed, DestinationRefused, LoginRefused

if TYPE_CHECKING:
    from types import TracebackType

    from delivery.config.share import Share

SECONDS = 30  # for one answer
LONGEST = 3600
CHUNK_BYTES = 1 << 20


class Door(Protocol):
    """One user, logged in. Paths are `/<namespace>/…`; every method may raise DeliveryError."""

    name: str

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def folders(self) -> set[str]:
        """The names in the user's root."""

    def names(self, folder: str) -> set[str]:
        """What a folder is shown to hold; nothing where it is not shown."""

    def fetch(self, path: str) -> str | None:
        """SHA-256 (hex) of the file there; None when it is refused or not there."""

    def changes(self, path: str, new: str) -> list[str]:
        """Which of writing, making a folder, renaming and removing were not refused. path: a file; new: no name yet."""


class Answer(NamedTuple):
    """What the page of figures says. text: its own words, where it has no rows."""

    status: int
    text: str

    def __str__(self) -> str:
        return f"{self.status} {self.text}".strip()


class _OnLoopback(HTTPSConnection):
    """To the page behind a proxy of this machine: its name is in the certificate, and leads to the proxy."""

    def __init__(self, host: str, port: int, *, timeout: float, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=timeout, context=context)
        self._tls = context

    def connect(self) -> None:
        """As the base class does, but for the address."""
        plain = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)


class Web:
    """The page, as a browser uses it. Raises LoginRefused, DestinationFailed."""

    name = "page"

    def __init__(self, share: Share, user: str, password: str) -> None:
        context = ssl.create_default_context()
        if share.certificate.is_file():  # which may have signed itself
            context.load_verify_locations(share.certificate)
        behind = share.proxy is not None and share.proxy.is_loopback  # then the page is on loopback, under its name
        connection = _OnLoopback if behind else HTTPSConnection
        self._connection = connection(share.host, share.web_port, timeout=SECONDS, context=context)
        self._cookie = ""
        form = urlencode({"httpd_username": user, "httpd_password": password})
        status, _ = self._ask("POST", "/log-in", form)
        if status != 302:
            raise LoginRefused(f"{share.host}:{share.web_port}: the page does not let {user} in ({status}).")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def folders(self) -> set[str]:
        """The links of the root's listing."""
        status, _ = self._ask("GET", "/")
        if status != 200:
            raise DestinationRefused(f"The page does not show the root ({status}).")
        return {unquote(name) for name in re.findall(r'<td><a href="([^"/]+)/">', self._text)}

    def names(self, folder: str) -> set[str]:
        """The links of its listing."""
        status, _ = self._ask("GET", f"{quote(folder)}/")
        return (
            {unquote(name) for name in re.findall(r'<td><a href="([^"/]+)/?">', self._text)} if status == 200 else set()
        )

    def fetch(self, path: str) -> str | None:
        """GET."""
        status, digest = self._ask("GET", quote(path))
        return digest if status == 200 else None

    def changes(self, path: str, new: str) -> list[str]:
        """By the methods that write, WebDAV's too."""
        tried = {"PUT": new, "POST": new, "MKCOL": new, "DELETE": new, "MOVE": path, "PATCH": new}
        refused = (403, 404, 405)
        return [method for method, where in tried.items() if self._ask(method, quote(where), "x")[0] not in refused]

    def figures(self, client: str) -> Answer:
        """What the page of figures answers of a client's rows of yesterday."""
        today = datetime.now(UTC).date()
        days = {"from": today - timedelta(days=1), "to": today}
        asked = {"namespace": client, "dataset": "performance", "grain": "total", "format": "csv", **days}
        status, _ = self._ask("GET", f"/{ANALYTICS}/rows?{urlencode(asked)}")
        return Answer(status, self._text.strip() if status == 404 else "")

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        """Status, and SHA-256 of what came; a text is kept, which none of the files is."""
        headers = {"Cookie": self._cookie, "Content-Type": "application/x-www-form-urlencoded"}
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            digest, text = hashlib.sha256(), b""
            while chunk := answer.read(CHUNK_BYTES):
                digest.update(chunk)
                text += chunk if answer.headers.get_content_maintype() == "text" else b""
            self._text = text.decode(errors="replace")
        except (OSError, HTTPException) as error:
            raise DestinationFailed(f"The page cannot be asked: {error}.", step=method) from None
        for cookie in answer.headers.get_all("Set-Cookie", ()):
            self._cookie = cookie.partition(";")[0]
        return answer.status, digest.hexdigest()


class Sftp:
    """The same files by SFTP, to the pinned host key. Raises LoginRefused, DestinationFailed, DestinationRefused."""

    name = "sftp"

    def __init__(self, share: Share, host_key: str, user: str, password: str) -> None:
        import paramiko

        from delivery.config.integrations import SftpDestination
        from delivery.sftp.ssh import connect
        from delivery.sftp.watchdog import Watchdog

        told = {"type": "sftp", "host": share.host, "port": share.sftp_port, "username": user, "password": password}
        target = SftpDestination.model_validate({**told, "host_keys": [host_key]})
        with ExitStack() as opened:
            watchdog = Watchdog(SECONDS, LONGEST)
            opened.callback(watchdog.stop)
            transport = opened.enter_context(connect(target, "look at the share's own host.key.pub", watchdog))
            # It raises where it is typed to give nothing.
            self._client = cast("paramiko.SFTPClient", paramiko.SFTPClient.from_transport(transport))
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def folders(self) -> set[str]:
        """The listing of the root."""
        return set(self._client.listdir("/"))

    def names(self, folder: str) -> set[str]:
        """Its listing."""
        with suppress(OSError):
            return set(self._client.listdir(folder))
        return set()

    def fetch(self, path: str) -> str | None:
        """OPEN and READ."""
        digest = hashlib.sha256()
        try:
            with self._client.open(path) as file:
                file.prefetch()
                while chunk := file.read(CHUNK_BYTES):
                    digest.update(chunk)
        except OSError:
            return None
        return digest.hexdigest()

    def changes(self, path: str, new: str) -> list[str]:
        """Each is tried with what can be taken back, should it not be refused."""
        made = []
        with suppress(OSError):
            self._client.open(new, "w").close()
            made.append("write")
        with suppress(OSError):
            self._client.mkdir(new + "_")
            made.append("mkdir")
        with suppress(OSError):
            self._client.rename(path, new)
            made.append("rename")
            self._client.rename(new, path)
        with suppress(OSError):
            self._client.chmod(path, 0o640)
            made.append("chmod")
        with suppress(OSError):
            self._client.remove(new)
            made.append("remove")
        return made


def open_door(kind: str, share: Share, host_key: str, user: str, password: str) -> Door:
    """One of `page` and `sftp`, logged in. Raises DeliveryError."""
    try:
        return Web(share, user, password) if kind == "page" else Sftp(share, host_key, user, password)
    except OSError as error:
        raise DestinationFailed(f"{share.host}: {kind}: {error.strerror or error}.", step="connect") from None
